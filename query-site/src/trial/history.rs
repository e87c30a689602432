//! What a policy is tried out on: public history that the program carries, and texts to begin with.

use contracts_backtest::Table;
use std::sync::LazyLock;

pub struct History {
    pub name: &'static str,
    pub table: LazyLock<Table>,
    /// Which column stands for which series where nobody says otherwise. Some are another country's figures: the answer
    /// names the column that was read.
    stands_for: &'static [(&'static str, &'static str)],
}

/// `contracts/vm/tests/data/SOURCE.txt` says where they come from, and the page says it to readers.
pub static HISTORIES: [History; 2] = [
    History {
        name: "us-quarterly",
        table: LazyLock::new(|| read(include_bytes!("../../../contracts/vm/tests/data/macrodata.csv"))),
        stands_for: &[
            ("us.gdp.real", "realgdp"),
            ("us.unemployment", "unemp"),
            ("cn.gdp.real", "realgdp"),
            ("cn.lpr.1y", "tbilrate"),
        ],
    },
    History {
        name: "us-employment",
        table: LazyLock::new(|| read(include_bytes!("../../../contracts/vm/tests/data/us-employment.csv"))),
        stands_for: &[("us.ces.construction", "construction")],
    },
];

fn read(bytes: &[u8]) -> Table {
    Table::read(bytes).expect("a test reads what is embedded")
}

impl History {
    /// Without a name the first.
    pub fn called(name: &str) -> Option<&'static History> {
        if name.is_empty() { Some(&HISTORIES[0]) } else { HISTORIES.iter().find(|history| history.name == name) }
    }

    pub fn column_for(&self, series: &str) -> Option<&'static str> {
        self.stands_for.iter().find(|(known, _)| *known == series).map(|(_, column)| *column)
    }

    /// Those that hold values.
    pub fn columns(&self) -> impl Iterator<Item = &str> {
        let values = self.table.columns.iter().filter(|column| !self.table.period_columns.contains(column));
        values.map(String::as_str)
    }
}

/// A text to begin with, and the question under which it says something.
pub struct Example {
    pub name: &'static str,
    pub policy: &'static str,
    pub history: &'static str,
    pub sector: &'static str,
    pub rate: &'static str,
    pub years_later: &'static str,
}

/// The first is what a reader finds. The last is none: it shows what the checker says of slips.
pub static EXAMPLES: [Example; 7] = [
    Example {
        name: "second-fall",
        policy: include_str!("../../../contracts/policies/second-fall.policy"),
        history: "us-quarterly",
        sector: "",
        rate: "",
        years_later: "400",
    },
    Example {
        name: "economic-state",
        policy: include_str!("../../../contracts/policies/economic-state.policy"),
        history: "us-quarterly",
        sector: "",
        rate: "",
        years_later: "400",
    },
    Example {
        name: "loan-rate",
        policy: include_str!("../../../contracts/policies/loan-rate.policy"),
        history: "us-quarterly",
        sector: "",
        rate: "6.00",
        years_later: "400",
    },
    Example {
        name: "sector",
        policy: include_str!("../../../contracts/policies/sector.policy"),
        history: "us-employment",
        sector: "F41",
        rate: "",
        years_later: "0",
    },
    // 1974 becomes 2026, and lies in the windows of the two that follow.
    Example {
        name: "time",
        policy: include_str!("../../../contracts/policies/time.policy"),
        history: "us-quarterly",
        sector: "",
        rate: "",
        years_later: "52",
    },
    Example {
        name: "combined",
        policy: include_str!("../../../contracts/policies/combined.policy"),
        history: "us-quarterly",
        sector: "C10",
        rate: "6.00",
        years_later: "52",
    },
    Example {
        name: "mistakes",
        policy: include_str!("mistakes.policy"),
        history: "us-quarterly",
        sector: "",
        rate: "",
        years_later: "400",
    },
];
