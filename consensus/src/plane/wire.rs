//! Frames of the data plane: the only place that turns bytes from a peer into values.
//!
//! ```text
//! frame = kind u8 ‖ length u32 ‖ body[length]        integers little-endian, bodies in the ledger's own encoding
//! ```
//! A stream carries one flow: bundles travel on a bulk stream, and neither control frames, which are small, nor the consensus
//! engine's messages wait in a queue behind them. A peer that does not know a flow accepts no stream of it. A length is compared
//! with its kind's maximum before a byte of the body is read or allocated; leftovers are refused.
//! The first frame of a stream is a `Hello`. Nothing here is believed: signatures and slots are checked by the intake.

use bytes::{Bytes, BytesMut};
use futures::{AsyncRead, AsyncReadExt};
use ledger_types::bundle::{BUNDLE_BYTES_MAX, Bundle, BundleCertificate, BundleHeader, Slot};
use ledger_types::encoding::Reader;
use ledger_types::keys::Signature;
use ledger_types::{
    BundleDigest, Decode, DecodeError, Encode, GenesisHash, Height, List, Octets, ParticipantNumber, layout, numbered,
};
use std::io;

/// Raised whenever a frame changes; a peer of another version is refused by name.
pub const WIRE_VERSION: u8 = 1;
pub const HEAD_BYTES: usize = 5;
/// Of an application message, a question or an answer.
pub const MESSAGE_BYTES_MAX: usize = 16 * 1024;
/// Two windows of a lane (the open incarnation and the next), twice over.
pub const LANE_REPORT_MAX: usize = 32;
pub const WANT_MAX: usize = 16;
/// 52 bytes of header, a count, and 256 acks of 66 bytes.
const CERTIFICATE_BYTES_MAX: usize = 52 + 2 + 256 * 66;
/// Header and signature stand before the body.
pub const BUNDLE_PREFIX_BYTES: usize = 52 + 64;
const BUNDLE_FRAME_BYTES_MAX: usize = BUNDLE_PREFIX_BYTES + BUNDLE_BYTES_MAX;
/// A part of a block, or a vote, proposal or certificate.
pub const CONSENSUS_BYTES_MAX: usize = 192 * 1024;

/// Which of a peer's streams a frame travels on.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum Flow {
    Control,
    Bulk,
    /// What the consensus engine says, which the plane does not look into.
    Consensus,
}

impl Flow {
    pub const ALL: [Flow; 3] = [Flow::Control, Flow::Bulk, Flow::Consensus];

    pub const fn protocol(self) -> libp2p::StreamProtocol {
        match self {
            Flow::Control => libp2p::StreamProtocol::new("/assay/control/1"),
            Flow::Bulk => libp2p::StreamProtocol::new("/assay/bulk/1"),
            Flow::Consensus => libp2p::StreamProtocol::new("/assay/consensus/1"),
        }
    }
}

numbered! {
    pub enum Kind {
        Hello = 1,
        Ack = 2,
        Certificate = 3,
        Want = 4,
        Absent = 5,
        Message = 6,
        Question = 7,
        Answer = 8,
        HeightStarted = 9,
        Alive = 10,
        LaneReport = 11,
        Bundle = 32,
        Fetched = 33,
        Consensus = 64,
    }
}

impl Kind {
    pub const fn bytes_max(self) -> usize {
        match self {
            Kind::Hello => 1 + 32 + 2,
            Kind::Ack => 32 + 64,
            Kind::Certificate => CERTIFICATE_BYTES_MAX,
            Kind::Want => 2 + WANT_MAX * 32,
            Kind::Absent => 32,
            Kind::Message => MESSAGE_BYTES_MAX,
            Kind::Question | Kind::Answer => 8 + 2 + MESSAGE_BYTES_MAX,
            Kind::HeightStarted => 8,
            Kind::Alive => 0,
            Kind::LaneReport => 4 + 8 + 2 + LANE_REPORT_MAX * (14 + 32),
            Kind::Bundle => BUNDLE_FRAME_BYTES_MAX,
            Kind::Fetched => 32 + BUNDLE_FRAME_BYTES_MAX,
            Kind::Consensus => CONSENSUS_BYTES_MAX,
        }
    }

    pub const fn travels_on(self, flow: Flow) -> bool {
        match self {
            Kind::Hello => true,
            Kind::Bundle | Kind::Fetched => matches!(flow, Flow::Bulk),
            Kind::Consensus => matches!(flow, Flow::Consensus),
            _ => matches!(flow, Flow::Control),
        }
    }
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Hello {
    pub version: u8,
    pub chain: GenesisHash,
    pub number: ParticipantNumber,
}
layout!(Hello { version, chain, number });

/// The sender of the frame is the signer: streams are authenticated.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Ack {
    pub digest: BundleDigest,
    pub signature: Signature,
}
layout!(Ack { digest, signature });

#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Question {
    pub id: u64,
    pub bytes: Octets<MESSAGE_BYTES_MAX>,
}
layout!(Question { id, bytes });

/// "This bundle of yours I hold": lets an owner whose disk is older than the network's memory resume without reusing a slot.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct HeldSlot {
    pub slot: Slot,
    pub digest: BundleDigest,
}
layout!(HeldSlot { slot, digest });

/// What the sender knows of the receiver's lane.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct LaneReport {
    /// Where the sender's tip has the lane.
    pub incarnation: u32,
    pub next_sequence: u64,
    pub held: List<HeldSlot, LANE_REPORT_MAX>,
}
layout!(LaneReport { incarnation, next_sequence, held });

#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Frame {
    Hello(Hello),
    Ack(Ack),
    Certificate(Box<BundleCertificate>),
    Want(List<BundleDigest, WANT_MAX>),
    Absent(BundleDigest),
    Message(Vec<u8>),
    Question(Question),
    Answer(Question),
    HeightStarted(Height),
    Alive,
    LaneReport(LaneReport),
    /// An unparsed bundle: header ‖ signature ‖ body.
    Bundle(Bytes),
    Fetched(BundleDigest, Bytes),
    Consensus(Bytes),
}

#[derive(Debug, thiserror::Error)]
pub enum WireError {
    #[error("the stream ended: {0}")]
    Ended(#[from] io::Error),
    #[error("{0} is no kind of frame")]
    UnknownKind(u8),
    #[error("a {0:?} frame does not travel on the {1:?} stream")]
    WrongFlow(Kind, Flow),
    #[error("a {kind:?} frame of {bytes} bytes exceeds its maximum of {max}")]
    TooLong { kind: Kind, bytes: usize, max: usize },
    #[error("the {0:?} frame does not decode: {1}")]
    Malformed(Kind, DecodeError),
    #[error("a stream starts with a Hello and has no other")]
    HelloMisplaced,
    #[error("the peer speaks version {0} of the wire")]
    OtherVersion(u8),
    #[error("the peer is on another chain")]
    OtherChain,
    #[error("the Hello names participant {0}, whose key this is not")]
    OtherParticipant(ParticipantNumber),
    #[error("the bundle is refused: {0}")]
    BundleRefused(String),
    #[error("the consensus engine cannot read it: {0}")]
    ConsensusMalformed(DecodeError),
    #[error("nothing was heard for too long")]
    Silent,
}

impl WireError {
    /// For metrics and logs; none names a peer's bytes.
    pub fn name(&self) -> &'static str {
        match self {
            WireError::Ended(_) => "stream_ended",
            WireError::UnknownKind(_) => "frame_kind_unknown",
            WireError::WrongFlow(..) => "frame_on_wrong_stream",
            WireError::TooLong { .. } => "frame_too_long",
            WireError::Malformed(..) => "frame_malformed",
            WireError::HelloMisplaced => "hello_misplaced",
            WireError::OtherVersion(_) => "wire_version_other",
            WireError::OtherChain => "chain_other",
            WireError::OtherParticipant(_) => "participant_other",
            WireError::BundleRefused(_) => "bundle_refused",
            WireError::ConsensusMalformed(_) => "consensus_malformed",
            WireError::Silent => "peer_silent",
        }
    }

    /// Only a faulty peer causes it: its streams are refused for a while.
    pub fn is_misbehaviour(&self) -> bool {
        !matches!(self, WireError::Ended(_) | WireError::Silent)
    }
}

fn framed(kind: Kind, body_bytes: usize, write: impl FnOnce(&mut Vec<u8>)) -> Bytes {
    let mut out = Vec::with_capacity(HEAD_BYTES + body_bytes);
    kind.encode(&mut out);
    0u32.encode(&mut out);
    write(&mut out);
    let length = u32::try_from(out.len() - HEAD_BYTES).expect("a frame is bounded far below 4 GiB");
    out[1..HEAD_BYTES].copy_from_slice(&length.to_le_bytes());
    Bytes::from(out)
}

/// A bundle is encoded once and the frame shared by all peers' writers.
pub fn bundle_frame(bundle: &Bundle) -> Bytes {
    framed(Kind::Bundle, bundle.header().bytes as usize + 256, |out| bundle.encode(out))
}

pub fn fetched_frame(bundle: &Bundle) -> Bytes {
    framed(Kind::Fetched, bundle.header().bytes as usize + 256, |out| {
        bundle.digest().encode(out);
        bundle.encode(out);
    })
}

/// A stream holds on to less than twice as much for its next frames.
const ROOM_KEPT: usize = 1 << 20;

impl Frame {
    pub fn kind(&self) -> Kind {
        match self {
            Frame::Hello(_) => Kind::Hello,
            Frame::Ack(_) => Kind::Ack,
            Frame::Certificate(_) => Kind::Certificate,
            Frame::Want(_) => Kind::Want,
            Frame::Absent(_) => Kind::Absent,
            Frame::Message(_) => Kind::Message,
            Frame::Question(_) => Kind::Question,
            Frame::Answer(_) => Kind::Answer,
            Frame::HeightStarted(_) => Kind::HeightStarted,
            Frame::Alive => Kind::Alive,
            Frame::LaneReport(_) => Kind::LaneReport,
            Frame::Bundle(_) => Kind::Bundle,
            Frame::Fetched(..) => Kind::Fetched,
            Frame::Consensus(_) => Kind::Consensus,
        }
    }

    pub fn to_bytes(&self) -> Bytes {
        framed(self.kind(), 128, |out| match self {
            Frame::Hello(hello) => hello.encode(out),
            Frame::Ack(ack) => ack.encode(out),
            Frame::Certificate(certificate) => certificate.encode(out),
            Frame::Want(digests) => digests.encode(out),
            Frame::Absent(digest) => digest.encode(out),
            Frame::Message(bytes) => out.extend_from_slice(bytes),
            Frame::Question(question) | Frame::Answer(question) => question.encode(out),
            Frame::HeightStarted(height) => height.encode(out),
            Frame::Alive => {}
            Frame::LaneReport(report) => report.encode(out),
            Frame::Bundle(bytes) | Frame::Consensus(bytes) => out.extend_from_slice(bytes),
            Frame::Fetched(digest, bytes) => {
                digest.encode(out);
                out.extend_from_slice(bytes);
            }
        })
    }

    /// Parses a head: the kind and how many bytes of body follow.
    pub fn head(flow: Flow, head: [u8; HEAD_BYTES]) -> Result<(Kind, usize), WireError> {
        let kind = Kind::from_bytes(&head[..1]).map_err(|_| WireError::UnknownKind(head[0]))?;
        if !kind.travels_on(flow) {
            return Err(WireError::WrongFlow(kind, flow));
        }
        let bytes = u32::from_le_bytes([head[1], head[2], head[3], head[4]]) as usize;
        match bytes <= kind.bytes_max() {
            true => Ok((kind, bytes)),
            false => Err(WireError::TooLong { kind, bytes, max: kind.bytes_max() }),
        }
    }

    pub fn body(kind: Kind, body: Bytes) -> Result<Frame, WireError> {
        fn decode<T: Decode>(kind: Kind, body: &[u8]) -> Result<T, WireError> {
            T::from_bytes(body).map_err(|error| WireError::Malformed(kind, error))
        }
        Ok(match kind {
            Kind::Hello => Frame::Hello(decode(kind, &body)?),
            Kind::Ack => Frame::Ack(decode(kind, &body)?),
            Kind::Certificate => Frame::Certificate(Box::new(decode(kind, &body)?)),
            Kind::Want => Frame::Want(decode(kind, &body)?),
            Kind::Absent => Frame::Absent(decode(kind, &body)?),
            Kind::Message => Frame::Message(body.to_vec()),
            Kind::Question => Frame::Question(decode(kind, &body)?),
            Kind::Answer => Frame::Answer(decode(kind, &body)?),
            Kind::HeightStarted => Frame::HeightStarted(decode(kind, &body)?),
            Kind::Alive => Frame::Alive,
            Kind::LaneReport => Frame::LaneReport(decode(kind, &body)?),
            Kind::Bundle => Frame::Bundle(body),
            Kind::Consensus => Frame::Consensus(body),
            Kind::Fetched => {
                let digest = Reader::new(&body).read().map_err(|error| WireError::Malformed(kind, error))?;
                Frame::Fetched(digest, body.slice(32..))
            }
        })
    }

    /// `room` is for the next frame too: once nobody holds the bytes of the last one it is used again, and no page of it is new. A frame
    /// of more than [`ROOM_KEPT`] gets room of its own, which is untouched before its bytes come.
    pub async fn read(
        flow: Flow,
        from: &mut (impl AsyncRead + Unpin),
        room: &mut BytesMut,
    ) -> Result<Frame, WireError> {
        let mut head = [0; HEAD_BYTES];
        from.read_exact(&mut head).await?;
        let (kind, bytes) = Frame::head(flow, head)?;
        if bytes > ROOM_KEPT {
            let mut own = BytesMut::zeroed(bytes);
            from.read_exact(&mut own).await?;
            return Frame::body(kind, own.freeze());
        }
        room.clear();
        room.resize(bytes, 0);
        from.read_exact(room).await?;
        Frame::body(kind, room.split().freeze())
    }
}

/// The header and signature that an unparsed bundle starts with: enough to decide whether the rest is worth parsing.
pub fn bundle_prefix(bundle: &[u8]) -> Result<(BundleHeader, Signature), DecodeError> {
    let mut reader = Reader::new(bundle);
    Ok((reader.read()?, reader.read()?))
}
