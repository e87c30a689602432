//! Opens what was ordered, and judges it by the one predicate that the banks use too (rules P).

use ledger_seal::{DisclosureKey, EnvelopeRoot, SealedRoot, open_with_root};
use ledger_state::{Contracts, PaymentRule, Rules, SignatureChecks, payment_is_good};
use ledger_types::EnvelopeId;
use ledger_types::envelope::Envelope;
use ledger_types::participant::Directory;
use ledger_types::sealed::Sealed;
use std::sync::Arc;

/// An accepted envelope and what came of its key.
pub struct Case {
    pub id: EnvelopeId,
    pub envelope: Envelope,
    /// Matches the envelope's commitment. None: no such key was released in time.
    pub root: Option<EnvelopeRoot>,
    /// Of its block.
    pub time_ms: u64,
    /// As they governed the block (rules P).
    pub directory: Arc<Directory>,
    pub contracts: Arc<Contracts>,
}

pub struct Judged {
    pub case: Case,
    /// None when the sealed part does not open under the committed key, or there is no key.
    pub sealed: Option<Sealed>,
    pub verdict: Result<(), PaymentRule>,
    /// the key, for the officers. None when there is none.
    pub root: Option<SealedRoot>,
}

/// Two signatures and the sealing take some 200 µs: below this many cases another thread is not worth its start.
const CASES_PER_THREAD_MIN: usize = 32;

/// In the order of the cases.
pub fn judge_all(rules: &Rules, officers: &DisclosureKey, cases: Vec<Case>) -> Vec<Judged> {
    let threads = std::thread::available_parallelism().map_or(1, usize::from).min(cases.len() / CASES_PER_THREAD_MIN);
    if threads <= 1 {
        return cases.into_iter().map(|case| judge(rules, officers, case)).collect();
    }
    let share = cases.len().div_ceil(threads);
    let mut cases = cases.into_iter();
    std::thread::scope(|scope| {
        let mut workers = Vec::with_capacity(threads);
        loop {
            let part: Vec<Case> = cases.by_ref().take(share).collect();
            if part.is_empty() {
                break;
            }
            let judge = |case| judge(rules, officers, case);
            workers.push(scope.spawn(move || part.into_iter().map(judge).collect::<Vec<_>>()));
        }
        workers.into_iter().flat_map(|worker| worker.join().expect("a judgement does not panic")).collect()
    })
}

fn judge(rules: &Rules, officers: &DisclosureKey, case: Case) -> Judged {
    let sealed = case.root.as_ref().and_then(|root| open_with_root(&rules.chain, &case.envelope, root).ok());
    let verdict = match (&case.root, &sealed) {
        (None, _) => Err(PaymentRule::KeyNeverReleased),
        (_, None) => Err(PaymentRule::DoesNotOpen),
        (_, Some(sealed)) => {
            let (directory, contracts) = (&case.directory, &case.contracts);
            payment_is_good(rules, directory, contracts, &case.envelope.header, sealed, SignatureChecks::All)
        }
    };
    let root = case.root.as_ref().map(|root| officers.seal(&case.id, root, &mut rand::rngs::OsRng));
    Judged { case, sealed, verdict, root }
}
