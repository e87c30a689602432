//! A decoder takes no memory for what its input only claims to hold.
//!
//! Measured on the address space of a process of its own, in which every allocation of 64 KiB or more is a mapping, whether
//! it is touched or not.

use ledger_types::block::{Acknowledgement, Block};
use ledger_types::bundle::{Bundle, BundleCertificate, BundleHeader, Slot};
use ledger_types::channel::EpochOffer;
use ledger_types::confirmation::{Batch, SignedBatch};
use ledger_types::envelope::Envelope;
use ledger_types::genesis::Genesis;
use ledger_types::order::Order;
use ledger_types::participant::{Directory, ValidatorSet};
use ledger_types::sealed::Sealed;
use ledger_types::vote::CommitCertificate;
use ledger_types::*;
use std::hint::black_box;

/// A line of what Linux tells a process about itself, in KiB.
fn status_kib(name: &str) -> u64 {
    let status = std::fs::read_to_string("/proc/self/status").expect("Linux tells a process about itself");
    let line = status.lines().find(|line| line.starts_with(name)).expect("the line stands in it");
    line.split_whitespace().nth(1).and_then(|kib| kib.parse().ok()).expect("a number of KiB")
}

/// Largest extent of the address space so far.
fn peak_kib() -> u64 {
    status_kib("VmPeak:")
}

/// Decodes as a structure of each kind; the answer does not matter, the memory does.
fn decode_as_everything(chain: &Chain, bytes: &[u8]) {
    let _ = Genesis::from_bytes(bytes);
    let _ = Directory::from_bytes(bytes);
    let _ = ValidatorSet::from_bytes(bytes);
    let _ = Envelope::from_bytes(bytes);
    let _ = Sealed::from_bytes(bytes);
    let _ = Order::from_bytes(bytes);
    let _ = EpochOffer::from_bytes(bytes);
    let _ = BundleCertificate::from_bytes(bytes);
    let _ = CommitCertificate::from_bytes(bytes);
    let _ = Block::from_bytes(bytes);
    let _ = Acknowledgement::from_bytes(bytes);
    let _ = Batch::from_bytes(bytes);
    let _ = SignedBatch::from_bytes(bytes);
    let _ = Bundle::parse(chain, bytes);
}

/// A bundle of another length than its header says is refused; so the claims here are in the count.
fn bundle_claiming(count: u16, body: &[u8]) -> Vec<u8> {
    let slot = Slot { submitter: ParticipantNumber(2), incarnation: 0, sequence: 0 };
    let header = BundleHeader { slot, count, bytes: body.len() as u32, ids_root: MerkleRoot::ZERO };
    [header.to_bytes(), vec![0; 64], body.to_vec()].concat()
}

#[test]
fn no_decoder_reserves_memory_for_what_is_not_there() {
    const MEASURED: &str = "ASSAY_MEASURED_PROCESS";
    if std::env::var_os(MEASURED).is_some() {
        return measure();
    }
    let status = std::process::Command::new(std::env::current_exe().expect("this program has a path"))
        .args(["--exact", "no_decoder_reserves_memory_for_what_is_not_there", "--nocapture"])
        .envs([(MEASURED, "1"), ("MALLOC_MMAP_THRESHOLD_", "65536")])
        .status()
        .expect("this program starts again");
    assert!(status.success(), "what the measured process printed says why");
}

fn measure() {
    let chain = Chain::new(GenesisHash([1; 32]));
    let mut inputs: Vec<Vec<u8>> = Vec::new();
    for claimed in [8u16, 256, 1024, 4096, 20_000, u16::MAX] {
        let count = claimed.to_le_bytes();
        // The count at every offset where a structure may have a list.
        inputs.extend((0..700).map(|offset| [&vec![0; offset][..], &count, &[0; 64]].concat()));
        inputs.extend((0..64).map(|offset| [&vec![1; offset][..], &count, &[0; 64]].concat()));
        inputs.push(bundle_claiming(claimed, &[0; 64]));
        inputs.push(bundle_claiming(claimed, &[1; 4096]));
    }
    // The process was once larger than it is now: fill that, so that the next mapping makes a new peak.
    let filled: Vec<u8> = Vec::with_capacity((peak_kib() - status_kib("VmSize:")) as usize * 1024 + (1 << 20));
    black_box(&filled);
    let before = peak_kib();
    for input in &inputs {
        decode_as_everything(&chain, input);
    }
    // Without the checks before the allocations, 20,000 records and 4,096 envelopes would be reserved: over 1 MiB each.
    let grown = peak_kib() - before;
    assert!(grown < 512, "{grown} KiB more for inputs of at most 5 KiB");

    // The measure would have seen it.
    let reserved: Vec<u8> = Vec::with_capacity(1 << 20);
    black_box(&reserved);
    assert!(peak_kib() - before >= 1024, "1 MiB reserved does not show");
}
