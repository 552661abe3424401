//! `getTransaction`: an applied transaction by its hash.

use serde::{Deserialize, Serialize};
use sorofast_sandbox::node::{TransactionRecord, View};

use super::error::RpcError;
use super::format::{as_string, base64, base64_all, require_base64};

#[derive(Debug, Default, Deserialize)]
#[serde(rename_all = "camelCase", default)]
pub(crate) struct Request {
    hash: Option<String>,
    xdr_format: Option<String>,
}

#[derive(Debug, Serialize)]
#[serde(rename_all = "camelCase")]
pub(crate) struct Response {
    latest_ledger: u32,
    #[serde(serialize_with = "as_string")]
    latest_ledger_close_time: u64,
    oldest_ledger: u32,
    #[serde(serialize_with = "as_string")]
    oldest_ledger_close_time: u64,
    status: &'static str,
    tx_hash: String,
    application_order: u32,
    fee_bump: bool,
    #[serde(flatten)]
    bodies: Option<Bodies>,
    events: Events,
    ledger: u32,
    #[serde(serialize_with = "as_string")]
    created_at: u64,
}

/// What only a found transaction has, in base64.
#[derive(Debug, Serialize)]
struct Bodies {
    #[serde(rename = "envelopeXdr")]
    envelope: String,
    #[serde(rename = "resultXdr")]
    result: String,
    #[serde(rename = "resultMetaXdr")]
    meta: String,
    #[serde(rename = "diagnosticEventsXdr", skip_serializing_if = "Vec::is_empty")]
    diagnostic_events: Vec<String>,
}

#[derive(Debug, Default, Serialize)]
#[serde(rename_all = "camelCase")]
struct Events {
    #[serde(skip_serializing_if = "Vec::is_empty")]
    transaction_events_xdr: Vec<String>,
    #[serde(skip_serializing_if = "Vec::is_empty")]
    contract_events_xdr: Vec<Vec<String>>,
}

/// # Errors
/// `-32602` for a hash that is not 64 hexadecimal digits, or a format other than base64.
pub(crate) fn call(view: &View<'_>, request: Request) -> Result<Response, RpcError> {
    require_base64(request.xdr_format.as_deref())?;
    let text = request.hash.unwrap_or_default();
    let hash = read_hash(&text)?;
    let lookup = view.transaction(&hash);
    let record = lookup.record.as_deref();
    Ok(Response {
        latest_ledger: lookup.range.latest.sequence,
        latest_ledger_close_time: lookup.range.latest.close_time_s,
        oldest_ledger: lookup.range.oldest.sequence,
        oldest_ledger_close_time: lookup.range.oldest.close_time_s,
        status: match record {
            None => "NOT_FOUND",
            Some(record) if record.successful => "SUCCESS",
            Some(_) => "FAILED",
        },
        tx_hash: text,
        application_order: record.map_or(0, |record| record.application_order),
        fee_bump: record.is_some_and(|record| record.inner_hash.is_some()),
        bodies: record.map(bodies),
        events: record.map(events).unwrap_or_default(),
        ledger: record.map_or(0, |record| record.ledger),
        created_at: record.map_or(0, |record| record.close_time_s),
    })
}

fn bodies(record: &TransactionRecord) -> Bodies {
    Bodies {
        envelope: base64(&record.envelope_xdr),
        result: base64(&record.result_xdr),
        meta: base64(&record.meta_xdr),
        diagnostic_events: base64_all(&record.diagnostic_events_xdr),
    }
}

fn events(record: &TransactionRecord) -> Events {
    Events {
        transaction_events_xdr: base64_all(&record.transaction_events_xdr),
        contract_events_xdr: record
            .contract_events_xdr
            .iter()
            .map(|operation| base64_all(operation))
            .collect(),
    }
}

fn read_hash(text: &str) -> Result<[u8; 32], RpcError> {
    if text.len() != 64 {
        return Err(RpcError::params(format!(
            "unexpected hash length ({}): a hash has 64 hexadecimal digits",
            text.len()
        )));
    }
    let mut hash = [0; 32];
    hex::decode_to_slice(text, &mut hash)
        .map_err(|error| RpcError::params(format!("incorrect hash: {error}")))?;
    Ok(hash)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_hash_has_64_digits() {
        assert_eq!(read_hash(&"0a".repeat(32)), Ok([10; 32]));
        assert_eq!(read_hash(&"0A".repeat(32)), Ok([10; 32]));
        assert!(read_hash("").is_err());
        assert!(read_hash(&"0a".repeat(31)).is_err());
        assert!(read_hash(&"zz".repeat(32)).is_err());
    }
}
