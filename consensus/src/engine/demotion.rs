//! A validator that does not propose is asked last for a while (B-4), so that a dead one does not cost a timeout every n heights.
//!
//! What must stay true: every node computes the same from committed headers and the set that decides the height, whenever it started and
//! whatever set decided before; at most f validators are demoted, for [`DEMOTED_HEIGHTS`] heights at most.
//!
//! ```text
//!  cycle:  │ trial, 2n heights: plain round-robin │ one height │ 100 heights: who failed twice in the trial comes last │
//! ```
//! A height decided in round r > 0 shows that the proposer of round 0 failed; the next header tells r. Those of further rounds are
//! not counted: they may have proposed the first one's block again (decision 070), and each is first twice in a trial. Who was first
//! follows from plain round-robin during a trial, so no cycle depends on the one before it: a node needs the headers of the
//! running cycle only. Where another set decided a height of the trial (G-3), whose turn it was says nothing: nobody is demoted.

use super::context::ValidatorSet;
use ledger_types::block::BlockHeader;
use ledger_types::ids::ValidatorSetHash;
use ledger_types::participant::ValidatorSet as Validators;
use ledger_types::{Height, ParticipantNumber};
use std::collections::{BTreeMap, BTreeSet};

pub const DEMOTED_HEIGHTS: u64 = 100;

/// A node that joins gets 128 headers and no more: a cycle, and the header before it, is never longer. From 63 validators on a cycle of
/// that length has no room for demotion.
pub const HEADERS_MAX: u64 = 128;

/// Heights of a trial and of a cycle; none where nobody is ever demoted.
fn cycle(validators: &Validators) -> Option<(u64, u64)> {
    let trial = 2 * validators.len() as u64;
    // The round of the trial's last height is known one height later; the header before a cycle tells who decided its first height.
    let demoted = DEMOTED_HEIGHTS.min((HEADERS_MAX - 2).checked_sub(trial)?);
    (demoted > 0).then_some((trial, trial + 1 + demoted))
}

/// The number of the cycle, if its trial is over at this height.
fn demotes_at(height: Height, validators: &Validators) -> Option<u64> {
    let (trial, cycle) = cycle(validators)?;
    let (number, place) = ((height.0 - 1) / cycle, (height.0 - 1) % cycle);
    (place > trial).then_some(number)
}

/// What a committed header tells of it.
#[derive(Clone, Copy, Debug)]
pub struct Told {
    /// Of the height before.
    pub parent_round: u32,
    /// Who decides the height after.
    pub next_set: ValidatorSetHash,
}

impl From<BlockHeader> for Told {
    fn from(header: BlockHeader) -> Self {
        Told { parent_round: header.parent_round, next_set: header.next_set_hash }
    }
}

/// Who is demoted, for as long as cycle and set stay what they are: so that headers are read once for both.
#[derive(Clone, Debug, Default)]
pub struct Demoted {
    of: Option<(u64, Validators)>,
    pub validators: BTreeSet<ParticipantNumber>,
}

impl Demoted {
    /// At a height that `validators` decide, with the headers of all heights before it. Where one cannot be read nobody is demoted, and
    /// the next height reads them again.
    pub fn at(self, height: Height, validators: &Validators, header: impl Fn(Height) -> Option<Told>) -> Self {
        let Some(number) = demotes_at(height, validators) else { return Demoted::default() };
        if self.of.as_ref().is_some_and(|(cycle, set)| *cycle == number && set == validators) {
            return self;
        }
        match demoted(height, validators, header) {
            Some(demoted) => Demoted { of: Some((number, validators.clone())), validators: demoted },
            None => Demoted::default(),
        }
    }
}

/// Empty during a trial; None where a header is missing.
fn demoted(
    height: Height,
    validators: &Validators,
    header: impl Fn(Height) -> Option<Told>,
) -> Option<BTreeSet<ParticipantNumber>> {
    let (Some(number), Some((trial, cycle))) = (demotes_at(height, validators), cycle(validators)) else {
        return Some(BTreeSet::new());
    };
    let start = number * cycle + 1;
    let plain = ValidatorSet::new(validators, BTreeSet::new());
    // The set of height 2 is that of height 1: no hand-over binds earlier than height 3.
    let names_set_of = |height: u64| (height - 1).max(1);
    let present = header(Height(names_set_of(height.0)))?.next_set;
    let read = (names_set_of(start)..=start + trial).map(|height| Some((height, header(Height(height))?)));
    let headers: BTreeMap<u64, Told> = read.collect::<Option<_>>()?;
    if (start..start + trial).any(|height| headers[&names_set_of(height)].next_set != present) {
        return Some(BTreeSet::new());
    }
    let mut failures: BTreeMap<ParticipantNumber, u32> = BTreeMap::new();
    for height in start..start + trial {
        if headers[&(height + 1)].parent_round > 0 {
            *failures.entry(plain.proposer(Height(height), 0).address.0).or_default() += 1;
        }
    }
    let mut failed: Vec<_> = failures.into_iter().filter(|(_, times)| *times >= 2).collect();
    failed.sort_by_key(|(number, times)| (std::cmp::Reverse(*times), *number));
    let faulty = (validators.len() - 1) / 3;
    Some(failed.into_iter().take(faulty).map(|(number, _)| number).collect())
}

#[cfg(test)]
mod tests {
    use super::*;
    use ledger_types::participant::Validator;
    use ledger_types::{Decode, Encode, List};

    fn set(count: u16) -> Validators {
        of_numbers((1..=count).collect())
    }

    fn of_numbers(numbers: Vec<u16>) -> Validators {
        let key = ledger_types::keys::PublicKey([0; 32]);
        let validators = numbers
            .into_iter()
            .map(|n| Validator { number: ParticipantNumber(n), power: 1, consensus: key, bundle: key, cosign: key })
            .collect();
        let list: List<Validator, 256> = List::new(validators).unwrap();
        Decode::from_bytes(&list.to_bytes()).unwrap()
    }

    /// Headers of heights that these rounds decided, all by one set up to and with `changed`, and by another from the next on.
    fn headers(round: impl Fn(Height) -> u32, changed: u64) -> impl Fn(Height) -> Option<Told> {
        move |height| {
            let before = height.0.checked_sub(1)?;
            let next_set = ValidatorSetHash([u8::from(height.0 >= changed); 32]);
            Some(Told { parent_round: if before == 0 { 0 } else { round(Height(before)) }, next_set })
        }
    }

    /// Decided rounds when `dead` never proposes.
    fn rounds(validators: &Validators, dead: u16) -> impl Fn(Height) -> u32 + use<> {
        let plain = ValidatorSet::new(validators, BTreeSet::new());
        move |height| (0..).find(|round| plain.proposer(height, *round).address.0 != ParticipantNumber(dead)).unwrap()
    }

    fn at(height: u64, validators: &Validators, round: impl Fn(Height) -> u32) -> BTreeSet<ParticipantNumber> {
        demoted(Height(height), validators, headers(round, u64::MAX)).expect("no header is missing")
    }

    /// Found by reading: the one who came in blamed another for heights that a set before it had decided, and those who stayed went on with
    /// what they had.
    #[test]
    fn b4_after_a_hand_over_nobody_is_demoted_by_a_trial_of_another_set_whoever_asks() {
        let (before, after) = (set(4), of_numbers(vec![1, 2, 4, 5]));
        let header = || headers(rounds(&before, 3), 20);
        let stayed = Demoted::default().at(Height(20), &before, header());
        assert_eq!(stayed.validators, BTreeSet::from([ParticipantNumber(3)]));
        for height in 21..=109 {
            let stayed = stayed.clone().at(Height(height), &after, header());
            let came_in = Demoted::default().at(Height(height), &after, header());
            assert!(stayed.validators.is_empty() && came_in.validators.is_empty(), "height {height}");
        }
        // Of a set that went and came back within the trial too.
        let back = |height: Height| {
            let told = headers(rounds(&set(4), 3), u64::MAX)(height)?;
            Some(Told { next_set: ValidatorSetHash([u8::from(height.0 == 4); 32]), ..told })
        };
        assert_eq!(demoted(Height(20), &before, back), Some(BTreeSet::new()));
    }

    /// Whoever joins has [`HEADERS_MAX`] of them.
    #[test]
    fn b4_a_cycle_and_the_header_before_it_are_never_more_than_a_node_gets_that_joins() {
        for count in 1..=256 {
            let validators = set(count);
            let Some((trial, cycle)) = cycle(&validators) else {
                assert!(count >= 63);
                continue;
            };
            assert_eq!(trial, 2 * u64::from(count));
            assert!(cycle < HEADERS_MAX, "{count} validators");
            assert_eq!(cycle - trial - 1 == DEMOTED_HEIGHTS, count <= 13, "{count} validators");
        }
        assert!(at(10_000, &set(256), |_| 1).is_empty());
        // With one header less than it takes nobody is demoted, until it is there.
        let validators = set(13);
        let oldest = 127;
        let (_, cycle) = cycle(&validators).unwrap();
        let last = Height(2 * cycle);
        let held = |from: u64| move |height: Height| headers(|_| 1, u64::MAX)(height).filter(|_| height.0 >= from);
        assert!(demoted(last, &validators, held(last.0 - oldest)).is_some_and(|demoted| !demoted.is_empty()));
        assert_eq!(demoted(last, &validators, held(last.0 - oldest + 1)), None);
        let lacks = Demoted::default().at(last, &validators, held(last.0 - oldest + 1));
        assert!(lacks.validators.is_empty());
        assert!(!lacks.at(last, &validators, held(1)).validators.is_empty());
    }

    #[test]
    fn b4_a_dead_proposer_comes_last_after_the_trial_and_gets_a_new_trial() {
        let validators = set(4);
        let at = |height| at(height, &validators, rounds(&validators, 3));
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
        let lost = |height: Height| if height.0 == 3 || height.0 == 7 { 2 } else { 0 };
        assert_eq!(at(20, &set(4), lost), BTreeSet::from([ParticipantNumber(4)]));
    }

    #[test]
    fn b4_one_failure_demotes_nobody_and_never_more_than_f() {
        let validators = set(4);
        assert!(at(20, &validators, |height| u32::from(height == Height(3))).is_empty());
        assert_eq!(at(20, &validators, |_| 3).len(), 1);
        assert!(at(40, &set(3), |_| 2).is_empty(), "three validators tolerate no fault");
    }
}
