//! The ledger's folder: opened, checked, and handed to one writer and many readers.
//!
//! What stays true here: an open store stands at a height that is proved as far as [`crate::proof`] says.

use std::path::Path;
use std::sync::{Arc, Mutex, RwLock};

use ledger_state::{Ledger, Rules};
use ledger_types::block::{BlockHeader, EnvelopeResult};
use ledger_types::bundle::Slot;
use ledger_types::genesis::Genesis;
use ledger_types::rules::RULES_KNOWN;
use ledger_types::vote::CommitCertificate;
use ledger_types::{Height, ParticipantNumber, RulesVersion};

use crate::bundles::{AckGuard, Bundles};
use crate::columns;
use crate::damage::Damage;
use crate::database::Database;
use crate::error::{OpenError, StoreError};
use crate::folder::{self, Marker};
use crate::genesis;
use crate::offers::{Hashing, KeptSnapshot};
use crate::options::Memory;
use crate::proof::prove_tip;
use crate::snapshot::{Packages, Readers, Shared, StateView};

pub(crate) const STATE_FOLDER: &str = "state";
pub(crate) const BUNDLES_FOLDER: &str = "bundles";
const SNAPSHOTS_FOLDER: &str = "snapshots";

#[derive(Clone, Copy, Debug)]
pub struct StoreOptions {
    pub memory: Memory,
    /// A segment of the bundle files that is longer gets a successor. A start reads the last ones again.
    pub segment_bytes: u64,
    pub losses: Losses,
    /// The newest version of the rules that is executed (B-13).
    pub rules_known: RulesVersion,
}

impl Default for StoreOptions {
    fn default() -> Self {
        // At 10 MB/s of envelopes a segment lasts thirteen seconds, and a start reads one in a fifth of a second.
        StoreOptions {
            memory: Memory::LEDGER,
            segment_bytes: 128 << 20,
            losses: Losses::Refuse,
            rules_known: RULES_KNOWN,
        }
    }
}

/// What to do when the disk has lost heights, or acked bundles, that had been durable.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Losses {
    Refuse,
    /// The operator has checked the disk; the node fetches what is missing from the others. What it signed stands in guards of
    /// its own, so it contradicts nothing that it said.
    Accept,
}

/// The last durable height.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Tip {
    pub ledger: Ledger,
    /// None at the genesis.
    pub header: Option<BlockHeader>,
    pub certificate: Option<CommitCertificate>,
}

pub struct Store {
    pub(crate) shared: Arc<Shared>,
    pub(crate) bundles: Arc<Bundles>,
    pub(crate) committing: Mutex<()>,
    pub(crate) hashing: Hashing,
    /// The version of the map whose stale rows come next: those before it are deleted, and need not be stepped over again.
    pub(crate) pruning: Mutex<u64>,
}

pub(crate) fn marker(rules: &Rules) -> Marker {
    Marker { purpose: "ledger".into(), version: columns::FORMAT_VERSION, chain: rules.chain.genesis_hash() }
}

impl Store {
    /// Opens the folder, or creates it from the genesis if it is absent or empty. `genesis` must have passed
    /// [`Genesis::check`]. Without its guard a node acks nothing (B-9): an observer, or a validator that lost it.
    ///
    /// A guarded ack whose bundle is lost is refused, unless the folder was created after the ack: then the bundle is fetched
    /// from the others when a block holds it, and no other is ever acked in its slot.
    pub fn open(
        path: &Path,
        genesis: Genesis,
        options: StoreOptions,
        guard: Option<AckGuard>,
    ) -> Result<Self, OpenError> {
        let rules = Rules { known: options.rules_known, ..Rules::new(genesis) };
        if !folder::exists(path)? {
            genesis::create(path, &rules, options.memory, guard.as_ref())?;
        }
        folder::check(path, &marker(&rules))?;
        let rows = path.join(STATE_FOLDER);
        let database =
            Arc::new(Database::open(&rows, "ledger", columns::ALL, options.memory, options.losses, Damage::default())?);
        let tip = prove_tip(&rules, &StateView(database.view()))?;

        let is_open = |slot: &Slot| slot_is_open(&tip.ledger, slot);
        let folder = path.join(BUNDLES_FOLDER);
        let bundles = Bundles::open(&folder, rules.chain, database.clone(), &options, guard, is_open)?;
        bundles.collect(is_open)?;
        let snapshots = path.join(SNAPSHOTS_FOLDER);
        let hashing = Hashing::open(snapshots, rules.chain, database.clone(), &tip.ledger)?;
        let (tip, packages) = (RwLock::new(Arc::new(tip)), Packages::default());
        let shared = Arc::new(Shared { rules, database, tip, packages, offers: hashing.offers().clone() });
        let (committing, pruning) = (Mutex::new(()), Mutex::new(0));
        Ok(Store { shared, bundles: Arc::new(bundles), committing, hashing, pruning })
    }

    pub fn rules(&self) -> &Rules {
        &self.shared.rules
    }

    pub fn tip(&self) -> Arc<Tip> {
        self.shared.tip()
    }

    pub fn readers(&self) -> Readers {
        Readers(self.shared.clone())
    }

    pub fn bundles(&self) -> &Arc<Bundles> {
        &self.bundles
    }

    /// The states that are served to nodes which join (B-7), ascending.
    pub fn kept_snapshots(&self) -> Result<Vec<KeptSnapshot>, OpenError> {
        self.hashing.offers().kept()
    }

    /// What readers of rows and of bundles could not read since the store was opened.
    pub fn damage(&self) -> Damage {
        self.shared.database.damage().clone()
    }

    /// Forgets bundles and acks of slots that no block after the tip can hold (B-3).
    pub fn collect_bundles(&self) -> Result<(), StoreError> {
        let tip = self.tip();
        self.bundles.collect(|slot| slot_is_open(&tip.ledger, slot))
    }

    /// Whether the ack guard was made anew and permits nothing yet.
    pub fn ack_guard_is_waiting(&self) -> bool {
        self.bundles.guard_is_waiting()
    }

    /// B-9: lets a renewed ack guard begin, if the tip was proposed after it was made. The caller knows that the tip has caught
    /// up with the height in progress. True when the guard waits no longer.
    pub fn begin_renewed_acks(&self) -> Result<bool, StoreError> {
        let tip = self.tip();
        let lanes = tip.ledger.directory.iter().map(|participant| participant.number);
        let stands = lanes.chain([ParticipantNumber::REGISTRATION]).map(|submitter| {
            let lane = tip.ledger.lane(submitter);
            (submitter, (lane.incarnation, lane.next_sequence))
        });
        self.bundles.begin_renewed_acks(tip.ledger.time_ms, stands.collect())
    }

    /// What became of every envelope of a block, in its order: the leaves under the header's results root (B-2). None: the height is
    /// not held.
    pub fn results(&self, height: Height) -> Result<Option<Vec<EnvelopeResult>>, StoreError> {
        let readers = self.readers();
        let snapshot = readers.snapshot()?;
        let (Some(block), Some(codes)) = (snapshot.block(height)?, snapshot.result_codes(height)?) else {
            return Ok(None);
        };
        let mut results = Vec::with_capacity(codes.len());
        let mut codes = codes.into_iter();
        for certificate in &block.certificates {
            let digest = certificate.digest(&self.rules().chain);
            let Some(bundle) = self.bundles.get(&digest)? else {
                // Bundles are not of the snapshot's moment: the height may have been let go since.
                if height < self.readers().snapshot()?.first_height()? {
                    return Ok(None);
                }
                let what = format!("bundle {digest} of height {height}");
                return Err(self.shared.database.corrupt(what, "it is missing"));
            };
            for envelope in bundle.ids() {
                let code = codes.next().ok_or_else(|| {
                    self.shared.database.corrupt(format!("the results of height {height}"), "there are too few")
                })?;
                results.push(EnvelopeResult { envelope: *envelope, code });
            }
        }
        Ok(Some(results))
    }

    /// Keeps a checkpoint: a signed note over the log at this size. A later note of the same size, with more or newer
    /// cosignatures, replaces the earlier one.
    pub fn put_checkpoint(&self, size: u64, note: &str) -> Result<(), StoreError> {
        let mut writes = self.shared.database.writes();
        writes.put(&columns::CHECKPOINTS, &size, &note.as_bytes().to_vec())?;
        writes.commit()
    }

    /// Keeps evidence of a fault, once.
    pub fn put_evidence(&self, height: Height, evidence: &[u8]) -> Result<(), StoreError> {
        let mut writes = self.shared.database.writes();
        writes.put(&columns::EVIDENCE, &(height, *blake3::hash(evidence).as_bytes()), &evidence.to_vec())?;
        writes.commit()
    }
}

/// B-3: whether a block after this state may hold the slot. Lanes move forward only, so a slot that is closed stays closed.
fn slot_is_open(ledger: &Ledger, slot: &Slot) -> bool {
    let lane = ledger.lane(slot.submitter);
    (slot.incarnation, slot.sequence) >= (lane.incarnation, lane.next_sequence)
}
