//! Envelopes: one ordered ciphertext, read by different banks.

use super::coin::verdict_of;
use super::ledger::hand_overs;
use crate::Global;
use crate::cluster::{client, trust};
use crate::outcome::{Failure, Outcome};
use ledger_types::block::Acknowledgement;
use ledger_types::{Decode, Height};
use ledger_verify::{Verdict, verify_acknowledgement};
use node_api::ledger as doc;
use serde_json::json;

#[derive(clap::Subcommand)]
pub enum Envelope {
    /// The envelope as a node stores it, beside what that node's bank can read in it.
    Show { id: String },
    /// Whether it was accepted, with the acknowledgement verified.
    Status { id: String },
}

impl Envelope {
    pub async fn run(self, global: &Global) -> Result<Outcome, Failure> {
        match self {
            Envelope::Show { id } => show(global, &id).await,
            Envelope::Status { id } => status(global, &id).await,
        }
    }
}

async fn show(global: &Global, id: &str) -> Result<Outcome, Failure> {
    let content: doc::EnvelopeContent =
        client(global, "commercial_bank")?.get(&format!("/v1/envelopes/{id}/content")).await?;
    let mut text = format!(
        "envelope   {}\nheight     {}\nkind       {} by participant {}\n",
        content.envelope_id, content.height, content.kind, content.submitter
    );
    content.inputs.iter().for_each(|coin| text.push_str(&format!("input      {coin}\n")));
    content.outputs.iter().for_each(|output| text.push_str(&format!("output     {}\n", output.coin)));
    let shown = content.ciphertext.len().min(128);
    text.push_str(&format!("ciphertext {}… ({} bytes)\n", &content.ciphertext[..shown], content.ciphertext.len() / 2));
    match &content.opened {
        Some(opened) => {
            let pretty = serde_json::to_string_pretty(opened).expect("JSON prints as JSON");
            text.push_str(&format!("plaintext  {pretty}\n"));
        }
        None => text.push_str("plaintext  this bank is no party and has no key\n"),
    }
    Ok(Outcome::new(content, text))
}

async fn status(global: &Global, id: &str) -> Result<Outcome, Failure> {
    let node = client(global, "observer")?;
    let status = node.envelope(id).await?;
    let malformed =
        |cause: String| Failure::unverified("malformed", format!("the acknowledgement does not decode: {cause}"));
    let bytes = hex::decode(&status.acknowledgement).map_err(|error| malformed(error.to_string()))?;
    let acknowledgement = Acknowledgement::from_bytes(&bytes).map_err(|error| malformed(error.to_string()))?;
    if acknowledgement.result.envelope.to_string() != id.to_lowercase() {
        return Err(Failure::unverified("other_envelope", "the acknowledgement is of another envelope"));
    }
    let mut trust = trust(global, None)?;
    // By the set that decided this height.
    let hand_overs = hand_overs(&node).await?;
    verdict_of(trust.follow(&hand_overs, Height(status.height.saturating_sub(1))))?;
    let verdict = verify_acknowledgement(&trust, &acknowledgement);
    match verdict {
        Verdict::Verified(_) => {
            let text = format!(
                "accepted at height {}\nverified: commit certificate of {} validators, and the path to the verdict",
                status.height,
                acknowledgement.certificate.precommits.len()
            );
            Ok(Outcome::new(
                json!({ "envelope_id": id, "verdict": "accepted", "height": status.height, "verified": true }),
                text,
            ))
        }
        Verdict::NotEnoughPower { have, need } => {
            Err(Failure::unverified("not_enough_power", format!("signers hold {have}, a quorum takes {need}")))
        }
        Verdict::Invalid(reason) => match status.rejection {
            Some(rejection) if reason == ledger_verify::Reason::EnvelopeRefused => {
                let message =
                    format!("{} (rejection {}), at height {}", rejection.message, rejection.number, status.height);
                Err(Failure::new(crate::outcome::Exit::Refused, &rejection.code, message))
            }
            _ => Err(Failure::unverified(reason.code(), reason.message())),
        },
    }
}
