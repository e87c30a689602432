//! Who can read an envelope: channels, epochs, sealing, opening, key release (rules E).
//!
//! Pure: time and randomness come in as arguments, nothing is read or written. What must be durable before the next step is
//! a value here that the caller stores and hands back: [`counter::Reservation`], the records of [`sending::SendingEpoch`] and
//! [`receiving::ReceivingEpoch`].
//!
//! ```text
//! sender   make_offer ─▶ OfferedEpoch ─(all members' EpochAck)─▶ SendingEpoch ─ next_slot ─▶ SealingSlot ─ seal ─▶ Envelope, EnvelopeRoot
//! member   accept_offer ─▶ ReceivingEpoch ─(stored)─▶ acknowledge          HintWindow::find ─▶ open_with_epoch ─▶ mark_used
//! both     KeyRelease{envelope, root} ─▶ registration: first_matching ─▶ open_with_root
//! ```

pub mod kem;

pub mod counter;
pub mod epoch;
pub mod hint;
pub mod offer;
pub mod receiving;
pub mod sending;

pub mod officers;
pub mod open;
pub mod release;
pub mod root;
pub mod seal;

pub use epoch::{EPOCH_LIFETIME_MAX_MS, Epoch, EpochId, EpochKey};
pub use hint::{Found, HintWindow};
pub use kem::KemSecret;
pub use offer::{AckRefused, CannotOffer, EpochAck, Member, OfferTerms, OfferedEpoch, make_offer};
pub use officers::{
    CannotCombine, DisclosureKey, DisclosureKeyDocument, KeyRefused, OfficersAnswer, OfficersShare, SealedRoot,
};
pub use open::{CannotOpen, open_with_epoch, open_with_root};
pub use receiving::{OfferRefused, ReceivingEpoch, accept_offer};
pub use release::{KeyRelease, first_matching};
pub use root::EnvelopeRoot;
pub use seal::{Authorization, BankSecret, CannotSeal, Draft, Unauthorized, prepare, seal};
pub use sending::{NoSlot, SealingSlot, SendingEpoch};
