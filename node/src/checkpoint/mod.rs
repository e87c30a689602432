//! Checkpoints (L-1 to L-3): every validator cosigns what it has itself computed and stored; the central bank's validator signs
//! as the log; whoever holds the log's signature and a quorum of cosignatures has a checkpoint to publish.
//!
//! - Nothing is signed before the height is durable here, and nothing that the guard on disk forbids. A node that follows the
//!   chain anew, its disk lost and its guard kept, signs nothing until its log is as long as what it signed before; with a guard
//!   made anew, nothing until a block that is later than the guard.
//! - Nothing is signed by a node whose stored log or map was found damaged (`audit`).
//! - Signatures travel as small messages beside consensus, and a lost one is missed for a moment only: a new head is signed
//!   again after 1, 2, 4 … seconds, at last every 30 s, when the checkpoint's age shows that the validators are still there.

mod audit;
pub mod guard;
mod signatures;

pub use audit::{AuditStatus, run as audit};
pub use signatures::{CheckpointSignature, Signatures};

use crate::checkpoint::guard::CheckpointGuard;
use crate::clock::now_ms;
use crate::ledger::{LedgerError, LedgerView, Message};
use consensus::plane::Plane;
use ledger_tree::note::{Checkpoint, CosignerKey, NoteKey};
use ledger_types::keys::SigningKey;
use ledger_types::log_leaf::StateLeaf;
use ledger_types::participant::ValidatorSet;
use ledger_types::{Encode, TreeRoot};
use std::sync::Arc;
use std::time::Duration;
use tokio::sync::{mpsc, watch};

/// L-3: idle, validators cosign again this often; a checkpoint is stale after four times as long.
const COSIGN_EVERY: Duration = Duration::from_secs(30);
/// Messages beside consensus are not sent again by whoever carries them, and a peer may be connected only later: the first
/// time that a head is said again; each later one waits twice as long.
const SAY_AGAIN_AFTER: Duration = Duration::from_secs(1);

/// A checkpoint with the log's signature and a quorum of cosignatures.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Published {
    pub size: u64,
    pub root: TreeRoot,
    pub state_leaf: StateLeaf,
    /// The signed note.
    pub note: String,
    pub signers: u32,
    /// The quorum-th newest cosignature time.
    pub signed_at_s: u64,
}

/// The log as this node computed it at its newest state leaf.
#[derive(Clone, Debug)]
pub struct OwnHead {
    pub size: u64,
    pub root: TreeRoot,
    pub state_leaf: StateLeaf,
}

/// The keys that this node signs checkpoints with; the cosigner's counts while the set that cosigns names the node.
pub struct CheckpointKeys {
    pub cosign: Option<(SigningKey, CheckpointGuard)>,
    pub log: Option<(SigningKey, CheckpointGuard)>,
}

/// Runs until `stop` turns true. `received` are messages of other nodes.
pub async fn run(
    view: LedgerView,
    plane: Arc<Plane>,
    mut keys: CheckpointKeys,
    audit: watch::Receiver<AuditStatus>,
    mut received: mpsc::UnboundedReceiver<Message>,
    mut stop: watch::Receiver<bool>,
) -> Result<(), guard::GuardError> {
    let mut heads = view.heads();
    let mut signatures = Signatures::new(view.rules());
    let mut every = tokio::time::interval(COSIGN_EVERY);
    every.set_missed_tick_behavior(tokio::time::MissedTickBehavior::Delay);
    let mut again = SAY_AGAIN_AFTER;
    loop {
        let is_time = tokio::select! {
            changed = heads.changed() => {
                if changed.is_err() { return Ok(()); }
                heads.mark_changed();
                false
            }
            _ = every.tick() => true,
            message = received.recv() => match message {
                None => return Ok(()),
                Some(message) => { signatures.receive(message.from, &message.bytes); false }
            },
            _ = stop.wait_for(|stop| *stop) => return Ok(()),
        };
        // Read before the head, which is then older by one height at most: still no older than any tip of before a renewal, when
        // this tip is later than the renewal.
        let time_ms = view.ledger().time_ms;
        let (head, is_new) = newest(&mut heads);
        if is_new {
            again = SAY_AGAIN_AFTER;
        }
        if is_new || is_time {
            every.reset_after(again);
            again = (again * 2).min(COSIGN_EVERY);
        }
        let validators = match cosigners(&view, &head) {
            Ok(validators) => validators,
            Err(error) => {
                tracing::error!(%error, "the set that cosigns cannot be read: no checkpoint is signed here");
                continue;
            }
        };
        signatures.stand_at(&head, &validators);
        if (is_new || is_time) && audit.borrow().fault.is_none() {
            let cosigns = validators.get(view.me()).is_some();
            for line in sign_head(&view, &head, time_ms, cosigns, &mut keys)? {
                signatures.receive(view.me(), &line);
                plane.broadcast(line);
            }
        }
        if let Some(published) = signatures.assemble(&head) {
            view.publish(published);
        }
    }
}

/// The newest head, and whether this is the first look at it: a head that comes while a message is taken in is signed
/// all the same.
fn newest(heads: &mut watch::Receiver<OwnHead>) -> (OwnHead, bool) {
    let head = heads.borrow_and_update();
    (head.clone(), head.has_changed())
}

/// G-3: the set that the head's own state leaf names, whoever decides by now.
fn cosigners(view: &LedgerView, head: &OwnHead) -> Result<ValidatorSet, LedgerError> {
    let set = view.validator_set(&head.state_leaf.set_hash)?;
    set.ok_or_else(|| LedgerError::Missing(format!("the validator set {}", head.state_leaf.set_hash)))
}

/// `time_ms` is the tip's.
fn sign_head(
    view: &LedgerView,
    head: &OwnHead,
    time_ms: u64,
    cosigns: bool,
    keys: &mut CheckpointKeys,
) -> Result<Vec<Vec<u8>>, guard::GuardError> {
    let genesis = &view.rules().genesis;
    let origin = genesis.origin.as_str();
    let text = Checkpoint::new(origin, head.size, head.root.0).expect("G-1: the origin is printable").to_text();
    let mut lines = Vec::new();
    let mut push = |line: String| {
        let signature = CheckpointSignature::new(head.size, head.root, &line).expect("a signature line is short");
        lines.push(signature.to_bytes());
    };
    if let Some((key, guard)) = keys.log.as_mut().filter(|(_, guard)| !guard.is_silent_at(head.size, time_ms)) {
        guard.allow(head.size, head.root)?;
        let name = NoteKey::new(origin, &key.public_key().0).expect("the genesis names this key");
        push(name.sign(&text, |message| key.sign(message).0).to_line());
    }
    let cosign = keys.cosign.as_mut().filter(|(_, guard)| cosigns && !guard.is_silent_at(head.size, time_ms));
    if let Some((key, guard)) = cosign {
        guard.allow(head.size, head.root)?;
        let name = genesis.cosigner_name(view.me());
        let name = CosignerKey::new(&name, &key.public_key().0).expect("the genesis names this key");
        push(name.cosign(&text, now_ms() / 1000, |message| key.sign(message).0).to_line());
    }
    Ok(lines)
}

#[cfg(test)]
mod tests {
    use super::*;
    use ledger_types::{BatchNumber, Height, ValidatorSetHash};

    pub(super) fn head(size: u64) -> OwnHead {
        let state_leaf = StateLeaf {
            batch: BatchNumber(size),
            height: Height(size),
            time_ms: 0,
            map_root: TreeRoot([2; 32]),
            set_hash: ValidatorSetHash([3; 32]),
            issued: 0,
            redeemed: 0,
        };
        OwnHead { size, root: TreeRoot([1; 32]), state_leaf }
    }

    #[tokio::test]
    async fn a_head_is_new_once_whatever_woke_the_signer() {
        let sender = watch::Sender::new(head(1));
        let mut heads = sender.subscribe();
        assert!(!newest(&mut heads).1);
        // It comes while a message is taken in: nobody awaited it.
        sender.send_replace(head(2));
        let (seen, is_new) = newest(&mut heads);
        assert_eq!((seen.size, is_new), (2, true));
        assert!(!newest(&mut heads).1);
        // Awaited, as the signer does.
        sender.send_replace(head(3));
        heads.changed().await.unwrap();
        heads.mark_changed();
        let (seen, is_new) = newest(&mut heads);
        assert_eq!((seen.size, is_new), (3, true));
        assert!(!newest(&mut heads).1);
    }
}
