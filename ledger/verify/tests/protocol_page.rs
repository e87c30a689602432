//! PROTOCOL.md says what the code does: every refusal's number and code, every domain tag, every vector file.

use ledger_types::Tag;
use ledger_types::rejection::Rejection;
use ledger_verify::Reason;

const PAGE: &str = include_str!("../../PROTOCOL.md");

/// The part of the page under the heading that starts so, up to the next heading of any level.
fn section(heading: &str) -> &'static str {
    let at = PAGE.find(heading).unwrap_or_else(|| panic!("no heading {heading}"));
    let body = &PAGE[at + heading.len()..];
    &body[..body.find("\n#").unwrap_or(body.len())]
}

/// (number, code) of every pair of table cells `| 7 | `code` |`.
fn rows(section: &str) -> Vec<(u16, String)> {
    let lines = section.lines().filter(|line| line.starts_with('|'));
    let mut rows: Vec<(u16, String)> = lines
        .flat_map(|line| {
            let cells: Vec<&str> = line.split('|').map(str::trim).collect();
            let pairs: Vec<_> =
                cells.windows(2).filter_map(|pair| Some((pair[0].parse().ok()?, code(pair[1])?))).collect();
            pairs
        })
        .collect();
    rows.sort();
    rows
}

fn code(cell: &str) -> Option<String> {
    Some(cell.strip_prefix('`')?.strip_suffix('`')?.to_owned())
}

/// Declarations `Name = 7, "code"` of a source file: those of a package above this one are read, not linked.
fn declared(source: &str) -> Vec<(u16, String)> {
    let mut declared: Vec<(u16, String)> = source
        .lines()
        .filter_map(|line| {
            let (_, rest) = line.trim().split_once(" = ")?;
            let (number, rest) = rest.split_once(", \"")?;
            Some((number.parse().ok()?, rest.split_once('"')?.0.to_owned()))
        })
        .collect();
    declared.sort();
    declared
}

#[test]
fn every_rejection_stands_on_the_page_with_its_finality() {
    let rejections: Vec<(u16, String)> = Rejection::ALL.iter().map(|r| (r.number(), r.code().to_owned())).collect();
    assert_eq!(rows(section("### 11.1 ")), rejections);
    for rejection in Rejection::ALL {
        let final_or_open = if rejection.is_final() { "final" } else { "open" };
        let row = format!("| {} | `{}` | {final_or_open} |", rejection.number(), rejection.code());
        assert!(PAGE.contains(&row), "{row}");
    }
}

#[test]
fn every_block_refusal_and_payment_rule_stands_on_the_page() {
    let refusals = declared(include_str!("../../state/src/refusal.rs"));
    assert!(refusals.len() > 10, "the declarations are found");
    assert_eq!(rows(section("### 11.2 ")), refusals);
    let rules = declared(include_str!("../../state/src/payment/rule.rs"));
    assert!(rules.len() > 10, "the declarations are found");
    assert_eq!(rows(section("## 7 ")), rules);
}

#[test]
fn every_reason_of_a_verifier_stands_on_the_page() {
    let reasons: Vec<(u16, String)> = Reason::ALL.iter().map(|r| (r.number(), r.code().to_owned())).collect();
    assert!(reasons.is_sorted(), "reasons are declared in the order of their numbers");
    assert_eq!(rows(section("### 11.4 ")), reasons);
}

#[test]
fn every_domain_tag_stands_on_the_page_and_no_other() {
    let mut on_page: Vec<String> = section("## 2 ")
        .lines()
        .filter(|line| line.starts_with('|'))
        .flat_map(|line| line.split('`').skip(1).step_by(2))
        .map(|tag| format!("assay {tag} v1"))
        .collect();
    on_page.sort();
    let mut tags: Vec<&str> = Tag::ALL.iter().map(|tag| tag.context()).collect();
    tags.sort_unstable();
    assert_eq!(on_page, tags);
}

#[test]
fn every_vector_file_stands_on_the_page() {
    let folder = concat!(env!("CARGO_MANIFEST_DIR"), "/../vectors");
    let files = std::fs::read_dir(folder).expect("the vectors stand beside the page");
    let mut files: Vec<String> = files
        .map(|file| file.expect("readable").file_name().into_string().expect("ASCII names"))
        .filter_map(|name| Some(name.strip_suffix(".json")?.to_owned()))
        .collect();
    files.sort();
    let mut listed: Vec<String> =
        section("## 14 ").lines().filter_map(|line| code(line.strip_prefix("| ")?.split(" |").next()?)).collect();
    listed.sort();
    assert_eq!(listed, files);
}
