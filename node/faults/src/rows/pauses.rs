//! P2: processes are stopped by SIGSTOP under load, alone, two at once or all at once, and go on by SIGCONT after a while: as over a
//! host that swaps, or a virtual machine that is moved. Their connections stay open, their clocks have jumped, and what they were
//! about to send they send now.

use super::{Bed, Faults, Order, READY_WITHIN_S, Row, on_a_runtime};
use crate::cluster::{Cluster, NODES, wait_until};
use crate::disk::run as command;
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

fn signal(cluster: &Cluster, name: &str, signal: &str) {
    command("kill", &[signal, &cluster.pid(name).to_string()]);
}

/// As the kernel has it.
fn is_stopped(cluster: &Cluster, name: &str) -> bool {
    let stat = std::fs::read_to_string(format!("/proc/{}/stat", cluster.pid(name))).expect("the process runs");
    // The name before the state may hold anything but ends with the last bracket.
    stat.rsplit_once(')').is_some_and(|(_, rest)| rest.trim_start().starts_with('T'))
}

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
        victims.iter().for_each(|name| signal(&bed.cluster, name, "-STOP"));
        wait_until(READY_WITHIN_S, "the kernel has stopped them", async || {
            victims.iter().all(|name| is_stopped(&bed.cluster, name))
        })
        .await;
        // The schedule itself, not a wait for something.
        tokio::time::sleep(Duration::from_millis(choices.gen_range(1_000..8_000))).await;
        assert!(victims.iter().all(|name| is_stopped(&bed.cluster, name)), "who is stopped stays so");
        let going_on = Instant::now();
        victims.iter().for_each(|name| signal(&bed.cluster, name, "-CONT"));
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
