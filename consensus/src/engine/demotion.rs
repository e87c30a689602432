//! A validator that does not propose is asked last for a while (B-4), so that a dead one does not cost a timeout every n heights.
//!
//! What must stay true: every node computes the same set from committed headers alone; at most f validators are demoted, for
//! [`DEMOTED_HEIGHTS`] heights at most.
//!
//! ```text
//!  cycle:  │ trial, 2n heights: plain round-robin │ one height │ 100 heights: who failed twice in the trial comes last │
//! ```
//! A height decided in round r > 0 shows that the proposer of round 0 failed; the next header tells r. Those of further rounds are
//! not counted: they may have proposed the first one's block again (decision 070), and each is first twice in a trial. Who was first
//! follows from plain round-robin during a trial, so no cycle depends on the one before it: a node needs the headers of the
//! running cycle only.

use super::context::ValidatorSet;
use ledger_types::{Height, ParticipantNumber};
use std::collections::{BTreeMap, BTreeSet};

pub const DEMOTED_HEIGHTS: u64 = 100;

fn cycle(validators: &ledger_types::participant::ValidatorSet) -> (u64, u64) {
    let trial = 2 * validators.len() as u64;
    // The round of the trial's last height is known one height later.
    (trial, trial + 1 + DEMOTED_HEIGHTS)
}

/// The number of the cycle, if its trial is over at this height.
pub fn demotes_at(height: Height, validators: &ledger_types::participant::ValidatorSet) -> Option<u64> {
    let (trial, cycle) = cycle(validators);
    let (number, place) = ((height.0 - 1) / cycle, (height.0 - 1) % cycle);
    (place > trial).then_some(number)
}

/// Empty during a trial. `round_of` tells in which round a committed height was decided, from the header after it.
pub fn demoted(
    height: Height,
    validators: &ledger_types::participant::ValidatorSet,
    round_of: impl Fn(Height) -> Option<u32>,
) -> BTreeSet<ParticipantNumber> {
    let Some(number) = demotes_at(height, validators) else { return BTreeSet::new() };
    let (trial, cycle) = cycle(validators);
    let start = number * cycle + 1;
    let plain = ValidatorSet::new(validators, BTreeSet::new());
    let mut failures: BTreeMap<ParticipantNumber, u32> = BTreeMap::new();
    for height in (start..start + trial).map(Height) {
        // A header that is missing here would make this node disagree with the others; it then proposes or accepts out of turn
        // and costs rounds, never safety.
        if round_of(height).unwrap_or(0) > 0 {
            *failures.entry(plain.proposer(height, 0).address.0).or_default() += 1;
        }
    }
    let mut failed: Vec<_> = failures.into_iter().filter(|(_, times)| *times >= 2).collect();
    failed.sort_by_key(|(number, times)| (std::cmp::Reverse(*times), *number));
    let faulty = (validators.len() - 1) / 3;
    failed.into_iter().take(faulty).map(|(number, _)| number).collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use ledger_types::participant::Validator;
    use ledger_types::{Decode, Encode, List};

    fn set(count: u16) -> ledger_types::participant::ValidatorSet {
        let key = ledger_types::keys::PublicKey([0; 32]);
        let validators = (1..=count)
            .map(|n| Validator { number: ParticipantNumber(n), power: 1, consensus: key, bundle: key, cosign: key })
            .collect();
        let list: List<Validator, 256> = List::new(validators).unwrap();
        Decode::from_bytes(&list.to_bytes()).unwrap()
    }

    /// Decided rounds when `dead` never proposes.
    fn rounds(validators: &ledger_types::participant::ValidatorSet, dead: u16) -> impl Fn(Height) -> Option<u32> {
        let plain = ValidatorSet::new(validators, BTreeSet::new());
        move |height| (0..).find(|round| plain.proposer(height, *round).address.0 != ParticipantNumber(dead))
    }

    #[test]
    fn b4_a_dead_proposer_comes_last_after_the_trial_and_gets_a_new_trial() {
        let validators = set(4);
        let at = |height| demoted(Height(height), &validators, rounds(&validators, 3));
        for height in 1..=9 {
            assert!(at(height).is_empty(), "height {height}");
        }
        for height in 10..=109 {
            assert_eq!(at(height), BTreeSet::from([ParticipantNumber(3)]), "height {height}");
        }
        assert!(at(110).is_empty());
    }

    #[test]
    fn b4_a_demoted_validator_proposes_only_in_the_last_round() {
        let validators = set(4);
        let set = ValidatorSet::new(&validators, BTreeSet::from([ParticipantNumber(3)]));
        for height in 1..20 {
            let order: Vec<u16> = (0..4).map(|round| set.proposer(Height(height), round).address.0.0).collect();
            assert_eq!(order[3], 3);
            let mut all = order.clone();
            all.sort();
            assert_eq!(all, vec![1, 2, 3, 4]);
        }
    }

    #[test]
    fn b4_round_robin_by_height_and_round() {
        let plain = ValidatorSet::new(&set(4), BTreeSet::new());
        let order: Vec<u16> = (1..=5).map(|height| plain.proposer(Height(height), 0).address.0.0).collect();
        assert_eq!(order, vec![2, 3, 4, 1, 2]);
        assert_eq!(plain.proposer(Height(1), 1).address.0, ParticipantNumber(3));
        assert_eq!(plain.proposer(Height(1), 4).address.0, ParticipantNumber(2));
    }

    /// Number 4 is first in heights 3 and 7, and who comes after it has nothing better to propose than its block.
    #[test]
    fn b4_who_proposes_in_a_further_round_that_is_lost_too_has_not_failed() {
        let lost = |height: Height| Some(if height.0 == 3 || height.0 == 7 { 2 } else { 0 });
        assert_eq!(demoted(Height(20), &set(4), lost), BTreeSet::from([ParticipantNumber(4)]));
    }

    #[test]
    fn b4_one_failure_demotes_nobody_and_never_more_than_f() {
        let validators = set(4);
        assert!(demoted(Height(20), &validators, |height| Some(u32::from(height == Height(3)))).is_empty());
        assert_eq!(demoted(Height(20), &validators, |_| Some(3)).len(), 1);
        assert!(demoted(Height(40), &set(3), |_| Some(2)).is_empty(), "three validators tolerate no fault");
    }
}
