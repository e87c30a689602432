//! P6: one validator's wall clock is wrong, by minutes, hours or a day, ahead or behind, or runs fast or slow. Payments between other
//! banks go on, block times stay near the others' clocks, and with a right clock the validator is one of them again. Bank 4 has no
//! payments of its own in this row: what it dated wrongly would be refused rightly.
//!
//! The clock is wrong by a library that stands before libc's in the process ([`CLOCK`]). libfaketime does not do: it allocates on its
//! first call, and jemalloc reads the clock before it can give memory, so that each waits for the other.

use super::{Bed, Faults, Order, READY_WITHIN_S, Row, on_a_runtime};
use crate::cluster::{Cluster, wait_until};
use crate::disk::run as command;
use crate::healed::rejoined;
use crate::load::Load;
use crate::preload;
use crate::record::Counts;
use rand::seq::SliceRandom;
use std::path::Path;
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
/// Seconds ahead, and how many percent of a second go by in one.
const WRONG: [(i64, i64); 6] = [(-60, 100), (60, 100), (-86_400, 100), (25_200, 100), (0, 150), (0, 50)];
/// The wall clock alone: intervals stay true, because a process whose timers go wrong is another fault.
const CLOCK: &str = "
#define _GNU_SOURCE
#include <sys/syscall.h>
#include <time.h>
#include <unistd.h>
int clock_gettime(clockid_t clock, struct timespec *now) {
    int failed = syscall(SYS_clock_gettime, clock, now);
    if (failed || (clock != CLOCK_REALTIME && clock != CLOCK_REALTIME_COARSE)) return failed;
    long long since = (now->tv_sec - SINCE_S) * 1000000000ll + now->tv_nsec;
    since = since / 100 * PERCENT;
    now->tv_sec = SINCE_S + AHEAD_S + since / 1000000000;
    now->tv_nsec = since % 1000000000;
    return 0;
}
";
/// B-5: how far a block's time may be from the clock of who votes for it, with the time that reading takes here.
const BLOCK_TIME_OFF_MS: u64 = 30_000;

/// The command that starts a process with such a clock, from now.
fn with_clock(folder: &Path, (ahead_s, percent): (i64, i64)) -> Vec<String> {
    let since = seconds(&command("date", &["+%s"]));
    let settings = [("SINCE_S", since), ("AHEAD_S", ahead_s), ("PERCENT", percent)];
    preload::command(folder, &format!("clock{ahead_s}of{percent}"), CLOCK, &settings)
}

fn seconds(date: &str) -> i64 {
    date.trim().parse().expect("date prints seconds")
}

/// Panics unless a process of this clock reads another time.
fn probe(folder: &Path) {
    let entry = with_clock(folder, (-86_400, 100));
    let arguments: Vec<&str> = entry[1..].iter().map(String::as_str).chain(["date", "+%s"]).collect();
    let off = seconds(&command("date", &["+%s"])) - seconds(&command("env", &arguments));
    assert!((86_300..86_500).contains(&off), "a clock a day behind is {off} s behind");
}

async fn run(order: &Order, counts: &mut Counts) {
    probe(&order.folder);
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
        bed.cluster.enter_by(VICTIM, Some(with_clock(&order.folder, clock)));
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
        assert!(worst < BLOCK_TIME_OFF_MS, "{clock:?}: a block's time is {worst} ms off");
        counts.set("block_time_off_max_ms", counts.get("block_time_off_max_ms").unwrap_or_default().max(worst));
        bed.cluster.kill(VICTIM);
        bed.cluster.enter_by(VICTIM, None);
        let restarted = Instant::now();
        bed.cluster.start(VICTIM);
        back.push(rejoined(&mut bed.cluster, VICTIM, restarted).await);
        clocks += 1;
        counts.set("faults", clocks);
        bed.say(&format!("{clock:?}: block times {worst} ms off at most, {} acknowledged", bed.load.acknowledged()));
    }
    counts.times("rejoin", &back);
    drop(bed.heal(counts).await);
}
