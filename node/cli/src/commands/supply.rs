//! `assay supply`: issued, redeemed and outstanding, verified here from the pinned genesis, and again offline from a saved proof.

use super::coin::verdict_of;
use super::ledger::{follow_kept, follow_listed, listed_hand_overs};
use super::time;
use crate::Global;
use crate::amount;
use crate::cluster::{client, now_ms, trust, trust_of};
use crate::outcome::{Failure, Outcome};
use ledger_types::Decode;
use ledger_verify::{STATE_PROOF_BYTES_MAX, StateProof, Trust, verify_supply};
use node_api::log::HAND_OVERS_BYTES_MAX;
use node_api::{Client, ledger as doc};
use serde::{Deserialize, Serialize};
use serde_json::json;
use std::path::{Path, PathBuf};

#[derive(clap::Args)]
#[command(args_conflicts_with_subcommands = true)]
pub struct Supply {
    /// Keep the proof; `assay supply verify` checks it offline.
    #[arg(long, value_name = "FILE")]
    save: Option<PathBuf>,
    /// The genesis document that you pin. Without, the local cluster's.
    #[arg(long, value_name = "FILE")]
    genesis: Option<PathBuf>,
    #[command(subcommand)]
    offline: Option<Offline>,
}

#[derive(clap::Subcommand)]
enum Offline {
    /// Check a saved proof offline.
    Verify {
        file: PathBuf,
        /// The genesis document that you pin.
        #[arg(long, value_name = "FILE")]
        genesis: PathBuf,
    },
}

/// A saved proof. The totals are not beside it: they are read out of it.
#[derive(Serialize, Deserialize)]
struct SupplyFile {
    schema_version: u32,
    /// Hex of the canonical `StateProof`.
    proof: String,
    /// Hex of the hand-overs from the genesis's validators to those that the proof names (PROTOCOL 10.6), oldest first.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    hand_overs: Vec<String>,
}

impl Supply {
    pub async fn run(self, global: &Global) -> Result<Outcome, Failure> {
        match self.offline {
            Some(Offline::Verify { file, genesis }) => verify(&file, &genesis),
            None => show(global, self.save.as_deref(), self.genesis.as_deref()).await,
        }
    }
}

async fn show(global: &Global, save: Option<&Path>, genesis: Option<&Path>) -> Result<Outcome, Failure> {
    let mut trust = trust(global, genesis)?;
    let node = client(global, "observer")?;
    let answer: doc::Supply = node.get("/v1/supply").await?;
    let listed = listed_hand_overs(&node).await;
    // Before it is judged: what does not verify is evidence.
    if let Some(path) = save {
        let hand_overs = listed.as_deref().unwrap_or_default().to_vec();
        let file = SupplyFile { schema_version: 1, proof: answer.proof.clone(), hand_overs };
        let text = serde_json::to_string_pretty(&file).expect("a proof file is plain JSON");
        std::fs::write(path, text).map_err(|error| Failure::file(path, error))?;
    }
    follow_listed(&mut trust, &listed?)?;
    let verified = verdict_of(verify_supply(&trust, &decode(&answer.proof)?, now_ms()))?;
    Ok(show_verified(&trust, &verified))
}

fn verify(file: &Path, genesis: &Path) -> Result<Outcome, Failure> {
    let mut trust = trust_of(genesis)?;
    let read = |error: &dyn std::fmt::Display| Failure::file(file, error);
    let malformed = |error: String| Failure::unverified("malformed", format!("{}: {error}", file.display()));
    let length = std::fs::metadata(file).map_err(|error| read(&error))?.len();
    if length > (2 * STATE_PROOF_BYTES_MAX + HAND_OVERS_BYTES_MAX + 1024) as u64 {
        return Err(malformed("too long for a proof".into()));
    }
    let bytes = std::fs::read(file).map_err(|error| read(&error))?;
    // Bytes that are no text are a damaged proof, not a file that cannot be read.
    let document: SupplyFile = serde_json::from_slice(&bytes).map_err(|error| malformed(error.to_string()))?;
    let proof = decode(&document.proof)?;
    follow_kept(&mut trust, &document.hand_overs, &proof.state_leaf.set_hash)?;
    let verified = verdict_of(verify_supply(&trust, &proof, now_ms()))?;
    Ok(show_verified(&trust, &verified))
}

/// A node's answer, verified from the genesis.
pub async fn verified_supply(node: &Client, trust: &Trust) -> Result<ledger_verify::Supply, Failure> {
    let supply: doc::Supply = node.get("/v1/supply").await?;
    verdict_of(verify_supply(trust, &decode(&supply.proof)?, now_ms()))
}

fn decode(proof: &str) -> Result<StateProof, Failure> {
    let malformed = |cause: String| Failure::unverified("malformed", format!("the proof does not decode: {cause}"));
    let bytes = hex::decode(proof).map_err(|error| malformed(error.to_string()))?;
    StateProof::from_bytes(&bytes).map_err(|error| malformed(error.to_string()))
}

fn show_verified(trust: &Trust, verified: &ledger_verify::Supply) -> Outcome {
    let e = trust.genesis().exponent;
    let (issued, redeemed, live) = (verified.issued(), verified.redeemed(), verified.in_circulation());
    let signers = verified.state().signers().len();
    let text = format!(
        "issued      {} {cur}\nredeemed    {} {cur}\noutstanding {} {cur}\nverified: the central bank's log signature and {signers} validators, as of height {} ({})",
        amount::show(issued, e),
        amount::show(redeemed, e),
        amount::show(live, e),
        verified.state().height(),
        time(verified.state().time_ms()),
        cur = trust.genesis().currency,
    );
    let data = json!({ "issued": issued.to_string(), "redeemed": redeemed.to_string(), "outstanding": live.to_string(),
        "currency": trust.genesis().currency.to_string(), "exponent": e, "verified": true, "signers": signers,
        "height": verified.state().height().0, "age_ms": verified.state().age_ms(), "stale": verified.state().is_stale() });
    let outcome = Outcome::new(data, text);
    if verified.state().is_stale() { outcome.with_warning("the checkpoint is stale") } else { outcome }
}
