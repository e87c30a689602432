//! What one side knows of the runs so far: the last one of each bank, and every difference that is open. One JSON document,
//! replaced whole and synced, so that it survives a restart and people can read it.
//!
//! A difference keeps its id, its age and its muting while runs find it again; the run that does not find it any more closes it.
//! A run that fails closes nothing.

use super::words::{self, Fault, Registered};
use ledger_types::CoinId;
use ledger_types::reconciliation::{CoinAtSide, Difference, ReconciliationSide};
use node_api::SCHEMA_VERSION;
use node_api::reconciliation::{self as doc, Mute, Reconciliation, Run};
use std::io::Write;
use std::path::{Path, PathBuf};
use std::sync::{Mutex, MutexGuard};

const REASON_BYTES_MAX: usize = 200;

#[derive(Debug, thiserror::Error)]
pub enum FindingsError {
    #[error("{path}: {source}")]
    Io { path: PathBuf, source: std::io::Error },
    #[error("{path} is no document of reconciliation: {cause}")]
    Foreign { path: PathBuf, cause: String },
    #[error("no difference {0} is open")]
    Unknown(String),
    #[error("a reason has 1 to {REASON_BYTES_MAX} bytes")]
    Reason,
    #[error("that time has passed already")]
    Past,
}

impl FindingsError {
    /// As the interface refuses it.
    pub fn status_and_code(&self) -> (u16, &'static str) {
        match self {
            FindingsError::Io { .. } | FindingsError::Foreign { .. } => (500, "internal"),
            FindingsError::Unknown(_) => (404, "not_found"),
            FindingsError::Reason => (422, "bad_reason"),
            FindingsError::Past => (422, "time_has_passed"),
        }
    }
}

pub struct Findings {
    side: ReconciliationSide,
    path: PathBuf,
    document: Mutex<Reconciliation>,
}

/// A difference with what the registry says of its coin, if that was asked.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Found {
    pub difference: Difference,
    pub registered: Option<Registered>,
}

/// For alerts.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, serde::Serialize)]
pub struct Counts {
    pub open: u64,
    pub muted: u64,
    pub unnamed: u64,
    pub failed_runs: u64,
    /// Of the oldest of the last runs; zero when none was made.
    pub last_run_ms: u64,
}

impl Findings {
    /// Reads what an earlier life left.
    pub fn open(path: &Path, side: ReconciliationSide) -> Result<Self, FindingsError> {
        let mut document = match std::fs::read(path) {
            Ok(bytes) => serde_json::from_slice::<Reconciliation>(&bytes)
                .map_err(|error| FindingsError::Foreign { path: path.to_owned(), cause: error.to_string() })?,
            Err(error) if error.kind() == std::io::ErrorKind::NotFound => Reconciliation::default(),
            Err(source) => return Err(FindingsError::Io { path: path.to_owned(), source }),
        };
        document.schema_version = SCHEMA_VERSION;
        document.side = match side {
            ReconciliationSide::Bank => "bank".into(),
            ReconciliationSide::RegistrationCentre => "registration".into(),
        };
        Ok(Findings { side, path: path.to_owned(), document: Mutex::new(document) })
    }

    fn lock(&self) -> MutexGuard<'_, Reconciliation> {
        self.document.lock().expect("no holder of the findings panics")
    }

    pub fn document(&self) -> Reconciliation {
        self.lock().clone()
    }

    pub fn counts(&self, now_ms: u64) -> Counts {
        let document = self.lock();
        let muted = document.differences.iter().filter(|difference| difference.is_muted(now_ms)).count() as u64;
        Counts {
            open: document.differences.len() as u64 - muted,
            muted,
            unnamed: document.runs.iter().map(|run| run.unnamed).sum(),
            failed_runs: document.runs.iter().filter(|run| run.outcome == "failed").count() as u64,
            last_run_ms: document.runs.iter().map(|run| run.at_ms).min().unwrap_or(0),
        }
    }

    /// A run that compared: its differences take the place of the bank's earlier ones. Durable when it returns.
    pub fn take_run(&self, mut run: Run, found: &[Found]) -> Result<(), FindingsError> {
        let mut document = self.lock();
        run.outcome = if found.is_empty() && run.unnamed == 0 { "agreed" } else { "differ" }.into();
        let (of_bank, others): (Vec<_>, Vec<_>) =
            document.differences.drain(..).partition(|known| known.bank == run.bank);
        let show = |found: &Found| {
            let mut shown = self.shown(run.bank, run.height, run.at_ms, found);
            if let Some(before) = of_bank.iter().find(|before| before.id == shown.id) {
                shown.since_ms = before.since_ms;
                shown.muted = before.muted.clone();
                shown.repaired = before.repaired.clone();
            }
            shown
        };
        let differences: Vec<doc::Difference> = found.iter().map(show).collect();
        document.differences = others;
        document.differences.extend(differences);
        put_run(&mut document, run);
        self.write(&document)
    }

    /// A run that could not compare.
    pub fn take_failure(&self, bank: u16, at_ms: u64, failure: String) -> Result<(), FindingsError> {
        let mut document = self.lock();
        put_run(&mut document, Run { bank, at_ms, outcome: "failed".into(), failure: Some(failure), ..Run::default() });
        self.write(&document)
    }

    pub fn find(&self, id: &str) -> Result<doc::Difference, FindingsError> {
        let document = self.lock();
        let found = document.differences.iter().find(|difference| difference.id == id);
        found.cloned().ok_or_else(|| FindingsError::Unknown(id.to_owned()))
    }

    fn change(&self, id: &str, change: impl FnOnce(&mut doc::Difference)) -> Result<(), FindingsError> {
        let mut document = self.lock();
        let found = document.differences.iter_mut().find(|difference| difference.id == id);
        change(found.ok_or_else(|| FindingsError::Unknown(id.to_owned()))?);
        self.write(&document)
    }

    pub fn mute(&self, id: &str, mute: Mute, now_ms: u64) -> Result<(), FindingsError> {
        if mute.reason.trim().is_empty() || mute.reason.len() > REASON_BYTES_MAX {
            return Err(FindingsError::Reason);
        }
        if mute.until_ms.is_some_and(|until_ms| until_ms <= now_ms) {
            return Err(FindingsError::Past);
        }
        let muted = doc::Muted { reason: mute.reason, at_ms: now_ms, until_ms: mute.until_ms };
        self.change(id, |difference| difference.muted = Some(muted))
    }

    pub fn unmute(&self, id: &str) -> Result<(), FindingsError> {
        self.change(id, |difference| difference.muted = None)
    }

    pub fn note_repair(&self, id: &str, now_ms: u64, what: String) -> Result<(), FindingsError> {
        self.change(id, |difference| difference.repaired = Some(doc::Repaired { at_ms: now_ms, what }))
    }

    fn shown(&self, bank: u16, height: u64, at_ms: u64, found: &Found) -> doc::Difference {
        let Found { difference, registered } = found;
        let side = |at: &CoinAtSide| doc::Side { status: words::status(at.status).into(), tag: at.tag.to_string() };
        let registry = registered.map(|registered| match registered {
            Registered::Absent => doc::Registry { status: "absent".into(), tag: None },
            Registered::Record { status, tag } => {
                doc::Registry { status: words::record_status(status).into(), tag: Some(tag.to_string()) }
            }
        });
        let at_fault = match words::fault(difference, *registered) {
            Fault::Bank => "bank",
            Fault::Centre => "registration",
            Fault::Unknown => "unknown",
        };
        doc::Difference {
            id: difference_id(bank, difference),
            bank,
            kind: words::kind(difference.kind).into(),
            coin: difference.coin.to_string(),
            at_bank: difference.at_bank.as_ref().map(side),
            at_centre: difference.at_centre.as_ref().map(side),
            registry,
            made_by: difference.made_by.map(|envelope| envelope.to_string()),
            at_fault: at_fault.into(),
            explanation: words::explanation(difference, *registered),
            repair: words::repair(self.side, difference, *registered).map(|repair| repair.name().to_owned()),
            since_ms: at_ms,
            height,
            muted: None,
            repaired: None,
        }
    }

    /// A reader sees the old document or the new one, and what was said to be known is known after a crash.
    fn write(&self, document: &Reconciliation) -> Result<(), FindingsError> {
        let failed = |source| FindingsError::Io { path: self.path.clone(), source };
        let bytes = serde_json::to_vec_pretty(document).map_err(|error| failed(std::io::Error::other(error)))?;
        let folder = self.path.parent().unwrap_or(Path::new("."));
        std::fs::create_dir_all(folder).map_err(failed)?;
        let building = self.path.with_extension("tmp");
        let mut file = std::fs::File::create(&building).map_err(failed)?;
        file.write_all(&bytes).and_then(|()| file.sync_all()).map_err(failed)?;
        std::fs::rename(&building, &self.path).map_err(failed)?;
        std::fs::File::open(folder).and_then(|folder| folder.sync_all()).map_err(failed)
    }
}

fn put_run(document: &mut Reconciliation, run: Run) {
    document.runs.retain(|before| before.bank != run.bank);
    document.runs.push(run);
    document.runs.sort_by_key(|run| run.bank);
}

/// Short enough to type; both sides give the same.
pub fn difference_id(bank: u16, difference: &Difference) -> String {
    let Difference { kind, coin, .. } = difference;
    let bytes = [&bank.to_le_bytes()[..], &[kind.number()], &coin.0].concat();
    hex::encode(&blake3::derive_key("assay reconciliation difference id v1", &bytes)[..6])
}

/// The coin of a difference as it is shown.
pub fn shown_coin(difference: &doc::Difference) -> Option<CoinId> {
    CoinId::parse(&difference.coin).ok()
}

#[cfg(test)]
mod tests {
    use super::*;
    use ledger_types::OwnerTag;
    use ledger_types::coin::CoinStatus;
    use ledger_types::reconciliation::DifferenceKind;

    fn found(coin: u8) -> Found {
        let at_centre = Some(CoinAtSide { status: CoinStatus::Live, tag: OwnerTag([1; 32]) });
        let (kind, coin) = (DifferenceKind::Missing, CoinId([coin; 32]));
        Found { difference: Difference { kind, coin, at_bank: None, at_centre, made_by: None }, registered: None }
    }

    fn run(bank: u16, at_ms: u64) -> Run {
        Run { bank, at_ms, height: at_ms / 10, ..Run::default() }
    }

    fn mute(reason: &str, until_ms: Option<u64>) -> Mute {
        Mute { reason: reason.into(), until_ms }
    }

    #[test]
    fn a_difference_keeps_its_age_and_its_muting_over_runs_and_restarts_until_a_run_does_not_find_it() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("state/reconciliation.json");
        let open = || Findings::open(&path, ReconciliationSide::Bank).unwrap();
        let findings = open();
        findings.take_run(run(2, 100), &[found(1), found(2)]).unwrap();
        findings.take_run(run(3, 100), &[found(1)]).unwrap();
        let id = findings.document().differences[0].id.clone();
        findings.mute(&id, mute("known since Monday", None), 150).unwrap();
        drop(findings);
        let findings = open();
        findings.take_run(run(2, 200), &[found(1)]).unwrap();
        findings.take_failure(3, 200, "no answer".into()).unwrap();
        drop(findings);
        let findings = open();
        let again = findings.find(&id).unwrap();
        assert_eq!((again.since_ms, again.height), (100, 20));
        assert_eq!(again.muted.unwrap().reason, "known since Monday");
        let counts = findings.counts(300);
        assert_eq!((counts.open, counts.muted, counts.failed_runs), (1, 1, 1), "a failed run closes nothing");
        findings.take_run(run(2, 300), &[]).unwrap();
        assert!(matches!(findings.find(&id), Err(FindingsError::Unknown(_))));
        assert_eq!(findings.document().runs[0].outcome, "agreed");
    }

    #[test]
    fn a_muting_ends_at_its_time_and_needs_a_reason() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("reconciliation.json");
        let findings = Findings::open(&path, ReconciliationSide::Bank).unwrap();
        findings.take_run(run(2, 100), &[found(1)]).unwrap();
        let id = findings.document().differences[0].id.clone();
        assert!(matches!(findings.mute(&id, mute(" ", None), 100), Err(FindingsError::Reason)));
        assert!(matches!(findings.mute(&id, mute("why", Some(100)), 100), Err(FindingsError::Past)));
        findings.mute(&id, mute("why", Some(200)), 100).unwrap();
        assert_eq!((findings.counts(199).muted, findings.counts(199).open), (1, 0));
        assert_eq!((findings.counts(200).muted, findings.counts(200).open), (0, 1));
        findings.unmute(&id).unwrap();
        assert_eq!(findings.find(&id).unwrap().muted, None);
    }

    #[test]
    fn a_document_that_does_not_read_is_an_error_and_is_not_overwritten() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("reconciliation.json");
        std::fs::write(&path, "{").unwrap();
        assert!(matches!(Findings::open(&path, ReconciliationSide::Bank), Err(FindingsError::Foreign { .. })));
        assert_eq!(std::fs::read(&path).unwrap(), b"{");
    }
}
