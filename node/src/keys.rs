//! Key files: one encrypted PKCS#8 PEM a key, which `openssl pkey` reads.
//!
//! A file must be a regular file of mode 0600 that belongs to nobody else, encrypted; anything else is refused before it is
//! read. Secrets are wiped when they are dropped and never printed. No running node creates a key: `init-cluster` does.

use ledger_types::keys::SigningKey;
use pkcs8::pkcs5::{pbes2, scrypt};
use pkcs8::{AlgorithmIdentifierRef, ObjectIdentifier, PrivateKeyInfo};
use rand::RngCore;
use std::fs;
use std::io::Write;
use std::os::unix::fs::{MetadataExt, OpenOptionsExt, PermissionsExt};
use std::path::{Path, PathBuf};
use zeroize::Zeroizing;

const ED25519: ObjectIdentifier = ObjectIdentifier::new_unwrap("1.3.101.112");
const X25519: ObjectIdentifier = ObjectIdentifier::new_unwrap("1.3.101.110");
/// scrypt with N = 2^13, r = 8, p = 1 takes 8 MiB and about 20 ms a key: a node opens ten keys at start, and its passphrase is
/// 256 random bits. An operator who types a passphrase re-encrypts the files with `openssl pkcs8 -topk8 -scrypt`.
const SCRYPT_LOG_N: u8 = 13;
const KEY_FILE_BYTES_MAX: u64 = 16 << 10;

#[derive(Debug, thiserror::Error)]
pub enum KeyError {
    #[error("cannot use the key file {path}: {source}")]
    Io { path: PathBuf, source: std::io::Error },
    #[error("{path} is a link or no regular file; put the key itself there")]
    NotAFile { path: PathBuf },
    #[error("{path} can be read by others (mode {mode:o}); run: chmod 600 {path}")]
    Mode { path: PathBuf, mode: u32 },
    #[error("{path} belongs to another user")]
    Owner { path: PathBuf },
    #[error("{path} is not encrypted; run: openssl pkcs8 -topk8 -scrypt -in {path} -out {path}.new")]
    NotEncrypted { path: PathBuf },
    #[error("{path} is no encrypted PKCS#8 key, or the passphrase is wrong")]
    CannotOpen { path: PathBuf },
    #[error("{path} holds another kind of key")]
    WrongKind { path: PathBuf },
    #[error("{path} exists; keys are never overwritten")]
    Exists { path: PathBuf },
    #[error("no passphrase: set passphrase_file in the configuration or the variable ASSAY_PASSPHRASE")]
    NoPassphrase,
}

pub type Passphrase = Zeroizing<Vec<u8>>;

/// Refuses a secret file that others could read or have put there.
pub fn read_secret_file(path: &Path) -> Result<Zeroizing<Vec<u8>>, KeyError> {
    let io = |source| KeyError::Io { path: path.to_owned(), source };
    let meta = fs::symlink_metadata(path).map_err(io)?;
    if !meta.file_type().is_file() || meta.len() > KEY_FILE_BYTES_MAX {
        return Err(KeyError::NotAFile { path: path.to_owned() });
    }
    if meta.permissions().mode() & 0o077 != 0 {
        return Err(KeyError::Mode { path: path.to_owned(), mode: meta.permissions().mode() & 0o777 });
    }
    // The process's own user, read off its own /proc entry.
    let me = fs::metadata("/proc/self").map_err(io)?.uid();
    if meta.uid() != me {
        return Err(KeyError::Owner { path: path.to_owned() });
    }
    Ok(Zeroizing::new(fs::read(path).map_err(io)?))
}

pub fn write_secret_file(path: &Path, bytes: &[u8]) -> Result<(), KeyError> {
    let io = |source| KeyError::Io { path: path.to_owned(), source };
    let file = fs::OpenOptions::new().write(true).create_new(true).mode(0o600).open(path);
    let mut file = match file {
        Err(error) if error.kind() == std::io::ErrorKind::AlreadyExists => {
            return Err(KeyError::Exists { path: path.to_owned() });
        }
        other => other.map_err(io)?,
    };
    file.write_all(bytes).map_err(io)?;
    file.sync_all().map_err(io)
}

pub fn passphrase(file: Option<&Path>) -> Result<Passphrase, KeyError> {
    if let Some(file) = file {
        let mut bytes = read_secret_file(file)?;
        while bytes.last().is_some_and(u8::is_ascii_whitespace) {
            bytes.pop();
        }
        return Ok(bytes);
    }
    match std::env::var("ASSAY_PASSPHRASE") {
        Ok(text) => Ok(Zeroizing::new(text.into_bytes())),
        Err(_) => Err(KeyError::NoPassphrase),
    }
}

/// A folder of key files and the passphrase that opens them.
pub struct KeyFolder {
    folder: PathBuf,
    passphrase: Passphrase,
}

impl KeyFolder {
    pub fn new(folder: &Path, passphrase: Passphrase) -> Self {
        KeyFolder { folder: folder.to_owned(), passphrase }
    }

    pub fn signing_key(&self, name: &str) -> Result<SigningKey, KeyError> {
        Ok(SigningKey::from_seed(&*self.seed(name, ED25519)?))
    }

    /// A 32-byte secret that is no signing key: KEM seeds and storage keys.
    pub fn secret(&self, name: &str) -> Result<Zeroizing<[u8; 32]>, KeyError> {
        self.seed(name, X25519)
    }

    pub fn create_signing_key(&self, name: &str) -> Result<SigningKey, KeyError> {
        Ok(SigningKey::from_seed(&*self.create(name, ED25519)?))
    }

    pub fn create_secret(&self, name: &str) -> Result<Zeroizing<[u8; 32]>, KeyError> {
        self.create(name, X25519)
    }

    /// Stores a secret that another process shares.
    pub fn import_secret(&self, name: &str, secret: &[u8; 32]) -> Result<(), KeyError> {
        self.store(name, X25519, secret)
    }

    fn path(&self, name: &str) -> PathBuf {
        self.folder.join(format!("{name}.pem"))
    }

    fn seed(&self, name: &str, kind: ObjectIdentifier) -> Result<Zeroizing<[u8; 32]>, KeyError> {
        let path = self.path(name);
        let pem = read_secret_file(&path)?;
        let text = std::str::from_utf8(&pem).map_err(|_| KeyError::CannotOpen { path: path.clone() })?;
        if text.contains("BEGIN PRIVATE KEY") {
            return Err(KeyError::NotEncrypted { path });
        }
        let cannot_open = || KeyError::CannotOpen { path: path.clone() };
        let (_, document) = pkcs8::SecretDocument::from_pem(text).map_err(|_| cannot_open())?;
        let encrypted = pkcs8::EncryptedPrivateKeyInfo::try_from(document.as_bytes()).map_err(|_| cannot_open())?;
        let plain = encrypted.decrypt(&self.passphrase).map_err(|_| cannot_open())?;
        let info = PrivateKeyInfo::try_from(plain.as_bytes()).map_err(|_| cannot_open())?;
        if info.algorithm.oid != kind {
            return Err(KeyError::WrongKind { path });
        }
        // RFC 8410: the private key is an OCTET STRING of 32 bytes within the OCTET STRING.
        match info.private_key {
            [0x04, 0x20, seed @ ..] if seed.len() == 32 => {
                Ok(Zeroizing::new(seed.try_into().expect("32 bytes: matched above")))
            }
            _ => Err(KeyError::WrongKind { path }),
        }
    }

    fn create(&self, name: &str, kind: ObjectIdentifier) -> Result<Zeroizing<[u8; 32]>, KeyError> {
        let mut seed = Zeroizing::new([0u8; 32]);
        rand::rngs::OsRng.fill_bytes(&mut *seed);
        self.store(name, kind, &seed)?;
        Ok(seed)
    }

    fn store(&self, name: &str, kind: ObjectIdentifier, seed: &[u8; 32]) -> Result<(), KeyError> {
        let path = self.path(name);
        fs::create_dir_all(&self.folder).map_err(|source| KeyError::Io { path: self.folder.clone(), source })?;
        fs::set_permissions(&self.folder, fs::Permissions::from_mode(0o700))
            .map_err(|source| KeyError::Io { path: self.folder.clone(), source })?;
        let mut rng = rand::rngs::OsRng;
        let mut wrapped = Zeroizing::new([0u8; 34]);
        wrapped[..2].copy_from_slice(&[0x04, 0x20]);
        wrapped[2..].copy_from_slice(seed);
        let (mut salt, mut iv) = ([0u8; 16], [0u8; 16]);
        rng.fill_bytes(&mut salt);
        rng.fill_bytes(&mut iv);
        let cost = scrypt::Params::new(SCRYPT_LOG_N, 8, 1, 32).expect("these parameters lie in scrypt's range");
        let scheme =
            pbes2::Parameters::scrypt_aes256cbc(cost, &salt, &iv).expect("these parameters lie in PBES2's range");
        let info = PrivateKeyInfo::new(AlgorithmIdentifierRef { oid: kind, parameters: None }, &*wrapped);
        let cannot = || KeyError::CannotOpen { path: path.clone() };
        let encrypted = info.encrypt_with_params(scheme, &self.passphrase).map_err(|_| cannot())?;
        let pem = encrypted.to_pem("ENCRYPTED PRIVATE KEY", pkcs8::LineEnding::LF).map_err(|_| cannot())?;
        write_secret_file(&path, pem.as_bytes())
    }
}
