//! The machine against a walk over trees that shares no code with it (see `naive`). A longer run, with a log:
//! `cargo run --release -p contracts-vm --example differential -- FILE.log 100000000`.

use crate::naive;

const PROGRAMS: u64 = 1_000_000;

#[test]
fn the_machine_agrees_with_a_naive_walk_over_a_million_random_programs() {
    let mut seen = naive::Seen::default();
    for seed in 0..PROGRAMS / naive::PROGRAMS {
        seen.add(naive::one(seed));
    }
    assert_eq!(seen.programs, PROGRAMS);
    assert!(seen.is_telling(), "{seen:?}");
}
