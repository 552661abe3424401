//! Kept ledgers in a saved state. Their events follow from their transactions and are not written.

use super::codec::{saved_struct, Input, Item, Output, Saved};
use super::{Refusal, MAX_TIME_MS};
use crate::config::PROTOCOL_VERSION;
use crate::crypto::sha256;
use crate::ledger::close::event_stream;
use crate::ledger::history::ClosedLedger;
use crate::ledger::meta::ledger_close_meta;
use crate::ledger::state::Lifetime;
use crate::ledger::value::OLD_PROTOCOL_VERSION;
use crate::tx::envelope::decode_limits;
use crate::tx::outline::outline;
use crate::types::{LedgerSummary, TransactionRecord};
use std::io::{Read, Write};
use std::sync::Arc;
use stellar_xdr::{
    DiagnosticEvent, LedgerCloseMeta, LedgerHeader, Limits, ReadXdr, StellarValueExt,
};

saved_struct!(Lifetime {
    live_until,
    rent_size_bytes,
    modified,
});

saved_struct!(LedgerSummary {
    sequence,
    close_time_s,
    close_time_ms,
    hash,
    header_xdr,
    transactions,
});

saved_struct!(TransactionRecord {
    hash,
    inner_hash,
    ledger,
    application_order,
    close_time_s,
    close_time_ms,
    successful,
    fee_charged_stroops,
    envelope_xdr,
    result_xdr,
    meta_xdr,
    diagnostic_events_xdr,
    transaction_events_xdr,
    contract_events_xdr,
    fee_changes_xdr,
    post_apply_changes_xdr,
});

impl Saved for Arc<TransactionRecord> {
    fn save<W: Write>(&self, output: &mut Output<W>) -> std::io::Result<()> {
        TransactionRecord::save(self, output)
    }

    fn load<R: Read>(input: &mut Input<R>) -> Result<Self, Refusal> {
        TransactionRecord::load(input).map(Self::new)
    }
}

impl Item for Arc<TransactionRecord> {}

impl Saved for ClosedLedger {
    fn save<W: Write>(&self, output: &mut Output<W>) -> std::io::Result<()> {
        let Self {
            summary,
            transaction_set_xdr,
            records,
            events: _,
            soroban_fees,
            classic_fees,
            evicted_keys_xdr,
            state_size_bytes,
        } = self;
        summary.save(output)?;
        transaction_set_xdr.save(output)?;
        records.save(output)?;
        soroban_fees.save(output)?;
        classic_fees.save(output)?;
        evicted_keys_xdr.save(output)?;
        state_size_bytes.save(output)
    }

    fn load<R: Read>(input: &mut Input<R>) -> Result<Self, Refusal> {
        let summary = Saved::load(input)?;
        let transaction_set_xdr = Saved::load(input)?;
        let records: Vec<Arc<TransactionRecord>> = Saved::load(input)?;
        // Events say at which stage they were in their first word.
        let staged = |event: &Vec<u8>| event.len() >= 4;
        if !records
            .iter()
            .all(|record| record.transaction_events_xdr.iter().all(staged))
        {
            return Err(Refusal::Content("a transaction's event is cut off".into()));
        }
        Ok(Self {
            summary,
            transaction_set_xdr,
            events: event_stream(&records),
            records,
            soroban_fees: Saved::load(input)?,
            classic_fees: Saved::load(input)?,
            evicted_keys_xdr: Saved::load(input)?,
            state_size_bytes: Saved::load(input)?,
        })
    }
}

/// The header of a ledger, from its summary.
pub(crate) fn header(summary: &LedgerSummary) -> Result<LedgerHeader, Refusal> {
    let limits = Limits {
        depth: 100,
        len: summary.header_xdr.len(),
    };
    LedgerHeader::from_xdr(&summary.header_xdr, limits)
        .map_err(|error| Refusal::Content(format!("ledger {}: {error}", summary.sequence)))
}

/// Whether everything in it is XDR of what it should be, so that whoever asks for it gets an answer.
fn is_readable(ledger: &ClosedLedger) -> bool {
    let meta = ledger_close_meta(ledger);
    let decodes = |xdr: &Vec<u8>| DiagnosticEvent::from_xdr(xdr, decode_limits(xdr.len())).is_ok();
    LedgerCloseMeta::from_xdr(&meta, decode_limits(meta.len())).is_ok()
        && ledger.records.iter().all(|record| {
            outline(record).is_ok() && record.diagnostic_events_xdr.iter().all(decodes)
        })
}

/// Fails unless the ledger follows the one before it and says of itself what its header says.
pub(super) fn check(ledger: &ClosedLedger, before: Option<&ClosedLedger>) -> Result<(), Refusal> {
    let summary = &ledger.summary;
    let refuse = |what: &str| {
        let sequence = summary.sequence;
        Err(Refusal::Content(format!("ledger {sequence} {what}")))
    };
    let header = header(summary)?;
    let own = sha256(&summary.header_xdr) == summary.hash && header.ledger_seq == summary.sequence;
    let follows = before.is_none_or(|before| {
        header.previous_ledger_hash.0 == before.summary.hash
            && before.summary.sequence.checked_add(1) == Some(summary.sequence)
    });
    if !own || !follows {
        return refuse("does not continue the chain");
    }
    let told_ms = match &header.scp_value.ext {
        StellarValueExt::SignedMs(value) => value.close_time_ms.0,
        StellarValueExt::EmptyTxSetMs(value) => value.close_time_ms.0,
        _ => header.scp_value.close_time.0.saturating_mul(1000),
    };
    let is_later = before.is_none_or(|before| before.summary.close_time_ms < told_ms);
    if summary.close_time_ms != told_ms
        || summary.close_time_s != told_ms / 1000
        || header.scp_value.close_time.0 != summary.close_time_s
        || told_ms > MAX_TIME_MS
        || !is_later
    {
        return refuse("closed at another time than its header says");
    }
    if !(OLD_PROTOCOL_VERSION..=PROTOCOL_VERSION).contains(&header.ledger_version)
        || header.fee_pool < 0
    {
        return refuse("has a header that no ledger has");
    }
    let in_order = ledger.records.iter().zip(1..).all(|(record, order)| {
        record.ledger == summary.sequence && record.application_order == order
    });
    if !in_order || ledger.records.len() != summary.transactions as usize {
        return refuse("has other transactions than it says");
    }
    if !is_readable(ledger) {
        return refuse("has transactions that cannot be read");
    }
    Ok(())
}
