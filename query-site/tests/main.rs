//! The site over small registries.

mod contracts;
mod follower;
mod hostile;
mod interface;
mod locales;
mod pages;
mod slow;
mod support;
mod trial;
