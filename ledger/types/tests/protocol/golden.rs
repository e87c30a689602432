//! Bytes change on purpose: one fixed example of everything that is hashed, signed, stored or sent.
//!
//! Each file in `tests/golden` holds an example's bytes and what is derived from them, in hex, for an implementation in any
//! language; its secrets are BLAKE3 of phrases (see `keys.json` and `fixture.rs`). A file that differs fails the test. With
//! `ASSAY_BLESS=1` the files are written anew: that is a change of the protocol, and a commit of its own with its reason.

use crate::acknowledgement::acknowledgement;
use crate::fixture::{self, *};
use crate::ownership::{challenge, proof};
use ledger_types::block::results_root;
use ledger_types::bundle::ack_message;
use ledger_types::channel::{Encapsulation, EpochOffer, SignedEpochOffer};
use ledger_types::coin::{Coin, CoinStatus, coin_link};
use ledger_types::confirmation::{Overdue, Record, RecordStatus};
use ledger_types::contract::*;
use ledger_types::envelope::{Envelope, RecoverReason};
use ledger_types::feed::Feed;
use ledger_types::keys::Signature;
use ledger_types::log_leaf::{LogLeaf, StateLeaf};
use ledger_types::order::{AcceptedOutput, AcceptedOutputs, Order, Payee, issue_order_hash, memo_hash};
use ledger_types::ownership::OwnershipProof;
use ledger_types::reconciliation::*;
use ledger_types::sealed::*;
use ledger_types::vote::{Proposal, Vote, VoteStep};
use ledger_types::*;
use std::collections::BTreeSet;
use std::path::PathBuf;

fn folder() -> PathBuf {
    [env!("CARGO_MANIFEST_DIR"), "tests", "golden"].iter().collect()
}

/// A file's lines: a name and a value, in this order.
struct Golden {
    file: &'static str,
    lines: Vec<(&'static str, String)>,
}

impl Golden {
    fn new(file: &'static str) -> Self {
        Golden { file, lines: Vec::new() }
    }

    fn of(file: &'static str, value: &impl Encode) -> Self {
        Golden::new(file).hex("bytes", value.to_bytes())
    }

    fn text(mut self, name: &'static str, value: impl ToString) -> Self {
        self.lines.push((name, value.to_string()));
        self
    }

    fn hex(self, name: &'static str, value: impl AsRef<[u8]>) -> Self {
        self.text(name, hex::encode(value))
    }

    fn to_json(&self) -> String {
        let quoted = |text: &str| serde_json::to_string(text).unwrap();
        let lines: Vec<String> =
            self.lines.iter().map(|(name, value)| format!("  {}: {}", quoted(name), quoted(value))).collect();
        format!("{{\n{}\n}}\n", lines.join(",\n"))
    }

    /// Compares with the file, or writes it when blessed; names the lines that differ.
    fn check(&self) -> Result<(), String> {
        let path = folder().join(self.file);
        let now = self.to_json();
        if std::env::var_os("ASSAY_BLESS").is_some_and(|bless| bless == "1") {
            std::fs::write(&path, now).unwrap();
            return Ok(());
        }
        let stored = std::fs::read_to_string(&path).map_err(|error| format!("{}: {error}", path.display()))?;
        if stored == now {
            return Ok(());
        }
        let stored: BTreeSet<&str> = stored.lines().collect();
        let changed: Vec<&str> = now.lines().filter(|line| !stored.contains(line)).collect();
        Err(format!("{} now has:\n{}", self.file, changed.join("\n")))
    }
}

fn keys() -> Golden {
    let mut golden = Golden::new("keys.json").text("seed", "BLAKE3(the phrase), as an Ed25519 seed");
    for phrase in ["alice", "bob", "alice's change", "officer 0", "participant 1 issue", "participant 2 consensus"] {
        golden = golden.hex(phrase, public(phrase).0);
    }
    golden
}

fn genesis_and_sets(chain: &Chain) -> Vec<Golden> {
    let genesis = genesis();
    let directory = directory();
    let line = &genesis.preissues[0];
    let preissued = line.opening(chain, genesis.currency, 1);
    vec![
        Golden::of("genesis.json", &genesis)
            .hex("genesis hash", genesis.hash())
            .hex("rho of preissued coin 1", preissued.rho)
            .hex("note of preissued coin 1", preissued.note(chain)),
        Golden::of("participant.json", directory.get(BANK_2).unwrap()),
        Golden::of("directory.json", &directory).hex("participants hash", directory.hash(chain)),
        Golden::of("validator_set.json", &directory.validators())
            .hex("validator set hash", directory.validators().hash(chain)),
    ]
}

/// Opening → note, kappa → custody; issue number → origin → link → coin id → tag and text.
fn coins(chain: &Chain) -> Vec<Golden> {
    let opening = opening();
    let (origin, note) = (opening_origin(chain), opening.note(chain));
    let link = coin_link(chain, &origin, 0, &note);
    let id = coin(chain);
    let payment_origin = ledger_types::coin::origin(chain, &[id]);
    vec![
        Golden::of("opening.json", &opening).hex("note", note),
        Golden::of("coin_derivation.json", &opening)
            .hex("note = D(note, bytes)", note)
            .hex("kappa = D(custody blind, rho)", opening.kappa(chain))
            .hex("custody = D(custody, bank 2, kappa)", opening.custody(chain, BANK_2))
            .hex("origin = D(issue origin, series 1, issue number 7)", origin)
            .hex("link = D(link, origin, output index 0, note)", link)
            .hex("coin id = D(coin, link, custody)", id)
            .text("coin id as text", id)
            .hex("tag blind = D(tag blind, rho)", opening.tag_blind(chain))
            .hex("tag = D(owner tag, coin id, owner, tag blind)", opening.owner_tag(chain, &id))
            .hex("origin of what it pays for = D(origin, count 1 u16, coin id)", payment_origin)
            .text("the payment's output 1 to bank 3", paid().coin_id(chain, &payment_origin, 1, BANK_3)),
        Golden::of("coin_state.json", &Coin::plain(CoinStatus::Frozen)),
        Golden::of(
            "coin_state_inert.json",
            &Coin { status: CoinStatus::Live, contract: ContractNumber(3), issued_ms: GENESIS_TIME_MS },
        ),
    ]
}

fn envelope(file: &'static str, chain: &Chain, envelope: &Envelope) -> Golden {
    let core = &envelope.header.core;
    let inputs: Vec<u8> = core.input_ids(chain).iter().flat_map(|id| id.0).collect();
    Golden::of(file, envelope)
        .hex("core hash = D(core, core)", core.hash(chain))
        .hex("authorization message", core.authorization_message(chain))
        .hex("input coin ids", inputs)
        .hex("envelope id", envelope.id(chain))
}

fn envelopes(chain: &Chain) -> Vec<Golden> {
    vec![
        envelope("envelope_issue.json", chain, &issue(chain)),
        envelope("envelope_transfer.json", chain, &transfer(chain)),
        envelope("envelope_redeem.json", chain, &redeem(chain)),
        envelope("envelope_recover.json", chain, &recover(chain)),
        envelope("envelope_participant_update.json", chain, &participant_update(chain)),
        envelope("envelope_hand_over.json", chain, &hand_over(chain)),
        envelope("envelope_rules_order.json", chain, &rules_order(chain)),
        envelope("envelope_request.json", chain, &request(chain)),
        envelope("envelope_activate.json", chain, &activate(chain)),
        envelope("envelope_return.json", chain, &return_(chain)),
        envelope("envelope_reclaim.json", chain, &reclaim(chain)),
        envelope("envelope_deploy.json", chain, &contract_order(chain, deployment())),
        envelope("envelope_stop.json", chain, &contract_order(chain, ContractOrder::Stop { contract: CONTRACT })),
        envelope(
            "envelope_retire.json",
            chain,
            &contract_order(chain, ContractOrder::Retire { contract: CONTRACT, notice: 2 }),
        ),
        envelope("envelope_dispute.json", chain, &contract_order(chain, ContractOrder::Dispute(dispute(chain)))),
        envelope("envelope_feed_order.json", chain, &feed_order(chain)),
        envelope("envelope_publication.json", chain, &publication(chain)),
    ]
}

const MEMO: &[u8] = b"invoice 2026-113";

fn order(chain: &Chain) -> Order {
    let payee = paid();
    Order {
        inputs: List::new(vec![coin(chain)]).unwrap(),
        payee: Some(Payee { bank: BANK_3, owner: payee.owner, amount: payee.amount }),
        currency: USD,
        change_owners: List::new(vec![change().owner]).unwrap(),
        nonce: 99,
        expiry_ms: GENESIS_TIME_MS + 60_000,
        memo_hash: memo_hash(chain, MEMO),
    }
}

fn accepted(chain: &Chain) -> AcceptedOutputs {
    let output = output(chain, &paid(), BANK_3);
    AcceptedOutputs {
        order: order(chain).hash(chain),
        outputs: List::new(vec![AcceptedOutput { note: output.note, custody: output.custody }]).unwrap(),
        expiry_ms: GENESIS_TIME_MS + 90_000,
    }
}

fn orders_and_sealed_part(chain: &Chain) -> Vec<Golden> {
    let (order, accepted, opening) = (order(chain), accepted(chain), opening());
    let order_signature = key("alice").sign(&order.hash(chain).0);
    let acceptance = participant_key(BANK_3, "desk").sign(&accepted.message(chain));
    let outputs = outputs(chain);
    let mut sealed_outputs = vec![(paid(), BANK_3), (change(), BANK_2)];
    sealed_outputs.sort_by_key(|(opening, _)| opening.note(chain));
    let payee_output = outputs.iter().position(|output| output.note == paid().note(chain)).map(|at| at as u8);
    let sealed = Sealed {
        terms: None,
        currency: USD,
        inputs: List::new(vec![SealedInput {
            amount: opening.amount,
            owner: opening.owner,
            rho: opening.rho,
            origin: opening_origin(chain),
            output_index: 0,
            series: opening.series,
            bank: BANK_2,
        }])
        .unwrap(),
        outputs: List::new(
            sealed_outputs
                .into_iter()
                .map(|(o, bank)| SealedOutput { amount: o.amount, owner: o.owner, rho: o.rho, bank })
                .collect(),
        )
        .unwrap(),
        order: Some(SealedOrder {
            payee_output,
            nonce: order.nonce,
            expiry_ms: order.expiry_ms,
            signatures: List::new(vec![order_signature]).unwrap(),
        }),
        acceptance: Some(SealedAcceptance { expiry_ms: accepted.expiry_ms, signature: acceptance }),
        memo: Octets::new(MEMO.to_vec()).unwrap(),
    };
    let issue_order = issue_order_hash(chain, SeriesNumber(1), 7, Amount(25_000), BANK_2);
    vec![
        Golden::of("order.json", &order)
            .hex("memo", MEMO)
            .hex("memo hash", order.memo_hash)
            .hex("order hash, signed by the owners", order.hash(chain))
            .hex("alice's signature", order_signature.0),
        Golden::of("acceptance.json", &accepted)
            .hex("message, signed by the desk", accepted.message(chain))
            .hex("bank 3's signature", acceptance.0)
            .hex("order hash of an issue: series 1, number 7, 25000, bank 2", issue_order),
        Golden::of("sealed.json", &sealed),
    ]
}

fn channels(chain: &Chain) -> Vec<Golden> {
    let offer = EpochOffer {
        sender: BANK_2,
        epoch: 12,
        members: List::new(vec![BANK_2, BANK_3]).unwrap(),
        not_after_ms: GENESIS_TIME_MS + 3_600_000,
        commitment: chain.hash(Tag::EpochCommit, &[&secret("epoch key")]),
        encapsulations: List::new(vec![Encapsulation {
            member: BANK_3,
            encapsulated_key: Octets::new(secret("encapsulated key").to_vec()).unwrap(),
            ciphertext: [0xc5; 48],
        }])
        .unwrap(),
    };
    let signature = participant_key(BANK_2, "offer").sign(&offer.message(chain));
    let (message, ack) = (offer.message(chain), offer.ack_message(chain, BANK_3));
    vec![
        Golden::of("epoch_offer.json", &SignedEpochOffer { offer, signature })
            .hex("message, signed by the sender", message)
            .hex("acknowledgement of bank 3", ack),
    ]
}

fn bundles(chain: &Chain) -> Vec<Golden> {
    let (bundle, confirmation) = (bundle(chain), confirmation_bundle(chain));
    let certificate = certificate(chain, &bundle);
    vec![
        Golden::of("bundle_header.json", bundle.header()),
        Golden::of("bundle.json", &bundle)
            .hex("digest, signed by the submitter", bundle.digest())
            .hex("ids root", bundle.header().ids_root)
            .hex("envelope id 0", bundle.ids()[0])
            .hex("envelope id 1", bundle.ids()[1]),
        Golden::of("bundle_confirmation.json", &confirmation)
            .hex("digest", confirmation.digest())
            .hex("item id", confirmation.ids()[0]),
        Golden::of("bundle_certificate.json", &certificate)
            .hex("ack message of bank 3", ack_message(chain, &bundle.digest(), BANK_3))
            .hex("certificate hash", certificate.hash(chain)),
    ]
}

fn votes_and_blocks(chain: &Chain) -> Vec<Golden> {
    let (first, second) = (first_block(chain), second_block(chain));
    let block = first.hash(chain);
    let precommit = vote(Some(block), BANK_3);
    let nil = Vote { step: VoteStep::Prevote, ..vote(None, BANK_3) };
    let proposal = Proposal { height: Height(1), round: 2, block, valid_round: Some(1), validator: BANK_4 };
    let acknowledgement = acknowledgement(chain, 0);
    let results = results(chain);
    vec![
        Golden::of("vote_precommit.json", &precommit).hex("message", precommit.message(chain)),
        Golden::of("vote_nil_prevote.json", &nil).hex("message", nil.message(chain)),
        Golden::of("proposal.json", &proposal).hex("message", proposal.message(chain)),
        Golden::of("commit_certificate.json", &acknowledgement.certificate),
        Golden::of("block_header.json", &first.header)
            .hex("block hash", block)
            .hex("parent: the genesis hash", first.header.parent)
            .hex("certificates root", first.header.certificates_root),
        Golden::of("block_height_1.json", &first).hex("block hash", block),
        Golden::of("block_height_2.json", &second).hex("block hash", second.hash(chain)),
        Golden::of("envelope_result.json", &results[1])
            .hex("leaf", results[1].leaf(chain))
            .hex("results root", results_root(chain, &results))
            .hex("results root of no results", results_root(chain, &[])),
        Golden::of("acknowledgement.json", &acknowledgement),
    ]
}

fn confirmations_and_log(chain: &Chain) -> Vec<Golden> {
    let signed = signed_batch(chain);
    let coin = coin(chain);
    let record = Record {
        status: RecordStatus::Disputed,
        batch: BatchNumber(1),
        height: Height(2),
        time_ms: GENESIS_TIME_MS + 2_000,
        contract: ContractNumber(0),
        failed_check: 12,
        tag: opening().owner_tag(chain, &coin),
    };
    let overdue = Overdue { envelope: transfer(chain).id(chain), submitter: BANK_2 };
    let state = StateLeaf {
        batch: BatchNumber(1),
        height: Height(2),
        time_ms: GENESIS_TIME_MS + 2_000,
        map_root: TreeRoot(secret("map root")),
        set_hash: directory().validators().hash(chain),
        issued: 1 << 70,
        redeemed: 25_000,
    };
    let recovered = recover(chain).id(chain);
    vec![
        Golden::of("batch.json", &signed)
            .hex("batch hash, signed by registration", signed.batch.hash(chain))
            .hex("item id", signed.item_id(chain)),
        Golden::of("record.json", &record),
        Golden::of("log_leaf_record.json", &LogLeaf::Record { coin, record }),
        Golden::of("log_leaf_overdue.json", &LogLeaf::Overdue(overdue)),
        Golden::of("log_leaf_cleared.json", &LogLeaf::Cleared(overdue)),
        Golden::of(
            "log_leaf_recovered.json",
            &LogLeaf::Recovered { envelope: recovered, reason: RecoverReason::CourtOrder, inputs: 1 },
        ),
        Golden::of("log_leaf_participants.json", &LogLeaf::Participants(directory().hash(chain))),
        Golden::of("log_leaf_hand_over.json", &LogLeaf::HandOver(directory().validators().hash(chain))),
        Golden::of("log_leaf_rules.json", &LogLeaf::Rules(RULES_ORDER)),
        Golden::of("log_leaf_state.json", &LogLeaf::State(state)),
        Golden::of("log_leaf_request.json", &LogLeaf::Request(officer_request(chain)))
            .hex("commitment = D(disclosure, coin, blind)", officer_request(chain).commitment),
    ]
}

/// What stands in the map and in the log of contracts, feeds and loans (K).
fn contracts(chain: &Chain) -> Vec<Golden> {
    let (policy, report) = (policy(chain), secret("report"));
    let open = obligation(chain);
    let event = ContractEvent {
        action: ContractAction::Deploy,
        contract: CONTRACT,
        version: PolicyVersion(1),
        policy,
        report,
        binds_at: Height(5),
    };
    let feed = Feed { definition: feed_definition(), newest: Some(feed_item().head.period) };
    vec![
        Golden::of(
            "contract_head.json",
            &ContractHead { newest: PolicyVersion(2), stopped: PolicyVersion(1), retires_at: Some(Height(9)) },
        ),
        Golden::of(
            "contract_version.json",
            &DeployedPolicy { policy, report, deployed_at: Height(3), binds_at: Height(5) },
        )
        .hex("policy hash = D(policy, package)", policy)
        .hex("terms = D(terms, contract 1, policy hash)", terms(chain, CONTRACT, &policy)),
        Golden::of("obligation.json", &open.obligation)
            .hex("obligation id = D(obligation, bank 2, activation, salt)", open.id(chain)),
        Golden::of("obligation_open.json", &open),
        Golden::of("feed.json", &feed),
        Golden::of("feed_item.json", &feed_item())
            .hex("message, signed by a publisher", feed_item().head.message(chain, feed_item().value)),
        Golden::of("log_leaf_contract.json", &LogLeaf::Contract(event)),
        Golden::of("log_leaf_feed.json", &LogLeaf::Feed(feed_definition())),
        Golden::of("log_leaf_feed_item.json", &LogLeaf::FeedItem(feed_item())),
        Golden::of("log_leaf_receipt.json", &LogLeaf::Receipt(receipt(chain))),
        Golden::of("log_leaf_false_statement.json", &LogLeaf::FalseStatement(false_statement(chain))),
    ]
}

fn ownership(chain: &Chain) -> Vec<Golden> {
    let (proof, coin) = (proof(chain), coin(chain));
    let tag = proof.tag(chain);
    vec![
        Golden::of("ownership_proof.json", &proof)
            .hex("challenge", challenge().to_bytes())
            .hex("tag", tag)
            .hex("message, signed by the owner", OwnershipProof::message(chain, &coin, &tag, &challenge())),
    ]
}

fn reconciliation(chain: &Chain) -> Vec<Golden> {
    let coin = coin(chain);
    let tag = opening().owner_tag(chain, &coin);
    let fingerprint = |status, items: &[ReconciledCoin]| set_fingerprint(chain, BANK_2, status, items);
    let item = reconciled_coin(&coin, &tag);
    let set = |status, items: &[ReconciledCoin]| ReconciledSet {
        status,
        count: items.len() as u64,
        fingerprint: fingerprint(status, items),
    };
    let (height, block, batch) = (Height(2), second_block(chain).hash(chain), BatchNumber(1));
    let claim = ReconciliationClaim {
        side: ReconciliationSide::Bank,
        bank: BANK_2,
        height,
        block,
        batch,
        sets: List::new(vec![
            set(CoinStatus::Unconfirmed, &[]),
            set(CoinStatus::Live, &[item]),
            set(CoinStatus::Frozen, &[]),
            set(CoinStatus::Disputed, &[]),
        ])
        .unwrap(),
    };
    let difference = Difference {
        kind: DifferenceKind::WrongState,
        coin,
        at_bank: Some(CoinAtSide { status: CoinStatus::Live, tag }),
        at_centre: Some(CoinAtSide { status: CoinStatus::Disputed, tag }),
        made_by: Some(transfer(chain).id(chain)),
    };
    let differences = List::new(vec![difference]).unwrap();
    let report = ReconciliationReport { bank: BANK_2, height, block, batch, differences, unnamed: 3 };
    vec![
        Golden::of("reconciliation_claim.json", &claim)
            .hex("fingerprint of live {coin, tag} in the custody of bank 2", fingerprint(CoinStatus::Live, &[item]))
            .hex("fingerprint of nothing live", fingerprint(CoinStatus::Live, &[]))
            .hex("message, signed by the side", claim.message(chain)),
        Golden::of("reconciliation_report.json", &report).hex("message, signed by registration", report.message(chain)),
    ]
}

fn all() -> Vec<Golden> {
    let chain = fixture::chain();
    let mut all = vec![keys()];
    all.extend(genesis_and_sets(&chain));
    all.extend(coins(&chain));
    all.extend(envelopes(&chain));
    all.extend(orders_and_sealed_part(&chain));
    all.extend(channels(&chain));
    all.extend(bundles(&chain));
    all.extend(votes_and_blocks(&chain));
    all.extend(confirmations_and_log(&chain));
    all.extend(contracts(&chain));
    all.extend(ownership(&chain));
    all.extend(reconciliation(&chain));
    all
}

#[test]
fn no_byte_of_the_protocol_has_changed() {
    let all = all();
    let changed: Vec<String> = all.iter().filter_map(|golden| golden.check().err()).collect();
    assert!(changed.is_empty(), "with ASSAY_BLESS=1 this becomes a new protocol:\n{}", changed.join("\n"));

    let compared: BTreeSet<String> = all.iter().map(|golden| golden.file.to_owned()).collect();
    assert_eq!(compared.len(), all.len(), "two examples write one file");
    let stored: BTreeSet<String> =
        std::fs::read_dir(folder()).unwrap().map(|entry| entry.unwrap().file_name().into_string().unwrap()).collect();
    assert_eq!(stored, compared, "a file that nothing is compared with pins nothing");
}

/// The authorization covers the core but not itself: filling it in does not change what is signed.
#[test]
fn an_authorization_signs_everything_but_itself() {
    let chain = fixture::chain();
    let officers_order = contract_order(&chain, deployment());
    let by_the_issue_key = [issue(&chain), redeem(&chain), return_(&chain)];
    let by_officers = [
        recover(&chain),
        participant_update(&chain),
        request(&chain),
        officers_order,
        feed_order(&chain),
        rules_order(&chain),
    ];
    for envelope in by_the_issue_key.into_iter().chain(by_officers) {
        use ledger_types::envelope::ClearContext::*;
        let core = &envelope.header.core;
        let message = core.authorization_message(&chain);
        let mut without = core.clone();
        match &mut without.context {
            Issue(context) => context.authorization = Signature([0; 64]),
            Redeem(context) => context.authorization = Signature([0; 64]),
            Recover(context) => context.authorizations = List::empty(),
            ParticipantUpdate(context) => context.authorizations = List::empty(),
            Request(context) => context.authorizations = List::empty(),
            Return(context) => context.authorization = Signature([0; 64]),
            ContractOrder(context) => context.authorizations = List::empty(),
            FeedOrder(context) => context.authorizations = List::empty(),
            RulesOrder(context) => context.authorizations = List::empty(),
            Transfer | Activate(_) | Reclaim(_) | Publication(_) | HandOver(_) => {}
        }
        assert!(without != *core, "the example is authorized");
        assert_eq!(without.authorization_message(&chain), message);
        let mut later = core.clone();
        later.expiry_ms += 1;
        assert_ne!(later.authorization_message(&chain), message);
        let signatures: Vec<(Signature, _)> = match &core.context {
            Issue(context) => vec![(context.authorization, participant_key(CENTRAL_BANK, "issue"))],
            Redeem(context) => vec![(context.authorization, participant_key(CENTRAL_BANK, "issue"))],
            Recover(context) => officers(&context.authorizations),
            ParticipantUpdate(context) => officers(&context.authorizations),
            Request(context) => officers(&context.authorizations),
            Return(context) => vec![(context.authorization, participant_key(CENTRAL_BANK, "issue"))],
            ContractOrder(context) => officers(&context.authorizations),
            FeedOrder(context) => officers(&context.authorizations),
            RulesOrder(context) => officers(&context.authorizations),
            Transfer | Activate(_) | Reclaim(_) | Publication(_) | HandOver(_) => Vec::new(),
        };
        assert!(!signatures.is_empty());
        assert!(signatures.iter().all(|(signature, key)| key.public_key().verify(&message, signature)));
    }
}

fn officers(signed: &[ledger_types::envelope::OfficerSignature]) -> Vec<(Signature, ledger_types::keys::SigningKey)> {
    signed.iter().map(|s| (s.signature, key(&format!("officer {}", s.officer)))).collect()
}
