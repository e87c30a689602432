//! Brings the pending batch into the registry: submit, look, submit again, until the registry shows it.
//!
//! | the validator says                             | then |
//! |------------------------------------------------|------|
//! | registry shows the batch                       | accepted: the next one |
//! | registry shows the one before, nothing ordered | submit again, the same bytes |
//! | the batch was refused                          | alarm; a number race alone resolves itself, since the number is ours by then |
//! | the same, for its signature                    | as not ordered: the key was replaced meanwhile, and perhaps back |
//! | the slot takes nothing for seconds, not ordered| the lane's next incarnation: it closes the old slots (B-3) |
//! | the same, and the lane is in another one       | its next slot there: beyond the next incarnation nothing is ever taken |
//! | no answer                                      | wait and ask again |
//!
//! A bundle left behind in a closed slot can do no harm: its number is used up or it is the same batch.

use super::issuer::{Issuer, Standing};
use super::registry::{Registry, RegistryError, RegistryTip, Verdict};
use super::{Alarm, IssuanceError, Progress};
use ledger_types::bundle::{Bundle, Slot};
use ledger_types::rejection::Rejection;
use std::time::{Duration, Instant};
use tokio::sync::watch;

/// How long to wait for what.
#[derive(Clone, Copy, Debug)]
pub struct Patience {
    pub poll_spool: Duration,
    pub poll_registry: Duration,
    pub retry: Duration,
    pub submit_again: Duration,
    /// A slot that is refused for so long, with the batch not ordered, is given up.
    pub refused_slot: Duration,
    /// A slot that is taken, but whose bundle is not ordered for so long although blocks are made, is given up.
    pub silent_slot: Duration,
}

impl Default for Patience {
    fn default() -> Self {
        Patience {
            poll_spool: Duration::from_millis(100),
            poll_registry: Duration::from_millis(30),
            retry: Duration::from_millis(300),
            submit_again: Duration::from_secs(2),
            refused_slot: Duration::from_secs(5),
            silent_slot: Duration::from_secs(60),
        }
    }
}

/// What this process has seen of the pending batch's slot.
#[derive(Default)]
struct Attempt {
    submitted: Option<Instant>,
    /// First of the refusals in a row.
    refused_since: Option<Instant>,
    /// First successful submission, and the height then.
    taken_since: Option<(Instant, u64)>,
}

/// Runs until told to stop, or until an alarm or an error.
pub async fn issue(
    mut issuer: Issuer,
    registry: impl Registry,
    patience: Patience,
    progress: watch::Sender<Progress>,
    mut stop: watch::Receiver<bool>,
) -> Result<(), IssuanceError> {
    let work = async {
        let mut attempt = Attempt::default();
        let mut is_level = false;
        loop {
            issuer.gather(Instant::now())?;
            let mut shown = issuer.progress();
            if is_level && !issuer.has_pending() && !issuer.form(Instant::now())? {
                progress.send_if_modified(|before| replace(before, shown));
                tokio::time::sleep(patience.poll_spool).await;
                continue;
            }
            let wait = match turn(&mut issuer, &registry, &patience, &mut attempt).await? {
                Turn::Accepted => {
                    attempt = Attempt::default();
                    is_level = true;
                    Duration::ZERO
                }
                Turn::Level => {
                    is_level = true;
                    if issuer.has_pending() { patience.poll_registry } else { Duration::ZERO }
                }
                Turn::Wait(why) => {
                    tracing::debug!(why, "waiting for the validator");
                    shown.waiting_for = Some(why);
                    patience.retry
                }
            };
            progress.send_if_modified(|before| replace(before, shown));
            tokio::time::sleep(wait).await;
        }
    };
    tokio::select! {
        outcome = work => outcome,
        _ = stop.wait_for(|stop| *stop) => Ok(()),
    }
}

fn replace(before: &mut Progress, now: Progress) -> bool {
    let changed = *before != now;
    *before = now;
    changed
}

enum Turn {
    Accepted,
    Level,
    Wait(String),
}

async fn turn(
    issuer: &mut Issuer,
    registry: &impl Registry,
    patience: &Patience,
    attempt: &mut Attempt,
) -> Result<Turn, IssuanceError> {
    let tip = match registry.tip().await {
        Ok(tip) => tip,
        Err(error) => return Ok(Turn::Wait(error.to_string())),
    };
    match issuer.observe(&tip)? {
        Standing::Accepted => return Ok(Turn::Accepted),
        Standing::Behind => return Ok(Turn::Wait("the validator is catching up".into())),
        Standing::Level if !issuer.has_pending() => return Ok(Turn::Level),
        Standing::Level => {}
    }
    let answered = match issuer.bundle()? {
        None => match registry.slot().await {
            Ok(slot) => {
                issuer.assign(slot)?;
                return Ok(Turn::Level);
            }
            Err(error) => Err(error),
        },
        Some(bundle) => submit(issuer, registry, patience, attempt, &tip, &bundle).await?,
    };
    Ok(answered.map_or_else(|error| Turn::Wait(error.to_string()), |()| Turn::Level))
}

/// The outer error stops the process; the inner one is waited out.
async fn submit(
    issuer: &mut Issuer,
    registry: &impl Registry,
    patience: &Patience,
    attempt: &mut Attempt,
    tip: &RegistryTip,
    bundle: &Bundle,
) -> Result<Result<(), RegistryError>, IssuanceError> {
    if attempt.submitted.is_some_and(|at| at.elapsed() < patience.submit_again) {
        return Ok(Ok(()));
    }
    let is_first = attempt.submitted.is_none();
    let submitted = registry.submit(bundle).await;
    attempt.submitted = Some(Instant::now());
    issuer.fail_here("after the submission")?;
    match &submitted {
        Ok(()) => {
            attempt.refused_since = None;
            attempt.taken_since.get_or_insert((Instant::now(), tip.height));
            if is_first {
                return Ok(Ok(()));
            }
        }
        Err(RegistryError::NotTaken(_)) => {
            attempt.refused_since.get_or_insert(Instant::now());
        }
        Err(RegistryError::NoAnswer(_)) => return Ok(submitted),
    }
    // It was not shown within the first wait, or is not taken: what became of it?
    match registry.verdict(&bundle.ids()[0]).await {
        Err(error) => return Ok(Err(error)),
        Ok(Verdict::Accepted) => {} // The next look at the registry shows it.
        Ok(Verdict::Refused(code)) if code != Rejection::BatchSignatureInvalid.number() => {
            return refused(issuer, registry, code).await;
        }
        // Its key was replaced while the bundle was on its way: a validator takes none under a key that is wrong already.
        // Where the key is the right one again, the same batch is taken in another slot.
        Ok(Verdict::NotOrdered | Verdict::Refused(_)) => {
            let refused = attempt.refused_since.is_some_and(|since| since.elapsed() >= patience.refused_slot);
            let silent = attempt
                .taken_since
                .is_some_and(|(since, height)| since.elapsed() >= patience.silent_slot && tip.height > height + 1);
            if refused || silent {
                return leave(issuer, registry, attempt, bundle.slot()).await;
            }
        }
    }
    Ok(submitted)
}

/// anything but a number race is an alarm.
async fn refused(
    issuer: &mut Issuer,
    registry: &impl Registry,
    code: u16,
) -> Result<Result<(), RegistryError>, IssuanceError> {
    let number = issuer.pending_number().expect("a batch is pending while it is submitted");
    let Some(rejection) = Rejection::from_number(code) else {
        return Err(Alarm::RefusedUnknown { number, code }.into());
    };
    let alarm = Alarm::Refused { number, rejection };
    if rejection != Rejection::BatchNumberNotNext {
        return Err(alarm.into());
    }
    // The number was used up before the refusal: by this batch itself, or `observe` says whose it is.
    match registry.tip().await {
        Err(error) => Ok(Err(error)),
        Ok(tip) => match issuer.observe(&tip)? {
            Standing::Accepted => Ok(Ok(())),
            Standing::Level => Err(alarm.into()),
            Standing::Behind => Ok(Err(RegistryError::NoAnswer("the validator is catching up".into()))),
        },
    }
}

/// The slot is given up. B-3 knows the open incarnation and the next one, so a slot that was taken nowhere must not be
/// left for one still further ahead: under a key that the ledger does not name (yet), every slot is refused.
async fn leave(
    issuer: &mut Issuer,
    registry: &impl Registry,
    attempt: &mut Attempt,
    stuck: Slot,
) -> Result<Result<(), RegistryError>, IssuanceError> {
    let known = match registry.slot().await {
        Ok(slot) => slot,
        Err(error) => return Ok(Err(error)),
    };
    let next = match known.incarnation == stuck.incarnation {
        true => Slot { incarnation: stuck.incarnation + 1, sequence: 0, ..stuck },
        false => known,
    };
    tracing::warn!(?stuck, ?next, "the lane's slot is stuck; the batch goes into another");
    *attempt = Attempt::default();
    issuer.assign(next)?;
    Ok(Ok(()))
}
