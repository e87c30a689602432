//! What a committed height means for the desk: verdicts on its own envelopes, payments from others, confirmations.
//!
//! Everything that one height changes is one unit, with the cursor: a height counts once, whatever the process does. Success
//! is said to the other bank only when the unit is on disk (invariant 7), and only if the payment is good (rules P).

use super::book::{HeldCoin, VAULT};
use super::desk::{Inner, Shared, Started, Verdict};
use super::job::{Job, NO_FURTHER_ATTEMPT, State, Step, Work};
use super::journal::{Stopped, Unit};
use super::lending::{Claim, DisputedRow, LoanRow, ReturnedRow, given_back, return_job_id};
use super::rows::{KeptRow, Meta, ReleaseRow, Table, VerdictRow};
use crate::clock::now_us;
use crate::ledger::Committed;
use crate::role::central_bank::over;
use ledger_seal::{EnvelopeRoot, Found, open_with_epoch};
use ledger_state::{Contracts, PaymentRule, SignatureChecks, contradiction, payment_is_good};
use ledger_types::block::EnvelopeResult;
use ledger_types::coin::{CoinStatus, coin_id, coin_link, issue_origin, origin};
use ledger_types::confirmation::{Record, RecordStatus};
use ledger_types::contract::{self, ContractOrder, FalseStatement};
use ledger_types::envelope::{ClearContext, ContractOrderContext, Envelope, Inputs, ReturnContext, TermsFlag};
use ledger_types::participant::Directory;
use ledger_types::sealed::Sealed;
use ledger_types::{Amount, Chain, CoinId, Decode, Encode, EnvelopeId, Height, ObligationId, Origin};
use std::collections::BTreeSet;
use std::sync::Arc;

/// An accepted envelope that this bank is a party of.
struct Opened {
    found: Found,
    sealed: Sealed,
    root: EnvelopeRoot,
    good: Result<(), PaymentRule>,
}

/// An envelope of the height that concerns this desk, looked at before the lock is taken.
struct Seen {
    id: EnvelopeId,
    envelope: Envelope,
    code: u16,
    /// Of its block.
    time_ms: u64,
    is_own: bool,
    /// Empty when it was refused or cannot concern coins of this desk.
    inputs: Vec<CoinId>,
    opened: Option<Opened>,
}

/// What the payments of one height are judged by (rules P).
struct Governing {
    directory: Arc<Directory>,
    contracts: Arc<Contracts>,
}

/// What is told to others once the height is durable.
#[derive(Default)]
struct ToTell {
    jobs: Vec<(super::job::JobId, EnvelopeId, Verdict)>,
    verdicts: Vec<(EnvelopeId, VerdictRow)>,
    /// Jobs that the height itself asks for.
    started: Vec<Started>,
}

impl Inner {
    /// Takes one height in; heights come in order, each once.
    pub async fn follow_height(self: &Arc<Self>, committed: &Arc<Committed>) -> Result<(), Stopped> {
        let governing = self.shared().governing();
        let directory = governing.directory.clone();
        let looking = {
            let (desk, committed) = (self.clone(), committed.clone());
            // A large height takes long to open: payments and links go on meanwhile.
            tokio::task::spawn_blocking(move || desk.look_at_all(&committed, &governing))
        };
        let seen = looking.await.expect("opening envelopes does not panic");
        let settled: BTreeSet<EnvelopeId> = committed.settled().collect();
        let mut told = ToTell::default();
        let mut unit = Unit::default();
        let durable = {
            let mut shared = self.shared();
            for seen in &seen {
                self.take_in(&mut shared, &mut unit, seen, &mut told);
            }
            for (coin, record) in &committed.records {
                shared.take_record(coin, record, &settled, &mut unit);
            }
            shared.let_expire(committed.time_ms, &mut unit, &mut told);
            shared.serve_confirmed_wallets(committed, &mut unit);
            shared.update_directory(&directory, &seen, &mut unit);
            shared.update_contracts(self.chain(), committed.height, &seen, &mut unit);
            self.epochs.destroy_old(committed.time_ms, self.rules.genesis.expiry_window_ms, &mut unit);
            shared.cursor = committed.height;
            unit.put_meta(Meta::Cursor, &committed.height.0);
            unit.put_meta(Meta::ReleaseNext, &shared.release_next);
            self.note_height(&shared, committed);
            self.journal.write(unit)
        };
        durable.wait().await?;
        let release_next = {
            let mut shared = self.shared();
            for (envelope, verdict) in told.verdicts {
                shared.remember_verdict(envelope, verdict);
            }
            for (job, envelope, verdict) in told.jobs {
                if let Some(active) = shared.jobs.get(&job) {
                    let _ = active.verdicts.send((envelope, verdict));
                }
            }
            shared.release_next
        };
        told.started.into_iter().for_each(|started| self.spawn(started));
        self.processed.send_replace(committed.height);
        self.tell_released(release_next);
        Ok(())
    }

    fn look_at_all(&self, committed: &Committed, governing: &Governing) -> Vec<Seen> {
        let looked = committed
            .envelopes()
            .filter_map(|(id, envelope, code)| self.look_at(*id, envelope, code, committed.time_ms, governing));
        looked.collect()
    }

    /// Opens what is for this bank and checks it: the costly part, without the lock. `None`: it concerns others.
    fn look_at(
        &self,
        id: EnvelopeId,
        envelope: &Envelope,
        code: u16,
        time_ms: u64,
        governing: &Governing,
    ) -> Option<Seen> {
        let core = &envelope.header.core;
        let is_own = envelope.submitter() == self.me;
        let seen =
            |inputs, opened| Some(Seen { id, envelope: envelope.clone(), code, time_ms, is_own, inputs, opened });
        if code != EnvelopeResult::ACCEPTED {
            return if is_own { seen(Vec::new(), None) } else { None };
        }
        let by_id = matches!(core.inputs, Inputs::ById(_));
        let inputs = if is_own || by_id { core.input_ids(self.chain()) } else { Vec::new() };
        let opened = self.epochs.find(&envelope.header).and_then(|found| self.open_found(envelope, found, governing));
        let is_followed = matches!(
            core.context,
            ClearContext::ParticipantUpdate(_)
                | ClearContext::HandOver(_)
                | ClearContext::ContractOrder(_)
                | ClearContext::Return(_)
        );
        let concerns = is_own || by_id || opened.is_some() || is_followed;
        if concerns { seen(inputs, opened) } else { None }
    }

    fn open_found(&self, envelope: &Envelope, found: Found, governing: &Governing) -> Option<Opened> {
        let is_own = envelope.submitter() == self.me;
        // A copied hint opens nothing, and uses nothing up.
        let (sealed, root) = open_with_epoch(self.chain(), envelope, found.epoch()).ok()?;
        // Own envelopes were checked when they were sealed.
        let checks = if self.config.check_order_signatures { SignatureChecks::All } else { SignatureChecks::SkipOrder };
        let good = match is_own {
            true => Ok(()),
            false => {
                let Governing { directory, contracts } = governing;
                payment_is_good(&self.rules, directory, contracts, &envelope.header, &sealed, checks)
            }
        };
        Some(Opened { found, sealed, root, good })
    }

    fn take_in(&self, shared: &mut Shared, unit: &mut Unit, seen: &Seen, told: &mut ToTell) {
        let job = if seen.is_own { shared.by_envelope.get(&seen.id).copied() } else { None };
        if seen.code != EnvelopeResult::ACCEPTED {
            if let Some(job) = job {
                told.jobs.push((job, seen.id, Verdict::Refused(seen.code)));
            }
            return;
        }
        let is_recovery = matches!(seen.envelope.header.core.context, ClearContext::Recover(_));
        for id in &seen.inputs {
            if is_recovery && !shared.book.coins.contains_key(id) {
                // Officers alone spend what was never taken: it would be counted, and its turn would come.
                shared.book.preissued.take_out_of_turn(id, unit);
            }
            shared.let_go_of(id, unit);
        }
        let opened = seen.opened.as_ref();
        if let Some(opened) = opened {
            self.epochs.mark_used(&opened.found, unit);
            let booked = self.take_outputs(shared, unit, seen, opened, told);
            let cursor = shared.release_next;
            shared.release_next += 1;
            let row = ReleaseRow { envelope: seen.id.0, root: *opened.root.secret() };
            unit.put(Table::Releases, &cursor.to_be_bytes(), &row);
            if let Some(job) = job {
                shared.release_jobs.insert(cursor, job);
            }
            if !seen.is_own {
                self.judge(seen, opened, booked, unit, told);
            }
        }
        match &seen.envelope.header.core.context {
            ClearContext::Return(context) => self.note_return(unit, seen, context),
            ClearContext::ContractOrder(ContractOrderContext { order: ContractOrder::Dispute(dispute), .. }) => {
                if let Some(statement) = contradiction(self.chain(), dispute) {
                    let FalseStatement { obligation, found, basis, evidence, .. } = statement;
                    let disputed =
                        DisputedRow { sector: found, basis: basis.to_string(), evidence, at_ms: seen.time_ms };
                    self.change_loan(unit, &obligation, |row| row.disputed = Some(disputed));
                }
            }
            _ => {}
        }
        if let Some(job) = job {
            let over = self.accept_own(shared, unit, &job, seen);
            told.started.extend(over);
            told.jobs.push((job, seen.id, Verdict::Accepted));
        }
    }

    /// Books the outputs in this bank's custody; gives how many. What is opened and not booked is kept for a recovery: all of a
    /// payment that is not good, since its other parties may be the ones that cheat, and what nobody here was promised.
    fn take_outputs(
        &self,
        shared: &mut Shared,
        unit: &mut Unit,
        seen: &Seen,
        opened: &Opened,
        told: &mut ToTell,
    ) -> usize {
        let (chain, core, sealed) = (self.chain(), &seen.envelope.header.core, &opened.sealed);
        let origin: Origin = match &core.context {
            ClearContext::Issue(issue) => issue_origin(chain, issue.series, issue.issue_number),
            _ => origin(chain, &core.input_ids(chain)),
        };
        let series = match &core.context {
            ClearContext::Issue(issue) => issue.series,
            _ => sealed.common_series(),
        };
        let is_good = opened.good.is_ok();
        let mut booked = 0;
        for ((output_index, public), output) in (0u8..).zip(&core.outputs).zip(&sealed.outputs) {
            if is_good && output.bank != self.me {
                continue;
            }
            let has_terms = public.terms_flag == TermsFlag::Contract;
            let Some(opening) = sealed.output_opening(usize::from(output_index), series, has_terms) else { continue };
            let id = opening.coin_id(chain, &origin, output_index, output.bank);
            if id != coin_id(chain, &coin_link(chain, &origin, output_index, &public.note), &public.custody) {
                // The sealed part of a payment that is not good may say anything: this is no coin's opening.
                continue;
            }
            if is_good {
                let note = opening.note(chain);
                let is_recovery = matches!(core.context, ClearContext::Recover(_));
                let by_key = || if is_recovery { shared.owners.get(&output.owner).cloned() } else { None };
                let by_key = by_key();
                if let Some(expected) = shared.stop_expecting(&note, unit).or(by_key) {
                    let (wallet, key_index) = (expected.wallet, expected.key_index);
                    let status = CoinStatus::Unconfirmed; // C-3
                    let coin =
                        HeldCoin { id, opening, origin, output_index, wallet, key_index, status, reserved: None };
                    unit.put(Table::Coins, &coin.id.0, &coin.row());
                    let into_the_vault = coin.wallet == VAULT;
                    let amount = coin.amount();
                    shared.book.insert(coin);
                    booked += 1;
                    if into_the_vault && !seen.is_own {
                        if seen.envelope.submitter() == shared.directory.central_bank().number
                            && let Some(obligation) = given_back(&sealed.memo)
                        {
                            self.change_loan(unit, &obligation, |row| row.given_back += 1);
                        }
                        told.started.extend(self.start_return(shared, unit, seen, sealed, amount));
                    }
                    continue;
                }
                tracing::warn!(coin = %id, "a coin came that no wallet of this bank was promised");
            }
            let row = KeptRow { opening: opening.to_bytes(), origin: origin.0, output_index };
            unit.put(Table::Kept, &id.0, &row);
            shared.kept.insert(id);
        }
        booked
    }

    /// A bank pays back for a loan: what came in is to be retired, by a job that is durable with the height (K-2).
    fn start_return(
        &self,
        shared: &mut Shared,
        unit: &mut Unit,
        seen: &Seen,
        sealed: &Sealed,
        paid: u64,
    ) -> Option<Started> {
        self.central.as_ref()?;
        let claim = Claim::from_bytes(&sealed.memo).ok()?;
        let work = Work::Return { bank: seen.envelope.submitter().0, claim: claim.to_bytes(), paid };
        Some(self.start_in_the_vault(shared, unit, seen, work))
    }

    /// A job that follows from an envelope: durable with its height, so it is started exactly once.
    fn start_in_the_vault(&self, shared: &mut Shared, unit: &mut Unit, cause: &Seen, work: Work) -> Started {
        let mut job = Job::new(return_job_id(cause.id), VAULT, work);
        if cause.time_ms <= self.restored_ms {
            // Perhaps the desk whose backup this is has done it already.
            job.first_refused_ms = NO_FURTHER_ATTEMPT;
        }
        shared.book.promise(VAULT, job.amount());
        unit.put(Table::OpenJobs, &job.id, &job);
        shared.insert(job, true)
    }

    /// A height may say several things of one loan, and of one that it has itself made.
    pub(super) fn change_loan(&self, unit: &mut Unit, obligation: &ObligationId, change: impl FnOnce(&mut LoanRow)) {
        let row = unit.left(Table::Loans, &obligation.0).map_or_else(|| self.loan(obligation), Ok);
        match row {
            Ok(Some(mut row)) => {
                change(&mut row);
                unit.put(Table::Loans, &obligation.0, &row);
            }
            Ok(None) => {}
            Err(error) => tracing::error!(%error, "cannot read a loan"),
        }
    }

    /// The central bank has settled a loan of this bank's.
    fn note_return(&self, unit: &mut Unit, seen: &Seen, context: &ReturnContext) {
        let (rate, amount) = (context.rate, context.amount.0);
        self.change_loan(unit, &context.obligation, |row| {
            if contract::owed(Amount(row.amount), rate, row.lent_ms, seen.time_ms) != Some(context.amount) {
                tracing::warn!(obligation = %context.obligation, amount, "a loan was returned for another amount than is owed");
            }
            row.returned = Some(ReturnedRow { rate, amount, envelope: seen.id.0, at_ms: seen.time_ms });
        });
    }

    /// What this bank says when the payer's bank asks for success.
    fn judge(&self, seen: &Seen, opened: &Opened, booked: usize, unit: &mut Unit, told: &mut ToTell) {
        let failed_check = match opened.good {
            // The acceptance was ours, so the output was expected: nothing booked means that it came by another way.
            Ok(()) if booked == 0 => PaymentRule::AcceptanceDoesNotFit.number(),
            Ok(()) => 0,
            Err(rule) => {
                tracing::warn!(envelope = %seen.id, submitter = %seen.envelope.submitter(), %rule, "a payment is not good");
                rule.number()
            }
        };
        let row = VerdictRow { submitter: seen.envelope.submitter().0, failed_check };
        unit.put(Table::Verdicts, &seen.id.0, &row);
        told.verdicts.push((seen.id, row));
    }

    /// An own envelope took effect. Gives the payment that a return has left to make (K-2).
    fn accept_own(&self, shared: &mut Shared, unit: &mut Unit, id: &super::job::JobId, seen: &Seen) -> Option<Started> {
        let me = self.me.0;
        let mut active = shared.jobs.remove(id)?;
        let over = over(&active.job.work, &seen.envelope.header.core.context);
        let now_us = now_us();
        let job = &mut active.job;
        if let Some(attempt) = &job.attempt {
            // The job's coins decide it; when none is made, a spent one does.
            job.coins = if attempt.outputs.is_empty() {
                attempt.inputs.iter().take(1).copied().collect()
            } else {
                attempt.outputs.clone()
            };
        }
        shared.forget_attempt(job);
        job.envelope = Some(seen.id.0);
        job.state = State::Ordered;
        job.reason = None;
        job.trace_at(Step::Ordered, now_us, "");
        if seen.opened.is_some() {
            job.trace_at(Step::Opened, now_us, "");
        }
        if let (Work::Lend { bank, to, .. }, Some(opened)) = (&job.work, &seen.opened)
            && let Some((obligation, row)) =
                self.new_loan(seen.id, &seen.envelope, &opened.sealed, (*bank, to), seen.time_ms)
        {
            unit.put(Table::Loans, &obligation.0, &row);
        }
        if job.payee_bank() == Some(me) {
            // Payer and payee have their wallets here: this bank has checked it as both.
            job.state = State::Settled;
            job.trace_at(Step::PayeeBankSuccess, now_us, "the same bank");
        }
        let watched = job.watched_coin();
        if let Some(coin) = watched {
            shared.watched.insert(coin, *id);
        }
        unit.put(Table::OpenJobs, id, job);
        active.changed.send_replace(());
        shared.jobs.insert(*id, active);
        shared.book.release(id, unit);
        if watched.is_none() {
            // It has no coins: the ledger's word is all there is to wait for.
            shared.finish(id, unit, |job| job.state = State::Confirmed);
        }
        over.map(|work| self.start_in_the_vault(shared, unit, seen, work))
    }
}

impl Shared {
    fn governing(&self) -> Governing {
        Governing { directory: self.directory.clone(), contracts: self.contracts.clone() }
    }

    /// A confirmation of a coin that this desk holds, or that a job of it made or, making none, spent. `settled` are
    /// the envelopes whose public amounts the same batches moved.
    fn take_record(&mut self, coin: &CoinId, record: &Record, settled: &BTreeSet<EnvelopeId>, unit: &mut Unit) {
        if record.status == RecordStatus::Spent {
            // Own spends are gone already; this is somebody's recovery.
            self.let_go_of(coin, unit);
        } else {
            let status = match record.status {
                RecordStatus::Frozen => CoinStatus::Frozen,
                RecordStatus::Disputed => CoinStatus::Disputed,
                RecordStatus::Live | RecordStatus::Spent => CoinStatus::Live,
            };
            if status == CoinStatus::Frozen && !self.book.coins.contains_key(coin) {
                // Without a row it would be taken for live when its turn comes.
                self.book.materialise_out_of_turn(coin, unit);
            }
            if let Some(held) = self.book.set_status(coin, status) {
                unit.put(Table::Coins, &coin.0, &held.row());
            }
        }
        let Some(id) = self.watched.remove(coin) else { return };
        self.finish(&id, unit, |job| {
            job.trace(Step::Confirmed, format!("in batch {}", record.batch));
            let is_settled = job.envelope.is_some_and(|envelope| settled.contains(&EnvelopeId(envelope)));
            job.state = match record.status {
                RecordStatus::Disputed => {
                    let check = record.failed_check;
                    let rule = PaymentRule::from_number(check).map_or("unknown check", PaymentRule::message);
                    job.reason = Some(format!("disputed by the central bank: check {check}: {rule}"));
                    State::Disputed
                }
                // A redemption without change makes no coin that could say so: it is good if its amount was settled
                // (decision 031).
                RecordStatus::Spent if !is_settled => {
                    job.reason =
                        Some("disputed by registration: the coins are spent, and their amount was not settled".into());
                    State::Disputed
                }
                _ => State::Confirmed,
            };
        });
    }

    /// Coins that became live: those who wait may have enough now.
    fn serve_confirmed_wallets(&mut self, committed: &Committed, unit: &mut Unit) {
        let held = committed.records.iter().filter_map(|(coin, _)| self.book.coins.get(coin));
        let touched: BTreeSet<String> = held.map(|held| held.wallet.clone()).collect();
        for wallet in touched {
            self.book.serve_waiting(&wallet, unit);
        }
    }

    /// What a later block than this cannot accept any more.
    fn let_expire(&mut self, block_time_ms: u64, unit: &mut Unit, told: &mut ToTell) {
        while let Some((expiry_ms, envelope)) = self.attempts.first().copied() {
            if expiry_ms >= block_time_ms {
                break;
            }
            self.attempts.pop_first();
            if let Some(job) = self.by_envelope.get(&envelope) {
                told.jobs.push((*job, envelope, Verdict::Expired));
            }
        }
        while let Some((expiry_ms, note)) = self.expected_by_expiry.first().copied() {
            if expiry_ms >= block_time_ms {
                break;
            }
            self.stop_expecting(&note, unit);
        }
    }

    /// The directory that governs the next height: accepted updates bind from there (a new key binds from the next height).
    fn update_directory(&mut self, before: &Arc<Directory>, seen: &[Seen], unit: &mut Unit) {
        let mut directory: Option<Directory> = None;
        for seen in seen.iter().filter(|seen| seen.code == EnvelopeResult::ACCEPTED) {
            let context = &seen.envelope.header.core.context;
            if let Some(Ok(after)) = context.directory_after(directory.as_ref().unwrap_or(before)) {
                directory = Some(after);
            }
        }
        let Some(directory) = directory else { return };
        unit.put_meta(Meta::Directory, &directory.to_bytes());
        self.directory = Arc::new(directory);
    }

    /// The contracts that govern the next height (K-1).
    fn update_contracts(&mut self, chain: &Chain, height: Height, seen: &[Seen], unit: &mut Unit) {
        let accepted = seen.iter().filter(|seen| seen.code == EnvelopeResult::ACCEPTED);
        let mut is_changed = false;
        for seen in accepted {
            if let ClearContext::ContractOrder(context) = &seen.envelope.header.core.context {
                Arc::make_mut(&mut self.contracts).take(chain, height, &context.order);
                is_changed = true;
            }
        }
        if is_changed {
            unit.put_meta(Meta::Contracts, &self.contracts.to_bytes());
        }
    }
}
