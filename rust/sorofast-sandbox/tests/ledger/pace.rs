//! When sets freeze, when ledgers are seen, and what the clock says.

use crate::network::{manual, pay, Key, Network, XLM};
use sorofast_sandbox::node::{Node, NodeConfig, SubmitStatus};
use std::sync::Arc;
use std::time::{Duration, Instant};
use tokio::runtime::Runtime;

fn paced(close_ms: u64, delay_ms: u64) -> NodeConfig {
    NodeConfig {
        ledger_close: Duration::from_millis(close_ms),
        consensus_delay: Duration::from_millis(delay_ms),
        ..NodeConfig::default()
    }
}

fn runtime() -> Runtime {
    tokio::runtime::Builder::new_multi_thread()
        .worker_threads(2)
        .enable_all()
        .build()
        .expect("a runtime")
}

#[test]
fn times_that_contradict_each_other_are_refused() {
    assert!(Node::new(paced(100, 100)).is_err());
    assert!(Node::new(NodeConfig {
        ledger_jitter: Duration::from_millis(100),
        ..paced(100, 10)
    })
    .is_err());
    assert!(Node::new(manual()).is_ok());
}

#[test]
fn ledgers_close_by_the_clock() {
    let runtime = runtime();
    let node = Node::new(paced(100, 25)).expect("a node");
    let started = Instant::now();
    let latest = runtime.block_on(async {
        let closing = tokio::spawn(Arc::clone(&node).run());
        let waited = tokio::time::timeout(Duration::from_secs(30), node.wait_for_ledger(11)).await;
        closing.abort();
        waited.expect("ten ledgers within half a minute")
    });
    assert!(started.elapsed() >= Duration::from_secs(1));
    assert!(latest.sequence >= 11);
    let closes: Vec<u64> = node
        .ledgers(1, 11)
        .iter()
        .map(|ledger| ledger.close_time_ms)
        .collect();
    for pair in closes.windows(2) {
        assert!(pair[1] - pair[0] >= 99, "{closes:?}");
    }
}

#[test]
fn what_comes_after_the_freeze_waits() {
    let runtime = runtime();
    let network = Network {
        node: Node::new(paced(1_000, 500)).expect("a node"),
    };
    let (alice, bob) = (Key::new(1), Key::new(2));
    network.fund(&[alice, bob], 10 * XLM);
    let first = network.sign(&network.tx(&alice, vec![pay(&bob, 1)]), &[alice]);
    let second = network.sign(&network.tx(&bob, vec![pay(&alice, 1)]), &[bob]);
    let start = network.node.latest().sequence;
    runtime.block_on(async {
        let closing = tokio::spawn(Arc::clone(&network.node).run());
        let early = network.submit(&first);
        assert_eq!(early.status, SubmitStatus::Pending);
        let limit = Duration::from_secs(30);
        tokio::time::timeout(limit, network.node.wait_for_freeze(start + 1))
            .await
            .expect("a freeze");
        let late = network.submit(&second);
        assert_eq!(late.status, SubmitStatus::Pending);
        tokio::time::timeout(limit, network.node.wait_for_ledger(start + 2))
            .await
            .expect("two ledgers");
        closing.abort();
        let ledger = |hash| {
            network
                .node
                .transaction(&hash)
                .record
                .map(|record| record.ledger)
        };
        assert_eq!(ledger(early.hash), Some(start + 1));
        assert_eq!(ledger(late.hash), Some(start + 2));
    });
}

#[test]
fn the_clock_can_be_moved() {
    let network = Network::new();
    let before = network.node.latest();
    let after = network.node.advance(3, 90.0).expect("three ledgers");
    assert_eq!(after.sequence, before.sequence + 3);
    assert!(after.close_time_s >= before.close_time_s + 90);
    // A clock that is behind the last close still moves on, by a millisecond.
    network.node.set_skew(-3_600.0).expect("an hour back");
    let behind = network.node.advance(1, 0.0).expect("a ledger");
    assert_eq!(behind.close_time_ms, after.close_time_ms + 1);
    assert!(network.node.health().healthy);
    network.node.set_skew(0.0).expect("no skew");
    assert!(network.node.advance(1, f64::NAN).is_err());
    assert!(network.node.advance(u32::MAX, 0.0).is_err());
}

#[test]
fn an_old_ledger_is_not_healthy() {
    let network = Network::new();
    assert!(network.node.health().healthy);
    network.node.advance(0, 31.0).expect("half a minute");
    let health = network.node.health();
    assert!(!health.healthy);
    assert!(health.latest_ledger_age_s >= 31.0);
    network.close();
    assert!(network.node.health().healthy);
}
