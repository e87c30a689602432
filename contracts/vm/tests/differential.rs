//! The machine against a walk over trees that shares no code with it (see `naive`). A longer run:
//! `cargo run --release -p contracts-vm --example differential -- 100000000 1 2`.

mod naive;

/// About 20 seconds on one core.
const PROGRAMS: u64 = 200_000;

#[test]
fn the_machine_agrees_with_a_naive_walk_over_random_policies_and_worlds() {
    let mut seen = naive::Seen::default();
    for seed in 0..PROGRAMS {
        seen.add(naive::one(seed));
    }
    assert_eq!(seen.programs, PROGRAMS);
    // A generator whose loans are all denied, or whose rates all end at the clamp, would show nothing.
    assert!(seen.permits * 20 > seen.evaluations, "{seen:?}");
    assert!(seen.never * 200 > seen.programs / 16, "{seen:?}");
    assert!(seen.clamped * 5 < seen.evaluations * 4, "{seen:?}");
}
