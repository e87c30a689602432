//! Generated histories of contracts, feeds and loans: a naive model, which keeps whole copies of the state before each block, agrees
//! on every verdict, coin, item and obligation; a second instance gets the same from the same blocks.
//!
//! The seed is fixed, so that a run is repeatable and its coverage can be asserted; `HISTORY_SEED=n` explores others.

use crate::common;

use common::lending::*;
use common::*;
use ledger_types::bundle::Bundle;
use ledger_types::coin::{Coin, CoinStatus};
use ledger_types::contract::*;
use ledger_types::envelope::{ClearContext, Inputs};
use ledger_types::ids::*;
use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

const HISTORIES: u64 = 60;
const BLOCKS: u64 = 40;

struct Dice(u64, u64);

impl Dice {
    /// 0 to bound − 1.
    fn roll(&mut self, bound: u64) -> u64 {
        self.1 += 1;
        let hash = blake3::hash(&[self.0.to_le_bytes(), self.1.to_le_bytes()].concat());
        u64::from_le_bytes(hash.as_bytes()[..8].try_into().unwrap()) % bound
    }

    fn one<T: Clone>(&mut self, of: &[T]) -> Option<T> {
        if of.is_empty() { None } else { Some(of[self.roll(of.len() as u64) as usize].clone()) }
    }
}

/// Odd versions lend to farms and food and ask 100 bp below the benchmark back; even ones to food alone, and 50 bp above it.
fn source(version: u64, idle_days: u64) -> String {
    let idle = if idle_days == 1 { "1 day".to_owned() } else { format!("{idle_days} days") };
    match version % 2 {
        1 => policy_with(version as u32, "sector in ISIC { A, C10..C12 }", &idle, "otherwise lpr - 100 bp"),
        _ => policy_with(version as u32, "sector in ISIC { C10..C12 }", &idle, "otherwise lpr + 50 bp"),
    }
}

#[derive(Clone, Default)]
struct NaiveContract {
    /// The heights from which each version binds.
    binds: Vec<u64>,
    idle_days: Vec<u64>,
    stopped: usize,
    retires: Option<u64>,
    ordered_at: u64,
}

impl NaiveContract {
    fn binding(&self, height: u64) -> usize {
        (1..=self.binds.len()).rev().find(|version| self.binds[version - 1] <= height).unwrap_or(0)
    }
}

#[derive(Clone)]
struct Loaned {
    bank: u16,
    contract: u32,
    version: usize,
    due_ms: u64,
}

#[derive(Clone, Default)]
struct Naive {
    height: u64,
    time_ms: u64,
    next_issue: u64,
    contracts: BTreeMap<u32, NaiveContract>,
    /// period → (value, published) by vintage.
    items: BTreeMap<u32, Vec<(i64, u64)>>,
    coins: BTreeMap<CoinId, Coin>,
    loans: BTreeMap<ObligationId, Loaned>,
}

impl Naive {
    /// The benchmark's newest value, if it is not stale: hundredths of a percent.
    fn benchmark(&self, time_ms: u64) -> Option<i64> {
        let (value, published_ms) = *self.items.last_key_value()?.1.last()?;
        (time_ms >= published_ms && time_ms - published_ms <= 40 * DAY_MS).then_some(value)
    }

    fn inputs(&self, ids: &[CoinId], allowed: &[CoinStatus], contract: u32) -> u16 {
        if ids.iter().any(|id| !self.coins.contains_key(id)) {
            16
        } else if ids.iter().any(|id| !allowed.contains(&self.coins[id].status)) {
            17
        } else if ids.iter().any(|id| self.coins[id].contract.0 != contract) {
            18
        } else {
            0
        }
    }

    fn rate(&self, version: usize, time_ms: u64) -> i64 {
        let Some(value) = self.benchmark(time_ms) else { return 40_000 };
        let rate = match value {
            ..300 => 5_000,
            _ if version % 2 == 1 => value * 100 - 10_000,
            _ => value * 100 + 5_000,
        };
        rate.clamp(1_000, 40_000)
    }

    fn verdict(&self, version: usize, time_ms: u64, loan: &Loan) -> u16 {
        let until_ms = 1_717_200_000_000;
        let Some(benchmark) = self.benchmark(time_ms) else {
            // The lines are asked in their order, the feed's last.
            return match () {
                () if time_ms < OPENS_MS => 62,
                () if time_ms >= until_ms => 63,
                () if !allows(version, loan.sector) => 65,
                () => 71,
            };
        };
        match () {
            () if time_ms < OPENS_MS => 62,
            () if time_ms >= until_ms => 63,
            () if !allows(version, loan.sector) => 65,
            () if loan.rate > benchmark * 100 + 5_000 => 66,
            () => 0,
        }
    }

    fn judge(&mut self, before: &Naive, draft: &Draft, bed: &Bed) -> u16 {
        let (core, height, time_ms) = (&draft.core, self.height, self.time_ms);
        let ids: Vec<CoinId> = match &core.inputs {
            Inputs::ById(ids) => ids.to_vec(),
            spends => spends.coin_ids(&bed.rules.chain, core.submitter),
        };
        let declared = before.contracts.get(&core.contract.0);
        if core.contract.0 != 0 && declared.is_none_or(|contract| contract.binding(height) == 0) {
            return 9;
        }
        let in_force = |contract: &NaiveContract| {
            let version = contract.binding(height);
            version > contract.stopped && contract.retires.is_none_or(|at| at > height)
        };
        match &core.context {
            ClearContext::Issue(issue) => {
                if issue.issue_number != self.next_issue {
                    return 14;
                }
                if !in_force(declared.unwrap()) {
                    return 60;
                }
                self.next_issue += 1;
                self.put(draft, time_ms);
            }
            ClearContext::Activate(loan) => {
                let refused = self.inputs(&ids, &[CoinStatus::Live], core.contract.0);
                if refused != 0 {
                    return refused;
                }
                let contract = declared.unwrap();
                if !in_force(contract) {
                    return 60;
                }
                let mut owed = before.loans.values().filter(|loan| loan.bank == core.submitter.0);
                if owed.any(|loan| loan.contract == core.contract.0 && loan.due_ms < time_ms) {
                    return 61;
                }
                let oldest = ids.iter().map(|id| self.coins[id].issued_ms).min().unwrap();
                let version = contract.binding(height);
                if time_ms >= oldest + contract.idle_days[version - 1] * DAY_MS {
                    return 63;
                }
                let denied = before.verdict(version, time_ms, loan);
                if denied != 0 {
                    return denied;
                }
                self.coins.retain(|id, _| !ids.contains(id));
                self.put(draft, oldest);
                let due_ms = (time_ms / DAY_MS + u64::from(loan.term_days) + 30 + 1) * DAY_MS - 1;
                let (bank, contract) = (core.submitter.0, core.contract.0);
                self.loans.insert(bed.obligation_of(draft), Loaned { bank, contract, version, due_ms });
            }
            ClearContext::Return(context) => {
                let refused = self.inputs(&ids, &[CoinStatus::Live], 0);
                if refused != 0 {
                    return refused;
                }
                let open = before.loans.get(&context.obligation);
                let Some(loan) = open.filter(|_| self.loans.contains_key(&context.obligation)) else { return 73 };
                if before.rate(loan.version, time_ms) != context.rate {
                    return 74;
                }
                self.coins.retain(|id, _| !ids.contains(id));
                self.loans.remove(&context.obligation);
            }
            ClearContext::Reclaim(_) => {
                let refused = self.inputs(&ids, &[CoinStatus::Live], core.contract.0);
                if refused != 0 {
                    return refused;
                }
                let contract = declared.unwrap();
                let window_ms = contract.idle_days[contract.binding(height) - 1] * DAY_MS;
                let idle = ids.iter().all(|id| time_ms >= self.coins[id].issued_ms + window_ms);
                if !idle && contract.retires.is_none_or(|at| at > height) {
                    return 75;
                }
                self.coins.retain(|id, _| !ids.contains(id));
            }
            ClearContext::ContractOrder(context) => return self.order(before, &context.order),
            ClearContext::Publication(context) => {
                let head = context.head;
                let age_ms = time_ms.checked_sub(head.published_ms);
                if age_ms.is_none_or(|age_ms| age_ms > DAY_MS) {
                    return 83;
                }
                let newest = before.items.keys().next_back().copied();
                let of_period = before.items.get(&head.period.0);
                let next = match (of_period, newest) {
                    (Some(vintages), _) => vintages.len() as u32,
                    (None, Some(newest)) if head.period.0 < newest => return 84,
                    (None, _) => 0,
                };
                if head.vintage.0 != next || self.items != before.items {
                    return 84;
                }
                let last = of_period.or_else(|| before.items.get(&newest?)).and_then(|vintages| vintages.last());
                let value = context.values.iter().map(|by| by.value).min().unwrap();
                let step_max = benchmark().step_max as i64;
                if last.is_some_and(|(last, _)| (last - value).abs() > step_max) {
                    return 85;
                }
                self.items.entry(head.period.0).or_default().push((value, head.published_ms));
            }
            other => unreachable!("{other:?}"),
        }
        0
    }

    fn order(&mut self, before: &Naive, order: &ContractOrder) -> u16 {
        let height = self.height;
        let known = |contract: &ContractNumber| before.contracts.contains_key(&contract.0);
        let (number, notice) = match order {
            ContractOrder::Deploy(deployment) => (deployment.contract.0, Some(deployment.notice)),
            ContractOrder::Stop { contract } | ContractOrder::Retire { contract, .. } if !known(contract) => return 9,
            ContractOrder::Stop { contract } => (contract.0, None),
            ContractOrder::Retire { contract, notice } => (contract.0, Some(*notice)),
            ContractOrder::Dispute(_) => unreachable!("it leaves contracts as they are, and none is drawn"),
        };
        if let ContractOrder::Deploy(deployment) = order {
            let stands = self.contracts.get(&number);
            let next = stands.map_or(1, |contract| contract.binds.len() as u32 + 1);
            let new = number == self.contracts.len() as u32 + 1;
            let taken = stands.is_some_and(|contract| contract.ordered_at == height);
            if (stands.is_none() && !new) || deployment.version.0 != next || taken {
                return 76;
            }
        }
        if let Some(contract) = self.contracts.get(&number) {
            let is_retired = contract.retires.is_some_and(|at| at <= height);
            let refused = match order {
                ContractOrder::Deploy(_) => contract.retires.is_some(),
                ContractOrder::Stop { .. } => is_retired,
                ContractOrder::Dispute(_) => unreachable!("as above"),
                ContractOrder::Retire { notice, .. } => {
                    let sooner = contract.retires.is_none_or(|at| height + u64::from(*notice) < at);
                    is_retired || !sooner || contract.ordered_at == height
                }
            };
            if refused {
                return 77;
            }
        }
        if notice.is_some_and(|notice| notice < 2) {
            return 78;
        }
        let contract = self.contracts.entry(number).or_default();
        match order {
            ContractOrder::Deploy(deployment) => {
                let idle_days = idle_days(&deployment.package);
                if contract.idle_days.last().is_some_and(|before| *before < idle_days) {
                    return 79;
                }
                contract.idle_days.push(idle_days);
                contract.binds.push(height + u64::from(deployment.notice));
            }
            ContractOrder::Stop { .. } => contract.stopped = contract.binds.len(),
            ContractOrder::Dispute(_) => unreachable!("as above"),
            ContractOrder::Retire { notice, .. } => contract.retires = Some(height + u64::from(*notice)),
        }
        contract.ordered_at = height;
        0
    }

    fn put(&mut self, draft: &Draft, issued_ms: u64) {
        for coin in &draft.coins {
            let state = match coin.opening.terms == Terms::ZERO {
                true => Coin::plain(CoinStatus::Unconfirmed),
                false => Coin { status: CoinStatus::Unconfirmed, contract: draft.core.contract, issued_ms },
            };
            self.coins.insert(coin.id, state);
        }
    }
}

fn idle_days(package: &[u8]) -> u64 {
    contracts_vm::Package::from_bytes(package).unwrap().program.idle_after_ms() / DAY_MS
}

fn allows(version: usize, sector: u32) -> bool {
    sector == 0x430a || (sector == 0x4101 && version % 2 == 1)
}

struct History {
    bed: Bed,
    naive: Naive,
    dice: Dice,
    /// Inert coins of bank 2 that were ever drafted.
    inert: Vec<KnownCoin>,
    loans: Vec<ObligationId>,
    returned_with: usize,
    met: BTreeMap<u16, u64>,
}

impl History {
    fn new(seed: u64) -> Self {
        let mut bed = Bed::with_preissues(vec![preissue(CENTRAL, 400)]);
        bed.registers_the_benchmark();
        let deploy = bed.deploy(1, 1, 2, &source(1, 20));
        assert_eq!(bed.submit(deploy), 0);
        let mut naive = Naive::default();
        let binds = vec![bed.ledger.height.0 + 2];
        naive.contracts.insert(1, NaiveContract { binds, idle_days: vec![20], ..NaiveContract::default() });
        naive.coins = bed.state.coins.clone();
        let dice = Dice(seed, 0);
        History { bed, naive, dice, inert: Vec::new(), loans: Vec::new(), returned_with: 0, met: BTreeMap::new() }
    }

    fn draft(&mut self) -> Draft {
        let History { bed, naive, dice, .. } = self;
        let time_ms = bed.next_time_ms();
        let contract = 1 + dice.roll(2) as u32;
        match dice.roll(16) {
            0..3 => {
                let month = NOVEMBER + ((time_ms - GENESIS_TIME_MS) / (31 * DAY_MS)) as u32;
                let period = naive.items.keys().next_back().copied().unwrap_or(month).max(month) - dice.roll(2) as u32;
                let vintages = naive.items.get(&period).map_or(0, |vintages| vintages.len() as u32);
                let mut head = bed.head(period, vintages + u32::from(dice.roll(8) == 0));
                if dice.roll(10) == 0 {
                    head.published_ms -= DAY_MS + dice.roll(2);
                }
                let value = 280 + dice.roll(120) as i64 + if dice.roll(12) == 0 { 300 } else { 0 };
                bed.publish(head, &[(0, value), (2, value)])
            }
            3 => {
                let versions = naive.contracts.get(&contract).map_or(0, |contract| contract.binds.len() as u64);
                let version = versions + 1 + u64::from(dice.roll(6) == 0);
                let of = naive.contracts.get(&contract).and_then(|contract| contract.idle_days.last().copied());
                let idle_days = of.map_or(20, |before| (before + 1).saturating_sub(dice.roll(4)).max(1));
                let source = source(version, idle_days);
                let deployed = deployment(contract, version as u32, 1 + dice.roll(3) as u32, &source);
                bed.contract_order(ContractOrder::Deploy(deployed))
            }
            4 if dice.roll(3) == 0 => bed.contract_order(ContractOrder::Stop { contract: ContractNumber(contract) }),
            4 if dice.roll(3) == 0 => {
                let (contract, notice) = (ContractNumber(2), 1 + dice.roll(3) as u32);
                bed.contract_order(ContractOrder::Retire { contract, notice })
            }
            4..7 => {
                let contract = if naive.contracts.contains_key(&contract) { contract } else { 1 };
                let issue = bed.issue_inert(contract, &[(BANK2, 50), (BANK2, 50)]);
                self.inert.extend(issue.coins.clone());
                issue
            }
            7..12 => {
                let mut coins: BTreeMap<CoinId, KnownCoin> = BTreeMap::new();
                for _ in 0..1 + dice.roll(2) {
                    // Mostly coins that are there.
                    let there = |coin: &&KnownCoin| naive.coins.contains_key(&coin.id) || dice.1 % 8 == 0;
                    let some: Vec<KnownCoin> = self.inert.iter().filter(there).cloned().collect();
                    coins.extend(dice.one(&some).map(|coin| (coin.id, coin)));
                }
                let Some(first) = coins.values().next().cloned() else { return self.draft() };
                let benchmark = naive.benchmark(time_ms).unwrap_or(300) * 100;
                let loan = Loan {
                    sector: dice.one(&[0x430a, 0x430a, 0x4101, 0x420d]).unwrap(),
                    rate: benchmark + dice.one(&[0, 5_000, 5_000, 5_001]).unwrap(),
                    term_days: dice.one(&[1, 30]).unwrap(),
                };
                let lent = 1 + dice.roll(50);
                let coins: Vec<KnownCoin> = coins.into_values().collect();
                let mut activation = bed.activate(&coins, loan, lent);
                let of = naive.coins.get(&first.id).map_or(1, |coin| coin.contract.0.max(1));
                activation.core.contract = ContractNumber(if dice.roll(10) == 0 { contract } else { of });
                self.inert.extend(activation.coins.iter().filter(|coin| coin.bank == BANK2).cloned());
                self.loans.push(bed.obligation_of(&activation));
                activation
            }
            12..14 => {
                let own = bed.coin_of(CENTRAL, self.returned_with);
                self.returned_with += 1;
                let owed: Vec<ObligationId> = naive.loans.keys().copied().collect();
                let of = if dice.roll(6) == 0 { &self.loans } else { &owed };
                let Some(id) = dice.one(of) else { return self.draft() };
                let version = naive.loans.get(&id).map_or(1, |loan| loan.version);
                let rate = naive.rate(version, time_ms) + if dice.roll(5) == 0 { 100 } else { 0 };
                bed.return_loan(&[own], id, rate)
            }
            _ => {
                let Some(coin) = dice.one(&self.inert) else { return self.draft() };
                let of = naive.coins.get(&coin.id).map_or(1, |coin| coin.contract.0.max(1));
                let mut reclaim = bed.reclaim(&[coin]);
                reclaim.core.contract = ContractNumber(of);
                reclaim
            }
        }
    }

    fn block(&mut self) {
        if self.dice.roll(5) == 0 {
            let days = 1 + self.dice.roll(9);
            self.bed.wait_until(self.bed.ledger.time_ms + days * DAY_MS);
        }
        let drafts: Vec<Draft> = (0..1 + self.dice.roll(4)).map(|_| self.draft()).collect();
        // Confirmed first, so that a coin of the block before is live in this one.
        let unconfirmed = |id: &CoinId| self.naive.coins[id].status == CoinStatus::Unconfirmed;
        let confirmed: Vec<CoinId> = self.naive.coins.keys().filter(|id| unconfirmed(id)).copied().collect();
        let confirmed: Vec<CoinId> = confirmed.into_iter().filter(|_| self.dice.roll(4) > 0).collect();
        let mut bundles: Vec<Arc<Bundle>> = Vec::new();
        if !confirmed.is_empty() {
            bundles.push(self.bed.confirmation(self.bed.batch(confirmed.iter().map(|id| live(*id)).collect())));
        }
        let mut ahead = BTreeMap::new();
        for draft in &drafts {
            let submitter = draft.core.submitter;
            let slot: &mut u64 = ahead.entry(submitter).or_default();
            bundles.push(self.bed.bundle_after(submitter, *slot, vec![draft.clone().seal()]));
            *slot += 1;
        }

        let before = self.naive.clone();
        self.naive.height = self.bed.ledger.height.0 + 1;
        self.naive.time_ms = self.bed.next_time_ms();
        for id in &confirmed {
            self.naive.coins.get_mut(id).unwrap().status = CoinStatus::Live;
        }
        let expected: Vec<u16> = drafts.iter().map(|draft| self.naive.judge(&before, draft, &self.bed)).collect();
        let second = self.bed.clone();
        let applied = self.bed.block(&bundles);
        let found: Vec<u16> = applied.results.iter().map(|result| result.code).collect();
        let kinds: Vec<_> = drafts.iter().map(|draft| draft.core.kind()).collect();
        assert_eq!(found[found.len() - drafts.len()..], expected, "{kinds:?}");
        found[found.len() - drafts.len()..].iter().for_each(|code| *self.met.entry(*code).or_default() += 1);
        assert_eq!(second.try_block(&bundles).unwrap(), applied);

        assert_eq!(self.bed.state.coins, self.naive.coins);
        let loans: BTreeSet<&ObligationId> = self.naive.loans.keys().collect();
        assert_eq!(self.bed.state.obligations.keys().collect::<BTreeSet<_>>(), loans);
        let items = self.naive.items.values().flatten().map(|(value, _)| *value);
        assert_eq!(
            self.bed.state.feed_items.values().map(|item| item.value).collect::<Vec<_>>(),
            items.collect::<Vec<_>>()
        );
    }
}

#[test]
fn a_naive_model_agrees_with_every_verdict_over_generated_histories_of_contracts() {
    let first: u64 = std::env::var("HISTORY_SEED").ok().and_then(|seed| seed.parse().ok()).unwrap_or(0);
    let mut met: BTreeMap<u16, u64> = BTreeMap::new();
    for seed in first * HISTORIES..(first + 1) * HISTORIES {
        println!("history {seed}");
        let mut history = History::new(seed);
        (0..BLOCKS).for_each(|_| history.block());
        history.met.iter().for_each(|(code, count)| *met.entry(*code).or_default() += count);
    }
    println!("{met:?}");
    let expected = [0, 9, 14, 16, 17, 18, 60, 61, 62, 63, 65, 66, 71, 73, 74, 75, 76, 77, 78, 79, 83, 84, 85];
    // What the fixed seed is known to meet; another may miss a rare one.
    assert!(first != 0 || met.keys().copied().eq(expected), "{met:?}");
}
