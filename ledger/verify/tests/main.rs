//! The verifier: what it takes, and each way of being refused.

mod bit_flips;
mod blocks;
mod buckets;
mod chain;
mod coins;
mod contracts;
mod golden;
mod hand_overs;
mod owners;
mod protocol_page;
mod requests;
mod second_verifier;
