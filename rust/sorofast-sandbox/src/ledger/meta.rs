//! Metadata of transactions and ledgers, put together from parts that are XDR already.

use crate::ledger::history::ClosedLedger;
use crate::ledger::value::upgrades_meta_xdr;

/// What `TransactionMetaV4` is made of.
#[derive(Debug, Default)]
pub struct MetaParts<'a> {
    /// XDR of `LedgerEntryChanges`.
    pub before_xdr: &'a [u8],
    /// Per operation: XDR of its `LedgerEntryChanges` and of its `ContractEvent`s. Empty for failed transactions.
    pub operations: &'a [(Vec<u8>, Vec<Vec<u8>>)],
    pub soroban: Option<SorobanMeta<'a>>,
    /// XDR of `TransactionEvent`s.
    pub events_xdr: &'a [Vec<u8>],
    /// XDR of `DiagnosticEvent`s.
    pub diagnostics_xdr: &'a [Vec<u8>],
}

/// Fees as they came out, and the returned value.
#[derive(Clone, Copy, Debug)]
pub struct SorobanMeta<'a> {
    pub non_refundable_fee: i64,
    pub refundable_fee: i64,
    pub rent_fee: i64,
    pub return_value_xdr: Option<&'a [u8]>,
}

const TRANSACTION_META_V4: u32 = 4;
const LEDGER_CLOSE_META_V2: u32 = 2;

/// XDR of a `TransactionMeta`.
pub fn transaction_meta(parts: &MetaParts<'_>) -> Vec<u8> {
    let mut out = Vec::with_capacity(1024);
    word(&mut out, TRANSACTION_META_V4);
    word(&mut out, 0);
    out.extend_from_slice(parts.before_xdr);
    word(&mut out, parts.operations.len() as u32);
    for (changes, events) in parts.operations {
        word(&mut out, 0);
        out.extend_from_slice(changes);
        list(&mut out, events);
    }
    word(&mut out, 0);
    match &parts.soroban {
        None => word(&mut out, 0),
        Some(soroban) => {
            word(&mut out, 1);
            word(&mut out, 1);
            word(&mut out, 0);
            for fee in [
                soroban.non_refundable_fee,
                soroban.refundable_fee,
                soroban.rent_fee,
            ] {
                out.extend_from_slice(&fee.to_be_bytes());
            }
            match soroban.return_value_xdr {
                None => word(&mut out, 0),
                Some(value) => {
                    word(&mut out, 1);
                    out.extend_from_slice(value);
                }
            }
        }
    }
    list(&mut out, parts.events_xdr);
    list(&mut out, parts.diagnostics_xdr);
    out
}

/// XDR of a `TransactionEvent`; stage 0 is before all transactions, 2 after all of them.
pub fn transaction_event(stage: u32, event_xdr: &[u8]) -> Vec<u8> {
    let mut out = Vec::with_capacity(4 + event_xdr.len());
    word(&mut out, stage);
    out.extend_from_slice(event_xdr);
    out
}

/// XDR of the `LedgerCloseMeta` of a closed ledger.
pub fn ledger_close_meta(ledger: &ClosedLedger) -> Vec<u8> {
    let mut out = Vec::with_capacity(4096);
    word(&mut out, LEDGER_CLOSE_META_V2);
    word(&mut out, 0);
    out.extend_from_slice(&ledger.summary.header_history_xdr());
    out.extend_from_slice(&ledger.transaction_set_xdr);
    word(&mut out, ledger.records.len() as u32);
    for record in &ledger.records {
        word(&mut out, 0);
        out.extend_from_slice(&record.hash);
        out.extend_from_slice(&record.result_xdr);
        out.extend_from_slice(&record.fee_changes_xdr);
        out.extend_from_slice(&record.meta_xdr);
        out.extend_from_slice(&record.post_apply_changes_xdr);
    }
    out.extend_from_slice(&upgrades_meta_xdr(&ledger.summary.header_xdr));
    // No consensus messages.
    word(&mut out, 0);
    out.extend_from_slice(&ledger.state_size_bytes.to_be_bytes());
    list(&mut out, &ledger.evicted_keys_xdr);
    out
}

fn word(out: &mut Vec<u8>, value: u32) {
    out.extend_from_slice(&value.to_be_bytes());
}

fn list(out: &mut Vec<u8>, items: &[Vec<u8>]) {
    word(out, items.len() as u32);
    for item in items {
        out.extend_from_slice(item);
    }
}
