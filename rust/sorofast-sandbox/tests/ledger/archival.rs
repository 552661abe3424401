//! Entries that expire, leave the live state and come back from the archive.

use crate::contracts::{bump_key, meta, with_counter};
use crate::network::{call, Key, Network};
use crate::ttl_ops::{restore, told, tx};
use sorofast_sandbox::node::{EntryView, NodeError};
use stellar_xdr::{
    ConfigSettingEntry, ConfigSettingId, ContractDataDurability, ContractId, Hash, LedgerCloseMeta,
    LedgerCloseMetaV2, LedgerEntry, LedgerEntryChange, LedgerEntryData, LedgerKey,
    LedgerKeyConfigSetting, LedgerKeyContractData, LedgerKeyTtl, Limits, ReadXdr, ScAddress, ScVal,
    WriteXdr,
};

const MIN_PERSISTENT_TTL: u32 = 2_073_600;
/// The first ledger whose scan meets what the first few ledgers wrote.
const FIRST_SCAN: u32 = 16_385;

pub(crate) fn close_meta(network: &Network, ledger: u32) -> LedgerCloseMetaV2 {
    let xdr = network.node.ledger_meta_xdr(ledger).expect("a kept ledger");
    match LedgerCloseMeta::from_xdr(xdr, Limits::none()).expect("a meta") {
        LedgerCloseMeta::V2(meta) => meta,
        other => panic!("{other:?}"),
    }
}

fn ttl_key(key: &[u8]) -> LedgerKey {
    LedgerKey::Ttl(LedgerKeyTtl {
        key_hash: Hash(sorofast_sandbox::crypto::sha256(key)),
    })
}

fn ledger_key(key: &[u8]) -> LedgerKey {
    LedgerKey::from_xdr(key, Limits::none()).expect("a key")
}

fn read(network: &Network, key: &[u8]) -> Option<EntryView> {
    network.node.entries(&[key.to_vec()]).entries.pop()
}

pub(crate) fn setting(network: &Network, id: ConfigSettingId) -> ConfigSettingEntry {
    let key = LedgerKey::ConfigSetting(LedgerKeyConfigSetting {
        config_setting_id: id,
    });
    let key = key.to_xdr(Limits::none()).expect("a key");
    let entry = read(network, &key).expect("a setting");
    let entry = LedgerEntry::from_xdr(&entry.entry_xdr, Limits::none()).expect("an entry");
    match entry.data {
        LedgerEntryData::ConfigSetting(setting) => setting,
        other => panic!("{other:?}"),
    }
}

fn advance_to(network: &Network, ledger: u32) {
    let ledgers = ledger - network.node.latest().sequence;
    network.node.advance(ledgers, 0.0).expect("ledgers");
}

fn put(network: &Network, entry: &EntryView, live_until: u32) {
    network
        .node
        .put_entries(vec![(entry.entry_xdr.to_vec(), Some(live_until))])
        .expect("an entry");
}

/// A temporary entry of that contract, which nobody ever wrote by a call.
fn put_temporary(network: &Network, contract: &ContractId, live_until: u32) -> Vec<u8> {
    let data = stellar_xdr::ContractDataEntry {
        ext: stellar_xdr::ExtensionPoint::V0,
        contract: ScAddress::Contract(contract.clone()),
        key: ScVal::U32(7),
        durability: ContractDataDurability::Temporary,
        val: ScVal::Void,
    };
    let entry = LedgerEntry {
        last_modified_ledger_seq: 1,
        data: LedgerEntryData::ContractData(data),
        ext: stellar_xdr::LedgerEntryExt::V0,
    };
    let xdr = entry.to_xdr(Limits::none()).expect("an entry");
    network
        .node
        .put_entries(vec![(xdr, Some(live_until))])
        .expect("an entry");
    LedgerKey::ContractData(LedgerKeyContractData {
        contract: ScAddress::Contract(contract.clone()),
        key: ScVal::U32(7),
        durability: ContractDataDurability::Temporary,
    })
    .to_xdr(Limits::none())
    .expect("a key")
}

/// A network whose scan has just met a persistent and a temporary entry that had expired.
fn with_evicted() -> (Network, Key, ContractId, [Vec<u8>; 2]) {
    let (network, alice, counter) = with_counter();
    assert!(
        network
            .run(&alice, call(&counter, "bump", vec![ScVal::U64(1)]))
            .successful
    );
    let latest = network.node.latest().sequence;
    let persistent = bump_key(&counter, 1);
    put(
        &network,
        &read(&network, &persistent).expect("an entry"),
        latest,
    );
    let temporary = put_temporary(&network, &counter, latest);
    advance_to(&network, FIRST_SCAN - 1);
    assert!(close_meta(&network, FIRST_SCAN - 1).evicted_keys.is_empty());
    network.close();
    (network, alice, counter, [persistent, temporary])
}

#[test]
fn expired_entries_leave_the_live_state_when_the_scan_meets_them() {
    let (network, _, _, [persistent, temporary]) = with_evicted();
    let meta = close_meta(&network, FIRST_SCAN);
    let mut evicted = meta.evicted_keys.to_vec();
    assert_eq!(
        evicted.pop(),
        Some(ledger_key(&persistent)),
        "what is archived comes last"
    );
    let mut deleted = [
        ledger_key(&temporary),
        ttl_key(&temporary),
        ttl_key(&persistent),
    ];
    evicted.sort_unstable();
    deleted.sort_unstable();
    assert_eq!(evicted, deleted);
    let archived = read(&network, &persistent).expect("what is archived can be read");
    assert_eq!(archived.live_until, Some(0));
    assert!(read(&network, &temporary).is_none());
    let census = network.node.census();
    assert_eq!(census.archived_entries, 1);
    network.close();
    assert!(close_meta(&network, FIRST_SCAN + 1).evicted_keys.is_empty());
    assert!(matches!(
        setting(&network, ConfigSettingId::EvictionIterator),
        ConfigSettingEntry::EvictionIterator(iterator)
            if iterator.bucket_list_level == 7 && iterator.bucket_file_offset == 0
    ));
    network.assert_coins();
}

#[test]
fn a_call_brings_an_evicted_entry_back() {
    let (network, alice, counter, [persistent, _]) = with_evicted();
    let live_bytes = network.node.census().live_bytes;
    let record = network.run(&alice, call(&counter, "bump", vec![ScVal::U64(1)]));
    assert!(record.successful);
    let until = record.ledger + MIN_PERSISTENT_TTL - 1;
    assert_eq!(
        told(&record),
        [
            ("restored", record.ledger),
            ("another change", record.ledger),
            ("restored ttl", until)
        ]
    );
    let LedgerEntryChange::Restored(back) = &meta(&record).operations[0].changes[0] else {
        panic!("{:?}", meta(&record).operations[0].changes);
    };
    let LedgerEntryData::ContractData(data) = &back.data else {
        panic!("contract data");
    };
    assert_eq!(data.val, ScVal::U64(1), "as it was in the archive");
    let entry = read(&network, &persistent).expect("an entry");
    assert_eq!(entry.live_until, Some(until));
    let census = network.node.census();
    assert_eq!(census.archived_entries, 0);
    assert_eq!(census.live_bytes, live_bytes + entry.entry_xdr.len() as u64);
}

#[test]
fn the_operation_brings_an_evicted_entry_back() {
    let (network, alice, _, [persistent, temporary]) = with_evicted();
    let tx = tx(&network, &alice, restore(), &[], &[&persistent]);
    let record = network.apply(&network.sign(&tx, &[alice]));
    assert!(record.successful);
    let until = record.ledger + MIN_PERSISTENT_TTL - 1;
    assert_eq!(
        told(&record),
        [("restored", record.ledger), ("restored ttl", until)],
        "an evicted entry is written anew"
    );
    let entry = read(&network, &persistent).expect("an entry");
    assert_eq!(entry.live_until, Some(until));
    assert_eq!(entry.last_modified, record.ledger);
    assert!(read(&network, &temporary).is_none());
    network.assert_coins();
}

#[test]
fn what_comes_back_in_the_ledger_of_the_scan_stays() {
    let (network, alice, counter) = with_counter();
    network.run(&alice, call(&counter, "bump", vec![ScVal::U64(1)]));
    let key = bump_key(&counter, 1);
    let latest = network.node.latest().sequence;
    put(&network, &read(&network, &key).expect("an entry"), latest);
    advance_to(&network, FIRST_SCAN - 1);
    let record = network.run(&alice, call(&counter, "bump", vec![ScVal::U64(1)]));
    assert_eq!(record.ledger, FIRST_SCAN);
    assert!(close_meta(&network, FIRST_SCAN).evicted_keys.is_empty());
    let until = record.ledger + MIN_PERSISTENT_TTL - 1;
    let entry = read(&network, &key).expect("an entry");
    assert_eq!(entry.live_until, Some(until));
}

#[test]
fn the_window_of_state_sizes_is_kept_up() -> Result<(), NodeError> {
    let (network, ..) = with_counter();
    let window = || match setting(&network, ConfigSettingId::LiveSorobanStateSizeWindow) {
        ConfigSettingEntry::LiveSorobanStateSizeWindow(window) => window.to_vec(),
        other => panic!("{other:?}"),
    };
    let size = network.node.census().live_bytes;
    assert!(size > 0);
    advance_to(&network, 63);
    assert_eq!(window(), [0; 30]);
    network.close();
    let mut expected = [0; 30];
    expected[29] = size;
    assert_eq!(window(), expected);
    let average = |ledger| close_meta(&network, ledger).total_byte_size_of_live_soroban_state;
    assert_eq!(average(63), 0);
    assert_eq!(average(64), size / 30);
    network.node.advance(64, 0.0)?;
    assert_eq!(average(128), 2 * size / 30);
    Ok(())
}
