//! What validators say to each other: the engine's messages, and the data plane's frames.

use crate::ledger::{any_canonical, chain};
use arc_malachitebft_app_channel::app::engine::util::streaming::StreamMessage;
use arc_malachitebft_app_channel::app::types::codec::Codec;
use arc_malachitebft_core_consensus::{LivenessMsg, ProposedValue, SignedConsensusMsg};
use arc_malachitebft_core_types::{PolkaCertificate, ValidatorProof};
use arc_malachitebft_sync as engine_sync;
use bytes::Bytes;
use consensus::engine::codec::EngineCodec;
use consensus::engine::context::Assay;
use consensus::engine::courier;
use consensus::engine::parts::BlockPart;
use consensus::engine::recall::Answer;
use consensus::plane::wire::{Flow, Frame, HEAD_BYTES, bundle_prefix};
use ledger_types::vote::{CommitCertificate, Proposal, Vote};

/// Whether the engine's codec takes the bytes; then it gives the same back.
fn carried<T>(bytes: &[u8]) -> bool
where
    EngineCodec: Codec<T>,
{
    let Ok(message) = EngineCodec.decode(Bytes::copy_from_slice(bytes)) else { return false };
    assert_eq!(EngineCodec.encode(&message).ok().as_deref(), Some(bytes), "one encoding a message");
    true
}

pub(crate) fn vote(bytes: &[u8]) -> bool {
    any_canonical!(bytes; Vote, Proposal)
        | carried::<SignedConsensusMsg<Assay>>(bytes)
        | carried::<LivenessMsg<Assay>>(bytes)
        | carried::<ProposedValue<Assay>>(bytes)
        | carried::<ValidatorProof<Assay>>(bytes)
        | spoken(bytes)
        | answered(bytes)
}

/// What a peer's stream says to the engine.
fn spoken(bytes: &[u8]) -> bool {
    courier::heard(None, Bytes::copy_from_slice(bytes)).is_ok()
}

/// What a peer holds of a validator that asks before it votes (B-9).
fn answered(bytes: &[u8]) -> bool {
    let Some(answer) = Answer::parse(bytes) else { return false };
    assert_eq!(answer.bytes(), bytes, "one encoding an answer");
    true
}

pub(crate) fn part(bytes: &[u8]) -> bool {
    carried::<BlockPart>(bytes) | carried::<StreamMessage<BlockPart>>(bytes)
}

pub(crate) fn certificate(bytes: &[u8]) -> bool {
    let certificate = crate::ledger::canonical::<CommitCertificate>(bytes);
    if let Some(certificate) = &certificate {
        let validators = crate::proofs::honest_trust().validators().clone();
        if certificate.verify(&chain(), &validators).is_ok() {
            assert_eq!(certificate.block, crate::proofs::honest_block(), "no quorum signed another block");
        }
    }
    certificate.is_some() | carried::<PolkaCertificate<Assay>>(bytes)
}

pub(crate) fn sync(bytes: &[u8]) -> bool {
    carried::<engine_sync::Status<Assay>>(bytes)
        | carried::<engine_sync::Request<Assay>>(bytes)
        | carried::<engine_sync::Response<Assay>>(bytes)
}

/// A frame on each flow. No body is read that its head does not allow.
pub(crate) fn plane(bytes: &[u8]) -> bool {
    let Some((head, body)) = bytes.split_first_chunk::<HEAD_BYTES>() else { return false };
    let mut taken = false;
    for flow in Flow::ALL {
        let Ok((kind, length)) = Frame::head(flow, *head) else { continue };
        let Some(body) = body.get(..length) else { continue };
        let Ok(frame) = Frame::body(kind, Bytes::copy_from_slice(body)) else { continue };
        assert_eq!(frame.to_bytes(), bytes[..HEAD_BYTES + length], "one encoding a frame");
        if let Frame::Bundle(bundle) | Frame::Fetched(_, bundle) = &frame {
            let _ = bundle_prefix(bundle);
        }
        taken = true;
    }
    taken
}
