//! What is charged, against the host's own fee functions under the settings that a client can read.

use crate::contracts::{bump_key, meta, with_counter};
use crate::network::{bump, call, decode_result, symbol, wasm, Key, Network, XLM};
use soroban_env_host::budget::Budget;
use soroban_env_host::e2e_invoke::entry_size_for_rent;
use soroban_env_host::fees::{
    compute_rent_fee, compute_rent_write_fee_per_1kb, compute_transaction_resource_fee,
    FeeConfiguration, LedgerEntryRentChange, RentFeeConfiguration, RentWriteFeeConfiguration,
    TransactionResources,
};
use sorofast_sandbox::ledger::events::native_contract;
use sorofast_sandbox::node::{EntryView, TransactionRecord};
use std::sync::Arc;
use stellar_xdr::{
    Asset, ConfigSettingEntry, ConfigSettingId, ContractDataDurability, ContractExecutable,
    ContractId, ContractIdPreimage, CreateContractArgs, Hash, HostFunction, Int128Parts,
    LedgerEntry, LedgerEntryData, LedgerKey, LedgerKeyConfigSetting, Limits, ReadXdr, ScAddress,
    ScMap, ScMapEntry, ScVal, ScVec, SorobanTransactionData, SorobanTransactionDataExt,
    SorobanTransactionMetaExt, Transaction, TransactionExt, WriteXdr,
};

fn setting(network: &Network, id: ConfigSettingId) -> ConfigSettingEntry {
    let key = LedgerKey::ConfigSetting(LedgerKeyConfigSetting {
        config_setting_id: id,
    });
    let key = key.to_xdr(Limits::none()).expect("a key");
    let read = network.node.entries(&[key]);
    match LedgerEntry::from_xdr(&read.entries[0].entry_xdr, Limits::none())
        .expect("an entry")
        .data
    {
        LedgerEntryData::ConfigSetting(setting) => setting,
        other => panic!("{other:?}"),
    }
}

macro_rules! setting {
    ($network:expr, $id:ident) => {
        match setting($network, ConfigSettingId::$id) {
            ConfigSettingEntry::$id(value) => value,
            other => panic!("{other:?}"),
        }
    };
}

/// The fee rates of a ledger, put together as core does (NetworkConfig.cpp, rustBridgeFeeConfiguration and
/// rustBridgeRentFeeConfiguration).
struct Rates {
    fees: FeeConfiguration,
    rent: RentFeeConfiguration,
    budget: Budget,
}

impl Rates {
    fn read(network: &Network) -> Self {
        let compute = setting!(network, ContractComputeV0);
        let cost = setting!(network, ContractLedgerCostV0);
        let ext = setting!(network, ContractLedgerCostExtV0);
        let archival = setting!(network, StateArchival);
        let window = setting!(network, LiveSorobanStateSizeWindow);
        let average = window.iter().sum::<u64>() / window.len() as u64;
        let per_rent_1kb = compute_rent_write_fee_per_1kb(
            i64::try_from(average).expect("a small state"),
            &RentWriteFeeConfiguration {
                state_target_size_bytes: cost.soroban_state_target_size_bytes,
                rent_fee_1kb_state_size_low: cost.rent_fee1_kb_soroban_state_size_low,
                rent_fee_1kb_state_size_high: cost.rent_fee1_kb_soroban_state_size_high,
                state_size_rent_fee_growth_factor: cost.soroban_state_rent_fee_growth_factor,
            },
        );
        Self {
            fees: FeeConfiguration {
                fee_per_instruction_increment: compute.fee_rate_per_instructions_increment,
                fee_per_disk_read_entry: cost.fee_disk_read_ledger_entry,
                fee_per_write_entry: cost.fee_write_ledger_entry,
                fee_per_disk_read_1kb: cost.fee_disk_read1_kb,
                fee_per_write_1kb: ext.fee_write1_kb,
                fee_per_historical_1kb: setting!(network, ContractHistoricalDataV0)
                    .fee_historical1_kb,
                fee_per_contract_event_1kb: setting!(network, ContractEventsV0)
                    .fee_contract_events1_kb,
                fee_per_transaction_size_1kb: setting!(network, ContractBandwidthV0)
                    .fee_tx_size1_kb,
            },
            rent: RentFeeConfiguration {
                fee_per_write_1kb: ext.fee_write1_kb,
                fee_per_rent_1kb: per_rent_1kb,
                fee_per_write_entry: cost.fee_write_ledger_entry,
                persistent_rent_rate_denominator: archival.persistent_rent_rate_denominator,
                temporary_rent_rate_denominator: archival.temp_rent_rate_denominator,
            },
            budget: Budget::try_from_configs(
                u64::MAX,
                u64::MAX,
                setting!(network, ContractCostParamsCpuInstructions),
                setting!(network, ContractCostParamsMemoryBytes),
            )
            .expect("cost parameters"),
        }
    }

    /// What the bytes of an entry cost in rent; nothing for one that is not there or is archived.
    fn size(&self, entry: &EntryView) -> u32 {
        let length = u32::try_from(entry.entry_xdr.len()).expect("a small entry");
        let entry = LedgerEntry::from_xdr(&entry.entry_xdr, Limits::none()).expect("an entry");
        entry_size_for_rent(&self.budget, &entry, length).expect("a size")
    }
}

fn data(tx: &Transaction) -> &SorobanTransactionData {
    match &tx.ext {
        TransactionExt::V1(data) => data,
        TransactionExt::V0 => unreachable!("a Soroban transaction"),
    }
}

/// Entries of the footprint that have to be read from disk: classic ones, and archived ones that come back.
fn disk_reads(data: &SorobanTransactionData) -> u32 {
    let footprint = &data.resources.footprint;
    let keys = footprint
        .read_only
        .iter()
        .chain(footprint.read_write.iter());
    let classic =
        keys.filter(|key| !matches!(key, LedgerKey::ContractData(_) | LedgerKey::ContractCode(_)));
    let restored = match &data.ext {
        SorobanTransactionDataExt::V0 => 0,
        SorobanTransactionDataExt::V1(ext) => ext.archived_soroban_entries.len(),
    };
    u32::try_from(classic.count() + restored).expect("few")
}

/// Bytes of the contract events and of what was returned.
fn event_bytes(record: &TransactionRecord) -> u32 {
    let events: usize = record
        .contract_events_xdr
        .iter()
        .flatten()
        .map(Vec::len)
        .sum();
    let returned = meta(record)
        .soroban_meta
        .and_then(|meta| meta.return_value)
        .map_or(0, |value| {
            value.to_xdr(Limits::none()).expect("a value").len()
        });
    u32::try_from(events + returned).expect("small events")
}

/// One key before and after: None for what was not there, or was archived.
fn rent_change(
    rates: &Rates,
    before: Option<&EntryView>,
    after: &EntryView,
    ledger: u32,
) -> Option<LedgerEntryRentChange> {
    let until = after.live_until?;
    let key = LedgerKey::from_xdr(&after.key_xdr, Limits::none()).expect("a key");
    let alive = before.filter(|entry| entry.live_until.is_some_and(|until| until >= ledger));
    let change = LedgerEntryRentChange {
        is_persistent: match &key {
            LedgerKey::ContractData(data) => data.durability == ContractDataDurability::Persistent,
            _ => true,
        },
        is_code_entry: matches!(key, LedgerKey::ContractCode(_)),
        old_size_bytes: alive.map_or(0, |entry| rates.size(entry)),
        new_size_bytes: rates.size(after),
        old_live_until_ledger: alive.and_then(|entry| entry.live_until).unwrap_or(0),
        new_live_until_ledger: until,
    };
    let grew = change.new_size_bytes > change.old_size_bytes;
    (grew || change.new_live_until_ledger > change.old_live_until_ledger).then_some(change)
}

/// Applies a signed transaction alone in its ledger, and holds every part of its charge against the host's functions.
fn check(network: &Network, tx: &Transaction, envelope: &[u8], sized: &[u8], base_fees: i64) {
    let rates = Rates::read(network);
    let footprint = &data(tx).resources.footprint;
    let keys: Vec<Vec<u8>> = footprint
        .read_only
        .iter()
        .chain(footprint.read_write.iter())
        .map(|key| key.to_xdr(Limits::none()).expect("a key"))
        .collect();
    let before = network.node.entries(&keys).entries;
    let record: Arc<TransactionRecord> = network.apply(envelope);
    assert!(record.successful, "{:?}", decode_result(&record.result_xdr));
    let after = network.node.entries(&keys).entries;
    let changes: Vec<LedgerEntryRentChange> = after
        .iter()
        .filter_map(|entry| {
            let old = before.iter().find(|old| old.key_xdr == entry.key_xdr);
            rent_change(&rates, old, entry, record.ledger)
        })
        .collect();
    let rent = compute_rent_fee(&changes, &rates.rent, record.ledger);
    let declared = &data(tx).resources;
    let (fixed, events) = compute_transaction_resource_fee(
        &TransactionResources {
            instructions: declared.instructions,
            disk_read_entries: disk_reads(data(tx)),
            write_entries: u32::try_from(footprint.read_write.len()).expect("few"),
            disk_read_bytes: declared.disk_read_bytes,
            write_bytes: declared.write_bytes,
            contract_events_size_bytes: event_bytes(&record),
            transaction_size_bytes: u32::try_from(sized.len()).expect("a small envelope"),
        },
        &rates.fees,
    );
    let Some(SorobanTransactionMetaExt::V1(told)) = meta(&record).soroban_meta.map(|meta| meta.ext)
    else {
        panic!("the meta tells no fees");
    };
    assert_eq!(
        told.rent_fee_charged,
        rent,
        "rent of {} entries",
        changes.len()
    );
    assert_eq!(told.total_non_refundable_resource_fee_charged, fixed);
    assert_eq!(told.total_refundable_resource_fee_charged, events + rent);
    assert_eq!(
        decode_result(&record.result_xdr).fee_charged,
        base_fees + fixed + events + rent
    );
    network.assert_coins();
}

fn check_call(network: &Network, source: &Key, function: HostFunction) {
    let tx = network.soroban_tx(source, None, function);
    let envelope = network.sign(&tx, &[*source]);
    check(network, &tx, &envelope, &envelope, 100);
}

fn amount(stroops: i64) -> ScVal {
    ScVal::I128(Int128Parts {
        hi: 0,
        lo: stroops.unsigned_abs(),
    })
}

#[test]
fn an_upload_and_a_creation_cost_what_the_host_says() {
    let network = Network::new();
    let alice = Key::new(1);
    network.fund(&[alice], 1_000 * XLM);
    for name in ["counter", "task_registry"] {
        let wasm = wasm(name).try_into().expect("wasm");
        check_call(&network, &alice, HostFunction::UploadContractWasm(wasm));
    }
    let create = HostFunction::CreateContract(CreateContractArgs {
        contract_id_preimage: ContractIdPreimage::Asset(Asset::Native),
        executable: ContractExecutable::StellarAsset,
    });
    check_call(&network, &alice, create);
}

#[test]
fn calls_that_make_and_change_entries_cost_what_the_host_says() {
    let (network, alice, counter) = with_counter();
    for _ in 0..2 {
        check_call(&network, &alice, call(&counter, "increment", vec![]));
        check_call(
            &network,
            &alice,
            call(&counter, "bump", vec![ScVal::U64(1)]),
        );
    }
    // One that only reads pays no rent.
    check_call(&network, &alice, call(&counter, "get", vec![ScVal::U64(1)]));
}

#[test]
fn calls_with_events_and_growing_entries_cost_what_the_host_says() {
    let (network, alice, counter) = with_counter();
    let registry = network.deploy(&alice, &wasm("task_registry"));
    let init = call(&registry, "init", vec![alice.address(), ScVal::Void]);
    check_call(&network, &alice, init);
    for whitelist in [0, 3] {
        let task = task(&alice, &counter, whitelist);
        check_call(&network, &alice, call(&registry, "register", vec![task]));
    }
    let execute = vec![alice.address(), ScVal::U64(1)];
    check_call(&network, &alice, call(&registry, "execute", execute));
}

#[test]
fn transfers_read_accounts_from_disk_and_cost_what_the_host_says() {
    let network = Network::new();
    let (alice, bob) = (Key::new(1), Key::new(2));
    network.fund(&[alice, bob], 1_000 * XLM);
    let create = HostFunction::CreateContract(CreateContractArgs {
        contract_id_preimage: ContractIdPreimage::Asset(Asset::Native),
        executable: ContractExecutable::StellarAsset,
    });
    assert!(network.run(&alice, create).successful);
    let native = ContractId(Hash(native_contract(&network.node.network_id())));
    let to_account = vec![alice.address(), bob.address(), amount(XLM)];
    check_call(&network, &alice, call(&native, "transfer", to_account));
    let contract = ScVal::Address(ScAddress::Contract(ContractId(Hash([7; 32]))));
    for _ in 0..2 {
        let to_contract = vec![alice.address(), contract.clone(), amount(XLM)];
        check_call(&network, &alice, call(&native, "transfer", to_contract));
    }
}

#[test]
fn a_restoring_call_costs_what_the_host_says() {
    let (network, alice, counter) = with_counter();
    let bump_one = call(&counter, "bump", vec![ScVal::U64(1)]);
    assert!(network.run(&alice, bump_one.clone()).successful);
    let entry = network.node.entries(&[bump_key(&counter, 1)]).entries[0].clone();
    let latest = network.node.latest().sequence;
    network
        .node
        .put_entries(vec![(entry.entry_xdr.to_vec(), Some(latest + 1))])
        .expect("an entry");
    network.close();
    network.close();
    check_call(&network, &alice, bump_one);
}

#[test]
fn a_bumped_call_is_sized_without_its_bump() {
    let (network, alice, counter) = with_counter();
    let payer = Key::new(9);
    network.fund(&[payer], 1_000 * XLM);
    let tx = network.soroban_tx(&alice, None, call(&counter, "bump", vec![ScVal::U64(1)]));
    let inner = network.sign(&tx, &[alice]);
    let fee = i64::from(tx.fee) + 1_000;
    let envelope = bump(&network, &inner, &payer, fee, &[payer]);
    check(&network, &tx, &envelope, &inner, 200);
}

fn task(creator: &Key, target: &ContractId, whitelist: u32) -> ScVal {
    let list = |items: Vec<ScVal>| ScVal::Vec(Some(ScVec(items.try_into().expect("a list"))));
    let allowed = (0..whitelist).map(|number| Key::new(100 + number).address());
    let fields = [
        ("args", list(vec![])),
        ("blocked_by", list(vec![])),
        ("creator", creator.address()),
        ("function", ScVal::Symbol(symbol("increment"))),
        ("gas_balance", amount(XLM)),
        ("interval", ScVal::U64(60)),
        ("is_active", ScVal::Bool(true)),
        ("last_run", ScVal::U64(0)),
        ("resolver", ScVal::Void),
        (
            "target",
            ScVal::Address(ScAddress::Contract(target.clone())),
        ),
        ("whitelist", list(allowed.collect())),
        ("yield_strategy", ScVal::Void),
    ];
    let entries = fields.map(|(name, val)| ScMapEntry {
        key: ScVal::Symbol(symbol(name)),
        val,
    });
    ScVal::Map(Some(ScMap(entries.to_vec().try_into().expect("a map"))))
}
