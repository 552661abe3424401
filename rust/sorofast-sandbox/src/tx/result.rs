//! Transaction results: building them, and their names as the network writes them.

use crate::ledger::classic::outcome;
use crate::tx::envelope::Parsed;
use stellar_xdr::{
    Limits, Operation, OperationResult, TransactionResult, TransactionResultCode,
    TransactionResultExt, TransactionResultResult, WriteXdr,
};

/// XDR of a `TransactionResult`.
pub fn encode(result: TransactionResultResult, fee_charged_stroops: i64) -> Vec<u8> {
    TransactionResult {
        fee_charged: fee_charged_stroops,
        result,
        ext: TransactionResultExt::V0,
    }
    .to_xdr(Limits::none())
    .unwrap_or_default()
}

/// XDR of the result of a transaction whose own outcome is `code`: wrapped, and free of charge for itself, where there
/// is a fee-bump around it.
pub fn encode_outcome(
    tx: &Parsed,
    code: TransactionResultResult,
    fee_charged_stroops: i64,
) -> Vec<u8> {
    let Some(inner_hash) = tx.inner_hash() else {
        return encode(code, fee_charged_stroops);
    };
    let outer = match code {
        TransactionResultResult::TxSuccess(_) => TransactionResultCode::TxFeeBumpInnerSuccess,
        _ => TransactionResultCode::TxFeeBumpInnerFailed,
    };
    // An inner result is written like one of its own; the outer one adds nothing but an empty extension after it.
    let mut out = fee_charged_stroops.to_be_bytes().to_vec();
    out.extend_from_slice(&(outer as i32).to_be_bytes());
    out.extend_from_slice(&inner_hash);
    out.extend_from_slice(&encode(code, 0));
    out.extend_from_slice(&[0; 4]);
    out
}

/// The result that an operation has before anything is known against it.
pub fn untouched(operation: &Operation) -> OperationResult {
    outcome::untouched(&operation.body)
}

/// txFAILED where the operation at `index` has the given result.
pub fn failed_at(tx: &Parsed, index: usize, result: OperationResult) -> TransactionResultResult {
    let mut results: Vec<OperationResult> = tx.tx.operations.iter().map(untouched).collect();
    results[index] = result;
    TransactionResultResult::TxFailed(results.try_into().unwrap_or_default())
}

/// `txSUCCESS`, `txBAD_SEQ`…
pub fn code_name(result: &TransactionResultResult) -> &'static str {
    match result {
        TransactionResultResult::TxFeeBumpInnerSuccess(_) => "txFEE_BUMP_INNER_SUCCESS",
        TransactionResultResult::TxFeeBumpInnerFailed(_) => "txFEE_BUMP_INNER_FAILED",
        TransactionResultResult::TxSuccess(_) => "txSUCCESS",
        TransactionResultResult::TxFailed(_) => "txFAILED",
        TransactionResultResult::TxTooEarly => "txTOO_EARLY",
        TransactionResultResult::TxTooLate => "txTOO_LATE",
        TransactionResultResult::TxMissingOperation => "txMISSING_OPERATION",
        TransactionResultResult::TxBadSeq => "txBAD_SEQ",
        TransactionResultResult::TxBadAuth => "txBAD_AUTH",
        TransactionResultResult::TxInsufficientBalance => "txINSUFFICIENT_BALANCE",
        TransactionResultResult::TxNoAccount => "txNO_ACCOUNT",
        TransactionResultResult::TxInsufficientFee => "txINSUFFICIENT_FEE",
        TransactionResultResult::TxBadAuthExtra => "txBAD_AUTH_EXTRA",
        TransactionResultResult::TxInternalError => "txINTERNAL_ERROR",
        TransactionResultResult::TxNotSupported => "txNOT_SUPPORTED",
        TransactionResultResult::TxBadSponsorship => "txBAD_SPONSORSHIP",
        TransactionResultResult::TxBadMinSeqAgeOrGap => "txBAD_MIN_SEQ_AGE_OR_GAP",
        TransactionResultResult::TxMalformed => "txMALFORMED",
        TransactionResultResult::TxSorobanInvalid => "txSOROBAN_INVALID",
        TransactionResultResult::TxFrozenKeyAccessed => "txFROZEN_KEY_ACCESSED",
    }
}

/// `INVOKE_HOST_FUNCTION_TRAPPED`, `opBAD_AUTH`…
pub fn operation_code_name(result: &OperationResult) -> String {
    match result {
        OperationResult::OpBadAuth => "opBAD_AUTH".into(),
        OperationResult::OpNoAccount => "opNO_ACCOUNT".into(),
        OperationResult::OpNotSupported => "opNOT_SUPPORTED".into(),
        OperationResult::OpTooManySubentries => "opTOO_MANY_SUBENTRIES".into(),
        OperationResult::OpExceededWorkLimit => "opEXCEEDED_WORK_LIMIT".into(),
        OperationResult::OpTooManySponsoring => "opTOO_MANY_SPONSORING".into(),
        OperationResult::OpInner(inner) => {
            format!(
                "{}_{}",
                screaming(inner.name()),
                screaming(outcome::code(inner))
            )
        }
    }
}

/// `ResourceLimitExceeded` as `RESOURCE_LIMIT_EXCEEDED`.
fn screaming(name: &str) -> String {
    let mut out = String::with_capacity(name.len() + 8);
    for (index, letter) in name.char_indices() {
        if index > 0 && letter.is_ascii_uppercase() {
            out.push('_');
        }
        out.push(letter.to_ascii_uppercase());
    }
    out
}

#[cfg(test)]
mod tests {
    use super::*;
    use stellar_xdr::{CreateAccountResult, InvokeHostFunctionResult, OperationResultTr};

    #[test]
    fn names_are_the_networks() {
        assert_eq!(
            operation_code_name(&OperationResult::OpInner(
                OperationResultTr::InvokeHostFunction(
                    InvokeHostFunctionResult::InsufficientRefundableFee
                )
            )),
            "INVOKE_HOST_FUNCTION_INSUFFICIENT_REFUNDABLE_FEE"
        );
        assert_eq!(
            operation_code_name(&OperationResult::OpInner(OperationResultTr::CreateAccount(
                CreateAccountResult::AlreadyExist
            ))),
            "CREATE_ACCOUNT_ALREADY_EXIST"
        );
    }
}
