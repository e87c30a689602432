//! A confirmation batch: the only way to make a coin live, and the only thing that grows the log (L-1).
//!
//! | record   | the coin must be                                          | and becomes |
//! |----------|-----------------------------------------------------------|-------------|
//! | live     | unconfirmed, frozen or disputed                           | live        |
//! | frozen   | unconfirmed or live                                       | frozen      |
//! | disputed | unconfirmed                                               | disputed    |
//! | spent    | absent, with a last record live, frozen or disputed       | –           |
//! | any      | absent otherwise: *too late*, skipped and not logged      | –           |
//!
//! What stays true here: a batch is taken whole or refused whole; a refused one changes nothing, not even the number that it
//! asked for; numbers and hashes chain without a gap.

use crate::overdue::OVERDUE_PER_SUBMITTER_MAX;
use crate::reader::{PendingAmount, StateReader};
use crate::working::{NoVerdict, Working};
use ledger_tree::ReadError;
use ledger_types::coin::{Coin, CoinStatus};
use ledger_types::confirmation::{Batch, BatchRecord, Record, RecordStatus, SignedBatch};
use ledger_types::ids::*;
use ledger_types::log_leaf::LogLeaf;
use ledger_types::rejection::Rejection;
use std::collections::BTreeMap;

/// Every coin that the batch names must have been read into `working.coins`.
pub(crate) fn execute<R: StateReader>(working: &mut Working<R>, signed: &SignedBatch) -> Result<(), NoVerdict> {
    let batch = &signed.batch;
    let hash = check_form(working, signed)?;
    let changes = changes_to_coins(working, batch)?;
    let amounts = settled_amounts(working, batch)?;
    overdue_fits(working, batch)?;

    // Nothing fails from here on.
    for change in changes {
        match change {
            Change::TooLate(coin) => working.too_late.push(coin),
            Change::Logged { coin, record, becomes } => {
                if let Some(state) = becomes {
                    working.coins.set(coin, Some(state));
                }
                working.records.insert(coin, record);
                working.leaves.push(LogLeaf::Record { coin, record });
            }
        }
    }
    for (envelope, amount) in batch.settled.iter().zip(amounts) {
        working.settle(*envelope, amount);
        let ledger = &mut working.ledger;
        match amount {
            // 2^64 issues of 2^64 minor units fit the totals.
            PendingAmount::Issue { series, amount } => {
                ledger.issued += u128::from(amount.0);
                *ledger.issued_by_series.entry(series).or_default() += u128::from(amount.0);
            }
            PendingAmount::Redeem { amount } => ledger.redeemed += u128::from(amount.0),
        }
    }
    let ledger = &mut working.ledger;
    for entry in &batch.overdue {
        ledger.overdue.insert(*entry);
        working.leaves.push(LogLeaf::Overdue(*entry));
    }
    for entry in &batch.cleared {
        ledger.overdue.remove(entry);
        working.leaves.push(LogLeaf::Cleared(*entry));
    }
    working.leaves.append(&mut ledger.events_to_log); // L-1
    if ledger.validators.logged(working.height) {
        working.note_pending_hand_over(); // G-3
    }
    let ledger = &mut working.ledger;
    ledger.batch = batch.number;
    ledger.batch_hash = hash;
    working.batches_accepted += 1;
    Ok(())
}

/// Rejections 40 to 45: what the batch says of itself. Gives its hash.
fn check_form<R: StateReader>(working: &Working<R>, signed: &SignedBatch) -> Result<BatchHash, Rejection> {
    let (batch, ledger) = (&signed.batch, &working.ledger);
    if Some(batch.number.0) != ledger.batch.0.checked_add(1) {
        return Err(Rejection::BatchNumberNotNext);
    }
    if batch.previous != ledger.batch_hash {
        return Err(Rejection::BatchChainBroken);
    }
    let hash = batch.hash(working.chain());
    if !working.parent.directory.central_bank_keys().registration.verify(&hash.0, &signed.signature) {
        return Err(Rejection::BatchSignatureInvalid);
    }
    if batch.records.len() > working.rules.genesis.batch_records_max as usize {
        return Err(Rejection::BatchTooLarge); // G-1
    }
    let ascending = batch.records.is_sorted_by(|a, b| a.coin < b.coin)
        && batch.settled.is_sorted_by(|a, b| a < b)
        && batch.overdue.is_sorted_by(|a, b| a < b)
        && batch.cleared.is_sorted_by(|a, b| a < b);
    if !ascending {
        return Err(Rejection::BatchNotAscending);
    }
    if !batch.records.iter().all(fields_fit) {
        return Err(Rejection::RecordFieldsDoNotFit);
    }
    Ok(hash)
}

/// A spent coin has no tag, a coin that someone may hold has one; a disputed coin has one if it could be read at all.
/// A disputed record, and no other, names the check that failed.
fn fields_fit(record: &BatchRecord) -> bool {
    let tag_fits = match record.status {
        RecordStatus::Spent => record.tag == OwnerTag::ZERO,
        RecordStatus::Live | RecordStatus::Frozen => record.tag != OwnerTag::ZERO,
        RecordStatus::Disputed => true,
    };
    tag_fits && (record.failed_check != 0) == (record.status == RecordStatus::Disputed)
}

enum Change {
    Logged { coin: CoinId, record: Record, becomes: Option<Coin> },
    TooLate(CoinId),
}

///
fn changes_to_coins<R: StateReader>(working: &Working<R>, batch: &Batch) -> Result<Vec<Change>, NoVerdict> {
    let last_records = last_records_of_absent_coins(working, batch)?;
    let mut changes = Vec::with_capacity(batch.records.len());
    for line in &batch.records {
        let record = |contract| Record {
            status: line.status,
            batch: batch.number,
            height: working.height,
            time_ms: working.time_ms,
            contract,
            failed_check: line.failed_check,
            tag: line.tag,
        };
        let Some(coin) = working.coins.get(&line.coin) else {
            let last = last_records.get(&line.coin).filter(|last| last.status != RecordStatus::Spent);
            changes.push(match (line.status, last) {
                (RecordStatus::Spent, Some(last)) => {
                    Change::Logged { coin: line.coin, record: record(last.contract), becomes: None }
                }
                _ => Change::TooLate(line.coin),
            });
            continue;
        };
        let becomes = match (line.status, coin.status) {
            (RecordStatus::Live, CoinStatus::Unconfirmed | CoinStatus::Frozen | CoinStatus::Disputed) => {
                CoinStatus::Live
            }
            (RecordStatus::Frozen, CoinStatus::Unconfirmed | CoinStatus::Live) => CoinStatus::Frozen,
            (RecordStatus::Disputed, CoinStatus::Unconfirmed) => CoinStatus::Disputed,
            _ => return Err(Rejection::RecordChangeForbidden.into()),
        };
        let becomes = Some(Coin { status: becomes, ..coin });
        changes.push(Change::Logged { coin: line.coin, record: record(coin.contract), becomes });
    }
    Ok(changes)
}

/// Only a spent record of an absent coin asks for the coin's last record.
fn last_records_of_absent_coins<R: StateReader>(
    working: &Working<R>,
    batch: &Batch,
) -> Result<BTreeMap<CoinId, Record>, ReadError> {
    let says_spent = batch.records.iter().filter(|line| line.status == RecordStatus::Spent).map(|line| line.coin);
    let mut last = BTreeMap::new();
    let mut stored = Vec::new();
    for coin in says_spent.filter(|coin| working.coins.get(coin).is_none()) {
        match working.records.get(&coin) {
            Some(record) => drop(last.insert(coin, *record)),
            None => stored.push(coin),
        }
    }
    if !stored.is_empty() {
        let found = working.reader.records(&stored)?;
        if found.len() != stored.len() {
            return Err(ReadError::new("the reader's answer has not one entry a record"));
        }
        last.extend(stored.into_iter().zip(found).filter_map(|(coin, record)| Some((coin, record?))));
    }
    Ok(last)
}

fn settled_amounts<R: StateReader>(working: &Working<R>, batch: &Batch) -> Result<Vec<PendingAmount>, NoVerdict> {
    let amounts =
        batch.settled.iter().map(|envelope| working.pending_amount(envelope)?.ok_or(Rejection::SettledUnknown.into()));
    amounts.collect()
}

/// Both lists are compared with the state before the batch, so an entry in both fits neither way.
fn overdue_fits<R: StateReader>(working: &Working<R>, batch: &Batch) -> Result<(), Rejection> {
    let overdue = &working.ledger.overdue;
    let mut count = BTreeMap::new();
    for entry in &batch.overdue {
        let count = count.entry(entry.submitter).or_insert_with(|| overdue.count_of(entry.submitter));
        *count += 1;
        let known = working.parent.directory.get(entry.submitter).is_some();
        if overdue.contains(entry) || !known || *count > OVERDUE_PER_SUBMITTER_MAX {
            return Err(Rejection::OverdueDoesNotFit);
        }
    }
    if batch.cleared.iter().all(|entry| overdue.contains(entry)) { Ok(()) } else { Err(Rejection::OverdueDoesNotFit) }
}
