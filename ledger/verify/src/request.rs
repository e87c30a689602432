//! A request of the officers that stands in the public log (R-5), and that it is about one coin.
//!
//! ```text
//! request proof = state proof ‖ request ‖ index u64 ‖ path: list of hash[32]
//! ```
//! What stays true here: a [`LoggedRequest`] exists only for a leaf below a checkpoint with the log's signature and a quorum's; so
//! whatever an officer or registration does for one was counted in public before.

use crate::leaf::is_logged;
use crate::proof::{STATE_PROOF_BYTES_MAX, StateProof};
use crate::state::{CheckedState, VerifiedState};
use crate::trust::Trust;
use crate::verdict::{Reason, Verdict};
use ledger_tree::merkle::PATH_HASHES_MAX;
use ledger_types::encoding::List;
use ledger_types::log_leaf::LogLeaf;
use ledger_types::request::OfficerRequest;
use ledger_types::{CoinId, TreeRoot, layout};

pub const REQUEST_PROOF_BYTES_MAX: usize = STATE_PROOF_BYTES_MAX + 49 + 8 + 2 + 32 * PATH_HASHES_MAX;

/// A request, and where it stands in the log.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct RequestProof {
    pub state: StateProof,
    pub request: OfficerRequest,
    pub index: u64,
    /// Of the request's leaf, from its level up.
    pub path: List<TreeRoot, PATH_HASHES_MAX>,
}
layout!(RequestProof { state, request, index, path });

/// A request about a coin that is known, in the log as of a confirmed state.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct LoggedRequest {
    request: OfficerRequest,
    coin: CoinId,
    index: u64,
    state: VerifiedState,
}

impl LoggedRequest {
    pub fn request(&self) -> &OfficerRequest {
        &self.request
    }

    pub fn coin(&self) -> CoinId {
        self.coin
    }

    /// In the log: the one number that no second request has.
    pub fn index(&self) -> u64 {
        self.index
    }

    pub fn state(&self) -> &VerifiedState {
        &self.state
    }
}

/// `coin` and `blind` are what the request's commitment is to open to.
pub fn verify_request(
    trust: &Trust,
    coin: &CoinId,
    blind: &[u8; 32],
    proof: &RequestProof,
    now_ms: u64,
) -> Verdict<LoggedRequest> {
    let checked = CheckedState::check(trust, &proof.state).and_then(|checked| {
        if !is_logged(&checked, &LogLeaf::Request(proof.request), proof.index, &proof.path) {
            return Err(Reason::RequestNotLogged);
        }
        if !proof.request.is_about(trust.chain(), coin, blind) {
            return Err(Reason::OtherCoin);
        }
        if !proof.request.serves_at(now_ms) {
            return Err(Reason::RequestExpired);
        }
        let (request, coin, index) = (proof.request, *coin, proof.index);
        Ok(checked.judge(trust, now_ms).map(|state| LoggedRequest { request, coin, index, state }))
    });
    checked.into()
}
