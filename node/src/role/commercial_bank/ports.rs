//! What the desk needs of the world around it: the ledger as it stands, the own lane, and the other banks.

use crate::ledger::LedgerView;
use crate::link::{LinkError, Links, Request, Response};
use crate::start::Submitter;
use futures::future::BoxFuture;
use ledger_state::{Ledger, Rules};
use ledger_types::coin::Coin;
use ledger_types::envelope::Envelope;
use ledger_types::{CoinId, ParticipantNumber};
use std::sync::{Arc, OnceLock};
use std::time::Duration;

pub(crate) trait Ports: Send + Sync + 'static {
    fn rules(&self) -> &Rules;
    /// The small state at the tip.
    fn ledger(&self) -> Arc<Ledger>;
    /// As the ledger has them now; `Err` says why they cannot be read.
    fn coins(&self, ids: &[CoinId]) -> Result<Vec<Option<Coin>>, String>;
    /// Into the own lane. `Err` says why not yet: nothing of it was taken.
    fn submit(&self, envelopes: Vec<Envelope>) -> BoxFuture<'static, Result<(), String>>;
    fn call(
        &self,
        peer: ParticipantNumber,
        request: Request,
        deadline: Duration,
    ) -> BoxFuture<'static, Result<Response, LinkError>>;
    /// Those whom this bank can call.
    fn peers(&self) -> Vec<ParticipantNumber>;
}

/// The node's own.
pub(crate) struct NodePorts {
    pub view: LedgerView,
    pub submit: Submitter,
    /// Set once the links run: they serve the desk, so the desk exists first.
    pub links: OnceLock<Arc<Links>>,
}

impl Ports for NodePorts {
    fn rules(&self) -> &Rules {
        self.view.rules()
    }

    fn ledger(&self) -> Arc<Ledger> {
        self.view.ledger()
    }

    fn coins(&self, ids: &[CoinId]) -> Result<Vec<Option<Coin>>, String> {
        self.view.coins(ids).map_err(|error| error.to_string())
    }

    fn submit(&self, envelopes: Vec<Envelope>) -> BoxFuture<'static, Result<(), String>> {
        let submit = self.submit.clone();
        Box::pin(async move { submit.envelopes(envelopes).await.map_err(|refused| refused.to_string()) })
    }

    fn call(
        &self,
        peer: ParticipantNumber,
        request: Request,
        deadline: Duration,
    ) -> BoxFuture<'static, Result<Response, LinkError>> {
        let links = self.links.get().cloned();
        Box::pin(async move {
            match links {
                Some(links) => links.call(peer, request, deadline).await,
                None => Err(LinkError::UnknownPeer(peer)),
            }
        })
    }

    fn peers(&self) -> Vec<ParticipantNumber> {
        self.links.get().map(|links| links.peers().collect()).unwrap_or_default()
    }
}
