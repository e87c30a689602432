//! Registration: opens exactly what was ordered, checks it, and books it in the central bank's private accounts (rules R).
//!
//! ```text
//! validator ──blocks──▶ blocks (proved) ─┐
//!                                        ├─▶ registrar: judge ─▶ accounts + outbox, one batch ─▶ spool
//! banks ─────keys─────▶ follow ──────────┘        └─▶ ack to the bank
//!       ◀──reconcile──▶ reconciling ◀── books: the accounts as of one height
//! ```
//! What stays true here:
//! - The process listens on nothing: it dials its validator for blocks and the banks for keys. Its operator hands it requests
//!   of the officers in a folder of its own.
//! - What is booked is sealed to the officers: this process cannot open it again (R-4).
//! - A key is used only for the envelope whose commitment it matches; a bank is told that its key may go only after what it
//!   opened is durable.
//! - A payment that fails a check is disputed with the check's number; none is dropped.
//!
//! Left to others: saying anything in public (`role::confirmation_issuance`, another process under another user).

pub mod blocks;
pub mod rows;
pub(crate) mod trust;

mod accounts;
mod books;
mod early;
mod judge;
mod loans;
mod recent;
mod registrar;
mod requests;

pub(crate) mod follow;
pub(crate) mod reconciling;

pub use registrar::{Clock, Progress, Registrar, RegistrarConfig, Taken};

use crate::config::Config;
use crate::keys::{KeyError, KeyFolder, passphrase};
use crate::link::{LinkStartError, Links, NoService};
use crate::outbox::{SpoolError, StatusFile, no_failpoint};
use crate::own_keys::{KeyRefused, OwnKeys};
use crate::reconciliation::findings::{Counts, Findings};
use ledger_seal::{DisclosureKey, DisclosureKeyDocument};
use ledger_state::Rules;
use ledger_types::{CoinId, Decode, EnvelopeId, Height, ObligationId, ParticipantNumber};
use ledger_verify::Trust;
use node_api::regulator::DISCLOSURE_KEY_FILE;
use serde::Serialize;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;
use tokio::sync::watch;

/// The chain that we follow contradicts what we know: stop before anything more is confirmed.
#[derive(Debug, thiserror::Error)]
pub enum Alarm {
    /// Cannot be: the ledger lets only live coins be spent, and only our confirmations make a coin live.
    #[error("envelope {envelope} was accepted, but this registration never confirmed its input {coin}")]
    InputNotConfirmed { envelope: EnvelopeId, coin: CoinId },
    /// Cannot be: an obligation is made by an activation, and every one of those is noted.
    #[error("envelope {envelope} was accepted, but this registration never saw the loan {obligation} that it returns")]
    LoanNotSeen { envelope: EnvelopeId, obligation: ObligationId },
    /// Cannot be: our own validator has executed the height and holds its certificate.
    #[error("height {height} as our validator tells it is not proved: {fault}")]
    Block { height: Height, fault: blocks::BlockFault },
}

#[derive(Debug, thiserror::Error)]
pub enum RegistrationError {
    #[error("alarm: {0}")]
    Alarm(#[from] Alarm),
    #[error(transparent)]
    Key(#[from] KeyError),
    #[error("cannot read the genesis {path}: {source}")]
    GenesisFile { path: PathBuf, source: std::io::Error },
    #[error("cannot read the officers' disclosure key {path}: {source}")]
    OfficersKeyFile { path: PathBuf, source: std::io::Error },
    #[error("the officers' disclosure key {path} does not decode: {source}")]
    OfficersKey { path: PathBuf, source: ledger_types::DecodeError },
    #[error("the officers' disclosure key is refused: {0}")]
    OfficersKeyRefused(#[from] ledger_seal::KeyRefused),
    #[error("cannot use the folder of requests {path}: {source}")]
    RequestFolder { path: PathBuf, source: std::io::Error },
    #[error("the genesis is not sound: {0}")]
    Genesis(#[from] ledger_types::genesis::GenesisError),
    #[error(transparent)]
    KeyRefused(#[from] KeyRefused),
    #[error("registration's database: {0}. {hint}", hint = .0.hint())]
    Open(#[from] ledger_store::OpenError),
    #[error(transparent)]
    Store(#[from] ledger_store::StoreError),
    #[error("{0} in registration's database does not open under this storage key")]
    Unreadable(&'static str),
    #[error(transparent)]
    Spool(#[from] SpoolError),
    #[error(transparent)]
    Links(#[from] LinkStartError),
    #[error("what reconciliation found: {0}")]
    Findings(#[from] crate::reconciliation::findings::FindingsError),
    #[error("participant {0} answered with releases out of order")]
    ReleasesOutOfOrder(ParticipantNumber),
    #[error("stopped at {0}")]
    Failpoint(&'static str),
}

/// `status.json`
#[derive(Serialize)]
struct Status<'a> {
    schema_version: u32,
    role: &'static str,
    updated_ms: u64,
    #[serde(flatten)]
    progress: &'a Progress,
    /// Since the last height or release was booked.
    idle_ms: u64,
    reconciliation: Counts,
    alarm: Option<String>,
}

const STATUS_EVERY: Duration = Duration::from_secs(1);
const LOG_EVERY: Duration = Duration::from_secs(10);

/// Runs until told to stop, or until something fails.
pub async fn run(config: Config, stop: watch::Receiver<bool>) -> Result<(), RegistrationError> {
    let document = std::fs::read(&config.genesis)
        .map_err(|source| RegistrationError::GenesisFile { path: config.genesis.clone(), source })?;
    let trust = Trust::from_genesis(&document)?;
    let rules = Rules::new(trust.genesis().clone());
    let officers = officers_key(&rules, &config.genesis)?;
    let requests = requests::RequestFolder::open(&config.state)?;
    let keys = KeyFolder::new(&config.keys, passphrase(config.passphrase_file.as_deref())?);
    let (storage, outbox_key) = (keys.secret("storage")?, keys.secret("outbox")?);
    tracing::info!(role = "registration", genesis = %rules.chain.genesis_hash(), "starting");

    let state = config.state.clone();
    let outbox = config.upstream.as_ref().expect("Config::check asks for it").outbox.clone();
    let opened = tokio::task::spawn_blocking(move || {
        let config = RegistrarConfig {
            database: &state.join("registration"),
            outbox: &outbox,
            officers,
            storage_secret: &storage,
            outbox_secret: &outbox_key,
            clock: Arc::new(crate::clock::now_ms),
            failpoint: no_failpoint(),
        };
        Registrar::open(rules, config)
    });
    let registrar = opened.await.expect("opening a database does not panic")?;
    let network = config.link.as_ref().expect("Config::check asks for it");
    // As far as the chain is followed here: officers may have rotated links' keys since the genesis (decision 069).
    let (directory, height) = (registrar.directory(), Height(registrar.progress().height));
    let own = OwnKeys::of_registration(&keys, directory.central_bank().number)?;
    own.check(&trust.genesis().directory, &directory, height, &config.returned_keys)?;
    let link_key = keys.signing_key("registration-link")?;
    drop(keys);
    let links = Links::start(network, &link_key, &directory, Arc::new(NoService)).await?;

    let (progress, watched) = watch::channel(registrar.progress().clone());
    let chain_trust = registrar.trust().clone();
    let status = StatusFile::new(&config.state);
    let (findings, for_reconciliation) = reconciling::folders(&config.state)?;
    let reconciling = reconciling::Reconciling {
        key: link_key,
        findings: findings.clone(),
        requests: for_reconciliation,
        every: Duration::from_secs(config.reconciliation.every_s.get()),
        trust: chain_trust,
        validator: config.me(),
    };
    let follow = follow::follow(registrar, links, requests, progress, reconciling, stop);
    tokio::pin!(follow);
    let mut tell = Teller {
        status,
        findings,
        watched,
        booked_at: tokio::time::Instant::now(),
        logged_at: tokio::time::Instant::now(),
    };
    let mut ticks = tokio::time::interval(STATUS_EVERY);
    let outcome = loop {
        tokio::select! {
            outcome = &mut follow => break outcome,
            _ = ticks.tick() => tell.tell(None),
        }
    };
    tell.tell(outcome.as_ref().err().map(ToString::to_string));
    outcome
}

/// The document of the officers' key ceremony lies beside the genesis.
fn officers_key(rules: &Rules, genesis: &Path) -> Result<DisclosureKey, RegistrationError> {
    let path = genesis.with_file_name(DISCLOSURE_KEY_FILE);
    let bytes =
        std::fs::read(&path).map_err(|source| RegistrationError::OfficersKeyFile { path: path.clone(), source })?;
    let document = DisclosureKeyDocument::from_bytes(&bytes)
        .map_err(|source| RegistrationError::OfficersKey { path: path.clone(), source })?;
    Ok(DisclosureKey::check(&rules.genesis, &document)?)
}

/// Health is progress: a height that grows, waiting keys that shrink.
struct Teller {
    status: StatusFile,
    findings: Arc<Findings>,
    watched: watch::Receiver<Progress>,
    booked_at: tokio::time::Instant,
    logged_at: tokio::time::Instant,
}

impl Teller {
    fn tell(&mut self, alarm: Option<String>) {
        if self.watched.has_changed().unwrap_or(false) {
            self.booked_at = tokio::time::Instant::now();
        }
        let progress = self.watched.borrow_and_update().clone();
        if self.logged_at.elapsed() >= LOG_EVERY && self.booked_at.elapsed() < LOG_EVERY {
            self.logged_at = tokio::time::Instant::now();
            tracing::info!(
                height = progress.height,
                waiting = progress.waiting,
                overdue = progress.overdue,
                confirmed = progress.confirmed,
                disputed = progress.disputed,
                outbox = progress.outbox_sequence,
                "registered"
            );
        }
        let idle_ms = u64::try_from(self.booked_at.elapsed().as_millis()).unwrap_or(u64::MAX);
        self.status.replace(&Status {
            schema_version: 1,
            role: "registration",
            updated_ms: crate::clock::now_ms(),
            progress: &progress,
            idle_ms,
            reconciliation: self.findings.counts(crate::clock::now_ms()),
            alarm,
        });
    }
}
