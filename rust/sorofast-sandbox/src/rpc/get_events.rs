//! `getEvents`: contract events of a range of ledgers, page by page.

use crate::node::{EventId, EventRecord, LedgerRange, View};
use serde::{Deserialize, Serialize};
use stellar_xdr::ScVal;

use super::error::RpcError;
use super::format::{as_string, Format, Tree};
use super::topics::{self, FilterParams, Filters};
use crate::address;
use crate::utc::rfc3339;

const DEFAULT_LIMIT: usize = 100;
const MAX_LIMIT: usize = 10_000;
/// How many ledgers one call looks at.
const SCAN_LEDGERS: u32 = 10_000;

#[derive(Debug, Default, Deserialize)]
#[serde(rename_all = "camelCase", default)]
pub(crate) struct Request {
    start_ledger: Option<u32>,
    end_ledger: Option<u32>,
    filters: Option<Vec<FilterParams>>,
    pagination: Option<Pagination>,
    xdr_format: Option<String>,
}

#[derive(Debug, Default, Deserialize)]
#[serde(rename_all = "camelCase", default)]
struct Pagination {
    cursor: Option<String>,
    limit: Option<usize>,
}

#[derive(Debug, Serialize)]
#[serde(rename_all = "camelCase")]
pub(crate) struct Response {
    events: Vec<Event>,
    cursor: String,
    latest_ledger: u32,
    oldest_ledger: u32,
    #[serde(serialize_with = "as_string")]
    latest_ledger_close_time: u64,
    #[serde(serialize_with = "as_string")]
    oldest_ledger_close_time: u64,
}

#[derive(Debug, Serialize)]
#[serde(rename_all = "camelCase")]
struct Event {
    #[serde(rename = "type")]
    kind: &'static str,
    ledger: u32,
    ledger_closed_at: String,
    contract_id: String,
    id: String,
    operation_index: u32,
    transaction_index: u32,
    tx_hash: String,
    #[serde(skip_serializing_if = "Option::is_none")]
    topic: Option<Vec<String>>,
    #[serde(skip_serializing_if = "Option::is_none")]
    topic_json: Option<Vec<Tree>>,
    #[serde(skip_serializing_if = "Option::is_none")]
    value: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    value_json: Option<Tree>,
}

/// Where a scan begins: at a ledger, or behind an event that was seen.
#[derive(Clone, Copy, Debug, PartialEq)]
enum Start {
    Ledger(u32),
    Behind(EventId),
}

impl Start {
    fn ledger(self) -> u32 {
        match self {
            Self::Ledger(sequence) => sequence,
            Self::Behind(id) => id.ledger(),
        }
    }
}

/// # Errors
/// `-32602` for parameters out of form; `-32600` for a start outside the kept ledgers.
pub(crate) fn call(view: &View<'_>, request: Request) -> Result<Response, RpcError> {
    let pagination = request.pagination.unwrap_or_default();
    // What cannot even be read is refused before anything is looked at.
    let cursor = pagination.cursor.as_deref().map(read_cursor).transpose()?;
    let filters = request.filters.unwrap_or_default();
    let patterns = topics::read_all(&filters)?;
    let format = Format::param(request.xdr_format.as_deref())?;
    let start = read_start(request.start_ledger, request.end_ledger, cursor)?;
    let limit = read_limit(pagination.limit)?;
    let filters = Filters::check(&filters, patterns)?;
    // The range is read before the scan and answered with it, so that nothing in a ledger up to the
    // one named as the latest can be missing from the scan.
    let range = view.range();
    let end_ledger = end_of_scan(start, request.end_ledger, &range)?;
    let (from, exclusive) = match start {
        Start::Ledger(sequence) => (EventId::ledger_start(sequence), false),
        Start::Behind(id) => (id, true),
    };
    let page = view.events(from, exclusive, end_ledger, limit, &mut |event| {
        filters.take(event)
    });
    let cursor = match page.events.last() {
        Some(last) if page.events.len() == limit => last.id,
        _ => end_of_ledger(end_ledger.saturating_sub(1)),
    };
    Ok(Response {
        events: page
            .events
            .iter()
            .map(|event| show(event, format))
            .collect::<Result<_, _>>()?,
        cursor: cursor.to_string(),
        latest_ledger: range.latest.sequence,
        oldest_ledger: range.oldest.sequence,
        latest_ledger_close_time: range.latest.close_time_s,
        oldest_ledger_close_time: range.oldest.close_time_s,
    })
}

fn read_cursor(text: &str) -> Result<EventId, RpcError> {
    EventId::parse(text).ok_or_else(|| RpcError::unreadable(format!("invalid event id {text}")))
}

fn read_start(
    start_ledger: Option<u32>,
    end_ledger: Option<u32>,
    cursor: Option<EventId>,
) -> Result<Start, RpcError> {
    let start_ledger = start_ledger.unwrap_or_default();
    match cursor {
        Some(_) if start_ledger != 0 || end_ledger.unwrap_or_default() != 0 => Err(
            RpcError::params("ledger ranges and cursor cannot both be set"),
        ),
        Some(id) => Ok(Start::Behind(id)),
        None if start_ledger == 0 => Err(RpcError::params("startLedger must be positive")),
        None => Ok(Start::Ledger(start_ledger)),
    }
}

fn read_limit(limit: Option<usize>) -> Result<usize, RpcError> {
    match limit.unwrap_or_default() {
        0 => Ok(DEFAULT_LIMIT),
        limit if limit > MAX_LIMIT => Err(RpcError::params(format!(
            "limit must not exceed {MAX_LIMIT}"
        ))),
        limit => Ok(limit),
    }
}

/// The first ledger that is not looked at.
fn end_of_scan(
    start: Start,
    end_ledger: Option<u32>,
    range: &LedgerRange,
) -> Result<u32, RpcError> {
    let (oldest, latest) = (range.oldest.sequence, range.latest.sequence);
    let from = start.ledger();
    if !(oldest..=latest).contains(&from) {
        return Err(RpcError::request(format!(
            "startLedger must be within the ledger range: {oldest} - {latest}"
        )));
    }
    let end = from.saturating_add(SCAN_LEDGERS).min(latest + 1);
    Ok(match end_ledger {
        None | Some(0) => end,
        Some(asked) => end.min(asked),
    })
}

/// The largest id an event of that ledger could have.
fn end_of_ledger(sequence: u32) -> EventId {
    EventId {
        toid: (u64::from(sequence) << 32) | u64::from(u32::MAX),
        index: u32::MAX,
    }
}

fn show(event: &EventRecord, format: Format) -> Result<Event, RpcError> {
    let (topic, topic_json) = format.all::<ScVal>(&event.topics_xdr)?;
    let (value, value_json) = format.one::<ScVal>(&event.value_xdr)?;
    Ok(Event {
        kind: event.kind,
        ledger: event.ledger,
        ledger_closed_at: rfc3339(event.close_time_s),
        contract_id: event.contract.map(address::contract).unwrap_or_default(),
        id: event.id.to_string(),
        operation_index: event.operation_index,
        transaction_index: event.transaction_index,
        tx_hash: hex::encode(event.transaction_hash),
        topic,
        topic_json,
        value,
        value_json,
    })
}

#[cfg(test)]
mod tests {
    use super::super::error::{INVALID_PARAMS, INVALID_REQUEST};
    use super::super::pages::tests::range;
    use super::*;

    #[test]
    fn a_scan_starts_at_a_ledger_or_behind_a_cursor() {
        assert_eq!(read_start(Some(7), None, None), Ok(Start::Ledger(7)));
        let id = end_of_ledger(7);
        assert_eq!(read_cursor(&id.to_string()), Ok(id));
        assert_eq!(read_start(None, None, Some(id)), Ok(Start::Behind(id)));
        assert_eq!(Start::Behind(id).ledger(), 7);
        for (start, end, cursor, words) in [
            (None, None, None, "startLedger must be positive"),
            (Some(0), None, None, "startLedger must be positive"),
            (Some(1), None, Some(id), "cannot both be set"),
            (None, Some(9), Some(id), "cannot both be set"),
        ] {
            let error = read_start(start, end, cursor).expect_err("refused");
            assert_eq!(error.code, INVALID_PARAMS);
            assert!(error.message.contains(words), "{}", error.message);
        }
        for wrong in ["", "12", "a-b", "1-99999999999"] {
            let error = read_cursor(wrong).expect_err("refused");
            assert_eq!(
                (error.code, &*error.message),
                (INVALID_PARAMS, "invalid parameters")
            );
            assert_eq!(error.data, Some(format!("invalid event id {wrong}").into()));
        }
    }

    #[test]
    fn the_largest_cursor_of_a_ledger_is_written_as_the_server_writes_it() {
        assert_eq!(
            end_of_ledger(1).to_string(),
            "0000000008589934591-4294967295"
        );
        assert!(end_of_ledger(1) < EventId::ledger_start(2));
    }

    #[test]
    fn the_limit_has_bounds() {
        assert_eq!(read_limit(None), Ok(100));
        assert_eq!(read_limit(Some(0)), Ok(100));
        assert_eq!(read_limit(Some(10_000)), Ok(10_000));
        assert_eq!(
            read_limit(Some(10_001)).expect_err("refused").code,
            INVALID_PARAMS
        );
    }

    #[test]
    fn a_scan_ends_at_the_tip_the_end_or_ten_thousand_ledgers_on() {
        let kept = range(5, 20_000);
        assert_eq!(end_of_scan(Start::Ledger(19_990), None, &kept), Ok(20_001));
        assert_eq!(
            end_of_scan(Start::Ledger(19_990), Some(19_995), &kept),
            Ok(19_995)
        );
        assert_eq!(
            end_of_scan(Start::Ledger(19_990), Some(30_000), &kept),
            Ok(20_001)
        );
        assert_eq!(end_of_scan(Start::Ledger(5), None, &kept), Ok(10_005));
        for outside in [4, 20_001] {
            let error = end_of_scan(Start::Ledger(outside), None, &kept).expect_err("refused");
            assert_eq!(error.code, INVALID_REQUEST);
            assert!(error.message.contains("5 - 20000"));
        }
    }
}
