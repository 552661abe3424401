//! The pagination that `getTransactions` and `getLedgers` share, in the real server's sentences.

use crate::node::LedgerRange;
use serde::Deserialize;

use super::error::RpcError;
use super::format::Format;

const DEFAULT_LIMIT: usize = 50;
const MAX_LIMIT: usize = 200;

#[derive(Debug, Default, Deserialize)]
#[serde(rename_all = "camelCase", default)]
pub(crate) struct Request {
    start_ledger: Option<u32>,
    pagination: Option<Pagination>,
    xdr_format: Option<String>,
}

#[derive(Debug, Default, Deserialize)]
#[serde(rename_all = "camelCase", default)]
struct Pagination {
    cursor: Option<String>,
    limit: Option<usize>,
}

/// Where a page begins.
#[derive(Debug, PartialEq)]
pub(crate) enum Start {
    Ledger(u32),
    Cursor(String),
}

/// A request that makes sense for the ledgers there are.
#[derive(Debug, PartialEq)]
pub(crate) struct Page {
    pub(crate) start: Start,
    pub(crate) limit: usize,
    pub(crate) format: Format,
}

impl Request {
    /// # Errors
    /// `-32600` with every reason, a line each.
    pub(crate) fn read(self, range: &LedgerRange) -> Result<Page, RpcError> {
        let start_ledger = self.start_ledger.unwrap_or_default();
        let pagination = self.pagination.unwrap_or_default();
        let cursor = pagination.cursor.filter(|cursor| !cursor.is_empty());
        let limit = pagination.limit.unwrap_or_default();
        let placed = place(start_ledger, cursor, range).and_then(|start| {
            if limit > MAX_LIMIT {
                return Err(format!("limit must not exceed {MAX_LIMIT}"));
            }
            Ok(start)
        });
        match (placed, Format::read(self.xdr_format.as_deref())) {
            (Ok(start), Ok(format)) => Ok(Page {
                start,
                limit: if limit == 0 { DEFAULT_LIMIT } else { limit },
                format,
            }),
            (Err(one), Err(other)) => Err(RpcError::request(format!("{one}\n{other}"))),
            (Err(reason), Ok(_)) | (Ok(_), Err(reason)) => Err(RpcError::request(reason)),
        }
    }
}

fn place(start_ledger: u32, cursor: Option<String>, range: &LedgerRange) -> Result<Start, String> {
    let (oldest, latest) = (range.oldest.sequence, range.latest.sequence);
    match cursor {
        Some(cursor) if start_ledger != 0 => Err(format!(
            "startLedger ({start_ledger}) and cursor ({cursor}) cannot both be set"
        )),
        Some(cursor) => Ok(Start::Cursor(cursor)),
        None if (oldest..=latest).contains(&start_ledger) => Ok(Start::Ledger(start_ledger)),
        None => Err(format!(
            "start ledger ({start_ledger}) must be between the oldest ledger: {oldest} and the \
             latest ledger: {latest} for this rpc instance"
        )),
    }
}

/// Reads a number in a cursor; `function` is how the real server calls the reading in its errors.
///
/// # Errors
/// `-32602` with the reason.
pub(crate) fn number<T: std::str::FromStr<Err = std::num::ParseIntError>>(
    text: &str,
    function: &str,
) -> Result<T, RpcError> {
    let signed = function == "ParseInt";
    text.parse()
        .map_err(|error: std::num::ParseIntError| *error.kind())
        .and_then(|value| {
            if text.starts_with('+') && !signed {
                return Err(std::num::IntErrorKind::InvalidDigit);
            }
            Ok(value)
        })
        .map_err(|kind| {
            use std::num::IntErrorKind::{NegOverflow, PosOverflow};
            let reason = match kind {
                PosOverflow | NegOverflow => "value out of range",
                _ => "invalid syntax",
            };
            RpcError::params(format!("strconv.{function}: parsing {text:?}: {reason}"))
        })
}

#[cfg(test)]
pub(super) mod tests {
    use crate::node::LedgerSummary;

    use super::super::error::{INVALID_PARAMS, INVALID_REQUEST};
    use super::*;

    pub(in super::super) fn range(oldest: u32, latest: u32) -> LedgerRange {
        let summary = |sequence| LedgerSummary {
            sequence,
            close_time_s: 0,
            close_time_ms: 0,
            hash: [0; 32],
            header_xdr: [].into(),
            transactions: 0,
        };
        LedgerRange {
            oldest: summary(oldest),
            latest: summary(latest),
        }
    }

    fn read(params: serde_json::Value) -> Result<Page, RpcError> {
        let request: Request = serde_json::from_value(params).expect("parameters");
        request.read(&range(5, 9))
    }

    #[test]
    fn a_page_starts_at_a_ledger_or_a_cursor() {
        let page = read(serde_json::json!({"startLedger": 5})).expect("taken");
        assert_eq!((page.start, page.limit), (Start::Ledger(5), 50));
        let page = read(serde_json::json!({"pagination": {"cursor": "7", "limit": 200}}));
        let page = page.expect("taken");
        assert_eq!((page.start, page.limit), (Start::Cursor("7".into()), 200));
    }

    #[test]
    fn refusals_have_the_real_servers_sentences() {
        for (params, words) in [
            (
                serde_json::json!({}),
                "start ledger (0) must be between the oldest ledger: 5 and the latest ledger: 9 \
                 for this rpc instance",
            ),
            (
                serde_json::json!({"startLedger": 10, "pagination": {"limit": 201}}),
                "start ledger (10) must be between the oldest ledger: 5 and the latest ledger: 9 \
                 for this rpc instance",
            ),
            (
                serde_json::json!({"startLedger": 9, "pagination": {"cursor": "7"}}),
                "startLedger (9) and cursor (7) cannot both be set",
            ),
            (
                serde_json::json!({"startLedger": 9, "pagination": {"limit": 201}}),
                "limit must not exceed 200",
            ),
            (
                serde_json::json!({"pagination": {"cursor": "7", "limit": 201}, "xdrFormat": "x"}),
                "limit must not exceed 200\ngot 'x': expected base64, json for optional 'xdrFormat'",
            ),
        ] {
            let error = read(params).expect_err("refused");
            assert_eq!((error.code, error.message.as_str()), (INVALID_REQUEST, words));
        }
    }

    #[test]
    fn numbers_are_read_as_the_real_server_reads_them() {
        assert_eq!(number::<i64>("-5", "ParseInt"), Ok(-5));
        assert_eq!(number::<i64>("+5", "ParseInt"), Ok(5));
        for (text, words) in [
            ("x", "strconv.ParseUint: parsing \"x\": invalid syntax"),
            ("-1", "strconv.ParseUint: parsing \"-1\": invalid syntax"),
            ("+1", "strconv.ParseUint: parsing \"+1\": invalid syntax"),
            (
                "4294967296",
                "strconv.ParseUint: parsing \"4294967296\": value out of range",
            ),
        ] {
            let error = number::<u32>(text, "ParseUint").expect_err("refused");
            assert_eq!(
                (error.code, error.message.as_str()),
                (INVALID_PARAMS, words)
            );
        }
    }
}
