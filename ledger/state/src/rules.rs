//! The parameters of one chain: its genesis, and the hash of it that separates all others.

use ledger_types::Chain;
use ledger_types::genesis::Genesis;
use std::sync::Arc;

#[derive(Clone, Debug)]
pub struct Rules {
    pub chain: Chain,
    /// Checked by [`Genesis::check`]. Its directory is the first one; the current one is the ledger's.
    pub genesis: Arc<Genesis>,
}

impl Rules {
    pub fn new(genesis: Genesis) -> Self {
        Rules { chain: genesis.chain(), genesis: Arc::new(genesis) }
    }
}
