//! What the ledger did: applied transactions and closed ledgers, page by page.

use std::sync::Arc;

use crate::node::{LedgerSummary, Node, TransactionRecord};
use axum::extract::rejection::QueryRejection;
use axum::extract::{Query, State};
use serde::{Deserialize, Serialize};

use super::{blocking, AdminError, AdminResult};
use crate::address;
use crate::app::App;
use crate::rpc::format::base64_all;

const DEFAULT_LIMIT: usize = 1_000;
const MAX_LIMIT: usize = 10_000;

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct Page {
    /// First ledger of the page; the oldest kept one unless given.
    from_ledger: Option<u32>,
    limit: Option<usize>,
}

impl Page {
    fn read(query: Result<Query<Self>, QueryRejection>) -> Result<(u32, usize), AdminError> {
        let Query(page) = query.map_err(|rejection| AdminError::bad(rejection.body_text()))?;
        let limit = page.limit.unwrap_or(DEFAULT_LIMIT);
        if !(1..=MAX_LIMIT).contains(&limit) {
            return Err(AdminError::bad(format!(
                "limit must be between 1 and {MAX_LIMIT}"
            )));
        }
        Ok((page.from_ledger.unwrap_or_default(), limit))
    }
}

#[derive(Debug, Serialize)]
pub(super) struct TransactionsPage {
    transactions: Vec<Transaction>,
    latest_ledger: u32,
    next_from_ledger: Option<u32>,
}

#[derive(Debug, Serialize)]
struct Transaction {
    ledger: u32,
    order: u32,
    close_time: u64,
    close_time_ms: u64,
    hash: String,
    /// Of the transaction inside a fee-bump.
    inner_hash: Option<String>,
    source: String,
    fee_source: String,
    operation_source: String,
    operation: &'static str,
    contract: Option<String>,
    function: Option<String>,
    args: Vec<String>,
    status: &'static str,
    result_code: String,
    operation_result: Option<String>,
    fee_charged: i64,
    max_ledger: Option<u32>,
}

/// Applied transactions of whole ledgers, failed ones included, in apply order.
pub(super) async fn transactions(
    State(app): State<Arc<App>>,
    query: Result<Query<Page>, QueryRejection>,
) -> AdminResult<TransactionsPage> {
    let (from_ledger, limit) = Page::read(query)?;
    blocking(move || {
        // Read before the list, so that the list holds everything up to this ledger or says where it
        // goes on.
        let latest_ledger = app.node.latest().sequence;
        let (records, next_from_ledger) = app.node.applied(from_ledger, limit);
        let transactions = records
            .iter()
            .map(|record| show(record))
            .collect::<Result<_, _>>()?;
        Ok(TransactionsPage {
            transactions,
            latest_ledger,
            next_from_ledger,
        })
    })
    .await
}

fn show(record: &TransactionRecord) -> Result<Transaction, AdminError> {
    let outline = Node::outline(record)?;
    Ok(Transaction {
        ledger: record.ledger,
        order: record.application_order,
        close_time: record.close_time_s,
        close_time_ms: record.close_time_ms,
        hash: hex::encode(record.hash),
        inner_hash: record.inner_hash.map(hex::encode),
        source: address::account(outline.source),
        fee_source: address::account(outline.fee_source),
        operation_source: address::account(outline.operation_source),
        operation: outline.operation,
        contract: outline.contract.map(address::contract),
        function: outline.function,
        args: base64_all(&outline.args_xdr),
        status: if record.successful {
            "SUCCESS"
        } else {
            "FAILED"
        },
        result_code: outline.result_code,
        operation_result: outline.operation_result,
        fee_charged: record.fee_charged_stroops,
        max_ledger: outline.max_ledger,
    })
}

#[derive(Debug, Serialize)]
pub(super) struct LedgersPage {
    ledgers: Vec<Ledger>,
    latest_ledger: u32,
}

#[derive(Debug, Serialize)]
struct Ledger {
    sequence: u32,
    close_time: u64,
    close_time_ms: u64,
    hash: String,
    transactions: u32,
}

impl From<LedgerSummary> for Ledger {
    fn from(ledger: LedgerSummary) -> Self {
        Self {
            sequence: ledger.sequence,
            close_time: ledger.close_time_s,
            close_time_ms: ledger.close_time_ms,
            hash: hex::encode(ledger.hash),
            transactions: ledger.transactions,
        }
    }
}

pub(super) async fn ledgers(
    State(app): State<Arc<App>>,
    query: Result<Query<Page>, QueryRejection>,
) -> AdminResult<LedgersPage> {
    let (from_ledger, limit) = Page::read(query)?;
    blocking(move || {
        let latest_ledger = app.node.latest().sequence;
        let ledgers = app.node.ledgers(from_ledger, limit);
        Ok(LedgersPage {
            ledgers: ledgers.into_iter().map(Ledger::from).collect(),
            latest_ledger,
        })
    })
    .await
}
