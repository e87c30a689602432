//! The transition, rule by rule.

mod batches;
mod block_refusals;
mod common;
mod contract_histories;
mod contracts;
mod feeds;
mod genesis;
mod golden;
mod hand_overs;
mod histories;
mod loans;
mod payment;
mod rejections;
mod rejections_of_batches;
mod rules;
mod statements;
