//! What only the central bank's desk does: issue, redeem, recover, return, reclaim, and what its officers order; and its
//! validator's blocks for registration.
//!
//! Authority is a value: [`IssuanceAuthority`] is made at the central bank's start, from its issue key, and nowhere else.

mod authority;
mod blocks;
mod issue;
mod orders;
mod reclaim;
mod recover;
mod redeem;
mod return_;

pub use authority::IssuanceAuthority;
pub(crate) use authority::Officers;
pub(crate) use blocks::Blocks;
pub(crate) use recover::worth_of;
pub(crate) use return_::over;

use crate::config::Config;
use crate::keys::KeyFolder;
use crate::role::commercial_bank::DeskError;
use ledger_state::Rules;
use ledger_types::participant::CentralBankKeys;

pub(crate) struct CentralBankDesk {
    pub(crate) authority: IssuanceAuthority,
    pub(crate) officers: Officers,
    /// Issue numbers are dense: one issue at a time.
    pub(crate) issuing: tokio::sync::Mutex<()>,
}

impl CentralBankDesk {
    pub fn open(config: &Config, keys: &KeyFolder, public: &CentralBankKeys, rules: &Rules) -> Result<Self, DeskError> {
        let authority = IssuanceAuthority::open(keys, public)?;
        let officers = Officers::open(config, rules)?;
        Ok(CentralBankDesk { authority, officers, issuing: tokio::sync::Mutex::new(()) })
    }
}
