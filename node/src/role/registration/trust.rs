//! Whom registration believes, height by height. It follows blocks, so it knows of a hand-over (G-3) before the newest checkpoint
//! does: each proof is checked by the set of its own state.

use ledger_types::hand_over::HandOver;
use ledger_types::{Chain, Height};
use ledger_verify::Trust;
use std::sync::{Arc, RwLock};

#[derive(Clone)]
pub struct ChainTrust {
    genesis: Arc<Trust>,
    /// Verified, ascending by number.
    hand_overs: Arc<RwLock<Vec<HandOver>>>,
}

impl ChainTrust {
    pub fn new(genesis: Trust, hand_overs: Vec<HandOver>) -> Self {
        ChainTrust { genesis: Arc::new(genesis), hand_overs: Arc::new(RwLock::new(hand_overs)) }
    }

    pub fn chain(&self) -> &Chain {
        self.genesis.chain()
    }

    /// Trust in the set that decides the height after this one.
    pub fn after(&self, height: Height) -> Trust {
        let mut trust = Trust::clone(&self.genesis);
        // One that does not hold is none: what comes after it is then named `omitted_update`.
        let _ = trust.follow(&self.hand_overs.read().expect("no holder of the hand-overs panics"), height);
        trust
    }

    pub(super) fn learn(&self, hand_over: HandOver) {
        self.hand_overs.write().expect("no holder of the hand-overs panics").push(hand_over);
    }
}
