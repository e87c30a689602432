//! Every diagnostic and every finding, as people see it: `golden/D-N-name.txt` and `golden/A-N-name.txt`. A text is
//! rewritten by `UPDATE_GOLDEN=1 cargo test -p contracts-vm --test vm diagnostics::`, and read before it
//! is committed.

use contracts_vm::check;
use std::collections::BTreeSet;
use std::path::Path;

const POLICY: &str = "\
policy \"green-loans\" version 3
currency CNY
feed gdp = \"cn.gdp.real\" quarterly index scale 3, at most 200 days old, first vintage, when stale use 100 points
feed lpr = \"cn.lpr.1y\" monthly percent scale 2, at most 40 days old, latest vintage, when stale use 3.45 %

effective when
    time from 2026-01-01 until 2028-01-01
    sector in ISIC { A, C10..C12, D35 }
    loan rate <= lpr + 50 bp
    loan term <= 3 years

idle after 180 days
due 30 days after loan term

return rate
    when gdp falls 2 quarters in a row : 0.50 %
    otherwise 2.00 %
    clamp 0.10 % .. 4.00 %, step 1 bp
";

/// Number and name of a diagnostic, what is replaced in the policy, and by what.
const DIAGNOSTICS: &[(u16, &str, &str, &str)] = &[
    (1, "a-character-without-meaning", "loan term <= 3 years", "loan term ≤ 3 years"),
    (2, "a-text-that-is-not-closed", "\"green-loans\"", "\"green-loans"),
    (3, "a-number-of-too-many-digits", "180 days", "12345678901234567 days"),
    (5, "a-line-that-ends-too-early", "loan rate <= lpr + 50 bp", "loan rate <= lpr +"),
    (5, "a-fall-before-its-feed", "gdp falls 2 quarters in a row", "falls(gdp, 2)"),
    (5, "a-bracket-that-is-not-closed", "loan rate <= lpr + 50 bp", "loan rate <= (lpr + 50 bp"),
    (5, "another-word", "first vintage", "final vintage"),
    (5, "something-behind-the-end", "version 3", "version 3 draft"),
    (5, "another-code-list", "in ISIC", "in NAICS"),
    (6, "a-line-of-no-part", "currency CNY", "currency CNY\nterm at most 3 years"),
    (6, "a-line-that-is-no-case", "otherwise 2.00 %", "else 2.00 %"),
    (7, "no-otherwise", "    otherwise 2.00 %\n", ""),
    (
        7,
        "no-condition",
        "    time from 2026-01-01 until 2028-01-01
    sector in ISIC { A, C10..C12, D35 }
    loan rate <= lpr + 50 bp
    loan term <= 3 years
",
        "",
    ),
    (8, "a-part-twice", "currency CNY", "currency CNY\ncurrency USD"),
    (9, "a-policy-name-with-a-blank", "green-loans", "green loans"),
    (9, "a-feed-that-is-a-keyword", "feed lpr", "feed rate"),
    (9, "a-series-name-in-capitals", "cn.lpr.1y", "CN.LPR"),
    (10, "an-unknown-feed", "lpr + 50 bp", "lrp + 50 bp"),
    (11, "a-feed-twice", "feed lpr", "feed gdp"),
    (12, "a-feed-that-nothing-reads", "lpr + 50 bp", "3.95 %"),
    (13, "nested-too-deep", "loan term <= 3 years", "((((((((((loan term <= 3 years))))))))))"),
    (14, "a-number-without-unit", "lpr + 50 bp", "430"),
    (14, "a-factor-that-multiplies-nothing", "2.00 %\n    clamp", "lpr + 0.5\n    clamp"),
    (15, "a-rate-and-a-rate-added", "lpr + 50 bp", "lpr + 0.50 %"),
    (15, "basis-points-for-a-level", "lpr + 50 bp", "50 bp"),
    (15, "an-index-for-a-rate", "loan rate <= lpr + 50 bp", "loan rate <= gdp and lpr > 0 %"),
    (15, "a-rate-for-a-duration", "loan term <= 3 years", "loan term <= 3.00 %"),
    (15, "another-currency", "use 100 points", "use CNY 100"),
    (15, "a-product-of-two-quantities", "lpr + 50 bp", "lpr * 1.01 %"),
    (15, "a-spread-to-be-paid", "otherwise 2.00 %", "otherwise 200 bp"),
    (16, "a-quantity-for-a-condition", "loan rate <= lpr + 50 bp", "lpr + 50 bp"),
    (16, "a-condition-for-a-quantity", "loan rate <= lpr + 50 bp", "loan rate <= (lpr > 2.00 %)"),
    (17, "too-many-decimals", "3.45 %", "3.455 %"),
    (17, "too-many-decimals-for-an-index", "gdp falls 2 quarters in a row", "gdp < 100.1234 points"),
    (18, "out-of-range", "lpr + 50 bp", "lpr + 999999 bp"),
    (19, "months-of-a-quarterly-feed", "falls 2 quarters", "falls 6 months"),
    (19, "no-unit-for-periods", "falls 2 quarters", "falls 2"),
    (20, "the-loan-rate-on-return", "otherwise 2.00 %", "otherwise loan rate - 100 bp"),
    (20, "the-loan-age-before-the-loan", "loan term <= 3 years", "loan age <= 3 years"),
    (21, "no-such-date", "2026-01-01", "2026-02-30"),
    (21, "a-window-through-the-last-day", "until 2028-01-01", "through 9999-12-31"),
    (22, "a-window-that-ends-before-it-begins", "until 2028-01-01", "until 2025-01-01"),
    (23, "no-such-sector", "D35", "D36"),
    (23, "a-run-over-two-sections", "C10..C12", "C10..D35"),
    (24, "a-clamp-upside-down", "0.10 % .. 4.00 %", "4.00 % .. 0.10 %"),
    (24, "a-bound-between-steps", "step 1 bp", "step 25 bp"),
    (25, "a-wait-without-end", "idle after 180 days\n", ""),
    (
        26,
        "the-growth-of-a-rate",
        "gdp falls 2 quarters in a row",
        "growth of lpr over 3 months > 0 % and gdp > 1 points",
    ),
    (28, "idle-after-months", "idle after 180 days", "idle after 6 months"),
    (28, "idle-after-a-rate", "idle after 180 days", "idle after 3 %"),
    (29, "no-such-currency", "currency CNY", "currency YUAN"),
];

const FINDINGS: &[(u16, &str, &str, &str)] = &[
    (
        1,
        "a-line-that-never-holds",
        "loan term <= 3 years",
        "loan term < 90 days and loan term > 1 year - 1 year + 90 days",
    ),
    (1, "lines-that-exclude-each-other", "loan term <= 3 years", "loan term <= 3 years\n    loan rate > lpr + 60 bp"),
    (1, "denied-whenever-it-would-hold", "idle after", "deny when\n    sector not in ISIC { F }\nidle after"),
    (2, "a-permission-without-end", "time from 2026-01-01 until 2028-01-01", "time from 2026-01-01"),
    (3, "a-term-without-bound", "    loan term <= 3 years\n", ""),
    (
        4,
        "a-case-that-is-never-reached",
        "    otherwise",
        "    when gdp falls 3 quarters in a row : 0.25 %\n    otherwise",
    ),
    (
        4,
        "an-otherwise-that-is-never-reached",
        "when gdp falls 2",
        "when lpr > 3 % : 1 %\n    when lpr < 4 % : 1 %\n    when gdp falls 2",
    ),
    (5, "cases-that-overlap", "    otherwise", "    when lpr > 5.00 % : 3.00 %\n    otherwise"),
    (6, "a-feed-without-fallback", "use 100 points", "deny"),
    (7, "a-rate-outside-its-clamp", "otherwise 2.00 %", "otherwise 5.00 %"),
    (7, "a-rate-between-steps", "otherwise 2.00 %", "otherwise 2.005 %"),
    (8, "a-policy-with-the-cycle", "row : 0.50 %", "row : 3.00 %"),
    (9, "a-denial-that-fails-open", "idle after", "deny when\n    gdp falls 3 quarters in a row\nidle after"),
    (10, "more-ways-than-are-tried", "loan term <= 3 years", MANY),
    (
        8,
        "a-formula-with-the-cycle",
        "otherwise 2.00 %",
        "otherwise 2.00 % - 0.5 * (growth of gdp over 4 quarters in bp)",
    ),
];

const MANY: &str = "loan term <= 3 years
    month in { january .. june }
    weekday in { monday .. friday }
    loan rate > 0.10 %
    loan term >= 30 days
    growth of gdp over 4 quarters < 5.00 %
    gdp falls 2 quarters in a row
    gdp < average of gdp over 4 quarters
    lpr < average of lpr over 4 months
    lpr > lowest of lpr over 9 months
    lpr < highest of lpr over 9 months
    gdp > lowest of gdp over 8 quarters
    change of lpr over 3 months < 100 bp
    growth of gdp over 1 quarter > -3.00 %";

fn replaced(what: &str, with: &str) -> String {
    assert!(POLICY.contains(what), "{what}");
    POLICY.replacen(what, with, 1)
}

fn compare(letter: char, number: u16, name: &str, text: &str) {
    let file = Path::new(env!("CARGO_MANIFEST_DIR")).join(format!("tests/golden/{letter}-{number}-{name}.txt"));
    if std::env::var_os("UPDATE_GOLDEN").is_some() {
        std::fs::create_dir_all(file.parent().expect("it has a folder")).expect("the folder can be made");
        std::fs::write(&file, text).expect("the text can be written");
    }
    let golden = std::fs::read_to_string(&file).unwrap_or_else(|error| panic!("{}: {error}\n{text}", file.display()));
    assert_eq!(text, golden, "{}", file.display());
}

#[test]
fn every_diagnostic_reads_as_its_golden_text() {
    for (number, name, what, with) in DIAGNOSTICS {
        let source = replaced(what, with);
        let wrong = check(&source).expect_err(name);
        assert!(wrong.iter().any(|wrong| wrong.number == *number), "{name}: {wrong:?}");
        let text: String = wrong.iter().map(|wrong| wrong.render(&source, false)).collect();
        compare('D', *number, name, &text);
    }
}

#[test]
fn every_finding_reads_as_its_golden_text() {
    assert_eq!(check(POLICY).map(|checked| checked.findings), Ok(Vec::new()), "the policy itself is sound");
    for (number, name, what, with) in FINDINGS {
        let source = replaced(what, with);
        let found = check(&source).unwrap_or_else(|wrong| panic!("{name}: {wrong:?}")).findings;
        assert!(found.iter().any(|found| found.number == *number), "{name}: {found:?}");
        let text: String = found.iter().map(|found| found.render(&source, false)).collect();
        compare('A', *number, name, &text);
    }
}

#[test]
fn a_text_that_is_too_long_or_a_policy_that_is_too_large_is_refused() {
    let long = format!("{POLICY}#{}", "x".repeat(contracts_vm::SOURCE_BYTES_MAX));
    assert_eq!(check(&long).expect_err("too long")[0].number, 4);
    let line = format!("    {} > 1 points\n", ["average of gdp over 64 quarters"; 10].join(" + "));
    let with = |lines: usize| POLICY.replace("    loan term", &format!("{}    loan term", line.repeat(lines)));
    assert!(check(&with(14)).is_ok());
    assert!(with(16).len() < contracts_vm::SOURCE_BYTES_MAX);
    let numbers: Vec<_> = check(&with(16)).expect_err("too dear").iter().map(|wrong| wrong.number).collect();
    assert_eq!(numbers, [27]);
}

#[test]
fn every_number_of_the_language_has_a_text_here() {
    let language =
        std::fs::read_to_string(Path::new(env!("CARGO_MANIFEST_DIR")).join("../LANGUAGE.md")).expect("it is there");
    let numbers = |letter: &str| -> BTreeSet<u16> {
        let start = format!("- {letter}-");
        let rules = language.lines().filter_map(|line| line.strip_prefix(&start));
        rules
            .map(|rest| rest.split(|c: char| !c.is_ascii_digit()).next().expect("a number").parse().expect("a number"))
            .collect()
    };
    let shown = |table: &[(u16, &str, &str, &str)]| table.iter().map(|(number, ..)| *number).collect::<BTreeSet<_>>();
    // D-4, D-27 and D-30 have tests of their own: their sources are long.
    assert_eq!(numbers("D"), &shown(DIAGNOSTICS) | &BTreeSet::from([4, 27, 30]));
    assert_eq!(numbers("A"), shown(FINDINGS));
}

/// Whatever is accepted as a source can be packed and unpacked (C-1, P-3).
#[test]
fn a_policy_without_a_canonical_form_is_refused_and_every_other_one_is_a_package() {
    let terms = ["time in 2026Q1"; 40].join(" or ");
    let long = POLICY.replace("    loan term", &format!("{}    loan term", format!("    {terms}\n").repeat(8)));
    assert!(long.len() < contracts_vm::SOURCE_BYTES_MAX);
    let numbers: Vec<_> = check(&long).expect_err("its dates are longer").iter().map(|wrong| wrong.number).collect();
    assert_eq!(numbers, [30]);
    assert_eq!(contracts_vm::Package::of(&long).expect_err("for a package too").len(), 1);
    let scale = POLICY.replace("scale 3", "scale 9");
    for source in [
        scale.replace("use 100 points", "use 1000000 points"),
        scale.replace("gdp falls 2 quarters in a row", "gdp < 1000000 points"),
        scale.replace("gdp falls 2 quarters in a row", "gdp > -1000000.000000000 points"),
        POLICY.replace("until 2028-01-01", "through 9999-12-30"),
        POLICY.replace("until 2028-01-01", "until 9999-12-31"),
        POLICY.replace("until 2028-01-01", "").replace("from 2026-01-01", "from 9999-12-31"),
    ] {
        let package = contracts_vm::Package::of(&source).unwrap_or_else(|wrong| panic!("{wrong:?}\n{source}"));
        assert_eq!(contracts_vm::Package::from_bytes(&package.to_bytes()), Ok(package), "{source}");
    }
}

/// In brackets, and over a comment whose characters have several bytes.
#[test]
fn a_place_is_the_names_own_and_drawing_never_cuts_a_character() {
    for character in ["é", "中", "😀"] {
        for before in ["", "x", "xx"] {
            let source = replaced("loan term <= 3 years", &format!("(#{before}{character}\nfoobar) < 1 %"));
            let wrong = &check(&source).expect_err("no such feed")[0];
            assert_eq!(&source[wrong.place.from as usize..wrong.place.to as usize], "foobar");
            assert!(wrong.render(&source, false).contains("foobar"));
            let at = source.find(character).expect("it is there");
            for from in at..at + character.len() {
                for to in [from, from + 1, source.len() + 9] {
                    let place = contracts_vm::Span::new(from, to);
                    let moved = contracts_vm::Diagnostic { place, ..wrong.clone() };
                    assert!(moved.render(&source, false).contains(&wrong.cause));
                }
            }
        }
    }
}

#[test]
fn lines_of_which_two_exclude_each_other_are_found_among_however_many() {
    let numbers = |with: &str| -> Vec<_> {
        let source = replaced("loan term <= 3 years", with);
        check(&source).expect("a policy").findings.iter().map(|found| found.number).collect()
    };
    assert_eq!(numbers(MANY), [10]);
    assert_eq!(numbers(&format!("{MANY}\n    loan rate < 0.05 %")), [1], "with the line above 0.10 %");
    assert_eq!(numbers(&format!("{MANY}\ndeny when\n    loan term <= 4 years + 1 day and loan rate > 0.10 %")), [10]);
    assert_eq!(numbers(&format!("{MANY}\ndeny when\n    loan rate > 0.10 %")), [1]);
}

/// What is replaced in the policy, by what brings the finding, and by what comes near to it and does not.
const NEAR_MISSES: &[(u16, &str, &str, &str)] = &[
    // Two months of a calendar, and a third.
    (1, "until 2028-01-01", "until 2026-03-01\n    month in { march }", "until 2026-03-02\n    month in { march }"),
    (
        1,
        "loan term <= 3 years",
        "time in 2026-01-03 and weekday in { monday }",
        "time in 2026-01-05 and weekday in { monday }",
    ),
    (1, "loan term <= 3 years", "loan term > 65535 days", "loan term >= 65535 days"),
    (
        1,
        "idle after",
        "deny when\n    loan term < 2 days or loan term > 1 day\nidle after",
        "deny when\n    loan term < 2 days or loan term > 2 days\nidle after",
    ),
    (2, "until 2028-01-01", "until 2028-01-01 or sector in ISIC { A }", "until 2028-01-01 or sector in ISIC { F }"),
    (
        2,
        "effective when\n    time from 2026-01-01 until 2028-01-01",
        "deny when\n    time from 2028-01-01 and sector in ISIC { A, C10..C11 }\neffective when",
        "deny when\n    time from 2028-01-01 and sector in ISIC { A, C10..C12, D35 }\neffective when",
    ),
    (3, "loan term <= 3 years", "loan term >= 30 days", "loan term >= 30 days\n    loan term <= 3 years"),
    (3, "loan term <= 3 years", "loan term <= 3 years or loan rate < 2 %", "loan term <= 3 years and loan rate < 2 %"),
    (3, "loan term <= 3 years", "not loan term < 30 days", "not loan term > 30 days"),
    (3, "loan term <= 3 years", "min(loan term, 90 days) <= 90 days", "min(loan term, 90 days) < 90 days"),
    (3, "loan term <= 3 years", "loan term - 2 * loan term <= 90 days", "2 * loan term - loan term <= 90 days"),
    (
        3,
        "    loan term <= 3 years\n",
        "deny when\n    loan term > 3 years and sector in ISIC { A }\n",
        "deny when\n    loan term > 3 years and sector in ISIC { A, C, D }\n",
    ),
    (
        4,
        "    otherwise",
        "    when gdp falls 3 quarters in a row : 0.25 %\n    otherwise",
        "    when gdp falls 1 quarter in a row : 0.75 %\n    otherwise",
    ),
    (
        5,
        "    otherwise",
        "    when lpr > 5.00 % : 3.00 %\n    otherwise",
        "    when lpr > 5.00 % : 0.50 %\n    otherwise",
    ),
    (6, "use 100 points", "deny", "use 1 points"),
    (7, "otherwise 2.00 %", "otherwise max(lpr, 4.01 %)", "otherwise max(lpr, 4.00 %)"),
    (7, "otherwise 2.00 %", "otherwise min(lpr - 50 bp, 0.09 %)", "otherwise min(lpr - 50 bp, 5.00 %)"),
    (
        7,
        "otherwise 2.00 %",
        "otherwise min(max(lpr, 1.00 %), 2.00 %) * -1",
        "otherwise min(max(lpr, 1.00 %), 2.00 %) * 1",
    ),
    // Not at the middle of the calendar, nor for a loan of a year, nor at the first constant.
    (
        8,
        "when gdp",
        "when time in 2027Q1 and gdp falls 2 quarters in a row : 3 %\n    when gdp",
        "when time in 2027Q1 and gdp falls 2 quarters in a row : 0.25 %\n    when gdp",
    ),
    (
        8,
        "when gdp",
        "when month in { july } and gdp falls 1 quarter in a row : 3 %\n    when gdp",
        "when month in { july } and gdp falls 1 quarter in a row : 1 %\n    when gdp",
    ),
    (
        8,
        "when gdp",
        "when loan age > 3 years and gdp falls 1 quarter in a row : 3 %\n    when gdp",
        "when loan age > 3 years and gdp falls 1 quarter in a row : 1 %\n    when gdp",
    ),
    (
        8,
        "when gdp",
        "when loan age = 7 days and gdp falls 1 quarter in a row : 3 %\n    when gdp",
        "when loan age = 7 days and gdp rises 1 quarter in a row : 3 %\n    when gdp",
    ),
    (
        8,
        "when gdp",
        "when gdp < 90 points : 1 %\n    when gdp > 1000 points and gdp < 1100 points : 3 %\n    when gdp",
        "when gdp < 90 points : 1 %\n    when gdp > 1000 points and gdp < 1100 points : 2 %\n    when gdp",
    ),
    (9, "idle after", "deny when\n    gdp < 99 points\nidle after", "deny when\n    gdp < 101 points\nidle after"),
];

#[test]
fn every_finding_has_a_policy_that_brings_it_and_one_near_to_it_that_does_not() {
    for (number, what, brings, near) in NEAR_MISSES {
        let found = |with: &str| {
            let source = replaced(what, with);
            let found = check(&source).unwrap_or_else(|wrong| panic!("{with}: {wrong:?}")).findings;
            found.iter().map(|found| found.number).collect::<Vec<_>>()
        };
        assert!(found(brings).contains(number), "A-{number}: {brings}: {:?}", found(brings));
        assert!(!found(near).contains(number), "A-{number}: {near}: {:?}", found(near));
    }
}

#[test]
fn cases_of_too_many_combinations_are_compared_by_twos() {
    let case = |at: u32| format!("    when lpr > {at}.00 % and gdp > average of gdp over {at} quarters : {at}.00 %\n");
    let numbers = |more: &str| -> Vec<_> {
        let cases: String = (2..14).map(case).collect();
        let source = replaced("    otherwise", &format!("{cases}{more}    otherwise")).replace(".. 4.00", ".. 15.00");
        let found = check(&source).expect("a policy").findings;
        found.iter().filter(|found| found.number != 5).map(|found| (found.number, found.place)).collect()
    };
    let alone = numbers("");
    assert_eq!(alone.iter().map(|(number, _)| *number).collect::<Vec<_>>(), [10]);
    let within = "    when lpr > 6.00 % and gdp > average of gdp over 5 quarters : 1.00 %\n";
    assert_eq!(numbers(within).iter().map(|(number, _)| *number).collect::<Vec<_>>(), [10, 4]);
    let beside = "    when lpr > 4.00 % and gdp > average of gdp over 5 quarters : 1.00 %\n";
    assert_eq!(numbers(beside), alone);
    let always = "    when lpr <= 2.00 % or gdp <= average of gdp over 2 quarters : 1.00 %\n";
    assert_eq!(numbers(always).iter().map(|(number, _)| *number).collect::<Vec<_>>(), [10, 4], "otherwise");
}

#[test]
fn a_cycle_of_too_many_dates_is_tried_at_one_and_that_is_said() {
    let windows = (0..40).map(|year| format!("time in {}-06", 2100 + year)).collect::<Vec<_>>().join(" or ");
    let case = |falls: &str| {
        let first = format!("when ({windows}) and month in {{ july }} and weekday in {{ friday }} : 1 %\n    {falls}");
        let source = replaced("when gdp", &format!("{first}when gdp"));
        check(&source).expect("a policy").findings.iter().map(|found| found.number).collect::<Vec<_>>()
    };
    assert!(case("").contains(&10) && !case("").contains(&8));
    assert!(case("when gdp falls 1 quarter in a row : 3 %\n    ").contains(&8), "the one is tried");
}

#[test]
fn a_denial_that_holds_at_its_fallback_does_not_fail_open() {
    let numbers = |line: &str| -> Vec<_> {
        let source = replaced("idle after", &format!("deny when\n    {line}\nidle after"));
        check(&source).expect("a policy").findings.iter().map(|found| found.number).collect()
    };
    assert_eq!(numbers("gdp < 99 points"), [9]);
    assert_eq!(numbers("gdp < 101 points and loan rate > 3 %"), [9]);
    assert_eq!(numbers("lpr < 3 % or growth of gdp over 1 quarter < 0 %"), [9, 9]);
    assert_eq!(numbers("loan rate > 9 %"), []);
    let source = replaced("loan rate <= lpr + 50 bp", "loan rate <= 5 %\ndeny when\n    lpr < 4 %");
    let found = check(&source).expect("a policy").findings;
    assert!(found.iter().all(|found| found.number != 9), "3.45 % denies: {found:?}");
}

#[test]
fn paths_begin_at_what_the_policy_compares_with_so_that_means_and_levels_are_judged_rightly() {
    let is_warned = |unit: &str, rates: &str| {
        let feed = format!("feed x = \"x\" monthly {unit}, at most 60 days old, first vintage, when stale deny");
        let source = format!(
            "policy \"p\" version 1\ncurrency CNY\n{feed}\neffective when\nloan term <= 1 year\nidle after 9 days\n\
             return rate\n{rates}\nclamp 0.10 % .. 9.00 %, step 1 bp\n"
        );
        check(&source).expect("a policy").findings.iter().any(|found| found.number == 8)
    };
    assert!(is_warned("index scale 1", "when x < 50.0 points : 4 %\notherwise 0.50 %"));
    assert!(!is_warned("index scale 1", "when x < 50.0 points : 0.50 %\notherwise 4 %"));
    let (with, against) = ("percent scale 1, procyclical", "percent scale 1, countercyclical");
    let rates = "when average of x over 4 months < 1.0 % : 0.50 %\notherwise 2.00 %";
    assert!(!is_warned(with, rates) && is_warned(against, rates));
    let rates = "otherwise 1 % + 0.5 * (average of x over 4 months in bp)";
    assert!(!is_warned(with, rates) && is_warned(against, rates));
}
