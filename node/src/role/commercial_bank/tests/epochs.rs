use super::world::*;
use crate::clock::now_ms;
use crate::link::{Caller, Request, Response};
use crate::role::commercial_bank::job::State;
use ledger_seal::{Member, OfferTerms, make_offer};
use ledger_types::channel::SignedEpochOffer;
use ledger_types::genesis::KemSuite;
use ledger_types::keys::Signature;
use ledger_types::{Decode, Encode, ParticipantNumber};

/// E-4
#[tokio::test]
async fn an_epoch_is_destroyed_when_nothing_under_it_can_be_accepted_any_more() {
    let world = World::with_desks().await;
    world.desk(BANK3).create_wallet("bob").await.unwrap();
    let job = create(&world.desk(BANK2), payment("vault", BANK3, "bob", 5)).await.unwrap();
    let job = world.finish(BANK2, &job.id).await;
    assert_eq!(job.state, State::Confirmed);
    let held = |bank: ParticipantNumber| world.desk(bank).epochs.of_sender(BANK2).len();
    assert_eq!([held(BANK2), held(BANK3), held(BANK4)], [1, 1, 0], "only the members hold it");
    world.block_at(now_ms() + 3_600_000).await;
    assert_eq!([held(BANK2), held(BANK3)], [1, 1], "an envelope of its last moment could still be accepted");
    world.block_at(now_ms() + 3_600_000 + 61_000).await;
    assert_eq!([held(BANK2), held(BANK3)], [0, 0]);
    for bank in [BANK2, BANK3] {
        world.kill(bank).await;
        world.open(bank, settings(), None).await;
        assert_eq!(held(bank), 0, "it does not come back");
    }
}

/// The payee's bank stores the offer, and its answer does not arrive: each retry cost one of the 32 places that it keeps.
#[tokio::test]
async fn an_offer_whose_answer_is_lost_is_sent_again_and_takes_one_place() {
    let world = World::with_desks().await;
    let payer = world.desk(BANK2);
    let members = [BANK2, BANK3];
    let slot = || payer.epochs.slot(&*payer.ports, &payer.journal, &members);
    let held = || world.desk(BANK3).epochs.of_sender(BANK2).len();
    world.lose_answers(BANK3);
    for _ in 0..40 {
        assert!(slot().await.is_err());
        assert_eq!(held(), 1);
    }
    world.hear_again(BANK3);
    assert!(slot().await.is_ok());
    assert_eq!(held(), 1);
}

fn offer(world: &World, number: u64, seed: &str) -> SignedEpochOffer {
    let directory = &world.rules.genesis.directory;
    let members: Vec<Member<'_>> =
        [BANK2, BANK3].iter().map(|bank| Member::from(directory.get(*bank).unwrap())).collect();
    let terms = OfferTerms { sender: BANK2, number, not_after_ms: now_ms() + 60_000, envelopes_max: 10 };
    let mut rng = <rand::rngs::StdRng as rand::SeedableRng>::from_seed(named(seed));
    let key = key_of(BANK2, "offer");
    let offered = make_offer(&world.rules.chain, KemSuite::X25519, &terms, &members, &key, &mut rng).unwrap();
    offered.signed_offer().clone()
}

/// E-2
#[tokio::test]
async fn an_offer_is_acknowledged_again_and_another_with_its_number_never() {
    let world = World::with_desks().await;
    let ask = |caller: ParticipantNumber, offer: &SignedEpochOffer| {
        let request = Request::OfferEpoch { offer: offer.to_bytes() };
        world.desk(BANK3).answer(Caller::Participant(caller), request)
    };
    let refused =
        |response: &Response| matches!(response, Response::Refused(refusal) if refusal.code == "epoch_refused");
    let first = offer(&world, 7, "one");
    let Response::EpochAcked { signature } = ask(BANK2, &first).await else { panic!("not acknowledged") };
    let signature = Signature::from_bytes(&signature).unwrap();
    let message = first.offer.ack_message(&world.rules.chain, BANK3);
    assert!(key_of(BANK3, "offer").public_key().verify(&message, &signature));
    assert!(matches!(ask(BANK2, &first).await, Response::EpochAcked { .. }), "again");
    assert!(refused(&ask(BANK2, &offer(&world, 7, "two")).await), "another key under the same number");
    assert!(refused(&ask(BANK2, &offer(&world, 6, "three")).await), "a number that is not new");
    assert!(refused(&ask(BANK4, &offer(&world, 8, "four")).await), "in another's name");
    let mut forged = offer(&world, 9, "five");
    forged.signature = Signature([1; 64]);
    assert!(refused(&ask(BANK2, &forged).await), "not signed");
    world.kill(BANK3).await;
    world.open(BANK3, settings(), None).await;
    let ask = |offer: &SignedEpochOffer| {
        let request = Request::OfferEpoch { offer: offer.to_bytes() };
        world.desk(BANK3).answer(Caller::Participant(BANK2), request)
    };
    assert!(matches!(ask(&first).await, Response::EpochAcked { .. }), "after a restart too");
    assert!(refused(&ask(&offer(&world, 6, "three")).await));
    assert!(matches!(ask(&offer(&world, 8, "six")).await, Response::EpochAcked { .. }));
}
