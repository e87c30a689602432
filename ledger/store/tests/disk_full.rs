//! A full disk: the write that fails is an error, everything after it is refused, and with space back the chain goes on.
//!
//! Needs a small file system of its own, which only root can mount; elsewhere the test says loudly that it was skipped.

use crate::common;

use std::path::Path;
use std::process::Command;

use common::StoredChain;
use ledger_store::{Store, StoreError, StoreOptions};
use ledger_types::Height;

struct SmallDisk(tempfile::TempDir);

impl SmallDisk {
    fn mount(megabytes: u32) -> Option<Self> {
        let folder = tempfile::tempdir().unwrap();
        let size = format!("size={megabytes}m");
        let mounted = Command::new("mount").args(["-t", "tmpfs", "-o", &size, "tmpfs"]).arg(folder.path()).status();
        mounted.is_ok_and(|status| status.success()).then_some(SmallDisk(folder))
    }

    fn grow(&self, megabytes: u32) {
        let size = format!("remount,size={megabytes}m");
        assert!(Command::new("mount").args(["-o", &size]).arg(self.0.path()).status().unwrap().success());
    }

    fn path(&self) -> &Path {
        self.0.path()
    }
}

impl Drop for SmallDisk {
    fn drop(&mut self) {
        let _ = Command::new("umount").arg(self.0.path()).status();
    }
}

#[test]
fn a_full_disk_stops_the_store_and_loses_nothing() {
    let Some(disk) = SmallDisk::mount(24) else {
        eprintln!("SKIPPED: a_full_disk_stops_the_store_and_loses_nothing cannot mount a file system here");
        return;
    };
    let mut chain = StoredChain::new();
    let path = disk.path().join("ledger");
    let open =
        |chain: &StoredChain| Store::open(&path, (*chain.bed.rules.genesis).clone(), StoreOptions::default(), None);
    chain.store = Some(open(&chain).unwrap());
    chain.payment(0);

    let filler = |height: u64| vec![height as u8; 1 << 20];
    let mut kept = 0;
    let failed = loop {
        match chain.store().put_evidence(Height(kept), &filler(kept)) {
            Ok(()) => kept += 1,
            Err(error) => break error,
        }
    };
    assert!(matches!(failed, StoreError::Write { .. }), "{failed:?}");
    assert!((1..24).contains(&kept));
    assert!(matches!(chain.store().put_checkpoint(1, "small"), Err(StoreError::Stopped)));
    let decided = chain.decide(&[]);
    let refused = chain.store().commit(decided.height());
    assert!(matches!(refused, Err(ledger_store::CommitError::Store(StoreError::Stopped))), "{refused:?}");

    chain.store = None;
    disk.grow(256);
    chain.store = Some(open(&chain).unwrap());
    chain.agrees_with_memory();
    {
        let readers = chain.store().readers();
        let snapshot = readers.snapshot().unwrap();
        let evidence: Vec<_> = snapshot.evidence().map(Result::unwrap).collect();
        assert!(evidence.len() as u64 >= kept);
        assert!(
            evidence.iter().zip(0..kept).all(|((at, bytes), height)| *at == Height(height) && *bytes == filler(height))
        );
    }
    chain.payment(1);
    chain.agrees_with_memory();
}

#[test]
fn a_full_disk_stops_the_bundle_files_and_loses_nothing() {
    let Some(disk) = SmallDisk::mount(16) else {
        eprintln!("SKIPPED: a_full_disk_stops_the_bundle_files_and_loses_nothing cannot mount a file system here");
        return;
    };
    let mut chain = StoredChain::new();
    let path = disk.path().join("ledger");
    let open =
        |chain: &StoredChain| Store::open(&path, (*chain.bed.rules.genesis).clone(), StoreOptions::default(), None);
    chain.store = Some(open(&chain).unwrap());
    let coin = chain.bed.coin_of(common::bed::BANK2, 0);
    let mut stored = Vec::new();
    let failed = loop {
        let draft = |chain: &mut StoredChain| {
            chain.bed.transfer(common::bed::BANK2, std::slice::from_ref(&coin), &[(common::bed::BANK3, 100)]).seal()
        };
        let envelopes = (0..400).map(|_| draft(&mut chain)).collect();
        let bundle = chain.bed.bundle_after(common::bed::BANK2, stored.len() as u64, envelopes);
        match chain.store().bundles().put(std::slice::from_ref(&bundle)) {
            Ok(()) => stored.push(bundle),
            Err(error) => break error,
        }
    };
    assert!(matches!(failed, StoreError::Write { .. }), "{failed:?}");
    assert!(stored.len() > 3);
    let other = chain.payment_bundle(1);
    assert!(chain.store().bundles().put(std::slice::from_ref(&other)).is_err());
    assert!(!chain.store().bundles().contains(&other.digest()).unwrap());

    chain.store = None;
    disk.grow(256);
    chain.store = Some(open(&chain).unwrap());
    assert_eq!(chain.store().bundles().unordered().unwrap(), stored);
    chain.store().bundles().put(std::slice::from_ref(&other)).unwrap();
    assert_eq!(chain.store().bundles().unordered().unwrap().last(), Some(&other));
}
