//! Who may issue and redeem: the holder of the issue key. Who may recover: k of the genesis's n officers.

use crate::config::Config;
use crate::keys::{KeyError, KeyFolder, passphrase};
use crate::role::commercial_bank::DeskError;
use ledger_seal::{Authorization, Unauthorized};
use ledger_state::Rules;
use ledger_types::envelope::{OfficerSignature, OfficerSignatures};
use ledger_types::keys::SigningKey;
use ledger_types::participant::CentralBankKeys;
use ledger_types::{Chain, List};

/// The power to create and to retire money. Not `Clone`: the central bank's start makes the one there is.
pub struct IssuanceAuthority(SigningKey);

impl IssuanceAuthority {
    pub(super) fn open(keys: &KeyFolder, public: &CentralBankKeys) -> Result<Self, DeskError> {
        let key = keys.signing_key("issue")?;
        if key.public_key() != public.issue {
            return Err(DeskError::OtherKey("issue"));
        }
        Ok(IssuanceAuthority(key))
    }

    #[cfg(test)]
    pub(crate) fn of_key(key: SigningKey) -> Self {
        IssuanceAuthority(key)
    }

    pub(crate) fn authorize(&self, chain: &Chain, envelope: &Unauthorized) -> Authorization {
        Authorization::IssueKey(self.0.sign(&envelope.authorization_message(chain)))
    }
}

/// The officers who sit at this machine, by their index in the genesis, ascending.
pub(crate) struct Officers(Vec<(u8, SigningKey)>);

impl Officers {
    pub(super) fn open(config: &Config, rules: &Rules) -> Result<Self, DeskError> {
        let Some(folder) = &config.desk.officers else { return Ok(Officers(Vec::new())) };
        let folder = KeyFolder::new(folder, passphrase(config.passphrase_file.as_deref())?);
        let mut officers = Vec::new();
        for number in 1..=rules.genesis.officers.len() {
            let key = match folder.signing_key(&format!("officer-{number}")) {
                Ok(key) => key,
                // The others sit elsewhere.
                Err(KeyError::Io { source, .. }) if source.kind() == std::io::ErrorKind::NotFound => continue,
                Err(error) => return Err(error.into()),
            };
            officers.push(key);
        }
        Officers::of_keys(officers, rules).ok_or(DeskError::OtherKey("officer"))
    }

    /// `None` when a key is no officer's.
    pub(crate) fn of_keys(keys: Vec<SigningKey>, rules: &Rules) -> Option<Self> {
        let index = |key: &SigningKey| rules.genesis.officers.iter().position(|officer| *officer == key.public_key());
        let mut officers = Vec::new();
        for key in keys {
            officers.push((u8::try_from(index(&key)?).ok()?, key));
        }
        officers.sort_by_key(|(index, _)| *index);
        Some(Officers(officers))
    }

    pub(crate) fn are_enough(&self, rules: &Rules) -> bool {
        self.0.len() >= usize::from(rules.genesis.officer_threshold)
    }

    pub(crate) fn authorize(&self, chain: &Chain, rules: &Rules, envelope: &Unauthorized) -> Authorization {
        Authorization::Officers(self.sign(rules, &envelope.authorization_message(chain)))
    }

    /// As many as it takes.
    pub(crate) fn sign(&self, rules: &Rules, message: &[u8; 32]) -> OfficerSignatures {
        let threshold = usize::from(rules.genesis.officer_threshold);
        let signatures = self
            .0
            .iter()
            .take(threshold)
            .map(|(officer, key)| OfficerSignature { officer: *officer, signature: key.sign(message) });
        List::new(signatures.collect()).expect("a genesis has at most sixteen officers")
    }
}
