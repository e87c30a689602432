//! Hints: never twice, found by one look-up (rule E, hint).

use crate::support;

use ledger_seal::counter::{CounterReservation, NoCounter, RESERVED_MAX};
use ledger_seal::hint::{AHEAD, BEHIND, BEHIND_PER_SENDER};
use ledger_seal::*;
use ledger_types::envelope::EnvelopeHeader;
use proptest::prelude::*;
use std::collections::HashSet;
use std::sync::Arc;
use support::*;

/// A sender with its disk. Memory dies at a crash; the disk holds what was stored.
struct Sender {
    disk: u64,
    memory: CounterReservation,
    used: HashSet<u64>,
}

/// Every place between two lines of "reserve, store, confirm, use" where a process can die.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Death {
    BeforeReserving,
    BeforeStoring,
    BeforeConfirming,
    AfterConfirming,
}

const END: u64 = 20_000;

impl Sender {
    fn new() -> Self {
        Sender { disk: 0, memory: CounterReservation::resume(0, END), used: HashSet::new() }
    }

    fn restart(&mut self) {
        self.memory = CounterReservation::resume(self.disk, END);
    }

    /// True when the counter was never used before.
    fn take(&mut self) -> Result<bool, NoCounter> {
        let counter = self.memory.take()?;
        Ok(self.used.insert(counter))
    }

    fn reserve(&mut self, death: Option<Death>) {
        if death == Some(Death::BeforeReserving) {
            return self.restart();
        }
        let Some(reservation) = self.memory.reserve() else { return };
        if death == Some(Death::BeforeStoring) {
            return self.restart();
        }
        assert!(reservation.limit() > self.disk, "the disk never goes back");
        self.disk = reservation.limit();
        if death == Some(Death::BeforeConfirming) {
            return self.restart();
        }
        self.memory.confirm(reservation);
        if death == Some(Death::AfterConfirming) {
            self.restart();
        }
    }
}

fn death() -> impl Strategy<Value = Option<Death>> {
    prop_oneof![
        6 => Just(None),
        1 => Just(Some(Death::BeforeReserving)),
        1 => Just(Some(Death::BeforeStoring)),
        1 => Just(Some(Death::BeforeConfirming)),
        1 => Just(Some(Death::AfterConfirming)),
    ]
}

proptest! {
    #[test]
    fn a_counter_is_never_used_twice_wherever_the_process_dies(
        steps in prop::collection::vec((death(), 0u64..1500, any::<bool>()), 1..40),
    ) {
        let mut sender = Sender::new();
        for (death, uses, dies_after_use) in steps {
            sender.reserve(death);
            for _ in 0..uses {
                match sender.take() {
                    Ok(fresh) => prop_assert!(fresh, "a counter came twice"),
                    Err(_) => break,
                }
            }
            if dies_after_use {
                sender.restart();
            }
            prop_assert!(sender.used.iter().all(|counter| *counter < sender.disk), "used only what is stored");
        }
    }
}

#[test]
fn a_process_that_dies_at_each_step_in_turn_never_repeats_and_skips_at_most_the_reservation() {
    for death in [Death::BeforeReserving, Death::BeforeStoring, Death::BeforeConfirming, Death::AfterConfirming] {
        for used_before in [0, 1, 511, 512, 513, 1024] {
            let mut sender = Sender::new();
            sender.reserve(None);
            for _ in 0..used_before {
                assert!(sender.take().unwrap());
            }
            sender.reserve(Some(death));
            sender.reserve(None);
            let skipped_to = sender.memory.next();
            assert!(sender.take().unwrap(), "{death:?} after {used_before}");
            assert!(skipped_to - used_before <= RESERVED_MAX, "{death:?} after {used_before} goes on at {skipped_to}");
        }
    }
}

#[test]
fn one_reservation_at_a_time_is_being_stored_and_nothing_is_used_before_it_is_confirmed() {
    let mut counters = CounterReservation::resume(0, END);
    assert_eq!(counters.take(), Err(NoCounter::NotReserved));
    let first = counters.reserve().unwrap();
    assert_eq!(first.limit(), RESERVED_MAX);
    assert_eq!(counters.take(), Err(NoCounter::NotReserved));
    assert_eq!(counters.reserve(), None, "two writes could overtake each other");
    counters.confirm(first);
    for _ in 0..511 {
        counters.take().unwrap();
        assert_eq!(counters.reserve(), None, "more than half is left");
    }
    counters.take().unwrap();
    assert_eq!(counters.reserve().unwrap().limit(), 512 + RESERVED_MAX);
}

#[test]
fn counters_end_where_the_epoch_ends() {
    let mut counters = CounterReservation::resume(0, 5);
    let reservation = counters.reserve().unwrap();
    assert_eq!(reservation.limit(), 5);
    counters.confirm(reservation);
    assert_eq!((0..5).map(|_| counters.take().unwrap()).collect::<Vec<_>>(), [0, 1, 2, 3, 4]);
    assert_eq!(counters.take(), Err(NoCounter::Exhausted(5)));
    assert_eq!(counters.reserve(), None);
    // A limit from another configuration does not open it again.
    assert_eq!(CounterReservation::resume(7, 5).take(), Err(NoCounter::Exhausted(5)));
    assert_eq!(CounterReservation::resume(7, 5).reserve(), None);
}

/// The header of the next envelope; what is in it does not matter here.
fn next_header(sending: &mut SendingEpoch) -> EnvelopeHeader {
    let slot = slot(sending);
    seal(&chain(), slot, draft(), &payment(b""), &bank_secret(), &mut NamedRng::new("seal")).unwrap().0.header
}

fn watching(epochs: &[&SendingEpoch]) -> HintWindow {
    let mut window = HintWindow::new(chain());
    epochs.iter().for_each(|sending| window.watch(Arc::clone(sending.epoch()), None));
    window
}

#[test]
fn hints_of_envelopes_sealed_before_and_after_a_crash_all_differ() {
    let mut sending = sending_epoch(1);
    let record = sending.record();
    let mut hints = HashSet::new();
    let mut stored_limit = RESERVED_MAX;
    for _ in 0..3 {
        for _ in 0..5 {
            assert!(hints.insert(next_header(&mut sending).core.hint));
        }
        sending = SendingEpoch::resume(&record, 1 << 20, stored_limit, Some(stored_limit - 1)).unwrap();
        stored_limit += RESERVED_MAX;
        reserve(&mut sending);
    }
    assert_eq!(hints.len(), 15);
}

#[test]
fn each_of_many_epochs_finds_its_own_envelopes_by_one_look_up() {
    let mut sendings: Vec<_> = (1..=5).map(sending_epoch).collect();
    let mut window = watching(&sendings.iter().collect::<Vec<_>>());
    assert_eq!(window.len(), 5 * AHEAD as usize);
    for round in 0..3 {
        for sending in &mut sendings {
            let header = next_header(sending);
            let found = window.find(&header).expect("the sender's own and the members' alike");
            assert_eq!(found.epoch().id(), sending.epoch().id());
            assert_eq!(found.counter(), round);
            window.mark_used(&found);
            assert!(window.find(&header).is_none(), "a used hint is gone");
            assert_eq!(window.highest_used(sending.epoch().id()), Some(round));
        }
    }
    assert_eq!(window.len(), 5 * AHEAD as usize, "it slid by what was used");
}

#[test]
fn a_hint_copied_by_another_bank_does_not_hide_the_envelope_it_was_copied_from() {
    let mut sending = sending_epoch(1);
    let window = watching(&[&sending]);
    let slot = slot(&mut sending);
    let (envelope, _) =
        seal(&chain(), slot, draft(), &payment(b""), &bank_secret(), &mut NamedRng::new("seal")).unwrap();

    let mut copied_by_another = envelope.header.clone();
    copied_by_another.core.submitter = THIRD;
    assert!(window.find(&copied_by_another).is_none());

    // Even in the sender's own name: what does not open is not marked, so the true one is still found.
    let mut spoiled = envelope.clone();
    spoiled.ciphertext[0] ^= 1;
    let found = window.find(&spoiled.header).unwrap();
    assert!(open_with_epoch(&chain(), &spoiled, found.epoch()).is_err());
    let found = window.find(&envelope.header).unwrap();
    assert!(open_with_epoch(&chain(), &envelope, found.epoch()).is_ok());
}

/// A member of a three-party channel knows its key and offers it again as its own: in a map by hint alone, its entries would
/// replace the sender's.
#[test]
fn a_member_that_offers_a_fellow_members_key_again_hides_nothing() {
    let mut sending = sending_epoch(1);
    let mut window = watching(&[&sending]);
    let mut record = sending.record().to_vec();
    record[1..3].copy_from_slice(&PAYEE.0.to_le_bytes());
    let same_key = ReceivingEpoch::restore(&record).unwrap();
    assert_eq!(same_key.epoch().id(), EpochId { sender: PAYEE, number: 1 });
    window.watch(Arc::clone(same_key.epoch()), None);

    let header = next_header(&mut sending);
    assert_eq!(window.find(&header).unwrap().epoch().id().sender, SENDER);
    window.forget(same_key.epoch().id());
    assert_eq!(window.find(&header).unwrap().epoch().id().sender, SENDER);
}

#[test]
fn the_window_reaches_4096_ahead_of_the_highest_used_and_no_further() {
    let sending = sending_epoch(1);
    let record = sending.record();
    let header_at = |counter: u64| {
        let mut sending = SendingEpoch::resume(&record, 1 << 20, counter, Some(counter)).unwrap();
        reserve(&mut sending);
        next_header(&mut sending)
    };
    let mut window = watching(&[&sending]);
    assert!(window.find(&header_at(AHEAD - 1)).is_some());
    assert!(window.find(&header_at(AHEAD)).is_none());

    let found = window.find(&header_at(100)).unwrap();
    window.mark_used(&found);
    assert!(window.find(&header_at(100 + AHEAD)).is_some());
    assert!(window.find(&header_at(101 + AHEAD)).is_none());
    assert!(window.find(&header_at(0)).is_some(), "one sealed earlier and ordered later");

    // A lower one used later does not pull the window back.
    let found = window.find(&header_at(50)).unwrap();
    window.mark_used(&found);
    assert_eq!(window.highest_used(sending.epoch().id()), Some(100));
}

#[test]
fn what_is_held_for_a_sender_that_skips_counters_is_bounded() {
    let sending = sending_epoch(1);
    let record = sending.record();
    let mut window = watching(&[&sending]);
    let mut highest = 0;
    while highest < 3 * BEHIND {
        highest += AHEAD - 1;
        let mut sending = SendingEpoch::resume(&record, 1 << 20, highest, Some(highest)).unwrap();
        reserve(&mut sending);
        let found = window.find(&next_header(&mut sending)).expect("within the window");
        window.mark_used(&found);
        assert!(window.len() as u64 <= BEHIND + AHEAD);
    }
    // After a restart the same window, but for the used ones, which are never ordered again.
    let mut restarted = HintWindow::new(chain());
    restarted.watch(Arc::clone(sending.epoch()), Some(highest));
    assert_eq!(restarted.len() as u64, BEHIND + AHEAD);
    let mut next = SendingEpoch::resume(&record, 1 << 20, highest + AHEAD, Some(highest + AHEAD)).unwrap();
    reserve(&mut next);
    let header = next_header(&mut next);
    assert_eq!(restarted.find(&header).unwrap().counter(), window.find(&header).unwrap().counter());

    window.forget(sending.epoch().id());
    assert!(window.is_empty());
    assert_eq!(window.epochs().count(), 0);
}

/// The header of the envelope with this counter.
fn header_at(record: &[u8], counter: u64) -> EnvelopeHeader {
    let mut sending = SendingEpoch::resume(record, 1 << 20, counter, Some(counter)).unwrap();
    reserve(&mut sending);
    next_header(&mut sending)
}

/// Counters 4,095 apart: each envelope opens, and leaves 4,094 that its receivers wait for.
fn skip_counters(window: &mut HintWindow, record: &[u8], up_to: u64) {
    let mut counter = AHEAD - 1;
    while counter < up_to {
        let found = window.find(&header_at(record, counter)).expect("within the window");
        window.mark_used(&found);
        counter += AHEAD - 1;
    }
}

#[test]
fn a_sender_that_skips_counters_in_many_epochs_holds_no_more_than_its_share_and_takes_it_from_nobody() {
    let skipping: Vec<_> = (1..=5).map(sending_epoch).collect();
    let (own, of_another) = (sending_epoch(6), sending_epoch(7));
    let mut record = of_another.record().to_vec();
    record[1..3].copy_from_slice(&PAYEE.0.to_le_bytes());
    let of_another = ReceivingEpoch::restore(&record).unwrap();
    let mut window = watching(&skipping.iter().chain([&own]).collect::<Vec<_>>());
    window.watch(Arc::clone(of_another.epoch()), None);
    // As after a crash.
    skip_counters(&mut window, &own.record(), AHEAD);

    for sending in &skipping {
        skip_counters(&mut window, &sending.record(), 2 * BEHIND);
        assert!(window.len() <= BEHIND_PER_SENDER + 7 * AHEAD as usize, "{}", window.len());
    }
    assert_eq!(window.len(), BEHIND_PER_SENDER + 7 * AHEAD as usize, "and it is used");

    // The epoch with few of them lost none.
    for counter in [0, 1, AHEAD - 2] {
        assert!(window.find(&header_at(&own.record(), counter)).is_some(), "counter {counter}");
    }
    // Every epoch that skipped keeps its newest: an even share at least.
    let share = (BEHIND_PER_SENDER / 6) as u64;
    for sending in &skipping {
        let highest = window.highest_used(sending.epoch().id()).unwrap();
        assert!(window.find(&header_at(&sending.record(), highest - 1)).is_some());
        assert!(window.find(&header_at(&sending.record(), highest - share + 100)).is_some());
        assert!(window.find(&header_at(&sending.record(), highest + AHEAD)).is_some());
    }
    for sending in skipping.iter().chain([&own]) {
        window.forget(sending.epoch().id());
    }
    assert_eq!(window.len(), AHEAD as usize, "the other sender's");
    window.forget(of_another.epoch().id());
    assert!(window.is_empty());
}

#[test]
fn a_restart_with_many_worn_epochs_of_a_sender_keeps_4096_on_either_side_of_each() {
    let sendings: Vec<_> = (1..=32).map(sending_epoch).collect();
    let mut window = HintWindow::new(chain());
    for sending in &sendings {
        window.watch(Arc::clone(sending.epoch()), Some(500_000));
    }
    assert_eq!(window.len(), BEHIND_PER_SENDER + 32 * AHEAD as usize);
    for sending in &sendings {
        let record = sending.record();
        assert!(window.find(&header_at(&record, 500_000 - AHEAD)).is_some());
        assert!(window.find(&header_at(&record, 500_000 + AHEAD)).is_some());
    }
}

#[test]
fn a_sender_never_runs_ahead_of_what_its_receivers_find() {
    let mut sending = sending_epoch(1);
    for counter in 0..AHEAD {
        assert_eq!(slot(&mut sending).counter(), counter);
    }
    assert!(sending.is_spent(NOW_MS), "4,096 sealed and none ordered");
    assert_eq!(sending.next_slot(NOW_MS).err(), Some(NoSlot::Spent));
    sending.note_ordered(10);
    assert_eq!(slot(&mut sending).counter(), AHEAD);

    // Crashes skip counters: after too many of them without an ordered envelope the epoch is given up.
    let record = sending.record();
    assert!(!SendingEpoch::resume(&record, 1 << 20, AHEAD - 1, None).unwrap().is_spent(NOW_MS));
    assert!(SendingEpoch::resume(&record, 1 << 20, AHEAD, None).unwrap().is_spent(NOW_MS));
    assert!(!SendingEpoch::resume(&record, 1 << 20, AHEAD, Some(0)).unwrap().is_spent(NOW_MS));
}

#[test]
fn watching_an_epoch_again_does_not_bring_used_hints_back() {
    let mut sending = sending_epoch(1);
    let mut window = watching(&[&sending]);
    let header = next_header(&mut sending);
    let found = window.find(&header).unwrap();
    window.mark_used(&found);
    window.mark_used(&found);
    window.watch(Arc::clone(sending.epoch()), None);
    assert!(window.find(&header).is_none());
}
