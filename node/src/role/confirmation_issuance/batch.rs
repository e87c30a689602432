//! Which entries go into one batch, and what of them is said.
//!
//! | entry     | records                                                        | lists   |
//! |-----------|----------------------------------------------------------------|---------|
//! | confirmed | every input spent; every output live or disputed, with its tag | settled |
//! | overdue   | –                                                              | overdue |
//! | cleared   | –                                                              | cleared |
//! | announced | –                                                              | –       |
//! | changed   | the coin, frozen or live                                       | –       |
//!
//! What stays true here: an envelope's records are never split; entries keep their order; what the ledger compares with the
//! state *before* the batch is not put into one batch with what changes it.

use super::Alarm;
use crate::outbox::{Entry, Event};
use ledger_types::confirmation::{
    BATCH_OVERDUE_MAX, BATCH_RECORDS_MAX, BATCH_SETTLED_MAX, Batch, BatchRecord, Overdue, RecordStatus,
};
use ledger_types::{BatchHash, BatchNumber, Chain, CoinId, EnvelopeId, List, OwnerTag};
use std::collections::{BTreeMap, BTreeSet, VecDeque};

/// The hash that batch 1 names: genesis is batch 0, with nothing in it.
pub fn genesis_batch_hash(chain: &Chain) -> BatchHash {
    let batch = Batch {
        number: BatchNumber(0),
        previous: BatchHash::ZERO,
        records: List::empty(),
        settled: List::empty(),
        overdue: List::empty(),
        cleared: List::empty(),
    };
    batch.hash(chain)
}

#[derive(Default)]
struct Contents {
    records: BTreeMap<CoinId, BatchRecord>,
    settled: BTreeSet<EnvelopeId>,
    overdue: BTreeSet<Overdue>,
    cleared: BTreeSet<Overdue>,
}

/// Takes as many entries from the front as one batch holds. Gives the batch and the last entry in it.
pub fn form(
    chain: &Chain,
    records_max: usize,
    number: BatchNumber,
    previous: BatchHash,
    entries: &mut VecDeque<Entry>,
) -> Result<Option<(Batch, Entry)>, Alarm> {
    let records_max = records_max.min(BATCH_RECORDS_MAX);
    let mut contents = Contents::default();
    let mut through = None;
    while let Some(entry) = entries.front() {
        if let Event::Confirmed(confirmed) = &entry.event {
            let records = confirmed.spent.len() + confirmed.outputs.len();
            if records > records_max {
                return Err(Alarm::EnvelopeTooLarge { envelope: confirmed.envelope, records, records_max });
            }
        }
        if !contents.take(chain, records_max, &entry.event) {
            break;
        }
        through = entries.pop_front();
    }
    Ok(through.map(|through| (contents.batch(number, previous), through)))
}

impl Contents {
    /// Whether the entry fits; if not, nothing of it is taken.
    fn take(&mut self, chain: &Chain, records_max: usize, event: &Event) -> bool {
        match event {
            Event::Confirmed(confirmed) => {
                let spent = confirmed.spent.iter().map(|coin| BatchRecord {
                    coin: *coin,
                    status: RecordStatus::Spent,
                    failed_check: 0,
                    tag: OwnerTag::ZERO,
                });
                let outputs = confirmed.outputs.iter().map(|output| BatchRecord {
                    coin: output.coin,
                    status: output.status,
                    failed_check: output.failed_check,
                    tag: output.tag.as_ref().map_or(OwnerTag::ZERO, |tag| tag.tag(chain, &output.coin)),
                });
                let records: Vec<BatchRecord> = spent.chain(outputs).collect();
                let fits = self.records.len() + records.len() <= records_max && self.settled.len() < BATCH_SETTLED_MAX;
                // A coin is confirmed before it is spent, so both in one batch cannot be; one record a coin is the rule.
                if !fits || records.iter().any(|record| self.records.contains_key(&record.coin)) {
                    return false;
                }
                self.records.extend(records.into_iter().map(|record| (record.coin, record)));
                if confirmed.settled {
                    self.settled.insert(confirmed.envelope);
                }
                true
            }
            Event::Overdue(entry) => {
                let fits = self.overdue.len() < BATCH_OVERDUE_MAX && !self.cleared.contains(entry);
                fits && self.overdue.insert(*entry)
            }
            Event::Cleared(entry) => {
                let fits = self.cleared.len() < BATCH_OVERDUE_MAX && !self.overdue.contains(entry);
                fits && self.cleared.insert(*entry)
            }
            // The ledger itself puts the leaf behind the batch (L-1).
            Event::Announced(_) => true,
            Event::Changed(changed) => {
                let fits = self.records.len() < records_max && !self.records.contains_key(&changed.coin);
                if fits {
                    let record =
                        BatchRecord { coin: changed.coin, status: changed.status, failed_check: 0, tag: changed.tag };
                    self.records.insert(changed.coin, record);
                }
                fits
            }
        }
    }

    fn batch(self, number: BatchNumber, previous: BatchHash) -> Batch {
        let fits = "counted before each entry";
        Batch {
            number,
            previous,
            records: List::new(self.records.into_values().collect()).expect(fits),
            settled: List::new(self.settled.into_iter().collect()).expect(fits),
            overdue: List::new(self.overdue.into_iter().collect()).expect(fits),
            cleared: List::new(self.cleared.into_iter().collect()).expect(fits),
        }
    }
}
