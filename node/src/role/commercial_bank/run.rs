//! Drives one job from pending to its end.
//!
//! Every step can be repeated after a crash: before the envelope is stored the job starts over; afterwards the same bytes are
//! handed in again until the ledger says yes, no, or expired.

use super::book::VAULT;
use super::desk::{Inner, Started, Verdict};
use super::job::{Attempt, Job, JobId, State, Step, TraceRow, Work};
use super::journal::Stopped;
use super::pay::Paid;
use super::rows::{ExpectedRow, Table};
use crate::clock::now_ms;
use crate::link::{Request, Response, SuccessState};
use ledger_types::coin::CoinStatus;
use ledger_types::contract::Loan;
use ledger_types::envelope::Envelope;
use ledger_types::rejection::Rejection;
use ledger_types::{CoinId, ContractNumber, Decode, Encode, EnvelopeId, Note, ParticipantNumber};
use std::sync::Arc;
use std::time::Duration;
use tokio::sync::mpsc::UnboundedReceiver;

const BACKOFF_FIRST: Duration = Duration::from_millis(100);
const BACKOFF_MAX: Duration = Duration::from_secs(5);
/// The other bank answers as soon as it knows.
const SUCCESS_WAIT_MS: u32 = 5_000;
const SUCCESS_DEADLINE: Duration = Duration::from_secs(8);

/// An envelope that may be stored and handed in.
pub(crate) struct Ready {
    pub envelope: Envelope,
    pub inputs: Vec<CoinId>,
    /// The payee's coin first.
    pub outputs: Vec<CoinId>,
    /// Own outputs that nobody else expects: change.
    pub expected: Vec<(Note, ExpectedRow)>,
    pub trace: Vec<TraceRow>,
}

/// Why an attempt was not made.
#[derive(Debug)]
pub(crate) enum Setback {
    Stopped,
    /// It may work later.
    Later(String),
    /// It never will.
    Refused {
        rejection: u16,
        reason: String,
    },
}

impl From<Stopped> for Setback {
    fn from(_: Stopped) -> Self {
        Setback::Stopped
    }
}

impl Setback {
    pub fn refused(reason: impl Into<String>) -> Self {
        Setback::Refused { rejection: 0, reason: reason.into() }
    }
}

type Verdicts = UnboundedReceiver<(EnvelopeId, Verdict)>;

/// Why a job that a backup held unfinished ends.
pub(crate) const MAYBE_DONE: &str = "the desk was put back from a backup in which this was unfinished: whether it was carried out since is not \
                                     known here. Look for it on the ledger before it is asked for again";

impl Inner {
    /// Runs the job in a task of its own.
    pub fn spawn(self: &Arc<Self>, (id, verdicts): Started) {
        let desk = self.clone();
        tokio::spawn(async move {
            // Stopped: the next start takes the job up again.
            let _ = desk.drive(id, verdicts).await;
        });
    }

    pub async fn drive(&self, id: JobId, mut verdicts: Verdicts) -> Result<(), Stopped> {
        // Issue numbers are dense: one issue at a time, from the look at the next number until the verdict. One that waits, for
        // a bank that is away, lets the others pass.
        let mut issuing = None;
        let mut backoff = BACKOFF_FIRST;
        while let Some(job) = self.job(&id) {
            if let (Some(central), Work::Issue { .. }, State::Pending, None) =
                (&self.central, &job.work, job.state, &issuing)
            {
                issuing = Some(central.issuing.lock().await);
            }
            match (&job.attempt, job.state) {
                // What was paid for a loan is returned if the loan is still open; the ledger does it once.
                (None, State::Pending) if job.gets_no_further_attempt() && !matches!(job.work, Work::Return { .. }) => {
                    self.refuse(&id, 0, MAYBE_DONE.to_owned()).await?;
                }
                (None, State::Pending) => match self.prepare(&job).await {
                    Ok(ready) => self.store_attempt(&job, ready).await?,
                    Err(Setback::Stopped) => return Err(Stopped),
                    Err(Setback::Refused { rejection, reason }) => self.refuse(&id, rejection, reason).await?,
                    Err(Setback::Later(reason)) => {
                        issuing = None;
                        tracing::debug!(job = hex::encode(id), reason, "a job waits");
                        self.give_coins_back(&id, reason).await?;
                        tokio::time::sleep(backoff).await;
                        backoff = (backoff * 2).min(BACKOFF_MAX);
                    }
                },
                (Some(attempt), State::Pending) => {
                    let verdict = self.see_through(&job, attempt, &mut verdicts).await?;
                    issuing = None;
                    self.after(&job, verdict, &mut backoff).await?;
                }
                (_, State::Ordered) if job.waits_for_payee_bank(self.me.0) => {
                    self.await_success(&job).await?;
                }
                // Its record decides: the follower ends it.
                _ => break,
            }
        }
        Ok(())
    }

    async fn prepare(&self, job: &Job) -> Result<Ready, Setback> {
        // the ledger refuses them until registration has the keys, or has given them up. Each try would use up a place of an epoch.
        if self.ports.ledger().overdue.count_of(self.me) > 0 {
            let reason = "key releases of this bank are overdue: no transfer of it is taken before";
            match job.work {
                Work::Pay { .. } | Work::Arrange { .. } | Work::PayBack { .. } => {
                    return Err(Setback::Later(reason.into()));
                }
                Work::Lend { .. } => {
                    let rejection = Rejection::SubmitterIsOverdue.number();
                    return Err(Setback::Refused { rejection, reason: reason.into() });
                }
                _ => {}
            }
        }
        match &job.work {
            Work::Pay { bank, to, amount, memo } => {
                let paid = Paid { bank: ParticipantNumber(*bank), to, amount: *amount, memo: memo.as_bytes() };
                self.prepare_payment(job, paid, None).await
            }
            Work::Arrange { coins, amounts } => self.prepare_arrangement(job, coins, amounts).await,
            Work::Issue { bank, series, amounts, contract } => {
                self.prepare_issue(ParticipantNumber(*bank), *series, amounts, ContractNumber(*contract)).await
            }
            Work::Redeem { amount } => self.prepare_redemption(job, *amount).await,
            Work::Recover { coins, reason, bank, to, amount } => {
                self.prepare_recovery(job, coins, *reason, ParticipantNumber(*bank), to, *amount).await
            }
            Work::Lend { contract, sector, rate, term_days, bank, to, amount } => {
                let loan = Loan { sector: *sector, rate: *rate, term_days: *term_days };
                let paid = Paid { bank: ParticipantNumber(*bank), to, amount: *amount, memo: b"" };
                self.prepare_payment(job, paid, Some((ContractNumber(*contract), loan))).await
            }
            Work::PayBack { bank, claim, amount, .. } => {
                let paid = Paid { bank: ParticipantNumber(*bank), to: VAULT, amount: *amount, memo: claim };
                self.prepare_payment(job, paid, None).await
            }
            Work::Return { bank, claim, paid } => {
                self.prepare_return(job, ParticipantNumber(*bank), claim, *paid).await
            }
            Work::Reclaim { contract, coins } => self.prepare_reclaim(ContractNumber(*contract), coins).await,
            Work::OrderContract { order } => self.prepare_contract_order(order),
            Work::OrderFeed { definition } => self.prepare_feed_order(definition),
            Work::Publish { publication } => self.prepare_publication(publication),
        }
    }

    /// The envelope, its inputs and what is expected of it are on disk together before it leaves.
    async fn store_attempt(&self, job: &Job, ready: Ready) -> Result<(), Stopped> {
        let envelope = ready.envelope.id(self.chain());
        let expiry_ms = ready.envelope.header.core.expiry_ms;
        let attempt = Attempt {
            envelope: envelope.0,
            bytes: ready.envelope.to_bytes(),
            expiry_ms,
            inputs: ready.inputs.iter().map(|id| id.0).collect(),
            outputs: ready.outputs.iter().map(|id| id.0).collect(),
            has_copies: false,
        };
        self.change_durably(|shared, unit| {
            for (note, row) in ready.expected {
                unit.put(Table::Expected, &note.0, &row);
                shared.expect(note, row);
            }
            shared.by_envelope.insert(envelope, job.id);
            shared.attempts.insert((expiry_ms, envelope));
            shared.update(&job.id, unit, |job| {
                job.attempts += 1;
                job.envelope = Some(envelope.0);
                job.attempt = Some(attempt);
                job.reason = None;
                job.trace.extend(ready.trace);
                job.trace(Step::Sealed, "");
            });
        })
        .await
    }

    /// Hands the stored bytes in, and waits for what the ledger says.
    async fn see_through(&self, job: &Job, attempt: &Attempt, verdicts: &mut Verdicts) -> Result<Verdict, Stopped> {
        let id = EnvelopeId(attempt.envelope);
        let submit = async {
            let Ok(envelope) = Envelope::from_bytes(&attempt.bytes) else {
                // Bytes of our own that do not decode would be a mistake in this program; the expiry ends the attempt.
                tracing::error!(envelope = %id, "a stored envelope does not decode");
                return;
            };
            // When it was first handed in, noted before: the verdict may be here before the answer to the hand-in is. Not worth a
            // write of its own: the next one of this job carries it.
            if let Some(active) = self.shared().jobs.get_mut(&job.id) {
                active.job.trace(Step::Submitted, "");
            }
            let mut backoff = BACKOFF_FIRST;
            while let Err(reason) = self.ports.submit(vec![envelope.clone()]).await {
                tracing::debug!(envelope = %id, reason, "not submitted yet");
                tokio::time::sleep(backoff).await;
                backoff = (backoff * 2).min(BACKOFF_MAX);
            }
        };
        let wait = async {
            loop {
                match verdicts.recv().await {
                    None => return Err(Stopped),
                    // Of an earlier attempt.
                    Some((other, _)) if other != id => {}
                    Some((_, Verdict::Refused(code))) if attempt.has_copies && !is_final(code) => {}
                    Some((_, verdict)) => return Ok(verdict),
                }
            }
        };
        tokio::pin!(submit, wait);
        tokio::select! {
            () = &mut submit => wait.await,
            verdict = &mut wait => verdict,
        }
    }

    async fn after(&self, job: &Job, verdict: Verdict, backoff: &mut Duration) -> Result<(), Stopped> {
        let code = match verdict {
            // The follower has written it.
            Verdict::Accepted => return Ok(()),
            Verdict::Expired => {
                return self.seal_again(&job.id, "no verdict before it expired; sealed again", backoff).await;
            }
            Verdict::Refused(code) => code,
        };
        let rejection = Rejection::from_number(code);
        let reason = rejection.map_or_else(|| format!("rejection {code}"), |rejection| rejection.message().to_owned());
        if code == Rejection::Expired.number() {
            return self.seal_again(&job.id, &reason, backoff).await;
        }
        if is_final(code) || job.ends_with_any_refusal() {
            return self.refuse(&job.id, code, reason).await;
        }
        // A return that was perhaps made before the restore is tried until the ledger says for good: it closes a loan once.
        let first_refused_ms =
            job.first_refused_ms.filter(|_| !matches!(job.work, Work::Return { .. }) || !job.gets_no_further_attempt());
        let first_refused_ms = first_refused_ms.unwrap_or_else(now_ms);
        if now_ms().saturating_sub(first_refused_ms) > self.config.order_lifetime_ms {
            return self.refuse(&job.id, code, reason).await;
        }
        let gone = match Rejection::from_number(code) {
            Some(Rejection::CoinIsNotSpendable | Rejection::CoinIsNotLive) => self.reconcile(job).await?,
            _ => false,
        };
        if gone && matches!(job.work, Work::Arrange { .. }) {
            return self.refuse(&job.id, code, reason).await;
        }
        match gone {
            true => self.drop_attempt(&job.id, &reason).await,
            false => self.seal_again(&job.id, &reason, backoff).await,
        }
    }

    async fn seal_again(&self, id: &JobId, reason: &str, backoff: &mut Duration) -> Result<(), Stopped> {
        self.drop_attempt(id, reason).await?;
        tokio::time::sleep(*backoff).await;
        *backoff = (*backoff * 2).min(BACKOFF_MAX);
        Ok(())
    }

    /// The ledger does not take the job's coins: sets their status to what it says, and lets go of those that it has not.
    async fn reconcile(&self, job: &Job) -> Result<bool, Stopped> {
        let Some(attempt) = &job.attempt else { return Ok(false) };
        let ids: Vec<CoinId> = attempt.input_ids().collect();
        let found = match self.ports.coins(&ids) {
            Ok(found) => found,
            Err(error) => {
                tracing::error!(%error, "cannot read the ledger's coins");
                return Ok(false);
            }
        };
        self.change_durably(|shared, unit| {
            let mut changed = false;
            for (id, coin) in ids.iter().zip(found) {
                let Some(held) = shared.book.coins.get(id) else { continue };
                match coin {
                    None => {
                        tracing::warn!(coin = %id, "a coin of this desk is spent on the ledger by another envelope");
                        shared.book.remove(id);
                        unit.delete(Table::Coins, &id.0);
                        changed = true;
                    }
                    Some(coin) if coin.status != held.status => {
                        changed |= coin.status != CoinStatus::Live;
                        if let Some(held) = shared.book.set_status(id, coin.status) {
                            unit.put(Table::Coins, &id.0, &held.row());
                        }
                    }
                    Some(_) => {}
                }
            }
            changed
        })
        .await
    }

    /// The attempt is over without effect; the job is pending again, with its coins free.
    async fn drop_attempt(&self, id: &JobId, reason: &str) -> Result<(), Stopped> {
        self.change_durably(|shared, unit| {
            shared.update_whole(id, |shared, job| {
                shared.forget_attempt(job);
                job.first_refused_ms.get_or_insert_with(now_ms);
                job.reason = Some(reason.to_owned());
                job.trace(Step::Refused, reason);
            });
            shared.free_coins(id, unit);
            shared.update(id, unit, |_| {});
        })
        .await
    }

    async fn give_coins_back(&self, id: &JobId, reason: String) -> Result<(), Stopped> {
        self.change_durably(|shared, unit| {
            shared.free_coins(id, unit);
            // Why it waits is shown; it is not worth a row.
            if let Some(active) = shared.jobs.get_mut(id) {
                active.job.reason = Some(reason);
            }
        })
        .await
    }

    pub(crate) async fn refuse(&self, id: &JobId, rejection: u16, reason: String) -> Result<(), Stopped> {
        tracing::info!(job = hex::encode(id), rejection, reason, "a job is refused");
        self.change_durably(|shared, unit| shared.finish(id, unit, |job| job.refuse(rejection, reason))).await
    }

    /// Asks the payee's bank until it knows. The job may become final in the meantime: its record decides.
    async fn await_success(&self, job: &Job) -> Result<(), Stopped> {
        let (Some(bank), Some(envelope)) = (job.payee_bank(), job.envelope) else { return Ok(()) };
        let bank = ParticipantNumber(bank);
        let mut backoff = BACKOFF_FIRST;
        loop {
            if self.job(&job.id).is_none_or(|job| job.state != State::Ordered) {
                return Ok(());
            }
            let request = Request::AwaitSuccess { envelope, wait_ms: SUCCESS_WAIT_MS };
            match self.ports.call(bank, request, SUCCESS_DEADLINE).await {
                Ok(Response::Success(SuccessState::Good)) => {
                    return self
                        .change_durably(|shared, unit| {
                            shared.update(&job.id, unit, |job| {
                                if job.state == State::Ordered {
                                    job.state = State::Settled;
                                    job.reason = None;
                                    job.trace(Step::PayeeBankSuccess, "");
                                }
                            });
                        })
                        .await;
                }
                Ok(Response::Success(SuccessState::NotGood(check))) => {
                    let reason =
                        format!("the payee's bank refuses the payment: check {check} failed; registration decides");
                    self.change_durably(|shared, unit| shared.update(&job.id, unit, |job| job.reason = Some(reason)))
                        .await?;
                    // The record ends it.
                    return self.until_final(&job.id).await;
                }
                Ok(Response::Success(SuccessState::NotYet)) => continue,
                Ok(_) => {}
                Err(error) => tracing::debug!(%error, "the payee's bank does not answer"),
            }
            tokio::time::sleep(backoff).await;
            backoff = (backoff * 2).min(BACKOFF_MAX);
        }
    }

    pub async fn until_final(&self, id: &JobId) -> Result<(), Stopped> {
        let changed = self.shared().jobs.get(id).map(|active| active.changed.subscribe());
        if let Some(mut changed) = changed {
            while changed.changed().await.is_ok() {}
        }
        Ok(())
    }
}

fn is_final(code: u16) -> bool {
    Rejection::from_number(code).is_none_or(Rejection::is_final)
}

impl super::desk::Shared {
    /// Changes a job together with the rest; its row is written by whoever calls.
    fn update_whole(&mut self, id: &JobId, change: impl FnOnce(&mut Self, &mut Job)) {
        let Some(mut active) = self.jobs.remove(id) else { return };
        change(self, &mut active.job);
        self.jobs.insert(*id, active);
    }

    /// The job lets go of its coins, and waits for coins again.
    fn free_coins(&mut self, id: &JobId, unit: &mut super::journal::Unit) {
        let Some(active) = self.jobs.get_mut(id) else { return };
        if active.job.needs_promise() && !active.promised {
            active.promised = true;
            let (wallet, amount) = (active.job.wallet.clone(), active.job.work_amount());
            self.book.promise(&wallet, amount);
        }
        self.book.release(id, unit);
    }
}
