//! Payments without a pause, and what their payers were told.

use crate::cluster::{Cluster, NODES, payment, verify_status};
use futures::future::join_all;
use ledger_verify::Trust;
use node_api::{Client, ClientError, desk};
use std::collections::BTreeMap;
use std::io::Write;
use std::path::Path;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};
use tokio::task::JoinHandle;

/// Who pays whom: each bank is a payer and a payee, so whichever dies, both ends of payments die.
const PAYERS: [(&str, &str); 3] = [("bank2", "bank3"), ("bank3", "bank4"), ("bank4", "bank2")];
const TWO_PAYERS: [(&str, &str); 2] = [("bank2", "bank3"), ("bank3", "bank2")];
const PAYMENTS_AT_ONCE: usize = 8;
/// As many as keep a machine of few cores busy, so that it carries no more with a shorter way.
const MANY_AT_ONCE: usize = 240;
pub const AMOUNT: u64 = 10;
/// A payment that was taken is ordered so long after it at the latest, faults and a busy machine included.
const ORDERED_WITHIN: Duration = Duration::from_secs(600);
const PAUSE: Duration = Duration::from_millis(50);

/// Envelopes that a client holds an acknowledgement of, with the height: a commit certificate and a path to the accepted verdict,
/// both verified from the genesis. Written to a file of the client's as they come.
pub struct Journal {
    acknowledged: BTreeMap<String, u64>,
    file: std::fs::File,
}

impl Journal {
    fn new(path: &Path) -> Self {
        Journal { acknowledged: BTreeMap::new(), file: std::fs::File::create_new(path).unwrap() }
    }

    /// Panics if the envelope was acknowledged at another height before: two blocks would hold it.
    fn add(&mut self, envelope: &str, height: u64) {
        match self.acknowledged.insert(envelope.to_owned(), height) {
            None => writeln!(self.file, "{envelope}\t{height}").unwrap(),
            Some(before) => assert_eq!(before, height, "{envelope} is acknowledged at two heights"),
        }
    }
}

/// Payers at work until they are told to stop.
pub struct Load {
    journal: Arc<Mutex<Journal>>,
    stop: Arc<AtomicBool>,
    /// Of each payer, how many times all that it pays at once was ordered.
    rounds: Vec<Arc<AtomicU64>>,
    payers: Vec<JoinHandle<Vec<(&'static str, String)>>>,
}

/// What the payers leave behind.
pub struct Paid {
    /// Envelope and height, by envelope.
    pub acknowledged: BTreeMap<String, u64>,
    /// The payer's bank and the payment's id there.
    pub payments: Vec<(&'static str, String)>,
}

impl Load {
    /// `journal` is a file that does not exist yet, on no disk that will be faulted.
    pub fn start(cluster: &Cluster, journal: &Path) -> Self {
        Load::of(cluster, journal, &PAYERS, PAYMENTS_AT_ONCE)
    }

    /// Bank 4 neither pays nor is paid.
    pub fn without_bank_4(cluster: &Cluster, journal: &Path) -> Self {
        Load::of(cluster, journal, &TWO_PAYERS, PAYMENTS_AT_ONCE)
    }

    /// The same with as many payments at once as show what the nodes carry.
    pub fn many_without_bank_4(cluster: &Cluster, journal: &Path) -> Self {
        Load::of(cluster, journal, &TWO_PAYERS, MANY_AT_ONCE)
    }

    fn of(cluster: &Cluster, journal: &Path, payers: &[(&'static str, &'static str)], at_once: usize) -> Self {
        let journal = Arc::new(Mutex::new(Journal::new(journal)));
        let stop = Arc::new(AtomicBool::new(false));
        let rounds: Vec<Arc<AtomicU64>> = payers.iter().map(|_| Arc::default()).collect();
        let payers = payers.iter().zip(&rounds).map(|(&(bank, payee), rounds)| {
            let payer = Payer {
                bank: cluster.client(bank),
                payee: format!("vault@{payee}"),
                nodes: NODES.map(|node| cluster.client(node)).to_vec(),
                trust: cluster.trust().clone(),
                journal: journal.clone(),
                at_once,
            };
            let (stop, rounds) = (stop.clone(), rounds.clone());
            tokio::task::spawn_local(async move {
                let mut paid = Vec::new();
                while !stop.load(Ordering::Relaxed) {
                    let more = payer.pay_some(paid.len()).await;
                    paid.extend(more.into_iter().map(|id| (bank, id)));
                    rounds.fetch_add(1, Ordering::Relaxed);
                }
                paid
            })
        });
        let payers = payers.collect();
        Load { journal, stop, rounds, payers }
    }

    /// How many envelopes are acknowledged so far. Panics if a payer has given up: its own message says why.
    pub fn acknowledged(&self) -> usize {
        assert!(!self.payers.iter().any(JoinHandle::is_finished), "a payer gave up");
        self.journal.lock().unwrap().acknowledged.len()
    }

    /// Of each payer, how many times all that it pays at once was ordered: two more, and it has begun and ended something since.
    pub fn rounds(&self) -> Vec<u64> {
        self.rounds.iter().map(|rounds| rounds.load(Ordering::Relaxed)).collect()
    }

    /// What is acknowledged so far: envelope and height.
    pub fn so_far(&self) -> Vec<(String, u64)> {
        let journal = self.journal.lock().unwrap();
        journal.acknowledged.iter().map(|(envelope, height)| (envelope.clone(), *height)).collect()
    }

    /// Every payer ends what it has begun.
    pub async fn stop(self) -> Paid {
        self.stop.store(true, Ordering::Relaxed);
        let mut payments = Vec::new();
        for payer in self.payers {
            payments.extend(payer.await.unwrap());
        }
        let acknowledged = std::mem::take(&mut self.journal.lock().unwrap().acknowledged);
        Paid { acknowledged, payments }
    }
}

struct Payer {
    bank: Client,
    payee: String,
    nodes: Vec<Client>,
    trust: Trust,
    journal: Arc<Mutex<Journal>>,
    at_once: usize,
}

impl Payer {
    /// Some payments to the ledger's verdict; asks every node for its word on each. Gives their ids.
    async fn pay_some(&self, number: usize) -> Vec<String> {
        let batch: Vec<_> = (0..self.at_once)
            .map(|index| desk::NewPayment {
                idempotency_key: Some(format!("payment {}", number + index)),
                ..payment("vault", &self.payee, AMOUNT, "")
            })
            .collect();
        let started: Vec<desk::Payment> =
            answered("a bank takes payments", async || self.bank.post("/v1/payments/batch", &batch).await).await;
        assert_eq!(started.len(), batch.len(), "a bank answers every payment of a batch");
        join_all(started.into_iter().map(|started| async move {
            let envelope = self.ordered(&started.id).await;
            // Whoever answers now, the one that is about to fail too, must not take it back.
            for node in &self.nodes {
                let Ok(Ok(status)) = tokio::time::timeout(Duration::from_secs(2), node.envelope(&envelope)).await
                else {
                    continue;
                };
                let verdict = verify_status(&self.trust, &status);
                let accepted = verdict.verified().unwrap_or_else(|| panic!("{} acknowledges falsely", node.base()));
                self.journal.lock().unwrap().add(&envelope, accepted.height().0);
            }
            started.id
        }))
        .await
    }

    /// The envelope of a payment, once a block holds it.
    async fn ordered(&self, id: &str) -> String {
        let deadline = Instant::now() + ORDERED_WITHIN;
        let path = format!("/v1/payments/{id}?wait=ordered&timeout_ms=2000");
        loop {
            // It was taken, so the bank must know it for ever.
            let now: desk::Payment = answered("a bank knows its payment", async || self.bank.get(&path).await).await;
            assert!(!matches!(now.state.as_str(), "refused" | "disputed"), "{now:?}");
            if now.state != "pending" {
                return now.envelope_id.expect("an ordered payment has an envelope");
            }
            assert!(Instant::now() < deadline, "a payment that was taken is never ordered: {now:?}");
        }
    }
}

/// Asks until somebody answers, as a payer does whose bank may fail at any moment: under one key it pays once. A bank that cannot
/// serve says so with a status of 500 or above; every other refusal is a fault.
pub async fn answered<T>(what: &str, mut ask: impl AsyncFnMut() -> Result<T, ClientError>) -> T {
    let deadline = Instant::now() + ORDERED_WITHIN;
    loop {
        let failed = match ask().await {
            Ok(given) => return given,
            Err(ClientError::Refused(problem)) if problem.status < 500 => panic!("{what}: {problem:?}"),
            Err(failed) => failed,
        };
        assert!(Instant::now() < deadline, "{what}: {failed}");
        tokio::time::sleep(PAUSE).await;
    }
}
