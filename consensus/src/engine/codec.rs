//! The engine's messages as bytes: on the wire, in the log, in sync.
//!
//! What must stay true: bounded before allocation, one encoding per value, nothing left over; a message that carries a vote or
//! a proposal carries exactly the layout that was signed ([`ledger_types::vote`]) and the signature. Golden files hold every
//! message's bytes (`tests/engine_codec.rs`).
//!
//! Decoding checks no signature, no height and no membership.

use super::context::{Address, Assay, BlockProposal, BlockValue, BlockVote, EngineHeight};
use super::parts::{BlockPart, PART_BYTES_MAX};
use arc_malachitebft_app_channel::app::engine::util::streaming::{StreamContent, StreamId, StreamMessage};
use arc_malachitebft_app_channel::app::types::PeerId;
use arc_malachitebft_app_channel::app::types::codec::{Codec, HasEncodedLen};
use arc_malachitebft_core_consensus as consensus;
use arc_malachitebft_core_types as core;
use arc_malachitebft_sync as sync;
use bytes::Bytes;
use consensus::{LivenessMsg, ProposedValue, SignedConsensusMsg};
use core::{
    CommitSignature, ExtendedCommitCertificate, ExtendedCommitSignature, NilOrVal, PolkaCertificate, PolkaSignature,
    Round, RoundCertificate, RoundCertificateType, RoundSignature, SignedProposal, SignedVote, ValidatorProof,
    Validity, VoteType,
};
use ledger_types::block::BLOCK_BYTES_MAX;
use ledger_types::encoding::{DecodeError, Encode, Reader};
use ledger_types::participant::PARTICIPANTS_MAX;
use ledger_types::vote;

/// Values in one answer to a sync request (B-12); requests ask for fewer (`session`).
pub const SYNC_VALUES_MAX: usize = 64;
/// A public key or peer id in a validator proof.
const PROOF_FIELD_BYTES_MAX: usize = 128;

#[derive(Clone, Copy, Debug)]
pub struct EngineCodec;

/// What a message must offer to be carried. Encoding is total; decoding is strict.
pub trait Carried: Sized {
    fn put(&self, out: &mut Vec<u8>);
    fn get(reader: &mut Reader<'_>) -> Result<Self, DecodeError>;
}

pub fn bytes_of<T: Carried>(message: &T) -> Vec<u8> {
    let mut out = Vec::new();
    message.put(&mut out);
    out
}

fn decode<T: Carried>(bytes: &[u8]) -> Result<T, DecodeError> {
    let mut reader = Reader::new(bytes);
    let message = T::get(&mut reader)?;
    reader.end()?;
    Ok(message)
}

macro_rules! carried_by_the_codec {
    ($($message:ty),* $(,)?) => { $(
        impl Codec<$message> for EngineCodec {
            type Error = DecodeError;
            fn decode(&self, bytes: Bytes) -> Result<$message, DecodeError> { decode(&bytes) }
            fn encode(&self, message: &$message) -> Result<Bytes, DecodeError> { Ok(bytes_of(message).into()) }
        }
    )* };
}
carried_by_the_codec!(
    SignedConsensusMsg<Assay>,
    LivenessMsg<Assay>,
    ProposedValue<Assay>,
    PolkaCertificate<Assay>,
    ValidatorProof<Assay>,
    sync::Status<Assay>,
    sync::Request<Assay>,
    sync::Response<Assay>,
);

impl HasEncodedLen<sync::Response<Assay>> for EngineCodec {
    fn encoded_len(&self, message: &sync::Response<Assay>) -> Result<usize, DecodeError> {
        let sync::Response::ValueResponse(response) = message;
        let certificate_bytes =
            |c: &ExtendedCommitCertificate<Assay>| 8 + 4 + 32 + 2 + c.commit_signatures.len() * (2 + 64);
        Ok(8 + 2
            + response
                .values
                .iter()
                .map(|v| 4 + v.value_bytes.len() + certificate_bytes(&v.certificate))
                .sum::<usize>())
    }
}

/// Parts keep their place in the received buffer: their bytes are not copied.
impl Codec<BlockPart> for EngineCodec {
    type Error = DecodeError;

    fn decode(&self, bytes: Bytes) -> Result<BlockPart, DecodeError> {
        let mut reader = Reader::new(&bytes);
        let (height, round, block) = (reader.read()?, reader.read()?, reader.read()?);
        let (block_bytes, index) = (reader.read()?, reader.read()?);
        let left = reader.remaining();
        if left > PART_BYTES_MAX {
            return Err(DecodeError::TooLong { count: left, max: PART_BYTES_MAX });
        }
        let part = BlockPart { height, round, block, block_bytes, index, bytes: bytes.slice(bytes.len() - left..) };
        if part.is_well_formed() { Ok(part) } else { Err(DecodeError::NotCanonical("block part")) }
    }

    fn encode(&self, part: &BlockPart) -> Result<Bytes, DecodeError> {
        let mut out = Vec::with_capacity(64 + part.bytes.len());
        part.height.encode(&mut out);
        part.round.encode(&mut out);
        part.block.encode(&mut out);
        part.block_bytes.encode(&mut out);
        part.index.encode(&mut out);
        out.extend_from_slice(&part.bytes);
        Ok(out.into())
    }
}

/// A part names its own stream, so the stream's id and sequence are not carried.
impl Codec<StreamMessage<BlockPart>> for EngineCodec {
    type Error = DecodeError;

    fn decode(&self, bytes: Bytes) -> Result<StreamMessage<BlockPart>, DecodeError> {
        Ok(stream_message(Codec::<BlockPart>::decode(self, bytes)?))
    }

    fn encode(&self, message: &StreamMessage<BlockPart>) -> Result<Bytes, DecodeError> {
        match &message.content {
            StreamContent::Data(part) => self.encode(part),
            StreamContent::Fin => Err(DecodeError::NotCanonical("a stream's end, which no part needs")),
        }
    }
}

pub fn stream_message(part: BlockPart) -> StreamMessage<BlockPart> {
    let mut id = Vec::with_capacity(12);
    part.height.encode(&mut id);
    part.round.encode(&mut id);
    StreamMessage::new(StreamId::new(id.into()), part.index.into(), StreamContent::Data(part))
}

fn put_list<T>(items: &[T], out: &mut Vec<u8>, put: impl Fn(&T, &mut Vec<u8>)) {
    (items.len() as u16).encode(out);
    items.iter().for_each(|item| put(item, out));
}

/// `item_bytes_min` keeps the allocation within what the input can hold.
fn get_list<T>(
    reader: &mut Reader<'_>,
    max: usize,
    item_bytes_min: usize,
    get: impl Fn(&mut Reader<'_>) -> Result<T, DecodeError>,
) -> Result<Vec<T>, DecodeError> {
    let count = usize::from(reader.read::<u16>()?);
    if count > max {
        return Err(DecodeError::TooLong { count, max });
    }
    if count * item_bytes_min > reader.remaining() {
        return Err(DecodeError::Truncated);
    }
    (0..count).map(|_| get(reader)).collect()
}

fn put_round(round: Round, out: &mut Vec<u8>) {
    round.as_u32().encode(out);
}

fn get_round(reader: &mut Reader<'_>) -> Result<Round, DecodeError> {
    Ok(Round::from(reader.read::<Option<u32>>()?))
}

fn get_address(reader: &mut Reader<'_>) -> Result<Address, DecodeError> {
    Ok(Address(reader.read()?))
}

fn get_height(reader: &mut Reader<'_>) -> Result<EngineHeight, DecodeError> {
    Ok(EngineHeight(reader.read()?))
}

impl Carried for SignedVote<Assay> {
    fn put(&self, out: &mut Vec<u8>) {
        let vote = self.message.to_ledger().expect("the engine votes in rounds only");
        vote.encode(out);
        self.signature.encode(out);
    }

    fn get(reader: &mut Reader<'_>) -> Result<Self, DecodeError> {
        let vote: vote::Vote = reader.read()?;
        Ok(SignedVote::new(BlockVote::from_ledger(&vote), reader.read()?))
    }
}

impl Carried for SignedProposal<Assay> {
    fn put(&self, out: &mut Vec<u8>) {
        let proposal = self.message.to_ledger().expect("the engine proposes in rounds only");
        proposal.encode(out);
        self.signature.encode(out);
    }

    fn get(reader: &mut Reader<'_>) -> Result<Self, DecodeError> {
        let proposal: vote::Proposal = reader.read()?;
        Ok(SignedProposal::new(BlockProposal::from_ledger(&proposal), reader.read()?))
    }
}

impl Carried for SignedConsensusMsg<Assay> {
    fn put(&self, out: &mut Vec<u8>) {
        match self {
            SignedConsensusMsg::Vote(vote) => {
                out.push(0);
                vote.put(out);
            }
            SignedConsensusMsg::Proposal(proposal) => {
                out.push(1);
                proposal.put(out);
            }
        }
    }

    fn get(reader: &mut Reader<'_>) -> Result<Self, DecodeError> {
        match reader.read::<u8>()? {
            0 => Ok(SignedConsensusMsg::Vote(Carried::get(reader)?)),
            1 => Ok(SignedConsensusMsg::Proposal(Carried::get(reader)?)),
            byte => Err(DecodeError::UnknownValue { field: "consensus message", byte }),
        }
    }
}

impl Carried for LivenessMsg<Assay> {
    fn put(&self, out: &mut Vec<u8>) {
        match self {
            LivenessMsg::Vote(vote) => {
                out.push(0);
                vote.put(out);
            }
            LivenessMsg::PolkaCertificate(certificate) => {
                out.push(1);
                certificate.put(out);
            }
            LivenessMsg::SkipRoundCertificate(certificate) => {
                out.push(2);
                certificate.put(out);
            }
        }
    }

    fn get(reader: &mut Reader<'_>) -> Result<Self, DecodeError> {
        match reader.read::<u8>()? {
            0 => Ok(LivenessMsg::Vote(Carried::get(reader)?)),
            1 => Ok(LivenessMsg::PolkaCertificate(Carried::get(reader)?)),
            2 => Ok(LivenessMsg::SkipRoundCertificate(Carried::get(reader)?)),
            byte => Err(DecodeError::UnknownValue { field: "liveness message", byte }),
        }
    }
}

impl Carried for PolkaCertificate<Assay> {
    fn put(&self, out: &mut Vec<u8>) {
        self.height.0.encode(out);
        put_round(self.round, out);
        self.value_id.encode(out);
        put_list(&self.polka_signatures, out, |s, out| {
            s.address.0.encode(out);
            s.signature.encode(out);
        });
    }

    fn get(reader: &mut Reader<'_>) -> Result<Self, DecodeError> {
        Ok(PolkaCertificate {
            height: get_height(reader)?,
            round: get_round(reader)?,
            value_id: reader.read()?,
            polka_signatures: get_list(reader, PARTICIPANTS_MAX, 66, |reader| {
                Ok(PolkaSignature::new(get_address(reader)?, reader.read()?))
            })?,
        })
    }
}

impl Carried for RoundCertificate<Assay> {
    fn put(&self, out: &mut Vec<u8>) {
        self.height.0.encode(out);
        put_round(self.round, out);
        out.push(match self.cert_type {
            RoundCertificateType::Skip => 0,
            RoundCertificateType::Precommit => 1,
        });
        put_list(&self.round_signatures, out, |s, out| {
            out.push(match s.vote_type {
                VoteType::Prevote => 1,
                VoteType::Precommit => 2,
            });
            match s.value_id {
                NilOrVal::Nil => None,
                NilOrVal::Val(block) => Some(block),
            }
            .encode(out);
            s.address.0.encode(out);
            s.signature.encode(out);
        });
    }

    fn get(reader: &mut Reader<'_>) -> Result<Self, DecodeError> {
        let (height, round) = (get_height(reader)?, get_round(reader)?);
        let cert_type = match reader.read::<u8>()? {
            0 => RoundCertificateType::Skip,
            1 => RoundCertificateType::Precommit,
            byte => return Err(DecodeError::UnknownValue { field: "round certificate", byte }),
        };
        let round_signatures = get_list(reader, PARTICIPANTS_MAX, 68, |reader| {
            let vote_type = match reader.read::<u8>()? {
                1 => VoteType::Prevote,
                2 => VoteType::Precommit,
                byte => return Err(DecodeError::UnknownValue { field: "vote step", byte }),
            };
            let value_id = reader.read::<Option<_>>()?.map_or(NilOrVal::Nil, NilOrVal::Val);
            Ok(RoundSignature::new(vote_type, value_id, get_address(reader)?, reader.read()?))
        })?;
        Ok(RoundCertificate { height, round, cert_type, round_signatures })
    }
}

impl Carried for ProposedValue<Assay> {
    fn put(&self, out: &mut Vec<u8>) {
        self.height.0.encode(out);
        put_round(self.round, out);
        put_round(self.valid_round, out);
        self.proposer.0.encode(out);
        self.value.0.encode(out);
        out.push(u8::from(self.validity.is_valid()));
    }

    fn get(reader: &mut Reader<'_>) -> Result<Self, DecodeError> {
        Ok(ProposedValue {
            height: get_height(reader)?,
            round: get_round(reader)?,
            valid_round: get_round(reader)?,
            proposer: get_address(reader)?,
            value: BlockValue(reader.read()?),
            validity: match reader.read::<u8>()? {
                0 => Validity::Invalid,
                1 => Validity::Valid,
                byte => return Err(DecodeError::UnknownValue { field: "validity", byte }),
            },
        })
    }
}

fn put_octets(bytes: &[u8], out: &mut Vec<u8>) {
    (bytes.len() as u16).encode(out);
    out.extend_from_slice(bytes);
}

fn get_octets(reader: &mut Reader<'_>) -> Result<Vec<u8>, DecodeError> {
    let count = usize::from(reader.read::<u16>()?);
    if count > PROOF_FIELD_BYTES_MAX {
        return Err(DecodeError::TooLong { count, max: PROOF_FIELD_BYTES_MAX });
    }
    Ok(reader.take(count)?.to_vec())
}

impl Carried for ValidatorProof<Assay> {
    fn put(&self, out: &mut Vec<u8>) {
        put_octets(&self.public_key, out);
        put_octets(&self.peer_id, out);
        self.signature.encode(out);
    }

    fn get(reader: &mut Reader<'_>) -> Result<Self, DecodeError> {
        Ok(ValidatorProof::new(get_octets(reader)?, get_octets(reader)?, reader.read()?))
    }
}

impl Carried for sync::Status<Assay> {
    fn put(&self, out: &mut Vec<u8>) {
        put_octets(&self.peer_id.to_bytes(), out);
        self.tip_height.0.encode(out);
        self.history_min_height.0.encode(out);
    }

    fn get(reader: &mut Reader<'_>) -> Result<Self, DecodeError> {
        let peer_id = PeerId::from_bytes(&get_octets(reader)?).map_err(|_| DecodeError::NotCanonical("peer id"))?;
        Ok(sync::Status { peer_id, tip_height: get_height(reader)?, history_min_height: get_height(reader)? })
    }
}

impl Carried for sync::Request<Assay> {
    fn put(&self, out: &mut Vec<u8>) {
        let sync::Request::ValueRequest(request) = self;
        request.range.start().0.encode(out);
        request.range.end().0.encode(out);
    }

    fn get(reader: &mut Reader<'_>) -> Result<Self, DecodeError> {
        Ok(sync::Request::ValueRequest(sync::ValueRequest::new(get_height(reader)?..=get_height(reader)?)))
    }
}

impl Carried for sync::Response<Assay> {
    fn put(&self, out: &mut Vec<u8>) {
        let sync::Response::ValueResponse(response) = self;
        response.start_height.0.encode(out);
        put_list(&response.values, out, |value, out| {
            (value.value_bytes.len() as u32).encode(out);
            out.extend_from_slice(&value.value_bytes);
            put_certificate(&value.certificate, out);
        });
    }

    fn get(reader: &mut Reader<'_>) -> Result<Self, DecodeError> {
        let start_height = get_height(reader)?;
        let values = get_list(reader, SYNC_VALUES_MAX, 50, |reader| {
            let count = reader.read::<u32>()? as usize;
            // B-11
            if count > BLOCK_BYTES_MAX {
                return Err(DecodeError::TooLong { count, max: BLOCK_BYTES_MAX });
            }
            let value_bytes = Bytes::copy_from_slice(reader.take(count)?);
            Ok(sync::RawDecidedValue::new(value_bytes, get_certificate(reader)?))
        })?;
        Ok(sync::Response::ValueResponse(sync::ValueResponse::new(start_height, values)))
    }
}

/// A certificate of the ledger, as the engine holds it.
fn put_certificate(certificate: &ExtendedCommitCertificate<Assay>, out: &mut Vec<u8>) {
    certificate.height.0.encode(out);
    certificate.round.as_u32().expect("a decision is of a round").encode(out);
    certificate.value_id.encode(out);
    put_list(&certificate.commit_signatures, out, |s, out| {
        s.address.0.encode(out);
        s.signature.encode(out);
    });
}

fn get_certificate(reader: &mut Reader<'_>) -> Result<ExtendedCommitCertificate<Assay>, DecodeError> {
    Ok(ExtendedCommitCertificate {
        height: get_height(reader)?,
        round: Round::new(reader.read()?),
        value_id: reader.read()?,
        commit_signatures: get_list(reader, PARTICIPANTS_MAX, 66, |reader| {
            let CommitSignature { address, signature } =
                CommitSignature::<Assay>::new(get_address(reader)?, reader.read()?);
            Ok(ExtendedCommitSignature::new(address, signature, None))
        })?,
    })
}
