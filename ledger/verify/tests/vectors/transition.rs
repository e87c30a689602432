//! Three blocks with their bundles, and what the transition gives for them: a result an item, and a header whose every root
//! follows. Their envelopes are of every kind that has no story of its own ([`super::lending`], [`super::governance`]), accepted and
//! refused.

use super::bed::*;
use super::hex;
use ledger_state::{Applied, CandidateBlock, OVERDUE_PER_SUBMITTER_MAX, apply};
use ledger_types::bundle::{Bundle, BundleCertificate, ack_message};
use ledger_types::confirmation::{Batch, Overdue, RecordStatus, SignedBatch};
use ledger_types::encoding::{Encode, List, Octets};
use ledger_types::envelope::{ClearContext, Envelope};
use ledger_types::participant::{Participant, Roles, SignedBy};
use ledger_types::request::RequestClass;
use ledger_types::*;
use serde_json::{Value, json};
use std::sync::Arc;

/// An envelope, what it is about, and the code that it must get.
pub type Item = (&'static str, Envelope, u16);

/// A bundle with its items' names and expected codes.
pub type Named = (Arc<Bundle>, Vec<(&'static str, u16)>);

pub struct Story {
    pub bed: Bed,
    pub blocks: Vec<Value>,
    /// Items whose code is another than expected.
    wrong: Vec<String>,
}

impl Story {
    pub fn new() -> Self {
        Story { bed: Bed::new(), blocks: Vec::new(), wrong: Vec::new() }
    }

    /// Applies a block of these bundles; every item has its name and its expected code.
    pub fn block(&mut self, bundles: Vec<Named>) -> Applied {
        self.block_at(self.bed.next_time_ms(), bundles)
    }

    pub fn block_at(&mut self, time_ms: u64, bundles: Vec<Named>) -> Applied {
        let bed = &mut self.bed;
        // Of the set that decides this height (G-4).
        let validators = bed.ledger.validators.set.clone();
        let signers: Vec<_> = validators.iter().map(|v| v.number).filter(|number| *number != BANK3).collect();
        let certified = |bundle: &Arc<Bundle>| {
            let ack = |signer: ParticipantNumber| {
                let message = ack_message(&bed.rules.chain, &bundle.digest(), signer);
                SignedBy { signer, signature: key_of(signer, "bundle").sign(&message) }
            };
            BundleCertificate {
                header: bundle.header().clone(),
                acks: List::new(signers.iter().copied().map(ack).collect()).unwrap(),
            }
        };
        let (bundles, names): (Vec<_>, Vec<_>) = bundles.into_iter().unzip();
        let certificates: Vec<_> = bundles.iter().map(certified).collect();
        for certificate in &certificates {
            certificate.verify(&bed.rules.chain, &validators).unwrap();
        }
        let candidate = CandidateBlock {
            height: bed.ledger.height.next(),
            time_ms,
            certificates: &certificates,
            bundles: &bundles,
            parent_round: 0,
        };
        let applied = apply(&bed.rules, &bed.ledger, &bed.state, candidate).unwrap();
        let items: Vec<_> = names.into_iter().flatten().collect();
        assert_eq!(items.len(), applied.results.len());
        let wrong = items.iter().zip(&applied.results).filter(|((_, code), result)| result.code != *code);
        let height = applied.header.height;
        self.wrong.extend(wrong.map(|((name, code), result)| format!("{height} {name}: {} for {code}", result.code)));
        let results: Vec<Value> = items
            .iter()
            .zip(&applied.results)
            .map(|((name, _), result)| {
                json!({ "item": name, "envelope": result.envelope.to_string(), "code": result.code })
            })
            .collect();
        self.blocks.push(json!({
            "height": applied.header.height.0,
            "time_ms": applied.header.time_ms,
            "parent_round": applied.header.parent_round,
            "certificates": certificates.iter().map(|certificate| hex(certificate.to_bytes())).collect::<Vec<_>>(),
            "bundles": bundles.iter().map(|bundle| hex(bundle.to_bytes())).collect::<Vec<_>>(),
            "results": results,
            "delta": hex(applied.ledger.delta),
            "state_root": applied.header.state_root.to_string(),
            "header": hex(applied.header.to_bytes()),
            "block_hash": applied.ledger.block.to_string(),
        }));
        bed.write(&applied);
        applied
    }

    pub fn to_value(&self) -> Value {
        assert_eq!(self.wrong, [""; 0]);
        json!({ "genesis": hex(self.bed.rules.genesis.to_bytes()), "blocks": self.blocks })
    }

    pub fn bundle(&self, submitter: ParticipantNumber, items: Vec<Item>) -> Named {
        let names = items.iter().map(|(name, _, code)| (*name, *code)).collect();
        let envelopes = items.into_iter().map(|(_, envelope, _)| envelope).collect();
        (self.bed.bundle(submitter, envelopes), names)
    }

    pub fn batch(&self, ahead: u64, signed: SignedBatch, name: &'static str, code: u16) -> Named {
        (self.bed.confirmation_after(ahead, signed), vec![(name, code)])
    }

    fn update(&mut self, line: Participant, officers: &[u8]) -> Envelope {
        let rules = self.bed.rules.clone();
        self.bed.update(BANK3, line).authorize_by_officers(&rules, officers).seal()
    }

    fn request(&mut self, days_off: u64, officers: &[u8]) -> Envelope {
        let rules = self.bed.rules.clone();
        let mut draft = self.bed.request(BANK4, RequestClass::Disclose, "COURT-9");
        let ClearContext::Request(context) = &mut draft.core.context else { unreachable!() };
        context.request.epoch += days_off;
        draft.authorize_by_officers(&rules, officers).seal()
    }

    fn overdue_batch(&self, overdue: Vec<Overdue>, cleared: Vec<Overdue>) -> Batch {
        let mut batch = self.bed.batch(vec![]);
        (batch.overdue, batch.cleared) = (List::new(overdue).unwrap(), List::new(cleared).unwrap());
        batch
    }
}

fn overdue(index: u32, submitter: ParticipantNumber) -> Overdue {
    let mut envelope = EnvelopeId([0; 32]);
    envelope.0[..4].copy_from_slice(&index.to_be_bytes());
    Overdue { envelope, submitter }
}

pub fn transitions() -> Value {
    let mut story = Story::new();
    let copied = payments(&mut story);
    let update = updates(&mut story);
    overdues(&mut story, copied, update);
    story.to_value()
}

/// Block 1. Returns an envelope of bank 3 that bank 2 has copied.
fn payments(story: &mut Story) -> Envelope {
    let bed = &mut story.bed;
    let rules = bed.rules.clone();
    let (spent, second, third) = (bed.coin_of(BANK2, 0), bed.coin_of(BANK2, 1), bed.coin_of(BANK2, 2));
    let payment = bed.transfer(BANK2, std::slice::from_ref(&spent), &[(BANK3, 60), (BANK2, 40)]);
    let mut expired = bed.transfer(BANK2, std::slice::from_ref(&second), &[(BANK2, 100)]);
    expired.core.expiry_ms = bed.next_time_ms() - 1;
    let mut too_far = bed.transfer(BANK2, std::slice::from_ref(&second), &[(BANK2, 100)]);
    too_far.core.expiry_ms = bed.next_time_ms() + EXPIRY_WINDOW_MS + 1;
    let without_outputs = bed.transfer(BANK2, std::slice::from_ref(&second), &[]);
    let mut unordered = bed.transfer(BANK2, std::slice::from_ref(&second), &[(BANK2, 50), (BANK3, 50)]);
    unordered.core.outputs.as_mut_slice().reverse();
    let mut contract = bed.transfer(BANK2, std::slice::from_ref(&second), &[(BANK2, 100)]);
    contract.core.contract = ContractNumber(1);
    let unconfirmed =
        bed.transfer(BANK2, &[payment.coins.iter().find(|c| c.bank == BANK2).unwrap().clone()], &[(BANK2, 40)]);
    let merge = bed.transfer(BANK2, &[second, third], &[(BANK4, 200)]);
    let others = bed.coin_of(BANK3, 0);
    let copied = bed.transfer(BANK3, &[others], &[(BANK4, 100)]).seal();
    let observers_coin = bed.coin_of(BANK5, 0);
    let by_observer = bed.transfer(OBSERVER, &[observers_coin], &[(OBSERVER, 100)]);

    let issue = bed.issue(2, 0, &[(BANK2, 500), (BANK2, 250)]).authorize_by_issue_key(&rules);
    let gap = bed.issue(2, 2, &[(BANK2, 1)]).authorize_by_issue_key(&rules);
    let nothing = bed.issue(2, 1, &[(BANK2, 0)]).authorize_by_issue_key(&rules);
    let no_series = bed.issue(3, 0, &[(BANK2, 1)]).authorize_by_issue_key(&rules);
    let unsigned = bed.issue(2, 1, &[(BANK2, 1)]);
    let vault = bed.coin_of(CENTRAL, 0);
    let redeem = bed.redeem(&[vault], 30, &[(CENTRAL, 70)]).authorize_by_issue_key(&rules);
    let (wronged, other) = (bed.coin_of(BANK4, 0), bed.coin_of(BANK4, 1));
    let recover = bed.recover(&[wronged], &[(BANK3, 100)]).authorize_by_officers(&rules, &[0, 2]);
    let one_officer = bed.recover(&[other], &[(BANK3, 100)]).authorize_by_officers(&rules, &[1]);
    let vault = bed.coin_of(CENTRAL, 1);
    let by_central_bank = bed.transfer(CENTRAL, &[vault], &[(BANK2, 100)]);

    let (issue, redeem) = (issue.seal(), redeem.seal());
    let paid: Vec<CoinId> = payment.coins.iter().map(|coin| coin.id).collect();
    let mut records = vec![record(spent.id, RecordStatus::Spent), live(paid[0])];
    records.push(record(paid[1], RecordStatus::Disputed));
    records.push(live(CoinId([0x77; 32])));
    let mut batch = bed.batch(records);
    let mut settled = vec![issue.id(&rules.chain), redeem.id(&rules.chain)];
    settled.sort();
    batch.settled = List::new(settled).unwrap();
    let settles = bed.sign(batch);
    let payment = payment.seal();
    let bundles = vec![
        story.bundle(
            BANK2,
            vec![
                ("a transfer", payment.clone(), 0),
                ("the same again", payment, 16),
                ("expired", expired.seal(), 4),
                ("expiry beyond the window", too_far.seal(), 5),
                ("no output", without_outputs.seal(), 6),
                ("outputs not ascending", unordered.seal(), 8),
                ("a contract", contract.seal(), 9),
                ("an input of this block", unconfirmed.seal(), 17),
                ("two coins made one", merge.seal(), 0),
                ("bank 3's envelope, copied", copied.clone(), 2),
            ],
        ),
        story.bundle(OBSERVER, vec![("a transfer of one that is no bank", by_observer.seal(), 3)]),
        story.bundle(
            CENTRAL,
            vec![
                ("an issue", issue, 0),
                ("an issue number ahead", gap.seal(), 14),
                ("an issue of nothing", nothing.seal(), 11),
                ("an issue of no series", no_series.seal(), 12),
                ("an issue that nobody signed", unsigned.seal(), 13),
                ("a redeem", redeem, 0),
                ("a recover", recover.seal(), 0),
                ("a recover of one officer", one_officer.seal(), 13),
                ("a transfer of the central bank, which is a bank too", by_central_bank.seal(), 0),
            ],
        ),
        story.batch(0, settles, "a batch: spent, live, disputed, one too late; issue and redeem settled", 0),
    ];
    story.block(bundles);
    copied
}

/// Block 2: participant updates (13, 19, 20, 21) and requests (13, 22). Returns the accepted update.
fn updates(story: &mut Story) -> Envelope {
    let bank5 = story.bed.ledger.directory.get(BANK5).unwrap().clone();
    let central = story.bed.ledger.directory.central_bank().clone();
    let with = |change: &dyn Fn(&mut Participant)| {
        let mut line = bank5.clone();
        change(&mut line);
        line
    };
    let kem = |bytes: Vec<u8>| with(&|line| line.keys.kem = Octets::new(bytes.clone()).unwrap());
    let good = with(&|line| line.keys.desk = public("a new desk key"));
    let accepted = story.update(good, &[0, 1]);
    let mut taken = story.bed.ledger.directory.get(BANK4).unwrap().clone();
    taken.keys.link = public("a new desk key");
    let mut other_log = central.clone();
    other_log.central_bank.as_mut().unwrap().log = public("another log");
    let mut other_set = story.bed.ledger.directory.get(BANK2).unwrap().clone();
    other_set.keys.cosign = public("another cosign key");
    let items = vec![
        ("a new desk key", accepted.clone(), 0),
        ("its authorization again, in the same block", accepted.clone(), 13),
        ("one officer of two", story.update(with(&|line| line.keys.desk = public("b")), &[2]), 13),
        ("officers not ascending", story.update(with(&|line| line.keys.desk = public("b")), &[1, 0]), 13),
        ("a number that no line has", story.update(with(&|line| line.number = ParticipantNumber(9)), &[0, 1]), 19),
        ("a KEM key of 31 bytes", story.update(kem(vec![9; 31]), &[0, 1]), 20),
        ("a KEM key of 1,216 bytes", story.update(kem(vec![1; 1216]), &[0, 1]), 20),
        ("a KEM key of small order", story.update(kem([vec![1], vec![0; 31]].concat()), &[0, 1]), 20),
        ("another's KEM key", story.update(kem(central.keys.kem.to_vec()), &[0, 1]), 20),
        ("another's desk key", story.update(with(&|line| line.keys.desk = central.keys.desk), &[0, 1]), 20),
        ("a key that is taken in this block", story.update(taken, &[0, 1]), 20),
        ("an unsound key", story.update(with(&|line| line.keys.desk = keys::PublicKey([0; 32])), &[0, 1]), 20),
        ("power without the role", story.update(with(&|line| line.power = 1), &[0, 1]), 20),
        ("another log key", story.update(other_log, &[0, 1]), 20),
        ("another cosign key of a validator", story.update(other_set, &[0, 1]), 21),
        (
            "a validator more",
            story.update(with(&|line| (line.roles, line.power) = (line.roles.and(Roles::VALIDATOR), 1)), &[0, 1]),
            21,
        ),
    ];
    for (_, envelope, _) in &items {
        assert!(matches!(envelope.header.core.context, ClearContext::ParticipantUpdate(_)));
    }
    let updates = story.bundle(BANK3, items);
    let request = story.request(0, &[0, 2]);
    let requests = vec![
        ("a request of two officers", request.clone(), 0),
        ("its authorization again", request, 13),
        ("a request of one officer", story.request(0, &[1]), 13),
        ("a request of tomorrow", story.request(1, &[0, 1]), 22),
    ];
    let requests = story.bundle(BANK4, requests);
    let full = (0..OVERDUE_PER_SUBMITTER_MAX).map(|index| overdue(index, BANK4)).collect();
    let full = story.bed.sign(story.overdue_batch(full, vec![]));
    let full = story.batch(0, full, "1,000 overdue entries of bank 4", 0);
    story.block(vec![updates, requests, full]);
    accepted
}

/// Block 3: what was said of earlier ones, and overdue entries (48).
fn overdues(story: &mut Story, copied: Envelope, update: Envelope) {
    let waiting = {
        let coin = story.bed.coin_of(BANK4, 2);
        story.bed.transfer(BANK4, &[coin], &[(BANK4, 100)]).seal()
    };
    let (new, first) = (overdue(OVERDUE_PER_SUBMITTER_MAX, BANK4), overdue(0, BANK4));
    let of_another = overdue(5, BANK2);
    let refused = |story: &Story, ahead, overdue, cleared, name| {
        let signed = story.bed.sign(story.overdue_batch(overdue, cleared));
        story.batch(ahead, signed, name, 48)
    };
    let clears = story.overdue_batch(vec![of_another], vec![first]);
    let mut follows = story.overdue_batch(vec![new], vec![]);
    (follows.number, follows.previous) = (BatchNumber(clears.number.0 + 1), clears.hash(&story.bed.rules.chain));
    let mut late = story.overdue_batch(vec![], vec![]);
    late.number = BatchNumber(1);
    let mut broken = story.overdue_batch(vec![], vec![]);
    broken.previous = BatchHash([3; 32]);
    let by_another_key = story.overdue_batch(vec![], vec![]).sign(&story.bed.rules.chain, &key_of(CENTRAL, "bundle"));
    let mut unknown = story.overdue_batch(vec![], vec![]);
    unknown.settled = List::new(vec![EnvelopeId([1; 32])]).unwrap();
    let bed = &story.bed;
    let bundles = vec![
        story.bundle(
            BANK3,
            vec![
                ("the authorization of an earlier block", update, 13),
                ("the envelope that was copied, in its own submitter's bundle", copied, 0),
            ],
        ),
        refused(story, 0, vec![new], vec![first], "one in and one out: counted without the cleared"),
        refused(story, 1, vec![of_another], vec![of_another], "in both lists: not there before the batch"),
        refused(story, 2, vec![first], vec![], "overdue already"),
        refused(story, 3, vec![overdue(1, ParticipantNumber(99))], vec![], "of no participant"),
        refused(story, 4, vec![], vec![overdue(1, BANK2)], "cleared, but not there"),
        story.batch(5, bed.sign(late), "an old number", 40),
        story.batch(6, bed.sign(broken), "another hash of the batch before", 41),
        story.batch(7, by_another_key, "another key", 42),
        story.batch(8, bed.sign(unknown), "settles what is not open", 47),
        story.bundle(BANK4, vec![("a transfer of an overdue submitter", waiting, 15)]),
        story.batch(9, bed.sign(clears), "one cleared, one of another", 0),
        story.batch(10, bed.sign(follows), "the room is there in the next batch", 0),
    ];
    story.block(bundles);
}
