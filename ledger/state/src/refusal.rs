//! Why a whole block is refused. These are the only reasons for a nil prevote that execution knows (B-2); whatever is wrong
//! with an envelope is a result in the block, never a reason against it.

use crate::numbered::numbered_reasons;
use crate::rules_schedule::RulesUnknown;
use ledger_tree::ReadError;

numbered_reasons! {
    /// Why a block gets a nil prevote. 1 to 4 and 9 are looked for before the bundles are, then 5, and 6 to 8 bundle by bundle;
    /// 10 and above compare a proposed header with the one that execution gave.
    pub enum BlockRefusal {
        /// The block's height is not the next.
        HeightNotNext = 1, "height_not_next",
        /// The block's time is not after its parent's.
        TimeNotAfterParent = 2, "time_not_after_parent",
        /// The parent of height 1 was decided in no round: the round must be zero.
        ParentRoundOfGenesis = 3, "parent_round_of_genesis",
        /// The block holds too many certificates.
        TooManyCertificates = 4, "too_many_certificates",
        /// The bundles are not the certificates' bundles, in their order.
        BundlesDoNotMatch = 5, "bundles_do_not_match",
        /// A bundle's submitter is not in the directory.
        SubmitterUnknown = 6, "submitter_unknown",
        /// A bundle's slot is not the next of its lane.
        SlotNotNext = 7, "slot_not_next",
        /// A submitter's bundles exceed its bytes for this height.
        QuotaExceeded = 8, "quota_exceeded",
        /// The certificates' bundles are more bytes than a block may order.
        TooManyBytes = 9, "too_many_bytes",
        /// The header names another version of the rules than governs its height.
        RulesVersionDiffers = 10, "rules_version_differs",
        /// The header names another parent, or another round of it.
        ParentDiffers = 11, "parent_differs",
        /// The certificates do not lead to the header's root.
        CertificatesRootDiffers = 12, "certificates_root_differs",
        /// Execution gives other results than the header's root says.
        ResultsRootDiffers = 13, "results_root_differs",
        /// Execution gives another state root.
        StateRootDiffers = 14, "state_root_differs",
        /// Execution gives another log size or root.
        LogDiffers = 15, "log_differs",
        /// Execution gives another map root.
        MapRootDiffers = 16, "map_root_differs",
        /// Execution gives another directory.
        ParticipantsDiffer = 17, "participants_differ",
        /// Execution gives another validator set for the next height.
        NextSetDiffers = 18, "next_set_differs",
    }
}

/// Why `apply` gave no outcome.
#[derive(Debug, thiserror::Error)]
pub enum ApplyError {
    #[error("block refused: {0}")]
    Refused(#[from] BlockRefusal),
    /// B-13: another program can execute it.
    #[error(transparent)]
    RulesUnknown(#[from] RulesUnknown),
    /// The world failed, which says nothing about the block.
    #[error(transparent)]
    Read(#[from] ReadError),
}
