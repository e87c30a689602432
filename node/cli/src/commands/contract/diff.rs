//! `assay contract diff`: what the new version of a policy does that the old one did not.

use super::{Lang, PolicyFile};
use crate::outcome::{Failure, Outcome};
use serde_json::{Value, json};
use similar::{ChangeTag, TextDiff};

#[derive(clap::Args)]
pub struct Diff {
    /// The old policy.
    old: std::path::PathBuf,
    /// The new one.
    new: std::path::PathBuf,
    /// Language of what is said in words.
    #[arg(long, value_enum, default_value_t = Lang::En)]
    lang: Lang,
}

impl Diff {
    pub fn run(self) -> Result<Outcome, Failure> {
        let old = PolicyFile { path: self.old }.checked()?.policy;
        let new = PolicyFile { path: self.new }.checked()?.policy;
        let language = self.lang.into();
        let parts = [
            ("words", old.explain(language), new.explain(language)),
            ("policy", old.canonical(), new.canonical()),
            ("bytecode", old.compile().disassemble(), new.compile().disassemble()),
        ];
        let mut data = json!({ "same": old == new });
        let mut text = Vec::new();
        for (part, old, new) in &parts {
            let lines = changed(old, new);
            let drawn: Vec<String> = lines.iter().map(|(sign, line)| format!("{sign} {line}")).collect();
            data[*part] =
                lines.into_iter().map(|(sign, line)| json!({ "sign": sign, "line": line })).collect::<Value>();
            if !drawn.is_empty() {
                text.push(format!("{part}\n{}", drawn.join("\n")));
            }
        }
        if old == new {
            text = vec!["the same policy, however it is written".to_owned()];
        }
        let outcome = Outcome::new(data, text.join("\n\n"));
        if old != new && old.name == new.name && old.version >= new.version {
            let warning =
                format!("the new policy has version {}, which does not supersede {}", new.version, old.version);
            return Ok(outcome.with_warning(warning));
        }
        Ok(outcome)
    }
}

/// Lines that one of them has alone, in order, with `-` of the old and `+` of the new.
fn changed(old: &str, new: &str) -> Vec<(&'static str, String)> {
    // Where an instruction stands changes with every line before it, and says nothing.
    TextDiff::from_lines(&without_places(old), &without_places(new))
        .iter_all_changes()
        .filter_map(|change| {
            let sign = match change.tag() {
                ChangeTag::Delete => "-",
                ChangeTag::Insert => "+",
                ChangeTag::Equal => return None,
            };
            let line = change.value().trim();
            (!line.is_empty()).then(|| (sign, line.to_owned()))
        })
        .collect()
}

fn without_places(text: &str) -> String {
    let place = |line: &str| {
        let digits = line.trim_start();
        let rest = digits.trim_start_matches(|c: char| c.is_ascii_digit());
        // Only assembly indents its numbers; an explanation's numbered lines stand at the margin.
        if digits.len() < line.len() && rest.len() < digits.len() && rest.starts_with("  ") {
            rest.trim_start().to_owned()
        } else {
            line.to_owned()
        }
    };
    text.lines().map(|line| place(line) + "\n").collect()
}
