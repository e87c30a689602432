//! What other nodes send beside consensus, until it is read.
//!
//! What must stay true: each participant has an equal share of the room. One that sends more than is read loses what it
//! sends itself, and no word of another.

use ledger_types::ParticipantNumber;
use ledger_types::participant::Directory;
use std::collections::BTreeMap;
use std::sync::Arc;
use tokio::sync::{OwnedSemaphorePermit, Semaphore, mpsc};

/// Of all participants: 16 of each among 256, of at most 16 KiB.
const MESSAGES_MAX: usize = 4096;

/// Takes its place in its sender's share until it is dropped.
pub struct Message {
    pub from: ParticipantNumber,
    pub bytes: Vec<u8>,
    _place: OwnedSemaphorePermit,
}

pub struct Messages {
    /// The shares bound it.
    queue: mpsc::UnboundedSender<Message>,
    /// No update adds a line to the directory.
    shares: BTreeMap<ParticipantNumber, Arc<Semaphore>>,
}

impl Messages {
    pub fn new(directory: &Directory) -> (Self, mpsc::UnboundedReceiver<Message>) {
        let (queue, received) = mpsc::unbounded_channel();
        let share = MESSAGES_MAX / directory.iter().count();
        let shares = directory.iter().map(|line| (line.number, Arc::new(Semaphore::new(share)))).collect();
        (Messages { queue, shares }, received)
    }

    /// False when the sender's share is full.
    pub fn take(&self, from: ParticipantNumber, bytes: Vec<u8>) -> bool {
        let place = self.shares.get(&from).and_then(|share| share.clone().try_acquire_owned().ok());
        place.is_some_and(|place| self.queue.send(Message { from, bytes, _place: place }).is_ok())
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::cluster_init::ClusterPlan;
    use ledger_types::genesis::Genesis;

    #[test]
    fn one_that_sends_more_than_is_read_leaves_the_others_their_room() {
        let folder = tempfile::tempdir().unwrap();
        let plan = ClusterPlan::small(folder.path());
        plan.init().unwrap();
        let genesis = Genesis::parse(&std::fs::read(plan.folder.join("genesis.bin")).unwrap()).unwrap();
        let (messages, mut received) = Messages::new(&genesis.directory);
        let [loud, quiet] = [2, 3].map(ParticipantNumber);
        let taken = (0..2 * MESSAGES_MAX).filter(|_| messages.take(loud, vec![1])).count();
        assert_eq!(taken, MESSAGES_MAX / genesis.directory.iter().count());
        assert!(messages.take(quiet, vec![2]));
        assert!(!messages.take(ParticipantNumber(999), vec![3]), "who stands in no directory has no share");
        // Read, and room again.
        drop(received.try_recv().unwrap());
        assert!(messages.take(loud, vec![1]) && !messages.take(loud, vec![1]));
        let senders: Vec<_> = std::iter::from_fn(|| received.try_recv().ok()).map(|message| message.from).collect();
        assert_eq!(senders.iter().filter(|from| **from == quiet).count(), 1);
    }
}
