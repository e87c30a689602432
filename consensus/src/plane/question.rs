//! Questions to the other validators and their answers (B-9): small, rare, and for the engine to interpret.

use super::peer::Peer;
use super::shared::{Shared, lock};
use super::wire::{Frame, Question};
use bytes::Bytes;
use ledger_types::{Octets, ParticipantNumber};
use std::collections::{BTreeMap, HashMap};
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};
use tokio::sync::Notify;

/// A peer that was not up, or had nobody to answer yet, is asked again.
const ASK_AGAIN: Duration = Duration::from_millis(500);

pub(super) type Answerer = dyn Fn(ParticipantNumber, Vec<u8>) -> Vec<u8> + Send + Sync;

pub(super) struct Questions {
    next: AtomicU64,
    open: Mutex<HashMap<u64, Open>>,
    answerer: Mutex<Option<Arc<Answerer>>>,
}

struct Open {
    frame: Bytes,
    answers: BTreeMap<ParticipantNumber, Vec<u8>>,
    news: Arc<Notify>,
}

/// Closes the question when the asking is dropped.
struct Asking<'a> {
    questions: &'a Questions,
    id: u64,
}

impl Drop for Asking<'_> {
    fn drop(&mut self) {
        lock(&self.questions.open).remove(&self.id);
    }
}

impl Questions {
    /// A restarted node must not take an answer to its former self for one to itself, so its ids start elsewhere.
    #[expect(clippy::disallowed_methods, reason = "a number that grows over restarts, never compared with a time")]
    pub fn new() -> Self {
        let since_epoch = std::time::SystemTime::now().duration_since(std::time::UNIX_EPOCH).unwrap_or_default();
        let next = AtomicU64::new(since_epoch.as_micros() as u64);
        Questions { next, open: Mutex::default(), answerer: Mutex::new(None) }
    }

    pub fn answer_with(&self, answerer: Arc<Answerer>) {
        *lock(&self.answerer) = Some(answerer);
    }

    /// An answer to a question that nobody asked, or a second one, is dropped.
    pub fn answered(&self, from: ParticipantNumber, answer: Question) {
        if let Some(open) = lock(&self.open).get_mut(&answer.id) {
            open.answers.entry(from).or_insert_with(|| answer.bytes.to_vec());
            open.news.notify_one();
        }
    }

    /// A peer has a fresh stream: it may not have heard what is still open.
    pub fn repeat_to(&self, shared: &Shared, peer: &Peer) {
        if shared.pool().tip().validators.get(peer.number).is_none() {
            return;
        }
        for open in lock(&self.open).values() {
            if !open.answers.contains_key(&peer.number) {
                shared.send(peer, open.frame.clone());
            }
        }
    }
}

impl Shared {
    /// Asks the other validators until `enough` of them have answered, or the deadline.
    pub async fn ask(&self, request: Vec<u8>, enough: usize, deadline: Duration) -> Vec<(ParticipantNumber, Vec<u8>)> {
        let Ok(bytes) = Octets::new(request) else { return Vec::new() };
        let id = self.questions.next.fetch_add(1, Ordering::Relaxed);
        let news = Arc::new(Notify::new());
        let frame = Frame::Question(Question { id, bytes }).to_bytes();
        lock(&self.questions.open).insert(id, Open { frame, answers: BTreeMap::new(), news: news.clone() });
        let asking = Asking { questions: &self.questions, id };
        let until = Instant::now() + deadline;
        let mut repeat_at = Instant::now();
        loop {
            let now = Instant::now();
            if lock(&self.questions.open)[&id].answers.len() >= enough || now >= until {
                break;
            }
            if now >= repeat_at {
                repeat_at = now + ASK_AGAIN;
                self.peers.values().for_each(|peer| self.ask_one(peer, id));
            }
            let wait = repeat_at.min(until).saturating_duration_since(now);
            let _ = tokio::time::timeout(wait, news.notified()).await;
        }
        let open = lock(&self.questions.open).remove(&id).expect("only this call closes it");
        drop(asking);
        open.answers.into_iter().collect()
    }

    fn ask_one(&self, peer: &Peer, id: u64) {
        let is_validator = self.pool().tip().validators.get(peer.number).is_some();
        let frame = lock(&self.questions.open)
            .get(&id)
            .filter(|open| is_validator && !open.answers.contains_key(&peer.number))
            .map(|open| open.frame.clone());
        if let Some(frame) = frame {
            self.send(peer, frame);
        }
    }

    /// While the engine has not said how to answer, a question is left open: it is asked again.
    pub async fn answer(self: &Arc<Self>, peer: &Arc<Peer>, question: Question) {
        let Some(answerer) = lock(&self.questions.answerer).clone() else { return };
        let (from, id, request) = (peer.number, question.id, question.bytes.to_vec());
        let answer = tokio::task::spawn_blocking(move || answerer(from, request)).await;
        match answer.map(Octets::new) {
            Ok(Ok(bytes)) => self.send(peer, Frame::Answer(Question { id, bytes }).to_bytes()),
            _ => tracing::error!(me = %self.me, "the answer to a peer's question is too long or could not be given"),
        }
    }
}
