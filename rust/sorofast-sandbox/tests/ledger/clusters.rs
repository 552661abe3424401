//! Which Soroban transactions share a ledger: limits, conflicts and clusters.

use crate::contracts::bump_key;
use crate::network::{call, decode_result, pay, wasm, Key, Network, XLM};
use sorofast_sandbox::crypto::sha256;
use sorofast_sandbox::node::SubmitStatus;
use stellar_xdr::{
    ContractId, GeneralizedTransactionSet, LedgerCloseMeta, LedgerKey, Limits, ReadXdr, ScVal,
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

/// A call that declares to write the entries of all these numbers, with a hundred million instructions.
fn bumping(
    network: &Network,
    counter: &ContractId,
    key: &Key,
    numbers: &[u64],
    bid: u32,
) -> Vec<u8> {
    let mut tx = network.soroban_tx(
        key,
        None,
        call(counter, "bump", vec![ScVal::U64(numbers[0])]),
    );
    let TransactionExt::V1(data) = &mut tx.ext else {
        panic!("a Soroban transaction");
    };
    let mut written = data.resources.footprint.read_write.to_vec();
    for number in &numbers[1..] {
        let xdr = bump_key(counter, *number);
        written.push(LedgerKey::from_xdr(&xdr, Limits::none()).expect("a key"));
    }
    data.resources.footprint.read_write = written.try_into().expect("a few keys");
    data.resources.instructions = 100_000_000;
    data.resources.write_bytes += 1_000;
    data.resource_fee += 10_000_000;
    tx.fee += 10_000_000 + bid;
    network.sign(&tx, &[*key])
}

/// Cluster sizes by stage.
fn stages(network: &Network, ledger: u32) -> Vec<Vec<usize>> {
    let meta = network.node.ledger_meta_xdr(ledger).expect("a kept ledger");
    let LedgerCloseMeta::V2(meta) =
        LedgerCloseMeta::from_xdr(&meta, Limits::none()).expect("a meta")
    else {
        panic!("version 2");
    };
    let GeneralizedTransactionSet::V1(set) = meta.tx_set;
    let TransactionPhase::V1(phase) = &set.phases[1] else {
        panic!("the second phase is parallel");
    };
    let sizes = phase.execution_stages.iter().map(|stage| {
        let mut sizes: Vec<usize> = stage.0.iter().map(|cluster| cluster.0.len()).collect();
        sizes.sort_unstable();
        sizes
    });
    let mut stages: Vec<Vec<usize>> = sizes.collect();
    stages.sort_unstable();
    stages
}

#[test]
fn more_stages_are_taken_when_they_collect_more() {
    let network = Network::new();
    let keys: Vec<Key> = (0..9).map(Key::new).collect();
    network.fund(&keys, 10_000 * XLM);
    let counter = network.deploy(&keys[0], &wasm("counter"));
    for number in 1..3 {
        let bump = call(&counter, "bump", vec![ScVal::U64(number)]);
        assert!(network.run(&keys[0], bump).successful);
    }
    // Two chains of four, and one call that ties them together. In one stage of 580 million the tie leaves room for no
    // more than five; of four stages with 145 million, each has room for one of each chain or for the tie.
    let numbers: [&[u64]; 9] = [&[1], &[2], &[1], &[2], &[1, 2], &[1], &[1], &[2], &[2]];
    for (place, (key, numbers)) in keys.iter().zip(numbers).enumerate() {
        let bid = 900 - place as u32;
        let envelope = bumping(&network, &counter, key, numbers, bid);
        assert_eq!(network.submit(&envelope).status, SubmitStatus::Pending);
    }
    let ledger = network.close();
    assert_eq!(
        stages(&network, ledger),
        [vec![1], vec![1, 1], vec![1, 1], vec![1, 1]]
    );
    let (applied, _) = network.node.applied(ledger, 100);
    for tx in applied {
        assert!(tx.successful, "{:?}", decode_result(&tx.result_xdr));
    }
    assert_eq!(network.node.pending(), 2);
    network.assert_coins();
}

#[test]
fn one_stage_is_enough_for_what_fits_into_it() {
    let (network, keys, counter) = prepared();
    for (number, key) in keys.iter().enumerate() {
        let envelope = bumping(&network, &counter, key, &[number as u64], 0);
        assert_eq!(network.submit(&envelope).status, SubmitStatus::Pending);
    }
    // Independent calls fill the first cluster before the second.
    assert_eq!(stages(&network, network.close()), [vec![4]]);
}

#[test]
fn a_full_ledger_charges_the_lowest_bid_that_got_in() {
    let network = Network::new();
    let keys: Vec<Key> = (0..3).map(Key::new).collect();
    network.fund(&keys, 10_000 * XLM);
    let counter = network.deploy(&keys[0], &wasm("counter"));
    let bids = [700, 500, 300];
    for (key, bid) in keys.iter().zip(bids) {
        let mut tx = network.soroban_tx(key, None, call(&counter, "increment", vec![]));
        if let TransactionExt::V1(data) = &mut tx.ext {
            data.resources.instructions = 250_000_000;
            data.resource_fee += 25_000_000;
        }
        tx.fee += 25_000_000 - 100 + bid;
        let status = network.submit(&network.sign(&tx, &[*key])).status;
        assert_eq!(status, SubmitStatus::Pending);
    }
    // All three write one entry, and a cluster has room for two of them.
    let base_fees = |ledger| {
        let meta = network.node.ledger_meta_xdr(ledger).expect("a kept ledger");
        let LedgerCloseMeta::V2(meta) =
            LedgerCloseMeta::from_xdr(&meta, Limits::none()).expect("a meta")
        else {
            panic!("version 2");
        };
        let GeneralizedTransactionSet::V1(set) = meta.tx_set;
        let TransactionPhase::V1(phase) = &set.phases[1] else {
            panic!("the second phase is parallel");
        };
        phase.base_fee
    };
    assert_eq!(base_fees(network.close()), Some(500));
    let stats = network.node.fee_stats().soroban_inclusion_fee;
    assert_eq!((stats.max, stats.min), (500, 100));
    assert_eq!(base_fees(network.close()), Some(100));
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
