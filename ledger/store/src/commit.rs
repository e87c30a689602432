//! One height, one write (B-8).
//!
//! What stays true here: a height is written once, on its parent, with a certificate of the validators that its parent names,
//! and after its bundles; what stands in the write is listed in one function, [`Store::write`].

use std::sync::Arc;

use ledger_state::{Applied, Ledger, PendingHandOver, StateChanges};
use ledger_types::block::{Block, EnvelopeResult};
use ledger_types::contract::OpenObligation;
use ledger_types::hand_over::HandOver;
use ledger_types::rejection::Rejection;
use ledger_types::vote::CommitCertificate;
use ledger_types::{BundleDigest, EnvelopeId, Height, ObligationId};

use crate::columns::{self, DueKey, EnvelopeRow, MetaRow, StaleRow, envelope_prefix};
use crate::database::Writes;
use crate::error::{CommitError, CommitRefusal, StoreError};
use crate::store::{Store, Tip};

/// A decided block and what its execution on the tip gave.
#[derive(Clone, Copy, Debug)]
pub struct CommittedHeight<'a> {
    pub block: &'a Block,
    pub certificate: &'a CommitCertificate,
    pub applied: &'a Applied,
}

impl Store {
    /// Makes a height durable; returns when it is. Its bundles must be stored.
    pub fn commit(&self, height: CommittedHeight<'_>) -> Result<Arc<Tip>, CommitError> {
        let _one_writer = self.committing.lock().expect("no thread panics while it commits");
        let tip = self.tip();
        self.check(&tip, &height)?;

        let digests: Vec<BundleDigest> =
            height.block.certificates.iter().map(|c| c.digest(&self.rules().chain)).collect();
        let ordered = self.bundles.order(&digests).map_err(CommitRefusal::BundleNotStored)?;
        let mut writes = self.shared.database.writes();
        self.write(&mut writes, &height)?;
        self.bundles.write(&mut writes, height.block.header.height, &ordered)?;
        if height.applied.ledger.set_hash != tip.ledger.set_hash {
            let ledger = &height.applied.ledger;
            writes.put(&columns::VALIDATOR_SETS, &ledger.set_hash, &*ledger.validators.set)?;
        }
        writes.commit()?;

        self.bundles.ordered(ordered);
        let tip = Arc::new(Tip {
            ledger: height.applied.ledger.clone(),
            header: Some(height.block.header.clone()),
            certificate: Some(height.certificate.clone()),
        });
        *self.shared.tip.write().expect("no thread panics while it holds the tip") = tip.clone();
        self.hashing.take(tip.ledger.height)?;
        Ok(tip)
    }

    fn check(
        &self,
        tip: &Tip,
        CommittedHeight { block, certificate, applied }: &CommittedHeight<'_>,
    ) -> Result<(), CommitRefusal> {
        let (height, standing) = (block.header.height, tip.ledger.height);
        if height <= standing {
            return Err(CommitRefusal::Committed { height, tip: standing });
        }
        if height != standing.next() {
            return Err(CommitRefusal::Gap { height, tip: standing });
        }
        if block.header.parent != tip.ledger.block {
            return Err(CommitRefusal::OtherParent { parent: block.header.parent, tip: tip.ledger.block });
        }
        let chain = &self.rules().chain;
        let hash = block.hash(chain);
        if block.header != applied.header || applied.ledger.height != height || applied.ledger.block != hash {
            return Err(CommitRefusal::OtherExecution);
        }
        if certificate.height != height || certificate.block != hash {
            return Err(CommitRefusal::OtherCertificate);
        }
        // Consensus has verified it; but what is written here is what the next start demands.
        certificate.verify(chain, &tip.ledger.validators.set)?;
        Ok(())
    }

    /// Everything of a height but its bundles' rows.
    fn write(
        &self,
        writes: &mut Writes<'_>,
        CommittedHeight { block, certificate, applied }: &CommittedHeight<'_>,
    ) -> Result<(), StoreError> {
        let height = block.header.height;
        writes.put(&columns::BLOCKS, &height, block)?;
        writes.put(&columns::COMMIT_CERTIFICATES, &height, certificate)?;
        writes.put(&columns::BLOCK_HEIGHTS, &applied.ledger.block, &height)?;
        let codes = applied.results.iter().flat_map(|result| result.code.to_le_bytes()).collect();
        writes.put(&columns::RESULTS, &height, &codes)?;
        self.write_envelopes(writes, height, &applied.results)?;
        write_changes(writes, &applied.changes)?;
        if let Some(PendingHandOver { order, officers, .. }) = applied.changes.hand_over.clone() {
            let (header, certificate) = (block.header.clone(), (*certificate).clone());
            let hand_over = HandOver { order, officers, header, certificate };
            writes.put(&columns::HAND_OVERS, &hand_over.order.number, &hand_over)?;
        }
        write_ledger(writes, &applied.ledger)
    }

    /// An envelope may be ordered again after a refusal that was not final, and a refusal never hides an acceptance: a refused
    /// envelope is entered only where nothing stands, and an accepted one everywhere. A copy in a stranger's bundle is not
    /// entered at all: its refusal is the stranger's, and says nothing about the envelope (PROTOCOL.md, 11.1).
    fn write_envelopes(
        &self,
        writes: &mut Writes<'_>,
        height: Height,
        results: &[EnvelopeResult],
    ) -> Result<(), StoreError> {
        let row = |position: usize| EnvelopeRow { height: height.0, position: position as u32 };
        let accepted = |result: &EnvelopeResult| result.code == EnvelopeResult::ACCEPTED;
        let is_a_copy = |result: &EnvelopeResult| result.code == Rejection::SubmitterIsNotTheBundles.number();
        let place = |(position, result): (usize, &EnvelopeResult)| (envelope_prefix(&result.envelope), row(position));

        let refused = |result: &EnvelopeResult| !accepted(result) && !is_a_copy(result);
        let refused: Vec<_> = results.iter().enumerate().filter(|(_, result)| refused(result)).map(place).collect();
        if !refused.is_empty() {
            let prefixes: Vec<_> = refused.iter().map(|(prefix, _)| *prefix).collect();
            let known = self.shared.database.view().get_many(&columns::ENVELOPES, &prefixes)?;
            let unknown = refused.iter().zip(known).filter(|(_, known)| known.is_none());
            writes.put_all(&columns::ENVELOPES, unknown.map(|((prefix, row), _)| (prefix, row)))?;
        }
        let mut entered: Vec<_> =
            results.iter().enumerate().filter(|(_, result)| accepted(result)).map(place).collect();
        entered.sort_unstable_by_key(|(prefix, _)| *prefix);
        writes.put_all(&columns::ENVELOPES, entered.iter().map(|(prefix, row)| (prefix, row)))
    }
}

pub(crate) fn write_ledger(writes: &mut Writes<'_>, ledger: &Ledger) -> Result<(), StoreError> {
    writes.put(&columns::LEDGER, &(), ledger)?;
    writes.put(&columns::META, &MetaRow::Height, &ledger.height.0.to_le_bytes().to_vec())
}

pub(crate) fn write_changes(writes: &mut Writes<'_>, changes: &StateChanges) -> Result<(), StoreError> {
    let StateChanges {
        coins_put,
        coins_deleted,
        records,
        pending_put,
        pending_deleted,
        map,
        log_nodes,
        log_leaves,
        record_leaves,
        // Stored with the block that it binds after.
        hand_over: _,
        packages,
        feed_items,
        obligations_put,
        obligations_deleted,
        contract_leaves,
        receipt_leaves,
        request_leaves,
    } = changes;
    writes.put_coins(coins_put);
    writes.delete_coins(coins_deleted);
    writes.put_all(&columns::RECORDS, records.iter().map(|(id, record)| (id, record)))?;
    writes.put_all(&columns::PENDING_AMOUNTS, pending_put.iter().map(|(id, amount)| (id, amount)))?;
    writes.delete_all(&columns::PENDING_AMOUNTS, pending_deleted as &Vec<EnvelopeId>);
    writes.put_all(&columns::PACKAGES, packages.iter().map(|(policy, package)| (policy, package)))?;
    for item in feed_items {
        writes.put(&columns::FEED_ITEMS, &(item.head.feed, item.head.period, item.head.vintage), item)?;
    }
    for (id, open) in obligations_put {
        write_obligation(writes, id, open)?;
    }
    for (id, open) in obligations_deleted {
        writes.delete(&columns::OBLIGATIONS, id);
        writes.delete(&columns::OBLIGATIONS_DUE, &due_key(id, open));
    }
    if let Some(map) = map {
        writes.put_all(&columns::MAP_NODES, map.nodes.iter().map(|(key, node)| (key, node)))?;
        if !map.stale_nodes.is_empty() {
            writes.put(&columns::MAP_STALE, &map.version.get(), &StaleRow { nodes: map.stale_nodes.clone() })?;
        }
    }
    writes.put_all(&columns::LOG_NODES, log_nodes.iter().map(|(position, hash)| (position, hash)))?;
    writes.put_all(&columns::LOG_LEAVES, log_leaves.iter().map(|(index, leaf)| (index, leaf)))?;
    writes.put_all(&columns::COIN_LEAVES, record_leaves.iter().map(|(id, index)| (id, index)))?;
    for leaf in contract_leaves {
        writes.put(&columns::CONTRACT_LEAVES, leaf, &Vec::new())?;
    }
    writes.put_all(&columns::RECEIPT_LEAVES, receipt_leaves.iter().map(|(id, index)| (id, index)))?;
    writes.put_all(&columns::REQUEST_LEAVES, request_leaves.iter().map(|(index, request)| (index, request)))
}

pub(crate) fn write_obligation(
    writes: &mut Writes<'_>,
    id: &ObligationId,
    open: &OpenObligation,
) -> Result<(), StoreError> {
    writes.put(&columns::OBLIGATIONS, id, open)?;
    writes.put(&columns::OBLIGATIONS_DUE, &due_key(id, open), &Vec::new())
}

fn due_key(id: &ObligationId, open: &OpenObligation) -> DueKey {
    ((open.bank, open.obligation.contract), open.obligation.due_ms, *id)
}
