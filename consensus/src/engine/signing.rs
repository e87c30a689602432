//! Ed25519 by our one rule, in the engine's traits.
//!
//! What must stay true: a vote or proposal leaves this process only with a signature that the [`SigningGuard`] has recorded
//! durably, after everything that led to it is durable in the log (trap 3); signatures are checked with `verify_strict`, over
//! the ledger's own messages; the [`Witness`] sees every vote whose signature held, and no other.

use super::context::{Address, Assay, BlockProposal, BlockVote};
use super::wal::Wal;
use super::witness::Witness;
use crate::guard::{GuardError, Position, SigningGuard, Step};
use arc_malachitebft_core_types as core;
use arc_malachitebft_signing as signing;
use async_trait::async_trait;
use core::{SignedMessage, ValidatorProof, VoteExtensionScope};
use ledger_types::keys::{PublicKey, Signature, SigningKey};
use ledger_types::vote::VoteStep;
use ledger_types::{Chain, Tag};
use signing::VerificationResult;
use std::sync::{Arc, Mutex};

#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Ed25519Strict;

impl core::SigningScheme for Ed25519Strict {
    type DecodingError = &'static str;
    type Signature = Signature;
    type PublicKey = PublicKey;
    type PrivateKey = SigningKey;

    fn decode_signature(bytes: &[u8]) -> Result<Signature, &'static str> {
        bytes.try_into().map(Signature).map_err(|_| "a signature has 64 bytes")
    }

    fn encode_signature(signature: &Signature) -> Vec<u8> {
        signature.0.to_vec()
    }

    fn decode_public_key(bytes: &[u8]) -> Result<PublicKey, &'static str> {
        let key = bytes.try_into().map(PublicKey).map_err(|_| "a public key has 32 bytes")?;
        if key.is_sound() { Ok(key) } else { Err("the public key is not sound") }
    }

    fn encode_public_key(key: &PublicKey) -> Vec<u8> {
        key.0.to_vec()
    }
}

/// The engine binds a network peer to a validator by this message.
fn peer_proof_message(chain: &Chain, preimage: &[u8]) -> [u8; 32] {
    chain.hash(Tag::PeerProof, &[preimage])
}

pub struct StrictVerifier {
    pub chain: Chain,
    pub witness: Arc<Witness>,
}

#[async_trait]
impl signing::Verifier<Assay> for StrictVerifier {
    async fn verify_signed_vote(
        &self,
        vote: &BlockVote,
        signature: &Signature,
        key: &PublicKey,
    ) -> Result<VerificationResult, signing::Error> {
        let Some(vote) = vote.to_ledger() else { return Ok(VerificationResult::Invalid) };
        let valid = key.verify(&vote.message(&self.chain), signature);
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
    ) -> Result<VerificationResult, signing::Error> {
        let message = proposal.to_ledger().map(|proposal| proposal.message(&self.chain));
        Ok(VerificationResult::from_bool(message.is_some_and(|message| key.verify(&message, signature))))
    }

    async fn verify_signed_vote_extension(
        &self,
        _: &VoteExtensionScope<Assay>,
        _: &(),
        _: &Signature,
        _: &PublicKey,
    ) -> Result<VerificationResult, signing::Error> {
        Ok(VerificationResult::Invalid)
    }

    async fn verify_validator_proof(
        &self,
        proof: &ValidatorProof<Assay>,
    ) -> Result<VerificationResult, signing::Error> {
        let Ok(key) = proof.decoded_public_key() else { return Ok(VerificationResult::Invalid) };
        let message = peer_proof_message(&self.chain, &proof.preimage());
        Ok(VerificationResult::from_bool(key.verify(&message, &proof.signature)))
    }
}

/// Why signing stopped. The engine learns only that it failed; the session asks here for the reason.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum SigningStopped {
    #[error("the signing guard refused: {0}")]
    Refused(String),
    #[error("what leads to a vote cannot be made durable: {0}")]
    NotDurable(String),
}

#[derive(Clone)]
pub struct GuardedSigner {
    pub chain: Chain,
    pub key: SigningKey,
    pub guard: Arc<Mutex<SigningGuard>>,
    pub wal: Arc<Wal>,
    pub stopped: Arc<Mutex<Option<SigningStopped>>>,
}

impl GuardedSigner {
    /// Log first, then guard, then the signature is let out. Both writes are synced, so off the event loop (trap 8).
    async fn sign(&self, position: Position, message: [u8; 32]) -> Result<Signature, signing::Error> {
        let signer = self.clone();
        let signed = tokio::task::spawn_blocking(move || {
            let mark = signer.wal.flush().map_err(|error| SigningStopped::NotDurable(error.to_string()))?;
            let mut guard = signer.guard.lock().expect("no holder of the guard panics");
            guard.sign(position, &message, mark, |message| signer.key.sign(message)).map_err(|error| match error {
                GuardError::Refused(refusal) => SigningStopped::Refused(refusal.to_string()),
                error => SigningStopped::NotDurable(error.to_string()),
            })
        })
        .await
        .unwrap_or_else(|panic| Err(SigningStopped::NotDurable(panic.to_string())));
        signed.map_err(|stopped| {
            tracing::error!(%position, reason = %stopped, "no signature");
            let error = signing::Error::from_source(stopped.clone());
            *self.stopped.lock().expect("no holder panics") = Some(stopped);
            error
        })
    }

    pub fn prove_peer(&self, peer_id: Vec<u8>) -> ValidatorProof<Assay> {
        let public_key = self.key.public_key().0.to_vec();
        let preimage = ValidatorProof::<Assay>::signing_bytes(&public_key, &peer_id);
        let signature = self.key.sign(&peer_proof_message(&self.chain, &preimage));
        ValidatorProof::new(public_key, peer_id, signature)
    }
}

fn outside_of_any_round() -> signing::Error {
    signing::Error::from_source("asked to sign outside of any round")
}

#[async_trait]
impl signing::Signer<Assay> for GuardedSigner {
    async fn sign_vote(&self, vote: BlockVote) -> Result<SignedMessage<Assay, BlockVote>, signing::Error> {
        let said = vote.to_ledger().ok_or_else(outside_of_any_round)?;
        let step = match said.step {
            VoteStep::Prevote => Step::Prevote,
            VoteStep::Precommit => Step::Precommit,
        };
        let position = Position { height: said.height, round: said.round, step };
        let signature = self.sign(position, said.message(&self.chain)).await?;
        Ok(SignedMessage::new(vote, signature))
    }

    async fn sign_proposal(
        &self,
        proposal: BlockProposal,
    ) -> Result<SignedMessage<Assay, BlockProposal>, signing::Error> {
        let said = proposal.to_ledger().ok_or_else(outside_of_any_round)?;
        let position = Position { height: said.height, round: said.round, step: Step::Proposal };
        let signature = self.sign(position, said.message(&self.chain)).await?;
        Ok(SignedMessage::new(proposal, signature))
    }

    async fn sign_vote_extension(
        &self,
        _: VoteExtensionScope<Assay>,
        _: (),
    ) -> Result<SignedMessage<Assay, ()>, signing::Error> {
        Err(signing::Error::from_source("vote extensions are not used"))
    }

    async fn sign_validator_proof(
        &self,
        public_key: Vec<u8>,
        peer_id: Vec<u8>,
    ) -> Result<ValidatorProof<Assay>, signing::Error> {
        let preimage = ValidatorProof::<Assay>::signing_bytes(&public_key, &peer_id);
        let signature = self.key.sign(&peer_proof_message(&self.chain, &preimage));
        Ok(ValidatorProof::new(public_key, peer_id, signature))
    }
}

/// The address under which a node takes part: its own when it may vote, nobody's otherwise.
pub fn address(me: ledger_types::ParticipantNumber, votes: bool) -> Address {
    if votes { Address(me) } else { Address::NOBODY }
}

#[cfg(test)]
mod tests {
    use super::*;
    use ledger_types::Decode;
    use ledger_types::genesis::Genesis;
    use serde_json::Value;

    /// PROTOCOL.md spells the engine's message out; an engine that makes another would part the network from the page.
    #[test]
    fn the_engine_makes_the_peer_proofs_of_the_vectors() {
        let vectors: Value = serde_json::from_str(include_str!("../../../ledger/vectors/consensus.json")).unwrap();
        let bytes = |value: &Value, field: &str| hex::decode(value[field].as_str().unwrap()).unwrap();
        let chain = Genesis::from_bytes(&bytes(&vectors, "genesis")).unwrap().chain();
        let proofs = vectors["peer_proofs"].as_array().unwrap();
        assert!(!proofs.is_empty());
        for proof in proofs {
            let preimage = ValidatorProof::<Assay>::signing_bytes(&bytes(proof, "key"), &bytes(proof, "peer_id"));
            assert_eq!(preimage, bytes(proof, "engines_message"));
            assert_eq!(peer_proof_message(&chain, &preimage)[..], bytes(proof, "message"));
        }
    }
}
