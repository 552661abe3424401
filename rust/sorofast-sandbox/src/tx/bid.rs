//! What a transaction offers per operation, compared without rounding.

use crate::tx::envelope::Parsed;
use std::cmp::Ordering;

/// Stroops for inclusion, and the operations that they are for.
#[derive(Clone, Copy, Debug)]
pub struct Bid {
    pub fee_stroops: i64,
    pub operations: i64,
}

impl Bid {
    pub fn of(tx: &Parsed) -> Self {
        Self {
            fee_stroops: tx.inclusion_fee(),
            operations: tx.operation_count().max(1),
        }
    }

    /// The lowest full fee with which the transaction bids more than this.
    pub fn outbid_by(&self, tx: &Parsed) -> i64 {
        let fee = i128::from(self.fee_stroops) * i128::from(tx.operation_count().max(1))
            / i128::from(self.operations.max(1))
            + 1;
        i64::try_from(fee)
            .unwrap_or(i64::MAX)
            .saturating_add(flat_fee(tx))
    }

    /// The lowest full fee with which the transaction bids that many times as much, if its own is lower.
    pub fn short_of(&self, tx: &Parsed, times: i64) -> Option<i64> {
        let needed = i128::from(self.fee_stroops)
            * i128::from(tx.operation_count().max(1))
            * i128::from(times);
        let operations = i128::from(self.operations.max(1));
        if i128::from(tx.inclusion_fee()) * operations >= needed {
            return None;
        }
        let fee = i64::try_from((needed + operations - 1) / operations);
        Some(fee.unwrap_or(i64::MAX).saturating_add(flat_fee(tx)))
    }
}

/// What of the full fee is no bid.
fn flat_fee(tx: &Parsed) -> i64 {
    tx.full_fee().saturating_sub(tx.inclusion_fee())
}

impl Ord for Bid {
    fn cmp(&self, other: &Self) -> Ordering {
        let product = |fee: i64, operations: i64| i128::from(fee) * i128::from(operations);
        product(self.fee_stroops, other.operations)
            .cmp(&product(other.fee_stroops, self.operations))
    }
}

impl PartialOrd for Bid {
    fn partial_cmp(&self, other: &Self) -> Option<Ordering> {
        Some(self.cmp(other))
    }
}

impl PartialEq for Bid {
    fn eq(&self, other: &Self) -> bool {
        self.cmp(other) == Ordering::Equal
    }
}

impl Eq for Bid {}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn bids_are_compared_per_operation_without_rounding() {
        let bid = |fee_stroops, operations| Bid {
            fee_stroops,
            operations,
        };
        assert!(bid(301, 3) > bid(200, 2));
        assert!(bid(299, 3) < bid(100, 1));
        assert_eq!(bid(300, 3), bid(100, 1));
        assert!(bid(i64::MAX, 1) > bid(i64::MAX, 2));
    }
}
