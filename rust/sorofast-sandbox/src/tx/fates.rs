//! What became of transactions that were accepted and then left without being applied.

use std::collections::{HashMap, VecDeque};

/// How many are remembered; the oldest go first.
const REMEMBERED: usize = 200_000;

/// Why a transaction left the queue.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Reason {
    /// It waited for as many ledgers as the network lets it.
    Age,
    /// Better bids needed its place.
    Outbid,
    /// A fee-bump of the same sequence took its place.
    Replaced,
    /// Another transaction of its source used its sequence up.
    Overtaken,
    /// It could not be applied any more; the code says why.
    Invalid(&'static str),
}

impl std::fmt::Display for Reason {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            Self::Age => f.write_str("it waited for four ledgers"),
            Self::Outbid => f.write_str("better bids took its place in a full queue"),
            Self::Replaced => f.write_str("a fee-bump of the same sequence replaced it"),
            Self::Overtaken => {
                f.write_str("its source's sequence was used up by another transaction")
            }
            Self::Invalid(code) => write!(f, "it was no longer valid: {code}"),
        }
    }
}

/// Where a transaction is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Fate {
    Pending,
    /// In that ledger, successfully or not.
    Applied(u32),
    Dropped(Reason),
    /// It never was accepted, or so long ago that nobody remembers.
    Unknown,
}

/// Dropped transactions by hash.
#[derive(Debug, Default)]
pub struct Fates {
    reasons: HashMap<[u8; 32], Reason>,
    order: VecDeque<[u8; 32]>,
}

impl Fates {
    pub fn dropped(&mut self, hash: [u8; 32], reason: Reason) {
        if self.reasons.insert(hash, reason).is_some() {
            return;
        }
        self.order.push_back(hash);
        if self.order.len() > REMEMBERED {
            if let Some(oldest) = self.order.pop_front() {
                self.reasons.remove(&oldest);
            }
        }
    }

    pub fn of(&self, hash: &[u8; 32]) -> Option<Reason> {
        self.reasons.get(hash).copied()
    }
}
