//! What everyone else reads: the small state at the tip, and documents with their proofs.
//!
//! Answers about coins are as of the newest checkpoint, never of a later height: only what is signed can be proved (L-1).

use super::LedgerError;
use super::committed::Follower;
use super::evidence::{EvidencePlace, StoredEvidence};
use super::shared::{Shared, must_be_held};
use crate::checkpoint::{OwnHead, Published, Signatures};
use consensus::port::{DecidedBlock, Tip};
use ledger_state::{Ledger, PolicyAtHeight, Rules, StateReader};
use ledger_store::{Damage, OrderedEnvelope, Readers, Snapshot};
use ledger_tree::log;
use ledger_tree::map::{self, EntryType, Version};
use ledger_types::block::Acknowledgement;
use ledger_types::bundle::BundleCertificate;
use ledger_types::coin::{Coin, coin_id, coin_link, issue_origin, origin};
use ledger_types::confirmation::Record;
use ledger_types::contract::{FalseStatement, OpenObligation, Receipt};
use ledger_types::envelope::{ClearContext, Envelope};
use ledger_types::hand_over::HandOver;
use ledger_types::log_leaf::{LogLeaf, StateLeaf};
use ledger_types::participant::ValidatorSet;
use ledger_types::request::OfficerRequest;
use ledger_types::{
    Chain, CoinId, ContractNumber, Decode, EnvelopeId, Height, List, MerkleRoot, ObligationId, Octets,
    ParticipantNumber, PolicyHash, TreeRoot, ValidatorSetHash, merkle,
};
use ledger_verify::{Answer, CoinProof, EntryInState, EntryKey, EntryProof, LeafProof, RequestProof, StateProof};
use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::Instant;
use tokio::sync::watch;

/// Rows of old map versions that one publication deletes at most: some ten milliseconds.
const PRUNED_ROWS_MAX: usize = 10_000;

#[derive(Clone)]
pub struct LedgerView {
    pub(super) shared: Arc<Shared>,
}

/// Entries in the state of a checkpoint, in the order of the keys that were asked for.
pub struct EntriesFound {
    pub published: Arc<Published>,
    pub state: StateProof,
    pub entries: Vec<EntryInState>,
}

/// A checkpoint, and a view that holds the map as of it under this version.
pub(super) struct Confirmed<'r> {
    pub published: Arc<Published>,
    pub snapshot: Snapshot<'r>,
    pub version: Version,
}

/// The version that holds the map as of a state leaf. The map of a node that joined begins at its snapshot (B-7), and is the same as
/// of an earlier leaf if no entry has changed between the two.
fn version_as_of(snapshot: &Snapshot<'_>, leaf: &StateLeaf) -> Result<Option<Version>, LedgerError> {
    let oldest = snapshot.oldest_map_height()?;
    let version = Version::after_height(leaf.height.max(oldest).0);
    if oldest <= leaf.height {
        return Ok(Some(version));
    }
    let root = map::root(snapshot, version).map_err(|error| proof_failed("the map", &error))?;
    Ok((root == Some(leaf.map_root.0)).then_some(version))
}

impl LedgerView {
    pub(super) fn new(shared: Arc<Shared>) -> Result<Self, LedgerError> {
        let view = LedgerView { shared };
        view.shared.published.send_replace(view.stored_checkpoint()?.map(Arc::new));
        Ok(view)
    }

    /// The newest checkpoint of an earlier run.
    fn stored_checkpoint(&self) -> Result<Option<Published>, LedgerError> {
        let readers = self.shared.store.readers();
        let snapshot = readers.snapshot()?;
        let Some((size, note)) = snapshot.newest_checkpoint()? else { return Ok(None) };
        let Some(bytes) = size.checked_sub(1).map(|last| snapshot.log_leaf(last)).transpose()?.flatten() else {
            return Ok(None);
        };
        let Ok(LogLeaf::State(state_leaf)) = LogLeaf::from_bytes(&bytes) else { return Ok(None) };
        // The map is served only as far back as it was kept.
        if version_as_of(&snapshot, &state_leaf)?.is_none() {
            return Ok(None);
        }
        let mut signatures = Signatures::new(self.rules());
        let root = log::root(&snapshot, size).map_err(|error| proof_failed("the log", &error))?;
        let head = OwnHead { size, root: TreeRoot(root), state_leaf };
        let Some(validators) = snapshot.validator_set(&state_leaf.set_hash)? else { return Ok(None) };
        signatures.stand_at(&head, &validators);
        signatures.take_note(&note);
        Ok(signatures.assemble(&head))
    }

    pub fn me(&self) -> ParticipantNumber {
        self.shared.me
    }

    pub fn rules(&self) -> &Rules {
        &self.shared.rules
    }

    pub fn chain(&self) -> &Chain {
        &self.shared.rules.chain
    }

    /// The small state after the last durable height.
    pub fn ledger(&self) -> Arc<Ledger> {
        self.shared.at_tip().ledger.clone()
    }

    pub fn tip(&self) -> Tip {
        self.shared.consensus_tip()
    }

    pub fn readers(&self) -> Readers {
        self.shared.store.readers()
    }

    /// The hand-overs that have bound, ascending by number (G-3).
    pub fn hand_overs(&self) -> Result<Vec<HandOver>, LedgerError> {
        Ok(self.shared.store.readers().snapshot()?.hand_overs()?)
    }

    /// The hand-over whose block this height is, if it has one.
    pub fn hand_over_of(&self, height: Height) -> Result<Option<HandOver>, LedgerError> {
        Ok(self.hand_overs()?.into_iter().find(|hand_over| hand_over.header.height == height))
    }

    /// The set that a state leaf of this ledger names: it cosigns at that size (G-3).
    pub fn validator_set(&self, hash: &ValidatorSetHash) -> Result<Option<ValidatorSet>, LedgerError> {
        Ok(self.shared.store.readers().snapshot()?.validator_set(hash)?)
    }

    /// What readers of the stored ledger could not read since the start.
    pub fn damage(&self) -> Damage {
        self.shared.store.damage()
    }

    pub fn committed_at(&self) -> Instant {
        self.shared.at_tip().committed_at
    }

    pub fn heights(&self) -> watch::Receiver<Height> {
        self.shared.heights.subscribe()
    }

    pub fn heads(&self) -> watch::Receiver<OwnHead> {
        self.shared.heads.subscribe()
    }

    /// Every height from `height` on, once, in order.
    pub fn follow_from(&self, height: Height) -> Follower {
        Follower::new(self.shared.clone(), height)
    }

    pub fn coins(&self, ids: &[CoinId]) -> Result<Vec<Option<Coin>>, LedgerError> {
        let readers = self.shared.store.readers();
        let snapshot = readers.snapshot()?;
        ids.iter().map(|id| Ok(snapshot.coin(id)?)).collect()
    }

    /// A loan that is not returned.
    pub fn obligation(&self, id: &ObligationId) -> Result<Option<OpenObligation>, LedgerError> {
        let readers = self.shared.store.readers();
        readers.snapshot()?.obligation(id).map_err(|error| proof_failed("an obligation", &error))
    }

    /// A deployed policy with what its feeds say at the tip: as the next height would be judged.
    pub fn policy(&self, policy: &PolicyHash) -> Result<PolicyAtHeight, LedgerError> {
        let readers = self.shared.store.readers();
        let (snapshot, ledger) = (readers.snapshot()?, self.ledger());
        PolicyAtHeight::read(&snapshot, &ledger.feeds, policy).map_err(|error| proof_failed("a policy", &error))
    }

    pub fn record(&self, coin: &CoinId) -> Result<Option<Record>, LedgerError> {
        Ok(self.shared.store.readers().snapshot()?.record(coin)?)
    }

    /// Where an envelope was accepted, or else first refused.
    pub fn ordered(&self, id: &EnvelopeId) -> Result<Option<OrderedEnvelope>, LedgerError> {
        Ok(self.shared.store.readers().snapshot()?.envelope(id)?)
    }

    /// An ordered envelope. Reads the one bundle that holds it, not its neighbours.
    pub fn envelope(&self, id: &EnvelopeId) -> Result<Option<(Height, Envelope)>, LedgerError> {
        let Some(ordered) = self.ordered(id)? else { return Ok(None) };
        let Some((certificate, place)) = self.certificate_at(&ordered)? else { return Ok(None) };
        let digest = certificate.digest(self.chain());
        let recent = self.shared.recent(ordered.height);
        let recent = recent.and_then(|committed| committed.bundles.iter().find(|b| b.digest() == digest).cloned());
        let bundle = match recent {
            Some(bundle) => bundle,
            None => {
                let missing = || self.shared.missing(ordered.height, &format!("bundle {digest}"));
                self.shared.store.bundles().get(&digest)?.ok_or_else(missing)?
            }
        };
        // The index knows half of the id.
        let is_this = bundle.ids().get(place) == Some(id);
        let envelope = bundle.envelopes().get(place).filter(|_| is_this);
        Ok(envelope.cloned().map(|envelope| (ordered.height, envelope)))
    }

    /// Whose lane carried an ordered item.
    pub fn submitter_of(&self, ordered: &OrderedEnvelope) -> Result<Option<ParticipantNumber>, LedgerError> {
        Ok(self.certificate_at(ordered)?.map(|(certificate, _)| certificate.header.slot.submitter))
    }

    /// The certificate of the bundle that an ordered item is in, and the item's place in that bundle.
    fn certificate_at(&self, ordered: &OrderedEnvelope) -> Result<Option<(BundleCertificate, usize)>, LedgerError> {
        let Some(block) = self.shared.store.readers().snapshot()?.block(ordered.height)? else { return Ok(None) };
        let mut place = ordered.position as usize;
        for certificate in block.certificates.into_vec() {
            let count = usize::from(certificate.header.count);
            if place < count {
                return Ok(Some((certificate, place)));
            }
            place -= count;
        }
        Ok(None)
    }

    /// B-2: what "acknowledged" means, for anyone to verify.
    pub fn acknowledgement(&self, id: &EnvelopeId) -> Result<Option<Acknowledgement>, LedgerError> {
        let Some(OrderedEnvelope { height, position, .. }) = self.ordered(id)? else { return Ok(None) };
        let verdicts = self.shared.verdicts(height)?;
        // The index knows half of the id.
        let result = verdicts.results.get(position as usize).filter(|result| result.envelope == *id).copied();
        let Some(result) = result else { return Ok(None) };
        let Some(path) = merkle::path(self.chain(), &verdicts.leaves, position as usize) else { return Ok(None) };
        let path =
            List::new(path.into_iter().map(MerkleRoot).collect()).expect("a block has fewer than 2^32 envelopes");
        Ok(Some(Acknowledgement {
            header: verdicts.header.clone(),
            certificate: verdicts.certificate.clone(),
            result,
            index: position,
            count: u32::try_from(verdicts.leaves.len()).expect("a block has fewer than 2^32 envelopes"),
            path,
        }))
    }

    /// Blocks and envelopes of this height and of every later one are held here.
    pub fn first_height(&self) -> Result<Height, LedgerError> {
        Ok(self.shared.store.readers().snapshot()?.first_height()?)
    }

    /// A committed block with its certificate, and the code of each of its items.
    pub fn decided(&self, height: Height) -> Result<Option<(DecidedBlock, Vec<u16>)>, LedgerError> {
        let readers = self.shared.store.readers();
        let snapshot = readers.snapshot()?;
        must_be_held(&snapshot, height)?;
        let (block, certificate) = (snapshot.block(height)?, snapshot.certificate(height)?);
        let codes = snapshot.result_codes(height)?.unwrap_or_default();
        Ok(block.zip(certificate).map(|(block, certificate)| (DecidedBlock { block, certificate }, codes)))
    }

    /// The height as roles see it.
    pub fn committed_at_height(&self, height: Height) -> Result<Arc<super::Committed>, LedgerError> {
        match self.shared.recent(height) {
            Some(committed) => Ok(committed),
            None => Ok(Arc::new(self.shared.read_committed(height)?)),
        }
    }

    pub fn published(&self) -> Option<Arc<Published>> {
        self.shared.published.borrow().clone()
    }

    /// Every checkpoint as it becomes complete; whoever is slow sees the newest.
    pub fn follow_published(&self) -> watch::Receiver<Option<Arc<Published>>> {
        self.shared.published.subscribe()
    }

    /// A checkpoint that is complete. It is stored before it is shown; older map versions are let go.
    pub fn publish(&self, published: Published) {
        let newer = self.published().is_none_or(|before| {
            published.size > before.size
                || (published.size == before.size && published.signed_at_s > before.signed_at_s)
        });
        if !newer {
            return;
        }
        if let Err(error) = self.shared.store.put_checkpoint(published.size, &published.note) {
            tracing::error!(%error, "cannot store the checkpoint");
            return;
        }
        let height = published.state_leaf.height;
        // Shown before what it supersedes goes: whoever reads the one before finds the next when the map is pruned.
        self.shared.published.send_replace(Some(Arc::new(published)));
        if let Err(error) = self.shared.store.prune(height, PRUNED_ROWS_MAX) {
            tracing::warn!(%error, "cannot prune the map");
        }
    }

    /// The newest checkpoint with the map as of it; none if there is no checkpoint, or the map of this node begins after it with
    /// something else in it.
    pub(super) fn confirmed<'r>(&self, readers: &'r Readers) -> Result<Option<Confirmed<'r>>, LedgerError> {
        let mut before: Option<Arc<Published>> = None;
        loop {
            let Some(published) = self.published() else { return Ok(None) };
            let snapshot = readers.snapshot()?;
            if let Some(version) = version_as_of(&snapshot, &published.state_leaf)? {
                return Ok(Some(Confirmed { published, snapshot, version }));
            }
            // A later checkpoint may have let that version go between the two; it is shown before that.
            if before.is_some_and(|before| Arc::ptr_eq(&before, &published)) {
                return Ok(None);
            }
            before = Some(published);
        }
    }

    /// What the registry says of a coin as of the newest checkpoint, with the proof; none if there is no checkpoint.
    pub fn prove_coin(&self, coin: CoinId) -> Result<Option<(Arc<Published>, CoinProof)>, LedgerError> {
        let readers = self.shared.store.readers();
        let Some(Confirmed { published, snapshot: reader, version }) = self.confirmed(&readers)? else {
            return Ok(None);
        };
        let read = |error: &dyn std::fmt::Display| proof_failed(&coin.to_string(), error);
        let key_hash = map::key_hash(EntryType::Record, &coin.0);
        let found = map::prove(&reader, version, &key_hash).map_err(|error| read(&error))?;
        let answer = match &found.value {
            None => Answer::Absent,
            Some(bytes) => Answer::Present(Record::from_bytes(bytes).map_err(|error| read(&error))?),
        };
        let state = self.prove_state_in(&reader, &published)?;
        Ok(Some((published, CoinProof { state, coin, answer, map_proof: found.proof })))
    }

    /// At most `limit` requests of the officers in a checkpoint's log, newest first.
    pub fn requests(&self, published: &Published, limit: usize) -> Result<Vec<(u64, OfficerRequest)>, LedgerError> {
        let readers = self.shared.store.readers();
        let reader = readers.snapshot()?;
        Ok(reader.requests_before(published.size).take(limit).collect::<Result<_, _>>()?)
    }

    /// The request that stands at this place of a checkpoint's log, with the proof; `None` if something else does.
    pub fn prove_request(&self, index: u64, published: &Published) -> Result<Option<RequestProof>, LedgerError> {
        let readers = self.shared.store.readers();
        let reader = readers.snapshot()?;
        if index >= published.size {
            return Ok(None);
        }
        let read = |error: &dyn std::fmt::Display| proof_failed("a request", error);
        let Some(bytes) = reader.log_leaf(index)? else { return Ok(None) };
        let Ok(LogLeaf::Request(request)) = LogLeaf::from_bytes(&bytes) else { return Ok(None) };
        let path = log::prove_inclusion(&reader, index, published.size).map_err(|error| read(&error))?;
        let path = List::new(path.into_iter().map(TreeRoot).collect()).map_err(|error| read(&error))?;
        Ok(Some(RequestProof { state: self.prove_state_in(&reader, published)?, request, index, path }))
    }

    /// An entry of the map as of the newest checkpoint, or its absence, with the proof; none if there is no checkpoint.
    pub fn prove_entry(&self, key: EntryKey) -> Result<Option<(Arc<Published>, EntryProof)>, LedgerError> {
        let Some(mut found) = self.prove_entries(&[key])? else { return Ok(None) };
        let EntryInState { key, value, map_proof } = found.entries.pop().expect("one a key");
        Ok(Some((found.published, EntryProof { state: found.state, key, value, map_proof })))
    }

    /// The same of several keys, all in the state of one checkpoint, in their order.
    pub fn prove_entries(&self, keys: &[EntryKey]) -> Result<Option<EntriesFound>, LedgerError> {
        let readers = self.shared.store.readers();
        let Some(Confirmed { published, snapshot: reader, version }) = self.confirmed(&readers)? else {
            return Ok(None);
        };
        let read = |error: &dyn std::fmt::Display| proof_failed("an entry", error);
        let prove = |key: &EntryKey| {
            let found = map::prove(&reader, version, &key.hash()).map_err(|error| read(&error))?;
            let value = found.value.map(Octets::new).transpose().map_err(|error| read(&error))?;
            Ok(EntryInState { key: *key, value, map_proof: found.proof })
        };
        let entries = keys.iter().map(prove).collect::<Result<_, LedgerError>>()?;
        let state = self.prove_state_in(&reader, &published)?;
        Ok(Some(EntriesFound { published, state, entries }))
    }

    /// At most `limit` receipts under a contract, with their places in the log below `before`, newest first.
    pub fn receipts(
        &self,
        contract: ContractNumber,
        before: u64,
        limit: usize,
    ) -> Result<Vec<(u64, Receipt)>, LedgerError> {
        let of_receipts = |leaf| if let LogLeaf::Receipt(receipt) = leaf { Some(receipt) } else { None };
        self.leaves_of(contract, before, limit, of_receipts)
    }

    /// The same of statements that officers found to be false.
    pub fn false_statements(
        &self,
        contract: ContractNumber,
        before: u64,
        limit: usize,
    ) -> Result<Vec<(u64, FalseStatement)>, LedgerError> {
        let of_statements = |leaf| if let LogLeaf::FalseStatement(statement) = leaf { Some(statement) } else { None };
        self.leaves_of(contract, before, limit, of_statements)
    }

    fn leaves_of<T>(
        &self,
        contract: ContractNumber,
        before: u64,
        limit: usize,
        wanted: impl Fn(LogLeaf) -> Option<T>,
    ) -> Result<Vec<(u64, T)>, LedgerError> {
        let readers = self.shared.store.readers();
        let reader = readers.snapshot()?;
        let mut found = Vec::new();
        for index in reader.contract_leaves_before(contract, before) {
            if found.len() == limit {
                break;
            }
            let index = index?;
            let leaf = reader.log_leaf(index)?.and_then(|bytes| LogLeaf::from_bytes(&bytes).ok());
            found.extend(leaf.and_then(&wanted).map(|wanted| (index, wanted)));
        }
        Ok(found)
    }

    /// A leaf of a checkpoint's log that is about a key of the map (PROTOCOL 10.10), with the proof that it stands there.
    pub fn prove_leaf(&self, index: u64, published: &Published) -> Result<Option<LeafProof>, LedgerError> {
        let readers = self.shared.store.readers();
        self.prove_leaf_in(&readers.snapshot()?, index, published)
    }

    fn prove_leaf_in(
        &self,
        reader: &Snapshot<'_>,
        index: u64,
        published: &Published,
    ) -> Result<Option<LeafProof>, LedgerError> {
        let read = |error: &dyn std::fmt::Display| proof_failed("a leaf", error);
        if index >= published.size {
            return Ok(None);
        }
        let Some(bytes) = reader.log_leaf(index)? else { return Ok(None) };
        let leaf = LogLeaf::from_bytes(&bytes).map_err(|error| read(&error))?;
        let path = log::prove_inclusion(reader, index, published.size).map_err(|error| read(&error))?;
        let path = List::new(path.into_iter().map(TreeRoot).collect()).map_err(|error| read(&error))?;
        Ok(Some(LeafProof { state: self.prove_state_in(reader, published)?, leaf, index, path }))
    }

    /// The receipt of a returned loan, with the proof that it stands in a checkpoint's log.
    pub fn prove_receipt(
        &self,
        id: &ObligationId,
        published: &Published,
    ) -> Result<Option<(Receipt, LeafProof)>, LedgerError> {
        let readers = self.shared.store.readers();
        let reader = readers.snapshot()?;
        let Some(index) = reader.leaf_of_receipt(id)? else { return Ok(None) };
        let Some(proof) = self.prove_leaf_in(&reader, index, published)? else { return Ok(None) };
        let LogLeaf::Receipt(receipt) = &proof.leaf else { return Ok(None) };
        Ok(Some((receipt.clone(), proof)))
    }

    /// The state leaf of a checkpoint, with the proof.
    pub fn prove_state(&self, published: &Published) -> Result<StateProof, LedgerError> {
        let readers = self.shared.store.readers();
        let reader = readers.snapshot()?;
        self.prove_state_in(&reader, published)
    }

    pub(super) fn prove_state_in(
        &self,
        reader: &Snapshot<'_>,
        published: &Published,
    ) -> Result<StateProof, LedgerError> {
        let read = |error: &dyn std::fmt::Display| proof_failed("the state leaf", error);
        let path = log::prove_inclusion(reader, published.size - 1, published.size).map_err(|error| read(&error))?;
        Ok(StateProof {
            genesis_hash: self.chain().genesis_hash(),
            state_leaf: published.state_leaf,
            path: List::new(path.into_iter().map(TreeRoot).collect()).map_err(|error| read(&error))?,
            checkpoint: Octets::new(published.note.clone().into_bytes()).map_err(|error| read(&error))?,
        })
    }

    /// The ids of an ordered envelope's outputs: public, since notes and custodies are.
    pub fn output_coins(&self, envelope: &Envelope) -> Vec<CoinId> {
        let (chain, core) = (self.chain(), &envelope.header.core);
        let origin = match &core.context {
            ClearContext::Issue(issue) => issue_origin(chain, issue.series, issue.issue_number),
            _ => origin(chain, &core.input_ids(chain)),
        };
        let link = |(index, output): (u8, &ledger_types::envelope::Output)| {
            coin_id(chain, &coin_link(chain, &origin, index, &output.note), &output.custody)
        };
        (0u8..).zip(&core.outputs).map(link).collect()
    }

    /// At most `limit` pieces of evidence behind this place, in the order of their heights.
    pub fn evidence(
        &self,
        after: Option<EvidencePlace>,
        limit: usize,
    ) -> Result<Vec<(EvidencePlace, StoredEvidence)>, LedgerError> {
        let readers = self.shared.store.readers();
        let snapshot = readers.snapshot()?;
        let from = after.map_or((Height(0), [0; 32]), |after| (after.height, after.hash));
        let mut evidence = Vec::new();
        for row in snapshot.evidence_from(from) {
            let ((height, hash), bytes) = row?;
            let place = EvidencePlace { height, hash };
            if after == Some(place) {
                continue;
            }
            if evidence.len() == limit {
                break;
            }
            evidence.push((place, StoredEvidence::read(height, &bytes)?));
        }
        Ok(evidence)
    }

    /// Counters for the metrics page: name, help, value.
    pub fn stage_totals(&self) -> Vec<(&'static str, &'static str, f64)> {
        let stages = &self.shared.stages;
        let load = |counter: &std::sync::atomic::AtomicU64| counter.load(Ordering::Relaxed) as f64;
        vec![
            ("execute_seconds_total", "Time in executing blocks.", load(&stages.execute_us) / 1e6),
            ("commit_seconds_total", "Time in making heights durable.", load(&stages.commit_us) / 1e6),
            ("envelopes_total", "Envelopes and batches committed since the start.", load(&stages.envelopes)),
            ("envelopes_refused_total", "Of them refused.", load(&stages.refused)),
            ("bundle_bytes_total", "Bytes of committed bundles since the start.", load(&stages.bytes)),
            ("heights_total", "Heights committed since the start.", load(&stages.heights)),
        ]
    }
}

pub(super) fn proof_failed(what: &str, cause: &dyn std::fmt::Display) -> LedgerError {
    LedgerError::Proof { what: what.to_owned(), cause: cause.to_string() }
}
