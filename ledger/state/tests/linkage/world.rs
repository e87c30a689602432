//! A world of owners, banks and payments shaped by the payments profile, confirmed by R-2's rule, with the ledger's own types.
//!
//! - Amounts, hours, banks and how often people pay: `shared/data/payments-profile` (CDNOW, a mobile-money service, Berka).
//! - Coins are chosen as the desk chooses them (the smallest that covers, else the largest), split as the desk splits them (to four
//!   a wallet, when the bank is idle), and are spent no sooner than they are confirmed.
//! - A batch takes what has come when 128 envelopes have, or two seconds after the first, and never before the batch before it is
//!   accepted.
//! - A day of the profile is pressed into the time that the payments take at the given pace. What links, the number of strangers'
//!   payments within a batch and within a coin's life, is kept by that.
//! - Owner keys are 32 hashed bytes, one a coin (C-6); that they are no curve points shows in nothing that is published.

use crate::chance::Dice;
use crate::common::{CENTRAL, GENESIS_TIME_MS, genesis, participant};
use ledger_state::{PreissuedCoin, Rules, preissued_coins};
use ledger_types::coin::{OUTPUTS_MAX, Opening, SPENDS_MAX, origin};
use ledger_types::confirmation::{Batch, BatchRecord, Record, RecordStatus};
use ledger_types::encoding::{Encode, List};
use ledger_types::genesis::Preissue;
use ledger_types::ids::*;
use ledger_types::keys::PublicKey;
use ledger_types::log_leaf::LogLeaf;
use ledger_types::participant::{Directory, Roles};
use std::collections::{BTreeMap, BTreeSet, VecDeque};

const HOURS: [f64; 24] = [
    0.03293, 0.01175, 0.00285, 0.0003, 3e-05, 4e-05, 0.00061, 0.00353, 0.00955, 0.01397, 0.01174, 0.01631, 0.02458,
    0.03585, 0.04407, 0.04428, 0.06123, 0.06967, 0.10569, 0.12938, 0.12881, 0.10243, 0.08523, 0.06519,
];
const BANK_SHARES: [f64; 13] =
    [0.0821, 0.0805, 0.0802, 0.0796, 0.079, 0.0773, 0.0771, 0.0766, 0.0753, 0.0749, 0.0746, 0.072, 0.0708];
const PURCHASE: [(f64, f64); 12] = [
    (0.0, 300.0),
    (0.01, 599.0),
    (0.05, 999.0),
    (0.1, 1177.0),
    (0.25, 1449.0),
    (0.5, 2598.0),
    (0.75, 4370.0),
    (0.9, 7147.0),
    (0.95, 9666.0),
    (0.99, 17337.0),
    (0.999, 35856.0),
    (1.0, 50000.0),
];
const TRANSFER: [(f64, f64); 8] = [
    (0.0, 5000.0),
    (0.05, 14500.0),
    (0.25, 124100.0),
    (0.5, 259600.0),
    (0.75, 461400.0),
    (0.95, 871300.0),
    (0.99, 1199400.0),
    (1.0, 2000000.0),
];
const PAYMENTS_PER_PERSON: [(f64, f64); 5] = [(0.0, 1.0), (0.5, 1.001), (0.9, 6.0), (0.99, 20.0), (1.0, 150.0)];
/// Cash in, cash out, purchase (debits among them), transfer.
const ACTIONS: [f64; 4] = [0.2, 0.365, 0.3537, 0.0813];

const DAYS: usize = 3;
const RELEASE_ENVELOPES: usize = 128;
const RELEASE_AFTER_MS: u64 = 2_000;
/// From a payment's order until registration has checked it.
const CHECKED_AFTER_MS: u64 = 700;
/// From a signed batch until the registry shows it.
const ACCEPTED_AFTER_MS: u64 = 700;
/// The genesis of a cluster says so.
const BATCH_RECORDS: usize = 5_000;
/// The desk's configuration.
const LIVE_COINS_PER_WALLET: usize = 4;
const SPLIT_ABOVE: u64 = 1_000;
const IDLE_MS: u64 = 1_000;

const NOBODY: u32 = u32::MAX;

pub struct Coin {
    /// The wallet: what the game is about. Its keys are one a coin.
    pub owner: u32,
    pub bank: ParticipantNumber,
    pub amount: u64,
    pub id: CoinId,
    pub tag: OwnerTag,
    made_by: u32,
    spent_by: u32,
}

impl Coin {
    pub fn made_by(&self) -> Option<u32> {
        (self.made_by != NOBODY).then_some(self.made_by)
    }

    pub fn spent_by(&self) -> Option<u32> {
        (self.spent_by != NOBODY).then_some(self.spent_by)
    }
}

pub struct Sent {
    pub submitter: ParticipantNumber,
    /// Coins, in the order of the header.
    pub inputs: Vec<u32>,
    pub outputs: Vec<u32>,
    /// Its batch's index; none while the world ends before.
    pub batch: Option<u32>,
}

pub struct World {
    pub rules: Rules,
    pub preissued: Vec<PreissuedCoin>,
    seed: u64,
    pub coins: Vec<Coin>,
    pub envelopes: Vec<Sent>,
    pub batches: Vec<Batch>,
    /// Envelopes in each batch.
    pub sizes: Vec<usize>,
    /// What the log holds of them, as bytes: one leaf a record, in the batch's order.
    pub leaves: Vec<Vec<u8>>,
    /// Wallets below are the banks' vaults and the merchants.
    pub first_person: u32,
    /// Filled by the game of owners.
    pub by_owner: std::cell::OnceCell<Vec<Vec<u32>>>,
}

#[derive(Default)]
struct Wallet {
    bank: usize,
    free: BTreeSet<(u64, u32)>,
    unconfirmed: usize,
    unconfirmed_amount: u64,
    /// Payments that its money covers once it is confirmed.
    waiting: VecDeque<(usize, u64)>,
}

struct Player {
    world: World,
    dice: Dice,
    wallets: Vec<Wallet>,
    merchants: std::ops::Range<usize>,
    /// Confirmable at.
    checked: VecDeque<(u64, u32)>,
    issuer_free_ms: u64,
    /// What becomes live when.
    accepted: VecDeque<(u64, Vec<u32>)>,
    bank_busy_ms: Vec<u64>,
}

pub fn world(seed: u64, payments: usize, per_second: f64) -> World {
    let mut dice = Dice(seed);
    let banks = BANK_SHARES.len();
    let vault_coins = (payments / 2 / banks).max(40) as u32;
    let rules = Rules::new(genesis_of(banks, vault_coins));
    let preissued: Vec<PreissuedCoin> = preissued_coins(&rules).collect();
    let chain = rules.chain;
    // Wallets 0 to 12 are the vaults; then merchants; then people.
    let mut wallets: Vec<Wallet> = (0..banks).map(|bank| Wallet { bank, ..Wallet::default() }).collect();
    let mut coins = Vec::new();
    for coin in &preissued {
        let bank = usize::from(coin.bank.0) - 2;
        let (amount, tag) = (coin.opening.amount.0, coin.opening.owner_tag(&chain, &coin.id));
        wallets[bank].free.insert((amount, coins.len() as u32));
        let (made_by, spent_by) = (NOBODY, NOBODY);
        coins.push(Coin { owner: bank as u32, bank: coin.bank, amount, id: coin.id, tag, made_by, spent_by });
    }
    let genesis = preissued.iter().zip(&coins).map(|(preissued, coin)| {
        let record = Record {
            status: RecordStatus::Live,
            batch: BatchNumber(0),
            height: Height(0),
            time_ms: GENESIS_TIME_MS,
            contract: ContractNumber(0),
            failed_check: 0,
            tag: coin.tag,
        };
        LogLeaf::Record { coin: preissued.id, record }.to_bytes()
    });
    let leaves = genesis.collect();
    let merchants = banks..banks + (payments / 100).max(20);
    let new_wallet = |dice: &mut Dice| Wallet { bank: dice.weighted(&BANK_SHARES), ..Wallet::default() };
    merchants.clone().for_each(|_| wallets.push(new_wallet(&mut dice)));
    // Who acts when: people by how often they pay, all by the hours of the day.
    let length_ms = payments as f64 / per_second * 1000.0;
    let mut plan = Vec::new();
    while plan.len() < payments {
        let person = wallets.len();
        wallets.push(new_wallet(&mut dice));
        for _ in 0..dice.quantile(&PAYMENTS_PER_PERSON).round() as usize {
            let hour = dice.weighted(&HOURS) as f64 + dice.unit();
            let at = (dice.below(DAYS) as f64 + hour / 24.0) / DAYS as f64;
            plan.push(((at * length_ms) as u64, person));
        }
    }
    plan.sort_unstable();
    let world = World {
        rules,
        preissued,
        seed,
        coins,
        envelopes: Vec::new(),
        batches: Vec::new(),
        sizes: Vec::new(),
        leaves,
        first_person: merchants.end as u32,
        by_owner: Default::default(),
    };
    let mut player = Player {
        world,
        dice,
        wallets,
        merchants,
        checked: VecDeque::new(),
        issuer_free_ms: 0,
        accepted: VecDeque::new(),
        bank_busy_ms: vec![0; banks],
    };
    for (now, person) in plan {
        player.until(now);
        player.act(now, person);
    }
    player.until(u64::MAX / 2);
    player.world
}

fn genesis_of(banks: usize, coins_each: u32) -> ledger_types::genesis::Genesis {
    let number = |bank: usize| ParticipantNumber(bank as u16 + 2);
    let mut lines = vec![participant(CENTRAL, Roles::VALIDATOR.and(Roles::CENTRAL_BANK), 1)];
    lines.extend((0..banks).map(|bank| participant(number(bank), Roles::VALIDATOR.and(Roles::COMMERCIAL_BANK), 1)));
    let preissue = |bank, (amount, count): (u64, u32)| Preissue {
        amount: Amount(amount),
        count,
        ..crate::common::preissue(number(bank), 1)
    };
    let kinds = [(20_000, coins_each / 2), (200_000, coins_each / 4), (2_000_000, coins_each / 4)];
    let preissues = (0..banks).flat_map(|bank| {
        kinds.iter().zip(0u8..).map(move |(kind, nth)| {
            let seed = *blake3::hash(&[bank as u8, nth]).as_bytes();
            Preissue { seed, ..preissue(bank, *kind) }
        })
    });
    let mut genesis = genesis(Vec::new());
    genesis.directory = Directory::new(lines).unwrap();
    genesis.preissues = List::new(preissues.collect()).unwrap();
    genesis.batch_records_max = BATCH_RECORDS as u32;
    genesis.bytes_per_submitter_per_height = 1 << 22;
    genesis.check().unwrap();
    genesis
}

impl World {
    /// The opening of a coin that the world made; the index is its place in [`World::coins`].
    pub fn opening(&self, coin: u32, series: SeriesNumber) -> Opening {
        if let Some(preissued) = self.preissued.get(coin as usize) {
            return preissued.opening.clone();
        }
        let secret = |what: u8| {
            let mut bytes = [what; 13];
            bytes[..8].copy_from_slice(&self.seed.to_le_bytes());
            bytes[8..12].copy_from_slice(&coin.to_le_bytes());
            *blake3::hash(&bytes).as_bytes()
        };
        Opening {
            amount: Amount(self.coins[coin as usize].amount),
            currency: self.rules.genesis.currency,
            series,
            terms: Terms::ZERO,
            owner: PublicKey(secret(1)),
            rho: secret(2),
        }
    }

    /// All of one series: the genesis has no other (C-4).
    pub fn series(&self) -> SeriesNumber {
        self.preissued[0].opening.series
    }

    pub fn origin(&self, sent: &Sent) -> Origin {
        let ids: Vec<CoinId> = sent.inputs.iter().map(|coin| self.coins[*coin as usize].id).collect();
        origin(&self.rules.chain, &ids)
    }

    fn send(&mut self, submitter: ParticipantNumber, mut inputs: Vec<u32>, outputs: &[(u32, usize, u64)]) -> u32 {
        let (chain, series) = (self.rules.chain, self.series());
        let number = self.envelopes.len() as u32;
        inputs.sort_by_key(|coin| self.coins[*coin as usize].id);
        inputs.iter().for_each(|coin| self.coins[*coin as usize].spent_by = number);
        let mut made = Vec::new();
        for (owner, bank, amount) in outputs {
            let bank = ParticipantNumber(*bank as u16 + 2);
            made.push(self.coins.len() as u32);
            self.coins.push(Coin {
                owner: *owner,
                bank,
                amount: *amount,
                id: CoinId([0; 32]),
                tag: OwnerTag::ZERO,
                made_by: number,
                spent_by: NOBODY,
            });
        }
        made.sort_by_key(|coin| self.opening(*coin, series).note(&chain));
        let sent = Sent { submitter, inputs, outputs: made, batch: None };
        let origin = self.origin(&sent);
        for (place, coin) in (0u8..).zip(&sent.outputs) {
            let opening = self.opening(*coin, series);
            let coin = &mut self.coins[*coin as usize];
            coin.id = opening.coin_id(&chain, &origin, place, coin.bank);
            coin.tag = opening.owner_tag(&chain, &coin.id);
        }
        self.envelopes.push(sent);
        number
    }

    fn confirm(&mut self, envelopes: &[u32], accepted_ms: u64) {
        let mut records = BTreeMap::new();
        for number in envelopes {
            let sent = &mut self.envelopes[*number as usize];
            sent.batch = Some(self.batches.len() as u32);
            let spent = sent.inputs.iter().map(|coin| (*coin, RecordStatus::Spent));
            for (coin, status) in spent.chain(sent.outputs.iter().map(|coin| (*coin, RecordStatus::Live))) {
                let coin = &self.coins[coin as usize];
                let tag = if status == RecordStatus::Live { coin.tag } else { OwnerTag::ZERO };
                records.insert(coin.id, BatchRecord { coin: coin.id, status, failed_check: 0, tag });
            }
        }
        let number = BatchNumber(self.batches.len() as u64 + 1);
        let previous = self.batches.last().map_or(BatchHash::ZERO, |batch| batch.hash(&self.rules.chain));
        let (settled, overdue, cleared) = (List::empty(), List::empty(), List::empty());
        let records = List::new(records.into_values().collect()).unwrap();
        let (height, time_ms) = (Height(accepted_ms / ACCEPTED_AFTER_MS), GENESIS_TIME_MS + accepted_ms);
        for BatchRecord { coin, status, failed_check, tag } in records.iter().copied() {
            let contract = ContractNumber(0);
            let record = Record { status, batch: number, height, time_ms, contract, failed_check, tag };
            self.leaves.push(LogLeaf::Record { coin, record }.to_bytes());
        }
        self.sizes.push(envelopes.len());
        self.batches.push(Batch { number, previous, records, settled, overdue, cleared });
    }
}

impl Player {
    /// What confirmation issuance and the waiting payments do up to this time.
    fn until(&mut self, now: u64) {
        loop {
            let forms = self.forms_at();
            let accepted = self.accepted.front().map_or(u64::MAX, |(at, _)| *at);
            if forms.min(accepted) > now {
                return;
            }
            if accepted <= forms {
                let (at, coins) = self.accepted.pop_front().unwrap();
                self.becomes_live(at, &coins);
            } else {
                self.form(forms);
            }
        }
    }

    ///
    fn forms_at(&self) -> u64 {
        let Some((first, _)) = self.checked.front() else { return u64::MAX };
        let full = self.checked.get(RELEASE_ENVELOPES - 1).map_or(u64::MAX, |(at, _)| *at);
        full.min(first + RELEASE_AFTER_MS).max(self.issuer_free_ms)
    }

    fn form(&mut self, now: u64) {
        let (mut envelopes, mut records, mut coins) = (Vec::new(), 0, Vec::new());
        while let Some((at, number)) = self.checked.front() {
            let sent = &self.world.envelopes[*number as usize];
            records += sent.inputs.len() + sent.outputs.len();
            if *at > now || records > BATCH_RECORDS {
                break;
            }
            envelopes.push(*number);
            coins.extend(&sent.outputs);
            self.checked.pop_front();
        }
        self.issuer_free_ms = now + ACCEPTED_AFTER_MS;
        self.world.confirm(&envelopes, self.issuer_free_ms);
        self.accepted.push_back((self.issuer_free_ms, coins));
    }

    fn becomes_live(&mut self, now: u64, coins: &[u32]) {
        let mut touched = Vec::new();
        for coin in coins {
            let (owner, amount) = (self.world.coins[*coin as usize].owner, self.world.coins[*coin as usize].amount);
            let wallet = &mut self.wallets[owner as usize];
            wallet.free.insert((amount, *coin));
            wallet.unconfirmed -= 1;
            wallet.unconfirmed_amount -= amount;
            touched.push(owner as usize);
        }
        touched.sort_unstable();
        touched.dedup();
        for owner in touched {
            while let Some((to, amount)) = self.wallets[owner].waiting.pop_front() {
                if !self.pay(now, owner, to, amount) {
                    self.wallets[owner].waiting.push_front((to, amount));
                    break;
                }
            }
            self.split(now, owner);
        }
    }

    fn act(&mut self, now: u64, person: usize) {
        let vault = self.wallets[person].bank;
        let purchase = self.dice.quantile(&PURCHASE) as u64;
        match self.dice.weighted(&ACTIONS) {
            0 => self.top_up(now, person, purchase),
            1 if self.dice.happens(0.5) => {
                // A merchant's day's takings.
                let merchant = self.dice.below(self.merchants.len()) + self.merchants.start;
                let takings = self.wallets[merchant].free.iter().rev().take(SPENDS_MAX).map(|(amount, _)| amount).sum();
                let bank = self.wallets[merchant].bank;
                if takings > 0 {
                    self.pay(now, merchant, bank, takings);
                }
            }
            1 => self.pay_or_top_up(now, person, vault, purchase),
            2 => {
                // Few have most of the customers.
                let skewed = self.dice.unit() * self.dice.unit();
                let merchant = self.merchants.start + (skewed * self.merchants.len() as f64) as usize;
                self.pay_or_top_up(now, person, merchant, purchase);
            }
            _ => {
                let people = self.merchants.end..self.wallets.len();
                let to = people.start + self.dice.below(people.len());
                let amount = self.dice.quantile(&TRANSFER) as u64;
                self.pay_or_top_up(now, person, to, amount);
            }
        }
    }

    fn top_up(&mut self, now: u64, person: usize, need: u64) {
        let amount = need * (1 + self.dice.below(6) as u64);
        let vault = self.wallets[person].bank;
        self.pay(now, vault, person, amount);
    }

    /// From what there is, now or when it is confirmed; else money is fetched, for another time.
    fn pay_or_top_up(&mut self, now: u64, from: usize, to: usize, amount: u64) {
        if from == to || (self.wallets[from].waiting.is_empty() && self.pay(now, from, to, amount)) {
            return;
        }
        let wallet = &self.wallets[from];
        let free: u64 = wallet.free.iter().map(|(amount, _)| amount).sum();
        let promised: u64 = wallet.waiting.iter().map(|(_, amount)| amount).sum();
        if free + wallet.unconfirmed_amount >= amount + promised && wallet.unconfirmed > 0 {
            self.wallets[from].waiting.push_back((to, amount));
        } else {
            self.top_up(now, from, amount);
        }
    }

    /// The smallest coin that covers the amount, else the largest ones; whether there were enough.
    fn pay(&mut self, now: u64, from: usize, to: usize, amount: u64) -> bool {
        let free = &self.wallets[from].free;
        let chosen: Vec<(u64, u32)> = match free.range((amount, 0)..).next() {
            Some(coin) => vec![*coin],
            None => {
                let mut sum = 0;
                let mut largest: Vec<(u64, u32)> = Vec::new();
                for coin in free.iter().rev().take(SPENDS_MAX) {
                    if sum >= amount {
                        break;
                    }
                    sum += coin.0;
                    largest.push(*coin);
                }
                largest
            }
        };
        let sum: u64 = chosen.iter().map(|(value, _)| value).sum();
        if sum < amount || amount == 0 {
            return false;
        }
        let (bank, payees_bank) = (self.wallets[from].bank, self.wallets[to].bank);
        let mut outputs = vec![(to as u32, payees_bank, amount)];
        if sum > amount {
            outputs.push((from as u32, bank, sum - amount));
        }
        self.send(now, from, &chosen, &outputs);
        true
    }

    fn split(&mut self, now: u64, owner: usize) {
        let wallet = &self.wallets[owner];
        let bank = wallet.bank;
        let usable = wallet.free.len() + wallet.unconfirmed;
        let Some(largest) = wallet.free.last().copied() else { return };
        // What people ask for comes first, and a vault has its pre-issued coins.
        let busy = self.bank_busy_ms[bank] + IDLE_MS > now || owner < BANK_SHARES.len();
        if busy || usable >= LIVE_COINS_PER_WALLET || largest.0 <= SPLIT_ABOVE {
            return;
        }
        let parts = (LIVE_COINS_PER_WALLET - usable + 1).min(OUTPUTS_MAX) as u64;
        let each = largest.0 / parts;
        let part = |nth| (owner as u32, bank, if nth == 0 { largest.0 - each * (parts - 1) } else { each });
        let outputs: Vec<(u32, usize, u64)> = (0..parts).map(part).collect();
        self.send(now, owner, &[largest], &outputs);
    }

    fn send(&mut self, now: u64, from: usize, chosen: &[(u64, u32)], outputs: &[(u32, usize, u64)]) {
        let bank = self.wallets[from].bank;
        for coin in chosen {
            self.wallets[from].free.remove(coin);
        }
        for (owner, _, amount) in outputs {
            self.wallets[*owner as usize].unconfirmed += 1;
            self.wallets[*owner as usize].unconfirmed_amount += amount;
        }
        self.bank_busy_ms[bank] = now;
        let inputs = chosen.iter().map(|(_, coin)| *coin).collect();
        let number = self.world.send(ParticipantNumber(bank as u16 + 2), inputs, outputs);
        self.checked.push_back((now + CHECKED_AFTER_MS, number));
    }
}
