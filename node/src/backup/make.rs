//! Makes a backup: asks a running node for a copy of its state, or makes the copy where the node stands still, and takes it away.

use super::copy::{self, Sources};
use super::manifest::{self, Entry, Manifest};
use super::{Progress, Refusal};
use crate::clock::now_ms;
use crate::config::{Config, RoleName};
use crate::keys::read_secret_file;
use crate::role::commercial_bank::open_database;
use crate::start::read_genesis;
use ledger_store::{OpenError, Store, StoreOptions};
use ledger_types::genesis::Genesis;
use ledger_types::{GenesisHash, Height, ParticipantNumber};
use node_api::Client;
use std::fs::{self, File, TryLockError};
use std::io::{Read, Write};
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex};

const BUFFER_BYTES: usize = 1 << 20;

pub(super) fn io(path: &Path) -> impl FnOnce(std::io::Error) -> Refusal + use<> {
    let path = path.to_owned();
    move |source| Refusal::Io { path, source }
}

pub(super) fn read_config(path: &Path) -> Result<(Config, Genesis), Refusal> {
    let config = Config::read(path).map_err(|error| Refusal::Configuration(error.to_string()))?;
    if matches!(config.role, RoleName::Registration | RoleName::ConfirmationIssuance) {
        return Err(Refusal::Role(config.role.as_str()));
    }
    let genesis = read_genesis(&config).map_err(|error| Refusal::Configuration(error.to_string()))?;
    Ok((config, genesis))
}

/// Whether something lies there.
pub(super) fn is_taken(folder: &Path) -> Result<bool, Refusal> {
    match fs::read_dir(folder) {
        Ok(mut entries) => Ok(entries.next().is_some()),
        Err(error) if error.kind() == std::io::ErrorKind::NotFound => Ok(false),
        Err(error) => Err(io(folder)(error)),
    }
}

/// A folder beside another, for what is not whole yet.
pub(super) fn beside(folder: &Path, suffix: &str) -> PathBuf {
    let mut name = folder.file_name().unwrap_or_default().to_owned();
    name.push(suffix);
    folder.with_file_name(name)
}

/// Makes a backup of the node of this configuration in `to`, which must be absent or empty.
pub fn back_up(config: &Path, to: &Path, progress: Progress<'_>) -> Result<Manifest, Refusal> {
    let (config, genesis) = read_config(config)?;
    if is_taken(to)? {
        return Err(Refusal::TargetTaken(to.to_owned()));
    }
    let ledger = config.state.join(copy::LEDGER);
    if !is_taken(&ledger)? {
        return Err(Refusal::NothingThere(ledger));
    }
    let _alone = alone(&config.state)?;
    let height = copied(&config, &genesis)?;
    let of = Of { chain: genesis.hash(), participant: config.me(), height };
    let taken = take(of, &copy::place(&config.state), to, progress);
    // It shares its files with the state: what the node deletes stays on the disk as long as the copy does.
    copy::remove(&config.state).map_err(io(&copy::place(&config.state)))?;
    taken
}

/// The state's folder, locked: as long as this lives no other backup replaces the copy that is being taken away.
fn alone(state: &Path) -> Result<File, Refusal> {
    let folder = File::open(state).map_err(io(state))?;
    match folder.try_lock() {
        Ok(()) => Ok(folder),
        Err(TryLockError::WouldBlock) => Err(Refusal::UnderWay(state.to_owned())),
        Err(TryLockError::Error(error)) => Err(io(state)(error)),
    }
}

/// Has the copy made; by the node itself if it runs.
fn copied(config: &Config, genesis: &Genesis) -> Result<Height, Refusal> {
    let ledger = config.state.join(copy::LEDGER);
    let chain = genesis.chain();
    // No guard is opened: this process acks nothing.
    let store = match Store::open(&ledger, genesis.clone(), StoreOptions::default(), None) {
        Ok(store) => store,
        Err(OpenError::InUse { .. }) => return asked_for(config),
        Err(error) => return Err(Refusal::Ledger(format!("{error}. {}", error.hint()))),
    };
    let open = |error: OpenError| Refusal::Ledger(error.to_string());
    let desk = config.state.join(copy::DESK);
    let desk = match is_taken(&desk)? {
        true => Some(Arc::new(open_database(&desk, &chain).map_err(open)?.0)),
        false => None,
    };
    let sources = Sources { state: config.state.clone(), store: Arc::new(store), desk, making: Mutex::new(()) };
    sources.copy().map_err(open)
}

fn asked_for(config: &Config) -> Result<Height, Refusal> {
    let http = config.http.as_ref().expect("Config::check asks for it");
    let token = http.token_file.as_deref().map(read_secret_file).transpose();
    let token = token.map_err(|error| Refusal::Configuration(error.to_string()))?;
    let token = token.map(|token| String::from_utf8_lossy(&token).trim().to_owned());
    let client = Client::new(&format!("http://{}", http.listen), token);
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build();
    let runtime = runtime.map_err(|error| Refusal::NodeRefused(error.to_string()))?;
    let answer = runtime.block_on(client.post::<node_api::ledger::StateCopied>("/v1/state-copy", &()));
    Ok(Height(answer.map_err(|error| Refusal::NodeRefused(error.to_string()))?.height))
}

/// Files below a folder, ascending, with their sizes.
fn files(folder: &Path) -> Result<Vec<(String, u64)>, Refusal> {
    let (mut folders, mut found) = (vec![String::new()], Vec::new());
    while let Some(within) = folders.pop() {
        let path = folder.join(&within);
        for entry in fs::read_dir(&path).map_err(io(&path))? {
            let entry = entry.map_err(io(&path))?;
            let name = entry.file_name().into_string().map_err(|_| Refusal::FileDiffers {
                path: entry.path(),
                fault: "no program of ours gives a file such a name".into(),
            })?;
            let within = if within.is_empty() { name } else { format!("{within}/{name}") };
            let metadata = entry.metadata().map_err(io(&entry.path()))?;
            match metadata.is_dir() {
                true => folders.push(within),
                false => found.push((within, metadata.len())),
            }
        }
    }
    found.sort_unstable();
    Ok(found)
}

/// What a backup says of itself.
struct Of {
    chain: GenesisHash,
    participant: ParticipantNumber,
    height: Height,
}

/// Takes the copy away. What is not whole does not stay: it would fill the disk that it did not fit on.
fn take(of: Of, from: &Path, to: &Path, progress: Progress<'_>) -> Result<Manifest, Refusal> {
    let building = beside(to, ".building");
    if building.exists() {
        fs::remove_dir_all(&building).map_err(io(&building))?;
    }
    let taken = take_into(&building, of, from, progress).and_then(|manifest| {
        put_in_place(&building, to)?;
        Ok(manifest)
    });
    if taken.is_err() {
        // The first error is the one to show.
        let _ = fs::remove_dir_all(&building);
    }
    taken
}

fn take_into(building: &Path, of: Of, from: &Path, progress: Progress<'_>) -> Result<Manifest, Refusal> {
    fs::create_dir_all(building).map_err(io(building))?;
    let listed = files(from)?;
    let total = listed.iter().map(|(_, bytes)| bytes).sum();
    let (mut entries, mut done) = (Vec::new(), 0);
    for (path, _) in listed {
        let (hash, bytes) = copy_file(&from.join(&path), &building.join(&path), &mut |bytes| {
            done += bytes;
            progress(done, total);
        })?;
        entries.push(Entry { hash, bytes, path });
    }
    let Of { chain, participant, height } = of;
    let manifest = Manifest { chain, participant, height, made_ms: now_ms(), files: entries };
    let path = building.join(manifest::FILE);
    let mut file = File::create_new(&path).map_err(io(&path))?;
    file.write_all(manifest.text().as_bytes()).and_then(|()| file.sync_all()).map_err(io(&path))?;
    Ok(manifest)
}

/// The copy is on disk when this returns, with what it was hashed to on the way.
pub(super) fn copy_file(from: &Path, to: &Path, copied: &mut dyn FnMut(u64)) -> Result<(blake3::Hash, u64), Refusal> {
    let folder = to.parent().expect("a file lies in a folder");
    fs::create_dir_all(folder).map_err(io(folder))?;
    let mut source = File::open(from).map_err(io(from))?;
    let mut copy = File::create_new(to).map_err(io(to))?;
    let (mut hasher, mut total, mut buffer) = (blake3::Hasher::new(), 0, vec![0; BUFFER_BYTES]);
    loop {
        let count = source.read(&mut buffer).map_err(io(from))?;
        if count == 0 {
            break;
        }
        hasher.update(&buffer[..count]);
        copy.write_all(&buffer[..count]).map_err(io(to))?;
        total += count as u64;
        copied(count as u64);
    }
    copy.sync_all().map_err(io(to))?;
    Ok((hasher.finalize(), total))
}

/// Gives a folder whose files are synced its name: with all of its entries on disk.
pub(super) fn put_in_place(building: &Path, place: &Path) -> Result<(), Refusal> {
    let mut folders = vec![building.to_owned()];
    while let Some(folder) = folders.pop() {
        for entry in fs::read_dir(&folder).map_err(io(&folder))? {
            let entry = entry.map_err(io(&folder))?;
            if entry.file_type().map_err(io(&entry.path()))?.is_dir() {
                folders.push(entry.path());
            }
        }
        File::open(&folder).and_then(|opened| opened.sync_all()).map_err(io(&folder))?;
    }
    // Onto nothing, or onto an empty folder; onto anything else it fails.
    fs::rename(building, place).map_err(io(place))?;
    let parent = place.parent().filter(|parent| !parent.as_os_str().is_empty()).unwrap_or(Path::new("."));
    File::open(parent).and_then(|opened| opened.sync_all()).map_err(io(parent))
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::os::unix::ffi::OsStrExt;

    fn taken(from: &Path, to: &Path) -> Result<Manifest, Refusal> {
        let of = Of { chain: GenesisHash([1; 32]), participant: ParticipantNumber(2), height: Height(3) };
        take(of, from, to, &mut |_, _| {})
    }

    #[test]
    fn a_backup_that_ends_on_its_way_leaves_nothing_beside_its_place() {
        let folder = tempfile::tempdir().unwrap();
        let (from, to) = (folder.path().join("copy"), folder.path().join("backups/today"));
        fs::create_dir_all(from.join("ledger")).unwrap();
        fs::create_dir(folder.path().join("backups")).unwrap();
        fs::write(from.join("ledger/rows"), b"rows").unwrap();
        let foreign = from.join(std::ffi::OsStr::from_bytes(b"\xff"));
        fs::create_dir(&foreign).unwrap();
        assert_eq!(taken(&from, &to).unwrap_err().number(), 9);
        assert_eq!(fs::read_dir(folder.path().join("backups")).unwrap().count(), 0);
        fs::remove_dir(&foreign).unwrap();
        assert_eq!(taken(&from, &to).unwrap().files.len(), 1);
        assert_eq!(fs::read_dir(folder.path().join("backups")).unwrap().count(), 1);
    }

    #[test]
    fn a_second_backup_of_a_node_is_refused_while_one_is_made() {
        let state = tempfile::tempdir().unwrap();
        let first = alone(state.path()).unwrap();
        assert_eq!(alone(state.path()).unwrap_err().number(), 14);
        drop(first);
        alone(state.path()).unwrap();
    }
}
