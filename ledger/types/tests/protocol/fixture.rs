//! One small chain with fixed keys: a central bank (1), three commercial banks (2, 3, 4) and an observer (9).
//!
//! Every secret is the BLAKE3 hash of a phrase, so that an implementation in another language can make the same keys, and
//! with Ed25519 being deterministic the same signatures.

use ledger_types::block::{Block, BlockHeader, EnvelopeResult, certificates_root, genesis_block_hash, results_root};
use ledger_types::bundle::{Bundle, BundleCertificate, BundleHeader, Slot, ack_message};
use ledger_types::coin::{Opening, coin_link, issue_origin};
use ledger_types::confirmation::{Batch, BatchRecord, Overdue, RecordStatus, SignedBatch};
use ledger_types::contract::*;
use ledger_types::envelope::*;
use ledger_types::feed::*;
use ledger_types::genesis::{GENESIS_VERSION, Genesis, KemSuite, Preissue, Series};
use ledger_types::hand_over::*;
use ledger_types::keys::{PublicKey, Signature, SigningKey};
use ledger_types::participant::{CentralBankKeys, Directory, Participant, ParticipantKeys, Roles, SignedBy};
use ledger_types::request::*;
use ledger_types::rules::*;
use ledger_types::vote::{CommitCertificate, Vote, VoteStep};
use ledger_types::*;

pub const CENTRAL_BANK: ParticipantNumber = ParticipantNumber(1);
pub const BANK_2: ParticipantNumber = ParticipantNumber(2);
pub const BANK_3: ParticipantNumber = ParticipantNumber(3);
pub const BANK_4: ParticipantNumber = ParticipantNumber(4);
pub const OBSERVER: ParticipantNumber = ParticipantNumber(9);
pub const VALIDATORS: [ParticipantNumber; 4] = [CENTRAL_BANK, BANK_2, BANK_3, BANK_4];

pub const GENESIS_TIME_MS: u64 = 1_790_000_000_000;
pub const USD: Currency = Currency(*b"USD");

/// BLAKE3 of the phrase.
pub fn secret(phrase: &str) -> [u8; 32] {
    *blake3::hash(phrase.as_bytes()).as_bytes()
}

/// The Ed25519 key whose seed is [`secret`] of the phrase, such as `participant 2 bundle`.
pub fn key(phrase: &str) -> SigningKey {
    SigningKey::from_seed(&secret(phrase))
}

pub fn public(phrase: &str) -> PublicKey {
    key(phrase).public_key()
}

pub fn participant_key(number: ParticipantNumber, purpose: &str) -> SigningKey {
    key(&format!("participant {number} {purpose}"))
}

pub fn participant(number: ParticipantNumber, name: &str, roles: Roles) -> Participant {
    let of = |purpose: &str| participant_key(number, purpose).public_key();
    let central = CentralBankKeys {
        log: of("log"),
        registration: of("registration"),
        registration_link: of("registration link"),
        issue: of("issue"),
    };
    Participant {
        number,
        name: Text::new(name).unwrap(),
        roles,
        power: if roles.include(Roles::VALIDATOR) { 10 } else { 0 },
        keys: ParticipantKeys {
            consensus: of("consensus"),
            bundle: of("bundle"),
            cosign: of("cosign"),
            desk: of("desk"),
            offer: of("offer"),
            link: of("link"),
            engine_peer: of("engine peer"),
            data_peer: of("data peer"),
            // To this package a KEM key is a byte string of the suite's length.
            kem: Octets::new(secret(&format!("participant {number} kem")).to_vec()).unwrap(),
        },
        central_bank: roles.include(Roles::CENTRAL_BANK).then_some(central),
    }
}

pub fn participants() -> Vec<Participant> {
    let bank = Roles::VALIDATOR.and(Roles::COMMERCIAL_BANK);
    vec![
        participant(CENTRAL_BANK, "central-bank", Roles::VALIDATOR.and(Roles::CENTRAL_BANK)),
        participant(BANK_2, "bank-2", bank),
        participant(BANK_3, "bank-3", bank),
        participant(BANK_4, "bank-4", bank),
        participant(OBSERVER, "observer", Roles::OBSERVER),
    ]
}

pub fn directory() -> Directory {
    Directory::new(participants()).unwrap()
}

pub fn genesis() -> Genesis {
    Genesis {
        version: GENESIS_VERSION,
        currency: USD,
        exponent: 2,
        kem_suite: KemSuite::X25519,
        time_ms: GENESIS_TIME_MS,
        origin: Text::new("assay.example/registry").unwrap(),
        officers: List::new((0..3).map(|i| public(&format!("officer {i}"))).collect()).unwrap(),
        officer_threshold: 2,
        unconfirmed_depth_max: 0,
        expiry_window_ms: 600_000,
        release_deadline_ms: 3_600_000,
        bytes_per_submitter_per_height: 8 << 20,
        batch_records_max: 10_000,
        series: List::new(vec![series(1), series(2)]).unwrap(),
        preissues: List::new(vec![Preissue {
            series: SeriesNumber(1),
            seed: secret("preissue"),
            bank: BANK_2,
            owner: public("vault of bank 2"),
            amount: Amount(10_000),
            count: 3,
        }])
        .unwrap(),
        directory: directory(),
    }
}

pub fn series(number: u32) -> Series {
    Series { number: SeriesNumber(number), name: Text::new(&format!("series {number}")).unwrap() }
}

pub fn chain() -> Chain {
    genesis().chain()
}

/// A coin of 250.00 of series 1, issue number 7, output 0, owned by Alice and in the custody of bank 2.
pub fn opening() -> Opening {
    Opening {
        amount: Amount(25_000),
        currency: USD,
        series: SeriesNumber(1),
        terms: Terms::ZERO,
        owner: public("alice"),
        rho: secret("rho of alice's coin"),
    }
}

pub fn opening_origin(chain: &Chain) -> Origin {
    issue_origin(chain, SeriesNumber(1), 7)
}

pub fn coin(chain: &Chain) -> CoinId {
    opening().coin_id(chain, &opening_origin(chain), 0, BANK_2)
}

/// Alice pays Bob at bank 3 70.50 of it; the rest comes back to her.
pub fn paid() -> Opening {
    let rho = secret("rho of bob's coin");
    Opening { amount: Amount(7_050), owner: public("bob"), rho, ..opening() }
}

pub fn change() -> Opening {
    let rho = secret("rho of alice's change");
    Opening { amount: Amount(17_950), owner: public("alice's change"), rho, ..opening() }
}

pub fn output(chain: &Chain, opening: &Opening, bank: ParticipantNumber) -> Output {
    Output { note: opening.note(chain), custody: opening.custody(chain, bank), terms_flag: TermsFlag::Plain }
}

/// The payment's two outputs, ascending by note.
pub fn outputs(chain: &Chain) -> List<Output, 8> {
    let mut outputs = vec![output(chain, &paid(), BANK_3), output(chain, &change(), BANK_2)];
    outputs.sort_by_key(|output| output.note);
    List::new(outputs).unwrap()
}

pub fn spend(chain: &Chain) -> Spend {
    let opening = opening();
    let link = coin_link(chain, &opening_origin(chain), 0, &opening.note(chain));
    Spend { link, kappa: opening.kappa(chain) }
}

/// A core with the context's kind. The sealed part is made by `ledger-seal`; here it is filler of the bucket's length.
pub fn core(submitter: ParticipantNumber, inputs: Inputs, outputs: List<Output, 8>, context: ClearContext) -> Core {
    let bucket = if context.kind().seals_nothing() { Bucket::None } else { Bucket::B512 };
    Core {
        submitter,
        inputs,
        outputs,
        contract: ContractNumber(0),
        expiry_ms: GENESIS_TIME_MS + 60_000,
        bucket,
        hint: EnvelopeHint(secret("hint")[..16].try_into().unwrap()),
        salt: Salt(secret("salt")),
        context,
    }
}

pub fn envelope(core: Core) -> Envelope {
    let ciphertext = (0..core.bucket.ciphertext_bytes()).map(|i| i as u8).collect();
    Envelope { header: EnvelopeHeader { core, commitment: KeyCommitment(secret("key commitment")) }, ciphertext }
}

pub fn transfer(chain: &Chain) -> Envelope {
    let inputs = Inputs::Spends(List::new(vec![spend(chain)]).unwrap());
    envelope(core(BANK_2, inputs, outputs(chain), ClearContext::Transfer))
}

fn sign_by_officers(message: &[u8; 32]) -> OfficerSignatures {
    let sign = |officer: u8| {
        let signature = key(&format!("officer {officer}")).sign(message);
        OfficerSignature { officer, signature }
    };
    List::new(vec![sign(0), sign(2)]).unwrap()
}

/// The third bank loses its vote.
pub fn hand_over(chain: &Chain) -> Envelope {
    let mut participants = participants();
    let line = participants.iter_mut().rev().find(|line| line.is_validator()).unwrap();
    (line.roles, line.power) = (Roles::COMMERCIAL_BANK, 0);
    let incoming = Directory::new(participants).unwrap().validators();
    let order = HandOverOrder { number: 1, outgoing: directory().validators().hash(chain), incoming };
    let context = HandOverContext { order, authorizations: List::empty() };
    clear(chain, CENTRAL_BANK, ClearContext::HandOver(Box::new(context)))
}

pub const RULES_ORDER: RulesOrder = RulesOrder { version: RulesVersion(2), activates_at: Height(1_000) };

pub fn rules_order(chain: &Chain) -> Envelope {
    let context = RulesOrderContext { order: RULES_ORDER, authorizations: List::empty() };
    clear(chain, CENTRAL_BANK, ClearContext::RulesOrder(context))
}

fn authorized(chain: &Chain, mut unsigned: Core) -> Envelope {
    let message = unsigned.authorization_message(chain);
    let issue = participant_key(CENTRAL_BANK, "issue");
    let officers = || sign_by_officers(&message);
    match &mut unsigned.context {
        ClearContext::Issue(context) => context.authorization = issue.sign(&message),
        ClearContext::Redeem(context) => context.authorization = issue.sign(&message),
        ClearContext::Recover(context) => context.authorizations = officers(),
        ClearContext::ParticipantUpdate(context) => context.authorizations = officers(),
        ClearContext::Request(context) => context.authorizations = officers(),
        ClearContext::Return(context) => context.authorization = issue.sign(&message),
        ClearContext::ContractOrder(context) => context.authorizations = officers(),
        ClearContext::FeedOrder(context) => context.authorizations = officers(),
        ClearContext::RulesOrder(context) => context.authorizations = officers(),
        ClearContext::HandOver(context) => context.authorizations = sign_by_officers(&context.order.message(chain)),
        ClearContext::Transfer
        | ClearContext::Activate(_)
        | ClearContext::Reclaim(_)
        | ClearContext::Publication(_) => {}
    }
    envelope(unsigned)
}

pub fn issue(chain: &Chain) -> Envelope {
    let authorization = Signature([0; 64]);
    let context = IssueContext { series: SeriesNumber(1), issue_number: 7, amount: Amount(25_000), authorization };
    let outputs = List::new(vec![output(chain, &opening(), BANK_2)]).unwrap();
    let inputs = Inputs::Spends(List::empty());
    authorized(chain, core(CENTRAL_BANK, inputs, outputs, ClearContext::Issue(context)))
}

pub fn redeem(chain: &Chain) -> Envelope {
    let context = RedeemContext { amount: Amount(25_000), authorization: Signature([0; 64]) };
    let inputs = Inputs::Spends(List::new(vec![spend(chain)]).unwrap());
    authorized(chain, core(CENTRAL_BANK, inputs, List::empty(), ClearContext::Redeem(context)))
}

pub fn recover(chain: &Chain) -> Envelope {
    let context = RecoverContext { reason: RecoverReason::CourtOrder, authorizations: List::empty() };
    let inputs = Inputs::ById(List::new(vec![coin(chain)]).unwrap());
    let outputs = List::new(vec![output(chain, &paid(), BANK_3)]).unwrap();
    authorized(chain, core(CENTRAL_BANK, inputs, outputs, ClearContext::Recover(context)))
}

pub fn participant_update(chain: &Chain) -> Envelope {
    let mut participant = participants().remove(2);
    participant.keys.desk = public("participant 3 desk, second");
    let context = ParticipantUpdateContext { participant, authorizations: List::empty() };
    let context = ClearContext::ParticipantUpdate(Box::new(context));
    authorized(chain, core(CENTRAL_BANK, Inputs::Spends(List::empty()), List::empty(), context))
}

pub fn officer_request(chain: &Chain) -> OfficerRequest {
    let commitment = request_commitment(chain, &coin(chain), &secret("request blind"));
    let epoch = (GENESIS_TIME_MS + 60_000) / EPOCH_MS;
    OfficerRequest { class: RequestClass::Freeze, basis: BasisCode::parse("AML-7").unwrap(), epoch, commitment }
}

pub fn request(chain: &Chain) -> Envelope {
    let context = RequestContext { request: officer_request(chain), authorizations: List::empty() };
    let context = ClearContext::Request(context);
    authorized(chain, core(BANK_3, Inputs::Spends(List::empty()), List::empty(), context))
}

pub const CONTRACT: ContractNumber = ContractNumber(1);
/// No policy: to this package a package is a byte string.
pub const PACKAGE: &[u8] = b"package";

pub fn policy(chain: &Chain) -> PolicyHash {
    policy_hash(chain, PACKAGE)
}

fn clear(chain: &Chain, submitter: ParticipantNumber, context: ClearContext) -> Envelope {
    authorized(chain, core(submitter, Inputs::Spends(List::empty()), List::empty(), context))
}

pub fn contract_order(chain: &Chain, order: ContractOrder) -> Envelope {
    let context = ContractOrderContext { order, authorizations: List::empty() };
    clear(chain, BANK_3, ClearContext::ContractOrder(context))
}

pub fn deployment() -> ContractOrder {
    let package = Octets::new(PACKAGE.to_vec()).unwrap();
    let report = secret("report");
    ContractOrder::Deploy(Deployment { contract: CONTRACT, version: PolicyVersion(1), notice: 2, report, package })
}

pub fn feed_definition() -> FeedDefinition {
    FeedDefinition {
        feed: FeedNumber(1),
        name: FeedName::parse("us.gdp.real").unwrap(),
        unit: FeedUnit::Index,
        scale: 1,
        frequency: Frequency::Quarterly,
        publishers: List::new((0..3).map(|i| public(&format!("publisher {i}"))).collect()).unwrap(),
        threshold: 2,
        step_max: 20_000,
    }
}

pub fn feed_order(chain: &Chain) -> Envelope {
    let context = FeedOrderContext { definition: feed_definition(), authorizations: List::empty() };
    clear(chain, BANK_2, ClearContext::FeedOrder(context))
}

/// The second vintage of 2026Q2: 23,771.1.
pub fn feed_item() -> FeedItem {
    let head = ItemHead {
        feed: FeedNumber(1),
        period: Period(2026 * 4 + 1),
        vintage: Vintage(1),
        scale: 1,
        published_ms: GENESIS_TIME_MS,
        valid_until_ms: GENESIS_TIME_MS + 100 * DAY_MS,
    };
    FeedItem { head, value: 237_711 }
}

/// Publishers 0 and 2 say the same.
pub fn publication(chain: &Chain) -> Envelope {
    let FeedItem { head, value } = feed_item();
    let message = head.message(chain, value);
    let publish = |publisher: u8| {
        let signature = key(&format!("publisher {publisher}")).sign(&message);
        PublishedValue { publisher, value, signature }
    };
    let values = List::new(vec![publish(0), publish(2)]).unwrap();
    clear(chain, BANK_4, ClearContext::Publication(PublicationContext { head, values }))
}

/// Of the coin of [`spend`], were it inert: to manufacturing of food at 4.30 % for a year.
pub fn activate(chain: &Chain) -> Envelope {
    let inputs = Inputs::Spends(List::new(vec![spend(chain)]).unwrap());
    let loan = Loan { sector: 0x430a, rate: 43_000, term_days: 365 };
    let mut core = core(BANK_2, inputs, outputs(chain), ClearContext::Activate(loan));
    core.contract = CONTRACT;
    let change = change().note(chain);
    for output in core.outputs.as_mut_slice().iter_mut().filter(|output| output.note == change) {
        output.terms_flag = TermsFlag::Contract;
    }
    envelope(core)
}

pub fn obligation(chain: &Chain) -> OpenObligation {
    let activation = activate(chain);
    let obligation = Obligation {
        contract: CONTRACT,
        version: PolicyVersion(1),
        policy: policy(chain),
        activated_ms: GENESIS_TIME_MS + 1_000,
        due_ms: GENESIS_TIME_MS + 1_000 + 395 * DAY_MS,
    };
    OpenObligation { obligation, bank: BANK_2, activation: activation.id(chain), salt: activation.header.core.salt }
}

/// Food was stated, a shop was found.
pub fn dispute(chain: &Chain) -> StatementDispute {
    let activation = activate(chain);
    StatementDispute {
        contract: CONTRACT,
        sector: 0x472f,
        basis: BasisCode::parse("SRV-12").unwrap(),
        evidence: secret("evidence"),
        activation: Octets::new(activation.header.to_bytes()).unwrap(),
        ciphertext: activation.ciphertext_hash(chain),
    }
}

pub fn false_statement(chain: &Chain) -> FalseStatement {
    let StatementDispute { contract, sector: found, basis, evidence, .. } = dispute(chain);
    FalseStatement { obligation: obligation(chain).id(chain), contract, stated: 0x430a, found, basis, evidence }
}

pub fn return_(chain: &Chain) -> Envelope {
    let context = ReturnContext {
        obligation: obligation(chain).id(chain),
        rate: -2_500,
        amount: Amount(25_000),
        authorization: Signature([0; 64]),
    };
    let inputs = Inputs::Spends(List::new(vec![spend(chain)]).unwrap());
    authorized(chain, core(CENTRAL_BANK, inputs, List::empty(), ClearContext::Return(context)))
}

pub fn reclaim(chain: &Chain) -> Envelope {
    let inputs = Inputs::ById(List::new(vec![coin(chain)]).unwrap());
    let context = ClearContext::Reclaim(ReclaimContext { amount: Amount(25_000) });
    let mut core = core(CENTRAL_BANK, inputs, List::empty(), context);
    core.contract = CONTRACT;
    envelope(core)
}

pub fn receipt(chain: &Chain) -> Receipt {
    let open = obligation(chain);
    let FeedItem { head, value } = feed_item();
    let found = Some(ReadValue { period: head.period, vintage: head.vintage, value });
    let inputs =
        vec![ReceiptInput { feed: head.feed, back: 0, found }, ReceiptInput { feed: head.feed, back: 1, found: None }];
    Receipt {
        obligation: open.id(chain),
        contract: CONTRACT,
        version: PolicyVersion(1),
        policy: policy(chain),
        rate: -2_500,
        from_ms: open.obligation.activated_ms,
        to_ms: open.obligation.activated_ms + 90 * DAY_MS,
        fuel: 41,
        inputs: List::new(inputs).unwrap(),
    }
}

pub fn slot(submitter: ParticipantNumber, sequence: u64) -> Slot {
    Slot { submitter, incarnation: 1, sequence }
}

pub fn bundle(chain: &Chain) -> Bundle {
    let key = participant_key(BANK_2, "bundle");
    let mut second = transfer(chain);
    second.header.core.salt = Salt(secret("another salt"));
    Bundle::sign(chain, slot(BANK_2, 5), vec![transfer(chain), second], &key).unwrap()
}

pub fn batch(chain: &Chain) -> Batch {
    let coin = coin(chain);
    let tag = opening().owner_tag(chain, &coin);
    let mut records = vec![
        BatchRecord { coin, status: RecordStatus::Live, failed_check: 0, tag },
        BatchRecord { coin: CoinId([0x11; 32]), status: RecordStatus::Spent, failed_check: 0, tag: OwnerTag::ZERO },
        BatchRecord {
            coin: CoinId([0xee; 32]),
            status: RecordStatus::Disputed,
            failed_check: 12,
            tag: OwnerTag([3; 32]),
        },
    ];
    records.sort_by_key(|record| record.coin);
    let overdue = |byte, submitter| Overdue { envelope: EnvelopeId([byte; 32]), submitter };
    Batch {
        number: BatchNumber(1),
        previous: BatchHash(secret("batch 0")),
        records: List::new(records).unwrap(),
        settled: List::new(vec![issue(chain).id(chain)]).unwrap(),
        overdue: List::new(vec![overdue(0x21, BANK_3)]).unwrap(),
        cleared: List::new(vec![overdue(0x20, BANK_4)]).unwrap(),
    }
}

pub fn signed_batch(chain: &Chain) -> SignedBatch {
    batch(chain).sign(chain, &participant_key(CENTRAL_BANK, "registration"))
}

pub fn confirmation_bundle(chain: &Chain) -> Bundle {
    let key = participant_key(CENTRAL_BANK, "registration");
    Bundle::sign_confirmation(chain, slot(ParticipantNumber::REGISTRATION, 0), signed_batch(chain), &key).unwrap()
}

/// Acks of the named validators, in the order given.
pub fn certificate_by(chain: &Chain, header: &BundleHeader, signers: &[ParticipantNumber]) -> BundleCertificate {
    let digest = header.digest(chain);
    let ack = |&signer: &ParticipantNumber| {
        let signature = participant_key(signer, "bundle").sign(&ack_message(chain, &digest, signer));
        SignedBy { signer, signature }
    };
    BundleCertificate { header: header.clone(), acks: List::new(signers.iter().map(ack).collect()).unwrap() }
}

pub fn certificate(chain: &Chain, bundle: &Bundle) -> BundleCertificate {
    certificate_by(chain, bundle.header(), &VALIDATORS[..3])
}

pub fn vote(block: Option<BlockHash>, validator: ParticipantNumber) -> Vote {
    Vote { step: VoteStep::Precommit, height: Height(1), round: 2, block, validator }
}

/// Precommits of the named validators for a block of height 1 in round 2, in the order given.
pub fn commit_by(chain: &Chain, block: BlockHash, signers: &[ParticipantNumber]) -> CommitCertificate {
    let precommit = |&signer: &ParticipantNumber| {
        let signature = participant_key(signer, "consensus").sign(&vote(Some(block), signer).message(chain));
        SignedBy { signer, signature }
    };
    let precommits = List::new(signers.iter().map(precommit).collect()).unwrap();
    CommitCertificate { height: Height(1), round: 2, block, precommits }
}

/// What became of the two envelopes of [`bundle`].
pub fn results(chain: &Chain) -> Vec<EnvelopeResult> {
    let result = |(&envelope, code): (&EnvelopeId, u16)| EnvelopeResult { envelope, code };
    bundle(chain).ids().iter().zip([EnvelopeResult::ACCEPTED, 16]).map(result).collect()
}

pub fn block_header(chain: &Chain, certificates: &[BundleCertificate]) -> BlockHeader {
    BlockHeader {
        version: RulesVersion::GENESIS,
        height: Height(1),
        parent: genesis_block_hash(chain),
        time_ms: GENESIS_TIME_MS + 1_000,
        certificates_root: certificates_root(chain, certificates),
        results_root: results_root(chain, &results(chain)),
        state_root: StateRoot(secret("state root")),
        log_size: 4,
        log_root: TreeRoot(secret("log root")),
        map_root: TreeRoot(secret("map root")),
        participants_hash: directory().hash(chain),
        next_set_hash: directory().validators().hash(chain),
        parent_round: 0,
    }
}

/// Height 1, which has no parent certificate.
pub fn first_block(chain: &Chain) -> Block {
    let certificates = vec![certificate(chain, &bundle(chain))];
    let header = block_header(chain, &certificates);
    Block { header, certificates: List::new(certificates).unwrap(), parent_certificate: None }
}

/// Height 2, on top of [`first_block`].
pub fn second_block(chain: &Chain) -> Block {
    let first = first_block(chain);
    let confirmation = confirmation_bundle(chain);
    let certificates = vec![certificate(chain, &confirmation)];
    let accepted = EnvelopeResult { envelope: confirmation.ids()[0], code: EnvelopeResult::ACCEPTED };
    let header = BlockHeader {
        height: Height(2),
        parent: first.hash(chain),
        time_ms: GENESIS_TIME_MS + 2_000,
        certificates_root: certificates_root(chain, &certificates),
        results_root: results_root(chain, &[accepted]),
        parent_round: 2,
        ..first.header.clone()
    };
    let parent_certificate = Some(commit_by(chain, first.hash(chain), &VALIDATORS[..3]));
    Block { header, certificates: List::new(certificates).unwrap(), parent_certificate }
}
