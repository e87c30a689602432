//! Lets go of the blocks and envelopes that `[history]` of the configuration does not keep: a little after every height.
//!
//! What stays true here: nothing goes that is still needed.
//!
//! | by whom | what |
//! |---|---|
//! | nodes that join | the heights after the oldest state that is served here; nothing goes before one is (B-7) |
//! | the desk of this node | heights that it has not durably taken in |
//! | registration, at the central bank | heights that it has not booked |
//! | returns and disputes of loans, at the central bank | heights since the oldest open loan was lent |
//! | who asks what became of an envelope | heights within the longest time to its expiry: an acceptance is not hidden by a refusal of its repetition |

use crate::config;
use crate::ledger::LedgerView;
use ledger_store::{HistoryPruned, Snapshot, Store, StoreError};
use ledger_types::Height;
use std::sync::Arc;
use std::time::Duration;
use tokio::sync::watch;

const DAY: Duration = Duration::from_secs(24 * 60 * 60);
/// Rows that go after one height: some ten milliseconds, in which no height is committed.
const ROWS_MAX: usize = 2_000;
/// What may go is asked again after so many heights.
const LOOK_EVERY: u64 = 100;

/// The first height that somebody in this process still needs; none while that is not known.
pub type NeededFrom = Arc<dyn Fn() -> Option<Height> + Send + Sync>;

#[derive(Clone)]
pub struct History {
    pub store: Arc<Store>,
    pub view: LedgerView,
    pub kept: config::History,
    pub desk: Option<NeededFrom>,
    pub serves_loans: bool,
}

/// Between two heights.
#[derive(Clone, Copy, Default)]
struct Progress {
    /// Up to which it is being deleted.
    floor: Option<Height>,
    next_look: Height,
}

impl History {
    /// Ends at once where everything is kept, and until the next start where something cannot be deleted.
    pub async fn run(self, mut stop: watch::Receiver<bool>) {
        let Some(days) = self.kept.kept_days else { return };
        let kept_ms = u64::from(days).saturating_mul(DAY.as_millis() as u64);
        let (mut heights, mut progress) = (self.view.heights(), Progress::default());
        loop {
            let height = *heights.borrow_and_update();
            let this = self.clone();
            let step = tokio::task::spawn_blocking(move || this.step(kept_ms, height, progress));
            progress = match step.await.expect("deleting rows does not panic") {
                Ok(progress) => progress,
                Err(error) => {
                    tracing::error!(%error, "old heights are not deleted any more before the next start");
                    return;
                }
            };
            tokio::select! {
                changed = heights.changed() => if changed.is_err() { return },
                _ = stop.wait_for(|stop| *stop) => return,
            }
        }
    }

    fn step(&self, kept_ms: u64, height: Height, mut progress: Progress) -> Result<Progress, StoreError> {
        if progress.floor.is_none() && height >= progress.next_look {
            progress.floor = self.floor(kept_ms)?;
        }
        let Some(mut floor) = progress.floor else { return Ok(progress) };
        // It takes long, and somebody may have gone back meanwhile.
        if let Some(needed_from) = &self.desk {
            let Some(needed) = needed_from() else { return Ok(progress) };
            floor = floor.min(needed);
        }
        let HistoryPruned { first_height, done } = self.store.prune_history(floor, ROWS_MAX)?;
        if !done {
            return Ok(progress);
        }
        tracing::debug!(%first_height, "blocks and envelopes are held from this height on");
        Ok(Progress { floor: None, next_look: Height(height.0.saturating_add(LOOK_EVERY)) })
    }

    /// None while somebody's need is not known.
    fn floor(&self, kept_ms: u64) -> Result<Option<Height>, StoreError> {
        let readers = self.store.readers();
        let Some(offered) = readers.oldest_offered() else { return Ok(None) };
        let desk = match &self.desk {
            None => offered,
            Some(needed_from) => match needed_from() {
                None => return Ok(None),
                Some(needed) => needed,
            },
        };
        let snapshot = readers.snapshot()?;
        let kept_ms = kept_ms.max(self.view.rules().genesis.expiry_window_ms);
        let mut since_ms = snapshot.tip().ledger.time_ms.saturating_sub(kept_ms);
        if self.serves_loans {
            for row in snapshot.obligations() {
                since_ms = since_ms.min(row?.1.obligation.activated_ms);
            }
        }
        Ok(Some(first_height_since(&snapshot, since_ms)?.min(offered).min(desk)))
    }
}

/// The first height that is held whose block's time is `time_ms` or later; the tip's if none is.
fn first_height_since(snapshot: &Snapshot<'_>, time_ms: u64) -> Result<Height, StoreError> {
    let (mut earlier, mut later) = (snapshot.first_height()?.0, snapshot.height().0);
    while earlier < later {
        let middle = earlier + (later - earlier) / 2;
        match snapshot.header(Height(middle))?.is_some_and(|header| header.time_ms >= time_ms) {
            true => later = middle,
            false => earlier = middle + 1,
        }
    }
    Ok(Height(later))
}
