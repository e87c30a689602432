//! One owner key a coin, derived from the wallet's seed (C-6).

use ledger_types::keys::SigningKey;
use zeroize::Zeroizing;

/// The key pair `index` of a wallet. The vault's key 0 owns the bank's pre-issued coins.
pub fn owner_key(seed: &[u8; 32], index: u64) -> SigningKey {
    let mut material = Zeroizing::new([0u8; 40]);
    material[..32].copy_from_slice(seed);
    material[32..].copy_from_slice(&index.to_le_bytes());
    SigningKey::from_seed(&Zeroizing::new(blake3::derive_key("assay wallet owner key v1", &*material)))
}
