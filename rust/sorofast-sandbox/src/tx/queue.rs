//! The queue: one transaction per source, aged by ledgers, with bans for what left it.

use crate::ledger::settings::{Settings, LEDGER_MAX_CLASSIC_OPERATIONS};
use crate::tx::envelope::Parsed;
use crate::tx::select::Resources;
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
    Banned,
    Duplicate,
    /// Another transaction of the source is waiting, with a later sequence.
    Older,
    /// Another transaction of the source is waiting.
    Occupied,
}

#[derive(Debug)]
pub struct Queue {
    by_source: HashMap<[u8; 32], Waiting>,
    /// Front: bans of the ledger under way.
    bans: VecDeque<HashSet<[u8; 32]>>,
    soroban: Resources,
    classic: Resources,
}

impl Default for Queue {
    fn default() -> Self {
        Self {
            by_source: HashMap::new(),
            bans: std::iter::repeat_with(HashSet::new)
                .take(BAN_LEDGERS)
                .collect(),
            soroban: Resources::default(),
            classic: Resources::default(),
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

    pub fn is_banned(&self, hash: &[u8; 32]) -> bool {
        self.bans.iter().any(|bans| bans.contains(hash))
    }

    pub fn standing(&self, tx: &Parsed) -> Standing {
        if self.is_banned(&tx.hash) {
            return Standing::Banned;
        }
        match self.by_source.get(&tx.source) {
            None => Standing::Free,
            Some(waiting) if waiting.tx.hash == tx.hash => Standing::Duplicate,
            Some(waiting) if tx.sequence() < waiting.tx.sequence() => Standing::Older,
            Some(_) => Standing::Occupied,
        }
    }

    /// Makes room for a valid transaction, if its bid is worth it: cheaper ones are evicted and banned. When it is not,
    /// the error is the full fee in stroops that would have been enough, and the transaction is banned.
    pub fn make_room(&mut self, tx: &Parsed, settings: &Settings) -> Result<(), i64> {
        let asked = Resources::of(tx);
        let limit = capacity(tx.is_soroban(), settings);
        let used = self.used(tx.is_soroban());
        if (used + asked).fits(&limit) {
            return Ok(());
        }
        let mut lane: Vec<Arc<Parsed>> = self
            .by_source
            .values()
            .filter(|waiting| waiting.tx.is_soroban() == tx.is_soroban())
            .map(|waiting| Arc::clone(&waiting.tx))
            .collect();
        lane.sort_by_key(|other| other.inclusion_rate());
        let mut left = used;
        let mut evicted = Vec::new();
        for other in &lane {
            if (left + asked).fits(&limit) {
                break;
            }
            if other.inclusion_rate() >= tx.inclusion_rate() {
                self.ban(tx.hash);
                let needed = (other.inclusion_rate() + 1) * tx.operation_count();
                return Err(needed.saturating_add(tx.resource_fee()));
            }
            left = left - Resources::of(other);
            evicted.push(Arc::clone(other));
        }
        for other in evicted {
            self.remove(&other.source);
            self.ban(other.hash);
        }
        Ok(())
    }

    pub fn insert(&mut self, tx: Arc<Parsed>) {
        let asked = Resources::of(&tx);
        *self.lane_mut(tx.is_soroban()) = self.used(tx.is_soroban()) + asked;
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

    /// A ledger became visible: what it applied, or found invalid, leaves and is banned; the rest grows older.
    pub fn ledger_closed<'a>(&mut self, gone: impl Iterator<Item = &'a Arc<Parsed>>) {
        for tx in gone {
            if self
                .by_source
                .get(&tx.source)
                .is_some_and(|waiting| waiting.tx.hash == tx.hash)
            {
                self.remove(&tx.source);
            }
            self.ban(tx.hash);
        }
        let mut too_old = Vec::new();
        for waiting in self.by_source.values_mut() {
            waiting.age_ledgers += 1;
            if waiting.age_ledgers >= MAX_AGE_LEDGERS {
                too_old.push((waiting.tx.source, waiting.tx.hash));
            }
        }
        for (source, hash) in too_old {
            self.remove(&source);
            self.ban(hash);
        }
        self.bans.pop_back();
        self.bans.push_front(HashSet::new());
    }

    fn ban(&mut self, hash: [u8; 32]) {
        if let Some(bans) = self.bans.front_mut() {
            // Beyond the bound a hash merely gets a full answer instead of a short one.
            if bans.len() < MAX_BANS_PER_LEDGER {
                bans.insert(hash);
            }
        }
    }

    fn remove(&mut self, source: &[u8; 32]) {
        if let Some(waiting) = self.by_source.remove(source) {
            let freed = Resources::of(&waiting.tx);
            let soroban = waiting.tx.is_soroban();
            *self.lane_mut(soroban) = self.used(soroban) - freed;
        }
    }

    fn used(&self, soroban: bool) -> Resources {
        if soroban {
            self.soroban
        } else {
            self.classic
        }
    }

    fn lane_mut(&mut self, soroban: bool) -> &mut Resources {
        if soroban {
            &mut self.soroban
        } else {
            &mut self.classic
        }
    }
}

fn capacity(soroban: bool, settings: &Settings) -> Resources {
    if soroban {
        Resources::ledger_limit(settings) * CAPACITY_LEDGERS
    } else {
        Resources::classic_limit(LEDGER_MAX_CLASSIC_OPERATIONS) * CAPACITY_LEDGERS
    }
}
