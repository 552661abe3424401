//! `getHealth`: whether ledgers close, and which ones are kept.

use serde::Serialize;
use sorofast_sandbox::node::View;

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
            "latency ({:.0}s) since last known ledger closed is too high (>30s)",
            health.latest_ledger_age_s
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
