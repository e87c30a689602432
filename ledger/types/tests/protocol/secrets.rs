//! What only an envelope's parties may know is not printed, and rho is wiped.

use ledger_types::coin::Opening;
use ledger_types::encoding::{List, Octets};
use ledger_types::keys::{PublicKey, Signature};
use ledger_types::order::{Order, Payee};
use ledger_types::sealed::{Sealed, SealedAcceptance, SealedInput, SealedOrder, SealedOutput};
use ledger_types::*;

const AMOUNT: Amount = Amount(123_456_789);
const OWNER: PublicKey = PublicKey([0xab; 32]);
const RHO: [u8; 32] = [0xcd; 32];
const NONCE: u64 = 123_456_789;

#[test]
fn no_amount_owner_nonce_memo_or_rho_is_printed() {
    let opening = Opening {
        amount: AMOUNT,
        currency: Currency(*b"XAS"),
        series: SeriesNumber(1),
        terms: Terms::ZERO,
        owner: OWNER,
        rho: RHO,
    };
    let input = SealedInput {
        amount: AMOUNT,
        owner: OWNER,
        rho: RHO,
        origin: Origin::ZERO,
        output_index: 0,
        series: SeriesNumber(1),
        bank: ParticipantNumber(2),
    };
    let output = SealedOutput { amount: AMOUNT, owner: OWNER, rho: RHO, bank: ParticipantNumber(3) };
    let signatures = List::new(vec![Signature([0xab; 64])]).unwrap();
    let sealed_order = SealedOrder { payee_output: Some(0), nonce: NONCE, expiry_ms: NONCE, signatures };
    let acceptance = SealedAcceptance { expiry_ms: NONCE, signature: Signature([0xab; 64]) };
    let payee = Payee { bank: ParticipantNumber(3), owner: OWNER, amount: AMOUNT };
    let order = Order {
        inputs: List::new(vec![CoinId([0xab; 32])]).unwrap(),
        payee: Some(payee.clone()),
        currency: Currency(*b"XAS"),
        change_owners: List::new(vec![OWNER]).unwrap(),
        nonce: NONCE,
        expiry_ms: NONCE,
        memo_hash: [0xcd; 32],
    };
    let sealed = Sealed {
        terms: None,
        currency: Currency(*b"XAS"),
        inputs: List::new(vec![input.clone()]).unwrap(),
        outputs: List::new(vec![output.clone()]).unwrap(),
        order: Some(sealed_order.clone()),
        acceptance: Some(acceptance.clone()),
        memo: Octets::new(b"123456789".to_vec()).unwrap(),
    };
    let printed = [
        format!("{opening:#?}"),
        format!("{input:#?}"),
        format!("{output:#?}"),
        format!("{sealed_order:#?}"),
        format!("{acceptance:#?}"),
        format!("{payee:#?}"),
        format!("{order:#?}"),
        format!("{sealed:#?}"),
    ];
    for text in printed {
        for secret in ["123456789", "123_456_789", "abab", "171", "cdcd", "205", "XAS"] {
            assert!(!text.contains(secret), "{text}");
        }
        assert!(text.ends_with("{ .. }"), "{text}");
    }
}

/// The memory itself cannot be looked at without `unsafe`; that a drop runs, and that it is the wiping one, can be said of types.
#[test]
fn what_holds_a_rho_wipes_it_when_it_is_dropped() {
    fn wipes<T: zeroize::ZeroizeOnDrop>() -> bool {
        std::mem::needs_drop::<T>()
    }
    assert!(wipes::<Opening>() && wipes::<SealedInput>() && wipes::<SealedOutput>());
}
