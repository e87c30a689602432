//! Envelopes (rules E): a public header and a sealed part.
//!
//! ```text
//! core   = version ‖ kind ‖ submitter ‖ inputs ‖ outputs ‖ contract ‖ expiry_ms ‖ bucket ‖ hint ‖ salt ‖ clear context
//! header = core ‖ commitment          envelope = header ‖ ciphertext          ciphertext = bucket bytes and a 16-byte tag
//! id     = D("envelope", header ‖ D("ciphertext", ciphertext))
//! ```
//! Decoding checks form alone: counts, known kinds, the shape that a kind demands. Rules are checked by `ledger-state`.

use crate::coin::{INPUTS_BY_ID_MAX, OUTPUTS_MAX, SPENDS_MAX, coin_id, custody};
use crate::contract::{ContractOrder, Loan};
use crate::domain::{Chain, Tag};
use crate::encoding::{Decode, DecodeError, Encode, List, Reader};
use crate::feed::{FeedDefinition, ItemHead, PublishedValues};
use crate::hand_over::HandOverOrder;
use crate::ids::*;
use crate::keys::Signature;
use crate::participant::{Directory, DirectoryError, Participant};
use crate::request::OfficerRequest;
use crate::rules::RulesOrder;
use crate::{layout, numbered};

pub const ENVELOPE_VERSION: u8 = 1;
pub const GCM_TAG_BYTES: usize = 16;
/// A header without inputs, outputs, context and sealed part.
pub const ENVELOPE_BYTES_MIN: usize = 1 + 1 + 2 + 2 + 2 + 4 + 8 + 1 + 16 + 32 + 32;
/// Header of the largest kind (recover: 1,000 inputs by id) and a 4,096-byte bucket.
pub const ENVELOPE_BYTES_MAX: usize = 40 * 1024;

numbered! {
    pub enum Kind {
        Issue = 1,
        Transfer = 2,
        Activate = 3,
        Redeem = 4,
        Return = 5,
        Recover = 6,
        Reclaim = 7,
        ParticipantUpdate = 8,
        Request = 9,
        ContractOrder = 10,
        FeedOrder = 11,
        Publication = 12,
        HandOver = 13,
        RulesOrder = 14,
    }
}

impl Kind {
    /// Recover and reclaim name coins by id; all others spend by link and kappa.
    pub const fn names_inputs_by_id(self) -> bool {
        matches!(self, Kind::Recover | Kind::Reclaim)
    }

    /// Whatever they say they say in the clear: no bucket, no key.
    pub const fn seals_nothing(self) -> bool {
        use Kind::*;
        matches!(self, ParticipantUpdate | Request | ContractOrder | FeedOrder | Publication | HandOver | RulesOrder)
    }
}

numbered! {
    /// The padded length of the sealed part. `None` only for kinds that seal nothing.
    pub enum Bucket {
        None = 0,
        B512 = 1,
        B1024 = 2,
        B4096 = 3,
    }
}

impl Bucket {
    pub const fn plaintext_bytes(self) -> usize {
        match self {
            Bucket::None => 0,
            Bucket::B512 => 512,
            Bucket::B1024 => 1024,
            Bucket::B4096 => 4096,
        }
    }

    pub const fn ciphertext_bytes(self) -> usize {
        match self {
            Bucket::None => 0,
            other => other.plaintext_bytes() + GCM_TAG_BYTES,
        }
    }

    /// The smallest bucket that holds `plaintext_bytes`.
    pub fn for_plaintext(plaintext_bytes: usize) -> Option<Bucket> {
        [Bucket::B512, Bucket::B1024, Bucket::B4096]
            .into_iter()
            .find(|bucket| bucket.plaintext_bytes() >= plaintext_bytes)
    }
}

/// A spent input: with the submitter's number it gives the coin id (C-2).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Spend {
    pub link: CoinLink,
    pub kappa: Kappa,
}
layout!(Spend { link, kappa });

impl Spend {
    pub fn coin_id(&self, chain: &Chain, submitter: ParticipantNumber) -> CoinId {
        coin_id(chain, &self.link, &custody(chain, submitter, &self.kappa))
    }
}

#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Inputs {
    Spends(List<Spend, SPENDS_MAX>),
    ById(List<CoinId, INPUTS_BY_ID_MAX>),
}

impl Inputs {
    pub fn coin_ids(&self, chain: &Chain, submitter: ParticipantNumber) -> Vec<CoinId> {
        match self {
            Inputs::Spends(spends) => spends.iter().map(|spend| spend.coin_id(chain, submitter)).collect(),
            Inputs::ById(ids) => ids.to_vec(),
        }
    }

    pub fn count(&self) -> usize {
        match self {
            Inputs::Spends(spends) => spends.len(),
            Inputs::ById(ids) => ids.len(),
        }
    }
}

numbered! {
    pub enum TermsFlag {
        Plain = 0,
        /// Bound to the envelope's declared contract.
        Contract = 1,
    }
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Output {
    pub note: Note,
    pub custody: Custody,
    pub terms_flag: TermsFlag,
}
layout!(Output { note, custody, terms_flag });

/// An officer's signature over D("authorization", core with an empty authorization list or a zero signature).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct OfficerSignature {
    /// Index into the genesis's officers.
    pub officer: u8,
    pub signature: Signature,
}
layout!(OfficerSignature { officer, signature });

pub type OfficerSignatures = List<OfficerSignature, 16>;

#[derive(Clone, Debug, PartialEq, Eq)]
pub struct IssueContext {
    pub series: SeriesNumber,
    pub issue_number: u64,
    pub amount: Amount,
    /// By the central bank's issue key, over the core with this field zero.
    pub authorization: Signature,
}
layout!(IssueContext { series, issue_number, amount, authorization });

#[derive(Clone, Debug, PartialEq, Eq)]
pub struct RedeemContext {
    pub amount: Amount,
    /// By the central bank's issue key, over the core with this field zero.
    pub authorization: Signature,
}
layout!(RedeemContext { amount, authorization });

numbered! {
    /// Why coins were recovered; counted in public.
    pub enum RecoverReason {
        Dispute = 1,
        FailedBank = 2,
        CourtOrder = 3,
    }
}

#[derive(Clone, Debug, PartialEq, Eq)]
pub struct RecoverContext {
    pub reason: RecoverReason,
    pub authorizations: OfficerSignatures,
}
layout!(RecoverContext { reason, authorizations });

#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ParticipantUpdateContext {
    /// The whole new line of the directory.
    pub participant: Participant,
    pub authorizations: OfficerSignatures,
}
layout!(ParticipantUpdateContext { participant, authorizations });

#[derive(Clone, Debug, PartialEq, Eq)]
pub struct RequestContext {
    pub request: OfficerRequest,
    pub authorizations: OfficerSignatures,
}
layout!(RequestContext { request, authorizations });

/// A return retires what a bank paid back to the central bank for one activation (K-2).
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ReturnContext {
    pub obligation: ObligationId,
    /// What the sum was reckoned with. Validators refuse another than they compute, so a feed that moved meanwhile books nothing.
    pub rate: i64,
    /// Retired, principal and interest.
    pub amount: Amount,
    /// By the central bank's issue key, over the core with this field zero.
    pub authorization: Signature,
}
layout!(ReturnContext { obligation, rate, amount, authorization });

/// What lay idle is retired. The policy authorises it, nobody signs (K-3).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct ReclaimContext {
    pub amount: Amount,
}
layout!(ReclaimContext { amount });

#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ContractOrderContext {
    pub order: ContractOrder,
    pub authorizations: OfficerSignatures,
}
layout!(ContractOrderContext { order, authorizations });

#[derive(Clone, Debug, PartialEq, Eq)]
pub struct FeedOrderContext {
    pub definition: FeedDefinition,
    pub authorizations: OfficerSignatures,
}
layout!(FeedOrderContext { definition, authorizations });

/// The publishers sign their values, not the envelope: whoever has k of them may carry them.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct PublicationContext {
    pub head: ItemHead,
    /// Strictly ascending by publisher.
    pub values: PublishedValues,
}
layout!(PublicationContext { head, values });

/// The officers sign the order itself, so that a light client can check it (G-3).
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct HandOverContext {
    pub order: HandOverOrder,
    pub authorizations: OfficerSignatures,
}
layout!(HandOverContext { order, authorizations });

#[derive(Clone, Debug, PartialEq, Eq)]
pub struct RulesOrderContext {
    pub order: RulesOrder,
    pub authorizations: OfficerSignatures,
}
layout!(RulesOrderContext { order, authorizations });

/// What a kind shows in the clear. It always agrees with the kind.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum ClearContext {
    Issue(IssueContext),
    Transfer,
    Redeem(RedeemContext),
    Recover(RecoverContext),
    ParticipantUpdate(Box<ParticipantUpdateContext>),
    Request(RequestContext),
    /// The bank's statement: its bundle key signs the bundle that holds it, so a false one is the bank's (K-4).
    Activate(Loan),
    Return(ReturnContext),
    Reclaim(ReclaimContext),
    ContractOrder(ContractOrderContext),
    FeedOrder(FeedOrderContext),
    Publication(PublicationContext),
    HandOver(Box<HandOverContext>),
    RulesOrder(RulesOrderContext),
}

impl ClearContext {
    pub fn kind(&self) -> Kind {
        match self {
            ClearContext::Issue(_) => Kind::Issue,
            ClearContext::Transfer => Kind::Transfer,
            ClearContext::Redeem(_) => Kind::Redeem,
            ClearContext::Recover(_) => Kind::Recover,
            ClearContext::ParticipantUpdate(_) => Kind::ParticipantUpdate,
            ClearContext::Request(_) => Kind::Request,
            ClearContext::Activate(_) => Kind::Activate,
            ClearContext::Return(_) => Kind::Return,
            ClearContext::Reclaim(_) => Kind::Reclaim,
            ClearContext::ContractOrder(_) => Kind::ContractOrder,
            ClearContext::FeedOrder(_) => Kind::FeedOrder,
            ClearContext::Publication(_) => Kind::Publication,
            ClearContext::HandOver(_) => Kind::HandOver,
            ClearContext::RulesOrder(_) => Kind::RulesOrder,
        }
    }

    /// The directory that governs from the next height on, if an accepted envelope of this context changes it.
    pub fn directory_after(&self, before: &Directory) -> Option<Result<Directory, DirectoryError>> {
        match self {
            ClearContext::ParticipantUpdate(context) => {
                let line = &context.participant;
                let lines = before.iter().map(|old| if old.number == line.number { line.clone() } else { old.clone() });
                Some(Directory::new(lines.collect()))
            }
            ClearContext::HandOver(context) => Some(before.with_validators(&context.order.incoming)), // G-3
            _ => None,
        }
    }

    /// The context as it is signed: without its authorizations.
    fn unauthorized(&self) -> ClearContext {
        let mut context = self.clone();
        match &mut context {
            ClearContext::Issue(c) => c.authorization = Signature([0; 64]),
            ClearContext::Redeem(c) => c.authorization = Signature([0; 64]),
            ClearContext::Recover(c) => c.authorizations = List::empty(),
            ClearContext::ParticipantUpdate(c) => c.authorizations = List::empty(),
            ClearContext::Request(c) => c.authorizations = List::empty(),
            ClearContext::Return(c) => c.authorization = Signature([0; 64]),
            ClearContext::ContractOrder(c) => c.authorizations = List::empty(),
            ClearContext::FeedOrder(c) => c.authorizations = List::empty(),
            ClearContext::HandOver(c) => c.authorizations = List::empty(),
            ClearContext::RulesOrder(c) => c.authorizations = List::empty(),
            ClearContext::Transfer
            | ClearContext::Activate(_)
            | ClearContext::Reclaim(_)
            | ClearContext::Publication(_) => {}
        }
        context
    }
}

/// All of the header but the key commitment. The kind is the clear context's.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Core {
    pub submitter: ParticipantNumber,
    pub inputs: Inputs,
    pub outputs: List<Output, OUTPUTS_MAX>,
    pub contract: ContractNumber,
    pub expiry_ms: u64,
    pub bucket: Bucket,
    pub hint: EnvelopeHint,
    pub salt: Salt,
    pub context: ClearContext,
}

impl Core {
    pub fn kind(&self) -> Kind {
        self.context.kind()
    }

    pub fn hash(&self, chain: &Chain) -> [u8; 32] {
        chain.hash(Tag::Core, &[&self.to_bytes()])
    }

    /// What the issue key or the officers sign; of a hand-over they sign the order instead.
    pub fn authorization_message(&self, chain: &Chain) -> [u8; 32] {
        let unsigned = Core { context: self.context.unauthorized(), ..self.clone() };
        chain.hash(Tag::Authorization, &[&unsigned.to_bytes()])
    }

    pub fn input_ids(&self, chain: &Chain) -> Vec<CoinId> {
        self.inputs.coin_ids(chain, self.submitter)
    }
}

impl Encode for Core {
    fn encode(&self, out: &mut Vec<u8>) {
        ENVELOPE_VERSION.encode(out);
        self.kind().encode(out);
        self.submitter.encode(out);
        match &self.inputs {
            Inputs::Spends(spends) => spends.encode(out),
            Inputs::ById(ids) => ids.encode(out),
        }
        self.outputs.encode(out);
        self.contract.encode(out);
        self.expiry_ms.encode(out);
        self.bucket.encode(out);
        self.hint.encode(out);
        self.salt.encode(out);
        match &self.context {
            ClearContext::Issue(context) => context.encode(out),
            ClearContext::Transfer => {}
            ClearContext::Redeem(context) => context.encode(out),
            ClearContext::Recover(context) => context.encode(out),
            ClearContext::ParticipantUpdate(context) => context.encode(out),
            ClearContext::Request(context) => context.encode(out),
            ClearContext::Activate(context) => context.encode(out),
            ClearContext::Return(context) => context.encode(out),
            ClearContext::Reclaim(context) => context.encode(out),
            ClearContext::ContractOrder(context) => context.encode(out),
            ClearContext::FeedOrder(context) => context.encode(out),
            ClearContext::Publication(context) => context.encode(out),
            ClearContext::HandOver(context) => context.encode(out),
            ClearContext::RulesOrder(context) => context.encode(out),
        }
    }
}

impl Decode for Core {
    fn decode(reader: &mut Reader<'_>) -> Result<Self, DecodeError> {
        match reader.read::<u8>()? {
            ENVELOPE_VERSION => {}
            byte => return Err(DecodeError::UnknownValue { field: "envelope version", byte }),
        }
        let kind: Kind = reader.read()?;
        let submitter = reader.read()?;
        let inputs =
            if kind.names_inputs_by_id() { Inputs::ById(reader.read()?) } else { Inputs::Spends(reader.read()?) };
        let outputs = reader.read()?;
        let contract = reader.read()?;
        let expiry_ms = reader.read()?;
        let bucket = reader.read()?;
        if (bucket == Bucket::None) != kind.seals_nothing() {
            return Err(DecodeError::NotCanonical("bucket for this kind"));
        }
        let hint = reader.read()?;
        let salt = reader.read()?;
        let context = match kind {
            Kind::Issue => ClearContext::Issue(reader.read()?),
            Kind::Transfer => ClearContext::Transfer,
            Kind::Redeem => ClearContext::Redeem(reader.read()?),
            Kind::Recover => ClearContext::Recover(reader.read()?),
            Kind::ParticipantUpdate => ClearContext::ParticipantUpdate(Box::new(reader.read()?)),
            Kind::Request => ClearContext::Request(reader.read()?),
            Kind::Activate => ClearContext::Activate(reader.read()?),
            Kind::Return => ClearContext::Return(reader.read()?),
            Kind::Reclaim => ClearContext::Reclaim(reader.read()?),
            Kind::ContractOrder => ClearContext::ContractOrder(reader.read()?),
            Kind::FeedOrder => ClearContext::FeedOrder(reader.read()?),
            Kind::Publication => ClearContext::Publication(reader.read()?),
            Kind::HandOver => ClearContext::HandOver(Box::new(reader.read()?)),
            Kind::RulesOrder => ClearContext::RulesOrder(reader.read()?),
        };
        Ok(Core { submitter, inputs, outputs, contract, expiry_ms, bucket, hint, salt, context })
    }
}

#[derive(Clone, Debug, PartialEq, Eq)]
pub struct EnvelopeHeader {
    pub core: Core,
    pub commitment: KeyCommitment,
}
layout!(EnvelopeHeader { core, commitment });

#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Envelope {
    pub header: EnvelopeHeader,
    /// Exactly the bucket's ciphertext length.
    pub ciphertext: Vec<u8>,
}

impl EnvelopeId {
    /// Of an envelope whose ciphertext is known by its hash alone.
    pub fn of_parts(chain: &Chain, header: &[u8], ciphertext_hash: &[u8; 32]) -> Self {
        EnvelopeId(chain.hash(Tag::Envelope, &[header, ciphertext_hash]))
    }
}

impl Envelope {
    pub fn id(&self, chain: &Chain) -> EnvelopeId {
        EnvelopeId::of_parts(chain, &self.header.to_bytes(), &self.ciphertext_hash(chain))
    }

    pub fn ciphertext_hash(&self, chain: &Chain) -> [u8; 32] {
        chain.hash(Tag::Ciphertext, &[&self.ciphertext])
    }

    pub fn kind(&self) -> Kind {
        self.header.core.kind()
    }

    pub fn submitter(&self) -> ParticipantNumber {
        self.header.core.submitter
    }
}

impl Encode for Envelope {
    fn encode(&self, out: &mut Vec<u8>) {
        debug_assert_eq!(self.ciphertext.len(), self.header.core.bucket.ciphertext_bytes());
        self.header.encode(out);
        out.extend_from_slice(&self.ciphertext);
    }
}

impl Decode for Envelope {
    fn decode(reader: &mut Reader<'_>) -> Result<Self, DecodeError> {
        let header: EnvelopeHeader = reader.read()?;
        let ciphertext = reader.take(header.core.bucket.ciphertext_bytes())?.to_vec();
        Ok(Envelope { header, ciphertext })
    }
}
