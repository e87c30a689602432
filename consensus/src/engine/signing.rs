//! Ed25519 by our one rule, in the engine's traits.
//!
//! What must stay true: a vote or proposal leaves this process only with a signature that the [`SigningGuard`] has recorded
//! durably, after everything that led to it is durable in the log (trap 3); a vote is in the log before a later one leaves, so that
//! replaying the log never asks for it again; signatures are checked with `verify_strict`, over
//! the ledger's own messages; the [`Witness`] sees every vote whose signature held, and no other.

use super::codec::EngineCodec;
use super::context::{Address, Assay, BlockProposal, BlockVote};
use super::wal::{RecordKind, Wal};
use super::witness::Witness;
use crate::guard::{GuardError, Position, SigningGuard, Step};
use crate::medium::Medium;
use arc_malachitebft_app_channel::app::engine::wal::encode_entry;
use arc_malachitebft_core_consensus::Input;
use arc_malachitebft_core_types as core;
use arc_malachitebft_signing as signing;
use async_trait::async_trait;
use core::{SignedMessage, ValidatorProof, VoteExtensionScope};
use ledger_types::keys::{PublicKey, Signature, SigningKey};
use ledger_types::{Chain, Height, Tag};
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

/// Log first, then guard, then the signature is let out.
pub fn sign_durably<F: Medium>(
    wal: &Wal<F>,
    guard: &mut SigningGuard<F>,
    key: &SigningKey,
    position: Position,
    message: &[u8; 32],
) -> Result<Signature, SigningStopped> {
    let mark = wal.flush().map_err(|error| SigningStopped::NotDurable(error.to_string()))?;
    guard.sign(position, message, mark, |message| key.sign(message)).map_err(|error| match error {
        GuardError::Refused(refusal) => SigningStopped::Refused(refusal.to_string()),
        error => SigningStopped::NotDurable(error.to_string()),
    })
}

/// The engine logs its own votes and proposals, but nothing while it replays the log: one that it derives there, because the node died
/// before its record was flushed, would stay out of the log for good. With a later signature in the guard the next replay would then ask
/// for an earlier one, and be refused. So whoever signs logs it too; the engine takes a record that it has seen for nothing.
pub fn log_vote<F: Medium>(wal: &Wal<F>, vote: &SignedMessage<Assay, BlockVote>) -> Result<(), SigningStopped> {
    log_signed(wal, vote.message.height.0, Input::Vote(vote.clone()))
}

/// As [`log_vote`].
pub fn log_proposal<F: Medium>(
    wal: &Wal<F>,
    proposal: &SignedMessage<Assay, BlockProposal>,
) -> Result<(), SigningStopped> {
    log_signed(wal, proposal.message.height.0, Input::Proposal(proposal.clone()))
}

fn log_signed<F: Medium>(wal: &Wal<F>, height: Height, signed: Input<Assay>) -> Result<(), SigningStopped> {
    let mut bytes = Vec::new();
    encode_entry(signed, &EngineCodec, &mut bytes)
        .and_then(|()| wal.append(height, RecordKind::Input, &bytes))
        .map_err(|error| SigningStopped::NotDurable(error.to_string()))
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
    /// Both writes are synced, so off the event loop (trap 8).
    async fn sign(&self, position: Position, message: [u8; 32]) -> Result<Signature, signing::Error> {
        let signer = self.clone();
        let signed = tokio::task::spawn_blocking(move || {
            let mut guard = signer.guard.lock().expect("no holder of the guard panics");
            sign_durably(&signer.wal, &mut guard, &signer.key, position, &message)
        })
        .await
        .unwrap_or_else(|panic| Err(SigningStopped::NotDurable(panic.to_string())));
        signed.map_err(|stopped| self.stop(position, stopped))
    }

    fn stop(&self, position: Position, stopped: SigningStopped) -> signing::Error {
        tracing::error!(%position, reason = %stopped, "no signature");
        let error = signing::Error::from_source(stopped.clone());
        *self.stopped.lock().expect("no holder panics") = Some(stopped);
        error
    }

    pub fn prove_peer(&self, peer_id: Vec<u8>) -> ValidatorProof<Assay> {
        let public_key = self.key.public_key().0.to_vec();
        let preimage = ValidatorProof::<Assay>::signing_bytes(&public_key, &peer_id);
        let signature = self.key.sign(&peer_proof_message(&self.chain, &preimage));
        ValidatorProof::new(public_key, peer_id, signature)
    }
}

pub fn proposal_position(proposal: &ledger_types::vote::Proposal) -> Position {
    Position { height: proposal.height, round: proposal.round, step: Step::Proposal }
}

fn outside_of_any_round() -> signing::Error {
    signing::Error::from_source("asked to sign outside of any round")
}

#[async_trait]
impl signing::Signer<Assay> for GuardedSigner {
    async fn sign_vote(&self, vote: BlockVote) -> Result<SignedMessage<Assay, BlockVote>, signing::Error> {
        let said = vote.to_ledger().ok_or_else(outside_of_any_round)?;
        let position = super::recall::position(&said);
        let signed = SignedMessage::new(vote, self.sign(position, said.message(&self.chain)).await?);
        log_vote(&self.wal, &signed).map_err(|stopped| self.stop(position, stopped))?;
        Ok(signed)
    }

    async fn sign_proposal(
        &self,
        proposal: BlockProposal,
    ) -> Result<SignedMessage<Assay, BlockProposal>, signing::Error> {
        let said = proposal.to_ledger().ok_or_else(outside_of_any_round)?;
        let position = proposal_position(&said);
        let signed = SignedMessage::new(proposal, self.sign(position, said.message(&self.chain)).await?);
        log_proposal(&self.wal, &signed).map_err(|stopped| self.stop(position, stopped))?;
        Ok(signed)
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
    use ledger_types::genesis::Genesis;
    use ledger_types::{Decode, Height, ParticipantNumber};
    use serde_json::Value;

    fn vote(step: core::VoteType) -> BlockVote {
        let (height, validator) = (super::super::context::EngineHeight(Height(1)), Address(ParticipantNumber(2)));
        BlockVote { step, height, round: core::Round::ZERO, block: core::NilOrVal::Nil, validator }
    }

    fn proposal() -> BlockProposal {
        BlockProposal {
            height: super::super::context::EngineHeight(Height(1)),
            round: core::Round::ZERO,
            value: super::super::context::BlockValue(ledger_types::BlockHash([3; 32])),
            valid_round: core::Round::Nil,
            proposer: Address(ParticipantNumber(2)),
        }
    }

    /// Two crashes in one height: the first before the records of proposal and prevote are flushed, the second after the precommit.
    #[test]
    fn what_a_replay_derives_again_is_in_the_log_before_the_next_is_signed() {
        use arc_malachitebft_app_channel::app::engine::wal::decode_entry;
        use signing::Signer;
        let folder = tempfile::tempdir().unwrap();
        let (guard, log) = (folder.path().join("guard"), folder.path().join("log"));
        let (chain, key) = (Chain::new(ledger_types::GenesisHash([7; 32])), SigningKey::from_seed(&[1; 32]));
        SigningGuard::create(&guard, &chain, key.public_key()).unwrap();
        let start = || {
            let (wal, recovered) = Wal::open(&log).unwrap();
            let guard = SigningGuard::open(&guard, &chain, key.public_key()).unwrap();
            let guard = Arc::new(Mutex::new(guard));
            (GuardedSigner { chain, key: key.clone(), guard, wal: Arc::new(wal), stopped: Arc::default() }, recovered)
        };
        let inputs = |recovered: &super::super::wal::Recovered| -> Vec<Input<Assay>> {
            recovered.records.iter().map(|r| decode_entry(&EngineCodec, &r.bytes[..]).unwrap()).collect()
        };
        let runtime = tokio::runtime::Builder::new_current_thread().build().unwrap();
        runtime.block_on(async {
            let (signer, _) = start();
            signer.wal.start(Height(1));
            let proposal = signer.sign_proposal(self::proposal()).await.unwrap();
            drop(signer); // dies: the proposal's own record is not flushed
            let (signer, recovered) = start();
            assert_eq!(recovered.records.len(), 0);
            signer.wal.resume(&recovered);
            assert_eq!(signer.sign_proposal(self::proposal()).await.unwrap(), proposal);
            let first = signer.sign_vote(vote(core::VoteType::Prevote)).await.unwrap();
            drop(signer); // dies: nor is the vote's
            let (signer, recovered) = start();
            assert_eq!(inputs(&recovered), [Input::Proposal(proposal.clone())]);
            signer.wal.resume(&recovered);
            // The replay; the engine logs nothing of it.
            assert_eq!(signer.sign_vote(vote(core::VoteType::Prevote)).await.unwrap(), first);
            signer.sign_vote(vote(core::VoteType::Precommit)).await.unwrap();
            drop(signer);
            let (_, recovered) = start();
            assert_eq!(inputs(&recovered), [Input::Proposal(proposal), Input::Vote(first)]);
        });
    }

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
