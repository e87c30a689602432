//! One height is one write: on disk whole, once, on its parent, with its proof and after its bundles.

use crate::common;

use common::bed::lending::*;
use common::bed::{BANK2, BANK3, CENTRAL};
use common::{StoredChain, VALIDATORS, precommits};
use ledger_state::StateReader;
use ledger_store::{CommitError, CommitRefusal};
use ledger_types::block::EnvelopeResult;
use ledger_types::log_leaf::LogLeaf;
use ledger_types::participant::SignerError;
use ledger_types::rejection::Rejection;
use ledger_types::request::RequestClass;
use ledger_types::{BlockHash, Encode, Height};

fn refusal(chain: &mut StoredChain, decided: &common::Decided) -> CommitRefusal {
    let before = chain.store().tip();
    let refusal = match chain.commit(decided) {
        Err(CommitError::Refused(refusal)) => refusal,
        other => panic!("expected a refusal, got {other:?}"),
    };
    assert_eq!(chain.store().tip(), before);
    chain.agrees_with_memory();
    refusal
}

#[test]
fn the_genesis_is_height_0_with_its_state_leaf_and_its_coins() {
    let chain = StoredChain::new();
    chain.agrees_with_memory();
    let tip = chain.store().tip();
    assert_eq!((tip.ledger.height, &tip.header, &tip.certificate), (Height::GENESIS, &None, &None));
    assert_eq!(tip.ledger.log_size, 21); // twenty coins and the state leaf
}

#[test]
fn a_committed_height_is_read_back_whole() {
    let mut chain = StoredChain::new();
    let decided = chain.payment(0);
    let bundle_digest = decided.block.certificates[0].digest(&chain.bed.rules.chain);
    let readers = chain.store().readers();
    let snapshot = readers.snapshot().unwrap();
    let height = Height(1);
    assert_eq!(snapshot.height(), height);
    assert_eq!(snapshot.block(height).unwrap(), Some(decided.block.clone()));
    assert_eq!(snapshot.header(height).unwrap(), Some(decided.applied.header.clone()));
    assert_eq!(snapshot.certificate(height).unwrap(), Some(decided.certificate.clone()));
    assert_eq!(snapshot.height_of_block(&decided.applied.ledger.block).unwrap(), Some(height));
    assert_eq!(snapshot.result_codes(height).unwrap(), Some(vec![EnvelopeResult::ACCEPTED]));
    assert_eq!(snapshot.height_of_bundle(&bundle_digest).unwrap(), Some(height));
    let envelope = decided.applied.results[0].envelope;
    let ordered = snapshot.envelope(&envelope).unwrap().unwrap();
    assert_eq!((ordered.height, ordered.position, ordered.code), (height, 0, EnvelopeResult::ACCEPTED));
    assert_eq!(chain.store().results(height).unwrap().unwrap(), decided.applied.results);
    let set = snapshot.validator_set(&decided.applied.header.next_set_hash).unwrap().unwrap();
    assert_eq!(set, chain.bed.ledger.directory.validators());
    assert_eq!(snapshot.block(Height(2)).unwrap(), None);
    assert_eq!(chain.store().results(Height(2)).unwrap(), None);
    chain.agrees_with_memory();
}

#[test]
fn a_reopened_store_stands_where_it_stood() {
    let mut chain = StoredChain::new();
    chain.payment(0);
    let coin = chain.bed.coin_of(BANK2, 1);
    chain.confirmation(&[coin]);
    chain.empty_block();
    let before = chain.store().tip();
    chain.reopen();
    assert_eq!(chain.store().tip(), before);
    chain.agrees_with_memory();
    chain.payment(1);
    chain.agrees_with_memory();
}

#[test]
fn a_height_is_committed_once() {
    let mut chain = StoredChain::new();
    let decided = chain.payment(0);
    assert_eq!(refusal(&mut chain, &decided), CommitRefusal::Committed { height: Height(1), tip: Height(1) });
    chain.reopen();
    assert_eq!(refusal(&mut chain, &decided), CommitRefusal::Committed { height: Height(1), tip: Height(1) });
}

#[test]
fn a_height_that_leaves_a_gap_is_refused() {
    let mut ahead = StoredChain::new();
    ahead.empty_block();
    let decided = ahead.empty_block();
    let mut chain = StoredChain::new();
    assert_eq!(refusal(&mut chain, &decided), CommitRefusal::Gap { height: Height(2), tip: Height(0) });
}

#[test]
fn a_height_on_another_parent_is_refused() {
    let mut other = StoredChain::new();
    other.payment(0);
    let decided = other.empty_block();
    let mut chain = StoredChain::new();
    let tip = chain.empty_block().applied.ledger.block;
    let parent = decided.block.header.parent;
    assert_eq!(refusal(&mut chain, &decided), CommitRefusal::OtherParent { parent, tip });
}

#[test]
fn a_block_whose_execution_gave_another_header_is_refused() {
    let mut chain = StoredChain::new();
    let mut decided = chain.decide(&[]);
    decided.block.header.time_ms += 1;
    assert_eq!(refusal(&mut chain, &decided), CommitRefusal::OtherExecution);
}

#[test]
fn a_height_that_its_certificate_does_not_prove_is_refused() {
    let mut chain = StoredChain::new();
    let rules_chain = chain.bed.rules.chain;
    let mut decided = chain.decide(&[]);
    let (height, block) = (decided.certificate.height, decided.certificate.block);

    decided.certificate = precommits(&rules_chain, height, BlockHash([1; 32]), &VALIDATORS);
    assert_eq!(refusal(&mut chain, &decided), CommitRefusal::OtherCertificate);
    decided.certificate = precommits(&rules_chain, Height(2), block, &VALIDATORS);
    assert_eq!(refusal(&mut chain, &decided), CommitRefusal::OtherCertificate);
    decided.certificate = precommits(&rules_chain, height, block, &[CENTRAL, BANK2]);
    let no_quorum = SignerError::NoQuorum { power: 2, total: 4 };
    assert_eq!(refusal(&mut chain, &decided), CommitRefusal::Certificate(no_quorum));
    decided.certificate = precommits(&rules_chain, height, block, &VALIDATORS);
    decided.certificate.precommits.as_mut_slice()[2].signature.0[5] ^= 1;
    let forged = SignerError::SignatureInvalid(BANK3);
    assert_eq!(refusal(&mut chain, &decided), CommitRefusal::Certificate(forged));

    decided.certificate = precommits(&rules_chain, height, block, &VALIDATORS[..3]);
    chain.commit(&decided).unwrap();
    chain.agrees_with_memory();
}

/// B-8: durable at a height means that its bundles are too.
#[test]
fn a_block_whose_bundle_is_not_stored_is_refused() {
    let mut chain = StoredChain::new();
    let bundle = chain.payment_bundle(0);
    let decided = chain.decide(std::slice::from_ref(&bundle));
    assert_eq!(refusal(&mut chain, &decided), CommitRefusal::BundleNotStored(bundle.digest()));
    chain.store().bundles().put(&[bundle]).unwrap();
    chain.commit(&decided).unwrap();
    chain.agrees_with_memory();
}

#[test]
fn a_snapshot_does_not_see_later_heights() {
    let mut chain = StoredChain::new();
    chain.payment(0);
    let readers = chain.store().readers();
    let snapshot = readers.snapshot().unwrap();
    let before = chain.bed.clone();
    for nth in 1..4 {
        chain.store().bundles().put(&[]).unwrap();
        let bundle = chain.payment_bundle(nth);
        chain.store().bundles().put(std::slice::from_ref(&bundle)).unwrap();
        let decided = chain.decide(&[bundle]);
        chain.store().commit(decided.height()).unwrap();
        chain.bed.write(&decided.applied);
    }
    assert_eq!(snapshot.height(), Height(1));
    assert_eq!(snapshot.tip().ledger, before.ledger);
    common::agrees(&snapshot, &before);
    assert_eq!(snapshot.block(Height(2)).unwrap(), None);
    let fresh = readers.snapshot().unwrap();
    assert_eq!(fresh.height(), Height(4));
    common::agrees(&fresh, &chain.bed);
}

/// A refusal never hides an acceptance, whichever comes first.
#[test]
fn an_envelope_ordered_twice_is_found_where_it_was_accepted() {
    let mut chain = StoredChain::new();
    let coin = chain.bed.coin_of(BANK2, 0);
    let envelope = chain.bed.transfer(BANK2, &[coin], &[(BANK3, 100)]).seal();
    let id = envelope.id(&chain.bed.rules.chain);
    let first = chain.bed.bundle(BANK2, vec![envelope.clone(), envelope.clone()]);
    chain.block(&[first]);
    let again = chain.bed.bundle(BANK2, vec![envelope]);
    let refused = chain.block(&[again]);
    assert_ne!(refused.applied.results[0].code, EnvelopeResult::ACCEPTED);
    let place = |chain: &StoredChain| chain.store().readers().snapshot().unwrap().envelope(&id).unwrap().unwrap();
    assert_eq!(
        (place(&chain).height, place(&chain).position, place(&chain).code),
        (Height(1), 0, EnvelopeResult::ACCEPTED)
    );
}

#[test]
fn an_envelope_refused_first_and_accepted_later_is_found_where_it_was_accepted() {
    let mut chain = StoredChain::new();
    let coin = chain.bed.coin_of(BANK2, 0);
    let draft = chain.bed.transfer(BANK2, &[coin], &[(BANK2, 100)]);
    let change = draft.coins[0].clone();
    // It spends what is not live yet: a refusal that is not final.
    let envelope = chain.bed.transfer(BANK2, std::slice::from_ref(&change), &[(BANK3, 100)]).seal();
    let id = envelope.id(&chain.bed.rules.chain);
    let bundle = chain.bed.bundle(BANK2, vec![draft.seal(), envelope.clone()]);
    chain.block(&[bundle]);
    let place = |chain: &StoredChain| chain.store().readers().snapshot().unwrap().envelope(&id).unwrap().unwrap();
    assert_eq!((place(&chain).height, place(&chain).position), (Height(1), 1));
    assert_ne!(place(&chain).code, EnvelopeResult::ACCEPTED);
    chain.confirmation(&[change]);
    let bundle = chain.bed.bundle(BANK2, vec![envelope]);
    chain.block(&[bundle]);
    assert_eq!(
        (place(&chain).height, place(&chain).position, place(&chain).code),
        (Height(3), 0, EnvelopeResult::ACCEPTED)
    );
}

/// A bank sees an envelope spread, puts its bytes into a bundle of its own, and is ordered first. The copy is refused; its
/// victim must not read that as the verdict on the envelope.
#[test]
fn a_copy_in_a_strangers_bundle_leaves_no_mark_on_the_envelope() {
    let mut chain = StoredChain::new();
    let coin = chain.bed.coin_of(BANK2, 0);
    let envelope = chain.bed.transfer(BANK2, std::slice::from_ref(&coin), &[(BANK3, 100)]).seal();
    let id = envelope.id(&chain.bed.rules.chain);
    let place = |chain: &StoredChain| chain.store().readers().snapshot().unwrap().envelope(&id).unwrap();
    let copy = chain.bed.bundle(BANK3, vec![envelope.clone()]);
    let copied = chain.block(&[copy]);
    assert_eq!(copied.applied.results[0].envelope, id);
    assert_eq!(copied.applied.results[0].code, Rejection::SubmitterIsNotTheBundles.number());
    assert!(place(&chain).is_none(), "refused is only the copy");
    let own = chain.bed.bundle(BANK2, vec![envelope.clone()]);
    let copy = chain.bed.bundle(BANK3, vec![envelope.clone()]);
    chain.block(&[copy, own]);
    let accepted = place(&chain).unwrap();
    assert_eq!((accepted.height, accepted.position, accepted.code), (Height(2), 1, EnvelopeResult::ACCEPTED));
    let late_copy = chain.bed.bundle(BANK3, vec![envelope]);
    chain.block(&[late_copy]);
    assert_eq!(place(&chain).unwrap(), accepted);
}

#[test]
fn checkpoints_and_evidence_are_kept() {
    let mut chain = StoredChain::new();
    chain.store().put_checkpoint(21, "first").unwrap();
    chain.store().put_checkpoint(300, "second").unwrap();
    chain.store().put_checkpoint(21, "first, cosigned by more").unwrap();
    chain.store().put_evidence(Height(7), b"two votes").unwrap();
    chain.store().put_evidence(Height(3), b"two bundles").unwrap();
    chain.store().put_evidence(Height(7), b"two votes").unwrap();
    chain.reopen();
    let readers = chain.store().readers();
    let snapshot = readers.snapshot().unwrap();
    assert_eq!(snapshot.newest_checkpoint().unwrap(), Some((300, "second".into())));
    assert_eq!(snapshot.checkpoint(21).unwrap().as_deref(), Some("first, cosigned by more"));
    assert_eq!(snapshot.checkpoint(22).unwrap(), None);
    let evidence: Vec<_> = snapshot.evidence().map(Result::unwrap).collect();
    assert_eq!(evidence, vec![(Height(3), b"two bundles".to_vec()), (Height(7), b"two votes".to_vec())]);
    assert_eq!(snapshot.coins(&[]).unwrap(), vec![]);
}

#[test]
fn requests_of_the_officers_are_found_in_the_log_newest_first() {
    let mut chain = StoredChain::new();
    let rules = chain.bed.rules.clone();
    for basis in ["AML-7", "COURT-9"] {
        let request = chain.bed.request(BANK3, RequestClass::Disclose, basis).authorize_by_officers(&rules, &[0, 2]);
        let envelopes = chain.bed.bundle(BANK3, vec![request.seal()]);
        let bundles = [envelopes, chain.bed.confirmation(chain.bed.batch(vec![]))];
        chain.block(&bundles);
    }
    chain.reopen();
    let size = chain.store().tip().ledger.log_size;
    let readers = chain.store().readers();
    let snapshot = readers.snapshot().unwrap();
    let found = |size| snapshot.requests_before(size).map(Result::unwrap).collect::<Vec<_>>();
    // Each with its batch's state leaf behind it.
    let [(second, newest), (first, oldest)] = found(size)[..] else { panic!("two requests are in the log") };
    assert_eq!((second, first), (size - 2, size - 4));
    assert_eq!((newest.basis.as_str(), oldest.basis.as_str()), ("COURT-9", "AML-7"));
    for (index, request) in [(first, oldest), (second, newest)] {
        assert_eq!(snapshot.log_leaf(index).unwrap().unwrap(), LogLeaf::Request(request).to_bytes());
    }
    assert_eq!(found(second), [(first, oldest)], "a smaller log has the first alone");
}

#[test]
fn readers_never_see_half_a_height() {
    use ledger_tree::map::{self, Version};
    let mut chain = StoredChain::new();
    let readers = chain.store().readers();
    std::thread::scope(|scope| {
        let watching: Vec<_> = (0..2)
            .map(|_| {
                let readers = readers.clone();
                scope.spawn(move || {
                    let mut seen = std::collections::BTreeSet::new();
                    while seen.last() != Some(&Height(24)) {
                        let snapshot = readers.snapshot().unwrap();
                        let ledger = &snapshot.tip().ledger;
                        assert_eq!(
                            map::root(&snapshot, Version::after_height(ledger.height.0)).unwrap(),
                            Some(ledger.map_root.0)
                        );
                        assert_eq!(map::root(&snapshot, Version::after_height(ledger.height.0 + 1)).unwrap(), None);
                        assert_eq!(ledger_tree::log::root(&snapshot, ledger.log_size).unwrap(), ledger.log_root.0);
                        assert_eq!(snapshot.block(ledger.height.next()).unwrap(), None);
                        seen.insert(ledger.height);
                    }
                    seen.len()
                })
            })
            .collect();
        for _ in 0..8 {
            let nth = chain.bed.ledger.height.0 as usize % 4;
            let decided = chain.payment(nth);
            let created: Vec<_> = decided.applied.changes.coins_put.iter().map(|(id, _)| *id).collect();
            let batch = chain.bed.batch(created.into_iter().map(common::bed::live).collect());
            let bundle = chain.bed.confirmation(batch);
            chain.block(&[bundle]);
            chain.empty_block();
        }
        for watcher in watching {
            assert!(watcher.join().unwrap() >= 2);
        }
    });
}

/// Deployment, publication, issue, two loans and one return, each read back after a restart.
#[test]
fn what_contracts_feeds_and_loans_changed_survives_a_restart() {
    let mut chain = StoredChain::new();
    let step = |chain: &mut StoredChain, draft: common::bed::Draft| {
        chain.accepted(draft);
        chain.reopen();
        chain.agrees_with_memory();
    };
    let order = chain.bed.feed_order(benchmark());
    step(&mut chain, order);
    for (back, vintage, value) in [(3, 0, 340), (1, 0, 345), (1, 1, 344), (0, 0, 345), (0, 1, 350)] {
        let head = chain.bed.head(NOVEMBER - back, vintage);
        let publication = chain.bed.publish(head, &[(0, value), (2, value)]);
        step(&mut chain, publication);
    }
    let deploy = chain.bed.deploy(1, 1, 2, &policy(1).replace("2023-11-20", "2023-11-14"));
    step(&mut chain, deploy);
    chain.empty_block();
    let issue = chain.bed.issue_inert(1, &[(BANK2, 100), (BANK2, 50)]);
    let coins = issue.coins.clone();
    step(&mut chain, issue);
    chain.confirmation(&coins);
    for (coin, term_days) in coins.iter().zip([400, 10]) {
        let loan = ledger_types::contract::Loan { term_days, ..GOOD_LOAN };
        let activation = chain.bed.activate(std::slice::from_ref(coin), loan, 50);
        step(&mut chain, activation);
    }
    assert_eq!(chain.bed.state.obligations.len(), 2);
    let (id, _) = *chain.bed.state.obligations.iter().collect::<Vec<_>>().first().unwrap();
    let (id, own) = (*id, chain.bed.coin_of(CENTRAL, 0));
    let returned = chain.bed.return_loan(&[own], id, 25_000);
    step(&mut chain, returned);
    chain.confirmation(&[]);
    chain.reopen();
    chain.agrees_with_memory();
    assert_eq!((chain.bed.state.obligations.len(), chain.bed.state.receipt_leaves.len()), (1, 1));
}
