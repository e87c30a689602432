//! Contracts (K-1, K-4, K-7, K-8): deployment, notice, supersession, stop and retirement, issue under a contract. Every path and every
//! refusal, met by one.

use crate::common;

use common::lending::*;
use common::*;
use ledger_state::{Applied, BlockRefusal, Contracts};
use ledger_tree::map::EntryType;
use ledger_types::block::results_root;
use ledger_types::coin::{Coin, CoinStatus};
use ledger_types::contract::*;
use ledger_types::encoding::{Decode, Encode, Octets};
use ledger_types::envelope::*;
use ledger_types::feed::FeedDefinition;
use ledger_types::ids::*;
use ledger_types::log_leaf::LogLeaf;
use ledger_types::rejection::Rejection;

// Deployment (K-7).

#[test]
fn a_deployment_stands_in_the_state_the_map_and_with_the_next_batch_in_the_log() {
    let mut bed = Bed::new();
    bed.registers_the_benchmark();
    let source = policy(1);
    let deploy = bed.deploy(1, 1, 5, &source);
    assert_eq!(bed.submit(deploy), 0);

    let bytes = package(&source).to_bytes();
    let hash = policy_hash(&bed.rules.chain, &bytes);
    let height = bed.ledger.height;
    let binds_at = Height(height.0 + 5);
    let version = DeployedPolicy { policy: hash, report: [8; 32], deployed_at: height, binds_at };
    let head = ContractHead { newest: PolicyVersion(1), stopped: PolicyVersion(0), retires_at: None };
    let contract = bed.ledger.contracts.get(ONE).unwrap();
    assert_eq!((contract.head, &contract.versions[..]), (head, &[version][..]));
    assert_eq!(bed.state.packages[&hash].to_bytes(), bytes);
    of_map(&bed, EntryType::Contract, &ONE.to_bytes(), Some(&|| head.to_bytes()));
    let id = [ONE.to_bytes(), PolicyVersion(1).to_bytes()].concat();
    of_map(&bed, EntryType::Contract, &id, Some(&|| version.to_bytes()));

    let leaves = logged(&mut bed);
    let action = ContractAction::Deploy;
    let event =
        ContractEvent { action, contract: ONE, version: PolicyVersion(1), policy: hash, report: [8; 32], binds_at };
    assert_eq!(leaves[1], LogLeaf::Contract(event));
    let index = bed.ledger.log_size - leaves.len() as u64 + 1;
    assert_eq!(bed.state.contract_leaves.iter().copied().collect::<Vec<_>>(), [(ONE, index)]);
}

#[test]
fn before_its_notice_is_over_a_contract_does_not_bind() {
    let mut bed = Bed::new();
    bed.registers_the_benchmark();
    let deploy = bed.deploy(1, 1, 2, &policy(1));
    assert_eq!(bed.submit(deploy), 0);
    // The next height is deployed + 1: one short.
    let issue = bed.issue_inert(1, &[(BANK2, 100)]);
    assert_refused(&bed, issue.clone(), Rejection::ContractUnknown);
    bed.wait_heights(1);
    assert_eq!(bed.submit(issue), 0, "an open refusal");
}

#[test]
fn rejection_76_contract_numbers_and_versions_are_dense() {
    let mut bed = Bed::with_a_policy_in_force();
    for (contract, version) in [(0, 1), (3, 1), (2, 2), (2, 0), (1, 1), (1, 3), (1, 0)] {
        let mut deployment = deployment(contract, 1, 2, &policy(1));
        deployment.version = PolicyVersion(version);
        let deploy = bed.contract_order(ContractOrder::Deploy(deployment));
        assert_refused(&bed, deploy, Rejection::VersionNotNext);
    }
    // Of two in one block the first takes the number.
    let drafts = [bed.deploy(2, 1, 2, &policy(1)), bed.deploy(2, 1, 3, &policy(1)), bed.deploy(2, 2, 2, &policy(2))];
    let bundle = bed.bundle(CENTRAL, drafts.map(Draft::seal).to_vec());
    let codes: Vec<u16> = bed.block(&[bundle]).results.iter().map(|result| result.code).collect();
    assert_eq!(codes, [0, 76, 76], "one order a contract and height");
}

#[test]
fn rejection_78_two_heights_pass_before_an_order_binds() {
    let mut bed = Bed::with_a_policy_in_force();
    for notice in [0, 1] {
        let deploy = bed.deploy(1, 2, notice, &policy(2));
        assert_refused(&bed, deploy, Rejection::NoticeTooShort);
        let order = retire(&mut bed, notice);
        assert_refused(&bed, order, Rejection::NoticeTooShort);
    }
}

#[test]
fn rejection_79_what_people_read_of_a_package_is_what_runs() {
    let mut bed = Bed::with_a_policy_in_force();
    let refused = |bed: &mut Bed, deployment: Deployment| {
        let deploy = bed.contract_order(ContractOrder::Deploy(deployment));
        assert_refused(bed, deploy, Rejection::PackageUnsound);
    };
    let good = deployment(1, 2, 2, &policy(2));
    let mut explained_away = package(&policy(2));
    explained_away.english = explained_away.english.replace("60 days", "600 days");
    let mut other_program = package(&policy(2));
    other_program.program = package(&policy_with(2, "sector in ISIC { B }", "60 days", "otherwise lpr")).program;
    let mut cut = package(&policy(2)).to_bytes();
    cut.pop();
    for bytes in [explained_away.to_bytes(), other_program.to_bytes(), cut, Vec::new()] {
        refused(&mut bed, Deployment { package: Octets::new(bytes).unwrap(), ..good.clone() });
    }
    // Another currency, another version than the order's, another name than the version before.
    for source in [
        policy(2).replace("currency CNY", "currency EUR"),
        policy(3),
        policy(2).replace("\"lending\"", "\"something-else\""),
        // K-3: what was idle under the version before would be alive again.
        policy(2).replace("60 days", "61 days"),
    ] {
        let package = Octets::new(package(&source).to_bytes()).unwrap();
        refused(&mut bed, Deployment { package, ..good.clone() });
    }
    let deploy = bed.contract_order(ContractOrder::Deploy(good));
    assert_eq!(bed.submit(deploy), 0);
}

#[test]
fn rejection_80_a_policy_reads_registered_feeds_for_what_they_are() {
    let misfit = |definition: Option<FeedDefinition>| {
        let mut bed = Bed::new();
        if let Some(definition) = definition {
            let order = bed.feed_order(definition);
            assert_eq!(bed.submit(order), 0);
        }
        let deploy = bed.deploy(1, 1, 2, &policy(1));
        assert_refused(&bed, deploy, Rejection::FeedUnknown);
    };
    use ledger_types::feed::{FeedName, FeedUnit, Frequency};
    misfit(None);
    misfit(Some(FeedDefinition { name: FeedName::parse("cn.lpr.5y").unwrap(), ..benchmark() }));
    misfit(Some(FeedDefinition { scale: 3, ..benchmark() }));
    misfit(Some(FeedDefinition { unit: FeedUnit::Index, ..benchmark() }));
    misfit(Some(FeedDefinition { frequency: Frequency::Daily, ..benchmark() }));
    // K-1: a feed of the same block does not exist yet.
    let mut bed = Bed::new();
    let drafts = [bed.feed_order(benchmark()), bed.deploy(1, 1, 2, &policy(1))];
    let bundle = bed.bundle(CENTRAL, drafts.map(Draft::seal).to_vec());
    let codes: Vec<u16> = bed.block(&[bundle]).results.iter().map(|result| result.code).collect();
    assert_eq!(codes, [0, 80]);
}

#[test]
fn rejection_13_an_order_needs_k_officers_and_serves_once() {
    let mut bed = Bed::with_a_policy_in_force();
    let chain = bed.rules.clone();
    let order = ContractOrder::Stop { contract: ONE };
    for officers in [&[][..], &[1], &[2, 1], &[0, 7]] {
        let order = bed.contract_order(order.clone());
        let order =
            if officers == [0, 7] { spoil_officer(order, 7) } else { order.authorize_by_officers(&chain, officers) };
        assert_refused(&bed, order, Rejection::NotAuthorized);
    }
    // A stop that is lifted by a new version is not replayed.
    let stopped = bed.contract_order(order);
    let twice = bed.bundle(CENTRAL, vec![stopped.clone().seal(), stopped.clone().seal()]);
    let codes: Vec<u16> = bed.block(&[twice]).results.iter().map(|result| result.code).collect();
    assert_eq!(codes, [0, 13]);
    assert_refused(&bed, stopped, Rejection::NotAuthorized);
}

fn spoil_officer(mut draft: Draft, officer: u8) -> Draft {
    let ClearContext::ContractOrder(context) = &mut draft.core.context else { unreachable!() };
    context.authorizations.as_mut_slice()[1].officer = officer;
    draft
}

#[test]
fn rejection_9_an_order_is_about_a_contract_that_stood_before_the_block() {
    let mut bed = Bed::new();
    bed.registers_the_benchmark();
    let order = stop(&mut bed);
    assert_refused(&bed, order, Rejection::ContractUnknown);
    let order = retire(&mut bed, 2);
    assert_refused(&bed, order, Rejection::ContractUnknown);
    let drafts = [bed.deploy(1, 1, 2, &policy(1)), stop(&mut bed)];
    let bundle = bed.bundle(CENTRAL, drafts.map(Draft::seal).to_vec());
    let codes: Vec<u16> = bed.block(&[bundle]).results.iter().map(|result| result.code).collect();
    assert_eq!(codes, [0, 9]);
}

// Issue under a contract (K-4).

#[test]
fn an_issue_under_a_contract_makes_inert_coins_that_say_since_when() {
    let mut bed = Bed::with_a_policy_in_force();
    let coin = bed.inert_coin(100);
    let issued_ms = OPENS_MS + 1_000;
    assert_eq!(bed.state.coins[&coin.id], Coin { status: CoinStatus::Live, contract: ONE, issued_ms });
    assert_eq!(bed.state.records[&coin.id].contract, ONE);
}

#[test]
fn rejection_10_which_contract_a_kind_declares_and_which_outputs_it_flags() {
    let mut bed = Bed::with_a_policy_in_force();
    let refused = |draft: Draft, bed: &Bed| assert_refused(bed, draft, Rejection::TermsNotAllowed);
    let flag = |draft: &mut Draft, index: usize, terms_flag| {
        draft.core.outputs.as_mut_slice()[index].terms_flag = terms_flag;
    };
    // An issue: all outputs or none.
    let mut issue = bed.issue_inert(1, &[(BANK2, 100), (BANK3, 100)]);
    flag(&mut issue, 0, TermsFlag::Plain);
    refused(issue, &bed);
    let mut issue = bed.issue(2, 0, &[(BANK2, 500)]);
    flag(&mut issue, 0, TermsFlag::Contract);
    refused(issue.authorize_by_issue_key(&bed.rules.clone()), &bed);
    // An activation: a contract, and one plain output.
    let coin = bed.inert_coin(100);
    let mut activation = bed.activate(std::slice::from_ref(&coin), GOOD_LOAN, 60);
    activation.core.contract = ContractNumber(0);
    refused(activation, &bed);
    for flags in [[TermsFlag::Plain; 2], [TermsFlag::Contract; 2]] {
        let mut activation = bed.activate(std::slice::from_ref(&coin), GOOD_LOAN, 60);
        flags.iter().enumerate().for_each(|(index, terms_flag)| flag(&mut activation, index, *terms_flag));
        refused(activation, &bed);
    }
    let mut reclaim = bed.reclaim(std::slice::from_ref(&coin));
    reclaim.core.contract = ContractNumber(0);
    refused(reclaim, &bed);
    // All other kinds: none.
    let plain = bed.coin_of(BANK2, 0);
    let mut transfer = bed.transfer(BANK2, &[plain], &[(BANK3, 100)]);
    transfer.core.contract = ONE;
    refused(transfer, &bed);
    let own = bed.coin_of(CENTRAL, 0);
    let mut returned = bed.return_loan(&[own], ObligationId::ZERO, 0);
    returned.core.contract = ONE;
    refused(returned.authorize_by_issue_key(&bed.rules.clone()), &bed);
    let mut order = stop(&mut bed);
    order.core.contract = ONE;
    refused(order.authorize_by_officers(&bed.rules.clone(), &[0, 1]), &bed);
}

#[test]
fn inert_money_is_neither_transferred_nor_redeemed_nor_mixed_with_plain() {
    let mut bed = Bed::with_a_policy_in_force();
    let coin = bed.inert_coin(100);
    let transfer = bed.transfer(BANK2, std::slice::from_ref(&coin), &[(BANK3, 100)]);
    assert_refused(&bed, transfer, Rejection::InputTermsNotAllowed);
    let plain = bed.coin_of(BANK2, 0);
    let mixed = bed.activate(&[coin, plain.clone()], GOOD_LOAN, 60);
    assert_refused(&bed, mixed, Rejection::InputTermsNotAllowed);
    let plain = bed.activate(&[plain], GOOD_LOAN, 100);
    assert_refused(&bed, plain, Rejection::InputTermsNotAllowed);
    let issue = bed.issue_inert(1, &[(CENTRAL, 100)]);
    let own = issue.coins[0].clone();
    assert_eq!(bed.submit(issue), 0);
    bed.make_live(std::slice::from_ref(&own));
    let redeem = bed.redeem(&[own], 100, &[]).authorize_by_issue_key(&bed.rules.clone());
    assert_refused(&bed, redeem, Rejection::InputTermsNotAllowed);
}

#[test]
fn a_recover_declares_its_inputs_contract_and_officers_say_which_outputs_keep_it() {
    let mut bed = Bed::with_a_policy_in_force();
    let coin = bed.inert_coin(100);
    let recovers = |bed: &mut Bed, contract, keeps: bool| {
        let mut recover = bed.recover(std::slice::from_ref(&coin), &[(BANK4, 100)]);
        recover.core.contract = contract;
        if keeps {
            recover.core.outputs.as_mut_slice()[0].terms_flag = TermsFlag::Contract;
        }
        recover.authorize_by_officers(&bed.rules.clone(), &[0, 1])
    };
    let undeclared = recovers(&mut bed, ContractNumber(0), false);
    assert_refused(&bed, undeclared, Rejection::InputTermsNotAllowed);
    for keeps in [true, false] {
        let mut bed = bed.clone();
        let recover = recovers(&mut bed, ONE, keeps);
        let id = recover.coins[0].id;
        assert_eq!(bed.submit(recover), 0);
        let before = bed.state.coins[&id];
        assert_eq!(
            (before.contract, before.issued_ms),
            if keeps { (ONE, OPENS_MS + 1_000) } else { (ContractNumber(0), 0) }
        );
    }
}

// Supersession, stop, retirement (K-7, K-8).

#[test]
fn a_new_version_governs_inert_money_of_the_old_one_and_an_obligation_keeps_its_own_rate() {
    let (mut bed, activation) = lent();
    let (old, rest) =
        (bed.obligation_of(&activation), activation.coins.iter().find(|coin| coin.bank == BANK2).unwrap());
    let rest = rest.clone();
    bed.make_live(std::slice::from_ref(&rest));
    let stricter = policy_with(2, "sector in ISIC { A }", "60 days", "otherwise lpr + 50 bp");
    let deploy = bed.deploy(1, 2, 3, &stricter);
    assert_eq!(bed.submit(deploy), 0);
    bed.wait_heights(1);
    // The notice is not over at the next height, and is at the one after.
    let food = bed.activate(std::slice::from_ref(&rest), GOOD_LOAN, 30);
    assert_eq!(bed.try_block(&[bed.bundle(BANK2, vec![food.clone().seal()])]).unwrap().results[0].code, 0);
    bed.wait_heights(1);
    assert_refused(&bed, food, Rejection::DeniedSector);
    let farm = bed.activate(&[rest], Loan { sector: 0x4101, ..GOOD_LOAN }, 30);
    assert_eq!(bed.submit(farm.clone()), 0);
    let new = bed.obligation_of(&farm);
    assert_eq!(bed.state.obligations[&new].obligation.version, PolicyVersion(2));

    let own = [bed.coin_of(CENTRAL, 0), bed.coin_of(CENTRAL, 1)];
    let wrong = bed.return_loan(&own[..1], old, 39_500);
    assert_refused(&bed, wrong, Rejection::ReturnRateDiffers);
    let by_its_own = bed.return_loan(&own[..1], old, RETURN_RATE);
    assert_eq!(bed.submit(by_its_own), 0);
    let by_the_new = bed.return_loan(&own[1..], new, 39_500);
    assert_eq!(bed.submit(by_the_new), 0);
}

#[test]
fn rejection_60_a_stop_binds_at_the_next_height_is_logged_and_ends_with_a_new_version() {
    let (mut bed, activation) = lent();
    logged(&mut bed);
    let rest = activation.coins.iter().find(|coin| coin.bank == BANK2).unwrap().clone();
    bed.make_live(std::slice::from_ref(&rest));
    let (stopped, loan) = (stop(&mut bed), bed.activate(std::slice::from_ref(&rest), GOOD_LOAN, 10));
    let bundles = [bed.bundle(CENTRAL, vec![stopped.seal()]), bed.bundle(BANK2, vec![loan.clone().seal()])];
    let mut same_block = bed.clone();
    let codes: Vec<u16> = same_block.block(&bundles).results.iter().map(|result| result.code).collect();
    assert_eq!(codes, [0, 0]);

    bed.block(&bundles[..1]);
    let height = bed.ledger.height;
    assert_refused(&bed, loan, Rejection::ContractNotInForce);
    let issue = bed.issue_inert(1, &[(BANK2, 100)]);
    assert_refused(&bed, issue, Rejection::ContractNotInForce);
    // Emergency stops are in the public log themselves.
    let leaves = logged(&mut bed);
    let [LogLeaf::Contract(event), LogLeaf::State(_)] = &leaves[..] else { panic!("{leaves:?}") };
    assert_eq!((event.action, event.contract, event.binds_at), (ContractAction::Stop, ONE, height.next()));
    of_map(
        &bed,
        EntryType::Contract,
        &ONE.to_bytes(),
        Some(&|| ContractHead { newest: PolicyVersion(1), stopped: PolicyVersion(1), retires_at: None }.to_bytes()),
    );
    // What is owed is returned.
    let own = bed.coin_of(CENTRAL, 0);
    let returned = bed.return_loan(&[own], bed.obligation_of(&activation), RETURN_RATE);
    assert_eq!(bed.submit(returned), 0);
    // A version after the stop lifts it when it binds; a version before it does not.
    let deploy = bed.deploy(1, 2, 2, &policy(2));
    assert_eq!(bed.submit(deploy), 0);
    let loan = bed.activate(&[rest], GOOD_LOAN, 10);
    assert_refused(&bed, loan.clone(), Rejection::ContractNotInForce);
    bed.wait_heights(1);
    assert_eq!(bed.submit(loan), 0);
}

#[test]
fn a_stop_holds_versions_back_that_have_not_bound_yet() {
    let mut bed = Bed::with_a_policy_in_force();
    let coin = bed.inert_coin(100);
    let deploy = bed.deploy(1, 2, 2, &policy(2));
    assert_eq!(bed.submit(deploy), 0);
    let stopped = stop(&mut bed);
    assert_eq!(bed.submit(stopped), 0);
    bed.wait_heights(3);
    let loan = bed.activate(&[coin], GOOD_LOAN, 10);
    assert_refused(&bed, loan, Rejection::ContractNotInForce);
}

#[test]
fn rejection_77_a_retired_contract_lends_no_more_gets_no_version_and_lets_its_money_be_reclaimed() {
    let mut bed = Bed::with_a_policy_in_force();
    let coin = bed.inert_coin(100);
    let order = retire(&mut bed, 3);
    assert_eq!(bed.submit(order), 0);
    for order in [retire(&mut bed, 2), retire(&mut bed, u32::MAX), bed.deploy(1, 2, 2, &policy(2))] {
        assert_refused(&bed, order, Rejection::ContractIsRetired);
    }
    bed.wait_heights(1);
    let (loan, reclaim) = (bed.activate(std::slice::from_ref(&coin), GOOD_LOAN, 10), bed.reclaim(&[coin]));
    let last = bed.try_block(&[bed.bundle(BANK2, vec![loan.clone().seal()])]).unwrap();
    assert_eq!(last.results[0].code, 0, "at the last height before it retires");
    assert_refused(&bed, reclaim.clone(), Rejection::NotIdleYet);
    bed.wait_heights(1);
    assert_refused(&bed, loan, Rejection::ContractNotInForce);
    for order in [stop(&mut bed), retire(&mut bed, 2), bed.deploy(1, 2, 2, &policy(2))] {
        assert_refused(&bed, order, Rejection::ContractIsRetired);
    }
    assert_eq!(bed.submit(reclaim), 0);
    let leaves = logged(&mut bed);
    let retired = leaves.iter().any(|leaf| {
        matches!(leaf, LogLeaf::Contract(ContractEvent { action: ContractAction::Retire, contract: ONE, .. }))
    });
    assert!(retired, "{leaves:?}");
}

/// A retirement may be ordered for a far day, and an emergency come before it.
#[test]
fn until_it_retires_a_contract_may_be_stopped_and_its_retirement_brought_nearer() {
    let mut bed = Bed::with_a_policy_in_force();
    let coin = bed.inert_coin(100);
    let order = retire(&mut bed, u32::MAX);
    assert_eq!(bed.submit(order), 0);
    let order = stop(&mut bed);
    assert_eq!(bed.submit(order), 0);
    let loan = bed.activate(std::slice::from_ref(&coin), GOOD_LOAN, 10);
    assert_refused(&bed, loan, Rejection::ContractNotInForce);
    let order = retire(&mut bed, 2);
    assert_eq!(bed.submit(order), 0);
    let retires_at = Height(bed.ledger.height.0 + 2);
    assert_eq!(bed.ledger.contracts.get(ONE).unwrap().head.retires_at, Some(retires_at));
    bed.wait_heights(1);
    let reclaim = bed.reclaim(&[coin]);
    assert_eq!(bed.submit(reclaim), 0);
}

#[test]
fn in_whatever_order_a_block_has_them_a_stop_is_taken_and_no_version_of_the_block_lifts_it() {
    let mut bed = Bed::with_a_policy_in_force();
    let (stopped, deploy, retired) = (stop(&mut bed), bed.deploy(1, 2, 2, &policy(2)), retire(&mut bed, 9));
    let again = bed.contract_order(ContractOrder::Stop { contract: ONE });
    let in_this_order = |drafts: &[&Draft], expected: &[u16]| {
        let mut bed = bed.clone();
        let bundle = bed.bundle(CENTRAL, drafts.iter().map(|draft| (*draft).clone().seal()).collect());
        let codes: Vec<u16> = bed.block(&[bundle]).results.iter().map(|result| result.code).collect();
        assert_eq!(codes, expected);
        bed.wait_heights(3);
        assert_eq!(bed.ledger.contracts.get(ONE).unwrap().in_force(bed.ledger.height.next()), None);
    };
    in_this_order(&[&stopped, &deploy], &[0, 76]);
    in_this_order(&[&deploy, &stopped], &[0, 0]);
    in_this_order(&[&stopped, &again, &retired, &deploy], &[0, 0, 77, 76]);
    in_this_order(&[&retired, &deploy, &stopped], &[0, 76, 0]);
    // Also where the contract is stopped already, and a second stop changes nothing.
    let order = bed.contract_order(ContractOrder::Stop { contract: ONE });
    assert_eq!(bed.submit(order), 0);
    let bundle = bed.bundle(CENTRAL, vec![stopped.seal(), deploy.seal()]);
    let codes: Vec<u16> = bed.block(&[bundle]).results.iter().map(|result| result.code).collect();
    assert_eq!(codes, [0, 76]);
}

#[test]
fn whoever_follows_the_orders_of_the_blocks_has_the_ledgers_contracts() {
    let mut bed = Bed::new();
    bed.registers_the_benchmark();
    let mut followed = Contracts::default();
    let orders = [
        ContractOrder::Deploy(deployment(1, 1, 2, &policy(1))),
        ContractOrder::Deploy(deployment(2, 1, 9, &policy(1))),
        ContractOrder::Deploy(deployment(1, 2, 4, &policy(2))),
        ContractOrder::Stop { contract: ONE },
        ContractOrder::Retire { contract: ContractNumber(2), notice: 2 },
    ];
    for order in orders {
        let draft = bed.contract_order(order.clone());
        assert_eq!(bed.submit(draft), 0);
        followed.take(&bed.rules.chain, bed.ledger.height, &order);
    }
    assert_eq!(followed, *bed.ledger.contracts);
    assert_eq!(Contracts::from_bytes(&followed.to_bytes()).unwrap(), followed);
    assert!(followed.have_terms(&bed.rules.chain, ONE, &bed.terms(1, 2)));
    assert!(!followed.have_terms(&bed.rules.chain, ContractNumber(2), &bed.terms(1, 2)));
}

// One ledger (F7, B-1).

/// Deployment, issue, loan and return, as blocks.
fn a_history(bed: &mut Bed) -> Vec<(Applied, Vec<std::sync::Arc<ledger_types::bundle::Bundle>>)> {
    let coin = bed.inert_coin(100);
    let mut blocks = Vec::new();
    let mut block = |bed: &mut Bed, draft: Draft| {
        let bundles = vec![bed.bundle(draft.core.submitter, vec![draft.seal()])];
        let applied = bed.block(&bundles);
        assert_eq!(applied.results[0].code, 0);
        blocks.push((applied, bundles));
    };
    let activation = bed.activate(&[coin], GOOD_LOAN, 60);
    let id = bed.obligation_of(&activation);
    block(bed, activation);
    let head = bed.head(NOVEMBER, 1);
    let publication = bed.publish(head, &[(0, 290), (2, 291)]);
    block(bed, publication);
    let own = bed.coin_of(CENTRAL, 0);
    let returned = bed.return_loan(&[own], id, 5_000);
    block(bed, returned);
    blocks
}

#[test]
fn a_second_instance_that_gets_the_bytes_computes_the_same_verdicts_and_roots() {
    let mut bed = Bed::with_a_policy_in_force();
    let mut replayed = bed.clone();
    let blocks = a_history(&mut bed);
    // The two blocks that issued and confirmed the coin.
    replayed.inert_coin(100);
    for (applied, bundles) in blocks {
        let bytes: Vec<Vec<u8>> = bundles.iter().map(|bundle| bundle.to_bytes()).collect();
        let parsed =
            bytes.iter().map(|bytes| ledger_types::bundle::Bundle::parse(&replayed.rules.chain, bytes).unwrap());
        let again = replayed.block(&parsed.map(std::sync::Arc::new).collect::<Vec<_>>());
        assert_eq!(again, applied);
    }
    // What a restart reads back is the same ledger.
    let bytes = bed.ledger.to_bytes();
    assert_eq!(ledger_state::Ledger::from_bytes(&bytes).unwrap(), bed.ledger);
}

#[test]
fn a_verdict_that_a_proposer_made_up_fails_the_results_root_and_a_state_that_it_made_up_the_state_root() {
    let mut bed = Bed::with_a_policy_in_force();
    let coin = bed.inert_coin(100);
    let denied = bed.activate(&[coin], Loan { rate: GOOD_LOAN.rate + 100, ..GOOD_LOAN }, 60);
    let bundle = bed.bundle(BANK2, vec![denied.seal()]);
    let honest = bed.try_block(&[bundle]).unwrap();
    assert_eq!(honest.results[0].code, Rejection::DeniedLoanRate.number());

    let mut claimed = honest.results.clone();
    claimed[0].code = 0;
    let mut header = honest.header.clone();
    header.results_root = results_root(&bed.rules.chain, &claimed);
    assert_eq!(honest.compare(&header), Err(BlockRefusal::ResultsRootDiffers));
    let mut header = honest.header.clone();
    header.map_root = TreeRoot([1; 32]);
    assert_eq!(honest.compare(&header), Err(BlockRefusal::MapRootDiffers));
}

#[test]
fn every_refusal_of_contracts_and_feeds_is_met_by_a_test() {
    let files = [
        include_str!("contracts.rs"),
        include_str!("feeds.rs"),
        include_str!("loans.rs"),
        include_str!("statements.rs"),
    ]
    .concat();
    for rejection in Rejection::ALL.iter().filter(|rejection| rejection.number() >= 60) {
        // What a month or a number out of range does to a verdict is the language's: its refusal's number is tested in `policy`.
        let is_the_languages = [64, 67, 68, 69, 70, 72].contains(&rejection.number());
        assert!(is_the_languages || files.contains(&format!("Rejection::{rejection:?}")), "{rejection}");
    }
}
