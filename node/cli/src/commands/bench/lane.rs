//! One bank's lane in the order bench: its sealed envelopes on disk, bundles signed from them live, and when each was committed.
//!
//! - A bundle goes to another bank's node: `/v1/bundles` takes any participant's signed bundle (B-10), but a node cuts the
//!   bundles of its own lane itself.
//! - At most [`LANE_DEPTH_MAX`] bundles are under way (B-3); the rest waits here, and its waiting counts as latency.

use super::cluster::cannot;
use super::sealing::{NewCoin, PreissuedCoins, Sealer};
use crate::outcome::Failure;
use ledger_types::bundle::{BundleHeader, LANE_DEPTH_MAX, Slot};
use ledger_types::genesis::Genesis;
use ledger_types::keys::SigningKey;
use ledger_types::{Chain, Encode, EnvelopeId, ParticipantNumber, merkle};
use node_api::{Client, ClientError, ledger as doc};
use std::collections::{BTreeMap, HashMap};
use std::fs::File;
use std::io::{BufWriter, Write};
use std::os::unix::fs::FileExt;
use std::path::Path;
use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};
use tokio::sync::watch;

/// With a rate: what has come due is bundled this often. It is part of every latency.
const CUT_EVERY: Duration = Duration::from_millis(20);
/// After a refusal by back-pressure.
const RETRY_AFTER: Duration = Duration::from_millis(10);

/// Envelopes sealed in advance: bodies in a file, all of one length, ids in memory.
pub struct SealedLane {
    file: File,
    pub ids: Vec<EnvelopeId>,
    pub envelope_bytes: usize,
}

/// What to seal.
pub struct SealPlan<'a> {
    pub genesis: &'a Genesis,
    pub from: ParticipantNumber,
    pub to: ParticipantNumber,
    pub coins: std::ops::Range<u32>,
    /// When the ledger should see the first, and how many follow a second. An envelope expires half a window after it is due.
    pub first_due_ms: u64,
    pub per_second: u64,
}

impl SealedLane {
    pub fn seal(plan: &SealPlan<'_>, path: &Path) -> Result<Self, Failure> {
        let genesis = plan.genesis;
        let coins = PreissuedCoins::of(genesis, plan.from)
            .ok_or_else(|| Failure::usage(format!("bank {} has no pre-issued coins", plan.from)))?;
        let mut members = [plan.from, plan.to];
        members.sort_unstable();
        let mut sealer = Sealer::new(genesis, plan.from, &members)?;
        let chain = genesis.chain();
        let file = File::options().read(true).write(true).create(true).truncate(true).open(path);
        let mut out = BufWriter::with_capacity(1 << 20, file.map_err(|error| cannot(path, &error))?);
        let (paid, owner) = (coins.amount() / 2, coins.owner());
        let outputs = [
            NewCoin { amount: paid, bank: plan.to, owner },
            NewCoin { amount: coins.amount() - paid, bank: plan.from, owner },
        ];
        let mut ids = Vec::with_capacity(plan.coins.len());
        let (mut bytes, mut envelope_bytes) = (Vec::new(), 0);
        for (index, coin) in (0u64..).zip(plan.coins.clone()) {
            let due_ms = plan.first_due_ms + index * 1000 / plan.per_second.max(1);
            let expiry_ms = due_ms + genesis.expiry_window_ms / 2;
            let envelope = sealer.transfer(&coins.coin(coin), &outputs, expiry_ms)?.envelope;
            ids.push(envelope.id(&chain));
            bytes.clear();
            envelope.encode(&mut bytes);
            envelope_bytes = bytes.len();
            out.write_all(&bytes).map_err(|error| cannot(path, &error))?;
        }
        let file = out.into_inner().map_err(|error| cannot(path, &error.error()))?;
        Ok(SealedLane { file, ids, envelope_bytes })
    }

    /// The bundle of `count` envelopes from `first`, in its canonical bytes.
    fn bundle(
        &self,
        chain: &Chain,
        slot: Slot,
        first: usize,
        count: usize,
        key: &SigningKey,
    ) -> std::io::Result<Vec<u8>> {
        let body_bytes = count * self.envelope_bytes;
        let ids: Vec<[u8; 32]> = self.ids[first..first + count].iter().map(|id| id.0).collect();
        let header = BundleHeader {
            slot,
            count: u16::try_from(count).expect("a bundle's count is bounded by its length"),
            bytes: u32::try_from(body_bytes).expect("a bundle's length is bounded"),
            ids_root: merkle::root(chain, &ids),
        };
        let mut bundle = Vec::with_capacity(256 + body_bytes);
        header.encode(&mut bundle);
        key.sign(&header.digest(chain).0).encode(&mut bundle);
        let head = bundle.len();
        bundle.resize(head + body_bytes, 0);
        self.file.read_exact_at(&mut bundle[head..], (first * self.envelope_bytes) as u64)?;
        Ok(bundle)
    }
}

/// A bundle that is under way.
struct UnderWay {
    /// When its first and last envelope were due; both are the submission without a rate.
    due: (Instant, Instant),
    count: usize,
}

/// What the generator and the watcher of a lane share.
#[derive(Default)]
pub struct Flight {
    under_way: HashMap<u64, UnderWay>,
    /// Latency and how many envelopes had it, in microseconds from when they were due.
    pub latencies_us: Vec<u64>,
    pub bundle_latencies_us: Vec<u64>,
}

pub type SharedFlight = Arc<Mutex<Flight>>;

fn lock(flight: &SharedFlight) -> std::sync::MutexGuard<'_, Flight> {
    flight.lock().expect("no holder of the flight panics")
}

pub struct Generator {
    pub chain: Chain,
    pub lane: SealedLane,
    pub key: SigningKey,
    /// Another bank's node.
    pub node: Client,
    pub flight: SharedFlight,
    /// The first sequence number that no block holds yet.
    pub committed: watch::Receiver<u64>,
    pub bundle_envelopes_max: usize,
    /// Envelopes a second; none: as fast as the lane takes them.
    pub rate: Option<u64>,
}

#[derive(Default)]
pub struct Sent {
    pub bundles: u64,
    pub envelopes: usize,
    pub refused_429: u64,
    /// Waited for blocks with a full lane.
    pub lane_full: u64,
    pub ran_out: bool,
}

impl Generator {
    /// From `start` until `end` or the last envelope. `slot` is the lane's next.
    pub async fn run(&mut self, mut slot: Slot, start: Instant, end: Instant) -> Result<(Sent, Slot), Failure> {
        tokio::time::sleep_until(start.into()).await;
        let mut sent = Sent::default();
        let mut next_cut = start;
        while Instant::now() < end {
            let left = self.lane.ids.len() - sent.envelopes;
            if left == 0 {
                sent.ran_out = true;
                break;
            }
            let mut count = left.min(self.bundle_envelopes_max);
            if let Some(rate) = self.rate {
                let due_until_now = (start.elapsed().as_micros() * u128::from(rate) / 1_000_000) as usize;
                count = count.min(due_until_now.saturating_sub(sent.envelopes));
                if count < self.bundle_envelopes_max {
                    if Instant::now() < next_cut || count == 0 {
                        let until = next_cut.max(Instant::now() + Duration::from_millis(1));
                        tokio::time::sleep_until(until.min(end).into()).await;
                        continue;
                    }
                    next_cut = Instant::now() + CUT_EVERY;
                }
            }
            if slot.sequence >= *self.committed.borrow() + LANE_DEPTH_MAX {
                sent.lane_full += 1;
                let opens = self.committed.wait_for(|committed| slot.sequence < committed + LANE_DEPTH_MAX);
                if tokio::time::timeout_at(end.into(), opens).await.is_err() {
                    break;
                }
            }
            let due = |index: usize| match self.rate {
                Some(rate) => start + Duration::from_micros((index as u64 + 1) * 1_000_000 / rate),
                None => Instant::now(),
            };
            let due = (due(sent.envelopes), due(sent.envelopes + count - 1));
            let bundle = self.lane.bundle(&self.chain, slot, sent.envelopes, count, &self.key);
            let bundle = bundle.map_err(|error| Failure::usage(format!("the sealed envelopes: {error}")))?;
            lock(&self.flight).under_way.insert(slot.sequence, UnderWay { due, count });
            sent.refused_429 += self.submit(bundle).await?;
            sent.bundles += 1;
            sent.envelopes += count;
            slot.sequence += 1;
        }
        Ok((sent, slot))
    }

    /// Again after every refusal by back-pressure; how many there were.
    async fn submit(&self, bundle: Vec<u8>) -> Result<u64, Failure> {
        let mut refusals = 0;
        loop {
            // The answer repeats the ids: not kept.
            let answer: Result<serde::de::IgnoredAny, _> = self.node.post_bytes("/v1/bundles", bundle.clone()).await;
            match answer {
                Ok(_) => return Ok(refusals),
                Err(ClientError::Refused(problem)) if problem.status == 429 && problem.detail.starts_with("busy") => {
                    refusals += 1;
                    tokio::time::sleep(RETRY_AFTER).await;
                }
                Err(error) => return Err(error.into()),
            }
        }
    }
}

/// One committed block as the watching node showed it.
pub struct Seen {
    pub at: Instant,
    pub accepted: u32,
    pub refused: u32,
    pub bundle_bytes: u64,
}

/// Follows a node's blocks: tells the generators of the lanes submitted there how far they are, and takes the latencies.
pub struct Watcher {
    pub node: Client,
    pub lanes: BTreeMap<u16, (SharedFlight, watch::Sender<u64>)>,
    pub every: Duration,
    pub next_height: u64,
}

impl Watcher {
    /// Until it is told to stop.
    pub async fn run(mut self, stop: watch::Receiver<bool>) -> Result<Vec<Seen>, Failure> {
        let mut seen = Vec::new();
        while !*stop.borrow() {
            let block: Result<doc::Block, ClientError> =
                self.node.get(&format!("/v1/blocks/{}", self.next_height)).await;
            let block = match block {
                Ok(block) => block,
                Err(ClientError::Refused(problem)) if problem.status == 404 => {
                    tokio::time::sleep(self.every).await;
                    continue;
                }
                Err(error) => return Err(error.into()),
            };
            let at = Instant::now();
            self.next_height += 1;
            for bundle in &block.bundles {
                let Some((flight, committed)) = self.lanes.get(&bundle.submitter) else { continue };
                lock(flight).take(bundle.sequence, at);
                committed.send_replace(bundle.sequence + 1);
            }
            let bundle_bytes = block.bundles.iter().map(|bundle| u64::from(bundle.bytes)).sum();
            seen.push(Seen { at, accepted: block.accepted, refused: block.refused, bundle_bytes });
        }
        Ok(seen)
    }
}

impl Flight {
    fn take(&mut self, sequence: u64, at: Instant) {
        let Some(bundle) = self.under_way.remove(&sequence) else { return };
        let us = |due: Instant| u64::try_from(at.saturating_duration_since(due).as_micros()).unwrap_or(u64::MAX);
        // The envelopes of a bundle were due evenly between its first and its last.
        let (first, last) = (us(bundle.due.0), us(bundle.due.1));
        let steps = (bundle.count as u64 - 1).max(1);
        self.latencies_us.extend((0..bundle.count as u64).map(|step| first - (first - last) * step / steps));
        self.bundle_latencies_us.push(last);
    }

    /// Forgets what was measured so far; what is under way stays.
    pub fn reset(&mut self) {
        self.latencies_us.clear();
        self.bundle_latencies_us.clear();
    }

    pub fn is_empty(&self) -> bool {
        self.under_way.is_empty()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn envelopes_of_a_bundle_wait_from_when_each_was_due() {
        let start = Instant::now();
        let mut flight = Flight::default();
        let due = (start, start + Duration::from_millis(20));
        flight.under_way.insert(7, UnderWay { due, count: 5 });
        flight.take(7, start + Duration::from_millis(50));
        assert_eq!(flight.latencies_us, [50_000, 45_000, 40_000, 35_000, 30_000]);
        assert!(flight.is_empty());
        flight.take(7, start);
        assert_eq!(flight.latencies_us.len(), 5);
    }
}
