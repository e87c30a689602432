//! N2: of the packets between the nodes 10, 20 and 30 percent are lost, each by itself, for a while each, and then each node sends
//! 1 Mbit/s at most. Payments go on, at 10 % at seven tenths of their rate at least, and what three payers with eight payments each get
//! through stands beside what they get through undisturbed.

use super::{Bed, Faults, Order, Rate, Row, on_a_runtime};
use crate::cluster::Cluster;
use crate::network::Network;
use crate::record::Counts;
use std::time::{Duration, Instant};

pub const ROW: Row = Row {
    name: "N2",
    promise: "over a network that loses a tenth of the packets payments go on at 70 % at least, over a worse or a narrow one slower, and \
              nothing that was acknowledged is lost",
    brief: None,
    whole: "10, 20 and 30 % of packets, and 1 Mbit/s, for 20 s each",
    run: |order, counts| on_a_runtime(run(order, counts)),
};
const SUBNET: u8 = 65;
const PERCENT: [u32; 3] = [10, 20, 30];
/// Of the undisturbed, at the least of the losses.
const AT_LEAST_PERCENT: u64 = 70;
const MEASURED_FOR: Duration = Duration::from_secs(20);
const ONCE: Faults = Faults { brief: 1, ci: 1 };

async fn measured(bed: &Bed) -> Rate {
    let mut rate = Rate::default();
    rate.add(bed, MEASURED_FOR).await;
    rate
}

async fn run(order: &Order, counts: &mut Counts) {
    let mut cluster = Cluster::init(SUBNET, super::COINS_PER_BANK);
    let network = Network::lay(&mut cluster, SUBNET);
    let bed = Bed::up(order, cluster).await;
    let started = Instant::now();
    let mut lossy = 0;
    let (mut undisturbed, mut at_the_least) = (Rate::default(), Rate::default());
    while order.goes_on(lossy, ONCE, started) {
        undisturbed.add(&bed, MEASURED_FOR).await;
        counts.set("undisturbed_per_minute", undisturbed.per_minute());
        for percent in PERCENT {
            network.lose(percent);
            let before = bed.load.acknowledged();
            let rate = measured(&bed).await;
            let got = rate.per_minute();
            if percent == PERCENT[0] {
                at_the_least = at_the_least.and(rate);
            }
            bed.acknowledged_more_than(before).await;
            let dropped = network.heal();
            assert!(dropped > 0, "{percent} %: nothing was dropped");
            counts.add("faults", 1);
            counts.add("packets_dropped", dropped);
            counts.set(&format!("lost_{percent}_per_minute"), got);
            bed.say(&format!("{percent} %: {got} a minute, {dropped} packets dropped"));
        }
        network.narrow("1mbit");
        let before = bed.load.acknowledged();
        let got = measured(&bed).await.per_minute();
        bed.acknowledged_more_than(before).await;
        let held = network.widen();
        assert!(held > 0, "1 Mbit/s: nothing had to wait");
        counts.add("faults", 1);
        counts.add("packets_held_back", held);
        counts.set("1_mbit_per_minute", got);
        bed.say(&format!("1 Mbit/s: {got} a minute, {held} packets held back"));
        lossy += 1;
    }
    drop(bed.heal(counts).await);
    at_the_least.is_at_least(AT_LEAST_PERCENT, &undisturbed);
}
