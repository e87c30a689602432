//! Looks for bytes in everything that a process keeps.

use crate::cluster::read_if_there;
use std::collections::HashMap;
use std::path::{Path, PathBuf};

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
