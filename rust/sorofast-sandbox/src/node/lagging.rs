//! What a server that lags makes of a transaction: its own node is as far behind as its answers.

use super::view::View;
use super::Visible;
use crate::ledger::state::{Entries, State, Stored};
use crate::tx::diagnostics::Diagnostics;
use crate::tx::envelope::Parsed;
use crate::tx::queue::Queue;
use crate::tx::validate::check;
use crate::types::SubmitStatus;
use std::sync::Arc;

/// Entries as they were at an older ledger.
struct Older<'a> {
    state: &'a State,
    ledger: u32,
}

impl Entries for Older<'_> {
    fn get(&self, key: &[u8]) -> Option<Stored> {
        // What is shown is never further back than what can be read.
        self.state.get_at(key, self.ledger).unwrap_or_default()
    }
}

impl View<'_> {
    /// It refuses what its own ledger speaks against, whatever happened since, and passes on the rest; what only later
    /// ledgers speak against it takes, as it knows nothing of them.
    pub(super) fn admit(
        &self,
        tx: Arc<Parsed>,
        queue: &mut Queue,
        visible: &Visible,
    ) -> SubmitStatus {
        if self.lens.lag_ledgers == 0 {
            return self.node.admit(tx, queue, visible);
        }
        let summary = self.shown_summary(visible);
        let older = Older {
            state: &visible.state,
            ledger: self.content(visible),
        };
        let mut diagnostics = Diagnostics::default();
        let moment = self.node.admission_moment(&summary);
        if let Err(invalid) = check(&tx, &older, &moment, &mut diagnostics) {
            return SubmitStatus::Error {
                result_xdr: invalid.result_xdr(&tx),
                diagnostic_events_xdr: diagnostics.events_xdr,
            };
        }
        let status = self.node.admit(Arc::clone(&tx), queue, visible);
        if matches!(status, SubmitStatus::Pending | SubmitStatus::Duplicate) {
            return status;
        }
        let is_applied_later = visible
            .history
            .transaction(&tx.hash)
            .is_some_and(|record| record.ledger > summary.sequence);
        let newest = self.node.admission_moment(visible.history.latest());
        let nobody = &mut Diagnostics::default();
        if is_applied_later || check(&tx, &visible.state, &newest, nobody).is_err() {
            return SubmitStatus::Pending;
        }
        status
    }
}
