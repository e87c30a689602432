//! Faults of our own making, each of which the invariants must catch. They live in the simulator's layer: around the shipped code,
//! never in it.

#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Bug {
    /// The guard's sync returns without having synced.
    GuardSyncSkipped,
    /// The log's sync returns without having synced.
    LogSyncSkipped,
    /// A vote that a replay derives stays out of the log (shipped until this simulator met it).
    SignedVoteNotLogged,
    /// A proposal that a replay derives stays out of the log (shipped until this simulator met it).
    SignedProposalNotLogged,
    /// Votes are signed without asking the guard.
    GuardDropped,
    /// 2f votes decide.
    QuorumOffByOne,
    /// A synced certificate may name one signer several times.
    DuplicateSigner,
    /// The client hears of its envelope when the block is decided and not yet durable.
    AcknowledgedBeforeDurable,
    /// A spent coin can be spent again.
    UnspentCheckSkipped,
    /// Bundles are executed in the order of a hash map.
    MapOrder,
    /// One node signs its votes as something else.
    WrongDomainTag,
    /// One node has another idea of whose turn it is.
    ProposerDiffers,
    /// A second bundle in one slot is acknowledged too.
    AckGuardDropped,
    /// Registration signs another batch under a number that it used.
    BatchNumberReused,
    /// A synced block's commit certificate is not checked.
    SyncedUnchecked,
    /// One node goes by the genesis's validators, whatever was handed over.
    HandOverMissed,
    /// Who is demoted follows from heights that another set decided (shipped until it was read).
    TrialOfAnotherSet,
    /// A validator that was handed out of the set goes on by the genesis's validators, and knows better.
    LeaverVotesOn,
    /// Whoever starts votes at once, and asks nobody what was heard of it.
    VotesUnasked,
    /// What is spent counts as issued once more.
    SpendingIsIssuing,
    /// Timeouts do not go off.
    TimeoutsLost,
}

impl Bug {
    pub const ALL: [Bug; 21] = [
        Bug::GuardSyncSkipped,
        Bug::LogSyncSkipped,
        Bug::SignedVoteNotLogged,
        Bug::SignedProposalNotLogged,
        Bug::GuardDropped,
        Bug::QuorumOffByOne,
        Bug::DuplicateSigner,
        Bug::AcknowledgedBeforeDurable,
        Bug::UnspentCheckSkipped,
        Bug::MapOrder,
        Bug::WrongDomainTag,
        Bug::ProposerDiffers,
        Bug::AckGuardDropped,
        Bug::BatchNumberReused,
        Bug::SyncedUnchecked,
        Bug::HandOverMissed,
        Bug::TrialOfAnotherSet,
        Bug::LeaverVotesOn,
        Bug::VotesUnasked,
        Bug::SpendingIsIssuing,
        Bug::TimeoutsLost,
    ];

    pub fn named(name: &str) -> Option<Bug> {
        Bug::ALL.into_iter().find(|bug| format!("{bug:?}") == name)
    }
}
