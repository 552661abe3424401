//! How a node is set up.

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
    pub network_passphrase: String,
}

impl Default for NodeConfig {
    fn default() -> Self {
        Self {
            ledger_close: Duration::from_secs(5),
            ledger_jitter: Duration::ZERO,
            consensus_delay: Duration::from_millis(1250),
            network_passphrase: "Standalone Network ; February 2017".into(),
        }
    }
}

/// The protocol that the linked host speaks.
pub const PROTOCOL_VERSION: u32 = 30;
