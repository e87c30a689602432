//! The state while a block is being applied: the parent's, with what the block has changed so far on top.
//!
//! What stays true here: an envelope or batch is checked in full before it changes anything, so a refused one leaves no trace;
//! what an earlier envelope of the block did is seen by the later ones.

use crate::ledger::Ledger;
use crate::policy::PolicyAtHeight;
use crate::reader::{PendingAmount, StateReader};
use crate::rebuild;
use crate::rules::Rules;
use crate::validators::PendingHandOver;
use contracts_vm::Package;
use ledger_tree::map::{self, EntryType};
use ledger_tree::{Hash, ReadError};
use ledger_types::Chain;
use ledger_types::coin::{Coin, CoinStatus, coin_id, coin_link};
use ledger_types::confirmation::Record;
use ledger_types::contract::OpenObligation;
use ledger_types::encoding::Encode;
use ledger_types::envelope::{Core, TermsFlag};
use ledger_types::feed::FeedItem;
use ledger_types::ids::*;
use ledger_types::log_leaf::LogLeaf;
use ledger_types::places::{Places, beginning};
use ledger_types::rejection::Rejection;
use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

pub(crate) struct Working<'a, R> {
    pub rules: &'a Rules,
    pub reader: &'a R,
    /// It governs the whole block: a new key, contract or feed binds from the next height (K-1).
    pub parent: &'a Ledger,
    pub height: Height,
    pub time_ms: u64,
    /// As of the parent, with the changes up to here.
    pub ledger: Ledger,
    pub coins: Coins,
    pub records: BTreeMap<CoinId, Record>,
    pub pending: BTreeMap<EnvelopeId, Pending>,
    /// The block's log leaves without the state leaf.
    pub leaves: Vec<LogLeaf>,
    pub batches_accepted: u32,
    pub too_late: Vec<CoinId>,
    pub participants_changed: BTreeSet<ParticipantNumber>,
    /// Of contracts, feeds and obligations (L-4).
    pub map_entries: BTreeMap<Hash, Option<Vec<u8>>>,
    pub packages: BTreeMap<PolicyHash, (Arc<Package>, Vec<u8>)>,
    /// About which an order of this block was accepted.
    pub contracts_ordered: BTreeSet<ContractNumber>,
    pub feed_items: BTreeMap<(FeedNumber, Period, Vintage), FeedItem>,
    pub obligations_made: BTreeMap<ObligationId, OpenObligation>,
    pub obligations_settled: BTreeMap<ObligationId, OpenObligation>,
    /// What was read of h − 1 for the first that asked.
    policies: BTreeMap<PolicyHash, Arc<PolicyAtHeight>>,
    owes_overdue: BTreeMap<(ParticipantNumber, ContractNumber), bool>,
}

/// A pending amount that the block touches.
#[derive(Clone, Copy)]
pub(crate) struct Pending {
    pub before: Option<PendingAmount>,
    pub now: Option<PendingAmount>,
}

/// No verdict: refused by a rule, or the world failed.
pub(crate) enum NoVerdict {
    Rejected(Rejection),
    Read(ReadError),
}

impl From<Rejection> for NoVerdict {
    fn from(rejection: Rejection) -> Self {
        NoVerdict::Rejected(rejection)
    }
}

impl From<ReadError> for NoVerdict {
    fn from(error: ReadError) -> Self {
        NoVerdict::Read(error)
    }
}

impl<'a, R: StateReader> Working<'a, R> {
    pub fn new(
        rules: &'a Rules,
        reader: &'a R,
        parent: &'a Ledger,
        height: Height,
        time_ms: u64,
        coins: Coins,
    ) -> Self {
        let mut ledger = parent.clone();
        ledger.used_authorizations.retain(|_, expiry_ms| *expiry_ms >= time_ms);
        Working {
            rules,
            reader,
            parent,
            height,
            time_ms,
            ledger,
            coins,
            records: BTreeMap::new(),
            pending: BTreeMap::new(),
            leaves: Vec::new(),
            batches_accepted: 0,
            too_late: Vec::new(),
            participants_changed: BTreeSet::new(),
            map_entries: BTreeMap::new(),
            packages: BTreeMap::new(),
            contracts_ordered: BTreeSet::new(),
            feed_items: BTreeMap::new(),
            obligations_made: BTreeMap::new(),
            obligations_settled: BTreeMap::new(),
            policies: BTreeMap::new(),
            owes_overdue: BTreeMap::new(),
        }
    }

    pub fn chain(&self) -> &'a Chain {
        &self.rules.chain
    }

    /// What the officers signed. Where nothing is spent an old authorization could serve again: each serves once, in one block too.
    pub fn unused_authorization(&self, core: &Core) -> Result<[u8; 32], Rejection> {
        let authorization = core.authorization_message(self.chain());
        let used = self.ledger.used_authorizations.contains_key(&authorization);
        if used { Err(Rejection::NotAuthorized) } else { Ok(authorization) }
    }

    pub fn use_authorization(&mut self, authorization: [u8; 32], expiry_ms: u64) {
        self.ledger.used_authorizations.insert(authorization, expiry_ms);
    }

    ///
    pub fn submitter_is_not_overdue(&self, submitter: ParticipantNumber) -> Result<(), Rejection> {
        let overdue = self.ledger.overdue.count_of(submitter) > 0;
        if overdue { Err(Rejection::SubmitterIsOverdue) } else { Ok(()) }
    }

    /// What of the envelope's public amount is open, before registration settles it.
    pub fn pending_amount(&self, envelope: &EnvelopeId) -> Result<Option<PendingAmount>, ReadError> {
        match self.pending.get(envelope) {
            Some(pending) => Ok(pending.now),
            None => self.reader.pending_amount(envelope),
        }
    }

    pub fn put_pending(&mut self, envelope: EnvelopeId, amount: PendingAmount) {
        // An id is new: an accepted envelope uses up an issue number or coins, so it is accepted once.
        self.pending.entry(envelope).or_insert(Pending { before: None, now: None }).now = Some(amount);
    }

    pub fn settle(&mut self, envelope: EnvelopeId, amount: PendingAmount) {
        self.pending.entry(envelope).or_insert(Pending { before: Some(amount), now: None }).now = None;
    }

    /// C-2: existence, custody and double spend in one look over all inputs; then their status.
    pub fn inputs_are_spendable(
        &self,
        inputs: &[CoinId],
        status_allows: impl Fn(CoinStatus) -> bool,
    ) -> Result<(), Rejection> {
        if inputs.iter().any(|id| self.coins.get(id).is_none()) {
            return Err(Rejection::CoinIsNotSpendable); // C-1, C-2
        }
        let status_forbids = |id: &CoinId| self.coins.get(id).is_some_and(|coin| !status_allows(coin.status));
        if inputs.iter().any(status_forbids) { Err(Rejection::CoinIsNotLive) } else { Ok(()) }
    }

    /// Every input is of this contract; with 0, plain.
    pub fn inputs_have_terms(&self, inputs: &[CoinId], contract: ContractNumber) -> Result<(), Rejection> {
        let differs = |id: &CoinId| self.coins.get(id).is_some_and(|coin| coin.contract != contract);
        if inputs.iter().any(differs) { Err(Rejection::InputTermsNotAllowed) } else { Ok(()) } // C-4
    }

    /// From which the idle window of what the inputs become runs (K-3).
    pub fn oldest_issue(&self, inputs: &[CoinId]) -> u64 {
        let issued = inputs.iter().filter_map(|id| self.coins.get(id));
        issued.map(|coin| coin.issued_ms).min().unwrap_or(0)
    }

    pub fn newest_issue(&self, inputs: &[CoinId]) -> u64 {
        let issued = inputs.iter().filter_map(|id| self.coins.get(id));
        issued.map(|coin| coin.issued_ms).max().unwrap_or(0)
    }

    /// `issued_ms` is what flagged outputs take over.
    pub fn replace_coins(&mut self, inputs: &[CoinId], origin: &Origin, core: &Core, issued_ms: u64) {
        for id in inputs {
            self.coins.set(*id, None);
        }
        for (index, output) in (0u8..).zip(&core.outputs) {
            let link = coin_link(self.chain(), origin, index, &output.note);
            let id = coin_id(self.chain(), &link, &output.custody);
            // C-3: every output starts unconfirmed. C-1: its id is new without a look.
            self.coins.create(
                id,
                match output.terms_flag {
                    TermsFlag::Plain => Coin::plain(CoinStatus::Unconfirmed),
                    TermsFlag::Contract => Coin { status: CoinStatus::Unconfirmed, contract: core.contract, issued_ms },
                },
            );
        }
    }

    /// K-7.
    pub fn contract_in_force(&self, number: ContractNumber) -> Result<(PolicyVersion, PolicyHash), Rejection> {
        let contract = self.parent.contracts.get(number).ok_or(Rejection::ContractUnknown)?;
        let (version, deployed) = contract.in_force(self.height).ok_or(Rejection::ContractNotInForce)?;
        Ok((version, deployed.policy))
    }

    /// A deployed policy with what its feeds said at h − 1.
    pub fn policy(&mut self, policy: &PolicyHash) -> Result<Arc<PolicyAtHeight>, ReadError> {
        if let Some(known) = self.policies.get(policy) {
            return Ok(known.clone());
        }
        let read = Arc::new(PolicyAtHeight::read(self.reader, &self.parent.feeds, policy)?);
        self.policies.insert(*policy, read.clone());
        Ok(read)
    }

    /// A deployed package, of this block too.
    pub fn package(&self, policy: &PolicyHash) -> Result<Arc<Package>, ReadError> {
        if let Some((package, _)) = self.packages.get(policy) {
            return Ok(package.clone());
        }
        self.reader.package(policy)?.ok_or_else(|| ReadError::new("a deployed package is missing"))
    }

    /// K-6.
    pub fn owes_overdue(&mut self, bank: ParticipantNumber, contract: ContractNumber) -> Result<bool, ReadError> {
        if let Some(known) = self.owes_overdue.get(&(bank, contract)) {
            return Ok(*known);
        }
        let overdue = self.reader.earliest_due(bank, contract)?.is_some_and(|due_ms| due_ms < self.time_ms);
        self.owes_overdue.insert((bank, contract), overdue);
        Ok(overdue)
    }

    pub fn make_obligation(&mut self, open: OpenObligation) {
        let id = open.id(self.chain());
        let (key, value) = rebuild::entry_of_obligation(&id, &open);
        self.map_entries.insert(key, Some(value));
        self.obligations_made.insert(id, open);
    }

    /// As of h − 1, if this block has not settled it.
    pub fn obligation(&self, id: &ObligationId) -> Result<Option<OpenObligation>, ReadError> {
        if self.obligations_settled.contains_key(id) { Ok(None) } else { self.reader.obligation(id) }
    }

    /// K-9, as of h − 1: a loan of this obligation is owed, or its receipt stands in the log.
    pub fn was_lent(&self, id: &ObligationId) -> Result<bool, ReadError> {
        Ok(self.reader.obligation(id)?.is_some() || self.reader.has_receipt(id)?)
    }

    pub fn settle_obligation(&mut self, id: ObligationId, open: OpenObligation) {
        self.map_entries.insert(map::key_hash(EntryType::Obligation, &id.0), None);
        self.obligations_settled.insert(id, open);
    }

    /// L-4.
    pub fn note_hand_over(&mut self, pending: &PendingHandOver) {
        let key = map::key_hash(EntryType::HandOver, &pending.order.number.to_bytes());
        let entry = pending.entry(self.chain()).to_bytes();
        self.map_entries.insert(key, Some(entry));
    }

    pub fn note_pending_hand_over(&mut self) {
        if let Some(pending) = self.ledger.validators.pending.clone() {
            self.note_hand_over(&pending);
        }
    }

    pub fn feed_changed(&mut self, number: FeedNumber) {
        let feed = self.ledger.feeds.get(number).expect("what changed a feed has left it");
        self.map_entries.insert(map::key_hash(EntryType::Feed, &number.to_bytes()), Some(feed.to_bytes()));
    }

    pub fn put_feed_item(&mut self, item: FeedItem) {
        let (key, value) = rebuild::entry_of_feed_item(&item);
        self.map_entries.insert(key, Some(value));
        self.feed_items.insert((item.head.feed, item.head.period, item.head.vintage), item);
    }

    /// Whether a publication of this block was accepted.
    pub fn has_new_item(&self, feed: FeedNumber) -> bool {
        let of_feed = (feed, Period(0), Vintage(0))..=(feed, Period(u32::MAX), Vintage(u32::MAX));
        self.feed_items.range(of_feed).next().is_some()
    }
}

/// The coins that a block names or creates.
#[derive(Default)]
pub(crate) struct Coins {
    /// Ascending.
    named: Vec<(CoinId, CoinInBlock)>,
    places: Places,
    /// Of those that it does not name, in the order in which it creates them.
    created: Vec<(CoinId, Coin)>,
}

#[derive(Clone, Copy)]
struct CoinInBlock {
    before: Option<Coin>,
    now: Option<Coin>,
}

/// What a block did to the coins, each list ascending by coin id.
#[derive(Debug, Default, PartialEq, Eq)]
pub(crate) struct CoinChanges {
    pub created: Vec<(CoinId, Coin)>,
    pub deleted: Vec<CoinId>,
    pub changed: Vec<(CoinId, Coin)>,
}

impl Coins {
    /// Reads all coins that a block names, with one call.
    pub fn read<R: StateReader>(reader: &R, mut named: Vec<CoinId>) -> Result<Self, ReadError> {
        named.sort_unstable();
        named.dedup();
        let found = reader.coins(&named)?;
        if found.len() != named.len() {
            return Err(ReadError::new("the reader's answer has not one entry a coin"));
        }
        let places = Places::of(named.iter().map(beginning));
        let coins = named.into_iter().zip(found).map(|(id, coin)| (id, CoinInBlock { before: coin, now: coin }));
        Ok(Coins { named: coins.collect(), places, created: Vec::new() })
    }

    fn position(&self, id: &CoinId) -> Option<usize> {
        let at = self.places.position(beginning(id), |at| self.named[at].0 < *id);
        self.named.get(at).is_some_and(|(found, _)| found == id).then_some(at)
    }

    fn place(&self, id: &CoinId) -> usize {
        self.position(id).expect("every coin that a block names was read before")
    }

    pub fn get(&self, id: &CoinId) -> Option<Coin> {
        self.named[self.place(id)].1.now
    }

    pub fn set(&mut self, id: CoinId, coin: Option<Coin>) {
        let at = self.place(&id);
        self.named[at].1.now = coin;
    }

    fn create(&mut self, id: CoinId, coin: Coin) {
        match self.position(&id) {
            Some(at) => self.named[at].1.now = Some(coin),
            None => self.created.push((id, coin)),
        }
    }

    pub fn changes(&self) -> CoinChanges {
        let mut changes = CoinChanges { created: self.created.clone(), ..CoinChanges::default() };
        for (id, coin) in &self.named {
            match (coin.before, coin.now) {
                (None, Some(now)) => changes.created.push((*id, now)),
                (Some(_), None) => changes.deleted.push(*id),
                (Some(before), Some(now)) if before != now => changes.changed.push((*id, now)),
                _ => {}
            }
        }
        changes.created.sort_unstable_by_key(|(id, _)| *id);
        debug_assert!(changes.created.is_sorted_by(|(before, _), (after, _)| before < after), "a coin is made once");
        changes
    }
}
