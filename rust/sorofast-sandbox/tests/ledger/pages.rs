//! Pages of ledgers and transactions, read back with nothing but their XDR.

use crate::contracts::with_counter;
use crate::network::{bump, call, pay, Key, Network, XLM};
use sorofast_sandbox::crypto::sha256;
use sorofast_sandbox::node::{LedgerWithMeta, Place, TransactionRecord};
use std::sync::Arc;
use stellar_xdr::{
    LedgerCloseMeta, LedgerCloseMetaV2, LedgerHeaderHistoryEntry, Limits, ReadXdr, ScVal,
    SorobanTransactionMetaExt, StellarValueExt, TransactionEnvelope, TransactionMeta,
    TransactionResult, TransactionResultSet, WriteXdr,
};

/// A network that has applied calls, payments, a fee-bump of each, and a failure.
fn busy() -> (Network, u32) {
    let (network, alice, counter) = with_counter();
    let (bob, payer) = (Key::new(71), Key::new(72));
    network.fund(&[bob, payer], 1_000 * XLM);
    let start = network.node.latest().sequence + 1;
    assert!(
        network
            .run(&alice, call(&counter, "increment", vec![]))
            .successful
    );
    let function = call(&counter, "bump", vec![ScVal::U64(1)]);
    let inner = network.soroban_tx(&alice, None, function);
    let fee = i64::from(inner.fee) + 700;
    let bumped = bump(
        &network,
        &network.sign(&inner, &[alice]),
        &payer,
        fee,
        &[payer],
    );
    assert!(network.apply(&bumped).successful);
    let inner = network.tx(&bob, vec![pay(&alice, 1), pay(&alice, 2)]);
    let bumped = bump(
        &network,
        &network.sign(&inner, &[bob]),
        &payer,
        1_200,
        &[payer],
    );
    assert!(network.apply(&bumped).successful);
    let failing = network.tx(&bob, vec![pay(&alice, 1), pay(&alice, 100_000 * XLM)]);
    assert!(!network.apply(&network.sign(&failing, &[bob])).successful);
    network.close();
    (network, start)
}

fn decode(ledger: &LedgerWithMeta) -> (LedgerHeaderHistoryEntry, LedgerCloseMetaV2) {
    let entry = ledger.summary.header_history_xdr();
    let entry = LedgerHeaderHistoryEntry::from_xdr(entry, Limits::none()).expect("a header");
    let LedgerCloseMeta::V2(meta) =
        LedgerCloseMeta::from_xdr(&ledger.meta_xdr, Limits::none()).expect("a meta")
    else {
        panic!("version 2");
    };
    (entry, meta)
}

#[test]
fn ledgers_of_a_page_hold_what_their_headers_commit_to() {
    let (network, _) = busy();
    let page = network.node.view(0).ledgers_with_meta(1, 200);
    let latest = network.node.latest();
    assert_eq!(page.ledgers.len() as u32, latest.sequence);
    assert_eq!(page.range.latest.hash, latest.hash);
    let mut previous = [0; 32];
    for ledger in &page.ledgers {
        let (entry, meta) = decode(ledger);
        let header = &entry.header;
        assert_eq!(meta.ledger_header, entry);
        assert_eq!(header.previous_ledger_hash.0, previous);
        let header_xdr = header.to_xdr(Limits::none()).expect("a header");
        assert_eq!(sha256(&header_xdr), entry.hash.0);
        assert_eq!(entry.hash.0, ledger.summary.hash);
        let StellarValueExt::SignedMs(value) = &header.scp_value.ext else {
            panic!("protocol 30 signs milliseconds");
        };
        assert_eq!(value.close_time_ms.0 / 1000, header.scp_value.close_time.0);
        let set = meta.tx_set.to_xdr(Limits::none()).expect("a set");
        assert_eq!(sha256(&set), header.scp_value.tx_set_hash.0);
        let results: Vec<_> = meta
            .tx_processing
            .iter()
            .map(|tx| tx.result.clone())
            .collect();
        let results = TransactionResultSet {
            results: results.try_into().expect("results"),
        };
        let results = results.to_xdr(Limits::none()).expect("results");
        assert_eq!(sha256(&results), header.tx_set_result_hash.0);
        previous = entry.hash.0;
    }
    assert_eq!(previous, latest.hash);
}

#[test]
fn a_page_of_ledgers_has_bounds() {
    let (network, start) = busy();
    let view = network.node.view(0);
    let sequences = |from, limit| -> Vec<u32> {
        let page = view.ledgers_with_meta(from, limit);
        page.ledgers
            .iter()
            .map(|ledger| ledger.summary.sequence)
            .collect()
    };
    assert_eq!(sequences(start, 2), [start, start + 1]);
    assert!(sequences(network.node.latest().sequence + 1, 2).is_empty());
    assert_eq!(sequences(0, 1), [1]);
}

#[test]
fn transactions_follow_each_other_from_any_place() {
    let (network, start) = busy();
    let view = network.node.view(0);
    let place = |ledger, order| Place { ledger, order };
    let whole = view.transactions_from(place(1, 1), 1_000);
    let places = |records: &[Arc<TransactionRecord>]| -> Vec<Place> {
        records
            .iter()
            .map(|record| place(record.ledger, record.application_order))
            .collect()
    };
    let all = places(&whole.records);
    assert!(all.len() > 4);
    assert_eq!(whole.end, Some(place(network.node.latest().sequence, 0)));
    for (index, from) in all.iter().enumerate() {
        let page = view.transactions_from(*from, 2);
        assert_eq!(
            places(&page.records),
            all[index..].iter().copied().take(2).collect::<Vec<_>>()
        );
    }
    let behind_the_end = view.transactions_from(place(start, 9), 1);
    assert_eq!(behind_the_end.records[0].ledger, start + 1);
    let nothing = view.transactions_from(place(network.node.latest().sequence + 1, 1), 1);
    assert!(nothing.records.is_empty() && nothing.end.is_none());
}

/// What the real server takes for the inclusion fee, from the result and the meta alone: for contracts what is left of
/// the fee besides resources, else the fee per operation of the transaction itself.
fn inclusion_fee(record: &TransactionRecord) -> (bool, u64) {
    let result = TransactionResult::from_xdr(&record.result_xdr, Limits::none()).expect("a result");
    let TransactionMeta::V4(meta) =
        TransactionMeta::from_xdr(&record.meta_xdr, Limits::none()).expect("a meta")
    else {
        panic!("version 4");
    };
    if let Some(soroban) = meta.soroban_meta {
        let SorobanTransactionMetaExt::V1(fees) = soroban.ext else {
            panic!("fees");
        };
        let resources = fees.total_non_refundable_resource_fee_charged
            + fees.total_refundable_resource_fee_charged;
        return (true, (result.fee_charged - resources).unsigned_abs());
    }
    let envelope =
        TransactionEnvelope::from_xdr(&record.envelope_xdr, Limits::none()).expect("an envelope");
    let operations = match envelope {
        TransactionEnvelope::Tx(envelope) => envelope.tx.operations.len(),
        TransactionEnvelope::TxFeeBump(envelope) => {
            let stellar_xdr::FeeBumpTransactionInnerTx::Tx(inner) = envelope.tx.inner_tx;
            inner.tx.operations.len()
        }
        TransactionEnvelope::TxV0(envelope) => envelope.tx.operations.len(),
    };
    (false, result.fee_charged.unsigned_abs() / operations as u64)
}

#[test]
fn fee_statistics_are_those_of_results_and_metas() {
    let (network, _) = busy();
    let records = network
        .node
        .view(0)
        .transactions_from(
            Place {
                ledger: 1,
                order: 1,
            },
            1_000,
        )
        .records;
    let latest = network.node.latest().sequence;
    let fees = |contracts: bool, ledgers: u32| -> Vec<u64> {
        let mut fees: Vec<u64> = records
            .iter()
            .filter(|record| record.ledger + ledgers > latest)
            .map(|record| inclusion_fee(record))
            .filter_map(|(contract, fee)| (contract == contracts).then_some(fee))
            .collect();
        fees.sort_unstable();
        fees
    };
    let stats = network.node.fee_stats();
    for (told, fees) in [
        (stats.soroban_inclusion_fee, fees(true, 50)),
        (stats.inclusion_fee, fees(false, 10)),
    ] {
        assert_eq!(told.transaction_count as usize, fees.len());
        assert_eq!((told.min, told.max), (fees[0], fees[fees.len() - 1]));
        assert_eq!(
            told.percentiles[4],
            fees[(fees.len() * 50).div_ceil(100) - 1]
        );
    }
}
