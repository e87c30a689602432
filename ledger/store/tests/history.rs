//! Heights below the floor go, whole and for good; state, proofs and what follows the floor stay.

use crate::common;

use std::collections::BTreeMap;
use std::fs;
use std::io::{BufRead, BufReader, Write};
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::sync::Arc;

use common::bed::{BANK2, Bed, preissue};
use common::{StoredChain, copy_folder};
use ledger_store::{AckGuard, Audit, BLOCKS, HistoryPruned, Losses, Memory, Store, StoreOptions};
use ledger_types::bundle::Bundle;
use ledger_types::rules::RULES_KNOWN;
use ledger_types::{EnvelopeId, Height};

const PAID: u64 = 30;
const TIP: u64 = 180;

/// Some four payments a bundle file.
const SMALL_FILES: StoreOptions =
    StoreOptions { memory: Memory::SMALL, segment_bytes: 4_000, losses: Losses::Refuse, rules_known: RULES_KNOWN };

struct History {
    chain: StoredChain,
    /// By height.
    bundles: BTreeMap<u64, Arc<Bundle>>,
}

fn bed() -> Bed {
    Bed::with_preissues(vec![preissue(BANK2, PAID as u32 + 1)])
}

impl History {
    /// A payment in each of the first heights, and then none.
    fn new() -> Self {
        let mut chain = StoredChain::of(bed());
        reopen(&mut chain);
        let mut bundles = BTreeMap::new();
        for height in 1..=PAID {
            let bundle = chain.payment_bundle(height as usize - 1);
            if height % 3 == 1 {
                // Another in the same slot, which no block will ever hold.
                let other = chain.payment_bundle(height as usize - 1);
                chain.store().bundles().put(&[other]).unwrap();
            }
            assert_eq!(chain.block(std::slice::from_ref(&bundle)).applied.results[0].code, 0);
            bundles.insert(height, bundle);
            chain.store().collect_bundles().unwrap();
        }
        while chain.bed.ledger.height < Height(TIP) {
            chain.empty_block();
        }
        History { chain, bundles }
    }

    fn store(&self) -> &Store {
        self.chain.store()
    }

    /// Everything that the store says about its history is what happened from this height on, and nothing before.
    #[track_caller]
    fn is_held_from(&self, store: &Store, first: u64) {
        let readers = store.readers();
        let snapshot = readers.snapshot().unwrap();
        assert_eq!(snapshot.first_height().unwrap(), Height(first));
        for height in 1..=TIP {
            let is_held = height >= first;
            assert_eq!(store.results(Height(height)).unwrap().is_some(), is_held, "results of height {height}");
            let block_stays = height + BLOCKS >= first;
            let block = snapshot.block(Height(height)).unwrap();
            assert_eq!(block.is_some(), block_stays, "block {height}");
            assert_eq!(snapshot.certificate(Height(height)).unwrap().is_some(), block_stays, "certificate {height}");
            if let Some(block) = block {
                let hash = block.hash(&store.rules().chain);
                assert_eq!(snapshot.height_of_block(&hash).unwrap(), Some(Height(height)));
            }
            let Some(bundle) = self.bundles.get(&height) else { continue };
            let envelope: &EnvelopeId = bundle.ids().first().unwrap();
            let ordered = snapshot.envelope(envelope).unwrap();
            assert_eq!(ordered.map(|ordered| ordered.height.0), is_held.then_some(height), "envelope of {height}");
            let stored = store.bundles().get(&bundle.digest()).unwrap();
            assert_eq!(stored.as_ref(), Some(bundle).filter(|_| is_held), "bundle of {height}");
            assert_eq!(snapshot.height_of_bundle(&bundle.digest()).unwrap().is_some(), is_held);
        }
        assert_eq!(store.bundles().unordered().unwrap(), Vec::<Arc<Bundle>>::new());
        assert_eq!(snapshot.tip().ledger, self.chain.bed.ledger);
        common::agrees(&snapshot, &self.chain.bed);
        let mut audit = Audit::default();
        while !audit.step(&readers).unwrap() {}
    }
}

fn reopen(chain: &mut StoredChain) {
    chain.store = None;
    chain.store = Some(open(chain, &chain.path()));
}

fn open(chain: &StoredChain, path: &Path) -> Store {
    let genesis = (*chain.bed.rules.genesis).clone();
    Store::open(path, genesis, SMALL_FILES, chain.guard_of(path)).unwrap_or_else(|error| panic!("{error}"))
}

fn prune(store: &Store, floor: u64, rows_max: usize) -> Height {
    loop {
        let HistoryPruned { first_height, done } = store.prune_history(Height(floor), rows_max).unwrap();
        if done {
            return first_height;
        }
    }
}

fn bundle_files(ledger: &Path) -> BTreeMap<PathBuf, u64> {
    let files = fs::read_dir(ledger.join("bundles")).unwrap().map(|entry| entry.unwrap());
    files.map(|file| (file.path(), file.metadata().unwrap().len())).collect()
}

#[test]
fn heights_below_the_floor_are_gone_and_state_proofs_and_later_heights_stay() {
    let mut history = History::new();
    let before: u64 = bundle_files(&history.chain.path()).values().sum();
    history.is_held_from(history.store(), 1);
    assert_eq!(prune(history.store(), 20, usize::MAX), Height(20));
    history.is_held_from(history.store(), 20);
    let after: u64 = bundle_files(&history.chain.path()).values().sum();
    assert!(after < before * 3 / 4, "{after} of {before} bytes of bundles are left");
    reopen(&mut history.chain);
    history.is_held_from(history.store(), 20);

    assert_eq!(prune(history.store(), 160, usize::MAX), Height(160));
    history.is_held_from(history.store(), 160);
    // A lower floor brings nothing back.
    assert_eq!(prune(history.store(), 20, usize::MAX), Height(160));
    let left = bundle_files(&history.chain.path());
    assert_eq!(left.values().collect::<Vec<_>>(), [&96], "a file that is empty but for its head");
    reopen(&mut history.chain);
    history.is_held_from(history.store(), 160);
    // What is executed now gives the same roots as in memory, where nothing was deleted.
    history.chain.payment(PAID as usize);
    history.chain.agrees_with_memory();
}

#[test]
fn the_tip_stays_whatever_the_floor() {
    let mut history = History::new();
    assert_eq!(prune(history.store(), u64::MAX, usize::MAX), Height(TIP));
    history.is_held_from(history.store(), TIP);
    reopen(&mut history.chain);
    history.is_held_from(history.store(), TIP);
}

#[test]
fn a_prune_in_small_steps_is_whole_after_each_and_goes_on_after_a_kill() {
    let history = History::new();
    let (mut steps, mut files) = (0, bundle_files(&history.chain.path()).len());
    loop {
        let HistoryPruned { first_height, done } = history.store().prune_history(Height(150), 8).unwrap();
        history.is_held_from(history.store(), first_height.0);
        let left = bundle_files(&history.chain.path()).len();
        assert!(left + 1 >= files, "a step deletes one file at most");
        files = left;
        let copy = history.chain.copy();
        let killed = open(&history.chain, &copy.path().join("ledger"));
        history.is_held_from(&killed, first_height.0);
        if done {
            break;
        }
        if steps % 8 == 0 {
            assert_eq!(prune(&killed, 150, usize::MAX), Height(150));
            history.is_held_from(&killed, 150);
            assert_eq!(bundle_files(&copy.path().join("ledger")).len(), 1);
        }
        steps += 1;
    }
    assert!(steps > 15, "{steps} steps");
}

fn newest_log_file(path: &Path) -> PathBuf {
    let files = fs::read_dir(path.join("state")).unwrap().map(|entry| entry.unwrap().path());
    files.filter(|file| file.extension().is_some_and(|extension| extension == "log")).max().unwrap()
}

#[test]
fn a_prune_whose_write_was_torn_anywhere_is_done_whole_or_not_at_all() {
    let history = History::new();
    let before = history.chain.copy();
    let before_bytes = fs::metadata(newest_log_file(&before.path().join("ledger"))).unwrap().len();
    // No bundle file is free yet: its row would be a write of its own.
    let first = history.store().prune_history(Height(3), usize::MAX).unwrap().first_height;
    assert_eq!(first, Height(3));
    let after = history.chain.copy();
    let after_bytes = fs::metadata(newest_log_file(&after.path().join("ledger"))).unwrap().len();
    assert_eq!(bundle_files(&before.path().join("ledger")).len(), bundle_files(&after.path().join("ledger")).len());
    let step = ((after_bytes - before_bytes) / 20).max(1) as usize;
    let mut found = BTreeMap::new();
    for cut in (before_bytes..after_bytes).step_by(step).chain([after_bytes]) {
        let torn = tempfile::tempdir().unwrap();
        let path = torn.path().join("ledger");
        copy_folder(&after.path().join("ledger"), &path);
        fs::OpenOptions::new().write(true).open(newest_log_file(&path)).unwrap().set_len(cut).unwrap();
        fs::copy(before.path().join("ledger/state/WITNESS"), path.join("state/WITNESS")).unwrap();
        let store = open(&history.chain, &path);
        let first = store.readers().snapshot().unwrap().first_height().unwrap();
        history.is_held_from(&store, first.0);
        *found.entry(first).or_insert(0) += 1;
        assert_eq!(prune(&store, 40, usize::MAX), Height(40));
        history.is_held_from(&store, 40);
    }
    assert_eq!(found.keys().copied().collect::<Vec<_>>(), [Height(1), Height(3)]);
}

#[test]
fn a_bundle_file_whose_row_went_before_a_crash_is_deleted_by_the_next_start() {
    let mut history = History::new();
    let before = history.chain.copy();
    prune(history.store(), 20, usize::MAX);
    let left = bundle_files(&history.chain.path());
    history.chain.store = None;
    // The rows are durable, and no deletion of a file is.
    for file in bundle_files(&before.path().join("ledger")).keys() {
        let back = history.chain.path().join("bundles").join(file.file_name().unwrap());
        if !back.exists() {
            fs::copy(file, back).unwrap();
        }
    }
    assert!(bundle_files(&history.chain.path()).len() > left.len());
    history.chain.store = Some(open(&history.chain, &history.chain.path()));
    assert_eq!(bundle_files(&history.chain.path()).keys().collect::<Vec<_>>(), left.keys().collect::<Vec<_>>());
    history.is_held_from(history.store(), 20);
}

#[test]
fn a_file_with_a_bundle_that_a_block_may_still_hold_stays() {
    let mut history = History::new();
    let chain = &mut history.chain;
    let path = chain.path();
    // All in one slot: a block may hold any of them, and then none of the others.
    let waiting: Vec<_> = (0..12).map(|_| chain.payment_bundle(PAID as usize)).collect();
    for bundle in &waiting {
        chain.store().bundles().put(std::slice::from_ref(bundle)).unwrap();
    }
    prune(chain.store(), TIP, usize::MAX);
    let stored = |store: &Store| {
        waiting.iter().filter(|bundle| store.bundles().get(&bundle.digest()).unwrap().as_ref() == Some(bundle)).count()
    };
    assert_eq!(stored(chain.store()), 12);
    let kept = bundle_files(&path).len();
    assert!(kept >= 3, "{kept} files");
    chain.block(&waiting[11..]);
    chain.store().collect_bundles().unwrap();
    assert_eq!(prune(chain.store(), TIP + 1, usize::MAX), Height(TIP + 1));
    assert_eq!(stored(chain.store()), 1);
    assert!(bundle_files(&path).len() <= 2);
    reopen(chain);
    assert_eq!(stored(chain.store()), 1);
}

#[test]
fn a_file_in_which_a_bundle_waits_holds_up_no_later_one() {
    let mut chain = StoredChain::of(bed());
    reopen(&mut chain);
    let waiting = chain.payment_bundle(0);
    chain.store().bundles().put(std::slice::from_ref(&waiting)).unwrap();
    for nth in 0..PAID as usize {
        // Nobody says meanwhile that its slot has closed.
        let bundle = chain.payment_bundle(nth);
        chain.block(&[bundle]);
    }
    let before = bundle_files(&chain.path());
    assert!(before.len() >= 7, "{} files", before.len());
    assert_eq!(prune(chain.store(), PAID, usize::MAX), Height(PAID));
    let after = bundle_files(&chain.path());
    assert!(after.len() <= 3, "{after:?}");
    assert_eq!(after.first_key_value(), before.first_key_value(), "the first, in which it waits");
    assert_eq!(chain.store().bundles().get(&waiting.digest()).unwrap(), Some(waiting));
    // A start forgets what no block can hold.
    reopen(&mut chain);
    prune(chain.store(), PAID, usize::MAX);
    assert!(bundle_files(&chain.path()).first_key_value() != before.first_key_value());
}

const CHILD: &str = "ASSAY_STORE_PRUNING_CHILD";
const FLOOR: u64 = 150;

/// A height a step; says what it has done, after it has done it.
fn child(path: &Path) -> ! {
    let (rules, mut out) = (bed().rules, std::io::stdout());
    let guard = AckGuard::open(&path.with_file_name("acks"), rules.chain.genesis_hash()).unwrap();
    let store = Store::open(path, (*rules.genesis).clone(), SMALL_FILES, Some(guard)).unwrap();
    loop {
        let HistoryPruned { first_height, done } = store.prune_history(Height(FLOOR), 1).unwrap();
        let said = writeln!(out, "pruned {first_height}").and_then(|()| out.flush());
        if said.is_err() || done {
            std::process::exit(0);
        }
    }
}

#[test]
fn a_process_killed_while_it_prunes_goes_on_at_the_next_start() {
    if let Some(path) = std::env::var_os(CHILD) {
        child(Path::new(&path));
    }
    let mut history = History::new();
    history.chain.store = None;
    let (path, mut kills) = (history.chain.path(), 0);
    loop {
        let mut process = Command::new(std::env::current_exe().unwrap())
            .args(["--exact", "history::a_process_killed_while_it_prunes_goes_on_at_the_next_start", "--nocapture"])
            .env(CHILD, &path)
            .stdout(Stdio::piped())
            .spawn()
            .unwrap();
        // Killed after some lines, at a moment that the scheduler picks; then what it had said before it died is read.
        let mut lines = BufReader::new(process.stdout.take().unwrap()).lines().map_while(Result::ok);
        let mut said: Vec<String> = Vec::new();
        while said.len() < 5 + kills % 7 {
            let Some(line) = lines.next() else { break };
            said.extend(line.strip_prefix("pruned ").map(str::to_owned));
        }
        process.kill().unwrap();
        said.extend(lines.filter_map(|line| line.strip_prefix("pruned ").map(str::to_owned)));
        process.wait().unwrap();
        kills += 1;

        let store = open(&history.chain, &path);
        let first = store.readers().snapshot().unwrap().first_height().unwrap();
        let said = said.last().map_or(1, |height| height.parse::<u64>().unwrap());
        assert!(first >= Height(said), "kill {kills}");
        history.is_held_from(&store, first.0);
        if first == Height(FLOOR) {
            prune(&store, FLOOR, usize::MAX);
            assert_eq!(bundle_files(&path).len(), 1);
            break;
        }
    }
    assert!(kills >= 5, "{kills} kills");
}
