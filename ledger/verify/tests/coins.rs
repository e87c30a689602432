//! A coin's record, proved from the genesis document alone; and every attack on such a proof, by the name of its refusal.

use crate::chain;

use chain::*;
use ledger_tree::log;
use ledger_tree::note::NoteSignature;
use ledger_types::confirmation::RecordStatus;
use ledger_types::encoding::{Decode, Encode, Octets};
use ledger_types::*;
use ledger_verify::*;

/// Two batches after the genesis: coin 1 is spent, the coins 4 and 5 are confirmed.
fn registry() -> Registry {
    let mut registry = Registry::new();
    let first = [registry.spent(1), registry.live(4)];
    registry.confirm(2, &first);
    let second = [registry.live(5)];
    registry.confirm(5, &second);
    registry
}

fn judge(registry: &Registry, proof: &CoinProof) -> Verdict<VerifiedCoin> {
    // Through the bytes: what is tested is what a stranger sends.
    let decoded = CoinProof::from_bytes(&proof.to_bytes()).expect("a proof that was built decodes");
    assert_eq!(&decoded, proof);
    verify_coin(&registry.trust(), &decoded.coin, &decoded, NOW_MS)
}

#[track_caller]
fn refused(registry: &Registry, proof: &CoinProof, reason: Reason) {
    assert_eq!(judge(registry, proof), Verdict::Invalid(reason));
}

/// The newest checkpoint's text under these lines.
fn with_lines(registry: &Registry, lines: impl IntoIterator<Item = NoteSignature>) -> CoinProof {
    let note = note(&registry.checkpoint_text(registry.size()), lines);
    registry.coin_proof_with(issued_coin(&registry.chain, 4), &note)
}

fn text(registry: &Registry) -> String {
    registry.checkpoint_text(registry.size())
}

#[test]
fn a_confirmed_coin_is_verified_with_its_record_height_time_and_signers() {
    let registry = registry();
    let coin = issued_coin(&registry.chain, 4);
    let verified = judge(&registry, &registry.coin_proof(coin)).verified().expect("an honest proof");
    assert_eq!(verified.coin(), coin);
    let Answer::Present(record) = verified.answer() else { panic!("coin 4 is confirmed") };
    assert_eq!((record.status, record.batch, record.height), (RecordStatus::Live, BatchNumber(1), Height(2)));
    assert_eq!(record.tag, opening(&registry.chain, 4).owner_tag(&registry.chain, &coin));
    let state = verified.state();
    assert_eq!((state.batch(), state.height()), (BatchNumber(2), Height(5)));
    assert_eq!(state.time_ms(), GENESIS_TIME_MS + 5_000);
    assert_eq!(state.signers(), VALIDATORS.map(ParticipantNumber));
    assert_eq!((state.power(), state.age_ms(), state.is_stale()), (4, 5_000, false));
}

#[test]
fn a_spent_coin_keeps_its_last_record() {
    let registry = registry();
    let verified = judge(&registry, &registry.coin_proof(issued_coin(&registry.chain, 1))).verified().unwrap();
    assert!(matches!(verified.answer(), Answer::Present(record) if record.status == RecordStatus::Spent));
}

#[test]
fn an_unknown_coin_is_proved_absent() {
    let registry = registry();
    for number in 50..80 {
        let verified = judge(&registry, &registry.coin_proof(issued_coin(&registry.chain, number))).verified().unwrap();
        assert_eq!(verified.answer(), Answer::Absent);
    }
}

#[test]
fn three_of_four_equal_validators_are_a_quorum_and_two_are_not() {
    let registry = registry();
    let text = text(&registry);
    let by = |numbers: &[u16]| {
        let cosigned = numbers.iter().map(|number| cosign(&text, *number, COSIGNED_AT_S));
        judge(&registry, &with_lines(&registry, std::iter::once(log_sign(&text)).chain(cosigned)))
    };
    assert_eq!(by(&[2, 3, 4]).verified().unwrap().state().power(), 3);
    assert_eq!(by(&[3, 4]), Verdict::NotEnoughPower { have: 2, need: 3 });
    assert_eq!(by(&[]), Verdict::NotEnoughPower { have: 0, need: 3 });
}

#[test]
fn a_quorum_of_banks_without_the_logs_key_makes_no_checkpoint_l2() {
    let registry = registry();
    let text = text(&registry);
    let cosigned = || VALIDATORS.iter().map(|number| cosign(&text, *number, COSIGNED_AT_S));
    refused(&registry, &with_lines(&registry, cosigned()), Reason::MissingLogSignature);

    // Under the log's name with keys of their own, as a log and as a cosigner.
    let mine = key(Purpose::Desk, 2);
    let own = ledger_tree::note::NoteKey::new(ORIGIN, &mine.public_key().0).unwrap();
    let forged = own.sign(&text, |message| mine.sign(message).0);
    refused(&registry, &with_lines(&registry, std::iter::once(forged).chain(cosigned())), Reason::ForgedLogSignature);
    let as_cosigner = cosign_as(ORIGIN, &key(Purpose::Log, 1), &text, COSIGNED_AT_S);
    refused(
        &registry,
        &with_lines(&registry, std::iter::once(as_cosigner).chain(cosigned())),
        Reason::ForgedLogSignature,
    );

    // The log's signature of an earlier checkpoint.
    let earlier = log_sign(&registry.checkpoint_text(registry.states[0].1));
    refused(&registry, &with_lines(&registry, std::iter::once(earlier).chain(cosigned())), Reason::ForgedLogSignature);
}

#[test]
fn a_signer_named_twice_is_refused_even_beside_a_quorum() {
    let registry = registry();
    let text = text(&registry);
    for twice in [cosign(&text, 2, COSIGNED_AT_S), cosign(&text, 2, COSIGNED_AT_S + 9), log_sign(&text)] {
        let cosigned = VALIDATORS.iter().map(|number| cosign(&text, *number, COSIGNED_AT_S));
        let lines = std::iter::once(log_sign(&text)).chain(cosigned).chain([twice]);
        refused(&registry, &with_lines(&registry, lines), Reason::DuplicatedSigner);
    }
}

#[test]
fn a_forged_or_unknown_signer_is_refused_even_beside_a_quorum() {
    let registry = registry();
    let text = text(&registry);
    let quorum = || [1, 2, 3].map(|number| cosign(&text, number, COSIGNED_AT_S)).into_iter().chain([log_sign(&text)]);
    let own_key = cosign_as(&format!("{ORIGIN}/4"), &key(Purpose::Desk, 4), &text, COSIGNED_AT_S);
    refused(&registry, &with_lines(&registry, quorum().chain([own_key])), Reason::ForgedSigner);
    let other_text = cosign(&registry.checkpoint_text(registry.states[0].1), 4, COSIGNED_AT_S);
    refused(&registry, &with_lines(&registry, quorum().chain([other_text])), Reason::ForgedSigner);
    // An observer is in the directory and cosigns nothing.
    refused(
        &registry,
        &with_lines(&registry, quorum().chain([cosign(&text, 5, COSIGNED_AT_S)])),
        Reason::UnknownSigner,
    );
    let witness = cosign_as("witness.example/w1", &key(Purpose::Owner, 9), &text, COSIGNED_AT_S);
    refused(&registry, &with_lines(&registry, quorum().chain([witness])), Reason::UnknownSigner);
    // Leading zeros are another name, not another spelling.
    let spelt = cosign_as(&format!("{ORIGIN}/04"), &key(Purpose::Cosign, 4), &text, COSIGNED_AT_S);
    refused(&registry, &with_lines(&registry, quorum().chain([spelt])), Reason::UnknownSigner);
}

#[test]
fn an_old_state_under_a_new_checkpoint_is_a_stale_root_l1() {
    let registry = registry();
    let coin = issued_coin(&registry.chain, 1);
    let mut before = registry.clone();
    // The coin was live before the second batch; its proof of then, shown under the checkpoint of now.
    before.states.truncate(1);
    before.records.insert(coin, Registry::new().records[&coin]);
    let mut proof = before.coin_proof(coin);
    proof.state.checkpoint = registry.state_proof().checkpoint;
    refused(&registry, &proof, Reason::StaleRoot);

    // The same leaf with its true path at the new size: there it is not the last.
    let (_, size) = registry.states[0];
    let path = log::prove_inclusion(&registry.rows, size - 1, registry.size()).unwrap();
    proof.state.path = List::new(path.into_iter().map(TreeRoot).collect()).unwrap();
    refused(&registry, &proof, Reason::StaleRoot);
}

#[test]
fn a_checkpoint_that_does_not_end_on_a_state_leaf_is_refused_l1() {
    let registry = registry();
    let size = registry.size() - 1;
    let text = registry.checkpoint_text(size);
    let cosigned = VALIDATORS.iter().map(|number| cosign(&text, *number, COSIGNED_AT_S));
    let note = note(&text, std::iter::once(log_sign(&text)).chain(cosigned));
    let coin = issued_coin(&registry.chain, 4);
    refused(&registry, &registry.coin_proof_with(coin, &note), Reason::StaleRoot);
}

#[test]
fn an_empty_log_proves_nothing() {
    let registry = registry();
    let text = format!("{ORIGIN}\n0\n47DEQpj8HBSa+/TImW+5JCeuQeRkm5NMpJWZG3hSuFU=\n");
    let cosigned = VALIDATORS.iter().map(|number| cosign(&text, *number, COSIGNED_AT_S));
    let note = note(&text, std::iter::once(log_sign(&text)).chain(cosigned));
    refused(&registry, &registry.coin_proof_with(issued_coin(&registry.chain, 4), &note), Reason::StaleRoot);
}

#[test]
fn another_record_than_the_maps_is_a_wrong_record_l4() {
    let registry = registry();
    let honest = registry.coin_proof(issued_coin(&registry.chain, 4));
    let Answer::Present(record) = honest.answer else { panic!("coin 4 is confirmed") };
    let change = |change: &dyn Fn(&mut CoinProof)| {
        let mut proof = honest.clone();
        change(&mut proof);
        refused(&registry, &proof, Reason::WrongRecord);
    };
    let with = |record| move |proof: &mut CoinProof| proof.answer = Answer::Present(record);
    change(&with(confirmation::Record { status: RecordStatus::Frozen, ..record }));
    change(&with(confirmation::Record { tag: OwnerTag([7; 32]), ..record }));
    change(&with(confirmation::Record { batch: BatchNumber(2), ..record }));
    change(&|proof| proof.answer = Answer::Absent);
    change(&|proof| proof.coin = issued_coin(&registry.chain, 5));
    change(&|proof| proof.map_proof = registry.coin_proof(issued_coin(&registry.chain, 5)).map_proof);
    // A coin that is not there, with the record of one that is.
    change(&|proof| proof.coin = issued_coin(&registry.chain, 70));
}

#[test]
fn a_true_proof_of_another_coin_answers_nothing() {
    let registry = registry();
    let coin = |number| issued_coin(&registry.chain, number);
    // Of an absent coin the same walk may prove many others absent.
    for (asked, shown) in [(4, 5), (4, 60), (60, 61)] {
        let verdict = verify_coin(&registry.trust(), &coin(asked), &registry.coin_proof(coin(shown)), NOW_MS);
        assert_eq!(verdict, Verdict::Invalid(Reason::OtherCoin));
    }
}

#[test]
fn the_record_before_an_update_is_a_wrong_record_l4() {
    let registry = registry();
    let coin = issued_coin(&registry.chain, 1);
    let mut proof = registry.coin_proof(coin);
    let before = Registry::new();
    proof.answer = before.coin_proof(coin).answer;
    refused(&registry, &proof, Reason::WrongRecord);
    proof.map_proof = before.coin_proof(coin).map_proof;
    refused(&registry, &proof, Reason::WrongRecord);
}

#[test]
fn a_proof_of_another_chain_is_refused() {
    let registry = registry();
    let coin = issued_coin(&registry.chain, 4);
    let mut participants = directory();
    participants[4].name = Text::new("Another Observer").unwrap();
    let mut other = Registry::of(genesis_with(participants));
    let line = [other.live(4)];
    other.confirm(2, &line);
    let foreign = other.coin_proof(issued_coin(&other.chain, 4));
    refused(&registry, &foreign, Reason::OtherChain);

    // Same keys, same origin: only the genesis hash in the state leaf's set hash tells them apart, and it does.
    let mut relabelled = foreign;
    relabelled.state.genesis_hash = registry.chain.genesis_hash();
    refused(&registry, &relabelled, Reason::OmittedUpdate);

    let text = text(&registry).replace(ORIGIN, "registry.example/other");
    let cosigned = VALIDATORS.iter().map(|number| cosign(&text, *number, COSIGNED_AT_S));
    let note = note(&text, std::iter::once(log_sign(&text)).chain(cosigned));
    refused(&registry, &registry.coin_proof_with(coin, &note), Reason::OtherChain);
}

#[test]
fn a_checkpoint_that_is_no_plain_one_is_refused() {
    let registry = registry();
    let coin = issued_coin(&registry.chain, 4);
    let text = text(&registry);
    let extended = format!("{text}an extension line\n");
    let noted = note(&extended, [log_sign(&extended)]);
    let mut unterminated = registry.checkpoint();
    unterminated.pop();
    for checkpoint in ["", "\n", &text, &noted, &unterminated, &registry.checkpoint().replace(" ", "  ")] {
        refused(&registry, &registry.coin_proof_with(coin, checkpoint), Reason::MalformedCheckpoint);
    }
}

#[test]
fn a_checkpoint_older_than_two_minutes_is_verified_and_stale_l3() {
    let registry = registry();
    let proof = registry.coin_proof(issued_coin(&registry.chain, 4));
    let at = |now_ms| verify_coin(&registry.trust(), &proof.coin, &proof, now_ms).verified().expect("age is no reason");
    let signed_ms = COSIGNED_AT_S * 1_000;
    let shown = |now_ms| (at(now_ms).state().age_ms(), at(now_ms).state().is_stale());
    assert_eq!(shown(signed_ms + STALE_AFTER_MS), (STALE_AFTER_MS, false));
    assert_eq!(shown(signed_ms + STALE_AFTER_MS + 1), (STALE_AFTER_MS + 1, true));
    // A verifier whose clock is behind cannot tell the age, and must not call it fresh.
    assert_eq!(shown(signed_ms - STALE_AFTER_MS), (0, false));
    assert_eq!(shown(signed_ms - STALE_AFTER_MS - 1), (0, true));
}

#[test]
fn one_validator_cannot_make_a_checkpoint_look_newer_l3() {
    let registry = registry();
    let text = text(&registry);
    let late = [(1, COSIGNED_AT_S), (2, COSIGNED_AT_S + 10), (3, COSIGNED_AT_S + 20), (4, i64::MAX as u64)];
    let cosigned = late.map(|(number, time_s)| cosign(&text, number, time_s));
    let proof = with_lines(&registry, std::iter::once(log_sign(&text)).chain(cosigned));
    let verified = judge(&registry, &proof).verified().unwrap();
    assert_eq!(verified.state().signed_at_ms(), (COSIGNED_AT_S + 10) * 1_000);
}

#[test]
fn two_roots_of_one_size_are_a_split_view_l3() {
    let registry = registry();
    let mut other = Registry::new();
    let first = [other.spent(2), other.live(4)];
    other.confirm(2, &first);
    let second = [other.live(5)];
    other.confirm(5, &second);
    assert_eq!(registry.size(), other.size());

    let mut trust = registry.trust();
    let coin = issued_coin(&registry.chain, 4);
    let here = verify_coin(&trust, &coin, &registry.coin_proof(coin), NOW_MS).verified().unwrap();
    trust.remember(here.state().head(), &[]).unwrap();
    let there = other.coin_proof(coin);
    assert_eq!(verify_coin(&trust, &coin, &there, NOW_MS), Verdict::Invalid(Reason::SplitView));
    // A verifier without memory cannot tell.
    let there = verify_coin(&registry.trust(), &coin, &there, NOW_MS).verified().unwrap();
    assert_eq!(trust.remember(there.state().head(), &[]), Err(Reason::SplitView));
    assert_eq!(trust.newest(), Some(here.state().head()));
}

#[test]
fn a_log_that_did_not_grow_from_the_accepted_one_is_a_split_view_l3() {
    let registry = registry();
    let start = Registry::new();
    let mut other = Registry::new();
    let lines = [other.spent(3)];
    other.confirm(2, &lines);

    let head = |registry: &Registry| {
        verify_state(&registry.trust(), &registry.state_proof(), NOW_MS).verified().expect("signed by all").head()
    };
    let mut trust = registry.trust();
    trust.remember(head(&start), &[]).unwrap();
    let proof = |registry: &Registry, from: &Registry| {
        log::prove_consistency(&registry.rows, from.size(), registry.size()).unwrap()
    };
    assert_eq!(trust.remember(head(&registry), &[]), Err(Reason::ConsistencyNotShown));
    trust.remember(head(&registry), &proof(&registry, &start)).unwrap();
    assert_eq!(trust.newest(), Some(head(&registry)));

    // A fork that branched off before: no proof leads from one to the other.
    assert!(other.size() < registry.size());
    assert_eq!(trust.remember(head(&other), &proof(&registry, &other)), Err(Reason::SplitView));
    // An older state of the same log is no fork and does not wind the memory back.
    trust.remember(head(&start), &proof(&registry, &start)).unwrap();
    assert_eq!(trust.newest(), Some(head(&registry)));

    let mut resumed = registry.trust();
    resumed.resume_from(TreeHead::from_bytes(&trust.newest().unwrap().to_bytes()).unwrap());
    assert_eq!(resumed.remember(head(&registry), &[]), Ok(()));
}

#[test]
fn the_supply_is_the_state_leafs_totals_r6() {
    let mut registry = registry();
    let verified = verify_supply(&registry.trust(), &registry.state_proof(), NOW_MS).verified().unwrap();
    assert_eq!((verified.issued(), verified.redeemed(), verified.in_circulation()), (5_000, 0, 5_000));

    let mut leaf = registry.states.last().unwrap().0;
    leaf.redeemed = leaf.issued + 1;
    registry.append_state(leaf);
    let verdict = verify_supply(&registry.trust(), &registry.state_proof(), NOW_MS);
    assert_eq!(verdict, Verdict::Invalid(Reason::ImpossibleSupply));

    let mut raised = registry.state_proof();
    raised.state_leaf.issued += 1;
    assert_eq!(verify_supply(&registry.trust(), &raised, NOW_MS), Verdict::Invalid(Reason::StaleRoot));
}

#[test]
fn a_genesis_document_that_is_not_canonical_is_refused_g1() {
    let mut document = Registry::new().document();
    document.push(0);
    assert!(Trust::from_genesis(&document).is_err());
    let mut version = Registry::new().document();
    version[0] = 2;
    assert!(Trust::from_genesis(&version).is_err());
}

#[test]
fn bytes_that_are_no_coin_proof_are_refused_with_bounds_first() {
    let registry = registry();
    let bytes = registry.coin_proof(issued_coin(&registry.chain, 4)).to_bytes();
    assert!(bytes.len() < COIN_PROOF_BYTES_MAX);
    for length in 0..bytes.len() {
        assert!(CoinProof::from_bytes(&bytes[..length]).is_err(), "cut at {length}");
    }
    let mut longer = bytes.clone();
    longer.push(0);
    assert!(CoinProof::from_bytes(&longer).is_err());
    let mut version = bytes;
    version[0] = 2;
    assert!(CoinProof::from_bytes(&version).is_err());
    assert!(Octets::<8>::from_bytes(&[0xff, 0xff, 0]).is_err());
}
