//! Blocks of rules K: a feed is registered and published, policies are deployed, money is issued inert, lent, returned and reclaimed,
//! and each refusal that an envelope of these kinds can meet is met.

use super::bed::lending::*;
use super::bed::*;
use super::transition::{Item, Story};
use ledger_types::contract::{ContractOrder, DAY_MS, Loan, StatementDispute};
use ledger_types::encoding::{Encode, List, Octets};
use ledger_types::envelope::{ClearContext, TermsFlag};
use ledger_types::feed::{FeedDefinition, FeedName, PublishedValue};
use ledger_types::keys::Signature;
use ledger_types::request::BasisCode;
use ledger_types::*;
use serde_json::Value;

/// What a loan under contract 1 costs in December: the benchmark's 4.08 % − 100 bp.
const DECEMBERS_RATE: i64 = 30_800;
const TWO: u32 = 2;
/// Under contract 2: one line for each reason that a policy may deny for.
const REASONS: &str = r#"policy "reasons" version 1
currency CNY
feed lpr = "cn.lpr.1y" monthly percent scale 2, at most 40 days old, first vintage, when stale deny

effective when
    time until 2024-01-10
    month in { january, november, december }
    weekday in { monday .. friday }
    sector not in ISIC { K }
    loan term <= 2 years
    lpr < 3.50 % or sector in ISIC { A, C }
    loan rate < 5.00 % or sector in ISIC { A }
    lpr < 4.20 %
    change of lpr over 1 month >= 0 bp
    2 * loan rate < 20.00 %

deny when
    loan rate < 0.50 %

idle after 400 days

return rate
    when loan age > 3 days : 1.50 %
    otherwise 0.5 * lpr
    clamp 0.25 % .. 4.00 %, step 25 bp
"#;

pub fn lending() -> Value {
    let mut story = Story::new();
    registers(&mut story);
    publishes(&mut story);
    revises(&mut story);
    let inert = issues(&mut story);
    lends(&mut story, inert);
    story.to_value()
}

fn central(story: &mut Story, items: Vec<Item>) {
    let bundle = story.bundle(CENTRAL, items);
    story.block(vec![bundle]);
}

fn deploy(story: &mut Story, contract: u32, version: u32, notice: u32, source: &str) -> envelope::Envelope {
    story.bed.deploy(contract, version, notice, source).seal()
}

/// A deployment whose package is these bytes, authorized.
fn deploy_bytes(story: &mut Story, package: Vec<u8>) -> envelope::Envelope {
    let mut deployment = deployment(1, 1, 2, &policy(1));
    deployment.package = Octets::new(package).unwrap();
    story.bed.contract_order(ContractOrder::Deploy(deployment)).seal()
}

/// Block 1: nothing of rules K stands yet.
fn registers(story: &mut Story) {
    let order = |story: &mut Story, change: &dyn Fn(&mut FeedDefinition)| {
        let mut definition = benchmark();
        change(&mut definition);
        story.bed.feed_order(definition).seal()
    };
    let good = order(story, &|_| ());
    let rules = story.bed.rules.clone();
    let one = story.bed.feed_order(benchmark()).authorize_by_officers(&rules, &[1]).seal();
    let by_bank = {
        let mut draft = story.bed.feed_order(benchmark());
        draft.core.submitter = BANK2;
        draft.authorize_by_officers(&rules, &[0, 1]).seal()
    };
    let head = story.bed.head(NOVEMBER, 0);
    let early = story.bed.publish(head, &[(0, 345), (1, 345)]).seal();
    let items = vec![
        ("a feed", good.clone(), 0),
        ("its authorization again", good, 13),
        ("a feed of one officer", one, 13),
        ("less than half of the publishers", order(story, &|feed| feed.threshold = 1), 81),
        ("more publishers than there are", order(story, &|feed| feed.threshold = 4), 81),
        (
            "a publisher twice",
            order(story, &|feed| feed.publishers = List::new(vec![publisher(0).public_key(); 2]).unwrap()),
            81,
        ),
        ("ten decimals", order(story, &|feed| feed.scale = 10), 81),
        ("another feed of its name", order(story, &|feed| feed.feed = FeedNumber(2)), 82),
        (
            "a feed's number ahead",
            order(story, &|feed| {
                (feed.feed, feed.name) = (FeedNumber(3), FeedName::parse("cn.m2").unwrap());
            }),
            82,
        ),
        ("another frequency, of this block's feed", order(story, &|feed| feed.frequency = feed::Frequency::Daily), 82),
        ("a publication of a feed that is registered in this block", early, 80),
        ("a policy that reads it", deploy(story, 1, 1, 2, &policy(1)), 80),
        ("a stop of no contract", stop(&mut story.bed).seal(), 9),
        ("a retirement of no contract", retire(&mut story.bed, 2).seal(), 9),
    ];
    let items = story.bundle(CENTRAL, items);
    let others = story.bundle(BANK2, vec![("a feed order of a commercial bank", by_bank, 3)]);
    story.block(vec![items, others]);
}

/// Block 2: the benchmark of November, and the first deployment.
fn publishes(story: &mut Story) {
    let publish = |story: &mut Story, change: &dyn Fn(&mut feed::ItemHead), values: &[(u8, i64)]| {
        let mut head = story.bed.head(NOVEMBER, 0);
        change(&mut head);
        story.bed.publish(head, values).seal()
    };
    let two: [(u8, i64); 2] = [(0, 345), (1, 345)];
    let head = story.bed.head(NOVEMBER, 0);
    let mut forged = story.bed.publish(head, &two);
    if let ClearContext::Publication(publication) = &mut forged.core.context {
        let by = PublishedValue { publisher: 2, value: 345, signature: Signature([1; 64]) };
        publication.values = List::new([publication.values.to_vec(), vec![by]].concat()).unwrap();
    }
    let mut wider = benchmark();
    wider.step_max = 60;
    let mut finer = benchmark();
    finer.scale = 3;
    let package = package(&policy(1)).to_bytes();
    let dollars = policy(1).replace("currency CNY", "currency USD");
    let index = policy(1).replace("percent scale 2", "percent scale 1").replace("3.00 %", "3.0 %");
    let items = vec![
        ("an item of one publisher", publish(story, &|_| (), &two[..1]), 13),
        ("publishers not ascending", publish(story, &|_| (), &[(1, 345), (0, 345)]), 13),
        ("an item that a third did not sign", forged.seal(), 13),
        ("an item", publish(story, &|_| (), &two), 0),
        ("another item of the block", publish(story, &|head| head.period.0 -= 1, &two), 84),
        ("another scale", publish(story, &|head| head.scale = 3, &two), 80),
        ("another feed", publish(story, &|head| head.feed = FeedNumber(2), &two), 80),
        ("published after the block", publish(story, &|head| head.published_ms += 1, &two), 83),
        ("published a day and more ago", publish(story, &|head| head.published_ms -= DAY_MS + 1, &two), 83),
        ("never valid", publish(story, &|head| head.valid_until_ms = head.published_ms, &two), 83),
        ("of a month that has not begun", publish(story, &|head| head.period.0 += 1, &two), 83),
        ("a step of 60 from now on", story.bed.feed_order(wider).seal(), 0),
        ("another scale of the feed", story.bed.feed_order(finer).seal(), 82),
        ("a notice of one height", deploy(story, 1, 1, 1, &policy(1)), 78),
        ("a package that is cut short", deploy_bytes(story, package[..package.len() - 1].to_vec()), 79),
        ("a package with leftovers", deploy_bytes(story, [&package[..], &[0]].concat()), 79),
        ("another currency", deploy(story, 1, 1, 2, &dollars), 79),
        ("another version in the package", deploy(story, 1, 1, 2, &policy(2)), 79),
        ("a feed of another scale", deploy(story, 1, 1, 2, &index), 80),
        ("a contract's number ahead", deploy(story, 2, 1, 2, &policy(1)), 76),
        ("a second version before the first", deploy(story, 1, 2, 2, &policy(2)), 76),
        ("a contract", deploy(story, 1, 1, 2, &policy(1)), 0),
        ("a second version beside it", deploy(story, 1, 2, 2, &policy(2)), 76),
        ("a stop of a contract of this block", stop(&mut story.bed).seal(), 9),
    ];
    central(story, items);
}

/// Block 3: the benchmark is revised; no version binds yet.
fn revises(story: &mut Story) {
    let publish = |story: &mut Story, period: u32, vintage: u32, value: i64| {
        let head = story.bed.head(period, vintage);
        story.bed.publish(head, &[(0, value), (1, value + 1), (2, 400)]).seal()
    };
    let idler = policy_with(2, "sector in ISIC { A, C10..C12 }", "61 days", "otherwise lpr - 100 bp");
    let other = policy(2).replace("\"lending\"", "\"other\"");
    let items = vec![
        ("a month that is past", publish(story, NOVEMBER - 1, 0, 340), 84),
        ("the same vintage again", publish(story, NOVEMBER, 0, 345), 84),
        ("a vintage ahead", publish(story, NOVEMBER, 2, 345), 84),
        ("a step of 62", publish(story, NOVEMBER, 1, 407), 85),
        ("a revision, the middle one of three", publish(story, NOVEMBER, 1, 349), 0),
        ("money under a contract that does not bind yet", story.bed.issue_inert(1, &[(BANK2, 100)]).seal(), 9),
        ("a longer idle window", deploy(story, 1, 2, 2, &idler), 79),
        ("another name", deploy(story, 1, 2, 2, &other), 79),
        ("a second contract", deploy(story, TWO, 1, 2, REASONS), 0),
    ];
    central(story, items);
}

/// Blocks 4 to 7: inert money, confirmed.
fn issues(story: &mut Story) -> Vec<KnownCoin> {
    let rules = story.bed.rules.clone();
    let issue = story.bed.issue_inert(1, &[(BANK2, 100), (BANK2, 80), (BANK2, 70), (BANK2, 60), (BANK2, 50)]);
    let mut plain = story.bed.issue_inert(1, &[(BANK2, 100)]);
    for output in plain.core.outputs.as_mut_slice() {
        output.terms_flag = TermsFlag::Plain;
    }
    if let ClearContext::Issue(context) = &mut plain.core.context {
        context.issue_number += 1;
    }
    let coin = story.bed.coin_of(BANK2, 3);
    let mut transfer = story.bed.transfer(BANK2, &[coin], &[(BANK2, 100)]);
    transfer.core.contract = ONE;
    let (mut coins, issued) = (issue.coins.clone(), issue.clone().seal());
    let ours = vec![
        ("inert money", issued.clone(), 0),
        ("a contract declared, and plain outputs", plain.authorize_by_issue_key(&rules).seal(), 10),
    ];
    let ours = story.bundle(CENTRAL, ours);
    let theirs = story.bundle(BANK2, vec![("a transfer that declares a contract", transfer.seal(), 10)]);
    story.block(vec![ours, theirs]);

    let second = story.bed.issue_inert(2, &[(BANK2, 10), (BANK2, 20), (BANK4, 30)]);
    coins.extend(second.coins.clone());
    central(story, vec![("inert money of the second contract", second.clone().seal(), 0)]);
    let mut batch = story.bed.batch(coins.iter().skip(1).map(|coin| live(coin.id)).collect());
    let mut settled = vec![issued.id(&rules.chain), second.seal().id(&rules.chain)];
    settled.sort();
    batch.settled = List::new(settled).unwrap();
    let batch = story.bed.sign(batch);
    let batch = story.batch(0, batch, "inert coins live but for one; the events of rules K are logged", 0);
    story.block(vec![batch]);
    coins
}

fn of(coins: &[KnownCoin], contract: u32, nth: usize, story: &Story) -> KnownCoin {
    let terms = story.bed.terms(contract, 1);
    coins.iter().filter(|coin| coin.opening.terms == terms).nth(nth).unwrap().clone()
}

fn lends(story: &mut Story, inert: Vec<KnownCoin>) {
    let rules = story.bed.rules.clone();
    let first: Vec<KnownCoin> = (0..5).map(|nth| of(&inert, 1, nth, story)).collect();
    let second: Vec<KnownCoin> = (0..3).map(|nth| of(&inert, TWO, nth, story)).collect();
    let of_two: Vec<KnownCoin> = second.iter().filter(|coin| coin.bank == BANK2).cloned().collect();
    let loan = |story: &mut Story, coins: &[KnownCoin], loan: Loan, lent: u64| story.bed.activate(coins, loan, lent);
    let under_two = |story: &mut Story, loan: Loan| {
        let mut draft = story.bed.activate(&of_two[..1], loan, 10);
        draft.core.contract = ContractNumber(TWO);
        draft
    };
    // The first coin is unconfirmed: all others are live.
    let (unconfirmed, lendable) = (first[0].clone(), first[1..].to_vec());
    let early = loan(story, &lendable[..1], GOOD_LOAN, 10);
    let early = story.bundle(BANK2, vec![("before the window", early.seal(), 62)]);
    story.block(vec![early]);
    story.block_at(OPENS_MS, vec![]);

    // In the window.
    let plain = story.bed.coin_of(BANK2, 0);
    let transfer = story.bed.transfer(BANK2, &lendable[..1], &[(BANK2, lendable[0].opening.amount.0)]);
    let mut two_plain = loan(story, &lendable[..1], GOOD_LOAN, 10);
    for output in two_plain.core.outputs.as_mut_slice() {
        output.terms_flag = TermsFlag::Plain;
    }
    let mut undeclared = loan(story, &lendable[..1], GOOD_LOAN, 10);
    undeclared.core.contract = ContractNumber(0);
    let mut unknown = loan(story, &lendable[..1], GOOD_LOAN, 10);
    unknown.core.contract = ContractNumber(3);
    let good = loan(story, &lendable[..1], GOOD_LOAN, 10);
    let short = loan(story, &lendable[1..2], Loan { term_days: 1, ..GOOD_LOAN }, 10);
    let with = |sector: u32, rate: i64, term_days: u16| Loan { sector, rate, term_days };
    const C10: u32 = 0x430a;
    const D35: u32 = 0x4423;
    let items = vec![
        ("a sector that the policy has not", loan(story, &lendable[..1], with(0x4b40, 39_500, 365), 10).seal(), 65),
        ("a sector that no list has", loan(story, &lendable[..1], with(7, 39_500, 365), 10).seal(), 65),
        ("a basis point too dear", loan(story, &lendable[..1], with(C10, 40_100, 365), 10).seal(), 66),
        ("two plain outputs", two_plain.seal(), 10),
        ("no contract declared", undeclared.seal(), 10),
        ("a contract that is not", unknown.seal(), 9),
        ("inert money transferred", transfer.seal(), 18),
        ("plain money lent", loan(story, &[plain], GOOD_LOAN, 100).seal(), 18),
        (
            "money of two contracts lent",
            loan(story, &[lendable[0].clone(), of_two[0].clone()], GOOD_LOAN, 10).seal(),
            18,
        ),
        ("unconfirmed money lent", loan(story, std::slice::from_ref(&unconfirmed), GOOD_LOAN, 10).seal(), 17),
        ("a loan", good.clone().seal(), 0),
        ("its coin again", loan(story, &lendable[..1], GOOD_LOAN, 10).seal(), 16),
        ("a loan of one day", short.clone().seal(), 0),
        ("too cheap: an explicit deny", under_two(story, with(C10, 4_999, 365)).seal(), 70),
        ("a term of more than two years", under_two(story, with(C10, 9_000, 800)).seal(), 67),
        ("a change since a month that has no value", under_two(story, with(D35, 9_000, 365)).seal(), 71),
        ("a condition of two things", under_two(story, with(D35, 60_000, 365)).seal(), 69),
        ("the same, whatever the rate", under_two(story, with(0x4101, i64::MAX, 365)).seal(), 71),
    ];
    let items = story.bundle(BANK2, items);
    story.block(vec![items]);

    // December's benchmark; what a loan costs that is paid back.
    let obligation = story.bed.obligation_of(&good);
    let dear = story.bed.obligation_of(&short);
    story.block_at(OPENS_MS + 11 * DAY_MS, vec![]);
    let head = story.bed.head(NOVEMBER + 1, 0);
    let december = story.bed.publish(head, &[(0, 411), (2, 411)]).seal();
    let head = story.bed.head(NOVEMBER + 1, 0);
    let high = story.bed.publish(head, &[(0, 408), (2, 409)]).seal();
    central(story, vec![("a step of 61 from the newest month", december, 85), ("the benchmark of December", high, 0)]);
    let vault = [story.bed.coin_of(CENTRAL, 0), story.bed.coin_of(CENTRAL, 1), story.bed.coin_of(CENTRAL, 2)];
    let back = |story: &mut Story, coin: &KnownCoin, obligation, rate| {
        story.bed.return_loan(std::slice::from_ref(coin), obligation, rate)
    };
    let rate = DECEMBERS_RATE;
    let mut nothing = back(story, &vault[0], obligation, rate);
    if let ClearContext::Return(context) = &mut nothing.core.context {
        context.amount = Amount(0);
    }
    let mut unsigned = back(story, &vault[0], obligation, rate);
    if let ClearContext::Return(context) = &mut unsigned.core.context {
        context.authorization = Signature([0; 64]);
    }
    let returned = back(story, &vault[0], obligation, rate).seal();
    let items = vec![
        ("a return of nothing", nothing.authorize_by_issue_key(&rules).seal(), 11),
        ("a return that nobody signed", unsigned.seal(), 13),
        ("a return of no loan", back(story, &vault[0], ObligationId([9; 32]), rate).seal(), 73),
        ("a return at another rate", back(story, &vault[0], obligation, rate + 100).seal(), 74),
        ("a return", returned.clone(), 0),
        ("its coin again", back(story, &vault[0], obligation, rate).seal(), 16),
        ("the loan again", back(story, &vault[1], obligation, rate).seal(), 73),
    ];
    let on_friday = under_two(story, with(C10, 9_000, 365)).seal();
    let loose = under_two(story, with(D35, 9_000, 365)).seal();
    let wild = under_two(story, with(0x4101, i64::MAX, 365)).seal();
    let items = story.bundle(CENTRAL, items);
    let theirs = vec![
        ("a dear benchmark, and a sector that needs a cheap one", loose, 69),
        ("a rate that leaves 64 bits when it is doubled", wild, 72),
        ("a loan under the second contract", on_friday.clone(), 0),
    ];
    let theirs = story.bundle(BANK2, theirs);
    story.block(vec![items, theirs]);
    let mut batch = story.bed.batch(vec![]);
    batch.settled = List::new(vec![returned.id(&rules.chain)]).unwrap();
    let batch = story.bed.sign(batch);
    let batch = story.batch(0, batch, "a return settled, its receipt logged", 0);
    story.block(vec![batch]);

    let never_made = loan(story, &lendable[2..3], GOOD_LOAN, 10);
    disputes(story, &good, &short, &never_made);

    // A Saturday; then an overdue loan.
    story.block_at(OPENS_MS + 12 * DAY_MS, vec![]);
    let mut again = story.bed.activate(&of_two[1..], with(C10, 9_000, 365), 20);
    again.core.contract = ContractNumber(TWO);
    let on_saturday = story.bundle(BANK2, vec![("on a Saturday", again.seal(), 64)]);
    story.block(vec![on_saturday]);
    story.block_at(OPENS_MS + 32 * DAY_MS, vec![]);
    let overdue = loan(story, &lendable[2..3], GOOD_LOAN, 10).seal();
    let overdue = story.bundle(BANK2, vec![("a bank that owes", overdue, 61)]);
    let paid = back(story, &vault[1], dear, rate).seal();
    let paid = story.bundle(CENTRAL, vec![("a return of what was overdue", paid, 0)]);
    story.block(vec![overdue, paid]);

    // Stopped, and lifted by the next version.
    let stopped = stop(&mut story.bed).seal();
    let shorter = policy_with(2, "sector in ISIC { A, C10..C12 }", "59 days", "otherwise lpr - 50 bp");
    let next = deploy(story, 1, 2, 2, &shorter);
    central(story, vec![("a version", next, 0), ("a stop, which covers it", stopped, 0)]);
    let issue = story.bed.issue_inert(1, &[(BANK2, 5)]).seal();
    let while_stopped = loan(story, &lendable[2..3], GOOD_LOAN, 10).seal();
    let ours = vec![
        ("money under a stopped contract", issue, 60),
        ("a third version", deploy(story, 1, 3, 2, &shorter.replace("version 2", "version 3")), 0),
    ];
    let (ours, theirs) = (
        story.bundle(CENTRAL, ours),
        story.bundle(BANK2, vec![("a loan under a stopped contract", while_stopped, 60)]),
    );
    story.block(vec![ours, theirs]);
    story.block(vec![]);
    let lifted = loan(story, &lendable[2..3], GOOD_LOAN, 10).seal();
    let not_idle = story.bed.reclaim(&lendable[3..]).seal();
    let mut undeclared = story.bed.reclaim(&lendable[3..]);
    undeclared.core.contract = ContractNumber(0);
    let ours = vec![
        ("a reclaim of what is not idle", not_idle, 75),
        ("a reclaim without a contract", undeclared.seal(), 10),
        ("a reclaim of unconfirmed money", story.bed.reclaim(std::slice::from_ref(&unconfirmed)).seal(), 17),
    ];
    let (ours, theirs) = (
        story.bundle(CENTRAL, ours),
        story.bundle(BANK2, vec![("a loan under the version that lifts the stop", lifted, 0)]),
    );
    story.block(vec![ours, theirs]);

    // January's benchmark.
    story.block_at(OPENS_MS + 43 * DAY_MS, vec![]);
    let head = story.bed.head(NOVEMBER + 2, 0);
    let january = story.bed.publish(head, &[(1, 425), (2, 425)]).seal();
    central(story, vec![("the benchmark of January", january, 0)]);
    let mut dearer = story.bed.activate(&of_two[1..], with(C10, 9_000, 365), 20);
    dearer.core.contract = ContractNumber(TWO);
    let dearer = story.bundle(BANK2, vec![("a state of the economy", dearer.seal(), 68)]);
    story.block(vec![dearer]);

    // The idle window of the third version is over.
    story.block_at(OPENS_MS + 54 * DAY_MS, vec![]);
    let plain = story.bed.coin_of(BANK3, 0);
    let idle = loan(story, &lendable[3..], GOOD_LOAN, 10).seal();
    let mut over = story.bed.activate(&of_two[1..], with(C10, 9_000, 365), 20);
    over.core.contract = ContractNumber(TWO);
    let reclaimed = story.bed.reclaim(&lendable[3..]).seal();
    let recovered =
        story.bed.recover(std::slice::from_ref(&plain), &[(BANK3, 100)]).authorize_by_officers(&rules, &[0, 1]);
    let of_bank4 = second.iter().find(|coin| coin.bank == BANK4).unwrap().clone();
    let mut kept = story.bed.recover(&[of_bank4], &[(BANK3, 30)]);
    kept.core.contract = ContractNumber(TWO);
    for output in kept.core.outputs.as_mut_slice() {
        output.terms_flag = TermsFlag::Contract;
    }
    let ours = vec![
        ("a recover of inert money, which stays inert", kept.authorize_by_officers(&rules, &[0, 1]).seal(), 0),
        ("a reclaim of plain money", story.bed.reclaim(&[plain]).seal(), 18),
        ("a reclaim", reclaimed.clone(), 0),
        ("its coin again", story.bed.reclaim(&lendable[3..]).seal(), 16),
        ("a recover, which needs no contract", recovered.seal(), 0),
    ];
    let theirs = vec![("idle money lent", idle, 63), ("after the window of the policy", over.seal(), 63)];
    let (ours, theirs) = (story.bundle(CENTRAL, ours), story.bundle(BANK2, theirs));
    story.block(vec![theirs, ours]);

    // Retired.
    let sooner = retire(&mut story.bed, 2).seal();
    let ours = vec![
        ("a retirement at one height's notice", retire(&mut story.bed, 1).seal(), 78),
        ("a retirement", retire(&mut story.bed, 9).seal(), 0),
        ("another order beside it", deploy(story, 1, 4, 2, &policy(4)), 76),
    ];
    central(story, ours);
    let ours = vec![
        ("a later retirement", retire(&mut story.bed, 9).seal(), 77),
        ("a version of what will be retired", deploy(story, 1, 4, 2, &policy(4)), 77),
        ("an earlier retirement", sooner, 0),
        ("a third beside it", retire(&mut story.bed, 2).seal(), 77),
    ];
    central(story, ours);
    story.block(vec![]);
    let ours = vec![
        ("a stop of a retired contract", stop(&mut story.bed).seal(), 77),
        ("money under a retired contract", story.bed.issue_inert(1, &[(BANK2, 5)]).seal(), 60),
    ];
    central(story, ours);
    let mut batch = story.bed.batch(vec![record(lendable[3].id, confirmation::RecordStatus::Spent)]);
    batch.settled = List::new(vec![reclaimed.id(&rules.chain)]).unwrap();
    let batch = story.bed.sign(batch);
    let batch = story.batch(0, batch, "a reclaim settled, its coin spent, the orders logged", 0);
    story.block(vec![batch]);
}

/// Officers find that a borrower is another than the bank said: of a loan that is owed, and of one that is returned. A batch logs it.
fn disputes(story: &mut Story, returned: &Draft, owed: &Draft, never_made: &Draft) {
    let chain = story.bed.rules.chain;
    let coin = story.bed.coin_of(BANK2, 0);
    let transfer = story.bed.transfer(BANK2, &[coin], &[(BANK2, 100)]);
    let of = |activation: &Draft| {
        let envelope = activation.clone().seal();
        StatementDispute {
            contract: ONE,
            sector: 0x472f,
            basis: BasisCode::parse("SRV-12").unwrap(),
            evidence: [7; 32],
            activation: Octets::new(envelope.header.to_bytes()).unwrap(),
            ciphertext: envelope.ciphertext_hash(&chain),
        }
    };
    let finding = |sector: u32| StatementDispute { sector, ..of(owed) };
    let under = |contract: u32| StatementDispute { contract: ContractNumber(contract), ..of(owed) };
    let mut cut = of(owed).activation.to_vec();
    cut.pop();
    let cut = StatementDispute { activation: Octets::new(cut).unwrap(), ..of(owed) };
    let stated = GOOD_LOAN.sector;
    let disputes = [
        ("a false statement of a loan that is owed", of(owed), 0),
        ("one of a loan that is returned", of(returned), 0),
        ("another finding of the same loan", StatementDispute { sector: 0x4100, ..of(returned) }, 0),
        ("a statement of no contract", under(9), 9),
        ("one under another contract", under(TWO), 86),
        ("a header that is cut short", cut, 86),
        ("a transfer's header", of(&transfer), 86),
        ("the sector that was stated", finding(stated), 86),
        ("its section", finding(stated >> 8 << 8), 86),
        ("a division that no list has", finding(0x47ff), 86),
        ("another ciphertext", StatementDispute { ciphertext: [9; 32], ..of(owed) }, 73),
        ("a loan that nobody made", of(never_made), 73),
    ];
    let mut items: Vec<Item> = Vec::new();
    for (name, dispute, code) in disputes {
        items.push((name, story.bed.contract_order(ContractOrder::Dispute(dispute)).seal(), code));
    }
    items.push(("its authorization again", items[0].1.clone(), 13));
    central(story, items);
    let batch = story.bed.batch(vec![]);
    let batch = story.bed.sign(batch);
    let batch = story.batch(0, batch, "the false statements logged", 0);
    story.block(vec![batch]);
}
