//! Stored values that no one outside this node ever reads, in bincode: fixed-width integers, little-endian.
//!
//! The one module that names bincode. What is hashed, signed or shown to others keeps its canonical encoding
//! (`ledger-types::encoding`); this is for rows like a bundle's place in its file and for the roles' private columns.
//! A value is bounded before it is decoded, and bytes left over after it are refused.

use bincode::config::{Configuration, Fixint, Limit, LittleEndian};
use serde::Serialize;
use serde::de::DeserializeOwned;

/// Above every row of a role; one bundle or block has a file or a canonical encoding of its own.
pub const VALUE_BYTES_MAX: usize = 16 << 20;

const LAYOUT: Configuration<LittleEndian, Fixint, Limit<VALUE_BYTES_MAX>> =
    bincode::config::standard().with_little_endian().with_fixed_int_encoding().with_limit::<VALUE_BYTES_MAX>();

#[derive(Debug, thiserror::Error)]
pub enum ValueError {
    #[error("it does not encode: {0}")]
    Encode(#[from] bincode::error::EncodeError),
    #[error("it does not decode: {0}")]
    Decode(#[from] bincode::error::DecodeError),
    #[error("{0} bytes are left over after it")]
    Leftover(usize),
    #[error("{0} bytes exceed the maximum of {VALUE_BYTES_MAX}")]
    TooLong(usize),
}

pub(crate) fn encode<V: Serialize>(value: &V, out: &mut Vec<u8>) -> Result<(), ValueError> {
    let before = out.len();
    bincode::serde::encode_into_std_write(value, out, LAYOUT)?;
    match out.len() - before {
        long if long > VALUE_BYTES_MAX => Err(ValueError::TooLong(long)),
        _ => Ok(()),
    }
}

pub(crate) fn decode<V: DeserializeOwned>(bytes: &[u8]) -> Result<V, ValueError> {
    if bytes.len() > VALUE_BYTES_MAX {
        return Err(ValueError::TooLong(bytes.len()));
    }
    let (value, used) = bincode::serde::decode_from_slice(bytes, LAYOUT)?;
    match bytes.len() - used {
        0 => Ok(value),
        left => Err(ValueError::Leftover(left)),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[derive(Debug, PartialEq, serde::Serialize, serde::Deserialize)]
    struct Row {
        number: u32,
        place: u64,
        name: String,
        parts: Vec<u16>,
        end: Option<u8>,
    }

    fn row() -> Row {
        Row { number: 7, place: 1 << 40, name: "öre".into(), parts: vec![1, 2], end: Some(9) }
    }

    #[test]
    fn the_bytes_of_a_value_are_fixed_width_and_little_endian() {
        let mut bytes = Vec::new();
        encode(&row(), &mut bytes).unwrap();
        assert_eq!(
            hex::encode(&bytes),
            "07000000000000000001000004000000000000 00c3b67265020000000000000001000200 0109".replace(' ', "")
        );
        assert_eq!(decode::<Row>(&bytes).unwrap(), row());
    }

    #[test]
    fn bytes_left_over_or_missing_are_refused() {
        let mut bytes = Vec::new();
        encode(&row(), &mut bytes).unwrap();
        assert!(matches!(decode::<Row>(&bytes[..bytes.len() - 1]), Err(ValueError::Decode(_))));
        bytes.push(0);
        assert!(matches!(decode::<Row>(&bytes), Err(ValueError::Leftover(1))));
    }

    #[test]
    fn a_length_beyond_the_limit_is_refused_before_anything_is_allocated() {
        let claim = u64::MAX.to_le_bytes();
        assert!(matches!(decode::<Vec<u64>>(&claim), Err(ValueError::Decode(_))));
        let claim = (VALUE_BYTES_MAX as u64 + 1).to_le_bytes();
        assert!(matches!(decode::<Vec<u8>>(&claim), Err(ValueError::Decode(_))));
        assert!(matches!(decode::<u8>(&vec![0; VALUE_BYTES_MAX + 1]), Err(ValueError::TooLong(_))));
    }
}
