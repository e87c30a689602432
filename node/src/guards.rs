//! The memories of what this participant's keys have signed: votes, acks, cosignatures, log signatures (B-9).
//!
//! Must stay true:
//! - A guard lies beside its key and is made with it (`init-cluster` is our `keys init`). A starting node opens guards and makes
//!   none: one that it made would say "never signed", whatever the key has signed.
//! - Missing is not damaged. Without a guard the node runs and does not use that key; with a damaged one it does not start, since
//!   an operator has to look.
//! - A guard that is lost is made anew by an operator, and says so of itself: it permits nothing before the node has caught up
//!   with what its key may have signed before ([`renew`]).

use crate::checkpoint::guard::CheckpointGuard;
use crate::clock::now_ms;
use crate::config::RoleName;
use consensus::guard::{GuardError, SigningGuard};
use ledger_store::AckGuard;
use ledger_types::ParticipantNumber;
use ledger_types::genesis::Genesis;
use ledger_types::keys::PublicKey;
use ledger_types::participant::Participant;
use std::path::{Path, PathBuf};

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Kind {
    Votes,
    Acks,
    Cosigner,
    Log,
}

impl Kind {
    fn path(self, keys: &Path) -> PathBuf {
        keys.join(match self {
            Kind::Votes => "votes.guard",
            Kind::Acks => "acks.guard",
            Kind::Cosigner => "cosign.guard",
            Kind::Log => "log.guard",
        })
    }

    fn without_it(self) -> &'static str {
        match self {
            Kind::Votes => "does not vote",
            Kind::Acks => "acks no bundle",
            Kind::Cosigner => "cosigns no checkpoint",
            Kind::Log => "signs no checkpoint as the log",
        }
    }

    /// Those of a participant's keys.
    fn of(participant: &Participant) -> Vec<Kind> {
        // Of one who does not vote too: officers may make it a validator while it runs (G-3).
        let mut kinds = vec![Kind::Votes, Kind::Acks, Kind::Cosigner];
        if participant.central_bank.is_some() {
            kinds.push(Kind::Log);
        }
        kinds
    }
}

/// A guard that cannot be used, and not because it is missing.
#[derive(Debug, thiserror::Error)]
#[error("{0}")]
pub struct GuardFault(String);

/// What a node has; it does not use a key without its guard.
#[derive(Debug, Default)]
pub struct Guards {
    pub votes: Option<SigningGuard>,
    pub acks: Option<AckGuard>,
    pub cosigner: Option<CheckpointGuard>,
    pub log: Option<CheckpointGuard>,
}

/// Opens the guards of this participant's keys, of which `consensus` is the one of its file. A missing one is a warning.
pub fn open(
    keys: &Path,
    participant: &Participant,
    consensus: PublicKey,
    genesis: &Genesis,
) -> Result<Guards, GuardFault> {
    let mut guards = Guards::default();
    for kind in Kind::of(participant) {
        let path = kind.path(keys);
        let is_there = path.try_exists().map_err(|error| fault(&path, error))?;
        if !is_there {
            let (file, it) = (path.display(), kind.without_it());
            tracing::warn!(%file, "a guard is missing: this node {it}. If it is lost, run `assay-node guards renew`");
            continue;
        }
        let chain = genesis.chain();
        match kind {
            Kind::Votes => {
                guards.votes = Some(match SigningGuard::open(&path, &chain, consensus) {
                    Err(GuardError::OtherKey(_)) => return Err(of_another_key(&path)),
                    opened => opened.map_err(|error| fault(&path, error))?,
                });
            }
            Kind::Acks => guards.acks = acks(keys, genesis)?,
            Kind::Cosigner => guards.cosigner = Some(CheckpointGuard::open(&path).map_err(|e| fault(&path, e))?),
            Kind::Log => guards.log = Some(CheckpointGuard::open(&path).map_err(|e| fault(&path, e))?),
        }
    }
    Ok(guards)
}

/// The guard of acks, if it is there; it is the participant's, whatever its keys are.
pub fn acks(keys: &Path, genesis: &Genesis) -> Result<Option<AckGuard>, GuardFault> {
    let path = Kind::Acks.path(keys);
    if !path.try_exists().map_err(|error| fault(&path, error))? {
        return Ok(None);
    }
    AckGuard::open(&path, genesis.chain().genesis_hash()).map(Some).map_err(|error| fault(&path, error))
}

/// Files of the guards that are not there, and what the node does not do without each.
pub fn missing(keys: &Path, participant: &Participant) -> Vec<(PathBuf, &'static str)> {
    let kinds = Kind::of(participant).into_iter().map(|kind| (kind.path(keys), kind.without_it()));
    kinds.filter(|(path, _)| !path.exists()).collect()
}

/// Files of the guards that are there.
pub fn present(keys: &Path, participant: &Participant) -> Vec<PathBuf> {
    let paths = Kind::of(participant).into_iter().map(|kind| kind.path(keys));
    paths.filter(|path| path.exists()).collect()
}

fn fault(path: &Path, error: impl ToString) -> GuardFault {
    let (error, path) = (error.to_string(), path.display());
    GuardFault(format!(
        "{error}. A guard says what its key has signed: find out what damaged it, move {path} away, run `assay-node guards renew \
         --config FILE`, and start again. Never restore a guard from a backup"
    ))
}

fn of_another_key(path: &Path) -> GuardFault {
    let path = path.display();
    GuardFault(format!(
        "key_differs: {path} was made with another key than the one in consensus.pem, or on another chain. Put back the key file that it \
         was made with. Only where officers have given this participant another consensus key since it left the validators: move the \
         guard away, run `assay-node guards renew --config FILE`, and start again"
    ))
}

/// All guards of a participant's keys, which have signed nothing. Fails if one exists.
pub fn create(keys: &Path, number: u16, role: RoleName, genesis: &Genesis) -> Result<(), String> {
    if !matches!(role, RoleName::CentralBank | RoleName::CommercialBank | RoleName::Observer) {
        return Ok(());
    }
    let participant = genesis.directory.get(ParticipantNumber(number));
    let participant = participant.ok_or("the participant is not in the directory")?;
    let chain = genesis.chain();
    for kind in Kind::of(participant) {
        let path = kind.path(keys);
        match kind {
            Kind::Votes => {
                SigningGuard::create(&path, &chain, participant.keys.consensus).map_err(|error| error.to_string())?;
            }
            Kind::Acks => AckGuard::create(&path, chain.genesis_hash()).map_err(|error| error.to_string())?,
            Kind::Cosigner | Kind::Log => CheckpointGuard::create(&path).map_err(|error| error.to_string())?,
        }
    }
    Ok(())
}

/// Makes those guards anew that are missing, and returns them; what is there is opened and kept. The operator's command, while
/// the node stands still: what the keys signed before is unknown, and the new guards say so.
pub fn renew(
    keys: &Path,
    participant: &Participant,
    consensus: PublicKey,
    genesis: &Genesis,
) -> Result<Vec<PathBuf>, GuardFault> {
    // Nothing is made beside one that is damaged.
    drop(open(keys, participant, consensus, genesis)?);
    let (chain, now) = (genesis.chain(), now_ms());
    let mut made = Vec::new();
    for kind in Kind::of(participant) {
        let path = kind.path(keys);
        if path.exists() {
            continue;
        }
        match kind {
            Kind::Votes => {
                let renewed = SigningGuard::renew(&path, &chain, consensus, now);
                renewed.map_err(|error| fault(&path, error))?;
            }
            Kind::Acks => AckGuard::renew(&path, chain.genesis_hash(), now).map_err(|error| fault(&path, error))?,
            Kind::Cosigner | Kind::Log => {
                CheckpointGuard::renew(&path, now).map_err(|error| fault(&path, error))?;
            }
        }
        made.push(path);
    }
    Ok(made)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::cluster_init::ClusterPlan;

    /// A cluster's folder, its genesis, and the central bank's keys.
    fn central_bank() -> (tempfile::TempDir, Genesis, PathBuf) {
        let folder = tempfile::tempdir().unwrap();
        let plan = ClusterPlan::small(folder.path());
        plan.init().unwrap();
        let genesis = Genesis::parse(&std::fs::read(plan.folder.join("genesis.bin")).unwrap()).unwrap();
        let keys = plan.folder.join("central-bank/keys");
        (folder, genesis, keys)
    }

    fn names(paths: &[PathBuf]) -> Vec<&str> {
        paths.iter().map(|path| path.file_name().unwrap().to_str().unwrap()).collect()
    }

    #[test]
    fn guards_lie_beside_the_keys_and_only_a_missing_one_is_no_reason_not_to_start() {
        let (_folder, genesis, keys) = central_bank();
        let participant = genesis.directory.get(ParticipantNumber(1)).unwrap();
        let all = open(&keys, participant, participant.keys.consensus, &genesis).unwrap();
        assert!(all.votes.is_some() && all.acks.is_some() && all.cosigner.is_some() && all.log.is_some());
        drop(all);
        for kind in Kind::of(participant) {
            let path = kind.path(&keys);
            let whole = std::fs::read(&path).unwrap();
            std::fs::write(&path, &whole[..10]).unwrap();
            let fault = open(&keys, participant, participant.keys.consensus, &genesis).unwrap_err().to_string();
            assert!(fault.contains("guards renew"), "{kind:?}: {fault}");
            assert!(
                renew(&keys, participant, participant.keys.consensus, &genesis).is_err(),
                "{kind:?}: a damaged guard is not replaced"
            );
            std::fs::remove_file(&path).unwrap();
            open(&keys, participant, participant.keys.consensus, &genesis)
                .unwrap_or_else(|fault| panic!("{kind:?}: {fault}"));
            assert!(!path.exists(), "{kind:?}: a starting node makes none");
            std::fs::write(&path, &whole).unwrap();
        }
    }

    #[test]
    fn renewed_guards_permit_nothing_yet_and_those_that_are_there_stay() {
        let (_folder, genesis, keys) = central_bank();
        let participant = genesis.directory.get(ParticipantNumber(1)).unwrap();
        assert!(renew(&keys, participant, participant.keys.consensus, &genesis).unwrap().is_empty());
        let log = std::fs::read(Kind::Log.path(&keys)).unwrap();
        for kind in [Kind::Votes, Kind::Acks, Kind::Cosigner] {
            std::fs::remove_file(kind.path(&keys)).unwrap();
        }
        let made = renew(&keys, participant, participant.keys.consensus, &genesis).unwrap();
        assert_eq!(names(&made), ["votes.guard", "acks.guard", "cosign.guard"]);
        let guards = open(&keys, participant, participant.keys.consensus, &genesis).unwrap();
        let votes = guards.votes.unwrap();
        assert!(!votes.is_certain() && votes.votes_from_ms() > now_ms());
        assert!(guards.acks.unwrap().is_waiting());
        assert!(guards.cosigner.unwrap().is_silent_at(u64::MAX, now_ms()));
        assert!(!guards.log.unwrap().is_silent_at(0, 0));
        assert_eq!(std::fs::read(Kind::Log.path(&keys)).unwrap(), log);
    }
}
