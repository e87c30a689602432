//! What other banks and registration may ask of the desk.

use super::accept::{Acceptance, OrderToAccept};
use super::desk::Inner;
use super::rows::{KeptRow, Table, VerdictRow};
use crate::link::{Caller, LinkRefusal, LinkService, Request, Response, SuccessState};
use futures::future::BoxFuture;
use ledger_types::keys::{PublicKey, Signature};
use ledger_types::order::Order;
use ledger_types::{CoinId, ContractNumber, Decode, EnvelopeId, ParticipantNumber, SeriesNumber, Terms};
use std::sync::{Arc, Weak};
use std::time::Duration;

const SUCCESS_WAIT_MAX_MS: u32 = 20_000;

/// Holds the desk weakly: the desk holds the links, and the links hold this.
pub(crate) struct DeskService {
    pub desk: Weak<Inner>,
    /// The central bank's validator also gives registration its blocks.
    pub blocks: Option<crate::role::central_bank::Blocks>,
}

impl LinkService for DeskService {
    fn answer(&self, caller: Caller, request: Request) -> BoxFuture<'static, Response> {
        let (desk, blocks) = (self.desk.upgrade(), self.blocks.clone());
        Box::pin(async move {
            match (desk, blocks, caller, request) {
                (_, Some(blocks), Caller::Registration, Request::FollowBlocks { from, max, wait_ms }) => {
                    blocks.follow(from, max, wait_ms).await
                }
                (_, Some(blocks), Caller::Registration, Request::Bundle { digest }) => blocks.bundle(digest).await,
                (Some(desk), _, caller, request) => desk.answer(caller, request).await,
                (None, ..) => refused("stopping", "the desk stops"),
            }
        })
    }
}

fn refused(code: &str, detail: impl Into<String>) -> Response {
    Response::Refused(LinkRefusal::new(code, detail))
}

fn response(acceptance: Result<Acceptance, LinkRefusal>) -> Response {
    match acceptance {
        Ok(Acceptance { coins, expiry_ms, signature }) => {
            Response::Accepted { coins, expiry_ms, signature: signature.0.to_vec() }
        }
        Err(refusal) => Response::Refused(refusal),
    }
}

impl Inner {
    pub async fn answer(self: Arc<Self>, caller: Caller, request: Request) -> Response {
        match (caller, request) {
            (Caller::Registration, Request::TakeReleases { after, max, wait_ms }) => {
                self.take_releases(after, max, wait_ms).await
            }
            (Caller::Registration, Request::AckReleases { up_to }) => self.ack_releases(up_to).await,
            (Caller::Registration, Request::Reconcile(question)) => self.answer_reconciliation(question).await,
            (Caller::Participant(bank), Request::OfferEpoch { offer }) => {
                match self.epochs.accept(&self.rows, &*self.ports, &self.journal, bank, &offer).await {
                    Ok(signature) => Response::EpochAcked { signature: signature.0.to_vec() },
                    Err(refusal) => Response::Refused(refusal),
                }
            }
            (Caller::Participant(_), Request::Invoice { wallet, amount, nonce }) => {
                match self.invoice(caller, &wallet, amount, &nonce).await {
                    Ok(invoice) => Response::Invoice(invoice),
                    Err(refusal) => Response::Refused(refusal),
                }
            }
            (Caller::Participant(_), Request::Accept { order, signatures, input_owners, series, invoice }) => {
                let Ok(order) = Order::from_bytes(&order) else {
                    return refused("order_malformed", "the order does not decode");
                };
                let signatures: Result<Vec<Signature>, _> =
                    signatures.iter().map(|bytes| Signature::from_bytes(bytes)).collect();
                let Ok(signatures) = signatures else { return refused("order_malformed", "a signature has 64 bytes") };
                let input_owners = input_owners.into_iter().map(PublicKey).collect();
                let series = SeriesNumber(series);
                response(self.accept(caller, OrderToAccept { order, signatures, input_owners, series, invoice }).await)
            }
            (Caller::Participant(_), Request::AcceptIssue { series, issue_number, amounts, contract, terms }) => {
                let under = (ContractNumber(contract), Terms(terms));
                response(self.accept_issue(caller, SeriesNumber(series), issue_number, &amounts, under).await)
            }
            (Caller::Participant(bank), Request::AwaitSuccess { envelope, wait_ms }) => {
                self.success(bank, EnvelopeId(envelope), wait_ms).await
            }
            (Caller::Participant(bank), Request::OpeningFor { coin }) => self.opening_for(bank, CoinId(coin)),
            _ => refused("not_served", "this request is not for this bank, or not from you"),
        }
    }

    /// Only the payer's bank is told, and only what is durable here.
    async fn success(&self, asks: ParticipantNumber, envelope: EnvelopeId, wait_ms: u32) -> Response {
        let mut processed = self.processed.subscribe();
        let look = async {
            loop {
                processed.borrow_and_update();
                match self.verdict(&envelope) {
                    Ok(Some(row)) if row.submitter == asks.0 => return Some(row),
                    Ok(_) => {}
                    Err(error) => tracing::error!(%error, "cannot read a verdict"),
                }
                if processed.changed().await.is_err() {
                    return None;
                }
            }
        };
        let wait = Duration::from_millis(wait_ms.min(SUCCESS_WAIT_MAX_MS).into());
        let state = match tokio::time::timeout(wait, look).await {
            Ok(Some(VerdictRow { failed_check: 0, .. })) => SuccessState::Good,
            Ok(Some(row)) => SuccessState::NotGood(row.failed_check),
            Ok(None) | Err(_) => SuccessState::NotYet,
        };
        Response::Success(state)
    }

    fn verdict(&self, envelope: &EnvelopeId) -> Result<Option<VerdictRow>, super::rows::RowError> {
        if let Some(row) = self.shared().verdicts.get(envelope) {
            return Ok(Some(*row));
        }
        self.rows.get(Table::Verdicts, &envelope.0)
    }

    /// For a recovery: the central bank may know any coin that it can recover; nobody else may ask.
    fn opening_for(&self, asks: ParticipantNumber, coin: CoinId) -> Response {
        if asks != self.ports.ledger().directory.central_bank().number {
            return refused("not_the_central_bank", "only the central bank may ask for an opening");
        }
        match self.known_opening(&coin) {
            Ok(Some(KeptRow { opening, origin, output_index })) => Response::Opening { opening, origin, output_index },
            Ok(None) => refused("coin_unknown", "this bank does not know the coin"),
            Err(error) => {
                tracing::error!(%error, "cannot read a kept opening");
                refused("internal", "the desk cannot read its rows")
            }
        }
    }
}
