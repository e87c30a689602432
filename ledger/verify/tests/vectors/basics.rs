//! Encoding, hashes, keys, coins.

use super::chain::{self, Purpose, Registry};
use super::hex;
use ledger_tree::note::{CosignerKey, NoteKey};
use ledger_types::coin::{coin_link, issue_origin, origin};
use ledger_types::confirmation::{Record, RecordStatus};
use ledger_types::encoding::{Decode, Encode, List, Octets, Text};
use ledger_types::keys::{PublicKey, Signature};
use ledger_types::log_leaf::{LogLeaf, StateLeaf};
use ledger_types::participant::ValidatorSet;
use ledger_types::request::{BasisCode, OfficerRequest, RequestClass};
use ledger_types::rules::RulesOrder;
use ledger_types::*;
use serde_json::{Value, json};

pub fn genesis() -> Value {
    let registry = Registry::new();
    let (genesis, chain) = (&registry.genesis, &registry.chain);
    let log = genesis.directory.central_bank_keys().log;
    let validators: Vec<Value> = registry
        .set
        .iter()
        .map(|validator| {
            let key = CosignerKey::new(&genesis.cosigner_name(validator.number), &validator.cosign.0).unwrap();
            json!({
                "number": validator.number.0,
                "power": validator.power,
                "consensus": hex(validator.consensus.0),
                "bundle": hex(validator.bundle.0),
                "cosign": hex(validator.cosign.0),
                "cosign_vkey": key.to_string(),
            })
        })
        .collect();
    json!({
        "document": hex(registry.document()),
        "genesis_hash": chain.genesis_hash().to_string(),
        "origin": genesis.origin.as_str(),
        "currency": genesis.currency.to_string(),
        "officers": genesis.officers.iter().map(|key| hex(key.0)).collect::<Vec<_>>(),
        "officer_threshold": genesis.officer_threshold,
        "log_key": hex(log.0),
        "log_vkey": NoteKey::new(genesis.origin.as_str(), &log.0).unwrap().to_string(),
        "validators": validators,
        "validator_set": hex(registry.set.to_bytes()),
        "validator_set_hash": registry.set.hash(chain).to_string(),
        "participants_hash": genesis.directory.hash(chain).to_string(),
    })
}

fn encoded(name: &str, value: Value, bytes: &impl Encode) -> Value {
    json!({ "type": name, "value": value, "hex": hex(bytes.to_bytes()) })
}

pub fn encoding() -> Value {
    let record = Record {
        status: RecordStatus::Disputed,
        batch: BatchNumber(7),
        height: Height(9),
        time_ms: 1_700_000_009_000,
        contract: ContractNumber(0),
        failed_check: 15,
        tag: OwnerTag([0x11; 32]),
    };
    let leaf = StateLeaf {
        batch: BatchNumber(7),
        height: Height(9),
        time_ms: 1_700_000_009_000,
        map_root: TreeRoot([0x22; 32]),
        set_hash: ValidatorSetHash([0x33; 32]),
        issued: 1 << 70,
        redeemed: 12_345,
    };
    let request = OfficerRequest {
        class: RequestClass::Unfreeze,
        basis: BasisCode::parse("COURT-9").unwrap(),
        epoch: 19_675,
        commitment: RequestCommitment([0x55; 32]),
    };
    let rules = RulesOrder { version: RulesVersion(2), activates_at: Height(1_000) };
    let mut lower_case = LogLeaf::Request(request).to_bytes();
    lower_case[2] = b'c';
    let accepted = vec![
        encoded("u8", json!(7), &7u8),
        encoded("u16", json!(0x0102), &0x0102u16),
        encoded("u32", json!(0x01020304), &0x01020304u32),
        encoded("u64", json!(0x0102030405060708u64), &0x0102030405060708u64),
        encoded("u128", json!("1180591620717411303424"), &(1u128 << 70)),
        encoded("i64", json!(-2), &-2i64),
        encoded("i64", json!(i64::MIN), &i64::MIN),
        encoded("option u32", json!(null), &None::<u32>),
        encoded("option u32", json!(5), &Some(5u32)),
        encoded("list u16 max 8", json!([1, 2, 3]), &List::<u16, 8>::new(vec![1, 2, 3]).unwrap()),
        encoded("list u16 max 8", json!([]), &List::<u16, 8>::empty()),
        encoded("octets max 8", json!("616263"), &Octets::<8>::new(b"abc".to_vec()).unwrap()),
        encoded("text max 8", json!("Zoë"), &Text::<8>::new("Zoë").unwrap()),
        encoded("currency", json!("XAS"), &Currency::parse("XAS").unwrap()),
        encoded(
            "record",
            json!({ "status": 4, "batch": 7, "height": 9, "time_ms": 1_700_000_009_000u64, "contract": 0,
                    "failed_check": 15, "tag": hex([0x11; 32]) }),
            &record,
        ),
        encoded(
            "state leaf",
            json!({ "batch": 7, "height": 9, "time_ms": 1_700_000_009_000u64, "map_root": hex([0x22; 32]),
                    "set_hash": hex([0x33; 32]), "issued": "1180591620717411303424", "redeemed": "12345" }),
            &leaf,
        ),
        encoded("log leaf", json!("record"), &LogLeaf::Record { coin: CoinId([0x44; 32]), record }),
        encoded("log leaf", json!("state"), &LogLeaf::State(leaf)),
        encoded("log leaf", json!("hand over"), &LogLeaf::HandOver(ValidatorSetHash([0x33; 32]))),
        encoded("log leaf", json!("request"), &LogLeaf::Request(request)),
        encoded("log leaf", json!("rules"), &LogLeaf::Rules(rules)),
    ];
    let refused: [(&str, &[u8], &str, bool); 12] = [
        ("u32", &[1, 2, 3], "ends in a field", u32::from_bytes(&[1, 2, 3]).is_err()),
        ("u16", &[1, 2, 3], "bytes left over", u16::from_bytes(&[1, 2, 3]).is_err()),
        ("option u32", &[2, 0, 0, 0, 0], "neither 0 nor 1", Option::<u32>::from_bytes(&[2, 0, 0, 0, 0]).is_err()),
        ("list u16 max 8", &[9, 0], "too many", List::<u16, 8>::from_bytes(&[9, 0]).is_err()),
        ("list u16 max 8", &[2, 0, 1, 0], "too few", List::<u16, 8>::from_bytes(&[2, 0, 1, 0]).is_err()),
        ("octets max 8", &[9, 0], "too long", Octets::<8>::from_bytes(&[9, 0]).is_err()),
        ("text max 8", &[2, 0, 0xc3, 0x28], "not UTF-8", Text::<8>::from_bytes(&[2, 0, 0xc3, 0x28]).is_err()),
        ("text max 8", &[1, 0, 10], "a control character", Text::<8>::from_bytes(&[1, 0, 10]).is_err()),
        ("currency", b"xas", "not upper case", Currency::from_bytes(b"xas").is_err()),
        ("log leaf", &[13], "unknown leaf", LogLeaf::from_bytes(&[13]).is_err()),
        ("log leaf", &lower_case, "a basis code in lower case", LogLeaf::from_bytes(&lower_case).is_err()),
        ("validator set", &[0, 0], "nobody", ValidatorSet::from_bytes(&[0, 0]).is_err()),
    ];
    let refused: Vec<Value> = refused
        .into_iter()
        .map(|(name, bytes, because, is_refused)| {
            assert!(is_refused, "{name}: {because}");
            json!({ "type": name, "hex": hex(bytes), "because": because })
        })
        .collect();
    json!({ "accepted": accepted, "refused": refused })
}

pub fn hashes() -> Value {
    let chain = Registry::new().chain;
    let long = vec![0x5a; 3_000];
    let input: [&[u8]; 3] = [b"", b"abc", &long];
    let of = |tag: &Tag, input: &[u8]| json!({ "context": tag.context(), "input": hex(input), "hash": hex(chain.hash(*tag, &[input])) });
    let mut hashes: Vec<Value> = Tag::ALL.iter().map(|tag| of(tag, b"abc")).collect();
    hashes.extend(input.iter().map(|input| of(&Tag::Note, input)));
    json!({ "genesis_hash": chain.genesis_hash().to_string(), "hashes": hashes })
}

pub fn coins() -> Value {
    let chain = Registry::new().chain;
    let paid_from: Vec<CoinId> = {
        let mut inputs = vec![chain::issued_coin(&chain, 1), chain::issued_coin(&chain, 2)];
        inputs.sort();
        inputs
    };
    let of = |number: u8, bank: u16, origin: Origin, index: u8, derived_from: Value| {
        let opening = chain::opening(&chain, number);
        let bank = ParticipantNumber(bank);
        let note = opening.note(&chain);
        let link = coin_link(&chain, &origin, index, &note);
        let id = opening.coin_id(&chain, &origin, index, bank);
        json!({
            "opening": {
                "amount": opening.amount.0,
                "currency": opening.currency.to_string(),
                "series": opening.series.0,
                "terms": opening.terms.to_string(),
                "owner": hex(opening.owner.0),
                "rho": hex(opening.rho),
            },
            "opening_bytes": hex(opening.to_bytes()),
            "bank": bank.0,
            "derived_from": derived_from,
            "output_index": index,
            "note": note.to_string(),
            "kappa": opening.kappa(&chain).to_string(),
            "custody": opening.custody(&chain, bank).to_string(),
            "origin": origin.to_string(),
            "link": link.to_string(),
            "coin_id": hex(id.0),
            "coin_text": id.to_string(),
            "tag_blind": hex(opening.tag_blind(&chain)),
            "owner_tag": opening.owner_tag(&chain, &id).to_string(),
        })
    };
    let issued = json!({ "series": 1, "issue_number": 4 });
    let paid = json!({ "inputs": paid_from.iter().map(|id| hex(id.0)).collect::<Vec<_>>() });
    json!({
        "genesis_hash": chain.genesis_hash().to_string(),
        "coins": [
            of(4, 2, issue_origin(&chain, SeriesNumber(1), 4), 0, issued),
            of(9, 3, origin(&chain, &paid_from), 1, paid),
        ],
        "preissue_rho": {
            "seed": hex([0xee; 32]),
            "index": 3,
            "rho": hex(coin::preissue_rho(&chain, &[0xee; 32], 3)),
        },
    })
}

/// The order of the group's prime subgroup, little-endian.
const L: [u8; 32] = [
    0xed, 0xd3, 0xf5, 0x5c, 0x1a, 0x63, 0x12, 0x58, 0xd6, 0x9c, 0xf7, 0xa2, 0xde, 0xf9, 0xde, 0x14, 0, 0, 0, 0, 0, 0,
    0, 0, 0, 0, 0, 0, 0, 0, 0, 0x10,
];

/// Besides honest ones: what common verifiers disagree on.
pub fn signatures() -> Value {
    let secret = chain::key(Purpose::Owner, 1);
    let (key, message) = (secret.public_key(), b"strict".to_vec());
    let honest = secret.sign(&message);
    let mut above_the_order = honest;
    let mut carry = 0u16;
    for (byte, of_l) in above_the_order.0[32..].iter_mut().zip(L) {
        carry += u16::from(*byte) + u16::from(of_l);
        *byte = carry as u8;
        carry >>= 8;
    }
    assert_eq!(carry, 0, "S + L fits 32 bytes");
    let mut flipped = honest;
    flipped.0[0] ^= 1;
    let mut identity = [0; 32];
    identity[0] = 1;
    // Under the identity, R = [S]B satisfies the equation for every message.
    let mut basepoint = [0x66; 32];
    basepoint[0] = 0x58;
    let mut small_key = Signature([0; 64]);
    small_key.0[..32].copy_from_slice(&basepoint);
    small_key.0[32] = 1;
    let case = |name: &str, key: PublicKey, message: &[u8], signature: &Signature| {
        json!({
            "name": name,
            "key": hex(key.0),
            "message": hex(message),
            "signature": hex(signature.0),
            "valid": key.verify(message, signature),
            "key_is_sound": key.is_sound(),
        })
    };
    let mut non_canonical = [0xff; 32];
    (non_canonical[0], non_canonical[31]) = (0xf0, 0x7f);
    let published: Vec<Value> =
        serde_json::from_str(include_str!("../../../types/tests/vectors/ed25519-speccheck/cases-0-5.json")).unwrap();
    let field = |case: &Value, name: &str| hex::decode(case[name].as_str().unwrap()).unwrap();
    let edge = published.iter().enumerate().map(|(number, published)| {
        let key = PublicKey(field(published, "pub_key").try_into().unwrap());
        let signature = Signature(field(published, "signature").try_into().unwrap());
        case(&format!("speccheck {number}"), key, &field(published, "message"), &signature)
    });
    let own = [
        case("honest", key, &message, &honest),
        case("another message", key, b"stricter", &honest),
        case("one bit of R flipped", key, &message, &flipped),
        case("S above the order", key, &message, &above_the_order),
        case("a small-order key", PublicKey(identity), b"any message", &small_key),
        case("a key in a second encoding", PublicKey(non_canonical), b"any message", &small_key),
    ];
    json!({ "cases": own.into_iter().chain(edge).collect::<Vec<_>>() })
}
