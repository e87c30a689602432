//! What Malachite's consensus actor does around its core, event by event; the core itself is the shipped one.

use super::{Ctx, Gone, Local, Node, Packet, To};
use crate::bugs::Bug;
use arc_malachitebft_app_channel::app::engine::wal::{decode_entry, encode_entry};
use arc_malachitebft_app_channel::app::types::codec::Codec;
use arc_malachitebft_core_consensus::{
    ConsensusMsg, Effect, Error, Input, LivenessMsg, Params, Resumable, Resume, SignedConsensusMsg, State,
    ValuePayload, process,
};
use arc_malachitebft_core_types::{
    CertificateError, ExtendedCommitCertificate, SignedMessage, Timeout, ValidatorSet as _, VoteExtensionPolicy,
};
use arc_malachitebft_signing::{Verifier, VerifierExt};
use bytes::Bytes;
use consensus::engine::Timeouts;
use consensus::engine::codec::EngineCodec;
use consensus::engine::context::{Assay, BlockProposal, BlockVote, EngineHeight, ValidatorSet};
use consensus::engine::recall;
use consensus::engine::signing::{SigningStopped, address, log_proposal, log_vote, proposal_position, sign_durably};
use consensus::engine::wal::RecordKind;
use consensus::guard::Position;
use futures::FutureExt;
use ledger_types::Tag;
use ledger_types::encoding::Encode;
use ledger_types::keys::Signature;
use std::collections::BTreeSet;

/// Of messages for heights to come; as the engine's own configuration has it.
const QUEUE_HEIGHTS: usize = 10;
const QUEUE_PER_HEIGHT: usize = 500;
const BUFFER_MAX: usize = 1024;

#[derive(Debug)]
pub enum Failure {
    Refused(String),
    MustStop(String),
    Engine(String),
}

impl std::fmt::Display for Failure {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "{self:?}")
    }
}

impl Node {
    pub fn on_consensus_message(&mut self, ctx: &mut Ctx<'_>, bytes: &Bytes) {
        let Ok(message) = Codec::<SignedConsensusMsg<Assay>>::decode(&EngineCodec, bytes.clone()) else { return };
        self.heard(message.height().0);
        let input = match message {
            SignedConsensusMsg::Vote(vote) => Input::Vote(vote),
            SignedConsensusMsg::Proposal(proposal) => Input::Proposal(proposal),
        };
        self.input_or_buffer(ctx, input);
    }

    pub fn on_liveness_message(&mut self, ctx: &mut Ctx<'_>, bytes: &Bytes) {
        let Ok(message) = Codec::<LivenessMsg<Assay>>::decode(&EngineCodec, bytes.clone()) else { return };
        let input = match message {
            LivenessMsg::Vote(vote) => {
                self.heard(vote.message.height.0);
                Input::Vote(vote)
            }
            LivenessMsg::PolkaCertificate(certificate) => Input::PolkaCertificate(certificate),
            LivenessMsg::SkipRoundCertificate(certificate) => Input::RoundCertificate(certificate),
        };
        self.input_or_buffer(ctx, input);
    }

    pub fn input_or_buffer(&mut self, ctx: &mut Ctx<'_>, input: Input<Assay>) {
        if !self.in_session {
            return;
        }
        match self.core.is_some() {
            true => self.input(ctx, input),
            false if self.buffer.len() < BUFFER_MAX => self.buffer.push(input),
            false => {}
        }
    }

    pub fn on_timer(&mut self, ctx: &mut Ctx<'_>, timeout: Timeout, token: u64) {
        let Some(at) = self.timers.iter().position(|timer| *timer == (timeout, token)) else { return };
        self.timers.remove(at);
        if self.durable.bug == Some(Bug::TimeoutsLost) {
            return;
        }
        self.input(ctx, Input::TimeoutElapsed(timeout));
    }

    /// Drives the core until it has nothing more to ask for.
    pub fn input(&mut self, ctx: &mut Ctx<'_>, input: Input<Assay>) {
        if let Err(failure) = self.try_input(ctx, input) {
            self.session_failed(ctx, failure);
        }
    }

    fn try_input(&mut self, ctx: &mut Ctx<'_>, input: Input<Assay>) -> Result<(), Failure> {
        let Some(mut core) = self.core.take() else { return Ok(()) };
        let metrics = self.metrics.clone();
        let mut failure = None;
        let result: Result<(), Error<Assay>> = process!(
            input: input,
            state: &mut core,
            metrics: &metrics,
            with: effect => match (self.gone.is_some(), self.effect(ctx, effect)) {
                (_, Ok(resume)) => Ok::<_, Failure>(resume),
                (_, Err(failed)) => {
                    failure.get_or_insert(failed);
                    Ok(Resume::Start) // unexpected everywhere: the core gives up
                }
            }
        );
        self.core = Some(core);
        match (failure, result) {
            (Some(failure), _) => Err(failure),
            (None, Err(error)) => Err(Failure::Engine(error.to_string())),
            (None, Ok(())) => Ok(()),
        }
    }

    /// Begins a height, with what the log holds of it.
    pub fn start_height(&mut self, ctx: &mut Ctx<'_>) {
        let (height, set) = (self.tip.height.next(), self.set.clone());
        let address = address(self.durable.me, self.votes);
        if self.core.is_none() {
            let params = Params {
                address,
                threshold_params: self.thresholds(),
                value_payload: ValuePayload::ProposalAndParts,
                enabled: true,
            };
            let engine_height = EngineHeight(height);
            self.core = Some(State::new(Assay, engine_height, set.clone(), params, QUEUE_HEIGHTS, QUEUE_PER_HEIGHT));
        }
        self.is_validator = set.get_by_address(&address).is_some();
        let entries = if self.is_validator { self.log_started(height) } else { Vec::new() };
        self.input(ctx, Input::StartHeight(EngineHeight(height), set, false, None, VoteExtensionPolicy::default()));
        if !entries.is_empty() && self.gone.is_none() && self.core.is_some() {
            ctx.trace.count("log: replayed");
            self.replay(ctx, &entries);
        }
        if self.gone.is_some() || !self.in_session {
            return;
        }
        for input in std::mem::take(&mut self.buffer) {
            self.input(ctx, input);
        }
        self.feed_synced(ctx);
    }

    /// As the shipped log actor.
    fn log_started(&mut self, height: ledger_types::Height) -> Vec<Input<Assay>> {
        let recovered = std::mem::take(&mut self.recovered);
        if recovered.height != Some(height) {
            self.wal.start(height);
            return Vec::new();
        }
        self.wal.resume(&recovered);
        let inputs = recovered.records.iter().filter(|record| record.kind == RecordKind::Input);
        inputs
            .map(|record| decode_entry(&EngineCodec, std::io::Cursor::new(&record.bytes)).expect("checksummed"))
            .collect()
    }

    fn replay(&mut self, ctx: &mut Ctx<'_>, entries: &[Input<Assay>]) {
        self.recovering = true;
        let core = self.core.as_mut().expect("started above");
        core.record_recovered_own_precommit_extensions(entries.iter());
        core.index_wal_entries(entries);
        for entry in entries {
            if let Err(failure) = self.try_input(ctx, entry.clone()) {
                self.recovering = false;
                self.session_failed(ctx, failure);
                return;
            }
        }
        if let Some(core) = &mut self.core {
            core.reset_entries_index();
        }
        self.recovering = false;
    }

    fn effect(&mut self, ctx: &mut Ctx<'_>, effect: Effect<Assay>) -> Result<Resume<Assay>, Failure> {
        Ok(match effect {
            Effect::CancelAllTimeouts(r) => {
                self.timers.clear();
                r.resume_with(())
            }
            Effect::CancelTimeout(timeout, r) => {
                self.timers.retain(|(of, _)| *of != timeout);
                r.resume_with(())
            }
            Effect::ScheduleTimeout(timeout, r) => {
                self.timers.retain(|(of, _)| *of != timeout);
                self.next_timer += 1;
                let token = self.next_timer;
                self.timers.push((timeout, token));
                let after = Timeouts::default().linear().duration_for(timeout).as_micros() as u64;
                self.later(ctx, after, Local::Timer(timeout, token));
                r.resume_with(())
            }
            Effect::StartRound(height, round, _, _, r) => {
                self.on_round(ctx, height.0, round).map_err(Failure::MustStop)?;
                r.resume_with(())
            }
            Effect::SignVote(vote, r) => r.resume_with(self.sign_vote(ctx, vote)?),
            Effect::SignProposal(proposal, r) => r.resume_with(self.sign_proposal(ctx, proposal)?),
            Effect::VerifySignature(message, key, r) => {
                let verified = match &message.message {
                    ConsensusMsg::Vote(vote) => {
                        self.verifier.verify_signed_vote(vote, &message.signature, &key).now_or_never()
                    }
                    ConsensusMsg::Proposal(proposal) => {
                        self.verifier.verify_signed_proposal(proposal, &message.signature, &key).now_or_never()
                    }
                };
                r.resume_with(verified.expect("awaits nothing").is_ok_and(|result| result.is_valid()))
            }
            Effect::VerifyCommitCertificate(certificate, set, thresholds, r) => {
                let verified = self.verifier.verify_commit_certificate(&Assay, &certificate, &set, thresholds);
                r.resume_with(verified.now_or_never().expect("awaits nothing"))
            }
            Effect::VerifyExtendedCommitCertificate(mut certificate, set, thresholds, policy, r) => {
                match self.durable.bug {
                    Some(Bug::SyncedUnchecked) => return Ok(r.resume_with(Ok(()))),
                    Some(Bug::DuplicateSigner) => return Ok(r.resume_with(self.count_twice(&certificate, &set))),
                    _ => {}
                }
                certificate.commit_signatures.truncate(set.count() + 1);
                let verified =
                    self.verifier.verify_extended_commit_certificate(&Assay, &certificate, &set, thresholds, policy);
                r.resume_with(verified.now_or_never().expect("awaits nothing"))
            }
            Effect::VerifyPolkaCertificate(certificate, set, thresholds, r) => {
                let verified = self.verifier.verify_polka_certificate(&Assay, &certificate, &set, thresholds);
                r.resume_with(verified.now_or_never().expect("awaits nothing"))
            }
            Effect::VerifyRoundCertificate(certificate, set, thresholds, r) => {
                let verified = self.verifier.verify_round_certificate(&Assay, &certificate, &set, thresholds);
                r.resume_with(verified.now_or_never().expect("awaits nothing"))
            }
            Effect::PublishConsensusMsg(message, r) => {
                let bytes = EngineCodec.encode(&message).expect("total");
                ctx.send(To::All, Packet::Consensus(bytes));
                r.resume_with(())
            }
            Effect::PublishLivenessMsg(message, r) => {
                ctx.send(To::All, Packet::Liveness(EngineCodec.encode(&message).expect("total")));
                r.resume_with(())
            }
            Effect::RepublishVote(vote, r) => {
                let bytes = EngineCodec.encode(&LivenessMsg::Vote(vote)).expect("total");
                ctx.send(To::All, Packet::Liveness(bytes));
                r.resume_with(())
            }
            Effect::RepublishRoundCertificate(certificate, r) => {
                let bytes = EngineCodec.encode(&LivenessMsg::SkipRoundCertificate(certificate)).expect("total");
                ctx.send(To::All, Packet::Liveness(bytes));
                r.resume_with(())
            }
            Effect::GetValue(height, round, _, r) => {
                if let Some(round) = round.as_u32() {
                    let after = rand::Rng::gen_range(ctx.rng, 50..500);
                    self.later(ctx, after, Local::GetValue(height.0, round));
                }
                r.resume_with(())
            }
            Effect::RestreamProposal(height, round, _, _, hash, r) => {
                self.publish(ctx, height.0, round, hash);
                r.resume_with(())
            }
            Effect::Decide(certificate, _, r) => {
                self.on_decided(ctx, &certificate).map_err(Failure::MustStop)?;
                r.resume_with(())
            }
            Effect::Finalize(_, _, evidence, r) => {
                if !evidence.is_empty() {
                    ctx.trace.count("evidence: seen");
                }
                self.held = true;
                r.resume_with(())
            }
            Effect::WalAppend(height, input, r) => {
                if !self.recovering && self.is_validator {
                    let mut bytes = Vec::new();
                    let appended = encode_entry(input, &EngineCodec, &mut bytes)
                        .and_then(|()| self.wal.append(height.0, RecordKind::Input, &bytes));
                    appended.map_err(|error| Failure::MustStop(error.to_string()))?;
                }
                r.resume_with(())
            }
            Effect::CertVerifiedSyncValue(value, proposer, r) => {
                self.judge_synced(ctx, value, proposer);
                r.resume_with(())
            }
            Effect::CertRejectedSyncValue(_, height, _, r) => {
                ctx.trace.count("sync: certificate refused");
                self.sync_failed(height.0);
                r.resume_with(())
            }
            Effect::ExtendVote(_, _, _, _, r) => r.resume_with(None),
            Effect::VerifyVoteExtension(.., r) => {
                r.resume_with(Err(arc_malachitebft_core_consensus::VoteExtensionError::InvalidVoteExtension))
            }
        })
    }

    fn sign_vote(&mut self, ctx: &mut Ctx<'_>, vote: BlockVote) -> Result<SignedMessage<Assay, BlockVote>, Failure> {
        let said = vote.to_ledger().ok_or_else(|| Failure::Engine("outside of any round".into()))?;
        let message = match self.durable.is_the_odd_one(Bug::WrongDomainTag) {
            true => self.chain.hash(Tag::Proposal, &[&said.to_bytes()]),
            false => said.message(&self.chain),
        };
        let signature = self.sign(ctx, recall::position(&said), message, said.message(&self.chain))?;
        ctx.trace.say(ctx.now, || {
            format!("node {} signs {} for {:?}", self.durable.index, recall::position(&said), said.block)
        });
        let signed = SignedMessage::new(vote, signature);
        if self.durable.bug != Some(Bug::SignedVoteNotLogged) {
            log_vote(&self.wal, &signed).map_err(|stopped| Failure::MustStop(stopped.to_string()))?;
        }
        Ok(signed)
    }

    fn sign_proposal(
        &mut self,
        ctx: &mut Ctx<'_>,
        proposal: BlockProposal,
    ) -> Result<SignedMessage<Assay, BlockProposal>, Failure> {
        let said = proposal.to_ledger().ok_or_else(|| Failure::Engine("outside of any round".into()))?;
        let message = said.message(&self.chain);
        let signature = self.sign(ctx, proposal_position(&said), message, message)?;
        ctx.trace.say(ctx.now, || {
            let (index, position, repeats) = (self.durable.index, proposal_position(&said), said.valid_round);
            format!("node {index} signs {position} for {:?}, valid round {repeats:?}", said.block)
        });
        let signed = SignedMessage::new(proposal, signature);
        if self.durable.bug != Some(Bug::SignedProposalNotLogged) {
            log_proposal(&self.wal, &signed).map_err(|stopped| Failure::MustStop(stopped.to_string()))?;
        }
        Ok(signed)
    }

    /// `right` is what the ledger says is to be signed.
    fn sign(
        &mut self,
        ctx: &mut Ctx<'_>,
        position: Position,
        message: [u8; 32],
        right: [u8; 32],
    ) -> Result<Signature, Failure> {
        let signed = match self.durable.bug {
            Some(Bug::GuardDropped) => Ok(self.durable.key.sign(&message)),
            _ => sign_durably(&self.wal, &mut self.guard, &self.durable.key, position, &message),
        };
        match signed {
            Ok(signature) => {
                ctx.oracle.signed(self.durable.index, position, &right, &signature, &self.durable.disk);
                Ok(signature)
            }
            Err(_) if self.durable.disk.is_dead() => {
                self.gone = Some(Gone::Died);
                Err(Failure::MustStop("the node has died".into()))
            }
            Err(SigningStopped::Refused(refusal)) => Err(Failure::Refused(refusal)),
            Err(stopped) => Err(Failure::MustStop(stopped.to_string())),
        }
    }

    /// A seeded bug: a signer counts as often as it is named.
    fn count_twice(
        &self,
        certificate: &ExtendedCommitCertificate<Assay>,
        set: &ValidatorSet,
    ) -> Result<(), CertificateError<Assay>> {
        let ledger = consensus::engine::context::certificate_to_ledger(&certificate.clone().trim_vote_extensions());
        let named: BTreeSet<_> = ledger.precommits.iter().map(|signed| signed.signer).collect();
        let counted = certificate.commit_signatures.len();
        let vote = |signer| ledger_types::vote::Vote {
            step: ledger_types::vote::VoteStep::Precommit,
            height: ledger.height,
            round: ledger.round,
            block: Some(ledger.block),
            validator: signer,
        };
        let all_hold = ledger.precommits.iter().all(|signed| {
            let key = self.tip.validators.get(signed.signer).map(|validator| validator.consensus);
            key.is_some_and(|key| {
                crate::signatures::verify(&key, &vote(signed.signer).message(&self.chain), &signed.signature)
            })
        });
        let is_quorum = self.tip.validators.is_quorum(counted as u64);
        match all_hold && !named.is_empty() && is_quorum {
            true => Ok(()),
            false => Err(CertificateError::NotEnoughVotingPower {
                signed: counted as u64,
                total: set.total_voting_power(),
                expected: 0,
            }),
        }
    }
}
