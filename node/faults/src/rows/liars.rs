//! B3 and B4: in place of one of four validators runs one that lies, with its keys ([`crate::liar`]). Bank 4 has no payments of its own
//! in these rows; afterwards its honest process goes on with the same guards, so that nobody holds evidence against anybody.
//!
//! - B3 proposes wrong blocks, each in the next way: whoever executes refuses them, and a round is lost.
//! - B4 tells whoever catches up of heights that were not so decided. The observer, started where it reaches nobody but the liar,
//!   takes none of them (what others signed and the liar passes on it may take); and a validator that starts and asks what it signed (B-9) votes again, whatever the liar says.

use super::{Bed, Faults, Order, READY_WITHIN_S, Rate, Row, note_how_busy, on_a_runtime};
use crate::cluster::{Cluster, wait_until};
use crate::healed::rejoined;
use crate::liar::TOLD;
use crate::load::Load;
use crate::network::Network;
use crate::record::Counts;
use node_api::ledger;
use rand::Rng;
use std::time::{Duration, Instant};

pub const PROPOSER: Row = Row {
    name: "B3",
    promise: "a validator whose every block is wrong orders nothing by them, and leaves the others 60 % of their payments at least",
    brief: None,
    whole: "one validator proposes wrong blocks for 3 × 15 s, between as long none",
    run: |order, counts| on_a_runtime(wrong_blocks(order, counts)),
};
pub const PEER: Row = Row {
    name: "B4",
    promise: "a peer that lies about the past is not believed by one who can ask nobody else, and keeps nobody from voting",
    brief: None,
    whole: "3 times an observer and a validator that start beside a lying validator",
    run: |order, counts| on_a_runtime(wrong_history(order, counts)),
};
const TIMES: Faults = Faults { brief: 1, ci: 3 };
const SUBNETS: [u8; 2] = [75, 76];
const HTTP: u16 = 8100;
const LIAR: &str = "bank4";
const LIARS_PLACE: u16 = 4;
const OBSERVER: u16 = 5;
const RESTARTED: &str = "bank3";
const MEASURED_FOR: Duration = Duration::from_secs(15);
const AT_LEAST_PERCENT: u64 = 60;

/// The liar in place of a node, and what it has told since.
struct Lying {
    from: usize,
}

impl Lying {
    /// `inside` is the command that starts a process in its place of the network.
    fn start(cluster: &mut Cluster, about: &str, mut inside: Vec<String>) -> Self {
        cluster.kill(LIAR);
        let program = std::env::current_exe().expect("this program has a path");
        inside.push(crate::disk::text(&program).to_owned());
        inside.extend(["liar", "--about", about, "--"].map(str::to_owned));
        let lying = Lying { from: log(cluster).len() };
        cluster.enter_by(LIAR, Some(inside));
        cluster.start(LIAR);
        lying
    }

    fn told(&self, cluster: &Cluster, what: &str) -> u64 {
        let lie = format!("{TOLD} {what}");
        log(cluster)[self.from..].lines().filter(|line| line.starts_with(&lie)).count() as u64
    }

    async fn until_told(&self, bed: &mut Bed, what: &str, times: u64) {
        wait_until(READY_WITHIN_S, &format!("the liar lies about {what}"), async || {
            bed.cluster.nobody_has_ended();
            self.told(&bed.cluster, what) >= times
        })
        .await;
    }

    /// The honest process is back and votes.
    async fn stop(self, cluster: &mut Cluster, inside: Option<Vec<String>>) -> Duration {
        cluster.kill(LIAR);
        cluster.enter_by(LIAR, inside);
        let restarted = Instant::now();
        cluster.start(LIAR);
        rejoined(cluster, LIAR, restarted).await
    }
}

fn log(cluster: &Cluster) -> String {
    std::fs::read_to_string(cluster.folder(LIAR).join("log")).unwrap()
}

async fn lost_rounds(cluster: &Cluster) -> u64 {
    cluster.client("central-bank").status().await.expect("an honest node answers").lost_rounds
}

async fn wrong_blocks(order: &Order, counts: &mut Counts) {
    note_how_busy(counts);
    let cluster = Cluster::init(SUBNETS[0], super::COINS_OF_MANY);
    let mut bed = Bed::up_with(order, cluster, Load::many_without_bank_4).await;
    let (mut honest, mut lied_to, mut back, started) = (Rate::default(), Rate::default(), Vec::new(), Instant::now());
    let mut times = 0;
    while order.goes_on(times, TIMES, started) {
        honest.add(&bed, MEASURED_FOR).await;
        let lost_before = lost_rounds(&bed.cluster).await;
        let lying = Lying::start(&mut bed.cluster, "blocks", Vec::new());
        lying.until_told(&mut bed, "a block", 1).await;
        lied_to.add(&bed, MEASURED_FOR).await;
        let (lies, lost) = (lying.told(&bed.cluster, "a block"), lost_rounds(&bed.cluster).await - lost_before);
        assert!(lost > 0, "{lies} wrong blocks cost no round: somebody voted for them");
        back.push(lying.stop(&mut bed.cluster, None).await);
        times += 1;
        counts.set("faults", times);
        counts.add("wrong_blocks", lies);
        counts.add("rounds_lost", lost);
        bed.say(&format!(
            "{lies} wrong blocks cost {lost} rounds; {} a minute with none, {} with them",
            honest.per_minute(),
            lied_to.per_minute()
        ));
    }
    counts.set("honest_per_minute", honest.per_minute());
    counts.set("lied_to_per_minute", lied_to.per_minute());
    counts.set("rate_percent", lied_to.percent_of(&honest));
    counts.times("rejoin", &back);
    drop(bed.heal(counts).await);
    lied_to.is_at_least(AT_LEAST_PERCENT, &honest);
}

/// Panics unless the node's newest height is what the others decided.
async fn believes_the_truth(cluster: &Cluster, node: &str) {
    let mut status = None;
    wait_until(READY_WITHIN_S, &format!("{node} answers"), async || {
        status = cluster.client(node).status().await.ok();
        status.is_some()
    })
    .await;
    let status = status.expect("the wait ends with it");
    let path = format!("/v1/blocks/{}", status.height);
    let decided: ledger::Block = cluster.client("central-bank").get(&path).await.expect("an honest node answers");
    assert_eq!(status.block_hash, decided.hash, "{node} believes the one that lies to it");
}

async fn wrong_history(order: &Order, counts: &mut Counts) {
    let mut choices = order.choices();
    let mut cluster = Cluster::init(SUBNETS[1], super::COINS_PER_BANK);
    let network = Network::lay(&mut cluster, SUBNETS[1]);
    let mut bed = Bed::up_with(order, cluster, Load::without_bank_4).await;
    network.probe(HTTP);
    let (mut observed, mut voted, started) = (Vec::new(), Vec::new(), Instant::now());
    let mut times = 0;
    while order.goes_on(times, TIMES, started) {
        let lying = Lying::start(&mut bed.cluster, "history", network.enter(LIARS_PLACE));
        bed.cluster.kill("observer");
        for other in 1..LIARS_PLACE {
            network.cut(OBSERVER, other);
            network.cut(other, OBSERVER);
        }
        // So long it is away at least, and then until there is something to catch up with.
        bed.acknowledged_more_than(bed.load.acknowledged()).await;
        bed.cluster.start("observer");
        lying.until_told(&mut bed, "a decided height", choices.gen_range(8..40)).await;
        believes_the_truth(&bed.cluster, "observer").await;
        assert!(network.heal() > 0, "nothing was dropped");
        observed.push(rejoined(&mut bed.cluster, "observer", Instant::now()).await);

        bed.cluster.kill(RESTARTED);
        let restarted = Instant::now();
        bed.cluster.start(RESTARTED);
        lying.until_told(&mut bed, "what was signed", 1).await;
        voted.push(rejoined(&mut bed.cluster, RESTARTED, restarted).await);
        let lies = ["a decided height", "what was signed"].map(|what| lying.told(&bed.cluster, what));
        lying.stop(&mut bed.cluster, Some(network.enter(LIARS_PLACE))).await;
        bed.acknowledged_more_than(bed.load.acknowledged()).await;
        times += 1;
        counts.set("faults", times);
        counts.add("heights_lied_about", lies[0]);
        counts.add("signatures_lied_about", lies[1]);
        bed.say(&format!("{} heights and {} signatures were lied about", lies[0], lies[1]));
    }
    counts.times("observer", &observed);
    counts.times("vote", &voted);
    drop(bed.heal(counts).await);
}
