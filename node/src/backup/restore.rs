//! Puts a backup back into a state that is absent or empty.

use super::copy;
use super::make::{beside, copy_file, io, is_taken, put_in_place, read_config};
use super::manifest::{self, Manifest};
use super::{Progress, Refusal};
use crate::clock::now_ms;
use crate::config::Config;
use crate::guards;
use ledger_store::{OpenError, Store, StoreOptions};
use ledger_types::genesis::Genesis;
use std::fs::{self, File};
use std::io::{ErrorKind, Write};
use std::path::{Path, PathBuf};

/// In the state's folder: the millisecond at which it was put back.
const RESTORED_FILE: &str = "restored";

/// What was put back, and what an operator has to do before the node signs again.
#[derive(Debug)]
pub struct Restored {
    pub manifest: Manifest,
    /// Guards that are not there, and what the node does not do without each.
    pub missing: Vec<(PathBuf, &'static str)>,
}

/// When this state was put back from a backup; 0: never.
pub fn restored_ms(state: &Path) -> std::io::Result<u64> {
    match fs::read_to_string(state.join(RESTORED_FILE)) {
        Ok(text) => text.trim().parse().map_err(|_| std::io::Error::other("the file `restored` holds no time")),
        Err(error) if error.kind() == ErrorKind::NotFound => Ok(0),
        Err(error) => Err(error),
    }
}

/// `guards_are_current`: the operator knows that the guards beside the keys never left this machine, so they say all that their
/// keys have signed. Without it they must not be there.
pub fn restore(
    config: &Path,
    from: &Path,
    guards_are_current: bool,
    progress: Progress<'_>,
) -> Result<Restored, Refusal> {
    let (config, genesis) = read_config(config)?;
    let manifest = fs::read_to_string(from.join(manifest::FILE)).ok();
    let manifest = manifest.and_then(|text| Manifest::parse(&text));
    let manifest = manifest.ok_or_else(|| Refusal::NoManifest(from.to_owned()))?;
    if manifest.chain != genesis.hash() {
        let (found, expected) = (manifest.chain.to_string(), genesis.hash().to_string());
        return Err(Refusal::OtherChain { found, expected });
    }
    if manifest.participant != config.me() {
        let (found, expected) = (manifest.participant.0, config.participant);
        return Err(Refusal::OtherParticipant { found, expected });
    }
    if is_taken(&config.state)? {
        return Err(Refusal::StateThere(config.state));
    }
    let participant = genesis.directory.get(config.me());
    let participant =
        participant.ok_or_else(|| Refusal::Configuration("this participant is not in the genesis".into()))?;
    let there = guards::present(&config.keys, participant);
    if !there.is_empty() && !guards_are_current {
        return Err(Refusal::GuardsThere(there));
    }

    let building = beside(&config.state, ".restoring");
    remove(&building)?;
    let built = build(&config, &genesis, &manifest, (from, &building), progress);
    if built.is_err() {
        remove(&building)?;
    }
    built?;
    put_in_place(&building, &config.state)?;
    Ok(Restored { manifest, missing: guards::missing(&config.keys, participant) })
}

fn remove(building: &Path) -> Result<(), Refusal> {
    match fs::remove_dir_all(building) {
        Err(error) if error.kind() != ErrorKind::NotFound => Err(io(building)(error)),
        _ => Ok(()),
    }
}

/// The state beside its place: every byte as it was taken, its ledger proved, on disk.
fn build(
    config: &Config,
    genesis: &Genesis,
    manifest: &Manifest,
    (from, building): (&Path, &Path),
    progress: Progress<'_>,
) -> Result<(), Refusal> {
    let (total, mut done) = (manifest.bytes(), 0);
    for entry in &manifest.files {
        let path = from.join(&entry.path);
        let differs = |fault: &str| Refusal::FileDiffers { path: path.clone(), fault: fault.to_owned() };
        if !path.is_file() {
            return Err(differs("it is missing"));
        }
        let copied = copy_file(&path, &building.join(&entry.path), &mut |bytes| {
            done += bytes;
            progress(done, total);
        })?;
        if copied != (entry.hash, entry.bytes) {
            return Err(differs("its bytes have another hash"));
        }
    }

    let ledger = building.join(copy::LEDGER);
    let failed = |error: OpenError| Refusal::Ledger(format!("{error}. {}", error.hint()));
    let acks = guards::acks(&config.keys, genesis).map_err(|fault| Refusal::Configuration(fault.to_string()))?;
    if let Some(guard) = &acks {
        ledger_store::note_earlier_acks(&ledger, guard).map_err(failed)?;
    }
    // As a start would: the height is proved from the genesis.
    drop(Store::open(&ledger, genesis.clone(), StoreOptions::default(), acks).map_err(failed)?);

    let path = building.join(RESTORED_FILE);
    let mut file = File::create_new(&path).map_err(io(&path))?;
    file.write_all(now_ms().to_string().as_bytes()).and_then(|()| file.sync_all()).map_err(io(&path))
}
