//! How much waits, who bids least, and who has to go for a better bid.

use crate::tx::bid::Bid;
use crate::tx::envelope::Parsed;
use crate::tx::select::Resources;
use std::collections::BTreeMap;
use std::sync::Arc;

/// Why a valid transaction would not get in.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum NoRoom {
    /// The full fee in stroops that would have been enough.
    Bid(i64),
    /// No bid helps: the queue is smaller than the transaction.
    TooLarge,
}

/// Soroban and classic transactions compete among themselves, each kind in a limiter of its own.
#[derive(Debug, Default)]
pub struct Limiter {
    used: Resources,
    /// Lowest bid first; of equal ones the hash decides, so that the same queue always evicts the same.
    by_bid: BTreeMap<(Bid, [u8; 32]), Arc<Parsed>>,
    /// The best bid that was evicted since the last ledger. Worse ones stay out even where they would fit.
    evicted: Option<Bid>,
}

impl Limiter {
    pub fn used(&self) -> Resources {
        self.used
    }

    pub fn add(&mut self, tx: Arc<Parsed>) {
        self.used = self.used + Resources::of(&tx);
        self.by_bid.insert(key(&tx), tx);
    }

    pub fn remove(&mut self, tx: &Parsed) {
        if self.by_bid.remove(&key(tx)).is_some() {
            self.used = self.used - Resources::of(tx);
        }
    }

    pub fn forget_evictions(&mut self) {
        self.evicted = None;
    }

    /// Notes that this one was driven out, so that nobody gets in for less.
    pub fn note_eviction(&mut self, tx: &Parsed) {
        self.evicted = Some(Bid::of(tx));
    }

    pub fn has_room_for(&self, tx: &Parsed, limit: &Resources) -> bool {
        (self.used + Resources::of(tx)).fits(limit)
    }

    /// What would have to leave for this transaction, cheapest first, where it takes the place of `replaced`.
    pub fn room_for(
        &self,
        tx: &Parsed,
        replaced: Option<&Parsed>,
        limit: &Resources,
    ) -> Result<Vec<Arc<Parsed>>, NoRoom> {
        let bid = Bid::of(tx);
        if let Some(evicted) = self.evicted.filter(|evicted| *evicted >= bid) {
            return Err(NoRoom::Bid(evicted.outbid_by(tx)));
        }
        let mut asked = Resources::of(tx);
        if let Some(replaced) = replaced {
            asked = asked.less(Resources::of(replaced));
        }
        if !asked.fits(limit) {
            return Err(NoRoom::TooLarge);
        }
        let mut needed = (self.used + asked).less(*limit);
        let mut leaving = Vec::new();
        for other in self.by_bid.values() {
            if needed == Resources::default() {
                break;
            }
            if Bid::of(other) >= bid {
                return Err(NoRoom::Bid(Bid::of(other).outbid_by(tx)));
            }
            if other.source == tx.source {
                return Err(NoRoom::TooLarge);
            }
            needed = needed.less(Resources::of(other));
            leaving.push(Arc::clone(other));
        }
        Ok(leaving)
    }
}

fn key(tx: &Parsed) -> (Bid, [u8; 32]) {
    (Bid::of(tx), tx.full_hash)
}
