//! ExtendFootprintTTL and RestoreFootprint from submission to meta.

use crate::contracts::{bump_key, meta, with_counter};
use crate::network::{call, decode_result, refusal, Key, Network};
use soroban_env_host::fees::{
    compute_rent_fee, compute_rent_write_fee_per_1kb, compute_transaction_resource_fee,
    FeeConfiguration, LedgerEntryRentChange, RentFeeConfiguration, RentWriteFeeConfiguration,
    TransactionResources,
};
use sorofast_sandbox::ledger::account::account_key;
use sorofast_sandbox::node::{EntryView, Node, TransactionRecord};
use stellar_xdr::{
    ContractDataDurability, ContractId, ExtendFootprintTtlOp, ExtendFootprintTtlResult,
    ExtensionPoint, LedgerEntryChange, LedgerEntryData, LedgerFootprint, LedgerKey,
    LedgerKeyContractData, Limits, Operation, OperationBody, OperationResult, OperationResultTr,
    ReadXdr, RestoreFootprintOp, RestoreFootprintResult, ScAddress, ScVal, SorobanResources,
    SorobanTransactionData, SorobanTransactionDataExt, SorobanTransactionMetaExt, Transaction,
    TransactionExt, TransactionResultResult as Code, WriteXdr,
};

const MIN_PERSISTENT_TTL: u32 = 2_073_600;
const MAX_ENTRY_TTL: u32 = 3_110_400;
/// Enough for anything that these tests do, and refunded.
const RESOURCE_FEE: i64 = 400_000_000;

pub(crate) fn extend(extend_to: u32) -> OperationBody {
    OperationBody::ExtendFootprintTtl(ExtendFootprintTtlOp {
        ext: ExtensionPoint::V0,
        extend_to,
    })
}

pub(crate) fn restore() -> OperationBody {
    OperationBody::RestoreFootprint(RestoreFootprintOp {
        ext: ExtensionPoint::V0,
    })
}

/// A transaction of such an operation over keys that are given as XDR.
pub(crate) fn tx(
    network: &Network,
    source: &Key,
    body: OperationBody,
    read_only: &[&[u8]],
    read_write: &[&[u8]],
) -> Transaction {
    let keys = |keys: &[&[u8]]| {
        let keys: Vec<LedgerKey> = keys
            .iter()
            .map(|key| LedgerKey::from_xdr(key, Limits::none()).expect("a key"))
            .collect();
        keys.try_into().expect("keys")
    };
    let operation = Operation {
        source_account: None,
        body,
    };
    let mut tx = network.tx(source, vec![operation]);
    tx.fee = 100 + u32::try_from(RESOURCE_FEE).expect("a fee");
    tx.ext = TransactionExt::V1(SorobanTransactionData {
        ext: SorobanTransactionDataExt::V0,
        resources: SorobanResources {
            footprint: LedgerFootprint {
                read_only: keys(read_only),
                read_write: keys(read_write),
            },
            instructions: 0,
            disk_read_bytes: 100_000,
            write_bytes: 100_000,
        },
        resource_fee: RESOURCE_FEE,
    });
    tx
}

fn resources(tx: &mut Transaction) -> &mut SorobanTransactionData {
    match &mut tx.ext {
        TransactionExt::V1(data) => data,
        TransactionExt::V0 => unreachable!("a Soroban transaction"),
    }
}

fn code(result: &Code) -> OperationResultTr {
    let (Code::TxSuccess(results) | Code::TxFailed(results)) = result else {
        panic!("{result:?}");
    };
    match &results[0] {
        OperationResult::OpInner(code) => code.clone(),
        other => panic!("{other:?}"),
    }
}

fn applied(record: &TransactionRecord) -> OperationResultTr {
    code(&decode_result(&record.result_xdr).result)
}

fn read(network: &Network, key: &[u8]) -> EntryView {
    network.node.entries(&[key.to_vec()]).entries[0].clone()
}

fn live_until(network: &Network, key: &[u8]) -> u32 {
    read(network, key).live_until.expect("a lifetime")
}

fn put(network: &Network, entry: &EntryView, live_until: u32) {
    network
        .node
        .put_entries(vec![(entry.entry_xdr.to_vec(), Some(live_until))])
        .expect("an entry");
}

/// A counter with two entries of its own.
fn with_entries() -> (Network, Key, ContractId, [Vec<u8>; 2]) {
    let (network, alice, counter) = with_counter();
    for number in [1, 2] {
        let record = network.run(&alice, call(&counter, "bump", vec![ScVal::U64(number)]));
        assert!(record.successful);
    }
    let keys = [bump_key(&counter, 1), bump_key(&counter, 2)];
    (network, alice, counter, keys)
}

/// The rent as the host's own functions tell it, from the published settings and an empty state.
fn rent_fee(changes: &[LedgerEntryRentChange], ledger: u32) -> i64 {
    let per_kb = compute_rent_write_fee_per_1kb(
        0,
        &RentWriteFeeConfiguration {
            state_target_size_bytes: 4_000_000_000,
            rent_fee_1kb_state_size_low: -17_000,
            rent_fee_1kb_state_size_high: 10_000,
            state_size_rent_fee_growth_factor: 5_000,
        },
    );
    let config = RentFeeConfiguration {
        fee_per_write_1kb: 875,
        fee_per_rent_1kb: per_kb,
        fee_per_write_entry: 2_500,
        persistent_rent_rate_denominator: 1_215,
        temporary_rent_rate_denominator: 2_430,
    };
    compute_rent_fee(changes, &config, ledger)
}

fn data_rent(size: u32, old: Option<u32>, new: u32) -> LedgerEntryRentChange {
    LedgerEntryRentChange {
        is_persistent: true,
        is_code_entry: false,
        old_size_bytes: if old.is_some() { size } else { 0 },
        new_size_bytes: size,
        old_live_until_ledger: old.unwrap_or(0),
        new_live_until_ledger: new,
    }
}

fn charged_rent(record: &TransactionRecord) -> i64 {
    match meta(record).soroban_meta.map(|meta| meta.ext) {
        Some(SorobanTransactionMetaExt::V1(fees)) => fees.rent_fee_charged,
        other => panic!("{other:?}"),
    }
}

/// Kind of every change with the end of life or the ledger of last modification that it shows.
pub(crate) fn told(record: &TransactionRecord) -> Vec<(&'static str, u32)> {
    let meta = meta(record);
    let tell = |change: &LedgerEntryChange| match change {
        LedgerEntryChange::Removed(_) => ("removed", 0),
        LedgerEntryChange::Created(entry)
        | LedgerEntryChange::Updated(entry)
        | LedgerEntryChange::State(entry)
        | LedgerEntryChange::Restored(entry) => match &entry.data {
            LedgerEntryData::Ttl(ttl) => (
                match change {
                    LedgerEntryChange::State(_) => "state ttl",
                    LedgerEntryChange::Updated(_) => "updated ttl",
                    LedgerEntryChange::Restored(_) => "restored ttl",
                    _ => "created ttl",
                },
                ttl.live_until_ledger_seq,
            ),
            _ => (
                match change {
                    LedgerEntryChange::Restored(_) => "restored",
                    _ => "another change",
                },
                entry.last_modified_ledger_seq,
            ),
        },
    };
    meta.operations[0].changes.iter().map(tell).collect()
}

#[test]
fn an_extension_reaches_what_lives_and_costs_its_rent() {
    let (network, alice, counter, keys) = with_entries();
    let archived = read(&network, &keys[1]);
    put(&network, &archived, network.node.latest().sequence);
    let missing = bump_key(&counter, 3);
    let before = live_until(&network, &keys[0]);
    let size = read(&network, &keys[0]).entry_xdr.len() as u32;
    let balance = network.account(&alice).expect("alice").balance;
    let tx = tx(
        &network,
        &alice,
        extend(MAX_ENTRY_TTL - 1),
        &[&keys[0], &keys[1], &missing],
        &[],
    );
    let record = network.apply(&network.sign(&tx, &[alice]));
    assert_eq!(
        applied(&record),
        OperationResultTr::ExtendFootprintTtl(ExtendFootprintTtlResult::Success)
    );
    let after = record.ledger + MAX_ENTRY_TTL - 1;
    assert_eq!(live_until(&network, &keys[0]), after);
    assert_eq!(
        live_until(&network, &keys[1]),
        0,
        "what is archived stays so"
    );
    assert_eq!(
        told(&record),
        [("state ttl", before), ("updated ttl", after)]
    );
    let rent = rent_fee(&[data_rent(size, Some(before), after)], record.ledger);
    assert_eq!(charged_rent(&record), rent);
    let paid = balance - network.account(&alice).expect("alice").balance;
    assert_eq!(paid, record.fee_charged_stroops);
    assert!(paid < RESOURCE_FEE, "what is not used comes back");
    assert_eq!(
        Node::outline(&record).expect("an outline").operation,
        "extend_footprint_ttl"
    );
    network.assert_coins();
}

#[test]
fn an_extension_that_shortens_changes_nothing() {
    let (network, alice, _, keys) = with_entries();
    let before = live_until(&network, &keys[0]);
    let tx = tx(&network, &alice, extend(10), &[&keys[0]], &[]);
    let record = network.apply(&network.sign(&tx, &[alice]));
    assert!(record.successful);
    assert_eq!(live_until(&network, &keys[0]), before);
    assert_eq!(charged_rent(&record), 0);
    assert!(told(&record).is_empty());
}

fn temporary_key(counter: &ContractId) -> Vec<u8> {
    LedgerKey::ContractData(LedgerKeyContractData {
        contract: ScAddress::Contract(counter.clone()),
        key: ScVal::U32(1),
        durability: ContractDataDurability::Temporary,
    })
    .to_xdr(Limits::none())
    .expect("a key")
}

#[test]
fn malformed_operations_are_refused() {
    let (network, alice, counter, keys) = with_entries();
    let account = account_key(&alice.id);
    let temporary = temporary_key(&counter);
    let refused = |body, read_only: &[&[u8]], read_write: &[&[u8]]| {
        let tx = tx(&network, &alice, body, read_only, read_write);
        code(&refusal(&network.submit(&network.sign(&tx, &[alice]))))
    };
    let extension = OperationResultTr::ExtendFootprintTtl(ExtendFootprintTtlResult::Malformed);
    assert_eq!(refused(extend(10), &[&keys[0]], &[&keys[1]]), extension);
    assert_eq!(refused(extend(10), &[&keys[0], &account], &[]), extension);
    assert_eq!(refused(extend(MAX_ENTRY_TTL), &[&keys[0]], &[]), extension);
    let restoration = OperationResultTr::RestoreFootprint(RestoreFootprintResult::Malformed);
    assert_eq!(refused(restore(), &[&keys[0]], &[&keys[1]]), restoration);
    assert_eq!(refused(restore(), &[], &[&account]), restoration);
    assert_eq!(refused(restore(), &[], &[&temporary]), restoration);
}

#[test]
fn a_restoration_gives_the_shortest_lifetime() {
    let (network, alice, counter, keys) = with_entries();
    let entry = read(&network, &keys[0]);
    let expired = network.node.latest().sequence;
    put(&network, &entry, expired);
    let lively = live_until(&network, &keys[1]);
    network.close();
    assert_eq!(live_until(&network, &keys[0]), 0);
    let missing = bump_key(&counter, 3);
    let tx = tx(
        &network,
        &alice,
        restore(),
        &[],
        &[&keys[0], &keys[1], &missing],
    );
    let record = network.apply(&network.sign(&tx, &[alice]));
    assert_eq!(
        applied(&record),
        OperationResultTr::RestoreFootprint(RestoreFootprintResult::Success)
    );
    let until = record.ledger + MIN_PERSISTENT_TTL - 1;
    assert_eq!(live_until(&network, &keys[0]), until);
    assert_eq!(live_until(&network, &keys[1]), lively);
    let now = read(&network, &keys[0]);
    assert_eq!(now.last_modified, entry.last_modified);
    assert_eq!(
        told(&record),
        [("restored ttl", until), ("restored", entry.last_modified)]
    );
    let size = entry.entry_xdr.len() as u32;
    let rent = rent_fee(&[data_rent(size, None, until)], record.ledger);
    assert_eq!(charged_rent(&record), rent);
    assert_eq!(
        Node::outline(&record).expect("an outline").operation,
        "restore_footprint"
    );
    network.assert_coins();
}

#[test]
fn a_restoration_needs_what_it_takes() {
    let (network, alice, _, keys) = with_entries();
    let entry = read(&network, &keys[0]);
    put(&network, &entry, network.node.latest().sequence);
    let size = entry.entry_xdr.len() as u32;
    let with = |change: &dyn Fn(&mut SorobanTransactionData)| {
        let mut tx = tx(&network, &alice, restore(), &[], &[&keys[0]]);
        change(resources(&mut tx));
        tx.fee = 100 + u32::try_from(resources(&mut tx).resource_fee).expect("a fee");
        applied(&network.apply(&network.sign(&tx, &[alice])))
    };
    let over = OperationResultTr::RestoreFootprint(RestoreFootprintResult::ResourceLimitExceeded);
    assert_eq!(
        with(&|data| data.resources.disk_read_bytes = size - 1),
        over
    );
    assert_eq!(with(&|data| data.resources.write_bytes = size - 1), over);
    assert_eq!(
        with(&|data| data.resource_fee = 140_000),
        OperationResultTr::RestoreFootprint(RestoreFootprintResult::InsufficientRefundableFee)
    );
    assert_eq!(live_until(&network, &keys[0]), 0);
    assert_eq!(
        with(&|data| {
            data.resources.disk_read_bytes = size;
            data.resources.write_bytes = size;
        }),
        OperationResultTr::RestoreFootprint(RestoreFootprintResult::Success)
    );
    network.assert_coins();
}

#[test]
fn every_entry_to_restore_counts_as_read_from_disk() {
    let (network, alice, counter, _) = with_entries();
    let keys: Vec<Vec<u8>> = (0..201).map(|number| bump_key(&counter, number)).collect();
    let keys: Vec<&[u8]> = keys.iter().map(Vec::as_slice).collect();
    let tx_of = |keys: &[&[u8]]| {
        let tx = tx(&network, &alice, restore(), &[], keys);
        network.submit(&network.sign(&tx, &[alice]))
    };
    assert_eq!(refusal(&tx_of(&keys)), Code::TxSorobanInvalid);
    let tx = tx(&network, &alice, restore(), &[], &keys[..10]);
    let envelope = network.sign(&tx, &[alice]);
    let record = network.apply(&envelope);
    assert!(record.successful);
    let resources = TransactionResources {
        instructions: 0,
        disk_read_entries: 10,
        write_entries: 10,
        disk_read_bytes: 100_000,
        write_bytes: 100_000,
        contract_events_size_bytes: 0,
        transaction_size_bytes: envelope.len() as u32,
    };
    let fees = FeeConfiguration {
        fee_per_instruction_increment: 7,
        fee_per_disk_read_entry: 1_563,
        fee_per_write_entry: 2_500,
        fee_per_disk_read_1kb: 447,
        fee_per_write_1kb: 875,
        fee_per_historical_1kb: 4_059,
        fee_per_contract_event_1kb: 5_000,
        fee_per_transaction_size_1kb: 406,
    };
    let (resource_fee, _) = compute_transaction_resource_fee(&resources, &fees);
    assert_eq!(record.fee_charged_stroops, 100 + resource_fee);
}
