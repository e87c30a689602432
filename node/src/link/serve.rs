//! The answering side: one stream a peer, with a bounded number of answers under way.
//!
//! A peer that opens another stream has lost the first, or pretends to: the newer one takes its place, so a peer never has more
//! than its bound of answers under way. A peer that does not take its answers loses its stream.

use super::wire::{self, Call, Reply};
use super::{Caller, Callers, LinkService, Patience};
use futures::{AsyncReadExt, AsyncWriteExt, StreamExt};
use libp2p::PeerId;
use std::collections::BTreeMap;
use std::sync::Arc;
use tokio::sync::{Semaphore, mpsc, watch};
use tokio::task::AbortHandle;

/// Answers under way on one stream; a peer with more waits.
const ANSWERS_MAX: usize = 256;

pub(super) async fn accept(
    mut incoming: libp2p_stream::IncomingStreams,
    callers: watch::Receiver<Arc<Callers>>,
    service: Arc<dyn LinkService>,
    patience: Patience,
) {
    let mut streams = tokio::task::JoinSet::new();
    let mut newest: BTreeMap<Caller, AbortHandle> = BTreeMap::new();
    while let Some((peer, stream)) = incoming.next().await {
        while streams.try_join_next().is_some() {}
        // The swarm lets nobody else in: this is a stranger by our own mistake, or under a key that was replaced meanwhile.
        let Some(caller) = callers.borrow().get(&peer).copied() else { continue };
        let served = streams.spawn(serve(stream, (peer, caller), callers.clone(), service.clone(), patience));
        if let Some(before) = newest.insert(caller, served) {
            before.abort();
        }
    }
}

async fn serve(
    stream: libp2p::Stream,
    (peer, caller): (PeerId, Caller),
    callers: watch::Receiver<Arc<Callers>>,
    service: Arc<dyn LinkService>,
    patience: Patience,
) {
    let (mut reader, mut writer) = stream.split();
    let (replies, mut replied) = mpsc::channel::<Reply>(64);
    let slots = Arc::new(Semaphore::new(ANSWERS_MAX));
    // The swarm closes the connection of a key that was replaced a moment later than it is replaced.
    let is_known = || callers.borrow().get(&peer) == Some(&caller);
    let write = async {
        while let Some(reply) = replied.recv().await {
            let mut next = Some(reply);
            // All that has gathered goes out with one flush.
            while let Some(reply) = next.take() {
                // A request may have waited for its answer for long: who asked under a key that was replaced meanwhile
                // hears nothing.
                if !is_known() {
                    return;
                }
                if let Err(error) = wire::within(patience.write, wire::write_frame(&mut writer, &reply)).await {
                    tracing::debug!(?caller, %error, "an answer is not taken: its link is closed");
                    return;
                }
                next = replied.try_recv().ok();
            }
            if wire::within(patience.write, writer.flush()).await.is_err() {
                return;
            }
        }
    };
    let read = async {
        let mut answers = tokio::task::JoinSet::new();
        loop {
            while answers.try_join_next().is_some() {}
            let slot = slots.clone().acquire_owned().await.expect("the semaphore is never closed");
            let Call { id, request } = match wire::read_frame(&mut reader).await {
                Ok(call) => call,
                Err(error) => {
                    if error.kind() == std::io::ErrorKind::InvalidData {
                        tracing::warn!(?caller, %error, "a malformed request closes its link");
                    }
                    return;
                }
            };
            if !is_known() {
                return;
            }
            let (answer, replies) = (service.answer(caller, request), replies.clone());
            answers.spawn(async move {
                let _slot = slot;
                let response = answer.await;
                let _ = replies.send(Reply { id, response }).await;
            });
        }
    };
    tokio::select! {
        () = write => {}
        () = read => {}
    }
}
