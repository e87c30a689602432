//! Decided heights for those that are behind, and from those that are ahead.
//!
//! What must stay true: a synced block is executed like any other, and its time is not compared with the clock (B-5); its bundles
//! come over the data plane; only what the sender could not have got right by itself is held against it; a block that is valid here
//! stays so, whatever a second check of it says: that one may have run on a tip that had moved.

use super::proposals::{Known, State};
use super::{Connector, Done};
use crate::engine::blocks::{Judged, Origin, Verdict, blocking};
use crate::engine::codec::SYNC_VALUES_MAX;
use crate::engine::context::{Address, Assay, EngineHeight, certificate_from_ledger};
use crate::engine::parts;
use crate::port::MustStop;
use arc_malachitebft_app_channel::app::engine::host::SyncedValueOutcome;
use arc_malachitebft_core_types::{Round, Validity};
use arc_malachitebft_sync::RawDecidedValue;
use bytes::Bytes;
use ledger_types::block::{BLOCK_BYTES_MAX, Block};
use ledger_types::{BlockHash, Decode, Height};
use ractor::RpcReplyPort;
use std::ops::RangeInclusive;
use std::sync::Arc;

/// One answer to a sync request.
const SYNC_ANSWER_BYTES_MAX: usize = 3 << 20;

pub struct SyncAnswer {
    pub round: Round,
    pub proposer: Address,
    pub reply: RpcReplyPort<SyncedValueOutcome<Assay>>,
}

impl Connector<'_> {
    pub fn on_get_first_height(&mut self, reply: RpcReplyPort<EngineHeight>) {
        let application = Arc::clone(&self.wiring.judge.application);
        self.others.spawn(blocking(move || drop(reply.send(EngineHeight(application.first_height())))));
    }

    pub fn on_get_decided(
        &mut self,
        range: RangeInclusive<EngineHeight>,
        reply: RpcReplyPort<Vec<RawDecidedValue<Assay>>>,
    ) {
        let application = Arc::clone(&self.wiring.judge.application);
        self.others.spawn(blocking(move || {
            let (mut values, mut bytes) = (Vec::new(), 0);
            for height in (range.start().0.0..=range.end().0.0).take(SYNC_VALUES_MAX) {
                let Some(decided) = application.decided(Height(height)) else { break };
                let encoded = parts::encode(&decided.block);
                bytes += encoded.len();
                if bytes > SYNC_ANSWER_BYTES_MAX && !values.is_empty() {
                    break;
                }
                values.push(RawDecidedValue::new(encoded, certificate_from_ledger(&decided.certificate)));
            }
            let _ = reply.send(values);
        }));
    }

    pub fn on_synced(&mut self, height: Height, bytes: Bytes, answer: SyncAnswer) {
        // B-11
        let block = (bytes.len() <= BLOCK_BYTES_MAX).then(|| Block::from_bytes(&bytes).ok()).flatten();
        let Some(block) = block.filter(|block| block.header.height == height) else {
            tracing::warn!(%height, "a synced value is no block of its height");
            let _ = answer.reply.send(SyncedValueOutcome::PeerFault);
            return;
        };
        if height != self.tip.height.next() {
            let _ = answer.reply.send(SyncedValueOutcome::LocalTransientError);
            return;
        }
        let hash = block.hash(&self.wiring.judge.chain);
        let known = Known::new(block, bytes, answer.round.as_u32().unwrap_or(0), Origin::Vouched);
        let (judge, tip, done, block) =
            (self.wiring.judge.clone(), self.tip.clone(), self.done_in.clone(), Arc::clone(&known.block));
        // Valid already: then there is nothing to execute a second time.
        let valid = self.known.get(&(height, hash)).and_then(|known| match &known.state {
            State::Valid(bundles) => Some(Arc::clone(bundles)),
            _ => None,
        });
        self.checks.spawn(async move {
            let Judged { verdict, turn } = match valid {
                Some(bundles) => Verdict::Valid(bundles).into(),
                None => judge.check(&tip, hash, block, Origin::Vouched, false).await,
            };
            let _ = done.send(Done::Synced { hash, known, verdict, answer });
            drop(turn);
        });
    }

    pub fn on_sync_judged(
        &mut self,
        hash: BlockHash,
        mut known: Known,
        verdict: Verdict,
        answer: SyncAnswer,
    ) -> Result<(), MustStop> {
        let height = known.block.header.height;
        let is_committing = self.deciding.as_ref().is_some_and(|deciding| {
            deciding.committing && (deciding.certificate.height, deciding.certificate.block) == (height, hash)
        });
        if height <= self.tip.height || is_committing {
            let _ = answer.reply.send(SyncedValueOutcome::LocalTransientError); // decided in the meantime
            return Ok(());
        }
        let before = self.known.get(&(height, hash)).map(|before| &before.state);
        let verdict = match before {
            Some(State::Valid(bundles)) => Verdict::Valid(Arc::clone(bundles)),
            _ => verdict,
        };
        known.state = match verdict {
            Verdict::Valid(bundles) => State::Valid(bundles),
            Verdict::Refused(reason) => State::Refused(reason),
            Verdict::Malformed(reason) => {
                tracing::warn!(%height, %reason, "a synced block is malformed");
                let _ = answer.reply.send(SyncedValueOutcome::PeerFault);
                return Ok(());
            }
            Verdict::Withheld | Verdict::BundlesMissing => {
                let _ = answer.reply.send(SyncedValueOutcome::LocalTransientError);
                return Ok(());
            }
        };
        let validity = Validity::from_bool(matches!(known.state, State::Valid(_)));
        if validity.is_valid() {
            self.synced = true;
            if self.active == height {
                self.log_block(height, known.proposals[0].round, false, &known.encoded)?;
                known.logged = true;
            }
        }
        if let Some(before) = self.known.get(&(height, hash)) {
            known.proposals.extend(&before.proposals);
            known.off_ms = before.off_ms;
            known.own_rounds.clone_from(&before.own_rounds);
        }
        self.known.insert((height, hash), known);
        // A refused block is only an alarm if it is the certified one; a lying peer may send another.
        self.alarm_if_others_decided((height, hash))?;
        let mut value = self.proposed_value(height, answer.round, hash, validity);
        value.proposer = answer.proposer;
        let _ = answer.reply.send(SyncedValueOutcome::Verdict(value));
        // After a restart the log decides before the block is judged; the check that runs for it is not listened to any more.
        self.commit_when_judged()
    }
}
