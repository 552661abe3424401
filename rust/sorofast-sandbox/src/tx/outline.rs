//! An applied transaction told in words.

use crate::ledger::account::muxed_bytes;
use crate::ledger::classic;
use crate::tx::envelope::decode_limits;
use crate::tx::result::{code_name, operation_code_name};
use crate::types::{TransactionOutline, TransactionRecord};
use stellar_xdr::{
    FeeBumpTransactionInnerTx, HostFunction, InnerTransactionResultResult, Limits, OperationBody,
    OperationResult, Preconditions, ReadXdr, ScAddress, TransactionEnvelope, TransactionResult,
    TransactionResultResult, WriteXdr,
};

/// The first operation's result, if the operations were looked at.
fn first_operation(result: &TransactionResultResult) -> Option<&OperationResult> {
    match result {
        TransactionResultResult::TxSuccess(results)
        | TransactionResultResult::TxFailed(results) => results.first(),
        TransactionResultResult::TxFeeBumpInnerSuccess(inner)
        | TransactionResultResult::TxFeeBumpInnerFailed(inner) => match &inner.result.result {
            InnerTransactionResultResult::TxSuccess(results)
            | InnerTransactionResultResult::TxFailed(results) => results.first(),
            _ => None,
        },
        _ => None,
    }
}

/// Reads envelope and result; the error says which of them does not decode.
pub fn outline(record: &TransactionRecord) -> Result<TransactionOutline, String> {
    let limits = decode_limits(record.envelope_xdr.len());
    let envelope = TransactionEnvelope::from_xdr(&record.envelope_xdr, limits)
        .map_err(|error| format!("a stored envelope does not decode: {error}"))?;
    let (tx, payer) = match envelope {
        TransactionEnvelope::Tx(envelope) => (envelope.tx, None),
        TransactionEnvelope::TxFeeBump(envelope) => {
            let payer = muxed_bytes(&envelope.tx.fee_source);
            let FeeBumpTransactionInnerTx::Tx(inner) = envelope.tx.inner_tx;
            (inner.tx, Some(payer))
        }
        TransactionEnvelope::TxV0(_) => {
            return Err("a stored envelope is of version 0".into());
        }
    };
    let result = TransactionResult::from_xdr(&record.result_xdr, Limits::none())
        .map_err(|error| format!("a stored result does not decode: {error}"))?;
    let source = muxed_bytes(&tx.source_account);
    let mut outline = TransactionOutline {
        source,
        fee_source: payer.unwrap_or(source),
        operation_source: source,
        operation: "none",
        contract: None,
        function: None,
        args_xdr: Vec::new(),
        result_code: code_name(&result.result).to_string(),
        operation_result: first_operation(&result.result).map(operation_code_name),
        max_ledger: match &tx.cond {
            Preconditions::V2(v2) => v2.ledger_bounds.as_ref().map(|bounds| bounds.max_ledger),
            _ => None,
        },
    };
    let Some(operation) = tx.operations.first() else {
        return Ok(outline);
    };
    outline.operation_source = operation
        .source_account
        .as_ref()
        .map_or(source, muxed_bytes);
    outline.operation = match &operation.body {
        OperationBody::InvokeHostFunction(invoke) => match &invoke.host_function {
            HostFunction::InvokeContract(call) => {
                if let ScAddress::Contract(id) = &call.contract_address {
                    outline.contract = Some(id.0 .0);
                }
                outline.function =
                    Some(String::from_utf8_lossy(call.function_name.0.as_slice()).into_owned());
                outline.args_xdr = call
                    .args
                    .iter()
                    .map(|arg| arg.to_xdr(Limits::none()))
                    .collect::<Result<_, _>>()
                    .map_err(|error| format!("an argument does not encode: {error}"))?;
                "invoke_contract"
            }
            HostFunction::UploadContractWasm(_) => "upload_wasm",
            HostFunction::CreateContract(_) | HostFunction::CreateContractV2(_) => {
                "create_contract"
            }
        },
        OperationBody::ExtendFootprintTtl(_) => "extend_footprint_ttl",
        OperationBody::RestoreFootprint(_) => "restore_footprint",
        other => classic::name(other),
    };
    Ok(outline)
}
