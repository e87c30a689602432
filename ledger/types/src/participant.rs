//! Directory entries (G-2): who takes part, with which keys, and the set of validators among them.

use crate::domain::{Chain, Tag};
use crate::encoding::{Decode, DecodeError, Encode, List, Octets, Reader, Text};
use crate::ids::{ParticipantNumber, ParticipantsHash, ValidatorSetHash};
use crate::keys::PublicKey;
use crate::layout;
use std::collections::BTreeSet;

/// X-Wing public keys have 1,216 bytes, X25519 keys 32.
pub const KEM_KEY_BYTES_MAX: usize = 1216;
pub const PARTICIPANTS_MAX: usize = 256;
/// Sums of power stay far from overflow.
pub const TOTAL_POWER_MAX: u64 = u32::MAX as u64;

/// A set of roles, one bit each; never empty.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct Roles(u8);

impl Roles {
    pub const VALIDATOR: Roles = Roles(1);
    pub const CENTRAL_BANK: Roles = Roles(2);
    pub const COMMERCIAL_BANK: Roles = Roles(4);
    pub const OBSERVER: Roles = Roles(8);
    pub const SWITCH: Roles = Roles(16);

    pub const fn and(self, other: Roles) -> Roles {
        Roles(self.0 | other.0)
    }

    pub const fn include(self, other: Roles) -> bool {
        self.0 & other.0 == other.0
    }

    const fn without(self, other: Roles) -> u8 {
        self.0 & !other.0
    }
}

impl Encode for Roles {
    fn encode(&self, out: &mut Vec<u8>) {
        out.push(self.0);
    }
}

impl Decode for Roles {
    fn decode(reader: &mut Reader<'_>) -> Result<Self, DecodeError> {
        match reader.read::<u8>()? {
            byte @ 1..=31 => Ok(Roles(byte)),
            byte => Err(DecodeError::UnknownValue { field: "roles", byte }),
        }
    }
}

/// One key a purpose; all differ (G-2).
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ParticipantKeys {
    /// Votes and proposals.
    pub consensus: PublicKey,
    /// Bundles and acks.
    pub bundle: PublicKey,
    /// Checkpoint cosignatures.
    pub cosign: PublicKey,
    /// Acceptances.
    pub desk: PublicKey,
    /// Epoch offers and their acknowledgements.
    pub offer: PublicKey,
    /// Bank links.
    pub link: PublicKey,
    /// The engine's network peer.
    pub engine_peer: PublicKey,
    /// The data plane's network peer.
    pub data_peer: PublicKey,
    /// The HPKE public key that epoch keys are sealed to. Its suite is the genesis's, so that a directory by itself knows only
    /// that these differ: whoever takes a key up checks [`crate::kem::public_key_is_sound`].
    pub kem: Octets<KEM_KEY_BYTES_MAX>,
}
layout!(ParticipantKeys { consensus, bundle, cosign, desk, offer, link, engine_peer, data_peer, kem });

impl ParticipantKeys {
    pub fn signing_keys(&self) -> [PublicKey; 8] {
        [self.consensus, self.bundle, self.cosign, self.desk, self.offer, self.link, self.engine_peer, self.data_peer]
    }
}

/// The keys that only the central bank has.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct CentralBankKeys {
    /// Signs checkpoints as the log (L-2).
    pub log: PublicKey,
    /// Signs confirmation batches; held by confirmation issuance.
    pub registration: PublicKey,
    /// Registration's end of the links over which banks release keys.
    pub registration_link: PublicKey,
    /// Authorises issue and redeem.
    pub issue: PublicKey,
}
layout!(CentralBankKeys { log, registration, registration_link, issue });

impl CentralBankKeys {
    pub fn signing_keys(&self) -> [PublicKey; 4] {
        [self.log, self.registration, self.registration_link, self.issue]
    }
}

#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Participant {
    pub number: ParticipantNumber,
    pub name: Text<32>,
    pub roles: Roles,
    /// Voting power; zero exactly for those who are no validators.
    pub power: u64,
    pub keys: ParticipantKeys,
    pub central_bank: Option<CentralBankKeys>,
}
layout!(Participant { number, name, roles, power, keys, central_bank });

impl Participant {
    pub fn is_validator(&self) -> bool {
        self.roles.include(Roles::VALIDATOR)
    }

    pub fn is_central_bank(&self) -> bool {
        self.roles.include(Roles::CENTRAL_BANK)
    }

    pub fn is_commercial_bank(&self) -> bool {
        self.roles.include(Roles::COMMERCIAL_BANK)
    }
}

/// What is wrong with a directory (G-2).
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum DirectoryError {
    #[error("participants are not strictly ascending by number")]
    NotAscending,
    #[error("participant {0} uses the reserved number")]
    ReservedNumber(ParticipantNumber),
    #[error("two keys of the directory are the same ({0})")]
    KeyRepeated(PublicKey),
    #[error("the key {0} is not a sound Ed25519 key")]
    KeyUnsound(PublicKey),
    #[error("participant {0}: voting power and the validator role do not agree")]
    PowerWithoutRole(ParticipantNumber),
    #[error("participant {0}: the central bank's keys and the central bank role do not agree")]
    CentralBankKeys(ParticipantNumber),
    #[error("there must be exactly one central bank, there are {0}")]
    CentralBanks(usize),
    #[error("the total voting power is zero or exceeds 2^32")]
    TotalPower,
    #[error("participant {0} repeats the KEM key of another")]
    KemKeyRepeated(ParticipantNumber),
    #[error("{0} participants exceed {PARTICIPANTS_MAX}")]
    TooMany(usize),
}

impl DirectoryError {
    /// The broken rule without the participant, for a decoder's error.
    const fn rule(&self) -> &'static str {
        match self {
            DirectoryError::NotAscending => "directory: the order of participants",
            DirectoryError::ReservedNumber(_) => "directory: a participant's number",
            DirectoryError::KeyRepeated(_) => "directory: a repeated key",
            DirectoryError::KeyUnsound(_) => "directory: an unsound key",
            DirectoryError::PowerWithoutRole(_) => "directory: power and role of a validator",
            DirectoryError::CentralBankKeys(_) => "directory: keys and role of the central bank",
            DirectoryError::CentralBanks(_) => "directory: the number of central banks",
            DirectoryError::TotalPower => "directory: the total power",
            DirectoryError::KemKeyRepeated(_) => "directory: a repeated KEM key",
            DirectoryError::TooMany(_) => "directory: the number of participants",
        }
    }
}

/// All participants, strictly ascending by number, checked by G-2.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Directory(List<Participant, PARTICIPANTS_MAX>);

impl Directory {
    pub fn new(participants: Vec<Participant>) -> Result<Self, DirectoryError> {
        // G-2
        if participants.len() > PARTICIPANTS_MAX {
            return Err(DirectoryError::TooMany(participants.len()));
        }
        if !participants.is_sorted_by(|a, b| a.number < b.number) {
            return Err(DirectoryError::NotAscending);
        }
        let mut seen = BTreeSet::new();
        let mut kem_keys = BTreeSet::new();
        let mut total: u64 = 0;
        for p in &participants {
            if p.number == ParticipantNumber::REGISTRATION {
                return Err(DirectoryError::ReservedNumber(p.number));
            }
            if p.is_validator() != (p.power > 0) {
                return Err(DirectoryError::PowerWithoutRole(p.number));
            }
            if p.is_central_bank() != p.central_bank.is_some() {
                return Err(DirectoryError::CentralBankKeys(p.number));
            }
            let central = p.central_bank.iter().flat_map(CentralBankKeys::signing_keys);
            for key in p.keys.signing_keys().into_iter().chain(central) {
                if !key.is_sound() {
                    return Err(DirectoryError::KeyUnsound(key));
                }
                if !seen.insert(key) {
                    return Err(DirectoryError::KeyRepeated(key));
                }
            }
            if !kem_keys.insert(&p.keys.kem[..]) {
                return Err(DirectoryError::KemKeyRepeated(p.number));
            }
            total = total.saturating_add(p.power);
        }
        if !(1..=TOTAL_POWER_MAX).contains(&total) {
            return Err(DirectoryError::TotalPower);
        }
        match participants.iter().filter(|p| p.is_central_bank()).count() {
            1 => {}
            count => return Err(DirectoryError::CentralBanks(count)),
        }
        Ok(Directory(List::new(participants).expect("the count was checked first")))
    }

    pub fn get(&self, number: ParticipantNumber) -> Option<&Participant> {
        self.0.binary_search_by_key(&number, |p| p.number).ok().map(|at| &self.0[at])
    }

    pub fn central_bank(&self) -> &Participant {
        self.0.iter().find(|p| p.is_central_bank()).expect("a directory has exactly one central bank")
    }

    pub fn central_bank_keys(&self) -> &CentralBankKeys {
        self.central_bank().central_bank.as_ref().expect("the central bank has its keys: checked by Directory::new")
    }

    pub fn iter(&self) -> impl Iterator<Item = &Participant> {
        self.0.iter()
    }

    pub fn validators(&self) -> ValidatorSet {
        ValidatorSet::of(self)
    }

    /// G-3: the lines of the set are validators with its power. Any other validator's line loses both, and observes.
    pub fn with_validators(&self, set: &ValidatorSet) -> Result<Self, DirectoryError> {
        let line = |line: &Participant| {
            let (roles, power) = match set.get(line.number) {
                Some(validator) => (line.roles.and(Roles::VALIDATOR), validator.power),
                None if line.is_validator() => (Roles(line.roles.without(Roles::VALIDATOR)).and(Roles::OBSERVER), 0),
                None => (line.roles, 0),
            };
            Participant { roles, power, ..line.clone() }
        };
        Directory::new(self.iter().map(line).collect())
    }

    /// The key that signs the bundles of a lane; the registration lane's is the central bank's registration key.
    pub fn bundle_key(&self, submitter: ParticipantNumber) -> Option<PublicKey> {
        if submitter == ParticipantNumber::REGISTRATION {
            return Some(self.central_bank_keys().registration);
        }
        self.get(submitter).map(|p| p.keys.bundle)
    }

    pub fn hash(&self, chain: &Chain) -> ParticipantsHash {
        ParticipantsHash(chain.hash(Tag::Participants, &[&self.0.to_bytes()]))
    }
}

impl Encode for Directory {
    fn encode(&self, out: &mut Vec<u8>) {
        self.0.encode(out);
    }
}

impl Decode for Directory {
    fn decode(reader: &mut Reader<'_>) -> Result<Self, DecodeError> {
        let list: List<Participant, PARTICIPANTS_MAX> = reader.read()?;
        Directory::new(list.into_vec()).map_err(|error| DecodeError::NotCanonical(error.rule()))
    }
}

#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Validator {
    pub number: ParticipantNumber,
    pub power: u64,
    pub consensus: PublicKey,
    /// Signs acks of bundles.
    pub bundle: PublicKey,
    pub cosign: PublicKey,
}
layout!(Validator { number, power, consensus, bundle, cosign });

/// Those who vote, ascending by number.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ValidatorSet(List<Validator, PARTICIPANTS_MAX>);

impl ValidatorSet {
    fn of(directory: &Directory) -> Self {
        let validators = directory
            .iter()
            .filter(|p| p.is_validator())
            .map(|p| Validator {
                number: p.number,
                power: p.power,
                consensus: p.keys.consensus,
                bundle: p.keys.bundle,
                cosign: p.keys.cosign,
            })
            .collect();
        ValidatorSet(List::new(validators).expect("no longer than the directory"))
    }

    pub fn iter(&self) -> impl Iterator<Item = &Validator> {
        self.0.iter()
    }

    pub fn len(&self) -> usize {
        self.0.len()
    }

    pub fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    pub fn get(&self, number: ParticipantNumber) -> Option<&Validator> {
        self.0.binary_search_by_key(&number, |v| v.number).ok().map(|at| &self.0[at])
    }

    pub fn total_power(&self) -> u64 {
        self.0.iter().map(|v| v.power).sum()
    }

    /// More than two thirds of the power.
    pub fn is_quorum(&self, power: u64) -> bool {
        u128::from(power) * 3 > u128::from(self.total_power()) * 2
    }

    pub fn hash(&self, chain: &Chain) -> ValidatorSetHash {
        ValidatorSetHash(chain.hash(Tag::ValidatorSet, &[&self.0.to_bytes()]))
    }

    /// The power behind `signatures`, each over its own message: every signer must be of the set, be named once in ascending
    /// order, and verify; otherwise the whole list is refused.
    pub fn power_of<'a>(
        &self,
        signatures: impl IntoIterator<Item = &'a SignedBy>,
        key: impl Fn(&Validator) -> PublicKey,
        message: impl Fn(ParticipantNumber) -> [u8; 32],
    ) -> Result<u64, SignerError> {
        let (mut power, mut last) = (0, None);
        for SignedBy { signer, signature } in signatures {
            if last.is_some_and(|last| last >= *signer) {
                return Err(SignerError::NotAscending(*signer));
            }
            last = Some(*signer);
            let validator = self.get(*signer).ok_or(SignerError::NotInTheSet(*signer))?;
            if !key(validator).verify(&message(*signer), signature) {
                return Err(SignerError::SignatureInvalid(*signer));
            }
            power += validator.power;
        }
        Ok(power)
    }
}

impl Encode for ValidatorSet {
    fn encode(&self, out: &mut Vec<u8>) {
        self.0.encode(out);
    }
}

impl Decode for ValidatorSet {
    fn decode(reader: &mut Reader<'_>) -> Result<Self, DecodeError> {
        let list: List<Validator, PARTICIPANTS_MAX> = reader.read()?;
        if !list.is_sorted_by(|a, b| a.number < b.number) {
            return Err(DecodeError::NotCanonical("validator set: the order of validators"));
        }
        let total = list.iter().fold(0u64, |total, v| total.saturating_add(v.power));
        if list.iter().any(|v| v.power == 0) || !(1..=TOTAL_POWER_MAX).contains(&total) {
            return Err(DecodeError::NotCanonical("validator set: the power"));
        }
        Ok(ValidatorSet(list))
    }
}

/// One signature of a list that counts towards a quorum.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct SignedBy {
    pub signer: ParticipantNumber,
    pub signature: crate::keys::Signature,
}
layout!(SignedBy { signer, signature });

#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum SignerError {
    #[error("signer {0} is named twice or out of order")]
    NotAscending(ParticipantNumber),
    #[error("signer {0} is not a validator of the set")]
    NotInTheSet(ParticipantNumber),
    #[error("the signature of {0} does not verify")]
    SignatureInvalid(ParticipantNumber),
    #[error("the signers hold {power} of {total}: no quorum")]
    NoQuorum { power: u64, total: u64 },
}
