//! One way to number a kind of "no": a number that is written down, a code for programs, a sentence for people.

/// Declares an enumeration of numbered reasons. Numbers are protocol: they are never given to another reason.
macro_rules! numbered_reasons {
    ($(#[$meta:meta])* pub enum $name:ident { $($(#[doc = $doc:literal])* $variant:ident = $number:literal, $code:literal),* $(,)? }) => {
        $(#[$meta])*
        #[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
        #[repr(u16)]
        pub enum $name { $($(#[doc = $doc])* $variant = $number),* }
        impl $name {
            pub const ALL: &'static [$name] = &[$($name::$variant),*];
            pub const fn number(self) -> u16 { self as u16 }
            /// Stable, for programs.
            pub const fn code(self) -> &'static str { match self { $($name::$variant => $code),* } }
            /// For people.
            pub fn message(self) -> &'static str { match self { $($name::$variant => concat!($($doc),*).trim_ascii()),* } }
            pub fn from_number(number: u16) -> Option<Self> { match number { $($number => Some($name::$variant),)* _ => None } }
        }
        impl std::fmt::Display for $name {
            fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
                write!(f, "{} ({}): {}", self.code(), self.number(), self.message())
            }
        }
        impl std::error::Error for $name {}
    };
}

pub(crate) use numbered_reasons;
