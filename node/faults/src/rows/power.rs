//! P3: the power of one validator's disk, or of all nodes' at once, is cut under load: what was not synced is lost. Half of the time
//! the process dies with the disk; half of the time it goes on for a moment over a disk that answers with errors, and may then say
//! nothing that it cannot keep. State, keys and guards lie on the disk.

use super::{Bed, Faults, Order, Row, on_a_runtime};
use crate::cluster::{Cluster, NODES};
use crate::disk::Disk;
use crate::healed::rejoined;
use crate::record::Counts;
use rand::Rng;
use rand::seq::SliceRandom;
use std::time::{Duration, Instant};

pub const ROW: Row = Row {
    name: "P3",
    promise: "a power cut of one node, or of all at once, loses nothing that was acknowledged, and no node signs twice",
    brief: Some("2 cuts of one node and 1 of all five at once"),
    whole: "10 cuts of one node and 5 of all five at once",
    run: |order, counts| on_a_runtime(run(order, counts)),
};
const CUTS: Faults = Faults { brief: 3, ci: 15 };
/// Every so many-th is of all at once.
const ALL_AT_ONCE: u64 = 3;
const DISK_MIB: u64 = 1024;

async fn run(order: &Order, counts: &mut Counts) {
    let mut choices = order.choices();
    let cluster = Cluster::init(62, super::COINS_PER_BANK);
    let disks = NODES.map(|name| Disk::of(&cluster, name, &order.folder, DISK_MIB));
    disks[0].probe();
    let mut bed = Bed::up(order, cluster).await;
    let (mut back, started) = (Vec::new(), Instant::now());
    let mut cut = 0;
    while order.goes_on(cut, CUTS, started) {
        // The schedule itself, not a wait for something.
        tokio::time::sleep(Duration::from_millis(choices.gen_range(0..1500))).await;
        cut += 1;
        let everyone: Vec<usize> = (0..NODES.len()).collect();
        let victims = match cut % ALL_AT_ONCE {
            0 => everyone,
            _ => vec![*everyone.choose(&mut choices).expect("there are nodes")],
        };
        let off: Vec<&Disk> = victims.iter().map(|at| &disks[*at]).collect();
        let dies_with_it = choices.r#gen();
        if dies_with_it {
            victims.iter().for_each(|at| bed.cluster.kill(NODES[*at]));
            Disk::cut(&off);
        } else {
            Disk::cut(&off);
            tokio::time::sleep(Duration::from_millis(choices.gen_range(0..200))).await;
            victims.iter().for_each(|at| {
                // It may have ended by itself, as it should over a disk that is gone.
                if bed.cluster.ended(NODES[*at]).is_none() {
                    bed.cluster.kill(NODES[*at]);
                }
            });
        }
        off.iter().for_each(|disk| disk.mount_again());
        let restarted = Instant::now();
        victims.iter().for_each(|at| bed.cluster.start(NODES[*at]));
        counts.add("faults", victims.len() as u64);
        counts.add(if victims.len() == 1 { "cuts_of_one" } else { "cuts_of_all" }, 1);
        for at in &victims {
            back.push(rejoined(&mut bed.cluster, NODES[*at], restarted).await);
        }
        bed.acknowledged_more_than(bed.load.acknowledged()).await;
        if cut % 5 == 0 {
            bed.say(&format!("{cut} cuts, {} acknowledged", bed.load.acknowledged()));
        }
    }
    counts.times("rejoin", &back);
    let _cluster = bed.heal(counts).await;
    // Before the cluster and its folder go.
    drop(disks);
}
