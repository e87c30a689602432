//! `assay validators`: the set that decides, and its hand-over to another (G-3).

use super::ledger::hand_overs;
use super::regulator::Officers;
use super::table;
use crate::Global;
use crate::cluster::{client, now_ms, trust};
use crate::outcome::{Exit, Failure, Outcome};
use ledger_types::envelope::*;
use ledger_types::hand_over::HandOverOrder;
use ledger_types::keys::PublicKey;
use ledger_types::participant::{PARTICIPANTS_MAX, Validator, ValidatorSet};
use ledger_types::{
    ContractNumber, Decode, Encode, EnvelopeHint, KeyCommitment, List, ParticipantNumber, Salt, ValidatorSetHash,
};
use ledger_verify::Trust;
use node_api::{Client, ledger as doc};
use rand::RngCore;
use std::collections::BTreeMap;
use std::path::PathBuf;
use std::time::Duration;

const ASK_EVERY: Duration = Duration::from_millis(250);

#[derive(clap::Subcommand)]
pub enum Validators {
    /// Who decides the next height, and the hand-over that is under way.
    Show,
    /// Order a hand-over, and wait until it binds. Moves less than a third of the power.
    Change {
        /// A participant's number and its power from then on; 0 takes it out of the set.
        #[arg(value_name = "NUMBER=POWER", required = true, value_parser = power)]
        powers: Vec<(u16, u64)>,
        #[command(flatten)]
        officers: Officers,
        #[arg(long, value_name = "FILE")]
        genesis: Option<PathBuf>,
        #[arg(long, default_value_t = 90)]
        timeout_s: u64,
    },
}

impl Validators {
    pub async fn run(self, global: &Global) -> Result<Outcome, Failure> {
        match self {
            Validators::Show => {
                let answer = client(global, "observer")?.get("/v1/participants").await?;
                Ok(show(answer))
            }
            Validators::Change { powers, officers, genesis, timeout_s } => {
                let trust = trust(global, genesis.as_deref())?;
                let keys = officers.keys(global, &trust)?;
                let node = client(global, "central_bank")?;
                let before: doc::Participants = node.get("/v1/participants").await?;
                let order = order(&before, &powers)?;
                let message = order.message(trust.chain());
                let signed = keys
                    .iter()
                    .map(|(officer, key)| OfficerSignature { officer: *officer, signature: key.sign(&message) });
                let authorizations = List::new(signed.collect())
                    .map_err(|_| Failure::usage("a genesis has at most sixteen officers"))?;
                let number = order.number;
                let envelope = envelope(&trust, &node, HandOverContext { order, authorizations }).await?;
                node.submit_envelopes(vec![hex::encode(envelope.to_bytes())]).await?;
                let id = envelope.id(trust.chain()).to_string();
                bound(&node, &id, number, Duration::from_secs(timeout_s)).await?;
                // As a reader of the public log would follow it.
                let mut trust = trust;
                let shown = hand_overs(&node).await?;
                super::coin::verdict_of(trust.follow(&shown, ledger_types::Height(u64::MAX)))?;
                Ok(show(node.get("/v1/participants").await?))
            }
        }
    }
}

fn power(text: &str) -> Result<(u16, u64), String> {
    let read = |(number, power): (&str, &str)| Some((number.parse().ok()?, power.parse().ok()?));
    text.split_once('=').and_then(read).ok_or_else(|| format!("{text} is not NUMBER=POWER"))
}

/// The set that decides now with these changes, under the next number.
fn order(now: &doc::Participants, changes: &[(u16, u64)]) -> Result<HandOverOrder, Failure> {
    let mut powers: BTreeMap<u16, u64> = now.participants.iter().map(|line| (line.number, line.power)).collect();
    for (number, power) in changes {
        let known = powers.get_mut(number);
        *known.ok_or_else(|| Failure::usage(format!("participant {number} is not in the directory")))? = *power;
    }
    let malformed = || Failure::unverified("malformed", "the node's list of participants does not decode");
    let key = |text: &str| PublicKey::from_hex(text).ok_or_else(malformed);
    let mut validators = Vec::new();
    for line in now.participants.iter().filter(|line| powers[&line.number] > 0) {
        validators.push(Validator {
            number: ParticipantNumber(line.number),
            power: powers[&line.number],
            consensus: key(&line.consensus_key)?,
            bundle: key(&line.bundle_key)?,
            cosign: key(&line.cosign_key)?,
        });
    }
    let list: List<Validator, PARTICIPANTS_MAX> = List::new(validators).map_err(|_| malformed())?;
    let incoming = ValidatorSet::from_bytes(&list.to_bytes())
        .map_err(|error| Failure::usage(format!("that is no validator set: {error}")))?;
    let outgoing = ValidatorSetHash::from_hex(&now.set_hash).ok_or_else(malformed)?;
    Ok(HandOverOrder { number: now.hand_overs + 1, outgoing, incoming })
}

async fn envelope(trust: &Trust, node: &Client, context: HandOverContext) -> Result<Envelope, Failure> {
    let mut salt = [0; 32];
    rand::rngs::OsRng.fill_bytes(&mut salt);
    let core = Core {
        submitter: ParticipantNumber(node.status().await?.participant),
        inputs: Inputs::Spends(List::empty()),
        outputs: List::empty(),
        contract: ContractNumber(0),
        expiry_ms: now_ms() + trust.genesis().expiry_window_ms / 2,
        bucket: Bucket::None,
        hint: EnvelopeHint([0; 16]),
        salt: Salt(salt),
        context: ClearContext::HandOver(Box::new(context)),
    };
    Ok(Envelope { header: EnvelopeHeader { core, commitment: KeyCommitment::ZERO }, ciphertext: Vec::new() })
}

/// Waits until the hand-over binds and a checkpoint names the incoming set, or until the order is refused.
async fn bound(node: &Client, id: &str, number: u32, patience: Duration) -> Result<(), Failure> {
    let deadline = tokio::time::Instant::now() + patience;
    loop {
        if let Ok(status) = node.envelope(id).await
            && let Some(refused) = status.rejection
        {
            return Err(Failure::new(Exit::Refused, &refused.code, refused.message));
        }
        let now: doc::Participants = node.get("/v1/participants").await?;
        if now.hand_overs >= number {
            return Ok(());
        }
        if tokio::time::Instant::now() >= deadline {
            let message = "the order was submitted, and the hand-over does not bind yet";
            return Err(Failure::network("not_bound_yet", message)
                .with_help("a batch of registration logs it: is confirmation-issuance up? `assay validators show`"));
        }
        tokio::time::sleep(ASK_EVERY).await;
    }
}

fn show(answer: doc::Participants) -> Outcome {
    let incoming = |number: u16| {
        let pending = answer.pending_hand_over.as_ref()?;
        let of = pending.incoming.iter().find(|validator| validator.participant == number);
        Some(of.map_or(0, |validator| validator.power).to_string())
    };
    let is_shown = |line: &&doc::Participant| line.power > 0 || incoming(line.number).is_some_and(|power| power != "0");
    let rows: Vec<Vec<String>> = answer
        .participants
        .iter()
        .filter(is_shown)
        .map(|line| {
            let next = incoming(line.number).unwrap_or_default();
            vec![line.number.to_string(), line.name.clone(), line.power.to_string(), next]
        })
        .collect();
    let next = match &answer.pending_hand_over {
        None => "none under way".to_owned(),
        Some(pending) => match pending.binds_at {
            Some(height) => format!("hand-over {} binds at height {height}", pending.number),
            None => format!("hand-over {} waits for a batch", pending.number),
        },
    };
    let text = format!(
        "{}\nquorum: {}, hand-overs: {}, {next}",
        table(&["number", "name", "power", "power to come"], &rows),
        answer.quorum_power,
        answer.hand_overs
    );
    Outcome::new(answer, text)
}
