//! May this validator vote? The others remember what its own disk may have forgotten (B-9).
//!
//! What must stay true: before its first vote a validator has n − f − 1 answers of others to "which is the newest vote of mine
//! that you hold, and which height is in progress with you?", or it follows without a vote. Answers are claims: a vote counts
//! only with our own signature on it, and a height in progress counts only as far as at least one honest validator says so. That
//! keeps a liar from naming a height that is never reached, and not from naming one that is long over: where it matters what this
//! key signed before, as with a guard that was made anew, the time of our own tip decides and no claim ([`Mute`]).
//!
//! ```text
//!  guard                     log of this height    others hold of us   →
//!  certain                   reaches its mark      nothing newer       vote (an empty guard has signed nothing)
//!  certain                   misses its mark       –                   no vote in that height
//!  certain, ahead of our tip –                     –                   no vote through the guard's height
//!  uncertain                 –                     –                   no vote through the height in progress
//!  any                       –                     a newer vote        no vote through the height in progress
//!  made anew                 –                     –                   no vote on a tip that is not later than that
//!  missing                   –                     –                   no vote: the operator creates one
//! ```

use super::wal::Recovered;
use super::witness::Witness;
use crate::guard::{Position, SigningGuard, Step};
use crate::medium::Medium;
use crate::port::Tip;
use ledger_types::encoding::{Decode, Encode};
use ledger_types::keys::{PublicKey, Signature};
use ledger_types::vote::{Vote, VoteStep};
use ledger_types::{Chain, Height, ParticipantNumber, layout};
use std::fmt;

/// The one request that validators ask each other over the data plane.
pub const REQUEST: &[u8] = b"newest vote of mine";

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct SignedVote {
    pub vote: Vote,
    pub signature: Signature,
}
layout!(SignedVote { vote, signature });

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Answer {
    pub in_progress: Height,
    pub newest: Option<SignedVote>,
}
layout!(Answer { in_progress, newest });

impl Answer {
    /// From what was seen since the start, and from the tip's certificate. `begun` is the height that consensus is at.
    pub fn of(asker: ParticipantNumber, witness: &Witness, tip: &Tip, begun: Height) -> Self {
        let in_certificate = tip.certificate.as_ref().and_then(|certificate| {
            let precommit = certificate.precommits.iter().find(|precommit| precommit.signer == asker)?;
            let (height, round, block) = (certificate.height, certificate.round, Some(certificate.block));
            let vote = Vote { step: VoteStep::Precommit, height, round, block, validator: asker };
            Some((vote, precommit.signature))
        });
        let held = [witness.newest_of(asker), in_certificate].into_iter().flatten();
        let newest = held.max_by_key(|(vote, _)| position(vote));
        Answer {
            in_progress: begun.max(tip.height.next()),
            newest: newest.map(|(vote, signature)| SignedVote { vote, signature }),
        }
    }

    pub fn parse(bytes: &[u8]) -> Option<Self> {
        Answer::from_bytes(bytes).ok()
    }

    pub fn bytes(&self) -> Vec<u8> {
        self.to_bytes()
    }
}

pub fn position(vote: &Vote) -> Position {
    let step = match vote.step {
        VoteStep::Prevote => Step::Prevote,
        VoteStep::Precommit => Step::Precommit,
    };
    Position { height: vote.height, round: vote.round, step }
}

#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Permission {
    May,
    /// Not before this height is decided by others.
    NotThrough {
        height: Height,
        why: Why,
    },
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Why {
    /// The guard was made anew, and the blocks here are older.
    GuardRenewed,
    /// The guard's newest record may be lost.
    GuardUncertain,
    /// Our blocks end before what the guard has signed.
    GuardAhead,
    /// The log does not hold what led to the last signature.
    LogDamaged,
    /// Another validator holds a newer vote of ours than the guard.
    NewerVoteElsewhere,
    /// The guard refused what consensus asked it to sign.
    GuardRefused,
}

impl fmt::Display for Why {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Why::GuardRenewed => "the signing guard was made anew, and the key may have signed after our newest block",
            Why::GuardUncertain => "the signing guard's newest record may be lost",
            Why::GuardAhead => "the signing guard is ahead of our blocks",
            Why::LogDamaged => "the log does not hold what led to the last signature",
            Why::NewerVoteElsewhere => "another validator holds a newer vote of ours than our signing guard",
            Why::GuardRefused => "the signing guard refused what consensus asked it to sign",
        })
    }
}

/// Until when this validator follows without a vote.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Mute {
    /// Decided by others.
    pub through: Height,
    /// The tip's time, at least ([`SigningGuard::votes_from_ms`]). A key whose guard is lost signed before the guard was made anew,
    /// on a tip that was older still; a tip that is later lies at that height or above, so the next one is new to the key. An idle
    /// chain gets there within its minute (B-5).
    pub from_ms: u64,
}

impl Mute {
    pub fn is_over(&self, tip: Height, tip_time_ms: u64) -> bool {
        tip >= self.through && tip_time_ms >= self.from_ms
    }
}

/// How many of the others must answer: n − f − 1.
pub fn answers_needed(validators: usize) -> usize {
    let faulty = validators.saturating_sub(1) / 3;
    validators.saturating_sub(faulty + 1)
}

/// The highest height that at least one honest validator says is in progress: f of the answers may be lies.
fn in_progress(tip: Height, validators: usize, answers: &[Answer]) -> Height {
    let faulty = validators.saturating_sub(1) / 3;
    let mut claims: Vec<Height> = answers.iter().map(|answer| answer.in_progress).collect();
    claims.sort_by(|a, b| b.cmp(a));
    claims.get(faulty).copied().unwrap_or_default().max(tip.next())
}

pub struct Question<'a, F = std::fs::File> {
    pub chain: &'a Chain,
    pub me: ParticipantNumber,
    pub key: PublicKey,
    pub guard: &'a SigningGuard<F>,
    pub log: &'a Recovered,
    pub tip: Height,
    pub tip_time_ms: u64,
    pub validators: usize,
}

impl<F: Medium> Question<'_, F> {
    pub fn judge(&self, answers: &[Answer]) -> Permission {
        let next = self.tip.next();
        let running = in_progress(self.tip, self.validators, answers);
        let is_renewed = self.tip_time_ms < self.guard.votes_from_ms();
        let not_through = |height: Height, why| Permission::NotThrough {
            height: height.max(next),
            // What is waited for the longest.
            why: if is_renewed { Why::GuardRenewed } else { why },
        };
        // Only votes with our own signature on them are ours.
        let newest = answers
            .iter()
            .filter_map(|answer| answer.newest)
            .filter(|signed| self.is_ours(signed))
            .max_by_key(|s| position(&s.vote));
        let guarded = self.guard.last();
        if let Some(elsewhere) = newest {
            let is_known = guarded.is_some_and(|last| match position(&elsewhere.vote).cmp(&last.position) {
                std::cmp::Ordering::Less => true,
                std::cmp::Ordering::Equal => elsewhere.vote.message(self.chain) == last.message,
                std::cmp::Ordering::Greater => false,
            });
            if !is_known {
                return not_through(running.max(elsewhere.vote.height), Why::NewerVoteElsewhere);
            }
        }
        if is_renewed || !self.guard.is_certain() {
            let signed = guarded.map_or(next, |last| last.position.height);
            return not_through(running.max(signed), Why::GuardUncertain);
        }
        let Some(last) = guarded else { return Permission::May };
        if last.position.height > next {
            return not_through(last.position.height, Why::GuardAhead);
        }
        if last.position.height == next && !(self.log.height == Some(next) && self.log.reaches(&last.log)) {
            return not_through(next, Why::LogDamaged);
        }
        Permission::May
    }

    fn is_ours(&self, signed: &SignedVote) -> bool {
        signed.vote.validator == self.me && self.key.verify(&signed.vote.message(self.chain), &signed.signature)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::engine::wal::{RecordKind, Wal};
    use crate::guard::LogMark;
    use ledger_types::GenesisHash;
    use ledger_types::block::RENEWAL_MARGIN_MS;
    use ledger_types::keys::SigningKey;

    const ME: ParticipantNumber = ParticipantNumber(2);

    struct Node {
        folder: tempfile::TempDir,
        chain: Chain,
        key: SigningKey,
    }

    impl Node {
        fn new() -> Self {
            let node = Node {
                folder: tempfile::tempdir().unwrap(),
                chain: Chain::new(GenesisHash([1; 32])),
                key: SigningKey::from_seed(&[5; 32]),
            };
            SigningGuard::create(&node.guard_path(), &node.chain, node.key.public_key()).unwrap();
            node
        }

        fn guard_path(&self) -> std::path::PathBuf {
            self.folder.path().join("guard")
        }

        fn guard(&self) -> SigningGuard {
            SigningGuard::open(&self.guard_path(), &self.chain, self.key.public_key()).unwrap()
        }

        fn vote(&self, height: u64, round: u32) -> SignedVote {
            let vote = Vote { step: VoteStep::Prevote, height: Height(height), round, block: None, validator: ME };
            SignedVote { vote, signature: self.key.sign(&vote.message(&self.chain)) }
        }

        fn sign(&self, height: u64, round: u32, log: LogMark) {
            let vote = self.vote(height, round).vote;
            self.guard().sign(position(&vote), &vote.message(&self.chain), log, |m| self.key.sign(m)).unwrap();
        }

        fn judge(&self, tip: u64, log: &Recovered, answers: &[Answer]) -> Permission {
            let guard = self.guard();
            let question = Question {
                chain: &self.chain,
                me: ME,
                key: self.key.public_key(),
                guard: &guard,
                log,
                tip: Height(tip),
                tip_time_ms: tip * 1_000,
                validators: 4,
            };
            question.judge(answers)
        }
    }

    fn answer(in_progress: u64, newest: Option<SignedVote>) -> Answer {
        Answer { in_progress: Height(in_progress), newest }
    }

    fn muted(height: u64, why: Why) -> Permission {
        Permission::NotThrough { height: Height(height), why }
    }

    #[test]
    fn b9_three_of_four_must_be_asked_for_two_answers() {
        assert_eq!([1, 2, 3, 4, 7, 10].map(answers_needed), [0, 1, 2, 2, 4, 6]);
    }

    #[test]
    fn b9_on_a_fresh_chain_an_empty_guard_votes() {
        let node = Node::new();
        assert_eq!(node.judge(0, &Recovered::default(), &[answer(1, None), answer(1, None)]), Permission::May);
    }

    /// Two answers: one lies, one lags. The height in progress is 101, and the key signed there before its guard was lost.
    #[test]
    fn b9_a_guard_made_anew_does_not_vote_on_an_older_tip_whatever_the_others_claim() {
        let node = Node::new();
        std::fs::remove_file(node.guard_path()).unwrap();
        let renewed_ms = 100_500;
        SigningGuard::renew(&node.guard_path(), &node.chain, node.key.public_key(), renewed_ms).unwrap();
        let claims = [answer(0, None), answer(51, None)];
        assert_eq!(node.judge(0, &Recovered::default(), &claims), muted(1, Why::GuardRenewed));
        let mute = Mute { through: Height(1), from_ms: node.guard().votes_from_ms() };
        assert!(!mute.is_over(Height(100), 100_000), "the next height is the one that it voted in");
        assert!(!mute.is_over(Height(101), renewed_ms + RENEWAL_MARGIN_MS));
        assert!(mute.is_over(Height(101), renewed_ms + RENEWAL_MARGIN_MS + 1));
        assert!(!mute.is_over(Height(0), u64::MAX));
        // The rule outlives the first signatures: a node that starts again on an emptied `state` is muted by both.
        node.sign(112, 0, LogMark::default());
        node.sign(112, 1, LogMark::default());
        assert!(node.guard().is_certain());
        assert_eq!(node.judge(3, &Recovered::default(), &claims), muted(112, Why::GuardRenewed));
    }

    #[test]
    fn b9_an_empty_guard_whose_vote_another_holds_was_lost_and_waits() {
        let node = Node::new();
        let answers = [answer(40, None), answer(41, Some(node.vote(39, 0)))];
        assert_eq!(node.judge(0, &Recovered::default(), &answers), muted(40, Why::NewerVoteElsewhere));
    }

    #[test]
    fn b9_a_liar_cannot_mute_by_a_height_that_is_never_reached() {
        let node = Node::new();
        let answers = [answer(u64::MAX, Some(node.vote(2, 0))), answer(3, None)];
        assert_eq!(node.judge(2, &Recovered::default(), &answers), muted(3, Why::NewerVoteElsewhere));
    }

    #[test]
    fn b9_a_newer_vote_held_by_another_mutes_an_old_guard() {
        let node = Node::new();
        node.sign(7, 0, LogMark::default());
        let newer = node.vote(9, 1);
        assert_eq!(
            node.judge(7, &Recovered::default(), &[answer(9, Some(newer)), answer(9, None)]),
            muted(9, Why::NewerVoteElsewhere)
        );
        // The same place with another content is news as well.
        let other = Vote { block: Some(ledger_types::BlockHash([1; 32])), ..node.vote(7, 0).vote };
        let other = SignedVote { vote: other, signature: node.key.sign(&other.message(&node.chain)) };
        assert_eq!(
            node.judge(7, &Recovered::default(), &[answer(8, Some(other)), answer(8, None)]),
            muted(8, Why::NewerVoteElsewhere)
        );
    }

    #[test]
    fn b9_what_the_guard_knows_and_votes_that_are_not_ours_change_nothing() {
        let node = Node::new();
        node.sign(7, 3, LogMark::default());
        let known = node.vote(7, 3);
        let older = node.vote(6, 0);
        let forged = SignedVote { signature: Signature([0; 64]), ..node.vote(99, 0) };
        let answers = [answer(8, Some(known)), answer(8, Some(older)), answer(8, Some(forged))];
        assert_eq!(node.judge(7, &Recovered::default(), &answers), Permission::May);
    }

    #[test]
    fn trap_3_a_log_that_misses_the_guards_mark_mutes_the_height() {
        let node = Node::new();
        let path = node.folder.path().join("wal");
        let (wal, _) = Wal::open(&path).unwrap();
        wal.start(Height(5));
        wal.append(Height(5), RecordKind::Input, b"what led to the vote").unwrap();
        node.sign(5, 0, wal.flush().unwrap());
        drop(wal);
        let (_, whole) = Wal::open(&path).unwrap();
        assert_eq!(node.judge(4, &whole, &[]), Permission::May);
        assert_eq!(node.judge(5, &whole, &[]), Permission::May, "the height is over: its log does not matter");
        let mut bytes = std::fs::read(&path).unwrap();
        bytes[34] ^= 1;
        std::fs::write(&path, &bytes).unwrap();
        let (_, damaged) = Wal::open(&path).unwrap();
        assert_eq!(node.judge(4, &damaged, &[]), muted(5, Why::LogDamaged));
        assert_eq!(node.judge(4, &Recovered::default(), &[]), muted(5, Why::LogDamaged));
    }

    #[test]
    fn a_guard_ahead_of_the_blocks_mutes_through_its_height() {
        let node = Node::new();
        node.sign(20, 0, LogMark::default());
        assert_eq!(
            node.judge(3, &Recovered::default(), &[answer(4, None), answer(4, None)]),
            muted(20, Why::GuardAhead)
        );
    }

    #[test]
    fn an_uncertain_guard_mutes_the_height_in_progress() {
        let node = Node::new();
        node.sign(6, 0, LogMark::default());
        let mut bytes = std::fs::read(node.guard_path()).unwrap();
        bytes[4096 + 20] ^= 1;
        std::fs::write(node.guard_path(), &bytes).unwrap();
        assert_eq!(
            node.judge(6, &Recovered::default(), &[answer(9, None), answer(9, None)]),
            muted(9, Why::GuardUncertain)
        );
    }
}
