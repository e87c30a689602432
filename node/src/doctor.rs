//! Looks at a process's files as its start would, and says of each what is wrong and what to do. It signs nothing, sends nothing and
//! creates nothing; a store is opened as a start opens it, so the process must stand still to have its store looked at.
//!
//! One check failing keeps no other from being made, unless it rests on what failed.

use crate::backup;
use crate::clock::now_ms;
use crate::config::{Config, RoleName};
use crate::guards::{self, Guards};
use crate::keys::{KeyFolder, passphrase, read_secret_file};
use crate::own_keys::{self, OwnKeys, ValidatorKeys};
use crate::start::read_genesis;
use consensus::engine::wal::Wal;
use ledger_store::{Audit, KeptSnapshot, OpenError, Store, StoreOptions};
use ledger_types::genesis::Genesis;
use ledger_types::keys::PublicKey;
use ledger_types::participant::{Directory, Participant, ValidatorSet};
use ledger_types::rules::RULES_KNOWN;
use ledger_types::{Height, ParticipantNumber, RulesVersion};
use serde::Serialize;
use std::net::{SocketAddr, TcpListener};
use std::path::Path;
use std::sync::Arc;

/// A validator writes about a gigabyte for each million payments; below this there is no time left to react.
const FREE_BYTES_MIN: u64 = 2 << 30;
/// B-5 withholds votes from blocks whose time is further off.
const CLOCK_OFF_MAX_MS: u64 = 2_000;

#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum Verdict {
    Fine,
    /// The process starts and does less than it should.
    Attention,
    /// The process does not start, or must not.
    Broken,
}

#[derive(Clone, Debug, Serialize)]
pub struct Finding {
    /// `configuration`, `genesis`, `keys`, `guards`, `engine_log`, `ledger`, `rules`, `history`, `snapshots`, `stored_bytes`, `addresses`, `disk`, `clock`.
    pub check: &'static str,
    pub verdict: Verdict,
    pub what: String,
    /// What an operator does; empty if nothing.
    #[serde(rename = "do")]
    pub action: String,
}

#[derive(Debug, Default)]
pub struct Report {
    pub findings: Vec<Finding>,
}

impl Report {
    pub fn worst(&self) -> Verdict {
        let verdicts = self.findings.iter().map(|finding| finding.verdict);
        verdicts.max_by_key(|verdict| *verdict as u8).unwrap_or(Verdict::Fine)
    }

    fn fine(&mut self, check: &'static str, what: impl Into<String>) {
        self.findings.push(Finding { check, verdict: Verdict::Fine, what: what.into(), action: String::new() });
    }

    fn attention(&mut self, check: &'static str, what: impl Into<String>, action: impl Into<String>) {
        let (what, action) = (what.into(), action.into());
        self.findings.push(Finding { check, verdict: Verdict::Attention, what, action });
    }

    fn broken(&mut self, check: &'static str, what: impl Into<String>, action: impl Into<String>) {
        let (what, action) = (what.into(), action.into());
        self.findings.push(Finding { check, verdict: Verdict::Broken, what, action });
    }
}

/// `deep` computes log and map anew from the stored bytes: minutes for ten million coins.
pub fn examine(path: &Path, deep: bool) -> Report {
    let mut report = Report::default();
    let config = match Config::read(path) {
        Ok(config) => config,
        Err(error) => {
            report.broken("configuration", error.to_string(), "mend the file; every other check rests on it");
            return report;
        }
    };
    report.fine("configuration", format!("participant {} as {}", config.participant, config.role.as_str()));
    disk(&config, &mut report);
    copy_left(&config, &mut report);
    let runs = addresses(&config, &mut report);

    let genesis = match read_genesis(&config) {
        Ok(genesis) => genesis,
        Err(error) => {
            report.broken("genesis", error.to_string(), "put back the document that every participant pinned");
            return report;
        }
    };
    let Some(participant) = genesis.directory.get(config.me()).cloned() else {
        let what = format!("participant {} is not in the genesis' directory", config.participant);
        report.broken("genesis", what, "name this process's own number in the configuration, or the right genesis");
        return report;
    };
    report.fine("genesis", format!("{} is participant {}", genesis.chain().genesis_hash(), participant.number));

    let keys = secrets(&config, &mut report);
    let is_node = !matches!(config.role, RoleName::Registration | RoleName::ConfirmationIssuance);
    if !is_node {
        let what = "the books of registration and of confirmation issuance are not looked at here";
        report.fine("ledger", format!("{what}: `assay reconcile` compares them with the banks'"));
        return report;
    }
    if runs {
        return report;
    }
    // Of a key that cannot be read, which is told below, the guard is that of the genesis's as a rule.
    let consensus = keys.as_ref().and_then(|keys| keys.signing_key("consensus").ok());
    let consensus = consensus.map_or(participant.keys.consensus, |key| key.public_key());
    let guards = guards_of(&config, &participant, consensus, &genesis, &mut report);
    engine_log(&config, &mut report);
    let tip = ledger(&config, &genesis, guards, deep, &mut report);
    if let Some(keys) = keys {
        let of_genesis = || Named {
            directory: Arc::new(genesis.directory.clone()),
            deciding: Arc::new(genesis.directory.validators()),
            height: Height(0),
        };
        key_files(&config, &keys, &genesis, &tip.unwrap_or_else(of_genesis), &mut report);
    }
    report
}

/// Whether the process runs: then its guards, its log and its ledger are locked, and it says of itself how it is.
fn addresses(config: &Config, report: &mut Report) -> bool {
    let Some(http) = &config.http else { return false };
    let mut runs = false;
    match TcpListener::bind(http.listen) {
        Ok(_) => report.fine("addresses", format!("{} is free: the process does not run", http.listen)),
        Err(error) if error.kind() == std::io::ErrorKind::AddrInUse => {
            let what = format!("{} is taken: by this process if it runs, else by another", http.listen);
            let action =
                format!("curl http://{}/health; stop it to have its guards and its ledger looked at", http.listen);
            report.attention("addresses", what, action);
            runs = true;
        }
        Err(error) => {
            let what = format!("{} cannot be listened on: {error}", http.listen);
            report.broken("addresses", what, "name an address of this machine in [http]");
        }
    }
    if let Some(file) = &http.token_file
        && let Err(error) = read_secret_file(file)
    {
        report.broken("addresses", error.to_string(), "the desk answers nobody without it: restore the token, 0600");
    }
    if !http.listen.ip().is_loopback() {
        warn_of_open_address(http.listen, report);
    }
    runs
}

fn warn_of_open_address(listen: SocketAddr, report: &mut Report) {
    let what = format!("{listen} is no loopback address, and a node speaks HTTP without TLS");
    report.attention("addresses", what, "let a proxy end TLS before it, and let nobody else reach the address");
}

/// Free room where the state lies. The system's own `df` knows every file system.
fn disk(config: &Config, report: &mut Report) {
    let existing = config.state.ancestors().find(|folder| folder.exists()).unwrap_or(Path::new("/"));
    let output = std::process::Command::new("df").args(["--output=avail", "-B1"]).arg(existing).output();
    let free = output.ok().and_then(|output| {
        let text = String::from_utf8_lossy(&output.stdout).into_owned();
        text.lines().nth(1)?.trim().parse::<u64>().ok()
    });
    let (place, gibibytes) = (existing.display(), |bytes: u64| bytes as f64 / f64::from(1 << 30));
    match free {
        None => report.attention("disk", format!("df does not say how much is free at {place}"), "look by hand"),
        Some(free) if free < FREE_BYTES_MIN => {
            let what = format!("{:.1} GiB are free at {place}", gibibytes(free));
            report.broken("disk", what, "make room: a node that cannot write stops, and comes back when it can");
        }
        Some(free) => report.fine("disk", format!("{:.1} GiB are free at {place}", gibibytes(free))),
    }
}

/// It shares its files with the state, so nothing that the node deletes since gives its room back.
fn copy_left(config: &Config, report: &mut Report) {
    let place = backup::copy::place(&config.state);
    if place.exists() {
        let what = format!("{}: a backup is being made, or one that broke off has left its copy", place.display());
        report.attention(
            "disk",
            what,
            "if none is being made, delete it: it holds back room, and nothing else needs it",
        );
    }
}

fn secrets(config: &Config, report: &mut Report) -> Option<KeyFolder> {
    match passphrase(config.passphrase_file.as_deref()) {
        Ok(passphrase) => Some(KeyFolder::new(&config.keys, passphrase)),
        Err(error) => {
            report.broken("keys", error.to_string(), "restore the passphrase's file, 0600, or say ASSAY_PASSPHRASE");
            None
        }
    }
}

fn guards_of(
    config: &Config,
    participant: &Participant,
    consensus: PublicKey,
    genesis: &Genesis,
    report: &mut Report,
) -> Option<Guards> {
    let missing = guards::missing(&config.keys, participant);
    match guards::open(&config.keys, participant, consensus, genesis) {
        Err(fault) => {
            report.broken("guards", fault.to_string(), "as it says; and never restore a guard from a backup");
            None
        }
        Ok(guards) => {
            for (path, without_it) in &missing {
                let what = format!("{} is missing: this node {without_it}", path.display());
                let action = "be sure that the key signs nowhere else, then `assay-node guards renew --config FILE`";
                report.attention("guards", what, action);
            }
            if let Some(votes) = guards.votes.as_ref().filter(|guard| !guard.is_certain()) {
                let from = votes.votes_from_ms();
                let what = format!("the guard of votes was renewed: no vote before the ledger's time is {from} ms");
                report.attention(
                    "guards",
                    what,
                    "nothing: it votes when it has caught up; renew one validator at a time",
                );
            }
            if missing.is_empty() {
                report.fine("guards", "all that this participant's keys need are whole");
            }
            Some(guards)
        }
    }
}

fn engine_log(config: &Config, report: &mut Report) {
    let path = config.state.join("engine").join(consensus::engine::WAL_FILE);
    if !path.exists() {
        return report.fine("engine_log", "there is none yet: the node has decided nothing");
    }
    match Wal::open(&path) {
        Ok((_, recovered)) => match recovered.height {
            Some(height) => {
                report.fine("engine_log", format!("height {height}, {} records", recovered.records.len()));
            }
            None => {
                let what = format!("{} has no readable head", path.display());
                let action = "nothing: the node runs without a vote until the others have decided a height (B-9)";
                report.attention("engine_log", what, action);
            }
        },
        Err(error) => report.attention("engine_log", error.to_string(), "stop the node before you look at its files"),
    }
}

/// The directory and the height of the durable tip.
fn ledger(
    config: &Config,
    genesis: &Genesis,
    guards: Option<Guards>,
    deep: bool,
    report: &mut Report,
) -> Option<Named> {
    let folder = config.state.join("ledger");
    if !folder.exists() {
        let action =
            "nothing, if this node is new or its state was emptied on purpose: it fetches the ledger from the others";
        report.attention("ledger", format!("{} does not exist", folder.display()), action);
        return None;
    }
    let acks = guards.and_then(|guards| guards.acks);
    let store = match Store::open(&folder, genesis.clone(), StoreOptions::default(), acks) {
        Ok(store) => store,
        Err(error @ OpenError::InUse { .. }) => {
            report.attention(
                "ledger",
                error.to_string(),
                "another process has it open: never run two nodes on one folder",
            );
            return None;
        }
        Err(error) => {
            report.broken("ledger", error.to_string(), error.hint());
            return None;
        }
    };
    let tip = store.tip();
    let (height, time_ms) = (tip.ledger.height, tip.ledger.time_ms);
    report.fine("ledger", format!("height {height}, proved from its certificate; log and map have the roots it names"));
    let ahead = time_ms.saturating_sub(now_ms());
    match ahead > CLOCK_OFF_MAX_MS {
        true => {
            let what = format!("the last block is {} s in this machine's future", ahead / 1_000);
            report.broken(
                "clock",
                what,
                "set the clock from a time server: with it off, this node withholds its votes (B-5)",
            );
        }
        false => report.fine("clock", "not behind the last block"),
    }
    let known = config.rules_known.map_or(RULES_KNOWN, RulesVersion);
    match tip.ledger.rules_schedule.unknown_to(known) {
        Some(unknown) if unknown.from <= height.next() => {
            report.broken("rules", unknown.to_string(), "install the newer program; the data stay as they are");
        }
        Some(unknown) => {
            report.attention("rules", unknown.to_string(), "install the newer program before that height");
        }
        None => report.fine("rules", format!("version {} governs", tip.ledger.rules_schedule.at(height.next()))),
    }
    history(config, &store, report);
    snapshots(&store, report);
    if deep {
        stored_bytes(&store, report);
    }
    Some(Named { directory: tip.ledger.directory.clone(), deciding: tip.ledger.validators.set.clone(), height })
}

fn history(config: &Config, store: &Store, report: &mut Report) {
    let readers = store.readers();
    let kept = match config.history.kept_days {
        None => "all that comes is kept".to_owned(),
        Some(days) => format!("{days} days of it are kept"),
    };
    match readers.snapshot().and_then(|snapshot| snapshot.first_height()) {
        Ok(first) => report.fine("history", format!("blocks and envelopes are held from height {first} on; {kept}")),
        Err(error) => report.broken("history", error.to_string(), "look at the disk"),
    }
}

/// What this node serves to others that begin from nothing (B-7).
fn snapshots(store: &Store, report: &mut Report) {
    let held = || -> Result<Vec<String>, Box<dyn std::error::Error>> {
        let (readers, mut held) = (store.readers(), Vec::new());
        let snapshot = readers.snapshot()?;
        for KeptSnapshot { height, bytes } in store.kept_snapshots()? {
            let taken_ms = snapshot.header(height)?.map_or(0, |header| header.time_ms);
            held.push(format!("height {height} of {taken_ms} ms since 1970, {:.1} MB", bytes as f64 / 1e6));
        }
        Ok(held)
    };
    match held() {
        Ok(held) if held.is_empty() => report.fine("snapshots", "none is held: nodes that join get none from here"),
        Ok(held) => report.fine("snapshots", format!("held for nodes that join: {}", held.join("; "))),
        Err(error) => report.attention(
            "snapshots",
            error.to_string(),
            "look at the disk; nodes that join get their snapshot from others",
        ),
    }
}

fn stored_bytes(store: &Store, report: &mut Report) {
    let (mut audit, readers) = (Audit::default(), store.readers());
    loop {
        match audit.step(&readers) {
            Ok(true) => return report.fine("stored_bytes", "log and map, computed anew, are what is stored"),
            Ok(false) => {}
            Err(error) => {
                let action =
                    "replace the disk, move the state folder away (the keys stay) and start: the ledger comes anew";
                return report.broken("stored_bytes", error.to_string(), action);
            }
        }
    }
}

/// By which the keys of a height are judged.
struct Named {
    directory: Arc<Directory>,
    /// Of the height after it.
    deciding: Arc<ValidatorSet>,
    height: Height,
}

fn key_files(config: &Config, keys: &KeyFolder, genesis: &Genesis, named: &Named, report: &mut Report) {
    let me: ParticipantNumber = config.me();
    let Named { directory, deciding, height } = named;
    let Some(line) = directory.get(me) else { return };
    let mut refused = Vec::new();
    let mut note = |outcome: Result<(), own_keys::KeyRefused>| refused.extend(outcome.err());
    note(ValidatorKeys::of(keys, line, deciding, &config.returned_keys).map(drop));
    if let Some(central) = &line.central_bank {
        note(own_keys::log(keys, central, me).map(drop));
    }
    let changing = |own: Result<OwnKeys, own_keys::KeyRefused>| {
        own.and_then(|own| own.check(&genesis.directory, directory, *height, &config.returned_keys))
    };
    note(changing(OwnKeys::of_network(keys, me)));
    if matches!(config.role, RoleName::CentralBank | RoleName::CommercialBank) {
        note(changing(OwnKeys::of_desk(keys, me, line.is_central_bank(), genesis.kem_suite)));
    }
    if refused.is_empty() {
        report.fine("keys", format!("each opens, and is the one that the directory of height {height} names"));
    }
    for error in refused {
        report.broken(
            "keys",
            error.to_string(),
            "as it says; keys come from the key ceremony, never from another node",
        );
    }
}

#[cfg(test)]
mod tests;
