//! `assay validators`: the set that decides, and its hand-over to another (G-3).

use super::confirm::confirm;
use super::ledger::hand_overs;
use super::regulator::Officers;
use super::{order, table};
use crate::Global;
use crate::cluster::{client, trust};
use crate::outcome::{Failure, Outcome};
use ledger_types::envelope::{ClearContext, HandOverContext};
use ledger_types::hand_over::HandOverOrder;
use ledger_types::keys::PublicKey;
use ledger_types::participant::{PARTICIPANTS_MAX, Validator, ValidatorSet};
use ledger_types::{Decode, Encode, List, ParticipantNumber, ValidatorSetHash};
use node_api::{Client, ledger as doc};
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
        /// Order without asking.
        #[arg(long)]
        yes: bool,
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
            Validators::Change { powers, officers, genesis, yes, timeout_s } => {
                let trust = trust(global, genesis.as_deref())?;
                let keys = officers.keys(global, &trust)?;
                let node = client(global, "central_bank")?;
                let before: doc::Participants = node.get("/v1/participants").await?;
                let order = incoming(&before, &powers)?;
                confirm(global, yes, "a hand-over", &announcement(&before, &order))?;
                let (number, authorizations) = (order.number, order::signatures(&keys, &order.message(trust.chain()))?);
                let context = ClearContext::HandOver(Box::new(HandOverContext { order, authorizations }));
                let core = order::core(&trust, &node, context).await?;
                let id = order::submit(&trust, &node, core).await?;
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
fn incoming(now: &doc::Participants, changes: &[(u16, u64)]) -> Result<HandOverOrder, Failure> {
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

fn announcement(now: &doc::Participants, order: &HandOverOrder) -> String {
    let power = |number: u16| order.incoming.get(ParticipantNumber(number)).map_or(0, |validator| validator.power);
    let moved = now.participants.iter().filter(|line| line.power != power(line.number));
    let moved: Vec<String> =
        moved.map(|line| format!("{} from {} to {}", line.name, line.power, power(line.number))).collect();
    format!("hand-over  {}\npower      {}", order.number, moved.join(", "))
}

/// Waits until the hand-over binds and a checkpoint names the incoming set, or until the order is refused.
async fn bound(node: &Client, id: &str, number: u32, patience: Duration) -> Result<(), Failure> {
    let deadline = tokio::time::Instant::now() + patience;
    loop {
        order::is_accepted(node, id).await?;
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
