//! C2SP signed notes, checkpoints and cosignatures: strict, bounded, both directions.
//!
//! What stays true here:
//! - A note that parses writes back to the same bytes.
//! - Lengths are checked before anything is decoded or allocated in their proportion.
//! - Signatures of keys that the verifier does not have are ignored, a failing one of a key that it has is an error
//!   (signed-note, "Signatures"); Ed25519 is checked by `verify_strict`, small-order keys are refused (rule G-2).
//! - One key counts once, however many lines it has.
//!
//! A parsed [`Note`] is believed by nobody: its text becomes a statement only through [`NoteKey::signed`] and
//! [`CosignerKey::cosigned`]. Left to others: which keys to ask, how many must agree, and how old a cosignature may be
//! (rules L-2, L-3).
//!
//! ```text
//! note      = text, ends in newline ‖ newline ‖ one or more lines
//! line      = "— " ‖ name ‖ " " ‖ base64(key id[4] ‖ signature) ‖ newline
//! key id    = SHA-256(name ‖ newline ‖ type u8 ‖ key[32])[..4]                type: 1 plain, 4 cosignature
//! vkey      = name ‖ "+" ‖ hex(key id) ‖ "+" ‖ base64(type u8 ‖ key[32])
//! type 1    signature[64] over the text
//! type 4    time u64 big-endian, seconds ‖ signature[64] over "cosignature/v1\ntime " ‖ time, decimal ‖ newline ‖ text
//! ```

mod checkpoint;
mod key;

use base64::Engine;
use base64::engine::general_purpose::STANDARD as BASE64;

pub use checkpoint::{Checkpoint, CheckpointError};
pub use key::{CosignerKey, KeyError, NoteKey, SignatureError, VerifierKey, cosignature_message};

/// Sixteen post-quantum signatures (nearly 5 kB, a third more in base64) must fit beside ours (signed-note, "Format").
pub const NOTE_BYTES_MAX: usize = 256 * 1024;
/// The specification asks for 16 at least; a checkpoint here has one for every validator and the log's.
pub const SIGNATURES_MAX: usize = 256;
/// A cosigner's name has this bound in tlog-cosignature.
pub const NAME_BYTES_MAX: usize = 255;
/// ML-DSA-44 with time and key id, the longest that a note of ours could meet, has 2,432 bytes.
pub const SIGNATURE_BYTES_MAX: usize = 8 * 1024;

/// Why bytes are not a note, or a note cannot be written.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum NoteError {
    #[error("the note has {0} bytes, more than {NOTE_BYTES_MAX}")]
    TooLong(usize),
    #[error("the note is not UTF-8")]
    NotUtf8,
    #[error("the note has a control character other than newline")]
    ControlCharacter,
    #[error("the text does not end in newline")]
    TextWithoutNewline,
    #[error("no empty line separates text and signatures")]
    NoSignatures,
    #[error("the note has more than {SIGNATURES_MAX} signatures")]
    TooManySignatures,
    #[error("the signature block does not end in newline")]
    UnterminatedSignature,
    #[error("signature line {0} is not dash, space, name, space, signature")]
    MalformedLine(usize),
    #[error("signature line {0} has an invalid key name")]
    InvalidName(usize),
    #[error("signature line {0} is not the base64 of a key id and 1 to {SIGNATURE_BYTES_MAX} bytes")]
    InvalidSignatureBytes(usize),
}

/// One signature line, unchecked.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct NoteSignature {
    name: String,
    key_id: [u8; 4],
    signature: Vec<u8>,
}

impl NoteSignature {
    pub fn name(&self) -> &str {
        &self.name
    }

    pub fn key_id(&self) -> [u8; 4] {
        self.key_id
    }

    pub fn signature(&self) -> &[u8] {
        &self.signature
    }

    /// The line as it stands in a note, newline included.
    pub fn to_line(&self) -> String {
        let bytes = [&self.key_id[..], &self.signature].concat();
        format!("— {} {}\n", self.name, BASE64.encode(bytes))
    }

    fn parse(line: &str, number: usize) -> Result<Self, NoteError> {
        let (name, encoded) =
            line.strip_prefix("— ").and_then(|rest| rest.split_once(' ')).ok_or(NoteError::MalformedLine(number))?;
        if !name_is_valid(name) {
            return Err(NoteError::InvalidName(number));
        }
        if encoded.len() > (4 + SIGNATURE_BYTES_MAX).div_ceil(3) * 4 {
            return Err(NoteError::InvalidSignatureBytes(number));
        }
        let bytes = BASE64.decode(encoded).map_err(|_| NoteError::InvalidSignatureBytes(number))?;
        match bytes.split_first_chunk::<4>() {
            Some((key_id, signature)) if (1..=SIGNATURE_BYTES_MAX).contains(&signature.len()) => {
                Ok(Self { name: name.to_owned(), key_id: *key_id, signature: signature.to_vec() })
            }
            _ => Err(NoteError::InvalidSignatureBytes(number)),
        }
    }
}

/// A text with its signature lines, in their order. Well-formed, nothing verified.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Note {
    text: String,
    signatures: Vec<NoteSignature>,
}

impl Note {
    /// Puts signatures under a text that ends in newline.
    pub fn new(text: String, signatures: Vec<NoteSignature>) -> Result<Self, NoteError> {
        check_characters(&text)?;
        if !text.ends_with('\n') {
            return Err(NoteError::TextWithoutNewline);
        }
        if signatures.is_empty() {
            return Err(NoteError::NoSignatures);
        }
        if signatures.len() > SIGNATURES_MAX {
            return Err(NoteError::TooManySignatures);
        }
        let note = Self { text, signatures };
        let bytes = note.to_string().len();
        if bytes > NOTE_BYTES_MAX { Err(NoteError::TooLong(bytes)) } else { Ok(note) }
    }

    pub fn parse(bytes: &[u8]) -> Result<Self, NoteError> {
        if bytes.len() > NOTE_BYTES_MAX {
            return Err(NoteError::TooLong(bytes.len()));
        }
        let note = std::str::from_utf8(bytes).map_err(|_| NoteError::NotUtf8)?;
        check_characters(note)?;
        // The text may have empty lines of its own: the last one separates.
        let empty_line = note.rfind("\n\n").ok_or(NoteError::NoSignatures)?;
        let (text, block) = (&note[..=empty_line], &note[empty_line + 2..]);
        if block.is_empty() {
            return Err(NoteError::NoSignatures);
        }
        let lines = block.strip_suffix('\n').ok_or(NoteError::UnterminatedSignature)?;
        if lines.bytes().filter(|byte| *byte == b'\n').count() >= SIGNATURES_MAX {
            return Err(NoteError::TooManySignatures);
        }
        let lines = lines.split('\n').enumerate();
        let signatures = lines.map(|(index, line)| NoteSignature::parse(line, index + 1)).collect::<Result<_, _>>()?;
        Ok(Self { text: text.to_owned(), signatures })
    }

    /// What is signed, final newline included.
    pub fn text(&self) -> &str {
        &self.text
    }

    pub fn signatures(&self) -> &[NoteSignature] {
        &self.signatures
    }
}

/// The note's bytes.
impl std::fmt::Display for Note {
    fn fmt(&self, formatter: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        writeln!(formatter, "{}", self.text)?;
        self.signatures.iter().try_for_each(|signature| formatter.write_str(&signature.to_line()))
    }
}

fn check_characters(text: &str) -> Result<(), NoteError> {
    match text.bytes().any(|byte| byte < 0x20 && byte != b'\n') {
        true => Err(NoteError::ControlCharacter),
        false => Ok(()),
    }
}

/// Not empty, no Unicode space, no plus; no control character either, for it stands in a note.
fn name_is_valid(name: &str) -> bool {
    let refused = |character: char| character.is_whitespace() || character == '+' || character < ' ';
    (1..=NAME_BYTES_MAX).contains(&name.len()) && !name.contains(refused)
}
