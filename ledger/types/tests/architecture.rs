//! Who may import whom. The table below is the architecture; when a package does not earn its wall, change the table.
//!
//! ```text
//!  6  outside      assay-fuzz ▶ whatever decodes or verifies; it is not shipped
//!  5  programs     node ──────▶ consensus, contracts-vm, ledger-store, ledger-state, ledger-seal, ledger-verify, node-api, http-server
//!                  assay-site ▶ node-api, http-server, ledger-verify, contracts-vm, contracts-backtest
//!                  consensus-sim ▶ consensus, ledger-state (tests alone: nobody imports it)
//!                  assay ─────▶ node-api, contracts-vm, contracts-backtest, ledger-verify, ledger-seal, ledger-state
//!  4  adapters     consensus, ledger-store ▶ ledger-state, ledger-tree, node-api ▶ ledger-tree, http-server
//!  3  rules        ledger-state ▶ ledger-tree, contracts-vm, ledger-verify ▶ ledger-tree, ledger-seal
//!  2  structures   ledger-tree, contracts-backtest ▶ contracts-vm
//!  1  vocabulary   ledger-types, contracts-vm
//! ```
//! Above all programs stands what is not shipped: assay-faults ▶ node, consensus, ledger-store, ledger-verify, node-api.
//! An edge only ever leads down. What a package tests itself with (dev-dependencies) is its own affair.

use serde_json::Value;
use std::collections::BTreeSet;
use std::path::{Path, PathBuf};
use std::process::Command;

struct Package {
    name: &'static str,
    folder: &'static str,
    level: u8,
    /// Of our own packages.
    may_import: &'static [&'static str],
}

const PACKAGES: &[Package] = &[
    Package { name: "ledger-types", folder: "ledger/types", level: 1, may_import: &[] },
    Package { name: "contracts-vm", folder: "contracts/vm", level: 1, may_import: &[] },
    Package { name: "ledger-tree", folder: "ledger/tree", level: 2, may_import: &["ledger-types"] },
    Package { name: "contracts-backtest", folder: "contracts/backtest", level: 2, may_import: &["contracts-vm"] },
    Package { name: "ledger-seal", folder: "ledger/seal", level: 3, may_import: &["ledger-types"] },
    Package {
        name: "ledger-state",
        folder: "ledger/state",
        level: 3,
        may_import: &["ledger-types", "ledger-tree", "contracts-vm"],
    },
    Package { name: "ledger-verify", folder: "ledger/verify", level: 3, may_import: &["ledger-types", "ledger-tree"] },
    Package { name: "consensus", folder: "consensus", level: 4, may_import: &["ledger-types"] },
    Package {
        name: "consensus-sim",
        folder: "consensus/sim",
        level: 5,
        // contracts-vm: what a snapshot has to answer.
        may_import: &["consensus", "contracts-vm", "ledger-state", "ledger-tree", "ledger-types"],
    },
    Package {
        name: "ledger-store",
        folder: "ledger/store",
        level: 4,
        may_import: &["ledger-types", "ledger-tree", "ledger-state"],
    },
    Package { name: "node-api", folder: "node/api", level: 4, may_import: &["ledger-types", "ledger-tree"] },
    Package { name: "http-server", folder: "node/http-server", level: 4, may_import: &[] },
    Package {
        name: "node",
        folder: "node",
        level: 5,
        may_import: &[
            "contracts-vm",
            "ledger-types",
            "ledger-tree",
            "ledger-seal",
            "ledger-state",
            "ledger-store",
            "ledger-verify",
            "consensus",
            "node-api",
            "http-server",
        ],
    },
    Package {
        name: "assay-faults",
        folder: "node/faults",
        level: 6,
        may_import: &["ledger-types", "ledger-store", "ledger-verify", "consensus", "node-api", "node"],
    },
    Package {
        name: "assay-site",
        folder: "query-site",
        level: 5,
        may_import: &[
            "ledger-types",
            "ledger-tree",
            "ledger-verify",
            "contracts-vm",
            "contracts-backtest",
            "node-api",
            "http-server",
        ],
    },
    Package {
        name: "assay",
        folder: "node/cli",
        level: 5,
        // ledger-state: the names of its numbered refusals.
        may_import: &[
            "ledger-types",
            "ledger-tree",
            "ledger-seal",
            "ledger-state",
            "ledger-verify",
            "contracts-vm",
            "contracts-backtest",
            "node-api",
        ],
    },
    Package {
        name: "assay-fuzz",
        folder: "node/fuzz",
        level: 6,
        may_import: &[
            "ledger-types",
            "ledger-tree",
            "ledger-seal",
            "ledger-state",
            "ledger-store",
            "ledger-verify",
            "contracts-vm",
            "contracts-backtest",
            "consensus",
            "node-api",
            "node",
            "assay-site",
        ],
    },
];

/// A crate from outside that not everybody may name, and why.
struct Wall {
    /// `*` at the end stands for any rest of the name.
    crates: &'static [&'static str],
    only: &'static [&'static str],
    why: &'static str,
}

const WALLS: &[Wall] = &[
    Wall {
        crates: &["rocksdb", "librocksdb-sys"],
        only: &["ledger-store"],
        why: "one package decides what is durable",
    },
    Wall {
        crates: &["arc-malachitebft-*"],
        // Its messages' codec is a target like any other, and the simulator drives its core by hand.
        only: &["consensus", "assay-fuzz", "consensus-sim"],
        why: "the engine can be replaced behind its port",
    },
    Wall {
        crates: &["libp2p*"],
        // Bank links are streams of a swarm of the node's own.
        only: &["consensus", "node"],
        why: "the ledger's rules and the clients know no peers",
    },
    Wall {
        crates: &["tokio*", "futures*", "mio"],
        only: &["consensus", "consensus-sim", "http-server", "node", "node-api", "assay-site", "assay", "assay-faults"],
        why: "rules and storage are plain functions, the same in a test, a node and a light client",
    },
    Wall {
        crates: &["axum", "hyper*", "tower*", "reqwest"],
        only: &["http-server", "node", "node-api", "assay-site", "assay"],
        why: "neither consensus nor the ledger speaks HTTP",
    },
    Wall { crates: &["hyper*"], only: &["http-server"], why: "node and site accept connections by one loop" },
    Wall {
        crates: &["rand", "getrandom"],
        // A store makes the keys of its own checksums.
        only: &["consensus", "consensus-sim", "ledger-store", "node", "assay-site", "assay", "assay-faults"],
        why: "the ledger is deterministic, and sealing takes its randomness as an argument",
    },
    Wall {
        crates: &["plotters*"],
        // The command line draws what a bench measured.
        only: &["contracts-backtest", "assay"],
        why: "a chart has floats",
    },
    Wall { crates: &["csv"], only: &["contracts-backtest"], why: "no validator reads a table" },
    Wall { crates: &["jmt"], only: &["ledger-tree"], why: "the map's writer can be replaced" },
    Wall { crates: &["hpke"], only: &["ledger-seal"], why: "one package decides who can read an envelope" },
];

/// Packages that must not reach these crates over any path, with all features that they switch on.
const PURE: &[&str] = &["ledger-types", "contracts-vm", "ledger-tree", "ledger-seal", "ledger-state", "ledger-verify"];
const OUT_OF_REACH: &[&str] = &[
    "tokio*",
    "mio",
    "socket2",
    "rocksdb",
    "librocksdb-sys",
    "libp2p*",
    "arc-malachitebft-*",
    "hyper*",
    "rand",
    "getrandom",
];

fn matches(pattern: &str, name: &str) -> bool {
    pattern.strip_suffix('*').map_or(pattern == name, |start| name.starts_with(start))
}

fn any_matches(patterns: &[&str], name: &str) -> bool {
    patterns.iter().any(|pattern| matches(pattern, name))
}

fn root() -> PathBuf {
    [env!("CARGO_MANIFEST_DIR"), "..", ".."].iter().collect::<PathBuf>().canonicalize().expect("the workspace exists")
}

fn cargo(arguments: &[&str]) -> String {
    let output = Command::new(env!("CARGO")).current_dir(root()).args(arguments).output().expect("cargo starts");
    let errors = String::from_utf8_lossy(&output.stderr);
    assert!(output.status.success(), "cargo {arguments:?}: {errors}\nDoes `cargo fetch --locked` help?");
    String::from_utf8(output.stdout).expect("cargo writes UTF-8")
}

struct Member {
    name: String,
    manifest: PathBuf,
    metadata: Value,
    /// Normal and build dependencies, by the name of the package that they name.
    imports: BTreeSet<String>,
}

fn members() -> Vec<Member> {
    let metadata: Value =
        serde_json::from_str(&cargo(&["metadata", "--offline", "--no-deps", "--format-version", "1"])).expect("JSON");
    let packages = metadata["packages"].as_array().expect("a list of packages");
    packages.iter().map(|package| member(package.clone())).collect()
}

fn member(metadata: Value) -> Member {
    let dependencies = metadata["dependencies"].as_array().expect("a list of dependencies");
    Member {
        name: metadata["name"].as_str().expect("a name").to_owned(),
        manifest: metadata["manifest_path"].as_str().expect("a path").into(),
        imports: dependencies
            .iter()
            .filter(|dependency| dependency["kind"] != "dev")
            .map(|dependency| dependency["name"].as_str().expect("a name").to_owned())
            .collect(),
        metadata,
    }
}

fn row(name: &str) -> Option<&'static Package> {
    PACKAGES.iter().find(|package| package.name == name)
}

#[test]
fn every_package_stands_in_the_table_at_its_folder() {
    for member in members() {
        let row = row(&member.name).unwrap_or_else(|| panic!("{} has no row in the table", member.name));
        assert_eq!(member.manifest, root().join(row.folder).join("Cargo.toml"), "{}", member.name);
    }
}

#[test]
fn the_tables_own_edges_only_lead_down() {
    for package in PACKAGES {
        for import in package.may_import {
            let below = row(import).unwrap_or_else(|| panic!("{import} has no row in the table"));
            assert!(below.level < package.level, "{} may import {import}, which is not below it", package.name);
        }
    }
}

#[test]
fn a_package_imports_only_what_the_table_allows() {
    let members = members();
    let ours: BTreeSet<&str> = members.iter().map(|member| member.name.as_str()).collect();
    for member in &members {
        let allowed = row(&member.name).map_or(&[][..], |row| row.may_import);
        for import in member.imports.iter().filter(|import| ours.contains(import.as_str())) {
            assert!(allowed.contains(&import.as_str()), "{} must not import {import}", member.name);
        }
    }
}

#[test]
fn outside_crates_stay_behind_their_walls() {
    for member in members() {
        for wall in WALLS {
            let found: Vec<_> = member.imports.iter().filter(|import| any_matches(wall.crates, import)).collect();
            let allowed = wall.only.contains(&member.name.as_str());
            assert!(allowed || found.is_empty(), "{} must not import {found:?}: {}", member.name, wall.why);
        }
    }
}

/// A wall is no wall if another package passes the crate through, or if a dependency switches it on.
#[test]
fn the_rules_reach_no_network_no_storage_and_no_randomness_over_any_path() {
    let members = members();
    for member in members.iter().filter(|member| PURE.contains(&member.name.as_str())) {
        let tree = cargo(&[
            "tree",
            "--offline",
            "--locked",
            "--package",
            &member.name,
            "--edges",
            "normal,build",
            "--prefix",
            "none",
            "--format",
            "{p}",
        ]);
        let reached: BTreeSet<&str> = tree.lines().filter_map(|line| line.split_whitespace().next()).collect();
        assert!(reached.contains(member.name.as_str()), "the tree of {} is not what is read here: {tree}", member.name);
        let bad: Vec<_> = reached.into_iter().filter(|name| any_matches(OUT_OF_REACH, name)).collect();
        assert!(bad.is_empty(), "{} reaches {bad:?}", member.name);
    }
}

/// Words that need the world: clocks, randomness, files and threads belong to the edge.
const OF_THE_WORLD: &[&str] =
    &["SystemTime", "Instant", "rand", "getrandom", "OsRng", "thread", "env", "fs", "net", "process"];
/// Words that make two honest nodes disagree: hash maps have an order of their own in every process, floats round as the
/// platform likes.
const OF_NO_ORDER: &[&str] = &["HashMap", "HashSet", "hash_map", "hash_set", "f32", "f64"];
const DETERMINISTIC: &[&str] =
    &["ledger/types/src", "ledger/tree/src", "ledger/state/src", "ledger/verify/src", "contracts/vm/src"];
/// Sealing takes randomness and time as arguments. Nobody has to agree with its tables, so they may be hash maps.
const TAKES_THE_WORLD_AS_AN_ARGUMENT: &[&str] = &["ledger/seal/src"];

/// A file's code: neither comments nor the tests at its end.
fn code(text: &str) -> impl Iterator<Item = (usize, &str)> {
    let lines = text.lines().take_while(|line| line.trim() != "#[cfg(test)]").enumerate();
    lines.map(|(at, line)| (at + 1, line.split("//").next().unwrap_or_default()))
}

fn rust_files(folder: &Path) -> Vec<PathBuf> {
    let (mut folders, mut files) = (vec![folder.to_owned()], Vec::new());
    while let Some(folder) = folders.pop() {
        for entry in std::fs::read_dir(&folder).into_iter().flatten() {
            let path = entry.expect("the folder can be read").path();
            if path.is_dir() {
                folders.push(path);
            } else if path.extension().is_some_and(|extension| extension == "rs") {
                files.push(path);
            }
        }
    }
    files
}

#[test]
fn the_transition_has_no_clock_no_randomness_no_float_and_no_hash_order() {
    for folder in DETERMINISTIC {
        let read = files_without(folder, &[OF_THE_WORLD, OF_NO_ORDER].concat());
        assert!(read > 0, "nothing was read in {folder}");
    }
}

#[test]
fn sealing_has_no_clock_no_file_no_network_and_no_randomness_of_its_own() {
    for folder in TAKES_THE_WORLD_AS_AN_ARGUMENT {
        assert!(files_without(folder, OF_THE_WORLD) > 0, "nothing was read in {folder}");
    }
}

/// How many files of a folder were read; panics at the first that says one of the words.
fn files_without(folder: &str, words: &[&str]) -> usize {
    let files = rust_files(&root().join(folder));
    // `mod tests` of a file of its own is no code either.
    let files: Vec<_> = files.into_iter().filter(|path| !path.to_string_lossy().ends_with("_tests.rs")).collect();
    for path in &files {
        let text = std::fs::read_to_string(path).expect("a source file is UTF-8");
        for (line, code) in code(&text) {
            let mut said = code.split(|c: char| !c.is_alphanumeric() && c != '_');
            let bad = said.find(|word| words.contains(word));
            assert!(bad.is_none(), "{}:{line}: {}", path.display(), bad.unwrap_or_default());
        }
    }
    files.len()
}

#[test]
fn every_package_takes_the_workspaces_lints_licence_and_edition() {
    for member in members() {
        let manifest = std::fs::read_to_string(&member.manifest).expect("the manifest can be read");
        assert!(manifest.contains("[lints]\nworkspace = true"), "{} does not take the workspace's lints", member.name);
        assert_eq!(member.metadata["license"], "Apache-2.0", "{}", member.name);
        assert_eq!(member.metadata["edition"], "2024", "{}", member.name);
        assert_eq!(member.metadata["publish"], Value::Array(Vec::new()), "{} is not published", member.name);
    }
}

#[test]
fn the_top_level_holds_only_the_given_names() {
    const GIVEN: &[&str] = &[
        "Cargo.toml",
        "Cargo.lock",
        "node",
        "consensus",
        "ledger",
        "query-site",
        "contracts",
        "config",
        "scripts",
        "README.md",
        "LICENSE",
    ];
    let ignored = std::fs::read_to_string(root().join(".gitignore")).expect(".gitignore exists");
    let ignored: BTreeSet<&str> = ignored.lines().filter_map(|line| line.strip_prefix('/')).collect();
    for entry in std::fs::read_dir(root()).expect("the root can be read") {
        let name = entry.expect("the root can be read").file_name().into_string().expect("names are ASCII");
        let is_given = name.starts_with('.') || GIVEN.contains(&name.as_str()) || ignored.contains(name.as_str());
        assert!(is_given, "{name} does not belong at the top level");
    }
}
