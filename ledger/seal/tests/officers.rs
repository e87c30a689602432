//! k of n officers open one envelope, and nobody opens anything with less.

use curve25519_dalek::ristretto::RistrettoPoint;
use curve25519_dalek::scalar::Scalar;
use ledger_seal::*;
use ledger_types::envelope::OfficerSignature;
use ledger_types::genesis::{GENESIS_VERSION, Genesis, KemSuite, Series};
use ledger_types::keys::SigningKey;
use ledger_types::participant::{CentralBankKeys, Directory, Participant, ParticipantKeys, Roles};
use ledger_types::*;
use rand::SeedableRng;
use rand::rngs::StdRng;

const N: u8 = 5;
const K: u8 = 3;

fn key(label: &str) -> SigningKey {
    SigningKey::from_seed(blake3::hash(label.as_bytes()).as_bytes())
}

fn genesis() -> Genesis {
    let public = |purpose: &str| key(purpose).public_key();
    let keys = ParticipantKeys {
        consensus: public("consensus"),
        bundle: public("bundle"),
        cosign: public("cosign"),
        desk: public("desk"),
        offer: public("offer"),
        link: public("link"),
        engine_peer: public("engine peer"),
        data_peer: public("data peer"),
        kem: Octets::new(vec![9; 32]).unwrap(),
    };
    let central_bank = CentralBankKeys {
        log: public("log"),
        registration: public("registration"),
        registration_link: public("registration link"),
        issue: public("issue"),
    };
    let line = Participant {
        number: ParticipantNumber(1),
        name: Text::new("Central Bank").unwrap(),
        roles: Roles::VALIDATOR.and(Roles::CENTRAL_BANK),
        power: 1,
        keys,
        central_bank: Some(central_bank),
    };
    Genesis {
        version: GENESIS_VERSION,
        currency: Currency::parse("XAS").unwrap(),
        exponent: 2,
        kem_suite: KemSuite::X25519,
        time_ms: 1_700_000_000_000,
        origin: Text::new("test/registry").unwrap(),
        officers: List::new((0..N).map(|n| public(&format!("officer {n}"))).collect()).unwrap(),
        officer_threshold: K,
        unconfirmed_depth_max: 0,
        expiry_window_ms: 60_000,
        release_deadline_ms: 30_000,
        bytes_per_submitter_per_height: 1 << 20,
        batch_records_max: 1_000,
        series: List::new(vec![Series { number: SeriesNumber(1), name: Text::new("general").unwrap() }]).unwrap(),
        preissues: List::empty(),
        directory: Directory::new(vec![line]).unwrap(),
    }
}

struct Ceremony {
    chain: Chain,
    genesis: Genesis,
    document: DisclosureKeyDocument,
    shares: Vec<[u8; 32]>,
    rng: StdRng,
}

impl Ceremony {
    /// A polynomial of degree K − 1, as a ceremony leaves it; here one program plays all officers.
    fn hold(seed: u64) -> Self {
        let mut rng = StdRng::seed_from_u64(seed);
        let coefficients: Vec<Scalar> = (0..K).map(|_| Scalar::random(&mut rng)).collect();
        let at = |x: u64| coefficients.iter().rev().fold(Scalar::ZERO, |sum, c| sum * Scalar::from(x) + c);
        let public = |scalar: &Scalar| RistrettoPoint::mul_base(scalar).compress().0;
        let shares: Vec<Scalar> = (1..=u64::from(N)).map(at).collect();
        let genesis = genesis();
        let mut document = DisclosureKeyDocument {
            key: public(&at(0)),
            shares: List::new(shares.iter().map(public).collect()).unwrap(),
            authorizations: List::empty(),
        };
        document.authorizations = sign(&genesis.chain(), &document, &[0, 1, 4]);
        let shares = shares.iter().map(Scalar::to_bytes).collect();
        Ceremony { chain: genesis.chain(), genesis, document, shares, rng }
    }

    fn key(&self) -> DisclosureKey {
        DisclosureKey::check(&self.genesis, &self.document).unwrap()
    }

    fn answers(&mut self, envelope: &EnvelopeId, sealed: &SealedRoot, officers: &[usize]) -> Vec<OfficersAnswer> {
        let key = self.key();
        let answer = |officer: &usize| {
            let share = OfficersShare::of_key(&key, &self.shares[*officer]).unwrap();
            assert_eq!(usize::from(share.officer()), *officer);
            share.answer(&self.chain, envelope, sealed, &mut self.rng).unwrap()
        };
        officers.iter().map(answer).collect()
    }
}

fn sign(chain: &Chain, document: &DisclosureKeyDocument, officers: &[u8]) -> ledger_types::envelope::OfficerSignatures {
    let message = document.message(chain);
    let sign = |officer: &u8| OfficerSignature {
        officer: *officer,
        signature: key(&format!("officer {officer}")).sign(&message),
    };
    List::new(officers.iter().map(sign).collect()).unwrap()
}

const ENVELOPE: EnvelopeId = EnvelopeId([7; 32]);
const ROOT: [u8; 32] = [0x5a; 32];

fn sealed() -> (Ceremony, SealedRoot) {
    let mut ceremony = Ceremony::hold(1);
    let sealed = ceremony.key().seal(&ENVELOPE, &EnvelopeRoot::from_bytes(ROOT), &mut ceremony.rng);
    (ceremony, sealed)
}

#[test]
fn any_k_officers_open_an_envelope_and_k_less_one_do_not() {
    let (mut ceremony, sealed) = sealed();
    let key = ceremony.key();
    for officers in [[0, 1, 2], [4, 2, 0], [1, 3, 4]] {
        let answers = ceremony.answers(&ENVELOPE, &sealed, &officers);
        assert_eq!(key.open(&ENVELOPE, &sealed, &answers).unwrap().secret(), &ROOT);
        let too_few = key.open(&ENVELOPE, &sealed, &answers[1..]);
        assert_eq!(too_few.unwrap_err(), CannotCombine::TooFew { have: 2, need: 3 });
        let twice = [answers[0], answers[1], answers[1]];
        assert_eq!(key.open(&ENVELOPE, &sealed, &twice).unwrap_err(), CannotCombine::TooFew { have: 2, need: 3 });
    }
    let answers = ceremony.answers(&ENVELOPE, &sealed, &[0, 1, 2, 3, 4]);
    assert_eq!(key.open(&ENVELOPE, &sealed, &answers).unwrap().secret(), &ROOT);
}

#[test]
fn a_bad_answer_is_named() {
    let (mut ceremony, sealed) = sealed();
    let key = ceremony.key();
    let good = ceremony.answers(&ENVELOPE, &sealed, &[0, 1, 2]);
    // Every bit of the second answer: it is refused, and named where the officer's number was not what changed.
    let bytes = good[1].to_bytes();
    for bit in 0..bytes.len() * 8 {
        let mut changed = bytes.clone();
        changed[bit / 8] ^= 1 << (bit % 8);
        let answers = [good[0], OfficersAnswer::from_bytes(&changed).unwrap(), good[2]];
        let officer = answers[1].officer;
        let refused = key.open(&ENVELOPE, &sealed, &answers).unwrap_err();
        assert_eq!(refused, CannotCombine::BadAnswer { officer }, "bit {bit}");
    }
    // An answer to another sealed root, by the right officer.
    let other = EnvelopeId([8; 32]);
    let sealed_other = key.seal(&other, &EnvelopeRoot::from_bytes([1; 32]), &mut ceremony.rng);
    let misplaced = [good[0], ceremony.answers(&other, &sealed_other, &[1])[0], good[2]];
    assert_eq!(key.open(&ENVELOPE, &sealed, &misplaced).unwrap_err(), CannotCombine::BadAnswer { officer: 1 });
}

#[test]
fn a_sealed_root_that_is_moved_to_another_envelope_or_changed_gets_no_answer() {
    let (mut ceremony, sealed) = sealed();
    let key = ceremony.key();
    let share = OfficersShare::of_key(&key, &ceremony.shares[0]).unwrap();
    let other = EnvelopeId([8; 32]);
    assert_eq!(share.answer(&ceremony.chain, &other, &sealed, &mut ceremony.rng), None);
    let of_another_chain = Chain::new(GenesisHash([1; 32]));
    assert_eq!(share.answer(&of_another_chain, &ENVELOPE, &sealed, &mut ceremony.rng), None);
    let bytes = sealed.to_bytes();
    assert_eq!(bytes.len(), ledger_seal::officers::SEALED_ROOT_BYTES);
    for bit in (0..bytes.len() * 8).step_by(3) {
        let mut changed = bytes.clone();
        changed[bit / 8] ^= 1 << (bit % 8);
        let changed = SealedRoot::from_bytes(&changed).unwrap();
        assert_eq!(share.answer(&ceremony.chain, &ENVELOPE, &changed, &mut ceremony.rng), None, "bit {bit}");
        let answers = ceremony.answers(&ENVELOPE, &sealed, &[0, 1, 2]);
        let refused = key.open(&ENVELOPE, &changed, &answers).unwrap_err();
        assert_eq!(refused, CannotCombine::NotOfThisEnvelope, "bit {bit}");
    }
}

#[test]
fn answers_to_one_envelope_do_not_open_another() {
    let (mut ceremony, sealed) = sealed();
    let key = ceremony.key();
    let other = EnvelopeId([8; 32]);
    let sealed_other = key.seal(&other, &EnvelopeRoot::from_bytes([1; 32]), &mut ceremony.rng);
    let answers = ceremony.answers(&ENVELOPE, &sealed, &[0, 1, 2]);
    let refused = key.open(&other, &sealed_other, &answers).unwrap_err();
    assert_eq!(refused, CannotCombine::BadAnswer { officer: 0 });
}

#[test]
fn the_sealed_bytes_say_nothing_of_the_root_and_are_new_each_time() {
    let (mut ceremony, sealed) = sealed();
    let again = ceremony.key().seal(&ENVELOPE, &EnvelopeRoot::from_bytes(ROOT), &mut ceremony.rng);
    assert_ne!(sealed, again);
    assert!(!sealed.to_bytes().windows(4).any(|window| window == &ROOT[..4]));
}

#[test]
fn a_key_document_is_taken_only_when_k_officers_signed_it_and_it_is_one_key() {
    let ceremony = Ceremony::hold(1);
    let check = |document: &DisclosureKeyDocument| DisclosureKey::check(&ceremony.genesis, document).map(drop);
    let signed = |mut document: DisclosureKeyDocument| {
        document.authorizations = sign(&ceremony.chain, &document, &[0, 2, 3]);
        document
    };
    assert_eq!(check(&ceremony.document), Ok(()));
    let mut unsigned = ceremony.document.clone();
    unsigned.authorizations = sign(&ceremony.chain, &unsigned, &[0, 1]);
    assert_eq!(check(&unsigned), Err(KeyRefused::NotAuthorized));
    unsigned.authorizations = sign(&ceremony.chain, &unsigned, &[1, 0, 2]);
    assert_eq!(check(&unsigned), Err(KeyRefused::NotAuthorized));
    // Another key under the old signatures.
    let other = DisclosureKeyDocument { key: Ceremony::hold(2).document.key, ..ceremony.document.clone() };
    assert_eq!(check(&other), Err(KeyRefused::NotAuthorized));
    assert_eq!(check(&signed(other)), Err(KeyRefused::NotOneKey));
    let mut shares = ceremony.document.shares.to_vec();
    shares[4] = Ceremony::hold(2).document.shares[4];
    let odd = DisclosureKeyDocument { shares: List::new(shares.clone()).unwrap(), ..ceremony.document.clone() };
    assert_eq!(check(&signed(odd)), Err(KeyRefused::NotOneKey));
    shares.pop();
    let short = DisclosureKeyDocument { shares: List::new(shares).unwrap(), ..ceremony.document.clone() };
    assert_eq!(check(&signed(short)), Err(KeyRefused::Officers));
    let mut alone = ceremony.genesis.clone();
    alone.officer_threshold = 1;
    assert_eq!(DisclosureKey::check(&alone, &ceremony.document).map(drop), Err(KeyRefused::Officers));
    assert!(OfficersShare::of_key(&ceremony.key(), &Ceremony::hold(2).shares[0]).is_none(), "a share of another key");
}
