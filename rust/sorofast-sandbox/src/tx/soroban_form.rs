//! What a Soroban transaction declares, against the limits of one transaction.

use crate::ledger::settings::Settings;
use crate::tx::diagnostics::Diagnostics;
use crate::tx::envelope::{Parsed, SorobanPart};
use soroban_env_host::fees::{compute_transaction_resource_fee, TransactionResources};
use stellar_xdr::{
    Asset, ContractDataDurability, ContractIdPreimage, HostFunction, InvokeHostFunctionResult,
    LedgerKey, Memo, MuxedAccount, OperationBody, OperationResult, OperationResultTr, ScError,
    ScErrorCode, TrustLineAsset,
};

/// The transaction is not what the network takes; the diagnostics say where.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Invalidated;

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
            transaction_size_bytes: tx.size_bytes,
        },
        &settings.fees,
    )
}

/// Memo, sources, resources, fee and footprint of a Soroban transaction.
pub fn check(
    tx: &Parsed,
    part: &SorobanPart,
    settings: &Settings,
    diagnostics: &mut Diagnostics,
) -> Result<(), Invalidated> {
    let muxed = |account: &MuxedAccount| matches!(account, MuxedAccount::MuxedEd25519(_));
    let operation = &tx.tx.operations[0];
    let source = operation.source_account.as_ref();
    if matches!(operation.body, OperationBody::InvokeHostFunction(_))
        && (tx.tx.memo != Memo::None || muxed(&tx.tx.source_account) || source.is_some_and(muxed))
    {
        diagnostics
            .refusal("Soroban transactions are not allowed to use memo or muxed source account");
        return Err(Invalidated);
    }
    check_resources(tx, part, settings, diagnostics)?;
    let limit = ScError::Value(ScErrorCode::ExceededLimit);
    let declared = part.data.resource_fee;
    if tx.fee_bump.is_none() && declared > tx.full_fee() {
        diagnostics.error(
            limit,
            "transaction `sorobanData.resourceFee` is higher than the full transaction fee",
            &[declared.unsigned_abs(), tx.full_fee().unsigned_abs()],
        );
        return Err(Invalidated);
    }
    let (non_refundable, refundable) = resource_fee(tx, part, 0, settings);
    let needed = non_refundable.saturating_add(refundable);
    if declared < needed {
        diagnostics.error(
            limit,
            "transaction `sorobanData.resourceFee` is lower than the actual Soroban resource fee",
            &[declared.unsigned_abs(), needed.unsigned_abs()],
        );
        return Err(Invalidated);
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
        return Err(Invalidated);
    }
    Ok(())
}

/// Declared resources and footprint against the limits of one transaction.
pub fn check_resources(
    tx: &Parsed,
    part: &SorobanPart,
    settings: &Settings,
    diagnostics: &mut Diagnostics,
) -> Result<(), Invalidated> {
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
            u64::from(tx.size_bytes),
            u64::from(settings.bandwidth.tx_max_size_bytes),
        ),
    ];
    for (error, message, asked, limit) in limits {
        if asked > limit {
            diagnostics.error(error, message, &[asked, limit]);
            return Err(Invalidated);
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
) -> Result<(), Invalidated> {
    match key {
        LedgerKey::Account(_) | LedgerKey::ContractData(_) | LedgerKey::ContractCode(_) => {}
        LedgerKey::Trustline(line) => {
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
                return Err(Invalidated);
            }
        }
        other => {
            diagnostics.error(
                ScError::Storage(ScErrorCode::UnexpectedType),
                "transaction footprint contains unsupported ledger key type",
                &[other.discriminant() as u64],
            );
            return Err(Invalidated);
        }
    }
    if size_bytes > settings.max_key_size_bytes as usize {
        diagnostics.error(
            ScError::Storage(ScErrorCode::ExceededLimit),
            "transaction footprint key exceeds network config limit",
            &[size_bytes as u64, u64::from(settings.max_key_size_bytes)],
        );
        return Err(Invalidated);
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

fn check_archived(part: &SorobanPart, diagnostics: &mut Diagnostics) -> Result<(), Invalidated> {
    let read_write = &part.data.resources.footprint.read_write;
    let mut last = None;
    for &index in part.archived() {
        let number = u64::from(index);
        let (reason, values) = match read_write.get(index as usize) {
            _ if last >= Some(index) => (
                "archivedSorobanEntries must be sorted in ascending order",
                Vec::new(),
            ),
            None => (
                "archivedSorobanEntries index is out of bounds",
                vec![number, read_write.len() as u64],
            ),
            Some(key) if !is_persistent(key) => (
                "archivedSorobanEntries index points to a non-persistent entry",
                vec![number, key.discriminant() as u64],
            ),
            Some(_) => {
                last = Some(index);
                continue;
            }
        };
        let error = ScError::Storage(ScErrorCode::InvalidInput);
        diagnostics.error(error, reason, &values);
        return Err(Invalidated);
    }
    Ok(())
}

fn is_persistent(key: &LedgerKey) -> bool {
    match key {
        LedgerKey::ContractCode(_) => true,
        LedgerKey::ContractData(data) => data.durability == ContractDataDurability::Persistent,
        _ => false,
    }
}

/// Whether a host function is well formed.
pub fn check_host_function(
    function: &HostFunction,
    settings: &Settings,
    diagnostics: &mut Diagnostics,
) -> Result<(), Box<OperationResult>> {
    // The network leaves the operation's own result at its default here; the transaction fails as a whole.
    let refused = || {
        Box::new(OperationResult::OpInner(
            OperationResultTr::InvokeHostFunction(InvokeHostFunctionResult::Malformed),
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
