//! The node: one ledger in memory behind a thread-safe handle.

pub use crate::config::{NodeConfig, PROTOCOL_VERSION};
pub use crate::types::*;

use crate::clock::SandboxClock;
use crate::config::ClockMode;
use crate::faults::LedgerMove;
use crate::host::modules::Modules;
use crate::host::workers::Workers;
use crate::ledger::close::{Applied, Closer, Tip};
use crate::ledger::events::native_contract;
use crate::ledger::eviction::{Census, Scan, ScanLimits};
use crate::ledger::genesis::Keys;
use crate::ledger::header::NodeKey;
use crate::ledger::history::History;
use crate::ledger::settings::Settings;
use crate::ledger::state::{Entries, Ground, State, Stored};
use crate::random::Randomness;
use crate::tx::flood::Pace;
use crate::tx::outline;
use crate::tx::queue::Queue;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError, RwLock, RwLockReadGuard};
use std::time::Instant;
use tokio::sync::{watch, Notify};

mod accounts;
mod admission;
mod advancing;
mod chain;
mod closing;
mod disturbed;
mod lagging;
mod lens;
mod origin;
mod paging;
mod saving;
mod seeding;
mod simulating;
mod view;

pub use accounts::AccountView;
pub use advancing::{Advance, LAST_LEDGER, MAX_ADVANCE_LEDGERS};
use chain::Chain;
pub use disturbed::Agent;
pub use lens::Lens;
use origin::Fixed;
pub use origin::Origin;
pub use paging::{LedgerWithMeta, LedgersPage, Place, TransactionsPage};
pub use view::View;

/// Beyond this age of the latest ledger a node calls itself unhealthy.
const MAX_HEALTHY_AGE_S: f64 = 30.0;

/// A running ledger. Every method may be called from any thread.
pub struct Node {
    config: NodeConfig,
    settings: Settings,
    keys: Keys,
    validator: NodeKey,
    native: [u8; 32],
    clock: SandboxClock,
    random: Randomness,
    visible: Arc<RwLock<Visible>>,
    /// Taken before `visible` where both are needed, so that a submission sees queue and ledger of the same moment.
    queue: Mutex<Queue>,
    closing: Mutex<Closing>,
    latest: watch::Sender<u32>,
    /// How many chains were put in the place of another.
    chains: watch::Sender<u64>,
    /// The newest ledger whose set is fixed.
    frozen: watch::Sender<u32>,
    /// When it was fixed; written only under the lock on `closing`, readable without.
    frozen_at: watch::Sender<Instant>,
    /// Wakes the closing loop after an advance.
    rescheduled: Notify,
    disturbed: disturbed::Disturbed,
    simulations: Workers,
}

/// What readers see: always a whole ledger.
struct Visible {
    state: State,
    history: History,
    /// Lumens there are, in stroops; raw entries may add to them.
    total_coins: i64,
    /// How far the sandbox clock was ahead of the system's when the latest set froze.
    clock_offset_ms: i64,
    /// Raised whenever entries changed otherwise than by the next ledger: numbers of ledgers then mean another thing.
    era: u64,
    origin: Arc<Origin>,
}

/// What only the closing of ledgers touches.
struct Closing {
    tip: Tip,
    modules: Modules,
    /// Applied, not yet visible.
    ready: Option<Applied>,
    clock_offset_ms: i64,
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

impl Ground for VisibleEntries<'_> {
    fn census(&self) -> Census {
        readable(self.0).state.census()
    }

    fn scan(&self, offset: u64, limits: ScanLimits, is_changed: &dyn Fn(&[u8]) -> bool) -> Scan {
        readable(self.0).state.scan(offset, limits, is_changed)
    }
}

/// How a submission spreads, if that takes any time at all.
fn pace(config: &NodeConfig, settings: &Settings) -> Option<Pace> {
    (!config.flood_delay.is_zero()).then(|| Pace {
        delay_ms: u64::try_from(config.flood_delay.as_millis()).unwrap_or(u64::MAX),
        ledger_ms: u64::from(settings.target_close_ms),
    })
}

impl Node {
    /// Builds genesis; nothing closes until `run` or `advance`.
    pub fn new(mut config: NodeConfig) -> Result<Arc<Self>, NodeError> {
        config.validate()?;
        let internal = |what: &str| NodeError::Internal(what.into());
        let keys = Keys::of(&config.network_passphrase)
            .ok_or_else(|| internal("the keys of the network cannot be derived"))?;
        let node_key = NodeKey::new(keys.node_seed, keys.network_id)
            .ok_or_else(|| internal("the key of the node cannot be derived"))?;
        let settings = Settings::of(&config);
        let modules = Modules::new(&settings)
            .map_err(|error| NodeError::Internal(format!("no module cache: {error:?}")))?;
        let clock = SandboxClock::new(config.clock, config.start_time_s);
        if config.clock == ClockMode::Manual && config.start_time_s.is_none() {
            // A reset shall lead back to this very moment.
            config.start_time_s = Some(clock.now_ms() / 1000);
        }
        let beginning = Fixed {
            config: &config,
            settings: &settings,
            keys: &keys,
            validator: &node_key,
        }
        .beginning()?;
        clock.restart(beginning.clock_ms);
        let random = Randomness::new(beginning.seed);
        random.restore(beginning.seed, &beginning.drawn);
        let Chain {
            state,
            history,
            tip,
        } = beginning.chain;
        let latest = tip.header.ledger_seq;
        Ok(Arc::new(Self {
            native: native_contract(&keys.network_id),
            visible: Arc::new(RwLock::new(Visible {
                state,
                history,
                total_coins: tip.header.total_coins,
                clock_offset_ms: 0,
                era: 0,
                origin: Arc::new(beginning.origin),
            })),
            queue: Mutex::new(Queue::new(pace(&config, &settings))),
            closing: Mutex::new(Closing {
                tip,
                modules,
                ready: None,
                clock_offset_ms: 0,
            }),
            latest: watch::Sender::new(latest),
            chains: watch::Sender::new(0),
            frozen: watch::Sender::new(latest),
            frozen_at: watch::Sender::new(Instant::now()),
            rescheduled: Notify::new(),
            disturbed: disturbed::Disturbed::default(),
            simulations: simulating::workers().map_err(|error| {
                NodeError::Internal(format!("no threads to simulate on: {error}"))
            })?,
            random,
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

    /// Where every random number comes from that anybody could see the effect of.
    pub fn random(&self) -> &Randomness {
        &self.random
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

    /// Raised when the node starts over or loads a state: whatever one waits for may then never come.
    pub fn chains(&self) -> watch::Receiver<u64> {
        self.chains.subscribe()
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

    /// How many transactions wait for a ledger.
    pub fn pending(&self) -> usize {
        locked(&self.queue).len()
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

    /// How many entries there are, of every kind, archived ones included.
    pub fn entry_count(&self) -> usize {
        readable(&self.visible).state.len()
    }

    /// Sizes of the latest ledger's contract state.
    pub fn census(&self) -> Census {
        readable(&self.visible).state.census()
    }

    fn closer(&self, decided: &LedgerMove) -> Closer<'_> {
        Closer {
            settings: &self.settings,
            node_key: &self.validator,
            native: self.native,
            random: &self.random,
            ledgers: 1,
            drops_set: decided.empty,
            old_header: decided.old_header,
        }
    }
}
