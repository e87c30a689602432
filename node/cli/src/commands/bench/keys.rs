//! Reads the key files of a bench's own cluster: encrypted PKCS#8, each folder's passphrase beside it.
//!
//! Only for clusters that the bench made itself and removes again; a bank's real keys stay with its node.

use crate::outcome::Failure;
use ledger_types::keys::SigningKey;
use std::path::Path;
use zeroize::Zeroizing;

const ED25519: pkcs8::ObjectIdentifier = pkcs8::ObjectIdentifier::new_unwrap("1.3.101.112");

/// `folder` is the process's: `keys/NAME.pem` and `passphrase` lie in it.
pub fn signing_key(folder: &Path, name: &str) -> Result<SigningKey, Failure> {
    let path = folder.join("keys").join(format!("{name}.pem"));
    let cannot =
        |cause: &dyn std::fmt::Display| Failure::usage(format!("cannot read the key {}: {cause}", path.display()));
    let passphrase = Zeroizing::new(std::fs::read(folder.join("passphrase")).map_err(|error| cannot(&error))?);
    let pem = Zeroizing::new(std::fs::read_to_string(&path).map_err(|error| cannot(&error))?);
    let (_, document) = pkcs8::SecretDocument::from_pem(&pem).map_err(|error| cannot(&error))?;
    let encrypted = pkcs8::EncryptedPrivateKeyInfo::try_from(document.as_bytes()).map_err(|error| cannot(&error))?;
    let plain = encrypted.decrypt(passphrase.trim_ascii_end()).map_err(|error| cannot(&error))?;
    let key = pkcs8::PrivateKeyInfo::try_from(plain.as_bytes()).map_err(|error| cannot(&error))?;
    // RFC 8410: the private key is an OCTET STRING of 32 bytes within the OCTET STRING.
    match key.private_key {
        [0x04, 0x20, seed @ ..] if key.algorithm.oid == ED25519 && seed.len() == 32 => {
            let seed: Zeroizing<[u8; 32]> = Zeroizing::new(seed.try_into().expect("32 bytes: matched above"));
            Ok(SigningKey::from_seed(&seed))
        }
        _ => Err(cannot(&"it holds another kind of key")),
    }
}
