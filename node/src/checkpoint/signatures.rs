//! Signatures over the log's head as they come in, and the note that they make together.

use super::{OwnHead, Published};
use ledger_state::Rules;
use ledger_tree::note::{Checkpoint, CosignerKey, Note, NoteKey, NoteSignature};
use ledger_types::participant::ValidatorSet;
use ledger_types::{Decode, DecodeError, Text, TreeRoot, layout};
use std::collections::{BTreeMap, VecDeque};
use std::sync::Arc;

/// Sizes ahead of our own of which signatures wait: a node that is behind by more asks again at the next round.
const WAITING_MAX: usize = 256;

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
    /// For sizes that this node has not computed yet.
    waiting: VecDeque<CheckpointSignature>,
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
            waiting: VecDeque::new(),
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
        for signature in std::mem::take(&mut self.waiting) {
            self.take(signature);
        }
    }

    /// Untrusted bytes of another node: what does not verify over our own head is dropped.
    pub fn receive(&mut self, bytes: &[u8]) {
        match CheckpointSignature::from_bytes(bytes) {
            Ok(signature) => self.take(signature),
            Err(error) => tracing::debug!(%error, "a checkpoint signature does not decode"),
        }
    }

    /// All lines of a note that was assembled before.
    pub fn take_note(&mut self, note: &str) {
        let Ok(note) = Note::parse(note.as_bytes()) else { return };
        for line in note.signatures() {
            if let Ok(signature) = CheckpointSignature::new(self.size, self.root, &line.to_line()) {
                self.take(signature);
            }
        }
    }

    fn take(&mut self, signature: CheckpointSignature) {
        if signature.size > self.size {
            if self.waiting.len() == WAITING_MAX {
                self.waiting.pop_front();
            }
            self.waiting.push_back(signature);
            return;
        }
        if signature.size < self.size {
            return;
        }
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
        let mut times: Vec<(u64, u64)> =
            self.cosigners.values().filter_map(|c| c.newest.as_ref().map(|(time_s, _)| (*time_s, c.power))).collect();
        times.sort_unstable_by(|a, b| b.cmp(a));
        let mut power = 0;
        let reached = times.iter().find(|(_, of)| {
            power += of;
            power >= self.quorum
        });
        let signed_at_s = reached?.0;
        let lines = self.cosigners.values().filter_map(|c| c.newest.as_ref().map(|(_, line)| line.clone()));
        let signatures: Vec<NoteSignature> = std::iter::once(log_line).chain(lines).collect();
        let signers = u32::try_from(signatures.len() - 1).unwrap_or(u32::MAX);
        let note = Note::new(self.text.clone(), signatures).expect("each line was parsed with this very text");
        let (size, root, state_leaf) = (head.size, head.root, head.state_leaf);
        Some(Published { size, root, state_leaf, note: note.to_string(), signers, signed_at_s })
    }
}
