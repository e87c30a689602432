//! The contracts that officers deployed, and the feeds that they registered (K-7, K-8, K-10): small, so they stand whole in memory.
//!
//! What stays true here: numbers and versions are dense from 1; a version never changes once it stands. Packages and items are
//! behind [`crate::StateReader`].

use crate::ledger::{decode_entries, encode_entries};
use ledger_types::Chain;
use ledger_types::contract::{ContractHead, ContractOrder, DeployedPolicy, policy_hash, terms};
use ledger_types::encoding::{Decode, DecodeError, Encode, Reader};
use ledger_types::feed::{Feed, FeedName};
use ledger_types::ids::*;
use std::collections::BTreeMap;

#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Contract {
    pub head: ContractHead,
    /// Version v at index v − 1; not empty.
    pub versions: Vec<DeployedPolicy>,
}

impl Contract {
    pub(crate) fn new(first: DeployedPolicy) -> Self {
        let head = ContractHead { newest: PolicyVersion(1), stopped: PolicyVersion(0), retires_at: None };
        Contract { head, versions: vec![first] }
    }

    pub fn version(&self, version: PolicyVersion) -> Option<&DeployedPolicy> {
        self.versions.get(version.0.checked_sub(1)? as usize)
    }

    pub fn newest(&self) -> &DeployedPolicy {
        self.versions.last().expect("a contract has a version")
    }

    /// The newest version whose notice is over, stopped or not (K-7).
    pub fn binding(&self, height: Height) -> Option<(PolicyVersion, &DeployedPolicy)> {
        let at = self.versions.iter().rposition(|policy| policy.binds_at <= height)?;
        Some((PolicyVersion(at as u32 + 1), &self.versions[at]))
    }

    /// What issues and activations are judged by; none if it is stopped or retired (K-7, K-8).
    pub fn in_force(&self, height: Height) -> Option<(PolicyVersion, &DeployedPolicy)> {
        self.binding(height).filter(|(version, _)| *version > self.head.stopped && !self.is_retired(height))
    }

    pub fn is_retired(&self, height: Height) -> bool {
        self.head.retires_at.is_some_and(|at| at <= height)
    }
}

impl Encode for Contract {
    fn encode(&self, out: &mut Vec<u8>) {
        self.head.encode(out);
        self.versions.iter().for_each(|policy| policy.encode(out));
    }
}

impl Decode for Contract {
    fn decode(reader: &mut Reader<'_>) -> Result<Self, DecodeError> {
        let head: ContractHead = reader.read()?;
        let versions: Vec<DeployedPolicy> = (0..head.newest.0).map(|_| reader.read()).collect::<Result<_, _>>()?;
        if versions.is_empty() {
            return Err(DecodeError::NotCanonical("contract without a version"));
        }
        Ok(Contract { head, versions })
    }
}

#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Contracts(BTreeMap<ContractNumber, Contract>);

impl Contracts {
    pub fn get(&self, number: ContractNumber) -> Option<&Contract> {
        self.0.get(&number)
    }

    pub fn iter(&self) -> impl Iterator<Item = (ContractNumber, &Contract)> {
        self.0.iter().map(|(number, contract)| (*number, contract))
    }

    /// Whether coins may have these terms under this contract: those of one of its versions (K-4).
    pub fn have_terms(&self, chain: &Chain, number: ContractNumber, asked: &Terms) -> bool {
        let versions = self.get(number).map_or(&[][..], |contract| &contract.versions);
        versions.iter().any(|version| terms(chain, number, &version.policy) == *asked)
    }

    pub(crate) fn next_number(&self) -> Option<ContractNumber> {
        let last = self.0.last_key_value().map_or(0, |(number, _)| number.0);
        last.checked_add(1).map(ContractNumber)
    }

    /// What an order does that a block of this height accepted; also for those who follow the blocks without executing them. Gives
    /// the first height at which it binds (K-7, K-8).
    pub fn take(&mut self, chain: &Chain, height: Height, order: &ContractOrder) -> Height {
        let after = |notice: u32| Height(height.0.saturating_add(u64::from(notice)));
        match order {
            ContractOrder::Deploy(deployment) => {
                let policy = policy_hash(chain, &deployment.package);
                let binds_at = after(deployment.notice);
                let deployed = DeployedPolicy { policy, report: deployment.report, deployed_at: height, binds_at };
                match self.0.get_mut(&deployment.contract) {
                    Some(contract) => {
                        contract.versions.push(deployed);
                        contract.head.newest = deployment.version;
                    }
                    None => drop(self.0.insert(deployment.contract, Contract::new(deployed))),
                }
                binds_at
            }
            ContractOrder::Stop { contract } => {
                let stands = self.0.get_mut(contract);
                stands.into_iter().for_each(|contract| contract.head.stopped = contract.head.newest);
                height.next()
            }
            ContractOrder::Retire { contract, notice } => {
                let retires_at = after(*notice);
                let stands = self.0.get_mut(contract);
                stands.into_iter().for_each(|contract| contract.head.retires_at = Some(retires_at));
                retires_at
            }
            // K-9: it is about a loan.
            ContractOrder::Dispute(_) => height.next(),
        }
    }
}

impl Encode for Contracts {
    fn encode(&self, out: &mut Vec<u8>) {
        encode_entries(&self.0, out);
    }
}

impl Decode for Contracts {
    fn decode(reader: &mut Reader<'_>) -> Result<Self, DecodeError> {
        Ok(Contracts(decode_entries(reader)?))
    }
}

#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Feeds(BTreeMap<FeedNumber, Feed>);

impl Feeds {
    pub fn get(&self, number: FeedNumber) -> Option<&Feed> {
        self.0.get(&number)
    }

    pub fn named(&self, name: &FeedName) -> Option<&Feed> {
        self.0.values().find(|feed| feed.definition.name == *name)
    }

    pub fn iter(&self) -> impl Iterator<Item = &Feed> {
        self.0.values()
    }

    pub(crate) fn next_number(&self) -> Option<FeedNumber> {
        let last = self.0.last_key_value().map_or(0, |(number, _)| number.0);
        last.checked_add(1).map(FeedNumber)
    }

    pub(crate) fn get_mut(&mut self, number: FeedNumber) -> Option<&mut Feed> {
        self.0.get_mut(&number)
    }

    pub(crate) fn insert(&mut self, feed: Feed) {
        self.0.insert(feed.definition.feed, feed);
    }
}

impl Encode for Feeds {
    fn encode(&self, out: &mut Vec<u8>) {
        encode_entries(&self.0, out);
    }
}

impl Decode for Feeds {
    fn decode(reader: &mut Reader<'_>) -> Result<Self, DecodeError> {
        Ok(Feeds(decode_entries(reader)?))
    }
}
