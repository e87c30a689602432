use super::world::*;
use crate::clock::now_ms;
use crate::link::{Caller, Request, Response, SuccessState};
use crate::role::commercial_bank::desk::Inner;
use crate::role::commercial_bank::job::{State, Step, Work};
use crate::role::commercial_bank::requests::{NewJob, NotCreated, NotShown};
use crate::role::commercial_bank::sealing::{PlannedOutput, Source, lay_out};
use ledger_seal::{Draft, seal};
use ledger_state::PaymentRule;
use ledger_types::confirmation::RecordStatus;
use ledger_types::envelope::ClearContext;
use ledger_types::keys::{PublicKey, Signature};
use ledger_types::order::{Order, Payee, memo_hash};
use ledger_types::sealed::{SealedAcceptance, SealedOrder};
use ledger_types::{Amount, CoinId, ContractNumber, Encode, List, SeriesNumber, Terms};
use std::time::Duration;

#[tokio::test]
async fn a_payment_across_banks_is_ordered_settled_and_confirmed_and_its_change_comes_back() {
    let world = World::with_desks().await;
    let (payer, payee) = (world.desk(BANK2), world.desk(BANK3));
    payee.create_wallet("bob").await.unwrap();
    let before = owned(&payer, "vault");
    let job = create(&payer, payment("vault", BANK3, "bob", 1_234)).await.unwrap();
    world.until_submitted(1).await;
    assert_eq!(state(&payer, &job.id), State::Pending);
    world.block().await;
    let settled = payer.wait_for(&job.id, State::Settled, Duration::from_secs(10)).await.unwrap().unwrap();
    assert_eq!(settled.state, State::Settled);
    assert_eq!(owned(&payee, "bob"), 1_234);
    assert_eq!(live(&payee, "bob"), 0, "C-3: an output starts unconfirmed");
    assert_eq!(world.register().await, 3, "one coin spent, two made");
    let job = world.finish(BANK2, &job.id).await;
    assert_eq!(job.state, State::Confirmed);
    assert_eq!(live(&payee, "bob"), 1_234);
    assert_eq!(owned(&payer, "vault"), before - 1_234);
    assert_eq!(live(&payer, "vault"), before - 1_234);
    let steps: Vec<Step> = job.trace.iter().map(|row| row.step).collect();
    for step in [
        Step::OrderSigned,
        Step::AcceptedByPayeeBank,
        Step::Sealed,
        Step::Submitted,
        Step::Ordered,
        Step::Opened,
        Step::PayeeBankSuccess,
        Step::KeyReleased,
        Step::Confirmed,
    ] {
        assert!(steps.contains(&step), "{step:?} is missing in {steps:?}");
    }
    assert!(job.trace.is_sorted_by_key(|row| row.at_us));
    payer.shared().book.check();
}

#[tokio::test]
async fn wallets_of_one_bank_pay_each_other_without_another_bank() {
    let world = World::with_desks().await;
    let desk = world.desk(BANK2);
    desk.create_wallet("alice").await.unwrap();
    desk.create_wallet("carol").await.unwrap();
    let first = create(&desk, payment("vault", BANK2, "alice", 5_000)).await.unwrap();
    assert_eq!(world.finish(BANK2, &first.id).await.state, State::Confirmed);
    let second = create(&desk, payment("alice", BANK2, "carol", 5_000)).await.unwrap();
    assert_eq!(world.finish(BANK2, &second.id).await.state, State::Confirmed);
    assert_eq!((owned(&desk, "alice"), live(&desk, "carol")), (0, 5_000));
    assert_eq!(world.finish(BANK2, &second.id).await.coins.len(), 1, "no change when the sum is exact");
}

#[tokio::test]
async fn the_same_key_gives_the_same_payment_and_never_a_second_one() {
    let world = World::with_desks().await;
    let (payer, payee) = (world.desk(BANK2), world.desk(BANK3));
    payee.create_wallet("bob").await.unwrap();
    let new = || with_key(payment("vault", BANK3, "bob", 700), "invoice 17");
    let (one, two) = tokio::join!(create(&payer, new()), create(&payer, new()));
    let (one, two) = (one.unwrap(), two.unwrap());
    assert_eq!(one.id, two.id);
    world.finish(BANK2, &one.id).await;
    let later = create(&payer, new()).await.unwrap();
    assert_eq!((later.id, later.state), (one.id, State::Confirmed));
    assert_eq!(owned(&payee, "bob"), 700);
    let other = with_key(payment("vault", BANK3, "bob", 701), "invoice 17");
    assert!(matches!(create(&payer, other).await, Err(NotCreated::KeyReused)));
    drop((payer, payee));
    world.kill(BANK2).await;
    world.open(BANK2, settings(), None).await;
    assert_eq!(create(&world.desk(BANK2), new()).await.unwrap().id, one.id);
    assert_eq!(world.accepted().len(), 1);
}

/// The caller hangs up while the job is on its way to disk: the job was on disk without anybody who drives it, and the same
/// key answered with it for ever.
#[tokio::test]
async fn a_payment_whose_caller_hangs_up_before_the_answer_is_made_all_the_same() {
    let world = World::with_desks().await;
    let (payer, payee) = (world.desk(BANK2), world.desk(BANK3));
    payee.create_wallet("bob").await.unwrap();
    let new = || with_key(payment("vault", BANK3, "bob", 700), "invoice 18");
    let mut asking = Box::pin(payer.create(vec![new()]));
    let first_look = futures::poll!(&mut asking);
    assert!(first_look.is_pending(), "it waits for the disk");
    drop(asking);
    until("the job is there", || !payer.shared().jobs.is_empty()).await;
    let id = *payer.shared().jobs.keys().next().unwrap();
    assert_eq!(world.finish(BANK2, &id).await.state, State::Confirmed);
    assert_eq!(create(&payer, new()).await.unwrap().id, id);
    assert_eq!((live(&payee, "bob"), world.accepted().len()), (700, 1));
}

#[tokio::test]
async fn what_a_wallet_does_not_have_is_refused_with_what_it_has() {
    let world = World::with_desks().await;
    let desk = world.desk(BANK2);
    desk.create_wallet("alice").await.unwrap();
    let poor = create(&desk, payment("alice", BANK3, "bob", 1)).await;
    assert!(matches!(poor, Err(NotCreated::InsufficientFunds { live: 0, owned: 0 })));
    let all = u64::from(PREISSUED_COUNT) * PREISSUED_AMOUNT;
    let too_much = create(&desk, payment("vault", BANK3, "bob", all + 1)).await;
    assert!(matches!(too_much, Err(NotCreated::InsufficientFunds { live, .. }) if live == u128::from(all)));
    // What is promised to one payment is not promised to another.
    world.cut_off(BANK3);
    create(&desk, payment("vault", BANK3, "bob", all)).await.unwrap();
    assert!(matches!(
        create(&desk, payment("vault", BANK3, "bob", 1)).await,
        Err(NotCreated::InsufficientFunds { .. })
    ));
    assert!(matches!(create(&desk, payment("nobody", BANK3, "bob", 1)).await, Err(NotCreated::WalletUnknown(_))));
}

#[tokio::test]
async fn a_payment_to_a_wallet_that_is_not_there_is_refused_and_its_money_stays() {
    let world = World::with_desks().await;
    let desk = world.desk(BANK2);
    let before = owned(&desk, "vault");
    let job = create(&desk, payment("vault", BANK3, "nobody", 5)).await.unwrap();
    let job = world.finish(BANK2, &job.id).await;
    assert_eq!(job.state, State::Refused);
    assert!(job.reason.unwrap().contains("wallet_unknown"));
    assert_eq!(owned(&desk, "vault"), before);
    create(&desk, payment("vault", BANK3, "nobody", before as u64)).await.unwrap();
}

#[tokio::test]
async fn payments_that_find_no_free_coin_wait_in_line_until_change_is_confirmed() {
    let world = World::with_desks().await;
    let (payer, payee) = (world.desk(BANK2), world.desk(BANK3));
    payee.create_wallet("bob").await.unwrap();
    payer.create_wallet("alice").await.unwrap();
    let fund = create(&payer, payment("vault", BANK2, "alice", 900)).await.unwrap();
    world.finish(BANK2, &fund.id).await;
    let mut jobs = Vec::new();
    for _ in 0..3 {
        jobs.push(create(&payer, payment("alice", BANK3, "bob", 300)).await.unwrap().id);
    }
    for id in &jobs {
        assert_eq!(world.finish(BANK2, id).await.state, State::Confirmed);
    }
    assert_eq!((owned(&payer, "alice"), live(&payee, "bob")), (0, 900));
    payer.shared().book.check();
}

#[tokio::test]
async fn a_payment_of_more_coins_than_an_envelope_takes_waits_for_a_merge() {
    let world = World::with_desks().await;
    let (payer, payee) = (world.desk(BANK2), world.desk(BANK3));
    payee.create_wallet("bob").await.unwrap();
    payer.create_wallet("alice").await.unwrap();
    for _ in 0..10 {
        let fund = create(&payer, payment("vault", BANK2, "alice", 10)).await.unwrap();
        world.finish(BANK2, &fund.id).await;
    }
    let (stop, stopped) = tokio::sync::watch::channel(false);
    let arranging = tokio::spawn(payer.clone().arrange_coins(stopped));
    let job = create(&payer, payment("alice", BANK3, "bob", 100)).await.unwrap();
    assert_eq!(world.finish(BANK2, &job.id).await.state, State::Confirmed);
    assert_eq!(live(&payee, "bob"), 100);
    stop.send(true).unwrap();
    arranging.await.unwrap();
}

/// 8 untouched coins of 10,000 in the vault, and small change beside them.
#[tokio::test]
async fn the_vault_takes_its_untouched_coins_before_its_small_change() {
    let world = World::with_desks().await;
    let (payer, payee) = (world.desk(BANK2), world.desk(BANK3));
    payee.create_wallet("bob").await.unwrap();
    for _ in 0..2 {
        let job = create(&payer, payment("vault", BANK3, "bob", 9_999)).await.unwrap();
        world.finish(BANK2, &job.id).await;
    }
    let job = create(&payer, payment("vault", BANK3, "bob", 60_001)).await.unwrap();
    assert_eq!(world.finish(BANK2, &job.id).await.state, State::Confirmed);
    assert_eq!(live(&payee, "bob"), 2 * 9_999 + 60_001);
    payer.shared().book.check();
}

#[tokio::test]
async fn an_idle_desk_splits_a_large_coin_and_the_sum_stays() {
    let world = World::with_desks().await;
    let desk = world.desk(BANK2);
    desk.create_wallet("alice").await.unwrap();
    let fund = create(&desk, payment("vault", BANK2, "alice", 8_000)).await.unwrap();
    world.finish(BANK2, &fund.id).await;
    let (stop, stopped) = tokio::sync::watch::channel(false);
    let arranging = tokio::spawn(desk.clone().arrange_coins(stopped));
    let deadline = tokio::time::Instant::now() + Duration::from_secs(20);
    while desk.shared().book.wallets["alice"].coins.len() < 4 || live(&desk, "alice") < 8_000 {
        assert!(tokio::time::Instant::now() < deadline, "the coin is not split");
        world.step().await;
    }
    stop.send(true).unwrap();
    arranging.await.unwrap();
    assert_eq!(owned(&desk, "alice"), 8_000);
}

/// the ledger refuses its transfers, so each look would make work that comes to nothing.
#[tokio::test]
async fn an_overdue_bank_arranges_no_coins_and_what_it_is_asked_for_waits_unsealed() {
    let world = World::with_desks().await;
    let desk = world.desk(BANK2);
    desk.create_wallet("alice").await.unwrap();
    let fund = create(&desk, payment("vault", BANK2, "alice", 8_000)).await.unwrap();
    let fund = world.finish(BANK2, &fund.id).await;
    let wanted = || desk.wanted_arrangements().len();
    assert_eq!(wanted(), 1, "one coin is few");
    let envelope = ledger_types::EnvelopeId(fund.envelope.unwrap());
    world.overdue(envelope, BANK2).await;
    assert_eq!(wanted(), 0);
    let waits = create(&desk, payment("vault", BANK2, "alice", 10)).await.unwrap();
    let reason = || desk.job(&waits.id).unwrap().reason.unwrap_or_default();
    until("the payment says why it waits", || reason().contains("overdue")).await;
    // Whatever was sealed for it would be refused.
    assert_eq!((desk.job(&waits.id).unwrap().attempts, state(&desk, &waits.id)), (0, State::Pending));
    world.cleared(envelope, BANK2).await;
    assert_eq!(world.finish(BANK2, &waits.id).await.state, State::Confirmed);
}

/// What stood in memory was told, and after kill -9 it had never been.
#[tokio::test]
async fn a_state_is_told_only_when_a_kill_cannot_take_it_back() {
    let world = World::with_desks().await;
    let payer = world.desk(BANK2);
    world.desk(BANK3).create_wallet("bob").await.unwrap();
    let job = create(&payer, payment("vault", BANK3, "bob", 40)).await.unwrap();
    world.until_submitted(1).await;
    // From here on nothing reaches the disk.
    payer.journal.kill();
    world.block().await;
    assert_eq!(state(&payer, &job.id), State::Ordered, "in memory it is");
    let told = payer.wait_for(&job.id, State::Ordered, Duration::from_secs(10)).await;
    assert!(matches!(told, Err(NotShown::Stopped(_))), "{told:?}");
    assert!(payer.show(|shared| shared.book.sums("vault")).await.is_err(), "nor are balances told");
    // The record ends the job in memory, and with it the task that waits for a verdict.
    world.register().await;
    drop(payer);
    world.kill(BANK2).await;
    world.open(BANK2, settings(), None).await;
    let payer = world.desk(BANK2);
    let told = payer.wait_for(&job.id, State::Ordered, Duration::from_secs(10)).await.unwrap().unwrap();
    assert!(told.state.has_reached(State::Ordered));
    assert_eq!(world.finish(BANK2, &job.id).await.state, State::Confirmed);
}

#[tokio::test]
async fn without_a_quorum_payments_stay_pending_and_none_is_lost_or_doubled() {
    let world = World::with_desks().await;
    let (payer, payee) = (world.desk(BANK2), world.desk(BANK3));
    payee.create_wallet("bob").await.unwrap();
    let job = create(&payer, payment("vault", BANK3, "bob", 40)).await.unwrap();
    world.until_submitted(1).await;
    let first = payer.job(&job.id).unwrap().attempt.unwrap();
    // Nothing is decided until long after it expired; what was handed in is gone, and a copy of it comes late.
    world.lose_lanes();
    assert_eq!(payer.job(&job.id).unwrap().state, State::Pending);
    world.block_at(first.expiry_ms + 1).await;
    until("it is sealed again", || {
        payer.job(&job.id).is_some_and(|job| job.attempt.is_some_and(|attempt| attempt.envelope != first.envelope))
    })
    .await;
    world.until_submitted(1).await;
    let late = ledger_types::Decode::from_bytes(&first.bytes).unwrap();
    world.submit(BANK2, late);
    let job = world.finish(BANK2, &job.id).await;
    assert_eq!(job.state, State::Confirmed);
    assert_eq!((world.accepted().len(), live(&payee, "bob")), (1, 40));
}

#[tokio::test]
async fn a_payees_bank_that_is_away_delays_a_payment_and_loses_none() {
    let world = World::with_desks().await;
    let (payer, payee) = (world.desk(BANK2), world.desk(BANK3));
    payee.create_wallet("bob").await.unwrap();
    world.cut_off(BANK3);
    let job = create(&payer, payment("vault", BANK3, "bob", 40)).await.unwrap();
    until("it says why it waits", || payer.job(&job.id).unwrap().reason.is_some()).await;
    world.block().await;
    assert_eq!(state(&payer, &job.id), State::Pending);
    world.reconnect(BANK3);
    assert_eq!(world.finish(BANK2, &job.id).await.state, State::Confirmed);
    assert_eq!(live(&payee, "bob"), 40);
}

#[tokio::test]
async fn a_coin_that_is_spent_behind_the_desks_back_is_let_go_and_another_pays() {
    let world = World::with_desks().await;
    let (payer, payee) = (world.desk(BANK2), world.desk(BANK3));
    payee.create_wallet("bob").await.unwrap();
    let job = create(&payer, payment("vault", BANK3, "bob", 40)).await.unwrap();
    world.until_submitted(1).await;
    let attempt = payer.job(&job.id).unwrap().attempt.unwrap();
    // The same coin goes to another envelope of this bank, made by somebody with its token, and that one is first.
    let coin = payer.shared().book.coins[&CoinId(attempt.inputs[0])].clone();
    let (inputs, owners) = payer.inputs_and_owners(&[coin]).ok().unwrap();
    let ready = payer
        .prepare_to_self(&job, inputs, &owners, &[PREISSUED_AMOUNT], u64::MAX, ClearContext::Transfer, |_| {
            ledger_seal::Authorization::NotNeeded
        })
        .await
        .ok()
        .unwrap();
    world.lose_lanes();
    world.submit(BANK2, ready.envelope);
    world.submit(BANK2, ledger_types::Decode::from_bytes(&attempt.bytes).unwrap());
    let job = world.finish(BANK2, &job.id).await;
    assert_eq!(job.state, State::Confirmed);
    assert_eq!(job.attempts, 2);
    assert_eq!(live(&payee, "bob"), 40);
    payer.shared().book.check();
}

/// Another bank puts the payment's bytes into a bundle of its own and gets it ordered first; the ledger refuses the copy. The
/// payer's bank would report a payment refused, and its coins free, that then takes effect.
#[tokio::test]
async fn a_copy_in_somebody_elses_bundle_is_no_verdict_on_a_payment() {
    for copy_is_a_block_earlier in [false, true] {
        let world = World::with_desks().await;
        let (payer, payee) = (world.desk(BANK2), world.desk(BANK3));
        payee.create_wallet("bob").await.unwrap();
        let before = owned(&payer, "vault");
        let job = create(&payer, payment("vault", BANK3, "bob", 40)).await.unwrap();
        world.until_submitted(1).await;
        let attempt = payer.job(&job.id).unwrap().attempt.unwrap();
        let copied: ledger_types::envelope::Envelope = ledger_types::Decode::from_bytes(&attempt.bytes).unwrap();
        if copy_is_a_block_earlier {
            world.lose_lanes();
        }
        // Participant 1's bundle stands before participant 2's in a block.
        world.submit(CENTRAL, copied.clone());
        world.block().await;
        if copy_is_a_block_earlier {
            assert_eq!(state(&payer, &job.id), State::Pending, "the copy ends nothing");
            assert!(payer.job(&job.id).unwrap().attempt.is_some(), "nor the attempt, whose coins stay reserved");
            world.submit(BANK2, copied);
        }
        let job = world.finish(BANK2, &job.id).await;
        assert_eq!((job.state, job.attempts), (State::Confirmed, 1), "a block earlier: {copy_is_a_block_earlier}");
        assert_eq!((live(&payee, "bob"), owned(&payer, "vault")), (40, before - 40));
        assert_eq!(world.accepted().len(), 1);
        payer.shared().book.check();
    }
}

/// The payer's bank seals an output that nobody paid for, beside a payment of 100 to bob at bank 3, and hands it in. Gives the
/// coins that it would make, bob's first.
pub(super) async fn mint(world: &World) -> Vec<CoinId> {
    let payer = world.desk(BANK2);
    payer.create_wallet("mallory").await.unwrap();
    let chain = *payer.chain();
    let held = payer.change(|shared, unit| {
        shared.book.promise("vault", 100);
        match shared.book.reserve("vault", [7; 16], 100, unit) {
            crate::role::commercial_bank::book::Coins::Reserved(coins) => coins,
            _ => panic!("the vault has coins"),
        }
    });
    let (inputs, owners) = payer.inputs_and_owners(&held.0).ok().unwrap();
    let invoice = payer.ask_invoice(BANK3, "bob", 100, &[1; 16]).await.ok().unwrap();
    let change_owner = payer.owner_key("mallory", 5).unwrap().public_key();
    let order = Order {
        inputs: List::new(vec![inputs[0].id]).unwrap(),
        payee: Some(Payee { bank: BANK3, owner: PublicKey(invoice.owner), amount: Amount(100) }),
        currency: world.rules.genesis.currency,
        change_owners: List::new(vec![change_owner]).unwrap(),
        nonce: 1,
        expiry_ms: now_ms() + 20_000,
        memo_hash: memo_hash(&chain, b""),
    };
    let signature = owners.values().next().unwrap().sign(&order.hash(&chain).0);
    let accept = Request::Accept {
        order: order.to_bytes(),
        signatures: vec![signature.0.to_vec()],
        input_owners: vec![inputs[0].opening.owner.0],
        series: inputs[0].opening.series.0,
        invoice: invoice.id,
    };
    let (coins, expiry_ms, accepted) =
        crate::role::commercial_bank::pay::accepted(payer.ask(BANK3, accept).await.ok().unwrap(), 1).ok().unwrap();
    let planned = [
        PlannedOutput {
            amount: 100,
            bank: BANK3,
            owner: PublicKey(coins[0].owner),
            rho: coins[0].rho,
            terms: Terms::ZERO,
        },
        // 9,900 would be the change.
        PlannedOutput { amount: 1_000_000, bank: BANK2, owner: change_owner, rho: [3; 32], terms: Terms::ZERO },
    ];
    let mut layout =
        lay_out(&chain, world.rules.genesis.currency, ContractNumber(0), Source::Spends(inputs), &planned, b"")
            .unwrap();
    layout.sealed.order = Some(SealedOrder {
        payee_output: Some(layout.places[0] as u8),
        nonce: 1,
        expiry_ms: order.expiry_ms,
        signatures: List::new(vec![signature]).unwrap(),
    });
    layout.sealed.acceptance = Some(SealedAcceptance { expiry_ms, signature: accepted });
    let slot = payer.epochs.slot(&*payer.ports, &payer.journal, &[BANK2, BANK3]).await.unwrap();
    let draft = Draft {
        inputs: layout.inputs.clone(),
        outputs: layout.outputs.clone(),
        contract: ContractNumber(0),
        expiry_ms: order.expiry_ms,
        context: ClearContext::Transfer,
    };
    let (envelope, _) = seal(&chain, slot, draft, &layout.sealed, &payer.bank_secret, &mut rand::rngs::OsRng).unwrap();
    world.submit(BANK2, envelope);
    layout.places.iter().map(|place| layout.coins[*place]).collect()
}

/// The ledger cannot see it; the payee's bank and registration do.
#[tokio::test]
async fn a_bank_that_seals_more_value_than_it_spent_gets_no_success_and_is_disputed() {
    let world = World::with_desks().await;
    let payee = world.desk(BANK3);
    payee.create_wallet("bob").await.unwrap();
    let minted = mint(&world).await;
    world.block().await;
    let [id] = world.accepted()[..] else { panic!("the ledger sees no amounts") };
    let asked = Request::AwaitSuccess { envelope: id.0, wait_ms: 1_000 };
    let answer = payee.clone().answer(Caller::Participant(BANK2), asked).await;
    assert_eq!(answer, Response::Success(SuccessState::NotGood(PaymentRule::ValueNotConserved.number())));
    assert_eq!(owned(&payee, "bob"), 0);
    world.register().await;
    for coin in &minted {
        let record = world.record(coin).unwrap();
        assert_eq!(record.status, ledger_types::confirmation::RecordStatus::Disputed);
        assert_eq!(record.failed_check, PaymentRule::ValueNotConserved.number());
    }
}

#[tokio::test]
async fn success_is_told_to_the_payers_bank_alone_and_openings_to_the_central_bank_alone() {
    let world = World::with_desks().await;
    let (payer, payee) = (world.desk(BANK2), world.desk(BANK3));
    payee.create_wallet("bob").await.unwrap();
    let job = create(&payer, payment("vault", BANK3, "bob", 40)).await.unwrap();
    let job = world.finish(BANK2, &job.id).await;
    let asked = || Request::AwaitSuccess { envelope: job.envelope.unwrap(), wait_ms: 0 };
    let answer = |caller| payee.clone().answer(Caller::Participant(caller), asked());
    assert_eq!(answer(BANK2).await, Response::Success(SuccessState::Good));
    assert_eq!(answer(BANK4).await, Response::Success(SuccessState::NotYet));
    let opening =
        |caller| payee.clone().answer(Caller::Participant(caller), Request::OpeningFor { coin: job.coins[0] });
    assert!(matches!(opening(CENTRAL).await, Response::Opening { .. }));
    assert!(matches!(opening(BANK2).await, Response::Refused(_)));
    let releases = |caller| payee.clone().answer(caller, Request::TakeReleases { after: 0, max: 9, wait_ms: 0 });
    assert!(matches!(releases(Caller::Registration).await, Response::Releases(_)));
    assert!(matches!(releases(Caller::Participant(CENTRAL)).await, Response::Refused(_)));
}

#[tokio::test]
async fn an_order_that_does_not_fit_its_invoice_is_not_accepted() {
    let world = World::with_desks().await;
    let payee = world.desk(BANK3);
    payee.create_wallet("bob").await.unwrap();
    let payer = Caller::Participant(BANK2);
    let owner = key_of(BANK2, "some owner");
    let invoice = payee.invoice(payer, "bob", 100, &[1; 16]).await.unwrap();
    assert_eq!(payee.invoice(payer, "bob", 100, &[1; 16]).await.unwrap(), invoice, "the same nonce, the same key");
    assert_ne!(payee.invoice(payer, "bob", 100, &[2; 16]).await.unwrap().owner, invoice.owner);
    let good = Order {
        inputs: List::new(vec![CoinId([1; 32])]).unwrap(),
        payee: Some(Payee { bank: BANK3, owner: PublicKey(invoice.owner), amount: Amount(100) }),
        currency: world.rules.genesis.currency,
        change_owners: List::empty(),
        nonce: 1,
        expiry_ms: now_ms() + 20_000,
        memo_hash: memo_hash(payee.chain(), b""),
    };
    let ask = |order: Order, sign: bool, id: [u8; 32]| {
        let signature = if sign { owner.sign(&order.hash(payee.chain()).0) } else { Signature([0; 64]) };
        let request = Request::Accept {
            order: order.to_bytes(),
            signatures: vec![signature.0.to_vec()],
            input_owners: vec![owner.public_key().0],
            series: SeriesNumber(1).0,
            invoice: id,
        };
        payee.clone().answer(payer, request)
    };
    let code = |response: Response| match response {
        Response::Refused(refusal) => refusal.code,
        other => panic!("accepted: {other:?}"),
    };
    let first = ask(good.clone(), true, invoice.id).await;
    assert!(matches!(first, Response::Accepted { .. }));
    assert_eq!(ask(good.clone(), true, invoice.id).await, first, "the same order gets the same answer");
    assert_eq!(code(ask(good.clone(), false, invoice.id).await), "order_not_signed");
    assert_eq!(code(ask(good.clone(), true, [9; 32]).await), "invoice_unknown");
    let more = Payee { amount: Amount(101), ..good.payee.clone().unwrap() };
    assert_eq!(code(ask(Order { payee: Some(more), ..good.clone() }, true, invoice.id).await), "other_amount");
    let other = Payee { bank: BANK4, ..good.payee.clone().unwrap() };
    assert_eq!(code(ask(Order { payee: Some(other), ..good.clone() }, true, invoice.id).await), "other_payee");
    assert_eq!(code(ask(Order { payee: None, ..good.clone() }, true, invoice.id).await), "no_payee");
    assert_eq!(code(ask(Order { expiry_ms: now_ms() - 1, ..good.clone() }, true, invoice.id).await), "expiry_unfit");
    assert_eq!(
        code(ask(Order { expiry_ms: now_ms() + 70_000, ..good.clone() }, true, invoice.id).await),
        "expiry_unfit"
    );
    assert_eq!(code(ask(Order { inputs: List::empty(), ..good }, true, invoice.id).await), "inputs_malformed");
}

#[tokio::test]
async fn releases_are_kept_until_they_are_acknowledged_and_cursors_never_go_back() {
    let world = World::with_desks().await;
    world.desk(BANK3).create_wallet("bob").await.unwrap();
    let take = |desk: std::sync::Arc<crate::role::commercial_bank::desk::Inner>, after| async move {
        match desk.answer(Caller::Registration, Request::TakeReleases { after, max: 9, wait_ms: 0 }).await {
            Response::Releases(releases) => releases.iter().map(|release| release.cursor).collect::<Vec<_>>(),
            other => panic!("{other:?}"),
        }
    };
    let pay = || NewJob { wallet: "vault".into(), ..payment("vault", BANK3, "bob", 10) };
    let first = create(&world.desk(BANK2), pay()).await.unwrap();
    world.until_submitted(1).await;
    world.block().await;
    world.desk(BANK2).wait_for(&first.id, State::Ordered, Duration::from_secs(10)).await.unwrap();
    assert_eq!(take(world.desk(BANK2), 0).await, [1]);
    assert_eq!(take(world.desk(BANK3), 0).await, [1], "both parties release");
    world.kill(BANK2).await;
    world.open(BANK2, settings(), None).await;
    assert_eq!(take(world.desk(BANK2), 0).await, [1], "kept over a restart");
    world.desk(BANK2).ack_releases(1).await;
    assert_eq!(take(world.desk(BANK2), 0).await, [0u64; 0]);
    world.kill(BANK2).await;
    world.open(BANK2, settings(), None).await;
    create(&world.desk(BANK2), pay()).await.unwrap();
    world.until_submitted(1).await;
    world.block().await;
    until("the second is released", || world.desk(BANK2).shared().release_next == 3).await;
    assert_eq!(take(world.desk(BANK2), 1).await, [2]);
    assert!(matches!(world.desk(BANK2).job(&first.id).unwrap().work, Work::Pay { .. }));
}

#[tokio::test]
async fn a_frozen_coin_of_the_vault_is_passed_over_when_its_turn_comes_and_spent_when_it_is_let_go() {
    let world = World::with_desks().await;
    let all = u128::from(PREISSUED_AMOUNT) * u128::from(PREISSUED_COUNT);
    let frozen = ledger_state::preissued_coins(&world.rules).nth(2).unwrap().id;
    assert!(!world.desk(BANK2).shared().book.coins.contains_key(&frozen), "it was never taken");
    world.publish(frozen, RecordStatus::Frozen).await;
    let rest = all - u128::from(PREISSUED_AMOUNT);
    let figures = |desk: &Inner| (owned(desk, "vault"), live(desk, "vault"));
    assert_eq!(figures(&world.desk(BANK2)), (all, rest));
    world.kill(BANK2).await;
    world.open(BANK2, settings(), None).await;
    let desk = world.desk(BANK2);
    assert_eq!(figures(&desk), (all, rest));
    // All turns come.
    let taken = desk.change_durably(|shared, unit| shared.book.fill_vault(PREISSUED_COUNT as usize, unit));
    taken.await.unwrap();
    assert_eq!(desk.shared().book.coins.len(), PREISSUED_COUNT as usize, "each once");
    assert_eq!(figures(&desk), (all, rest));
    desk.shared().book.check();
    world.publish(frozen, RecordStatus::Live).await;
    assert_eq!(figures(&desk), (all, all));
    desk.create_wallet("alice").await.unwrap();
    let everything = u64::try_from(all).unwrap();
    let job = create(&desk, payment("vault", BANK2, "alice", everything)).await.unwrap();
    assert_eq!(world.finish(BANK2, &job.id).await.state, State::Confirmed);
}
