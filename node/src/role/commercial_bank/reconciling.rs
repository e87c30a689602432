//! The desk's part in reconciliation: it says what its book holds after a height, answers which ranges differ, keeps what
//! registration reports, and mends its own book.
//!
//! What must stay true:
//! - The claim is the book after one height, to the coin: it is taken under the desk's lock when that height is booked.
//! - What it mends it mends by the registry's record, proved by the validators' signatures, and by what opens to the coin's id:
//!   never by what registration says.

use super::book::{HeldCoin, VAULT};
use super::desk::{Inner, Shared};
use super::job::Job;
use super::journal::Stopped;
use super::rows::{KeptRow, ReleaseRow, RowError, Table};
use crate::clock::now_ms;
use crate::ledger::Committed;
use crate::link::{LinkRefusal, Response};
use crate::reconciliation::findings::{Findings, FindingsError, Found, shown_coin};
use crate::reconciliation::set::{CoinSet, RANGES_PER_QUESTION};
use crate::reconciliation::wire::{Answer, Question};
use crate::reconciliation::words::{self, Repair};
use crate::reconciliation::{AsOf, FourSets, LATE_AFTER_MS, claim, is_comparable};
use crate::role::registration::reconciling::run_of;
use crate::wallet_keys::owner_key;
use ledger_seal::{EnvelopeRoot, open_with_epoch};
use ledger_types::block::EnvelopeResult;
use ledger_types::bundle::BundleBody;
use ledger_types::coin::{CoinStatus, Opening, issue_origin, origin};
use ledger_types::confirmation::RecordStatus;
use ledger_types::envelope::{ClearContext, Envelope, TermsFlag};
use ledger_types::keys::Signature;
use ledger_types::reconciliation::{
    Difference, ReconciledCoin, ReconciliationClaim, ReconciliationReport, ReconciliationSide, reconciled_coin,
};
use ledger_types::sealed::Sealed;
use ledger_types::{BatchNumber, CoinId, Decode, Encode, EnvelopeId, Height, Origin};
use node_api::reconciliation as doc;
use std::collections::HashMap;
use std::sync::{Arc, Mutex, MutexGuard, OnceLock};
use std::time::Duration;
use tokio::sync::watch;

const WAIT_MAX_MS: u32 = 20_000;
/// Records of one report that the registry is asked for; beyond them the blame is unknown.
const PROOFS_MAX: usize = 1_000;
/// Finished jobs that are read at once.
const JOBS_PER_PAGE: usize = 1_000;

#[derive(Default)]
pub(crate) struct Reconciling {
    state: Mutex<State>,
    /// The last height that was looked at for a claim.
    noted: watch::Sender<Height>,
    findings: OnceLock<Findings>,
}

#[derive(Default)]
struct State {
    /// The height after which the next claim is taken.
    wanted: Option<Height>,
    /// What the book stands at; none before the registry's batch is known for sure.
    stands_at: Option<AsOf>,
    taken: Option<Taken>,
    claimed: Option<Arc<Claimed>>,
    /// When a claim first saw a coin unconfirmed, in block time.
    unconfirmed_since: HashMap<CoinId, u64>,
}

/// The book as it was after a height: enough to make the sets of, outside the lock.
struct Taken {
    as_of: AsOf,
    held: Vec<(CoinId, CoinStatus, Opening)>,
    kept: Vec<CoinId>,
    untouched: Box<dyn Iterator<Item = HeldCoin> + Send>,
}

struct Claimed {
    as_of: AsOf,
    sets: FourSets,
    claim: ReconciliationClaim,
    signature: Signature,
    /// What registration says of the same.
    centre: OnceLock<(ReconciliationClaim, Signature)>,
}

impl Reconciling {
    fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().expect("no holder of the claims panics")
    }

    /// From then on what is reported is kept there.
    pub fn keep(&self, findings: Findings) {
        let _ = self.findings.set(findings);
    }

    /// None only before the desk has started.
    pub fn findings(&self) -> Option<&Findings> {
        self.findings.get()
    }
}

/// The number of the last batch that the height accepted.
fn accepted_batch(committed: &Committed) -> Option<BatchNumber> {
    let mut results = committed.results.iter();
    let mut last = None;
    for bundle in &committed.bundles {
        let codes: Vec<u16> = results.by_ref().take(bundle.ids().len()).map(|result| result.code).collect();
        if let BundleBody::Confirmation(signed) = bundle.body()
            && codes.first() == Some(&EnvelopeResult::ACCEPTED)
        {
            last = Some(signed.batch.number);
        }
    }
    last
}

fn refused(code: &str, detail: impl Into<String>) -> Response {
    Response::Refused(LinkRefusal::new(code, detail))
}

impl Inner {
    /// The height is in the book. Under the desk's lock.
    pub fn note_height(&self, shared: &Shared, committed: &Committed) {
        let mut state = self.reconciling.state();
        let batch = accepted_batch(committed).or(state.stands_at.map(|as_of| as_of.batch));
        let batch = batch.or_else(|| {
            let ledger = self.ports.ledger();
            (ledger.height == committed.height).then_some(ledger.batch)
        });
        let (height, block, time_ms) = (committed.height, committed.hash, committed.time_ms);
        state.stands_at = batch.map(|batch| AsOf { height, block, time_ms, batch });
        if state.wanted == Some(height)
            && let Some(as_of) = state.stands_at
        {
            state.wanted = None;
            state.taken = Some(take(shared, as_of));
        }
        drop(state);
        self.reconciling.noted.send_replace(height);
    }

    pub async fn answer_reconciliation(self: Arc<Self>, question: Question) -> Response {
        let answer = match question {
            Question::Claim { height, wait_ms } => self.claim(Height(height), wait_ms).await,
            Question::CentreClaims { claim, signature } => self.centre_claims(&claim, &signature),
            Question::Ranges { height, status, ranges } => {
                let Some(claimed) = self.claimed(Height(height)) else { return no_claim() };
                let Some(place) = CoinStatus::ALL.iter().position(|known| known.number() == status) else {
                    return refused("unknown_status", "there is no such status");
                };
                if ranges.len() > RANGES_PER_QUESTION {
                    return refused("too_many_ranges", format!("at most {RANGES_PER_QUESTION} ranges a question"));
                }
                let chain = *self.chain();
                let answers = move || ranges.iter().map(|range| claimed.sets[place].answer(&chain, range)).collect();
                let answers = tokio::task::spawn_blocking(answers).await;
                return Response::Reconcile(Answer::Ranges(answers.expect("answering ranges does not panic")));
            }
            Question::Report { report, signature } => self.take_report(&report, &signature).await,
            Question::CoinProof { coin } => {
                let proof = self.ports.coin_proof(&CoinId(coin));
                proof.map(Answer::Proof).map_err(|why| LinkRefusal::new("no_proof", why))
            }
        };
        match answer {
            Ok(answer) => Response::Reconcile(answer),
            Err(refusal) => Response::Refused(refusal),
        }
    }

    fn claimed(&self, height: Height) -> Option<Arc<Claimed>> {
        self.reconciling.state().claimed.clone().filter(|claimed| claimed.as_of.height == height)
    }

    async fn claim(self: &Arc<Self>, height: Height, wait_ms: u32) -> Result<Answer, LinkRefusal> {
        let mut noted = self.reconciling.noted.subscribe();
        let deadline = tokio::time::Instant::now() + Duration::from_millis(wait_ms.min(WAIT_MAX_MS).into());
        loop {
            if let Some(claimed) = self.claimed(height) {
                let (claim, signature) = (claimed.claim.to_bytes(), claimed.signature.0.to_vec());
                return Ok(Answer::Claim { claim, signature });
            }
            let (taken, cursor) = self.take_at(height);
            match taken {
                Some(taken) => {
                    let desk = self.clone();
                    let made = tokio::task::spawn_blocking(move || desk.make_claim(taken)).await;
                    made.expect("making a claim does not panic").map_err(|error| {
                        tracing::error!(%error, "the book cannot be read for reconciliation");
                        LinkRefusal::new("internal", "the desk cannot read its rows")
                    })?;
                }
                None if cursor > height => return Ok(Answer::Passed { height: cursor.0 }),
                None => match tokio::time::timeout_at(deadline, noted.changed()).await {
                    Ok(Ok(())) => {}
                    _ => return Ok(Answer::NotYet { height: cursor.0 }),
                },
            }
        }
    }

    /// The book after this height, if it was taken or can be taken now; else it is taken when the height comes.
    fn take_at(&self, height: Height) -> (Option<Taken>, Height) {
        let shared = self.shared();
        let cursor = shared.cursor;
        let mut state = self.reconciling.state();
        if let Some(taken) = state.taken.take_if(|taken| taken.as_of.height == height) {
            return (Some(taken), cursor);
        }
        if cursor < height {
            state.wanted = Some(height);
        }
        if cursor != height {
            return (None, cursor);
        }
        let stands_at = state.stands_at.filter(|as_of| as_of.height == cursor).or_else(|| {
            // Nothing was booked since the start.
            let ledger = self.ports.ledger();
            let (height, block, time_ms, batch) = (ledger.height, ledger.block, ledger.time_ms, ledger.batch);
            (height == cursor).then_some(AsOf { height, block, time_ms, batch })
        });
        (stands_at.map(|as_of| take(&shared, as_of)), cursor)
    }

    fn make_claim(&self, taken: Taken) -> Result<(), RowError> {
        let Taken { as_of, held, kept, untouched } = taken;
        let chain = *self.chain();
        let mut items: HashMap<CoinStatus, Vec<ReconciledCoin>> = HashMap::new();
        let mut unconfirmed: Vec<(CoinId, ReconciledCoin)> = Vec::new();
        let mut add = |status, coin: CoinId, item| match status {
            CoinStatus::Unconfirmed => unconfirmed.push((coin, item)),
            status => items.entry(status).or_default().push(item),
        };
        for (coin, status, opening) in held {
            add(status, coin, reconciled_coin(&coin, &opening.owner_tag(&chain, &coin)));
        }
        for coin in untouched {
            add(CoinStatus::Live, coin.id, reconciled_coin(&coin.id, &coin.opening.owner_tag(&chain, &coin.id)));
        }
        // Of what is only kept for a recovery: the disputed coins that are in this bank's custody. Others are not in the book.
        for coin in kept {
            let Some(row) = self.rows.get::<KeptRow>(Table::Kept, &coin.0)? else { continue };
            let Ok(opening) = Opening::from_bytes(&row.opening) else { continue };
            if opening.coin_id(&chain, &Origin(row.origin), row.output_index, self.me) != coin {
                continue;
            }
            let item = reconciled_coin(&coin, &opening.owner_tag(&chain, &coin));
            match self.recorded_by(&coin, as_of.height) {
                Some(RecordStatus::Disputed) => add(CoinStatus::Disputed, coin, item),
                Some(_) => {}
                None => add(CoinStatus::Unconfirmed, coin, item),
            }
        }
        let mut state = self.reconciling.state();
        let since = std::mem::take(&mut state.unconfirmed_since);
        drop(state);
        let mut still = HashMap::new();
        let mut late = Vec::new();
        for (coin, item) in unconfirmed {
            let first_ms = since.get(&coin).copied().unwrap_or(as_of.time_ms);
            still.insert(coin, first_ms);
            // What the registry has confirmed already is no coin that waits.
            if first_ms + LATE_AFTER_MS <= as_of.time_ms || self.recorded_by(&coin, as_of.height).is_some() {
                late.push(item);
            }
        }
        items.insert(CoinStatus::Unconfirmed, late);
        let mut take = |status| CoinSet::new(self.me, status, items.remove(&status).unwrap_or_default());
        let four: Vec<CoinSet> = CoinStatus::ALL.iter().map(|status| take(*status)).collect();
        let sets: FourSets = four.try_into().expect("there are four statuses");
        let claim = claim(&chain, ReconciliationSide::Bank, self.me, &as_of, &sets);
        let signature = self.desk_key.sign(&claim.message(&chain));
        let claimed = Claimed { as_of, sets, claim, signature, centre: OnceLock::new() };
        let mut state = self.reconciling.state();
        state.unconfirmed_since = still;
        state.claimed = Some(Arc::new(claimed));
        Ok(())
    }

    /// What a batch at or below the height says of the coin, as this bank's own replica has it.
    fn recorded_by(&self, coin: &CoinId, height: Height) -> Option<RecordStatus> {
        let record = self.ports.record(coin).unwrap_or_else(|error| {
            tracing::error!(%coin, error, "cannot read a record");
            None
        });
        record.filter(|record| record.height <= height).map(|record| record.status)
    }

    fn centre_claims(&self, bytes: &[u8], signature: &[u8]) -> Result<Answer, LinkRefusal> {
        let malformed = |_| LinkRefusal::new("malformed", "the claim does not decode");
        let claim = ReconciliationClaim::from_bytes(bytes).map_err(malformed)?;
        let signature = Signature::from_bytes(signature).map_err(malformed)?;
        let claimed = self.claimed(claim.height).ok_or_else(no_claim_refusal)?;
        self.signed_by_registration(&claim.message(self.chain()), &signature)?;
        if !is_comparable(&claimed.claim, &claim) {
            return Err(LinkRefusal::new("other_state", "the claim is not about the state that this bank's is about"));
        }
        let _ = claimed.centre.set((claim, signature));
        Ok(Answer::Taken)
    }

    fn signed_by_registration(&self, message: &[u8; 32], signature: &Signature) -> Result<(), LinkRefusal> {
        let key = self.ports.ledger().directory.central_bank_keys().registration_link;
        match key.verify(message, signature) {
            true => Ok(()),
            false => Err(LinkRefusal::new("not_signed", "registration's link key has not signed this")),
        }
    }

    async fn take_report(self: &Arc<Self>, bytes: &[u8], signature: &[u8]) -> Result<Answer, LinkRefusal> {
        let malformed = |_| LinkRefusal::new("malformed", "the report does not decode");
        let report = ReconciliationReport::from_bytes(bytes).map_err(malformed)?;
        let signature = Signature::from_bytes(signature).map_err(malformed)?;
        self.signed_by_registration(&report.message(self.chain()), &signature)?;
        let claimed = self.claimed(report.height).ok_or_else(no_claim_refusal)?;
        let as_of = claimed.as_of;
        let is_about_it = (report.bank, report.block, report.batch) == (self.me, as_of.block, as_of.batch);
        let Some((centre, centre_signature)) = claimed.centre.get().cloned().filter(|_| is_about_it) else {
            return Err(LinkRefusal::new("other_state", "the report is not about the claims that were exchanged"));
        };
        let desk = self.clone();
        let keep = move || {
            let judge = |(place, difference): (usize, &Difference)| {
                let ask = place < PROOFS_MAX;
                let registered = if ask { desk.ports.registered(&difference.coin).ok() } else { None };
                Found { difference: difference.clone(), registered }
            };
            let found: Vec<Found> = report.differences.iter().enumerate().map(judge).collect();
            let run = doc::Run {
                evidence: Some(doc::Evidence {
                    bank_claim: hex::encode(claimed.claim.to_bytes()),
                    bank_signature: hex::encode(claimed.signature.0),
                    centre_claim: hex::encode(centre.to_bytes()),
                    centre_signature: hex::encode(centre_signature.0),
                    report_signature: hex::encode(signature.0),
                }),
                ..run_of(desk.me, &as_of, &centre, &claimed.claim, report.unnamed)
            };
            let findings = desk.reconciling.findings().ok_or_else(|| "the desk is starting".to_owned())?;
            findings.take_run(run, &found).map_err(|error| error.to_string())?;
            // Its memory is free until the next run.
            desk.reconciling.state().claimed.take_if(|kept| kept.as_of.height == as_of.height);
            Ok(Answer::Taken)
        };
        let kept: Result<Answer, String> = tokio::task::spawn_blocking(keep).await.expect("keeping does not panic");
        kept.map_err(|why| {
            tracing::error!(why, "what reconciliation found cannot be kept");
            LinkRefusal::new("internal", "the desk cannot keep the report")
        })
    }
}

fn no_claim_refusal() -> LinkRefusal {
    LinkRefusal::new("no_claim", "this desk has no claim of that height: ask for one first")
}

fn no_claim() -> Response {
    Response::Refused(no_claim_refusal())
}

fn take(shared: &Shared, as_of: AsOf) -> Taken {
    let held = shared.book.coins.values().map(|coin| (coin.id, coin.status, coin.opening.clone()));
    Taken {
        as_of,
        held: held.collect(),
        kept: shared.kept.iter().copied().collect(),
        untouched: Box::new(shared.book.preissued.untouched()),
    }
}

#[derive(Debug, thiserror::Error)]
pub(crate) enum NotRepaired {
    #[error(transparent)]
    Findings(#[from] FindingsError),
    #[error("{0}")]
    NothingHere(String),
    #[error("{0}")]
    Cannot(&'static str),
    #[error("the registry cannot be asked: {0}")]
    NoProof(String),
    #[error(transparent)]
    Row(#[from] RowError),
    #[error(transparent)]
    Stopped(#[from] Stopped),
}

/// What opens to a coin's id, and where the key of its owner may be found.
struct Reopened {
    opening: Opening,
    origin: Origin,
    output_index: u8,
    key: Option<(String, u64)>,
}

impl Inner {
    /// Runs the repair that the finding offers. The next run shows whether it holds.
    pub async fn repair(self: Arc<Self>, id: &str) -> Result<(), NotRepaired> {
        let desk = self.clone();
        let findings = self.reconciling.findings().ok_or(NotRepaired::Cannot("the desk is starting"))?;
        let found = findings.find(id)?;
        let coin = shown_coin(&found).ok_or(NotRepaired::Cannot("the finding names no coin"))?;
        let made_by = found.made_by.as_deref().and_then(EnvelopeId::from_hex);
        let what = match found.repair.as_deref() {
            Some(name) if name == Repair::MendBook.name() => desk.mend(coin, made_by).await?,
            Some(name) if name == Repair::ReleaseAgain.name() => {
                let envelope = made_by.ok_or(NotRepaired::Cannot("the finding names no envelope"))?;
                desk.release_again(envelope).await?
            }
            _ => return Err(NotRepaired::NothingHere(found.explanation)),
        };
        Ok(findings.note_repair(id, now_ms(), what)?)
    }

    async fn release_again(self: Arc<Self>, id: EnvelopeId) -> Result<String, NotRepaired> {
        let desk = self.clone();
        let opened = tokio::task::spawn_blocking(move || desk.open_again(&id)).await;
        let (_, _, root) = opened.expect("opening does not panic")?;
        let row = ReleaseRow { envelope: id.0, root: *root.secret() };
        let next = self.change_durably(|shared, unit| {
            let cursor = shared.release_next;
            shared.release_next += 1;
            unit.put(Table::Releases, &cursor.to_be_bytes(), &row);
            unit.put_meta(super::rows::Meta::ReleaseNext, &shared.release_next);
            shared.release_next
        });
        let next = next.await?;
        self.tell_released(next);
        Ok("the key was released again; registration takes it with the next releases".into())
    }

    /// While one of its epochs lives, a party opens an envelope as often as it likes.
    fn open_again(&self, id: &EnvelopeId) -> Result<(Envelope, Sealed, EnvelopeRoot), NotRepaired> {
        let envelope = self.ports.envelope(id).map_err(NotRepaired::NoProof)?;
        let envelope =
            envelope.ok_or(NotRepaired::Cannot("this node's ledger has no such envelope, or keeps it no longer"))?;
        let epochs = self.epochs.of_sender(envelope.submitter());
        let opened = epochs.iter().find_map(|epoch| open_with_epoch(self.chain(), &envelope, epoch).ok());
        let (sealed, root) = opened.ok_or(NotRepaired::Cannot(
            "the epoch that opens the envelope is destroyed: the other party may release the key, or the payment is disputed \
             at the second deadline",
        ))?;
        Ok((envelope, sealed, root))
    }

    async fn mend(self: Arc<Self>, coin: CoinId, made_by: Option<EnvelopeId>) -> Result<String, NotRepaired> {
        let desk = self.clone();
        let look = move || {
            let registered = desk.ports.registered(&coin).map_err(NotRepaired::NoProof)?;
            let now = desk.ports.coins(&[coin]).map_err(NotRepaired::NoProof)?.pop().flatten();
            let expected = words::held(registered);
            // The proof is as of the newest checkpoint; what moved since is not mended by it.
            if expected.map(|expected| expected.status) != now.map(|now| now.status) {
                return Err(NotRepaired::Cannot("the coin moved since the newest checkpoint: ask again in a moment"));
            }
            let Some(expected) = expected else { return Ok(None) };
            let held = desk.shared().book.coins.get(&coin).cloned();
            let is_right = |opening: &Opening| opening.owner_tag(desk.chain(), &coin) == expected.tag;
            let reopened = match &held {
                Some(held) if is_right(&held.opening) && held.status == expected.status => {
                    return Err(NotRepaired::Cannot(
                        "the coin's row says what the registry says: if a run finds it again, restore the desk from a backup",
                    ));
                }
                Some(held) if is_right(&held.opening) => None,
                _ => {
                    let reopened = desk.reopen(&coin, made_by, held.as_ref())?;
                    if !is_right(&reopened.opening) {
                        return Err(NotRepaired::Cannot("what opens to the coin's id has not the registry's tag"));
                    }
                    Some(reopened)
                }
            };
            Ok(Some((expected.status, reopened)))
        };
        let looked = tokio::task::spawn_blocking(look).await.expect("looking at the registry does not panic")?;
        let what = self.change_durably(|shared, unit| match looked {
            None => {
                shared.let_go_of(&coin, unit);
                "the book lets go of the coin: the registry has nobody hold it"
            }
            Some((status, None)) => {
                if let Some(held) = shared.book.set_status(&coin, status) {
                    unit.put(Table::Coins, &coin.0, &held.row());
                }
                serve_all(shared, unit);
                "the book has the registry's status"
            }
            Some((status, Some(Reopened { opening, origin, output_index, key: Some((wallet, key_index)) }))) => {
                shared.let_go_of(&coin, unit);
                shared.book.preissued.take_out_of_turn(&coin, unit);
                let held =
                    HeldCoin { id: coin, opening, origin, output_index, wallet, key_index, status, reserved: None };
                unit.put(Table::Coins, &coin.0, &held.row());
                shared.book.insert(held);
                serve_all(shared, unit);
                "the coin stands in the book again, as what made it opens"
            }
            Some((_, Some(Reopened { opening, origin, output_index, key: None }))) => {
                shared.let_go_of(&coin, unit);
                let row = KeptRow { opening: opening.to_bytes(), origin: origin.0, output_index };
                unit.put(Table::Kept, &coin.0, &row);
                shared.kept.insert(coin);
                "the coin's opening is kept, but which wallet's key owns it is lost: the central bank can recover the coin"
            }
        });
        let what = what.await?;
        tracing::warn!(%coin, what, "the book was mended");
        Ok(what.to_owned())
    }

    /// From what made the coin: the genesis, or its envelope.
    fn reopen(
        &self,
        coin: &CoinId,
        made_by: Option<EnvelopeId>,
        held: Option<&HeldCoin>,
    ) -> Result<Reopened, NotRepaired> {
        let preissued = self.shared().book.preissued.clone();
        if let Some(HeldCoin { opening, origin, output_index, wallet, key_index, .. }) = preissued.find(coin) {
            return Ok(Reopened { opening, origin, output_index, key: Some((wallet, key_index)) });
        }
        let id =
            made_by.ok_or(NotRepaired::Cannot("nobody knows what made the coin: restore the desk from a backup"))?;
        let (envelope, sealed, _) = self.open_again(&id)?;
        let (chain, core) = (self.chain(), &envelope.header.core);
        let (origin, series) = match &core.context {
            ClearContext::Issue(issue) => (issue_origin(chain, issue.series, issue.issue_number), issue.series),
            _ => (origin(chain, &core.input_ids(chain)), sealed.common_series()),
        };
        for (output_index, public) in (0u8..).zip(&core.outputs) {
            let has_terms = public.terms_flag == TermsFlag::Contract;
            let Some(opening) = sealed.output_opening(usize::from(output_index), series, has_terms) else { continue };
            if opening.coin_id(chain, &origin, output_index, self.me) == *coin {
                let key = self.key_of(&opening, &id, &core.context, held)?;
                return Ok(Reopened { opening, origin, output_index, key });
            }
        }
        Err(NotRepaired::Cannot("the envelope that made the coin does not open to it"))
    }

    /// Which wallet's key owns the opening: as the damaged row says, or as this desk would have derived it.
    fn key_of(
        &self,
        opening: &Opening,
        id: &EnvelopeId,
        context: &ClearContext,
        held: Option<&HeldCoin>,
    ) -> Result<Option<(String, u64)>, NotRepaired> {
        let owns = |wallet: &str, key_index: u64| {
            let seed = self.shared().book.wallets.get(wallet).map(|wallet| wallet.seed.clone());
            seed.is_some_and(|seed| owner_key(&seed, key_index).public_key() == opening.owner)
        };
        let mut candidates: Vec<(String, u64)> = Vec::new();
        candidates.extend(held.map(|held| (held.wallet.clone(), held.key_index)));
        candidates.push((VAULT.to_owned(), 0));
        if let ClearContext::Issue(issue) = context {
            for place in 0u64..8 {
                let (series, number) = (issue.series.0.to_le_bytes(), issue.issue_number.to_le_bytes());
                let parts: [&[u8]; 4] = [&series, &number, &place.to_le_bytes(), &opening.amount.0.to_le_bytes()];
                candidates.push((VAULT.to_owned(), self.key_index("issue key", &parts)));
            }
        }
        if let Some(job) = self.job_of(id)? {
            for attempt in 0..=job.attempts {
                for place in 0u64..8 {
                    let parts: [&[u8]; 3] = [&job.id, &attempt.to_le_bytes(), &place.to_le_bytes()];
                    candidates.push((job.wallet.clone(), self.key_index("change key", &parts)));
                }
            }
        }
        Ok(candidates.into_iter().find(|(wallet, key_index)| owns(wallet, *key_index)))
    }

    /// The job whose attempt this envelope was.
    fn job_of(&self, id: &EnvelopeId) -> Result<Option<Job>, RowError> {
        let is_it = |job: &Job| job.envelope == Some(id.0);
        if let Some(active) = self.shared().jobs.values().find(|active| is_it(&active.job)) {
            return Ok(Some(active.job.clone()));
        }
        let mut from = Vec::new();
        loop {
            let page = self.rows.from::<Job>(Table::Jobs, &from, JOBS_PER_PAGE)?;
            let is_last = page.len() < JOBS_PER_PAGE;
            for (key, job) in page {
                if is_it(&job) {
                    return Ok(Some(job));
                }
                from = [&key[..], &[0]].concat();
            }
            if is_last {
                return Ok(None);
            }
        }
    }
}

fn serve_all(shared: &mut Shared, unit: &mut super::journal::Unit) {
    let wallets: Vec<String> = shared.book.wallets.keys().cloned().collect();
    for wallet in wallets {
        shared.book.serve_waiting(&wallet, unit);
    }
}
