//! What is deployed: program, source and explanations as one run of bytes, so that what people read is what runs.
//! Layout: LANGUAGE.md, P.

use crate::diagnostic::Diagnostic;
use crate::instruction::take;
use crate::policy::{Language, Policy};
use crate::program::Program;

#[derive(Clone, PartialEq, Eq, Debug)]
#[non_exhaustive]
pub struct Package {
    pub program: Program,
    /// Canonical.
    pub source: String,
    pub english: String,
    pub chinese: String,
}

/// Why bytes are no package.
#[derive(Clone, PartialEq, Eq, Debug)]
pub enum PackageError {
    /// Cut short, too long, leftovers, or not UTF-8.
    Layout,
    /// The source in it is no policy.
    Source(Vec<Diagnostic>),
    /// The source is a policy, but not in its canonical form, or program or explanations are not what it gives.
    Differs,
}

impl std::fmt::Display for PackageError {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            Self::Layout => f.write_str("the bytes are no package"),
            Self::Source(diagnostics) => {
                f.write_str("the source is no policy")?;
                diagnostics.first().map_or(Ok(()), |first| write!(f, ": {first}"))
            }
            Self::Differs => f.write_str("program, source and explanations do not say the same"),
        }
    }
}

impl std::error::Error for PackageError {}

const MAGIC: &[u8; 4] = b"APK\x01";
/// Above what the largest source explains itself in: each of its bytes gives less than sixteen of an explanation.
pub const PACKAGE_BYTES_MAX: usize = 512 * 1024;

impl Package {
    /// From any way of writing the policy.
    pub fn of(source: &str) -> Result<Self, Vec<Diagnostic>> {
        Ok(Self::of_policy(&crate::policy_of(source)?))
    }

    pub fn of_policy(policy: &Policy) -> Self {
        Self {
            program: policy.compile(),
            source: policy.canonical(),
            english: policy.explain(Language::English),
            chinese: policy.explain(Language::Chinese),
        }
    }

    /// What the ledger hashes and stores: four fields, each behind its length in four bytes.
    pub fn to_bytes(&self) -> Vec<u8> {
        let program = self.program.to_bytes();
        let mut bytes = MAGIC.to_vec();
        for field in [&program[..], self.source.as_bytes(), self.english.as_bytes(), self.chinese.as_bytes()] {
            bytes.extend(u32::try_from(field.len()).expect("its bounds are far below").to_be_bytes());
            bytes.extend(field);
        }
        bytes
    }

    /// P-3: everything is made anew from the source, and what differs is refused.
    pub fn from_bytes(bytes: &[u8]) -> Result<Self, PackageError> {
        if bytes.len() > PACKAGE_BYTES_MAX {
            return Err(PackageError::Layout);
        }
        let source = Self::source_of(bytes).ok_or(PackageError::Layout)?;
        let package = Self::of(source).map_err(PackageError::Source)?;
        if package.to_bytes() == bytes { Ok(package) } else { Err(PackageError::Differs) }
    }

    fn source_of(bytes: &[u8]) -> Option<&str> {
        let mut rest = bytes;
        (take(&mut rest, MAGIC.len()).ok()? == MAGIC).then_some(())?;
        let mut field = || {
            let length = u32::from_be_bytes(take(&mut rest, 4).ok()?.try_into().ok()?);
            take(&mut rest, length as usize).ok()
        };
        let (_, source, _, _) = (field()?, field()?, field()?, field()?);
        if rest.is_empty() { std::str::from_utf8(source).ok() } else { None }
    }
}
