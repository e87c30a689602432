//! What the site knows of the ledger, all of it verified here from the pinned genesis.
//!
//! - [`follow`] looks at the observers all the time: newest state, totals, the log's end. It alone changes the [`View`].
//! - [`Ledger::coin`] asks an observer for one coin and verifies the answer; a wrong answer is named, never shown.
//! - When no observer answers, what is known is still shown, as of when it was verified.

pub mod belief;
pub mod contracts;
mod follow;
pub(crate) mod seen;
pub mod tail;
pub mod upstream;

use crate::clock::Clock;
use crate::config::Config;
use belief::{Accepted, Belief, SplitView, Standing};
use contracts::{ContractFound, ContractsFound, FeedFound, FeedsFound, ReceiptFound};
use contracts_vm::Package;
use ledger_types::{CoinId, ContractNumber, Decode, ObligationId, ParticipantNumber, PolicyHash};
use ledger_verify::{
    COIN_PROOF_BYTES_MAX, CoinProof, Reason, Supply, TreeHead, Trust, Verdict, VerifiedCoin, VerifiedState, verify_coin,
};
use node_api::ledger as doc;
use seen::Seen;
use serde::Deserialize;
use std::sync::Arc;
use tail::Tail;
use tokio::sync::{Semaphore, watch};
use upstream::{Upstream, UpstreamError};

/// A hex proof and the rest of the document.
const COIN_ANSWER_BYTES_MAX: usize = 2 * COIN_PROOF_BYTES_MAX + 4096;
const CONSISTENCY_BYTES_MAX: usize = 16 << 10;
/// A proof that was fetched so long ago is fetched again although it holds: its age is part of the answer. Well below the
/// 120 s at which a verifier calls it stale; idle logs are cosigned every 30 s (L-3).
const PROOF_FRESH_MS: u64 = 45_000;

/// Verified answers of contracts and feeds weigh a hundred times a coin's: some MiB each kind.
const CONTRACTS_KEPT: usize = 64;
const PACKAGES_KEPT: usize = 256;
const FEEDS_KEPT: usize = 64;
const RECEIPTS_KEPT: usize = 512;

pub struct Ledger {
    pub belief: Belief,
    upstreams: Vec<Upstream>,
    view: watch::Sender<Arc<View>>,
    coins: Seen<CoinId, Arc<CoinFound>>,
    contract_list: Seen<(), Arc<ContractsFound>>,
    contracts: Seen<ContractNumber, Arc<ContractFound>>,
    packages: Seen<PolicyHash, Arc<Package>>,
    feed_list: Seen<(), Arc<FeedsFound>>,
    /// By the hash of its name, and the period that the page begins before.
    feeds: Seen<([u8; 32], Option<u32>), Arc<FeedFound>>,
    receipts: Seen<ObligationId, Arc<ReceiptFound>>,
    clock: Clock,
    history_leaves: u64,
    poll: std::time::Duration,
}

/// One moment's knowledge.
#[derive(Clone, Default)]
pub struct View {
    pub tip: Option<Arc<Tip>>,
    pub tail: Arc<Tail>,
    pub split: Option<SplitView>,
    pub upstreams: Vec<UpstreamView>,
}

/// The newest verified state.
pub struct Tip {
    pub supply: Supply,
    /// Hex of the state proof.
    pub proof: String,
    /// The signed note, byte for byte.
    pub note: String,
    /// Who cosigned when, in seconds.
    pub cosigned: Vec<(ParticipantNumber, u64)>,
    pub signed_at_ms: u64,
}

impl Tip {
    pub fn state(&self) -> &VerifiedState {
        self.supply.state()
    }
}

/// An observer, as the site finds it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct UpstreamView {
    pub base: String,
    pub standing: UpstreamStanding,
    /// As the observer says; of it only the log is verified.
    pub name: String,
    pub height: u64,
    /// When it last gave a state that was verified.
    pub verified_at_ms: Option<u64>,
}

#[derive(Clone, Debug, PartialEq, Eq)]
pub enum UpstreamStanding {
    /// Not asked yet.
    Unknown,
    Answers,
    Silent,
    /// It votes: pages are never served over a validator.
    IsValidator,
    OtherChain,
    /// Its answers fail verification.
    Lies(Failure),
}

impl UpstreamStanding {
    pub fn code(&self) -> &'static str {
        match self {
            UpstreamStanding::Unknown => "unknown",
            UpstreamStanding::Answers => "answers",
            UpstreamStanding::Silent => "silent",
            UpstreamStanding::IsValidator => "is_validator",
            UpstreamStanding::OtherChain => "other_chain",
            UpstreamStanding::Lies(_) => "lies",
        }
    }
}

/// How a proof failed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Failure {
    Invalid(Reason),
    NotEnoughPower {
        have: u64,
        need: u64,
    },
    /// What was said leaves something out that the map has.
    Omitted,
}

impl Failure {
    pub fn code(self) -> &'static str {
        match self {
            Failure::Invalid(reason) => reason.code(),
            Failure::NotEnoughPower { .. } => "not_enough_power",
            Failure::Omitted => "entry_omitted",
        }
    }
}

pub struct CoinFound {
    pub coin: VerifiedCoin,
    /// Hex of the canonical proof.
    pub proof: String,
}

#[derive(Clone, Debug, thiserror::Error)]
pub enum AnswerError {
    /// And nothing verified is kept of what was asked for.
    #[error("no observer answers")]
    Silent,
    #[error("too many questions wait for the observers")]
    Busy,
    #[error("an observer's answer failed verification: {}", failure.code())]
    Untrue { by: String, failure: Failure },
}

#[derive(Deserialize)]
pub(crate) struct Consistency {
    path: Vec<String>,
}

impl Ledger {
    pub fn new(trust: Trust, config: &Config, clock: Clock) -> Arc<Self> {
        let places = Arc::new(Semaphore::new(config.limits.upstream_questions));
        let upstreams: Vec<_> = config.upstream.iter().map(|base| Upstream::new(base, places.clone())).collect();
        let unknown = |upstream: &Upstream| UpstreamView {
            base: upstream.base().to_owned(),
            standing: UpstreamStanding::Unknown,
            name: String::new(),
            height: 0,
            verified_at_ms: None,
        };
        let view = View { upstreams: upstreams.iter().map(unknown).collect(), ..View::default() };
        Arc::new(Ledger {
            belief: Belief::new(trust, config.remember.clone()),
            upstreams,
            view: watch::Sender::new(Arc::new(view)),
            coins: Seen::new(config.cache.coins),
            contract_list: Seen::new(2),
            contracts: Seen::new(CONTRACTS_KEPT),
            packages: Seen::new(PACKAGES_KEPT),
            feed_list: Seen::new(2),
            feeds: Seen::new(FEEDS_KEPT),
            receipts: Seen::new(RECEIPTS_KEPT),
            clock,
            history_leaves: config.cache.history_leaves,
            poll: std::time::Duration::from_millis(config.cache.poll_ms),
        })
    }

    pub fn view(&self) -> Arc<View> {
        self.view.borrow().clone()
    }

    pub fn changes(&self) -> watch::Receiver<Arc<View>> {
        self.view.subscribe()
    }

    pub fn clock(&self) -> &Clock {
        &self.clock
    }

    /// Those that may be asked, the one whose verified state is newest first.
    fn askable(&self) -> Vec<&Upstream> {
        let view = self.view();
        let mut order: Vec<usize> = (0..self.upstreams.len()).collect();
        order.retain(|n| {
            !matches!(view.upstreams[*n].standing, UpstreamStanding::IsValidator | UpstreamStanding::OtherChain)
        });
        order.sort_by_key(|n| {
            let upstream = &view.upstreams[*n];
            let answers = upstream.standing == UpstreamStanding::Answers;
            (!answers, std::cmp::Reverse(upstream.height), *n)
        });
        order.into_iter().map(|n| &self.upstreams[n]).collect()
    }

    /// What the registry says of a coin. Exact keys only: there is no list to walk.
    pub async fn coin(&self, coin: CoinId) -> Result<Arc<CoinFound>, AnswerError> {
        let kept = self.coins.get(&coin);
        if let Some(kept) = kept.as_ref().filter(|kept| self.is_newest(kept.coin.state())) {
            return Ok(kept.clone());
        }
        let mut worst = AnswerError::Silent;
        for upstream in self.askable() {
            match self.coin_from(upstream, coin).await {
                Ok(found) => {
                    let found = Arc::new(found);
                    self.coins.put(coin, found.clone());
                    return Ok(found);
                }
                Err(AnswerError::Silent) => {}
                Err(error) => worst = error,
            }
        }
        match (worst, kept) {
            // A lie is named even if the truth of some minutes ago is at hand.
            (error @ AnswerError::Untrue { .. }, _) => Err(error),
            (_, Some(kept)) => Ok(kept),
            (error, None) => Err(error),
        }
    }

    async fn coin_from(&self, upstream: &Upstream, coin: CoinId) -> Result<CoinFound, AnswerError> {
        let untrue = |failure| AnswerError::Untrue { by: upstream.base().to_owned(), failure };
        let asked = upstream.ask::<doc::CoinAnswer>(&format!("/v1/coins/{coin}"), COIN_ANSWER_BYTES_MAX).await;
        let answer = asked.map_err(|error| match error {
            UpstreamError::Refused(problem) if problem.status == 429 => AnswerError::Busy,
            UpstreamError::Unreachable | UpstreamError::Refused(_) => AnswerError::Silent,
            UpstreamError::Busy => AnswerError::Busy,
            UpstreamError::Foreign => untrue(Failure::Invalid(Reason::Malformed)),
        })?;
        let malformed = || untrue(Failure::Invalid(Reason::Malformed));
        let bytes = hex::decode(&answer.proof).map_err(|_| malformed())?;
        let proof = CoinProof::from_bytes(&bytes).map_err(|_| malformed())?;
        let verified = self.belief.judge(|trust| verify_coin(trust, &coin, &proof, self.clock.now_ms()));
        let verified = outcome(verified).map_err(|failure| {
            self.note_split(&failure, upstream, proof_head(&proof));
            untrue(failure)
        })?;
        match self.settle(upstream, verified.state().head()).await {
            Ok(()) => Ok(CoinFound { coin: verified, proof: answer.proof }),
            Err(Settle::Failed(failure)) => Err(untrue(failure)),
            Err(Settle::Silent) => Err(AnswerError::Silent),
        }
    }

    /// Accepts a signed log state after it was shown to continue what was accepted before (L-3).
    async fn settle(&self, shown_by: &Upstream, head: TreeHead) -> Result<(), Settle> {
        loop {
            let newest = match self.belief.standing(&head) {
                Standing::Known => return Ok(()),
                Standing::Contradicts { accepted } => {
                    self.split_view(accepted, head, shown_by);
                    return Err(Settle::Failed(Failure::Invalid(Reason::SplitView)));
                }
                Standing::First => None,
                Standing::Needs { newest } => Some(newest),
            };
            let Some(newest) = newest else {
                match self.belief.accept(head, None, &[]).map_err(|reason| Settle::Failed(Failure::Invalid(reason)))? {
                    Accepted::Yes => return Ok(()),
                    Accepted::AskAgain => continue,
                }
            };
            let (from, to) = (newest.size.min(head.size), newest.size.max(head.size));
            let mut result = Err(Settle::Silent);
            // Whoever has both states can show how one grew from the other; first of all, who shows the new one.
            let others = self.upstreams.iter().filter(|other| other.base() != shown_by.base());
            for upstream in std::iter::once(shown_by).chain(others) {
                let Ok(path) = consistency(upstream, from, to).await else { continue };
                match self.belief.accept(head, Some(newest), &path) {
                    Ok(Accepted::Yes) => return Ok(()),
                    Ok(Accepted::AskAgain) => {
                        result = Ok(());
                        break;
                    }
                    Err(reason) => result = Err(Settle::Failed(Failure::Invalid(reason))),
                }
            }
            if let Err(failed) = result {
                if failed == Settle::Failed(Failure::Invalid(Reason::SplitView)) {
                    self.split_view(newest, head, shown_by);
                }
                return Err(failed);
            }
        }
    }

    fn split_view(&self, accepted: TreeHead, shown: TreeHead, by: &Upstream) {
        let seen_at_ms = self.clock.now_ms();
        self.belief.contradicted(SplitView { accepted, shown, by: by.base().to_owned(), seen_at_ms });
        let split = self.belief.split();
        self.view.send_modify(|view| {
            let mut changed = View::clone(view);
            changed.split = split;
            *view = Arc::new(changed);
        });
    }

    /// The verifier named a split view by itself: the signed state has an accepted size and another root.
    fn note_split(&self, failure: &Failure, by: &Upstream, shown: Option<TreeHead>) {
        if *failure != Failure::Invalid(Reason::SplitView) {
            return;
        }
        let accepted = self.belief.judge(Trust::newest);
        if let (Some(accepted), Some(shown)) = (accepted, shown) {
            self.split_view(accepted, shown, by);
        }
    }

    /// An answer that is passed on as it is, from the first observer that gives one: its reader verifies it.
    pub async fn pass_on(&self, path: &str, bytes_max: usize) -> Result<Vec<u8>, UpstreamError> {
        let mut last = UpstreamError::Unreachable;
        for upstream in self.askable() {
            match upstream.ask_bytes(path, bytes_max).await {
                Ok(bytes) => return Ok(bytes),
                Err(UpstreamError::Unreachable) => {}
                Err(error) => last = error,
            }
        }
        Err(last)
    }
}

#[derive(Clone, Debug, PartialEq, Eq)]
enum Settle {
    Failed(Failure),
    /// Nobody shows how the log grew: not accepted, and no lie yet.
    Silent,
}

pub(crate) fn outcome<T>(verdict: Verdict<T>) -> Result<T, Failure> {
    match verdict {
        Verdict::Verified(value) => Ok(value),
        Verdict::NotEnoughPower { have, need } => Err(Failure::NotEnoughPower { have, need }),
        Verdict::Invalid(reason) => Err(Failure::Invalid(reason)),
    }
}

fn proof_head(proof: &CoinProof) -> Option<TreeHead> {
    note_head(&proof.state.checkpoint)
}

fn note_head(note: &[u8]) -> Option<TreeHead> {
    let note = ledger_tree::note::Note::parse(note).ok()?;
    let checkpoint = ledger_tree::note::Checkpoint::parse(note.text()).ok()?;
    Some(TreeHead { size: checkpoint.size(), root: ledger_types::TreeRoot(*checkpoint.root()) })
}

async fn consistency(upstream: &Upstream, from: u64, to: u64) -> Result<Vec<[u8; 32]>, UpstreamError> {
    let path = format!("/v1/consistency?from={from}&to={to}");
    let document: Consistency = upstream.json(&path, CONSISTENCY_BYTES_MAX).await?;
    let hash = |text: &String| {
        let mut hash = [0; 32];
        hex::decode_to_slice(text, &mut hash).map(|()| hash).map_err(|_| UpstreamError::Foreign)
    };
    document.path.iter().map(hash).collect()
}
