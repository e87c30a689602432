//! Keeps coins of useful sizes: merges when a payment needs more coins than an envelope takes, splits when nothing else waits.
//!
//! A coin is spent whole and its change is confirmed seconds later, so a wallet with one coin makes one payment at a time.

use super::book::{VAULT, is_inert};
use super::desk::{Inner, Shared};
use super::job::{State, Work};
use super::journal::Unit;
use super::requests::NewJob;
use ledger_types::CoinId;
use ledger_types::coin::{OUTPUTS_MAX, SPENDS_MAX};
use std::collections::BTreeSet;
use std::sync::Arc;
use std::time::Duration;
use tokio::sync::watch;

/// Of one look, so that an idle moment does not become a flood.
const SPLITS_PER_LOOK: usize = 16;

impl Inner {
    pub async fn arrange_coins(self: Arc<Self>, mut stop: watch::Receiver<bool>) {
        let mut look = tokio::time::interval(Duration::from_millis(self.config.split_every_ms.max(10)));
        look.set_missed_tick_behavior(tokio::time::MissedTickBehavior::Delay);
        loop {
            tokio::select! {
                _ = look.tick() => {}
                _ = stop.wait_for(|stop| *stop) => return,
            }
            let jobs = self.wanted_arrangements();
            if !jobs.is_empty() && self.create(jobs).await.is_err() {
                return;
            }
        }
    }
}

impl Inner {
    pub(crate) fn wanted_arrangements(&self) -> Vec<NewJob> {
        // the ledger refuses every transfer of an overdue bank. What people have asked for waits; this need not be asked.
        if self.ports.ledger().overdue.count_of(self.me) > 0 {
            return Vec::new();
        }
        let (jobs, _) = self.change(|shared, unit| {
            let mut jobs = shared.wanted_merges(unit);
            if jobs.is_empty() && !shared.has_pending_jobs() {
                jobs = shared.wanted_splits(self.config.live_coins_per_wallet as usize, self.config.split_above);
            }
            jobs
        });
        jobs
    }
}

impl Shared {
    fn has_pending_jobs(&self) -> bool {
        self.jobs.values().any(|active| active.job.state == State::Pending)
    }

    fn arranging(&self) -> BTreeSet<&str> {
        let arranges = |work: &Work| matches!(work, Work::Arrange { .. });
        self.jobs
            .values()
            .filter(|active| arranges(&active.job.work))
            .map(|active| active.job.wallet.as_str())
            .collect()
    }

    /// The first in line has enough money in live coins, in too many of them.
    fn wanted_merges(&mut self, unit: &mut Unit) -> Vec<NewJob> {
        let arranging = self.arranging();
        // Inert money is lent or lies: no transfer takes it (K-4).
        let may_arrange = |name: &str| !arranging.contains(name) && !is_inert(name);
        let waits = |name: &&String| may_arrange(name) && self.book.first_waiting(name).is_some();
        let waiting: Vec<String> = self.book.wallets.keys().filter(waits).cloned().collect();
        let mut jobs = Vec::new();
        for name in &waiting {
            let (Some(amount), Some(sums)) = (self.book.first_waiting(name), self.book.sums(name)) else { continue };
            if sums.available < u128::from(amount) {
                continue;
            }
            if name == VAULT {
                self.book.fill_vault(SPENDS_MAX, unit);
            }
            let largest: Vec<(u64, CoinId)> = self.book.largest_available(name).take(SPENDS_MAX).collect();
            let sum: u128 = largest.iter().map(|(value, _)| u128::from(*value)).sum();
            let Ok(sum) = u64::try_from(sum) else { continue };
            if largest.len() > 1 {
                jobs.push(arrangement(name, &largest, vec![sum]));
            }
        }
        jobs
    }

    /// Wallets with fewer coins than they should have, and one that is large enough.
    fn wanted_splits(&self, wanted: usize, split_above: u64) -> Vec<NewJob> {
        let arranging = self.arranging();
        let mut jobs = Vec::new();
        for (name, wallet) in &self.book.wallets {
            let has_enough = is_inert(name)
                || arranging.contains(name.as_str())
                || (name == VAULT && self.book.preissued.count_left() > 0);
            if has_enough || jobs.len() == SPLITS_PER_LOOK {
                continue;
            }
            let usable = wallet.usable_count(&self.book, wanted);
            let Some(largest) = self.book.largest_available(name).next() else { continue };
            if usable >= wanted || largest.0 <= split_above.max(OUTPUTS_MAX as u64) {
                continue;
            }
            let parts = (wanted - usable + 1).min(OUTPUTS_MAX);
            jobs.push(arrangement(name, &[largest], equal_parts(largest.0, parts)));
        }
        jobs
    }
}

fn arrangement(wallet: &str, coins: &[(u64, CoinId)], amounts: Vec<u64>) -> NewJob {
    let coins = coins.iter().map(|(_, id)| id.0).collect();
    NewJob { wallet: wallet.to_owned(), work: Work::Arrange { coins, amounts }, key: None }
}

/// The first one has what is left over.
fn equal_parts(amount: u64, parts: usize) -> Vec<u64> {
    let each = amount / parts as u64;
    let mut amounts = vec![each; parts];
    amounts[0] += amount - each * parts as u64;
    amounts
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_split_gives_back_what_it_took() {
        for (amount, parts) in [(10, 3), (1_000, 8), (u64::MAX, 7), (8, 8)] {
            let amounts = equal_parts(amount, parts);
            assert_eq!(amounts.len(), parts);
            assert!(!amounts.contains(&0));
            assert_eq!(amounts.iter().map(|part| u128::from(*part)).sum::<u128>(), u128::from(amount));
        }
    }
}
