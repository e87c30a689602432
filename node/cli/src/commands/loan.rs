//! `assay loan`: inert money is lent when its contract permits it, and paid back at the rate of the day; what nobody lent is
//! reclaimed, and what was lent on a false word is disputed.

use super::{table, time};
use crate::Global;
use crate::amount;
use crate::cluster::{Cluster, client};
use crate::outcome::{Exit, Failure, Outcome};
use contracts_vm::Rate;
use node_api::{Client, contracts as doc, desk};
use serde_json::json;
use std::path::PathBuf;
use std::time::{Duration, Instant};

/// What one envelope can name.
const RECLAIMED_AT_ONCE: usize = 32;
const LOOK_EVERY: Duration = Duration::from_millis(250);

#[derive(clap::Subcommand)]
pub enum Loan {
    /// Lend from the vault's inert money; `--as` names the bank. Every validator asks the contract.
    Activate {
        /// In units of the currency, such as 300.00.
        amount: String,
        #[arg(long, value_name = "NUMBER")]
        contract: u32,
        /// The borrower's wallet, bob@bank3.
        #[arg(long)]
        to: String,
        /// ISIC Rev. 4: a section's letter, or with its division: C10.
        #[arg(long)]
        sector: String,
        /// Of a year, such as 3.95%.
        #[arg(long, value_parser = super::contract::percent, allow_hyphen_values = true)]
        rate: i64,
        #[arg(long, value_name = "DAYS")]
        term_days: u16,
        /// How long to wait for the confirmation.
        #[arg(long, default_value_t = 30)]
        timeout_s: u64,
    },
    /// Pay back principal and interest at the rate that the policy gives now, and wait until the loan is settled.
    Return {
        /// As `list` shows it.
        obligation: String,
        /// The wallet that pays.
        #[arg(long, default_value = "vault")]
        from: String,
        #[arg(long, default_value_t = 60)]
        timeout_s: u64,
    },
    /// The bank's loans, and what is owed for each now.
    List {
        /// What waits to be lent instead, with its coins.
        #[arg(long)]
        inert: bool,
    },
    /// Retire inert money that nobody lent in its window, wherever it lies; the policy allows it, so no officer signs (central bank).
    Reclaim {
        /// As `loan list --inert --as BANK` shows them, all of one version of the contract.
        #[arg(required = true)]
        coins: Vec<String>,
        #[arg(long, value_name = "NUMBER")]
        contract: u32,
        #[arg(long, default_value_t = 30)]
        timeout_s: u64,
    },
    /// Say in public that what a bank stated of a loan is false (central bank, officers).
    Dispute {
        /// An open obligation, or the envelope of an activation.
        loan: String,
        /// The sector that the borrower is in: G, G47.
        #[arg(long)]
        sector: String,
        /// The legal basis, public: 1 to 8 of A-Z, 0-9 and -.
        #[arg(long)]
        basis: String,
        /// What shows it. It stays where it is: its BLAKE3 hash is public.
        #[arg(long, value_name = "FILE")]
        evidence: PathBuf,
        #[arg(long, default_value_t = 30)]
        timeout_s: u64,
    },
    /// Statements of loans under a contract that officers found to be false, as the public log has them; of any node.
    Disputes {
        #[arg(long, value_name = "NUMBER")]
        contract: u32,
    },
}

impl Loan {
    pub async fn run(self, global: &Global) -> Result<Outcome, Failure> {
        let e = Cluster::find(global).map_or(2, |cluster| cluster.exponent);
        let bank = client(global, "commercial_bank")?;
        match self {
            Loan::Activate { amount, contract, to, sector, rate, term_days, timeout_s } => {
                let amount = amount::parse(&amount, e)?;
                let loan = doc::NewLoan { contract, to, amount, sector, rate, term_days, idempotency_key: None };
                let payment = bank.post("/v1/loans", &loan).await?;
                super::money::until_confirmed(&bank, payment, timeout_s, e).await
            }
            Loan::Return { obligation, from, timeout_s } => {
                let until = Instant::now() + Duration::from_secs(timeout_s);
                let came_back = |loans: &[doc::Loan]| {
                    loans.iter().find(|loan| loan.obligation == obligation).map_or(0, |loan| loan.given_back)
                };
                let came_back_before = came_back(&loans(&bank).await?);
                let ask = doc::NewReturn { from, idempotency_key: None };
                let payment: desk::Payment = bank.post(&format!("/v1/loans/{obligation}/return"), &ask).await?;
                let paid = super::money::until_confirmed(&bank, payment, timeout_s, e).await?;
                if paid.failure.is_some() {
                    return Ok(paid);
                }
                loop {
                    let loans = loans(&bank).await?;
                    let settled = loans.iter().find(|loan| loan.obligation == obligation && loan.state == "returned");
                    if let Some(loan) = settled {
                        let (rate, owed) = (Rate(loan.return_rate.unwrap_or_default()), loan.owed.unwrap_or_default());
                        let text = format!("returned at {rate}: {}", amount::show(owed.into(), e));
                        return Ok(Outcome::new(loan, text));
                    }
                    if came_back(&loans) > came_back_before {
                        let why = "more was owed when the money arrived than was paid: all of it came back";
                        let failure = Failure::new(Exit::Refused, "given_back", why);
                        return Ok(paid.but(failure.with_help("ask again: what is owed is reckoned anew")));
                    }
                    if Instant::now() > until {
                        let late = format!("the money is paid, and the loan not settled within {timeout_s} s");
                        let failure = Failure::network("timed_out", late);
                        return Ok(
                            paid.but(failure.with_help("the central bank settles it; ask later: assay loan list"))
                        );
                    }
                    tokio::time::sleep(LOOK_EVERY).await;
                }
            }
            Loan::List { inert: true } => {
                let money: Vec<doc::InertMoney> = bank.get("/v1/inert").await?;
                let rows: Vec<Vec<String>> = money
                    .iter()
                    .flat_map(|money| {
                        let of =
                            |coin: &String| vec![money.contract.to_string(), money.version.to_string(), coin.clone()];
                        let live = amount::show(money.live.into(), e);
                        let sum =
                            vec![money.contract.to_string(), money.version.to_string(), format!("{live} to lend")];
                        std::iter::once(sum).chain(money.coins.iter().map(of))
                    })
                    .collect();
                let text = table(&["contract", "version", "coin"], &rows);
                Ok(Outcome::new(json!({ "inert": money }), text))
            }
            Loan::Reclaim { coins, contract, timeout_s } => {
                let central = client(global, "central_bank")?;
                let mut operations = Vec::new();
                for part in coins.chunks(RECLAIMED_AT_ONCE) {
                    let order = doc::NewReclaim { contract, coins: part.to_vec(), idempotency_key: None };
                    let operation = central.post("/v1/reclaims", &order).await?;
                    operations.push(super::money::ended(&central, operation, timeout_s).await?.data);
                }
                let text = format!("{} coins under contract {contract} are retired", coins.len());
                Ok(Outcome::new(json!({ "reclaims": operations }), text))
            }
            Loan::Dispute { loan, sector, basis, evidence, timeout_s } => {
                let central = client(global, "central_bank")?;
                let bytes = std::fs::read(&evidence).map_err(|error| Failure::file(&evidence, error))?;
                let evidence = blake3::hash(&bytes).to_hex().to_string();
                let order = doc::NewDispute { loan, sector, basis, evidence: evidence.clone(), idempotency_key: None };
                let operation = central.post("/v1/disputes", &order).await?;
                let outcome = super::money::ended(&central, operation, timeout_s).await?;
                let text = format!("the statement is disputed, with the next batch in the log; evidence {evidence}");
                Ok(Outcome { text, ..outcome })
            }
            Loan::Disputes { contract } => {
                let node = client(global, "observer")?;
                let found: Vec<doc::FalseStatement> = node.get(&format!("/v1/disputes?contract={contract}")).await?;
                let row = |dispute: &doc::FalseStatement| {
                    let doc::FalseStatement { obligation, stated, found, basis, evidence, .. } = dispute;
                    vec![obligation.clone(), stated.clone(), found.clone(), basis.clone(), evidence.clone()]
                };
                let rows: Vec<Vec<String>> = found.iter().map(row).collect();
                let text = table(&["obligation", "stated", "found", "basis", "evidence"], &rows);
                Ok(Outcome::new(json!({ "disputes": found }), text))
            }
            Loan::List { inert: false } => {
                let loans = loans(&bank).await?;
                let rate = |rate: Option<i64>| rate.map_or_else(String::new, |rate| Rate(rate).to_string());
                let rows: Vec<Vec<String>> = loans
                    .iter()
                    .map(|loan| {
                        vec![
                            loan.obligation.clone(),
                            loan.borrower.clone(),
                            amount::show(loan.amount.into(), e),
                            loan.sector.clone(),
                            rate(Some(loan.rate)),
                            loan.due_ms.map_or_else(String::new, time),
                            if loan.dispute.is_some() {
                                format!("{}, disputed", loan.state)
                            } else {
                                loan.state.clone()
                            },
                            rate(loan.return_rate),
                            loan.owed.map_or_else(String::new, |owed| amount::show(owed.into(), e)),
                        ]
                    })
                    .collect();
                let header =
                    ["obligation", "borrower", "amount", "sector", "loan rate", "due", "state", "return rate", "owed"];
                let text = table(&header, &rows);
                Ok(Outcome::new(loans, text))
            }
        }
    }
}

async fn loans(bank: &Client) -> Result<Vec<doc::Loan>, Failure> {
    Ok(bank.get("/v1/loans").await?)
}
