//! What must hold, whatever happens. It sees everything, and believes what the nodes do rather than what they say.
//!
//! The ledger is replayed here by a model of its own: a set of coins, each spent once; so that a fault that all nodes share is
//! still a difference.

use crate::application::Committed;
use crate::chain::{Chain0, KnownCoin};
use crate::disk::Disk;
use crate::signatures;
use consensus::guard::{Position, Step};
use ledger_state::Ledger;
use ledger_types::block::EnvelopeResult;
use ledger_types::bundle::{BundleBody, Slot};
use ledger_types::confirmation::RecordStatus;
use ledger_types::envelope::Inputs;
use ledger_types::ids::*;
use ledger_types::keys::Signature;
use ledger_types::participant;
use ledger_types::{BlockHash, BundleDigest, Height, ParticipantNumber};
use std::collections::{BTreeMap, BTreeSet};
use std::fmt;
use std::sync::Arc;

#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Invariant {
    Agreement,
    Validity,
    OneVote,
    /// A signature leaves after its record and what led to it are synced.
    SignedAfterSync,
    /// Others can check what a node signs.
    SignatureHolds,
    ProposesInTurn,
    /// An honest node signs nothing for a height that another set decides (G-3).
    OnlyTheSetSigns,
    /// Headers name, and nodes go by, the set that the officers ordered, from two heights after the batch that logged it (G-4).
    HandsOverAsOrdered,
    AcknowledgedIsCommitted,
    OneSpend,
    Supply,
    RegistrySequence,
    CertificateHolds,
    OneBundleASlot,
    TipNeverGoesBack,
    /// An honest node takes what an honest proposer made: executing a block gives the same everywhere.
    SameResult,
    /// The guard refuses what an honest node asks it to sign only if its disk lost more than what was not synced.
    GuardAgrees,
    /// No honest node meets a decision that it refuses, or cannot go on.
    NoAlarm,
    NoPanic,
    Progress,
}

#[derive(Clone, Debug)]
pub struct Violation {
    pub invariant: Invariant,
    pub text: String,
}

impl fmt::Display for Violation {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{:?}: {}", self.invariant, self.text)
    }
}

/// An envelope as its sender knows it.
#[derive(Clone, Debug)]
pub struct Sent {
    pub inputs: Vec<CoinId>,
    pub outputs: Vec<KnownCoin>,
    /// Of a hand-over.
    pub incoming: Option<participant::ValidatorSet>,
}

/// Ordered, and not yet bound.
struct HandingOver {
    incoming: participant::ValidatorSet,
    /// From the batch on that logs it.
    binds_at: Option<Height>,
}

pub struct Oracle {
    chain0: &'static Chain0,
    honest: Vec<bool>,
    numbers: Vec<ParticipantNumber>,
    signed: BTreeMap<(ParticipantNumber, Position), [u8; 32]>,
    decided: Vec<BlockHash>,
    /// In which round each height but the last was decided, as the header after it says; the first is of height 0.
    rounds: Vec<u32>,
    /// By which each height is decided, and the next one is.
    sets: Vec<Arc<participant::ValidatorSet>>,
    handing_over: Option<HandingOver>,
    /// By honest proposers.
    proposed: BTreeSet<BlockHash>,
    tips: Vec<Height>,
    pub sent: BTreeMap<EnvelopeId, Sent>,
    acknowledged: BTreeMap<EnvelopeId, Height>,
    accepted: BTreeMap<EnvelopeId, Height>,
    /// Live and unconfirmed.
    coins: BTreeMap<CoinId, u64>,
    spent: BTreeSet<CoinId>,
    supply: u128,
    pub live: Vec<KnownCoin>,
    pub unconfirmed: Vec<KnownCoin>,
    batches: BTreeMap<u64, BatchHash>,
    /// Their numbers were not consumed.
    refused_batches: BTreeSet<BatchHash>,
    certified: BTreeMap<(ValidatorSetHash, Slot), BundleDigest>,
    pub rejected: u64,
    pub hand_overs: u64,
    pub violation: Option<Violation>,
}

impl Oracle {
    pub fn new(chain0: &'static Chain0, honest: Vec<bool>, numbers: Vec<ParticipantNumber>) -> Self {
        Oracle {
            tips: vec![Height(0); honest.len()],
            honest,
            numbers,
            signed: BTreeMap::new(),
            decided: Vec::new(),
            rounds: Vec::new(),
            sets: vec![Arc::clone(&chain0.ledger.validators.set)],
            handing_over: None,
            proposed: BTreeSet::new(),
            sent: BTreeMap::new(),
            acknowledged: BTreeMap::new(),
            accepted: BTreeMap::new(),
            coins: chain0.coins.iter().map(|coin| (coin.id, coin.opening.amount.0)).collect(),
            spent: BTreeSet::new(),
            supply: chain0.coins.iter().map(|coin| u128::from(coin.opening.amount.0)).sum(),
            live: chain0.coins.clone(),
            unconfirmed: Vec::new(),
            batches: BTreeMap::new(),
            refused_batches: BTreeSet::new(),
            certified: BTreeMap::new(),
            rejected: 0,
            hand_overs: 0,
            violation: None,
            chain0,
        }
    }

    /// The first one stays.
    pub fn violated(&mut self, invariant: Invariant, text: String) {
        self.violation.get_or_insert(Violation { invariant, text });
    }

    pub fn is_honest(&self, node: usize) -> bool {
        self.honest[node]
    }

    pub fn height(&self) -> Height {
        Height(self.decided.len() as u64)
    }

    pub fn acknowledged_count(&self) -> usize {
        self.acknowledged.len()
    }

    pub fn accepted_count(&self) -> usize {
        self.accepted.len()
    }

    /// Who proposes, by decided headers alone.
    pub fn proposer(&self, height: Height, round: u32) -> Option<ParticipantNumber> {
        let validators = self.set_of(height)?;
        let numbers: Vec<ParticipantNumber> = validators.iter().map(|validator| validator.number).collect();
        let count = numbers.len();
        let turn = |height: u64, rank: usize| numbers[(height as usize + rank) % count];
        let demoted = self.demoted(height.0, validators, |height| turn(height, 0));
        let (last, first): (Vec<_>, Vec<_>) =
            (0..count).map(|rank| turn(height.0, rank)).partition(|number| demoted.contains(number));
        Some([first, last].concat()[round as usize % count])
    }

    /// B-4, as PROTOCOL.md has it.
    fn demoted(
        &self,
        height: u64,
        validators: &participant::ValidatorSet,
        first: impl Fn(u64) -> ParticipantNumber,
    ) -> Vec<ParticipantNumber> {
        let count = validators.len() as u64;
        let Some(lasts) = 126_u64.checked_sub(2 * count).map(|room| room.min(100)).filter(|lasts| *lasts > 0) else {
            return Vec::new();
        };
        let cycle = 2 * count + 1 + lasts;
        let start = (height - 1) / cycle * cycle + 1;
        let trial = start..start + 2 * count;
        let by_others = trial.clone().any(|height| self.set_of(Height(height)) != Some(validators));
        if height <= trial.end || by_others {
            return Vec::new();
        }
        let failures = |number: ParticipantNumber| {
            trial.clone().filter(|height| first(*height) == number && self.rounds[*height as usize] > 0).count()
        };
        let mut failed: Vec<_> = validators.iter().map(|v| (failures(v.number), v.number)).collect();
        failed.retain(|(times, _)| *times >= 2);
        failed.sort_by_key(|(times, number)| (std::cmp::Reverse(*times), *number));
        failed.into_iter().take((count as usize - 1) / 3).map(|(_, number)| number).collect()
    }

    /// Who decides a height, as far as it is known: up to the one after the last that was decided.
    pub fn set_of(&self, height: Height) -> Option<&participant::ValidatorSet> {
        self.sets.get((height.0 as usize).checked_sub(1)?).map(|set| &**set)
    }

    pub fn set_of_next(&self) -> &participant::ValidatorSet {
        self.sets.last().expect("the genesis's")
    }

    /// A node has a signature and may send it.
    pub fn signed(&mut self, node: usize, position: Position, message: &[u8; 32], signature: &Signature, disk: &Disk) {
        if !self.honest[node] {
            return;
        }
        let number = self.numbers[node];
        if let Some(before) = self.signed.insert((number, position), *message)
            && before != *message
        {
            self.violated(Invariant::OneVote, format!("node {node} signed two things as {position}"));
        }
        let is_synced = disk.is_synced("guard") && disk.is_synced("wal");
        if !is_synced && !disk.is_dead() {
            let text = format!("node {node} has a signature for {position} before its guard or log is synced");
            self.violated(Invariant::SignedAfterSync, text);
        }
        if self.set_of(position.height).is_some_and(|set| set.get(number).is_none()) {
            self.violated(Invariant::OnlyTheSetSigns, format!("node {node} signed {position}, and is not of its set"));
        }
        let key = self.chain0.ledger.directory.get(number).expect("a participant").keys.consensus;
        if !signatures::verify(&key, message, signature) {
            self.violated(Invariant::SignatureHolds, format!("nobody can check what node {node} signed as {position}"));
        }
        if position.step == Step::Proposal
            && self.proposer(position.height, position.round).is_some_and(|proposer| proposer != number)
        {
            self.violated(Invariant::ProposesInTurn, format!("node {node} proposes out of turn: {position}"));
        }
    }

    /// A node has built a block on its tip.
    pub fn proposed(&mut self, node: usize, block: BlockHash) {
        if self.honest[node] {
            self.proposed.insert(block);
        }
    }

    /// A node has judged a block that follows its tip.
    pub fn refused(&mut self, node: usize, block: BlockHash, reason: &str) {
        if self.honest[node] && self.proposed.contains(&block) {
            let text = format!("node {node} refuses block {block}, which an honest proposer made: {reason}");
            self.violated(Invariant::SameResult, text);
        }
    }

    /// Any two certificates of one slot that count in one set (G-4): quorums of two sets may share nobody who is honest.
    pub fn certified(&mut self, set: &participant::ValidatorSet, slot: Slot, digest: BundleDigest) {
        let set = set.hash(&self.chain0.rules.chain);
        let first = *self.certified.entry((set, slot)).or_insert(digest);
        if first != digest {
            self.violated(Invariant::OneBundleASlot, format!("two bundles of {slot:?} have certificates"));
        }
    }

    /// `holds`: whether the node has it on disk.
    pub fn acknowledged(&mut self, node: usize, envelope: EnvelopeId, height: Height, holds: bool) {
        if !self.honest[node] {
            return;
        }
        if !holds {
            let text = format!("node {node} acknowledged {envelope:?} of height {height} before it was durable");
            self.violated(Invariant::AcknowledgedIsCommitted, text);
        }
        self.acknowledged.insert(envelope, height);
        if self.accepted.get(&envelope).is_some_and(|committed| *committed != height) {
            self.violated(Invariant::AcknowledgedIsCommitted, format!("{envelope:?} is in another height"));
        }
    }

    /// At the end: nothing that was acknowledged is missing.
    pub fn check_acknowledged(&mut self) {
        let missing = self.acknowledged.iter().find(|(envelope, height)| self.accepted.get(envelope) != Some(height));
        if let Some((envelope, height)) = missing {
            let text = format!("{envelope:?} was acknowledged at height {height} and is not there");
            self.violated(Invariant::AcknowledgedIsCommitted, text);
        }
    }

    /// A height became durable at a node.
    pub fn committed(
        &mut self,
        node: usize,
        committed: &Committed,
        ledger: &Ledger,
        coins: &BTreeMap<CoinId, ledger_types::coin::Coin>,
    ) {
        if !self.honest[node] {
            return;
        }
        let (block, certificate) = (&committed.decided.block, &committed.decided.certificate);
        let (height, hash) = (block.header.height, block.hash(&self.chain0.rules.chain));
        let held = self.set_of(height).map(|set| signatures::commit_holds(&self.chain0.rules.chain, certificate, set));
        if let Some(Err(error)) = held {
            let text = format!("node {node} committed height {height} on a certificate that does not hold: {error}");
            self.violated(Invariant::CertificateHolds, text);
        }
        if certificate.block != hash || certificate.height != height {
            self.violated(Invariant::CertificateHolds, format!("node {node}: the certificate is of another block"));
        }
        match self.decided.get(height.0 as usize - 1) {
            Some(first) if *first != hash => {
                let text = format!("height {height}: node {node} committed {hash}, another {first}");
                self.violated(Invariant::Agreement, text);
                return;
            }
            Some(_) => {}
            None if height.0 as usize == self.decided.len() + 1 => {
                self.decided.push(hash);
                self.rounds.push(block.header.parent_round);
                self.replay(height, committed);
                self.hand_over(height, block.header.next_set_hash);
                let in_state: BTreeSet<&CoinId> = coins.keys().collect();
                let in_model: BTreeSet<&CoinId> = self.coins.keys().collect();
                if in_state != in_model {
                    let text = format!(
                        "after height {height} node {node} has {} coins, the model {}",
                        in_state.len(),
                        in_model.len()
                    );
                    self.violated(Invariant::OneSpend, text);
                }
                // Only what is paid is played: nothing is issued and nothing redeemed.
                let totals = |ledger: &Ledger| (ledger.issued, ledger.redeemed);
                if totals(ledger) != totals(&self.chain0.ledger) {
                    let text = format!("after height {height} node {node} counts {:?}", totals(ledger));
                    self.violated(Invariant::Supply, text);
                }
            }
            None => self.violated(Invariant::Agreement, format!("node {node} committed height {height} out of order")),
        }
        if height.0 != self.tips[node].0 + 1 {
            let text = format!("node {node} committed height {height} after {}", self.tips[node]);
            self.violated(Invariant::TipNeverGoesBack, text);
        }
        self.tips[node] = height;
    }

    /// Who decides the height after this one.
    fn hand_over(&mut self, height: Height, named: ValidatorSetHash) {
        let binds = |handing_over: &mut HandingOver| handing_over.binds_at == Some(height.next());
        let set = match self.handing_over.take_if(binds) {
            Some(bound) => {
                self.hand_overs += 1;
                Arc::new(bound.incoming)
            }
            None => Arc::clone(self.sets.last().expect("the genesis's")),
        };
        if set.hash(&self.chain0.rules.chain) != named {
            let text = format!("the header of height {height} names another set than the one that decides the next");
            self.violated(Invariant::HandsOverAsOrdered, text);
        }
        self.sets.push(set);
    }

    fn replay(&mut self, height: Height, committed: &Committed) {
        let mut results = committed.results.iter();
        for bundle in &committed.bundles {
            for id in bundle.ids() {
                let Some(result) = results.next().filter(|result| result.envelope == *id) else {
                    self.violated(Invariant::Validity, format!("height {height} has no verdict for {id:?}"));
                    return;
                };
                if result.code != EnvelopeResult::ACCEPTED {
                    self.rejected += 1;
                    if let BundleBody::Confirmation(signed) = bundle.body() {
                        self.refused_batches.insert(signed.batch.hash(&self.chain0.rules.chain));
                    }
                    continue;
                }
                match bundle.body() {
                    BundleBody::Envelopes(_) => self.accept(height, *id),
                    BundleBody::Confirmation(signed) => {
                        let batch = &signed.batch;
                        if let Some(handing_over) = &mut self.handing_over {
                            handing_over.binds_at.get_or_insert(Height(height.0 + 2));
                        }
                        let hash = batch.hash(&self.chain0.rules.chain);
                        let is_next = batch.number.0 == self.batches.len() as u64 + 1
                            && (batch.number.0 == 1
                                || self.batches.get(&(batch.number.0 - 1)) == Some(&batch.previous));
                        if !is_next || self.batches.insert(batch.number.0, hash).is_some() {
                            let text = format!("batch {} is accepted out of sequence", batch.number);
                            self.violated(Invariant::RegistrySequence, text);
                        }
                        for record in batch.records.iter().filter(|record| record.status == RecordStatus::Live) {
                            if let Some(at) = self.unconfirmed.iter().position(|coin| coin.id == record.coin) {
                                self.live.push(self.unconfirmed.swap_remove(at));
                            }
                        }
                    }
                }
            }
            for envelope in bundle.envelopes() {
                debug_assert!(matches!(envelope.header.core.inputs, Inputs::Spends(_)));
            }
        }
    }

    fn accept(&mut self, height: Height, id: EnvelopeId) {
        let Some(sent) = self.sent.get(&id).cloned() else {
            self.violated(Invariant::Validity, format!("height {height} holds {id:?}, which nobody submitted"));
            return;
        };
        if self.accepted.insert(id, height).is_some() {
            self.violated(Invariant::OneSpend, format!("{id:?} is accepted twice"));
        }
        if let Some(incoming) = sent.incoming
            && self.handing_over.replace(HandingOver { incoming, binds_at: None }).is_some()
        {
            self.violated(Invariant::HandsOverAsOrdered, format!("height {height}: two hand-overs are under way"));
        }
        for input in &sent.inputs {
            if self.coins.remove(input).is_none() || !self.spent.insert(*input) {
                self.violated(Invariant::OneSpend, format!("height {height}: coin {input:?} is spent again"));
            }
            self.live.retain(|coin| coin.id != *input);
        }
        for coin in sent.outputs {
            self.coins.insert(coin.id, coin.opening.amount.0);
            self.unconfirmed.push(coin);
        }
        let supply: u128 = self.coins.values().map(|amount| u128::from(*amount)).sum();
        if supply != self.supply {
            self.violated(Invariant::Supply, format!("height {height}: {supply} instead of {}", self.supply));
        }
    }

    /// Registration lets a batch out.
    pub fn signs_batch(&mut self, signed: &mut BTreeMap<u64, BatchHash>, number: u64, hash: BatchHash) {
        let before = signed.insert(number, hash);
        if before.is_some_and(|before| before != hash && !self.refused_batches.contains(&before)) {
            let text = format!("registration signed two batches with number {number}");
            self.violated(Invariant::RegistrySequence, text);
        }
    }

    /// After every event of a node.
    pub fn sweep(&mut self, node: usize, tip: Height, block: BlockHash, decides_next: &participant::ValidatorSet) {
        if !self.honest[node] {
            return;
        }
        if self.set_of(tip.next()).is_some_and(|set| set != decides_next) {
            let text = format!("node {node} has another set for the height after {tip} than the officers ordered");
            self.violated(Invariant::HandsOverAsOrdered, text);
        }
        if tip < self.tips[node] {
            let text = format!("node {node} has height {tip} and had {}", self.tips[node]);
            self.violated(Invariant::TipNeverGoesBack, text);
        }
        if tip.0 > 0 && self.decided.get(tip.0 as usize - 1).is_some_and(|first| *first != block) {
            self.violated(Invariant::Agreement, format!("node {node} stands on another block of height {tip}"));
        }
    }
}
