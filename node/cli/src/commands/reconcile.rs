//! What reconciliation found at a bank, or at registration; muting and repairing it.
//!
//! A bank's node is asked over HTTP. Registration listens on nothing: its document is read and its requests are left in its own
//! folder, so that takes the rights of its user.

use super::{table, time};
use crate::Global;
use crate::cluster::{Cluster, Process, client, now_ms};
use crate::outcome::{Exit, Failure, Outcome};
use node_api::Client;
use node_api::reconciliation::{Difference, Mute, Reconciliation, Reply, Request};
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

/// Longer than a run that waits for an idle chain's next height.
const ANSWER_WITHIN: Duration = Duration::from_secs(300);
const POLL: Duration = Duration::from_millis(100);

#[derive(clap::Args)]
pub struct Reconcile {
    #[command(subcommand)]
    action: Option<Action>,
}

#[derive(clap::Subcommand)]
enum Action {
    /// Compare now (registration asks the banks: --as registration).
    Run,
    /// A difference stays counted and shown, and alerts nobody.
    Mute {
        /// The difference's id.
        id: String,
        /// Why: shown with it.
        #[arg(long)]
        reason: String,
        /// When it counts again: 2026-08-01T00:00:00Z, or a number of hours such as 48h.
        #[arg(long)]
        until: Option<String>,
    },
    /// It counts again.
    Unmute { id: String },
    /// Run the repair that is offered for a difference.
    Repair { id: String },
}

/// Whose findings.
enum Place {
    Bank(Client),
    Registration(PathBuf),
}

impl Reconcile {
    pub async fn run(self, global: &Global) -> Result<Outcome, Failure> {
        let place = Place::find(global)?;
        let (found, done) = match self.action {
            None => (place.show().await?, None),
            Some(Action::Run) => (place.run_now().await?, Some("compared".to_owned())),
            Some(Action::Mute { id, reason, until }) => {
                let until_ms = until.as_deref().map(parse_until).transpose()?;
                let done = format!("{id} is muted");
                (place.mute(&id, Mute { reason, until_ms }).await?, Some(done))
            }
            Some(Action::Unmute { id }) => (place.unmute(&id).await?, Some(format!("{id} counts again"))),
            Some(Action::Repair { id }) => {
                let found = place.repair(&id).await?;
                let repaired = found.differences.iter().find(|difference| difference.id == id);
                let what = repaired.and_then(|difference| Some(difference.repaired.as_ref()?.what.clone()));
                (found, Some(what.unwrap_or_default()))
            }
        };
        let text = [done.unwrap_or_default(), shown(&found)].join("\n");
        Ok(Outcome::new(found, text.trim_start()))
    }
}

impl Place {
    fn find(global: &Global) -> Result<Place, Failure> {
        if global.api.is_none() {
            let cluster = Cluster::find(global)?;
            let named = match &global.node {
                Some(name) => cluster.any_process(name)?,
                None => cluster.any_process("registration")?,
            };
            if named.role == "registration" {
                return Ok(Place::Registration(state_folder(named)));
            }
        }
        Ok(Place::Bank(client(global, "commercial_bank")?))
    }

    async fn show(&self) -> Result<Reconciliation, Failure> {
        match self {
            Place::Bank(bank) => Ok(bank.get("/v1/reconciliation").await?),
            Place::Registration(state) => read_document(&state.join("reconciliation.json")),
        }
    }

    async fn run_now(&self) -> Result<Reconciliation, Failure> {
        match self {
            Place::Bank(_) => Err(Failure::new(
                Exit::Usage,
                "registration_asks",
                "a bank is asked by the registration centre and cannot start a run",
            )
            .with_help("assay reconcile run --as registration")),
            Place::Registration(state) => ask(state, &Request::Run).await,
        }
    }

    async fn mute(&self, id: &str, mute: Mute) -> Result<Reconciliation, Failure> {
        match self {
            Place::Bank(bank) => Ok(bank.post(&difference(id, "mute")?, &mute).await?),
            Place::Registration(state) => ask(state, &Request::Mute { id: id.to_owned(), mute }).await,
        }
    }

    async fn unmute(&self, id: &str) -> Result<Reconciliation, Failure> {
        match self {
            Place::Bank(bank) => Ok(bank.post(&difference(id, "unmute")?, &()).await?),
            Place::Registration(state) => ask(state, &Request::Unmute { id: id.to_owned() }).await,
        }
    }

    async fn repair(&self, id: &str) -> Result<Reconciliation, Failure> {
        match self {
            Place::Bank(bank) => Ok(bank.post(&difference(id, "repair")?, &()).await?),
            Place::Registration(state) => ask(state, &Request::Repair { id: id.to_owned() }).await,
        }
    }
}

fn state_folder(process: &Process) -> PathBuf {
    process.folder.join("state")
}

fn difference(id: &str, action: &str) -> Result<String, Failure> {
    if id.is_empty() || !id.bytes().all(|byte| byte.is_ascii_hexdigit()) {
        return Err(Failure::usage(format!("{id} is no difference's id: assay reconcile lists them")));
    }
    Ok(format!("/v1/reconciliation/differences/{id}/{action}"))
}

fn read_document(path: &Path) -> Result<Reconciliation, Failure> {
    match std::fs::read(path) {
        Ok(bytes) => serde_json::from_slice(&bytes).map_err(|error| Failure::file(path, error)),
        // No run was made yet.
        Err(error) if error.kind() == std::io::ErrorKind::NotFound => Ok(Reconciliation {
            schema_version: node_api::SCHEMA_VERSION,
            side: "registration".into(),
            ..Reconciliation::default()
        }),
        Err(error) => Err(Failure::file(path, error)),
    }
}

/// Leaves a request where registration finds it, and waits for the answer beside it.
async fn ask(state: &Path, request: &Request) -> Result<Reconciliation, Failure> {
    let folder = state.join("reconciliation-requests");
    let name = format!("{}-{}", now_ms(), std::process::id());
    let (building, path) = (folder.join(format!("{name}.new")), folder.join(format!("{name}.json")));
    let answer = folder.join(format!("{name}.answer"));
    let bytes = serde_json::to_vec(request).expect("a request is plain JSON");
    std::fs::write(&building, bytes).map_err(|error| Failure::file(&building, error))?;
    std::fs::rename(&building, &path).map_err(|error| Failure::file(&path, error))?;
    let deadline = Instant::now() + ANSWER_WITHIN;
    let bytes = loop {
        match std::fs::read(&answer) {
            Ok(bytes) => break bytes,
            Err(error) if error.kind() == std::io::ErrorKind::NotFound && Instant::now() < deadline => {
                tokio::time::sleep(POLL).await;
            }
            Err(error) if error.kind() == std::io::ErrorKind::NotFound => {
                let _ = std::fs::remove_file(&path);
                return Err(Failure::network("timed_out", "registration does not answer: is it running?"));
            }
            Err(error) => return Err(Failure::file(&answer, error)),
        }
    };
    let _ = std::fs::remove_file(&answer);
    match serde_json::from_slice(&bytes).map_err(|error| Failure::file(&answer, error))? {
        Reply::Done(found) => Ok(found),
        Reply::Refused(problem) => Err(problem.into()),
    }
}

fn parse_until(text: &str) -> Result<u64, Failure> {
    if let Some(hours) = text.strip_suffix('h').and_then(|hours| hours.parse::<u64>().ok()) {
        return Ok(now_ms().saturating_add(hours.saturating_mul(3_600_000)));
    }
    let time: jiff::Timestamp = text.parse().map_err(|error| {
        Failure::usage(format!("{text} is no time: {error}")).with_help("such as 2026-08-01T00:00:00Z, or 48h")
    })?;
    u64::try_from(time.as_millisecond()).map_err(|_| Failure::usage(format!("{text} is before 1970")))
}

fn shown(found: &Reconciliation) -> String {
    if found.runs.is_empty() {
        return "no run was made yet".to_owned();
    }
    let runs = found.runs.iter().map(|run| {
        let counts: Vec<String> = run
            .sets
            .iter()
            .filter(|set| set.at_bank + set.at_centre > 0)
            .map(|set| format!("{} {}/{}", set.status, set.at_bank, set.at_centre))
            .collect();
        let as_of = if run.height == 0 { String::new() } else { format!("height {}, batch {}", run.height, run.batch) };
        let outcome = match &run.failure {
            Some(why) => format!("{}: {why}", run.outcome),
            None if run.unnamed > 0 => format!("{} (and more than are named)", run.outcome),
            None => run.outcome.clone(),
        };
        vec![run.bank.to_string(), time(run.at_ms), as_of, counts.join(", "), outcome]
    });
    let runs = table(&["bank", "run", "as of", "coins at bank/centre", "outcome"], &runs.collect::<Vec<_>>());
    let now_ms = now_ms();
    let muted = found.differences.iter().filter(|difference| difference.is_muted(now_ms)).count();
    let lines: Vec<String> =
        found.differences.iter().map(|difference| line(difference, difference.is_muted(now_ms))).collect();
    let counted = match found.differences.len() {
        0 => "no difference is open".to_owned(),
        all => format!("{} differences are open, {muted} muted beside them", all - muted),
    };
    [vec![runs, String::new(), counted], lines].concat().join("\n")
}

fn line(difference: &Difference, is_muted: bool) -> String {
    let mut text = format!(
        "\n{}  {}{}  bank {}  since {}\n  {}\n  {}",
        difference.id,
        difference.kind.replace('_', " "),
        if is_muted { " (muted)" } else { "" },
        difference.bank,
        time(difference.since_ms),
        difference.coin,
        difference.explanation,
    );
    if let Some(muted) = difference.muted.as_ref().filter(|_| is_muted) {
        let until = muted.until_ms.map(|until_ms| format!(" until {}", time(until_ms))).unwrap_or_default();
        text.push_str(&format!("\n  muted{until}: {}", muted.reason));
    }
    match (&difference.repaired, &difference.repair) {
        (Some(repaired), _) => {
            text.push_str(&format!("\n  repaired {}: {}; the next run shows it", time(repaired.at_ms), repaired.what));
        }
        (None, Some(repair)) => {
            text.push_str(&format!("\n  repair ({repair}): assay reconcile repair {}", difference.id));
        }
        (None, None) => {}
    }
    text
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_time_is_a_date_or_a_number_of_hours() {
        assert_eq!(parse_until("1970-01-01T00:00:01Z").unwrap(), 1_000);
        assert!(parse_until("48h").unwrap() > now_ms() + 47 * 3_600_000);
        for wrong in ["soon", "h", "-3h", "1969-01-01T00:00:00Z"] {
            assert!(parse_until(wrong).is_err(), "{wrong}");
        }
    }

    #[test]
    fn a_muted_difference_is_shown_with_its_reason_and_not_counted_as_open() {
        let difference = Difference {
            id: "0a1b2c".into(),
            bank: 2,
            kind: "wrong_state".into(),
            repair: Some("mend_book".into()),
            muted: Some(node_api::reconciliation::Muted { reason: "being looked at".into(), at_ms: 1, until_ms: None }),
            ..Difference::default()
        };
        let open = Difference { id: "ff".into(), muted: None, ..difference.clone() };
        let run = node_api::reconciliation::Run { bank: 2, outcome: "differ".into(), ..Default::default() };
        let found =
            Reconciliation { runs: vec![run], differences: vec![difference, open], ..Reconciliation::default() };
        let text = shown(&found);
        assert!(text.contains("1 differences are open, 1 muted beside them"), "{text}");
        assert!(text.contains("muted: being looked at") && text.contains("assay reconcile repair ff"), "{text}");
    }
}
