//! Whether a transaction may enter the queue, a set, or apply: one order of checks for all three.

use crate::ledger::account::{
    self, account_id, available_balance, sequence_age, starting_sequence,
};
use crate::ledger::classic;
use crate::ledger::classic::outcome::Failed;
use crate::ledger::settings::{Settings, BASE_FEE_STROOPS};
use crate::ledger::state::Entries;
use crate::tx::diagnostics::Diagnostics;
use crate::tx::envelope::{is_soroban_operation, FeeBump, Parsed};
use crate::tx::result;
use crate::tx::signatures::{Checker, Threshold};
use crate::tx::soroban_form::{self, Invalidated};
use crate::tx::ttl_form;
use stellar_xdr::{
    AccountEntry, Operation, OperationBody, OperationResult, SignerKey,
    TransactionResultResult as Code,
};

/// The ledger that a transaction is measured against.
#[derive(Clone, Copy, Debug)]
pub struct Moment<'a> {
    pub settings: &'a Settings,
    /// Sequence of the header in force: the last closed ledger, or the one that is being applied.
    pub header_sequence: u32,
    /// The ledger that the transaction would land in.
    pub target_sequence: u32,
    /// `min_time` may not be later than this.
    pub lower_close_s: u64,
    /// `max_time` may not be earlier than this.
    pub upper_close_s: u64,
    /// While applying, the fee has been taken already.
    pub applying: bool,
}

/// Why a transaction is not valid.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Invalid {
    pub code: Code,
    /// Its sequence is used up all the same when this happens while applying.
    pub consumes_sequence: bool,
    /// It is the fee-bump, or the envelope as a whole, that is at fault, not the transaction itself.
    pub outer: bool,
    /// Stroops that the refusal quotes, where they are not the lowest fee.
    pub quote: Option<i64>,
}

impl Invalid {
    /// XDR of the refusal's result.
    pub fn result_xdr(self, tx: &Parsed) -> Vec<u8> {
        let fee = self.quote.unwrap_or_else(|| quoted_fee(tx));
        if self.outer {
            result::encode(self.code, fee)
        } else {
            result::encode_outcome(tx, self.code, fee)
        }
    }
}

fn early(code: Code) -> Invalid {
    Invalid {
        code,
        consumes_sequence: false,
        outer: false,
        quote: None,
    }
}

fn late(code: Code) -> Invalid {
    Invalid {
        consumes_sequence: true,
        ..early(code)
    }
}

fn outer(code: Code) -> Invalid {
    Invalid {
        outer: true,
        ..early(code)
    }
}

/// The fee that a refusal quotes: lowest inclusion fee and declared resource fee.
fn quoted_fee(tx: &Parsed) -> i64 {
    lowest_inclusion_fee(tx.operation_count()).saturating_add(tx.resource_fee())
}

fn lowest_inclusion_fee(operations: i64) -> i64 {
    BASE_FEE_STROOPS * operations.max(1)
}

/// All checks; on success the checker knows which signatures were of use.
pub fn check(
    tx: &Parsed,
    entries: &dyn Entries,
    moment: &Moment<'_>,
    diagnostics: &mut Diagnostics,
) -> Result<(), Invalid> {
    if !tx.has_valid_fees() {
        return Err(Invalid {
            quote: Some(0),
            ..outer(Code::TxMalformed)
        });
    }
    if let (Some(bump), false) = (&tx.fee_bump, moment.applying) {
        check_fee_bump(tx, bump, entries)?;
    }
    check_form(tx, moment.settings, diagnostics)?;
    check_bounds(tx, moment)?;
    let pays = tx.fee_bump.is_none();
    if pays && tx.inclusion_fee() < lowest_inclusion_fee(tx.operation_count()) {
        return Err(early(Code::TxInsufficientFee));
    }
    let source = account::load(entries, &tx.source).ok_or(early(Code::TxNoAccount))?;
    if is_bad_sequence(tx, source.seq_num.0, moment) {
        return Err(early(Code::TxBadSeq));
    }
    if is_too_early_for_account(tx, &source, moment) {
        return Err(late(Code::TxBadMinSeqAgeOrGap));
    }
    let mut checker = Checker::new(&tx.signed);
    if !checker.account(&source, Threshold::Low) || !checker.extra_signers(extra_signers(tx)) {
        return Err(late(Code::TxBadAuth));
    }
    let fee_to_pay = if moment.applying { 0 } else { tx.full_fee() };
    if pays && available_balance(&source) < fee_to_pay {
        return Err(late(Code::TxInsufficientBalance));
    }
    if moment.applying {
        check_all_signatures(tx, entries, &source, &mut checker)?;
    } else {
        for (index, operation) in tx.tx.operations.iter().enumerate() {
            let verdict = if is_signed(tx, operation, entries, &source, &mut checker) {
                check_operation(tx, operation, moment.settings, diagnostics)
            } else {
                Err(Box::new(OperationResult::OpBadAuth))
            };
            verdict.map_err(|result| late(result::failed_at(tx, index, *result)))?;
        }
    }
    if !checker.all_used() {
        return Err(late(Code::TxBadAuthExtra));
    }
    Ok(())
}

/// Fee, source and signatures of a fee-bump; while applying nobody asks for them again.
fn check_fee_bump(tx: &Parsed, bump: &FeeBump, entries: &dyn Entries) -> Result<(), Invalid> {
    let lowest = lowest_inclusion_fee(tx.operation_count());
    if tx.inclusion_fee() < lowest {
        return Err(outer(Code::TxInsufficientFee));
    }
    // Nobody may bid less per operation than the transaction does by itself. A call may bid less than nothing: then its
    // resource fee is more than it can write down as its fee.
    if tx.inner_inclusion_fee() >= 0 {
        let inner_lowest = i128::from(lowest_inclusion_fee(tx.inner_operation_count()));
        let needed = i128::from(tx.inner_inclusion_fee()) * i128::from(lowest);
        if i128::from(tx.inclusion_fee()) * inner_lowest < needed {
            let quote = i64::try_from((needed + inner_lowest - 1) / inner_lowest);
            return Err(Invalid {
                quote: Some(quote.unwrap_or(i64::MAX)),
                ..outer(Code::TxInsufficientFee)
            });
        }
    }
    let source = account::load(entries, &bump.source).ok_or(outer(Code::TxNoAccount))?;
    let mut checker = Checker::new(&bump.signed);
    if !checker.account(&source, Threshold::Low) {
        return Err(outer(Code::TxBadAuth));
    }
    if available_balance(&source) < tx.full_fee() {
        return Err(outer(Code::TxInsufficientBalance));
    }
    if !checker.all_used() {
        return Err(outer(Code::TxBadAuthExtra));
    }
    Ok(())
}

fn extra_signers(tx: &Parsed) -> &[SignerKey] {
    tx.preconditions_v2()
        .map_or(&[], |v2| v2.extra_signers.as_slice())
}

/// What does not depend on the ledger's entries.
fn check_form(
    tx: &Parsed,
    settings: &Settings,
    diagnostics: &mut Diagnostics,
) -> Result<(), Invalid> {
    if let [first, rest @ ..] = extra_signers(tx) {
        let empty_payload = |key: &SignerKey| matches!(key, SignerKey::Ed25519SignedPayload(signer) if signer.payload.is_empty());
        if rest.contains(first) || extra_signers(tx).iter().any(empty_payload) {
            return Err(early(Code::TxMalformed));
        }
    }
    let operations = &tx.tx.operations;
    if operations.is_empty() {
        return Err(early(Code::TxMissingOperation));
    }
    let soroban = operations
        .iter()
        .filter(|op| is_soroban_operation(op))
        .count();
    if soroban > 0 && operations.len() != 1 {
        return Err(early(Code::TxMalformed));
    }
    for (index, operation) in operations.iter().enumerate() {
        if let Some(reason) = unsupported(operation) {
            diagnostics.refusal(&reason);
            return Err(early(result::failed_at(
                tx,
                index,
                OperationResult::OpNotSupported,
            )));
        }
    }
    match (&tx.soroban, soroban) {
        (Some(part), 1) => soroban_form::check(tx, part, settings, diagnostics)
            .map_err(|Invalidated| early(Code::TxSorobanInvalid)),
        (Some(_), _) => Err(early(Code::TxMalformed)),
        (None, _) => Ok(()),
    }
}

/// The sentence that refuses an operation which the sandbox does not carry out.
fn unsupported(operation: &Operation) -> Option<String> {
    match &operation.body {
        OperationBody::InvokeHostFunction(_)
        | OperationBody::ExtendFootprintTtl(_)
        | OperationBody::RestoreFootprint(_) => None,
        body if classic::is_supported(body) => None,
        body => Some(format!(
            "operation {} is not supported by the sandbox: it has no offers and no liquidity pools",
            body.name()
        )),
    }
}

/// Time and ledger bounds.
fn check_bounds(tx: &Parsed, moment: &Moment<'_>) -> Result<(), Invalid> {
    let time = tx.time_bounds();
    let ledgers = tx.ledger_bounds();
    if time.is_some_and(|bounds| bounds.min_time.0 > moment.lower_close_s)
        || ledgers.is_some_and(|bounds| bounds.min_ledger > moment.target_sequence)
    {
        return Err(early(Code::TxTooEarly));
    }
    if time.is_some_and(|bounds| bounds.max_time.0 != 0 && bounds.max_time.0 < moment.upper_close_s)
        || ledgers.is_some_and(|bounds| {
            bounds.max_ledger != 0 && bounds.max_ledger <= moment.target_sequence
        })
    {
        return Err(early(Code::TxTooLate));
    }
    Ok(())
}

fn is_bad_sequence(tx: &Parsed, current: i64, moment: &Moment<'_>) -> bool {
    let wanted = tx.sequence();
    if wanted == starting_sequence(moment.header_sequence) {
        return true;
    }
    match tx.preconditions_v2().and_then(|v2| v2.min_seq_num.as_ref()) {
        Some(min) => current < min.0 || current >= wanted,
        None => current.checked_add(1) != Some(wanted),
    }
}

fn is_too_early_for_account(tx: &Parsed, source: &AccountEntry, moment: &Moment<'_>) -> bool {
    let Some(v2) = tx.preconditions_v2() else {
        return false;
    };
    let (sequence_ledger, sequence_time_s) = sequence_age(source);
    let too_young = match moment.lower_close_s.checked_sub(v2.min_seq_age.0) {
        Some(time_s) => time_s < sequence_time_s,
        None => true,
    };
    let too_near = match moment.target_sequence.checked_sub(v2.min_seq_ledger_gap) {
        Some(ledger) => ledger < sequence_ledger,
        None => true,
    };
    too_young || too_near
}

/// While applying, every operation gets its own verdict.
fn check_all_signatures(
    tx: &Parsed,
    entries: &dyn Entries,
    source: &AccountEntry,
    checker: &mut Checker<'_>,
) -> Result<(), Invalid> {
    let mut failed = false;
    let mut results: Vec<OperationResult> = Vec::with_capacity(tx.tx.operations.len());
    for operation in &tx.tx.operations {
        if is_signed(tx, operation, entries, source, checker) {
            results.push(result::untouched(operation));
        } else {
            failed = true;
            results.push(OperationResult::OpBadAuth);
        }
    }
    if failed {
        return Err(late(Code::TxFailed(results.try_into().unwrap_or_default())));
    }
    Ok(())
}

/// Did the operation's source sign? One that does not exist yet may still be made by an earlier operation, so its own
/// key is enough here.
fn is_signed(
    tx: &Parsed,
    operation: &Operation,
    entries: &dyn Entries,
    source: &AccountEntry,
    checker: &mut Checker<'_>,
) -> bool {
    let id = tx.operation_source(operation);
    let loaded;
    let account = if id == tx.source {
        Some(source)
    } else {
        loaded = account::load(entries, &id);
        loaded.as_ref()
    };
    match account {
        Some(account) => checker.account(account, classic::threshold(&operation.body)),
        None => checker.missing_account(&id),
    }
}

/// Whether an operation is well formed.
pub fn check_operation(
    tx: &Parsed,
    operation: &Operation,
    settings: &Settings,
    diagnostics: &mut Diagnostics,
) -> Result<(), Box<OperationResult>> {
    match &operation.body {
        OperationBody::InvokeHostFunction(invoke) => {
            soroban_form::check_host_function(&invoke.host_function, settings, diagnostics)
        }
        OperationBody::ExtendFootprintTtl(extend) => {
            ttl_form::check_extend(tx, extend, settings, diagnostics)
        }
        OperationBody::RestoreFootprint(_) => ttl_form::check_restore(tx, diagnostics),
        body => {
            classic::check(body, &account_id(&tx.operation_source(operation))).map_err(|failed| {
                match failed {
                    Failed::With(result) => result,
                    Failed::Internal => Box::new(OperationResult::OpNotSupported),
                }
            })
        }
    }
}
