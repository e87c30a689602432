//! Old versions of the registry's map are deleted. Old heights are another matter: [`crate::history`].
//!
//! What stays true here: the versions of the last state leaf, of the tip, and of every height from the floor on stay whole. A
//! prune that is interrupted goes on with the next one.

use ledger_tree::map::{Version, prunable};
use ledger_types::Height;

use crate::columns::{self, MetaRow};
use crate::database::Scan;
use crate::error::StoreError;
use crate::store::Store;

/// What a call of [`Store::prune`] did.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Pruned {
    pub rows: usize,
    /// The map can be read as of this height and every later one.
    pub oldest: Height,
    /// Everything that the floor allows is deleted; else the next call goes on.
    pub done: bool,
}

impl Store {
    /// Deletes what only versions of the map below `floor` need: the oldest height at which a checkpoint is still served. Stops
    /// after about `rows_max` deleted rows, so that a caller can do it between heights; one version is never split.
    pub fn prune(&self, floor: Height, rows_max: usize) -> Result<Pruned, StoreError> {
        let mut next = self.pruning.lock().expect("no thread panics while it prunes");
        let tip = self.tip();
        let oldest = floor.min(tip.ledger.last_state_leaf.height).min(tip.ledger.height);
        let oldest_kept = Version::after_height(oldest.0);

        let database = &self.shared.database;
        let view = database.view();
        let mut writes = database.writes();
        // Before the first deletion, and with it: no reader is promised a version that is going.
        let before = crate::snapshot::StateView(database.view()).number(MetaRow::PrunedTo)?.unwrap_or_default();
        writes.put(&columns::META, &MetaRow::PrunedTo, &before.max(oldest.0).to_le_bytes().to_vec())?;

        let (mut rows, mut done, mut reached) = (0, true, *next);
        for row in view.scan(&columns::MAP_STALE, Scan::all().starting_at(&*next)) {
            let (version, stale) = row?;
            if !prunable(Version::from_stored(version), oldest_kept) {
                break;
            }
            if rows >= rows_max {
                done = false;
                break;
            }
            reached = version.saturating_add(1);
            writes.delete_all(&columns::MAP_NODES, &stale.nodes);
            rows += stale.nodes.len();
            writes.delete(&columns::MAP_STALE, &version);
        }
        writes.commit()?;
        *next = reached;
        Ok(Pruned { rows, oldest: Height(before.max(oldest.0)), done })
    }
}
