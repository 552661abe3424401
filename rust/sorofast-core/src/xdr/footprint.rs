//! The resources of a simulated transaction: which of its bytes depend on the task it was simulated for.

use super::reader::{Reader, XdrError};
use super::scval::{read_address, read_symbol, skip_value, tag, Address};
use crate::types::{ContractId, Stroops, TaskId};

/// What a template is made from.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct TransactionData {
    /// Offsets of the eight-byte task ids in the registry's own keys.
    pub holes: Vec<u32>,
    /// Whether the task's own entry is in the read-write footprint.
    pub writes_task: bool,
    /// Offset of the eight-byte resource fee.
    pub fee_offset: usize,
    /// The resource fee found there.
    pub resource_fee: Stroops,
}

const KEYS_MOST: usize = 400;
const ASSET_CODE_SHORT: usize = 4;
const ASSET_CODE_LONG: usize = 12;

/// Walks a `SorobanTransactionData`, noting where the registry's keys carry this task's id.
pub fn read_transaction_data(
    data: &[u8],
    contract: &ContractId,
    task: TaskId,
) -> Result<TransactionData, XdrError> {
    let reader = &mut Reader::new(data);
    let offset = reader.position();
    match reader.u32()? {
        0 => {}
        // Version 1 names the archived entries among the read-write keys that the transaction restores.
        1 => {
            let archived = reader.count(4)?;
            reader.take(4 * archived)?;
        }
        other => {
            return Err(XdrError::new(
                offset,
                format!("extension {other} of the transaction data is not known"),
            ))
        }
    }
    let mut holes = Vec::new();
    read_keys(reader, contract, task, &mut holes)?;
    let writes_task = read_keys(reader, contract, task, &mut holes)?;
    // Instructions, bytes read from disk, bytes written.
    reader.take(12)?;
    let fee_offset = reader.position();
    let resource_fee = Stroops(reader.i64()?);
    reader.finish()?;
    Ok(TransactionData {
        holes,
        writes_task,
        fee_offset,
        resource_fee,
    })
}

fn read_keys(
    reader: &mut Reader<'_>,
    contract: &ContractId,
    task: TaskId,
    holes: &mut Vec<u32>,
) -> Result<bool, XdrError> {
    let offset = reader.position();
    let count = reader.count(4)?;
    if count > KEYS_MOST {
        return Err(XdrError::new(
            offset,
            format!("{count} keys, a footprint holds at most {KEYS_MOST}"),
        ));
    }
    let mut has_task = false;
    for _ in 0..count {
        has_task |= read_key(reader, contract, task, holes)?;
    }
    Ok(has_task)
}

fn read_key(
    reader: &mut Reader<'_>,
    contract: &ContractId,
    task: TaskId,
    holes: &mut Vec<u32>,
) -> Result<bool, XdrError> {
    let offset = reader.position();
    match reader.u32()? {
        0 => skip_account(reader).map(|()| false),
        1 => {
            skip_account(reader)?;
            skip_asset(reader).map(|()| false)
        }
        6 => {
            let own = read_address(reader)? == Address::Contract(&contract.0);
            let mut has_task = false;
            if own {
                let mut ahead = reader.clone();
                if let Some((hole, name)) = find_hole(&mut ahead, task)? {
                    holes.push(hole as u32);
                    has_task = name == b"Task" || name == b"TaskMeta";
                }
            }
            skip_value(reader)?;
            reader.bool()?;
            Ok(has_task)
        }
        7 => reader.take(32).map(|_| false),
        other => Err(XdrError::new(
            offset,
            format!("a key of kind {other} cannot be in a footprint"),
        )),
    }
}

/// Offset of the id in a key `[Symbol, U64(id), …]`, and the symbol.
fn find_hole<'a>(
    reader: &mut Reader<'a>,
    task: TaskId,
) -> Result<Option<(usize, &'a [u8])>, XdrError> {
    if reader.u32()? != tag::VEC
        || !reader.bool()?
        || reader.count(4)? < 2
        || reader.u32()? != tag::SYMBOL
    {
        return Ok(None);
    }
    let name = read_symbol(reader)?;
    if reader.u32()? != tag::U64 {
        return Ok(None);
    }
    let offset = reader.position();
    Ok((reader.u64()? == task.0).then_some((offset, name)))
}

fn skip_account(reader: &mut Reader<'_>) -> Result<(), XdrError> {
    reader.expect(0, "account key type")?;
    reader.take(32).map(drop)
}

fn skip_asset(reader: &mut Reader<'_>) -> Result<(), XdrError> {
    let offset = reader.position();
    match reader.u32()? {
        0 => Ok(()),
        1 => {
            reader.take(ASSET_CODE_SHORT)?;
            skip_account(reader)
        }
        2 => {
            reader.take(ASSET_CODE_LONG)?;
            skip_account(reader)
        }
        3 => reader.take(32).map(drop),
        other => Err(XdrError::new(
            offset,
            format!("{other} is no kind of asset"),
        )),
    }
}
