//! `assay bench join`: how long a node from nothing takes to a state that a quorum stands for, and to the chain's tip (B-7).
//!
//! Validators order an envelope or two at each height until they offer a snapshot; then the observer starts with an empty folder,
//! begins by it, and follows. All of it is on one machine, providers and joiner on the same processors and disk.

use super::cluster::{BenchCluster, Plan, Progress, Seat};
use super::keys::signing_key;
use super::lane::{Generator, SealPlan, SealedLane, Watcher};
use super::measure::{self, Usage};
use super::{BANKS, Ground};
use crate::cluster::now_ms;
use crate::outcome::{Failure, Outcome};
use ledger_types::ParticipantNumber;
use ledger_types::bundle::Slot;
use node_api::Client;
use serde_json::json;
use std::collections::BTreeMap;
use std::time::{Duration, Instant};
use tokio::sync::watch;

const COIN_AMOUNT: u64 = 10_000;
/// A snapshot is of a height of so many, and offered a thousand later (B-7).
const OFFERED_AT: u64 = 11_001;
/// One height cannot come before the other's envelope.
const ENVELOPES_PER_SECOND: u64 = 60;
/// Of one bank: an envelope each, for 500 s of heights, which came 37 a second on two cores.
const COINS_OF_A_BANK_MIN: u32 = 30_000;
const HEIGHTS_WITHIN: Duration = Duration::from_secs(1_200);
const JOINED_WITHIN: Duration = Duration::from_secs(1_200);
const POLL: Duration = Duration::from_millis(50);
/// From here on one thread of the joining node is what takes the time.
const BUSY_PER_MILLE: u64 = 800;

#[derive(clap::Args)]
pub struct Join {
    #[command(flatten)]
    ground: Ground,
}

/// A node's way from an empty folder.
struct Joined {
    /// Until it serves the state of the snapshot.
    serves: Duration,
    /// Until it is where the validators were when it began.
    caught_up: Duration,
    snapshot: u64,
    tip: u64,
    usage: Usage,
    disk_bytes: u64,
}

impl Join {
    pub async fn run(self, progress: &Progress) -> Result<Outcome, Failure> {
        if self.ground.coins < COINS_OF_A_BANK_MIN * BANKS {
            let least = COINS_OF_A_BANK_MIN * BANKS;
            return Err(Failure::usage(format!("--coins: at least {least}, to order until there is a snapshot")));
        }
        let plan = Plan {
            banks: BANKS,
            coins_per_bank: self.ground.coins / BANKS,
            coin_amount: COIN_AMOUNT,
            runs: Seat::is_validator,
            // The desks stay idle: their lanes belong to the bench.
            set: &[("live_coins_per_wallet", "0"), ("begins_from", "\"snapshot\"")],
            keep: self.ground.keep,
            node: self.ground.node_program.clone(),
            folder: self.ground.folder.clone(),
        };
        let mut cluster = BenchCluster::start(plan, progress).await?;
        order_until_offered(&mut cluster).await?;
        let (tip, _) = cluster.one_tip().await?;
        progress.say(format_args!("the validators are at height {tip} and offer a snapshot"));
        let joined = joined(&mut cluster, tip).await?;
        progress.say("a node from nothing has joined and caught up");

        let (height, hash) = cluster.one_tip().await?;
        let checked = [format!("all nodes are at height {height} with hash {}…, the joined one too", &hash[..16])];
        Ok(self.report(&joined, &checked))
    }

    fn report(&self, joined: &Joined, checked: &[String]) -> Outcome {
        let busy = joined.usage.cpu_us * 1_000 / u64::try_from(joined.caught_up.as_micros()).unwrap_or(u64::MAX).max(1);
        let limiting = match busy >= BUSY_PER_MILLE {
            true => "the joining node's processor",
            false => "what the joining node waits for: its providers, the disk",
        };
        let not_checked = [
            "a network between machines: all nodes are on this one",
            "a peer that lies or is silent",
            "proofs by the joined node: registration does not run, so that it has no checkpoint since its snapshot",
        ];
        let (serves, caught_up) = (joined.serves.as_secs_f64(), joined.caught_up.as_secs_f64());
        let mut text = format!(
            "join       {serves:.1} s from an empty folder to the state of height {}, {caught_up:.1} s to height {}\n\
             cpu        {:.1} s of the joining node; {} MiB resident; {:.0} MB on disk\n\
             machine    {}\nsizes      {} coins with their records, 4 validators\nlimited by {limiting}\n",
            joined.snapshot,
            joined.tip,
            joined.usage.cpu_us as f64 / 1e6,
            joined.usage.rss_kib / 1024,
            joined.disk_bytes as f64 / 1e6,
            measure::machine_text(),
            self.ground.coins,
        );
        checked.iter().for_each(|check| text.push_str(&format!("checked    {check}\n")));
        not_checked.iter().for_each(|what| text.push_str(&format!("not checked  {what}\n")));
        let data = json!({
            "bench": "join", "serves_s": serves, "caught_up_s": caught_up,
            "snapshot_height": joined.snapshot, "tip_height": joined.tip,
            "cpu_s": joined.usage.cpu_us as f64 / 1e6, "rss_mib_max": joined.usage.rss_kib / 1024,
            "disk_bytes": joined.disk_bytes, "limiting_stage": limiting,
            "checked": checked, "not_checked": not_checked, "machine": measure::machine(),
            "sizes": { "records": self.ground.coins, "validators": 4 },
        });
        Outcome::new(data, text)
    }
}

fn observer(cluster: &BenchCluster) -> Result<Client, Failure> {
    let seat = cluster.seats().find(|seat| seat.role == "observer");
    seat.ok_or_else(|| Failure::network("no_observer", "the cluster has no observer"))?.client()
}

/// One lane with an envelope every few milliseconds: a height with nothing to order would wait for a minute.
async fn order_until_offered(cluster: &mut BenchCluster) -> Result<(), Failure> {
    let banks = cluster.banks();
    let (from, via) = (&banks[0], banks[1].client()?);
    let submitter = ParticipantNumber(from.participant);
    let lane = via.lane(from.participant).await?;
    let slot = Slot { submitter, incarnation: lane.incarnation, sequence: lane.sequence };
    let (flight, (committed, committed_until)) = (Default::default(), watch::channel(slot.sequence));
    let coins = cluster.genesis.preissues.iter().find(|line| line.bank == submitter).map_or(0, |line| line.count);
    let wanted = ENVELOPES_PER_SECOND * HEIGHTS_WITHIN.as_secs();
    let coins = u32::try_from(wanted).unwrap_or(u32::MAX).min(coins);
    let path = cluster.folder.join("sealed");
    let (genesis, to) = (cluster.genesis.clone(), ParticipantNumber(banks[1].participant));
    let sealing = tokio::task::spawn_blocking(move || {
        let plan = SealPlan {
            genesis: &genesis,
            from: submitter,
            to,
            coins: 0..coins,
            first_due_ms: now_ms(),
            per_second: ENVELOPES_PER_SECOND,
        };
        SealedLane::seal(&plan, &path)
    });
    let sealed = sealing.await.expect("sealing does not panic")?;
    let mut generator = Generator {
        chain: cluster.genesis.chain(),
        lane: sealed,
        key: signing_key(&from.folder, "bundle")?,
        node: via,
        flight: std::sync::Arc::clone(&flight),
        committed: committed_until,
        bundle_envelopes_max: 1_024,
        rate: Some(ENVELOPES_PER_SECOND),
    };
    let node = banks[1].client()?;
    let next_height = node.status().await?.height + 1;
    let lanes = BTreeMap::from([(from.participant, (flight, committed))]);
    let (stop_watching, stop) = watch::channel(false);
    let watcher = tokio::spawn(Watcher { node, lanes, every: Duration::from_millis(10), next_height }.run(stop));
    let start = Instant::now();
    let generated = tokio::spawn(async move { generator.run(slot, start, start + HEIGHTS_WITHIN).await.map(drop) });
    let node = banks[1].client()?;
    let offered = async {
        loop {
            cluster.all_run()?;
            let height = node.status().await?.height;
            if height >= OFFERED_AT {
                return Ok(());
            }
            if generated.is_finished() || watcher.is_finished() {
                let message = format!("height {height} was reached in {:?}, not {OFFERED_AT}", start.elapsed());
                return Err(Failure::network("no_snapshot", message));
            }
            tokio::time::sleep(POLL).await;
        }
    };
    let offered = offered.await;
    generated.abort();
    // Nobody waits for what it has seen.
    let _ = stop_watching.send(true);
    offered
}

/// Starts the observer and waits until it is at `tip`.
async fn joined(cluster: &mut BenchCluster, tip: u64) -> Result<Joined, Failure> {
    let started = Instant::now();
    cluster.start_waiting("observer")?;
    let observer = observer(cluster)?;
    let mut serves = None;
    loop {
        cluster.all_run()?;
        // It answers nothing before it has a state.
        if let Ok(status) = observer.status().await {
            let Some(snapshot) = status.joined_at else {
                return Err(Failure::network("not_joined", "the observer executes the chain from the genesis"));
            };
            let serves = *serves.get_or_insert_with(|| started.elapsed());
            if status.height >= tip {
                let (seat, pid) = cluster
                    .processes()
                    .find(|(seat, _)| seat.role == "observer")
                    .ok_or_else(|| Failure::network("no_observer", "no observer runs"))?;
                return Ok(Joined {
                    serves,
                    caught_up: started.elapsed(),
                    snapshot,
                    tip,
                    usage: measure::usage(pid),
                    disk_bytes: measure::disk_bytes(&seat.folder.join("state")),
                });
            }
        }
        if started.elapsed() > JOINED_WITHIN {
            return Err(Failure::network("not_joined", format!("the observer is not at height {tip}")));
        }
        tokio::time::sleep(POLL).await;
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_limits_is_the_joining_nodes_processor_where_it_was_busy() {
        let join = Join { ground: Ground { coins: 300, node_program: None, folder: None, keep: false } };
        let limiting = |cpu_us| {
            let joined = Joined {
                serves: Duration::from_secs(8),
                caught_up: Duration::from_secs(10),
                snapshot: 10_000,
                tip: 11_001,
                usage: Usage { cpu_us, rss_kib: 1024 },
                disk_bytes: 1,
            };
            join.report(&joined, &[]).data["limiting_stage"].as_str().unwrap().to_owned()
        };
        assert_eq!(limiting(8_000_000), "the joining node's processor");
        assert!(limiting(7_900_000).starts_with("what the joining node waits for"));
    }
}
