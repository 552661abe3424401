//! `getLatestLedger`: the newest ledger with its header and meta, in base64 whatever is asked for.

use crate::node::{LedgerWithMeta, View};
use serde::Serialize;

use super::error::RpcError;
use super::format::{as_string, base64};

#[derive(Debug, Serialize)]
#[serde(rename_all = "camelCase")]
pub(crate) struct Response {
    id: String,
    protocol_version: u32,
    sequence: u32,
    #[serde(serialize_with = "as_string")]
    close_time: u64,
    header_xdr: String,
    metadata_xdr: String,
}

/// # Errors
/// `-32603` when the ledger is gone again.
pub(crate) fn call(view: &View<'_>) -> Result<Response, RpcError> {
    // Header and meta of one ledger, though another chain may take this one's place in between.
    let read = view.ledgers_with_meta(view.latest().sequence, 1);
    let LedgerWithMeta {
        summary: latest,
        meta_xdr,
    } = read
        .ledgers
        .into_iter()
        .next()
        .ok_or_else(|| RpcError::internal("could not get latest ledger"))?;
    Ok(Response {
        id: hex::encode(latest.hash),
        protocol_version: latest.protocol_version(),
        sequence: latest.sequence,
        close_time: latest.close_time_s,
        header_xdr: base64(&latest.header_xdr),
        metadata_xdr: base64(meta_xdr),
    })
}
