//! What a difference means, whose record the registry contradicts, and what either side can do about it. Pure.
//!
//! The registry is the judge: what the validators have signed of the coin. Where it has not been asked, nobody is to blame.

use ledger_types::OwnerTag;
use ledger_types::coin::CoinStatus;
use ledger_types::confirmation::RecordStatus;
use ledger_types::reconciliation::{CoinAtSide, Difference, DifferenceKind, ReconciliationSide};

/// What the registry says of a coin, proved.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Registered {
    Absent,
    Record { status: RecordStatus, tag: OwnerTag },
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Fault {
    Bank,
    Centre,
    Unknown,
}

/// What a side can run by itself.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Repair {
    /// The bank reads the coin's record again, with its proof, and makes its book say the same.
    MendBook,
    /// The bank opens the envelope again and releases its key again.
    ReleaseAgain,
    /// The centre reads the coin's record again, with its proof, and makes its account say the same.
    MendAccount,
}

impl Repair {
    pub fn name(self) -> &'static str {
        match self {
            Repair::MendBook => "mend_book",
            Repair::ReleaseAgain => "release_again",
            Repair::MendAccount => "mend_account",
        }
    }

    pub fn what(self) -> &'static str {
        match self {
            Repair::MendBook => "read the coin's record again, with its proof, and make the book say the same",
            Repair::ReleaseAgain => "open the envelope again and release its key again",
            Repair::MendAccount => "read the coin's record again, with its proof, and make the account say the same",
        }
    }
}

pub fn kind(kind: DifferenceKind) -> &'static str {
    match kind {
        DifferenceKind::Missing => "missing",
        DifferenceKind::Extra => "extra",
        DifferenceKind::WrongOwner => "wrong_owner",
        DifferenceKind::WrongState => "wrong_state",
        DifferenceKind::Late => "late",
        DifferenceKind::UnreleasedKey => "unreleased_key",
    }
}

pub fn status(status: CoinStatus) -> &'static str {
    match status {
        CoinStatus::Unconfirmed => "unconfirmed",
        CoinStatus::Live => "live",
        CoinStatus::Frozen => "frozen",
        CoinStatus::Disputed => "disputed",
    }
}

pub fn record_status(status: RecordStatus) -> &'static str {
    match status {
        RecordStatus::Live => "live",
        RecordStatus::Spent => "spent",
        RecordStatus::Frozen => "frozen",
        RecordStatus::Disputed => "disputed",
    }
}

/// What a record says of a coin that somebody holds; `None`: nobody does.
pub fn held(registered: Registered) -> Option<CoinAtSide> {
    let Registered::Record { status, tag } = registered else { return None };
    let status = match status {
        RecordStatus::Live => CoinStatus::Live,
        RecordStatus::Frozen => CoinStatus::Frozen,
        RecordStatus::Disputed => CoinStatus::Disputed,
        RecordStatus::Spent => return None,
    };
    Some(CoinAtSide { status, tag })
}

pub fn fault(difference: &Difference, registered: Option<Registered>) -> Fault {
    match difference.kind {
        // Nothing is recorded yet: who is slow is known.
        DifferenceKind::Late => return Fault::Centre,
        DifferenceKind::UnreleasedKey => return Fault::Bank,
        _ => {}
    }
    let Some(registered) = registered else { return Fault::Unknown };
    let expected = held(registered);
    // A second copy is wrong whatever the first one says.
    let is_surplus = difference.kind == DifferenceKind::Extra && difference.at_centre.is_some();
    match (difference.at_bank == expected && !is_surplus, difference.at_centre == expected) {
        (true, false) => Fault::Centre,
        (false, true) => Fault::Bank,
        _ => Fault::Unknown,
    }
}

/// What this side can run for it.
pub fn repair(side: ReconciliationSide, difference: &Difference, registered: Option<Registered>) -> Option<Repair> {
    match (side, difference.kind, fault(difference, registered)) {
        (_, DifferenceKind::Late, _) => None,
        (ReconciliationSide::Bank, DifferenceKind::UnreleasedKey, _) => Some(Repair::ReleaseAgain),
        (_, DifferenceKind::UnreleasedKey, _) => None,
        (ReconciliationSide::Bank, _, Fault::Bank) => Some(Repair::MendBook),
        (ReconciliationSide::RegistrationCentre, _, Fault::Centre) => Some(Repair::MendAccount),
        _ => None,
    }
}

pub fn explanation(difference: &Difference, registered: Option<Registered>) -> String {
    let side = |at: Option<CoinAtSide>| at.map_or("not at all", |at| status(at.status));
    let (bank, centre) = (side(difference.at_bank), side(difference.at_centre));
    let what = match difference.kind {
        DifferenceKind::Missing => {
            format!("the registration centre has the coin as {centre} in this bank's custody; the bank's book lacks it")
        }
        DifferenceKind::Extra if difference.at_centre.is_some() => {
            "the bank's book has the coin twice; the registration centre has it once".to_owned()
        }
        DifferenceKind::Extra => {
            format!("the bank's book has the coin as {bank}; the registration centre does not have it")
        }
        DifferenceKind::WrongOwner => {
            "both sides have the coin, and the owners that they have of it, or the banks, are not the same".to_owned()
        }
        DifferenceKind::WrongState => {
            format!("the bank's book has the coin as {bank}, the registration centre as {centre}")
        }
        DifferenceKind::Late => {
            return "the payment was ordered and registered, and no batch has confirmed it for over a minute: confirmation \
                    issuance is behind"
                .to_owned();
        }
        DifferenceKind::UnreleasedKey => {
            return "the payment was ordered, and no party has released its key by the deadline".to_owned();
        }
    };
    let judged = match registered {
        None => "the registry was not asked yet".to_owned(),
        Some(Registered::Absent) => "the registry has no such coin".to_owned(),
        Some(Registered::Record { status, .. }) => format!("the registry has it as {}", record_status(status)),
    };
    let who = match fault(difference, registered) {
        Fault::Bank => "the bank's record is wrong",
        Fault::Centre => "the registration centre's record is wrong; it is raised there",
        Fault::Unknown => "a person must look",
    };
    format!("{what}; {judged}: {who}")
}

#[cfg(test)]
mod tests {
    use super::*;
    use ledger_types::CoinId;

    fn at(status: CoinStatus, tag: u8) -> CoinAtSide {
        CoinAtSide { status, tag: OwnerTag([tag; 32]) }
    }

    fn difference(kind: DifferenceKind, at_bank: Option<CoinAtSide>, at_centre: Option<CoinAtSide>) -> Difference {
        Difference { kind, coin: CoinId([1; 32]), at_bank, at_centre, made_by: None }
    }

    #[test]
    fn the_side_that_the_registry_contradicts_is_offered_the_repair_and_the_other_is_not() {
        let live = at(CoinStatus::Live, 1);
        let registered = Some(Registered::Record { status: RecordStatus::Live, tag: live.tag });
        let spent = Some(Registered::Record { status: RecordStatus::Spent, tag: OwnerTag::ZERO });
        let cases = [
            (difference(DifferenceKind::Missing, None, Some(live)), registered, Fault::Bank),
            (difference(DifferenceKind::Missing, None, Some(live)), spent, Fault::Centre),
            (difference(DifferenceKind::Extra, Some(live), None), registered, Fault::Centre),
            (difference(DifferenceKind::Extra, Some(live), None), Some(Registered::Absent), Fault::Bank),
            (difference(DifferenceKind::Extra, Some(live), Some(live)), registered, Fault::Bank),
            (
                difference(DifferenceKind::WrongOwner, Some(at(CoinStatus::Live, 2)), Some(live)),
                registered,
                Fault::Bank,
            ),
            (
                difference(DifferenceKind::WrongState, Some(live), Some(at(CoinStatus::Disputed, 1))),
                registered,
                Fault::Centre,
            ),
            (difference(DifferenceKind::WrongOwner, Some(live), Some(at(CoinStatus::Live, 3))), None, Fault::Unknown),
        ];
        for (difference, registered, expected) in cases {
            assert_eq!(fault(&difference, registered), expected, "{difference:?}");
            let at_bank = repair(ReconciliationSide::Bank, &difference, registered);
            let at_centre = repair(ReconciliationSide::RegistrationCentre, &difference, registered);
            let expected = match expected {
                Fault::Bank => (Some(Repair::MendBook), None),
                Fault::Centre => (None, Some(Repair::MendAccount)),
                Fault::Unknown => (None, None),
            };
            assert_eq!((at_bank, at_centre), expected);
        }
        let unreleased = difference(DifferenceKind::UnreleasedKey, None, None);
        assert_eq!(repair(ReconciliationSide::Bank, &unreleased, None), Some(Repair::ReleaseAgain));
    }
}
