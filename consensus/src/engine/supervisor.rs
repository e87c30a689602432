//! Which session runs: with a vote, or without one until the rules of [`super::recall`] allow it.
//!
//! ```text
//!            ┌────────── enough answers, all is well ───────────┐
//!  Asking ───┤ (follows meanwhile)                              ▼
//!            └─ something may be forgotten ─▶ NotThrough(h) ─▶ Votes ─┐ the guard refused
//!                                                 ▲  h decided [`Mute`]│
//!                                                 └───────────────────┘
//!  Never, GuardMissing: follows; a hand-over (G-3) begins at Asking, and ends at Never, whatever the state
//! ```

use super::blocks::{Judge, blocking};
use super::connector::Ended;
use super::recall::{self, Answer, Mute, Permission, Question, Why, answers_needed};
use super::session::{self, Home, Part};
use super::signing::SigningStopped;
use super::wal::Recovered;
use super::witness::QuorumSeen;
use super::{EngineConfig, EngineError, Vote};
use crate::port::{MustStop, Tip};
use std::collections::BTreeMap;
use std::future::Future;
use std::sync::Arc;
use std::time::Duration;
use tokio::sync::{mpsc, oneshot, watch};

/// One round of asking. The first one delays the start of the engine by this at most.
const ASK_DEADLINE: Duration = Duration::from_secs(2);

pub struct Supervisor {
    pub home: Home,
    pub recovered: Recovered,
    pub quorums: mpsc::UnboundedReceiver<QuorumSeen>,
    pub stopping: watch::Receiver<bool>,
}

impl Supervisor {
    pub async fn run(mut self) -> Result<(), EngineError> {
        while !*self.stopping.borrow() {
            if self.stand_by_the_set().await {
                // Usually all start together and the answers are there at once; then no session without a vote is needed.
                let stop = asked_to_stop(self.stopping.clone());
                tokio::select! {
                    answers = ask_round(&self.home.judge, &self.home.config) => if let Some(answers) = answers { self.judge(&answers).await },
                    () = stop => return Ok(()),
                }
            }
            let ended = match self.vote() {
                Vote::Votes => self.session_with_a_vote().await?,
                Vote::Asking => self.session_while_asking().await?,
                Vote::NotThrough { height, .. } if self.is_over(height).await => {
                    self.say(Vote::Votes);
                    continue;
                }
                Vote::NotThrough { height, .. } => self.session_without_a_vote(Some(self.mute(height))).await?,
                Vote::Never | Vote::GuardMissing => self.session_without_a_vote(None).await?,
            };
            match ended {
                Ended::Asked | Ended::MuteOver | Ended::SetChanged => {}
                Ended::MustStop(must_stop) => return Err(must_stop.into()),
                Ended::EngineFailed(reason) => self.failed(reason).await?,
            }
        }
        Ok(())
    }

    /// G-3: who is in the set that decides the next height asks before it votes (B-9), who is not follows. True when this node has
    /// just come in.
    async fn stand_by_the_set(&mut self) -> bool {
        let line = self.tip().await.validators.get(self.home.config.me).cloned();
        let key = self.home.signer.as_ref().map(|signer| signer.key.public_key());
        let has_another_key = line.as_ref().zip(key).is_some_and(|(line, key)| line.consensus != key);
        if has_another_key {
            tracing::error!(
                "the set names another consensus key for this participant: it follows until it starts with that key"
            );
        }
        let is_in = self.home.has_key && line.is_some() && !has_another_key;
        match (is_in, self.vote()) {
            (true, Vote::Never) if self.home.signer.is_none() => self.say(Vote::GuardMissing),
            (true, Vote::Never) => {
                self.say(Vote::Asking);
                return true;
            }
            (false, Vote::Never) | (true, _) => {}
            (false, _) => self.say(Vote::Never),
        }
        false
    }

    async fn session_with_a_vote(&mut self) -> Result<Ended, EngineError> {
        // What the log held belongs to the first session that votes: a later one starts at a later height.
        let recovered = std::mem::take(&mut self.recovered);
        let stop = asked_to_stop(self.stopping.clone());
        Ok(self.session(Part::Votes(recovered), stop).await?.0)
    }

    async fn session_without_a_vote(&mut self, mute: Option<Mute>) -> Result<Ended, EngineError> {
        let stop = asked_to_stop(self.stopping.clone());
        Ok(self.session(Part::Follows { mute }, stop).await?.0)
    }

    async fn is_over(&self, through: ledger_types::Height) -> bool {
        let tip = self.tip().await;
        self.mute(through).is_over(tip.height, tip.time_ms)
    }

    fn mute(&self, through: ledger_types::Height) -> Mute {
        let from_ms = |signer: &super::signing::GuardedSigner| {
            signer.guard.lock().expect("no holder of the guard panics").votes_from_ms()
        };
        Mute { through, from_ms: self.home.signer.as_ref().map_or(0, from_ms) }
    }

    async fn session_while_asking(&mut self) -> Result<Ended, EngineError> {
        let (judge, config) = (self.home.judge.clone(), Arc::clone(&self.home.config));
        let stop = asked_to_stop(self.stopping.clone());
        let asking = async move {
            tokio::select! {
                answers = ask(&judge, &config) => Some(answers),
                () = stop => None,
            }
        };
        let (ended, answers) = self.session(Part::Follows { mute: None }, asking).await?;
        if let Some(Some(answers)) = answers {
            self.judge(&answers).await;
        }
        Ok(ended)
    }

    /// Runs a session until it ends or `until` is there.
    async fn session<T>(
        &mut self,
        part: Part,
        until: impl Future<Output = T>,
    ) -> Result<(Ended, Option<T>), EngineError> {
        let (stop, stopped) = oneshot::channel();
        let session = session::run(&self.home, part, &mut self.quorums, stopped);
        tokio::pin!(session, until);
        tokio::select! {
            ended = &mut session => Ok((ended?, None)),
            value = &mut until => {
                let _ = stop.send(());
                Ok((session.await?, Some(value)))
            }
        }
    }

    async fn failed(&mut self, reason: String) -> Result<(), EngineError> {
        let stopped =
            self.home.signer.as_ref().and_then(|signer| signer.stopped.lock().expect("no holder panics").take());
        match stopped {
            Some(SigningStopped::Refused(refusal)) => {
                let height = self.tip().await.height.next();
                tracing::error!(%refusal, %height, "following without a vote until the others have decided this height");
                self.say(Vote::NotThrough { height, why: Why::GuardRefused });
                Ok(())
            }
            Some(stopped) => Err(MustStop(stopped.to_string()).into()),
            None => Err(EngineError::Failed(reason)),
        }
    }

    /// B-9.
    async fn judge(&mut self, answers: &[Answer]) {
        let tip = self.tip().await;
        let Some(signer) = &self.home.signer else { return };
        let permission = {
            let guard = signer.guard.lock().expect("no holder of the guard panics");
            let question = Question {
                chain: &self.home.judge.chain,
                me: self.home.config.me,
                key: signer.key.public_key(),
                guard: &guard,
                log: &self.recovered,
                tip: tip.height,
                tip_time_ms: tip.time_ms,
                validators: tip.validators.len(),
            };
            question.judge(answers)
        };
        match permission {
            Permission::May => self.say(Vote::Votes),
            Permission::NotThrough { height, why } => {
                tracing::error!(%height, %why, "following without a vote until the others have decided this height");
                self.say(Vote::NotThrough { height, why });
            }
        }
    }

    async fn tip(&self) -> Tip {
        tip(&self.home.judge).await
    }

    fn vote(&self) -> Vote {
        self.home.status.borrow().vote.clone()
    }

    fn say(&self, vote: Vote) {
        self.home.status.send_modify(|status| status.vote = vote);
    }
}

/// Also when the one who could ask is gone.
async fn asked_to_stop(mut stopping: watch::Receiver<bool>) {
    let _ = stopping.wait_for(|stop| *stop).await;
}

async fn tip(judge: &Judge) -> Tip {
    let application = Arc::clone(&judge.application);
    blocking(move || application.tip()).await
}

async fn ask(judge: &Judge, config: &EngineConfig) -> Vec<Answer> {
    loop {
        let began = tokio::time::Instant::now();
        if let Some(answers) = ask_round(judge, config).await {
            return answers;
        }
        tokio::time::sleep_until(began + ASK_DEADLINE).await;
    }
}

/// None while fewer than n − f − 1 others have answered.
async fn ask_round(judge: &Judge, config: &EngineConfig) -> Option<Vec<Answer>> {
    let validators = tip(judge).await.validators;
    let needed = answers_needed(validators.len());
    if needed == 0 {
        return Some(Vec::new());
    }
    let said = judge.supply.ask_peers(recall::REQUEST.to_vec(), needed, ASK_DEADLINE).await;
    let of_validators = said.into_iter().filter(|(from, _)| *from != config.me && validators.get(*from).is_some());
    let answers: BTreeMap<_, _> =
        of_validators.filter_map(|(from, bytes)| Some((from, Answer::parse(&bytes)?))).collect();
    (answers.len() >= needed).then(|| answers.into_values().collect())
}
