//! How long an answer takes: a fixed time, or one drawn from a distribution.

use serde::{Deserialize, Serialize};
use std::time::Duration;

/// No answer is held back longer than this.
pub(super) const MAX_LATENCY_MS: u64 = 600_000;

/// Times in milliseconds. Those without an upper end by nature have `max_ms`.
#[derive(Clone, Copy, Debug, Deserialize, PartialEq, Serialize)]
#[serde(tag = "distribution", rename_all = "snake_case", deny_unknown_fields)]
pub enum Latency {
    Fixed {
        ms: f64,
    },
    Uniform {
        min_ms: f64,
        max_ms: f64,
    },
    Normal {
        mean_ms: f64,
        deviation_ms: f64,
        #[serde(default = "longest_ms")]
        max_ms: f64,
    },
    Exponential {
        mean_ms: f64,
        #[serde(default = "longest_ms")]
        max_ms: f64,
    },
    LogNormal {
        median_ms: f64,
        sigma: f64,
        #[serde(default = "longest_ms")]
        max_ms: f64,
    },
    /// The long tail of a server that sometimes pauses.
    Pareto {
        min_ms: f64,
        alpha: f64,
        #[serde(default = "longest_ms")]
        max_ms: f64,
    },
}

fn longest_ms() -> f64 {
    60_000.0
}

impl Latency {
    pub fn check(&self) -> Result<(), String> {
        #[allow(clippy::cast_precision_loss)]
        let longest_ms = MAX_LATENCY_MS as f64;
        let time = |name: &str, ms: f64| {
            if (0.0..=longest_ms).contains(&ms) {
                Ok(())
            } else {
                Err(format!(
                    "latency.{name} must be between 0 and {MAX_LATENCY_MS}"
                ))
            }
        };
        match *self {
            Self::Fixed { ms } => time("ms", ms),
            Self::Uniform { min_ms, max_ms } => {
                time("min_ms", min_ms)?;
                time("max_ms", max_ms)?;
                if min_ms > max_ms {
                    return Err("latency.min_ms must not be above latency.max_ms".into());
                }
                Ok(())
            }
            Self::Normal {
                mean_ms,
                deviation_ms,
                max_ms,
            } => {
                time("mean_ms", mean_ms)?;
                time("deviation_ms", deviation_ms)?;
                time("max_ms", max_ms)
            }
            Self::Exponential { mean_ms, max_ms } => {
                time("mean_ms", mean_ms)?;
                time("max_ms", max_ms)
            }
            Self::LogNormal {
                median_ms,
                sigma,
                max_ms,
            } => {
                time("median_ms", median_ms)?;
                time("max_ms", max_ms)?;
                if (0.0..=10.0).contains(&sigma) {
                    Ok(())
                } else {
                    Err("latency.sigma must be between 0 and 10".into())
                }
            }
            Self::Pareto {
                min_ms,
                alpha,
                max_ms,
            } => {
                time("min_ms", min_ms)?;
                time("max_ms", max_ms)?;
                if (0.1..=100.0).contains(&alpha) {
                    Ok(())
                } else {
                    Err("latency.alpha must be between 0.1 and 100".into())
                }
            }
        }
    }

    /// The time that belongs to two numbers from 0 to below 1.
    pub fn draw(&self, first: f64, second: f64) -> Duration {
        let normal = || {
            // Box and Muller; the logarithm must not see a zero.
            (-2.0 * (1.0 - first).ln()).sqrt() * (std::f64::consts::TAU * second).cos()
        };
        let ms = match *self {
            Self::Fixed { ms } => ms,
            Self::Uniform { min_ms, max_ms } => min_ms + first * (max_ms - min_ms),
            Self::Normal {
                mean_ms,
                deviation_ms,
                max_ms,
            } => (mean_ms + deviation_ms * normal()).min(max_ms),
            Self::Exponential { mean_ms, max_ms } => (-mean_ms * (1.0 - first).ln()).min(max_ms),
            Self::LogNormal {
                median_ms,
                sigma,
                max_ms,
            } => (median_ms * (sigma * normal()).exp()).min(max_ms),
            Self::Pareto {
                min_ms,
                alpha,
                max_ms,
            } => (min_ms / (1.0 - first).powf(1.0 / alpha)).min(max_ms),
        };
        Duration::from_secs_f64(ms.max(0.0) / 1000.0)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::random::{unit, Purpose, Randomness};

    fn drawn(value: serde_json::Value) -> Vec<f64> {
        let latency: Latency = serde_json::from_value(value).expect("a distribution");
        latency.check().expect("it makes sense");
        let random = Randomness::new(1);
        let mut all: Vec<f64> = (0..10_000)
            .map(|_| {
                let (first, second) = (random.next(Purpose::Faults), random.next(Purpose::Faults));
                latency.draw(unit(first), unit(second)).as_secs_f64() * 1000.0
            })
            .collect();
        all.sort_by(f64::total_cmp);
        all
    }

    #[test]
    fn times_are_distributed_as_named() {
        let near = |value: f64, expected: f64| (value / expected - 1.0).abs() < 0.1;
        let uniform =
            drawn(serde_json::json!({"distribution": "uniform", "min_ms": 10, "max_ms": 20}));
        assert!(uniform[0] >= 10.0 && uniform[9_999] < 20.0 && near(uniform[5_000], 15.0));
        let normal = drawn(
            serde_json::json!({"distribution": "normal", "mean_ms": 100, "deviation_ms": 10}),
        );
        assert!(near(normal[5_000], 100.0) && near(normal[8_413], 110.0));
        let exponential = drawn(serde_json::json!({"distribution": "exponential", "mean_ms": 50}));
        assert!(near(exponential[5_000], 50.0 * std::f64::consts::LN_2));
        let log_normal =
            drawn(serde_json::json!({"distribution": "log_normal", "median_ms": 40, "sigma": 1}));
        assert!(near(log_normal[5_000], 40.0));
        let pareto = drawn(
            serde_json::json!({"distribution": "pareto", "min_ms": 5, "alpha": 1, "max_ms": 800}),
        );
        assert!(pareto[0] >= 5.0 && near(pareto[5_000], 10.0) && pareto[9_999] <= 800.0);
        let fixed = drawn(serde_json::json!({"distribution": "fixed", "ms": 7}));
        assert!(near(fixed[0], 7.0) && fixed[0].to_bits() == fixed[9_999].to_bits());
    }

    #[test]
    fn what_cannot_be_drawn_is_refused() {
        for wrong in [
            serde_json::json!({"distribution": "uniform", "min_ms": 2, "max_ms": 1}),
            serde_json::json!({"distribution": "normal", "mean_ms": -1, "deviation_ms": 1}),
            serde_json::json!({"distribution": "pareto", "min_ms": 1, "alpha": 0}),
            serde_json::json!({"distribution": "fixed", "ms": 1e9}),
        ] {
            let latency: Latency = serde_json::from_value(wrong.clone()).expect("a distribution");
            assert!(latency.check().is_err(), "{wrong}");
        }
    }
}
