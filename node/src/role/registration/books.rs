//! The private accounts as one moment has them, for reconciliation.
//!
//! What stays true here:
//! - Everything is as of one booked height: a coin stands in its bank's set if a batch at or below that height has published it
//!   and no envelope at or below it spends it, whether that envelope is booked or still waits for its key. Its status is the one
//!   that those batches say: a freeze counts when it is published.
//! - Reading holds up nobody: the rows are pinned first, and read while registration goes on.

use super::RegistrationError;
use super::rows::{self, AccountRow, AccountStatus};
use crate::reconciliation::classify::{Centre, UnderWay};
use crate::reconciliation::set::CoinSet;
use crate::reconciliation::words::{self, Registered};
use crate::reconciliation::{AsOf, FourSets, LATE_AFTER_MS};
use ledger_state::{Rules, preissued_coins};
use ledger_store::{PrivateStore, Scan, Writes};
use ledger_types::coin::{CoinStatus, coin_id, coin_link, issue_origin, origin};
use ledger_types::envelope::{ClearContext, Envelope};
use ledger_types::participant::Directory;
use ledger_types::reconciliation::{CoinAtSide, ReconciledCoin, coin_of, reconciled_coin, tag_of};
use ledger_types::{Chain, CoinId, EnvelopeId, OwnerTag, ParticipantNumber};
use std::collections::{BTreeMap, HashMap, HashSet};
use std::sync::Arc;

pub struct Books {
    pub rules: Rules,
    pub store: Arc<PrivateStore>,
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
        let Books { rules, store, as_of, directory } = self;
        let accounts = store.scan(&rows::ACCOUNTS, Scan::all());
        let waiting_rows = store.scan(&rows::WAITING, Scan::all());
        let unpublished_rows = store.scan(&rows::UNPUBLISHED, Scan::all());
        let preissued_spent = store.scan(&rows::PREISSUED_SPENT, Scan::all());
        let registered_rows = store.scan(&rows::REGISTERED_AS, Scan::all());
        pinned();

        let unpublished: HashMap<CoinId, u64> = unpublished_rows.collect::<Result<_, _>>()?;
        let registered_as: HashMap<CoinId, AccountStatus> = registered_rows.collect::<Result<_, _>>()?;
        let published =
            |coin: &CoinId, account: AccountStatus| coin_status(registered_as.get(coin).copied().unwrap_or(account));
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
        let (mut unread, mut preissued_with_row) = (HashSet::new(), HashSet::new());
        for row in accounts {
            let (coin, row) = row?;
            if spent.contains(&coin) {
                continue;
            }
            if row.made_by == EnvelopeId::ZERO {
                preissued_with_row.insert(coin);
            }
            let Some(bank) = row.bank else {
                unread.insert(coin);
                continue;
            };
            let status = match unpublished.get(&coin) {
                Some(booked_ms) if booked_ms + LATE_AFTER_MS <= as_of.time_ms => CoinStatus::Unconfirmed,
                Some(_) => continue,
                None => published(&coin, row.status),
            };
            items.entry((bank, status)).or_default().push(reconciled_coin(&coin, &account_tag(&row)));
        }
        let is_unspent = |coin: &CoinId| !spent.contains(coin) && !preissued_with_row.contains(coin);
        for coin in preissued_coins(&rules).filter(|coin| is_unspent(&coin.id)) {
            let (tag, status) =
                (coin.opening.owner_tag(&rules.chain, &coin.id), published(&coin.id, AccountStatus::Live));
            items.entry((coin.bank, status)).or_default().push(reconciled_coin(&coin.id, &tag));
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
        AccountStatus::Frozen => CoinStatus::Frozen,
        AccountStatus::Disputed => CoinStatus::Disputed,
    }
}

/// Zero, which no owner has, when the account does not say: then the two sides differ, and the record is named.
fn account_tag(row: &AccountRow) -> OwnerTag {
    row.tag.unwrap_or(OwnerTag::ZERO)
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
        let store = &self.books.store;
        let account = store.get(&rows::ACCOUNTS, coin).unwrap_or_default().map(|row| row.made_by);
        // It may be spent by now.
        let made_by = account.or_else(|| store.get(&rows::SPENT, coin).unwrap_or_default());
        made_by.filter(|envelope| *envelope != EnvelopeId::ZERO)
    }
}

/// What the account of a coin is to say, as the registry says it.
#[derive(Clone, Copy, Debug)]
pub struct Mend {
    pub coin: CoinId,
    pub registered: Registered,
}

impl Mend {
    /// What is to be written, or why nothing that is written would mend it. `preissued`: the bank of a pre-issued coin.
    /// `registered_as`: a change of the officers' that no batch has published, which stays under way.
    pub(super) fn change(
        &self,
        store: &PrivateStore,
        preissued: Option<ParticipantNumber>,
        registered_as: Option<AccountStatus>,
    ) -> Result<Result<MendedRow, &'static str>, RegistrationError> {
        let row = store.get(&rows::ACCOUNTS, &self.coin)?;
        let is_marked_spent = store.get(&rows::PREISSUED_SPENT, &self.coin)?.is_some();
        let Some(expected) = words::held(self.registered) else {
            return Ok(match row {
                Some(row) if row.made_by != EnvelopeId::ZERO => Ok(MendedRow::Close { made_by: row.made_by }),
                None if is_marked_spent || preissued.is_none() => Err("the account says so already"),
                _ => Ok(MendedRow::MarkSpent),
            });
        };
        let unfrozen = preissued.map(|bank| AccountRow {
            status: AccountStatus::Live,
            made_by: EnvelopeId::ZERO,
            bank: Some(bank),
            tag: Some(expected.tag),
        });
        let Some(before) = row.or(unfrozen) else {
            return Ok(Err(
                "the account is lost, and the registry does not say in whose custody the coin is: restore \
                           registration's database from a backup and let it follow again",
            ));
        };
        let status = match expected.status {
            says if registered_as.map(coin_status) == Some(says) => before.status,
            CoinStatus::Live => AccountStatus::Live,
            CoinStatus::Frozen => AccountStatus::Frozen,
            CoinStatus::Disputed => AccountStatus::Disputed,
            CoinStatus::Unconfirmed => unreachable!("the registry knows confirmed coins alone"),
        };
        let after = AccountRow { status, tag: Some(expected.tag), ..before.clone() };
        Ok(match after {
            after if after == before && !is_marked_spent => Err(
                "the account says what the registry says, which does not say in whose custody the coin is: restore \
                     registration's database from a backup and let it follow again",
            ),
            after if after.made_by == EnvelopeId::ZERO && status == AccountStatus::Live => Ok(MendedRow::MarkUnspent),
            after => Ok(MendedRow::Put(after)),
        })
    }
}

#[derive(Clone, Debug)]
pub(super) enum MendedRow {
    /// Officers may ask for the coin later.
    Close {
        made_by: EnvelopeId,
    },
    MarkSpent,
    MarkUnspent,
    Put(AccountRow),
}

impl MendedRow {
    pub fn what(&self) -> &'static str {
        match self {
            MendedRow::Close { .. } => "the account is closed: the registry has the coin no more",
            MendedRow::MarkSpent => "the pre-issued coin counts as spent, as the registry has it",
            MendedRow::MarkUnspent => "the pre-issued coin counts as unspent, as the registry has it",
            MendedRow::Put(_) => "the account has the registry's status and owner tag",
        }
    }

    pub fn write(&self, coin: &CoinId, writes: &mut Writes<'_>) -> Result<(), RegistrationError> {
        match self {
            MendedRow::Close { made_by } => {
                writes.delete(&rows::ACCOUNTS, coin);
                writes.put(&rows::SPENT, coin, made_by)?;
            }
            MendedRow::MarkSpent => {
                writes.delete(&rows::ACCOUNTS, coin);
                writes.put(&rows::PREISSUED_SPENT, coin, &Vec::new())?;
            }
            MendedRow::MarkUnspent => {
                writes.delete(&rows::ACCOUNTS, coin);
                writes.delete(&rows::PREISSUED_SPENT, coin);
            }
            MendedRow::Put(account) => {
                writes.delete(&rows::PREISSUED_SPENT, coin);
                writes.put(&rows::ACCOUNTS, coin, account)?;
            }
        }
        Ok(())
    }
}
