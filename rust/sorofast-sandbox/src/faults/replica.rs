//! Replicas: further ports that show the same ledger late, now and then, or wrong.

use super::answer::MAX_LAG_LEDGERS;
use super::MAX_SECONDS;
use serde::{Deserialize, Serialize};

/// A stale answer of a replica is this far behind.
pub(super) const STALE_LEDGERS: u32 = 3;

/// One replica's ways.
#[derive(Clone, Debug, Default, Deserialize, PartialEq, Serialize)]
#[serde(deny_unknown_fields)]
pub struct Replica {
    /// It shows the ledger that was the newest so many ledgers ago.
    #[serde(default)]
    pub lag_ledgers: u32,
    /// It changes between well and not every so many ledgers.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub flap_ledgers: Option<u32>,
    /// The same by the sandbox clock.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub flap_s: Option<f64>,
    #[serde(default)]
    pub flap_to: FlapTo,
    /// How often an answer is wrong, from 0 to 1.
    #[serde(default)]
    pub other_data: f64,
    #[serde(default)]
    pub how: Distortion,
}

/// What a flapping replica is when it is not well.
#[derive(Clone, Copy, Debug, Default, Deserialize, Eq, PartialEq, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum FlapTo {
    /// Connections close without an answer.
    #[default]
    Down,
    /// It lags by `lag_ledgers`, and not otherwise.
    Lag,
}

/// How an answer differs from the truth.
#[derive(Clone, Copy, Debug, Default, Deserialize, Eq, PartialEq, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum Distortion {
    /// An older ledger's content under the newest one's number.
    #[default]
    Stale,
    /// Entries, events and transactions are left out.
    Missing,
    /// Other values and other hashes.
    Altered,
}

impl Replica {
    pub fn check(&self) -> Result<(), String> {
        if self.lag_ledgers > MAX_LAG_LEDGERS {
            return Err(format!("lag_ledgers must be at most {MAX_LAG_LEDGERS}"));
        }
        if self.flap_ledgers.is_some() && self.flap_s.is_some() {
            return Err("flap_ledgers and flap_s cannot both be given".into());
        }
        if self.flap_ledgers == Some(0) {
            return Err("flap_ledgers must be at least 1".into());
        }
        if self
            .flap_s
            .is_some_and(|seconds| !(0.001..=MAX_SECONDS).contains(&seconds))
        {
            return Err(format!("flap_s must be between 0.001 and {MAX_SECONDS}"));
        }
        if self.flap_to == FlapTo::Lag && self.lag_ledgers == 0 {
            return Err("flap_to \"lag\" needs lag_ledgers".into());
        }
        if !(0.0..=1.0).contains(&self.other_data) {
            return Err("other_data must be between 0 and 1".into());
        }
        Ok(())
    }

    /// How far back it may have to look.
    pub fn furthest_ledgers(&self) -> u32 {
        self.lag_ledgers + STALE_LEDGERS
    }

    /// Whether it is in its bad half, that many ledgers and seconds after the plan came into force.
    fn is_unwell(&self, ledgers: u32, age_s: f64) -> bool {
        if let Some(period) = self.flap_ledgers {
            return (ledgers / period) % 2 == 1;
        }
        self.flap_s
            .is_some_and(|period_s| (age_s / period_s).rem_euclid(2.0) >= 1.0)
    }

    pub fn is_down(&self, ledgers: u32, age_s: f64) -> bool {
        self.flap_to == FlapTo::Down && self.is_unwell(ledgers, age_s)
    }

    pub fn lag(&self, ledgers: u32, age_s: f64) -> u32 {
        match self.flap_to {
            FlapTo::Lag if !self.is_unwell(ledgers, age_s) => self.no_lag(),
            FlapTo::Lag | FlapTo::Down => self.lag_ledgers,
        }
    }

    /// A replica that is to flap into lagging keeps up in between; one that never flaps lags all the time.
    fn no_lag(&self) -> u32 {
        if self.flap_ledgers.is_none() && self.flap_s.is_none() {
            return self.lag_ledgers;
        }
        0
    }
}
