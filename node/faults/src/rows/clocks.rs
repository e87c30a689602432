//! P6: one validator's wall clock is wrong, by minutes, hours or a day, ahead or behind, or runs fast or slow (libfaketime in its
//! process alone). Payments between other banks go on, block times stay near the others' clocks, and with a right clock the
//! validator is one of them again. Bank 4 has no payments of its own in this row: what it dated wrongly would be refused rightly.

use super::{Bed, Faults, Order, READY_WITHIN_S, Row, on_a_runtime};
use crate::cluster::{Cluster, wait_until};
use crate::disk::run as command;
use crate::healed::rejoined;
use crate::load::Load;
use crate::record::Counts;
use rand::seq::SliceRandom;
use std::path::PathBuf;
use std::time::{Duration, Instant};

pub const ROW: Row = Row {
    name: "P6",
    promise: "a validator whose clock is wrong moves no block's time and holds up no payments, and votes on with a right one",
    brief: None,
    whole: "6 clocks: behind and ahead by a minute and more, fast and slow",
    run: |order, counts| on_a_runtime(run(order, counts)),
};
const CLOCKS: Faults = Faults { brief: 1, ci: 6 };
const SUBNET: u8 = 72;
const VICTIM: &str = "bank4";
/// As libfaketime reads them.
const WRONG: [&str; 6] = ["-1m", "+1m", "-1d", "+7h", "+0 x1.5", "+0 x0.5"];
/// B-5: how far a block's time may be from the clock of who votes for it, with the time that reading takes here.
const BLOCK_TIME_OFF_MS: u64 = 30_000;

fn library() -> PathBuf {
    let folders = std::fs::read_dir("/usr/lib").expect("a system has libraries");
    let mut libraries =
        folders.map(|folder| folder.expect("a folder is read").path().join("faketime/libfaketime.so.1"));
    libraries.find(|path| path.exists()).expect("libfaketime is installed: scripts/faults does it")
}

/// Its intervals stay true: a process whose timers go wrong is another fault.
fn with_clock(clock: &str) -> Vec<String> {
    let library = format!("LD_PRELOAD={}", library().display());
    let settings =
        ["env".to_owned(), library, format!("FAKETIME={clock}"), "FAKETIME_DONT_FAKE_MONOTONIC=1".to_owned()];
    settings.to_vec()
}

fn seconds(date: &str) -> i64 {
    date.trim().parse().expect("date prints seconds")
}

/// Panics unless a process of this clock reads another time.
fn probe() {
    let entry = with_clock("-1d");
    let arguments: Vec<&str> = entry[1..].iter().map(String::as_str).chain(["date", "+%s"]).collect();
    let off = seconds(&command("date", &["+%s"])) - seconds(&command("env", &arguments));
    assert!((86_300..86_500).contains(&off), "a clock a day behind is {off} s behind");
}

async fn run(order: &Order, counts: &mut Counts) {
    probe();
    let mut choices = order.choices();
    let mut wrong = WRONG;
    wrong.shuffle(&mut choices);
    let mut bed = Bed::up_with(order, Cluster::init(SUBNET, super::COINS_PER_BANK), Load::without_bank_4).await;
    let witness = bed.cluster.client("observer");
    let (mut back, started) = (Vec::new(), Instant::now());
    let mut clocks = 0;
    while order.goes_on(clocks, CLOCKS, started) {
        let clock = wrong[clocks as usize % wrong.len()];
        bed.cluster.kill(VICTIM);
        bed.cluster.enter_by(VICTIM, Some(with_clock(clock)));
        bed.cluster.start(VICTIM);
        let (before, began) = (bed.load.acknowledged(), Instant::now());
        let at_start = witness.status().await.expect("the observer answers").height;
        let mut worst = 0;
        // So long it is wrong, and then until it has followed the others over some heights.
        let until = began + Duration::from_secs(8);
        wait_until(READY_WITHIN_S, "the others go on, and who has a wrong clock follows", async || {
            bed.cluster.nobody_has_ended();
            let Ok(status) = witness.status().await else { return false };
            worst = worst.max(status.block_time_ms.abs_diff(node::clock::now_ms()));
            let follows = bed.cluster.client(VICTIM).status().await.is_ok_and(|its| its.height > at_start + 3);
            Instant::now() > until && follows
        })
        .await;
        bed.acknowledged_more_than(before).await;
        assert!(worst < BLOCK_TIME_OFF_MS, "{clock}: a block's time is {worst} ms off");
        counts.set("block_time_off_max_ms", counts.get("block_time_off_max_ms").unwrap_or_default().max(worst));
        bed.cluster.kill(VICTIM);
        bed.cluster.enter_by(VICTIM, None);
        let restarted = Instant::now();
        bed.cluster.start(VICTIM);
        back.push(rejoined(&mut bed.cluster, VICTIM, restarted).await);
        clocks += 1;
        counts.set("faults", clocks);
        bed.say(&format!("{clock}: block times {worst} ms off at most, {} acknowledged", bed.load.acknowledged()));
    }
    counts.times("rejoin", &back);
    drop(bed.heal(counts).await);
}
