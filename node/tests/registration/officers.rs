//! what is booked opens to k officers, for a request that the public log shows, and to nothing that registration holds.

use crate::bed::*;
use crate::world::*;
use ledger_seal::{DisclosureKey, OfficersShare, SealedRoot, open_with_root};
use ledger_state::PaymentRule;
use ledger_types::confirmation::RecordStatus;
use ledger_types::rejection::Rejection;
use ledger_types::request::{OfficerRequest, RequestClass};
use ledger_types::{CoinId, Decode, Encode, EnvelopeId};
use node::outbox::StorageKey;
use node::role::registration::Registrar;
use node_api::regulator::{FromRegistration, OpeningFile, RequestFile, ToRegistration};
use rand::SeedableRng;

const BLIND: [u8; 32] = [0x42; 32];

/// Orders a request about the coin, and settles until the log shows it.
async fn asked(world: &mut World, class: RequestClass, coin: CoinId) -> RequestFile {
    let request = {
        let mut bed = world.bed();
        let (envelope, request) = bed.request(class, &coin, BLIND);
        bed.order(&[&envelope]);
        request
    };
    world.settle().await;
    file(world, &request, coin)
}

fn file(world: &World, request: &OfficerRequest, coin: CoinId) -> RequestFile {
    let bed = world.bed();
    let proof = bed.request_proof(request);
    RequestFile {
        schema_version: 1,
        genesis_hash: bed.rules.chain.genesis_hash().to_string(),
        class: request.class.as_str().into(),
        basis: request.basis.to_string(),
        epoch: request.epoch,
        coin: coin.to_string(),
        blind: hex::encode(BLIND),
        index: proof.index,
        proof: hex::encode(proof.to_bytes()),
        hand_overs: Vec::new(),
    }
}

fn hand(world: &World, document: ToRegistration) -> FromRegistration {
    let (mut registrar, _): (Registrar, _) = world.open_registrar().unwrap();
    registrar.take_handed(&document).unwrap()
}

fn refusal(answer: FromRegistration) -> String {
    match answer {
        FromRegistration::Refused { reason } => reason,
        other => panic!("{other:?}"),
    }
}

fn sealed_root(answer: FromRegistration) -> (EnvelopeId, SealedRoot) {
    match answer {
        FromRegistration::Sealed { envelope_id, sealed_root } => {
            let sealed = SealedRoot::from_bytes(&hex::decode(sealed_root).unwrap()).unwrap();
            (EnvelopeId::from_hex(&envelope_id).unwrap(), sealed)
        }
        other => panic!("{other:?}"),
    }
}

/// One confirmed payment of 60 to bank 3, with 40 of change.
async fn paid() -> (World, Payment) {
    let mut world = World::new();
    let payment = {
        let mut bed = world.bed();
        let input = bed.coin_of(BANK2, 0);
        let payment = bed.pay(BANK2, &[input], &[(BANK3, 60), (BANK2, 40)]);
        bed.order(&[&payment]);
        payment
    };
    world.release_by_all(&payment);
    world.settle().await;
    world.kill_registrar();
    (world, payment)
}

fn coin_at(payment: &Payment, bank: ledger_types::ParticipantNumber) -> KnownCoin {
    payment.coins.iter().find(|coin| coin.bank == bank).unwrap().clone()
}

#[tokio::test]
async fn r4_two_officers_open_a_booked_coin_and_one_does_not() {
    let (mut world, payment) = paid().await;
    let coin = coin_at(&payment, BANK3);
    let request = asked(&mut world, RequestClass::Disclose, coin.id).await;
    world.kill_registrar();
    let (envelope, sealed) = sealed_root(hand(&world, ToRegistration::Request(request)));
    assert_eq!(envelope, payment.id);
    let chain = world.bed().rules.chain;
    let key = DisclosureKey::check(&genesis(), &officers_document(&genesis())).unwrap();
    let mut rng = rand::rngs::StdRng::seed_from_u64(1);
    let shares = &officers_key().shares;
    let mut answer = |n: usize| {
        let share = OfficersShare::of_key(&key, &shares[n]).unwrap();
        share.answer(&chain, &envelope, &sealed, &mut rng).unwrap()
    };
    let answers = [answer(0), answer(2)];
    assert!(key.open(&envelope, &sealed, &answers[..1]).is_err());
    let root = key.open(&envelope, &sealed, &answers).unwrap();
    assert_eq!(root.secret(), &payment.root);
    let opened = open_with_root(&chain, &payment.envelope, &root).unwrap();
    let opening = opened.output_opening(usize::from(coin.output_index), opened.common_series(), false).unwrap();
    assert_eq!(opening, coin.opening, "what the bank knows");
}

/// Every place of every file of registration's folder, tried with registration's own storage key in the form in which openings
/// lay there before R-4: none opens any more, nor does the plaintext or the key of the booked envelope lie there.
#[tokio::test]
async fn r4_no_opening_of_a_booked_coin_is_on_registrations_disk_even_for_who_has_its_keys() {
    let (world, payment) = paid().await;
    let coin = coin_at(&payment, BANK3);
    let key = StorageKey::new("assay registration storage v1", &[1; 32]);
    let what_for = [b"account ", &coin.id.0[..]].concat();
    let sealed_bytes = key.seal(&what_for, &coin.opening.to_bytes()).len();
    let secrets = [payment.root, coin.opening.rho, coin.opening.owner.0];
    let mut tried = 0;
    for (path, bytes) in files_without(&secrets, world.folder.path().join("registration")) {
        // The log's zeros hold nothing.
        for window in bytes.windows(sealed_bytes).filter(|window| window[..8] != [0; 8]) {
            tried += 1;
            assert!(key.open(&what_for, window).is_none(), "{}", path.display());
        }
    }
    assert!(tried > 1_000, "{tried} places: the database was looked through");
}

#[tokio::test]
async fn r5_a_request_that_is_not_in_the_log_or_about_another_coin_or_of_another_chain_gets_nothing() {
    let (mut world, payment) = paid().await;
    let (coin, other) = (coin_at(&payment, BANK3).id, coin_at(&payment, BANK2).id);
    let request = asked(&mut world, RequestClass::Disclose, coin).await;
    world.kill_registrar();
    let refused = |change: &dyn Fn(&mut RequestFile)| {
        let mut changed = request.clone();
        change(&mut changed);
        refusal(hand(&world, ToRegistration::Request(changed)))
    };
    let other_target = refused(&|file| file.coin = other.to_string());
    assert!(other_target.starts_with("other_coin"), "{other_target}");
    let other_blind = refused(&|file| file.blind = "00".repeat(32));
    assert!(other_blind.starts_with("other_coin"), "{other_blind}");
    let class_of_the_leaf = refused(&|file| {
        let mut bytes = hex::decode(&file.proof).unwrap();
        let proof = ledger_verify::RequestProof::from_bytes(&bytes).unwrap();
        let freeze = OfficerRequest { class: RequestClass::Freeze, ..proof.request };
        bytes = ledger_verify::RequestProof { request: freeze, ..proof }.to_bytes();
        file.proof = hex::encode(bytes);
    });
    assert!(class_of_the_leaf.starts_with("request_not_logged"), "{class_of_the_leaf}");
    let other_chain = refused(&|file| {
        let mut bytes = hex::decode(&file.proof).unwrap();
        bytes[1] ^= 1; // the genesis hash behind the version
        file.proof = hex::encode(bytes);
    });
    assert!(other_chain.starts_with("other_chain"), "{other_chain}");
    // A log without the request, as if it had been deleted there: its leaf is nowhere under that root.
    let deleted = {
        let (mut without, again) = paid().await;
        let third = coin_at(&again, BANK2).id;
        asked(&mut without, RequestClass::Unfreeze, third).await.proof
    };
    let deleted = refused(&|file| {
        let other_log = ledger_verify::RequestProof::from_bytes(&hex::decode(&deleted).unwrap()).unwrap();
        let proof = ledger_verify::RequestProof::from_bytes(&hex::decode(&file.proof).unwrap()).unwrap();
        file.proof = hex::encode(ledger_verify::RequestProof { state: other_log.state, ..proof }.to_bytes());
    });
    assert!(deleted.starts_with("request_not_logged"), "{deleted}");
}

#[tokio::test]
async fn r3_a_coin_is_frozen_and_let_go_for_one_logged_request_each() {
    let (mut world, payment) = paid().await;
    let coin = coin_at(&payment, BANK3);
    let freeze = asked(&mut world, RequestClass::Freeze, coin.id).await;
    let mut registrar_answers = |document: ToRegistration| {
        world.kill_registrar();
        hand(&world, document)
    };
    let done = |status: &str| FromRegistration::Done { status: status.into() };
    assert_eq!(registrar_answers(ToRegistration::Request(freeze.clone())), done("freeze"));
    assert_eq!(refusal(registrar_answers(ToRegistration::Request(freeze.clone()))), "this request was used");
    world.settle().await;
    assert_eq!(world.bed().record(&coin), Some(RecordStatus::Frozen));
    let tag = world.bed().state.records[&coin.id].tag;
    assert_eq!(tag, coin.opening.owner_tag(&world.bed().rules.chain, &coin.id), "the owner's tag stays");
    // It cannot be spent, by the ledger's own rule.
    let refused = {
        let mut bed = world.bed();
        let spend = bed.pay(BANK3, std::slice::from_ref(&coin), &[(BANK4, 60)]);
        let bundle = bed.bundle(&[&spend]);
        let time_ms = bed.next_time_ms();
        bed.block(time_ms, &[bundle]).unwrap();
        bed.results[&spend.id]
    };
    assert_eq!(refused, Rejection::CoinIsNotLive.number());
    // The freeze's leaf lets nothing go.
    let unfreeze = asked(&mut world, RequestClass::Unfreeze, coin.id).await;
    world.kill_registrar();
    assert_eq!(refusal(hand(&world, ToRegistration::Request(freeze))), "this request was used");
    assert_eq!(hand(&world, ToRegistration::Request(unfreeze)), done("unfreeze"));
    world.settle().await;
    assert_eq!(world.bed().record(&coin), Some(RecordStatus::Live));
    let spend = {
        let mut bed = world.bed();
        let spend = bed.pay(BANK3, &[coin], &[(BANK4, 60)]);
        bed.order(&[&spend]);
        spend
    };
    world.release_by_all(&spend);
    world.settle().await;
    assert_eq!(world.bed().record(&spend.coins[0]), Some(RecordStatus::Live));
}

#[tokio::test]
async fn r3_a_pre_issued_coin_is_frozen_and_let_go_and_a_freeze_that_comes_after_the_spend_is_too_late() {
    let mut world = World::new();
    let coin = world.bed().coin_of(BANK4, 1);
    world.bed().pass_time(1_000);
    let freeze = asked(&mut world, RequestClass::Freeze, coin.id).await;
    // The ledger takes the spend while registration has not seen it.
    let spend = {
        let mut bed = world.bed();
        let spend = bed.pay(BANK4, std::slice::from_ref(&coin), &[(BANK4, 100)]);
        bed.order(&[&spend]);
        spend
    };
    world.kill_registrar();
    assert_eq!(hand(&world, ToRegistration::Request(freeze)), FromRegistration::Done { status: "freeze".into() });
    world.release_by_all(&spend);
    world.settle().await;
    assert_eq!(world.bed().record(&coin), Some(RecordStatus::Spent));
    assert_eq!(world.bed().record(&spend.coins[0]), Some(RecordStatus::Live));
    let coin = world.bed().coin_of(BANK4, 2);
    for (class, status) in [(RequestClass::Freeze, RecordStatus::Frozen), (RequestClass::Unfreeze, RecordStatus::Live)]
    {
        let request = asked(&mut world, class, coin.id).await;
        world.kill_registrar();
        hand(&world, ToRegistration::Request(request));
        world.settle().await;
        assert_eq!(world.bed().record(&coin), Some(status));
    }
}

#[tokio::test]
async fn p4_what_an_unread_payment_was_worth_is_what_officers_open_of_its_inputs() {
    let (mut world, payment) = paid().await;
    let spent = coin_at(&payment, BANK3);
    let unreadable = {
        let mut bed = world.bed();
        let mut unreadable = bed.pay(BANK3, std::slice::from_ref(&spent), &[(BANK4, 60)]);
        bed.make_unreadable(&mut unreadable);
        bed.order(&[&unreadable]);
        unreadable
    };
    world.release_by_all(&unreadable);
    world.settle().await;
    let recover = |world: &World, inputs: &[KnownCoin]| {
        let mut bed = world.bed();
        let recovery = bed.recover_unopened(inputs, &[(BANK3, 60)]);
        bed.order(&[&recovery]);
        recovery
    };
    // Registration has forgotten what the input was worth: nothing is given back for it yet, and nothing is lost.
    let early = recover(&world, &unreadable.coins);
    world.release_by_all(&early);
    world.settle().await;
    let record = world.bed().state.records[&early.coins[0].id];
    let unknown = (RecordStatus::Disputed, PaymentRule::ValueNotConserved.number());
    assert_eq!((record.status, record.failed_check), unknown);
    world.kill_registrar();
    let opening = OpeningFile {
        schema_version: 1,
        coin: spent.id.to_string(),
        envelope_id: payment.id.to_string(),
        payer_bank: BANK2.0,
        payee_bank: BANK3.0,
        amount: 60,
        currency: "CNY".into(),
        owner_key: spent.opening.owner.to_string(),
        opening: hex::encode(spent.opening.to_bytes()),
        origin: spent.origin.to_string(),
        output_index: spent.output_index,
    };
    // The opening proves itself.
    let mut more = spent.opening.clone();
    more.amount.0 = 6_000;
    let minted = OpeningFile { opening: hex::encode(more.to_bytes()), ..opening.clone() };
    assert_eq!(refusal(hand(&world, ToRegistration::Opening(minted))), "this is not the opening of the coin");
    let counted = FromRegistration::Done { status: "counted".into() };
    assert_eq!(hand(&world, ToRegistration::Opening(opening.clone())), counted);
    let twice = refusal(hand(&world, ToRegistration::Opening(opening)));
    assert_eq!(twice, "no dispute waits for the worth of this coin");
    let fair = recover(&world, &early.coins);
    world.release_by_all(&fair);
    world.settle().await;
    assert_eq!(world.bed().record(&fair.coins[0]), Some(RecordStatus::Live));
}
