//! The locale files are complete: no key is missing, unused or untranslated.

use std::collections::{BTreeMap, BTreeSet};
use std::path::Path;

type Texts = BTreeMap<String, String>;

const ROOT: &str = env!("CARGO_MANIFEST_DIR");
/// The same in both languages.
const ALIKE: &[&str] = &["home.of", "api.status_code"];
/// Keys that code puts together; each is asked for by every number or name that there is.
const PUT_TOGETHER: &[&str] = &[
    "js.",
    "reason.",
    "check.",
    "code.",
    "role.",
    "standing.",
    "hit.",
    "who.",
    "miss.",
    "coin.",
    "diagnostic.",
    "finding.",
    "replay.",
    "deny.",
    "try.example.",
    "try.history.",
    "try.source.",
    "try.field.",
    "try.hint.",
];

fn texts(language: &str) -> Texts {
    let text = std::fs::read_to_string(format!("{ROOT}/locales/{language}.json")).unwrap();
    serde_json::from_str(&text).unwrap()
}

fn sources() -> String {
    let mut all = String::new();
    let mut folders = vec![Path::new(ROOT).join("src"), Path::new(ROOT).join("templates")];
    while let Some(folder) = folders.pop() {
        for entry in std::fs::read_dir(folder).unwrap() {
            let path = entry.unwrap().path();
            if path.is_dir() {
                folders.push(path);
            } else {
                all.push_str(&std::fs::read_to_string(path).unwrap());
            }
        }
    }
    all
}

fn has_chinese(text: &str) -> bool {
    text.chars().any(|c| ('\u{4e00}'..='\u{9fff}').contains(&c))
}

/// `{0}`, `{signers}`
fn values(text: &str) -> BTreeSet<&str> {
    text.split('{').skip(1).filter_map(|part| Some(part.split_once('}')?.0)).collect()
}

#[test]
fn both_languages_have_the_same_keys_in_order_once_each_and_the_same_values_in_them() {
    let (english, chinese) = (texts("en"), texts("zh"));
    let keys = |texts: &Texts| texts.keys().cloned().collect::<Vec<_>>();
    assert_eq!(keys(&english), keys(&chinese));
    for (key, text) in &english {
        assert_eq!(values(text), values(&chinese[key]), "{key}");
    }
    for language in ["en", "zh"] {
        let raw = std::fs::read_to_string(format!("{ROOT}/locales/{language}.json")).unwrap();
        let lines = raw.lines().filter(|line| line.trim_start().starts_with('"')).count();
        assert_eq!(lines, english.len(), "a key stands twice in {language}.json");
    }
}

#[test]
fn every_text_is_translated() {
    let (english, chinese) = (texts("en"), texts("zh"));
    for (key, text) in &chinese {
        let is_alike = ALIKE.contains(&key.as_str());
        assert!(is_alike || has_chinese(text) || text == "、", "{key}: {text}");
        assert!(is_alike || *text != english[key], "{key}: {text}");
        assert!(!has_chinese(&english[key]), "{key}: {}", english[key]);
        // Chinese has its own punctuation; ASCII's stays between figures and in code.
        for mark in [", ", "; ", "? ", "! "] {
            assert!(!text.contains(mark), "{key}: {text}");
        }
    }
}

#[test]
fn every_key_in_a_template_or_in_code_exists_and_every_key_is_used() {
    let (english, sources) = (texts("en"), sources());
    for key in english.keys() {
        let is_named = sources.contains(&format!("\"{key}\""));
        assert!(is_named || PUT_TOGETHER.iter().any(|start| key.starts_with(start)), "{key} is used nowhere");
    }
    let first_words: BTreeSet<&str> = english.keys().filter_map(|key| Some(key.split_once('.')?.0)).collect();
    for quoted in sources.split('"').filter(|text| text.len() < 60) {
        let Some((word, rest)) = quoted.split_once('.') else { continue };
        let is_key = first_words.contains(word)
            && !rest.is_empty()
            && rest.chars().all(|c| c.is_ascii_alphanumeric() || c == '_' || c == '.');
        // File names and prefixes.
        let is_other = ["html", "json", "txt", "bin", "css", "js"].contains(&rest);
        assert!(!is_key || is_other || english.contains_key(quoted), "{quoted} is in no locale file");
    }
}

#[test]
fn every_number_and_name_that_a_key_is_put_together_from_has_its_text() {
    let english = texts("en");
    let mut expected: BTreeSet<String> = BTreeSet::new();
    for reason in ledger_verify::Reason::ALL {
        expected.extend([format!("reason.{}", reason.number()), format!("reason.{}.name", reason.number())]);
    }
    for failure in ["power", "omitted"] {
        expected.extend([format!("reason.{failure}"), format!("reason.{failure}.name")]);
    }
    expected.extend((1..=17).map(|check| format!("check.{check}")));
    let bundle_keys = std::fs::read_to_string(format!("{ROOT}/web/src/page/text_keys.ts")).unwrap();
    let listed = bundle_keys.lines().filter_map(|line| line.trim().strip_prefix('"')?.strip_suffix("\","));
    expected.extend(listed.map(|key| format!("js.{key}")));
    for status in ["live", "spent", "frozen", "disputed", "absent"] {
        expected.extend([format!("coin.{status}"), format!("coin.{status}_text")]);
    }
    // LANGUAGE.md, D, A and E-3; B is of the back-test.
    expected.extend((1..=29).map(|number| format!("diagnostic.{number}")));
    expected.extend((1..=8).map(|number| format!("finding.{number}")));
    expected.extend((1..=11).map(|number| format!("deny.{number}")));
    expected.insert("deny.no_sector".into());
    expected.extend(contracts_backtest::REFUSALS.map(|(number, ..)| format!("replay.{number}")));
    for key in &expected {
        assert!(english.contains_key(key), "{key}");
    }
    for start in ["reason.", "check.", "js.", "diagnostic.", "finding.", "deny.", "replay."] {
        for key in english.keys().filter(|key| key.starts_with(start)) {
            assert!(expected.contains(key), "{key} belongs to nothing");
        }
    }
}
