//! What the engine's side asks of the data plane; [`crate::plane::Plane`] answers it. Apart from it, so that the engine is tested
//! against a plane that withholds, delays and lies by a script.

use crate::plane::{ConsensusListener, Plane};
use crate::port::Tip;
use bytes::Bytes;
use futures::future::BoxFuture;
use ledger_types::block::Block;
use ledger_types::bundle::{Bundle, BundleCertificate};
use ledger_types::{Height, ParticipantNumber};
use std::sync::Arc;
use std::time::Duration;

/// Answers a request of the participant that it is given.
pub type AnswerFn = Box<dyn Fn(ParticipantNumber, Vec<u8>) -> Vec<u8> + Send + Sync>;

/// Method by method what [`Plane`] documents.
pub trait Supply: Send + Sync + 'static {
    fn candidates(&self, tip: &Tip, bytes_max: usize, certificates_max: usize) -> Vec<BundleCertificate>;
    /// None when one is missing here.
    fn bundles(&self, certificates: &[BundleCertificate]) -> Option<Vec<Arc<Bundle>>>;
    /// None when some could not be had before the deadline.
    fn fetch<'a>(
        &'a self,
        certificates: &'a [BundleCertificate],
        deadline: Duration,
    ) -> BoxFuture<'a, Option<Vec<Arc<Bundle>>>>;
    fn certificate_is_valid(&self, certificate: &BundleCertificate) -> bool;
    fn committed(&self, block: &Block, tip: Tip);
    fn height_started(&self, height: Height);
    fn has_work(&self, tip: &Tip) -> bool;
    /// Of what a block after this tip could hold, at least, in bytes.
    fn waiting_bytes(&self, tip: &Tip) -> usize;
    fn work(&self) -> BoxFuture<'_, ()>;
    fn ask_peers(
        &self,
        request: Vec<u8>,
        enough: usize,
        deadline: Duration,
    ) -> BoxFuture<'_, Vec<(ParticipantNumber, Vec<u8>)>>;
    fn answer_with(&self, answer: AnswerFn);
    fn send_consensus(&self, message: Bytes) -> bool;
    fn hear_consensus(&self, listener: ConsensusListener);
}

impl Supply for Plane {
    fn candidates(&self, tip: &Tip, bytes_max: usize, certificates_max: usize) -> Vec<BundleCertificate> {
        Plane::candidates(self, tip, bytes_max, certificates_max)
    }

    fn bundles(&self, certificates: &[BundleCertificate]) -> Option<Vec<Arc<Bundle>>> {
        Plane::bundles(self, certificates).ok()
    }

    fn fetch<'a>(
        &'a self,
        certificates: &'a [BundleCertificate],
        deadline: Duration,
    ) -> BoxFuture<'a, Option<Vec<Arc<Bundle>>>> {
        Box::pin(async move { Plane::fetch(self, certificates, deadline).await.ok() })
    }

    fn certificate_is_valid(&self, certificate: &BundleCertificate) -> bool {
        Plane::certificate_is_valid(self, certificate)
    }

    fn committed(&self, block: &Block, tip: Tip) {
        Plane::committed(self, block, tip);
    }

    fn height_started(&self, height: Height) {
        Plane::height_started(self, height);
    }

    fn has_work(&self, tip: &Tip) -> bool {
        Plane::has_work(self, tip)
    }

    fn waiting_bytes(&self, tip: &Tip) -> usize {
        Plane::waiting_bytes(self, tip)
    }

    fn work(&self) -> BoxFuture<'_, ()> {
        Box::pin(Plane::work(self))
    }

    fn ask_peers(
        &self,
        request: Vec<u8>,
        enough: usize,
        deadline: Duration,
    ) -> BoxFuture<'_, Vec<(ParticipantNumber, Vec<u8>)>> {
        Box::pin(Plane::ask_peers(self, request, enough, deadline))
    }

    fn answer_with(&self, answer: AnswerFn) {
        Plane::answer_with(self, answer);
    }

    fn send_consensus(&self, message: Bytes) -> bool {
        Plane::send_consensus(self, message)
    }

    fn hear_consensus(&self, listener: ConsensusListener) {
        Plane::hear_consensus(self, listener);
    }
}
