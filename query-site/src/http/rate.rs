//! How often a stranger may ask: a token bucket for each remote network.
//!
//! The remote network is the one that connects; behind a proxy that is the proxy, which then has to limit its own callers: no
//! header of a request is believed.

use super::RemoteNetwork;
use crate::config::Limits;
use governor::clock::{Clock, DefaultClock};
use governor::{DefaultKeyedRateLimiter, Quota};
use std::sync::Arc;
use std::sync::atomic::{AtomicU32, Ordering};
use std::time::Duration;

/// Networks that have been silent for long are forgotten once in so many requests.
const FORGET_EVERY: u32 = 4096;

#[derive(Clone)]
pub struct Rate(Arc<Bucket>);

struct Bucket {
    limiter: DefaultKeyedRateLimiter<RemoteNetwork>,
    asked: AtomicU32,
}

impl Rate {
    pub fn new(limits: &Limits) -> Self {
        let quota = Quota::per_second(limits.requests_per_second).allow_burst(limits.burst);
        Rate(Arc::new(Bucket { limiter: DefaultKeyedRateLimiter::keyed(quota), asked: AtomicU32::new(0) }))
    }

    /// How long to wait when there is none left.
    pub fn take(&self, from: RemoteNetwork) -> Result<(), Duration> {
        if self.0.asked.fetch_add(1, Ordering::Relaxed) % FORGET_EVERY == FORGET_EVERY - 1 {
            self.0.limiter.retain_recent();
        }
        self.0.limiter.check_key(&from).map_err(|until| until.wait_time_from(DefaultClock::default().now()))
    }
}
