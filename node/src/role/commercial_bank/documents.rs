//! The desk's jobs, wallets and coins as documents of the API.

use super::book::{VAULT, is_inert};
use super::desk::{Inner, Shared};
use super::job::{Job, State, Work};
use ledger_types::coin::CoinStatus;
use ledger_types::envelope::Envelope;
use ledger_types::{CoinId, Encode, EnvelopeId, ParticipantNumber};
use node_api::desk as doc;
use serde_json::{Value, json};

fn narrow(sum: u128) -> u64 {
    u64::try_from(sum).unwrap_or(u64::MAX)
}

fn coin_text(coin: &[u8; 32]) -> String {
    CoinId(*coin).to_string()
}

impl Inner {
    /// `None` for jobs that are no payments.
    pub fn payment(&self, job: &Job) -> Option<doc::Payment> {
        let (bank, to, amount) = match &job.work {
            Work::Pay { bank, to, amount, .. } | Work::Lend { bank, to, amount, .. } => (bank, to.as_str(), amount),
            Work::PayBack { bank, amount, .. } => (bank, VAULT, amount),
            _ => return None,
        };
        let bank = self.participant_name(ParticipantNumber(*bank));
        Some(doc::Payment {
            id: hex::encode(job.id),
            from: if is_inert(&job.wallet) { VAULT.to_owned() } else { job.wallet.clone() },
            to: format!("{to}@{bank}"),
            amount: *amount,
            state: job.state.as_str().into(),
            refusal: crate::http::ledger::rejection_code(job.rejection),
            reason: job.reason.clone(),
            envelope_id: job.envelope.map(hex::encode),
            coin: job.coins.first().map(coin_text),
            trace: trace(job),
        })
    }

    /// `None` for payments and for the desk's own splitting.
    pub fn operation(&self, job: &Job) -> Option<doc::Operation> {
        let kind = match job.work {
            Work::Issue { .. } => "issue",
            Work::Redeem { .. } => "redeem",
            Work::Recover { .. } => "recover",
            Work::Return { .. } => "return",
            Work::Reclaim { .. } => "reclaim",
            Work::OrderContract { .. } => "contract_order",
            Work::OrderFeed { .. } => "feed_order",
            Work::Publish { .. } => "publication",
            Work::Pay { .. } | Work::Lend { .. } | Work::PayBack { .. } | Work::Arrange { .. } => return None,
        };
        // Without change these are watched by a coin that they spend: they make none.
        let retires = matches!(job.work, Work::Redeem { .. } | Work::Return { .. } | Work::Reclaim { .. });
        let made = if retires { &[][..] } else { &job.coins[..] };
        Some(doc::Operation {
            id: hex::encode(job.id),
            kind: kind.into(),
            amount: job.amount(),
            state: job.state.as_str().into(),
            refusal: crate::http::ledger::rejection_code(job.rejection),
            reason: job.reason.clone(),
            envelope_id: job.envelope.map(hex::encode),
            coins: made.iter().map(coin_text).collect(),
        })
    }

    pub fn wallet(&self, shared: &Shared, name: &str) -> Option<doc::Wallet> {
        let sums = shared.book.sums(name)?;
        Some(doc::Wallet {
            name: name.to_owned(),
            address: format!("{name}@{}", self.participant_name(self.me)),
            live: narrow(sums.available),
            unconfirmed: narrow(sums.unconfirmed),
            reserved: narrow(sums.reserved),
            frozen_or_disputed: narrow(sums.blocked),
            coins: u32::try_from(self.wallet_coin_count(shared, name)).unwrap_or(u32::MAX),
        })
    }

    /// The coins that the desk holds one by one; untouched pre-issued ones are not listed.
    pub fn wallet_coins(shared: &Shared, name: &str) -> Option<Vec<doc::WalletCoin>> {
        let wallet = shared.book.wallets.get(name)?;
        let coins = wallet.coins.iter().filter_map(|id| shared.book.coins.get(id)).map(|coin| doc::WalletCoin {
            coin: coin.id.to_string(),
            amount: coin.amount(),
            status: match (coin.reserved, coin.status) {
                (_, CoinStatus::Frozen) => "frozen",
                (_, CoinStatus::Disputed) => "disputed",
                (Some(_), _) => "reserved",
                (None, CoinStatus::Live) => "live",
                (None, CoinStatus::Unconfirmed) => "unconfirmed",
            }
            .into(),
            owner: coin.opening.owner.to_string(),
            opening: hex::encode(coin.opening.to_bytes()),
            origin: coin.origin.to_string(),
            output_index: coin.output_index,
        });
        Some(coins.collect())
    }

    /// What a party reads in an envelope; `None` when this bank is none, or its epoch is destroyed.
    pub fn open_envelope(&self, id: &EnvelopeId, envelope: &Envelope) -> Option<Value> {
        debug_assert_eq!(*id, envelope.id(self.chain()));
        let epochs = self.epochs.of_sender(envelope.submitter());
        // The commitment is checked first, so an epoch that is not the envelope's costs two hashes.
        let (sealed, _) =
            epochs.iter().find_map(|epoch| ledger_seal::open_with_epoch(self.chain(), envelope, epoch).ok())?;
        let inputs = sealed.inputs.iter().map(
            |input| json!({ "amount": input.amount.0, "owner": input.owner.to_string(), "series": input.series.0 }),
        );
        let payee = sealed.order.as_ref().and_then(|order| order.payee_output);
        let outputs = sealed.outputs.iter().enumerate().map(|(index, output)| {
            json!({
                "amount": output.amount.0,
                "owner": output.owner.to_string(),
                "bank": self.participant_name(output.bank),
                "payee": payee.map(usize::from) == Some(index),
            })
        });
        Some(json!({
            "currency": sealed.currency.to_string(),
            "inputs": inputs.collect::<Vec<_>>(),
            "outputs": outputs.collect::<Vec<_>>(),
            "memo": String::from_utf8_lossy(&sealed.memo),
            "order_expiry_ms": sealed.order.as_ref().map(|order| order.expiry_ms),
            "order_signatures": sealed.order.as_ref().map(|order| order.signatures.len()),
            "accepted_until_ms": sealed.acceptance.as_ref().map(|acceptance| acceptance.expiry_ms),
        }))
    }
}

fn trace(job: &Job) -> Vec<doc::TraceStep> {
    let step = |row: &super::job::TraceRow| doc::TraceStep {
        step: row.step.as_str().into(),
        at_us: row.at_us,
        note: row.note.clone(),
    };
    job.trace.iter().map(step).collect()
}

/// Whether a text names a state that one can wait for.
pub(crate) fn waitable(text: &str) -> Option<State> {
    State::parse(text)
}
