//! Is this payment good? (rules P) One pure predicate with three callers: the payer's bank, the payee's bank before it says
//! success, and registration. What one of them accepts, the others accept too.
//!
//! What stays true here: the verdict depends on the header, the sealed part, the genesis and the directory alone. That the inputs
//! are live and confirmed is the ledger's verdict, not this one's; that the sealed part is the one that the header commits to
//! (E-1) is checked by whoever opened it, and failing that is rule 1.
//!
//! | kind     | inputs | order                | acceptance                     | value                      |
//! |----------|--------|----------------------|--------------------------------|----------------------------|
//! | issue    | none   | none                 | of all outputs, by their bank  | Σ out = public amount      |
//! | transfer | 1–8    | by all owners        | of the payee's output, if any  | Σ in = Σ out               |
//! | redeem   | 1–8    | by all owners        | none                           | Σ in = public amount + Σ out |
//! | recover  | by id  | none: officers order | none                           | Σ out ≤ Σ in (P-4)         |
//! | activate | 1–8    | by all owners        | of the one plain output        | Σ in = Σ out               |
//! | return   | 1–8    | by all owners        | none                           | Σ in = public amount + Σ out |
//! | reclaim  | by id  | none                 | none                           | Σ in = public amount       |

mod rule;

pub use rule::PaymentRule;

use crate::contracts::Contracts;
use crate::rules::Rules;
use ledger_types::Chain;
use ledger_types::coin::Opening;
use ledger_types::encoding::List;
use ledger_types::envelope::{ClearContext, Core, EnvelopeHeader, Inputs, TermsFlag};
use ledger_types::ids::*;
use ledger_types::keys::PublicKey;
use ledger_types::order::{AcceptedOutput, AcceptedOutputs, Order, Payee, issue_order_hash, memo_hash};
use ledger_types::participant::Directory;
use ledger_types::sealed::{Sealed, SealedInput, SealedOrder};

/// Value checks are mandatory; the order's signatures may be left to registration by a payee's bank that is short of time.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum SignatureChecks {
    All,
    SkipOrder,
}

/// `directory` and `contracts` as they govern the block that orders the envelope, which is the one after that block's parent: a new key binds from
/// the next height. Callers that judge later must take that one too, or they would not agree.
pub fn payment_is_good(
    rules: &Rules,
    directory: &Directory,
    contracts: &Contracts,
    header: &EnvelopeHeader,
    sealed: &Sealed,
    checks: SignatureChecks,
) -> Result<(), PaymentRule> {
    let payment = Payment { rules, chain: &rules.chain, directory, core: &header.core, sealed };
    if payment.core.kind().seals_nothing() {
        return Err(PaymentRule::DoesNotOpen);
    }
    payment.names_this_submitter()?;
    let inputs = payment.inputs_hash_to_their_coin_ids()?;
    payment.currency_is_the_chains()?;
    payment.terms_are_as_declared(contracts)?;
    payment.outputs_hash_to_their_notes()?;
    payment.custodies_open_to_named_banks()?;
    let accepted = match &payment.core.context {
        ClearContext::Issue(context) => {
            payment.has_no_order()?;
            let bank = sealed.outputs.first().map_or(ParticipantNumber::REGISTRATION, |output| output.bank);
            let order = issue_order_hash(payment.chain, context.series, context.issue_number, context.amount, bank);
            Some(ToAccept { order, outputs: (0..sealed.outputs.len()).collect() })
        }
        ClearContext::Transfer => payment.order_is_signed(inputs, checks)?,
        ClearContext::Activate(_) => {
            payment.order_pays_the_plain_output()?;
            payment.order_is_signed(inputs, checks)?
        }
        ClearContext::Redeem(_) | ClearContext::Return(_) => {
            payment.order_pays_nobody()?;
            payment.order_is_signed(inputs, checks)?
        }
        _ => {
            payment.has_no_order()?;
            None
        }
    };
    payment.acceptance_is_signed(&accepted)?;
    payment.change_stays_with_the_submitter(&accepted)?;
    payment.value_is_conserved()?;
    payment.no_output_is_zero()?;
    payment.is_lent_to_another()
}

struct Payment<'a> {
    rules: &'a Rules,
    chain: &'a Chain,
    directory: &'a Directory,
    core: &'a Core,
    sealed: &'a Sealed,
}

/// What the receiving bank must have accepted.
struct ToAccept {
    order: OrderHash,
    /// Indices of the outputs, ascending.
    outputs: Vec<usize>,
}

type Checked<T = ()> = Result<T, PaymentRule>;

impl Payment<'_> {
    fn names_this_submitter(&self) -> Checked {
        let by_id = matches!(self.core.inputs, Inputs::ById(_));
        let all_in_custody = self.sealed.inputs.iter().all(|input| input.bank == self.core.submitter);
        if by_id || all_in_custody { Ok(()) } else { Err(PaymentRule::NamesAnotherSubmitter) }
    }

    /// Every input's opening, origin and index hash to its coin id. Gives the ids.
    fn inputs_hash_to_their_coin_ids(&self) -> Checked<Vec<CoinId>> {
        let named = self.core.input_ids(self.chain);
        if named.len() != self.sealed.inputs.len() {
            return Err(PaymentRule::InputsDiffer);
        }
        for (index, (id, input)) in named.iter().zip(&self.sealed.inputs).enumerate() {
            if self.may_be_unopened() && input.is_unopened() {
                continue; // P-4
            }
            let opening = self.sealed.input_opening(index).ok_or(PaymentRule::InputsDiffer)?;
            if opening.coin_id(self.chain, &input.origin, input.output_index, input.bank) != *id {
                return Err(PaymentRule::InputsDiffer);
            }
        }
        Ok(named)
    }

    /// P-4. Only officers name coins without an opening, and what such coins are worth is in registration's accounts alone.
    fn may_be_unopened(&self) -> bool {
        matches!(self.core.context, ClearContext::Recover(_))
    }

    fn currency_is_the_chains(&self) -> Checked {
        if self.sealed.currency == self.rules.genesis.currency { Ok(()) } else { Err(PaymentRule::CurrencyDiffers) }
    }

    /// C-4, K-4: the sealed terms are those of a version of the declared contract.
    fn terms_are_as_declared(&self, contracts: &Contracts) -> Checked {
        let declared = self.core.contract != ContractNumber(0);
        let flagged = self.core.outputs.iter().any(|output| output.terms_flag == TermsFlag::Contract);
        let fits = match &self.sealed.terms {
            Some(terms) => declared && contracts.have_terms(self.chain, self.core.contract, terms),
            None => !declared && !flagged,
        };
        if fits { Ok(()) } else { Err(PaymentRule::TermsDiffer) }
    }

    fn outputs_hash_to_their_notes(&self) -> Checked {
        if self.core.outputs.len() != self.sealed.outputs.len() {
            return Err(PaymentRule::OutputsDiffer);
        }
        for (index, output) in self.core.outputs.iter().enumerate() {
            if self.output_opening(index)?.note(self.chain) != output.note {
                return Err(PaymentRule::OutputsDiffer);
            }
        }
        Ok(())
    }

    /// An issue's series is the clear context's; else it is the inputs' common one, else 0 (C-4).
    fn output_opening(&self, index: usize) -> Checked<Opening> {
        let series = match &self.core.context {
            ClearContext::Issue(context) => context.series,
            _ => self.sealed.common_series(),
        };
        let has_terms = self.core.outputs.get(index).is_some_and(|output| output.terms_flag == TermsFlag::Contract);
        self.sealed.output_opening(index, series, has_terms).ok_or(PaymentRule::OutputsDiffer)
    }

    fn custodies_open_to_named_banks(&self) -> Checked {
        for (index, (public, sealed)) in self.core.outputs.iter().zip(&self.sealed.outputs).enumerate() {
            let bank = self.directory.get(sealed.bank);
            let is_a_bank = bank.is_some_and(|p| p.is_commercial_bank() || p.is_central_bank());
            if !is_a_bank || self.output_opening(index)?.custody(self.chain, sealed.bank) != public.custody {
                return Err(PaymentRule::CustodyDiffers);
            }
        }
        Ok(())
    }

    fn has_no_order(&self) -> Checked {
        if self.sealed.order.is_none() { Ok(()) } else { Err(PaymentRule::OrderDoesNotFit) }
    }

    /// A redeem's money goes to nobody. Rule 8, so it comes before the signatures (9) and the expiry (10).
    fn order_pays_nobody(&self) -> Checked {
        let pays = self.sealed.order.as_ref().is_some_and(|order| order.payee_output.is_some());
        if pays { Err(PaymentRule::OrderDoesNotFit) } else { Ok(()) }
    }

    /// K-5: what is lent is what comes out as plain money.
    fn order_pays_the_plain_output(&self) -> Checked {
        let paid = self.sealed.order.as_ref().and_then(|order| self.core.outputs.get(usize::from(order.payee_output?)));
        let is_plain = paid.is_some_and(|output| output.terms_flag == TermsFlag::Plain);
        if is_plain { Ok(()) } else { Err(PaymentRule::OrderDoesNotFit) }
    }

    /// K-5. A bank's vault has a key a coin, so nobody can know them all. Those that the loan itself, the directory and the genesis show
    /// are not the borrower's; nor are, at registration, those to which it has seen money issued.
    fn is_lent_to_another(&self) -> Checked {
        if !matches!(self.core.context, ClearContext::Activate(_)) {
            return Ok(());
        }
        let payee = self.sealed.order.as_ref().and_then(|order| order.payee_output).map(usize::from);
        let borrower = payee.and_then(|index| self.sealed.outputs.get(index)).map(|output| output.owner);
        let others = self.sealed.outputs.iter().enumerate().filter(|(index, _)| Some(*index) != payee);
        let shown = self.sealed.inputs.iter().map(|input| input.owner).chain(others.map(|(_, output)| output.owner));
        let bank = self.core.submitter;
        let signing = self.directory.get(bank).into_iter().flat_map(|line| line.keys.signing_keys());
        let preissued = self.rules.genesis.preissues.iter().filter(|line| line.bank == bank).map(|line| line.owner);
        if shown.chain(signing).chain(preissued).any(|owner| Some(owner) == borrower) {
            Err(PaymentRule::LentToTheLender)
        } else {
            Ok(())
        }
    }

    /// The order is put together again from the envelope, so what its owners signed names these inputs, payee, amount, change
    /// keys and memo or does not verify. Gives what is to be accepted, if somebody is paid.
    fn order_is_signed(&self, inputs: Vec<CoinId>, checks: SignatureChecks) -> Checked<Option<ToAccept>> {
        let sealed = self.sealed.order.as_ref().ok_or(PaymentRule::OrderDoesNotFit)?;
        let order = self.order(sealed, inputs)?;
        let hash = order.hash(self.chain);
        if checks == SignatureChecks::All && !self.owners_signed(&hash, sealed) {
            return Err(PaymentRule::OrderNotSigned);
        }
        if self.core.expiry_ms > sealed.expiry_ms {
            return Err(PaymentRule::OrderExpiresFirst);
        }
        Ok(sealed.payee_output.map(|index| ToAccept { order: hash, outputs: vec![usize::from(index)] }))
    }

    fn order(&self, sealed: &SealedOrder, inputs: Vec<CoinId>) -> Checked<Order> {
        let outputs = &self.sealed.outputs;
        let payee = match sealed.payee_output {
            None => None,
            Some(index) => {
                let output = outputs.get(usize::from(index)).ok_or(PaymentRule::OrderDoesNotFit)?;
                Some(Payee { bank: output.bank, owner: output.owner, amount: output.amount })
            }
        };
        let is_payee = |index: usize| sealed.payee_output.map(usize::from) == Some(index);
        let change = outputs.iter().enumerate().filter(|(index, _)| !is_payee(*index)).map(|(_, output)| output.owner);
        Ok(Order {
            inputs: List::new(inputs).map_err(|_| PaymentRule::OrderDoesNotFit)?,
            payee,
            currency: self.sealed.currency,
            change_owners: List::new(ascending(change)).map_err(|_| PaymentRule::OrderDoesNotFit)?,
            nonce: sealed.nonce,
            expiry_ms: sealed.expiry_ms,
            memo_hash: memo_hash(self.chain, &self.sealed.memo),
        })
    }

    /// One signature a distinct owner, in ascending order of the keys.
    fn owners_signed(&self, order: &OrderHash, sealed: &SealedOrder) -> bool {
        let owners = ascending(self.sealed.inputs.iter().map(|input| input.owner));
        owners.len() == sealed.signatures.len()
            && owners.iter().zip(&sealed.signatures).all(|(owner, signature)| owner.verify(&order.0, signature))
    }

    fn acceptance_is_signed(&self, to_accept: &Option<ToAccept>) -> Checked {
        let (to_accept, acceptance) = match (to_accept, &self.sealed.acceptance) {
            (None, None) => return Ok(()),
            (Some(to_accept), Some(acceptance)) => (to_accept, acceptance),
            _ => return Err(PaymentRule::AcceptanceDoesNotFit),
        };
        let mut banks = to_accept.outputs.iter().map(|index| self.sealed.outputs[*index].bank);
        let bank = banks.next().ok_or(PaymentRule::AcceptanceDoesNotFit)?;
        if banks.any(|other| other != bank) {
            return Err(PaymentRule::AcceptanceDoesNotFit);
        }
        if self.core.expiry_ms > acceptance.expiry_ms {
            return Err(PaymentRule::AcceptanceExpiresFirst);
        }
        let outputs = to_accept.outputs.iter().map(|index| &self.core.outputs[*index]);
        let outputs = outputs.map(|output| AcceptedOutput { note: output.note, custody: output.custody }).collect();
        let accepted = AcceptedOutputs {
            order: to_accept.order,
            outputs: List::new(outputs).map_err(|_| PaymentRule::AcceptanceDoesNotFit)?,
            expiry_ms: acceptance.expiry_ms,
        };
        let desk = self.directory.get(bank).map(|p| p.keys.desk);
        match desk {
            Some(desk) if desk.verify(&accepted.message(self.chain), &acceptance.signature) => Ok(()),
            _ => Err(PaymentRule::AcceptanceNotSigned),
        }
    }

    /// Every output that nobody accepts is change. An issue has none; what a recover gives, officers decide.
    fn change_stays_with_the_submitter(&self, accepted: &Option<ToAccept>) -> Checked {
        if matches!(self.core.context, ClearContext::Recover(_)) {
            return Ok(());
        }
        let is_accepted = |index: &usize| accepted.as_ref().is_some_and(|accepted| accepted.outputs.contains(index));
        let outputs = self.sealed.outputs.iter().enumerate();
        let mut change = outputs.filter(|(index, _)| !is_accepted(index)).map(|(_, output)| output.bank);
        if change.all(|bank| bank == self.core.submitter) { Ok(()) } else { Err(PaymentRule::ChangeLeavesTheSubmitter) }
    }

    fn value_is_conserved(&self) -> Checked {
        let going_in = Amount::sum(self.sealed.inputs.iter().map(|input| input.amount));
        let coming_out = Amount::sum(self.sealed.outputs.iter().map(|output| output.amount));
        let conserved = match &self.core.context {
            ClearContext::Issue(context) => coming_out == u128::from(context.amount.0),
            ClearContext::Redeem(context) => going_in == coming_out + u128::from(context.amount.0),
            ClearContext::Return(context) => going_in == coming_out + u128::from(context.amount.0),
            ClearContext::Reclaim(context) => going_in == coming_out + u128::from(context.amount.0),
            // P-4: registration compares with its accounts.
            ClearContext::Recover(_) if self.sealed.inputs.iter().any(SealedInput::is_unopened) => true,
            ClearContext::Recover(_) => coming_out <= going_in,
            _ => going_in == coming_out,
        };
        if conserved { Ok(()) } else { Err(PaymentRule::ValueNotConserved) }
    }

    fn no_output_is_zero(&self) -> Checked {
        let any_zero = self.sealed.outputs.iter().any(|output| output.amount == Amount(0));
        if any_zero { Err(PaymentRule::OutputIsZero) } else { Ok(()) }
    }
}

fn ascending(keys: impl Iterator<Item = PublicKey>) -> Vec<PublicKey> {
    let mut keys: Vec<PublicKey> = keys.collect();
    keys.sort_unstable();
    keys.dedup();
    keys
}
