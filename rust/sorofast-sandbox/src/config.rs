//! How a node is set up.

use crate::ledger::history::RETENTION_LEDGERS;
pub use crate::ledger::presets::Limits;
use crate::ledger::seeds::SeedTasks;
use crate::ledger::value::OldHeader;
use crate::types::NodeError;
use std::path::PathBuf;
use std::time::Duration;

/// Everything that is chosen when a node starts.
#[derive(Clone, Debug)]
pub struct NodeConfig {
    /// From one freeze to the next; zero closes only when asked to.
    pub ledger_close: Duration,
    /// Each freeze falls within this much before or after its target.
    pub ledger_jitter: Duration,
    /// From the freeze to the ledger being visible.
    pub consensus_delay: Duration,
    /// From a transaction being sent on to the network having it; zero: a submission is everywhere at once.
    pub flood_delay: Duration,
    pub network_passphrase: String,
    /// What a transaction and a ledger may hold, and what it costs.
    pub limits: Limits,
    /// Ledgers that are kept for readers.
    pub retention_ledgers: u32,
    /// What all chance follows from.
    pub seed: u64,
    pub clock: ClockMode,
    /// Close time of the first ledger, in seconds since 1970; the system's time unless given.
    pub start_time_s: Option<u64>,
    /// Accounts with money and known keys.
    pub accounts: u32,
    /// Registries full of tasks.
    pub seed_tasks: Option<SeedTasks>,
    /// A saved state to start from; seed, accounts, tasks and time are then those of the file.
    pub load: Option<PathBuf>,
    /// The form of the first header, when the chain is to see an upgrade.
    pub first_header: Option<OldHeader>,
}

/// What the sandbox clock runs on.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum ClockMode {
    /// The system's clock.
    #[default]
    System,
    /// Nothing: it stands until an advance moves it.
    Manual,
}

impl Default for NodeConfig {
    fn default() -> Self {
        Self {
            ledger_close: Duration::from_secs(5),
            ledger_jitter: Duration::ZERO,
            consensus_delay: Duration::from_millis(1250),
            flood_delay: Duration::ZERO,
            network_passphrase: "Standalone Network ; February 2017".into(),
            limits: Limits::Mainnet,
            retention_ledgers: RETENTION_LEDGERS,
            seed: 0,
            clock: ClockMode::System,
            start_time_s: None,
            accounts: 10,
            seed_tasks: None,
            load: None,
            first_header: None,
        }
    }
}

impl NodeConfig {
    /// Refuses times that contradict each other.
    pub fn validate(&self) -> Result<(), NodeError> {
        let refuse = |reason: &str| Err(NodeError::Invalid(reason.into()));
        if self.ledger_close > MAX_LEDGER_CLOSE {
            return refuse("ledger_close must be at most one day");
        }
        if self.flood_delay > MAX_LEDGER_CLOSE {
            return refuse("flood_delay must be at most one day");
        }
        if !(1..=MAX_RETENTION_LEDGERS).contains(&self.retention_ledgers) {
            return Err(NodeError::Invalid(format!(
                "retention_ledgers must be between 1 and {MAX_RETENTION_LEDGERS}"
            )));
        }
        if self
            .start_time_s
            .is_some_and(|start| !(1..=MAX_START_TIME_S).contains(&start))
        {
            return Err(NodeError::Invalid(format!(
                "start_time_s must be between 1 and {MAX_START_TIME_S}"
            )));
        }
        if self.accounts > MAX_ACCOUNTS {
            return Err(NodeError::Invalid(format!(
                "there can be up to {MAX_ACCOUNTS} accounts"
            )));
        }
        if let Some(seeds) = &self.seed_tasks {
            seeds.validate()?;
        }
        if self.ledger_close.is_zero() {
            return Ok(());
        }
        if self.clock == ClockMode::Manual {
            return refuse("a manual clock needs a ledger_close of 0: nothing else would move it");
        }
        if self.ledger_jitter >= self.ledger_close {
            return refuse("ledger_jitter must be shorter than ledger_close");
        }
        if self.consensus_delay >= self.ledger_close {
            return refuse("consensus_delay must be shorter than ledger_close");
        }
        Ok(())
    }
}

/// Latest close time of a first ledger: the end of the year 2999.
pub const MAX_START_TIME_S: u64 = 32_503_679_999;

/// Numbered accounts at most.
pub const MAX_ACCOUNTS: u32 = 10_000;

/// Most ledgers that can be asked to be kept; memory bounds them as well.
pub const MAX_RETENTION_LEDGERS: u32 = 10_000_000;

/// Longest time from one freeze to the next.
const MAX_LEDGER_CLOSE: Duration = Duration::from_hours(24);

/// The protocol that the linked host speaks.
pub const PROTOCOL_VERSION: u32 = 30;
