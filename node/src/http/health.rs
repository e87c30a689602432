//! What the node is doing, and whether it gets on: health is progress, not a live process (trap 4).
//!
//! - Work that waits while no height is committed is no health, and the answer says what is missing: who is not connected, and
//!   whether this node votes.
//! - A quiet chain is healthy: it makes a height a minute.
//! - A stored row that any reader could not read is no health before the next start, whoever asked for it.

use crate::checkpoint::AuditStatus;
use crate::joining::Joined;
use crate::ledger::LedgerView;
use consensus::engine::{EngineView, Stage, Vote};
use consensus::plane::{Plane, PlaneMetrics};
use ledger_store::Found;
use ledger_types::{Height, ParticipantNumber};
use node_api::ledger as doc;
use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};
use tokio::sync::watch;

/// A dead proposer costs less than a second, two of them less than two.
const STALL: Duration = Duration::from_secs(5);
/// Even an idle chain makes a height a minute.
const IDLE_STALL: Duration = Duration::from_secs(90);
const LOOK_EVERY: Duration = Duration::from_millis(250);

/// Since when work waits at one height.
#[derive(Debug, Default)]
struct Waiting {
    height: Height,
    since: Option<Instant>,
}

impl Waiting {
    /// How long work has been waiting without a height.
    fn look(&mut self, now: Instant, height: Height, has_work: bool) -> Duration {
        if !has_work {
            self.since = None;
        } else if self.since.is_none() || height != self.height {
            self.since = Some(now);
        }
        self.height = height;
        self.since.map_or(Duration::ZERO, |since| now.saturating_duration_since(since))
    }
}

/// Reads consensus, the data plane and the ledger; keeps nothing but since when work waits.
#[derive(Clone)]
pub struct NodeHealth {
    view: LedgerView,
    plane: Arc<Plane>,
    engine: EngineView,
    audit: watch::Receiver<AuditStatus>,
    waiting: Arc<Mutex<Waiting>>,
    joined: Arc<Joined>,
}

/// One look at everything.
#[derive(Debug)]
pub struct Look {
    pub engine: consensus::engine::Status,
    pub counters: consensus::engine::EngineMetrics,
    pub plane: PlaneMetrics,
    pub audit: AuditStatus,
    pub damage: Found,
    pub since_commit: Duration,
    pub waiting: Duration,
    /// Validators that are not connected, with their names.
    pub missing: Vec<(ParticipantNumber, String)>,
    /// Of the validators that are connected, and of this node if it votes.
    pub power_here: u64,
    pub quorum_power: u64,
    pub joined: Arc<Joined>,
}

impl NodeHealth {
    pub fn new(
        view: LedgerView,
        plane: Arc<Plane>,
        engine: EngineView,
        audit: watch::Receiver<AuditStatus>,
        joined: Joined,
    ) -> Self {
        NodeHealth { view, plane, engine, audit, waiting: Arc::default(), joined: Arc::new(joined) }
    }

    /// Looks from time to time, so that the first who asks hears since when work waits.
    pub async fn watch(self, mut stop: watch::Receiver<bool>) {
        let mut every = tokio::time::interval(LOOK_EVERY);
        loop {
            tokio::select! {
                _ = every.tick() => { self.waits(&self.plane.metrics()); }
                _ = stop.wait_for(|stop| *stop) => return,
            }
        }
    }

    fn waits(&self, plane: &PlaneMetrics) -> Duration {
        let tip = self.view.tip();
        let has_work = plane.queue_bytes > 0
            || plane.sponsored > 0
            || plane.certified > 0
            || plane.early_bytes > 0
            || self.plane.has_work(&tip);
        self.waiting.lock().expect("no holder of this lock panics").look(Instant::now(), tip.height, has_work)
    }

    pub fn look(&self) -> Look {
        let plane = self.plane.metrics();
        let waiting = self.waits(&plane);
        let engine = self.engine.status();
        let ledger = self.view.ledger();
        let validators = &ledger.validators.set;
        let (connected, me) = (self.plane.connected(), self.view.me());
        let here = |number: &ParticipantNumber| match *number == me {
            true => engine.vote == Vote::Votes,
            false => connected.contains(number),
        };
        let name = |number| ledger.directory.get(number).map_or(String::new(), |line| line.name.as_str().to_owned());
        let away = validators.iter().map(|validator| validator.number).filter(|number| *number != me && !here(number));
        Look {
            missing: away.map(|number| (number, name(number))).collect(),
            power_here: validators.iter().filter(|line| here(&line.number)).map(|line| line.power).sum(),
            quorum_power: validators.total_power() * 2 / 3 + 1,
            since_commit: self.view.committed_at().elapsed(),
            counters: self.engine.metrics(),
            audit: self.audit.borrow().clone(),
            damage: self.view.damage().found(),
            joined: self.joined.clone(),
            engine,
            plane,
            waiting,
        }
    }

    pub fn document(&self) -> doc::Health {
        let look = self.look();
        let reason = look.complaint();
        doc::Health {
            healthy: reason.is_none(),
            height: self.view.ledger().height.0,
            since_commit_ms: ms(look.since_commit),
            waiting_ms: ms(look.waiting),
            vote: vote_state(&look.engine.vote).into(),
            missing: look.missing.iter().map(|(number, _)| number.0).collect(),
            reason,
        }
    }
}

impl Look {
    /// Why this is no health.
    pub fn complaint(&self) -> Option<String> {
        let damage = self.audit.fault.as_ref();
        let damage = damage.map(|fault| format!("stored bytes are damaged, and no checkpoint is signed here: {fault}"));
        let rows = self.damage.first.as_ref().map(|place| {
            format!("stored rows cannot be read: {place} ({} such reads since the start)", self.damage.reads)
        });
        let complaints: Vec<String> = damage.into_iter().chain(rows).chain(self.stall()).collect();
        (!complaints.is_empty()).then(|| complaints.join("; "))
    }

    /// Why this is no progress.
    fn stall(&self) -> Option<String> {
        let what = if self.waiting > STALL {
            let bundles = self.plane.sponsored.max(self.plane.certified);
            format!(
                "work waits ({} bytes queued, {bundles} bundles not ordered) and no height was committed for {} ms",
                self.plane.queue_bytes,
                ms(self.waiting)
            )
        } else if self.since_commit > IDLE_STALL {
            format!("no height for {} ms; an idle chain makes one a minute", ms(self.since_commit))
        } else {
            return None;
        };
        let mut parts = vec![what];
        if !self.missing.is_empty() {
            let missing: Vec<String> =
                self.missing.iter().map(|(number, name)| format!("{name} (participant {number})")).collect();
            parts.push(format!("not connected: {}", missing.join(", ")));
        }
        if self.power_here < self.quorum_power {
            parts.push(format!(
                "those here hold {} of the power {} that a quorum takes",
                self.power_here, self.quorum_power
            ));
        }
        parts.extend(vote_reason(&self.engine.vote).filter(|_| self.engine.vote != Vote::Never));
        Some(parts.join("; "))
    }
}

pub fn ms(duration: Duration) -> u64 {
    u64::try_from(duration.as_millis()).unwrap_or(u64::MAX)
}

/// As documents and metrics name it.
pub fn vote_state(vote: &Vote) -> &'static str {
    match vote {
        Vote::Votes => "votes",
        Vote::Never => "never",
        Vote::Asking => "asking",
        Vote::NotThrough { .. } => "not_through",
        Vote::GuardMissing => "guard_missing",
    }
}

pub const VOTE_STATES: [&str; 5] = ["votes", "never", "asking", "not_through", "guard_missing"];

/// B-9: why it does not vote.
pub fn vote_reason(vote: &Vote) -> Option<String> {
    match vote {
        Vote::Votes => None,
        Vote::Never => Some("this node is no validator".into()),
        Vote::Asking => Some("this validator asks the others what it has signed before it votes".into()),
        Vote::NotThrough { height, why } => {
            Some(format!("this validator does not vote before height {height} is decided by others: {why}"))
        }
        Vote::GuardMissing => Some("this validator does not vote: its signing guard is missing".into()),
    }
}

pub fn stage(stage: Stage) -> &'static str {
    match stage {
        Stage::Starting => "starting",
        Stage::Deciding => "deciding",
        Stage::Committing => "committing",
        Stage::Idle => "idle",
    }
}

pub const STAGES: [&str; 4] = ["starting", "deciding", "committing", "idle"];

#[cfg(test)]
mod tests {
    use super::*;
    use ledger_types::BlockHash;

    #[test]
    fn only_work_that_waits_at_one_height_counts() {
        let start = Instant::now();
        let at = |seconds| start + Duration::from_secs(seconds);
        let mut waiting = Waiting::default();
        assert_eq!(waiting.look(at(0), Height(1), false), Duration::ZERO);
        // An idle minute is not waited for by the work that comes after it.
        assert_eq!(waiting.look(at(60), Height(1), true), Duration::ZERO);
        assert_eq!(waiting.look(at(64), Height(1), true), Duration::from_secs(4));
        assert_eq!(waiting.look(at(65), Height(2), true), Duration::ZERO, "a height is progress");
        assert_eq!(waiting.look(at(75), Height(2), true), Duration::from_secs(10));
        assert_eq!(waiting.look(at(76), Height(2), false), Duration::ZERO);
    }

    #[test]
    fn a_stall_says_who_is_missing_and_whether_this_node_votes() {
        let engine = consensus::engine::Status {
            tip: Height(7),
            block: BlockHash([0; 32]),
            decided_at_ms: 0,
            height: Height(8),
            round: 3,
            stage: Stage::Deciding,
            vote: Vote::GuardMissing,
        };
        let mut look = Look {
            engine,
            counters: Default::default(),
            plane: PlaneMetrics { queue_bytes: 700, sponsored: 2, ..Default::default() },
            audit: AuditStatus::default(),
            damage: Found::default(),
            since_commit: Duration::from_secs(70),
            waiting: Duration::from_secs(4),
            missing: vec![(ParticipantNumber(4), "bank four".into())],
            power_here: 2,
            quorum_power: 3,
            joined: Arc::default(),
        };
        assert_eq!(look.complaint(), None);
        look.waiting = Duration::from_secs(6);
        let complaint = look.complaint().unwrap();
        for part in ["700 bytes queued", "bank four (participant 4)", "hold 2 of the power 3", "guard is missing"] {
            assert!(complaint.contains(part), "{complaint}");
        }
        look.waiting = Duration::ZERO;
        look.since_commit = Duration::from_secs(91);
        assert!(look.complaint().unwrap().contains("an idle chain"));
        look.since_commit = Duration::ZERO;
        look.audit.fault = Some("leaf 3 of the log is corrupt".into());
        assert!(look.complaint().unwrap().contains("no checkpoint is signed here: leaf 3 of the log is corrupt"));
        look.audit.fault = None;
        look.damage = Found { reads: 2, first: Some("row 07: reading column blocks of ledger failed".into()) };
        assert!(look.complaint().unwrap().contains("column blocks of ledger failed (2 such reads since the start)"));
    }
}
