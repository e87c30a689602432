//! What the registry says of a coin (R-2, L-4): its latest record, or that there is none.

use crate::proof::{Answer, CoinProof};
use crate::state::{CheckedState, VerifiedState};
use crate::trust::Trust;
use crate::verdict::{Reason, Verdict};
use ledger_tree::map::{self, EntryType};
use ledger_types::encoding::Encode;
use ledger_types::log_leaf::StateLeaf;
use ledger_types::{CoinId, TreeRoot};

/// A coin's latest confirmation, or its absence, in a confirmed state.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct VerifiedCoin {
    coin: CoinId,
    answer: Answer,
    state: VerifiedState,
}

impl VerifiedCoin {
    pub fn coin(&self) -> CoinId {
        self.coin
    }

    /// `Absent` means: as of this state the central bank has confirmed no such coin. A coin may be absent that a payment
    /// has just created and no batch has confirmed.
    pub fn answer(&self) -> Answer {
        self.answer
    }

    /// As of which batch, height and time, signed by whom and how long ago.
    pub fn state(&self) -> &VerifiedState {
        &self.state
    }
}

/// `asked` is the coin that the question was about: a proof may hold and be of another one.
pub fn verify_coin(trust: &Trust, asked: &CoinId, proof: &CoinProof, now_ms: u64) -> Verdict<VerifiedCoin> {
    if proof.coin != *asked {
        return Verdict::Invalid(Reason::OtherCoin);
    }
    let checked = CheckedState::check(trust, &proof.state).and_then(|checked| {
        let StateLeaf { map_root, .. } = checked.leaf();
        answer_is_in_the_map(map_root, proof)?;
        let (coin, answer) = (proof.coin, proof.answer);
        Ok(checked.judge(trust, now_ms).map(|state| VerifiedCoin { coin, answer, state }))
    });
    checked.into()
}

/// L-4. The map holds one record a coin, the latest: a proof of an earlier one does not lead to this root.
fn answer_is_in_the_map(root: &TreeRoot, proof: &CoinProof) -> Result<(), Reason> {
    let key_hash = map::key_hash(EntryType::Record, &proof.coin.0);
    let checked = match &proof.answer {
        Answer::Present(record) => {
            map::verify_inclusion(&root.0, &key_hash, &map::value_hash(&record.to_bytes()), &proof.map_proof)
        }
        Answer::Absent => map::verify_absence(&root.0, &key_hash, &proof.map_proof),
    };
    checked.map_err(|_| Reason::WrongRecord)
}
