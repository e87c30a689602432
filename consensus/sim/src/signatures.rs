//! Signatures are checked by the shipped verifier, once: what one node has found out about a message, a key and a signature is the
//! same at every other, and checking is most of what validators do.

use arc_malachitebft_core_types::{ValidatorProof, VoteExtensionScope};
use arc_malachitebft_signing::{Error, VerificationResult, Verifier};
use async_trait::async_trait;
use consensus::engine::context::{Assay, BlockProposal, BlockVote};
use consensus::engine::witness::Witness;
use ledger_types::Chain;
use ledger_types::bundle::{BundleCertificate, ack_message};
use ledger_types::keys::{PublicKey, Signature};
use ledger_types::participant::{SignedBy, SignerError, Validator, ValidatorSet};
use ledger_types::vote::{CommitCertificate, Vote, VoteStep};
use std::cell::RefCell;
use std::collections::HashMap;
use std::sync::Arc;

thread_local! {
    static KNOWN: RefCell<HashMap<[u8; 128], bool>> = RefCell::default();
}

pub fn verify(key: &PublicKey, message: &[u8; 32], signature: &Signature) -> bool {
    let mut place = [0; 128];
    place[..32].copy_from_slice(&key.0);
    place[32..64].copy_from_slice(message);
    place[64..].copy_from_slice(&signature.0);
    KNOWN.with_borrow_mut(|known| *known.entry(place).or_insert_with(|| key.verify(message, signature)))
}

/// Before each seed, so that none depends on the one before.
pub fn forget() {
    KNOWN.with_borrow_mut(HashMap::clear);
}

/// [`ValidatorSet::power_of`], with signatures looked up.
fn power_of(
    set: &ValidatorSet,
    signatures: &[SignedBy],
    key: impl Fn(&Validator) -> PublicKey,
    message: impl Fn(&SignedBy) -> [u8; 32],
) -> Result<(), SignerError> {
    let (mut power, mut last) = (0, None);
    for signed in signatures {
        if last.is_some_and(|last| last >= signed.signer) {
            return Err(SignerError::NotAscending(signed.signer));
        }
        last = Some(signed.signer);
        let validator = set.get(signed.signer).ok_or(SignerError::NotInTheSet(signed.signer))?;
        if !verify(&key(validator), &message(signed), &signed.signature) {
            return Err(SignerError::SignatureInvalid(signed.signer));
        }
        power += validator.power;
    }
    if set.is_quorum(power) { Ok(()) } else { Err(SignerError::NoQuorum { power, total: set.total_power() }) }
}

pub fn commit_holds(chain: &Chain, certificate: &CommitCertificate, set: &ValidatorSet) -> Result<(), SignerError> {
    let (height, round, block) = (certificate.height, certificate.round, Some(certificate.block));
    let message = |signed: &SignedBy| {
        Vote { step: VoteStep::Precommit, height, round, block, validator: signed.signer }.message(chain)
    };
    power_of(set, &certificate.precommits, |v| v.consensus, message)
}

pub fn bundle_certificate_holds(chain: &Chain, certificate: &BundleCertificate, set: &ValidatorSet) -> bool {
    let digest = certificate.digest(chain);
    power_of(set, &certificate.acks, |v| v.bundle, |signed| ack_message(chain, &digest, signed.signer)).is_ok()
}

/// [`consensus::engine::signing::StrictVerifier`], with signatures looked up.
pub struct LookedUp {
    pub chain: Chain,
    pub witness: Arc<Witness>,
}

#[async_trait]
impl Verifier<Assay> for LookedUp {
    async fn verify_signed_vote(
        &self,
        vote: &BlockVote,
        signature: &Signature,
        key: &PublicKey,
    ) -> Result<VerificationResult, Error> {
        let Some(vote) = vote.to_ledger() else { return Ok(VerificationResult::Invalid) };
        let valid = verify(key, &vote.message(&self.chain), signature);
        if valid {
            self.witness.saw(vote, *signature);
        }
        Ok(VerificationResult::from_bool(valid))
    }

    async fn verify_signed_proposal(
        &self,
        proposal: &BlockProposal,
        signature: &Signature,
        key: &PublicKey,
    ) -> Result<VerificationResult, Error> {
        let message = proposal.to_ledger().map(|proposal| proposal.message(&self.chain));
        Ok(VerificationResult::from_bool(message.is_some_and(|message| verify(key, &message, signature))))
    }

    async fn verify_signed_vote_extension(
        &self,
        _: &VoteExtensionScope<Assay>,
        _: &(),
        _: &Signature,
        _: &PublicKey,
    ) -> Result<VerificationResult, Error> {
        Ok(VerificationResult::Invalid)
    }

    async fn verify_validator_proof(&self, _: &ValidatorProof<Assay>) -> Result<VerificationResult, Error> {
        Ok(VerificationResult::Invalid)
    }
}
