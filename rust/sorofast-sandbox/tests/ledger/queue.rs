//! One transaction per source, ages and bans.

use crate::contracts::with_counter;
use crate::network::{call, decode_result, manual, pay, refusal, Key, Network, XLM};
use sorofast_sandbox::ledger::settings::Settings;
use sorofast_sandbox::node::SubmitStatus;
use sorofast_sandbox::tx::envelope::decode;
use sorofast_sandbox::tx::queue::Queue;
use std::sync::Arc;
use stellar_xdr::{
    Duration as XdrDuration, LedgerBounds, Preconditions, PreconditionsV2, SequenceNumber,
    Transaction, TransactionResultResult as Code, VecM,
};

#[test]
fn one_transaction_per_source_waits() {
    let network = Network::new();
    let (alice, bob) = (Key::new(1), Key::new(2));
    network.fund(&[alice, bob], 100 * XLM);
    let first = network.tx(&alice, vec![pay(&bob, 1)]);
    let mut second = network.tx(&alice, vec![pay(&bob, 2)]);
    second.seq_num = SequenceNumber(first.seq_num.0 + 1);
    let first = network.sign(&first, &[alice]);
    let second = network.sign(&second, &[alice]);
    assert_eq!(network.submit(&first).status, SubmitStatus::Pending);
    assert_eq!(network.submit(&first).status, SubmitStatus::Duplicate);
    assert_eq!(network.submit(&second).status, SubmitStatus::TryAgainLater);
    network.close();
    assert_eq!(network.submit(&second).status, SubmitStatus::Pending);
}

#[test]
fn an_older_sequence_than_the_waiting_one_is_refused() {
    let network = Network::new();
    let (alice, bob) = (Key::new(1), Key::new(2));
    network.fund(&[alice, bob], 100 * XLM);
    let tx = network.tx(&alice, vec![pay(&bob, 1)]);
    let mut older = tx.clone();
    older.seq_num = SequenceNumber(tx.seq_num.0 - 1);
    assert_eq!(
        network.submit(&network.sign(&tx, &[alice])).status,
        SubmitStatus::Pending
    );
    let submission = network.submit(&network.sign(&older, &[alice]));
    assert_eq!(refusal(&submission), Code::TxBadSeq);
}

#[test]
fn an_applied_hash_is_banned_for_ten_ledgers() {
    let network = Network::new();
    let (alice, bob) = (Key::new(1), Key::new(2));
    network.fund(&[alice, bob], 100 * XLM);
    let envelope = network.sign(&network.tx(&alice, vec![pay(&bob, 1)]), &[alice]);
    assert!(network.apply(&envelope).successful);
    for ledger in 0..9 {
        assert_eq!(
            network.submit(&envelope).status,
            SubmitStatus::TryAgainLater,
            "{ledger} ledgers later"
        );
        network.close();
    }
    assert_eq!(refusal(&network.submit(&envelope)), Code::TxBadSeq);
}

#[test]
fn what_never_fits_is_dropped_after_four_ledgers() {
    let network = Network::new();
    let keys: Vec<Key> = (0..22).map(Key::new).collect();
    network.fund(&keys, 1_000 * XLM);
    let sink = keys[21];
    // Ten sources fill every ledger with a hundred operations each; the eleventh bids less and never gets in.
    let full = |key: &Key| {
        let mut tx = network.tx(key, (0..100).map(|_| pay(&sink, 1)).collect());
        tx.fee = 20_000;
        network.sign(&tx, &[*key])
    };
    let poor = network.sign(
        &network.tx(&keys[20], (0..100).map(|_| pay(&sink, 1)).collect()),
        &[keys[20]],
    );
    let waiting = network.submit(&poor);
    assert_eq!(waiting.status, SubmitStatus::Pending);
    for ledger in 0..4 {
        assert!(network.node.pending() > 0, "still there after {ledger}");
        for key in &keys[..10] {
            assert_eq!(network.submit(&full(key)).status, SubmitStatus::Pending);
        }
        network.close();
    }
    assert_eq!(network.node.pending(), 0);
    assert!(network.node.transaction(&waiting.hash).record.is_none());
    // Those who were let in paid what the lowest of them bid, not the minimum.
    let (records, _) = network.node.applied(network.node.latest().sequence, 100);
    assert_eq!(records.len(), 10);
    assert!(records.iter().all(|tx| tx.fee_charged_stroops == 20_000));
    for ledger in 0..10 {
        let status = network.submit(&poor).status;
        assert_eq!(
            status,
            SubmitStatus::TryAgainLater,
            "{ledger} ledgers later"
        );
        network.close();
    }
    assert_eq!(network.submit(&poor).status, SubmitStatus::Pending);
    network.assert_coins();
}

#[test]
fn a_full_queue_takes_the_better_bid() {
    let network = Network::new();
    let keys: Vec<Key> = (0..22).map(Key::new).collect();
    network.fund(&keys, 1_000 * XLM);
    let bid = |key: &Key, fee: u32| {
        let mut tx = network.tx(key, (0..100).map(|_| pay(&keys[21], 1)).collect());
        tx.fee = fee;
        network.submit(&network.sign(&tx, &[*key]))
    };
    for key in &keys[..20] {
        assert_eq!(bid(key, 20_000).status, SubmitStatus::Pending);
    }
    let low = bid(&keys[20], 20_000);
    assert_eq!(refusal(&low), Code::TxInsufficientFee);
    assert_eq!(bid(&keys[20], 20_100).status, SubmitStatus::Pending);
    assert_eq!(network.node.pending(), 20);
}

/// Twenty transactions of a hundred operations, 200 stroops each: as much as the queue takes.
fn full_queue() -> (Network, Vec<Key>) {
    let network = Network::new();
    let keys: Vec<Key> = (0..25).map(Key::new).collect();
    network.fund(&keys, 1_000 * XLM);
    for key in &keys[..20] {
        let tx = bid(&network, key, 100, 20_000);
        let status = network.submit(&network.sign(&tx, &[*key])).status;
        assert_eq!(status, SubmitStatus::Pending);
    }
    (network, keys)
}

fn bid(network: &Network, key: &Key, operations: usize, fee: u32) -> Transaction {
    let operations = (0..operations).map(|_| pay(&Key::new(24), 1)).collect();
    let mut tx = network.tx(key, operations);
    tx.fee = fee;
    tx
}

#[test]
fn what_was_evicted_has_to_be_outbid_until_the_next_ledger() {
    let (network, keys) = full_queue();
    let submit = |key: &Key, fee| {
        let tx = bid(&network, key, 1, fee);
        network.submit(&network.sign(&tx, &[*key]))
    };
    assert_eq!(submit(&keys[20], 201).status, SubmitStatus::Pending);
    // One of a hundred operations left, so there is room; yet it bid as much as this one.
    let low = submit(&keys[21], 200);
    assert_eq!(refusal(&low), Code::TxInsufficientFee);
    let SubmitStatus::Error { result_xdr, .. } = &low.status else {
        unreachable!("it was refused");
    };
    assert_eq!(decode_result(result_xdr).fee_charged, 201);
    assert_eq!(submit(&keys[21], 201).status, SubmitStatus::Pending);
    network.close();
    assert_eq!(submit(&keys[22], 100).status, SubmitStatus::Pending);
}

#[test]
fn a_full_queue_looks_at_the_bid_before_anything_else() {
    let (network, keys) = full_queue();
    let mut tx = bid(&network, &keys[20], 100, 20_000);
    tx.seq_num = SequenceNumber(7);
    let envelope = network.sign(&tx, &[keys[20]]);
    assert_eq!(refusal(&network.submit(&envelope)), Code::TxInsufficientFee);
    assert_eq!(
        network.submit(&envelope).status,
        SubmitStatus::TryAgainLater
    );
    // A better bid that is not valid drives nobody out.
    tx.fee = 30_000;
    let envelope = network.sign(&tx, &[keys[20]]);
    assert_eq!(refusal(&network.submit(&envelope)), Code::TxBadSeq);
    assert_eq!(network.node.pending(), 20);
}

#[test]
fn what_a_ledger_made_invalid_does_not_wait_on() {
    let network = Network::new();
    let keys: Vec<Key> = (0..25).map(Key::new).collect();
    network.fund(&keys, 1_000 * XLM);
    for key in &keys[..10] {
        let tx = bid(&network, key, 100, 30_000);
        network.submit(&network.sign(&tx, &[*key]));
    }
    // Too cheap for the next ledger, and not meant for any later one.
    let mut tx = bid(&network, &keys[20], 100, 20_000);
    tx.cond = Preconditions::V2(PreconditionsV2 {
        time_bounds: None,
        ledger_bounds: Some(LedgerBounds {
            min_ledger: 0,
            max_ledger: network.node.latest().sequence + 2,
        }),
        min_seq_num: None,
        min_seq_age: XdrDuration(0),
        min_seq_ledger_gap: 0,
        extra_signers: VecM::default(),
    });
    let envelope = network.sign(&tx, &[keys[20]]);
    assert_eq!(network.submit(&envelope).status, SubmitStatus::Pending);
    network.close();
    assert_eq!(network.node.pending(), 0);
    assert_eq!(
        network.submit(&envelope).status,
        SubmitStatus::TryAgainLater
    );
}

#[test]
fn other_signatures_make_another_envelope() {
    let network = Network::new();
    let (alice, bob) = (Key::new(1), Key::new(2));
    network.fund(&[alice, bob], 100 * XLM);
    let tx = network.tx(&alice, vec![pay(&bob, 1)]);
    let envelope = network.sign(&tx, &[alice]);
    let other = network.sign(&tx, &[alice, bob]);
    assert_eq!(network.submit(&envelope).status, SubmitStatus::Pending);
    assert_eq!(network.submit(&envelope).status, SubmitStatus::Duplicate);
    assert_eq!(network.submit(&other).status, SubmitStatus::TryAgainLater);
    network.close();
    assert_eq!(
        network.submit(&envelope).status,
        SubmitStatus::TryAgainLater
    );
    assert_eq!(refusal(&network.submit(&other)), Code::TxBadSeq);
}

#[test]
fn a_call_and_a_payment_do_not_wait_together() {
    let (network, alice, counter) = with_counter();
    let tx = network.soroban_tx(&alice, None, call(&counter, "increment", vec![]));
    let status = network.submit(&network.sign(&tx, &[alice])).status;
    assert_eq!(status, SubmitStatus::Pending);
    let mut older = network.tx(&alice, vec![pay(&Key::new(2), 1)]);
    older.seq_num = SequenceNumber(1);
    let status = network.submit(&network.sign(&older, &[alice])).status;
    assert_eq!(status, SubmitStatus::TryAgainLater);
}

#[test]
fn a_used_up_sequence_leaves_the_queue_under_any_hash() {
    let network = Network::new();
    let alice = Key::new(1);
    network.fund(&[alice], 100 * XLM);
    let parse = |amount| {
        let tx = network.tx(&alice, vec![pay(&Key::new(2), amount)]);
        let envelope = network.sign(&tx, &[alice]);
        Arc::new(decode(&envelope, &network.node.network_id()).expect("an envelope"))
    };
    let mut queue = Queue::default();
    queue.insert(parse(1), &[], &Settings::of(&manual()), 0);
    queue.ledger_closed(&[parse(2)]);
    assert!(queue.is_empty());
    assert!(queue.is_banned(&parse(2).full_hash));
    assert!(!queue.is_banned(&parse(1).full_hash));
}
