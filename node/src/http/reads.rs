//! Reads of the disk, and other work of some milliseconds, away from the workers that consensus runs on.
//!
//! Few run at once and few more wait: a crowd of readers costs consensus a share of the processors that is known beforehand,
//! and the crowd hears "later" instead of waiting for long.

use super::refusal::{Refusal, internal, overloaded};
use std::sync::Arc;
use tokio::sync::Semaphore;

/// At once, each on a thread of its own.
const RUNNING: usize = 2;
/// Running or waiting.
const ADMITTED: usize = 64;

#[derive(Clone)]
pub struct Reads {
    admitted: Arc<Semaphore>,
    running: Arc<Semaphore>,
}

impl Default for Reads {
    fn default() -> Self {
        Reads::new(ADMITTED, RUNNING)
    }
}

impl Reads {
    fn new(admitted: usize, running: usize) -> Self {
        Reads { admitted: Arc::new(Semaphore::new(admitted)), running: Arc::new(Semaphore::new(running)) }
    }

    /// The result of `read`, or 503 when too many read already. A read whose caller went away keeps its place to its end.
    pub async fn run<T: Send + 'static>(
        &self,
        read: impl FnOnce() -> Result<T, Refusal> + Send + 'static,
    ) -> Result<T, Refusal> {
        let admitted = self.admitted.clone().try_acquire_owned().map_err(|_| overloaded("too many reads wait"))?;
        let running = self.running.clone().acquire_owned().await.expect("the semaphore is never closed");
        let done = tokio::task::spawn_blocking(move || {
            let _places = (admitted, running);
            read()
        });
        done.await.unwrap_or_else(|error| Err(internal(error)))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::sync::mpsc;

    #[tokio::test]
    async fn readers_beyond_the_bound_hear_503_and_the_runtime_goes_on() {
        let reads = Reads::new(2, 1);
        let (let_go, held) = mpsc::channel::<()>();
        let (began, begun) = tokio::sync::oneshot::channel();
        let slow = tokio::spawn({
            let reads = reads.clone();
            async move {
                let read = move || {
                    let _ = began.send(());
                    held.recv().map_err(internal)
                };
                reads.run(read).await
            }
        });
        // The one worker of this runtime is free while the read holds its thread.
        begun.await.unwrap();
        let mut waits = Box::pin(reads.run(|| Ok(7)));
        assert!(futures::poll!(waits.as_mut()).is_pending());
        let refused = reads.run(|| Ok(8)).await.unwrap_err();
        assert_eq!((refused.0.status, refused.0.code.as_str()), (503, "overloaded"));
        assert!(refused.0.retry_after_s.is_some());
        let_go.send(()).unwrap();
        slow.await.unwrap().unwrap();
        assert_eq!(waits.await.unwrap(), 7);
        assert_eq!(reads.run(|| Ok(9)).await.unwrap(), 9);
    }
}
