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
//! A sender that skips counters makes its receivers hold the skipped ones. So the unused ones behind are counted over all its
//! epochs, and beyond [`BEHIND_PER_SENDER`] the epoch that holds most of them gives up its oldest: a sender that skips loses
//! its own late envelopes, and nobody else's.
//!
//! Restart: watch every stored epoch again with its highest used counter; those behind all count as unused then. Cost: two
//! hashes (0.3 µs) for a counter passed.

use crate::epoch::{Epoch, EpochId, EpochKey};
use ledger_types::envelope::EnvelopeHeader;
use ledger_types::{Chain, EnvelopeHint, ParticipantNumber, Tag};
use std::collections::{BTreeMap, BTreeSet, HashMap};
use std::ops::RangeInclusive;
use std::sync::Arc;

/// Counters from the highest used that a receiver recognises.
pub const AHEAD: u64 = 4096;
/// Unused counters of an epoch below the highest used that stay recognised: a minute at 1,000 envelopes a second.
pub const BEHIND: u64 = 65_536;

/// And of all a sender's epochs together: 4,096 each when a receiver holds 32 of them. With those ahead a sender then makes a
/// receiver hold at most 262,144 entries of about 70 bytes, 18 MB; without this bound it was 2.2 million, 160 MB.
pub const BEHIND_PER_SENDER: usize = 32 * 4096;

pub(crate) fn hint(chain: &Chain, key: &EpochKey, counter: u64) -> EnvelopeHint {
    let hash = chain.hash(Tag::Hint, &[key.bytes(), &counter.to_le_bytes()]);
    EnvelopeHint(*hash.first_chunk().expect("a hash is longer than a hint"))
}

/// An envelope of a watched epoch, not yet opened.
#[derive(Clone, Debug)]
pub struct Found {
    epoch: Arc<Epoch>,
    counter: u64,
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
    highest_used: Option<u64>,
    /// Expected counters below the highest used. Beside them, those from it up to [`AHEAD`].
    behind: BTreeSet<u64>,
}

#[derive(Debug)]
pub struct HintWindow {
    chain: Chain,
    expected: Expected,
    /// Ordered, so that a sender's epochs stand together.
    watched: BTreeMap<EpochId, Watched>,
}

impl HintWindow {
    pub fn new(chain: Chain) -> Self {
        HintWindow { chain, expected: HashMap::new(), watched: BTreeMap::new() }
    }

    /// Starts recognising an epoch's envelopes: one's own as well as others'. Watching it again changes nothing.
    pub fn watch(&mut self, epoch: Arc<Epoch>, highest_used: Option<u64>) {
        let id = epoch.id();
        if self.watched.contains_key(&id) {
            return;
        }
        let behind = highest_used.map_or(0..0, |highest| highest.saturating_sub(BEHIND)..highest);
        let watched = Watched { epoch, highest_used, behind: behind.collect() };
        watched.expect(&self.chain, &mut self.expected, watched.behind.iter().copied());
        watched.expect(&self.chain, &mut self.expected, watched.ahead());
        self.watched.insert(id, watched);
        self.bound(id.sender);
    }

    /// Stops recognising an epoch's envelopes, and gives up the window's hold on its key (E-4).
    pub fn forget(&mut self, id: EpochId) {
        if let Some(watched) = self.watched.remove(&id) {
            let held = watched.behind.iter().copied().chain(watched.ahead());
            watched.withdraw(&self.chain, &mut self.expected, held);
        }
    }

    /// The epoch and counter of an envelope that its submitter sealed to this participant.
    pub fn find(&self, header: &EnvelopeHeader) -> Option<Found> {
        let hint = header.core.hint;
        let (id, counter) = self.expected.get(&(header.core.submitter, hint))?;
        let epoch = Arc::clone(&self.watched.get(id)?.epoch);
        Some(Found { epoch, counter: *counter })
    }

    /// The envelope has been opened: its hint is used up and the window slides. Not before, or a copied hint would hide the
    /// envelope that it was copied from.
    pub fn mark_used(&mut self, found: &Found) {
        let (id, counter) = (found.epoch.id(), found.counter);
        let Some(watched) = self.watched.get_mut(&id) else { return };
        let (before, after) = match watched.highest_used {
            Some(highest) if counter <= highest => {
                watched.behind.remove(&counter);
                return watched.withdraw(&self.chain, &mut self.expected, [counter]);
            }
            before => (before.map_or(0, |highest| highest.saturating_add(1)), counter),
        };
        let reached = watched.ahead();
        watched.highest_used = Some(after);
        watched.withdraw(&self.chain, &mut self.expected, [counter]);
        let new = watched.ahead().filter(|counter| !reached.contains(counter));
        watched.expect(&self.chain, &mut self.expected, new);
        watched.behind.extend(before..after);
        let kept = watched.behind.split_off(&after.saturating_sub(BEHIND));
        let too_old = std::mem::replace(&mut watched.behind, kept);
        watched.withdraw(&self.chain, &mut self.expected, too_old);
        if before < after {
            self.bound(id.sender);
        }
    }

    /// Holds the sender to [`BEHIND_PER_SENDER`]. Its largest epoch goes down to the mean at most, so none is left with less
    /// than an even share while another has more.
    fn bound(&mut self, sender: ParticipantNumber) {
        let numbers = EpochId { sender, number: 0 }..=EpochId { sender, number: u64::MAX };
        loop {
            let (mut epochs, mut held) = (0, 0);
            for (_, watched) in self.watched.range(numbers.clone()) {
                (epochs, held) = (epochs + 1, held + watched.behind.len());
            }
            let Some(excess) = held.checked_sub(BEHIND_PER_SENDER).filter(|excess| *excess > 0) else { return };
            let of_sender = self.watched.range_mut(numbers.clone()).map(|(_, watched)| watched);
            let Some(largest) = of_sender.max_by_key(|watched| watched.behind.len()) else { return };
            // More than the limit in all, so the largest is above the mean of the limit.
            let given_up = excess.min(largest.behind.len() - BEHIND_PER_SENDER / epochs);
            let oldest: Vec<u64> = (0..given_up).map_while(|_| largest.behind.pop_first()).collect();
            largest.withdraw(&self.chain, &mut self.expected, oldest);
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
    /// The counters above the highest used that are expected.
    fn ahead(&self) -> RangeInclusive<u64> {
        match self.highest_used {
            None => 0..=AHEAD - 1,
            Some(highest) => highest.saturating_add(1)..=highest.saturating_add(AHEAD),
        }
    }

    fn expect(&self, chain: &Chain, expected: &mut Expected, counters: impl IntoIterator<Item = u64>) {
        let id = self.epoch.id();
        for counter in counters {
            expected.insert((id.sender, hint(chain, self.epoch.key(), counter)), (id, counter));
        }
    }

    fn withdraw(&self, chain: &Chain, expected: &mut Expected, counters: impl IntoIterator<Item = u64>) {
        let id = self.epoch.id();
        for counter in counters {
            let key = (id.sender, hint(chain, self.epoch.key(), counter));
            // Not what an epoch with the same key has put in its place: only its own sender can have made one.
            if expected.get(&key) == Some(&(id, counter)) {
                expected.remove(&key);
            }
        }
    }
}
