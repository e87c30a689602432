//! B (a dead validator): one of four validators is dead for a while under as many payments as the machine carries. What the others
//! get through stands beside what all four get through before and after.

use super::{Bed, Faults, Order, Rate, Row, note_how_busy, on_a_runtime};
use crate::cluster::Cluster;
use crate::healed::rejoined;
use crate::load::Load;
use crate::record::Counts;
use std::time::{Duration, Instant};

pub const ROW: Row = Row {
    name: "B",
    promise: "with one of four validators dead payments go on at 60 % of the rate of all four at least",
    brief: None,
    whole: "one validator dead for 3 × 15 s, between as long with all four",
    run: |order, counts| on_a_runtime(run(order, counts)),
};
const DEATHS: Faults = Faults { brief: 1, ci: 3 };
const SUBNET: u8 = 68;
const VICTIM: &str = "bank4";
const MEASURED_FOR: Duration = Duration::from_secs(15);
const AT_LEAST_PERCENT: u64 = 60;

async fn run(order: &Order, counts: &mut Counts) {
    note_how_busy(counts);
    let cluster = Cluster::init(SUBNET, super::COINS_OF_MANY);
    let mut bed = Bed::up_with(order, cluster, Load::many_without_bank_4).await;
    let (mut alive, mut dead, mut back, started) = (Rate::default(), Rate::default(), Vec::new(), Instant::now());
    let mut deaths = 0;
    while order.goes_on(deaths, DEATHS, started) {
        alive.add(&bed, MEASURED_FOR).await;
        bed.cluster.kill(VICTIM);
        dead.add(&bed, MEASURED_FOR).await;
        let restarted = Instant::now();
        bed.cluster.start(VICTIM);
        back.push(rejoined(&mut bed.cluster, VICTIM, restarted).await);
        deaths += 1;
        counts.set("faults", deaths);
        bed.say(&format!("{} a minute with all four, {} with one dead", alive.per_minute(), dead.per_minute()));
    }
    alive.add(&bed, MEASURED_FOR).await;
    counts.set("undisturbed_per_minute", alive.per_minute());
    counts.set("one_dead_per_minute", dead.per_minute());
    counts.set("rate_percent", dead.percent_of(&alive));
    counts.times("rejoin", &back);
    drop(bed.heal(counts).await);
    dead.is_at_least(AT_LEAST_PERCENT, &alive);
}
