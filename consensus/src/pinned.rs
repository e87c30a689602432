//! A peer's key by the operator's word, for a process whose chain is older than the participant update that named the key.
//!
//! Without it such a process knows its peers by keys that they no longer have, and never learns of the update that says so.

use ledger_types::keys::PublicKey;
use std::sync::{Arc, Mutex};

/// Counts until the directory names it; from then on the directory's keys count. Copies share that they have ended.
#[derive(Clone, Debug, Default)]
pub struct PinnedKey(Arc<Mutex<Option<PublicKey>>>);

impl PinnedKey {
    pub fn new(key: Option<PublicKey>) -> Self {
        PinnedKey(Arc::new(Mutex::new(key)))
    }

    /// The peer's key, when the directory names this one.
    pub fn or(&self, named: PublicKey) -> PublicKey {
        let mut pinned = self.0.lock().expect("no holder of a pinned key panics");
        if *pinned == Some(named) {
            tracing::info!(key = %named, "the directory names the pinned key: take it out of the configuration");
            *pinned = None;
        }
        pinned.unwrap_or(named)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_pinned_key_counts_until_the_directory_names_it() {
        let [old, pinned, next] = [1, 2, 3].map(|byte| PublicKey([byte; 32]));
        let key = PinnedKey::new(Some(pinned));
        assert_eq!([key.or(old), key.clone().or(pinned), key.or(next), key.or(old)], [pinned, pinned, next, old]);
        assert_eq!(PinnedKey::default().or(old), old);
    }
}
