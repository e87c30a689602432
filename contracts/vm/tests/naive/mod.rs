//! A second reading of LANGUAGE.md, as plain as it can be: trees that are walked, dates that are counted year by year,
//! sectors that are compared as text. It shares no code with the package, not even its tree of a policy: the generator
//! makes a tree of its own, writes it as a source text, and what the package makes of the text must agree with a walk
//! over the tree. Of the package it names the types that go in and come out, and nothing else.

#![allow(dead_code, reason = "the test and the long run use different parts")]

pub mod generate;
pub mod tree;
pub mod walk;

use contracts_vm::unit::WhenStale;
use contracts_vm::{Package, Policy, Program, Verdict, check, policy_of};
use generate::Random;

/// Programs that one seed gives: its text as it stands, and its lines rearranged.
pub const PROGRAMS: u64 = 4;
/// Every so many seeds a policy is also written in all its forms and analysed, which takes longer than all else.
const FORMS: u64 = 64;

/// What was done, and found.
#[derive(Default, Clone, Copy, Debug)]
pub struct Seen {
    pub seeds: u64,
    pub programs: u64,
    pub evaluations: u64,
    pub permits: u64,
    /// Of the policies in all their forms those of which the analysis says that they can never take effect.
    pub never: u64,
    pub clamped: u64,
}

impl Seen {
    pub fn add(&mut self, other: Self) {
        self.seeds += other.seeds;
        self.programs += other.programs;
        self.evaluations += other.evaluations;
        self.permits += other.permits;
        self.never += other.never;
        self.clamped += other.clamped;
    }

    /// A generator whose loans are all denied, or whose rates all end at the clamp, would show nothing.
    pub fn is_telling(&self) -> bool {
        self.permits * 20 > self.evaluations
            && self.never * 200 > self.seeds / FORMS
            && self.clamped * 5 < self.evaluations * 4
    }
}

/// The programs of a seed, some evaluations of each. Panics at a disagreement.
pub fn one(seed: u64) -> Seen {
    let mut random = Random::new(seed);
    let mut tree = generate::policy(&mut random);
    let source = tree.write(&mut random);
    let mut policy = policy_of(&source).unwrap_or_else(|wrong| {
        let lines: Vec<_> = wrong.iter().map(|wrong| wrong.line(&source)).collect();
        panic!("seed {seed}: refused\n{source}\n{}", lines.join("\n"))
    });
    let program = policy.compile();
    let has_forms = seed.is_multiple_of(FORMS);
    // A-1 claims that no loan is ever permitted.
    let can_never_permit = has_forms && every_form(seed, &source, &policy, &program);
    let mut seen = Seen { seeds: 1, never: can_never_permit.into(), ..Seen::default() };
    evaluate(seed, &source, &mut random, &tree, &program, 4, &mut seen);
    assert!(seen.permits == 0 || !can_never_permit, "seed {seed}\n{source}");
    for _ in 1..PROGRAMS {
        rearrange(&mut random, &mut tree, &mut policy);
        let program = policy.compile();
        if has_forms {
            bytes_and_assembly(seed, &program);
        }
        evaluate(seed, &source, &mut random, &tree, &program, 2, &mut seen);
    }
    seen
}

/// Some worlds, and in each the loan and the return.
fn evaluate(
    seed: u64,
    source: &str,
    random: &mut Random,
    tree: &tree::Policy,
    program: &Program,
    worlds: u64,
    seen: &mut Seen,
) {
    let periods: Vec<_> = program.feeds().iter().map(|feed| feed.periods + 1).collect();
    seen.programs += 1;
    for _ in 0..worlds {
        let world = generate::world(random, tree, &periods);
        let (context, ours) = (world.activation, program.activate(&world.activation, &world));
        let naive = walk::activate(tree, &world, &context);
        let agree = ours == naive && ours.fuel <= program.fuel();
        let agree = agree && program.verdict(&context, &world) == naive.value;
        assert!(agree, "seed {seed}, {context:?}\n{source}\n{tree:?}\n{world:?}\nmachine {ours:?}\nwalk {naive:?}");
        seen.permits += u64::from(matches!(ours.value, Verdict::Permit { .. }));
        let (back, ours) = (world.returned, program.return_rate(&world.returned, &world));
        let naive = walk::return_rate(tree, &world, &back);
        let agree = ours == naive && ours.fuel <= program.fuel();
        let agree = agree && program.rate(&back, &world) == naive.value;
        assert!(agree, "seed {seed}, {back:?}\n{source}\n{tree:?}\n{world:?}\nmachine {ours:?}\nwalk {naive:?}");
        seen.evaluations += 2;
        seen.clamped += u64::from(ours.value == program.clamp().0 || ours.value == program.clamp().1);
    }
}

/// Another program of the same lines, in another order and under other bounds, without a text to be read: tree and
/// policy are changed alike. Every line stays, so that every feed is still read.
fn rearrange(random: &mut Random, tree: &mut tree::Policy, policy: &mut Policy) {
    fn turn<A, B>(random: &mut Random, ours: &mut [A], theirs: &mut [B]) {
        if !ours.is_empty() {
            let by = random.below(ours.len() as u64) as usize;
            ours.rotate_left(by);
            theirs.rotate_left(by);
        }
    }
    turn(random, &mut tree.effective, &mut policy.effective);
    turn(random, &mut tree.denies, &mut policy.denies);
    turn(random, &mut tree.cases, &mut policy.cases);
    if random.below(2) == 0 && !tree.denies.is_empty() {
        std::mem::swap(&mut tree.effective[0], &mut tree.denies[0]);
        std::mem::swap(&mut policy.effective[0], &mut policy.denies[0]);
    }
    for (feed, ours) in tree.feeds.iter_mut().zip(&mut policy.feeds) {
        feed.max_age_days = 1 + random.below(400);
        feed.fallback = generate::fallback(random, feed.kind, feed.scale);
        ours.max_age_days = feed.max_age_days as u16;
        ours.when_stale = feed.fallback.map_or(WhenStale::Deny, WhenStale::Fallback);
    }
    let (lower, upper, step) = generate::clamp(random);
    (tree.lower, tree.upper, tree.step) = (lower, upper, step);
    (policy.lower, policy.upper, policy.step) = (lower, upper, step);
    tree.due_days = random.below(60) as u32;
    policy.due_days = tree.due_days as u16;
}

/// Whether the analysis says that it can never take effect.
fn every_form(seed: u64, source: &str, policy: &Policy, program: &Program) -> bool {
    let canonical = policy.canonical();
    let again = check(&canonical).unwrap_or_else(|wrong| panic!("seed {seed}: {wrong:?}\n{source}\n{canonical}"));
    assert_eq!(&again.policy, policy, "seed {seed}\n{source}\n{canonical}");
    assert_eq!(again.policy.canonical(), canonical, "seed {seed}");
    bytes_and_assembly(seed, program);
    let package = Package::of(source).expect("it was checked");
    assert_eq!(Package::from_bytes(&package.to_bytes()).as_ref(), Ok(&package), "seed {seed}");
    again.findings.iter().any(|finding| finding.number == 1)
}

fn bytes_and_assembly(seed: u64, program: &Program) {
    assert_eq!(Program::from_bytes(&program.to_bytes()).as_ref(), Ok(program), "seed {seed}");
    let assembly = program.disassemble();
    assert_eq!(Program::assemble(&assembly).as_ref(), Ok(program), "seed {seed}\n{assembly}");
}
