//! Programs of policies (LANGUAGE.md): random ones, so that every instruction and every branch of a reading is among them, run
//! over random readings. What stands in the file is run again; only `ASSAY_ACCEPT_VECTORS` makes other programs.

use super::{folder, hex, naive};
use contracts_vm::{Activation, Evaluation, Period, Program, Reading, Readings, Return, SectorCode, Verdict};
use serde_json::{Value, json};

/// Programs, and runs of each: as many as leave a page's readings readable.
const PROGRAMS: usize = 60;
const RUNS: usize = 4;
/// Of one program, over all its feeds.
const READINGS_MAX: u16 = 20;

struct Given(Vec<Vec<Option<Reading>>>);

impl Readings for Given {
    fn reading(&self, feed: usize, back: u16) -> Option<Reading> {
        self.0.get(feed)?.get(usize::from(back)).copied().flatten()
    }
}

impl Given {
    fn to_value(&self) -> Value {
        let reading = |reading: &Option<Reading>| {
            reading.map(|r| {
                let [period, vintage] = [r.period.0.to_be_bytes(), r.vintage.to_be_bytes()];
                let long = [r.value.to_be_bytes(), r.published_ms.to_be_bytes(), r.valid_until_ms.to_be_bytes()];
                hex([[period, vintage].concat(), long.concat()].concat())
            })
        };
        let feed = |feed: &Vec<Option<Reading>>| feed.iter().map(reading).collect::<Vec<_>>();
        self.0.iter().map(feed).collect::<Vec<_>>().into()
    }

    fn from_value(value: &Value) -> Self {
        let reading = |text: &str| {
            let bytes = hex::decode(text).unwrap();
            let long = |at: usize| <[u8; 8]>::try_from(&bytes[at..at + 8]).unwrap();
            Reading {
                period: Period(i32::from_be_bytes(bytes[..4].try_into().unwrap())),
                vintage: u32::from_be_bytes(bytes[4..8].try_into().unwrap()),
                value: i64::from_be_bytes(long(8)),
                published_ms: u64::from_be_bytes(long(16)),
                valid_until_ms: u64::from_be_bytes(long(24)),
            }
        };
        let feed = |feed: &Value| feed.as_array().unwrap().iter().map(|back| back.as_str().map(reading)).collect();
        Given(value.as_array().unwrap().iter().map(feed).collect())
    }
}

/// Feed and back of each reading that was asked for: `0.0 0.1 1.0`.
fn inputs<T>(evaluation: &Evaluation<T>) -> String {
    let asked = evaluation.inputs.iter().map(|input| format!("{}.{}", input.feed, input.back));
    asked.collect::<Vec<_>>().join(" ")
}

fn run(program: &Program, given: &Given, activation: &Activation, back: &Return) -> Value {
    let loan = program.activate(activation, given);
    let (due_days, denied) = match loan.value {
        Verdict::Permit { due_days } => (Some(due_days), None),
        Verdict::Deny { reason } => (None, Some((reason.number(), reason.detail()))),
    };
    let returned = program.return_rate(back, given);
    json!({
        "time_ms": activation.time_ms,
        "readings": given.to_value(),
        "activation": {
            "sector": activation.sector.0, "rate": activation.loan_rate, "term_days": activation.term_days,
            "due_days": due_days, "denied": denied, "fuel": loan.fuel, "inputs": inputs(&loan),
        },
        "return": {
            "activated_ms": back.activated_ms, "rate": returned.value.0, "fuel": returned.fuel, "inputs": inputs(&returned),
        },
    })
}

fn new_programs() -> Value {
    let mut programs: Vec<Value> = Vec::new();
    let mut instructions = std::collections::BTreeSet::new();
    for seed in 0.. {
        let mut random = naive::generate::Random::new(seed);
        let tree = naive::generate::policy(&mut random);
        let source = tree.write(&mut random);
        let program = contracts_vm::policy_of(&source).unwrap().compile();
        let periods: Vec<u16> = program.feeds().iter().map(|feed| feed.periods).collect();
        if periods.iter().sum::<u16>() > READINGS_MAX {
            continue;
        }
        let of_program: Vec<String> = names(&program);
        // Once there are enough, only what brings an instruction that none has.
        if programs.len() >= PROGRAMS && of_program.iter().all(|name| instructions.contains(name)) {
            if instructions.len() == INSTRUCTIONS {
                break;
            }
            continue;
        }
        instructions.extend(of_program);
        let runs: Vec<Value> = (0..RUNS)
            .map(|_| {
                let world = naive::generate::world(&mut random, &tree, &periods);
                let feed =
                    |(feed, periods): (usize, &u16)| (0..*periods).map(|back| world.reading(feed, back)).collect();
                let given = Given(periods.iter().enumerate().map(feed).collect());
                run(&program, &given, &world.activation, &world.returned)
            })
            .collect();
        let name = format!("seed {seed}");
        programs.push(json!({ "name": name, "program": hex(program.to_bytes()), "runs": runs }));
    }
    json!({ "programs": programs })
}

/// Of LANGUAGE.md's table.
const INSTRUCTIONS: usize = 38;

/// Of all its instructions.
fn names(program: &Program) -> Vec<String> {
    let text = program.disassemble();
    let words = text.split(|c: char| !(c.is_ascii_lowercase() || c == '_')).map(str::to_owned);
    let table = include_str!("../../../../contracts/LANGUAGE.md");
    words.filter(|word| table.contains(&format!("| `{word}`")) || table.contains(&format!("| `{word} "))).collect()
}

/// Those of the file, run again.
pub fn programs() -> Value {
    if std::env::var_os("ASSAY_ACCEPT_VECTORS").is_some() {
        return new_programs();
    }
    let stored = std::fs::read(folder().join("program.json")).unwrap();
    let mut stored: Value = serde_json::from_slice(&stored).unwrap();
    for case in stored["programs"].as_array_mut().unwrap() {
        let program = Program::from_bytes(&hex::decode(case["program"].as_str().unwrap()).unwrap()).unwrap();
        for again in case["runs"].as_array_mut().unwrap() {
            let number = |value: &Value| value.as_u64().unwrap();
            let loan = &again["activation"];
            let activation = Activation {
                time_ms: number(&again["time_ms"]),
                sector: SectorCode(u32::try_from(number(&loan["sector"])).unwrap()),
                loan_rate: loan["rate"].as_i64().unwrap(),
                term_days: u16::try_from(number(&loan["term_days"])).unwrap(),
            };
            let activated_ms = number(&again["return"]["activated_ms"]);
            let back = Return { activated_ms, time_ms: activation.time_ms };
            *again = run(&program, &Given::from_value(&again["readings"]), &activation, &back);
        }
    }
    stored
}
