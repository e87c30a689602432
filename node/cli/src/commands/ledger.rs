//! What any node says of the ledger.

use super::coin::verdict_of;
use super::{table, time};
use crate::Global;
use crate::cluster::client;
use crate::outcome::{Failure, Outcome};
use ledger_types::{Decode, Height, ValidatorSetHash};
use ledger_verify::{HandOver, Trust};
use node_api::{Client, ClientError, ledger as doc};

/// G-3: from the genesis's validators to those of now, by what the node lists and this program checks. Whoever keeps one back
/// is found out by the state that names a set to which none leads.
pub fn follow_listed(trust: &mut Trust, listed: &[String]) -> Result<(), Failure> {
    verdict_of(trust.follow(&decoded(listed)?, Height(u64::MAX)))
}

/// The same offline, with the hand-overs that are kept beside a proof, to the set that the proof names. What they do not lead to is
/// named by the proof's own check.
pub fn follow_kept(trust: &mut Trust, kept: &[String], set: &ValidatorSetHash) -> Result<(), Failure> {
    for document in decoded(kept)? {
        if trust.set_hash() == *set {
            break;
        }
        verdict_of(trust.hand_over(&document))?;
    }
    Ok(())
}

/// As the node lists them; not checked.
pub async fn hand_overs(node: &Client) -> Result<Vec<HandOver>, Failure> {
    decoded(&listed_hand_overs(node).await?)
}

/// In hex, to be kept beside a proof.
pub async fn listed_hand_overs(node: &Client) -> Result<Vec<String>, Failure> {
    match node.hand_overs().await {
        Ok(answer) => Ok(answer.hand_overs),
        // A node of before there were any.
        Err(ClientError::Refused(problem)) if problem.status == 404 => Ok(Vec::new()),
        Err(error) => Err(error.into()),
    }
}

fn decoded(documents: &[String]) -> Result<Vec<HandOver>, Failure> {
    let malformed = |cause: String| Failure::unverified("malformed", format!("a hand-over does not decode: {cause}"));
    let decode = |text: &String| {
        let bytes = hex::decode(text).map_err(|error| malformed(error.to_string()))?;
        HandOver::from_bytes(&bytes).map_err(|error| malformed(error.to_string()))
    };
    documents.iter().map(decode).collect()
}

pub async fn block(global: &Global, height: u64) -> Result<Outcome, Failure> {
    let block: doc::Block = client(global, "commercial_bank")?.get(&format!("/v1/blocks/{height}")).await?;
    let rows: Vec<Vec<String>> = block
        .bundles
        .iter()
        .map(|b| {
            let submitter = if b.submitter == u16::MAX { "registration".into() } else { b.submitter.to_string() };
            vec![
                submitter,
                format!("{}/{}", b.incarnation, b.sequence),
                b.envelopes.to_string(),
                b.bytes.to_string(),
                b.digest[..16].into(),
            ]
        })
        .collect();
    let text = format!(
        "height {}  {}\nhash   {}\nround  {}  signed by {:?}\nenvelopes accepted {}, refused {}\n{}",
        block.height,
        time(block.time_ms),
        block.hash,
        block.round,
        block.signers,
        block.accepted,
        block.refused,
        table(&["submitter", "slot", "items", "bytes", "digest"], &rows)
    );
    Ok(Outcome::new(block, text))
}

pub async fn participants(global: &Global) -> Result<Outcome, Failure> {
    let answer: doc::Participants = client(global, "observer")?.get("/v1/participants").await?;
    let rows: Vec<Vec<String>> = answer
        .participants
        .iter()
        .map(|p| {
            vec![
                p.number.to_string(),
                p.name.clone(),
                p.roles.join(", "),
                p.power.to_string(),
                p.consensus_key[..16].into(),
            ]
        })
        .collect();
    let text = format!(
        "{}\nquorum: {}",
        table(&["number", "name", "roles", "power", "consensus key"], &rows),
        answer.quorum_power
    );
    Ok(Outcome::new(answer, text))
}

pub async fn status(global: &Global) -> Result<Outcome, Failure> {
    let status = client(global, "observer")?.status().await?;
    let text = format!(
        "{} ({}, participant {})\nheight {}  {}\nhash   {}\nlast commit {} ms ago, batch {}, log size {}, connected to {:?}",
        status.name,
        status.role,
        status.participant,
        status.height,
        time(status.block_time_ms),
        status.block_hash,
        status.since_commit_ms,
        status.batch,
        status.log_size,
        status.peers_connected
    );
    Ok(Outcome::new(status, text))
}
