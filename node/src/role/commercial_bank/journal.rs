//! The one way to disk: units of rows, written whole and in the order in which they were handed in.
//!
//! - What the database holds after a crash is what some number of first units left: memory never runs ahead of it by a gap.
//! - Units that wait together share one sync, so many payments cost one.
//! - Whoever tells someone else about a unit waits for it first ([`Durable::wait`]). After a failed write nothing is written
//!   any more and every wait fails: the desk stops.

use super::at_rest::AtRest;
use super::rows::{Meta, Table, decode, encode};
use ledger_store::{PrivateStore, StoreError};
use serde::Serialize;
use serde::de::DeserializeOwned;
use std::sync::Arc;
use tokio::sync::{mpsc, oneshot, watch};
use zeroize::Zeroizing;

/// Units of one sync: a few megabytes of rows at most.
const UNITS_PER_SYNC: usize = 2048;

/// Rows that are on disk together or not at all.
#[derive(Default)]
#[must_use = "nothing is written before it is handed to the journal"]
pub(crate) struct Unit {
    rows: Vec<Row>,
}

struct Row {
    table: Table,
    key: Vec<u8>,
    /// `None` deletes.
    value: Option<Zeroizing<Vec<u8>>>,
}

impl Unit {
    pub fn put(&mut self, table: Table, key: &[u8], value: &impl Serialize) {
        self.rows.push(Row { table, key: key.to_vec(), value: Some(encode(value)) });
    }

    pub fn put_meta(&mut self, row: Meta, value: &impl Serialize) {
        self.put(Table::Meta, &row.key(), value);
    }

    pub fn delete(&mut self, table: Table, key: &[u8]) {
        self.rows.push(Row { table, key: key.to_vec(), value: None });
    }

    /// What this unit leaves of a row; `None` if it does not touch it. What reads a row to change it asks here first: the database
    /// has it as it was before the unit.
    pub fn left<T: DeserializeOwned>(&self, table: Table, key: &[u8]) -> Option<Option<T>> {
        let row = self.rows.iter().rev().find(|row| row.table == table && row.key == key)?;
        Some(row.value.as_ref().map(|bytes| decode(bytes).expect("it was encoded from the same type")))
    }
}

/// The journal ended, by a failed write or because the desk stops. Nothing more may be said.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("the desk writes nothing any more")]
pub struct Stopped;

#[must_use = "nothing may be said before it is durable"]
pub(crate) struct Durable(oneshot::Receiver<()>);

impl Durable {
    pub async fn wait(self) -> Result<(), Stopped> {
        self.0.await.map_err(|_| Stopped)
    }
}

struct Entry {
    unit: Unit,
    done: oneshot::Sender<()>,
}

pub(crate) struct Journal {
    #[cfg(test)]
    killed: Arc<std::sync::atomic::AtomicBool>,
    units: Option<mpsc::UnboundedSender<Entry>>,
    thread: Option<std::thread::JoinHandle<()>>,
    failure: watch::Receiver<Option<String>>,
}

impl Journal {
    pub fn start(store: Arc<PrivateStore>, at_rest: Arc<AtRest>) -> std::io::Result<Self> {
        Self::start_with_end(store, at_rest, None)
    }

    /// Writes so many units and then no more, as if the process were killed there.
    #[cfg(test)]
    pub fn start_until_killed(store: Arc<PrivateStore>, at_rest: Arc<AtRest>, units: u64) -> std::io::Result<Self> {
        Self::start_with_end(store, at_rest, Some(units))
    }

    fn start_with_end(store: Arc<PrivateStore>, at_rest: Arc<AtRest>, end: Option<u64>) -> std::io::Result<Self> {
        let (units, queued) = mpsc::unbounded_channel();
        let (failed, failure) = watch::channel(None);
        let killed = Arc::new(std::sync::atomic::AtomicBool::new(false));
        let dead = killed.clone();
        let thread = std::thread::Builder::new().name("desk journal".into()).spawn(move || {
            if let Err(error) = write_all(&store, &at_rest, queued, end, &dead) {
                tracing::error!(%error, "the desk's database cannot be written");
                failed.send_replace(Some(error.to_string()));
            }
        })?;
        Ok(Journal {
            #[cfg(test)]
            killed,
            units: Some(units),
            thread: Some(thread),
            failure,
        })
    }

    /// Writes nothing more of what waits, as if the process were killed.
    #[cfg(test)]
    pub fn kill(&self) {
        self.killed.store(true, std::sync::atomic::Ordering::SeqCst);
        drop(self.write(Unit::default()));
    }

    /// In the order of the calls: callers that share state call it under their lock.
    pub fn write(&self, unit: Unit) -> Durable {
        let (done, waiting) = oneshot::channel();
        if let Some(units) = &self.units {
            // A stopped journal drops the entry, and the waiting end hears of it.
            let _ = units.send(Entry { unit, done });
        }
        Durable(waiting)
    }

    pub fn failure(&self) -> watch::Receiver<Option<String>> {
        self.failure.clone()
    }
}

impl Drop for Journal {
    fn drop(&mut self) {
        self.units = None;
        if let Some(thread) = self.thread.take() {
            let _ = thread.join();
        }
    }
}

fn write_all(
    store: &PrivateStore,
    at_rest: &AtRest,
    mut queued: mpsc::UnboundedReceiver<Entry>,
    end: Option<u64>,
    killed: &std::sync::atomic::AtomicBool,
) -> Result<(), StoreError> {
    let mut left = end.unwrap_or(u64::MAX);
    while let Some(first) = queued.blocking_recv() {
        let mut entries = vec![first];
        while entries.len() < UNITS_PER_SYNC {
            let Ok(next) = queued.try_recv() else { break };
            entries.push(next);
        }
        if killed.load(std::sync::atomic::Ordering::SeqCst) {
            return Ok(());
        }
        let ends = (entries.len() as u64) > left;
        entries.truncate(usize::try_from(left).unwrap_or(usize::MAX));
        left -= entries.len() as u64;
        let mut writes = store.writes();
        for row in entries.iter().flat_map(|entry| &entry.unit.rows) {
            let column = row.table.column();
            match &row.value {
                Some(value) => writes.put(&column, &row.key, &at_rest.seal(row.table.name(), &row.key, value))?,
                None => writes.delete(&column, &row.key),
            }
        }
        // A unit without rows only asks to be told when all before it are on disk.
        if writes.rows() > 0 {
            writes.commit()?;
        }
        for entry in entries {
            let _ = entry.done.send(());
        }
        if ends {
            return Ok(());
        }
    }
    Ok(())
}
