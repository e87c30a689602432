//! What registration keeps of an envelope's root: sealed to the officers, t of n of whom open it, one envelope at a time (R-4).
//!
//! The scheme is TDH2 of Shoup and Gennaro (Securing Threshold Cryptosystems against Chosen Ciphertext Attack, 2002) over
//! ristretto255, with the envelope's id as the label. G is the group's base; P = s·G; officer i holds s_i, public V_i = s_i·G; s and
//! the s_i lie on one polynomial of degree t − 1, and s exists nowhere.
//!
//! ```text
//! sealed root  = R = r·G ‖ R̄ = r·Ḡ ‖ c ‖ e ‖ f                Ḡ = map(D₆₄("disclosure base", nothing)), logarithm unknown
//! c            = root ⊕ D("disclosure pad", envelope ‖ R ‖ r·P)
//! e            = D₆₄("disclosure seal", envelope ‖ c ‖ R ‖ a·G ‖ R̄ ‖ a·Ḡ) mod ℓ          f = a + r·e
//! answer of i  = officer u8 ‖ A = s_i·R ‖ e' ‖ f'             e' = D₆₄("disclosure share", envelope ‖ V_i ‖ R ‖ A ‖ b·G ‖ b·R) mod ℓ
//!                                                             f' = b + s_i·e'
//! r·P          = Σ λ_i·A_i over t answers
//! D₆₄(tag, x)  = D(tag, 0 ‖ x) ‖ D(tag, 1 ‖ x)
//! ```
//! What stays true here:
//! - e and f prove that whoever sealed knew r, *for this envelope*: a sealed root that is moved to another envelope gets no answer.
//!   So who holds all sealed roots cannot have one opened under another's request.
//! - An answer proves that it was made with the officer's own share, so a bad one is named.
//! - t − 1 answers say nothing. Nothing here puts s together: answers are combined, shares never.

use crate::root::EnvelopeRoot;
use curve25519_dalek::ristretto::{CompressedRistretto, RistrettoBasepointTable, RistrettoPoint};
use curve25519_dalek::scalar::Scalar;
use curve25519_dalek::traits::{Identity, VartimeMultiscalarMul};
use ledger_types::envelope::OfficerSignatures;
use ledger_types::genesis::Genesis;
use ledger_types::keys::PublicKey;
use ledger_types::{Chain, Encode, EnvelopeId, List, Tag, layout};
use rand_core::{CryptoRng, RngCore};
use std::fmt;
use zeroize::{Zeroize, Zeroizing};

/// As many as a genesis has officers.
pub const OFFICERS_MAX: usize = 16;
/// Of a [`SealedRoot`].
pub const SEALED_ROOT_BYTES: usize = 160;

/// The officers' public key and its shares: what their key ceremony gives, signed by k of them. It stands beside the genesis.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct DisclosureKeyDocument {
    /// P.
    pub key: [u8; 32],
    /// V_i of every officer of the genesis, in their order.
    pub shares: List<[u8; 32], OFFICERS_MAX>,
    /// Over D("disclosure key", key ‖ shares), as for an envelope of officers: ascending, at least k, all verify.
    pub authorizations: OfficerSignatures,
}
layout!(DisclosureKeyDocument { key, shares, authorizations });

impl DisclosureKeyDocument {
    pub fn message(&self, chain: &Chain) -> [u8; 32] {
        chain.hash(Tag::DisclosureKey, &[&self.key, &self.shares.to_bytes()])
    }
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum KeyRefused {
    #[error("it has not one share for each of the genesis's officers, or fewer than two are to open a coin")]
    Officers,
    #[error("it is not signed by k of the genesis's officers")]
    NotAuthorized,
    #[error("it holds bytes that are no point, or shares that are not of its key")]
    NotOneKey,
}

/// A document that was checked against the genesis.
#[derive(Clone)]
pub struct DisclosureKey {
    chain: Chain,
    threshold: usize,
    shares: Vec<RistrettoPoint>,
    tables: std::sync::Arc<Tables>,
}

/// Sealing is done for every payment: multiples of the two fixed points are looked up.
struct Tables {
    key: RistrettoBasepointTable,
    second: RistrettoBasepointTable,
}

impl fmt::Debug for DisclosureKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "DisclosureKey({} of {})", self.threshold, self.shares.len())
    }
}

impl DisclosureKey {
    /// The threshold is the genesis's k; one officer alone would be no control, so k is at least 2.
    pub fn check(genesis: &Genesis, document: &DisclosureKeyDocument) -> Result<Self, KeyRefused> {
        let chain = genesis.chain();
        let threshold = usize::from(genesis.officer_threshold);
        if document.shares.len() != genesis.officers.len() || threshold < 2 {
            return Err(KeyRefused::Officers);
        }
        let message = document.message(&chain);
        let by = &document.authorizations;
        let verifies = |officer: u8, signature| {
            let key: Option<&PublicKey> = genesis.officers.get(usize::from(officer));
            key.is_some_and(|key| key.verify(&message, signature))
        };
        let authorized = by.len() >= threshold
            && by.is_sorted_by(|a, b| a.officer < b.officer)
            && by.iter().all(|by| verifies(by.officer, &by.signature));
        if !authorized {
            return Err(KeyRefused::NotAuthorized);
        }
        let point = point_of(&document.key).ok_or(KeyRefused::NotOneKey)?;
        let shares: Option<Vec<_>> = document.shares.iter().map(point_of).collect();
        let shares = shares.ok_or(KeyRefused::NotOneKey)?;
        if !lie_on_one_polynomial(&point, &shares, threshold) {
            return Err(KeyRefused::NotOneKey);
        }
        let second = second_base(&chain);
        let tables =
            Tables { key: RistrettoBasepointTable::create(&point), second: RistrettoBasepointTable::create(&second) };
        Ok(DisclosureKey { chain, threshold, shares, tables: std::sync::Arc::new(tables) })
    }

    pub fn threshold(&self) -> usize {
        self.threshold
    }

    /// Seals the root of this envelope; the randomness is gone when it returns.
    pub fn seal(&self, envelope: &EnvelopeId, root: &EnvelopeRoot, rng: &mut (impl CryptoRng + RngCore)) -> SealedRoot {
        let (r, a) = (Zeroizing::new(Scalar::random(rng)), Zeroizing::new(Scalar::random(rng)));
        let ephemeral = RistrettoPoint::mul_base(&r).compress();
        let second = (&*r * &self.tables.second).compress();
        let mut shared = (&*r * &self.tables.key).compress();
        let mut pad = self.pad(envelope, &ephemeral, &shared);
        let mut sealed = *root.secret();
        xor(&mut sealed, &pad);
        pad.zeroize();
        shared.0.zeroize();
        let (first_of_a, second_of_a) = (RistrettoPoint::mul_base(&a), &*a * &self.tables.second);
        let mut sealed_root =
            SealedRoot { ephemeral: ephemeral.0, second: second.0, sealed, challenge: [0; 32], response: [0; 32] };
        let e = sealed_root.challenge(&self.chain, envelope, &first_of_a, &second_of_a);
        sealed_root.challenge = e.to_bytes();
        sealed_root.response = (*a + *r * e).to_bytes();
        sealed_root
    }

    /// The root, from answers of t officers to this sealed root. Every answer is checked first, so that a bad one is named.
    pub fn open(
        &self,
        envelope: &EnvelopeId,
        sealed: &SealedRoot,
        answers: &[OfficersAnswer],
    ) -> Result<EnvelopeRoot, CannotCombine> {
        let ephemeral = sealed.check(&self.chain, envelope).ok_or(CannotCombine::NotOfThisEnvelope)?;
        let mut points: Vec<(u8, RistrettoPoint)> = Vec::new();
        for answer in answers {
            let point = self.check_answer(envelope, &ephemeral, answer);
            let point = point.ok_or(CannotCombine::BadAnswer { officer: answer.officer })?;
            if !points.iter().any(|(officer, _)| *officer == answer.officer) {
                points.push((answer.officer, point));
            }
        }
        if points.len() < self.threshold {
            return Err(CannotCombine::TooFew { have: points.len(), need: self.threshold });
        }
        points.truncate(self.threshold);
        let at: Vec<Scalar> = points.iter().map(|(officer, _)| place_of(*officer)).collect();
        let weights = weights(&at, Scalar::ZERO);
        let shared = RistrettoPoint::vartime_multiscalar_mul(weights, points.iter().map(|(_, point)| point));
        let mut root = sealed.sealed;
        xor(&mut root, &self.pad(envelope, &CompressedRistretto(sealed.ephemeral), &shared.compress()));
        Ok(EnvelopeRoot::from_bytes(root))
    }

    /// The answer's point, if it was made with that officer's share.
    fn check_answer(
        &self,
        envelope: &EnvelopeId,
        ephemeral: &RistrettoPoint,
        answer: &OfficersAnswer,
    ) -> Option<RistrettoPoint> {
        let share = self.shares.get(usize::from(answer.officer))?;
        let point = point_of(&answer.point)?;
        let (e, f) = (scalar_of(&answer.challenge)?, scalar_of(&answer.response)?);
        let first = RistrettoPoint::vartime_double_scalar_mul_basepoint(&-e, share, &f);
        let second = RistrettoPoint::vartime_multiscalar_mul([f, -e], [ephemeral, &point]);
        (answers_challenge(&self.chain, envelope, share, ephemeral, &point, &first, &second) == e).then_some(point)
    }

    fn pad(&self, envelope: &EnvelopeId, ephemeral: &CompressedRistretto, shared: &CompressedRistretto) -> [u8; 32] {
        self.chain.hash(Tag::DisclosurePad, &[&envelope.0, ephemeral.as_bytes(), shared.as_bytes()])
    }
}

/// An envelope's root, sealed to the officers.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct SealedRoot {
    ephemeral: [u8; 32],
    second: [u8; 32],
    sealed: [u8; 32],
    challenge: [u8; 32],
    response: [u8; 32],
}
layout!(SealedRoot { ephemeral, second, sealed, challenge, response });

impl SealedRoot {
    /// Whether a root was sealed here for this envelope: no other gets an answer.
    pub fn is_of(&self, chain: &Chain, envelope: &EnvelopeId) -> bool {
        self.check(chain, envelope).is_some()
    }

    /// The ephemeral point, if this was sealed for this envelope.
    fn check(&self, chain: &Chain, envelope: &EnvelopeId) -> Option<RistrettoPoint> {
        let (ephemeral, second) = (point_of(&self.ephemeral)?, point_of(&self.second)?);
        let (e, f) = (scalar_of(&self.challenge)?, scalar_of(&self.response)?);
        let first_of_a = RistrettoPoint::vartime_double_scalar_mul_basepoint(&-e, &ephemeral, &f);
        let second_of_a = RistrettoPoint::vartime_multiscalar_mul([f, -e], [second_base(chain), second]);
        (self.challenge(chain, envelope, &first_of_a, &second_of_a) == e).then_some(ephemeral)
    }

    fn challenge(
        &self,
        chain: &Chain,
        envelope: &EnvelopeId,
        first_of_a: &RistrettoPoint,
        second_of_a: &RistrettoPoint,
    ) -> Scalar {
        let (first_of_a, second_of_a) = (first_of_a.compress(), second_of_a.compress());
        let parts: [&[u8]; 6] =
            [&envelope.0, &self.sealed, &self.ephemeral, first_of_a.as_bytes(), &self.second, second_of_a.as_bytes()];
        wide_scalar(chain, Tag::DisclosureSeal, &parts)
    }
}

/// One officer's secret share s_i. Wiped when dropped.
pub struct OfficersShare {
    officer: u8,
    secret: Zeroizing<Scalar>,
}

impl fmt::Debug for OfficersShare {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "OfficersShare({}, secret)", self.officer)
    }
}

impl OfficersShare {
    /// The share that a key ceremony left, if it is one of this key: whose it is follows from the public shares.
    pub fn of_key(key: &DisclosureKey, secret: &[u8; 32]) -> Option<Self> {
        let secret = Zeroizing::new(scalar_of(secret)?);
        let public = RistrettoPoint::mul_base(&secret);
        let officer = key.shares.iter().position(|share| *share == public)?;
        Some(OfficersShare { officer: u8::try_from(officer).ok()?, secret })
    }

    /// Index into the genesis's officers.
    pub fn officer(&self) -> u8 {
        self.officer
    }

    /// The officer's part in opening this envelope. `None`: the root was not sealed for it.
    pub fn answer(
        &self,
        chain: &Chain,
        envelope: &EnvelopeId,
        sealed: &SealedRoot,
        rng: &mut (impl CryptoRng + RngCore),
    ) -> Option<OfficersAnswer> {
        let ephemeral = sealed.check(chain, envelope)?;
        let point = ephemeral * *self.secret;
        let b = Zeroizing::new(Scalar::random(rng));
        let share = RistrettoPoint::mul_base(&self.secret);
        let (first, second) = (RistrettoPoint::mul_base(&b), ephemeral * *b);
        let e = answers_challenge(chain, envelope, &share, &ephemeral, &point, &first, &second);
        Some(OfficersAnswer {
            officer: self.officer,
            point: point.compress().0,
            challenge: e.to_bytes(),
            response: (*b + *self.secret * e).to_bytes(),
        })
    }
}

/// One officer's part in opening one envelope, with the proof that it is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct OfficersAnswer {
    /// Index into the genesis's officers.
    pub officer: u8,
    point: [u8; 32],
    challenge: [u8; 32],
    response: [u8; 32],
}
layout!(OfficersAnswer { officer, point, challenge, response });

#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum CannotCombine {
    #[error("the root was sealed for another envelope")]
    NotOfThisEnvelope,
    #[error("the answer of officer {} was not made with that officer's share for this envelope", officer + 1)]
    BadAnswer { officer: u8 },
    #[error("{have} officers have answered, {need} must")]
    TooFew { have: usize, need: usize },
}

/// Officer 0 stands at 1: at 0 stands the secret.
fn place_of(officer: u8) -> Scalar {
    Scalar::from(u64::from(officer) + 1)
}

/// Lagrange: the value at `x` is the sum of the values at `at` with these weights.
fn weights(at: &[Scalar], x: Scalar) -> Vec<Scalar> {
    let weight = |(index, own): (usize, &Scalar)| {
        let others = at.iter().enumerate().filter(|(other, _)| *other != index);
        let (above, below) = others.fold((Scalar::ONE, Scalar::ONE), |(above, below), (_, other)| {
            (above * (x - other), below * (own - other))
        });
        above * below.invert()
    };
    at.iter().enumerate().map(weight).collect()
}

/// The key and all shares follow from the first t shares.
fn lie_on_one_polynomial(key: &RistrettoPoint, shares: &[RistrettoPoint], threshold: usize) -> bool {
    let (first, rest) = shares.split_at(threshold);
    let places: Vec<Scalar> = (0u8..).map(place_of).take(shares.len()).collect();
    let at = |x| RistrettoPoint::vartime_multiscalar_mul(weights(&places[..threshold], x), first);
    let is_a_key = *key != RistrettoPoint::identity() && at(Scalar::ZERO) == *key;
    is_a_key && rest.iter().zip(&places[threshold..]).all(|(share, place)| at(*place) == *share)
}

fn answers_challenge(
    chain: &Chain,
    envelope: &EnvelopeId,
    share: &RistrettoPoint,
    ephemeral: &RistrettoPoint,
    point: &RistrettoPoint,
    first: &RistrettoPoint,
    second: &RistrettoPoint,
) -> Scalar {
    let points = [share, ephemeral, point, first, second].map(RistrettoPoint::compress);
    let mut parts: Vec<&[u8]> = vec![&envelope.0];
    parts.extend(points.iter().map(|point| &point.as_bytes()[..]));
    wide_scalar(chain, Tag::DisclosureShare, &parts)
}

fn second_base(chain: &Chain) -> RistrettoPoint {
    RistrettoPoint::from_uniform_bytes(&wide(chain, Tag::DisclosureBase, &[]))
}

fn wide_scalar(chain: &Chain, tag: Tag, parts: &[&[u8]]) -> Scalar {
    Scalar::from_bytes_mod_order_wide(&wide(chain, tag, parts))
}

fn wide(chain: &Chain, tag: Tag, parts: &[&[u8]]) -> [u8; 64] {
    let mut bytes = [0; 64];
    for (number, half) in (0u8..).zip(bytes.chunks_exact_mut(32)) {
        let number = [number];
        let mut all: Vec<&[u8]> = vec![&number];
        all.extend_from_slice(parts);
        half.copy_from_slice(&chain.hash(tag, &all));
    }
    bytes
}

fn point_of(bytes: &[u8; 32]) -> Option<RistrettoPoint> {
    CompressedRistretto(*bytes).decompress()
}

fn scalar_of(bytes: &[u8; 32]) -> Option<Scalar> {
    Scalar::from_canonical_bytes(*bytes).into()
}

fn xor(bytes: &mut [u8; 32], pad: &[u8; 32]) {
    bytes.iter_mut().zip(pad).for_each(|(byte, pad)| *byte ^= pad);
}
