//! Ledger entries in memory, as XDR bytes, with what the last few ledgers changed.
//!
//! Only the closing of a ledger writes here, all at once. A simulation may outlast that, so each publication keeps the
//! values that it replaced: a reader who started some ledgers ago still finds its own ledger.

use crate::ledger::coins;
use crate::ledger::eviction::{Census, Index, Scan, ScanLimits};
use std::collections::{HashMap, VecDeque};
use std::sync::Arc;

/// XDR of a `LedgerKey`.
pub type Key = Arc<[u8]>;

/// How many ledgers back a reader may look, unless more are asked for.
pub const UNDO_LEDGERS: usize = 16;
/// What may be kept beyond that: quiet ledgers come by the thousand while a reader is still at its first one.
pub const UNDO_BYTES: usize = 8 * 1024 * 1024;

/// Lifetime of a contract entry.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Lifetime {
    pub live_until: u32,
    /// Size that rent is charged for: the entry's XDR, for code also the memory of its module.
    pub rent_size_bytes: u32,
    /// The ledger that last changed `live_until`.
    pub modified: u32,
}

impl Lifetime {
    /// What the network moves to its hot archive keeps its place here, with an end of life that no live entry has.
    pub fn is_evicted(&self) -> bool {
        self.live_until == 0
    }
}

/// One entry.
#[derive(Clone, Debug)]
pub struct Stored {
    /// XDR of the `LedgerEntry`, always with an empty extension.
    pub xdr: Arc<[u8]>,
    /// None for entries that live forever.
    pub lifetime: Option<Lifetime>,
}

impl Stored {
    pub fn classic(xdr: Vec<u8>) -> Self {
        Self {
            xdr: xdr.into(),
            lifetime: None,
        }
    }

    /// An account's balance in stroops, which follows its id; zero for any other entry.
    pub fn balance(&self) -> i64 {
        match (self.xdr.get(4..8), self.xdr.get(44..52)) {
            (Some([0, 0, 0, 0]), Some(balance)) => balance.try_into().map_or(0, i64::from_be_bytes),
            _ => 0,
        }
    }

    pub fn last_modified(&self) -> u32 {
        u32::from_be_bytes([self.xdr[0], self.xdr[1], self.xdr[2], self.xdr[3]])
    }
}

/// Where entries are read from: the visible ledger or a layer of changes above it.
pub trait Entries {
    fn get(&self, key: &[u8]) -> Option<Stored>;
}

/// The ledger that the next one is built on.
pub trait Ground: Entries {
    fn census(&self) -> Census;

    /// What the next ledger's scan meets, but for what that ledger itself changed.
    fn scan(&self, offset: u64, limits: ScanLimits, is_changed: &dyn Fn(&[u8]) -> bool) -> Scan;
}

/// Changes by key; None deletes.
pub type Changes = HashMap<Key, Option<Stored>>;

/// Changes on top of something that can be read.
pub struct Layer<'a> {
    below: &'a dyn Entries,
    pub changes: Changes,
}

impl std::fmt::Debug for Layer<'_> {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Layer")
            .field("changes", &self.changes.len())
            .finish_non_exhaustive()
    }
}

impl<'a> Layer<'a> {
    pub fn new(below: &'a dyn Entries) -> Self {
        Self {
            below,
            changes: HashMap::new(),
        }
    }

    pub fn put(&mut self, key: Key, entry: Stored) {
        self.changes.insert(key, Some(entry));
    }

    pub fn delete(&mut self, key: Key) {
        self.changes.insert(key, None);
    }

    /// Takes over the changes of a layer that was built on this one.
    pub fn absorb(&mut self, changes: Changes) {
        self.changes.extend(changes);
    }
}

impl Entries for Layer<'_> {
    fn get(&self, key: &[u8]) -> Option<Stored> {
        match self.changes.get(key) {
            Some(change) => change.clone(),
            None => self.below.get(key),
        }
    }
}

/// What a ledger replaced.
#[derive(Debug)]
struct Undo {
    ledger: u32,
    before: Changes,
}

impl Undo {
    /// Roughly what it takes.
    fn bytes(&self) -> usize {
        let replaced = self.before.values().flatten();
        128 + 192 * self.before.len() + replaced.map(|entry| entry.xdr.len()).sum::<usize>()
    }
}

/// The visible state.
#[derive(Debug)]
pub struct State {
    entries: HashMap<Key, Stored>,
    index: Index,
    undo: VecDeque<Undo>,
    undo_ledgers: usize,
    undo_bytes: usize,
}

impl Default for State {
    fn default() -> Self {
        Self {
            entries: HashMap::new(),
            index: Index::default(),
            undo: VecDeque::new(),
            undo_ledgers: UNDO_LEDGERS,
            undo_bytes: 0,
        }
    }
}

/// The ledger that a reader started from is no longer kept.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct SnapshotGone;

impl State {
    pub fn get(&self, key: &[u8]) -> Option<&Stored> {
        self.entries.get(key)
    }

    pub fn len(&self) -> usize {
        self.entries.len()
    }

    pub fn is_empty(&self) -> bool {
        self.entries.is_empty()
    }

    /// The entry as it was when `ledger` was the latest.
    pub fn get_at(&self, key: &[u8], ledger: u32) -> Result<Option<Stored>, SnapshotGone> {
        let later = self.undo.partition_point(|undo| undo.ledger <= ledger);
        if later == 0 && ledger < self.oldest_readable() {
            return Err(SnapshotGone);
        }
        for undo in self.undo.iter().skip(later) {
            if let Some(before) = undo.before.get(key) {
                return Ok(before.clone());
            }
        }
        Ok(self.entries.get(key).cloned())
    }

    /// The oldest ledger whose entries can be told.
    pub fn oldest_readable(&self) -> u32 {
        // The step from a ledger to the next one is kept with the latter.
        self.undo
            .front()
            .map_or(0, |undo| undo.ledger.saturating_sub(1))
    }

    /// Lets readers look so many ledgers further back than they need to finish, from now on.
    pub fn keep(&mut self, further_ledgers: usize) {
        self.undo_ledgers = UNDO_LEDGERS + further_ledgers;
    }

    /// Makes the changes of a ledger visible.
    pub fn publish(&mut self, ledger: u32, changes: Changes) {
        let mut before = Changes::with_capacity(changes.len());
        for (key, change) in changes {
            let replaced = self.replace(Key::clone(&key), change);
            before.insert(key, replaced);
        }
        self.index.prepare(ledger + 1, &self.entries);
        let undo = Undo { ledger, before };
        self.undo_bytes += undo.bytes();
        self.undo.push_back(undo);
        while self.undo.len() > self.undo_ledgers && self.undo_bytes > UNDO_BYTES {
            if let Some(oldest) = self.undo.pop_front() {
                self.undo_bytes -= oldest.bytes();
            }
        }
    }

    /// Lumens behind a key; `native` is the id of the native asset's contract.
    pub fn coins_of(&self, key: &[u8], native: &[u8; 32]) -> i64 {
        self.get(key).map_or(0, |entry| coins::held(entry, native))
    }

    /// All lumens but those of the fee pool. Walks the whole state.
    pub fn coins(&self, native: &[u8; 32]) -> i128 {
        let held = |entry| i128::from(coins::held(entry, native));
        self.entries.values().map(held).sum()
    }

    /// What there was when `ledger` was the latest, and nothing of what was before.
    pub fn restored(ledger: u32, entries: Vec<(Key, Stored)>) -> Self {
        let mut state = Self::default();
        state.reserve(entries.len());
        for (key, entry) in entries {
            state.put(key, entry);
        }
        state.index.prepare(ledger + 1, &state.entries);
        // A step that changed nothing: it says that no older ledger can be told.
        state.undo.push_back(Undo {
            ledger: ledger + 1,
            before: Changes::new(),
        });
        state
    }

    pub fn iter(&self) -> impl Iterator<Item = (&Key, &Stored)> {
        self.entries.iter()
    }

    /// Makes room for so many entries at once.
    pub fn reserve(&mut self, entries: usize) {
        self.entries.reserve(entries);
        self.index.reserve(entries);
    }

    /// Puts an entry into the latest ledger itself; returns what it replaced.
    pub fn put(&mut self, key: Key, entry: Stored) -> Option<Stored> {
        self.replace(key, Some(entry))
    }

    fn replace(&mut self, key: Key, change: Option<Stored>) -> Option<Stored> {
        let before = self.entries.get(&key);
        self.index.changed(&key, before, change.as_ref());
        match change {
            Some(entry) => self.entries.insert(key, entry),
            None => self.entries.remove(&key),
        }
    }

    pub fn census(&self) -> Census {
        self.index.census
    }

    /// Gathers what may leave in a ledger that is not simply the next one.
    pub fn prepare_eviction(&mut self, ledger: u32) {
        self.index.prepare(ledger, &self.entries);
    }

    #[cfg(test)]
    pub(crate) fn index_records(&self) -> usize {
        self.index.records()
    }

    /// The first ledger after the latest one in which anything may leave the live state.
    pub fn next_eviction(&self) -> Option<u32> {
        self.index.next()
    }
}

impl Entries for State {
    fn get(&self, key: &[u8]) -> Option<Stored> {
        State::get(self, key).cloned()
    }
}

impl Ground for State {
    fn census(&self) -> Census {
        State::census(self)
    }

    fn scan(&self, offset: u64, limits: ScanLimits, is_changed: &dyn Fn(&[u8]) -> bool) -> Scan {
        self.index.scan(offset, limits, is_changed)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn key(n: u8) -> Key {
        vec![n].into()
    }

    fn entry(n: u8) -> Stored {
        Stored::classic(vec![0, 0, 0, n, n])
    }

    fn value(found: Option<Stored>) -> Option<u8> {
        found.map(|stored| stored.xdr[4])
    }

    #[test]
    fn a_reader_keeps_its_ledger() {
        let mut state = State::default();
        state.publish(1, Changes::from([(key(1), Some(entry(10)))]));
        state.publish(
            2,
            Changes::from([(key(1), Some(entry(11))), (key(2), Some(entry(20)))]),
        );
        state.publish(3, Changes::from([(key(1), None)]));
        assert_eq!(value(state.get_at(&[1], 1).expect("kept")), Some(10));
        assert_eq!(value(state.get_at(&[2], 1).expect("kept")), None);
        assert_eq!(value(state.get_at(&[1], 2).expect("kept")), Some(11));
        assert_eq!(value(state.get_at(&[1], 3).expect("kept")), None);
        assert_eq!(value(state.get_at(&[2], 3).expect("kept")), Some(20));
    }

    #[test]
    fn a_reader_too_far_behind_is_told_so() {
        let mut state = State::default();
        for ledger in 1..=40 {
            let mut large = vec![0; UNDO_BYTES];
            large[4] = ledger as u8;
            let large = Stored::classic(large);
            state.publish(ledger, Changes::from([(key(1), Some(large))]));
        }
        assert_eq!(state.get_at(&[1], 10).err(), Some(SnapshotGone));
        let oldest_readable = 40 - UNDO_LEDGERS as u32;
        assert_eq!(state.oldest_readable(), oldest_readable);
        assert_eq!(
            value(state.get_at(&[1], oldest_readable).expect("kept")),
            Some(oldest_readable as u8)
        );
    }

    #[test]
    fn small_ledgers_leave_a_reader_more_of_them() {
        let mut state = State::default();
        let last = 100_000;
        for ledger in 1..=last {
            state.publish(ledger, Changes::from([(key(1), Some(entry(ledger as u8)))]));
        }
        let ledger = last - 1_000;
        assert_eq!(
            value(state.get_at(&[1], ledger).expect("kept")),
            Some(ledger as u8)
        );
        assert!(state.oldest_readable() > last / 2, "there is a bound");
    }

    #[test]
    fn layers_hide_what_lies_below() {
        let mut state = State::default();
        state.publish(1, Changes::from([(key(1), Some(entry(1)))]));
        let mut lower = Layer::new(&state);
        lower.put(key(2), entry(2));
        let mut upper = Layer::new(&lower);
        upper.delete(key(1));
        assert!(upper.get(&[1]).is_none());
        assert_eq!(value(upper.get(&[2])), Some(2));
        let changes = upper.changes;
        lower.absorb(changes);
        assert!(lower.get(&[1]).is_none());
    }
}
