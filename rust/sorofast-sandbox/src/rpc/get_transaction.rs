//! `getTransaction`: an applied transaction by its hash.

use crate::node::View;
use serde::{Deserialize, Serialize};

use super::error::RpcError;
use super::format::{as_string, Format};
use super::transactions::Details;

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
    #[serde(flatten)]
    details: Details,
    #[serde(serialize_with = "as_string")]
    created_at: u64,
}

/// # Errors
/// `-32602` for a hash that is not 64 hexadecimal digits and for a format there is not.
pub(crate) fn call(view: &View<'_>, request: Request) -> Result<Response, RpcError> {
    let format = Format::param(request.xdr_format.as_deref())?;
    let text = request.hash.unwrap_or_default();
    let hash = read_hash(&text)?;
    let lookup = view.transaction(&hash);
    let record = lookup.record.as_deref();
    let mut details = record.map_or_else(
        || Ok(Details::not_found()),
        |record| Details::of(record, format),
    )?;
    // As it was asked for, which for a fee bump may be the inner hash.
    details.tx_hash = text;
    Ok(Response {
        latest_ledger: lookup.range.latest.sequence,
        latest_ledger_close_time: lookup.range.latest.close_time_s,
        oldest_ledger: lookup.range.oldest.sequence,
        oldest_ledger_close_time: lookup.range.oldest.close_time_s,
        details,
        created_at: record.map_or(0, |record| record.close_time_s),
    })
}

fn read_hash(text: &str) -> Result<[u8; 32], RpcError> {
    if text.len() != 64 {
        return Err(RpcError::params(format!(
            "unexpected hash length ({})",
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
