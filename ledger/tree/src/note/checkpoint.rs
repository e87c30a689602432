//! The text of a checkpoint (tlog-checkpoint): origin, size, root, one a line.
//!
//! Ours have no extension lines; such lines of others are kept as they are, for they are signed too.

use base64::Engine;
use base64::engine::general_purpose::STANDARD as BASE64;

use super::NOTE_BYTES_MAX;
use crate::Hash;

/// Bounds for a checkpoint of others; the specification leaves them open and advises against extension lines.
pub const EXTENSION_LINES_MAX: usize = 16;

/// A tree head. Says nothing about who signed it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Checkpoint {
    origin: String,
    size: u64,
    root: Hash,
    extensions: Vec<String>,
}

/// Why a text is not a checkpoint's.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum CheckpointError {
    #[error("the checkpoint is longer than {NOTE_BYTES_MAX} bytes")]
    TooLong,
    #[error("the checkpoint does not end in newline")]
    Unterminated,
    #[error("the origin is empty or has a control character")]
    InvalidOrigin,
    #[error("the size is not a decimal number below 2^64 without leading zeros")]
    InvalidSize,
    #[error("the root is not the base64 of 32 bytes")]
    InvalidRoot,
    #[error("an extension line is empty or has a control character, or there are more than {EXTENSION_LINES_MAX}")]
    InvalidExtension,
}

impl Checkpoint {
    pub fn new(origin: &str, size: u64, root: Hash) -> Result<Self, CheckpointError> {
        if !line_is_valid(origin) {
            return Err(CheckpointError::InvalidOrigin);
        }
        Ok(Self { origin: origin.to_owned(), size, root, extensions: Vec::new() })
    }

    /// Parses the text of a [`Note`](super::Note).
    pub fn parse(text: &str) -> Result<Self, CheckpointError> {
        if text.len() > NOTE_BYTES_MAX {
            return Err(CheckpointError::TooLong);
        }
        let mut lines = text.strip_suffix('\n').ok_or(CheckpointError::Unterminated)?.split('\n');
        let origin = lines.next().filter(|line| line_is_valid(line)).ok_or(CheckpointError::InvalidOrigin)?;
        let size = lines.next().and_then(parse_size).ok_or(CheckpointError::InvalidSize)?;
        let root = lines.next().and_then(parse_root).ok_or(CheckpointError::InvalidRoot)?;
        let extensions: Vec<String> = lines.take(EXTENSION_LINES_MAX + 1).map(str::to_owned).collect();
        if extensions.len() > EXTENSION_LINES_MAX || !extensions.iter().all(|line| line_is_valid(line)) {
            return Err(CheckpointError::InvalidExtension);
        }
        Ok(Self { origin: origin.to_owned(), size, root, extensions })
    }

    pub fn origin(&self) -> &str {
        &self.origin
    }

    pub fn size(&self) -> u64 {
        self.size
    }

    pub fn root(&self) -> &Hash {
        &self.root
    }

    /// Opaque lines after the root; empty in a checkpoint of ours.
    pub fn extensions(&self) -> &[String] {
        &self.extensions
    }

    /// What the log signs and the cosigners cosign.
    pub fn to_text(&self) -> String {
        let mut text = format!("{}\n{}\n{}\n", self.origin, self.size, BASE64.encode(self.root));
        self.extensions.iter().for_each(|line| text.extend([line, "\n"]));
        text
    }
}

fn parse_size(line: &str) -> Option<u64> {
    let digits = line.bytes().all(|byte| byte.is_ascii_digit());
    let leading_zero = line.len() > 1 && line.starts_with('0');
    // `u64::from_str` alone would take "+1".
    if digits && !leading_zero { line.parse().ok() } else { None }
}

fn parse_root(line: &str) -> Option<Hash> {
    // 44 characters are 32 bytes: checked first, so that nothing longer is decoded.
    if line.len() == 44 { BASE64.decode(line).ok()?.try_into().ok() } else { None }
}

fn line_is_valid(line: &str) -> bool {
    !line.is_empty() && line.bytes().all(|byte| byte >= b' ')
}
