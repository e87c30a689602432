//! P7: one validator's disk says that it has synced what it has not, and the power goes: what comes back is what the file system had
//! written by itself, of each file another moment, or all of a moment some heights ago. State, keys and guards lie on the disk, so the guards say less than was signed.
//! Nothing may be lost that the ledger acknowledged, for the others hold it; and the validator may not vote before the others have
//! told it what it signed (B-9). An operator throws a state away that does not open. Bank 4 has no payments of its own in this row:
//! what a desk promised over such a disk is gone.
//!
//! The lie is told by a library that stands before libc's in the process ([`LIES`]), over a disk that is cut as in P3: to the
//! process there is no difference to a drive that acknowledges a flush and keeps its cache.

use super::{Bed, Faults, Order, READY_WITHIN_S, Row, on_a_runtime};
use crate::cluster::{Cluster, wait_until};
use crate::disk::{Disk, run as command, text};
use crate::healed::rejoined;
use crate::load::Load;
use crate::preload;
use crate::record::Counts;
use ledger_types::ParticipantNumber;
use node::guards;
use rand::Rng;
use std::time::{Duration, Instant};

pub const ROW: Row = Row {
    name: "P7",
    promise: "a validator whose disk lies about what is synced signs nothing twice after a power cut, and nothing acknowledged is lost",
    brief: None,
    whole: "5 power cuts of one validator's lying disk",
    run: |order, counts| on_a_runtime(run(order, counts)),
};
const CUTS: Faults = Faults { brief: 1, ci: 5 };
const SUBNET: u8 = 74;
const VICTIM: &str = "bank4";
const NUMBER: ParticipantNumber = ParticipantNumber(4);
const DISK_MIB: u64 = 1024;
const LIES: &str = "
#define _GNU_SOURCE
#include <fcntl.h>
#include <stddef.h>
int fsync(int file) { (void)file; return 0; }
int fdatasync(int file) { (void)file; return 0; }
int syncfs(int file) { (void)file; return 0; }
int msync(void *from, size_t length, int how) { (void)from; (void)length; (void)how; return 0; }
int sync_file_range(int file, off64_t from, off64_t length, unsigned how) {
    (void)file; (void)from; (void)length; (void)how;
    return 0;
}
";
const MUTED: &str = "following without a vote until the others have decided this height";

/// Panics unless a cut loses what a process synced over the lie, and keeps what one synced without it.
fn probe(disk: &Disk, lies: &[String]) {
    let (truly, falsely) = (disk.path().join("truly"), disk.path().join("falsely"));
    for (file, by) in [(&truly, &[][..]), (&falsely, lies)] {
        std::fs::write(file, "synced").unwrap();
        let sync: Vec<&str> = by.iter().map(String::as_str).chain(["sync", text(file)]).collect();
        command(sync[0], &sync[1..]);
    }
    Disk::cut(&[disk]);
    disk.mount_again();
    assert_eq!(std::fs::read(&truly).unwrap(), b"synced", "a cut lost what was synced");
    assert!(std::fs::read(&falsely).unwrap_or_default().is_empty(), "the disk told the truth");
    std::fs::remove_file(&truly).unwrap();
    let _ = std::fs::remove_file(&falsely);
    command("sync", &["-f", text(disk.path())]);
}

/// The newest height in which the victim's guard of votes has a signature. It must not run meanwhile.
fn signed_through(cluster: &Cluster) -> u64 {
    let genesis = cluster.trust().genesis();
    let participant = genesis.directory.get(NUMBER).expect("the victim takes part");
    let keys = cluster.folder(VICTIM).join("disk/keys");
    let guard = guards::open(&keys, participant, participant.keys.consensus, genesis)
        .expect("guards can be read")
        .votes
        .expect("there is one");
    guard.last().map_or(0, |last| last.position.height.0)
}

fn log(cluster: &Cluster) -> String {
    std::fs::read_to_string(cluster.folder(VICTIM).join("log")).unwrap()
}

/// Starts the victim; where its state does not open, again without one. Gives whether it took that.
async fn start(bed: &mut Bed) -> bool {
    bed.cluster.start(VICTIM);
    let mut refused = false;
    wait_until(READY_WITHIN_S, "who lost the end of its files serves, or refuses to start", async || {
        refused = bed.cluster.ended(VICTIM).is_some();
        refused || bed.cluster.client(VICTIM).status().await.is_ok()
    })
    .await;
    if refused {
        std::fs::remove_dir_all(bed.cluster.folder(VICTIM).join("disk/state")).unwrap();
        bed.cluster.start(VICTIM);
    }
    refused
}

/// Now the disk does sync; what follows for some heights it holds back again.
async fn written_out(bed: &Bed, disk: &Disk) {
    command("sync", &["-f", text(disk.path())]);
    let height = async || bed.cluster.client(VICTIM).status().await.map_or(0, |status| status.height);
    let then = height().await;
    wait_until(READY_WITHIN_S, "some heights after all was written out", async || height().await >= then + 3).await;
}

async fn run(order: &Order, counts: &mut Counts) {
    let lies = preload::command(&order.folder, "lies", LIES, &[]);
    let mut choices = order.choices();
    let mut cluster = Cluster::init(SUBNET, super::COINS_PER_BANK);
    let disk = Disk::of(&cluster, VICTIM, &order.folder, DISK_MIB);
    probe(&disk, &lies);
    cluster.enter_by(VICTIM, Some(lies));
    let mut bed = Bed::up_with(order, cluster, Load::without_bank_4).await;
    let (mut back, started) = (Vec::new(), Instant::now());
    let mut cut = 0;
    while order.goes_on(cut, CUTS, started) {
        // The schedule itself, not a wait for something.
        tokio::time::sleep(Duration::from_millis(choices.gen_range(1_000..8_000))).await;
        if choices.r#gen() {
            written_out(&bed, &disk).await;
            counts.add("written_out_before", 1);
        }
        bed.cluster.kill(VICTIM);
        let signed = signed_through(&bed.cluster);
        Disk::cut(&[&disk]);
        disk.mount_again();
        let remembered = signed_through(&bed.cluster);
        assert!(remembered < signed, "a cut took nothing from the guard: the disk told the truth");
        let (said_before, restarted) = (log(&bed.cluster).len(), Instant::now());
        let refused = start(&mut bed).await;
        back.push(rejoined(&mut bed.cluster, VICTIM, restarted).await);
        let said = log(&bed.cluster).split_off(said_before);
        assert!(said.contains(MUTED), "a validator that forgot what it signed through {signed} was not muted");
        cut += 1;
        counts.set("faults", cut);
        counts.add("heights_forgotten", signed - remembered);
        counts.add("states_thrown_away", u64::from(refused));
        bed.acknowledged_more_than(bed.load.acknowledged()).await;
        let kept = if refused { "its state did not open" } else { "its state opened" };
        bed.say(&format!("signed through {signed}, the guard says {remembered}; {kept}"));
    }
    counts.times("rejoin", &back);
    let _cluster = bed.heal(counts).await;
    // Before the cluster and its folder go.
    drop(disk);
}
