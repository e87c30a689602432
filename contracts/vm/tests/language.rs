//! LANGUAGE.md says what the code does: its table of instructions, its example, its rules.

use contracts_vm::instruction::{Operand, TABLE};
use contracts_vm::{Package, SectorCode, Unit, check, unit};
use std::fmt::Write;
use std::path::{Path, PathBuf};

fn file(name: &str) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join(name)
}

fn language() -> String {
    std::fs::read_to_string(file("../LANGUAGE.md")).expect("it is there")
}

fn table() -> String {
    let mut text = String::from("| code | instruction | stack | fuel | where | meaning |\n|---|---|---|---|---|---|\n");
    for row in TABLE {
        let operands = row.operands.iter().map(|operand| match operand {
            Operand::MonthSet => " months:16 bits".to_owned(),
            Operand::WeekdaySet => " days:7 bits".to_owned(),
            other => format!(" {}", format!("{other:?}").to_lowercase()),
        });
        let operands: String = operands.collect();
        let (effect, fuel) = (row.effect.text(), row.fuel_text());
        let (stands, meaning) = (row.stands.text(), row.meaning);
        let _ = writeln!(
            text,
            "| 0x{:02x} | `{}`{operands} | {effect} | {fuel} | {stands} | {meaning} |",
            row.opcode, row.mnemonic
        );
    }
    text
}

#[test]
fn the_table_of_instructions_in_the_language_is_the_one_that_runs() {
    let (begin, end) = ("<!-- instructions -->\n", "<!-- end -->");
    let text = language();
    let (before, rest) = text.split_once(begin).expect("the table has a place");
    let (written, after) = rest.split_once(end).expect("the table has an end");
    if std::env::var_os("UPDATE_GOLDEN").is_some() {
        std::fs::write(file("../LANGUAGE.md"), format!("{before}{begin}{}{end}{after}", table()))
            .expect("it can be written");
        return;
    }
    assert_eq!(written, table());
}

#[test]
fn opcodes_and_mnemonics_are_told_apart() {
    for (at, row) in TABLE.iter().enumerate() {
        assert_eq!(row.op as u8, row.opcode);
        assert!(TABLE[..at].iter().all(|before| before.opcode < row.opcode && before.mnemonic != row.mnemonic));
    }
}

#[test]
fn the_example_in_the_language_is_the_combined_policy() {
    let text = language();
    let example = text.split("```text\n").nth(1).and_then(|rest| rest.split("```").next()).expect("an example");
    let combined = std::fs::read_to_string(file("../policies/combined.policy")).expect("it is there");
    let canonical = |source: &str| check(source).expect("a policy").policy.canonical();
    assert_eq!(canonical(example), canonical(&combined));
}

#[test]
fn every_rule_that_the_code_cites_stands_in_the_language() {
    let text = language();
    let is_rule = |word: &str| {
        let (letter, number) = word.split_once('-').unwrap_or_default();
        matches!(letter, "G" | "T" | "R" | "E" | "C" | "P" | "V" | "D" | "A") && number.parse::<u16>().is_ok()
    };
    let mut cited = 0;
    for entry in std::fs::read_dir(file("src")).expect("the sources are there") {
        let source = std::fs::read_to_string(entry.expect("it can be read").path()).expect("it is UTF-8");
        for line in source.lines().filter_map(|line| line.split("//").nth(1)) {
            for word in line.split(|c: char| !c.is_ascii_alphanumeric() && c != '-').filter(|word| is_rule(word)) {
                cited += 1;
                assert!(text.contains(&format!("- {word} ")), "{word}");
            }
        }
    }
    assert!(cited > 30, "{cited}");
}

#[test]
fn the_table_of_sectors_is_the_published_list_t_11() {
    let list = std::fs::read_to_string(file("data/isic-rev4.csv")).expect("the list is there");
    let rows: Vec<_> = list.lines().skip(1).filter_map(|line| line.split_once(',')).collect();
    assert_eq!(rows.len(), usize::from(contracts_vm::sector::CODES));
    for (position, (code, title)) in (0..).zip(rows) {
        let at = SectorCode::at(position);
        assert_eq!(at.to_string(), code);
        let is_section = code.len() == 1;
        let is_titled = !is_section
            || title.trim_matches('"').starts_with(at.section_titles().0.split(';').next().expect("a part"));
        assert!(is_titled, "{code}: {title}");
    }
}

/// T-2 and T-3 as a table: what the sum and the difference of each pair are.
#[test]
fn units_mix_only_as_t_2_and_t_3_say() {
    let money = |currency, scale| Unit::Money { currency: unit::Currency::parse(currency).expect("a code"), scale };
    let (index, cny) = (Unit::Index { scale: 3 }, money("CNY", 2));
    let units = [
        Unit::Rate,
        Unit::Spread,
        index,
        Unit::Index { scale: 1 },
        cny,
        money("CNY", 0),
        money("USD", 2),
        Unit::Days,
        Unit::Truth,
    ];
    for left in units {
        for right in units {
            let likes = (left == right && left != Unit::Truth).then_some(left);
            let (sum, difference) = match (left, right) {
                (Unit::Rate, Unit::Rate) => (None, Some(Unit::Spread)),
                (Unit::Rate, Unit::Spread) => (Some(Unit::Rate), Some(Unit::Rate)),
                (Unit::Spread, Unit::Rate) => (Some(Unit::Rate), None),
                _ => (likes, likes),
            };
            assert_eq!((left.sum(right), left.difference(right)), (sum, difference), "{left} and {right}");
        }
    }
}

#[test]
fn a_policy_has_one_canonical_form_however_it_is_written_c_1() {
    let one = "\
return rate
otherwise 2 %
when gdp falls 2 quarters in a row:0.5%
clamp 0.1 % .. 4 %, step 1 bp
idle after 26 weeks # half a year
feed gdp=\"x.gdp\" quarterly index scale 3, procyclical, at most 2 weeks old, first vintage, when stale deny
effective when
   (time from 2026Q1 through 2026-12)
   sector in ISIC { C12, C11, C10, A01,
                    A }
   not (sector in ISIC { A02 })
   loan term at most 12 months
currency CNY
policy \"one\" version 1";
    let canonical = check(one).expect("a policy").policy.canonical();
    assert_eq!(
        canonical,
        "\
policy \"one\" version 1
currency CNY
feed gdp = \"x.gdp\" quarterly index scale 3, at most 14 days old, first vintage, when stale deny

effective when
    time from 2026-01-01 until 2027-01-01
    sector in ISIC { A, C10..C12 }
    sector not in ISIC { A02 }
    loan term <= 1 year

idle after 182 days

return rate
    when gdp falls 2 quarters in a row : 0.50 %
    otherwise 2.00 %
    clamp 0.10 % .. 4.00 %, step 1 bp
"
    );
    assert_eq!(check(&canonical).expect("a policy").policy.canonical(), canonical);
    assert_eq!(Package::of(one), Package::of(&canonical));
}

/// Whatever a text says, the answer is a policy or a list of diagnostics with places within it.
#[test]
fn every_single_character_of_a_policy_changed_is_refused_with_a_place_or_is_a_policy_again() {
    let (mut refused, mut passed) = (0_u32, 0_u32);
    for name in ["combined", "economic-state", "time"] {
        let source = std::fs::read_to_string(file(&format!("../policies/{name}.policy"))).expect("it is there");
        for at in 0..source.len() {
            for with in ["", " ", "\n", "(", "}", "\"", "0", "9", "x", "A", "%", ".", "-", "#", "é", "=", "in ", "not "]
            {
                let text = format!("{}{with}{}", &source[..at], &source[at + 1..]);
                match check(&text) {
                    Ok(checked) => {
                        passed += 1;
                        let again = check(&checked.policy.canonical()).expect("its canonical form is a policy");
                        assert_eq!(again.policy, checked.policy);
                    }
                    Err(wrong) => {
                        refused += 1;
                        assert!(!wrong.is_empty(), "{text}");
                        for wrong in &wrong {
                            let is_within = wrong.place.from <= wrong.place.to && wrong.place.to as usize <= text.len();
                            assert!(is_within, "{text}\n{wrong:?}");
                            assert!(!wrong.line(&text).is_empty());
                            // Drawn too where bytes and characters differ.
                            assert!(with != "é" || wrong.render(&text, false).contains(&wrong.cause));
                        }
                    }
                }
            }
        }
    }
    assert!(refused > 10_000 && passed > 1_000, "{refused} refused, {passed} passed");
}

/// Words of the language in an order that nobody would write: no line is too odd to be answered.
#[test]
fn lines_of_random_words_are_answered() {
    let words: Vec<String> = language()
        .split(|c: char| c.is_whitespace() || matches!(c, '`' | '|' | '[' | ']'))
        .filter(|word| !word.is_empty() && word.len() < 20)
        .map(str::to_owned)
        .chain(["(", ")", "{", "}", "not", "-", "*", "%", "in", "bp", ":", "gdp", "lpr"].map(str::to_owned))
        .collect();
    let combined = std::fs::read_to_string(file("../policies/combined.policy")).expect("it is there");
    let mut state = 1_u64;
    let mut next = |bound: usize| {
        state = state.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
        (state >> 33) as usize % bound
    };
    for _ in 0..20_000 {
        let mut lines: Vec<String> = combined.lines().map(str::to_owned).collect();
        for _ in 0..=next(3) {
            let line: Vec<_> = (0..next(12)).map(|_| words[next(words.len())].as_str()).collect();
            let at = next(lines.len());
            let kept: Vec<_> = lines[at].split(' ').take(next(6)).map(str::to_owned).collect();
            lines[at] = format!("{} {}", kept.join(" "), line.join(" "));
        }
        if let Ok(checked) = check(&lines.join("\n")) {
            assert_eq!(check(&checked.policy.canonical()).map(|again| again.policy), Ok(checked.policy));
        }
    }
}

/// R-1 and E-8 are about what the package does not do.
#[test]
fn every_rule_of_meaning_has_a_test_of_its_name() {
    let tests = std::fs::read_to_string(file("tests/rules.rs")).expect("it is there");
    let text = language();
    for line in text.lines() {
        let Some((letter, rest)) = line.strip_prefix("- ").and_then(|rule| rule.split_once('-')) else { continue };
        let number: String = rest.chars().take_while(char::is_ascii_digit).collect();
        if matches!(letter, "T" | "R" | "E") && !matches!((letter, number.as_str()), ("R", "1") | ("E", "8")) {
            assert!(tests.contains(&format!("_{}_{number}()", letter.to_lowercase())), "{letter}-{number}");
        }
    }
}

/// A chain of factors is looked at once for each factor, and what leaves 64 bits is no constant that anything is said of.
#[test]
fn a_long_chain_of_factors_is_analysed_at_once_and_a_large_product_is_no_constant() {
    let source = |rate: &str| {
        format!(
            "policy \"p\" version 1\ncurrency CNY\neffective when\nloan term <= 1 year\ntime until 2030-01-01\n\
             idle after 1 day\nreturn rate\notherwise {rate}\nclamp 0 % .. 4 %, step 1 bp\n"
        )
    };
    let numbers = |rate: &str| -> Vec<_> {
        check(&source(rate)).expect("a policy").findings.iter().map(|found| found.number).collect()
    };
    assert_eq!(numbers(&format!("1 %{}", " * 1".repeat(62))), []);
    assert_eq!(numbers(&format!("5 %{}", " * 1".repeat(62))), [7]);
    for factors in 1..20 {
        let found = numbers(&format!("1000 %{}", " * 1000".repeat(factors)));
        // 1000 % is ten million: three factors more stay within 64 bits, a fourth does not.
        assert_eq!(found, if factors <= 3 { vec![7] } else { vec![] }, "{factors}");
    }
}
