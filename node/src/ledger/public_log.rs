//! The public log as others read it: in tiles, by state, by checkpoint; and the map without naming a coin.
//!
//! What stays true here: nothing is shown that no published checkpoint covers, and what is proved is proved as of one.

use super::LedgerError;
use super::view::{Confirmed, LedgerView, proof_failed};
use crate::checkpoint::Published;
use ledger_store::Snapshot;
use ledger_tree::map::{self, EntryType, Prefix};
use ledger_tree::note::{Checkpoint, Note};
use ledger_tree::tile::{Tile, TileKind, push_entry};
use ledger_tree::{Hash, log, proof_file};
use ledger_types::confirmation::Record;
use ledger_types::log_leaf::{LogLeaf, StateLeaf};
use ledger_types::participant::ValidatorSet;
use ledger_types::{CoinId, Decode, Encode, Height, List, Octets, TreeRoot};
use ledger_verify::{BUCKET_ENTRIES_MAX, BucketEntry, BucketProof};
use std::sync::Arc;

/// Leaves that one page of states counts: about a tenth of a second. A page is cut short behind them.
const LEAVES_PER_PAGE_MAX: u64 = 100_000;
/// Buckets whose entries are counted to find the length of a prefix.
const BUCKETS_SAMPLED: u32 = 16;
/// Of a bucket, on average: then nearly every one holds half of it.
const BUCKET_ENTRIES: u32 = 32;

/// A block's state leaf, and the log that ends on it.
pub struct StateSeen {
    pub log_size: u64,
    pub leaf: StateLeaf,
    /// Coins that the block's batches confirmed.
    pub records: u64,
}

pub struct CheckpointSeen {
    pub size: u64,
    pub root: Hash,
    pub signers: u32,
    /// The quorum-th newest cosignature time.
    pub signed_at_s: u64,
}

/// A bucket as of a checkpoint; no proof if it has too many entries.
pub struct BucketFound {
    pub published: Arc<Published>,
    pub proof: Option<BucketProof>,
}

/// How long a prefix leaves enough entries below it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct BucketSize {
    pub bits: u8,
    pub expected_entries: u32,
    pub log_size: u64,
}

impl LedgerView {
    /// The bytes of a tile; none if the newest checkpoint does not cover it.
    pub fn tile(&self, tile: &Tile) -> Result<Option<Vec<u8>>, LedgerError> {
        let size = self.published().map_or(0, |published| published.size);
        let Some((level, first)) = tile.first_node().filter(|_| tile.exists_at(size)) else { return Ok(None) };
        let readers = self.shared.store.readers();
        let snapshot = readers.snapshot()?;
        let width = usize::from(tile.width());
        let (mut bytes, mut found) = (Vec::new(), 0);
        match tile.kind() {
            TileKind::Hashes { .. } => {
                for (row, expected) in snapshot.log_nodes_from(level, first).take(width).zip(first..) {
                    let ((_, index), hash) = row?;
                    found += usize::from(index == expected);
                    bytes.extend_from_slice(&hash);
                }
            }
            TileKind::Entries => {
                for (row, expected) in snapshot.log_leaves_from(first).take(width).zip(first..) {
                    let (index, leaf) = row?;
                    found += usize::from(index == expected);
                    push_entry(&mut bytes, &leaf)
                        .ok_or_else(|| LedgerError::Missing(format!("a short leaf {index}")))?;
                }
            }
        }
        // Half a tile would be cached for ever.
        if found == width {
            Ok(Some(bytes))
        } else {
            Err(LedgerError::Missing(format!("a part of the log's tile {tile}")))
        }
    }

    /// RFC 6962, 2.1.2. `from` ≤ `to` ≤ the published size.
    pub fn prove_consistency(&self, from: u64, to: u64) -> Result<Vec<Hash>, LedgerError> {
        let readers = self.shared.store.readers();
        let snapshot = readers.snapshot()?;
        let proof = log::prove_consistency(&snapshot, from, to);
        proof.map_err(|error| proof_failed(&format!("the log's growth from {from} to {to}"), &error))
    }

    /// The states that are older than `before`, a size of the log that ends on a state leaf; newest first. From the newest
    /// checkpoint on if `before` lies behind it or is none. `None` if it is no such size. May end early: only a page without
    /// states is the last.
    pub fn states(&self, before: Option<u64>, limit: usize) -> Result<Option<Vec<StateSeen>>, LedgerError> {
        let Some(published) = self.published() else { return Ok(Some(Vec::new())) };
        let readers = self.shared.store.readers();
        let snapshot = readers.snapshot()?;
        let mut size = match before.filter(|before| *before <= published.size) {
            None => published.size,
            Some(before) => match state_leaf(&snapshot, before)? {
                Some(leaf) => self.log_size_before(&snapshot, &leaf)?,
                None => return Ok(None),
            },
        };
        let (mut states, mut counted) = (Vec::new(), 0);
        while size > 0 && states.len() < limit && counted < LEAVES_PER_PAGE_MAX {
            let missing = || LedgerError::Missing(format!("the state leaf that ends the log of size {size}"));
            let leaf = state_leaf(&snapshot, size)?.ok_or_else(missing)?;
            let before = self.log_size_before(&snapshot, &leaf)?;
            let records = match leaf.height {
                // Batch 0 holds nothing else.
                Height::GENESIS => size - 1,
                _ => records_between(&snapshot, before, size)?,
            };
            counted += if leaf.height == Height::GENESIS { 0 } else { size - before };
            states.push(StateSeen { log_size: size, leaf, records });
            size = before;
        }
        Ok(Some(states))
    }

    /// Of the log before the block of this state leaf.
    fn log_size_before(&self, snapshot: &Snapshot<'_>, leaf: &StateLeaf) -> Result<u64, LedgerError> {
        match leaf.height.0.checked_sub(1) {
            None => Ok(0),
            Some(parent) => self.shared.log_size_after(snapshot, Height(parent)),
        }
    }

    /// Newest first, of smaller sizes than `before`.
    pub fn checkpoints_seen(&self, before: Option<u64>, limit: usize) -> Result<Vec<CheckpointSeen>, LedgerError> {
        let readers = self.shared.store.readers();
        let snapshot = readers.snapshot()?;
        // One that is stored is shown a moment later.
        let shown = self.published().map_or(0, |published| published.size.saturating_add(1));
        let rows = snapshot.checkpoints_below(before.unwrap_or(u64::MAX).min(shown));
        rows.take(limit).map(|row| self.checkpoint_seen(&row?.1)).collect()
    }

    /// The set that cosigned at a size of the log (L-1).
    fn cosigners_at(&self, size: u64) -> Result<ValidatorSet, LedgerError> {
        let missing = || LedgerError::Missing(format!("the state leaf below size {size}"));
        let last = size.checked_sub(1).ok_or_else(missing)?;
        let bytes = self.readers().snapshot()?.log_leaf(last)?.ok_or_else(missing)?;
        let Ok(LogLeaf::State(leaf)) = LogLeaf::from_bytes(&bytes) else { return Err(missing()) };
        self.validator_set(&leaf.set_hash)?.ok_or_else(missing)
    }

    /// This node verified every line before it stored the note.
    fn checkpoint_seen(&self, note: &str) -> Result<CheckpointSeen, LedgerError> {
        let fault = |error: &dyn std::fmt::Display| proof_failed("a stored checkpoint", error);
        let note = Note::parse(note.as_bytes()).map_err(|error| fault(&error))?;
        let checkpoint = Checkpoint::parse(note.text()).map_err(|error| fault(&error))?;
        let validators = self.cosigners_at(checkpoint.size())?;
        let power_of = |name: &str| {
            let named = |number| self.rules().genesis.cosigner_name(number) == name;
            validators.iter().find(|validator| named(validator.number)).map_or(0, |validator| validator.power)
        };
        let mut times: Vec<(u64, u64)> = note
            .signatures()
            .iter()
            .filter(|line| line.name() != checkpoint.origin())
            .filter_map(|line| Some((u64::from_be_bytes(*line.signature().first_chunk()?), power_of(line.name()))))
            .collect();
        times.sort_unstable_by(|one, next| next.cmp(one));
        let mut power = 0;
        let reached = times.iter().find(|(_, of)| {
            power += of;
            3 * power > 2 * validators.total_power()
        });
        let oldest = times.last();
        Ok(CheckpointSeen {
            size: checkpoint.size(),
            root: *checkpoint.root(),
            signers: u32::try_from(times.len()).unwrap_or(u32::MAX),
            signed_at_s: reached.or(oldest).map_or(0, |(time_s, _)| *time_s),
        })
    }

    /// A C2SP tlog-proof file of the coin's record as of the newest checkpoint; none if the coin has no record.
    pub fn log_proof(&self, coin: CoinId) -> Result<Option<String>, LedgerError> {
        let readers = self.shared.store.readers();
        let Some(Confirmed { published, snapshot, version }) = self.confirmed(&readers)? else { return Ok(None) };
        let fault = |error: &dyn std::fmt::Display| proof_failed(&coin.to_string(), error);
        let key_hash = map::key_hash(EntryType::Record, &coin.0);
        let found = map::prove(&snapshot, version, &key_hash).map_err(|error| fault(&error))?;
        let Some(value) = found.value else { return Ok(None) };
        let record = Record::from_bytes(&value).map_err(|error| fault(&error))?;
        let leaf = LogLeaf::Record { coin, record }.to_bytes();
        let index = self.leaf_index(&snapshot, &coin, &leaf, record.height)?;
        let index = index.ok_or_else(|| LedgerError::Missing(format!("the log's leaf of {coin}")))?;
        let path = log::prove_inclusion(&snapshot, index, published.size).map_err(|error| fault(&error))?;
        Ok(Some(proof_file::write(&leaf, index, &path, &published.note)))
    }

    /// Where the leaf of a record of this height stands. The index knows a coin's latest leaf, which may lie behind the
    /// checkpoint; then the height's own leaves are searched.
    fn leaf_index(
        &self,
        snapshot: &Snapshot<'_>,
        coin: &CoinId,
        leaf: &[u8],
        height: Height,
    ) -> Result<Option<u64>, LedgerError> {
        if let Some(latest) = snapshot.leaf_of_coin(coin)?
            && snapshot.log_leaf(latest)?.as_deref() == Some(leaf)
        {
            return Ok(Some(latest));
        }
        let end = self.shared.log_size_after(snapshot, height)?;
        let begin = match height.0.checked_sub(1) {
            None => 0,
            Some(parent) => self.shared.log_size_after(snapshot, Height(parent))?,
        };
        for row in snapshot.log_leaves_from(begin).take(usize::try_from(end - begin).unwrap_or(usize::MAX)) {
            let (index, bytes) = row?;
            if bytes == leaf {
                return Ok(Some(index));
            }
        }
        Ok(None)
    }

    /// All of the map below a prefix (PROTOCOL.md 10.7) as of the newest checkpoint; none if there is no checkpoint.
    pub fn prove_bucket(&self, prefix: Prefix) -> Result<Option<BucketFound>, LedgerError> {
        let readers = self.shared.store.readers();
        let Some(Confirmed { published, snapshot, version }) = self.confirmed(&readers)? else { return Ok(None) };
        let fault = |error: &dyn std::fmt::Display| proof_failed("a bucket", error);
        let below = map::prove_below(&snapshot, version, &prefix, BUCKET_ENTRIES_MAX).map_err(|error| fault(&error))?;
        let Some(below) = below else { return Ok(Some(BucketFound { published, proof: None })) };
        let entry = |(key_hash, value)| Ok(BucketEntry { key_hash: TreeRoot(key_hash), value: Octets::new(value)? });
        let entries: Result<Vec<BucketEntry>, ledger_types::DecodeError> =
            below.entries.into_iter().map(entry).collect();
        let entries = entries.and_then(List::new).map_err(|error| fault(&error))?;
        let siblings = List::new(below.siblings.into_iter().map(TreeRoot).collect()).map_err(|error| fault(&error))?;
        let state = self.prove_state_in(&snapshot, &published)?;
        Ok(Some(BucketFound { published, proof: Some(BucketProof { state, prefix, siblings, entries }) }))
    }

    /// The longest prefix that leaves [`BUCKET_ENTRIES`] below it on average, counted in some buckets that nobody could choose
    /// beforehand; 0 bits while there are not enough. None if there is no checkpoint.
    pub fn bucket_size(&self) -> Result<Option<BucketSize>, LedgerError> {
        let readers = self.shared.store.readers();
        let Some(Confirmed { published, snapshot, version }) = self.confirmed(&readers)? else { return Ok(None) };
        let sampled = |bits: u8| {
            let mut entries = 0;
            for sample in 0..BUCKETS_SAMPLED {
                let seed = [&published.state_leaf.map_root.0[..], &sample.to_le_bytes()].concat();
                let prefix = Prefix::of(&map::value_hash(&seed), bits).expect("32 bits at most");
                let below = map::prove_below(&snapshot, version, &prefix, BUCKET_ENTRIES_MAX);
                let below = below.map_err(|error| proof_failed("a bucket", &error))?;
                let count = |below: map::Below| below.entries.iter().filter(|(key, _)| prefix.contains(key)).count();
                entries += below.map_or(BUCKET_ENTRIES_MAX, count);
            }
            Ok::<_, LedgerError>(u32::try_from(entries).unwrap_or(u32::MAX) / BUCKETS_SAMPLED)
        };
        // Every record has a leaf, so there are not many more entries than leaves.
        let mut bits = (published.size / u64::from(BUCKET_ENTRIES)).checked_ilog2().map_or(0, |log| log + 1);
        loop {
            bits = bits.min(Prefix::BITS_MAX.into());
            let expected_entries = sampled(u8::try_from(bits).expect("32 at most"))?;
            if expected_entries >= BUCKET_ENTRIES || bits == 0 {
                let bits = u8::try_from(bits).expect("32 at most");
                return Ok(Some(BucketSize { bits, expected_entries, log_size: published.size }));
            }
            bits -= 1;
        }
    }
}

/// The state leaf that ends the log of this size, if one does.
fn state_leaf(snapshot: &Snapshot<'_>, size: u64) -> Result<Option<StateLeaf>, LedgerError> {
    let Some(last) = size.checked_sub(1) else { return Ok(None) };
    match snapshot.log_leaf(last)?.map(|bytes| LogLeaf::from_bytes(&bytes)) {
        Some(Ok(LogLeaf::State(leaf))) => Ok(Some(leaf)),
        _ => Ok(None),
    }
}

fn records_between(snapshot: &Snapshot<'_>, from: u64, to: u64) -> Result<u64, LedgerError> {
    let mut records = 0;
    for row in snapshot.log_leaves_from(from).take(usize::try_from(to - from).unwrap_or(usize::MAX)) {
        records += u64::from(matches!(LogLeaf::from_bytes(&row?.1), Ok(LogLeaf::Record { .. })));
    }
    Ok(records)
}
