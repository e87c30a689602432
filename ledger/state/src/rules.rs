//! The parameters of one chain: its genesis, the hash of it that separates all others, and how far this program can follow it.

use ledger_types::Chain;
use ledger_types::genesis::Genesis;
use ledger_types::ids::RulesVersion;
use ledger_types::rules::RULES_KNOWN;
use std::sync::Arc;

#[derive(Clone, Debug)]
pub struct Rules {
    pub chain: Chain,
    /// Checked by [`Genesis::check`]. Its directory is the first one; the current one is the ledger's.
    pub genesis: Arc<Genesis>,
    /// The newest version of the rules that is executed (B-13).
    pub known: RulesVersion,
}

impl Rules {
    pub fn new(genesis: Genesis) -> Self {
        Rules { chain: genesis.chain(), genesis: Arc::new(genesis), known: RULES_KNOWN }
    }
}
