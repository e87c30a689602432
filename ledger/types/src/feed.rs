//! Feeds (rules K): series of the economy that contracts read, published by k of n keys.
//!
//! ```text
//! signed by a publisher: D("feed value", feed ‖ period ‖ vintage ‖ scale ‖ published_ms ‖ valid_until_ms ‖ value)
//! ```
//! A value is an integer with the feed's decimal scale: 4.30 with scale 2 is 430. A revision is a new vintage; no item changes.

use crate::domain::{Chain, Tag};
use crate::encoding::{Decode, DecodeError, Encode, List, Reader};
use crate::ids::*;
use crate::keys::{PublicKey, Signature};
use crate::{layout, numbered};
use std::fmt;

pub const PUBLISHERS_MAX: usize = 16;
pub const FEED_SCALE_MAX: u8 = 9;

/// 1 to 32 characters of `a`–`z`, `0`–`9`, `_`, `-` and `.`: the name under which a policy reads a feed.
#[derive(Clone, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct FeedName(String);

impl FeedName {
    pub const BYTES_MAX: usize = 32;

    pub fn parse(text: &str) -> Option<Self> {
        let fits = (1..=Self::BYTES_MAX).contains(&text.len());
        let is_name = text.bytes().all(|b| matches!(b, b'a'..=b'z' | b'0'..=b'9' | b'_' | b'-' | b'.'));
        (fits && is_name).then(|| FeedName(text.to_owned()))
    }

    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl fmt::Display for FeedName {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

impl fmt::Debug for FeedName {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "FeedName({})", self.0)
    }
}

impl Encode for FeedName {
    fn encode(&self, out: &mut Vec<u8>) {
        (self.0.len() as u16).encode(out);
        out.extend_from_slice(self.0.as_bytes());
    }
}

impl Decode for FeedName {
    fn decode(reader: &mut Reader<'_>) -> Result<Self, DecodeError> {
        let count = reader.read::<u16>()? as usize;
        if count > Self::BYTES_MAX {
            return Err(DecodeError::TooLong { count, max: Self::BYTES_MAX });
        }
        let text = std::str::from_utf8(reader.take(count)?).ok().and_then(FeedName::parse);
        text.ok_or(DecodeError::NotCanonical("name of a feed"))
    }
}

numbered! {
    pub enum Frequency {
        Daily = 1,
        Monthly = 2,
        Quarterly = 3,
        Yearly = 4,
    }
}

/// What a feed's numbers count.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum FeedUnit {
    /// A level in percent.
    Rate,
    Index,
    Money(Currency),
}

impl Encode for FeedUnit {
    fn encode(&self, out: &mut Vec<u8>) {
        match self {
            FeedUnit::Rate => out.push(1),
            FeedUnit::Index => out.push(2),
            FeedUnit::Money(currency) => {
                out.push(3);
                currency.encode(out);
            }
        }
    }
}

impl Decode for FeedUnit {
    fn decode(reader: &mut Reader<'_>) -> Result<Self, DecodeError> {
        Ok(match reader.read::<u8>()? {
            1 => FeedUnit::Rate,
            2 => FeedUnit::Index,
            3 => FeedUnit::Money(reader.read()?),
            byte => return Err(DecodeError::UnknownValue { field: "unit of a feed", byte }),
        })
    }
}

/// What officers register: what a feed says, and who may publish it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct FeedDefinition {
    /// The next number, or a feed that stands: its publishers, threshold and step may change, all else may not.
    pub feed: FeedNumber,
    pub name: FeedName,
    pub unit: FeedUnit,
    /// Decimal places of a value, 0 to 9.
    pub scale: u8,
    pub frequency: Frequency,
    /// All different.
    pub publishers: List<PublicKey, PUBLISHERS_MAX>,
    /// k of the publishers make an item: more than half, so that no two groups without a common member can.
    pub threshold: u8,
    /// How far a value may lie from the one before it. With one item a height, that is how fast k publishers may move the feed: a bound
    /// on its speed, not on how far it goes.
    pub step_max: u64,
}
layout!(FeedDefinition { feed, name, unit, scale, frequency, publishers, threshold, step_max });

impl FeedDefinition {
    /// K-10, as far as the definition alone can tell.
    pub fn is_sound(&self) -> bool {
        let mut publishers: Vec<&PublicKey> = self.publishers.iter().collect();
        publishers.sort_unstable();
        publishers.dedup();
        publishers.len() == self.publishers.len()
            && self.publishers.iter().all(PublicKey::is_sound)
            && (self.publishers.len() / 2 + 1..=self.publishers.len()).contains(&usize::from(self.threshold))
            && self.scale <= FEED_SCALE_MAX
    }

    /// Whether `self` may stand in the place of `other`: only who publishes, and how far a step goes, may change.
    pub fn may_replace(&self, other: &FeedDefinition) -> bool {
        let FeedDefinition { feed, name, unit, scale, frequency, .. } = other;
        (&self.feed, &self.name, self.unit, self.scale, self.frequency) == (feed, name, *unit, *scale, *frequency)
    }
}

/// What all publishers of an item say alike.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct ItemHead {
    pub feed: FeedNumber,
    pub period: Period,
    /// 0 first, then one more a revision.
    pub vintage: Vintage,
    /// The feed's: a publisher signs what his digits mean.
    pub scale: u8,
    pub published_ms: u64,
    /// The last moment at which it may be read; later it is stale.
    pub valid_until_ms: u64,
}
layout!(ItemHead { feed, period, vintage, scale, published_ms, valid_until_ms });

impl ItemHead {
    /// What a publisher of `value` signs.
    pub fn message(&self, chain: &Chain, value: i64) -> [u8; 32] {
        chain.hash(Tag::FeedValue, &[&self.to_bytes(), &value.to_le_bytes()])
    }
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct PublishedValue {
    /// Index into the feed's publishers.
    pub publisher: u8,
    pub value: i64,
    pub signature: Signature,
}
layout!(PublishedValue { publisher, value, signature });

pub type PublishedValues = List<PublishedValue, PUBLISHERS_MAX>;

/// The lower median, so that it is always a value that somebody signed. None of no values.
pub fn median(values: &PublishedValues) -> Option<i64> {
    let mut values: Vec<i64> = values.iter().map(|published| published.value).collect();
    values.sort_unstable();
    values.get(values.len().checked_sub(1)? / 2).copied()
}

/// What the ledger keeps of a publication: its head, and the median of its values. It never changes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct FeedItem {
    pub head: ItemHead,
    pub value: i64,
}
layout!(FeedItem { head, value });

/// The map's entry of a feed.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Feed {
    pub definition: FeedDefinition,
    /// The newest period that has an item.
    pub newest: Option<Period>,
}
layout!(Feed { definition, newest });

#[cfg(test)]
mod tests {
    use super::*;

    fn values(values: &[i64]) -> PublishedValues {
        let published = |value: &i64| PublishedValue { publisher: 0, value: *value, signature: Signature([0; 64]) };
        List::new(values.iter().map(published).collect()).unwrap()
    }

    #[test]
    fn the_median_is_a_value_that_was_published_and_one_outlier_does_not_move_it_far() {
        assert_eq!(median(&values(&[])), None);
        assert_eq!(median(&values(&[-7])), Some(-7));
        assert_eq!(median(&values(&[430, 425])), Some(425));
        assert_eq!(median(&values(&[430, i64::MAX, 425])), Some(430));
        assert_eq!(median(&values(&[4, 1, 3, 2])), Some(2));
    }

    #[test]
    fn a_feeds_name_has_one_to_thirty_two_plain_characters() {
        for name in ["a", "us.gdp.real-q_2", &"x".repeat(32)] {
            assert_eq!(FeedName::parse(name).map(|name| name.to_string()), Some(name.to_owned()));
        }
        for name in ["", "a b", "é", "a/b", "GDP", &"x".repeat(33)] {
            assert_eq!(FeedName::parse(name), None, "{name}");
        }
    }
}
