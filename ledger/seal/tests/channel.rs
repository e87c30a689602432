//! Offers, acknowledgements and rotation (E-2, E-4).

use crate::support;

use ledger_seal::*;
use ledger_types::channel::SignedEpochOffer;
use ledger_types::genesis::KemSuite;
use ledger_types::*;
use support::*;

const SUITES: [KemSuite; 2] = [KemSuite::X25519, KemSuite::XWing];

fn accept(party: &Party, sender: &Party, signed: &SignedEpochOffer) -> Result<ReceivingEpoch, OfferRefused> {
    accept_offer(&chain(), party.number, &party.kem, &sender.offer_public(), signed, NOW_MS)
}

/// As a sender who breaks the rules would: the offer changed and signed again.
fn resigned(sender: &Party, signed: &SignedEpochOffer, change: impl FnOnce(&mut SignedEpochOffer)) -> SignedEpochOffer {
    let mut changed = signed.clone();
    change(&mut changed);
    changed.signature = sender.offer_key.sign(&changed.offer.message(&chain()));
    changed
}

#[test]
fn e_2_an_epoch_is_used_only_after_every_member_has_acknowledged() {
    for suite in SUITES {
        let [sender, payee, third] = [SENDER, PAYEE, THIRD].map(|number| party(suite, number));
        let mut offered = offer_between(suite, 1, &[&sender, &payee, &third]);
        let signed = SignedEpochOffer::from_bytes(&offered.signed_offer().to_bytes()).unwrap();
        assert_eq!(offered.missing(), [PAYEE, THIRD]);

        for member in [&third, &payee] {
            offered = *offered.into_sending().expect_err("a member is missing");
            let received = accept(member, &sender, &signed).unwrap();
            let ack = received.acknowledge(&chain(), &signed.offer, member.number, &member.offer_key).unwrap();
            let ack = EpochAck::from_bytes(&ack.to_bytes()).unwrap();
            offered.acknowledge(&chain(), &ack, &member.offer_public()).unwrap();
            offered.acknowledge(&chain(), &ack, &member.offer_public()).unwrap();
        }
        assert_eq!(offered.missing(), []);
        let sending = offered.into_sending().unwrap();
        assert_eq!(sending.epoch().members(), [SENDER, PAYEE, THIRD]);
        assert_eq!(sending.epoch().id(), EpochId { sender: SENDER, number: 1 });
    }
}

#[test]
fn e_2_an_acknowledgement_of_another_epoch_or_signer_or_outsider_is_refused() {
    let [sender, payee, third] = [SENDER, PAYEE, THIRD].map(|number| party(KemSuite::X25519, number));
    let mut offered = offer_between(KemSuite::X25519, 1, &[&sender, &payee]);
    let signed = offered.signed_offer().clone();
    let received = accept(&payee, &sender, &signed).unwrap();
    let ack = received.acknowledge(&chain(), &signed.offer, PAYEE, &payee.offer_key).unwrap();

    let other = EpochAck { epoch: EpochId { sender: SENDER, number: 2 }, ..ack.clone() };
    assert_eq!(offered.acknowledge(&chain(), &other, &payee.offer_public()), Err(AckRefused::OtherEpoch(other.epoch)));
    let outsider = EpochAck { member: THIRD, ..ack.clone() };
    assert_eq!(offered.acknowledge(&chain(), &outsider, &third.offer_public()), Err(AckRefused::NotAMember(THIRD)));
    assert_eq!(offered.acknowledge(&chain(), &ack, &third.offer_public()), Err(AckRefused::SignatureInvalid(PAYEE)));
    // An acknowledgement of the same number with other content.
    let second = offer_between(KemSuite::X25519, 2, &[&sender, &payee]).signed_offer().clone();
    let second = accept(&payee, &sender, &second).unwrap();
    assert_eq!(second.acknowledge(&chain(), &signed.offer, PAYEE, &payee.offer_key), None);
    assert_eq!(offered.missing(), [PAYEE]);
    offered.acknowledge(&chain(), &ack, &payee.offer_public()).unwrap();
}

#[test]
fn e_2_an_offer_that_is_not_exactly_right_is_refused_by_name() {
    for suite in SUITES {
        let [sender, payee, third] = [SENDER, PAYEE, THIRD].map(|number| party(suite, number));
        let signed = offer_between(suite, 1, &[&sender, &payee, &third]).signed_offer().clone();
        accept(&payee, &sender, &signed).unwrap();

        let refused = |name: &str, signed: &SignedEpochOffer, why: OfferRefused| {
            assert_eq!(accept(&payee, &sender, signed).err(), Some(why), "{name}, {suite:?}");
        };
        let mut unsigned = signed.clone();
        unsigned.offer.not_after_ms += 1;
        refused("changed after signing", &unsigned, OfferRefused::SignatureInvalid);
        let other_chain = Chain::new(GenesisHash([8; 32]));
        let elsewhere = accept_offer(&other_chain, PAYEE, &payee.kem, &sender.offer_public(), &signed, NOW_MS);
        assert_eq!(elsewhere.err(), Some(OfferRefused::SignatureInvalid), "an offer of another chain");
        assert_eq!(accept(&payee, &third, &signed).err(), Some(OfferRefused::SignatureInvalid), "signed by another");

        let members = |numbers: &[u16]| List::new(numbers.iter().map(|n| ParticipantNumber(*n)).collect()).unwrap();
        let with_members = |numbers: &[u16]| resigned(&sender, &signed, |s| s.offer.members = members(numbers));
        refused("members not ascending", &with_members(&[3, 2, 4]), OfferRefused::Members);
        refused("a member twice", &with_members(&[2, 3, 3, 4]), OfferRefused::Members);
        refused("without its sender", &with_members(&[3, 4]), OfferRefused::Members);
        refused("without the receiver", &with_members(&[2, 4]), OfferRefused::NotAMember);
        refused("a member more than encapsulations", &with_members(&[2, 3, 4, 5]), OfferRefused::Encapsulations);
        refused("a member less than encapsulations", &with_members(&[2, 3]), OfferRefused::Encapsulations);
        let as_sender = resigned(&sender, &signed, |s| s.offer.sender = PAYEE);
        refused("the receiver as sender", &as_sender, OfferRefused::NotAMember);

        let swapped = resigned(&sender, &signed, |s| s.offer.encapsulations.as_mut_slice().swap(0, 1));
        refused("encapsulations out of order", &swapped, OfferRefused::Encapsulations);
        let crossed = resigned(&sender, &signed, |s| {
            let list = s.offer.encapsulations.as_mut_slice();
            list.swap(0, 1);
            (list[0].member, list[1].member) = (PAYEE, THIRD);
        });
        refused("another member's encapsulation", &crossed, OfferRefused::CannotOpenKey);
        let renumbered = resigned(&sender, &signed, |s| s.offer.epoch = 2);
        refused("an encapsulation of another epoch", &renumbered, OfferRefused::CannotOpenKey);
        let damaged = resigned(&sender, &signed, |s| s.offer.encapsulations.as_mut_slice()[0].ciphertext[5] ^= 1);
        refused("a damaged encapsulation", &damaged, OfferRefused::CannotOpenKey);
        let shorter = resigned(&sender, &signed, |s| {
            s.offer.encapsulations.as_mut_slice()[0].encapsulated_key = Octets::new(vec![1; 31]).unwrap();
        });
        refused("an encapsulated key of a wrong length", &shorter, OfferRefused::CannotOpenKey);
        let two_keys = resigned(&sender, &signed, |s| s.offer.commitment[0] ^= 1);
        refused("a key that the offer does not commit to", &two_keys, OfferRefused::OtherKey);

        let late = accept_offer(&chain(), PAYEE, &payee.kem, &sender.offer_public(), &signed, NOT_AFTER_MS + 1);
        assert_eq!(late.err(), Some(OfferRefused::Ended { not_after_ms: NOT_AFTER_MS }));
        let lasting = |lifetime_ms| {
            let not_after_ms = NOW_MS.saturating_add(lifetime_ms);
            (not_after_ms, resigned(&sender, &signed, |s| s.offer.not_after_ms = not_after_ms))
        };
        for lifetime_ms in [EPOCH_LIFETIME_MAX_MS + 1, u64::MAX] {
            let (not_after_ms, for_ever) = lasting(lifetime_ms);
            refused("a key for ever", &for_ever, OfferRefused::LivesTooLong { not_after_ms });
        }
        assert!(accept(&payee, &sender, &lasting(EPOCH_LIFETIME_MAX_MS).1).is_ok(), "the longest life, {suite:?}");
    }
}

#[test]
fn e_2_an_outsider_opens_no_key_and_no_envelope() {
    for suite in SUITES {
        let [sender, payee, third] = [SENDER, PAYEE, THIRD].map(|number| party(suite, number));
        let mut offered = offer_between(suite, 1, &[&sender, &payee]);
        let signed = offered.signed_offer().clone();
        assert_eq!(accept(&third, &sender, &signed).err(), Some(OfferRefused::NotAMember));
        let as_payee = accept_offer(&chain(), PAYEE, &third.kem, &sender.offer_public(), &signed, NOW_MS);
        assert_eq!(as_payee.err(), Some(OfferRefused::CannotOpenKey), "with its own secret in the payee's name");

        let received = accept(&payee, &sender, &signed).unwrap();
        let ack = received.acknowledge(&chain(), &signed.offer, PAYEE, &payee.offer_key).unwrap();
        offered.acknowledge(&chain(), &ack, &payee.offer_public()).unwrap();
        let mut sending = offered.into_sending().unwrap();
        reserve(&mut sending);
        let (envelope, root) =
            seal(&chain(), slot(&mut sending), draft(), &payment(b"tea"), &bank_secret(), &mut NamedRng::new("seal"))
                .unwrap();

        for member in [received.epoch(), sending.epoch()] {
            let (opened, opened_root) = open_with_epoch(&chain(), &envelope, member).unwrap();
            assert_eq!(opened, payment(b"tea"));
            assert_eq!(opened_root.secret(), root.secret());
        }
        // The sender's epoch with the third bank is another key.
        let with_third = offer_between(suite, 2, &[&sender, &third]).signed_offer().clone();
        let with_third = accept(&third, &sender, &with_third).unwrap();
        assert_eq!(open_with_epoch(&chain(), &envelope, with_third.epoch()).err(), Some(CannotOpen));
        let mut window = HintWindow::new(chain());
        window.watch(std::sync::Arc::clone(with_third.epoch()), None);
        assert!(window.find(&envelope.header).is_none());
    }
}

#[test]
fn an_offer_needs_ascending_members_with_the_sender_and_sound_keys() {
    let [sender, payee] = [SENDER, PAYEE].map(|number| party(KemSuite::X25519, number));
    let terms = OfferTerms { sender: SENDER, number: 1, not_after_ms: NOT_AFTER_MS, envelopes_max: 10 };
    let offer = |members: &[Member<'_>]| {
        make_offer(&chain(), KemSuite::X25519, &terms, members, &sender.offer_key, &mut NamedRng::new("offer"))
            .map(|o| o.id())
            .err()
    };
    assert_eq!(offer(&[payee.member()]), Some(CannotOffer::Members));
    assert_eq!(offer(&[payee.member(), sender.member()]), Some(CannotOffer::Members));
    assert_eq!(offer(&[sender.member(), payee.member(), payee.member()]), Some(CannotOffer::Members));
    let nine: Vec<_> = (2..11).map(|n| Member { number: ParticipantNumber(n), ..payee.member() }).collect();
    assert_eq!(offer(&nine), Some(CannotOffer::Members));
    let small_order = Member { kem_key: &[0; 32], ..payee.member() };
    assert_eq!(offer(&[sender.member(), small_order]), Some(CannotOffer::KemKey(PAYEE)));
    assert_eq!(offer(&[sender.member(), payee.member()]), None);
    // A bank's channel with itself, for splits and merges.
    let alone = make_offer(
        &chain(),
        KemSuite::X25519,
        &terms,
        &[sender.member()],
        &sender.offer_key,
        &mut NamedRng::new("alone"),
    );
    assert!(alone.unwrap().into_sending().is_ok());
}

#[test]
fn e_2_an_epoch_is_spent_by_time_and_by_count() {
    let sender = party(KemSuite::X25519, SENDER);
    let terms = OfferTerms { sender: SENDER, number: 1, not_after_ms: NOT_AFTER_MS, envelopes_max: 3 };
    let offered =
        make_offer(&chain(), KemSuite::X25519, &terms, &[sender.member()], &sender.offer_key, &mut NamedRng::new("o"))
            .unwrap();
    let mut sending = offered.into_sending().unwrap();
    assert_eq!(sending.next_slot(NOW_MS).err(), Some(NoSlot::NotReserved));
    reserve(&mut sending);
    assert!(!sending.is_spent(NOT_AFTER_MS));
    assert!(sending.is_spent(NOT_AFTER_MS + 1));
    assert_eq!(sending.next_slot(NOT_AFTER_MS + 1).err(), Some(NoSlot::Spent));
    let counters: Vec<_> = (0..3).map(|_| sending.next_slot(NOT_AFTER_MS).unwrap().counter()).collect();
    assert_eq!(counters, [0, 1, 2]);
    assert!(sending.is_spent(NOW_MS));
    assert_eq!(sending.next_slot(NOW_MS).err(), Some(NoSlot::Spent));
    assert!(sending.reserve().is_none());
}

#[test]
fn e_4_an_epoch_may_go_when_nothing_sealed_under_it_can_still_be_accepted() {
    let epoch = epoch(1);
    assert!(!epoch.may_be_destroyed(NOT_AFTER_MS + 60_000, 60_000));
    assert!(epoch.may_be_destroyed(NOT_AFTER_MS + 60_001, 60_000));
    assert!(!epoch.may_be_destroyed(u64::MAX, u64::MAX));
    // Whatever a member has accepted ends.
    let day_and_window = NOW_MS + EPOCH_LIFETIME_MAX_MS + 86_400_000 + 1;
    assert!(epoch.may_be_destroyed(day_and_window, 86_400_000));
}

#[test]
fn an_epoch_survives_its_record_and_a_damaged_record_is_refused() {
    let mut sending = sending_epoch(1);
    let (envelope, _) =
        seal(&chain(), slot(&mut sending), draft(), &payment(b""), &bank_secret(), &mut NamedRng::new("seal")).unwrap();
    let restored = ReceivingEpoch::restore(&sending.record()).unwrap();
    assert_eq!(*restored.record(), *sending.record());
    assert_eq!(restored.epoch().id(), sending.epoch().id());
    assert!(open_with_epoch(&chain(), &envelope, restored.epoch()).is_ok());

    let record = sending.record();
    for bytes in 0..record.len() {
        assert!(ReceivingEpoch::restore(&record[..bytes]).is_err(), "{bytes} bytes of {}", record.len());
    }
    let mut other_version = record.to_vec();
    other_version[0] = 2;
    assert!(ReceivingEpoch::restore(&other_version).is_err());
    let mut other_sender = record.to_vec();
    other_sender[1] = 9;
    assert!(ReceivingEpoch::restore(&other_sender).is_err());
    let mut longer = record.to_vec();
    longer.push(0);
    assert!(SendingEpoch::resume(&longer, 10, 0, None).is_err());
}

#[test]
fn no_secret_is_printed() {
    let mut sending = sending_epoch(1);
    let record = sending.record();
    let key = &record[record.len() - 32..];
    let (_, root) =
        seal(&chain(), slot(&mut sending), draft(), &payment(b""), &bank_secret(), &mut NamedRng::new("seal")).unwrap();
    let release = KeyRelease { envelope: EnvelopeId::ZERO, root: root.clone() };
    let printed = format!("{sending:?} {:?} {root:?} {release:?} {:?}", slot(&mut sending), bank_secret());
    for secret in [key, root.secret(), &named("bank secret")] {
        assert!(!printed.contains(&hex::encode(&secret[..4])));
        assert!(!printed.contains(&format!("{}, {}, {}", secret[0], secret[1], secret[2])));
    }
}
