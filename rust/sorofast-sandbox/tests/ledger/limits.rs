//! The presets of limits, as a client reads them and as the queue keeps them.

use crate::network::{call, manual, pay, refusal, wasm, Key, Network, XLM};
use sorofast_sandbox::config::Limits as Preset;
use sorofast_sandbox::node::{NodeConfig, SubmitStatus};
use stellar_xdr::{
    ConfigSettingEntry, ConfigSettingId, LedgerEntryData, LedgerHeader, LedgerKey,
    LedgerKeyConfigSetting, Limits, ReadXdr, ScVal, TransactionExt,
    TransactionResultResult as Code, WriteXdr,
};

fn with_limits(limits: Preset) -> Network {
    Network::with(NodeConfig { limits, ..manual() })
}

fn setting(network: &Network, id: ConfigSettingId) -> ConfigSettingEntry {
    let key = LedgerKey::ConfigSetting(LedgerKeyConfigSetting {
        config_setting_id: id,
    });
    let read = network
        .node
        .entries(&[key.to_xdr(Limits::none()).expect("a key")]);
    let data = read.entries[0].data_xdr();
    match LedgerEntryData::from_xdr(data, Limits::none()).expect("a setting") {
        LedgerEntryData::ConfigSetting(setting) => setting,
        other => panic!("{other:?}"),
    }
}

/// Every figure that presets differ in, as the ledger tells it.
fn told(network: &Network) -> Vec<i64> {
    let read = |id| setting(network, id);
    let mut told = Vec::new();
    match read(ConfigSettingId::ContractComputeV0) {
        ConfigSettingEntry::ContractComputeV0(compute) => told.extend([
            compute.ledger_max_instructions,
            compute.tx_max_instructions,
            compute.fee_rate_per_instructions_increment,
        ]),
        other => panic!("{other:?}"),
    }
    match read(ConfigSettingId::ContractLedgerCostV0) {
        ConfigSettingEntry::ContractLedgerCostV0(cost) => told.extend([
            i64::from(cost.ledger_max_disk_read_entries),
            i64::from(cost.ledger_max_write_ledger_entries),
            i64::from(cost.ledger_max_write_bytes),
            cost.fee_disk_read_ledger_entry,
            cost.fee_write_ledger_entry,
            cost.fee_disk_read1_kb,
        ]),
        other => panic!("{other:?}"),
    }
    match read(ConfigSettingId::ContractLedgerCostExtV0) {
        ConfigSettingEntry::ContractLedgerCostExtV0(cost) => told.push(cost.fee_write1_kb),
        other => panic!("{other:?}"),
    }
    match read(ConfigSettingId::ContractHistoricalDataV0) {
        ConfigSettingEntry::ContractHistoricalDataV0(data) => told.push(data.fee_historical1_kb),
        other => panic!("{other:?}"),
    }
    match read(ConfigSettingId::ContractEventsV0) {
        ConfigSettingEntry::ContractEventsV0(events) => told.push(events.fee_contract_events1_kb),
        other => panic!("{other:?}"),
    }
    match read(ConfigSettingId::ContractBandwidthV0) {
        ConfigSettingEntry::ContractBandwidthV0(bandwidth) => told.extend([
            i64::from(bandwidth.ledger_max_txs_size_bytes),
            bandwidth.fee_tx_size1_kb,
        ]),
        other => panic!("{other:?}"),
    }
    match read(ConfigSettingId::ContractParallelComputeV0) {
        ConfigSettingEntry::ContractParallelComputeV0(parallel) => {
            told.push(i64::from(parallel.ledger_max_dependent_tx_clusters));
        }
        other => panic!("{other:?}"),
    }
    match read(ConfigSettingId::StateArchival) {
        ConfigSettingEntry::StateArchival(archival) => told.extend([
            i64::from(archival.min_temporary_ttl),
            i64::from(archival.min_persistent_ttl),
        ]),
        other => panic!("{other:?}"),
    }
    let latest = network.node.latest();
    let header = LedgerHeader::from_xdr(&latest.header_xdr, Limits::none()).expect("a header");
    told.push(i64::from(header.max_tx_set_size));
    told
}

#[test]
fn presets_are_told_by_the_ledger() {
    let mainnet = [
        580_000_000,
        400_000_000,
        7,
        1_000,
        1_000,
        286_720,
        1_563,
        2_500,
        447,
        875,
        4_059,
        5_000,
        266_240,
        406,
        2,
        17_280,
        2_073_600,
        1_000,
    ];
    assert_eq!(told(&with_limits(Preset::Mainnet)), mainnet);
    let slp7 = [
        580_000_000,
        400_000_000,
        3,
        2_000,
        2_000,
        297_000,
        781,
        1_250,
        223,
        437,
        2_029,
        2_500,
        864_000,
        203,
        4,
        17_280,
        2_073_600,
        1_000,
    ];
    assert_eq!(told(&with_limits(Preset::Slp7)), slp7);
    let testnet = [
        580_000_000,
        400_000_000,
        7,
        1_000,
        1_000,
        286_720,
        1_563,
        2_500,
        447,
        875,
        4_059,
        5_000,
        266_240,
        406,
        2,
        720,
        120_960,
        200,
    ];
    assert_eq!(told(&with_limits(Preset::Testnet)), testnet);
}

#[test]
fn every_preset_has_every_setting() {
    for preset in Preset::ALL {
        let network = with_limits(preset);
        for id in ConfigSettingId::VARIANTS {
            // These only travel in upgrades; no ledger keeps them.
            if matches!(
                id,
                ConfigSettingId::FrozenLedgerKeysDelta | ConfigSettingId::FreezeBypassTxsDelta
            ) {
                continue;
            }
            let entry = setting(&network, id);
            assert_eq!(entry.discriminant(), id, "{preset:?}");
            if let ConfigSettingEntry::ContractCostParamsCpuInstructions(params)
            | ConfigSettingEntry::ContractCostParamsMemoryBytes(params) = entry
            {
                assert_eq!(params.0.len(), 95, "{preset:?}");
            }
        }
    }
}

#[test]
fn lower_rates_make_lower_fees() {
    let fee = |limits| {
        let network = with_limits(limits);
        let alice = Key::new(1);
        network.fund(&[alice], 1_000 * XLM);
        let counter = network.deploy(&alice, &wasm("counter"));
        let bump = || call(&counter, "bump", vec![ScVal::U64(1)]);
        // The first one pays the rent of a new entry, most of which is not a matter of these rates.
        assert!(network.run(&alice, bump()).successful, "{limits:?}");
        let record = network.run(&alice, bump());
        assert!(record.successful, "{limits:?}");
        record.fee_charged_stroops
    };
    let (mainnet, slp7) = (fee(Preset::Mainnet), fee(Preset::Slp7));
    assert!(slp7 < mainnet * 6 / 10, "{slp7} against {mainnet}");
}

#[test]
fn nothing_is_too_large_without_limits() {
    let submit = |limits| {
        let network = with_limits(limits);
        let alice = Key::new(1);
        network.fund(&[alice], 100_000 * XLM);
        let counter = network.deploy(&alice, &wasm("counter"));
        let mut tx = network.soroban_tx(&alice, None, call(&counter, "increment", vec![]));
        if let TransactionExt::V1(data) = &mut tx.ext {
            data.resources.instructions = 450_000_000;
            data.resources.disk_read_bytes = 300_000;
            data.resources.write_bytes = 200_000;
            data.resource_fee += 100_000_000;
        }
        tx.fee += 100_000_000;
        let submission = network.submit(&network.sign(&tx, &[alice]));
        if submission.status == SubmitStatus::Pending {
            network.close();
            let record = network.node.transaction(&submission.hash).record;
            assert!(record.expect("applied").successful);
        }
        submission
    };
    assert_eq!(refusal(&submit(Preset::Mainnet)), Code::TxSorobanInvalid);
    assert_eq!(submit(Preset::Unlimited).status, SubmitStatus::Pending);
}

#[test]
fn testnet_takes_two_hundred_payments_a_ledger() {
    let network = with_limits(Preset::Testnet);
    let keys: Vec<Key> = (0..5).map(Key::new).collect();
    network.fund(&keys, 100 * XLM);
    for key in &keys[..4] {
        let tx = network.tx(key, (0..100).map(|_| pay(&keys[4], 1)).collect());
        let status = network.submit(&network.sign(&tx, &[*key])).status;
        assert_eq!(status, SubmitStatus::Pending);
    }
    // The queue holds two ledgers' worth.
    let tx = network.tx(&keys[4], vec![pay(&keys[0], 1)]);
    let full = network.submit(&network.sign(&tx, &[keys[4]]));
    assert_eq!(refusal(&full), Code::TxInsufficientFee);
    assert_eq!(network.node.pending(), 4);
    network.close();
    assert_eq!(network.node.pending(), 2);
}
