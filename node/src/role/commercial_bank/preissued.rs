//! The genesis's coins of this bank's vault, derived when they are used: a bench's million never stands in memory or on disk.
//!
//! A line's coins are taken in order; how many are gone is stored with the coin's own row, in the same unit. So are those that
//! were taken out of turn, and are passed over when theirs comes: a coin that is frozen has a row from then on, and one that
//! officers recovered is gone.

use super::book::{HeldCoin, VAULT};
use super::journal::Unit;
use super::rows::Meta;
use ledger_state::Rules;
use ledger_types::coin::{CoinStatus, issue_origin};
use ledger_types::genesis::Preissue;
use ledger_types::keys::PublicKey;
use ledger_types::{Chain, CoinId, Currency, ParticipantNumber};
use std::collections::{BTreeMap, BTreeSet};

#[derive(Clone, Default)]
pub(crate) struct Preissued {
    lines: Vec<Line>,
    taken: Vec<u32>,
    /// Line and index of those that were taken before their turn, which has not come yet.
    out_of_turn: BTreeSet<(u32, u32)>,
}

#[derive(Clone)]
struct Line {
    line: Preissue,
    first_issue_number: u64,
    chain: Chain,
    currency: Currency,
}

impl Line {
    fn coin(&self, index: u32) -> HeldCoin {
        let opening = self.line.opening(&self.chain, self.currency, index);
        let origin = issue_origin(&self.chain, self.line.series, self.first_issue_number + u64::from(index));
        HeldCoin {
            id: opening.coin_id(&self.chain, &origin, 0, self.line.bank),
            opening,
            origin,
            output_index: 0,
            wallet: VAULT.to_owned(),
            key_index: 0,
            // C-3, G-1: they enter live with batch 0.
            status: CoinStatus::Live,
            reserved: None,
        }
    }
}

impl Preissued {
    /// The lines that name this bank and the vault's key 0 as the owner.
    pub fn of(
        rules: &Rules,
        me: ParticipantNumber,
        vault_key: PublicKey,
        taken: Vec<u32>,
        out_of_turn: BTreeSet<(u32, u32)>,
    ) -> Self {
        let mut next_numbers = BTreeMap::new();
        let mut lines = Vec::new();
        for line in &rules.genesis.preissues {
            let next: &mut u64 = next_numbers.entry(line.series).or_default();
            let first_issue_number = *next;
            *next += u64::from(line.count);
            if line.bank == me && line.owner == vault_key {
                let (chain, currency) = (rules.chain, rules.genesis.currency);
                lines.push(Line { line: line.clone(), first_issue_number, chain, currency });
            }
        }
        let mut taken = taken;
        taken.resize(lines.len(), 0);
        Preissued { lines, taken, out_of_turn }
    }

    fn left(&self, line: usize) -> u32 {
        let number = line as u32;
        let out_of_turn = self.out_of_turn.range((number, 0)..=(number, u32::MAX)).count() as u32;
        self.lines[line].line.count - self.taken[line] - out_of_turn
    }

    pub fn count_left(&self) -> u64 {
        (0..self.lines.len()).map(|line| u64::from(self.left(line))).sum()
    }

    pub fn sum_left(&self) -> u128 {
        (0..self.lines.len()).map(|line| u128::from(self.left(line)) * u128::from(self.lines[line].line.amount.0)).sum()
    }

    /// Coins that were never taken, derived one by one.
    pub fn untouched(&self) -> impl Iterator<Item = HeldCoin> + Send + use<> {
        let lines = self.lines.clone();
        self.places_left().map(move |(line, index)| lines[line as usize].coin(index))
    }

    /// Line and index of each of them.
    fn places_left(&self) -> impl Iterator<Item = (u32, u32)> + Send + use<> {
        let counts: Vec<u32> = self.lines.iter().map(|line| line.line.count).collect();
        let lines = (0u32..).zip(self.taken.clone().into_iter().zip(counts));
        let places = lines.flat_map(|(line, (taken, count))| (taken..count).map(move |index| (line, index)));
        let out_of_turn = self.out_of_turn.clone();
        places.filter(move |place| !out_of_turn.contains(place))
    }

    /// The coin with this id, taken or not. Derives them until it is found: for a repair.
    pub fn find(&self, coin: &CoinId) -> Option<HeldCoin> {
        let coins = self.lines.iter().flat_map(|line| (0..line.line.count).map(|index| line.coin(index)));
        coins.into_iter().find(|held| held.id == *coin)
    }

    /// The next coin of a line that has some left.
    pub fn take(&mut self, line: usize, unit: &mut Unit) -> HeldCoin {
        while self.out_of_turn.remove(&(line as u32, self.taken[line])) {
            self.taken[line] += 1;
            unit.put_meta(Meta::PreissuedOutOfTurn, &self.out_of_turn);
        }
        let coin = self.lines[line].coin(self.taken[line]);
        self.taken[line] += 1;
        unit.put_meta(Meta::Preissued, &self.taken);
        coin
    }

    /// This coin, if it was never taken. Derives them until it is found: for what happens seldom.
    pub fn take_out_of_turn(&mut self, coin: &CoinId, unit: &mut Unit) -> Option<HeldCoin> {
        let mut places = self.places_left().map(|(line, index)| ((line, index), self.lines[line as usize].coin(index)));
        let (place, coin) = places.find(|(_, held)| held.id == *coin)?;
        self.out_of_turn.insert(place);
        unit.put_meta(Meta::PreissuedOutOfTurn, &self.out_of_turn);
        Some(coin)
    }

    /// The line of the smallest coins that cover this amount alone.
    pub fn smallest_that_covers(&self, amount: u64) -> Option<usize> {
        let covers = |line: &usize| self.left(*line) > 0 && self.lines[*line].line.amount.0 >= amount;
        (0..self.lines.len()).filter(covers).min_by_key(|line| self.lines[*line].line.amount)
    }

    /// The largest coins that are left, at most `max`, each as its amount and its line.
    pub fn largest(&self, max: usize) -> Vec<(u64, usize)> {
        let coins = (0..self.lines.len()).flat_map(|line| {
            let count = max.min(self.left(line) as usize);
            std::iter::repeat_n((self.lines[line].line.amount.0, line), count)
        });
        let mut coins: Vec<(u64, usize)> = coins.collect();
        coins.sort_by_key(|(amount, _)| std::cmp::Reverse(*amount));
        coins.truncate(max);
        coins
    }
}
