//! What a reader typed, pasted or scanned: one box, exact hits, and for a near miss the reason.
//!
//! Pure: it says what a text *is*; whether the ledger holds such a thing is asked afterwards.

use bech32::Bech32m;
use bech32::primitives::decode::CheckedHrpstring;
use ledger_types::CoinId;

#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Found {
    Nothing,
    Coin(CoinId),
    /// A bare number may be a height, a batch or a log size.
    Number(u64),
    Height(u64),
    Batch(u64),
    LogSize(u64),
    Contract(u32),
    /// 64 hex characters: the genesis hash or a root, perhaps.
    Hash([u8; 32]),
    /// A proof file's text, or the hex of a proof.
    Proof(String),
    Miss(Miss),
}

/// Why a text is no hit. Positions count characters from 1.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Miss {
    /// The one character that, replaced, would make the checksum hold.
    ChecksumAt(usize),
    /// More than one character is wrong, or two are swapped.
    Checksum,
    /// A character that no coin id has.
    Character {
        at: usize,
        found: char,
    },
    Length {
        found: usize,
    },
    /// Upper and lower case mixed.
    MixedCase,
    /// Bech32 text with another prefix.
    OtherPrefix(String),
    /// `name@bank`.
    Wallet,
    /// Longer than anything that can be looked up.
    TooLong,
    Unknown,
}

/// No text that can be looked up is longer: a proof of the largest validator set, in hex, and the file around it.
const TEXT_BYTES_MAX: usize = 128 << 10;
const PREFIX: &str = "coin1";
const ALPHABET: &str = "qpzry9x8gf2tvdw0s3jn54khce6mua7l";

pub fn read(text: &str) -> Found {
    let text = text.trim();
    if text.is_empty() {
        return Found::Nothing;
    }
    if text.len() > TEXT_BYTES_MAX {
        return Found::Miss(Miss::TooLong);
    }
    if text.starts_with('{') || text.starts_with("c2sp.org/tlog-proof@") {
        return Found::Proof(text.to_owned());
    }
    // A coin id that was broken over lines, or spelt in groups.
    let joined: String = text.chars().filter(|c| !c.is_whitespace()).collect();
    if let Some(found) = number(&joined) {
        return found;
    }
    if joined.bytes().all(|byte| byte.is_ascii_hexdigit()) && joined.len() >= 64 {
        let mut hash = [0; 32];
        return match hex::decode_to_slice(&joined, &mut hash) {
            Ok(()) => Found::Hash(hash),
            Err(_) => Found::Proof(joined.to_ascii_lowercase()),
        };
    }
    coin(&joined)
}

/// `17`, `height 17`, `#17`, `batch 3`, `contract 4`, in either language.
fn number(text: &str) -> Option<Found> {
    let lower = text.to_lowercase();
    let of = |prefixes: &[&str]| {
        let rest = prefixes.iter().find_map(|prefix| lower.strip_prefix(prefix))?;
        rest.trim_start_matches([':', '=', '/', '#']).replace([',', '_'], "").parse::<u64>().ok()
    };
    if let Some(n) = of(&["height", "block", "高度", "区块"]) {
        return Some(Found::Height(n));
    }
    if let Some(n) = of(&["batch", "批次"]) {
        return Some(Found::Batch(n));
    }
    if let Some(n) = of(&["size", "checkpoint", "检查点"]) {
        return Some(Found::LogSize(n));
    }
    if let Some(n) = of(&["contract", "合约"]) {
        return u32::try_from(n).ok().map(Found::Contract);
    }
    of(&["", "#"]).map(Found::Number)
}

fn coin(text: &str) -> Found {
    let candidate = candidate(text);
    let is_upper = candidate.chars().any(|c| c.is_ascii_uppercase());
    let is_lower = candidate.chars().any(|c| c.is_ascii_lowercase());
    let lower = candidate.to_ascii_lowercase();
    if !lower.starts_with(PREFIX) {
        return Found::Miss(stranger(text, &lower));
    }
    // QR codes hold the upper-case form, which is shorter there.
    if is_upper && is_lower {
        return Found::Miss(Miss::MixedCase);
    }
    match CoinId::parse(&lower) {
        Ok(coin) => Found::Coin(coin),
        Err(_) => Found::Miss(why_not(&lower)),
    }
}

/// The coin id inside an address or a `assay:coin1…` text, else the text itself.
fn candidate(text: &str) -> &str {
    let lower = text.to_ascii_lowercase();
    let begins_inside = |at: &usize| *at == 0 || matches!(text.as_bytes()[at - 1], b'/' | b':' | b'=');
    let Some(at) = lower.match_indices(PREFIX).map(|(at, _)| at).find(begins_inside) else { return text };
    let rest = &text[at..];
    if at == 0 {
        return rest;
    }
    rest.split(['/', '?', '#', '&']).next().unwrap_or(rest)
}

fn stranger(text: &str, lower: &str) -> Miss {
    if text.contains('@') {
        return Miss::Wallet;
    }
    match lower.rsplit_once('1') {
        Some((prefix, data))
            if !prefix.is_empty()
                && prefix.len() <= 16
                && prefix.chars().all(|c| c.is_ascii_alphabetic())
                && data.len() >= 6
                && data.chars().all(|c| ALPHABET.contains(c)) =>
        {
            Miss::OtherPrefix(prefix.to_owned())
        }
        _ => Miss::Unknown,
    }
}

fn why_not(lower: &str) -> Miss {
    for (at, found) in lower.chars().enumerate().skip(PREFIX.len()) {
        if !ALPHABET.contains(found) {
            return Miss::Character { at: at + 1, found };
        }
    }
    if lower.len() != CoinId::TEXT_LEN {
        return Miss::Length { found: lower.len() };
    }
    wrong_character(lower).map_or(Miss::Checksum, Miss::ChecksumAt)
}

/// The place where one other character makes the checksum hold. Bech32m finds any single error and has one such place
/// alone in a text of this length, so the place is told; what should stand there is not, for a guess is no coin id (BIP-350).
fn wrong_character(lower: &str) -> Option<usize> {
    let mut bytes = lower.as_bytes().to_vec();
    for at in PREFIX.len()..bytes.len() {
        let typed = bytes[at];
        for other in ALPHABET.bytes().filter(|other| *other != typed) {
            bytes[at] = other;
            let text = std::str::from_utf8(&bytes).expect("ASCII alone");
            if CheckedHrpstring::new::<Bech32m>(text).is_ok() {
                return Some(at + 1);
            }
        }
        bytes[at] = typed;
    }
    None
}

#[cfg(test)]
mod tests {
    use super::*;

    fn id() -> CoinId {
        CoinId([7; 32])
    }

    #[test]
    fn the_alphabet_is_bech32s() {
        assert!(
            ALPHABET.chars().enumerate().all(|(n, c)| usize::from(bech32::Fe32::from_char(c).unwrap().to_u8()) == n)
        );
    }

    #[test]
    fn a_coin_id_is_found_however_it_was_copied() {
        let text = id().to_string();
        let (front, back) = text.split_at(30);
        for typed in [
            text.clone(),
            text.to_uppercase(),
            format!("  {text}\n"),
            format!("{front}\n{back}"),
            format!("assay:{text}"),
            format!("https://registry.example/en/coin/{text}?x=1#top"),
            format!("HTTPS://REGISTRY.EXAMPLE/COIN/{}", text.to_uppercase()),
        ] {
            assert_eq!(read(&typed), Found::Coin(id()), "{typed}");
        }
    }

    #[test]
    fn a_mistyped_character_is_named_by_its_place_wherever_it_is() {
        let text = id().to_string();
        for at in PREFIX.len()..text.len() {
            let mut bytes = text.clone().into_bytes();
            bytes[at] = if bytes[at] == b'q' { b'p' } else { b'q' };
            let typed = String::from_utf8(bytes).unwrap();
            assert_eq!(read(&typed), Found::Miss(Miss::ChecksumAt(at + 1)), "{typed}");
        }
    }

    #[test]
    fn near_misses_say_why() {
        let text = id().to_string();
        let mut swapped = text.clone().into_bytes();
        let at = (6..60).find(|at| swapped[*at] != swapped[at + 1]).unwrap();
        swapped.swap(at, at + 1);
        let swapped = String::from_utf8(swapped).unwrap();
        for (typed, miss) in [
            (format!("{}b{}", &text[..11], &text[12..]), Miss::Character { at: 12, found: 'b' }),
            (text[..62].to_owned(), Miss::Length { found: 62 }),
            (swapped, Miss::Checksum),
            (format!("{}{}", text[..20].to_uppercase(), &text[20..]), Miss::MixedCase),
            ("alice@bank2".into(), Miss::Wallet),
            ("bc1qw508d6qejxtdg4y5r3zarvary0c5xw7kv8f3t4".into(), Miss::OtherPrefix("bc".into())),
            ("hello".into(), Miss::Unknown),
            ("<script>alert(1)</script>".into(), Miss::Unknown),
            ("1".repeat(200_000), Miss::TooLong),
        ] {
            assert_eq!(read(&typed), Found::Miss(miss), "{typed:.80}");
        }
    }

    #[test]
    fn numbers_hashes_and_proofs_are_told_apart() {
        for (typed, found) in [
            ("", Found::Nothing),
            ("17", Found::Number(17)),
            ("#17", Found::Number(17)),
            ("1,234", Found::Number(1_234)),
            ("height 17", Found::Height(17)),
            ("高度 17", Found::Height(17)),
            ("Batch #3", Found::Batch(3)),
            ("批次 3", Found::Batch(3)),
            ("checkpoint 9", Found::LogSize(9)),
            ("contract 4", Found::Contract(4)),
            ("{\"coin\":", Found::Proof("{\"coin\":".into())),
        ] {
            assert_eq!(read(typed), found, "{typed}");
        }
        assert_eq!(read(&"ab".repeat(32)), Found::Hash([0xab; 32]));
        assert_eq!(read(&"AB".repeat(700)), Found::Proof("ab".repeat(700)));
    }
}
