//! Rules P: a good payment of every kind, and one test for every reason why one is not good.

use crate::common;

use common::lending::GOOD_LOAN;
use common::*;
use ledger_state::{PaymentRule, SignatureChecks, payment_is_good};
use ledger_types::confirmation::RecordStatus;
use ledger_types::encoding::{List, Octets};
use ledger_types::envelope::*;
use ledger_types::ids::*;
use ledger_types::keys::{PublicKey, Signature, SigningKey};
use ledger_types::order::*;
use ledger_types::sealed::*;

/// A payment before the signatures, which [`Payment::sign`] makes over what it then says.
#[derive(Clone)]
struct Payment {
    bed: Bed,
    header: EnvelopeHeader,
    sealed: Sealed,
    inputs: Vec<KnownCoin>,
}

impl Payment {
    fn of(bed: Bed, draft: Draft, mut inputs: Vec<KnownCoin>) -> Self {
        inputs.sort_by_key(|coin| coin.id);
        let sealed_input = |coin: &KnownCoin| SealedInput {
            amount: coin.opening.amount,
            owner: coin.opening.owner,
            rho: coin.opening.rho,
            origin: coin.origin,
            output_index: coin.output_index,
            series: coin.opening.series,
            bank: coin.bank,
        };
        let sealed_output = |coin: &KnownCoin| SealedOutput {
            amount: coin.opening.amount,
            owner: coin.opening.owner,
            rho: coin.opening.rho,
            bank: coin.bank,
        };
        let sealed = Sealed {
            terms: None,
            currency: bed.rules.genesis.currency,
            inputs: List::new(inputs.iter().map(sealed_input).collect()).unwrap(),
            outputs: List::new(draft.coins.iter().map(sealed_output).collect()).unwrap(),
            order: None,
            acceptance: None,
            memo: Octets::new(b"rent".to_vec()).unwrap(),
        };
        Payment { bed, header: draft.seal().header, sealed, inputs }
    }

    /// As the payer's wallet puts the order together.
    fn order(&self, payee_output: Option<u8>, expiry_ms: u64) -> Order {
        let mut change: Vec<PublicKey> = Vec::new();
        for (index, output) in self.sealed.outputs.iter().enumerate() {
            if payee_output != Some(index as u8) && !change.contains(&output.owner) {
                change.push(output.owner);
            }
        }
        change.sort();
        Order {
            inputs: List::new(self.header.core.input_ids(&self.bed.rules.chain)).unwrap(),
            payee: payee_output.map(|index| {
                let output = &self.sealed.outputs[usize::from(index)];
                Payee { bank: output.bank, owner: output.owner, amount: output.amount }
            }),
            currency: self.sealed.currency,
            change_owners: List::new(change).unwrap(),
            nonce: 5,
            expiry_ms,
            memo_hash: memo_hash(&self.bed.rules.chain, b"rent"),
        }
    }

    fn sign_order(&mut self, payee_output: Option<u8>, signers: &[SigningKey]) -> OrderHash {
        let expiry_ms = self.header.core.expiry_ms;
        let hash = self.order(payee_output, expiry_ms).hash(&self.bed.rules.chain);
        let mut signers = signers.to_vec();
        signers.sort_by_key(SigningKey::public_key);
        let signatures = List::new(signers.iter().map(|key| key.sign(&hash.0)).collect()).unwrap();
        self.sealed.order = Some(SealedOrder { payee_output, nonce: 5, expiry_ms, signatures });
        hash
    }

    fn accept(&mut self, order: OrderHash, outputs: &[usize], desk: &SigningKey) {
        let expiry_ms = self.header.core.expiry_ms;
        let accepted = |index: &usize| {
            let output = &self.header.core.outputs[*index];
            AcceptedOutput { note: output.note, custody: output.custody }
        };
        let outputs = List::new(outputs.iter().map(accepted).collect()).unwrap();
        let message = AcceptedOutputs { order, outputs, expiry_ms }.message(&self.bed.rules.chain);
        self.sealed.acceptance = Some(SealedAcceptance { expiry_ms, signature: desk.sign(&message) });
    }

    /// Signs again after a test has spoilt something that signatures cover.
    fn sign(mut self) -> Self {
        let payee = self.payee_output();
        let order = self.sign_order(Some(payee), &[owner()]);
        let desk = key_of(self.sealed.outputs[usize::from(payee)].bank, "desk");
        self.accept(order, &[usize::from(payee)], &desk);
        self
    }

    /// The first output in another bank's custody.
    fn payee_output(&self) -> u8 {
        let submitter = self.header.core.submitter;
        self.sealed.outputs.iter().position(|output| output.bank != submitter).unwrap() as u8
    }

    fn verdict(&self) -> Result<(), PaymentRule> {
        let directory = &self.bed.ledger.directory;
        let contracts = &self.bed.ledger.contracts;
        payment_is_good(&self.bed.rules, directory, contracts, &self.header, &self.sealed, SignatureChecks::All)
    }

    #[track_caller]
    fn is_refused_by(&self, rule: PaymentRule) {
        assert_eq!(self.verdict(), Err(rule));
    }

    /// Recomputes the header's output from the sealed one, so that only what the test means is wrong.
    fn output_follows_sealed(&mut self, index: usize) {
        let chain = self.bed.rules.chain;
        let output = &self.sealed.outputs[index];
        let opening = self.sealed.output_opening(index, self.sealed.common_series(), false).unwrap();
        self.header.core.outputs.as_mut_slice()[index] = Output {
            note: opening.note(&chain),
            custody: opening.custody(&chain, output.bank),
            terms_flag: TermsFlag::Plain,
        };
    }
}

/// Two coins of 100 at bank 2: 150 to bank 3, 50 change.
fn payment() -> Payment {
    let mut bed = Bed::new();
    let inputs = vec![bed.coin_of(BANK2, 0), bed.coin_of(BANK2, 1)];
    let draft = bed.transfer(BANK2, &inputs, &[(BANK3, 150), (BANK2, 50)]);
    Payment::of(bed, draft, inputs).sign()
}

fn issue() -> Payment {
    let mut bed = Bed::new();
    let draft = bed.issue(2, 0, &[(BANK3, 300), (BANK3, 200)]);
    let mut payment = Payment::of(bed, draft, vec![]);
    let order = issue_order_hash(&payment.bed.rules.chain, SeriesNumber(2), 0, Amount(500), BANK3);
    payment.accept(order, &[0, 1], &key_of(BANK3, "desk"));
    payment
}

fn redeem() -> Payment {
    let mut bed = Bed::new();
    let inputs = vec![bed.coin_of(CENTRAL, 0)];
    let draft = bed.redeem(&inputs, 30, &[(CENTRAL, 70)]);
    let mut payment = Payment::of(bed, draft, inputs);
    payment.sign_order(None, &[owner()]);
    payment
}

fn recover() -> Payment {
    let mut bed = Bed::new();
    let inputs = vec![bed.coin_of(BANK2, 0), bed.coin_of(BANK3, 0)];
    let draft = bed.recover(&inputs, &[(BANK4, 90), (BANK5, 60)]);
    Payment::of(bed, draft, inputs)
}

fn self_transfer() -> Payment {
    let mut bed = Bed::new();
    let inputs = vec![bed.coin_of(BANK2, 0)];
    let draft = bed.transfer(BANK2, &inputs, &[(BANK2, 70), (BANK2, 30)]);
    let mut payment = Payment::of(bed, draft, inputs);
    payment.sign_order(None, &[owner()]);
    payment
}

/// An inert coin of 100 at bank 2: 60 lent to somebody at bank 3.
fn activation() -> Payment {
    let mut bed = Bed::with_a_policy_in_force();
    let terms = bed.terms(1, 1);
    let inputs = vec![bed.inert_coin(100)];
    let draft = bed.activate(&inputs, GOOD_LOAN, 60);
    let mut payment = Payment::of(bed, draft, inputs);
    payment.sealed.terms = Some(terms);
    payment.sign()
}

fn inert_issue() -> Payment {
    let mut bed = Bed::with_a_policy_in_force();
    let terms = bed.terms(1, 1);
    let draft = bed.issue_inert(1, &[(BANK3, 300)]);
    let mut payment = Payment::of(bed, draft, vec![]);
    payment.sealed.terms = Some(terms);
    let order = issue_order_hash(&payment.bed.rules.chain, SeriesNumber(2), 0, Amount(300), BANK3);
    payment.accept(order, &[0], &key_of(BANK3, "desk"));
    payment
}

/// A coin of 100 of the central bank's own.
fn returned() -> Payment {
    let mut bed = Bed::new();
    let inputs = vec![bed.coin_of(CENTRAL, 0)];
    let draft = bed.return_loan(&inputs, ObligationId([1; 32]), 0);
    let mut payment = Payment::of(bed, draft, inputs);
    payment.sign_order(None, &[owner()]);
    payment
}

/// An inert coin of 100 at bank 2.
fn reclaim() -> Payment {
    let mut bed = Bed::with_a_policy_in_force();
    let terms = bed.terms(1, 1);
    let inputs = vec![bed.inert_coin(100)];
    let draft = bed.reclaim(&inputs);
    let mut payment = Payment::of(bed, draft, inputs);
    payment.sealed.terms = Some(terms);
    payment
}

#[test]
fn good_payments_of_every_kind_are_good() {
    for (kind, payment) in [
        ("payment", payment()),
        ("self-transfer", self_transfer()),
        ("issue", issue()),
        ("redeem", redeem()),
        ("recover", recover()),
        ("issue under a contract", inert_issue()),
        ("activation", activation()),
        ("return", returned()),
        ("reclaim", reclaim()),
    ] {
        assert_eq!(payment.verdict(), Ok(()), "{kind}");
    }
}

#[test]
fn a_redeem_of_everything_has_no_change_and_a_recover_may_give_nothing() {
    let mut bed = Bed::new();
    let inputs = vec![bed.coin_of(CENTRAL, 0)];
    let draft = bed.redeem(&inputs, 100, &[]);
    let mut redeem = Payment::of(bed, draft, inputs);
    redeem.sign_order(None, &[owner()]);
    assert_eq!(redeem.verdict(), Ok(()));
    let mut bed = Bed::new();
    let inputs = vec![bed.coin_of(BANK2, 0)];
    let draft = bed.recover(&inputs, &[]);
    assert_eq!(Payment::of(bed, draft, inputs).verdict(), Ok(()));
}

#[test]
fn a_payment_within_one_bank_is_accepted_by_that_bank() {
    let mut bed = Bed::new();
    let inputs = vec![bed.coin_of(BANK2, 0)];
    let draft = bed.transfer(BANK2, &inputs, &[(BANK2, 70), (BANK2, 30)]);
    let mut payment = Payment::of(bed, draft, inputs);
    let order = payment.sign_order(Some(1), &[owner()]);
    payment.accept(order, &[1], &key_of(BANK2, "desk"));
    assert_eq!(payment.verdict(), Ok(()));
}

#[test]
fn inputs_of_several_owners_take_every_owners_signature_and_mixed_series_give_series_0() {
    let mut bed = Bed::new();
    // A coin of series 2 with another owner, by way of an issue that is confirmed.
    let mut draft = bed.issue(2, 0, &[(BANK2, 40)]);
    let other = key("another owner");
    draft.coins[0].opening.owner = other.public_key();
    let coin = &draft.coins[0];
    let output = Output {
        note: coin.opening.note(&bed.rules.chain),
        custody: coin.opening.custody(&bed.rules.chain, BANK2),
        terms_flag: TermsFlag::Plain,
    };
    draft.core.outputs = List::new(vec![output]).unwrap();
    draft.coins[0].id = coin.opening.coin_id(&bed.rules.chain, &coin.origin, 0, BANK2);
    let issued = draft.coins[0].clone();
    let draft = draft.authorize_by_issue_key(&bed.rules);
    assert_eq!(bed.submit(draft), 0);
    assert_eq!(bed.confirm(vec![record(issued.id, RecordStatus::Live)]), 0);

    let inputs = vec![issued, bed.coin_of(BANK2, 0)];
    let draft = bed.transfer(BANK2, &inputs, &[(BANK2, 140)]);
    assert_eq!(bed.submit(draft.clone()), 0);
    assert_eq!(draft.coins[0].opening.series, SeriesNumber(0));
    let mut payment = Payment::of(bed, draft, inputs);
    payment.sign_order(None, &[other.clone(), owner()]);
    assert_eq!(payment.verdict(), Ok(()));
    for signers in [&[other.clone()][..], &[owner()], &[], &[owner(), owner()], &[other.clone(), owner(), key("third")]]
    {
        payment.sign_order(None, signers);
        payment.is_refused_by(PaymentRule::OrderNotSigned);
    }
}

#[test]
fn rule_1_a_kind_that_seals_nothing_is_no_payment() {
    let mut payment = payment();
    let line = payment.bed.line_with_new_desk_key(BANK2, "new");
    payment.header.core = payment.bed.update(BANK2, line).core;
    payment.is_refused_by(PaymentRule::DoesNotOpen);
}

#[test]
fn rule_2_inputs_are_in_the_submitters_custody() {
    let mut payment = payment();
    payment.sealed.inputs.as_mut_slice()[0].bank = BANK3;
    payment.is_refused_by(PaymentRule::NamesAnotherSubmitter);
}

#[test]
fn rule_3_every_field_of_an_inputs_opening_hashes_to_its_coin_id() {
    let good = payment();
    let spoilt = |spoil: fn(&mut SealedInput)| {
        let mut payment = good.clone();
        spoil(&mut payment.sealed.inputs.as_mut_slice()[1]);
        payment.sign().is_refused_by(PaymentRule::InputsDiffer);
    };
    spoilt(|input| input.amount = Amount(101));
    spoilt(|input| input.owner = public("thief"));
    spoilt(|input| input.rho[0] ^= 1);
    spoilt(|input| input.origin.0[0] ^= 1);
    spoilt(|input| input.output_index = 1);
    spoilt(|input| input.series = SeriesNumber(2));
    let mut one_missing = good.clone();
    one_missing.sealed.inputs = List::new(good.sealed.inputs[..1].to_vec()).unwrap();
    one_missing.is_refused_by(PaymentRule::InputsDiffer);
    let mut swapped = good.clone();
    swapped.sealed.inputs.as_mut_slice().reverse();
    swapped.is_refused_by(PaymentRule::InputsDiffer);
    let mut by_id = recover();
    by_id.sealed.inputs.as_mut_slice()[0].bank = BANK5;
    by_id.is_refused_by(PaymentRule::InputsDiffer);
}

#[test]
fn rule_4_the_currency_is_the_chains() {
    // Of an issue nothing else says the currency.
    let mut payment = issue();
    payment.sealed.currency = Currency(*b"USD");
    payment.is_refused_by(PaymentRule::CurrencyDiffers);
}

#[test]
fn rule_5_terms_are_as_declared() {
    let mut issue = issue();
    issue.sealed.terms = Some(Terms([1; 32]));
    issue.is_refused_by(PaymentRule::TermsDiffer);
    let mut flagged = payment();
    flagged.header.core.outputs.as_mut_slice()[0].terms_flag = TermsFlag::Contract;
    flagged.is_refused_by(PaymentRule::TermsDiffer);
    let mut declared = payment();
    declared.header.core.contract = ContractNumber(1);
    declared.is_refused_by(PaymentRule::TermsDiffer);
    // K-4: of a version of the declared contract, sealed wherever a contract is declared.
    for terms in [None, Some(Terms::ZERO), Some(Terms([1; 32]))] {
        let mut issue = inert_issue();
        issue.sealed.terms = terms;
        issue.is_refused_by(PaymentRule::TermsDiffer);
    }
    for mut payment in [inert_issue(), activation(), reclaim()] {
        payment.bed.ledger.contracts = Default::default();
        payment.is_refused_by(PaymentRule::TermsDiffer);
    }
}

#[test]
fn rule_3_an_inert_coins_terms_are_part_of_its_opening() {
    // A bank that has money under another contract too, or plain money, cannot pass it off as this one's.
    let mut activation = activation();
    let second = activation.bed.deploy(2, 1, 2, &common::lending::policy(1));
    assert_eq!(activation.bed.submit(second), 0);
    activation.header.core.contract = ContractNumber(2);
    activation.sealed.terms = Some(activation.bed.terms(2, 1));
    activation.is_refused_by(PaymentRule::InputsDiffer);
}

#[test]
fn rule_6_every_field_of_an_outputs_opening_hashes_to_its_note() {
    let good = payment();
    let spoilt = |spoil: fn(&mut SealedOutput)| {
        let mut payment = good.clone();
        spoil(&mut payment.sealed.outputs.as_mut_slice()[0]);
        payment.is_refused_by(PaymentRule::OutputsDiffer);
    };
    spoilt(|output| output.amount = Amount(1));
    spoilt(|output| output.owner = public("thief"));
    spoilt(|output| output.rho[0] ^= 1);
    let mut one_missing = good.clone();
    one_missing.sealed.outputs = List::new(good.sealed.outputs[..1].to_vec()).unwrap();
    one_missing.is_refused_by(PaymentRule::OutputsDiffer);
    let mut other_series = good.clone();
    let opening = good.sealed.output_opening(0, SeriesNumber(2), false).unwrap();
    other_series.header.core.outputs.as_mut_slice()[0].note = opening.note(&good.bed.rules.chain);
    other_series.is_refused_by(PaymentRule::OutputsDiffer);
}

#[test]
fn rule_7_custody_opens_to_the_named_bank() {
    let mut other_bank = payment();
    let payee = usize::from(other_bank.payee_output());
    other_bank.sealed.outputs.as_mut_slice()[payee].bank = BANK4;
    other_bank.is_refused_by(PaymentRule::CustodyDiffers);
    for no_bank in [OBSERVER, ParticipantNumber(99), ParticipantNumber::REGISTRATION] {
        let mut payment = payment();
        payment.sealed.outputs.as_mut_slice()[payee].bank = no_bank;
        payment.output_follows_sealed(payee);
        payment.is_refused_by(PaymentRule::CustodyDiffers);
    }
}

#[test]
fn rule_8_an_order_is_there_where_someone_gives_and_only_there() {
    let mut without = payment();
    without.sealed.order = None;
    without.is_refused_by(PaymentRule::OrderDoesNotFit);
    let mut payee_beyond = payment();
    payee_beyond.sealed.order.as_mut().unwrap().payee_output = Some(2);
    payee_beyond.is_refused_by(PaymentRule::OrderDoesNotFit);
    let some_order = payment().sealed.order;
    for mut payment in [issue(), recover()] {
        payment.sealed.order = some_order.clone();
        payment.is_refused_by(PaymentRule::OrderDoesNotFit);
    }
    let mut redeem_without = redeem();
    redeem_without.sealed.order = None;
    redeem_without.is_refused_by(PaymentRule::OrderDoesNotFit);
    let mut redeem_pays_someone = redeem();
    redeem_pays_someone.sign_order(Some(0), &[owner()]);
    redeem_pays_someone.is_refused_by(PaymentRule::OrderDoesNotFit);
    // A code goes into the public record: with a second fault of rule 9 or 10 every verifier still names rule 8.
    redeem_pays_someone.header.core.expiry_ms += 1;
    redeem_pays_someone.is_refused_by(PaymentRule::OrderDoesNotFit);
    redeem_pays_someone.sealed.order.as_mut().unwrap().signatures = List::empty();
    redeem_pays_someone.is_refused_by(PaymentRule::OrderDoesNotFit);
    // K-5: what is lent is the plain output, and somebody is lent it.
    let mut lent_to_nobody = activation();
    lent_to_nobody.sign_order(None, &[owner()]);
    lent_to_nobody.is_refused_by(PaymentRule::OrderDoesNotFit);
    let mut pays_the_change = activation();
    let change = 1 - pays_the_change.payee_output();
    pays_the_change.sign_order(Some(change), &[owner()]);
    pays_the_change.is_refused_by(PaymentRule::OrderDoesNotFit);
    let mut return_pays_someone = returned();
    return_pays_someone.sealed.order.as_mut().unwrap().payee_output = Some(0);
    return_pays_someone.is_refused_by(PaymentRule::OrderDoesNotFit);
    let mut reclaim_by_order = reclaim();
    reclaim_by_order.sealed.order = some_order;
    reclaim_by_order.is_refused_by(PaymentRule::OrderDoesNotFit);
}

#[test]
fn rule_9_the_owners_signature_covers_everything_that_the_order_says() {
    let good = payment();
    let spoilt = |spoil: fn(&mut Payment)| {
        let mut payment = good.clone();
        spoil(&mut payment);
        payment.is_refused_by(PaymentRule::OrderNotSigned);
        let directory = &payment.bed.ledger.directory;
        let skipped = payment_is_good(
            &payment.bed.rules,
            directory,
            &payment.bed.ledger.contracts,
            &payment.header,
            &payment.sealed,
            SignatureChecks::SkipOrder,
        );
        assert_ne!(skipped, Err(PaymentRule::OrderNotSigned));
    };
    spoilt(|payment| payment.sealed.order.as_mut().unwrap().nonce += 1);
    spoilt(|payment| payment.sealed.order.as_mut().unwrap().expiry_ms += 1);
    spoilt(|payment| payment.sealed.order.as_mut().unwrap().payee_output = None);
    spoilt(|payment| payment.sealed.order.as_mut().unwrap().signatures.as_mut_slice()[0] = Signature([1; 64]));
    spoilt(|payment| payment.sealed.order.as_mut().unwrap().signatures = List::empty());
    spoilt(|payment| payment.sealed.memo = Octets::new(b"gift".to_vec()).unwrap());
    // A bank that keeps more for itself: payee's amount, payee's key, or the key of the change.
    spoilt(|payment| {
        let payee = usize::from(payment.payee_output());
        payment.sealed.outputs.as_mut_slice()[payee].amount = Amount(1);
        payment.output_follows_sealed(payee);
    });
    spoilt(|payment| {
        let payee = usize::from(payment.payee_output());
        payment.sealed.outputs.as_mut_slice()[payee].owner = public("thief");
        payment.output_follows_sealed(payee);
    });
    spoilt(|payment| {
        let change = 1 - usize::from(payment.payee_output());
        payment.sealed.outputs.as_mut_slice()[change].owner = public("thief");
        payment.output_follows_sealed(change);
    });
    // Signed by somebody who owns nothing of it.
    let mut stranger = good.clone();
    stranger.sign_order(Some(good.payee_output()), &[key("thief")]);
    stranger.is_refused_by(PaymentRule::OrderNotSigned);
}

#[test]
fn rule_10_the_order_lasts_as_long_as_the_envelope() {
    let mut payment = payment();
    payment.header.core.expiry_ms += 1;
    payment.is_refused_by(PaymentRule::OrderExpiresFirst);
    let mut payment = redeem();
    payment.header.core.expiry_ms += 1;
    payment.is_refused_by(PaymentRule::OrderExpiresFirst);
}

#[test]
fn rule_11_an_acceptance_is_there_where_someone_receives_and_only_there() {
    let acceptance = payment().sealed.acceptance;
    for mut payment in [payment(), issue()] {
        payment.sealed.acceptance = None;
        payment.is_refused_by(PaymentRule::AcceptanceDoesNotFit);
    }
    for mut payment in [self_transfer(), redeem(), recover()] {
        payment.sealed.acceptance = acceptance.clone();
        payment.is_refused_by(PaymentRule::AcceptanceDoesNotFit);
    }
    let mut bed = Bed::new();
    let draft = bed.issue(2, 0, &[(BANK3, 300), (BANK4, 200)]);
    let mut of_two_banks = Payment::of(bed, draft, vec![]);
    let bank = of_two_banks.sealed.outputs[0].bank;
    let order = issue_order_hash(&of_two_banks.bed.rules.chain, SeriesNumber(2), 0, Amount(500), bank);
    of_two_banks.accept(order, &[0, 1], &key_of(bank, "desk"));
    of_two_banks.is_refused_by(PaymentRule::AcceptanceDoesNotFit);
}

#[test]
fn rule_12_the_acceptance_lasts_as_long_as_the_envelope() {
    let mut payment = payment();
    payment.sealed.acceptance.as_mut().unwrap().expiry_ms -= 1;
    payment.is_refused_by(PaymentRule::AcceptanceExpiresFirst);
}

#[test]
fn rule_13_the_receiving_banks_desk_signs_exactly_what_it_receives() {
    let good = payment();
    let payee = usize::from(good.payee_output());
    let order = good.order(Some(payee as u8), good.header.core.expiry_ms).hash(&good.bed.rules.chain);
    for (desk, accepted, order) in [
        (key_of(BANK2, "desk"), &[payee][..], order),
        (key_of(BANK3, "bundle"), &[payee], order),
        (key_of(BANK3, "desk"), &[1 - payee], order),
        (key_of(BANK3, "desk"), &[0, 1], order),
        (key_of(BANK3, "desk"), &[payee], OrderHash([1; 32])),
    ] {
        let mut payment = good.clone();
        payment.accept(order, accepted, &desk);
        payment.is_refused_by(PaymentRule::AcceptanceNotSigned);
    }
    let mut longer = good.clone();
    longer.sealed.acceptance.as_mut().unwrap().expiry_ms += 1;
    longer.is_refused_by(PaymentRule::AcceptanceNotSigned);
    // An issue is accepted for its own number and amount.
    let mut payment = issue();
    let other = issue_order_hash(&payment.bed.rules.chain, SeriesNumber(2), 1, Amount(500), BANK3);
    payment.accept(other, &[0, 1], &key_of(BANK3, "desk"));
    payment.is_refused_by(PaymentRule::AcceptanceNotSigned);
}

#[test]
fn rule_14_change_stays_with_the_submitter() {
    let mut bed = Bed::new();
    let inputs = vec![bed.coin_of(BANK2, 0)];
    let draft = bed.transfer(BANK2, &inputs, &[(BANK3, 70), (BANK4, 30)]);
    Payment::of(bed, draft, inputs).sign().is_refused_by(PaymentRule::ChangeLeavesTheSubmitter);
    let mut bed = Bed::new();
    let inputs = vec![bed.coin_of(BANK2, 0)];
    let draft = bed.transfer(BANK2, &inputs, &[(BANK3, 100)]);
    let mut unaccepted = Payment::of(bed, draft, inputs);
    unaccepted.sign_order(None, &[owner()]);
    unaccepted.is_refused_by(PaymentRule::ChangeLeavesTheSubmitter);
    let mut bed = Bed::new();
    let inputs = vec![bed.coin_of(CENTRAL, 0)];
    let draft = bed.redeem(&inputs, 30, &[(BANK2, 70)]);
    let mut redeem = Payment::of(bed, draft, inputs);
    redeem.sign_order(None, &[owner()]);
    redeem.is_refused_by(PaymentRule::ChangeLeavesTheSubmitter);
}

#[test]
fn rule_15_value_comes_from_nowhere_and_goes_nowhere() {
    for outputs in [[(BANK3, 150), (BANK2, 51)], [(BANK3, 150), (BANK2, 49)], [(BANK3, u64::MAX), (BANK2, 201)]] {
        let mut bed = Bed::new();
        let inputs = vec![bed.coin_of(BANK2, 0), bed.coin_of(BANK2, 1)];
        let draft = bed.transfer(BANK2, &inputs, &outputs);
        Payment::of(bed, draft, inputs).sign().is_refused_by(PaymentRule::ValueNotConserved);
    }
    for amount in [29, 31] {
        let mut redeem = redeem();
        let ClearContext::Redeem(context) = &mut redeem.header.core.context else { unreachable!() };
        context.amount = Amount(amount);
        redeem.is_refused_by(PaymentRule::ValueNotConserved);
    }
    for amount in [99, 101] {
        let mut returned = returned();
        let ClearContext::Return(context) = &mut returned.header.core.context else { unreachable!() };
        context.amount = Amount(amount);
        returned.is_refused_by(PaymentRule::ValueNotConserved);
        let mut reclaim = reclaim();
        let ClearContext::Reclaim(context) = &mut reclaim.header.core.context else { unreachable!() };
        context.amount = Amount(amount);
        reclaim.is_refused_by(PaymentRule::ValueNotConserved);
    }
    for lent in [59, 61] {
        let mut activation = activation();
        let payee = usize::from(activation.payee_output());
        activation.sealed.outputs.as_mut_slice()[payee].amount = Amount(lent);
        activation.output_follows_sealed(payee);
        activation.sign().is_refused_by(PaymentRule::ValueNotConserved);
    }
    for amount in [499, 501] {
        let mut issue = issue();
        let ClearContext::Issue(context) = &mut issue.header.core.context else { unreachable!() };
        context.amount = Amount(amount);
        let order = issue_order_hash(&issue.bed.rules.chain, SeriesNumber(2), 0, Amount(amount), BANK3);
        issue.accept(order, &[0, 1], &key_of(BANK3, "desk"));
        issue.is_refused_by(PaymentRule::ValueNotConserved);
    }
    let mut bed = Bed::new();
    let inputs = vec![bed.coin_of(BANK2, 0)];
    let draft = bed.recover(&inputs, &[(BANK4, 101)]);
    Payment::of(bed, draft, inputs).is_refused_by(PaymentRule::ValueNotConserved);
}

#[test]
fn rule_16_no_output_is_worth_nothing() {
    let mut bed = Bed::new();
    let inputs = vec![bed.coin_of(BANK2, 0)];
    let draft = bed.transfer(BANK2, &inputs, &[(BANK3, 100), (BANK2, 0)]);
    Payment::of(bed, draft, inputs).sign().is_refused_by(PaymentRule::OutputIsZero);
}

#[test]
fn rule_17_is_said_of_an_envelope_that_nobody_could_open_and_of_no_sealed_part() {
    // registration says it without a sealed part to look at, so the predicate has no way to come to it.
    let rule = PaymentRule::KeyNeverReleased;
    assert_eq!((rule.number(), rule.code()), (17, "key_never_released"));
}

#[test]
fn rule_18_the_borrowers_key_is_none_of_the_loans_other_keys() {
    // One bank lends to itself: the money would be plain, and idle.
    let to_key = |owner: PublicKey, of_change: Option<PublicKey>| {
        let mut payment = activation();
        let payee = usize::from(payment.payee_output());
        let outputs = payment.sealed.outputs.as_mut_slice();
        outputs[payee].owner = owner;
        if let Some(key) = of_change {
            outputs[1 - payee].owner = key;
        }
        let chain = payment.bed.rules.chain;
        for index in 0..2 {
            let has_terms = index != payee;
            let opening = payment.sealed.output_opening(index, payment.sealed.common_series(), has_terms).unwrap();
            payment.header.core.outputs.as_mut_slice()[index].note = opening.note(&chain);
        }
        payment.sign()
    };
    assert_eq!(to_key(public("somebody"), None).verdict(), Ok(()));
    to_key(owner().public_key(), None).is_refused_by(PaymentRule::LentToTheLender);
    to_key(owner().public_key(), Some(public("vault"))).is_refused_by(PaymentRule::LentToTheLender);
    to_key(public("vault"), Some(public("vault"))).is_refused_by(PaymentRule::LentToTheLender);
}

/// K-5: what everybody knows to be the lender's owns no loan either. That another bank borrows is no idling.
#[test]
fn rule_18_the_borrowers_key_is_none_of_the_lenders_in_the_directory_or_the_genesis() {
    let to_key = |owner: PublicKey| {
        let mut payment = activation();
        let payee = usize::from(payment.payee_output());
        payment.sealed.outputs.as_mut_slice()[payee].owner = owner;
        let chain = payment.bed.rules.chain;
        let opening = payment.sealed.output_opening(payee, payment.sealed.common_series(), false).unwrap();
        payment.header.core.outputs.as_mut_slice()[payee].note = opening.note(&chain);
        payment.sign()
    };
    let own = activation();
    let line = |bank| own.bed.ledger.directory.get(bank).unwrap().keys.clone();
    for key in line(BANK2).signing_keys() {
        to_key(key).is_refused_by(PaymentRule::LentToTheLender);
    }
    for key in line(BANK3).signing_keys() {
        assert_eq!(to_key(key).verdict(), Ok(()));
    }
    // The genesis of the tests gives every bank's coins to one key, which owns the inputs here: another one is put into a line.
    let mut payment = to_key(public("a vault's"));
    assert_eq!(payment.verdict(), Ok(()));
    let mut preissues = payment.bed.rules.genesis.preissues.to_vec();
    preissues.iter_mut().filter(|line| line.bank == BANK3).for_each(|line| line.owner = public("a vault's"));
    std::sync::Arc::make_mut(&mut payment.bed.rules.genesis).preissues = List::new(preissues.clone()).unwrap();
    assert_eq!(payment.verdict(), Ok(()));
    preissues.iter_mut().filter(|line| line.bank == BANK2).for_each(|line| line.owner = public("a vault's"));
    std::sync::Arc::make_mut(&mut payment.bed.rules.genesis).preissues = List::new(preissues).unwrap();
    payment.is_refused_by(PaymentRule::LentToTheLender);
}

#[test]
fn rule_19_is_said_of_a_statement_that_officers_find_false_and_of_no_sealed_part() {
    // K-9: registration says it with a finding from outside, so the predicate has no way to come to it.
    let rule = PaymentRule::StatementIsFalse;
    assert_eq!((rule.number(), rule.code()), (19, "statement_is_false"));
}

#[test]
fn rule_20_is_said_of_a_return_by_who_knows_the_principal_and_of_no_sealed_part() {
    // K-2: what was lent is in another envelope.
    let rule = PaymentRule::ReturnDiffers;
    assert_eq!((rule.number(), rule.code()), (20, "return_differs"));
}

#[test]
fn p4_a_recover_may_name_an_unopened_coin_and_leaves_its_worth_to_registration() {
    let mut bed = Bed::new();
    let inputs = vec![bed.coin_of(BANK2, 0), bed.coin_of(BANK3, 0)];
    // C-4: its series is not known either, so the outputs have none.
    let mut as_sealed = inputs.clone();
    as_sealed.iter_mut().for_each(|coin| coin.opening.series = SeriesNumber(0));
    let draft = bed.recover(&as_sealed, &[(BANK4, 90_000)]);
    let mut recover = Payment::of(bed, draft, inputs);
    recover.sealed.inputs.as_mut_slice()[0] = SealedInput::UNOPENED;
    assert_eq!(recover.verdict(), Ok(()), "the sum is not known here");
    // What is opened must be this coin's, and a sealed part that is not all zero is an opening.
    let mut wrong = recover.clone();
    wrong.sealed.inputs.as_mut_slice()[1].rho = [7; 32];
    wrong.is_refused_by(PaymentRule::InputsDiffer);
    let mut almost = recover.clone();
    almost.sealed.inputs.as_mut_slice()[0].output_index = 1;
    almost.is_refused_by(PaymentRule::InputsDiffer);
    // A holder who spends knows what it spends.
    for mut spend in [payment(), redeem(), self_transfer()] {
        let submitter = spend.header.core.submitter;
        spend.sealed.inputs.as_mut_slice()[0] = SealedInput { bank: submitter, ..SealedInput::UNOPENED };
        spend.is_refused_by(PaymentRule::InputsDiffer);
        spend.sealed.inputs.as_mut_slice()[0] = SealedInput::UNOPENED;
        spend.is_refused_by(PaymentRule::NamesAnotherSubmitter);
    }
}

#[test]
fn every_rule_has_its_test_in_this_file() {
    let text = include_str!("payment.rs");
    for rule in PaymentRule::ALL {
        assert!(text.contains(&format!("fn rule_{}_", rule.number())), "{rule} has no test");
        assert_eq!(PaymentRule::from_number(rule.number()), Some(*rule));
    }
}

#[test]
fn the_coins_of_a_payment_are_those_that_the_ledger_creates() {
    let good = payment();
    let mut bed = good.bed.clone();
    let envelope =
        Envelope { header: good.header.clone(), ciphertext: vec![0; good.header.core.bucket.ciphertext_bytes()] };
    let bundle = bed.bundle(BANK2, vec![envelope]);
    let applied = bed.block(&[bundle]);
    let spent: Vec<CoinId> = good.inputs.iter().map(|coin| coin.id).collect();
    assert_eq!(applied.changes.coins_deleted, spent);
}
