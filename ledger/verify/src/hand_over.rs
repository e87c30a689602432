//! Hand-overs of the validator set (G-3), checked by who trusts the outgoing set. The rules of an order are
//! [`ledger_types::hand_over`]'s.
//!
//! The outgoing set decides a block whose header names the incoming set as the next one: the set of every later height.

use crate::block::check_block;
use crate::trust::Trust;
use crate::verdict::{Reason, Verdict};
use ledger_types::Height;
use ledger_types::hand_over::HandOver;

impl Trust {
    /// Moves trust to the incoming set when the hand-over holds; otherwise trust stays as it is.
    pub fn hand_over(&mut self, document: &HandOver) -> Verdict<()> {
        let decided =
            match check(self, document).and_then(|()| check_block(self, &document.header, &document.certificate)) {
                Ok(decided) => decided,
                Err(reason) => return Verdict::Invalid(reason),
            };
        let verdict = decided.judge(self);
        if let Verdict::Verified(block) = &verdict {
            self.move_to(document.order.incoming.clone(), block.header().height);
        }
        verdict.map(|_| ())
    }

    /// Moves trust from hand-over to hand-over to the set that decides the height after `through`; the first that does not hold ends
    /// the way. `hand_overs` ascend by number, from 1.
    pub fn follow(&mut self, hand_overs: &[HandOver], through: Height) -> Verdict<()> {
        let known = self.hand_overs() as usize;
        for document in hand_overs.iter().skip(known).take_while(|document| document.header.height <= through) {
            let verdict = self.hand_over(document);
            if !verdict.is_verified() {
                return verdict;
            }
        }
        Verdict::Verified(())
    }
}

fn check(trust: &Trust, document: &HandOver) -> Result<(), Reason> {
    let HandOver { order, officers, header, .. } = document;
    trust.stands_at(&order.outgoing)?;
    if Some(order.number) != trust.hand_overs().checked_add(1) {
        return Err(Reason::HandOverNotNext);
    }
    if !order.incoming.is_sound() {
        return Err(Reason::UnsoundSet);
    }
    if !trust.validators().less_than_a_third_moves(&order.incoming) {
        return Err(Reason::TooMuchPowerMoved);
    }
    if !order.is_signed_by(officers, trust.genesis(), trust.chain()) {
        return Err(Reason::NotAuthorized);
    }
    if header.height <= trust.set_since() {
        return Err(Reason::HandOverNotNext);
    }
    if header.next_set_hash != order.incoming.hash(trust.chain()) {
        return Err(Reason::HandOverNotDecided);
    }
    Ok(())
}
