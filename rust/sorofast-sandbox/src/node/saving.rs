//! Taking the whole state out, and putting one in.

use super::origin::{self, Fixed};
use super::{locked, readable, Node};
use crate::ledger::state::Stored;
use crate::saved::{Head, SavedState, MAX_HISTORY_BYTES};
use crate::types::{LedgerSummary, NodeError};
use std::io::Read;
use std::sync::Arc;

impl Node {
    /// The state as of the latest ledger. Handles only: ledgers go on while it is written. What waits in the queue is
    /// not part of it. Blocking.
    pub fn save(&self) -> SavedState {
        // Nobody draws a number for a ledger, or moves the clock for one, while this is held.
        let _closing = locked(&self.closing);
        let visible = readable(&self.visible);
        let head = Head {
            latest_ledger: visible.history.latest().sequence,
            clock_ms: self.clock.now_ms(),
            seed: self.random.seed(),
            drawn: self.random.drawn(),
            ..origin::head(&self.config, &visible.origin)
        };
        SavedState {
            head,
            entries: visible
                .state
                .iter()
                .map(|(key, stored)| (Arc::clone(key), Stored::clone(stored)))
                .collect(),
            ledgers: visible.history.newest(MAX_HISTORY_BYTES),
        }
    }

    /// Puts a saved state in the place of the present one; what waits is dropped. Readers see the one or the other,
    /// whole. Nothing changes when it is refused. Blocking.
    pub fn load(&self, from: impl Read) -> Result<LedgerSummary, NodeError> {
        let saved =
            SavedState::read(from).map_err(|refusal| NodeError::Invalid(refusal.to_string()))?;
        let beginning = self.fixed().resumed(saved)?;
        Ok(self.take_on(beginning))
    }

    pub(super) fn fixed(&self) -> Fixed<'_> {
        Fixed {
            config: &self.config,
            settings: &self.settings,
            keys: &self.keys,
            validator: &self.validator,
        }
    }
}
