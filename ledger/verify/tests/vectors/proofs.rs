//! Documents with the verdict that every verifier gives.

use super::chain::{self, *};
use super::hex;
use ledger_tree::log;
use ledger_tree::map::Prefix;
use ledger_types::block::{Acknowledgement, BlockHeader, genesis_block_hash};
use ledger_types::encoding::{Decode, Encode, List, Octets, Text};
use ledger_types::envelope::OfficerSignature;
use ledger_types::keys::PublicKey;
use ledger_types::log_leaf::{LogLeaf, StateLeaf};
use ledger_types::ownership::{Challenge, OwnershipProof};
use ledger_types::participant::{PARTICIPANTS_MAX, Validator, ValidatorSet};
use ledger_types::request::{EPOCH_MS, OfficerRequest, RequestClass};
use ledger_types::vote::CommitCertificate;
use ledger_types::*;
use ledger_verify::*;
use serde_json::{Value, json};

pub fn outcome<T>(verdict: Verdict<T>, shown: impl FnOnce(&T) -> Value) -> Value {
    match verdict {
        Verdict::Verified(value) => json!({ "verified": shown(&value) }),
        Verdict::NotEnoughPower { have, need } => json!({ "not_enough_power": { "have": have, "need": need } }),
        Verdict::Invalid(reason) => json!({ "invalid": { "number": reason.number(), "code": reason.code() } }),
    }
}

pub fn state_shown(state: &VerifiedState) -> Value {
    json!({
        "batch": state.batch().0,
        "height": state.height().0,
        "time_ms": state.time_ms(),
        "size": state.head().size,
        "root": state.head().root.to_string(),
        "signers": state.signers().iter().map(|signer| signer.0).collect::<Vec<_>>(),
        "power": state.power(),
        "signed_at_ms": state.signed_at_ms(),
        "age_ms": state.age_ms(),
        "stale": state.is_stale(),
    })
}

fn grown() -> Registry {
    let mut registry = Registry::new();
    let first = [registry.spent(1), registry.live(4)];
    registry.confirm(2, &first);
    let second = [registry.live(5), registry.live(6), registry.live(7)];
    registry.confirm(5, &second);
    registry
}

pub fn checkpoints() -> Value {
    let registry = grown();
    let text = registry.checkpoint_text(registry.size());
    let by = |numbers: &[u16]| {
        let cosigned = numbers.iter().map(|number| cosign(&text, *number, COSIGNED_AT_S + u64::from(*number)));
        note(&text, std::iter::once(log_sign(&text)).chain(cosigned))
    };
    let plus =
        |line| note(&text, [log_sign(&text), cosign(&text, 1, COSIGNED_AT_S), cosign(&text, 2, COSIGNED_AT_S), line]);
    let all = by(&VALIDATORS);
    let first_line = all.lines().find(|line| line.starts_with('—')).expect("a note has signatures");
    let without_log = all.replace(&format!("{first_line}\n"), "");
    let witness = cosign_as("witness.example/w1", &key(Purpose::Owner, 9), &text, COSIGNED_AT_S);
    let mut old = registry.state_proof_at(&registry.states[0], &all);
    old.genesis_hash = registry.chain.genesis_hash();
    let mut foreign = registry.state_proof_with(&all);
    foreign.genesis_hash = GenesisHash([9; 32]);
    let extended = format!("{text}more\n");
    let cases = [
        ("all four validators", registry.state_proof_with(&all), NOW_MS),
        ("stale by a millisecond", registry.state_proof_with(&by(&[1, 2, 3])), (COSIGNED_AT_S + 1) * 1_000 + 120_001),
        ("the signers' clock ahead", registry.state_proof_with(&all), (COSIGNED_AT_S - 200) * 1_000),
        ("two of four", registry.state_proof_with(&by(&[2, 3])), NOW_MS),
        ("the log alone", registry.state_proof_with(&by(&[])), NOW_MS),
        ("a quorum without the log", registry.state_proof_with(&without_log), NOW_MS),
        ("a signer twice", registry.state_proof_with(&plus(cosign(&text, 2, COSIGNED_AT_S + 1))), NOW_MS),
        ("a witness of no set", registry.state_proof_with(&plus(witness)), NOW_MS),
        (
            "a validator's name over another key",
            registry.state_proof_with(&plus(cosign_as(
                &format!("{ORIGIN}/3"),
                &key(Purpose::Desk, 3),
                &text,
                COSIGNED_AT_S,
            ))),
            NOW_MS,
        ),
        (
            "a cosignature of another text",
            registry.state_proof_with(&plus(cosign(&extended, 3, COSIGNED_AT_S))),
            NOW_MS,
        ),
        (
            "the log's name over another key",
            registry.state_proof_with(
                &plus(cosign_as(ORIGIN, &key(Purpose::Log, 1), &text, COSIGNED_AT_S))
                    .replace(&format!("{first_line}\n"), ""),
            ),
            NOW_MS,
        ),
        ("an extension line", registry.state_proof_with(&note(&extended, [log_sign(&extended)])), NOW_MS),
        ("no note", registry.state_proof_with("registry\n"), NOW_MS),
        ("an old state leaf", old, NOW_MS),
        ("another chain", foreign, NOW_MS),
    ];
    let trust = registry.trust();
    let cases: Vec<Value> = cases
        .into_iter()
        .map(|(name, proof, now_ms)| {
            let outcome = outcome(verify_state(&trust, &proof, now_ms), state_shown);
            json!({ "name": name, "state_proof": hex(proof.to_bytes()), "now_ms": now_ms, "outcome": outcome })
        })
        .collect();
    json!({ "genesis": hex(registry.document()), "example_checkpoint": all, "cases": cases })
}

/// 10.1 with check 11: a good supply, one that cannot be, and what comes before and after check 11.
pub fn supplies() -> Value {
    let registry = grown();
    let with_totals = |issued: u128, redeemed: u128| {
        let mut registry = registry.clone();
        let mut leaf = registry.states.last().expect("batch 0 is there").0;
        (leaf.issued, leaf.redeemed) = (issued, redeemed);
        registry.append_state(leaf);
        registry
    };
    let by_two = |registry: &Registry| {
        let text = registry.checkpoint_text(registry.size());
        let lines = [log_sign(&text), cosign(&text, 2, COSIGNED_AT_S), cosign(&text, 3, COSIGNED_AT_S)];
        registry.state_proof_with(&note(&text, lines))
    };
    let impossible = with_totals(7_000, 7_001);
    let mut raised = registry.state_proof();
    raised.state_leaf.issued += 1;
    let cases = [
        ("nothing redeemed", registry.state_proof()),
        ("all redeemed", with_totals(7_000, 7_000).state_proof()),
        ("more than 2^64", with_totals(u128::MAX, 1 << 64).state_proof()),
        ("more redeemed than issued", impossible.state_proof()),
        ("more redeemed than issued, and two of four", by_two(&impossible)),
        ("two of four", by_two(&registry)),
        ("totals that the log does not hold", raised),
    ];
    let trust = registry.trust();
    let cases: Vec<Value> = cases
        .into_iter()
        .map(|(name, proof)| {
            let outcome = outcome(verify_supply(&trust, &proof, NOW_MS), |supply| {
                json!({
                    "issued": supply.issued().to_string(),
                    "redeemed": supply.redeemed().to_string(),
                    "in_circulation": supply.in_circulation().to_string(),
                    "state": state_shown(supply.state()),
                })
            });
            json!({ "name": name, "state_proof": hex(proof.to_bytes()), "now_ms": NOW_MS, "outcome": outcome })
        })
        .collect();
    json!({ "genesis": hex(registry.document()), "cases": cases })
}

/// 10.4. A case's blocks `from` on are judged after the ones before them, which verify by themselves.
pub fn runs_of_blocks() -> Value {
    let registry = Registry::new();
    let blocks = registry.segment(4);
    let decided = |header: BlockHeader, signers: &[u16]| {
        let certificate = registry.certificate(&header, signers);
        (header, certificate)
    };
    // The second block altered, and the third on it.
    let altered = |change: &dyn Fn(&mut BlockHeader), signers: &[u16]| {
        let mut second = blocks[1].0.clone();
        change(&mut second);
        let third = registry.header(3, second.hash(&registry.chain));
        vec![blocks[0].clone(), decided(second, signers), decided(third, &[1, 2, 3])]
    };
    let mut handed = blocks[0].0.clone();
    handed.next_set_hash = ValidatorSetHash([4; 32]);
    let next = registry.header(2, handed.hash(&registry.chain));
    let mut wrapped = blocks[..2].to_vec();
    wrapped[1].1 = blocks[0].1.clone();
    let poor_then_broken = [altered(&|_| (), &[1, 2]), vec![blocks[0].clone()]].concat();
    let cases = [
        ("four blocks from the genesis", 0, blocks.clone()),
        ("two blocks after two", 2, blocks.clone()),
        ("no block after one", 1, blocks[..1].to_vec()),
        ("no block from nothing", 0, vec![]),
        ("the first is missing", 0, blocks[1..].to_vec()),
        ("a gap", 0, vec![blocks[0].clone(), blocks[2].clone()]),
        ("a block twice", 0, vec![blocks[0].clone(), blocks[0].clone()]),
        ("another parent", 0, altered(&|header| header.parent = BlockHash([3; 32]), &[1, 2, 3])),
        ("a clock that stands", 0, altered(&|header| header.time_ms -= 1_000, &[1, 2, 3])),
        ("another height, from a verified block", 1, altered(&|header| header.height = Height(3), &[1, 2, 3])),
        ("the certificate of the block before", 0, wrapped),
        (
            "rules that no verifier knows from the second on",
            0,
            altered(&|header| header.version = RulesVersion(u8::MAX), &[1, 2, 3]),
        ),
        (
            "rules that no verifier knows, by two of four",
            0,
            altered(&|header| header.version = RulesVersion(u8::MAX), &[1, 2]),
        ),
        ("two of four for one of three", 0, altered(&|_| (), &[1, 2])),
        ("two of four, and broken further on", 0, poor_then_broken),
        (
            "a block names another set, and one comes after it",
            0,
            vec![decided(handed.clone(), &[1, 2, 3]), decided(next, &[1, 2, 3])],
        ),
        ("a block names another set and is the last", 0, vec![decided(handed, &[1, 2, 3])]),
    ];
    let trust = registry.trust();
    let cases: Vec<Value> = cases
        .into_iter()
        .map(|(name, from, blocks)| {
            let (before, run) = blocks.split_at(from);
            let before = (from > 0).then(|| verify_segment(&trust, None, before).verified().unwrap());
            let outcome = outcome(verify_segment(&trust, before.as_ref(), run), |last| {
                json!({ "height": last.header().height.0, "block_hash": last.hash().to_string() })
            });
            let shown = |(header, certificate): &(BlockHeader, CommitCertificate)| {
                json!({ "header": hex(header.to_bytes()), "certificate": hex(certificate.to_bytes()) })
            };
            let blocks: Vec<Value> = blocks.iter().map(shown).collect();
            json!({ "name": name, "from": from, "blocks": blocks, "outcome": outcome })
        })
        .collect();
    json!({ "genesis": hex(registry.document()), "cases": cases })
}

/// "Remembering" of 10.1: what one verifier is shown in turn. A refused step changes nothing.
pub fn remembering() -> Value {
    let registry = grown();
    let (first, second, third) = (registry.states[0].1, registry.states[1].1, registry.states[2].1);
    let head = |size: u64| TreeHead { size, root: TreeRoot(log::root(&registry.rows, size).unwrap()) };
    let forked = {
        let mut other = Registry::new();
        let lines = [other.spent(2), other.live(8)];
        other.confirm(2, &lines);
        other
    };
    let fork = |size: u64| TreeHead { size, root: TreeRoot(log::root(&forked.rows, size).unwrap()) };
    assert_eq!(forked.size(), second);
    let proof = |from: u64, to: u64| log::prove_consistency(&registry.rows, from, to).unwrap();
    let between = proof(first, second);
    let longer = [between.clone(), vec![[0; 32]]].concat();
    let steps = [
        ("the first that is seen needs no proof", head(second), vec![]),
        ("the same again", head(second), vec![]),
        ("an older one, by its proof", head(first), between.clone()),
        ("an older one without a proof", head(first), vec![]),
        ("an older one, a hash too many", head(first), longer),
        ("a newer one without a proof", head(third), vec![]),
        ("a newer one, a hash too few", head(third), proof(second, third)[1..].to_vec()),
        ("a newer one by another proof", head(third), proof(second, third).into_iter().map(|_| [1; 32]).collect()),
        ("another root of this size", fork(second), vec![]),
        ("an older root that leads elsewhere", TreeHead { size: first, root: TreeRoot([2; 32]) }, between),
        ("a newer one", head(third), proof(second, third)),
        ("a fork of the one before", fork(second), proof(second, third)),
        ("the one before", head(second), proof(second, third)),
    ];
    let mut trust = registry.trust();
    let steps: Vec<Value> = steps
        .into_iter()
        .map(|(name, seen, consistency)| {
            let verdict = match trust.remember(seen, &consistency) {
                Ok(()) => Verdict::Verified(()),
                Err(reason) => Verdict::Invalid(reason),
            };
            let newest = trust.newest().expect("the first step is accepted").size;
            json!({
                "name": name, "size": seen.size, "root": seen.root.to_string(),
                "consistency": consistency.iter().map(hex).collect::<Vec<_>>(),
                "outcome": outcome(verdict, |()| json!({ "newest_size": newest })), "newest_size_after": newest,
            })
        })
        .collect();
    // Then a proof of the size that is remembered, with another root, signed by all (10.1, check 10).
    let mut other = registry.clone();
    let last = other.states.last().unwrap().0;
    let mut leaves = other.leaves.clone();
    leaves.pop();
    other = Registry { rows: Rows::default(), leaves: Vec::new(), ..other };
    for leaf in &leaves {
        other.append(&LogLeaf::from_bytes(leaf).unwrap());
    }
    other.append_state(StateLeaf { issued: last.issued + 1, ..last });
    let split = other.state_proof();
    let cases: Vec<Value> = [("as remembered", registry.state_proof()), ("another root of that size", split)]
        .into_iter()
        .map(|(name, proof)| {
            let outcome = outcome(verify_state(&trust, &proof, NOW_MS), state_shown);
            json!({ "name": name, "state_proof": hex(proof.to_bytes()), "now_ms": NOW_MS, "outcome": outcome })
        })
        .collect();
    json!({ "genesis": hex(registry.document()), "steps": steps, "then": cases })
}

pub fn request_proofs() -> Value {
    let mut registry = Registry::new();
    let request = registry.request(RequestClass::Disclose, 2);
    registry.log_request(request);
    let lines: Vec<_> = (4..=9).map(|number| registry.live(number)).collect();
    registry.confirm(2, &lines);
    let logged = registry.request_proof(request);
    let freeze = OfficerRequest { class: RequestClass::Freeze, ..request };
    let after = (request.epoch + 2) * EPOCH_MS;
    let cases = [
        ("logged", 2, logged.clone(), NOW_MS),
        ("about another coin", 3, logged.clone(), NOW_MS),
        ("another class", 2, RequestProof { request: freeze, ..logged.clone() }, NOW_MS),
        ("another place", 2, RequestProof { index: logged.index - 1, ..logged.clone() }, NOW_MS),
        ("beyond the log", 2, RequestProof { index: registry.size(), ..logged.clone() }, NOW_MS),
        ("the last moment", 2, logged.clone(), after - 1),
        ("a moment later", 2, logged, after),
    ];
    let trust = registry.trust();
    let cases: Vec<Value> = cases
        .into_iter()
        .map(|(name, number, proof, now_ms)| {
            let (coin, blind) = (issued_coin(&registry.chain, number), [number; 32]);
            let outcome = outcome(verify_request(&trust, &coin, &blind, &proof, now_ms), |logged| {
                let request = logged.request();
                json!({
                    "class": request.class.number(), "basis": request.basis.as_str(), "epoch": request.epoch,
                    "index": logged.index(), "state": state_shown(logged.state()),
                })
            });
            json!({ "name": name, "coin": hex(coin.0), "r": hex(blind), "proof": hex(proof.to_bytes()), "now_ms": now_ms, "outcome": outcome })
        })
        .collect();
    json!({ "genesis": hex(registry.document()), "cases": cases })
}

pub fn coin_proofs() -> Value {
    let registry = grown();
    let coin = |number| issued_coin(&registry.chain, number);
    let live = registry.coin_proof(coin(4));
    let altered = |change: &dyn Fn(&mut CoinProof)| {
        let mut proof = live.clone();
        change(&mut proof);
        proof
    };
    let text = registry.checkpoint_text(registry.size());
    let two = note(&text, [log_sign(&text), cosign(&text, 2, COSIGNED_AT_S), cosign(&text, 4, COSIGNED_AT_S)]);
    let before = Registry::new();
    let cases = [
        ("live", coin(4), live.clone()),
        ("spent", coin(1), registry.coin_proof(coin(1))),
        ("absent, the walk ends at another leaf or an empty slot", coin(90), registry.coin_proof(coin(90))),
        ("absent, another one", coin(91), registry.coin_proof(coin(91))),
        ("not enough power", coin(4), registry.coin_proof_with(coin(4), &two)),
        ("another coin than asked", coin(5), live.clone()),
        ("a live coin said to be absent", coin(4), altered(&|proof| proof.answer = Answer::Absent)),
        (
            "the record of before",
            coin(1),
            CoinProof { answer: before.coin_proof(coin(1)).answer, ..registry.coin_proof(coin(1)) },
        ),
        (
            "another tag",
            coin(4),
            altered(&|proof| {
                if let Answer::Present(record) = &mut proof.answer {
                    record.tag = OwnerTag([7; 32]);
                }
            }),
        ),
        ("another coin's walk", coin(4), altered(&|proof| proof.map_proof = registry.coin_proof(coin(7)).map_proof)),
        ("a root that is not the log's last", coin(2), {
            let mut proof = before.coin_proof(coin(2));
            proof.state.checkpoint = Octets::new(registry.checkpoint().into_bytes()).unwrap();
            proof
        }),
    ];
    let trust = registry.trust();
    let cases: Vec<Value> = cases
        .into_iter()
        .map(|(name, asked, proof)| {
            let outcome = outcome(verify_coin(&trust, &asked, &proof, NOW_MS), |verified| {
                let record = record_shown(verified.answer());
                json!({ "record": record, "state": state_shown(verified.state()) })
            });
            json!({ "name": name, "asked": hex(asked.0), "proof": hex(proof.to_bytes()), "now_ms": NOW_MS, "outcome": outcome })
        })
        .collect();
    json!({ "genesis": hex(registry.document()), "cases": cases })
}

/// Null for "no such coin".
fn record_shown(answer: Answer) -> Value {
    match answer {
        Answer::Present(record) => json!({
            "status": record.status.number(), "batch": record.batch.0, "height": record.height.0,
            "time_ms": record.time_ms, "contract": record.contract.0, "failed_check": record.failed_check,
            "tag": record.tag.to_string(),
        }),
        Answer::Absent => Value::Null,
    }
}

/// 10.7: each bucket with what it says of the same coins.
pub fn buckets() -> Value {
    let registry = {
        let mut registry = grown();
        let lines: Vec<_> = (8..=24).map(|number| registry.live(number)).collect();
        registry.confirm(6, &lines);
        registry
    };
    let coin = |number| issued_coin(&registry.chain, number);
    let prefix = |number, bits| Prefix::of(&record_key(&coin(number)), bits).expect("32 bits at most");
    let (asked, absent) = (prefix(4, 1), prefix(90, 32));
    let honest = registry.bucket_proof(asked);
    let with_entries = |change: &dyn Fn(&mut Vec<BucketEntry>)| {
        let mut entries = honest.entries.to_vec();
        change(&mut entries);
        entries.sort_by_key(|entry| entry.key_hash);
        BucketProof { entries: List::new(entries).expect("a few"), ..honest.clone() }
    };
    let with_siblings = |change: &dyn Fn(&mut Vec<TreeRoot>)| {
        let mut siblings = honest.siblings.to_vec();
        change(&mut siblings);
        BucketProof { siblings: List::new(siblings).expect("a few"), ..honest.clone() }
    };
    let added = |number| {
        let (key_hash, value) = (TreeRoot(record_key(&coin(number))), honest.entries[0].value.clone());
        move |entries: &mut Vec<BucketEntry>| entries.push(BucketEntry { key_hash, value: value.clone() })
    };
    let hidden = {
        let mut registry = registry.clone();
        registry.accept_entries(7, &[(record_key(&coin(90)), b"no record".to_vec())]);
        registry
    };
    let text = registry.checkpoint_text(registry.size());
    let two = note(&text, [log_sign(&text), cosign(&text, 2, COSIGNED_AT_S), cosign(&text, 4, COSIGNED_AT_S)]);
    let mut stale = honest.clone();
    stale.state.state_leaf = registry.states[0].0;
    let unordered = {
        let mut entries = honest.entries.to_vec();
        entries.reverse();
        BucketProof { entries: List::new(entries).expect("a few"), ..honest.clone() }
    };
    let cases = [
        ("half of the map", asked, honest.clone()),
        ("all of the map", prefix(4, 0), registry.bucket_proof(prefix(4, 0))),
        ("a bucket of one", prefix(4, 32), registry.bucket_proof(prefix(4, 32))),
        ("the walk ends above the prefix", absent, registry.bucket_proof(absent)),
        ("a value that is no record", prefix(90, 1), hidden.bucket_proof(prefix(90, 1))),
        ("not enough power", asked, registry.bucket_proof_with(asked, &two)),
        (
            "another bucket than asked",
            Prefix::new(1, [!asked.first()[0] & 0x80, 0, 0, 0]).expect("one bit"),
            honest.clone(),
        ),
        ("a longer prefix than asked", prefix(4, 2), honest.clone()),
        ("an entry left out", asked, with_entries(&|entries| drop(entries.remove(1)))),
        ("said to be empty", asked, with_entries(&Vec::clear)),
        (
            "an entry added",
            asked,
            with_entries(&added((70..).find(|n| asked.contains(&record_key(&coin(*n)))).unwrap())),
        ),
        (
            "an entry added beside the bucket",
            asked,
            with_entries(&added((70..).find(|n| !asked.contains(&record_key(&coin(*n)))).unwrap())),
        ),
        (
            "an entry with another's record",
            asked,
            with_entries(&|entries| {
                entries[0].value = Octets::new([&entries[0].value[..1], &[1; 62]].concat()).expect("63 bytes");
            }),
        ),
        ("a sibling too few", asked, with_siblings(&Vec::clear)),
        ("a sibling too many", asked, with_siblings(&|siblings| siblings.push(TreeRoot([1; 32])))),
        ("another sibling", asked, with_siblings(&|siblings| siblings[0] = TreeRoot([1; 32]))),
        ("an old state leaf", asked, stale),
        ("entries out of order", asked, unordered),
    ];
    let trust = registry.trust();
    let coins = [1, 4, 5, 16, 90, 91].map(coin);
    let cases: Vec<Value> = cases
        .into_iter()
        .map(|(name, asked, proof)| {
            let bytes = proof.to_bytes();
            let verdict = match BucketProof::from_bytes(&bytes) {
                Ok(proof) => verify_bucket(&trust, &asked, &proof, NOW_MS),
                Err(_) => Verdict::Invalid(Reason::Malformed),
            };
            let outcome = outcome(verdict, |verified| {
                let answer = |coin: &CoinId| match verified.answer(coin) {
                    Ok(answer) => json!({ "record": record_shown(answer) }),
                    Err(reason) => json!({ "invalid": { "number": reason.number(), "code": reason.code() } }),
                };
                let answers: Vec<Value> = coins.iter().map(answer).collect();
                json!({ "entries": verified.entries(), "answers": answers, "state": state_shown(verified.state()) })
            });
            json!({
                "name": name, "bits": asked.bits(), "prefix": hex(asked.first()), "proof": hex(bytes), "now_ms": NOW_MS,
                "outcome": outcome,
            })
        })
        .collect();
    let coins: Vec<String> = coins.iter().map(|coin| hex(coin.0)).collect();
    json!({ "genesis": hex(registry.document()), "coins": coins, "cases": cases })
}

pub fn acknowledgements() -> Value {
    let registry = grown();
    let altered = |index: u32, change: &dyn Fn(&mut Acknowledgement)| {
        let mut acknowledgement = registry.acknowledgement(index);
        change(&mut acknowledgement);
        acknowledgement
    };
    // B-13
    let under_rules = |version, signers: &[u16]| {
        altered(0, &|ack| {
            ack.header.version = RulesVersion(version);
            ack.certificate = registry.certificate(&ack.header, signers);
        })
    };
    let quorum = &[1, 2, 3];
    let (mut forged, mut refused) = (under_rules(u8::MAX, quorum), under_rules(u8::MAX, quorum));
    forged.certificate.precommits.as_mut_slice()[2].signer = ParticipantNumber(4);
    refused.result.code = 16;
    let cases = [
        ("accepted, the first", registry.acknowledgement(0)),
        ("accepted, the second", registry.acknowledgement(1)),
        ("refused", registry.acknowledgement(2)),
        ("a refusal called acceptance", altered(2, &|ack| ack.result.code = 0)),
        ("two of four", altered(0, &|ack| ack.certificate = registry.certificate(&ack.header, &[1, 2]))),
        (
            "a certificate of another block",
            altered(0, &|ack| {
                ack.certificate = registry.certificate(&registry.header(2, BlockHash([1; 32])), &[1, 2, 3]);
            }),
        ),
        ("under version 2 of the rules", under_rules(2, quorum)),
        ("under version 0 of the rules", under_rules(0, quorum)),
        ("under rules that no verifier knows", under_rules(u8::MAX, quorum)),
        ("under rules that no verifier knows, by two of four", under_rules(u8::MAX, &[1, 2])),
        ("under rules that no verifier knows, by nobody", under_rules(u8::MAX, &[])),
        ("under rules that no verifier knows, with another one's signature", forged),
        ("under rules that no verifier knows, refused", refused),
        (
            "a version that was written into a decided header",
            altered(0, &|ack| ack.header.version = RulesVersion(u8::MAX)),
        ),
        ("signers out of order", altered(0, &|ack| ack.certificate.precommits.as_mut_slice().swap(0, 1))),
        (
            "an observer signs",
            altered(0, &|ack| ack.certificate.precommits.as_mut_slice()[2].signer = ParticipantNumber(5)),
        ),
        (
            "another one's signature",
            altered(0, &|ack| ack.certificate.precommits.as_mut_slice()[2].signer = ParticipantNumber(3)),
        ),
    ];
    let trust = registry.trust();
    let cases: Vec<Value> = cases
        .into_iter()
        .map(|(name, acknowledgement)| {
            let outcome = outcome(verify_acknowledgement(&trust, &acknowledgement), |accepted| {
                json!({ "envelope": accepted.envelope().to_string(), "height": accepted.height().0, "time_ms": accepted.time_ms() })
            });
            json!({ "name": name, "acknowledgement": hex(acknowledgement.to_bytes()), "outcome": outcome })
        })
        .collect();
    let header = registry.first_header();
    json!({
        "genesis": hex(registry.document()),
        "first_header": hex(header.to_bytes()),
        "first_block_hash": header.hash(&registry.chain).to_string(),
        "cases": cases,
    })
}

pub fn ownership() -> Value {
    let registry = grown();
    let (chain, number) = (&registry.chain, 4);
    let coin = issued_coin(chain, number);
    let challenge = |nonce: u8, not_after_ms| Challenge {
        text: Text::new("Order 7 at the market").unwrap(),
        nonce: Octets::new(vec![nonce; 16]).unwrap(),
        not_after_ms,
    };
    let asked = challenge(9, NOW_MS + 60_000);
    let answer = |number: u8, about: CoinId, challenge: &Challenge| {
        let (opening, secret) = (chain::opening(chain, number), key(Purpose::Owner, number.into()));
        let message = OwnershipProof::message(chain, &about, &opening.owner_tag(chain, &about), challenge);
        OwnershipProof {
            coin: about,
            owner: secret.public_key(),
            tag_blind: opening.tag_blind(chain),
            challenge: challenge.clone(),
            signature: secret.sign(&message),
        }
    };
    let mut forged = answer(number, coin, &asked);
    forged.signature = key(Purpose::Owner, 1).sign(b"anything");
    let cases = [
        ("the owner", answer(number, coin, &asked), NOW_MS),
        ("a stranger", answer(5, coin, &asked), NOW_MS),
        ("another coin", answer(5, issued_coin(chain, 5), &asked), NOW_MS),
        ("an earlier challenge", answer(number, coin, &challenge(8, NOW_MS + 60_000)), NOW_MS),
        ("too late", answer(number, coin, &asked), NOW_MS + 60_001),
        ("unsigned", forged, NOW_MS),
    ];
    let trust = registry.trust();
    let coin_proof = registry.coin_proof(coin);
    let verified = verify_coin(&trust, &coin, &coin_proof, NOW_MS).verified().unwrap();
    let cases: Vec<Value> = cases
        .into_iter()
        .map(|(name, proof, now_ms)| {
            let verdict = match verify_ownership(&trust, &verified, &asked, &proof, now_ms) {
                Ok(()) => Verdict::Verified(()),
                Err(reason) => Verdict::Invalid(reason),
            };
            json!({ "name": name, "ownership": hex(proof.to_bytes()), "now_ms": now_ms, "outcome": outcome(verdict, |()| json!({})) })
        })
        .collect();
    json!({
        "genesis": hex(registry.document()),
        "coin_proof": hex(coin_proof.to_bytes()),
        "coin_now_ms": NOW_MS,
        "challenge": hex(asked.to_bytes()),
        "cases": cases,
    })
}

pub fn hand_overs() -> Value {
    let registry = Registry::new();
    let incoming = set_of(&[(1, 1), (2, 1), (3, 1), (6, 1)]);
    let document = |number: u32, incoming: &ValidatorSet, officers: &[u8], deciders: &[u16]| {
        let order = HandOverOrder { number, outgoing: registry.set.hash(&registry.chain), incoming: incoming.clone() };
        let message = order.message(&registry.chain);
        let sign = |officer: &u8| {
            let signature = key(Purpose::Officer, u16::from(*officer) + 1).sign(&message);
            OfficerSignature { officer: *officer, signature }
        };
        let mut header = registry.header(3, genesis_block_hash(&registry.chain));
        header.next_set_hash = incoming.hash(&registry.chain);
        let certificate = registry.certificate(&header, deciders);
        HandOver { order, officers: List::new(officers.iter().map(sign).collect()).unwrap(), header, certificate }
    };
    let third = set_of(&[(1, 1), (2, 1), (6, 1), (7, 1)]);
    // The incoming set with its last line spoilt; what is no set at all (order, power) does not decode.
    const SMALL_ORDER: [u8; 32] = {
        let mut one = [0; 32];
        one[0] = 1;
        one
    };
    let unsound = |spoil: &dyn Fn(&mut Validator)| {
        let mut lines: Vec<Validator> = incoming.iter().cloned().collect();
        spoil(lines.last_mut().expect("four validators"));
        let lines: List<Validator, PARTICIPANTS_MAX> = List::new(lines).unwrap();
        ValidatorSet::from_bytes(&lines.to_bytes()).unwrap()
    };
    let mut other_block = document(1, &incoming, &[0, 2], &[1, 2, 3]);
    other_block.header.next_set_hash = registry.set.hash(&registry.chain);
    other_block.certificate = registry.certificate(&other_block.header, &[1, 2, 3]);
    // B-13
    let under_unknown_rules = |deciders: &[u16]| {
        let mut document = document(1, &incoming, &[0, 2], deciders);
        document.header.version = RulesVersion(u8::MAX);
        document.certificate = registry.certificate(&document.header, deciders);
        document
    };
    let cases = [
        ("validator 4 makes way for 6", document(1, &incoming, &[0, 2], &[1, 2, 3])),
        ("all officers", document(1, &incoming, &[0, 1, 2], &[1, 2, 3])),
        ("the wrong number", document(2, &incoming, &[0, 2], &[1, 2, 3])),
        ("half of the power", document(1, &third, &[0, 2], &[1, 2, 3])),
        ("one officer", document(1, &incoming, &[1], &[1, 2, 3])),
        ("officers out of order", document(1, &incoming, &[2, 0], &[1, 2, 3])),
        ("decided by two of four", document(1, &incoming, &[0, 2], &[1, 2])),
        ("decided by the one who comes", document(1, &incoming, &[0, 2], &[1, 2, 6])),
        ("a block that names another set", other_block),
        ("decided under rules that no verifier knows", under_unknown_rules(&[1, 2, 3])),
        ("under rules that no verifier knows, decided by two of four", under_unknown_rules(&[1, 2])),
        ("one key for two purposes", document(1, &unsound(&|line| line.cosign = line.bundle), &[0, 2], &[1, 2, 3])),
        (
            "a key of small order",
            document(1, &unsound(&|line| line.consensus = PublicKey(SMALL_ORDER)), &[0, 2], &[1, 2, 3]),
        ),
        (
            "the number of the registration lane",
            document(1, &unsound(&|line| line.number = ParticipantNumber::REGISTRATION), &[0, 2], &[1, 2, 3]),
        ),
    ];
    let cases: Vec<Value> = cases
        .into_iter()
        .map(|(name, document)| {
            let mut trust = registry.trust();
            let verdict = trust.hand_over(&document);
            let outcome = outcome(verdict, |()| json!({ "set_hash": trust.set_hash().to_string() }));
            json!({ "name": name, "hand_over": hex(document.to_bytes()), "outcome": outcome })
        })
        .collect();

    // What the incoming set then signs.
    let mut after = registry.clone();
    after.set = incoming;
    let line = [after.live(4)];
    after.confirm(6, &line);
    let text = after.checkpoint_text(after.size());
    let cosigned = [1, 3, 6].map(|number| cosign(&text, number, COSIGNED_AT_S));
    let proof = after.state_proof_with(&note(&text, std::iter::once(log_sign(&text)).chain(cosigned)));
    let mut moved = registry.trust();
    assert!(moved.hand_over(&document(1, &after.set, &[0, 2], &[1, 2, 3])).is_verified());
    let before = registry.state_proof();
    let judge = |trust: &Trust, proof: &StateProof| outcome(verify_state(trust, proof, NOW_MS), state_shown);
    json!({
        "genesis": hex(registry.document()),
        "cases": cases,
        "now_ms": NOW_MS,
        "after": {
            "state_proof": hex(proof.to_bytes()),
            "with_the_first_hand_over": judge(&moved, &proof),
            "without_it": judge(&registry.trust(), &proof),
        },
        "before": {
            "state_proof": hex(before.to_bytes()),
            "with_the_first_hand_over": judge(&moved, &before),
            "without_it": judge(&registry.trust(), &before),
        },
    })
}
