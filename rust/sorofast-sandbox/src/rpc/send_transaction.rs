//! `sendTransaction`: offers an envelope to the queue.

use crate::node::{NodeError, SubmitStatus, View};
use serde::{Deserialize, Serialize};
use stellar_xdr::{DiagnosticEvent, TransactionResult};

use super::error::RpcError;
use super::format::{as_string, from_base64, Format, Tree};

#[derive(Debug, Default, Deserialize)]
#[serde(rename_all = "camelCase", default)]
pub(crate) struct Request {
    transaction: Option<String>,
    xdr_format: Option<String>,
}

#[derive(Debug, Serialize)]
#[serde(rename_all = "camelCase")]
pub(crate) struct Response {
    #[serde(skip_serializing_if = "Option::is_none")]
    error_result_xdr: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    error_result_json: Option<Tree>,
    #[serde(skip_serializing_if = "Option::is_none")]
    diagnostic_events_xdr: Option<Vec<String>>,
    #[serde(skip_serializing_if = "Option::is_none")]
    diagnostic_events_json: Option<Vec<Tree>>,
    status: &'static str,
    hash: String,
    latest_ledger: u32,
    #[serde(serialize_with = "as_string")]
    latest_ledger_close_time: u64,
}

/// # Errors
/// `-32602` `invalid_xdr` for what is not an envelope; every other refusal is a status.
pub(crate) fn call(view: &View<'_>, request: &Request) -> Result<Response, RpcError> {
    let format = Format::param(request.xdr_format.as_deref())?;
    let envelope = request
        .transaction
        .as_deref()
        .and_then(from_base64)
        .ok_or_else(|| RpcError::params("invalid_xdr"))?;
    let submission = view.submit(&envelope).map_err(|error| match error {
        NodeError::Invalid(_) => RpcError::params("invalid_xdr"),
        NodeError::Internal(_) => RpcError::internal(error.to_string()),
    })?;
    let (status, result, diagnostics) = match submission.status {
        SubmitStatus::Pending => ("PENDING", None, Vec::new()),
        SubmitStatus::Duplicate => ("DUPLICATE", None, Vec::new()),
        SubmitStatus::TryAgainLater => ("TRY_AGAIN_LATER", None, Vec::new()),
        SubmitStatus::Error {
            result_xdr,
            diagnostic_events_xdr,
        } => ("ERROR", Some(result_xdr), diagnostic_events_xdr),
    };
    let (error_result_xdr, error_result_json) = match result {
        Some(result) => format.one::<TransactionResult>(result)?,
        None => (None, None),
    };
    let (diagnostic_events_xdr, diagnostic_events_json) =
        format.all::<DiagnosticEvent>(&diagnostics)?;
    Ok(Response {
        error_result_xdr,
        error_result_json,
        diagnostic_events_xdr,
        diagnostic_events_json,
        status,
        hash: hex::encode(submission.hash),
        latest_ledger: submission.latest.sequence,
        latest_ledger_close_time: submission.latest.close_time_s,
    })
}
