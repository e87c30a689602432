//! The log in files: C2SP tlog-tiles. Which files there are at a size, and how they are named; their bytes are the caller's.
//!
//! What stays true here: one tile, one path, in both directions; whether it exists depends on the log's size alone.
//!
//! ```text
//! path  = (level ‖ "/" | "entries/") ‖ index ‖ [".p/" ‖ width 1–255]     level 0–63
//! index = groups of three digits, all but the last behind an "x": 1234067 is x001/x234/067
//! tile  = 256 hashes, or width of them: the roots of the complete subtrees (8 · level, 256 · index …)
//! entry bundle = for each leaf its length u16 big-endian ‖ the leaf
//! ```

use std::fmt::{Display, Formatter};

/// Hashes, or leaves, in a full tile.
pub const TILE_WIDTH: u64 = 256;
const LEVEL_MAX: u8 = 63;
/// 2^64 has twenty digits.
const INDEX_GROUPS_MAX: usize = 7;

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum TileKind {
    Hashes { level: u8 },
    Entries,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Tile {
    kind: TileKind,
    index: u64,
    /// 1 to 256.
    width: u16,
}

impl Tile {
    /// What stands behind `<prefix>/tile/`.
    pub fn parse(path: &str) -> Option<Self> {
        let (kind, rest) = path.split_once('/')?;
        let kind = match kind {
            "entries" => TileKind::Entries,
            level => TileKind::Hashes { level: level.parse().ok().filter(|level| *level <= LEVEL_MAX)? },
        };
        let (index, width) = match rest.split_once(".p/") {
            None => (rest, 256),
            Some((index, width)) => (index, width.parse().ok().filter(|width| (1..256).contains(width))?),
        };
        let mut number = 0u64;
        for (place, group) in index.split('/').enumerate() {
            let digits = group.strip_prefix('x').unwrap_or(group);
            if place == INDEX_GROUPS_MAX || digits.len() != 3 {
                return None;
            }
            number = number.checked_mul(1000)?.checked_add(digits.parse::<u16>().ok()?.into())?;
        }
        // Signs, leading zeros and a missing "x" are other spellings: there is one.
        Some(Tile { kind, index: number, width }).filter(|tile| tile.to_string() == path)
    }

    pub fn kind(&self) -> TileKind {
        self.kind
    }

    /// 1 to 256.
    pub fn width(&self) -> u16 {
        self.width
    }

    pub fn is_full(&self) -> bool {
        u64::from(self.width) == TILE_WIDTH
    }

    /// Of the log's nodes that the tile holds, the level and the first index; `None` where no log of 2^64 leaves has nodes.
    pub fn first_node(&self) -> Option<(u8, u64)> {
        let level = match self.kind {
            TileKind::Entries => 0,
            TileKind::Hashes { level } => level.checked_mul(8).filter(|level| *level < 64)?,
        };
        Some((level, self.index.checked_mul(TILE_WIDTH)?))
    }

    /// Whether all of it lies in a log of this size. A partial tile still does when the full one does.
    pub fn exists_at(&self, size: u64) -> bool {
        let Some((level, first)) = self.first_node() else { return false };
        first.checked_add(self.width.into()).is_some_and(|end| end <= size >> level)
    }
}

impl Display for Tile {
    fn fmt(&self, formatter: &mut Formatter<'_>) -> std::fmt::Result {
        match self.kind {
            TileKind::Hashes { level } => write!(formatter, "{level}/")?,
            TileKind::Entries => formatter.write_str("entries/")?,
        }
        let mut groups = vec![format!("{:03}", self.index % 1000)];
        let mut above = self.index / 1000;
        while above > 0 {
            groups.push(format!("x{:03}", above % 1000));
            above /= 1000;
        }
        groups.reverse();
        formatter.write_str(&groups.join("/"))?;
        if self.is_full() { Ok(()) } else { write!(formatter, ".p/{}", self.width) }
    }
}

/// A leaf in an entry bundle; `None` if it is too long for one.
pub fn push_entry(bundle: &mut Vec<u8>, leaf: &[u8]) -> Option<()> {
    bundle.extend_from_slice(&u16::try_from(leaf.len()).ok()?.to_be_bytes());
    bundle.extend_from_slice(leaf);
    Some(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_specifications_examples_hold() {
        let tile = Tile::parse("0/x001/x234/067").unwrap();
        assert_eq!(tile.first_node(), Some((0, 1_234_067 * 256)));
        // A tree of size 70,000.
        let exists = |path| Tile::parse(path).unwrap().exists_at(70_000);
        assert!(
            exists("0/272") && exists("0/273.p/112") && exists("1/000") && exists("1/001.p/17") && exists("2/000.p/1")
        );
        for missing in ["0/273", "0/273.p/113", "1/001", "1/001.p/18", "2/000", "2/000.p/2", "3/000.p/1", "63/000.p/1"]
        {
            assert!(!exists(missing), "{missing}");
        }
        assert!(exists("entries/273.p/112") && !exists("entries/273.p/113"));
        // Of size 256.
        assert!(Tile::parse("0/000").unwrap().exists_at(256) && Tile::parse("1/000.p/1").unwrap().exists_at(256));
        assert!(!Tile::parse("1/000.p/1").unwrap().exists_at(255));
    }

    #[test]
    fn a_tile_has_one_path() {
        let good =
            ["0/000", "7/x001/000", "63/x018/x446/x744/x073/x709/x551/615", "entries/999.p/255", "0/x999/999.p/1"];
        for path in good {
            assert_eq!(Tile::parse(path).map(|tile| tile.to_string()).as_deref(), Some(path));
        }
        let bad = [
            "",
            "0",
            "0/",
            "/000",
            "0/0",
            "0/00",
            "0/0000",
            "00/000",
            "64/000",
            "256/000",
            "-1/000",
            "+1/000",
            "0/x000/000",
            "0/x000",
            "0/001/000",
            "0/xx00",
            "0/+01",
            "0/000.p/0",
            "0/000.p/256",
            "0/000.p/01",
            "0/000.p/",
            "0/000.p/1/",
            "0/000/",
            "0//000",
            "0/000.p/1.p/1",
            "entries/",
            "entry/000",
            "Entries/000",
            "0/x1/x234/067",
            "0/X001/000",
            "0/x018/x446/x744/x073/x709/x551/616",
            "0/x001/x001/x001/x001/x001/x001/x001/001",
            "0/٠٠٠",
            "0/000.P/1",
        ];
        for path in bad {
            assert_eq!(Tile::parse(path), None, "{path}");
        }
    }

    #[test]
    fn the_last_tile_of_the_largest_log_overflows_nothing() {
        let last = Tile::parse("0/x072/x057/x594/x037/x927/935").unwrap();
        assert!(!last.exists_at(u64::MAX));
        let beyond = Tile::parse("0/x018/x446/x744/x073/x709/x551/615").unwrap();
        assert!(beyond.first_node().is_none() && !beyond.exists_at(u64::MAX));
        assert!(Tile::parse("7/000.p/255").unwrap().exists_at(u64::MAX));
    }

    #[test]
    fn an_entry_is_its_length_big_endian_and_its_bytes() {
        let mut bundle = Vec::new();
        push_entry(&mut bundle, &[7; 258]).unwrap();
        assert_eq!((&bundle[..3], bundle.len()), (&[1, 2, 7][..], 260));
        assert_eq!(push_entry(&mut bundle, &[0; 65_536]), None);
    }
}
