//! `assay bench pay`: the whole line, from the order's signature to the confirmation, through the banks' desks.
//!
//! Each bank pays from its vault, which holds the pre-issued coins, to wallets of the other two. The payer's bank notes when
//! each step was done; latencies are between those notes and when the payment was due.
//!
//! What is said to be checked was checked: every payment that the desks took is read back, and the run fails when one of them is
//! neither confirmed nor under way, when the nodes' tips differ, or when value came or went.

use super::bar::Bars;
use super::cluster::{BenchCluster, Plan, Progress, Seat};
use super::conservation::{self, Supply, everything_is_held};
use super::measure::{self, Latencies};
use super::{BANKS, Common, minutes, per_second};
use crate::outcome::{Exit, Failure, Outcome};
use ledger_types::Encode;
use ledger_verify::Trust;
use node_api::{Client, desk};
use serde_json::{Value, json};
use std::collections::BTreeMap;
use std::time::{Duration, Instant};

const COIN_AMOUNT: u64 = 10_000;
const AMOUNT: u64 = 2_500;
const PER_REQUEST_MAX: usize = 256;
const SEND_EVERY: Duration = Duration::from_millis(25);
/// Payments of one bank that are read back at a time.
const READERS: usize = 8;

#[derive(clap::Args)]
pub struct Pay {
    #[command(flatten)]
    pub common: Common,
    #[command(flatten)]
    bars: Bars,
    /// Payments a second over all banks.
    #[arg(long, default_value_t = 1_000, value_parser = clap::value_parser!(u64).range(3..=20_000))]
    rate: u64,
    /// Wallets that are paid at each bank.
    #[arg(long, default_value_t = 4, value_parser = clap::value_parser!(u16).range(1..=1000))]
    wallets: u16,
    /// How long to wait for the last confirmation after the clock has stopped.
    #[arg(long, default_value_t = 60)]
    timeout_s: u64,
}

/// What one bank's generator did: ids of payments with the time when each was due, in microseconds of the epoch.
#[derive(Default)]
struct Sent {
    payments: Vec<(String, u64)>,
    problems: BTreeMap<String, u32>,
}

fn now_us() -> u64 {
    crate::cluster::now_ms() * 1000
}

impl Pay {
    pub async fn run(self, progress: &Progress) -> Result<Outcome, Failure> {
        let plan = Plan {
            banks: BANKS,
            coins_per_bank: self.common.ground.coins / BANKS,
            coin_amount: COIN_AMOUNT,
            runs: |_| true,
            set: &[],
            keep: self.common.ground.keep,
            node: self.common.ground.node_program.clone(),
            folder: self.common.ground.folder.clone(),
        };
        let mut cluster = BenchCluster::start(plan, progress).await?;
        let banks = cluster.banks();
        let clients: Vec<Client> = banks.iter().map(Seat::client).collect::<Result<_, _>>()?;
        for client in &clients {
            for wallet in 0..self.wallets {
                let _: desk::Wallet =
                    client.post("/v1/wallets", &desk::NewWallet { name: format!("w{wallet}") }).await?;
            }
        }
        // One payment each way: channels are made before the clock starts.
        for (payer, client) in clients.iter().enumerate() {
            for other in (0..banks.len()).filter(|other| *other != payer) {
                let payment = self.payment(&banks[other].name, 0);
                let first = client.pay(&payment).await?;
                let done = wait_for(client, &first.id, "confirmed", Duration::from_secs(60)).await?;
                if done.state != "confirmed" {
                    let why = done.reason.unwrap_or(done.state);
                    return Err(Failure::network(
                        "not_confirmed",
                        format!("the first payment is not confirmed: {why}"),
                    ));
                }
            }
        }
        let trust = Trust::from_genesis(&cluster.genesis.to_bytes())
            .map_err(|error| Failure::unverified("genesis", error.to_string()))?;
        let desks = conservation::desks(cluster.seats())?;
        let before = Supply::proved(&clients[0], &trust).await?;
        everything_is_held(&desks, before.outstanding()).await?;
        progress.say("every channel has carried a payment; the clock starts");

        let start = Instant::now();
        let start_us = now_us();
        let end = start + Duration::from_secs(self.common.seconds);
        let pids = cluster.validator_pids();
        let cpu = |pids: &[u32]| pids.iter().map(|pid| measure::usage(*pid).cpu_us).sum::<u64>();
        let metrics_before = measure::metrics(&clients[0]).await?;
        let (cpu_before, processors_before) = (cpu(&pids), measure::processors());
        let mut generators = tokio::task::JoinSet::new();
        for (payer, client) in clients.iter().enumerate() {
            let others: Vec<String> =
                (0..banks.len()).filter(|other| *other != payer).map(|other| banks[other].name.clone()).collect();
            let (client, rate) = (client.clone(), (self.rate / banks.len() as u64).max(1));
            let payments: Vec<desk::NewPayment> =
                others.iter().flat_map(|bank| (0..self.wallets).map(|wallet| self.payment(bank, wallet))).collect();
            generators.spawn(async move { (payer, generate(client, payments, rate, start, start_us, end).await) });
        }
        let mut sent: Vec<Sent> = banks.iter().map(|_| Sent::default()).collect();
        while let Some(done) = generators.join_next().await {
            let (payer, outcome) = done.expect("a generator does not panic");
            sent[payer] = outcome?;
        }
        tokio::time::sleep_until(end.into()).await;
        let (cpu_us, idle) = (cpu(&pids) - cpu_before, processors_before.idle_per_mille_until(measure::processors()));
        let rss_kib = pids.iter().map(|pid| measure::usage(*pid).rss_kib).max().unwrap_or(0);
        cluster.all_run()?;
        progress.say("the clock has stopped; waiting for confirmations, and reading the times back");

        let end_us = start_us + self.common.seconds * 1_000_000;
        let until = Instant::now() + Duration::from_secs(self.timeout_s);
        let mut readers = tokio::task::JoinSet::new();
        for (client, sent) in clients.iter().zip(&mut sent) {
            let payments = std::mem::take(&mut sent.payments);
            for part in payments.chunks(payments.len().div_ceil(READERS).max(1)) {
                readers.spawn(read_back(client.clone(), part.to_vec(), until, end_us));
            }
        }
        let mut read = ReadBack::default();
        while let Some(part) = readers.join_next().await {
            read.add(part.expect("a reader does not panic")?);
        }
        progress.say(format_args!("{} payments read back; checking", read.count()));
        let mut checks = read.checks();
        checks.take(
            cluster
                .one_tip()
                .await
                .map(|(height, hash)| format!("all nodes are at height {height} with hash {}…", &hash[..16])),
        );
        let after = Supply::proved(&clients[0], &trust).await?;
        checks.take(if after == before {
            Ok(format!("proved supply is unchanged: {} minor units outstanding", after.outstanding()))
        } else {
            Err(Failure::unverified("supply_changed", format!("the supply was {before:?} and is {after:?}")))
        });
        if read.under_way.is_empty() {
            let held = everything_is_held(&desks, after.outstanding()).await;
            checks.take(held.map(|sum| format!("the desks' wallets hold all of it together: {sum} minor units")));
        } else {
            checks.not_checked.push("the desks' balances against the supply: payments are still under way".into());
        }
        let metrics_after = measure::metrics(&clients[0]).await?;
        let grown = |name: &str| measure::grown(&metrics_before, &metrics_after, name);
        let total = read.count();
        let confirmed_at = read.confirmed_at_us.iter().map(|at| (at.saturating_sub(start_us), 1));
        let per_second = per_second(confirmed_at, self.common.seconds);
        let throughput = read.confirmed_inside as f64 / self.common.seconds as f64;
        let latencies: BTreeMap<&str, Latencies> =
            read.times.into_iter().map(|(name, us)| (name, Latencies::new(us))).collect();
        // Envelopes, splits and confirmation batches included, by the first bank's count.
        let bytes_per_item = (grown("assay_bundle_bytes_total") / total.max(1) as f64).round();
        let mut problems = BTreeMap::<String, u32>::new();
        sent.iter()
            .flat_map(|sent| &sent.problems)
            .for_each(|(code, count)| *problems.entry(code.clone()).or_default() += count);
        // Of those confirmed inside the window in which the processors' time was taken; what came later cost its own.
        let cpu_per_item = cpu_us / (read.confirmed_inside * pids.len() as u64).max(1);
        let limiting = match () {
            () if idle < 100 => "processors: the machine has no idle time left",
            () if throughput * 1.05 < self.rate as f64 => "the line: confirmations fell behind the offered rate",
            () => "the offered rate",
        };
        let mut text = format!(
            "pay        {throughput:.0} payments/s confirmed within {} s, {} offered\n",
            self.common.seconds, self.rate
        );
        latencies.iter().for_each(|(name, latency)| text.push_str(&format!("{name:<10} {}\n", latency.text())));
        text.push_str(&format!(
            "cpu        {cpu_per_item} µs a payment and validator; machine {}.{} % idle\n",
            idle / 10,
            idle % 10
        ));
        text.push_str(&format!("bytes      {bytes_per_item} in bundles a payment, confirmation batches included\n"));
        text.push_str(&format!(
            "memory     {} MiB resident at the largest validator\nlimited by {limiting}\n",
            rss_kib / 1024
        ));
        problems.iter().for_each(|(code, count)| text.push_str(&format!("not taken  {count}: {code}\n")));
        let not_confirmed: BTreeMap<&String, &u64> = read.under_way.iter().chain(&read.lost).collect();
        not_confirmed.iter().for_each(|(state, count)| text.push_str(&format!("not confirmed  {count}: {state}\n")));
        let live_coins = self.common.ground.coins;
        text.push_str(&format!(
            "machine    {}\nsizes      {} validators, {live_coins} live coins, {} wallets a bank\n",
            measure::machine_text(),
            pids.len(),
            self.wallets
        ));
        checks.checked.iter().for_each(|check| text.push_str(&format!("checked    {check}\n")));
        checks.not_checked.iter().for_each(|what| text.push_str(&format!("not checked  {what}\n")));
        let by_step: BTreeMap<&str, Value> = latencies.iter().map(|(name, latency)| (*name, latency.json())).collect();
        let data = json!({
            "bench": "pay", "rate": self.rate, "throughput_per_s": throughput.round(), "seconds": self.common.seconds,
            "sent": total, "confirmed": read.confirmed, "not_confirmed": not_confirmed, "not_taken": problems,
            "per_second": per_second, "minutes": minutes(&per_second),
            "latency_ms": by_step.get("confirmed"), "latency_ms_by_step": by_step,
            "cpu_us_per_item_per_validator": cpu_per_item, "bytes_per_item": bytes_per_item, "idle_per_mille": idle,
            "rss_mib_max": rss_kib / 1024, "limiting_stage": limiting, "checked": checks.checked, "not_checked": checks.not_checked,
            "machine": measure::machine(),
            "sizes": { "validators": pids.len(), "live_coins": live_coins, "wallets_per_bank": self.wallets },
        });
        let mut outcome = Outcome::new(data, text);
        if !problems.is_empty() {
            outcome = outcome.with_warning(format!("{} payments were not taken", problems.values().sum::<u32>()));
        }
        if !read.under_way.is_empty() {
            let count: u64 = read.under_way.values().sum();
            outcome = outcome.with_warning(format!("{count} payments are not confirmed and still under way"));
        }
        if let Some(failure) = checks.broken {
            outcome = outcome.but(failure);
        }
        Ok(self.bars.hold(outcome, throughput, cpu_per_item))
    }

    fn payment(&self, bank: &str, wallet: u16) -> desk::NewPayment {
        let to = format!("w{wallet}@{bank}");
        desk::NewPayment { from: "vault".into(), to, amount: AMOUNT, memo: String::new(), idempotency_key: None }
    }
}

/// Payments as they come due, in whole requests.
async fn generate(
    client: Client,
    payments: Vec<desk::NewPayment>,
    rate: u64,
    start: Instant,
    start_us: u64,
    end: Instant,
) -> Result<Sent, Failure> {
    let mut sent = Sent::default();
    let mut next = 0u64;
    while Instant::now() < end {
        let due = u64::try_from(start.elapsed().as_micros()).unwrap_or(u64::MAX) * rate / 1_000_000;
        let count = usize::try_from(due - next).unwrap_or(usize::MAX).min(PER_REQUEST_MAX);
        if count > 0 {
            let request: Vec<&desk::NewPayment> =
                (0..count).map(|index| &payments[(next as usize + index) % payments.len()]).collect();
            let answers: Vec<Value> = client.post("/v1/payments/batch", &request).await?;
            for (answer, index) in answers.into_iter().zip(next..) {
                match serde_json::from_value::<desk::Payment>(answer.clone()) {
                    Ok(payment) => sent.payments.push((payment.id, start_us + (index + 1) * 1_000_000 / rate)),
                    Err(_) => {
                        let code = answer["code"].as_str().unwrap_or("unknown").to_owned();
                        *sent.problems.entry(code).or_default() += 1;
                    }
                }
            }
            next += count as u64;
        }
        if count < PER_REQUEST_MAX {
            tokio::time::sleep_until((Instant::now() + SEND_EVERY).min(end).into()).await;
        }
    }
    Ok(sent)
}

/// What became of the payments that a desk took.
#[derive(Default)]
struct ReadBack {
    /// In microseconds since each was due, by step.
    times: BTreeMap<&'static str, Vec<u64>>,
    confirmed: u64,
    confirmed_inside: u64,
    /// Of the epoch, as the payers' desks noted it.
    confirmed_at_us: Vec<u64>,
    /// Not confirmed within the time, by state: the desk still works on them.
    under_way: BTreeMap<String, u64>,
    /// Taken, answered with an id, and then refused, disputed or unknown.
    lost: BTreeMap<String, u64>,
}

impl ReadBack {
    fn count(&self) -> u64 {
        self.confirmed + self.under_way.values().sum::<u64>() + self.lost.values().sum::<u64>()
    }

    fn book(&mut self, payment: &desk::Payment, due_us: u64, end_us: u64) {
        let at = |step: &str| payment.trace.iter().find(|noted| noted.step == step).map(|noted| noted.at_us);
        for (name, step) in [("ordered", "ordered"), ("settled", "payee_bank_success"), ("confirmed", "confirmed")] {
            self.times.entry(name).or_default().extend(at(step).map(|at| at.saturating_sub(due_us)));
        }
        match payment.state.as_str() {
            "confirmed" => {
                self.confirmed += 1;
                self.confirmed_at_us.extend(at("confirmed"));
                self.confirmed_inside += u64::from(at("confirmed").is_some_and(|at| at < end_us));
            }
            state @ ("pending" | "ordered" | "settled") => *self.under_way.entry(state.into()).or_default() += 1,
            state => *self.lost.entry(state.into()).or_default() += 1,
        }
    }

    fn add(&mut self, mut part: ReadBack) {
        self.confirmed_at_us.append(&mut part.confirmed_at_us);
        for (name, mut times) in part.times {
            self.times.entry(name).or_default().append(&mut times);
        }
        self.confirmed += part.confirmed;
        self.confirmed_inside += part.confirmed_inside;
        part.under_way.into_iter().for_each(|(state, count)| *self.under_way.entry(state).or_default() += count);
        part.lost.into_iter().for_each(|(state, count)| *self.lost.entry(state).or_default() += count);
    }

    /// Begins what the report says it checked, with what reading back showed.
    fn checks(&self) -> Checks {
        let (taken, lost) = (self.count(), self.lost.values().sum::<u64>());
        let mut checks = Checks::default();
        checks.take(match (taken, lost) {
            (0, _) => Err(Failure::unverified("no_payments", "the desks took not one payment: nothing was measured")),
            (_, 0) => {
                Ok(format!("every payment that a desk took was read back: {} of {taken} confirmed", self.confirmed))
            }
            _ => {
                let message =
                    format!("{lost} of {taken} payments that a desk took are neither confirmed nor under way");
                Err(Failure::unverified("payments_lost", message))
            }
        });
        checks.not_checked = vec![
            "proofs of single coins: their confirmations are read from the payers' desks".into(),
            "wallets as payers: the banks' vaults, which hold the pre-issued coins, pay; wallets are paid".into(),
        ];
        checks
    }
}

/// What the report says of the run's soundness; nothing stands in it unless it was looked at.
#[derive(Default)]
struct Checks {
    checked: Vec<String>,
    not_checked: Vec<String>,
    /// The first that did not hold.
    broken: Option<Failure>,
}

impl Checks {
    fn take(&mut self, result: Result<String, Failure>) {
        match result {
            Ok(held) => self.checked.push(held),
            Err(failure) => {
                self.checked.push(format!("FAILED: {}", failure.message));
                self.broken.get_or_insert(failure);
            }
        }
    }
}

async fn read_back(
    client: Client,
    payments: Vec<(String, u64)>,
    until: Instant,
    end_us: u64,
) -> Result<ReadBack, Failure> {
    let mut read = ReadBack::default();
    for (id, due_us) in payments {
        match wait_for(&client, &id, "confirmed", until.saturating_duration_since(Instant::now())).await {
            Ok(payment) => read.book(&payment, due_us, end_us),
            Err(failure) if failure.exit == Exit::NotFound => {
                *read.lost.entry("unknown to its desk".into()).or_default() += 1;
            }
            Err(failure) => return Err(failure),
        }
    }
    Ok(read)
}

async fn wait_for(client: &Client, id: &str, state: &str, within: Duration) -> Result<desk::Payment, Failure> {
    let until = Instant::now() + within;
    loop {
        let left = until.saturating_duration_since(Instant::now()).min(Duration::from_secs(5)).as_millis();
        let payment: desk::Payment = client.get(&format!("/v1/payments/{id}?wait={state}&timeout_ms={left}")).await?;
        if matches!(payment.state.as_str(), "confirmed" | "disputed" | "refused") || Instant::now() >= until {
            return Ok(payment);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn read(states: &[&str]) -> ReadBack {
        let mut read = ReadBack::default();
        for state in states {
            let payment = desk::Payment {
                id: String::new(),
                from: String::new(),
                to: String::new(),
                amount: 1,
                state: (*state).into(),
                refusal: None,
                reason: None,
                envelope_id: None,
                coin: None,
                trace: Vec::new(),
            };
            read.book(&payment, 0, 1);
        }
        read
    }

    #[test]
    fn a_payment_that_was_taken_and_then_refused_fails_the_bench() {
        for state in ["refused", "disputed", "no such state"] {
            let failure = read(&["confirmed", state]).checks().broken.unwrap();
            assert_eq!((failure.exit, failure.code.as_str()), (Exit::VerificationFailed, "payments_lost"), "{state}");
        }
    }

    #[test]
    fn a_payment_under_way_is_not_lost_and_not_said_to_be_confirmed() {
        let read = read(&["confirmed", "pending", "ordered", "settled"]);
        let checks = read.checks();
        assert!(checks.broken.is_none());
        assert_eq!(checks.checked, ["every payment that a desk took was read back: 1 of 4 confirmed"]);
    }

    #[test]
    fn a_bench_that_sent_nothing_does_not_succeed() {
        assert!(read(&[]).checks().broken.is_some());
    }
}
