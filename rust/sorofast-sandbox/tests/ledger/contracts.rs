//! Contracts on the real host: deploying, calling, and every way a call can fail.

use crate::network::{call, decode_result, explain, symbol, wasm, Key, Network, XLM};
use sorofast_sandbox::node::{Node, SimulateOptions, SubmitStatus, TransactionRecord};
use std::sync::Arc;
use stellar_xdr::{
    ContractDataDurability, ContractEventBody, ContractId, DiagnosticEvent, HostFunction,
    InvokeHostFunctionResult, LedgerEntry, LedgerEntryData, LedgerKey, LedgerKeyContractData,
    Limits, OperationResult, OperationResultTr, ReadXdr, ScAddress, ScVal, ScVec,
    SorobanTransactionData, SorobanTransactionMetaExt, TransactionExt, TransactionMeta,
    TransactionMetaV4, TransactionResultResult as Code, WriteXdr,
};

fn code(record: &TransactionRecord) -> InvokeHostFunctionResult {
    let (Code::TxSuccess(results) | Code::TxFailed(results)) =
        decode_result(&record.result_xdr).result
    else {
        panic!("{:?}", decode_result(&record.result_xdr));
    };
    match &results[0] {
        OperationResult::OpInner(OperationResultTr::InvokeHostFunction(code)) => code.clone(),
        other => panic!("{other:?}"),
    }
}

pub(crate) fn meta(record: &TransactionRecord) -> TransactionMetaV4 {
    match TransactionMeta::from_xdr(&record.meta_xdr, Limits::none()).expect("a meta") {
        TransactionMeta::V4(meta) => meta,
        _ => panic!("version 4"),
    }
}

fn returned(record: &TransactionRecord) -> ScVal {
    meta(record)
        .soroban_meta
        .and_then(|meta| meta.return_value)
        .expect("a returned value")
}

/// Applies a call whose declared resources were changed.
fn altered(
    network: &Network,
    source: &Key,
    function: HostFunction,
    change: impl FnOnce(&mut SorobanTransactionData),
) -> Arc<TransactionRecord> {
    let mut tx = network.soroban_tx(source, None, function);
    let TransactionExt::V1(data) = &mut tx.ext else {
        unreachable!("a Soroban transaction");
    };
    change(data);
    network.apply(&network.sign(&tx, &[*source]))
}

pub(crate) fn with_counter() -> (Network, Key, ContractId) {
    let network = Network::new();
    let alice = Key::new(1);
    network.fund(&[alice], 1_000 * XLM);
    let counter = network.deploy(&alice, &wasm("counter"));
    (network, alice, counter)
}

pub(crate) fn bump_key(counter: &ContractId, number: u64) -> Vec<u8> {
    LedgerKey::ContractData(LedgerKeyContractData {
        contract: ScAddress::Contract(counter.clone()),
        key: ScVal::Vec(Some(ScVec(
            vec![ScVal::Symbol(symbol("Key")), ScVal::U64(number)]
                .try_into()
                .expect("a key"),
        ))),
        durability: ContractDataDurability::Persistent,
    })
    .to_xdr(Limits::none())
    .expect("a key")
}

#[test]
fn a_contract_counts() {
    let (network, alice, counter) = with_counter();
    for expected in 1..=3 {
        let record = network.run(&alice, call(&counter, "increment", vec![]));
        assert_eq!(returned(&record), ScVal::U32(expected));
        assert!(matches!(
            code(&record),
            InvokeHostFunctionResult::Success(_)
        ));
    }
    let record = network.run(&alice, call(&counter, "bump", vec![ScVal::U64(7)]));
    let outline = Node::outline(&record).expect("an outline");
    assert_eq!(outline.function.as_deref(), Some("bump"));
    assert_eq!(outline.contract, Some(counter.0 .0));
    assert_eq!(outline.operation, "invoke_contract");
    assert_eq!(outline.result_code, "txSUCCESS");
    let read = network.node.entries(&[bump_key(&counter, 7)]);
    assert_eq!(read.entries[0].last_modified, record.ledger);
    assert_eq!(
        read.entries[0].live_until,
        Some(record.ledger + 2_073_600 - 1)
    );
    network.assert_coins();
}

#[test]
fn unused_fees_come_back() {
    let (network, alice, counter) = with_counter();
    let before = network.account(&alice).expect("alice").balance;
    let tx = network.soroban_tx(&alice, None, call(&counter, "bump", vec![ScVal::U64(7)]));
    let record = network.apply(&network.sign(&tx, &[alice]));
    let after = network.account(&alice).expect("alice").balance;
    let charged = before - after;
    assert_eq!(charged, record.fee_charged_stroops);
    assert_eq!(charged, decode_result(&record.result_xdr).fee_charged);
    assert!(
        charged < i64::from(tx.fee),
        "the simulation leaves a margin"
    );
    let Some(SorobanTransactionMetaExt::V1(fees)) = meta(&record).soroban_meta.map(|meta| meta.ext)
    else {
        panic!("fees are told");
    };
    assert_eq!(
        charged,
        100 + fees.total_non_refundable_resource_fee_charged
            + fees.total_refundable_resource_fee_charged
    );
    assert!(fees.rent_fee_charged > 0);
    assert_eq!(record.transaction_events_xdr.len(), 2);
    network.assert_coins();
}

#[test]
fn a_channel_pays_and_the_keeper_acts() {
    let (network, alice, counter) = with_counter();
    let channel = Key::new(2);
    network.fund(&[channel], 100 * XLM);
    let keeper_sequence = network.sequence(&alice);
    let tx = network.soroban_tx(
        &channel,
        Some(&alice),
        call(&counter, "bump", vec![ScVal::U64(1)]),
    );
    let half = network.submit(&network.sign(&tx, &[channel]));
    let SubmitStatus::Error { result_xdr, .. } = &half.status else {
        panic!("{}", explain(&half));
    };
    let Code::TxFailed(results) = decode_result(result_xdr).result else {
        panic!("{}", explain(&half));
    };
    assert_eq!(results[0], OperationResult::OpBadAuth);
    let record = network.apply(&network.sign(&tx, &[channel, alice]));
    assert!(record.successful);
    assert_eq!(network.sequence(&alice), keeper_sequence);
    let outline = Node::outline(&record).expect("an outline");
    assert_eq!(outline.source, channel.id);
    assert_eq!(outline.operation_source, alice.id);
}

#[test]
fn declared_limits_hold() {
    let (network, alice, counter) = with_counter();
    network.run(&alice, call(&counter, "bump", vec![ScVal::U64(1)]));
    let bump = || call(&counter, "bump", vec![ScVal::U64(1)]);
    let balance = || network.account(&alice).expect("alice").balance;

    let record = altered(&network, &alice, bump(), |data| {
        data.resources.instructions /= 10;
    });
    assert_eq!(
        code(&record),
        InvokeHostFunctionResult::ResourceLimitExceeded
    );
    let before = balance();
    let record = altered(&network, &alice, bump(), |data| {
        data.resources.write_bytes = 8;
    });
    assert_eq!(
        code(&record),
        InvokeHostFunctionResult::ResourceLimitExceeded
    );
    assert!(!record.diagnostic_events_xdr.is_empty());
    assert_eq!(before - balance(), record.fee_charged_stroops);

    // A key that is left out of the footprint traps inside the host.
    let record = altered(&network, &alice, bump(), |data| {
        data.resources.footprint.read_write = stellar_xdr::VecM::default();
    });
    assert_eq!(code(&record), InvokeHostFunctionResult::Trapped);
    // A key that is only declared as read cannot be written.
    let record = altered(&network, &alice, bump(), |data| {
        let footprint = &mut data.resources.footprint;
        let mut keys = footprint.read_only.to_vec();
        keys.extend(footprint.read_write.iter().cloned());
        footprint.read_only = keys.try_into().expect("keys");
        footprint.read_write = stellar_xdr::VecM::default();
    });
    assert_eq!(code(&record), InvokeHostFunctionResult::Trapped);
    let read = network.node.entries(&[bump_key(&counter, 1)]);
    let entry = LedgerEntry::from_xdr(&read.entries[0].entry_xdr, Limits::none()).expect("entry");
    let LedgerEntryData::ContractData(data) = entry.data else {
        panic!("contract data");
    };
    assert_eq!(data.val, ScVal::U64(1), "failed calls left no trace");
    network.assert_coins();
}

#[test]
fn rent_must_be_covered() {
    let (network, alice, counter) = with_counter();
    let mut tx = network.soroban_tx(&alice, None, call(&counter, "bump", vec![ScVal::U64(5)]));
    let TransactionExt::V1(data) = &mut tx.ext else {
        unreachable!("a Soroban transaction");
    };
    // Enough for the declared resources, too little for the rent of a new entry.
    data.resource_fee -= data.resource_fee / 3;
    let Ok(fee) = u32::try_from(data.resource_fee + 100) else {
        panic!("a small fee");
    };
    tx.fee = fee;
    let before = network.account(&alice).expect("alice").balance;
    let submission = network.submit(&network.sign(&tx, &[alice]));
    assert_eq!(
        submission.status,
        SubmitStatus::Pending,
        "{}",
        explain(&submission)
    );
    network.close();
    let record = network
        .node
        .transaction(&submission.hash)
        .record
        .expect("applied");
    assert_eq!(
        code(&record),
        InvokeHostFunctionResult::InsufficientRefundableFee
    );
    let told = format!("{:?}", meta(&record).diagnostic_events);
    assert!(told.contains("to cover the ledger storage rent"), "{told}");
    let after = network.account(&alice).expect("alice").balance;
    assert_eq!(before - after, record.fee_charged_stroops);
    assert!(record.fee_charged_stroops < i64::from(tx.fee));
    assert!(network
        .node
        .entries(&[bump_key(&counter, 5)])
        .entries
        .is_empty());
    network.assert_coins();
}

#[test]
fn a_panicking_contract_fails_and_pays() {
    let (network, alice, counter) = with_counter();
    let panics = network.deploy(&alice, &wasm("always_panics"));
    let tx = network.tx(
        &alice,
        vec![stellar_xdr::Operation {
            source_account: None,
            body: stellar_xdr::OperationBody::InvokeHostFunction(
                stellar_xdr::InvokeHostFunctionOp {
                    host_function: call(&panics, "run", vec![]),
                    auth: stellar_xdr::VecM::default(),
                },
            ),
        }],
    );
    let error = network.simulate(&tx).expect_err("it panics");
    assert!(error.contains("Error(WasmVm, InvalidAction)"), "{error}");

    // Resources of another call, with the panicking contract's code and instance, let it reach the ledger.
    let donor = network.soroban_tx(&alice, None, call(&counter, "increment", vec![]));
    let TransactionExt::V1(mut data) = donor.ext else {
        unreachable!("a Soroban transaction");
    };
    let hash = sorofast_sandbox::crypto::sha256(&wasm("always_panics"));
    data.resources.footprint.read_only = vec![
        LedgerKey::ContractData(LedgerKeyContractData {
            contract: ScAddress::Contract(panics.clone()),
            key: ScVal::LedgerKeyContractInstance,
            durability: ContractDataDurability::Persistent,
        }),
        LedgerKey::ContractCode(stellar_xdr::LedgerKeyContractCode {
            hash: stellar_xdr::Hash(hash),
        }),
    ]
    .try_into()
    .expect("keys");
    data.resources.footprint.read_write = stellar_xdr::VecM::default();
    let mut tx = tx;
    tx.fee = donor.fee;
    tx.ext = TransactionExt::V1(data);
    let record = network.apply(&network.sign(&tx, &[alice]));
    assert_eq!(code(&record), InvokeHostFunctionResult::Trapped);
    assert!(meta(&record).operations.is_empty());
    assert!(!record.diagnostic_events_xdr.is_empty());
    network.assert_coins();
}

#[test]
fn archived_entries_need_to_be_named() {
    let (network, alice, counter) = with_counter();
    network.run(&alice, call(&counter, "bump", vec![ScVal::U64(1)]));
    let key = bump_key(&counter, 1);
    let entry = network.node.entries(std::slice::from_ref(&key)).entries[0].clone();
    let bump = || call(&counter, "bump", vec![ScVal::U64(1)]);
    // A template from before the entry was archived.
    let stale = network.soroban_tx(&alice, None, bump());
    let expired = network.node.latest().sequence - 1;
    network
        .node
        .put_entries(vec![(entry.entry_xdr.to_vec(), Some(expired))])
        .expect("an expired entry");
    let read = network.node.entries(std::slice::from_ref(&key));
    assert_eq!(read.entries[0].live_until, Some(0));
    let record = network.apply(&network.sign(&stale, &[alice]));
    assert_eq!(code(&record), InvokeHostFunctionResult::EntryArchived);
    let LedgerKey::ContractData(data) = LedgerKey::from_xdr(&key, Limits::none()).expect("a key")
    else {
        panic!("contract data");
    };
    let told = DiagnosticEvent::from_xdr(&record.diagnostic_events_xdr[0], Limits::none());
    let ContractEventBody::V0(body) = told.expect("a diagnostic").event.body;
    let ScVal::Vec(Some(values)) = body.data else {
        panic!("{:?}", body.data);
    };
    assert_eq!(values[1..], [ScVal::Address(data.contract), data.key]);

    // A simulation sees that it is archived and brings it back.
    let tx = network.soroban_tx(&alice, None, bump());
    let record = network.apply(&network.sign(&tx, &[alice]));
    assert_eq!(returned(&record), ScVal::U64(2));
    let read = network.node.entries(&[key]);
    assert_eq!(
        read.entries[0].live_until,
        Some(record.ledger + 2_073_600 - 1)
    );
    network.assert_coins();
}

#[test]
fn the_native_asset_is_a_contract() {
    let (network, alice, _) = with_counter();
    let bob = Key::new(2);
    network.fund(&[bob], 10 * XLM);
    let native = sorofast_sandbox::ledger::events::native_contract(&network.node.network_id());
    let native = ContractId(stellar_xdr::Hash(native));
    let create = HostFunction::CreateContract(stellar_xdr::CreateContractArgs {
        contract_id_preimage: stellar_xdr::ContractIdPreimage::Asset(stellar_xdr::Asset::Native),
        executable: stellar_xdr::ContractExecutable::StellarAsset,
    });
    assert!(network.run(&alice, create).successful);
    let amount = ScVal::I128(stellar_xdr::Int128Parts {
        hi: 0,
        lo: 3 * XLM as u64,
    });
    let transfer = call(
        &native,
        "transfer",
        vec![alice.address(), bob.address(), amount],
    );
    let record = network.run(&alice, transfer);
    assert!(record.successful, "{:?}", code(&record));
    assert_eq!(network.account(&bob).expect("bob").balance, 13 * XLM);
    let before = network.account(&alice).expect("alice");
    assert_eq!(before.seq_num.0, network.sequence(&alice));
    network.assert_coins();
}

#[test]
fn simulations_leave_no_trace() {
    let (network, alice, counter) = with_counter();
    let tx = network.soroban_tx(&alice, None, call(&counter, "bump", vec![ScVal::U64(1)]));
    let envelope = network.sign(&tx, &[alice]);
    let results: Vec<_> = std::thread::scope(|scope| {
        let runs: Vec<_> = (0..8)
            .map(|_| scope.spawn(|| network.node.simulate(&envelope, SimulateOptions::default())))
            .collect();
        runs.into_iter()
            .map(|run| run.join().expect("a simulation"))
            .collect()
    });
    let too_much = SimulateOptions {
        instruction_leeway: u64::from(u32::MAX) + 1,
        ..SimulateOptions::default()
    };
    let outcome = network.node.simulate(&envelope, too_much).outcome;
    assert!(outcome
        .expect_err("no call has that much")
        .contains("range"));
    for simulation in results {
        let success = simulation.outcome.expect("it succeeds");
        assert_eq!(
            ScVal::from_xdr(
                success.result_xdr.as_ref().expect("a value"),
                Limits::none()
            )
            .expect("a value"),
            ScVal::U64(1)
        );
        assert!(success
            .state_changes
            .iter()
            .any(|change| change.kind == "created"));
    }
    assert!(network
        .node
        .entries(&[bump_key(&counter, 1)])
        .entries
        .is_empty());
}
