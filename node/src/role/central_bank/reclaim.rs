//! Reclaim: inert money that nobody lent in its window is retired, wherever it lies (K-3). The policy authorises it.
//!
//! The openings come from the desks that hold the coins, as for a recovery, and are checked against their ids before they are
//! believed: the public amount is their sum.

use crate::clock::now_ms;
use crate::role::commercial_bank::desk::Inner;
use crate::role::commercial_bank::run::{Ready, Setback};
use crate::role::commercial_bank::sealing::{InputCoin, Source};
use ledger_seal::Authorization;
use ledger_types::coin::CoinStatus;
use ledger_types::envelope::{ClearContext, ReclaimContext};
use ledger_types::{Amount, CoinId, ContractNumber};

impl Inner {
    pub(crate) async fn prepare_reclaim(&self, contract: ContractNumber, coins: &[[u8; 32]]) -> Result<Ready, Setback> {
        if self.central.is_none() {
            return Err(Setback::refused("only the central bank reclaims"));
        }
        let ids: Vec<CoinId> = coins.iter().map(|id| CoinId(*id)).collect();
        // K-3: an unconfirmed one is reclaimed when it is confirmed.
        let found = self.ports.coins(&ids).map_err(Setback::Later)?;
        if found.iter().any(Option::is_none) {
            return Err(Setback::refused("one of the coins is spent, or never was"));
        }
        if found.iter().flatten().any(|coin| coin.status == CoinStatus::Unconfirmed) {
            return Err(Setback::Later("one of the coins is not confirmed yet".into()));
        }
        let inputs = self.find_openings(&ids).await;
        let inputs = inputs.map_err(|coin| Setback::Later(format!("no bank gives the opening of {coin}")))?;
        if inputs.iter().any(InputCoin::is_unopened) {
            return Err(Setback::refused("a disputed coin is the officers', and not the policy's"));
        }
        if inputs.iter().any(|input| input.opening.terms != inputs[0].opening.terms) {
            return Err(Setback::refused("coins of two versions of a contract do not go into one envelope"));
        }
        let sum = Amount::sum(inputs.iter().map(|input| input.opening.amount));
        let amount = u64::try_from(sum).map_err(|_| Setback::refused("the coins exceed what one amount holds"))?;
        let layout = self.lay_out(contract, Source::ById(inputs), &[], b"")?;
        let inputs = layout.input_ids.clone();
        let context = ClearContext::Reclaim(ReclaimContext { amount: Amount(amount) });
        let expiry_ms = now_ms() + self.config.order_lifetime_ms;
        let envelope = self.seal(layout, self.me, context, expiry_ms, |_| Authorization::NotNeeded).await?;
        Ok(Ready { envelope, inputs, outputs: Vec::new(), expected: Vec::new(), trace: Vec::new() })
    }
}
