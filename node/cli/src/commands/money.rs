//! Money that moves: issue, pay, redeem, recover; and where a payment or an operation stands.
//!
//! What was waited for and did not come within the time is a failure with the id to ask later: the bank and the ledger keep the
//! order, so a script must neither believe it done nor send it again under another key.

use super::table;
use crate::Global;
use crate::amount;
use crate::cluster::{Cluster, client};
use crate::outcome::{Exit, Failure, Outcome};
use node_api::{Client, desk};
use std::time::{Duration, Instant};

/// One long poll; the desk answers earlier when the state is reached.
const POLL_MS: u64 = 5_000;

fn exponent(global: &Global) -> u8 {
    Cluster::find(global).map_or(2, |cluster| cluster.exponent)
}

#[derive(clap::Args)]
pub struct Issue {
    /// In units of the currency, such as 1000.00.
    amount: String,
    /// The receiving bank: its name in the cluster or its participant number.
    #[arg(long)]
    to: String,
    #[arg(long, default_value_t = 1)]
    series: u32,
    /// Into how many coins, 1 to 8.
    #[arg(long, default_value_t = 1, value_parser = clap::value_parser!(u8).range(1..=8))]
    coins: u8,
    /// Under this contract: the bank may lend it when the policy permits, and do nothing else with it.
    #[arg(long, value_name = "CONTRACT")]
    terms: Option<u32>,
    /// How long to wait for the confirmation.
    #[arg(long, default_value_t = 30)]
    timeout_s: u64,
}

impl Issue {
    pub async fn run(self, global: &Global) -> Result<Outcome, Failure> {
        let minor = amount::parse(&self.amount, exponent(global))?;
        let bank = match self.to.parse() {
            Ok(number) => number,
            Err(_) => Cluster::find(global)?.bank_number(&self.to)?,
        };
        let central = client(global, "central_bank")?;
        let issue = desk::NewIssue {
            bank,
            series: self.series,
            amount: minor,
            coins: self.coins,
            contract: self.terms.unwrap_or(0),
            idempotency_key: None,
        };
        let operation: desk::Operation = central.post("/v1/issues", &issue).await?;
        follow(&central, operation, self.timeout_s, exponent(global)).await
    }
}

#[derive(clap::Args)]
pub struct Redeem {
    amount: String,
    #[arg(long, default_value_t = 30)]
    timeout_s: u64,
}

impl Redeem {
    pub async fn run(self, global: &Global) -> Result<Outcome, Failure> {
        let minor = amount::parse(&self.amount, exponent(global))?;
        let central = client(global, "central_bank")?;
        let redemption = desk::NewRedemption { amount: minor, idempotency_key: None };
        let operation: desk::Operation = central.post("/v1/redemptions", &redemption).await?;
        follow(&central, operation, self.timeout_s, exponent(global)).await
    }
}

#[derive(clap::Args)]
pub struct Recover {
    /// Coins to give back.
    #[arg(required = true)]
    coins: Vec<String>,
    #[arg(long, value_parser = ["dispute", "failed_bank", "court_order"])]
    reason: String,
    /// The wallet that gets them, alice@bank2.
    #[arg(long)]
    to: String,
    /// How much, if not all that the coins say: what a payment that minted, or one that nobody could open, had really spent.
    #[arg(long)]
    amount: Option<String>,
    #[arg(long, default_value_t = 30)]
    timeout_s: u64,
}

impl Recover {
    pub async fn run(self, global: &Global) -> Result<Outcome, Failure> {
        let central = client(global, "central_bank")?;
        let amount = self.amount.map(|amount| amount::parse(&amount, exponent(global))).transpose()?;
        let (coins, reason, to) = (self.coins, self.reason, self.to);
        let recovery = desk::NewRecovery { coins, reason, to, amount, idempotency_key: None };
        let operation: desk::Operation = central.post("/v1/recoveries", &recovery).await?;
        follow(&central, operation, self.timeout_s, exponent(global)).await
    }
}

/// Waits until the registry has confirmed an operation of the central bank.
async fn follow(central: &Client, operation: desk::Operation, timeout_s: u64, e: u8) -> Result<Outcome, Failure> {
    let (operation, late) = until_settled(central, operation, timeout_s).await?;
    let outcome = show_operation(operation, e);
    Ok(match late {
        Some(late) => outcome.but(late),
        None => outcome,
    })
}

/// Waits for the end of an order that moves no money; the caller says what it did.
pub async fn ended(node: &Client, operation: desk::Operation, timeout_s: u64) -> Result<Outcome, Failure> {
    match until_settled(node, operation, timeout_s).await? {
        (_, Some(late)) => Err(late),
        (operation, None) => Ok(Outcome::new(operation, "")),
    }
}

async fn until_settled(
    central: &Client,
    mut operation: desk::Operation,
    timeout_s: u64,
) -> Result<(desk::Operation, Option<Failure>), Failure> {
    let until = Instant::now() + Duration::from_secs(timeout_s);
    while !is_settled(&operation.state) && Instant::now() < until {
        let path = format!("/v1/operations/{}?wait=confirmed&timeout_ms={POLL_MS}", operation.id);
        operation = central.get(&path).await?;
    }
    refused(&operation.state, operation.refusal.as_ref(), operation.reason.as_deref())?;
    let late = (operation.state != "confirmed").then(|| {
        let what = format!("the {} {} is not confirmed", operation.kind, operation.id);
        timed_out(&what, timeout_s, &operation.state, operation.reason.as_deref())
            .with_help(format!("the ledger keeps it; ask later: assay operation {}", operation.id))
    });
    Ok((operation, late))
}

/// Waits until the registry has confirmed a payment.
pub async fn until_confirmed(
    bank: &Client,
    mut payment: desk::Payment,
    timeout_s: u64,
    e: u8,
) -> Result<Outcome, Failure> {
    let until = Instant::now() + Duration::from_secs(timeout_s);
    while !is_settled(&payment.state) && Instant::now() < until {
        let path = format!("/v1/payments/{}?wait=confirmed&timeout_ms={POLL_MS}", payment.id);
        payment = bank.get(&path).await?;
    }
    refused(&payment.state, payment.refusal.as_ref(), payment.reason.as_deref())?;
    let late = (payment.state != "confirmed").then(|| {
        let what = format!("the payment {} is not confirmed", payment.id);
        timed_out(&what, timeout_s, &payment.state, payment.reason.as_deref())
    });
    let outcome = show_payment(payment, false, e);
    Ok(match late {
        Some(late) => outcome.but(late),
        None => outcome,
    })
}

fn show_operation(operation: desk::Operation, e: u8) -> Outcome {
    let money = amount::show(operation.amount.into(), e);
    let mut text = format!("{} of {money}: {}", operation.kind, operation.state);
    operation.coins.iter().for_each(|coin| text.push_str(&format!("\n  {coin}")));
    Outcome::new(operation, text)
}

fn timed_out(what: &str, timeout_s: u64, state: &str, reason: Option<&str>) -> Failure {
    let why = reason.map(|reason| format!(": {reason}")).unwrap_or_default();
    Failure::network("timed_out", format!("{what} within {timeout_s} s but {state}{why}"))
}

/// An operation of the central bank, as it stands now.
pub async fn operation(global: &Global, id: &str) -> Result<Outcome, Failure> {
    let operation: desk::Operation = client(global, "central_bank")?.get(&format!("/v1/operations/{id}")).await?;
    refused(&operation.state, operation.refusal.as_ref(), operation.reason.as_deref())?;
    Ok(show_operation(operation, exponent(global)))
}

/// A payment, as its payer's bank has it now.
#[derive(clap::Args)]
pub struct Payment {
    /// The id that `pay` gave; `--as` names the payer's bank.
    id: String,
    /// Print each step of the payment with its time.
    #[arg(long)]
    trace: bool,
}

impl Payment {
    pub async fn run(self, global: &Global) -> Result<Outcome, Failure> {
        let bank = client(global, "commercial_bank")?;
        let payment: desk::Payment = bank.get(&format!("/v1/payments/{}", self.id)).await?;
        refused(&payment.state, payment.refusal.as_ref(), payment.reason.as_deref())?;
        Ok(show_payment(payment, self.trace, exponent(global)))
    }
}

fn is_settled(state: &str) -> bool {
    matches!(state, "confirmed" | "disputed" | "refused")
}

fn refused(
    state: &str,
    refusal: Option<&node_api::ledger::RejectionCode>,
    reason: Option<&str>,
) -> Result<(), Failure> {
    if !matches!(state, "refused" | "disputed") {
        return Ok(());
    }
    let failure = match refusal {
        Some(refusal) => {
            Failure::new(Exit::Refused, &refusal.code, format!("{} (rejection {})", refusal.message, refusal.number))
        }
        None => Failure::new(Exit::Refused, state, reason.unwrap_or("no reason given")),
    };
    Err(failure)
}

#[derive(clap::Args)]
pub struct Pay {
    /// In units of the currency, such as 12.50.
    amount: String,
    /// The paying wallet, alice@bank2; the bank must be one that this machine holds the token of.
    #[arg(long)]
    from: String,
    /// The wallet to pay to, bob@bank3.
    #[arg(long)]
    to: String,
    #[arg(long, default_value = "")]
    memo: String,
    /// Print each step of the payment with its time.
    #[arg(long)]
    trace: bool,
    /// How far to wait: `ordered`, `settled` or `confirmed`.
    #[arg(long, default_value = "settled", value_parser = ["pending", "ordered", "settled", "confirmed"])]
    wait: String,
    #[arg(long, default_value_t = 30)]
    timeout_s: u64,
    /// The same key again gives the same payment, never a second one.
    #[arg(long)]
    idempotency_key: Option<String>,
}

const STATES: [&str; 4] = ["pending", "ordered", "settled", "confirmed"];

fn reached(state: &str, wanted: &str) -> bool {
    let rank = |name: &str| STATES.iter().position(|known| *known == name);
    is_settled(state) || rank(state) >= rank(wanted)
}

impl Pay {
    pub async fn run(self, global: &Global) -> Result<Outcome, Failure> {
        let minor = amount::parse(&self.amount, exponent(global))?;
        let (wallet, bank_name) = match self.from.split_once('@') {
            Some((wallet, bank)) => (wallet.to_owned(), Some(bank.to_owned())),
            None => (self.from.clone(), None),
        };
        let bank = match (&global.api, &bank_name) {
            (None, Some(name)) => Cluster::find(global)?.process(name)?.client()?,
            _ => client(global, "commercial_bank")?,
        };
        let payment = desk::NewPayment {
            from: wallet,
            to: self.to.clone(),
            amount: minor,
            memo: self.memo.clone(),
            idempotency_key: self.idempotency_key.clone(),
        };
        let mut payment = bank.pay(&payment).await?;
        let until = Instant::now() + Duration::from_secs(self.timeout_s);
        while !reached(&payment.state, &self.wait) && Instant::now() < until {
            let path = format!("/v1/payments/{}?wait={}&timeout_ms={POLL_MS}", payment.id, self.wait);
            payment = bank.get(&path).await?;
        }
        refused(&payment.state, payment.refusal.as_ref(), payment.reason.as_deref())?;
        let late = (!reached(&payment.state, &self.wait)).then(|| {
            let what = format!("the payment {} is not {}", payment.id, self.wait);
            let at = bank_name.or(global.node.clone()).map(|bank| format!(" --as {bank}")).unwrap_or_default();
            timed_out(&what, self.timeout_s, &payment.state, payment.reason.as_deref())
                .with_help(format!("the bank keeps the order; ask later: assay payment {}{at}", payment.id))
        });
        let outcome = show_payment(payment, self.trace, exponent(global));
        Ok(match late {
            Some(late) => outcome.but(late),
            None => outcome,
        })
    }
}

fn show_payment(payment: desk::Payment, trace: bool, e: u8) -> Outcome {
    let money = amount::show(payment.amount.into(), e);
    let mut text = format!("{money} to {}: {}\npayment  {}", payment.to, payment.state, payment.id);
    if let Some(id) = &payment.envelope_id {
        text.push_str(&format!("\nenvelope {id}"));
    }
    if let Some(coin) = &payment.coin {
        text.push_str(&format!("\ncoin     {coin}"));
    }
    if trace {
        let start = payment.trace.first().map_or(0, |step| step.at_us);
        let rows: Vec<Vec<String>> = payment
            .trace
            .iter()
            .map(|step| {
                let at = step.at_us.saturating_sub(start);
                vec![format!("{:>6}.{:03} ms", at / 1000, at % 1000), step.step.clone(), step.note.clone()]
            })
            .collect();
        text.push_str(&format!("\n{}", table(&["time", "step", ""], &rows)));
    }
    Outcome::new(payment, text)
}
