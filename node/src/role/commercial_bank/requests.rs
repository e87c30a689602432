//! What the bank's own people ask of the desk: wallets, and jobs that are durable before they are answered.

use super::book::VAULT;
use super::desk::{Inner, Started, is_wallet_name};
use super::job::{Job, JobId, State, Work};
use super::journal::Stopped;
use super::rows::{RowError, Table, WalletRow};
use rand::RngCore;
use std::sync::Arc;
use std::time::Duration;
use tokio::time::Instant;
use zeroize::Zeroizing;

/// Each takes a few kilobytes of memory and a task.
const OPEN_JOBS_MAX: usize = 50_000;

/// What somebody wants done.
pub(crate) struct NewJob {
    pub wallet: String,
    pub work: Work,
    /// The caller's own key: the same one again gives the same job.
    pub key: Option<String>,
}

#[derive(Debug, thiserror::Error)]
pub(crate) enum NotCreated {
    #[error("there is no wallet {0} at this bank")]
    WalletUnknown(String),
    #[error("the wallet has {live} minor units that are live and {owned} in all")]
    InsufficientFunds { live: u128, owned: u128 },
    #[error("{0} jobs are open already")]
    Busy(usize),
    #[error("this idempotency key was used for another request")]
    KeyReused,
    #[error("a wallet's name has 1 to 32 letters, digits, - or _")]
    WalletName,
    #[error("there is a wallet of this name")]
    WalletExists,
    #[error(transparent)]
    Stopped(#[from] Stopped),
    #[error(transparent)]
    Row(#[from] RowError),
}

/// Why a job cannot be shown.
#[derive(Debug, thiserror::Error)]
pub(crate) enum NotShown {
    #[error(transparent)]
    Stopped(#[from] Stopped),
    #[error(transparent)]
    Row(#[from] RowError),
}

impl Inner {
    pub async fn create_wallet(&self, name: &str) -> Result<(), NotCreated> {
        if !is_wallet_name(name) {
            return Err(NotCreated::WalletName);
        }
        let mut seed = Zeroizing::new([0; 32]);
        rand::rngs::OsRng.fill_bytes(&mut *seed);
        let created = self.change_durably(|shared, unit| {
            if shared.book.wallets.contains_key(name) {
                return Err(NotCreated::WalletExists);
            }
            unit.put(
                Table::Wallets,
                &self.at_rest.label("wallet", name),
                &WalletRow { name: name.to_owned(), seed: *seed },
            );
            shared.book.add_wallet(name, seed);
            Ok(())
        });
        created.await?
    }

    /// Makes jobs durable together and starts them. One answer each, in their order.
    ///
    /// The work is a task of its own: whoever asked may be gone before the disk has answered (a dropped HTTP request), and a
    /// job that is on disk must have somebody who drives it.
    pub async fn create(self: &Arc<Self>, jobs: Vec<NewJob>) -> Result<Vec<Result<Job, NotCreated>>, Stopped> {
        let desk = self.clone();
        tokio::spawn(async move { desk.create_and_start(jobs).await }).await.map_err(|_| Stopped)?
    }

    async fn create_and_start(self: Arc<Self>, jobs: Vec<NewJob>) -> Result<Vec<Result<Job, NotCreated>>, Stopped> {
        let mut started = Vec::new();
        let mut keys = Vec::new();
        let answers = self
            .change_durably(|shared, unit| {
                let mut answers = Vec::with_capacity(jobs.len());
                for new in jobs {
                    let key = new.key.as_ref().map(|key| self.at_rest.label("idempotency", key));
                    let known = match key {
                        None => Ok(None),
                        Some(key) => self.known_by_key(shared, &key),
                    };
                    answers.push(match known {
                        Err(error) => Err(NotCreated::Row(error)),
                        Ok(Some(known)) if known.wallet == new.wallet && known.work == new.work => Ok(known),
                        Ok(Some(_)) => Err(NotCreated::KeyReused),
                        Ok(None) => self.insert_new(shared, unit, new, key, &mut started),
                    });
                    keys.extend(key);
                }
                answers
            })
            .await?;
        let mut shared = self.shared();
        keys.iter().for_each(|key| {
            shared.keys_on_their_way.remove(key);
        });
        drop(shared);
        started.into_iter().for_each(|started| self.spawn(started));
        Ok(answers)
    }

    /// The job that this key of a caller's has made, as the disk has it.
    pub async fn job_of_key(&self, key: &str) -> Result<Option<Job>, NotShown> {
        let key = self.at_rest.label("idempotency", key);
        Ok(self.show(|shared| self.known_by_key(shared, &key)).await??)
    }

    fn known_by_key(&self, shared: &super::desk::Shared, key: &[u8; 32]) -> Result<Option<Job>, RowError> {
        let id = match shared.keys_on_their_way.get(key) {
            Some(id) => Some(*id),
            None => self.rows.get::<JobId>(Table::Idempotency, key)?,
        };
        let Some(id) = id else { return Ok(None) };
        match shared.jobs.get(&id) {
            Some(active) => Ok(Some(active.job.clone())),
            None => self.rows.job(&id),
        }
    }

    fn insert_new(
        &self,
        shared: &mut super::desk::Shared,
        unit: &mut super::journal::Unit,
        new: NewJob,
        key: Option<[u8; 32]>,
        started: &mut Vec<Started>,
    ) -> Result<Job, NotCreated> {
        if shared.jobs.len() >= OPEN_JOBS_MAX {
            return Err(NotCreated::Busy(shared.jobs.len()));
        }
        let mut id: JobId = [0; 16];
        rand::rngs::OsRng.fill_bytes(&mut id);
        let job = Job::new(id, &new.wallet, new.work);
        let promised = job.needs_promise();
        if promised {
            let sums = shared.book.sums(&job.wallet).ok_or_else(|| NotCreated::WalletUnknown(job.wallet.clone()))?;
            if !shared.book.can_cover(&job.wallet, job.work_amount()) {
                let owned = sums.available + sums.unconfirmed + sums.reserved;
                return Err(NotCreated::InsufficientFunds { live: sums.available, owned });
            }
            shared.book.promise(&job.wallet, job.work_amount());
        }
        unit.put(Table::OpenJobs, &id, &job);
        if let Some(key) = key {
            unit.put(Table::Idempotency, &key, &id);
            shared.keys_on_their_way.insert(key, id);
        }
        started.push(shared.insert(job.clone(), promised));
        Ok(job)
    }

    /// The job when it has reached a state, or as it stands when the time is up; as the disk has it, either way.
    pub async fn wait_for(&self, id: &JobId, wanted: State, timeout: Duration) -> Result<Option<Job>, NotShown> {
        let deadline = Instant::now() + timeout;
        loop {
            let changed = match self.shared().jobs.get(id) {
                Some(active) if !active.job.state.has_reached(wanted) => active.changed.subscribe(),
                _ => break,
            };
            let mut changed = changed;
            if tokio::time::timeout_at(deadline, changed.changed()).await.is_err() {
                break;
            }
        }
        match self.show(|shared| shared.jobs.get(id).map(|active| active.job.clone())).await? {
            Some(job) => Ok(Some(job)),
            None => Ok(self.rows.job(id)?),
        }
    }

    /// Sums and number of coins of a wallet, the vault's untouched pre-issued ones included.
    pub fn wallet_coin_count(&self, shared: &super::desk::Shared, name: &str) -> u64 {
        let held = shared.book.wallets.get(name).map_or(0, |wallet| wallet.coins.len() as u64);
        if name == VAULT { held + shared.book.preissued.count_left() } else { held }
    }
}
