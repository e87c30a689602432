//! Checkpoint notes (L-2, L-3): who signed a log's size and root, and when.
//!
//! C2SP lets a verifier ignore lines of keys that it does not know. Here a note comes inside a proof, and a proof that can
//! be changed without being refused could carry anything: so *every* line must be the log's or a validator's of the set,
//! under the right key, once, and verify. Lines of other witnesses are for the checkpoint as it is published, not for proofs.

use crate::trust::{TreeHead, Trust};
use crate::verdict::{Reason, quorum_of};
use ledger_tree::note::{Checkpoint, Note};
use ledger_types::{ParticipantNumber, TreeRoot};

/// A note whose text is a checkpoint of this chain, with the log's signature. Cosignatures are not yet checked: which set
/// must cosign is said by the state leaf, which is read first.
pub(crate) struct LogSigned {
    note: Note,
    pub head: TreeHead,
}

/// The validators behind a checkpoint.
pub(crate) struct Cosigned {
    /// Ascending.
    pub signers: Vec<ParticipantNumber>,
    pub power: u64,
    /// The quorum-th newest cosignature time; with less than a quorum the oldest.
    pub signed_at_s: u64,
}

impl LogSigned {
    pub fn check(trust: &Trust, bytes: &[u8]) -> Result<Self, Reason> {
        let note = Note::parse(bytes).map_err(|_| Reason::MalformedCheckpoint)?;
        let checkpoint = Checkpoint::parse(note.text()).map_err(|_| Reason::MalformedCheckpoint)?;
        let origin = trust.log_key().name();
        if checkpoint.origin() != origin {
            return Err(Reason::OtherChain);
        }
        if !checkpoint.extensions().is_empty() {
            return Err(Reason::MalformedCheckpoint);
        }
        // L-2: without the log's own key nothing that the validators sign counts.
        let mut lines = note.signatures().iter().filter(|line| line.name() == origin);
        match (lines.next(), lines.next()) {
            (None, _) => return Err(Reason::MissingLogSignature),
            (Some(_), Some(_)) => return Err(Reason::DuplicatedSigner),
            (Some(_), None) => {}
        }
        match trust.log_key().signed(&note) {
            Ok(true) => {}
            // Of this name there is one key: another key id is a forgery, not a stranger.
            Ok(false) | Err(_) => return Err(Reason::ForgedLogSignature),
        }
        let head = TreeHead { size: checkpoint.size(), root: TreeRoot(*checkpoint.root()) };
        Ok(LogSigned { note, head })
    }

    pub fn cosigned(&self, trust: &Trust) -> Result<Cosigned, Reason> {
        let mut seen = vec![false; trust.cosigners().len()];
        for line in self.note.signatures().iter().filter(|line| line.name() != trust.log_key().name()) {
            let position = trust.cosigners().iter().position(|cosigner| cosigner.key.name() == line.name());
            let position = position.ok_or(Reason::UnknownSigner)?;
            if std::mem::replace(&mut seen[position], true) {
                return Err(Reason::DuplicatedSigner);
            }
        }
        let (mut signers, mut times, mut power) = (Vec::new(), Vec::new(), 0);
        for (cosigner, _) in trust.cosigners().iter().zip(seen).filter(|(_, seen)| *seen) {
            match cosigner.key.cosigned(&self.note) {
                Ok(Some(time_s)) => times.push((time_s, cosigner.power)),
                Ok(None) | Err(_) => return Err(Reason::ForgedSigner),
            }
            signers.push(cosigner.number);
            power += cosigner.power;
        }
        let signed_at_s = quorumth_newest(times, quorum_of(trust.validators().total_power()));
        Ok(Cosigned { signers, power, signed_at_s })
    }
}

/// L-3. A quorum signed at or after this time, an honest validator among them: fewer cannot make a checkpoint look newer.
fn quorumth_newest(mut times: Vec<(u64, u64)>, quorum: u64) -> u64 {
    times.sort_unstable_by(|a, b| b.cmp(a));
    let mut power = 0;
    let reached = times.iter().find(|(_, of)| {
        power += of;
        power >= quorum
    });
    reached.or(times.last()).map_or(0, |(time_s, _)| *time_s)
}

#[cfg(test)]
mod tests {
    use super::quorumth_newest;

    #[test]
    fn the_age_is_of_the_quorumth_newest_cosignature_by_power_l3() {
        let equal = vec![(100, 1), (400, 1), (300, 1), (200, 1)];
        assert_eq!(quorumth_newest(equal.clone(), 3), 200, "one validator's late or early time does not move it");
        assert_eq!(quorumth_newest(equal, 4), 100);
        assert_eq!(quorumth_newest(vec![(100, 1), (400, 5), (300, 1)], 5), 400, "power counts, not heads");
        assert_eq!(quorumth_newest(vec![(100, 1), (400, 1)], 3), 100, "short of a quorum, the oldest");
        assert_eq!(quorumth_newest(vec![], 3), 0);
    }
}
