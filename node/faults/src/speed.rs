//! The bars of speed: what `assay bench` is asked, how often, and what its documents must say. `speed.jsonl` is the log: one line a
//! run, `{date, commit, bench, run}`, of which `run` is the bench's own document with its machine, sizes and what it checked.

use serde_json::{Value, json};
use std::fmt::Write as _;
use std::io::Write as _;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

/// One way to measure.
pub struct Measured {
    pub name: &'static str,
    /// As the page says it.
    what: &'static str,
    /// Of `assay bench`.
    arguments: &'static [&'static str],
    /// `assay bench` draws it.
    is_drawn: bool,
    /// The page shows the median of so many runs of one commit.
    runs: usize,
    bars: &'static [Bar],
}

/// What the median is held to.
struct Bar {
    figure: &'static str,
    /// None if the document does not say it.
    of: fn(&Value) -> Option<f64>,
    /// The median is taken relative to that of another bench.
    relative_to: Option<&'static str>,
    limit: Limit,
}

#[derive(Clone, Copy)]
enum Limit {
    AtLeast(f64),
    AtMost(f64),
}

const fn bar(figure: &'static str, of: fn(&Value) -> Option<f64>, limit: Limit) -> Bar {
    Bar { figure, of, relative_to: None, limit }
}

fn number(run: &Value, pointer: &str) -> Option<f64> {
    run.pointer(pointer).and_then(Value::as_f64)
}

fn throughput(run: &Value) -> Option<f64> {
    number(run, "/throughput_per_s")
}

fn cpu(run: &Value) -> Option<f64> {
    number(run, "/cpu_us_per_item_per_validator")
}

fn memory(run: &Value) -> Option<f64> {
    number(run, "/rss_mib_max")
}

pub const MEASURED: &[Measured] = &[
    Measured {
        name: "order",
        what: "ordering as fast as it goes: 1 input, 2 outputs, 512-byte bucket, four validators",
        arguments: &["order", "--coins", "1500000"],
        is_drawn: true,
        runs: 5,
        bars: &[
            bar("envelopes/s", throughput, Limit::AtLeast(25_000.0)),
            bar("µs of processor an envelope and validator", cpu, Limit::AtMost(16.0)),
            bar(
                "bytes on disk an envelope, of its size",
                |run| Some(number(run, "/disk_bytes_per_item_per_validator")? / number(run, "/sizes/envelope_bytes")?),
                Limit::AtMost(1.5),
            ),
            bar("MiB resident at the largest validator", memory, Limit::AtMost(600.0)),
        ],
    },
    Measured {
        name: "order-5000",
        what: "latency of ordering at 5,000 envelopes a second",
        arguments: &["order", "--rate", "5000"],
        is_drawn: true,
        runs: 5,
        bars: &[bar("ms from due to committed, p50", |run| number(run, "/latency_ms/p50"), Limit::AtMost(60.0))],
    },
    Measured {
        name: "order-long",
        what: "ten minutes of ordering at 60 % of what was the most before record 092, over 10⁷ coins",
        arguments: &["order", "--coins", "10000000", "--rate", "12900", "--seconds", "600"],
        is_drawn: true,
        runs: 1,
        bars: &[
            bar(
                "last minute, of the first",
                |run| Some(number(run, "/minutes/last_per_s")? / number(run, "/minutes/first_per_s")?),
                Limit::AtLeast(0.95),
            ),
            bar("MiB resident at the largest validator", memory, Limit::AtMost(600.0)),
        ],
    },
    Measured {
        name: "order-seven",
        what: "ordering as fast as it goes with seven validators",
        arguments: &["order", "--coins", "1500000", "--banks", "6"],
        is_drawn: true,
        runs: 3,
        bars: &[Bar {
            relative_to: Some("order"),
            ..bar("µs of processor an envelope and validator, of four's", cpu, Limit::AtMost(1.15))
        }],
    },
    Measured {
        name: "pay",
        what: "payments through the desks as fast as they go, the whole line to confirmed, over 3·10⁵ coins",
        arguments: &["pay", "--rate", "1050", "--coins", "300000"],
        is_drawn: true,
        runs: 5,
        bars: &[bar("payments/s confirmed", throughput, Limit::AtLeast(4_000.0))],
    },
    Measured {
        name: "pay-half",
        what: "latency of payments at half of that",
        arguments: &["pay", "--rate", "500", "--coins", "300000"],
        is_drawn: true,
        runs: 5,
        bars: &[bar("ms from sent to confirmed, p99", |run| number(run, "/latency_ms/p99"), Limit::AtMost(3_000.0))],
    },
    Measured {
        name: "join",
        what: "a node from nothing, 10⁶ records",
        arguments: &["join"],
        is_drawn: false,
        runs: 3,
        bars: &[bar("s to the chain's tip", |run| number(run, "/caught_up_s"), Limit::AtMost(180.0))],
    },
];

/// Measures these, or all, each as often as its median wants, and appends every run to the log at once. A picture of the last run
/// of each goes beside the log.
pub fn run(assay: &Path, names: &[String], folder: &Path, stamp: Option<(&str, &str)>) -> Result<(), String> {
    if let Some(wrong) = names.iter().find(|name| !MEASURED.iter().any(|one| one.name == **name)) {
        return Err(format!("there is no bench {wrong}"));
    }
    for one in MEASURED.iter().filter(|one| names.is_empty() || names.iter().any(|name| name == one.name)) {
        let mut documents = Vec::new();
        for nth in 1..=one.runs {
            eprintln!("{} ({nth} of {}): assay bench {}", one.name, one.runs, one.arguments.join(" "));
            let document = measure(assay, one, stamp.map(|_| picture(folder, one)).as_deref())?;
            if let Some((date, commit)) = stamp {
                append(&log(folder), &json!({ "date": date, "commit": commit, "bench": one.name, "run": &document }))?;
            }
            documents.push(document);
        }
        for Bar { figure, of, .. } in one.bars {
            println!("{}: {figure}: {:?}", one.name, documents.iter().filter_map(of).collect::<Vec<_>>());
        }
    }
    Ok(())
}

fn log(folder: &Path) -> PathBuf {
    folder.join("speed.jsonl")
}

fn picture(folder: &Path, one: &Measured) -> PathBuf {
    folder.join("speed").join(format!("{}.svg", one.name))
}

fn measure(assay: &Path, one: &Measured, picture: Option<&Path>) -> Result<Value, String> {
    let mut command = Command::new(assay);
    command.arg("bench").args(one.arguments).arg("--json").stdin(Stdio::null()).stderr(Stdio::inherit());
    if let Some(picture) = picture.filter(|_| one.is_drawn) {
        std::fs::create_dir_all(picture.parent().expect("it lies in a folder")).map_err(|error| error.to_string())?;
        command.arg("--svg").arg(picture);
    }
    let output = command.output().map_err(|error| format!("{}: {error}", assay.display()))?;
    if !output.status.success() {
        return Err(format!("{}: {}: {}", one.name, output.status, String::from_utf8_lossy(&output.stdout)));
    }
    let mut document: Value =
        serde_json::from_slice(&output.stdout).map_err(|error| format!("{}: {error}", one.name))?;
    // A command's document says in `data` what it is about.
    let run = document["data"].take();
    // A figure that is missing would be shown as never measured.
    match one.bars.iter().find(|bar| (bar.of)(&run).is_none()) {
        Some(bar) => Err(format!("{}: its document does not say: {}", one.name, bar.figure)),
        None => Ok(run),
    }
}

fn append(log: &Path, line: &Value) -> Result<(), String> {
    let file = std::fs::File::options().create(true).append(true).open(log);
    file.and_then(|mut file| file.write_all(format!("{line}\n").as_bytes()))
        .map_err(|error| format!("{}: {error}", log.display()))
}

/// Least, median and most of a bar's figure.
#[derive(Clone, Copy, Debug, PartialEq)]
struct Spread {
    least: f64,
    median: f64,
    most: f64,
}

impl Spread {
    fn of(mut figures: Vec<f64>) -> Option<Self> {
        figures.sort_by(f64::total_cmp);
        let (least, most) = (*figures.first()?, *figures.last()?);
        let (low, high) = (figures[(figures.len() - 1) / 2], figures[figures.len() / 2]);
        Some(Spread { least, median: (low + high) / 2.0, most })
    }

    fn over(self, by: f64) -> Self {
        Spread { least: self.least / by, median: self.median / by, most: self.most / by }
    }
}

impl Limit {
    fn holds(self, figure: f64) -> bool {
        match self {
            Limit::AtLeast(limit) => figure >= limit,
            Limit::AtMost(limit) => figure <= limit,
        }
    }

    fn text(self) -> String {
        match self {
            Limit::AtLeast(limit) => format!("≥ {}", shown(limit)),
            Limit::AtMost(limit) => format!("≤ {}", shown(limit)),
        }
    }
}

fn shown(figure: f64) -> String {
    if figure < 10.0 { format!("{figure:.2}") } else { format!("{figure:.0}") }
}

/// Runs of a bench: those of the commit that measured it last.
fn last_runs<'a>(lines: &'a [Value], name: &str) -> Vec<&'a Value> {
    let of_bench: Vec<&Value> = lines.iter().filter(|line| line["bench"] == name).collect();
    let Some(commit) = of_bench.last().map(|line| &line["commit"]) else { return Vec::new() };
    of_bench.iter().copied().filter(|line| line["commit"] == *commit).collect()
}

fn spread(lines: &[&Value], of: fn(&Value) -> Option<f64>) -> Option<Spread> {
    Spread::of(lines.iter().filter_map(|line| of(&line["run"])).collect())
}

/// The page's table, from the log in `folder`.
pub fn page(page: &mut String, folder: &Path) -> Result<(), String> {
    let text = std::fs::read_to_string(log(folder)).unwrap_or_default();
    let lines = text.lines().enumerate().map(|(at, line)| {
        serde_json::from_str(line).map_err(|error| format!("{}:{}: {error}", log(folder).display(), at + 1))
    });
    let lines: Vec<Value> = lines.collect::<Result<_, _>>()?;
    page.push_str(
        "Commits are synced, the public checks are all made, and the generator runs on the same machine; what each run checked and \
         what limited it stands in `node/faults/speed.jsonl`, with its machine. Median of the runs of one commit, least and most \
         in brackets (`scripts/speed`).\n\n| bench | figure | bar | seen | | runs |\n|---|---|---|---|---|---|\n",
    );
    for Measured { name, what, arguments, bars, .. } in MEASURED {
        let runs = last_runs(&lines, name);
        for Bar { figure, of, relative_to, limit } in *bars {
            let against = relative_to.map_or(Some(1.0), |other| Some(spread(&last_runs(&lines, other), *of)?.median));
            let (seen, verdict) = match spread(&runs, *of).zip(against).map(|(seen, against)| seen.over(against)) {
                None => ("–".to_owned(), "not measured"),
                Some(Spread { least, median, most }) => (
                    format!("{} ({}–{})", shown(median), shown(least), shown(most)),
                    if limit.holds(median) { "holds" } else { "**missed**" },
                ),
            };
            let runs = match runs.last() {
                None => "none".to_owned(),
                Some(last) => format!(
                    "{}, {}, commit {}",
                    runs.len(),
                    last["date"].as_str().unwrap_or_default(),
                    last["commit"].as_str().unwrap_or_default()
                ),
            };
            let arguments = arguments.join(" ");
            let _ = writeln!(
                page,
                "| {what}: `assay bench {arguments}` | {figure} | {} | {seen} | {verdict} | {runs} |",
                limit.text()
            );
        }
    }
    if let Some(last) = lines.last() {
        let machine = &last["run"]["machine"];
        let said = |name: &str| machine[name].as_str().unwrap_or("unknown").to_owned();
        let _ = writeln!(
            page,
            "\nThe machine of the last run: {}, {} cores, {}, kernel {}. Pictures: `node/faults/speed/`.",
            said("cpu"),
            machine["cores"],
            said("memory"),
            said("kernel")
        );
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn line(commit: &str, bench: &str, per_s: f64, cpu: f64) -> String {
        let run = json!({ "throughput_per_s": per_s, "cpu_us_per_item_per_validator": cpu });
        json!({ "date": "2026-11-28", "commit": commit, "bench": bench, "run": run }).to_string() + "\n"
    }

    #[test]
    fn the_page_shows_the_median_of_the_last_commit_and_names_what_is_missed_or_not_measured() {
        let folder = tempfile::tempdir().unwrap();
        let log = [
            line("a", "order", 90_000.0, 1.0),
            line("b", "order", 26_000.0, 17.0),
            line("b", "order", 24_000.0, 20.0),
            line("b", "order", 25_500.0, 10.0),
            line("b", "order-seven", 9_000.0, 18.7),
        ];
        std::fs::write(folder.path().join("speed.jsonl"), log.concat()).unwrap();
        let mut text = String::new();
        page(&mut text, folder.path()).unwrap();
        assert!(
            text.contains("| envelopes/s | ≥ 25000 | 25500 (24000–26000) | holds | 3, 2026-11-28, commit b |"),
            "{text}"
        );
        assert!(text.contains("| ≤ 16 | 17 (10–20) | **missed** |"), "{text}");
        assert!(text.contains("| ≤ 1.15 | 1.10 (1.10–1.10) | holds | 1, "), "the median of four's is 17: {text}");
        assert!(text.contains("| ≥ 4000 | – | not measured | none |"), "{text}");
        std::fs::write(folder.path().join("speed.jsonl"), "{\n").unwrap();
        assert!(page(&mut String::new(), folder.path()).unwrap_err().contains("speed.jsonl:1"));
    }

    #[test]
    fn what_is_logged_of_a_run_is_the_data_of_its_document() {
        use std::os::unix::fs::PermissionsExt as _;
        let folder = tempfile::tempdir().unwrap();
        let assay = folder.path().join("assay");
        let says = |document: Value| {
            std::fs::write(&assay, format!("#!/bin/sh\necho '{document}'\n")).unwrap();
            std::fs::set_permissions(&assay, std::fs::Permissions::from_mode(0o755)).unwrap();
            measure(&assay, MEASURED.iter().find(|one| one.name == "pay").unwrap(), None)
        };
        let run = json!({ "throughput_per_s": 7.0 });
        assert_eq!(says(json!({ "schema_version": 1, "data": run })), Ok(run));
        let nothing = says(json!({ "schema_version": 1, "data": {} })).unwrap_err();
        assert_eq!(nothing, "pay: its document does not say: payments/s confirmed");
    }

    #[test]
    fn of_an_even_number_of_runs_the_median_lies_between_the_two_in_the_middle() {
        assert_eq!(Spread::of(vec![]), None);
        let spread = Spread::of(vec![4.0, 1.0, 2.0, 9.0]);
        assert_eq!(spread, Some(Spread { least: 1.0, median: 3.0, most: 9.0 }));
    }
}
