//! One transaction's way through a ledger: fee, sequence, operations, refund, result.

use crate::host::invoke::InvocationLedger;
use crate::ledger::account::{self, account_id, consume_sequence, credit, write_account};
use crate::ledger::changes::ChangeList;
use crate::ledger::classic;
use crate::ledger::classic::outcome::Failed;
use crate::ledger::classic::signers::use_up;
use crate::ledger::classic::sponsorship::Sponsorships;
use crate::ledger::classic::work::Work;
use crate::ledger::draft::Draft;
use crate::ledger::events::fee_event;
use crate::ledger::meta::{transaction_event, transaction_meta, MetaParts, SorobanMeta};
use crate::ledger::state::Layer;
use crate::tx::diagnostics::Diagnostics;
use crate::tx::envelope::Parsed;
use crate::tx::result;
use crate::tx::soroban_form::resource_fee;
use crate::tx::validate::{check, Moment};
use crate::types::TransactionRecord;
use std::collections::HashMap;
use std::sync::Arc;
use stellar_xdr::{OperationResult, TransactionResultResult as Code};

mod soroban;

/// The ledger that is being applied.
#[derive(Debug)]
pub struct ApplyLedger<'a> {
    pub ledger: InvocationLedger<'a>,
    pub close_time_ms: u64,
    /// Contract id of the native asset.
    pub native: [u8; 32],
    /// By source: the sequence that its transaction in this ledger uses, applied already or not. Told only where an
    /// account may be merged.
    pub sequences: HashMap<[u8; 32], i64>,
}

impl ApplyLedger<'_> {
    fn moment(&self) -> Moment<'_> {
        Moment {
            settings: self.ledger.settings,
            header_sequence: self.ledger.sequence,
            target_sequence: self.ledger.sequence,
            lower_close_s: self.ledger.close_time_s,
            upper_close_s: self.ledger.close_time_s,
            applying: true,
        }
    }
}

/// A transaction on its way.
#[derive(Debug)]
pub struct Applying {
    pub tx: Arc<Parsed>,
    pub fee_charged: i64,
    /// What of the fee was for inclusion, as fee statistics count it: for contracts the whole, else per operation of the
    /// transaction itself, whoever bumps it.
    pub inclusion_rate: u64,
    fee_changes_xdr: Vec<u8>,
    before_changes_xdr: Vec<u8>,
    refund_changes_xdr: Vec<u8>,
    code: Option<Code>,
    /// Per operation: changes and events, kept on success only.
    operations: Vec<(Vec<u8>, Vec<Vec<u8>>)>,
    return_value_xdr: Option<Vec<u8>>,
    diagnostics: Diagnostics,
    fees: SorobanFees,
    refunded: i64,
}

/// Resource fees in stroops.
#[derive(Clone, Copy, Debug, Default)]
struct SorobanFees {
    non_refundable: i64,
    /// Declared fee that is left for what can be refunded.
    refundable_limit: i64,
    refundable: i64,
    rent: i64,
}

const NO_CHANGES: [u8; 4] = [0; 4];

/// Takes the fee, whatever happens later; returns what went to the fee pool.
pub fn charge_fee(
    tx: &Arc<Parsed>,
    base_fee: i64,
    layer: &mut Layer<'_>,
    ledger: &ApplyLedger<'_>,
) -> Applying {
    let inclusion = tx.inclusion_fee().min(base_fee * tx.operation_count());
    let mut fee = inclusion + tx.resource_fee();
    let mut changes = ChangeList::default();
    if let Some(mut source) = account::load(layer, &tx.fee_source()) {
        fee = fee.min(source.balance);
        source.balance -= fee;
        write_account(layer, &mut changes, source, ledger.ledger.sequence);
    } else {
        fee = 0;
    }
    Applying {
        tx: Arc::clone(tx),
        fee_charged: fee,
        inclusion_rate: u64::try_from(if tx.is_soroban() {
            inclusion
        } else {
            inclusion / tx.inner_operation_count().max(1)
        })
        .unwrap_or(0),
        fee_changes_xdr: changes.finish(),
        before_changes_xdr: NO_CHANGES.to_vec(),
        refund_changes_xdr: NO_CHANGES.to_vec(),
        code: None,
        operations: Vec::new(),
        return_value_xdr: None,
        diagnostics: Diagnostics::default(),
        fees: SorobanFees::default(),
        refunded: 0,
    }
}

impl Applying {
    /// Checks the transaction once more and uses up its sequence; false when it may not run.
    pub fn prepare(&mut self, layer: &mut Layer<'_>, ledger: &ApplyLedger<'_>) -> bool {
        let tx = Arc::clone(&self.tx);
        if let (true, Some(part)) = (tx.is_soroban(), &tx.soroban) {
            let (non_refundable, _) = resource_fee(&tx, part, 0, ledger.ledger.settings);
            self.fees.non_refundable = non_refundable;
            self.fees.refundable_limit = part.data.resource_fee - non_refundable;
        }
        let mut changes = ChangeList::default();
        if let Some(bump) = &tx.fee_bump {
            // The network takes the payer's account up to look for a signer that the transaction uses up, and tells of
            // the account whether it finds one or not.
            let mut draft = Draft::new(layer, ledger.ledger.sequence);
            let payer = account_id(&bump.source);
            if let Some(account) = draft.account(&payer) {
                draft.store(account);
            }
            use_up(&mut draft, &tx.hash, [payer].into());
            layer.absorb(draft.finish_into(&mut changes));
        }
        let verdict = check(&tx, layer, &ledger.moment(), &mut self.diagnostics);
        let consumes = match &verdict {
            Ok(()) => true,
            Err(invalid) => invalid.consumes_sequence,
        };
        let mut draft = Draft::new(layer, ledger.ledger.sequence);
        if consumes {
            if let Some(mut source) = draft.account(&account_id(&tx.source)) {
                consume_sequence(
                    &mut source.data,
                    tx.sequence(),
                    ledger.ledger.sequence,
                    ledger.ledger.close_time_s,
                );
                draft.store(source);
            }
        }
        use_up(&mut draft, &tx.signed.hash, tx.accounts());
        layer.absorb(draft.finish_into(&mut changes));
        self.before_changes_xdr = changes.finish();
        match verdict {
            // Classic operations look for their sources when their turn comes: earlier ones may make them.
            Ok(()) if tx.is_soroban() && operation_source_is_missing(&tx, layer) => {
                self.code = Some(result::failed_at(&tx, 0, OperationResult::OpNoAccount));
                false
            }
            Ok(()) => true,
            Err(invalid) => {
                self.code = Some(invalid.code);
                false
            }
        }
    }

    /// Runs the classic operations, all or none.
    pub fn apply_classic(&mut self, layer: &mut Layer<'_>, ledger: &ApplyLedger<'_>) {
        let tx = Arc::clone(&self.tx);
        let mut inner = Layer::new(layer);
        let mut results = Vec::with_capacity(tx.tx.operations.len());
        let mut sponsorships = Sponsorships::default();
        let mut success = true;
        for (index, operation) in tx.tx.operations.iter().enumerate() {
            let mut work = Work::new(&tx, index, operation, &inner, ledger, &mut sponsorships);
            match classic::apply(&mut work, &operation.body) {
                Ok(result) => {
                    let (changes, applied) = work.finish();
                    inner.absorb(changes);
                    self.operations.push(applied);
                    results.push(OperationResult::OpInner(result));
                }
                Err(Failed::With(result)) => {
                    success = false;
                    results.push(*result);
                }
                Err(Failed::Internal) => {
                    self.operations.clear();
                    self.code = Some(Code::TxInternalError);
                    return;
                }
            }
        }
        let changes = inner.changes;
        let results = results.try_into().unwrap_or_default();
        if success && sponsorships.is_empty() {
            layer.absorb(changes);
            self.code = Some(Code::TxSuccess(results));
            return;
        }
        self.operations.clear();
        self.code = Some(if success {
            Code::TxBadSponsorship
        } else {
            Code::TxFailed(results)
        });
    }

    fn succeeded(&self) -> bool {
        matches!(self.code, Some(Code::TxSuccess(_)))
    }

    /// Gives back what was not used of the refundable fee; returns how much that was.
    pub fn refund(&mut self, layer: &mut Layer<'_>, ledger: &ApplyLedger<'_>) -> i64 {
        if !self.tx.is_soroban() {
            return 0;
        }
        if !self.succeeded() {
            self.fees.refundable = 0;
            self.fees.rent = 0;
        }
        let refund = (self.fees.refundable_limit - self.fees.refundable).min(self.fee_charged);
        if refund <= 0 {
            return 0;
        }
        let Some(mut source) = account::load(layer, &self.tx.fee_source()) else {
            return 0;
        };
        if !credit(&mut source, refund) {
            return 0;
        }
        let mut changes = ChangeList::default();
        write_account(layer, &mut changes, source, ledger.ledger.sequence);
        self.refund_changes_xdr = changes.finish();
        self.fee_charged -= refund;
        self.refunded = refund;
        refund
    }

    /// The record of what happened.
    pub fn finish(self, ledger: &ApplyLedger<'_>, application_order: u32) -> TransactionRecord {
        let successful = self.succeeded();
        let charged = self.fee_charged + self.refunded;
        let mut transaction_events_xdr = Vec::new();
        for (stage, amount) in [(0, charged), (2, -self.refunded)] {
            if amount != 0 {
                let event = fee_event(&ledger.native, &self.tx.fee_source(), amount);
                transaction_events_xdr.push(transaction_event(stage, &event));
            }
        }
        let soroban = self.tx.is_soroban().then_some(SorobanMeta {
            non_refundable_fee: self.fees.non_refundable,
            refundable_fee: self.fees.refundable,
            rent_fee: self.fees.rent,
            return_value_xdr: self.return_value_xdr.as_deref(),
        });
        let operations: &[_] = if successful { &self.operations } else { &[] };
        let meta_xdr = transaction_meta(&MetaParts {
            before_xdr: &self.before_changes_xdr,
            operations,
            soroban,
            events_xdr: &transaction_events_xdr,
            diagnostics_xdr: &self.diagnostics.events_xdr,
        });
        let code = self.code.unwrap_or(Code::TxInternalError);
        TransactionRecord {
            hash: self.tx.hash,
            inner_hash: self.tx.inner_hash(),
            ledger: ledger.ledger.sequence,
            application_order,
            close_time_s: ledger.ledger.close_time_s,
            close_time_ms: ledger.close_time_ms,
            successful,
            fee_charged_stroops: self.fee_charged,
            envelope_xdr: Arc::clone(&self.tx.envelope_xdr),
            result_xdr: result::encode_outcome(&self.tx, code, self.fee_charged),
            meta_xdr,
            diagnostic_events_xdr: self.diagnostics.events_xdr,
            transaction_events_xdr,
            contract_events_xdr: self
                .operations
                .into_iter()
                .map(|(_, events)| events)
                .collect(),
            fee_changes_xdr: self.fee_changes_xdr,
            post_apply_changes_xdr: self.refund_changes_xdr,
        }
    }
}

fn operation_source_is_missing(tx: &Parsed, layer: &Layer<'_>) -> bool {
    tx.tx
        .operations
        .first()
        .is_some_and(|operation| account::load(layer, &tx.operation_source(operation)).is_none())
}
