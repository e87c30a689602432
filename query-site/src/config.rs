//! The configuration file. Every field has a bound that a stranger cannot stretch; the site holds no secret.

use eyre::{Context, bail};
use serde::Deserialize;
use std::collections::BTreeMap;
use std::net::SocketAddr;
use std::num::NonZeroU32;
use std::path::{Path, PathBuf};

#[derive(Clone, Debug, PartialEq, Eq, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Config {
    pub listen: SocketAddr,
    /// Observers, `http://127.0.1.5:8105`. With two or more the site compares what they say, and a split view shows.
    pub upstream: Vec<String>,
    /// The genesis document that is pinned; relative to the configuration file.
    pub genesis: PathBuf,
    /// Where the site is reached, `https://registry.example`: QR codes lead to it. Without, they hold the bare coin id.
    #[serde(default)]
    pub public_url: Option<String>,
    /// A second site, `https://mirror.example`: browsers ask it for its log too, so that one alone cannot split views.
    #[serde(default)]
    pub mirror: Option<String>,
    /// A file that keeps the newest log state over a restart, so that a log rewritten meanwhile is named a split view.
    #[serde(default)]
    pub remember: Option<PathBuf>,
    /// Back-tests that officers deployed policies with, `[[back_test]]`, besides those that the site tries by itself.
    #[serde(default, rename = "back_test")]
    pub back_tests: Vec<BackTest>,
    #[serde(default)]
    pub cache: Cache,
    #[serde(default)]
    pub limits: Limits,
}

/// A table and what was asked of it, as `assay contract backtest` was asked, so that the same report comes out.
#[derive(Clone, Debug, Default, PartialEq, Eq, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct BackTest {
    /// A table as CSV, relative to the configuration file.
    pub data: Option<PathBuf>,
    /// Without a table of its own: one that the site ships, by its name at the try-out page.
    pub history: String,
    /// `--map`: columns by the series that they stand for.
    pub columns: BTreeMap<String, String>,
    pub sector: String,
    /// Percent a year, `4.30`.
    pub rate: String,
    pub term_days: Option<u16>,
    pub lag_days: Option<u16>,
    pub years_later: Option<u16>,
    pub from: String,
    pub to: String,
    pub round: bool,
}

/// A version whose report none of them gives costs a replay of each, once.
pub const BACK_TESTS_MAX: usize = 32;

#[derive(Clone, Debug, PartialEq, Eq, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct Cache {
    /// Verified answers, about 3 KiB each.
    pub coins: usize,
    /// Leaves of the log's end that are read at the start: the history behind charts and lists. 32 tiles of 256 leaves.
    pub history_leaves: u64,
    /// The wait between two looks at an observer.
    pub poll_ms: u64,
}

impl Default for Cache {
    fn default() -> Self {
        Cache { coins: 10_000, history_leaves: 8_192, poll_ms: 1_000 }
    }
}

/// What strangers may take. Rates are for each remote address (IPv6: each /64).
#[derive(Clone, Debug, PartialEq, Eq, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct Limits {
    pub connections: usize,
    pub connections_per_address: usize,
    pub requests_per_second: NonZeroU32,
    pub burst: NonZeroU32,
    /// Browsers that follow `/v1/events` at once.
    pub event_streams: usize,
    /// Questions to the observers at once; the crowd beyond hears "later".
    pub upstream_questions: usize,
    pub head_ms: u64,
    pub request_ms: u64,
}

impl Default for Limits {
    fn default() -> Self {
        let number = |n| NonZeroU32::new(n).expect("not zero");
        Limits {
            connections: 1024,
            connections_per_address: 256,
            requests_per_second: number(50),
            burst: number(300),
            event_streams: 256,
            upstream_questions: 64,
            head_ms: 10_000,
            request_ms: 30_000,
        }
    }
}

impl Config {
    pub fn new(listen: SocketAddr, upstream: Vec<String>, genesis: PathBuf) -> Self {
        let (cache, limits, back_tests) = Default::default();
        Config { listen, upstream, genesis, public_url: None, mirror: None, remember: None, back_tests, cache, limits }
    }

    pub fn read(path: &Path) -> eyre::Result<Self> {
        let text = std::fs::read_to_string(path).wrap_err_with(|| format!("cannot read {}", path.display()))?;
        let mut config = Config::parse(&text).wrap_err_with(|| format!("in {}", path.display()))?;
        let folder = path.parent().unwrap_or(Path::new("."));
        config.genesis = folder.join(config.genesis);
        config.remember = config.remember.map(|file| folder.join(file));
        for back_test in &mut config.back_tests {
            back_test.data = back_test.data.take().map(|file| folder.join(file));
        }
        Ok(config)
    }

    pub fn parse(text: &str) -> eyre::Result<Self> {
        let config: Config = toml::from_str(text)?;
        config.check()?;
        Ok(config)
    }

    pub fn check(&self) -> eyre::Result<()> {
        if self.upstream.is_empty() {
            bail!("upstream names no observer");
        }
        for url in &self.upstream {
            let parsed = reqwest::Url::parse(url).wrap_err_with(|| format!("upstream {url} is no address"))?;
            // The link to an observer carries nothing that is not verified, so it needs no secrecy; and no credentials.
            if parsed.scheme() != "http" || !parsed.username().is_empty() || parsed.password().is_some() {
                bail!("upstream {url}: http://HOST:PORT, without credentials");
            }
        }
        for url in self.public_url.iter().chain(&self.mirror) {
            // It goes into a header and into pages: an address, and nothing that ends one.
            let is_plain = url.bytes().all(|byte| byte.is_ascii_alphanumeric() || b"-._~:/[]".contains(&byte));
            if !is_plain || !(url.starts_with("https://") || url.starts_with("http://")) {
                bail!("{url} is no plain web address");
            }
        }
        if self.back_tests.len() > BACK_TESTS_MAX {
            bail!("at most {BACK_TESTS_MAX} back_test entries");
        }
        if self.cache.poll_ms < 10 || self.cache.coins < 2 || self.limits.connections == 0 {
            bail!("poll_ms is at least 10, cache.coins at least 2, connections at least 1");
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const LEAST: &str =
        "listen = \"127.0.0.1:8190\"\nupstream = [\"http://127.0.1.5:8105\"]\ngenesis = \"genesis.bin\"\n";

    #[test]
    fn three_lines_are_a_configuration() {
        let config = Config::parse(LEAST).unwrap();
        assert_eq!((config.cache, config.limits), (Cache::default(), Limits::default()));
    }

    #[test]
    fn a_misspelt_field_an_empty_upstream_and_an_upstream_with_a_password_are_refused() {
        for (from, to) in [
            ("listen", "lisen"),
            ("\"http://127.0.1.5:8105\"", ""),
            ("http://127", "http://me:secret@127"),
            ("http://127", "file://127"),
        ] {
            assert!(Config::parse(&LEAST.replace(from, to)).is_err(), "{to}");
        }
        assert!(Config::parse(&format!("{LEAST}public_url = \"javascript:alert(1)\"\n")).is_err());
    }
}
