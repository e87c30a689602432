//! The three outcomes of a check, and the numbered reasons of the third.
//!
//! A value that is *invalid* contradicts a rule whoever else signs; one with *not enough power* breaks no rule and lacks
//! signers. So power is judged last: `NotEnoughPower` means that all else holds.

use ledger_types::participant::SignerError;

/// What a check says of a proof.
#[derive(Clone, Debug, PartialEq, Eq)]
#[must_use]
pub enum Verdict<T> {
    Verified(T),
    /// Everything holds, but the signers have `have` of the power and a quorum takes `need`.
    NotEnoughPower {
        have: u64,
        need: u64,
    },
    Invalid(Reason),
}

impl<T> Verdict<T> {
    pub fn verified(self) -> Option<T> {
        match self {
            Verdict::Verified(value) => Some(value),
            Verdict::NotEnoughPower { .. } | Verdict::Invalid(_) => None,
        }
    }

    pub fn is_verified(&self) -> bool {
        matches!(self, Verdict::Verified(_))
    }

    pub fn map<U>(self, f: impl FnOnce(T) -> U) -> Verdict<U> {
        match self {
            Verdict::Verified(value) => Verdict::Verified(f(value)),
            Verdict::NotEnoughPower { have, need } => Verdict::NotEnoughPower { have, need },
            Verdict::Invalid(reason) => Verdict::Invalid(reason),
        }
    }
}

impl<T> From<Result<Verdict<T>, Reason>> for Verdict<T> {
    fn from(result: Result<Verdict<T>, Reason>) -> Self {
        result.unwrap_or_else(Verdict::Invalid)
    }
}

macro_rules! reasons {
    ($($(#[doc = $doc:literal])* $variant:ident = $number:literal, $code:literal),* $(,)?) => {
        /// Why a proof is invalid. The first check that fails names it (PROTOCOL.md, "Verifying").
        #[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
        #[repr(u16)]
        pub enum Reason { $($(#[doc = $doc])* $variant = $number),* }
        impl Reason {
            pub const ALL: &'static [Reason] = &[$(Reason::$variant),*];
            pub const fn number(self) -> u16 { self as u16 }
            /// Stable, for programs: `stale_root`.
            pub const fn code(self) -> &'static str { match self { $(Reason::$variant => $code),* } }
            /// For people.
            pub fn message(self) -> &'static str { match self { $(Reason::$variant => concat!($($doc),*).trim_ascii()),* } }
        }
    };
}

reasons! {
    /// The bytes are no proof.
    Malformed = 1, "malformed",
    /// It is of another chain: another genesis hash or another log origin.
    OtherChain = 2, "other_chain",
    /// The checkpoint is no signed note of origin, size and root.
    MalformedCheckpoint = 3, "malformed_checkpoint",
    /// The log has not signed the checkpoint.
    MissingLogSignature = 4, "missing_log_signature",
    /// A signature line under the log's name is not by the log's key.
    ForgedLogSignature = 5, "forged_log_signature",
    /// The state leaf is not the last leaf of the checkpoint's log.
    StaleRoot = 6, "stale_root",
    /// The state leaf names a validator set to which no verified hand-over leads.
    OmittedUpdate = 7, "omitted_update",
    /// The validator set that it names, or that signed it, was handed over to another.
    WrongSet = 8, "wrong_set",
    /// A signer is named twice.
    DuplicatedSigner = 9, "duplicated_signer",
    /// A signature line is neither by the log nor by a validator of the set.
    UnknownSigner = 10, "unknown_signer",
    /// A signature in a validator's name does not verify under its key.
    ForgedSigner = 11, "forged_signer",
    /// The map does not hold this record or entry, or does not lack it.
    WrongRecord = 12, "wrong_record",
    /// Another log root of the same size was accepted before, or the log did not grow from the one accepted before.
    SplitView = 13, "split_view",
    /// The proof that the log grew from what was accepted before is missing or has the wrong length.
    ConsistencyNotShown = 14, "consistency_not_shown",
    /// More was redeemed than issued.
    ImpossibleSupply = 15, "impossible_supply",
    /// The proof is of another coin or entry than the one asked for.
    OtherCoin = 16, "other_coin",
    /// The request is not in the log at this place.
    RequestNotLogged = 17, "request_not_logged",
    /// The request's epoch is over.
    RequestExpired = 18, "request_expired",
    /// The leaf is not in the log at this place.
    LeafNotLogged = 19, "leaf_not_logged",

    /// The commit certificate is of another block, or the header's version of the rules is 0, or an unknown one without a quorum.
    WrongBlock = 20, "wrong_block",
    /// The header does not continue the chain: height, parent or time.
    BrokenChain = 21, "broken_chain",
    /// The verdict on the envelope is not under the header's results root.
    WrongResult = 22, "wrong_result",
    /// The block refused the envelope.
    EnvelopeRefused = 23, "envelope_refused",
    /// A quorum decided the block under rules that are newer than this program: a newer program can verify it.
    UnknownRules = 24, "unknown_rules",

    /// The hand-over's number is not the next, or its block is not after the last hand-over's.
    HandOverNotNext = 30, "hand_over_not_next",
    /// The incoming set breaks a rule: repeated or unsound keys, no power, order.
    UnsoundSet = 31, "unsound_set",
    /// The hand-over moves a third of the power or more.
    TooMuchPowerMoved = 32, "too_much_power_moved",
    /// The officers' signatures are too few, repeated, out of order, or do not verify.
    NotAuthorized = 33, "not_authorized",
    /// The block that should bring the incoming set names another.
    HandOverNotDecided = 34, "hand_over_not_decided",

    /// The ownership proof answers another challenge.
    OtherChallenge = 40, "other_challenge",
    /// The challenge has expired.
    ChallengeExpired = 41, "challenge_expired",
    /// The owner tag that was shown is not the registered one.
    NotTheOwner = 42, "not_the_owner",
    /// The ownership signature does not verify.
    ForgedOwnership = 43, "forged_ownership",
}

impl std::fmt::Display for Reason {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "{} ({}): {}", self.code(), self.number(), self.message())
    }
}

impl std::error::Error for Reason {}

/// What a list of signatures amounts to: enough power, or too little, or a reason.
pub(crate) fn power_or_reason(checked: Result<(), SignerError>) -> Result<Option<u64>, Reason> {
    match checked {
        Ok(()) => Ok(None),
        Err(SignerError::NoQuorum { power, .. }) => Ok(Some(power)),
        Err(SignerError::NotAscending(_)) => Err(Reason::DuplicatedSigner),
        Err(SignerError::NotInTheSet(_)) => Err(Reason::UnknownSigner),
        Err(SignerError::SignatureInvalid(_)) => Err(Reason::ForgedSigner),
    }
}

/// The least power that is a quorum: more than two thirds.
pub(crate) fn quorum_of(total: u64) -> u64 {
    u64::try_from(u128::from(total) * 2 / 3 + 1).expect("two thirds of a u64 and one fit a u64")
}
