//! A disk in memory that keeps what was synced and does as it likes with the rest.
//!
//! What must stay true: a synced write survives every crash as long as no later write was to hit the same place; of the writes since
//! the last sync a crash keeps each whole, drops it, keeps a beginning, or puts it elsewhere in the same file, as the seed says.
//! A fuse kills the node in the middle of what it does, before or after any write or sync.

use consensus::medium::Medium;
use rand::Rng;
use rand::rngs::StdRng;
use std::collections::BTreeMap;
use std::io;
use std::sync::{Arc, Mutex, MutexGuard};

#[derive(Default)]
struct Contents {
    files: BTreeMap<&'static str, Content>,
    /// Operations until the node dies, and whether the last of them still happens.
    fuse: Option<(u32, bool)>,
    dead: bool,
    /// Syncs until one fails.
    fails_after: Option<u32>,
    failed: bool,
    /// Syncs of this file do nothing (a seeded bug).
    forgets: Option<&'static str>,
    syncs: u64,
    /// Outside of it, as it were.
    copy: BTreeMap<&'static str, Vec<u8>>,
}

#[derive(Default)]
struct Content {
    durable: Vec<u8>,
    now: Vec<u8>,
    pending: Vec<(u64, Vec<u8>)>,
    /// A sync failed: what was to be synced is read back and is not on disk, and a later sync that succeeds changes nothing of that.
    unsynced_for_good: bool,
}

/// What became of the writes that were not synced.
#[derive(Clone, Copy, Debug, Default)]
pub struct Damage {
    pub kept: u64,
    pub lost: u64,
    pub torn: u64,
    pub misdirected: u64,
}

#[derive(Clone, Default)]
pub struct Disk(Arc<Mutex<Contents>>);

pub struct DiskFile {
    disk: Disk,
    name: &'static str,
}

impl Disk {
    fn lock(&self) -> MutexGuard<'_, Contents> {
        self.0.lock().expect("one thread")
    }

    pub fn open(&self, name: &'static str) -> DiskFile {
        self.lock().files.entry(name).or_default();
        DiskFile { disk: self.clone(), name }
    }

    pub fn burn_fuse_after(&self, operations: u32, last_happens: bool) {
        self.lock().fuse = Some((operations, last_happens));
    }

    pub fn fail_sync_after(&self, syncs: u32) {
        self.lock().fails_after = Some(syncs);
    }

    /// A sync failed since the start: who goes on now goes on without knowing what is on disk.
    pub fn has_failed(&self) -> bool {
        self.lock().failed
    }

    pub fn forget_syncs_of(&self, name: &'static str) {
        self.lock().forgets = Some(name);
    }

    /// The fuse has burnt down: nothing that the node does afterwards happened.
    pub fn is_dead(&self) -> bool {
        self.lock().dead
    }

    pub fn is_synced(&self, name: &'static str) -> bool {
        self.lock().files.get(name).is_none_or(|content| content.pending.is_empty() && !content.unsynced_for_good)
    }

    pub fn syncs(&self) -> u64 {
        self.lock().syncs
    }

    pub fn remove(&self, name: &str) {
        self.lock().files.remove(name);
    }

    /// Of what has reached these files.
    pub fn keep_copy(&self, names: &[&'static str]) {
        let mut contents = self.lock();
        contents.copy = names.iter().map(|name| (*name, contents.files[name].durable.clone())).collect();
    }

    pub fn put_copy_back(&self) {
        let mut contents = self.lock();
        for (name, bytes) in std::mem::take(&mut contents.copy) {
            let content = Content { durable: bytes.clone(), now: bytes, ..Content::default() };
            contents.files.insert(name, content);
        }
    }

    /// The power goes. `ordered`: the disk writes in order and whole pages, as most do.
    pub fn crash(&self, rng: &mut StdRng, ordered: bool) -> Damage {
        let mut damage = Damage::default();
        let mut contents = self.lock();
        (contents.fuse, contents.dead, contents.fails_after, contents.failed) = (None, false, None, false);
        for (name, content) in &mut contents.files {
            let mut cut = false;
            for (offset, bytes) in std::mem::take(&mut content.pending) {
                let fate = if cut { 0 } else { rng.gen_range(0..if ordered { 2 } else { 4 }) };
                match fate {
                    1 => {
                        write(&mut content.durable, &bytes, offset);
                        damage.kept += 1;
                    }
                    2 => {
                        let length = rng.gen_range(0..bytes.len().max(1));
                        write(&mut content.durable, &bytes[..length], offset);
                        damage.torn += 1;
                    }
                    // Only files that are written in place: the others are the stores' own, which check every page they read.
                    3 if *name == "guard" || *name == "wal" => {
                        let elsewhere = rng.gen_range(0..=content.durable.len() as u64);
                        write(&mut content.durable, &bytes, elsewhere);
                        damage.misdirected += 1;
                    }
                    _ => {
                        damage.lost += 1;
                        cut = ordered;
                    }
                }
            }
            content.now = content.durable.clone();
            content.unsynced_for_good = false;
        }
        damage
    }
}

fn write(file: &mut Vec<u8>, bytes: &[u8], offset: u64) {
    let (start, end) = (offset as usize, offset as usize + bytes.len());
    if file.len() < end {
        file.resize(end, 0);
    }
    file[start..end].copy_from_slice(bytes);
}

impl Contents {
    fn operation(&mut self) -> io::Result<()> {
        let was_dead = self.dead;
        let mut happens = true;
        match &mut self.fuse {
            Some((0, last_happens)) => (self.dead, happens) = (true, *last_happens),
            Some((left, _)) => *left -= 1,
            None => {}
        }
        if was_dead || !happens { Err(io::Error::other("the node has died")) } else { Ok(()) }
    }
}

impl Medium for DiskFile {
    fn read_exact_at(&self, buffer: &mut [u8], offset: u64) -> io::Result<()> {
        let contents = self.disk.lock();
        let from = contents.files[self.name].now.get(offset as usize..).unwrap_or_default();
        let Some(bytes) = from.get(..buffer.len()) else { return Err(io::ErrorKind::UnexpectedEof.into()) };
        buffer.copy_from_slice(bytes);
        Ok(())
    }

    fn write_all_at(&self, bytes: &[u8], offset: u64) -> io::Result<()> {
        let mut contents = self.disk.lock();
        contents.operation()?;
        let content = contents.files.get_mut(self.name).expect("opened");
        write(&mut content.now, bytes, offset);
        content.pending.push((offset, bytes.to_vec()));
        Ok(())
    }

    fn sync_data(&self) -> io::Result<()> {
        let mut contents = self.disk.lock();
        contents.operation()?;
        contents.syncs += 1;
        let fails = contents.fails_after == Some(0);
        contents.fails_after = contents.fails_after.and_then(|left| left.checked_sub(1));
        if fails {
            contents.failed = true;
            let content = contents.files.get_mut(self.name).expect("opened");
            content.pending.clear();
            content.unsynced_for_good = true;
            return Err(io::Error::other("the disk could not sync"));
        }
        if contents.forgets == Some(self.name) {
            return Ok(());
        }
        let content = contents.files.get_mut(self.name).expect("opened");
        content.durable.clone_from(&content.now);
        content.pending.clear();
        Ok(())
    }
}
