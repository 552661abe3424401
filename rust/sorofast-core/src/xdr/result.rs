//! Transaction results: what was charged and which code it ended with.

use std::borrow::Cow;

use super::reader::{Reader, XdrError};
use crate::types::Stroops;

/// The outcome of a transaction, or of the envelope inside a fee bump.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ResultSummary {
    /// What the source paid.
    pub fee_charged: Stroops,
    /// `txSUCCESS` and the like; a fee bump's own code where it is one.
    pub code: &'static str,
    /// The first operation's code, of the inner transaction where it is a fee bump.
    pub operation: Option<Cow<'static, str>>,
}

const INNER_SUCCESS: i32 = 1;
const INNER_FAILED: i32 = -13;
const SUCCESS: i32 = 0;
const FAILED: i32 = -1;

fn transaction_code(code: i32) -> Option<&'static str> {
    Some(match code {
        INNER_SUCCESS => "txFEE_BUMP_INNER_SUCCESS",
        SUCCESS => "txSUCCESS",
        FAILED => "txFAILED",
        -2 => "txTOO_EARLY",
        -3 => "txTOO_LATE",
        -4 => "txMISSING_OPERATION",
        -5 => "txBAD_SEQ",
        -6 => "txBAD_AUTH",
        -7 => "txINSUFFICIENT_BALANCE",
        -8 => "txNO_ACCOUNT",
        -9 => "txINSUFFICIENT_FEE",
        -10 => "txBAD_AUTH_EXTRA",
        -11 => "txINTERNAL_ERROR",
        -12 => "txNOT_SUPPORTED",
        INNER_FAILED => "txFEE_BUMP_INNER_FAILED",
        -14 => "txBAD_SPONSORSHIP",
        -15 => "txBAD_MIN_SEQ_AGE_OR_GAP",
        -16 => "txMALFORMED",
        -17 => "txSOROBAN_INVALID",
        -18 => "txFROZEN_KEY_ACCESSED",
        _ => return None,
    })
}

const OUTER_CODES: [&str; 6] = [
    "opBAD_AUTH",
    "opNO_ACCOUNT",
    "opNOT_SUPPORTED",
    "opTOO_MANY_SUBENTRIES",
    "opEXCEEDED_WORK_LIMIT",
    "opTOO_MANY_SPONSORING",
];

const CREATE_ACCOUNT: (&str, &[&str]) = (
    "CREATE_ACCOUNT",
    &[
        "SUCCESS",
        "MALFORMED",
        "UNDERFUNDED",
        "LOW_RESERVE",
        "ALREADY_EXIST",
    ],
);
const PAYMENT: (&str, &[&str]) = (
    "PAYMENT",
    &[
        "SUCCESS",
        "MALFORMED",
        "UNDERFUNDED",
        "SRC_NO_TRUST",
        "SRC_NOT_AUTHORIZED",
        "NO_DESTINATION",
        "NO_TRUST",
        "NOT_AUTHORIZED",
        "LINE_FULL",
        "NO_ISSUER",
    ],
);
const INVOKE: (&str, &[&str]) = (
    "INVOKE_HOST_FUNCTION",
    &[
        "SUCCESS",
        "MALFORMED",
        "TRAPPED",
        "RESOURCE_LIMIT_EXCEEDED",
        "ENTRY_ARCHIVED",
        "INSUFFICIENT_REFUNDABLE_FEE",
    ],
);
const EXTEND: (&str, &[&str]) = (
    "EXTEND_FOOTPRINT_TTL",
    &[
        "SUCCESS",
        "MALFORMED",
        "RESOURCE_LIMIT_EXCEEDED",
        "INSUFFICIENT_REFUNDABLE_FEE",
    ],
);
const RESTORE: (&str, &[&str]) = (
    "RESTORE_FOOTPRINT",
    &[
        "SUCCESS",
        "MALFORMED",
        "RESOURCE_LIMIT_EXCEEDED",
        "INSUFFICIENT_REFUNDABLE_FEE",
    ],
);

/// Reads a `TransactionResult` as far as the first operation's code.
pub fn read_result(data: &[u8]) -> Result<ResultSummary, XdrError> {
    let reader = &mut Reader::new(data);
    let fee_charged = Stroops(reader.i64()?);
    let (value, code) = read_code(reader)?;
    let operation = match value {
        SUCCESS | FAILED => read_operation(reader)?,
        INNER_SUCCESS | INNER_FAILED => {
            // Hash and fee of the inner transaction; a protocol that has fee bumps charges the outer one.
            reader.take(32 + 8)?;
            match read_code(reader)?.0 {
                SUCCESS | FAILED => read_operation(reader)?,
                _ => None,
            }
        }
        _ => None,
    };
    Ok(ResultSummary {
        fee_charged,
        code,
        operation,
    })
}

fn read_code(reader: &mut Reader<'_>) -> Result<(i32, &'static str), XdrError> {
    let offset = reader.position();
    let value = reader.i32()?;
    transaction_code(value)
        .map(|name| (value, name))
        .ok_or_else(|| XdrError::new(offset, format!("{value} is no transaction result code")))
}

fn read_operation(reader: &mut Reader<'_>) -> Result<Option<Cow<'static, str>>, XdrError> {
    if reader.count(4)? == 0 {
        return Ok(None);
    }
    let offset = reader.position();
    let outer = reader.i32()?;
    if outer != 0 {
        let name = usize::try_from(-1 - i64::from(outer))
            .ok()
            .and_then(|index| OUTER_CODES.get(index));
        return name
            .map(|name| Some(Cow::Borrowed(*name)))
            .ok_or_else(|| XdrError::new(offset, format!("{outer} is no operation result code")));
    }
    let kind = reader.u32()?;
    let code = reader.i32()?;
    let (operation, names) = match kind {
        0 => CREATE_ACCOUNT,
        1 => PAYMENT,
        24 => INVOKE,
        25 => EXTEND,
        26 => RESTORE,
        _ => return Ok(Some(format!("OPERATION_{kind}_CODE_{code}").into())),
    };
    let name = usize::try_from(-i64::from(code))
        .ok()
        .and_then(|index| names.get(index));
    Ok(Some(
        name.map_or_else(
            || format!("{operation}_CODE_{code}"),
            |name| format!("{operation}_{name}"),
        )
        .into(),
    ))
}
