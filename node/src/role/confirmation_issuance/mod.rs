//! Confirmation issuance: says in public what registration has found, and nothing more of it (R-2, R-3).
//!
//! ```text
//! spool ─▶ gather ─▶ form: owner tags, one signed batch ─▶ persist ─▶ submit, again and again ─▶ the registry shows it ─▶ cursor
//! ```
//! What stays true here:
//! - Only this process has the registration key, and of an owner only the blinded tag leaves it.
//! - A batch is on disk before it is submitted, and number k is never signed with a second content: what is submitted again is
//!   the same to the byte, but for the signatures when the registration key was replaced.
//! - Each entry of the outbox is in exactly one batch, and batches follow the order of the entries: the cursor moves only with a
//!   batch that the registry shows.
//! - Whatever contradicts that is an alarm, and stops the process.

mod batch;
mod issuer;
mod registry;
mod submit;

pub use issuer::{Issuer, IssuerConfig, RELEASE_AFTER, Standing};
pub use registry::{Registry, RegistryError, RegistryTip, Verdict};
pub use submit::{Patience, issue};

use crate::config::Config;
use crate::keys::{KeyError, KeyFolder, passphrase};
use crate::outbox::{SpoolError, StatusFile, no_failpoint};
use ledger_state::Rules;
use ledger_types::genesis::Genesis;
use ledger_types::rejection::Rejection;
use ledger_types::{BatchNumber, EnvelopeId};
use serde::Serialize;
use std::path::PathBuf;
use tokio::sync::watch;

/// R-3: an invariant broke. Confirmation stops until a person has looked.
#[derive(Debug, PartialEq, Eq, thiserror::Error)]
pub enum Alarm {
    /// Cannot be: whoever signs batch k has persisted it first, and only this process signs.
    #[error("the registry holds batch {0} with another content than the one that was signed here")]
    OtherContent(BatchNumber),
    /// Cannot be, while the registration key is in one place and this folder is the newest.
    #[error(
        "the registry holds batch {found}, the last one signed here is {signed}: is the key, or an old copy of this folder, in use elsewhere?"
    )]
    ForeignBatch { found: BatchNumber, signed: BatchNumber },
    /// Cannot be, while registration's database is the newest: it books an entry once, and a number means it for ever.
    #[error(
        "entry {sequence} of the outbox, or one before it, comes again with another content: was registration restored from a backup?"
    )]
    EntryRewritten { sequence: u64 },
    /// Cannot be: a batch is formed by the rules by which the ledger takes it.
    #[error("the ledger refused batch {number}: {rejection}")]
    Refused { number: BatchNumber, rejection: Rejection },
    #[error("the ledger refused batch {number} with the unknown rejection {code}")]
    RefusedUnknown { number: BatchNumber, code: u16 },
    /// Cannot be within the genesis limits of a chain that pays.
    #[error("envelope {envelope} makes {records} records, a batch holds {records_max}")]
    EnvelopeTooLarge { envelope: EnvelopeId, records: usize, records_max: usize },
}

#[derive(Debug, thiserror::Error)]
pub enum IssuanceError {
    #[error("alarm: {0}")]
    Alarm(#[from] Alarm),
    #[error(transparent)]
    Key(#[from] KeyError),
    #[error("cannot read the genesis {path}: {source}")]
    GenesisFile { path: PathBuf, source: std::io::Error },
    #[error("the genesis is not sound: {0}")]
    Genesis(#[from] ledger_types::genesis::GenesisError),
    #[error("confirmation issuance's database: {0}. {hint}", hint = .0.hint())]
    Open(#[from] ledger_store::OpenError),
    #[error(transparent)]
    Store(#[from] ledger_store::StoreError),
    #[error(transparent)]
    Spool(#[from] SpoolError),
    #[error("a batch cannot be bundled: {0}")]
    Bundle(#[from] ledger_types::bundle::BundleError),
    #[error("stopped at {0}")]
    Failpoint(&'static str),
}

/// `status.json`
#[derive(Serialize)]
struct Status {
    schema_version: u32,
    role: &'static str,
    updated_ms: u64,
    /// The last batch that the registry shows.
    batch: u64,
    /// A batch that is signed and not shown yet.
    pending_batch: Option<u64>,
    /// Entries gathered and not in a batch yet.
    backlog: u64,
    outbox_sequence: u64,
    /// Why the validator cannot be asked, if so.
    waiting_for: Option<String>,
    alarm: Option<String>,
}

/// What operators see.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Progress {
    pub batch: u64,
    pub pending_batch: Option<u64>,
    pub backlog: u64,
    pub outbox_sequence: u64,
    pub waiting_for: Option<String>,
}

/// Runs until told to stop, or until something fails.
pub async fn run(config: Config, stop: watch::Receiver<bool>) -> Result<(), IssuanceError> {
    let document = std::fs::read(&config.genesis)
        .map_err(|source| IssuanceError::GenesisFile { path: config.genesis.clone(), source })?;
    let rules = Rules::new(Genesis::parse(&document)?);
    let keys = KeyFolder::new(&config.keys, passphrase(config.passphrase_file.as_deref())?);
    let key = keys.signing_key("registration")?;
    if key.public_key() != rules.genesis.directory.central_bank_keys().registration {
        // The validator knows the directory of now, and takes no bundle under a wrong key.
        tracing::warn!("the key file registration is not the genesis's: right only if officers have rotated it");
    }
    let outbox_secret = keys.secret("outbox")?;
    drop(keys);
    let upstream = config.upstream.clone().expect("Config::check asks for it");
    tracing::info!(role = "confirmation issuance", genesis = %rules.chain.genesis_hash(), "starting");
    let issuer = Issuer::open(IssuerConfig {
        rules: &rules,
        database: &config.state.join("confirmation-issuance"),
        outbox: &upstream.outbox,
        outbox_secret: &outbox_secret,
        key,
        release_after: RELEASE_AFTER,
        failpoint: no_failpoint(),
    })?;
    let registry = registry::HttpRegistry::new(&upstream.http);
    let (progress, mut watched) = watch::channel(Progress::default());
    let status = StatusFile::new(&config.state);
    let tell = |progress: Progress, alarm: Option<String>| {
        status.replace(&Status {
            schema_version: 1,
            role: "confirmation_issuance",
            updated_ms: crate::clock::now_ms(),
            batch: progress.batch,
            pending_batch: progress.pending_batch,
            backlog: progress.backlog,
            outbox_sequence: progress.outbox_sequence,
            waiting_for: progress.waiting_for,
            alarm,
        });
    };
    let issue = issue(issuer, registry, Patience::default(), progress, stop);
    tokio::pin!(issue);
    let mut ticks = tokio::time::interval(std::time::Duration::from_secs(1));
    let outcome = loop {
        tokio::select! {
            outcome = &mut issue => break outcome,
            _ = ticks.tick() => tell(watched.borrow_and_update().clone(), None),
        }
    };
    tell(watched.borrow_and_update().clone(), outcome.as_ref().err().map(ToString::to_string));
    outcome
}
