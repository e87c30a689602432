//! `assay load`: payments shaped by the payments profile, against the banks' desks of a local cluster.
//!
//! Amounts follow the profile's quantiles by interpolation, payees its inter-bank shares renormalised to the banks at hand, and
//! the pace its share of a day by hour, compressed into the run. Integers and a seeded generator: the same seed makes the same
//! orders.

use super::bench::measure::Latencies;
use super::table;
use crate::Global;
use crate::amount;
use crate::cluster::Cluster;
use crate::outcome::{Exit, Failure, Outcome};
use node_api::{Client, desk};
use serde::Deserialize;
use serde_json::{Value, json};
use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

#[derive(clap::Args)]
pub struct Load {
    /// How many payments.
    #[arg(long, default_value_t = 100)]
    payments: u32,
    /// Over how many seconds the day is compressed.
    #[arg(long, default_value_t = 10)]
    seconds: u64,
    #[arg(long, default_value_t = 1)]
    seed: u64,
    /// Another profile than the one of config/payments-profile.json, which this program carries.
    #[arg(long, value_name = "FILE")]
    profile: Option<PathBuf>,
    /// The wallet that pays and is paid at each bank.
    #[arg(long, default_value = "vault")]
    wallet: String,
    /// How long to wait for the last confirmation.
    #[arg(long, default_value_t = 60)]
    timeout_s: u64,
}

#[derive(Deserialize)]
struct Profile {
    retail_purchase_amount_minor_units: BTreeMap<String, u64>,
    share_of_day_by_hour: Vec<f64>,
    inter_bank_orders: InterBank,
}

#[derive(Deserialize)]
struct InterBank {
    payee_bank_share: Vec<f64>,
}

/// As the tree has it, so that the command works from any folder.
const PROFILE: &str = include_str!("../../../../config/payments-profile.json");

impl Profile {
    fn read(file: Option<&Path>) -> Result<Profile, Failure> {
        let Some(file) = file else {
            return Ok(serde_json::from_str(PROFILE).expect("the tree's own profile has the profile's fields"));
        };
        let text = std::fs::read_to_string(file).map_err(|error| Failure::file(file, error))?;
        serde_json::from_str(&text).map_err(|error| Failure::file(file, error))
    }
}

/// SplitMix64: small, seeded, and the same everywhere.
struct Seeded(u64);

impl Seeded {
    fn next(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut z = self.0;
        z = (z ^ (z >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        z ^ (z >> 31)
    }

    fn below(&mut self, bound: u64) -> u64 {
        self.next() % bound.max(1)
    }
}

/// A fraction as parts of a million, so that what follows is integers.
fn parts(share: f64) -> u64 {
    (share * 1e6) as u64
}

impl Profile {
    /// Linear between the quantiles of the retail purchases; at or beyond the outermost, the outermost.
    fn amount(&self, per_mille: u64) -> u64 {
        let mut points: Vec<(u64, u64)> = self
            .retail_purchase_amount_minor_units
            .iter()
            .filter_map(|(name, value)| {
                Some((parts(name.strip_prefix('p')?.parse::<f64>().ok()? / 100.0) / 1000, *value))
            })
            .collect();
        points.sort_unstable();
        let above = points.iter().position(|(at, _)| *at >= per_mille);
        match above {
            None => points.last().map_or(1, |(_, value)| *value),
            Some(0) => points[0].1,
            Some(index) => {
                let ((x0, y0), (x1, y1)) = (points[index - 1], points[index]);
                y0 + (y1 - y0) * (per_mille - x0) / (x1 - x0).max(1)
            }
        }
    }

    /// Which of `banks` others is paid.
    fn payee(&self, random: u64, banks: usize) -> usize {
        let shares: Vec<u64> = self.inter_bank_orders.payee_bank_share.iter().take(banks).map(|s| parts(*s)).collect();
        let mut left = random % shares.iter().sum::<u64>().max(1);
        shares
            .iter()
            .position(|share| {
                let here = left < *share;
                left = left.saturating_sub(*share);
                here
            })
            .unwrap_or(0)
    }

    /// When payment `index` of `count` starts, in milliseconds of a run of `seconds`.
    fn start_ms(&self, index: u32, count: u32, seconds: u64) -> u64 {
        let shares: Vec<u64> = self.share_of_day_by_hour.iter().map(|share| parts(*share)).collect();
        let total: u64 = shares.iter().sum::<u64>().max(1);
        let mut target = u64::from(index) * total / u64::from(count.max(1));
        let hour_ms = seconds * 1000 / shares.len().max(1) as u64;
        for (hour, share) in shares.iter().enumerate() {
            if target < *share {
                return hour as u64 * hour_ms + target * hour_ms / share;
            }
            target -= share;
        }
        seconds * 1000
    }
}

impl Load {
    pub async fn run(self, global: &Global) -> Result<Outcome, Failure> {
        let cluster = Cluster::find(global)?;
        let profile = Profile::read(self.profile.as_deref())?;
        let banks: Vec<_> = cluster.processes.iter().filter(|p| p.role == "commercial_bank").collect();
        let clients: Result<Vec<Client>, Failure> = banks.iter().map(|bank| bank.client()).collect();
        let clients = clients?;
        let mut random = Seeded(self.seed);
        let start = Instant::now();
        let mut sent = tokio::task::JoinSet::new();
        let mut volume = 0u128;
        for index in 0..self.payments {
            let payer = random.below(banks.len() as u64) as usize;
            let payee = (payer + 1 + profile.payee(random.next(), banks.len() - 1)) % banks.len();
            let amount = profile.amount(random.below(1000)).max(1);
            volume += u128::from(amount);
            let payment = desk::NewPayment {
                from: self.wallet.clone(),
                to: format!("{}@{}", self.wallet, banks[payee].name),
                amount,
                memo: String::new(),
                idempotency_key: None,
            };
            let at = start + Duration::from_millis(profile.start_ms(index, self.payments, self.seconds));
            let (bank, timeout) = (clients[payer].clone(), Duration::from_secs(self.timeout_s));
            sent.spawn(async move {
                tokio::time::sleep_until(at.into()).await;
                follow(bank, payment, timeout).await
            });
        }
        let mut tally = Tally::default();
        while let Some(done) = sent.join_next().await {
            tally.take(done.expect("a payment's task does not panic"));
        }
        let seconds = start.elapsed().as_secs_f64();
        let money = amount::show(volume, cluster.exponent);
        let head = format!("{} payments of {money} {} in all, over {seconds:.1} s", self.payments, cluster.currency);
        Ok(tally.report(&head, json!({ "payments": self.payments, "volume": volume.to_string(), "seconds": seconds })))
    }
}

/// What became of all payments.
#[derive(Default)]
struct Tally {
    settled_us: Vec<u64>,
    confirmed_us: Vec<u64>,
    /// By the desk or by the ledger, or disputed by registration: how many, by code.
    refused: BTreeMap<String, u32>,
    /// No answer, by code.
    unanswered: BTreeMap<String, u32>,
    /// Neither confirmed nor refused when the time was up.
    unfinished: u32,
}

impl Tally {
    fn take(&mut self, done: Result<Times, Failure>) {
        match done {
            Ok(times) => {
                self.settled_us.extend(times.settled_us);
                self.confirmed_us.extend(times.confirmed_us);
                match times.refused {
                    Some(code) => *self.refused.entry(code).or_default() += 1,
                    None => self.unfinished += u32::from(times.confirmed_us.is_none()),
                }
            }
            Err(failure) if failure.exit == Exit::Network => *self.unanswered.entry(failure.code).or_default() += 1,
            Err(failure) => *self.refused.entry(failure.code).or_default() += 1,
        }
    }

    /// Percentiles stand in the text and in the document; anything but a confirmed payment is a failure with its count.
    fn report(self, head: &str, mut data: Value) -> Outcome {
        let (settled, confirmed) = (Latencies::new(self.settled_us), Latencies::new(self.confirmed_us));
        let row = |name: &str, times: &Latencies| {
            let at = |percent| times.ms(percent).map_or_else(|| "–".to_owned(), |ms| format!("{ms:.1}"));
            vec![name.to_owned(), times.count().to_string(), at(50), at(95), at(99)]
        };
        let rows = [row("settled", &settled), row("confirmed", &confirmed)];
        let mut text = format!("{head}\n{}", table(&["", "count", "p50 ms", "p95 ms", "p99 ms"], &rows));
        self.refused.iter().for_each(|(code, count)| text.push_str(&format!("\nrefused {count}: {code}")));
        self.unanswered.iter().for_each(|(code, count)| text.push_str(&format!("\nno answer {count}: {code}")));
        data["settled"] = settled.count().into();
        data["confirmed"] = confirmed.count().into();
        data["latency_ms"] = json!({ "settled": settled.json(), "confirmed": confirmed.json() });
        data["refused"] = json!(self.refused);
        data["unanswered"] = json!(self.unanswered);
        data["unfinished"] = self.unfinished.into();
        let outcome = Outcome::new(data, text);
        let (refused, unanswered): (u32, u32) = (self.refused.values().sum(), self.unanswered.values().sum());
        match (refused, unanswered, self.unfinished) {
            (0, 0, 0) => outcome,
            (0, 0, unfinished) => outcome.but(Failure::network(
                "timed_out",
                format!("{unfinished} payments were neither confirmed nor refused in time; --timeout-s waits longer"),
            )),
            (0, unanswered, _) => {
                outcome.but(Failure::network("unanswered", format!("{unanswered} payments had no answer")))
            }
            (refused, _, _) => outcome.but(Failure::new(
                Exit::Refused,
                "payments_refused",
                format!("{refused} payments were refused or disputed"),
            )),
        }
    }
}

struct Times {
    settled_us: Option<u64>,
    confirmed_us: Option<u64>,
    refused: Option<String>,
}

async fn follow(bank: Client, payment: desk::NewPayment, timeout: Duration) -> Result<Times, Failure> {
    let start = Instant::now();
    let elapsed_us = || u64::try_from(start.elapsed().as_micros()).unwrap_or(u64::MAX);
    let mut times = Times { settled_us: None, confirmed_us: None, refused: None };
    let mut payment = bank.pay(&payment).await?;
    while start.elapsed() < timeout {
        match payment.state.as_str() {
            "settled" if times.settled_us.is_none() => times.settled_us = Some(elapsed_us()),
            "confirmed" => {
                let now = elapsed_us();
                times.settled_us.get_or_insert(now);
                times.confirmed_us = Some(now);
                return Ok(times);
            }
            state @ ("refused" | "disputed") => {
                times.refused = Some(payment.refusal.map_or_else(|| state.to_owned(), |refusal| refusal.code));
                return Ok(times);
            }
            _ => {}
        }
        let wanted = if times.settled_us.is_some() { "confirmed" } else { "settled" };
        payment = bank.get(&format!("/v1/payments/{}?wait={wanted}&timeout_ms=5000", payment.id)).await?;
    }
    Ok(times)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn profile() -> Profile {
        Profile::read(None).unwrap()
    }

    #[test]
    fn amounts_follow_the_profiles_quantiles() {
        let profile = profile();
        assert_eq!((profile.amount(0), profile.amount(500), profile.amount(999)), (599, 2598, 35856));
        assert!((2598..4370).contains(&profile.amount(600)));
    }

    #[test]
    fn a_load_with_refusals_fails_with_their_count_and_keeps_its_percentiles() {
        let mut tally = Tally::default();
        tally.take(Ok(Times { settled_us: Some(1_500), confirmed_us: Some(2_500), refused: None }));
        tally.take(Ok(Times { settled_us: None, confirmed_us: None, refused: Some("disputed".into()) }));
        tally.take(Err(Failure::new(Exit::Refused, "insufficient_funds", "")));
        tally.take(Err(Failure::network("unreachable", "")));
        let outcome = tally.report("", json!({}));
        assert_eq!(outcome.data["latency_ms"]["confirmed"]["p99"], json!(2.5));
        assert_eq!(outcome.data["refused"], json!({ "disputed": 1, "insufficient_funds": 1 }));
        let failure = outcome.failure.unwrap();
        assert_eq!((failure.exit, failure.code.as_str()), (Exit::Refused, "payments_refused"));
        assert!(failure.message.starts_with("2 payments"), "{}", failure.message);
    }

    #[test]
    fn a_load_that_is_not_confirmed_in_time_fails_and_one_that_is_does_not() {
        let times = |confirmed_us| Ok(Times { settled_us: Some(1), confirmed_us, refused: None });
        let (mut late, mut done) = (Tally::default(), Tally::default());
        late.take(times(None));
        done.take(times(Some(2)));
        let failure = late.report("", json!({})).failure.unwrap();
        assert_eq!((failure.exit, failure.code.as_str()), (Exit::Network, "timed_out"));
        assert!(done.report("", json!({})).failure.is_none());
    }

    #[test]
    fn the_day_is_compressed_into_the_run_and_the_evening_is_busy() {
        let profile = profile();
        let starts: Vec<u64> = (0..1000).map(|index| profile.start_ms(index, 1000, 24)).collect();
        assert!(starts.is_sorted() && *starts.last().unwrap() < 24_000);
        let between = |from, to| starts.iter().filter(|ms| (from..to).contains(*ms)).count();
        assert!(between(18_000, 21_000) > 5 * between(3_000, 6_000));
    }

    #[test]
    fn every_bank_at_hand_is_paid() {
        let (profile, mut random) = (profile(), Seeded(7));
        let mut paid = [0; 2];
        (0..1000).for_each(|_| paid[profile.payee(random.next(), 2)] += 1);
        assert!(paid.iter().all(|count| *count > 400));
    }
}
