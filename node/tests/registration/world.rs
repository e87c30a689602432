//! Registration and confirmation issuance on disk, around a [`Bed`]: killed and started again as a test likes.

use crate::bed::*;
use ledger_seal::DisclosureKey;
use ledger_types::bundle::{Bundle, Slot};
use ledger_types::keys::SigningKey;
use ledger_types::{EnvelopeId, ParticipantNumber};
use node::link::Release;
use node::outbox::{Failpoint, no_failpoint};
use node::role::confirmation_issuance::{
    IssuanceError, Issuer, IssuerConfig, Patience, RELEASE_AFTER, Registry, RegistryError, RegistryTip, Verdict, issue,
};
use node::role::registration::blocks::BlockChecker;
use node::role::registration::{Progress, Registrar, RegistrarConfig, RegistrationError};
use std::collections::BTreeMap;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, MutexGuard};
use std::time::{Duration, Instant};
use tempfile::TempDir;
use tokio::sync::watch;

pub const PATIENCE: Patience = Patience {
    poll_spool: Duration::from_millis(1),
    poll_registry: Duration::from_millis(1),
    retry: Duration::from_millis(1),
    submit_again: Duration::from_millis(1),
    refused_slot: Duration::from_millis(5),
    silent_slot: Duration::from_millis(50),
};

/// Kills at the n-th step that any process takes, once.
#[derive(Clone)]
pub struct Killer {
    steps: Arc<AtomicUsize>,
    at: usize,
}

impl Killer {
    pub fn at(at: usize) -> Self {
        Killer { steps: Arc::new(AtomicUsize::new(0)), at }
    }

    pub fn never() -> Self {
        Self::at(usize::MAX)
    }

    pub fn has_killed(&self) -> bool {
        self.steps.load(Ordering::SeqCst) > self.at
    }

    fn failpoint(&self) -> Failpoint {
        let killer = self.clone();
        Arc::new(move |_| killer.steps.fetch_add(1, Ordering::SeqCst) == killer.at)
    }
}

pub struct World {
    pub bed: Arc<Mutex<Bed>>,
    /// What each bank has to release, in order.
    pub releases: BTreeMap<ParticipantNumber, Vec<Release>>,
    /// What registration has acknowledged to each bank.
    pub acknowledged: BTreeMap<ParticipantNumber, u64>,
    /// Registration's clock beside the chain's time.
    pub clock: Arc<AtomicU64Ms>,
    /// The clock is never more than this behind the block that is taken; none: it stands still.
    pub clock_behind_ms: Option<u64>,
    /// That registration takes before it asks for releases.
    pub blocks_at_once: usize,
    pub killer: Killer,
    /// Confirmation issuance's key file.
    pub registration_key: SigningKey,
    registrar: Option<(Registrar, BlockChecker)>,
    /// Dropped last: a database that is being closed still writes into it, and what it writes would stay.
    pub folder: TempDir,
}

pub type AtomicU64Ms = std::sync::atomic::AtomicU64;

impl World {
    pub fn new() -> Self {
        Self::killed_by(Killer::never())
    }

    pub fn killed_by(killer: Killer) -> Self {
        World {
            bed: Arc::new(Mutex::new(Bed::new())),
            releases: BTreeMap::new(),
            acknowledged: BTreeMap::new(),
            clock: Arc::new(AtomicU64Ms::new(GENESIS_TIME_MS)),
            clock_behind_ms: Some(0),
            blocks_at_once: usize::MAX,
            killer,
            registration_key: key(CENTRAL, "registration"),
            registrar: None,
            folder: tempfile::tempdir().unwrap(),
        }
    }

    pub fn bed(&self) -> MutexGuard<'_, Bed> {
        self.bed.lock().unwrap()
    }

    /// A bank has a key to release.
    pub fn release(&mut self, bank: ParticipantNumber, envelope: EnvelopeId, root: [u8; 32]) {
        let releases = self.releases.entry(bank).or_default();
        releases.push(Release { cursor: releases.len() as u64 + 1, envelope: envelope.0, root });
    }

    /// Both parties release: the submitter, and the banks that get coins.
    pub fn release_by_all(&mut self, payment: &Payment) {
        let mut banks: Vec<ParticipantNumber> = payment.coins.iter().map(|coin| coin.bank).collect();
        banks.push(payment.envelope.submitter());
        banks.sort();
        banks.dedup();
        for bank in banks {
            self.release(bank, payment.id, payment.root);
        }
    }

    pub fn open_registrar(&self) -> Result<(Registrar, BlockChecker), RegistrationError> {
        let genesis = genesis();
        let clock = self.clock.clone();
        let registrar = Registrar::open(
            ledger_state::Rules::new(genesis.clone()),
            RegistrarConfig {
                database: &self.folder.path().join("registration"),
                outbox: &self.folder.path().join("outbox"),
                officers: DisclosureKey::check(&genesis, &officers_document(&genesis)).unwrap(),
                storage_secret: &[1; 32],
                outbox_secret: &[2; 32],
                clock: Arc::new(move || clock.load(Ordering::SeqCst)),
                failpoint: self.killer.failpoint(),
            },
        )?;
        let cursor = registrar.cursor().map(|cursor| (&cursor.header, &cursor.certificate));
        let checker = BlockChecker::new(registrar.trust(), cursor, registrar.directory()).unwrap();
        Ok((registrar, checker))
    }

    /// Feeds registration all blocks and releases that it has not taken, starting it again after every kill.
    pub fn register(&mut self) -> Progress {
        loop {
            match self.try_register() {
                Ok(progress) => return progress,
                Err(error) if is_kill(&error) => self.registrar = None,
                Err(error) => panic!("{error}"),
            }
        }
    }

    pub fn try_register(&mut self) -> Result<Progress, RegistrationError> {
        let (mut registrar, mut checker) = match self.registrar.take() {
            Some(running) => running,
            None => self.open_registrar()?,
        };
        let documents = self.bed().documents.clone();
        for (document, bundles) in documents[checker.next_height().0 as usize - 1..].iter().take(self.blocks_at_once) {
            let decided = checker.check(document).unwrap();
            let ordered = checker.accept(decided, bundles).unwrap();
            if let Some(behind_ms) = self.clock_behind_ms {
                self.clock.fetch_max(ordered.header.time_ms - behind_ms, Ordering::SeqCst);
            }
            registrar.take_height(ordered)?;
        }
        for (bank, releases) in &self.releases {
            let after = registrar.taken_from(*bank)?;
            let new: Vec<Release> = releases.iter().filter(|release| release.cursor > after).cloned().collect();
            let taken = registrar.take_releases(*bank, &new)?;
            self.acknowledged.insert(*bank, taken.up_to);
        }
        let progress = registrar.progress().clone();
        self.registrar = Some((registrar, checker));
        Ok(progress)
    }

    /// Stops registration without a word.
    pub fn kill_registrar(&mut self) {
        self.registrar = None;
    }

    /// A copy of its database; it must not run.
    pub fn back_up_registration(&self) -> TempDir {
        assert!(self.registrar.is_none());
        let backup = tempfile::tempdir().unwrap();
        copy_folder(&self.folder.path().join("registration"), backup.path());
        backup
    }

    pub fn restore_registration(&mut self, backup: &TempDir) {
        self.kill_registrar();
        let database = self.folder.path().join("registration");
        std::fs::remove_dir_all(&database).unwrap();
        copy_folder(backup.path(), &database);
    }

    pub fn open_issuer(&self) -> Result<Issuer, IssuanceError> {
        Issuer::open(IssuerConfig {
            rules: &ledger_state::Rules::new(genesis()),
            database: &self.folder.path().join("issuance"),
            outbox: &self.folder.path().join("outbox"),
            outbox_secret: &[2; 32],
            key: self.registration_key.clone(),
            release_after: Duration::ZERO,
            failpoint: self.killer.failpoint(),
        })
    }

    pub fn registry(&self) -> LedgerRegistry {
        LedgerRegistry { bed: self.bed.clone(), fault: Fault::None, submitted: Arc::default() }
    }

    /// Publishes everything up to a sequence of the outbox, starting issuance again after every kill.
    pub async fn publish(&self, through: u64) {
        loop {
            match self.try_publish(through, self.registry()).await {
                Ok(()) => return,
                Err(IssuanceError::Failpoint(_)) => {}
                Err(error) => panic!("{error}"),
            }
        }
    }

    pub async fn try_publish(&self, through: u64, registry: LedgerRegistry) -> Result<(), IssuanceError> {
        let issuer = self.open_issuer()?;
        let (progress, mut watched) = watch::channel(issuer.progress());
        let (_stop, stopped) = watch::channel(false);
        let issue = issue(issuer, registry, PATIENCE, progress, stopped);
        let done = async {
            let published = watched.wait_for(|progress| progress.outbox_sequence >= through).await;
            published.map(drop)
        };
        tokio::select! {
            outcome = issue => outcome,
            published = done => { published.unwrap(); Ok(()) }
            () = tokio::time::sleep(Duration::from_secs(20)) => panic!("nothing was published within 20 s"),
        }
    }

    /// Registers and publishes everything.
    pub async fn settle(&mut self) -> Progress {
        let progress = self.register();
        self.publish(progress.outbox_sequence).await;
        progress
    }

    pub fn spool_files(&self) -> usize {
        std::fs::read_dir(self.folder.path().join("outbox")).unwrap().count()
    }
}

fn copy_folder(from: &std::path::Path, to: &std::path::Path) {
    std::fs::create_dir_all(to).unwrap();
    for item in std::fs::read_dir(from).unwrap() {
        let item = item.unwrap();
        let copy = to.join(item.file_name());
        match item.file_type().unwrap().is_dir() {
            true => copy_folder(&item.path(), &copy),
            false => drop(std::fs::copy(item.path(), copy).unwrap()),
        }
    }
}

fn is_kill(error: &RegistrationError) -> bool {
    matches!(error, RegistrationError::Failpoint(_) | RegistrationError::Spool(node::outbox::SpoolError::Failpoint(_)))
}

/// What the validator does wrong.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Fault {
    None,
    /// Takes bundles of the first incarnation and orders none: their slot is squatted.
    SquattedSlot,
    /// Refuses every bundle of the first incarnation.
    RefusedSlot,
}

/// The validator, as confirmation issuance sees it: every bundle makes a block.
#[derive(Clone)]
pub struct LedgerRegistry {
    pub bed: Arc<Mutex<Bed>>,
    pub fault: Fault,
    /// Every bundle that was submitted.
    pub submitted: Arc<Mutex<Vec<Bundle>>>,
}

impl Registry for LedgerRegistry {
    async fn tip(&self) -> Result<RegistryTip, RegistryError> {
        let bed = self.bed.lock().unwrap();
        Ok(RegistryTip { number: bed.ledger.batch, hash: bed.ledger.batch_hash, height: bed.ledger.height.0 })
    }

    async fn slot(&self) -> Result<Slot, RegistryError> {
        let submitter = ParticipantNumber::REGISTRATION;
        let lane = self.bed.lock().unwrap().ledger.lane(submitter);
        Ok(Slot { submitter, incarnation: lane.incarnation, sequence: lane.next_sequence })
    }

    async fn submit(&self, bundle: &Bundle) -> Result<(), RegistryError> {
        self.submitted.lock().unwrap().push(bundle.clone());
        let mut bed = self.bed.lock().unwrap();
        let named = bed.ledger.directory.bundle_key(ParticipantNumber::REGISTRATION).unwrap();
        if !bundle.signature_is_valid(&named) {
            return Err(RegistryError::NotTaken("registration did not sign this".into()));
        }
        let is_first_incarnation = bundle.slot().incarnation == 0;
        match self.fault {
            Fault::SquattedSlot if is_first_incarnation => {
                bed.pass_time(10);
                return Ok(());
            }
            Fault::RefusedSlot if is_first_incarnation => {
                return Err(RegistryError::NotTaken("the slot holds another bundle".into()));
            }
            _ => {}
        }
        let time_ms = bed.ledger.time_ms + 10;
        bed.block(time_ms, std::slice::from_ref(bundle)).map_err(|error| RegistryError::NotTaken(error.to_string()))
    }

    async fn verdict(&self, item: &EnvelopeId) -> Result<Verdict, RegistryError> {
        Ok(match self.bed.lock().unwrap().results.get(item) {
            None => Verdict::NotOrdered,
            Some(0) => Verdict::Accepted,
            Some(code) => Verdict::Refused(*code),
        })
    }
}

/// An issuer as it runs, with what there is to gather: for tests that drive it step by step.
pub fn quiet_issuer(world: &World) -> Issuer {
    let mut issuer = Issuer::open(IssuerConfig {
        rules: &ledger_state::Rules::new(genesis()),
        database: &world.folder.path().join("issuance"),
        outbox: &world.folder.path().join("outbox"),
        outbox_secret: &[2; 32],
        key: world.registration_key.clone(),
        release_after: RELEASE_AFTER,
        failpoint: no_failpoint(),
    })
    .unwrap();
    issuer.gather(Instant::now()).unwrap();
    issuer
}
