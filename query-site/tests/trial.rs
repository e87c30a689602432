//! A policy tried out on the site: the language's own words, the command line's own replay, and what a stranger's text costs.

use crate::support;

use assay_site::trial::history::{EXAMPLES, HISTORIES};
use assay_site::trial::{Asked, BODY_BYTES_MAX, FUEL_MAX, PERIODS_MAX, try_out};
use axum::http::StatusCode;
use contracts_backtest::{Loan, Mapping, Plan, Rounding, Table};
use contracts_vm::{Language, SectorCode};
use serde_json::{Value, json};
use std::time::{Duration, Instant};
use support::fixture;

const PATH: &str = "/v1/contracts/try";
const SECOND_FALL: &str = include_str!("../../contracts/policies/second-fall.policy");
const COMBINED: &str = include_str!("../../contracts/policies/combined.policy");
const MACRO: &[u8] = include_bytes!("../../contracts/vm/tests/data/macrodata.csv");

#[tokio::test]
async fn the_first_example_is_explained_and_replayed_over_fifty_years_in_both_languages() {
    let fixture = fixture().await;
    let page = fixture.get("/en/contracts/try").await;
    page.has("This is a policy").has("Cheap credit from the second consecutive quarter");
    page.has("The money may be lent only when all of these hold:").has("gdp falls 2 quarters in a row");
    page.has("203 periods were replayed, from 1959Q1 to 2009Q3. A loan was permitted in 10 of them.");
    page.has("<svg role=\"img\"").has("Back-test of second-fall version 1, 1959Q1 to 2009Q3");
    // The counterfactual, and the day on which the fall of 1974Q4 was known.
    page.has("<th scope=\"row\">1974</th><td>0.50 % to 2.00 %, 1.625 % on average</td><td>1974Q4</td>");
    page.has("<td>1975-01-01</td><td>1974Q4</td><td>state of the economy (line 1) → permitted</td>");
    page.has("macrodata.csv of statsmodels 0.15.0").has("deny_unless");
    let page = fixture.get("/zh/contracts/try").await;
    page.has("这是一份政策").has("仅当下列条件全部成立时，资金方可贷出：").has("其中 10 期允许放贷。");
    page.has("second-fall 第1版的回测：1959Q1 至 2009Q3").has_not("A loan is permitted in");
}

#[tokio::test]
async fn every_example_says_what_it_is_to_show() {
    let fixture = fixture().await;
    for (name, said) in [
        ("economic-state", "A loan was permitted in"),
        ("loan-rate", "cn.lpr.1y"),
        ("sector", "us-employment.csv of vega-datasets"),
        ("time", "permitted"),
        ("combined", "permitted → window over (line 1)"),
        ("mistakes", "This is no policy"),
    ] {
        let page = fixture.get(&format!("/en/contracts/try?example={name}")).await;
        assert_eq!(page.status, StatusCode::OK, "{name}");
        page.has(said).has("aria-current=\"true\"").has_not("It was not replayed");
    }
    assert_eq!(EXAMPLES.len(), 7);
    // One that there is not is the first.
    fixture.get("/en/contracts/try?example=nothing").await.has("second-fall version 1");
}

#[tokio::test]
async fn what_stands_in_the_way_is_told_with_number_place_cause_and_mend() {
    let fixture = fixture().await;
    let page = fixture.get("/en/contracts/try?example=mistakes").await;
    page.has("Mend D-19</strong> · line 7, column 15 · Periods that are not the feed&#39;s own.");
    page.has("Mend D-14").has("Mend D-24").has("<mark>").has("lang=\"en\"");
    let page = fixture.get("/zh/contracts/try?example=mistakes").await;
    page.has("这不是一份政策").has("须修改 D-19</strong> · 第 7 行，第 15 列 · 期数单位与数据源的频率不符。");
    let answer = fixture.post(PATH, json!({ "policy": EXAMPLES[6].policy }).to_string()).await.json();
    assert_eq!((answer["is_policy"].as_bool(), answer["policy"].is_null()), (Some(false), true));
    let first = &answer["diagnostics"][0];
    assert_eq!(
        (first["rule"].as_str(), first["line"].as_u64(), first["column"].as_u64()),
        (Some("D-19"), Some(7), Some(15))
    );
    // A text of nothing but faults is told of in part, and counted whole.
    let page = fixture.form("/en/contracts/try", &[("policy", &"@\n".repeat(900))]).await;
    page.has("more come after these.");
    assert_eq!(page.body.matches("<li class=\"remark").count(), 40);
    let answer = fixture.post(PATH, json!({ "policy": "@\n".repeat(900) }).to_string()).await.json();
    assert_eq!(answer["diagnostics"].as_array().unwrap().len(), 100);
    assert!(answer["diagnostics_in_all"].as_u64().unwrap() >= 900);
}

#[tokio::test]
async fn the_sites_replay_is_the_command_lines_to_the_byte() {
    let fixture = fixture().await;
    let question = json!({ "policy": COMBINED, "sector": "C10", "rate": "6.00", "years_later": 52, "from": "1970" });
    let answer = fixture.post(PATH, question.to_string()).await.json();
    let policy = contracts_vm::check(COMBINED).unwrap().policy;
    let table = Table::read(MACRO).unwrap();
    let mapping: Mapping =
        [("cn.gdp.real", "realgdp"), ("cn.lpr.1y", "tbilrate")].map(|(a, b)| (a.to_owned(), b.to_owned())).into();
    let (series, sources) = table.series(&policy, &mapping, Rounding::Refuse).unwrap();
    let loan = Loan { sector: SectorCode::parse("C10"), rate: Some(60_000), term_days: None };
    let from = Some(contracts_backtest::period_at("1970", table.frequency, false).unwrap());
    let plan = Plan { loans: vec![loan], from, years_later: 52, ..Plan::default() };
    let periods = (table.frequency, &table.periods[..]);
    let replay =
        contracts_backtest::replay(&policy, &policy.compile(), periods, &series, &plan, &mut |_, _| ()).unwrap();
    let report = contracts_backtest::report(&policy, &table, &sources, Rounding::Refuse, &plan, &replay);
    let shown = &answer["replay"];
    assert_eq!(shown["report_blake3"], hex::encode(report.blake3));
    assert_eq!(shown["chart"], contracts_backtest::chart(&policy, &series, &replay));
    for (shown, row) in shown["periods"].as_array().unwrap().iter().zip(report.document["rows"].as_array().unwrap()) {
        assert_eq!((&shown["period"], &shown["rate"]), (&row["period"], &row["rate"]));
        assert_eq!(shown["permitted"], row["verdicts"][0]["permit"]);
    }
    let package = contracts_vm::Package::of(COMBINED).unwrap();
    assert_eq!(answer["policy"]["bytes"], hex::encode(package.program.to_bytes()));
    assert_eq!(
        (&answer["policy"]["english"], &answer["policy"]["chinese"]),
        (&json!(package.english), &json!(package.chinese))
    );
    // The page says the same hash.
    let fields = [("policy", COMBINED), ("sector", "C10"), ("rate", "6.00"), ("years_later", "52"), ("from", "1970")];
    fixture.form("/en/contracts/try", &fields).await.has(&hex::encode(report.blake3));
}

#[tokio::test]
async fn what_is_missing_or_no_value_is_named_and_the_form_keeps_what_was_typed() {
    let fixture = fixture().await;
    let try_it = async |fields: &[(&str, &str)]| fixture.form("/en/contracts/try", fields).await;
    let page = try_it(&[("policy", COMBINED)]).await;
    page.has("It was not replayed").has("fill in the borrower&#39;s sector, or the loan rate").has("B-13");
    page.has("What it will do");
    for (name, value, label) in [
        ("sector", "Z99", "Borrower&#39;s sector (ISIC)"),
        ("rate", "4,3", "Loan rate in percent a year"),
        ("term_days", "-1", "Loan term in days"),
        ("lag_days", "65536", "Days until a value is published"),
        ("years_later", "7001", "Years later"),
        ("from", "yesterday", "From"),
        ("to", "1974Q5", "To"),
    ] {
        let page = try_it(&[("policy", SECOND_FALL), (name, value)]).await;
        page.has(&format!("“{label}” holds no value that can be read.")).has("aria-invalid=\"true\"");
        page.has(&format!("value=\"{value}\"")).has("Cheap credit from the second");
    }
    try_it(&[("policy", SECOND_FALL), ("history", "mars")]).await.has("“History” holds no value");
    try_it(&[("policy", SECOND_FALL), ("column.us.gdp.real", "nothing")]).await.has("B-7");
    // Another column is another replay.
    let page = try_it(&[("policy", SECOND_FALL), ("column.us.gdp.real", "cpi")]).await;
    page.has("<td><code class=\"mono\">cpi</code></td>").has("<option value=\"cpi\" selected>");
    let unknown = SECOND_FALL.replace("us.gdp.real", "xx.nothing");
    let page = try_it(&[("policy", &unknown)]).await;
    page.has("Column for xx.nothing").has("A series has no column in this history");
    // A browser ends lines with two characters; places and text are those of the text that was meant.
    let page = try_it(&[("policy", &SECOND_FALL.replace('\n', "\r\n"))]).await;
    page.has("This is a policy").has_not("\r");
}

#[tokio::test]
async fn a_body_beyond_sixteen_kibibytes_is_not_read() {
    let fixture = fixture().await;
    // As it travels: each of these characters in three.
    let page = fixture.form("/en/contracts/try", &[("policy", &"#".repeat(BODY_BYTES_MAX / 3))]).await;
    assert_eq!(page.status, StatusCode::PAYLOAD_TOO_LARGE);
    page.has("That is too long").has("Nothing was read.");
    let answer = fixture.post(PATH, " ".repeat(BODY_BYTES_MAX + 1)).await;
    assert_eq!(
        (answer.status, answer.json()["code"].as_str()),
        (StatusCode::PAYLOAD_TOO_LARGE, Some("body_too_large"))
    );
    // A source that the language refuses for its length still fits, and is told so.
    let answer = fixture.post(PATH, json!({ "policy": "#".repeat(9_000) }).to_string()).await.json();
    assert_eq!(answer["diagnostics"][0]["rule"], "D-4");
    assert_eq!(fixture.post(PATH, "{}").await.json()["code"], "bad_body");
    assert_eq!(fixture.post(PATH, r#"{"policy": "", "polcy": ""}"#).await.json()["code"], "bad_body");
}

#[test]
fn the_histories_are_as_long_as_the_bound_of_a_run_says() {
    let longest = HISTORIES.iter().map(|history| history.table.periods.len()).max();
    assert_eq!(longest, Some(PERIODS_MAX));
    assert_eq!(FUEL_MAX, 203 * 2 * 10_000);
}

/// As dear as 8 KiB can be: eight feeds over the longest windows, lines that are evaluated to the last, and as many ways
/// for the analysis to look at as it looks at.
fn dearest() -> Vec<String> {
    let feeds: String = (0..8)
        .map(|at| {
            format!("feed f{at} = \"x.f{at}\" daily index scale 3, at most 9000 days old, first vintage, when stale use 1.000 points\n")
        })
        .collect();
    let head = format!("policy \"dear\" version 1\ncurrency USD\n{feeds}effective when\n");
    let tail = "idle after 1 days\nreturn rate\n";
    let end = "clamp 0.00 % .. 9.00 %, step 1 bp\n";
    let windows = |lines: usize| {
        let line = |at: usize| {
            format!("average of f{} over 64 days + highest of f{} over 63 days > -{at} points\n", at % 8, (at + 1) % 8)
        };
        (1..=lines).map(line).collect::<String>()
    };
    let cases = |count: usize| {
        let case = |at: usize| {
            format!(
                "when f{} falls {} days in a row and f{} rises 63 days in a row: {at} bp + 0 %\n",
                at % 8,
                63 - at / 8,
                (at + 3) % 8
            )
        };
        (0..count).map(case).collect::<String>()
    };
    // As many readings as the fuel of one evaluation buys: 13 lines of 10 means over 64 days.
    let means = |line: &dyn Fn(usize) -> String| {
        let mean = |at: usize| format!("average of f{} over 64 days>{at} points", at % 8);
        let row = |at: usize| (0..10).map(|n| mean(at * 10 + n)).collect::<Vec<_>>().join(" or ");
        (0..13).map(|at| line(at).replace("MEANS", &row(at))).collect::<String>()
    };
    // Sixteen comparisons of their own on two sides each: 65 536 rows, and everything else repeats them.
    let ways = |lines: usize| {
        let one = |at: usize| format!("f{} {} > 1 points", at % 8, if at < 8 { "1 days ago" } else { "2 days ago" });
        let row = (0..16).map(one).collect::<Vec<_>>().join(" or ");
        format!("{row}\n").repeat(lines)
    };
    vec![
        format!("{head}{}{tail}{}otherwise 1.00 %\n{end}", windows(24), cases(15)),
        format!("{head}{}{tail}otherwise 1.00 %\n{end}", ways(12)),
        format!("{head}{}{tail}{}otherwise 1.00 %\n{end}", ways(4), cases(15)),
        format!("{head}{}{tail}otherwise 1.00 %\n{end}", means(&|_| "MEANS\n".into())),
        format!(
            "{head}f0>-1 points\n{tail}{}otherwise 1.00 %\n{end}",
            means(&|at| format!("when not(MEANS):{at} bp in percent\n"))
        ),
    ]
}

#[test]
fn the_dearest_text_costs_no_more_than_was_said_before_it_ran() {
    let all_to = |column: &str| (0..8).map(|at| (format!("x.f{at}"), column.to_owned())).collect();
    for policy in dearest() {
        assert!(policy.len() <= contracts_vm::SOURCE_BYTES_MAX, "{}", policy.len());
        let asked = Asked { policy, columns: all_to("realgdp"), years_later: "400".into(), ..Asked::default() };
        let begun = Instant::now();
        let trial = try_out(asked, Language::English);
        let took = begun.elapsed();
        let tried = trial.answer.unwrap_or_else(|wrong| panic!("{:?}", &wrong[0]));
        let replayed = tried.replayed.unwrap_or_else(|why| panic!("{why:?}"));
        assert_eq!(replayed.replay.rows.len(), PERIODS_MAX);
        println!("{} fuel at most, {} in all, {took:?}", tried.package.program.fuel(), replayed.fuel());
        assert!(replayed.fuel() <= FUEL_MAX, "{}", replayed.fuel());
        assert!(took < Duration::from_secs(5), "{took:?}");
    }
}

#[tokio::test]
async fn the_twins_answer_has_what_the_page_shows() {
    let fixture = fixture().await;
    let question = json!({ "policy": SECOND_FALL, "years_later": 400 });
    let answer = fixture.post(PATH, question.to_string()).await.json();
    let replay = &answer["replay"];
    let permitted: Vec<&str> = replay["periods"]
        .as_array()
        .unwrap()
        .iter()
        .filter(|row| row["permitted"] == true)
        .map(|row| row["period"].as_str().unwrap())
        .collect();
    let falls = ["1970Q1", "1974Q4", "1975Q1", "1980Q3", "1982Q1", "1990Q4", "1991Q1", "2008Q4", "2009Q1", "2009Q2"];
    assert_eq!(permitted, falls);
    assert_eq!(
        answer["findings"].as_array().unwrap().iter().map(|found| &found["rule"]).collect::<Vec<&Value>>().len(),
        3
    );
    let page = fixture.get("/en/contracts/try").await;
    for found in answer["findings"].as_array().unwrap() {
        page.has(found["rule"].as_str().unwrap());
    }
    page.has(replay["report_blake3"].as_str().unwrap());
    let not = fixture.post(PATH, json!({ "policy": COMBINED }).to_string()).await.json();
    assert_eq!(not["not_replayed"]["code"], "loan_unspecified");
    let not = fixture.post(PATH, json!({ "policy": SECOND_FALL, "sector": "Z" }).to_string()).await.json();
    assert_eq!(not["not_replayed"]["code"], "bad_field");
}
