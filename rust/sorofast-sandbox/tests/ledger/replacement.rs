//! What replaces a transaction that waits.

use crate::fee_bumps::{quoted, three};
use crate::network::{bump, pay, refusal, Key, Network, XLM};
use sorofast_sandbox::node::SubmitStatus;
use stellar_xdr::{SequenceNumber, TransactionResultResult as Code};

#[test]
fn only_a_fee_bump_of_ten_times_the_bid_replaces() {
    let (network, alice, bob, carol) = three();
    let mut tx = network.tx(&alice, vec![pay(&bob, 1)]);
    tx.fee = 150;
    let first = network.submit(&network.sign(&tx, &[alice]));
    assert_eq!(first.status, SubmitStatus::Pending);
    tx.fee = 150_000;
    let richer = network.submit(&network.sign(&tx, &[alice]));
    assert_eq!(richer.status, SubmitStatus::TryAgainLater);
    tx.fee = 150;
    let inner = network.sign(&tx, &[alice]);
    // Ten times 150 for one operation is 3,000 for two.
    let low = network.submit(&bump(&network, &inner, &carol, 2_999, &[carol]));
    assert_eq!(refusal(&low), Code::TxInsufficientFee);
    assert_eq!(quoted(&low), 3_000);
    let bumped = bump(&network, &inner, &carol, 3_000, &[carol]);
    assert_eq!(network.submit(&bumped).status, SubmitStatus::Pending);
    assert_eq!(network.node.pending(), 1);
    assert_eq!(network.submit(&bumped).status, SubmitStatus::Duplicate);
    // What is inside a waiting fee-bump is known, too.
    assert_eq!(network.submit(&inner).status, SubmitStatus::Duplicate);
    let low = network.submit(&bump(&network, &inner, &alice, 29_999, &[alice]));
    assert_eq!(refusal(&low), Code::TxInsufficientFee);
    let again = bump(&network, &inner, &alice, 30_000, &[alice]);
    assert_eq!(network.submit(&again).status, SubmitStatus::Pending);
    let mut later = tx.clone();
    later.seq_num = SequenceNumber(tx.seq_num.0 + 1);
    let inner = network.sign(&later, &[alice]);
    let later = network.submit(&bump(&network, &inner, &carol, 900_000, &[carol]));
    assert_eq!(later.status, SubmitStatus::TryAgainLater);
    network.close();
    assert!(network.node.transaction(&first.hash).record.is_some());
    // Each attempt that was replaced is only known by the transaction inside it.
    assert!(network
        .node
        .transaction(&network.submit(&bumped).hash)
        .record
        .is_none());
    network.assert_coins();
}

#[test]
fn a_replacement_in_a_full_queue_needs_room_for_what_it_adds() {
    let network = Network::new();
    let keys: Vec<Key> = (0..22).map(Key::new).collect();
    network.fund(&keys, 1_000 * XLM);
    let hundred = |key: &Key, fee: u32| {
        let mut tx = network.tx(key, (0..100).map(|_| pay(&keys[21], 1)).collect());
        tx.fee = fee;
        network.sign(&tx, &[*key])
    };
    let envelopes: Vec<Vec<u8>> = keys[..20]
        .iter()
        .zip(0..)
        .map(|(key, place)| hundred(key, 20_000 + 100 * place))
        .collect();
    for envelope in &envelopes {
        assert_eq!(network.submit(envelope).status, SubmitStatus::Pending);
    }
    // One operation more than what it replaces: the cheapest other one has to go.
    let bumped = |place: usize, fee| {
        let bumped = bump(&network, &envelopes[place], &keys[20], fee, &[keys[20]]);
        network.submit(&bumped)
    };
    assert_eq!(bumped(5, 300_000).status, SubmitStatus::Pending);
    assert_eq!(network.node.pending(), 19);
    assert_eq!(
        network.submit(&envelopes[0]).status,
        SubmitStatus::TryAgainLater
    );
    // That left room, so that the next one fits; then the queue is full again.
    assert_eq!(bumped(6, 300_000).status, SubmitStatus::Pending);
    let filler = network.tx(&keys[0], (0..98).map(|_| pay(&keys[21], 1)).collect());
    let mut filler = filler;
    filler.fee = 98 * 202;
    let status = network.submit(&network.sign(&filler, &[keys[0]])).status;
    assert_eq!(status, SubmitStatus::Pending);
    // The cheapest of all cannot make room for itself, whatever it bids; and that bans the attempt.
    assert_eq!(bumped(1, 900_000).status, SubmitStatus::TryAgainLater);
    assert_eq!(bumped(1, 900_000).status, SubmitStatus::TryAgainLater);
    assert_eq!(network.node.pending(), 20);
    assert_eq!(
        network.submit(&envelopes[1]).status,
        SubmitStatus::Duplicate
    );
}

#[test]
fn a_replacement_is_as_old_as_what_it_replaced() {
    let network = Network::new();
    let keys: Vec<Key> = (0..14).map(Key::new).collect();
    network.fund(&keys, 1_000 * XLM);
    // Ten sources fill each ledger and outbid whatever the eleventh offers.
    let fill = || {
        for key in &keys[..10] {
            let mut tx = network.tx(key, (0..100).map(|_| pay(&keys[13], 1)).collect());
            tx.fee = 2_000_000;
            let status = network.submit(&network.sign(&tx, &[*key])).status;
            assert_eq!(status, SubmitStatus::Pending);
        }
        network.close();
    };
    let tx = network.tx(&keys[10], (0..100).map(|_| pay(&keys[13], 1)).collect());
    let inner = network.sign(&tx, &[keys[10]]);
    assert_eq!(network.submit(&inner).status, SubmitStatus::Pending);
    fill();
    fill();
    let bumped = bump(&network, &inner, &keys[11], 101_000, &[keys[11]]);
    assert_eq!(network.submit(&bumped).status, SubmitStatus::Pending);
    fill();
    assert_eq!(network.node.pending(), 1);
    fill();
    assert_eq!(network.node.pending(), 0);
    assert_eq!(network.submit(&bumped).status, SubmitStatus::TryAgainLater);
    // The one that was replaced is not banned.
    assert_eq!(network.submit(&inner).status, SubmitStatus::Pending);
}
