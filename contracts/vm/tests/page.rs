//! LANGUAGE.md and the code name each other: every numbered rule is cited where it is enforced, and no number is cited that
//! no rule has.

use std::collections::BTreeSet;
use std::path::Path;

const PAGE: &str = include_str!("../../LANGUAGE.md");
/// Letters of the page's chapters of numbered rules. D and A have texts of their own (`diagnostics.rs`).
const CHAPTERS: &str = "GTRECPVDA";

type Rule = (char, u16);

/// `- R-4 …` at the beginning of a line.
fn rules() -> BTreeSet<Rule> {
    PAGE.lines().filter_map(|line| cited(line.strip_prefix("- ")?).into_iter().next()).collect()
}

/// Every `R-4` of a text that stands for itself; `T-2 to T-7` is all six.
fn cited(text: &str) -> Vec<Rule> {
    let mut found: Vec<Rule> = Vec::new();
    let words = text.split(|c: char| !(c.is_ascii_alphanumeric() || c == '-')).filter(|word| !word.is_empty());
    let rule = |word: &str| -> Option<Rule> {
        let (letter, number) = word.split_once('-')?;
        let [letter] = letter.chars().collect::<Vec<_>>()[..] else { return None };
        CHAPTERS.contains(letter).then_some((letter, number.parse().ok()?))
    };
    let mut is_run = false;
    for word in words {
        let Some((letter, number)) = rule(word) else {
            is_run = word == "to" && !found.is_empty();
            continue;
        };
        match found.last() {
            Some((first, from)) if is_run && *first == letter => {
                found.extend((from + 1..=number).map(|at| (letter, at)))
            }
            _ => found.push((letter, number)),
        }
        is_run = false;
    }
    found
}

/// Of all files under the folder.
fn cited_in(folder: &str) -> BTreeSet<Rule> {
    let mut found = BTreeSet::new();
    let mut folders = vec![Path::new(env!("CARGO_MANIFEST_DIR")).join(folder)];
    while let Some(folder) = folders.pop() {
        for entry in std::fs::read_dir(&folder).expect("it is there") {
            let path = entry.expect("it can be read").path();
            if path.is_dir() {
                folders.push(path);
            } else if path.extension().is_some_and(|extension| extension == "rs") {
                found.extend(cited(&std::fs::read_to_string(path).expect("it is UTF-8")));
            }
        }
    }
    found
}

#[test]
fn every_rule_of_the_language_is_cited_at_the_code_that_enforces_it() {
    let rules = rules();
    assert!(rules.len() > 80, "{rules:?}");
    // A diagnostic's number stands in its call: `every_number_of_the_language_has_a_text_here` compares those.
    let in_code: BTreeSet<Rule> =
        &cited_in("src") | &rules.iter().copied().filter(|(letter, _)| *letter == 'D').collect();
    assert_eq!(rules.difference(&in_code).collect::<Vec<_>>(), Vec::<&Rule>::new(), "cited nowhere");
}

#[test]
fn no_number_is_cited_that_the_page_has_no_rule_of() {
    let cited = &cited_in("src") | &cited_in("tests");
    assert_eq!(cited.difference(&rules()).collect::<Vec<_>>(), Vec::<&Rule>::new(), "no such rule");
}
