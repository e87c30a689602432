//! Domain separation: a hash made for one purpose or on one chain is no hash for another.

use ledger_types::{Chain, GenesisHash, Tag};
use std::collections::BTreeSet;
use std::path::PathBuf;

#[test]
fn no_two_tags_share_a_context() {
    let contexts: BTreeSet<&str> = Tag::ALL.iter().map(|tag| tag.context()).collect();
    assert_eq!(contexts.len(), Tag::ALL.len());
    // The genesis document is hashed outside of any chain, under a context of its own.
    assert!(!contexts.contains("assay genesis v1"));
}

#[test]
fn a_context_names_the_protocol_the_purpose_and_the_version() {
    for tag in Tag::ALL {
        let purpose = tag.context().strip_prefix("assay ").and_then(|rest| rest.strip_suffix(" v1"));
        let purpose = purpose.unwrap_or_else(|| panic!("{tag:?} is not of the form `assay … v1`"));
        assert!(!purpose.is_empty() && purpose.bytes().all(|b| b.is_ascii_lowercase() || b == b' '), "{purpose:?}");
    }
}

#[test]
fn one_message_hashes_differently_under_every_tag_and_on_every_chain() {
    let chains = [Chain::new(GenesisHash([1; 32])), Chain::new(GenesisHash([2; 32]))];
    let hashes: BTreeSet<[u8; 32]> =
        chains.iter().flat_map(|chain| Tag::ALL.iter().map(|tag| chain.hash(*tag, &[b"message"]))).collect();
    assert_eq!(hashes.len(), 2 * Tag::ALL.len());
}

/// D(tag, x) = BLAKE3 derive_key("assay <tag> v1", genesis_hash ‖ x), and the parts are simply concatenated.
#[test]
fn a_domain_hash_is_blake3_derive_key_over_the_genesis_hash_and_the_parts() {
    let chain = Chain::new(GenesisHash([5; 32]));
    let expected = blake3::derive_key("assay coin v1", &[&[5; 32][..], b"left", b"right"].concat());
    assert_eq!(chain.hash(Tag::Coin, &[b"left", b"right"]), expected);
    assert_eq!(chain.hash(Tag::Coin, &[b"leftright"]), expected);
}

/// Hashes outside of any chain (the genesis document, a program's private key derivations) have contexts of their own.
#[test]
fn a_context_that_code_spells_out_is_no_tags_and_stands_in_one_place() {
    let mut seen: BTreeSet<String> = Tag::ALL.iter().map(|tag| tag.context().to_owned()).collect();
    let mut spelled_out = 0;
    for path in sources() {
        let text = std::fs::read_to_string(&path).unwrap();
        let code = text.lines().filter(|line| !line.trim_start().starts_with("//"));
        for literal in code.flat_map(|line| line.split('"').skip(1).step_by(2)) {
            if literal.starts_with("assay ") && literal.ends_with(" v1") {
                spelled_out += 1;
                assert!(seen.insert(literal.to_owned()), "{}: {literal:?} is a context already", path.display());
            }
        }
    }
    assert!(spelled_out > 0, "the genesis document's context at least is found");
}

/// All code of the workspace that is no test.
fn sources() -> Vec<PathBuf> {
    let root: PathBuf = [env!("CARGO_MANIFEST_DIR"), "..", ".."].iter().collect();
    let (mut folders, mut sources) = (vec![root], Vec::new());
    while let Some(folder) = folders.pop() {
        for entry in std::fs::read_dir(&folder).unwrap() {
            let path = entry.unwrap().path();
            let name = path.file_name().unwrap().to_string_lossy().into_owned();
            let is_code = !name.starts_with('.') && !["target", "tests", "benches"].contains(&name.as_str());
            if path.is_dir() && is_code {
                folders.push(path);
            } else if name.ends_with(".rs") {
                sources.push(path);
            }
        }
    }
    sources
}
