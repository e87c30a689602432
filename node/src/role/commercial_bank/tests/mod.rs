//! Stories of the desk, on the real transition and real databases.

mod book;
mod crashes;
mod epochs;
mod http;
mod issuance;
mod lending;
mod payments;
mod reconciliation;
mod restored;
mod secrets;
mod world;
