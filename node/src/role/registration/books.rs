//! The private accounts as one moment has them, for reconciliation.
//!
//! What stays true here:
//! - Everything is as of one booked height: a coin stands in its bank's set if a batch at or below that height has published it
//!   and no envelope at or below it spends it, whether that envelope is booked or still waits for its key.
//! - Reading holds up nobody: the rows are pinned first, and read while registration goes on.

use super::RegistrationError;
use super::rows::{self, AccountRow, AccountStatus};
use crate::outbox::StorageKey;
use crate::reconciliation::classify::{Centre, UnderWay};
use crate::reconciliation::set::CoinSet;
use crate::reconciliation::words::{self, Registered};
use crate::reconciliation::{AsOf, FourSets, LATE_AFTER_MS};
use ledger_state::{Rules, preissued_coins};
use ledger_store::{PrivateStore, Scan};
use ledger_types::coin::{CoinStatus, Opening, coin_id, coin_link, issue_origin, origin};
use ledger_types::envelope::{ClearContext, Envelope};
use ledger_types::participant::Directory;
use ledger_types::reconciliation::{CoinAtSide, ReconciledCoin, coin_of, reconciled_coin, tag_of};
use ledger_types::{Chain, CoinId, Decode, EnvelopeId, OwnerTag, ParticipantNumber};
use std::collections::{BTreeMap, HashMap, HashSet};
use std::sync::Arc;

pub struct Books {
    pub rules: Rules,
    pub store: Arc<PrivateStore>,
    pub key: Arc<StorageKey>,
    pub as_of: AsOf,
    pub directory: Arc<Directory>,
}

/// What was read.
pub struct ReadBooks {
    pub as_of: AsOf,
    pub directory: Arc<Directory>,
    sets: BTreeMap<ParticipantNumber, FourSets>,
    /// Outputs of envelopes that wait for their key.
    waiting: HashMap<CoinId, Waiting>,
    /// Booked and in no batch.
    unpublished: HashMap<CoinId, u64>,
    /// Disputed coins that nobody could open.
    unread: HashSet<CoinId>,
    store: Arc<PrivateStore>,
}

#[derive(Clone, Copy)]
struct Waiting {
    envelope: EnvelopeId,
    submitter: ParticipantNumber,
    is_past_deadline: bool,
}

impl Books {
    /// Calls `pinned` as soon as nothing that is written later can change what it gives.
    pub fn read(self, pinned: impl FnOnce()) -> Result<ReadBooks, RegistrationError> {
        let Books { rules, store, key, as_of, directory } = self;
        let accounts = store.scan(&rows::ACCOUNTS, Scan::all());
        let waiting_rows = store.scan(&rows::WAITING, Scan::all());
        let unpublished_rows = store.scan(&rows::UNPUBLISHED, Scan::all());
        let preissued_spent = store.scan(&rows::PREISSUED_SPENT, Scan::all());
        pinned();

        let unpublished: HashMap<CoinId, u64> = unpublished_rows.collect::<Result<_, _>>()?;
        let (mut waiting, mut spent) = (HashMap::new(), HashSet::new());
        for row in waiting_rows {
            let (envelope, row) = row?;
            let (submitter, is_past_deadline) = (row.envelope.submitter(), row.deadline_ms <= as_of.time_ms);
            spent.extend(row.envelope.header.core.input_ids(&rules.chain));
            for coin in output_coins(&rules.chain, &row.envelope) {
                waiting.insert(coin, Waiting { envelope, submitter, is_past_deadline });
            }
        }
        for row in preissued_spent {
            spent.insert(row?.0);
        }
        let mut items: BTreeMap<(ParticipantNumber, CoinStatus), Vec<ReconciledCoin>> = BTreeMap::new();
        for coin in preissued_coins(&rules).filter(|coin| !spent.contains(&coin.id)) {
            let tag = coin.opening.owner_tag(&rules.chain, &coin.id);
            items.entry((coin.bank, CoinStatus::Live)).or_default().push(reconciled_coin(&coin.id, &tag));
        }
        let mut unread = HashSet::new();
        for row in accounts {
            let (coin, row) = row?;
            if spent.contains(&coin) {
                continue;
            }
            let Some(bank) = row.bank else {
                unread.insert(coin);
                continue;
            };
            let status = match unpublished.get(&coin) {
                Some(booked_ms) if booked_ms + LATE_AFTER_MS <= as_of.time_ms => CoinStatus::Unconfirmed,
                Some(_) => continue,
                None => coin_status(row.status),
            };
            let tag = account_tag(&rules.chain, &key, &coin, &row);
            items.entry((bank, status)).or_default().push(reconciled_coin(&coin, &tag));
        }
        let mut sets = BTreeMap::new();
        for line in directory.iter() {
            let bank = line.number;
            let mut take = |status| CoinSet::new(bank, status, items.remove(&(bank, status)).unwrap_or_default());
            let four: Vec<CoinSet> = CoinStatus::ALL.iter().map(|status| take(*status)).collect();
            sets.insert(bank, four.try_into().expect("there are four statuses"));
        }
        Ok(ReadBooks { as_of, directory, sets, waiting, unpublished, unread, store })
    }
}

/// What registration's status is called in the ledger's state.
fn coin_status(status: AccountStatus) -> CoinStatus {
    match status {
        AccountStatus::Live => CoinStatus::Live,
        AccountStatus::Disputed => CoinStatus::Disputed,
    }
}

/// Zero, which no owner has, when the account does not say: then the two sides differ, and the record is named.
fn account_tag(chain: &Chain, key: &StorageKey, coin: &CoinId, row: &AccountRow) -> OwnerTag {
    let opening = row.opening.as_ref().and_then(|sealed| key.open(&super::accounts::account_text(coin), sealed));
    let opening = opening.and_then(|plaintext| Opening::from_bytes(&plaintext).ok());
    opening.map_or(OwnerTag::ZERO, |opening| opening.owner_tag(chain, coin))
}

/// Public: notes and custodies are.
fn output_coins(chain: &Chain, envelope: &Envelope) -> Vec<CoinId> {
    let core = &envelope.header.core;
    let origin = match &core.context {
        ClearContext::Issue(issue) => issue_origin(chain, issue.series, issue.issue_number),
        _ => origin(chain, &core.input_ids(chain)),
    };
    let outputs = (0u8..).zip(&core.outputs);
    outputs
        .map(|(index, output)| coin_id(chain, &coin_link(chain, &origin, index, &output.note), &output.custody))
        .collect()
}

impl ReadBooks {
    pub fn sets(&self, bank: ParticipantNumber) -> Option<&FourSets> {
        self.sets.get(&bank)
    }

    pub fn centre(&self, bank: ParticipantNumber) -> CentreOf<'_> {
        CentreOf { books: self, bank }
    }

    fn find(&self, bank: ParticipantNumber, coin: &CoinId) -> Option<CoinAtSide> {
        self.sets.get(&bank)?.iter().find_map(|set| {
            let items = set.items();
            let at = items.partition_point(|item| coin_of(item) < *coin);
            let item = items.get(at).filter(|item| coin_of(item) == *coin)?;
            Some(CoinAtSide { status: set.status(), tag: tag_of(item) })
        })
    }
}

/// What is to be known of one bank's coins.
pub struct CentreOf<'a> {
    books: &'a ReadBooks,
    bank: ParticipantNumber,
}

impl Centre for CentreOf<'_> {
    fn has(&self, coin: &CoinId) -> Option<CoinAtSide> {
        self.books.find(self.bank, coin)
    }

    fn has_at_another_bank(&self, coin: &CoinId) -> Option<CoinAtSide> {
        let others = self.books.sets.keys().filter(|bank| **bank != self.bank);
        others.copied().find_map(|bank| self.books.find(bank, coin))
    }

    fn under_way(&self, coin: &CoinId) -> Option<UnderWay> {
        if let Some(Waiting { envelope, is_past_deadline, .. }) = self.books.waiting.get(coin).copied() {
            return Some(UnderWay::Waits { envelope, is_past_deadline });
        }
        self.books.unpublished.contains_key(coin).then_some(UnderWay::Unpublished)
    }

    fn is_unread(&self, coin: &CoinId) -> bool {
        self.books.unread.contains(coin)
    }

    fn unreleased(&self) -> Vec<(CoinId, EnvelopeId)> {
        let waiting = self.books.waiting.iter();
        let own = waiting.filter(|(_, waiting)| waiting.submitter == self.bank && waiting.is_past_deadline);
        own.map(|(coin, waiting)| (*coin, waiting.envelope)).collect()
    }

    fn made_by(&self, coin: &CoinId) -> Option<EnvelopeId> {
        let row = self.books.store.get(&rows::ACCOUNTS, coin);
        // It may be spent by now, and its row gone: then the envelope is not known.
        row.unwrap_or_default().map(|row| row.made_by)
    }
}

/// What the account of a coin is to say, as the registry says it.
#[derive(Clone, Copy, Debug)]
pub struct Mend {
    pub coin: CoinId,
    pub registered: Registered,
}

impl Mend {
    /// What is to be written, or why nothing that is written would mend it. An account's opening is nowhere but in the account: the
    /// registry does not hold it, and a bank's is no substitute.
    pub(super) fn change(
        &self,
        chain: &Chain,
        store: &PrivateStore,
        key: &StorageKey,
        is_preissued: bool,
    ) -> Result<Result<MendedRow, &'static str>, RegistrationError> {
        let row = store.get(&rows::ACCOUNTS, &self.coin)?;
        let is_marked_spent = store.get(&rows::PREISSUED_SPENT, &self.coin)?.is_some();
        let expected = words::held(self.registered);
        Ok(match (expected, row) {
            (None, Some(_)) => Ok(MendedRow::Delete),
            (None, None) if is_preissued && !is_marked_spent => Ok(MendedRow::MarkSpent),
            (Some(_), None) if is_preissued && is_marked_spent => Ok(MendedRow::MarkUnspent),
            (Some(expected), Some(row)) if account_tag(chain, key, &self.coin, &row) == expected.tag => {
                match expected.status {
                    CoinStatus::Live => Ok(MendedRow::Put(AccountRow { status: AccountStatus::Live, ..row })),
                    CoinStatus::Disputed => Ok(MendedRow::Put(AccountRow { status: AccountStatus::Disputed, ..row })),
                    CoinStatus::Unconfirmed | CoinStatus::Frozen => Err("accounts have no such status"),
                }
            }
            (Some(_), _) => {
                Err("the account's opening is lost or altered, and the registry does not hold it: restore \
                                 registration's database from a backup and let it follow again")
            }
            (None, None) => Err("the account says so already"),
        })
    }
}

#[derive(Clone, Debug)]
pub(super) enum MendedRow {
    Delete,
    MarkSpent,
    MarkUnspent,
    Put(AccountRow),
}

impl MendedRow {
    pub fn what(&self) -> &'static str {
        match self {
            MendedRow::Delete => "the account is closed: the registry has the coin no more",
            MendedRow::MarkSpent => "the pre-issued coin counts as spent, as the registry has it",
            MendedRow::MarkUnspent => "the pre-issued coin counts as unspent, as the registry has it",
            MendedRow::Put(_) => "the account has the registry's status",
        }
    }
}
