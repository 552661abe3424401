//! The door of the queue: decoding, and the checks in the order in which the network makes them.

use super::view::View;
use super::{locked, readable, Node, Visible};
use crate::tx::diagnostics::Diagnostics;
use crate::tx::envelope::{decode, Decoded, Parsed};
use crate::tx::queue::{NoRoom, Queue, Standing};
use crate::tx::result;
use crate::tx::signatures::warm_up;
use crate::tx::soroban_form::check_resources;
use crate::tx::validate::{check, quoted_fee, Moment};
use crate::types::{LedgerSummary, NodeError, Submission, SubmitStatus};
use std::sync::Arc;
use stellar_xdr::TransactionResultResult as Code;

impl View<'_> {
    /// Offers an envelope to the queue. An error means that it could not even be decoded.
    pub fn submit(&self, envelope_xdr: &[u8]) -> Result<Submission, NodeError> {
        let node = self.node;
        let decoded = decode(envelope_xdr, &node.keys.network_id).map_err(NodeError::Invalid)?;
        let tx = match decoded {
            Decoded::Refused {
                hash,
                kind,
                operations: _,
            } => {
                let mut diagnostics = Diagnostics::default();
                diagnostics.refusal(&format!(
                    "{kind} is not supported by the sandbox; send a version 1 transaction"
                ));
                return Ok(Submission {
                    hash,
                    latest: self.latest(),
                    status: refused(Code::TxNotSupported, 0, diagnostics),
                });
            }
            Decoded::Transaction(tx) => Arc::new(*tx),
        };
        // Signatures cost the most and depend on nothing that changes: check them before anyone has to wait.
        warm_up(&tx);
        let hash = tx.hash;
        let mut queue = locked(&node.queue);
        let visible = readable(&node.visible);
        let status = node.admit(tx, &mut queue, &visible);
        Ok(Submission {
            hash,
            latest: self.shown_summary(&visible),
            status,
        })
    }
}

impl Node {
    fn admit(&self, tx: Arc<Parsed>, queue: &mut Queue, visible: &Visible) -> SubmitStatus {
        let standing = queue.standing(&tx);
        if matches!(standing, Standing::Banned | Standing::OtherKind) {
            return SubmitStatus::TryAgainLater;
        }
        let mut diagnostics = Diagnostics::default();
        let malformed_fee = tx.is_soroban()
            && tx
                .soroban
                .as_ref()
                .is_none_or(|part| part.data.resource_fee < 0);
        if malformed_fee || tx.inclusion_fee() < 0 {
            return refused(Code::TxMalformed, 0, diagnostics);
        }
        match standing {
            Standing::Banned | Standing::OtherKind | Standing::Free => {}
            Standing::Duplicate => return SubmitStatus::Duplicate,
            Standing::Older => return refused(Code::TxBadSeq, 0, diagnostics),
            Standing::Occupied => {
                let within = tx.soroban.as_ref().is_none_or(|part| {
                    check_resources(&tx, part, &self.settings, &mut diagnostics).is_ok()
                });
                if !within {
                    return refused(Code::TxSorobanInvalid, 0, diagnostics);
                }
                return SubmitStatus::TryAgainLater;
            }
        }
        let evicted = match queue.room_for(&tx, &self.settings) {
            Ok(evicted) => evicted,
            Err(NoRoom::Bid(needed)) => {
                return refused(Code::TxInsufficientFee, needed, diagnostics)
            }
            Err(NoRoom::TooLarge) => return SubmitStatus::TryAgainLater,
        };
        let moment = self.admission_moment(visible.history.latest());
        if let Err(invalid) = check(&tx, &visible.state, &moment, &mut diagnostics) {
            return refused(invalid.code, quoted_fee(&tx), diagnostics);
        }
        queue.insert(tx, &evicted);
        SubmitStatus::Pending
    }

    /// After a ledger: drops what could not be admitted any more.
    pub(super) fn drop_invalid(&self, queue: &mut Queue, visible: &Visible) {
        let moment = self.admission_moment(visible.history.latest());
        for tx in queue.candidates() {
            if check(&tx, &visible.state, &moment, &mut Diagnostics::default()).is_err() {
                queue.drop_waiting(&tx);
            }
        }
    }

    fn admission_moment(&self, latest: &LedgerSummary) -> Moment<'_> {
        Moment {
            settings: &self.settings,
            header_sequence: latest.sequence,
            target_sequence: latest.sequence + 1,
            lower_close_s: latest.close_time_s,
            upper_close_s: latest.close_time_s + self.upper_close_offset_s(latest),
            applying: false,
        }
    }

    /// How long after the last close `max_time` must still hold: the time since, and twice a ledger in whole seconds.
    fn upper_close_offset_s(&self, latest: &LedgerSummary) -> u64 {
        let now_s = self.clock.now_ms() / 1000;
        u64::from(self.settings.target_close_ms / 1000) * 2
            + now_s.saturating_sub(latest.close_time_s)
    }
}

fn refused(code: Code, fee_stroops: i64, diagnostics: Diagnostics) -> SubmitStatus {
    SubmitStatus::Error {
        result_xdr: result::encode(code, fee_stroops),
        diagnostic_events_xdr: diagnostics.events_xdr,
    }
}
