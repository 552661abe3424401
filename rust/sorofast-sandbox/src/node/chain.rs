//! A whole chain of ledgers: what a node starts with, and what it takes in exchange.

use super::origin::Beginning;
use super::{locked, pace, Node, Visible};
use crate::ledger::close::Tip;
use crate::ledger::genesis::{self, Keys, PublicPair};
use crate::ledger::header::{self, NodeKey, OldHeader};
use crate::ledger::history::{ClosedLedger, History};
use crate::ledger::seeds::Seeds;
use crate::ledger::settings::Settings;
use crate::ledger::state::State;
use crate::ledger::upkeep;
use crate::random::Randomness;
use crate::tx::queue::Queue;
use crate::types::{LedgerSummary, NodeError};
use std::sync::{Arc, PoisonError};
use std::time::Instant;

/// Everything that the next ledger follows from, but for the clock and the queue.
#[derive(Debug)]
pub(super) struct Chain {
    pub(super) state: State,
    pub(super) history: History,
    pub(super) tip: Tip,
}

/// What the first ledger follows from.
#[derive(Debug)]
pub(super) struct Genesis<'a> {
    pub(super) settings: &'a Settings,
    pub(super) keys: &'a Keys,
    pub(super) validator: &'a NodeKey,
    pub(super) accounts: &'a [PublicPair],
    pub(super) seeds: Option<&'a Seeds>,
    pub(super) random: &'a Randomness,
    pub(super) retention_ledgers: u32,
    pub(super) first_header: Option<OldHeader>,
}

impl Genesis<'_> {
    /// The chain of nothing but the first ledger.
    pub(super) fn chain(&self, close_time_ms: u64) -> Result<Chain, NodeError> {
        let changes = genesis::entries(self.keys, self.settings, self.accounts);
        let mut commitment = header::state_hash(&[0; 32], &changes);
        let mut state = State::default();
        state.publish(1, changes);
        if let Some(seeds) = self.seeds {
            state.reserve(seeds.entries());
            seeds.write(
                self.settings,
                self.random,
                close_time_ms / 1000,
                |key, entry| {
                    commitment = header::commit(&commitment, &key, Some(&entry));
                    state.put(key, entry);
                },
            )?;
            let size_bytes = state.census().live_bytes;
            if let Some((key, entry)) = upkeep::full_window(&state, size_bytes) {
                commitment = header::commit(&commitment, &key, Some(&entry));
                state.put(key, entry);
            }
        }
        // Old close times are whole seconds.
        let close_time_ms = match self.first_header {
            Some(_) => close_time_ms - close_time_ms % 1000,
            None => close_time_ms,
        };
        let header = header::genesis(
            self.validator,
            self.settings,
            close_time_ms,
            commitment,
            self.first_header,
        );
        let (header_xdr, hash) = header::encode(&header);
        let closed = ClosedLedger::genesis(&header, header_xdr, hash, close_time_ms);
        Ok(Chain {
            state,
            history: History::new(closed, self.retention_ledgers),
            tip: Tip {
                header,
                hash,
                close_time_ms,
            },
        })
    }
}

impl Node {
    /// Goes back to what the node was started from: its genesis, with the same seed, accounts and tasks, or the saved
    /// state, which is read again. What waits is dropped. Readers see the old chain or the new one, whole. Blocking.
    pub fn reset(&self) -> Result<LedgerSummary, NodeError> {
        Ok(self.take_on(self.fixed().beginning()?))
    }

    /// Puts a chain in the place of the present one, all at once.
    pub(super) fn take_on(&self, beginning: Beginning) -> LedgerSummary {
        let Chain {
            mut state,
            history,
            tip,
        } = beginning.chain;
        // As publishing the latest ledger would have.
        state.prepare_eviction(tip.header.ledger_seq + 1);
        let latest = history.latest().clone();
        let mut closing = locked(&self.closing);
        let mut agents = self.agents();
        // A ledger that nobody has seen yet never was.
        closing.ready = None;
        closing.modules.clear();
        let total_coins = tip.header.total_coins;
        closing.tip = tip;
        let left = {
            let mut queue = locked(&self.queue);
            let mut visible = self.visible.write().unwrap_or_else(PoisonError::into_inner);
            self.clock.restart(beginning.clock_ms);
            self.random.restore(beginning.seed, &beginning.drawn);
            self.keep_as_told(&mut state);
            let next = Visible {
                state,
                history,
                total_coins,
                clock_offset_ms: self.clock.offset_ms(),
                era: visible.era + 1,
                origin: Arc::new(beginning.origin),
            };
            let left = std::mem::replace(&mut *visible, next);
            let fresh = Queue::new(pace(&self.config, &self.settings));
            (left, std::mem::replace(&mut *queue, fresh))
        };
        self.frozen_at.send_replace(Instant::now());
        self.begin_anew(&mut agents, latest.sequence);
        drop(agents);
        self.latest.send_replace(latest.sequence);
        self.chains.send_modify(|chains| *chains += 1);
        drop(closing);
        self.rescheduled.notify_one();
        // Giving back a million entries takes a while; nobody waits for it here.
        drop(left);
        latest
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::config::NodeConfig;
    use crate::host::modules::code_entry;

    #[test]
    fn another_chain_compiles_its_code_itself() {
        let node = Node::new(NodeConfig::default()).expect("a node");
        let wasm = include_bytes!("../../wasm/counter.wasm");
        let (key, code) = code_entry(wasm, 1_000, &node.settings).expect("code");
        locked(&node.closing).modules.add(&code.xdr, &node.settings);
        assert!(locked(&node.closing).modules.contains(&key));
        node.reset().expect("a reset");
        assert!(!locked(&node.closing).modules.contains(&key));
    }
}
