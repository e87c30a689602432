//! A verified program, ready to run. The bytes stay what is hashed, verified and shown; this is made from them once, when
//! a program is loaded, and says the same in fewer steps.
//!
//! The stack is gone: as the verifier knows how much stands on it at every instruction, each place of it is a slot, and a
//! step names the slots that it takes and gives. What an instruction only pushes (a constant, the loan's rate) is no
//! step but an operand of the one that takes it; a comparison that decides a line is one step with the decision. Fuel
//! is that of the instructions, whatever became of them (V-8).

use crate::calendar::MS_PER_DAY;
use crate::instruction::{Instruction, Op};
use crate::look_back::{Feed, LookBack};
use crate::program::Parts;
use crate::reading::DenyReason;
use crate::sector::SectorSet;
use crate::unit::divide_half_even;
use crate::verify::STACK_MAX;

/// A place for one number.
pub(crate) type Slot = u8;

pub(crate) const TIME_MS: Slot = 0;
pub(crate) const LOAN_RATE: Slot = 1;
pub(crate) const LOAN_TERM: Slot = 2;
pub(crate) const LOAN_AGE: Slot = 3;
/// The bottom of the stack.
const STACK: Slot = 4;
/// A power of two, that a slot may be taken modulo it.
pub(crate) const SLOTS_MAX: usize = 128;
const _: () = assert!(STACK as usize + STACK_MAX <= SLOTS_MAX);

/// What runs of a program at activation or on return.
#[derive(Clone, PartialEq, Eq, Debug)]
pub(crate) struct Code {
    pub steps: Vec<Step>,
    /// Of each step all fuel up to its end, if nothing was skipped.
    pub fuel: Vec<u32>,
    /// Each different one once, in the order of the code.
    pub look_backs: Vec<LookBack>,
    pub sectors: Vec<SectorSet>,
    /// Above all that it names.
    pub slots: usize,
}

#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) enum Step {
    Constant {
        to: Slot,
        value: i64,
    },
    Months {
        to: Slot,
        months: i64,
    },
    /// By its place in the code's list.
    LookBack {
        to: Slot,
        at: u16,
    },
    Add {
        to: Slot,
        left: Slot,
        right: Slot,
    },
    AddConstant {
        to: Slot,
        left: Slot,
        right: i64,
    },
    Subtract {
        to: Slot,
        left: Slot,
        right: Slot,
    },
    Times {
        to: Slot,
        of: Slot,
        factor: i64,
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
    Compare {
        to: Slot,
        left: Slot,
        orders: Orders,
        right: Slot,
    },
    CompareConstant {
        to: Slot,
        left: Slot,
        orders: Orders,
        right: i64,
    },
    MonthIn {
        to: Slot,
        months: u16,
    },
    WeekdayIn {
        to: Slot,
        weekdays: u8,
    },
    /// By its place in the code's list.
    SectorIn {
        to: Slot,
        at: u16,
    },
    And {
        to: Slot,
        left: Slot,
        right: Slot,
    },
    Or {
        to: Slot,
        left: Slot,
        right: Slot,
    },
    Not {
        to: Slot,
        of: Slot,
    },
    DenyUnless {
        left: Slot,
        orders: Orders,
        right: Slot,
        reason: DenyReason,
    },
    DenyUnlessConstant {
        left: Slot,
        orders: Orders,
        right: i64,
        reason: DenyReason,
    },
    Permit,
    /// To a step.
    SkipUnless {
        left: Slot,
        orders: Orders,
        right: Slot,
        target: u16,
    },
    SkipUnlessConstant {
        left: Slot,
        orders: Orders,
        right: i64,
        target: u16,
    },
    Pay {
        rate: Slot,
    },
    /// Clamped and rounded.
    PayConstant {
        rate: i64,
    },
}

const _: () = assert!(size_of::<Step>() == 16);

/// Which of less, equal and greater make a comparison true: a bit for each.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) struct Orders(u8);

impl Orders {
    const LESS: Self = Self(0b001);
    const AT_MOST: Self = Self(0b011);
    const EQUAL: Self = Self(0b010);
    const AT_LEAST: Self = Self(0b110);
    const GREATER: Self = Self(0b100);

    pub fn hold(self, left: i64, right: i64) -> bool {
        let order = u8::from(left >= right) + u8::from(left > right);
        self.0 >> order & 1 == 1
    }

    fn not(self) -> Self {
        Self(self.0 ^ 0b111)
    }

    /// Of the same two, the right one first.
    fn swapped(self) -> Self {
        Self(self.0 & 0b010 | self.0 >> 2 | (self.0 & 1) << 2)
    }
}

/// What stands on the stack, as far as it is known before the run.
#[derive(Clone, Copy)]
enum Operand {
    In(Slot),
    Constant(i64),
}

impl Code {
    pub fn of(code: &[Instruction], parts: &Parts) -> Self {
        let (steps, fuel, look_backs, sectors) = (Vec::new(), Vec::new(), Vec::new(), Vec::new());
        let made = Self { steps, fuel, look_backs, sectors, slots: usize::from(STACK) };
        let feeds = parts.feeds.iter().map(Feed::of).collect();
        let mut making = Making { parts, feeds, stack: Vec::new(), fuel: 0, code: made };
        // Of each instruction the step that it begins.
        let mut begins = Vec::with_capacity(code.len());
        for instruction in code {
            begins.push(index(making.code.steps.len()));
            making.fuel += instruction.fuel();
            making.add(instruction);
        }
        let mut made = making.code;
        for step in &mut made.steps {
            if let Step::SkipUnless { target, .. } | Step::SkipUnlessConstant { target, .. } = step {
                *target = begins[usize::from(*target)];
            }
        }
        made
    }

    /// Of all that lies between the end of a step and the beginning of another.
    pub fn fuel_between(&self, end_of: usize, beginning_of: usize) -> u32 {
        self.fuel[beginning_of - 1] - self.fuel[end_of]
    }
}

struct Making<'a> {
    parts: &'a Parts,
    feeds: Vec<Feed>,
    stack: Vec<Operand>,
    /// Up to the end of the instruction, if nothing is skipped.
    fuel: u32,
    code: Code,
}

impl Making<'_> {
    fn add(&mut self, instruction: &Instruction) {
        let Instruction { op, a, b, sectors, .. } = *instruction;
        match op {
            Op::Push => self.stack.push(Operand::Constant(a)),
            Op::LoanRate => self.stack.push(Operand::In(LOAN_RATE)),
            Op::LoanTerm => self.stack.push(Operand::In(LOAN_TERM)),
            Op::LoanAge => self.stack.push(Operand::In(LOAN_AGE)),
            // Slots have no units.
            Op::InBp | Op::InPercent => {}
            Op::Months => self.give(|to| Step::Months { to, months: a }),
            Op::Level | Op::Average | Op::Highest | Op::Lowest | Op::Change | Op::Growth | Op::Falls | Op::Rises => {
                let look_back = LookBack::of(instruction, &self.feeds);
                let look_backs = &mut self.code.look_backs;
                let at = look_backs.iter().position(|known| *known == look_back).unwrap_or(look_backs.len());
                if at == look_backs.len() {
                    look_backs.push(look_back);
                }
                self.give(|to| Step::LookBack { to, at: index(at) });
            }
            Op::Add => match self.last_two() {
                (Operand::In(left), Operand::Constant(right)) | (Operand::Constant(right), Operand::In(left)) => {
                    self.give_for(2, |to| Step::AddConstant { to, left, right });
                }
                _ => self.give_for_slots(|to, left, right| Step::Add { to, left, right }),
            },
            Op::Subtract => match self.last_two() {
                // A constant is far from the least of 64 bits: V-4.
                (Operand::In(left), Operand::Constant(right)) => {
                    self.give_for(2, |to| Step::AddConstant { to, left, right: -right });
                }
                _ => self.give_for_slots(|to, left, right| Step::Subtract { to, left, right }),
            },
            Op::Min => self.give_for_slots(|to, left, right| Step::Min { to, left, right }),
            Op::Max => self.give_for_slots(|to, left, right| Step::Max { to, left, right }),
            Op::And => self.give_for_slots(|to, left, right| Step::And { to, left, right }),
            Op::Or => self.give_for_slots(|to, left, right| Step::Or { to, left, right }),
            Op::Times => {
                let of = self.pop_slot();
                self.give(|to| Step::Times { to, of, factor: a });
            }
            Op::Not => {
                let of = self.pop_slot();
                self.give(|to| Step::Not { to, of });
            }
            Op::Less => self.compare(Orders::LESS),
            Op::AtMost => self.compare(Orders::AT_MOST),
            Op::Equal => self.compare(Orders::EQUAL),
            Op::AtLeast => self.compare(Orders::AT_LEAST),
            Op::Greater => self.compare(Orders::GREATER),
            Op::TimeFrom | Op::TimeUntil => {
                let orders = if op == Op::TimeFrom { Orders::AT_LEAST } else { Orders::LESS };
                let right = a * MS_PER_DAY as i64;
                self.give(|to| Step::CompareConstant { to, left: TIME_MS, orders, right });
            }
            Op::MonthIn => self.give(|to| Step::MonthIn { to, months: a as u16 }),
            Op::WeekdayIn => self.give(|to| Step::WeekdayIn { to, weekdays: a as u8 }),
            Op::SectorIn => {
                let at = index(self.code.sectors.len());
                self.code.sectors.push(sectors);
                self.give(|to| Step::SectorIn { to, at });
            }
            Op::DenyIf | Op::DenyUnless => {
                let reason = DenyReason::from_parts(a as u8, b as u8).expect("its bounds were verified");
                let (left, orders, right) = self.truth();
                let orders = if op == Op::DenyIf { orders.not() } else { orders };
                self.emit(match right {
                    Operand::In(right) => Step::DenyUnless { left, orders, right, reason },
                    Operand::Constant(right) => Step::DenyUnlessConstant { left, orders, right, reason },
                });
            }
            Op::SkipUnless => {
                // Counts instructions, until all steps are there.
                let target = a as u16;
                let (left, orders, right) = self.truth();
                self.emit(match right {
                    Operand::In(right) => Step::SkipUnless { left, orders, right, target },
                    Operand::Constant(right) => Step::SkipUnlessConstant { left, orders, right, target },
                });
            }
            Op::Permit => self.emit(Step::Permit),
            Op::Pay => match self.pop() {
                Operand::In(rate) => self.emit(Step::Pay { rate }),
                Operand::Constant(rate) => self.emit(Step::PayConstant { rate: self.parts.paid(rate) }),
            },
        }
    }

    fn compare(&mut self, orders: Orders) {
        match self.last_two() {
            (Operand::In(left), Operand::Constant(right)) => {
                self.give_for(2, |to| Step::CompareConstant { to, left, orders, right });
            }
            (Operand::Constant(left), Operand::In(right)) => {
                let (left, orders, right) = (right, orders.swapped(), left);
                self.give_for(2, |to| Step::CompareConstant { to, left, orders, right });
            }
            _ => self.give_for_slots(|to, left, right| Step::Compare { to, left, orders, right }),
        }
    }

    /// Takes a truth from the stack: the comparison that gives it, which is no step of its own then, or that it is 1.
    fn truth(&mut self) -> (Slot, Orders, Operand) {
        let slot = self.pop_slot();
        let truth = match self.code.steps.last() {
            Some(Step::Compare { left, orders, right, .. }) => (*left, *orders, Operand::In(*right)),
            Some(Step::CompareConstant { left, orders, right, .. }) => (*left, *orders, Operand::Constant(*right)),
            _ => return (slot, Orders::EQUAL, Operand::Constant(1)),
        };
        self.code.steps.pop();
        self.code.fuel.pop();
        truth
    }

    fn emit(&mut self, step: Step) {
        self.code.steps.push(step);
        self.code.fuel.push(self.fuel);
    }

    /// A step whose result is pushed.
    fn give(&mut self, step: impl FnOnce(Slot) -> Step) {
        let to = usize::from(STACK) + self.stack.len();
        self.code.slots = self.code.slots.max(to + 1);
        let to = Slot::try_from(to).expect("the stack's depth was verified");
        self.emit(step(to));
        self.stack.push(Operand::In(to));
    }

    /// The same, in place of what is on top of the stack.
    fn give_for(&mut self, taken: usize, step: impl FnOnce(Slot) -> Step) {
        self.stack.truncate(self.stack.len() - taken);
        self.give(step);
    }

    fn give_for_slots(&mut self, step: impl FnOnce(Slot, Slot, Slot) -> Step) {
        let right = self.pop_slot();
        let left = self.pop_slot();
        self.give(|to| step(to, left, right));
    }

    fn last_two(&self) -> (Operand, Operand) {
        match self.stack[..] {
            [.., left, right] => (left, right),
            _ => unreachable!("the stack's depth was verified"),
        }
    }

    fn pop(&mut self) -> Operand {
        self.stack.pop().expect("the stack's depth was verified")
    }

    /// Where a constant stood it is put.
    fn pop_slot(&mut self) -> Slot {
        match self.pop() {
            Operand::In(slot) => slot,
            Operand::Constant(value) => {
                self.give(|to| Step::Constant { to, value });
                self.pop_slot()
            }
        }
    }
}

fn index(at: usize) -> u16 {
    u16::try_from(at).expect("a program has at most 4 KiB")
}

impl Parts {
    /// E-5. Both bounds are multiples of the step, so rounding does not leave the clamp.
    pub fn paid(&self, rate: i64) -> i64 {
        if rate <= self.lower {
            self.lower
        } else if rate >= self.upper {
            self.upper
        } else {
            divide_half_even(rate.into(), self.step.into()) as i64 * self.step
        }
    }
}
