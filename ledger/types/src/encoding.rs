//! The one byte encoding of everything that is hashed, signed or proved (PROTOCOL.md, "Encoding").
//!
//! Integers are little-endian and of fixed width, `i64` in two's complement; a list is a `u16` count and its items; a byte string is a `u16` length and
//! its bytes; an option is `0` or `1` and the value. The encoding is bijective: `decode(encode(x)) = x`, and bytes that decode
//! encode back to themselves. A length is checked against its maximum and against what is left before anything is allocated.

use thiserror::Error;

#[derive(Debug, Clone, Copy, PartialEq, Eq, Error)]
pub enum DecodeError {
    #[error("the input ends in the middle of a field")]
    Truncated,
    #[error("{0} bytes are left over after the last field")]
    Leftover(usize),
    #[error("a list or string of {count} exceeds its maximum of {max}")]
    TooLong { count: usize, max: usize },
    #[error("the byte {byte} is no value of {field}")]
    UnknownValue { field: &'static str, byte: u8 },
    #[error("{0} is not in its one canonical form")]
    NotCanonical(&'static str),
}

pub trait Encode {
    fn encode(&self, out: &mut Vec<u8>);

    fn to_bytes(&self) -> Vec<u8> {
        let mut out = Vec::new();
        self.encode(&mut out);
        out
    }
}

pub trait Decode: Sized {
    fn decode(reader: &mut Reader<'_>) -> Result<Self, DecodeError>;

    /// Decodes a whole input; bytes left over are an error.
    fn from_bytes(bytes: &[u8]) -> Result<Self, DecodeError> {
        let mut reader = Reader::new(bytes);
        let value = Self::decode(&mut reader)?;
        reader.end()?;
        Ok(value)
    }
}

/// A cursor over untrusted bytes.
pub struct Reader<'a> {
    rest: &'a [u8],
}

impl<'a> Reader<'a> {
    pub fn new(bytes: &'a [u8]) -> Self {
        Reader { rest: bytes }
    }

    pub fn remaining(&self) -> usize {
        self.rest.len()
    }

    pub fn take(&mut self, count: usize) -> Result<&'a [u8], DecodeError> {
        if self.rest.len() < count {
            return Err(DecodeError::Truncated);
        }
        let (taken, rest) = self.rest.split_at(count);
        self.rest = rest;
        Ok(taken)
    }

    pub fn array<const N: usize>(&mut self) -> Result<[u8; N], DecodeError> {
        Ok(self.take(N)?.try_into().expect("take returns exactly N bytes"))
    }

    pub fn read<T: Decode>(&mut self) -> Result<T, DecodeError> {
        T::decode(self)
    }

    pub fn end(&self) -> Result<(), DecodeError> {
        match self.rest.len() {
            0 => Ok(()),
            left => Err(DecodeError::Leftover(left)),
        }
    }
}

macro_rules! integers {
    ($($t:ty),*) => { $(
        impl Encode for $t {
            fn encode(&self, out: &mut Vec<u8>) { out.extend_from_slice(&self.to_le_bytes()); }
        }
        impl Decode for $t {
            fn decode(reader: &mut Reader<'_>) -> Result<Self, DecodeError> { Ok(<$t>::from_le_bytes(reader.array()?)) }
        }
    )* };
}
integers!(u8, u16, u32, u64, u128, i64);

impl<const N: usize> Encode for [u8; N] {
    fn encode(&self, out: &mut Vec<u8>) {
        out.extend_from_slice(self);
    }
}

impl<const N: usize> Decode for [u8; N] {
    fn decode(reader: &mut Reader<'_>) -> Result<Self, DecodeError> {
        reader.array()
    }
}

impl<T: Encode> Encode for Option<T> {
    fn encode(&self, out: &mut Vec<u8>) {
        match self {
            None => out.push(0),
            Some(value) => {
                out.push(1);
                value.encode(out);
            }
        }
    }
}

impl<T: Decode> Decode for Option<T> {
    fn decode(reader: &mut Reader<'_>) -> Result<Self, DecodeError> {
        match reader.read::<u8>()? {
            0 => Ok(None),
            1 => Ok(Some(reader.read()?)),
            byte => Err(DecodeError::UnknownValue { field: "option", byte }),
        }
    }
}

/// At most `MAX` items, written as a `u16` count and the items.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct List<T, const MAX: usize>(Vec<T>);

impl<T, const MAX: usize> List<T, MAX> {
    pub const MAX: usize = MAX;

    pub fn new(items: Vec<T>) -> Result<Self, DecodeError> {
        const { assert!(MAX <= u16::MAX as usize) };
        if items.len() > MAX {
            return Err(DecodeError::TooLong { count: items.len(), max: MAX });
        }
        Ok(List(items))
    }

    pub fn empty() -> Self {
        List(Vec::new())
    }

    pub fn into_vec(self) -> Vec<T> {
        self.0
    }

    /// For changing items in place; the count cannot change.
    pub fn as_mut_slice(&mut self) -> &mut [T] {
        &mut self.0
    }
}

impl<T, const MAX: usize> Default for List<T, MAX> {
    fn default() -> Self {
        Self::empty()
    }
}

impl<T, const MAX: usize> std::ops::Deref for List<T, MAX> {
    type Target = [T];
    fn deref(&self) -> &[T] {
        &self.0
    }
}

impl<'a, T, const MAX: usize> IntoIterator for &'a List<T, MAX> {
    type Item = &'a T;
    type IntoIter = std::slice::Iter<'a, T>;
    fn into_iter(self) -> Self::IntoIter {
        self.0.iter()
    }
}

impl<T: Encode, const MAX: usize> Encode for List<T, MAX> {
    fn encode(&self, out: &mut Vec<u8>) {
        (self.0.len() as u16).encode(out);
        for item in &self.0 {
            item.encode(out);
        }
    }
}

impl<T: Decode, const MAX: usize> Decode for List<T, MAX> {
    fn decode(reader: &mut Reader<'_>) -> Result<Self, DecodeError> {
        let count = reader.read::<u16>()? as usize;
        if count > MAX {
            return Err(DecodeError::TooLong { count, max: MAX });
        }
        // Every item takes at least one byte, so a count beyond what is left is refused before the allocation.
        if count > reader.remaining() {
            return Err(DecodeError::Truncated);
        }
        let mut items = Vec::with_capacity(count);
        for _ in 0..count {
            items.push(reader.read()?);
        }
        Ok(List(items))
    }
}

/// A byte string of at most `MAX` bytes.
#[derive(Clone, Debug, PartialEq, Eq, Hash, Default)]
pub struct Octets<const MAX: usize>(Vec<u8>);

impl<const MAX: usize> Octets<MAX> {
    pub fn new(bytes: Vec<u8>) -> Result<Self, DecodeError> {
        const { assert!(MAX <= u16::MAX as usize) };
        if bytes.len() > MAX {
            return Err(DecodeError::TooLong { count: bytes.len(), max: MAX });
        }
        Ok(Octets(bytes))
    }
}

impl<const MAX: usize> std::ops::Deref for Octets<MAX> {
    type Target = [u8];
    fn deref(&self) -> &[u8] {
        &self.0
    }
}

impl<const MAX: usize> Encode for Octets<MAX> {
    fn encode(&self, out: &mut Vec<u8>) {
        (self.0.len() as u16).encode(out);
        out.extend_from_slice(&self.0);
    }
}

impl<const MAX: usize> Decode for Octets<MAX> {
    fn decode(reader: &mut Reader<'_>) -> Result<Self, DecodeError> {
        let count = reader.read::<u16>()? as usize;
        if count > MAX {
            return Err(DecodeError::TooLong { count, max: MAX });
        }
        Ok(Octets(reader.take(count)?.to_vec()))
    }
}

/// UTF-8 text of at most `MAX` bytes without control characters.
#[derive(Clone, Debug, PartialEq, Eq, Hash, Default)]
pub struct Text<const MAX: usize>(String);

impl<const MAX: usize> Text<MAX> {
    pub fn new(text: &str) -> Result<Self, DecodeError> {
        if text.len() > MAX {
            return Err(DecodeError::TooLong { count: text.len(), max: MAX });
        }
        if text.chars().any(char::is_control) {
            return Err(DecodeError::NotCanonical("text with a control character"));
        }
        Ok(Text(text.to_owned()))
    }

    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl<const MAX: usize> Encode for Text<MAX> {
    fn encode(&self, out: &mut Vec<u8>) {
        (self.0.len() as u16).encode(out);
        out.extend_from_slice(self.0.as_bytes());
    }
}

impl<const MAX: usize> Decode for Text<MAX> {
    fn decode(reader: &mut Reader<'_>) -> Result<Self, DecodeError> {
        let bytes: Octets<MAX> = reader.read()?;
        let text = std::str::from_utf8(&bytes).map_err(|_| DecodeError::NotCanonical("text that is not UTF-8"))?;
        Text::new(text)
    }
}

/// Declares a structure's layout: its fields, in this order, each in its own encoding.
#[macro_export]
macro_rules! layout {
    ($t:ty { $($field:ident),* $(,)? }) => {
        impl $crate::encoding::Encode for $t {
            fn encode(&self, out: &mut Vec<u8>) {
                $( $crate::encoding::Encode::encode(&self.$field, out); )*
            }
        }
        impl $crate::encoding::Decode for $t {
            fn decode(reader: &mut $crate::encoding::Reader<'_>) -> Result<Self, $crate::encoding::DecodeError> {
                $( let $field = reader.read()?; )*
                Ok(Self { $($field),* })
            }
        }
    };
}

/// Declares a `u8` enumeration with one number a variant; any other byte is refused.
#[macro_export]
macro_rules! numbered {
    ($(#[$meta:meta])* pub enum $name:ident { $($(#[$vmeta:meta])* $variant:ident = $number:literal),* $(,)? }) => {
        $(#[$meta])*
        #[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
        #[repr(u8)]
        pub enum $name { $($(#[$vmeta])* $variant = $number),* }
        impl $name {
            pub const ALL: &'static [$name] = &[$($name::$variant),*];
            pub const fn number(self) -> u8 { self as u8 }
        }
        impl $crate::encoding::Encode for $name {
            fn encode(&self, out: &mut Vec<u8>) { out.push(*self as u8); }
        }
        impl $crate::encoding::Decode for $name {
            fn decode(reader: &mut $crate::encoding::Reader<'_>) -> Result<Self, $crate::encoding::DecodeError> {
                match reader.read::<u8>()? {
                    $($number => Ok($name::$variant),)*
                    byte => Err($crate::encoding::DecodeError::UnknownValue { field: stringify!($name), byte }),
                }
            }
        }
    };
}
