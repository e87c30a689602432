//! The copy within the state's folder: made in an instant by whoever has the databases open, read at leisure by `backup`.

use ledger_store::{OpenError, PrivateStore, Store};
use ledger_types::Height;
use std::fs;
use std::io::ErrorKind;
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex};

pub const LEDGER: &str = "ledger";
pub const DESK: &str = "desk";

/// Where it lies; beside what it shares its files with.
pub fn place(state: &Path) -> PathBuf {
    state.join("copy")
}

/// Takes away what an earlier backup left.
pub fn remove(state: &Path) -> std::io::Result<()> {
    match fs::remove_dir_all(place(state)) {
        Err(error) if error.kind() != ErrorKind::NotFound => Err(error),
        _ => Ok(()),
    }
}

/// The databases of a process, for copies.
pub struct Sources {
    pub state: PathBuf,
    pub store: Arc<Store>,
    pub desk: Option<Arc<PrivateStore>>,
    /// One copy at a time.
    pub making: Mutex<()>,
}

impl Sources {
    /// In place of an earlier copy.
    pub fn copy(&self) -> Result<Height, OpenError> {
        let _one = self.making.lock().expect("no holder of this lock panics");
        let place = place(&self.state);
        let io = |what| move |source| OpenError::Io { path: self.state.join("copy"), what, source };
        remove(&self.state).map_err(io("an earlier copy cannot be removed"))?;
        fs::create_dir(&place).map_err(io("the folder of the copy cannot be created"))?;
        // The desk first: it never stands at a height that the ledger beside it has not reached.
        if let Some(desk) = &self.desk {
            desk.copy_to(&place.join(DESK))?;
        }
        self.store.copy_to(&place.join(LEDGER))
    }
}
