//! The page of what was shown, made from the logs and from a list of the tests that show the rest. A test of the list that does not
//! stand where the list says fails this package's own test.

use crate::record::{self, Run, total};
use crate::rows::{ROWS, Row};
use crate::seeded::{self, SEEDED, Seeded};
use crate::speed;
use std::collections::BTreeMap;
use std::fmt::Write;
use std::path::Path;

/// Row, figure, and what it is to be at most. A run that only takes longer, on a loaded machine, has not failed: the page says it.
const AT_MOST: &[(&str, &str, u64)] =
    &[("P1", "rejoin_p99_ms", 10_000), ("N1", "heal_p99_ms", 10_000), ("N1", "pay_again_p99_ms", 10_000)];

/// A promise that tests of `scripts/test` show, each at every run.
struct Shown {
    row: &'static str,
    promise: &'static str,
    /// File and name.
    tests: &'static [(&'static str, &'static str)],
}

const SHOWN: &[Shown] = &[
    Shown {
        row: "B",
        promise: "a validator that signs two things for one place is named with both; strangers get nothing; wrong blocks are refused",
        tests: &[
            ("consensus/tests/engine/cluster.rs", "equivocation_is_reported_with_both_signed_messages"),
            ("consensus/tests/engine/cluster.rs", "a_stranger_gets_no_connection_and_learns_no_block"),
            ("consensus/tests/engine/cluster.rs", "a_dead_proposer_costs_at_most_a_second_and_is_demoted_b4"),
            (
                "consensus/tests/engine/judging.rs",
                "each_way_in_which_a_block_is_wrong_has_its_verdict_and_is_seen_before_a_bundle_is_fetched",
            ),
            (
                "consensus/tests/engine/follow.rs",
                "a_proposer_whose_bundles_nobody_can_have_costs_a_round_and_orders_nothing",
            ),
        ],
    },
    Shown {
        row: "C",
        promise: "nobody reads or links what is not his; one ciphertext has one meaning",
        tests: &[
            (
                "ledger/seal/tests/two_keys.rs",
                "e_1_a_ciphertext_that_opens_under_two_keys_is_refused_by_the_commitment",
            ),
            (
                "node/tests/nodes/secrecy.rs",
                "a_disk_of_no_party_holds_no_plaintext_and_a_partys_disk_holds_it_encrypted",
            ),
            (
                "ledger/state/tests/linkage/main.rs",
                "at_128_envelopes_the_public_links_payments_by_one_percent_at_most_and_owners_by_time_alone",
            ),
        ],
    },
    Shown {
        row: "D",
        promise: "a coin is spent once, whoever sends it where",
        tests: &[
            ("node/tests/nodes/double_spend.rs", "a_coin_spent_in_two_bundles_through_two_nodes_at_once_is_spent_once"),
            ("node/tests/nodes/slots.rs", "a_reused_lane_slot_gets_no_second_certificate_and_leaves_evidence"),
        ],
    },
    Shown {
        row: "E",
        promise: "registration and issuance killed at each step release exactly once and in order",
        tests: &[
            ("node/tests/registration/kills.rs", "killed_at_each_step_registration_and_issuance_release_exactly_once"),
            ("node/tests/registration/kills.rs", "with_issuance_stopped_the_backlog_waits_and_drains_in_order"),
        ],
    },
    Shown {
        row: "H",
        promise: "hostile and slow readers of the public site get declared answers, and cost the others nothing",
        tests: &[
            (
                "query-site/tests/slow.rs",
                "heads_and_bodies_that_trickle_leave_a_healthy_client_its_answers_and_their_time",
            ),
            ("query-site/tests/hostile.rs", "hostile_values_in_every_parameter_get_declared_answers_and_never_a_5xx"),
            (
                "query-site/tests/hostile.rs",
                "random_values_in_all_parameters_at_once_get_declared_answers_and_never_a_5xx",
            ),
        ],
    },
    Shown {
        row: "L",
        promise: "no false proof verifies, and each lie of a server is named",
        tests: &[
            ("ledger/verify/tests/bit_flips.rs", "no_bit_of_a_coin_proof_can_be_flipped"),
            ("ledger/verify/tests/bit_flips.rs", "a_flip_never_costs_a_signer_in_silence"),
            ("node/cli/tests/lies.rs", "each_lie_of_a_server_is_named_and_the_truth_beside_it_is_not"),
        ],
    },
    Shown {
        row: "P1, P3, P5 of one store",
        promise: "the store alone: killed, torn or without room it loses nothing that it said was durable",
        tests: &[
            ("ledger/store/tests/kill.rs", "a_process_killed_at_random_moments_loses_nothing_that_it_said"),
            ("ledger/store/tests/crash.rs", "a_height_whose_write_was_torn_anywhere_is_there_whole_or_not_at_all"),
            ("ledger/store/tests/disk_full.rs", "a_full_disk_stops_the_store_and_loses_nothing"),
        ],
    },
    Shown {
        row: "P4 of single files",
        promise: "a flipped bit in a guard or in the stored log is found, and nothing is signed over it",
        tests: &[
            ("consensus/src/guard.rs", "any_flipped_bit_makes_the_guard_uncertain_or_unreadable_but_never_wrong"),
            (
                "consensus/tests/engine/trust.rs",
                "trap_3_with_a_damaged_log_a_validator_does_not_vote_before_others_decide_the_height",
            ),
            (
                "node/tests/nodes/damaged_disks.rs",
                "a_validator_whose_stored_log_lost_a_bit_says_so_and_cosigns_no_more_and_any_unreadable_row_is_told",
            ),
            (
                "ledger/store/tests/damage.rs",
                "bytes_that_changed_beneath_the_database_are_noted_by_a_look_up_and_by_a_scan",
            ),
            ("ledger/store/tests/open.rs", "a_block_that_was_changed_on_disk_is_refused"),
        ],
    },
    Shown {
        row: "R",
        promise: "an old backup or a lost disk joins again and cannot sign twice",
        tests: &[
            ("consensus/tests/engine/trust.rs", "b9_an_old_copy_of_the_guard_is_found_out_by_what_the_others_hold"),
            (
                "consensus/sim/tests/simulation.rs",
                "b9_a_validator_with_an_old_copy_of_its_guard_asks_and_signs_nothing_twice",
            ),
            ("node/tests/nodes/lost_disks.rs", "emptied_states_join_again_and_lost_guards_mute_until_they_are_renewed"),
            (
                "node/tests/nodes/backups.rs",
                "a_validator_restored_twice_from_an_old_backup_votes_again_and_signs_nothing_twice",
            ),
            (
                "node/src/role/commercial_bank/tests/epochs.rs",
                "a_desk_put_back_from_a_backup_uses_no_number_and_no_counter_again",
            ),
            ("ledger/store/tests/copy.rs", "a_copy_stands_at_its_height_with_its_bundles_while_the_original_goes_on"),
            ("ledger/store/tests/open.rs", "another_genesis_is_refused"),
        ],
    },
    Shown {
        row: "R",
        promise: "a folder made from a snapshot that a quorum stands for is what execution gives; a node from nothing \
                  fetches it from its peers and names the one that lies",
        tests: &[
            (
                "ledger/store/tests/joining.rs",
                "b7_a_folder_made_from_a_snapshot_holds_what_executing_every_block_gives",
            ),
            (
                "node/tests/nodes/joining.rs",
                "b7_nodes_from_nothing_join_by_a_snapshot_past_a_silent_peer_and_name_the_one_that_lies",
            ),
            (
                "ledger/store/tests/joining.rs",
                "b7_an_offer_of_a_set_that_had_handed_over_is_known_beside_one_that_shows_it",
            ),
        ],
    },
    Shown {
        row: "R",
        promise: "validators join and leave under load, and whoever pins the genesis alone follows",
        tests: &[(
            "node/tests/nodes/hand_overs.rs",
            "g3_under_load_an_observer_joins_the_validators_one_of_them_leaves_and_nothing_acknowledged_is_lost",
        )],
    },
    Shown {
        row: "R",
        promise: "keys are rotated, and those that run and those that start go by the new ones",
        tests: &[
            ("node/tests/nodes/rotated_keys.rs", "rotated_keys_are_taken_up_by_those_that_run_and_by_those_that_start"),
            (
                "node/tests/nodes/rotated_keys.rs",
                "a_batch_that_waits_while_the_registration_key_is_rotated_is_confirmed_under_the_new_one",
            ),
            ("node/tests/nodes/hand_overs.rs", "g3_a_validator_that_left_comes_back_with_other_keys"),
        ],
    },
    Shown {
        row: "R",
        promise: "a node lets go of the history that nobody in it needs, and of nothing that was acknowledged",
        tests: &[(
            "node/tests/nodes/history.rs",
            "nodes_under_load_let_go_of_what_nobody_needs_and_of_nothing_that_was_acknowledged",
        )],
    },
    Shown {
        row: "R",
        promise: "programs are replaced one by one under load, the rules change at an ordered height, and one left old stops by name",
        tests: &[(
            "node/tests/nodes/rules.rs",
            "b13_under_load_programs_are_replaced_one_by_one_the_rules_change_and_one_left_old_stops_by_name_and_catches_up",
        )],
    },
    Shown {
        row: "V",
        promise: "a policy gives one verdict on every node, within its fuel",
        tests: &[
            (
                "contracts/vm/tests/bytecode.rs",
                "every_single_byte_of_a_program_changed_is_refused_or_runs_within_its_fuel",
            ),
            (
                "contracts/vm/tests/differential.rs",
                "the_machine_agrees_with_a_naive_walk_over_a_million_random_programs",
            ),
        ],
    },
];

/// What nobody should believe to be shown.
const NOT_COVERED: &[&str] = &[
    "P7 lies to the process's calls of libc, above a file system that is whole: a drive whose own cache loses blocks of the file system's \
     journal is not tried, nor more than one node with such a disk, nor a bank with payments of its own over one",
    "N3 and N4 delay TCP connections in a relay of user space, as long as each stands: opening one takes no longer, and no packet is \
     lost or overtaken",
    "P6: a wrong clock of a bank with payments of its own, of registration or of the central bank",
    "P4 in every file: each damage is of a file drawn by the seed",
    "P4: a rotten desk of a bank with payments under way",
    "K: keys that an observer holds and never opens; canaries in core dumps",
    "N2: its payers wait for each other, so it measures delay more than throughput. N3 to N5 and B are compared on one machine of two \
     processors with the payers on it, where a validator that is dead or slow leaves its processor time to the others",
    "B under load on real processes: a proposer that gives some other parts than others, or withholds them, and votes withheld from some. \
     The simulator plays them in one thread (consensus/sim/src/byzantine); B3 and B4 lie above the shipped engine, which sends what it \
     sends to all. Blocks beyond the largest size, and bundles that are acked and not served",
    "B2: a twin of a bank with payments of its own, of the central bank or of registration",
    "R: a node from nothing at 10⁷ records, or past a peer that withholds pieces",
    "R: what a bank's desk promised or received after its backup was made; a backup of registration's and issuance's databases",
    "D over HTTP while other faults run",
];

/// Writes the page beside `folder`, which is node/faults.
pub fn write(folder: &Path) -> Result<(), String> {
    let path = folder.join("../STRENGTH.md");
    std::fs::write(&path, page(folder)?).map_err(|error| format!("{}: {error}", path.display()))
}

fn page(folder: &Path) -> Result<String, String> {
    let runs = record::read(&folder.join("runs.tsv"))?;
    let mut page = String::from(
        "# What is shown, by which test, how often so far, and what is not\n\n\
         Made by `scripts/faults --page` from `node/faults/runs.tsv` and the other logs; not written by hand. A run of a row is \
         `scripts/faults ROW`, again with the same choices by `--seed`, for hours by `--soak`. *Acknowledged* is a commit \
         certificate and the path to the envelope's accepted verdict, both verified by the client and kept in a journal outside \
         the faulted disk. Every run ends healed: all nodes at one hash, every validator voting, every acknowledged envelope at \
         every node, every payment confirmed, supply and wallets as before, no evidence of two signatures for one place, and a \
         paid coin proved through the observer. Where a row makes a participant sign twice (B2), the evidence names it and nobody \
         else, and each piece is proved from the genesis.\n\n## Real faults on real processes\n",
    );
    for row in ROWS {
        row_of_faults(&mut page, row, &runs);
    }
    page.push_str("\n## Tests that run with every change\n\n| row | promise | tests |\n|---|---|---|\n");
    for Shown { row, promise, tests } in SHOWN {
        let tests: Vec<String> = tests.iter().map(|(file, name)| format!("`{file}` {name}")).collect();
        let _ = writeln!(page, "| {row} | {promise} | {} |", tests.join("<br>"));
    }
    page.push_str("\n## Speed\n\n");
    speed::page(&mut page, folder)?;
    page.push_str("\n## Seeded bugs\n\n");
    seeded_bugs(&mut page, &seeded::read(&folder.join("seeded.tsv"))?);
    page.push_str(
        "\n## Fuzzing\n\nIn continuous integration: each committed input of each target and 2,000 neighbours of each, without \
         coverage (`node/fuzz/tests/replay.rs`), and each target for a minute with it (`scripts/fuzz --beside`). Recorded runs \
         of `scripts/fuzz`:\n\n",
    );
    fuzzing(&mut page, &folder.join("../fuzz/runs.tsv"));
    page.push_str("\n## The simulator\n\n");
    simulator(&mut page, &folder.join("../../consensus/sim/runs.jsonl"));
    page.push_str("\n## Not covered\n\n");
    for what in NOT_COVERED {
        let _ = writeln!(page, "- {what}.");
    }
    for row in ROWS.iter().filter(|row| !runs.iter().any(|run| run.row == row.name)) {
        let _ = writeln!(page, "- {}: it has a row and no recorded run.", row.name);
    }
    Ok(page)
}

fn listed(counts: &BTreeMap<String, u64>) -> String {
    let counts: Vec<String> =
        counts.iter().map(|(name, count)| format!("{} {count}", name.replace('_', " "))).collect();
    counts.join(", ")
}

/// What passed is counted together; every failure stands by itself, with its seed.
fn row_of_faults(page: &mut String, Row { name, promise, brief, whole, .. }: &Row, runs: &[Run]) {
    let brief = brief.unwrap_or("nothing");
    let _ = writeln!(page, "\n### {name}: {promise}\n\nIn continuous integration: {brief}. A run by itself: {whole}.");
    let of_row: Vec<&Run> = runs.iter().filter(|run| run.row == *name).collect();
    let passed: Vec<&Run> = of_row.iter().copied().filter(|run| run.passed()).collect();
    if let Some(last) = of_row.last() {
        let counts = total(passed.iter().copied());
        let _ = writeln!(
            page,
            "\n- Runs that passed: {}. Together: {} (of times and percentages the worst).",
            passed.len(),
            listed(&counts)
        );
        let Run { date, commit, tier, seed, counts, outcome, .. } = last;
        let _ = writeln!(page, "- Last run: {date}, commit {commit}, {tier}, seed {seed}: {outcome}. {counts}");
        for (_, figure, bar) in AT_MOST.iter().filter(|(row, ..)| row == name) {
            let Some(seen) = counts.get(figure) else { continue };
            let verdict = if seen <= *bar { "holds" } else { "**missed**" };
            let _ =
                writeln!(page, "- Bar: {} at most {bar}; {seen} in the last run: {verdict}.", figure.replace('_', " "));
        }
    }
    for Run { date, commit, seed, outcome, .. } in of_row.iter().filter(|run| !run.passed()) {
        let _ = writeln!(page, "- {date}, commit {commit}, seed {seed}: {outcome}.");
    }
}

/// Every bug with its last run.
fn seeded_bugs(page: &mut String, runs: &[seeded::Caught]) {
    let last = |bug: &Seeded| runs.iter().rev().find(|run| run.bug == bug.name);
    let caught = SEEDED.iter().filter(|bug| last(bug).is_some_and(seeded::Caught::is_caught)).count();
    let _ = writeln!(
        page,
        "Each is put into a copy of the tree, and what is named must fail by an assertion within 5 minutes; without the bug it \
         passes (`scripts/faults MUT`, on demand). Caught: {caught} of {}. The simulator has others of its own, around the \
         shipped code, and finds each of them with every change (`consensus/sim/tests/simulation.rs` each_seeded_bug_is_found; \
         below those that were recorded).\n\n| bug | what the code then does | caught by | s | last run |\n|---|---|---|---|---|",
        SEEDED.len()
    );
    for bug in SEEDED {
        let (seconds, run) = match last(bug) {
            None => ("–".to_owned(), "none".to_owned()),
            Some(run) => {
                let outcome = if run.is_caught() { "caught" } else { &run.outcome };
                (run.seconds.to_string(), format!("{}, commit {}: {outcome}", run.date, run.commit))
            }
        };
        let Seeded { name, what, caught_by, .. } = bug;
        let _ = writeln!(page, "| {name} | {what} | {caught_by} | {seconds} | {} |", run.replace('|', "/"));
    }
}

/// Its log is `date commit target seconds inputs edges outcome`.
fn fuzzing(page: &mut String, log: &Path) {
    let Ok(text) = std::fs::read_to_string(log) else {
        page.push_str("There is no log of `scripts/fuzz --record` yet.\n");
        return;
    };
    let mut targets: BTreeMap<&str, (u64, u64, String)> = BTreeMap::new();
    for line in text.lines() {
        let fields: Vec<&str> = line.split('\t').collect();
        let [date, commit, target, _, inputs, _, outcome] = fields[..] else { continue };
        let (runs, so_far, last) = targets.entry(target).or_default();
        *runs += 1;
        *so_far += inputs.parse::<u64>().unwrap_or_default();
        *last = format!("{date}, commit {commit}: {outcome}");
    }
    page.push_str("| target | runs | inputs so far | last run |\n|---|---|---|---|\n");
    for (target, (runs, inputs, last)) in targets {
        let _ = writeln!(page, "| {target} | {runs} | {inputs} | {last} |");
    }
}

/// Its log has one JSON document a run: `date`, `commit`, `kind`, `bug` (a seeded one, or null), `from`, `to`, `outcome`, `counts`.
fn simulator(page: &mut String, log: &Path) {
    let Ok(text) = std::fs::read_to_string(log) else {
        page.push_str("There is no log of it yet.\n");
        return;
    };
    page.push_str("| kind | numbers | seeded bug | run | outcome |\n|---|---|---|---|---|\n");
    for run in text.lines().filter_map(|line| serde_json::from_str::<serde_json::Value>(line).ok()) {
        let said = |name: &str| match &run[name] {
            serde_json::Value::Null => "none".to_owned(),
            serde_json::Value::String(text) => text.clone(),
            other => other.to_string(),
        };
        let [kind, from, to, bug] = ["kind", "from", "to", "bug"].map(said);
        let [date, commit, outcome] = ["date", "commit", "outcome"].map(said);
        let _ = writeln!(page, "| {kind} | {from} to {to} | {bug} | {date}, commit {commit} | {outcome} |");
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_test_that_the_page_names_stands_where_it_says() {
        let root = Path::new(env!("CARGO_MANIFEST_DIR")).join("../..");
        for (file, name) in SHOWN.iter().flat_map(|shown| shown.tests) {
            let text = std::fs::read_to_string(root.join(file)).unwrap_or_else(|error| panic!("{file}: {error}"));
            assert!(text.contains(&format!("fn {name}(")), "{file} has no test {name}");
        }
    }

    #[test]
    fn a_page_counts_what_passed_and_hides_no_failure() {
        let folder = tempfile::tempdir().unwrap();
        let line = |seed: u64, faults: u64, outcome: &str| {
            format!("2026-11-27\tc{seed}\tP1\tci\t{seed}\tfaults={faults} rejoin_max_ms={faults}\t{outcome}\n")
        };
        let log = [line(1, 30, "passed"), line(2, 7, "failed: bank2 is gone"), line(3, 40, "passed")].concat();
        std::fs::write(folder.path().join("runs.tsv"), log).unwrap();
        let page = page(folder.path()).unwrap();
        assert!(page.contains("Runs that passed: 2. Together: faults 70, rejoin max ms 40"), "{page}");
        assert!(page.contains("Last run: 2026-11-27, commit c3, ci, seed 3: passed."), "{page}");
        assert!(page.contains("- 2026-11-27, commit c2, seed 2: failed: bank2 is gone."), "{page}");
        assert!(!page.contains("- Bar:"), "{page}");
        assert!(page.contains("- N1: it has a row and no recorded run."), "{page}");
        assert!(page.contains("Caught: 0 of"), "{page}");
        let log = ["caught: a == b", "missed: it passes"].map(|outcome| {
            format!("2026-11-27\tc\tMapOrder\t2\t`golden.rs` x\t{outcome}\n2026-11-27\tc\tHintReused\t1\t`h.rs` y\tcaught: z\n")
        });
        std::fs::write(folder.path().join("seeded.tsv"), log.concat()).unwrap();
        let page = super::page(folder.path()).unwrap();
        assert!(page.contains("Caught: 1 of"), "the last run counts: {page}");
        assert!(page.contains("| 2 | 2026-11-27, commit c: missed: it passes |"), "{page}");
        let slow = "2026-11-27\tc\tP1\tci\t1\trejoin_p99_ms=10001\tpassed\n";
        std::fs::write(folder.path().join("runs.tsv"), slow).unwrap();
        let page = super::page(folder.path()).unwrap();
        assert!(page.contains("- Bar: rejoin p99 ms at most 10000; 10001 in the last run: **missed**."), "{page}");
        std::fs::write(folder.path().join("runs.tsv"), "P1 passed\n").unwrap();
        assert!(super::page(folder.path()).unwrap_err().contains("runs.tsv:1"));
    }
}
