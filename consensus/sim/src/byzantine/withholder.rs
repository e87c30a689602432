//! Keeps things back: parts of its blocks, bundles that it had certified, votes, answers.

use crate::node::{Out, Packet, To};
use rand::Rng;
use rand::rngs::StdRng;

pub fn alter(outs: Vec<Out>, rng: &mut StdRng) -> Vec<Out> {
    let keeps = |packet: &Packet, rng: &mut StdRng| match packet {
        Packet::Part(_) => rng.gen_bool(0.6),
        Packet::Consensus(_) | Packet::Liveness(_) => rng.gen_bool(0.3),
        Packet::Bundle(_) => rng.gen_bool(0.5),
        Packet::SyncResponse(_) | Packet::AnswerVote(_) => rng.gen_bool(0.7),
        _ => false,
    };
    let mut altered = Vec::with_capacity(outs.len());
    for out in outs {
        match out {
            // Per receiver, so that some know and others do not.
            Out::Send(To::All, packet) => altered.push(Out::Some(packet, rng.r#gen())),
            Out::Send(to, packet) if !keeps(&packet, rng) => altered.push(Out::Send(to, packet)),
            Out::Send(..) => {}
            other => altered.push(other),
        }
    }
    altered
}
