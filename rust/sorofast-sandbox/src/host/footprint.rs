//! The entries that an invocation reads, with what the network checks before the host sees them.

use crate::host::invoke::{Failure, FailureCode, InvocationLedger, LIMIT, OVER_BUDGET};
use crate::ledger::settings::Settings;
use crate::ledger::state::{Entries, Key, Lifetime, Stored};
use crate::tx::diagnostics::Diagnostics;
use crate::tx::envelope::SorobanPart;
use soroban_env_host::xdr::{LedgerKey, ScBytes, ScError, ScErrorCode, ScVal};

/// What the host is given for one key.
#[derive(Debug)]
pub struct Input {
    pub key: Key,
    /// What the ledger holds, dead or alive.
    pub previous: Option<Stored>,
    /// What the host is to see; none when there is no live entry.
    pub entry: Option<Stored>,
    /// In place of the entry's own when it is being restored.
    pub lifetime: Option<Lifetime>,
    pub restored: bool,
}

/// `LedgerEntryType` at the start of a key.
fn kind(key: &[u8]) -> u8 {
    key[3]
}

const CONTRACT_DATA: u8 = 6;
const CONTRACT_CODE: u8 = 7;

pub fn is_soroban_key(key: &[u8]) -> bool {
    matches!(kind(key), CONTRACT_DATA | CONTRACT_CODE)
}

/// Durability is the last word of a data key; code always persists.
pub fn is_persistent(key: &[u8]) -> bool {
    kind(key) == CONTRACT_CODE || key[key.len() - 1] == 1
}

/// Reads the footprint in its order, as the network does before it calls the host.
pub fn load(
    part: &SorobanPart,
    ledger: &InvocationLedger<'_>,
    entries: &dyn Entries,
    diagnostics: &mut Diagnostics,
) -> Result<Vec<Input>, Failure> {
    let resources = &part.data.resources;
    let mut disk_bytes = 0_u32;
    let mut inputs = Vec::with_capacity(part.keys.len());
    for (index, key) in part.keys.iter().enumerate() {
        let found = entries.get(key);
        let lifetime = found.as_ref().and_then(|entry| entry.lifetime);
        let expired = lifetime.is_some_and(|lifetime| lifetime.live_until < ledger.sequence);
        let size = found.as_ref().map_or(0, |entry| entry.xdr.len() as u32);
        let mut input = Input {
            key: key.clone(),
            previous: found.clone(),
            entry: found,
            lifetime,
            restored: false,
        };
        if expired && !is_persistent(key) {
            // To the host it does not exist, yet the ledger keeps it until a call writes or evicts it.
            input.entry = None;
            input.lifetime = None;
        } else if expired {
            let marked = index
                .checked_sub(part.read_only)
                .is_some_and(|index| part.archived().contains(&(index as u32)));
            if !marked {
                tell_archived(part, index, diagnostics);
                return Err(Failure::Operation(FailureCode::EntryArchived));
            }
            input.restored = true;
            input.lifetime = lifetime.map(|lifetime| Lifetime {
                live_until: ledger.sequence + ledger.settings.archival.min_persistent_ttl - 1,
                modified: ledger.sequence,
                ..lifetime
            });
        }
        let size = if input.entry.is_some() { size } else { 0 };
        check_entry_size(key, size, ledger.settings, diagnostics)?;
        if input.restored || !is_soroban_key(key) {
            disk_bytes = disk_bytes.saturating_add(size);
            if disk_bytes > resources.disk_read_bytes {
                diagnostics.error(
                    OVER_BUDGET,
                    "operation byte-read resources exceeds amount specified",
                    &[u64::from(disk_bytes), u64::from(resources.disk_read_bytes)],
                );
                return Err(LIMIT);
            }
        }
        inputs.push(input);
    }
    Ok(inputs)
}

fn tell_archived(part: &SorobanPart, index: usize, diagnostics: &mut Diagnostics) {
    let footprint = &part.data.resources.footprint;
    let mut keys = footprint
        .read_only
        .iter()
        .chain(footprint.read_write.iter());
    let (message, values) = match keys.nth(index) {
        Some(LedgerKey::ContractCode(code)) => (
            "trying to access an archived contract code entry",
            vec![ScVal::Bytes(ScBytes(
                code.hash.0.to_vec().try_into().unwrap_or_default(),
            ))],
        ),
        Some(LedgerKey::ContractData(data)) => (
            "trying to access an archived contract data entry",
            vec![ScVal::Address(data.contract.clone()), data.key.clone()],
        ),
        _ => return,
    };
    diagnostics.error_about(ScError::Value(ScErrorCode::InvalidInput), message, values);
}

/// Holds an entry against the limit of its kind.
pub fn check_entry_size(
    key: &[u8],
    size_bytes: u32,
    settings: &Settings,
    diagnostics: &mut Diagnostics,
) -> Result<(), Failure> {
    let (limit, message) = match kind(key) {
        CONTRACT_CODE => (
            settings.max_contract_size_bytes,
            "Wasm size exceeds network config maximum contract size",
        ),
        CONTRACT_DATA => (
            settings.max_data_entry_size_bytes,
            "ContractData size exceeds network config maximum size",
        ),
        _ => return Ok(()),
    };
    if size_bytes > limit {
        diagnostics.error(
            OVER_BUDGET,
            message,
            &[u64::from(size_bytes), u64::from(limit)],
        );
        return Err(LIMIT);
    }
    Ok(())
}
