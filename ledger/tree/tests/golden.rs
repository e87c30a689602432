//! The bytes that others store, hash, sign or parse, pinned. A change of `vectors/golden.json` is a change of the
//! protocol: it breaks every verifier in the field, and is a commit of its own that says why.

use crate::support;

use std::collections::BTreeMap;

use ed25519_dalek::{Signer, SigningKey};
use ledger_tree::Hash;
use ledger_tree::log::{self, Frontier};
use ledger_tree::map::{self, EntryType, MapProof, Version};
use ledger_tree::merkle;
use ledger_tree::note::{Checkpoint, CosignerKey, Note, NoteKey};
use serde_json::{Value, json};
use support::{MemoryLog, MemoryMap};

fn log_vectors() -> Value {
    let leaves: Vec<String> = (0..7).map(|number| format!("leaf {number}")).collect();
    let leaf_hashes: Vec<Hash> = leaves.iter().map(|leaf| log::leaf_hash(leaf.as_bytes())).collect();
    let mut stored = MemoryLog::default();
    let append = Frontier::default().append(&leaf_hashes).unwrap();
    stored.store(&append);
    let inclusion =
        |index, size| hex::encode(merkle::encode_path(&log::prove_inclusion(&stored, index, size).unwrap()));
    let consistency =
        |first, second| hex::encode(merkle::encode_path(&log::prove_consistency(&stored, first, second).unwrap()));
    json!({
        "leaves": leaves,
        "roots": (0..=7).map(|size| hex::encode(log::root(&stored, size).unwrap())).collect::<Vec<_>>(),
        "stored_nodes": append.nodes.iter().map(|((level, index), _)| [u64::from(*level), *index]).collect::<Vec<_>>(),
        "inclusion": [
            { "index": 0, "size": 1, "path": inclusion(0, 1) },
            { "index": 4, "size": 7, "path": inclusion(4, 7) },
            { "index": 6, "size": 7, "path": inclusion(6, 7) },
        ],
        "consistency": [
            { "first": 3, "second": 7, "path": consistency(3, 7) },
            { "first": 4, "second": 7, "path": consistency(4, 7) },
        ],
    })
}

fn map_vectors() -> Value {
    let mut entries = vec![
        (EntryType::Record, vec![0x11; 32], b"record one".to_vec()),
        (EntryType::Record, vec![0x22; 32], b"record two".to_vec()),
        (EntryType::Participant, vec![2, 0], b"participant".to_vec()),
        (EntryType::Contract, vec![3, 0, 0, 0], b"contract".to_vec()),
        (EntryType::Feed, vec![4], b"feed".to_vec()),
        (EntryType::Obligation, vec![5; 32], b"obligation".to_vec()),
        (EntryType::Lane, vec![6, 0, 0, 0, 0, 0], b"lane".to_vec()),
    ];
    // Enough for slots that stay empty.
    entries.extend((0..8).map(|number| (EntryType::Record, vec![number; 32], vec![number])));
    let mut stored = MemoryMap::default();
    let changes: BTreeMap<Hash, Option<Vec<u8>>> =
        entries.iter().map(|(entry_type, id, value)| (map::key_hash(*entry_type, id), Some(value.clone()))).collect();
    let genesis = map::update(&stored, None, Version::after_height(0), changes).unwrap();
    stored.store(&genesis);
    let key = map::key_hash(EntryType::Record, &[0x11; 32]);
    let changes = BTreeMap::from([(key, Some(b"record one, spent".to_vec()))]);
    let first = map::update(&stored, Some(genesis.version), Version::after_height(1), changes).unwrap();
    stored.store(&first);

    let proof = |key_hash: &Hash| hex::encode(map::prove(&stored, first.version, key_hash).unwrap().proof.encode());
    let absent = |ends_at_leaf: bool| {
        let ids = (0..64u8).map(|number| map::key_hash(EntryType::Record, &[number]));
        let ends = |key_hash: &Hash| map::prove(&stored, first.version, key_hash).unwrap().proof.leaf().is_some();
        let key_hash = ids.into_iter().find(|key_hash| ends(key_hash) == ends_at_leaf).unwrap();
        json!({ "key_hash": hex::encode(key_hash), "proof": proof(&key_hash) })
    };
    let beside_empty_slots =
        entries.iter().map(|(entry_type, id, _)| map::key_hash(*entry_type, id)).find(|key_hash| {
            map::prove(&stored, first.version, key_hash).unwrap().proof.siblings().contains(&map::EMPTY_ROOT)
        });
    let beside_empty_slots = beside_empty_slots.expect("beside an empty slot stand two leaves at least");
    json!({
        "entries": entries.iter().map(|(entry_type, id, value)| json!({
            "type": *entry_type as u8,
            "id": hex::encode(id),
            "value": hex::encode(value),
            "key_hash": hex::encode(map::key_hash(*entry_type, id)),
        })).collect::<Vec<_>>(),
        "empty_root": hex::encode(map::EMPTY_ROOT),
        "root_at_height_0": hex::encode(genesis.root),
        "update_at_height_1": {
            "key_hash": hex::encode(key),
            "value": hex::encode(b"record one, spent"),
            "root": hex::encode(first.root),
            "stored_nodes": first.nodes.iter().map(|(key, node)| [hex::encode(key), hex::encode(node)]).collect::<Vec<_>>(),
            "stale_nodes": first.stale_nodes.iter().map(hex::encode).collect::<Vec<_>>(),
        },
        "inclusion": { "key_hash": hex::encode(key), "proof": proof(&key) },
        "inclusion_beside_empty_slots": { "key_hash": hex::encode(beside_empty_slots), "proof": proof(&beside_empty_slots) },
        "absence_at_another_leaf": absent(true),
        "absence_at_an_empty_slot": absent(false),
    })
}

fn note_vectors() -> Value {
    let (log_seed, cosigner_seed) = ([1; 32], [2; 32]);
    let signing = |seed: &[u8; 32]| SigningKey::from_bytes(seed);
    let log_key = NoteKey::new("assay.example/log", signing(&log_seed).verifying_key().as_bytes()).unwrap();
    let cosigner = CosignerKey::new("bank2.assay.example", signing(&cosigner_seed).verifying_key().as_bytes()).unwrap();
    let text = Checkpoint::new("assay.example/log", 20_852_163, [0xab; 32]).unwrap().to_text();
    let signature = log_key.sign(&text, |message| signing(&log_seed).sign(message).to_bytes());
    let time_s = 1_790_000_000;
    let cosignature = cosigner.cosign(&text, time_s, |message| signing(&cosigner_seed).sign(message).to_bytes());
    json!({
        "log_seed": hex::encode(log_seed),
        "log_vkey": log_key.to_string(),
        "cosigner_seed": hex::encode(cosigner_seed),
        "cosigner_vkey": cosigner.to_string(),
        "time_s": time_s,
        "root": hex::encode([0xab; 32]),
        "note": Note::new(text, vec![signature, cosignature]).unwrap().to_string(),
    })
}

#[test]
fn the_bytes_of_log_map_and_note_are_the_golden_ones() {
    let made = json!({ "log": log_vectors(), "map": map_vectors(), "note": note_vectors() });
    let golden: Value = serde_json::from_str(include_str!("vectors/golden.json")).unwrap_or_default();
    assert!(made == golden, "the bytes changed; if on purpose, golden.json becomes\n{made:#}");
}

#[test]
fn the_golden_proofs_verify_from_their_bytes() {
    let golden: Value = serde_json::from_str(include_str!("vectors/golden.json")).unwrap();
    let bytes = |value: &Value| hex::decode(value.as_str().unwrap()).unwrap();
    let hash = |value: &Value| Hash::try_from(bytes(value)).unwrap();
    let map = &golden["map"];
    let root = hash(&map["update_at_height_1"]["root"]);
    let value_hash = map::value_hash(&bytes(&map["update_at_height_1"]["value"]));
    let proof = |name: &str| MapProof::decode(&bytes(&map[name]["proof"])).unwrap();
    let key = |name: &str| hash(&map[name]["key_hash"]);
    assert_eq!(map::verify_inclusion(&root, &key("inclusion"), &value_hash, &proof("inclusion")), Ok(()));
    let key_hash = key("inclusion_beside_empty_slots");
    let mut entries = map["entries"].as_array().unwrap().iter();
    let entry = entries.find(|entry| hash(&entry["key_hash"]) == key_hash).unwrap();
    let value_hash = map::value_hash(&bytes(&entry["value"]));
    let proof_beside = proof("inclusion_beside_empty_slots");
    assert!(proof_beside.siblings().contains(&map::EMPTY_ROOT));
    assert_eq!(map::verify_inclusion(&root, &key_hash, &value_hash, &proof_beside), Ok(()));
    for name in ["absence_at_another_leaf", "absence_at_an_empty_slot"] {
        assert_eq!(map::verify_absence(&root, &key(name), &proof(name)), Ok(()));
    }
    let log = &golden["log"];
    for case in log["inclusion"].as_array().unwrap() {
        let (index, size) = (case["index"].as_u64().unwrap(), case["size"].as_u64().unwrap());
        let leaf = log::leaf_hash(log["leaves"][index as usize].as_str().unwrap().as_bytes());
        let path = merkle::decode_path(&bytes(&case["path"])).unwrap();
        assert_eq!(log::verify_inclusion(&hash(&log["roots"][size as usize]), index, size, &leaf, &path), Ok(()));
    }
    for case in log["consistency"].as_array().unwrap() {
        let (first, second) = (case["first"].as_u64().unwrap(), case["second"].as_u64().unwrap());
        let roots = [first, second].map(|size| hash(&log["roots"][size as usize]));
        let path = merkle::decode_path(&bytes(&case["path"])).unwrap();
        assert_eq!(log::verify_consistency(first, &roots[0], second, &roots[1], &path), Ok(()));
    }
}
