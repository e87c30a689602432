//! The command line over whole clusters.

mod commands;
mod contract;
mod kept_proofs;
mod lies;
mod loan;
mod officers;
mod ownership;
mod reconcile;
mod scripts;
mod shared;
mod site_apart;
