//! A small chain in memory: five banks and an observer, every key derived from a label, and drafts of envelopes that a test may
//! spoil before they are sealed.
#![allow(dead_code)] // each test file uses its own part

use ledger_state::memory::MemoryState;
use ledger_state::{Applied, ApplyError, BlockRefusal, CandidateBlock, GenesisLoad, GenesisStep, Ledger, Rules, apply};
use ledger_types::bundle::{Bundle, BundleCertificate, Slot};
use ledger_types::coin::{Opening, coin_link, issue_origin, origin};
use ledger_types::confirmation::{Batch, BatchRecord, RecordStatus, SignedBatch};
use ledger_types::encoding::{Decode, Encode, List, Octets, Text};
use ledger_types::envelope::*;
use ledger_types::genesis::{GENESIS_VERSION, Genesis, KemSuite, Preissue, Series};
use ledger_types::hand_over::HandOverOrder;
use ledger_types::ids::*;
use ledger_types::keys::{PublicKey, Signature, SigningKey};
use ledger_types::participant::{
    CentralBankKeys, Directory, Participant, ParticipantKeys, Roles, Validator, ValidatorSet,
};
use ledger_types::rejection::Rejection;
use ledger_types::request::*;
use ledger_types::rules::RulesOrder;
use std::sync::Arc;

pub mod lending;

pub const CENTRAL: ParticipantNumber = ParticipantNumber(1);
pub const BANK2: ParticipantNumber = ParticipantNumber(2);
pub const BANK3: ParticipantNumber = ParticipantNumber(3);
pub const BANK4: ParticipantNumber = ParticipantNumber(4);
/// A bank without a vote.
pub const BANK5: ParticipantNumber = ParticipantNumber(5);
pub const OBSERVER: ParticipantNumber = ParticipantNumber(6);

pub const EXPIRY_WINDOW_MS: u64 = 60_000;
pub const QUOTA_BYTES: u64 = 400_000;
pub const GENESIS_TIME_MS: u64 = 1_700_000_000_000;

pub fn key(label: &str) -> SigningKey {
    SigningKey::from_seed(blake3::hash(label.as_bytes()).as_bytes())
}

pub fn key_of(number: ParticipantNumber, purpose: &str) -> SigningKey {
    key(&format!("{number} {purpose}"))
}

pub fn owner() -> SigningKey {
    key("owner")
}

/// Of what an activation lends.
pub fn borrower() -> SigningKey {
    key("borrower")
}

pub fn participant(number: ParticipantNumber, roles: Roles, power: u64) -> Participant {
    let public = |purpose| key_of(number, purpose).public_key();
    let keys = ParticipantKeys {
        consensus: public("consensus"),
        bundle: public("bundle"),
        cosign: public("cosign"),
        desk: public("desk"),
        offer: public("offer"),
        link: public("link"),
        engine_peer: public("engine peer"),
        data_peer: public("data peer"),
        kem: Octets::new(public("kem").0.to_vec()).unwrap(),
    };
    let central_bank = roles.include(Roles::CENTRAL_BANK).then(|| CentralBankKeys {
        log: public("log"),
        registration: public("registration"),
        registration_link: public("registration link"),
        issue: public("issue"),
    });
    Participant { number, name: Text::new(&format!("participant {number}")).unwrap(), roles, power, keys, central_bank }
}

pub fn directory() -> Directory {
    let bank = Roles::VALIDATOR.and(Roles::COMMERCIAL_BANK);
    Directory::new(vec![
        participant(CENTRAL, Roles::VALIDATOR.and(Roles::CENTRAL_BANK), 1),
        participant(BANK2, bank, 1),
        participant(BANK3, bank, 1),
        participant(BANK4, bank, 1),
        participant(BANK5, Roles::COMMERCIAL_BANK, 0),
        participant(OBSERVER, Roles::OBSERVER, 0),
    ])
    .unwrap()
}

pub fn preissue(bank: ParticipantNumber, count: u32) -> Preissue {
    Preissue {
        series: SeriesNumber(1),
        seed: [bank.0 as u8; 32],
        bank,
        owner: owner().public_key(),
        amount: Amount(100),
        count,
    }
}

pub fn genesis(preissues: Vec<Preissue>) -> Genesis {
    let series = |number, name| Series { number: SeriesNumber(number), name: Text::new(name).unwrap() };
    let genesis = Genesis {
        version: GENESIS_VERSION,
        currency: Currency(*b"CNY"),
        exponent: 2,
        kem_suite: KemSuite::X25519,
        time_ms: GENESIS_TIME_MS,
        origin: Text::new("assay.example/log").unwrap(),
        officers: List::new((0..3).map(officer).map(|key| key.public_key()).collect()).unwrap(),
        officer_threshold: 2,
        unconfirmed_depth_max: 0,
        expiry_window_ms: EXPIRY_WINDOW_MS,
        release_deadline_ms: 60_000,
        bytes_per_submitter_per_height: QUOTA_BYTES,
        batch_records_max: 1_000,
        series: List::new(vec![series(1, "first"), series(2, "second")]).unwrap(),
        preissues: List::new(preissues).unwrap(),
        directory: directory(),
    };
    genesis.check().unwrap();
    genesis
}

pub fn officer(index: u8) -> SigningKey {
    key(&format!("officer {index}"))
}

/// Loads the genesis into an empty state, as the store does.
pub fn load_genesis(rules: &Rules) -> (MemoryState, Ledger) {
    let mut state = MemoryState::default();
    let mut load = GenesisLoad::start(rules);
    loop {
        match load.step(&state).unwrap() {
            GenesisStep::More(changes) => state.write(&changes),
            GenesisStep::Last(changes, ledger) => {
                state.write(&changes);
                return (state, *ledger);
            }
        }
    }
}

/// A coin as its holder knows it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct KnownCoin {
    pub id: CoinId,
    pub opening: Opening,
    pub origin: Origin,
    pub output_index: u8,
    pub bank: ParticipantNumber,
}

/// An envelope before it is sealed. `coins` are what its outputs become if it is accepted.
#[derive(Clone, Debug)]
pub struct Draft {
    pub core: Core,
    pub ciphertext: Vec<u8>,
    pub coins: Vec<KnownCoin>,
}

impl Draft {
    pub fn seal(self) -> Envelope {
        let commitment = KeyCommitment(self.core.salt.0);
        Envelope { header: EnvelopeHeader { core: self.core, commitment }, ciphertext: self.ciphertext }
    }

    pub fn authorize_by_issue_key(mut self, rules: &Rules) -> Self {
        let signature = key_of(CENTRAL, "issue").sign(&self.core.authorization_message(&rules.chain));
        match &mut self.core.context {
            ClearContext::Issue(context) => context.authorization = signature,
            ClearContext::Redeem(context) => context.authorization = signature,
            ClearContext::Return(context) => context.authorization = signature,
            other => panic!("{other:?} takes no issue key"),
        }
        self
    }

    pub fn authorize_by_officers(mut self, rules: &Rules, officers: &[u8]) -> Self {
        let message = self.core.authorization_message(&rules.chain);
        let sign = |index: &u8| OfficerSignature { officer: *index, signature: officer(*index).sign(&message) };
        let signatures = List::new(officers.iter().map(sign).collect()).unwrap();
        match &mut self.core.context {
            ClearContext::Recover(context) => context.authorizations = signatures,
            ClearContext::ParticipantUpdate(context) => context.authorizations = signatures,
            ClearContext::Request(context) => context.authorizations = signatures,
            ClearContext::ContractOrder(context) => context.authorizations = signatures,
            ClearContext::FeedOrder(context) => context.authorizations = signatures,
            ClearContext::RulesOrder(context) => context.authorizations = signatures,
            ClearContext::HandOver(context) => {
                let message = context.order.message(&rules.chain);
                let sign = |index: &u8| OfficerSignature { officer: *index, signature: officer(*index).sign(&message) };
                context.authorizations = List::new(officers.iter().map(sign).collect()).unwrap();
            }
            other => panic!("{other:?} takes no officers"),
        }
        self
    }
}

/// The chain under test.
#[derive(Clone)]
pub struct Bed {
    pub rules: Rules,
    pub state: MemoryState,
    pub ledger: Ledger,
    pub preissued: Vec<KnownCoin>,
    counter: u64,
}

impl Bed {
    /// Four coins of 100 in series 1 for each of banks 1 to 5.
    pub fn new() -> Self {
        Self::with_preissues([CENTRAL, BANK2, BANK3, BANK4, BANK5].map(|bank| preissue(bank, 4)).to_vec())
    }

    pub fn with_preissues(preissues: Vec<Preissue>) -> Self {
        Self::with_genesis(genesis(preissues))
    }

    /// As [`Bed::new`], with small limits, so that small histories meet them.
    pub fn with_small_limits() -> Self {
        let mut genesis = genesis([CENTRAL, BANK2, BANK3, BANK4, BANK5].map(|bank| preissue(bank, 4)).to_vec());
        (genesis.bytes_per_submitter_per_height, genesis.batch_records_max) = (65_536, 50);
        genesis.check().unwrap();
        Self::with_genesis(genesis)
    }

    pub fn with_genesis(genesis: Genesis) -> Self {
        let rules = Rules::new(genesis);
        let (state, ledger) = load_genesis(&rules);
        let known = |coin: ledger_state::PreissuedCoin| KnownCoin {
            id: coin.id,
            opening: coin.opening,
            origin: coin.origin,
            output_index: 0,
            bank: coin.bank,
        };
        let preissued = ledger_state::preissued_coins(&rules).map(known).collect();
        Bed { rules, state, ledger, preissued, counter: 0 }
    }

    pub fn coin_of(&self, bank: ParticipantNumber, nth: usize) -> KnownCoin {
        self.preissued.iter().filter(|coin| coin.bank == bank).nth(nth).unwrap().clone()
    }

    /// Bytes that never repeat on this chain.
    pub fn fresh(&mut self) -> [u8; 32] {
        self.counter += 1;
        *blake3::hash(&self.counter.to_le_bytes()).as_bytes()
    }

    pub fn next_time_ms(&self) -> u64 {
        self.ledger.time_ms + 1_000
    }

    fn draft(
        &mut self,
        submitter: ParticipantNumber,
        inputs: Inputs,
        origin: Origin,
        series: SeriesNumber,
        outputs: &[(ParticipantNumber, u64)],
        context: ClearContext,
    ) -> Draft {
        let plain: Vec<_> = outputs.iter().map(|(bank, amount)| (*bank, *amount, Terms::ZERO)).collect();
        self.draft_with_terms(submitter, inputs, origin, series, &plain, ContractNumber(0), context)
    }

    #[expect(clippy::too_many_arguments, reason = "all that an envelope says, once")]
    pub fn draft_with_terms(
        &mut self,
        submitter: ParticipantNumber,
        inputs: Inputs,
        origin: Origin,
        series: SeriesNumber,
        outputs: &[(ParticipantNumber, u64, Terms)],
        contract: ContractNumber,
        context: ClearContext,
    ) -> Draft {
        let chain = self.rules.chain;
        let is_lent = |terms| matches!(context, ClearContext::Activate(_)) && terms == Terms::ZERO;
        let mut coins: Vec<KnownCoin> = Vec::new();
        for (bank, amount, terms) in outputs {
            let opening = Opening {
                amount: Amount(*amount),
                currency: self.rules.genesis.currency,
                series,
                terms: *terms,
                owner: if is_lent(*terms) { borrower().public_key() } else { owner().public_key() },
                rho: self.fresh(),
            };
            coins.push(KnownCoin { id: CoinId::default(), opening, origin, output_index: 0, bank: *bank });
        }
        coins.sort_by_key(|coin| coin.opening.note(&chain));
        for (index, coin) in (0u8..).zip(&mut coins) {
            coin.output_index = index;
            coin.id = coin.opening.coin_id(&chain, &origin, index, coin.bank);
        }
        let outputs = coins.iter().map(|coin| Output {
            note: coin.opening.note(&chain),
            custody: coin.opening.custody(&chain, coin.bank),
            terms_flag: if coin.opening.terms == Terms::ZERO { TermsFlag::Plain } else { TermsFlag::Contract },
        });
        let bucket = if context.kind().seals_nothing() { Bucket::None } else { Bucket::B512 };
        let core = Core {
            submitter,
            inputs,
            outputs: List::new(outputs.collect()).unwrap(),
            contract,
            expiry_ms: self.next_time_ms() + EXPIRY_WINDOW_MS / 2,
            bucket,
            hint: EnvelopeHint(self.fresh()[..16].try_into().unwrap()),
            salt: Salt(self.fresh()),
            context,
        };
        Draft { core, ciphertext: vec![7; bucket.ciphertext_bytes()], coins }
    }

    /// Inputs in ascending order of their ids as the submitter's custody makes them.
    pub fn spends(&self, submitter: ParticipantNumber, coins: &[KnownCoin]) -> (Inputs, Origin) {
        let chain = &self.rules.chain;
        let spend = |coin: &KnownCoin| Spend {
            link: coin_link(chain, &coin.origin, coin.output_index, &coin.opening.note(chain)),
            kappa: coin.opening.kappa(chain),
        };
        let mut spends: Vec<Spend> = coins.iter().map(spend).collect();
        spends.sort_by_key(|spend| spend.coin_id(chain, submitter));
        let ids: Vec<CoinId> = spends.iter().map(|spend| spend.coin_id(chain, submitter)).collect();
        (Inputs::Spends(List::new(spends).unwrap()), origin(chain, &ids))
    }

    pub fn transfer(
        &mut self,
        submitter: ParticipantNumber,
        inputs: &[KnownCoin],
        outputs: &[(ParticipantNumber, u64)],
    ) -> Draft {
        let (spends, origin) = self.spends(submitter, inputs);
        self.draft(submitter, spends, origin, common_series(inputs), outputs, ClearContext::Transfer)
    }

    /// Not yet authorized.
    pub fn issue(&mut self, series: u32, issue_number: u64, outputs: &[(ParticipantNumber, u64)]) -> Draft {
        let series = SeriesNumber(series);
        let amount = Amount(outputs.iter().map(|(_, amount)| amount).sum());
        let authorization = Signature([0; 64]);
        let context = ClearContext::Issue(IssueContext { series, issue_number, amount, authorization });
        let origin = issue_origin(&self.rules.chain, series, issue_number);
        self.draft(CENTRAL, Inputs::Spends(List::empty()), origin, series, outputs, context)
    }

    /// Not yet authorized.
    pub fn redeem(&mut self, inputs: &[KnownCoin], amount: u64, change: &[(ParticipantNumber, u64)]) -> Draft {
        let context = RedeemContext { amount: Amount(amount), authorization: Signature([0; 64]) };
        let (spends, origin) = self.spends(CENTRAL, inputs);
        self.draft(CENTRAL, spends, origin, common_series(inputs), change, ClearContext::Redeem(context))
    }

    /// Not yet authorized.
    pub fn recover(&mut self, inputs: &[KnownCoin], outputs: &[(ParticipantNumber, u64)]) -> Draft {
        let mut ids: Vec<CoinId> = inputs.iter().map(|coin| coin.id).collect();
        ids.sort();
        let origin = origin(&self.rules.chain, &ids);
        let context = RecoverContext { reason: RecoverReason::Dispute, authorizations: List::empty() };
        let inputs_by_id = Inputs::ById(List::new(ids).unwrap());
        self.draft(CENTRAL, inputs_by_id, origin, common_series(inputs), outputs, ClearContext::Recover(context))
    }

    /// Not yet authorized.
    pub fn update(&mut self, submitter: ParticipantNumber, line: Participant) -> Draft {
        let context = ParticipantUpdateContext { participant: line, authorizations: List::empty() };
        let context = ClearContext::ParticipantUpdate(Box::new(context));
        self.draft(submitter, Inputs::Spends(List::empty()), Origin::ZERO, SeriesNumber(0), &[], context)
    }

    /// Not yet authorized. About no coin in particular, with the epoch that its expiry demands.
    pub fn request(&mut self, submitter: ParticipantNumber, class: RequestClass, basis: &str) -> Draft {
        let request = OfficerRequest {
            class,
            basis: BasisCode::parse(basis).unwrap(),
            epoch: (self.next_time_ms() + EXPIRY_WINDOW_MS / 2) / EPOCH_MS,
            commitment: RequestCommitment(self.fresh()),
        };
        let context = ClearContext::Request(RequestContext { request, authorizations: List::empty() });
        self.draft(submitter, Inputs::Spends(List::empty()), Origin::ZERO, SeriesNumber(0), &[], context)
    }

    /// The set that decides, with these participants' power changed; 0 takes one out.
    pub fn set_with(&self, changes: &[(ParticipantNumber, u64)]) -> ValidatorSet {
        let mut powers: std::collections::BTreeMap<_, _> =
            self.ledger.validators.set.iter().map(|v| (v.number, v.power)).collect();
        powers.extend(changes.iter().copied());
        let validator = |(number, power): (ParticipantNumber, u64)| {
            let keys = &participant(number, Roles::OBSERVER, 0).keys;
            Validator { number, power, consensus: keys.consensus, bundle: keys.bundle, cosign: keys.cosign }
        };
        let validators = powers.into_iter().filter(|(_, power)| *power > 0).map(validator).collect();
        let list: List<Validator, 256> = List::new(validators).unwrap();
        ValidatorSet::from_bytes(&list.to_bytes()).unwrap()
    }

    /// To this set, from the one that decides. Not yet authorized.
    pub fn hand_over(&mut self, submitter: ParticipantNumber, incoming: ValidatorSet) -> Draft {
        let order =
            HandOverOrder { number: self.ledger.validators.hand_overs + 1, outgoing: self.ledger.set_hash, incoming };
        let context = ClearContext::HandOver(Box::new(HandOverContext { order, authorizations: List::empty() }));
        self.draft(submitter, Inputs::Spends(List::empty()), Origin::ZERO, SeriesNumber(0), &[], context)
    }

    /// Not yet authorized.
    pub fn rules_order(&mut self, submitter: ParticipantNumber, version: u8, activates_at: u64) -> Draft {
        let order = RulesOrder { version: RulesVersion(version), activates_at: Height(activates_at) };
        let context = ClearContext::RulesOrder(RulesOrderContext { order, authorizations: List::empty() });
        self.draft(submitter, Inputs::Spends(List::empty()), Origin::ZERO, SeriesNumber(0), &[], context)
    }

    /// The current line with a new key for the acceptances.
    pub fn line_with_new_desk_key(&self, number: ParticipantNumber, label: &str) -> Participant {
        let mut line = self.ledger.directory.get(number).unwrap().clone();
        line.keys.desk = key(label).public_key();
        line
    }

    /// A bundle in the next slot of the submitter's lane.
    pub fn bundle(&self, submitter: ParticipantNumber, envelopes: Vec<Envelope>) -> Arc<Bundle> {
        self.bundle_after(submitter, 0, envelopes)
    }

    /// A bundle `ahead` slots further on.
    pub fn bundle_after(&self, submitter: ParticipantNumber, ahead: u64, envelopes: Vec<Envelope>) -> Arc<Bundle> {
        let slot = self.slot_after(submitter, ahead);
        Arc::new(Bundle::sign(&self.rules.chain, slot, envelopes, &key_of(submitter, "bundle")).unwrap())
    }

    pub fn slot_after(&self, submitter: ParticipantNumber, ahead: u64) -> Slot {
        let lane = self.ledger.lane(submitter);
        Slot { submitter, incarnation: lane.incarnation, sequence: lane.next_sequence + ahead }
    }

    /// A batch that continues the chain of batches.
    pub fn batch(&self, mut records: Vec<BatchRecord>) -> Batch {
        records.sort_by_key(|record| record.coin);
        Batch {
            number: BatchNumber(self.ledger.batch.0 + 1),
            previous: self.ledger.batch_hash,
            records: List::new(records).unwrap(),
            settled: List::empty(),
            overdue: List::empty(),
            cleared: List::empty(),
        }
    }

    pub fn sign(&self, batch: Batch) -> SignedBatch {
        batch.sign(&self.rules.chain, &key_of(CENTRAL, "registration"))
    }

    pub fn confirmation(&self, batch: Batch) -> Arc<Bundle> {
        self.confirmation_after(0, self.sign(batch))
    }

    pub fn confirmation_after(&self, ahead: u64, signed: SignedBatch) -> Arc<Bundle> {
        let slot = self.slot_after(ParticipantNumber::REGISTRATION, ahead);
        let signer = key_of(CENTRAL, "registration");
        Arc::new(Bundle::sign_confirmation(&self.rules.chain, slot, signed, &signer).unwrap())
    }

    pub fn try_block(&self, bundles: &[Arc<Bundle>]) -> Result<Applied, ApplyError> {
        self.try_block_at(self.next_time_ms(), bundles)
    }

    pub fn try_block_at(&self, time_ms: u64, bundles: &[Arc<Bundle>]) -> Result<Applied, ApplyError> {
        let certificates = certificates(bundles);
        let height = self.ledger.height.next();
        let candidate = CandidateBlock { height, time_ms, certificates: &certificates, bundles, parent_round: 0 };
        apply(&self.rules, &self.ledger, &self.state, candidate)
    }

    pub fn refusal(&self, bundles: &[Arc<Bundle>]) -> BlockRefusal {
        match self.try_block(bundles) {
            Err(ApplyError::Refused(refusal)) => refusal,
            other => panic!("expected a refusal, got {other:?}"),
        }
    }

    /// An empty block, so that the next one may be just after this time.
    pub fn wait_until(&mut self, time_ms: u64) {
        let applied = self.try_block_at(time_ms, &[]).unwrap();
        self.write(&applied);
    }

    /// Empty blocks.
    pub fn wait_heights(&mut self, count: u64) {
        (0..count).for_each(|_| drop(self.block(&[])));
    }

    /// Applies and writes a block.
    pub fn block(&mut self, bundles: &[Arc<Bundle>]) -> Applied {
        let applied = self.try_block(bundles).unwrap();
        self.write(&applied);
        applied
    }

    pub fn write(&mut self, applied: &Applied) {
        self.state.write(&applied.changes);
        self.ledger = applied.ledger.clone();
    }

    /// One envelope alone in a block; the number of its result.
    pub fn submit(&mut self, draft: Draft) -> u16 {
        let bundle = self.bundle(draft.core.submitter, vec![draft.seal()]);
        self.block(&[bundle]).results[0].code
    }

    pub fn confirm(&mut self, records: Vec<BatchRecord>) -> u16 {
        let bundle = self.confirmation(self.batch(records));
        self.block(&[bundle]).results[0].code
    }

    pub fn make_live(&mut self, coins: &[KnownCoin]) {
        let records = coins.iter().map(|coin| live(coin.id)).collect();
        assert_eq!(self.confirm(records), 0);
    }
}

/// Execution leaves the acks' signatures to its caller.
pub fn certificates(bundles: &[Arc<Bundle>]) -> Vec<BundleCertificate> {
    let certificate = |bundle: &Arc<Bundle>| BundleCertificate { header: bundle.header().clone(), acks: List::empty() };
    bundles.iter().map(certificate).collect()
}

pub fn common_series(inputs: &[KnownCoin]) -> SeriesNumber {
    match inputs.split_first() {
        Some((first, rest)) if rest.iter().all(|coin| coin.opening.series == first.opening.series) => {
            first.opening.series
        }
        _ => SeriesNumber(0),
    }
}

pub fn record(coin: CoinId, status: RecordStatus) -> BatchRecord {
    let spent = status == RecordStatus::Spent;
    let tag = if spent { OwnerTag::ZERO } else { OwnerTag([9; 32]) };
    let failed_check = if status == RecordStatus::Disputed { 15 } else { 0 };
    BatchRecord { coin, status, failed_check, tag }
}

pub fn live(coin: CoinId) -> BatchRecord {
    record(coin, RecordStatus::Live)
}

pub fn public(label: &str) -> PublicKey {
    key(label).public_key()
}

/// Refused with this number, alone in a block; nothing of the state changes but the lane, which pays for its bytes.
#[track_caller]
pub fn assert_refused(bed: &Bed, draft: Draft, expected: Rejection) {
    let submitter = draft.core.submitter;
    let envelope = draft.seal();
    let bytes = envelope.to_bytes().len() as u64;
    let applied = bed.try_block(&[bed.bundle(submitter, vec![envelope])]).unwrap();
    let code = applied.results[0].code;
    assert_eq!(Rejection::from_number(code), Some(expected), "{code}");
    assert_nothing_changed(bed, &applied);
    assert_eq!(applied.ledger.lane(submitter).refused_bytes, bytes);
}

/// An outcome that differs from its parent only by what every block changes.
#[track_caller]
pub fn assert_nothing_changed(bed: &Bed, applied: &Applied) {
    let changes = &applied.changes;
    assert!(changes.coins_put.is_empty() && changes.coins_deleted.is_empty() && changes.records.is_empty());
    assert!(changes.pending_put.is_empty() && changes.pending_deleted.is_empty());
    assert!(changes.log_leaves.is_empty() && changes.log_nodes.is_empty());
    assert!(changes.packages.is_empty() && changes.feed_items.is_empty());
    assert!(changes.obligations_put.is_empty() && changes.obligations_deleted.is_empty());
    let before = &bed.ledger;
    let mut after = applied.ledger.clone();
    // What every block changes.
    (after.height, after.block, after.time_ms, after.delta) =
        (before.height, before.block, before.time_ms, before.delta);
    (after.map_root, after.lanes) = (before.map_root, before.lanes.clone());
    assert_eq!(&after, before);
}
