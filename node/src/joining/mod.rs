//! A node from nothing begins at a snapshot of others (B-7), instead of executing every block since the genesis.
//!
//! What stays true here:
//! - Only the genesis is trusted. An offer, and each piece of it, is checked before anything of it is written
//!   (`ledger_store::Offer`); the folder gets its name when it is whole, so a crash on the way begins anew.
//! - Whoever sends what was not committed to lies: named in the log, in the status and in the metrics, and not asked again. Whoever
//!   is silent, slow, or has nothing goes behind all others, and costs its silence once.
//! - An offer that cannot be fetched is given up for the next one. Where nobody offers anything, as on a young chain, the node
//!   executes the blocks from the genesis on.

pub mod wire;

use crate::config::BeginsFrom;
use consensus::plane::PlanePeer;
use consensus::plane::state::StateClient;
use futures::StreamExt;
use futures::stream::FuturesUnordered;
use ledger_state::Rules;
use ledger_store::{
    AckGuard, Checked, CheckedOffer, JoinError, Lie, Memory, OFFER_BYTES_MAX, Offer, PIECE_BYTES_MAX, Piece,
    begins_from_nothing, join,
};
use ledger_types::genesis::Genesis;
use ledger_types::keys::SigningKey;
use ledger_types::{Decode, Encode, Height, ParticipantNumber};
use std::cmp::Reverse;
use std::collections::{BTreeMap, BTreeSet, VecDeque};
use std::path::Path;
use std::time::Duration;
use tokio::sync::mpsc;
use tokio::time::{Instant, sleep, timeout_at};
use wire::Question;

/// For the others to be reached and to offer something, before blocks are executed instead.
const OFFER_WAIT: Duration = Duration::from_secs(30);
/// For the other offers, after the first.
const FURTHER_OFFERS_WAIT: Duration = Duration::from_secs(5);
/// For a piece that nobody gives, before its offer is given up.
const PIECE_WAIT: Duration = Duration::from_secs(30);
const ASK_AGAIN: Duration = Duration::from_millis(500);
/// Who takes longer for a piece is asked after the others.
const SLOW: Duration = Duration::from_secs(2);
/// Pieces that were fetched and not written yet: a few megabytes.
const FETCHED_AHEAD: usize = 16;

/// How this process's ledger began.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Joined {
    /// The height of the snapshot; none where blocks are executed from the genesis on, or the ledger was there.
    pub height: Option<Height>,
    /// Who sent what was not committed to, and what.
    pub liars: BTreeMap<ParticipantNumber, String>,
}

pub struct Beginning<'a> {
    pub state: &'a Path,
    pub begins_from: BeginsFrom,
    pub genesis: &'a Genesis,
    pub data_peer: &'a SigningKey,
    pub peers: &'a [PlanePeer],
}

/// Makes the ledger's folder from a snapshot, if there is none and the configuration says so.
pub async fn begin(from: Beginning<'_>, mut guard: Option<AckGuard>) -> Result<(Joined, Option<AckGuard>), JoinError> {
    let path = from.state.join("ledger");
    if from.begins_from == BeginsFrom::Blocks || !begins_from_nothing(&path)? {
        return Ok((Joined::default(), guard));
    }
    let client = StateClient::start(from.data_peer, from.peers, &from.genesis.directory);
    let client = client.map_err(|error| JoinError::Pieces(error.to_string()))?;
    let mut providers = Providers::new(client, Rules::new(from.genesis.clone()));
    let mut offers = providers.offers().await;
    if offers.is_empty() {
        tracing::warn!("nobody offers a snapshot: this node executes the blocks from the genesis on");
        return Ok((Joined { height: None, liars: providers.liars }, guard));
    }
    loop {
        let Offered { by, offer } = offers.pop_front().expect("the last offer's failure is returned");
        let height = offer.height();
        let (joined, guard_back) = fetch(&mut providers, &path, &offer, guard).await;
        guard = guard_back;
        match joined {
            Ok(()) => return Ok((Joined { height: Some(height), liars: providers.liars }, guard)),
            Err(error @ JoinError::Folder(_)) => return Err(error),
            Err(error) => {
                tracing::warn!(%height, %by, %error, "this snapshot is given up");
                match &error {
                    // Everything else of an offer is checked: it leaves out hand-overs that cancel each other.
                    JoinError::Unsound(_) => providers.name(by, &error),
                    _ => offers.retain(|other| other.offer.height() != height),
                }
                if offers.is_empty() {
                    return Err(error);
                }
            }
        }
    }
}

/// Writes what is fetched, and gives the guard back.
async fn fetch(
    providers: &mut Providers,
    path: &Path,
    offer: &CheckedOffer,
    guard: Option<AckGuard>,
) -> (Result<(), JoinError>, Option<AckGuard>) {
    let (height, started) = (offer.height(), Instant::now());
    tracing::info!(%height, pieces = offer.pieces().count(), "this node begins from a snapshot");
    let (sender, mut receiver) = mpsc::channel(FETCHED_AHEAD);
    let writing = tokio::task::spawn_blocking({
        let (path, offer, genesis) = (path.to_owned(), offer.clone(), Genesis::clone(&providers.rules.genesis));
        move || {
            let pieces = std::iter::from_fn(|| receiver.blocking_recv());
            let joined = join(&path, genesis, Memory::LEDGER, guard.as_ref(), &offer, pieces);
            (joined, guard)
        }
    });
    for piece in offer.pieces() {
        let fetched = providers.piece(offer, piece).await;
        let ends = fetched.is_err();
        // The writer's own error is the one to show.
        if sender.send(fetched).await.is_err() || ends {
            break;
        }
    }
    drop(sender);
    let (joined, guard) = writing.await.expect("writing a snapshot does not panic");
    if joined.is_ok() {
        tracing::info!(%height, took_ms = started.elapsed().as_millis() as u64, "the snapshot is whole");
    }
    (joined, guard)
}

struct Offered {
    by: ParticipantNumber,
    offer: CheckedOffer,
}

struct Providers {
    client: StateClient,
    rules: Rules,
    /// Who is asked first: the one that answered last.
    asked: VecDeque<ParticipantNumber>,
    liars: BTreeMap<ParticipantNumber, String>,
}

impl Providers {
    fn new(client: StateClient, rules: Rules) -> Self {
        let asked = client.peers().collect();
        Providers { client, rules, asked, liars: BTreeMap::new() }
    }

    fn name(&mut self, peer: ParticipantNumber, lie: &impl std::fmt::Display) {
        let name = self.rules.genesis.directory.get(peer).map(|line| line.name.as_str().to_owned());
        tracing::error!(%peer, name = name.as_deref(), %lie, "A PEER LIES about the state: it is not asked again");
        self.liars.insert(peer, lie.to_string());
        self.asked.retain(|other| *other != peer);
    }

    /// The one that follows the most hand-overs first, of those the highest. Asks everybody at once, whoever gives no answer
    /// again; who answers long after the first offer is not waited for.
    async fn offers(&mut self) -> VecDeque<Offered> {
        let (client, question) = (&self.client, Question::Offer.to_bytes());
        let asking = self.asked.iter().map(async |peer| {
            loop {
                match client.ask(*peer, &question, OFFER_BYTES_MAX).await {
                    Ok(answer) => return (*peer, answer),
                    Err(error) => tracing::debug!(%peer, %error, "a peer says nothing of what it offers"),
                }
                sleep(ASK_AGAIN).await;
            }
        });
        let mut answers: FuturesUnordered<_> = asking.collect();
        let (mut found, mut lies, mut until) = (Vec::new(), Vec::new(), Instant::now() + OFFER_WAIT);
        while let Ok(Some((by, answer))) = timeout_at(until, answers.next()).await {
            if answer.is_empty() {
                continue;
            }
            match Offer::from_bytes(&answer).map_err(Lie::from).and_then(|offer| offer.check(&self.rules)) {
                Ok(offer) => {
                    found.push(Offered { by, offer });
                    until = until.min(Instant::now() + FURTHER_OFFERS_WAIT);
                }
                Err(lie) => lies.push((by, lie)),
            }
        }
        drop(answers);
        let past: Vec<_> = found
            .iter()
            .filter(|one| found.iter().any(|other| one.offer.is_of_a_past_set(&other.offer)))
            .map(|one| one.by)
            .collect();
        lies.extend(past.iter().map(|by| (*by, Lie::PastSet)));
        found.retain(|offered| !past.contains(&offered.by));
        lies.iter().for_each(|(peer, lie)| self.name(*peer, lie));
        found.sort_by_key(|Offered { by, offer }| (Reverse((offer.hand_overs(), offer.height())), *by));
        let gave: BTreeSet<_> = found.iter().map(|offered| offered.by).collect();
        self.asked.make_contiguous().sort_by_key(|peer| !gave.contains(peer));
        found.into()
    }

    async fn piece(&mut self, offer: &CheckedOffer, piece: Piece) -> Result<Checked, String> {
        let question = Question::Piece(offer.height(), piece).to_bytes();
        let until = Instant::now() + PIECE_WAIT;
        loop {
            for peer in self.asked.clone() {
                let started = Instant::now();
                let answer = self.client.ask(peer, &question, PIECE_BYTES_MAX).await;
                let gave = match answer {
                    Ok(bytes) if bytes.is_empty() => None,
                    Ok(bytes) => match offer.check(&self.rules, piece, bytes) {
                        Ok(checked) => Some(checked),
                        Err(lie) => {
                            self.name(peer, &lie);
                            continue;
                        }
                    },
                    Err(error) => {
                        tracing::debug!(%peer, %piece, %error, "a piece was not sent");
                        None
                    }
                };
                if gave.is_none() || started.elapsed() > SLOW {
                    self.asked.rotate_left(1);
                }
                if let Some(checked) = gave {
                    return Ok(checked);
                }
            }
            if self.asked.is_empty() || Instant::now() >= until {
                return Err(format!("nobody gives {piece}"));
            }
            sleep(ASK_AGAIN).await;
        }
    }
}
