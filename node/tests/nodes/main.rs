//! Whole-node tests: real processes of the node's program on real loopback sockets, played through their public interface.

mod canaries;
mod cluster;
mod crashes;
mod double_spend;
mod health;
mod lost_disks;
mod malformed;
mod payments;
mod public_log;
mod quorum;
mod registration;
mod secrecy;
