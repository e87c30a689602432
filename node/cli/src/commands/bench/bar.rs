//! What a run is held to, for whoever measures to notice when it got worse.
//!
//! Rates are of one machine. Processor time an item is nearly that of the work itself, whatever else the machine does
//! meanwhile: the bar for machines that are shared.

use crate::outcome::{Failure, Outcome};
use serde_json::json;

#[derive(clap::Args, Clone, Copy, Default)]
pub struct Bars {
    /// Fail with 6 when the run did fewer a second than this.
    #[arg(long, value_name = "RATE", value_parser = clap::value_parser!(u64).range(1..))]
    at_least: Option<u64>,
    /// Fail with 6 when an item took more processor time than so many microseconds: at each validator; of a look-up, at
    /// site and observer together.
    #[arg(long, value_name = "US", value_parser = clap::value_parser!(u64).range(1..))]
    cpu_at_most: Option<u64>,
}

impl Bars {
    /// Says in the document which bars there were and which were missed. What fails already fails for its own reason.
    pub fn hold(self, mut outcome: Outcome, per_second: f64, cpu_us_per_item: u64) -> Outcome {
        let mut missed = Vec::new();
        if let Some(bar) = self.at_least.filter(|bar| per_second < *bar as f64) {
            missed.push(format!("{per_second:.0} a second, at least {bar} were asked for"));
        }
        if let Some(bar) = self.cpu_at_most.filter(|bar| cpu_us_per_item > *bar) {
            missed.push(format!("{cpu_us_per_item} µs of processor time an item, at most {bar} were asked for"));
        }
        outcome.data["bars"] = json!({
            "at_least_per_s": self.at_least, "cpu_us_per_item_at_most": self.cpu_at_most, "missed": missed,
        });
        missed.iter().for_each(|missed| outcome.text.push_str(&format!("MISSED     {missed}\n")));
        if missed.is_empty() || outcome.failure.is_some() {
            return outcome;
        }
        outcome.but(Failure::unverified("bar_missed", missed.join("; ")))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::outcome::Exit;

    fn run(at_least: Option<u64>, cpu_at_most: Option<u64>) -> Outcome {
        Bars { at_least, cpu_at_most }.hold(Outcome::new(json!({}), ""), 999.6, 25)
    }

    #[test]
    fn a_run_at_its_bars_holds_them_and_one_beyond_fails_and_says_which() {
        assert!(run(None, None).failure.is_none());
        let held = run(Some(999), Some(25));
        assert!(held.failure.is_none() && held.data["bars"]["missed"] == json!([]));
        for (bars, missed) in [((Some(1_000), None), 1), ((None, Some(24)), 1), ((Some(1_000), Some(24)), 2)] {
            let outcome = run(bars.0, bars.1);
            assert_eq!(outcome.data["bars"]["missed"].as_array().unwrap().len(), missed);
            let failure = outcome.failure.unwrap();
            assert_eq!((failure.exit, failure.code.as_str()), (Exit::VerificationFailed, "bar_missed"));
        }
    }

    #[test]
    fn a_run_that_fails_already_keeps_its_reason() {
        let failed = Outcome::new(json!({}), "").but(Failure::unverified("payments_lost", "two"));
        let outcome = Bars { at_least: Some(10), cpu_at_most: None }.hold(failed, 1.0, 1);
        assert_eq!(outcome.failure.unwrap().code, "payments_lost");
        assert_eq!(outcome.data["bars"]["missed"].as_array().unwrap().len(), 1);
    }
}
