//! Registration's part in reconciliation (R-7): it asks every bank, every period, and tells each what was found.
//!
//! ```text
//! height H ─▶ own accounts after H, pinned and read ─┐
//!          ─▶ each bank's signed claim after H ──────┴─▶ ranges that differ ─▶ typed ─▶ judged by the registry ─▶ signed report
//! ```
//! What stays true here:
//! - Whatever a bank answers costs no more than bounded questions, and delays no other duty of registration's.
//! - The operator asks by files in this process's own folder (record 062): there is no port to ask through.

use super::RegistrationError;
use super::books::{Mend, ReadBooks};
use super::follow::{Look, Work, ask};
use super::registrar::Progress;
use super::trust::ChainTrust;
use crate::clock::now_ms;
use crate::link::{Links, Request, Response};
use crate::reconciliation::classify::classify;
use crate::reconciliation::findings::{Findings, FindingsError, Found, shown_coin};
use crate::reconciliation::set::Bisection;
use crate::reconciliation::wire::{Answer, Question};
use crate::reconciliation::words::{Registered, Repair};
use crate::reconciliation::{AsOf, claim, is_comparable, words};
use ledger_types::coin::CoinStatus;
use ledger_types::keys::{Signature, SigningKey};
use ledger_types::reconciliation::{
    DIFFERENCES_MAX, Difference, ReconciliationClaim, ReconciliationReport, ReconciliationSide,
};
use ledger_types::{CoinId, Decode, Encode, Height, List, ParticipantNumber};
use ledger_verify::{Answer as RegistryAnswer, CoinProof, Verdict, verify_coin};
use node_api::Problem;
use node_api::reconciliation as doc;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::{Duration, Instant};
use tokio::sync::{mpsc, oneshot, watch};

/// Between looks for an operator's request.
const REQUESTS_EVERY: Duration = Duration::from_millis(500);
/// How often a common height is looked for: a busy chain runs ahead of the first one.
const ATTEMPTS: usize = 5;
/// Heights from now: far enough for every bank to hear of it first.
const HEIGHTS_AHEAD: u64 = 2;
/// For a bank to come to the height: an idle chain makes one a minute.
const CLAIM_WITHIN: Duration = Duration::from_secs(200);
const CLAIM_WAIT_MS: u32 = 10_000;
/// To one bank in one run: ten thousand differences take a few hundred.
const QUESTIONS_MAX: usize = 2_000;
/// Records of one run that the registry is asked for; beyond them the blame is unknown.
const PROOFS_MAX: usize = 1_000;

pub(crate) struct Reconciling {
    pub key: SigningKey,
    pub findings: Arc<Findings>,
    /// Where an operator of this machine leaves requests.
    pub requests: PathBuf,
    pub every: Duration,
    pub trust: ChainTrust,
    /// Whom to ask for the registry's records.
    pub validator: ParticipantNumber,
}

/// A signed claim of a bank.
struct Claimed {
    claim: ReconciliationClaim,
    bytes: Vec<u8>,
    signature: Signature,
}

struct Session<'a> {
    reconciling: &'a Reconciling,
    links: &'a Links,
    bank: ParticipantNumber,
    questions: usize,
}

impl Reconciling {
    /// Until registration ends.
    pub async fn run(self, links: Arc<Links>, works: mpsc::Sender<Work>, mut heights: watch::Receiver<Progress>) {
        // A restart does not put a run off that is due; a new registration waits for its first period.
        let since = match self.findings.counts(0).last_run_ms {
            0 => Duration::ZERO,
            last_run_ms => Duration::from_millis(now_ms().saturating_sub(last_run_ms)),
        };
        let mut next = Instant::now() + self.every.saturating_sub(since);
        let mut ticks = tokio::time::interval(REQUESTS_EVERY);
        loop {
            ticks.tick().await;
            for path in waiting_requests(&self.requests) {
                let reply = match self.take_request(&path, &links, &works, &mut heights).await {
                    Ok(()) => doc::Reply::Done(self.findings.document()),
                    Err(problem) => doc::Reply::Refused(problem),
                };
                answer_request(&path, &reply);
            }
            if Instant::now() >= next {
                self.run_with_all(&links, &works, &mut heights).await;
                next = Instant::now() + self.every;
            }
            if works.is_closed() {
                return;
            }
        }
    }

    async fn take_request(
        &self,
        path: &Path,
        links: &Links,
        works: &mpsc::Sender<Work>,
        heights: &mut watch::Receiver<Progress>,
    ) -> Result<(), Problem> {
        let bytes = std::fs::read(path).map_err(|error| problem(500, "file", error.to_string()))?;
        let request =
            serde_json::from_slice(&bytes).map_err(|error| problem(400, "malformed_json", error.to_string()))?;
        match request {
            doc::Request::Run => self.run_with_all(links, works, heights).await,
            doc::Request::Mute { id, mute } => self.findings.mute(&id, mute, now_ms()).map_err(refused)?,
            doc::Request::Unmute { id } => self.findings.unmute(&id).map_err(refused)?,
            doc::Request::Repair { id } => self.repair(&id, links, works).await?,
        }
        Ok(())
    }

    pub(crate) async fn repair(&self, id: &str, links: &Links, works: &mpsc::Sender<Work>) -> Result<(), Problem> {
        let found = self.findings.find(id).map_err(refused)?;
        if found.repair.as_deref() != Some(Repair::MendAccount.name()) {
            return Err(problem(422, "nothing_to_repair_here", found.explanation));
        }
        let coin = shown_coin(&found).ok_or_else(|| problem(500, "internal", "the finding names no coin"))?;
        // The record as it is now, not as it was when the difference was found.
        let registered = self.registered(links, coin).await;
        let registered =
            registered.ok_or_else(|| problem(503, "no_proof", "the validator gives no proof that verifies"))?;
        let (done, outcome) = oneshot::channel();
        let work = Work::Mend { mend: Mend { coin, registered }, done };
        works.send(work).await.map_err(|_| problem(503, "stopping", "registration stops"))?;
        let what = outcome.await.map_err(|_| problem(503, "stopping", "registration stops"))?;
        let what = what.map_err(|why| problem(422, "cannot_be_mended", why))?;
        self.findings.note_repair(id, now_ms(), what.to_owned()).map_err(refused)
    }

    /// Compares with every bank as of one height.
    pub async fn run_with_all(
        &self,
        links: &Links,
        works: &mpsc::Sender<Work>,
        heights: &mut watch::Receiver<Progress>,
    ) {
        let banks: Vec<ParticipantNumber> = links.peers().collect();
        let mut at = Height(heights.borrow().height);
        let mut failure = "nothing is ordered yet".to_owned();
        for _ in 0..ATTEMPTS {
            if at == Height::GENESIS {
                break;
            }
            let (answer, look) = oneshot::channel();
            if works.send(Work::Look { at, books: answer }).await.is_err() {
                return;
            }
            let claims = banks.iter().map(|bank| self.session(links, *bank).claim(at));
            let (look, claims) = tokio::join!(look, futures::future::join_all(claims));
            let passed = claims.iter().filter_map(|claim| claim.as_ref().err()?.passed());
            let own = match &look {
                Ok(Look::Passed(height)) => Some(*height),
                _ => None,
            };
            if let Some(height) = passed.chain(own).max() {
                at = Height(height.0.max(heights.borrow().height) + HEIGHTS_AHEAD);
                failure = format!("no common height was found in {ATTEMPTS} attempts");
                continue;
            }
            let Ok(Look::Read(books)) = look else {
                failure = "the accounts cannot be read".to_owned();
                break;
            };
            for (bank, claim) in banks.iter().zip(claims) {
                let mut session = self.session(links, *bank);
                let outcome = match claim {
                    Ok(claimed) => session.compare(&books, claimed).await,
                    Err(NoClaim::Failed(why)) => Err(why),
                    Err(NoClaim::Passed(_)) => unreachable!("sorted out above"),
                };
                if let Err(why) = outcome {
                    self.fail(*bank, why);
                }
            }
            return;
        }
        banks.iter().for_each(|bank| self.fail(*bank, failure.clone()));
    }

    fn fail(&self, bank: ParticipantNumber, why: String) {
        tracing::warn!(%bank, why, "reconciliation failed");
        if let Err(error) = self.findings.take_failure(bank.0, now_ms(), why) {
            tracing::error!(%error, "cannot keep what reconciliation found");
        }
    }

    fn session<'a>(&'a self, links: &'a Links, bank: ParticipantNumber) -> Session<'a> {
        Session { reconciling: self, links, bank, questions: 0 }
    }

    /// What the registry says of a coin, proved.
    async fn registered(&self, links: &Links, coin: CoinId) -> Option<Registered> {
        let question = Question::CoinProof { coin: coin.0 };
        let Ok(Response::Reconcile(Answer::Proof(bytes))) =
            ask(links, self.validator, Request::Reconcile(question)).await
        else {
            return None;
        };
        let proof = CoinProof::from_bytes(&bytes).ok()?;
        let trust = self.trust.after(proof.state.state_leaf.height);
        match verify_coin(&trust, &coin, &proof, now_ms()) {
            Verdict::Verified(verified) => Some(registered(verified.answer())),
            other => {
                tracing::error!(%coin, ?other, "the validator's proof of a coin does not verify");
                None
            }
        }
    }
}

pub(crate) fn registered(answer: RegistryAnswer) -> Registered {
    match answer {
        RegistryAnswer::Absent => Registered::Absent,
        RegistryAnswer::Present(record) => Registered::Record { status: record.status, tag: record.tag },
    }
}

enum NoClaim {
    Passed(Height),
    Failed(String),
}

impl NoClaim {
    fn passed(&self) -> Option<Height> {
        match self {
            NoClaim::Passed(height) => Some(*height),
            NoClaim::Failed(_) => None,
        }
    }
}

impl Session<'_> {
    async fn ask(&mut self, question: Question) -> Result<Answer, String> {
        self.questions += 1;
        if self.questions > QUESTIONS_MAX {
            return Err(format!("more than {QUESTIONS_MAX} questions"));
        }
        match ask(self.links, self.bank, Request::Reconcile(question)).await {
            Ok(Response::Reconcile(answer)) => Ok(answer),
            Ok(_) => Err("the bank's answer does not fit the question".into()),
            Err(error) => Err(error.to_string()),
        }
    }

    async fn claim(mut self, at: Height) -> Result<Claimed, NoClaim> {
        let deadline = Instant::now() + CLAIM_WITHIN;
        loop {
            let question = Question::Claim { height: at.0, wait_ms: CLAIM_WAIT_MS };
            match self.ask(question).await.map_err(NoClaim::Failed)? {
                Answer::Claim { claim: bytes, signature } => {
                    let malformed = |_| NoClaim::Failed("the bank's claim does not decode".into());
                    let claim = ReconciliationClaim::from_bytes(&bytes).map_err(malformed)?;
                    let signature = Signature::from_bytes(&signature).map_err(malformed)?;
                    return Ok(Claimed { claim, bytes, signature });
                }
                Answer::Passed { height } if height > at.0 => return Err(NoClaim::Passed(Height(height))),
                Answer::NotYet { .. } if Instant::now() < deadline => {}
                Answer::NotYet { height } => {
                    return Err(NoClaim::Failed(format!("the bank's desk stands at height {height}, not at {at}")));
                }
                _ => return Err(NoClaim::Failed("the bank's answer does not fit the question".into())),
            }
        }
    }

    async fn compare(&mut self, books: &ReadBooks, theirs: Claimed) -> Result<(), String> {
        let (chain, bank) = (*self.reconciling.trust.chain(), self.bank);
        let as_of = books.as_of;
        let own_sets = books.sets(bank).ok_or("the directory does not name the bank")?;
        let desk = books.directory.get(bank).ok_or("the directory does not name the bank")?.keys.desk;
        if !desk.verify(&theirs.claim.message(&chain), &theirs.signature) {
            return Err("the bank's claim is not signed by its desk".into());
        }
        let own = claim(&chain, ReconciliationSide::RegistrationCentre, bank, &as_of, own_sets);
        if !is_comparable(&own, &theirs.claim) {
            return Err(format!("the bank's claim is not about height {} and batch {}", as_of.height, as_of.batch));
        }
        let signature = self.reconciling.key.sign(&own.message(&chain));
        let told = Question::CentreClaims { claim: own.to_bytes(), signature: signature.0.to_vec() };
        self.ask(told).await?;

        let mut by_status: Vec<(CoinStatus, _)> = Vec::new();
        let mut is_cut = false;
        for (set, line) in own_sets.iter().zip(&theirs.claim.sets) {
            let mut bisection = Bisection::new(chain, set, *line, DIFFERENCES_MAX);
            while let Some(ranges) = bisection.question() {
                let (height, status) = (as_of.height.0, set.status().number());
                let answers = match self.ask(Question::Ranges { height, status, ranges }).await? {
                    Answer::Ranges(answers) => answers,
                    _ => return Err("the bank's answer does not fit the question".into()),
                };
                bisection.take(&answers).map_err(|fault| format!("the bank's set: {fault}"))?;
            }
            let found = bisection.finish().map_err(|fault| format!("the bank's set: {fault}"))?;
            is_cut |= found.is_cut;
            by_status.push((set.status(), found));
        }
        let late = own_sets[0].items();
        let mut differences = classify(&by_status, late, &books.centre(bank));
        let unnamed = differences.len().saturating_sub(DIFFERENCES_MAX) as u64 + u64::from(is_cut);
        differences.truncate(DIFFERENCES_MAX);

        let report = ReconciliationReport {
            bank,
            height: as_of.height,
            block: as_of.block,
            batch: as_of.batch,
            differences: List::new(differences.clone()).expect("they were cut to what fits"),
            unnamed,
        };
        let report_signature = self.reconciling.key.sign(&report.message(&chain));
        let told = Question::Report { report: report.to_bytes(), signature: report_signature.0.to_vec() };
        let failure = match self.ask(told).await {
            Ok(Answer::Taken) => None,
            Ok(_) => Some("the bank's answer to the report does not fit".to_owned()),
            Err(why) => Some(format!("the bank did not take the report: {why}")),
        };
        let found = self.judge(differences).await;
        let run = doc::Run {
            failure,
            evidence: Some(doc::Evidence {
                bank_claim: hex::encode(&theirs.bytes),
                bank_signature: hex::encode(theirs.signature.0),
                centre_claim: hex::encode(own.to_bytes()),
                centre_signature: hex::encode(signature.0),
                report_signature: hex::encode(report_signature.0),
            }),
            ..run_of(bank, &as_of, &own, &theirs.claim, unnamed)
        };
        tracing::info!(%bank, height = %as_of.height, differences = found.len(), "reconciled");
        self.reconciling.findings.take_run(run, &found).map_err(|error| error.to_string())
    }

    /// Asks the registry whose record is wrong.
    async fn judge(&self, differences: Vec<Difference>) -> Vec<Found> {
        let mut found = Vec::with_capacity(differences.len());
        for (place, difference) in differences.into_iter().enumerate() {
            let registered = match place < PROOFS_MAX {
                true => self.reconciling.registered(self.links, difference.coin).await,
                false => None,
            };
            found.push(Found { difference, registered });
        }
        found
    }
}

/// A run as both sides show it.
pub(crate) fn run_of(
    bank: ParticipantNumber,
    as_of: &AsOf,
    centre: &ReconciliationClaim,
    at_bank: &ReconciliationClaim,
    unnamed: u64,
) -> doc::Run {
    let sets = at_bank.sets.iter().zip(&centre.sets);
    doc::Run {
        bank: bank.0,
        at_ms: now_ms(),
        height: as_of.height.0,
        block: as_of.block.to_string(),
        batch: as_of.batch.0,
        sets: sets
            .map(|(bank, centre)| doc::Set {
                status: words::status(bank.status).into(),
                at_bank: bank.count,
                at_centre: centre.count,
            })
            .collect(),
        unnamed,
        ..doc::Run::default()
    }
}

fn problem(status: u16, code: &str, detail: impl Into<String>) -> Problem {
    Problem::new(status, code, "Reconciliation does not take this", detail)
}

fn refused(error: FindingsError) -> Problem {
    let (status, code) = error.status_and_code();
    problem(status, code, error.to_string())
}

fn waiting_requests(folder: &Path) -> Vec<PathBuf> {
    let Ok(items) = std::fs::read_dir(folder) else { return Vec::new() };
    let mut paths: Vec<PathBuf> = items
        .filter_map(|item| Some(item.ok()?.path()))
        .filter(|path| path.extension().is_some_and(|extension| extension == "json"))
        .collect();
    paths.sort();
    paths
}

/// The answer is whole when it is there; the request goes.
fn answer_request(path: &Path, reply: &doc::Reply) {
    let answered = serde_json::to_vec_pretty(reply).map_err(std::io::Error::other).and_then(|bytes| {
        let building = path.with_extension("tmp");
        std::fs::write(&building, bytes)?;
        std::fs::rename(&building, path.with_extension("answer"))?;
        std::fs::remove_file(path)
    });
    if let Err(error) = answered {
        tracing::error!(path = %path.display(), %error, "cannot answer an operator's request");
        let _ = std::fs::remove_file(path);
    }
}

/// What registration keeps of reconciliation lies in its state folder.
pub(super) fn folders(state: &Path) -> Result<(Arc<Findings>, PathBuf), RegistrationError> {
    let findings = Findings::open(&state.join("reconciliation.json"), ReconciliationSide::RegistrationCentre)?;
    let requests = state.join("reconciliation-requests");
    std::fs::create_dir_all(&requests)
        .map_err(|source| FindingsError::Io { path: requests.clone(), source })
        .map_err(RegistrationError::Findings)?;
    Ok((Arc::new(findings), requests))
}
