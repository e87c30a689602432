//! The bytes of every frame, and what decoding refuses.

use crate::plane_support;

use consensus::plane::wire::*;
use ledger_types::{BundleDigest, Height, List, Octets, ParticipantNumber};
use plane_support::*;
use rand::{RngCore, SeedableRng};

fn frames() -> Vec<(&'static str, Frame)> {
    let at = slot(ParticipantNumber(5), 1, 2);
    let signed = bundle(at, 0..2);
    let question = || Question { id: 0x0102_0304_0506_0708, bytes: Octets::new(b"vote?".to_vec()).unwrap() };
    let held = HeldSlot { slot: at, digest: BundleDigest([3; 32]) };
    let report = LaneReport { incarnation: 1, next_sequence: 2, held: List::new(vec![held]).unwrap() };
    let bytes = bytes::Bytes::from(ledger_types::Encode::to_bytes(&signed));
    vec![
        ("hello", Frame::Hello(Hello { version: 1, chain: chain().genesis_hash(), number: ParticipantNumber(2) })),
        ("ack", Frame::Ack(Ack { digest: BundleDigest([1; 32]), signature: ledger_types::keys::Signature([2; 64]) })),
        ("certificate", Frame::Certificate(Box::new(certificate(&signed, &[1, 2, 3])))),
        ("want", Frame::Want(List::new(vec![BundleDigest([1; 32]), BundleDigest([2; 32])]).unwrap())),
        ("absent", Frame::Absent(BundleDigest([1; 32]))),
        ("message", Frame::Message(b"cosignature".to_vec())),
        ("question", Frame::Question(question())),
        ("answer", Frame::Answer(question())),
        ("height started", Frame::HeightStarted(Height(0x1122_3344))),
        ("alive", Frame::Alive),
        ("lane report", Frame::LaneReport(report)),
        ("bundle", Frame::Bundle(bytes.clone())),
        ("fetched", Frame::Fetched(signed.digest(), bytes)),
        ("consensus", Frame::Consensus(bytes::Bytes::from_static(b"a vote"))),
    ]
}

fn flow_of(kind: Kind) -> Flow {
    let flow = Flow::ALL.into_iter().find(|flow| kind.travels_on(*flow));
    flow.expect("each travels somewhere")
}

async fn decode(flow: Flow, bytes: &[u8]) -> Result<Frame, WireError> {
    Frame::read(flow, &mut libp2p::futures::io::Cursor::new(bytes), &mut Default::default()).await
}

#[tokio::test]
async fn frames_that_are_read_into_one_room_keep_their_bytes() {
    // Between them one that is too large for the room; each is held while the next is read, and then none is.
    let bodies: Vec<bytes::Bytes> = [(1, 900_000), (2, 70_000), (3, 1_500_000), (4, 800_000), (5, 0), (6, 900_000)]
        .map(|(byte, count)| vec![byte; count].into())
        .into();
    let stream: Vec<u8> = bodies.iter().flat_map(|body| Frame::Bundle(body.clone()).to_bytes()).collect();
    for holds in [true, false] {
        let (mut from, mut room) = (libp2p::futures::io::Cursor::new(&stream), Default::default());
        let mut held = Vec::new();
        for body in &bodies {
            let frame = Frame::read(Flow::Bulk, &mut from, &mut room).await.unwrap();
            assert!(frame == Frame::Bundle(body.clone()), "of {} bytes", body.len());
            held.extend(holds.then_some(frame));
        }
        assert!(held.iter().zip(&bodies).all(|(frame, body)| *frame == Frame::Bundle(body.clone())));
    }
}

/// Changing a golden line is a change of the wire: raise `WIRE_VERSION`. A new kind on a new flow is none.
#[test]
fn every_frame_has_its_golden_bytes() {
    let mut lines = String::new();
    for (name, frame) in frames() {
        let bytes = frame.to_bytes();
        let head: String = bytes.iter().take(48).map(|byte| format!("{byte:02x}")).collect();
        lines += &format!("{name}: {} bytes, {head}, blake3 {}\n", bytes.len(), &blake3::hash(&bytes).to_hex()[..16]);
    }
    let golden = include_str!("golden/plane_frames.txt");
    assert_eq!(lines, golden, "the frames are now:\n{lines}");
    assert_eq!(frames().len(), Kind::ALL.len(), "every kind is listed");
}

#[tokio::test]
async fn every_frame_decodes_to_itself_and_only_on_its_stream() {
    for (name, frame) in frames() {
        let (bytes, kind) = (frame.to_bytes(), frame.kind());
        assert_eq!(decode(flow_of(kind), &bytes).await.unwrap(), frame, "{name}");
        for other in Flow::ALL.into_iter().filter(|other| *other != flow_of(kind) && kind != Kind::Hello) {
            assert!(matches!(decode(other, &bytes).await, Err(WireError::WrongFlow(..))), "{name}");
        }
    }
    let signed = bundle(slot(ParticipantNumber(5), 1, 2), 0..2);
    let bytes = bytes::Bytes::from(ledger_types::Encode::to_bytes(&signed));
    assert_eq!(bundle_frame(&signed), Frame::Bundle(bytes.clone()).to_bytes());
    assert_eq!(fetched_frame(&signed), Frame::Fetched(signed.digest(), bytes.clone()).to_bytes());
    let (header, signature) = bundle_prefix(&bytes).unwrap();
    assert_eq!((&header, signature), (signed.header(), signed.signature()));
    assert_eq!(bytes.len(), BUNDLE_PREFIX_BYTES + header.bytes as usize);
}

/// A fixed-size or listed body with a byte more or less is refused; opaque bodies are bounded by their kind.
#[tokio::test]
async fn leftovers_truncation_and_length_are_refused() {
    for (name, frame) in frames() {
        let (bytes, kind) = (frame.to_bytes().to_vec(), frame.kind());
        assert!(matches!(decode(flow_of(kind), &bytes[..bytes.len() - 1]).await, Err(WireError::Ended(_))), "{name}");
        let mut too_long = bytes.clone();
        too_long[1..HEAD_BYTES].copy_from_slice(&(kind.bytes_max() as u32 + 1).to_le_bytes());
        assert!(matches!(decode(flow_of(kind), &too_long).await, Err(WireError::TooLong { .. })), "{name}");
        if matches!(frame, Frame::Message(_) | Frame::Bundle(_) | Frame::Fetched(..) | Frame::Consensus(_)) {
            continue;
        }
        let mut longer = bytes.clone();
        longer.push(0);
        longer[1..HEAD_BYTES].copy_from_slice(&((bytes.len() - HEAD_BYTES + 1) as u32).to_le_bytes());
        let refused = decode(flow_of(kind), &longer).await;
        assert!(matches!(refused, Err(WireError::Malformed(..) | WireError::TooLong { .. })), "{name}: {refused:?}");
    }
}

/// A head decides before anything is allocated.
#[test]
fn a_length_is_refused_before_its_body_is_read() {
    for kind in Kind::ALL {
        let mut head = [kind.number(); HEAD_BYTES];
        head[1..].copy_from_slice(&u32::MAX.to_le_bytes());
        assert!(matches!(Frame::head(flow_of(*kind), head), Err(WireError::TooLong { .. })), "{kind:?}");
    }
    assert!(matches!(Frame::head(Flow::Control, [0; HEAD_BYTES]), Err(WireError::UnknownKind(0))));
}

#[test]
fn random_bodies_never_panic_and_decode_to_what_encodes_back() {
    let mut rng = rand::rngs::StdRng::seed_from_u64(7);
    let mut decoded = 0;
    for round in 0..20_000u32 {
        let kind = Kind::ALL[round as usize % Kind::ALL.len()];
        let (_, sample) = frames_once().iter().find(|(_, frame)| frame.kind() == kind).unwrap();
        let mut bytes = sample.to_bytes().to_vec();
        for _ in 0..1 + rng.next_u32() % 3 {
            let at = HEAD_BYTES + rng.next_u32() as usize % (bytes.len() - HEAD_BYTES + 1);
            match rng.next_u32() % 3 {
                0 if at < bytes.len() => bytes[at] ^= 1 << (rng.next_u32() % 8),
                1 if at < bytes.len() => drop(bytes.remove(at)),
                _ => bytes.insert(at, rng.next_u32() as u8),
            }
        }
        let body = bytes::Bytes::from(bytes).slice(HEAD_BYTES..);
        if body.len() > kind.bytes_max() {
            continue;
        }
        if let Ok(frame) = Frame::body(kind, body.clone()) {
            decoded += 1;
            assert_eq!(&frame.to_bytes()[HEAD_BYTES..], &body[..], "{kind:?}");
        }
    }
    assert!(decoded > 1_000, "the mutations reach past the parser");
}

fn frames_once() -> &'static [(&'static str, Frame)] {
    static FRAMES: std::sync::OnceLock<Vec<(&'static str, Frame)>> = std::sync::OnceLock::new();
    FRAMES.get_or_init(frames)
}
