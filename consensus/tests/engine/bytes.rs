//! The bytes of every message of the engine: golden, one encoding a value, bounded.

use crate::toy::{CHAIN, CONSENSUS, key};
use arc_malachitebft_app_channel::app::engine::network::NetworkEvent;
use arc_malachitebft_app_channel::app::engine::util::streaming::{StreamContent, StreamMessage};
use arc_malachitebft_app_channel::app::types::PeerId;
use arc_malachitebft_app_channel::app::types::codec::{Codec, HasEncodedLen};
use arc_malachitebft_core_consensus::{LivenessMsg, ProposedValue, SignedConsensusMsg};
use arc_malachitebft_core_types::*;
use arc_malachitebft_sync as sync;
use bytes::Bytes;
use consensus::engine::codec::{EngineCodec, stream_message};
use consensus::engine::context::{Address, Assay, BlockProposal, BlockValue, BlockVote, EngineHeight};
use consensus::engine::courier::{Spoken, heard, spoken};
use consensus::engine::parts::{Assemblies, BlockPart, PART_BYTES_MAX, PartRefused, cut, encode};
use consensus::engine::wal::{RecordKind, Wal};
use consensus::guard::{Position, SigningGuard, Step};
use ledger_types::block::{BLOCK_BYTES_MAX, Block, BlockHeader};
use ledger_types::vote::{Vote as LedgerVote, VoteStep};
use ledger_types::*;
use std::fmt::Debug;

const BLOCK: BlockHash = BlockHash([0xb1; 32]);

fn signed_vote(step: VoteStep, block: Option<BlockHash>) -> SignedVote<Assay> {
    let vote = LedgerVote { step, height: Height(7), round: 2, block, validator: ParticipantNumber(3) };
    SignedVote::new(BlockVote::from_ledger(&vote), key(3, CONSENSUS).sign(&vote.message(&CHAIN)))
}

fn signed_proposal() -> SignedProposal<Assay> {
    let proposal = ledger_types::vote::Proposal {
        height: Height(7),
        round: 2,
        block: BLOCK,
        valid_round: Some(1),
        validator: ParticipantNumber(4),
    };
    SignedProposal::new(BlockProposal::from_ledger(&proposal), key(4, CONSENSUS).sign(&proposal.message(&CHAIN)))
}

fn block() -> Block {
    let header = BlockHeader {
        version: RulesVersion::GENESIS,
        height: Height(7),
        parent: BLOCK,
        time_ms: 1_700_000_000_000,
        certificates_root: MerkleRoot([1; 32]),
        results_root: MerkleRoot([2; 32]),
        state_root: StateRoot([3; 32]),
        log_size: 4,
        log_root: TreeRoot([5; 32]),
        map_root: TreeRoot([6; 32]),
        participants_hash: ParticipantsHash([7; 32]),
        next_set_hash: ValidatorSetHash([8; 32]),
        parent_round: 0,
    };
    Block { header, certificates: List::empty(), parent_certificate: None }
}

fn part() -> BlockPart {
    cut(Height(7), 2, BLOCK, &Bytes::from_static(b"not a block, but bytes")).remove(0)
}

/// A named message with what must hold for it.
struct Sample {
    name: &'static str,
    bytes: Bytes,
    /// Decodes and encodes again.
    round_trip: Box<dyn Fn(Bytes) -> Option<Bytes>>,
}

fn sample<T: PartialEq + Debug + 'static>(name: &'static str, message: T) -> Sample
where
    EngineCodec: Codec<T>,
{
    let bytes = EngineCodec.encode(&message).unwrap();
    let decoded: T = EngineCodec.decode(bytes.clone()).unwrap();
    assert_eq!(decoded, message, "{name}");
    let round_trip = |bytes| {
        let message: T = EngineCodec.decode(bytes).ok()?;
        Some(EngineCodec.encode(&message).expect("what decodes encodes"))
    };
    Sample { name, bytes, round_trip: Box::new(round_trip) }
}

/// As it stands on a stream of the plane; the engine hears the same.
fn on_a_stream<T: 'static>(name: &'static str, what: Spoken, message: T, event: NetworkEvent<Assay>) -> Sample
where
    EngineCodec: Codec<T, Error = DecodeError>,
{
    let bytes = spoken(what, &message).unwrap();
    assert_eq!(heard(Some(peer_id()), bytes.clone()).unwrap(), event, "{name}");
    let round_trip = move |bytes: Bytes| {
        heard(Some(peer_id()), bytes.clone()).ok()?;
        let message: T = EngineCodec.decode(bytes.slice(1..)).ok()?;
        Some(spoken(what, &message).expect("what decodes encodes"))
    };
    Sample { name, bytes, round_trip: Box::new(round_trip) }
}

fn peer_id() -> PeerId {
    PeerId::from_bytes(&[&[0, 36, 8, 1, 18, 32][..], &key(1, 7).public_key().0].concat()).unwrap()
}

fn samples() -> Vec<Sample> {
    let signature = |n| key(n, CONSENSUS).sign(b"golden");
    let vote = signed_vote(VoteStep::Prevote, Some(BLOCK));
    let polka = PolkaCertificate {
        height: EngineHeight(Height(7)),
        round: Round::new(2),
        value_id: BLOCK,
        polka_signatures: (1..4).map(|n| PolkaSignature::new(Address(ParticipantNumber(n)), signature(n))).collect(),
    };
    let skip = RoundCertificate {
        height: EngineHeight(Height(7)),
        round: Round::new(3),
        cert_type: RoundCertificateType::Skip,
        round_signatures: vec![
            RoundSignature::new(VoteType::Prevote, NilOrVal::Nil, Address(ParticipantNumber(1)), signature(1)),
            RoundSignature::new(VoteType::Precommit, NilOrVal::Val(BLOCK), Address(ParticipantNumber(2)), signature(2)),
        ],
    };
    let certificate = ExtendedCommitCertificate {
        height: EngineHeight(Height(7)),
        round: Round::new(0),
        value_id: BLOCK,
        commit_signatures: (1..4)
            .map(|n| ExtendedCommitSignature::new(Address(ParticipantNumber(n)), signature(n), None))
            .collect(),
    };
    let response = sync::ValueResponse::new(
        EngineHeight(Height(7)),
        vec![sync::RawDecidedValue::new(encode(&block()), certificate)],
    );
    vec![
        sample("prevote for nil", SignedConsensusMsg::Vote(signed_vote(VoteStep::Prevote, None))),
        sample("precommit for a block", SignedConsensusMsg::Vote(signed_vote(VoteStep::Precommit, Some(BLOCK)))),
        sample("proposal", SignedConsensusMsg::Proposal(signed_proposal())),
        sample("vote again", LivenessMsg::Vote(signed_vote(VoteStep::Prevote, Some(BLOCK)))),
        sample("polka certificate again", LivenessMsg::PolkaCertificate(polka.clone())),
        sample("skip certificate", LivenessMsg::SkipRoundCertificate(skip)),
        sample("polka certificate in the log", polka),
        sample(
            "proposed value in the log",
            ProposedValue::<Assay> {
                height: EngineHeight(Height(7)),
                round: Round::new(2),
                valid_round: Round::Nil,
                proposer: Address(ParticipantNumber(4)),
                value: BlockValue(BLOCK),
                validity: Validity::Valid,
            },
        ),
        sample("validator proof", ValidatorProof::<Assay>::new(vec![1; 32], peer_id().to_bytes(), signature(1))),
        sample(
            "status",
            sync::Status::<Assay> {
                peer_id: peer_id(),
                tip_height: EngineHeight(Height(9)),
                history_min_height: EngineHeight(Height(1)),
            },
        ),
        sample(
            "sync request",
            sync::Request::ValueRequest(sync::ValueRequest::<Assay>::new(
                EngineHeight(Height(3))..=EngineHeight(Height(9)),
            )),
        ),
        sample("sync response", sync::Response::ValueResponse(response)),
        sample("block part", part()),
        sample("block part in its stream", stream_message(part())),
        on_a_stream(
            "vote on a stream",
            Spoken::Consensus,
            SignedConsensusMsg::Vote(vote.clone()),
            NetworkEvent::Vote(peer_id(), vote.clone()),
        ),
        on_a_stream(
            "vote again on a stream",
            Spoken::Liveness,
            LivenessMsg::Vote(vote.clone()),
            NetworkEvent::Vote(peer_id(), vote),
        ),
        on_a_stream(
            "block part on a stream",
            Spoken::Part,
            stream_message(part()),
            NetworkEvent::ProposalPart(peer_id(), Some(peer_id()), stream_message(part())),
        ),
    ]
}

fn hex(bytes: &[u8]) -> String {
    bytes.iter().map(|byte| format!("{byte:02x}")).collect()
}

/// What stays on the disk: a node must read what the last version wrote.
fn files() -> [(&'static str, Bytes); 2] {
    let folder = tempfile::tempdir().unwrap();
    let (wal, _) = Wal::open(&folder.path().join("wal")).unwrap();
    wal.start(Height(7));
    wal.append(Height(7), RecordKind::Input, b"an input").unwrap();
    wal.append(Height(7), RecordKind::Block, b"a block").unwrap();
    let mark = wal.flush().unwrap();
    let (path, key) = (folder.path().join("guard"), key(3, CONSENSUS));
    SigningGuard::create(&path, &CHAIN, key.public_key()).unwrap();
    let mut guard = SigningGuard::open(&path, &CHAIN, key.public_key()).unwrap();
    let position = Position { height: Height(7), round: 2, step: Step::Precommit };
    guard.sign(position, &[5; 32], mark, |message| key.sign(message)).unwrap();
    let read = |name: &str| Bytes::from(std::fs::read(folder.path().join(name)).unwrap());
    [("the log", read("wal")), ("the signing guard's first slot", read("guard").slice(..255))]
}

/// Accept a change on purpose: `ACCEPT_GOLDEN=1 cargo test -p consensus --test engine`, and say why in the commit.
#[test]
fn the_engines_messages_have_their_golden_bytes() {
    let path = concat!(env!("CARGO_MANIFEST_DIR"), "/tests/engine/golden.txt");
    let now: String = samples()
        .into_iter()
        .map(|sample| (sample.name, sample.bytes))
        .chain(files())
        .map(|(name, bytes)| format!("{name}: {}\n", hex(&bytes)))
        .collect();
    if std::env::var_os("ACCEPT_GOLDEN").is_some() {
        std::fs::write(path, &now).unwrap();
    }
    let golden = std::fs::read_to_string(path).unwrap();
    for (now, golden) in now.lines().zip(golden.lines()) {
        assert_eq!(now, golden);
    }
    assert_eq!(now, golden);
}

/// What is signed is what is sent: the layouts of `ledger_types::vote`, then the signature.
#[test]
fn a_vote_on_the_wire_is_the_signed_layout_and_its_signature() {
    let vote = signed_vote(VoteStep::Precommit, Some(BLOCK));
    let mut expected = vec![0];
    vote.message.to_ledger().unwrap().encode(&mut expected);
    expected.extend_from_slice(&vote.signature.0);
    assert_eq!(EngineCodec.encode(&SignedConsensusMsg::Vote(vote)).unwrap(), expected);
}

#[test]
fn a_message_cut_short_or_with_bytes_left_over_is_refused() {
    for sample in samples() {
        for cut in 0..sample.bytes.len() {
            assert_eq!((sample.round_trip)(sample.bytes.slice(..cut)), None, "{} cut at {cut}", sample.name);
        }
        let longer = [&sample.bytes[..], &[0]].concat();
        assert_eq!((sample.round_trip)(longer.into()), None, "{} with a byte more", sample.name);
    }
}

/// Every flipped byte gives a refusal or another message with exactly these bytes; nothing panics.
#[test]
fn one_encoding_a_message() {
    for sample in samples() {
        for at in 0..sample.bytes.len() {
            for flip in [1, 0x80, 0xff] {
                let mut bytes = sample.bytes.to_vec();
                bytes[at] ^= flip;
                if let Some(again) = (sample.round_trip)(bytes.clone().into()) {
                    assert_eq!(again, bytes, "{} byte {at}", sample.name);
                }
            }
        }
    }
}

#[test]
fn a_responses_length_is_known_before_it_is_encoded() {
    let response = samples().into_iter().find(|sample| sample.name == "sync response").unwrap();
    let message: sync::Response<Assay> = EngineCodec.decode(response.bytes.clone()).unwrap();
    assert_eq!(EngineCodec.encoded_len(&message).unwrap(), response.bytes.len());
}

#[test]
fn a_streams_end_is_never_sent() {
    let end = StreamMessage::<BlockPart>::new(stream_message(part()).stream_id, 1, StreamContent::Fin);
    assert!(EngineCodec.encode(&end).is_err());
}

// Trap 9: parts.

fn large() -> (Block, Bytes) {
    let block = block();
    let encoded = encode(&block);
    (block, encoded)
}

#[test]
fn a_block_comes_together_from_parts_in_any_order() {
    let (block, encoded) = large();
    let hash = block.hash(&CHAIN);
    let mut assemblies = Assemblies::default();
    let assembled =
        assemblies.add(&CHAIN, ParticipantNumber(1), cut(Height(7), 0, hash, &encoded).remove(0)).unwrap().unwrap();
    assert_eq!((assembled.block, assembled.hash, assembled.encoded), (block, hash, encoded));

    // Bytes of several parts are no block, but only the last one to come may say so.
    let bytes = Bytes::from(vec![7; PART_BYTES_MAX * 2 + 5]);
    let parts = cut(Height(7), 0, BLOCK, &bytes);
    assert_eq!(parts.iter().map(|part| part.bytes.len()).collect::<Vec<_>>(), vec![PART_BYTES_MAX, PART_BYTES_MAX, 5]);
    for order in [[0, 1, 2], [2, 1, 0], [1, 2, 0]] {
        let mut assemblies = Assemblies::default();
        for at in &order[..2] {
            assert!(matches!(assemblies.add(&CHAIN, ParticipantNumber(1), parts[*at].clone()), Ok(None)));
        }
        assert!(matches!(
            assemblies.add(&CHAIN, ParticipantNumber(1), parts[order[2]].clone()),
            Err(PartRefused::Decode(_))
        ));
    }
}

#[test]
fn a_part_of_a_wrong_size_or_beyond_the_bound_is_refused() {
    let whole = part();
    let too_large =
        BlockPart { block_bytes: BLOCK_BYTES_MAX as u32 + 1, bytes: vec![0; PART_BYTES_MAX].into(), ..whole.clone() };
    let behind_the_end = BlockPart { index: 1, ..whole.clone() };
    let short = BlockPart { bytes: whole.bytes.slice(1..), ..whole.clone() };
    let empty = BlockPart { block_bytes: 0, bytes: Bytes::new(), ..whole.clone() };
    for bad in [too_large, behind_the_end, short, empty] {
        assert_eq!(
            Assemblies::default().add(&CHAIN, ParticipantNumber(1), bad.clone()).unwrap_err(),
            PartRefused::Malformed
        );
        let bytes: Bytes = EngineCodec.encode(&bad).unwrap();
        assert!(Codec::<BlockPart>::decode(&EngineCodec, bytes).is_err());
    }
}

#[test]
fn a_block_under_another_hash_or_height_is_refused() {
    let (block, encoded) = large();
    let other_hash = cut(Height(7), 0, BLOCK, &encoded).remove(0);
    let other_height = cut(Height(8), 0, block.hash(&CHAIN), &encoded).remove(0);
    for part in [other_hash, other_height] {
        assert_eq!(Assemblies::default().add(&CHAIN, ParticipantNumber(1), part).unwrap_err(), PartRefused::OtherBlock);
    }
}

/// Memory stays bounded whatever is opened: the furthest ahead go first, and the block that is fed comes through.
#[test]
fn a_flood_of_openings_sheds_the_furthest_ahead() {
    let (block, encoded) = large();
    let hash = block.hash(&CHAIN);
    let mut assemblies = Assemblies::default();
    let bytes = Bytes::from(vec![7; PART_BYTES_MAX + 1]);
    for round in 1..10_000 {
        let part = cut(Height(8), round, BLOCK, &bytes).remove(0);
        assert!(matches!(assemblies.add(&CHAIN, ParticipantNumber(2), part), Ok(None)));
    }
    assert!(assemblies.open_count() <= consensus::engine::parts::ASSEMBLIES_MAX);
    let part = cut(Height(7), 0, hash, &encoded).remove(0);
    assert!(matches!(assemblies.add(&CHAIN, ParticipantNumber(1), part), Ok(Some(_))));
    assemblies.forget_through(Height(8));
    assert_eq!(assemblies.open_count(), 0);
}
