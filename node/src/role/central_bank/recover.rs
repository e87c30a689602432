//! Recover: officers give disputed or frozen coins, or those of a failed bank, to a wallet. Counted in public.
//!
//! The openings come from the desks that hold the coins, or that opened the payment which made them; each is checked against
//! its public id before it is believed. A disputed coin that nobody could open goes without (P-4). How much a disputed payment
//! is worth only registration knows: whoever asks for more gets another dispute, and may ask again for less.

use crate::clock::now_ms;
use crate::link::{Request, Response};
use crate::role::commercial_bank::desk::Inner;
use crate::role::commercial_bank::job::Job;
use crate::role::commercial_bank::rows::KeptRow;
use crate::role::commercial_bank::run::{Ready, Setback};
use crate::role::commercial_bank::sealing::{InputCoin, PlannedOutput, Source};
use ledger_types::coin::{CoinStatus, Opening};
use ledger_types::envelope::{ClearContext, RecoverContext, RecoverReason};
use ledger_types::keys::PublicKey;
use ledger_types::{Amount, CoinId, ContractNumber, Decode, List, Origin, ParticipantNumber, Terms};
use rand::RngCore;

impl Inner {
    /// The openings of coins wherever they lie; of a disputed coin that nobody could open, that there is none (P-4). `Err` names
    /// the first coin that is neither.
    pub(crate) async fn find_openings(&self, coins: &[CoinId]) -> Result<Vec<InputCoin>, CoinId> {
        let mut found = Vec::with_capacity(coins.len());
        for coin in coins {
            let input = match self.find_opening(*coin).await {
                Some(input) => input,
                None if self.is_disputed(coin) => InputCoin::unopened(*coin, self.rules.genesis.currency),
                None => return Err(*coin),
            };
            found.push(input);
        }
        Ok(found)
    }

    async fn find_opening(&self, coin: CoinId) -> Option<InputCoin> {
        match self.known_opening(&coin) {
            Ok(Some(KeptRow { opening, origin, output_index })) => {
                return self.opened(coin, &opening, origin, output_index);
            }
            Ok(None) => {}
            Err(error) => tracing::error!(%error, "cannot read a kept opening"),
        }
        for bank in self.ports.peers() {
            let Ok(response) = self.ask(bank, Request::OpeningFor { coin: coin.0 }).await else { continue };
            let Response::Opening { opening, origin, output_index } = response else { continue };
            let opened = self.opened(coin, &opening, origin, output_index);
            if opened.is_some() {
                return opened;
            }
            tracing::warn!(%coin, %bank, "a bank gave an opening that is not the coin's");
        }
        None
    }

    /// The opening, if it is this coin's in some bank's custody: of a payment that is not good, any party may know it.
    fn opened(&self, id: CoinId, opening: &[u8], origin: [u8; 32], output_index: u8) -> Option<InputCoin> {
        let (opening, origin) = (Opening::from_bytes(opening).ok()?, Origin(origin));
        let ledger = self.ports.ledger();
        let mut banks = ledger.directory.iter().map(|line| line.number);
        let bank = banks.find(|bank| opening.coin_id(self.chain(), &origin, output_index, *bank) == id)?;
        Some(InputCoin { id, opening, origin, output_index, bank })
    }

    fn is_disputed(&self, coin: &CoinId) -> bool {
        match self.ports.coins(std::slice::from_ref(coin)) {
            Ok(found) => found.iter().flatten().any(|coin| coin.status == CoinStatus::Disputed),
            Err(error) => {
                tracing::error!(error, "cannot read the ledger's coins");
                false
            }
        }
    }

    pub(crate) async fn prepare_recovery(
        &self,
        job: &Job,
        coins: &[[u8; 32]],
        reason: u8,
        bank: ParticipantNumber,
        to: &str,
        amount: u64,
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
        if amount == 0 || worth_of(&inputs).is_some_and(|sum| u128::from(amount) > sum) {
            return Err(Setback::refused("a recovery gives something, and no more than the coins are worth"));
        }
        let invoice = self.ask_invoice(bank, to, amount, &self.attempt_nonce(job)).await?;
        let mut rho = [0; 32];
        rand::rngs::OsRng.fill_bytes(&mut rho);
        let planned = [PlannedOutput { amount, bank, owner: PublicKey(invoice.owner), rho, terms: Terms::ZERO }];
        let layout = self.lay_out(ContractNumber(0), Source::ById(inputs), &planned, b"")?;
        let (input_ids, outputs) = (layout.input_ids.clone(), layout.coins.clone());
        let context = ClearContext::Recover(RecoverContext { reason, authorizations: List::empty() });
        let expiry_ms = now_ms() + self.config.order_lifetime_ms;
        let (chain, rules) = (*self.chain(), &self.rules);
        let authorize = |part: &ledger_seal::Unauthorized| central.officers.authorize(&chain, rules, part);
        let envelope = self.seal(layout, bank, context, expiry_ms, authorize).await?;
        Ok(Ready { envelope, inputs: input_ids, outputs, expected: Vec::new(), trace: Vec::new() })
    }
}

/// What the coins say that they are worth. None: one of them has no opening, so the officers say how much is given back.
pub(crate) fn worth_of(inputs: &[InputCoin]) -> Option<u128> {
    let is_known = !inputs.iter().any(InputCoin::is_unopened);
    is_known.then(|| Amount::sum(inputs.iter().map(|input| input.opening.amount)))
}
