//! N5 and N6: the processors of one validator, or of all nodes, give them a small part of their time, by the quota of a control group
//! (cgroup version 1). Payments go on, and who was slow is back at the tip soon after. What is carried meanwhile is told and has no bar:
//! the list names one for a validator that is dead, and a slow one is worse, because it proposes in its turn.

use super::{Bed, Faults, Order, Rate, Row, note_how_busy, on_a_runtime};
use crate::cluster::{Cluster, NODES};
use crate::healed::rejoined;
use crate::load::Load;
use crate::record::Counts;
use std::path::PathBuf;
use std::time::{Duration, Instant};

pub const ONE: Row = Row {
    name: "N5",
    promise: "with one validator at a twentieth of a processor payments go on, and it is back at the tip at once afterwards",
    brief: None,
    whole: "one validator at 5 % of a processor for 2 × 20 s, after as long undisturbed",
    run: |order, counts| on_a_runtime(run(order, counts, &["bank4"], 5)),
};
pub const ALL: Row = Row {
    name: "N6",
    promise: "nodes with a fifth of a processor each go on slowly, and nothing that was acknowledged is lost",
    brief: None,
    whole: "all five nodes at 20 % of a processor for 2 × 20 s, after as long undisturbed",
    run: |order, counts| on_a_runtime(run(order, counts, &NODES, 20)),
};
const TIMES: Faults = Faults { brief: 1, ci: 2 };
const SUBNET: u8 = 71;
const MEASURED_FOR: Duration = Duration::from_secs(20);
const GROUPS: &str = "/sys/fs/cgroup/cpu";
const PERIOD_US: u64 = 100_000;

/// A control group of one process. It goes when the process has ended or is back in the first one.
struct Group(PathBuf);

impl Group {
    fn of(cluster: &Cluster, name: &str, percent: u64) -> Self {
        let pid = cluster.pid(name);
        // The process spaces of two runs have the same numbers; what the folder is called does not matter.
        let group = Group(PathBuf::from(format!("{GROUPS}/assay-faults-{}-{name}", rand::random::<u64>())));
        std::fs::create_dir(&group.0).unwrap_or_else(|error| panic!("{}: {error}", group.0.display()));
        group.write("cpu.cfs_period_us", PERIOD_US);
        group.write("cpu.cfs_quota_us", PERIOD_US * percent / 100);
        group.write("cgroup.procs", pid.into());
        group
    }

    fn write(&self, file: &str, value: u64) {
        let path = self.0.join(file);
        std::fs::write(&path, value.to_string()).unwrap_or_else(|error| panic!("{}: {error}", path.display()));
    }

    /// How many periods ended with the process waiting for the next.
    fn throttled(&self) -> u64 {
        let stat = std::fs::read_to_string(self.0.join("cpu.stat")).expect("a group has its figures");
        let throttled = stat.lines().find_map(|line| line.strip_prefix("nr_throttled ")?.parse().ok());
        throttled.expect("a group with a quota counts what it throttled")
    }
}

impl Drop for Group {
    fn drop(&mut self) {
        let processes = std::fs::read_to_string(self.0.join("cgroup.procs")).unwrap_or_default();
        for pid in processes.lines() {
            // It may have ended by now.
            let _ = std::fs::write(format!("{GROUPS}/cgroup.procs"), pid);
        }
        let _ = std::fs::remove_dir(&self.0);
    }
}

async fn run(order: &Order, counts: &mut Counts, victims: &[&str], percent: u64) {
    note_how_busy(counts);
    let cluster = Cluster::init(SUBNET, super::COINS_OF_MANY);
    let mut bed = Bed::up_with(order, cluster, Load::many_without_bank_4).await;
    let (mut quick, mut slow, mut back, started) = (Rate::default(), Rate::default(), Vec::new(), Instant::now());
    let mut times = 0;
    while order.goes_on(times, TIMES, started) {
        quick.add(&bed, MEASURED_FOR).await;
        let before = bed.load.acknowledged();
        let groups: Vec<Group> = victims.iter().map(|name| Group::of(&bed.cluster, name, percent)).collect();
        slow.add(&bed, MEASURED_FOR).await;
        bed.acknowledged_more_than(before).await;
        let throttled: Vec<u64> = groups.iter().map(Group::throttled).collect();
        assert!(throttled.iter().all(|times| *times > 0), "somebody was not held back: {throttled:?}");
        counts.add("periods_held_back", throttled.iter().sum());
        drop(groups);
        let quick_again = Instant::now();
        for name in victims {
            back.push(rejoined(&mut bed.cluster, name, quick_again).await);
        }
        times += 1;
        counts.add("faults", victims.len() as u64);
        bed.say(&format!("{} a minute undisturbed, {} slow", quick.per_minute(), slow.per_minute()));
    }
    counts.set("undisturbed_per_minute", quick.per_minute());
    counts.set("slow_per_minute", slow.per_minute());
    counts.set("rate_percent", slow.percent_of(&quick));
    counts.times("rejoin", &back);
    drop(bed.heal(counts).await);
}
