//! The only operation of a Soroban transaction: run, pay for rent and events, write.

use super::{ApplyLedger, Applying};
use crate::crypto::sha256_parts;
use crate::host::invoke::{invoke, EntryChange, Failure, Invocation, Success};
use crate::ledger::bumps::Bumps;
use crate::ledger::changes::ChangeList;
use crate::ledger::state::Layer;
use crate::ledger::ttl_ops::{self, Outcome};
use crate::tx::envelope::{Parsed, SorobanPart};
use crate::tx::soroban_form::resource_fee;
use soroban_env_host::ModuleCache;
use std::sync::Arc;
use stellar_xdr::{
    ExtendFootprintTtlOp, ExtendFootprintTtlResult, Hash, InvokeHostFunctionOp,
    InvokeHostFunctionResult, InvokeHostFunctionSuccessPreImage, Limits, OperationBody,
    OperationResult, OperationResultTr, ReadXdr, RestoreFootprintResult, ScError, ScErrorCode,
    TransactionResultResult as Code,
};

/// Where an operation reads and writes.
struct Place<'a, 'b> {
    part: &'a SorobanPart,
    layer: &'a mut Layer<'b>,
    ledger: &'a ApplyLedger<'a>,
    bumps: &'a mut Bumps,
}

impl Applying {
    /// Runs the operation.
    pub fn apply_soroban(
        &mut self,
        layer: &mut Layer<'_>,
        ledger: &ApplyLedger<'_>,
        seed: [u8; 32],
        modules: &ModuleCache,
        bumps: &mut Bumps,
    ) {
        let tx = Arc::clone(&self.tx);
        let (Some(part), [operation]) = (&tx.soroban, tx.tx.operations.as_slice()) else {
            self.code = Some(Code::TxInternalError);
            return;
        };
        let mut place = Place {
            part,
            layer,
            ledger,
            bumps,
        };
        let result = match &operation.body {
            OperationBody::InvokeHostFunction(operation) => {
                self.invoke_host_function(&tx, operation, seed, modules, &mut place)
            }
            OperationBody::ExtendFootprintTtl(operation) => {
                Some(self.extend_footprint_ttl(&tx, operation, &mut place))
            }
            OperationBody::RestoreFootprint(_) => Some(self.restore_footprint(&tx, &mut place)),
            _ => None,
        };
        let Some((result, succeeded)) = result else {
            self.code = Some(Code::TxInternalError);
            return;
        };
        let results = vec![OperationResult::OpInner(result)];
        let results = results.try_into().unwrap_or_default();
        self.code = Some(if succeeded {
            Code::TxSuccess(results)
        } else {
            Code::TxFailed(results)
        });
    }

    /// None when something that must not happen happened inside the host.
    fn invoke_host_function(
        &mut self,
        tx: &Parsed,
        operation: &InvokeHostFunctionOp,
        seed: [u8; 32],
        modules: &ModuleCache,
        place: &mut Place<'_, '_>,
    ) -> Option<(OperationResultTr, bool)> {
        let invocation = Invocation {
            tx,
            part: place.part,
            operation,
            seed,
            modules,
        };
        let outcome = invoke(
            &invocation,
            &place.ledger.ledger,
            place.layer,
            &mut self.diagnostics,
        );
        let result = match outcome {
            Ok(success) => self.settle_invocation(tx, success, place),
            Err(Failure::Operation(code)) => code.result(),
            Err(Failure::Internal) => return None,
        };
        let succeeded = matches!(result, InvokeHostFunctionResult::Success(_));
        Some((OperationResultTr::InvokeHostFunction(result), succeeded))
    }

    fn settle_invocation(
        &mut self,
        tx: &Parsed,
        success: Success,
        place: &mut Place<'_, '_>,
    ) -> InvokeHostFunctionResult {
        if !self.pay(tx, success.events_bytes, success.rent_fee_stroops, place) {
            return InvokeHostFunctionResult::InsufficientRefundableFee;
        }
        let mut list = ChangeList::default();
        for change in &success.changes {
            list.call(change, place.ledger.ledger.sequence);
        }
        write(success.changes, place);
        let hash = success_hash(&success.return_value_xdr, &success.events_xdr);
        self.operations.push((list.finish(), success.events_xdr));
        self.return_value_xdr = Some(success.return_value_xdr);
        InvokeHostFunctionResult::Success(Hash(hash))
    }

    fn extend_footprint_ttl(
        &mut self,
        tx: &Parsed,
        operation: &ExtendFootprintTtlOp,
        place: &mut Place<'_, '_>,
    ) -> (OperationResultTr, bool) {
        use ExtendFootprintTtlResult as Result;
        let outcome = ttl_ops::extend(
            place.part,
            operation.extend_to,
            &place.ledger.ledger,
            place.layer,
            &mut self.diagnostics,
        );
        let result = match outcome {
            Err(ttl_ops::OverLimit) => Result::ResourceLimitExceeded,
            Ok(outcome) if !self.pay(tx, 0, outcome.rent_fee_stroops, place) => {
                Result::InsufficientRefundableFee
            }
            Ok(outcome) => {
                self.finish_ttl_operation(outcome, place);
                Result::Success
            }
        };
        let succeeded = result == Result::Success;
        (OperationResultTr::ExtendFootprintTtl(result), succeeded)
    }

    fn restore_footprint(
        &mut self,
        tx: &Parsed,
        place: &mut Place<'_, '_>,
    ) -> (OperationResultTr, bool) {
        use RestoreFootprintResult as Result;
        let outcome = ttl_ops::restore(
            place.part,
            &place.ledger.ledger,
            place.layer,
            &mut self.diagnostics,
        );
        let result = match outcome {
            Err(ttl_ops::OverLimit) => Result::ResourceLimitExceeded,
            Ok(outcome) if !self.pay(tx, 0, outcome.rent_fee_stroops, place) => {
                Result::InsufficientRefundableFee
            }
            Ok(outcome) => {
                self.finish_ttl_operation(outcome, place);
                Result::Success
            }
        };
        let succeeded = result == Result::Success;
        (OperationResultTr::RestoreFootprint(result), succeeded)
    }

    fn finish_ttl_operation(&mut self, outcome: Outcome, place: &mut Place<'_, '_>) {
        let mut list = ChangeList::default();
        list.lifetimes(&outcome.changes, place.ledger.ledger.sequence);
        write(outcome.changes, place);
        self.operations.push((list.finish(), Vec::new()));
    }

    /// Charges rent and events to the refundable fee; false when it does not cover them.
    fn pay(
        &mut self,
        tx: &Parsed,
        events_bytes: u32,
        rent_fee_stroops: i64,
        place: &Place<'_, '_>,
    ) -> bool {
        let settings = place.ledger.ledger.settings;
        let (_, events_fee) = resource_fee(tx, place.part, events_bytes, settings);
        let limit = self.fees.refundable_limit;
        let left = limit.saturating_sub(rent_fee_stroops);
        let lacking = if left < 0 {
            Some((
                "refundable resource fee was not sufficient to cover the ledger storage rent: {} > {}",
                [rent_fee_stroops, limit],
            ))
        } else if events_fee > left {
            Some((
                "refundable resource fee was not sufficient to cover the events fee after paying for \
                 ledger storage rent: {} > {}",
                [events_fee, left],
            ))
        } else {
            None
        };
        if let Some((message, values)) = lacking {
            self.diagnostics.error(
                ScError::Budget(ScErrorCode::ExceededLimit),
                message,
                &values.map(|value| value.max(0).unsigned_abs()),
            );
            return false;
        }
        let consumed = rent_fee_stroops.saturating_add(events_fee);
        self.fees.refundable = consumed;
        self.fees.rent = rent_fee_stroops;
        true
    }
}

fn write(changes: Vec<EntryChange>, place: &mut Place<'_, '_>) {
    for change in changes {
        match change.after {
            Some(entry) if change.read_only => {
                if let Some(lifetime) = entry.lifetime {
                    place.bumps.note(change.key, lifetime.live_until);
                }
            }
            Some(entry) => place.layer.put(change.key, entry),
            None => place.layer.delete(change.key),
        }
    }
}

fn success_hash(return_value_xdr: &[u8], events_xdr: &[Vec<u8>]) -> [u8; 32] {
    // The preimage is the value and the list of events, all of which are encoded already.
    let count = (events_xdr.len() as u32).to_be_bytes();
    let mut parts: Vec<&[u8]> = vec![return_value_xdr, &count];
    parts.extend(events_xdr.iter().map(Vec::as_slice));
    debug_assert!(decodes_as_preimage(&parts.concat()));
    sha256_parts(&parts)
}

fn decodes_as_preimage(bytes: &[u8]) -> bool {
    InvokeHostFunctionSuccessPreImage::from_xdr(bytes, Limits::none()).is_ok()
}
