//! The data plane between several nodes.

mod plane_consensus;
mod plane_keys;
mod plane_lanes;
mod plane_peers;
mod plane_recovery;
mod plane_sets;
mod plane_spread;
mod plane_support;
mod plane_wire;
