//! The payer's side of one attempt: invoice, coins, signed order, acceptance, sealed envelope.
//!
//! Nothing here is durable but what the payee's bank keeps: the caller stores the envelope before it leaves. The desk runs the
//! payment's own check on what it has sealed before anybody sees it (rules P).

use super::accept::OrderToAccept;
use super::book::{Coins, HeldCoin};
use super::desk::Inner;
use super::epochs::NoEpoch;
use super::job::{Job, Step, TraceRow};
use super::rows::ExpectedRow;
use super::run::{Ready, Setback};
use super::sealing::{InputCoin, Layout, PlannedOutput, Source, common_series, lay_out};
use crate::clock::{now_ms, now_us};
use crate::link::{AcceptedCoin, Caller, Invoice, LinkRefusal, Request, Response};
use ledger_seal::{Authorization, Draft, Unauthorized, prepare};
use ledger_state::{SignatureChecks, payment_is_good};
use ledger_types::coin::CoinStatus;
use ledger_types::contract::Loan;
use ledger_types::envelope::{ClearContext, Envelope};
use ledger_types::keys::{PublicKey, Signature, SigningKey};
use ledger_types::order::{Order, Payee, memo_hash};
use ledger_types::sealed::{SealedAcceptance, SealedOrder};
use ledger_types::{Amount, CoinId, ContractNumber, Decode, Encode, List, ParticipantNumber, SeriesNumber, Terms};
use rand::RngCore;
use std::collections::BTreeMap;
use std::time::Duration;

const CALL_DEADLINE: Duration = Duration::from_secs(5);
/// How often a payment that waits for coins looks whether they can still come.
const COINS_LOOK: Duration = Duration::from_secs(5);

/// Whom a payment pays, and with which words.
#[derive(Clone, Copy)]
pub(crate) struct Paid<'a> {
    pub bank: ParticipantNumber,
    pub to: &'a str,
    pub amount: u64,
    pub memo: &'a [u8],
}

/// What the other bank added.
struct PayeeSide {
    output: PlannedOutput,
    acceptance: SealedAcceptance,
}

impl Inner {
    /// A payment, or a loan of inert money: what the payee gets is plain, the change stays as it was (K-5).
    pub(crate) async fn prepare_payment(
        &self,
        job: &Job,
        paid: Paid<'_>,
        loan: Option<(ContractNumber, Loan)>,
    ) -> Result<Ready, Setback> {
        let Paid { bank, to, amount, memo } = paid;
        let (contract, context) = match loan {
            Some((contract, loan)) => (contract, ClearContext::Activate(loan)),
            None => (ContractNumber(0), ClearContext::Transfer),
        };
        let nonce = self.attempt_nonce(job);
        let invoice = self.ask_invoice(bank, to, amount, &nonce).await?;
        let coins = self.obtain_coins(job, amount).await?;
        let (inputs, owners) = self.inputs_and_owners(&coins)?;
        let change = change_of(&inputs, amount)?;
        let terms = coins.first().map_or(Terms::ZERO, |coin| coin.opening.terms);
        let change_output = (change > 0).then(|| self.change_output(job, &job.wallet, 0, change)).transpose()?;
        let change_output = change_output.map(|(output, row)| (PlannedOutput { terms, ..output }, row));

        let payee = Payee { bank, owner: PublicKey(invoice.owner), amount: Amount(amount) };
        let order =
            self.order(&nonce, &inputs, Some(payee), change_output.iter().map(|(output, _)| output.owner), memo)?;
        let signatures = self.sign_order(&order, &owners);
        let mut trace = vec![TraceRow { step: Step::OrderSigned, at_us: now_us(), note: String::new() }];

        let series = common_series(&inputs);
        let payee_side = self.ask_acceptance(bank, &order, &signatures, &inputs, series, &invoice, amount).await?;
        let note = format!("by {}", self.participant_name(bank));
        trace.push(TraceRow { step: Step::AcceptedByPayeeBank, at_us: now_us(), note });

        let mut planned = vec![payee_side.output];
        planned.extend(change_output.iter().map(|(output, _)| output.clone()));
        let mut layout = self.lay_out(contract, Source::Spends(inputs), &planned, memo)?;
        let payee_place = layout.places[0];
        layout.sealed.order = Some(SealedOrder {
            payee_output: Some(u8::try_from(payee_place).expect("an envelope has at most eight outputs")),
            nonce: order.nonce,
            expiry_ms: order.expiry_ms,
            signatures,
        });
        let expiry_ms = order.expiry_ms.min(payee_side.acceptance.expiry_ms);
        layout.sealed.acceptance = Some(payee_side.acceptance);
        let expected = change_output.map(|(_, row)| (layout.notes[layout.places[1]], ExpectedRow { expiry_ms, ..row }));
        let outputs = layout.places.iter().map(|place| layout.coins[*place]).collect();
        let inputs = layout.input_ids.clone();
        let envelope = self.seal(layout, bank, context, expiry_ms, |_| Authorization::NotNeeded).await?;
        Ok(Ready { envelope, inputs, outputs, expected: expected.into_iter().collect(), trace })
    }

    /// Splits or merges a wallet's coins.
    pub(crate) async fn prepare_arrangement(
        &self,
        job: &Job,
        coins: &[[u8; 32]],
        amounts: &[u64],
    ) -> Result<Ready, Setback> {
        let ids: Vec<CoinId> = coins.iter().map(|id| CoinId(*id)).collect();
        let taken = self.change(|shared, _| shared.book.reserve_exactly(&job.wallet, job.id, 0, &ids)).0;
        let coins = taken.ok_or_else(|| Setback::refused("the coins are no longer free"))?;
        let (inputs, owners) = self.inputs_and_owners(&coins)?;
        let authorize = |_: &Unauthorized| Authorization::NotNeeded;
        self.prepare_to_self(job, inputs, &owners, amounts, u64::MAX, ClearContext::Transfer, authorize).await
    }

    /// An order without a payee: everything comes back to the wallet, but for a public amount. The envelope expires by `until_ms`.
    #[allow(clippy::too_many_arguments)] // All of them stand in the envelope.
    pub(crate) async fn prepare_to_self(
        &self,
        job: &Job,
        inputs: Vec<InputCoin>,
        owners: &BTreeMap<PublicKey, SigningKey>,
        amounts: &[u64],
        until_ms: u64,
        context: ClearContext,
        authorize: impl FnOnce(&Unauthorized) -> Authorization + Send,
    ) -> Result<Ready, Setback> {
        let nonce = self.attempt_nonce(job);
        let mut made = Vec::new();
        for (place, amount) in (0u64..).zip(amounts) {
            made.push(self.change_output(job, &job.wallet, place, *amount)?);
        }
        let planned: Vec<PlannedOutput> = made.iter().map(|(output, _)| output.clone()).collect();
        let order = self.order(&nonce, &inputs, None, planned.iter().map(|output| output.owner), b"")?;
        let signatures = self.sign_order(&order, owners);
        let trace = vec![TraceRow { step: Step::OrderSigned, at_us: now_us(), note: String::new() }];
        let mut layout = self.lay_out(ContractNumber(0), Source::Spends(inputs), &planned, b"")?;
        let (nonce, expiry_ms) = (order.nonce, order.expiry_ms);
        layout.sealed.order = Some(SealedOrder { payee_output: None, nonce, expiry_ms, signatures });
        let expiry_ms = expiry_ms.min(until_ms);
        let expected = made
            .into_iter()
            .zip(&layout.places)
            .map(|((_, row), place)| (layout.notes[*place], ExpectedRow { expiry_ms, ..row }));
        let expected = expected.collect();
        let outputs = layout.places.iter().map(|place| layout.coins[*place]).collect();
        let inputs = layout.input_ids.clone();
        let envelope = self.seal(layout, self.me, context, expiry_ms, authorize).await?;
        Ok(Ready { envelope, inputs, outputs, expected, trace })
    }

    /// The same for every repetition of this attempt, another one for the next.
    pub(crate) fn attempt_nonce(&self, job: &Job) -> [u8; 16] {
        let secret = self.at_rest.secret("attempt", &[&job.id, &job.attempts.to_le_bytes()]);
        *secret.first_chunk().expect("32 bytes are more than 16")
    }

    pub(crate) async fn ask_invoice(
        &self,
        bank: ParticipantNumber,
        to: &str,
        amount: u64,
        nonce: &[u8; 16],
    ) -> Result<Invoice, Setback> {
        if bank == self.me {
            return self.invoice(Caller::Participant(self.me), to, amount, nonce).await.map_err(refused_by_bank);
        }
        let request = Request::Invoice { wallet: to.to_owned(), amount, nonce: *nonce };
        match self.ask(bank, request).await? {
            Response::Invoice(invoice) => Ok(invoice),
            _ => Err(Setback::Later(format!("{} gave another answer", self.participant_name(bank)))),
        }
    }

    /// A call to another bank. No answer is a reason to wait; a refusal is one to give up or to start over.
    pub(crate) async fn ask(&self, bank: ParticipantNumber, request: Request) -> Result<Response, Setback> {
        match self.ports.call(bank, request, CALL_DEADLINE).await {
            Ok(Response::Refused(refusal)) => Err(refused_by_bank(refusal)),
            Ok(response) => Ok(response),
            Err(error) => Err(Setback::Later(error.to_string())),
        }
    }

    /// Coins for the job's amount, as soon as the wallet has enough live ones.
    pub(crate) async fn obtain_coins(&self, job: &Job, amount: u64) -> Result<Vec<HeldCoin>, Setback> {
        let mut later = match self.change(|shared, unit| shared.book.reserve(&job.wallet, job.id, amount, unit)).0 {
            Coins::Reserved(coins) => {
                self.coins_are_no_longer_promised(job);
                return Ok(coins);
            }
            Coins::Later(later) => later,
        };
        if let Some(active) = self.shared().jobs.get_mut(&job.id) {
            active.job.reason = Some("waits for coins to be confirmed or put together".into());
        }
        loop {
            match tokio::time::timeout(COINS_LOOK, &mut later).await {
                Ok(Ok(coins)) => {
                    self.coins_are_no_longer_promised(job);
                    return Ok(coins);
                }
                Ok(Err(_)) => return Err(Setback::Later("the wallet is gone".into())),
                Err(_) => {
                    let shared = self.shared();
                    if !shared.book.may_ever_cover(&job.wallet, amount) {
                        // Under the lock: either the coins came, or nobody gives them any more.
                        if let Ok(coins) = later.try_recv() {
                            drop(shared);
                            self.coins_are_no_longer_promised(job);
                            return Ok(coins);
                        }
                        later.close();
                        return Err(Setback::refused(
                            "insufficient funds: coins of this wallet were frozen, disputed or recovered",
                        ));
                    }
                }
            }
        }
    }

    fn coins_are_no_longer_promised(&self, job: &Job) {
        if let Some(active) = self.shared().jobs.get_mut(&job.id) {
            active.promised = false;
        }
    }

    pub(crate) fn inputs_and_owners(
        &self,
        coins: &[HeldCoin],
    ) -> Result<(Vec<InputCoin>, BTreeMap<PublicKey, SigningKey>), Setback> {
        let mut owners = BTreeMap::new();
        let mut inputs = Vec::with_capacity(coins.len());
        for coin in coins {
            let key =
                self.owner_key(&coin.wallet, coin.key_index).ok_or_else(|| Setback::refused("the wallet is gone"))?;
            owners.insert(coin.opening.owner, key);
            inputs.push(self.input(coin));
        }
        inputs.sort_by_key(|input| input.id);
        Ok((inputs, owners))
    }

    pub(crate) fn input(&self, coin: &HeldCoin) -> InputCoin {
        debug_assert_ne!(coin.status, CoinStatus::Unconfirmed);
        InputCoin {
            id: coin.id,
            opening: coin.opening.clone(),
            origin: coin.origin,
            output_index: coin.output_index,
            bank: self.me,
        }
    }

    /// A coin back to one of the own wallets, under a key of its own (C-6).
    pub(crate) fn change_output(
        &self,
        job: &Job,
        wallet: &str,
        place: u64,
        amount: u64,
    ) -> Result<(PlannedOutput, ExpectedRow), Setback> {
        let parts: [&[u8]; 3] = [&job.id, &job.attempts.to_le_bytes(), &place.to_le_bytes()];
        let key_index = self.key_index("change key", &parts);
        let owner =
            self.owner_key(wallet, key_index).ok_or_else(|| Setback::refused("the wallet is gone"))?.public_key();
        let mut rho = [0; 32];
        rand::rngs::OsRng.fill_bytes(&mut rho);
        let output = PlannedOutput { amount, bank: self.me, owner, rho, terms: Terms::ZERO };
        Ok((output, ExpectedRow { wallet: wallet.to_owned(), key_index, expiry_ms: 0 }))
    }

    fn order(
        &self,
        nonce: &[u8; 16],
        inputs: &[InputCoin],
        payee: Option<Payee>,
        change_owners: impl Iterator<Item = PublicKey>,
        memo: &[u8],
    ) -> Result<Order, Setback> {
        let too_many = |_| Setback::refused("too many coins");
        let mut change_owners: Vec<PublicKey> = change_owners.collect();
        change_owners.sort_unstable();
        change_owners.dedup();
        Ok(Order {
            inputs: List::new(inputs.iter().map(|input| input.id).collect()).map_err(too_many)?,
            payee,
            currency: self.rules.genesis.currency,
            change_owners: List::new(change_owners).map_err(too_many)?,
            nonce: u64::from_le_bytes(*nonce.first_chunk().expect("16 bytes are more than 8")),
            expiry_ms: now_ms() + self.config.order_lifetime_ms,
            memo_hash: memo_hash(self.chain(), memo),
        })
    }

    /// One signature a distinct owner, in ascending order of the keys.
    fn sign_order(&self, order: &Order, owners: &BTreeMap<PublicKey, SigningKey>) -> List<Signature, 8> {
        let hash = order.hash(self.chain());
        let signatures = owners.values().map(|key| key.sign(&hash.0)).collect();
        List::new(signatures).expect("no more owners than the order's inputs, of which there are at most eight")
    }

    #[allow(clippy::too_many_arguments)] // All of them stand in the request.
    async fn ask_acceptance(
        &self,
        bank: ParticipantNumber,
        order: &Order,
        signatures: &List<Signature, 8>,
        inputs: &[InputCoin],
        series: SeriesNumber,
        invoice: &Invoice,
        amount: u64,
    ) -> Result<PayeeSide, Setback> {
        let input_owners = inputs.iter().map(|input| input.opening.owner);
        let (coin, expiry_ms, signature) = if bank == self.me {
            let offered = OrderToAccept {
                order: order.clone(),
                signatures: signatures.to_vec(),
                input_owners: input_owners.collect(),
                series,
                invoice: invoice.id,
            };
            let acceptance = self.accept(Caller::Participant(self.me), offered).await.map_err(refused_by_bank)?;
            (acceptance.coins.into_iter().next(), acceptance.expiry_ms, acceptance.signature)
        } else {
            let request = Request::Accept {
                order: order.to_bytes(),
                signatures: signatures.iter().map(|signature| signature.0.to_vec()).collect(),
                input_owners: input_owners.map(|owner| owner.0).collect(),
                series: series.0,
                invoice: invoice.id,
            };
            accepted(self.ask(bank, request).await?, 1)
                .map(|(mut coins, expiry_ms, signature)| (coins.pop(), expiry_ms, signature))?
        };
        let coin = coin.ok_or_else(|| Setback::Later("the payee's bank accepted no coin".into()))?;
        if coin.owner != invoice.owner {
            return Err(Setback::Later("the payee's bank accepted for another key".into()));
        }
        if expiry_ms <= now_ms() {
            return Err(Setback::Later(
                "the payee's bank accepts until a moment that is over: one of the clocks is off".into(),
            ));
        }
        let (owner, rho) = (PublicKey(coin.owner), coin.rho);
        let output = PlannedOutput { amount, bank, owner, rho, terms: Terms::ZERO };
        Ok(PayeeSide { output, acceptance: SealedAcceptance { expiry_ms, signature } })
    }

    pub(crate) fn lay_out(
        &self,
        contract: ContractNumber,
        source: Source,
        planned: &[PlannedOutput],
        memo: &[u8],
    ) -> Result<Layout, Setback> {
        lay_out(self.chain(), self.rules.genesis.currency, contract, source, planned, memo)
            .map_err(|error| Setback::refused(error.to_string()))
    }

    /// Seals under the channel of this bank and `bank`, and checks the result as its readers will.
    pub(crate) async fn seal(
        &self,
        layout: Layout,
        bank: ParticipantNumber,
        context: ClearContext,
        expiry_ms: u64,
        authorize: impl FnOnce(&Unauthorized) -> Authorization + Send,
    ) -> Result<Envelope, Setback> {
        let mut members = vec![self.me, bank];
        members.sort_unstable();
        members.dedup();
        let slot = self.epochs.slot(&*self.ports, &self.journal, &members).await.map_err(|error| match error {
            NoEpoch::Stopped(_) => Setback::Stopped,
            other => Setback::Later(other.to_string()),
        })?;
        let Layout { inputs, outputs, contract, sealed, .. } = layout;
        let draft = Draft { inputs, outputs, contract, expiry_ms, context };
        let mut rng = rand::rngs::OsRng;
        let prepared = prepare(self.chain(), slot, draft, &sealed, &self.bank_secret, &mut rng);
        let prepared = prepared.map_err(|error| Setback::refused(error.to_string()))?;
        let authorization = authorize(&prepared);
        let (envelope, _root) =
            prepared.authorize(self.chain(), authorization).map_err(|error| Setback::refused(error.to_string()))?;
        // The order's signatures were made a moment ago with the very keys; everything else is checked, the other bank's
        // acceptance above all: success at the ledger must mean that registration will confirm.
        let ledger = self.ports.ledger();
        let (directory, contracts) = (&ledger.directory, &ledger.contracts);
        payment_is_good(&self.rules, directory, contracts, &envelope.header, &sealed, SignatureChecks::SkipOrder)
            .map_err(|rule| Setback::Later(format!("the sealed payment would not be good: {rule}")))?;
        Ok(envelope)
    }
}

fn change_of(inputs: &[InputCoin], amount: u64) -> Result<u64, Setback> {
    let sum = Amount::sum(inputs.iter().map(|input| input.opening.amount));
    let change =
        sum.checked_sub(u128::from(amount)).ok_or_else(|| Setback::Later("the coins do not cover it".into()))?;
    u64::try_from(change).map_err(|_| Setback::refused("the change exceeds what one coin holds"))
}

/// A bank's refusal of what we asked: some mean "start over", the others are the end.
fn refused_by_bank(refusal: LinkRefusal) -> Setback {
    match refusal.code.as_str() {
        // The invoice was forgotten in a restart, or the clock moved: the next attempt asks anew.
        "invoice_unknown" | "expiry_unfit" | "stopping" | "busy" | "acceptances_full" | "invoices_full" => {
            Setback::Later(refusal.to_string())
        }
        _ => Setback::refused(refusal.to_string()),
    }
}

/// What an acceptance brings: as many coins as were asked for, the expiry and the desk's signature.
pub(crate) fn accepted(response: Response, coins: usize) -> Result<(Vec<AcceptedCoin>, u64, Signature), Setback> {
    match response {
        Response::Accepted { coins: found, expiry_ms, signature } if found.len() == coins => {
            let signature =
                Signature::from_bytes(&signature).map_err(|_| Setback::Later("a malformed acceptance".into()))?;
            Ok((found, expiry_ms, signature))
        }
        _ => Err(Setback::Later("the other bank gave another answer".into())),
    }
}
