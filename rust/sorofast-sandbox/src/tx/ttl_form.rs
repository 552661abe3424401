//! Whether the operations that touch lifetimes alone are well formed.

use crate::host::footprint::{is_persistent, is_soroban_key};
use crate::ledger::settings::Settings;
use crate::tx::diagnostics::Diagnostics;
use crate::tx::envelope::Parsed;
use stellar_xdr::{
    ExtendFootprintTtlOp, ExtendFootprintTtlResult, OperationResult, OperationResultTr,
    RestoreFootprintResult, ScError, ScErrorCode,
};

const MISUSED: ScError = ScError::Storage(ScErrorCode::InvalidInput);

pub fn check_extend(
    tx: &Parsed,
    operation: &ExtendFootprintTtlOp,
    settings: &Settings,
    diagnostics: &mut Diagnostics,
) -> Result<(), Box<OperationResult>> {
    let mut malformed = |message: &str, values: &[u64]| {
        diagnostics.error(MISUSED, message, values);
        Err(Box::new(OperationResult::OpInner(
            OperationResultTr::ExtendFootprintTtl(ExtendFootprintTtlResult::Malformed),
        )))
    };
    let keys = tx.soroban.as_ref().map_or(&[][..], |part| &part.keys);
    let read_only = tx.soroban.as_ref().map_or(0, |part| part.read_only);
    if keys.len() > read_only {
        return malformed(
            "read-write footprint must be empty for ExtendFootprintTTL operation",
            &[],
        );
    }
    if !keys.iter().all(|key| is_soroban_key(key)) {
        return malformed(
            "only entries with TTL (contract data or code entries) can have it extended",
            &[],
        );
    }
    let longest = settings.archival.max_entry_ttl - 1;
    if operation.extend_to > longest {
        return malformed(
            "TTL extension is too large: {} > {}",
            &[u64::from(operation.extend_to), u64::from(longest)],
        );
    }
    Ok(())
}

pub fn check_restore(
    tx: &Parsed,
    diagnostics: &mut Diagnostics,
) -> Result<(), Box<OperationResult>> {
    let mut malformed = |message: &str| {
        diagnostics.error(MISUSED, message, &[]);
        Err(Box::new(OperationResult::OpInner(
            OperationResultTr::RestoreFootprint(RestoreFootprintResult::Malformed),
        )))
    };
    let keys = tx.soroban.as_ref().map_or(&[][..], |part| &part.keys);
    if tx.soroban.as_ref().is_some_and(|part| part.read_only > 0) {
        return malformed("read-only footprint must be empty for RestoreFootprint operation");
    }
    if !keys
        .iter()
        .all(|key| is_soroban_key(key) && is_persistent(key))
    {
        return malformed("only persistent Soroban entries can be restored");
    }
    Ok(())
}
