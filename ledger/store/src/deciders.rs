//! Which validators decide a height (G-3).

use ledger_state::Rules;
use ledger_types::Height;
use ledger_types::hand_over::HandOver;
use ledger_types::participant::ValidatorSet;

use crate::offer::after;

/// The genesis's validators and those that took over since, each with the first height that they decide.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Deciders {
    sets: Vec<(Height, ValidatorSet)>,
}

impl Deciders {
    /// By hand-overs from number 1 on, each checked under the set before it; the first that does not hold leads nowhere, and
    /// neither do those behind it.
    pub fn follow<'a>(rules: &Rules, hand_overs: impl IntoIterator<Item = &'a HandOver>) -> Self {
        let chain = &rules.chain;
        let mut sets = vec![(Height(1), rules.genesis.directory.validators())];
        for (number, HandOver { order, officers, header, certificate }) in (1..).zip(hand_overs) {
            let (since, set) = &sets[sets.len() - 1];
            let holds = header.height >= *since
                && (order.number, order.outgoing) == (number, set.hash(chain))
                && order.incoming.is_sound()
                && set.less_than_a_third_moves(&order.incoming)
                && order.is_signed_by(officers, &rules.genesis, chain)
                && header.next_set_hash == order.incoming.hash(chain)
                && (certificate.height, certificate.block) == (header.height, header.hash(chain))
                && certificate.verify(chain, set).is_ok();
            if !holds {
                break;
            }
            sets.push((after(header.height), order.incoming.clone()));
        }
        Self { sets }
    }

    /// Hand-overs that held.
    pub fn hand_overs(&self) -> usize {
        self.sets.len() - 1
    }

    pub fn of(&self, height: Height) -> &ValidatorSet {
        let after = self.sets.partition_point(|(since, _)| *since <= height);
        &self.sets[after.saturating_sub(1)].1
    }
}
