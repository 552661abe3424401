//! What disturbs the ledger: faults of its own, and others who send transactions.

use super::{locked, Closing, Node};
use crate::faults::{LedgerEvent, LedgerFaults, LedgerMove, Skew};
use crate::ledger::header;
use crate::ledger::settings::Settings;
use crate::ledger::state::State;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Mutex, MutexGuard};

/// Somebody else on the network. It is told of every ledger and sends its transactions before anybody can answer to
/// that ledger, so that a run can be repeated.
pub trait Agent: Send + std::fmt::Debug {
    /// A ledger has become visible. Blocking, and called while ledgers wait: keep it short.
    fn ledger_closed(&mut self, node: &Node);

    /// Another chain took the place of the one that it knew: it knows and has done nothing yet.
    fn begin_anew(&mut self);

    /// What it has done so far.
    fn told(&self) -> serde_json::Value;
}

/// Agents by name.
pub(super) type Agents = Vec<(&'static str, Box<dyn Agent>)>;

#[derive(Debug, Default)]
pub(super) struct Disturbed {
    faults: Mutex<LedgerFaults>,
    agents: Mutex<Agents>,
    /// The skew that a fault replaced, in seconds.
    former_skew_s: Mutex<Option<f64>>,
    /// Ledgers that views may look back.
    kept_ledgers: AtomicUsize,
}

impl Node {
    /// Puts the ledger's part of a plan in force, in place of the one before. Agents go by name. Blocking.
    pub fn disturb(
        &self,
        events: Vec<LedgerEvent>,
        seed: u64,
        agents: Vec<(&'static str, Box<dyn Agent>)>,
    ) {
        let new = LedgerFaults::new(events, seed, self.clock.now_ms());
        {
            let mut faults = locked(&self.disturbed.faults);
            *faults = new.replacing(&faults);
        }
        *self.agents() = agents;
        self.rescheduled.notify_one();
    }

    /// The network's limits and fees.
    pub fn settings(&self) -> &Settings {
        &self.settings
    }

    /// Lets views look so many ledgers back, from now on.
    pub fn keep_ledgers(&self, lag_ledgers: u32) {
        let kept_ledgers = lag_ledgers as usize;
        self.disturbed
            .kept_ledgers
            .store(kept_ledgers, Ordering::SeqCst);
        let mut visible = self
            .visible
            .write()
            .unwrap_or_else(std::sync::PoisonError::into_inner);
        visible.state.keep(kept_ledgers);
    }

    /// Keeps the agents still. Taken after `closing` and before the queue, as they send transactions.
    pub(super) fn agents(&self) -> MutexGuard<'_, Agents> {
        locked(&self.disturbed.agents)
    }

    /// Lets views of a state that takes the visible one's place look back as far. Call it with `visible` locked.
    pub(super) fn keep_as_told(&self, state: &mut State) {
        state.keep(self.disturbed.kept_ledgers.load(Ordering::SeqCst));
    }

    /// Another chain has taken this one's place: what happens to ledgers happens to those of that one, from the start.
    pub(super) fn begin_anew(&self, agents: &mut [(&'static str, Box<dyn Agent>)], latest: u32) {
        // Nobody decides about a ledger between the two, and by the wrong one of them.
        let mut faults = locked(&self.disturbed.faults);
        let again = faults.again(self.clock.now_ms());
        *faults = again;
        *locked(&self.disturbed.former_skew_s) = None;
        self.frozen.send_replace(latest);
        drop(faults);
        for (_, agent) in agents {
            agent.begin_anew();
        }
    }

    /// How often each of the ledger's events happened.
    pub fn ledger_events(&self) -> Vec<u64> {
        locked(&self.disturbed.faults).struck()
    }

    /// What the agents did, by name.
    pub fn agents_told(&self) -> Vec<(&'static str, serde_json::Value)> {
        self.agents()
            .iter()
            .map(|(name, agent)| (*name, agent.told()))
            .collect()
    }

    /// Nothing but the clock decides about the next ledgers, and nobody listens to them.
    pub fn is_undisturbed(&self) -> bool {
        // One lock at a time: an agent at work holds its own for long.
        let is_idle = locked(&self.disturbed.faults).is_idle();
        is_idle && self.agents().is_empty()
    }

    /// What is to happen with the ledger after the newest that is fixed.
    pub(super) fn decide_next(&self) -> LedgerMove {
        let mut faults = locked(&self.disturbed.faults);
        let sequence = *self.frozen.borrow() + 1;
        faults.decide(sequence, self.clock.now_ms())
    }

    /// Moves the clock as decided. By hand nobody waits for a late ledger: the clock jumps instead.
    pub(super) fn move_clock(&self, decided: &LedgerMove) {
        if self.config.ledger_close.is_zero() {
            // Bounded when it was taken, so the clock takes it.
            let _ = self.clock.advance_s(decided.stall.as_secs_f64());
        }
        let mut former = locked(&self.disturbed.former_skew_s);
        match decided.skew {
            Skew::Keep => {}
            Skew::Set(seconds) => {
                former.get_or_insert(self.clock.skew_s());
                let _ = self.clock.set_skew_s(seconds);
            }
            Skew::Restore => {
                if let Some(seconds) = former.take() {
                    let _ = self.clock.set_skew_s(seconds);
                }
            }
        }
    }

    /// Close time of the next ledger: later than the one before, by a millisecond or, in old headers, by a second.
    pub(super) fn next_close_time_ms(&self, closing: &Closing, decided: &LedgerMove) -> u64 {
        let tip_ms = closing.tip.close_time_ms;
        let now_ms = self.clock.now_ms();
        if decided.old_header.is_some() || header::is_old(&closing.tip.header) {
            return (now_ms / 1000).max(tip_ms / 1000 + 1) * 1000;
        }
        let earliest_ms = tip_ms + 1;
        if decided.equal_close_time && earliest_ms / 1000 == tip_ms / 1000 {
            locked(&self.disturbed.faults).closed_in_the_same_second();
            return earliest_ms;
        }
        now_ms.max(earliest_ms)
    }

    /// Lets the agents act on the newest ledger.
    pub(super) fn tell_agents(&self) {
        for (_, agent) in self.agents().iter_mut() {
            agent.ledger_closed(self);
        }
    }
}
