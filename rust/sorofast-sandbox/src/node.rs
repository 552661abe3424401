//! The node: one ledger in memory behind a thread-safe handle.

pub use crate::config::{NodeConfig, PROTOCOL_VERSION};
pub use crate::types::*;
use std::sync::Arc;

/// A running ledger. Every method may be called from any thread.
pub struct Node {
    config: NodeConfig,
}

impl std::fmt::Debug for Node {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Node")
            .field("config", &self.config)
            .finish_non_exhaustive()
    }
}

impl Node {
    /// Builds genesis; nothing closes until `run` or `advance`.
    pub fn new(config: NodeConfig) -> Result<Arc<Self>, NodeError> {
        Ok(Arc::new(Self { config }))
    }

    pub fn config(&self) -> &NodeConfig {
        &self.config
    }

    /// SHA-256 of the passphrase.
    pub fn network_id(&self) -> [u8; 32] {
        todo!()
    }

    /// Ed25519 seed of the funded account that friendbot spends from.
    pub fn friendbot_seed(&self) -> [u8; 32] {
        todo!()
    }

    /// Ed25519 public key of that account.
    pub fn friendbot_account(&self) -> [u8; 32] {
        todo!()
    }

    /// The closing loop; returns only when the task is dropped or a close fails. With a zero close it waits forever.
    pub async fn run(self: Arc<Self>) -> Result<(), NodeError> {
        todo!()
    }

    /// Oldest and latest visible ledger.
    pub fn range(&self) -> LedgerRange {
        todo!()
    }

    pub fn latest(&self) -> LedgerSummary {
        todo!()
    }

    /// Resolves once a ledger at or above `sequence` is visible.
    pub async fn wait_for_ledger(&self, sequence: u32) -> LedgerSummary {
        let _ = sequence;
        todo!()
    }

    /// Kept ledgers from `from` (inclusive) in order, at most `limit`.
    pub fn ledgers(&self, from: u32, limit: usize) -> Vec<LedgerSummary> {
        let _ = (from, limit);
        todo!()
    }

    /// XDR of the `LedgerCloseMeta` (V2) of a kept ledger, put together on demand.
    pub fn ledger_meta_xdr(&self, sequence: u32) -> Option<Vec<u8>> {
        let _ = sequence;
        todo!()
    }

    /// Entries by `LedgerKey` XDR, all from the same ledger.
    pub fn entries(&self, keys_xdr: &[Vec<u8>]) -> EntriesRead {
        let _ = keys_xdr;
        todo!()
    }

    /// Offers an envelope to the queue. An error means that it could not even be decoded.
    pub fn submit(&self, envelope_xdr: &[u8]) -> Result<Submission, NodeError> {
        let _ = envelope_xdr;
        todo!()
    }

    /// How many transactions wait for a ledger.
    pub fn pending(&self) -> usize {
        todo!()
    }

    pub fn transaction(&self, hash: &[u8; 32]) -> TransactionLookup {
        let _ = hash;
        todo!()
    }

    /// Applied transactions of whole ledgers from `from_ledger` on, in apply order, stopping before the ledger that
    /// would exceed `limit` (one ledger is always given). The second value is the next ledger to ask for, if any.
    pub fn applied(
        &self,
        from_ledger: u32,
        limit: usize,
    ) -> (Vec<Arc<TransactionRecord>>, Option<u32>) {
        let _ = (from_ledger, limit);
        todo!()
    }

    /// Tells an applied transaction in words, from its envelope and result.
    pub fn outline(record: &TransactionRecord) -> Result<TransactionOutline, NodeError> {
        let _ = record;
        todo!()
    }

    /// Events with `from <= id` (`from < id` when `exclusive`) in ledgers below `end_ledger`, at most `limit` that
    /// pass the filter.
    pub fn events(
        &self,
        from: EventId,
        exclusive: bool,
        end_ledger: u32,
        limit: usize,
        filter: &mut dyn FnMut(&EventRecord) -> bool,
    ) -> EventPage {
        let _ = (from, exclusive, end_ledger, limit, filter);
        todo!()
    }

    /// Runs the envelope's only operation against the latest ledger. Blocking, and deep on the stack: it starts a
    /// thread of its own, so call it from `spawn_blocking`.
    pub fn simulate(&self, envelope_xdr: &[u8], options: SimulateOptions) -> Simulation {
        let _ = (envelope_xdr, options);
        todo!()
    }

    pub fn fee_stats(&self) -> FeeStats {
        todo!()
    }

    pub fn health(&self) -> Health {
        todo!()
    }

    /// Moves the sandbox clock on by `seconds`, then closes `ledgers` ledgers, visible on return. Blocking.
    pub fn advance(&self, ledgers: u32, seconds: f64) -> Result<LedgerSummary, NodeError> {
        let _ = (ledgers, seconds);
        todo!()
    }

    /// Sets the offset of the closing clock against the system's, in seconds; returns it.
    pub fn set_skew(&self, seconds: f64) -> Result<f64, NodeError> {
        let _ = seconds;
        todo!()
    }

    /// The sandbox clock, in milliseconds since 1970.
    pub fn now_ms(&self) -> u64 {
        todo!()
    }

    /// Puts raw entries (`LedgerEntry` XDR, live-until) into the visible state at once; returns how many. All or none.
    pub fn put_entries(&self, entries: Vec<(Vec<u8>, Option<u32>)>) -> Result<usize, NodeError> {
        let _ = entries;
        todo!()
    }
}
