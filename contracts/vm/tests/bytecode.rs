//! Bytes from strangers: what is no program is refused, and whatever passes runs within its fuel.

use contracts_vm::{Activation, Package, PackageError, Period, Program, Reading, Readings, Return, SectorCode, check};
use std::path::{Path, PathBuf};

fn file(name: &str) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join(name)
}

fn policy(name: &str) -> String {
    std::fs::read_to_string(file("../policies").join(name)).expect("the policy is there")
}

const POLICIES: [&str; 6] = [
    "combined.policy",
    "economic-state.policy",
    "loan-rate.policy",
    "second-fall.policy",
    "sector.policy",
    "time.policy",
];

fn compiled(name: &str) -> Program {
    check(&policy(name)).expect("a policy").policy.compile()
}

const NOW_MS: u64 = 1_780_000_000_000;

/// Values that are far from each other, whatever the feed.
struct Wild;

impl Readings for Wild {
    fn reading(&self, feed: usize, back: u16) -> Option<Reading> {
        let values = [i64::MAX, 100_000, 0, -3, 99_000, i64::MIN, 345];
        let value = values[(feed + usize::from(back) * 3) % values.len()];
        let period = Period(8000 - i32::from(back));
        Some(Reading { period, vintage: 0, value, published_ms: NOW_MS, valid_until_ms: u64::MAX })
    }
}

struct Nothing;

impl Readings for Nothing {
    fn reading(&self, _: usize, _: u16) -> Option<Reading> {
        None
    }
}

fn runs_within_its_fuel(program: &Program) {
    let sector = SectorCode::parse("A01").expect("a code");
    for readings in [&Wild as &dyn Readings, &Nothing] {
        for loan_rate in [i64::MIN, 30_000, i64::MAX] {
            for time_ms in [0, NOW_MS, u64::MAX] {
                let context = Activation { time_ms, sector, loan_rate, term_days: u16::MAX };
                assert!(program.activate(&context, readings).fuel <= program.fuel());
                let returned = program.return_rate(&Return { activated_ms: 0, time_ms }, readings);
                assert!(returned.fuel <= program.fuel());
                let (lower, upper) = program.clamp();
                assert!(lower <= returned.value && returned.value <= upper);
                assert_eq!(returned.value.0 % program.step().0, 0);
            }
        }
    }
}

#[test]
fn every_single_byte_of_a_program_changed_is_refused_or_runs_within_its_fuel() {
    let (mut refused, mut passed) = (0_u32, 0_u32);
    for name in POLICIES {
        let bytes = compiled(name).to_bytes();
        for at in 0..bytes.len() {
            for change in 1..=255 {
                let mut mutated = bytes.clone();
                mutated[at] ^= change;
                match Program::from_bytes(&mutated) {
                    Err(_) => refused += 1,
                    Ok(program) => {
                        passed += 1;
                        runs_within_its_fuel(&program);
                        assert_eq!(program.to_bytes(), mutated, "P-1: one encoding for each program");
                        assert_eq!(Program::assemble(&program.disassemble()), Ok(program));
                    }
                }
            }
        }
    }
    assert!(refused > 50_000 && passed > 50_000, "{refused} refused, {passed} passed");
}

#[test]
fn a_program_cut_short_or_with_something_behind_it_is_refused_p_1() {
    for name in POLICIES {
        let mut bytes = compiled(name).to_bytes();
        (0..bytes.len()).for_each(|length| assert!(Program::from_bytes(&bytes[..length]).is_err(), "{length}"));
        bytes.push(0);
        assert_eq!(Program::from_bytes(&bytes).expect_err("a byte too many").rule, 1);
    }
}

/// Instructions cut out, doubled and swapped: what bytes can hardly be changed into one by one.
#[test]
fn instructions_taken_out_doubled_or_swapped_are_refused_or_run_within_their_fuel() {
    let mut passed = 0;
    for name in POLICIES {
        let text = compiled(name).disassemble();
        let lines: Vec<&str> = text.lines().collect();
        let is_code = |line: &str| line.starts_with("   ");
        let renumbered = |lines: Vec<&str>| {
            let mut at = 0;
            let lines = lines.into_iter().map(|line| {
                if !is_code(line) {
                    at = 0;
                    return line.to_owned();
                }
                at += 1;
                format!("  {}  {}", at - 1, line.trim_start().split_once(' ').expect("a number first").1)
            });
            lines.collect::<Vec<_>>().join("\n")
        };
        for at in (0..lines.len()).filter(|at| is_code(lines[*at])) {
            let mut ways = vec![lines.clone(), lines.clone()];
            ways[0].remove(at);
            ways[1].insert(at, lines[at]);
            for other in (at + 1..lines.len()).filter(|at| is_code(lines[*at])) {
                let mut swapped = lines.clone();
                swapped.swap(at, other);
                ways.push(swapped);
            }
            for way in ways {
                if let Ok(program) = Program::assemble(&renumbered(way)) {
                    passed += 1;
                    runs_within_its_fuel(&program);
                }
            }
        }
    }
    assert!(passed > 100, "{passed}");
}

/// One assembly text for each rule of V that is broken in it.
#[test]
fn each_rule_of_verification_refuses_what_breaks_it() {
    const PROGRAM: &str = "\
policy p version 1
currency CNY idle 1 due 0
clamp 0 100 step 100
feed s monthly rate scale 2 age 40 latest stale 345 periods 2
activation
0 change 0 1
1 push spread 100
2 less
3 deny_unless 7 1
4 permit
return
0 level 0 0
1 push rate 0
2 less
3 skip_unless 6
4 push rate 0
5 pay
6 push rate 100
7 pay
";
    assert!(Program::assemble(PROGRAM).is_ok());
    let broken = [
        (1, "currency CNY", "currency cny", "no currency"),
        (1, "activation\n", "", "no heading"),
        (2, "version 1", "version 0", "no version"),
        (2, "idle 1", "idle 0", "a wait of no time"),
        (2, "clamp 0 100", "clamp 100 0", "upside down"),
        (2, "clamp 0 100", "clamp 0 150", "between steps"),
        (2, "step 100", "step 0", "no step"),
        (3, "periods 2", "periods 3", "read less far back than declared"),
        (3, "periods 2", "periods 1", "read further back than declared"),
        (3, "age 40", "age 0", "always stale"),
        (3, "stale 345", "stale 9223372036854775807", "a fallback out of range"),
        (3, "0 change 0 1", "0 change 1 1", "no such feed"),
        (4, "0 change 0 1", "0 change 0 64", "64 periods and the one before"),
        (4, "1 push spread 100", "1 push spread 100000001", "a constant out of range"),
        (4, "deny_unless 7 1", "deny_unless 9 1", "reason 9 belongs to deny_if"),
        (4, "deny_unless 7 1", "deny_unless 7 0", "no line"),
        (4, "2 less", "2 lesser", "no such instruction"),
        (5, "1 push spread 100", "1 push rate 100", "a spread and a rate compared"),
        (5, "1 push spread 100\n2 less", "1 not", "not of a quantity"),
        (5, "3 deny_unless 7 1", "3 deny_unless 7 1\n4 deny_unless 7 1", "tests an empty stack"),
        (5, "4 permit", "4 push spread 1\n5 permit", "left on the stack"),
        (5, "6 push rate 100", "6 push spread 100", "a spread paid"),
        (5, "0 change 0 1", "0 growth 0 1", "the growth of a rate"),
        (6, "skip_unless 6", "skip_unless 3", "to itself"),
        (6, "skip_unless 6", "skip_unless 0", "backwards"),
        (6, "skip_unless 6", "skip_unless 8", "behind the end"),
        (6, "skip_unless 6", "skip_unless 7", "into an expression"),
        (6, "skip_unless 6", "skip_unless 4", "leaves the rest unreached"),
        (6, "4 permit\n", "", "does not end"),
        (6, "4 permit", "4 permit\n5 permit", "nothing leads there"),
        (7, "4 permit", "4 push rate 0\n5 pay", "pays at activation"),
        (7, "0 level 0 0", "0 loan_rate", "the loan's rate on return"),
    ];
    for (rule, what, with, why) in broken {
        assert!(PROGRAM.contains(what), "{what}");
        // Behind what was put in or taken out the count goes on.
        let text = recounted(&PROGRAM.replacen(what, with, 1));
        let error = Program::assemble(&text).expect_err(why);
        assert_eq!(error.rule, rule, "{why}: {error}");
    }
    let dear = "0 average 0 64\n1 push rate 100\n2 less\n3 deny_unless 7 1\n".repeat(150);
    let text = PROGRAM.replace("periods 2", "periods 64").replace("activation\n", &format!("activation\n{dear}"));
    assert_eq!(Program::assemble(&recounted(&text)).expect_err("too dear").rule, 8);
}

/// Instructions counted anew; jumps are left as they are.
fn recounted(text: &str) -> String {
    let mut at = 0;
    let lines = text.lines().map(|line| match line.split_once(' ') {
        Some((number, rest)) if number.bytes().all(|c| c.is_ascii_digit()) => {
            at += 1;
            format!("{} {rest}", at - 1)
        }
        _ => {
            at = 0;
            line.to_owned()
        }
    });
    lines.collect::<Vec<_>>().join("\n")
}

fn hex(bytes: &[u8]) -> String {
    let lines = bytes.chunks(32).map(|line| line.iter().map(|byte| format!("{byte:02x}")).collect::<String>() + "\n");
    lines.collect()
}

/// Bytes that the ledger hashes change on purpose: `UPDATE_GOLDEN=1 cargo test -p contracts-vm --test vm bytecode::`.
#[test]
fn the_packages_of_the_examples_are_their_golden_bytes() {
    for name in POLICIES {
        let package = Package::of(&policy(name)).expect("a policy");
        let text = format!("{}{}", package.program.disassemble(), hex(&package.to_bytes()));
        let golden = file("tests/golden").join(name.replace(".policy", ".package"));
        if std::env::var_os("UPDATE_GOLDEN").is_some() {
            std::fs::write(&golden, &text).expect("it can be written");
        }
        assert_eq!(text, std::fs::read_to_string(&golden).expect("it is there"), "{name}");
    }
}

#[test]
fn a_package_says_one_thing_in_all_its_parts_p_3() {
    let package = Package::of(&policy("combined.policy")).expect("a policy");
    let bytes = package.to_bytes();
    assert_eq!(Package::from_bytes(&bytes), Ok(package.clone()));
    // What is written in none of its parts may differ from what the source gives.
    for at in 0..bytes.len() {
        let mut mutated = bytes.clone();
        mutated[at] ^= 1;
        assert!(Package::from_bytes(&mutated).is_err(), "byte {at}");
    }
    assert_eq!(Package::from_bytes(&bytes[..bytes.len() - 1]), Err(PackageError::Layout));
    assert_eq!(Package::from_bytes(&[bytes.clone(), vec![0]].concat()), Err(PackageError::Layout));
    let claims = package.english.replace("at most 3 years", "at most 9 years");
    let length = package.english.len();
    let at = bytes.windows(length).position(|window| window == package.english.as_bytes()).expect("it is in there");
    let forged = [&bytes[..at], claims.as_bytes(), &bytes[at + length..]].concat();
    assert_eq!(Package::from_bytes(&forged), Err(PackageError::Differs));
    let written_otherwise = package.source.replace("3 years", "36 months");
    let at =
        bytes.windows(package.source.len()).position(|window| window == package.source.as_bytes()).expect("in there");
    let mut forged = bytes[..at - 4].to_vec();
    forged.extend((written_otherwise.len() as u32).to_be_bytes());
    forged.extend(written_otherwise.as_bytes());
    forged.extend(&bytes[at + package.source.len()..]);
    assert_eq!(Package::from_bytes(&forged), Err(PackageError::Differs), "not the canonical form");
}

#[test]
fn what_was_deployed_is_read_with_the_words_of_its_day_and_a_program_that_verifies_p_5() {
    let package = Package::of(&policy("combined.policy")).expect("a policy");
    let bytes = package.to_bytes();
    assert_eq!(Package::as_deployed(&bytes), Ok(package.clone()));
    let mut in_other_words = package.clone();
    in_other_words.english = "The same in the words of an earlier version.".to_owned();
    let deployed = in_other_words.to_bytes();
    assert_eq!(Package::from_bytes(&deployed), Err(PackageError::Differs));
    assert_eq!(Package::as_deployed(&deployed), Ok(in_other_words));
    assert_eq!(Package::as_deployed(&bytes[..bytes.len() - 1]), Err(PackageError::Layout));
    assert_eq!(Package::as_deployed(&[bytes.clone(), vec![0]].concat()), Err(PackageError::Layout));
    // The first byte of the program: behind the magic and the field's length.
    let mut unsound = bytes;
    unsound[8] ^= 1;
    assert!(matches!(Package::as_deployed(&unsound), Err(PackageError::Program(_))));
}

#[test]
fn the_largest_source_explains_itself_within_the_bound_of_a_package_p_2() {
    let codes: Vec<_> =
        (0..109).step_by(2).map(|at| SectorCode::at(at).to_string()).filter(|code| code.len() > 1).collect();
    let head = "policy \"p\" version 1\ncurrency CNY\neffective when\n";
    let tail = "idle after 1 days\nreturn rate\notherwise 0 %\nclamp 0 % .. 1 %, step 1 bp\n";
    let line = format!("sector in ISIC {{ {} }}\n", codes.join(","));
    let lines = (contracts_vm::SOURCE_BYTES_MAX - head.len() - tail.len()) / line.len();
    let source = format!("{head}{}{tail}", line.repeat(lines.min(32)));
    let package = Package::of(&source).expect("a policy");
    let bytes = package.to_bytes();
    assert_eq!(Package::from_bytes(&bytes), Ok(package));
}

/// One feed, a rate with a fallback of 3.45 %.
fn assembled(activation: &[String], returned: &[String], periods: usize) -> Option<Program> {
    let mut text = "policy p version 1\ncurrency CNY idle 1 due 0\nclamp 0 100000 step 1\n".to_owned();
    if periods > 0 {
        text += &format!("feed f monthly rate scale 2 age 40 latest stale 345 periods {periods}\n");
    }
    for (heading, code) in [("activation", activation), ("return", returned)] {
        text += &format!("{heading}\n");
        code.iter().enumerate().for_each(|(at, line)| text += &format!("{at} {line}\n"));
    }
    match Program::assemble(&text) {
        Ok(program) => Some(program),
        Err(wrong) => {
            assert!(wrong.to_string().contains("the most"), "{wrong}");
            None
        }
    }
}

fn lines(code: &str) -> Vec<String> {
    code.split("; ").map(str::to_owned).collect()
}

/// 5 %, and 6 % before.
struct Falling;

impl Readings for Falling {
    fn reading(&self, _: usize, back: u16) -> Option<Reading> {
        let (value, period) = (500 + i64::from(back) * 100, Period(8000 - i32::from(back)));
        Some(Reading { period, vintage: 0, value, published_ms: NOW_MS, valid_until_ms: u64::MAX })
    }
}

#[test]
fn a_feed_that_is_read_where_two_ways_meet_is_tried_and_charged_once_on_both_r_4_v_8() {
    let read = |first: &str| lines(&format!("loan_age; push days 10; greater; skip_unless 8; {first}; level 0 0; pay"));
    let once = read("level 0 0; push rate 60000; less; skip_unless 8");
    let twice = read("change 0 1; push spread 0; less; skip_unless 8");
    // The code, its periods; fuel over the long way and the short one, with readings and without.
    for (code, periods, fuel) in [(once, 1, [13, 8, 13, 8]), (twice, 2, [16, 10, 15, 9])] {
        let program = assembled(&lines("permit"), &code, periods).expect("a program");
        let days = [11, 10].map(|days| Return { activated_ms: NOW_MS - days * 86_400_000, time_ms: NOW_MS });
        let returned = |readings: &dyn Readings| days.map(|due| program.return_rate(&due, readings));
        let found = [returned(&Falling), returned(&Nothing)].concat();
        assert_eq!(found.iter().map(|found| found.fuel).collect::<Vec<_>>(), fuel);
        assert_eq!(found.iter().map(|found| found.value.0).collect::<Vec<_>>(), [50_000, 50_000, 34_500, 34_500]);
        assert_eq!(found.iter().map(|found| found.inputs.len()).collect::<Vec<_>>(), [periods, periods, 1, 1]);
    }
}

#[test]
fn the_longest_programs_of_many_ways_are_loaded_in_steps_that_do_not_multiply() {
    // Each line may be passed over, and reads the feed in a way of its own.
    let ways = |count: usize| {
        let line = |at: usize| {
            let (periods, end) = (at % 63 + 1, at * 6 + 6);
            let look_back = ["level", "average", "highest", "lowest", "change"][at / 63 % 5];
            let unit = if look_back == "change" { "spread" } else { "rate" };
            lines(&format!(
                "weekday_in 127; skip_unless {end}; {look_back} 0 {periods}; push {unit} 0; less; skip_unless {end}"
            ))
        };
        let mut code: Vec<String> = (0..count).flat_map(line).collect();
        code.extend(lines("push rate 0; pay"));
        assembled(&lines("permit"), &code, if count > 63 { 64 } else { count + 1 })
    };
    let program = (64..).step_by(8).map_while(ways).last().expect("64 are not too many");
    assert!(program.to_bytes().len() > 3900);
    runs_within_its_fuel(&program);
}

#[test]
fn a_condition_as_long_as_a_program_says_what_its_parts_say_one_after_the_other() {
    let weekday = 1 << contracts_vm::calendar::weekday((NOW_MS / 86_400_000) as i64);
    let condition = |count: usize| {
        let (mut code, mut holds) = (vec!["weekday_in 1".to_owned()], weekday == 1);
        for at in 1..count {
            let set = at * 37 % 127 + 1;
            let is_of = set & weekday != 0;
            let (join, joined) = if at % 3 == 0 { ("and", holds & is_of) } else { ("or", holds | is_of) };
            code.extend([format!("weekday_in {set}"), join.to_owned(), "not".to_owned()]);
            holds = !joined;
        }
        code.extend(lines("deny_unless 3 1; permit"));
        Some((assembled(&code, &lines("push rate 0; pay"), 0)?, holds))
    };
    for (program, holds) in (1..).step_by(25).map_while(condition) {
        let sector = SectorCode::parse("A01").expect("a code");
        let context = Activation { time_ms: NOW_MS, sector, loan_rate: 0, term_days: 1 };
        let verdict = program.verdict(&context, &Nothing);
        assert_eq!(matches!(verdict, contracts_vm::Verdict::Permit { .. }), holds);
        runs_within_its_fuel(&program);
    }
}
