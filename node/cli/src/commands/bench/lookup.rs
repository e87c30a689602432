//! `assay bench lookup`: questions for one coin each with its proof, over HTTP, at the real site over the cluster's observer.
//!
//! Each question is for a coin of the genesis drawn at random. The site keeps some thousands of verified answers, so that of a
//! million coins nearly every question goes through all of the line: site, observer, proof, the site's own check, answer.
//!
//! The site asks the observer from one address, and the bench the site from one address: the rates that both allow one address
//! are lifted, as an operator lifts them for an observer that serves a site. All else is as by default.

use super::bar::Bars;
use super::cluster::{BenchCluster, Plan, Progress, Seat, beside_this_program, cannot, last_lines};
use super::measure::{self, Latencies, Usage};
use super::sealing::PreissuedCoins;
use super::{BANKS, Common, minutes, per_second};
use crate::cluster::now_ms;
use crate::outcome::{Failure, Outcome};
use ledger_types::confirmation::RecordStatus;
use ledger_types::{CoinId, Decode, Encode, ParticipantNumber};
use ledger_verify::{Answer, CoinProof, Trust, verify_coin};
use rand::rngs::StdRng;
use rand::{Rng, SeedableRng};
use serde_json::{Value, json};
use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::{Duration, Instant};

const COIN_AMOUNT: u64 = 10_000;
/// The same coins in the same order each time.
const SEED: u64 = 7;
/// Without a rate so many coins are drawn for each second; a faster run begins again with the first, long since forgotten.
const DRAWN_PER_SECOND: u64 = 5_000;
const SITE_READY_WITHIN: Duration = Duration::from_secs(60);
/// Connections are open and programs are warm before the clock starts.
const WARM_UP: Duration = Duration::from_secs(2);
/// One answer in so many is kept, and verified from the genesis after the clock has stopped.
const SAMPLE_EVERY: usize = 100;
const ANSWER_WITHIN: Duration = Duration::from_secs(10);
/// The bars: at the rate of [`BAR_RATE`], and without one.
const BAR_P99_MS: f64 = 10.0;
const BAR_RATE: u64 = 500;
const BAR_PER_SECOND: f64 = 3_000.0;

#[derive(clap::Args)]
pub struct Lookup {
    #[command(flatten)]
    pub common: Common,
    #[command(flatten)]
    bars: Bars,
    /// Questions a second; without it as many as the site takes.
    #[arg(long, value_parser = clap::value_parser!(u64).range(1..=100_000))]
    rate: Option<u64>,
    /// Connections to the site.
    #[arg(long, default_value_t = 32, value_parser = clap::value_parser!(u16).range(1..=64))]
    connections: u16,
    /// The site's program; else assay-site beside this one.
    #[arg(long, value_name = "FILE")]
    site_program: Option<PathBuf>,
}

/// The site as a process; it ends with this value.
struct RunningSite {
    process: Child,
    log: PathBuf,
    url: String,
}

impl Drop for RunningSite {
    fn drop(&mut self) {
        // It may have ended by itself.
        let _ = self.process.kill();
        let _ = self.process.wait();
    }
}

impl RunningSite {
    async fn start(program: &Path, cluster: &BenchCluster, observer: &Seat) -> Result<RunningSite, Failure> {
        let upstream = observer.http.as_deref().unwrap_or_default();
        let address: SocketAddr = upstream
            .trim_start_matches("http://")
            .parse()
            .map_err(|error| Failure::network("no_observer", format!("{upstream}: {error}")))?;
        let listen = SocketAddr::new(address.ip(), address.port() + 90);
        let folder = cluster.folder.join("site");
        std::fs::create_dir(&folder).map_err(|error| cannot(&folder, &error))?;
        let (config, log) = (folder.join("site.toml"), folder.join("log.txt"));
        let text = format!(
            "listen = \"{listen}\"\nupstream = [\"{upstream}\"]\ngenesis = \"../genesis.bin\"\n\
             [limits]\nrequests_per_second = 1000000\nburst = 1000000\n"
        );
        std::fs::write(&config, text).map_err(|error| cannot(&config, &error))?;
        let stderr = std::fs::File::create(&log).map_err(|error| cannot(&log, &error))?;
        let process = Command::new(program)
            .arg("--config")
            .arg(&config)
            .stdin(Stdio::null())
            .stdout(Stdio::null())
            .stderr(stderr)
            .spawn()
            .map_err(|error| cannot(program, &error).with_help("build assay-site, or name it with --site-program"))?;
        let mut site = RunningSite { process, log, url: format!("http://{listen}") };
        site.wait_until_it_has_a_state().await?;
        Ok(site)
    }

    async fn wait_until_it_has_a_state(&mut self) -> Result<(), Failure> {
        let until = Instant::now() + SITE_READY_WITHIN;
        let status = format!("{}/v1/status", self.url);
        loop {
            if let Ok(answer) = reqwest::get(&status).await
                && let Ok(document) = answer.json::<Value>().await
                && document["as_of"]["height"].is_u64()
            {
                return Ok(());
            }
            self.runs()?;
            if Instant::now() > until {
                return Err(Failure::network("not_ready", format!("{status}: no state after {SITE_READY_WITHIN:?}")));
            }
            tokio::time::sleep(Duration::from_millis(50)).await;
        }
    }

    fn runs(&mut self) -> Result<(), Failure> {
        match self.process.try_wait() {
            Ok(Some(status)) => {
                let last = last_lines(&self.log);
                Err(Failure::network("site_ended", format!("the site ended ({status}):\n{last}")))
            }
            _ => Ok(()),
        }
    }
}

/// What is asked, and by how many at once.
struct Questions {
    url: String,
    coins: Vec<CoinId>,
    next: AtomicUsize,
    start: Instant,
    end: Instant,
    /// The wait between two questions, when there is a rate.
    every: Option<Duration>,
}

#[derive(Default)]
struct Asked {
    latencies_us: Vec<u64>,
    /// When each was answered, since the clock started.
    answered_at_us: Vec<u64>,
    /// Answers other than 200 with a proof of the coin that was asked for: the first of them, and how many.
    wrong: u64,
    first_wrong: Option<String>,
    sampled: Vec<(CoinId, Vec<u8>)>,
}

impl Asked {
    fn add(&mut self, other: Asked) {
        self.latencies_us.extend(other.latencies_us);
        self.answered_at_us.extend(other.answered_at_us);
        self.wrong += other.wrong;
        self.first_wrong = self.first_wrong.take().or(other.first_wrong);
        self.sampled.extend(other.sampled);
    }

    fn add_wrong(&mut self, what: String) {
        self.wrong += 1;
        self.first_wrong.get_or_insert(what);
    }
}

impl Questions {
    /// One connection's: with a rate a question is due at its own time, whether or not the one before was answered by then.
    async fn ask(&self, http: &reqwest::Client) -> Asked {
        let mut asked = Asked::default();
        loop {
            let number = self.next.fetch_add(1, Ordering::Relaxed);
            let now = Instant::now();
            let due = match self.every {
                Some(every) => self.start + every * u32::try_from(number).unwrap_or(u32::MAX),
                None => now.max(self.start),
            };
            if due >= self.end {
                return asked;
            }
            if due > now {
                tokio::time::sleep_until(due.into()).await;
            }
            let coin = self.coins[number % self.coins.len()];
            match self.one(http, &coin).await {
                Ok(body) => {
                    let since_start = self.start.elapsed().as_micros();
                    asked.answered_at_us.push(u64::try_from(since_start).unwrap_or(u64::MAX));
                    asked.latencies_us.push(u64::try_from(due.elapsed().as_micros()).unwrap_or(u64::MAX));
                    if number.is_multiple_of(SAMPLE_EVERY) {
                        asked.sampled.push((coin, body));
                    }
                }
                Err(what) => asked.add_wrong(what),
            }
        }
    }

    async fn one(&self, http: &reqwest::Client, coin: &CoinId) -> Result<Vec<u8>, String> {
        let coin = coin.to_string();
        let answer = http.get(format!("{}/v1/coins/{coin}", self.url)).send().await.map_err(|e| e.to_string())?;
        let status = answer.status();
        let body = answer.bytes().await.map_err(|error| error.to_string())?;
        let has = |text: &str| body.windows(text.len()).any(|window| window == text.as_bytes());
        if status != 200 || !has("\"status\":\"live\"") || !has(&coin) {
            return Err(format!("{coin}: {status}: {}", String::from_utf8_lossy(&body[..body.len().min(300)])));
        }
        Ok(body.into())
    }
}

async fn ask_all(http: &reqwest::Client, connections: u16, questions: Questions) -> Asked {
    let questions = Arc::new(questions);
    let mut askers = tokio::task::JoinSet::new();
    for _ in 0..connections {
        let (http, questions) = (http.clone(), questions.clone());
        askers.spawn(async move { questions.ask(&http).await });
    }
    let mut all = Asked::default();
    while let Some(asked) = askers.join_next().await {
        all.add(asked.expect("who asks does not panic"));
    }
    all
}

/// Coins of all banks' pre-issued ones, drawn with a fixed seed.
fn draw(cluster: &BenchCluster, how_many: usize) -> Vec<CoinId> {
    let (chain, mut rng) = (cluster.genesis.chain(), StdRng::seed_from_u64(SEED));
    let banks: Vec<(ParticipantNumber, u32, PreissuedCoins)> = cluster
        .genesis
        .preissues
        .iter()
        .filter_map(|line| Some((line.bank, line.count, PreissuedCoins::of(&cluster.genesis, line.bank)?)))
        .collect();
    (0..how_many)
        .map(|_| {
            let (bank, count, coins) = &banks[rng.gen_range(0..banks.len())];
            let coin = coins.coin(rng.gen_range(0..*count));
            coin.opening.coin_id(&chain, &coin.origin, coin.output_index, *bank)
        })
        .collect()
}

/// The sampled answers, verified from the genesis as any reader can.
fn verified(trust: &Trust, sampled: &[(CoinId, Vec<u8>)]) -> Result<String, Failure> {
    for (coin, body) in sampled {
        let failed = |why: &str| Failure::unverified("sample_unverified", format!("the answer about {coin}: {why}"));
        let document: Value = serde_json::from_slice(body).map_err(|error| failed(&error.to_string()))?;
        let bytes = hex::decode(document["proof"].as_str().unwrap_or_default());
        let proof = CoinProof::from_bytes(&bytes.map_err(|error| failed(&error.to_string()))?);
        let proof = proof.map_err(|error| failed(&error.to_string()))?;
        let verified =
            verify_coin(trust, coin, &proof, now_ms()).verified().ok_or_else(|| failed("does not verify"))?;
        match verified.answer() {
            Answer::Present(record) if record.status == RecordStatus::Live => {}
            _ => return Err(failed("is not that the coin is live")),
        }
    }
    Ok(format!("{} sampled answers verify from the genesis: the coin is live", sampled.len()))
}

impl Lookup {
    pub async fn run(self, progress: &Progress) -> Result<Outcome, Failure> {
        let plan = Plan {
            banks: BANKS,
            coins_per_bank: self.common.ground.coins / BANKS,
            coin_amount: COIN_AMOUNT,
            runs: |seat| seat.is_validator() || seat.role == "observer",
            // The desks stay idle. The rate lines are those of every class of endpoint.
            set: &[("live_coins_per_wallet", "0"), ("per_second", "1000000"), ("burst", "1000000")],
            keep: self.common.ground.keep,
            node: self.common.ground.node_program.clone(),
            folder: self.common.ground.folder.clone(),
        };
        let mut cluster = BenchCluster::start(plan, progress).await?;
        let observer = cluster.processes().find(|(seat, _)| seat.role == "observer");
        let (observer, observer_pid) = observer.ok_or_else(|| Failure::network("no_observer", "no observer runs"))?;
        let program = self.site_program.clone().unwrap_or_else(|| beside_this_program("assay-site"));
        let mut site = RunningSite::start(&program, &cluster, observer).await?;
        let trust =
            Trust::from_genesis(&cluster.genesis.to_bytes()).map_err(|error| Failure::usage(error.to_string()))?;
        let drawn = self.rate.unwrap_or(DRAWN_PER_SECOND) * self.common.seconds;
        let coins = draw(&cluster, usize::try_from(drawn).unwrap_or(usize::MAX));
        progress.say(format_args!("the site has a verified state; {drawn} coins drawn"));

        let http = reqwest::Client::builder().timeout(ANSWER_WITHIN).no_proxy().build();
        let http = http.expect("a client without TLS always builds");
        let every = self.rate.map(|rate| Duration::from_secs(1) / u32::try_from(rate).unwrap_or(u32::MAX));
        let questions = |coins: Vec<CoinId>, start: Instant, end: Instant| Questions {
            url: site.url.clone(),
            coins,
            next: AtomicUsize::new(0),
            start,
            end,
            every,
        };
        let now = Instant::now();
        let warm = questions(coins.iter().rev().copied().collect(), now, now + WARM_UP);
        let warm = ask_all(&http, self.connections, warm).await;
        progress.say(format_args!(
            "warmed up with {} look-ups; the clock runs for {} s",
            warm.latencies_us.len(),
            self.common.seconds
        ));

        let pids = [site.process.id(), observer_pid, std::process::id()];
        let usage = || pids.map(measure::usage);
        let (before, processors) = (usage(), measure::processors());
        let start = Instant::now();
        let end = start + Duration::from_secs(self.common.seconds);
        let asked = ask_all(&http, self.connections, questions(coins, start, end)).await;
        let seconds = start.elapsed().as_secs_f64();
        let (after, idle) = (usage(), processors.idle_per_mille_until(measure::processors()));
        cluster.all_run()?;
        site.runs()?;
        let checked = vec![
            verified(&trust, &asked.sampled)?,
            format!(
                "{} answers were 200, named the coin that was asked for and called it live; {} were not",
                asked.latencies_us.len(),
                asked.wrong
            ),
            "no process ended; the site verified every answer that it gave".to_owned(),
        ];
        Ok(self.report(asked, seconds, (before, after), idle, checked))
    }

    fn report(
        &self,
        asked: Asked,
        seconds: f64,
        (before, after): ([Usage; 3], [Usage; 3]),
        idle: u64,
        checked: Vec<String>,
    ) -> Outcome {
        let per_second = per_second(asked.answered_at_us.iter().map(|at| (*at, 1)), self.common.seconds);
        let latencies = Latencies::new(asked.latencies_us);
        let answered = latencies.count();
        let throughput = answered as f64 / seconds.max(0.001);
        let each = |nth: usize| after[nth].cpu_us.saturating_sub(before[nth].cpu_us) / (answered as u64).max(1);
        let [site_us, observer_us, generator_us] = [each(0), each(1), each(2)];
        let [site_mib, observer_mib] = [0, 1].map(|nth: usize| after[nth].rss_kib / 1024);
        let cores = std::thread::available_parallelism().map_or(1, usize::from) as f64;
        let own_share = (site_us + observer_us + generator_us) as f64 * throughput / (cores * 1e6);
        let limiting = match self.rate {
            _ if idle < 100 && own_share < 0.5 => "other programs on this machine: it has no idle time left",
            _ if idle < 100 => "processors: the machine has no idle time left",
            Some(_) => "the offered rate",
            None => "the connections: each waits for its answer",
        };
        let not_checked =
            ["the generator takes its processor time from the same machine", "no coin was paid meanwhile"];
        let mut text = format!(
            "lookup     {throughput:.0} look-ups with proof a second over {seconds:.1} s ({answered} answered, {} wrong)\n\
             latency    {} from when each question was {}\n\
             cpu        site {site_us} µs, observer {observer_us} µs, generator {generator_us} µs a look-up, together {:.0} % of \
             the machine; {}.{} % idle\n\
             memory     site {site_mib} MiB, observer {observer_mib} MiB\n\
             machine    {}\n\
             limited by {limiting}\n",
            asked.wrong,
            latencies.text(),
            if self.rate.is_some() { "due" } else { "sent" },
            own_share * 100.0,
            idle / 10,
            idle % 10,
            measure::machine_text(),
        );
        checked.iter().for_each(|check| text.push_str(&format!("checked    {check}\n")));
        not_checked.iter().for_each(|what| text.push_str(&format!("not checked  {what}\n")));
        let data = json!({
            "bench": "lookup", "rate": self.rate, "throughput_per_s": throughput.round(), "seconds": seconds,
            "answered": answered, "wrong": asked.wrong,
            "per_second": per_second, "minutes": minutes(&per_second), "latency_ms": latencies.json(),
            "cpu_us_per_item": { "site": site_us, "observer": observer_us, "generator": generator_us },
            "rss_mib": { "site": site_mib, "observer": observer_mib }, "idle_per_mille": idle, "own_share": own_share,
            "limiting_stage": limiting, "checked": checked, "not_checked": not_checked, "machine": measure::machine(),
            "sizes": { "live_coins": self.common.ground.coins, "connections": self.connections },
        });
        let mut outcome = Outcome::new(data, text);
        if let Some(first) = asked.first_wrong {
            let failure =
                Failure::unverified("wrong_answers", format!("{} wrong answers, such as {first}", asked.wrong));
            outcome = outcome.but(failure);
        }
        let outcome = self.bars.hold(outcome, throughput, site_us + observer_us);
        match (self.rate, latencies.ms(99)) {
            (None, _) if throughput < BAR_PER_SECOND => {
                outcome.with_warning(format!("fewer than {BAR_PER_SECOND} look-ups a second"))
            }
            (Some(rate), Some(p99)) if rate <= BAR_RATE && p99 > BAR_P99_MS => {
                outcome.with_warning(format!("the 99th percentile is above {BAR_P99_MS} ms"))
            }
            _ => outcome,
        }
    }
}
