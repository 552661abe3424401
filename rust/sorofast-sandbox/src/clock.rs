//! The sandbox clock: the system's, with an offset that can be set and an advance that only grows.

use std::sync::atomic::{AtomicI64, AtomicU64, Ordering};
use std::time::{SystemTime, UNIX_EPOCH};

/// Largest skew and largest single advance: ten years.
pub const MAX_SHIFT_MS: i64 = 10 * 366 * 24 * 3600 * 1000;

/// Wall time of the sandbox, in milliseconds since 1970.
#[derive(Debug, Default)]
pub struct SandboxClock {
    skew_ms: AtomicI64,
    advanced_ms: AtomicU64,
}

impl SandboxClock {
    pub fn now_ms(&self) -> u64 {
        let system_ms = SystemTime::now()
            .duration_since(UNIX_EPOCH)
            .map_or(0, |age| u64::try_from(age.as_millis()).unwrap_or(u64::MAX));
        system_ms
            .saturating_add(self.advanced_ms.load(Ordering::SeqCst))
            .saturating_add_signed(self.skew_ms.load(Ordering::SeqCst))
    }

    /// How far this clock is ahead of the system's.
    pub fn offset_ms(&self) -> i64 {
        let advanced = self.advanced_ms.load(Ordering::SeqCst);
        i64::try_from(advanced)
            .unwrap_or(i64::MAX)
            .saturating_add(self.skew_ms.load(Ordering::SeqCst))
    }

    /// None when the value is not a number or beyond ten years.
    pub fn set_skew_s(&self, seconds: f64) -> Option<()> {
        let ms = to_ms(seconds)?;
        self.skew_ms.store(ms, Ordering::SeqCst);
        Some(())
    }

    /// None when the value is negative, not a number or beyond ten years.
    pub fn advance_s(&self, seconds: f64) -> Option<()> {
        let ms = u64::try_from(to_ms(seconds)?).ok()?;
        self.advanced_ms.fetch_add(ms, Ordering::SeqCst);
        Some(())
    }
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
}
