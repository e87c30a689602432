//! One block: from the ledger at h − 1 and the bundles to the header, the results and the changes of h (B-1).
//!
//! ```text
//! refuse the block?  height, time, certificates, bytes, lanes, quota      B-2, B-3; under rules that this program knows: B-13
//! check              each envelope by itself; collect the coins it names  1–13
//! read               all coins, one call                                  C-2
//! execute            envelopes and batches in the block's order           14–48
//! finish             map, log, state leaf, roots, header                  L-1, L-4, B-1, B-7
//! ```
//! What stays true here: only the first step may refuse the block. Signatures of certificates, and the block's own size in
//! bytes, are checked where blocks arrive.

use crate::changes::StateChanges;
use crate::confirmation;
use crate::envelope::{self, Circumstances};
use crate::lane::LaneInBlock;
use crate::ledger::Ledger;
use crate::reader::StateReader;
use crate::rebuild;
use crate::refusal::{ApplyError, BlockRefusal};
use crate::roots;
use crate::rules::Rules;
use crate::working::{Coins, NoVerdict, Working};
use ledger_tree::map::{self, EntryType, MapError, Version};
use ledger_tree::{ReadError, log};
use ledger_types::block::{
    BLOCK_BUNDLE_BYTES_MAX, BlockHeader, CERTIFICATES_MAX, EnvelopeResult, bundle_bytes, certificates_root,
    results_root,
};
use ledger_types::bundle::{Bundle, BundleBody, BundleCertificate};
use ledger_types::encoding::Encode;
use ledger_types::ids::*;
use ledger_types::log_leaf::{LogLeaf, StateLeaf};
use ledger_types::rejection::Rejection;
use ledger_types::snapshot::{SnapshotHash, snapshot_due_at};
use std::collections::BTreeMap;
use std::ops::Range;
use std::sync::Arc;

/// What a proposer chooses; everything else in the header follows from it.
#[derive(Clone, Copy, Debug)]
pub struct CandidateBlock<'a> {
    pub height: Height,
    pub time_ms: u64,
    /// Their signatures are checked by the caller.
    pub certificates: &'a [BundleCertificate],
    /// The certificates' bundles, in their order.
    pub bundles: &'a [Arc<Bundle>],
    /// The round in which the parent was decided; zero at height 1.
    pub parent_round: u32,
}

/// What execution gives.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Applied {
    pub header: BlockHeader,
    /// In the order of the certificates and of the items in them.
    pub results: Vec<EnvelopeResult>,
    pub changes: StateChanges,
    /// After the block.
    pub ledger: Ledger,
    /// Coins whose records came too late in accepted batches: skipped, not logged (R-3).
    pub too_late: Vec<CoinId>,
}

impl Applied {
    /// Whether a proposed header is the one that execution gave; if not, what differs first (B-1).
    pub fn compare(&self, proposed: &BlockHeader) -> Result<(), BlockRefusal> {
        let own = &self.header;
        let same = [
            (proposed.version == own.version, BlockRefusal::RulesVersionDiffers),
            (proposed.height == own.height, BlockRefusal::HeightNotNext),
            (proposed.time_ms == own.time_ms, BlockRefusal::TimeNotAfterParent),
            (proposed.parent == own.parent && proposed.parent_round == own.parent_round, BlockRefusal::ParentDiffers),
            (proposed.certificates_root == own.certificates_root, BlockRefusal::CertificatesRootDiffers),
            (proposed.results_root == own.results_root, BlockRefusal::ResultsRootDiffers),
            (proposed.state_root == own.state_root, BlockRefusal::StateRootDiffers),
            (proposed.log_size == own.log_size && proposed.log_root == own.log_root, BlockRefusal::LogDiffers),
            (proposed.map_root == own.map_root, BlockRefusal::MapRootDiffers),
            (proposed.participants_hash == own.participants_hash, BlockRefusal::ParticipantsDiffer),
            (proposed.next_set_hash == own.next_set_hash, BlockRefusal::NextSetDiffers),
        ];
        same.into_iter().find(|(same, _)| !same).map_or(Ok(()), |(_, refusal)| Err(refusal))
    }
}

/// Applies a block to the ledger at the height before it. `reader` is the snapshot at that height.
pub fn apply<R: StateReader>(
    rules: &Rules,
    ledger: &Ledger,
    reader: &R,
    candidate: CandidateBlock,
) -> Result<Applied, ApplyError> {
    check_header(ledger, &candidate)?;
    ledger.rules_schedule.allows(candidate.height, rules.known)?; // B-13
    let mut lanes = check_lanes(rules, ledger, &candidate)?;
    let checked = check_envelopes(rules, ledger, &candidate);

    let coins = Coins::read(reader, checked.coins_named(candidate.bundles))?;
    let mut working = Working::new(rules, reader, ledger, candidate.height, candidate.time_ms, coins);
    let results = execute_bundles(&mut working, &candidate, &checked, &mut lanes)?;
    let lanes = lanes.iter().map(|(submitter, lane)| (*submitter, lane.served(candidate.height))).collect();
    finish(working, &candidate, lanes, results)
}

fn check_header(ledger: &Ledger, candidate: &CandidateBlock) -> Result<(), BlockRefusal> {
    if Some(candidate.height.0) != ledger.height.0.checked_add(1) {
        return Err(BlockRefusal::HeightNotNext);
    }
    if candidate.time_ms <= ledger.time_ms {
        return Err(BlockRefusal::TimeNotAfterParent); // B-5
    }
    if ledger.height == Height::GENESIS && candidate.parent_round != 0 {
        return Err(BlockRefusal::ParentRoundOfGenesis); // B-1
    }
    if candidate.certificates.len() > CERTIFICATES_MAX {
        return Err(BlockRefusal::TooManyCertificates); // B-2
    }
    if bundle_bytes(candidate.certificates) > BLOCK_BUNDLE_BYTES_MAX {
        return Err(BlockRefusal::TooManyBytes); // B-2
    }
    let headers = candidate.certificates.iter().map(|certificate| &certificate.header);
    if !headers.eq(candidate.bundles.iter().map(|bundle| bundle.header())) {
        return Err(BlockRefusal::BundlesDoNotMatch); // B-2
    }
    Ok(())
}

/// B-3, for the bundles in the block's order.
fn check_lanes(
    rules: &Rules,
    ledger: &Ledger,
    candidate: &CandidateBlock,
) -> Result<BTreeMap<ParticipantNumber, LaneInBlock>, BlockRefusal> {
    let mut lanes = BTreeMap::new();
    for bundle in candidate.bundles {
        let submitter = bundle.slot().submitter;
        let is_registration = submitter == ParticipantNumber::REGISTRATION;
        if !is_registration && ledger.directory.get(submitter).is_none() {
            return Err(BlockRefusal::SubmitterUnknown);
        }
        let lane = lanes.entry(submitter).or_insert_with(|| LaneInBlock::start(ledger.lane(submitter)));
        lane.take(rules, bundle.header())?;
    }
    Ok(lanes)
}

/// Every envelope's verdict as far as it needs no state, in the block's order, and the coin ids that were computed for it.
struct Checked {
    verdicts: Vec<(Result<(), Rejection>, Range<usize>)>,
    inputs: Vec<CoinId>,
}

fn check_envelopes(rules: &Rules, ledger: &Ledger, candidate: &CandidateBlock) -> Checked {
    let count = candidate.bundles.iter().map(|bundle| bundle.envelopes().len()).sum();
    let mut checked = Checked { verdicts: Vec::with_capacity(count), inputs: Vec::with_capacity(count) };
    for bundle in candidate.bundles {
        let bundle_submitter = bundle.slot().submitter;
        let now = Circumstances {
            rules,
            parent: ledger,
            height: candidate.height,
            time_ms: candidate.time_ms,
            bundle_submitter,
        };
        for envelope in bundle.envelopes() {
            let first = checked.inputs.len();
            let verdict = envelope::check(&now, envelope, &mut checked.inputs);
            if verdict.is_err() {
                checked.inputs.truncate(first);
            }
            checked.verdicts.push((verdict, first..checked.inputs.len()));
        }
    }
    checked
}

impl Checked {
    /// All coins that an execution will look at.
    fn coins_named(&self, bundles: &[Arc<Bundle>]) -> Vec<CoinId> {
        let mut named = self.inputs.clone();
        for bundle in bundles {
            if let BundleBody::Confirmation(signed) = bundle.body() {
                named.extend(signed.batch.records.iter().map(|record| record.coin));
            }
        }
        named
    }
}

fn execute_bundles<R: StateReader>(
    working: &mut Working<R>,
    candidate: &CandidateBlock,
    checked: &Checked,
    lanes: &mut BTreeMap<ParticipantNumber, LaneInBlock>,
) -> Result<Vec<EnvelopeResult>, ReadError> {
    let mut verdicts = checked.verdicts.iter();
    let mut results = Vec::with_capacity(checked.verdicts.len());
    for bundle in candidate.bundles {
        let lane = lanes.get_mut(&bundle.slot().submitter).expect("check_lanes saw every bundle");
        match bundle.body() {
            BundleBody::Confirmation(signed) => {
                let code = code_of(confirmation::execute(working, signed))?;
                if code != EnvelopeResult::ACCEPTED {
                    lane.refused_bytes += u64::from(bundle.header().bytes);
                }
                results.push(EnvelopeResult { envelope: bundle.ids()[0], code });
            }
            BundleBody::Envelopes(envelopes) => {
                for (envelope, id) in envelopes.iter().zip(bundle.ids()) {
                    let (verdict, inputs) = verdicts.next().expect("one verdict an envelope, in the same order");
                    let core = &envelope.header.core;
                    let code = code_of(match verdict {
                        Err(rejection) => Err(NoVerdict::Rejected(*rejection)),
                        Ok(()) => envelope::execute(working, *id, core, &checked.inputs[inputs.clone()]),
                    })?;
                    if code != EnvelopeResult::ACCEPTED {
                        lane.refused_bytes += envelope.to_bytes().len() as u64;
                    }
                    results.push(EnvelopeResult { envelope: *id, code });
                }
            }
        }
    }
    Ok(results)
}

fn code_of(outcome: Result<(), NoVerdict>) -> Result<u16, ReadError> {
    match outcome {
        Ok(()) => Ok(EnvelopeResult::ACCEPTED),
        Err(NoVerdict::Rejected(rejection)) => Ok(rejection.number()),
        Err(NoVerdict::Read(error)) => Err(error),
    }
}

fn finish<R: StateReader>(
    mut working: Working<R>,
    candidate: &CandidateBlock,
    lanes_served: BTreeMap<ParticipantNumber, crate::lane::Lane>,
    results: Vec<EnvelopeResult>,
) -> Result<Applied, ApplyError> {
    let chain = working.chain();
    let ledger = &mut working.ledger;
    ledger.height = candidate.height;
    ledger.time_ms = candidate.time_ms;
    ledger.lanes.extend(&lanes_served);
    let hand_over = ledger.validators.bind_after(candidate.height); // G-3
    if hand_over.is_some() {
        ledger.set_hash = ledger.validators.set.hash(chain);
    }

    // L-4: contracts, feeds and obligations; records, lanes served, directory lines changed.
    let mut entries = std::mem::take(&mut working.map_entries);
    for (coin, record) in &working.records {
        let (key, value) = rebuild::entry_of_record(coin, record);
        entries.insert(key, Some(value));
    }
    for (submitter, lane) in &lanes_served {
        entries.insert(map::key_hash(EntryType::Lane, &submitter.to_bytes()), Some(lane.to_bytes()));
    }
    for number in &working.participants_changed {
        let line = ledger.directory.get(*number).expect("an update replaces a line that exists");
        entries.insert(map::key_hash(EntryType::Participant, &number.to_bytes()), Some(line.to_bytes()));
    }
    let (base, version) = (Version::after_height(candidate.height.0 - 1), Version::after_height(candidate.height.0));
    let map = map::update(working.reader, Some(base), version, entries).map_err(map_failed)?;
    ledger.map_root = TreeRoot(map.root);

    // L-1
    let mut leaves = std::mem::take(&mut working.leaves);
    if working.batches_accepted > 0 {
        ledger.last_state_leaf = StateLeaf {
            batch: ledger.batch,
            height: candidate.height,
            time_ms: candidate.time_ms,
            map_root: ledger.map_root,
            set_hash: ledger.set_hash,
            issued: ledger.issued,
            redeemed: ledger.redeemed,
        };
        leaves.push(LogLeaf::State(ledger.last_state_leaf));
    }
    let mut changes = StateChanges { map: Some(map), ..StateChanges::default() };
    append_to_log(working.reader, ledger, &leaves, &mut changes)?;

    let coins = working.coins.changes();
    // B-7
    ledger.delta = roots::delta(chain, &ledger.delta, &coins);
    if let Some(height) = snapshot_due_at(candidate.height) {
        ledger.snapshot = Some(SnapshotHash { height, hash: working.reader.snapshot_hash(height)? });
    }
    let header = BlockHeader {
        version: ledger.rules_schedule.at(candidate.height),
        height: candidate.height,
        parent: ledger.block,
        time_ms: candidate.time_ms,
        certificates_root: certificates_root(chain, candidate.certificates),
        results_root: results_root(chain, &results),
        state_root: ledger.state_root(chain),
        log_size: ledger.log_size,
        log_root: ledger.log_root,
        map_root: ledger.map_root,
        participants_hash: ledger.participants_hash,
        next_set_hash: ledger.set_hash,
        parent_round: candidate.parent_round,
    };
    ledger.block = header.hash(chain);

    changes.hand_over = hand_over;
    changes.coins_put = coins.created;
    changes.coins_put.extend(coins.changed);
    changes.coins_put.sort_unstable_by_key(|(id, _)| *id);
    changes.coins_deleted = coins.deleted;
    changes.records = working.records.into_iter().collect();
    changes.packages = working.packages.into_iter().map(|(policy, (_, bytes))| (policy, bytes)).collect();
    changes.feed_items = working.feed_items.into_values().collect();
    changes.obligations_put = working.obligations_made.into_iter().collect();
    changes.obligations_deleted = working.obligations_settled.into_iter().collect();
    for (envelope, pending) in working.pending {
        match (pending.before, pending.now) {
            (_, Some(amount)) => changes.pending_put.push((envelope, amount)),
            (Some(_), None) => changes.pending_deleted.push(envelope),
            (None, None) => {}
        }
    }
    Ok(Applied { header, results, changes, ledger: working.ledger, too_late: working.too_late })
}

/// Appends leaves to the log: their nodes, bytes and record indices into `changes`, size and root into `ledger`.
pub(crate) fn append_to_log<R: StateReader>(
    reader: &R,
    ledger: &mut Ledger,
    leaves: &[LogLeaf],
    changes: &mut StateChanges,
) -> Result<(), ReadError> {
    if leaves.is_empty() {
        return Ok(());
    }
    let first = ledger.log_size;
    let leaf_bytes: Vec<Vec<u8>> = leaves.iter().map(Encode::to_bytes).collect();
    let hashes: Vec<[u8; 32]> = leaf_bytes.iter().map(|bytes| log::leaf_hash(bytes)).collect();
    let appended = log::append(reader, first, &hashes).map_err(log_failed)?;
    (ledger.log_size, ledger.log_root) = (appended.size, TreeRoot(appended.root));
    index_leaves(first, leaves, changes);
    changes.log_nodes = appended.nodes;
    changes.log_leaves = (first..).zip(leaf_bytes).collect();
    Ok(())
}

/// Where the leaves from this index on are found again: by coin, contract, obligation, and as requests.
pub(crate) fn index_leaves(first: u64, leaves: &[LogLeaf], changes: &mut StateChanges) {
    // Two batches of a block may confirm one coin: its later leaf stays.
    let mut record_leaves = BTreeMap::new();
    for (index, leaf) in (first..).zip(leaves) {
        match leaf {
            LogLeaf::Record { coin, .. } => drop(record_leaves.insert(*coin, index)),
            LogLeaf::Request(request) => changes.request_leaves.push((index, *request)),
            LogLeaf::Contract(event) => changes.contract_leaves.push((event.contract, index)),
            LogLeaf::Receipt(receipt) => {
                changes.contract_leaves.push((receipt.contract, index));
                changes.receipt_leaves.push((receipt.obligation, index));
            }
            LogLeaf::FalseStatement(statement) => changes.contract_leaves.push((statement.contract, index)),
            _ => {}
        }
    }
    changes.record_leaves = record_leaves.into_iter().collect();
    changes.contract_leaves.sort_unstable();
    changes.receipt_leaves.sort_unstable();
}

pub(crate) fn map_failed(error: MapError) -> ReadError {
    match error {
        MapError::Read(error) => error,
        other => ReadError::new(other),
    }
}

fn log_failed(error: log::LogError) -> ReadError {
    match error {
        log::LogError::Read(error) => error,
        other => ReadError::new(other),
    }
}
