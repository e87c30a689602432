//! A bank's desk: wallets in custody, payments out and in, key release.
//!
//! What must stay true:
//! - A payment that was answered with an id is never lost and never made twice, whatever the process does.
//! - Success is said to the payer's bank only for a payment that passed the same check as registration's (rules P).
//! - Everything secret is encrypted at rest; what a row's name shows is public or a keyed hash.
//!
//! ```text
//! HTTP ─▶ requests ─▶ job ─▶ run ─▶ pay ──invoice, accept──▶ (link) ──▶ service ─▶ accept     the payee's bank
//!                             │      └─ epochs, sealing ─▶ envelope, stored ─▶ submit
//!                             ▼                                                    │
//!                           book ◀──────────── follow ◀── committed heights ◀──────┘
//!                                                 └─▶ releases ─▶ registration
//! ```

// Disk.
pub(crate) mod at_rest;
pub(crate) mod journal;
pub(crate) mod rows;

// What the desk knows.
pub(crate) mod book;
pub(crate) mod desk;
pub(crate) mod epochs;
pub(crate) mod invoices;
pub(crate) mod job;
pub(crate) mod ports;
pub(crate) mod preissued;

// What it does.
pub(crate) mod accept;
pub(crate) mod arranging;
pub(crate) mod follow;
pub(crate) mod lending;
pub(crate) mod pay;
pub(crate) mod reconciling;
pub(crate) mod releases;
pub(crate) mod requests;
pub(crate) mod run;
pub(crate) mod sealing;

// What it shows.
pub(crate) mod documents;
pub(crate) mod ownership;
pub(crate) mod service;

#[cfg(test)]
mod tests;

pub use desk::DeskError;

use crate::backup::restored_ms;
use crate::ledger::LedgerView;
use crate::link::Links;
use crate::reconciliation::findings::Findings;
use crate::role::central_bank::{Blocks, CentralBankDesk};
use crate::start::{Opener, Services};
use desk::{DeskKeys, Inner, Started};
use epochs::EpochLimits;
use journal::Journal;
use ledger_seal::KemSecret;
use ledger_store::{Column, PrivateStore, Raw};
use ledger_types::participant::{Directory, Participant};
use ledger_types::reconciliation::ReconciliationSide;
use ledger_types::{Chain, Encode, Height};
use ledger_verify::Trust;
use ports::NodePorts;
use rows::{FORMAT, Table};
use service::DeskService;
use std::future::Future;
use std::path::Path;
use std::sync::{Arc, OnceLock, Weak};
use tokio::sync::watch;

/// A running desk.
#[derive(Clone)]
pub struct Desk {
    inner: Arc<Inner>,
    /// At the central bank.
    blocks: Option<Blocks>,
    ended: watch::Receiver<Option<Result<(), String>>>,
}

/// Opens the desk's database, starts the links, catches up with the ledger, and takes up what was unfinished.
pub async fn start(services: Services) -> Result<Desk, DeskError> {
    let Services { config, view, submit, keys, stop } = services;
    let me = view.me();
    let directory = view.ledger().directory.clone();
    let line = directory.get(me).ok_or(DeskError::OtherRole)?;
    let central = match &line.central_bank {
        Some(public) => Some(CentralBankDesk::open(&config, &keys, public, view.rules())?),
        None => None,
    };
    let mut desk_keys = desk_keys(&keys, line, view.rules().genesis.kem_suite)?;
    desk_keys.epoch_limits.forgotten_up_to = restored_ms(&config.state).map_err(DeskError::Restored)?;
    let link_key = keys.signing_key("link")?;
    if link_key.public_key() != line.keys.link {
        return Err(DeskError::OtherKey("link"));
    }
    let trust = Trust::from_genesis(&view.rules().genesis.to_bytes()).expect("the node runs on this genesis");
    let ports = Arc::new(NodePorts { view: view.clone(), submit, trust, links: OnceLock::new() });
    let folder = config.state.join("desk");
    let (chain, settings) = (*view.chain(), config.desk.clone());
    let (opening, is_central) = (ports.clone(), central.is_some());
    let opened = tokio::task::spawn_blocking(move || {
        let (store, _) = open_database(&folder, &chain)?;
        Inner::open(store, Journal::start, desk_keys, me, settings, opening, central)
    });
    let (inner, unfinished) = opened.await.expect("opening the desk does not panic")?;
    // What coming back from a backup has changed is on disk before anybody is answered. A journal that fails ends the desk below.
    if let Ok(next) = inner.show(|shared| shared.release_next).await {
        inner.tell_released(next);
    }
    let findings = Findings::open(&config.state.join("reconciliation.json"), ReconciliationSide::Bank)?;
    inner.reconciling.keep(findings);

    let blocks = is_central.then(|| Blocks::new(view.clone()));
    let service = Arc::new(DeskService { desk: Arc::downgrade(&inner), blocks: blocks.clone() });
    let network = config.link.as_ref().expect("Config::check asks for it");
    let links = Links::start(network, &link_key, &directory, service).await?;
    tokio::spawn(know_links(view.clone(), directory, Arc::downgrade(&links), stop.clone()));
    let _ = ports.links.set(links);

    let (end, ended) = watch::channel(None);
    let follower = view.follow_from(inner.shared().cursor.next());
    tokio::spawn(follow(inner.clone(), follower, view.ledger().height, unfinished, stop, end));
    Ok(Desk { inner, blocks, ended })
}

/// Keys that a participant update replaces are taken up when it commits.
async fn know_links(
    view: LedgerView,
    mut directory: Arc<Directory>,
    links: Weak<Links>,
    mut stop: watch::Receiver<bool>,
) {
    let mut heights = view.heights();
    heights.mark_changed();
    loop {
        tokio::select! {
            changed = heights.changed() => if changed.is_err() { return },
            _ = stop.wait_for(|stop| *stop) => return,
        }
        let now = view.ledger().directory.clone();
        if now == directory {
            continue;
        }
        let Some(links) = links.upgrade() else { return };
        links.know_by(&now);
        directory = now;
    }
}

/// Rows as they lie on disk, encrypted.
pub type SealedRows = Column<Vec<u8>, Vec<u8>, Raw>;

/// A desk's database, and where the rows of its coins lie: by their ids. Without the desk's keys a row can be counted or
/// taken away, not read.
pub fn open_database(folder: &Path, chain: &Chain) -> Result<(PrivateStore, SealedRows), ledger_store::OpenError> {
    let store = PrivateStore::open(folder, "bank desk", FORMAT, chain, &Table::specs())?;
    Ok((store, Table::Coins.column()))
}

fn desk_keys(
    keys: &crate::keys::KeyFolder,
    line: &Participant,
    suite: ledger_types::genesis::KemSuite,
) -> Result<DeskKeys, DeskError> {
    let desk = keys.signing_key("desk")?;
    let offer = keys.signing_key("offer")?;
    let kem = KemSecret::from_seed(suite, &*keys.secret("kem")?);
    if desk.public_key() != line.keys.desk {
        return Err(DeskError::OtherKey("desk"));
    }
    if offer.public_key() != line.keys.offer {
        return Err(DeskError::OtherKey("offer"));
    }
    if kem.public_key() != line.keys.kem {
        return Err(DeskError::OtherKey("kem"));
    }
    let (storage, vault) = (keys.secret("storage")?, keys.secret("vault")?);
    Ok(DeskKeys { desk, offer, kem, storage, vault, epoch_limits: EpochLimits::default() })
}

/// The desk's heartbeat. Unfinished jobs go on when the ledger's verdicts up to the start are known.
async fn follow(
    inner: Arc<Inner>,
    mut follower: crate::ledger::Follower,
    tip: Height,
    mut unfinished: Vec<Started>,
    mut stop: watch::Receiver<bool>,
    end: watch::Sender<Option<Result<(), String>>>,
) {
    let mut failure = inner.journal.failure();
    let mut arranging = None;
    let outcome = loop {
        if arranging.is_none() && inner.shared().cursor >= tip {
            tracing::info!(unfinished = unfinished.len(), "the desk is up to date");
            unfinished.drain(..).for_each(|started| inner.spawn(started));
            arranging = Some(tokio::spawn(inner.clone().arrange_coins(stop.clone())));
        }
        let committed = tokio::select! {
            committed = follower.next() => committed,
            Ok(reason) = failure.wait_for(Option::is_some) => break Err(reason.clone().unwrap_or_default()),
            _ = stop.wait_for(|stop| *stop) => break Ok(()),
        };
        let committed = match committed {
            Ok(committed) => committed,
            Err(error) => break Err(format!("the ledger cannot be read: {error}")),
        };
        if inner.follow_height(&committed).await.is_err() {
            let reason = inner.journal.failure().borrow().clone();
            break Err(reason.unwrap_or_else(|| "its journal ended".into()));
        }
    };
    if let Some(arranging) = arranging {
        arranging.abort();
    }
    end.send_replace(Some(outcome));
}

impl Desk {
    pub(crate) fn inner(&self) -> &Arc<Inner> {
        &self.inner
    }

    /// For copies of it.
    pub fn database(&self) -> Arc<PrivateStore> {
        self.inner.rows.store.clone()
    }

    /// What was ordered before this height is taken in durably: by the desk, and at the central bank by registration. None while that
    /// is not known.
    pub fn needed_from(&self) -> Option<Height> {
        let own = self.inner.processed.borrow().next();
        match &self.blocks {
            None => Some(own),
            Some(blocks) => Some(own.min(blocks.needed_from()?)),
        }
    }

    /// Opens envelopes for this bank's people.
    pub fn opener(&self) -> Opener {
        let inner = self.inner.clone();
        Arc::new(move |id, envelope| inner.open_envelope(id, envelope))
    }

    /// Pending while the desk runs; `Err` when it cannot go on.
    pub fn failed(&self) -> impl Future<Output = Result<(), String>> + Send + 'static {
        let mut ended = self.ended.clone();
        async move {
            match ended.wait_for(Option::is_some).await {
                Ok(outcome) => outcome.clone().expect("waited for it"),
                Err(_) => Err("the desk's task ended".into()),
            }
        }
    }
}
