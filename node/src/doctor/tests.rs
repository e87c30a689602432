//! Each file of a bank, damaged in turn: the check that names it does, and nothing else does.

use super::*;
use crate::cluster_init::ClusterPlan;
use std::fs::{self, Permissions};
use std::os::unix::fs::PermissionsExt;
use std::path::PathBuf;

/// A cluster that has never run, but for the ledger of its second participant.
struct Bank {
    _folder: tempfile::TempDir,
    config: PathBuf,
    home: PathBuf,
}

impl Bank {
    fn new() -> Self {
        let folder = tempfile::tempdir().unwrap();
        let plan = ClusterPlan { base_port: 18_700, subnet: 77, ..ClusterPlan::small(folder.path()) };
        plan.init().unwrap();
        let home = plan.folder.join("bank2");
        let bank = Bank { _folder: folder, config: home.join("node.toml"), home };
        let config = Config::read(&bank.config).unwrap();
        let genesis = read_genesis(&config).unwrap();
        fs::create_dir_all(&config.state).unwrap();
        drop(Store::open(&bank.ledger(), genesis, StoreOptions::default(), None).unwrap());
        bank
    }

    fn ledger(&self) -> PathBuf {
        self.home.join("state/ledger")
    }

    fn findings(&self) -> Vec<Finding> {
        let findings = examine(&self.config, true).findings;
        findings.into_iter().filter(|finding| finding.verdict != Verdict::Fine).collect()
    }

    /// One thing is wrong, it is this, and something is to be done.
    fn names(&self, check: &str, verdict: Verdict, word: &str) {
        let findings = self.findings();
        let [finding] = &findings[..] else { panic!("{check}, {word}: {findings:?}") };
        assert_eq!((finding.check, finding.verdict), (check, verdict), "{finding:?}");
        assert!(finding.what.contains(word) && !finding.action.is_empty(), "{word}: {finding:?}");
    }
}

#[test]
fn a_whole_bank_is_fine_and_every_check_was_made() {
    let bank = Bank::new();
    let report = examine(&bank.config, true);
    assert_eq!(report.worst(), Verdict::Fine, "{:?}", report.findings);
    let mut checks: Vec<_> = report.findings.iter().map(|finding| finding.check).collect();
    checks.sort_unstable();
    let all = [
        "addresses",
        "clock",
        "configuration",
        "disk",
        "engine_log",
        "genesis",
        "guards",
        "history",
        "keys",
        "ledger",
        "rules",
        "snapshots",
        "stored_bytes",
    ];
    assert_eq!(checks, all);
}

#[test]
fn a_lost_or_damaged_guard_is_told_from_each_other() {
    let bank = Bank::new();
    let guard = bank.home.join("keys/votes.guard");
    let whole = fs::read(&guard).unwrap();
    fs::remove_file(&guard).unwrap();
    bank.names("guards", Verdict::Attention, "does not vote");
    fs::write(&guard, &whole[..10]).unwrap();
    bank.names("guards", Verdict::Broken, "votes.guard");
}

#[test]
fn a_key_that_others_can_read_or_that_is_another_is_named() {
    let bank = Bank::new();
    let key = bank.home.join("keys/consensus.pem");
    let whole = fs::read(&key).unwrap();
    fs::set_permissions(&key, Permissions::from_mode(0o644)).unwrap();
    bank.names("keys", Verdict::Broken, "consensus.pem");
    fs::set_permissions(&key, Permissions::from_mode(0o600)).unwrap();
    let bundle = bank.home.join("keys/bundle.pem");
    let whole_bundle = fs::read(&bundle).unwrap();
    fs::copy(&key, &bundle).unwrap();
    bank.names("keys", Verdict::Broken, "key_differs");
    fs::write(&bundle, whole_bundle).unwrap();
    // The guard of votes was made with it.
    fs::copy(&bundle, &key).unwrap();
    let named: Vec<_> = bank.findings().iter().map(|finding| (finding.check, finding.verdict)).collect();
    assert_eq!(named, [("guards", Verdict::Broken), ("keys", Verdict::Broken)]);
    fs::write(&key, whole).unwrap();
    assert!(bank.findings().is_empty());
    fs::remove_file(bank.home.join("passphrase")).unwrap();
    bank.names("keys", Verdict::Broken, "passphrase");
}

#[test]
fn a_ledger_that_lost_its_rows_is_absent_or_in_use_is_told_apart() {
    let bank = Bank::new();
    let config = Config::read(&bank.config).unwrap();
    let open = Store::open(&bank.ledger(), read_genesis(&config).unwrap(), StoreOptions::default(), None).unwrap();
    bank.names("ledger", Verdict::Attention, "in use");
    drop(open);
    let rows = walk(&bank.ledger());
    let manifest =
        rows.iter().find(|path| path.file_name().unwrap().to_str().unwrap().starts_with("MANIFEST")).unwrap();
    fs::write(manifest, b"").unwrap();
    let findings = bank.findings();
    assert!(matches!(&findings[..], [one] if one.check == "ledger" && one.verdict == Verdict::Broken), "{findings:?}");
    fs::remove_dir_all(bank.ledger()).unwrap();
    bank.names("ledger", Verdict::Attention, "does not exist");
    assert!(!bank.ledger().exists(), "nothing is created");
}

#[test]
fn another_genesis_a_torn_log_and_a_taken_address_are_named() {
    let bank = Bank::new();
    let log = bank.home.join("state/engine").join(consensus::engine::WAL_FILE);
    fs::create_dir_all(log.parent().unwrap()).unwrap();
    fs::write(&log, b"torn").unwrap();
    bank.names("engine_log", Verdict::Attention, "no readable head");
    fs::remove_file(&log).unwrap();
    let copy = bank.home.join("state/copy");
    fs::create_dir(&copy).unwrap();
    bank.names("disk", Verdict::Attention, "broke off");
    fs::remove_dir(&copy).unwrap();
    let config = Config::read(&bank.config).unwrap();
    let listener = TcpListener::bind(config.http.unwrap().listen).unwrap();
    bank.names("addresses", Verdict::Attention, "taken");
    drop(listener);
    let mut genesis = fs::read(&config.genesis).unwrap();
    genesis.truncate(40);
    fs::write(&config.genesis, genesis).unwrap();
    bank.names("genesis", Verdict::Broken, "genesis");
    fs::write(&bank.config, "role = 7").unwrap();
    bank.names("configuration", Verdict::Broken, "node.toml");
}

fn walk(folder: &Path) -> Vec<PathBuf> {
    let mut files = Vec::new();
    for entry in fs::read_dir(folder).unwrap() {
        let path = entry.unwrap().path();
        if path.is_dir() { files.extend(walk(&path)) } else { files.push(path) }
    }
    files
}
