//! `assay contract` offline: what people read, and what scripts rely on.

use crate::shared;

use serde_json::Value;
use shared::{Said, assay, golden};
use std::io::Write;
use std::path::Path;
use std::process::{Command, Stdio};

const POLICIES: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/../../contracts/policies");
const DATA: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/../../contracts/vm/tests/data");

fn policy(name: &str) -> String {
    format!("{POLICIES}/{name}.policy")
}

fn data(name: &str) -> String {
    format!("{DATA}/{name}.csv")
}

/// Must succeed.
fn text(arguments: &[&str]) -> String {
    let said = assay(arguments);
    assert_eq!(said.code, 0, "{said:?}");
    said.stdout
}

/// The document's data; must succeed.
fn document(arguments: &[&str]) -> Value {
    let said = assay(&[arguments, &["--json"]].concat());
    assert_eq!(said.code, 0, "{said:?}");
    said.document()["data"].clone()
}

/// With a policy on standard input.
fn assay_with(source: &str, arguments: &[&str]) -> Said {
    let mut child = Command::new(env!("CARGO_BIN_EXE_assay"))
        .args(arguments)
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .unwrap();
    child.stdin.take().unwrap().write_all(source.as_bytes()).unwrap();
    Said::of(child.wait_with_output().unwrap())
}

#[test]
fn a_back_test_says_what_it_read_each_period_each_change_and_what_banks_would_have_paid() {
    let (policy, data) = (policy("second-fall"), data("macrodata"));
    let arguments = ["contract", "backtest", &policy, "--data", &data, "--map", "us.gdp.real=realgdp"];
    golden("backtest-second-fall.txt", &text(&arguments));
    let folder = tempfile::tempdir().unwrap();
    let out = folder.path().to_str().unwrap();
    let found = document(&[&arguments[..], &["--out", out]].concat());
    let fires: Vec<&str> = found["report"]["rows"]
        .as_array()
        .unwrap()
        .iter()
        .filter(|row| row["verdicts"][0]["permit"] == true)
        .map(|row| row["period"].as_str().unwrap())
        .collect();
    assert_eq!(fires.len(), 10, "{fires:?}");
    assert_eq!((fires[0], fires[9]), ("1970Q1", "2009Q2"));
    // The file is what was hashed, and the document what is in the file.
    let report = std::fs::read(found["files"]["report"].as_str().unwrap()).unwrap();
    assert_eq!(serde_json::from_slice::<Value>(&report).unwrap(), found["report"]);
    assert_eq!(found["report_blake3"], blake3::hash(&report).to_string());
    let chart = std::fs::read_to_string(folder.path().join("second-fall-v1.svg")).unwrap();
    assert!(chart.starts_with("<svg ") && chart.contains("permitted in 10 of 160 periods"), "{chart:.400}");
}

#[test]
fn several_sectors_are_several_loans_and_a_span_is_a_part_of_the_table() {
    let (policy, data) = (policy("sector"), data("us-employment"));
    let map = ["--map", "us.ces.construction=construction"];
    let asked = ["contract", "backtest", &policy, "--data", &data, "--from", "2009", "--to", "2009-06"];
    let found = document(&[&asked[..], &map, &["--sector", "F41", "--sector", "C10"]].concat());
    let rows = found["report"]["rows"].as_array().unwrap();
    assert_eq!((rows.len(), &rows[0]["period"], &rows[5]["period"]), (6, &"2009-01".into(), &"2009-06".into()));
    for row in rows {
        assert_eq!(row["verdicts"][0]["permit"], true, "{row}");
        assert_eq!((&row["verdicts"][1]["permit"], &row["verdicts"][1]["reason"]), (&false.into(), &4.into()), "{row}");
    }
    let said = assay(&[&asked[..], &map, &["--json"]].concat());
    assert_eq!((said.code, said.error_code().as_str()), (2, "loan_unspecified"), "{said:?}");
}

#[test]
fn more_decimals_than_the_feed_has_are_refused_or_rounded_and_counted() {
    let policy = policy("second-fall");
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("gdp.csv");
    std::fs::write(&path, "period,us.gdp.real\n2000Q1,3.0005\n2000Q2,2\n2000Q3,1.000\n").unwrap();
    let arguments = ["contract", "backtest", &policy, "--data", path.to_str().unwrap()];
    let said = assay(&[&arguments[..], &["--json"]].concat());
    assert_eq!((said.code, said.error_code().as_str()), (3, "too_many_decimals"));
    let message = said.document()["errors"][0]["message"].as_str().unwrap().to_owned();
    assert_eq!(message, "B-9: column \"us.gdp.real\", 2000Q1: 3.0005 has 4 decimals, the feed has 3");
    let said = assay(&[&arguments[..], &["--round", "--json"]].concat());
    let document = said.document();
    assert_eq!(document["data"]["report"]["data"]["feeds"][0]["rounded"], 1);
    assert!(document["warnings"].as_array().unwrap().iter().any(|w| w.as_str().unwrap().starts_with("1 values of")));
    assert_eq!(document["data"]["report"]["rows"][2]["inputs"][2]["value"], "3.000", "half to even");
}

#[test]
fn every_condition_says_its_part_in_the_verdict() {
    let policy = policy("combined");
    let loan = ["contract", "simulate", &policy, "--at", "2026-06-30", "--sector", "A01", "--rate"];
    let feeds = ["--feed", "gdp=100,101,102,101.5,101", "--feed", "lpr=3.10"];
    golden("simulate-too-dear.txt", &text(&[&loan[..], &["4.30%"], &feeds].concat()));
    let found = document(&[&loan[..], &["3.60%"], &feeds].concat());
    assert_eq!(found["verdict"]["permit"], true, "50 bp above 3.10 %: {found}");
    let found = document(&[&loan[..], &["3.61%"], &feeds].concat());
    assert_eq!(found["verdict"]["reason"], 5, "one basis point too dear: {found}");
    // What is not given takes the declared branch: no output, no loan; no benchmark, its fallback.
    let found = document(&[&loan[..], &["3.60%"]].concat());
    assert_eq!((&found["verdict"]["reason"], &found["verdict"]["detail"]), (&10.into(), &0.into()), "{found}");
    let holds: Vec<&Value> = found["effective"].as_array().unwrap().iter().map(|line| &line["holds"]).collect();
    assert_eq!(holds, [&Value::Bool(true), &true.into(), &true.into(), &true.into(), &Value::Null]);
    assert_eq!(found["rate"], 40_000, "the clamp's upper end");
}

#[test]
fn the_parts_agree_with_the_verdict_of_every_example_policy() {
    for name in ["combined", "economic-state", "loan-rate", "second-fall", "sector", "time"] {
        let policy = policy(name);
        for (at, rate) in [("2026-03-03", "0.40%"), ("2026-07-04", "3.20%"), ("2009-06-01", "9%")] {
            let loan = ["contract", "simulate", &policy, "--at", at, "--sector", "F41", "--rate", rate];
            let found = document(&loan);
            let all =
                |part: &str, holds: bool| found[part].as_array().unwrap().iter().all(|line| line["holds"] == holds);
            let permits = all("effective", true) && all("denies", false);
            assert_eq!(found["verdict"]["permit"], permits, "{name} {at} {rate}: {found}");
            let decides = found["cases"].as_array().unwrap().iter().position(|line| line["holds"] != false);
            let by = decides.map_or("otherwise".to_owned(), |at| format!("line {}", at + 1));
            assert_eq!(found["decided_by"], by, "{name} {at} {rate}: {found}");
        }
    }
}

#[test]
fn a_text_that_is_no_policy_is_drawn_without_colours_where_nobody_looks() {
    let source = "policy \"x\" version 1\ncurrency CNY\neffective when\n    loan rate < 430\nidle after 1 day\n\
                  return rate\n    otherwise 2 %\n    clamp 0 % .. 4 %, step 1 bp\n";
    let said = assay_with(source, &["contract", "check", "-"]);
    assert_eq!(said.code, 3, "{said:?}");
    assert!(said.stdout.contains("430") && !said.stdout.contains('\u{1b}'), "{said:?}");
    assert!(said.stderr.contains("error: standard input is no policy, in one place [no_policy]"), "{said:?}");
    let said = assay_with(source, &["contract", "check", "-", "--json"]);
    let diagnostic = &said.document()["data"]["diagnostics"][0];
    assert_eq!(diagnostic["place"]["line"], 4, "{diagnostic}");
    assert!(diagnostic["number"].as_str().unwrap().starts_with("D-") && diagnostic["mend"].is_string());
    // Other commands name the place in one line.
    let said = assay_with(source, &["contract", "disasm", "-"]);
    assert!(said.code == 3 && said.stderr.contains("\n4:"), "{said:?}");
}

#[test]
fn a_defect_fails_the_check_and_a_warning_only_if_that_is_asked() {
    let never = "policy \"never\" version 1\ncurrency CNY\neffective when\n    time until 1970-01-01\nidle after 1 day\n\
                 return rate\n    otherwise 2 %\n    clamp 0 % .. 4 %, step 1 bp\n";
    let said = assay_with(never, &["contract", "check", "-", "--json"]);
    let document = said.document();
    assert_eq!(document["data"]["is_policy"], true, "{document}");
    let worst = |severity| document["data"]["findings"].as_array().unwrap().iter().any(|f| f["severity"] == severity);
    assert_eq!(said.code, if worst("defect") { 3 } else { 0 }, "{document}");
    assert!(worst("defect"), "it can never take effect: {document}");
    assert_eq!(document["errors"][0]["code"], "policy_findings");
    assert_eq!(assay(&["contract", "check", &policy("second-fall"), "--strict"]).code, 0);
}

#[test]
fn explanations_come_in_both_languages_and_canonical_text_alone() {
    let policy = policy("second-fall");
    let english = text(&["contract", "explain", &policy]);
    let chinese = text(&["contract", "explain", &policy, "--lang", "zh"]);
    assert!(english.starts_with("Policy \"second-fall\"") && chinese.starts_with("政策“second-fall”"));
    let canonical = text(&["contract", "check", &policy, "--canonical"]);
    let again = assay_with(&canonical, &["contract", "check", "-", "--json"]);
    assert_eq!(again.document()["data"]["is_canonical"], true);
}

#[test]
fn a_difference_is_said_in_words_in_the_policy_and_in_what_runs() {
    let old = policy("combined");
    let folder = tempfile::tempdir().unwrap();
    let changed = |version: &str| {
        let path = folder.path().join(format!("{version}.policy"));
        let source = std::fs::read_to_string(&old).unwrap();
        let source = source.replace("version 3", &format!("version {version}")).replace("lpr + 50 bp", "lpr + 60 bp");
        std::fs::write(&path, source).unwrap();
        path.to_str().unwrap().to_owned()
    };
    golden("diff-dearer.txt", &text(&["contract", "diff", &old, &changed("4")]));
    let said = assay(&["contract", "diff", &old, &changed("3"), "--json"]);
    let warning = said.document()["warnings"][0].as_str().unwrap_or_default().to_owned();
    assert!(warning.contains("does not supersede 3"), "{said:?}");
    assert_eq!(document(&["contract", "diff", &old, &old])["same"], true);
}

#[test]
fn flags_make_a_policy_and_a_file_is_never_overwritten() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("lean.policy");
    let mut arguments = vec!["contract", "new", "--name", "lean", "--currency", "CNY", "--idle-days", "90"];
    arguments.extend([
        "--feed",
        "gdp = \"cn.gdp\" quarterly index scale 1, at most 200 days old, first vintage, when stale deny",
    ]);
    arguments.extend(["--when", "gdp falls 2 quarters in a row", "--case", "gdp falls 3 quarters in a row : 0.25 %"]);
    arguments.extend(["--otherwise", "0.50 %", "--lowest", "0.25 %", "--highest", "2.00 %", "--out"]);
    arguments.push(path.to_str().unwrap());
    let found = document(&arguments);
    let kept = std::fs::read_to_string(&path).unwrap();
    assert_eq!(found["policy"], kept);
    assert!(found["command"].as_str().unwrap().contains("--when 'gdp falls 2 quarters in a row'"));
    assert_eq!(text(&["contract", "check", path.to_str().unwrap(), "--canonical"]), kept);
    let said = assay(&arguments);
    assert_eq!(said.code, 1, "{said:?}");
    assert_eq!(std::fs::read_to_string(Path::new(&path)).unwrap(), kept);
    let said = assay(&["contract", "new", "--name", "lean", "--json"]);
    assert!(said.document()["errors"][0]["message"].as_str().unwrap().contains("--currency, --when"), "{said:?}");
}
