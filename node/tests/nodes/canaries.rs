//! Looks for bytes in everything that a process keeps.

use crate::cluster::read_if_there;
use base64::Engine;
use base64::engine::general_purpose::{STANDARD, STANDARD_NO_PAD, URL_SAFE_NO_PAD};
use std::collections::HashMap;
use std::path::{Path, PathBuf};

/// The letters of BIP 173 for the bytes, without prefix, checksum and what is left of the last five bits.
fn bech32_data(bytes: &[u8]) -> Vec<u8> {
    const LETTERS: &[u8; 32] = b"qpzry9x8gf2tvdw0s3jn54khce6mua7l";
    let bit = |at: usize| usize::from(bytes[at / 8] >> (7 - at % 8) & 1);
    let letter = |nth: usize| LETTERS[(0..5).fold(0, |value, at| 2 * value + bit(5 * nth + at))];
    (0..bytes.len() * 8 / 5).map(letter).collect()
}

#[test]
fn canaries_are_found_in_every_form() {
    let bytes = *b"any 32 bytes, such as an owner's";
    let mut canaries = Canaries::default();
    canaries.add_in_every_form("key", &bytes);
    let coin = ledger_types::CoinId(bytes).to_string();
    assert_eq!(canaries.found_in(coin.as_bytes()), ["key in bech32"]);
    assert_eq!(canaries.found_in(hex::encode(bytes).as_bytes()), ["key in hex"]);
    for before in 0..6 {
        let longer = [&[0xa5; 6][..before], &bytes, &[0x5a; 4]].concat();
        let found = canaries.found_in(STANDARD.encode(longer).as_bytes()).join(" ");
        assert!(found.contains(&format!("key in base64 after {}", before % 3)), "{before}: {found}");
    }
}

/// Names and bytes of what is looked for, at least eight bytes each.
#[derive(Default)]
pub struct Canaries(Vec<(String, Vec<u8>)>);

impl Canaries {
    /// As bytes, and as the hex that a document would show.
    pub fn add(&mut self, name: &str, bytes: &[u8]) {
        assert!(bytes.len() >= 8, "{name} is too short to be found by nothing but itself");
        self.0.push((name.to_owned(), bytes.to_owned()));
        self.0.push((format!("{name} in hex"), hex::encode(bytes).into_bytes()));
    }

    /// As bytes, hex, base64 and bech32: whatever a document, a log line or a note would show.
    pub fn add_in_every_form(&mut self, name: &str, bytes: &[u8]) {
        self.add(name, bytes);
        self.0.push((format!("{name} in capital hex"), hex::encode_upper(bytes).into_bytes()));
        for engine in [&STANDARD_NO_PAD, &URL_SAFE_NO_PAD] {
            // Inside of something longer it begins at any of three places of a group; the letters that its neighbours share are left out.
            for before in 0..3 {
                let text = engine.encode([&[0; 2][..before], bytes].concat()).into_bytes();
                let whole = (before * 8).div_ceil(6)..(before + bytes.len()) * 8 / 6;
                self.0.push((format!("{name} in base64 after {before}"), text[whole].to_owned()));
            }
        }
        self.0.push((format!("{name} in bech32"), bech32_data(bytes)));
    }

    /// Which of them stand in these bytes.
    pub fn found_in(&self, bytes: &[u8]) -> Vec<&str> {
        let mut starts: HashMap<[u8; 4], Vec<usize>> = HashMap::new();
        for (index, (_, canary)) in self.0.iter().enumerate() {
            starts.entry(canary[..4].try_into().unwrap()).or_default().push(index);
        }
        // One bit a two-byte prefix: most positions are passed with one look.
        let mut possible = vec![false; 1 << 16];
        self.0.iter().for_each(|(_, canary)| possible[usize::from(u16::from_le_bytes([canary[0], canary[1]]))] = true);
        let mut found = vec![false; self.0.len()];
        for (at, window) in bytes.windows(4).enumerate() {
            if !possible[usize::from(u16::from_le_bytes([window[0], window[1]]))] {
                continue;
            }
            for index in starts.get(window).into_iter().flatten() {
                found[*index] |= bytes[at..].starts_with(&self.0[*index].1);
            }
        }
        self.0.iter().zip(found).filter(|(_, found)| *found).map(|((name, _), _)| name.as_str()).collect()
    }

    /// Every file below the folder in which one of them stands, and which.
    pub fn found_below(&self, folder: &Path) -> Vec<(PathBuf, String)> {
        let mut found = Vec::new();
        let mut folders = vec![folder.to_owned()];
        while let Some(folder) = folders.pop() {
            for item in std::fs::read_dir(&folder).unwrap() {
                let item = item.unwrap();
                let Ok(kind) = item.file_type() else { continue };
                if kind.is_dir() {
                    folders.push(item.path());
                } else if kind.is_file() {
                    let bytes = read_if_there(&item.path());
                    found.extend(self.found_in(&bytes).into_iter().map(|name| (item.path(), name.to_owned())));
                }
            }
        }
        found
    }
}
