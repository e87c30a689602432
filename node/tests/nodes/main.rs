//! Whole-node tests: real processes of the node's program on real loopback sockets, played through their public interface.

mod backups;
mod batches;
mod canaries;
mod cheat;
mod contracts;
mod corpus;
mod crashes;
mod damaged_disks;
mod double_spend;
mod hand_overs;
mod health;
mod hints;
mod history;
mod joining;
mod lost_disks;
mod malformed;
mod mint;
mod monitoring;
mod payments;
mod public_log;
mod quarters;
mod quorum;
mod registration;
mod rotated_keys;
mod rules;
mod secrecy;
mod slots;

// The harness of faults starts the same clusters.
use assay_faults::cluster;
