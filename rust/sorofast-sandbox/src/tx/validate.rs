//! Whether a transaction may enter the queue, a set, or apply: one order of checks for all three.

use crate::ledger::account::{self, available_balance, sequence_age, starting_sequence};
use crate::ledger::settings::{Settings, BASE_FEE_STROOPS};
use crate::ledger::state::Entries;
use crate::tx::diagnostics::Diagnostics;
use crate::tx::envelope::{is_soroban_operation, Parsed, SorobanPart};
use crate::tx::result;
use crate::tx::signatures::{Checker, Threshold};
use soroban_env_host::fees::{compute_transaction_resource_fee, TransactionResources};
use stellar_xdr::{
    AccountEntry, Asset, ContractIdPreimage, CreateAccountResult, HostFunction, LedgerKey, Memo,
    MuxedAccount, Operation, OperationBody, OperationResult, OperationResultTr, PaymentResult,
    ScError, ScErrorCode, SignerKey, TransactionResultResult as Code,
};

/// Largest resource fee that a transaction may declare.
const MAX_RESOURCE_FEE_STROOPS: i64 = 1 << 50;

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
}

fn early(code: Code) -> Invalid {
    Invalid {
        code,
        consumes_sequence: false,
    }
}

fn late(code: Code) -> Invalid {
    Invalid {
        code,
        consumes_sequence: true,
    }
}

/// The fee that a refusal quotes: lowest inclusion fee and declared resource fee.
pub fn quoted_fee(tx: &Parsed) -> i64 {
    (BASE_FEE_STROOPS * tx.operation_count().max(1)).saturating_add(tx.resource_fee())
}

/// (non-refundable, refundable) resource fee of the declared resources and an amount of events.
pub fn resource_fee(
    tx: &Parsed,
    part: &SorobanPart,
    events_bytes: u32,
    settings: &Settings,
) -> (i64, i64) {
    let resources = &part.data.resources;
    compute_transaction_resource_fee(
        &TransactionResources {
            instructions: resources.instructions,
            disk_read_entries: part.disk_read_entries,
            write_entries: resources.footprint.read_write.len() as u32,
            disk_read_bytes: resources.disk_read_bytes,
            write_bytes: resources.write_bytes,
            contract_events_size_bytes: events_bytes,
            transaction_size_bytes: tx.size_bytes(),
        },
        &settings.fees,
    )
}

/// All checks; on success the checker knows which signatures were of use.
pub fn check(
    tx: &Parsed,
    entries: &dyn Entries,
    moment: &Moment<'_>,
    diagnostics: &mut Diagnostics,
) -> Result<(), Invalid> {
    check_form(tx, moment.settings, diagnostics)?;
    check_bounds(tx, moment)?;
    if tx.inclusion_fee() < BASE_FEE_STROOPS * tx.operation_count() {
        return Err(early(Code::TxInsufficientFee));
    }
    let source = account::load(entries, &tx.source).ok_or(early(Code::TxNoAccount))?;
    if is_bad_sequence(tx, source.seq_num.0, moment) {
        return Err(early(Code::TxBadSeq));
    }
    if is_too_early_for_account(tx, &source, moment) {
        return Err(late(Code::TxBadMinSeqAgeOrGap));
    }
    let mut checker = Checker::new(tx);
    if !checker.account(&source, Threshold::Low) || !checker.extra_signers(extra_signers(tx)) {
        return Err(late(Code::TxBadAuth));
    }
    let fee_to_pay = if moment.applying { 0 } else { tx.full_fee() };
    if available_balance(&source) < fee_to_pay {
        return Err(late(Code::TxInsufficientBalance));
    }
    check_operation_signatures(tx, entries, &source, moment, &mut checker)?;
    if !moment.applying {
        for (index, operation) in tx.tx.operations.iter().enumerate() {
            if let Err(result) = check_operation(tx, operation, moment.settings, diagnostics) {
                return Err(late(result::failed_at(tx, index, *result)));
            }
        }
    }
    if !checker.all_used() {
        return Err(late(Code::TxBadAuthExtra));
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
    if tx.is_soroban() {
        match &tx.soroban {
            Some(part) if (0..=MAX_RESOURCE_FEE_STROOPS).contains(&part.data.resource_fee) => {}
            _ => return Err(early(Code::TxMalformed)),
        }
    }
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
        (Some(part), 1) => check_soroban_form(tx, part, settings, diagnostics),
        (Some(_), _) => Err(early(Code::TxMalformed)),
        (None, _) => Ok(()),
    }
}

/// The sentence that refuses an operation which the sandbox does not carry out.
fn unsupported(operation: &Operation) -> Option<String> {
    match &operation.body {
        OperationBody::InvokeHostFunction(_) | OperationBody::CreateAccount(_) => None,
        OperationBody::Payment(payment) if payment.asset == Asset::Native => None,
        OperationBody::Payment(_) => {
            Some("Payment of an asset other than native is not supported by the sandbox".into())
        }
        other => Some(format!(
            "operation {} is not supported by the sandbox; it carries out InvokeHostFunction, \
             CreateAccount and Payment",
            other.name()
        )),
    }
}

fn check_soroban_form(
    tx: &Parsed,
    part: &SorobanPart,
    settings: &Settings,
    diagnostics: &mut Diagnostics,
) -> Result<(), Invalid> {
    let invalid = || early(Code::TxSorobanInvalid);
    let muxed = |account: &MuxedAccount| matches!(account, MuxedAccount::MuxedEd25519(_));
    let source = tx.tx.operations[0].source_account.as_ref();
    if tx.tx.memo != Memo::None || muxed(&tx.tx.source_account) || source.is_some_and(muxed) {
        diagnostics
            .refusal("Soroban transactions are not allowed to use memo or muxed source account");
        return Err(invalid());
    }
    check_soroban_resources(tx, part, settings, diagnostics).map_err(|OverLimit| invalid())?;
    let limit = ScError::Value(ScErrorCode::ExceededLimit);
    let declared = part.data.resource_fee;
    if declared > tx.full_fee() {
        diagnostics.error(
            limit,
            "transaction `sorobanData.resourceFee` is higher than the full transaction fee",
            &[declared.unsigned_abs(), tx.full_fee().unsigned_abs()],
        );
        return Err(invalid());
    }
    let (non_refundable, refundable) = resource_fee(tx, part, 0, settings);
    let needed = non_refundable.saturating_add(refundable);
    if declared < needed {
        diagnostics.error(
            limit,
            "transaction `sorobanData.resourceFee` is lower than the actual Soroban resource fee",
            &[declared.unsigned_abs(), needed.unsigned_abs()],
        );
        return Err(invalid());
    }
    let mut keys: Vec<&[u8]> = part.keys.iter().map(|key| &**key).collect();
    keys.sort_unstable();
    if keys.windows(2).any(|pair| pair[0] == pair[1]) {
        diagnostics.error(
            ScError::Storage(ScErrorCode::InvalidInput),
            "Found duplicate key in the Soroban footprint; every key across read-only and \
             read-write footprints has to be unique.",
            &[],
        );
        return Err(invalid());
    }
    Ok(())
}

/// The declared resources or footprint are not what the network takes; the diagnostics say where.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct OverLimit;

/// Declared resources and footprint against the limits of one transaction.
pub fn check_soroban_resources(
    tx: &Parsed,
    part: &SorobanPart,
    settings: &Settings,
    diagnostics: &mut Diagnostics,
) -> Result<(), OverLimit> {
    let resources = &part.data.resources;
    let cost = &settings.ledger_cost;
    let budget = ScError::Budget(ScErrorCode::ExceededLimit);
    let storage = ScError::Storage(ScErrorCode::ExceededLimit);
    let instructions = u64::try_from(settings.compute.tx_max_instructions).unwrap_or(0);
    let limits: [(ScError, &str, u64, u64); 7] = [
        (
            budget.clone(),
            "transaction instructions resources exceed network config limit",
            u64::from(resources.instructions),
            instructions,
        ),
        (
            storage.clone(),
            "transaction byte-read resources exceed network config limit",
            u64::from(resources.disk_read_bytes),
            u64::from(cost.tx_max_disk_read_bytes),
        ),
        (
            storage.clone(),
            "transaction byte-write resources exceed network config limit",
            u64::from(resources.write_bytes),
            u64::from(cost.tx_max_write_bytes),
        ),
        (
            storage.clone(),
            "the number of entries in transaction footprint exceeds the network config limit",
            part.keys.len() as u64,
            u64::from(settings.ledger_cost_ext.tx_max_footprint_entries),
        ),
        (
            storage.clone(),
            "transaction entry-disk-read resources exceed network config limit",
            u64::from(part.disk_read_entries),
            u64::from(cost.tx_max_disk_read_entries),
        ),
        (
            storage.clone(),
            "transaction entry-write resources exceed network config limit",
            resources.footprint.read_write.len() as u64,
            u64::from(cost.tx_max_write_ledger_entries),
        ),
        (
            budget,
            "total transaction size exceeds network config limit",
            u64::from(tx.size_bytes()),
            u64::from(settings.bandwidth.tx_max_size_bytes),
        ),
    ];
    for (error, message, asked, limit) in limits {
        if asked > limit {
            diagnostics.error(error, message, &[asked, limit]);
            return Err(OverLimit);
        }
    }
    let footprint = &resources.footprint;
    let keys = footprint
        .read_only
        .iter()
        .chain(footprint.read_write.iter());
    for (key, xdr) in keys.zip(&part.keys) {
        check_footprint_key(key, xdr.len(), settings, diagnostics)?;
    }
    check_archived(part, diagnostics)
}

fn check_footprint_key(
    key: &LedgerKey,
    size_bytes: usize,
    settings: &Settings,
    diagnostics: &mut Diagnostics,
) -> Result<(), OverLimit> {
    match key {
        LedgerKey::Account(_) | LedgerKey::ContractData(_) | LedgerKey::ContractCode(_) => {}
        LedgerKey::Trustline(line) => {
            use stellar_xdr::TrustLineAsset;
            let issued_by_holder = match &line.asset {
                TrustLineAsset::Native => true,
                TrustLineAsset::CreditAlphanum4(asset) => {
                    asset.issuer == line.account_id || !is_code(asset.asset_code.as_slice(), 1)
                }
                TrustLineAsset::CreditAlphanum12(asset) => {
                    asset.issuer == line.account_id || !is_code(asset.asset_code.as_slice(), 5)
                }
                TrustLineAsset::PoolShare(_) => false,
            };
            if issued_by_holder {
                diagnostics.error(
                    ScError::Storage(ScErrorCode::InvalidInput),
                    "transaction footprint contains invalid trustline asset",
                    &[],
                );
                return Err(OverLimit);
            }
        }
        other => {
            diagnostics.error(
                ScError::Storage(ScErrorCode::UnexpectedType),
                "transaction footprint contains unsupported ledger key type",
                &[other.discriminant() as u64],
            );
            return Err(OverLimit);
        }
    }
    if size_bytes > settings.max_key_size_bytes as usize {
        diagnostics.error(
            ScError::Storage(ScErrorCode::ExceededLimit),
            "transaction footprint key exceeds network config limit",
            &[size_bytes as u64, u64::from(settings.max_key_size_bytes)],
        );
        return Err(OverLimit);
    }
    Ok(())
}

/// Letters and digits, then only zeros, and no shorter than its kind.
fn is_code(code: &[u8], shortest: usize) -> bool {
    let length = code.iter().position(|b| *b == 0).unwrap_or(code.len());
    length >= shortest
        && code[..length].iter().all(u8::is_ascii_alphanumeric)
        && code[length..].iter().all(|b| *b == 0)
}

fn check_archived(part: &SorobanPart, diagnostics: &mut Diagnostics) -> Result<(), OverLimit> {
    let read_write = &part.data.resources.footprint.read_write;
    let mut last = None;
    for &index in part.archived() {
        let reason = match read_write.get(index as usize) {
            _ if last >= Some(index) => "archivedSorobanEntries must be sorted in ascending order",
            None => "archivedSorobanEntries index is out of bounds",
            Some(LedgerKey::ContractCode(_)) => "",
            Some(LedgerKey::ContractData(data))
                if data.durability == stellar_xdr::ContractDataDurability::Persistent =>
            {
                ""
            }
            Some(_) => "archivedSorobanEntries index points to a non-persistent entry",
        };
        if !reason.is_empty() {
            diagnostics.error(
                ScError::Storage(ScErrorCode::InvalidInput),
                reason,
                &[u64::from(index)],
            );
            return Err(OverLimit);
        }
        last = Some(index);
    }
    Ok(())
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

fn check_operation_signatures(
    tx: &Parsed,
    entries: &dyn Entries,
    source: &AccountEntry,
    moment: &Moment<'_>,
    checker: &mut Checker<'_>,
) -> Result<(), Invalid> {
    let mut first_failure = None;
    let mut results: Vec<OperationResult> =
        tx.tx.operations.iter().map(result::untouched).collect();
    for (index, operation) in tx.tx.operations.iter().enumerate() {
        let id = tx.operation_source(operation);
        let loaded;
        let account = if id == tx.source {
            Some(source)
        } else {
            loaded = account::load(entries, &id);
            loaded.as_ref()
        };
        let failure = match account {
            Some(account) if checker.account(account, Threshold::Medium) => None,
            None if moment.applying || operation.source_account.is_none() => {
                Some(OperationResult::OpNoAccount)
            }
            None if checker.missing_account(&id) => None,
            _ => Some(OperationResult::OpBadAuth),
        };
        if let Some(failure) = failure {
            results[index] = failure;
            first_failure.get_or_insert(index);
            // Admission stops at the first; while applying, every operation gets its own verdict.
            if !moment.applying {
                break;
            }
        }
    }
    match first_failure {
        None => Ok(()),
        Some(_) => Err(late(Code::TxFailed(results.try_into().unwrap_or_default()))),
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
        OperationBody::CreateAccount(create) => {
            let to_itself =
                account::account_id_bytes(&create.destination) == tx.operation_source(operation);
            if create.starting_balance < 0 || to_itself {
                return Err(Box::new(OperationResult::OpInner(
                    OperationResultTr::CreateAccount(CreateAccountResult::Malformed),
                )));
            }
        }
        OperationBody::Payment(payment) => {
            if payment.amount <= 0 {
                return Err(Box::new(OperationResult::OpInner(
                    OperationResultTr::Payment(PaymentResult::Malformed),
                )));
            }
        }
        OperationBody::InvokeHostFunction(invoke) => {
            check_host_function(&invoke.host_function, settings, diagnostics)?;
        }
        _ => return Err(Box::new(OperationResult::OpNotSupported)),
    }
    Ok(())
}

fn check_host_function(
    function: &HostFunction,
    settings: &Settings,
    diagnostics: &mut Diagnostics,
) -> Result<(), Box<OperationResult>> {
    // The network leaves the operation's own result at its default here; the transaction fails as a whole.
    let refused = || {
        Box::new(OperationResult::OpInner(
            OperationResultTr::InvokeHostFunction(stellar_xdr::InvokeHostFunctionResult::Malformed),
        ))
    };
    match function {
        HostFunction::UploadContractWasm(wasm)
            if wasm.len() > settings.max_contract_size_bytes as usize =>
        {
            diagnostics.error(
                ScError::Budget(ScErrorCode::ExceededLimit),
                "uploaded Wasm size exceeds network config maximum contract size",
                &[
                    wasm.len() as u64,
                    u64::from(settings.max_contract_size_bytes),
                ],
            );
            Err(refused())
        }
        HostFunction::CreateContract(create) => match &create.contract_id_preimage {
            ContractIdPreimage::Asset(asset) if !is_valid_asset(asset) => {
                diagnostics.refusal("invalid asset to create contract from");
                Err(refused())
            }
            _ => Ok(()),
        },
        _ => Ok(()),
    }
}

fn is_valid_asset(asset: &Asset) -> bool {
    match asset {
        Asset::Native => true,
        Asset::CreditAlphanum4(asset) => is_code(asset.asset_code.as_slice(), 1),
        Asset::CreditAlphanum12(asset) => is_code(asset.asset_code.as_slice(), 5),
    }
}
