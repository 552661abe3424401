//! Contract values: skipping one without recursion, and the few kinds that are looked into.

use super::reader::{Reader, XdrError};

/// Discriminants of contract values.
pub mod tag {
    pub const BOOL: u32 = 0;
    pub const VOID: u32 = 1;
    pub const ERROR: u32 = 2;
    pub const U32: u32 = 3;
    pub const I32: u32 = 4;
    pub const U64: u32 = 5;
    pub const I64: u32 = 6;
    pub const TIMEPOINT: u32 = 7;
    pub const DURATION: u32 = 8;
    pub const U128: u32 = 9;
    pub const I128: u32 = 10;
    pub const U256: u32 = 11;
    pub const I256: u32 = 12;
    pub const BYTES: u32 = 13;
    pub const STRING: u32 = 14;
    pub const SYMBOL: u32 = 15;
    pub const VEC: u32 = 16;
    pub const MAP: u32 = 17;
    pub const ADDRESS: u32 = 18;
    pub const INSTANCE: u32 = 19;
    pub const INSTANCE_KEY: u32 = 20;
    pub const NONCE_KEY: u32 = 21;
    pub const EXECUTABLE_TAG: u32 = 22;
}

const SYMBOL_LONGEST: usize = 32;

/// An address in a contract value.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Address<'a> {
    /// An account's key.
    Account(&'a [u8; 32]),
    /// A contract.
    Contract(&'a [u8; 32]),
    /// A kind the engine has no use for.
    Other,
}

/// Reads an address.
pub fn read_address<'a>(reader: &mut Reader<'a>) -> Result<Address<'a>, XdrError> {
    let offset = reader.position();
    match reader.u32()? {
        0 => {
            reader.expect(0, "account key type")?;
            reader.array().map(Address::Account)
        }
        1 => reader.array().map(Address::Contract),
        // A muxed account or contract: a number, then 32 bytes.
        2 | 5 => reader.take(40).map(|_| Address::Other),
        3 => {
            reader.expect(0, "claimable balance version")?;
            reader.take(32).map(|_| Address::Other)
        }
        4 => reader.take(32).map(|_| Address::Other),
        other => Err(XdrError::new(
            offset,
            format!("{other} is no kind of address"),
        )),
    }
}

/// Reads the text of a symbol, after its discriminant.
#[inline]
pub fn read_symbol<'a>(reader: &mut Reader<'a>) -> Result<&'a [u8], XdrError> {
    reader.opaque(SYMBOL_LONGEST)
}

/// What the next value is, once its own bytes are read.
pub(super) enum Step {
    /// Nothing of interest is in it.
    Leaf,
    /// An unsigned 64-bit integer: where its eight bytes are, and what they say.
    U64(usize, u64),
    /// So many values follow inside it, and a decoder that recurses goes so many levels deeper for them.
    Inside(usize, usize),
}

/// Levels that a recursive decoder goes down for what is in a vector: value, option, vector, elements.
const LEVELS_OF_VECTOR: usize = 4;
/// And for what is in a map: value, option, map, elements, entry.
const LEVELS_OF_MAP: usize = 5;
/// And for what is in a contract's instance: value, instance, option, map, elements, entry.
const LEVELS_OF_INSTANCE: usize = 6;

/// Reads a value up to the values inside it, which come next.
#[inline]
pub(super) fn step(reader: &mut Reader<'_>) -> Result<Step, XdrError> {
    let offset = reader.position();
    match reader.u32()? {
        tag::VOID | tag::INSTANCE_KEY => {}
        tag::BOOL => {
            reader.bool()?;
        }
        tag::U32 | tag::I32 => {
            reader.take(4)?;
        }
        tag::ERROR => skip_error(reader)?,
        tag::U64 => {
            let at = reader.position();
            return reader.u64().map(|value| Step::U64(at, value));
        }
        tag::I64 | tag::TIMEPOINT | tag::DURATION | tag::NONCE_KEY => {
            reader.take(8)?;
        }
        tag::U128 | tag::I128 => {
            reader.take(16)?;
        }
        tag::U256 | tag::I256 => {
            reader.take(32)?;
        }
        tag::BYTES | tag::STRING | tag::EXECUTABLE_TAG => {
            reader.opaque(usize::MAX)?;
        }
        tag::SYMBOL => {
            read_symbol(reader)?;
        }
        tag::VEC => {
            if reader.bool()? {
                return Ok(Step::Inside(reader.count(4)?, LEVELS_OF_VECTOR));
            }
        }
        tag::MAP => {
            if reader.bool()? {
                return Ok(Step::Inside(2 * reader.count(8)?, LEVELS_OF_MAP));
            }
        }
        tag::ADDRESS => {
            read_address(reader)?;
        }
        tag::INSTANCE => {
            skip_executable(reader)?;
            if reader.bool()? {
                return Ok(Step::Inside(2 * reader.count(8)?, LEVELS_OF_INSTANCE));
            }
        }
        other => {
            return Err(XdrError::new(
                offset,
                format!("{other} is no kind of contract value"),
            ))
        }
    }
    Ok(Step::Leaf)
}

/// Skips one value, whatever it holds.
///
/// Values nest, but what is left to skip is only a number: a vector adds its length to it and a map twice its length.
/// So there is no recursion to bound, and every round consumes bytes.
pub fn skip_value(reader: &mut Reader<'_>) -> Result<(), XdrError> {
    let mut pending: usize = 1;
    while pending > 0 {
        pending -= 1;
        if let Step::Inside(values, _) = step(reader)? {
            pending += values;
        }
    }
    Ok(())
}

fn skip_error(reader: &mut Reader<'_>) -> Result<(), XdrError> {
    let offset = reader.position();
    let kind = reader.u32()?;
    let code = reader.u32()?;
    if kind > 9 || (kind > 0 && code > 9) {
        return Err(XdrError::new(
            offset,
            format!("{kind}/{code} is no contract error"),
        ));
    }
    Ok(())
}

pub(crate) fn skip_executable(reader: &mut Reader<'_>) -> Result<(), XdrError> {
    let offset = reader.position();
    match reader.u32()? {
        0 => reader.take(32).map(drop),
        1 => Ok(()),
        2 => {
            read_address(reader)?;
            reader.opaque(usize::MAX).map(drop)
        }
        other => Err(XdrError::new(
            offset,
            format!("{other} is no kind of executable"),
        )),
    }
}

/// Reads a number of any integer kind that can be an amount.
pub fn read_wide(reader: &mut Reader<'_>) -> Result<Option<i128>, XdrError> {
    let start = reader.clone();
    let value = match reader.u32()? {
        tag::U32 => Some(i128::from(reader.u32()?)),
        tag::I32 => Some(i128::from(reader.i32()?)),
        tag::U64 => Some(i128::from(reader.u64()?)),
        tag::I64 => Some(i128::from(reader.i64()?)),
        tag::I128 => Some(i128::from_be_bytes(*reader.array()?)),
        tag::U128 => {
            Some(i128::try_from(u128::from_be_bytes(*reader.array()?)).unwrap_or(i128::MAX))
        }
        _ => None,
    };
    if value.is_none() {
        *reader = start;
        skip_value(reader)?;
    }
    Ok(value)
}

/// Who was paid how much, as far as an event's data says.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Payment {
    /// Key of the first account or contract.
    pub payee: Option<[u8; 32]>,
    /// The first 128-bit integer.
    pub amount: Option<i128>,
}

/// Looks for a payee and an amount in a value, or in the elements of a vector or the values of a map.
pub fn find_payment(reader: &mut Reader<'_>) -> Result<Payment, XdrError> {
    let mut payment = Payment::default();
    let start = reader.clone();
    match reader.u32()? {
        tag::VEC => {
            let count = if reader.bool()? { reader.count(4)? } else { 0 };
            for _ in 0..count {
                note_payment(reader, &mut payment)?;
            }
        }
        tag::MAP => {
            let count = if reader.bool()? { reader.count(8)? } else { 0 };
            for _ in 0..count {
                skip_value(reader)?;
                note_payment(reader, &mut payment)?;
            }
        }
        _ => {
            *reader = start;
            note_payment(reader, &mut payment)?;
        }
    }
    Ok(payment)
}

fn note_payment(reader: &mut Reader<'_>, payment: &mut Payment) -> Result<(), XdrError> {
    let mut ahead = reader.clone();
    match ahead.u32()? {
        tag::ADDRESS => {
            if let Address::Account(key) | Address::Contract(key) = read_address(&mut ahead)? {
                payment.payee.get_or_insert(*key);
            }
        }
        tag::I128 | tag::U128 => {
            ahead = reader.clone();
            if let Some(amount) = read_wide(&mut ahead)? {
                payment.amount.get_or_insert(amount);
            }
        }
        _ => {
            ahead = reader.clone();
            skip_value(&mut ahead)?;
        }
    }
    *reader = ahead;
    Ok(())
}
