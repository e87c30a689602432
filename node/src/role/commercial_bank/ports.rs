//! What the desk needs of the world around it: the ledger as it stands, the own lane, and the other banks.

use crate::ledger::LedgerView;
use crate::link::{LinkError, Links, Request, Response};
use crate::reconciliation::words::Registered;
use crate::role::registration::reconciling::registered;
use crate::start::Submitter;
use futures::future::BoxFuture;
use ledger_state::{Ledger, PolicyAtHeight, Rules};
use ledger_types::coin::Coin;
use ledger_types::confirmation::Record;
use ledger_types::contract::OpenObligation;
use ledger_types::envelope::Envelope;
use ledger_types::{CoinId, Encode, EnvelopeId, ObligationId, ParticipantNumber, PolicyHash};
use ledger_verify::{CoinProof, Trust, Verdict, verify_coin};
use std::sync::{Arc, OnceLock};
use std::time::Duration;

pub(crate) trait Ports: Send + Sync + 'static {
    fn rules(&self) -> &Rules;
    /// The small state at the tip.
    fn ledger(&self) -> Arc<Ledger>;
    /// As the ledger has them now; `Err` says why they cannot be read.
    fn coins(&self, ids: &[CoinId]) -> Result<Vec<Option<Coin>>, String>;
    /// The coin's record, as this node's own replica has it at the tip.
    fn record(&self, coin: &CoinId) -> Result<Option<Record>, String>;
    /// What the registry says of it as of the newest checkpoint: its proof was checked from the genesis.
    fn registered(&self, coin: &CoinId) -> Result<Registered, String>;
    /// That proof, as bytes for others.
    fn coin_proof(&self, coin: &CoinId) -> Result<Vec<u8>, String>;
    /// A loan that is not returned, as the ledger has it at the tip.
    fn obligation(&self, id: &ObligationId) -> Result<Option<OpenObligation>, String>;
    /// A deployed policy with what its feeds say at the tip.
    fn policy(&self, policy: &PolicyHash) -> Result<PolicyAtHeight, String>;
    /// As it was ordered.
    fn envelope(&self, id: &EnvelopeId) -> Result<Option<Envelope>, String>;
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
    /// From the genesis.
    pub trust: Trust,
    /// Set once the links run: they serve the desk, so the desk exists first.
    pub links: OnceLock<Arc<Links>>,
}

impl NodePorts {
    fn prove(&self, coin: &CoinId) -> Result<CoinProof, String> {
        let proved = self.view.prove_coin(*coin).map_err(|error| error.to_string())?;
        proved.map(|(_, proof)| proof).ok_or_else(|| "no checkpoint is complete yet".into())
    }
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

    fn record(&self, coin: &CoinId) -> Result<Option<Record>, String> {
        self.view.record(coin).map_err(|error| error.to_string())
    }

    fn registered(&self, coin: &CoinId) -> Result<Registered, String> {
        let proof = self.prove(coin)?;
        let mut trust = self.trust.clone();
        let hand_overs = self.view.hand_overs().map_err(|error| error.to_string())?;
        let _ = trust.follow(&hand_overs, proof.state.state_leaf.height);
        match verify_coin(&trust, coin, &proof, crate::clock::now_ms()) {
            Verdict::Verified(verified) => Ok(registered(verified.answer())),
            other => Err(format!("this node's own proof does not verify: {other:?}")),
        }
    }

    fn coin_proof(&self, coin: &CoinId) -> Result<Vec<u8>, String> {
        Ok(self.prove(coin)?.to_bytes())
    }

    fn obligation(&self, id: &ObligationId) -> Result<Option<OpenObligation>, String> {
        self.view.obligation(id).map_err(|error| error.to_string())
    }

    fn policy(&self, policy: &PolicyHash) -> Result<PolicyAtHeight, String> {
        self.view.policy(policy).map_err(|error| error.to_string())
    }

    fn envelope(&self, id: &EnvelopeId) -> Result<Option<Envelope>, String> {
        let found = self.view.envelope(id).map_err(|error| error.to_string())?;
        Ok(found.map(|(_, envelope)| envelope))
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
