//! Bad input meets a named refusal and changes nothing (invariant 10).
//!
//! Requests are written by hand, so that nothing between the test and the socket makes them well-formed. The table is held to the
//! list that the routers are built of: a path without a case fails.

use crate::cluster::*;
use crate::double_spend::{bundle_key, spend};
use ledger_types::bundle::{Bundle, Slot};
use ledger_types::encoding::{Octets, Text};
use ledger_types::ownership::Challenge;
use ledger_types::rejection::Rejection;
use ledger_types::{CoinId, Encode, ParticipantNumber};
use node::http::routes::{self, Route};
use node_api::Problem;
use std::io::{Read, Write};
use std::net::TcpStream;
use std::time::Duration;

/// Who asks.
#[derive(Clone, Copy, Debug)]
enum As {
    Nobody,
    Bank,
    /// With a token that is not the node's.
    Stranger,
}

/// These read neither parameters, nor a query, nor a body: nothing of a request for them can be malformed but its method.
const READS_NOTHING: [&str; 19] = [
    "/health",
    "/log/checkpoint",
    "/metrics",
    "/v1/buckets",
    "/v1/checkpoint",
    "/v1/checkpoint.txt",
    "/v1/contracts",
    "/v1/disclosures",
    "/v1/events",
    "/v1/feeds",
    "/v1/hand-overs",
    "/v1/inert",
    "/v1/loans",
    "/v1/participants",
    "/v1/reconciliation",
    "/v1/registry",
    "/v1/status",
    "/v1/supply",
    "/v1/wallets",
];

/// Of those that are posted to.
const POSTED_READS_NOTHING: [&str; 1] = ["/v1/state-copy"];

/// Whether a request of this method for this path is one of this route's.
fn is_of(route: &Route, method: &str, path: &str) -> bool {
    let path = path.split('?').next().unwrap();
    let (mut named, mut given) = (route.path.split('/'), path.split('/'));
    let fits = loop {
        match (named.next(), given.next()) {
            (Some(rest), Some(_)) if rest.starts_with("{*") => break true,
            (Some(parameter), Some(_)) if parameter.starts_with('{') => {}
            (Some(named), Some(given)) if named == given => {}
            (None, None) => break true,
            _ => break false,
        }
    };
    fits && route.method == method
}

/// The route's path with this for each of its parameters.
fn path_with(route: &Route, parameter: &str) -> String {
    let parts = route.path.split('/').map(|part| if part.starts_with('{') { parameter } else { part });
    parts.collect::<Vec<_>>().join("/")
}

struct Case<'a> {
    what: &'a str,
    node: &'a str,
    who: As,
    method: String,
    path: String,
    body: Vec<u8>,
    status: u16,
    code: &'a str,
}

/// Status and body, over a connection of its own. The server may answer and hang up before it has read what is too long.
pub fn request(address: &str, method: &str, path: &str, token: Option<&str>, body: &[u8]) -> (u16, Vec<u8>) {
    let host = address.strip_prefix("http://").unwrap();
    let mut stream = TcpStream::connect(host).unwrap();
    stream.set_read_timeout(Some(Duration::from_secs(20))).unwrap();
    let token = token.map(|token| format!("authorization: Bearer {token}\r\n")).unwrap_or_default();
    let kind = if path == "/v1/bundles" { "application/octet-stream" } else { "application/json" };
    let length = body.len();
    let head = format!(
        "{method} {path} HTTP/1.1\r\nhost: {host}\r\nconnection: close\r\ncontent-type: {kind}\r\n{token}content-length: {length}\r\n\r\n"
    );
    let _ = stream.write_all(head.as_bytes());
    let _ = stream.write_all(body);
    let mut answer = Vec::new();
    // A reset after the answer takes nothing of what was read.
    let _ = stream.read_to_end(&mut answer);
    let end = answer.windows(4).position(|window| window == b"\r\n\r\n").expect("an answer has a head");
    let status = std::str::from_utf8(&answer[9..12]).unwrap().parse().unwrap();
    (status, answer[end + 4..].to_vec())
}

#[tokio::test]
async fn malformed_input_to_every_endpoint_gets_its_named_refusal_and_changes_nothing() {
    let cluster = Cluster::up(109, 20).await;
    let bank2 = cluster.client("bank2");
    let before = cluster.settled_wealth(&["bank2", "bank3", "bank4"], 10).await;
    // Until there is a checkpoint, whatever is asked of the log is answered by 503.
    let observer = cluster.client("observer");
    wait_until(30, "the observer has a checkpoint", async || {
        observer.get::<node_api::ledger::Checkpoint>("/v1/checkpoint").await.is_ok()
    })
    .await;
    let (trust, chain) = (cluster.trust(), cluster.trust().chain());
    let envelope = spend(trust, 19, 1, ParticipantNumber(2));
    let others = spend(trust, 19, 1, ParticipantNumber(3));
    let slot = Slot { submitter: ParticipantNumber(2), incarnation: 0, sequence: 0 };
    let forged = Bundle::sign(chain, slot, vec![envelope.clone()], &bundle_key(&cluster, "bank3")).unwrap();
    let nobodys = Slot { submitter: ParticipantNumber(77), ..slot };
    let nobodys = Bundle::sign(chain, nobodys, vec![envelope.clone()], &bundle_key(&cluster, "bank3")).unwrap();
    let signed = |slot| Bundle::sign(chain, slot, vec![envelope.clone()], &bundle_key(&cluster, "bank2")).unwrap();
    let (good, far) = (signed(slot), signed(Slot { sequence: 99, ..slot }));
    let mut cut = good.to_bytes();
    cut.pop();
    let submit = |envelopes: &[String]| serde_json::json!({ "envelopes": envelopes }).to_string();
    let hex_of = |envelope: &ledger_types::envelope::Envelope| hex::encode(envelope.to_bytes());
    let pay = |from: &str, to: &str, amount: u64, memo: &str| {
        serde_json::to_string(&payment(from, to, amount, memo)).unwrap()
    };
    let coin = CoinId([1; 32]).to_string();
    let mistyped = format!("{}{}", &coin[..coin.len() - 1], if coin.ends_with('q') { 'p' } else { 'q' });
    let some_id = "00".repeat(32);
    let not_mine = Rejection::SubmitterIsNotTheBundles.code();
    let issue = |bank: u16, series: u32, amount: u64, coins: u8| {
        serde_json::json!({ "bank": bank, "series": series, "amount": amount, "coins": coins }).to_string()
    };
    let too_long = vec![b' '; 5 << 20];

    let mut cases = Vec::new();
    let mut case = |what, node, who, request: &str, body: &[u8], status, code| {
        let (method, path) = request.split_once(' ').unwrap();
        cases.push(Case {
            what,
            node,
            who,
            method: method.to_owned(),
            path: path.to_owned(),
            body: body.to_vec(),
            status,
            code,
        });
    };
    // The public documents.
    case("no coin id", "observer", As::Nobody, "GET /v1/coins/coin1abc", b"", 400, "not_a_coin_id");
    let path = format!("GET /v1/coins/{mistyped}");
    case("a mistyped coin id", "observer", As::Nobody, &path, b"", 400, "not_a_coin_id");
    case("no batch id", "observer", As::Nobody, "GET /v1/batches/xyz", b"", 400, "not_an_envelope_id");
    let path = format!("GET /v1/batches/{some_id}");
    case("a batch that no block holds", "observer", As::Nobody, &path, b"", 404, "not_found");
    case("an empty page", "observer", As::Nobody, "GET /v1/evidence?limit=0", b"", 400, "bad_query");
    case("a page too long", "observer", As::Nobody, "GET /v1/evidence?limit=101", b"", 400, "bad_query");
    case("a page behind nothing", "observer", As::Nobody, "GET /v1/evidence?after=7", b"", 400, "bad_query");
    case("another query", "observer", As::Nobody, "GET /v1/evidence?page=2", b"", 400, "bad_query");
    case("a lane of no number", "bank2", As::Nobody, "GET /v1/lanes/seventy", b"", 400, "bad_path");
    case("a place of no number", "observer", As::Nobody, "GET /v1/disclosures/first", b"", 400, "bad_path");
    case("no request at this place", "observer", As::Nobody, "GET /v1/disclosures/999999", b"", 404, "not_found");
    case("a path that leads nowhere", "bank2", As::Bank, "GET /v1/nothing", b"", 404, "no_such_path");
    case("a method that the path has not", "bank2", As::Bank, "DELETE /v1/status", b"", 405, "method_not_allowed");
    // Bundles of anybody who can sign.
    case("no bundle", "bank3", As::Nobody, "POST /v1/bundles", b"nonsense", 400, "malformed");
    case("an empty body", "bank3", As::Nobody, "POST /v1/bundles", b"", 400, "malformed");
    case("a bundle cut short", "bank3", As::Nobody, "POST /v1/bundles", &cut, 400, "malformed");
    case("another's signature", "bank3", As::Nobody, "POST /v1/bundles", &forged.to_bytes(), 403, "bundle_signature");
    case("a stranger's bundle", "bank3", As::Nobody, "POST /v1/bundles", &nobodys.to_bytes(), 403, "unknown_submitter");
    let post = "POST /v1/bundles";
    case("a slot far ahead", "bank3", As::Nobody, post, &far.to_bytes(), 409, "slot_far_ahead");
    case("a lane of the node's own", "bank2", As::Nobody, post, &good.to_bytes(), 403, "own_lane");
    case("a bundle for an observer", "observer", As::Nobody, post, &good.to_bytes(), 403, "not_a_submitter");
    case("more than a bundle's bytes", "bank3", As::Nobody, "POST /v1/bundles", &too_long, 413, "body_too_large");
    // The public log, and what its readers ask besides.
    case("no tile", "observer", As::Nobody, "GET /log/tile/0/1", b"", 400, "bad_tile_path");
    case("a tile to come", "observer", As::Nobody, "GET /log/tile/0/999", b"", 404, "not_found");
    case("no coin id", "observer", As::Nobody, "GET /v1/coins/coin1abc/log-proof", b"", 400, "not_a_coin_id");
    let path = format!("GET /v1/coins/{coin}/log-proof");
    case("a coin that the log has not", "observer", As::Nobody, &path, b"", 404, "not_found");
    case("no bits", "observer", As::Nobody, "GET /v1/buckets/few/00000000", b"", 400, "bad_path");
    case("no prefix", "observer", As::Nobody, "GET /v1/buckets/8/zz000000", b"", 400, "bad_prefix");
    case("digits behind the bits", "observer", As::Nobody, "GET /v1/buckets/8/00000001", b"", 400, "bad_prefix");
    case("no sizes", "observer", As::Nobody, "GET /v1/consistency", b"", 400, "bad_query");
    case("a log that shrinks", "observer", As::Nobody, "GET /v1/consistency?from=2&to=1", b"", 400, "bad_query");
    let path = format!("GET /v1/consistency?from=1&to={}", u64::MAX);
    case("a log to come", "observer", As::Nobody, &path, b"", 404, "not_found");
    case("an empty page", "observer", As::Nobody, "GET /v1/states?limit=0", b"", 400, "bad_query");
    case("a page too long", "observer", As::Nobody, "GET /v1/states?limit=101", b"", 400, "bad_query");
    case("a page before no state", "observer", As::Nobody, "GET /v1/states?before=1", b"", 400, "bad_query");
    case("an empty page", "observer", As::Nobody, "GET /v1/checkpoints?limit=0", b"", 400, "bad_query");
    case("a page too long", "observer", As::Nobody, "GET /v1/checkpoints?limit=101", b"", 400, "bad_query");
    case("a page before no size", "observer", As::Nobody, "GET /v1/checkpoints?before=-1", b"", 400, "bad_query");
    case("another query", "observer", As::Nobody, "GET /v1/checkpoints?after=1", b"", 400, "bad_query");
    // Contracts, feeds and loans.
    case("a contract of no number", "observer", As::Nobody, "GET /v1/contracts/first", b"", 400, "bad_path");
    case("no such contract", "observer", As::Nobody, "GET /v1/contracts/7", b"", 404, "not_found");
    case("no name of a feed", "observer", As::Nobody, "GET /v1/feeds/GDP", b"", 400, "bad_feed_name");
    case("no such feed", "observer", As::Nobody, "GET /v1/feeds/gdp", b"", 404, "not_found");
    case("entries of no key", "observer", As::Nobody, "GET /v1/entries", b"", 400, "bad_query");
    case("an entry whose key is none", "observer", As::Nobody, "GET /v1/entries?keys=0101", b"", 400, "bad_query");
    let path = format!("GET /v1/entries?keys={}", vec!["0101000000"; 257].join(","));
    case("entries of too many keys", "observer", As::Nobody, &path, b"", 400, "bad_query");
    case("disputes of no contract", "observer", As::Nobody, "GET /v1/disputes", b"", 400, "bad_query");
    case("no place in the log", "observer", As::Nobody, "GET /v1/disputes/first", b"", 400, "bad_path");
    case("a leaf that is no dispute", "observer", As::Nobody, "GET /v1/disputes/0", b"", 404, "not_found");
    case("loans of no contract", "observer", As::Nobody, "GET /v1/obligations", b"", 400, "bad_query");
    case("receipts of no contract", "observer", As::Nobody, "GET /v1/receipts?limit=1", b"", 400, "bad_query");
    case("an empty page", "observer", As::Nobody, "GET /v1/receipts?contract=1&limit=0", b"", 400, "bad_query");
    case("no obligation id", "observer", As::Nobody, "GET /v1/receipts/1", b"", 400, "not_an_obligation_id");
    let path = format!("GET /v1/receipts/{some_id}");
    case("a loan that nobody returned", "observer", As::Nobody, &path, b"", 404, "not_found");
    let post = "POST /v1/loans";
    let lend = |to: &str, amount: u64, sector: &str| {
        serde_json::json!({ "contract": 1, "to": to, "amount": amount, "sector": sector, "rate": 1, "term_days": 1 })
            .to_string()
    };
    case("no JSON", "bank2", As::Bank, post, b"{", 400, "malformed_json");
    case("nothing lent", "bank2", As::Bank, post, lend("vault@bank3", 0, "C").as_bytes(), 422, "amount_is_zero");
    case("no borrower", "bank2", As::Bank, post, lend("bob", 1, "C").as_bytes(), 400, "bad_address");
    case("itself", "bank2", As::Bank, post, lend("vault@bank2", 1, "C").as_bytes(), 422, "lent_to_the_lender");
    case("no sector", "bank2", As::Bank, post, lend("vault@bank3", 1, "C9").as_bytes(), 400, "bad_sector");
    case("no contract", "bank2", As::Bank, post, lend("vault@bank3", 1, "C").as_bytes(), 404, "not_found");
    let none = "POST /v1/loans/1/return";
    case("no obligation id", "bank2", As::Bank, none, b"{}", 400, "not_an_obligation_id");
    let path = format!("POST /v1/loans/{some_id}/return");
    case("another's loan", "bank2", As::Bank, &path, b"{}", 404, "not_found");
    case("no wallet", "bank2", As::Bank, &path, br#"{"from":"a b"}"#, 400, "bad_wallet_name");
    let post = "POST /v1/feeds/gdp/items";
    let value = format!(r#"{{"publisher":0,"value":1,"signature":"{}"}}"#, "00".repeat(64));
    let item =
        |values: &str| format!(r#"{{"period":1,"vintage":0,"published_ms":1,"valid_until_ms":2,"values":[{values}]}}"#);
    case("no JSON", "bank2", As::Bank, post, b"1", 400, "malformed_json");
    case("no such feed", "bank2", As::Bank, post, item(&value).as_bytes(), 404, "not_found");
    let (node, deploy) =
        ("central-bank", |package: &str| serde_json::json!({ "package": package, "notice": 2 }).to_string());
    let post = "POST /v1/contracts";
    case("a bank that deploys", "bank2", As::Bank, post, deploy("00").as_bytes(), 403, "not_the_central_bank");
    case("no hex", node, As::Bank, post, deploy("zz").as_bytes(), 400, "bad_package");
    case("no package", node, As::Bank, post, deploy("00").as_bytes(), 422, "package_unsound");
    let too_long_a_package = deploy(&"00".repeat(40_000));
    case("too long", node, As::Bank, post, too_long_a_package.as_bytes(), 413, "body_too_large");
    case("a bank that stops", "bank2", As::Bank, "POST /v1/contracts/1/stop", b"{}", 403, "not_the_central_bank");
    case("no such contract", node, As::Bank, "POST /v1/contracts/1/stop", b"{}", 404, "not_found");
    let path = "POST /v1/contracts/1/retire";
    case("no notice", node, As::Bank, path, b"{}", 400, "malformed_json");
    case("no such contract", node, As::Bank, path, br#"{"notice":2}"#, 404, "not_found");
    let register = |name: &str, unit: &str, frequency: &str, key: &str| {
        serde_json::json!({ "name": name, "unit": unit, "scale": 2, "frequency": frequency, "publishers": [key],
            "threshold": 1, "step_max": 1 })
        .to_string()
    };
    let (post, zero) = ("POST /v1/feeds", "00".repeat(32));
    let good = register("gdp", "index", "monthly", &zero);
    case("a bank that registers", "bank2", As::Bank, post, good.as_bytes(), 403, "not_the_central_bank");
    case("an unsound key", node, As::Bank, post, good.as_bytes(), 422, "feed_unsound");
    let bad = register("GDP", "index", "monthly", &zero);
    case("no name", node, As::Bank, post, bad.as_bytes(), 400, "bad_feed_name");
    let bad = register("gdp", "apples", "monthly", &zero);
    case("no unit", node, As::Bank, post, bad.as_bytes(), 400, "bad_unit");
    let bad = register("gdp", "index", "hourly", &zero);
    case("no frequency", node, As::Bank, post, bad.as_bytes(), 400, "bad_frequency");
    let bad = register("gdp", "index", "monthly", "00");
    case("no key", node, As::Bank, post, bad.as_bytes(), 400, "bad_publishers");
    let reclaim = |coin: &str| serde_json::json!({ "contract": 1, "coins": [coin] }).to_string();
    let post = "POST /v1/reclaims";
    case("a bank that reclaims", "bank2", As::Bank, post, reclaim(&coin).as_bytes(), 403, "not_the_central_bank");
    case("no coin id", node, As::Bank, post, reclaim("coin1abc").as_bytes(), 400, "not_a_coin_id");
    case("no such contract", node, As::Bank, post, reclaim(&coin).as_bytes(), 404, "not_found");
    let dispute = |loan: &str, sector: &str, basis: &str, evidence: &str| {
        let order = serde_json::json!({ "loan": loan, "sector": sector, "basis": basis, "evidence": evidence });
        order.to_string()
    };
    let (post, loan, hash) = ("POST /v1/disputes", "ab".repeat(32), "cd".repeat(32));
    let good = dispute(&loan, "G47", "SRV-1", &hash);
    case("a bank that disputes", "bank2", As::Bank, post, good.as_bytes(), 403, "not_the_central_bank");
    case("no such loan", node, As::Bank, post, good.as_bytes(), 404, "not_found");
    let bad = dispute("12", "G47", "SRV-1", &hash);
    case("no loan's id", node, As::Bank, post, bad.as_bytes(), 400, "not_an_obligation_id");
    let bad = dispute(&loan, "Z99", "SRV-1", &hash);
    case("no sector", node, As::Bank, post, bad.as_bytes(), 400, "bad_sector");
    let bad = dispute(&loan, "G47", "a survey", &hash);
    case("no basis", node, As::Bank, post, bad.as_bytes(), 400, "bad_basis");
    let bad = dispute(&loan, "G47", "SRV-1", "cd");
    case("no evidence", node, As::Bank, post, bad.as_bytes(), 400, "bad_evidence");
    // The bank's own endpoints.
    case("no height", "bank2", As::Bank, "GET /v1/blocks/first", b"", 400, "bad_path");
    case("a height to come", "bank2", As::Bank, "GET /v1/blocks/4000000000", b"", 404, "not_found");
    let content = format!("GET /v1/envelopes/{some_id}/content");
    let verdict = format!("GET /v1/envelopes/{some_id}");
    case("no envelope id", "bank2", As::Bank, "GET /v1/envelopes/1/content", b"", 400, "not_an_envelope_id");
    case("no envelope id", "observer", As::Bank, "GET /v1/envelopes/xyz", b"", 400, "not_an_envelope_id");
    case("an envelope that no block holds", "observer", As::Bank, &verdict, b"", 404, "not_found");
    case("an unknown envelope", "bank2", As::Bank, &content, b"", 404, "not_found");
    // Envelopes.
    case("no JSON", "bank2", As::Bank, "POST /v1/envelopes", b"{", 400, "malformed_json");
    case("another document", "bank2", As::Bank, "POST /v1/envelopes", b"{\"coins\":1}", 400, "malformed_json");
    case("too long", "bank2", As::Bank, "POST /v1/envelopes", &too_long, 413, "body_too_large");
    case("no envelopes", "bank2", As::Bank, "POST /v1/envelopes", submit(&[]).as_bytes(), 400, "envelope_count");
    let many = submit(&vec!["00".to_owned(); 257]);
    case("too many envelopes", "bank2", As::Bank, "POST /v1/envelopes", many.as_bytes(), 400, "envelope_count");
    let no_hex = submit(&["zz".to_owned()]);
    case("no hex", "bank2", As::Bank, "POST /v1/envelopes", no_hex.as_bytes(), 400, "malformed");
    let short = submit(&[hex_of(&envelope)[2..].to_owned()]);
    case("no envelope", "bank2", As::Bank, "POST /v1/envelopes", short.as_bytes(), 400, "malformed");
    let left_over = submit(&[hex_of(&envelope) + "00"]);
    case("bytes left over", "bank2", As::Bank, "POST /v1/envelopes", left_over.as_bytes(), 400, "malformed");
    let good_and_not_mine = submit(&[hex_of(&envelope), hex_of(&others)]);
    case("another's envelope", "bank2", As::Bank, "POST /v1/envelopes", good_and_not_mine.as_bytes(), 422, not_mine);
    // Wallets and payments.
    let post = "POST /v1/wallets";
    case("no name", "bank2", As::Bank, post, br#"{"name":""}"#, 400, "bad_wallet_name");
    case("a bad name", "bank2", As::Bank, post, br#"{"name":"a b"}"#, 400, "bad_wallet_name");
    case("a taken name", "bank2", As::Bank, post, br#"{"name":"vault"}"#, 409, "wallet_exists");
    case("no JSON", "bank2", As::Bank, post, b"name", 400, "malformed_json");
    case("no such wallet", "bank2", As::Bank, "GET /v1/wallets/nobody", b"", 404, "not_found");
    case("no such wallet's coins", "bank2", As::Bank, "GET /v1/wallets/nobody/coins", b"", 404, "not_found");
    let post = "POST /v1/payments";
    case("no JSON", "bank2", As::Bank, post, b"{]", 400, "malformed_json");
    case("too long", "bank2", As::Bank, post, &too_long, 413, "body_too_large");
    case(
        "an amount below zero",
        "bank2",
        As::Bank,
        post,
        br#"{"from":"vault","to":"vault@bank3","amount":-1}"#,
        400,
        "malformed_json",
    );
    case("amount zero", "bank2", As::Bank, post, pay("vault", "vault@bank3", 0, "").as_bytes(), 422, "amount_is_zero");
    let memo = pay("vault", "vault@bank3", 1, &"m".repeat(81));
    case("a memo too long", "bank2", As::Bank, post, memo.as_bytes(), 422, "memo_too_long");
    case(
        "an unknown wallet",
        "bank2",
        As::Bank,
        post,
        pay("nobody", "vault@bank3", 1, "").as_bytes(),
        404,
        "not_found",
    );
    case("an unknown bank", "bank2", As::Bank, post, pay("vault", "vault@bank9", 1, "").as_bytes(), 400, "bad_address");
    case("no address", "bank2", As::Bank, post, pay("vault", "bob", 1, "").as_bytes(), 400, "bad_address");
    case("oneself", "bank2", As::Bank, post, pay("vault", "vault@bank2", 1, "").as_bytes(), 422, "same_wallet");
    let more = pay("vault", "vault@bank3", u64::MAX, "");
    case("more than there is", "bank2", As::Bank, post, more.as_bytes(), 422, "insufficient_funds");
    let good = pay("vault", "vault@bank3", 1, "");
    case("a bad query", "bank2", As::Bank, "POST /v1/payments?wait=never", good.as_bytes(), 400, "bad_query");
    case("an unknown query", "bank2", As::Bank, "POST /v1/payments?want=ordered", good.as_bytes(), 400, "bad_query");
    case("no id", "bank2", As::Bank, "GET /v1/payments/12", b"", 400, "bad_id");
    let path = format!("GET /v1/payments/{}", "00".repeat(16));
    case("an unknown payment", "bank2", As::Bank, &path, b"", 404, "not_found");
    case("an empty batch", "bank2", As::Bank, "POST /v1/payments/batch", b"[]", 400, "bad_batch");
    case("no id", "bank2", As::Bank, "GET /v1/operations/12", b"", 400, "bad_id");
    // Who owns a coin, and what it is worth.
    let challenge = |not_after_ms| {
        let (text, nonce) = (Text::new("order 7").unwrap(), Octets::new(vec![7; 32]).unwrap());
        hex::encode(Challenge { text, nonce, not_after_ms }.to_bytes())
    };
    let prove = |coin: &str, challenge: &str| serde_json::json!({ "coin": coin, "challenge": challenge }).to_string();
    let post = "POST /v1/ownership";
    case("no JSON", "bank2", As::Bank, post, b"mine", 400, "malformed_json");
    case("too long", "bank2", As::Bank, post, &too_long, 413, "body_too_large");
    case("no coin id", "bank2", As::Bank, post, prove("coin1abc", "00").as_bytes(), 400, "not_a_coin_id");
    case("no hex", "bank2", As::Bank, post, prove(&coin, "zz").as_bytes(), 400, "bad_challenge");
    case("no challenge", "bank2", As::Bank, post, prove(&coin, "00").as_bytes(), 400, "bad_challenge");
    let expired = prove(&coin, &challenge(1));
    case("an expired challenge", "bank2", As::Bank, post, expired.as_bytes(), 422, "challenge_expired");
    let not_held = prove(&coin, &challenge(u64::MAX));
    case("another's coin", "bank2", As::Bank, post, not_held.as_bytes(), 404, "not_found");
    case("no coin id", "bank2", As::Bank, "GET /v1/openings/coin1abc", b"", 400, "not_a_coin_id");
    case("another's opening", "bank2", As::Bank, &format!("GET /v1/openings/{coin}"), b"", 404, "not_found");
    // What reconciliation found.
    let known = br#"{"reason":"known"}"#;
    let of = |what: &str| format!("POST /v1/reconciliation/differences/0a0b0c0d0e0f/{what}");
    case("no JSON", "bank2", As::Bank, &of("mute"), b"known", 400, "malformed_json");
    case("too long", "bank2", As::Bank, &of("mute"), &too_long, 413, "body_too_large");
    case("no reason", "bank2", As::Bank, &of("mute"), br#"{"reason":" "}"#, 422, "bad_reason");
    let past = br#"{"reason":"known","until_ms":1}"#;
    case("a time that has passed", "bank2", As::Bank, &of("mute"), past, 422, "time_has_passed");
    case("no such difference", "bank2", As::Bank, &of("mute"), known, 404, "not_found");
    case("no such difference", "bank2", As::Bank, &of("unmute"), b"", 404, "not_found");
    case("no such difference", "bank2", As::Bank, &of("repair"), b"", 404, "not_found");
    // The central bank's operations.
    let good = issue(2, 1, 100, 1);
    case("a bank that issues", "bank2", As::Bank, "POST /v1/issues", good.as_bytes(), 403, "not_the_central_bank");
    case(
        "a bank that redeems",
        "bank2",
        As::Bank,
        "POST /v1/redemptions",
        br#"{"amount":1}"#,
        403,
        "not_the_central_bank",
    );
    let recovery = format!(r#"{{"coins":["{coin}"],"reason":"dispute","to":"vault@bank2"}}"#);
    case(
        "a bank that recovers",
        "bank2",
        As::Bank,
        "POST /v1/recoveries",
        recovery.as_bytes(),
        403,
        "not_the_central_bank",
    );
    let (node, post) = ("central-bank", "POST /v1/issues");
    case("an issue of nothing", node, As::Bank, post, issue(2, 1, 0, 1).as_bytes(), 422, "amount_is_zero");
    case("an issue into no coins", node, As::Bank, post, issue(2, 1, 100, 0).as_bytes(), 422, "bad_coin_count");
    case("an issue into nine", node, As::Bank, post, issue(2, 1, 100, 9).as_bytes(), 422, "bad_coin_count");
    case("no such series", node, As::Bank, post, issue(2, 9, 100, 1).as_bytes(), 422, "series_unknown");
    case("an issue to the observer", node, As::Bank, post, issue(5, 1, 100, 1).as_bytes(), 422, "bank_unknown");
    case("nothing to redeem", node, As::Bank, "POST /v1/redemptions", br#"{"amount":1}"#, 422, "insufficient_funds");
    case("an unknown coin", node, As::Bank, "POST /v1/recoveries", recovery.as_bytes(), 422, "coin_unknown");
    let no_reason = recovery.replace("dispute", "whim");
    case("no reason", node, As::Bank, "POST /v1/recoveries", no_reason.as_bytes(), 400, "bad_reason");
    let path = format!("GET /v1/operations/{}", "00".repeat(16));
    case("an unknown operation", node, As::Bank, &path, b"", 404, "not_found");

    // Each path is named by a case of its own, or it is known to read nothing.
    let (public, own) = (routes::public(), routes::own());
    let mut wrong = Vec::new();
    for route in public.iter().chain(&own) {
        let reads_nothing = match route.method {
            "GET" => READS_NOTHING.contains(&route.path),
            _ => POSTED_READS_NOTHING.contains(&route.path),
        };
        let has_a_case = cases.iter().any(|case| is_of(route, &case.method, &case.path));
        if reads_nothing == has_a_case {
            wrong.push(format!(
                "{} {} has a case: {has_a_case}, reads nothing: {reads_nothing}",
                route.method, route.path
            ));
        }
    }
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
    // And what holds for all of them alike.
    let mut case = |what, node, who, method: &str, path: String, body: &[u8], status, code| {
        cases.push(Case { what, node, who, method: method.to_owned(), path, body: body.to_vec(), status, code });
    };
    for route in public.iter().chain(&own) {
        let path = path_with(route, "xyz");
        if route.path.contains('{') {
            let bytes = path_with(route, "%FF");
            case("bytes that are no text", "bank2", As::Bank, route.method, bytes, b"", 400, "bad_path");
        }
        case("a method that no path has", "bank2", As::Bank, "DELETE", path, b"", 405, "method_not_allowed");
    }
    // The token first, whatever else is wrong. Each node takes so many requests of strangers, so they are shared out.
    for route in &own {
        let path = path_with(route, "%FF");
        case("no token", "bank2", As::Nobody, route.method, path.clone(), b"{", 401, "token_required");
        case("another token", "bank3", As::Stranger, route.method, path, b"{", 401, "token_required");
    }

    for Case { what, node, who, method, path, body, status, code } in cases {
        let token = match who {
            As::Nobody => None,
            As::Bank => Some(cluster.token(node)),
            As::Stranger => Some(cluster.token("bank4")),
        };
        let (got_status, answer) = request(&cluster.address(node), &method, &path, token.as_deref(), &body);
        let problem = serde_json::from_slice::<Problem>(&answer).ok();
        let got_code = problem.as_ref().map_or("no problem document", |problem| &problem.code);
        if (got_status, got_code) != (status, code) || problem.as_ref().is_some_and(|problem| problem.status != status)
        {
            wrong.push(format!("{what}: {method} {path} as {who:?}: {got_status} {got_code}, not {status} {code}"));
        }
    }
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
    // A head is bounded before anything of it is understood, so its refusal is the status alone.
    let (status, answer) = request(&cluster.address("bank2"), "GET", "/v1/wallets", Some(&"0".repeat(256 << 10)), b"");
    assert_eq!((status, answer.len()), (431, 0), "a head of a quarter of a MiB");

    // Nothing of it was ordered, and the bank still pays.
    assert!(bank2.envelope(&envelope.id(chain).to_string()).await.is_err());
    assert_eq!(cluster.settled_wealth(&["bank2", "bank3", "bank4"], 10).await, before);
    let paid = bank2.pay(&payment("vault", "vault@bank3", 10, "")).await.unwrap();
    reached(&bank2, &paid.id, "confirmed", 30).await;
}
