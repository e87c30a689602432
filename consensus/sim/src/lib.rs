//! Plays validators against losses, partitions, crashes and liars: in one process, in one thread, by one seed.
//!
//! Shipped code that runs here, unchanged: the engine's pure core (`arc-malachitebft-core-consensus`) with our context, codec,
//! proposer selection and demotion; the signing guard and the log of consensus, on a disk in memory; the order of log, guard and
//! signature ([`consensus::engine::signing::sign_durably`]); the question of who may vote after a start (`recall`), the witness, the
//! assemblies of parts, the judge's checks and its proposals, the data plane's pool; the ledger's transition (`ledger-state`) on a
//! snapshot in memory; every layout and hash of `ledger-types`. Signatures are real Ed25519.
//!
//! Modelled: the asynchronous shells around them (`node`): Malachite's consensus and sync actors, the connector, supervisor and
//! sessions, and the data plane's traffic, as events instead of tasks; the store (a commit is one write and one sync, whole or not at
//! all); the network (messages from a peer are known to be from it, as libp2p makes sure). Bundles are not encoded between nodes.
//!
//! What must stay true: everything that happens follows from the seed. No clock, no thread, no hash map's order; the same seed has the
//! same trace hash.

pub mod application;
pub mod bugs;
pub mod byzantine;
pub mod chain;
pub mod clients;
pub mod disk;
pub mod network;
pub mod node;
pub mod oracle;
pub mod plan;
pub mod report;
pub mod signatures;
pub mod trace;
pub mod world;

pub use bugs::Bug;
pub use oracle::{Invariant, Violation};
pub use plan::Plan;
pub use world::{Outcome, run};
