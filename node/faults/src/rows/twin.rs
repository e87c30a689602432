//! B2: a validator's folder, with its keys and guards, is copied under load, and both copies run: one reaches one of the others, the
//! second the other two and the observer. Each is honest by itself and together they sign two things for one place, which no guard on
//! a disk can see (record 012). After a while one of the two ends, whichever the seed says, and the other is the validator again.
//! Bank 4 has no payments of its own in this row: two desks with one book are another fault.

use super::{Bed, Faults, Order, READY_WITHIN_S, Rate, Row, note_how_busy, on_a_runtime};
use crate::cluster::{Cluster, NODES, wait_until};
use crate::evidence;
use crate::healed::rejoined;
use crate::load::Load;
use crate::network::Network;
use crate::record::Counts;
use node_api::ledger;
use rand::Rng;
use rand::seq::SliceRandom;
use std::time::{Duration, Instant};

pub const ROW: Row = Row {
    name: "B2",
    promise: "a validator that runs twice with one key is named with both its signatures by others, splits nobody's mind, and leaves \
              them 60 % of their payments at least",
    brief: None,
    whole: "one validator twice for 3 × 15 s, between as long once",
    run: |order, counts| on_a_runtime(run(order, counts)),
};
const TWICE: Faults = Faults { brief: 1, ci: 3 };
const SUBNET: u8 = 73;
const HTTP: u16 = 8100;
const VICTIM: &str = "bank4";
const TWIN: &str = "twin";
/// The victim's place in the network.
const FIRST: u16 = 4;
const OBSERVER: u16 = 5;
const MEASURED_FOR: Duration = Duration::from_secs(15);
const AT_LEAST_PERCENT: u64 = 60;

/// Of all but the two: who holds the most.
async fn accusations(cluster: &Cluster) -> Vec<ledger::Evidence> {
    let mut most = Vec::new();
    for node in NODES.iter().filter(|node| **node != VICTIM) {
        let held = evidence::held(&cluster.client(node)).await.unwrap_or_default();
        most = if held.len() > most.len() { held } else { most };
    }
    most
}

async fn highest(cluster: &Cluster) -> u64 {
    let mut heights = Vec::new();
    for node in NODES.iter().filter(|node| **node != VICTIM) {
        heights.push(cluster.client(node).status().await.expect("every node answers its clients").height);
    }
    *heights.iter().max().expect("there are nodes")
}

/// Panics unless whom these reach as the validator is the second, and whom it reaches else is the first.
fn probe(network: &Network, led: &[u16], alone: u16, second: u16) {
    assert!(network.reaches(alone, FIRST, HTTP), "the first is reached where nobody is led elsewhere");
    assert!(led.iter().all(|from| network.reaches(*from, FIRST, HTTP)), "the second is reached in its place");
    assert!(!network.reaches(second, alone, HTTP), "the second does not reach who stays with the first");
    assert!(!led.iter().any(|to| network.reaches(FIRST, *to, HTTP)), "the first reaches nobody who is led elsewhere");
}

async fn run(order: &Order, counts: &mut Counts) {
    note_how_busy(counts);
    let mut choices = order.choices();
    let mut cluster = Cluster::init(SUBNET, super::COINS_OF_MANY);
    let mut network = Network::lay(&mut cluster, SUBNET);
    let second = network.join();
    let mut bed = Bed::up_with(order, cluster, Load::many_without_bank_4).await;
    let (mut once, mut twice, mut back, started) = (Rate::default(), Rate::default(), Vec::new(), Instant::now());
    let mut times = 0;
    while order.goes_on(times, TWICE, started) {
        once.add(&bed, MEASURED_FOR).await;
        bed.cluster.kill(VICTIM);
        let addresses = (network.address(FIRST), network.address(second));
        bed.cluster.copy(VICTIM, TWIN, (&addresses.0, &addresses.1), network.enter(second));
        let restarted = Instant::now();
        bed.cluster.start(VICTIM);
        // With all others in reach, two of whom must answer before it votes (B-9). It then needs none of them.
        rejoined(&mut bed.cluster, VICTIM, restarted).await;
        let mut others = [1, 2, 3];
        others.shuffle(&mut choices);
        let (alone, led) = (others[0], [others[1], others[2], OBSERVER]);
        for other in led {
            network.lead(other, FIRST, second);
            network.refuse(other, FIRST);
            network.refuse(FIRST, other);
        }
        network.refuse(second, alone);
        let before = highest(&bed.cluster).await;
        bed.cluster.start(TWIN);
        wait_until(READY_WITHIN_S, "the second of the two votes", async || {
            bed.cluster.nobody_has_ended();
            bed.cluster.client(TWIN).status().await.is_ok_and(|status| status.votes)
        })
        .await;
        probe(&network, &led, alone, second);
        twice.add(&bed, MEASURED_FOR).await;
        let mut named = Vec::new();
        wait_until(READY_WITHIN_S, "another node shows what the two signed for one place", async || {
            bed.cluster.nobody_has_ended();
            // Of one validator a node keeps only so many in a thousand heights, so another time may leave no new ones.
            named = accusations(&bed.cluster).await;
            !named.is_empty()
        })
        .await;
        times += 1;
        counts.set("faults", times);
        let heights = highest(&bed.cluster).await - before;
        counts.add("heights_with_two", heights);

        let second_goes_on = choices.r#gen();
        let one_again = Instant::now();
        bed.cluster.kill(TWIN);
        counts.add("packets_refused", network.heal());
        let led_elsewhere = network.straight();
        assert!(led_elsewhere > 0, "nobody took the second for the first");
        if second_goes_on {
            bed.cluster.kill(VICTIM);
            let [first, its] = [VICTIM, TWIN].map(|name| bed.cluster.folder(name));
            for kept in ["state", "keys"] {
                std::fs::remove_dir_all(first.join(kept)).unwrap();
                std::fs::rename(its.join(kept), first.join(kept)).unwrap();
            }
            bed.cluster.start(VICTIM);
            counts.add("second_went_on", 1);
        }
        back.push(rejoined(&mut bed.cluster, VICTIM, one_again).await);
        bed.acknowledged_more_than(bed.load.acknowledged()).await;
        bed.say(&format!(
            "{heights} heights with two, {alone} with the first; {} pieces of evidence; {} a minute with one, {} with two",
            named.len(),
            once.per_minute(),
            twice.per_minute()
        ));
    }
    counts.set("pieces_of_evidence", accusations(&bed.cluster).await.len() as u64);
    counts.set("once_per_minute", once.per_minute());
    counts.set("twice_per_minute", twice.per_minute());
    counts.set("rate_percent", twice.percent_of(&once));
    counts.times("rejoin", &back);
    drop(bed.heal_but(Some(FIRST), counts).await);
    twice.is_at_least(AT_LEAST_PERCENT, &once);
}
