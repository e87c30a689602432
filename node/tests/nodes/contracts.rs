//! Contingent money from its contract to its return, through the public interface of real processes (rules K): what the policy
//! denies is refused by every validator, what it permits is lent, and the rate of the return moves with the feed.

use crate::cluster::*;
use contracts_vm::{Frequency, Package, Period};
use ledger_types::contract::DAY_MS;
use ledger_types::feed::ItemHead;
use ledger_types::keys::SigningKey;
use ledger_types::log_leaf::LogLeaf;
use ledger_types::rejection::Rejection;
use ledger_types::*;
use ledger_verify::{EntryKey, EntryProof, LeafProof, Verdict, verify_entry, verify_leaf};
use node_api::{Client, ClientError, contracts as doc, desk, ledger};

const FEED: &str = "cn.lpr.1y";
const LENT: u64 = 30_000;
const ISSUED: u64 = 80_000;

/// Lends to farms and food from `opens` on, at 50 bp above the benchmark at most; what is returned costs half a percent while the
/// benchmark is low.
fn policy(version: u32, opens: &str) -> String {
    format!(
        r#"policy "lending" version {version}
currency CNY
feed lpr = "{FEED}" monthly percent scale 2, at most 40 days old, latest vintage, when stale deny

effective when
    time from {opens} until 2099-01-01
    sector in ISIC {{ A, C10..C12 }}
    loan rate <= lpr + 50 bp

idle after 60 days
due 30 days after loan term

return rate
    when lpr < 3.00 % : 0.50 %
    otherwise lpr - 100 bp
    clamp 0.10 % .. 4.00 %, step 1 bp
"#
    )
}

fn publisher(index: u8) -> SigningKey {
    SigningKey::from_seed(&[100 + index; 32])
}

/// The operation, when it has ended.
async fn ended(node: &Client, mut operation: desk::Operation) -> desk::Operation {
    wait_until(60, "the operation ends", async || {
        let path = format!("/v1/operations/{}?wait=confirmed&timeout_ms=2000", operation.id);
        operation = node.get(&path).await.unwrap();
        matches!(operation.state.as_str(), "confirmed" | "refused" | "disputed")
    })
    .await;
    operation
}

/// An order of the central bank's, of which every node knows when this returns.
async fn confirmed<T: serde::Serialize>(cluster: &Cluster, path: &str, order: &T) {
    let central = cluster.client("central-bank");
    let operation: desk::Operation = central.post(path, order).await.unwrap();
    let operation = ended(&central, operation).await;
    assert_eq!(operation.state, "confirmed", "{operation:?}");
    wait_until(30, "all nodes are at one height", async || cluster.same_tip().await.is_some()).await;
}

async fn registers_the_feed(cluster: &Cluster) {
    let publishers = (0..3).map(|index| publisher(index).public_key().to_string()).collect();
    let feed = doc::NewFeed {
        name: FEED.into(),
        unit: "percent".into(),
        scale: 2,
        frequency: "monthly".into(),
        publishers,
        threshold: 2,
        step_max: 100,
        idempotency_key: None,
    };
    confirmed(cluster, "/v1/feeds", &feed).await;
}

/// By publishers 0 and 2, of the month in which the test runs. Any bank may carry it.
fn item(chain: &Chain, vintage: u32, value: i64) -> doc::NewItem {
    let now_ms = node::clock::now_ms();
    let period = Period::containing(Frequency::Monthly, now_ms).0.unsigned_abs();
    let head = ItemHead {
        feed: FeedNumber(1),
        period: ledger_types::Period(period),
        vintage: Vintage(vintage),
        scale: 2,
        published_ms: now_ms - 60_000,
        valid_until_ms: now_ms + 90 * DAY_MS,
    };
    let value = |index: u8| doc::SignedValue {
        publisher: index,
        value,
        signature: hex::encode(publisher(index).sign(&head.message(chain, value)).0),
    };
    doc::NewItem {
        period,
        vintage,
        published_ms: head.published_ms,
        valid_until_ms: head.valid_until_ms,
        values: vec![value(0), value(2)],
        idempotency_key: None,
    }
}

async fn publishes(cluster: &Cluster, vintage: u32, value: i64) {
    let item = item(cluster.trust().chain(), vintage, value);
    confirmed(cluster, &format!("/v1/feeds/{FEED}/items"), &item).await;
}

async fn deploys(cluster: &Cluster, contract: Option<u32>, source: &str) {
    let package = hex::encode(Package::of(source).unwrap().to_bytes());
    let report = Some("ab".repeat(32));
    let deployment = doc::NewDeployment { package, contract, notice: 2, report, idempotency_key: None };
    confirmed(cluster, "/v1/contracts", &deployment).await;
}

async fn in_force(cluster: &Cluster, version: u32) {
    wait_until(30, "the version binds", async || {
        let contract: doc::Contract = cluster.client("observer").get("/v1/contracts/1").await.unwrap();
        contract.summary.version_in_force == Some(version)
    })
    .await;
}

fn loan(to: &str, sector: &str, rate: i64) -> doc::NewLoan {
    let (to, sector) = (to.into(), sector.into());
    doc::NewLoan { contract: 1, to, amount: LENT, sector, rate, term_days: 365, idempotency_key: None }
}

async fn asked(bank: &Client, loan: &doc::NewLoan) -> desk::Payment {
    let asked: desk::Payment = bank.post("/v1/loans", loan).await.unwrap();
    decided(bank, &asked.id, 60).await
}

async fn denied(bank: &Client, loan: doc::NewLoan, why: Rejection) {
    let payment = asked(bank, &loan).await;
    let refusal = payment.refusal.as_ref().map(|refusal| refusal.number);
    assert_eq!((payment.state.as_str(), refusal), ("refused", Some(why.number())), "{payment:?}");
}

async fn vault(bank: &Client) -> desk::Wallet {
    bank.get("/v1/wallets/vault").await.unwrap()
}

async fn inert(bank: &Client) -> Vec<doc::InertMoney> {
    bank.get("/v1/inert").await.unwrap()
}

async fn inert_and_live(bank: &Client, amount: u64) {
    wait_until(60, "the inert money is live", async || {
        inert(bank).await.iter().map(|money| money.live).sum::<u64>() == amount
    })
    .await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn inert_money_is_lent_when_its_contract_permits_and_returned_at_the_rate_of_the_day() {
    let cluster = Cluster::up(124, 20).await;
    let (bank2, observer) = (cluster.client("bank2"), cluster.client("observer"));
    let trust = cluster.trust();
    wallet(&cluster.client("bank3"), "farm").await;

    registers_the_feed(&cluster).await;
    publishes(&cluster, 0, 345).await;
    let next_year = year_of(node::clock::now_ms()) + 1;
    deploys(&cluster, None, &policy(1, &format!("{next_year}-01-01"))).await;
    in_force(&cluster, 1).await;
    let contract: doc::Contract = observer.get("/v1/contracts/1").await.unwrap();
    assert_eq!((contract.summary.name.as_str(), contract.summary.state.as_str()), ("lending", "in_force"));
    assert_eq!(contract.versions[0].report, Some("ab".repeat(32)));
    let source = Package::of(&policy(1, &format!("{next_year}-01-01"))).unwrap();
    assert_eq!(contract.versions[0].source, source.source);
    assert_eq!(contract.versions[0].explanation_zh, source.chinese);

    // It lies apart: the vault has no more to pay with than before.
    let before = vault(&bank2).await.live;
    let issue = desk::NewIssue { bank: 2, series: 1, amount: ISSUED, coins: 2, contract: 1, idempotency_key: None };
    confirmed(&cluster, "/v1/issues", &issue).await;
    inert_and_live(&bank2, ISSUED).await;
    assert_eq!(vault(&bank2).await.live, before);
    let more = payment("vault", "vault@bank3", before + 1, "");
    assert!(
        matches!(bank2.pay(&more).await, Err(ClientError::Refused(problem)) if problem.code == "insufficient_funds")
    );

    // Every validator says no, and nothing of it is left.
    let farm = "farm@bank3";
    denied(&bank2, loan(farm, "A01", 39_500), Rejection::DeniedNotYet).await;
    let year = next_year - 1;
    deploys(&cluster, Some(1), &policy(2, &format!("{year}-01-01"))).await;
    in_force(&cluster, 2).await;
    denied(&bank2, loan(farm, "K64", 39_500), Rejection::DeniedSector).await;
    denied(&bank2, loan(farm, "A01", 39_600), Rejection::DeniedLoanRate).await;
    let itself: Result<desk::Payment, _> = bank2.post("/v1/loans", &loan("vault@bank2", "A01", 39_500)).await;
    assert!(matches!(itself, Err(ClientError::Refused(problem)) if problem.code == "lent_to_the_lender"));
    inert_and_live(&bank2, ISSUED).await;

    // What it permits comes out as plain money, and the rest stays inert under the version that it was issued under.
    let lent = asked(&bank2, &loan(farm, "A01", 39_500)).await;
    let lent = reached(&bank2, &lent.id, "confirmed", 60).await;
    assert_eq!((lent.from.as_str(), lent.to.as_str()), ("vault", farm));
    wait_until(60, "the payee's bank has heard of it too", async || {
        let farm: desk::Wallet = cluster.client("bank3").get("/v1/wallets/farm").await.unwrap();
        farm.live == LENT
    })
    .await;
    inert_and_live(&bank2, ISSUED - LENT).await;
    assert!(inert(&bank2).await.iter().all(|money| money.version == 1));
    let spent = cluster.client("bank3").pay(&payment("farm", "vault@bank4", 100, "seed")).await.unwrap();
    reached(&cluster.client("bank3"), &spent.id, "confirmed", 60).await;

    let loans: Vec<doc::Loan> = bank2.get("/v1/loans").await.unwrap();
    let [open] = &loans[..] else { panic!("{loans:?}") };
    assert_eq!((open.state.as_str(), open.return_rate, open.sector.as_str()), ("open", Some(24_500), "A01"));
    let mut owed: Vec<doc::Obligation> = Vec::new();
    wait_until(60, "the observer has the loan", async || {
        owed = observer.get("/v1/obligations?contract=1").await.unwrap();
        !owed.is_empty()
    })
    .await;
    assert_eq!((owed.len(), &owed[0].obligation, owed[0].version), (1, &open.obligation, 2));
    let path = format!("/v1/receipts/{}", open.obligation);
    assert!(observer.get::<doc::ProvedReceipt>(&path).await.is_err());

    false_statement_is_in_the_log(&cluster, &open.obligation).await;

    // The benchmark is revised, and the rate of the return with it.
    publishes(&cluster, 1, 295).await;
    let feed: doc::Feed = observer.get(&format!("/v1/feeds/{FEED}")).await.unwrap();
    assert_eq!(feed.items.iter().map(|item| (item.vintage, item.value)).collect::<Vec<_>>(), [(0, 345), (1, 295)]);
    let redeemed = supply(&observer).await.redeemed;
    let ask = doc::NewReturn { from: "vault".into(), idempotency_key: None };
    let return_path = format!("/v1/loans/{}/return", open.obligation);
    let paid: desk::Payment = bank2.post(&return_path, &ask).await.unwrap();
    let again: desk::Payment = bank2.post(&return_path, &ask).await.unwrap();
    assert_eq!(paid.id, again.id, "asked twice, paid once");
    reached(&bank2, &paid.id, "confirmed", 60).await;
    let mut returned = None;
    wait_until(60, "the loan is returned", async || {
        let loans: Vec<doc::Loan> = bank2.get("/v1/loans").await.unwrap();
        returned = loans.into_iter().find(|loan| loan.state == "returned");
        returned.is_some()
    })
    .await;
    let returned = returned.unwrap();
    assert_eq!(returned.return_rate, Some(5_000));
    assert_eq!(returned.owed, Some(paid.amount), "what was paid is what was owed");

    // Everybody can prove the receipt, and nobody sees the bank in it.
    wait_until(60, "the receipt is in the log", async || observer.get::<doc::ProvedReceipt>(&path).await.is_ok()).await;
    let receipt: doc::ProvedReceipt = observer.get(&path).await.unwrap();
    assert_eq!((receipt.receipt.rate, receipt.receipt.version, receipt.receipt.inputs[0].value), (5_000, 2, Some(295)));
    let proof = LeafProof::from_bytes(&hex::decode(&receipt.proof).unwrap()).unwrap();
    let asked = EntryKey::Obligation(ObligationId::from_hex(&open.obligation).unwrap());
    let Verdict::Verified(leaf) = verify_leaf(trust, &asked, &proof, node::clock::now_ms()) else {
        panic!("{receipt:?}")
    };
    assert!(
        matches!(leaf.leaf(), LogLeaf::Receipt(logged) if logged.rate == 5_000 && logged.obligation.to_string() == open.obligation)
    );
    let all: Vec<doc::Receipt> = observer.get("/v1/receipts?contract=1").await.unwrap();
    assert_eq!(all, [receipt.receipt]);
    assert!(observer.get::<Vec<doc::Obligation>>("/v1/obligations?contract=1").await.unwrap().is_empty());
    wait_until(60, "the returned money is retired", async || {
        supply(&observer).await.redeemed == redeemed + u128::from(paid.amount)
    })
    .await;

    // What nobody lent goes back when the contract is retired.
    confirmed(&cluster, "/v1/contracts/1/retire", &doc::NewRetirement { notice: 2, idempotency_key: None }).await;
    wait_until(30, "the contract is retired", async || {
        let contract: doc::Contract = observer.get("/v1/contracts/1").await.unwrap();
        contract.summary.state == "retired"
    })
    .await;
    let proved: doc::Contract = observer.get("/v1/contracts/1").await.unwrap();
    let entry = EntryProof::from_bytes(&hex::decode(proved.proof.unwrap()).unwrap()).unwrap();
    assert!(matches!(
        verify_entry(trust, &EntryKey::Contract(ContractNumber(1)), &entry, node::clock::now_ms()),
        Verdict::Verified(_)
    ));
    let idle: Vec<String> = inert(&bank2).await.into_iter().flat_map(|money| money.coins).collect();
    confirmed(&cluster, "/v1/reclaims", &doc::NewReclaim { contract: 1, coins: idle, idempotency_key: None }).await;
    wait_until(60, "the bank's desk holds nothing inert", async || {
        inert(&bank2).await.iter().all(|money| money.coins.is_empty())
    })
    .await;
}

/// The farm keeps a shop: officers say so in public, with the bank's own statement, and without the bank.
async fn false_statement_is_in_the_log(cluster: &Cluster, obligation: &str) {
    let (central, bank2, observer) =
        (cluster.client("central-bank"), cluster.client("bank2"), cluster.client("observer"));
    let evidence = "cd".repeat(32);
    let dispute = |sector: &str| doc::NewDispute {
        loan: obligation.into(),
        sector: sector.into(),
        basis: "SRV-12".into(),
        evidence: evidence.clone(),
        idempotency_key: None,
    };
    let agrees: Result<desk::Operation, _> = central.post("/v1/disputes", &dispute("A")).await;
    assert!(matches!(agrees, Err(ClientError::Refused(problem)) if problem.code == "statement_does_not_fit"));
    let by_a_bank: Result<desk::Operation, _> = bank2.post("/v1/disputes", &dispute("G47")).await;
    assert!(matches!(by_a_bank, Err(ClientError::Refused(problem)) if problem.code == "not_the_central_bank"));
    confirmed(cluster, "/v1/disputes", &dispute("G47")).await;
    let mut logged: Vec<doc::FalseStatement> = Vec::new();
    wait_until(60, "the dispute is in the log", async || {
        logged = observer.get("/v1/disputes?contract=1").await.unwrap();
        !logged.is_empty()
    })
    .await;
    let [statement] = &logged[..] else { panic!("{logged:?}") };
    assert_eq!((statement.obligation.as_str(), statement.contract), (obligation, 1));
    assert_eq!((statement.stated.as_str(), statement.found.as_str()), ("A01", "G47"));
    assert_eq!((statement.basis.as_str(), &statement.evidence), ("SRV-12", &evidence));
    let proved: doc::ProvedFalseStatement = observer.get(&format!("/v1/disputes/{}", statement.index)).await.unwrap();
    let proof = LeafProof::from_bytes(&hex::decode(&proved.proof).unwrap()).unwrap();
    let asked = EntryKey::Obligation(ObligationId::from_hex(obligation).unwrap());
    let verdict = verify_leaf(cluster.trust(), &asked, &proof, node::clock::now_ms());
    let Verdict::Verified(leaf) = verdict else { panic!("{proved:?}") };
    assert!(matches!(leaf.leaf(), LogLeaf::FalseStatement(logged) if logged.obligation.to_string() == obligation));
    wait_until(60, "the bank's desk knows of the dispute", async || {
        let loans: Vec<doc::Loan> = bank2.get("/v1/loans").await.unwrap();
        loans[0].dispute.as_ref().is_some_and(|dispute| dispute.found == "G47")
    })
    .await;
}

struct Totals {
    redeemed: u128,
}

async fn supply(observer: &Client) -> Totals {
    let supply: ledger::Supply = observer.get("/v1/supply").await.unwrap();
    Totals { redeemed: supply.redeemed.parse().unwrap() }
}

fn year_of(now_ms: u64) -> i32 {
    Period::containing(Frequency::Yearly, now_ms).0
}
