//! Random histories: the stored state is the one in memory, at every height, across restarts.

use crate::common;

use common::StoredChain;
use common::bed::{self, BANK2, BANK3, BANK4, Bed, CENTRAL, KnownCoin};
use ledger_types::confirmation::RecordStatus;
use proptest::prelude::*;

#[derive(Clone, Debug)]
enum Step {
    /// Coins may be spent already, not live, or another bank's.
    Transfer {
        submitter: usize,
        coins: Vec<prop::sample::Index>,
        outputs: Vec<(usize, u64)>,
    },
    Issue {
        series: u32,
        amount: u64,
    },
    Confirm {
        coins: Vec<(prop::sample::Index, u8)>,
        settle: bool,
    },
    Empty,
    Reopen,
    /// A kill: the folder is copied while the store is open, and the chain goes on in the copy.
    Kill,
}

const BANKS: [ledger_types::ParticipantNumber; 4] = [CENTRAL, BANK2, BANK3, BANK4];

fn step() -> impl Strategy<Value = Step> {
    let index = any::<prop::sample::Index>;
    prop_oneof![
        6 => (0..4usize, prop::collection::vec(index(), 1..3), prop::collection::vec((0..4usize, 1..100u64), 1..4))
            .prop_map(|(submitter, coins, outputs)| Step::Transfer { submitter, coins, outputs }),
        1 => (1..3u32, 1..1_000u64).prop_map(|(series, amount)| Step::Issue { series, amount }),
        4 => (prop::collection::vec((index(), 1..5u8), 0..8), any::<bool>())
            .prop_map(|(coins, settle)| Step::Confirm { coins, settle }),
        1 => Just(Step::Empty),
        1 => Just(Step::Reopen),
        1 => Just(Step::Kill),
    ]
}

struct History {
    chain: StoredChain,
    /// Preissued first; whatever was ever drafted follows.
    coins: Vec<KnownCoin>,
}

impl History {
    fn new() -> Self {
        let chain = StoredChain::of(Bed::new());
        let coins = chain.bed.preissued.clone();
        History { chain, coins }
    }

    /// Whether the step made a height, and anything in it was accepted.
    fn take(&mut self, step: &Step) -> Option<bool> {
        let bed = &mut self.chain.bed;
        let bundle = match step {
            Step::Transfer { submitter, coins, outputs } => {
                let submitter = BANKS[*submitter];
                let mut inputs: Vec<KnownCoin> = coins.iter().map(|coin| coin.get(&self.coins).clone()).collect();
                inputs.sort_by_key(|coin| coin.id);
                inputs.dedup_by_key(|coin| coin.id);
                let outputs: Vec<_> = outputs.iter().map(|(bank, amount)| (BANKS[*bank], *amount)).collect();
                let draft = bed.transfer(submitter, &inputs, &outputs);
                self.coins.extend(draft.coins.iter().cloned());
                bed.bundle(submitter, vec![draft.seal()])
            }
            Step::Issue { series, amount } => {
                let number = bed.ledger.issue_numbers[&ledger_types::SeriesNumber(*series)];
                let rules = bed.rules.clone();
                let draft = bed.issue(*series, number, &[(BANK2, *amount)]).authorize_by_issue_key(&rules);
                self.coins.extend(draft.coins.iter().cloned());
                bed.bundle(CENTRAL, vec![draft.seal()])
            }
            Step::Confirm { coins, settle } => {
                let status = |byte: u8| RecordStatus::ALL[usize::from(byte) - 1];
                let mut records: Vec<_> =
                    coins.iter().map(|(coin, byte)| bed::record(coin.get(&self.coins).id, status(*byte))).collect();
                records.sort_by_key(|record| record.coin);
                records.dedup_by_key(|record| record.coin);
                let mut batch = bed.batch(records);
                if *settle {
                    let pending = bed.state.pending.keys().take(2).copied().collect();
                    batch.settled = ledger_types::List::new(pending).unwrap();
                }
                bed.confirmation(batch)
            }
            Step::Empty => {
                self.chain.empty_block();
                return Some(false);
            }
            Step::Reopen => {
                self.chain.reopen();
                return None;
            }
            Step::Kill => {
                let copy = self.chain.copy();
                self.chain.store = None;
                self.chain.folder = copy;
                self.chain.reopen();
                return None;
            }
        };
        let decided = self.chain.block(&[bundle]);
        Some(decided.applied.results[0].code == 0)
    }
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 12, max_shrink_iters: 40, ..ProptestConfig::default() })]

    #[test]
    fn the_store_says_what_the_memory_says(steps in prop::collection::vec(step(), 1..40)) {
        let mut history = History::new();
        for step in &steps {
            history.take(step);
            prop_assert_eq!(&history.chain.store().tip().ledger, &history.chain.bed.ledger);
        }
        history.chain.agrees_with_memory();
        history.chain.reopen();
        history.chain.agrees_with_memory();
    }
}

/// Guards the generator above: a history of refusals only would prove little.
#[test]
fn generated_histories_accept_and_refuse() {
    use proptest::strategy::ValueTree;
    let mut runner = proptest::test_runner::TestRunner::deterministic();
    let steps = prop::collection::vec(step(), 120).new_tree(&mut runner).unwrap().current();
    let mut history = History::new();
    let outcomes: Vec<bool> = steps.iter().filter_map(|step| history.take(step)).collect();
    let accepted = outcomes.iter().filter(|accepted| **accepted).count();
    assert!(accepted >= 10 && outcomes.len() - accepted >= 10, "{accepted} of {} accepted", outcomes.len());
    assert!(!history.chain.bed.state.pending.is_empty());
    history.chain.agrees_with_memory();
}
