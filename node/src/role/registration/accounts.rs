//! The private accounts: who holds which coin, and what becomes of them when an envelope is booked.
//!
//! | envelope           | inputs                     | outputs                        | totals  |
//! |--------------------|----------------------------|--------------------------------|---------|
//! | good               | spent                      | live                           | settled, if the amount is public |
//! | a check failed     | spent                      | disputed, with the check's number | –    |
//!
//! What stays true here:
//! - An input of an accepted spend is a coin that registration itself has confirmed as live (invariant 2): otherwise the ledger
//!   that we follow is not ours any more, and registration stops.
//! - What was booked is kept for the officers alone: a spend brings its inputs' openings, and what a disputed envelope was
//!   worth is what those say, or what officers have opened since ([`Booking::learn`]).
//! - A recovery gives back at most what the disputed envelopes had put in, whatever their outputs claim (P-4). A disputed
//!   envelope's worth is what it had spent, so nothing is stranded and nothing made, even where nothing could be opened.

use super::judge::Judged;
use super::loans::Loans;
use super::rows::{self, AccountRow, AccountStatus, DisputeRow};
use super::{Alarm, RegistrationError};
use crate::outbox::{Confirmed, ConfirmedOutput, StorageKey, TagOpening};
use ledger_state::{PaymentRule, Rules, preissued_coins};
use ledger_store::{PrivateStore, Scan, Writes};
use ledger_types::coin::{coin_id, coin_link, issue_origin, origin};
use ledger_types::confirmation::RecordStatus;
use ledger_types::envelope::{ClearContext, Core, TermsFlag};
use ledger_types::sealed::Sealed;
use ledger_types::{Amount, CoinId, Decode, Encode, EnvelopeId, List, Octets, ParticipantNumber, SeriesNumber};
use std::collections::{BTreeMap, BTreeSet};

/// The pre-issued coins of a bench are up to millions: sixteen bytes each, sorted.
pub struct Preissued {
    /// The id's first 14 bytes and the pre-issue line. No two coins are found to share 112 bits with less than 2^56 work, and a
    /// coin that is taken for one of these was still accepted as live by the ledger.
    coins: Vec<([u8; 14], u16)>,
    lines: Vec<(ParticipantNumber, u64)>,
}

impl Preissued {
    pub fn of(rules: &Rules) -> Self {
        let lines: Vec<_> = rules.genesis.preissues.iter().map(|line| (line.bank, line.amount.0)).collect();
        let line_of_coin = (0u16..)
            .zip(&rules.genesis.preissues)
            .flat_map(|(line, preissue)| std::iter::repeat_n(line, preissue.count as usize));
        let mut coins: Vec<_> =
            preissued_coins(rules).zip(line_of_coin).map(|(coin, line)| (prefix(&coin.id), line)).collect();
        coins.sort_unstable();
        Preissued { coins, lines }
    }

    pub fn holds(&self, coin: &CoinId) -> bool {
        self.get(coin).is_some()
    }

    /// Its bank and its amount.
    pub(super) fn get(&self, coin: &CoinId) -> Option<(ParticipantNumber, u64)> {
        let found = self.coins.binary_search_by_key(&prefix(coin), |(prefix, _)| *prefix).ok()?;
        Some(self.lines[usize::from(self.coins[found].1)])
    }
}

fn prefix(coin: &CoinId) -> [u8; 14] {
    *coin.0.first_chunk().expect("14 of 32 bytes")
}

/// One step of booking. Nothing is written before the caller commits.
pub struct Booking<'a> {
    pub store: &'a PrivateStore,
    pub key: &'a StorageKey,
    pub rules: &'a Rules,
    pub preissued: &'a Preissued,
    loans: Loans<'a>,
    spent: BTreeSet<CoinId>,
    /// Worth of disputed envelopes as this step leaves it.
    worth: BTreeMap<EnvelopeId, Left>,
}

/// What a disputed envelope is worth still.
#[derive(Clone, Default)]
struct Left {
    amount: u64,
    /// Inputs that count for nothing until their openings are shown.
    unknown: BTreeSet<CoinId>,
}

/// A coin that an accepted envelope has spent, as registration knows it.
enum Input {
    Booked(AccountRow),
    Preissued { amount: u64 },
}

/// What the inputs of an envelope were worth.
struct Worth {
    live: u128,
    /// Live inputs whose openings were not shown.
    unknown: BTreeSet<CoinId>,
    /// Disputed envelopes behind the inputs, and what is left of each.
    disputed: BTreeMap<EnvelopeId, Left>,
}

impl Worth {
    fn total(&self) -> u128 {
        self.live + self.disputed.values().map(|left| u128::from(left.amount)).sum::<u128>()
    }
}

impl<'a> Booking<'a> {
    pub fn new(
        store: &'a PrivateStore,
        key: &'a StorageKey,
        rules: &'a Rules,
        preissued: &'a Preissued,
        loans: Loans<'a>,
    ) -> Self {
        Booking { store, key, rules, preissued, loans, spent: BTreeSet::new(), worth: BTreeMap::new() }
    }

    /// Books one envelope, and says what confirmation issuance is to publish.
    pub fn book(&mut self, judged: &Judged, writes: &mut Writes<'_>) -> Result<Confirmed, RegistrationError> {
        let (id, core) = (judged.case.id, &judged.case.envelope.header.core);
        let coins = core.input_ids(&self.rules.chain);
        let inputs: Vec<Input> = coins.iter().map(|coin| self.input(id, core, coin)).collect::<Result<_, _>>()?;
        let is_recovery = matches!(core.context, ClearContext::Recover(_));
        let mut verdict = judged.verdict;
        if let (Some(sealed), Ok(())) = (&judged.sealed, verdict)
            && !unopened_are_disputed(sealed, &inputs)
        {
            verdict = Err(PaymentRule::InputsDiffer); // P-4
        }
        if let (Some(sealed), Ok(())) = (&judged.sealed, verdict) {
            verdict = self.judge_loan(judged, sealed)?;
        }
        if is_recovery || verdict.is_err() {
            let mut worth = self.worth_of(judged, &coins, &inputs)?;
            let recovered = match (&judged.sealed, verdict) {
                (Some(sealed), Ok(())) => Amount::sum(sealed.outputs.iter().map(|output| output.amount)),
                _ => 0,
            };
            if recovered > worth.total() {
                verdict = Err(PaymentRule::ValueNotConserved);
            }
            match verdict {
                Ok(()) => give_back(&mut worth, recovered),
                Err(_) => {
                    let total = u64::try_from(worth.total()).unwrap_or(u64::MAX);
                    let mut unknown = std::mem::take(&mut worth.unknown);
                    for left in worth.disputed.values_mut() {
                        unknown.append(&mut std::mem::take(left).unknown);
                    }
                    worth.disputed.insert(id, Left { amount: total, unknown });
                }
            }
            self.worth.append(&mut worth.disputed);
        }
        self.spend(&coins, &inputs, writes)?;
        let outputs = self.outputs(judged, verdict, &coins, writes)?;
        self.note_loan(judged, verdict)?;
        if let Some(root) = &judged.root {
            writes.put(&rows::SEALED_ROOTS, &id, root)?;
        }
        let has_public_amount = matches!(
            core.context,
            ClearContext::Issue(_) | ClearContext::Redeem(_) | ClearContext::Return(_) | ClearContext::Reclaim(_)
        );
        Ok(Confirmed {
            envelope: id,
            spent: List::new(coins).expect("an envelope has at most 1,000 inputs"),
            outputs: List::new(outputs).expect("an envelope has at most 8 outputs"),
            settled: verdict.is_ok() && has_public_amount,
        })
    }

    /// Checks 18 to 20, as far as they are registration's own.
    fn judge_loan(&self, judged: &Judged, sealed: &Sealed) -> Result<Result<(), PaymentRule>, RegistrationError> {
        let (id, envelope) = (judged.case.id, &judged.case.envelope);
        match &envelope.header.core.context {
            ClearContext::Activate(_) => self.loans.judge_activation(&self.rules.chain, id, envelope, sealed),
            ClearContext::Return(context) => self.loans.judge_return(id, context, judged.case.time_ms),
            _ => Ok(Ok(())),
        }
    }

    fn note_loan(&mut self, judged: &Judged, verdict: Result<(), PaymentRule>) -> Result<(), RegistrationError> {
        let (id, envelope) = (judged.case.id, &judged.case.envelope);
        match (&envelope.header.core.context, &judged.sealed) {
            (ClearContext::Activate(_), sealed) => {
                self.loans.note_booked(self.rules, id, envelope, sealed.as_ref())?;
            }
            (ClearContext::Return(context), _) => self.loans.note_returned(context.obligation),
            (ClearContext::Issue(_), Some(sealed)) if verdict.is_ok() => self.loans.note_issued(sealed),
            _ => {}
        }
        Ok(())
    }

    /// To be called once, after the last envelope of the step.
    pub fn finish(self, writes: &mut Writes<'_>) -> Result<(), RegistrationError> {
        self.loans.finish(writes)?;
        for (envelope, left) in self.worth {
            if left.amount == 0 && left.unknown.is_empty() {
                writes.delete(&rows::DISPUTES, &envelope);
                continue;
            }
            let sealed = self.key.seal(&dispute_text(&envelope), &left.amount.to_bytes());
            let unknown: Vec<CoinId> = left.unknown.into_iter().take(rows::UNKNOWN_INPUTS_MAX).collect();
            let row = DisputeRow {
                left: Octets::new(sealed).expect("a sealed amount takes 48 bytes"),
                unknown: List::new(unknown).expect("just cut to its maximum"),
            };
            writes.put(&rows::DISPUTES, &envelope, &row)?;
        }
        Ok(())
    }

    /// Officers have opened a coin that disputed envelopes had spent: their worth grows by what it was. Whether a dispute was
    /// waiting for it.
    pub fn learn(&mut self, coin: &CoinId, amount: Amount) -> Result<bool, RegistrationError> {
        let mut is_new = false;
        for row in self.store.scan(&rows::DISPUTES, Scan::all()) {
            let (envelope, row) = row?;
            if row.unknown.contains(coin) {
                let mut left = self.left_of(&envelope)?;
                left.unknown.remove(coin);
                left.amount = left.amount.saturating_add(amount.0);
                self.worth.insert(envelope, left);
                is_new = true;
            }
        }
        Ok(is_new)
    }

    fn input(&mut self, envelope: EnvelopeId, core: &Core, coin: &CoinId) -> Result<Input, RegistrationError> {
        let not_confirmed = || Alarm::InputNotConfirmed { envelope, coin: *coin };
        if !self.spent.insert(*coin) {
            return Err(not_confirmed().into());
        }
        // K-3: what lies idle is reclaimed whosever custody it is in.
        let is_recovery = matches!(core.context, ClearContext::Recover(_) | ClearContext::Reclaim(_));
        let row = self.store.get(&rows::ACCOUNTS, coin)?;
        if let Some(row) = row.filter(|row| row.made_by != EnvelopeId::ZERO) {
            // Of a spend, the submitter's custody was shown by the coin id (C-2); the account must say the same. A coin that is
            // frozen here was spent before its record was accepted, which is too late then.
            let is_spendable = row.status != AccountStatus::Disputed;
            let is_the_submitters = is_spendable && row.bank == Some(core.submitter);
            return if is_recovery || is_the_submitters { Ok(Input::Booked(row)) } else { Err(not_confirmed().into()) };
        }
        match self.preissued.get(coin) {
            Some((_, amount)) if self.store.get(&rows::PREISSUED_SPENT, coin)?.is_none() => {
                Ok(Input::Preissued { amount })
            }
            _ => Err(not_confirmed().into()),
        }
    }

    fn worth_of(&self, judged: &Judged, coins: &[CoinId], inputs: &[Input]) -> Result<Worth, RegistrationError> {
        let mut worth = Worth { live: 0, unknown: BTreeSet::new(), disputed: BTreeMap::new() };
        for (index, (coin, input)) in coins.iter().zip(inputs).enumerate() {
            match input {
                Input::Preissued { amount } => worth.live += u128::from(*amount),
                Input::Booked(row) if row.status != AccountStatus::Disputed => match shown_amount(judged, index) {
                    Some(amount) => worth.live += u128::from(amount.0),
                    None => drop(worth.unknown.insert(*coin)),
                },
                Input::Booked(row) => {
                    let left = match self.worth.get(&row.made_by) {
                        Some(left) => left.clone(),
                        None => self.left_of(&row.made_by)?,
                    };
                    worth.disputed.insert(row.made_by, left);
                }
            }
        }
        Ok(worth)
    }

    /// What recoveries have not given back yet.
    fn left_of(&self, disputed: &EnvelopeId) -> Result<Left, RegistrationError> {
        let Some(row) = self.store.get(&rows::DISPUTES, disputed)? else { return Ok(Left::default()) };
        let unreadable = || RegistrationError::Unreadable("a dispute");
        let plaintext = self.key.open(&dispute_text(disputed), &row.left).ok_or_else(unreadable)?;
        let amount = u64::from_bytes(&plaintext).map_err(|_| unreadable())?;
        Ok(Left { amount, unknown: row.unknown.iter().copied().collect() })
    }

    fn spend(&self, coins: &[CoinId], inputs: &[Input], writes: &mut Writes<'_>) -> Result<(), RegistrationError> {
        for (coin, input) in coins.iter().zip(inputs) {
            match input {
                Input::Booked(row) => {
                    writes.delete(&rows::ACCOUNTS, coin);
                    writes.put(&rows::SPENT, coin, &row.made_by)?;
                }
                Input::Preissued { .. } => {
                    writes.delete(&rows::ACCOUNTS, coin);
                    writes.put(&rows::PREISSUED_SPENT, coin, &Vec::new())?;
                }
            }
        }
        Ok(())
    }

    fn outputs(
        &self,
        judged: &Judged,
        verdict: Result<(), PaymentRule>,
        inputs: &[CoinId],
        writes: &mut Writes<'_>,
    ) -> Result<Vec<ConfirmedOutput>, RegistrationError> {
        let (chain, core) = (&self.rules.chain, &judged.case.envelope.header.core);
        let origin = match &core.context {
            ClearContext::Issue(issue) => issue_origin(chain, issue.series, issue.issue_number),
            _ => origin(chain, inputs),
        };
        let (status, account, failed_check) = match verdict {
            Ok(()) => (RecordStatus::Live, AccountStatus::Live, 0),
            Err(rule) => (RecordStatus::Disputed, AccountStatus::Disputed, rule.number()),
        };
        let mut outputs = Vec::with_capacity(core.outputs.len());
        for (index, output) in (0u8..).zip(&core.outputs) {
            let coin = coin_id(chain, &coin_link(chain, &origin, index, &output.note), &output.custody);
            // Of a disputed payment the sealed part may say anything: only what hashes to the coin is its opening.
            let has_terms = output.terms_flag == TermsFlag::Contract;
            let known = judged.sealed.as_ref().and_then(|sealed| {
                let bank = sealed.outputs.get(usize::from(index))?.bank;
                let opening = sealed.output_opening(usize::from(index), series(core, sealed), has_terms)?;
                (opening.coin_id(chain, &origin, index, bank) == coin).then_some((bank, opening))
            });
            let bank = known.as_ref().map(|(bank, _)| *bank);
            let tag = known.map(|(_, opening)| TagOpening { owner: opening.owner, blind: opening.tag_blind(chain) });
            let row = AccountRow {
                status: account,
                made_by: judged.case.id,
                bank,
                tag: tag.as_ref().map(|tag| tag.tag(chain, &coin)),
            };
            writes.put(&rows::ACCOUNTS, &coin, &row)?;
            outputs.push(ConfirmedOutput { coin, status, failed_check, tag });
        }
        Ok(outputs)
    }
}

/// What the sealed part says that a live input was worth, if that is proved: checks 1 to 3 passed, so what it says hashes to the
/// confirmed id.
fn shown_amount(judged: &Judged, index: usize) -> Option<Amount> {
    let is_proved = match judged.verdict {
        Ok(()) => true,
        Err(rule) => rule.number() > PaymentRule::InputsDiffer.number() && rule != PaymentRule::KeyNeverReleased,
    };
    let input = judged.sealed.as_ref()?.inputs.get(index)?;
    (is_proved && !input.is_unopened()).then_some(input.amount)
}

/// P-4: an input without an opening is a coin of a disputed envelope, whose worth stands in the accounts.
fn unopened_are_disputed(sealed: &Sealed, inputs: &[Input]) -> bool {
    let is_disputed = |input: &Input| matches!(input, Input::Booked(row) if row.status == AccountStatus::Disputed);
    sealed.inputs.iter().zip(inputs).all(|(sealed, input)| !sealed.is_unopened() || is_disputed(input))
}

/// Takes what a recovery gave back: from its live inputs first, then from the disputed envelopes in the order of their ids.
fn give_back(worth: &mut Worth, recovered: u128) {
    let mut rest = recovered.saturating_sub(worth.live);
    for left in worth.disputed.values_mut() {
        let taken = u64::try_from(rest).unwrap_or(u64::MAX).min(left.amount);
        left.amount -= taken;
        rest -= u128::from(taken);
    }
}

/// As `payment_is_good` has it (C-4).
fn series(core: &Core, sealed: &Sealed) -> SeriesNumber {
    match &core.context {
        ClearContext::Issue(issue) => issue.series,
        _ => sealed.common_series(),
    }
}

fn dispute_text(envelope: &EnvelopeId) -> Vec<u8> {
    [b"dispute ", &envelope.0[..]].concat()
}
