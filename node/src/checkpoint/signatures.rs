//! Signatures over the log's head as they come in, and the note that they make together.

use super::{OwnHead, Published};
use ledger_state::Rules;
use ledger_tree::note::{Checkpoint, CosignerKey, Note, NoteKey, NoteSignature, SIGNATURES_MAX};
use ledger_types::participant::ValidatorSet;
use ledger_types::{Decode, DecodeError, ParticipantNumber, Text, TreeRoot, layout};
use std::cmp::Ordering;
use std::collections::{BTreeMap, VecDeque};
use std::sync::Arc;

/// Lines of one sender that wait for a size that we have not reached. A validator signs some sizes a second, so this is some
/// seconds' worth; whoever is behind by more gets what it needs at the next round of signing.
const WAITING_OF_ONE_MAX: usize = 32;

/// A small message beside consensus: one signature line over the checkpoint of this size and root.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct CheckpointSignature {
    pub size: u64,
    pub root: TreeRoot,
    /// A C2SP signature line.
    pub line: Text<512>,
}
layout!(CheckpointSignature { size, root, line });

impl CheckpointSignature {
    pub fn new(size: u64, root: TreeRoot, line: &str) -> Result<Self, DecodeError> {
        Ok(CheckpointSignature { size, root, line: Text::new(line.trim_end_matches('\n'))? })
    }

    /// Of the same key over the same checkpoint.
    fn is_replaced_by(&self, newer: &Self) -> bool {
        // "— name signature"
        let key = |line: &Self| line.line.as_str().rsplit_once(' ').map(|(key, _)| key.to_owned());
        (self.size, self.root) == (newer.size, newer.root) && key(self) == key(newer)
    }
}

/// One who may sign, and its newest line with its time.
struct Cosigner {
    key: CosignerKey,
    power: u64,
    newest: Option<(u64, NoteSignature)>,
}

pub struct Signatures {
    rules: Rules,
    log_key: NoteKey,
    size: u64,
    root: TreeRoot,
    text: String,
    log_line: Option<NoteSignature>,
    cosigners: BTreeMap<String, Cosigner>,
    quorum: u64,
    /// For sizes that this node has not computed yet: not verified, so each sender has room of its own and takes nobody else's.
    waiting: BTreeMap<ParticipantNumber, VecDeque<CheckpointSignature>>,
}

impl Signatures {
    pub fn new(rules: &Rules) -> Self {
        let log = rules.genesis.directory.central_bank_keys().log;
        let log_key = NoteKey::new(rules.genesis.origin.as_str(), &log.0).expect("G-1, G-2: name and key are sound");
        Signatures {
            rules: rules.clone(),
            log_key,
            size: 0,
            root: TreeRoot::ZERO,
            text: String::new(),
            log_line: None,
            cosigners: BTreeMap::new(),
            quorum: u64::MAX,
            waiting: BTreeMap::new(),
        }
    }

    /// Moves to this node's own head. Signatures of an older size are dropped; those that waited for this one are taken.
    pub fn stand_at(&mut self, head: &OwnHead, validators: &ValidatorSet) {
        if self.size == head.size && self.root == head.root {
            return;
        }
        let genesis = Arc::clone(&self.rules.genesis);
        self.size = head.size;
        self.root = head.root;
        let checkpoint = Checkpoint::new(genesis.origin.as_str(), head.size, head.root.0);
        self.text = checkpoint.expect("G-1: the origin is printable").to_text();
        self.log_line = None;
        self.quorum = validators.total_power() * 2 / 3 + 1;
        self.cosigners = validators
            .iter()
            .map(|validator| {
                let name = genesis.cosigner_name(validator.number);
                let key = CosignerKey::new(&name, &validator.cosign.0).expect("G-2: the directory's keys are sound");
                (name, Cosigner { key, power: validator.power, newest: None })
            })
            .collect();
        for (from, waiting) in std::mem::take(&mut self.waiting) {
            waiting.into_iter().for_each(|signature| self.take(from, signature));
        }
    }

    /// Untrusted bytes of another node: what does not verify over our own head is dropped.
    pub fn receive(&mut self, from: ParticipantNumber, bytes: &[u8]) {
        match CheckpointSignature::from_bytes(bytes) {
            Ok(signature) => self.take(from, signature),
            Err(error) => tracing::debug!(%error, "a checkpoint signature does not decode"),
        }
    }

    /// All lines of a note that this node assembled before.
    pub fn take_note(&mut self, note: &str) {
        let Ok(note) = Note::parse(note.as_bytes()) else { return };
        for line in note.signatures() {
            if let Ok(signature) = CheckpointSignature::new(self.size, self.root, &line.to_line()) {
                self.take_now(signature);
            }
        }
    }

    fn take(&mut self, from: ParticipantNumber, signature: CheckpointSignature) {
        match signature.size.cmp(&self.size) {
            Ordering::Less => {}
            Ordering::Equal => self.take_now(signature),
            Ordering::Greater => {
                let waiting = self.waiting.entry(from).or_default();
                // Signed anew, with a newer time, or sent again.
                waiting.retain(|before| !before.is_replaced_by(&signature));
                if waiting.len() == WAITING_OF_ONE_MAX {
                    waiting.pop_front();
                }
                waiting.push_back(signature);
            }
        }
    }

    /// A line over our own size.
    fn take_now(&mut self, signature: CheckpointSignature) {
        if signature.root != self.root {
            tracing::error!(size = self.size, ours = %self.root, theirs = %signature.root, "another root of the log at our size");
            return;
        }
        let note = format!("{}\n{}\n", self.text, signature.line.as_str());
        let Ok(note) = Note::parse(note.as_bytes()) else { return };
        let [line] = note.signatures() else { return };
        if self.log_key.signed(&note) == Ok(true) {
            self.log_line = Some(line.clone());
        } else if let Some(cosigner) = self.cosigners.get_mut(line.name())
            && let Ok(Some(time_s)) = cosigner.key.cosigned(&note)
            && cosigner.newest.as_ref().is_none_or(|(newest, _)| *newest < time_s)
        {
            cosigner.newest = Some((time_s, line.clone()));
        }
    }

    /// The checkpoint of `head`, if the log and a quorum have signed it (L-2).
    pub fn assemble(&self, head: &OwnHead) -> Option<Published> {
        let log_line = self.log_line.clone()?;
        let signed = |c: &'_ Cosigner| c.newest.clone().map(|(time_s, line)| (c.power, time_s, line));
        let mut signed: Vec<_> = self.cosigners.values().filter_map(signed).collect();
        // A note has room for 256 lines: beside the log's, one of 256 cosigners' has none.
        if signed.len() == SIGNATURES_MAX {
            let least = signed.iter().enumerate().min_by_key(|(_, (power, ..))| *power).map(|(at, _)| at);
            signed.remove(least.expect("there are as many as lines"));
        }
        let mut times: Vec<(u64, u64)> = signed.iter().map(|(power, time_s, _)| (*time_s, *power)).collect();
        times.sort_unstable_by(|a, b| b.cmp(a));
        let mut power = 0;
        let reached = times.iter().find(|(_, of)| {
            power += of;
            power >= self.quorum
        });
        let signed_at_s = reached?.0;
        let lines = signed.into_iter().map(|(_, _, line)| line);
        let signatures: Vec<NoteSignature> = std::iter::once(log_line).chain(lines).collect();
        let signers = u32::try_from(signatures.len() - 1).unwrap_or(u32::MAX);
        let note = Note::new(self.text.clone(), signatures).expect("each line was parsed with this very text");
        let (size, root, state_leaf) = (head.size, head.root, head.state_leaf);
        Some(Published { size, root, state_leaf, note: note.to_string(), signers, signed_at_s })
    }
}

#[cfg(test)]
mod tests {
    use super::super::tests::head;
    use super::*;
    use crate::cluster_init::ClusterPlan;
    use crate::keys::{KeyFolder, passphrase};
    use ledger_types::Encode;
    use ledger_types::genesis::Genesis;
    use ledger_types::keys::SigningKey;

    struct Bed {
        rules: Rules,
        validators: ValidatorSet,
        log: SigningKey,
        cosign: BTreeMap<u16, SigningKey>,
    }

    impl Bed {
        fn new() -> Self {
            let folder = tempfile::tempdir().unwrap();
            let plan = ClusterPlan::small(folder.path());
            plan.init().unwrap();
            let key = |process: &str, name| {
                let folder = plan.folder.join(process);
                let keys = KeyFolder::new(&folder.join("keys"), passphrase(Some(&folder.join("passphrase"))).unwrap());
                keys.signing_key(name).unwrap()
            };
            let banks = [(1, "central-bank"), (2, "bank2"), (3, "bank3"), (4, "bank4")];
            let genesis = Genesis::parse(&std::fs::read(plan.folder.join("genesis.bin")).unwrap()).unwrap();
            Bed {
                validators: genesis.directory.validators(),
                rules: Rules::new(genesis),
                log: key("central-bank", "log"),
                cosign: banks.map(|(number, process)| (number, key(process, "cosign"))).into(),
            }
        }

        fn text(&self, size: u64) -> String {
            let origin = self.rules.genesis.origin.as_str();
            Checkpoint::new(origin, size, [1; 32]).unwrap().to_text()
        }

        fn send(&self, signatures: &mut Signatures, from: u16, size: u64, line: &str) {
            let message = CheckpointSignature::new(size, TreeRoot([1; 32]), line).unwrap();
            signatures.receive(ParticipantNumber(from), &message.to_bytes());
        }

        fn cosign(&self, signatures: &mut Signatures, from: u16, size: u64, time_s: u64) {
            let key = &self.cosign[&from];
            let name = self.rules.genesis.cosigner_name(ParticipantNumber(from));
            let name = CosignerKey::new(&name, &key.public_key().0).unwrap();
            let line = name.cosign(&self.text(size), time_s, |message| key.sign(message).0).to_line();
            self.send(signatures, from, size, &line);
        }

        fn sign_as_log(&self, signatures: &mut Signatures, size: u64) {
            let name = NoteKey::new(self.rules.genesis.origin.as_str(), &self.log.public_key().0).unwrap();
            let line = name.sign(&self.text(size), |message| self.log.sign(message).0).to_line();
            self.send(signatures, 1, size, &line);
        }
    }

    #[test]
    fn a_flood_of_one_participant_takes_no_place_of_anothers_signature() {
        let bed = Bed::new();
        let mut signatures = Signatures::new(&bed.rules);
        signatures.stand_at(&head(10), &bed.validators);
        bed.sign_as_log(&mut signatures, 20);
        [1, 2, 3].iter().for_each(|from| bed.cosign(&mut signatures, *from, 20, 5));
        for number in 0..1_000 {
            bed.send(&mut signatures, 4, 20 + number % 7, &format!("— nobody{number} AAAA"));
        }
        assert!(signatures.waiting.values().all(|waiting| waiting.len() <= WAITING_OF_ONE_MAX));
        signatures.stand_at(&head(20), &bed.validators);
        let published = signatures.assemble(&head(20)).expect("the log and a quorum signed it");
        assert_eq!((published.size, published.signers), (20, 3));
    }

    #[test]
    fn of_256_cosigners_the_one_with_the_least_power_finds_no_room() {
        let bed = Bed::new();
        let mut signatures = Signatures::new(&bed.rules);
        signatures.stand_at(&head(20), &bed.validators);
        bed.sign_as_log(&mut signatures, 20);
        [1, 2, 3, 4].iter().for_each(|from| bed.cosign(&mut signatures, *from, 20, 5));
        for number in 4..256 {
            let name = format!("cosigner-{number:03}");
            let (key, secret) = (&bed.cosign[&2].public_key().0, &bed.cosign[&2]);
            let key = CosignerKey::new(&name, key).unwrap();
            let line = key.cosign(&bed.text(20), 7, |message| secret.sign(message).0);
            let power = if number == 100 { 1 } else { 2 };
            signatures.cosigners.insert(name, Cosigner { key, power, newest: Some((7, line)) });
        }
        signatures.cosigners.values_mut().filter(|c| c.power == 1).for_each(|c| c.power = 3);
        signatures.cosigners.get_mut("cosigner-100").unwrap().power = 1;
        assert_eq!(signatures.cosigners.len(), SIGNATURES_MAX);
        let published = signatures.assemble(&head(20)).expect("the log and a quorum signed it");
        assert_eq!(published.signers, 255);
        assert!(!published.note.contains("cosigner-100") && published.note.contains("cosigner-101"));
    }

    #[test]
    fn a_signature_that_comes_again_takes_one_place() {
        let bed = Bed::new();
        let mut signatures = Signatures::new(&bed.rules);
        signatures.stand_at(&head(10), &bed.validators);
        for from in [1, 2, 3] {
            bed.cosign(&mut signatures, from, 15, 5);
            (0..100).for_each(|time_s| bed.cosign(&mut signatures, from, 20, 6 + time_s));
        }
        bed.sign_as_log(&mut signatures, 15);
        bed.sign_as_log(&mut signatures, 20);
        signatures.stand_at(&head(15), &bed.validators);
        assert_eq!(signatures.assemble(&head(15)).expect("all of it waited").signers, 3);
        signatures.stand_at(&head(20), &bed.validators);
        let published = signatures.assemble(&head(20)).expect("all of it waited");
        assert_eq!((published.signers, published.signed_at_s), (3, 105), "the newest of each");
    }
}
