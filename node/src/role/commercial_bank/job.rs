//! A job: one piece of the desk's work that ends in one ordered envelope at most.
//!
//! ```text
//! pending ──envelope stored──▶ pending, with an attempt ──accepted──▶ ordered ──payee's bank──▶ settled
//!    ▲                               │ refused or expired                 │                       │
//!    └───────────────────────────────┘                                    └──records──▶ confirmed | disputed
//! ```
//! At most one attempt of a job can still be accepted by the ledger at any time: another one is made only after the verdict
//! on the last, or after a block whose time lies beyond its expiry. So a job is never done twice.

use crate::clock::now_us;
use ledger_types::CoinId;
use serde::{Deserialize, Serialize};

pub(crate) type JobId = [u8; 16];

/// Of a job of a desk that was put back from a backup which it was unfinished in, or before: whether it was carried out since is
/// not known (decision 089).
pub(crate) const NO_FURTHER_ATTEMPT: Option<u64> = Some(0);

#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct Job {
    pub id: JobId,
    pub work: Work,
    /// Whose coins are spent; empty for issue and recovery.
    pub wallet: String,
    pub state: State,
    /// The ledger's number of the refusal, 0 if none.
    pub rejection: u16,
    pub reason: Option<String>,
    pub attempt: Option<Attempt>,
    /// Attempts so far; makes the keys and nonces of each its own.
    pub attempts: u32,
    /// When the first attempt was refused, for how long a job is tried again. [`NO_FURTHER_ATTEMPT`]: it is not.
    pub first_refused_ms: Option<u64>,
    /// The coins that it brought, the payee's first.
    pub coins: Vec<[u8; 32]>,
    pub envelope: Option<[u8; 32]>,
    pub trace: Vec<TraceRow>,
}

#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) enum Work {
    Pay {
        bank: u16,
        to: String,
        amount: u64,
        memo: String,
    },
    /// Split or merge: these coins into those amounts.
    Arrange {
        coins: Vec<[u8; 32]>,
        amounts: Vec<u64>,
    },
    Issue {
        bank: u16,
        series: u32,
        amounts: Vec<u64>,
        /// Zero for plain money.
        contract: u32,
    },
    Redeem {
        amount: u64,
    },
    Recover {
        coins: Vec<[u8; 32]>,
        reason: u8,
        bank: u16,
        to: String,
        amount: u64,
    },
    /// Lend inert money (K-5).
    Lend {
        contract: u32,
        sector: u32,
        rate: i64,
        term_days: u16,
        bank: u16,
        to: String,
        amount: u64,
    },
    /// Pay the central bank what is owed for a loan. `claim`: [`super::lending::Claim`], the memo.
    PayBack {
        bank: u16,
        obligation: [u8; 32],
        claim: Vec<u8>,
        amount: u64,
    },
    /// Retire what was paid back: by the central bank, of its vault's money.
    Return {
        bank: u16,
        claim: Vec<u8>,
        paid: u64,
    },
    /// Retire what lay idle.
    Reclaim {
        contract: u32,
        coins: Vec<[u8; 32]>,
    },
    /// Sign for the officers, and carry it.
    OrderContract {
        order: Vec<u8>,
    },
    OrderFeed {
        definition: Vec<u8>,
    },
    /// Carry what publishers signed.
    Publish {
        publication: Vec<u8>,
    },
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) enum State {
    Pending,
    Ordered,
    Settled,
    Confirmed,
    Disputed,
    Refused,
}

impl State {
    pub fn as_str(self) -> &'static str {
        match self {
            State::Pending => "pending",
            State::Ordered => "ordered",
            State::Settled => "settled",
            State::Confirmed => "confirmed",
            State::Disputed => "disputed",
            State::Refused => "refused",
        }
    }

    pub fn parse(text: &str) -> Option<Self> {
        let all = [State::Pending, State::Ordered, State::Settled, State::Confirmed, State::Disputed, State::Refused];
        all.into_iter().find(|state| state.as_str() == text)
    }

    pub fn is_final(self) -> bool {
        matches!(self, State::Confirmed | State::Disputed | State::Refused)
    }

    /// Whether somebody who waits for `wanted` need not wait any longer.
    pub fn has_reached(self, wanted: State) -> bool {
        self.is_final() || self as u8 >= wanted as u8
    }
}

/// An envelope that is on disk, and may be on its way.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct Attempt {
    pub envelope: [u8; 32],
    pub bytes: Vec<u8>,
    pub expiry_ms: u64,
    pub inputs: Vec<[u8; 32]>,
    /// The coins that it would make, the payee's first.
    pub outputs: Vec<[u8; 32]>,
    /// Handed in more than once (after a restart): a refusal that is not final says nothing of the other copies.
    pub has_copies: bool,
}

impl Attempt {
    pub fn input_ids(&self) -> impl Iterator<Item = CoinId> + '_ {
        self.inputs.iter().map(|id| CoinId(*id))
    }
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) enum Step {
    OrderSigned,
    AcceptedByPayeeBank,
    Sealed,
    Submitted,
    Ordered,
    Opened,
    PayeeBankSuccess,
    KeyReleased,
    Confirmed,
    Refused,
}

impl Step {
    pub fn as_str(self) -> &'static str {
        match self {
            Step::OrderSigned => "order_signed",
            Step::AcceptedByPayeeBank => "accepted_by_payee_bank",
            Step::Sealed => "sealed",
            Step::Submitted => "submitted",
            Step::Ordered => "ordered",
            Step::Opened => "opened",
            Step::PayeeBankSuccess => "payee_bank_success",
            Step::KeyReleased => "key_released",
            Step::Confirmed => "confirmed",
            Step::Refused => "refused",
        }
    }
}

#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct TraceRow {
    pub step: Step,
    pub at_us: u64,
    pub note: String,
}

/// Steps kept of one job: a job that is refused for an hour keeps its newest ones.
const TRACE_MAX: usize = 64;

impl Job {
    pub fn new(id: JobId, wallet: &str, work: Work) -> Self {
        Job {
            id,
            work,
            wallet: wallet.to_owned(),
            state: State::Pending,
            rejection: 0,
            reason: None,
            attempt: None,
            attempts: 0,
            first_refused_ms: None,
            coins: Vec::new(),
            envelope: None,
            trace: Vec::new(),
        }
    }

    pub fn gets_no_further_attempt(&self) -> bool {
        self.first_refused_ms == NO_FURTHER_ATTEMPT
    }

    pub fn trace(&mut self, step: Step, note: impl Into<String>) {
        self.trace_at(step, now_us(), note);
    }

    pub fn trace_at(&mut self, step: Step, at_us: u64, note: impl Into<String>) {
        if self.trace.len() == TRACE_MAX {
            self.trace.remove(0);
        }
        self.trace.push(TraceRow { step, at_us, note: note.into() });
    }

    /// What leaves the wallet.
    pub fn amount(&self) -> u64 {
        match &self.work {
            Work::Pay { amount, .. } | Work::Redeem { amount } | Work::Recover { amount, .. } => *amount,
            Work::Lend { amount, .. } | Work::PayBack { amount, .. } => *amount,
            Work::Return { paid, .. } => *paid,
            Work::Issue { amounts, .. } => amounts.iter().sum(),
            // Nothing leaves: it all comes back, or others' coins are retired, or there are none.
            Work::Arrange { .. } | Work::Reclaim { .. } => 0,
            Work::OrderContract { .. } | Work::OrderFeed { .. } | Work::Publish { .. } => 0,
        }
    }

    /// The bank of whoever is paid.
    pub fn payee_bank(&self) -> Option<u16> {
        match self.work {
            Work::Pay { bank, .. } | Work::Lend { bank, .. } | Work::PayBack { bank, .. } => Some(bank),
            _ => None,
        }
    }

    /// Whether another bank still has to say success after the envelope is ordered.
    pub fn waits_for_payee_bank(&self, me: u16) -> bool {
        self.payee_bank().is_some_and(|bank| bank != me)
    }

    /// Whether a refusal ends it, be it one that could turn out otherwise later: it is for those who asked to ask again when the
    /// economy, the calendar or the contract has changed.
    pub fn ends_with_any_refusal(&self) -> bool {
        matches!(
            self.work,
            Work::Lend { .. } | Work::OrderContract { .. } | Work::OrderFeed { .. } | Work::Publish { .. }
        )
    }
}
