//! Ledger entries and their keys, as getLedgerEntries answers hold them.

use super::account::{read_account, AccountState};
use super::reader::{Reader, XdrError};
use super::scval::{read_address, read_symbol, skip_value, tag, Address};
use super::task::{read_task, TaskState};
use crate::types::{AccountKey, ContractId, TaskId};

const ACCOUNT: u32 = 0;
const CONTRACT_DATA: u32 = 6;

/// Which of the registry's entries a key names.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum EntryKey {
    /// The whole of a task.
    Task(TaskId),
    /// The changing part of a task, in contracts that keep it apart.
    TaskMeta(TaskId),
    /// How many task ids were given out.
    Counter,
    /// The contract's instance.
    Instance,
    /// An account.
    Account,
    /// An entry of the registry that the engine does not read.
    Other,
}

/// What an entry held.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
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

/// Contract, key and durability, which an entry and its key have in common.
fn read_contract_key(reader: &mut Reader<'_>, contract: &ContractId) -> Result<EntryKey, XdrError> {
    let offset = reader.position();
    if read_address(reader)? != Address::Contract(&contract.0) {
        return Err(XdrError::new(offset, "the entry is another contract's"));
    }
    let key = read_data_key(reader)?;
    let offset = reader.position();
    if reader.u32()? > 1 {
        return Err(XdrError::new(
            offset,
            "durability is neither temporary nor persistent",
        ));
    }
    Ok(key)
}

fn read_data_key(reader: &mut Reader<'_>) -> Result<EntryKey, XdrError> {
    let start = reader.clone();
    let known = match reader.u32()? {
        tag::INSTANCE_KEY => Some(EntryKey::Instance),
        tag::VEC if reader.bool()? => match reader.count(4)? {
            1 => read_name(reader)?
                .filter(|name| *name == b"Counter")
                .map(|_| EntryKey::Counter),
            2 => match read_name(reader)? {
                Some(b"Task") => read_id(reader)?.map(EntryKey::Task),
                Some(b"TaskMeta") => read_id(reader)?.map(EntryKey::TaskMeta),
                _ => None,
            },
            _ => None,
        },
        _ => None,
    };
    if let Some(key) = known {
        return Ok(key);
    }
    *reader = start;
    skip_value(reader)?;
    Ok(EntryKey::Other)
}

fn read_name<'a>(reader: &mut Reader<'a>) -> Result<Option<&'a [u8]>, XdrError> {
    if reader.u32()? == tag::SYMBOL {
        return read_symbol(reader).map(Some);
    }
    Ok(None)
}

fn read_id(reader: &mut Reader<'_>) -> Result<Option<TaskId>, XdrError> {
    if reader.u32()? == tag::U64 {
        return reader.u64().map(|id| Some(TaskId(id)));
    }
    Ok(None)
}

/// What a `LedgerKey` names; used to tell whose entry it was that did not decode.
pub fn key_of(data: &[u8], contract: &ContractId) -> Result<EntryKey, XdrError> {
    let reader = &mut Reader::new(data);
    let offset = reader.position();
    match reader.u32()? {
        ACCOUNT => Ok(EntryKey::Account),
        CONTRACT_DATA => {
            let key = read_contract_key(reader, contract)?;
            reader.finish()?;
            Ok(key)
        }
        other => Err(XdrError::new(
            offset,
            format!("ledger keys of kind {other} were not asked for"),
        )),
    }
}
