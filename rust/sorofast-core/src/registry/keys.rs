//! The ledger keys of the registry's entries, written and read.

use super::layout::key;
use crate::types::{ContractId, TaskId};
use crate::xdr::{read_address, read_symbol, skip_value, tag, Address, Reader, Writer, XdrError};

pub(super) const ACCOUNT: u32 = 0;
pub(super) const CONTRACT_DATA: u32 = 6;
const PERSISTENT: u32 = 1;

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

fn contract_data(contract: &ContractId, key: impl FnOnce(&mut Writer)) -> Vec<u8> {
    let mut writer = Writer::with_capacity(96);
    writer.word(CONTRACT_DATA);
    writer.contract(contract);
    key(&mut writer);
    writer.word(PERSISTENT);
    writer.0
}

/// The `LedgerKey` of `Task(id)`; its id takes the eight bytes before the last four.
#[must_use]
pub fn task_key(contract: &ContractId, id: TaskId) -> Vec<u8> {
    contract_data(contract, |writer| {
        writer.words([tag::VEC, 1, 2]);
        writer.symbol(key::TASK);
        writer.word(tag::U64);
        writer.wide(id.0);
    })
}

/// The `LedgerKey` of the counter of task ids.
#[must_use]
pub fn counter_key(contract: &ContractId) -> Vec<u8> {
    contract_data(contract, |writer| {
        writer.words([tag::VEC, 1, 1]);
        writer.symbol(key::COUNTER);
    })
}

/// The `LedgerKey` of the contract's instance.
#[must_use]
pub fn instance_key(contract: &ContractId) -> Vec<u8> {
    contract_data(contract, |writer| writer.word(tag::INSTANCE_KEY))
}

/// Contract, key and durability, which an entry and its key have in common.
pub(super) fn read_contract_key(
    reader: &mut Reader<'_>,
    contract: &ContractId,
) -> Result<EntryKey, XdrError> {
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
                .filter(|name| *name == key::COUNTER)
                .map(|_| EntryKey::Counter),
            2 => match read_name(reader)? {
                Some(key::TASK) => read_id(reader)?.map(EntryKey::Task),
                Some(key::TASK_META) => read_id(reader)?.map(EntryKey::TaskMeta),
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
