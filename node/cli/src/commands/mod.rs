//! The commands, one file a noun.

mod attack;
mod bench;
mod coin;
mod confirm;
mod contract;
mod doctor;
mod envelope;
mod explain;
mod feed;
mod keys;
mod ledger;
mod load;
mod loan;
mod money;
mod order;
mod ownership;
mod reconcile;
mod regulator;
mod rules;
mod supply;
mod validators;
mod wallet;

use crate::Global;
use crate::outcome::{Failure, Outcome};
use clap::Subcommand;

#[derive(Subcommand)]
pub enum Command {
    /// Issue currency to a bank's vault (central bank).
    Issue(money::Issue),
    /// Pay from a wallet to a wallet: alice@bank2 to bob@bank3.
    Pay(money::Pay),
    /// Take coins of the central bank's vault out of circulation.
    Redeem(money::Redeem),
    /// Give disputed, frozen or stranded coins back (central bank, officers).
    Recover(money::Recover),
    /// Where a payment stands, by its id.
    Payment(money::Payment),
    /// Where an issue, redemption or recovery stands, by its id.
    Operation { id: String },
    /// Wallets of a bank.
    #[command(subcommand)]
    Wallet(wallet::Wallet),
    /// Coins: list a wallet's, show and verify anyone's.
    #[command(subcommand)]
    Coin(coin::Coin),
    /// "This coin is mine": ask the owner, answer as the owner, check the answer offline.
    #[command(subcommand)]
    Ownership(ownership::Ownership),
    /// Policies as programs: write, check, explain, try on a loan or on history, which needs no node; deploy, list, show, stop, retire.
    #[command(subcommand)]
    Contract(contract::Contract),
    /// Series that contracts read: register, publish, list, show.
    #[command(subcommand)]
    Feed(feed::Feed),
    /// Loans of inert money: lend, pay back, list.
    #[command(subcommand)]
    Loan(loan::Loan),
    /// Envelopes: what was ordered, and who can read it.
    #[command(subcommand)]
    Envelope(envelope::Envelope),
    /// Open, freeze or let go one coin for the officers: counted in public first, in secret never.
    #[command(subcommand)]
    Regulator(regulator::Regulator),
    /// The key files of a process: what each is for, and whether a node would take it. Never a secret.
    Keys(keys::Keys),
    /// Look at a process's files as its start would, and say what is wrong and what to do.
    Doctor(doctor::Doctor),
    /// Issued, redeemed and outstanding, proved.
    Supply(supply::Supply),
    /// A committed block (participants only).
    Block { height: u64 },
    /// Who takes part.
    Participants,
    /// Who decides: show the validator set, change it (central bank, officers).
    #[command(subcommand)]
    Validators(validators::Validators),
    /// The version of the ledger's rules: show it, order the next (central bank, officers).
    #[command(subcommand)]
    Rules(rules::Rules),
    /// Where a node stands.
    Status,
    /// Payments shaped like real ones, against the banks' desks.
    Load(load::Load),
    /// Throughput and latency on a cluster of the bench's own.
    #[command(subcommand)]
    Bench(bench::Bench),
    /// What reconciliation found between the banks and the registration centre; mute and repair it.
    Reconcile(reconcile::Reconcile),
    /// What a bank that cheats can try, and the refusal that it meets.
    #[command(subcommand)]
    Attack(attack::Attack),
    /// What a refusal's code or number means: of an envelope, a payment, a proof or a block.
    Explain {
        /// A code, such as value_not_conserved; or a number, which several families may have.
        #[arg(value_name = "CODE|NUMBER")]
        code: String,
    },
    /// Shell completions.
    Completions { shell: clap_complete::Shell },
    /// Man pages, one a command, into a folder: assay.1, assay-pay.1, …
    Man { folder: std::path::PathBuf },
}

pub async fn run(global: &Global, command: Command) -> Result<Outcome, Failure> {
    match command {
        Command::Issue(issue) => issue.run(global).await,
        Command::Pay(pay) => pay.run(global).await,
        Command::Redeem(redeem) => redeem.run(global).await,
        Command::Recover(recover) => recover.run(global).await,
        Command::Payment(payment) => payment.run(global).await,
        Command::Operation { id } => money::operation(global, &id).await,
        Command::Regulator(regulator) => regulator.run(global).await,
        Command::Keys(keys) => keys.run(global),
        Command::Doctor(doctor) => doctor.run(global),
        Command::Wallet(wallet) => wallet.run(global).await,
        Command::Coin(coin) => coin.run(global).await,
        Command::Ownership(ownership) => ownership.run(global).await,
        Command::Contract(contract) => contract.run(global).await,
        Command::Feed(feed) => feed.run(global).await,
        Command::Loan(loan) => loan.run(global).await,
        Command::Envelope(envelope) => envelope.run(global).await,
        Command::Supply(supply) => supply.run(global).await,
        Command::Block { height } => ledger::block(global, height).await,
        Command::Participants => ledger::participants(global).await,
        Command::Validators(validators) => validators.run(global).await,
        Command::Rules(rules) => rules.run(global).await,
        Command::Status => ledger::status(global).await,
        Command::Load(load) => load.run(global).await,
        Command::Bench(bench) => bench.run().await,
        Command::Reconcile(reconcile) => reconcile.run(global).await,
        Command::Attack(attack) => attack.run(global).await,
        Command::Explain { code } => explain::explain(&code),
        Command::Completions { .. } | Command::Man { .. } => {
            unreachable!("main answers these: they need its whole parser")
        }
    }
}

pub use money::ended;

/// Columns aligned for people.
pub fn table(header: &[&str], rows: &[Vec<String>]) -> String {
    let mut table = comfy_table::Table::new();
    table.load_preset(comfy_table::presets::NOTHING).set_header(header.to_vec());
    rows.iter().for_each(|row| {
        table.add_row(row);
    });
    table.to_string()
}

/// Milliseconds since the epoch as a date for people.
pub fn time(ms: u64) -> String {
    match i64::try_from(ms).ok().and_then(|ms| jiff::Timestamp::from_millisecond(ms).ok()) {
        Some(time) => format!("{time:.0}"),
        None => format!("{ms} ms"),
    }
}
