//! Which Soroban transactions share a ledger: limits, conflicts and clusters.

use crate::network::{call, pay, wasm, Key, Network, XLM};
use sorofast_sandbox::crypto::sha256;
use sorofast_sandbox::node::SubmitStatus;
use stellar_xdr::{
    ContractId, GeneralizedTransactionSet, LedgerCloseMeta, Limits, ReadXdr, ScVal,
    TransactionEnvelope, TransactionExt, TransactionPhase, TxSetComponent, WriteXdr,
};

/// Submits one call per key, each declaring that many instructions.
fn submit_all(
    network: &Network,
    counter: &ContractId,
    keys: &[Key],
    instructions: u32,
    args: impl Fn(usize) -> (&'static str, Vec<ScVal>),
) {
    for (number, key) in keys.iter().enumerate() {
        let (function, args) = args(number);
        let mut tx = network.soroban_tx(key, None, call(counter, function, args));
        if let TransactionExt::V1(data) = &mut tx.ext {
            data.resources.instructions = instructions;
            data.resource_fee += i64::from(instructions);
        }
        tx.fee += instructions;
        let submission = network.submit(&network.sign(&tx, &[*key]));
        assert_eq!(submission.status, SubmitStatus::Pending);
    }
}

/// Of envelopes with their signatures, in the order of the set.
fn full_hashes(envelopes: &[TransactionEnvelope]) -> Vec<[u8; 32]> {
    let hash = |envelope: &TransactionEnvelope| {
        sha256(&envelope.to_xdr(Limits::none()).expect("an envelope"))
    };
    envelopes.iter().map(hash).collect()
}

/// Cluster sizes of a ledger, after checking that its meta and its set say the same.
fn clusters(network: &Network, ledger: u32) -> Vec<usize> {
    let meta = network.node.ledger_meta_xdr(ledger).expect("a kept ledger");
    let LedgerCloseMeta::V2(meta) =
        LedgerCloseMeta::from_xdr(&meta, Limits::none()).expect("a meta")
    else {
        panic!("version 2");
    };
    let set = meta.tx_set.to_xdr(Limits::none()).expect("a set");
    let header = &meta.ledger_header.header;
    assert_eq!(sha256(&set), header.scp_value.tx_set_hash.0);
    let GeneralizedTransactionSet::V1(set) = meta.tx_set;
    let TransactionPhase::V1(phase) = &set.phases[1] else {
        panic!("the second phase is parallel");
    };
    for stage in &phase.execution_stages {
        let hashes: Vec<Vec<[u8; 32]>> = stage
            .0
            .iter()
            .map(|cluster| full_hashes(&cluster.0))
            .collect();
        assert!(hashes.iter().all(|cluster| cluster.is_sorted()));
        assert!(
            hashes.is_sorted(),
            "clusters follow their first transactions"
        );
    }
    let sizes: Vec<usize> = phase
        .execution_stages
        .iter()
        .flat_map(|stage| stage.0.iter().map(|cluster| cluster.0.len()))
        .collect();
    assert_eq!(sizes.iter().sum::<usize>(), meta.tx_processing.len());
    sizes
}

fn prepared() -> (Network, Vec<Key>, ContractId) {
    let network = Network::new();
    let keys: Vec<Key> = (0..4).map(Key::new).collect();
    network.fund(&keys, 10_000 * XLM);
    let counter = network.deploy(&keys[0], &wasm("counter"));
    (network, keys, counter)
}

#[test]
fn calls_that_write_the_same_entry_share_one_cluster() {
    let (network, keys, counter) = prepared();
    submit_all(&network, &counter, &keys, 200_000_000, |_| {
        ("increment", vec![])
    });
    // Two hundred million each: one cluster of 580 million has room for two of them.
    assert_eq!(clusters(&network, network.close()), vec![2]);
    assert_eq!(clusters(&network, network.close()), vec![2]);
    assert_eq!(network.node.pending(), 0);
    network.assert_coins();
}

#[test]
fn independent_calls_use_both_clusters() {
    let (network, keys, counter) = prepared();
    submit_all(&network, &counter, &keys, 250_000_000, |number| {
        ("bump", vec![ScVal::U64(number as u64)])
    });
    assert_eq!(clusters(&network, network.close()), vec![2, 2]);
    network.assert_coins();
}

#[test]
fn what_does_not_fit_waits_for_the_next_ledger() {
    let (network, keys, counter) = prepared();
    submit_all(&network, &counter, &keys[..3], 400_000_000, |number| {
        ("bump", vec![ScVal::U64(number as u64)])
    });
    assert_eq!(clusters(&network, network.close()), vec![1, 1]);
    assert_eq!(clusters(&network, network.close()), vec![1]);
    network.assert_coins();
}

#[test]
fn sets_are_written_in_the_order_of_their_envelopes() {
    let network = Network::new();
    let keys: Vec<Key> = (0..12).map(Key::new).collect();
    network.fund(&keys, 100 * XLM);
    for key in &keys {
        let tx = network.tx(key, vec![pay(&keys[0], 1)]);
        assert_eq!(
            network.submit(&network.sign(&tx, &[*key])).status,
            SubmitStatus::Pending
        );
    }
    let meta = network.node.ledger_meta_xdr(network.close()).expect("kept");
    let LedgerCloseMeta::V2(meta) = LedgerCloseMeta::from_xdr(&meta, Limits::none()).expect("meta")
    else {
        panic!("version 2");
    };
    let GeneralizedTransactionSet::V1(set) = meta.tx_set;
    let TransactionPhase::V0(components) = &set.phases[0] else {
        panic!("the first phase is sequential");
    };
    let TxSetComponent::TxsetCompTxsMaybeDiscountedFee(component) = &components[0];
    let hashes = full_hashes(&component.txs);
    assert_eq!(hashes.len(), 12);
    assert!(hashes.is_sorted());
}
