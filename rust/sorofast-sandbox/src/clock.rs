//! The sandbox clock: the system's or one that stands still, with an offset that can be set and an advance that only
//! grows.

use crate::config::ClockMode;
use std::sync::atomic::{AtomicI64, AtomicU64, Ordering};
use std::time::{SystemTime, UNIX_EPOCH};

/// Largest skew and largest single advance: ten years.
pub const MAX_SHIFT_MS: i64 = 10 * 366 * 24 * 3600 * 1000;

/// Wall time of the sandbox, in milliseconds since 1970.
#[derive(Debug)]
pub struct SandboxClock {
    mode: ClockMode,
    /// Added to the system's time; with a manual clock, the time that it started at.
    base_ms: AtomicI64,
    skew_ms: AtomicI64,
    advanced_ms: AtomicU64,
}

impl Default for SandboxClock {
    fn default() -> Self {
        Self::new(ClockMode::System, None)
    }
}

impl SandboxClock {
    /// A clock that shows the given time now, or else the system's.
    pub fn new(mode: ClockMode, start_time_s: Option<u64>) -> Self {
        let clock = Self {
            mode,
            base_ms: AtomicI64::new(0),
            skew_ms: AtomicI64::new(0),
            advanced_ms: AtomicU64::new(0),
        };
        clock.restart(start_time_s.map(|start| start.saturating_mul(1000)));
        clock
    }

    /// Forgets skew and advances and goes on from that time, or from the system's.
    pub fn restart(&self, start_ms: Option<u64>) {
        let system_ms = i64::try_from(system_ms()).unwrap_or(i64::MAX);
        let start_ms = start_ms.map_or(system_ms, |start| i64::try_from(start).unwrap_or(i64::MAX));
        let base_ms = match self.mode {
            ClockMode::System => start_ms.saturating_sub(system_ms),
            ClockMode::Manual => start_ms,
        };
        self.base_ms.store(base_ms, Ordering::SeqCst);
        self.skew_ms.store(0, Ordering::SeqCst);
        self.advanced_ms.store(0, Ordering::SeqCst);
    }

    pub fn mode(&self) -> ClockMode {
        self.mode
    }

    pub fn now_ms(&self) -> u64 {
        let running_ms = match self.mode {
            ClockMode::System => system_ms(),
            ClockMode::Manual => 0,
        };
        running_ms
            .saturating_add_signed(self.base_ms.load(Ordering::SeqCst))
            .saturating_add(self.advanced_ms.load(Ordering::SeqCst))
            .saturating_add_signed(self.skew_ms.load(Ordering::SeqCst))
    }

    /// How far skew and advances have moved this clock.
    pub fn offset_ms(&self) -> i64 {
        let advanced = self.advanced_ms.load(Ordering::SeqCst);
        i64::try_from(advanced)
            .unwrap_or(i64::MAX)
            .saturating_add(self.skew_ms.load(Ordering::SeqCst))
    }

    /// The offset that was set last, in seconds.
    pub fn skew_s(&self) -> f64 {
        #[allow(clippy::cast_precision_loss)]
        let ms = self.skew_ms.load(Ordering::SeqCst) as f64;
        ms / 1000.0
    }

    /// None when the value is not a number or beyond ten years.
    pub fn set_skew_s(&self, seconds: f64) -> Option<()> {
        let ms = to_ms(seconds)?;
        self.skew_ms.store(ms, Ordering::SeqCst);
        Some(())
    }

    pub fn advance_ms(&self, ms: u64) {
        self.advanced_ms.fetch_add(ms, Ordering::SeqCst);
    }

    /// None when the value is negative, not a number or beyond ten years.
    pub fn advance_s(&self, seconds: f64) -> Option<()> {
        self.advance_ms(shift_ms(seconds)?);
        Some(())
    }
}

fn system_ms() -> u64 {
    SystemTime::now()
        .duration_since(UNIX_EPOCH)
        .map_or(0, |age| u64::try_from(age.as_millis()).unwrap_or(u64::MAX))
}

/// A time by which the clock may move on.
pub fn shift_ms(seconds: f64) -> Option<u64> {
    u64::try_from(to_ms(seconds)?).ok()
}

fn to_ms(seconds: f64) -> Option<i64> {
    let ms = seconds * 1000.0;
    #[allow(clippy::cast_precision_loss)]
    let bound = MAX_SHIFT_MS as f64;
    (ms.abs() <= bound).then_some(ms.round() as i64)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn advances_add_up_and_skew_replaces() {
        let clock = SandboxClock::default();
        let start_ms = clock.now_ms();
        clock.advance_s(10.0).expect("ten seconds");
        clock.advance_s(0.5).expect("half a second");
        clock.set_skew_s(-3.0).expect("three seconds back");
        clock.set_skew_s(-4.0).expect("four seconds back");
        let moved_ms = clock.now_ms() - start_ms;
        assert!((6_500..8_500).contains(&moved_ms), "{moved_ms}");
    }

    #[test]
    fn refuses_what_is_no_duration() {
        let clock = SandboxClock::default();
        assert!(clock.advance_s(-1.0).is_none());
        assert!(clock.advance_s(f64::NAN).is_none());
        assert!(clock.set_skew_s(f64::INFINITY).is_none());
    }

    #[test]
    fn a_manual_clock_stands_until_it_is_moved() {
        let clock = SandboxClock::new(ClockMode::Manual, Some(1_700_000_000));
        assert_eq!(clock.now_ms(), 1_700_000_000_000);
        clock.advance_s(2.5).expect("a moment");
        assert_eq!(clock.now_ms(), 1_700_000_002_500);
        clock.restart(Some(5_000));
        assert_eq!(clock.now_ms(), 5_000);
        let running = SandboxClock::new(ClockMode::System, Some(1_700_000_000));
        assert!((1_700_000_000_000..1_700_000_060_000).contains(&running.now_ms()));
    }
}
