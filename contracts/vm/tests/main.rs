//! The policy language and its machine.

mod bytecode;
mod diagnostics;
mod differential;
mod instructions;
mod language;
mod naive;
mod page;
mod policies;
mod rules;
