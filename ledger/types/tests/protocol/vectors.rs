//! Outside vectors (each folder under `tests/vectors` names its source and licence), under our rules.

use ledger_types::keys::{PublicKey, Signature};
use serde_json::Value;

fn vectors(path: &str) -> Value {
    let path = format!("{}/tests/vectors/{path}", env!("CARGO_MANIFEST_DIR"));
    serde_json::from_str(&std::fs::read_to_string(path).unwrap()).unwrap()
}

fn bytes(value: &Value) -> Vec<u8> {
    hex::decode(value.as_str().expect("a hex string")).unwrap()
}

#[test]
fn blake3_hashes_and_derives_keys_as_its_authors_say() {
    let file = vectors("blake3/test_vectors.json");
    let (context, cases) = (file["context_string"].as_str().unwrap(), file["cases"].as_array().unwrap());
    for case in cases {
        let length = case["input_len"].as_u64().unwrap() as usize;
        let input: Vec<u8> = (0..length).map(|i| (i % 251) as u8).collect();
        assert_eq!(blake3::hash(&input).as_bytes()[..], bytes(&case["hash"])[..32], "hash of {length}");
        let derived = bytes(&case["derive_key"]);
        assert_eq!(blake3::derive_key(context, &input)[..], derived[..32], "derive_key of {length}");
        // As `Chain::hash` does it: in parts.
        let mut hasher = blake3::Hasher::new_derive_key(context);
        input.chunks(7).for_each(|part| {
            hasher.update(part);
        });
        assert_eq!(hasher.finalize().as_bytes()[..], derived[..32], "derive_key of {length} in parts");
    }
    assert_eq!(cases.len(), 35);
}

/// Our rule agrees with every Wycheproof verdict. Twelve signatures have another length than 64 bytes: they cannot be a
/// [`Signature`] at all.
#[test]
fn wycheproof_ed25519_gives_the_expected_verdicts() {
    let file = vectors("wycheproof/ed25519_test.json");
    let (mut valid, mut invalid, mut wrong_length) = (0, 0, 0);
    for group in file["testGroups"].as_array().unwrap() {
        let key = PublicKey(bytes(&group["publicKey"]["pk"]).try_into().unwrap());
        for test in group["tests"].as_array().unwrap() {
            let expected = match test["result"].as_str().unwrap() {
                "valid" => true,
                "invalid" => false,
                other => panic!("a third verdict: {other}"),
            };
            let Ok(signature) = <[u8; 64]>::try_from(bytes(&test["sig"])) else {
                assert!(!expected);
                wrong_length += 1;
                continue;
            };
            let accepted = key.verify(&bytes(&test["msg"]), &Signature(signature));
            assert_eq!(accepted, expected, "case {}: {}", test["tcId"], test["comment"]);
            *(if accepted { &mut valid } else { &mut invalid }) += 1;
        }
    }
    assert_eq!((valid, invalid, wrong_length), (88, 50, 12));
}

/// The first six cases, on which common verifiers disagree:
///
/// ```text
/// case  public key   R            S        others accept                       we
/// 0     small order  small order  0        OpenSSL, noble default              refuse
/// 1     small order  mixed order  < L      OpenSSL, noble default              refuse
/// 2     mixed order  small order  < L      OpenSSL, noble                      refuse
/// 3     mixed order  mixed order  < L      OpenSSL, libsodium, noble           accept
/// 4     mixed order  mixed order  < L      noble: it multiplies by 8           refuse
/// 5     mixed order  L's order    < L      noble: it multiplies by 8           refuse
/// ```
/// Case 3 is the only one that all of them accept, and so do we: a key of mixed order is its owner's own doing.
#[test]
fn speccheck_cases_are_refused_but_for_the_one_that_everybody_accepts() {
    let file = vectors("ed25519-speccheck/cases-0-5.json");
    let verdicts: Vec<bool> = file
        .as_array()
        .unwrap()
        .iter()
        .map(|case| {
            let key = PublicKey(bytes(&case["pub_key"]).try_into().unwrap());
            let signature = Signature(bytes(&case["signature"]).try_into().unwrap());
            key.verify(&bytes(&case["message"]), &signature)
        })
        .collect();
    assert_eq!(verdicts, [false, false, false, true, false, false]);
    // The keys of cases 0 and 1 would not get past a genesis either.
    for (at, case) in file.as_array().unwrap().iter().enumerate() {
        let key = PublicKey(bytes(&case["pub_key"]).try_into().unwrap());
        assert_eq!(key.is_sound(), at >= 2, "case {at}");
    }
}
