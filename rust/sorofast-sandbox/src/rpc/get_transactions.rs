//! `getTransactions`: applied transactions in their order, page by page.

use crate::node::{LedgerRange, Place, TransactionRecord, View};
use serde::Serialize;

use super::error::RpcError;
use super::format::Format;
use super::pages::{number, Request, Start};
use super::transactions::Details;

const ORDER_BITS: u32 = 20;
const OPERATION_BITS: u32 = 12;
/// Cursors name a transaction by its first operation.
const FIRST_OPERATION: u64 = 1;

/// Close times are numbers here and called otherwise than elsewhere: so it is on the real server.
#[derive(Debug, Serialize)]
#[serde(rename_all = "camelCase")]
pub(crate) struct Response {
    transactions: Vec<Transaction>,
    latest_ledger: u32,
    latest_ledger_close_timestamp: u64,
    oldest_ledger: u32,
    oldest_ledger_close_timestamp: u64,
    cursor: String,
}

#[derive(Debug, Serialize)]
#[serde(rename_all = "camelCase")]
struct Transaction {
    #[serde(flatten)]
    details: Details,
    created_at: u64,
}

/// # Errors
/// `-32600` for a range or limit out of bounds, `-32602` for a cursor that leads nowhere.
pub(crate) fn call(view: &View<'_>, request: Request) -> Result<Response, RpcError> {
    let range = view.range();
    let page = request.read(&range)?;
    let start = match &page.start {
        Start::Ledger(ledger) => Place {
            ledger: *ledger,
            order: 1,
        },
        Start::Cursor(cursor) => behind(cursor, &range)?,
    };
    let read = view.transactions_from(start, page.limit);
    let transactions = read
        .records
        .iter()
        .map(|record| show(record, page.format))
        .collect::<Result<_, _>>()?;
    Ok(Response {
        transactions,
        latest_ledger: read.range.latest.sequence,
        latest_ledger_close_timestamp: read.range.latest.close_time_s,
        oldest_ledger: read.range.oldest.sequence,
        oldest_ledger_close_timestamp: read.range.oldest.close_time_s,
        cursor: read.end.map_or_else(|| "0".to_owned(), write_cursor),
    })
}

fn show(record: &TransactionRecord, format: Format) -> Result<Transaction, RpcError> {
    Ok(Transaction {
        details: Details::of(record, format)?,
        created_at: record.close_time_s,
    })
}

fn write_cursor(place: Place) -> String {
    let order = u64::from(place.order) << OPERATION_BITS;
    ((u64::from(place.ledger) << (ORDER_BITS + OPERATION_BITS)) | order | FIRST_OPERATION)
        .to_string()
}

/// The place behind the transaction that a cursor names; past the newest ledger there is nothing, and no error.
fn behind(cursor: &str, range: &LedgerRange) -> Result<Place, RpcError> {
    let id: i64 = number(cursor, "ParseInt")?;
    let ledger = u32::try_from(id >> (ORDER_BITS + OPERATION_BITS))
        .map_err(|_| RpcError::params("cursor ledger sequence cannot be negative"))?;
    if ledger < range.oldest.sequence {
        return Err(RpcError::params(format!(
            "database does not contain metadata for ledger: {ledger}"
        )));
    }
    let order = (id.cast_unsigned() >> OPERATION_BITS) as u32 & ((1 << ORDER_BITS) - 1);
    Ok(Place {
        ledger,
        order: order + 1,
    })
}

#[cfg(test)]
mod tests {
    use super::super::error::INVALID_PARAMS;
    use super::super::pages::tests::range;
    use super::*;

    #[test]
    fn a_cursor_leads_behind_its_transaction() {
        let place = Place {
            ledger: 7,
            order: 3,
        };
        let cursor = write_cursor(place);
        assert_eq!(cursor, ((7_u64 << 32) | (3 << 12) | 1).to_string());
        let next = Place { order: 4, ..place };
        assert_eq!(behind(&cursor, &range(5, 9)), Ok(next));
    }

    #[test]
    fn a_cursor_that_leads_nowhere_is_refused() {
        let old = write_cursor(Place {
            ledger: 4,
            order: 1,
        });
        for (cursor, words) in [
            (old.as_str(), "metadata for ledger: 4"),
            ("-1", "cannot be negative"),
            ("here", "invalid syntax"),
            ("9223372036854775808", "value out of range"),
        ] {
            let error = behind(cursor, &range(5, 9)).expect_err("refused");
            assert_eq!(error.code, INVALID_PARAMS);
            assert!(error.message.contains(words), "{}", error.message);
        }
    }
}
