//! Says that it is further than it is, answers requests for decided heights with what was not decided, and lies to those who start.

use crate::node::{Node, Out, Packet, To};
use arc_malachitebft_app_channel::app::types::codec::Codec;
use arc_malachitebft_core_types::{ExtendedCommitCertificate, ExtendedCommitSignature, Round};
use arc_malachitebft_sync as sync;
use bytes::Bytes;
use consensus::engine::codec::EngineCodec;
use consensus::engine::context::{Address, Assay, EngineHeight};
use consensus::engine::recall::Answer;
use ledger_types::vote::{Vote, VoteStep};
use ledger_types::{BlockHash, Height};
use rand::Rng;
use rand::rngs::StdRng;

pub fn alter(node: &mut Node, outs: Vec<Out>, rng: &mut StdRng) -> Vec<Out> {
    outs.into_iter()
        .map(|out| match out {
            Out::Send(to, Packet::Status(height)) => {
                Out::Send(to, Packet::Status(Height(height.0 + rng.gen_range(0..4))))
            }
            Out::Send(To::One(to), Packet::SyncResponse(bytes)) => {
                let lie = lie(node, &bytes, rng).unwrap_or(bytes);
                Out::Send(To::One(to), Packet::SyncResponse(lie))
            }
            Out::Send(to, Packet::AnswerVote(bytes)) => {
                let answer = Answer::parse(&bytes).map(|answer| Answer {
                    in_progress: [Height(0), Height(u64::MAX), answer.in_progress][rng.gen_range(0..3)],
                    newest: None,
                });
                Out::Send(to, Packet::AnswerVote(answer.map_or(bytes, |answer| answer.bytes().into())))
            }
            other => other,
        })
        .collect()
}

fn lie(node: &mut Node, bytes: &Bytes, rng: &mut StdRng) -> Option<Bytes> {
    let decoded = Codec::<sync::Response<Assay>>::decode(&EngineCodec, bytes.clone()).ok()?;
    let sync::Response::ValueResponse(mut response) = decoded;
    match rng.gen_range(0..5) {
        // A block of its own making, certified by itself as often as it takes.
        0 | 1 => {
            let (hash, encoded) = node.fork()?;
            let height = node.tip().height.next();
            let repeated = rng.gen_range(1..=node.durable.numbers.len());
            let certificate = forged(node, height, hash, repeated);
            let value = sync::RawDecidedValue::new(encoded, certificate);
            response = sync::ValueResponse::new(EngineHeight(height), vec![value]);
        }
        // Good signatures, too few of them.
        2 => response.values.iter_mut().for_each(|value| {
            let quorum = value.certificate.commit_signatures.len();
            value.certificate.commit_signatures.truncate(quorum.saturating_sub(rng.gen_range(1..3)));
        }),
        // The block of another height.
        3 => {
            let first = response.values.first()?.value_bytes.clone();
            response.values.iter_mut().for_each(|value| value.value_bytes = first.clone());
        }
        _ => response.values.iter_mut().for_each(|value| {
            let mut bytes = value.value_bytes.to_vec();
            let at = rng.gen_range(0..bytes.len());
            bytes[at] ^= 1 << rng.gen_range(0..8);
            value.value_bytes = bytes.into();
        }),
    }
    EngineCodec.encode(&sync::Response::ValueResponse(response)).ok()
}

fn forged(node: &Node, height: Height, block: BlockHash, times: usize) -> ExtendedCommitCertificate<Assay> {
    let me = node.durable.me;
    let vote = Vote { step: VoteStep::Precommit, height, round: 0, block: Some(block), validator: me };
    let signature = node.durable.key.sign(&vote.message(&node.durable.chain0.rules.chain));
    ExtendedCommitCertificate {
        height: EngineHeight(height),
        round: Round::ZERO,
        value_id: block,
        commit_signatures: (0..times).map(|_| ExtendedCommitSignature::new(Address(me), signature, None)).collect(),
    }
}
