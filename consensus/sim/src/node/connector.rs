//! The connector's rules (`consensus/src/engine/connector`), in the same order and by the same names, as events.

use super::{Ctx, HEIGHT_EVERY, IDLE_HEIGHT_EVERY, Local, Node, Packet, To};
use crate::bugs::Bug;
use crate::network::Micros;
use arc_malachitebft_app_channel::app::types::codec::Codec;
use arc_malachitebft_core_consensus::{Input, LocallyProposedValue, ProposedValue};
use arc_malachitebft_core_types::{CommitCertificate, Round, Validity, ValueOrigin};
use bytes::Bytes;
use consensus::engine::blocks::{Bundles, CLOCK_TOLERANCE_MS, Origin, Verdict};
use consensus::engine::codec::EngineCodec;
use consensus::engine::context::{Assay, BlockValue, EngineHeight, ValidatorSet, certificate_to_ledger};
use consensus::engine::demotion::Told;
use consensus::engine::parts::{self, Assembled, BlockPart};
use consensus::engine::wal::RecordKind;
use consensus::engine::witness::QuorumSeen;
use consensus::port::{Application as _, DecidedBlock};
use ledger_types::block::{Block, EnvelopeResult};
use ledger_types::vote::{self, VoteStep};
use ledger_types::{BlockHash, Decode, Height, ParticipantNumber};
use rand::Rng;
use std::collections::BTreeSet;
use std::sync::Arc;

const REPEATED_BY_OTHERS_FROM_ROUND: u32 = 10;
const ROUNDS_AHEAD_MAX: u32 = 10;
const BLOCKS_PER_ROUND_MAX: usize = 2;
const PROPOSE_BYTES_MAX: usize = 1 << 20;
const FETCH_AGAIN: Micros = 120_000;

pub type Key = (Height, BlockHash);

pub struct Known {
    pub block: Arc<Block>,
    pub encoded: Bytes,
    pub proposals: Vec<Proposal>,
    pub origin: Origin,
    pub off_ms: u64,
    pub own_rounds: Vec<u32>,
    pub logged: bool,
    pub state: Judged,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Proposal {
    pub round: u32,
    pub publisher: Option<ParticipantNumber>,
}

pub enum Judged {
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
            state: Judged::Waiting,
        }
    }

    fn is_of(&self, round: u32) -> bool {
        self.proposals.iter().any(|proposal| proposal.round == round)
    }

    fn rounds(&self) -> usize {
        self.proposals.iter().map(|proposal| proposal.round).collect::<BTreeSet<_>>().len()
    }
}

pub struct Deciding {
    pub certificate: vote::CommitCertificate,
    pub committing: bool,
}

impl Node {
    pub fn heard(&mut self, height: Height) {
        if height > self.tip.height {
            self.highest_heard = self.highest_heard.max(height);
        }
    }

    /// B-4, for the height after the tip.
    pub fn set_of_next(&mut self) -> ValidatorSet {
        let before = std::mem::take(&mut self.demoted);
        let (next, validators) = (self.tip.height.next(), self.voters_of_next());
        let (application, bug) = (&self.durable.application, self.durable.bug);
        let after = before.at(next, validators, |height| {
            let told = Told::from(application.header(height)?);
            let blind = bug == Some(Bug::TrialOfAnotherSet);
            Some(Told { next_set: if blind { Default::default() } else { told.next_set }, ..told })
        });
        let mut demoted = after.validators.clone();
        if self.durable.is_the_odd_one(Bug::ProposerDiffers) {
            demoted.insert(ValidatorSet::new(validators, BTreeSet::new()).proposer(next, 0).address.0);
        }
        let set = ValidatorSet::new(validators, demoted);
        self.demoted = after;
        set
    }

    fn is_between_heights(&self) -> bool {
        self.deciding.is_none() && self.active <= self.tip.height
    }

    /// Trap 7.
    pub fn start_if_due(&mut self, ctx: &mut Ctx<'_>) {
        if !(self.in_session && self.held && self.is_between_heights()) {
            return;
        }
        let next = self.tip.height.next();
        let has_work = self.pool().has_work(&self.tip);
        let due = next <= Height(2)
            || self.resuming
            || self.highest_heard >= next
            || self.known.keys().any(|(height, _)| *height == next)
            || (has_work && ctx.now >= self.height_started + HEIGHT_EVERY)
            || (self.votes && ctx.now >= self.tip_since + IDLE_HEIGHT_EVERY);
        if !due {
            return;
        }
        (self.resuming, self.held) = (false, false);
        self.height_started = ctx.now;
        self.start_height(ctx);
    }

    pub fn on_round(&mut self, ctx: &mut Ctx<'_>, height: Height, round: Round) -> Result<(), String> {
        (self.active, self.round) = (height, round.as_u32().unwrap_or(0));
        if round != Round::ZERO {
            self.lost_rounds += 1;
            ctx.trace.count("rounds: lost");
        }
        ctx.trace.say(ctx.now, || format!("node {} begins {height}/{round}", self.durable.index));
        let keys: Vec<_> = self.known.keys().filter(|(h, _)| *h == height).copied().collect();
        for key in keys {
            self.judge_block(ctx, key);
            if round == Round::ZERO {
                self.give_verdict(ctx, key)?;
            }
        }
        Ok(())
    }

    pub fn on_part(&mut self, ctx: &mut Ctx<'_>, from: usize, bytes: &Bytes) {
        let Ok(part) = Codec::<BlockPart>::decode(&EngineCodec, bytes.clone()) else { return };
        self.heard(part.height);
        if !self.in_session {
            return;
        }
        let (height, round) = (part.height, part.round);
        let round_here = if height == self.active { self.round } else { 0 };
        if height <= self.tip.height || height.0 > self.tip.height.0 + 2 || round > round_here + ROUNDS_AHEAD_MAX {
            return;
        }
        let publisher = self.durable.numbers[from];
        if !self.may_publish(publisher, height, round) {
            return;
        }
        if let Ok(Some(assembled)) = self.assemblies.add(&self.chain, publisher, part)
            && let Err(reason) = self.on_assembled(ctx, publisher, assembled)
        {
            self.must_stop(ctx, reason);
        }
    }

    /// Trap 9.
    fn may_publish(&self, publisher: ParticipantNumber, height: Height, round: u32) -> bool {
        match round < REPEATED_BY_OTHERS_FROM_ROUND && height == self.tip.height.next() {
            true => self.set.proposer(height, round).address.0 == publisher,
            false => self.tip.validators.get(publisher).is_some(),
        }
    }

    fn keep_only_proposed(&mut self) {
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
        ctx: &mut Ctx<'_>,
        publisher: ParticipantNumber,
        Assembled { round, hash, block, encoded }: Assembled,
    ) -> Result<(), String> {
        let key = (block.header.height, hash);
        let proposal = Proposal { round, publisher: Some(publisher) };
        if let Some(known) = self.known.get_mut(&key) {
            if known.proposals.contains(&proposal) {
                return Ok(());
            }
            let is_new_round = !known.is_of(round);
            known.proposals.push(proposal);
            return if is_new_round { self.give_verdict_in(ctx, key, round) } else { Ok(()) };
        }
        let is_of_round = |known: &Known| known.proposals.contains(&proposal);
        let of_round = self.known.iter().filter(|((height, _), known)| *height == key.0 && is_of_round(known)).count();
        if of_round >= BLOCKS_PER_ROUND_MAX {
            return Ok(());
        }
        let off_ms = block.header.time_ms.abs_diff((self.judge.clock)());
        let known = Known { proposals: vec![proposal], off_ms, ..Known::new(block, encoded, round, Origin::Proposed) };
        self.known.insert(key, known);
        self.judge_block(ctx, key);
        Ok(())
    }

    /// Blocks that the log holds of the height in progress.
    pub fn recover_blocks(&mut self) {
        let blocks: Vec<Vec<u8>> = self
            .recovered
            .records
            .iter()
            .filter(|record| record.kind == RecordKind::Block)
            .map(|record| record.bytes.clone())
            .collect();
        for bytes in blocks {
            let Some((round, rest)) = bytes.split_first_chunk::<4>() else { continue };
            let Some((own, encoded)) = rest.split_first() else { continue };
            let (round, own) = (u32::from_le_bytes(*round), *own == 1);
            let Ok(block) = Block::from_bytes(encoded) else { continue };
            let key = (block.header.height, block.hash(&self.chain));
            let known = self.known.entry(key).or_insert_with(|| {
                let encoded = Bytes::copy_from_slice(encoded);
                Known { logged: true, proposals: Vec::new(), ..Known::new(block, encoded, round, Origin::Vouched) }
            });
            known.proposals.push(Proposal { round, publisher: None });
            if own {
                known.own_rounds.push(round);
            }
        }
    }

    fn judge_block(&mut self, ctx: &mut Ctx<'_>, key: Key) {
        let (height, hash) = key;
        if height != self.tip.height.next() {
            return;
        }
        let Some(known) = self.known.get_mut(&key) else { return };
        if !matches!(known.state, Judged::Waiting) {
            return;
        }
        if self.witness.has_quorum(height, VoteStep::Prevote, hash) {
            known.origin = Origin::Vouched; // B-5
        }
        known.state = Judged::Checking;
        let after = ctx.rng.gen_range(50..2_000);
        self.later(ctx, after, Local::Judge(height, hash));
    }

    /// The shipped judge, step by step.
    pub fn verdict_of(&mut self, ctx: &mut Ctx<'_>, hash: BlockHash, block: &Arc<Block>, origin: Origin) -> Verdict {
        let judged = self
            .judge
            .check_form(&self.tip, hash, block, origin)
            .and_then(|()| self.judge.check_signatures(&self.tip, block));
        if let Err(verdict) = judged {
            return verdict;
        }
        let Some(bundles) = self.judge.supply.bundles(&block.certificates) else {
            self.want(ctx, &block.certificates);
            return Verdict::BundlesMissing;
        };
        match self.durable.application.check(block, &bundles) {
            Ok(()) => Verdict::Valid(Arc::new(bundles)),
            Err(refused) => Verdict::Refused(refused.reason),
        }
    }

    pub fn check(&mut self, ctx: &mut Ctx<'_>, key: Key) {
        let Some(known) = self.known.get(&key).filter(|known| matches!(known.state, Judged::Checking)) else { return };
        if key.0 != self.tip.height.next() {
            return;
        }
        let (block, origin) = (Arc::clone(&known.block), known.origin);
        let verdict = self.verdict_of(ctx, key.1, &block, origin);
        if matches!(verdict, Verdict::BundlesMissing) {
            self.later(ctx, FETCH_AGAIN, Local::Judge(key.0, key.1));
            return;
        }
        if let Err(reason) = self.on_judged(ctx, key, verdict) {
            self.must_stop(ctx, reason);
        }
    }

    fn on_judged(&mut self, ctx: &mut Ctx<'_>, key: Key, verdict: Verdict) -> Result<(), String> {
        let known = self.known.get_mut(&key).expect("looked up by the caller");
        known.state = match verdict {
            Verdict::Valid(bundles) => Judged::Valid(bundles),
            Verdict::Withheld => {
                ctx.trace.count("block: withheld");
                Judged::Withheld
            }
            Verdict::Refused(reason) => {
                ctx.trace.count("block: refused");
                ctx.oracle.refused(self.durable.index, key.1, &reason);
                ctx.trace.say(ctx.now, || format!("node {} refuses {}: {reason}", self.durable.index, key.1));
                Judged::Refused(reason)
            }
            Verdict::Malformed(_) => {
                ctx.trace.count("block: malformed");
                self.known.remove(&key);
                return self.commit_when_judged(ctx);
            }
            Verdict::BundlesMissing => Judged::Waiting,
        };
        self.alarm_if_others_decided(key)?;
        self.reconsider(ctx, key);
        self.give_verdict(ctx, key)?;
        self.commit_when_judged(ctx)
    }

    /// B-5.
    fn reconsider(&mut self, ctx: &mut Ctx<'_>, key: Key) {
        let withheld = self.known.get_mut(&key).filter(|known| matches!(known.state, Judged::Withheld));
        let Some(known) = withheld else { return };
        let decided = self.deciding.as_ref().is_some_and(|d| d.certificate.block == key.1);
        if decided || self.witness.has_quorum(key.0, VoteStep::Prevote, key.1) {
            known.origin = Origin::Vouched;
            known.state = Judged::Waiting;
            self.judge_block(ctx, key);
        }
    }

    pub fn on_quorum(&mut self, ctx: &mut Ctx<'_>, quorum: QuorumSeen) {
        let key = (quorum.height, quorum.block);
        self.reconsider(ctx, key);
        if let Err(reason) = self.alarm_if_others_decided(key) {
            self.must_stop(ctx, reason);
        }
    }

    /// B-1.
    pub fn alarm_if_others_decided(&self, (height, hash): Key) -> Result<(), String> {
        let Some(Known { state: Judged::Refused(reason), .. }) = self.known.get(&(height, hash)) else { return Ok(()) };
        let decided_here =
            self.deciding.as_ref().is_some_and(|d| d.certificate.height == height && d.certificate.block == hash);
        if decided_here || self.witness.has_quorum(height, VoteStep::Precommit, hash) {
            return Err(format!("block {hash} of height {height} is decided and refused here: {reason}"));
        }
        Ok(())
    }

    fn give_verdict(&mut self, ctx: &mut Ctx<'_>, key: Key) -> Result<(), String> {
        let rounds: BTreeSet<u32> =
            self.known.get(&key).into_iter().flat_map(|known| known.proposals.iter().map(|p| p.round)).collect();
        rounds.into_iter().try_for_each(|round| self.give_verdict_in(ctx, key, round))
    }

    fn give_verdict_in(&mut self, ctx: &mut Ctx<'_>, key: Key, round: u32) -> Result<(), String> {
        let (height, hash) = key;
        if self.active != height {
            return Ok(());
        }
        let Some(known) = self.known.get(&key) else { return Ok(()) };
        let validity = match &known.state {
            Judged::Valid(_) => Validity::Valid,
            Judged::Refused(_) => Validity::Invalid,
            Judged::Waiting | Judged::Checking | Judged::Withheld => return Ok(()),
        };
        if validity.is_valid() && !known.logged {
            self.log_block(height, round, false, &known.encoded)?;
            self.known.get_mut(&key).expect("looked up above").logged = true;
        }
        let value = self.proposed_value(height, Round::new(round), hash, validity);
        self.feed(ctx, Input::ProposedValue(value, ValueOrigin::Consensus));
        Ok(())
    }

    /// A message of the engine's own: it comes after what it is doing.
    pub fn feed(&self, ctx: &mut Ctx<'_>, input: Input<Assay>) {
        self.later(ctx, 1, Local::Feed(Box::new(input)));
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

    /// Trap 5.
    pub fn log_block(&self, height: Height, round: u32, own: bool, encoded: &[u8]) -> Result<(), String> {
        if !self.votes {
            return Ok(());
        }
        let mut bytes = Vec::with_capacity(5 + encoded.len());
        bytes.extend_from_slice(&round.to_le_bytes());
        bytes.push(u8::from(own));
        bytes.extend_from_slice(encoded);
        self.wal.append(height, RecordKind::Block, &bytes).map_err(|error| format!("the log: {error}"))
    }

    pub fn on_get_value(&mut self, ctx: &mut Ctx<'_>, height: Height, round: u32) {
        // Trap 5: one place, one value, also after a restart.
        let again = self.known.iter().find(|((h, _), known)| *h == height && known.own_rounds.contains(&round));
        if let Some(((_, hash), _)) = again {
            let hash = *hash;
            self.propose(ctx, height, round, hash);
            return;
        }
        if height != self.tip.height.next() || round != self.round {
            return;
        }
        let lost = if round == 0 { None } else { self.valid_of_a_lost_round(height, round) };
        let hash = match lost {
            Some((_, hash)) => {
                let encoded = self.known[&(height, hash)].encoded.clone();
                if let Err(reason) = self.log_block(height, round, true, &encoded) {
                    return self.must_stop(ctx, reason);
                }
                let known = self.known.get_mut(&(height, hash)).expect("just found");
                known.logged = true;
                known.proposals.push(Proposal { round, publisher: None });
                known.own_rounds.push(round);
                hash
            }
            None => {
                let Some((block, bundles)) = self.judge.propose_now(&self.tip, PROPOSE_BYTES_MAX) else { return };
                let (hash, encoded) = (block.hash(&self.chain), parts::encode(&block));
                if let Err(reason) = self.log_block(height, round, true, &encoded) {
                    return self.must_stop(ctx, reason);
                }
                let known = Known {
                    own_rounds: vec![round],
                    logged: true,
                    state: Judged::Valid(bundles),
                    ..Known::new(block, encoded, round, Origin::Vouched)
                };
                self.known.insert((height, hash), known);
                ctx.oracle.proposed(self.durable.index, hash);
                hash
            }
        };
        self.propose(ctx, height, round, hash);
    }

    fn propose(&mut self, ctx: &mut Ctx<'_>, height: Height, round: u32, hash: BlockHash) {
        let value = LocallyProposedValue::new(EngineHeight(height), Round::new(round), BlockValue(hash));
        self.feed(ctx, Input::Propose(value));
        self.publish(ctx, height, Round::new(round), hash);
    }

    /// Decision 070.
    fn valid_of_a_lost_round(&self, height: Height, number: u32) -> Option<Key> {
        let now_ms = (self.judge.clock)();
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
            *of == height && matches!(known.state, Judged::Valid(_)) && (known.rounds() == 1 || is_in_time(known))
        });
        valid.filter_map(|(key, known)| Some((lost_round(known)?, *key))).max().map(|(_, key)| key)
    }

    pub fn publish(&self, ctx: &mut Ctx<'_>, height: Height, round: Round, hash: BlockHash) {
        let (Some(known), Some(round)) = (self.known.get(&(height, hash)), round.as_u32()) else { return };
        for part in parts::cut(height, round, hash, &known.encoded) {
            let bytes = Codec::<BlockPart>::encode(&EngineCodec, &part).expect("total");
            ctx.send(To::All, Packet::Part(bytes));
        }
    }

    pub fn on_decided(&mut self, ctx: &mut Ctx<'_>, certificate: &CommitCertificate<Assay>) -> Result<(), String> {
        let certificate = certificate_to_ledger(certificate);
        ctx.trace.say(ctx.now, || {
            format!("node {} decides {} of height {}", self.durable.index, certificate.block, certificate.height)
        });
        self.deciding = Some(Deciding { certificate, committing: false });
        self.commit_when_judged(ctx)
    }

    pub fn commit_when_judged(&mut self, ctx: &mut Ctx<'_>) -> Result<(), String> {
        let Some(deciding) = self.deciding.as_ref().filter(|deciding| !deciding.committing) else { return Ok(()) };
        let key = (deciding.certificate.height, deciding.certificate.block);
        let Some(known) = self.known.get(&key) else {
            return Err(format!("block {} of height {} is decided and not here", key.1, key.0));
        };
        match &known.state {
            Judged::Valid(_) => {}
            Judged::Refused(_) => return self.alarm_if_others_decided(key),
            Judged::Withheld => {
                self.reconsider(ctx, key);
                return Ok(());
            }
            Judged::Waiting => {
                self.judge_block(ctx, key);
                return Ok(());
            }
            Judged::Checking => return Ok(()),
        }
        self.deciding.as_mut().expect("present above").committing = true;
        if self.durable.bug == Some(Bug::AcknowledgedBeforeDurable) {
            self.acknowledge(ctx, key.0, true);
        }
        let after = ctx.rng.gen_range(200..3_000);
        self.later(ctx, after, Local::Commit);
        Ok(())
    }

    pub fn commit(&mut self, ctx: &mut Ctx<'_>) {
        let Some(deciding) = self.deciding.as_ref().filter(|deciding| deciding.committing) else { return };
        let certificate = deciding.certificate.clone();
        let Some(Known { block, state: Judged::Valid(bundles), .. }) =
            self.known.get(&(certificate.height, certificate.block))
        else {
            return;
        };
        let decided = DecidedBlock { block: (**block).clone(), certificate };
        let tip = match self.durable.application.commit(decided, bundles) {
            Ok(tip) => tip,
            Err(stop) => return self.must_stop(ctx, stop.0),
        };
        self.deciding = None;
        {
            let state = self.durable.application.state();
            let committed = Arc::clone(state.blocks.last().expect("just committed"));
            ctx.oracle.committed(self.durable.index, &committed, &state.ledger, &state.memory.coins);
        }
        ctx.trace.count("heights: committed");
        ctx.trace.say(ctx.now, || format!("node {} has height {} on disk", self.durable.index, tip.height));
        self.assemblies.forget_through(tip.height);
        self.witness.advance(tip.height.next(), tip.validators.clone());
        self.tip = tip;
        self.set = self.set_of_next();
        self.keep_only_proposed();
        self.tip_since = ctx.now;
        if std::mem::take(&mut self.synced) {
            ctx.trace.count("heights: synced");
        } else if self.highest_heard > self.tip.height.next() {
            self.highest_heard = self.tip.height;
        }
        self.bundles_committed(ctx);
        self.acknowledge(ctx, self.tip.height, false);
        self.later(ctx, HEIGHT_EVERY, Local::Wake);
    }

    /// B-2: tells the clients of the own lane. `early`: a seeded bug, before the height is durable.
    fn acknowledge(&self, ctx: &mut Ctx<'_>, height: Height, early: bool) {
        if early {
            let Some(deciding) = &self.deciding else { return };
            let key = (height, deciding.certificate.block);
            let Some(Known { state: Judged::Valid(bundles), .. }) = self.known.get(&key) else { return };
            let own = bundles.iter().filter(|bundle| bundle.slot().submitter == self.durable.me);
            let ids: Vec<_> = own.flat_map(|bundle| bundle.ids().to_vec()).collect();
            for id in ids {
                ctx.oracle.acknowledged(self.durable.index, id, height, false);
            }
            return;
        }
        let committed = self.durable.application.state().blocks.last().cloned().expect("just committed");
        let holds = committed.decided.block.header.height == height && self.durable.disk.is_synced("store");
        let mut results = committed.results.iter();
        for bundle in &committed.bundles {
            for (id, result) in bundle.ids().iter().zip(results.by_ref().take(bundle.ids().len())) {
                if bundle.slot().submitter == self.durable.me && result.code == EnvelopeResult::ACCEPTED {
                    ctx.oracle.acknowledged(self.durable.index, *id, height, holds);
                }
            }
        }
    }
}
