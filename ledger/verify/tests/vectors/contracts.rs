//! Contracts, feeds and loans (12): layouts and hashes, and proofs of what stands in the map and in the log of them.

use super::chain::{NOW_MS, Purpose, Registry, key};
use super::hex;
use super::proofs::{outcome, state_shown};
use ledger_types::contract::*;
use ledger_types::encoding::{Encode, List, Octets};
use ledger_types::envelope::PublicationContext;
use ledger_types::feed::*;
use ledger_types::log_leaf::LogLeaf;
use ledger_types::request::BasisCode;
use ledger_types::*;
use ledger_verify::*;
use serde_json::{Value, json};

const ONE: ContractNumber = ContractNumber(1);

struct Example {
    policy: PolicyHash,
    head: ContractHead,
    version: DeployedPolicy,
    feed: Feed,
    publication: PublicationContext,
    item: FeedItem,
    open: OpenObligation,
    event: ContractEvent,
    receipt: Receipt,
    statement: FalseStatement,
}

fn example(chain: &Chain) -> Example {
    let policy = policy_hash(chain, b"a package");
    let head = ContractHead { newest: PolicyVersion(2), stopped: PolicyVersion(1), retires_at: Some(Height(9)) };
    let version = DeployedPolicy { policy, report: [5; 32], deployed_at: Height(1), binds_at: Height(3) };
    let definition = FeedDefinition {
        feed: FeedNumber(1),
        name: FeedName::parse("cn.m2").unwrap(),
        unit: FeedUnit::Money(Currency::parse("CNY").unwrap()),
        scale: 1,
        frequency: Frequency::Monthly,
        publishers: List::new((1..=3).map(|n| key(Purpose::Owner, n).public_key()).collect()).unwrap(),
        threshold: 2,
        step_max: 9,
    };
    let (period, vintage) = (Period(2023 * 12 + 10), Vintage(1));
    let head_of_item = ItemHead { feed: FeedNumber(1), period, vintage, scale: 1, published_ms: 5, valid_until_ms: 6 };
    let publish = |(publisher, value): (u8, i64)| {
        let secret = key(Purpose::Owner, u16::from(publisher) + 1);
        PublishedValue { publisher, value, signature: secret.sign(&head_of_item.message(chain, value)) }
    };
    let values: PublishedValues = List::new([(0, -7), (1, 12), (2, -9)].map(publish).to_vec()).unwrap();
    let item = FeedItem { head: head_of_item, value: median(&values).unwrap() };
    let obligation = Obligation {
        contract: ONE,
        version: PolicyVersion(1),
        policy,
        activated_ms: 1_700_000_000_000,
        due_ms: 1_702_592_000_000,
    };
    let (bank, activation, salt) = (ParticipantNumber(2), EnvelopeId([6; 32]), Salt([7; 32]));
    let open = OpenObligation { obligation, bank, activation, salt };
    let event = ContractEvent {
        action: ContractAction::Retire,
        contract: ONE,
        version: PolicyVersion(2),
        policy,
        report: [5; 32],
        binds_at: Height(9),
    };
    let found = Some(ReadValue { period, vintage, value: item.value });
    let input = |back, found| ReceiptInput { feed: FeedNumber(1), back, found };
    let receipt = Receipt {
        obligation: open.id(chain),
        contract: ONE,
        version: PolicyVersion(1),
        policy,
        rate: -2_500,
        from_ms: obligation.activated_ms,
        to_ms: obligation.activated_ms + 20 * DAY_MS,
        fuel: 31,
        inputs: List::new(vec![input(0, found), input(1, None)]).unwrap(),
    };
    let statement = FalseStatement {
        obligation: open.id(chain),
        contract: ONE,
        stated: 0x430a,
        found: 0x472f,
        basis: BasisCode::parse("SRV-12").unwrap(),
        evidence: [8; 32],
    };
    let (feed, publication) =
        (Feed { definition, newest: Some(period) }, PublicationContext { head: head_of_item, values });
    Example { policy, head, version, feed, publication, item, open, event, receipt, statement }
}

fn leaves(example: &Example) -> [(&'static str, LogLeaf); 5] {
    [
        ("contract event", LogLeaf::Contract(example.event)),
        ("feed", LogLeaf::Feed(example.feed.definition.clone())),
        ("feed item", LogLeaf::FeedItem(example.item)),
        ("receipt", LogLeaf::Receipt(example.receipt.clone())),
        ("false statement", LogLeaf::FalseStatement(example.statement)),
    ]
}

pub fn contracts() -> Value {
    let chain = Registry::new().chain;
    let example = example(&chain);
    let OpenObligation { bank, activation, salt, .. } = example.open;
    let owed_cases = [
        (100_000, 43_000, 0, 365 * DAY_MS),
        (100_000, 43_000, DAY_MS - 1, DAY_MS),
        (365, 500_000, 0, DAY_MS),
        (1_095, 500_000, 0, DAY_MS),
        (1_095, -500_000, 0, DAY_MS),
        (1, 1, DAY_MS, 0),
        (u64::MAX, 1_000_000, 0, 365 * DAY_MS),
    ];
    let owed_cases: Vec<Value> = owed_cases
        .into_iter()
        .map(|(principal, rate, from_ms, to_ms)| {
            let owed = owed(Amount(principal), rate, from_ms, to_ms).map(|owed| owed.0);
            json!({ "principal": principal, "rate": rate, "from_ms": from_ms, "to_ms": to_ms, "owed": owed })
        })
        .collect();
    let leaves = leaves(&example).map(|(name, leaf)| json!({ "name": name, "hex": hex(leaf.to_bytes()) }));
    json!({
        "genesis_hash": chain.genesis_hash().to_string(),
        "package": hex(b"a package"),
        "policy_hash": example.policy.to_string(),
        "contract": 1,
        "terms": terms(&chain, ONE, &example.policy).to_string(),
        "obligation": {
            "bank": bank.0, "activation": activation.to_string(), "salt": salt.to_string(),
            "id": example.open.id(&chain).to_string(),
        },
        "publication": hex(example.publication.to_bytes()),
        "feed": hex(example.feed.to_bytes()),
        "item": hex(example.item.to_bytes()),
        "leaves": leaves,
        "owed": owed_cases,
    })
}

fn grown() -> (Registry, Example) {
    let mut registry = Registry::new();
    let example = example(&registry.chain);
    let (period, vintage) = (example.item.head.period, example.item.head.vintage);
    let entries = [
        (EntryKey::Contract(ONE), example.head.to_bytes()),
        (EntryKey::Version(ONE, PolicyVersion(1)), example.version.to_bytes()),
        (EntryKey::Feed(FeedNumber(1)), example.feed.to_bytes()),
        (EntryKey::FeedItem(FeedNumber(1), period, vintage), example.item.to_bytes()),
        (EntryKey::Obligation(example.open.id(&registry.chain)), example.open.obligation.to_bytes()),
        (EntryKey::Contract(ContractNumber(7)), vec![1]),
    ];
    leaves(&example).iter().for_each(|(_, leaf)| registry.append(leaf));
    let entries: Vec<_> = entries.into_iter().map(|(key, value)| (key.hash(), value)).collect();
    registry.accept_entries(2, &entries);
    (registry, example)
}

pub fn entry_proofs() -> Value {
    let (registry, example) = grown();
    let (period, vintage) = (example.item.head.period, example.item.head.vintage);
    let of_feed = |vintage| EntryKey::FeedItem(FeedNumber(1), period, vintage);
    let owed = EntryKey::Obligation(example.open.id(&registry.chain));
    let of = |key, value: Option<Vec<u8>>| registry.entry_proof(key, value);
    let item = of(of_feed(vintage), Some(example.item.to_bytes()));
    let dearer = FeedItem { value: example.item.value + 1, ..example.item };
    let cases = [
        ("contract", EntryKey::Contract(ONE), of(EntryKey::Contract(ONE), Some(example.head.to_bytes()))),
        (
            "version",
            EntryKey::Version(ONE, PolicyVersion(1)),
            of(EntryKey::Version(ONE, PolicyVersion(1)), Some(example.version.to_bytes())),
        ),
        ("feed", EntryKey::Feed(FeedNumber(1)), of(EntryKey::Feed(FeedNumber(1)), Some(example.feed.to_bytes()))),
        ("item", of_feed(vintage), item.clone()),
        ("obligation", owed, of(owed, Some(example.open.obligation.to_bytes()))),
        ("no later vintage", of_feed(Vintage(2)), of(of_feed(Vintage(2)), None)),
        ("of another key", EntryKey::Contract(ONE), item.clone()),
        (
            "another value",
            of_feed(vintage),
            EntryProof { value: Some(Octets::new(dearer.to_bytes()).unwrap()), ..item.clone() },
        ),
        ("denied", of_feed(vintage), EntryProof { value: None, ..item.clone() }),
        ("invented", of_feed(Vintage(2)), EntryProof { key: of_feed(Vintage(2)), ..item }),
        (
            "no value of its kind",
            EntryKey::Contract(ContractNumber(7)),
            of(EntryKey::Contract(ContractNumber(7)), Some(vec![1])),
        ),
    ];
    let trust = registry.trust();
    let cases: Vec<Value> = cases
        .into_iter()
        .map(|(name, asked, proof)| {
            let value = proof.value.as_ref().map(|value| hex(&**value));
            let outcome = outcome(verify_entry(&trust, &asked, &proof, NOW_MS), |verified| {
                json!({ "value": value, "state": state_shown(verified.state()) })
            });
            json!({ "name": name, "asked": hex(asked.to_bytes()), "proof": hex(proof.to_bytes()), "now_ms": NOW_MS, "outcome": outcome })
        })
        .collect();
    json!({ "genesis": hex(registry.document()), "cases": cases })
}

pub fn leaf_proofs() -> Value {
    let (registry, example) = grown();
    let [event, feed, item, receipt, statement] = leaves(&example).map(|(_, leaf)| registry.leaf_proof(&leaf));
    let cheaper = LogLeaf::Receipt(Receipt { rate: -2_600, ..example.receipt.clone() });
    let another = LogLeaf::FalseStatement(FalseStatement { found: 0x472e, ..example.statement });
    let owed = EntryKey::Obligation(example.receipt.obligation);
    let (contract, version) = (EntryKey::Contract(ONE), EntryKey::Version(ONE, PolicyVersion(1)));
    let (period, vintage) = (example.item.head.period, example.item.head.vintage);
    let of_feed = |vintage| EntryKey::FeedItem(FeedNumber(1), period, vintage);
    let cases = [
        ("contract event", contract, event.clone()),
        ("deployment of a version", version, event.clone()),
        ("feed", EntryKey::Feed(FeedNumber(1)), feed.clone()),
        ("item", of_feed(vintage), item.clone()),
        ("receipt", owed, receipt.clone()),
        ("of another contract", EntryKey::Contract(ContractNumber(2)), event.clone()),
        ("of another version", EntryKey::Version(ONE, PolicyVersion(2)), event.clone()),
        ("of another feed", EntryKey::Feed(FeedNumber(2)), feed),
        ("of another vintage", of_feed(Vintage(2)), item),
        ("of another obligation", EntryKey::Obligation(ObligationId([9; 32])), receipt.clone()),
        ("of another kind", contract, receipt.clone()),
        ("another rate", owed, LeafProof { leaf: cheaper, ..receipt.clone() }),
        ("false statement", owed, statement.clone()),
        ("a statement of another sector", owed, LeafProof { leaf: another, ..statement.clone() }),
        ("a statement of another obligation", EntryKey::Obligation(ObligationId([9; 32])), statement.clone()),
        ("a statement, of its contract", contract, statement),
        ("another place", owed, LeafProof { index: receipt.index - 1, ..receipt.clone() }),
        ("beyond the log", owed, LeafProof { index: registry.size(), ..receipt.clone() }),
        ("another leaf's path", owed, LeafProof { path: event.path, ..receipt }),
    ];
    let trust = registry.trust();
    let cases: Vec<Value> = cases
        .into_iter()
        .map(|(name, asked, proof)| {
            let outcome = outcome(verify_leaf(&trust, &asked, &proof, NOW_MS), |logged| {
                json!({
                    "leaf": hex(logged.leaf().to_bytes()), "index": logged.index(), "state": state_shown(logged.state()),
                })
            });
            let (asked, proof) = (hex(asked.to_bytes()), hex(proof.to_bytes()));
            json!({ "name": name, "asked": asked, "proof": proof, "now_ms": NOW_MS, "outcome": outcome })
        })
        .collect();
    json!({ "genesis": hex(registry.document()), "cases": cases })
}
