//! What the two sides of a reconciliation sign (9.5), and what does not decode.

use super::chain::{Purpose, Registry, key};
use super::hex;
use ledger_types::coin::CoinStatus;
use ledger_types::encoding::{Decode, Encode, List};
use ledger_types::keys::SigningKey;
use ledger_types::reconciliation::*;
use ledger_types::*;
use serde_json::{Value, json};

const BANK: ParticipantNumber = ParticipantNumber(2);
const HEIGHT: Height = Height(4_711);
const BLOCK: BlockHash = BlockHash([0xb1; 32]);
const BATCH: BatchNumber = BatchNumber(86);

fn coin(number: u8) -> CoinId {
    CoinId([number; 32])
}

fn at_side(status: CoinStatus, tag: u8) -> CoinAtSide {
    CoinAtSide { status, tag: OwnerTag([tag; 32]) }
}

/// (coin, tag) of a set, in no order.
fn items(numbers: &[(u8, u8)]) -> Vec<ReconciledCoin> {
    numbers.iter().map(|(number, tag)| reconciled_coin(&coin(*number), &OwnerTag([*tag; 32]))).collect()
}

fn signed(name: &str, bytes: &[u8], message: [u8; 32], signer: &SigningKey) -> Value {
    json!({
        "name": name,
        "bytes": hex(bytes),
        "message": hex(message),
        "key": hex(signer.public_key().0),
        "signature": hex(signer.sign(&message).0),
    })
}

pub fn reconciliation() -> Value {
    let registry = Registry::new();
    let chain = &registry.chain;
    let contents = [
        (CoinStatus::Unconfirmed, vec![]),
        (CoinStatus::Live, items(&[(9, 1), (3, 2), (200, 3)])),
        (CoinStatus::Frozen, items(&[(4, 4)])),
        // One coin twice, and one with two owner tags.
        (CoinStatus::Disputed, items(&[(6, 5), (5, 6), (6, 5), (5, 1)])),
    ];
    let mut sets = Vec::new();
    let mut shown = Vec::new();
    for (status, items) in &contents {
        let mut ascending = items.clone();
        ascending.sort_unstable();
        let fingerprint = set_fingerprint(chain, BANK, *status, &ascending);
        sets.push(ReconciledSet { status: *status, count: items.len() as u64, fingerprint });
        shown.push(json!({
            "bank": BANK.0,
            "status": status.number(),
            "items": items.iter().map(hex).collect::<Vec<_>>(),
            "fingerprint": hex(fingerprint),
        }));
    }
    let claim = |side| ReconciliationClaim {
        side,
        bank: BANK,
        height: HEIGHT,
        block: BLOCK,
        batch: BATCH,
        sets: List::new(sets.clone()).unwrap(),
    };
    let (at_bank, at_centre) = (claim(ReconciliationSide::Bank), claim(ReconciliationSide::RegistrationCentre));
    let (desk, centre) = (key(Purpose::Desk, BANK.0), key(Purpose::RegistrationLink, 1));

    let difference = |kind, number, at_bank, at_centre, made_by: Option<u8>| Difference {
        kind,
        coin: coin(number),
        at_bank,
        at_centre,
        made_by: made_by.map(|byte| EnvelopeId([byte; 32])),
    };
    let live = |tag| Some(at_side(CoinStatus::Live, tag));
    let unconfirmed = |tag| Some(at_side(CoinStatus::Unconfirmed, tag));
    let differences = vec![
        difference(DifferenceKind::Missing, 1, None, live(1), Some(0xe1)),
        difference(DifferenceKind::Extra, 2, live(2), None, None),
        difference(DifferenceKind::WrongOwner, 3, live(2), live(9), None),
        difference(DifferenceKind::WrongState, 4, Some(at_side(CoinStatus::Frozen, 4)), live(4), Some(0xe4)),
        difference(DifferenceKind::Late, 7, unconfirmed(7), unconfirmed(7), Some(0xe7)),
        difference(DifferenceKind::UnreleasedKey, 8, None, unconfirmed(0), Some(0xe8)),
    ];
    let report = |differences: Vec<Difference>, unnamed| ReconciliationReport {
        bank: BANK,
        height: HEIGHT,
        block: BLOCK,
        batch: BATCH,
        differences: List::new(differences).unwrap(),
        unnamed,
    };
    let (none, some) = (report(vec![], 0), report(differences, 3));

    json!({
        "genesis": hex(registry.document()),
        "bank": BANK.0,
        "height": HEIGHT.0,
        "block": hex(BLOCK.0),
        "batch": BATCH.0,
        "sets": shown,
        "claims": [
            signed("the bank's", &at_bank.to_bytes(), at_bank.message(chain), &desk),
            signed("the centre's", &at_centre.to_bytes(), at_centre.message(chain), &centre),
        ],
        "reports": [
            signed("no difference", &none.to_bytes(), none.message(chain), &centre),
            signed("one of each kind, three unnamed", &some.to_bytes(), some.message(chain), &centre),
        ],
        "differences": some.differences.iter().map(shown_difference).collect::<Vec<_>>(),
        "refused": refused(&at_bank, &some),
    })
}

fn shown_difference(difference: &Difference) -> Value {
    let side = |side: &Option<CoinAtSide>| {
        side.as_ref().map(|side| json!({ "status": side.status.number(), "tag": hex(side.tag.0) }))
    };
    json!({
        "kind": difference.kind.number(),
        "coin": hex(difference.coin.0),
        "at_bank": side(&difference.at_bank),
        "at_centre": side(&difference.at_centre),
        "made_by": difference.made_by.map(|id| hex(id.0)),
    })
}

/// One byte of each sort changed.
fn refused(claim: &ReconciliationClaim, report: &ReconciliationReport) -> Vec<Value> {
    /// side, bank, height, block, batch, count of sets.
    const FIRST_STATUS: usize = 1 + 2 + 8 + 32 + 8 + 2;
    /// bank, height, block, batch, count of differences.
    const FIRST_KIND: usize = 2 + 8 + 32 + 8 + 2;
    let (claim, report) = (claim.to_bytes(), report.to_bytes());
    let with = |bytes: &[u8], at: usize, byte: u8| {
        let mut bytes = bytes.to_vec();
        bytes[at] = byte;
        bytes
    };
    let longer = |bytes: &[u8]| [bytes, &[0]].concat();
    let cases = [
        ("claim", with(&claim, 0, 0), "side 0"),
        ("claim", with(&claim, 0, 3), "side 3"),
        ("claim", with(&claim, FIRST_STATUS, 0), "status 0"),
        ("claim", with(&claim, FIRST_STATUS, 5), "status 5"),
        ("claim", with(&claim, FIRST_STATUS - 2, 5), "five sets"),
        ("claim", longer(&claim), "a byte is left over"),
        ("report", with(&report, FIRST_KIND, 0), "kind 0"),
        ("report", with(&report, FIRST_KIND, 7), "kind 7"),
        ("report", with(&report, FIRST_KIND + 33, 2), "neither there nor absent"),
        ("report", report[..report.len() - 1].to_vec(), "it ends in a field"),
        ("report", longer(&report), "a byte is left over"),
    ];
    let case = |(kind, bytes, because): &(&str, Vec<u8>, &str)| {
        let decodes = match *kind {
            "claim" => ReconciliationClaim::from_bytes(bytes).is_ok(),
            _ => ReconciliationReport::from_bytes(bytes).is_ok(),
        };
        assert!(!decodes, "{kind}: {because}");
        json!({ "type": kind, "hex": hex(bytes), "because": because })
    };
    cases.iter().map(case).collect()
}
