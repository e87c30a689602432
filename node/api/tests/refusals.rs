//! Every code by which the programs refuse stands in the one table that `assay explain` reads.

use node_api::refusals::REFUSALS;
use std::collections::BTreeSet;
use std::path::{Path, PathBuf};

/// What takes a code: the two documents' constructors, and what the programs have made of them.
const TAKE_A_CODE: [&str; 11] = [
    "Problem::new",
    "LinkRefusal::new",
    "bad_body",
    "bad_request",
    "problem",
    "refuse",
    "refused",
    "too_large",
    "unavailable",
    "unprocessable",
    "status_and_code",
];

/// Constructors whose code is a variable: the bodies of what stands in [`TAKE_A_CODE`]. `refused` of an error of reconciliation has
/// its code from a tuple.
const PASS_A_CODE_ON: [(&str, usize); 9] = [
    ("node/src/http/desk.rs", 1),
    ("node/src/http/reconciliation.rs", 1),
    ("node/src/http/refusal.rs", 3),
    ("node/src/http/submit.rs", 1),
    ("node/src/role/commercial_bank/accept.rs", 1),
    ("node/src/role/commercial_bank/reconciling.rs", 1),
    ("node/src/role/commercial_bank/service.rs", 1),
    ("node/src/role/registration/reconciling.rs", 1),
    ("query-site/src/http/refusal.rs", 1),
];

fn root() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("../..").canonicalize().unwrap()
}

fn sources(folder: &Path, found: &mut Vec<PathBuf>) {
    for entry in std::fs::read_dir(folder).unwrap() {
        let path = entry.unwrap().path();
        let name = path.file_name().unwrap().to_str().unwrap();
        match path.is_dir() {
            true if name != "tests" => sources(&path, found),
            false if name.ends_with(".rs") && name != "tests.rs" => found.push(path),
            _ => {}
        }
    }
}

/// Without comments and unit tests.
fn code_of(path: &Path) -> String {
    let text = std::fs::read_to_string(path).unwrap();
    let text = text.split("#[cfg(test)]\nmod tests {").next().unwrap();
    let lines = text.lines().filter(|line| !line.trim_start().starts_with("//"));
    lines.collect::<Vec<_>>().join("\n")
}

/// `"code"` at the beginning, after a status at most.
fn literal(arguments: &str) -> Option<&str> {
    let rest = arguments.trim_start();
    let after_status = rest.trim_start_matches(|c: char| c.is_ascii_digit());
    let rest = match after_status.len() < rest.len() {
        true => after_status.trim_start().strip_prefix(',')?.trim_start(),
        false => rest,
    };
    let code = rest.strip_prefix('"')?.split('"').next()?;
    is_code(code).then_some(code)
}

fn is_code(text: &str) -> bool {
    !text.is_empty() && text.bytes().all(|byte| byte.is_ascii_lowercase() || byte == b'_')
}

/// What follows each call of `name`.
fn calls<'a>(code: &'a str, name: &'a str) -> impl Iterator<Item = &'a str> {
    code.match_indices(name).filter_map(move |(at, _)| {
        let is_whole = !code[..at].ends_with(|c: char| c.is_ascii_alphanumeric() || c == '_');
        code[at + name.len()..].strip_prefix('(').filter(|_| is_whole)
    })
}

#[test]
fn every_code_by_which_a_program_refuses_has_its_meaning_and_no_other_has() {
    let (mut used, mut passed_on) = (BTreeSet::new(), Vec::new());
    let mut files = Vec::new();
    for folder in ["node/src", "query-site/src"] {
        sources(&root().join(folder), &mut files);
    }
    files.sort();
    for file in &files {
        let code = code_of(file);
        for name in TAKE_A_CODE {
            used.extend(calls(&code, name).filter_map(literal).map(str::to_owned));
        }
        // (422, "bad_reason")
        for (at, _) in code.match_indices('(') {
            let arguments = &code[at + 1..];
            let is_status = arguments.starts_with(['4', '5']) && arguments.get(3..6) == Some(", \"");
            used.extend(literal(arguments).filter(|_| is_status).map(str::to_owned));
        }
        let constructors = ["Problem::new", "LinkRefusal::new"].iter().flat_map(|name| calls(&code, name));
        let variable = constructors.filter(|arguments| literal(arguments).is_none()).count();
        if variable > 0 {
            passed_on.push((file.strip_prefix(root()).unwrap().to_str().unwrap().to_owned(), variable));
        }
    }
    let passed_on: Vec<(&str, usize)> = passed_on.iter().map(|(file, count)| (&**file, *count)).collect();
    assert_eq!(passed_on, PASS_A_CODE_ON, "what takes a code as a variable stands in TAKE_A_CODE");
    let known: BTreeSet<String> = REFUSALS.iter().map(|meaning| meaning.code.to_owned()).collect();
    assert_eq!(used.difference(&known).collect::<Vec<_>>(), Vec::<&String>::new(), "these have no meaning");
    assert_eq!(known.difference(&used).collect::<Vec<_>>(), Vec::<&String>::new(), "by these nobody refuses");
    assert_eq!(known.len(), REFUSALS.len(), "each code stands there once");
}

#[test]
fn every_refusal_says_a_cause_and_what_mends_it_in_a_line_each() {
    for meaning in REFUSALS {
        assert!(is_code(meaning.code), "{meaning:?}");
        for text in [meaning.cause, meaning.mend] {
            assert!((5..=120).contains(&text.len()) && !text.ends_with('.') && !text.contains('\n'), "{meaning:?}");
        }
    }
}
