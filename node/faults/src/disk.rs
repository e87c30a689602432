//! A small disk of a process's own: an ext4 file system in a file, mounted over a loop device.
//!
//! Cutting it off loses what was not synced, as a power cut does: `EXT4_IOC_SHUTDOWN` without a flush of its journal. What had
//! reached the loop device stays, so it is a disk without a volatile cache of its own.

use crate::cluster::Cluster;
use std::path::{Path, PathBuf};
use std::process::Command;

/// Opens all of them first, so that they go at one moment.
const CUT: &str = "
import fcntl, os, struct, sys
disks = [os.open(path, os.O_RDONLY) for path in sys.argv[1:]]
for disk in disks:
    fcntl.ioctl(disk, 0x8004587d, struct.pack('I', 2))
";

/// Panics with what the command said if it fails: without it there is no fault to judge by.
pub fn run(program: &str, arguments: &[&str]) -> String {
    let output = Command::new(program).args(arguments).output().unwrap_or_else(|error| panic!("{program}: {error}"));
    let errors = String::from_utf8_lossy(&output.stderr);
    assert!(output.status.success(), "{program} {arguments:?}: {errors}");
    String::from_utf8_lossy(&output.stdout).into_owned()
}

pub struct Disk {
    image: PathBuf,
    mount: PathBuf,
}

pub fn text(path: &Path) -> &str {
    path.to_str().expect("a temporary folder's path is UTF-8")
}

impl Disk {
    /// An empty disk, mounted.
    pub fn make(image: PathBuf, mount: PathBuf, mib: u64) -> Self {
        std::fs::create_dir_all(&mount).unwrap();
        std::fs::File::create_new(&image).unwrap().set_len(mib << 20).unwrap();
        run("mkfs.ext4", &["-q", "-F", "-m", "0", text(&image)]);
        let disk = Disk { image, mount };
        disk.mount();
        disk
    }

    /// Before its start: the process keeps its state and its keys, with their guards, on a disk of its own.
    pub fn of(cluster: &Cluster, name: &str, images: &Path, mib: u64) -> Self {
        let folder = cluster.folder(name);
        let disk = Disk::make(images.join(format!("{name}.ext4")), folder.join("disk"), mib);
        cluster.edit_config(name, "state = \"state\"", "state = \"disk/state\"");
        cluster.edit_config(name, "keys = \"keys\"", "keys = \"disk/keys\"");
        let keys = folder.join("keys");
        run("cp", &["-a", text(&keys), text(&disk.mount)]);
        // Two guards for one key would be none.
        std::fs::remove_dir_all(&keys).unwrap();
        run("sync", &["-f", text(&disk.mount)]);
        disk
    }

    pub fn path(&self) -> &Path {
        &self.mount
    }

    fn mount(&self) {
        run("mount", &["-o", "loop", text(&self.image), text(&self.mount)]);
    }

    /// At one moment: nothing more is written, and what was not synced is gone.
    pub fn cut(disks: &[&Disk]) {
        let paths = disks.iter().map(|disk| text(&disk.mount));
        run("python3", &["-c", CUT].into_iter().chain(paths).collect::<Vec<_>>());
    }

    /// The power is back: the file system replays its journal. Nobody may have a file of it open.
    pub fn mount_again(&self) {
        run("umount", &[text(&self.mount)]);
        self.mount();
    }

    /// Panics unless a cut loses what was not synced, and that alone.
    pub fn probe(&self) {
        let (synced, unsynced) = (self.mount.join("synced"), self.mount.join("unsynced"));
        std::fs::write(&synced, "synced").unwrap();
        run("sync", &["-f", text(&self.mount)]);
        std::fs::write(&unsynced, "unsynced").unwrap();
        Disk::cut(&[self]);
        self.mount_again();
        assert_eq!(std::fs::read(&synced).unwrap(), b"synced", "a cut lost what was synced");
        assert!(std::fs::read(&unsynced).unwrap_or_default().is_empty(), "a cut lost nothing: it is no power cut here");
        std::fs::remove_file(&synced).unwrap();
        let _ = std::fs::remove_file(&unsynced);
        run("sync", &["-f", text(&self.mount)]);
    }
}

impl Drop for Disk {
    /// The mount ends with the run's mount namespace at the latest; here so that the folder can be removed.
    fn drop(&mut self) {
        let _ = Command::new("umount").arg("--lazy").arg(&self.mount).output();
    }
}
