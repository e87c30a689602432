//! Log and map computed anew from this node's stored bytes, whole, at start and daily (L-2; record 051).
//!
//! - It runs beside everything else, on a thread of its own for some milliseconds at a time, and rests three times as long.
//! - A node signs checkpoints while its first run after a start goes on: what it signs is the root that a quorum decided, that it
//!   computed itself height by height, and that opening the store proved again. What a run adds is that the bytes beneath are
//!   still there.
//! - A difference is an alarm: nothing is signed any more before the next start, and health says so.

use crate::ledger::LedgerView;
use ledger_store::Audit;
use std::time::{Duration, Instant};
use tokio::sync::watch;

const EVERY: Duration = Duration::from_secs(24 * 3600);
/// Times the duration of a step: a run takes a quarter of one processor.
const REST: u32 = 3;

/// How far the newest run is, and what the runs since the start have found.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct AuditStatus {
    /// From 0 to 1.
    pub progress: f64,
    /// Runs that found everything whole.
    pub passed: u64,
    pub last_passed_ms: u64,
    /// What differs. Nothing clears it but a new start.
    pub fault: Option<String>,
}

/// Runs until `stop` turns true, or until a run has found a difference.
pub async fn run(view: LedgerView, status: watch::Sender<AuditStatus>, mut stop: watch::Receiver<bool>) {
    loop {
        let started = Instant::now();
        if !once(&view, &status, &mut stop).await {
            return;
        }
        tracing::info!(seconds = started.elapsed().as_secs(), "the log and the map are what the stored bytes say");
        if rested(EVERY, &mut stop).await {
            return;
        }
    }
}

/// True if everything is whole; false if something differs, or the node stops.
async fn once(view: &LedgerView, status: &watch::Sender<AuditStatus>, stop: &mut watch::Receiver<bool>) -> bool {
    let mut audit = Audit::default();
    loop {
        let began = Instant::now();
        let readers = view.readers();
        let step = tokio::task::spawn_blocking(move || {
            let done = audit.step(&readers);
            (audit, done)
        });
        // A panic in it aborts the process.
        let Ok((after, done)) = step.await else { return false };
        audit = after;
        match done {
            Ok(is_whole) => {
                status.send_modify(|status| {
                    status.progress = audit.progress();
                    if is_whole {
                        status.passed += 1;
                        status.last_passed_ms = crate::clock::now_ms();
                    }
                });
                if is_whole {
                    return true;
                }
            }
            Err(error) => {
                tracing::error!(%error, "the stored log or map is damaged; this node signs no checkpoint any more");
                status.send_modify(|status| status.fault = Some(error.to_string()));
                return false;
            }
        }
        if rested(REST * began.elapsed(), stop).await {
            return false;
        }
    }
}

/// True if the node stops.
async fn rested(time: Duration, stop: &mut watch::Receiver<bool>) -> bool {
    tokio::select! {
        () = tokio::time::sleep(time) => false,
        _ = stop.wait_for(|stop| *stop) => true,
    }
}
