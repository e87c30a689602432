//! Log, map and Merkle trees, against vectors and a second implementation.

mod golden;
mod log;
mod map;
mod merkle;
mod note;
mod support;
