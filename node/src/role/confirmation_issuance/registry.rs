//! What confirmation issuance asks of its validator.

use ledger_types::bundle::{Bundle, Slot};
use ledger_types::{BatchHash, BatchNumber, Encode, EnvelopeId, ParticipantNumber};
use node_api::client::{Client, ClientError};
use std::future::Future;

/// The last accepted batch.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct RegistryTip {
    pub number: BatchNumber,
    pub hash: BatchHash,
    pub height: u64,
}

/// What blocks say of a bundle's only item.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Verdict {
    NotOrdered,
    Accepted,
    Refused(u16),
}

#[derive(Debug, thiserror::Error)]
pub enum RegistryError {
    /// The validator is away, busy or not ready: it is asked again.
    #[error("{0}")]
    NoAnswer(String),
    /// It does not take the bundle in this slot.
    #[error("{0}")]
    NotTaken(String),
}

/// The validator. Its answers are not proved: it is the central bank's own.
pub trait Registry: Send + Sync {
    fn tip(&self) -> impl Future<Output = Result<RegistryTip, RegistryError>> + Send;
    /// The next free slot of the registration lane, after everything that the validator knows of.
    fn slot(&self) -> impl Future<Output = Result<Slot, RegistryError>> + Send;
    fn submit(&self, bundle: &Bundle) -> impl Future<Output = Result<(), RegistryError>> + Send;
    fn verdict(&self, item: &EnvelopeId) -> impl Future<Output = Result<Verdict, RegistryError>> + Send;
}

pub struct HttpRegistry {
    client: Client,
}

impl HttpRegistry {
    pub fn new(base: &str) -> Self {
        HttpRegistry { client: Client::new(base, None) }
    }
}

fn no_answer(error: ClientError) -> RegistryError {
    RegistryError::NoAnswer(error.to_string())
}

impl Registry for HttpRegistry {
    async fn tip(&self) -> Result<RegistryTip, RegistryError> {
        let registry = self.client.registry().await.map_err(no_answer)?;
        let hash = BatchHash::from_hex(&registry.batch_hash);
        let hash = hash.ok_or_else(|| RegistryError::NoAnswer("the batch hash is no hash".into()))?;
        Ok(RegistryTip { number: BatchNumber(registry.batch), hash, height: registry.height })
    }

    async fn slot(&self) -> Result<Slot, RegistryError> {
        let lane = self.client.lane(ParticipantNumber::REGISTRATION.0).await.map_err(no_answer)?;
        let submitter = ParticipantNumber::REGISTRATION;
        Ok(Slot { submitter, incarnation: lane.incarnation, sequence: lane.sequence })
    }

    async fn submit(&self, bundle: &Bundle) -> Result<(), RegistryError> {
        match self.client.submit_bundle(bundle.to_bytes()).await {
            Ok(_) => Ok(()),
            // Says nothing about the slot: the validator has no room, or this caller asks too often.
            Err(ClientError::Refused(problem)) if matches!(problem.status, 429 | 503) => {
                Err(RegistryError::NoAnswer(problem.to_string()))
            }
            Err(ClientError::Refused(problem)) => Err(RegistryError::NotTaken(problem.to_string())),
            Err(error) => Err(no_answer(error)),
        }
    }

    async fn verdict(&self, item: &EnvelopeId) -> Result<Verdict, RegistryError> {
        match self.client.batch(&item.to_string()).await {
            Ok(status) if status.verdict == "accepted" => Ok(Verdict::Accepted),
            Ok(status) => {
                let unnumbered = || RegistryError::NoAnswer("a refusal without its number".into());
                Ok(Verdict::Refused(status.rejection.ok_or_else(unnumbered)?.number))
            }
            Err(ClientError::Refused(problem)) if problem.status == 404 => Ok(Verdict::NotOrdered),
            Err(error) => Err(no_answer(error)),
        }
    }
}
