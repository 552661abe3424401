//! A whole chain of ledgers: what a node starts with, and what it takes in exchange.

use super::{locked, Node, Visible};
use crate::ledger::close::Tip;
use crate::ledger::genesis::{self, Keys, PublicPair};
use crate::ledger::header::{self, NodeKey};
use crate::ledger::history::{ClosedLedger, History};
use crate::ledger::seeds::Seeds;
use crate::ledger::settings::Settings;
use crate::ledger::state::State;
use crate::ledger::upkeep;
use crate::random::Randomness;
use crate::tx::queue::Queue;
use crate::types::{LedgerSummary, NodeError};
use std::sync::PoisonError;
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
        let header = header::genesis(self.validator, self.settings, close_time_ms, commitment);
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
    /// Goes back to the first ledger, as it was made at the start: the same seed, accounts and tasks. What waits is
    /// dropped. Readers see the old chain or the new one, whole. Blocking.
    pub fn reset(&self) -> Result<LedgerSummary, NodeError> {
        let start_ms = self.config.start_time_s.map(|start| start * 1000);
        let random = Randomness::new(self.config.seed);
        let genesis = Genesis {
            settings: &self.settings,
            keys: &self.keys,
            validator: &self.validator,
            accounts: &self.accounts,
            seeds: self.seeds.as_ref(),
            random: &random,
            retention_ledgers: self.config.retention_ledgers,
        };
        let clock = crate::clock::SandboxClock::new(self.clock.mode(), self.config.start_time_s);
        let chain = genesis.chain(clock.now_ms())?;
        Ok(self.take_on(chain, |node| {
            node.clock.restart(start_ms);
            node.random.restore(random.seed(), &random.drawn());
        }))
    }

    /// Puts a chain in the place of the present one, all at once.
    pub(super) fn take_on(&self, chain: Chain, set_up: impl FnOnce(&Self)) -> LedgerSummary {
        let Chain {
            mut state,
            history,
            tip,
        } = chain;
        // As publishing the latest ledger would have.
        state.prepare_eviction(tip.header.ledger_seq + 1);
        let latest = history.latest().clone();
        let mut closing = locked(&self.closing);
        // A ledger that nobody has seen yet never was.
        closing.ready = None;
        let total_coins = tip.header.total_coins;
        closing.tip = tip;
        let left = {
            let mut queue = locked(&self.queue);
            let mut visible = self.visible.write().unwrap_or_else(PoisonError::into_inner);
            set_up(self);
            let era = visible.era + 1;
            let next = Visible {
                state,
                history,
                total_coins,
                clock_offset_ms: self.clock.offset_ms(),
                era,
            };
            let left = std::mem::replace(&mut *visible, next);
            let empty = Queue::new(super::pace(&self.config, &self.settings));
            (left, std::mem::replace(&mut *queue, empty))
        };
        self.frozen_at.send_replace(Instant::now());
        self.frozen.send_replace(latest.sequence);
        self.latest.send_replace(latest.sequence);
        self.chains.send_modify(|chains| *chains += 1);
        drop(closing);
        self.rescheduled.notify_one();
        // Giving back a million entries takes a while; nobody waits for it here.
        drop(left);
        latest
    }
}
