//! The follower: looks at every observer in turn, verifies, and changes the view.

use super::belief::Belief;
use super::tail::{Tail, TailError};
use super::{Failure, Ledger, Settle, Tip, UpstreamStanding, UpstreamView, View, note_head, outcome};
use crate::ledger::upstream::{Upstream, UpstreamError};
use eyre::bail;
use ledger_tree::note::{CosignerKey, Note};
use ledger_types::participant::Roles;
use ledger_types::{Decode, ParticipantNumber};
use ledger_verify::{HandOver, Reason, STATE_PROOF_BYTES_MAX, StateProof, verify_supply};
use node_api::ledger as doc;
use node_api::log::{HAND_OVERS_BYTES_MAX, HandOvers};
use std::sync::Arc;
use tokio::sync::watch;

const STATUS_BYTES_MAX: usize = 64 << 10;
const SUPPLY_BYTES_MAX: usize = 2 * STATE_PROOF_BYTES_MAX + 4096;

impl Ledger {
    /// The first look, before the site is opened: an observer that is none, or of another chain, is refused by name. One that
    /// does not answer is waited for; the site is open meanwhile.
    pub async fn open(&self) -> eyre::Result<()> {
        self.look().await;
        for upstream in &self.view().upstreams {
            match upstream.standing {
                UpstreamStanding::IsValidator => {
                    bail!("{} is a validator: the site stands over observers alone", upstream.base)
                }
                UpstreamStanding::OtherChain => bail!("{} is of another chain than the pinned genesis", upstream.base),
                UpstreamStanding::Unknown
                | UpstreamStanding::Answers
                | UpstreamStanding::Silent
                | UpstreamStanding::Lies(_) => {}
            }
        }
        Ok(())
    }

    pub async fn follow(self: Arc<Self>, mut stop: watch::Receiver<bool>) {
        // An error means that the sender is gone: the process is ending anyway.
        let stopped = async { drop(stop.wait_for(|stop| *stop).await) };
        let looks = async {
            loop {
                tokio::time::sleep(self.poll).await;
                self.look().await;
            }
        };
        tokio::select! { () = stopped => {} () = looks => {} }
    }

    /// One look at every observer, at all of them at once: one that is silent keeps no other waiting.
    pub async fn look(&self) {
        let looks = self.upstreams.iter().enumerate().map(|(n, upstream)| self.look_once(n, upstream));
        futures::future::join_all(looks).await;
    }

    async fn look_once(&self, n: usize, upstream: &Upstream) {
        let before = self.view().upstreams[n].clone();
        let (seen, tip) = self.look_at(upstream, before).await;
        let tail = match &tip {
            Some(tip) => self.grown_tail(upstream, tip).await,
            None => None,
        };
        self.view.send_modify(|view| {
            let mut changed = View::clone(view);
            changed.upstreams[n] = seen;
            if let Some(tip) = tip.filter(|tip| is_newer(tip, changed.tip.as_deref())) {
                changed.tip = Some(tip);
            }
            if let Some(tail) = tail.filter(|tail| tail.reaches_further_than(&changed.tail)) {
                changed.tail = tail;
            }
            changed.split = self.belief.split();
            *view = Arc::new(changed);
        });
    }

    async fn look_at(&self, upstream: &Upstream, mut seen: UpstreamView) -> (UpstreamView, Option<Arc<Tip>>) {
        seen.standing = match upstream.json::<doc::Status>("/v1/status", STATUS_BYTES_MAX).await {
            Ok(status) => {
                (seen.height, seen.name) = (status.height, status.name.clone());
                self.admits(&status)
            }
            Err(UpstreamError::Unreachable | UpstreamError::Refused(_) | UpstreamError::Busy) => {
                UpstreamStanding::Silent
            }
            Err(UpstreamError::Foreign) => UpstreamStanding::Lies(Failure::Invalid(Reason::Malformed)),
        };
        if seen.standing != UpstreamStanding::Answers {
            return (seen, None);
        }
        match self.tip_of(upstream).await {
            Ok(tip) => {
                seen.verified_at_ms = Some(self.clock.now_ms());
                (seen, Some(Arc::new(tip)))
            }
            Err(Settle::Silent) => (seen, None),
            Err(Settle::Failed(failure)) => {
                tracing::warn!(
                    upstream = upstream.base(),
                    code = failure.code(),
                    "an observer's state does not verify"
                );
                seen.standing = UpstreamStanding::Lies(failure);
                (seen, None)
            }
        }
    }

    /// Whether pages may be served over it. What it says of itself is checked against the pinned directory.
    fn admits(&self, status: &doc::Status) -> UpstreamStanding {
        self.belief.judge(|trust| {
            if status.genesis_hash != trust.chain().genesis_hash().to_string() {
                return UpstreamStanding::OtherChain;
            }
            let number = ParticipantNumber(status.participant);
            let line = trust.genesis().directory.get(number);
            let validates = trust.validators().get(number).is_some()
                || line.is_some_and(|line| line.roles.include(Roles::VALIDATOR) || line.is_central_bank());
            match status.role == "observer" && !status.votes && !validates {
                true => UpstreamStanding::Answers,
                false => UpstreamStanding::IsValidator,
            }
        })
    }

    async fn tip_of(&self, upstream: &Upstream) -> Result<Tip, Settle> {
        let asked = upstream.json::<doc::Supply>("/v1/supply", SUPPLY_BYTES_MAX).await;
        let answer = asked.map_err(|error| match error {
            UpstreamError::Foreign => Settle::Failed(Failure::Invalid(Reason::Malformed)),
            // No checkpoint yet, or no answer.
            UpstreamError::Unreachable | UpstreamError::Refused(_) | UpstreamError::Busy => Settle::Silent,
        })?;
        let malformed = || Settle::Failed(Failure::Invalid(Reason::Malformed));
        let bytes = hex::decode(&answer.proof).map_err(|_| malformed())?;
        let proof = StateProof::from_bytes(&bytes).map_err(|_| malformed())?;
        let check = || self.belief.judge(|trust| verify_supply(trust, &proof, self.clock.now_ms()));
        let mut checked = outcome(check());
        if checked == Err(Failure::Invalid(Reason::OmittedUpdate)) {
            // G-3: the set was handed over meanwhile. What leads there is asked for, and verified.
            self.take_hand_overs(upstream).await;
            checked = outcome(check());
        }
        let supply = checked.map_err(|failure| {
            self.note_split(&failure, upstream, note_head(&proof.checkpoint));
            Settle::Failed(failure)
        })?;
        self.settle(upstream, supply.state().head()).await?;
        let note = String::from_utf8(proof.checkpoint.to_vec()).map_err(|_| malformed())?;
        let signed_at_ms = supply.state().signed_at_ms();
        Ok(Tip { cosigned: cosigned(&self.belief, &note), supply, proof: answer.proof, note, signed_at_ms })
    }

    async fn take_hand_overs(&self, upstream: &Upstream) {
        let asked = upstream.json::<HandOvers>("/v1/hand-overs", HAND_OVERS_BYTES_MAX).await;
        let Ok(HandOvers { hand_overs }) = asked else { return };
        let known = self.belief.judge(|trust| trust.hand_overs());
        for text in hand_overs.iter().skip(usize::try_from(known).unwrap_or(usize::MAX)) {
            let Ok(bytes) = hex::decode(text) else { return };
            let Ok(document) = HandOver::from_bytes(&bytes) else { return };
            if !self.belief.hand_over(&document).is_verified() {
                return;
            }
        }
    }

    /// The log's end up to this tip, and a step back if its beginning is not counted yet; none if the observer cannot or does not
    /// give it: lists then stay as they were.
    async fn grown_tail(&self, upstream: &Upstream, tip: &Tip) -> Option<Arc<Tail>> {
        let (head, mut tail) = (tip.state().head(), self.view().tail.clone());
        // The first look is waited for at the start: the beginning is left to those that follow.
        let is_cut = tail.events().first_leaf() > 0;
        let unread = |error: TailError| tracing::debug!(upstream = upstream.base(), %error, "the log's leaves could not be read");
        if head.size > tail.size() {
            let grown = tail.grow(upstream, head, self.history_leaves, self.clock.now_ms()).await;
            tail = Arc::new(grown.map_err(unread).ok()?);
        }
        if is_cut {
            match tail.reach_back(upstream).await {
                Ok(longer) => tail = Arc::new(longer),
                Err(error) => unread(error),
            }
        }
        Some(tail)
    }
}

fn is_newer(tip: &Tip, than: Option<&Tip>) -> bool {
    than.is_none_or(|than| (tip.state().head().size, tip.signed_at_ms) > (than.state().head().size, than.signed_at_ms))
}

/// Of a note that was verified: every line is the log's or a validator's.
fn cosigned(belief: &Belief, note: &str) -> Vec<(ParticipantNumber, u64)> {
    let Ok(note) = Note::parse(note.as_bytes()) else { return Vec::new() };
    belief.judge(|trust| {
        let time = |validator: &ledger_types::participant::Validator| {
            let name = trust.genesis().cosigner_name(validator.number);
            let key = CosignerKey::new(&name, &validator.cosign.0).ok()?;
            Some((validator.number, key.cosigned(&note).ok()??))
        };
        trust.validators().iter().filter_map(time).collect()
    })
}
