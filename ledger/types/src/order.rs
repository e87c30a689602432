//! What a payer signs (order) and what the payee's bank signs (acceptance) (E-6).

use crate::domain::{Chain, Tag};
use crate::encoding::{Encode, List};
use crate::ids::*;
use crate::keys::PublicKey;
use crate::layout;
use crate::secret::debug_shows_no_field;

/// To whom and how much.
#[derive(Clone, PartialEq, Eq)]
pub struct Payee {
    pub bank: ParticipantNumber,
    pub owner: PublicKey,
    pub amount: Amount,
}
layout!(Payee { bank, owner, amount });

/// Signed by every distinct owner of the inputs. Without a payee it is a self-transfer: split, merge or refresh.
#[derive(Clone, PartialEq, Eq)]
pub struct Order {
    /// Strictly ascending.
    pub inputs: List<CoinId, 8>,
    pub payee: Option<Payee>,
    pub currency: Currency,
    /// The distinct owners of all outputs but the payee's, strictly ascending.
    pub change_owners: List<PublicKey, 8>,
    pub nonce: u64,
    pub expiry_ms: u64,
    /// D("memo", memo bytes).
    pub memo_hash: [u8; 32],
}
layout!(Order { inputs, payee, currency, change_owners, nonce, expiry_ms, memo_hash });
debug_shows_no_field!(Payee, Order);

impl Order {
    /// The signed message, and what an acceptance refers to.
    pub fn hash(&self, chain: &Chain) -> OrderHash {
        OrderHash(chain.hash(Tag::Order, &[&self.to_bytes()]))
    }
}

pub fn memo_hash(chain: &Chain, memo: &[u8]) -> [u8; 32] {
    chain.hash(Tag::Memo, &[memo])
}

/// What stands in an order's place in the acceptance of an issue.
pub fn issue_order_hash(
    chain: &Chain,
    series: SeriesNumber,
    issue_number: u64,
    amount: Amount,
    bank: ParticipantNumber,
) -> OrderHash {
    let parts: [&[u8]; 4] =
        [&series.0.to_le_bytes(), &issue_number.to_le_bytes(), &amount.0.to_le_bytes(), &bank.0.to_le_bytes()];
    OrderHash(chain.hash(Tag::IssueOrder, &parts))
}

/// What the receiving bank's desk key signs: these notes, in my custody, until then, for this order.
/// A payment has one output to accept; an issue may have up to eight, ascending by note.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct AcceptedOutputs {
    pub order: OrderHash,
    pub outputs: List<AcceptedOutput, 8>,
    pub expiry_ms: u64,
}
layout!(AcceptedOutputs { order, outputs, expiry_ms });

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct AcceptedOutput {
    pub note: Note,
    pub custody: Custody,
}
layout!(AcceptedOutput { note, custody });

impl AcceptedOutputs {
    pub fn message(&self, chain: &Chain) -> [u8; 32] {
        chain.hash(Tag::Acceptance, &[&self.to_bytes()])
    }
}
