//! P5: a node's disk has no room left, under load, and then has room again. The node may end or stand still meanwhile; the others
//! go on. An operator makes room, and starts it if it has ended.

use super::{Bed, Faults, Order, Row, on_a_runtime};
use crate::cluster::{Cluster, NODES, VALIDATORS};
use crate::disk::Disk;
use crate::healed::rejoined;
use crate::record::Counts;
use rand::Rng;
use rand::seq::SliceRandom;
use std::io::Write;
use std::time::{Duration, Instant};

pub const ROW: Row = Row {
    name: "P5",
    promise: "a node whose disk is full loses nothing that was acknowledged, and joins again once there is room",
    brief: None,
    whole: "3 full disks",
    run: |order, counts| on_a_runtime(run(order, counts)),
};
const FULL: Faults = Faults { brief: 1, ci: 3 };
const DISK_MIB: u64 = 256;
const CHUNK: usize = 64 << 10;

/// Writes until the disk takes no more. Panics if it takes everything: then it is not full.
fn fill(disk: &Disk) {
    let mut filler = std::fs::File::create(disk.path().join("filler")).unwrap();
    for chunk in [CHUNK, 512] {
        let full = (0..((2 * DISK_MIB) << 20) / chunk as u64).find_map(|_| filler.write_all(&vec![7; chunk]).err());
        let full = full.expect("a disk of this size takes no more");
        assert_eq!(full.kind(), std::io::ErrorKind::StorageFull, "{full}");
    }
}

async fn run(order: &Order, counts: &mut Counts) {
    let mut choices = order.choices();
    let cluster = Cluster::init(63, super::COINS_PER_BANK);
    let disks = VALIDATORS.map(|name| Disk::of(&cluster, name, &order.folder, DISK_MIB));
    let mut bed = Bed::up(order, cluster).await;
    let mut order_of_victims: Vec<usize> = (0..VALIDATORS.len()).collect();
    order_of_victims.shuffle(&mut choices);
    let (mut back, started) = (Vec::new(), Instant::now());
    let mut filled = 0;
    while order.goes_on(filled, FULL, started) {
        let victim = order_of_victims[filled as usize % VALIDATORS.len()];
        let name = VALIDATORS[victim];
        fill(&disks[victim]);
        filled += 1;
        counts.set("faults", filled);
        // So long it is full; the others decide three heights at least meanwhile.
        let full_for = Duration::from_millis(choices.gen_range(3_000..9_000));
        let until = Instant::now() + full_for;
        let witness = bed.cluster.client(NODES[4]);
        let before = witness.status().await.expect("the observer answers").height;
        let mut ended = false;
        crate::cluster::wait_until(super::READY_WITHIN_S, "the others go on while a disk is full", async || {
            ended |= bed.cluster.ended(name).is_some();
            let height = witness.status().await.map(|status| status.height).unwrap_or_default();
            Instant::now() > until && height >= before + 3
        })
        .await;
        std::fs::remove_file(disks[victim].path().join("filler")).unwrap();
        let room = Instant::now();
        // Whoever stood still over the full disk is started too, as an operator would.
        if !ended {
            counts.add("stood", 1);
            bed.cluster.kill(name);
        } else {
            counts.add("ended", 1);
        }
        bed.cluster.start(name);
        bed.say(&format!("{name} was full for {full_for:?} and {}", if ended { "ended" } else { "stayed" }));
        back.push(rejoined(&mut bed.cluster, name, room).await);
        bed.acknowledged_more_than(bed.load.acknowledged()).await;
    }
    counts.times("rejoin", &back);
    let _cluster = bed.heal(counts).await;
    // Before the cluster and its folder go.
    drop(disks);
}
