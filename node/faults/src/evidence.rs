//! What nodes show of who signed two things for one place, proved by whoever judges: from the genesis, not because a node says so.

use ledger_types::bundle::BundleHeader;
use ledger_types::keys::Signature;
use ledger_types::vote::{Proposal, Vote};
use ledger_types::{ParticipantNumber, Reader};
use ledger_verify::Trust;
use node_api::{Client, ClientError, ledger};

/// Every piece that the node holds.
pub async fn held(node: &Client) -> Result<Vec<ledger::Evidence>, ClientError> {
    let mut all: Vec<ledger::Evidence> = Vec::new();
    loop {
        let after = all.last().map(|piece| format!("?after={}", piece.id)).unwrap_or_default();
        let page: Vec<ledger::Evidence> = node.get(&format!("/v1/evidence{after}")).await?;
        if page.is_empty() {
            return Ok(all);
        }
        all.extend(page);
    }
}

/// What somebody signed: over which message, as whom, and for which place.
struct Said {
    message: [u8; 32],
    signer: ParticipantNumber,
    place: String,
}

/// Panics unless the validator's own key signed both messages, they are of one place, and they differ.
pub fn prove(trust: &Trust, piece: &ledger::Evidence) {
    let chain = trust.chain();
    let line = trust.genesis().directory.get(ParticipantNumber(piece.validator)).expect("it accuses a participant");
    let [first, second] = [&piece.first, &piece.second].map(|bytes| {
        let bytes = hex::decode(bytes).expect("evidence is hexadecimal");
        let mut reader = Reader::new(&bytes);
        let (key, said) = match piece.what.as_str() {
            "prevote" | "precommit" => {
                let vote: Vote = reader.read().expect("a vote");
                let place = format!("{:?} {} {}", vote.step, vote.height, vote.round);
                (line.keys.consensus, Said { message: vote.message(chain), signer: vote.validator, place })
            }
            "proposal" => {
                let proposal: Proposal = reader.read().expect("a proposal");
                let place = format!("{} {}", proposal.height, proposal.round);
                (line.keys.consensus, Said { message: proposal.message(chain), signer: proposal.validator, place })
            }
            "bundle slot" => {
                let header: BundleHeader = reader.read().expect("a bundle's header");
                let (message, place) = (header.digest(chain).0, format!("{:?}", header.slot));
                (line.keys.bundle, Said { message, signer: header.slot.submitter, place })
            }
            other => panic!("there is no evidence of this kind: {other}"),
        };
        let signature: Signature = reader.read().expect("and its signature");
        reader.end().expect("and nothing more");
        assert!(key.verify(&said.message, &signature), "signed by another: {piece:?}");
        assert_eq!(said.signer.0, piece.validator, "signed for another: {piece:?}");
        said
    });
    assert_eq!(first.place, second.place, "of two places: {piece:?}");
    assert_ne!(first.message, second.message, "one message: {piece:?}");
}
