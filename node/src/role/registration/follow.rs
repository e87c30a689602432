//! Dials the validator for blocks and the banks for keys, and hands both to the one registrar.
//!
//! What stays true here: everything waits in bounded queues; a bank that is slow, silent or wrong delays no other and no block;
//! a bank's releases are acknowledged only after the registrar has them durably. Requests are repeated after any failure of a
//! link: all of them may be.

use super::blocks::{BlockChecker, OrderedHeight};
use super::books::{Mend, ReadBooks};
use super::reconciling::Reconciling;
use super::registrar::{Progress, Registrar, Taken};
use super::requests::RequestFolder;
use super::{Alarm, RegistrationError};
use crate::link::{BlockDocument, LinkError, LinkRefusal, Links, Release, Request, Response};
use futures::{StreamExt, TryStreamExt};
use ledger_types::bundle::{Bundle, BundleCertificate};
use ledger_types::{Chain, Height, ParticipantNumber};
use node_api::regulator::{FromRegistration, ToRegistration};
use std::sync::Arc;
use std::time::Duration;
use tokio::sync::{mpsc, oneshot, watch};
use tokio::task::JoinSet;

/// How long a question waits at the other end for something to answer.
const LONG_POLL_MS: u32 = 5_000;
/// On top of the long poll.
const ANSWER_WITHIN: Duration = Duration::from_secs(10);
const BLOCKS_PER_ANSWER: u32 = 8;
/// Some 100 KB, and 100 ms of judging.
const RELEASES_PER_ANSWER: u32 = 1_024;
/// Bundles under way at once: 4 MiB each.
const BUNDLES_AT_ONCE: usize = 4;
/// In the folder of requests.
const LOOK_EVERY: Duration = Duration::from_millis(500);
const RETRY_FIRST: Duration = Duration::from_millis(100);
const RETRY_MAX: Duration = Duration::from_secs(5);

pub(crate) enum Work {
    Height(Box<OrderedHeight>),
    /// The accounts after this height, as soon as it is booked.
    Look {
        at: Height,
        books: oneshot::Sender<Look>,
    },
    Mend {
        mend: Mend,
        done: oneshot::Sender<Result<&'static str, &'static str>>,
    },
    Releases {
        bank: ParticipantNumber,
        releases: Vec<Release>,
        is_full: bool,
        taken: oneshot::Sender<Taken>,
    },
    Handed {
        document: ToRegistration,
        answered: oneshot::Sender<FromRegistration>,
    },
}

pub(crate) enum Look {
    Read(Box<ReadBooks>),
    /// Registration stands beyond it, at this height.
    Passed(Height),
}

#[derive(Debug, thiserror::Error)]
pub(super) enum NoAnswer {
    #[error(transparent)]
    Link(#[from] LinkError),
    #[error("refused: {0}")]
    Refused(LinkRefusal),
    #[error("the answer does not fit the question")]
    Unfitting,
}

pub(super) async fn follow(
    registrar: Registrar,
    links: Arc<Links>,
    requests: RequestFolder,
    progress: watch::Sender<Progress>,
    reconciling: Reconciling,
    mut stop: watch::Receiver<bool>,
) -> Result<(), RegistrationError> {
    let (trust, me) = (reconciling.trust.clone(), reconciling.validator);
    let chain = *trust.chain();
    let cursor = registrar.cursor().map(|cursor| (&cursor.header, &cursor.certificate));
    let height = registrar.cursor().map_or(Height::GENESIS, |cursor| cursor.header.height);
    let checker = BlockChecker::new(&trust, cursor, registrar.directory());
    let checker = checker.map_err(|fault| Alarm::Block { height, fault })?;
    // Two heights of 8 MiB at most, and one answer of every bank.
    let (works, received) = mpsc::channel(2);
    let heights = progress.subscribe();
    let mut tasks: JoinSet<Result<(), RegistrationError>> = JoinSet::new();
    for bank in links.peers() {
        let (links, works, heights) = (links.clone(), works.clone(), heights.clone());
        let taken = registrar.taken_from(bank)?;
        tasks.spawn(async move {
            take_releases(links, bank, taken, works, heights).await;
            Ok(())
        });
    }
    tasks.spawn({
        let works = works.clone();
        async move { answer_requests(requests, works).await }
    });
    tasks.spawn({
        let run = reconciling.run(links.clone(), works.clone(), heights);
        async move {
            run.await;
            Ok(())
        }
    });
    tasks.spawn(follow_blocks(links, me, chain, checker, works));
    let mut booking = tokio::task::spawn_blocking(move || book(registrar, received, &progress));
    let outcome = loop {
        tokio::select! {
            biased;
            booked = &mut booking => return booked.expect("a panic aborts the process"),
            _ = stop.wait_for(|stop| *stop) => break Ok(()),
            ended = tasks.join_next() => match ended {
                Some(Ok(Err(error))) => break Err(error),
                Some(Ok(Ok(()))) => {}
                Some(Err(panicked)) => std::panic::resume_unwind(panicked.into_panic()),
                None => break Ok(()),
            },
        }
    };
    // The last sender of work goes; the registrar finishes the step that it is in.
    tasks.shutdown().await;
    let booked = booking.await.expect("a panic aborts the process");
    outcome.and(booked)
}

pub(crate) fn book(
    mut registrar: Registrar,
    mut works: mpsc::Receiver<Work>,
    progress: &watch::Sender<Progress>,
) -> Result<(), RegistrationError> {
    let mut looks: Vec<(Height, oneshot::Sender<Look>)> = Vec::new();
    while let Some(work) = works.blocking_recv() {
        match work {
            Work::Height(ordered) => {
                registrar.take_height(*ordered)?;
                looks = look(&registrar, looks);
            }
            Work::Look { at, books } => {
                looks.push((at, books));
                looks = look(&registrar, looks);
                continue;
            }
            Work::Mend { mend, done } => {
                let _ = done.send(registrar.mend(&mend)?);
                continue;
            }
            Work::Releases { bank, releases, is_full, taken } => {
                registrar.note_backlog(bank, is_full);
                let outcome = match registrar.take_releases(bank, &releases) {
                    // The bank's fault, and its loss: it is asked again.
                    Err(RegistrationError::ReleasesOutOfOrder(bank)) => {
                        tracing::warn!(%bank, "releases out of order");
                        continue;
                    }
                    other => other?,
                };
                // Nobody listens any more when the process stops.
                let _ = taken.send(outcome);
            }
            Work::Handed { document, answered } => {
                let _ = answered.send(registrar.take_handed(&document)?);
            }
        }
        progress.send_replace(registrar.progress().clone());
    }
    Ok(())
}

/// Hands what the operator has put into the folder to the registrar, one file after the other.
async fn answer_requests(folder: RequestFolder, works: mpsc::Sender<Work>) -> Result<(), RegistrationError> {
    let mut looks = tokio::time::interval(LOOK_EVERY);
    loop {
        looks.tick().await;
        for handed in folder.handed()? {
            let answer = match handed.document() {
                Err(reason) => FromRegistration::Refused { reason },
                Ok(document) => {
                    let (answered, answer) = oneshot::channel();
                    if works.send(Work::Handed { document, answered }).await.is_err() {
                        return Ok(());
                    }
                    let Ok(answer) = answer.await else { return Ok(()) };
                    answer
                }
            };
            folder.answer(&handed, &answer)?;
        }
    }
}

/// Reads the accounts for those who want them as of the height that was booked last; gives those who wait for a later one.
fn look(registrar: &Registrar, looks: Vec<(Height, oneshot::Sender<Look>)>) -> Vec<(Height, oneshot::Sender<Look>)> {
    let height = Height(registrar.progress().height);
    let mut waiting = Vec::new();
    for (at, answer) in looks {
        let books = if at == height { registrar.books() } else { None };
        match books {
            _ if at > height => waiting.push((at, answer)),
            None => drop(answer.send(Look::Passed(height))),
            Some(books) => {
                let (pinned, is_pinned) = std::sync::mpsc::channel();
                let read = move || match books.read(|| pinned.send(()).unwrap_or_default()) {
                    Ok(read) => drop(answer.send(Look::Read(Box::new(read)))),
                    // The sender goes: whoever waits hears that there is nothing.
                    Err(error) => tracing::error!(%error, "the accounts cannot be read for reconciliation"),
                };
                std::thread::spawn(read);
                // Nothing is written before the rows are pinned; an error there ends the wait too.
                let _ = is_pinned.recv();
            }
        }
    }
    waiting
}

async fn follow_blocks(
    links: Arc<Links>,
    validator: ParticipantNumber,
    chain: Chain,
    mut checker: BlockChecker,
    works: mpsc::Sender<Work>,
) -> Result<(), RegistrationError> {
    let mut retry = RETRY_FIRST;
    loop {
        let from = checker.next_height();
        let request = Request::FollowBlocks { from: from.0, max: BLOCKS_PER_ANSWER, wait_ms: LONG_POLL_MS };
        let documents = match ask(&links, validator, request).await {
            Ok(Response::Blocks(documents)) => documents,
            Ok(_) => {
                back_off("blocks", validator, &NoAnswer::Unfitting, &mut retry).await;
                continue;
            }
            Err(error) => {
                back_off("blocks", validator, &error, &mut retry).await;
                continue;
            }
        };
        for document in documents.into_iter().take(BLOCKS_PER_ANSWER as usize) {
            match next_height(&links, validator, &chain, &mut checker, document).await? {
                Ok(ordered) => {
                    retry = RETRY_FIRST;
                    if let Some(directory) = &ordered.directory {
                        links.know_by(directory);
                    }
                    if works.send(Work::Height(Box::new(ordered))).await.is_err() {
                        return Ok(());
                    }
                }
                Err(error) => {
                    back_off("bundles", validator, &error, &mut retry).await;
                    break;
                }
            }
        }
    }
}

/// The outer error stops the process: our validator told of a height that is not proved.
async fn next_height(
    links: &Links,
    validator: ParticipantNumber,
    chain: &Chain,
    checker: &mut BlockChecker,
    document: BlockDocument,
) -> Result<Result<OrderedHeight, NoAnswer>, RegistrationError> {
    let height = checker.next_height();
    let decided = checker.check(&document).map_err(|fault| Alarm::Block { height, fault })?;
    let fetches = decided.certificates().iter().map(|certificate| bundle(links, validator, chain, certificate));
    let fetches: Vec<_> = fetches.collect();
    let bundles: Result<Vec<Bundle>, NoAnswer> =
        futures::stream::iter(fetches).buffered(BUNDLES_AT_ONCE).try_collect().await;
    let bundles = match bundles {
        Ok(bundles) => bundles,
        Err(error) => return Ok(Err(error)),
    };
    let ordered = checker.accept(decided, &bundles).map_err(|fault| Alarm::Block { height, fault })?;
    Ok(Ok(ordered))
}

async fn bundle(
    links: &Links,
    validator: ParticipantNumber,
    chain: &Chain,
    certificate: &BundleCertificate,
) -> Result<Bundle, NoAnswer> {
    let digest = certificate.digest(chain);
    match ask(links, validator, Request::Bundle { digest: digest.0 }).await? {
        // That it is the certificate's bundle is checked with the height.
        Response::Bundle(bytes) => Bundle::parse(chain, &bytes).map_err(|_| NoAnswer::Unfitting),
        _ => Err(NoAnswer::Unfitting),
    }
}

/// Takes a bank's keys until the registrar is gone.
async fn take_releases(
    links: Arc<Links>,
    bank: ParticipantNumber,
    mut taken_to: u64,
    works: mpsc::Sender<Work>,
    mut heights: watch::Receiver<Progress>,
) {
    let mut retry = RETRY_FIRST;
    // What an earlier life acknowledged is not known: it is said again.
    let mut acknowledged = 0;
    loop {
        if acknowledged < taken_to {
            match ask(&links, bank, Request::AckReleases { up_to: taken_to }).await {
                Ok(_) => acknowledged = taken_to,
                Err(error) => {
                    back_off("acknowledgement", bank, &error, &mut retry).await;
                    continue;
                }
            }
        }
        let request = Request::TakeReleases { after: taken_to, max: RELEASES_PER_ANSWER, wait_ms: LONG_POLL_MS };
        let releases = match ask(&links, bank, request).await {
            Ok(Response::Releases(releases)) if releases.len() <= RELEASES_PER_ANSWER as usize => releases,
            Ok(_) => {
                back_off("releases", bank, &NoAnswer::Unfitting, &mut retry).await;
                continue;
            }
            Err(error) => {
                back_off("releases", bank, &error, &mut retry).await;
                continue;
            }
        };
        let is_full = releases.len() == RELEASES_PER_ANSWER as usize;
        let (taken, outcome) = oneshot::channel();
        if works.send(Work::Releases { bank, releases, is_full, taken }).await.is_err() {
            return;
        }
        let Ok(Taken { up_to, bank_is_full }) = outcome.await else {
            back_off("releases", bank, &NoAnswer::Unfitting, &mut retry).await;
            continue;
        };
        retry = RETRY_FIRST;
        taken_to = up_to;
        if bank_is_full {
            tracing::warn!(%bank, "too many keys without a block; waiting for the next height");
            let height = heights.borrow_and_update().height;
            if heights.wait_for(|progress| progress.height > height).await.is_err() {
                return;
            }
        }
    }
}

pub(super) async fn ask(links: &Links, peer: ParticipantNumber, request: Request) -> Result<Response, NoAnswer> {
    match links.call(peer, request, ANSWER_WITHIN + Duration::from_millis(LONG_POLL_MS.into())).await? {
        Response::Refused(refusal) => Err(NoAnswer::Refused(refusal)),
        other => Ok(other),
    }
}

async fn back_off(what: &'static str, peer: ParticipantNumber, error: &NoAnswer, retry: &mut Duration) {
    tracing::debug!(%peer, %error, what, "no answer; asking again");
    tokio::time::sleep(*retry).await;
    *retry = (*retry * 2).min(RETRY_MAX);
}
