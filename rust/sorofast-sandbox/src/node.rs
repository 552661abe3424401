//! The node: one ledger in memory behind a thread-safe handle.

pub use crate::config::{NodeConfig, PROTOCOL_VERSION};
pub use crate::types::*;

use crate::clock::SandboxClock;
use crate::crypto::random_u64;
use crate::host::modules::Modules;
use crate::host::simulate::{self, Run, SimulationLedger, Snapshot};
use crate::host::stack::with_deep_stack;
use crate::ledger::close::{Applied, Closer, Tip};
use crate::ledger::events::native_contract;
use crate::ledger::genesis::{self, Keys};
use crate::ledger::header::{self, NodeKey};
use crate::ledger::history::{ClosedLedger, History, RETENTION_LEDGERS};
use crate::ledger::meta::ledger_close_meta;
use crate::ledger::settings::Settings;
use crate::ledger::state::{Entries, SnapshotGone, State, Stored};
use crate::tx::diagnostics::Diagnostics;
use crate::tx::envelope::{decode, Decoded, Parsed};
use crate::tx::outline;
use crate::tx::queue::{Queue, Standing};
use crate::tx::result;
use crate::tx::signatures::warm_up;
use crate::tx::validate::{check, check_soroban_resources, quoted_fee, Moment};
use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError, RwLock, RwLockReadGuard};
use std::time::{Duration, Instant};
use stellar_xdr::TransactionResultResult as Code;
use tokio::sync::{watch, Notify};

mod closing;
mod seeding;

/// Beyond this age of the latest ledger a node calls itself unhealthy.
const MAX_HEALTHY_AGE_S: f64 = 30.0;
/// Ledgers that one call may close.
const MAX_ADVANCE_LEDGERS: u32 = 100_000;
/// Simulations that start over on a newer ledger, at most.
const SIMULATION_ATTEMPTS: u32 = 3;

/// A running ledger. Every method may be called from any thread.
pub struct Node {
    config: NodeConfig,
    settings: Settings,
    keys: Keys,
    validator: NodeKey,
    native: [u8; 32],
    clock: SandboxClock,
    visible: Arc<RwLock<Visible>>,
    /// Taken before `visible` where both are needed, so that a submission sees queue and ledger of the same moment.
    queue: Mutex<Queue>,
    closing: Mutex<Closing>,
    latest: watch::Sender<u32>,
    /// The newest ledger whose set is fixed.
    frozen: watch::Sender<u32>,
    /// Wakes the closing loop after an advance.
    rescheduled: Notify,
    simulations: Slots,
}

/// What readers see: always a whole ledger.
struct Visible {
    state: State,
    history: History,
    /// Lumens there are, in stroops; raw entries may add to them.
    total_coins: i64,
}

/// What only the closing of ledgers touches.
struct Closing {
    tip: Tip,
    modules: Modules,
    /// Applied, not yet visible.
    ready: Option<Applied>,
    frozen_at: Instant,
}

impl std::fmt::Debug for Node {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Node")
            .field("config", &self.config)
            .finish_non_exhaustive()
    }
}

fn locked<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    // A panic elsewhere must not take the node down; what a lock guards is replaced whole, never left in parts.
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

fn readable(visible: &RwLock<Visible>) -> RwLockReadGuard<'_, Visible> {
    visible.read().unwrap_or_else(PoisonError::into_inner)
}

/// Entries of the visible ledger, locked one read at a time.
struct VisibleEntries<'a>(&'a RwLock<Visible>);

impl Entries for VisibleEntries<'_> {
    fn get(&self, key: &[u8]) -> Option<Stored> {
        readable(self.0).state.get(key).cloned()
    }
}

impl Entries for State {
    fn get(&self, key: &[u8]) -> Option<Stored> {
        State::get(self, key).cloned()
    }
}

/// Entries as they were at one ledger, for a simulation that takes its time.
struct LedgerSnapshot {
    visible: Arc<RwLock<Visible>>,
    ledger: u32,
}

impl Snapshot for LedgerSnapshot {
    fn entry(&self, key: &[u8]) -> Result<Option<Stored>, SnapshotGone> {
        readable(&self.visible).state.get_at(key, self.ledger)
    }
}

/// As many simulations at once as there are processors.
struct Slots {
    free: Mutex<usize>,
    freed: Condvar,
}

impl Slots {
    fn new() -> Self {
        let processors = std::thread::available_parallelism().map_or(1, usize::from);
        Self {
            free: Mutex::new(processors),
            freed: Condvar::new(),
        }
    }

    fn with<T>(&self, work: impl FnOnce() -> T) -> T {
        let free = locked(&self.free);
        let mut free = self
            .freed
            .wait_while(free, |free| *free == 0)
            .unwrap_or_else(PoisonError::into_inner);
        *free -= 1;
        drop(free);
        let done = work();
        *locked(&self.free) += 1;
        self.freed.notify_one();
        done
    }
}

impl Node {
    /// Builds genesis; nothing closes until `run` or `advance`.
    pub fn new(config: NodeConfig) -> Result<Arc<Self>, NodeError> {
        config.validate()?;
        let internal = |what: &str| NodeError::Internal(what.into());
        let keys = Keys::of(&config.network_passphrase)
            .ok_or_else(|| internal("the keys of the network cannot be derived"))?;
        let node_key = NodeKey::new(keys.node_seed, keys.network_id)
            .ok_or_else(|| internal("the key of the node cannot be derived"))?;
        let settings = Settings::mainnet(&config);
        let modules = Modules::new(&settings)
            .map_err(|error| NodeError::Internal(format!("no module cache: {error:?}")))?;
        let clock = SandboxClock::default();
        let changes = genesis::entries(&keys, &settings);
        let close_time_ms = clock.now_ms();
        let header = header::genesis(
            &node_key,
            close_time_ms,
            header::state_hash(&[0; 32], &changes),
        );
        let (header_xdr, hash) = header::encode(&header);
        let closed = ClosedLedger::genesis(&header, header_xdr, hash, close_time_ms);
        let mut state = State::default();
        state.publish(1, changes);
        Ok(Arc::new(Self {
            native: native_contract(&keys.network_id),
            visible: Arc::new(RwLock::new(Visible {
                state,
                history: History::new(closed),
                total_coins: header.total_coins,
            })),
            queue: Mutex::new(Queue::default()),
            closing: Mutex::new(Closing {
                tip: Tip {
                    header,
                    hash,
                    close_time_ms,
                },
                modules,
                ready: None,
                frozen_at: Instant::now(),
            }),
            latest: watch::Sender::new(1),
            frozen: watch::Sender::new(1),
            rescheduled: Notify::new(),
            simulations: Slots::new(),
            config,
            settings,
            keys,
            validator: node_key,
            clock,
        }))
    }

    pub fn config(&self) -> &NodeConfig {
        &self.config
    }

    /// SHA-256 of the passphrase.
    pub fn network_id(&self) -> [u8; 32] {
        self.keys.network_id
    }

    /// Ed25519 seed of the funded account that friendbot spends from.
    pub fn friendbot_seed(&self) -> [u8; 32] {
        self.keys.friendbot_seed
    }

    /// Ed25519 public key of that account.
    pub fn friendbot_account(&self) -> [u8; 32] {
        self.keys.friendbot
    }

    /// Oldest and latest visible ledger.
    pub fn range(&self) -> LedgerRange {
        readable(&self.visible).history.range()
    }

    pub fn latest(&self) -> LedgerSummary {
        readable(&self.visible).history.latest().clone()
    }

    /// Resolves once a ledger at or above `sequence` is visible.
    pub async fn wait_for_ledger(&self, sequence: u32) -> LedgerSummary {
        let mut latest = self.latest.subscribe();
        // The sender lives as long as the node, so waiting cannot fail.
        let _ = latest.wait_for(|latest| *latest >= sequence).await;
        self.latest()
    }

    /// Resolves once the set of ledger `sequence` is fixed, which is before that ledger can be seen.
    pub async fn wait_for_freeze(&self, sequence: u32) {
        let mut frozen = self.frozen.subscribe();
        // The sender lives as long as the node, so waiting cannot fail.
        let _ = frozen.wait_for(|frozen| *frozen >= sequence).await;
    }

    /// Kept ledgers from `from` (inclusive) in order, at most `limit`.
    pub fn ledgers(&self, from: u32, limit: usize) -> Vec<LedgerSummary> {
        readable(&self.visible)
            .history
            .from(from)
            .take(limit)
            .map(|ledger| ledger.summary.clone())
            .collect()
    }

    /// XDR of the `LedgerCloseMeta` (V2) of a kept ledger, put together on demand.
    pub fn ledger_meta_xdr(&self, sequence: u32) -> Option<Vec<u8>> {
        let ledger = Arc::clone(readable(&self.visible).history.ledger(sequence)?);
        Some(ledger_close_meta(
            &ledger.summary,
            &ledger.transaction_set_xdr,
            &ledger.records,
        ))
    }

    /// Entries by `LedgerKey` XDR, all from the same ledger.
    pub fn entries(&self, keys_xdr: &[Vec<u8>]) -> EntriesRead {
        let visible = readable(&self.visible);
        let latest_ledger = visible.history.latest().sequence;
        let entries = keys_xdr
            .iter()
            .filter_map(|key| {
                let stored = visible.state.get(key)?;
                let live_until = match stored.lifetime {
                    None => None,
                    Some(lifetime) if lifetime.live_until >= latest_ledger => {
                        Some(lifetime.live_until)
                    }
                    // Durability is the last word of a data key; code is always persistent.
                    Some(_) if key[3] == 6 && key[key.len() - 1] == 0 => return None,
                    Some(_) => Some(0),
                };
                Some(EntryView {
                    key_xdr: key.clone(),
                    entry_xdr: Arc::clone(&stored.xdr),
                    live_until,
                    last_modified: stored.last_modified(),
                })
            })
            .collect();
        EntriesRead {
            entries,
            latest_ledger,
        }
    }

    /// Offers an envelope to the queue. An error means that it could not even be decoded.
    pub fn submit(&self, envelope_xdr: &[u8]) -> Result<Submission, NodeError> {
        let decoded = decode(envelope_xdr, &self.keys.network_id).map_err(NodeError::Invalid)?;
        let tx = match decoded {
            Decoded::Refused {
                hash,
                kind,
                operations: _,
            } => {
                let mut diagnostics = Diagnostics::default();
                diagnostics.refusal(&format!(
                    "{kind} is not supported by the sandbox; send a version 1 transaction"
                ));
                return Ok(Submission {
                    hash,
                    latest: self.latest(),
                    status: refused(Code::TxNotSupported, 0, diagnostics),
                });
            }
            Decoded::Transaction(tx) => Arc::new(*tx),
        };
        // Signatures cost the most and depend on nothing that changes: check them before anyone has to wait.
        warm_up(&tx);
        let hash = tx.hash;
        let mut queue = locked(&self.queue);
        let visible = readable(&self.visible);
        let status = self.admit(tx, &mut queue, &visible);
        Ok(Submission {
            hash,
            latest: visible.history.latest().clone(),
            status,
        })
    }

    fn admit(&self, tx: Arc<Parsed>, queue: &mut Queue, visible: &Visible) -> SubmitStatus {
        let standing = queue.standing(&tx);
        if standing == Standing::Banned {
            return SubmitStatus::TryAgainLater;
        }
        let mut diagnostics = Diagnostics::default();
        let malformed_fee = tx.is_soroban()
            && tx
                .soroban
                .as_ref()
                .is_none_or(|part| part.data.resource_fee < 0);
        if malformed_fee || tx.inclusion_fee() < 0 {
            return refused(Code::TxMalformed, 0, diagnostics);
        }
        match standing {
            Standing::Banned | Standing::Free => {}
            Standing::Duplicate => return SubmitStatus::Duplicate,
            Standing::Older => return refused(Code::TxBadSeq, 0, diagnostics),
            Standing::Occupied => {
                let within = tx.soroban.as_ref().is_none_or(|part| {
                    check_soroban_resources(&tx, part, &self.settings, &mut diagnostics).is_ok()
                });
                if !within {
                    return refused(Code::TxSorobanInvalid, 0, diagnostics);
                }
                return SubmitStatus::TryAgainLater;
            }
        }
        let latest = visible.history.latest();
        let moment = Moment {
            settings: &self.settings,
            header_sequence: latest.sequence,
            target_sequence: latest.sequence + 1,
            lower_close_s: latest.close_time_s,
            upper_close_s: latest.close_time_s + self.upper_close_offset_s(latest),
            applying: false,
        };
        if let Err(invalid) = check(&tx, &visible.state, &moment, &mut diagnostics) {
            return refused(invalid.code, quoted_fee(&tx), diagnostics);
        }
        if let Err(needed) = queue.make_room(&tx, &self.settings) {
            return refused(Code::TxInsufficientFee, needed, diagnostics);
        }
        queue.insert(tx);
        SubmitStatus::Pending
    }

    /// How long after the last close `max_time` must still hold: the time since, and twice a ledger in whole seconds.
    fn upper_close_offset_s(&self, latest: &LedgerSummary) -> u64 {
        let now_s = self.clock.now_ms() / 1000;
        u64::from(self.settings.target_close_ms / 1000) * 2
            + now_s.saturating_sub(latest.close_time_s)
    }

    /// How many transactions wait for a ledger.
    pub fn pending(&self) -> usize {
        locked(&self.queue).len()
    }

    pub fn transaction(&self, hash: &[u8; 32]) -> TransactionLookup {
        let visible = readable(&self.visible);
        TransactionLookup {
            record: visible.history.transaction(hash).cloned(),
            range: visible.history.range(),
        }
    }

    /// Applied transactions of whole ledgers from `from_ledger` on, in apply order, stopping before the ledger that
    /// would exceed `limit` (one ledger is always given). The second value is the next ledger to ask for, if any.
    pub fn applied(
        &self,
        from_ledger: u32,
        limit: usize,
    ) -> (Vec<Arc<TransactionRecord>>, Option<u32>) {
        let visible = readable(&self.visible);
        let mut records = Vec::new();
        for ledger in visible.history.from(from_ledger) {
            if !records.is_empty() && records.len() + ledger.records.len() > limit {
                return (records, Some(ledger.summary.sequence));
            }
            records.extend(ledger.records.iter().cloned());
        }
        (records, None)
    }

    /// Tells an applied transaction in words, from its envelope and result.
    pub fn outline(record: &TransactionRecord) -> Result<TransactionOutline, NodeError> {
        outline::outline(record).map_err(NodeError::Internal)
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
        // Handles are cheap; the scan itself must not hold up the next ledger.
        let (ledgers, range) = {
            let visible = readable(&self.visible);
            let ledgers: Vec<Arc<ClosedLedger>> = visible
                .history
                .from(from.ledger())
                .take_while(|ledger| ledger.summary.sequence < end_ledger)
                .filter(|ledger| !ledger.events.is_empty())
                .cloned()
                .collect();
            (ledgers, visible.history.range())
        };
        let events = ledgers
            .iter()
            .flat_map(|ledger| {
                let before = |event: &Arc<EventRecord>| {
                    if exclusive {
                        event.id <= from
                    } else {
                        event.id < from
                    }
                };
                let start = ledger.events.partition_point(before);
                &ledger.events[start..]
            })
            .filter(|event| filter(event))
            .take(limit)
            .cloned()
            .collect();
        EventPage { events, range }
    }

    /// Runs the envelope's only operation against the latest ledger. Blocking, and deep on the stack: it starts a
    /// thread of its own, so call it from `spawn_blocking`.
    pub fn simulate(&self, envelope_xdr: &[u8], options: SimulateOptions) -> Simulation {
        self.simulations.with(|| {
            for _ in 0..SIMULATION_ATTEMPTS {
                let latest = self.latest();
                let ledger = SimulationLedger {
                    sequence: latest.sequence,
                    close_time_s: latest.close_time_s,
                    network_id: self.keys.network_id,
                };
                let mut seed = [0; 32];
                for chunk in seed.chunks_exact_mut(8) {
                    chunk.copy_from_slice(&random_u64().to_le_bytes());
                }
                let snapshot = LedgerSnapshot {
                    visible: Arc::clone(&self.visible),
                    ledger: latest.sequence,
                };
                let run = with_deep_stack("simulation", || {
                    simulate::simulate(envelope_xdr, options, ledger, seed, snapshot)
                });
                let (events_xdr, outcome) = match run {
                    Some(Run::SnapshotGone) => continue,
                    Some(Run::Done {
                        events_xdr,
                        outcome,
                    }) => (events_xdr, outcome),
                    None => (Vec::new(), Err("the host panicked".into())),
                };
                return Simulation {
                    latest_ledger: latest.sequence,
                    events_xdr,
                    outcome,
                };
            }
            Simulation {
                latest_ledger: self.latest().sequence,
                events_xdr: Vec::new(),
                outcome: Err("ledgers close faster than the simulation runs; try again".into()),
            }
        })
    }

    pub fn fee_stats(&self) -> FeeStats {
        let visible = readable(&self.visible);
        let (soroban_inclusion_fee, inclusion_fee) = visible.history.fees();
        FeeStats {
            soroban_inclusion_fee,
            inclusion_fee,
            latest_ledger: visible.history.latest().sequence,
        }
    }

    pub fn health(&self) -> Health {
        let range = self.range();
        let now_ms = self.clock.now_ms();
        let age = Duration::from_millis(now_ms.saturating_sub(range.latest.close_time_ms));
        let latest_ledger_age_s = age.as_secs_f64();
        Health {
            range,
            retention_window: RETENTION_LEDGERS as u32,
            latest_ledger_age_s,
            healthy: latest_ledger_age_s <= MAX_HEALTHY_AGE_S,
        }
    }

    /// The sandbox clock, in milliseconds since 1970.
    pub fn now_ms(&self) -> u64 {
        self.clock.now_ms()
    }

    /// Sets the offset of the closing clock against the system's, in seconds; returns it.
    pub fn set_skew(&self, seconds: f64) -> Result<f64, NodeError> {
        self.clock.set_skew_s(seconds).ok_or_else(|| {
            NodeError::Invalid("seconds must be a number within ten years of zero".into())
        })?;
        Ok(seconds)
    }

    /// Sum of all balances and the fee pool, for checking that no lumen is made or lost: (counted, recorded).
    pub fn audit_coins(&self) -> (i64, i64) {
        let closing = locked(&self.closing);
        let fee_pool = closing.tip.header.fee_pool;
        let visible = readable(&self.visible);
        (
            visible.state.account_balances() + fee_pool,
            visible.total_coins,
        )
    }

    fn closer(&self) -> Closer<'_> {
        Closer {
            settings: &self.settings,
            node_key: &self.validator,
            native: self.native,
        }
    }
}

fn refused(code: Code, fee_stroops: i64, diagnostics: Diagnostics) -> SubmitStatus {
    SubmitStatus::Error {
        result_xdr: result::encode(code, fee_stroops),
        diagnostic_events_xdr: diagnostics.events_xdr,
    }
}
