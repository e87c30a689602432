//! A second reading of LANGUAGE.md, as plain as it can be: trees that are walked, dates that are counted year by year,
//! sectors that are compared as text. It shares no code with the package, not even its tree of a policy: the generator
//! makes a tree of its own, writes it as a source text, and what the package makes of the text must agree with a walk
//! over the tree. Of the package it names the types that go in and come out, and nothing else.

#![allow(dead_code, reason = "the test and the long run use different parts")]

pub mod generate;
pub mod tree;
pub mod walk;

use contracts_vm::{Package, Program, check, policy_of};

/// What one seed was found to do.
#[derive(Default, Clone, Copy, Debug)]
pub struct Seen {
    pub programs: u64,
    pub evaluations: u64,
    pub permits: u64,
    /// Policies that the analysis says can never take effect.
    pub never: u64,
    pub clamped: u64,
}

impl Seen {
    pub fn add(&mut self, other: Self) {
        self.programs += other.programs;
        self.evaluations += other.evaluations;
        self.permits += other.permits;
        self.never += other.never;
        self.clamped += other.clamped;
    }
}

/// One program from its seed, some evaluations of it, and for each sixteenth seed every form that it can be written in.
pub fn one(seed: u64) -> Seen {
    let mut random = generate::Random::new(seed);
    let tree = generate::policy(&mut random);
    let source = tree.write(&mut random);
    let policy = policy_of(&source).unwrap_or_else(|wrong| {
        let lines: Vec<_> = wrong.iter().map(|wrong| wrong.line(&source)).collect();
        panic!("seed {seed}: refused\n{source}\n{}", lines.join("\n"))
    });
    let program = policy.compile();
    // A-1 claims that no loan is ever permitted.
    let can_never_permit = seed.is_multiple_of(16) && every_form(seed, &source, &policy, &program);
    let mut seen = Seen { programs: 1, never: can_never_permit.into(), ..Seen::default() };
    let periods: Vec<_> = program.feeds().iter().map(|feed| feed.periods + 1).collect();
    for _ in 0..4 {
        let world = generate::world(&mut random, &tree, &periods);
        let (context, ours) = (world.activation, program.activate(&world.activation, &world));
        let naive = walk::activate(&tree, &world, &context);
        let agree = ours.value == naive.value && ours.inputs == naive.inputs && ours.fuel <= program.fuel();
        assert!(agree, "seed {seed}, {context:?}\n{source}\n{world:?}\nmachine {ours:?}\nwalk {naive:?}");
        let is_permitted = matches!(ours.value, contracts_vm::Verdict::Permit { .. });
        assert!(!(is_permitted && can_never_permit), "seed {seed}, {context:?}\n{source}");
        let (back, ours) = (world.returned, program.return_rate(&world.returned, &world));
        let naive = walk::return_rate(&tree, &world, &back);
        let agree = ours.value == naive.value && ours.inputs == naive.inputs && ours.fuel <= program.fuel();
        assert!(agree, "seed {seed}, {back:?}\n{source}\n{world:?}\nmachine {ours:?}\nwalk {naive:?}");
        seen.evaluations += 2;
        seen.permits += u64::from(is_permitted);
        seen.clamped += u64::from(ours.value == program.clamp().0 || ours.value == program.clamp().1);
    }
    seen
}

/// Whether the analysis says that it can never take effect.
fn every_form(seed: u64, source: &str, policy: &contracts_vm::Policy, program: &Program) -> bool {
    let canonical = policy.canonical();
    let again = check(&canonical).unwrap_or_else(|wrong| panic!("seed {seed}: {wrong:?}\n{source}\n{canonical}"));
    assert_eq!(&again.policy, policy, "seed {seed}\n{source}\n{canonical}");
    assert_eq!(again.policy.canonical(), canonical, "seed {seed}");
    assert_eq!(Program::from_bytes(&program.to_bytes()).as_ref(), Ok(program), "seed {seed}\n{source}");
    let assembly = program.disassemble();
    assert_eq!(Program::assemble(&assembly).as_ref(), Ok(program), "seed {seed}\n{assembly}");
    let package = Package::of(source).expect("it was checked");
    assert_eq!(Package::from_bytes(&package.to_bytes()).as_ref(), Ok(&package), "seed {seed}");
    again.findings.iter().any(|finding| finding.number == 1)
}
