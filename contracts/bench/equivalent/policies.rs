//! The five policies as a user would write them in Rust, for WebAssembly: the whole of each. A reading is looked at for its
//! age and its place, a term is counted on the calendar, what leaves 64 bits denies, and a feed that is stale takes the
//! branch that the policy declares. `build.rs` compiles it.

#[allow(dead_code)]
#[path = "../../vm/src/calendar.rs"]
mod calendar;

use calendar::{days_to_months_ahead, month_of_year, weekday};

const MS_PER_DAY: u64 = 86_400_000;
const PERCENT: i64 = 10_000;
const BP: i64 = 100;

#[repr(C)]
#[derive(Clone, Copy)]
pub struct Reading {
    value: i64,
    published_ms: u64,
    valid_until_ms: u64,
    period: i64,
}

const READINGS_MAX: usize = 64;
const NONE: Reading = Reading { value: 0, published_ms: 0, valid_until_ms: 0, period: 0 };

/// Two feeds, newest reading first. The host writes them.
static mut READINGS: [[Reading; READINGS_MAX]; 2] = [[NONE; READINGS_MAX]; 2];
static mut COUNTS: [u64; 2] = [0; 2];

#[unsafe(no_mangle)]
pub extern "C" fn readings() -> *mut [[Reading; READINGS_MAX]; 2] {
    &raw mut READINGS
}

#[unsafe(no_mangle)]
pub extern "C" fn counts() -> *mut [u64; 2] {
    &raw mut COUNTS
}

struct Feed {
    at: usize,
    max_age_days: u64,
    /// From the series' decimals to hundredths of a basis point, or 1.
    finer: i64,
}

impl Feed {
    fn reading(&self, back: usize) -> Option<Reading> {
        // Nothing else runs in the module.
        let (readings, count) = unsafe { (&(*(&raw const READINGS))[self.at], (*(&raw const COUNTS))[self.at]) };
        if (back as u64) < count { readings.get(back).copied() } else { None }
    }

    fn newest(&self, now_ms: u64) -> Option<Reading> {
        let newest = self.reading(0)?;
        let age_ms = now_ms.checked_sub(newest.published_ms)?;
        (age_ms <= self.max_age_days * MS_PER_DAY && now_ms <= newest.valid_until_ms).then_some(newest)
    }

    fn older(&self, newest: Reading, back: usize) -> Option<i64> {
        self.reading(back).filter(|older| newest.period - older.period == back as i64).map(|older| older.value)
    }

    fn level(&self, now_ms: u64) -> Option<i64> {
        self.newest(now_ms)?.value.checked_mul(self.finer)
    }

    fn growth(&self, now_ms: u64, periods: usize) -> Option<i64> {
        let newest = self.newest(now_ms)?;
        let older = self.older(newest, periods)?;
        if older <= 0 {
            return None;
        }
        let change = newest.value.checked_sub(older)?.checked_mul(100 * PERCENT)?;
        Some(divide_half_even(change, older))
    }

    fn change(&self, now_ms: u64, periods: usize) -> Option<i64> {
        let newest = self.newest(now_ms)?;
        newest.value.checked_mul(self.finer)?.checked_sub(self.older(newest, periods)?.checked_mul(self.finer)?)
    }

    fn falls(&self, now_ms: u64, periods: usize) -> Option<bool> {
        let newest = self.newest(now_ms)?;
        let (mut later, mut falls) = (newest.value, true);
        for back in 1..=periods {
            let value = self.older(newest, back)?;
            falls &= later < value;
            later = value;
        }
        Some(falls)
    }

    fn average(&self, now_ms: u64, periods: usize) -> Option<i64> {
        let newest = self.newest(now_ms)?;
        let mut sum = newest.value;
        for back in 1..periods {
            sum = sum.checked_add(self.older(newest, back)?)?;
        }
        Some(divide_half_even(sum.checked_mul(self.finer)?, periods as i64))
    }
}

fn divide_half_even(value: i64, divisor: i64) -> i64 {
    let (quotient, rest) = (value.div_euclid(divisor), value.rem_euclid(divisor));
    quotient + i64::from(rest + (quotient & 1) > divisor - rest)
}

/// By a factor of six decimals.
fn times(value: i64, factor: i64) -> Option<i64> {
    value.checked_mul(factor).map(|product| divide_half_even(product, 1_000_000))
}

fn rounded(rate: i64, lower: i64, upper: i64, step: i64) -> i64 {
    if rate <= lower {
        lower
    } else if rate >= upper {
        upper
    } else {
        divide_half_even(rate, step) * step
    }
}

fn day(time_ms: u64) -> i64 {
    (time_ms / MS_PER_DAY) as i64
}

fn is_within(term_days: i64, time_ms: u64, months: i64) -> bool {
    term_days <= days_to_months_ahead(day(time_ms), months)
}

/// The bits of a sector list, by the place of a code in the published list.
fn has(low: u64, high: u64, sector: u64) -> bool {
    (u128::from(high) << 64 | u128::from(low)) >> (sector & 127) & 1 == 1
}

#[unsafe(no_mangle)]
pub extern "C" fn time_verdict(time_ms: u64, _: u64, _: u64, _: u64, _: i64, term_days: i64) -> i64 {
    let today = day(time_ms);
    let is_in_season = (20_454..20_544).contains(&today) || (20_544..20_635).contains(&today);
    let is_permitted = is_in_season
        && (1..=3).contains(&month_of_year(today))
        && weekday(today) <= 4
        && is_within(term_days, time_ms, 9);
    is_permitted.into()
}

#[unsafe(no_mangle)]
pub extern "C" fn time_rate(time_ms: u64, activated_ms: u64) -> i64 {
    let age = day(time_ms.saturating_sub(activated_ms));
    rounded(if age > 180 { 25_000 } else { 15_000 }, 0, 25_000, BP)
}

const JOBS: Feed = Feed { at: 0, max_age_days: 75, finer: 1 };

#[unsafe(no_mangle)]
pub extern "C" fn sector_verdict(time_ms: u64, sector: u64, low: u64, high: u64, _: i64, term_days: i64) -> i64 {
    let is_permitted = || {
        let is_bubble = JOBS.level(time_ms)? > times(JOBS.average(time_ms, 24)?, 1_100_000)?;
        Some(
            !is_bubble
                && (13_149..16_801).contains(&day(time_ms))
                && has(low, high, sector)
                && JOBS.growth(time_ms, 12)? < 0
                && is_within(term_days, time_ms, 60),
        )
    };
    is_permitted().unwrap_or(false).into()
}

#[unsafe(no_mangle)]
pub extern "C" fn sector_rate(time_ms: u64, _: u64) -> i64 {
    let rate = JOBS.growth(time_ms, 12).map_or(25_000, |growth| match growth {
        ..-100_000 => 2_500,
        ..0 => 10_000,
        _ => 25_000,
    });
    rounded(rate, 2_500, 25_000, BP)
}

const RATE: Feed = Feed { at: 0, max_age_days: 45, finer: 100 };

#[unsafe(no_mangle)]
pub extern "C" fn loan_rate_verdict(time_ms: u64, _: u64, _: u64, _: u64, loan_rate: i64, term_days: i64) -> i64 {
    let lpr = RATE.level(time_ms).unwrap_or(3 * PERCENT);
    let is_permitted = lpr.checked_add(50 * BP).is_some_and(|most| loan_rate <= most)
        && loan_rate >= 0
        && is_within(term_days, time_ms, 12);
    is_permitted.into()
}

#[unsafe(no_mangle)]
pub extern "C" fn loan_rate_rate(time_ms: u64, _: u64) -> i64 {
    let lpr = RATE.level(time_ms).unwrap_or(3 * PERCENT);
    let rate = lpr.checked_sub(150 * BP).map_or(3 * PERCENT, |rate| rate.max(10 * BP));
    rounded(rate, 10 * BP, 3 * PERCENT, 5 * BP)
}

const GDP: Feed = Feed { at: 0, max_age_days: 130, finer: 1 };
const UNEMPLOYMENT: Feed = Feed { at: 1, max_age_days: 130, finer: 1_000 };

#[unsafe(no_mangle)]
pub extern "C" fn economic_state_verdict(time_ms: u64, _: u64, _: u64, _: u64, _: i64, term_days: i64) -> i64 {
    let is_permitted =
        GDP.growth(time_ms, 4).is_some_and(|growth| growth < 4 * PERCENT) && is_within(term_days, time_ms, 24);
    is_permitted.into()
}

#[unsafe(no_mangle)]
pub extern "C" fn economic_state_rate(time_ms: u64, _: u64) -> i64 {
    let rate = || {
        if GDP.falls(time_ms, 2)? {
            return Some(25 * BP);
        }
        let growth = GDP.growth(time_ms, 4)?;
        // Its readings and its fallback never meet.
        let unemployment = || Some((UNEMPLOYMENT.change(time_ms, 4)?, UNEMPLOYMENT.level(time_ms)?));
        let (change, level) = unemployment().unwrap_or((0, 55_000));
        if growth < 0 || change > 100 * BP {
            return Some(50 * BP);
        }
        if level > 7 * PERCENT {
            return Some(PERCENT);
        }
        times(growth.checked_sub(3 * PERCENT)?, 500_000)?.checked_add(2 * PERCENT)
    };
    rounded(rate().unwrap_or(4 * PERCENT), 25 * BP, 4 * PERCENT, 25 * BP)
}

const OUTPUT: Feed = Feed { at: 0, max_age_days: 200, finer: 1 };
const BENCHMARK: Feed = Feed { at: 1, max_age_days: 40, finer: 100 };

#[unsafe(no_mangle)]
pub extern "C" fn combined_verdict(
    time_ms: u64,
    sector: u64,
    low: u64,
    high: u64,
    loan_rate: i64,
    term_days: i64,
) -> i64 {
    let is_permitted = || {
        let is_wanted = loan_rate >= 50 * BP && (20_454..21_184).contains(&day(time_ms)) && has(low, high, sector);
        let most = || BENCHMARK.level(time_ms).unwrap_or(34_500).checked_add(50 * BP);
        Some(
            is_wanted
                && loan_rate <= most()?
                && is_within(term_days, time_ms, 36)
                && OUTPUT.growth(time_ms, 4)? < 5 * PERCENT,
        )
    };
    is_permitted().unwrap_or(false).into()
}

#[unsafe(no_mangle)]
pub extern "C" fn combined_rate(time_ms: u64, _: u64) -> i64 {
    let rate = || {
        if OUTPUT.falls(time_ms, 2)? {
            return Some(10 * BP);
        }
        let growth = OUTPUT.growth(time_ms, 4)?;
        let lpr = BENCHMARK.level(time_ms).unwrap_or(34_500);
        if growth < 25_000 {
            return lpr.checked_sub(200 * BP);
        }
        times(growth.checked_sub(25_000)?, 250_000)?.checked_add(lpr.checked_sub(100 * BP)?)
    };
    rounded(rate().unwrap_or(4 * PERCENT), 10 * BP, 4 * PERCENT, BP)
}

#[unsafe(no_mangle)]
pub extern "C" fn nothing_verdict(_: u64, _: u64, _: u64, _: u64, _: i64, _: i64) -> i64 {
    1
}

#[unsafe(no_mangle)]
pub extern "C" fn nothing_rate(_: u64, _: u64) -> i64 {
    0
}
