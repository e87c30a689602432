//! The public's view of the ledger: pages and an API over one or more observers.
//!
//! What stays true here:
//! - Shown is only what was verified here, from a pinned genesis, with [`ledger_verify`]; what fails is named instead.
//! - Observers are asked, never a validator; the site has no credential, no cookie, no list of coins.
//! - Pages work without JavaScript. What a browser's own check adds, it adds to a page that is complete.
//! - Every answer says as of which height and time, how old, and who signed.

pub mod clock;
pub mod config;

// What is known of the ledger, verified.
pub mod ledger;

// What a policy is, does and would have done; and what a deployed one would have.
pub mod trial;

pub mod counterfactual;

// What a reader typed, and what a reader sees.
pub mod search;

pub mod language;

pub mod show;

mod chart;
mod qr;

// How it is served.
pub mod api;
pub mod http;
pub mod pages;

mod site;

pub use site::Site;
