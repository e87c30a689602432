//! "Second consecutive fall of real output" through four validators: fifty years of it are published on a ledger, quarter by
//! quarter, and after each a bank asks for a loan.
//!
//! What is demanded of each of the four, of what lies on its own disk: it lent in exactly the ten quarters, and its blocks, executed
//! again to the roots of its own headers, give for every quarter the verdict and the rate of the back-test's report, byte for byte.
//! That report is the golden file of `contracts-backtest`, which debug and release builds make alike (`scripts/test`).

use crate::cluster::*;
use contracts_vm::unit::decimal;
use contracts_vm::{Package, Period, SectorCode};
use ledger_state::memory::MemoryState;
use ledger_state::{CandidateBlock, GenesisLoad, GenesisStep, Ledger, PolicyAtHeight, Rules, apply};
use ledger_store::Store;
use ledger_types::contract::{DAY_MS, Loan, Obligation};
use ledger_types::envelope::ClearContext;
use ledger_types::feed::ItemHead;
use ledger_types::keys::SigningKey;
use ledger_types::*;
use node_api::{Client, contracts as doc, desk};
use serde_json::{Value, json};

const SECOND_FALL: &str = include_str!("../../../contracts/policies/second-fall.policy");
const REPORT: &str = include_str!("../../../contracts/backtest/tests/golden/second-fall-1959.json");
const OUTPUT: &str = include_str!("../../../contracts/vm/tests/data/macrodata.csv");

const SECOND_FALLS: [&str; 10] =
    ["1970Q1", "1974Q4", "1975Q1", "1980Q3", "1982Q1", "1990Q4", "1991Q1", "2008Q4", "2009Q1", "2009Q2"];
const FEED: &str = "us.gdp.real";
const QUARTERLY: contracts_vm::Frequency = contracts_vm::Frequency::Quarterly;
/// Decimals of the feed.
const SCALE: u8 = 3;
/// What each loan lends: one coin of those that are issued.
const LENT: u64 = 1_000;
const TERM_DAYS: u16 = 365;

/// Quarter and real output of every row of the shared table.
fn quarters() -> Vec<(Period, i64)> {
    let row = |line: &str| {
        let cells: Vec<&str> = line.split(',').collect();
        let (whole, decimals) = cells[2].split_once('.').unwrap_or((cells[2], ""));
        let value = format!("{whole}{decimals:0<width$}", width = usize::from(SCALE)).parse().unwrap();
        (Period::quarter(cells[0].parse().unwrap(), cells[1].parse().unwrap()), value)
    };
    OUTPUT.lines().skip(1).map(row).collect()
}

/// What a policy says of one quarter: to a loan, and at which rate one is returned.
struct Said {
    quarter: String,
    /// Days until it falls due, or the number of the reason (LANGUAGE.md, E-3).
    loan: Result<u64, u64>,
    rate: i64,
    fuel: u64,
    /// Back, quarter and value.
    inputs: Vec<(u64, Option<(String, String)>)>,
}

impl Said {
    fn to_bytes(&self) -> Vec<u8> {
        let Said { quarter, loan, rate, fuel, inputs } = self;
        json!([quarter, loan.ok(), loan.err(), rate, fuel, inputs]).to_string().into_bytes()
    }
}

/// What the back-test's report says of every quarter.
fn reported() -> Vec<Said> {
    let report: Value = serde_json::from_str(REPORT).unwrap();
    let number = |value: &Value| value.as_u64().unwrap();
    let text = |value: &Value| value.as_str().unwrap().to_owned();
    let input = |input: &Value| {
        let found = input["period"].as_str().map(|period| (period.to_owned(), text(&input["value"])));
        (number(&input["back"]), found)
    };
    let row = |row: &Value| {
        let verdict = &row["verdicts"][0];
        Said {
            quarter: text(&row["period"]),
            loan: match verdict["permit"].as_bool().unwrap() {
                true => Ok(number(&verdict["due_days"])),
                false => Err(number(&verdict["reason"])),
            },
            rate: row["rate"].as_i64().unwrap(),
            fuel: number(&row["fuel"][1]),
            inputs: row["inputs"].as_array().unwrap().iter().map(input).collect(),
        }
    };
    report["rows"].as_array().unwrap().iter().map(row).collect()
}

fn publisher(index: u8) -> SigningKey {
    SigningKey::from_seed(&[120 + index; 32])
}

/// The operation, once a block holds it.
async fn ordered<T: serde::Serialize>(central: &Client, path: &str, order: &T) {
    let mut operation: desk::Operation = central.post(path, order).await.unwrap();
    wait_until(60, "the operation is ordered", async || {
        let path = format!("/v1/operations/{}?wait=ordered&timeout_ms=2000", operation.id);
        operation = central.get(&path).await.unwrap();
        operation.state != "pending"
    })
    .await;
    assert!(!matches!(operation.state.as_str(), "refused" | "disputed"), "{operation:?}");
}

async fn registers_the_feed(central: &Client) {
    let feed = doc::NewFeed {
        name: FEED.into(),
        unit: "index".into(),
        scale: SCALE,
        frequency: "quarterly".into(),
        publishers: (0..3).map(|index| publisher(index).public_key().to_string()).collect(),
        threshold: 2,
        step_max: 1_000_000,
        idempotency_key: None,
    };
    ordered(central, "/v1/feeds", &feed).await;
}

/// An old quarter, published today: no publication is dated back (K-11).
async fn publishes(cluster: &Cluster, central: &Client, (quarter, value): (Period, i64)) {
    let now_ms = node::clock::now_ms();
    let head = ItemHead {
        feed: FeedNumber(1),
        period: ledger_types::Period(quarter.0.unsigned_abs()),
        vintage: Vintage(0),
        scale: SCALE,
        published_ms: now_ms - 60_000,
        valid_until_ms: now_ms + DAY_MS,
    };
    let signed = |index: u8| doc::SignedValue {
        publisher: index,
        value,
        signature: hex::encode(publisher(index).sign(&head.message(cluster.trust().chain(), value)).0),
    };
    let item = doc::NewItem {
        period: head.period.0,
        vintage: 0,
        published_ms: head.published_ms,
        valid_until_ms: head.valid_until_ms,
        values: vec![signed(0), signed(2)],
        idempotency_key: None,
    };
    ordered(central, &format!("/v1/feeds/{FEED}/items"), &item).await;
}

/// Whether the loan was made.
async fn asks_for_a_loan(bank: &Client) -> bool {
    let loan = doc::NewLoan {
        contract: 1,
        to: "shop@bank3".into(),
        amount: LENT,
        sector: "C10".into(),
        rate: 0,
        term_days: TERM_DAYS,
        idempotency_key: None,
    };
    let asked: desk::Payment = bank.post("/v1/loans", &loan).await.unwrap();
    let asked = decided(bank, &asked.id, 60).await;
    assert_ne!(asked.state, "disputed", "{asked:?}");
    asked.state != "refused"
}

/// A ledger from the genesis on, executed from the blocks of one validator.
struct Executed<'a> {
    rules: &'a Rules,
    ledger: Ledger,
    state: MemoryState,
    /// Published by blocks before the next one.
    newest: Option<Period>,
    said: Vec<Said>,
    /// Quarter by quarter, what became of the loan that was asked for.
    loans: Vec<(String, u16)>,
}

impl<'a> Executed<'a> {
    fn from_genesis(rules: &'a Rules) -> Self {
        let mut state = MemoryState::default();
        let mut load = GenesisLoad::start(rules);
        let ledger = loop {
            match load.step(&state).unwrap() {
                GenesisStep::More(changes) => state.write(&changes),
                GenesisStep::Last(changes, ledger) => {
                    state.write(&changes);
                    break *ledger;
                }
            }
        };
        Executed { rules, ledger, state, newest: None, said: Vec::new(), loans: Vec::new() }
    }

    /// All blocks that the validator has.
    fn all(rules: &'a Rules, store: &Store) -> Self {
        let mut executed = Self::from_genesis(rules);
        let readers = store.readers();
        let snapshot = readers.snapshot().unwrap();
        for height in (1..=snapshot.height().0).map(Height) {
            let block = snapshot.block(height).unwrap().expect("blocks are without gaps");
            let codes = snapshot.result_codes(height).unwrap().expect("each block has its results");
            executed.block(store, &block, &codes);
        }
        executed
    }

    fn block(&mut self, store: &Store, block: &ledger_types::block::Block, codes: &[u16]) {
        let digests = block.certificates.iter().map(|certificate| certificate.digest(&self.rules.chain));
        let bundles: Vec<_> = digests.map(|digest| store.bundles().get(&digest).unwrap().expect("B-8")).collect();
        let candidate = CandidateBlock {
            height: block.header.height,
            time_ms: block.header.time_ms,
            certificates: &block.certificates,
            bundles: &bundles,
            parent_round: block.header.parent_round,
        };
        let applied = apply(self.rules, &self.ledger, &self.state, candidate).unwrap();
        assert_eq!(applied.header, block.header, "its blocks lead to its own roots");
        assert!(applied.results.iter().map(|result| result.code).eq(codes.iter().copied()), "and to its own results");
        self.state.write(&applied.changes);
        self.ledger = applied.ledger;

        let mut published = None;
        let envelopes = bundles.iter().flat_map(|bundle| {
            let items: Vec<_> = bundle.envelopes().iter().map(Some).collect();
            // A batch is one item, and no envelope.
            if items.is_empty() { vec![None] } else { items }
        });
        for (envelope, code) in envelopes.zip(codes) {
            match envelope.map(|envelope| &envelope.header.core.context) {
                Some(ClearContext::Publication(publication)) => {
                    assert_eq!(*code, 0, "{publication:?}");
                    published = Some(Period(publication.head.period.0.cast_signed()));
                }
                Some(ClearContext::Activate(_)) => {
                    let newest = self.newest.expect("the first loan is asked for after the first quarter");
                    self.loans.push((newest.text(QUARTERLY), *code));
                }
                _ => {}
            }
        }
        if let Some(quarter) = published {
            self.newest = published;
            self.said.push(self.says(quarter));
        }
    }

    /// As the next height would be judged (K-1).
    fn says(&self, quarter: Period) -> Said {
        let contract = self.ledger.contracts.get(ContractNumber(1)).expect("it was deployed first");
        let (version, deployed) = contract.in_force(self.ledger.height.next()).expect("it is in force");
        let policy = PolicyAtHeight::read(&self.state, &self.ledger.feeds, &deployed.policy).unwrap();
        let time_ms = self.ledger.time_ms;
        let loan = Loan { sector: SectorCode::parse("C10").unwrap().0, rate: 0, term_days: TERM_DAYS };
        let obligation = Obligation {
            contract: ContractNumber(1),
            version,
            policy: deployed.policy,
            activated_ms: time_ms - u64::from(TERM_DAYS) * DAY_MS,
            due_ms: time_ms,
        };
        let back = policy.return_rate(time_ms, &obligation);
        let mut inputs: Vec<_> = back
            .inputs
            .iter()
            .map(|input| {
                let text = |period: ledger_types::Period| Period(period.0.cast_signed()).text(QUARTERLY);
                let found = input.found.map(|found| (text(found.period), decimal(found.value, SCALE, SCALE)));
                (u64::from(input.back), found)
            })
            .collect();
        inputs.sort_unstable();
        Said {
            quarter: quarter.text(QUARTERLY),
            loan: policy.due_days(time_ms, &loan).map_err(|why| u64::from(why.number()) - 61),
            rate: back.rate,
            fuel: back.fuel.into(),
            inputs,
        }
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_second_fall_of_real_output_fires_on_the_same_ten_quarters_through_four_validators() {
    let mut cluster = Cluster::up(125, 20).await;
    let (central, bank2) = (cluster.client("central-bank"), cluster.client("bank2"));
    wallet(&cluster.client("bank3"), "shop").await;
    registers_the_feed(&central).await;
    let package = hex::encode(Package::of(SECOND_FALL).unwrap().to_bytes());
    let report = Some(blake3::hash(REPORT.as_bytes()).to_string());
    let deployment = doc::NewDeployment { package, contract: None, notice: 2, report, idempotency_key: None };
    ordered(&central, "/v1/contracts", &deployment).await;
    let quarters = quarters();
    // Every block brings the version nearer to the height at which it binds.
    let (first, rest) = quarters.split_first().unwrap();
    publishes(&cluster, &central, *first).await;
    // A coin a loan, and one over: an empty vault would ask for nothing.
    let coins = SECOND_FALLS.len() + 1;
    for coins in [6, coins - 6] {
        let amount = coins as u64 * LENT;
        let coins = u8::try_from(coins).unwrap();
        let issue = desk::NewIssue { bank: 2, series: 1, amount, coins, contract: 1, idempotency_key: None };
        ordered(&central, "/v1/issues", &issue).await;
    }
    wait_until(60, "the inert money is live", async || {
        let inert: Vec<doc::InertMoney> = bank2.get("/v1/inert").await.unwrap();
        inert.iter().map(|money| money.live).sum::<u64>() == coins as u64 * LENT
    })
    .await;

    let mut lent = Vec::new();
    let mut ask = async |quarter: Period| {
        if asks_for_a_loan(&bank2).await {
            lent.push(quarter.text(QUARTERLY));
        }
    };
    ask(first.0).await;
    for quarter in rest {
        publishes(&cluster, &central, *quarter).await;
        ask(quarter.0).await;
    }
    assert_eq!(lent, SECOND_FALLS);

    let mut tip = None;
    wait_until(30, "all nodes stand at one height", async || {
        tip = cluster.same_tip().await;
        tip.is_some()
    })
    .await;
    let expected = reported();
    assert_eq!(expected.len(), quarters.len());
    let rules = Rules::new(cluster.trust().genesis().clone());
    for validator in VALIDATORS {
        cluster.kill(validator);
        let store = cluster.ledger_of(validator);
        let executed = Executed::all(&rules, &store);
        assert!(Some(executed.ledger.height.0) >= tip.as_ref().map(|(height, _)| *height), "{validator} has them all");
        for (said, expected) in executed.said.iter().zip(&expected) {
            let [said, expected] = [said, expected].map(|said| String::from_utf8(said.to_bytes()).unwrap());
            assert_eq!(said, expected, "{validator}");
        }
        assert_eq!(executed.said.len(), expected.len(), "{validator}");
        // What it and the others decided is what it says.
        let decided = expected.iter().map(|said| {
            let code = said.loan.map_or_else(|reason| 61 + u16::try_from(reason).unwrap(), |_| 0);
            (said.quarter.clone(), code)
        });
        assert!(executed.loans.iter().cloned().eq(decided), "{validator}: {:?}", executed.loans);
    }
}
