//! A verified program, ready to run. The bytes stay what is hashed, verified and shown; this is made from them once, when
//! a program is loaded, and says the same in fewer steps.
//!
//! The stack is gone: every number has a slot, and a step names the slots that it takes and gives. The loan's own numbers,
//! the constants and the look-backs have slots of their own, so that an instruction which only pushes one of them is no
//! step; neither is a look-back that has been found on every way that leads to it.
//!
//! What a condition reads and computes is read and computed where it stands (E-7). What it then compares can neither
//! fail nor be seen, so it is compared where the line is decided, and no further than it takes to decide it. Fuel is that
//! of the instructions, whatever became of them (V-8).

use crate::PROGRAM_BYTES_MAX;
use crate::instruction::{Instruction, Op};
use crate::look_back::{Feed, LookBack};
use crate::program::Parts;
use crate::reading::DenyReason;
use crate::sector::{SectorCode, SectorSet};
use crate::unit::divide_64_half_even;
use std::collections::BTreeMap;

/// A place for one number.
pub(crate) type Slot = u16;

/// Set when a run begins; behind them stand look-backs, constants and what steps give.
pub(crate) const TODAY: Slot = 0;
/// At activation.
pub(crate) const LOAN_RATE: Slot = 1;
pub(crate) const LOAN_TERM: Slot = 2;
/// On return.
pub(crate) const LOAN_AGE: Slot = 1;
const GIVEN: usize = 3;

/// Slots as they are before a run: the constants, else 0. Nearly all programs need few, and all are copied before each run.
#[derive(Clone, PartialEq, Eq, Debug)]
pub(crate) enum Image {
    Few([i64; 16]),
    More(Box<[i64; 64]>),
    Most(Box<[i64; SLOTS_MAX]>),
}

/// Whatever takes a slot takes three bytes of the program, but for the 0 that truths are compared with.
const SLOTS_MAX: usize = 2048;
const _: () = assert!(GIVEN + PROGRAM_BYTES_MAX / 3 < SLOTS_MAX);

impl Image {
    fn of(slots: Vec<i64>) -> Self {
        match slots.len() {
            ..=16 => Self::Few(*padded(slots)),
            17..=64 => Self::More(padded(slots)),
            _ => Self::Most(padded(slots)),
        }
    }
}

fn padded<const COUNT: usize>(mut slots: Vec<i64>) -> Box<[i64; COUNT]> {
    assert!(slots.len() <= COUNT, "the program's length was verified");
    slots.resize(COUNT, 0);
    slots.into_boxed_slice().try_into().expect("as many as that")
}

/// During a run.
pub(crate) struct Slots<const COUNT: usize>(pub [i64; COUNT]);

/// Every slot of the code lies below the count, a power of two: so the remainder is the slot, and no bound is checked.
impl<const COUNT: usize> Slots<COUNT> {
    #[inline(always)]
    pub fn get(&self, slot: Slot) -> i64 {
        self.0[usize::from(slot) % COUNT]
    }

    #[inline(always)]
    pub fn set(&mut self, slot: Slot, value: i64) {
        self.0[usize::from(slot) % COUNT] = value;
    }
}

/// What runs of a program at activation or on return.
#[derive(Clone, PartialEq, Eq, Debug)]
pub(crate) struct Code {
    pub steps: Vec<Step>,
    /// Of each step what is charged when it runs: its instructions, and those before it that are no steps.
    pub fuel: Vec<u32>,
    pub image: Image,
    /// Each different one, in the order of the code.
    pub look_backs: Vec<LookBack>,
    /// Constants that are paid: clamped and rounded.
    pub rates: Vec<i64>,
    pub sectors: Vec<SectorSet>,
}

/// Operands and results are slots. What decides goes on at the target unless something holds.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) enum Step {
    /// By its place in the code's list. Goes on at the target if it finds nothing.
    LookBack {
        to: Slot,
        at: u16,
        target: u16,
    },
    /// of a feed that stands still.
    AtRest {
        to: Slot,
        at: u16,
    },
    /// all look-backs of a feed with a fallback, if they were not tried before.
    TryAll {
        feed: u8,
    },
    /// there is no fallback.
    Stale {
        feed: u8,
    },
    GoTo {
        target: u16,
    },
    Months {
        to: Slot,
        months: u16,
    },
    /// By its place in the code's list.
    SectorIn {
        to: Slot,
        at: u16,
    },
    Add {
        to: Slot,
        left: Slot,
        right: Slot,
    },
    Subtract {
        to: Slot,
        left: Slot,
        right: Slot,
    },
    Times {
        to: Slot,
        of: Slot,
        factor: Slot,
    },
    Min {
        to: Slot,
        left: Slot,
        right: Slot,
    },
    Max {
        to: Slot,
        left: Slot,
        right: Slot,
    },
    UnlessLess {
        left: Slot,
        right: Slot,
        target: u16,
    },
    UnlessAtMost {
        left: Slot,
        right: Slot,
        target: u16,
    },
    UnlessEqual {
        left: Slot,
        right: Slot,
        target: u16,
    },
    UnlessUnequal {
        left: Slot,
        right: Slot,
        target: u16,
    },
    UnlessMonthIn {
        months: u16,
        target: u16,
    },
    UnlessWeekdayIn {
        weekdays: u8,
        target: u16,
    },
    Deny {
        reason: DenyReason,
    },
    Permit,
    Pay {
        rate: Slot,
    },
    /// By its place in the code's list.
    PayConstant {
        at: u16,
    },
}

const _: () = assert!(size_of::<Step>() == 8);

/// What stands on the stack.
enum Operand {
    In(Slot),
    Constant(i64),
    Condition(Condition),
}

/// Takes nothing but what is there already.
enum Condition {
    Less(Slot, Slot),
    AtMost(Slot, Slot),
    Equal(Slot, Slot),
    Unequal(Slot, Slot),
    MonthIn(u16),
    WeekdayIn(u8),
    And(Box<Self>, Box<Self>),
    Or(Box<Self>, Box<Self>),
}

impl Condition {
    fn not(self) -> Self {
        match self {
            Self::Less(left, right) => Self::AtMost(right, left),
            Self::AtMost(left, right) => Self::Less(right, left),
            Self::Equal(left, right) => Self::Unequal(left, right),
            Self::Unequal(left, right) => Self::Equal(left, right),
            Self::MonthIn(months) => Self::MonthIn(!months),
            Self::WeekdayIn(weekdays) => Self::WeekdayIn(!weekdays),
            Self::And(left, right) => Self::Or(left.not().into(), right.not().into()),
            Self::Or(left, right) => Self::And(left.not().into(), right.not().into()),
        }
    }
}

impl Code {
    pub fn of(code: &[Instruction], parts: &Parts) -> Self {
        let mut making = Making::of(code, parts);
        for (at, instruction) in code.iter().enumerate() {
            making.arrive(at);
            making.fuel += instruction.fuel();
            making.add(instruction);
        }
        making.made()
    }

    #[inline(never)]
    pub fn at_rest(&self, at: u16) -> i64 {
        self.look_backs[usize::from(at)].at_rest()
    }

    /// Whether it is of the set; none if the list does not have it (E-4).
    // Apart, as all that few steps need: else every run would get it ready.
    #[inline(never)]
    pub fn has_sector(&self, at: u16, sector: SectorCode) -> Option<bool> {
        sector.position().map(|position| self.sectors[usize::from(at)].contains(position))
    }
}

/// A step's number, as soon as it is known.
type Label = u16;

struct Making<'a> {
    parts: &'a Parts,
    /// And how many of the results are taken, up to here.
    stack: Vec<(Operand, usize)>,
    /// Slots of what steps give.
    results: Vec<Slot>,
    constants: BTreeMap<i64, Slot>,
    /// First those of the instructions.
    labels: Vec<usize>,
    /// What only a line that does not hold, or a feed that is stale, comes to: it stands behind all else.
    aside: Vec<(Label, Vec<Step>)>,
    /// Slots of look-backs that hold what they found, whatever way led here.
    found: Vec<Slot>,
    /// Of instructions ahead that something skips to: the same, on those ways.
    found_at: BTreeMap<usize, Vec<Slot>>,
    /// False behind an end.
    is_reached: bool,
    /// Of instructions that no step has been charged for yet.
    fuel: u32,
    slots: Vec<i64>,
    code: Code,
}

impl<'a> Making<'a> {
    fn of(code: &[Instruction], parts: &'a Parts) -> Self {
        let feeds: Vec<_> = parts.feeds.iter().map(Feed::of).collect();
        let mut look_backs: Vec<LookBack> = Vec::new();
        for instruction in code {
            let Some((feed, _)) = instruction.periods() else { continue };
            if !look_backs.iter().any(|known| known.is_of(instruction)) {
                let to = index(GIVEN + look_backs.len());
                look_backs.push(LookBack::of(instruction, &feeds[usize::from(feed)], to));
            }
        }
        Self {
            parts,
            stack: Vec::new(),
            results: Vec::new(),
            constants: BTreeMap::new(),
            labels: vec![0; code.len()],
            aside: Vec::new(),
            found: Vec::new(),
            found_at: BTreeMap::new(),
            is_reached: true,
            fuel: 0,
            slots: vec![0; GIVEN + look_backs.len()],
            code: Code {
                steps: Vec::new(),
                fuel: Vec::new(),
                image: Image::of(Vec::new()),
                look_backs,
                rates: Vec::new(),
                sectors: Vec::new(),
            },
        }
    }

    /// At an instruction. Jumps lead forward alone (V-6): all that lead here have been seen.
    fn arrive(&mut self, at: usize) {
        self.labels[at] = self.code.steps.len();
        let Some(found) = self.found_at.remove(&at) else { return };
        if self.is_reached {
            self.found.retain(|slot| found.contains(slot));
        } else {
            (self.found, self.is_reached) = (found, true);
        }
    }

    fn made(mut self) -> Code {
        for (label, steps) in std::mem::take(&mut self.aside) {
            self.labels[usize::from(label)] = self.code.steps.len();
            steps.into_iter().for_each(|step| self.emit(step));
        }
        let mut made = self.code;
        for step in &mut made.steps {
            if let Step::LookBack { target, .. }
            | Step::GoTo { target }
            | Step::UnlessLess { target, .. }
            | Step::UnlessAtMost { target, .. }
            | Step::UnlessEqual { target, .. }
            | Step::UnlessUnequal { target, .. }
            | Step::UnlessMonthIn { target, .. }
            | Step::UnlessWeekdayIn { target, .. } = step
            {
                *target = index(self.labels[usize::from(*target)]);
            }
        }
        made.image = Image::of(self.slots);
        made
    }

    fn add(&mut self, instruction: &Instruction) {
        let Instruction { op, a, b, sectors, .. } = *instruction;
        match op {
            Op::Push => self.push(Operand::Constant(a)),
            Op::LoanRate => self.push(Operand::In(LOAN_RATE)),
            Op::LoanTerm => self.push(Operand::In(LOAN_TERM)),
            Op::LoanAge => self.push(Operand::In(LOAN_AGE)),
            // Slots have no units.
            Op::InBp | Op::InPercent => {}
            Op::Months => self.give(|to| Step::Months { to, months: a as u16 }),
            Op::Level | Op::Average | Op::Highest | Op::Lowest | Op::Change | Op::Growth | Op::Falls | Op::Rises => {
                self.look_back(instruction);
            }
            Op::Add => self.give_for_two(|to, left, right| Step::Add { to, left, right }),
            Op::Subtract => self.give_for_two(|to, left, right| Step::Subtract { to, left, right }),
            Op::Min => self.give_for_two(|to, left, right| Step::Min { to, left, right }),
            Op::Max => self.give_for_two(|to, left, right| Step::Max { to, left, right }),
            Op::Times => {
                let (of, factor) = (self.pop_slot(), self.constant(a));
                self.give(|to| Step::Times { to, of, factor });
            }
            Op::Less => self.compare(Condition::Less),
            Op::AtMost => self.compare(Condition::AtMost),
            Op::Equal => self.compare(Condition::Equal),
            Op::AtLeast => self.compare(|left, right| Condition::AtMost(right, left)),
            Op::Greater => self.compare(|left, right| Condition::Less(right, left)),
            // A time is at or after the first instant of a day if its day is at or after that day.
            Op::TimeFrom => {
                let day = self.constant(a);
                self.push(Operand::Condition(Condition::AtMost(day, TODAY)));
            }
            Op::TimeUntil => {
                let day = self.constant(a);
                self.push(Operand::Condition(Condition::Less(TODAY, day)));
            }
            Op::MonthIn => self.push(Operand::Condition(Condition::MonthIn(a as u16))),
            Op::WeekdayIn => self.push(Operand::Condition(Condition::WeekdayIn(a as u8))),
            // No condition: a code that is not of the list denies (E-4).
            Op::SectorIn => {
                let at = index(self.code.sectors.len());
                self.code.sectors.push(sectors);
                self.give(|to| Step::SectorIn { to, at });
            }
            Op::And | Op::Or => {
                let (right, taken) = self.pop_condition();
                let (left, _) = self.pop_condition();
                let of = if op == Op::And { Condition::And } else { Condition::Or };
                self.stack.push((Operand::Condition(of(left.into(), right.into())), taken));
            }
            Op::Not => {
                let (condition, taken) = self.pop_condition();
                self.stack.push((Operand::Condition(condition.not()), taken));
            }
            Op::DenyIf | Op::DenyUnless => {
                let (condition, _) = self.pop_condition();
                let reason = DenyReason::from_parts(a as u8, b as u8).expect("its bounds were verified");
                let target = self.aside(vec![Step::Deny { reason }]);
                self.decide(if op == Op::DenyIf { condition.not() } else { condition }, target);
            }
            Op::SkipUnless => {
                let (condition, _) = self.pop_condition();
                self.decide(condition, index(a as usize));
                let found = &self.found;
                self.found_at
                    .entry(a as usize)
                    .and_modify(|there| there.retain(|slot| found.contains(slot)))
                    .or_insert_with(|| found.clone());
            }
            Op::Permit => self.end(Step::Permit),
            Op::Pay => {
                let step = match self.pop().0 {
                    Operand::Constant(rate) => {
                        self.code.rates.push(self.parts.paid(rate));
                        Step::PayConstant { at: index(self.code.rates.len() - 1) }
                    }
                    rate => Step::Pay { rate: self.slot_of(rate) },
                };
                self.end(step);
            }
        }
    }

    fn look_back(&mut self, instruction: &Instruction) {
        let look_backs = &self.code.look_backs;
        let at = look_backs.iter().position(|known| known.is_of(instruction)).expect("all were collected");
        let look_back = look_backs[at];
        let LookBack { feed, to, .. } = look_back;
        let of_feed: Vec<Slot> = look_backs.iter().filter(|known| known.feed == feed).map(|known| known.to).collect();
        self.push(Operand::In(to));
        if self.found.contains(&to) {
            return;
        }
        if look_back.has_fallback() && of_feed.len() > 1 {
            self.found.extend(of_feed);
            return self.emit(Step::TryAll { feed });
        }
        let (at, behind) = (index(at), self.label());
        let otherwise = if look_back.has_fallback() {
            vec![Step::AtRest { to, at }, Step::GoTo { target: behind }]
        } else {
            vec![Step::Stale { feed }]
        };
        let target = self.aside(otherwise);
        self.found.push(to);
        self.emit(Step::LookBack { to, at, target });
        self.labels[usize::from(behind)] = self.code.steps.len();
    }

    fn compare(&mut self, condition: impl FnOnce(Slot, Slot) -> Condition) {
        let (right, taken) = self.pop();
        let (left, _) = self.pop();
        let (left, right) = (self.slot_of(left), self.slot_of(right));
        self.stack.push((Operand::Condition(condition(left, right)), taken));
    }

    /// Goes on behind it if it holds, else at the target.
    fn decide(&mut self, condition: Condition, target: Label) {
        match condition {
            Condition::Less(left, right) => self.emit(Step::UnlessLess { left, right, target }),
            Condition::AtMost(left, right) => self.emit(Step::UnlessAtMost { left, right, target }),
            Condition::Equal(left, right) => self.emit(Step::UnlessEqual { left, right, target }),
            Condition::Unequal(left, right) => self.emit(Step::UnlessUnequal { left, right, target }),
            Condition::MonthIn(months) => self.emit(Step::UnlessMonthIn { months, target }),
            Condition::WeekdayIn(weekdays) => self.emit(Step::UnlessWeekdayIn { weekdays, target }),
            Condition::And(left, right) => {
                self.decide(*left, target);
                self.decide(*right, target);
            }
            Condition::Or(left, right) => {
                let behind = self.label();
                // Goes on at the right one if it does not hold, else behind.
                self.decide(left.not(), behind);
                self.decide(*right, target);
                self.labels[usize::from(behind)] = self.code.steps.len();
            }
        }
    }

    fn label(&mut self) -> Label {
        self.labels.push(0);
        index(self.labels.len() - 1)
    }

    fn aside(&mut self, steps: Vec<Step>) -> Label {
        let label = self.label();
        self.aside.push((label, steps));
        label
    }

    fn emit(&mut self, step: Step) {
        self.code.steps.push(step);
        self.code.fuel.push(std::mem::take(&mut self.fuel));
    }

    fn end(&mut self, step: Step) {
        self.emit(step);
        self.is_reached = false;
    }

    fn push(&mut self, operand: Operand) {
        let taken = self.taken();
        self.stack.push((operand, taken));
    }

    /// Results that what stands on the stack still needs.
    fn taken(&self) -> usize {
        self.stack.last().map_or(0, |(_, taken)| *taken)
    }

    /// A step whose result is pushed.
    fn give(&mut self, step: impl FnOnce(Slot) -> Step) {
        let taken = self.taken();
        if taken == self.results.len() {
            let slot = self.slot(0);
            self.results.push(slot);
        }
        let to = self.results[taken];
        self.emit(step(to));
        self.stack.push((Operand::In(to), taken + 1));
    }

    fn give_for_two(&mut self, step: impl FnOnce(Slot, Slot, Slot) -> Step) {
        let right = self.pop_slot();
        let left = self.pop_slot();
        self.give(|to| step(to, left, right));
    }

    fn pop(&mut self) -> (Operand, usize) {
        self.stack.pop().expect("the stack's depth was verified")
    }

    fn pop_slot(&mut self) -> Slot {
        let (operand, _) = self.pop();
        self.slot_of(operand)
    }

    fn pop_condition(&mut self) -> (Condition, usize) {
        match self.pop() {
            (Operand::Condition(condition), taken) => (condition, taken),
            // A truth that was found: 0 or 1.
            (operand, taken) => (Condition::Less(self.constant(0), self.slot_of(operand)), taken),
        }
    }

    fn slot_of(&mut self, operand: Operand) -> Slot {
        match operand {
            Operand::In(slot) => slot,
            Operand::Constant(value) => self.constant(value),
            Operand::Condition(_) => unreachable!("its unit was verified"),
        }
    }

    fn constant(&mut self, value: i64) -> Slot {
        if let Some(slot) = self.constants.get(&value) {
            return *slot;
        }
        let slot = self.slot(value);
        self.constants.insert(value, slot);
        slot
    }

    /// A further one, that holds this before each run.
    fn slot(&mut self, value: i64) -> Slot {
        self.slots.push(value);
        index(self.slots.len() - 1)
    }
}

fn index(at: usize) -> u16 {
    u16::try_from(at).expect("a program has at most 4 KiB")
}

impl Parts {
    /// E-5. Both bounds are multiples of the step, so rounding does not leave the clamp.
    #[inline]
    pub fn paid(&self, rate: i64) -> i64 {
        if rate <= self.lower {
            self.lower
        } else if rate >= self.upper {
            self.upper
        } else {
            divide_64_half_even(rate, self.step) * self.step
        }
    }
}
