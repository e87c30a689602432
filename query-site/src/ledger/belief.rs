//! What the site believes: the pinned genesis, the hand-overs since, and every log state that it accepted.
//!
//! - A log state is accepted once it is signed and shown to continue what was accepted before (L-3).
//! - A split view, once seen, is never forgotten by this process: two signed logs that contradict each other stay a fact,
//!   whatever either observer says later.
//! - With a file, the newest state survives a restart, so that a log rewritten meanwhile is caught too.

use ledger_types::{Encode, TreeRoot};
use ledger_verify::{HandOver, Reason, TreeHead, Trust, Verdict};
use std::collections::BTreeMap;
use std::path::PathBuf;
use std::sync::RwLock;

/// 40 bytes each; a state every other second for half a day.
const ROOTS_MAX: usize = 20_000;

/// Two log states that cannot both be the log's.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct SplitView {
    pub accepted: TreeHead,
    pub shown: TreeHead,
    /// The observer that showed the second.
    pub by: String,
    pub seen_at_ms: u64,
}

pub struct Belief {
    inner: RwLock<Inner>,
    file: Option<PathBuf>,
}

struct Inner {
    trust: Trust,
    /// In hex, each verified.
    hand_overs: Vec<String>,
    roots: BTreeMap<u64, TreeRoot>,
    split: Option<SplitView>,
}

/// What a state that is not known yet needs before it can be accepted.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Standing {
    /// Accepted before.
    Known,
    /// Nothing was accepted before: the first is accepted as it is.
    First,
    /// A consistency proof between the two sizes, the smaller first.
    Needs { newest: TreeHead },
    /// Another root of this size was accepted.
    Contradicts { accepted: TreeHead },
}

impl Belief {
    pub fn new(mut trust: Trust, file: Option<PathBuf>) -> Self {
        let mut roots = BTreeMap::new();
        if let Some(head) = file.as_deref().and_then(|file| read(file, &trust)) {
            trust.resume_from(head);
            roots.insert(head.size, head.root);
        }
        Belief { inner: RwLock::new(Inner { trust, hand_overs: Vec::new(), roots, split: None }), file }
    }

    pub fn judge<T>(&self, check: impl FnOnce(&Trust) -> T) -> T {
        check(&self.inner.read().expect("no holder of the belief panics").trust)
    }

    pub fn split(&self) -> Option<SplitView> {
        self.inner.read().expect("no holder of the belief panics").split.clone()
    }

    pub fn standing(&self, seen: &TreeHead) -> Standing {
        let inner = self.inner.read().expect("no holder of the belief panics");
        match (inner.roots.get(&seen.size), inner.trust.newest()) {
            (Some(root), _) if *root == seen.root => Standing::Known,
            (Some(root), _) => Standing::Contradicts { accepted: TreeHead { size: seen.size, root: *root } },
            (None, None) => Standing::First,
            (None, Some(newest)) => Standing::Needs { newest },
        }
    }

    /// `against` is the newest at the time when the proof was asked for; if another was accepted meanwhile, ask again.
    pub fn accept(&self, seen: TreeHead, against: Option<TreeHead>, path: &[[u8; 32]]) -> Result<Accepted, Reason> {
        let mut inner = self.inner.write().expect("no holder of the belief panics");
        if inner.trust.newest() != against {
            return Ok(Accepted::AskAgain);
        }
        inner.trust.remember(seen, path)?;
        inner.roots.insert(seen.size, seen.root);
        while inner.roots.len() > ROOTS_MAX {
            inner.roots.pop_first();
        }
        let newest = inner.trust.newest().expect("one was just accepted");
        let origin_hash = inner.trust.chain().genesis_hash();
        drop(inner);
        if let Some(file) = &self.file {
            let text = format!("{origin_hash} {} {}\n", newest.size, newest.root);
            if let Err(error) = write_whole(file, &text) {
                tracing::warn!(%error, file = %file.display(), "cannot keep the newest log state over a restart");
            }
        }
        Ok(Accepted::Yes)
    }

    pub fn contradicted(&self, split: SplitView) {
        tracing::error!(?split, "SPLIT VIEW: two signed logs contradict each other");
        self.inner.write().expect("no holder of the belief panics").split.get_or_insert(split);
    }

    pub fn hand_over(&self, document: &HandOver) -> Verdict<()> {
        let mut inner = self.inner.write().expect("no holder of the belief panics");
        let verdict = inner.trust.hand_over(document);
        if verdict.is_verified() {
            inner.hand_overs.push(hex::encode(document.to_bytes()));
        }
        verdict
    }

    /// From the genesis on, to be kept beside a proof.
    pub fn hand_overs(&self) -> Vec<String> {
        self.inner.read().expect("no holder of the belief panics").hand_overs.clone()
    }
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[must_use]
pub enum Accepted {
    Yes,
    AskAgain,
}

/// Replaces the file at once: a crash leaves the old line or the new one.
fn write_whole(file: &std::path::Path, text: &str) -> std::io::Result<()> {
    let beside = file.with_extension("new");
    std::fs::write(&beside, text)?;
    std::fs::rename(beside, file)
}

fn read(file: &std::path::Path, trust: &Trust) -> Option<TreeHead> {
    let text = std::fs::read_to_string(file).ok()?;
    let mut words = text.split_whitespace();
    if words.next()? != trust.chain().genesis_hash().to_string() {
        tracing::warn!(file = %file.display(), "what was remembered is of another chain");
        return None;
    }
    Some(TreeHead { size: words.next()?.parse().ok()?, root: TreeRoot::from_hex(words.next()?)? })
}
