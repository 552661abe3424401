//! `getHealth`: whether ledgers close, and which ones are kept.

use std::time::Duration;

use crate::node::View;
use serde::Serialize;

use super::error::RpcError;
use super::format::as_string;

#[derive(Debug, Serialize)]
#[serde(rename_all = "camelCase")]
pub(crate) struct Response {
    status: &'static str,
    latest_ledger: u32,
    #[serde(serialize_with = "as_string")]
    latest_ledger_close_time: u64,
    oldest_ledger: u32,
    #[serde(serialize_with = "as_string")]
    oldest_ledger_close_time: u64,
    ledger_retention_window: u32,
}

/// # Errors
/// `-32603` when the last close is too long ago on the sandbox clock.
pub(crate) fn call(view: &View<'_>) -> Result<Response, RpcError> {
    let health = view.health();
    if !health.healthy {
        return Err(RpcError::internal(format!(
            "latency ({}) since last known ledger closed is too high (>30s)",
            duration(health.latest_ledger_age_s)
        )));
    }
    Ok(Response {
        status: "healthy",
        latest_ledger: health.range.latest.sequence,
        latest_ledger_close_time: health.range.latest.close_time_s,
        oldest_ledger: health.range.oldest.sequence,
        oldest_ledger_close_time: health.range.oldest.close_time_s,
        ledger_retention_window: health.retention_window,
    })
}

/// A duration, rounded to seconds, as the real server writes it: `45s`, `2m5s`, `1h0m5s`.
fn duration(seconds: f64) -> String {
    let rounded = Duration::try_from_secs_f64(seconds.round()).unwrap_or(Duration::MAX);
    let seconds = rounded.as_secs();
    let (hours, minutes, rest) = (seconds / 3_600, seconds / 60 % 60, seconds % 60);
    match (hours, minutes) {
        (0, 0) => format!("{rest}s"),
        (0, _) => format!("{minutes}m{rest}s"),
        _ => format!("{hours}h{minutes}m{rest}s"),
    }
}

#[cfg(test)]
mod tests {
    use super::duration;

    #[test]
    fn durations_are_written_in_parts() {
        for (seconds, text) in [
            (44.5, "45s"),
            (60.2, "1m0s"),
            (125.0, "2m5s"),
            (3_605.0, "1h0m5s"),
            (400_000.0, "111h6m40s"),
        ] {
            assert_eq!(duration(seconds), text);
        }
    }
}
