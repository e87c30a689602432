//! Contract order: k of n officers deploy a policy, stop a contract at once, or retire it (K-7, K-8); or say that what a bank
//! stated of a loan under it is false (K-9).
//!
//! What stays true here: a version is written once; nothing binds before the notice that whoever follows the chain has seen; what
//! is deployed verifies, so whatever is read of a contract is what runs. In whatever order a block has its orders, none comes after
//! a stop that would lift it, and none keeps a stop out.

use super::{Circumstances, Shape, is_plain, officers_authorize};
use crate::contracts::Contracts;
use crate::policy::feed_of;
use crate::reader::StateReader;
use crate::statement::contradiction;
use crate::working::{NoVerdict, Working};
use contracts_vm::Package;
use ledger_tree::map::{self, EntryType};
use ledger_types::contract::{
    ContractEvent, ContractOrder, DeployedPolicy, Deployment, NOTICE_HEIGHTS_MIN, StatementDispute,
};
use ledger_types::encoding::Encode;
use ledger_types::envelope::{ContractOrderContext, Core};
use ledger_types::ids::*;
use ledger_types::log_leaf::LogLeaf;
use ledger_types::participant::Participant;
use ledger_types::rejection::Rejection;
use std::sync::Arc;

/// The officers' signatures authorise it. They cost whoever sends it nothing and every validator a look each, so not everybody may
/// send it.
pub(super) const SHAPE: Shape =
    Shape { may_submit: Participant::is_central_bank, inputs: 0..=0, outputs: 0..=0, terms_fit: is_plain };

/// Of an order about a contract that must stand already.
pub(super) fn contract_exists(now: &Circumstances, order: &ContractOrder) -> bool {
    match order {
        ContractOrder::Deploy(_) => true,
        ContractOrder::Stop { contract }
        | ContractOrder::Retire { contract, .. }
        | ContractOrder::Dispute(StatementDispute { contract, .. }) => now.parent.contracts.get(*contract).is_some(),
    }
}

pub(super) fn check(now: &Circumstances, core: &Core, context: &ContractOrderContext) -> Result<(), Rejection> {
    officers_authorize(now, core, &context.authorizations)
}

pub(super) fn execute<R: StateReader>(
    working: &mut Working<R>,
    core: &Core,
    context: &ContractOrderContext,
) -> Result<(), NoVerdict> {
    let authorization = working.unused_authorization(core)?;
    let order = &context.order;
    let (contract, package) = match order {
        ContractOrder::Deploy(deployment) => (deployment.contract, Some(verified_package(working, deployment)?)),
        ContractOrder::Stop { contract } => {
            is_not_retired(working, *contract)?;
            (*contract, None)
        }
        ContractOrder::Retire { contract, notice } => {
            retires_sooner(working, *contract, *notice)?;
            is_long_enough(*notice)?;
            (*contract, None)
        }
        ContractOrder::Dispute(dispute) => {
            let statement = contradiction(working.chain(), dispute).ok_or(Rejection::StatementDoesNotFit)?;
            if !working.was_lent(&statement.obligation)? {
                return Err(Rejection::ObligationUnknown.into());
            }
            working.use_authorization(authorization, core.expiry_ms);
            working.ledger.events_to_log.push(LogLeaf::FalseStatement(statement)); // L-1
            return Ok(());
        }
    };

    working.use_authorization(authorization, core.expiry_ms);
    working.contracts_ordered.insert(contract);
    let (chain, height) = (working.chain(), working.height);
    let contracts = Arc::make_mut(&mut working.ledger.contracts);
    let binds_at = contracts.take(chain, height, order);
    let stands = contracts.get(contract).expect("an accepted order leaves its contract");
    let (head, newest) = (stands.head, *stands.newest());
    let action = order.action().expect("what is no action has returned above");
    let (version, policy, report) = (head.newest, newest.policy, newest.report);
    working.map_entries.insert(map::key_hash(EntryType::Contract, &contract.to_bytes()), Some(head.to_bytes()));
    if let Some((package, bytes)) = package {
        let id = [contract.to_bytes(), version.to_bytes()].concat();
        working.map_entries.insert(map::key_hash(EntryType::Contract, &id), Some(newest.to_bytes()));
        working.packages.insert(policy, (package, bytes));
    }
    let event = ContractEvent { action, contract, version, policy, report, binds_at };
    working.ledger.events_to_log.push(LogLeaf::Contract(event)); // L-1
    Ok(())
}

/// K-8: to the last height before it retires it may be stopped.
fn is_not_retired<R: StateReader>(working: &Working<R>, contract: ContractNumber) -> Result<(), Rejection> {
    let contract = working.ledger.contracts.get(contract).ok_or(Rejection::ContractUnknown)?;
    if contract.is_retired(working.height) { Err(Rejection::ContractIsRetired) } else { Ok(()) }
}

/// K-8: a second retirement only brings it nearer, and is not ordered beside another order.
fn retires_sooner<R: StateReader>(
    working: &Working<R>,
    contract: ContractNumber,
    notice: u32,
) -> Result<(), Rejection> {
    is_not_retired(working, contract)?;
    let ordered = working.ledger.contracts.get(contract).and_then(|contract| contract.head.retires_at);
    let retires_at = working.height.0.saturating_add(u64::from(notice));
    let is_later = ordered.is_some_and(|ordered| ordered.0 <= retires_at);
    if is_later || working.contracts_ordered.contains(&contract) { Err(Rejection::ContractIsRetired) } else { Ok(()) }
}

/// K-8: of a contract whose retirement is ordered there is no further version.
fn is_not_to_retire<R: StateReader>(working: &Working<R>, contract: ContractNumber) -> Result<(), Rejection> {
    let contract = working.ledger.contracts.get(contract).ok_or(Rejection::ContractUnknown)?;
    if contract.head.retires_at.is_some() { Err(Rejection::ContractIsRetired) } else { Ok(()) }
}

fn is_long_enough(notice: u32) -> Result<(), Rejection> {
    if notice < NOTICE_HEIGHTS_MIN { Err(Rejection::NoticeTooShort) } else { Ok(()) }
}

/// K-7, with the package as it was sent.
fn verified_package<R: StateReader>(
    working: &Working<R>,
    deployment: &Deployment,
) -> Result<(Arc<Package>, Vec<u8>), NoVerdict> {
    let Deployment { contract, version, notice, package, .. } = deployment;
    let before = version_before(&working.ledger.contracts, deployment)?;
    if working.contracts_ordered.contains(contract) {
        return Err(Rejection::VersionNotNext.into()); // K-8
    }
    if before.is_some() {
        is_not_to_retire(working, *contract)?;
    }
    is_long_enough(*notice)?;
    let verified = Package::from_bytes(package).map_err(|_| Rejection::PackageUnsound)?;
    let program = &verified.program;
    // K-3: what was idle once stays so.
    let follows = match before {
        Some(before) => {
            let before = &working.package(&before.policy)?.program;
            before.name() == program.name() && program.idle_after_ms() <= before.idle_after_ms()
        }
        None => true,
    };
    let same_currency = program.currency().bytes() == working.rules.genesis.currency.0;
    if !follows || !same_currency || program.version() != version.0 {
        return Err(Rejection::PackageUnsound.into());
    }
    if program.feeds().iter().any(|used| feed_of(&working.parent.feeds, used).is_none()) {
        return Err(Rejection::FeedUnknown.into());
    }
    Ok((Arc::new(verified), package.to_vec()))
}

/// None for the first version of the next contract.
fn version_before<'a>(
    contracts: &'a Contracts,
    deployment: &Deployment,
) -> Result<Option<&'a DeployedPolicy>, Rejection> {
    let Deployment { contract, version, .. } = deployment;
    let (next, before) = match contracts.get(*contract) {
        Some(contract) => (contract.head.newest.0.checked_add(1), Some(contract.newest())),
        None if contracts.next_number() == Some(*contract) => (Some(1), None),
        None => return Err(Rejection::VersionNotNext),
    };
    if next == Some(version.0) { Ok(before) } else { Err(Rejection::VersionNotNext) }
}
