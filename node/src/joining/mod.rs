//! A node from nothing begins at a snapshot of others (B-7), instead of executing every block since the genesis.
//!
//! What stays true here:
//! - Only the genesis is trusted. An offer, and each piece of it, is checked before anything of it is written
//!   (`ledger_store::Offer`); the folder gets its name when it is whole, so a crash on the way begins anew.
//! - Whoever sends what was not committed to lies: named in the log, in the status and in the metrics, and not asked again. Whoever
//!   is not there, or has nothing, is passed over.
//! - Where nobody offers anything, as on a young chain, the node executes the blocks from the genesis on.

pub mod wire;

use crate::config::BeginsFrom;
use consensus::plane::PlanePeer;
use consensus::plane::state::StateClient;
use ledger_state::Rules;
use ledger_store::{AckGuard, CheckedOffer, JoinError, Lie, Memory, Offer, Piece, begins_from_nothing, join};
use ledger_types::genesis::Genesis;
use ledger_types::keys::SigningKey;
use ledger_types::{Decode, Encode, Height, ParticipantNumber};
use std::collections::BTreeMap;
use std::path::Path;
use std::time::{Duration, Instant};
use tokio::sync::mpsc;
use wire::Question;

/// For the others to be reached and to offer something, before blocks are executed instead.
const OFFER_WAIT: Duration = Duration::from_secs(30);
const ASK_AGAIN: Duration = Duration::from_millis(500);
/// Pieces that were fetched and not written yet: a few megabytes.
const FETCHED_AHEAD: usize = 16;
/// A piece that nobody gives in so many rounds over all peers is not to be had.
const ROUNDS_MAX: u32 = 20;

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
pub async fn begin(from: Beginning<'_>, guard: Option<AckGuard>) -> Result<(Joined, Option<AckGuard>), JoinError> {
    let path = from.state.join("ledger");
    if from.begins_from == BeginsFrom::Blocks || !begins_from_nothing(&path)? {
        return Ok((Joined::default(), guard));
    }
    let rules = Rules::new(from.genesis.clone());
    let client = StateClient::start(from.data_peer, from.peers, &from.genesis.directory);
    let client = client.map_err(|error| JoinError::Pieces(error.to_string()))?;
    let mut providers = Providers { client, rules, liars: BTreeMap::new() };
    let Some(offer) = providers.offer().await else {
        tracing::warn!("nobody offers a snapshot: this node executes the blocks from the genesis on");
        return Ok((Joined { height: None, liars: providers.liars }, guard));
    };
    let (height, started) = (offer.height(), Instant::now());
    tracing::info!(%height, pieces = offer.pieces().count(), "this node begins from a snapshot");
    let (sender, mut receiver) = mpsc::channel(FETCHED_AHEAD);
    let writing = tokio::task::spawn_blocking({
        let (offer, genesis) = (offer.clone(), from.genesis.clone());
        move || {
            let pieces = std::iter::from_fn(|| receiver.blocking_recv());
            let joined = join(&path, genesis, Memory::LEDGER, guard.as_ref(), &offer, pieces);
            joined.map(|()| guard)
        }
    });
    for piece in offer.pieces() {
        let fetched = providers.piece(&offer, piece).await;
        let ends = fetched.is_err();
        // The writer's own error is the one to show.
        if sender.send(fetched).await.is_err() || ends {
            break;
        }
    }
    drop(sender);
    let guard = writing.await.expect("writing a snapshot does not panic")?;
    tracing::info!(%height, took_ms = started.elapsed().as_millis() as u64, "the snapshot is whole");
    Ok((Joined { height: Some(height), liars: providers.liars }, guard))
}

struct Providers {
    client: StateClient,
    rules: Rules,
    liars: BTreeMap<ParticipantNumber, String>,
}

impl Providers {
    fn asked(&self) -> Vec<ParticipantNumber> {
        self.client.peers().filter(|peer| !self.liars.contains_key(peer)).collect()
    }

    fn name(&mut self, peer: ParticipantNumber, lie: &Lie) {
        let name = self.rules.genesis.directory.get(peer).map(|line| line.name.as_str().to_owned());
        tracing::error!(%peer, name = name.as_deref(), %lie, "A PEER LIES about the state: it is not asked again");
        self.liars.insert(peer, lie.to_string());
    }

    /// The highest that is offered in the first round in which something is.
    async fn offer(&mut self) -> Option<CheckedOffer> {
        let until = Instant::now() + OFFER_WAIT;
        loop {
            let (mut best, mut empty) = (None::<CheckedOffer>, 0);
            for peer in self.asked() {
                let Ok(answer) = self.client.ask(peer, &Question::Offer.to_bytes()).await else { continue };
                if answer.is_empty() {
                    empty += 1;
                    continue;
                }
                let offer = Offer::from_bytes(&answer).map_err(Lie::from).and_then(|offer| offer.check(&self.rules));
                match offer {
                    Ok(offer) if best.as_ref().is_none_or(|best| best.height() < offer.height()) => best = Some(offer),
                    Ok(_) => {}
                    Err(lie) => self.name(peer, &lie),
                }
            }
            let all_have_nothing = empty == self.asked().len();
            if best.is_some() || all_have_nothing || Instant::now() > until {
                return best;
            }
            tokio::time::sleep(ASK_AGAIN).await;
        }
    }

    async fn piece(&mut self, offer: &CheckedOffer, piece: Piece) -> Result<ledger_store::Checked, String> {
        let question = Question::Piece(offer.height(), piece).to_bytes();
        for round in 0..ROUNDS_MAX {
            if round > 0 {
                tokio::time::sleep(ASK_AGAIN).await;
            }
            for peer in self.asked() {
                let answer = match self.client.ask(peer, &question).await {
                    Ok(answer) if !answer.is_empty() => answer,
                    Ok(_) => continue,
                    Err(error) => {
                        tracing::debug!(%peer, %piece, %error, "a piece was not sent");
                        continue;
                    }
                };
                match offer.check(&self.rules, piece, answer) {
                    Ok(checked) => return Ok(checked),
                    Err(lie) => self.name(peer, &lie),
                }
            }
        }
        Err(format!("nobody gives {piece}"))
    }
}
