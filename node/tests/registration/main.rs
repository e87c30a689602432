//! Registration and confirmation issuance: what is opened, booked, published, and when, whatever dies in between.

mod bed;
mod world;

mod batches;
mod kills;
mod process;
mod registering;
