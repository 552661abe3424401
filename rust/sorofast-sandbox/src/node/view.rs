//! What a reader is shown: the newest ledger, or one some way back, as a server that lags shows it.

use super::{readable, Lens, Node, Visible, MAX_HEALTHY_AGE_S};
use crate::ledger::history::ClosedLedger;
use crate::ledger::meta::ledger_close_meta;
use crate::ledger::state::Stored;
use crate::types::{
    EntriesRead, EntryView, EventId, EventPage, EventRecord, FeeStats, Health, LedgerRange,
    LedgerSummary, NodeError, SimulateOptions, Simulation, Submission, TransactionLookup,
};
use std::sync::Arc;
use std::time::Duration;

/// Reads that all stop at the same distance from the newest ledger. Everything a client of the RPC learns goes through
/// here, so that no method can tell more than the others.
#[derive(Clone, Copy, Debug)]
pub struct View<'a> {
    pub(super) node: &'a Node,
    pub(super) lens: Lens,
}

impl Node {
    /// The ledger as a server shows it that is so many ledgers behind.
    pub fn view(&self, lag_ledgers: u32) -> View<'_> {
        let lens = Lens {
            lag_ledgers,
            ..Lens::default()
        };
        lens.of(self)
    }

    /// Oldest and latest visible ledger.
    pub fn range(&self) -> LedgerRange {
        self.view(0).range()
    }

    pub fn latest(&self) -> LedgerSummary {
        self.view(0).latest()
    }

    /// See [`View::ledgers`].
    pub fn ledgers(&self, from: u32, limit: usize) -> Vec<LedgerSummary> {
        self.view(0).ledgers(from, limit)
    }

    /// See [`View::ledger_meta_xdr`].
    pub fn ledger_meta_xdr(&self, sequence: u32) -> Option<Vec<u8>> {
        self.view(0).ledger_meta_xdr(sequence)
    }

    /// See [`View::entries`].
    pub fn entries(&self, keys_xdr: &[Vec<u8>]) -> EntriesRead {
        self.view(0).entries(keys_xdr)
    }

    pub fn transaction(&self, hash: &[u8; 32]) -> TransactionLookup {
        self.view(0).transaction(hash)
    }

    /// See [`View::events`].
    pub fn events(
        &self,
        from: EventId,
        exclusive: bool,
        end_ledger: u32,
        limit: usize,
        filter: &mut dyn FnMut(&EventRecord) -> bool,
    ) -> EventPage {
        self.view(0)
            .events(from, exclusive, end_ledger, limit, filter)
    }

    pub fn fee_stats(&self) -> FeeStats {
        self.view(0).fee_stats()
    }

    /// See [`View::health`].
    pub fn health(&self) -> Health {
        self.view(0).health()
    }

    /// See [`View::simulate`].
    pub fn simulate(&self, envelope_xdr: &[u8], options: SimulateOptions) -> Simulation {
        self.view(0).simulate(envelope_xdr, options)
    }

    /// See [`View::submit`].
    pub fn submit(&self, envelope_xdr: &[u8]) -> Result<Submission, NodeError> {
        self.view(0).submit(envelope_xdr)
    }
}

impl View<'_> {
    /// The newest ledger that this view says it shows.
    pub(super) fn shown(&self, visible: &Visible) -> u32 {
        back(visible, self.lens.lag_ledgers)
    }

    /// The ledger that its content is of: the same, unless it lies.
    pub(super) fn content(&self, visible: &Visible) -> u32 {
        let lag_ledgers = self.lens.lag_ledgers;
        back(
            visible,
            lag_ledgers.saturating_add(self.lens.stale_ledgers()),
        )
    }

    pub(super) fn shown_summary(&self, visible: &Visible) -> LedgerSummary {
        let ledger = visible.history.ledger(self.shown(visible));
        let summary = ledger.map_or_else(|| visible.history.latest(), |ledger| &ledger.summary);
        self.lens.summary(summary)
    }

    pub(super) fn shown_range(&self, visible: &Visible) -> LedgerRange {
        LedgerRange {
            oldest: visible.history.oldest().clone(),
            latest: self.shown_summary(visible),
        }
    }

    /// Settings that are the same whatever ledger is shown.
    pub fn config(&self) -> &crate::config::NodeConfig {
        self.node.config()
    }

    /// Oldest and latest ledger.
    pub fn range(&self) -> LedgerRange {
        self.shown_range(&readable(&self.node.visible))
    }

    pub fn latest(&self) -> LedgerSummary {
        self.shown_summary(&readable(&self.node.visible))
    }

    /// Kept ledgers from `from` (inclusive) in order, at most `limit`.
    pub fn ledgers(&self, from: u32, limit: usize) -> Vec<LedgerSummary> {
        let visible = readable(&self.node.visible);
        let content = self.content(&visible);
        visible
            .history
            .from(from)
            .map(|ledger| &ledger.summary)
            .take_while(|ledger| ledger.sequence <= content)
            .take(limit)
            .map(|summary| self.lens.summary(summary))
            .collect()
    }

    /// XDR of the `LedgerCloseMeta` (V2) of a kept ledger, put together on demand.
    pub fn ledger_meta_xdr(&self, sequence: u32) -> Option<Vec<u8>> {
        let ledger = {
            let visible = readable(&self.node.visible);
            if sequence > self.content(&visible) {
                return None;
            }
            Arc::clone(visible.history.ledger(sequence)?)
        };
        Some(ledger_close_meta(&ledger))
    }

    /// Entries by `LedgerKey` XDR, all from the same ledger.
    pub fn entries(&self, keys_xdr: &[Vec<u8>]) -> EntriesRead {
        let visible = readable(&self.node.visible);
        let latest_ledger = self.shown(&visible);
        let entries = keys_xdr
            .iter()
            .filter_map(|key| {
                let stored = self.stored(&visible, key)?;
                if self.lens.hides() {
                    return None;
                }
                let live_until = match stored.lifetime {
                    None => None,
                    Some(lifetime) if lifetime.live_until >= latest_ledger => {
                        Some(lifetime.live_until)
                    }
                    // Durability is the last word of a data key; code is always persistent.
                    Some(_) if key[3] == 6 && key[key.len() - 1] == 0 => return None,
                    Some(_) => Some(0),
                };
                Some(EntryView {
                    key_xdr: key.clone(),
                    entry_xdr: self.lens.entry(&stored.xdr),
                    live_until,
                    last_modified: stored.last_modified(),
                })
            })
            .collect();
        EntriesRead {
            entries,
            latest_ledger,
        }
    }

    /// One entry as of the ledger that is shown.
    fn stored(&self, visible: &Visible, key: &[u8]) -> Option<Stored> {
        if self.lens.is_clear() {
            return visible.state.get(key).cloned();
        }
        // What is shown is never further back than what can be read.
        visible
            .state
            .get_at(key, self.content(visible))
            .unwrap_or_default()
    }

    pub fn transaction(&self, hash: &[u8; 32]) -> TransactionLookup {
        let visible = readable(&self.node.visible);
        let content = self.content(&visible);
        TransactionLookup {
            record: visible
                .history
                .transaction(hash)
                .filter(|record| record.ledger <= content && !self.lens.hides())
                .cloned(),
            range: self.shown_range(&visible),
        }
    }

    /// Events with `from <= id` (`from < id` when `exclusive`) in ledgers below `end_ledger`, at most `limit` that
    /// pass the filter.
    pub fn events(
        &self,
        from: EventId,
        exclusive: bool,
        end_ledger: u32,
        limit: usize,
        filter: &mut dyn FnMut(&EventRecord) -> bool,
    ) -> EventPage {
        // Handles are cheap; the scan itself must not hold up the next ledger.
        let (ledgers, range) = {
            let visible = readable(&self.node.visible);
            let end_ledger = end_ledger.min(self.content(&visible) + 1);
            let ledgers: Vec<Arc<ClosedLedger>> = visible
                .history
                .from(from.ledger())
                .take_while(|ledger| ledger.summary.sequence < end_ledger)
                .filter(|ledger| !ledger.events.is_empty())
                .cloned()
                .collect();
            (ledgers, self.shown_range(&visible))
        };
        let events = ledgers
            .iter()
            .flat_map(|ledger| {
                let before = |event: &Arc<EventRecord>| {
                    if exclusive {
                        event.id <= from
                    } else {
                        event.id < from
                    }
                };
                let start = ledger.events.partition_point(before);
                &ledger.events[start..]
            })
            .filter(|event| !self.lens.hides() && filter(event))
            .take(limit)
            .cloned()
            .collect();
        EventPage { events, range }
    }

    pub fn fee_stats(&self) -> FeeStats {
        let visible = readable(&self.node.visible);
        let latest_ledger = self.shown(&visible);
        let (soroban_inclusion_fee, inclusion_fee) = visible.history.fees(self.content(&visible));
        FeeStats {
            soroban_inclusion_fee,
            inclusion_fee,
            latest_ledger,
        }
    }

    /// Whether ledgers come. On a network that closes by hand only the clock's own moves count, not time going by.
    pub fn health(&self) -> Health {
        let (range, newest_ms, offset_then_ms) = {
            let visible = readable(&self.node.visible);
            let newest_ms = visible.history.latest().close_time_ms;
            (
                self.shown_range(&visible),
                newest_ms,
                visible.clock_offset_ms,
            )
        };
        let clock = &self.node.clock;
        let age_ms = if self.node.config.ledger_close.is_zero() {
            let moved_ms = clock.offset_ms().saturating_sub(offset_then_ms);
            u64::try_from(moved_ms)
                .unwrap_or(0)
                .saturating_add(newest_ms.saturating_sub(range.latest.close_time_ms))
        } else {
            clock.now_ms().saturating_sub(range.latest.close_time_ms)
        };
        let latest_ledger_age_s = Duration::from_millis(age_ms).as_secs_f64();
        Health {
            range,
            retention_window: self.node.config.retention_ledgers,
            latest_ledger_age_s,
            healthy: latest_ledger_age_s <= MAX_HEALTHY_AGE_S,
        }
    }
}

/// The ledger so far behind the newest one, or the oldest that can still be told.
fn back(visible: &Visible, lag_ledgers: u32) -> u32 {
    let latest = visible.history.latest().sequence;
    if lag_ledgers == 0 {
        return latest;
    }
    latest
        .saturating_sub(lag_ledgers)
        .max(visible.history.oldest().sequence)
        .max(visible.state.oldest_readable())
        .min(latest)
}
