//! Wallets that a bank holds in custody.

use super::table;
use crate::Global;
use crate::amount;
use crate::cluster::{Cluster, client};
use crate::outcome::{Failure, Outcome};
use node_api::desk;

#[derive(clap::Subcommand)]
pub enum Wallet {
    /// Open a wallet at a bank.
    New { name: String },
    /// All wallets of a bank with their balances.
    List,
    /// One wallet.
    Show { name: String },
}

impl Wallet {
    pub async fn run(self, global: &Global) -> Result<Outcome, Failure> {
        let bank = client(global, "commercial_bank")?;
        let exponent = Cluster::find(global).map_or(2, |cluster| cluster.exponent);
        match self {
            Wallet::New { name } => {
                let wallet: desk::Wallet = bank.post("/v1/wallets", &desk::NewWallet { name }).await?;
                let text = format!("{} is open", wallet.address);
                Ok(Outcome::new(wallet, text))
            }
            Wallet::List => {
                let wallets: Vec<desk::Wallet> = bank.get("/v1/wallets").await?;
                let text = show(&wallets, exponent);
                Ok(Outcome::new(wallets, text))
            }
            Wallet::Show { name } => {
                let wallet: desk::Wallet = bank.get(&format!("/v1/wallets/{name}")).await?;
                let text = show(std::slice::from_ref(&wallet), exponent);
                Ok(Outcome::new(wallet, text))
            }
        }
    }
}

fn show(wallets: &[desk::Wallet], exponent: u8) -> String {
    let money = |minor: u64| amount::show(minor.into(), exponent);
    let rows: Vec<Vec<String>> = wallets
        .iter()
        .map(|w| {
            vec![
                w.address.clone(),
                money(w.live),
                money(w.unconfirmed),
                money(w.reserved),
                money(w.frozen_or_disputed),
                w.coins.to_string(),
            ]
        })
        .collect();
    table(&["address", "live", "unconfirmed", "reserved", "frozen/disputed", "coins"], &rows)
}
