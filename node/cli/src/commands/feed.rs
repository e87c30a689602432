//! `assay feed`: series of the economy that contracts read. Officers register them, publishers sign their values, any bank
//! carries them.

use super::{ended, table, time};
use crate::Global;
use crate::cluster::{Cluster, client, now_ms, trust};
use crate::key_file::{Key, key, read_passphrase};
use crate::outcome::{Failure, Outcome};
use contracts_backtest::{Rounding, decimal_at_scale};
use contracts_vm::unit::decimal;
use contracts_vm::{Date, Frequency, Period};
use ledger_types::feed::ItemHead;
use ledger_types::keys::SigningKey;
use ledger_types::{FeedNumber, Vintage};
use node_api::contracts as doc;
use std::path::{Path, PathBuf};

const DAY_MS: u64 = 86_400_000;

#[derive(clap::Subcommand)]
pub enum Feed {
    /// Register a feed, or say who publishes one that stands (central bank, officers).
    Register {
        name: String,
        /// percent, index, or the three letters of a currency.
        #[arg(long)]
        unit: String,
        /// Decimal places of a value.
        #[arg(long)]
        scale: u8,
        #[arg(long, value_parser = ["daily", "monthly", "quarterly", "yearly"])]
        frequency: String,
        /// A publisher's public key in hex; once for each. Without it, those of a local cluster.
        #[arg(long = "publisher", value_name = "KEY")]
        publishers: Vec<String>,
        /// So many publishers make an item; without it, all.
        #[arg(long)]
        threshold: Option<u8>,
        /// How far a value may lie from the one before it, such as 5.00.
        #[arg(long, value_name = "VALUE")]
        step_max: String,
        #[arg(long, default_value_t = 30)]
        timeout_s: u64,
    },
    /// Sign a period's value as its publishers, and have the central bank carry it (K-11). A period that has a value gets its next vintage.
    Publish {
        name: String,
        /// 2026-11-27, 2026-11, 2026Q4 or 2026.
        #[arg(long)]
        period: String,
        #[arg(long, allow_hyphen_values = true)]
        value: String,
        /// A publisher's signing key; once for each. Without it, those of a local cluster.
        #[arg(long = "publisher", value_name = "KEYFILE", requires = "passphrase_file")]
        publishers: Vec<PathBuf>,
        #[arg(long, value_name = "FILE")]
        passphrase_file: Option<PathBuf>,
        /// For so many days it may be read.
        #[arg(long, default_value_t = 100)]
        valid_days: u32,
        #[arg(long, default_value_t = 30)]
        timeout_s: u64,
    },
    /// The feeds that are registered.
    List,
    /// A feed's publishers and its items, with their vintages.
    Show { name: String },
}

impl Feed {
    pub async fn run(self, global: &Global) -> Result<Outcome, Failure> {
        match self {
            Feed::Register { name, unit, scale, frequency, publishers, threshold, step_max, timeout_s } => {
                let step_max = value_of(&step_max, scale)?.unsigned_abs();
                let publishers = if publishers.is_empty() {
                    signing_keys(global, &[], None)?.iter().map(|(_, key)| key.public_key().to_string()).collect()
                } else {
                    publishers
                };
                let threshold = threshold.unwrap_or(u8::try_from(publishers.len()).unwrap_or(u8::MAX));
                let idempotency_key = None;
                let feed =
                    doc::NewFeed { name, unit, scale, frequency, publishers, threshold, step_max, idempotency_key };
                let central = client(global, "central_bank")?;
                let operation = central.post("/v1/feeds", &feed).await?;
                let outcome = ended(&central, operation, timeout_s).await?;
                Ok(Outcome { text: format!("{} is registered", feed.name), ..outcome })
            }
            Feed::Publish { name, period, value, publishers, passphrase_file, valid_days, timeout_s } => {
                let central = client(global, "central_bank")?;
                let feed: doc::Feed = central.get(&format!("/v1/feeds/{name}")).await?;
                let period = period_of(&period, &feed.summary.frequency)?;
                let number = value_of(&value, feed.summary.scale)?;
                let vintage = feed.items.iter().filter(|item| item.period == period).count();
                let (chain, published_ms) = (*trust(global, None)?.chain(), now_ms());
                let head = ItemHead {
                    feed: FeedNumber(feed.summary.feed),
                    period: ledger_types::Period(period),
                    vintage: Vintage(u32::try_from(vintage).unwrap_or(u32::MAX)),
                    scale: feed.summary.scale,
                    // Block time may lie a moment behind this machine's clock, and nothing is published ahead of it.
                    published_ms: published_ms - 5_000,
                    valid_until_ms: published_ms + u64::from(valid_days) * DAY_MS,
                };
                let message = head.message(&chain, number);
                let mut values = Vec::with_capacity(publishers.len());
                for (path, key) in &signing_keys(global, &publishers, passphrase_file.as_deref())? {
                    let public = key.public_key().to_string();
                    let place = feed.summary.publishers.iter().position(|publisher| *publisher == public);
                    let place = place.and_then(|place| u8::try_from(place).ok());
                    let publisher =
                        place.ok_or_else(|| Failure::file(path, format!("it publishes nothing of {name}")))?;
                    values.push(doc::SignedValue {
                        publisher,
                        value: number,
                        signature: hex::encode(key.sign(&message).0),
                    });
                }
                values.sort_by_key(|value| value.publisher);
                let item = doc::NewItem {
                    period,
                    vintage: head.vintage.0,
                    published_ms: head.published_ms,
                    valid_until_ms: head.valid_until_ms,
                    values,
                    idempotency_key: None,
                };
                let operation = central.post(&format!("/v1/feeds/{name}/items"), &item).await?;
                let outcome = ended(&central, operation, timeout_s).await?;
                Ok(Outcome { text: format!("{name} is {value}, vintage {}", item.vintage), ..outcome })
            }
            Feed::List => {
                let feeds: doc::Feeds = client(global, "observer")?.get("/v1/feeds").await?;
                let rows: Vec<Vec<String>> = feeds
                    .feeds
                    .iter()
                    .map(|feed| {
                        let who = format!("{} of {}", feed.threshold, feed.publishers.len());
                        vec![feed.name.clone(), feed.unit.clone(), feed.frequency.clone(), feed.scale.to_string(), who]
                    })
                    .collect();
                let text = table(&["feed", "unit", "frequency", "decimals", "publishers"], &rows);
                Ok(Outcome::new(feeds, text))
            }
            Feed::Show { name } => {
                let feed: doc::Feed = client(global, "observer")?.get(&format!("/v1/feeds/{name}")).await?;
                let scale = feed.summary.scale;
                let rows: Vec<Vec<String>> = feed
                    .items
                    .iter()
                    .map(|item| {
                        vec![
                            item.period_text.clone(),
                            item.vintage.to_string(),
                            decimal(item.value, scale, scale),
                            time(item.published_ms),
                            time(item.valid_until_ms),
                        ]
                    })
                    .collect();
                let text = table(&["period", "vintage", "value", "published", "valid until"], &rows);
                Ok(Outcome::new(feed, text))
            }
        }
    }
}

/// The publishers' keys: these files, else those of a local cluster, as if its publishers sat at this machine.
fn signing_keys(
    global: &Global,
    files: &[PathBuf],
    passphrase_file: Option<&Path>,
) -> Result<Vec<(PathBuf, SigningKey)>, Failure> {
    let (files, passphrase_file) = match (files, passphrase_file) {
        ([], _) => {
            let central = Cluster::find(global)?.any_process("central-bank")?.folder.clone();
            let folder = central.with_file_name("publishers");
            let listed = std::fs::read_dir(&folder).map_err(|error| Failure::file(&folder, error))?;
            let paths = listed.map(|item| item.map(|item| item.path())).collect::<Result<Vec<_>, _>>();
            let mut paths = paths.map_err(|error| Failure::file(&folder, error))?;
            paths.retain(|path| path.extension().is_some_and(|end| end == "pem"));
            paths.sort();
            (paths, central.join("passphrase"))
        }
        (files, Some(passphrase)) => (files.to_vec(), passphrase.to_owned()),
        (_, None) => return Err(Failure::usage("--passphrase-file opens the key files")),
    };
    let passphrase = read_passphrase(&passphrase_file)?;
    let mut keys = Vec::with_capacity(files.len());
    for path in files {
        match key(&path, &passphrase)? {
            Key::Signing(signing) => keys.push((path, signing)),
            Key::Secret(_) => return Err(Failure::file(&path, "this is no signing key")),
        }
    }
    Ok(keys)
}

/// Exactly: a digit more than the feed has is refused.
fn value_of(text: &str, scale: u8) -> Result<i64, Failure> {
    let read = decimal_at_scale(text, scale, Rounding::Refuse);
    read.map(|(value, _)| value).map_err(|refusal| Failure::usage(refusal.to_string()))
}

fn period_of(text: &str, frequency: &str) -> Result<u32, Failure> {
    let number = |text: &str| text.parse::<i32>().ok();
    let period = match frequency {
        "yearly" => number(text).map(Period::year),
        "quarterly" => text.split_once('Q').and_then(|(year, quarter)| {
            let quarter = quarter.parse().ok().filter(|quarter| (1..=4).contains(quarter))?;
            Some(Period::quarter(number(year)?, quarter))
        }),
        "monthly" => text.split_once('-').and_then(|(year, month)| {
            let month = month.parse().ok().filter(|month| (1..=12).contains(month))?;
            Some(Period::month(number(year)?, month))
        }),
        _ => day_of(text),
    };
    let is_whole = |period: &Period| frequency_of(frequency).is_some_and(|frequency| period.text(frequency) == text);
    period.filter(is_whole).and_then(|period| u32::try_from(period.0).ok()).ok_or_else(|| {
        let like = match frequency {
            "yearly" => "2026",
            "quarterly" => "2026Q4",
            "monthly" => "2026-11",
            _ => "2026-11-27",
        };
        Failure::usage(format!("{text} is no period of a {frequency} feed; write it like {like}"))
    })
}

fn day_of(text: &str) -> Option<Period> {
    let mut parts = text.splitn(3, '-');
    let (year, month, day) = (parts.next()?.parse().ok()?, parts.next()?.parse().ok()?, parts.next()?.parse().ok()?);
    Date::new(year, month, day).map(Period::day)
}

fn frequency_of(word: &str) -> Option<Frequency> {
    [Frequency::Daily, Frequency::Monthly, Frequency::Quarterly, Frequency::Yearly]
        .into_iter()
        .find(|frequency| frequency.word() == word)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_period_is_read_as_its_feed_counts_and_as_it_is_written() {
        assert_eq!(period_of("2026", "yearly").unwrap(), 2026);
        assert_eq!(period_of("2026Q4", "quarterly").unwrap(), 2026 * 4 + 3);
        assert_eq!(period_of("2026-11", "monthly").unwrap(), 2026 * 12 + 10);
        assert_eq!(period_of("1970-01-02", "daily").unwrap(), 1);
        for (text, frequency) in [
            ("2026Q5", "quarterly"),
            ("2026-13", "monthly"),
            ("2026", "monthly"),
            ("2026-02-30", "daily"),
            ("02026", "yearly"),
        ] {
            assert!(period_of(text, frequency).is_err(), "{text}");
        }
        assert_eq!(value_of("3.45", 2).unwrap(), 345);
        assert!(value_of("3.456", 2).is_err());
    }
}
