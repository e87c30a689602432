//! Every page in both languages, every status of a coin, every refusal.

use crate::support;

use assay_site::language::Language;
use axum::body::Body;
use axum::http::{Request, StatusCode};
use support::{Manner, Observer, every_page, fixture, fixture_over, registry};

#[tokio::test]
async fn every_page_is_whole_in_both_languages_without_a_script_a_style_or_a_cookie_of_its_own() {
    let fixture = fixture().await;
    for language in Language::ALL {
        for path in every_page(&fixture) {
            let page = fixture.get(&format!("/{}{path}", language.code())).await;
            assert!(!page.status.is_server_error(), "{path}: {}", page.status);
            assert_eq!(page.header("content-type"), "text/html; charset=utf-8", "{path}");
            page.has(&format!("<html lang=\"{}\">", language.tag()))
                .has("</html>")
                .has("<main id=\"main\"")
                .has("class=\"skip\"");
            // A key that is missing shows as a dash alone.
            page.has_not(">—<")
                .has_not("{0}")
                .has_not("{1}")
                .has_not("style=")
                .has_not("onclick")
                .has_not("javascript:");
            assert_eq!(
                page.body.matches("<script").count(),
                page.body.matches("<script type=\"module\" src=\"/assets/").count()
            );
            assert_eq!(page.header("set-cookie"), "", "{path}");
            assert_eq!(page.body.matches("<h1").count(), 1, "{path}");
            // A replay of fifty years brings its picture, and when it is tried out every day on which something changed.
            let most = match path.as_str() {
                tried if tried.starts_with("/contracts/try") => 70_000,
                deployed if deployed.starts_with("/contracts/1") => 60_000,
                _ => 45_000,
            };
            assert!(page.body.len() < most, "{path} has {} bytes", page.body.len());
        }
    }
}

#[tokio::test]
async fn a_coin_is_said_in_words_whatever_its_status() {
    let fixture = fixture().await;
    for (number, english, chinese) in [
        (1, "Spent", "已花费"),
        (4, "Genuine and unspent", "真实有效，尚未花费"),
        (5, "Frozen", "已冻结"),
        (6, "Under dispute: do not accept", "存在争议：请勿接收"),
        (99, "Not registered", "未登记"),
    ] {
        let coin = fixture.coin(number);
        for (language, words) in [("en", english), ("zh", chinese)] {
            let page = fixture.get(&format!("/{language}/coin/{coin}")).await;
            assert_eq!(page.status, StatusCode::OK);
            page.has(&format!("<h2>{words}</h2>")).has(&coin);
        }
    }
    let live = fixture.get(&format!("/en/coin/{}", fixture.coin(4))).await;
    live.has("Identity hidden.").has("Yours? Check here.").has("Someone else&#39;s? Ask them to prove it.");
    live.has("4 of 4 validators").has("m = 3 records").has("<svg class=\"qr\"").has(&fixture.coin(4).to_uppercase());
    fixture.get(&format!("/en/coin/{}", fixture.coin(6))).await.has("Check 15 of the payment that made it");
    fixture.get(&format!("/en/coin/{}", fixture.coin(2))).await.has("Issued with the genesis");
    fixture
        .get(&format!("/en/coin/{}", fixture.coin(1)))
        .await
        .has("a spent coin belongs to nobody")
        .has_not("Identity hidden");
}

#[tokio::test]
async fn what_an_observer_says_beside_its_proof_is_not_believed() {
    let fixture = fixture().await;
    // It says "live" of every coin, and a supply of 9,999,999.99.
    fixture.get(&format!("/en/coin/{}", fixture.coin(99))).await.has("Not registered").has_not("Genuine and unspent");
    fixture.get("/en/supply").await.has("70.00").has_not("9,999,999.99");
}

#[tokio::test]
async fn each_lie_of_an_observer_is_named_and_nothing_is_shown_of_it() {
    for (manner, name) in [
        (Manner::NoLogSignature, "missing log signature"),
        (Manner::FewSigners, "not enough power"),
        (Manner::ForgedSigner, "forged signer"),
        (Manner::StaleRoot, "stale root"),
        (Manner::WrongRecord, "wrong record"),
        (Manner::OtherCoin, "other coin"),
        (Manner::Garbage, "not readable"),
    ] {
        let fixture = fixture().await;
        fixture.observer.behaves(manner);
        fixture.site.ledger().look().await;
        let page = fixture.get(&format!("/en/coin/{}", fixture.coin(1))).await;
        assert_eq!(page.status, StatusCode::BAD_GATEWAY, "{manner:?}");
        page.has(name).has("note-bad").has_not("Genuine and unspent");
        let answer = fixture.get(&format!("/v1/coins/{}", fixture.coin(1))).await;
        assert_eq!((answer.status, answer.json()["code"].as_str()), (StatusCode::BAD_GATEWAY, Some("unverified")));
        if !matches!(manner, Manner::WrongRecord | Manner::OtherCoin) {
            // The state does not verify either: the network page says so, and the last good one stays.
            fixture.get("/en/network").await.has(&format!("fails verification: {name}"));
            fixture.get("/en/supply").await.has("70.00");
        }
    }
}

#[tokio::test]
async fn with_every_observer_gone_the_site_answers_what_it_has_as_of_then() {
    let fixture = fixture().await;
    let (asked, never) = (format!("/en/coin/{}", fixture.coin(4)), format!("/en/coin/{}", fixture.coin(5)));
    fixture.get(&asked).await.has("Genuine and unspent");
    fixture.observer.behaves(Manner::Silent);
    fixture.later(600_000);
    fixture.site.ledger().look().await;
    fixture
        .get(&asked)
        .await
        .has("Genuine and unspent")
        .has("No observer answers now")
        .has("10 min ago")
        .has("more than two minutes old");
    let page = fixture.get(&never).await;
    assert_eq!((page.status, page.header("retry-after")), (StatusCode::SERVICE_UNAVAILABLE, "2"));
    for path in ["/en", "/en/supply", "/en/checkpoints", "/en/network", "/en/verify"] {
        let page = fixture.get(path).await;
        assert_eq!(page.status, StatusCode::OK, "{path}");
        page.has("No observer answers now").has("10 min ago");
    }
    assert_eq!(fixture.get("/v1/status").await.json()["as_of"]["stale"], true);
    // And back again.
    fixture.observer.behaves(Manner::Honest);
    fixture.observer.cosigned_at_s.fetch_add(600, std::sync::atomic::Ordering::Relaxed);
    fixture.site.ledger().look().await;
    fixture.get(&never).await.has("Frozen").has_not("No observer answers now");
}

#[tokio::test]
async fn a_site_that_never_reached_an_observer_says_so_on_every_page() {
    let observer = Observer::start(registry()).await;
    observer.behaves(Manner::Silent);
    let fixture = fixture_over(&[observer], |_| {}).await;
    fixture.get("/zh").await.has("目前没有账本观察节点应答");
    for path in ["/en/supply", "/en/checkpoints", "/en/network", "/en/verify"] {
        assert_eq!(fixture.get(path).await.status, StatusCode::SERVICE_UNAVAILABLE, "{path}");
    }
    assert_eq!(fixture.get("/health").await.status, StatusCode::SERVICE_UNAVAILABLE);
}

#[tokio::test]
async fn the_search_box_redirects_exact_hits_and_says_why_a_near_miss_is_none() {
    let fixture = fixture().await;
    let coin = fixture.coin(4);
    let size = fixture.observer.registry.lock().unwrap().states[1].1;
    let genesis = fixture.site.genesis_hash().to_owned();
    for (typed, place) in [
        (coin.clone(), format!("/en/coin/{coin}")),
        (coin.to_uppercase(), format!("/en/coin/{coin}")),
        ("height+3".into(), format!("/en/checkpoints/{size}")),
        ("batch+1".into(), format!("/en/checkpoints/{size}")),
        (format!("checkpoint+{size}"), format!("/en/checkpoints/{size}")),
        (genesis, "/en/verify#genesis".into()),
        (String::new(), "/en".into()),
    ] {
        let answer = fixture.get(&format!("/en/search?q={typed}")).await;
        assert_eq!((answer.status, answer.header("location")), (StatusCode::SEE_OTHER, place.as_str()), "{typed}");
    }
    let mistyped = format!("{}{}{}", &coin[..11], if &coin[11..12] == "q" { "p" } else { "q" }, &coin[12..]);
    for (typed, why) in [
        (mistyped.as_str(), "The checksum fails at character 12"),
        ("alice@bank2", "That is a wallet, not a coin"),
        (&coin[..40], "A coin id has 63 characters, this has 40"),
        ("height%204", "The block at height 4 confirmed nothing. Around it, blocks at these heights did: 3, 5"),
        ("batch%2077", "the newest batch is 3"),
        (&"ab".repeat(32), "This hash is no genesis"),
        ("what", "That is no coin id"),
    ] {
        let page = fixture.get(&format!("/en/search?q={typed}")).await;
        assert_eq!(page.status, StatusCode::NOT_FOUND, "{typed}");
        page.has(why);
    }
    // The same under a coin's address.
    let page = fixture.get(&format!("/zh/coin/{mistyped}")).await;
    assert_eq!(page.status, StatusCode::NOT_FOUND);
    page.has("校验失败：第 12 个字符有误").has("<mark>");
}

#[tokio::test]
async fn a_saved_proof_is_checked_and_a_changed_one_is_named() {
    let fixture = fixture().await;
    let coin = fixture.coin(4);
    let file = fixture.get(&format!("/v1/coins/{coin}/proof")).await;
    assert!(file.header("content-disposition").ends_with(".assayproof\""));
    let check = async |proof: &str, coin: &str| {
        let encode = |text: &str| text.bytes().map(|byte| format!("%{byte:02X}")).collect::<String>();
        let body = format!("proof={}&coin={}", encode(proof), encode(coin));
        let request = Request::post("/en/check").header("content-type", "application/x-www-form-urlencoded");
        fixture.ask(request.body(Body::from(body)).unwrap()).await
    };
    check(&file.body, "").await.has("The proof holds").has("Genuine and unspent").has("4 of 4 validators");
    let hex = file.json()["proof"].as_str().unwrap().to_owned();
    check(&hex, &coin).await.has("The proof holds");
    check(&hex, &fixture.coin(5)).await.has("other coin (16)").has("note-bad");
    let supply = fixture.get("/v1/supply").await.json()["proof"].as_str().unwrap().to_owned();
    check(&supply, "").await.has("a signed state of the registry");
    check("c2sp.org/tlog-proof@v1\n", "").await.has("tlog-proof file");
    check("hello", "").await.has("no proof that can be read");
    let mut flipped = hex.clone().into_bytes();
    let at = flipped.len() - 9;
    flipped[at] = if flipped[at] == b'0' { b'1' } else { b'0' };
    check(std::str::from_utf8(&flipped).unwrap(), "").await.has("wrong record (12)");
    // The search box takes the same.
    fixture.get(&format!("/en/search?q={hex}")).await.has("The proof holds");
}

#[tokio::test]
async fn a_reader_is_led_to_the_language_of_the_browser_and_can_choose_another() {
    let fixture = fixture().await;
    let ask = async |path: &str, accepted: &str| {
        let request = Request::get(path).header("accept-language", accepted).body(Body::empty()).unwrap();
        let answer = fixture.ask(request).await;
        (answer.header("location").to_owned(), answer.header("vary").to_owned())
    };
    assert_eq!(ask("/", "zh-CN,en;q=0.5").await, ("/zh".into(), "accept-language".into()));
    assert_eq!(ask("/", "fr").await.0, "/en");
    let coin = fixture.coin(4);
    assert_eq!(ask(&format!("/coin/{coin}"), "zh").await.0, format!("/zh/coin/{coin}"));
    assert_eq!(ask("/en/supply?lang=zh", "en").await.0, "/zh/supply");
    assert_eq!(ask("/zh/search?q=a&lang=en", "zh").await.0, "/en/search?q=a");
    assert_eq!(ask("/?lang=zh", "en").await.0, "/zh");
    fixture.get("/en/supply").await.has("href=\"/zh/supply\"").has("hreflang=\"zh-Hans\"");
}

#[tokio::test]
async fn hostile_strings_stay_text_wherever_they_come_from() {
    let fixture = fixture().await;
    let hostile = "<img src=x onerror=alert(1)>\"'{0}{1}";
    *fixture.observer.name.lock().unwrap() = hostile.into();
    fixture.site.ledger().look().await;
    let encoded: String = hostile.bytes().map(|byte| format!("%{byte:02X}")).collect();
    for path in [
        format!("/en/search?q={encoded}"),
        format!("/en/coin/{encoded}"),
        format!("/en/ownership?coin={encoded}"),
        format!("/en/checkpoints/{encoded}"),
        format!("/en/{encoded}"),
        "/en/network".into(),
        "/en/supply?x=%22%3E%3Cscript%3E".into(),
        "/en/supply?\"><script>alert(1)</script>".replace(['<', '>', '"'], "%3C"),
    ] {
        let page = fixture.get(&path).await;
        page.has_not("<img").has_not("onerror=alert(1)>").has_not("<script>");
    }
    fixture.get("/en/network").await.has("&#60;img src=x onerror=alert(1)&#62;");
    // A policy that is tried out, in every field of its form, and in the text wherever the language takes a text.
    let policy = include_str!("../../contracts/policies/combined.policy");
    let fields =
        ["policy", "history", "sector", "rate", "term_days", "lag_days", "years_later", "from", "to", "rounds"];
    for language in ["en", "zh"] {
        let path = format!("/{language}/contracts/try");
        for hostile in [hostile, "</textarea><script>alert(1)</script><textarea>", "\"><script>alert(1)</script>"] {
            let mut texts = vec![hostile.to_owned(), format!("{policy}# {hostile}\n")];
            for quoted in ["green-loans", "cn.gdp.real", "lpr +", "C10..C12"] {
                texts.push(policy.replacen(quoted, hostile, 1));
            }
            for text in &texts {
                let page = fixture.form(&path, &[("policy", text), ("sector", "C10"), ("rate", "6.00")]).await;
                assert_eq!(page.status, StatusCode::OK);
                page.has_not("<img").has_not("<script>").has_not("</textarea><script");
            }
            for name in fields.into_iter().chain(["column.cn.gdp.real", "column.cn.lpr.1y", hostile]) {
                let good = [("policy", policy), ("sector", "C10"), ("rate", "6.00"), ("years_later", "52")];
                let mut asked: Vec<(&str, &str)> = good.into_iter().filter(|(known, _)| *known != name).collect();
                asked.push((name, hostile));
                let page = fixture.form(&path, &asked).await;
                assert_eq!(page.status, StatusCode::OK, "{name}");
                page.has_not("<img").has_not("<script>").has_not("</textarea><script");
            }
        }
    }
}

/// The commands as they stand on the page, with curl's answer put where curl would put it.
#[tokio::test]
async fn the_openssl_recipe_works_as_it_stands_on_the_page_and_finds_a_forgery() {
    let fixture = fixture().await;
    let page = fixture.get("/en/verify").await;
    let begin = page.body.find("id=\"recipe\"").unwrap();
    let recipe = page.body[begin..].split_once('>').unwrap().1.split_once("</pre>").unwrap().0;
    let mut recipe = recipe.to_owned();
    for (entity, character) in [("&#34;", "\""), ("&#39;", "'"), ("&#60;", "<"), ("&#62;", ">"), ("&#38;", "&")] {
        recipe = recipe.replace(entity, character);
    }
    let recipe: String =
        recipe.lines().filter(|line| !line.starts_with("curl ")).map(|line| format!("{line}\n")).collect();
    let note = fixture.get("/v1/checkpoint.txt").await.body;
    let run = |note: &str| {
        let folder = tempfile::tempdir().unwrap();
        std::fs::write(folder.path().join("checkpoint"), note).unwrap();
        let output =
            std::process::Command::new("sh").arg("-c").arg(&recipe).current_dir(folder.path()).output().unwrap();
        String::from_utf8_lossy(&output.stdout).into_owned() + &String::from_utf8_lossy(&output.stderr)
    };
    let said = run(&note);
    assert_eq!(said.matches("Signature Verified Successfully").count(), 5, "the log and four validators: {said}");
    assert!(said.contains(&format!("registry.example/assay/4 at {}", support::chain::COSIGNED_AT_S)), "{said}");
    let size = note.lines().nth(1).unwrap();
    let forged = note.replacen(&format!("\n{size}\n"), &format!("\n{size}0\n"), 1);
    assert!(!run(&forged).contains("Successfully"), "another size is signed by nobody");
}
