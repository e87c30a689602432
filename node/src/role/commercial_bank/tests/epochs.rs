use super::world::*;
use crate::clock::now_ms;
use crate::link::{Caller, Request, Response};
use crate::role::commercial_bank::epochs::EpochLimits;
use crate::role::commercial_bank::job::State;
use ledger_seal::{Epoch, Member, OfferTerms, make_offer, open_with_epoch};
use ledger_types::channel::SignedEpochOffer;
use ledger_types::genesis::KemSuite;
use ledger_types::keys::Signature;
use ledger_types::{Decode, Encode, ParticipantNumber};
use std::collections::{HashMap, HashSet};
use std::sync::Arc;

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

/// Bank 2's desk, started anew under these limits, and the payee's wallet.
async fn world_with_limits(limits: EpochLimits) -> Held {
    let world = World::with_desks().await;
    world.desk(BANK3).create_wallet("bob").await.unwrap();
    world.kill(BANK2).await;
    world.limit_epochs(limits);
    world.open(BANK2, settings(), None).await;
    world
}

async fn pay_bob(world: &World) {
    let job = create(&world.desk(BANK2), payment("vault", BANK3, "bob", 5)).await.unwrap();
    assert_eq!(world.finish(BANK2, &job.id).await.state, State::Confirmed);
}

/// Under which of its epochs bank 2 sealed each envelope, in the order in which they were handed in. E-2 holds of every
/// one: before it was used, an offer of its own was signed by the sender and acknowledged by the other member.
fn epochs_used(world: &World) -> Vec<Arc<Epoch>> {
    let chain = &world.rules.chain;
    let held = world.desk(BANK2).epochs.of_sender(BANK2);
    let (mut offers, mut commitments) = (HashMap::new(), HashSet::new());
    let mut used = Vec::new();
    for passed in world.passed() {
        match passed {
            Passed::Acknowledged { offer: SignedEpochOffer { offer, signature: signed }, member, signature } => {
                let offer_key = |number| key_of(number, "offer").public_key();
                assert!(offer_key(offer.sender).verify(&offer.message(chain), &signed));
                assert!(offer_key(member).verify(&offer.ack_message(chain, member), &signature));
                assert!(commitments.insert(offer.commitment), "an epoch has another's key");
                offers.insert((offer.sender, offer.epoch), offer);
            }
            Passed::Submitted(envelope) if envelope.submitter() == BANK2 => {
                let opens = |epoch: &&Arc<Epoch>| open_with_epoch(chain, &envelope, epoch).is_ok();
                let epoch = held.iter().find(opens).expect("the sender still holds the key");
                let offer = &offers.get(&(BANK2, epoch.id().number)).expect("acknowledged before it is used");
                assert!(epoch.is_of(chain, offer) && epoch.members() == [BANK2, BANK3]);
                used.push(epoch.clone());
            }
            Passed::Submitted(_) => {}
        }
    }
    used
}

/// E-2
#[tokio::test]
async fn a_channel_whose_epoch_is_spent_by_count_goes_on_under_a_new_one() {
    let world = world_with_limits(EpochLimits { envelopes_max: 2, ..EpochLimits::default() }).await;
    for _ in 0..5 {
        pay_bob(&world).await;
    }
    let numbers = || epochs_used(&world).iter().map(|epoch| epoch.id().number).collect::<Vec<u64>>();
    assert_eq!(numbers(), [1, 1, 2, 2, 3]);
    // What was reserved of the third is not used again.
    world.kill(BANK2).await;
    world.open(BANK2, settings(), None).await;
    pay_bob(&world).await;
    assert_eq!(numbers(), [1, 1, 2, 2, 3, 4]);
    let last = epochs_used(&world).pop().unwrap();
    let held = |bank: ParticipantNumber| {
        world.desk(bank).epochs.of_sender(BANK2).iter().map(|epoch| epoch.id().number).collect::<Vec<u64>>()
    };
    // E-4: those that are spent go at their last use and the window, long before the time at which they would have ended.
    let used_ms = now_ms();
    world.block_at(used_ms + 30_000).await;
    assert_eq!([held(BANK2), held(BANK3)], [[1, 2, 3, 4], [1, 2, 3, 4]], "what they sealed last may be on its way");
    // A bank that starts anew has seen nobody go on: it counts from its next block.
    world.kill(BANK3).await;
    world.open(BANK3, settings(), None).await;
    world.block_at(used_ms + 61_000).await;
    assert_eq!([held(BANK2), held(BANK3)], [vec![4], vec![1, 2, 3, 4]]);
    assert!(used_ms + 61_000 < last.not_after_ms());
    world.block_at(used_ms + 61_000 + 60_001).await;
    assert_eq!([held(BANK2), held(BANK3)], [[4], [4]]);
    world.block_at(last.not_after_ms() + 60_001).await;
    assert_eq!([held(BANK2), held(BANK3)], [[0; 0], [0; 0]], "and the last at its time and the window");
}

/// A database that was put back from a backup knows neither the numbers nor the counters that were handed out since. Without the time
/// of the restore the desk would offer under a number that bank 3 has seen, and seal under hints that bank 3 has passed.
#[tokio::test]
async fn a_desk_put_back_from_a_backup_uses_no_number_and_no_counter_again() {
    let world = World::with_desks().await;
    world.desk(BANK3).create_wallet("bob").await.unwrap();
    pay_bob(&world).await;
    let backups = [1, 2].map(|nth| world.desk_folder(BANK2).with_file_name(format!("backup{nth}")));
    backups.iter().for_each(|backup| world.desk(BANK2).rows.store.copy_to(backup).unwrap());
    // Goes on under the same epoch, and then under a second one.
    pay_bob(&world).await;
    world.kill(BANK2).await;
    world.limit_epochs(EpochLimits { envelopes_max: 1, ..EpochLimits::default() });
    world.open(BANK2, settings(), None).await;
    pay_bob(&world).await;

    for (time, backup) in (1..).zip(backups) {
        world.kill(BANK2).await;
        std::fs::remove_dir_all(world.desk_folder(BANK2)).unwrap();
        std::fs::rename(backup, world.desk_folder(BANK2)).unwrap();
        let forgotten_up_to = now_ms();
        world.limit_epochs(EpochLimits { forgotten_up_to, ..EpochLimits::default() });
        world.open(BANK2, settings(), None).await;
        pay_bob(&world).await;
        let number = world.desk(BANK2).epochs.of_sender(BANK2).iter().map(|epoch| epoch.id().number).max();
        assert_eq!(number, Some(forgotten_up_to + 1), "restore {time}");
    }
}

/// E-2, E-4
#[tokio::test]
async fn a_channel_whose_epoch_is_spent_by_time_goes_on_under_a_new_one_and_the_old_key_is_destroyed_when_drained() {
    let world = world_with_limits(EpochLimits { lifetime_ms: 2_000, ..EpochLimits::default() }).await;
    pay_bob(&world).await;
    let old = epochs_used(&world).pop().unwrap();
    until("the epoch has ended", || now_ms() > old.not_after_ms()).await;
    pay_bob(&world).await;
    let new = epochs_used(&world).pop().unwrap();
    assert!(new.id().number > old.id().number && new.not_after_ms() > old.not_after_ms());
    let held = |bank: ParticipantNumber| {
        let held = world.desk(bank).epochs.of_sender(BANK2);
        [&old, &new].map(|epoch| held.iter().any(|held| held.id() == epoch.id()))
    };
    for bank in [BANK2, BANK3] {
        assert_eq!(held(bank), [true, true], "an envelope of the old one's last moment could still be accepted");
    }
    world.block_at(old.not_after_ms() + 60_001).await;
    for bank in [BANK2, BANK3] {
        assert_eq!(held(bank), [false, true]);
        world.kill(bank).await;
        world.open(bank, settings(), None).await;
        assert_eq!(held(bank), [false, true], "it does not come back");
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
