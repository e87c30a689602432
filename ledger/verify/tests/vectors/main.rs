//! The vectors of PROTOCOL.md, recomputed and compared with `ledger/vectors/*.json`.
//!
//! Those files are for implementations in other languages; `tests/second_verifier.py` is one. A change of them is a change of
//! bytes that others store, hash, sign or check: `ASSAY_ACCEPT_VECTORS=1 cargo test -p ledger-verify --test vectors` writes
//! them anew, in a commit of its own that says why.

#[path = "../chain/mod.rs"]
mod chain;

#[path = "../../../state/tests/common/mod.rs"]
mod bed;

/// Random policies and readings.
#[path = "../../../../contracts/vm/tests/naive/mod.rs"]
mod naive;

mod basics;
mod channel;
mod consensus;
mod contracts;
mod governance;
mod lending;
mod payment;
mod programs;
mod proofs;
mod reconciliation;
mod transition;
mod trees;

use serde_json::Value;
use std::path::PathBuf;

fn folder() -> PathBuf {
    PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("../vectors")
}

#[track_caller]
fn compare(name: &str, value: Value) {
    let path = folder().join(format!("{name}.json"));
    if std::env::var_os("ASSAY_ACCEPT_VECTORS").is_some() {
        let text = serde_json::to_string_pretty(&value).expect("a value of strings and numbers");
        std::fs::write(&path, text + "\n").expect("the vectors' folder is writable");
        return;
    }
    let stored = std::fs::read(&path).expect("the vectors stand beside PROTOCOL.md");
    let stored: Value = serde_json::from_slice(&stored).expect("vectors are JSON");
    assert!(stored == value, "{name}.json differs from what this code computes");
}

fn hex(bytes: impl AsRef<[u8]>) -> String {
    hex::encode(bytes)
}

#[test]
fn genesis_and_directory() {
    compare("genesis", basics::genesis());
}

#[test]
fn encoding() {
    compare("encoding", basics::encoding());
}

#[test]
fn domain_separated_hashes() {
    compare("hash", basics::hashes());
}

#[test]
fn coins() {
    compare("coin", basics::coins());
}

#[test]
fn snapshots() {
    compare("snapshot", trees::snapshots());
}

#[test]
fn signatures() {
    compare("signature", basics::signatures());
}

#[test]
fn merkle_trees() {
    compare("merkle", trees::merkle());
}

#[test]
fn the_public_log() {
    compare("log", trees::log());
}

#[test]
fn the_map() {
    compare("map", trees::map());
}

#[test]
fn a_payment_in_its_envelope() {
    compare("payment", payment::payment());
}

#[test]
fn an_epoch_of_a_channel() {
    compare("channel", channel::channel());
}

#[test]
fn blocks_and_what_the_transition_gives() {
    compare("transition", transition::transitions());
}

#[test]
fn blocks_of_hand_overs_and_orders_of_the_rules() {
    compare("governance", governance::governance());
}

#[test]
fn blocks_of_contracts_feeds_and_loans() {
    compare("lending", lending::lending());
}

#[test]
fn supplies() {
    compare("supply", proofs::supplies());
}

#[test]
fn runs_of_blocks() {
    compare("run_of_blocks", proofs::runs_of_blocks());
}

#[test]
fn remembering_what_was_accepted() {
    compare("remembering", proofs::remembering());
}

#[test]
fn checkpoints_and_state_proofs() {
    compare("checkpoint", proofs::checkpoints());
}

#[test]
fn coin_proofs() {
    compare("coin_proof", proofs::coin_proofs());
}

#[test]
fn request_proofs() {
    compare("request_proof", proofs::request_proofs());
}

#[test]
fn contracts_feeds_and_loans() {
    compare("contract", contracts::contracts());
}

#[test]
fn programs_of_policies() {
    compare("program", programs::programs());
}

#[test]
fn proofs_of_contracts_feeds_and_loans() {
    compare("entry_proof", contracts::entry_proofs());
}

#[test]
fn proofs_of_leaves_of_the_log() {
    compare("leaf_proof", contracts::leaf_proofs());
}

#[test]
fn buckets() {
    compare("bucket", proofs::buckets());
}

#[test]
fn acknowledgements() {
    compare("acknowledgement", proofs::acknowledgements());
}

#[test]
fn ownership_proofs() {
    compare("ownership", proofs::ownership());
}

#[test]
fn hand_overs() {
    compare("hand_over", proofs::hand_overs());
}

#[test]
fn votes_proposals_and_peer_proofs() {
    compare("consensus", consensus::consensus());
}

#[test]
fn claims_and_reports_of_a_reconciliation() {
    compare("reconciliation", reconciliation::reconciliation());
}
