//! N3 and N4: what nodes send each other comes later. The relays take connections that begin, so all processes start again when the
//! delay comes. What as many payments as the machine carries get through stands beside what they get through without it.

use super::{Bed, Order, Rate, Row, note_how_busy, on_a_runtime};
use crate::cluster::{Cluster, NODES};
use crate::healed::rejoined;
use crate::load::Load;
use crate::network::Network;
use crate::record::Counts;
use std::time::{Duration, Instant};

pub const ALL: Row = Row {
    name: "N3",
    promise: "25 ms away from each other nodes carry 80 % of the payments at least that they carry side by side",
    brief: None,
    whole: "25 ms each way between all nodes for 30 s, after as long without",
    run: |order, counts| on_a_runtime(run(order, counts, Duration::from_millis(25), None)),
};
/// 150 ms is half around the world. Bank 4 neither pays nor is paid, so that the payers measure the ledger and not their own bank's
/// distance.
pub const ONE: Row = Row {
    name: "N4",
    promise: "one validator 150 ms away from the others costs them a fifth of their payments at most, and keeps up",
    brief: None,
    whole: "150 ms each way between one validator and all others for 30 s, after as long without",
    run: |order, counts| on_a_runtime(run(order, counts, Duration::from_millis(150), Some(4))),
};
const SUBNETS: [u8; 2] = [69, 70];
const MEASURED_FOR: Duration = Duration::from_secs(30);
const HTTP: u16 = 8100;
const AT_LEAST_PERCENT: u64 = 80;

async fn start_anew(bed: &mut Bed) {
    let names = bed.cluster.names();
    names.iter().for_each(|name| bed.cluster.kill(name));
    let restarted = Instant::now();
    bed.cluster.start_all();
    for node in NODES {
        rejoined(&mut bed.cluster, node, restarted).await;
    }
    bed.everybody_pays().await;
}

async fn run(order: &Order, counts: &mut Counts, one_way: Duration, of: Option<u16>) {
    note_how_busy(counts);
    let subnet = SUBNETS[usize::from(of.is_some())];
    let mut cluster = Cluster::init(subnet, super::COINS_OF_MANY);
    let mut network = Network::lay(&mut cluster, subnet);
    let mut bed = Bed::up_with(order, cluster, Load::many_without_bank_4).await;
    let (mut near, mut far) = (Rate::default(), Rate::default());
    start_anew(&mut bed).await;
    near.add(&bed, MEASURED_FOR).await;
    network.delay(one_way, of);
    start_anew(&mut bed).await;
    network.probe_delay(HTTP, one_way, of.unwrap_or(1));
    far.add(&bed, MEASURED_FOR).await;
    let relayed = network.no_delay();
    assert!(relayed > 0, "no connection was delayed");
    counts.set("faults", 1);
    counts.set("connections_delayed", relayed);
    counts.set("near_per_minute", near.per_minute());
    counts.set("far_per_minute", far.per_minute());
    counts.set("rate_percent", far.percent_of(&near));
    bed.say(&format!("{} a minute near, {} far, {relayed} connections delayed", near.per_minute(), far.per_minute()));
    start_anew(&mut bed).await;
    drop(bed.heal(counts).await);
    far.is_at_least(AT_LEAST_PERCENT, &near);
}
