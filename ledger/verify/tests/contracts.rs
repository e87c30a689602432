//! 10.9 and 10.10: a contract, a feed, an item, a loan that is owed, and a receipt, each shown by a proof that leads to the genesis.

use crate::chain;

use chain::*;
use ledger_types::contract::*;
use ledger_types::encoding::{Decode, Encode, List, Octets};
use ledger_types::feed::*;
use ledger_types::ids::*;
use ledger_types::log_leaf::LogLeaf;
use ledger_verify::*;

const ONE: ContractNumber = ContractNumber(1);
const FEED: FeedNumber = FeedNumber(1);

fn head() -> ContractHead {
    ContractHead { newest: PolicyVersion(2), stopped: PolicyVersion(1), retires_at: None }
}

fn version(chain: &ledger_types::Chain) -> DeployedPolicy {
    let policy = policy_hash(chain, b"a package");
    DeployedPolicy { policy, report: [5; 32], deployed_at: Height(1), binds_at: Height(3) }
}

fn feed() -> Feed {
    let definition = FeedDefinition {
        feed: FEED,
        name: FeedName::parse("gdp").unwrap(),
        unit: FeedUnit::Index,
        scale: 1,
        frequency: Frequency::Quarterly,
        publishers: List::new(vec![key(Purpose::Officer, 1).public_key()]).unwrap(),
        threshold: 1,
        step_max: 9,
    };
    Feed { definition, newest: Some(Period(8_000)) }
}

fn item(vintage: u32) -> FeedItem {
    let (period, vintage) = (Period(8_000), Vintage(vintage));
    let head = ItemHead { feed: FEED, period, vintage, scale: 1, published_ms: 5, valid_until_ms: 6 };
    FeedItem { head, value: -7 }
}

fn obligation(chain: &ledger_types::Chain) -> Obligation {
    let policy = version(chain).policy;
    Obligation { contract: ONE, version: PolicyVersion(1), policy, activated_ms: 1, due_ms: 2 }
}

fn receipt(chain: &ledger_types::Chain) -> LogLeaf {
    let found = Some(ReadValue { period: Period(8_000), vintage: Vintage(1), value: -7 });
    LogLeaf::Receipt(Receipt {
        obligation: ObligationId([3; 32]),
        contract: ONE,
        version: PolicyVersion(1),
        policy: version(chain).policy,
        rate: -1,
        from_ms: 1,
        to_ms: 2,
        fuel: 3,
        inputs: List::new(vec![ReceiptInput { feed: FEED, back: 0, found }]).unwrap(),
    })
}

/// What a ledger with one of each would have in its map and log, and all keys with what stands under them.
fn grown() -> (Registry, Vec<(EntryKey, Option<Entry>)>) {
    let mut registry = Registry::new();
    let chain = registry.chain;
    let present = [
        (EntryKey::Contract(ONE), Entry::Contract(head()), head().to_bytes()),
        (EntryKey::Version(ONE, PolicyVersion(1)), Entry::Version(version(&chain)), version(&chain).to_bytes()),
        (EntryKey::Feed(FEED), Entry::Feed(feed()), feed().to_bytes()),
        (EntryKey::FeedItem(FEED, Period(8_000), Vintage(1)), Entry::FeedItem(item(1)), item(1).to_bytes()),
        (
            EntryKey::Obligation(ObligationId([4; 32])),
            Entry::Obligation(obligation(&chain)),
            obligation(&chain).to_bytes(),
        ),
    ];
    let entries: Vec<_> = present.iter().map(|(key, _, value)| (key.hash(), value.clone())).collect();
    registry.append(&receipt(&chain));
    registry.accept_entries(2, &entries);
    let mut keys: Vec<_> = present.into_iter().map(|(key, entry, _)| (key, Some(entry))).collect();
    keys.extend([
        (EntryKey::Contract(ContractNumber(2)), None),
        (EntryKey::Version(ONE, PolicyVersion(3)), None),
        (EntryKey::FeedItem(FEED, Period(8_000), Vintage(2)), None),
        (EntryKey::Obligation(ObligationId([3; 32])), None),
    ]);
    (registry, keys)
}

fn bytes_of(entry: &Entry) -> Vec<u8> {
    match entry {
        Entry::Contract(value) => value.to_bytes(),
        Entry::Version(value) => value.to_bytes(),
        Entry::Feed(value) => value.to_bytes(),
        Entry::FeedItem(value) => value.to_bytes(),
        Entry::Obligation(value) => value.to_bytes(),
    }
}

#[test]
fn an_entry_is_shown_with_its_value_and_its_absence_without() {
    let (registry, keys) = grown();
    for (key, entry) in keys {
        let proof = registry.entry_proof(key, entry.as_ref().map(bytes_of));
        let proof = EntryProof::from_bytes(&proof.to_bytes()).unwrap();
        let verified = verify_entry(&registry.trust(), &key, &proof, NOW_MS).verified().unwrap();
        assert_eq!((verified.key(), verified.entry()), (key, entry.as_ref()));
        assert_eq!(verified.state().height(), Height(2));
    }
}

#[test]
fn several_entries_are_shown_in_one_state_and_none_can_be_left_out_altered_or_swapped() {
    let (registry, keys) = grown();
    let proofs = keys.iter().map(|(key, entry)| registry.entry_proof(*key, entry.as_ref().map(bytes_of)));
    let (states, entries): (Vec<_>, Vec<_>) = proofs.map(EntryProof::apart).unzip();
    let asked: Vec<_> = keys.iter().map(|(key, _)| *key).collect();
    let judge = |entries: &[EntryInState]| verify_entries(&registry.trust(), &asked, &states[0], entries, NOW_MS);
    let shown = judge(&entries).verified().unwrap();
    assert!(shown.iter().map(|one| (one.key(), one.entry().cloned())).eq(keys.iter().cloned()));
    // An entry proof is a state proof and such an entry, byte for byte.
    let whole = registry.entry_proof(keys[0].0, keys[0].1.as_ref().map(bytes_of)).to_bytes();
    assert_eq!(whole, [states[0].to_bytes(), entries[0].to_bytes()].concat());
    for n in 0..entries.len() {
        let mut altered = entries.clone();
        altered.remove(n);
        assert_eq!(judge(&altered), Verdict::Invalid(Reason::OtherCoin), "without {n}");
        altered = entries.clone();
        altered[n].value = match &altered[n].value {
            Some(_) => None,
            None => Some(Octets::new(vec![7]).unwrap()),
        };
        assert_eq!(judge(&altered), Verdict::Invalid(Reason::WrongRecord), "another value of {n}");
        altered = entries.clone();
        altered.swap(n, (n + 1) % entries.len());
        assert_eq!(judge(&altered), Verdict::Invalid(Reason::OtherCoin), "{n} in another place");
    }
}

#[test]
fn an_entry_of_another_key_or_with_another_value_is_refused() {
    let (registry, keys) = grown();
    let judge = |asked: &EntryKey, proof: &EntryProof| verify_entry(&registry.trust(), asked, proof, NOW_MS);
    for (key, entry) in &keys {
        let proof = registry.entry_proof(*key, entry.as_ref().map(bytes_of));
        for (other, _) in keys.iter().filter(|(other, _)| other != key) {
            assert_eq!(judge(other, &proof), Verdict::Invalid(Reason::OtherCoin));
            let renamed = EntryProof { key: *other, ..proof.clone() };
            // The same walk may end beside another absent key too, and then says so truly.
            if entry.is_some() {
                assert_eq!(judge(other, &renamed), Verdict::Invalid(Reason::WrongRecord), "{key:?} as {other:?}");
            }
        }
        let denied = EntryProof { value: None, ..proof.clone() };
        let invented = EntryProof { value: Some(Octets::new(vec![7]).unwrap()), ..proof.clone() };
        assert_eq!(judge(key, &invented), Verdict::Invalid(Reason::WrongRecord));
        assert_eq!(judge(key, &denied).is_verified(), entry.is_none());
    }
}

#[test]
fn a_value_that_is_none_of_its_keys_kind_is_refused_even_if_the_map_holds_it() {
    let mut registry = Registry::new();
    let key = EntryKey::Contract(ONE);
    registry.accept_entries(2, &[(key.hash(), vec![1, 2, 3])]);
    let proof = registry.entry_proof(key, Some(vec![1, 2, 3]));
    assert_eq!(verify_entry(&registry.trust(), &key, &proof, NOW_MS), Verdict::Invalid(Reason::WrongRecord));
}

fn about(leaf: &LogLeaf) -> EntryKey {
    let LogLeaf::Receipt(receipt) = leaf else { panic!("{leaf:?}") };
    EntryKey::Obligation(receipt.obligation)
}

#[test]
fn a_receipt_is_shown_where_it_stands_in_the_log_and_nowhere_else() {
    let (registry, _) = grown();
    let leaf = receipt(&registry.chain);
    let asked = about(&leaf);
    let proof = LeafProof::from_bytes(&registry.leaf_proof(&leaf).to_bytes()).unwrap();
    let judge = |proof: &LeafProof| verify_leaf(&registry.trust(), &asked, proof, NOW_MS);
    // It holds, and is not what was asked for.
    for other in [EntryKey::Obligation(ObligationId([9; 32])), EntryKey::Contract(ONE), EntryKey::Feed(FeedNumber(1))] {
        let verdict = verify_leaf(&registry.trust(), &other, &proof, NOW_MS);
        assert_eq!(verdict, Verdict::Invalid(Reason::OtherCoin), "{other:?}");
    }
    let logged = judge(&proof).verified().unwrap();
    assert_eq!((logged.leaf(), logged.index()), (&leaf, 4));
    let LogLeaf::Receipt(receipt) = leaf else { unreachable!() };
    let cheaper = LogLeaf::Receipt(Receipt { rate: receipt.rate - 100, ..receipt });
    let altered = LeafProof { leaf: cheaper, ..proof.clone() };
    assert_eq!(judge(&altered), Verdict::Invalid(Reason::LeafNotLogged));
    for index in [0, proof.index + 1, registry.size(), u64::MAX] {
        let elsewhere = LeafProof { index, ..proof.clone() };
        assert_eq!(judge(&elsewhere), Verdict::Invalid(Reason::LeafNotLogged), "index {index}");
    }
    let pathless = LeafProof { path: List::empty(), ..proof };
    assert_eq!(judge(&pathless), Verdict::Invalid(Reason::LeafNotLogged));
}

#[test]
fn proofs_of_another_chain_are_refused() {
    let (registry, keys) = grown();
    let mut genesis = genesis();
    genesis.time_ms += 1;
    let other = Registry::of(genesis);
    let (key, entry) = &keys[0];
    let proof = registry.entry_proof(*key, entry.as_ref().map(bytes_of));
    assert_eq!(verify_entry(&other.trust(), key, &proof, NOW_MS), Verdict::Invalid(Reason::OtherChain));
    let leaf = receipt(&registry.chain);
    let proof = registry.leaf_proof(&leaf);
    assert_eq!(verify_leaf(&other.trust(), &about(&leaf), &proof, NOW_MS), Verdict::Invalid(Reason::OtherChain));
}

#[test]
fn no_bit_of_a_proof_of_an_item_or_a_receipt_can_be_flipped() {
    let (registry, keys) = grown();
    let trust = registry.trust();
    let flips = |bytes: &[u8], accepts: &dyn Fn(&[u8]) -> bool| {
        assert!(accepts(bytes));
        let mut bytes = bytes.to_vec();
        for bit in 0..8 * bytes.len() {
            bytes[bit / 8] ^= 1 << (bit % 8);
            assert!(!accepts(&bytes), "bit {bit}");
            bytes[bit / 8] ^= 1 << (bit % 8);
        }
    };
    let (key, entry) = &keys[3];
    let proof = registry.entry_proof(*key, entry.as_ref().map(bytes_of));
    flips(&proof.to_bytes(), &|bytes| {
        EntryProof::from_bytes(bytes).is_ok_and(|proof| verify_entry(&trust, key, &proof, NOW_MS).is_verified())
    });
    let leaf = receipt(&registry.chain);
    let (proof, asked) = (registry.leaf_proof(&leaf), about(&leaf));
    flips(&proof.to_bytes(), &|bytes| {
        LeafProof::from_bytes(bytes).is_ok_and(|proof| verify_leaf(&trust, &asked, &proof, NOW_MS).is_verified())
    });
}
