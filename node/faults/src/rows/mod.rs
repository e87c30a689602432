//! The rows of the list of faults that need real processes. Each is a file; its head says what the run does.

mod keys;
mod kills;
mod loss;
mod partitions;
mod power;
mod rot;
mod space;

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
const READY_WITHIN_S: u64 = 240;

/// What a run is given.
pub struct Order {
    pub seed: u64,
    /// How long it injects faults; none for the tier of continuous integration, which counts them.
    pub soak: Option<Duration>,
    /// A folder of its own, kept if the run fails.
    pub folder: PathBuf,
}

impl Order {
    /// The row's choices.
    fn choices(&self) -> StdRng {
        StdRng::seed_from_u64(self.seed)
    }

    /// Whether another fault is due: `done` of `in_ci`, or as long as the soak lasts.
    fn goes_on(&self, done: u64, in_ci: u64, since: Instant) -> bool {
        match self.soak {
            None => done < in_ci,
            Some(long) => since.elapsed() < long,
        }
    }
}

pub struct Row {
    pub name: &'static str,
    /// The promise that it shows, as the page says it.
    pub promise: &'static str,
    /// Faults in continuous integration, for the reader of the page.
    pub in_ci: &'static str,
    pub run: fn(&Order, &mut Counts),
}

pub const ROWS: &[Row] = &[kills::ROW, power::ROW, space::ROW, partitions::ROW, loss::ROW, rot::ROW, keys::ROW];

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
    async fn heal(mut self, counts: &mut Counts) -> Cluster {
        self.acknowledged_more_than(self.load.acknowledged()).await;
        let paid = self.load.stop().await;
        say(self.started, &format!("healed; {} envelopes are acknowledged", paid.acknowledged.len()));
        healed::check(&mut self.cluster, self.before, &paid, counts).await;
        say(self.started, "everything holds");
        self.cluster
    }
}
