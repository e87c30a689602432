//! What this node knows of every lane, in memory and without any I/O.
//!
//! Must stay true:
//! - one digest is claimed per slot, whatever arrives and in whatever order (B-3); disk repeats the check with `guard_acks`;
//! - a lane's claims lie in the window of its open incarnation, or of the next one: at most twice `LANE_DEPTH_MAX` a lane;
//! - `candidates` follows each lane without gaps.
//!
//! ```text
//!   slot, seen from the lane's position (incarnation i, next sequence s), D = LANE_DEPTH_MAX
//!   (i, < s), (< i, any)          Old      a block has closed it
//!   (i, s … s+D−1), (i+1, 0 … D−1)  Open     may be stored and acked
//!   (i, s+D … s+2D−1), (i+1, D … 2D−1)  Early    our tip is behind the submitter's: kept in memory until it opens
//!   anything else                 Far      ignored; if it is ordered, it is fetched
//! ```
//! Leaves signatures, durability and the network to its callers.

use crate::port::{LanePosition, Tip};
use ledger_types::bundle::{Bundle, BundleCertificate, LANE_DEPTH_MAX, Slot};
use ledger_types::participant::{SignedBy, ValidatorSet};
use ledger_types::{BundleDigest, Chain, Height, List, ParticipantNumber, ValidatorSetHash};
use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Instant;

/// A valid certificate far ahead shows that our tip is behind; this many a lane are worth remembering.
const CERTIFICATES_AHEAD_MAX: u64 = 8 * LANE_DEPTH_MAX;

/// Incarnation and sequence.
pub type Place = (u32, u64);

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Window {
    Old,
    Open,
    Early,
    Far,
}

/// What a slot says to a digest that wants it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Claim {
    /// The slot was free; it is now this digest's.
    New,
    /// This digest has the slot and is being stored, and its ack guarded.
    Storing,
    /// This digest has the slot, is on disk, and its ack is guarded: it may be acked at once.
    Acked,
    /// This digest has the slot, and no ack of it is guarded: the disk has lost it, or the guard did not permit the ack. It goes
    /// the way of a new one.
    Again,
    /// Another digest has the slot.
    Taken(BundleDigest),
    /// The slot's window is not open for it.
    Outside(Window),
}

/// What the slot's guard said when a bundle was stored.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Guarded {
    /// A fetched bundle asks for no ack. It says nothing about one that another copy asks for meanwhile.
    NotAsked,
    /// No ack in this slot: this node acks nothing, or the guard forbids it.
    Nothing,
    /// This digest is acked in the slot, the one that was stored or another.
    Acked(BundleDigest),
}

#[derive(Default)]
struct Held {
    claimed: Option<BundleDigest>,
    /// The claimed bundle is on its way to the disk, and the guard has not spoken.
    storing: bool,
    /// What the guard holds on disk. Only this is acked.
    acked: Option<BundleDigest>,
    /// Digests of this slot that are on disk: the claimed one, or the certified one, or both when they differ.
    durable: Vec<BundleDigest>,
    certified: Option<Certified>,
    accused: bool,
}

impl Held {
    fn is_taken(&self) -> bool {
        self.claimed.is_some() || self.certified.is_some()
    }
}

struct Certified {
    certificate: BundleCertificate,
    digest: BundleDigest,
    since: Instant,
}

/// A verified bundle whose slot is not open yet, and who brought it.
pub type EarlyBundle = (Arc<Bundle>, ParticipantNumber);

#[derive(Default)]
struct Lane {
    held: BTreeMap<Place, Held>,
    early: BTreeMap<Place, EarlyBundle>,
}

pub struct Pool {
    me: ParticipantNumber,
    chain: Chain,
    tip: Tip,
    /// Of the tip's validators.
    set: ValidatorSetHash,
    lane_quota_bytes: u64,
    early_bytes_max: usize,
    early_bytes: usize,
    lanes: BTreeMap<ParticipantNumber, Lane>,
    /// The incarnation of the own lane in which nothing more is cut: its next slot gets no certificate.
    given_up: Option<u32>,
}

fn place(slot: Slot) -> Place {
    (slot.incarnation, slot.sequence)
}

fn window((incarnation, next): Place, (i, s): Place) -> Window {
    let first = match i.checked_sub(incarnation) {
        None => return Window::Old,
        Some(0) => next,
        Some(1) => 0,
        Some(_) => return Window::Far,
    };
    match s.checked_sub(first) {
        None => Window::Old,
        Some(ahead) if ahead < LANE_DEPTH_MAX => Window::Open,
        Some(ahead) if ahead < 2 * LANE_DEPTH_MAX => Window::Early,
        Some(_) => Window::Far,
    }
}

impl Pool {
    pub fn new(me: ParticipantNumber, chain: Chain, tip: Tip, lane_quota_bytes: u64, early_bytes_max: usize) -> Self {
        Pool {
            me,
            chain,
            set: tip.validators.hash(&chain),
            tip,
            lane_quota_bytes,
            early_bytes_max,
            early_bytes: 0,
            lanes: BTreeMap::new(),
            given_up: None,
        }
    }

    pub fn tip(&self) -> &Tip {
        &self.tip
    }

    /// Under which certificates are verified.
    pub fn set(&self) -> ValidatorSetHash {
        self.set
    }

    pub fn early_bytes(&self) -> usize {
        self.early_bytes
    }

    pub fn certified_count(&self) -> usize {
        self.lanes.values().flat_map(|lane| lane.held.values()).filter(|held| held.certified.is_some()).count()
    }

    fn position_in(&self, lanes: &BTreeMap<ParticipantNumber, LanePosition>, lane: ParticipantNumber) -> LanePosition {
        // A lane that no block has served yet stands at its start, with the whole quota.
        lanes.get(&lane).copied().unwrap_or(LanePosition { bytes_left: self.lane_quota_bytes, ..Default::default() })
    }

    pub fn position(&self, lane: ParticipantNumber) -> Place {
        let position = self.position_in(&self.tip.lanes, lane);
        (position.incarnation, position.next_sequence)
    }

    pub fn window(&self, slot: Slot) -> Window {
        window(self.position(slot.submitter), place(slot))
    }

    /// What `claim` would say, without claiming.
    pub fn look(&self, slot: Slot, digest: &BundleDigest) -> Claim {
        match self.window(slot) {
            Window::Open => {}
            other => return Claim::Outside(other),
        }
        let held = self.lanes.get(&slot.submitter).and_then(|lane| lane.held.get(&place(slot)));
        match held.and_then(|held| held.claimed.map(|claimed| (held, claimed))) {
            None => Claim::New,
            Some((_, claimed)) if claimed != *digest => Claim::Taken(claimed),
            Some((held, _)) if held.acked == Some(*digest) && held.durable.contains(digest) => Claim::Acked,
            Some((held, _)) if held.storing => Claim::Storing,
            Some(_) => Claim::Again,
        }
    }

    /// B-3: the first digest that asks has the slot. After `New` and `Again` the caller stores the bundle and asks the guard.
    pub fn claim(&mut self, slot: Slot, digest: BundleDigest) -> Claim {
        let claim = self.look(slot, &digest);
        if matches!(claim, Claim::New | Claim::Again) {
            let held = self.held_mut(slot);
            held.claimed = Some(digest);
            held.storing = true;
        }
        claim
    }

    /// The guard holds an ack in this slot whose bundle the disk has lost.
    pub fn claim_for_guard(&mut self, slot: Slot, acked: BundleDigest) {
        let held = self.held_mut(slot);
        held.claimed = Some(acked);
        held.acked = Some(acked);
    }

    /// What the slot's guard holds, as far as this node has asked it.
    pub fn acked(&self, slot: Slot) -> Option<BundleDigest> {
        self.lanes.get(&slot.submitter)?.held.get(&place(slot))?.acked
    }

    pub fn is_claimed_by(&self, slot: Slot, digest: &BundleDigest) -> bool {
        let held = self.lanes.get(&slot.submitter).and_then(|lane| lane.held.get(&place(slot)));
        held.is_some_and(|held| held.claimed == Some(*digest))
    }

    fn held_mut(&mut self, slot: Slot) -> &mut Held {
        self.lanes.entry(slot.submitter).or_default().held.entry(place(slot)).or_default()
    }

    /// The bundle is on disk. What the slot's guard holds is the truth, should the claim have been another.
    pub fn stored(&mut self, slot: Slot, digest: BundleDigest, guarded: Guarded) {
        if matches!(self.window(slot), Window::Old | Window::Far) {
            return;
        }
        let held = self.held_mut(slot);
        match guarded {
            Guarded::NotAsked => {}
            Guarded::Nothing => {
                held.claimed.get_or_insert(digest);
                held.storing = false;
            }
            Guarded::Acked(acked) => {
                held.claimed = Some(acked);
                held.acked = Some(acked);
                held.storing = false;
            }
        }
        let wanted = held.claimed == Some(digest) || held.certified.as_ref().is_some_and(|c| c.digest == digest);
        if wanted && !held.durable.contains(&digest) {
            held.durable.push(digest);
        }
    }

    /// What a lane may keep early: an equal share of the memory for that, whatever the others send. The own lane has all of it
    /// beside them: what comes in it early was signed here and is lost, and must not be signed again.
    fn early_share(&self, lane: ParticipantNumber) -> usize {
        // And the registration lane.
        let lanes = self.tip.directory.iter().count() + 1;
        if lane == self.me { self.early_bytes_max } else { self.early_bytes_max / lanes }
    }

    /// Keeps a verified bundle until its slot opens; false when its lane's share is full or it is kept already. The first of a
    /// lane always fits, whatever its size: many participants make small shares.
    pub fn keep_early(&mut self, bundle: Arc<Bundle>, from: ParticipantNumber) -> bool {
        let bytes = bundle.header().bytes as usize;
        let share = self.early_share(bundle.slot().submitter);
        let lane = self.lanes.entry(bundle.slot().submitter).or_default();
        let kept: usize = lane.early.values().map(|(kept, _)| kept.header().bytes as usize).sum();
        if lane.early.contains_key(&place(bundle.slot())) || (kept > 0 && kept + bytes > share) {
            return false;
        }
        lane.early.insert(place(bundle.slot()), (bundle, from));
        self.early_bytes += bytes;
        true
    }

    pub fn is_accused(&self, slot: Slot) -> bool {
        self.lanes.get(&slot.submitter).and_then(|lane| lane.held.get(&place(slot))).is_some_and(|held| held.accused)
    }

    /// True once a slot: evidence of its reuse is written down once.
    pub fn accuse(&mut self, slot: Slot) -> bool {
        !std::mem::replace(&mut self.held_mut(slot).accused, true)
    }

    /// Whether a certificate of this slot is worth verifying.
    pub fn certificate_is_news(&self, slot: Slot) -> bool {
        let (incarnation, next) = self.position(slot.submitter);
        let in_reach = match slot.incarnation.checked_sub(incarnation) {
            Some(0) => slot.sequence >= next && slot.sequence - next < CERTIFICATES_AHEAD_MAX,
            Some(1) => slot.sequence < CERTIFICATES_AHEAD_MAX,
            _ => false,
        };
        let held = self.lanes.get(&slot.submitter).and_then(|lane| lane.held.get(&place(slot)));
        in_reach && held.is_none_or(|held| held.certified.is_none())
    }

    /// Takes a verified certificate; `on_disk` says whether its bundle is. True when it was news.
    pub fn certified(&mut self, certificate: BundleCertificate, on_disk: bool, now: Instant) -> bool {
        let slot = certificate.header.slot;
        if !self.certificate_is_news(slot) {
            return false;
        }
        let digest = certificate.digest(&self.chain);
        let held = self.held_mut(slot);
        if on_disk && !held.durable.contains(&digest) {
            held.durable.push(digest);
        }
        held.certified = Some(Certified { certificate, digest, since: now });
        true
    }

    pub fn is_certified(&self, slot: Slot) -> bool {
        self.lanes
            .get(&slot.submitter)
            .and_then(|lane| lane.held.get(&place(slot)))
            .is_some_and(|h| h.certified.is_some())
    }

    /// Certificates that no block holds yet, known for at least since `before`.
    pub fn unordered_certificates(&self, before: Instant) -> Vec<BundleCertificate> {
        let held = self.lanes.values().flat_map(|lane| lane.held.values());
        let certified = held.filter_map(|held| held.certified.as_ref()).filter(|c| c.since <= before);
        certified.map(|c| c.certificate.clone()).collect()
    }

    /// Certified since before `before`, and the bundle is not here.
    pub fn lacking(&self, before: Instant) -> Vec<BundleCertificate> {
        let held = self.lanes.values().flat_map(|lane| lane.held.values());
        let lacking = held.filter_map(|held| held.certified.as_ref().filter(|c| !held.durable.contains(&c.digest)));
        lacking.filter(|c| c.since <= before).map(|c| c.certificate.clone()).collect()
    }

    /// Durable, claimed slots of one lane, ascending.
    pub fn slots_of(&self, submitter: ParticipantNumber) -> Vec<(Slot, BundleDigest)> {
        let Some(lane) = self.lanes.get(&submitter) else { return Vec::new() };
        let claimed = lane.held.iter().filter_map(|(at, held)| {
            let digest = held.claimed.filter(|digest| held.durable.contains(digest))?;
            Some((Slot { submitter, incarnation: at.0, sequence: at.1 }, digest))
        });
        claimed.collect()
    }

    /// The tip moved: forgets what blocks have closed and returns the bundles whose slots opened. Those that a key signed which
    /// the directory no longer holds do not open: they were verified when they came.
    pub fn advance(&mut self, tip: Tip) -> Vec<EarlyBundle> {
        let Tip { directory: before, validators, .. } = std::mem::replace(&mut self.tip, tip);
        let after = self.tip.directory.clone();
        if validators != self.tip.validators {
            self.set = self.tip.validators.hash(&self.chain);
            self.keep_what_the_set_signed(&validators);
        }
        let (incarnation, _) = self.position(self.me);
        self.given_up = self.given_up.filter(|given_up| *given_up >= incarnation);
        let mut opened = Vec::new();
        let mut kept_bytes = 0;
        let positions: BTreeMap<_, _> = self.lanes.keys().map(|lane| (*lane, self.position(*lane))).collect();
        for (number, lane) in &mut self.lanes {
            let position = positions[number];
            lane.held.retain(|at, _| *at >= position);
            if before.bundle_key(*number) != after.bundle_key(*number) {
                lane.early.retain(|_, _| *number == self.me);
            }
            for (at, early) in std::mem::take(&mut lane.early) {
                match window(position, at) {
                    Window::Open => opened.push(early),
                    // A bundle of the own lane that a peer gave back: far only because our tip is far behind.
                    Window::Far if *number != self.me => {}
                    Window::Early | Window::Far => {
                        kept_bytes += early.0.header().bytes as usize;
                        lane.early.insert(at, early);
                    }
                    Window::Old => {}
                }
            }
        }
        self.lanes.retain(|_, lane| !lane.held.is_empty() || !lane.early.is_empty());
        self.early_bytes = kept_bytes;
        opened
    }

    /// G-3: of a certificate of the set `before`, the acks of those who stay. What falls short of a quorum then is no certificate.
    fn keep_what_the_set_signed(&mut self, before: &ValidatorSet) {
        let set = &self.tip.validators;
        let key = |set: &ValidatorSet, signer| set.get(signer).map(|validator| validator.bundle);
        let stays = |ack: &SignedBy| {
            let key_of_now = key(set, ack.signer);
            key_of_now.is_some() && key_of_now == key(before, ack.signer)
        };
        for held in self.lanes.values_mut().flat_map(|lane| lane.held.values_mut()) {
            let Some(certified) = &mut held.certified else { continue };
            let acks: Vec<SignedBy> = certified.certificate.acks.iter().filter(|ack| stays(ack)).copied().collect();
            let power = acks.iter().filter_map(|ack| set.get(ack.signer)).map(|validator| validator.power).sum();
            if set.is_quorum(power) {
                certified.certificate.acks = List::new(acks).expect("no more than there were");
            } else {
                held.certified = None;
            }
        }
    }

    /// Where the owner of a lane puts its next bundle; none while it must wait.
    ///
    /// Within the open incarnation, after the last claimed slot. A gap below a claimed slot can never be filled (its bundle is
    /// lost), so the lane goes on in the next incarnation, as soon as everything before the gap is ordered: the block that
    /// opens an incarnation closes the old one. Once given up, or begun in the next, an incarnation gets no further bundle.
    pub fn own_next(&self, submitter: ParticipantNumber) -> Option<Slot> {
        let (incarnation, next) = self.position(submitter);
        let free = self.first_free(submitter, (incarnation, next));
        let lane = self.lanes.get(&submitter);
        if lane.is_some_and(|lane| !lane.early.is_empty()) {
            // Lost by our disk and given back by peers, in slots that our tip has not reached: it must catch up first.
            return None;
        }
        let claimed_from = |from: Place| {
            let slots = lane.into_iter().flat_map(move |lane| lane.held.range(from..));
            slots.filter(|(_, held)| held.is_taken()).map(|(at, _)| *at).next()
        };
        let next_incarnation = incarnation.checked_add(1)?;
        let is_left = self.given_up == Some(incarnation) || claimed_from((next_incarnation, 0)).is_some();
        let at = match claimed_from((incarnation, free)) {
            None if !is_left => (incarnation, free),
            Some(_) if !is_left && free > next => return None,
            _ => {
                let free = self.first_free(submitter, (next_incarnation, 0));
                if claimed_from((next_incarnation, free)).is_some() {
                    return None;
                }
                (next_incarnation, free)
            }
        };
        (window((incarnation, next), at) == Window::Open).then_some(Slot {
            submitter,
            incarnation: at.0,
            sequence: at.1,
        })
    }

    /// The own lane's next slot, if it is taken and not certified: while it stands so, no block takes anything of the lane.
    pub fn own_uncertified(&self) -> Option<Place> {
        let at = self.position(self.me);
        let held = self.lanes.get(&self.me)?.held.get(&at)?;
        (held.claimed.is_some() && held.certified.is_none() && self.given_up != Some(at.0)).then_some(at)
    }

    /// From now on the own lane goes on in the next incarnation.
    pub fn give_up(&mut self, incarnation: u32) {
        self.given_up = Some(incarnation);
    }

    /// For submitters who keep their own slots: after everything known of the lane.
    pub fn next_slot(&self, submitter: ParticipantNumber) -> Slot {
        let (incarnation, next) = self.position(submitter);
        let lane = self.lanes.get(&submitter);
        let opened = lane.is_some_and(|lane| lane.held.range((incarnation.saturating_add(1), 0)..).next().is_some());
        let from = if opened { (incarnation + 1, 0) } else { (incarnation, next) };
        Slot { submitter, incarnation: from.0, sequence: self.first_free(submitter, from) }
    }

    fn first_free(&self, submitter: ParticipantNumber, from: Place) -> u64 {
        let Some(lane) = self.lanes.get(&submitter) else { return from.1 };
        let mut sequence = from.1;
        while lane.held.get(&(from.0, sequence)).is_some_and(Held::is_taken) {
            sequence += 1;
        }
        sequence
    }

    /// B-3, B-4: lanes from the least recently served on, one bundle a lane and pass, each lane without gaps and within its
    /// quota (the first bundle of a lane always fits). `bytes_max` counts bodies; the first bundle of all always fits.
    pub fn candidates(&self, tip: &Tip, bytes_max: usize, certificates_max: usize) -> Vec<BundleCertificate> {
        struct Cursor<'a> {
            lane: &'a Lane,
            at: Place,
            bytes_left: u64,
            taken: usize,
        }
        let mut cursors: Vec<(Height, ParticipantNumber, Cursor<'_>)> = Vec::new();
        for (number, lane) in &self.lanes {
            let position = self.position_in(&tip.lanes, *number);
            let at = [(position.incarnation, position.next_sequence), (position.incarnation.saturating_add(1), 0)];
            if let Some(at) = at.into_iter().find(|at| ready(lane, *at).is_some()) {
                let cursor = Cursor { lane, at, bytes_left: position.bytes_left, taken: 0 };
                cursors.push((position.served_at, *number, cursor));
            }
        }
        cursors.sort_by_key(|(served_at, number, _)| (*served_at, *number));
        let (mut chosen, mut bytes) = (Vec::new(), 0);
        let mut progress = true;
        while progress {
            progress = false;
            for (_, _, cursor) in &mut cursors {
                let Some(certificate) = ready(cursor.lane, cursor.at) else { continue };
                let size = certificate.header.bytes;
                let lane_fits = cursor.taken == 0 || u64::from(size) <= cursor.bytes_left;
                let block_fits = chosen.is_empty() || bytes + size as usize <= bytes_max;
                if chosen.len() >= certificates_max
                    || !lane_fits
                    || !block_fits
                    || cursor.taken as u64 >= LANE_DEPTH_MAX
                {
                    continue;
                }
                cursor.bytes_left = cursor.bytes_left.saturating_sub(size.into());
                cursor.at.1 += 1;
                cursor.taken += 1;
                bytes += size as usize;
                chosen.push(certificate.clone());
                progress = true;
            }
        }
        chosen
    }

    /// Bytes of the bundles that a block after this tip could hold, quotas aside.
    pub fn waiting_bytes(&self, tip: &Tip) -> usize {
        let of_lane = |(number, lane): (&ParticipantNumber, &Lane)| {
            let position = self.position_in(&tip.lanes, *number);
            let at = [(position.incarnation, position.next_sequence), (position.incarnation.saturating_add(1), 0)];
            let from = at.into_iter().find(|at| ready(lane, *at).is_some());
            let run = from.into_iter().flat_map(|(incarnation, first)| {
                (first..).map_while(move |sequence| ready(lane, (incarnation, sequence)))
            });
            run.map(|certificate| certificate.header.bytes as usize).sum::<usize>()
        };
        self.lanes.iter().map(of_lane).sum()
    }

    pub fn has_work(&self, tip: &Tip) -> bool {
        self.lanes.iter().any(|(number, lane)| {
            let position = self.position_in(&tip.lanes, *number);
            ready(lane, (position.incarnation, position.next_sequence)).is_some()
                || ready(lane, (position.incarnation.saturating_add(1), 0)).is_some()
        })
    }
}

/// The certificate at a place, when its bundle is on this disk too.
fn ready(lane: &Lane, at: Place) -> Option<&BundleCertificate> {
    let held = lane.held.get(&at)?;
    held.certified.as_ref().filter(|c| held.durable.contains(&c.digest)).map(|c| &c.certificate)
}
