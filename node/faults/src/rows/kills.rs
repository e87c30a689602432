//! P1: random processes die by SIGKILL at random moments under load, alone, two at once or all at once, and start again after a
//! random pause; one time in four the next one dies before the last is back.

use super::{Bed, Faults, Order, Row, on_a_runtime};
use crate::cluster::{Cluster, NODES};
use crate::healed::rejoined;
use crate::record::Counts;
use rand::Rng;
use rand::seq::SliceRandom;
use std::time::{Duration, Instant};

pub const ROW: Row = Row {
    name: "P1",
    promise: "processes killed at random moments under load lose nothing that was acknowledged, and none signs twice",
    brief: Some("10 cycles"),
    whole: "60 cycles",
    run: |order, counts| on_a_runtime(run(order, counts)),
};
const CYCLES: Faults = Faults { brief: 10, ci: 60 };

async fn run(order: &Order, counts: &mut Counts) {
    let mut choices = order.choices();
    let mut bed = Bed::up(order, Cluster::init(61, super::COINS_PER_BANK)).await;
    let everyone = bed.cluster.names();
    let (mut back, started) = (Vec::new(), Instant::now());
    let mut cycle = 0;
    while order.goes_on(cycle, CYCLES, started) {
        // The schedule itself, not a wait for something.
        tokio::time::sleep(Duration::from_millis(choices.gen_range(0..1500))).await;
        let victims = match choices.gen_range(0..10) {
            0 => everyone.len(),
            1 | 2 => 2,
            _ => 1,
        };
        let victims: Vec<String> = everyone.choose_multiple(&mut choices, victims).cloned().collect();
        victims.iter().for_each(|name| bed.cluster.kill(name));
        counts.add("faults", victims.len() as u64);
        tokio::time::sleep(Duration::from_millis(choices.gen_range(0..1000))).await;
        let restarted = Instant::now();
        victims.iter().for_each(|name| bed.cluster.start(name));
        cycle += 1;
        counts.set("cycles", cycle);
        if cycle % 10 == 0 {
            bed.say(&format!("{cycle} cycles, {} acknowledged", bed.load.acknowledged()));
        }
        if choices.gen_range(0..4) == 0 {
            continue;
        }
        for name in victims.iter().filter(|name| NODES.contains(&name.as_str())) {
            back.push(rejoined(&mut bed.cluster, name, restarted).await);
        }
        bed.acknowledged_more_than(bed.load.acknowledged()).await;
    }
    counts.times("rejoin", &back);
    drop(bed.heal(counts).await);
}
