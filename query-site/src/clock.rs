//! The program's one clock. A test sets it.

use std::sync::Arc;

/// Milliseconds since 1970, UTC.
#[derive(Clone)]
pub struct Clock(Arc<dyn Fn() -> u64 + Send + Sync>);

impl Clock {
    #[expect(clippy::disallowed_methods, reason = "the site's one clock")]
    pub fn system() -> Self {
        Clock(Arc::new(|| {
            let since = std::time::SystemTime::now().duration_since(std::time::UNIX_EPOCH).unwrap_or_default();
            u64::try_from(since.as_millis()).unwrap_or(u64::MAX)
        }))
    }

    pub fn of(read: impl Fn() -> u64 + Send + Sync + 'static) -> Self {
        Clock(Arc::new(read))
    }

    pub fn now_ms(&self) -> u64 {
        (self.0)()
    }
}
