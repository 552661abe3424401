//! One transaction per source, ages and bans.

use crate::network::{pay, refusal, Key, Network, XLM};
use sorofast_sandbox::node::SubmitStatus;
use stellar_xdr::{SequenceNumber, TransactionResultResult as Code};

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
    assert_eq!(network.submit(&poor).status, SubmitStatus::TryAgainLater);
    // Those who were let in paid what the lowest of them bid, not the minimum.
    let (records, _) = network.node.applied(network.node.latest().sequence, 100);
    assert_eq!(records.len(), 10);
    assert!(records.iter().all(|tx| tx.fee_charged_stroops == 20_000));
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
