//! Says one thing to the lower half and another to the upper: two blocks a round, two votes a step, two bundles a slot.

use crate::node::{Node, Out, Packet, To};
use arc_malachitebft_app_channel::app::types::codec::Codec;
use arc_malachitebft_core_consensus::{LivenessMsg, SignedConsensusMsg};
use arc_malachitebft_core_types::{NilOrVal, SignedMessage};
use bytes::Bytes;
use consensus::engine::codec::EngineCodec;
use consensus::engine::context::{Assay, BlockValue, BlockVote};
use consensus::engine::parts::{self, BlockPart};
use ledger_types::bundle::Bundle;
use std::sync::Arc;

pub fn alter(node: &mut Node, outs: Vec<Out>) -> Vec<Out> {
    let mut altered = Vec::with_capacity(outs.len() * 2);
    for out in outs {
        match out {
            Out::Send(To::All, packet) => {
                let other = second(node, &packet);
                for to in node.others() {
                    let is_upper = to * 2 >= node.durable.numbers.len();
                    match (&other, is_upper) {
                        (Some(packets), true) => {
                            altered.extend(packets.iter().map(|packet| Out::Send(To::One(to), packet.clone())));
                        }
                        _ => altered.push(Out::Send(To::One(to), packet.clone())),
                    }
                }
            }
            other => altered.push(other),
        }
    }
    altered
}

/// The other thing to say, if there is one.
fn second(node: &mut Node, packet: &Packet) -> Option<Vec<Packet>> {
    match packet {
        Packet::Consensus(bytes) => {
            match Codec::<SignedConsensusMsg<Assay>>::decode(&EngineCodec, bytes.clone()).ok()? {
                SignedConsensusMsg::Vote(vote) => {
                    let vote = other_vote(node, vote.message)?;
                    Some(vec![Packet::Consensus(encode(&SignedConsensusMsg::Vote(vote)))])
                }
                SignedConsensusMsg::Proposal(proposal) => {
                    let mut proposal = proposal.message;
                    let (_, fork, _) = node.forks.iter().find(|(block, ..)| *block == proposal.value.0)?;
                    proposal.value = BlockValue(*fork);
                    let message = proposal.to_ledger()?.message(&node.durable.chain0.rules.chain);
                    let signed = SignedMessage::new(proposal, node.durable.key.sign(&message));
                    Some(vec![Packet::Consensus(encode(&SignedConsensusMsg::Proposal(signed)))])
                }
            }
        }
        Packet::Liveness(bytes) => {
            let message = Codec::<LivenessMsg<Assay>>::decode(&EngineCodec, bytes.clone()).ok()?;
            let LivenessMsg::Vote(vote) = message else { return None };
            let vote = other_vote(node, vote.message)?;
            Some(vec![Packet::Liveness(EngineCodec.encode(&LivenessMsg::Vote(vote)).ok()?)])
        }
        Packet::Part(bytes) => {
            let part = Codec::<BlockPart>::decode(&EngineCodec, bytes.clone()).ok()?;
            let (hash, encoded) = node.fork_of(part.block)?;
            let parts = parts::cut(part.height, part.round, hash, &encoded);
            Some(parts.iter().map(|part| Packet::Part(Codec::encode(&EngineCodec, part).expect("total"))).collect())
        }
        Packet::Bundle(bundle) if bundle.slot().submitter == node.durable.me => {
            let envelopes = [bundle.envelopes(), bundle.envelopes()].concat();
            let chain = &node.durable.chain0.rules.chain;
            let bundle = Bundle::sign(chain, bundle.slot(), envelopes, &node.durable.bundle_key).ok()?;
            let bundle = Arc::new(bundle);
            node.sponsor_also(Arc::clone(&bundle));
            Some(vec![Packet::Bundle(bundle)])
        }
        _ => None,
    }
}

fn encode(message: &SignedConsensusMsg<Assay>) -> Bytes {
    EngineCodec.encode(message).expect("total")
}

fn other_vote(node: &Node, mut vote: BlockVote) -> Option<SignedMessage<Assay, BlockVote>> {
    vote.block = match vote.block {
        NilOrVal::Val(block) => {
            let fork = node.forks.iter().find(|(first, ..)| *first == block);
            fork.map_or(NilOrVal::Nil, |(_, fork, _)| NilOrVal::Val(*fork))
        }
        NilOrVal::Nil => NilOrVal::Val(node.forks.last()?.1),
    };
    let message = vote.to_ledger()?.message(&node.durable.chain0.rules.chain);
    let signature = node.durable.key.sign(&message);
    Some(SignedMessage::new(vote, signature))
}
