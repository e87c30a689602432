//! Is this block one to vote for? Checked here, away from the event loop (B-1, trap 8).
//!
//! What must stay true: a [`Verdict::Refused`] rests on bytes that the block's hash binds, because the engine keeps a verdict a
//! hash and others may send the same header in another wrapping; everything else wrong is [`Verdict::Malformed`] and the block
//! was never received. A valid block's bundles are at hand.

use super::supply::Supply;
use crate::port::{Application, Candidate, Tip};
use ledger_types::block::{
    BLOCK_BUNDLE_BYTES_MAX, BLOCK_BYTES_MAX, Block, CERTIFICATES_MAX, bundle_bytes, certificates_root,
};
use ledger_types::bundle::{Bundle, BundleCertificate};
use ledger_types::{BlockHash, Chain};
use std::sync::Arc;
use std::time::Duration;

pub type Bundles = Arc<Vec<Arc<Bundle>>>;

/// A block whose time is further off the own clock when it is first seen is withheld (B-5).
pub const CLOCK_TOLERANCE_MS: u64 = 2_000;
/// One attempt at a block's missing bundles.
const FETCH_DEADLINE: Duration = Duration::from_secs(3);

/// Where a block came from decides whether its time is compared with the clock.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Origin {
    /// In parts from its proposer: compared.
    Proposed,
    /// From the own log, from sync, or with a quorum of prevotes: others saw it in time.
    Vouched,
}

#[derive(Clone, Debug)]
pub enum Verdict {
    Valid(Bundles),
    /// By a rule of B-2; the block's hash binds what is wrong.
    Refused(String),
    /// The block as it was sent; another sender may have the same header in a good wrapping.
    Malformed(String),
    /// B-5: not now. A quorum of prevotes brings it back.
    Withheld,
    /// Bundles could not be had before the deadline.
    BundlesMissing,
}

/// The right to execute; one has it.
pub type Turn = tokio::sync::OwnedMutexGuard<()>;

/// A verdict, and the turn that it took, if it was executed: to be kept until the verdict is told, so that whoever has the next
/// turn knows of it.
pub struct Judged {
    pub verdict: Verdict,
    pub turn: Option<Turn>,
}

impl From<Verdict> for Judged {
    fn from(verdict: Verdict) -> Self {
        Judged { verdict, turn: None }
    }
}

/// Everything that a check needs; cheap to clone into tasks.
#[derive(Clone)]
pub struct Judge {
    pub chain: Chain,
    pub application: Arc<dyn Application>,
    pub supply: Arc<dyn Supply>,
    pub clock: Arc<dyn Fn() -> u64 + Send + Sync>,
    /// One execution at a time: the application works on one tip.
    pub execution: Arc<tokio::sync::Mutex<()>>,
}

impl Judge {
    /// Checks a block of the height after the tip. `patient`: asks for missing bundles until the task is dropped.
    pub async fn check(&self, tip: &Tip, hash: BlockHash, block: Arc<Block>, origin: Origin, patient: bool) -> Judged {
        if let Err(verdict) = self.check_form(tip, hash, &block, origin) {
            return verdict.into();
        }
        let (judge, tip, checked) = (self.clone(), tip.clone(), Arc::clone(&block));
        let signatures = blocking(move || judge.check_signatures(&tip, &checked)).await;
        if let Err(verdict) = signatures {
            return verdict.into();
        }
        let Some(bundles) = self.bundles(&block, patient).await else { return Verdict::BundlesMissing.into() };
        self.execute(block, bundles).await
    }

    /// What is wrong with the bytes themselves, or with their place.
    pub fn check_form(&self, tip: &Tip, hash: BlockHash, block: &Block, origin: Origin) -> Result<(), Verdict> {
        let header = &block.header;
        let refused = |reason: &str| Err(Verdict::Refused(reason.to_owned()));
        debug_assert_eq!(header.hash(&self.chain), hash);
        if certificates_root(&self.chain, &block.certificates) != header.certificates_root {
            return Err(Verdict::Malformed("the certificates are not those of the header".into()));
        }
        // Before anything is fetched: what is too much to order is too much to have.
        if bundle_bytes(&block.certificates) > BLOCK_BUNDLE_BYTES_MAX {
            return refused("the block orders too many bytes"); // B-2
        }
        if header.height != tip.height.next() || header.parent != tip.block {
            return refused("the block does not follow the tip");
        }
        if header.time_ms <= tip.time_ms {
            return refused("the block's time is not after its parent's"); // B-5
        }
        let off = header.time_ms.abs_diff((self.clock)());
        if origin == Origin::Proposed && off > CLOCK_TOLERANCE_MS {
            return Err(Verdict::Withheld); // B-5
        }
        Ok(())
    }

    pub fn check_signatures(&self, tip: &Tip, block: &Block) -> Result<(), Verdict> {
        let (header, parent) = (&block.header, &block.parent_certificate);
        match (tip.height.0, parent) {
            (0, None) if header.parent_round == 0 => {}
            (0, None) => return Err(Verdict::Refused("the parent's round of height 1 is not 0".into())),
            (0, _) | (_, None) => {
                return Err(Verdict::Malformed("a parent's certificate where none belongs, or none".into()));
            }
            (_, Some(certificate)) => {
                let is_of_parent = certificate.height == tip.height
                    && certificate.block == tip.block
                    && certificate.round == header.parent_round;
                let known = tip.certificate.as_ref() == Some(certificate);
                if !is_of_parent || !(known || certificate.verify(&self.chain, &tip.decided_by).is_ok()) {
                    return Err(Verdict::Malformed("the parent's certificate does not hold".into()));
                }
            }
        }
        match block.certificates.iter().find(|certificate| !self.supply.certificate_is_valid(certificate)) {
            Some(certificate) => {
                Err(Verdict::Refused(format!("the certificate of bundle {:?} does not hold", certificate.header.slot)))
            }
            None => Ok(()),
        }
    }

    /// B-6: what is missing is fetched, outside of the engine's loop.
    async fn bundles(&self, block: &Arc<Block>, patient: bool) -> Option<Bundles> {
        let (supply, wanted) = (Arc::clone(&self.supply), Arc::clone(block));
        if let Some(bundles) = blocking(move || supply.bundles(&wanted.certificates)).await {
            return Some(Arc::new(bundles));
        }
        let certificates = &block.certificates;
        loop {
            let asked = tokio::time::Instant::now();
            if let Some(bundles) = self.supply.fetch(certificates, FETCH_DEADLINE).await {
                return Some(Arc::new(bundles));
            }
            if !patient {
                return None;
            }
            tracing::warn!(bundles = certificates.len(), "a block's bundles are still missing; asking again");
            // A fetch that fails at once (no peer is there) must not spin.
            tokio::time::sleep_until(asked + Duration::from_millis(200)).await;
        }
    }

    async fn execute(&self, block: Arc<Block>, bundles: Bundles) -> Judged {
        let (application, turn, given) = (Arc::clone(&self.application), self.turn().await, Arc::clone(&bundles));
        // The turn goes with the work: it is held to the end even when the task that awaits it is dropped.
        let (checked, turn) = blocking(move || (application.check(&block, &given), turn)).await;
        let verdict = match checked {
            Ok(()) => Verdict::Valid(bundles),
            Err(refused) => Verdict::Refused(refused.reason),
        };
        Judged { verdict, turn: Some(turn) }
    }

    /// Builds the own block on the tip from what is certified and at hand (B-4, B-5).
    pub async fn propose(&self, tip: &Tip, bytes_max: usize) -> Option<(Block, Bundles)> {
        let (judge, tip, turn) = (self.clone(), tip.clone(), self.turn().await);
        blocking(move || {
            let _turn = turn;
            judge.propose_now(&tip, bytes_max)
        })
        .await
    }

    /// [`Judge::propose`] for whoever has the turn; blocks.
    pub fn propose_now(&self, tip: &Tip, bytes_max: usize) -> Option<(Block, Bundles)> {
        let bytes_max = bytes_max.min(BLOCK_BUNDLE_BYTES_MAX as usize); // B-2
        let certificates = self.supply.candidates(tip, bytes_max, certificates_max(tip.validators.len()));
        let certificates = at_hand(&*self.supply, certificates);
        let bundles = self.supply.bundles(&certificates).unwrap_or_default();
        let block = self.build(tip, certificates, bundles.clone());
        match block {
            Ok(block) => Some((block, Arc::new(bundles))),
            Err(refused) => {
                // The plane offered what the ledger does not take. An empty block keeps the chain going.
                tracing::error!(%refused, "the own candidate was refused");
                let empty = self.build(tip, Vec::new(), Vec::new());
                empty
                    .map(|block| (block, Bundles::default()))
                    .map_err(|refused| tracing::error!(%refused, "so was an empty one"))
                    .ok()
            }
        }
    }

    fn build(
        &self,
        tip: &Tip,
        certificates: Vec<BundleCertificate>,
        bundles: Vec<Arc<Bundle>>,
    ) -> Result<Block, crate::port::BlockRefused> {
        self.application.propose(Candidate {
            height: tip.height.next(),
            time_ms: (self.clock)().max(tip.time_ms + 1), // B-5
            certificates,
            bundles,
            parent_certificate: tip.certificate.clone(),
        })
    }

    pub async fn turn(&self) -> Turn {
        Arc::clone(&self.execution).lock_owned().await
    }
}

/// So many that a block of them stays below [`BLOCK_BYTES_MAX`] (B-11) with all validators' acks, with a quarter to spare.
fn certificates_max(validators: usize) -> usize {
    let certificate_bytes = 64 + 66 * validators;
    (BLOCK_BYTES_MAX * 3 / 4 / certificate_bytes).min(CERTIFICATES_MAX)
}

/// Those whose bundles are here, and of each lane only what comes before its first missing one (B-3: no gaps).
fn at_hand(supply: &dyn Supply, certificates: Vec<BundleCertificate>) -> Vec<BundleCertificate> {
    if supply.bundles(&certificates).is_some() {
        return certificates;
    }
    let mut broken = std::collections::BTreeSet::new();
    let here = |certificate: &BundleCertificate| supply.bundles(std::slice::from_ref(certificate)).is_some();
    certificates
        .into_iter()
        .filter(|certificate| {
            let lane = certificate.header.slot.submitter;
            !broken.contains(&lane) && (here(certificate) || !broken.insert(lane))
        })
        .collect()
}

/// Runs on a blocking thread. A panic there is a broken invariant of the application: it goes on here.
pub async fn blocking<T: Send + 'static>(work: impl FnOnce() -> T + Send + 'static) -> T {
    match tokio::task::spawn_blocking(work).await {
        Ok(done) => done,
        Err(error) => match error.try_into_panic() {
            Ok(panic) => std::panic::resume_unwind(panic),
            // The runtime is shutting down: nobody waits for the answer any more.
            Err(_) => std::future::pending().await,
        },
    }
}
