//! Blocks on their way to a verdict: from parts, from the log, from here; and the own proposal.
//!
//! What must stay true: the engine hears of a block only after the log holds it (trap 5) and the application executed it (B-1);
//! a verdict that comes late is given when it comes (B-6); a block whose time is off waits for a quorum of prevotes (B-5); what
//! a refused block would need to be decided is an alarm.

use super::{Connector, Done};
use crate::engine::blocks::{Bundles, CLOCK_TOLERANCE_MS, Judged, Origin, Verdict};
use crate::engine::codec::stream_message;
use crate::engine::context::{Assay, BlockValue, EngineHeight};
use crate::engine::parts::{self, Assembled, BlockPart};
use crate::engine::wal::{Record, RecordKind};
use crate::engine::witness::QuorumSeen;
use crate::port::MustStop;
use arc_malachitebft_app_channel::app::engine::consensus::ConsensusMsg;
use arc_malachitebft_app_channel::app::engine::network::NetworkMsg;
use arc_malachitebft_app_channel::app::types::PeerId;
use arc_malachitebft_core_consensus::{LocallyProposedValue, ProposedValue};
use arc_malachitebft_core_types::{Round, Validity, ValueOrigin};
use bytes::Bytes;
use ledger_types::block::{BLOCK_BYTES_MAX, Block};
use ledger_types::vote::VoteStep;
use ledger_types::{BlockHash, Decode, Height, ParticipantNumber};
use ractor::RpcReplyPort;
use std::collections::BTreeSet;
use std::sync::Arc;

/// From this round on the engine has others repeat a proposal (its hidden-lock rule), so the publisher need not be the proposer
/// (B-12).
const REPEATED_BY_OTHERS_FROM_ROUND: u32 = 10;
/// The engine looks no further ahead either (B-12).
const ROUNDS_AHEAD_MAX: u32 = 10;
/// Different blocks of one publisher that are executed for one round (B-12). A proposer that restarts may make a second one; more
/// is an attack.
const BLOCKS_PER_ROUND_MAX: usize = 2;

pub type Key = (Height, BlockHash);

pub struct Known {
    pub block: Arc<Block>,
    pub encoded: Bytes,
    pub proposals: Vec<Proposal>,
    pub origin: Origin,
    /// How far its time was off the own clock when it was first seen.
    pub off_ms: u64,
    /// Rounds in which this node proposed it.
    pub own_rounds: Vec<u32>,
    pub logged: bool,
    pub state: State,
}

/// A round in which a block was proposed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Proposal {
    pub round: u32,
    /// Who sent it in parts. None: it is from here, from the log or from sync.
    pub publisher: Option<ParticipantNumber>,
}

pub enum State {
    Waiting,
    Checking,
    Withheld,
    Valid(Bundles),
    Refused(String),
}

impl Known {
    pub fn new(block: Block, encoded: Bytes, round: u32, origin: Origin) -> Self {
        Known {
            block: Arc::new(block),
            encoded,
            proposals: vec![Proposal { round, publisher: None }],
            origin,
            off_ms: 0,
            own_rounds: Vec::new(),
            logged: false,
            state: State::Waiting,
        }
    }

    fn is_of(&self, round: u32) -> bool {
        self.proposals.iter().any(|proposal| proposal.round == round)
    }

    /// In how many it was proposed.
    fn rounds(&self) -> usize {
        self.proposals.iter().map(|proposal| proposal.round).collect::<BTreeSet<_>>().len()
    }
}

impl Connector<'_> {
    pub fn on_part(&mut self, publisher: Option<PeerId>, part: BlockPart) -> Result<(), MustStop> {
        let (height, round) = (part.height, part.round);
        // Of the height in progress, or of the next, which others may have begun already (trap 9).
        let round_here = if height == self.active { self.round } else { 0 };
        if height <= self.tip.height || height.0 > self.tip.height.0 + 2 || round > round_here + ROUNDS_AHEAD_MAX {
            return Ok(());
        }
        let publisher = publisher.and_then(|peer| self.wiring.peers.borrow().number_of(&peer));
        let Some(publisher) = publisher else { return Ok(()) };
        if !self.may_publish(publisher, height, round) {
            tracing::debug!(%height, round, %publisher, "a part from one who does not propose");
            return Ok(());
        }
        // Whoever heard it already may hear it again by another way.
        let of = Proposal { round, publisher: Some(publisher) };
        if self.known.get(&(height, part.block)).is_some_and(|known| known.proposals.contains(&of)) {
            return Ok(());
        }
        match self.assemblies.add(&self.wiring.judge.chain, publisher, part) {
            Ok(Some(assembled)) => self.on_assembled(publisher, assembled),
            Ok(None) => Ok(()),
            Err(refused) => {
                tracing::warn!(%height, round, %publisher, %refused, "a part was refused");
                Ok(())
            }
        }
    }

    /// Trap 9: the publisher is the proposer. Who that will be in the next height is not known before this one is decided.
    fn may_publish(&self, publisher: ParticipantNumber, height: Height, round: u32) -> bool {
        match round < REPEATED_BY_OTHERS_FROM_ROUND && height == self.tip.height.next() {
            true => self.set.proposer(height, round).address.0 == publisher,
            false => self.tip.validators.get(publisher).is_some(),
        }
    }

    /// A new height: what came ahead of it from those who do not propose in it goes.
    pub fn keep_only_proposed(&mut self) {
        let mut known = std::mem::take(&mut self.known);
        known.retain(|(height, _), known| {
            known.proposals.retain(|Proposal { round, publisher }| {
                publisher.is_none_or(|publisher| self.may_publish(publisher, *height, *round))
            });
            *height > self.tip.height && !known.proposals.is_empty()
        });
        self.known = known;
    }

    fn on_assembled(
        &mut self,
        publisher: ParticipantNumber,
        Assembled { round, hash, block, encoded }: Assembled,
    ) -> Result<(), MustStop> {
        let key = (block.header.height, hash);
        let proposal = Proposal { round, publisher: Some(publisher) };
        if let Some(known) = self.known.get_mut(&key) {
            if known.proposals.contains(&proposal) {
                return Ok(());
            }
            let is_new_round = !known.is_of(round);
            known.proposals.push(proposal);
            return if is_new_round { self.give_verdict_in(key, round) } else { Ok(()) };
        }
        let is_of_round = |known: &Known| known.proposals.contains(&proposal);
        let of_round = self.known.iter().filter(|((height, _), known)| *height == key.0 && is_of_round(known)).count();
        if of_round >= BLOCKS_PER_ROUND_MAX {
            tracing::warn!(height = %key.0, round, "too many blocks are proposed for this round; one is left out");
            return Ok(());
        }
        let off_ms = block.header.time_ms.abs_diff((self.wiring.judge.clock)());
        let known = Known { proposals: vec![proposal], off_ms, ..Known::new(block, encoded, round, Origin::Proposed) };
        self.known.insert(key, known);
        self.judge(key);
        Ok(())
    }

    /// Blocks are written as round ‖ own ‖ encoded block.
    pub fn recover(&mut self, record: &Record) {
        let Some((round, own, encoded)) = split_block_record(&record.bytes) else { return };
        let Ok(block) = Block::from_bytes(encoded) else { return };
        let key = (block.header.height, block.hash(&self.wiring.judge.chain));
        let known = self.known.entry(key).or_insert_with(|| {
            let encoded = Bytes::copy_from_slice(encoded);
            Known { logged: true, proposals: Vec::new(), ..Known::new(block, encoded, round, Origin::Vouched) }
        });
        known.proposals.push(Proposal { round, publisher: None });
        if own {
            known.own_rounds.push(round);
        }
    }

    pub fn judge(&mut self, key: Key) {
        let (height, hash) = key;
        if height != self.tip.height.next() {
            return; // waits for its parent
        }
        let Some(known) = self.known.get_mut(&key) else { return };
        if !matches!(known.state, State::Waiting) {
            return;
        }
        if self.wiring.witness.has_quorum(height, VoteStep::Prevote, hash) {
            known.origin = Origin::Vouched; // B-5
        }
        known.state = State::Checking;
        let (judge, tip, block, origin) =
            (self.wiring.judge.clone(), self.tip.clone(), Arc::clone(&known.block), known.origin);
        let done = self.done_in.clone();
        self.checks.spawn(async move {
            let Judged { verdict, turn } = judge.check(&tip, hash, block, origin, true).await;
            let _ = done.send(Done::Judged { height, hash, verdict });
            drop(turn);
        });
    }

    pub fn on_judged(&mut self, height: Height, hash: BlockHash, verdict: Verdict) -> Result<(), MustStop> {
        let key = (height, hash);
        let Some(known) = self.known.get_mut(&key) else { return Ok(()) };
        if !matches!(known.state, State::Checking) {
            return Ok(()); // sync brought the block with its verdict meanwhile; the tip may have moved under this check
        }
        known.state = match verdict {
            Verdict::Valid(bundles) => State::Valid(bundles),
            Verdict::Withheld => {
                self.wiring.counters.withheld.count();
                tracing::warn!(%height, ?hash, time_ms = known.block.header.time_ms, "the block's time is off: withheld");
                State::Withheld
            }
            Verdict::Refused(reason) => {
                self.wiring.counters.refused.count();
                tracing::warn!(%height, ?hash, %reason, "the block is refused");
                State::Refused(reason)
            }
            Verdict::Malformed(reason) => {
                tracing::warn!(%height, ?hash, %reason, "the block is malformed: as if it had not come");
                self.known.remove(&key);
                return self.commit_when_judged();
            }
            Verdict::BundlesMissing => State::Waiting,
        };
        self.alarm_if_others_decided(key)?;
        self.reconsider(key);
        self.give_verdict(key)?;
        self.commit_when_judged()
    }

    /// B-5: the quorum of prevotes may have come before the block was judged.
    pub fn reconsider(&mut self, key: Key) {
        let withheld = self.known.get_mut(&key).filter(|known| matches!(known.state, State::Withheld));
        let Some(known) = withheld else { return };
        let decided = self.deciding.as_ref().is_some_and(|d| d.certificate.block == key.1);
        if decided || self.wiring.witness.has_quorum(key.0, VoteStep::Prevote, key.1) {
            known.origin = Origin::Vouched;
            known.state = State::Waiting;
            self.judge(key);
        }
    }

    pub fn on_quorum(&mut self, quorum: QuorumSeen) -> Result<(), MustStop> {
        let key = (quorum.height, quorum.block);
        self.reconsider(key);
        self.alarm_if_others_decided(key)
    }

    /// B-1: a mismatch on a decided value is an alarm.
    pub fn alarm_if_others_decided(&self, (height, hash): Key) -> Result<(), MustStop> {
        let Some(Known { state: State::Refused(reason), .. }) = self.known.get(&(height, hash)) else { return Ok(()) };
        let decided_here =
            self.deciding.as_ref().is_some_and(|d| d.certificate.height == height && d.certificate.block == hash);
        if decided_here || self.wiring.witness.has_quorum(height, VoteStep::Precommit, hash) {
            return Err(MustStop(format!(
                "the others decided block {hash} of height {height}, which is refused here: {reason}"
            )));
        }
        Ok(())
    }

    pub fn give_verdict(&mut self, key: Key) -> Result<(), MustStop> {
        let rounds: BTreeSet<u32> =
            self.known.get(&key).into_iter().flat_map(|known| known.proposals.iter().map(|p| p.round)).collect();
        rounds.into_iter().try_for_each(|round| self.give_verdict_in(key, round))
    }

    fn give_verdict_in(&mut self, key: Key, round: u32) -> Result<(), MustStop> {
        let (height, hash) = key;
        // Before the engine has begun the height its log is not open for it; `on_round` comes back to this.
        if self.active != height {
            return Ok(());
        }
        let Some(known) = self.known.get(&key) else { return Ok(()) };
        let validity = match &known.state {
            State::Valid(_) => Validity::Valid,
            State::Refused(_) => Validity::Invalid,
            State::Waiting | State::Checking | State::Withheld => return Ok(()),
        };
        if validity.is_valid() && !known.logged {
            self.log_block(height, round, false, &known.encoded)?;
            self.known.get_mut(&key).expect("looked up above").logged = true;
        }
        let value = self.proposed_value(height, Round::new(round), hash, validity);
        let _ = self.wiring.consensus.cast(ConsensusMsg::ReceivedProposedValue(value, ValueOrigin::Consensus));
        Ok(())
    }

    pub fn proposed_value(
        &self,
        height: Height,
        round: Round,
        hash: BlockHash,
        validity: Validity,
    ) -> ProposedValue<Assay> {
        let proposer = self.set.proposer(height, round.as_u32().unwrap_or(0)).address;
        ProposedValue {
            height: EngineHeight(height),
            round,
            valid_round: Round::Nil,
            proposer,
            value: BlockValue(hash),
            validity,
        }
    }

    /// Trap 5: in the log before the engine hears of it; the guard flushes the log before anything is signed about it.
    pub fn log_block(&self, height: Height, round: u32, own: bool, encoded: &[u8]) -> Result<(), MustStop> {
        let Some(wal) = &self.wiring.wal else { return Ok(()) };
        let mut bytes = Vec::with_capacity(5 + encoded.len());
        bytes.extend_from_slice(&round.to_le_bytes());
        bytes.push(u8::from(own));
        bytes.extend_from_slice(encoded);
        wal.append(height, RecordKind::Block, &bytes).map_err(|error| MustStop(format!("the log: {error}")))
    }

    pub fn on_get_value(
        &mut self,
        height: Height,
        round: Round,
        reply: RpcReplyPort<LocallyProposedValue<Assay>>,
    ) -> Result<(), MustStop> {
        // Trap 5: one place, one value, also after a restart.
        let Some(number) = round.as_u32() else { return Ok(()) };
        let again = self.known.iter().find(|((h, _), known)| *h == height && known.own_rounds.contains(&number));
        if let Some(((_, hash), _)) = again {
            let hash = *hash;
            let _ = reply.send(LocallyProposedValue::new(EngineHeight(height), round, BlockValue(hash)));
            self.publish(height, round, hash);
            return Ok(());
        }
        if number == 0 {
            self.build(height, round, reply);
            return Ok(());
        }
        // A block of an earlier round may be executed here just now: its verdict comes before the turn does.
        let (judge, done) = (self.wiring.judge.clone(), self.done_in.clone());
        self.checks.spawn(async move {
            let turn = judge.turn().await;
            let _ = done.send(Done::Turn { height, round, reply });
            drop(turn);
        });
        Ok(())
    }

    fn build(&mut self, height: Height, round: Round, reply: RpcReplyPort<LocallyProposedValue<Assay>>) {
        let (judge, tip, done) = (self.wiring.judge.clone(), self.tip.clone(), self.done_in.clone());
        let bytes_max = self.wiring.config.propose_bytes_max;
        self.checks.spawn(async move {
            let proposed = judge.propose(&tip, bytes_max).await;
            let _ = done.send(Done::Proposed { height, round, proposed, reply });
        });
    }

    /// A round was lost. A valid block of it is proposed again, whoever made it: everybody has executed it or is about to, so
    /// that a height which is too much work for one round is decided in the next, and not begun anew in each (decision 070).
    pub fn on_turn(
        &mut self,
        height: Height,
        round: Round,
        reply: RpcReplyPort<LocallyProposedValue<Assay>>,
    ) -> Result<(), MustStop> {
        let Some(number) = round.as_u32() else { return Ok(()) };
        if height != self.tip.height.next() || number != self.round {
            return Ok(()); // the height, or its next round, went on without it
        }
        let Some(key) = self.valid_of_a_lost_round(height, number) else {
            self.build(height, round, reply);
            return Ok(());
        };
        let known = self.known.get(&key).expect("just found");
        self.log_block(height, number, true, &known.encoded)?;
        let known = self.known.get_mut(&key).expect("just found");
        known.logged = true;
        known.proposals.push(Proposal { round: number, publisher: None });
        known.own_rounds.push(number);
        let _ = reply.send(LocallyProposedValue::new(EngineHeight(height), round, BlockValue(key.1)));
        self.publish(height, round, key.1);
        Ok(())
    }

    /// Of the latest round before this one, and from its proposer. A block is proposed again once; more often only while its
    /// time is one that those take who see it for the first time (B-5), so that a time on the edge, which some take and others
    /// do not, costs one round.
    fn valid_of_a_lost_round(&self, height: Height, number: u32) -> Option<Key> {
        let now_ms = (self.wiring.judge.clock)();
        let is_in_time = |known: &Known| {
            let off_ms = known.off_ms.max(known.block.header.time_ms.abs_diff(now_ms));
            off_ms <= CLOCK_TOLERANCE_MS * 3 / 4
        };
        let lost_round = |known: &Known| {
            let of_proposer = |proposal: &&Proposal| {
                let proposer = self.set.proposer(height, proposal.round).address.0;
                proposal.round < number && proposal.publisher.is_none_or(|publisher| publisher == proposer)
            };
            known.proposals.iter().filter(of_proposer).map(|proposal| proposal.round).max()
        };
        let valid = self.known.iter().filter(|((of, _), known)| {
            *of == height && matches!(known.state, State::Valid(_)) && (known.rounds() == 1 || is_in_time(known))
        });
        valid.filter_map(|(key, known)| Some((lost_round(known)?, *key))).max().map(|(_, key)| key)
    }

    pub fn on_proposed(
        &mut self,
        height: Height,
        round: Round,
        proposed: Option<(Block, Bundles)>,
        reply: RpcReplyPort<LocallyProposedValue<Assay>>,
    ) -> Result<(), MustStop> {
        let (Some((block, bundles)), Some(round_number)) = (proposed, round.as_u32()) else { return Ok(()) };
        if height != self.tip.height.next() || block.header.height != height {
            return Ok(()); // the height went on without it
        }
        let (hash, encoded) = (block.hash(&self.wiring.judge.chain), parts::encode(&block));
        if encoded.len() > BLOCK_BYTES_MAX {
            tracing::error!(
                bytes = encoded.len(),
                "the own block is too large to be proposed; propose_bytes_max is too high"
            );
            return Ok(());
        }
        self.log_block(height, round_number, true, &encoded)?;
        let known = Known {
            own_rounds: vec![round_number],
            logged: true,
            state: State::Valid(bundles),
            ..Known::new(block, encoded, round_number, Origin::Vouched)
        };
        self.known.insert((height, hash), known);
        let _ = reply.send(LocallyProposedValue::new(EngineHeight(height), round, BlockValue(hash)));
        self.publish(height, round, hash);
        Ok(())
    }

    pub fn publish(&self, height: Height, round: Round, hash: BlockHash) {
        let (Some(known), Some(round)) = (self.known.get(&(height, hash)), round.as_u32()) else {
            tracing::warn!(%height, ?hash, "asked to publish a block that is not here");
            return;
        };
        for part in parts::cut(height, round, hash, &known.encoded) {
            let _ = self.wiring.network.cast(NetworkMsg::PublishProposalPart(stream_message(part)));
        }
    }
}

fn split_block_record(bytes: &[u8]) -> Option<(u32, bool, &[u8])> {
    let (round, rest) = bytes.split_first_chunk::<4>()?;
    let (own, encoded) = rest.split_first()?;
    Some((u32::from_le_bytes(*round), *own == 1, encoded))
}
