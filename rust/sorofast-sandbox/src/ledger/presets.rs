//! Sets of limits that a network may start with, as changes to mainnet's.
//!
//! Origin of the figures: `slp7` is SLP-7 as drafted in October 2026; `testnet` has the shorter lifetimes that
//! stellar-core published for testnet in August 2026, and its 200 classic operations per ledger. `unlimited` is ours: mainnet's
//! fees and lifetimes, with limits that only keep the process itself within bounds.

use crate::ledger::settings::Settings;

/// Which limits a network has.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Limits {
    #[default]
    Mainnet,
    Slp7,
    Testnet,
    Unlimited,
}

impl Limits {
    pub const ALL: [Self; 4] = [Self::Mainnet, Self::Slp7, Self::Testnet, Self::Unlimited];

    pub fn name(self) -> &'static str {
        match self {
            Self::Mainnet => "mainnet",
            Self::Slp7 => "slp7",
            Self::Testnet => "testnet",
            Self::Unlimited => "unlimited",
        }
    }

    /// Turns mainnet's settings into those of this preset.
    pub(super) fn adjust(self, settings: &mut Settings) {
        match self {
            Self::Mainnet => {}
            Self::Slp7 => slp7(settings),
            Self::Testnet => {
                settings.archival.min_temporary_ttl = 720;
                settings.archival.min_persistent_ttl = 120_960;
                settings.ledger_max_classic_operations = 200;
            }
            Self::Unlimited => unlimited(settings),
        }
    }
}

fn slp7(settings: &mut Settings) {
    let cost = &mut settings.ledger_cost;
    cost.ledger_max_disk_read_entries = 2_000;
    cost.ledger_max_write_ledger_entries = 2_000;
    cost.ledger_max_write_bytes = 297_000;
    settings.bandwidth.ledger_max_txs_size_bytes = 864_000;
    settings.clusters = 4;
    for fee in [
        &mut settings.compute.fee_rate_per_instructions_increment,
        &mut cost.fee_disk_read_ledger_entry,
        &mut cost.fee_write_ledger_entry,
        &mut cost.fee_disk_read1_kb,
        &mut settings.ledger_cost_ext.fee_write1_kb,
        &mut settings.historical.fee_historical1_kb,
        &mut settings.events.fee_contract_events1_kb,
        &mut settings.bandwidth.fee_tx_size1_kb,
    ] {
        *fee /= 2;
    }
}

/// Instructions of a cluster where nobody counts them; several of these can still be added up.
const BEYOND_INSTRUCTIONS: i64 = 1 << 50;
/// An envelope is not decoded beyond this, so nothing in it can be larger either.
const ENVELOPE_BYTES: u32 = 1024 * 1024;
/// What a transaction may read or write.
const TX_BYTES: u32 = 64 * 1024 * 1024;
/// What the transactions of a ledger may hold, read or write; the queue holds twice as much.
const LEDGER_BYTES: u32 = 256 * 1024 * 1024;
/// Entries that a transaction may name; an envelope has no room for more.
const TX_ENTRIES: u32 = 20_000;
const LEDGER_ENTRIES: u32 = 10_000_000;
const LEDGER_TRANSACTIONS: u32 = 100_000;
/// Memory of one call.
const MEMORY_BYTES: u32 = 256 * 1024 * 1024;
/// The RPC decodes no larger key.
const KEY_BYTES: u32 = 16 * 1024;

fn unlimited(settings: &mut Settings) {
    let compute = &mut settings.compute;
    compute.ledger_max_instructions = BEYOND_INSTRUCTIONS;
    compute.tx_max_instructions = i64::from(u32::MAX);
    compute.tx_memory_limit = MEMORY_BYTES;
    let cost = &mut settings.ledger_cost;
    cost.ledger_max_disk_read_entries = LEDGER_ENTRIES;
    cost.ledger_max_disk_read_bytes = LEDGER_BYTES;
    cost.ledger_max_write_ledger_entries = LEDGER_ENTRIES;
    cost.ledger_max_write_bytes = LEDGER_BYTES;
    cost.tx_max_disk_read_entries = TX_ENTRIES;
    cost.tx_max_disk_read_bytes = TX_BYTES;
    cost.tx_max_write_ledger_entries = TX_ENTRIES;
    cost.tx_max_write_bytes = TX_BYTES;
    settings.ledger_cost_ext.tx_max_footprint_entries = TX_ENTRIES;
    settings.events.tx_max_contract_events_size_bytes = ENVELOPE_BYTES;
    settings.bandwidth.ledger_max_txs_size_bytes = LEDGER_BYTES;
    settings.bandwidth.tx_max_size_bytes = ENVELOPE_BYTES;
    settings.ledger_max_tx_count = LEDGER_TRANSACTIONS;
    settings.ledger_max_classic_operations = LEDGER_TRANSACTIONS;
    settings.max_contract_size_bytes = ENVELOPE_BYTES;
    settings.max_key_size_bytes = KEY_BYTES;
    settings.max_data_entry_size_bytes = ENVELOPE_BYTES;
}
