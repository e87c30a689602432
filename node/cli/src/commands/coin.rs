//! Coins: what a bank holds, and what the registry proves of any of them.

use super::ledger::{follow_kept, follow_listed, listed_hand_overs};
use super::{table, time};
use crate::Global;
use crate::amount;
use crate::cluster::{Cluster, client, now_ms, trust, trust_of};
use crate::outcome::{Exit, Failure, Outcome};
use ledger_state::PaymentRule;
use ledger_types::coin::Opening;
use ledger_types::confirmation::RecordStatus;
use ledger_types::{CoinId, Decode, Origin, ParticipantNumber, TreeRoot};
use ledger_verify::{
    Answer, COIN_PROOF_BYTES_MAX, CoinProof, Reason, TreeHead, Trust, Verdict, VerifiedCoin, verify_coin,
};
use node_api::log::HAND_OVERS_BYTES_MAX;
use node_api::{Client, ClientError, desk};
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
        /// A second node, run by others: both must show one and the same log.
        #[arg(long, value_name = "URL")]
        mirror: Option<String>,
    },
    /// Check a saved proof offline.
    Verify {
        file: PathBuf,
        /// The genesis document that you pin.
        #[arg(long, value_name = "FILE")]
        genesis: PathBuf,
    },
    /// The opening of a coin in the bank's custody: whoever you show it to knows its amount and its owner.
    Opening {
        coin: String,
        /// A new file that you alone can read. Without, it is printed.
        #[arg(long, value_name = "FILE")]
        save: Option<PathBuf>,
    },
    /// Check offline what an opening that you were shown says of a coin: the id is a hash of it.
    CheckOpening {
        file: PathBuf,
        coin: String,
        /// Without, the local cluster's.
        #[arg(long, value_name = "FILE")]
        genesis: Option<PathBuf>,
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
    /// Hex of the hand-overs from the genesis's validators to those that the proof names (PROTOCOL 10.6), oldest first.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    hand_overs: Vec<String>,
}

impl Coin {
    pub async fn run(self, global: &Global) -> Result<Outcome, Failure> {
        match self {
            Coin::List { wallet } => list(global, &wallet).await,
            Coin::Show { coin, save, genesis, mirror } => {
                show(global, &coin, save.as_deref(), genesis.as_deref(), mirror.as_deref()).await
            }
            Coin::Verify { file, genesis } => verify(&file, &genesis),
            Coin::Opening { coin, save } => opening(global, &coin, save.as_deref()).await,
            Coin::CheckOpening { file, coin, genesis } => check_opening(global, &file, &coin, genesis.as_deref()),
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

async fn show(
    global: &Global,
    coin: &str,
    save: Option<&Path>,
    genesis: Option<&Path>,
    mirror: Option<&str>,
) -> Result<Outcome, Failure> {
    let id = CoinId::parse(coin).map_err(|error| Failure::usage(error.to_string()))?;
    let node = client(global, "observer")?;
    let answer = node.coin(coin).await?;
    let listed = listed_hand_overs(&node).await;
    // Before it is judged: what does not verify is evidence.
    if let Some(path) = save {
        let hand_overs = listed.as_deref().unwrap_or_default().to_vec();
        let file = ProofFile { schema_version: 1, coin: coin.into(), proof: answer.proof.clone(), hand_overs };
        let text = serde_json::to_string_pretty(&file).expect("a proof file is plain JSON");
        std::fs::write(path, text).map_err(|error| Failure::file(path, error))?;
    }
    let mut trust = trust(global, genesis)?;
    follow_listed(&mut trust, &listed?)?;
    let verified = verdict_of(verify_coin(&trust, &id, &decode_proof(&answer.proof)?, now_ms()))?;
    let mut outcome = show_verified(&trust, &verified);
    if let Some(mirror) = mirror {
        shows_the_same_log(&mut trust, &node, verified.state().head(), mirror).await?;
        outcome.text.push_str(&format!("\nmirror     {mirror} shows the same log"));
        outcome.data["mirror"] = mirror.into();
    }
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

/// L-3: of two nodes that show two logs one lies, whatever is signed; that one grew from the other must be shown.
async fn shows_the_same_log(trust: &mut Trust, node: &Client, seen: TreeHead, mirror: &str) -> Result<(), Failure> {
    trust.remember(seen, &[]).map_err(invalid)?;
    let mirror = Client::new(mirror, None);
    // With what was just seen in trust: another root of that size is named here.
    let theirs = super::supply::verified_supply(&mirror, trust).await?.state().head();
    if theirs.size == seen.size {
        return Ok(());
    }
    // Who has the longer log can show how it grew.
    let (from, to, by) = match theirs.size > seen.size {
        true => (seen.size, theirs.size, &mirror),
        false => (theirs.size, seen.size, node),
    };
    let path = match by.consistency(from, to).await {
        Ok(shown) => shown.path,
        Err(ClientError::Refused(problem)) if problem.status == 404 => Vec::new(),
        Err(error) => return Err(error.into()),
    };
    let malformed = || Failure::unverified("malformed", "the consistency proof is no list of hashes");
    let hash = |text: &String| TreeRoot::from_hex(text).map(|hash| hash.0).ok_or_else(malformed);
    let path = path.iter().map(hash).collect::<Result<Vec<_>, _>>()?;
    trust.remember(theirs, &path).map_err(invalid)
}

fn verify(file: &Path, genesis: &Path) -> Result<Outcome, Failure> {
    let mut trust = trust_of(genesis)?;
    let (id, proof, hand_overs) = read_coin_proof(file)?;
    follow_kept(&mut trust, &hand_overs, &proof.state.state_leaf.set_hash)?;
    let verified = verdict_of(verify_coin(&trust, &id, &proof, now_ms()))?;
    Ok(show_verified(&trust, &verified))
}

/// A proof as `assay coin show --save` keeps it, with its hand-overs; nothing of it believed.
pub(super) fn read_coin_proof(file: &Path) -> Result<(CoinId, CoinProof, Vec<String>), Failure> {
    let read = |error: &dyn std::fmt::Display| Failure::file(file, error);
    let malformed = |error: String| Failure::unverified("malformed", format!("{}: {error}", file.display()));
    let length = std::fs::metadata(file).map_err(|error| read(&error))?.len();
    if length > (2 * COIN_PROOF_BYTES_MAX + HAND_OVERS_BYTES_MAX + 1024) as u64 {
        return Err(malformed("too long for a proof".into()));
    }
    let bytes = std::fs::read(file).map_err(|error| read(&error))?;
    // Bytes that are no text are a damaged proof, not a file that cannot be read.
    let text = String::from_utf8_lossy(&bytes);
    let document: ProofFile = serde_json::from_str(&text).map_err(|error| malformed(error.to_string()))?;
    let id = CoinId::parse(&document.coin).map_err(|error| malformed(error.to_string()))?;
    Ok((id, decode_proof(&document.proof)?, document.hand_overs))
}

fn decode_proof(proof: &str) -> Result<CoinProof, Failure> {
    let malformed = |cause: String| Failure::unverified("malformed", format!("the proof does not decode: {cause}"));
    let bytes = hex::decode(proof).map_err(|error| malformed(error.to_string()))?;
    CoinProof::from_bytes(&bytes).map_err(|error| malformed(error.to_string()))
}

/// The three outcomes: verified, not enough power, invalid with the named reason.
pub(super) fn verdict_of<T>(verdict: Verdict<T>) -> Result<T, Failure> {
    match verdict {
        Verdict::Verified(verified) => Ok(verified),
        Verdict::NotEnoughPower { have, need } => Err(Failure::unverified(
            "not_enough_power",
            format!("signers hold {have} of the power, a quorum takes {need}"),
        )),
        Verdict::Invalid(reason) => Err(invalid(reason)),
    }
}

pub(super) fn invalid(reason: Reason) -> Failure {
    Failure::unverified(reason.code(), reason.message()).with_help(format!("assay explain {}", reason.code()))
}

async fn opening(global: &Global, coin: &str, save: Option<&Path>) -> Result<Outcome, Failure> {
    let id = CoinId::parse(coin).map_err(|error| Failure::usage(error.to_string()))?;
    let bank = client(global, "commercial_bank")?;
    let opening: desk::CoinOpening = bank.get(&format!("/v1/openings/{id}")).await?;
    let document = serde_json::to_string_pretty(&opening).expect("an opening is plain JSON");
    let Some(path) = save else { return Ok(Outcome::new(opening, document)) };
    write_private(path, &document)?;
    let text = format!("{}: the opening of {id}. Show it only to who may know its amount and owner", path.display());
    Ok(Outcome::new(json!({ "coin": id.to_string(), "file": path }), text))
}

/// A file that was not there before, for the own user alone from its first byte on.
fn write_private(path: &Path, text: &str) -> Result<(), Failure> {
    use std::io::Write;
    use std::os::unix::fs::OpenOptionsExt;
    let mut file = std::fs::OpenOptions::new()
        .write(true)
        .create_new(true)
        .mode(0o600)
        .open(path)
        .map_err(|error| Failure::file(path, error))?;
    file.write_all(text.as_bytes()).map_err(|error| Failure::file(path, error))
}

const OPENING_FILE_BYTES_MAX: u64 = 4 << 10;

fn check_opening(global: &Global, file: &Path, coin: &str, genesis: Option<&Path>) -> Result<Outcome, Failure> {
    let id = CoinId::parse(coin).map_err(|error| Failure::usage(error.to_string()))?;
    let trust = trust(global, genesis)?;
    let malformed = |cause: &dyn std::fmt::Display| {
        Failure::unverified("opening_malformed", format!("{}: {cause}", file.display()))
    };
    let length = std::fs::metadata(file).map_err(|error| Failure::file(file, error))?.len();
    if length > OPENING_FILE_BYTES_MAX {
        return Err(malformed(&"too long for an opening"));
    }
    let bytes = std::fs::read(file).map_err(|error| Failure::file(file, error))?;
    let document: desk::CoinOpening = serde_json::from_slice(&bytes).map_err(|error| malformed(&error))?;
    let bytes = hex::decode(&document.opening).map_err(|error| malformed(&error))?;
    let opening = Opening::from_bytes(&bytes).map_err(|error| malformed(&error))?;
    let origin = Origin::from_hex(&document.origin).ok_or_else(|| malformed(&"its origin has not 64 hex digits"))?;
    let bank = ParticipantNumber(document.bank);
    let of = opening.coin_id(trust.chain(), &origin, document.output_index, bank);
    if of != id {
        let message = format!("the opening is of {of}: it says nothing of {id}");
        return Err(Failure::unverified("opening_differs", message));
    }
    let (amount, owner) = (opening.amount.0, opening.owner);
    let text = format!(
        "{id}\namount     {} {}\nowner      {owner}\nseries     {}\nowner tag  {}\n\
         checked    these hash to the coin's id. Whether the coin is live, its registered record says: assay coin show",
        amount::show(amount.into(), trust.genesis().exponent),
        opening.currency,
        opening.series,
        opening.owner_tag(trust.chain(), &id),
    );
    let data = json!({ "coin": id.to_string(), "amount": amount, "currency": opening.currency.to_string(),
        "owner": owner.to_string(), "series": opening.series.0, "bank": document.bank,
        "owner_tag": opening.owner_tag(trust.chain(), &id).to_string(), "verified": true });
    Ok(Outcome::new(data, text))
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
            text.push_str(&format!(
                "failed     check {number} of the payment that made it: {rule}\n",
                number = record.failed_check,
                rule = PaymentRule::from_number(record.failed_check).map_or("unknown here", PaymentRule::message),
            ));
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
