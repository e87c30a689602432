//! Why a backup is not made or not put back; numbered, so that a runbook can say what to do.

use std::path::PathBuf;

#[derive(Debug, thiserror::Error)]
pub enum Refusal {
    #[error("the configuration, the genesis or the token cannot be used: {0}")]
    Configuration(String),
    #[error(
        "the role {0} keeps no state of this kind: registration's database, issuance's and the spool between them are one backup, \
         copied while both stand still (record 032)"
    )]
    Role(&'static str),
    #[error("{0} is not empty: name a folder that is absent or empty")]
    TargetTaken(PathBuf),
    #[error("{0} holds no ledger: there is nothing to back up")]
    NothingThere(PathBuf),
    #[error("{path} cannot be read or written: {source}")]
    Io { path: PathBuf, source: std::io::Error },
    #[error("the running node made no copy of its state: {0}")]
    NodeRefused(String),
    #[error("the ledger cannot be opened: {0}")]
    Ledger(String),
    #[error("{0} is no whole backup: its MANIFEST is missing, damaged or of another version")]
    NoManifest(PathBuf),
    #[error("{path} is not what was backed up: {fault}")]
    FileDiffers { path: PathBuf, fault: String },
    #[error("the backup is of the chain {found}, not of {expected}")]
    OtherChain { found: String, expected: String },
    #[error(
        "the backup is of participant {found}, not of {expected}: its desk's rows open with that participant's keys"
    )]
    OtherParticipant { found: u16, expected: u16 },
    #[error("{0} is not empty: stop the node, and move its state away if it is lost; nothing is ever overwritten")]
    StateThere(PathBuf),
    #[error(
        "{} beside the keys: a guard that comes from a copy lets its key sign twice (B-9). If these never left this machine, say \
         --guards-are-current; else move them away, and run `assay-node guards renew` after the restore", paths(.0)
    )]
    GuardsThere(Vec<PathBuf>),
    #[error("another backup of this node is being made, which holds a lock on {0}: wait for it")]
    UnderWay(PathBuf),
}

fn paths(paths: &[PathBuf]) -> String {
    let paths: Vec<_> = paths.iter().map(|path| path.display().to_string()).collect();
    paths.join(", ")
}

impl Refusal {
    /// Never given to another refusal.
    pub fn number(&self) -> u8 {
        match self {
            Refusal::Configuration(_) => 1,
            Refusal::Role(_) => 2,
            Refusal::TargetTaken(_) => 3,
            Refusal::NothingThere(_) => 4,
            Refusal::Io { .. } => 5,
            Refusal::NodeRefused(_) => 6,
            Refusal::Ledger(_) => 7,
            Refusal::NoManifest(_) => 8,
            Refusal::FileDiffers { .. } => 9,
            Refusal::OtherChain { .. } => 10,
            Refusal::OtherParticipant { .. } => 11,
            Refusal::StateThere(_) => 12,
            Refusal::GuardsThere(_) => 13,
            Refusal::UnderWay(_) => 14,
        }
    }
}
