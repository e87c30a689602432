//! Registration and confirmation issuance: what is opened, booked, published, and when, whatever dies in between.

mod bed;
mod world;

mod batches;
mod kills;
mod lending;
mod officers;
mod process;
mod registering;
