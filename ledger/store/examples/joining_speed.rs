//! How long a node from nothing takes to join at 10^6 records: `cargo run --release -p ledger-store --example joining_speed [coins]`.
//!
//! The provider's store has so many pre-issued coins, each with its record, and 11,000 heights. Printed are the hashing of its state, and
//! the joiner's work: pieces read from the provider, checked, written, the map built, and the folder opened. What lies between two
//! machines is printed as bytes.

#[path = "../tests/common/mod.rs"]
mod common;

use std::time::{Duration, Instant};

use common::bed::{self, BANK2, BANK3, BANK4, BANK5};
use common::{VALIDATORS, precommits};
use ledger_state::{CandidateBlock, Rules, apply};
use ledger_store::{CommittedHeight, Memory, Store, StoreOptions, join};
use ledger_types::Height;
use ledger_types::block::Block;
use ledger_types::encoding::{Encode, List};

const AT: Height = Height(10_000);

fn main() {
    let coins: u32 = std::env::args().nth(1).map_or(1_000_000, |text| text.parse().expect("a number of coins"));
    let banks = [BANK2, BANK3, BANK4, BANK5];
    let genesis = bed::genesis(banks.map(|bank| bed::preissue(bank, coins / 4)).to_vec());
    let rules = Rules::new(genesis.clone());
    let folder = tempfile::tempdir().expect("a temporary folder");
    let provider = folder.path().join("provider");
    let store = Store::open(&provider, genesis.clone(), StoreOptions::default(), None).expect("a new store");
    let readers = store.readers();

    let mut parent_certificate = None;
    while store.tip().ledger.height < Height(11_000) {
        let tip = store.tip();
        let (height, time_ms) = (tip.ledger.height.next(), tip.ledger.time_ms + 1);
        let candidate = CandidateBlock { height, time_ms, certificates: &[], bundles: &[], parent_round: 0 };
        let snapshot = readers.snapshot().expect("a snapshot");
        let applied = apply(&rules, &tip.ledger, &snapshot, candidate).expect("the block is right");
        let certificate = precommits(&rules.chain, height, applied.ledger.block, &VALIDATORS);
        let block = Block { header: applied.header.clone(), certificates: List::empty(), parent_certificate };
        let height = CommittedHeight { block: &block, certificate: &certificate, applied: &applied };
        let (_, spent) = timed(|| store.commit(height).expect("it is committed"));
        if block.header.height == AT {
            println!("commit of the snapshot's height: {:.3} s", spent.as_secs_f64());
            // A copy waits until the state is hashed.
            let (_, spent) = timed(|| store.copy_to(&folder.path().join("copy")).expect("it is copied"));
            println!("hashing beside, and a copy: {:.2} s", spent.as_secs_f64());
        }
        parent_certificate = Some(certificate);
    }

    let (mut sent, started) = (0, Instant::now());
    let offer = readers.offer().expect("it is read").expect("there is one");
    sent += offer.to_bytes().len();
    let offer = offer.check(&rules).expect("it is honest");
    let pieces = offer.pieces().map(|piece| {
        let bytes = readers.piece(AT, piece).expect("it is read").expect("it is there");
        sent += bytes.len();
        Ok(offer.check(&rules, piece, bytes).expect("it is honest"))
    });
    let joiner = folder.path().join("joiner");
    join(&joiner, genesis.clone(), Memory::LEDGER, None, &offer, pieces).expect("it joins");
    let joined = started.elapsed();
    let (store, opened) =
        timed(|| Store::open(&joiner, genesis, StoreOptions::default(), None).expect("what was joined opens"));
    assert_eq!((store.tip().ledger.height, store.tip().ledger.log_size), (AT, u64::from(coins) + 1));
    println!(
        "{coins} records: {:.1} MB in {} pieces, joined in {:.1} s, opened in {:.2} s",
        sent as f64 / 1e6,
        offer.pieces().count(),
        joined.as_secs_f64(),
        opened.as_secs_f64()
    );
}

fn timed<T>(work: impl FnOnce() -> T) -> (T, Duration) {
    let started = Instant::now();
    let done = work();
    (done, started.elapsed())
}
