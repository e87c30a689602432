//! English and Chinese. All texts of all pages stand in `locales/`; no sentence is in a template or in code.
//!
//! `{0}`, `{1}` stand for values, so that each language orders them as it likes. Words in braces (`{signers}`) are for
//! the browser's own check and stay.

use std::collections::BTreeMap;
use std::sync::LazyLock;

#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Language {
    English,
    Chinese,
}

type Texts = BTreeMap<String, String>;

static ENGLISH: LazyLock<Texts> = LazyLock::new(|| parse(include_str!("../locales/en.json")));
static CHINESE: LazyLock<Texts> = LazyLock::new(|| parse(include_str!("../locales/zh.json")));

fn parse(text: &str) -> Texts {
    serde_json::from_str(text).expect("a locale file is a flat object of texts: tests/locales.rs")
}

impl Language {
    pub const ALL: [Language; 2] = [Language::English, Language::Chinese];

    /// In paths.
    pub const fn code(self) -> &'static str {
        match self {
            Language::English => "en",
            Language::Chinese => "zh",
        }
    }

    /// BCP 47.
    pub const fn tag(self) -> &'static str {
        match self {
            Language::English => "en",
            Language::Chinese => "zh-Hans",
        }
    }

    /// As its own speakers call it.
    pub const fn own_name(self) -> &'static str {
        match self {
            Language::English => "English",
            Language::Chinese => "中文",
        }
    }

    pub const fn other(self) -> Language {
        match self {
            Language::English => Language::Chinese,
            Language::Chinese => Language::English,
        }
    }

    /// As policies explain themselves.
    pub const fn of_policies(self) -> contracts_vm::Language {
        match self {
            Language::English => contracts_vm::Language::English,
            Language::Chinese => contracts_vm::Language::Chinese,
        }
    }

    pub fn of_code(code: &str) -> Option<Language> {
        Language::ALL.into_iter().find(|language| language.code() == code)
    }

    /// By `Accept-Language`; English to whoever asks for neither.
    pub fn preferred(accepted: Option<&str>) -> Language {
        let mut best = (0, Language::English);
        for (place, part) in accepted.unwrap_or_default().split(',').take(32).enumerate() {
            let mut words = part.split(';').map(str::trim);
            let Some(language) = words.next().and_then(|tag| Language::of_code(&tag.get(..2)?.to_ascii_lowercase()))
            else {
                continue;
            };
            let quality = words.find_map(|word| word.strip_prefix("q=")?.parse::<f64>().ok()).unwrap_or(1.0);
            // In thousandths; of two alike the first.
            let weight = (quality.clamp(0.0, 1.0) * 1_000.0) as u32 * 64 + 32 - place as u32;
            if quality > 0.0 && weight > best.0 {
                best = (weight, language);
            }
        }
        best.1
    }

    fn texts(self) -> &'static Texts {
        match self {
            Language::English => &ENGLISH,
            Language::Chinese => &CHINESE,
        }
    }

    /// A key that is not there is a programming error that `tests/locales.rs` finds; a page shows a dash all the same.
    pub fn t(self, key: &str) -> &'static str {
        self.texts().get(key).map_or("—", String::as_str)
    }

    pub fn fill(self, key: &str, values: &[&dyn std::fmt::Display]) -> String {
        let mut text = String::new();
        let mut rest = self.t(key);
        // One pass: what a value says is never filled in again.
        while let Some((before, from)) = rest.split_once('{') {
            text.push_str(before);
            let value =
                from.split_once('}').and_then(|(n, after)| Some((values.get(n.parse::<usize>().ok()?)?, after)));
            match value {
                Some((value, after)) => {
                    text.push_str(&value.to_string());
                    rest = after;
                }
                None => {
                    text.push('{');
                    rest = from;
                }
            }
        }
        text.push_str(rest);
        text
    }

    /// Keys below `prefix`, without it, and their texts.
    pub fn below(self, prefix: &'static str) -> impl Iterator<Item = (&'static str, &'static str)> {
        let from = self.texts().range(prefix.to_owned()..);
        from.map_while(move |(key, text)| Some((key.strip_prefix(prefix)?, text.as_str())))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_readers_language_is_the_one_that_the_browser_prefers() {
        for (accepted, language) in [
            (None, Language::English),
            (Some("zh-CN,zh;q=0.9,en;q=0.8"), Language::Chinese),
            (Some("en-GB,en;q=0.9,zh;q=0.8"), Language::English),
            (Some("de,fr;q=0.9,zh;q=0.1"), Language::Chinese),
            (Some("zh;q=0, en;q=0.1"), Language::English),
            (Some("*"), Language::English),
            (Some("é;;q=,,"), Language::English),
        ] {
            assert_eq!(Language::preferred(accepted), language, "{accepted:?}");
        }
    }

    #[test]
    fn values_are_filled_in_by_their_number_and_are_not_filled_again() {
        assert_eq!(Language::English.fill("strip.signers", &[&3, &4]), "3 of 4 validators");
        assert_eq!(Language::English.fill("strip.signers", &[&"{1}", &4]), "{1} of 4 validators");
    }
}
