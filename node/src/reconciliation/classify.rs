//! From what two claims do not share to typed differences. Pure.
//!
//! | the centre has    | the bank has             | it is |
//! |-------------------|--------------------------|-------|
//! | the coin          | it, with another tag     | wrong owner |
//! | the coin          | it, in another status    | wrong state |
//! | the coin          | nothing                  | missing; late if it is published by nobody for too long |
//! | the coin          | it, twice                | extra |
//! | it, at another bank | the coin               | wrong owner |
//! | nothing           | it, confirmed            | extra |
//! | nothing           | it, unconfirmed for long | by what became of its envelope: unreleased key, or nothing yet; else extra |

use super::set::SetDifferences;
use ledger_types::coin::CoinStatus;
use ledger_types::reconciliation::{CoinAtSide, Difference, DifferenceKind, ReconciledCoin, coin_of, tag_of};
use ledger_types::{CoinId, EnvelopeId};
use std::collections::BTreeMap;

/// A coin that was ordered and is in no set of the centre.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum UnderWay {
    /// The centre waits for a key.
    Waits { envelope: EnvelopeId, is_past_deadline: bool },
    /// Booked, and published by no batch yet.
    Unpublished,
}

/// What else the centre knows, as of the claims' height.
pub trait Centre {
    /// In this bank's custody.
    fn has(&self, coin: &CoinId) -> Option<CoinAtSide>;
    /// In another bank's custody: which one is not this bank's to know.
    fn has_at_another_bank(&self, coin: &CoinId) -> Option<CoinAtSide>;
    fn under_way(&self, coin: &CoinId) -> Option<UnderWay>;
    /// Disputed, and nobody could open it: the centre does not know whose custody it is in.
    fn is_unread(&self, coin: &CoinId) -> bool;
    /// Outputs of this bank's envelopes whose key nobody released by the deadline.
    fn unreleased(&self) -> Vec<(CoinId, EnvelopeId)>;
    /// Which envelope made it, if the centre keeps that.
    fn made_by(&self, coin: &CoinId) -> Option<EnvelopeId>;
}

/// `here` is the centre, `there` the bank; one of each status. `late` is the centre's own set of coins unconfirmed for too long.
pub fn classify(
    by_status: &[(CoinStatus, SetDifferences)],
    late: &[ReconciledCoin],
    centre: &impl Centre,
) -> Vec<Difference> {
    #[derive(Default)]
    struct Sides {
        here: Vec<CoinAtSide>,
        there: Vec<CoinAtSide>,
    }
    let mut coins: BTreeMap<CoinId, Sides> = BTreeMap::new();
    for (status, differences) in by_status {
        let at = |item: &ReconciledCoin| CoinAtSide { status: *status, tag: tag_of(item) };
        for item in &differences.only_here {
            coins.entry(coin_of(item)).or_default().here.push(at(item));
        }
        for item in &differences.only_there {
            coins.entry(coin_of(item)).or_default().there.push(at(item));
        }
    }
    let mut found: BTreeMap<(CoinId, DifferenceKind), Difference> = BTreeMap::new();
    let mut add = |kind, coin: CoinId, at_bank, at_centre, made_by: Option<EnvelopeId>| {
        let made_by = made_by.or_else(|| centre.made_by(&coin));
        let difference = Difference { kind, coin, at_bank, at_centre, made_by };
        found.entry((coin, kind)).or_insert(difference);
    };
    for (coin, Sides { here, there }) in coins {
        match (here.first().copied(), there.first().copied()) {
            (Some(own), Some(bank)) => {
                let kind = if own.tag == bank.tag { DifferenceKind::WrongState } else { DifferenceKind::WrongOwner };
                add(kind, coin, Some(bank), Some(own), None);
                for surplus in there.iter().skip(1) {
                    add(DifferenceKind::Extra, coin, Some(*surplus), Some(own), None);
                }
            }
            (Some(own), None) if own.status == CoinStatus::Unconfirmed => {
                add(DifferenceKind::Late, coin, None, Some(own), None);
            }
            (Some(own), None) => add(DifferenceKind::Missing, coin, None, Some(own), None),
            (None, Some(bank)) => {
                let disputed = bank.status == CoinStatus::Disputed;
                let elsewhere = centre.has_at_another_bank(&coin);
                match (bank.status, centre.under_way(&coin)) {
                    _ if disputed && centre.is_unread(&coin) => {}
                    _ if elsewhere.is_some() => add(DifferenceKind::WrongOwner, coin, Some(bank), elsewhere, None),
                    (CoinStatus::Unconfirmed, Some(UnderWay::Waits { envelope, is_past_deadline })) => {
                        if is_past_deadline {
                            add(DifferenceKind::UnreleasedKey, coin, Some(bank), None, Some(envelope));
                        }
                    }
                    // When it is late, the centre's own set of late coins says so: the bank may have waited for the key.
                    (CoinStatus::Unconfirmed, Some(UnderWay::Unpublished)) => {}
                    _ => add(DifferenceKind::Extra, coin, Some(bank), centre.has(&coin), None),
                }
            }
            (None, None) => unreachable!("a coin is here because one side has it"),
        }
    }
    for item in late {
        let own = CoinAtSide { status: CoinStatus::Unconfirmed, tag: tag_of(item) };
        // Those that the bank does not have as late too were found above.
        add(DifferenceKind::Late, coin_of(item), Some(own), Some(own), None);
    }
    for (coin, envelope) in centre.unreleased() {
        add(DifferenceKind::UnreleasedKey, coin, None, None, Some(envelope));
    }
    found.into_values().collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use ledger_types::OwnerTag;
    use ledger_types::reconciliation::reconciled_coin;

    #[derive(Default)]
    struct Known {
        has: Vec<(CoinId, CoinAtSide)>,
        elsewhere: Vec<(CoinId, CoinAtSide)>,
        under_way: Vec<(CoinId, UnderWay)>,
        unread: Vec<CoinId>,
        unreleased: Vec<(CoinId, EnvelopeId)>,
    }

    fn find<T: Copy>(list: &[(CoinId, T)], coin: &CoinId) -> Option<T> {
        list.iter().find(|(id, _)| id == coin).map(|(_, value)| *value)
    }

    impl Centre for Known {
        fn has(&self, coin: &CoinId) -> Option<CoinAtSide> {
            find(&self.has, coin)
        }
        fn has_at_another_bank(&self, coin: &CoinId) -> Option<CoinAtSide> {
            find(&self.elsewhere, coin)
        }
        fn under_way(&self, coin: &CoinId) -> Option<UnderWay> {
            find(&self.under_way, coin)
        }
        fn is_unread(&self, coin: &CoinId) -> bool {
            self.unread.contains(coin)
        }
        fn unreleased(&self) -> Vec<(CoinId, EnvelopeId)> {
            self.unreleased.clone()
        }
        fn made_by(&self, _: &CoinId) -> Option<EnvelopeId> {
            None
        }
    }

    fn coin(n: u8) -> CoinId {
        CoinId([n; 32])
    }

    fn item(n: u8, tag: u8) -> ReconciledCoin {
        reconciled_coin(&coin(n), &OwnerTag([tag; 32]))
    }

    fn live(tag: u8) -> CoinAtSide {
        CoinAtSide { status: CoinStatus::Live, tag: OwnerTag([tag; 32]) }
    }

    /// (status, only at the centre, only at the bank)
    type Lists<'a> = &'a [(CoinStatus, &'a [ReconciledCoin], &'a [ReconciledCoin])];

    fn kinds(lists: Lists<'_>, late: &[ReconciledCoin], centre: &Known) -> Vec<(u8, DifferenceKind)> {
        let by_status: Vec<_> = lists
            .iter()
            .map(|(status, here, there)| {
                let (only_here, only_there) = (here.to_vec(), there.to_vec());
                (*status, SetDifferences { only_here, only_there, is_cut: false })
            })
            .collect();
        classify(&by_status, late, centre).iter().map(|found| (found.coin.0[0], found.kind)).collect()
    }

    #[test]
    fn each_kind_of_difference_has_its_type() {
        use DifferenceKind::*;
        let none = Known::default();
        assert_eq!(kinds(&[(CoinStatus::Live, &[item(1, 1)], &[])], &[], &none), [(1, Missing)]);
        assert_eq!(kinds(&[(CoinStatus::Live, &[], &[item(1, 1)])], &[], &none), [(1, Extra)]);
        assert_eq!(kinds(&[(CoinStatus::Live, &[item(1, 1)], &[item(1, 2)])], &[], &none), [(1, WrongOwner)]);
        let moved: Lists<'_> = &[(CoinStatus::Live, &[item(1, 1)], &[]), (CoinStatus::Disputed, &[], &[item(1, 1)])];
        assert_eq!(kinds(moved, &[], &none), [(1, WrongState)]);
        assert_eq!(kinds(&[(CoinStatus::Unconfirmed, &[item(1, 1)], &[])], &[], &none), [(1, Late)]);
        assert_eq!(kinds(&[], &[item(1, 1)], &none), [(1, Late)]);
        let elsewhere = Known { elsewhere: vec![(coin(1), live(1))], ..Known::default() };
        assert_eq!(kinds(&[(CoinStatus::Live, &[], &[item(1, 1)])], &[], &elsewhere), [(1, WrongOwner)]);
        let unreleased = Known { unreleased: vec![(coin(1), EnvelopeId([9; 32]))], ..Known::default() };
        assert_eq!(kinds(&[], &[], &unreleased), [(1, UnreleasedKey)]);
    }

    #[test]
    fn a_coin_that_the_book_has_twice_is_an_extra_one_that_the_centre_has() {
        let centre = Known { has: vec![(coin(1), live(1))], ..Known::default() };
        let second = SetDifferences { only_there: vec![item(1, 1)], ..SetDifferences::default() };
        let by_status = [(CoinStatus::Live, second)];
        let found = classify(&by_status, &[], &centre);
        assert_eq!((found.len(), found[0].kind), (1, DifferenceKind::Extra));
        assert_eq!((found[0].at_bank, found[0].at_centre), (Some(live(1)), Some(live(1))));
    }

    #[test]
    fn a_coin_that_waits_for_its_key_is_no_difference_before_the_deadline() {
        let waits = |is_past_deadline| Known {
            under_way: vec![(coin(1), UnderWay::Waits { envelope: EnvelopeId([9; 32]), is_past_deadline })],
            ..Known::default()
        };
        let lists: Lists<'_> = &[(CoinStatus::Unconfirmed, &[], &[item(1, 1)])];
        assert_eq!(kinds(lists, &[], &waits(false)), []);
        assert_eq!(kinds(lists, &[], &waits(true)), [(1, DifferenceKind::UnreleasedKey)]);
        let unpublished = Known { under_way: vec![(coin(1), UnderWay::Unpublished)], ..Known::default() };
        assert_eq!(kinds(lists, &[], &unpublished), [], "the centre has had it for less than too long");
        assert_eq!(kinds(lists, &[], &Known::default()), [(1, DifferenceKind::Extra)]);
    }

    #[test]
    fn a_disputed_coin_that_nobody_could_open_at_the_centre_is_no_difference() {
        let unread = Known { unread: vec![coin(1)], ..Known::default() };
        assert_eq!(kinds(&[(CoinStatus::Disputed, &[], &[item(1, 1)])], &[], &unread), []);
        assert_eq!(kinds(&[(CoinStatus::Live, &[], &[item(1, 1)])], &[], &unread), [(1, DifferenceKind::Extra)]);
    }
}
