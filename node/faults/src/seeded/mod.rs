//! Bugs of our own making in the shipped code, each of which a test must catch.
//!
//! - A bug is one line of a file, and what stands there instead. It is put into a copy of the tree: the product's own code has no
//!   switch for it, so nothing that is shipped can have one.
//! - What catches it is a test of `scripts/test` or a row of faults, by its name, and by an assertion: a bug that does not compile, or
//!   that runs into the limit of time, is not caught ([`run`]).
//! - The simulator's seeded bugs stand around the shipped code, in its own layer (consensus/sim/src/bugs.rs); these are in it.

mod log;
mod run;

pub use log::{Caught, read};
pub use run::run;

/// What must fail where the bug is, and pass where it is not.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Catcher {
    /// A package's test: the target's arguments for cargo (`--lib`, or `--test` and its name), the file and the function.
    Test { package: &'static str, target: &'static [&'static str], file: &'static str, name: &'static str },
    /// A row of faults, by its name, at its brief tier.
    Row(&'static str),
}

impl std::fmt::Display for Catcher {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            Catcher::Test { file, name, .. } => write!(f, "`{file}` {name}"),
            Catcher::Row(row) => write!(f, "row {row}"),
        }
    }
}

pub struct Seeded {
    pub name: &'static str,
    /// What the code then does.
    pub what: &'static str,
    pub file: &'static str,
    /// A part of one line, and the only one of its kind in the file.
    pub line: &'static str,
    pub instead: &'static str,
    pub caught_by: Catcher,
}

const fn test(
    package: &'static str,
    target: &'static [&'static str],
    file: &'static str,
    name: &'static str,
) -> Catcher {
    Catcher::Test { package, target, file, name }
}

pub const SEEDED: &[Seeded] = &[
    Seeded {
        name: "CommitSyncSkipped",
        what: "a height is told as durable before its write is synced",
        file: "ledger/store/src/options.rs",
        line: "options.set_sync(true);",
        instead: "options.set_sync(false);",
        caught_by: Catcher::Row("P3"),
    },
    Seeded {
        name: "BundleSyncSkipped",
        what: "a bundle is acked before its bytes are synced",
        file: "ledger/store/src/bundles/segment.rs",
        line: "self.file.sync_data().map_err(|error|",
        instead: "Ok::<(), io::Error>(()).map_err(|error|",
        caught_by: Catcher::Row("P3"),
    },
    Seeded {
        name: "UnspentCheckSkipped",
        what: "a coin that is not there can be spent",
        file: "ledger/state/src/working.rs",
        line: "if inputs.iter().any(|id| self.coins.get(id).is_none()) {",
        instead: "if inputs.is_empty() && self.coins.named.is_empty() {",
        caught_by: test(
            "ledger-state",
            &["--test", "state"],
            "ledger/state/tests/rejections.rs",
            "rejection_16_of_two_spends_in_one_block_the_first_wins_and_its_neighbours_are_unharmed",
        ),
    },
    Seeded {
        name: "StatusCheckSkipped",
        what: "an unconfirmed, frozen or disputed coin can be spent",
        file: "ledger/state/src/working.rs",
        line: "is_some_and(|coin| !status_allows(coin.status));",
        instead: "is_some_and(|coin| !status_allows(coin.status) && coin.issued_ms == u64::MAX);",
        caught_by: test(
            "ledger-state",
            &["--test", "state"],
            "ledger/state/tests/rejections.rs",
            "rejection_17_an_input_must_be_live_c3",
        ),
    },
    Seeded {
        name: "MapOrder",
        what: "a block's coins are walked in the order of a hash map",
        file: "ledger/state/src/working.rs",
        line: "changes.created.sort_unstable_by_key(|(id, _)| *id);",
        instead: "changes.created = changes.created.drain(..).collect::<std::collections::HashMap<_, _>>().into_iter().collect();
        changes.changed = changes.changed.drain(..).collect::<std::collections::HashMap<_, _>>().into_iter().collect();
        changes.deleted = changes.deleted.drain(..).collect::<std::collections::HashSet<_>>().into_iter().collect();",
        caught_by: test(
            "ledger-state",
            &["--test", "state"],
            "ledger/state/tests/golden.rs",
            "the_headers_of_a_fixed_history_have_these_bytes",
        ),
    },
    Seeded {
        name: "QuorumOffByOne",
        what: "one unit of power less than a quorum decides",
        file: "ledger/types/src/participant.rs",
        line: "u128::from(power) * 3 > u128::from(self.total_power()) * 2",
        instead: "(u128::from(power) + 1) * 3 > u128::from(self.total_power()) * 2",
        caught_by: test(
            "ledger-verify",
            &["--test", "verify"],
            "ledger/verify/tests/blocks.rs",
            "a_commit_certificate_of_another_block_or_without_a_quorum_acknowledges_nothing_b2",
        ),
    },
    Seeded {
        name: "DuplicateSigner",
        what: "a signer of a certificate is counted as often as it is named",
        file: "ledger/types/src/participant.rs",
        line: "if last.is_some_and(|last| last >= *signer) {",
        instead: "if last.is_some_and(|last| last > *signer) {",
        caught_by: test(
            "ledger-types",
            &["--test", "protocol"],
            "ledger/types/tests/protocol/quorum.rs",
            "a_signer_named_twice_or_out_of_order_refuses_the_whole_list",
        ),
    },
    Seeded {
        name: "DuplicateCosigner",
        what: "a checkpoint may name one cosigner twice",
        file: "ledger/verify/src/checkpoint.rs",
        line: "if std::mem::replace(&mut seen[position], true) {",
        instead: "if std::mem::replace(&mut seen[position], true) && line.name().is_empty() {",
        caught_by: test(
            "ledger-verify",
            &["--test", "verify"],
            "ledger/verify/tests/coins.rs",
            "a_signer_named_twice_is_refused_even_beside_a_quorum",
        ),
    },
    Seeded {
        name: "OneClockIsEnough",
        what: "one validator makes a checkpoint look newer than the quorum's",
        file: "ledger/verify/src/checkpoint.rs",
        line: "power >= quorum",
        instead: "power >= quorum.min(1)",
        caught_by: test(
            "ledger-verify",
            &["--test", "verify"],
            "ledger/verify/tests/coins.rs",
            "one_validator_cannot_make_a_checkpoint_look_newer_l3",
        ),
    },
    Seeded {
        name: "WrongDomainTag",
        what: "the key commitment in the header is hashed under the data key's tag: it is the data key",
        file: "ledger/seal/src/root.rs",
        line: "KeyCommitment(chain.hash(Tag::KeyCommit, &[self.secret()]))",
        instead: "KeyCommitment(chain.hash(Tag::Seal, &[self.secret()]))",
        caught_by: test(
            "ledger-seal",
            &["--test", "seal"],
            "ledger/seal/tests/sealing.rs",
            "golden_bytes_of_an_offer_and_a_sealed_envelope",
        ),
    },
    Seeded {
        name: "OtherChainAccepted",
        what: "no hash says on which chain it is: signatures of another chain hold",
        file: "ledger/types/src/domain.rs",
        line: "hasher.update(&self.genesis_hash.0);",
        instead: "hasher.update(&[0; 32]);",
        caught_by: test(
            "ledger-state",
            &["--test", "state"],
            "ledger/state/tests/batches.rs",
            "a_batch_of_another_chain_is_refused",
        ),
    },
    Seeded {
        name: "ProofOfOtherChain",
        what: "a verifier does not ask of which chain a proof is",
        file: "ledger/verify/src/state.rs",
        line: "if proof.genesis_hash != trust.chain().genesis_hash() {",
        instead: "if proof.genesis_hash != trust.chain().genesis_hash() && proof.checkpoint.is_empty() {",
        caught_by: test(
            "ledger-verify",
            &["--test", "verify"],
            "ledger/verify/tests/bit_flips.rs",
            "no_bit_of_a_coin_proof_can_be_flipped",
        ),
    },
    Seeded {
        name: "RecordUnchecked",
        what: "a coin's proof holds whatever record it shows",
        file: "ledger/tree/src/map/proof.rs",
        line: "if leaf_value != *value_hash {",
        instead: "if leaf_value != *value_hash && proof.siblings.len() == DEPTH_MAX {",
        caught_by: test(
            "ledger-verify",
            &["--test", "verify"],
            "ledger/verify/tests/coins.rs",
            "another_record_than_the_maps_is_a_wrong_record_l4",
        ),
    },
    Seeded {
        name: "RefusedIsAcknowledged",
        what: "the path to a refusal counts as an acknowledgement",
        file: "ledger/verify/src/block.rs",
        line: "if result.code != EnvelopeResult::ACCEPTED {",
        instead: "if result.code == u16::MAX {",
        caught_by: test(
            "ledger-verify",
            &["--test", "verify"],
            "ledger/verify/tests/blocks.rs",
            "the_acknowledgement_of_a_refused_envelope_does_not_verify_b2",
        ),
    },
    Seeded {
        name: "SigningGuardDropped",
        what: "the guard lets one position have two messages",
        file: "consensus/src/guard.rs",
        line: "if position == last.position {",
        instead: "if position == last.position && *message == last.message {",
        caught_by: test(
            "consensus",
            &["--lib"],
            "consensus/src/guard.rs",
            "b9_positions_never_go_back_and_one_position_gets_one_message",
        ),
    },
    Seeded {
        name: "CheckpointGuardDropped",
        what: "two roots of one size are cosigned",
        file: "node/src/checkpoint/guard.rs",
        line: "if size <= before.size {",
        instead: "if size < before.size {",
        caught_by: test(
            "node",
            &["--lib"],
            "node/src/checkpoint/guard.rs",
            "a_smaller_size_or_another_root_is_never_signed_b9",
        ),
    },
    Seeded {
        name: "VerdictOfTheProposer",
        what: "a block's results are taken from its proposer",
        file: "ledger/state/src/block.rs",
        line: "(proposed.results_root == own.results_root, BlockRefusal::ResultsRootDiffers),",
        instead: "(true, BlockRefusal::ResultsRootDiffers),",
        caught_by: test(
            "ledger-state",
            &["--test", "state"],
            "ledger/state/tests/contracts.rs",
            "a_verdict_that_a_proposer_made_up_fails_the_results_root_and_a_state_that_it_made_up_the_state_root",
        ),
    },
    Seeded {
        name: "RefusedBlockIsVotedFor",
        what: "a validator votes for a block that its own execution refuses",
        file: "consensus/src/engine/blocks.rs",
        line: "Err(refused) => Verdict::Refused(refused.reason),",
        instead: "Err(_) => Verdict::Valid(bundles),",
        caught_by: test(
            "consensus",
            &["--test", "engine"],
            "consensus/tests/engine/judging.rs",
            "b1_a_block_that_the_own_execution_refuses_is_refused",
        ),
    },
    Seeded {
        name: "SlotServedTwice",
        what: "a block may serve a lane's slot again",
        file: "ledger/state/src/lane.rs",
        line: "slot.incarnation == self.incarnation && slot.sequence == self.next_sequence;",
        instead: "slot.incarnation == self.incarnation && slot.sequence <= self.next_sequence;",
        caught_by: test(
            "ledger-state",
            &["--test", "state"],
            "ledger/state/tests/block_refusals.rs",
            "refusal_7_a_lane_goes_on_slot_by_slot_or_begins_anew_b3",
        ),
    },
    Seeded {
        name: "SlotAckedTwice",
        what: "a second bundle in a lane's slot is acked too",
        file: "ledger/store/src/bundles.rs",
        line: "if let Some(before) = guard.acked(slot).or_else(|| fresh.get(slot).copied()) {",
        instead: "if let Some(before) = fresh.get(slot).copied() {",
        caught_by: test(
            "ledger-store",
            &["--test", "store"],
            "ledger/store/tests/bundles.rs",
            "a_slot_is_acked_for_one_bundle_only",
        ),
    },
    Seeded {
        name: "DataKeyReused",
        what: "all envelopes of an epoch are sealed under one data key, with the one nonce",
        file: "ledger/seal/src/root.rs",
        line: "chain.hash(Tag::EnvelopeKey, &[epoch_key.bytes(), &core.hash(chain)])",
        instead: "chain.hash(Tag::EnvelopeKey, &[epoch_key.bytes(), &core.submitter.0.to_le_bytes()])",
        caught_by: test(
            "ledger-seal",
            &["--test", "seal"],
            "ledger/seal/tests/sealing.rs",
            "a_generator_that_repeats_itself_never_gives_two_plaintexts_one_key",
        ),
    },
    Seeded {
        name: "HintReused",
        what: "after a crash a sender begins again below the limit that it had stored",
        file: "ledger/seal/src/counter.rs",
        line: "CounterReservation { next: stored_limit, limit: stored_limit,",
        instead: "CounterReservation { next: stored_limit.saturating_sub(RESERVED_MAX), limit: stored_limit,",
        caught_by: test(
            "ledger-seal",
            &["--test", "seal"],
            "ledger/seal/tests/hints.rs",
            "hints_of_envelopes_sealed_before_and_after_a_crash_all_differ",
        ),
    },
    Seeded {
        name: "KeyCommitmentForgotten",
        what: "an envelope opens under a key that its header does not commit to",
        file: "ledger/seal/src/open.rs",
        line: "if !root.matches(chain, &envelope.header.commitment) {",
        instead: "if envelope.ciphertext.is_empty() && !root.matches(chain, &envelope.header.commitment) {",
        caught_by: test(
            "ledger-seal",
            &["--test", "seal"],
            "ledger/seal/tests/two_keys.rs",
            "e_1_a_whole_payment_sealed_under_a_key_that_the_header_does_not_commit_to_is_refused",
        ),
    },
    Seeded {
        name: "ValueUnchecked",
        what: "a payment may give more than it takes",
        file: "ledger/state/src/payment.rs",
        line: "_ => going_in == coming_out,",
        instead: "_ => going_in <= coming_out,",
        caught_by: test(
            "ledger-state",
            &["--test", "state"],
            "ledger/state/tests/payment.rs",
            "rule_15_value_comes_from_nowhere_and_goes_nowhere",
        ),
    },
    Seeded {
        name: "SupplyUncounted",
        what: "what is issued does not move the total",
        file: "ledger/state/src/confirmation.rs",
        line: "ledger.issued += u128::from(amount.0);",
        instead: "ledger.issued += u128::from(amount.0) * 0;",
        caught_by: test(
            "ledger-state",
            &["--test", "state"],
            "ledger/state/tests/batches.rs",
            "totals_move_when_registration_settles_r6",
        ),
    },
    Seeded {
        name: "BatchNumberReused",
        what: "the ledger takes a confirmation batch under a number that it has seen",
        file: "ledger/state/src/confirmation.rs",
        line: "if Some(batch.number.0) != ledger.batch.0.checked_add(1) {",
        instead: "if Some(batch.number.0) > ledger.batch.0.checked_add(1) {",
        caught_by: test(
            "ledger-state",
            &["--test", "state"],
            "ledger/state/tests/rejections_of_batches.rs",
            "rejection_40_batch_numbers_have_no_gap_r2",
        ),
    },
    Seeded {
        name: "RegistrationSequenceReused",
        what: "registration gives two entries of its spool one number",
        file: "node/src/role/registration/registrar.rs",
        line: "memory.outbox.next_sequence += 1;",
        instead: "memory.outbox.next_sequence |= 1;",
        caught_by: test(
            "node",
            &["--test", "registration"],
            "node/tests/registration/kills.rs",
            "with_issuance_stopped_the_backlog_waits_and_drains_in_order",
        ),
    },
    Seeded {
        name: "ToldBeforeDurable",
        what: "a bank tells what it did before that is on its disk",
        file: "node/src/role/commercial_bank/desk.rs",
        line: "durable.wait().await?;",
        instead: "drop(durable);",
        caught_by: test(
            "node",
            &["--lib"],
            "node/src/role/commercial_bank/tests/payments.rs",
            "a_state_is_told_only_when_a_kill_cannot_take_it_back",
        ),
    },
    Seeded {
        name: "OfficersOneShort",
        what: "one officer less than the threshold authorizes",
        file: "ledger/state/src/envelope.rs",
        line: "let enough = signatures.len() >= usize::from(genesis.officer_threshold);",
        instead: "let enough = signatures.len() + 1 >= usize::from(genesis.officer_threshold);",
        caught_by: test(
            "ledger-state",
            &["--test", "state"],
            "ledger/state/tests/rejections.rs",
            "rejection_13_issue_and_redeem_take_the_issue_key_and_recover_and_update_k_officers",
        ),
    },
    Seeded {
        name: "FuelUncounted",
        what: "looking back over a feed's periods costs a policy nothing",
        file: "contracts/vm/src/look_back.rs",
        line: "self.fuel += u32::from(look_back.fuel);",
        instead: "self.fuel += u32::from(look_back.fuel) * 0;",
        caught_by: test(
            "contracts-vm",
            &["--test", "vm"],
            "contracts/vm/tests/differential.rs",
            "the_machine_agrees_with_a_naive_walk_over_a_million_random_programs",
        ),
    },
    Seeded {
        name: "KeyFileOfTheGroup",
        what: "a key file that the group can read is used",
        file: "node/src/keys.rs",
        line: "if meta.permissions().mode() & 0o077 != 0 {",
        instead: "if meta.permissions().mode() & 0o007 != 0 {",
        caught_by: Catcher::Row("K"),
    },
];

#[cfg(test)]
mod tests {
    use super::*;
    use crate::rows::ROWS;
    use std::path::Path;

    #[test]
    fn every_seeded_bug_changes_one_line_that_is_there_and_every_catcher_exists() {
        let root = Path::new(env!("CARGO_MANIFEST_DIR")).join("../..");
        let text =
            |file: &str| std::fs::read_to_string(root.join(file)).unwrap_or_else(|error| panic!("{file}: {error}"));
        for Seeded { name, file, line, instead, caught_by, .. } in SEEDED {
            assert_eq!(text(file).matches(line).count(), 1, "{name}: {file} has this line once: {line}");
            assert!(!line.contains('\n') && line != instead, "{name}");
            match caught_by {
                Catcher::Test { file, name, .. } => {
                    assert!(text(file).contains(&format!("fn {name}(")), "{file} has no test {name}");
                }
                Catcher::Row(row) => assert!(ROWS.iter().any(|known| known.name == *row), "there is no row {row}"),
            }
        }
        let mut names: Vec<&str> = SEEDED.iter().map(|bug| bug.name).collect();
        names.sort_unstable();
        names.dedup();
        assert_eq!(names.len(), SEEDED.len(), "a name is of one bug");
    }
}
