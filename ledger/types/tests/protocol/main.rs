//! The protocol's nouns, tested through the public interface alone: bytes, bounds, derivations and refusals.

mod any;
mod fixture;

mod bijective;
mod bounds;
mod golden;

mod coin_text;
mod domain;
mod merkle;
mod refusals;
mod signatures;
mod vectors;

mod directory;
mod genesis;

mod acknowledgement;
mod bundle;
mod ownership;
mod quorum;
mod secrets;
