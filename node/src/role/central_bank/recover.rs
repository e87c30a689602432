//! Recover: officers give disputed or frozen coins, or those of a failed bank, to a wallet. Counted in public.
//!
//! The openings come from the desks that hold the coins; each is checked against its public id before it is believed.

use crate::clock::now_ms;
use crate::link::{Request, Response};
use crate::role::commercial_bank::desk::Inner;
use crate::role::commercial_bank::job::Job;
use crate::role::commercial_bank::run::{Ready, Setback};
use crate::role::commercial_bank::sealing::{InputCoin, PlannedOutput, Source};
use ledger_types::coin::Opening;
use ledger_types::envelope::{ClearContext, RecoverContext, RecoverReason};
use ledger_types::keys::PublicKey;
use ledger_types::{Amount, CoinId, Decode, List, Origin, ParticipantNumber};
use rand::RngCore;

impl Inner {
    /// The openings of coins wherever they lie. `Err` names the first that nobody gave.
    pub(crate) async fn find_openings(&self, coins: &[CoinId]) -> Result<Vec<InputCoin>, CoinId> {
        let mut found = Vec::with_capacity(coins.len());
        for coin in coins {
            found.push(self.find_opening(*coin).await.ok_or(*coin)?);
        }
        Ok(found)
    }

    async fn find_opening(&self, coin: CoinId) -> Option<InputCoin> {
        let own = self.shared().book.coins.get(&coin).cloned();
        if let Some(own) = own {
            return Some(self.input(&own));
        }
        for bank in self.ports.peers() {
            let Ok(response) = self.ask(bank, Request::OpeningFor { coin: coin.0 }).await else { continue };
            let Response::Opening { opening, origin, output_index } = response else { continue };
            let Ok(opening) = Opening::from_bytes(&opening) else { continue };
            let origin = Origin(origin);
            if opening.coin_id(self.chain(), &origin, output_index, bank) == coin {
                return Some(InputCoin { id: coin, opening, origin, output_index, bank });
            }
            tracing::warn!(%coin, %bank, "a bank gave an opening that is not the coin's");
        }
        None
    }

    pub(crate) async fn prepare_recovery(
        &self,
        job: &Job,
        coins: &[[u8; 32]],
        reason: u8,
        bank: ParticipantNumber,
        to: &str,
    ) -> Result<Ready, Setback> {
        let central = self.central.as_ref().ok_or_else(|| Setback::refused("only the central bank recovers"))?;
        if !central.officers.are_enough(&self.rules) {
            return Err(Setback::refused("too few officers' keys are at hand"));
        }
        let reason = RecoverReason::ALL.iter().copied().find(|known| known.number() == reason);
        let reason = reason.ok_or_else(|| Setback::refused("the reason is unknown"))?;
        let ids: Vec<CoinId> = coins.iter().map(|id| CoinId(*id)).collect();
        let inputs = self.find_openings(&ids).await;
        let inputs = inputs.map_err(|coin| Setback::Later(format!("no bank gives the opening of {coin}")))?;
        let sum = Amount::sum(inputs.iter().map(|input| input.opening.amount));
        let amount = u64::try_from(sum).map_err(|_| Setback::refused("the coins exceed what one coin holds"))?;
        let invoice = self.ask_invoice(bank, to, amount, &self.attempt_nonce(job)).await?;
        let mut rho = [0; 32];
        rand::rngs::OsRng.fill_bytes(&mut rho);
        let planned = [PlannedOutput { amount, bank, owner: PublicKey(invoice.owner), rho }];
        let layout = self.lay_out(Source::ById(inputs), &planned, "")?;
        let (input_ids, outputs) = (layout.input_ids.clone(), layout.coins.clone());
        let context = ClearContext::Recover(RecoverContext { reason, authorizations: List::empty() });
        let expiry_ms = now_ms() + self.config.order_lifetime_ms;
        let (chain, rules) = (*self.chain(), &self.rules);
        let authorize = |part: &ledger_seal::Unauthorized| central.officers.authorize(&chain, rules, part);
        let envelope = self.seal(layout, bank, context, expiry_ms, authorize).await?;
        Ok(Ready { envelope, inputs: input_ids, outputs, expected: Vec::new(), trace: Vec::new() })
    }
}
