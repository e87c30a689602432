//! What execution costs: µs of one thread per envelope with one input and two outputs, with the parts of it, over a state in
//! memory. Run with `cargo run --release -p ledger-state --example apply_speed [COINS IN THE GENESIS]`.

#[path = "../tests/common/mod.rs"]
mod common;

use common::*;
use ledger_types::bundle::Bundle;
use ledger_types::encoding::Encode;
use ledger_types::envelope::Envelope;
use ledger_types::ids::*;
use std::hint::black_box;
use std::sync::Arc;
use std::time::Instant;

const ENVELOPES: usize = 8_000;
const BUNDLE: usize = 400;
const ROUNDS: u32 = 5;

fn main() {
    let count = std::env::args().nth(1).map_or(ENVELOPES as u32, |count| count.parse().expect("a number of coins"));
    let mut genesis = genesis(vec![preissue(BANK2, count.max(ENVELOPES as u32))]);
    genesis.bytes_per_submitter_per_height = 1 << 30;
    let started = Instant::now();
    let mut bed = Bed::with_genesis(genesis);
    println!("genesis of {} coins: {:.2} s", bed.preissued.len(), started.elapsed().as_secs_f64());

    let coins = bed.preissued[..ENVELOPES].to_vec();
    let envelopes: Vec<Envelope> = coins
        .iter()
        .map(|coin| bed.transfer(BANK2, std::slice::from_ref(coin), &[(BANK3, 60), (BANK2, 40)]).seal())
        .collect();
    println!("an envelope has {} bytes", envelopes[0].to_bytes().len());
    let bundles: Vec<Arc<Bundle>> = (0..)
        .zip(envelopes.chunks(BUNDLE))
        .map(|(ahead, chunk)| bed.bundle_after(BANK2, ahead, chunk.to_vec()))
        .collect();

    let mut best = f64::MAX;
    for _ in 0..ROUNDS {
        let started = Instant::now();
        let applied = bed.try_block(&bundles).expect("the block is good");
        best = best.min(started.elapsed().as_secs_f64());
        assert!(applied.results.iter().all(|result| result.code == 0));
        black_box(applied);
    }
    let per_envelope = |seconds: f64| seconds * 1e6 / ENVELOPES as f64;
    println!("apply: {:.2} µs per envelope, the look-ups in memory included", per_envelope(best));

    let chain = bed.rules.chain;
    let started = Instant::now();
    for envelope in &envelopes {
        black_box(envelope.header.core.input_ids(&chain));
    }
    println!("  of which input ids (C-2): {:.2} µs", per_envelope(started.elapsed().as_secs_f64()));
    let started = Instant::now();
    let mut ids: Vec<CoinId> = coins.iter().map(|coin| coin.id).collect();
    ids.sort_unstable();
    black_box(ledger_state::StateReader::coins(&bed.state, &ids).expect("memory does not fail"));
    println!("  of which look-ups: {:.2} µs", per_envelope(started.elapsed().as_secs_f64()));

    let bytes: Vec<Vec<u8>> = bundles.iter().map(|bundle| bundle.to_bytes()).collect();
    let started = Instant::now();
    for bytes in &bytes {
        black_box(Bundle::parse(&chain, bytes).expect("it was just written"));
    }
    println!(
        "outside of apply, parsing a bundle and hashing its ids: {:.2} µs",
        per_envelope(started.elapsed().as_secs_f64())
    );
}
