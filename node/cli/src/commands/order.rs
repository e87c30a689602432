//! Envelopes of the officers that seal nothing and move no money: orders about the ledger itself, and requests.

use crate::cluster::now_ms;
use crate::outcome::{Exit, Failure};
use ledger_types::envelope::*;
use ledger_types::keys::SigningKey;
use ledger_types::{ContractNumber, Encode, EnvelopeHint, KeyCommitment, List, ParticipantNumber, Salt};
use ledger_verify::Trust;
use node_api::Client;
use rand::RngCore;

/// Half of the expiry window from now on.
pub async fn core(trust: &Trust, node: &Client, context: ClearContext) -> Result<Core, Failure> {
    let mut salt = [0; 32];
    rand::rngs::OsRng.fill_bytes(&mut salt);
    Ok(Core {
        submitter: ParticipantNumber(node.status().await?.participant),
        inputs: Inputs::Spends(List::empty()),
        outputs: List::empty(),
        contract: ContractNumber(0),
        expiry_ms: now_ms() + trust.genesis().expiry_window_ms / 2,
        bucket: Bucket::None,
        hint: EnvelopeHint([0; 16]),
        salt: Salt(salt),
        context,
    })
}

/// `keys`: of officers, with their index in the genesis.
pub fn signatures(keys: &[(u8, SigningKey)], message: &[u8]) -> Result<OfficerSignatures, Failure> {
    let sign = |(officer, key): &(u8, SigningKey)| OfficerSignature { officer: *officer, signature: key.sign(message) };
    List::new(keys.iter().map(sign).collect()).map_err(|_| Failure::usage("a genesis has at most sixteen officers"))
}

/// Its id, once the node has taken it.
pub async fn submit(trust: &Trust, node: &Client, core: Core) -> Result<String, Failure> {
    let envelope =
        Envelope { header: EnvelopeHeader { core, commitment: KeyCommitment::ZERO }, ciphertext: Vec::new() };
    node.submit_envelopes(vec![hex::encode(envelope.to_bytes())]).await?;
    Ok(envelope.id(trust.chain()).to_string())
}

/// Whether a block has accepted it yet; a refusal is the failure.
pub async fn is_accepted(node: &Client, id: &str) -> Result<bool, Failure> {
    let Ok(status) = node.envelope(id).await else { return Ok(false) };
    match status.rejection {
        Some(refused) => Err(Failure::new(Exit::Refused, &refused.code, refused.message)),
        None => Ok(true),
    }
}
