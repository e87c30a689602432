//! Between the engine and the application: one loop, one writer, nothing slow inside (trap 8).
//!
//! What must stay true:
//! - a block is executed before the engine hears that it is valid, hence before the prevote (B-1), and stands in the log before
//!   the engine may vote on it (trap 5);
//! - what takes time runs in a task and comes back as [`Done`]; a late verdict is given to the engine when it comes (B-6);
//! - `Decided` is answered when the height is durable, and the next height starts after that (trap 6);
//! - between heights an idle node waits at `Finalized` (trap 7): for work and its pace, a peer that is further, a block for the
//!   next height, a policy's edge, or the idle minute; heights 1 and 2 never wait;
//! - what came for the next height survives the end of this one (trap 9).
//!
//! Blocks on their way to a verdict are in `proposals`, decided heights for and from others in `catching_up`. Leaves to
//! [`super::blocks`] whether a block is good and to the application everything that it means.

mod catching_up;
mod proposals;
#[cfg(test)]
mod tests;

use super::actors::Event;
use super::blocks::{Bundles, Judge, Verdict, blocking};
use super::codec::bytes_of;
use super::context::{Address, Assay, EngineHeight, ValidatorSet, certificate_to_ledger};
use super::counters::Counters;
use super::demotion::{Demoted, Told};
use super::parts::Assemblies;
use super::peers::{self, Peers};
use super::recall::Mute;
use super::wal::{Record, Wal};
use super::witness::{QuorumSeen, Witness};
use super::{EngineConfig, Stage, Status};
use crate::port::{Application, DecidedBlock, Evidence, MustStop, Tip};
use arc_malachitebft_app_channel::app::engine::consensus::ConsensusRef;
use arc_malachitebft_app_channel::app::engine::host::{HostMsg, Next};
use arc_malachitebft_app_channel::app::engine::network::NetworkRef;
use arc_malachitebft_core_consensus::{LocallyProposedValue, MisbehaviorEvidence};
use arc_malachitebft_core_types::{HeightParams, Round, VoteType};
use catching_up::SyncAnswer;
use ledger_types::block::Block;
use ledger_types::vote::CommitCertificate;
use ledger_types::{BlockHash, Height};
use proposals::{Key, Known, State};
use ractor::RpcReplyPort;
use std::collections::BTreeMap;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;
use tokio::sync::{mpsc, oneshot, watch};
use tokio::task::JoinSet;
use tokio::time::Instant;

/// An engine that cannot listen says nothing; one that can is ready at once.
const READY_DEADLINE: Duration = Duration::from_secs(10);
const SLOW_HEIGHT: Duration = Duration::from_secs(5);

/// Why a connector's loop ended.
#[derive(Debug)]
pub enum Ended {
    Asked,
    EngineFailed(String),
    MustStop(MustStop),
    /// What this node had to see before it votes is committed.
    MuteOver,
    /// From the next height on this node is a validator, or is none any more (G-3).
    SetChanged,
}

pub enum Held {
    Ready(RpcReplyPort<(EngineHeight, HeightParams<Assay>)>),
    Next(RpcReplyPort<Next<Assay>>),
}

/// What the tasks bring back.
enum Done {
    Judged {
        height: Height,
        hash: BlockHash,
        verdict: Verdict,
    },
    Synced {
        hash: BlockHash,
        known: Known,
        verdict: Verdict,
        answer: SyncAnswer,
    },
    Proposed {
        height: Height,
        round: Round,
        proposed: Option<(Block, Bundles)>,
        reply: RpcReplyPort<LocallyProposedValue<Assay>>,
    },
    /// The executions that ran when a later round asked for a proposal are over.
    Turn {
        height: Height,
        round: Round,
        reply: RpcReplyPort<LocallyProposedValue<Assay>>,
    },
    Committed(Result<Prospect, MustStop>),
}

struct Deciding {
    certificate: CommitCertificate,
    reply: RpcReplyPort<()>,
    committing: bool,
}

/// A tip, and what follows from it for the next height.
struct Prospect {
    tip: Tip,
    /// The policy's edge (K), by the ledger's time.
    edge_ms: Option<u64>,
    demoted: Demoted,
    /// Where the next height is beyond this program.
    must_stop: Option<MustStop>,
}

impl Prospect {
    /// Reads the application: for a blocking thread.
    fn of(application: &dyn Application, tip: Tip, before: Demoted) -> Self {
        let next = tip.height.next();
        let asked_last = before.validators.clone();
        let demoted = before.at(next, &tip.validators, |height| application.header(height).map(Told::from));
        if !demoted.validators.is_empty() && demoted.validators != asked_last {
            tracing::warn!(validators = ?demoted.validators, height = %next, "these did not propose: asked last for a while");
        }
        Prospect { tip, edge_ms: application.next_edge_ms(), demoted, must_stop: application.can_go_on().err() }
    }

    fn set(&self) -> ValidatorSet {
        ValidatorSet::new(&self.tip.validators, self.demoted.validators.clone())
    }
}

/// What a session gives its connector.
pub struct Wiring<'a> {
    pub config: Arc<EngineConfig>,
    pub judge: Judge,
    pub witness: Arc<Witness>,
    /// None: without a vote.
    pub wal: Option<Arc<Wal>>,
    pub events: mpsc::UnboundedReceiver<Event>,
    pub quorums: &'a mut mpsc::UnboundedReceiver<QuorumSeen>,
    pub consensus: ConsensusRef<Assay>,
    pub network: NetworkRef<Assay>,
    /// As the network shall know them.
    pub peers: watch::Sender<Peers>,
    pub status: watch::Sender<Status>,
    pub counters: Arc<Counters>,
    /// Ends the loop once it is over.
    pub mute: Option<Mute>,
    /// Blocks of the height in progress, from the log.
    pub recovered: Vec<Record>,
    /// What is heard of heights up to here is left out.
    pub overheard_tip: Arc<AtomicU64>,
}

pub struct Connector<'a> {
    wiring: Wiring<'a>,
    tip: Tip,
    /// Decides the height after the tip.
    set: ValidatorSet,
    /// When the session began.
    was_validator: bool,
    demoted: Demoted,
    edge_ms: Option<u64>,
    must_stop: Option<MustStop>,
    /// The height that the engine has begun, whose log is open, and its round.
    active: Height,
    round: u32,
    held: Option<Held>,
    deciding: Option<Deciding>,
    known: BTreeMap<Key, Known>,
    assemblies: Assemblies,
    /// What a peer says of itself; forgotten once a height was decided that nobody had to send us.
    highest_heard: Height,
    synced: bool,
    tip_since: Instant,
    /// Of the height in progress.
    started: Instant,
    /// The engine listens and has asked for its first height.
    ready: bool,
    /// The log holds something of the next height: we were in the middle of it.
    resuming: bool,
    /// Of the height in progress: dropped with it.
    checks: JoinSet<()>,
    others: JoinSet<()>,
    /// Being written down: the session ends after it.
    evidence: JoinSet<()>,
    done_in: mpsc::UnboundedSender<Done>,
    done: mpsc::UnboundedReceiver<Done>,
}

impl<'a> Connector<'a> {
    pub async fn new(mut wiring: Wiring<'a>, resuming: bool) -> Self {
        let application = Arc::clone(&wiring.judge.application);
        let prospect = blocking(move || Prospect::of(&*application, application.tip(), Demoted::default())).await;
        let (recovered, wiring_me) = (std::mem::take(&mut wiring.recovered), wiring.config.me);
        let (done_in, done) = mpsc::unbounded_channel();
        let mut others = JoinSet::new();
        let known = wiring.peers.borrow().clone();
        others.spawn(peers::follow(known, wiring.peers.subscribe(), wiring.network.clone()));
        let mut connector = Connector {
            wiring,
            was_validator: prospect.tip.validators.get(wiring_me).is_some(),
            set: prospect.set(),
            tip: prospect.tip,
            demoted: prospect.demoted,
            edge_ms: prospect.edge_ms,
            must_stop: prospect.must_stop,
            active: Height(0),
            round: 0,
            held: None,
            deciding: None,
            known: BTreeMap::new(),
            assemblies: Assemblies::default(),
            highest_heard: Height(0),
            synced: false,
            tip_since: Instant::now(),
            started: Instant::now(),
            ready: false,
            resuming,
            checks: JoinSet::new(),
            others,
            evidence: JoinSet::new(),
            done_in,
            done,
        };
        recovered.iter().for_each(|record| connector.recover(record));
        connector.wiring.overheard_tip.store(connector.tip.height.0, Ordering::Relaxed);
        connector
    }

    pub async fn run(mut self, mut stop: oneshot::Receiver<()>) -> Ended {
        let mut ended = loop {
            match self.step(&mut stop).await {
                Ok(None) => {}
                Ok(Some(ended)) => break ended,
                Err(must_stop) => break Ended::MustStop(must_stop),
            }
        };
        while let Some(finished) = self.evidence.join_next().await {
            ended = propagate(finished).err().map_or(ended, Ended::MustStop);
        }
        ended
    }

    async fn step(&mut self, stop: &mut oneshot::Receiver<()>) -> Result<Option<Ended>, MustStop> {
        let supply = Arc::clone(&self.wiring.judge.supply);
        let work = supply.work();
        tokio::pin!(work);
        // Registered for a wake-up before the look at what there is, so that none is lost in between.
        let woken = self.held.is_some() && futures::poll!(work.as_mut()).is_ready();
        if self.held.is_some() && self.may_start() {
            self.start_next();
        }
        let (holds, wakes_at) = (self.held.is_some(), self.wakes_at());
        let paced = holds && self.is_between_heights() && supply.has_work(&self.tip);
        let paced_until = self.started + *self.wiring.config.pace.height_every.borrow();
        tokio::select! {
            event = self.wiring.events.recv() => match event {
                Some(Event::Host(message)) => self.on_host(message)?,
                Some(Event::Overheard(height)) => self.highest_heard = self.highest_heard.max(height),
                Some(Event::EngineFailed(reason)) => return Ok(Some(Ended::EngineFailed(reason))),
                None => return Ok(Some(Ended::EngineFailed("the engine is gone".into()))),
            },
            Some(done) = self.done.recv() => self.on_done(done)?,
            Some(quorum) = self.wiring.quorums.recv() => self.on_quorum(quorum)?,
            Some(finished) = self.checks.join_next(), if !self.checks.is_empty() => propagate(finished)?,
            Some(finished) = self.others.join_next(), if !self.others.is_empty() => propagate(finished)?,
            Some(finished) = self.evidence.join_next(), if !self.evidence.is_empty() => propagate(finished)?,
            () = &mut work, if holds && !woken => {}
            () = tokio::time::sleep_until(paced_until), if paced => {}
            () = tokio::time::sleep_until(wakes_at), if holds && self.is_between_heights() && self.leads() => {}
            () = tokio::time::sleep_until(self.started + READY_DEADLINE), if !self.ready => {
                return Ok(Some(Ended::EngineFailed(format!("it does not listen on {}", self.wiring.config.listen))));
            }
            _ = &mut *stop => return Ok(Some(Ended::Asked)),
        }
        self.is_over()
    }

    /// Whether what was committed last ends the session. Not before the engine waits for the next height: then it has told whom it
    /// saw sign two things in this one.
    fn is_over(&mut self) -> Result<Option<Ended>, MustStop> {
        if self.deciding.is_some() || (self.ready && self.held.is_none()) {
            return Ok(None);
        }
        if let Some(must_stop) = self.must_stop.take() {
            return Err(must_stop);
        }
        let me = self.wiring.config.me;
        if self.tip.validators.get(me).is_some() != self.was_validator {
            return Ok(Some(Ended::SetChanged));
        }
        let over = self.wiring.mute.is_some_and(|mute| mute.is_over(self.tip.height, self.tip.time_ms));
        Ok(over.then_some(Ended::MuteOver))
    }

    fn on_host(&mut self, message: HostMsg<Assay>) -> Result<(), MustStop> {
        match message {
            HostMsg::ConsensusReady { reply_to } => {
                self.ready = true;
                self.hold(Held::Ready(reply_to));
            }
            HostMsg::StartedRound { height, round, reply_to, .. } => {
                // Values that are known are given as messages of their own, after this answer.
                let _ = reply_to.send(Vec::new());
                self.on_round(height.0, round)?;
            }
            HostMsg::GetValue { height, round, reply_to, .. } => self.on_get_value(height.0, round, reply_to)?,
            HostMsg::ReceivedProposalPart { published_by, part, .. } => {
                if let Some(part) = part.content.into_data() {
                    self.on_part(published_by, part)?;
                }
            }
            HostMsg::RestreamValue { height, round, value_id, .. } => self.publish(height.0, round, value_id),
            HostMsg::Decided { certificate, reply_to, .. } => {
                self.deciding = Some(Deciding {
                    certificate: certificate_to_ledger(&certificate),
                    reply: reply_to,
                    committing: false,
                });
                self.commit_when_judged()?;
            }
            HostMsg::Finalized { evidence, reply_to, .. } => {
                self.report(evidence);
                self.hold(Held::Next(reply_to));
            }
            HostMsg::GetHistoryMinHeight { reply_to } => self.on_get_first_height(reply_to),
            HostMsg::GetDecidedValues { range, reply_to } => self.on_get_decided(range, reply_to),
            HostMsg::ProcessSyncedValue { height, round, proposer, value_bytes, reply_to } => {
                self.on_synced(height.0, value_bytes, SyncAnswer { round, proposer, reply: reply_to });
            }
            HostMsg::ExtendVote { reply_to, .. } => drop(reply_to.send(None)),
            HostMsg::VerifyVoteExtensions { extensions, reply_to, .. } => {
                let refused = no_extension(extensions.into_iter().map(|(address, ())| address));
                drop(reply_to.send(refused));
            }
        }
        Ok(())
    }

    fn on_done(&mut self, done: Done) -> Result<(), MustStop> {
        match done {
            Done::Judged { height, hash, verdict } => self.on_judged(height, hash, verdict),
            Done::Synced { hash, known, verdict, answer } => self.on_sync_judged(hash, known, verdict, answer),
            Done::Proposed { height, round, proposed, reply } => self.on_proposed(height, round, proposed, reply),
            Done::Turn { height, round, reply } => self.on_turn(height, round, reply),
            Done::Committed(result) => self.on_committed(result?),
        }
    }

    fn hold(&mut self, held: Held) {
        self.held = Some(held);
        if self.is_between_heights() {
            self.say(|status| status.stage = Stage::Idle);
        }
    }

    /// The last height that the engine finished is durable (trap 6).
    fn is_between_heights(&self) -> bool {
        self.deciding.is_none() && self.active <= self.tip.height
    }

    /// Trap 7.
    fn may_start(&self) -> bool {
        let next = self.tip.height.next();
        let has_work = || self.wiring.judge.supply.has_work(&self.tip);
        let has_reason = || {
            next <= Height(2)
                || self.resuming
                || self.highest_heard >= next
                || self.known.keys().any(|(height, _)| *height == next)
                || (has_work() && self.keeps_pace())
                || (self.leads() && Instant::now() >= self.wakes_at())
        };
        self.is_between_heights() && has_reason()
    }

    /// A node without a vote makes no height of its own accord: alone it could not decide one.
    fn leads(&self) -> bool {
        self.wiring.wal.is_some()
    }

    /// Enough work has come, or enough time has gone by since the last height began.
    fn keeps_pace(&self) -> bool {
        let pace = &self.wiring.config.pace;
        self.started.elapsed() >= *pace.height_every.borrow()
            || self.wiring.judge.supply.waiting_bytes(&self.tip) >= pace.unless_bytes
    }

    fn wakes_at(&self) -> Instant {
        let idle = self.tip_since + self.wiring.config.idle_height_every;
        let Some(edge_ms) = self.edge_ms else { return idle };
        idle.min(Instant::now() + Duration::from_millis(edge_ms.saturating_sub((self.wiring.judge.clock)())))
    }

    fn start_next(&mut self) {
        let next = EngineHeight(self.tip.height.next());
        let params = HeightParams::new(self.set.clone(), self.wiring.config.timeouts.linear(), None);
        self.resuming = false;
        match self.held.take() {
            Some(Held::Ready(reply)) => drop(reply.send((next, params))),
            Some(Held::Next(reply)) => drop(reply.send(Next::Start(next, params))),
            None => return,
        }
        self.started = Instant::now();
        self.wiring.judge.supply.height_started(next.0);
        self.say(|status| status.stage = Stage::Deciding);
    }

    fn on_round(&mut self, height: Height, round: Round) -> Result<(), MustStop> {
        (self.active, self.round) = (height, round.as_u32().unwrap_or(0));
        let number = self.round;
        self.say(|status| (status.height, status.round) = (height, number));
        if round != Round::ZERO {
            self.wiring.counters.lost_rounds.count();
            tracing::info!(%height, %round, "another round");
        }
        // Blocks of the log, and those that came while the last height was being decided.
        let keys: Vec<_> = self.known.keys().filter(|(h, _)| *h == height).copied().collect();
        for key in keys {
            self.judge(key);
            if round == Round::ZERO {
                self.give_verdict(key)?;
            }
        }
        Ok(())
    }

    /// Commits what was decided, as soon as it is judged here; after a restart the log decides before the block is executed again.
    fn commit_when_judged(&mut self) -> Result<(), MustStop> {
        let Some(deciding) = self.deciding.as_ref().filter(|deciding| !deciding.committing) else { return Ok(()) };
        let key = (deciding.certificate.height, deciding.certificate.block);
        let Some(known) = self.known.get(&key) else {
            return Err(MustStop(format!("block {} of height {} is decided and not here", key.1, key.0)));
        };
        let bundles = match &known.state {
            State::Valid(bundles) => Arc::clone(bundles),
            State::Refused(_) => return self.alarm_if_others_decided(key),
            State::Withheld => {
                self.reconsider(key);
                return Ok(());
            }
            State::Waiting => {
                self.judge(key);
                return Ok(());
            }
            State::Checking => return Ok(()),
        };
        let decided = DecidedBlock { block: (*known.block).clone(), certificate: deciding.certificate.clone() };
        self.deciding.as_mut().expect("present above").committing = true;
        self.say(|status| status.stage = Stage::Committing);
        let (judge, done, demoted) = (self.wiring.judge.clone(), self.done_in.clone(), self.demoted.clone());
        self.others.spawn(async move {
            let turn = judge.turn().await;
            let commit = move || {
                let block = decided.block.clone();
                let tip = judge.application.commit(decided, &bundles)?;
                judge.supply.committed(&block, tip.clone());
                Ok(Prospect::of(&*judge.application, tip, demoted))
            };
            blocking(move || {
                let _ = done.send(Done::Committed(commit()));
                // Until here, so that no check which runs on the new tip is heard of before the commit.
                drop(turn);
            })
            .await;
        });
        Ok(())
    }

    fn on_committed(&mut self, prospect: Prospect) -> Result<(), MustStop> {
        let tip = &prospect.tip;
        let deciding = self.deciding.take().expect("a commit runs for a decision only");
        if tip.height != deciding.certificate.height || tip.block != deciding.certificate.block {
            return Err(MustStop(format!(
                "height {} was committed and the tip says {}",
                deciding.certificate.height, tip.height
            )));
        }
        self.checks.abort_all();
        self.assemblies.forget_through(tip.height);
        self.wiring.witness.advance(tip.height.next(), tip.validators.clone());
        let counters = &self.wiring.counters;
        counters.heights.count();
        if self.synced {
            counters.synced.count();
        }
        let took = self.started.elapsed();
        if took > SLOW_HEIGHT {
            // Trap 17: such heights were seen and not explained.
            tracing::warn!(height = %tip.height, ?took, round = deciding.certificate.round, synced = self.synced, "a slow height");
        }
        self.set = prospect.set();
        self.know_peers_of(&prospect.tip)?;
        (self.tip, self.demoted, self.edge_ms) = (prospect.tip, prospect.demoted, prospect.edge_ms);
        self.must_stop = prospect.must_stop;
        self.keep_only_proposed();
        self.tip_since = Instant::now();
        // A peer that is ahead sends what it has; one that only says so is not believed for longer than a height.
        if !std::mem::take(&mut self.synced) && self.highest_heard > self.tip.height.next() {
            self.highest_heard = self.tip.height;
        }
        self.wiring.overheard_tip.store(self.tip.height.0, Ordering::Relaxed);
        let (height, block, time_ms) = (self.tip.height, self.tip.block, (self.wiring.judge.clock)());
        self.say(|status| {
            status.tip = height;
            status.block = block;
            status.decided_at_ms = time_ms;
            status.stage = Stage::Idle;
        });
        // Trap 6: the height is durable; sync may tell others of it.
        let _ = deciding.reply.send(());
        Ok(())
    }

    /// A participant update may have replaced a peer's key.
    fn know_peers_of(&mut self, tip: &Tip) -> Result<(), MustStop> {
        if tip.directory == self.tip.directory {
            return Ok(());
        }
        let next = Peers::of(&self.wiring.config, &tip.directory).map_err(|error| MustStop(error.to_string()))?;
        self.wiring.peers.send_replace(next);
        Ok(())
    }

    fn report(&mut self, evidence: MisbehaviorEvidence<Assay>) {
        if evidence.is_empty() {
            return;
        }
        let votes = evidence.votes.iter().flat_map(|(address, pairs)| pairs.iter().map(|pair| (*address, pair)));
        let votes = votes.map(|(address, (first, second))| Evidence {
            validator: address.0,
            height: first.message.height.0,
            what: if first.message.step == VoteType::Prevote { "prevote" } else { "precommit" }.into(),
            first: bytes_of(first),
            second: bytes_of(second),
        });
        let proposals =
            evidence.proposals.iter().flat_map(|(address, pairs)| pairs.iter().map(|pair| (*address, pair)));
        let proposals = proposals.map(|(address, (first, second))| Evidence {
            validator: address.0,
            height: first.message.height.0,
            what: "proposal".into(),
            first: bytes_of(first),
            second: bytes_of(second),
        });
        let found: Vec<Evidence> = votes.chain(proposals).collect();
        let application = Arc::clone(&self.wiring.judge.application);
        self.evidence.spawn(blocking(move || {
            for evidence in found {
                application.evidence(evidence);
            }
        }));
    }

    fn say(&self, change: impl FnOnce(&mut Status)) {
        self.wiring.status.send_modify(change);
    }
}

/// Votes have no place for an extension, so the engine never asks; if it did, none would be good.
fn no_extension(
    addresses: impl Iterator<Item = Address>,
) -> arc_malachitebft_core_consensus::VoteExtensionVerdicts<Assay> {
    addresses
        .map(|address| (address, Err(arc_malachitebft_core_consensus::VoteExtensionError::InvalidVoteExtension)))
        .collect()
}

/// A task that panicked met a broken invariant: nothing is signed any more. One that was aborted belonged to a past height.
fn propagate(finished: Result<(), tokio::task::JoinError>) -> Result<(), MustStop> {
    match finished {
        Err(error) if error.is_panic() => Err(MustStop(format!("a task of consensus panicked: {error}"))),
        _ => Ok(()),
    }
}
