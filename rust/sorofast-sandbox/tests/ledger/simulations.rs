//! Simulations of operations on lifetimes, and of envelopes that are none to simulate.

use crate::contracts::{bump_key, with_counter};
use crate::network::{bump, call, pay, sign_for, Key, Network};
use crate::ttl_ops::{extend, restore, tx};
use sorofast_sandbox::node::{AuthMode, SimulateOptions, Simulation, SimulationSuccess};
use stellar_xdr::{
    ContractId, LedgerFootprint, LedgerKey, Limits, Memo, ReadXdr, ScVal, SorobanTransactionData,
    Transaction, TransactionExt, TransactionV0, TransactionV0Envelope, TransactionV0Ext, Uint256,
    WriteXdr,
};

/// A counter with two entries, the second of which is archived.
fn with_archived() -> (Network, Key, ContractId, [Vec<u8>; 2]) {
    let (network, alice, counter) = with_counter();
    let keys = [1, 2].map(|number| {
        let function = call(&counter, "bump", vec![ScVal::U64(number)]);
        assert!(network.run(&alice, function).successful);
        bump_key(&counter, number)
    });
    archive(&network, &keys[1]);
    (network, alice, counter, keys)
}

fn archive(network: &Network, key: &[u8]) {
    let entry = network.node.entries(&[key.to_vec()]).entries[0].clone();
    let expired = network.node.latest().sequence - 1;
    network
        .node
        .put_entries(vec![(entry.entry_xdr.to_vec(), Some(expired))])
        .expect("an entry");
}

fn live_until(network: &Network, key: &[u8]) -> Option<u32> {
    network.node.entries(&[key.to_vec()]).entries[0].live_until
}

fn data(xdr: &[u8]) -> SorobanTransactionData {
    SorobanTransactionData::from_xdr(xdr, Limits::none()).expect("transaction data")
}

fn footprint(success: &SimulationSuccess) -> LedgerFootprint {
    data(&success.transaction_data_xdr).resources.footprint
}

fn keys(xdr: &[&Vec<u8>]) -> Vec<LedgerKey> {
    xdr.iter()
        .map(|key| LedgerKey::from_xdr(key, Limits::none()).expect("a key"))
        .collect()
}

/// Carries out what was simulated, with exactly the fee that was told.
fn carry_out(network: &Network, source: &Key, mut tx: Transaction, data_xdr: &[u8]) {
    let data = data(data_xdr);
    tx.seq_num.0 = network.sequence(source) + 1;
    tx.fee = 100 + u32::try_from(data.resource_fee).expect("a fee");
    tx.ext = TransactionExt::V1(data);
    let record = network.apply(&network.sign(&tx, &[*source]));
    assert!(record.successful);
}

fn simulate(network: &Network, envelope: &[u8], options: SimulateOptions) -> Simulation {
    network.node.simulate(envelope, options)
}

fn refused(network: &Network, envelope: &[u8], options: SimulateOptions) -> String {
    let simulation = simulate(network, envelope, options);
    assert_eq!(simulation.latest_ledger, 0);
    simulation.outcome.expect_err("refused")
}

#[test]
fn a_simulated_extension_can_be_carried_out() {
    let (network, alice, _, [live, _]) = with_archived();
    let tx = tx(&network, &alice, extend(3_000_000), &[&live], &[]);
    let success = network.simulate(&tx).expect("a simulation");
    assert_eq!(footprint(&success).read_only.to_vec(), keys(&[&live]));
    assert!(footprint(&success).read_write.is_empty());
    assert!(success.min_resource_fee_stroops > 0);
    assert!(success.restore.is_none() && success.result_xdr.is_none());
    carry_out(&network, &alice, tx, &success.transaction_data_xdr);
    let until = network.node.latest().sequence + 3_000_000;
    assert_eq!(live_until(&network, &live), Some(until));
}

#[test]
fn an_extension_of_an_archived_entry_says_what_to_restore_first() {
    let (network, alice, _, [live, archived]) = with_archived();
    let extension = tx(
        &network,
        &alice,
        extend(3_000_000),
        &[&live, &archived],
        &[],
    );
    let success = network.simulate(&extension).expect("a simulation");
    let footprint = footprint(&success);
    assert_eq!(footprint.read_only.to_vec(), keys(&[&live, &archived]));
    let preamble = success.restore.expect("something to restore");
    let to_restore = data(&preamble.transaction_data_xdr);
    assert_eq!(to_restore.resource_fee, preamble.min_resource_fee_stroops);
    let written = to_restore.resources.footprint.read_write;
    assert_eq!(written.to_vec(), keys(&[&archived]));
    let restoration = tx(&network, &alice, restore(), &[], &[]);
    carry_out(
        &network,
        &alice,
        restoration,
        &preamble.transaction_data_xdr,
    );
    carry_out(&network, &alice, extension, &success.transaction_data_xdr);
    for key in [&live, &archived] {
        assert!(live_until(&network, key) > Some(3_000_000));
    }
}

#[test]
fn a_simulated_restoration_leaves_out_what_lives() {
    let (network, alice, counter, [live, archived]) = with_archived();
    let restoration = tx(&network, &alice, restore(), &[], &[&live, &archived]);
    let success = network.simulate(&restoration).expect("a simulation");
    assert_eq!(footprint(&success).read_write.to_vec(), keys(&[&archived]));
    carry_out(&network, &alice, restoration, &success.transaction_data_xdr);
    assert!(live_until(&network, &archived) > Some(1_000_000));
    let missing = bump_key(&counter, 77);
    let missing = tx(&network, &alice, restore(), &[], &[&missing]);
    let error = network.simulate(&missing).expect_err("nothing is there");
    assert!(error.starts_with("Missing entry to restore"), "{error}");
    let endless = tx(&network, &alice, extend(u32::MAX), &[&live], &[]);
    assert!(network.simulate(&endless).is_err());
}

#[test]
fn calls_restore_by_themselves_and_need_no_preamble() {
    let (network, alice, counter, [_, archived]) = with_archived();
    let function = call(&counter, "bump", vec![ScVal::U64(2)]);
    let call = network.soroban_tx(&alice, None, function);
    let success = network.simulate(&call).expect("a simulation");
    assert!(success.restore.is_none());
    assert!(footprint(&success)
        .read_write
        .contains(&keys(&[&archived])[0]));
    assert!(success.min_resource_fee_stroops > 0);
}

#[test]
fn every_kind_of_envelope_is_simulated() {
    let (network, alice, counter, _) = with_archived();
    let function = call(&counter, "increment", vec![]);
    let plain = network.soroban_tx(&alice, None, function);
    let envelope = sign_for(&plain, &[], &network.node.network_id());
    let bumped = bump(&network, &envelope, &Key::new(9), 1_000, &[]);
    let old = TransactionV0Envelope {
        tx: TransactionV0 {
            source_account_ed25519: Uint256(alice.id),
            fee: plain.fee,
            seq_num: plain.seq_num.clone(),
            time_bounds: None,
            memo: Memo::None,
            operations: plain.operations.clone(),
            ext: TransactionV0Ext::V0,
        },
        signatures: stellar_xdr::VecM::default(),
    };
    let old = stellar_xdr::TransactionEnvelope::TxV0(old)
        .to_xdr(Limits::none())
        .expect("an envelope");
    for envelope in [envelope, bumped, old] {
        let simulation = simulate(&network, &envelope, SimulateOptions::default());
        let success = simulation.outcome.expect("a simulation");
        assert!(success.result_xdr.is_some());
        assert_eq!(simulation.latest_ledger, network.node.latest().sequence);
    }
}

#[test]
fn envelopes_that_are_not_simulated_have_the_real_servers_sentences() {
    let (network, alice, counter, [live, _]) = with_archived();
    let sign = |tx: &Transaction| sign_for(tx, &[], &network.node.network_id());
    let default = SimulateOptions::default();
    let recording = SimulateOptions {
        auth_mode: Some(AuthMode::Record),
        ..default
    };
    let extension = tx(&network, &alice, extend(10), &[&live], &[]);
    assert_eq!(
        refused(&network, &sign(&extension), recording),
        "cannot set authMode with non-InvokeHostFunction operations"
    );
    let mut bare = extension;
    bare.ext = TransactionExt::V0;
    assert_eq!(
        refused(&network, &sign(&bare), default),
        "To perform a SimulateTransaction for ExtendFootprintTtl or RestoreFootprint operations, \
         SorobanTransactionData must be provided"
    );
    let two = network.tx(&alice, vec![pay(&alice, 1), pay(&alice, 1)]);
    assert_eq!(
        refused(&network, &sign(&two), default),
        "Transaction contains more than one operation"
    );
    let payment = network.tx(&alice, vec![pay(&alice, 1)]);
    assert_eq!(
        refused(&network, &sign(&payment), default),
        "transaction contains unsupported operation type: OperationTypePayment"
    );
    let mut with_memo = network.soroban_tx(&alice, None, call(&counter, "increment", vec![]));
    with_memo.memo = Memo::Id(7);
    assert_eq!(
        refused(&network, &sign(&with_memo), default),
        "Transaction contains a memo. Soroban transactions do not support memos."
    );
    assert_eq!(
        refused(&network, &[0, 0, 0, 2], default),
        "Could not unmarshal transaction"
    );
}
