//! What leaves the live state, and when: expired temporary entries die, expired persistent ones become archive.
//!
//! The network finds them by scanning the deep levels of its bucket list, so many bytes per ledger. There is no bucket
//! list here; what it does to an entry's fate is kept all the same: an entry leaves once it has expired *and* has sunk
//! to the level where the scan starts, and the scan takes its time when the state is large. An index of what is due
//! spares every close the walk through the state.

use crate::crypto::sha256;
use crate::ledger::state::{Key, Stored};
use std::cmp::Reverse;
use std::collections::{BTreeSet, BinaryHeap, HashMap};

/// The level of the bucket list where the scan starts, on every network.
pub const SCAN_LEVEL: u32 = 7;

/// Ledgers from one spill into that level to the next.
const SPILL_LEDGERS: u32 = 1 << (2 * SCAN_LEVEL - 1);
/// Ledgers whose changes lie above that level right after a spill: half a level each in the older buckets, a quarter of
/// that in the newer ones.
const HELD_LEDGERS: u32 = {
    let mut held = 1;
    let mut level = 0;
    while level < SCAN_LEVEL {
        held += 1 << (2 * level + 1);
        if level > 0 {
            held += 1 << (2 * level - 1);
        }
        level += 1;
    }
    held
};

/// A bucket holds a size before every record, and a contract entry's lifetime as a record of its own.
const RECORD_MARK_BYTES: u64 = 4;
const LIFETIME_RECORD_BYTES: u64 = 48 + RECORD_MARK_BYTES;

/// Records of the index that may be out of date, beside as many as there are entries.
const SPARE_RECORDS: usize = 1_024;
/// Records that one ledger looks at; what is left over is a ledger late, but no reader waits for a million of them.
const RECORDS_PER_LEDGER: usize = 16_384;

/// How far one ledger's scan goes.
#[derive(Clone, Copy, Debug)]
pub struct ScanLimits {
    pub bytes: u32,
    pub entries: u32,
}

/// Where a scan ended and what it found, in the order in which it did.
#[derive(Debug, Default, PartialEq, Eq)]
pub struct Scan {
    pub found: Vec<Key>,
    /// Where the next one starts, in bytes from where a turn begins.
    pub offset: u64,
}

/// Sizes of the state.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Census {
    /// Live contract entries by the sizes that rent is charged for, expired ones included until they leave.
    pub live_bytes: u64,
    pub contract_entries: usize,
    pub archived_entries: usize,
    /// One turn of the scan.
    turn_bytes: u64,
}

/// When an entry may leave at the earliest; `at` is never later than that. Among equals the keys decide, so that the
/// same inputs always come to the same order.
#[derive(Debug, PartialEq, Eq, PartialOrd, Ord)]
struct Due {
    at: u32,
    key: Key,
}

/// The index. Every live contract entry has a record that comes up no later than the entry may leave; a record that
/// comes up too early is put back.
#[derive(Debug, Default)]
pub struct Index {
    pub census: Census,
    due: BinaryHeap<Reverse<Due>>,
    /// What may leave by the next scan that passes, by its place in the turn.
    waiting: BTreeSet<(u64, Key)>,
    /// The ledger that `waiting` is complete for.
    ready_for: u32,
}

/// The first ledger in which the entry may leave, if it ever does.
fn leaves_at(entry: &Stored) -> Option<u32> {
    let lifetime = entry.lifetime.filter(|lifetime| !lifetime.is_evicted())?;
    Some(sinks_at(entry.last_modified()).max(lifetime.live_until.saturating_add(1)))
}

/// The first ledger whose scan meets what was last modified in the given one.
fn sinks_at(modified: u32) -> u32 {
    let spill = modified
        .saturating_add(HELD_LEDGERS)
        .checked_next_multiple_of(SPILL_LEDGERS)
        .unwrap_or(u32::MAX);
    // The level is empty until the one above it has spilled twice.
    spill.max(2 * SPILL_LEDGERS).saturating_add(1)
}

/// Where in its turn the scan meets a key. The network goes by buckets and keys; here the order is that of the hashes,
/// so that a share of the bytes is the same share of the entries.
fn place(key: &[u8]) -> u64 {
    let hash = sha256(key);
    u64::from_be_bytes([
        hash[0], hash[1], hash[2], hash[3], hash[4], hash[5], hash[6], hash[7],
    ])
}

impl Census {
    fn add(&mut self, entry: &Stored) {
        let size = Self::of(entry);
        self.live_bytes += size.live_bytes;
        self.contract_entries += size.contract_entries;
        self.archived_entries += size.archived_entries;
        self.turn_bytes += size.turn_bytes;
    }

    fn subtract(&mut self, entry: &Stored) {
        let size = Self::of(entry);
        self.live_bytes -= size.live_bytes;
        self.contract_entries -= size.contract_entries;
        self.archived_entries -= size.archived_entries;
        self.turn_bytes -= size.turn_bytes;
    }

    /// The share of one entry.
    fn of(entry: &Stored) -> Self {
        let record_bytes = RECORD_MARK_BYTES + entry.xdr.len() as u64;
        match entry.lifetime {
            None => Self {
                turn_bytes: record_bytes,
                ..Self::default()
            },
            Some(lifetime) if lifetime.is_evicted() => Self {
                archived_entries: 1,
                ..Self::default()
            },
            Some(lifetime) => Self {
                live_bytes: u64::from(lifetime.rent_size_bytes),
                contract_entries: 1,
                turn_bytes: record_bytes + LIFETIME_RECORD_BYTES,
                ..Self::default()
            },
        }
    }
}

impl Index {
    /// Takes note of an entry that was put, changed or deleted.
    pub fn changed(&mut self, key: &Key, before: Option<&Stored>, after: Option<&Stored>) {
        if let Some(before) = before {
            self.census.subtract(before);
        }
        if let Some(after) = after {
            self.census.add(after);
        }
        let mut recorded = before.and_then(leaves_at);
        if recorded.is_some_and(|at| at <= self.ready_for) {
            self.waiting.remove(&(place(key), Key::clone(key)));
            recorded = None;
        }
        let Some(at) = after.and_then(leaves_at) else {
            return;
        };
        if recorded.is_none_or(|recorded| at < recorded) {
            let key = Key::clone(key);
            self.due.push(Reverse(Due { at, key }));
        }
    }

    /// Makes room for so many more entries.
    pub fn reserve(&mut self, entries: usize) {
        self.due.reserve(entries);
    }

    #[cfg(test)]
    pub(crate) fn records(&self) -> usize {
        self.due.len()
    }

    /// The first ledger in which anything may leave; none if nothing ever will.
    pub fn next(&self) -> Option<u32> {
        if self.waiting.is_empty() {
            self.due.peek().map(|Reverse(due)| due.at)
        } else {
            Some(self.ready_for)
        }
    }

    /// Gathers what may leave in that ledger.
    pub fn prepare(&mut self, ledger: u32, entries: &HashMap<Key, Stored>) {
        self.ready_for = ledger;
        for _ in 0..RECORDS_PER_LEDGER {
            if self.due.peek().is_none_or(|Reverse(due)| due.at > ledger) {
                break;
            }
            let Some(Reverse(Due { key, .. })) = self.due.pop() else {
                break;
            };
            match entries.get(&key).and_then(leaves_at) {
                None => {}
                Some(at) if at <= ledger => {
                    self.waiting.insert((place(&key), key));
                }
                Some(at) => self.due.push(Reverse(Due { at, key })),
            }
        }
        // Records outlive entries that are deleted and made anew; they are not to pile up.
        if self.due.len() > 2 * self.census.contract_entries + SPARE_RECORDS {
            self.due = entries
                .iter()
                .filter_map(|(key, entry)| {
                    let at = leaves_at(entry)?;
                    let key = Key::clone(key);
                    Some(Reverse(Due { at, key }))
                })
                .collect();
        }
    }

    /// What the scan of the prepared ledger meets, from where the last one ended. Entries that the ledger itself
    /// changed are passed over.
    pub fn scan(
        &self,
        offset: u64,
        limits: ScanLimits,
        is_changed: &dyn Fn(&[u8]) -> bool,
    ) -> Scan {
        let turn = self.census.turn_bytes;
        let bytes = u64::from(limits.bytes);
        let whole = bytes >= turn;
        let start = if whole { 0 } else { offset % turn };
        let end = start + bytes;
        // Hashes stand for bytes in the same proportion.
        let hash_at = |byte: u64| {
            let hash = (u128::from(byte) << 64) / u128::from(turn.max(1));
            u64::try_from(hash).unwrap_or(u64::MAX)
        };
        let mut scan = Scan {
            found: Vec::new(),
            offset: if whole { 0 } else { end % turn },
        };
        if self.waiting.is_empty() {
            return scan;
        }
        let (first, second) = if whole {
            ((0, u64::MAX), None)
        } else if end > turn {
            ((hash_at(start), u64::MAX), Some((0, hash_at(end - turn))))
        } else {
            ((hash_at(start), hash_at(end)), None)
        };
        for (from, to) in std::iter::once(first).chain(second) {
            let region = self.waiting.range((from, Key::from([]))..);
            for (place, key) in region.take_while(|(place, _)| *place < to || whole) {
                if is_changed(key) {
                    continue;
                }
                if scan.found.len() == limits.entries as usize {
                    // The next scan goes on behind the last one that could leave.
                    let reached = (u128::from(*place) * u128::from(turn)) >> 64;
                    scan.offset = u64::try_from(reached).unwrap_or(0);
                    return scan;
                }
                scan.found.push(Key::clone(key));
            }
        }
        scan
    }
}

#[cfg(test)]
mod tests;
