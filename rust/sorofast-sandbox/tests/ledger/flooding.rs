//! How submissions spread: in slices, best bids first, after a delay; and what became of them.

use crate::network::{bump, create_account, manual, pay, Key, Network, XLM};
use sorofast_sandbox::config::ClockMode;
use sorofast_sandbox::node::{NodeConfig, SubmitStatus};
use sorofast_sandbox::tx::fates::{Fate, Reason};
use std::time::Duration;

/// Ledgers of 1,000 operations in five seconds, so forty a slice; time passes by hand.
fn slow(flood_delay_ms: u64) -> Network {
    Network::with(NodeConfig {
        flood_delay: Duration::from_millis(flood_delay_ms),
        clock: ClockMode::Manual,
        start_time_s: Some(1_800_000_000),
        ..manual()
    })
}

/// Closes a ledger so many seconds later.
fn close_after(network: &Network, seconds: f64) -> u32 {
    network.node.advance(1, seconds).expect("a ledger").sequence
}

/// Eighty accounts, made by as many operations as two slices hold, so that nothing of those is left over.
fn accounts(network: &Network) -> Vec<Key> {
    let keys: Vec<Key> = (0..80).map(Key::new).collect();
    let operations = keys.iter().map(|key| create_account(key, 100 * XLM));
    let tx = network.tx(&network.friendbot(), operations.collect());
    let envelope = network.sign(&tx, &[network.friendbot()]);
    assert_eq!(network.submit(&envelope).status, SubmitStatus::Pending);
    close_after(network, 10.0);
    keys
}

fn pay_with(network: &Network, key: &Key, fee: u32) -> [u8; 32] {
    let mut tx = network.tx(key, vec![pay(&network.friendbot(), 1)]);
    tx.fee = fee;
    let submission = network.submit(&network.sign(&tx, &[*key]));
    assert_eq!(submission.status, SubmitStatus::Pending);
    submission.hash
}

#[test]
fn a_late_burst_misses_the_freeze() {
    let network = slow(100);
    let keys = accounts(&network);
    let hashes: Vec<[u8; 32]> = keys
        .iter()
        .map(|key| pay_with(&network, key, 100))
        .collect();
    let applied = |ledger: u32| network.node.applied(ledger, 1_000).0.len();
    // The first slice goes out after 200 ms and arrives 100 ms later.
    assert_eq!(applied(close_after(&network, 0.25)), 0);
    assert_eq!(applied(close_after(&network, 0.1)), 40);
    assert_eq!(applied(close_after(&network, 0.2)), 40);
    let fates = network.node.fates(&hashes);
    assert!(fates.iter().all(|fate| matches!(fate, Fate::Applied(_))));
    network.assert_coins();
}

#[test]
fn what_bids_more_goes_out_first() {
    let network = slow(1);
    let keys = accounts(&network);
    let cheap: Vec<[u8; 32]> = keys[..40]
        .iter()
        .map(|key| pay_with(&network, key, 100))
        .collect();
    let dear: Vec<[u8; 32]> = keys[40..]
        .iter()
        .map(|key| pay_with(&network, key, 200))
        .collect();
    close_after(&network, 0.3);
    let state = |hashes: &[[u8; 32]], fate: Fate| {
        let fates = network.node.fates(hashes);
        fates.into_iter().filter(|found| *found == fate).count()
    };
    assert_eq!(state(&dear, Fate::Pending), 0);
    assert_eq!(state(&cheap, Fate::Pending), 40);
}

#[test]
fn a_slice_that_is_too_small_saves_up() {
    let network = slow(1);
    let keys = accounts(&network);
    let large = network.tx(&keys[0], (0..100).map(|_| pay(&keys[1], 1)).collect());
    let large = network.submit(&network.sign(&large, &[keys[0]])).hash;
    let small = pay_with(&network, &keys[2], 100);
    let fates = || network.node.fates(&[large, small]);
    // A hundred operations need three slices of forty. Of the two bids, which are the same, the other may go first.
    close_after(&network, 0.45);
    assert_eq!(fates()[0], Fate::Pending);
    let ledger = close_after(&network, 0.2);
    assert_eq!(fates()[0], Fate::Applied(ledger));
    close_after(&network, 0.2);
    assert!(matches!(fates()[1], Fate::Applied(_)));
}

#[test]
fn everybody_has_everything_at_once_without_a_delay() {
    let network = slow(0);
    let keys = accounts(&network);
    for key in &keys {
        pay_with(&network, key, 100);
    }
    assert_eq!(
        network
            .node
            .applied(close_after(&network, 0.0), 1_000)
            .0
            .len(),
        80
    );
}

#[test]
fn every_accepted_transaction_ends_somewhere() {
    let network = Network::new();
    let keys: Vec<Key> = (0..24).map(Key::new).collect();
    network.fund(&keys, 1_000 * XLM);
    let hundred = |key: &Key, fee: u32| {
        let mut tx = network.tx(key, (0..100).map(|_| pay(&keys[23], 1)).collect());
        tx.fee = fee;
        network.sign(&tx, &[*key])
    };
    let inner = hundred(&keys[0], 10_000);
    let replaced = network.submit(&inner).hash;
    let bumped = network
        .submit(&bump(&network, &inner, &keys[1], 200_000, &[keys[1]]))
        .hash;
    let fates = |hashes: &[[u8; 32]]| network.node.fates(hashes);
    // The one that was replaced waits on inside the one that replaced it.
    assert_eq!(fates(&[replaced, bumped]), [Fate::Pending, Fate::Pending]);
    let lowest = network.submit(&hundred(&keys[2], 10_000)).hash;
    for key in &keys[3..21] {
        let status = network.submit(&hundred(key, 20_000)).status;
        assert_eq!(status, SubmitStatus::Pending);
    }
    assert_eq!(
        network.submit(&hundred(&keys[21], 30_000)).status,
        SubmitStatus::Pending
    );
    assert_eq!(fates(&[lowest]), [Fate::Dropped(Reason::Outbid)]);
    let mut expiring = network.tx(&keys[22], vec![pay(&keys[23], 1)]);
    expiring.cond = stellar_xdr::Preconditions::Time(stellar_xdr::TimeBounds {
        min_time: stellar_xdr::TimePoint(0),
        max_time: stellar_xdr::TimePoint(network.node.latest().close_time_s + 20),
    });
    expiring.fee = 100_000;
    let expiring = network.submit(&network.sign(&expiring, &[keys[22]]));
    assert_eq!(expiring.status, SubmitStatus::Pending);
    let ledger = network.node.advance(1, 60.0).expect("a minute").sequence;
    assert_eq!(
        fates(&[replaced, bumped, expiring.hash, [7; 32]]),
        [
            Fate::Applied(ledger),
            Fate::Applied(ledger),
            Fate::Dropped(Reason::Invalid("txTOO_LATE")),
            Fate::Unknown,
        ]
    );
    assert_eq!(
        Reason::Invalid("txTOO_LATE").to_string(),
        "it was no longer valid: txTOO_LATE"
    );
}
