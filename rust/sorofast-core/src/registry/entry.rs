//! Ledger entries, as getLedgerEntries answers hold them.

use super::keys::{read_contract_key, EntryKey, ACCOUNT, CONTRACT_DATA};
use super::task::{read_task, TaskState};
use crate::types::{AccountKey, ContractId, TaskId};
use crate::xdr::{read_account, skip_value, tag, AccountState, Reader, XdrError};

/// What an entry held.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Entry {
    /// From `Task(id)`.
    Task(TaskId, TaskState),
    /// From `TaskMeta(id)`.
    TaskMeta(TaskId, TaskState),
    /// The last task id given out.
    Counter(u64),
    /// The contract exists.
    Instance,
    /// An account.
    Account(AccountState),
    /// Something else of the registry.
    Other,
}

/// Reads the `LedgerEntryData` of one entry.
pub fn read_entry(
    data: &[u8],
    contract: &ContractId,
    keeper: &AccountKey,
) -> Result<Entry, XdrError> {
    let reader = &mut Reader::new(data);
    let offset = reader.position();
    let entry = match reader.u32()? {
        ACCOUNT => Entry::Account(read_account(reader)?),
        CONTRACT_DATA => {
            reader.expect(0, "extension of a contract data entry")?;
            read_contract_data(reader, contract, keeper)?
        }
        other => {
            return Err(XdrError::new(
                offset,
                format!("ledger entries of kind {other} were not asked for"),
            ))
        }
    };
    reader.finish()?;
    Ok(entry)
}

fn read_contract_data(
    reader: &mut Reader<'_>,
    contract: &ContractId,
    keeper: &AccountKey,
) -> Result<Entry, XdrError> {
    let key = read_contract_key(reader, contract)?;
    Ok(match key {
        EntryKey::Task(id) => Entry::Task(id, read_task(reader, keeper)?),
        EntryKey::TaskMeta(id) => Entry::TaskMeta(id, read_task(reader, keeper)?),
        EntryKey::Counter => Entry::Counter(read_counter(reader)?),
        EntryKey::Instance => {
            skip_value(reader)?;
            Entry::Instance
        }
        EntryKey::Account | EntryKey::Other => {
            skip_value(reader)?;
            Entry::Other
        }
    })
}

fn read_counter(reader: &mut Reader<'_>) -> Result<u64, XdrError> {
    let offset = reader.position();
    match reader.u32()? {
        tag::U32 => reader.u32().map(u64::from),
        tag::U64 => reader.u64(),
        other => Err(XdrError::new(
            offset,
            format!("the counter is of kind {other}, expected u32 or u64"),
        )),
    }
}
