//! One task in 56 little-endian bytes, as it crosses to Python, to Redis and into snapshots.

use crate::reasons::Reason;
use crate::types::{Ledger, Stroops, TaskId};

/// Length of a packed row.
pub const ROW_SIZE: usize = 56;

/// The task is not paused.
pub const ACTIVE: u16 = 1;
/// A resolver decides whether the task runs.
pub const HAS_RESOLVER: u16 = 2;
/// Only the keepers of a list may run the task.
pub const HAS_WHITELIST: u16 = 4;
/// Our keeper may run the task.
pub const KEEPER_ALLOWED: u16 = 8;
/// The task waits for other tasks.
pub const BLOCKED_BY: u16 = 16;
/// The entry did not decode; everything but id and ledgers is unknown.
pub const UNDECODABLE: u16 = 32;

/// A task as the registry holds it at one ledger.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Row {
    /// The task's number.
    pub id: TaskId,
    /// Seconds between runs.
    pub interval_s: u64,
    /// Close time of the ledger of the last run.
    pub last_run_s: u64,
    /// What the task can still pay, saturated to 64 bits.
    pub gas: Stroops,
    /// Which footprint its `execute` has.
    pub shape: u64,
    /// Last ledger in which the entry is live; 0 when it is archived.
    pub live_until: Ledger,
    /// Ledger of the entry's last change.
    pub last_modified: Ledger,
    /// Ledger this was read at.
    pub snapshot_ledger: Ledger,
    /// See the constants of this module.
    pub flags: u16,
    /// Code of the reason the task is where it is.
    pub reason: u16,
}

impl Row {
    /// A row for an entry that did not decode.
    #[must_use]
    pub const fn undecodable(id: TaskId) -> Self {
        Self {
            id,
            interval_s: 0,
            last_run_s: 0,
            gas: Stroops(0),
            shape: 0,
            live_until: Ledger(0),
            last_modified: Ledger(0),
            snapshot_ledger: Ledger(0),
            flags: UNDECODABLE,
            reason: 0,
        }
    }

    /// The packed form.
    #[must_use]
    pub fn pack(&self) -> [u8; ROW_SIZE] {
        let mut bytes = [0; ROW_SIZE];
        bytes[0..8].copy_from_slice(&self.id.0.to_le_bytes());
        bytes[8..16].copy_from_slice(&self.interval_s.to_le_bytes());
        bytes[16..24].copy_from_slice(&self.last_run_s.to_le_bytes());
        bytes[24..32].copy_from_slice(&self.gas.0.to_le_bytes());
        bytes[32..40].copy_from_slice(&self.shape.to_le_bytes());
        bytes[40..44].copy_from_slice(&self.live_until.0.to_le_bytes());
        bytes[44..48].copy_from_slice(&self.last_modified.0.to_le_bytes());
        bytes[48..52].copy_from_slice(&self.snapshot_ledger.0.to_le_bytes());
        bytes[52..54].copy_from_slice(&self.flags.to_le_bytes());
        bytes[54..56].copy_from_slice(&self.reason.to_le_bytes());
        bytes
    }

    /// The row of a packed form.
    #[must_use]
    pub fn unpack(bytes: &[u8; ROW_SIZE]) -> Self {
        let wide = |at: usize| u64::from_le_bytes(std::array::from_fn(|i| bytes[at + i]));
        let word = |at: usize| u32::from_le_bytes(std::array::from_fn(|i| bytes[at + i]));
        let half = |at: usize| u16::from_le_bytes([bytes[at], bytes[at + 1]]);
        Self {
            id: TaskId(wide(0)),
            interval_s: wide(8),
            last_run_s: wide(16),
            gas: Stroops(wide(24).cast_signed()),
            shape: wide(32),
            live_until: Ledger(word(40)),
            last_modified: Ledger(word(44)),
            snapshot_ledger: Ledger(word(48)),
            flags: half(52),
            reason: half(54),
        }
    }

    /// The second the task falls due, or the reason it cannot run at all.
    pub fn due_s(&self, terms: &Terms) -> Result<u64, Reason> {
        if self.flags & UNDECODABLE != 0 {
            return Err(Reason::Undecodable);
        }
        if self.live_until < self.snapshot_ledger {
            return Err(Reason::Archived);
        }
        if self.flags & ACTIVE == 0 {
            return Err(Reason::Inactive);
        }
        if self.flags & KEEPER_ALLOWED == 0 {
            return Err(Reason::NotWhitelisted);
        }
        if self.interval_s == 0 {
            return Err(Reason::IntervalZero);
        }
        let due_s = self
            .last_run_s
            .checked_add(self.interval_s)
            .ok_or(Reason::DueOverflow)?;
        if self.flags & BLOCKED_BY != 0 && !terms.unblocked {
            return Err(Reason::Blocked);
        }
        if self.gas < terms.min_gas {
            return Err(Reason::OutOfGas);
        }
        if self.gas < terms.fee {
            return Err(Reason::GasBelowFee);
        }
        Ok(due_s)
    }

    /// The upper half of the shape: what kind of task it is.
    #[must_use]
    pub const fn kind(&self) -> u32 {
        (self.shape >> 32) as u32
    }

    /// The lower half of the shape: its arguments, its dependencies and its size.
    #[must_use]
    pub const fn args(&self) -> u32 {
        self.shape as u32
    }
}

/// What decides besides the row itself whether a task can run.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Terms {
    /// With less gas nothing is run.
    pub min_gas: Stroops,
    /// What the contract takes for a run, as far as that is known.
    pub fee: Stroops,
    /// Whether the tasks it waits for have run.
    pub unblocked: bool,
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    proptest! {
        #[test]
        fn packs_both_ways(bytes: [u8; 32], tail: [u8; 24]) {
            let mut packed = [0; ROW_SIZE];
            packed[..32].copy_from_slice(&bytes);
            packed[32..].copy_from_slice(&tail);
            prop_assert_eq!(Row::unpack(&packed).pack(), packed);
        }
    }
}
