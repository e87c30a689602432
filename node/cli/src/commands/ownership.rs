//! "This coin is mine" (C-6): the verifier asks, the wallet's bank answers, the verifier checks offline.
//!
//! A challenge and an answer are files of one line of hex, the canonical bytes: the same text that the site's page shows and
//! takes.

use super::coin::{invalid, read_coin_proof, verdict_of};
use super::ledger::follow_kept;
use super::time;
use crate::Global;
use crate::cluster::{client, now_ms, trust_of};
use crate::outcome::{Exit, Failure, Outcome};
use ledger_types::CoinId;
use ledger_types::encoding::{Decode, Encode, Octets, Text};
use ledger_types::ownership::{Challenge, OwnershipProof};
use ledger_verify::{verify_coin, verify_ownership};
use node_api::desk;
use rand::RngCore;
use serde_json::json;
use std::path::{Path, PathBuf};

/// A text of 256 bytes and a nonce of 32, in hex, with room for white space.
const CHALLENGE_FILE_BYTES_MAX: u64 = 4 << 10;
const PROOF_FILE_BYTES_MAX: u64 = 8 << 10;
const NONCE_BYTES: usize = 32;
/// As on the site's page.
const MINUTES_MAX: u64 = 7 * 24 * 60;

#[derive(clap::Subcommand)]
pub enum Ownership {
    /// Ask: a fresh challenge for whoever says that a coin is theirs.
    Challenge {
        coin: String,
        /// What the answer is for, shown to the owner: "order 7 at the bakery".
        #[arg(long)]
        text: String,
        /// How long an answer is taken.
        #[arg(long, default_value_t = 15, value_parser = clap::value_parser!(u64).range(1..=MINUTES_MAX))]
        minutes: u64,
        /// Keep it; `assay ownership verify` takes it. Without, it is printed.
        #[arg(long, value_name = "FILE")]
        save: Option<PathBuf>,
    },
    /// Answer: the bank that holds the wallet signs with the coin's key.
    Prove {
        coin: String,
        #[arg(long, value_name = "FILE")]
        challenge: PathBuf,
        /// Keep the answer. Without, it is printed.
        #[arg(long, value_name = "FILE")]
        save: Option<PathBuf>,
    },
    /// Check an answer offline, against the challenge that you made and a proof of the coin.
    Verify {
        proof: PathBuf,
        /// The challenge as you made it.
        #[arg(long, value_name = "FILE")]
        challenge: PathBuf,
        /// From `assay coin show --save`.
        #[arg(long, value_name = "FILE")]
        coin_proof: PathBuf,
        /// The genesis document that you pin.
        #[arg(long, value_name = "FILE")]
        genesis: PathBuf,
    },
}

impl Ownership {
    pub async fn run(self, global: &Global) -> Result<Outcome, Failure> {
        match self {
            Ownership::Challenge { coin, text, minutes, save } => ask(&coin, &text, minutes, save.as_deref()),
            Ownership::Prove { coin, challenge, save } => prove(global, &coin, &challenge, save.as_deref()).await,
            Ownership::Verify { proof, challenge, coin_proof, genesis } => {
                verify(&proof, &challenge, &coin_proof, &genesis)
            }
        }
    }
}

fn ask(coin: &str, text: &str, minutes: u64, save: Option<&Path>) -> Result<Outcome, Failure> {
    let coin = CoinId::parse(coin).map_err(|error| Failure::usage(error.to_string()))?;
    let text = Text::new(text).map_err(|error| Failure::usage(format!("--text: {error}")))?;
    let mut nonce = vec![0; NONCE_BYTES];
    rand::rngs::OsRng.fill_bytes(&mut nonce);
    let not_after_ms = now_ms() + minutes * 60_000;
    let challenge = Challenge { text, nonce: Octets::new(nonce).expect("32 bytes"), not_after_ms };
    let hex = hex::encode(challenge.to_bytes());
    let data = json!({ "coin": coin.to_string(), "text": challenge.text.as_str(), "nonce": hex::encode(&*challenge.nonce),
        "not_after_ms": not_after_ms, "challenge": hex, "file": save });
    let until = time(not_after_ms);
    match save {
        Some(path) => {
            std::fs::write(path, format!("{hex}\n")).map_err(|error| Failure::file(path, error))?;
            let text = format!(
                "{}: a challenge for the owner of {coin}, good until {until}\n\
                 they answer with: assay ownership prove {coin} --challenge FILE --as BANK",
                path.display()
            );
            Ok(Outcome::new(data, text))
        }
        None => Ok(Outcome::new(data, hex)),
    }
}

async fn prove(global: &Global, coin: &str, challenge: &Path, save: Option<&Path>) -> Result<Outcome, Failure> {
    let coin = CoinId::parse(coin).map_err(|error| Failure::usage(error.to_string()))?;
    let asked = read_challenge(challenge)?;
    if now_ms() > asked.not_after_ms {
        let message = format!("the challenge expired at {}", time(asked.not_after_ms));
        return Err(Failure::new(Exit::Refused, "challenge_expired", message).with_help("ask for a fresh one"));
    }
    let request = desk::NewOwnershipProof { coin: coin.to_string(), challenge: hex::encode(asked.to_bytes()) };
    let bank = client(global, "commercial_bank")?;
    let answer: desk::OwnershipProof = bank.post("/v1/ownership", &request).await?;
    let data = json!({ "coin": answer.coin, "ownership": answer.ownership, "text": asked.text.as_str(),
        "not_after_ms": asked.not_after_ms, "file": save });
    let Some(path) = save else { return Ok(Outcome::new(data, answer.ownership)) };
    std::fs::write(path, format!("{}\n", answer.ownership)).map_err(|error| Failure::file(path, error))?;
    let text = format!("{}: the owner of {coin} answers \"{}\"", path.display(), asked.text.as_str());
    Ok(Outcome::new(data, text))
}

fn verify(proof: &Path, challenge: &Path, coin_proof: &Path, genesis: &Path) -> Result<Outcome, Failure> {
    let mut trust = trust_of(genesis)?;
    let asked = read_challenge(challenge)?;
    let bytes = read_hex(proof, PROOF_FILE_BYTES_MAX)?;
    let answer = OwnershipProof::from_bytes(&bytes).map_err(|error| malformed(proof, error))?;
    let (id, coin, hand_overs) = read_coin_proof(coin_proof)?;
    follow_kept(&mut trust, &hand_overs, &coin.state.state_leaf.set_hash)?;
    let now_ms = now_ms();
    let coin = verdict_of(verify_coin(&trust, &id, &coin, now_ms))?;
    verify_ownership(&trust, &coin, &asked, &answer, now_ms).map_err(invalid)?;
    let state = coin.state();
    let text = format!(
        "{id}\nits registered owner answered \"{}\" before {}\n\
         verified   as of height {} ({} s ago), from the pinned genesis",
        asked.text.as_str(),
        time(asked.not_after_ms),
        state.height(),
        state.age_ms() / 1000
    );
    let data = json!({ "coin": id.to_string(), "verified": true, "text": asked.text.as_str(), "owner": answer.owner.to_string(),
        "as_of": { "height": state.height().0, "age_ms": state.age_ms(), "stale": state.is_stale() } });
    let outcome = Outcome::new(data, text);
    Ok(match state.is_stale() {
        true => outcome.with_warning("the coin's proof is more than 120 s old: it was theirs as of then"),
        false => outcome,
    })
}

fn malformed(path: &Path, cause: impl std::fmt::Display) -> Failure {
    Failure::unverified("malformed", format!("{}: {cause}", path.display()))
}

fn read_challenge(path: &Path) -> Result<Challenge, Failure> {
    let bytes = read_hex(path, CHALLENGE_FILE_BYTES_MAX)?;
    Challenge::from_bytes(&bytes).map_err(|error| malformed(path, format_args!("this is no challenge: {error}")))
}

/// White space is dropped: the text may have been copied out of a page.
fn read_hex(path: &Path, bytes_max: u64) -> Result<Vec<u8>, Failure> {
    let length = std::fs::metadata(path).map_err(|error| Failure::file(path, error))?.len();
    if length > bytes_max {
        return Err(malformed(path, "too long"));
    }
    let mut text = std::fs::read(path).map_err(|error| Failure::file(path, error))?;
    text.retain(|byte| !byte.is_ascii_whitespace());
    hex::decode(&text).map_err(|error| malformed(path, format_args!("no hex: {error}")))
}
