//! All of the map below a prefix, so that nobody learns which coin is meant; and every attack on it, by the name of its refusal.

use crate::chain;

use chain::*;
use ledger_tree::map::Prefix;
use ledger_types::confirmation::{Record, RecordStatus};
use ledger_types::encoding::{Decode, Encode, List, Octets};
use ledger_types::*;
use ledger_verify::*;

/// Coins 1 to 63 are registered, of which coin 1 is spent, in buckets of about sixteen.
fn registry() -> Registry {
    let mut registry = Registry::new();
    let first: Vec<_> = (4..=63).map(|number| registry.live(number)).collect();
    registry.confirm(2, &first);
    let second = [registry.spent(1)];
    registry.confirm(5, &second);
    registry
}

const BITS: u8 = 2;

fn bucket_of(coin: &CoinId) -> Prefix {
    Prefix::of(&record_key(coin), BITS).unwrap()
}

fn judge(registry: &Registry, asked: &Prefix, proof: &BucketProof) -> Verdict<VerifiedBucket> {
    // Through the bytes: what is tested is what a stranger sends.
    let decoded = BucketProof::from_bytes(&proof.to_bytes()).expect("a proof that was built decodes");
    assert_eq!(&decoded, proof);
    verify_bucket(&registry.trust(), asked, &decoded, NOW_MS)
}

#[track_caller]
fn altered(registry: &Registry, change: impl FnOnce(&mut BucketProof)) -> Verdict<VerifiedBucket> {
    let asked = bucket_of(&issued_coin(&registry.chain, 4));
    let mut proof = registry.bucket_proof(asked);
    change(&mut proof);
    judge(registry, &asked, &proof)
}

fn with_entries(proof: &mut BucketProof, change: impl FnOnce(&mut Vec<BucketEntry>)) {
    let mut entries = proof.entries.to_vec();
    change(&mut entries);
    entries.sort_by_key(|entry| entry.key_hash);
    proof.entries = List::new(entries).unwrap();
}

#[test]
fn a_bucket_answers_for_every_coin_in_it_as_the_coins_own_proof_does() {
    let registry = registry();
    let mut answered = 0;
    for number in 1..=90 {
        let coin = issued_coin(&registry.chain, number);
        let asked = bucket_of(&coin);
        let verified = judge(&registry, &asked, &registry.bucket_proof(asked)).verified().expect("an honest bucket");
        let alone = verify_coin(&registry.trust(), &coin, &registry.coin_proof(coin), NOW_MS).verified().unwrap();
        assert_eq!(verified.answer(&coin), Ok(alone.answer()));
        assert_eq!(verified.state(), alone.state());
        answered += 1;
        let others =
            (1..=90).map(|number| issued_coin(&registry.chain, number)).filter(|coin| bucket_of(coin) != asked);
        others.for_each(|other| assert_eq!(verified.answer(&other), Err(Reason::OtherCoin)));
        assert!((8..=24).contains(&verified.entries()), "{} of 63 in one bucket of four", verified.entries());
    }
    assert_eq!(answered, 90);
}

#[test]
fn the_longest_and_the_shortest_prefix_answer_too() {
    let registry = registry();
    for (number, bits) in [(4, 0), (4, 32), (90, 32), (90, 7)] {
        let coin = issued_coin(&registry.chain, number);
        let asked = Prefix::of(&record_key(&coin), bits).unwrap();
        let verified = judge(&registry, &asked, &registry.bucket_proof(asked)).verified().expect("an honest bucket");
        assert_eq!(matches!(verified.answer(&coin), Ok(Answer::Present(_))), number == 4, "coin {number}, {bits} bits");
        // Where the walk ends above the prefix, an entry beside it counts for nothing.
        assert!(bits == 0 || verified.entries() <= usize::from(number == 4 || bits == 7));
    }
}

#[test]
fn a_bucket_with_an_entry_left_out_added_or_altered_is_a_wrong_record_l4() {
    let registry = registry();
    let wrong = Verdict::Invalid(Reason::WrongRecord);
    let entries = registry.bucket_proof(bucket_of(&issued_coin(&registry.chain, 4))).entries.len();
    for at in 0..entries {
        assert_eq!(altered(&registry, |proof| with_entries(proof, |all| drop(all.remove(at)))), wrong);
    }
    let added = |number: u8| {
        let key_hash = TreeRoot(record_key(&issued_coin(&registry.chain, number)));
        let value = Octets::new(registry.records[&issued_coin(&registry.chain, 4)].to_bytes()).unwrap();
        BucketEntry { key_hash, value }
    };
    // One in the bucket, one beside it: coins 70 to 90 are not registered.
    for number in 70..=90 {
        assert_eq!(altered(&registry, |proof| with_entries(proof, |all| all.push(added(number)))), wrong);
    }
    let frozen = |entry: &mut BucketEntry| {
        let record = Record { status: RecordStatus::Frozen, ..Record::from_bytes(&entry.value).unwrap() };
        entry.value = Octets::new(record.to_bytes()).unwrap();
    };
    assert_eq!(altered(&registry, |proof| with_entries(proof, |all| frozen(&mut all[0]))), wrong);
    // Said to be empty.
    assert_eq!(altered(&registry, |proof| with_entries(proof, Vec::clear)), wrong);
}

#[test]
fn another_walk_than_the_prefix_s_is_a_wrong_record_l4() {
    let registry = registry();
    let wrong = Verdict::Invalid(Reason::WrongRecord);
    let siblings = |change: &dyn Fn(&mut Vec<TreeRoot>)| {
        altered(&registry, |proof| {
            let mut siblings = proof.siblings.to_vec();
            change(&mut siblings);
            proof.siblings = List::new(siblings).unwrap();
        })
    };
    assert_eq!(siblings(&|siblings| siblings.truncate(BITS as usize - 1)), wrong);
    assert_eq!(siblings(&|siblings| siblings.push(TreeRoot([1; 32]))), wrong);
    assert_eq!(siblings(&|siblings| siblings.swap(0, 1)), wrong);
    let before = Registry::new();
    let asked = bucket_of(&issued_coin(&registry.chain, 4));
    let old = before.bucket_proof(asked);
    assert_eq!(altered(&registry, |proof| (proof.entries, proof.siblings) = (old.entries, old.siblings)), wrong);
}

#[test]
fn another_bucket_than_the_asked_one_answers_nothing() {
    let registry = registry();
    let asked = bucket_of(&issued_coin(&registry.chain, 4));
    let beside = Prefix::new(BITS, [asked.first()[0] ^ 0x40, 0, 0, 0]).unwrap();
    let longer = Prefix::of(&record_key(&issued_coin(&registry.chain, 4)), BITS + 1).unwrap();
    for other in [beside, longer] {
        assert_eq!(judge(&registry, &asked, &registry.bucket_proof(other)), Verdict::Invalid(Reason::OtherCoin));
    }
}

/// A record that is hidden behind bytes which are none: its key is there, so its coin is not absent.
#[test]
fn a_value_that_is_no_record_is_a_wrong_record_and_not_an_absence() {
    let mut registry = registry();
    let coin = issued_coin(&registry.chain, 90);
    registry.accept_entries(6, &[(record_key(&coin), b"no record".to_vec())]);
    let asked = bucket_of(&coin);
    let verified = judge(&registry, &asked, &registry.bucket_proof(asked)).verified().expect("all entries are there");
    assert_eq!(verified.answer(&coin), Err(Reason::WrongRecord));
}

#[test]
fn the_state_beneath_a_bucket_is_checked_first() {
    let registry = registry();
    let other = Registry::new();
    let stale = |proof: &mut BucketProof| proof.state.state_leaf = other.states[0].0;
    assert_eq!(altered(&registry, stale), Verdict::Invalid(Reason::StaleRoot));
    let asked = bucket_of(&issued_coin(&registry.chain, 4));
    let text = registry.checkpoint_text(registry.size());
    let two = note(&text, [log_sign(&text), cosign(&text, 2, COSIGNED_AT_S), cosign(&text, 4, COSIGNED_AT_S)]);
    let poor = registry.bucket_proof_with(asked, &two);
    assert_eq!(judge(&registry, &asked, &poor), Verdict::NotEnoughPower { have: 2, need: 3 });
}

#[test]
fn bytes_that_are_no_bucket_are_refused_with_bounds_first() {
    let registry = registry();
    let proof = registry.bucket_proof(bucket_of(&issued_coin(&registry.chain, 4)));
    let bytes = proof.to_bytes();
    for length in 0..bytes.len() {
        assert!(BucketProof::from_bytes(&bytes[..length]).is_err(), "cut at {length}");
    }
    let longer = [&bytes[..], &[0]].concat();
    assert!(BucketProof::from_bytes(&longer).is_err());
    let prefix_at = proof.state.to_bytes().len();
    let mut more_bits = bytes.clone();
    more_bits[prefix_at] = 33;
    assert!(BucketProof::from_bytes(&more_bits).is_err(), "33 bits");
    let mut behind = bytes.clone();
    behind[prefix_at + 4] = 1;
    assert!(BucketProof::from_bytes(&behind).is_err(), "a bit behind the prefix");
    let mut backwards = proof.entries.to_vec();
    backwards.reverse();
    let backwards = BucketProof { entries: List::new(backwards).unwrap(), ..proof };
    assert!(BucketProof::from_bytes(&backwards.to_bytes()).is_err(), "entries descend");
}
