//! The engine's side of consensus: whole clusters in one process over real loopback connections, and the bytes that it sends.

mod bytes;
mod cluster;
mod follow;
mod judging;
#[path = "../plane_support/mod.rs"]
mod plane_support;
mod toy;
mod trust;
mod whole;
