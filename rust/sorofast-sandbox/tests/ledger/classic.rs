//! Classic operations, and what every ledger records about them.

use crate::contracts::with_counter;
use crate::network::{call, create_account, decode_result, pay, Key, Network, XLM};
use sorofast_sandbox::crypto::sha256;
use sorofast_sandbox::ledger::account::sequence_age;
use sorofast_sandbox::node::{EventId, Node};
use stellar_xdr::{
    CreateAccountResult, LedgerCloseMeta, LedgerHeader, Limits, OperationResult, OperationResultTr,
    PaymentResult, ReadXdr, StellarValueExt, TransactionExt, TransactionMeta,
    TransactionResultResult as Code, WriteXdr,
};

fn inner(xdr: &[u8]) -> Vec<OperationResult> {
    match decode_result(xdr).result {
        Code::TxSuccess(results) | Code::TxFailed(results) => results.to_vec(),
        other => panic!("no operation results in {other:?}"),
    }
}

#[test]
fn a_new_account_starts_with_its_ledger() {
    let network = Network::new();
    let alice = Key::new(1);
    network.fund(&[alice], 5 * XLM);
    let ledger = network.node.latest().sequence;
    let account = network.account(&alice).expect("it was made");
    assert_eq!(account.balance, 5 * XLM);
    assert_eq!(account.seq_num.0, i64::from(ledger) << 32);
    let friendbot = network.account(&network.friendbot()).expect("friendbot");
    assert_eq!(
        sequence_age(&friendbot),
        (ledger, network.node.latest().close_time_s)
    );
    network.assert_coins();
}

#[test]
fn failures_cost_the_fee_and_the_sequence() {
    let network = Network::new();
    let (alice, bob) = (Key::new(1), Key::new(2));
    network.fund(&[alice, bob], 5 * XLM);
    let nobody = Key::new(3);
    let before = network.account(&alice).expect("alice");
    let tx = network.tx(&alice, vec![pay(&bob, XLM), pay(&nobody, XLM)]);
    let record = network.apply(&network.sign(&tx, &[alice]));
    assert!(!record.successful);
    let results = inner(&record.result_xdr);
    assert_eq!(
        results,
        vec![
            OperationResult::OpInner(OperationResultTr::Payment(PaymentResult::Success)),
            OperationResult::OpInner(OperationResultTr::Payment(PaymentResult::NoDestination)),
        ]
    );
    let after = network.account(&alice).expect("alice");
    assert_eq!(after.balance, before.balance - 200);
    assert_eq!(after.seq_num.0, before.seq_num.0 + 1);
    assert_eq!(network.account(&bob).expect("bob").balance, 5 * XLM);
    let outline = Node::outline(&record).expect("an outline");
    assert_eq!(outline.result_code, "txFAILED");
    assert_eq!(outline.operation, "payment");
    network.assert_coins();
}

#[test]
fn reserves_are_kept() {
    let network = Network::new();
    let (alice, bob) = (Key::new(1), Key::new(2));
    network.fund(&[alice], 5 * XLM);
    let low = network.tx(&alice, vec![create_account(&bob, XLM - 1)]);
    let record = network.apply(&network.sign(&low, &[alice]));
    assert_eq!(
        inner(&record.result_xdr)[0],
        OperationResult::OpInner(OperationResultTr::CreateAccount(
            CreateAccountResult::LowReserve
        ))
    );
    // Two base reserves must stay behind.
    let all = network.tx(&alice, vec![create_account(&bob, 4 * XLM)]);
    let record = network.apply(&network.sign(&all, &[alice]));
    assert_eq!(
        inner(&record.result_xdr)[0],
        OperationResult::OpInner(OperationResultTr::CreateAccount(
            CreateAccountResult::Underfunded
        ))
    );
    let some = network.tx(&alice, vec![create_account(&bob, 3 * XLM)]);
    assert!(network.apply(&network.sign(&some, &[alice])).successful);
    let again = network.tx(&alice, vec![create_account(&bob, XLM)]);
    let record = network.apply(&network.sign(&again, &[alice]));
    assert_eq!(
        inner(&record.result_xdr)[0],
        OperationResult::OpInner(OperationResultTr::CreateAccount(
            CreateAccountResult::AlreadyExist
        ))
    );
    network.assert_coins();
}

#[test]
fn headers_chain_and_metas_decode() {
    let network = Network::new();
    let (alice, bob) = (Key::new(1), Key::new(2));
    network.fund(&[alice, bob], 5 * XLM);
    let tx = network.tx(&alice, vec![pay(&bob, XLM)]);
    let record = network.apply(&network.sign(&tx, &[alice]));
    network.node.advance(60, 0.0).expect("sixty ledgers");
    let mut previous = [0; 32];
    for summary in network.node.ledgers(1, 100) {
        let header = LedgerHeader::from_xdr(&summary.header_xdr, Limits::none()).expect("a header");
        assert_eq!(header.previous_ledger_hash.0, previous);
        assert_eq!(header.ledger_seq, summary.sequence);
        assert_eq!(header.ledger_version, 30);
        let StellarValueExt::SignedMs(value) = &header.scp_value.ext else {
            panic!("protocol 30 signs milliseconds");
        };
        assert_eq!(value.close_time_ms.0, summary.close_time_ms);
        assert_eq!(header.scp_value.close_time.0, summary.close_time_ms / 1000);
        previous = summary.hash;
        assert_eq!(sha256(&summary.header_xdr), previous);
        let meta = network
            .node
            .ledger_meta_xdr(summary.sequence)
            .expect("a kept ledger");
        let LedgerCloseMeta::V2(meta) =
            LedgerCloseMeta::from_xdr(&meta, Limits::none()).expect("a meta")
        else {
            panic!("version 2");
        };
        assert_eq!(meta.tx_processing.len() as u32, summary.transactions);
        let set = meta.tx_set.to_xdr(Limits::none()).expect("a set");
        assert_eq!(sha256(&set), header.scp_value.tx_set_hash.0);
    }
    let TransactionMeta::V4(meta) =
        TransactionMeta::from_xdr(&record.meta_xdr, Limits::none()).expect("a meta")
    else {
        panic!("version 4");
    };
    assert_eq!(meta.operations.len(), 1);
    assert_eq!(meta.operations[0].events.len(), 1);
    assert_eq!(meta.events.len(), 1);
}

#[test]
fn events_come_in_order_and_by_cursor() {
    let network = Network::new();
    let (alice, bob) = (Key::new(1), Key::new(2));
    network.fund(&[alice, bob], 5 * XLM);
    let tx = network.tx(&alice, vec![pay(&bob, 3), pay(&bob, 4)]);
    let record = network.apply(&network.sign(&tx, &[alice]));
    let start = EventId::ledger_start(record.ledger);
    let page = network
        .node
        .events(start, false, u32::MAX, 100, &mut |_| true);
    let ids: Vec<String> = page
        .events
        .iter()
        .map(|event| event.id.to_string())
        .collect();
    let toid = |tx: u64, op: u64| (u64::from(record.ledger) << 32) | (tx << 12) | op;
    assert_eq!(
        ids,
        vec![
            format!("{:019}-0000000000", toid(0, 0)),
            format!("{:019}-0000000000", toid(1, 0)),
            format!("{:019}-0000000000", toid(1, 1)),
        ]
    );
    for event in &page.events {
        let place = (event.id.toid >> 12) & 0xF_FFFF;
        assert_eq!(u64::from(event.transaction_index), place);
    }
    assert_eq!(EventId::parse(&ids[1]), Some(page.events[1].id));
    let rest = network
        .node
        .events(page.events[1].id, true, u32::MAX, 100, &mut |_| true);
    assert_eq!(rest.events.len(), 1);
    assert_eq!(rest.events[0].id, page.events[2].id);
    let none = network
        .node
        .events(start, false, record.ledger, 100, &mut |_| true);
    assert!(none.events.is_empty());
    assert_eq!(none.range.latest.sequence, network.node.latest().sequence);
}

#[test]
fn an_account_acts_in_the_transaction_that_makes_it() {
    let network = Network::new();
    let (alice, bob) = (Key::new(1), Key::new(2));
    network.fund(&[alice], 50 * XLM);
    let mut payment = pay(&alice, 1);
    payment.source_account = Some(bob.muxed());
    let tx = network.tx(&alice, vec![create_account(&bob, 5 * XLM), payment.clone()]);
    let record = network.apply(&network.sign(&tx, &[alice, bob]));
    assert!(record.successful, "{:?}", inner(&record.result_xdr));
    assert_eq!(network.account(&bob).expect("bob").balance, 5 * XLM - 1);

    let nobody = Key::new(3);
    payment.source_account = Some(nobody.muxed());
    let tx = network.tx(&alice, vec![pay(&bob, 1), payment]);
    let record = network.apply(&network.sign(&tx, &[alice, nobody]));
    assert_eq!(inner(&record.result_xdr)[1], OperationResult::OpNoAccount);
    network.assert_coins();
}

#[test]
fn a_call_by_nobody_uses_up_the_sequence() {
    let (network, alice, counter) = with_counter();
    let nobody = Key::new(3);
    let mut tx = network.soroban_tx(&alice, None, call(&counter, "increment", vec![]));
    let mut operation = tx.operations[0].clone();
    operation.source_account = Some(nobody.muxed());
    tx.operations = vec![operation].try_into().expect("one operation");
    tx.fee += 100_000;
    if let TransactionExt::V1(data) = &mut tx.ext {
        data.resource_fee += 100_000;
    }
    let record = network.apply(&network.sign(&tx, &[alice, nobody]));
    assert_eq!(inner(&record.result_xdr), [OperationResult::OpNoAccount]);
    assert_eq!(network.sequence(&alice), tx.seq_num.0);
    network.assert_coins();
}
