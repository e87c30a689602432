//! The rules of LANGUAGE.md, T, R and E, each by a case that would come out otherwise without it.

use contracts_vm::{
    Activation, Date, DenyReason, Evaluation, InputUsed, Period, Program, Rate, Reading, Readings, Return, SectorCode,
    Verdict, check,
};

const DAY_MS: u64 = 86_400_000;
/// 2026-07-01, a Wednesday, at noon.
const NOW_MS: u64 = 20_635 * DAY_MS + DAY_MS / 2;

/// Quarterly or monthly values, newest first, all published now.
struct Values(Vec<Vec<i64>>);

fn reading(back: u16, value: i64) -> Reading {
    Reading { period: Period(8000 - i32::from(back)), vintage: 0, value, published_ms: NOW_MS, valid_until_ms: NOW_MS }
}

impl Readings for Values {
    fn reading(&self, feed: usize, back: u16) -> Option<Reading> {
        self.0.get(feed)?.get(usize::from(back)).map(|value| reading(back, *value))
    }
}

struct Given(Vec<Option<Reading>>);

impl Readings for Given {
    fn reading(&self, _: usize, back: u16) -> Option<Reading> {
        self.0.get(usize::from(back)).copied().flatten()
    }
}

const RATE: &str = "lpr = \"lpr\" monthly percent scale 2, at most 40 days old, latest vintage, when stale";
const INDEX: &str = "gdp = \"gdp\" quarterly index scale 1, at most 40 days old, latest vintage, when stale";

fn source(feeds: &[String], conditions: &str, rates: &str) -> String {
    let feeds: String = feeds.iter().map(|feed| format!("feed {feed}\n")).collect();
    format!(
        "policy \"p\" version 1\ncurrency CNY\n{feeds}{conditions}\nidle after 1 day\nreturn rate\n{rates}\n\
         clamp -1 % .. 9 %, step 1 bp\n"
    )
}

fn program(feeds: &[String], conditions: &str, rates: &str) -> Program {
    let source = source(feeds, conditions, rates);
    let checked = check(&source).unwrap_or_else(|wrong| {
        let lines: Vec<_> = wrong.iter().map(|wrong| wrong.line(&source)).collect();
        panic!("{source}\n{}", lines.join("\n"))
    });
    checked.policy.compile()
}

/// The diagnostic of a policy whose one condition this is.
fn refused(condition: &str) -> u16 {
    let feeds = [format!("{RATE} deny"), format!("{INDEX} deny")];
    // Both feeds are read, so that nothing else is wrong.
    let source =
        source(&feeds, &format!("effective when\n{condition}"), "otherwise max(lpr, growth of gdp over 1 quarter)");
    let wrong = check(&source).expect_err(condition);
    assert_eq!(wrong.len(), 1, "{condition}: {wrong:?}");
    wrong[0].number
}

fn accepted(condition: &str) {
    let feeds = [format!("{RATE} deny"), format!("{INDEX} deny")];
    program(&feeds, &format!("effective when\n{condition}"), "otherwise max(lpr, growth of gdp over 1 quarter)");
}

const LOAN: fn() -> Activation = || Activation {
    time_ms: NOW_MS,
    sector: SectorCode::parse("C10").expect("a code"),
    loan_rate: 43_000,
    term_days: 365,
};

fn lend(program: &Program, readings: &dyn Readings) -> Evaluation<Verdict> {
    program.activate(&LOAN(), readings)
}

fn holds(feeds: &[String], condition: &str, readings: &dyn Readings) -> bool {
    let rates = "otherwise 0 %";
    let verdict = lend(&program(feeds, &format!("effective when\n{condition}"), rates), readings).value;
    matches!(verdict, Verdict::Permit { .. })
}

fn paid(feeds: &[String], rates: &str, readings: &dyn Readings) -> Rate {
    let context = Return { activated_ms: NOW_MS - 100 * DAY_MS, time_ms: NOW_MS };
    program(feeds, "effective when\nloan term <= 1 year", rates).return_rate(&context, readings).value
}

fn rate_feed(stale: &str) -> Vec<String> {
    vec![format!("{RATE} {stale}")]
}

fn index_feed(stale: &str) -> Vec<String> {
    vec![format!("{INDEX} {stale}")]
}

#[test]
fn a_bare_number_is_never_a_rate_t_1() {
    assert_eq!(refused("loan rate <= 430"), 14);
    assert_eq!(refused("loan rate <= lpr + 430"), 14);
    accepted("loan rate <= 4.30 %");
    assert!(holds(&[], "loan rate = 4.30 %", &Values(vec![])));
    assert!(!holds(&[], "loan rate < 4.3000 %", &Values(vec![])));
    assert!(holds(&[], "loan rate < 4.3001 %", &Values(vec![])));
}

#[test]
fn two_rates_have_no_sum_t_2() {
    assert_eq!(refused("loan rate <= lpr + 0.50 %"), 15);
    accepted("loan rate <= lpr + 50 bp");
    accepted("loan rate <= 50 bp + lpr");
    assert!(holds(&rate_feed("deny"), "loan rate = lpr + 50 bp", &Values(vec![vec![380]])));
}

#[test]
fn between_two_rates_lies_a_spread_t_3() {
    accepted("loan rate - lpr <= 50 bp");
    assert_eq!(refused("loan rate - lpr <= 0.50 %"), 15);
    assert_eq!(refused("50 bp - lpr <= 0.50 %"), 15);
}

#[test]
fn what_is_compared_has_one_unit_t_4() {
    assert_eq!(refused("loan rate <= 50 bp"), 15);
    assert_eq!(refused("loan rate <= gdp"), 15);
    assert_eq!(refused("min(loan rate, 50 bp) < 1 %"), 15);
    assert_eq!(refused("loan term <= 3 %"), 15);
    assert_eq!(refused("gdp < CNY 100"), 15);
}

#[test]
fn a_constant_index_takes_the_scale_of_what_it_meets_t_5() {
    assert!(holds(&index_feed("deny"), "gdp = 100 points", &Values(vec![vec![1000]])));
    assert!(holds(&index_feed("deny"), "100.0 points = gdp", &Values(vec![vec![1000]])));
    assert_eq!(refused("gdp < 100.12 points"), 17);
}

#[test]
fn rates_and_spreads_convert_when_it_is_written_t_6() {
    accepted("loan rate <= (loan rate - lpr) in percent");
    accepted("loan rate in bp - 50 bp <= 0 bp");
    assert_eq!(refused("50 bp in bp <= 1 bp"), 15);
    assert_eq!(refused("gdp in percent <= 1 %"), 15);
}

#[test]
fn a_factor_is_a_plain_number_and_rounds_half_to_even_t_7() {
    assert_eq!(refused("loan rate <= lpr * lpr"), 15);
    assert_eq!(refused("loan rate <= 1.0000001 * lpr"), 17);
    assert_eq!(refused("loan rate <= 1001 * lpr"), 18);
    // Half of 0.0003 % lies between 0.0001 % and 0.0002 %: the even one.
    assert!(holds(&[], "0.5 * 0.0003 % = 0.0002 %", &Values(vec![])));
    assert!(holds(&[], "0.5 * 0.0005 % = 0.0002 %", &Values(vec![])));
    assert!(holds(&[], "0.5 * -0.0003 % = -0.0002 %", &Values(vec![])));
}

#[test]
fn periods_are_counted_in_the_feeds_own_word_t_8() {
    assert_eq!(refused("growth of gdp over 12 months < 1 %"), 19);
    assert_eq!(refused("gdp falls 2 in a row"), 19);
    assert_eq!(refused("average of lpr over 2 quarters < 1 %"), 19);
    assert_eq!(refused("average of gdp over 65 quarters < 1.0 points"), 18);
    accepted("average of gdp over 64 quarters < 1.0 points");
    assert_eq!(refused("gdp falls 64 quarters in a row"), 18);
}

#[test]
fn what_is_not_known_is_not_asked_for_t_9() {
    assert_eq!(refused("loan age <= 1 year"), 20);
    for rate in ["loan rate", "0 % + (loan rate - 1 %)"] {
        let source = source(&[], "effective when\nloan term <= 1 year", &format!("otherwise {rate}"));
        assert_eq!(check(&source).expect_err("not known on return")[0].number, 20);
    }
    for condition in ["sector in ISIC { A }", "loan term <= 1 year"] {
        let source =
            source(&[], "effective when\nloan term <= 1 year", &format!("when {condition} : 1 %\notherwise 0 %"));
        assert_eq!(check(&source).expect_err("not known on return")[0].number, 20);
    }
}

#[test]
fn a_year_is_measured_on_the_calendar_t_10() {
    let program = program(&[], "effective when\nloan term <= 1 month", "otherwise 0 %");
    let lend = |year, month, day, term_days| {
        let time_ms = Date::new(year, month, day).expect("a date").start_ms();
        let loan = Activation { time_ms, term_days, ..LOAN() };
        matches!(program.activate(&loan, &Values(vec![])).value, Verdict::Permit { .. })
    };
    assert!(lend(2026, 1, 1, 31) && !lend(2026, 1, 1, 32));
    assert!(lend(2026, 2, 1, 28) && !lend(2026, 2, 1, 29));
    assert!(lend(2028, 1, 31, 29) && !lend(2028, 1, 31, 30), "to the last of February");
    // An age too is measured from the activation, not from the return.
    let is_old = |age: &str, from: [u32; 3], until: [u32; 3]| {
        let [activated_ms, time_ms] =
            [from, until].map(|[year, month, day]| Date::new(year as i32, month, day).expect("a date").start_ms());
        let rates = format!("when loan age >= {age} : 3 %\notherwise 1 %");
        let program = self::program(&[], "effective when\nloan term <= 1 year", &rates);
        program.return_rate(&Return { activated_ms, time_ms }, &Values(vec![])).value == Rate(30_000)
    };
    assert!(is_old("1 year", [2027, 3, 1], [2028, 3, 1]) && !is_old("1 year", [2027, 3, 1], [2028, 2, 29]));
    assert!(is_old("1 year", [2028, 1, 15], [2029, 1, 15]) && !is_old("1 year", [2028, 1, 15], [2029, 1, 14]));
    assert!(is_old("1 year", [2028, 2, 29], [2029, 2, 28]) && !is_old("1 year", [2028, 2, 29], [2029, 2, 27]));
    assert!(is_old("1 month", [2027, 1, 31], [2027, 2, 28]) && !is_old("1 month", [2027, 1, 4], [2027, 2, 3]));
    let source = source(&[], "effective when\nloan term <= 1 year", "otherwise 0 %").replace("1 day", "1 month");
    assert_eq!(check(&source).expect_err("no fixed length")[0].number, 28);
}

#[test]
fn a_section_stands_for_its_divisions_t_11() {
    let of = |sector: &str, condition: &str| {
        let program = program(&[], &format!("effective when\n{condition}"), "otherwise 0 %");
        let sector = SectorCode::parse(sector).expect("a code");
        matches!(program.activate(&Activation { sector, ..LOAN() }, &Values(vec![])).value, Verdict::Permit { .. })
    };
    assert!(of("C10", "sector in ISIC { C }") && of("C", "sector in ISIC { C }") && !of("D35", "sector in ISIC { C }"));
    assert!(of("D35", "sector in ISIC { D35 }") && !of("D", "sector in ISIC { D35 }"));
    assert!(of("C11", "sector in ISIC { C10..C12 }") && !of("C13", "sector in ISIC { C10..C12 }"));
    assert!(of("C13", "sector not in ISIC { C10..C12 }"));
    assert_eq!(
        (SectorCode::parse("C10"), SectorCode::parse("A")),
        (Some(SectorCode(0x430a)), Some(SectorCode(0x4100)))
    );
}

#[test]
fn windows_begin_with_their_first_instant_and_end_before_their_last_day_t_12() {
    let at = |condition: &str, time_ms| {
        let program = program(&[], &format!("effective when\n{condition}"), "otherwise 0 %");
        program.activate(&Activation { time_ms, ..LOAN() }, &Values(vec![])).value
    };
    let start = |year, month, day| Date::new(year, month, day).expect("a date").start_ms();
    let permit = Verdict::Permit { due_days: 365 };
    let not_yet = Verdict::Deny { reason: DenyReason::NotYet { line: 1 } };
    let over = Verdict::Deny { reason: DenyReason::WindowOver { line: 1 } };
    for condition in ["time from 2026-04-01 until 2026-07-01", "time from 2026-04 through 2026-06-30", "time in 2026Q2"]
    {
        assert_eq!(at(condition, start(2026, 4, 1) - 1), not_yet, "{condition}");
        assert_eq!(at(condition, start(2026, 4, 1)), permit, "{condition}");
        assert_eq!(at(condition, start(2026, 7, 1) - 1), permit, "{condition}");
        assert_eq!(at(condition, start(2026, 7, 1)), over, "{condition}");
    }
    assert_eq!(at("time until 9999-12-30", u64::MAX), over);
    assert!(matches!(at("month in { july } and weekday in { wednesday }", NOW_MS), Verdict::Permit { .. }));
    assert_eq!(
        at("weekday in { thursday .. sunday }", NOW_MS),
        Verdict::Deny { reason: DenyReason::Calendar { line: 1 } }
    );
}

#[test]
fn a_reading_is_stale_when_missing_too_old_in_the_future_or_no_longer_valid_r_2() {
    let program = program(&rate_feed("deny"), "effective when\nlpr > 0 %", "otherwise 0 %");
    let verdict = |reading: Option<Reading>| lend(&program, &Given(vec![reading])).value;
    let (fresh, stale) =
        (Verdict::Permit { due_days: 365 }, Verdict::Deny { reason: DenyReason::FeedStale { feed: 0 } });
    let now = reading(0, 345);
    assert_eq!(verdict(Some(now)), fresh, "its validity's last instant counts");
    assert_eq!(verdict(None), stale);
    assert_eq!(verdict(Some(Reading { valid_until_ms: NOW_MS - 1, ..now })), stale);
    assert_eq!(verdict(Some(Reading { published_ms: NOW_MS + 1, ..now })), stale);
    assert_eq!(verdict(Some(Reading { published_ms: NOW_MS - 40 * DAY_MS, ..now })), fresh);
    assert_eq!(verdict(Some(Reading { published_ms: NOW_MS - 40 * DAY_MS - 1, ..now })), stale);
}

#[test]
fn periods_follow_each_other_without_a_gap_r_3() {
    let (two, lag) = ("gdp falls 2 quarters in a row", "growth of gdp over 2 quarters < 0 %");
    let whole = [reading(0, 10), reading(1, 20), reading(2, 30)].map(Some).to_vec();
    let mut gap = whole.clone();
    gap[2].as_mut().expect("it is there").period.0 -= 1;
    let mut hole = whole.clone();
    hole[1] = None;
    for (condition, with_hole) in [(two, false), (lag, true)] {
        let holds = |readings: &Vec<_>| holds(&index_feed("deny"), condition, &Given(readings.clone()));
        assert!(holds(&whole) && !holds(&gap), "{condition}");
        assert_eq!(holds(&hole), with_hole, "{condition}: growth reads its two ends");
    }
    let daily = vec![INDEX.replace("quarterly", "daily") + " deny"];
    assert!(holds(&daily, "gdp falls 2 days in a row", &Given(gap.clone())), "days without a value are no gap");
    let mut same = whole.clone();
    same[1].as_mut().expect("it is there").period.0 += 1;
    assert!(!holds(&daily, "gdp falls 2 days in a row", &Given(same)), "but two values of one day are");
}

#[test]
fn a_stale_feed_stands_still_at_its_fallback_r_4() {
    let nothing = Values(vec![vec![]]);
    let feed = index_feed("use 100 points");
    for holding in [
        "gdp = 100 points",
        "gdp 3 quarters ago = 100 points",
        "average of gdp over 8 quarters = 100 points",
        "highest of gdp over 8 quarters = 100 points",
        "change of gdp over 8 quarters = 0.0 points",
        "growth of gdp over 8 quarters = 0 %",
        "not gdp falls 1 quarter in a row",
        "not gdp rises 1 quarter in a row",
    ] {
        assert!(holds(&feed, holding, &nothing), "{holding}");
        assert!(!holds(&index_feed("deny"), holding, &nothing), "{holding}");
    }
    // The newest is there, an older one is not: then all of the feed stands still, asked for before or after.
    let short = Values(vec![vec![70]]);
    assert!(holds(&feed, "gdp = 100 points and gdp 1 quarter ago = 100 points", &short));
    assert!(holds(&feed, "gdp 1 quarter ago = 100 points and gdp = 100 points", &short));
    assert!(holds(&feed, "gdp = 100 points and not gdp falls 1 quarter in a row", &short));
    assert!(holds(&feed, "gdp = 7.0 points", &short), "nothing else is asked of it");
    let rising = Values(vec![vec![2500, 2400, 2300]]);
    let average = "gdp < average of gdp over 4 quarters";
    assert!(!holds(&feed, average, &rising), "no reading is compared with the fallback");
    // Nor is there a growth where the older value is none: the levels stand still too.
    assert!(holds(&feed, "gdp = 100 points and growth of gdp over 1 quarter = 0 %", &Values(vec![vec![70, 0]])));
    // The return asks for less, and has its readings.
    let program =
        program(&feed, "effective when\ngdp 1 quarter ago = 100 points", "when gdp = 7.0 points : 1 %\notherwise 2 %");
    assert_eq!(lend(&program, &short).value, Verdict::Permit { due_days: 365 });
    let context = Return { activated_ms: NOW_MS, time_ms: NOW_MS };
    assert_eq!(program.return_rate(&context, &short).value, Rate(10_000));
    assert_eq!(paid(&rate_feed("deny"), "otherwise lpr", &nothing), Rate(90_000), "the clamp's upper end");
    assert_eq!(paid(&rate_feed("use 3.45 %"), "otherwise lpr", &nothing), Rate(34_500));
}

#[test]
fn growth_is_in_percent_of_the_older_value_and_falls_are_counted_to_the_end_r_5() {
    let growth = |values: [i64; 2]| {
        paid(&index_feed("use 1 points"), "otherwise growth of gdp over 1 quarter", &Values(vec![values.to_vec()]))
    };
    assert_eq!(growth([1020, 1000]), Rate(20_000));
    assert_eq!(growth([995, 1000]), Rate(-5_000));
    assert_eq!(growth([5, 0]), Rate(0), "of nothing there is no growth: the fallback stands still");
    assert_eq!(growth([5, -5]), Rate(0));
    let falls = |values: &[i64], n: u16| {
        holds(&index_feed("deny"), &format!("gdp falls {n} quarters in a row"), &Values(vec![values.to_vec()]))
    };
    assert!(falls(&[1, 2, 3, 3], 2) && !falls(&[1, 2, 3, 3], 3));
    assert!(falls(&[1, 2, 3, 4], 2), "the third fall is a second one too");
    assert!(!falls(&[2, 2, 3], 2) && !falls(&[3, 2, 3], 1));
}

#[test]
fn every_reading_that_was_asked_for_stands_in_the_receipt_once_r_6() {
    let feeds = [format!("{RATE} use 1 %"), format!("{INDEX} use 1 points")];
    let condition = "effective when\nlpr < 9 %\ngdp falls 2 quarters in a row or lpr > 0 %\nlpr 1 month ago > 0 %";
    let program = program(&feeds, condition, "otherwise 0 %");
    let evaluation = lend(&program, &Values(vec![vec![300], vec![10, 11, 12]]));
    let used =
        |feed, back, value: Option<i64>| InputUsed { feed, back, reading: value.map(|value| reading(back, value)) };
    // A feed with a fallback is tried as a whole when it is first asked for.
    let expected =
        [used(0, 0, Some(300)), used(0, 1, None), used(1, 0, Some(10)), used(1, 1, Some(11)), used(1, 2, Some(12))];
    assert_eq!(evaluation.inputs, expected);
    assert_eq!((program.feeds()[0].periods, program.feeds()[1].periods), (2, 3));
}

#[test]
fn an_explicit_deny_wins_and_comes_first_e_1() {
    let conditions =
        "effective when\nloan rate > 9 %\nloan term <= 1 year\ndeny when\nloan rate > 9 %\nloan rate > 4 %";
    let program = program(&[], conditions, "otherwise 0 %");
    let verdict = |loan_rate| program.activate(&Activation { loan_rate, ..LOAN() }, &Values(vec![])).value;
    assert_eq!(verdict(43_000), Verdict::Deny { reason: DenyReason::Explicit { line: 2 } });
    assert_eq!(verdict(93_000), Verdict::Deny { reason: DenyReason::Explicit { line: 1 } });
    assert_eq!(verdict(30_000), Verdict::Deny { reason: DenyReason::LoanRate { line: 1 } });
}

#[test]
fn the_first_case_that_holds_pays_e_2() {
    let rates = "when lpr < 3 % : 1 %\nwhen lpr < 4 % : 2 %\notherwise 3 %";
    for (lpr, rate) in [(299, 10_000), (300, 20_000), (399, 20_000), (400, 30_000)] {
        assert_eq!(paid(&rate_feed("deny"), rates, &Values(vec![vec![lpr]])), Rate(rate));
    }
}

#[test]
fn a_denial_says_what_its_line_asked_about_e_3() {
    let feeds = [format!("{RATE} deny"), format!("{INDEX} deny")];
    let reason = |condition: &str| {
        let rates = "otherwise max(lpr, growth of gdp over 1 quarter)";
        let program = program(&feeds, &format!("effective when\nloan term <= 1 year\n{condition}"), rates);
        match lend(&program, &Values(vec![vec![300], vec![10, 10]])).value {
            Verdict::Deny { reason } => (reason.number(), reason.detail()),
            Verdict::Permit { .. } => (0, 0),
        }
    };
    assert_eq!(reason("time from 2027-01-01"), (1, 2));
    assert_eq!(reason("time until 2026-01-01"), (2, 2));
    assert_eq!(reason("month in { january }"), (3, 2));
    assert_eq!(reason("sector in ISIC { A }"), (4, 2));
    assert_eq!(reason("loan rate <= lpr + 50 bp"), (5, 2));
    assert_eq!(reason("loan term <= 30 days"), (6, 2));
    assert_eq!(reason("gdp falls 1 quarter in a row"), (7, 2));
    assert_eq!(reason("sector in ISIC { A } or loan rate < 1 %"), (8, 2));
    assert_eq!(reason("time until 2026-01-01 or month in { january }"), (8, 2));
    for number in 1..=11 {
        let reason = DenyReason::from_parts(number, u8::from(number != 11)).expect("a reason");
        assert_eq!((reason.number(), reason.detail()), (number, u8::from(number != 11)));
        assert!(!reason.to_string().is_empty());
    }
}

#[test]
fn a_sector_that_is_no_code_denies_even_where_sectors_are_excluded_e_4() {
    let program = program(&[], "effective when\nsector not in ISIC { A }", "otherwise 0 %");
    let verdict = |code| program.activate(&Activation { sector: SectorCode(code), ..LOAN() }, &Values(vec![])).value;
    assert_eq!(verdict(0x430a), Verdict::Permit { due_days: 365 });
    for code in [0, 0x4301, 0x5600, 0x1_430a, u32::MAX] {
        assert_eq!(verdict(code), Verdict::Deny { reason: DenyReason::Sector { line: 0 } }, "{code:x}");
    }
}

#[test]
fn a_rate_is_clamped_then_rounded_half_to_even_e_5() {
    let pay = |rate: &str| paid(&[], &format!("otherwise {rate}"), &Values(vec![]));
    assert_eq!(pay("9.5 %"), Rate(90_000));
    assert_eq!(pay("-9.5 %"), Rate(-10_000));
    assert_eq!(pay("1.005 %"), Rate(10_000));
    assert_eq!(pay("1.015 %"), Rate(10_200));
    assert_eq!(pay("-0.005 %"), Rate(0));
    assert_eq!(pay("1.0051 %"), Rate(10_100));
}

#[test]
fn what_leaves_its_range_denies_the_loan_and_costs_the_most_on_return_e_6() {
    let program = program(&[], "effective when\nloan rate + 1 bp > 0 %", "otherwise 0 %");
    let loan = Activation { loan_rate: i64::MAX, ..LOAN() };
    assert_eq!(program.activate(&loan, &Values(vec![])).value, Verdict::Deny { reason: DenyReason::Uncomputable });
    let change = "otherwise 0 % + (0.5 * (lpr - 1 %) - (1000 * lpr - 1 %))";
    assert_eq!(paid(&rate_feed("deny"), change, &Values(vec![vec![-100_000_000_000_000]])), Rate(90_000));
    // A reading that does not fit its unit takes the feed's branch.
    assert_eq!(paid(&rate_feed("use 2 %"), "otherwise lpr", &Values(vec![vec![i64::MAX]])), Rate(20_000));
}

#[test]
fn both_sides_of_or_are_evaluated_e_7() {
    let condition = "loan term <= 1 year or lpr > 0 %";
    assert!(!holds(&rate_feed("deny"), condition, &Values(vec![vec![]])));
    assert!(holds(&rate_feed("deny"), condition, &Values(vec![vec![-1]])));
}

fn explained(feeds: &[String], conditions: &str, rates: &str) -> (String, String) {
    let package = contracts_vm::Package::of(&source(feeds, conditions, rates)).expect("a policy");
    (package.english, package.chinese)
}

#[test]
fn an_explanation_says_of_a_stale_feed_what_happens_where_it_is_read() {
    let (loan, back) = ("the loan is denied", "a return whose rate depends on it is paid at 9.00 %");
    let of = |condition: &str, rate: &str| {
        let condition = format!("effective when\n{condition}");
        let english = explained(&rate_feed("deny"), &condition, rate).0;
        let noted = check(&source(&rate_feed("deny"), &condition, rate)).expect("a policy").findings;
        let noted = noted.into_iter().find(|found| found.number == 6).expect("no fallback").cause;
        let (denied, cost) = (noted.contains("loans are denied"), noted.contains("cost 9.00 %"));
        assert_eq!((denied, cost), (english.contains(loan), english.contains(back)), "{noted}");
        for cause in ["missing", "beyond a gap", "cannot be computed with", "40 days ago", "later than now", "expired"]
        {
            assert!(english.contains(cause), "{cause}");
        }
        (denied, cost)
    };
    assert_eq!(of("loan rate < lpr", "otherwise 1 %"), (true, false));
    assert_eq!(of("loan rate < 5 %", "otherwise lpr"), (false, true));
    assert_eq!(of("loan rate < lpr", "when lpr < 1 % : 0 %\notherwise 1 %"), (true, true));
}

#[test]
fn an_explanation_tells_two_programs_apart() {
    let of =
        |rate: &str| explained(&rate_feed("deny"), "effective when\nloan rate < 5 %", &format!("otherwise {rate}"));
    let rates = [
        "min(lpr, 4 %) - 50 bp",
        "min(lpr, 4 % - 50 bp)",
        "50 bp + min(lpr, 4 %)",
        "min(50 bp + lpr, 4 %)",
        "min(lpr, max(4 %, 3 %))",
        "max(min(lpr, 4 %), 3 %)",
        "0.5 * min(lpr, 4 %)",
        "min(0.5 * lpr, 4 %)",
        "(0.5 * (lpr in bp)) in percent",
        "0.5 * ((lpr in bp) in percent)",
    ];
    let texts: Vec<_> = rates.iter().map(|rate| of(rate)).collect();
    for (at, (english, chinese)) in texts.iter().enumerate() {
        assert!(texts[..at].iter().all(|(en, zh)| en != english && zh != chinese), "{}", rates[at]);
    }
    assert!(texts[0].0.contains("(the lower of lpr and 4.00 %) minus 50 bp"), "{}", texts[0].0);
    assert!(texts[0].1.contains("（lpr与4.00 %中的较低者）减50个基点"), "{}", texts[0].1);
    let (english, chinese) = explained(&[], "effective when\nsector not in ISIC { A }", "otherwise 0 %");
    assert!(english.contains("no code of ISIC Rev. 4 is denied") && chinese.contains("代码的，不予贷出"), "E-4");
}
