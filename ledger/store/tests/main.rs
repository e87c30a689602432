//! What is on disk, and what a crash leaves of it.

mod audit;
mod bundles;
mod coins;
mod commit;
mod common;
mod copy;
mod crash;
mod damage;
mod disk_full;
mod golden;
mod history;
mod joining;
mod kill;
mod model;
mod open;
mod private;
mod prune;
