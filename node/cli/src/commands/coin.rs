//! Coins: what a bank holds, and what the registry proves of any of them.

use super::{table, time};
use crate::Global;
use crate::amount;
use crate::cluster::{Cluster, client, now_ms, trust, trust_of};
use crate::outcome::{Exit, Failure, Outcome};
use ledger_types::confirmation::RecordStatus;
use ledger_types::{CoinId, Decode};
use ledger_verify::{Answer, COIN_PROOF_BYTES_MAX, CoinProof, Trust, Verdict, VerifiedCoin, verify_coin};
use node_api::desk;
use serde::{Deserialize, Serialize};
use serde_json::json;
use std::path::{Path, PathBuf};

#[derive(clap::Subcommand)]
pub enum Coin {
    /// A wallet's coins.
    List {
        #[arg(long)]
        wallet: String,
    },
    /// What the registry says of a coin, verified here from the pinned genesis.
    Show {
        coin: String,
        /// Keep the proof; `assay coin verify` checks it offline.
        #[arg(long, value_name = "FILE")]
        save: Option<PathBuf>,
        #[arg(long, value_name = "FILE")]
        genesis: Option<PathBuf>,
    },
    /// Check a saved proof offline.
    Verify {
        file: PathBuf,
        /// The genesis document that you pin.
        #[arg(long, value_name = "FILE")]
        genesis: PathBuf,
    },
}

const NOT_REGISTERED: &str = "not_registered";

/// A saved proof.
#[derive(Serialize, Deserialize)]
struct ProofFile {
    schema_version: u32,
    coin: String,
    /// Hex of the canonical `CoinProof`.
    proof: String,
}

impl Coin {
    pub async fn run(self, global: &Global) -> Result<Outcome, Failure> {
        match self {
            Coin::List { wallet } => list(global, &wallet).await,
            Coin::Show { coin, save, genesis } => show(global, &coin, save.as_deref(), genesis.as_deref()).await,
            Coin::Verify { file, genesis } => verify(global, &file, &genesis),
        }
    }
}

async fn list(global: &Global, wallet: &str) -> Result<Outcome, Failure> {
    let exponent = Cluster::find(global).map_or(2, |cluster| cluster.exponent);
    let (name, bank) = match wallet.split_once('@') {
        Some((name, bank)) => (name, Cluster::find(global)?.process(bank)?.client()?),
        None => (wallet, client(global, "commercial_bank")?),
    };
    let coins: Vec<desk::WalletCoin> = bank.get(&format!("/v1/wallets/{name}/coins")).await?;
    let rows: Vec<Vec<String>> = coins
        .iter()
        .map(|coin| vec![coin.coin.clone(), amount::show(coin.amount.into(), exponent), coin.status.clone()])
        .collect();
    let text = table(&["coin", "amount", "status"], &rows);
    Ok(Outcome::new(coins, text))
}

async fn show(global: &Global, coin: &str, save: Option<&Path>, genesis: Option<&Path>) -> Result<Outcome, Failure> {
    let id = CoinId::parse(coin).map_err(|error| Failure::usage(error.to_string()))?;
    let answer = client(global, "observer")?.coin(coin).await?;
    if let Some(path) = save {
        let file = ProofFile { schema_version: 1, coin: coin.into(), proof: answer.proof.clone() };
        let text = serde_json::to_string_pretty(&file).expect("a proof file is plain JSON");
        std::fs::write(path, text).map_err(|error| Failure::file(path, error))?;
    }
    let outcome = judge(&trust(global, genesis)?, id, &answer.proof)?;
    Ok(match outcome.data["status"].as_str() {
        // Proved, and all the same no such coin: a script that asks for one must not read success.
        Some(NOT_REGISTERED) => {
            let height = &outcome.data["as_of"]["height"];
            let as_of = time(outcome.data["as_of"]["time_ms"].as_u64().unwrap_or_default());
            let message = format!("{id} is not registered as of {as_of} (height {height})");
            let help = "a new coin is registered a few seconds after its payment was ordered";
            outcome.but(Failure::new(Exit::NotFound, NOT_REGISTERED, message).with_help(help))
        }
        _ => outcome,
    })
}

fn verify(_: &Global, file: &Path, genesis: &Path) -> Result<Outcome, Failure> {
    let read = |error: &dyn std::fmt::Display| Failure::file(file, error);
    let length = std::fs::metadata(file).map_err(|error| read(&error))?.len();
    if length > 2 * COIN_PROOF_BYTES_MAX as u64 + 1024 {
        return Err(Failure::unverified("malformed", format!("{}: too long for a proof", file.display())));
    }
    let bytes = std::fs::read(file).map_err(|error| read(&error))?;
    // Bytes that are no text are a damaged proof, not a file that cannot be read.
    let text = String::from_utf8_lossy(&bytes);
    let document: ProofFile = serde_json::from_str(&text)
        .map_err(|error| Failure::unverified("malformed", format!("{}: {error}", file.display())))?;
    let id = CoinId::parse(&document.coin).map_err(|error| Failure::unverified("malformed", error.to_string()))?;
    judge(&trust_of(genesis)?, id, &document.proof)
}

/// The three outcomes: verified, not enough power, invalid with the named reason.
fn judge(trust: &Trust, id: CoinId, proof: &str) -> Result<Outcome, Failure> {
    let malformed = |cause: String| Failure::unverified("malformed", format!("the proof does not decode: {cause}"));
    let bytes = hex::decode(proof).map_err(|error| malformed(error.to_string()))?;
    let proof = CoinProof::from_bytes(&bytes).map_err(|error| malformed(error.to_string()))?;
    match verify_coin(trust, &id, &proof, now_ms()) {
        Verdict::Verified(verified) => Ok(show_verified(trust, &verified)),
        Verdict::NotEnoughPower { have, need } => Err(Failure::unverified(
            "not_enough_power",
            format!("signers hold {have} of the power, a quorum takes {need}"),
        )),
        Verdict::Invalid(reason) => Err(Failure::new(Exit::VerificationFailed, reason.code(), reason.message())
            .with_help(format!("assay explain {}", reason.code()))),
    }
}

fn show_verified(trust: &Trust, verified: &VerifiedCoin) -> Outcome {
    let state = verified.state();
    let (status, meaning) = match verified.answer() {
        Answer::Absent => (NOT_REGISTERED, "the central bank has confirmed no such coin as of this checkpoint"),
        Answer::Present(record) => match record.status {
            RecordStatus::Live => ("live", "genuine and unspent as of this checkpoint"),
            RecordStatus::Spent => ("spent", "it was genuine and has been spent"),
            RecordStatus::Frozen => ("frozen", "genuine, and frozen: it cannot be spent"),
            RecordStatus::Disputed => ("disputed", "under dispute: do not accept it"),
        },
    };
    let mut text = format!("{}\n{status}: {meaning}\n", verified.coin());
    let mut data = json!({ "coin": verified.coin().to_string(), "status": status, "verified": true });
    if let Answer::Present(record) = verified.answer() {
        text.push_str(&format!("owner tag  {} (identity hidden)\n", record.tag));
        text.push_str(&format!(
            "since      {} (height {}, batch {})\n",
            time(record.time_ms),
            record.height,
            record.batch
        ));
        data["record"] = json!({ "batch": record.batch.0, "height": record.height.0, "time_ms": record.time_ms,
            "owner_tag": record.tag.to_string(), "failed_check": record.failed_check });
        if record.failed_check != 0 {
            text.push_str(&format!("failed     check {} of the payment that made it\n", record.failed_check));
        }
    }
    let total = trust.validators().len();
    text.push_str(&format!(
        "verified   the central bank's log signature and {} of {total} validators, as of height {} ({} s ago)",
        state.signers().len(),
        state.height(),
        state.age_ms() / 1000
    ));
    data["as_of"] = json!({ "height": state.height().0, "batch": state.batch().0, "time_ms": state.time_ms(),
        "age_ms": state.age_ms(), "stale": state.is_stale(), "signers": state.signers().iter().map(|s| s.0).collect::<Vec<_>>() });
    let outcome = Outcome::new(data, text);
    match state.is_stale() {
        true => {
            outcome.with_warning("the checkpoint is more than 120 s old: true as of then, not shown to be true now")
        }
        false => outcome,
    }
}
