//! Which items two sets do not share, found by asking about ranges (range-based set reconciliation).
//!
//! ```text
//! asker                                         answerer
//!   ranges that differ  ──────────────────────▶  of each: its items, if they are few,
//!   compares each part with its own range  ◀───  else its parts: a bound, a count and a fingerprint each
//!   only parts that differ are asked about again
//! ```
//! What must stay true:
//! - Pure: no I/O, no clock. The answerer keeps nothing between questions but the set.
//! - d differences among n items cost O(d · log n) bytes, and at most [`Bisection::DEPTH_MAX`] questions for each
//!   [`RANGES_PER_QUESTION`] ranges that differ.
//! - An answerer that lies is found out: the own set with the differences applied must have the fingerprint that it signed.
//!   It can make the asker ask no more than its signed count allows.
//! - A coin that stands in a set twice counts twice.

use ledger_types::coin::CoinStatus;
use ledger_types::reconciliation::{ReconciledCoin, ReconciledSet, coin_of, set_fingerprint};
use ledger_types::{Chain, CoinId, ParticipantNumber};
use serde::{Deserialize, Serialize};
use std::cmp::Ordering;

/// A differing range costs this many fingerprints a level: fewer make more rounds, more make more bytes.
const PARTS: usize = 16;
/// A range of so many items is answered by its items.
const ITEMS_MAX: usize = 16;
/// Of one question: its answer stays below 400 KB.
pub const RANGES_PER_QUESTION: usize = 256;

/// Coins from `from` on, below `to`; without `to`, to the end.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Range {
    pub from: [u8; 32],
    pub to: Option<[u8; 32]>,
}

impl Range {
    pub const ALL: Range = Range { from: [0; 32], to: None };
}

/// A part of a range, up to the next part's `from`.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Part {
    pub from: [u8; 32],
    pub count: u64,
    pub fingerprint: [u8; 32],
}

#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum RangeAnswer {
    /// Coin and tag, 64 bytes each, ascending.
    Items(Vec<Vec<u8>>),
    /// Ascending; the first begins where the range begins.
    Parts(Vec<Part>),
}

/// Coins of one bank in one status.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct CoinSet {
    bank: ParticipantNumber,
    status: CoinStatus,
    items: Vec<ReconciledCoin>,
}

impl CoinSet {
    pub fn new(bank: ParticipantNumber, status: CoinStatus, mut items: Vec<ReconciledCoin>) -> Self {
        items.sort_unstable();
        CoinSet { bank, status, items }
    }

    pub fn status(&self) -> CoinStatus {
        self.status
    }

    pub fn items(&self) -> &[ReconciledCoin] {
        &self.items
    }

    /// What the side signs.
    pub fn line(&self, chain: &Chain) -> ReconciledSet {
        let fingerprint = self.fingerprint(chain, &self.items);
        ReconciledSet { status: self.status, count: self.items.len() as u64, fingerprint }
    }

    fn fingerprint(&self, chain: &Chain, items: &[ReconciledCoin]) -> [u8; 32] {
        set_fingerprint(chain, self.bank, self.status, items)
    }

    fn range(&self, range: &Range) -> &[ReconciledCoin] {
        let start = self.items.partition_point(|item| coin_of(item).0 < range.from);
        let end = match range.to {
            Some(to) => self.items.partition_point(|item| coin_of(item).0 < to),
            None => self.items.len(),
        };
        self.items.get(start..end).unwrap_or_default()
    }

    pub fn answer(&self, chain: &Chain, range: &Range) -> RangeAnswer {
        let items = self.range(range);
        let bounds = bounds(items);
        if items.len() <= ITEMS_MAX || bounds.len() < 2 {
            return RangeAnswer::Items(items.iter().map(|item| item.to_vec()).collect());
        }
        let ends = bounds.iter().skip(1).copied().chain([items.len()]);
        let part = |(start, end): (usize, usize)| {
            let from = if start == 0 { range.from } else { coin_of(&items[start]).0 };
            let part = &items[start..end];
            Part { from, count: part.len() as u64, fingerprint: self.fingerprint(chain, part) }
        };
        RangeAnswer::Parts(bounds.iter().copied().zip(ends).map(part).collect())
    }

    /// The set that has these items instead of those.
    fn with(&self, without: &[ReconciledCoin], added: &[ReconciledCoin]) -> Vec<ReconciledCoin> {
        let mut items = Vec::with_capacity(self.items.len() + added.len());
        let mut without = without.iter().peekable();
        for item in &self.items {
            if without.next_if_eq(&item).is_none() {
                items.push(*item);
            }
        }
        items.extend_from_slice(added);
        items.sort_unstable();
        items
    }
}

/// Where parts of nearly equal counts begin; items of one coin stay together.
fn bounds(items: &[ReconciledCoin]) -> Vec<usize> {
    let mut bounds = Vec::with_capacity(PARTS);
    for part in 0..PARTS {
        let at = items.len() * part / PARTS;
        let start = match items.get(at) {
            Some(item) => items.partition_point(|other| coin_of(other) < coin_of(item)),
            None => continue,
        };
        if bounds.last().is_none_or(|last| *last < start) {
            bounds.push(start);
        }
    }
    bounds
}

/// Ascending.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct SetDifferences {
    pub only_here: Vec<ReconciledCoin>,
    pub only_there: Vec<ReconciledCoin>,
    /// More differ than the asker wanted to know: then the rest is not looked at, and nothing is proved complete.
    pub is_cut: bool,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum BisectionFault {
    #[error("an answer does not fit its question")]
    Unfitting,
    #[error("the answers contradict the fingerprint that was signed")]
    NotWhatWasSigned,
}

/// The asking side.
pub struct Bisection<'a> {
    chain: Chain,
    own: &'a CoinSet,
    theirs: ReconciledSet,
    /// To be asked about, each with what the other said that it holds and how deep it lies.
    open: Vec<(Range, u64, u32)>,
    asked: Vec<(Range, u64, u32)>,
    found: SetDifferences,
    differences_max: usize,
}

impl<'a> Bisection<'a> {
    /// 16^16 items: a range that is not split by then is no honest answer.
    pub const DEPTH_MAX: u32 = 16;

    pub fn new(chain: Chain, own: &'a CoinSet, theirs: ReconciledSet, differences_max: usize) -> Self {
        let open = if own.line(&chain) == theirs { Vec::new() } else { vec![(Range::ALL, theirs.count, 0)] };
        let found = SetDifferences::default();
        Bisection { chain, own, theirs, open, asked: Vec::new(), found, differences_max }
    }

    /// The next ranges to ask about; none when all is found.
    pub fn question(&mut self) -> Option<Vec<Range>> {
        if self.open.is_empty() {
            return None;
        }
        let at = self.open.len().saturating_sub(RANGES_PER_QUESTION);
        self.asked = self.open.split_off(at);
        Some(self.asked.iter().map(|(range, ..)| *range).collect())
    }

    pub fn take(&mut self, answers: &[RangeAnswer]) -> Result<(), BisectionFault> {
        let asked = std::mem::take(&mut self.asked);
        if answers.len() != asked.len() {
            return Err(BisectionFault::Unfitting);
        }
        for ((range, count, depth), answer) in asked.into_iter().zip(answers) {
            match answer {
                RangeAnswer::Items(items) => self.take_items(&range, count, items)?,
                RangeAnswer::Parts(parts) => self.take_parts(&range, count, depth, parts)?,
            }
        }
        if self.found.only_here.len() + self.found.only_there.len() > self.differences_max {
            self.found.is_cut = true;
            self.open.clear();
        }
        Ok(())
    }

    fn take_items(&mut self, range: &Range, count: u64, items: &[Vec<u8>]) -> Result<(), BisectionFault> {
        let items: Option<Vec<ReconciledCoin>> = items.iter().map(|item| item.as_slice().try_into().ok()).collect();
        let theirs = items.ok_or(BisectionFault::Unfitting)?;
        let is_in_range = |coin: CoinId| range.from <= coin.0 && range.to.is_none_or(|to| coin.0 < to);
        if theirs.len() as u64 != count || !theirs.is_sorted() || !theirs.iter().all(|item| is_in_range(coin_of(item)))
        {
            return Err(BisectionFault::Unfitting);
        }
        let mut theirs = theirs.into_iter().peekable();
        for own in self.own.range(range) {
            loop {
                match theirs.peek().map_or(Ordering::Greater, |their| their.cmp(own)) {
                    Ordering::Less => self.found.only_there.extend(theirs.next()),
                    Ordering::Equal => {
                        theirs.next();
                        break;
                    }
                    Ordering::Greater => {
                        self.found.only_here.push(*own);
                        break;
                    }
                }
            }
        }
        self.found.only_there.extend(theirs);
        Ok(())
    }

    fn take_parts(&mut self, range: &Range, count: u64, depth: u32, parts: &[Part]) -> Result<(), BisectionFault> {
        let ascend = parts.is_sorted_by(|a, b| a.from < b.from);
        let begins = parts.first().is_some_and(|first| first.from == range.from);
        let is_below = |part: &Part| range.to.is_none_or(|to| part.from < to);
        let sum = parts.iter().try_fold(0u64, |sum, part| sum.checked_add(part.count));
        let is_fit = (2..=PARTS).contains(&parts.len()) && parts.iter().all(|part| part.count > 0 && is_below(part));
        if !ascend || !begins || !is_fit || sum != Some(count) || depth >= Self::DEPTH_MAX {
            return Err(BisectionFault::Unfitting);
        }
        let ends = parts.iter().skip(1).map(|part| Some(part.from)).chain([range.to]);
        for (part, to) in parts.iter().zip(ends) {
            let range = Range { from: part.from, to };
            let own = self.own.range(&range);
            if own.len() as u64 != part.count || self.own.fingerprint(&self.chain, own) != part.fingerprint {
                self.open.push((range, part.count, depth + 1));
            }
        }
        Ok(())
    }

    /// What was found, checked against what the other side signed.
    pub fn finish(mut self) -> Result<SetDifferences, BisectionFault> {
        self.found.only_here.sort_unstable();
        self.found.only_there.sort_unstable();
        if !self.found.is_cut {
            let applied = self.own.with(&self.found.only_here, &self.found.only_there);
            let fingerprint = self.own.fingerprint(&self.chain, &applied);
            if applied.len() as u64 != self.theirs.count || fingerprint != self.theirs.fingerprint {
                return Err(BisectionFault::NotWhatWasSigned);
            }
        }
        Ok(self.found)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use ledger_types::GenesisHash;
    use proptest::prelude::*;
    use std::collections::BTreeSet;

    const BANK: ParticipantNumber = ParticipantNumber(2);

    fn chain() -> Chain {
        Chain::new(GenesisHash([7; 32]))
    }

    fn item(number: u64, tag: u8) -> ReconciledCoin {
        let mut item = [tag; 64];
        item[..32].copy_from_slice(blake3::hash(&number.to_le_bytes()).as_bytes());
        item
    }

    fn set(items: Vec<ReconciledCoin>) -> CoinSet {
        CoinSet::new(BANK, CoinStatus::Live, items)
    }

    /// What the talk cost.
    #[derive(Debug, Default)]
    struct Cost {
        messages: usize,
        bytes: usize,
    }

    fn reconcile(own: &CoinSet, theirs: &CoinSet) -> (SetDifferences, Cost) {
        let mut cost = Cost::default();
        let mut bisection = Bisection::new(chain(), own, theirs.line(&chain()), usize::MAX);
        while let Some(ranges) = bisection.question() {
            let answers: Vec<RangeAnswer> = ranges.iter().map(|range| theirs.answer(&chain(), range)).collect();
            cost.messages += 1;
            for value in [bincode_len(&ranges), bincode_len(&answers)] {
                cost.bytes += value;
            }
            bisection.take(&answers).unwrap();
        }
        (bisection.finish().unwrap(), cost)
    }

    fn bincode_len(value: &impl Serialize) -> usize {
        let config = bincode::config::standard().with_fixed_int_encoding();
        bincode::serde::encode_to_vec(value, config).unwrap().len()
    }

    proptest! {
        #[test]
        fn whatever_two_sets_do_not_share_is_found_and_nothing_else(
            shared in 0u64..2_000,
            here in proptest::collection::btree_set(10_000u64..20_000, 0..40),
            there in proptest::collection::btree_set(20_000u64..30_000, 0..40),
            twice in proptest::collection::btree_set(0u64..2_000, 0..4),
            altered in proptest::collection::btree_set(0u64..2_000, 0..8),
        ) {
            let own: Vec<_> = (0..shared).chain(here.iter().copied()).map(|n| item(n, 1)).collect();
            let mut theirs: Vec<_> = (0..shared)
                .map(|n| item(n, if altered.contains(&n) { 2 } else { 1 }))
                .chain(there.iter().map(|n| item(*n, 1)))
                .collect();
            theirs.extend(twice.iter().filter(|n| **n < shared && !altered.contains(n)).map(|n| item(*n, 1)));
            let (found, _) = reconcile(&set(own.clone()), &set(theirs.clone()));
            let altered: Vec<u64> = altered.into_iter().filter(|n| *n < shared).collect();
            let twice = twice.iter().filter(|n| **n < shared && !altered.contains(n)).copied();
            let expect = |numbers: Vec<u64>, tag: u8| numbers.into_iter().map(move |n| item(n, tag));
            let mut only_here: Vec<_> =
                expect(here.into_iter().chain(altered.clone()).collect(), 1).collect();
            let mut only_there: Vec<_> = expect(there.into_iter().chain(twice).collect(), 1)
                .chain(expect(altered, 2))
                .collect();
            only_here.sort_unstable();
            only_there.sort_unstable();
            prop_assert_eq!(found, SetDifferences { only_here, only_there, is_cut: false });
        }
    }

    #[test]
    fn d_differences_among_100_000_cost_d_log_n_bytes_and_a_bounded_number_of_messages() {
        const N: u64 = 100_000;
        let own = set((0..N).map(|n| item(n, 1)).collect());
        // 16^5 > 100,000 > 16^4 · 1: five levels of parts and the items.
        const LEVELS: usize = 6;
        for d in [0u64, 1, 3, 30, 300] {
            let changed: BTreeSet<u64> = (0..d).map(|i| i * 331).collect();
            let theirs = set((0..N).map(|n| item(n, if changed.contains(&n) { 2 } else { 1 })).collect());
            let (found, cost) = reconcile(&own, &theirs);
            assert_eq!((found.only_here.len(), found.only_there.len()), (d as usize, d as usize));
            assert!(found.only_there.iter().all(|item| item[63] == 2));
            let d = d as usize;
            assert!(cost.messages <= LEVELS * d.div_ceil(RANGES_PER_QUESTION).max(1) + d / 32, "{d}: {cost:?}");
            assert!(cost.bytes <= d * LEVELS * (PARTS * 72 + 80), "{d}: {cost:?}");
        }
    }

    #[test]
    fn an_answerer_that_hides_an_item_is_found_out() {
        let own = set((0..1_000).map(|n| item(n, 1)).collect());
        let signed = set((0..1_001).map(|n| item(n, 1)).collect());
        let told = own.clone();
        let mut bisection = Bisection::new(chain(), &own, signed.line(&chain()), 100);
        let ranges = bisection.question().unwrap();
        let answers: Vec<_> = ranges.iter().map(|range| told.answer(&chain(), range)).collect();
        assert_eq!(bisection.take(&answers), Err(BisectionFault::Unfitting), "the counts do not add up");

        let other = set((0..1_000).map(|n| item(n, if n == 5 { 2 } else { 1 })).collect());
        let mut bisection = Bisection::new(chain(), &own, other.line(&chain()), 100);
        let ranges = bisection.question().unwrap();
        bisection.take(&ranges.iter().map(|range| told.answer(&chain(), range)).collect::<Vec<_>>()).unwrap();
        assert_eq!(bisection.finish(), Err(BisectionFault::NotWhatWasSigned));
    }

    #[test]
    fn more_differences_than_wanted_end_the_asking() {
        let own = set(Vec::new());
        let theirs = set((0..50_000).map(|n| item(n, 1)).collect());
        let mut bisection = Bisection::new(chain(), &own, theirs.line(&chain()), 1_000);
        let mut messages = 0;
        while let Some(ranges) = bisection.question() {
            messages += 1;
            bisection.take(&ranges.iter().map(|range| theirs.answer(&chain(), range)).collect::<Vec<_>>()).unwrap();
        }
        assert!(messages < 20, "{messages}");
        let found = bisection.finish().unwrap();
        assert!(found.is_cut && found.only_there.len() > 1_000);
    }

    #[test]
    fn answers_that_do_not_fit_are_refused_whatever_they_are() {
        let own = set((0..100).map(|n| item(n, 1)).collect());
        let theirs = set((0..100).map(|n| item(n, 2)).collect());
        let ask = |answer: RangeAnswer| {
            let mut bisection = Bisection::new(chain(), &own, theirs.line(&chain()), 100);
            bisection.question().unwrap();
            bisection.take(&[answer])
        };
        let RangeAnswer::Parts(parts) = theirs.answer(&chain(), &Range::ALL) else { panic!("100 items make parts") };
        assert_eq!(ask(RangeAnswer::Parts(parts.clone())), Ok(()));
        let spoil = |change: fn(&mut Vec<Part>)| {
            let mut parts = parts.clone();
            change(&mut parts);
            ask(RangeAnswer::Parts(parts))
        };
        assert_eq!(spoil(|parts| parts.swap(1, 2)), Err(BisectionFault::Unfitting));
        assert_eq!(spoil(|parts| parts[0].from[0] = 1), Err(BisectionFault::Unfitting));
        assert_eq!(spoil(|parts| parts[3].count += 1), Err(BisectionFault::Unfitting));
        assert_eq!(spoil(|parts| parts[0].count = u64::MAX), Err(BisectionFault::Unfitting));
        assert_eq!(spoil(Vec::clear), Err(BisectionFault::Unfitting));
        assert_eq!(ask(RangeAnswer::Items(vec![vec![0; 63]])), Err(BisectionFault::Unfitting));
        assert_eq!(ask(RangeAnswer::Items(Vec::new())), Err(BisectionFault::Unfitting));
    }
}
