//! Any sequence of what can happen to wallets keeps the sums right and gives no coin to two jobs.

use super::world::named;
use crate::role::commercial_bank::book::{Book, Coins, HeldCoin};
use crate::role::commercial_bank::journal::Unit;
use ledger_types::coin::{CoinStatus, Opening, SPENDS_MAX};
use ledger_types::keys::PublicKey;
use ledger_types::*;
use proptest::prelude::*;
use tokio::sync::oneshot;
use zeroize::Zeroizing;

#[derive(Clone, Debug)]
enum Happening {
    Coin {
        amount: u64,
        status: CoinStatus,
    },
    Ask {
        amount: u64,
    },
    Release {
        nth: usize,
    },
    /// The coins of a reservation are spent on the ledger.
    Spend {
        nth: usize,
    },
    Status {
        nth: usize,
        status: CoinStatus,
    },
}

fn status() -> impl Strategy<Value = CoinStatus> {
    prop_oneof![
        4 => Just(CoinStatus::Live),
        2 => Just(CoinStatus::Unconfirmed),
        1 => Just(CoinStatus::Frozen),
        1 => Just(CoinStatus::Disputed),
    ]
}

fn happening() -> impl Strategy<Value = Happening> {
    prop_oneof![
        (1u64..500, status()).prop_map(|(amount, status)| Happening::Coin { amount, status }),
        (1u64..2_000).prop_map(|amount| Happening::Ask { amount }),
        any::<usize>().prop_map(|nth| Happening::Release { nth }),
        any::<usize>().prop_map(|nth| Happening::Spend { nth }),
        (any::<usize>(), status()).prop_map(|(nth, status)| Happening::Status { nth, status }),
    ]
}

fn coin(number: u64, amount: u64, status: CoinStatus) -> HeldCoin {
    let opening = Opening {
        amount: Amount(amount),
        currency: Currency(*b"CNY"),
        series: SeriesNumber(1),
        terms: Terms::ZERO,
        owner: PublicKey([1; 32]),
        rho: named(&number.to_string()),
    };
    HeldCoin {
        id: CoinId(named(&format!("coin {number}"))),
        opening,
        origin: Origin::ZERO,
        output_index: 0,
        wallet: "alice".into(),
        key_index: number,
        status,
        reserved: None,
    }
}

proptest! {
    #[test]
    fn no_coin_has_two_holders_and_no_sum_is_wrong(happenings in proptest::collection::vec(happening(), 1..120)) {
        let mut book = Book::default();
        book.add_wallet("alice", Zeroizing::new([0; 32]));
        let mut unit = Unit::default();
        let mut next = 0u64;
        let mut holding: Vec<([u8; 16], u64, Vec<HeldCoin>)> = Vec::new();
        let mut waiting: Vec<([u8; 16], u64, oneshot::Receiver<Vec<HeldCoin>>)> = Vec::new();
        let mut ids: Vec<CoinId> = Vec::new();
        for happening in happenings {
            next += 1;
            match happening {
                Happening::Coin { amount, status } => {
                    let coin = coin(next, amount, status);
                    ids.push(coin.id);
                    book.insert(coin);
                    book.serve_waiting("alice", &mut unit);
                }
                Happening::Ask { amount } => {
                    if !book.can_cover("alice", amount) {
                        continue;
                    }
                    let job = (next as u128).to_le_bytes();
                    book.promise("alice", amount);
                    match book.reserve("alice", job, amount, &mut unit) {
                        Coins::Reserved(coins) => holding.push((job, amount, coins)),
                        Coins::Later(later) => waiting.push((job, amount, later)),
                    }
                }
                Happening::Release { nth } if !holding.is_empty() => {
                    let (job, ..) = holding.remove(nth % holding.len());
                    book.release(&job, &mut unit);
                }
                Happening::Spend { nth } if !holding.is_empty() => {
                    let (job, _, coins) = holding.remove(nth % holding.len());
                    for coin in &coins {
                        book.remove(&coin.id);
                        ids.retain(|id| *id != coin.id);
                    }
                    book.release(&job, &mut unit);
                }
                Happening::Status { nth, status } if !ids.is_empty() => {
                    book.set_status(&ids[nth % ids.len()], status);
                    book.serve_waiting("alice", &mut unit);
                }
                _ => {}
            }
            let mut still_waiting = Vec::new();
            for (job, amount, mut later) in waiting {
                match later.try_recv() {
                    Ok(coins) => holding.push((job, amount, coins)),
                    Err(_) => still_waiting.push((job, amount, later)),
                }
            }
            waiting = still_waiting;
            book.check();
            for (job, amount, coins) in &holding {
                prop_assert!(coins.len() <= SPENDS_MAX);
                prop_assert!(Amount::sum(coins.iter().map(|coin| coin.opening.amount)) >= u128::from(*amount));
                for coin in coins {
                    let held = book.coins.get(&coin.id);
                    prop_assert!(held.is_none_or(|held| held.reserved == Some(*job)));
                }
            }
        }
    }
}
