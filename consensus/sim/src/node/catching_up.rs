//! Decided heights for those behind and from those ahead: the engine's sync actor (modelled, one request at a time) and the
//! connector's part of it.

use super::connector::{Judged, Known};
use super::{Ctx, Local, Node, Packet, To};
use crate::network::Micros;
use arc_malachitebft_app_channel::app::types::codec::Codec;
use arc_malachitebft_core_consensus::Input;
use arc_malachitebft_core_types::{Round, Validity, ValueOrigin, ValueResponse};
use arc_malachitebft_sync as sync;
use bytes::Bytes;
use consensus::engine::blocks::{Origin, Verdict};
use consensus::engine::codec::EngineCodec;
use consensus::engine::context::{Address, Assay, EngineHeight, certificate_from_ledger};
use consensus::engine::parts;
use consensus::port::Application as _;
use ledger_types::block::{BLOCK_BYTES_MAX, Block};
use ledger_types::{Decode, Height};
use rand::Rng;
use std::collections::BTreeMap;
use std::sync::Arc;

const BATCH: u64 = 16;
const DEADLINE: Micros = 1_500_000;

#[derive(Default)]
pub struct SyncState {
    tips: BTreeMap<usize, Height>,
    asked: Option<(usize, Micros)>,
    values: BTreeMap<Height, (usize, sync::RawDecidedValue<Assay>)>,
}

#[derive(Debug)]
pub struct Synced {
    value: ValueResponse<Assay>,
    proposer: Address,
}

impl Node {
    pub fn on_status(&mut self, ctx: &mut Ctx<'_>, from: usize, height: Height) {
        self.heard(height);
        self.sync.tips.insert(from, height);
        self.catch_up(ctx);
    }

    /// Asks one of those that say they are ahead.
    pub fn catch_up(&mut self, ctx: &mut Ctx<'_>) {
        let in_flight = self.sync.asked.is_some_and(|(_, until)| ctx.now < until);
        if !self.in_session || in_flight || self.sync.values.contains_key(&self.tip.height.next()) {
            return;
        }
        let tip = self.tip.height;
        let ahead: Vec<(usize, Height)> =
            self.sync.tips.iter().filter(|(_, height)| **height > tip).map(|(peer, height)| (*peer, *height)).collect();
        if ahead.is_empty() {
            return;
        }
        let (peer, height) = ahead[ctx.rng.gen_range(0..ahead.len())];
        self.sync.asked = Some((peer, ctx.now + DEADLINE));
        let last = Height(height.0.min(tip.0 + BATCH));
        ctx.send(To::One(peer), Packet::SyncRequest(tip.next(), last));
    }

    pub fn on_sync_request(&mut self, ctx: &mut Ctx<'_>, from: usize, first: Height, last: Height) {
        let mut values = Vec::new();
        for height in (first.0..=last.0).take(BATCH as usize) {
            let Some(decided) = self.durable.application.decided(Height(height)) else { break };
            let certificate = certificate_from_ledger(&decided.certificate);
            values.push(sync::RawDecidedValue::new(parts::encode(&decided.block), certificate));
        }
        let response = sync::Response::ValueResponse(sync::ValueResponse::new(EngineHeight(first), values));
        ctx.send(To::One(from), Packet::SyncResponse(EngineCodec.encode(&response).expect("total")));
    }

    pub fn on_sync_response(&mut self, ctx: &mut Ctx<'_>, from: usize, bytes: &Bytes) {
        if self.sync.asked.is_none_or(|(peer, _)| peer != from) {
            return;
        }
        self.sync.asked = None;
        let decoded = Codec::<sync::Response<Assay>>::decode(&EngineCodec, bytes.clone());
        let Ok(sync::Response::ValueResponse(response)) = decoded else { return };
        // What was asked for, from the first on without a gap.
        let wanted = (self.tip.height.0 + 1..=self.tip.height.0 + BATCH).map(Height);
        for (height, value) in wanted.zip(response.values) {
            if value.certificate.height.0 != height {
                ctx.trace.count("sync: not what was asked for");
                break;
            }
            self.sync.values.insert(height, (from, value));
        }
        self.feed_synced(ctx);
    }

    /// Gives the engine the value of its height, if it came.
    pub fn feed_synced(&mut self, ctx: &mut Ctx<'_>) {
        let Some(height) = self.core.as_ref().map(|core| core.height().0) else { return };
        self.sync.values.retain(|of, _| *of >= height);
        if height != self.tip.height.next() {
            return;
        }
        let Some((peer, value)) = self.sync.values.remove(&height) else { return };
        let response = ValueResponse::new(self.peer_ids[peer], value.value_bytes, value.certificate);
        self.input(ctx, Input::SyncValueResponse(response));
    }

    /// Whatever else this answer held is not worth more.
    pub fn sync_failed(&mut self, height: Height) {
        if height > self.tip.height {
            self.sync.values.clear();
        }
    }

    pub fn judge_synced(&mut self, ctx: &mut Ctx<'_>, value: ValueResponse<Assay>, proposer: Address) {
        let after = ctx.rng.gen_range(50..2_000);
        self.later(ctx, after, Local::Synced(Box::new(Synced { value, proposer })));
    }

    pub fn on_synced(&mut self, ctx: &mut Ctx<'_>, Synced { value, proposer }: Synced) {
        let (height, round) = (value.certificate.height.0, value.certificate.round);
        let bytes = value.value_bytes.clone();
        let block = (bytes.len() <= BLOCK_BYTES_MAX).then(|| Block::from_bytes(&bytes).ok()).flatten(); // B-11
        let Some(block) = block.filter(|block| block.header.height == height) else {
            ctx.trace.count("sync: value refused");
            return self.sync_failed(height);
        };
        if height != self.tip.height.next() {
            return self.sync_failed(height);
        }
        let hash = block.hash(&self.chain);
        let mut known = Known::new(block, bytes, round.as_u32().unwrap_or(0), Origin::Vouched);
        let valid = self.known.get(&(height, hash)).and_then(|known| match &known.state {
            Judged::Valid(bundles) => Some(Arc::clone(bundles)),
            _ => None,
        });
        let verdict = match valid {
            Some(bundles) => Verdict::Valid(bundles),
            None => self.verdict_of(ctx, hash, &Arc::clone(&known.block), Origin::Vouched),
        };
        let is_committing = self.deciding.as_ref().is_some_and(|deciding| {
            deciding.committing && (deciding.certificate.height, deciding.certificate.block) == (height, hash)
        });
        if is_committing {
            return self.sync_failed(height);
        }
        known.state = match verdict {
            Verdict::Valid(bundles) => Judged::Valid(bundles),
            Verdict::Refused(reason) => Judged::Refused(reason),
            Verdict::Malformed(_) => {
                ctx.trace.count("sync: value refused");
                return self.sync_failed(height);
            }
            Verdict::BundlesMissing => {
                // The engine's sync asks for the height again; that comes to the same.
                let after = 100_000;
                return self.later(ctx, after, Local::Synced(Box::new(Synced { value, proposer })));
            }
            Verdict::Withheld => return self.sync_failed(height),
        };
        let validity = Validity::from_bool(matches!(known.state, Judged::Valid(_)));
        if validity.is_valid() {
            self.synced = true;
            if self.active == height {
                if let Err(reason) = self.log_block(height, known.proposals[0].round, false, &known.encoded) {
                    return self.must_stop(ctx, reason);
                }
                known.logged = true;
            }
        }
        if let Some(before) = self.known.get(&(height, hash)) {
            known.proposals.extend(&before.proposals);
            known.off_ms = before.off_ms;
            known.own_rounds.clone_from(&before.own_rounds);
        }
        self.known.insert((height, hash), known);
        if let Err(reason) = self.alarm_if_others_decided((height, hash)) {
            return self.must_stop(ctx, reason);
        }
        let mut proposed = self.proposed_value(height, round, hash, validity);
        proposed.proposer = proposer;
        proposed.round = Round::new(round.as_u32().unwrap_or(0));
        if hash == value.certificate.value_id {
            self.feed(ctx, Input::ProposedValue(proposed, ValueOrigin::Sync));
        } else {
            ctx.trace.count("sync: value refused");
            self.sync_failed(height);
        }
        if let Err(reason) = self.commit_when_judged(ctx) {
            self.must_stop(ctx, reason);
        }
    }
}
