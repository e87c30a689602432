//! The rows of the list of faults that need real processes. Each is a file; its head says what the run does.

mod clocks;
mod dead;
mod delay;
mod keys;
mod kills;
mod liars;
mod lies;
mod loss;
mod partitions;
mod pauses;
mod power;
mod rot;
mod slow;
mod space;
mod twin;

use crate::cluster::{Cluster, wait_until};
use crate::healed::{self, Money};
use crate::load::Load;
use crate::record::Counts;
use rand::SeedableRng;
use rand::rngs::StdRng;
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

/// Coins of each bank before the load begins: enough to pay on for minutes while nothing is confirmed, which makes change live.
const COINS_PER_BANK: u32 = 3_000;
/// Where as much is paid as the machine carries.
const COINS_OF_MANY: u32 = 6_000;
const READY_WITHIN_S: u64 = 240;

/// How much a run does.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Tier {
    /// With every change: as few faults as still show that the row works, in a minute or less.
    Brief,
    /// As many faults as a row takes that is run by itself.
    Ci,
    /// For so long.
    Soak(Duration),
}

/// How many faults a row injects when they are counted.
#[derive(Clone, Copy)]
struct Faults {
    brief: u64,
    ci: u64,
}

/// What a run is given.
pub struct Order {
    pub seed: u64,
    pub tier: Tier,
    /// A folder of its own, kept if the run fails.
    pub folder: PathBuf,
}

impl Order {
    /// The row's choices.
    fn choices(&self) -> StdRng {
        StdRng::seed_from_u64(self.seed)
    }

    /// Whether another fault is due after `done`.
    fn goes_on(&self, done: u64, faults: Faults, since: Instant) -> bool {
        match self.tier {
            Tier::Brief => done < faults.brief,
            Tier::Ci => done < faults.ci,
            Tier::Soak(long) => since.elapsed() < long,
        }
    }
}

pub struct Row {
    pub name: &'static str,
    /// The promise that it shows, as the page says it.
    pub promise: &'static str,
    /// Faults with every change, for the reader of the page; none if the row takes too long or too quiet a machine for that.
    pub brief: Option<&'static str>,
    /// Faults of a run by itself.
    pub whole: &'static str,
    pub run: fn(&Order, &mut Counts),
}

pub const ROWS: &[Row] = &[
    kills::ROW,
    pauses::ROW,
    power::ROW,
    rot::ROW,
    space::ROW,
    clocks::ROW,
    lies::ROW,
    partitions::ROW,
    loss::ROW,
    delay::ALL,
    delay::ONE,
    slow::ONE,
    slow::ALL,
    dead::ROW,
    twin::ROW,
    liars::PROPOSER,
    liars::PEER,
    keys::ROW,
];

fn say(started: Instant, text: &str) {
    let elapsed = started.elapsed().as_secs();
    eprintln!("[{:3}:{:02}] {text}", elapsed / 60, elapsed % 60);
}

/// Runs the row's asynchronous part to its end.
fn on_a_runtime<T>(run: impl Future<Output = T>) -> T {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build();
    // The payers are tasks of the same thread.
    runtime.expect("a runtime starts").block_on(tokio::task::LocalSet::new().run_until(run))
}

/// Envelopes acknowledged over some stretches of time.
#[derive(Clone, Copy, Default)]
struct Rate {
    acknowledged: u64,
    over: Duration,
}

impl Rate {
    /// Another stretch, from now.
    async fn add(&mut self, bed: &Bed, long: Duration) {
        let (before, since) = (bed.load.acknowledged(), Instant::now());
        tokio::time::sleep(long).await;
        self.acknowledged += (bed.load.acknowledged() - before) as u64;
        self.over += since.elapsed();
    }

    fn and(self, more: Rate) -> Rate {
        Rate { acknowledged: self.acknowledged + more.acknowledged, over: self.over + more.over }
    }

    fn per_minute(&self) -> u64 {
        self.acknowledged * 60_000 / (self.over.as_millis() as u64).max(1)
    }

    fn percent_of(&self, other: &Rate) -> u64 {
        self.per_minute() * 100 / other.per_minute().max(1)
    }

    /// Panics below so many percent of the other. Last of a run, so that what must hold at any rate is known by then.
    fn is_at_least(&self, percent: u64, other: &Rate) {
        let (one, whole) = (self.per_minute(), other.per_minute());
        assert!(self.percent_of(other) >= percent, "{one} a minute are less than {percent} % of {whole}");
    }
}

/// How busy the machine is before the row begins, in hundredths of a process that wants to run: what is compared is worth something
/// on a quiet machine alone, and the log tells which it was.
fn note_how_busy(counts: &mut Counts) {
    let load = std::fs::read_to_string("/proc/loadavg").expect("the kernel says how busy it is");
    let last_minute: f64 = load.split(' ').next().and_then(|load| load.parse().ok()).expect("it begins with a number");
    counts.set("load_before_hundredths", (last_minute * 100.0) as u64);
}

/// A cluster under load, and what it held before.
struct Bed {
    cluster: Cluster,
    load: Load,
    before: Money,
    started: Instant,
}

impl Bed {
    /// `cluster` is made and not started.
    async fn up(order: &Order, cluster: Cluster) -> Self {
        Bed::up_with(order, cluster, Load::start).await
    }

    async fn up_with(order: &Order, mut cluster: Cluster, start: fn(&Cluster, &Path) -> Load) -> Self {
        let started = Instant::now();
        cluster.keep_logs_if_failed(order.folder.join("logs"));
        cluster.start_all();
        wait_until(READY_WITHIN_S, "one height on every node before the first fault", async || {
            cluster.nobody_has_ended();
            cluster.same_tip().await.is_some_and(|(height, _)| height >= 2)
        })
        .await;
        let before = healed::money(&cluster).await;
        let load = start(&cluster, &order.folder.join("acknowledged.tsv"));
        wait_until(READY_WITHIN_S, "the first payments are acknowledged", async || load.acknowledged() > 0).await;
        say(started, "the cluster is up and under load");
        Bed { cluster, load, before, started }
    }

    fn say(&self, text: &str) {
        say(self.started, text);
    }

    /// Under load: more is acknowledged than `before`.
    async fn acknowledged_more_than(&self, before: usize) {
        let what = "more is acknowledged";
        wait_until(READY_WITHIN_S, what, async || self.load.acknowledged() > before).await;
    }

    /// Every payer has begun and ended payments since the call.
    async fn everybody_pays(&self) {
        let before = self.load.rounds();
        wait_until(READY_WITHIN_S, "every bank's payments are ordered again", async || {
            self.load.acknowledged();
            self.load.rounds().iter().zip(&before).all(|(now, before)| *now >= before + 2)
        })
        .await;
    }

    /// Everything is whole again and runs: the end of the run, and its checks.
    async fn heal(self, counts: &mut Counts) -> Cluster {
        self.heal_but(None, counts).await
    }

    /// The same where this participant was made to sign two things for one place.
    async fn heal_but(mut self, accused: Option<u16>, counts: &mut Counts) -> Cluster {
        self.acknowledged_more_than(self.load.acknowledged()).await;
        let paid = self.load.stop().await;
        say(self.started, &format!("healed; {} envelopes are acknowledged", paid.acknowledged.len()));
        healed::check(&mut self.cluster, self.before, &paid, accused, counts).await;
        say(self.started, "everything holds");
        self.cluster
    }
}
