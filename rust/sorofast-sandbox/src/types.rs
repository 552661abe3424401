//! What the node answers with: plain data, cheap to clone, free of locks.

use std::sync::Arc;
use stellar_xdr::{LedgerEntry, Limits, ReadXdr, WriteXdr};

/// A closed ledger, as far as a reader needs it.
#[derive(Clone, Debug)]
pub struct LedgerSummary {
    pub sequence: u32,
    /// Close time in whole seconds since 1970, floored.
    pub close_time_s: u64,
    /// The same close time in milliseconds.
    pub close_time_ms: u64,
    /// SHA-256 of the `LedgerHeader`.
    pub hash: [u8; 32],
    /// XDR of the `LedgerHeader`.
    pub header_xdr: Arc<[u8]>,
    /// How many transactions the ledger applied, failed ones included.
    pub transactions: u32,
}

impl LedgerSummary {
    /// The protocol of the ledger, with which its header begins.
    pub fn protocol_version(&self) -> u32 {
        self.header_xdr
            .first_chunk()
            .map_or(0, |word| u32::from_be_bytes(*word))
    }

    /// XDR of the `LedgerHeaderHistoryEntry`: hash, header, empty extension.
    pub fn header_history_xdr(&self) -> Vec<u8> {
        let mut out = Vec::with_capacity(36 + self.header_xdr.len());
        out.extend_from_slice(&self.hash);
        out.extend_from_slice(&self.header_xdr);
        out.extend_from_slice(&[0; 4]);
        out
    }
}

/// The ledgers a reader can ask about, both ends included.
#[derive(Clone, Debug)]
pub struct LedgerRange {
    pub oldest: LedgerSummary,
    pub latest: LedgerSummary,
}

/// One ledger entry as the visible ledger holds it.
#[derive(Clone, Debug)]
pub struct EntryView {
    /// XDR of the `LedgerKey` that was asked for.
    pub key_xdr: Vec<u8>,
    /// XDR of the whole `LedgerEntry`.
    pub entry_xdr: Arc<[u8]>,
    /// None for classic entries; 0 for an archived persistent entry.
    pub live_until: Option<u32>,
    pub last_modified: u32,
}

impl EntryView {
    /// XDR of the `LedgerEntryData`, which lies between the ledger number and the extension.
    pub fn data_xdr(&self) -> &[u8] {
        &self.entry_xdr[4..self.extension()]
    }

    /// XDR of the `LedgerEntryExt`.
    pub fn ext_xdr(&self) -> &[u8] {
        &self.entry_xdr[self.extension()..]
    }

    /// Where the extension begins. Only classic entries can have a sponsor, and then their extension has its length.
    fn extension(&self) -> usize {
        const EMPTY: usize = 4;
        let bytes = &self.entry_xdr;
        let classic = !matches!(bytes.get(4..8), Some([0, 0, 0, 6..=8]));
        let limits = Limits {
            depth: 500,
            len: bytes.len(),
        };
        let length = match classic.then(|| LedgerEntry::from_xdr(bytes, limits)) {
            Some(Ok(entry)) => entry
                .ext
                .to_xdr(Limits::none())
                .map_or(EMPTY, |ext| ext.len()),
            _ => EMPTY,
        };
        bytes.len() - length
    }
}

/// Entries read from one and the same ledger.
#[derive(Clone, Debug)]
pub struct EntriesRead {
    /// In the order of the request; missing and expired temporary entries are left out.
    pub entries: Vec<EntryView>,
    pub latest_ledger: u32,
}

/// What became of a submitted envelope.
#[derive(Clone, Debug)]
pub struct Submission {
    pub hash: [u8; 32],
    pub latest: LedgerSummary,
    pub status: SubmitStatus,
}

#[derive(Clone, Debug, PartialEq, Eq)]
pub enum SubmitStatus {
    Pending,
    Duplicate,
    TryAgainLater,
    /// Refused: XDR of the `TransactionResult`, XDR of `DiagnosticEvent`s saying why.
    Error {
        result_xdr: Vec<u8>,
        diagnostic_events_xdr: Vec<Vec<u8>>,
    },
}

/// An applied transaction, failed ones included.
#[derive(Debug)]
pub struct TransactionRecord {
    pub hash: [u8; 32],
    /// Of the transaction inside a fee-bump; None where there is no fee-bump.
    pub inner_hash: Option<[u8; 32]>,
    pub ledger: u32,
    /// Place in the ledger, from 1.
    pub application_order: u32,
    pub close_time_s: u64,
    pub close_time_ms: u64,
    pub successful: bool,
    pub fee_charged_stroops: i64,
    /// XDR of the `TransactionEnvelope`.
    pub envelope_xdr: Arc<[u8]>,
    /// XDR of the `TransactionResult`.
    pub result_xdr: Vec<u8>,
    /// XDR of the `TransactionMeta` (V4).
    pub meta_xdr: Vec<u8>,
    /// XDR of `DiagnosticEvent`s.
    pub diagnostic_events_xdr: Vec<Vec<u8>>,
    /// XDR of `TransactionEvent`s (the fee, the refund).
    pub transaction_events_xdr: Vec<Vec<u8>>,
    /// XDR of `ContractEvent`s, one list per operation.
    pub contract_events_xdr: Vec<Vec<Vec<u8>>>,
    /// XDR of `LedgerEntryChanges` of the fee, for the ledger's meta.
    pub fee_changes_xdr: Vec<u8>,
    /// XDR of `LedgerEntryChanges` of the refund, for the ledger's meta.
    pub post_apply_changes_xdr: Vec<u8>,
}

/// A transaction by hash, with the range that was searched.
#[derive(Clone, Debug)]
pub struct TransactionLookup {
    pub record: Option<Arc<TransactionRecord>>,
    pub range: LedgerRange,
}

/// An applied transaction told in words: what the admin list shows.
#[derive(Clone, Debug)]
pub struct TransactionOutline {
    pub source: [u8; 32],
    /// Who paid: the source, unless there is a fee-bump.
    pub fee_source: [u8; 32],
    pub operation_source: [u8; 32],
    /// `invoke_contract`, `upload_wasm`, `create_contract`, `extend_footprint_ttl`, `restore_footprint`,
    /// `create_account`, `payment`.
    pub operation: &'static str,
    pub contract: Option<[u8; 32]>,
    pub function: Option<String>,
    /// XDR of each argument's `ScVal`.
    pub args_xdr: Vec<Vec<u8>>,
    /// `txSUCCESS`, `txFAILED`, `txBAD_SEQ`…
    pub result_code: String,
    /// First operation's code: `INVOKE_HOST_FUNCTION_TRAPPED`, `opBAD_AUTH`…
    pub operation_result: Option<String>,
    /// Upper ledger bound, if one was given.
    pub max_ledger: Option<u32>,
}

/// Where an event lies: ordering of the fields is ordering in the ledger.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct EventId {
    /// Ledger << 32 | transaction << 12 | operation.
    pub toid: u64,
    pub index: u32,
}

impl EventId {
    /// The id before every event of a ledger.
    pub fn ledger_start(sequence: u32) -> Self {
        Self {
            toid: u64::from(sequence) << 32,
            index: 0,
        }
    }

    pub fn ledger(self) -> u32 {
        (self.toid >> 32) as u32
    }

    /// Reads `%019d-%010d`.
    pub fn parse(text: &str) -> Option<Self> {
        let (toid, index) = text.split_once('-')?;
        let digits = |part: &str| !part.is_empty() && part.bytes().all(|b| b.is_ascii_digit());
        if !digits(toid) || !digits(index) {
            return None;
        }
        Some(Self {
            toid: toid.parse().ok()?,
            index: index.parse().ok()?,
        })
    }
}

impl std::fmt::Display for EventId {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "{:019}-{:010}", self.toid, self.index)
    }
}

/// One event of the ledger's stream.
#[derive(Debug)]
pub struct EventRecord {
    pub id: EventId,
    pub ledger: u32,
    pub close_time_s: u64,
    /// `contract` or `system`.
    pub kind: &'static str,
    pub contract: Option<[u8; 32]>,
    /// XDR of each topic's `ScVal`.
    pub topics_xdr: Vec<Vec<u8>>,
    /// XDR of the value's `ScVal`.
    pub value_xdr: Vec<u8>,
    pub transaction_hash: [u8; 32],
    /// As in the id: from 1, with 0 before and 1,048,575 after all transactions of the ledger.
    pub transaction_index: u32,
    /// From 0.
    pub operation_index: u32,
}

/// Events found by one scan.
#[derive(Clone, Debug)]
pub struct EventPage {
    pub events: Vec<Arc<EventRecord>>,
    /// Everything before this id was looked at; the next scan starts here (inclusive).
    pub range: LedgerRange,
}

/// Who authorizes in a simulation.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum AuthMode {
    Enforce,
    Record,
    RecordAllowNonroot,
}

#[derive(Clone, Copy, Debug, Default)]
pub struct SimulateOptions {
    /// None: enforce when the operation carries auth entries, record otherwise.
    pub auth_mode: Option<AuthMode>,
    /// Instructions added to what the run used, when more than the usual margin.
    pub instruction_leeway: u64,
    /// Record address credentials of the second version.
    pub use_upgraded_auth: bool,
}

/// A simulation against the latest closed ledger.
#[derive(Clone, Debug)]
pub struct Simulation {
    /// 0 for an envelope that is refused for its form.
    pub latest_ledger: u32,
    /// XDR of `DiagnosticEvent`s.
    pub events_xdr: Vec<Vec<u8>>,
    /// The error is the text a client sees.
    pub outcome: Result<SimulationSuccess, String>,
}

#[derive(Clone, Debug)]
pub struct SimulationSuccess {
    /// XDR of the `SorobanTransactionData`.
    pub transaction_data_xdr: Vec<u8>,
    pub min_resource_fee_stroops: i64,
    /// XDR of `SorobanAuthorizationEntry`s.
    pub auth_xdr: Vec<Vec<u8>>,
    /// XDR of the returned `ScVal`; only calls return something.
    pub result_xdr: Option<Vec<u8>>,
    pub state_changes: Vec<StateChange>,
    /// What has to be restored beforehand.
    pub restore: Option<RestorePreamble>,
}

/// A restoration to send first.
#[derive(Clone, Debug)]
pub struct RestorePreamble {
    /// XDR of the `SorobanTransactionData`.
    pub transaction_data_xdr: Vec<u8>,
    pub min_resource_fee_stroops: i64,
}

#[derive(Clone, Debug)]
pub struct StateChange {
    /// `created`, `updated` or `deleted`.
    pub kind: &'static str,
    pub key_xdr: Vec<u8>,
    /// XDR of the `LedgerEntry`.
    pub before_xdr: Option<Vec<u8>>,
    /// XDR of the `LedgerEntry`.
    pub after_xdr: Option<Vec<u8>>,
}

/// Inclusion fees of recently applied transactions, in stroops per operation.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct FeeDistribution {
    pub max: u64,
    pub min: u64,
    pub mode: u64,
    /// p10, p20, p30, p40, p50, p60, p70, p80, p90, p95, p99.
    pub percentiles: [u64; 11],
    pub transaction_count: u32,
    pub ledger_count: u32,
}

#[derive(Clone, Debug)]
pub struct FeeStats {
    pub soroban_inclusion_fee: FeeDistribution,
    pub inclusion_fee: FeeDistribution,
    pub latest_ledger: u32,
}

#[derive(Clone, Debug)]
pub struct Health {
    pub range: LedgerRange,
    /// How many ledgers the node keeps.
    pub retention_window: u32,
    /// Age of the latest ledger on the sandbox clock.
    pub latest_ledger_age_s: f64,
    /// False when that age is over thirty seconds.
    pub healthy: bool,
}

/// What the node refuses, with the reason as one sentence.
#[derive(Debug, thiserror::Error)]
pub enum NodeError {
    #[error("{0}")]
    Invalid(String),
    #[error("the node failed: {0}")]
    Internal(String),
}
