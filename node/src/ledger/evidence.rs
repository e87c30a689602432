//! Evidence as it is kept on disk: two conflicting signed messages of one validator.
//!
//! One piece proves the fault; a validator that signs twice at every place could fill the disk with more of the same. So only
//! the first [`KEPT_MAX`] pieces of a validator in [`HEIGHTS`] heights are kept: enough to show what kinds of messages, and
//! whether it went on.

use super::LedgerError;
use ledger_store::Store;
use ledger_types::{Decode, Encode, Height, Octets, ParticipantNumber, Text, layout};

/// Of one validator, in so many heights.
pub const KEPT_MAX: usize = 16;
pub const HEIGHTS: u64 = 1_000;

/// Votes, proposals and bundle headers take a few hundred bytes; what is longer is cut, for the message's start names it.
const MESSAGE_BYTES_MAX: usize = 4096;

#[derive(Clone, Debug, PartialEq, Eq)]
pub struct StoredEvidence {
    pub validator: ParticipantNumber,
    pub height: Height,
    pub what: Text<64>,
    pub first: Octets<MESSAGE_BYTES_MAX>,
    pub second: Octets<MESSAGE_BYTES_MAX>,
}
layout!(StoredEvidence { validator, height, what, first, second });

/// Where a piece stands among all: pages begin behind one.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct EvidencePlace {
    pub height: Height,
    /// Of the stored piece.
    pub hash: [u8; 32],
}

impl StoredEvidence {
    pub(super) fn read(height: Height, bytes: &[u8]) -> Result<Self, LedgerError> {
        let unreadable = |_| LedgerError::Missing(format!("readable evidence of height {height}"));
        StoredEvidence::from_bytes(bytes).map_err(unreadable)
    }

    /// False when enough of this validator is kept. One caller at a time: the rows are counted, then written.
    pub(super) fn keep_in(&self, store: &Store) -> Result<bool, LedgerError> {
        let first = Height(self.height.0 / HEIGHTS * HEIGHTS);
        let mut kept = 0;
        {
            let readers = store.readers();
            let snapshot = readers.snapshot()?;
            for row in snapshot.evidence_from((first, [0; 32])) {
                let ((height, _), bytes) = row?;
                if height.0 >= first.0 + HEIGHTS {
                    break;
                }
                kept += usize::from(StoredEvidence::read(height, &bytes)?.validator == self.validator);
            }
        }
        if kept >= KEPT_MAX {
            return Ok(false);
        }
        store.put_evidence(self.height, &self.to_bytes())?;
        Ok(true)
    }

    pub fn new(evidence: &consensus::port::Evidence) -> Self {
        let cut = |bytes: &[u8]| {
            Octets::new(bytes[..bytes.len().min(MESSAGE_BYTES_MAX)].to_vec()).expect("cut to the maximum")
        };
        StoredEvidence {
            validator: evidence.validator,
            height: evidence.height,
            what: Text::new(&evidence.what).unwrap_or_default(),
            first: cut(&evidence.first),
            second: cut(&evidence.second),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::super::LedgerWriter;
    use crate::cluster_init::ClusterPlan;
    use consensus::port::{Application, Evidence};
    use ledger_store::{Store, StoreOptions};
    use ledger_types::genesis::Genesis;
    use ledger_types::{Height, ParticipantNumber};
    use std::sync::{Arc, Mutex};

    #[derive(Clone, Default)]
    struct Log(Arc<Mutex<Vec<u8>>>);

    impl std::io::Write for Log {
        fn write(&mut self, bytes: &[u8]) -> std::io::Result<usize> {
            self.0.lock().unwrap().write(bytes)
        }

        fn flush(&mut self) -> std::io::Result<()> {
            Ok(())
        }
    }

    impl tracing_subscriber::fmt::MakeWriter<'_> for Log {
        type Writer = Self;

        fn make_writer(&self) -> Self {
            self.clone()
        }
    }

    #[test]
    fn a_validator_that_signs_twice_everywhere_fills_no_disk_and_no_log_and_is_shown_in_pages() {
        let folder = tempfile::tempdir().unwrap();
        let plan = ClusterPlan::small(folder.path());
        plan.init().unwrap();
        let genesis = Genesis::parse(&std::fs::read(plan.folder.join("genesis.bin")).unwrap()).unwrap();
        let store = Store::open(&folder.path().join("ledger"), genesis, StoreOptions::default(), None).unwrap();
        let (writer, view, _received) = LedgerWriter::new(Arc::new(store), ParticipantNumber(2)).unwrap();
        let accuse = |validator: u16, height: u64, number: u32| {
            writer.evidence(Evidence {
                validator: ParticipantNumber(validator),
                height: Height(height),
                what: "prevote".into(),
                first: number.to_le_bytes().to_vec(),
                second: b"another".to_vec(),
            });
        };
        let log = Log::default();
        let subscriber = tracing_subscriber::fmt().with_ansi(false).with_writer(log.clone()).finish();
        tracing::subscriber::with_default(subscriber, || {
            (0..40).for_each(|number| accuse(3, u64::from(number), number));
            accuse(4, 5, 0);
            accuse(3, 1_000, 0);
        });
        let lines = String::from_utf8(log.0.lock().unwrap().clone()).unwrap();
        let said: Vec<&str> = lines.lines().filter(|line| line.contains("EQUIVOCATION")).collect();
        assert_eq!(said.len(), super::KEPT_MAX + 2, "{lines}");
        assert!(said[super::KEPT_MAX + 1].contains("not_kept=24"), "{lines}");
        let all = view.evidence(None, 100).unwrap();
        let of = |validator: u16, from: u64, to: u64| {
            let is_it = |e: &super::StoredEvidence| e.validator.0 == validator && (from..to).contains(&e.height.0);
            all.iter().filter(|(_, evidence)| is_it(evidence)).count()
        };
        assert_eq!((of(3, 0, 1_000), of(4, 0, 1_000), of(3, 1_000, 2_000)), (super::KEPT_MAX, 1, 1));

        let mut paged = Vec::new();
        while let Some(next) = Some(view.evidence(paged.last().map(|(place, _)| *place), 5).unwrap())
            && !next.is_empty()
        {
            assert!(next.len() <= 5);
            paged.extend(next);
        }
        assert_eq!(paged, all);
    }
}
