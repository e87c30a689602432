//! P2: processes are stopped by SIGSTOP under load, alone, two at once or all at once, and go on by SIGCONT after a while: as over a
//! host that swaps, or a virtual machine that is moved. Their connections stay open, their clocks have jumped, and what they were
//! about to send they send now.

use super::{Bed, Faults, Order, Row, on_a_runtime};
use crate::cluster::{Cluster, NODES};
use crate::healed::rejoined;
use crate::record::Counts;
use rand::Rng;
use rand::seq::SliceRandom;
use std::time::{Duration, Instant};

pub const ROW: Row = Row {
    name: "P2",
    promise: "processes that are stopped and go on later lose nothing that was acknowledged, and none signs twice",
    brief: Some("4 pauses of 1 to 8 s"),
    whole: "30 pauses of 1 to 8 s",
    run: |order, counts| on_a_runtime(run(order, counts)),
};
const PAUSES: Faults = Faults { brief: 4, ci: 30 };
const SUBNET: u8 = 67;

async fn run(order: &Order, counts: &mut Counts) {
    let mut choices = order.choices();
    let mut bed = Bed::up(order, Cluster::init(SUBNET, super::COINS_PER_BANK)).await;
    let everyone = bed.cluster.names();
    let (mut back, started) = (Vec::new(), Instant::now());
    let mut paused = 0;
    while order.goes_on(paused, PAUSES, started) {
        let victims = match choices.gen_range(0..8) {
            0 => everyone.len(),
            1 | 2 => 2,
            _ => 1,
        };
        let victims: Vec<String> = everyone.choose_multiple(&mut choices, victims).cloned().collect();
        bed.cluster.pause(&victims.iter().map(String::as_str).collect::<Vec<_>>()).await;
        // The schedule itself, not a wait for something.
        tokio::time::sleep(Duration::from_millis(choices.gen_range(1_000..8_000))).await;
        assert!(victims.iter().all(|name| bed.cluster.is_paused(name)), "who is stopped stays so");
        let going_on = Instant::now();
        victims.iter().for_each(|name| bed.cluster.resume(name));
        paused += 1;
        counts.set("pauses", paused);
        counts.add("faults", victims.len() as u64);
        for name in victims.iter().filter(|name| NODES.contains(&name.as_str())) {
            back.push(rejoined(&mut bed.cluster, name, going_on).await);
        }
        bed.acknowledged_more_than(bed.load.acknowledged()).await;
        bed.say(&format!("{victims:?} went on; {} acknowledged", bed.load.acknowledged()));
    }
    counts.times("rejoin", &back);
    drop(bed.heal(counts).await);
}
