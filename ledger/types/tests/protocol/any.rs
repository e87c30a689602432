//! Random values of every public type that has an encoding. A failing case is named by its seed.
//!
//! [`for_every_type!`] is the one list of those types; a test compares it with the sources, so a type that is added without a
//! generator fails.

use crate::fixture;
use ledger_types::block::*;
use ledger_types::bundle::*;
use ledger_types::channel::*;
use ledger_types::coin::*;
use ledger_types::confirmation::*;
use ledger_types::contract::*;
use ledger_types::envelope::*;
use ledger_types::feed::*;
use ledger_types::genesis::*;
use ledger_types::hand_over::*;
use ledger_types::keys::{PublicKey, Signature};
use ledger_types::log_leaf::*;
use ledger_types::order::*;
use ledger_types::ownership::*;
use ledger_types::participant::*;
use ledger_types::reconciliation::*;
use ledger_types::request::*;
use ledger_types::rules::*;
use ledger_types::sealed::*;
use ledger_types::snapshot::*;
use ledger_types::vote::*;
use ledger_types::*;
use rand::rngs::StdRng;
use rand::{Rng, RngCore, SeedableRng};

pub struct Gen(StdRng);

impl Gen {
    pub fn new(seed: u64) -> Self {
        Gen(StdRng::seed_from_u64(seed))
    }

    pub fn below(&mut self, bound: usize) -> usize {
        self.0.gen_range(0..bound)
    }

    fn bytes(&mut self, count: usize) -> Vec<u8> {
        let mut bytes = vec![0; count];
        self.0.fill_bytes(&mut bytes);
        bytes
    }

    /// Mostly short, sometimes the longest that is allowed while that stays cheap.
    fn count(&mut self, max: usize) -> usize {
        match self.below(8) {
            0 if max <= 256 => max,
            1 => 0,
            _ => self.below(max.min(4) + 1),
        }
    }
}

pub trait Any: Sized {
    fn any(g: &mut Gen) -> Self;
}

macro_rules! any_integer {
    ($($t:ty),*) => { $( impl Any for $t {
        fn any(g: &mut Gen) -> Self {
            // Edges are where encodings break.
            match g.below(8) { 0 => 0, 1 => <$t>::MAX, _ => g.0.r#gen() }
        }
    } )* };
}
any_integer!(u8, u16, u32, u64, u128, i64);

impl<const N: usize> Any for [u8; N] {
    fn any(g: &mut Gen) -> Self {
        g.bytes(N).try_into().unwrap()
    }
}

impl<T: Any> Any for Option<T> {
    fn any(g: &mut Gen) -> Self {
        (g.below(2) == 0).then(|| T::any(g))
    }
}

impl<T: Any> Any for Box<T> {
    fn any(g: &mut Gen) -> Self {
        Box::new(T::any(g))
    }
}

impl<T: Any, const MAX: usize> Any for List<T, MAX> {
    fn any(g: &mut Gen) -> Self {
        let count = g.count(MAX);
        List::new((0..count).map(|_| T::any(g)).collect()).unwrap()
    }
}

impl<const MAX: usize> Any for Octets<MAX> {
    fn any(g: &mut Gen) -> Self {
        let count = if g.below(4) == 0 { MAX } else { g.below(MAX + 1) };
        Octets::new(g.bytes(count)).unwrap()
    }
}

impl<const MAX: usize> Any for Text<MAX> {
    fn any(g: &mut Gen) -> Self {
        let (mut text, count) = (String::new(), g.below(MAX + 1));
        while text.len() + 4 <= count {
            text.push(['a', ' ', '~', 'é', '中', '🪙'][g.below(6)]);
        }
        Text::new(&text).unwrap()
    }
}

macro_rules! any_newtype {
    ($($name:ident),* $(,)?) => { $( impl Any for $name {
        fn any(g: &mut Gen) -> Self { $name(Any::any(g)) }
    } )* };
}

macro_rules! any_numbered {
    ($($name:ident),* $(,)?) => { $( impl Any for $name {
        fn any(g: &mut Gen) -> Self { $name::ALL[g.below($name::ALL.len())] }
    } )* };
}

macro_rules! any_struct {
    ($($name:ident { $($field:ident),* $(,)? })*) => { $( impl Any for $name {
        fn any(g: &mut Gen) -> Self {
            $( let $field = Any::any(g); )*
            $name { $($field),* }
        }
    } )* };
}

any_newtype!(
    GenesisHash,
    Note,
    Custody,
    Kappa,
    Origin,
    CoinLink,
    OwnerTag,
    Terms,
    EnvelopeId,
    KeyCommitment,
    Salt,
    BundleDigest,
    BlockHash,
    BatchHash,
    OrderHash,
    StateRoot,
    TreeRoot,
    MerkleRoot,
    ParticipantsHash,
    ValidatorSetHash,
    RequestCommitment,
    PolicyHash,
    ObligationId,
    CoinId,
    EnvelopeHint,
    ParticipantNumber,
    Height,
    SeriesNumber,
    ContractNumber,
    RulesVersion,
    PolicyVersion,
    FeedNumber,
    Period,
    Vintage,
    BatchNumber,
    Amount,
    PublicKey,
    Signature,
);

any_numbered!(KemSuite, CoinStatus, Kind, Bucket, TermsFlag, RecoverReason, VoteStep, RecordStatus, Part);
any_numbered!(ReconciliationSide, DifferenceKind, RequestClass, ContractAction, Frequency);

any_struct! {
    ParticipantKeys { consensus, bundle, cosign, desk, offer, link, engine_peer, data_peer, kem }
    CentralBankKeys { log, registration, registration_link, issue }
    Participant { number, name, roles, power, keys, central_bank }
    Validator { number, power, consensus, bundle, cosign }
    SignedBy { signer, signature }
    Series { number, name }
    Preissue { series, seed, bank, owner, amount, count }
    Genesis {
        version, currency, exponent, kem_suite, time_ms, origin, officers, officer_threshold, unconfirmed_depth_max,
        expiry_window_ms, release_deadline_ms, bytes_per_submitter_per_height, batch_records_max, series, preissues, directory,
    }
    Opening { amount, currency, series, terms, owner, rho }
    Spend { link, kappa }
    Output { note, custody, terms_flag }
    OfficerSignature { officer, signature }
    IssueContext { series, issue_number, amount, authorization }
    RedeemContext { amount, authorization }
    RecoverContext { reason, authorizations }
    ParticipantUpdateContext { participant, authorizations }
    HandOverOrder { number, outgoing, incoming }
    HandOverContext { order, authorizations }
    RulesOrder { version, activates_at }
    RulesOrderContext { order, authorizations }
    HandOver { order, officers, header, certificate }
    OfficerRequest { class, basis, epoch, commitment }
    RequestKind { class, basis }
    RequestContext { request, authorizations }
    ReturnContext { obligation, rate, amount, authorization }
    ReclaimContext { amount }
    ContractOrderContext { order, authorizations }
    FeedOrderContext { definition, authorizations }
    PublicationContext { head, values }
    Deployment { contract, version, notice, report, package }
    ContractHead { newest, stopped, retires_at }
    DeployedPolicy { policy, report, deployed_at, binds_at }
    ContractEvent { action, contract, version, policy, report, binds_at }
    Loan { sector, rate, term_days }
    Obligation { contract, version, policy, activated_ms, due_ms }
    OpenObligation { obligation, bank, activation, salt }
    ReceiptInput { feed, back, found }
    ReadValue { period, vintage, value }
    FalseStatement { obligation, contract, stated, found, basis, evidence }
    StatementDispute { contract, sector, basis, evidence, activation, ciphertext }
    Receipt { obligation, contract, version, policy, rate, from_ms, to_ms, fuel, inputs }
    FeedDefinition { feed, name, unit, scale, frequency, publishers, threshold, step_max }
    ItemHead { feed, period, vintage, scale, published_ms, valid_until_ms }
    PublishedValue { publisher, value, signature }
    FeedItem { head, value }
    Feed { definition, newest }
    EnvelopeHeader { core, commitment }
    SealedInput { amount, owner, rho, origin, output_index, series, bank }
    SealedOutput { amount, owner, rho, bank }
    SealedOrder { payee_output, nonce, expiry_ms, signatures }
    SealedAcceptance { expiry_ms, signature }
    Sealed { terms, currency, inputs, outputs, order, acceptance, memo }
    Payee { bank, owner, amount }
    Order { inputs, payee, currency, change_owners, nonce, expiry_ms, memo_hash }
    AcceptedOutput { note, custody }
    AcceptedOutputs { order, outputs, expiry_ms }
    Encapsulation { member, encapsulated_key, ciphertext }
    EpochOffer { sender, epoch, members, not_after_ms, commitment, encapsulations }
    SignedEpochOffer { offer, signature }
    Challenge { text, nonce, not_after_ms }
    OwnershipProof { coin, owner, tag_blind, challenge, signature }
    Slot { submitter, incarnation, sequence }
    BundleHeader { slot, count, bytes, ids_root }
    BundleCertificate { header, acks }
    Vote { step, height, round, block, validator }
    Proposal { height, round, block, valid_round, validator }
    CommitCertificate { height, round, block, precommits }
    BlockHeader {
        version, height, parent, time_ms, certificates_root, results_root, state_root, log_size, log_root, map_root,
        participants_hash, next_set_hash, parent_round,
    }
    Block { header, certificates, parent_certificate }
    EnvelopeResult { envelope, code }
    Acknowledgement { header, certificate, result, index, count, path }
    BatchRecord { coin, status, failed_check, tag }
    Overdue { envelope, submitter }
    Batch { number, previous, records, settled, overdue, cleared }
    SignedBatch { batch, signature }
    Record { status, batch, height, time_ms, contract, failed_check, tag }
    StateLeaf { batch, height, time_ms, map_root, set_hash, issued, redeemed }
    ReconciledSet { status, count, fingerprint }
    ReconciliationClaim { side, bank, height, block, batch, sets }
    CoinAtSide { status, tag }
    Difference { kind, coin, at_bank, at_centre, made_by }
    ReconciliationReport { bank, height, block, batch, differences, unnamed }
}

impl Any for Currency {
    fn any(g: &mut Gen) -> Self {
        Currency([0; 3].map(|_| b'A' + g.below(26) as u8))
    }
}

impl Any for BasisCode {
    fn any(g: &mut Gen) -> Self {
        let letters = b"ABCXYZ0189-";
        let text: String = (0..1 + g.below(8)).map(|_| char::from(letters[g.below(letters.len())])).collect();
        BasisCode::parse(&text).unwrap()
    }
}

impl Any for Roles {
    fn any(g: &mut Gen) -> Self {
        let all = [Roles::VALIDATOR, Roles::CENTRAL_BANK, Roles::COMMERCIAL_BANK, Roles::OBSERVER, Roles::SWITCH];
        let first = all[g.below(5)];
        all.into_iter().filter(|_| g.below(2) == 0).fold(first, Roles::and)
    }
}

impl Any for Directory {
    fn any(g: &mut Gen) -> Self {
        let mut numbers: Vec<u16> = (0..1 + g.below(4)).map(|_| g.below(u16::MAX as usize) as u16).collect();
        numbers.sort();
        numbers.dedup();
        let central = g.below(numbers.len());
        let line = |(at, number): (usize, u16)| {
            let bank = if at == central { Roles::CENTRAL_BANK } else { Roles::COMMERCIAL_BANK };
            fixture::participant(ParticipantNumber(number), "name", Roles::VALIDATOR.and(bank))
        };
        Directory::new(numbers.into_iter().enumerate().map(line).collect()).unwrap()
    }
}

impl Any for ValidatorSet {
    fn any(g: &mut Gen) -> Self {
        Directory::any(g).validators()
    }
}

impl Any for Coin {
    fn any(g: &mut Gen) -> Self {
        match g.below(2) {
            0 => Coin::plain(Any::any(g)),
            _ => Coin { status: Any::any(g), contract: ContractNumber(1 + g.below(9) as u32), issued_ms: Any::any(g) },
        }
    }
}

impl Any for FeedName {
    fn any(g: &mut Gen) -> Self {
        let letters = b"abcxyz019._-";
        let text: String = (0..1 + g.below(32)).map(|_| char::from(letters[g.below(letters.len())])).collect();
        FeedName::parse(&text).unwrap()
    }
}

impl Any for FeedUnit {
    fn any(g: &mut Gen) -> Self {
        match g.below(3) {
            0 => FeedUnit::Rate,
            1 => FeedUnit::Index,
            _ => FeedUnit::Money(Any::any(g)),
        }
    }
}

impl Any for ContractOrder {
    fn any(g: &mut Gen) -> Self {
        match g.below(4) {
            0 => ContractOrder::Deploy(Any::any(g)),
            1 => ContractOrder::Stop { contract: Any::any(g) },
            2 => ContractOrder::Retire { contract: Any::any(g), notice: Any::any(g) },
            _ => ContractOrder::Dispute(Any::any(g)),
        }
    }
}

impl Any for ClearContext {
    fn any(g: &mut Gen) -> Self {
        match g.below(14) {
            0 => ClearContext::Issue(Any::any(g)),
            1 => ClearContext::Transfer,
            2 => ClearContext::Redeem(Any::any(g)),
            3 => ClearContext::Recover(Any::any(g)),
            4 => ClearContext::Request(Any::any(g)),
            5 => ClearContext::Activate(Any::any(g)),
            6 => ClearContext::Return(Any::any(g)),
            7 => ClearContext::Reclaim(Any::any(g)),
            8 => ClearContext::ContractOrder(Any::any(g)),
            9 => ClearContext::FeedOrder(Any::any(g)),
            10 => ClearContext::Publication(Any::any(g)),
            11 => ClearContext::HandOver(Any::any(g)),
            12 => ClearContext::RulesOrder(Any::any(g)),
            _ => ClearContext::ParticipantUpdate(Any::any(g)),
        }
    }
}

impl Any for Core {
    fn any(g: &mut Gen) -> Self {
        let context = ClearContext::any(g);
        let by_id = context.kind().names_inputs_by_id();
        let bucket = match context.kind() {
            kind if kind.seals_nothing() => Bucket::None,
            _ => [Bucket::B512, Bucket::B1024, Bucket::B4096][g.below(3)],
        };
        Core {
            submitter: Any::any(g),
            inputs: if by_id { Inputs::ById(Any::any(g)) } else { Inputs::Spends(Any::any(g)) },
            outputs: Any::any(g),
            contract: Any::any(g),
            expiry_ms: Any::any(g),
            bucket,
            hint: Any::any(g),
            salt: Any::any(g),
            context,
        }
    }
}

impl Any for Envelope {
    fn any(g: &mut Gen) -> Self {
        let header = EnvelopeHeader::any(g);
        let ciphertext = g.bytes(header.core.bucket.ciphertext_bytes());
        Envelope { header, ciphertext }
    }
}

impl Any for LogLeaf {
    fn any(g: &mut Gen) -> Self {
        match g.below(14) {
            0 => LogLeaf::Record { coin: Any::any(g), record: Any::any(g) },
            1 => LogLeaf::Overdue(Any::any(g)),
            2 => LogLeaf::Cleared(Any::any(g)),
            3 => LogLeaf::Recovered { envelope: Any::any(g), reason: Any::any(g), inputs: Any::any(g) },
            4 => LogLeaf::Participants(Any::any(g)),
            5 => LogLeaf::HandOver(Any::any(g)),
            6 => LogLeaf::Request(Any::any(g)),
            7 => LogLeaf::Contract(Any::any(g)),
            8 => LogLeaf::Feed(Any::any(g)),
            9 => LogLeaf::FeedItem(Any::any(g)),
            10 => LogLeaf::Receipt(Any::any(g)),
            11 => LogLeaf::FalseStatement(Any::any(g)),
            12 => LogLeaf::Rules(Any::any(g)),
            _ => LogLeaf::State(Any::any(g)),
        }
    }
}

impl Any for SnapshotHash {
    fn any(g: &mut Gen) -> Self {
        SnapshotHash { height: Any::any(g), hash: g.bytes(32).try_into().expect("32 bytes") }
    }
}

/// Calls a macro with every type that encodes and decodes by itself.
#[macro_export]
macro_rules! for_every_type {
    ($call:ident) => {
        $call! {
            GenesisHash Note Custody Kappa Origin CoinLink OwnerTag Terms EnvelopeId KeyCommitment Salt BundleDigest
            BlockHash BatchHash OrderHash StateRoot TreeRoot MerkleRoot ParticipantsHash ValidatorSetHash CoinId
            RequestCommitment RequestClass BasisCode OfficerRequest RequestKind RequestContext
            EnvelopeHint ParticipantNumber Height SeriesNumber ContractNumber BatchNumber Currency Amount PublicKey Signature
            KemSuite CoinStatus Kind Bucket TermsFlag RecoverReason VoteStep RecordStatus Part
            Roles ParticipantKeys CentralBankKeys Participant Directory Validator ValidatorSet SignedBy
            Series Preissue Genesis
            Opening Coin Spend Output OfficerSignature IssueContext RedeemContext RecoverContext ParticipantUpdateContext
            ReturnContext ReclaimContext ContractOrderContext FeedOrderContext PublicationContext
            HandOverContext HandOverOrder HandOver RulesVersion RulesOrder RulesOrderContext
            PolicyHash ObligationId PolicyVersion Deployment ContractAction ContractOrder ContractHead DeployedPolicy
            ContractEvent Loan Obligation OpenObligation ReceiptInput ReadValue Receipt StatementDispute FalseStatement
            FeedNumber Period Vintage FeedName Frequency FeedUnit FeedDefinition ItemHead PublishedValue FeedItem Feed
            Core EnvelopeHeader Envelope
            SealedInput SealedOutput SealedOrder SealedAcceptance Sealed
            Payee Order AcceptedOutput AcceptedOutputs
            Encapsulation EpochOffer SignedEpochOffer
            Challenge OwnershipProof
            Slot BundleHeader BundleCertificate Vote Proposal CommitCertificate
            BlockHeader Block EnvelopeResult Acknowledgement
            BatchRecord Overdue SnapshotHash Batch SignedBatch Record StateLeaf LogLeaf
            ReconciliationSide ReconciledSet ReconciliationClaim DifferenceKind CoinAtSide Difference ReconciliationReport
        }
    };
}
