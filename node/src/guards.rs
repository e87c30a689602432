//! Guards lie with their keys and are created with them (B-9); a running node only opens them.

use crate::checkpoint::guard::CheckpointGuard;
use crate::config::RoleName;
use ledger_types::ParticipantNumber;
use ledger_types::genesis::Genesis;
use std::path::{Path, PathBuf};

pub fn votes(state: &Path) -> PathBuf {
    state.join("votes.guard")
}

pub fn cosigner(state: &Path) -> PathBuf {
    state.join("cosign.guard")
}

pub fn log(state: &Path) -> PathBuf {
    state.join("log.guard")
}

/// All guards of a participant's keys. Fails if one exists.
pub fn create(state: &Path, number: u16, role: RoleName, genesis: &Genesis) -> Result<(), String> {
    std::fs::create_dir_all(state).map_err(|error| format!("{}: {error}", state.display()))?;
    let votes_too = matches!(role, RoleName::CentralBank | RoleName::CommercialBank);
    if votes_too {
        let participant =
            genesis.directory.get(ParticipantNumber(number)).ok_or("the participant is not in the directory")?;
        let key = participant.keys.consensus;
        consensus::guard::SigningGuard::create(&votes(state), &genesis.chain(), key)
            .map_err(|error| error.to_string())?;
        CheckpointGuard::create(&cosigner(state)).map_err(|error| error.to_string())?;
    }
    if role == RoleName::CentralBank {
        CheckpointGuard::create(&log(state)).map_err(|error| error.to_string())?;
    }
    Ok(())
}
