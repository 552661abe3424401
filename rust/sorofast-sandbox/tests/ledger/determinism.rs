//! The same seed, the same start and the same inputs give the same headers.

use crate::network::{call, pay, wasm, Key, Network, XLM};
use sorofast_sandbox::config::ClockMode;
use sorofast_sandbox::node::NodeConfig;
use std::time::Duration;
use stellar_xdr::{ScVal, TransactionExt};

fn repeatable(seed: u64) -> NodeConfig {
    NodeConfig {
        ledger_close: Duration::ZERO,
        seed,
        clock: ClockMode::Manual,
        start_time_s: Some(1_800_000_000),
        ..NodeConfig::default()
    }
}

/// Hashes of all headers of a run in which more transactions compete than a ledger takes.
fn run(seed: u64) -> Vec<[u8; 32]> {
    let network = Network::with(repeatable(seed));
    let keys: Vec<Key> = (0..12).map(Key::new).collect();
    network.fund(&keys, 500 * XLM);
    let counter = network.deploy(&keys[0], &wasm("counter"));
    for round in 0..6 {
        for (number, key) in keys.iter().enumerate() {
            if number % 3 == 0 {
                let tx = network.tx(key, vec![pay(&keys[(number + 1) % 12], 7)]);
                network.submit(&network.sign(&tx, &[*key]));
                continue;
            }
            let bump = call(&counter, "bump", vec![ScVal::U64(number as u64)]);
            let mut tx = network.soroban_tx(key, None, bump);
            // With two clusters, six of the eight do not fit: equal bids are drawn by lot.
            if let TransactionExt::V1(data) = &mut tx.ext {
                data.resources.instructions = 390_000_000;
                data.resource_fee += 1_000_000;
            }
            tx.fee += 1_000_000;
            // Some find the queue full.
            network.submit(&network.sign(&tx, &[*key]));
        }
        network.node.advance(1, f64::from(round)).expect("a ledger");
    }
    network
        .node
        .ledgers(1, 1_000)
        .iter()
        .map(|ledger| ledger.hash)
        .collect()
}

#[test]
fn the_same_inputs_give_the_same_headers() {
    let first = run(7);
    assert_eq!(first, run(7));
    let other = run(8);
    assert_eq!(
        first[0], other[0],
        "the first ledger owes nothing to chance"
    );
    assert_ne!(first.last(), other.last(), "chance decided nothing");
}

#[test]
fn a_manual_clock_moves_by_advances_alone() {
    let network = Network::with(repeatable(0));
    let close_ms = || network.node.latest().close_time_ms;
    assert_eq!(close_ms(), 1_800_000_000_000);
    network.close();
    assert_eq!(close_ms(), 1_800_000_000_001);
    network.node.advance(1, 60.0).expect("a ledger");
    assert_eq!(close_ms(), 1_800_000_060_000);
    assert!(network.node.health().healthy);
    network.node.advance(0, 31.0).expect("no ledger");
    assert!(!network.node.health().healthy);
}

#[test]
fn a_manual_clock_needs_closes_by_hand() {
    let config = NodeConfig {
        ledger_close: Duration::from_secs(1),
        consensus_delay: Duration::ZERO,
        ..repeatable(0)
    };
    let refused = config.validate().expect_err("nothing would move it");
    assert!(refused.to_string().contains("ledger_close"), "{refused}");
}
