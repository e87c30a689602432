//! Blocks in which officers change who decides and by which rules: hand-overs of the validator set (kind 13) are ordered, logged and
//! take effect, versions of the rules (kind 14) are ordered and begin, and each refusal that an envelope of these kinds can meet is met.
//!
//! ```text
//! height      1         2          3            4                    5                      6               7
//! set {1234}  order 1              batch        header names         order 2 and a batch    header names    {1256} decides
//!                                               {1236} as next       {1236} decides         {1256} as next
//! rules 1               version 2               version 2 begins
//!                       from 4 on               version 3 ordered
//! ```

use super::bed::*;
use super::transition::{Item, Named, Story};
use ledger_types::encoding::{Decode, Encode, List};
use ledger_types::envelope::{ClearContext, Envelope, HandOverContext};
use ledger_types::hand_over::HandOverOrder;
use ledger_types::participant::{Participant, Roles, Validator, ValidatorSet};
use ledger_types::rules::RULES_NOTICE_MAX;
use ledger_types::*;
use serde_json::Value;

pub fn governance() -> Value {
    let mut story = Story::new();
    let bound = orders_a_hand_over(&mut story);
    orders_rules(&mut story);
    logs_both(&mut story);
    names_the_incoming_set(&mut story);
    hands_over_again(&mut story, bound);
    story.block(vec![]);
    is_decided_by_the_third_set(&mut story);
    story.to_value()
}

fn order_by(
    story: &mut Story,
    incoming: ValidatorSet,
    change: &dyn Fn(&mut HandOverOrder),
    officers: &[u8],
) -> Envelope {
    let rules = story.bed.rules.clone();
    let mut draft = story.bed.hand_over(CENTRAL, incoming);
    let ClearContext::HandOver(context) = &mut draft.core.context else { unreachable!() };
    change(&mut context.order);
    draft.authorize_by_officers(&rules, officers).seal()
}

/// To the set that decides, with these powers changed.
fn hand_over(story: &mut Story, changes: &[(ParticipantNumber, u64)]) -> Envelope {
    let incoming = story.bed.set_with(changes);
    order_by(story, incoming, &|_| (), &[0, 2])
}

fn rules_order_by(story: &mut Story, version: u8, activates_at: u64, officers: &[u8]) -> Envelope {
    let rules = story.bed.rules.clone();
    story.bed.rules_order(CENTRAL, version, activates_at).authorize_by_officers(&rules, officers).seal()
}

fn rules_order(story: &mut Story, version: u8, activates_at: u64) -> Envelope {
    rules_order_by(story, version, activates_at, &[0, 2])
}

fn update(story: &mut Story, number: ParticipantNumber, change: &dyn Fn(&mut Participant)) -> Envelope {
    let rules = story.bed.rules.clone();
    let mut line = story.bed.ledger.directory.get(number).unwrap().clone();
    change(&mut line);
    story.bed.update(CENTRAL, line).authorize_by_officers(&rules, &[0, 1]).seal()
}

fn transfer(story: &mut Story, bank: ParticipantNumber) -> Envelope {
    let coin = story.bed.coin_of(bank, 0);
    story.bed.transfer(bank, &[coin], &[(BANK2, 100)]).seal()
}

/// Block 1. Returns the order that it accepts.
fn orders_a_hand_over(story: &mut Story) -> HandOverContext {
    let mut other_key: Vec<Validator> = story.bed.set_with(&[(OBSERVER, 1)]).iter().cloned().collect();
    other_key.last_mut().unwrap().cosign = public("another cosign key");
    let other_key: List<Validator, 256> = List::new(other_key).unwrap();
    let other_key = ValidatorSet::from_bytes(&other_key.to_bytes()).unwrap();
    let incoming = story.bed.set_with(&[(BANK4, 0), (OBSERVER, 1)]);
    let good = order_by(story, incoming.clone(), &|_| (), &[0, 2]);
    let ClearContext::HandOver(accepted) = good.header.core.context.clone() else { unreachable!() };
    let mut of_another = order_by(story, incoming.clone(), &|_| (), &[0, 2]);
    let ClearContext::HandOver(context) = &mut of_another.header.core.context else { unreachable!() };
    context.order.incoming = story.bed.set_with(&[(BANK5, 1)]);
    let no_line = ParticipantNumber(77);
    let far = 1 + RULES_NOTICE_MAX;
    let items: Vec<Item> = vec![
        ("a hand-over of one officer", order_by(story, incoming.clone(), &|_| (), &[1]), 13),
        ("officers not ascending", order_by(story, incoming.clone(), &|_| (), &[2, 0]), 13),
        ("officers who signed another order", of_another, 13),
        ("a validator that no line names", hand_over(story, &[(no_line, 1)]), 19),
        (
            "the same under a number ahead",
            {
                let incoming = story.bed.set_with(&[(no_line, 1)]);
                order_by(story, incoming, &|order| order.number = 2, &[0, 2])
            },
            19,
        ),
        ("a number ahead", order_by(story, incoming.clone(), &|order| order.number = 2, &[0, 2]), 24),
        (
            "from a set that does not decide",
            order_by(story, incoming, &|order| order.outgoing = ValidatorSetHash([4; 32]), &[0, 2]),
            24,
        ),
        ("another cosign key than the line's", order_by(story, other_key, &|_| (), &[0, 2]), 25),
        ("half of the power goes", hand_over(story, &[(BANK3, 0), (BANK4, 0)]), 26),
        ("a third of the power comes", hand_over(story, &[(BANK5, 1), (OBSERVER, 1)]), 26),
        ("nobody comes or goes", hand_over(story, &[]), 27),
        ("the central bank goes", hand_over(story, &[(CENTRAL, 0)]), 28),
        ("validator 4 makes way for 6", good.clone(), 0),
        ("the same again", good, 23),
        ("another one of this block", hand_over(story, &[(BANK5, 1)]), 23),
        ("rules of one officer", rules_order_by(story, 2, 3, &[1]), 13),
        ("the genesis's version", rules_order(story, 1, 3), 30),
        ("a version ahead", rules_order(story, 3, 3), 30),
        ("a version ahead, and too early", rules_order(story, 3, 1), 30),
        ("from the next height on", rules_order(story, 2, 2), 31),
        ("from a height that has passed", rules_order(story, 2, 0), 31),
        ("more than ten million heights ahead", rules_order(story, 2, far + 1), 31),
    ];
    let items = story.bundle(CENTRAL, items);
    let mut by_bank = hand_over(story, &[(OBSERVER, 1)]);
    by_bank.header.core.submitter = BANK2;
    let others = story.bundle(BANK2, vec![("a hand-over of a commercial bank", by_bank, 3)]);
    story.block(vec![items, others]);
    *accepted
}

/// Block 2: the hand-over waits for a batch.
fn orders_rules(story: &mut Story) {
    let good = rules_order(story, 2, 4);
    let mut by_bank = rules_order(story, 2, 4);
    by_bank.header.core.submitter = BANK2;
    let items = vec![
        ("version 2, from two heights ahead on", good.clone(), 0),
        ("its authorization again", good, 13),
        ("another height for it", rules_order(story, 2, 9), 29),
        ("the version after it", rules_order(story, 3, 9), 29),
        ("a hand-over before the other is logged", hand_over(story, &[(BANK5, 1)]), 23),
        (
            "a consensus key of a line that comes",
            update(story, OBSERVER, &|line| line.keys.consensus = public("another vote")),
            21,
        ),
        (
            "a cosign key of a line that went",
            update(story, BANK4, &|line| line.keys.cosign = public("cosigns no more")),
            0,
        ),
        (
            "the line that went, a validator again",
            update(story, BANK4, &|line| (line.roles, line.power) = (line.roles.and(Roles::VALIDATOR), 1)),
            21,
        ),
    ];
    let items = story.bundle(CENTRAL, items);
    let others = story.bundle(BANK2, vec![("a rules order of a commercial bank", by_bank, 3)]);
    story.block(vec![items, others]);
}

fn empty_batch(story: &Story, name: &'static str) -> Named {
    story.batch(0, story.bed.sign(story.bed.batch(vec![])), name, 0)
}

/// Block 3.
fn logs_both(story: &mut Story) {
    let batch = empty_batch(story, "a batch logs the hand-over, the update and the version");
    let items = vec![
        ("a hand-over after the batch that logs the other", hand_over(story, &[(BANK5, 1)]), 23),
        ("the version after one that begins with the next height", rules_order(story, 3, 9), 29),
    ];
    let items = story.bundle(CENTRAL, items);
    story.block(vec![batch, items]);
}

/// Block 4: the last of the outgoing set, and the first under version 2.
fn names_the_incoming_set(story: &mut Story) {
    let farthest = 4 + RULES_NOTICE_MAX;
    let items = vec![
        ("a hand-over in the outgoing set's last block", hand_over(story, &[(BANK5, 1)]), 23),
        ("the version that begins", rules_order(story, 2, 9), 30),
        ("the version after it, as far ahead as can be", rules_order(story, 3, farthest), 0),
    ];
    let items = story.bundle(CENTRAL, items);
    let batch = empty_batch(story, "a batch whose state leaf names the incoming set");
    story.block(vec![items, batch]);
}

/// Block 5: the first of the incoming set.
fn hands_over_again(story: &mut Story, bound: HandOverContext) {
    let used = {
        let mut draft = story.bed.hand_over(CENTRAL, bound.order.incoming.clone());
        draft.core.context = ClearContext::HandOver(Box::new(bound));
        draft.seal()
    };
    let items = vec![
        ("the order that has bound, in a new envelope", used, 24),
        ("validator 4 comes back with the key that it had", hand_over(story, &[(BANK4, 1)]), 25),
        ("validator 3 makes way for 5", hand_over(story, &[(BANK3, 0), (BANK5, 1)]), 0),
        ("a version while another waits", rules_order(story, 4, 9), 29),
    ];
    let payment = transfer(story, BANK4);
    let items = story.bundle(CENTRAL, items);
    let others = story.bundle(BANK4, vec![("a transfer of a bank that was a validator", payment, 0)]);
    let batch = empty_batch(story, "a batch logs the order of its own block");
    story.block(vec![items, others, batch]);
}

/// Block 7.
fn is_decided_by_the_third_set(story: &mut Story) {
    let payment = transfer(story, BANK5);
    let others = story.bundle(BANK5, vec![("a transfer of a bank that became a validator", payment, 0)]);
    let batch = empty_batch(story, "a batch of the third set");
    story.block(vec![others, batch]);
}
