//! What a process does beside following the ledger; one folder a role.

pub mod central_bank;
pub mod commercial_bank;
pub mod confirmation_issuance;
pub mod registration;
