//! The desk's epochs (E-2, E-4): offered when they are first needed, acknowledged before they are used, rotated by time and
//! count, and destroyed when nothing sealed under them can be accepted any more.
//!
//! What is durable before what: an epoch number before its offer; a sending epoch before its first slot; a counter limit
//! before its counters; a receiving epoch before its acknowledgement.

use super::journal::{Journal, Stopped, Unit};
use super::ports::Ports;
use super::rows::{Meta, RowError, Rows, SendingRow, Table, epoch_key, read_epoch_key};
use crate::clock::now_ms;
use crate::link::{LinkError, LinkRefusal, Request, Response};
use ledger_seal::{
    Epoch, EpochAck, EpochId, Found, HintWindow, KemSecret, Member, OfferTerms, OfferedEpoch, ReceivingEpoch,
    SealingSlot, SendingEpoch, accept_offer, make_offer, sending::NoSlot,
};
use ledger_types::channel::SignedEpochOffer;
use ledger_types::envelope::EnvelopeHeader;
use ledger_types::genesis::KemSuite;
use ledger_types::keys::{Signature, SigningKey};
use ledger_types::{Chain, Decode, Encode, ParticipantNumber};
use std::collections::{BTreeMap, HashMap, HashSet};
use std::sync::{Arc, Mutex};
use std::time::Duration;

/// Rotation by time and by count: how long an epoch seals, and how many envelopes. What it sealed still opens after that.
///
/// Not in the configuration file: a receiver keeps at most [`RECEIVING_PER_SENDER_MAX`] epochs of a sender, each for its
/// lifetime and the window, so that an operator who rotates faster would stop the own payments.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct EpochLimits {
    pub lifetime_ms: u64,
    pub envelopes_max: u64,
    /// Epochs of numbers up to this one seal nothing, and none is offered again: the database was put back from a backup, and how
    /// far numbers and counters had gone since is not known. What was sealed under them still opens. It is the time of the restore
    /// in milliseconds, which is above every number before it: they count from 0, or from an earlier restore.
    pub forgotten_up_to: u64,
}

impl Default for EpochLimits {
    fn default() -> Self {
        EpochLimits { lifetime_ms: 3_600_000, envelopes_max: 1_000_000, forgotten_up_to: 0 }
    }
}

/// Each costs its members 4,096 hints in memory.
const RECEIVING_PER_SENDER_MAX: usize = 32;
const OFFER_DEADLINE: Duration = Duration::from_secs(5);

/// The sending side of one set of members, held while an epoch is opened or a slot is taken.
type Channel = Arc<tokio::sync::Mutex<Sending>>;

#[derive(Default)]
struct Sending {
    epoch: Option<SendingEpoch>,
    /// An offer that not all members have answered. It is sent again as it is: a member that stored it and whose answer was
    /// lost acknowledges again, where another offer would take one more of the places that it keeps for this sender.
    offered: Option<OfferedEpoch>,
}

pub(crate) struct Epochs {
    chain: Chain,
    me: ParticipantNumber,
    suite: KemSuite,
    kem: KemSecret,
    offer_key: SigningKey,
    limits: EpochLimits,
    window: Mutex<HintWindow>,
    channels: Mutex<HashMap<Vec<ParticipantNumber>, Channel>>,
    held: Mutex<Held>,
}

#[derive(Default)]
struct Held {
    epochs: BTreeMap<EpochId, Arc<Epoch>>,
    highest_offers: HashMap<ParticipantNumber, u64>,
    last_number: u64,
    /// Highest ordered counters of the own epochs.
    ordered: HashMap<EpochId, u64>,
    /// Times of blocks by which an epoch was spent, though not yet by its own time. Not stored: after a start the next block
    /// counts.
    spent_ms: HashMap<EpochId, u64>,
}

#[derive(Debug, thiserror::Error)]
pub(crate) enum NoEpoch {
    #[error(transparent)]
    Stopped(#[from] Stopped),
    #[error("{0}")]
    Link(#[from] LinkError),
    #[error("participant {0} does not acknowledge the channel's epoch: {1}")]
    NotAcknowledged(ParticipantNumber, String),
    #[error("participant {0} is not in the directory")]
    Unknown(ParticipantNumber),
    #[error("the epoch was used up in the meantime")]
    UsedUp,
}

impl Epochs {
    pub fn load(
        rows: &Rows,
        chain: Chain,
        me: ParticipantNumber,
        kem: KemSecret,
        offer_key: SigningKey,
        limits: EpochLimits,
    ) -> Result<Self, RowError> {
        let mut window = HintWindow::new(chain);
        let last_number = rows.meta(Meta::EpochNumber)?.unwrap_or(0).max(limits.forgotten_up_to);
        let mut held = Held { last_number, ..Held::default() };
        let mut progress: HashMap<EpochId, u64> = HashMap::new();
        for (key, highest) in rows.all::<u64>(Table::Progress)? {
            let (sender, number) = read_epoch_key(&key).ok_or(RowError::Malformed("progress"))?;
            progress.insert(EpochId { sender: ParticipantNumber(sender), number }, highest);
        }
        let mut channels: HashMap<Vec<ParticipantNumber>, SendingEpoch> = HashMap::new();
        for (_, row) in rows.all::<SendingRow>(Table::Sending)? {
            let malformed = |_| RowError::Malformed("sending");
            let mut sending =
                SendingEpoch::resume(&row.record, limits.envelopes_max, row.limit, None).map_err(malformed)?;
            let id = sending.epoch().id();
            if let Some(highest) = progress.get(&id) {
                sending.note_ordered(*highest);
                held.ordered.insert(id, *highest);
            }
            held.keep(&mut window, sending.epoch(), &progress);
            let members = row.members.iter().map(|number| ParticipantNumber(*number)).collect();
            // The newest of a channel goes on; rows are ascending by number.
            if id.number > limits.forgotten_up_to {
                channels.insert(members, sending);
            }
        }
        for (_, record) in rows.all::<Vec<u8>>(Table::Receiving)? {
            let receiving = ReceivingEpoch::restore(&record).map_err(|_| RowError::Malformed("receiving"))?;
            held.keep(&mut window, receiving.epoch(), &progress);
        }
        let channels = channels.into_iter().map(|(members, epoch)| {
            (members, Arc::new(tokio::sync::Mutex::new(Sending { epoch: Some(epoch), offered: None })))
        });
        Ok(Epochs {
            chain,
            me,
            suite: kem.suite(),
            kem,
            offer_key,
            limits,
            window: Mutex::new(window),
            channels: Mutex::new(channels.collect()),
            held: Mutex::new(held),
        })
    }

    /// The highest offer that a sender ever made is read when that sender offers again.
    fn highest_offer(&self, rows: &Rows, sender: ParticipantNumber) -> Result<Option<u64>, RowError> {
        if let Some(highest) = self.held().highest_offers.get(&sender) {
            return Ok(Some(*highest));
        }
        rows.meta(Meta::HighestOffer(sender.0))
    }

    fn held(&self) -> std::sync::MutexGuard<'_, Held> {
        self.held.lock().expect("no holder of the epochs panics")
    }

    fn window(&self) -> std::sync::MutexGuard<'_, HintWindow> {
        self.window.lock().expect("no holder of the hint window panics")
    }

    /// The right to seal one envelope to exactly these members; opens the channel's epoch if there is none.
    pub async fn slot(
        &self,
        ports: &dyn Ports,
        journal: &Journal,
        members: &[ParticipantNumber],
    ) -> Result<SealingSlot, NoEpoch> {
        let channel = {
            let mut channels = self.channels.lock().expect("no holder of the channels panics");
            channels.entry(members.to_vec()).or_default().clone()
        };
        let mut sending = channel.lock().await;
        // The first may turn out to be spent, and another is opened in its place.
        for _ in 0..3 {
            let Some(epoch) = &mut sending.epoch else {
                sending.epoch = Some(self.open(ports, journal, members, &mut sending.offered).await?);
                continue;
            };
            let id = epoch.epoch().id();
            if let Some(highest) = self.held().ordered.get(&id) {
                epoch.note_ordered(*highest);
            }
            if let Some(reservation) = epoch.reserve() {
                self.store_sending(journal, epoch, reservation.limit()).await?;
                epoch.confirm(reservation);
            }
            match epoch.next_slot(now_ms()) {
                Ok(slot) => return Ok(slot),
                Err(NoSlot::Spent) => sending.epoch = None,
                Err(NoSlot::NotReserved) => {}
            }
        }
        let epoch = sending.epoch.as_mut().ok_or(NoEpoch::UsedUp)?;
        if let Some(reservation) = epoch.reserve() {
            self.store_sending(journal, epoch, reservation.limit()).await?;
            epoch.confirm(reservation);
        }
        epoch.next_slot(now_ms()).map_err(|_| NoEpoch::UsedUp)
    }

    async fn store_sending(&self, journal: &Journal, sending: &SendingEpoch, limit: u64) -> Result<(), Stopped> {
        let epoch = sending.epoch();
        let members = epoch.members().iter().map(|member| member.0).collect();
        let mut unit = Unit::default();
        let row = SendingRow { record: sending.record().to_vec(), members, limit };
        unit.put(Table::Sending, &epoch.id().number.to_be_bytes(), &row);
        journal.write(unit).wait().await
    }

    /// Offers an epoch to the members and waits until all hold it. Not all have answered: `pending` keeps the offer.
    async fn open(
        &self,
        ports: &dyn Ports,
        journal: &Journal,
        members: &[ParticipantNumber],
        pending: &mut Option<OfferedEpoch>,
    ) -> Result<SendingEpoch, NoEpoch> {
        // One that has waited for half of its lifetime is not worth opening.
        let half_ms = self.limits.lifetime_ms / 2;
        let is_fresh = |offered: &OfferedEpoch| offered.signed_offer().offer.not_after_ms > now_ms() + half_ms;
        let mut offered = match pending.take().filter(is_fresh) {
            Some(offered) => offered,
            None => self.offer(ports, journal, members).await?,
        };
        for member in offered.missing() {
            match self.offer_to(ports, &mut offered, member).await {
                Ok(()) => {}
                Err(error) => {
                    // A refused offer is over: the member holds nothing of it.
                    *pending = matches!(error, NoEpoch::Link(_)).then_some(offered);
                    return Err(error);
                }
            }
        }
        let sending = offered.into_sending().map_err(|_| NoEpoch::UsedUp)?;
        self.store_sending(journal, &sending, 0).await?;
        self.held().keep(&mut self.window(), sending.epoch(), &HashMap::new());
        tracing::info!(epoch = sending.epoch().id().number, ?members, "a new epoch");
        Ok(sending)
    }

    /// A new epoch under a number that no offer had before.
    async fn offer(
        &self,
        ports: &dyn Ports,
        journal: &Journal,
        members: &[ParticipantNumber],
    ) -> Result<OfferedEpoch, NoEpoch> {
        let number = {
            let mut held = self.held();
            held.last_number += 1;
            held.last_number
        };
        let mut unit = Unit::default();
        unit.put_meta(Meta::EpochNumber, &number);
        journal.write(unit).wait().await?;

        let directory = ports.ledger().directory.clone();
        let mut lines = Vec::new();
        for member in members {
            lines.push(Member::from(directory.get(*member).ok_or(NoEpoch::Unknown(*member))?));
        }
        let terms = OfferTerms {
            sender: self.me,
            number,
            not_after_ms: now_ms() + self.limits.lifetime_ms,
            envelopes_max: self.limits.envelopes_max,
        };
        let mut rng = rand::rngs::OsRng;
        make_offer(&self.chain, self.suite, &terms, &lines, &self.offer_key, &mut rng)
            .map_err(|error| NoEpoch::NotAcknowledged(self.me, error.to_string()))
    }

    async fn offer_to(
        &self,
        ports: &dyn Ports,
        offered: &mut OfferedEpoch,
        member: ParticipantNumber,
    ) -> Result<(), NoEpoch> {
        let request = Request::OfferEpoch { offer: offered.signed_offer().to_bytes() };
        let signature = match ports.call(member, request, OFFER_DEADLINE).await? {
            Response::EpochAcked { signature } => signature,
            Response::Refused(refusal) => return Err(NoEpoch::NotAcknowledged(member, refusal.to_string())),
            _ => return Err(NoEpoch::NotAcknowledged(member, "another answer".into())),
        };
        let signature =
            Signature::from_bytes(&signature).map_err(|_| NoEpoch::NotAcknowledged(member, "no signature".into()))?;
        let directory = ports.ledger().directory.clone();
        let key = directory.get(member).ok_or(NoEpoch::Unknown(member))?.keys.offer;
        let ack = EpochAck { epoch: offered.id(), member, signature };
        offered
            .acknowledge(&self.chain, &ack, &key)
            .map_err(|error| NoEpoch::NotAcknowledged(member, error.to_string()))
    }

    /// The other side: checks an offer, stores its key, and only then acknowledges. An offer that is held already is
    /// acknowledged again.
    pub async fn accept(
        &self,
        rows: &Rows,
        ports: &dyn Ports,
        journal: &Journal,
        caller: ParticipantNumber,
        offer: &[u8],
    ) -> Result<Signature, LinkRefusal> {
        let refused = |detail: String| LinkRefusal::new("epoch_refused", detail);
        let signed = SignedEpochOffer::from_bytes(offer).map_err(|error| refused(error.to_string()))?;
        let id = EpochId { sender: signed.offer.sender, number: signed.offer.epoch };
        if id.sender != caller {
            return Err(refused("it is another participant's offer".into()));
        }
        let directory = ports.ledger().directory.clone();
        let key = directory.get(caller).ok_or_else(|| refused("unknown sender".into()))?.keys.offer;
        let receiving = accept_offer(&self.chain, self.me, &self.kem, &key, &signed, now_ms());
        let receiving = receiving.map_err(|error| refused(error.to_string()))?;
        let highest = self.highest_offer(rows, caller).map_err(|error| refused(error.to_string()))?;
        let known = self.held().epochs.get(&id).cloned();
        match known {
            Some(epoch) if epoch.is_of(&self.chain, &signed.offer) => {}
            Some(_) => return Err(refused("another epoch has this number".into())),
            // What was destroyed is not accepted again.
            None if highest.is_some_and(|highest| highest >= id.number) => {
                return Err(refused("the number is not new".into()));
            }
            None if self.held_of(caller) >= RECEIVING_PER_SENDER_MAX => {
                return Err(refused("too many epochs at once".into()));
            }
            None => {
                self.held().highest_offers.insert(caller, id.number);
                let mut unit = Unit::default();
                unit.put(Table::Receiving, &epoch_key(id.sender.0, id.number), &*receiving.record());
                unit.put_meta(Meta::HighestOffer(caller.0), &id.number);
                journal.write(unit).wait().await.map_err(|stopped| refused(stopped.to_string()))?;
                self.held().keep(&mut self.window(), receiving.epoch(), &HashMap::new());
            }
        }
        let ack = receiving.acknowledge(&self.chain, &signed.offer, self.me, &self.offer_key);
        ack.map(|ack| ack.signature).ok_or_else(|| refused("the offer is another".into()))
    }

    fn held_of(&self, sender: ParticipantNumber) -> usize {
        self.held().epochs.keys().filter(|id| id.sender == sender).count()
    }

    pub fn find(&self, header: &EnvelopeHeader) -> Option<Found> {
        self.window().find(header)
    }

    /// The envelope was opened and is in a committed block. Rows of what this changes go into the height's unit.
    pub fn mark_used(&self, found: &Found, unit: &mut Unit) {
        let id = found.epoch().id();
        let highest = {
            let mut window = self.window();
            window.mark_used(found);
            window.highest_used(id)
        };
        let Some(highest) = highest else { return };
        unit.put(Table::Progress, &epoch_key(id.sender.0, id.number), &highest);
        if id.sender == self.me {
            self.held().ordered.insert(id, highest);
        }
    }

    /// Every epoch of this sender that is still held: for opening an envelope again on request.
    pub fn of_sender(&self, sender: ParticipantNumber) -> Vec<Arc<Epoch>> {
        self.held().epochs.iter().filter(|(id, _)| id.sender == sender).map(|(_, epoch)| epoch.clone()).collect()
    }

    /// E-4: at their last use and the window. `block_time_ms` is a time up to which every block has been opened here.
    pub fn destroy_old(&self, block_time_ms: u64, expiry_window_ms: u64, unit: &mut Unit) {
        let mut held = self.held();
        held.note_spent(&self.window(), block_time_ms);
        let is_over = |spent_ms: &u64| block_time_ms > spent_ms.saturating_add(expiry_window_ms);
        let old: Vec<EpochId> = held
            .epochs
            .iter()
            .filter(|(id, epoch)| {
                epoch.may_be_destroyed(block_time_ms, expiry_window_ms) || held.spent_ms.get(id).is_some_and(is_over)
            })
            .map(|(id, _)| *id)
            .collect();
        for id in old {
            // A channel that nobody uses would keep its spent epoch's key.
            for channel in self.channels.lock().expect("no holder of the channels panics").values() {
                if let Ok(mut sending) = channel.try_lock()
                    && sending.epoch.as_ref().is_some_and(|sending| sending.epoch().id() == id)
                {
                    sending.epoch = None;
                }
            }
            held.epochs.remove(&id);
            held.ordered.remove(&id);
            held.spent_ms.remove(&id);
            self.window().forget(id);
            match id.sender == self.me {
                true => unit.delete(Table::Sending, &id.number.to_be_bytes()),
                false => unit.delete(Table::Receiving, &epoch_key(id.sender.0, id.number)),
            }
            unit.delete(Table::Progress, &epoch_key(id.sender.0, id.number));
            tracing::info!(epoch = %id, "an epoch is destroyed");
        }
    }
}

impl Held {
    fn keep(&mut self, window: &mut HintWindow, epoch: &Arc<Epoch>, progress: &HashMap<EpochId, u64>) {
        window.watch(epoch.clone(), progress.get(&epoch.id()).copied());
        self.epochs.insert(epoch.id(), epoch.clone());
    }

    /// A sender that seals under a later epoch of the same members has done with those before, be they spent by time or by count
    /// (E-2): what it sealed under them expires within the window.
    fn note_spent(&mut self, window: &HintWindow, block_time_ms: u64) {
        let mut used_later = HashSet::new();
        for (id, epoch) in self.epochs.iter().rev() {
            let channel = (id.sender, epoch.members());
            if used_later.contains(&channel) {
                self.spent_ms.entry(*id).or_insert(block_time_ms);
            }
            if window.highest_used(*id).is_some() {
                used_later.insert(channel);
            }
        }
    }
}
