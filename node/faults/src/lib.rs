//! Faults of the real world on real processes (issue 5): nodes killed, disks cut off, full or rotten, networks split and lossy.
//!
//! - Whoever judges stands outside: the journal of what was acknowledged is the client's, not on a disk that is faulted, and what
//!   stands in it was verified from the genesis document.
//! - Every choice of a row follows from its seed. Processes and the kernel have moments of their own, so a seed repeats the faults
//!   and not every interleaving.
//! - A row shows first that its fault does on this machine what it is to do, and fails if it does not.
//! - Every run ends healed, and [`healed::check`] says of all rows alike what must then hold.
//! - Bugs of our own making are put into a copy of the tree, and the tests and rows must catch them ([`seeded`]).
//! - What the benches of speed measured is held to its bars ([`speed`]).
//! - `runs.tsv`, `seeded.tsv` and `speed.jsonl` are what was seen, and `STRENGTH.md` is made from them.

pub mod cluster;
pub mod disk;
pub mod evidence;
pub mod healed;
pub mod liar;
pub mod load;
pub mod network;
pub mod preload;
pub mod record;
pub mod relay;
pub mod rows;
pub mod seeded;
pub mod speed;
pub mod strength;
