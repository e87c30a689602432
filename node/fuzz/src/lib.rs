//! What every decoder and verifier does with bytes from a stranger: an answer or a refusal, soon and within 64 MiB at once, never
//! a panic.
//!
//! A target returns whether it took the input. Beyond not panicking each states what must hold of what it took: bytes that are
//! decoded encode back to themselves; a verifier believes nothing that the honest chain of `corpus/honest` does not hold, whose keys
//! no fuzzer has; a policy runs within the fuel that it names.
//!
//! `tests/replay.rs` runs every input of `corpus/` and thousands of its neighbours with each test run; `scripts/fuzz` lets libFuzzer
//! look for new ones.

mod ledger;
mod links;
mod policies;
mod proofs;
mod registry;
mod stored;
mod votes;

pub struct Target {
    pub name: &'static str,
    pub run: fn(&[u8]) -> bool,
}

macro_rules! targets {
    ($($name:ident: $run:path),* $(,)?) => { &[$(Target { name: stringify!($name), run: $run }),*] };
}

pub const TARGETS: &[Target] = targets![
    // Ordered.
    envelope: ledger::envelope,
    sealed: ledger::sealed,
    bundle: ledger::bundle,
    block: ledger::block,
    genesis: ledger::genesis,
    // Between validators.
    vote: votes::vote,
    part: votes::part,
    certificate: votes::certificate,
    sync: votes::sync,
    plane: votes::plane,
    // Shown to the public.
    record: registry::record,
    contract: registry::contract,
    note: registry::note,
    map: registry::map,
    paths: registry::paths,
    proof: proofs::proof,
    coin_proof: proofs::coin,
    ownership: proofs::ownership,
    blocks: proofs::blocks,
    acknowledgement: proofs::acknowledgement,
    hand_over: proofs::hand_over,
    // Policies.
    program: policies::program,
    package: policies::package,
    source: policies::source,
    table: policies::table,
    // Between banks, and from people.
    link: links::link,
    joining: links::joining,
    http: links::http,
    search: links::search,
    // Read back from a disk.
    row: stored::row,
    wal: stored::wal,
    guard: stored::guard,
];

pub fn target(name: &str) -> Option<&'static Target> {
    TARGETS.iter().find(|target| target.name == name)
}
