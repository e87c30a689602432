//! Parties, payments and a generator that repeats itself, for the tests of this package.
#![allow(dead_code)] // each test file uses its own part

use ledger_seal::{
    BankSecret, Draft, Epoch, KemSecret, Member, OfferTerms, OfferedEpoch, SealingSlot, SendingEpoch, make_offer,
};
use ledger_types::envelope::{ClearContext, Inputs, Output, Spend, TermsFlag};
use ledger_types::genesis::KemSuite;
use ledger_types::keys::{PublicKey, Signature, SigningKey};
use ledger_types::sealed::{Sealed, SealedAcceptance, SealedInput, SealedOrder, SealedOutput};
use ledger_types::*;
use rand_core::{CryptoRng, RngCore};
use std::sync::Arc;

pub const SENDER: ParticipantNumber = ParticipantNumber(2);
pub const PAYEE: ParticipantNumber = ParticipantNumber(3);
pub const THIRD: ParticipantNumber = ParticipantNumber(4);
pub const NOT_AFTER_MS: u64 = 1_000_000;
pub const NOW_MS: u64 = 500_000;

/// BLAKE3's output stream of a name: the same bytes in every run and on every platform.
pub struct NamedRng(blake3::OutputReader);

impl NamedRng {
    pub fn new(name: &str) -> Self {
        NamedRng(blake3::Hasher::new().update(name.as_bytes()).finalize_xof())
    }
}

impl RngCore for NamedRng {
    fn next_u32(&mut self) -> u32 {
        let mut bytes = [0; 4];
        self.fill_bytes(&mut bytes);
        u32::from_le_bytes(bytes)
    }

    fn next_u64(&mut self) -> u64 {
        let mut bytes = [0; 8];
        self.fill_bytes(&mut bytes);
        u64::from_le_bytes(bytes)
    }

    fn fill_bytes(&mut self, bytes: &mut [u8]) {
        self.0.fill(bytes);
    }

    fn try_fill_bytes(&mut self, bytes: &mut [u8]) -> Result<(), rand_core::Error> {
        self.fill_bytes(bytes);
        Ok(())
    }
}

impl CryptoRng for NamedRng {}

pub fn chain() -> Chain {
    Chain::new(GenesisHash([7; 32]))
}

pub fn named(name: &str) -> [u8; 32] {
    *blake3::hash(name.as_bytes()).as_bytes()
}

pub struct Party {
    pub number: ParticipantNumber,
    pub kem: KemSecret,
    pub kem_public: Vec<u8>,
    pub offer_key: SigningKey,
}

pub fn party(suite: KemSuite, number: ParticipantNumber) -> Party {
    let kem = KemSecret::from_seed(suite, &named(&format!("kem {number}")));
    let kem_public = kem.public_key().to_vec();
    Party { number, kem, kem_public, offer_key: SigningKey::from_seed(&named(&format!("offer key {number}"))) }
}

impl Party {
    pub fn member(&self) -> Member<'_> {
        Member { number: self.number, kem_key: &self.kem_public }
    }

    pub fn offer_public(&self) -> PublicKey {
        self.offer_key.public_key()
    }
}

pub fn offer_between(suite: KemSuite, number: u64, parties: &[&Party]) -> OfferedEpoch {
    let terms = OfferTerms { sender: SENDER, number, not_after_ms: NOT_AFTER_MS, envelopes_max: 1 << 20 };
    let members: Vec<_> = parties.iter().map(|party| party.member()).collect();
    let mut rng = NamedRng::new(&format!("offer {number}"));
    make_offer(&chain(), suite, &terms, &members, &parties[0].offer_key, &mut rng).unwrap()
}

/// An acknowledged epoch from SENDER to PAYEE, with counters reserved.
pub fn sending_epoch(number: u64) -> SendingEpoch {
    let (sender, payee) = (party(KemSuite::X25519, SENDER), party(KemSuite::X25519, PAYEE));
    let mut offered = offer_between(KemSuite::X25519, number, &[&sender, &payee]);
    let signed = offered.signed_offer().clone();
    let received =
        ledger_seal::accept_offer(&chain(), PAYEE, &payee.kem, &sender.offer_public(), &signed, NOW_MS).unwrap();
    let ack = received.acknowledge(&chain(), &signed.offer, PAYEE, &payee.offer_key).unwrap();
    offered.acknowledge(&chain(), &ack, &payee.offer_public()).unwrap();
    let mut sending = offered.into_sending().expect("all have acknowledged");
    reserve(&mut sending);
    sending
}

pub fn reserve(sending: &mut SendingEpoch) {
    let reservation = sending.reserve().expect("none is left");
    sending.confirm(reservation);
}

pub fn slot(sending: &mut SendingEpoch) -> SealingSlot {
    if let Some(reservation) = sending.reserve() {
        sending.confirm(reservation);
    }
    sending.next_slot(NOW_MS).unwrap()
}

pub fn epoch(number: u64) -> Arc<Epoch> {
    Arc::clone(sending_epoch(number).epoch())
}

pub fn bank_secret() -> BankSecret {
    BankSecret::from_bytes(named("bank secret"))
}

/// One input, two outputs (the payee's and the change), order and acceptance.
pub fn payment(memo: &[u8]) -> Sealed {
    let owner = |name: &str| SigningKey::from_seed(&named(name)).public_key();
    let signature = |name: &str| SigningKey::from_seed(&named(name)).sign(b"as long as any other");
    Sealed {
        terms: None,
        currency: Currency::parse("EUR").unwrap(),
        inputs: List::new(vec![SealedInput {
            amount: Amount(1000),
            owner: owner("alice"),
            rho: named("rho in"),
            origin: Origin(named("origin")),
            output_index: 1,
            series: SeriesNumber(1),
            bank: SENDER,
        }])
        .unwrap(),
        outputs: List::new(vec![
            SealedOutput { amount: Amount(300), owner: owner("bob"), rho: named("rho payee"), bank: PAYEE },
            SealedOutput { amount: Amount(700), owner: owner("alice change"), rho: named("rho change"), bank: SENDER },
        ])
        .unwrap(),
        order: Some(SealedOrder {
            payee_output: Some(0),
            nonce: 9,
            expiry_ms: 600_000,
            signatures: List::new(vec![signature("alice")]).unwrap(),
        }),
        acceptance: Some(SealedAcceptance { expiry_ms: 600_000, signature: signature("desk") }),
        memo: Octets::new(memo.to_vec()).unwrap(),
    }
}

/// A header for [`payment`]; what is sealed beside it does not check them against each other.
pub fn draft() -> Draft {
    let output =
        |name: &str| Output { note: Note(named(name)), custody: Custody(named(name)), terms_flag: TermsFlag::Plain };
    Draft {
        inputs: Inputs::Spends(
            List::new(vec![Spend { link: CoinLink(named("link")), kappa: Kappa(named("kappa")) }]).unwrap(),
        ),
        outputs: List::new(vec![output("payee's output"), output("change")]).unwrap(),
        contract: ContractNumber(0),
        expiry_ms: 600_000,
        context: ClearContext::Transfer,
    }
}

pub const NO_SIGNATURE: Signature = Signature([0; 64]);
