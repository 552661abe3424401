//! The queue: one transaction per source, aged by ledgers, with bans for what left it.

use crate::ledger::settings::{Settings, LEDGER_MAX_CLASSIC_OPERATIONS};
use crate::tx::envelope::Parsed;
use crate::tx::select::Resources;
use std::cmp::Ordering;
use std::collections::{HashMap, HashSet, VecDeque};
use std::sync::Arc;

/// Ledgers that a transaction may wait before it is dropped.
pub const MAX_AGE_LEDGERS: u32 = 4;
/// Ledgers for which a hash stays banned.
pub const BAN_LEDGERS: usize = 10;
/// Hashes that one ledger may ban.
const MAX_BANS_PER_LEDGER: usize = 100_000;
/// Ledgers' worth of resources that the queue holds.
const CAPACITY_LEDGERS: i64 = 2;

#[derive(Debug)]
struct Waiting {
    tx: Arc<Parsed>,
    age_ledgers: u32,
}

/// What the queue says before anything about the transaction itself is checked.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Standing {
    Free,
    /// A Soroban transaction of the source is waiting and this one is classic, or the other way round.
    OtherKind,
    Banned,
    Duplicate,
    /// Another transaction of the source is waiting, with a later sequence.
    Older,
    /// Another transaction of the source is waiting.
    Occupied,
}

/// Why a valid transaction would not get in.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum NoRoom {
    /// The full fee in stroops that would have been enough.
    Bid(i64),
    /// The queue is smaller than the transaction.
    TooLarge,
}

/// Soroban and classic transactions compete among themselves.
#[derive(Debug, Default)]
struct Lane {
    used: Resources,
    /// The best bid that was evicted since the last ledger: stroops, for so many operations. Worse ones stay out even
    /// where they would fit.
    evicted: Option<(i64, i64)>,
}

#[derive(Debug)]
pub struct Queue {
    by_source: HashMap<[u8; 32], Waiting>,
    /// Full hashes. Front: bans of the ledger under way.
    bans: VecDeque<HashSet<[u8; 32]>>,
    soroban: Lane,
    classic: Lane,
}

impl Default for Queue {
    fn default() -> Self {
        Self {
            by_source: HashMap::new(),
            bans: std::iter::repeat_with(HashSet::new)
                .take(BAN_LEDGERS)
                .collect(),
            soroban: Lane::default(),
            classic: Lane::default(),
        }
    }
}

impl Queue {
    pub fn len(&self) -> usize {
        self.by_source.len()
    }

    pub fn is_empty(&self) -> bool {
        self.by_source.is_empty()
    }

    pub fn is_banned(&self, full_hash: &[u8; 32]) -> bool {
        self.bans.iter().any(|bans| bans.contains(full_hash))
    }

    pub fn standing(&self, tx: &Parsed) -> Standing {
        let waiting = self.by_source.get(&tx.source);
        if waiting.is_some_and(|waiting| waiting.tx.is_soroban() != tx.is_soroban()) {
            return Standing::OtherKind;
        }
        if self.is_banned(&tx.full_hash) {
            return Standing::Banned;
        }
        match waiting {
            None => Standing::Free,
            Some(waiting) if waiting.tx.full_hash == tx.full_hash => Standing::Duplicate,
            Some(waiting) if tx.sequence() < waiting.tx.sequence() => Standing::Older,
            Some(_) => Standing::Occupied,
        }
    }

    /// What would have to leave for this transaction. When its bid is not worth it, or nothing helps, it is banned.
    pub fn room_for(
        &mut self,
        tx: &Parsed,
        settings: &Settings,
    ) -> Result<Vec<Arc<Parsed>>, NoRoom> {
        let found = self.find_room(tx, settings);
        if found.is_err() {
            self.ban(tx.full_hash);
        }
        found
    }

    fn find_room(&self, tx: &Parsed, settings: &Settings) -> Result<Vec<Arc<Parsed>>, NoRoom> {
        let asked = Resources::of(tx);
        let limit = capacity(tx.is_soroban(), settings);
        let lane = self.lane(tx.is_soroban());
        if let Some(evicted) = lane.evicted {
            if !is_better(bid(tx), evicted) {
                return Err(NoRoom::Bid(better_fee(tx, evicted)));
            }
        }
        if !asked.fits(&limit) {
            return Err(NoRoom::TooLarge);
        }
        let mut left = lane.used;
        if (left + asked).fits(&limit) {
            return Ok(Vec::new());
        }
        let mut cheapest_first: Vec<&Arc<Parsed>> = self
            .by_source
            .values()
            .map(|waiting| &waiting.tx)
            .filter(|other| other.is_soroban() == tx.is_soroban())
            .collect();
        // Of equal bids the hash decides, so that the same queue always evicts the same.
        cheapest_first.sort_unstable_by(|a, b| {
            compare_bids(bid(a), bid(b)).then_with(|| a.full_hash.cmp(&b.full_hash))
        });
        let mut evicted = Vec::new();
        for other in cheapest_first {
            if (left + asked).fits(&limit) {
                break;
            }
            if !is_better(bid(tx), bid(other)) {
                return Err(NoRoom::Bid(better_fee(tx, bid(other))));
            }
            left = left - Resources::of(other);
            evicted.push(Arc::clone(other));
        }
        Ok(evicted)
    }

    /// Lets a valid transaction in, in place of those that `room_for` named; they are banned.
    pub fn insert(&mut self, tx: Arc<Parsed>, evicted: &[Arc<Parsed>]) {
        let soroban = tx.is_soroban();
        for other in evicted {
            self.lane_mut(soroban).evicted = Some(bid(other));
            self.drop_waiting(other);
        }
        let lane = self.lane_mut(soroban);
        lane.used = lane.used + Resources::of(&tx);
        self.by_source
            .insert(tx.source, Waiting { tx, age_ledgers: 0 });
    }

    /// Everything that waits, for the next set.
    pub fn candidates(&self) -> Vec<Arc<Parsed>> {
        self.by_source
            .values()
            .map(|waiting| Arc::clone(&waiting.tx))
            .collect()
    }

    /// A ledger became visible: what it applied leaves and is banned, as does what had become invalid before; the rest
    /// grows older.
    pub fn ledger_closed(&mut self, applied: &[Arc<Parsed>], invalid: &[Arc<Parsed>]) {
        for tx in invalid {
            self.drop_waiting(tx);
        }
        for tx in applied {
            // Whatever its hash, a sequence that is used up can never be applied.
            let used_up = |waiting: &Waiting| waiting.tx.sequence() <= tx.sequence();
            if self.by_source.get(&tx.source).is_some_and(used_up) {
                self.remove(&tx.source);
            }
            self.ban(tx.full_hash);
        }
        self.bans.pop_back();
        self.bans.push_front(HashSet::new());
        self.soroban.evicted = None;
        self.classic.evicted = None;
        let mut too_old = Vec::new();
        for waiting in self.by_source.values_mut() {
            waiting.age_ledgers += 1;
            if waiting.age_ledgers >= MAX_AGE_LEDGERS {
                too_old.push(Arc::clone(&waiting.tx));
            }
        }
        for tx in too_old {
            self.drop_waiting(&tx);
        }
    }

    /// Takes out this very transaction, if it is there, and bans it.
    pub fn drop_waiting(&mut self, tx: &Parsed) {
        let is_it = |waiting: &Waiting| waiting.tx.full_hash == tx.full_hash;
        if self.by_source.get(&tx.source).is_some_and(is_it) {
            self.remove(&tx.source);
        }
        self.ban(tx.full_hash);
    }

    fn ban(&mut self, full_hash: [u8; 32]) {
        if let Some(bans) = self.bans.front_mut() {
            // Beyond the bound a hash merely gets a full answer instead of a short one.
            if bans.len() < MAX_BANS_PER_LEDGER {
                bans.insert(full_hash);
            }
        }
    }

    fn remove(&mut self, source: &[u8; 32]) {
        if let Some(waiting) = self.by_source.remove(source) {
            let lane = self.lane_mut(waiting.tx.is_soroban());
            lane.used = lane.used - Resources::of(&waiting.tx);
        }
    }

    fn lane(&self, soroban: bool) -> &Lane {
        if soroban {
            &self.soroban
        } else {
            &self.classic
        }
    }

    fn lane_mut(&mut self, soroban: bool) -> &mut Lane {
        if soroban {
            &mut self.soroban
        } else {
            &mut self.classic
        }
    }
}

/// Stroops for inclusion, and the operations that they are for.
fn bid(tx: &Parsed) -> (i64, i64) {
    (tx.inclusion_fee(), tx.operation_count())
}

/// Compares bids per operation, without rounding.
fn compare_bids(a: (i64, i64), b: (i64, i64)) -> Ordering {
    let product = |fee: i64, operations: i64| i128::from(fee) * i128::from(operations);
    product(a.0, b.1).cmp(&product(b.0, a.1))
}

fn is_better(a: (i64, i64), b: (i64, i64)) -> bool {
    compare_bids(a, b) == Ordering::Greater
}

/// The lowest full fee with which the transaction bids more than that.
fn better_fee(tx: &Parsed, (fee, operations): (i64, i64)) -> i64 {
    let inclusion =
        i128::from(fee) * i128::from(tx.operation_count()) / i128::from(operations.max(1)) + 1;
    i64::try_from(inclusion)
        .unwrap_or(i64::MAX)
        .saturating_add(tx.resource_fee())
}

fn capacity(soroban: bool, settings: &Settings) -> Resources {
    if soroban {
        Resources::ledger_limit(settings) * CAPACITY_LEDGERS
    } else {
        Resources::classic_limit(LEDGER_MAX_CLASSIC_OPERATIONS) * CAPACITY_LEDGERS
    }
}
