//! Heights below a floor are deleted: blocks, certificates, results, where envelopes were ordered, and the bundles.
//!
//! What stays true here:
//! - The first height held moves within the write that deletes rows: no reader is promised what is going, and what a crash breaks
//!   off goes on with the next call.
//! - A bundle's file goes after the rows of its last height.
//! - What is left is what a folder holds that begins at a snapshot ([`crate::joining`]): the state, log and map whole, and of the
//!   heights before the first the last [`BLOCKS`] blocks with certificates. No rule of the transition reads more (B-4).

use ledger_types::Height;
use ledger_types::block::Block;

use crate::columns::{self, MetaRow, envelope_prefix};
use crate::database::{View, Writes};
use crate::error::StoreError;
use crate::offer::BLOCKS;
use crate::snapshot::StateView;
use crate::store::Store;

/// What a call of [`Store::prune_history`] did.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct HistoryPruned {
    pub first_height: Height,
    /// Everything that the floor allows is deleted; else the next call goes on.
    pub done: bool,
}

impl Store {
    /// Deletes what is of heights below `floor`, the tip's at most. Stops after about `rows_max` deleted rows and one bundle file, so
    /// that a caller can do it between heights; one height is never split. Commits wait meanwhile.
    pub fn prune_history(&self, floor: Height, rows_max: usize) -> Result<HistoryPruned, StoreError> {
        if let Err(error) = self.bundles.find_oldest() {
            // Noted as damage; the rows go without their file.
            tracing::warn!(%error, "the oldest file of bundles cannot be read, and stays");
        }
        let _one_writer = self.committing.lock().expect("no thread panics while it commits");
        let database = &self.shared.database;
        let state = StateView(database.view());
        let (before, floor) = (state.first_height()?, floor.min(self.tip().ledger.height));
        let (mut first, mut writes) = (before, database.writes());
        while first < floor && writes.rows() < rows_max {
            self.delete_height(&state.0, &mut writes, first)?;
            first = first.next();
        }
        if first > before {
            writes.put(&columns::META, &MetaRow::HistoryFrom, &first.0.to_le_bytes().to_vec())?;
            writes.commit()?;
        }
        let deleted = self.bundles.delete_oldest(first)?;
        Ok(HistoryPruned { first_height: first, done: first >= floor && !deleted })
    }

    fn delete_height(&self, view: &View<'_>, writes: &mut Writes<'_>, height: Height) -> Result<(), StoreError> {
        let missing = |what: String| view.corrupt(format!("height {height}"), format!("{what} is missing"));
        let block: Block = view.get(&columns::BLOCKS, &height)?.ok_or_else(|| missing("its block".into()))?;
        let mut envelopes = Vec::new();
        for certificate in &block.certificates {
            let digest = certificate.digest(&self.rules().chain);
            let bundle = self.bundles.get(&digest)?.ok_or_else(|| missing(format!("bundle {digest}")))?;
            envelopes.extend(bundle.ids().iter().map(envelope_prefix));
            writes.delete(&columns::BUNDLES, &digest);
        }
        envelopes.sort_unstable();
        let rows = view.get_many(&columns::ENVELOPES, &envelopes)?;
        // One that was refused here may have been accepted later.
        let of_here = envelopes.iter().zip(rows).filter(|(_, row)| row.is_some_and(|row| row.height == height.0));
        writes.delete_all(&columns::ENVELOPES, of_here.map(|(prefix, _)| prefix));
        writes.delete(&columns::RESULTS, &height);

        let Some(last) = height.0.checked_sub(BLOCKS).filter(|last| *last > 0).map(Height) else { return Ok(()) };
        if let Some(certificate) = view.get(&columns::COMMIT_CERTIFICATES, &last)? {
            writes.delete(&columns::BLOCK_HEIGHTS, &certificate.block);
        }
        writes.delete(&columns::COMMIT_CERTIFICATES, &last);
        writes.delete(&columns::BLOCKS, &last);
        Ok(())
    }
}
