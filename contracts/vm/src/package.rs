//! What is deployed: program, source and explanations as one run of bytes, so that what people read is what runs.

use crate::diagnostic::Diagnostic;
use crate::program::Program;

#[derive(Clone, PartialEq, Eq, Debug)]
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

impl Package {
    pub fn of(_source: &str) -> Result<Self, Vec<Diagnostic>> {
        todo!()
    }

    /// What the ledger hashes and stores.
    pub fn to_bytes(&self) -> Vec<u8> {
        todo!()
    }

    pub fn from_bytes(_bytes: &[u8]) -> Result<Self, PackageError> {
        todo!()
    }
}
