//! What was found of contracts, feeds and loans, with what shows it; and what it says to a policy.

use contracts_vm::{FeedUse, Package, Reading, Readings, Unit};
use ledger_types::contract::{ContractHead, DeployedPolicy, Obligation, Receipt};
use ledger_types::feed::{Feed, FeedDefinition, FeedItem, FeedUnit, Frequency};
use ledger_types::{ContractNumber, FeedNumber, Height, ObligationId, Period, PolicyVersion, Vintage};
use ledger_verify::{Entry, EntryKey, LoggedLeaf, VerifiedState};
use std::sync::Arc;

/// Entries of the map in one verified state, with what shows them.
pub struct Proved {
    pub state: VerifiedState,
    /// Hex of the state proof.
    pub state_proof: String,
    /// Hex of each entry: behind the state proof it is an entry proof.
    pub entries: Vec<String>,
    pub(super) found: Vec<(EntryKey, Option<Entry>)>,
}

impl Proved {
    /// Outer none: it was not asked for.
    pub(super) fn get(&self, key: EntryKey) -> Option<Option<&Entry>> {
        self.found.iter().find(|(asked, _)| *asked == key).map(|(_, entry)| entry.as_ref())
    }

    pub(super) fn head(&self, number: ContractNumber) -> Option<ContractHead> {
        match self.get(EntryKey::Contract(number))? {
            Some(Entry::Contract(head)) => Some(*head),
            _ => None,
        }
    }

    pub(super) fn version(&self, number: ContractNumber, version: PolicyVersion) -> Option<DeployedPolicy> {
        match self.get(EntryKey::Version(number, version))? {
            Some(Entry::Version(policy)) => Some(*policy),
            _ => None,
        }
    }

    pub(super) fn feed(&self, number: FeedNumber) -> Option<&Feed> {
        match self.get(EntryKey::Feed(number))? {
            Some(Entry::Feed(feed)) => Some(feed),
            _ => None,
        }
    }

    /// Every vintage of a period, shown to be all. None if that is not shown.
    pub(super) fn vintages(&self, feed: FeedNumber, period: Period) -> Option<Vec<FeedItem>> {
        let mut items = Vec::new();
        for vintage in 0.. {
            match self.get(EntryKey::FeedItem(feed, period, Vintage(vintage)))? {
                Some(Entry::FeedItem(item)) => items.push(*item),
                _ => break,
            }
        }
        Some(items)
    }
}

/// As of the height after a state: what the next envelope would be judged by (K-7, K-8).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Standing {
    InForce,
    InNotice,
    Stopped,
    Retired,
}

impl Standing {
    pub fn code(self) -> &'static str {
        match self {
            Standing::InForce => "in_force",
            Standing::InNotice => "in_notice",
            Standing::Stopped => "stopped",
            Standing::Retired => "retired",
        }
    }

    /// `binding` is the newest version whose notice is over at `height`.
    pub(super) fn of(head: &ContractHead, binding: Option<PolicyVersion>, height: Height) -> Self {
        match binding {
            _ if head.retires_at.is_some_and(|at| at <= height) => Standing::Retired,
            None => Standing::InNotice,
            Some(version) if version <= head.stopped => Standing::Stopped,
            Some(_) => Standing::InForce,
        }
    }
}

pub struct ContractsFound {
    pub proved: Proved,
    /// Ascending by number.
    pub contracts: Vec<ContractListed>,
    /// Of all; those before the newest [`super::LISTED_MAX`] are not listed.
    pub count: u32,
}

pub struct ContractListed {
    pub number: ContractNumber,
    pub head: ContractHead,
    pub standing: Standing,
    /// The one that binds, or the newest where none does.
    pub shown: PolicyVersion,
    pub deployed: DeployedPolicy,
    pub package: Arc<Package>,
}

pub struct ContractFound {
    pub number: ContractNumber,
    pub proved: Proved,
    pub head: ContractHead,
    pub standing: Standing,
    /// The newest [`super::VERSIONS_MAX`], oldest first.
    pub versions: Vec<VersionFound>,
    /// The newest version whose notice is over.
    pub binding: Option<PolicyVersion>,
    /// What the version that is shown reads. None if that is more than one answer proves.
    pub readings: Option<FeedsRead>,
    /// Loans that are not returned; there may be others.
    pub open: Vec<(ObligationId, Obligation)>,
    pub is_more_open: bool,
}

pub struct VersionFound {
    pub version: PolicyVersion,
    pub deployed: DeployedPolicy,
    pub package: Arc<Package>,
    /// Hex of the package as it was deployed.
    pub bytes: String,
}

impl ContractFound {
    /// The one that binds, or the newest where none does.
    pub fn shown(&self) -> &VersionFound {
        let shown = self.binding.unwrap_or(self.head.newest);
        let version = self.versions.iter().find(|version| version.version == shown);
        version.unwrap_or_else(|| self.versions.last().expect("a contract has a version"))
    }
}

/// What a program's feeds say, in the program's order.
#[derive(Default)]
pub struct FeedsRead {
    pub feeds: Vec<FeedRead>,
}

pub struct FeedRead {
    /// None: no feed of this name, unit, scale and frequency is registered.
    pub number: Option<FeedNumber>,
    /// By `back`.
    pub readings: Vec<Reading>,
}

impl Readings for FeedsRead {
    fn reading(&self, feed: usize, back: u16) -> Option<Reading> {
        self.feeds.get(feed)?.readings.get(usize::from(back)).copied()
    }
}

pub struct FeedsFound {
    pub proved: Proved,
    pub feeds: Vec<Feed>,
    pub count: u32,
}

pub struct FeedFound {
    pub proved: Proved,
    pub feed: Feed,
    /// Without a gap from the newest that is shown back, newest first; a period of no item has none.
    pub periods: Vec<(Period, Vec<FeedItem>)>,
    /// Where the next page begins, if the observer has older ones.
    pub older: Option<Period>,
}

pub struct ReceiptFound {
    pub receipt: Receipt,
    pub logged: LoggedLeaf,
    /// Hex of the leaf proof.
    pub proof: String,
    /// The policy's own answer to the receipt's inputs, computed here. None if the observer gave too little to compute it.
    pub computed: Option<Computed>,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Computed {
    pub rate: i64,
    pub fuel: u32,
    /// It looked at what the receipt says, in that order.
    pub same_inputs: bool,
}

pub enum LoanFound {
    Returned(Arc<ReceiptFound>),
    /// Not returned: the obligation stands in the map.
    Open {
        obligation: Obligation,
        proved: Box<Proved>,
    },
}

pub fn calendar(frequency: Frequency) -> contracts_vm::Frequency {
    match frequency {
        Frequency::Daily => contracts_vm::Frequency::Daily,
        Frequency::Monthly => contracts_vm::Frequency::Monthly,
        Frequency::Quarterly => contracts_vm::Frequency::Quarterly,
        Frequency::Yearly => contracts_vm::Frequency::Yearly,
    }
}

pub fn period_text(period: Period, frequency: Frequency) -> String {
    contracts_vm::Period(i32::try_from(period.0).unwrap_or(i32::MAX)).text(calendar(frequency))
}

/// Whether a registered feed is what a program takes it for (K-7).
pub(super) fn is_meant(definition: &FeedDefinition, used: &FeedUse) -> bool {
    let unit = match used.unit {
        Unit::Rate => FeedUnit::Rate,
        Unit::Index { .. } => FeedUnit::Index,
        Unit::Money { currency, .. } => FeedUnit::Money(ledger_types::Currency(currency.bytes())),
        Unit::Spread | Unit::Days | Unit::Truth => return false,
    };
    definition.name.as_str() == used.series.as_str()
        && definition.unit == unit
        && definition.scale == used.scale
        && calendar(definition.frequency) == used.frequency
}

pub(super) fn reading_of(item: &FeedItem) -> Option<Reading> {
    Some(Reading {
        period: contracts_vm::Period(i32::try_from(item.head.period.0).ok()?),
        vintage: item.head.vintage.0,
        value: item.value,
        published_ms: item.head.published_ms,
        valid_until_ms: item.head.valid_until_ms,
    })
}
