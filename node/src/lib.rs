//! A node: reads one configuration file, takes a role, wires consensus, ledger and links together, and stops cleanly.
//!
//! ```text
//!  HTTP ─▶ submit ─▶ consensus::plane ─▶ consensus::engine ─▶ ledger::writer (the one writer) ─▶ store
//!                                                                   │ committed heights, in order
//!                     checkpoint · role/commercial_bank · role/central_bank · link ─▶ role/registration (its own process)
//! ```

pub mod backup;
pub mod clock;
pub mod config;
pub mod guards;
pub mod keys;
pub mod wallet_keys;

pub mod cluster_init;
pub mod doctor;
pub mod officers_key;
pub mod start;

pub mod checkpoint;
pub mod history;
pub mod http;
pub mod joining;
pub mod ledger;
pub mod link;
pub mod outbox;
pub mod own_keys;
pub mod pace;
pub mod reconciliation;
pub mod role;
