//! B-2: acknowledged = a commit certificate and a path to (envelope id, accepted). One test an error.

use crate::fixture::*;
use ledger_types::block::*;
use ledger_types::merkle;
use ledger_types::participant::SignerError;
use ledger_types::*;

/// Of the first envelope, which the block accepted (index 0), or of the second, which it refused with 16 (index 1).
pub fn acknowledgement(chain: &Chain, index: usize) -> Acknowledgement {
    let block = first_block(chain);
    let results = results(chain);
    let leaves: Vec<[u8; 32]> = results.iter().map(|result| result.leaf(chain)).collect();
    let path = merkle::path(chain, &leaves, index).unwrap();
    Acknowledgement {
        certificate: commit_by(chain, block.hash(chain), &VALIDATORS[..3]),
        header: block.header,
        result: results[index],
        index: index as u32,
        count: results.len() as u32,
        path: List::new(path.into_iter().map(MerkleRoot).collect()).unwrap(),
    }
}

fn verify_after(change: impl FnOnce(&mut Acknowledgement)) -> Result<(), AcknowledgementError> {
    let chain = chain();
    let mut acknowledgement = acknowledgement(&chain, 0);
    change(&mut acknowledgement);
    acknowledgement.verify(&chain, &directory().validators())
}

#[test]
fn an_accepted_envelope_of_a_decided_block_is_acknowledged() {
    assert_eq!(verify_after(|_| ()), Ok(()));
}

#[test]
fn a_header_that_the_certificate_does_not_name_is_refused() {
    assert_eq!(verify_after(|a| a.header.time_ms += 1), Err(AcknowledgementError::OtherBlock));
    assert_eq!(verify_after(|a| a.certificate.height = Height(2)), Err(AcknowledgementError::OtherBlock));
}

#[test]
fn a_certificate_that_does_not_verify_is_refused() {
    let two = |a: &mut Acknowledgement| a.certificate = commit_by(&chain(), a.certificate.block, &VALIDATORS[..2]);
    let no_quorum = SignerError::NoQuorum { power: 20, total: 40 };
    assert_eq!(verify_after(two), Err(AcknowledgementError::Certificate(no_quorum)));
}

#[test]
fn a_verdict_that_the_block_does_not_hold_is_refused() {
    assert_eq!(verify_after(|a| a.result.envelope.0[0] ^= 1), Err(AcknowledgementError::Path));
    assert_eq!(verify_after(|a| a.index = 1), Err(AcknowledgementError::Path));
    assert_eq!(verify_after(|a| a.path = List::empty()), Err(AcknowledgementError::Path));
    assert_eq!(verify_after(|a| a.path.as_mut_slice()[0].0[0] ^= 1), Err(AcknowledgementError::Path));
}

/// A commit certificate proves order, not acceptance.
#[test]
fn a_refused_envelope_is_never_acknowledged() {
    let chain = chain();
    let refused = acknowledgement(&chain, 1).verify(&chain, &directory().validators());
    assert_eq!(refused, Err(AcknowledgementError::Refused(16)));
    // Calling it accepted breaks the path.
    let whitewashed = Acknowledgement {
        result: EnvelopeResult { code: EnvelopeResult::ACCEPTED, ..acknowledgement(&chain, 1).result },
        ..acknowledgement(&chain, 1)
    };
    assert_eq!(whitewashed.verify(&chain, &directory().validators()), Err(AcknowledgementError::Path));
}
