//! Network settings: limits and fees, as ledger entries and as plain numbers.
//!
//! Origin of the figures: the settings that stellar-core published for testnet in August 2026, whose limits and fees
//! mainnet shares; the shortest lifetimes of entries are mainnet's. The window of state sizes starts with an empty
//! state, so that rent is priced at the network's floor at first.

use crate::config::NodeConfig;
use crate::ledger::cost_params;
use crate::ledger::eviction::SCAN_LEVEL;
use soroban_env_host::fees::{
    compute_rent_write_fee_per_1kb, FeeConfiguration, RentFeeConfiguration,
    RentWriteFeeConfiguration,
};
use stellar_xdr::{
    ConfigSettingContractBandwidthV0, ConfigSettingContractComputeV0,
    ConfigSettingContractEventsV0, ConfigSettingContractExecutionLanesV0,
    ConfigSettingContractHistoricalDataV0, ConfigSettingContractLedgerCostExtV0,
    ConfigSettingContractLedgerCostV0, ConfigSettingContractParallelComputeV0, ConfigSettingEntry,
    ConfigSettingScpTiming, ContractCostParams, EvictionIterator, FreezeBypassTxs,
    FrozenLedgerKeys, StateArchivalSettings,
};

/// Lowest inclusion fee, per operation.
pub const BASE_FEE_STROOPS: i64 = 100;
/// Reserve per entry that an account owns; an account itself counts as two.
pub const BASE_RESERVE_STROOPS: u32 = 5_000_000;

const STATE_SIZE_SAMPLES: usize = 30;

/// The settings in force, in the form that admission and apply need.
#[derive(Debug)]
pub struct Settings {
    pub compute: ConfigSettingContractComputeV0,
    pub ledger_cost: ConfigSettingContractLedgerCostV0,
    pub ledger_cost_ext: ConfigSettingContractLedgerCostExtV0,
    pub historical: ConfigSettingContractHistoricalDataV0,
    pub events: ConfigSettingContractEventsV0,
    pub bandwidth: ConfigSettingContractBandwidthV0,
    pub archival: StateArchivalSettings,
    pub ledger_max_tx_count: u32,
    pub ledger_max_classic_operations: u32,
    pub clusters: u32,
    pub max_contract_size_bytes: u32,
    pub max_key_size_bytes: u32,
    pub max_data_entry_size_bytes: u32,
    pub target_close_ms: u32,
    pub cpu_params: ContractCostParams,
    pub memory_params: ContractCostParams,
    pub fees: FeeConfiguration,
}

impl Settings {
    /// The preset that the node was set up with.
    pub fn of(config: &NodeConfig) -> Self {
        let mut settings = Self::mainnet(config);
        config.limits.adjust(&mut settings);
        settings.derive_fees();
        settings
    }

    fn mainnet(config: &NodeConfig) -> Self {
        let compute = ConfigSettingContractComputeV0 {
            ledger_max_instructions: 580_000_000,
            tx_max_instructions: 400_000_000,
            fee_rate_per_instructions_increment: 7,
            tx_memory_limit: 41_943_040,
        };
        let ledger_cost = ConfigSettingContractLedgerCostV0 {
            ledger_max_disk_read_entries: 1_000,
            ledger_max_disk_read_bytes: 400_000,
            ledger_max_write_ledger_entries: 1_000,
            ledger_max_write_bytes: 286_720,
            tx_max_disk_read_entries: 200,
            tx_max_disk_read_bytes: 200_000,
            tx_max_write_ledger_entries: 200,
            tx_max_write_bytes: 132_096,
            fee_disk_read_ledger_entry: 1_563,
            fee_write_ledger_entry: 2_500,
            fee_disk_read1_kb: 447,
            soroban_state_target_size_bytes: 4_000_000_000,
            rent_fee1_kb_soroban_state_size_low: -17_000,
            rent_fee1_kb_soroban_state_size_high: 10_000,
            soroban_state_rent_fee_growth_factor: 5_000,
        };
        let ledger_cost_ext = ConfigSettingContractLedgerCostExtV0 {
            tx_max_footprint_entries: 400,
            fee_write1_kb: 875,
        };
        let historical = ConfigSettingContractHistoricalDataV0 {
            fee_historical1_kb: 4_059,
        };
        let events = ConfigSettingContractEventsV0 {
            tx_max_contract_events_size_bytes: 16_384,
            fee_contract_events1_kb: 5_000,
        };
        let bandwidth = ConfigSettingContractBandwidthV0 {
            ledger_max_txs_size_bytes: 266_240,
            tx_max_size_bytes: 132_096,
            fee_tx_size1_kb: 406,
        };
        let archival = StateArchivalSettings {
            max_entry_ttl: 3_110_400,
            min_temporary_ttl: 17_280,
            min_persistent_ttl: 2_073_600,
            persistent_rent_rate_denominator: 1_215,
            temp_rent_rate_denominator: 2_430,
            max_entries_to_archive: 1_000,
            live_soroban_state_size_window_sample_size: STATE_SIZE_SAMPLES as u32,
            live_soroban_state_size_window_sample_period: 64,
            eviction_scan_size: 500_000,
            starting_eviction_scan_level: SCAN_LEVEL,
        };
        // A manual close has no pace of its own; the network's usual target then stands in admission rules.
        let target_close_ms = match config.ledger_close.as_millis() {
            0 => 5_000,
            ms => u32::try_from(ms).unwrap_or(u32::MAX),
        };
        Self {
            compute,
            ledger_cost,
            ledger_cost_ext,
            historical,
            events,
            bandwidth,
            archival,
            ledger_max_tx_count: 2_000,
            ledger_max_classic_operations: 1_000,
            clusters: 2,
            max_contract_size_bytes: 131_072,
            max_key_size_bytes: 250,
            max_data_entry_size_bytes: 65_536,
            target_close_ms,
            cpu_params: cost_params::cpu(),
            memory_params: cost_params::memory(),
            fees: FeeConfiguration::default(),
        }
    }

    /// The rates again, in the form that the host's fee functions take.
    fn derive_fees(&mut self) {
        let Self {
            compute,
            ledger_cost,
            ledger_cost_ext,
            historical,
            events,
            bandwidth,
            ..
        } = self;
        self.fees = FeeConfiguration {
            fee_per_instruction_increment: compute.fee_rate_per_instructions_increment,
            fee_per_disk_read_entry: ledger_cost.fee_disk_read_ledger_entry,
            fee_per_write_entry: ledger_cost.fee_write_ledger_entry,
            fee_per_disk_read_1kb: ledger_cost.fee_disk_read1_kb,
            fee_per_write_1kb: ledger_cost_ext.fee_write1_kb,
            fee_per_historical_1kb: historical.fee_historical1_kb,
            fee_per_contract_event_1kb: events.fee_contract_events1_kb,
            fee_per_transaction_size_1kb: bandwidth.fee_tx_size1_kb,
        };
    }

    /// What rent costs while the live state is so large, on average over the window.
    pub fn rent_fees(&self, state_size_bytes: u64) -> RentFeeConfiguration {
        let cost = &self.ledger_cost;
        RentFeeConfiguration {
            fee_per_write_1kb: self.ledger_cost_ext.fee_write1_kb,
            fee_per_rent_1kb: compute_rent_write_fee_per_1kb(
                i64::try_from(state_size_bytes).unwrap_or(i64::MAX),
                &RentWriteFeeConfiguration {
                    state_target_size_bytes: cost.soroban_state_target_size_bytes,
                    rent_fee_1kb_state_size_low: cost.rent_fee1_kb_soroban_state_size_low,
                    rent_fee_1kb_state_size_high: cost.rent_fee1_kb_soroban_state_size_high,
                    state_size_rent_fee_growth_factor: cost.soroban_state_rent_fee_growth_factor,
                },
            ),
            fee_per_write_entry: cost.fee_write_ledger_entry,
            persistent_rent_rate_denominator: self.archival.persistent_rent_rate_denominator,
            temporary_rent_rate_denominator: self.archival.temp_rent_rate_denominator,
        }
    }

    /// Every setting that a network keeps in its ledger.
    pub fn entries(&self) -> Vec<ConfigSettingEntry> {
        vec![
            ConfigSettingEntry::ContractMaxSizeBytes(self.max_contract_size_bytes),
            ConfigSettingEntry::ContractComputeV0(self.compute.clone()),
            ConfigSettingEntry::ContractLedgerCostV0(self.ledger_cost.clone()),
            ConfigSettingEntry::ContractHistoricalDataV0(self.historical.clone()),
            ConfigSettingEntry::ContractEventsV0(self.events.clone()),
            ConfigSettingEntry::ContractBandwidthV0(self.bandwidth.clone()),
            ConfigSettingEntry::ContractCostParamsCpuInstructions(self.cpu_params.clone()),
            ConfigSettingEntry::ContractCostParamsMemoryBytes(self.memory_params.clone()),
            ConfigSettingEntry::ContractDataKeySizeBytes(self.max_key_size_bytes),
            ConfigSettingEntry::ContractDataEntrySizeBytes(self.max_data_entry_size_bytes),
            ConfigSettingEntry::StateArchival(self.archival.clone()),
            ConfigSettingEntry::ContractExecutionLanes(ConfigSettingContractExecutionLanesV0 {
                ledger_max_tx_count: self.ledger_max_tx_count,
            }),
            ConfigSettingEntry::LiveSorobanStateSizeWindow(
                vec![0_u64; STATE_SIZE_SAMPLES]
                    .try_into()
                    .unwrap_or_default(),
            ),
            ConfigSettingEntry::EvictionIterator(EvictionIterator {
                bucket_list_level: self.archival.starting_eviction_scan_level,
                is_curr_bucket: true,
                bucket_file_offset: 0,
            }),
            ConfigSettingEntry::ContractParallelComputeV0(ConfigSettingContractParallelComputeV0 {
                ledger_max_dependent_tx_clusters: self.clusters,
            }),
            ConfigSettingEntry::ContractLedgerCostExtV0(self.ledger_cost_ext.clone()),
            ConfigSettingEntry::ScpTiming(ConfigSettingScpTiming {
                ledger_target_close_time_milliseconds: self.target_close_ms,
                nomination_timeout_initial_milliseconds: 1_000,
                nomination_timeout_increment_milliseconds: 1_000,
                ballot_timeout_initial_milliseconds: 1_000,
                ballot_timeout_increment_milliseconds: 1_000,
            }),
            ConfigSettingEntry::FrozenLedgerKeys(FrozenLedgerKeys::default()),
            ConfigSettingEntry::FreezeBypassTxs(FreezeBypassTxs::default()),
        ]
    }
}
