//! N1: the network between the nodes is cut in six shapes and healed again, under load. Where a quorum is left among nodes that
//! reach each other, payments go on; where none is, no height is decided. The time to heal is until every node stands above the
//! height that the highest had when the network was whole again; the time to pay, until every bank has begun and ended payments.

use super::{Bed, Faults, Order, READY_WITHIN_S, Row, on_a_runtime};
use crate::cluster::{Cluster, NODES, wait_until};
use crate::network::Network;
use crate::record::Counts;
use rand::Rng;
use rand::rngs::StdRng;
use rand::seq::SliceRandom;
use std::time::{Duration, Instant};

pub const ROW: Row = Row {
    name: "N1",
    promise: "a network that is cut in any shape splits nobody's mind, and the ledger goes on once it is healed",
    brief: Some("3 cuts: one validator alone, two and two, and one that nobody hears"),
    whole: "6 cuts, one of each shape",
    run: |order, counts| on_a_runtime(run(order, counts)),
};
const SUBNET: u8 = 64;
const HTTP: u16 = 8100;
const OBSERVER: u16 = 5;

#[derive(Clone, Copy, Debug)]
enum Shape {
    /// One validator is alone.
    Minority,
    /// Two and two.
    NoQuorum,
    /// One hears the others, who do not hear it.
    Mute,
    /// The others hear one, who does not hear them.
    Deaf,
    /// One is cut off from two, and the fourth reaches all three.
    Bridge,
    /// Each reaches two of three.
    Ring,
}

const CUTS: Faults = Faults { brief: 3, ci: SHAPES.len() as u64 };
const SHAPES: [Shape; 6] = [Shape::Minority, Shape::NoQuorum, Shape::Mute, Shape::Deaf, Shape::Bridge, Shape::Ring];

impl Shape {
    /// Of these validators in a random order; the observer stands beside the last.
    fn cut(self, network: &Network, [a, b, c, d]: [u16; 4]) {
        let both = |one: u16, other: u16| {
            network.cut(one, other);
            network.cut(other, one);
        };
        match self {
            Shape::Minority => [b, c, d, OBSERVER].into_iter().for_each(|other| both(a, other)),
            Shape::NoQuorum => [a, b].into_iter().for_each(|one| {
                [c, d, OBSERVER].into_iter().for_each(|other| both(one, other));
            }),
            Shape::Mute => [b, c, d, OBSERVER].into_iter().for_each(|other| network.cut(a, other)),
            Shape::Deaf => [b, c, d, OBSERVER].into_iter().for_each(|other| network.cut(other, a)),
            Shape::Bridge => [b, c].into_iter().for_each(|other| both(a, other)),
            Shape::Ring => {
                both(a, c);
                both(b, d);
            }
        }
    }
}

async fn heights(cluster: &Cluster) -> Option<Vec<u64>> {
    let mut heights = Vec::new();
    for name in NODES {
        heights.push(cluster.client(name).status().await.ok()?.height);
    }
    Some(heights)
}

fn shuffled(choices: &mut StdRng) -> [u16; 4] {
    let mut validators = [1, 2, 3, 4];
    validators.shuffle(choices);
    validators
}

async fn run(order: &Order, counts: &mut Counts) {
    let mut choices = order.choices();
    let mut cluster = Cluster::init(SUBNET, super::COINS_PER_BANK);
    let network = Network::lay(&mut cluster, SUBNET);
    let mut bed = Bed::up(order, cluster).await;
    network.probe(HTTP);
    let (mut healed, mut pay, started) = (Vec::new(), Vec::new(), Instant::now());
    let mut cut = 0;
    while order.goes_on(cut, CUTS, started) {
        let shape = SHAPES[cut as usize % SHAPES.len()];
        let validators = shuffled(&mut choices);
        let before = bed.load.acknowledged();
        shape.cut(&network, validators);
        let at_cut = heights(&bed.cluster).await.expect("every node answers its clients");
        // The schedule itself, not a wait for something.
        tokio::time::sleep(Duration::from_millis(choices.gen_range(6_000..12_000))).await;
        bed.cluster.nobody_has_ended();
        let at_heal = heights(&bed.cluster).await.expect("every node answers its clients");
        let highest = |heights: &[u64]| *heights.iter().max().expect("there are nodes");
        match shape {
            // A height that was being decided when the cut came may still be.
            Shape::NoQuorum => {
                let decided = highest(&at_heal) - highest(&at_cut);
                assert!(decided <= 1, "two of four decided {decided} heights");
            }
            Shape::Minority => bed.acknowledged_more_than(before).await,
            _ => {}
        }
        let dropped = network.heal();
        assert!(dropped > 0, "{shape:?}: nothing was dropped");
        let whole = Instant::now();
        let target = heights(&bed.cluster).await.map_or(highest(&at_heal), |heights| highest(&heights));
        wait_until(READY_WITHIN_S, "every node goes on after the network is whole", async || {
            bed.cluster.nobody_has_ended();
            heights(&bed.cluster).await.is_some_and(|heights| heights.iter().all(|height| *height > target))
        })
        .await;
        healed.push(whole.elapsed());
        bed.everybody_pays().await;
        pay.push(whole.elapsed());
        cut += 1;
        counts.set("faults", cut);
        counts.add("packets_dropped", dropped);
        bed.say(&format!(
            "{shape:?} {validators:?}: heights {at_cut:?} to {at_heal:?}, on after {:?}, all pay after {:?}, {} acknowledged",
            healed[healed.len() - 1],
            whole.elapsed(),
            bed.load.acknowledged()
        ));
    }
    counts.times("heal", &healed);
    counts.times("pay_again", &pay);
    drop(bed.heal(counts).await);
}
