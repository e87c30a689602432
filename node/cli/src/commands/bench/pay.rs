//! `assay bench pay`: the whole line, from the order's signature to the confirmation, through the banks' desks.
//!
//! Each bank pays from its vault, which holds the pre-issued coins, to wallets of the other two. The payer's bank notes when
//! each step was done; latencies are between those notes and when the payment was due.

use super::Common;
use super::cluster::{BenchCluster, Plan, Progress, Seat};
use super::measure::{self, Latencies};
use crate::outcome::{Failure, Outcome};
use node_api::{Client, desk};
use serde_json::{Value, json};
use std::collections::BTreeMap;
use std::time::{Duration, Instant};

const COIN_AMOUNT: u64 = 10_000;
const AMOUNT: u64 = 2_500;
const PER_REQUEST_MAX: usize = 256;
const SEND_EVERY: Duration = Duration::from_millis(25);
/// Times are read back of so many payments of a bank at most.
const SAMPLES_MAX: usize = 5_000;

#[derive(clap::Args)]
pub struct Pay {
    #[command(flatten)]
    common: Common,
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
            coins_per_bank: self.common.coins / 3,
            coin_amount: COIN_AMOUNT,
            runs: |_| true,
            desk: &[],
            keep: self.common.keep,
            node: self.common.node_program.clone(),
            folder: self.common.folder.clone(),
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

        let mut times: BTreeMap<&str, Vec<u64>> = BTreeMap::new();
        let mut confirmed_inside = 0u64;
        let (mut read_back, mut confirmed, mut others) = (0u64, 0u64, BTreeMap::<String, u64>::new());
        let end_us = start_us + self.common.seconds * 1_000_000;
        let until = Instant::now() + Duration::from_secs(self.timeout_s);
        for (client, sent) in clients.iter().zip(&sent) {
            let step = sent.payments.len().div_ceil(SAMPLES_MAX).max(1);
            for (id, due_us) in sent.payments.iter().step_by(step) {
                let left = until.saturating_duration_since(Instant::now());
                let payment = wait_for(client, id, "confirmed", left).await?;
                read_back += 1;
                let at = |step: &str| payment.trace.iter().find(|noted| noted.step == step).map(|noted| noted.at_us);
                for (name, step) in
                    [("ordered", "ordered"), ("settled", "payee_bank_success"), ("confirmed", "confirmed")]
                {
                    times.entry(name).or_default().extend(at(step).map(|at| at.saturating_sub(*due_us)));
                }
                match payment.state.as_str() {
                    "confirmed" => confirmed += 1,
                    state => *others.entry(state.to_owned()).or_default() += 1,
                }
                confirmed_inside += u64::from(at("confirmed").is_some_and(|at| at < end_us));
            }
        }
        let metrics_after = measure::metrics(&clients[0]).await?;
        let grown = |name: &str| measure::grown(&metrics_before, &metrics_after, name);
        let total: u64 = sent.iter().map(|sent| sent.payments.len() as u64).sum();
        // When only some were read back, they stand for all.
        let throughput = confirmed_inside as f64 * total as f64 / read_back.max(1) as f64 / self.common.seconds as f64;
        let latencies: BTreeMap<&str, Latencies> =
            times.into_iter().map(|(name, us)| (name, Latencies::new(us))).collect();
        // Envelopes, splits and confirmation batches included, by the first bank's count.
        let bytes_per_item = (grown("assay_bundle_bytes_total") / total.max(1) as f64).round();
        let mut problems = BTreeMap::<String, u32>::new();
        sent.iter()
            .flat_map(|sent| &sent.problems)
            .for_each(|(code, count)| *problems.entry(code.clone()).or_default() += count);
        let cpu_per_item = cpu_us / (total * pids.len() as u64).max(1);
        let limiting = match () {
            () if idle < 100 => "processors: the machine has no idle time left",
            () if throughput * 1.05 < self.rate as f64 => "the line: confirmations fell behind the offered rate",
            () => "the offered rate",
        };
        let checked = vec![
            "every payment was signed, accepted, sealed, ordered, opened, released, registered and confirmed live"
                .to_owned(),
            format!("{confirmed} of {read_back} payments read back are confirmed, of {total} sent"),
            "payers are the banks' vaults, which hold the pre-issued coins; payees are wallets at the other banks"
                .to_owned(),
        ];
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
        others.iter().for_each(|(state, count)| text.push_str(&format!("not confirmed  {count}: {state}\n")));
        checked.iter().for_each(|check| text.push_str(&format!("checked    {check}\n")));
        let by_step: BTreeMap<&str, Value> = latencies.iter().map(|(name, latency)| (*name, latency.json())).collect();
        let data = json!({
            "bench": "pay", "rate": self.rate, "throughput_per_s": throughput.round(), "seconds": self.common.seconds,
            "sent": total, "read_back": read_back, "confirmed": confirmed, "not_confirmed": others, "not_taken": problems,
            "latency_ms": by_step.get("confirmed"), "latency_ms_by_step": by_step,
            "cpu_us_per_item_per_validator": cpu_per_item, "bytes_per_item": bytes_per_item, "idle_per_mille": idle,
            "rss_mib_max": rss_kib / 1024, "limiting_stage": limiting, "checked": checked, "machine": measure::machine(),
            "sizes": { "validators": pids.len(), "live_coins": self.common.coins / 3 * 3, "wallets_per_bank": self.wallets },
        });
        Ok(Outcome::new(data, text))
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
