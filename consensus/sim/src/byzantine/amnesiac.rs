//! Forgets what it voted, again and again, and votes on: guard and log are made anew, and it asks nobody.

use crate::node::Durable;
use consensus::guard::SigningGuard;

pub fn forget(durable: &Durable) {
    durable.disk.remove("guard");
    durable.disk.remove("wal");
    let (chain, key) = (&durable.chain0.rules.chain, durable.key.public_key());
    SigningGuard::create_on(&durable.disk.open("guard"), chain, key).expect("a disk that writes");
}
