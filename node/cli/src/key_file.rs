//! Key files as a node takes them: one encrypted PKCS#8 PEM a key, a regular file of mode 0600 of the own user.
//!
//! A secret leaves this module only as a key that wipes itself; nothing here prints one.

use crate::outcome::Failure;
use ledger_types::keys::SigningKey;
use std::fmt;
use std::os::unix::fs::{MetadataExt, PermissionsExt};
use std::path::{Path, PathBuf};
use zeroize::Zeroizing;

const ED25519: pkcs8::ObjectIdentifier = pkcs8::ObjectIdentifier::new_unwrap("1.3.101.112");
/// Also what 32-byte secrets that are no signing keys are stored as.
const X25519: pkcs8::ObjectIdentifier = pkcs8::ObjectIdentifier::new_unwrap("1.3.101.110");
const KEY_FILE_BYTES_MAX: u64 = 16 << 10;

pub type Passphrase = Zeroizing<Vec<u8>>;

pub enum Key {
    Signing(SigningKey),
    /// A KEM's seed, or a symmetric key.
    Secret(Zeroizing<[u8; 32]>),
}

/// Why a node would not take a key file.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Fault {
    Io(String),
    NotAFile,
    Mode(u32),
    Owner,
    NotEncrypted,
    NoPassphrase,
    CannotOpen,
    OtherKind,
}

impl Fault {
    pub fn code(&self) -> &'static str {
        match self {
            Fault::Io(_) => "io",
            Fault::NotAFile => "not_a_file",
            Fault::Mode(_) => "mode",
            Fault::Owner => "owner",
            Fault::NotEncrypted => "not_encrypted",
            Fault::NoPassphrase => "no_passphrase",
            Fault::CannotOpen => "cannot_open",
            Fault::OtherKind => "other_kind",
        }
    }
}

impl fmt::Display for Fault {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Fault::Io(cause) => f.write_str(cause),
            Fault::NotAFile => f.write_str("it is a link or no regular file"),
            Fault::Mode(mode) => write!(f, "others can read it (mode {mode:04o}); run: chmod 600"),
            Fault::Owner => f.write_str("it belongs to another user"),
            Fault::NotEncrypted => f.write_str("it is not encrypted; run: openssl pkcs8 -topk8 -scrypt"),
            Fault::NoPassphrase => f.write_str("no passphrase: --passphrase-file, or the variable ASSAY_PASSPHRASE"),
            Fault::CannotOpen => f.write_str("it is no encrypted PKCS#8 key, or the passphrase is another one"),
            Fault::OtherKind => f.write_str("it holds another kind of key"),
        }
    }
}

/// One file of a key folder, looked at without changing anything.
pub struct KeyFile {
    pub name: String,
    pub path: PathBuf,
    pub mode: u32,
    pub encrypted: bool,
    pub key: Option<Key>,
    /// Empty when a node would take it.
    pub faults: Vec<Fault>,
}

impl KeyFile {
    pub fn inspect(path: &Path, passphrase: Option<&[u8]>) -> KeyFile {
        let name = path.file_stem().unwrap_or_default().to_string_lossy().into_owned();
        let mut file =
            KeyFile { name, path: path.to_owned(), mode: 0, encrypted: false, key: None, faults: Vec::new() };
        if let Err(fault) = file.look(passphrase) {
            file.faults.push(fault);
        }
        file
    }

    /// The file's own faults are gathered; the first that keeps the key shut ends it.
    fn look(&mut self, passphrase: Option<&[u8]>) -> Result<(), Fault> {
        self.faults.extend(safety(&self.path, &mut self.mode)?);
        let pem = read(&self.path)?;
        self.encrypted = pem.starts_with("-----BEGIN ENCRYPTED PRIVATE KEY-----");
        if pem.contains("BEGIN PRIVATE KEY") {
            return Err(Fault::NotEncrypted);
        }
        self.key = Some(open(&pem, passphrase.ok_or(Fault::NoPassphrase)?)?);
        Ok(())
    }
}

/// What is wrong with the file itself, whatever is in it; an error when it must not even be read.
pub fn safety(path: &Path, mode: &mut u32) -> Result<Vec<Fault>, Fault> {
    let io = |error: std::io::Error| Fault::Io(error.to_string());
    let meta = std::fs::symlink_metadata(path).map_err(io)?;
    if !meta.file_type().is_file() || meta.len() > KEY_FILE_BYTES_MAX {
        return Err(Fault::NotAFile);
    }
    *mode = meta.permissions().mode() & 0o777;
    let me = std::fs::metadata("/proc/self").map_err(io)?.uid();
    let mut faults = Vec::new();
    if *mode & 0o077 != 0 {
        faults.push(Fault::Mode(*mode));
    }
    if meta.uid() != me {
        faults.push(Fault::Owner);
    }
    Ok(faults)
}

fn read(path: &Path) -> Result<Zeroizing<String>, Fault> {
    let bytes = Zeroizing::new(std::fs::read(path).map_err(|error| Fault::Io(error.to_string()))?);
    let text = std::str::from_utf8(&bytes).map_err(|_| Fault::CannotOpen)?;
    Ok(Zeroizing::new(text.to_owned()))
}

fn open(pem: &str, passphrase: &[u8]) -> Result<Key, Fault> {
    let (_, document) = pkcs8::SecretDocument::from_pem(pem).map_err(|_| Fault::CannotOpen)?;
    let encrypted = pkcs8::EncryptedPrivateKeyInfo::try_from(document.as_bytes()).map_err(|_| Fault::CannotOpen)?;
    let plain = encrypted.decrypt(passphrase).map_err(|_| Fault::CannotOpen)?;
    let key = pkcs8::PrivateKeyInfo::try_from(plain.as_bytes()).map_err(|_| Fault::CannotOpen)?;
    // RFC 8410: the private key is an OCTET STRING of 32 bytes within the OCTET STRING.
    let seed: Zeroizing<[u8; 32]> = match key.private_key {
        [0x04, 0x20, seed @ ..] if seed.len() == 32 => Zeroizing::new(seed.try_into().expect("32 bytes: just checked")),
        _ => return Err(Fault::OtherKind),
    };
    match key.algorithm.oid {
        ED25519 => Ok(Key::Signing(SigningKey::from_seed(&seed))),
        X25519 => Ok(Key::Secret(seed)),
        _ => Err(Fault::OtherKind),
    }
}

pub fn read_passphrase(path: &Path) -> Result<Passphrase, Failure> {
    let mut bytes = Zeroizing::new(std::fs::read(path).map_err(|error| Failure::file(path, error))?);
    while bytes.last().is_some_and(u8::is_ascii_whitespace) {
        bytes.pop();
    }
    Ok(bytes)
}

/// The key in a file that a node would take.
pub fn key(path: &Path, passphrase: &[u8]) -> Result<Key, Failure> {
    let mut file = KeyFile::inspect(path, Some(passphrase));
    match (file.key.take(), file.faults.first()) {
        (Some(key), None) => Ok(key),
        (_, Some(fault)) => Err(Failure::file(path, fault)),
        (None, None) => Err(Failure::file(path, Fault::CannotOpen)),
    }
}

/// A signing key of a local cluster: `folder` is the process's, with `keys/NAME.pem` and `passphrase` in it. A bank's real keys
/// stay with its node.
pub fn signing_key(folder: &Path, name: &str) -> Result<SigningKey, Failure> {
    signing_key_in(&folder.join("keys"), name, &read_passphrase(&folder.join("passphrase"))?)
}

/// From a key folder whose passphrase lies elsewhere.
pub fn signing_key_in(folder: &Path, name: &str, passphrase: &[u8]) -> Result<SigningKey, Failure> {
    let path = folder.join(format!("{name}.pem"));
    match read(&path).and_then(|pem| open(&pem, passphrase)) {
        Ok(Key::Signing(key)) => Ok(key),
        Ok(Key::Secret(_)) => Err(Failure::file(&path, Fault::OtherKind)),
        Err(fault) => Err(Failure::file(&path, fault)),
    }
}
