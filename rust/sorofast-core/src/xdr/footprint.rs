//! The resources of a transaction: which entries it may touch, and what it may use.

use std::ops::Range;

use super::reader::{Reader, XdrError};
use super::scval::{read_address, skip_value, Address};
use crate::types::Stroops;

/// One key of a footprint.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct LedgerKey {
    /// Where the whole `LedgerKey` is.
    pub bytes: Range<usize>,
    /// The contract whose data it names, and where the value that is its key is.
    pub data: Option<([u8; 32], Range<usize>)>,
}

/// A `SorobanTransactionData`, as far as the engine looks into it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct TransactionData {
    /// Which of the read-write keys, counted from 0, name entries that the transaction restores from the archive.
    pub archived: Vec<u32>,
    /// Keys the transaction may read.
    pub read_only: Vec<LedgerKey>,
    /// Keys it may read and write.
    pub read_write: Vec<LedgerKey>,
    /// Instructions it may execute.
    pub instructions: u32,
    /// Bytes it may read from disk.
    pub read_bytes: u32,
    /// Bytes it may write.
    pub write_bytes: u32,
    /// Offset of the four bytes that say how many it may write; the eight of the resource fee follow.
    pub write_bytes_offset: usize,
    /// The resource fee.
    pub resource_fee: Stroops,
}

const KEYS_MOST: usize = 400;
const ASSET_CODE_SHORT: usize = 4;
const ASSET_CODE_LONG: usize = 12;

/// Reads a `SorobanTransactionData`.
pub fn read_transaction_data(data: &[u8]) -> Result<TransactionData, XdrError> {
    let reader = &mut Reader::new(data);
    let offset = reader.position();
    let mut archived = Vec::new();
    match reader.u32()? {
        0 => {}
        // Version 1 names the archived entries among the read-write keys that the transaction restores.
        1 => {
            for _ in 0..reader.count(4)? {
                archived.push(reader.u32()?);
            }
        }
        other => {
            return Err(XdrError::new(
                offset,
                format!("extension {other} of the transaction data is not known"),
            ))
        }
    }
    let read_only = read_keys(reader)?;
    let read_write = read_keys(reader)?;
    if let Some(beyond) = archived.iter().find(|&&at| at as usize >= read_write.len()) {
        return Err(XdrError::new(
            offset,
            format!("archived entry {beyond} is beyond the read-write keys"),
        ));
    }
    let (instructions, read_bytes) = (reader.u32()?, reader.u32()?);
    let write_bytes_offset = reader.position();
    let write_bytes = reader.u32()?;
    let resource_fee = Stroops(reader.i64()?);
    reader.finish()?;
    Ok(TransactionData {
        archived,
        read_only,
        read_write,
        instructions,
        read_bytes,
        write_bytes,
        write_bytes_offset,
        resource_fee,
    })
}

fn read_keys(reader: &mut Reader<'_>) -> Result<Vec<LedgerKey>, XdrError> {
    let offset = reader.position();
    let count = reader.count(4)?;
    if count > KEYS_MOST {
        return Err(XdrError::new(
            offset,
            format!("{count} keys, a footprint holds at most {KEYS_MOST}"),
        ));
    }
    (0..count).map(|_| read_key(reader)).collect()
}

fn read_key(reader: &mut Reader<'_>) -> Result<LedgerKey, XdrError> {
    let start = reader.position();
    let mut data = None;
    match reader.u32()? {
        0 => skip_account(reader)?,
        1 => {
            skip_account(reader)?;
            skip_asset(reader)?;
        }
        6 => {
            let address = read_address(reader)?;
            let key = reader.position();
            skip_value(reader)?;
            if let Address::Contract(contract) = address {
                data = Some((*contract, key..reader.position()));
            }
            reader.bool()?;
        }
        7 => {
            reader.take(32)?;
        }
        other => {
            return Err(XdrError::new(
                start,
                format!("a key of kind {other} cannot be in a footprint"),
            ))
        }
    }
    Ok(LedgerKey {
        bytes: start..reader.position(),
        data,
    })
}

fn skip_account(reader: &mut Reader<'_>) -> Result<(), XdrError> {
    reader.expect(0, "account key type")?;
    reader.take(32).map(drop)
}

pub(crate) fn skip_asset(reader: &mut Reader<'_>) -> Result<(), XdrError> {
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
