//! Finding one's own envelopes among all that are ordered: one look-up each, no trial decryption (rule E, hint).
//!
//! For every watched epoch the window holds the hints of the next 4,096 counters from the highest used, and of the unused
//! ones up to 65,536 behind it, since lanes may order a sender's envelopes differently than it sealed them.
//!
//! A hint is public as soon as its envelope spreads, so anyone can copy it into an envelope of their own, ordered earlier.
//! Hence: a hint counts only from the epoch's sender, and it is used up by [`HintWindow::mark_used`], after the envelope has
//! been opened; a copy that does not open changes nothing. An epoch whose sender copies a fellow member's key meets only its
//! own entries, for these are kept by sender.
//!
//! Restart: watch every stored epoch again with its highest used counter. Cost: two hashes (0.3 µs) for a counter passed.

use crate::epoch::{Epoch, EpochId, EpochKey};
use ledger_types::envelope::EnvelopeHeader;
use ledger_types::{Chain, EnvelopeHint, ParticipantNumber, Tag};
use std::collections::HashMap;
use std::sync::Arc;

/// Counters from the highest used that a receiver recognises.
pub const AHEAD: u64 = 4096;
/// Unused counters below the highest used that stay recognised: a minute at 1,000 envelopes a second in one channel. Bounds
/// what a sender that skips counters makes its receivers hold: 70,000 entries of 50 bytes an epoch.
pub const BEHIND: u64 = 65_536;

pub(crate) fn hint(chain: &Chain, key: &EpochKey, counter: u64) -> EnvelopeHint {
    let hash = chain.hash(Tag::Hint, &[key.bytes(), &counter.to_le_bytes()]);
    EnvelopeHint(*hash.first_chunk().expect("a hash is longer than a hint"))
}

/// An envelope of a watched epoch, not yet opened.
#[derive(Clone, Debug)]
pub struct Found {
    epoch: Arc<Epoch>,
    counter: u64,
    hint: EnvelopeHint,
}

impl Found {
    pub fn epoch(&self) -> &Arc<Epoch> {
        &self.epoch
    }

    pub fn counter(&self) -> u64 {
        self.counter
    }
}

#[derive(Debug)]
struct Watched {
    epoch: Arc<Epoch>,
    /// Hints of the counters start .. end have been computed; the used ones are gone.
    start: u64,
    end: u64,
    highest_used: Option<u64>,
}

#[derive(Debug)]
pub struct HintWindow {
    chain: Chain,
    expected: Expected,
    watched: HashMap<EpochId, Watched>,
}

impl HintWindow {
    pub fn new(chain: Chain) -> Self {
        HintWindow { chain, expected: HashMap::new(), watched: HashMap::new() }
    }

    /// Starts recognising an epoch's envelopes: one's own as well as others'. Watching it again changes nothing.
    pub fn watch(&mut self, epoch: Arc<Epoch>, highest_used: Option<u64>) {
        let id = epoch.id();
        if self.watched.contains_key(&id) {
            return;
        }
        let start = highest_used.map_or(0, |highest| highest.saturating_sub(BEHIND));
        let mut watched = Watched { epoch, start, end: start, highest_used };
        watched.extend(&self.chain, &mut self.expected);
        self.watched.insert(id, watched);
    }

    /// Stops recognising an epoch's envelopes, and gives up the window's hold on its key (E-4).
    pub fn forget(&mut self, id: EpochId) {
        if let Some(watched) = self.watched.remove(&id) {
            watched.withdraw(&self.chain, &mut self.expected, watched.end);
        }
    }

    /// The epoch and counter of an envelope that its submitter sealed to this participant.
    pub fn find(&self, header: &EnvelopeHeader) -> Option<Found> {
        let hint = header.core.hint;
        let (id, counter) = self.expected.get(&(header.core.submitter, hint))?;
        let epoch = Arc::clone(&self.watched.get(id)?.epoch);
        Some(Found { epoch, counter: *counter, hint })
    }

    /// The envelope has been opened: its hint is used up and the window slides. Not before, or a copied hint would hide the
    /// envelope that it was copied from.
    pub fn mark_used(&mut self, found: &Found) {
        let id = found.epoch.id();
        let Some(watched) = self.watched.get_mut(&id) else { return };
        if self.expected.get(&(id.sender, found.hint)) == Some(&(id, found.counter)) {
            self.expected.remove(&(id.sender, found.hint));
        }
        if watched.highest_used.is_none_or(|highest| found.counter > highest) {
            watched.highest_used = Some(found.counter);
            watched.extend(&self.chain, &mut self.expected);
            let start = found.counter.saturating_sub(BEHIND);
            if start > watched.start {
                watched.withdraw(&self.chain, &mut self.expected, start);
                watched.start = start;
            }
        }
    }

    /// To be stored with the height it was reached at.
    pub fn highest_used(&self, id: EpochId) -> Option<u64> {
        self.watched.get(&id)?.highest_used
    }

    pub fn epochs(&self) -> impl Iterator<Item = &Arc<Epoch>> {
        self.watched.values().map(|watched| &watched.epoch)
    }

    /// How many hints are held, over all epochs.
    pub fn len(&self) -> usize {
        self.expected.len()
    }

    pub fn is_empty(&self) -> bool {
        self.expected.is_empty()
    }
}

type Expected = HashMap<(ParticipantNumber, EnvelopeHint), (EpochId, u64)>;

impl Watched {
    /// Expects everything up to [`AHEAD`] from the highest used.
    fn extend(&mut self, chain: &Chain, expected: &mut Expected) {
        let id = self.epoch.id();
        let end = self.highest_used.map_or(AHEAD, |highest| highest.saturating_add(1 + AHEAD));
        for counter in self.end..end {
            expected.insert((id.sender, hint(chain, self.epoch.key(), counter)), (id, counter));
        }
        self.end = self.end.max(end);
    }

    /// Expects nothing below `end` any more.
    fn withdraw(&self, chain: &Chain, expected: &mut Expected, end: u64) {
        let id = self.epoch.id();
        for counter in self.start..end {
            let key = (id.sender, hint(chain, self.epoch.key(), counter));
            // Not what an epoch with the same key has put in its place: only its own sender can have made one.
            if expected.get(&key) == Some(&(id, counter)) {
                expected.remove(&key);
            }
        }
    }
}
