//! Contracts (K-1 to K-9): deployment, notice, supersession, stop and retirement; issue under a contract, loan, return, reclaim. Every
//! path and every refusal, met by one.

mod common;

use common::lending::*;
use common::*;
use ledger_state::{Applied, BlockRefusal, Contracts};
use ledger_tree::map::{self, EntryType, Version};
use ledger_types::block::results_root;
use ledger_types::coin::{Coin, CoinStatus};
use ledger_types::confirmation::RecordStatus;
use ledger_types::contract::*;
use ledger_types::encoding::{Decode, Encode, List, Octets};
use ledger_types::envelope::*;
use ledger_types::feed::FeedDefinition;
use ledger_types::ids::*;
use ledger_types::log_leaf::LogLeaf;
use ledger_types::rejection::Rejection;

const DAYS_60: u64 = 60 * DAY_MS;
/// 3.45 % − 100 bp.
const RETURN_RATE: i64 = 24_500;

fn of_map(bed: &Bed, entry: EntryType, id: &[u8], value: Option<&dyn Fn() -> Vec<u8>>) {
    let key = map::key_hash(entry, id);
    let root = &bed.ledger.map_root.0;
    let proof = map::prove(&bed.state, Version::after_height(bed.ledger.height.0), &key).unwrap().proof;
    match value {
        Some(value) => map::verify_inclusion(root, &key, &map::value_hash(&value()), &proof).unwrap(),
        None => map::verify_absence(root, &key, &proof).unwrap(),
    }
}

fn stop(bed: &mut Bed) -> Draft {
    bed.contract_order(ContractOrder::Stop { contract: ONE })
}

fn retire(bed: &mut Bed, notice: u32) -> Draft {
    bed.contract_order(ContractOrder::Retire { contract: ONE, notice })
}

/// The leaves that an empty batch puts into the log.
fn logged(bed: &mut Bed) -> Vec<LogLeaf> {
    let bundle = bed.confirmation(bed.batch(Vec::new()));
    let applied = bed.block(&[bundle]);
    applied.changes.log_leaves.iter().map(|(_, leaf)| LogLeaf::from_bytes(leaf).unwrap()).collect()
}

/// Bank 2 has lent 60 of an inert coin of 100. Gives the activation, and coins of the central bank's own to return with.
fn lent() -> (Bed, Draft) {
    let mut bed = Bed::with_a_policy_in_force();
    let coin = bed.inert_coin(100);
    let activation = bed.activate(&[coin], GOOD_LOAN, 60);
    assert_eq!(bed.submit(activation.clone()), 0);
    (bed, activation)
}

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
    let bundle = bed.bundle(BANK3, drafts.map(Draft::seal).to_vec());
    let codes: Vec<u16> = bed.block(&[bundle]).results.iter().map(|result| result.code).collect();
    assert_eq!(codes, [0, 76, 0]);
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
    let bundle = bed.bundle(BANK3, drafts.map(Draft::seal).to_vec());
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
    let twice = bed.bundle(BANK3, vec![stopped.clone().seal(), stopped.clone().seal()]);
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
    let bundle = bed.bundle(BANK3, drafts.map(Draft::seal).to_vec());
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

// Activate (K-5, K-2).

#[test]
fn a_permitted_loan_gives_plain_money_keeps_the_change_inert_and_leaves_an_obligation() {
    let (mut bed, activation) = lent();
    let block_ms = bed.ledger.time_ms;
    for coin in &activation.coins {
        let is_lent = coin.bank == BANK3;
        let expected = match is_lent {
            true => Coin::plain(CoinStatus::Unconfirmed),
            // The idle window goes on from the issue.
            false => Coin { status: CoinStatus::Unconfirmed, contract: ONE, issued_ms: OPENS_MS + 1_000 },
        };
        assert_eq!(bed.state.coins[&coin.id], expected);
    }
    let id = bed.obligation_of(&activation);
    let open = bed.state.obligations[&id];
    let policy = bed.ledger.contracts.get(ONE).unwrap().newest().policy;
    let due_ms = block_ms + (365 + 30) * DAY_MS;
    let obligation = Obligation { contract: ONE, version: PolicyVersion(1), policy, activated_ms: block_ms, due_ms };
    assert_eq!((open.obligation, open.bank), (obligation, BANK2));
    of_map(&bed, EntryType::Obligation, &id.0, Some(&|| obligation.to_bytes()));
    // Retail money is unconditional: the borrower pays on.
    let borrowed = activation.coins.iter().find(|coin| coin.bank == BANK3).unwrap().clone();
    bed.make_live(std::slice::from_ref(&borrowed));
    let payment = bed.transfer(BANK3, &[borrowed], &[(BANK4, 60)]);
    assert_eq!(bed.submit(payment), 0);
}

#[test]
fn each_condition_of_the_policy_denies_by_its_own_number() {
    let mut bed = Bed::with_a_policy_in_force();
    let coin = bed.inert_coin(100);
    let cases = [
        (Loan { sector: 0x420d, ..GOOD_LOAN }, Rejection::DeniedSector),
        (Loan { sector: u32::MAX, ..GOOD_LOAN }, Rejection::DeniedSector),
        // One basis point too dear.
        (Loan { rate: GOOD_LOAN.rate + 100, ..GOOD_LOAN }, Rejection::DeniedLoanRate),
        (Loan { rate: GOOD_LOAN.rate + 1, ..GOOD_LOAN }, Rejection::DeniedLoanRate),
    ];
    for (loan, expected) in cases {
        let activation = bed.activate(std::slice::from_ref(&coin), loan, 60);
        assert_refused(&bed, activation, expected);
    }
    let activation = bed.activate(&[coin], GOOD_LOAN, 100);
    assert_eq!(bed.submit(activation), 0, "and without change");
}

#[test]
fn a_loan_before_the_window_is_too_early_by_a_millisecond_and_one_after_it_too_late() {
    let mut bed = Bed::new();
    bed.registers_the_benchmark();
    bed.publishes(NOVEMBER, 0, 345);
    let deploy = bed.deploy(1, 1, 2, &policy(1).replace("60 days", "400 days"));
    assert_eq!(bed.submit(deploy), 0);
    bed.wait_heights(1);
    let coin = bed.inert_coin(100);
    let code_at = |bed: &mut Bed, time_ms: u64| {
        bed.wait_until(time_ms - 1_000);
        let activation = bed.activate(std::slice::from_ref(&coin), GOOD_LOAN, 60);
        let bundle = bed.bundle(BANK2, vec![activation.seal()]);
        bed.try_block_at(time_ms, &[bundle]).unwrap().results[0].code
    };
    assert_eq!(code_at(&mut bed.clone(), OPENS_MS - 1), Rejection::DeniedNotYet.number());
    assert_eq!(code_at(&mut bed.clone(), OPENS_MS), 0);
    let june_ms = 1_717_200_000_000;
    for month in 1..=6 {
        bed.wait_until(OPENS_MS + u64::from(month) * 30 * DAY_MS);
        bed.publishes(NOVEMBER + month, 0, 345);
    }
    assert_eq!(code_at(&mut bed.clone(), june_ms - 1), 0);
    assert_eq!(code_at(&mut bed, june_ms), Rejection::DeniedWindowOver.number());
}

#[test]
fn a_missing_or_stale_feed_takes_the_declared_branch_and_nothing_is_fetched() {
    let mut bed = Bed::new();
    bed.registers_the_benchmark();
    let deploy = bed.deploy(1, 1, 2, &policy(1));
    assert_eq!(bed.submit(deploy), 0);
    bed.wait_heights(1);
    bed.wait_until(OPENS_MS);
    let coin = bed.inert_coin(100);
    let never_published = bed.activate(std::slice::from_ref(&coin), GOOD_LOAN, 60);
    assert_refused(&bed, never_published, Rejection::DeniedFeedStale);
    bed.publishes(NOVEMBER, 0, 345);
    bed.wait_until(OPENS_MS + 41 * DAY_MS);
    let stale = bed.activate(std::slice::from_ref(&coin), GOOD_LOAN, 60);
    assert_refused(&bed, stale, Rejection::DeniedFeedStale);
    // The other branch: a value that the policy itself names.
    let fallback = policy(1).replace("when stale deny", "when stale use 3.45 %");
    let mut bed = Bed::with_policy(&fallback);
    bed.wait_until(OPENS_MS + 41 * DAY_MS);
    let coin = bed.inert_coin(100);
    let activation = bed.activate(&[coin], GOOD_LOAN, 60);
    assert_eq!(bed.submit(activation), 0);
}

/// K-12: what a program looks back at are periods that have items, of the vintage that the policy names.
#[test]
fn a_program_looks_back_over_published_periods_at_first_or_last_vintages() {
    use ledger_types::feed::Frequency;
    let rate_of = |frequency, vintage: &str, published: &[(u32, u32, i64)]| {
        let (word, unit) = if frequency == Frequency::Daily { ("daily", "days") } else { ("monthly", "months") };
        let rate = format!("otherwise average of lpr over 2 {unit}");
        let source = policy_with(1, "loan term <= 2 years", "60 days", &rate);
        let source = source.replace("    when lpr < 3.00 % : 0.50 %\n", "").replace("monthly", word);
        let source = source.replace("latest vintage", vintage);
        let mut bed = Bed::new();
        let order = bed.feed_order(FeedDefinition { frequency, step_max: 1_000, ..benchmark() });
        assert_eq!(bed.submit(order), 0);
        for (period, vintage, value) in published {
            bed.publishes(*period, *vintage, *value);
        }
        let deploy = bed.deploy(1, 1, 2, &source);
        assert_eq!(bed.submit(deploy), 0);
        bed.wait_heights(1);
        bed.wait_until(OPENS_MS);
        let coin = bed.inert_coin(100);
        let activation = bed.activate(&[coin], Loan { rate: 10_000, ..GOOD_LOAN }, 60);
        assert_eq!(bed.submit(activation.clone()), 0);
        let (own, id) = (bed.coin_of(CENTRAL, 0), bed.obligation_of(&activation));
        let rates = (0..=40_000).step_by(100);
        let mut met = rates.filter(|rate| {
            let returned = bed.return_loan(std::slice::from_ref(&own), id, *rate);
            bed.try_block(&[bed.bundle(CENTRAL, vec![returned.seal()])]).unwrap().results[0].code == 0
        });
        met.next().unwrap()
    };
    let revised = [(NOVEMBER - 1, 0, 200), (NOVEMBER, 0, 300), (NOVEMBER - 1, 1, 100)];
    assert_eq!(rate_of(Frequency::Monthly, "latest vintage", &revised), 20_000);
    assert_eq!(rate_of(Frequency::Monthly, "first vintage", &revised), 25_000);
    // A month is missing: the average cannot be had, and the clamp's upper end is due.
    let gap = [(NOVEMBER - 2, 0, 200), (NOVEMBER, 0, 300)];
    assert_eq!(rate_of(Frequency::Monthly, "latest vintage", &gap), 40_000);
    // Of a daily series the days between, a weekend, are none of its periods.
    let friday = (GENESIS_TIME_MS / DAY_MS) as u32 - 4;
    let weekend = [(friday, 0, 200), (friday + 3, 0, 300)];
    assert_eq!(rate_of(Frequency::Daily, "latest vintage", &weekend), 25_000);
}

/// K-1: benchmark and loan in one block do not see each other, whichever comes first.
#[test]
fn a_benchmark_that_moves_at_a_height_binds_the_loans_of_the_next() {
    let mut bed = Bed::with_a_policy_in_force();
    let coins = [bed.inert_coin(100), bed.inert_coin(100)];
    let head = bed.head(NOVEMBER, 1);
    let down = bed.publish(head, &[(0, 320), (1, 320)]);
    let loan = bed.activate(&coins[..1], GOOD_LOAN, 60);
    let bundles = [bed.bundle(OBSERVER, vec![down.seal()]), bed.bundle(BANK2, vec![loan.seal()])];
    let codes: Vec<u16> = bed.block(&bundles).results.iter().map(|result| result.code).collect();
    assert_eq!(codes, [0, 0]);
    let too_dear_now = bed.activate(&coins[1..], GOOD_LOAN, 60);
    assert_refused(&bed, too_dear_now, Rejection::DeniedLoanRate);
    let cheaper = bed.activate(&coins[1..], Loan { rate: 37_000, ..GOOD_LOAN }, 60);
    assert_eq!(bed.submit(cheaper), 0);
}

#[test]
fn an_activation_is_refused_like_a_transfer_before_its_policy_is_asked() {
    let mut bed = Bed::with_a_policy_in_force();
    let coin = bed.inert_coin(100);
    let wrong = Loan { sector: 0, ..GOOD_LOAN };
    // Spent or never there: 16. Not live: 17. A stranger: 16. Nobody's bank: 3.
    let mut gone = coin.clone();
    gone.origin = Origin([9; 32]);
    let activation = bed.activate(&[gone], wrong, 60);
    assert_refused(&bed, activation, Rejection::CoinIsNotSpendable);
    let issue = bed.issue_inert(1, &[(BANK2, 50)]);
    let unconfirmed = issue.coins[0].clone();
    assert_eq!(bed.submit(issue), 0);
    let activation = bed.activate(&[unconfirmed], wrong, 50);
    assert_refused(&bed, activation, Rejection::CoinIsNotLive);
    let mut activation = bed.activate(std::slice::from_ref(&coin), wrong, 60);
    activation.core.submitter = BANK3;
    assert_refused(&bed, activation, Rejection::CoinIsNotSpendable);
    let mut activation = bed.activate(std::slice::from_ref(&coin), wrong, 60);
    activation.core.submitter = OBSERVER;
    assert_refused(&bed, activation, Rejection::SubmitterMayNotSubmitThis);
    //
    let overdue = ledger_types::confirmation::Overdue { envelope: EnvelopeId([1; 32]), submitter: BANK2 };
    let mut batch = bed.batch(Vec::new());
    batch.overdue = List::new(vec![overdue]).unwrap();
    let bundle = bed.confirmation(batch);
    bed.block(&[bundle]);
    let activation = bed.activate(&[coin], wrong, 60);
    assert_refused(&bed, activation, Rejection::SubmitterIsOverdue);
}

// Idle money (K-3).

#[test]
fn from_its_idle_instant_on_a_coin_is_denied_for_ever_and_the_policy_alone_lets_it_be_reclaimed() {
    let mut bed = Bed::with_a_policy_in_force();
    let coin = bed.inert_coin(100);
    let issued_ms = bed.state.coins[&coin.id].issued_ms;
    let (last, first) = (issued_ms + DAYS_60 - 1, issued_ms + DAYS_60);
    bed.wait_until(issued_ms + 30 * DAY_MS);
    bed.publishes(NOVEMBER + 1, 0, 345);
    bed.wait_until(last - 1_000);
    let activation = bed.activate(std::slice::from_ref(&coin), GOOD_LOAN, 60);
    let reclaim = bed.reclaim(std::slice::from_ref(&coin));
    let code_at = |bed: &Bed, draft: &Draft, time_ms: u64| {
        let bundle = bed.bundle(draft.core.submitter, vec![draft.clone().seal()]);
        bed.try_block_at(time_ms, &[bundle]).unwrap().results[0].code
    };
    assert_eq!(code_at(&bed, &activation, last), 0);
    assert_eq!(code_at(&bed, &activation, first), Rejection::DeniedWindowOver.number());
    assert_eq!(code_at(&bed, &reclaim, last), Rejection::NotIdleYet.number());
    assert_eq!(code_at(&bed, &reclaim, first), 0);
    // A stop does not keep it.
    let stopped = stop(&mut bed);
    let bundle = bed.bundle(BANK3, vec![stopped.seal()]);
    let applied = bed.try_block_at(first, &[bundle]).unwrap();
    bed.write(&applied);
    let reclaim = bed.reclaim(std::slice::from_ref(&coin));
    let id = reclaim.clone().seal().id(&bed.rules.chain);
    assert_eq!(bed.submit(reclaim), 0);
    assert!(!bed.state.coins.contains_key(&coin.id));
    // It is redeemed when registration has settled it.
    let mut batch = bed.batch(vec![record(coin.id, RecordStatus::Spent)]);
    batch.settled = List::new(vec![id]).unwrap();
    let redeemed = bed.ledger.redeemed;
    let bundle = bed.confirmation(batch);
    assert_eq!(bed.block(&[bundle]).results[0].code, 0);
    assert_eq!(bed.ledger.redeemed, redeemed + 100);
}

#[test]
fn change_is_as_old_as_the_oldest_of_what_it_was_made_of() {
    let mut bed = Bed::with_a_policy_in_force();
    let old = bed.inert_coin(100);
    let oldest_ms = bed.state.coins[&old.id].issued_ms;
    bed.wait_until(OPENS_MS + 20 * DAY_MS);
    let young = bed.inert_coin(100);
    let activation = bed.activate(&[old, young], GOOD_LOAN, 150);
    let change = activation.coins.iter().find(|coin| coin.bank == BANK2).unwrap().id;
    assert_eq!(bed.submit(activation), 0);
    assert_eq!(bed.state.coins[&change].issued_ms, oldest_ms);
}

#[test]
fn rejection_75_a_reclaim_waits_for_the_youngest_of_its_coins_and_takes_no_frozen_one() {
    let mut bed = Bed::with_a_policy_in_force();
    let old = bed.inert_coin(100);
    bed.wait_until(OPENS_MS + 20 * DAY_MS);
    let issue = bed.issue_inert(1, &[(BANK3, 50)]);
    let young = issue.coins[0].clone();
    assert_eq!(bed.submit(issue), 0);
    bed.wait_until(OPENS_MS + 61 * DAY_MS);
    let both = bed.reclaim(&[old.clone(), young.clone()]);
    assert_refused(&bed, both, Rejection::NotIdleYet);
    let mut nothing = bed.reclaim(std::slice::from_ref(&old));
    nothing.core.context = ClearContext::Reclaim(ReclaimContext { amount: Amount(0) });
    assert_refused(&bed, nothing, Rejection::AmountIsZero);
    let mut by_a_bank = bed.reclaim(std::slice::from_ref(&old));
    by_a_bank.core.submitter = BANK3;
    assert_refused(&bed, by_a_bank, Rejection::SubmitterMayNotSubmitThis);
    let plain = bed.coin_of(BANK2, 0);
    let plain = bed.reclaim(&[plain]);
    assert_refused(&bed, plain, Rejection::InputTermsNotAllowed);
    bed.wait_until(OPENS_MS + 81 * DAY_MS);
    // Unconfirmed goes; frozen is the officers'.
    assert_eq!(bed.confirm(vec![record(old.id, RecordStatus::Frozen)]), 0);
    let frozen = bed.reclaim(std::slice::from_ref(&old));
    assert_refused(&bed, frozen, Rejection::CoinIsNotLive);
    let young = bed.reclaim(&[young]);
    assert_eq!(bed.submit(young), 0);
}

// Return (K-2).

#[test]
fn a_return_retires_money_ends_the_obligation_and_leaves_a_receipt_without_the_bank() {
    let (mut bed, activation) = lent();
    let id = bed.obligation_of(&activation);
    let from_ms = bed.ledger.time_ms;
    logged(&mut bed);
    bed.wait_until(OPENS_MS + 20 * DAY_MS);
    let own = bed.coin_of(CENTRAL, 0);
    let returned = bed.return_loan(std::slice::from_ref(&own), id, RETURN_RATE);
    let envelope = returned.clone().seal().id(&bed.rules.chain);
    assert_eq!(bed.submit(returned), 0);
    let to_ms = bed.ledger.time_ms;
    assert!(bed.state.obligations.is_empty() && !bed.state.coins.contains_key(&own.id));
    of_map(&bed, EntryType::Obligation, &id.0, None);

    let leaves = logged(&mut bed);
    let [LogLeaf::Receipt(receipt), LogLeaf::State(_)] = &leaves[..] else { panic!("{leaves:?}") };
    let policy = bed.ledger.contracts.get(ONE).unwrap().newest().policy;
    let value = ReadValue { period: Period(NOVEMBER), vintage: Vintage(0), value: 345 };
    let inputs = vec![ReceiptInput { feed: FEED, back: 0, found: Some(value) }];
    let expected = Receipt {
        obligation: id,
        contract: ONE,
        version: PolicyVersion(1),
        policy,
        rate: RETURN_RATE,
        from_ms,
        to_ms,
        fuel: receipt.fuel,
        inputs: List::new(inputs).unwrap(),
    };
    assert_eq!(*receipt, expected);
    let package = &bed.state.packages[&policy];
    assert!(receipt.fuel > 0 && receipt.fuel <= package.program.fuel());
    assert_eq!(bed.state.receipt_leaves[&id], bed.ledger.log_size - 2);
    assert!(bed.state.contract_leaves.contains(&(ONE, bed.ledger.log_size - 2)));
    //
    let mut batch = bed.batch(Vec::new());
    batch.settled = List::new(vec![envelope]).unwrap();
    let bundle = bed.confirmation(batch);
    assert_eq!(bed.block(&[bundle]).results[0].code, 0);
    assert_eq!(bed.ledger.redeemed, 100);
}

#[test]
fn rejection_74_when_the_feed_moves_a_return_is_due_at_the_new_rate_and_at_no_other() {
    let (mut bed, activation) = lent();
    let id = bed.obligation_of(&activation);
    let own = bed.coin_of(CENTRAL, 0);
    bed.publishes(NOVEMBER, 1, 290);
    for wrong in [RETURN_RATE, 5_000 + 1, 5_000 - 100] {
        let returned = bed.return_loan(std::slice::from_ref(&own), id, wrong);
        assert_refused(&bed, returned, Rejection::ReturnRateDiffers);
    }
    // Below 3.00 % the policy asks 0.50 %.
    let returned = bed.return_loan(&[own], id, 5_000);
    assert_eq!(bed.submit(returned), 0);
}

#[test]
fn rejection_73_an_obligation_is_returned_once_and_not_in_the_block_that_makes_it() {
    let (mut bed, activation) = lent();
    let id = bed.obligation_of(&activation);
    let own = [bed.coin_of(CENTRAL, 0), bed.coin_of(CENTRAL, 1)];
    let unknown = bed.return_loan(&own[..1], ObligationId([3; 32]), RETURN_RATE);
    assert_refused(&bed, unknown, Rejection::ObligationUnknown);
    let twice = [bed.return_loan(&own[..1], id, RETURN_RATE), bed.return_loan(&own[1..], id, RETURN_RATE)];
    let bundle = bed.bundle(CENTRAL, twice.map(Draft::seal).to_vec());
    let codes: Vec<u16> = bed.block(&[bundle]).results.iter().map(|result| result.code).collect();
    assert_eq!(codes, [0, 73]);
    let again = bed.return_loan(&own[1..], id, RETURN_RATE);
    assert_refused(&bed, again, Rejection::ObligationUnknown);

    let mut bed = Bed::with_a_policy_in_force();
    let coin = bed.inert_coin(100);
    let activation = bed.activate(&[coin], GOOD_LOAN, 60);
    let returned = bed.return_loan(&own[..1], bed.obligation_of(&activation), RETURN_RATE);
    let bundles = [bed.bundle(BANK2, vec![activation.seal()]), bed.bundle(CENTRAL, vec![returned.clone().seal()])];
    let codes: Vec<u16> = bed.block(&bundles).results.iter().map(|result| result.code).collect();
    assert_eq!(codes, [0, 73]);
    assert_eq!(bed.submit(returned), 0, "an open refusal");
}

#[test]
fn a_return_is_the_central_banks_under_its_issue_key_of_its_own_plain_live_coins() {
    let (mut bed, activation) = lent();
    let id = bed.obligation_of(&activation);
    let own = bed.coin_of(CENTRAL, 0);
    let mut unsigned = bed.return_loan(std::slice::from_ref(&own), id, RETURN_RATE);
    let ClearContext::Return(context) = &mut unsigned.core.context else { unreachable!() };
    context.rate += 1;
    assert_refused(&bed, unsigned, Rejection::NotAuthorized);
    let mut nothing = bed.return_loan(std::slice::from_ref(&own), id, RETURN_RATE);
    let ClearContext::Return(context) = &mut nothing.core.context else { unreachable!() };
    context.amount = Amount(0);
    assert_refused(&bed, nothing, Rejection::AmountIsZero);
    let mut by_a_bank = bed.return_loan(&[own], id, RETURN_RATE);
    by_a_bank.core.submitter = BANK2;
    assert_refused(&bed, by_a_bank, Rejection::SubmitterMayNotSubmitThis);
    let theirs = bed.coin_of(BANK2, 0);
    let theirs = bed.return_loan(&[theirs], id, RETURN_RATE);
    assert_refused(&bed, theirs, Rejection::CoinIsNotSpendable);
    let issue = bed.issue_inert(1, &[(CENTRAL, 100)]);
    let inert = issue.coins[0].clone();
    assert_eq!(bed.submit(issue), 0);
    let unconfirmed = bed.return_loan(std::slice::from_ref(&inert), id, RETURN_RATE);
    assert_refused(&bed, unconfirmed, Rejection::CoinIsNotLive);
    bed.make_live(std::slice::from_ref(&inert));
    let inert = bed.return_loan(&[inert], id, RETURN_RATE);
    assert_refused(&bed, inert, Rejection::InputTermsNotAllowed);
}

// Overdue (K-6).

#[test]
fn rejection_61_an_overdue_obligation_blocks_its_banks_loans_under_that_contract_until_it_is_returned() {
    let mut bed = Bed::with_policy(&policy(1).replace("60 days", "400 days"));
    let second = bed.deploy(2, 1, 2, &policy(1).replace("60 days", "400 days"));
    assert_eq!(bed.submit(second), 0);
    let coins = [bed.inert_coin(100), bed.inert_coin(100)];
    // Due on the day after tomorrow: a day's loan and no time to spare would still be 31 days.
    let loan = Loan { term_days: 1, ..GOOD_LOAN };
    let activation = bed.activate(&coins[..1], loan, 100);
    assert_eq!(bed.submit(activation.clone()), 0);
    let id = bed.obligation_of(&activation);
    let due_ms = bed.state.obligations[&id].obligation.due_ms;
    assert_eq!(due_ms, bed.ledger.time_ms + 31 * DAY_MS);
    bed.wait_until(due_ms - 5_000);
    bed.publishes(NOVEMBER + 1, 0, 345);
    bed.wait_until(due_ms - 1_000);

    let again = bed.activate(&coins[1..], GOOD_LOAN, 100);
    let code_at = |bed: &Bed, time_ms: u64| {
        let bundle = bed.bundle(BANK2, vec![again.clone().seal()]);
        bed.try_block_at(time_ms, &[bundle]).unwrap().results[0].code
    };
    assert_eq!(code_at(&bed, due_ms), 0);
    assert_eq!(code_at(&bed, due_ms + 1), Rejection::ObligationOverdue.number());
    // Not the loans of another bank, nor those under another contract.
    assert_eq!(bed.state_owes(BANK3, ONE), None);
    assert_eq!(bed.state_owes(BANK2, ContractNumber(2)), None);
    bed.wait_until(due_ms + 1);
    let own = bed.coin_of(CENTRAL, 0);
    let returned = bed.return_loan(&[own], id, RETURN_RATE);
    let bundles = [bed.bundle(CENTRAL, vec![returned.seal()]), bed.bundle(BANK2, vec![again.clone().seal()])];
    let codes: Vec<u16> = bed.block(&bundles).results.iter().map(|result| result.code).collect();
    assert_eq!(codes, [0, 61], "K-1: as of the height before");
    assert_eq!(bed.submit(again), 0);
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
    let bundles = [bed.bundle(BANK3, vec![stopped.seal()]), bed.bundle(BANK2, vec![loan.clone().seal()])];
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
    for order in [stop(&mut bed), retire(&mut bed, 2), bed.deploy(1, 2, 2, &policy(2))] {
        assert_refused(&bed, order, Rejection::ContractIsRetired);
    }
    bed.wait_heights(1);
    let (loan, reclaim) = (bed.activate(std::slice::from_ref(&coin), GOOD_LOAN, 10), bed.reclaim(&[coin]));
    let last = bed.try_block(&[bed.bundle(BANK2, vec![loan.clone().seal()])]).unwrap();
    assert_eq!(last.results[0].code, 0, "at the last height before it retires");
    assert_refused(&bed, reclaim.clone(), Rejection::NotIdleYet);
    bed.wait_heights(1);
    assert_refused(&bed, loan, Rejection::ContractNotInForce);
    assert_eq!(bed.submit(reclaim), 0);
    let leaves = logged(&mut bed);
    let retired = leaves.iter().any(|leaf| {
        matches!(leaf, LogLeaf::Contract(ContractEvent { action: ContractAction::Retire, contract: ONE, .. }))
    });
    assert!(retired, "{leaves:?}");
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

impl Bed {
    fn state_owes(&self, bank: ParticipantNumber, contract: ContractNumber) -> Option<u64> {
        ledger_state::StateReader::earliest_due(&self.state, bank, contract).unwrap()
    }
}

#[test]
fn every_refusal_of_contracts_and_feeds_is_met_by_a_test() {
    let files = [include_str!("contracts.rs"), include_str!("feeds.rs")].concat();
    for rejection in Rejection::ALL.iter().filter(|rejection| rejection.number() >= 60) {
        // What a month or a number out of range does to a verdict is the language's: its refusal's number is tested in `policy`.
        let is_the_languages = [64, 67, 68, 69, 70, 72].contains(&rejection.number());
        assert!(is_the_languages || files.contains(&format!("Rejection::{rejection:?}")), "{rejection}");
    }
}
