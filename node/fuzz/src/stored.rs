//! What is read back from a disk that may have rotted: rows, a backup's manifest, the engine's log, the guards.

use consensus::engine::wal::Wal;
use consensus::guard::SigningGuard;
use ledger_store::{AckGuard, Bincode, Format};
use ledger_types::keys::SigningKey;
use node::backup::Manifest;
use std::collections::BTreeMap;
use std::fs;

fn is_row<V>(bytes: &[u8]) -> bool
where
    Bincode: Format<V>,
{
    let Ok(value) = <Bincode as Format<V>>::decode(bytes) else { return false };
    let mut again = Vec::new();
    <Bincode as Format<V>>::encode(&value, &mut again).expect("what was read can be written");
    // A key that stands in a map twice stands there once afterwards.
    assert!(again.len() <= bytes.len(), "nothing was made up");
    true
}

fn is_manifest(bytes: &[u8]) -> bool {
    let Some(manifest) = std::str::from_utf8(bytes).ok().and_then(Manifest::parse) else { return false };
    assert_eq!(manifest.text().as_bytes(), bytes, "one text a manifest");
    true
}

/// The shapes that rows of bincode are made of, and what lies beside a backup's files.
pub(crate) fn row(bytes: &[u8]) -> bool {
    is_row::<Vec<u8>>(bytes)
        | is_row::<(u64, Option<[u8; 32]>, String)>(bytes)
        | is_row::<Vec<(u16, Vec<u8>)>>(bytes)
        | is_row::<BTreeMap<u32, String>>(bytes)
        | is_manifest(bytes)
}

pub(crate) fn wal(bytes: &[u8]) -> bool {
    let folder = tempfile::tempdir().expect("a folder");
    let path = folder.path().join("log");
    fs::write(&path, bytes).expect("a file");
    let Ok((_, recovered)) = Wal::open(&path) else { return false };
    recovered.height.is_some()
}

pub(crate) fn guard(bytes: &[u8]) -> bool {
    let folder = tempfile::tempdir().expect("a folder");
    let path = folder.path().join("guard");
    fs::write(&path, bytes).expect("a file");
    let key = SigningKey::from_seed(&[1; 32]).public_key();
    let chain = crate::ledger::chain();
    SigningGuard::open(&path, &chain, key).is_ok() | AckGuard::open(&path, chain.genesis_hash()).is_ok()
}
