//! Applied transactions and closed ledgers, a page at a time.

use super::{readable, View};
use crate::ledger::history::ClosedLedger;
use crate::ledger::meta::ledger_close_meta;
use crate::types::{LedgerRange, LedgerSummary, TransactionRecord};
use std::sync::Arc;

/// What one page holds at most, in bytes of XDR; one item always fits.
const PAGE_BYTES: usize = 32 * 1024 * 1024;

/// A transaction's place: its ledger, and within it from 1; 0 stands before all of them.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Place {
    pub ledger: u32,
    pub order: u32,
}

/// Applied transactions from some place on.
#[derive(Clone, Debug)]
pub struct TransactionsPage {
    pub records: Vec<Arc<TransactionRecord>>,
    /// The last transaction, or the start of the last ledger when the page ends with ledgers that have none to give.
    pub end: Option<Place>,
    /// The ledgers there were to look at.
    pub range: LedgerRange,
}

/// A closed ledger with its `LedgerCloseMeta`.
#[derive(Clone, Debug)]
pub struct LedgerWithMeta {
    pub summary: LedgerSummary,
    pub meta_xdr: Vec<u8>,
}

#[derive(Clone, Debug)]
pub struct LedgersPage {
    pub ledgers: Vec<LedgerWithMeta>,
    pub range: LedgerRange,
}

impl View<'_> {
    /// Transactions of kept ledgers from `start` (inclusive) on, at most `limit` and fewer when they are large.
    pub fn transactions_from(&self, start: Place, limit: usize) -> TransactionsPage {
        let visible = readable(&self.node.visible);
        let content = self.content(&visible);
        let mut page = TransactionsPage {
            records: Vec::new(),
            end: None,
            range: self.shown_range(&visible),
        };
        let mut bytes = 0;
        for ledger in visible.history.from(start.ledger) {
            let sequence = ledger.summary.sequence;
            if sequence > content || self.lens.hides() {
                break;
            }
            let mut end = Place {
                ledger: sequence,
                order: 0,
            };
            let skip = if sequence == start.ledger {
                start.order.saturating_sub(1) as usize
            } else {
                0
            };
            for record in ledger.records.iter().skip(skip) {
                end.order = record.application_order;
                bytes += record_bytes(record);
                page.records.push(Arc::clone(record));
                if page.records.len() >= limit || bytes > PAGE_BYTES {
                    page.end = Some(end);
                    return page;
                }
            }
            page.end = Some(end);
        }
        page
    }

    /// Kept ledgers from `from` (inclusive) on with their metas, at most `limit` and fewer when they are large.
    pub fn ledgers_with_meta(&self, from: u32, limit: usize) -> LedgersPage {
        let (closed, range) = {
            let visible = readable(&self.node.visible);
            let content = self.content(&visible);
            let closed: Vec<Arc<ClosedLedger>> = visible
                .history
                .from(from)
                .take_while(|ledger| ledger.summary.sequence <= content)
                .take(limit)
                .cloned()
                .collect();
            (closed, self.shown_range(&visible))
        };
        let mut bytes = 0;
        let mut ledgers = Vec::with_capacity(closed.len());
        for ledger in closed {
            let meta_xdr = ledger_close_meta(&ledger);
            bytes += meta_xdr.len();
            ledgers.push(LedgerWithMeta {
                summary: self.lens.summary(&ledger.summary),
                meta_xdr,
            });
            if bytes > PAGE_BYTES {
                break;
            }
        }
        LedgersPage { ledgers, range }
    }
}

fn record_bytes(record: &TransactionRecord) -> usize {
    // Events stand in the meta once more, as the answer has them.
    record.envelope_xdr.len() + record.result_xdr.len() + 2 * record.meta_xdr.len()
}
