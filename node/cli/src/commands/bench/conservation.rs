//! What a run must leave as it was: the proved supply, and every minor unit in some bank's books.

use super::cluster::Seat;
use crate::commands::supply::verified_supply;
use crate::outcome::Failure;
use ledger_verify::Trust;
use node_api::{Client, desk};
use std::time::{Duration, Instant};

/// A desk books a confirmation a moment after the ledger has it.
const BOOKED_WITHIN: Duration = Duration::from_secs(30);
const POLL: Duration = Duration::from_millis(200);

/// In minor units.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Supply {
    pub issued: u128,
    pub redeemed: u128,
}

impl Supply {
    /// Verified from the genesis at the first bank's node.
    pub async fn proved(node: &Client, trust: &Trust) -> Result<Self, Failure> {
        let verified = verified_supply(node, trust).await?;
        Ok(Supply { issued: verified.issued(), redeemed: verified.redeemed() })
    }

    pub fn outstanding(self) -> u128 {
        self.issued - self.redeemed
    }
}

/// The sum over the wallets of all these desks: live, unconfirmed, reserved, frozen and disputed.
async fn held(desks: &[Client]) -> Result<u128, Failure> {
    let mut sum = 0u128;
    for desk in desks {
        let wallets: Vec<desk::Wallet> = desk.get("/v1/wallets").await?;
        sum += wallets
            .iter()
            .flat_map(|wallet| [wallet.live, wallet.unconfirmed, wallet.reserved, wallet.frozen_or_disputed])
            .map(u128::from)
            .sum::<u128>();
    }
    Ok(sum)
}

/// The desks with a vault of their own; the central bank's may hold what was paid to it.
pub fn desks<'a>(seats: impl Iterator<Item = &'a Seat>) -> Result<Vec<Client>, Failure> {
    seats.filter(|seat| seat.is_validator()).map(Seat::client).collect()
}

/// Waits until the desks together hold exactly what is outstanding; between two banks a payment is in nobody's books.
pub async fn everything_is_held(desks: &[Client], outstanding: u128) -> Result<u128, Failure> {
    let until = Instant::now() + BOOKED_WITHIN;
    loop {
        let sum = held(desks).await?;
        if sum == outstanding {
            return Ok(sum);
        }
        if Instant::now() > until {
            let message = format!("the desks hold {sum} minor units together, outstanding are {outstanding}");
            return Err(Failure::unverified("value_not_conserved", message));
        }
        tokio::time::sleep(POLL).await;
    }
}
