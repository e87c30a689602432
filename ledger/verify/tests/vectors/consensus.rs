//! What validators sign beside bundles and checkpoints (8): votes, proposals, and who a network peer is.

use super::chain::{Purpose, Registry, key};
use super::hex;
use ledger_types::encoding::{Decode, Encode};
use ledger_types::vote::{Proposal, Vote, VoteStep};
use ledger_types::*;
use serde_json::{Value, json};

const BLOCK: BlockHash = BlockHash([0xb1; 32]);

pub fn consensus() -> Value {
    let registry = Registry::new();
    let chain = &registry.chain;
    let signed = |validator: u16, bytes: Vec<u8>, message: [u8; 32]| {
        let signature = key(Purpose::Consensus, validator).sign(&message);
        json!({ "bytes": hex(bytes), "message": hex(message), "signature": hex(signature.0) })
    };
    let vote = |step, round, block, validator| {
        let vote = Vote { step, height: Height(77), round, block, validator: ParticipantNumber(validator) };
        let fields = json!({
            "step": vote.step.number(), "height": 77, "round": round,
            "block": block.map(|block: BlockHash| hex(block.0)), "validator": validator,
        });
        json!({ "fields": fields, "signed": signed(validator, vote.to_bytes(), vote.message(chain)) })
    };
    let proposal = |round, valid_round, validator| {
        let proposal =
            Proposal { height: Height(77), round, block: BLOCK, valid_round, validator: ParticipantNumber(validator) };
        let fields = json!({
            "height": 77, "round": round, "block": hex(BLOCK.0), "valid_round": valid_round, "validator": validator,
        });
        json!({ "fields": fields, "signed": signed(validator, proposal.to_bytes(), proposal.message(chain)) })
    };
    json!({
        "genesis": hex(registry.document()),
        "votes": [
            vote(VoteStep::Prevote, 0, Some(BLOCK), 1),
            vote(VoteStep::Prevote, 3, None, 2),
            vote(VoteStep::Precommit, 0, Some(BLOCK), 3),
            vote(VoteStep::Precommit, u32::MAX, None, 4),
        ],
        "proposals": [proposal(0, None, 1), proposal(4, Some(2), 2)],
        "peer_proofs": [peer_proof(chain, 1), peer_proof(chain, 4)],
        "refused": refused(),
    })
}

/// The engine's message is spelt out here; that the engine makes the same is a test of the package `consensus`.
fn peer_proof(chain: &Chain, validator: u16) -> Value {
    let consensus_key = key(Purpose::Consensus, validator).public_key().0;
    // libp2p's id of an Ed25519 key: the key itself, as an identity multihash of its protobuf.
    let peer_id =
        [&[0x00, 0x24, 0x08, 0x01, 0x12, 0x20][..], &key(Purpose::EnginePeer, validator).public_key().0].concat();
    let mut engines = b"PoV".to_vec();
    for part in [&consensus_key[..], &peer_id] {
        engines.extend(u32::try_from(part.len()).unwrap().to_be_bytes());
        engines.extend(part);
    }
    let message = chain.hash(Tag::PeerProof, &[&engines]);
    json!({
        "validator": validator,
        "key": hex(consensus_key),
        "peer_id": hex(&peer_id),
        "engines_message": hex(&engines),
        "message": hex(message),
        "signature": hex(key(Purpose::Consensus, validator).sign(&message).0),
    })
}

fn refused() -> Vec<Value> {
    let validator = ParticipantNumber(1);
    let vote = Vote { step: VoteStep::Prevote, height: Height(77), round: 0, block: Some(BLOCK), validator }.to_bytes();
    let proposal = Proposal { height: Height(77), round: 0, block: BLOCK, valid_round: None, validator }.to_bytes();
    let with = |bytes: &[u8], at: usize, byte: u8| {
        let mut bytes = bytes.to_vec();
        bytes[at] = byte;
        bytes
    };
    let cases = [
        ("vote", with(&vote, 0, 0), "step 0"),
        ("vote", with(&vote, 0, 3), "step 3"),
        ("vote", with(&vote, 13, 2), "neither a block nor nil"),
        ("vote", vote[..vote.len() - 1].to_vec(), "it ends in a field"),
        ("proposal", with(&proposal, 44, 2), "neither a round nor none"),
        ("proposal", [&proposal[..], &[0]].concat(), "a byte is left over"),
    ];
    let case = |(kind, bytes, because): &(&str, Vec<u8>, &str)| {
        let decodes = match *kind {
            "vote" => Vote::from_bytes(bytes).is_ok(),
            _ => Proposal::from_bytes(bytes).is_ok(),
        };
        assert!(!decodes, "{kind}: {because}");
        json!({ "type": kind, "hex": hex(bytes), "because": because })
    };
    cases.iter().map(case).collect()
}
