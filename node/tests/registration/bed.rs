//! A chain in memory with real envelopes: sealed under real epochs, ordered by `ledger_state::apply`, decided by signatures of
//! the validators, and told to registration as its validator would.

use ledger_seal::{
    Authorization, BankSecret, DisclosureKeyDocument, Draft, EPOCH_LIFETIME_MAX_MS, KemSecret, Member, OfferTerms,
    SendingEpoch, accept_offer, make_offer, open_with_epoch, prepare,
};
use ledger_state::memory::MemoryState;
use ledger_state::{ApplyError, CandidateBlock, GenesisLoad, GenesisStep, Ledger, Rules, apply};
use ledger_tree::log;
use ledger_tree::note::{Checkpoint, CosignerKey, Note, NoteKey};
use ledger_types::block::Block;
use ledger_types::bundle::{Bundle, BundleCertificate, Slot};
use ledger_types::coin::{Opening, coin_link, issue_origin, origin};
use ledger_types::confirmation::RecordStatus;
use ledger_types::contract::ContractOrder;
use ledger_types::envelope::*;
use ledger_types::genesis::{GENESIS_VERSION, Genesis, KemSuite, Preissue, Series};
use ledger_types::keys::{PublicKey, Signature, SigningKey};
use ledger_types::order::*;
use ledger_types::participant::{CentralBankKeys, Directory, Participant, ParticipantKeys, Roles, SignedBy};
use ledger_types::request::*;
use ledger_types::sealed::*;
use ledger_types::vote::{CommitCertificate, Vote, VoteStep};
use ledger_types::*;
use ledger_verify::{RequestProof, StateProof};
use node::link::BlockDocument;
use node::officers_key::{Ceremony, hold};
use std::collections::BTreeMap;
use std::path::PathBuf;
use std::sync::Arc;

pub const CENTRAL: ParticipantNumber = ParticipantNumber(1);
pub const BANK2: ParticipantNumber = ParticipantNumber(2);
pub const BANK3: ParticipantNumber = ParticipantNumber(3);
pub const BANK4: ParticipantNumber = ParticipantNumber(4);
pub const BANKS: [ParticipantNumber; 4] = [CENTRAL, BANK2, BANK3, BANK4];
pub const RELEASE_DEADLINE_MS: u64 = 30_000;
pub const EXPIRY_WINDOW_MS: u64 = 60_000;
pub const GENESIS_TIME_MS: u64 = 1_700_000_000_000;

pub fn named(name: &str) -> [u8; 32] {
    *blake3::hash(name.as_bytes()).as_bytes()
}

pub fn key(bank: ParticipantNumber, purpose: &str) -> SigningKey {
    SigningKey::from_seed(&named(&format!("{bank} {purpose}")))
}

pub fn owner() -> SigningKey {
    SigningKey::from_seed(&named("owner"))
}

pub fn officer(index: u8) -> SigningKey {
    SigningKey::from_seed(&named(&format!("officer {index}")))
}

/// The officers' key of a chain, and their shares; held once, for a ceremony is random.
pub fn officers_key() -> &'static Ceremony {
    static KEY: std::sync::LazyLock<Ceremony> = std::sync::LazyLock::new(|| hold(3, 2).unwrap());
    &KEY
}

pub fn officers_document(genesis: &Genesis) -> DisclosureKeyDocument {
    let mut document = officers_key().document.clone();
    let message = document.message(&genesis.chain());
    let sign = |index: u8| OfficerSignature { officer: index, signature: officer(index).sign(&message) };
    document.authorizations = List::new([0, 2].map(sign).to_vec()).unwrap();
    document
}

fn kem(bank: ParticipantNumber) -> KemSecret {
    KemSecret::from_seed(KemSuite::X25519, &named(&format!("{bank} kem")))
}

fn participant(number: ParticipantNumber) -> Participant {
    let public = |purpose| key(number, purpose).public_key();
    let is_central = number == CENTRAL;
    Participant {
        number,
        name: Text::new(&format!("bank {number}")).unwrap(),
        roles: Roles::VALIDATOR.and(if is_central { Roles::CENTRAL_BANK } else { Roles::COMMERCIAL_BANK }),
        power: 1,
        keys: ParticipantKeys {
            consensus: public("consensus"),
            bundle: public("bundle"),
            cosign: public("cosign"),
            desk: public("desk"),
            offer: public("offer"),
            link: public("link"),
            engine_peer: public("engine peer"),
            data_peer: public("data peer"),
            kem: kem(number).public_key(),
        },
        central_bank: is_central.then(|| CentralBankKeys {
            log: public("log"),
            registration: public("registration"),
            registration_link: public("registration link"),
            issue: public("issue"),
        }),
    }
}

pub fn genesis() -> Genesis {
    genesis_with_link(key(CENTRAL, "registration link").public_key())
}

/// For a registration process with a key file of its own.
pub fn genesis_with_link(registration_link: PublicKey) -> Genesis {
    let preissue = |bank: ParticipantNumber| Preissue {
        series: SeriesNumber(1),
        seed: named(&format!("{bank} seed")),
        bank,
        owner: owner().public_key(),
        amount: Amount(100),
        count: 8,
    };
    let mut participants = BANKS.map(participant).to_vec();
    participants[0].central_bank.as_mut().unwrap().registration_link = registration_link;
    let genesis = Genesis {
        version: GENESIS_VERSION,
        currency: Currency(*b"CNY"),
        exponent: 2,
        kem_suite: KemSuite::X25519,
        time_ms: GENESIS_TIME_MS,
        origin: Text::new("assay.example/log").unwrap(),
        officers: List::new((0..3).map(|index| officer(index).public_key()).collect()).unwrap(),
        officer_threshold: 2,
        unconfirmed_depth_max: 0,
        expiry_window_ms: EXPIRY_WINDOW_MS,
        release_deadline_ms: RELEASE_DEADLINE_MS,
        bytes_per_submitter_per_height: 4 << 20,
        batch_records_max: 50,
        series: List::new(vec![Series { number: SeriesNumber(1), name: Text::new("general").unwrap() }]).unwrap(),
        preissues: List::new(BANKS.map(preissue).to_vec()).unwrap(),
        directory: Directory::new(participants).unwrap(),
    };
    genesis.check().unwrap();
    genesis
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

/// A sealed envelope, its key, and what its outputs become if it is accepted.
#[derive(Clone)]
pub struct Payment {
    pub id: EnvelopeId,
    pub envelope: Envelope,
    pub root: [u8; 32],
    pub coins: Vec<KnownCoin>,
}

/// An output to be made.
#[derive(Clone, Copy)]
pub struct Planned {
    pub bank: ParticipantNumber,
    pub amount: u64,
    pub owner: PublicKey,
    pub terms: Terms,
}

impl Planned {
    pub fn plain(bank: ParticipantNumber, amount: u64) -> Self {
        Planned { bank, amount, owner: owner().public_key(), terms: Terms::ZERO }
    }
}

/// What of a good envelope a test wants otherwise.
#[derive(Clone, Copy, Default)]
pub struct Spoilt {
    /// The first output claims so much more than is put in.
    pub minted: u64,
    /// The acceptance is by the submitter's desk and not by the payee's.
    pub acceptance: bool,
    /// The sealed inputs name another amount than the coins have.
    pub inputs: bool,
    /// The sealed inputs are those of coins that nobody could open (P-4). No spoilt recovery, if they are disputed.
    pub unopened: bool,
}

pub struct Bed {
    pub rules: Rules,
    pub state: MemoryState,
    pub ledger: Ledger,
    pub documents: Vec<(BlockDocument, Vec<Bundle>)>,
    /// What became of the items of all blocks.
    pub results: BTreeMap<EnvelopeId, u16>,
    pub preissued: Vec<KnownCoin>,
    epochs: BTreeMap<(ParticipantNumber, Vec<ParticipantNumber>), SendingEpoch>,
    counter: u64,
}

impl Bed {
    pub fn new() -> Self {
        Self::with_genesis(genesis())
    }

    pub fn with_genesis(genesis: Genesis) -> Self {
        let rules = Rules::new(genesis);
        let mut state = MemoryState::default();
        let mut load = GenesisLoad::start(&rules);
        let ledger = loop {
            match load.step(&state).unwrap() {
                GenesisStep::More(changes) => state.write(&changes),
                GenesisStep::Last(changes, ledger) => {
                    state.write(&changes);
                    break *ledger;
                }
            }
        };
        let known = |coin: ledger_state::PreissuedCoin| KnownCoin {
            id: coin.id,
            opening: coin.opening,
            origin: coin.origin,
            output_index: 0,
            bank: coin.bank,
        };
        let preissued = ledger_state::preissued_coins(&rules).map(known).collect();
        let (documents, results, epochs) = (Vec::new(), BTreeMap::new(), BTreeMap::new());
        Bed { rules, state, ledger, documents, results, preissued, epochs, counter: 0 }
    }

    pub fn coin_of(&self, bank: ParticipantNumber, nth: usize) -> KnownCoin {
        self.preissued.iter().filter(|coin| coin.bank == bank).nth(nth).unwrap().clone()
    }

    fn fresh(&mut self) -> [u8; 32] {
        self.counter += 1;
        named(&format!("fresh {}", self.counter))
    }

    fn rng(&mut self) -> rand::rngs::StdRng {
        rand::SeedableRng::from_seed(self.fresh())
    }

    pub fn next_time_ms(&self) -> u64 {
        self.ledger.time_ms + 1_000
    }

    fn epoch(&mut self, sender: ParticipantNumber, members: &[ParticipantNumber]) -> &mut SendingEpoch {
        let chain = self.rules.chain;
        let number = self.epochs.len() as u64;
        let mut rng = self.rng();
        self.epochs.entry((sender, members.to_vec())).or_insert_with(|| {
            let keys: Vec<_> = members.iter().map(|member| (*member, kem(*member).public_key())).collect();
            let listed: Vec<_> = keys.iter().map(|(number, kem_key)| Member { number: *number, kem_key }).collect();
            let terms = OfferTerms { sender, number, not_after_ms: EPOCH_LIFETIME_MAX_MS, envelopes_max: 1 << 20 };
            let mut offered =
                make_offer(&chain, KemSuite::X25519, &terms, &listed, &key(sender, "offer"), &mut rng).unwrap();
            let signed = offered.signed_offer().clone();
            for member in members.iter().filter(|member| **member != sender) {
                let offer_key = key(sender, "offer").public_key();
                let received = accept_offer(&chain, *member, &kem(*member), &offer_key, &signed, 0).unwrap();
                let ack = received.acknowledge(&chain, &signed.offer, *member, &key(*member, "offer")).unwrap();
                offered.acknowledge(&chain, &ack, &key(*member, "offer").public_key()).unwrap();
            }
            offered.into_sending().expect("all have acknowledged")
        })
    }

    pub fn pay(
        &mut self,
        submitter: ParticipantNumber,
        inputs: &[KnownCoin],
        outputs: &[(ParticipantNumber, u64)],
    ) -> Payment {
        self.pay_spoilt(submitter, inputs, outputs, Spoilt::default())
    }

    pub fn pay_spoilt(
        &mut self,
        submitter: ParticipantNumber,
        inputs: &[KnownCoin],
        outputs: &[(ParticipantNumber, u64)],
        spoilt: Spoilt,
    ) -> Payment {
        self.envelope(submitter, inputs, outputs, ClearContext::Transfer, spoilt)
    }

    pub fn issue(&mut self, issue_number: u64, outputs: &[(ParticipantNumber, u64)], spoilt: Spoilt) -> Payment {
        let amount = Amount(outputs.iter().map(|(_, amount)| amount).sum());
        let authorization = Signature([0; 64]);
        let context = IssueContext { series: SeriesNumber(1), issue_number, amount, authorization };
        self.envelope(CENTRAL, &[], outputs, ClearContext::Issue(context), spoilt)
    }

    pub fn redeem(&mut self, inputs: &[KnownCoin], amount: u64, change: &[(ParticipantNumber, u64)]) -> Payment {
        let context = RedeemContext { amount: Amount(amount), authorization: Signature([0; 64]) };
        self.envelope(CENTRAL, inputs, change, ClearContext::Redeem(context), Spoilt::default())
    }

    pub fn recover(&mut self, inputs: &[KnownCoin], outputs: &[(ParticipantNumber, u64)]) -> Payment {
        let context = RecoverContext { reason: RecoverReason::Dispute, authorizations: List::empty() };
        self.envelope(CENTRAL, inputs, outputs, ClearContext::Recover(context), Spoilt::default())
    }

    /// P-4: gives disputed coins back whose openings nobody has.
    pub fn recover_unopened(&mut self, inputs: &[KnownCoin], outputs: &[(ParticipantNumber, u64)]) -> Payment {
        let context = RecoverContext { reason: RecoverReason::Dispute, authorizations: List::empty() };
        let unopened = Spoilt { unopened: true, ..Spoilt::default() };
        self.envelope(CENTRAL, inputs, outputs, ClearContext::Recover(context), unopened)
    }

    /// Officers ask in public for something about a coin; nothing is sealed.
    pub fn request(&mut self, class: RequestClass, coin: &CoinId, blind: [u8; 32]) -> (Payment, OfficerRequest) {
        let chain = self.rules.chain;
        let expiry_ms = self.next_time_ms() + EXPIRY_WINDOW_MS / 2;
        let commitment = request_commitment(&chain, coin, &blind);
        let basis = BasisCode::parse("COURT-9").unwrap();
        let request = OfficerRequest { class, basis, epoch: expiry_ms / EPOCH_MS, commitment };
        let mut core = Core {
            submitter: CENTRAL,
            inputs: Inputs::Spends(List::empty()),
            outputs: List::empty(),
            contract: ContractNumber(0),
            expiry_ms,
            bucket: Bucket::None,
            hint: EnvelopeHint([0; 16]),
            salt: Salt(self.fresh()),
            context: ClearContext::Request(RequestContext { request, authorizations: List::empty() }),
        };
        let message = core.authorization_message(&chain);
        let sign = |index: u8| OfficerSignature { officer: index, signature: officer(index).sign(&message) };
        let authorizations = List::new((1..3).map(sign).collect()).unwrap();
        core.context = ClearContext::Request(RequestContext { request, authorizations });
        let header = EnvelopeHeader { core, commitment: KeyCommitment::ZERO };
        let envelope = Envelope { header, ciphertext: Vec::new() };
        (Payment { id: envelope.id(&chain), envelope, root: [0; 32], coins: Vec::new() }, request)
    }

    /// That the request stands in the log, under a checkpoint of the log's key and three validators.
    pub fn request_proof(&self, request: &OfficerRequest) -> RequestProof {
        let found = self.state.request_leaves.iter().find(|(_, logged)| *logged == request);
        let (index, size) = (*found.expect("the request is in the log").0, self.ledger.log_size);
        let path = |index| {
            let path = log::prove_inclusion(&self.state, index, size).unwrap();
            List::new(path.into_iter().map(TreeRoot).collect()).unwrap()
        };
        let origin = self.rules.genesis.origin.as_str();
        let text = Checkpoint::new(origin, size, self.ledger.log_root.0).unwrap().to_text();
        let log_key = key(CENTRAL, "log");
        let by_log = NoteKey::new(origin, &log_key.public_key().0).unwrap();
        let mut lines = vec![by_log.sign(&text, |message| log_key.sign(message).0)];
        for bank in [CENTRAL, BANK2, BANK4] {
            let cosign_key = key(bank, "cosign");
            let cosigner = CosignerKey::new(&format!("{origin}/{bank}"), &cosign_key.public_key().0).unwrap();
            lines.push(cosigner.cosign(&text, self.ledger.time_ms / 1_000, |message| cosign_key.sign(message).0));
        }
        let checkpoint = Note::new(text, lines).unwrap().to_string();
        let state = StateProof {
            genesis_hash: self.rules.chain.genesis_hash(),
            state_leaf: self.ledger.last_state_leaf,
            path: path(size - 1),
            checkpoint: Octets::new(checkpoint.into_bytes()).unwrap(),
        };
        RequestProof { state, request: *request, index, path: path(index) }
    }

    /// Officers give a bank another desk key.
    pub fn new_desk_key(&mut self, bank: ParticipantNumber) -> Payment {
        let mut line = self.ledger.directory.get(bank).unwrap().clone();
        line.keys.desk = key(bank, "the next desk").public_key();
        self.update(line)
    }

    /// Officers replace the key that signs confirmation batches.
    pub fn new_registration_key(&mut self, key: PublicKey) -> Payment {
        let mut line = self.ledger.directory.get(CENTRAL).unwrap().clone();
        line.central_bank.as_mut().unwrap().registration = key;
        self.update(line)
    }

    fn update(&mut self, line: Participant) -> Payment {
        let chain = self.rules.chain;
        let context = ParticipantUpdateContext { participant: line, authorizations: List::empty() };
        let mut core = Core {
            submitter: CENTRAL,
            inputs: Inputs::Spends(List::empty()),
            outputs: List::empty(),
            contract: ContractNumber(0),
            expiry_ms: self.next_time_ms() + EXPIRY_WINDOW_MS / 2,
            bucket: Bucket::None,
            hint: EnvelopeHint([0; 16]),
            salt: Salt(self.fresh()),
            context: ClearContext::ParticipantUpdate(Box::new(context.clone())),
        };
        let message = core.authorization_message(&chain);
        let sign = |index: u8| OfficerSignature { officer: index, signature: officer(index).sign(&message) };
        let authorizations = List::new((0..2).map(sign).collect()).unwrap();
        core.context =
            ClearContext::ParticipantUpdate(Box::new(ParticipantUpdateContext { authorizations, ..context }));
        let envelope =
            Envelope { header: EnvelopeHeader { core, commitment: KeyCommitment::ZERO }, ciphertext: Vec::new() };
        Payment { id: envelope.id(&chain), envelope, root: [0; 32], coins: Vec::new() }
    }

    /// What officers or publishers order in the clear; nothing is sealed.
    pub fn contract_order(&mut self, order: ContractOrder) -> Payment {
        let chain = self.rules.chain;
        let authorized =
            |authorizations| ClearContext::ContractOrder(ContractOrderContext { order: order.clone(), authorizations });
        let mut core = Core {
            submitter: CENTRAL,
            inputs: Inputs::Spends(List::empty()),
            outputs: List::empty(),
            contract: ContractNumber(0),
            expiry_ms: self.next_time_ms() + EXPIRY_WINDOW_MS / 2,
            bucket: Bucket::None,
            hint: EnvelopeHint([0; 16]),
            salt: Salt(self.fresh()),
            context: authorized(List::empty()),
        };
        let message = core.authorization_message(&chain);
        let sign = |index: u8| OfficerSignature { officer: index, signature: officer(index).sign(&message) };
        core.context = authorized(List::new((0..2).map(sign).collect()).unwrap());
        let header = EnvelopeHeader { core, commitment: KeyCommitment::ZERO };
        let envelope = Envelope { header, ciphertext: Vec::new() };
        Payment { id: envelope.id(&chain), envelope, root: [0; 32], coins: Vec::new() }
    }

    /// A whole good envelope, spoilt as the test says.
    fn envelope(
        &mut self,
        submitter: ParticipantNumber,
        inputs: &[KnownCoin],
        outputs: &[(ParticipantNumber, u64)],
        context: ClearContext,
        spoilt: Spoilt,
    ) -> Payment {
        let planned = |(bank, amount): &(ParticipantNumber, u64)| Planned::plain(*bank, *amount);
        let planned: Vec<Planned> = outputs.iter().map(planned).collect();
        self.envelope_of(submitter, inputs, &planned, ContractNumber(0), context, spoilt)
    }

    /// The same with owners and terms.
    pub fn envelope_of(
        &mut self,
        submitter: ParticipantNumber,
        inputs: &[KnownCoin],
        outputs: &[Planned],
        contract: ContractNumber,
        context: ClearContext,
        spoilt: Spoilt,
    ) -> Payment {
        let chain = self.rules.chain;
        let is_recovery = matches!(context, ClearContext::Recover(_));
        let mut inputs = inputs.to_vec();
        inputs.sort_by_key(|coin| coin.id);
        let ids: Vec<CoinId> = inputs.iter().map(|coin| coin.id).collect();
        let (origin, series) = match &context {
            ClearContext::Issue(issue) => (issue_origin(&chain, issue.series, issue.issue_number), issue.series),
            _ if spoilt.unopened => (origin(&chain, &ids), SeriesNumber(0)),
            _ => (origin(&chain, &ids), inputs[0].opening.series),
        };
        let mut coins: Vec<KnownCoin> = Vec::new();
        for (nth, Planned { bank, amount, owner, terms }) in outputs.iter().enumerate() {
            let amount = Amount(amount + if nth == 0 { spoilt.minted } else { 0 });
            let (owner, terms, rho) = (*owner, *terms, self.fresh());
            let opening = Opening { amount, currency: self.rules.genesis.currency, series, terms, owner, rho };
            coins.push(KnownCoin { id: CoinId::default(), opening, origin, output_index: 0, bank: *bank });
        }
        coins.sort_by_key(|coin| coin.opening.note(&chain));
        for (index, coin) in (0u8..).zip(&mut coins) {
            coin.output_index = index;
            coin.id = coin.opening.coin_id(&chain, &origin, index, coin.bank);
        }
        let output = |coin: &KnownCoin| Output {
            note: coin.opening.note(&chain),
            custody: coin.opening.custody(&chain, coin.bank),
            terms_flag: if coin.opening.terms == Terms::ZERO { TermsFlag::Plain } else { TermsFlag::Contract },
        };
        let header_outputs: Vec<Output> = coins.iter().map(output).collect();
        let expiry_ms = self.next_time_ms() + EXPIRY_WINDOW_MS / 2;
        let sealed = self.sealed(submitter, &inputs, &coins, &header_outputs, &context, expiry_ms, spoilt);
        let spend = |coin: &KnownCoin| Spend {
            link: coin_link(&chain, &coin.origin, coin.output_index, &coin.opening.note(&chain)),
            kappa: coin.opening.kappa(&chain),
        };
        let header_inputs = match is_recovery {
            true => Inputs::ById(List::new(ids).unwrap()),
            false => Inputs::Spends(List::new(inputs.iter().map(spend).collect()).unwrap()),
        };
        let draft =
            Draft { inputs: header_inputs, outputs: List::new(header_outputs).unwrap(), contract, expiry_ms, context };
        self.seal(submitter, draft, &sealed, coins)
    }

    fn sealed_input(coin: &KnownCoin, spoilt: Spoilt) -> SealedInput {
        SealedInput {
            amount: Amount(coin.opening.amount.0 + u64::from(spoilt.inputs)),
            owner: coin.opening.owner,
            rho: coin.opening.rho,
            origin: coin.origin,
            output_index: coin.output_index,
            series: coin.opening.series,
            bank: coin.bank,
        }
    }

    #[expect(clippy::too_many_arguments, reason = "all that a sealed part is made of")]
    fn sealed(
        &self,
        submitter: ParticipantNumber,
        inputs: &[KnownCoin],
        coins: &[KnownCoin],
        outputs: &[Output],
        context: &ClearContext,
        expiry_ms: u64,
        spoilt: Spoilt,
    ) -> Sealed {
        let chain = &self.rules.chain;
        let currency = self.rules.genesis.currency;
        let sealed_input = |coin: &KnownCoin| match spoilt.unopened {
            true => SealedInput::UNOPENED,
            false => Self::sealed_input(coin, spoilt),
        };
        let sealed_output = |coin: &KnownCoin| SealedOutput {
            amount: coin.opening.amount,
            owner: coin.opening.owner,
            rho: coin.opening.rho,
            bank: coin.bank,
        };
        let mut sealed = Sealed {
            terms: inputs.iter().chain(coins).map(|coin| coin.opening.terms).find(|terms| *terms != Terms::ZERO),
            currency,
            inputs: List::new(inputs.iter().map(sealed_input).collect()).unwrap(),
            outputs: List::new(coins.iter().map(sealed_output).collect()).unwrap(),
            order: None,
            acceptance: None,
            memo: Octets::new(b"rent".to_vec()).unwrap(),
        };
        let payee = coins.iter().position(|coin| coin.bank != submitter);
        let accepted = match context {
            ClearContext::Issue(issue) => {
                let hash = issue_order_hash(chain, issue.series, issue.issue_number, issue.amount, coins[0].bank);
                Some((hash, (0..coins.len()).collect::<Vec<_>>(), coins[0].bank))
            }
            ClearContext::Recover(_) => None,
            _ => {
                let change: Vec<PublicKey> =
                    if coins.len() > usize::from(payee.is_some()) { vec![owner().public_key()] } else { vec![] };
                let order = Order {
                    inputs: List::new(inputs.iter().map(|coin| coin.id).collect()).unwrap(),
                    payee: payee.map(|index| {
                        let coin = &coins[index];
                        Payee { bank: coin.bank, owner: coin.opening.owner, amount: coin.opening.amount }
                    }),
                    currency,
                    change_owners: List::new(change).unwrap(),
                    nonce: 5,
                    expiry_ms,
                    memo_hash: memo_hash(chain, b"rent"),
                };
                let hash = order.hash(chain);
                let signatures = List::new(vec![owner().sign(&hash.0)]).unwrap();
                let payee_output = payee.map(|index| index as u8);
                sealed.order = Some(SealedOrder { payee_output, nonce: 5, expiry_ms, signatures });
                payee.map(|index| (hash, vec![index], coins[index].bank))
            }
        };
        sealed.acceptance = accepted.map(|(order, indices, bank)| {
            let accepted =
                |index: &usize| AcceptedOutput { note: outputs[*index].note, custody: outputs[*index].custody };
            let outputs = List::new(indices.iter().map(accepted).collect()).unwrap();
            let message = AcceptedOutputs { order, outputs, expiry_ms }.message(chain);
            let signer = if spoilt.acceptance { submitter } else { bank };
            let desk = if spoilt.acceptance && submitter == bank { "bundle" } else { "desk" };
            SealedAcceptance { expiry_ms, signature: key(signer, desk).sign(&message) }
        });
        sealed
    }

    fn seal(&mut self, submitter: ParticipantNumber, draft: Draft, sealed: &Sealed, coins: Vec<KnownCoin>) -> Payment {
        let chain = self.rules.chain;
        let mut members: Vec<ParticipantNumber> = sealed.outputs.iter().map(|output| output.bank).collect();
        members.push(submitter);
        members.sort();
        members.dedup();
        let mut rng = self.rng();
        let epoch = self.epoch(submitter, &members);
        if let Some(reservation) = epoch.reserve() {
            epoch.confirm(reservation);
        }
        let slot = epoch.next_slot(0).unwrap();
        let epoch = epoch.epoch().clone();
        let secret = BankSecret::from_bytes(named("bank secret"));
        let unauthorized = prepare(&chain, slot, draft.clone(), sealed, &secret, &mut rng).unwrap();
        let message = unauthorized.authorization_message(&chain);
        let authorization = match draft.context {
            ClearContext::Transfer | ClearContext::Activate(_) => Authorization::NotNeeded,
            ClearContext::Issue(_) | ClearContext::Redeem(_) | ClearContext::Return(_) => {
                Authorization::IssueKey(key(CENTRAL, "issue").sign(&message))
            }
            _ => {
                let sign = |index: u8| OfficerSignature { officer: index, signature: officer(index).sign(&message) };
                Authorization::Officers(List::new((0..2).map(sign).collect()).unwrap())
            }
        };
        let (envelope, root) = unauthorized.authorize(&chain, authorization).unwrap();
        open_with_epoch(&chain, &envelope, &epoch).unwrap();
        Payment { id: envelope.id(&chain), envelope, root: *root.secret(), coins }
    }

    /// Seals what no party can read: the key fits the commitment and the ciphertext is noise.
    pub fn make_unreadable(&self, payment: &mut Payment) {
        payment.envelope.ciphertext.iter_mut().for_each(|byte| *byte ^= 0x5a);
        payment.id = payment.envelope.id(&self.rules.chain);
    }

    pub fn bundle(&self, payments: &[&Payment]) -> Bundle {
        let submitter = payments[0].envelope.submitter();
        let lane = self.ledger.lane(submitter);
        let slot = Slot { submitter, incarnation: lane.incarnation, sequence: lane.next_sequence };
        let envelopes = payments.iter().map(|payment| payment.envelope.clone()).collect();
        Bundle::sign(&self.rules.chain, slot, envelopes, &key(submitter, "bundle")).unwrap()
    }

    /// Orders payments, a bundle a submitter, in one block a second after the last; all are accepted.
    pub fn order(&mut self, payments: &[&Payment]) {
        let time_ms = self.next_time_ms();
        self.order_at(time_ms, payments);
    }

    pub fn order_at(&mut self, time_ms: u64, payments: &[&Payment]) {
        let mut bundles = Vec::new();
        for bank in BANKS {
            let of_bank: Vec<&Payment> =
                payments.iter().filter(|payment| payment.envelope.submitter() == bank).copied().collect();
            if !of_bank.is_empty() {
                bundles.push(self.bundle(&of_bank));
            }
        }
        self.block(time_ms, &bundles).unwrap();
        for payment in payments {
            assert_eq!(self.results[&payment.id], 0, "the ledger accepts what a test orders");
        }
    }

    /// An empty block, to let time pass.
    pub fn pass_time(&mut self, ms: u64) {
        let time_ms = self.ledger.time_ms + ms;
        self.block(time_ms, &[]).unwrap();
    }

    pub fn block(&mut self, time_ms: u64, bundles: &[Bundle]) -> Result<(), ApplyError> {
        let chain = self.rules.chain;
        let certificate = |bundle: &Bundle| BundleCertificate { header: bundle.header().clone(), acks: List::empty() };
        let certificates: Vec<BundleCertificate> = bundles.iter().map(certificate).collect();
        let shared: Vec<Arc<Bundle>> = bundles.iter().cloned().map(Arc::new).collect();
        let height = self.ledger.height.next();
        let candidate =
            CandidateBlock { height, time_ms, certificates: &certificates, bundles: &shared, parent_round: 0 };
        let applied = apply(&self.rules, &self.ledger, &self.state, candidate)?;
        self.state.write(&applied.changes);
        self.ledger = applied.ledger;
        let block = applied.header.hash(&chain);
        let sign = |validator: ParticipantNumber| {
            let vote = Vote { step: VoteStep::Precommit, height, round: 0, block: Some(block), validator };
            SignedBy { signer: validator, signature: key(validator, "consensus").sign(&vote.message(&chain)) }
        };
        let precommits = List::new(BANKS[..3].iter().copied().map(sign).collect()).unwrap();
        let certificate = CommitCertificate { height, round: 0, block, precommits };
        let codes = applied.results.iter().map(|result| result.code).collect();
        for result in applied.results {
            self.results.insert(result.envelope, result.code);
        }
        let certificates = List::new(certificates).unwrap();
        let block = Block { header: applied.header, certificates, parent_certificate: None };
        let document =
            BlockDocument { block: block.to_bytes(), certificate: certificate.to_bytes(), codes, hand_over: None };
        self.documents.push((document, bundles.to_vec()));
        Ok(())
    }

    /// The status of a coin's last record.
    pub fn record(&self, coin: &KnownCoin) -> Option<RecordStatus> {
        self.state.records.get(&coin.id).map(|record| record.status)
    }
}

/// Every file below the folder with its bytes, in which none of the secrets stands.
pub fn files_without(secrets: &[[u8; 32]], folder: PathBuf) -> Vec<(PathBuf, Vec<u8>)> {
    let (mut folders, mut files) = (vec![folder], Vec::new());
    while let Some(folder) = folders.pop() {
        for item in std::fs::read_dir(folder).unwrap() {
            let path = item.unwrap().path();
            if path.is_dir() {
                folders.push(path);
                continue;
            }
            let bytes = std::fs::read(&path).unwrap();
            for secret in secrets {
                assert!(!bytes.windows(32).any(|window| window == secret), "{}", path.display());
            }
            files.push((path, bytes));
        }
    }
    files
}
