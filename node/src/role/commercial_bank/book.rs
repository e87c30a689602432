//! The desk's wallets and coins, in memory: what is live, what is reserved, and which coins a payment takes.
//!
//! - A coin is reserved by at most one job at a time; what a job reserves covers its amount.
//! - A wallet's sums always equal the sums over its coins (checked by [`Book::check`] in tests).
//! - Payments of one wallet that wait for coins get them in the order in which they came.
//!
//! Reservations live in memory alone: what a stored attempt spends is reserved again at start.

use super::job::JobId;
use super::journal::Unit;
use super::preissued::Preissued;
use super::rows::{CoinRow, Table};
use ledger_types::coin::{CoinStatus, Opening, SPENDS_MAX};
use ledger_types::{CoinId, Decode, Encode, Origin, Terms};
use std::collections::{BTreeMap, BTreeSet, HashMap, VecDeque};
use tokio::sync::oneshot;
use zeroize::Zeroizing;

pub(crate) const VAULT: &str = "vault";

/// Where coins of these terms lie: with the vault's keys, and apart from its money. No wallet can be given such a name, so nothing
/// that takes a wallet's name pays with inert money.
pub(crate) fn inert_wallet(terms: &Terms) -> String {
    format!("inert:{terms}")
}

pub(crate) fn is_inert(wallet: &str) -> bool {
    wallet.starts_with("inert:")
}

#[derive(Clone)]
pub(crate) struct HeldCoin {
    pub id: CoinId,
    pub opening: Opening,
    pub origin: Origin,
    pub output_index: u8,
    pub wallet: String,
    pub key_index: u64,
    pub status: CoinStatus,
    /// By which job.
    pub reserved: Option<JobId>,
}

impl HeldCoin {
    pub fn amount(&self) -> u64 {
        self.opening.amount.0
    }

    pub fn row(&self) -> CoinRow {
        CoinRow {
            opening: self.opening.to_bytes(),
            origin: self.origin.0,
            output_index: self.output_index,
            wallet: self.wallet.clone(),
            key_index: self.key_index,
            status: self.status.number(),
        }
    }

    pub fn from_row(id: CoinId, row: CoinRow) -> Option<Self> {
        Some(HeldCoin {
            id,
            opening: Opening::from_bytes(&row.opening).ok()?,
            origin: Origin(row.origin),
            output_index: row.output_index,
            wallet: row.wallet,
            key_index: row.key_index,
            status: CoinStatus::ALL.iter().copied().find(|status| status.number() == row.status)?,
            reserved: None,
        })
    }
}

/// Sums in minor units.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct Sums {
    /// Live and not reserved; the pre-issued coins that were never touched are not in it.
    pub available: u128,
    pub unconfirmed: u128,
    pub reserved: u128,
    pub blocked: u128,
}

pub(crate) struct Wallet {
    pub seed: Zeroizing<[u8; 32]>,
    pub coins: BTreeSet<CoinId>,
    /// Live and not reserved, by amount.
    available: BTreeSet<(u64, CoinId)>,
    sums: Sums,
    /// What the jobs that hold the reserved coins pay away.
    leaving: u128,
    /// Amounts of pending jobs that have no coins yet.
    promised: u128,
    waiting: VecDeque<Waiting>,
}

struct Waiting {
    job: JobId,
    amount: u64,
    coins: oneshot::Sender<Vec<HeldCoin>>,
}

struct Reservation {
    wallet: String,
    amount: u64,
    coins: Vec<CoinId>,
}

pub(crate) enum Coins {
    Reserved(Vec<HeldCoin>),
    /// They come when there are enough live ones.
    Later(oneshot::Receiver<Vec<HeldCoin>>),
}

#[derive(Default)]
pub(crate) struct Book {
    pub wallets: BTreeMap<String, Wallet>,
    pub coins: HashMap<CoinId, HeldCoin>,
    reservations: HashMap<JobId, Reservation>,
    pub preissued: Preissued,
}

impl Book {
    pub fn add_wallet(&mut self, name: &str, seed: Zeroizing<[u8; 32]>) {
        self.wallets.entry(name.to_owned()).or_insert_with(|| Wallet {
            seed,
            coins: BTreeSet::new(),
            available: BTreeSet::new(),
            sums: Sums::default(),
            leaving: 0,
            promised: 0,
            waiting: VecDeque::new(),
        });
    }

    /// The place of coins of these terms, from the first of them on.
    pub fn open_inert(&mut self, wallet: &str) {
        if is_inert(wallet)
            && let Some(seed) = self.wallets.get(VAULT).map(|vault| vault.seed.clone())
        {
            self.add_wallet(wallet, seed);
        }
    }

    /// Takes a coin in; its wallet must exist, unless the coin is inert: then it lies apart, whatever wallet is named. A coin that is
    /// there already stays as it is.
    pub fn insert(&mut self, mut coin: HeldCoin) {
        if self.coins.contains_key(&coin.id) {
            return;
        }
        if coin.opening.terms != Terms::ZERO {
            coin.wallet = inert_wallet(&coin.opening.terms);
            self.open_inert(&coin.wallet);
        }
        let Some(wallet) = self.wallets.get_mut(&coin.wallet) else { return };
        wallet.coins.insert(coin.id);
        wallet.tally(&coin);
        self.coins.insert(coin.id, coin);
    }

    /// Spent. Gives the wallet that lost it.
    pub fn remove(&mut self, id: &CoinId) -> Option<HeldCoin> {
        let coin = self.coins.remove(id)?;
        let wallet = self.wallets.get_mut(&coin.wallet)?;
        wallet.untally(&coin);
        wallet.coins.remove(id);
        Some(coin)
    }

    pub fn set_status(&mut self, id: &CoinId, status: CoinStatus) -> Option<&HeldCoin> {
        self.change(id, |coin| coin.status = status)
    }

    fn change(&mut self, id: &CoinId, change: impl FnOnce(&mut HeldCoin)) -> Option<&HeldCoin> {
        let coin = self.coins.get_mut(id)?;
        let wallet = self.wallets.get_mut(&coin.wallet)?;
        wallet.untally(coin);
        change(coin);
        wallet.tally(coin);
        Some(coin)
    }

    pub fn sums(&self, name: &str) -> Option<Sums> {
        let mut sums = self.wallets.get(name)?.sums;
        if name == VAULT {
            sums.available += self.preissued.sum_left();
        }
        Some(sums)
    }

    /// Whether the wallet can pay this, now or when what is under way to it is confirmed.
    pub fn can_cover(&self, name: &str, amount: u64) -> bool {
        let (Some(sums), Some(wallet)) = (self.sums(name), self.wallets.get(name)) else { return false };
        let owned = sums.available + sums.unconfirmed + sums.reserved;
        let spoken_for = wallet.leaving + wallet.promised;
        owned >= spoken_for + u128::from(amount)
    }

    /// The amounts in which so much can leave the wallet when nobody puts its coins together, as nobody does with inert ones: one if
    /// one envelope spends it, else of each envelope's the worth of its eight largest coins, and the rest. Largest first, which is how
    /// coins are chosen, so that spent in this order each finds its coins. They are less than `amount` together if the wallet is.
    pub fn in_parts(&self, name: &str, amount: u64) -> Vec<u64> {
        let is_usable =
            |coin: &&HeldCoin| coin.wallet == name && matches!(coin.status, CoinStatus::Live | CoinStatus::Unconfirmed);
        let mut amounts: Vec<u64> = self.coins.values().filter(is_usable).map(HeldCoin::amount).collect();
        amounts.sort_unstable_by(|a, b| b.cmp(a));
        let (mut parts, mut rest) = (Vec::new(), amount);
        for coins in amounts.chunks(SPENDS_MAX) {
            if rest == 0 {
                break;
            }
            let worth: u128 = coins.iter().copied().map(u128::from).sum();
            let part = u64::try_from(worth).map_or(rest, |worth| worth.min(rest));
            parts.push(part);
            rest -= part;
        }
        parts
    }

    /// Whether its first in line could ever be served: coins may have been frozen or lost since it was promised some.
    pub fn may_ever_cover(&self, name: &str, amount: u64) -> bool {
        let (Some(sums), Some(wallet)) = (self.sums(name), self.wallets.get(name)) else { return false };
        sums.available + sums.unconfirmed + sums.reserved >= wallet.leaving + u128::from(amount)
    }

    /// A pending job will want so much. Undone by [`Self::reserve`] or [`Self::unpromise`].
    pub fn promise(&mut self, name: &str, amount: u64) {
        if let Some(wallet) = self.wallets.get_mut(name) {
            wallet.promised += u128::from(amount);
        }
    }

    pub fn unpromise(&mut self, name: &str, amount: u64) {
        if let Some(wallet) = self.wallets.get_mut(name) {
            wallet.promised -= u128::from(amount);
        }
    }

    /// Coins for a promised amount, now or later. Rows of coins that were never used before go into `unit`.
    pub fn reserve(&mut self, name: &str, job: JobId, amount: u64, unit: &mut Unit) -> Coins {
        let (sender, receiver) = oneshot::channel();
        if let Some(wallet) = self.wallets.get_mut(name) {
            wallet.waiting.push_back(Waiting { job, amount, coins: sender });
            self.serve_waiting(name, unit);
        }
        let mut receiver = receiver;
        match receiver.try_recv() {
            Ok(coins) => Coins::Reserved(coins),
            Err(_) => Coins::Later(receiver),
        }
    }

    /// Gives coins to those who wait for them, first come, first served.
    pub fn serve_waiting(&mut self, name: &str, unit: &mut Unit) {
        loop {
            let Some(wallet) = self.wallets.get_mut(name) else { return };
            let Some(front) = wallet.waiting.front() else { return };
            if front.coins.is_closed() {
                wallet.waiting.pop_front();
                continue;
            }
            let amount = front.amount;
            let Some(ids) = self.select(name, amount, unit) else { return };
            let wallet = self.wallets.get_mut(name).expect("it was here a moment ago");
            let waiting = wallet.waiting.pop_front().expect("the front was looked at under the same lock");
            wallet.promised -= u128::from(amount);
            let coins = self.take(name, waiting.job, amount, ids);
            if waiting.coins.send(coins).is_err() {
                // Whoever waited has gone between the look and now.
                self.release(&waiting.job, unit);
                self.promise(name, amount);
            }
        }
    }

    /// What the first in line waits for, if somebody waits.
    pub fn first_waiting(&self, name: &str) -> Option<u64> {
        self.wallets.get(name)?.waiting.front().map(|waiting| waiting.amount)
    }

    /// Reserves these very coins; all must be live and free.
    pub fn reserve_exactly(&mut self, name: &str, job: JobId, amount: u64, ids: &[CoinId]) -> Option<Vec<HeldCoin>> {
        let free = |id: &CoinId| {
            let coin = self.coins.get(id)?;
            (coin.wallet == name && coin.reserved.is_none() && coin.status == CoinStatus::Live).then_some(())
        };
        ids.iter().map(free).collect::<Option<Vec<()>>>()?;
        Some(self.take(name, job, amount, ids.to_vec()))
    }

    /// At start: what a stored attempt spends, whatever its coins' status is by now.
    pub fn reserve_again(&mut self, name: &str, job: JobId, amount: u64, ids: Vec<CoinId>) -> Vec<HeldCoin> {
        let held = ids.into_iter().filter(|id| self.coins.contains_key(id)).collect();
        self.take(name, job, amount, held)
    }

    fn take(&mut self, name: &str, job: JobId, amount: u64, ids: Vec<CoinId>) -> Vec<HeldCoin> {
        let coins = ids.iter().filter_map(|id| self.change(id, |coin| coin.reserved = Some(job)).cloned()).collect();
        if let Some(wallet) = self.wallets.get_mut(name) {
            wallet.leaving += u128::from(amount);
        }
        self.reservations.insert(job, Reservation { wallet: name.to_owned(), amount, coins: ids });
        coins
    }

    /// The job does not spend them after all, or has spent them: those that are still here are free again.
    pub fn release(&mut self, job: &JobId, unit: &mut Unit) {
        let Some(reservation) = self.reservations.remove(job) else { return };
        for id in &reservation.coins {
            self.change(id, |coin| coin.reserved = None);
        }
        if let Some(wallet) = self.wallets.get_mut(&reservation.wallet) {
            wallet.leaving -= u128::from(reservation.amount);
        }
        self.serve_waiting(&reservation.wallet, unit);
    }

    /// The smallest coin that covers the amount; else the largest ones, at most [`SPENDS_MAX`]. `None`: not now.
    fn select(&mut self, name: &str, amount: u64, unit: &mut Unit) -> Option<Vec<CoinId>> {
        let wallet = self.wallets.get(name)?;
        if let Some((_, id)) = wallet.available.range((amount, CoinId([0; 32]))..).next() {
            return Some(vec![*id]);
        }
        if name == VAULT
            && let Some(line) = self.preissued.smallest_that_covers(amount)
        {
            return Some(vec![self.materialise(line, unit)]);
        }
        let wallet = self.wallets.get(name)?;
        let mut largest: Vec<(u64, From)> =
            wallet.available.iter().rev().take(SPENDS_MAX).map(|(value, id)| (*value, From::Wallet(*id))).collect();
        if name == VAULT {
            largest.extend(
                self.preissued.largest(SPENDS_MAX).into_iter().map(|(value, line)| (value, From::Preissued(line))),
            );
            largest.sort_by_key(|(value, _)| std::cmp::Reverse(*value));
            largest.truncate(SPENDS_MAX);
        }
        let mut sum = 0u128;
        let enough = largest.iter().position(|(value, _)| {
            sum += u128::from(*value);
            sum >= u128::from(amount)
        })?;
        largest.truncate(enough + 1);
        let ids = largest.into_iter().map(|(_, from)| match from {
            From::Wallet(id) => id,
            From::Preissued(line) => self.materialise(line, unit),
        });
        Some(ids.collect())
    }

    /// A pre-issued coin becomes one of the vault's.
    fn materialise(&mut self, line: usize, unit: &mut Unit) -> CoinId {
        let coin = self.preissued.take(line, unit);
        let id = coin.id;
        unit.put(Table::Coins, &id.0, &coin.row());
        self.insert(coin);
        id
    }

    /// Takes this coin into the vault, if it is a pre-issued one without a row.
    pub fn materialise_out_of_turn(&mut self, coin: &CoinId, unit: &mut Unit) {
        if let Some(coin) = self.preissued.take_out_of_turn(coin, unit) {
            unit.put(Table::Coins, &coin.id.0, &coin.row());
            self.insert(coin);
        }
    }

    /// Takes pre-issued coins into the vault until it has so many free ones, for a merge.
    pub fn fill_vault(&mut self, coins: usize, unit: &mut Unit) {
        let free = self.wallets.get(VAULT).map_or(0, |vault| vault.available.len());
        for (_, line) in self.preissued.largest(coins.saturating_sub(free)) {
            self.materialise(line, unit);
        }
    }

    /// The wallet's free live coins, largest first.
    pub fn largest_available(&self, name: &str) -> impl Iterator<Item = (u64, CoinId)> + '_ {
        self.wallets.get(name).into_iter().flat_map(|wallet| wallet.available.iter().rev().copied())
    }

    #[cfg(test)]
    pub fn check(&self) {
        for (name, wallet) in &self.wallets {
            let mut expected = Sums::default();
            let mut available = BTreeSet::new();
            for coin in wallet.coins.iter().map(|id| &self.coins[id]) {
                assert_eq!(&coin.wallet, name);
                *expected.of(coin) += u128::from(coin.amount());
                if is_available(coin) {
                    available.insert((coin.amount(), coin.id));
                }
            }
            assert_eq!(wallet.sums, expected);
            assert_eq!(wallet.available, available);
        }
        for (job, reservation) in &self.reservations {
            for id in &reservation.coins {
                assert!(self.coins.get(id).is_none_or(|coin| coin.reserved == Some(*job)), "a coin has two holders");
            }
        }
        for coin in self.coins.values() {
            assert!(coin.reserved.is_none_or(|job| self.reservations.contains_key(&job)), "a coin is held by nobody");
        }
    }
}

/// Where a chosen coin comes from.
enum From {
    Wallet(CoinId),
    Preissued(usize),
}

fn is_available(coin: &HeldCoin) -> bool {
    coin.reserved.is_none() && coin.status == CoinStatus::Live
}

impl Sums {
    fn of(&mut self, coin: &HeldCoin) -> &mut u128 {
        match (coin.reserved, coin.status) {
            (_, CoinStatus::Frozen | CoinStatus::Disputed) => &mut self.blocked,
            (Some(_), _) => &mut self.reserved,
            (None, CoinStatus::Live) => &mut self.available,
            (None, CoinStatus::Unconfirmed) => &mut self.unconfirmed,
        }
    }
}

impl Wallet {
    fn tally(&mut self, coin: &HeldCoin) {
        *self.sums.of(coin) += u128::from(coin.amount());
        if is_available(coin) {
            self.available.insert((coin.amount(), coin.id));
        }
    }

    fn untally(&mut self, coin: &HeldCoin) {
        *self.sums.of(coin) -= u128::from(coin.amount());
        if is_available(coin) {
            self.available.remove(&(coin.amount(), coin.id));
        }
    }

    /// Coins that are live or will be, counted up to `enough`.
    pub fn usable_count(&self, book: &Book, enough: usize) -> usize {
        let is_usable = |coin: &&HeldCoin| matches!(coin.status, CoinStatus::Live | CoinStatus::Unconfirmed);
        self.coins.iter().filter_map(|id| book.coins.get(id)).filter(is_usable).take(enough).count()
    }
}
