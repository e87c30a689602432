//! What a bank or a server that cheats can try, and the refusal that it meets. A bank's attack succeeds as a command only if
//! it fails as an attack.

mod lie;

use super::bench::sealing::{NewCoin, OwnCoin, Sealer};
use crate::Global;
use crate::cluster::{Cluster, Process, now_ms, trust};
use crate::outcome::{Exit, Failure, Outcome};
use ledger_types::block::Acknowledgement;
use ledger_types::coin::Opening;
use ledger_types::rejection::Rejection;
use ledger_types::{CoinId, Decode, Encode, Origin, ParticipantNumber};
use ledger_verify::{AcceptedEnvelope, Answer, CoinProof, Trust, Verdict, verify_acknowledgement, verify_coin};
use node_api::{Client, ClientError, desk, ledger as doc};
use serde_json::json;
use std::time::{Duration, Instant};

const ORDERED_WITHIN: Duration = Duration::from_secs(30);
const QUIET_WITHIN: Duration = Duration::from_secs(30);
const POLL: Duration = Duration::from_millis(100);
const EXPIRES_AFTER_MS: u64 = 40_000;

#[derive(clap::Subcommand)]
pub enum Attack {
    /// Spends a coin a second time, after a payment that spends it.
    DoubleSpend {
        #[arg(long)]
        wallet: String,
        /// Whom the first, honest payment pays: its smallest unit.
        #[arg(long)]
        to: String,
    },
    /// Seals more value than it spends. Leaves the bank overdue: its transfers are refused until
    /// registration gives the envelope up, two release deadlines later, and disputes it.
    Mint {
        #[arg(long)]
        wallet: String,
        /// Who should get the counterfeit, bob@bank3.
        #[arg(long)]
        to: String,
    },
    /// Serves an observer's answers with one lie in them, until interrupted. No bank's: anyone who runs a server can lie.
    Lie(lie::Lie),
}

/// The attacking bank, with what its own desk tells it.
struct Bank {
    number: ParticipantNumber,
    client: Client,
}

fn escaped(what: impl Into<String>) -> Failure {
    Failure::unverified("attack_not_refused", what)
}

impl Attack {
    pub async fn run(self, global: &Global) -> Result<Outcome, Failure> {
        match self {
            Attack::DoubleSpend { wallet, to } => {
                double_spend(&trust(global, None)?, &Bank::attacking(global)?, &wallet, &to).await
            }
            Attack::Mint { wallet, to } => {
                let cluster = Cluster::find(global)?;
                mint(&trust(global, None)?, &cluster, &Bank::attacking(global)?, &wallet, &to).await
            }
            Attack::Lie(lie) => lie.run(global).await,
        }
    }
}

impl Bank {
    fn attacking(global: &Global) -> Result<Bank, Failure> {
        let name = global.node.as_deref().ok_or_else(|| Failure::usage("--as BANK says which bank attacks"))?;
        let process = Cluster::find(global)?.process(name)?.clone();
        Ok(Bank { number: ParticipantNumber(process.participant), client: process.client()? })
    }

    /// The smallest first, once nothing of the wallet is under way: an earlier payment's change, or the desk's own splitting.
    async fn live_coins(&self, wallet: &str) -> Result<Vec<desk::WalletCoin>, Failure> {
        let until = Instant::now() + QUIET_WITHIN;
        loop {
            let mut coins: Vec<desk::WalletCoin> = self.client.get(&format!("/v1/wallets/{wallet}/coins")).await?;
            let under_way = coins.iter().any(|coin| matches!(coin.status.as_str(), "unconfirmed" | "reserved"));
            coins.retain(|coin| coin.status == "live");
            coins.sort_by_key(|coin| coin.amount);
            match (under_way && Instant::now() < until, coins.is_empty()) {
                (true, _) => tokio::time::sleep(POLL).await,
                (false, false) => return Ok(coins),
                (false, true) => {
                    let message = format!("the wallet {wallet} has no live coin to attack with");
                    return Err(Failure::new(Exit::Refused, "no_live_coin", message));
                }
            }
        }
    }

    async fn submit(&self, envelope: &ledger_types::envelope::Envelope) -> Result<String, Failure> {
        let submitted = self.client.submit_envelopes(vec![hex::encode(envelope.to_bytes())]).await?;
        submitted
            .envelope_ids
            .into_iter()
            .next()
            .ok_or_else(|| Failure::network("foreign_answer", "no envelope id came back"))
    }

    /// When a block holds it.
    async fn ordered(&self, id: &str) -> Result<doc::EnvelopeStatus, Failure> {
        let until = Instant::now() + ORDERED_WITHIN;
        loop {
            match self.client.envelope(id).await {
                Err(ClientError::Refused(problem)) if problem.status == 404 && Instant::now() < until => {
                    tokio::time::sleep(POLL).await;
                }
                other => return Ok(other?),
            }
        }
    }
}

fn own_coin(coin: &desk::WalletCoin) -> Result<OwnCoin, Failure> {
    let malformed =
        |cause: String| Failure::network("foreign_answer", format!("the opening of {}: {cause}", coin.coin));
    let bytes = hex::decode(&coin.opening).map_err(|error| malformed(error.to_string()))?;
    let opening = Opening::from_bytes(&bytes).map_err(|error| malformed(error.to_string()))?;
    let origin = Origin::from_hex(&coin.origin).ok_or_else(|| malformed("its origin has not 64 hex digits".into()))?;
    Ok(OwnCoin { opening, origin, output_index: coin.output_index })
}

/// What the acknowledgement proves from the genesis (B-2).
fn envelope_verdict(trust: &Trust, status: &doc::EnvelopeStatus) -> Result<Verdict<AcceptedEnvelope>, Failure> {
    let malformed =
        |cause: String| Failure::unverified("malformed", format!("the acknowledgement does not decode: {cause}"));
    let bytes = hex::decode(&status.acknowledgement).map_err(|error| malformed(error.to_string()))?;
    let acknowledgement = Acknowledgement::from_bytes(&bytes).map_err(|error| malformed(error.to_string()))?;
    if acknowledgement.result.envelope.to_string() != status.envelope_id {
        return Err(Failure::unverified("other_envelope", "the acknowledgement is of another envelope"));
    }
    Ok(verify_acknowledgement(trust, &acknowledgement))
}

/// A refusal with this rejection, whose acknowledgement does not verify.
fn is_refused(trust: &Trust, status: &doc::EnvelopeStatus, expected: Rejection) -> Result<String, Failure> {
    let verdict = envelope_verdict(trust, status)?;
    match (&status.rejection, verdict) {
        (Some(rejection), Verdict::Invalid(reason)) if rejection.number == expected.number() => Ok(format!(
            "refused at height {}: {} (rejection {})\n           its acknowledgement does not verify: {}",
            status.height,
            rejection.code,
            rejection.number,
            reason.code()
        )),
        _ => Err(escaped(format!(
            "the ledger says {} to {}, expected was {expected}",
            status.verdict, status.envelope_id
        ))),
    }
}

fn is_accepted(trust: &Trust, status: &doc::EnvelopeStatus) -> Result<(), Failure> {
    match envelope_verdict(trust, status)? {
        Verdict::Verified(_) => Ok(()),
        _ => Err(escaped(format!("the envelope {} is {}", status.envelope_id, status.verdict))),
    }
}

async fn double_spend(trust: &Trust, bank: &Bank, wallet: &str, to: &str) -> Result<Outcome, Failure> {
    let coins = bank.live_coins(wallet).await?;
    let payment =
        desk::NewPayment { from: wallet.into(), to: to.into(), amount: 1, memo: String::new(), idempotency_key: None };
    let mut payment = bank.client.pay(&payment).await?;
    let until = Instant::now() + ORDERED_WITHIN;
    while matches!(payment.state.as_str(), "pending") && Instant::now() < until {
        payment = bank.client.get(&format!("/v1/payments/{}?wait=ordered&timeout_ms=5000", payment.id)).await?;
    }
    let Some(first) = payment.envelope_id.filter(|_| !matches!(payment.state.as_str(), "pending" | "refused")) else {
        return Err(Failure::network("not_ordered", format!("the first payment is {}", payment.state)));
    };
    let content: doc::EnvelopeContent = bank.client.get(&format!("/v1/envelopes/{first}/content")).await?;
    let spent = coins.iter().find(|coin| content.inputs.contains(&coin.coin));
    let spent =
        spent.ok_or_else(|| Failure::network("no_opening", "the payment spent a coin made after the attack began"))?;
    let coin = own_coin(spent)?;
    let again = NewCoin { amount: spent.amount, bank: bank.number, owner: coin.opening.owner };
    let made = Sealer::new(trust.genesis(), bank.number, &[bank.number])?.transfer(
        &coin,
        &[again],
        now_ms() + EXPIRES_AFTER_MS,
    )?;
    let second = bank.submit(&made.envelope).await?;
    let (first_status, second_status) = (bank.ordered(&first).await?, bank.ordered(&second).await?);
    is_accepted(trust, &first_status)?;
    let refusal = is_refused(trust, &second_status, Rejection::CoinIsNotSpendable)?;
    let text = format!(
        "coin       {}\nfirst      {first}\n           accepted at height {}, acknowledgement verified\n\
         second     {second}\n           {refusal}",
        spent.coin, first_status.height
    );
    let data = json!({ "attack": "double_spend", "coin": spent.coin, "first": first_status, "second": second_status, "refused": true });
    Ok(Outcome::new(data, text))
}

async fn mint(trust: &Trust, cluster: &Cluster, bank: &Bank, wallet: &str, to: &str) -> Result<Outcome, Failure> {
    let (payee_wallet, payee_bank) =
        to.split_once('@').ok_or_else(|| Failure::usage(format!("{to} is no address such as bob@bank3")))?;
    let payee: &Process = cluster.process(payee_bank)?;
    let payee_client = payee.client()?;
    let payee_number = ParticipantNumber(payee.participant);
    if payee_number == bank.number {
        return Err(Failure::usage("the counterfeit goes to another bank"));
    }
    let payee_path = format!("/v1/wallets/{payee_wallet}");
    let balance = || payee_client.get::<desk::Wallet>(&payee_path);
    let before = balance().await?;
    let coins = bank.live_coins(wallet).await?;
    let smallest = &coins[0];
    let coin = own_coin(smallest)?;
    let counterfeit = smallest.amount.saturating_add(1_000_000);
    let mut members = [bank.number, payee_number];
    members.sort_unstable();
    let mut sealer = Sealer::new(trust.genesis(), bank.number, &members)?;
    let owner = coin.opening.owner;
    let outputs = [
        NewCoin { amount: counterfeit, bank: payee_number, owner },
        NewCoin { amount: smallest.amount, bank: bank.number, owner },
    ];
    let made = sealer.transfer(&coin, &outputs, now_ms() + EXPIRES_AFTER_MS)?;
    let envelope = bank.submit(&made.envelope).await?;
    let status = bank.ordered(&envelope).await?;
    // Validators see no amounts, so that much goes through; nothing after it does.
    is_accepted(trust, &status)?;
    let mut text = format!(
        "spent      {} of {} minor units\nsealed     {counterfeit} minor units for {to}, and {} back\n\
         ordered    {envelope} at height {}: validators see no amounts\n",
        smallest.coin, smallest.amount, smallest.amount, status.height
    );

    // The counterfeit that stays in the attacker's own custody is unconfirmed, and cannot be spent (C-3).
    let kept = made.coins.iter().find(|(_, made)| made.opening.amount.0 == smallest.amount);
    let (_, kept) = kept.ok_or_else(|| escaped("the envelope lost its second output"))?;
    let onward = NewCoin { amount: smallest.amount, bank: bank.number, owner };
    let onward = Sealer::new(trust.genesis(), bank.number, &[bank.number])?.transfer(
        kept,
        &[onward],
        now_ms() + EXPIRES_AFTER_MS,
    )?;
    let spend = bank.submit(&onward.envelope).await?;
    let spend_status = bank.ordered(&spend).await?;
    text.push_str(&format!(
        "spent on   {spend}\n           {}\n",
        is_refused(trust, &spend_status, Rejection::CoinIsNotLive)?
    ));

    let observer = cluster.with_role("observer")?.client()?;
    let deadline = Duration::from_millis(trust.genesis().release_deadline_ms) + Duration::from_secs(60);
    let until = Instant::now() + deadline;
    let minted: Vec<CoinId> = made.coins.iter().map(|(id, _)| *id).collect();
    let outcome = loop {
        let registry = observer.registry().await?;
        let statuses = statuses(trust, &observer, &minted).await?;
        if statuses.iter().any(|status| !matches!(*status, "not_registered" | "disputed")) {
            return Err(escaped(format!("a counterfeit coin is {}", statuses.join(", "))));
        }
        if statuses.iter().all(|status| *status == "disputed") {
            break "disputed";
        }
        if registry.overdue.iter().any(|overdue| overdue.envelope_id == envelope) {
            break "overdue";
        }
        if Instant::now() > until {
            return Err(Failure::network(
                "no_verdict",
                format!("registration said nothing within {deadline:?}; is it up?"),
            ));
        }
        tokio::time::sleep(Duration::from_millis(500)).await;
    };
    let after = balance().await?;
    if after.live + after.unconfirmed > before.live + before.unconfirmed {
        return Err(escaped(format!("the balance of {to} grew")));
    }
    text.push_str(&format!("payee      {to} has what it had: its bank says no success\n"));
    let ending = match outcome {
        "disputed" => "confirmed as disputed: verified".to_owned(),
        _ => format!(
            "registration never got the key and published the envelope as overdue: not_registered, verified\n\
             so now     R-1 refuses every transfer of participant {} until the key is released: the rule at work",
            bank.number
        ),
    };
    minted.iter().for_each(|coin| text.push_str(&format!("coin       {coin}\n")));
    text.push_str(&format!("           {ending}"));
    let coins: Vec<String> = minted.iter().map(CoinId::to_string).collect();
    let data = json!({ "attack": "mint", "envelope": status, "spent_on": spend_status, "outcome": outcome,
        "coins": coins, "refused": true });
    Ok(Outcome::new(data, text))
}

/// Of each coin, as the observer proves it and as it verifies here.
async fn statuses(trust: &Trust, observer: &Client, coins: &[CoinId]) -> Result<Vec<&'static str>, Failure> {
    use ledger_types::confirmation::RecordStatus;
    let mut statuses = Vec::with_capacity(coins.len());
    for coin in coins {
        let answer = observer.coin(&coin.to_string()).await?;
        let bytes = hex::decode(&answer.proof).unwrap_or_default();
        let proof =
            CoinProof::from_bytes(&bytes).map_err(|error| Failure::unverified("malformed", error.to_string()))?;
        let verified = verify_coin(trust, coin, &proof, now_ms()).verified();
        let verified = verified
            .ok_or_else(|| Failure::unverified("not_verified", format!("the proof for {coin} does not verify")))?;
        statuses.push(match verified.answer() {
            Answer::Absent => "not_registered",
            Answer::Present(record) => match record.status {
                RecordStatus::Live => "live",
                RecordStatus::Spent => "spent",
                RecordStatus::Frozen => "frozen",
                RecordStatus::Disputed => "disputed",
            },
        });
    }
    Ok(statuses)
}
