//! The central bank's validator gives its registration process blocks and bundles, over the link.
//!
//! Registration believes none of it: it verifies certificate, digests and results itself.

use crate::ledger::{LedgerError, LedgerView};
use crate::link::{BlockDocument, LinkRefusal, Response};
use ledger_types::{BundleDigest, Encode, Height};
use std::collections::HashMap;
use std::sync::{Arc, Mutex};
use std::time::Duration;

const WAIT_MAX_MS: u32 = 20_000;
const BLOCKS_MAX: u32 = 64;
/// One answer stays below a frame: a block of the largest size (B-11) goes alone.
const ANSWER_BYTES: usize = 2 << 20;
const DIGESTS_MAX: usize = 65_536;
/// Registration asks for heights before it has booked the ones before: a handful, of which it asks again after a crash.
const ASKED_AHEAD: u64 = 64;

#[derive(Clone)]
pub(crate) struct Blocks {
    view: LedgerView,
    /// Heights of the bundles in blocks that were asked for: a bundle is asked for after its block.
    heights: Arc<Mutex<HashMap<BundleDigest, Height>>>,
    /// The height that it asked for last.
    asked: Arc<Mutex<Option<Height>>>,
}

fn failed(error: impl std::fmt::Display) -> Response {
    tracing::error!(%error, "cannot read a height for registration");
    Response::Refused(LinkRefusal::new("internal", "the validator cannot read its blocks"))
}

impl Blocks {
    pub fn new(view: LedgerView) -> Self {
        Blocks { view, heights: Arc::default(), asked: Arc::default() }
    }

    /// Registration has booked every height before this one. None until it has asked, since this process began.
    pub fn needed_from(&self) -> Option<Height> {
        let asked = (*self.asked.lock().expect("no holder of the height panics"))?;
        Some(Height(asked.0.saturating_sub(ASKED_AHEAD)))
    }

    pub async fn follow(&self, from: u64, max: u32, wait_ms: u32) -> Response {
        let from = Height(from.max(1));
        *self.asked.lock().expect("no holder of the height panics") = Some(from);
        let mut heights = self.view.heights();
        let wait = Duration::from_millis(wait_ms.min(WAIT_MAX_MS).into());
        let tip = match tokio::time::timeout(wait, heights.wait_for(|tip| *tip >= from)).await {
            Ok(Ok(tip)) => *tip,
            _ => return Response::Blocks(Vec::new()),
        };
        let this = self.clone();
        let read = tokio::task::spawn_blocking(move || this.read(from, tip, max.clamp(1, BLOCKS_MAX)));
        read.await.expect("reading blocks does not panic")
    }

    fn read(&self, from: Height, tip: Height, max: u32) -> Response {
        let mut documents = Vec::new();
        let mut bytes = 0;
        let mut height = from;
        while height <= tip && documents.len() < max as usize && bytes < ANSWER_BYTES {
            let (decided, codes) = match self.view.decided(height) {
                Ok(Some(found)) => found,
                Ok(None) => break,
                Err(error @ LedgerError::NotHeld { .. }) => {
                    tracing::error!(%error, "registration asks for what is not held here");
                    return Response::Refused(LinkRefusal::new("not_held", error.to_string()));
                }
                Err(error) => return failed(error),
            };
            self.remember(height, decided.block.certificates.iter().map(|c| c.digest(self.view.chain())));
            let hand_over = match self.view.hand_over_of(height) {
                Ok(hand_over) => hand_over.map(|hand_over| hand_over.to_bytes()),
                Err(error) => return failed(error),
            };
            let (block, certificate) = (decided.block.to_bytes(), decided.certificate.to_bytes());
            let document = BlockDocument { block, certificate, codes, hand_over };
            bytes += document.block.len() + document.certificate.len() + 2 * document.codes.len();
            if bytes > ANSWER_BYTES && !documents.is_empty() {
                break;
            }
            documents.push(document);
            height = height.next();
        }
        Response::Blocks(documents)
    }

    fn remember(&self, height: Height, digests: impl Iterator<Item = BundleDigest>) {
        let mut heights = self.heights.lock().expect("no holder of the digests panics");
        if heights.len() > DIGESTS_MAX {
            heights.clear();
        }
        heights.extend(digests.map(|digest| (digest, height)));
    }

    pub async fn bundle(&self, digest: [u8; 32]) -> Response {
        let digest = BundleDigest(digest);
        let height = self.heights.lock().expect("no holder of the digests panics").get(&digest).copied();
        let Some(height) = height else {
            return Response::Refused(LinkRefusal::new("bundle_unknown", "ask for the bundle's block first"));
        };
        let view = self.view.clone();
        let read = tokio::task::spawn_blocking(move || match view.committed_at_height(height) {
            Ok(committed) => match committed.bundles.iter().find(|bundle| bundle.digest() == digest) {
                Some(bundle) => Response::Bundle(bundle.to_bytes()),
                None => Response::Refused(LinkRefusal::new("bundle_unknown", "the block does not hold it")),
            },
            Err(error) => failed(error),
        });
        read.await.expect("reading a bundle does not panic")
    }
}
