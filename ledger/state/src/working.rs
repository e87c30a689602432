//! The state while a block is being applied: the parent's, with what the block has changed so far on top.
//!
//! What stays true here: an envelope or batch is checked in full before it changes anything, so a refused one leaves no trace;
//! what an earlier envelope of the block did is seen by the later ones.

use crate::ledger::Ledger;
use crate::reader::{PendingAmount, StateReader};
use crate::rules::Rules;
use ledger_tree::ReadError;
use ledger_types::Chain;
use ledger_types::coin::{Coin, CoinStatus, coin_id, coin_link};
use ledger_types::confirmation::Record;
use ledger_types::envelope::Output;
use ledger_types::ids::*;
use ledger_types::log_leaf::LogLeaf;
use ledger_types::participant::Directory;
use ledger_types::rejection::Rejection;
use std::collections::{BTreeMap, BTreeSet};

pub(crate) struct Working<'a, R> {
    pub rules: &'a Rules,
    pub reader: &'a R,
    /// As of the parent. It governs the whole block: a new key binds from the next height.
    pub directory: &'a Directory,
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
    pub fn chain(&self) -> &'a Chain {
        &self.rules.chain
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

    pub fn inputs_are_plain(&self, inputs: &[CoinId]) -> Result<(), Rejection> {
        let has_terms = |id: &CoinId| self.coins.get(id).is_some_and(|coin| coin.contract != ContractNumber(0));
        if inputs.iter().any(has_terms) { Err(Rejection::InputTermsNotAllowed) } else { Ok(()) } // C-4
    }

    pub fn replace_coins(&mut self, inputs: &[CoinId], origin: &Origin, outputs: &[Output]) {
        for id in inputs {
            self.coins.set(*id, None);
        }
        for (index, output) in (0u8..).zip(outputs) {
            let link = coin_link(self.chain(), origin, index, &output.note);
            let id = coin_id(self.chain(), &link, &output.custody);
            // C-3: every output starts unconfirmed. C-1: its id is new without a look.
            self.coins.create(id, Coin { status: CoinStatus::Unconfirmed, contract: ContractNumber(0) });
        }
    }
}

/// The coins that a block names or creates.
#[derive(Default)]
pub(crate) struct Coins(BTreeMap<CoinId, CoinInBlock>);

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
        let coins = named.into_iter().zip(found).map(|(id, coin)| (id, CoinInBlock { before: coin, now: coin }));
        Ok(Coins(coins.collect()))
    }

    pub fn get(&self, id: &CoinId) -> Option<Coin> {
        self.0.get(id).expect("every coin that a block names was read before").now
    }

    pub fn set(&mut self, id: CoinId, coin: Option<Coin>) {
        self.0.get_mut(&id).expect("every coin that a block names was read before").now = coin;
    }

    fn create(&mut self, id: CoinId, coin: Coin) {
        self.0.entry(id).or_insert(CoinInBlock { before: None, now: None }).now = Some(coin);
    }

    pub fn changes(&self) -> CoinChanges {
        let mut changes = CoinChanges::default();
        for (id, coin) in &self.0 {
            match (coin.before, coin.now) {
                (None, Some(now)) => changes.created.push((*id, now)),
                (Some(_), None) => changes.deleted.push(*id),
                (Some(before), Some(now)) if before != now => changes.changed.push((*id, now)),
                _ => {}
            }
        }
        changes
    }
}
