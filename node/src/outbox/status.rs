//! What the processes at both ends tell operators: one small JSON file, replaced whole.

use serde::Serialize;
use std::fs;
use std::io::Write;
use std::path::{Path, PathBuf};

pub struct StatusFile {
    path: PathBuf,
}

impl StatusFile {
    /// `status.json` in the process's state folder.
    pub fn new(state: &Path) -> Self {
        StatusFile { path: state.join("status.json") }
    }

    /// A reader sees the old document or the new one. It is for people and scripts and decides nothing, so a failure is logged
    /// and stops nobody.
    pub fn replace(&self, document: &impl Serialize) {
        let written = serde_json::to_vec_pretty(document).map_err(std::io::Error::other).and_then(|bytes| {
            if let Some(folder) = self.path.parent() {
                fs::create_dir_all(folder)?;
            }
            let building = self.path.with_extension("tmp");
            fs::File::create(&building)?.write_all(&bytes)?;
            fs::rename(&building, &self.path)
        });
        if let Err(error) = written {
            tracing::warn!(path = %self.path.display(), %error, "cannot write the status file");
        }
    }
}
