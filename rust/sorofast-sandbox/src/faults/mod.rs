//! Faults that an operator asks for: a plan says what goes wrong, when and how often, and a seed makes it repeatable.
//!
//! Whether a rule hits a call is drawn for the rule, the endpoint, the method and the number of the call, so that calls
//! to other methods, or to other endpoints, change nothing.

mod answer;
mod latency;
mod ledger;
mod panel;
mod plan;
mod replica;
mod rival;
mod traffic;
mod verdict;

pub use answer::{Kind, Rule};
pub use latency::Latency;
pub use ledger::{LedgerEvent, LedgerFaults, LedgerKind, LedgerMove, Skew};
pub use panel::{Now, Panel, Shown, Strike, Struck};
pub use plan::Plan;
pub use replica::{Distortion, FlapTo, Replica};
pub use rival::RivalPlan;
pub use traffic::{TrafficKind, TrafficPlan};
pub use verdict::{Outcome, Verdict};

/// The main port's name in rules; replicas are `replica-1` and on.
pub const MAIN_ENDPOINT: &str = "rpc";

/// Replicas that a sandbox can have.
pub const MAX_REPLICAS: usize = 16;

/// Name of a replica, counted from 0.
pub fn replica_name(index: usize) -> String {
    format!("replica-{}", index + 1)
}

/// The window of ledgers and of time in which something happens.
fn check_window(
    from_ledger: Option<u32>,
    until_ledger: Option<u32>,
    from_s: Option<f64>,
    until_s: Option<f64>,
) -> Result<(), String> {
    if let (Some(from), Some(until)) = (from_ledger, until_ledger) {
        if from > until {
            return Err("from_ledger must not be above until_ledger".into());
        }
    }
    for (name, value) in [("from_s", from_s), ("until_s", until_s)] {
        if value.is_some_and(|seconds| !(0.0..=MAX_SECONDS).contains(&seconds)) {
            return Err(format!("{name} must be between 0 and {MAX_SECONDS}"));
        }
    }
    if let (Some(from), Some(until)) = (from_s, until_s) {
        if from >= until {
            return Err("from_s must be below until_s".into());
        }
    }
    Ok(())
}

/// Ten years.
const MAX_SECONDS: f64 = 10.0 * 365.0 * 86_400.0;
