use crate::Engine;
use crate::policies::{Case, MACRO, Text};
use contracts_backtest::{Mapping, Plan, Report, Rounding, Table, chart, replay, report};
use contracts_vm::calendar::MS_PER_DAY;
use contracts_vm::{Activation, Period, Program, Reading, Readings, Return, Verdict};
use std::hint::black_box;

struct Ours {
    has_receipt: bool,
    program: Program,
    loan: Activation,
    due: Return,
    readings: Given,
}

struct Given {
    time_ms: u64,
    feeds: [Vec<i64>; 2],
}

impl Readings for Given {
    fn reading(&self, feed: usize, back: u16) -> Option<Reading> {
        let value = *self.feeds[feed].get(usize::from(back))?;
        let period = Period(8_000 - i32::from(back));
        Some(Reading { period, vintage: 1, value, published_ms: self.time_ms, valid_until_ms: u64::MAX })
    }
}

/// As the ledger judges a loan: nobody asks what the verdict rests on.
pub fn make(text: &Text) -> Box<dyn Engine> {
    make_with(text, false)
}

/// With the fuel and the list of readings that a return's receipt states.
pub fn make_with_receipt(text: &Text) -> Box<dyn Engine> {
    make_with(text, true)
}

fn make_with(text: &Text, has_receipt: bool) -> Box<dyn Engine> {
    let program = contracts_vm::policy_of(text.source).expect("a policy").compile();
    let loan = Activation { time_ms: 0, sector: contracts_vm::SectorCode::at(0), loan_rate: 0, term_days: 0 };
    let due = Return { activated_ms: 0, time_ms: 0 };
    Box::new(Ours { has_receipt, program, loan, due, readings: Given { time_ms: 0, feeds: [Vec::new(), Vec::new()] } })
}

impl Engine for Ours {
    fn bind(&mut self, case: &Case) {
        let time_ms = case.day as u64 * MS_PER_DAY;
        self.loan = Activation { time_ms, sector: case.sector, loan_rate: case.loan_rate, term_days: case.term as u16 };
        self.due = Return { activated_ms: time_ms - case.age as u64 * MS_PER_DAY, time_ms };
        self.readings = Given { time_ms, feeds: case.feeds.clone() };
    }

    fn run(&mut self) -> (bool, i64) {
        if self.has_receipt {
            let verdict = black_box(self.program.activate(&self.loan, &self.readings));
            let rate = black_box(self.program.return_rate(&self.due, &self.readings));
            return (matches!(verdict.value, Verdict::Permit { .. }), rate.value.0);
        }
        let verdict = self.program.verdict(&self.loan, &self.readings);
        let rate = self.program.rate(&self.due, &self.readings);
        (matches!(verdict, Verdict::Permit { .. }), rate.0)
    }
}

/// Fifty years of two feeds, from bytes to bytes.
pub fn back_test() -> (Report, String) {
    let source = include_str!("../../policies/economic-state.policy");
    let policy = contracts_vm::check(source).expect("a policy").policy;
    let table = Table::read(MACRO.as_bytes()).expect("a table");
    let columns = [("us.gdp.real", "realgdp"), ("us.unemployment", "unemp")];
    let mapping: Mapping = columns.into_iter().map(|(series, column)| (series.into(), column.into())).collect();
    let (series, sources) = table.series(&policy, &mapping, Rounding::Refuse).expect("both columns");
    let plan = Plan { years_later: 400, ..Plan::default() };
    let periods = (table.frequency, &table.periods[..]);
    let replay = replay(&policy, &policy.compile(), periods, &series, &plan, &mut |_, _| ()).expect("a replay");
    assert_eq!(replay.rows.len(), 203);
    (report(&policy, &table, &sources, Rounding::Refuse, &plan, &replay), chart(&policy, &series, &replay))
}
