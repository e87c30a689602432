//! Who decides, and the hand-over that is under way (G-3).
//!
//! ```text
//! height   a: the order is accepted    b ≥ a: a batch logs it      b + 1: the last block of       b + 2: the first of the
//!          the directory names the     (L-1), binds at b + 2       the outgoing set; its header   incoming set
//!          incoming set                                            names the incoming as next
//! ```
//! What stays true here: one hand-over at a time, so while one is pending the directory's validators are its incoming set, and else
//! the set that decides.

use ledger_types::encoding::{Encode, Reader};
use ledger_types::envelope::OfficerSignatures;
use ledger_types::hand_over::HandOverOrder;
use ledger_types::ids::{Height, ValidatorSetHash};
use ledger_types::participant::ValidatorSet;
use ledger_types::{Chain, Decode, DecodeError, layout};
use std::sync::Arc;

/// From the batch that logs a hand-over to the first height that the incoming set decides.
const BINDS_AFTER: u64 = 2;

#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Validators {
    /// Decides the next height.
    pub set: Arc<ValidatorSet>,
    /// Hand-overs that have bound; the next one's number is one more.
    pub hand_overs: u32,
    pub pending: Option<PendingHandOver>,
}

#[derive(Clone, Debug, PartialEq, Eq)]
pub struct PendingHandOver {
    pub order: HandOverOrder,
    pub officers: OfficerSignatures,
    /// The first height that the incoming set decides; none before a batch has logged the order.
    pub binds_at: Option<Height>,
}
layout!(PendingHandOver { order, officers, binds_at });

/// What the map says of a hand-over (9.3, type 7, id: its number).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct HandOverEntry {
    pub outgoing: ValidatorSetHash,
    pub incoming: ValidatorSetHash,
    pub binds_at: Option<Height>,
}
layout!(HandOverEntry { outgoing, incoming, binds_at });

impl PendingHandOver {
    pub fn entry(&self, chain: &Chain) -> HandOverEntry {
        let HandOverOrder { outgoing, incoming, .. } = &self.order;
        HandOverEntry { outgoing: *outgoing, incoming: incoming.hash(chain), binds_at: self.binds_at }
    }
}

impl Validators {
    pub fn of_genesis(set: ValidatorSet) -> Self {
        Validators { set: Arc::new(set), hand_overs: 0, pending: None }
    }

    /// A batch of this height has logged what waited. True when a hand-over was among it.
    pub(crate) fn logged(&mut self, height: Height) -> bool {
        match &mut self.pending {
            Some(pending) if pending.binds_at.is_none() => {
                pending.binds_at = Some(Height(height.0.saturating_add(BINDS_AFTER)));
                true
            }
            _ => false,
        }
    }

    /// The block of this height is decided. Gives the hand-over that binds at the next one.
    pub(crate) fn bind_after(&mut self, height: Height) -> Option<PendingHandOver> {
        let bound = self.pending.take_if(|pending| pending.binds_at == Some(height.next()))?;
        self.set = Arc::new(bound.order.incoming.clone());
        self.hand_overs = bound.order.number;
        Some(bound)
    }
}

impl Encode for Validators {
    fn encode(&self, out: &mut Vec<u8>) {
        self.set.encode(out);
        self.hand_overs.encode(out);
        self.pending.encode(out);
    }
}

impl Decode for Validators {
    fn decode(reader: &mut Reader<'_>) -> Result<Self, DecodeError> {
        Ok(Validators { set: Arc::new(reader.read()?), hand_overs: reader.read()?, pending: reader.read()? })
    }
}
