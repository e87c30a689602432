//! One validator: what it keeps through a crash, what it does not, and which session runs.
//!
//! Shipped: guard, log, recall, witness, judge, pool, codec, the engine's core. Modelled, rule by rule, because the shipped ones are
//! asynchronous: supervisor and sessions (here), the engine's actor around its core (`engine`), the connector (`connector`,
//! `catching_up`) and the data plane's traffic around its pool (`plane`). An await there is an event here, and the node may die
//! between any two events and at any write.

mod catching_up;
mod connector;
mod engine;
mod plane;

use crate::application::Application;
use crate::bugs::Bug;
use crate::chain::{Chain0, GENESIS_TIME_MS};
use crate::disk::Disk;
use crate::network::Micros;
use crate::oracle::{Invariant, Oracle};
use crate::signatures::LookedUp;
use crate::trace::Trace;
use arc_malachitebft_app_channel::app::metrics::Metrics;
use arc_malachitebft_app_channel::app::types::PeerId;
use arc_malachitebft_core_consensus::{Input, State};
use arc_malachitebft_core_types::{ThresholdParams, Timeout};
use bytes::Bytes;
pub use catching_up::SyncState;
use connector::{Deciding, Known};
use consensus::engine::blocks::Judge;
use consensus::engine::context::{Assay, ValidatorSet};
use consensus::engine::demotion::Demoted;
use consensus::engine::parts;
use consensus::engine::parts::Assemblies;
use consensus::engine::recall::{Answer, Mute, Permission, Question, answers_needed};
use consensus::engine::wal::{Recovered, Wal};
use consensus::engine::witness::{QuorumSeen, Witness};
use consensus::guard::SigningGuard;
use consensus::plane::pool::Pool;
use consensus::port::{Application as _, Tip};
use ledger_types::bundle::{Bundle, BundleCertificate};
use ledger_types::keys::SigningKey;
use ledger_types::participant::{self, SignedBy};
use ledger_types::{BlockHash, BundleDigest, Chain, Encode, Height, ParticipantNumber};
pub use plane::PlaneStore;
use plane::{SimSupply, Sponsored};
use rand::rngs::StdRng;
use std::collections::BTreeMap;
use std::path::Path;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex};
use tokio::sync::mpsc;

/// What nodes send each other. Consensus's own messages are the shipped codec's bytes.
#[derive(Clone, Debug)]
pub enum Packet {
    Consensus(Bytes),
    Liveness(Bytes),
    Part(Bytes),
    Status(Height),
    SyncRequest(Height, Height),
    SyncResponse(Bytes),
    Bundle(Arc<Bundle>),
    Ack(BundleDigest, SignedBy),
    Certificate(Box<BundleCertificate>),
    Fetch(Vec<BundleDigest>),
    AskVote,
    AnswerVote(Bytes),
}

impl Packet {
    pub fn name(&self) -> &'static str {
        match self {
            Packet::Consensus(_) => "consensus",
            Packet::Liveness(_) => "liveness",
            Packet::Part(_) => "part",
            Packet::Status(_) => "status",
            Packet::SyncRequest(..) => "sync request",
            Packet::SyncResponse(_) => "sync response",
            Packet::Bundle(_) => "bundle",
            Packet::Ack(..) => "ack",
            Packet::Certificate(_) => "certificate",
            Packet::Fetch(_) => "fetch",
            Packet::AskVote => "ask vote",
            Packet::AnswerVote(_) => "answer vote",
        }
    }
}

impl Packet {
    /// Its content.
    pub fn cover(&self, trace: &mut Trace) {
        match self {
            Packet::Consensus(bytes)
            | Packet::Liveness(bytes)
            | Packet::Part(bytes)
            | Packet::SyncResponse(bytes)
            | Packet::AnswerVote(bytes) => trace.cover(bytes),
            Packet::Status(height) => trace.cover(&height.to_bytes()),
            Packet::SyncRequest(first, last) => trace.cover(&[first.to_bytes(), last.to_bytes()].concat()),
            Packet::Bundle(bundle) => trace.cover(&bundle.digest().to_bytes()),
            Packet::Ack(digest, by) => trace.cover(&[digest.to_bytes(), by.to_bytes()].concat()),
            Packet::Certificate(certificate) => trace.cover(&certificate.to_bytes()),
            Packet::Fetch(digests) => digests.iter().for_each(|digest| trace.cover(&digest.to_bytes())),
            Packet::AskVote => {}
        }
    }
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum To {
    All,
    One(usize),
}

/// What a node will go on with. Those of a session end with it.
#[derive(Debug)]
pub enum Local {
    Timer(Timeout, u64),
    Feed(Box<Input<Assay>>),
    GetValue(Height, u32),
    Judge(Height, BlockHash),
    Synced(Box<catching_up::Synced>),
    /// Not of a session: a commit goes on without it.
    Commit,
    Store(Arc<Bundle>),
    AskDeadline,
    Tick,
    Wake,
}

impl Local {
    pub fn name(&self) -> &'static str {
        match self {
            Local::Timer(..) => "timer",
            Local::Feed(_) => "input",
            Local::GetValue(..) => "get value",
            Local::Judge(..) => "judge",
            Local::Synced(_) => "judge synced",
            Local::Commit => "commit",
            Local::Store(_) => "store bundle",
            Local::AskDeadline => "ask again",
            Local::Tick => "tick",
            Local::Wake => "wake",
        }
    }
}

pub enum Out {
    Send(To, Packet),
    /// To each of the others for which the number, counted on by their place, is even: a liar's choice.
    Some(Packet, u64),
    After(Micros, u64, Local),
}

/// What a node gets to act with.
pub struct Ctx<'a> {
    pub now: Micros,
    pub rng: &'a mut StdRng,
    pub oracle: &'a mut Oracle,
    pub trace: &'a mut Trace,
    pub outs: Vec<Out>,
}

impl Ctx<'_> {
    pub fn send(&mut self, to: To, packet: Packet) {
        self.outs.push(Out::Send(to, packet));
    }
}

/// What a crash does not take.
pub struct Durable {
    pub index: usize,
    pub me: ParticipantNumber,
    pub numbers: Arc<Vec<ParticipantNumber>>,
    pub chain0: &'static Chain0,
    pub key: SigningKey,
    pub bundle_key: SigningKey,
    pub disk: Disk,
    pub application: Arc<Application>,
    pub plane: Arc<Mutex<PlaneStore>>,
    pub bug: Option<Bug>,
    /// Of the own clock.
    pub skew_ms: i64,
    pub boots: u64,
    /// Its disk tears nothing and misplaces nothing.
    pub writes_in_order: bool,
    /// A liar's: it asks nobody before it votes.
    pub forgetful: bool,
}

impl Durable {
    pub fn new(
        index: usize,
        numbers: &Arc<Vec<ParticipantNumber>>,
        chain0: &'static Chain0,
        bug: Option<Bug>,
        skew_ms: i64,
    ) -> Self {
        let (me, disk) = (numbers[index], Disk::default());
        let key = chain0.consensus[usize::from(me.0) - 1].clone();
        SigningGuard::create_on(&disk.open("guard"), &chain0.rules.chain, key.public_key()).expect("a new disk writes");
        Durable {
            index,
            me,
            numbers: Arc::clone(numbers),
            chain0,
            bundle_key: chain0.bundle[usize::from(me.0) - 1].clone(),
            key,
            application: Arc::new(Application::new(chain0, &disk, index, bug)),
            plane: Arc::new(Mutex::new(PlaneStore::new(&disk))),
            disk,
            bug,
            skew_ms,
            boots: 0,
            writes_in_order: true,
            forgetful: false,
        }
    }

    /// Bugs that one node alone has.
    pub fn is_the_odd_one(&self, bug: Bug) -> bool {
        self.bug == Some(bug) && self.index == 1
    }
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Vote {
    /// Not of the set that decides the next height.
    Never,
    Asking,
    Votes,
    NotThrough(Height),
}

/// Why a node is gone.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Gone {
    /// Its fuse burnt down.
    Died,
    /// It stopped because something durable failed or something is wrong for good.
    Stopped(String),
    /// The engine gave up; whoever runs it starts it again.
    EngineFailed(String),
}

pub struct Node {
    pub durable: Durable,
    chain: Chain,
    clock: Arc<AtomicU64>,
    guard: SigningGuard<crate::disk::DiskFile>,
    wal: Wal<crate::disk::DiskFile>,
    recovered: Recovered,
    pub vote: Vote,
    answers: BTreeMap<ParticipantNumber, Answer>,
    witness: Arc<Witness>,
    quorums: mpsc::UnboundedReceiver<QuorumSeen>,
    verifier: LookedUp,
    judge: Judge,
    pool: Arc<Mutex<Pool>>,
    started_at: std::time::Instant,
    own_queue: Vec<Vec<ledger_types::envelope::Envelope>>,
    sponsored: BTreeMap<BundleDigest, Sponsored>,
    sync: SyncState,
    pub gone: Option<Gone>,
    tip: Tip,
    peer_ids: Vec<PeerId>,

    // Of a session.
    pub session: u64,
    votes: bool,
    mute: Option<Mute>,
    core: Option<State<Assay>>,
    metrics: Metrics,
    in_session: bool,
    recovering: bool,
    is_validator: bool,
    buffer: Vec<Input<Assay>>,
    timers: Vec<(Timeout, u64)>,
    next_timer: u64,
    /// The engine waits for its next height.
    held: bool,
    resuming: bool,
    set: ValidatorSet,
    demoted: Demoted,
    active: Height,
    round: u32,
    known: BTreeMap<(Height, BlockHash), Known>,
    assemblies: Assemblies,
    deciding: Option<Deciding>,
    highest_heard: Height,
    synced: bool,
    height_started: Micros,
    tip_since: Micros,
    pub lost_rounds: u64,
    /// Of a liar: a block, and the other one in its place.
    pub forks: Vec<(BlockHash, BlockHash, Bytes)>,
}

/// From the start of one height to the next.
const HEIGHT_EVERY: Micros = 20_000;
/// Shipped: a minute.
const IDLE_HEIGHT_EVERY: Micros = 400_000;
const TICK: Micros = 150_000;
const ASK_DEADLINE: Micros = 2_000_000;

impl Node {
    /// Starts on what a disk holds. None: a guard or log that the shipped code refuses to open, which an operator has to see.
    pub fn boot(mut durable: Durable, ctx: &mut Ctx<'_>) -> Result<Node, Box<(Durable, String)>> {
        durable.boots += 1;
        let chain = durable.chain0.rules.chain;
        let guard = durable.disk.open("guard");
        let guard = match SigningGuard::open_on(guard, Path::new("guard"), &chain, durable.key.public_key()) {
            Ok(guard) => guard,
            Err(error) => return Err(Box::new((durable, error.to_string()))),
        };
        let (wal, recovered) = match Wal::open_on(durable.disk.open("wal")) {
            Ok(opened) => opened,
            Err(error) => return Err(Box::new((durable, error.to_string()))),
        };
        durable.application.restart();
        let tip = durable.application.tip();
        let (quorums_in, quorums) = mpsc::unbounded_channel();
        let witness = Arc::new(Witness::new(tip.height.next(), tip.validators.clone(), quorums_in));
        let clock = Arc::new(AtomicU64::new(0));
        let quota = durable.chain0.rules.genesis.bytes_per_submitter_per_height;
        let pool = Arc::new(Mutex::new(Pool::new(durable.me, chain, tip.clone(), quota, 1 << 20)));
        let supply = SimSupply { chain, pool: Arc::clone(&pool), store: Arc::clone(&durable.plane) };
        let read_clock = Arc::clone(&clock);
        let application: Arc<Application> = Arc::clone(&durable.application);
        let judge = Judge {
            chain,
            application,
            supply: Arc::new(supply),
            clock: Arc::new(move || read_clock.load(Ordering::Relaxed)),
            execution: Arc::default(),
        };
        let peer_id = |index: usize| PeerId::from_bytes(&[0, 1, index as u8]).expect("an identity multihash");
        let mut node = Node {
            chain,
            clock,
            guard,
            wal,
            recovered,
            vote: Vote::Never,
            answers: BTreeMap::new(),
            verifier: LookedUp { chain, witness: Arc::clone(&witness) },
            witness,
            quorums,
            judge,
            pool,
            started_at: std::time::Instant::now(),
            own_queue: Vec::new(),
            sponsored: BTreeMap::new(),
            sync: SyncState::default(),
            gone: None,
            set: ValidatorSet::new(&tip.validators, Default::default()),
            demoted: Demoted::default(),
            tip,
            peer_ids: (0..durable.numbers.len()).map(peer_id).collect(),
            durable,
            session: 0,
            votes: false,
            mute: None,
            core: None,
            metrics: Metrics::new(),
            in_session: false,
            recovering: false,
            is_validator: false,
            buffer: Vec::new(),
            timers: Vec::new(),
            next_timer: 0,
            held: false,
            resuming: false,
            active: Height(0),
            round: 0,
            known: BTreeMap::new(),
            assemblies: Assemblies::default(),
            deciding: None,
            highest_heard: Height(0),
            synced: false,
            height_started: ctx.now,
            tip_since: ctx.now,
            lost_rounds: 0,
            forks: Vec::new(),
        };
        node.set_clock(ctx.now);
        node.take_up_bundles();
        node.later(ctx, TICK, Local::Tick);
        node.stand_by_the_set(ctx);
        if node.vote == Vote::Never {
            node.start_session(ctx, false, None);
        }
        Ok(node)
    }

    /// Who decides the next height, as this node has it.
    pub fn validators_of_next(&self) -> &participant::ValidatorSet {
        match self.durable.is_the_odd_one(Bug::HandOverMissed) {
            true => &self.durable.chain0.ledger.validators.set,
            false => &self.tip.validators,
        }
    }

    pub fn is_in_the_set(&self) -> bool {
        self.voters_of_next().get(self.durable.me).is_some()
    }

    /// As the engine is told.
    fn voters_of_next(&self) -> &participant::ValidatorSet {
        let has_left = self.validators_of_next().get(self.durable.me).is_none();
        match has_left && self.durable.is_the_odd_one(Bug::LeaverVotesOn) {
            true => &self.durable.chain0.ledger.validators.set,
            false => self.validators_of_next(),
        }
    }

    /// G-3, as the shipped supervisor: who comes in asks before it votes, who leaves follows.
    fn stand_by_the_set(&mut self, ctx: &mut Ctx<'_>) {
        match (self.is_in_the_set(), self.vote) {
            (true, Vote::Never) if self.durable.forgetful || self.durable.bug == Some(Bug::VotesUnasked) => {
                self.vote = Vote::Votes;
                self.start_session(ctx, true, None);
            }
            (true, Vote::Never) => {
                // The session that followed ends, and none runs while it asks for the first time.
                (self.vote, self.in_session) = (Vote::Asking, false);
                self.answers.clear();
                ctx.send(To::All, Packet::AskVote);
                self.later(ctx, ASK_DEADLINE, Local::AskDeadline);
            }
            (false, Vote::Never) | (true, _) => {}
            (false, _) => {
                self.vote = Vote::Never;
                self.start_session(ctx, false, None);
            }
        }
    }

    fn set_changed(&mut self, ctx: &mut Ctx<'_>) {
        let before = self.vote;
        self.stand_by_the_set(ctx);
        match (before, self.vote) {
            (Vote::Never, Vote::Never) => {}
            (Vote::Never, _) => ctx.trace.count("hand over: came in"),
            (_, Vote::Never) => ctx.trace.count("hand over: left"),
            _ => {}
        }
    }

    /// The power goes, or the process.
    pub fn into_durable(self) -> Durable {
        self.durable
    }

    pub fn tip(&self) -> &Tip {
        &self.tip
    }

    fn set_clock(&self, now: Micros) {
        let ms = (GENESIS_TIME_MS + 1_000 + now / 1_000) as i64 + self.durable.skew_ms;
        self.clock.store(ms as u64, Ordering::Relaxed);
    }

    /// The pool counts in instants; only their differences matter.
    fn instant(&self, now: Micros) -> std::time::Instant {
        self.started_at + std::time::Duration::from_micros(now)
    }

    fn pool(&self) -> std::sync::MutexGuard<'_, Pool> {
        self.pool.lock().expect("one thread")
    }

    fn later(&self, ctx: &mut Ctx<'_>, after: Micros, local: Local) {
        ctx.outs.push(Out::After(after, self.session, local));
    }

    pub fn on_local(&mut self, ctx: &mut Ctx<'_>, session: u64, local: Local) {
        self.set_clock(ctx.now);
        let of_session = matches!(
            local,
            Local::Timer(..) | Local::Feed(_) | Local::GetValue(..) | Local::Judge(..) | Local::Synced(_)
        );
        if of_session && (session != self.session || !self.in_session) {
            return;
        }
        match local {
            Local::Timer(timeout, token) => self.on_timer(ctx, timeout, token),
            Local::Feed(input) => self.input(ctx, *input),
            Local::GetValue(height, round) => self.on_get_value(ctx, height, round),
            Local::Judge(height, hash) => self.check(ctx, (height, hash)),
            Local::Synced(synced) => self.on_synced(ctx, *synced),
            Local::Commit => self.commit(ctx),
            Local::Store(bundle) => self.on_stored(ctx, bundle),
            Local::AskDeadline => self.on_ask_deadline(ctx),
            Local::Tick => self.on_tick(ctx),
            Local::Wake => {}
        }
        self.settle(ctx);
    }

    pub fn on_packet(&mut self, ctx: &mut Ctx<'_>, from: usize, packet: &Packet) {
        self.set_clock(ctx.now);
        match packet {
            Packet::Consensus(bytes) => self.on_consensus_message(ctx, bytes),
            Packet::Liveness(bytes) => self.on_liveness_message(ctx, bytes),
            Packet::Part(bytes) => self.on_part(ctx, from, bytes),
            Packet::Status(height) => self.on_status(ctx, from, *height),
            Packet::SyncRequest(first, last) => self.on_sync_request(ctx, from, *first, *last),
            Packet::SyncResponse(bytes) => self.on_sync_response(ctx, from, bytes),
            Packet::Bundle(bundle) => self.on_bundle(ctx, bundle),
            Packet::Ack(digest, ack) => self.on_ack(ctx, digest, ack),
            Packet::Certificate(certificate) => self.on_certificate(ctx, certificate),
            Packet::Fetch(digests) => self.on_fetch(ctx, from, digests),
            Packet::AskVote => {
                let answer = Answer::of(self.durable.numbers[from], &self.witness, &self.tip, self.active);
                ctx.send(To::One(from), Packet::AnswerVote(answer.bytes().into()));
            }
            Packet::AnswerVote(bytes) => {
                let number = self.durable.numbers[from];
                let counts = number != self.durable.me && self.tip.validators.get(number).is_some();
                if let Some(answer) = Answer::parse(bytes).filter(|_| counts && self.vote == Vote::Asking) {
                    self.answers.insert(number, answer);
                    if self.answers.len() >= answers_needed(self.tip.validators.len()) {
                        self.judge_answers(ctx);
                    }
                }
            }
        }
        self.settle(ctx);
    }

    /// What the shipped loops do between two messages.
    fn settle(&mut self, ctx: &mut Ctx<'_>) {
        while let Ok(quorum) = self.quorums.try_recv() {
            if self.in_session {
                self.on_quorum(ctx, quorum);
            }
        }
        if self.gone.is_some() || self.durable.disk.is_dead() {
            return;
        }
        if self.deciding.is_none() {
            self.set_changed(ctx);
        }
        self.end_mute(ctx);
        self.start_if_due(ctx);
        self.cut_own(ctx);
    }

    fn on_ask_deadline(&mut self, ctx: &mut Ctx<'_>) {
        if self.vote != Vote::Asking {
            return;
        }
        if !self.in_session {
            self.start_session(ctx, false, None);
        }
        self.answers.clear();
        ctx.send(To::All, Packet::AskVote);
        self.later(ctx, ASK_DEADLINE, Local::AskDeadline);
    }

    /// B-9.
    fn judge_answers(&mut self, ctx: &mut Ctx<'_>) {
        let question = Question {
            chain: &self.chain,
            me: self.durable.me,
            key: self.durable.key.public_key(),
            guard: &self.guard,
            log: &self.recovered,
            tip: self.tip.height,
            tip_time_ms: self.tip.time_ms,
            validators: self.tip.validators.len(),
        };
        let answers: Vec<Answer> = self.answers.values().copied().collect();
        match question.judge(&answers) {
            Permission::May => {
                self.vote = Vote::Votes;
                self.start_session(ctx, true, None);
            }
            Permission::NotThrough { height, why } => {
                ctx.trace.count("recall: follows without a vote");
                ctx.trace
                    .say(ctx.now, || format!("node {} follows through height {height}: {why}", self.durable.index));
                self.follow_through(ctx, height);
            }
        }
    }

    fn follow_through(&mut self, ctx: &mut Ctx<'_>, height: Height) {
        self.vote = Vote::NotThrough(height);
        let mute = Mute { through: height, from_ms: self.guard.votes_from_ms() };
        self.start_session(ctx, false, Some(mute));
    }

    fn end_mute(&mut self, ctx: &mut Ctx<'_>) {
        let over = self.mute.is_some_and(|mute| mute.is_over(self.tip.height, self.tip.time_ms));
        if over && self.deciding.is_none() {
            self.vote = Vote::Votes;
            self.start_session(ctx, true, None);
        }
    }

    /// The one before ends; a commit that runs for it is seen through.
    fn start_session(&mut self, ctx: &mut Ctx<'_>, votes: bool, mute: Option<Mute>) {
        if self.deciding.as_ref().is_some_and(|deciding| deciding.committing) {
            self.commit(ctx);
        }
        self.session += 1;
        self.in_session = true;
        (self.votes, self.mute) = (votes, mute);
        (self.core, self.recovering) = (None, false);
        self.buffer.clear();
        self.timers.clear();
        self.known.clear();
        self.assemblies = Assemblies::default();
        self.deciding = None;
        (self.active, self.round, self.synced) = (Height(0), 0, false);
        self.highest_heard = Height(0);
        self.sync = SyncState::default();
        self.held = true;
        self.demoted = Demoted::default();
        self.set = self.set_of_next();
        self.resuming = false;
        if votes {
            self.resuming = self.recovered.height == Some(self.tip.height.next()) && !self.recovered.records.is_empty();
            if self.resuming {
                self.recover_blocks();
            }
        }
        ctx.trace.say(ctx.now, || {
            format!("node {} session {} {}", self.durable.index, self.session, if votes { "votes" } else { "follows" })
        });
    }

    /// The engine refused to go on.
    fn session_failed(&mut self, ctx: &mut Ctx<'_>, failure: engine::Failure) {
        if self.durable.disk.is_dead() {
            self.gone = Some(Gone::Died);
            return;
        }
        match failure {
            engine::Failure::Refused(refusal) => {
                ctx.trace.count("guard: refused");
                if self.durable.writes_in_order && ctx.oracle.is_honest(self.durable.index) {
                    let text = format!("node {}: {refusal}", self.durable.index);
                    ctx.oracle.violated(Invariant::GuardAgrees, text);
                }
                ctx.trace.say(ctx.now, || format!("node {}: the guard refused: {refusal}", self.durable.index));
                self.follow_through(ctx, self.tip.height.next());
            }
            engine::Failure::MustStop(reason) => self.must_stop(ctx, reason),
            engine::Failure::Engine(reason) => {
                ctx.trace.count("engine: failed");
                ctx.trace.say(ctx.now, || format!("node {}: the engine failed: {reason}", self.durable.index));
                self.gone = Some(Gone::EngineFailed(reason));
            }
        }
    }

    fn must_stop(&mut self, ctx: &mut Ctx<'_>, reason: String) {
        if self.durable.disk.is_dead() {
            self.gone = Some(Gone::Died);
            return;
        }
        let text = format!("node {} must stop: {reason}", self.durable.index);
        if self.durable.disk.has_failed() {
            ctx.trace.count("disk: sync failed, node stopped");
        } else if ctx.oracle.is_honest(self.durable.index) {
            ctx.oracle.violated(Invariant::NoAlarm, text);
        }
        self.gone = Some(Gone::Stopped(reason));
    }

    pub fn others(&self) -> Vec<usize> {
        (0..self.durable.numbers.len()).filter(|index| *index != self.durable.index).collect()
    }

    /// Another block on the tip: later by some milliseconds, and so another hash.
    pub fn fork(&mut self) -> Option<(BlockHash, Bytes)> {
        self.clock.fetch_add(7 + self.forks.len() as u64, Ordering::Relaxed);
        let (block, _) = self.judge.propose_now(&self.tip, 1 << 20)?;
        Some((block.hash(&self.chain), parts::encode(&block)))
    }

    /// Always the same one in place of the same.
    pub fn fork_of(&mut self, block: BlockHash) -> Option<(BlockHash, Bytes)> {
        if let Some((_, fork, encoded)) = self.forks.iter().find(|(first, ..)| *first == block) {
            return Some((*fork, encoded.clone()));
        }
        let (fork, encoded) = self.fork()?;
        self.forks.push((block, fork, encoded.clone()));
        Some((fork, encoded))
    }

    fn thresholds(&self) -> ThresholdParams {
        let mut thresholds = ThresholdParams::default();
        if self.durable.bug == Some(Bug::QuorumOffByOne) {
            let (numerator, denominator) = if self.tip.validators.len() == 4 { (1, 3) } else { (1, 2) };
            (thresholds.quorum.numerator, thresholds.quorum.denominator) = (numerator, denominator);
        }
        thresholds
    }
}
