//! The policy language and its machine, and the table that a back-test reads.

use contracts_backtest::Table;
use contracts_vm::calendar::Period;
use contracts_vm::{Activation, Package, Program, Reading, Readings, Return, SectorCode, check};

/// Every feed has every period, falling and rising in turn; every third is not there.
struct Waves;

impl Readings for Waves {
    fn reading(&self, feed: usize, back: u16) -> Option<Reading> {
        let step = i64::from(back) + feed as i64;
        (back % 3 != 2).then_some(Reading {
            period: Period(220 - i32::from(back)),
            vintage: 1,
            value: [1_000, i64::MAX, -37, i64::MIN, 0, 4_300][step as usize % 6],
            published_ms: 1_700_000_000_000,
            valid_until_ms: 1_800_000_000_000,
        })
    }
}

fn runs_within_its_fuel(program: &Program) {
    for time_ms in [0, 1_700_000_100_000, u64::MAX] {
        for (loan_rate, term_days) in [(43_000, 360), (i64::MIN, 0), (i64::MAX, u16::MAX)] {
            let context = Activation { time_ms, sector: SectorCode(41), loan_rate, term_days };
            assert!(program.activate(&context, &Waves).fuel <= program.fuel());
        }
        let context = Return { activated_ms: 1_600_000_000_000.min(time_ms), time_ms };
        assert!(program.return_rate(&context, &Waves).fuel <= program.fuel());
    }
}

pub(crate) fn program(bytes: &[u8]) -> bool {
    let Ok(program) = Program::from_bytes(bytes) else { return false };
    assert_eq!(program.to_bytes(), bytes, "one encoding a program");
    let assembly = program.disassemble();
    assert_eq!(Program::assemble(&assembly).as_ref(), Ok(&program), "{assembly}");
    runs_within_its_fuel(&program);
    true
}

pub(crate) fn package(bytes: &[u8]) -> bool {
    let deployed = Package::as_deployed(bytes);
    if let Ok(package) = &deployed {
        assert_eq!(package.to_bytes(), bytes, "one encoding a package");
        runs_within_its_fuel(&package.program);
    }
    let made_anew = Package::from_bytes(bytes);
    assert!(made_anew.is_err() || made_anew == deployed, "what is judged sound is read as it is");
    deployed.is_ok()
}

/// A text becomes a policy that compiles, or diagnostics that can be drawn.
pub(crate) fn source(bytes: &[u8]) -> bool {
    let Ok(text) = std::str::from_utf8(bytes) else { return false };
    let assembled = Program::assemble(text);
    if let Ok(program) = &assembled {
        runs_within_its_fuel(program);
    }
    match check(text) {
        Ok(checked) => {
            let program = checked.policy.compile();
            runs_within_its_fuel(&program);
            let package = Package::of_policy(&checked.policy);
            assert_eq!(
                Package::from_bytes(&package.to_bytes()).as_ref(),
                Ok(&package),
                "a package judges itself sound"
            );
            for finding in &checked.findings {
                finding.render(text, false);
            }
            true
        }
        Err(diagnostics) => {
            assert!(!diagnostics.is_empty(), "a refusal has a cause");
            for diagnostic in &diagnostics {
                diagnostic.render(text, false);
                diagnostic.line(text);
            }
            assembled.is_ok()
        }
    }
}

pub(crate) fn table(bytes: &[u8]) -> bool {
    Table::read(bytes).is_ok()
}
