//! `assay loan`: inert money is lent when its contract permits it, and paid back at the rate of the day.

use super::{table, time};
use crate::Global;
use crate::amount;
use crate::cluster::{Cluster, client};
use crate::outcome::{Failure, Outcome};
use contracts_vm::Rate;
use node_api::{Client, contracts as doc, desk};
use std::time::{Duration, Instant};

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
    List,
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
            Loan::List => {
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
                            loan.state.clone(),
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
