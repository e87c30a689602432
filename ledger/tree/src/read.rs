//! How a storage port says that the world failed.

/// The storage behind a reader port failed. It never means "not there": absence is `None`.
#[derive(Debug, thiserror::Error)]
#[error("reading the tree's storage failed: {0}")]
pub struct ReadError(#[source] Box<dyn std::error::Error + Send + Sync>);

impl ReadError {
    pub fn new(source: impl Into<Box<dyn std::error::Error + Send + Sync>>) -> Self {
        Self(source.into())
    }
}
