//! `assay bench order`: ordering alone, with full public checks and synced commits.
//!
//! A short warm-up tells how fast this machine is; the envelopes of the run are then sealed to expire half a window after they
//! are due at about that pace, and only then the clock starts. Nobody opens them: they are sealed under an epoch of the bench's
//! own, and their sealed parts hold no valid signature. A validator cannot tell, and checks what it checks of any envelope.

use super::bar::Bars;
use super::cluster::{BenchCluster, Plan, Progress, Seat};
use super::keys::signing_key;
use super::lane::{Generator, SealPlan, SealedLane, Seen, Sent, SharedFlight, Watcher};
use super::measure::{self, Latencies, Processors, Usage};
use super::{BANKS, Common, minutes, per_second};
use crate::cluster::now_ms;
use crate::outcome::{Failure, Outcome};
use ledger_types::block::Acknowledgement;
use ledger_types::bundle::Slot;
use ledger_types::{Chain, Decode, Encode, EnvelopeId, ParticipantNumber};
use ledger_verify::{Trust, verify_acknowledgement};
use node_api::Client;
use serde_json::json;
use std::collections::BTreeMap;
use std::ops::Range;
use std::sync::Arc;
use std::time::{Duration, Instant};
use tokio::sync::watch;

const COIN_AMOUNT: u64 = 10_000;
const WARM_UP: Duration = Duration::from_secs(5);
/// Warm-up envelopes of a lane, a tenth of its coins at most.
const WARM_UP_ENVELOPES: u32 = 20_000;
const DRAIN_WITHIN: Duration = Duration::from_secs(30);
/// Acknowledgements verified of each lane.
const SAMPLES: usize = 20;

#[derive(clap::Args)]
pub struct Order {
    #[command(flatten)]
    pub common: Common,
    #[command(flatten)]
    bars: Bars,
    /// Envelopes a second over all banks; without it as many as the ledger takes.
    #[arg(long, value_parser = clap::value_parser!(u64).range(3..=100_000))]
    rate: Option<u64>,
    /// Target size of a bundle, in KiB.
    #[arg(long, default_value_t = 384, value_parser = clap::value_parser!(u32).range(1..=3072))]
    bundle_kib: u32,
    /// Commercial banks; with the central bank they are the validators.
    #[arg(long, default_value_t = BANKS, value_parser = clap::value_parser!(u32).range(3..=9))]
    banks: u32,
}

/// What the machine and the validators had used at one moment.
struct Reading {
    at: Instant,
    usage: Vec<Usage>,
    processors: Processors,
    generator: Usage,
    metrics: Vec<BTreeMap<String, f64>>,
}

async fn reading(pids: &[u32], validators: &[Client]) -> Result<Reading, Failure> {
    let mut metrics = Vec::with_capacity(validators.len());
    for validator in validators {
        metrics.push(measure::metrics(validator).await?);
    }
    Ok(Reading {
        at: Instant::now(),
        usage: pids.iter().map(|pid| measure::usage(*pid)).collect(),
        processors: measure::processors(),
        generator: measure::usage(std::process::id()),
        metrics,
    })
}

/// A bank whose lane the bench fills.
struct Submitting {
    seat: Seat,
    slot: Slot,
    flight: SharedFlight,
    committed: watch::Sender<u64>,
    /// The next bank's node, which takes this lane's bundles.
    via: Seat,
}

impl Order {
    fn per_lane(&self) -> u32 {
        self.common.ground.coins / self.banks
    }

    pub async fn run(self, progress: &Progress) -> Result<Outcome, Failure> {
        let plan = Plan {
            banks: self.banks,
            coins_per_bank: self.per_lane(),
            coin_amount: COIN_AMOUNT,
            runs: Seat::is_validator,
            // The desks stay idle: the lanes belong to the bench.
            set: &[("live_coins_per_wallet", "0")],
            keep: self.common.ground.keep,
            node: self.common.ground.node_program.clone(),
            folder: self.common.ground.folder.clone(),
        };
        let mut cluster = BenchCluster::start(plan, progress).await?;
        let chain = cluster.genesis.chain();
        let banks = cluster.banks();
        let mut lanes = Vec::new();
        for (index, seat) in banks.iter().enumerate() {
            let via = banks[(index + 1) % banks.len()].clone();
            let lane = via.client()?.lane(seat.participant).await?;
            let submitter = ParticipantNumber(seat.participant);
            let slot = Slot { submitter, incarnation: lane.incarnation, sequence: lane.sequence };
            let (committed, _) = watch::channel(slot.sequence);
            lanes.push(Submitting { seat: seat.clone(), slot, flight: Arc::default(), committed, via });
        }
        let (stop_watching, stop) = watch::channel(false);
        let mut watchers = tokio::task::JoinSet::new();
        for (index, lane) in lanes.iter().enumerate() {
            let node = lane.via.client()?;
            let next_height = node.status().await?.height + 1;
            // Each node is asked for the blocks of the lane that is submitted there; the first one's count is the result's.
            let watched = BTreeMap::from([(lane.seat.participant, (lane.flight.clone(), lane.committed.clone()))]);
            let every = Duration::from_millis(if self.rate.is_some() { 2 } else { 10 });
            let watcher = Watcher { node, lanes: watched, every, next_height };
            let stop = stop.clone();
            watchers.spawn(async move { (index, watcher.run(stop).await) });
        }

        let per_lane = self.per_lane();
        let warm_coins = WARM_UP_ENVELOPES.min(per_lane / 10);
        let sealing = Instant::now();
        let sealed = seal_lanes(&cluster, &lanes, 0..warm_coins, now_ms() + 5_000, u64::MAX).await?;
        let seal_us = sealing.elapsed().as_micros() as u64 / u64::from(warm_coins);
        let start = Instant::now();
        let warm_up = WARM_UP.min(Duration::from_secs(self.common.seconds));
        let warm = self.fill(chain, &mut lanes, sealed, start, start + warm_up, None).await?;
        drain(&mut cluster, &lanes).await?;
        let warm_sent: usize = warm.iter().map(|sent| sent.envelopes).sum();
        let pace = (warm_sent as f64 / start.elapsed().as_secs_f64()) as u64;
        lanes.iter().for_each(|lane| lane.flight.lock().expect("no holder of the flight panics").reset());
        progress.say(format_args!("warmed up with {warm_sent} envelopes, about {pace}/s"));

        // Without a rate a third more than the pace needs, so that the run does not end early.
        let planned_rate = self.rate.unwrap_or(pace.max(300) * 11 / 10) / u64::from(self.banks);
        let spare_tenths = if self.rate.is_some() { 10 } else { 13 };
        let wanted = planned_rate * self.common.seconds * spare_tenths / 10;
        let wanted = u32::try_from(wanted).unwrap_or(u32::MAX).min(per_lane - warm_coins);
        let lead = Duration::from_micros(seal_us * u64::from(wanted) * 12 / 10) + Duration::from_secs(1);
        let clock_ms = now_ms() + u64::try_from(lead.as_millis()).unwrap_or(u64::MAX);
        let start = Instant::now() + lead;
        let coins = warm_coins..warm_coins + wanted;
        let sealed = seal_lanes(&cluster, &lanes, coins, clock_ms, planned_rate).await?;
        let sealed_count: usize = sealed.iter().map(|lane| lane.ids.len()).sum();
        let envelope_bytes = sealed[0].envelope_bytes;
        let ids: Vec<Vec<_>> = sealed.iter().map(|lane| lane.ids.clone()).collect();
        progress.say(format_args!("{sealed_count} envelopes of {envelope_bytes} bytes sealed"));

        let start = start.max(Instant::now());
        let end = start + Duration::from_secs(self.common.seconds);
        let pids = cluster.validator_pids();
        let validators: Vec<Seat> = cluster.seats().filter(|seat| seat.is_validator()).cloned().collect();
        let clients: Vec<Client> = validators.iter().map(Seat::client).collect::<Result<_, _>>()?;
        let disk =
            |seats: &[Seat]| seats.iter().map(|seat| measure::disk_bytes(&seat.folder.join("state"))).sum::<u64>();
        let disk_before = disk(&validators);
        progress.say(format_args!("the clock runs for {} s", self.common.seconds));
        let before = async {
            tokio::time::sleep_until(start.into()).await;
            reading(&pids, &clients).await
        };
        let rate = self.rate.map(|rate| (rate / u64::from(self.banks)).max(1));
        // The generators end with the clock, or with the last sealed envelope.
        let (sent, before) = tokio::join!(self.fill(chain, &mut lanes, sealed, start, end, rate), before);
        let (sent, before) = (sent?, before?);
        let after = reading(&pids, &clients).await?;
        drain(&mut cluster, &lanes).await?;
        progress.say("all that was sent is committed");

        let mut checked = vec![
            "every envelope had 1 input, 2 outputs and the 512-byte bucket, and was sealed before the clock started".to_owned(),
            "bundles were signed live; commits were synced; the generator ran on the same machine".to_owned(),
            "the sealed parts hold no valid order or acceptance: nobody opens them in this bench, registration does not run".to_owned(),
        ];
        checked.push(agree(&clients).await?);
        let trust =
            Trust::from_genesis(&cluster.genesis.to_bytes()).map_err(|error| Failure::usage(error.to_string()))?;
        checked.push(check_acknowledgements(&trust, &lanes, &ids, &sent).await?);
        let disk_bytes = disk(&validators).saturating_sub(disk_before);
        let _ = stop_watching.send(true);
        let mut seen = Vec::new();
        while let Some(watched) = watchers.join_next().await {
            let (index, blocks) = watched.expect("a watcher does not panic");
            let blocks = blocks?;
            if index == 0 {
                seen = blocks;
            }
        }
        let run = Run { start, end, before, after, sent, seen, disk_bytes, checked, envelope_bytes, sealed_count };
        Ok(self.report(run, &lanes))
    }

    /// All lanes at once; what each sent.
    async fn fill(
        &self,
        chain: Chain,
        lanes: &mut [Submitting],
        sealed: Vec<SealedLane>,
        start: Instant,
        end: Instant,
        rate: Option<u64>,
    ) -> Result<Vec<Sent>, Failure> {
        let mut generators = tokio::task::JoinSet::new();
        for (index, (lane, sealed)) in lanes.iter().zip(sealed).enumerate() {
            let bundle_bytes = self.bundle_kib as usize * 1024;
            let mut generator = Generator {
                chain,
                bundle_envelopes_max: (bundle_bytes / sealed.envelope_bytes).clamp(1, 4096),
                lane: sealed,
                key: signing_key(&lane.seat.folder, "bundle")?,
                node: lane.via.client()?,
                flight: lane.flight.clone(),
                committed: lane.committed.subscribe(),
                rate,
            };
            let slot = lane.slot;
            generators.spawn(async move { (index, generator.run(slot, start, end).await) });
        }
        let mut all: Vec<Sent> = lanes.iter().map(|_| Sent::default()).collect();
        while let Some(done) = generators.join_next().await {
            let (index, outcome) = done.expect("a generator does not panic");
            let (sent, slot) = outcome?;
            lanes[index].slot = slot;
            all[index] = sent;
        }
        Ok(all)
    }
}

struct Run {
    start: Instant,
    end: Instant,
    before: Reading,
    after: Reading,
    sent: Vec<Sent>,
    seen: Vec<Seen>,
    disk_bytes: u64,
    checked: Vec<String>,
    envelope_bytes: usize,
    sealed_count: usize,
}

impl Order {
    fn report(&self, run: Run, lanes: &[Submitting]) -> Outcome {
        let all_after: Vec<&Seen> = run.seen.iter().filter(|block| block.at >= run.start).collect();
        let inside: Vec<&&Seen> = all_after.iter().filter(|block| block.at < run.end).collect();
        let ran_out = run.sent.iter().all(|sent| sent.ran_out) && self.rate.is_none();
        let last =
            inside.iter().filter(|block| block.accepted > 0).map(|block| block.at).next_back().unwrap_or(run.end);
        let seconds = (if ran_out { last } else { run.end }).saturating_duration_since(run.start).as_secs_f64();
        let accepted: u64 = inside.iter().map(|block| u64::from(block.accepted)).sum();
        let refused: u64 = all_after.iter().map(|block| u64::from(block.refused)).sum();
        let bytes: u64 = inside.iter().map(|block| block.bundle_bytes).sum();
        let blocks = inside.iter().filter(|block| block.accepted > 0).count();
        let in_us =
            |at: Instant| u64::try_from(at.saturating_duration_since(run.start).as_micros()).unwrap_or(u64::MAX);
        let at_us = inside.iter().map(|block| (in_us(block.at), u64::from(block.accepted)));
        let per_second = per_second(at_us, self.common.seconds);
        let throughput = accepted as f64 / seconds.max(0.001);
        let mut latencies = Vec::new();
        let mut bundle_latencies = Vec::new();
        for lane in lanes {
            let mut flight = lane.flight.lock().expect("no holder of the flight panics");
            latencies.append(&mut flight.latencies_us);
            bundle_latencies.append(&mut flight.bundle_latencies_us);
        }
        let (latencies, bundle_latencies) = (Latencies::new(latencies), Latencies::new(bundle_latencies));
        let validators = run.before.usage.len() as u64;
        let wall_s = run.after.at.saturating_duration_since(run.before.at).as_secs_f64();
        let cpu_us: u64 =
            run.before.usage.iter().zip(&run.after.usage).map(|(a, b)| b.cpu_us.saturating_sub(a.cpu_us)).sum();
        let cpu_per_item = cpu_us / (accepted * validators).max(1);
        let generator_us = run.after.generator.cpu_us.saturating_sub(run.before.generator.cpu_us);
        let rss_kib = run.after.usage.iter().map(|usage| usage.rss_kib).max().unwrap_or(0);
        let idle = run.before.processors.idle_per_mille_until(run.after.processors);
        let stage = |name: &str| {
            let each = run.before.metrics.iter().zip(&run.after.metrics).map(|(a, b)| measure::grown(a, b, name));
            each.sum::<f64>() / validators as f64 / wall_s
        };
        let (execute, commit) = (stage("assay_execute_seconds_total"), stage("assay_commit_seconds_total"));
        let lane_full: u64 = run.sent.iter().map(|sent| sent.lane_full).sum();
        let busy: u64 = run.sent.iter().map(|sent| sent.refused_429).sum();
        let limiting = match () {
            () if idle < 100 => "processors: the machine has no idle time left",
            () if execute + commit > 0.8 => "the writer: executing and committing blocks",
            () if lane_full + busy > 0 => "consensus: lanes were full and waited for blocks",
            () => "the offered rate",
        };
        let sent: usize = run.sent.iter().map(|sent| sent.envelopes).sum();
        let bundles: u64 = run.sent.iter().map(|sent| sent.bundles).sum();
        let bytes_per_item = bytes as f64 / accepted.max(1) as f64;
        let disk_per_item = run.disk_bytes / (sent as u64 * validators).max(1);
        let mut text = format!(
            "order      {throughput:.0} envelopes/s acknowledged over {seconds:.1} s \
             ({accepted} accepted, {refused} refused, {blocks} blocks)\n\
             latency    {} from when each envelope was {}\n\
             bundle     {} submit to committed at the submitting node ({bundles} bundles)\n\
             cpu        {cpu_per_item} µs an envelope and validator; generator {} µs an envelope; machine {}.{} % idle\n\
             writer     executing {:.0} %, committing {:.0} % of the time\n\
             memory     {} MiB resident at the largest validator\n\
             bytes      {bytes_per_item:.0} in bundles an envelope; {disk_per_item} on disk an envelope and validator\n\
             back-pressure  {lane_full} waits for a full lane, {busy} refusals with 429\n\
             limited by {limiting}\n",
            latencies.text(),
            if self.rate.is_some() { "due" } else { "submitted" },
            bundle_latencies.text(),
            generator_us / (sent as u64).max(1),
            idle / 10,
            idle % 10,
            execute * 100.0,
            commit * 100.0,
            rss_kib / 1024,
        );
        run.checked.iter().for_each(|check| text.push_str(&format!("checked    {check}\n")));
        let data = json!({
            "bench": "order", "rate": self.rate, "throughput_per_s": throughput.round(), "seconds": seconds,
            "accepted": accepted, "refused": refused, "sent": sent, "blocks": blocks, "bundles": bundles,
            "per_second": per_second, "minutes": minutes(&per_second),
            "latency_ms": latencies.json(), "bundle_latency_ms": bundle_latencies.json(),
            "cpu_us_per_item_per_validator": cpu_per_item, "generator_cpu_us_per_item": generator_us / (sent as u64).max(1),
            "bytes_per_item": bytes_per_item.round(), "disk_bytes_per_item_per_validator": disk_per_item,
            "rss_mib_max": rss_kib / 1024, "idle_per_mille": idle,
            "limiting_stage": limiting,
            "stages": { "execute_share": execute, "commit_share": commit, "lane_full": lane_full, "refused_429": busy },
            "checked": run.checked, "machine": measure::machine(),
            "sizes": { "validators": validators, "live_coins": self.per_lane() * self.banks, "envelope_bytes": run.envelope_bytes,
                "sealed_before": run.sealed_count, "bundle_kib": self.bundle_kib },
        });
        let outcome = self.bars.hold(Outcome::new(data, text), throughput, cpu_per_item);
        match (refused, ran_out) {
            (0, false) => outcome,
            (0, true) => {
                outcome.with_warning("the sealed envelopes ran out before the clock did; more --coins last longer")
            }
            _ => outcome.with_warning(format!("{refused} envelopes were refused: this is no clean measurement")),
        }
    }
}

/// On three threads, into the bench's folder.
async fn seal_lanes(
    cluster: &BenchCluster,
    lanes: &[Submitting],
    coins: Range<u32>,
    first_due_ms: u64,
    per_second: u64,
) -> Result<Vec<SealedLane>, Failure> {
    let mut sealing = Vec::new();
    for lane in lanes {
        let path = cluster.folder.join(format!("sealed-{}", lane.seat.name));
        let (genesis, coins) = (cluster.genesis.clone(), coins.clone());
        let (from, to) = (lane.slot.submitter, ParticipantNumber(lane.via.participant));
        sealing.push(tokio::task::spawn_blocking(move || {
            SealedLane::seal(&SealPlan { genesis: &genesis, from, to, coins, first_due_ms, per_second }, &path)
        }));
    }
    let mut sealed = Vec::new();
    for lane in sealing {
        sealed.push(lane.await.expect("sealing does not panic")?);
    }
    Ok(sealed)
}

/// Until every submitted bundle is in a block.
async fn drain(cluster: &mut BenchCluster, lanes: &[Submitting]) -> Result<(), Failure> {
    let until = Instant::now() + DRAIN_WITHIN;
    while !lanes.iter().all(|lane| lane.flight.lock().expect("no holder of the flight panics").is_empty()) {
        cluster.all_run()?;
        if Instant::now() > until {
            return Err(Failure::network("not_ordered", format!("bundles are not in a block after {DRAIN_WITHIN:?}")));
        }
        tokio::time::sleep(Duration::from_millis(20)).await;
    }
    Ok(())
}

/// All validators at one height with one hash.
async fn agree(validators: &[Client]) -> Result<String, Failure> {
    let until = Instant::now() + Duration::from_secs(20);
    loop {
        let mut tips = Vec::new();
        for validator in validators {
            let status = validator.status().await?;
            tips.push((status.height, status.block_hash));
        }
        tips.dedup();
        if let [(height, hash)] = &tips[..] {
            return Ok(format!(
                "all {} validators are at height {height} with hash {}…",
                validators.len(),
                &hash[..16]
            ));
        }
        if Instant::now() > until {
            return Err(Failure::unverified("nodes_disagree", format!("the validators' tips differ: {tips:?}")));
        }
        tokio::time::sleep(Duration::from_millis(50)).await;
    }
}

/// Some of each lane, evenly spread and the last one, fetched where they were submitted and verified from the genesis.
async fn check_acknowledgements(
    trust: &Trust,
    lanes: &[Submitting],
    ids: &[Vec<EnvelopeId>],
    sent: &[Sent],
) -> Result<String, Failure> {
    let mut verified = 0;
    for ((lane, ids), sent) in lanes.iter().zip(ids).zip(sent) {
        let node = lane.via.client()?;
        let step = (sent.envelopes / SAMPLES).max(1);
        let picked = ids[..sent.envelopes].iter().rev().step_by(step);
        for id in picked {
            let status = node.envelope(&id.to_string()).await?;
            let bytes = hex::decode(&status.acknowledgement).unwrap_or_default();
            let acknowledgement = Acknowledgement::from_bytes(&bytes)
                .map_err(|error| Failure::unverified("malformed", format!("the acknowledgement of {id}: {error}")))?;
            let accepted = verify_acknowledgement(trust, &acknowledgement).verified();
            if accepted.is_none_or(|accepted| accepted.envelope() != *id) {
                return Err(Failure::unverified(
                    "not_acknowledged",
                    format!("the acknowledgement of {id} does not verify"),
                ));
            }
            verified += 1;
        }
    }
    Ok(format!("{verified} sampled acknowledgements (certificate and path to the verdict) verify from the genesis"))
}
