//! `getLedgers`: closed ledgers with their headers and metas, page by page.

use crate::node::{LedgerRange, LedgerWithMeta, View};
use serde::Serialize;
use stellar_xdr::{LedgerCloseMeta, LedgerHeaderHistoryEntry};

use super::error::RpcError;
use super::format::{as_string, Format, Tree};
use super::pages::{number, Request, Start};

/// Close times here are numbers, and the range is written as in no other method: so it is on the real server.
#[derive(Debug, Serialize)]
#[serde(rename_all = "camelCase")]
pub(crate) struct Response {
    ledgers: Vec<Ledger>,
    latest_ledger: u32,
    latest_ledger_close_time: u64,
    oldest_ledger: u32,
    oldest_ledger_close_time: u64,
    cursor: String,
}

/// The two fields in base64 are there, and empty, in JSON too.
#[derive(Debug, Serialize)]
#[serde(rename_all = "camelCase")]
struct Ledger {
    hash: String,
    sequence: u32,
    #[serde(rename = "ledgerCloseTime", serialize_with = "as_string")]
    close_time: u64,
    header_xdr: String,
    #[serde(skip_serializing_if = "Option::is_none")]
    header_json: Option<Tree>,
    metadata_xdr: String,
    #[serde(skip_serializing_if = "Option::is_none")]
    metadata_json: Option<Tree>,
}

/// # Errors
/// `-32600` for a range or limit out of bounds, `-32602` for a cursor that leads nowhere.
pub(crate) fn call(view: &View<'_>, request: Request) -> Result<Response, RpcError> {
    let range = view.range();
    let page = request.read(&range)?;
    let from = match &page.start {
        Start::Ledger(sequence) => *sequence,
        Start::Cursor(cursor) => behind(cursor, &range)?,
    };
    let read = view.ledgers_with_meta(from, page.limit);
    let ledgers = read
        .ledgers
        .iter()
        .map(|ledger| show(ledger, page.format))
        .collect::<Result<Vec<_>, _>>()?;
    let cursor = match (ledgers.last(), page.start) {
        (Some(last), _) => last.sequence.to_string(),
        (None, Start::Cursor(cursor)) => cursor,
        (None, Start::Ledger(sequence)) => (sequence - 1).to_string(),
    };
    Ok(Response {
        ledgers,
        latest_ledger: read.range.latest.sequence,
        latest_ledger_close_time: read.range.latest.close_time_s,
        oldest_ledger: read.range.oldest.sequence,
        oldest_ledger_close_time: read.range.oldest.close_time_s,
        cursor,
    })
}

/// The ledger behind the one that a cursor names.
fn behind(cursor: &str, range: &LedgerRange) -> Result<u32, RpcError> {
    let seen: u32 = number(cursor, "ParseUint")?;
    let (oldest, latest) = (range.oldest.sequence, range.latest.sequence);
    seen.checked_add(1)
        .filter(|start| (oldest..=latest).contains(start))
        .ok_or_else(|| {
            RpcError::params(format!(
                "cursor ('{cursor}') must be between the oldest ledger: {oldest} and the latest \
                 ledger: {latest} for this rpc instance"
            ))
        })
}

fn show(ledger: &LedgerWithMeta, format: Format) -> Result<Ledger, RpcError> {
    let header = ledger.summary.header_history_xdr();
    let (header_xdr, header_json) = format.one::<LedgerHeaderHistoryEntry>(header)?;
    let (metadata_xdr, metadata_json) = format.one::<LedgerCloseMeta>(&ledger.meta_xdr)?;
    Ok(Ledger {
        hash: hex::encode(ledger.summary.hash),
        sequence: ledger.summary.sequence,
        close_time: ledger.summary.close_time_s,
        header_xdr: header_xdr.unwrap_or_default(),
        header_json,
        metadata_xdr: metadata_xdr.unwrap_or_default(),
        metadata_json,
    })
}

#[cfg(test)]
mod tests {
    use super::super::error::INVALID_PARAMS;
    use super::super::pages::tests::range;
    use super::*;

    #[test]
    fn a_cursor_names_the_ledger_that_was_seen() {
        assert_eq!(behind("5", &range(5, 9)), Ok(6));
        assert_eq!(behind("4", &range(5, 9)), Ok(5));
        for lost in ["3", "9", "4294967295"] {
            let error = behind(lost, &range(5, 9)).expect_err("refused");
            assert_eq!(error.code, INVALID_PARAMS);
            assert_eq!(
                error.message,
                format!(
                    "cursor ('{lost}') must be between the oldest ledger: 5 and the latest \
                     ledger: 9 for this rpc instance"
                )
            );
        }
    }
}
