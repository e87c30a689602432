//! What is deployed: program, source and explanations as one run of bytes, so that what people read is what runs.
//! Layout: LANGUAGE.md, P.

use crate::diagnostic::Diagnostic;
use crate::instruction::take;
use crate::policy::{Language, Policy};
use crate::program::{Program, ProgramError};

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
    /// The program in it does not verify (V).
    Program(ProgramError),
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
            Self::Program(error) => write!(f, "the program is unsound: {error}"),
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

    /// P-3: everything is made anew from the source, and what differs is refused. So a deployment is judged.
    pub fn from_bytes(bytes: &[u8]) -> Result<Self, PackageError> {
        let [_, source, ..] = Self::fields(bytes).ok_or(PackageError::Layout)?;
        let source = std::str::from_utf8(source).map_err(|_| PackageError::Layout)?;
        let package = Self::of(source).map_err(PackageError::Source)?;
        if package.to_bytes() == bytes { Ok(package) } else { Err(PackageError::Differs) }
    }

    /// P-5: what [`Self::from_bytes`] took when it was deployed, as it was. The program is verified, nothing is made anew: a node
    /// of another version, with other words for the same policy, runs and shows what was deployed.
    pub fn as_deployed(bytes: &[u8]) -> Result<Self, PackageError> {
        let [program, source, english, chinese] = Self::fields(bytes).ok_or(PackageError::Layout)?;
        let text = |field: &[u8]| String::from_utf8(field.to_vec()).map_err(|_| PackageError::Layout);
        Ok(Self {
            program: Program::from_bytes(program).map_err(PackageError::Program)?,
            source: text(source)?,
            english: text(english)?,
            chinese: text(chinese)?,
        })
    }

    /// Program, source, English, Chinese.
    fn fields(bytes: &[u8]) -> Option<[&[u8]; 4]> {
        // P-2
        let mut rest = (bytes.len() <= PACKAGE_BYTES_MAX).then_some(bytes)?;
        (take(&mut rest, MAGIC.len()).ok()? == MAGIC).then_some(())?;
        let mut field = || {
            let length = u32::from_be_bytes(take(&mut rest, 4).ok()?.try_into().ok()?);
            take(&mut rest, length as usize).ok()
        };
        let fields = [field()?, field()?, field()?, field()?];
        rest.is_empty().then_some(fields)
    }
}
