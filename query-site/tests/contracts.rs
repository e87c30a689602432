//! Contracts, feeds and loans: shown as the map and the log have them, and each lie about them named.

use crate::support;

use axum::http::StatusCode;
use support::{Fixture, Manner, contracts, fixture};

fn loan(fixture: &Fixture) -> String {
    contracts::returned(&fixture.observer.registry.lock().unwrap()).to_string()
}

#[tokio::test]
async fn the_list_has_every_contract_with_its_state_in_both_languages() {
    let fixture = fixture().await;
    let page = fixture.get("/en/contracts").await;
    for (name, state) in [("bridge", "In force"), ("harvest", "Stopped"), ("later", "In notice"), ("spring", "Retired")]
    {
        page.has(&format!(">{name}</a>")).has(&format!("<td>{state}</td>"));
    }
    // What it is called the package says, whose hash is proved.
    page.has_not("what an observer calls it").has("href=\"/en/contracts/1\"").has("/en/contracts/try");
    fixture
        .get("/zh/contracts")
        .await
        .has("<td>生效中</td>")
        .has("<td>已停止</td>")
        .has("<td>公告期</td>")
        .has("<td>已终止</td>");
    let listed = fixture.get("/v1/contracts").await.json();
    assert_eq!((&listed["count"], &listed["contracts"][0]["version_in_force"]), (&4.into(), &2.into()));
}

#[tokio::test]
async fn a_contract_shows_its_source_both_explanations_its_life_and_what_it_would_do_now() {
    let fixture = fixture().await;
    let page = fixture.get("/en/contracts/1").await;
    page.has("<h2>In force</h2>").has("lpr - 100 bp").has("policy &#34;bridge&#34; version 2");
    page.has("Version 2 judges loans, since height 7.")
        .has("Superseded")
        .has(&hex::encode(contracts::bridge_report(2)));
    // C10 at 4.30 % for a year: the rate is within 150 bp of a benchmark around 3.5 %.
    page.has("Permitted: the loan falls due 395 days after it is made").has("cn.lpr.1y").has("cn.gdp.real");
    page.has("0.50 %").has("Deployed").has(&contracts::owed().to_string()).has(&loan(&fixture));
    let refused = fixture.get("/en/contracts/1?sector=K64&rate=4.30&term_days=365").await;
    refused.has("Denied: sector (line 2)");
    fixture.get("/en/contracts/1?sector=C10&rate=9.00&term_days=365").await.has("Denied: loan rate (line 3)");
    fixture.get("/en/contracts/1?sector=Ü&rate=a&term_days=-1").await.has("A field holds no value").has("aria-invalid");
    let chinese = fixture.get("/zh/contracts/1").await;
    chinese.has("<h2>生效中</h2>").has("允许：放贷后 395 天到期");
    fixture.get("/en/contracts/2").await.has("<h2>Stopped</h2>").has("no loan is made under it");
    fixture.get("/en/contracts/3").await.has("<h2>In notice</h2>");
    fixture.get("/en/contracts/4").await.has("<h2>Retired</h2>").has("Retired at height 8");
    for path in ["/en/contracts/99", "/en/contracts/x", "/en/contracts/try?contract=99"] {
        let page = fixture.get(path).await;
        assert_eq!(page.status, StatusCode::NOT_FOUND, "{path}");
        page.has("There is no such contract");
    }
    let answer = fixture.get("/v1/contracts/1").await.json();
    assert_eq!(
        (answer["versions"][1]["binds_at"].as_u64(), answer["receipts"].as_array().unwrap().len()),
        (Some(7), 2)
    );
}

#[tokio::test]
async fn a_feed_shows_every_vintage_and_says_when_its_newest_value_is_too_old() {
    let fixture = fixture().await;
    fixture.get("/en/feeds").await.has("cn.lpr.1y").has("cn.gdp.real").has("2023-10").has("monthly").has("2 of 3 sign");
    let page = fixture.get("/en/feeds/cn.lpr.1y").await;
    page.has("<svg class=\"chart\"").has("It may be read until").has("revised").has("Older values");
    page.has_not("as the observer writes it").has("data-check=\"value\">3.40<");
    fixture.get("/en/feeds/cn.lpr.1y?before=24246").await.has("2020-01").has("To the newest").has_not("Older values");
    fixture.later(300 * 86_400_000);
    {
        // A block of that later time.
        let mut registry = fixture.observer.registry.lock().unwrap();
        registry.confirm(300 * 86_400, &[]);
    }
    fixture.observer.cosigned_at_s.fetch_add(300 * 86_400, std::sync::atomic::Ordering::Relaxed);
    fixture.site.ledger().look().await;
    fixture.get("/en/feeds/cn.lpr.1y").await.has("no contract reads it now").has("too old");
    fixture.get("/en/contracts/1").await.has("Denied: no value of cn.lpr.1y that is new enough").has("too old");
    let answer = fixture.get("/v1/feeds/cn.gdp.real").await.json();
    assert_eq!((answer["scale"].as_u64(), answer["items"].as_array().unwrap().len()), (Some(1), 17));
}

#[tokio::test]
async fn a_receipt_is_computed_again_and_an_open_loan_says_when_it_falls_due() {
    let fixture = fixture().await;
    let page = fixture.get(&format!("/en/loans/{}", loan(&fixture))).await;
    page.has("Computed again here from the policy and these figures: the same rate, 0.50 %")
        .has("data-check=\"rate\">0.50 %<");
    let answer = fixture.get(&format!("/v1/receipts/{}", loan(&fixture))).await.json();
    assert_eq!(answer["computed"]["rate"], answer["rate"]);
    assert_eq!(answer["computed"]["same_inputs"], true);
    fixture.get(&format!("/zh/loans/{}", contracts::owed())).await.has("尚未归还").has("到期");
    assert_eq!(fixture.get(&format!("/v1/receipts/{}", contracts::owed())).await.status, StatusCode::NOT_FOUND);
    let nothing = fixture.get(&format!("/en/loans/{}", "77".repeat(32))).await;
    assert_eq!(nothing.status, StatusCode::NOT_FOUND);
    let found = fixture.get(&format!("/en/search?q={}", loan(&fixture))).await;
    assert_eq!(found.header("location"), format!("/en/loans/{}", loan(&fixture)));
}

#[tokio::test]
async fn each_lie_about_a_contract_a_feed_or_a_receipt_is_named_and_nothing_is_shown_of_it() {
    for (manner, path, name) in [
        (Manner::OtherSource, "contracts/1", "wrong record"),
        (Manner::OtherValue, "contracts/1", "wrong record"),
        (Manner::OtherValue, "feeds/cn.lpr.1y", "wrong record"),
        (Manner::OtherRate, "loan", "leaf not logged"),
        (Manner::EntryLeftOut, "contracts/1", "other coin"),
        (Manner::EntryLeftOut, "contracts", "other coin"),
        (Manner::EntryLeftOut, "feeds/cn.lpr.1y", "other coin"),
        (Manner::SaysLess, "contracts", "entry omitted"),
        (Manner::SaysLess, "contracts/1", "entry omitted"),
        (Manner::SaysLess, "feeds", "entry omitted"),
        (Manner::SaysLess, "feeds/cn.lpr.1y", "entry omitted"),
        (Manner::KnowsNothing, "contracts/1", "entry omitted"),
        (Manner::KnowsNothing, "feeds/cn.lpr.1y", "entry omitted"),
        (Manner::KnowsNothing, "loan", "entry omitted"),
        (Manner::FewSigners, "contracts/1", "not enough power"),
        (Manner::ForgedSigner, "feeds", "forged signer"),
        (Manner::NoLogSignature, "loan", "missing log signature"),
    ] {
        let fixture = fixture().await;
        fixture.observer.behaves(manner);
        let (page, document) = match path {
            "loan" => (format!("loans/{}", loan(&fixture)), format!("receipts/{}", loan(&fixture))),
            path => (path.to_owned(), path.to_owned()),
        };
        let shown = fixture.get(&format!("/en/{page}")).await;
        assert_eq!(shown.status, StatusCode::BAD_GATEWAY, "{manner:?} {path}");
        shown.has(name).has("note-bad").has_not("data-verify");
        let answer = fixture.get(&format!("/v1/{document}")).await;
        let code = name.replace(' ', "_");
        assert_eq!((answer.status, answer.json()["help"].as_str()), (StatusCode::BAD_GATEWAY, Some(code.as_str())));
    }
}

#[tokio::test]
async fn a_deployed_policy_is_tried_out_and_its_report_compared() {
    let fixture = fixture().await;
    let page = fixture.get("/en/contracts/try?contract=1").await;
    page.has("The source of contract 1").has("policy &#34;bridge&#34; version 2").has("name=\"contract\" value=\"1\"");
    let policy = contracts::bridge(2);
    let asked = |rate| {
        let years = "52";
        [
            ("policy", policy.as_str()),
            ("contract", "1"),
            ("sector", "C10"),
            ("rate", rate),
            ("rounds", "1"),
            ("years_later", years),
        ]
    };
    let page = fixture.form("/en/contracts/try", &asked("4.30")).await;
    page.has("Contract 1 was deployed with another report").has(&hex::encode(contracts::bridge_report(2)));
    let page = fixture.form("/en/contracts/try", &asked("6.00")).await;
    page.has("This is the report that contract 1 was deployed with");
}

#[tokio::test]
async fn a_contract_shows_what_it_would_have_done_from_the_report_that_its_deployment_names_and_serves_its_bytes() {
    let fixture = fixture().await;
    let page = fixture.get("/en/contracts/1").await;
    page.has("data-verify=\"report\" data-contract=\"1\" data-version=\"2\"");
    page.has("<figure class=\"chart-frame backtest\"")
        .has("bridge version 2: rate on return")
        .has("tr data-year=\"1974\"");
    page.has("tr data-year=\"1980\"")
        .has("tr data-year=\"2008\"")
        .has("data-check=\"average\"")
        .has("<tr data-change>");
    page.has("Loan rate in percent a year: 6.00")
        .has("United States, quarters 1959 to 2009")
        .has("<code class=\"mono\">tbilrate");
    page.has_not("gives it. So no chart is shown");
    let chinese = fixture.get("/zh/contracts/1").await;
    chinese.has("它当时会怎样做").has("归还利率；绿色为允许放贷的时期").has("data-check=\"verdict\">");

    for version in [1, 2] {
        let report = fixture.get(&format!("/v1/contracts/1/versions/{version}/report")).await;
        assert_eq!(report.header("content-type"), "application/json");
        assert_eq!(*blake3::hash(report.body.as_bytes()).as_bytes(), contracts::bridge_report(version));
        assert_eq!(report.json()["policy"]["version"], version);
    }
}

#[tokio::test]
async fn a_report_that_no_table_of_the_site_gives_is_said_to_be_none_and_the_try_out_page_is_offered() {
    let fixture = fixture().await;
    for (number, sentence) in
        [(4, "no table and question that this site has gives it"), (2, "without a back-test's report")]
    {
        let page = fixture.get(&format!("/en/contracts/{number}")).await;
        page.has(&sentence.replace('\'', "&#39;")).has(&format!("/en/contracts/try?contract={number}"));
        page.has_not("data-verify=\"report\"").has_not("<figure");
    }
    fixture.get("/zh/contracts/4").await.has("都得不出它");
    for path in ["4/versions/1", "2/versions/1", "1/versions/3", "1/versions/0", "99/versions/1"] {
        let answer = fixture.get(&format!("/v1/contracts/{path}/report")).await;
        assert_eq!(
            (answer.status, answer.json()["code"].as_str()),
            (StatusCode::NOT_FOUND, Some("not_found")),
            "{path}"
        );
    }
    for path in ["1/versions/x", "x/versions/1", "1/versions/-1"] {
        let answer = fixture.get(&format!("/v1/contracts/{path}/report")).await;
        assert_eq!(
            (answer.status, answer.json()["code"].as_str()),
            (StatusCode::BAD_REQUEST, Some("bad_path")),
            "{path}"
        );
    }
    // Whose source the observer lies about has no report either.
    fixture.observer.behaves(Manner::OtherSource);
    let answer = fixture.get("/v1/contracts/3/versions/1/report").await;
    assert_eq!((answer.status, answer.json()["help"].as_str()), (StatusCode::BAD_GATEWAY, Some("wrong_record")));
}

#[tokio::test]
async fn hostile_texts_in_what_was_deployed_and_in_what_is_asked_stay_text() {
    let hostile = "<img src=x onerror=alert(1)>\"'</pre><script>alert(1)</script>{0}";
    let mut registry = support::registry();
    contracts::deploy_text(&mut registry, 5, hostile);
    registry.confirm(10, &[]);
    let fixture = support::fixture_over(&[support::Observer::start(registry).await], |_| {}).await;
    let encoded: String = hostile.bytes().map(|byte| format!("%{byte:02X}")).collect();
    for path in [
        "/contracts/5".to_owned(),
        "/contracts".into(),
        "/contracts/try?contract=5".into(),
        format!("/contracts/1?sector={encoded}&rate={encoded}&term_days={encoded}"),
        format!("/contracts/{encoded}"),
        format!("/contracts/try?contract={encoded}"),
        format!("/feeds/{encoded}"),
        format!("/feeds/cn.lpr.1y?before={encoded}"),
        format!("/loans/{encoded}"),
    ] {
        for language in ["en", "zh"] {
            let page = fixture.get(&format!("/{language}{path}")).await;
            assert!(!page.status.is_server_error(), "{path}: {}", page.status);
            page.has_not("<img").has_not("<script>").has_not("</pre><script");
        }
    }
    fixture.get("/en/contracts/5").await.has("&#60;img src=x onerror=alert(1)&#62;");
}
