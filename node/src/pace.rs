//! Heights follow each other as fast as the machine has processors to spare (decision 016).
//!
//! A height costs every node some milliseconds of processor time whatever it orders. Where processors idle, more heights are
//! shorter waits; where none do, they would take the time from the payments.

use std::time::Duration;
use tokio::sync::watch;

const FASTEST: Duration = Duration::from_millis(25);
const SLOWEST: Duration = Duration::from_millis(100);
/// Of the machine's processor time, in thousandths: with more idle heights are fastest, with less slowest.
const IDLE_FOR_FASTEST: u64 = 100;
const IDLE_FOR_SLOWEST: u64 = 30;
const LOOK_EVERY: Duration = Duration::from_millis(500);

/// Ticks of all processors since the machine's start.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct Ticks {
    /// Niced work is in it: it gives way.
    idle: u64,
    all: u64,
}

impl Ticks {
    /// Of the text of `/proc/stat`.
    fn parse(stat: &str) -> Option<Self> {
        let fields = stat.lines().next()?.strip_prefix("cpu ")?;
        // user, nice, system, idle, iowait, irq, softirq, steal; guest time stands in user already.
        let ticks: Vec<u64> = fields.split_whitespace().take(8).map(str::parse).collect::<Result<_, _>>().ok()?;
        let all = ticks.iter().try_fold(0u64, |all, ticks| all.checked_add(*ticks))?;
        let [nice, idle, iowait] = [1, 3, 4].map(|field| ticks.get(field).copied());
        Some(Ticks { idle: nice?.checked_add(idle?)?.checked_add(iowait?)?, all })
    }

    fn idle_per_mille_since(self, before: Self) -> Option<u64> {
        let all = self.all.checked_sub(before.all).filter(|all| *all > 0)?;
        let idle = u128::from(self.idle.saturating_sub(before.idle)) * 1000 / u128::from(all);
        u64::try_from(idle).ok()
    }
}

/// An eighth of the way from `now` to what so much idle time allows: what one node's heights cost is what the others see as load, and
/// with a quarter of the way they would sway.
fn next(now: Duration, idle_per_mille: u64) -> Duration {
    let spare = idle_per_mille.clamp(IDLE_FOR_SLOWEST, IDLE_FOR_FASTEST) - IDLE_FOR_SLOWEST;
    let faster = (SLOWEST - FASTEST).mul_f64(spare as f64 / (IDLE_FOR_FASTEST - IDLE_FOR_SLOWEST) as f64);
    (now * 7 + (SLOWEST - faster)) / 8
}

/// The least time between two heights: slowest until the machine has said how idle it is.
pub fn channel() -> (watch::Sender<Duration>, watch::Receiver<Duration>) {
    watch::channel(SLOWEST)
}

/// Keeps the pace at what this machine allows, for as long as somebody follows it.
pub async fn keep(pace: watch::Sender<Duration>) {
    let mut looks = tokio::time::interval(LOOK_EVERY);
    let mut before = None;
    while !pace.is_closed() {
        looks.tick().await;
        let ticks = std::fs::read_to_string("/proc/stat").ok().and_then(|stat| Ticks::parse(&stat));
        let idle = ticks.zip(before).and_then(|(ticks, before)| ticks.idle_per_mille_since(before));
        before = ticks;
        if let Some(idle) = idle {
            pace.send_modify(|now| *now = next(*now, idle));
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_pace_goes_to_what_the_idle_time_allows() {
        let settled = |idle: u64| (0..100).fold(SLOWEST, |pace, _| next(pace, idle)).as_millis();
        assert_eq!([0, 30, 65, 100, 1000].map(settled), [100, 100, 62, 25, 25]);
        assert_eq!(next(FASTEST, 0), Duration::from_micros(34_375), "by eighths");
    }

    #[test]
    fn idle_time_is_read_as_the_kernel_writes_it() {
        let stat = |line: &str| Ticks::parse(&format!("{line}\ncpu0 1 1 1 1 1 1 1 1 0 0\n"));
        let before = stat("cpu  100 10 50 800 30 0 5 5 9 9").unwrap();
        assert_eq!(before, Ticks { idle: 840, all: 1000 });
        let after = stat("cpu  150 20 50 830 40 0 5 5 99 9").unwrap();
        assert_eq!(after.idle_per_mille_since(before), Some(500), "niced work gives way: it is time to spare");
        assert_eq!(before.idle_per_mille_since(before), None);
        let overflowing = stat("cpu  1 1 1 1 1 0 0 18446744073709551615");
        let none = [stat("cpu  1 2"), stat("cpu  a 10 50 800 30 0 5 5"), stat("intr 1 2 3 4 5 6 7 8"), overflowing];
        assert_eq!(none, [None; 4]);
    }
}
