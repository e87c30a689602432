//! Invoices: a key made for one payment. They need no disk: the same question gives the same answer after a restart too.
//!
//! And how many acceptances a caller has open: each is a row on disk until its order expires, so each caller has a bound.

use crate::link::Caller;
use ledger_types::OrderHash;
use ledger_types::keys::PublicKey;
use std::collections::{BTreeSet, HashMap, HashSet, VecDeque};
use std::sync::Mutex;

/// Of one caller; the oldest goes first, and whoever still wanted it asks again.
const INVOICES_PER_CALLER_MAX: usize = 8192;

/// Of one caller, not expired: with orders that live for 20 s, three thousand payments a second from one bank to one other.
const ACCEPTANCES_PER_CALLER_MAX: usize = 65_536;

#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct InvoiceEntry {
    pub wallet: String,
    pub key_index: u64,
    pub owner: PublicKey,
    pub amount: u64,
}

#[derive(Default)]
struct OfCaller {
    entries: HashMap<[u8; 32], InvoiceEntry>,
    order: VecDeque<[u8; 32]>,
    accepted: HashSet<OrderHash>,
    by_expiry: BTreeSet<(u64, OrderHash)>,
}

#[derive(Default)]
pub(crate) struct Invoices(Mutex<HashMap<Caller, OfCaller>>);

impl Invoices {
    pub fn insert(&self, caller: Caller, id: [u8; 32], entry: InvoiceEntry) {
        let mut callers = self.0.lock().expect("no holder of the invoices panics");
        let of = callers.entry(caller).or_default();
        if of.entries.insert(id, entry).is_none() {
            of.order.push_back(id);
        }
        if of.order.len() > INVOICES_PER_CALLER_MAX
            && let Some(oldest) = of.order.pop_front()
        {
            of.entries.remove(&oldest);
        }
    }

    /// Counts an order that is about to be accepted, once; false when the caller has as many open as it may.
    pub fn open_acceptance(&self, caller: Caller, order: OrderHash, expiry_ms: u64, now_ms: u64) -> bool {
        let mut callers = self.0.lock().expect("no holder of the invoices panics");
        let of = callers.entry(caller).or_default();
        while let Some((expiry_ms, expired)) = of.by_expiry.first().copied()
            && expiry_ms < now_ms
        {
            of.by_expiry.pop_first();
            of.accepted.remove(&expired);
        }
        if of.accepted.contains(&order) {
            return true;
        }
        if of.accepted.len() >= ACCEPTANCES_PER_CALLER_MAX {
            return false;
        }
        of.accepted.insert(order);
        of.by_expiry.insert((expiry_ms, order));
        true
    }

    pub fn get(&self, caller: Caller, id: &[u8; 32]) -> Option<InvoiceEntry> {
        let callers = self.0.lock().expect("no holder of the invoices panics");
        callers.get(&caller)?.entries.get(id).cloned()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use ledger_types::ParticipantNumber;

    #[test]
    fn one_caller_cannot_push_out_anothers_invoices_nor_see_them() {
        let invoices = Invoices::default();
        let [two, three] = [2, 3].map(|number| Caller::Participant(ParticipantNumber(number)));
        let entry = InvoiceEntry { wallet: "bob".into(), key_index: 1, owner: PublicKey([1; 32]), amount: 5 };
        invoices.insert(two, [9; 32], entry.clone());
        for number in 0..=INVOICES_PER_CALLER_MAX as u64 {
            let id = *blake3::hash(&number.to_le_bytes()).as_bytes();
            invoices.insert(three, id, entry.clone());
        }
        assert_eq!(invoices.get(two, &[9; 32]), Some(entry.clone()));
        assert_eq!(invoices.get(three, &[9; 32]), None);
        assert_eq!(invoices.get(three, blake3::hash(&0u64.to_le_bytes()).as_bytes()), None);
        assert_eq!(invoices.get(three, blake3::hash(&1u64.to_le_bytes()).as_bytes()), Some(entry));
    }

    #[test]
    fn a_caller_has_a_bound_of_open_acceptances_and_gets_room_when_orders_expire() {
        let invoices = Invoices::default();
        let [two, three] = [2, 3].map(|number| Caller::Participant(ParticipantNumber(number)));
        let order = |number: u64| OrderHash(*blake3::hash(&number.to_le_bytes()).as_bytes());
        let bound = ACCEPTANCES_PER_CALLER_MAX as u64;
        assert!((0..bound).all(|number| invoices.open_acceptance(two, order(number), 1_000 + number, 0)));
        assert!(invoices.open_acceptance(two, order(7), 1_007, 0), "the same order counts once");
        assert!(!invoices.open_acceptance(two, order(bound), 9_000_000, 0));
        assert!(invoices.open_acceptance(three, order(bound), 9_000_000, 0), "each caller has its own");
        assert!(!invoices.open_acceptance(two, order(bound), 9_000_000, 1_000));
        assert!(invoices.open_acceptance(two, order(bound), 9_000_000, 1_001));
    }
}
