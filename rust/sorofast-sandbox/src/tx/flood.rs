//! How transactions spread: a node tells its peers of what waits in slices, best bids first, and only what has arrived
//! there can be in the next set.

use crate::tx::bid::Bid;
use crate::tx::envelope::Parsed;
use crate::tx::select::Resources;
use std::cmp::Reverse;
use std::collections::{BTreeMap, HashMap};

/// From one slice to the next.
pub const PERIOD_MS: u64 = 200;

/// How fast a network spreads what it is sent.
#[derive(Clone, Copy, Debug)]
pub struct Pace {
    /// From a slice being sent to its arrival.
    pub delay_ms: u64,
    /// In the time of one ledger, as much is sent as fits into it.
    pub ledger_ms: u64,
}

/// Transactions of one kind on their way.
#[derive(Debug, Default)]
pub struct Flood {
    next_slice_ms: Option<u64>,
    /// What earlier slices left over.
    left: Resources,
    /// Not sent yet, best bid first.
    unsent: BTreeMap<(Reverse<Bid>, [u8; 32]), Resources>,
    /// By full hash: when what was sent arrives.
    arrives_ms: HashMap<[u8; 32], u64>,
}

impl Flood {
    pub fn add(&mut self, tx: &Parsed, now_ms: u64) {
        self.unsent.insert(key(tx), Resources::of(tx));
        // A slice that is due anyway takes it along.
        self.next_slice_ms.get_or_insert(now_ms + PERIOD_MS);
    }

    pub fn remove(&mut self, tx: &Parsed) {
        self.unsent.remove(&key(tx));
        self.arrives_ms.remove(&tx.full_hash);
    }

    pub fn has_arrived(&self, tx: &Parsed, now_ms: u64) -> bool {
        let arrival = self.arrives_ms.get(&tx.full_hash);
        arrival.is_some_and(|arrives_ms| *arrives_ms <= now_ms)
    }

    /// Sends every slice that is due by now. `ledger` is what a ledger holds, `largest` what one transaction may take.
    pub fn send(&mut self, now_ms: u64, pace: Pace, ledger: Resources, largest: Resources) {
        while let Some(slice_ms) = self.next_slice_ms.filter(|slice_ms| *slice_ms <= now_ms) {
            self.left = self.left + ledger.share(PERIOD_MS, pace.ledger_ms);
            while let Some(entry) = self.unsent.first_entry() {
                // Nobody overtakes: what does not fit waits for the slices to come, and so does all that bids less.
                if !entry.get().fits(&self.left) {
                    break;
                }
                let ((_, full_hash), resources) = entry.remove_entry();
                self.left = self.left - resources;
                self.arrives_ms.insert(full_hash, slice_ms + pace.delay_ms);
            }
            self.left = self.left.at_most(largest);
            self.next_slice_ms = (!self.unsent.is_empty()).then_some(slice_ms + PERIOD_MS);
        }
    }
}

fn key(tx: &Parsed) -> (Reverse<Bid>, [u8; 32]) {
    (Reverse(Bid::of(tx)), tx.full_hash)
}
