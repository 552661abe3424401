//! The door of the queue: decoding, and the checks in the order in which the network makes them.

use super::view::View;
use super::{locked, readable, Node, Visible};
use crate::ledger::account::{self, available_balance};
use crate::tx::diagnostics::Diagnostics;
use crate::tx::envelope::{decode, Parsed};
use crate::tx::fates::{Fate, Reason};
use crate::tx::limiter::NoRoom;
use crate::tx::queue::{Queue, Standing};
use crate::tx::result;
use crate::tx::signatures::warm_up;
use crate::tx::soroban_form::check_resources;
use crate::tx::trim::{trim, Fees};
use crate::tx::validate::{check, Moment};
use crate::types::{LedgerSummary, NodeError, Submission, SubmitStatus};
use std::sync::Arc;
use stellar_xdr::TransactionResultResult as Code;

impl View<'_> {
    /// Offers an envelope to the queue. An error means that it could not even be decoded.
    pub fn submit(&self, envelope_xdr: &[u8]) -> Result<Submission, NodeError> {
        let node = self.node;
        let tx = decode(envelope_xdr, &node.keys.network_id).map_err(NodeError::Invalid)?;
        let tx = Arc::new(tx);
        // Signatures cost the most and depend on nothing that changes: check them before anyone has to wait.
        warm_up(&tx);
        let hash = tx.hash;
        let mut queue = locked(&node.queue);
        let visible = readable(&node.visible);
        let status = self.admit(tx, &mut queue, &visible);
        Ok(Submission {
            hash,
            latest: self.shown_summary(&visible),
            status,
        })
    }
}

impl Node {
    pub(super) fn admit(
        &self,
        tx: Arc<Parsed>,
        queue: &mut Queue,
        visible: &Visible,
    ) -> SubmitStatus {
        if queue.waits_with_other_kind(&tx) {
            return SubmitStatus::TryAgainLater;
        }
        let mut diagnostics = Diagnostics::default();
        if !tx.has_valid_fees() {
            return refused(Code::TxMalformed, 0, diagnostics);
        }
        let standing = queue.standing(&tx);
        if matches!(standing, Standing::Banned) {
            return SubmitStatus::TryAgainLater;
        }
        if tx.inclusion_fee() < 0 {
            return refused(Code::TxMalformed, 0, diagnostics);
        }
        match standing {
            Standing::Duplicate => return SubmitStatus::Duplicate,
            Standing::Older => return refused(Code::TxBadSeq, 0, diagnostics),
            Standing::Occupied | Standing::BidsTooLittle(_) | Standing::Replaces(_) => {
                let part = tx.soroban.as_ref().filter(|_| tx.is_soroban());
                let within = part.is_none_or(|part| {
                    check_resources(&tx, part, &self.settings, &mut diagnostics).is_ok()
                });
                if !within {
                    return refused(Code::TxSorobanInvalid, 0, diagnostics);
                }
            }
            Standing::Banned | Standing::Free => {}
        }
        let replaced = match standing {
            Standing::Occupied => return SubmitStatus::TryAgainLater,
            Standing::BidsTooLittle(needed) => {
                return refused(Code::TxInsufficientFee, needed, diagnostics)
            }
            Standing::Replaces(replaced) => Some(replaced),
            _ => None,
        };
        let leaving = match queue.room_for(&tx, replaced.as_deref(), &self.settings) {
            Ok(leaving) => leaving,
            Err(NoRoom::Bid(needed)) => {
                return refused(Code::TxInsufficientFee, needed, diagnostics)
            }
            Err(NoRoom::TooLarge) => return SubmitStatus::TryAgainLater,
        };
        let moment = self.admission_moment(visible.history.latest());
        if let Err(invalid) = check(&tx, &visible.state, &moment, &mut diagnostics) {
            return SubmitStatus::Error {
                result_xdr: invalid.result_xdr(&tx),
                diagnostic_events_xdr: diagnostics.events_xdr,
            };
        }
        let owed = queue.fees_with(&tx, replaced.as_deref());
        let payer = account::load(&visible.state, &tx.fee_source());
        if payer.is_none_or(|payer| available_balance(&payer) < owed) {
            return refused(Code::TxInsufficientBalance, 0, diagnostics);
        }
        queue.insert(tx, &leaving, &self.settings, self.clock.now_ms());
        SubmitStatus::Pending
    }

    /// What became of transactions, by their hashes or those of fee-bumps around them.
    pub fn fates(&self, hashes: &[[u8; 32]]) -> Vec<Fate> {
        let queue = locked(&self.queue);
        let visible = readable(&self.visible);
        let waiting = queue.hashes();
        let fate = |hash: &[u8; 32]| {
            if let Some(record) = visible.history.transaction(hash) {
                Fate::Applied(record.ledger)
            } else if waiting.contains(hash) {
                Fate::Pending
            } else {
                queue.fate(hash).map_or(Fate::Unknown, Fate::Dropped)
            }
        };
        hashes.iter().map(fate).collect()
    }

    /// After a ledger: drops what could not be admitted any more.
    pub(super) fn drop_invalid(&self, queue: &mut Queue, visible: &Visible) {
        let latest = visible.history.latest();
        let moment = self.admission_moment(latest);
        let mut fees = Fees::new();
        for candidates in queue.candidates(latest.sequence + 1) {
            let (_, invalid) = trim(candidates, &visible.state, &moment, &mut fees);
            for (tx, code) in invalid {
                queue.ban(&tx, Reason::Invalid(code));
            }
        }
    }

    pub(super) fn admission_moment(&self, latest: &LedgerSummary) -> Moment<'_> {
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
