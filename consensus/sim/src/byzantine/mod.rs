//! Validators that lie. Each runs an honest node and changes what leaves it, or what it remembers; keys of others it has none.

pub mod amnesiac;
pub mod equivocator;
pub mod liar_in_sync;
pub mod twin;
pub mod withholder;

use crate::node::{Node, Out};
use rand::rngs::StdRng;

#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Liar {
    Equivocator,
    Withholder,
    LiarInSync,
    Amnesiac,
    Twin,
}

impl Liar {
    pub const ALL: [Liar; 5] = [Liar::Equivocator, Liar::Withholder, Liar::LiarInSync, Liar::Amnesiac, Liar::Twin];
}

/// What it says instead.
pub fn alter(liar: Liar, node: &mut Node, outs: Vec<Out>, rng: &mut StdRng) -> Vec<Out> {
    match liar {
        Liar::Equivocator => equivocator::alter(node, outs),
        Liar::Withholder => withholder::alter(outs, rng),
        Liar::LiarInSync => liar_in_sync::alter(node, outs, rng),
        // They lie by what they are.
        Liar::Amnesiac | Liar::Twin => outs,
    }
}
