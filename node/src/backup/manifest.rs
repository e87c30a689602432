//! What a backup is of, and what it holds, to the byte.
//!
//! ```text
//! assay backup 1
//! chain 5f…e2
//! participant 4
//! height 1201
//! made_ms 1764280000000
//! file 9c…01 4096 ledger/state/000012.sst
//! …
//! checksum 44…7b                                   BLAKE3 of all lines before it
//! ```
//! Hashes are BLAKE3; files are ascending by path. The checksum finds damage, not a forger: what is put back is proved from the
//! genesis (the ledger) and opened with the bank's own key (the desk).

use ledger_types::{GenesisHash, Height, ParticipantNumber};
use std::fmt::Write;
use std::path::{Component, Path};

pub const FILE: &str = "MANIFEST";
const FIRST_LINE: &str = "assay backup 1";

#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Manifest {
    pub chain: GenesisHash,
    pub participant: ParticipantNumber,
    pub height: Height,
    pub made_ms: u64,
    pub files: Vec<Entry>,
}

#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Entry {
    pub hash: blake3::Hash,
    pub bytes: u64,
    /// Within the backup, and within the state.
    pub path: String,
}

impl Manifest {
    pub fn bytes(&self) -> u64 {
        self.files.iter().map(|file| file.bytes).sum()
    }

    pub fn text(&self) -> String {
        let mut text = format!("{FIRST_LINE}\nchain {}\nparticipant {}\n", self.chain, self.participant.0);
        let _ = writeln!(text, "height {}\nmade_ms {}", self.height.0, self.made_ms);
        for Entry { hash, bytes, path } in &self.files {
            let _ = writeln!(text, "file {hash} {bytes} {path}");
        }
        let checksum = blake3::hash(text.as_bytes());
        let _ = writeln!(text, "checksum {checksum}");
        text
    }

    pub fn parse(text: &str) -> Option<Self> {
        let mut lines = text.lines();
        if lines.next()? != FIRST_LINE {
            return None;
        }
        let chain = GenesisHash::from_hex(lines.next()?.strip_prefix("chain ")?)?;
        let participant = ParticipantNumber(lines.next()?.strip_prefix("participant ")?.parse().ok()?);
        let height = Height(lines.next()?.strip_prefix("height ")?.parse().ok()?);
        let made_ms = lines.next()?.strip_prefix("made_ms ")?.parse().ok()?;
        let files = lines.map_while(|line| line.strip_prefix("file ")).map(|line| {
            let mut fields = line.splitn(3, ' ');
            let hash = blake3::Hash::from_hex(fields.next()?).ok()?;
            let bytes = fields.next()?.parse().ok()?;
            Some(Entry { hash, bytes, path: fields.next().filter(|path| stays_within(path))?.to_owned() })
        });
        let manifest = Manifest { chain, participant, height, made_ms, files: files.collect::<Option<_>>()? };
        // The checksum is of the lines that it stands behind.
        (manifest.text() == text).then_some(manifest)
    }
}

/// A path of plain names, of what a backup holds.
fn stays_within(path: &str) -> bool {
    let mut components = Path::new(path).components();
    let first = components.next();
    let parts = [super::copy::LEDGER, super::copy::DESK];
    let known = matches!(first, Some(Component::Normal(name)) if parts.iter().any(|part| name == *part));
    known && components.all(|component| matches!(component, Component::Normal(_)))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn manifest() -> Manifest {
        let file = |path: &str| Entry { hash: blake3::hash(path.as_bytes()), bytes: 7, path: path.to_owned() };
        Manifest {
            chain: GenesisHash([5; 32]),
            participant: ParticipantNumber(4),
            height: Height(1_201),
            made_ms: 1_764_280_000_000,
            files: vec![file("desk/FORMAT"), file("ledger/state/000012.sst")],
        }
    }

    #[test]
    fn a_manifest_is_read_back_and_no_bit_of_it_can_be_flipped() {
        let text = manifest().text();
        assert_eq!(Manifest::parse(&text), Some(manifest()));
        for bit in 0..text.len() * 8 {
            let mut bytes = text.clone().into_bytes();
            bytes[bit / 8] ^= 1 << (bit % 8);
            let read = String::from_utf8(bytes).ok().and_then(|text| Manifest::parse(&text));
            assert_eq!(read, None, "bit {bit}");
        }
        assert_eq!(Manifest::parse(&text[..text.len() - 70]), None);
    }

    #[test]
    fn a_path_that_leads_out_of_the_backup_is_none() {
        for path in ["../keys/votes.guard", "ledger/../../x", "/etc/passwd", "keys/consensus.pem", ""] {
            let mut other = manifest();
            other.files[0].path = path.to_owned();
            assert_eq!(Manifest::parse(&other.text()), None, "{path}");
        }
    }
}
