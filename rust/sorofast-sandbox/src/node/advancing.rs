//! Time that passes on demand: many ledgers at once.

use super::{locked, Closing, Node, VisibleEntries};
use crate::clock::{shift_ms, SandboxClock};
use crate::faults::LedgerMove;
use crate::ledger::close::Tip;
use crate::types::{LedgerSummary, NodeError};
use std::sync::PoisonError;
use std::time::Instant;

/// Ledgers that one call may close: a year and a half of five second ones.
pub const MAX_ADVANCE_LEDGERS: u32 = 10_000_000;
/// Ledgers beyond this one are not closed, so that no end of life is beyond what a ledger can count.
pub const LAST_LEDGER: u32 = u32::MAX / 2;
/// Longer than the queue remembers anything.
const QUEUE_MEMORY_LEDGERS: u32 = 16;

/// A chain that is ahead of the clock by less is soon overtaken.
const WORTH_CATCHING_UP_MS: u64 = 1_000;

/// How far to go.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Advance {
    pub ledgers: u32,
    /// By which the sandbox clock moves on.
    pub seconds: f64,
    /// Does the clock move on evenly from ledger to ledger, or all of it ahead of the first one?
    pub spread: bool,
}

impl Node {
    /// Moves the sandbox clock on by `seconds`, then closes `ledgers` ledgers, visible on return. Blocking.
    pub fn advance(&self, ledgers: u32, seconds: f64) -> Result<LedgerSummary, NodeError> {
        self.advance_by(Advance {
            ledgers,
            seconds,
            spread: false,
        })
    }

    /// Closes ledgers, visible on return. Readers see one after the other; but of more ledgers than the node keeps,
    /// only those are made that it will still have, so that a year costs no more than a week. Blocking.
    pub fn advance_by(&self, advance: Advance) -> Result<LedgerSummary, NodeError> {
        let Advance { ledgers, .. } = advance;
        if ledgers > MAX_ADVANCE_LEDGERS {
            return Err(NodeError::Invalid(format!(
                "ledgers must be at most {MAX_ADVANCE_LEDGERS} per call"
            )));
        }
        let mut closing = locked(&self.closing);
        if closing.tip.header.ledger_seq.saturating_add(ledgers) >= LAST_LEDGER {
            return Err(NodeError::Invalid(format!(
                "ledgers must not go beyond ledger {LAST_LEDGER}"
            )));
        }
        let mut clock = Steps::new(&self.clock, advance)?;
        self.publish(&mut closing);
        let mut left = ledgers;
        while left > 0 {
            let beyond = left.saturating_sub(self.kept_ledgers());
            let leap = if beyond > 1 && self.is_quiet() {
                beyond
            } else {
                1
            };
            clock.step(leap);
            if leap > 1 {
                self.leap(&mut closing, leap);
            } else {
                self.close_one(&mut closing)?;
            }
            left -= leap;
        }
        self.keep_up(closing.tip.close_time_ms);
        drop(closing);
        self.rescheduled.notify_one();
        Ok(self.latest())
    }

    /// Many ledgers a millisecond apart run ahead of a clock that stays where it was, and the ones after them would share
    /// one second until it has caught up. Where ledgers close by hand nothing waits for the clock; and one that
    /// somebody set apart on purpose is left alone.
    fn keep_up(&self, close_time_ms: u64) {
        let ahead_ms = close_time_ms.saturating_sub(self.clock.now_ms());
        let left_alone = self.config.ledger_close.is_zero() || self.clock.skew_s() != 0.0;
        if ahead_ms >= WORTH_CATCHING_UP_MS && !left_alone && self.is_undisturbed() {
            self.clock.advance_ms(ahead_ms);
        }
    }

    fn kept_ledgers(&self) -> u32 {
        super::readable(&self.visible).history.max_ledgers() as u32
    }

    /// Will nothing happen in the next ledgers that anybody asked for?
    fn is_quiet(&self) -> bool {
        locked(&self.queue).is_empty() && self.is_undisturbed()
    }

    /// Closes the last of so many ledgers and does in it what all of them would have done to the state. The ones
    /// before it are beyond what is kept when the call is over, so nobody will miss them.
    fn leap(&self, closing: &mut Closing, ledgers: u32) {
        let last = closing.tip.header.ledger_seq + ledgers;
        self.visible
            .write()
            .unwrap_or_else(PoisonError::into_inner)
            .state
            .prepare_eviction(last);
        let earliest_ms = closing.tip.close_time_ms + u64::from(ledgers);
        let close_time_ms = self.clock.now_ms().max(earliest_ms);
        self.frozen_at.send_replace(Instant::now());
        self.frozen.send_replace(last);
        closing.clock_offset_ms = self.clock.offset_ms();
        let mut closer = self.closer(&LedgerMove::default());
        closer.ledgers = ledgers;
        let mut before = Tip::clone(&closing.tip);
        before.header.ledger_seq = last - 1;
        let entries = VisibleEntries(&self.visible);
        let applied = closer.close(
            &before,
            close_time_ms,
            Default::default(),
            &entries,
            &mut closing.modules,
        );
        closing.ready = Some(applied);
        self.publish(closing);
        let mut queue = locked(&self.queue);
        for _ in 1..ledgers.min(QUEUE_MEMORY_LEDGERS) {
            queue.ledger_closed(&[]);
        }
    }
}

/// The moves of the clock in an advance.
struct Steps<'a> {
    clock: &'a SandboxClock,
    total_ms: u64,
    ledgers: u32,
    done: u32,
}

impl<'a> Steps<'a> {
    fn new(clock: &'a SandboxClock, advance: Advance) -> Result<Self, NodeError> {
        let mut total_ms = shift_ms(advance.seconds).ok_or_else(|| {
            NodeError::Invalid("seconds must be a number from 0 to ten years".into())
        })?;
        if !advance.spread || advance.ledgers == 0 {
            clock.advance_ms(total_ms);
            total_ms = 0;
        }
        Ok(Self {
            clock,
            total_ms,
            ledgers: advance.ledgers,
            done: 0,
        })
    }

    /// To be called before the next so many ledgers close.
    fn step(&mut self, ledgers: u32) {
        let before_ms = self.passed_ms();
        self.done += ledgers;
        self.clock.advance_ms(self.passed_ms() - before_ms);
    }

    /// The share of the time that belongs to the ledgers done so far.
    fn passed_ms(&self) -> u64 {
        self.total_ms * u64::from(self.done) / u64::from(self.ledgers)
    }
}
