//! The hot fields of a task's configuration, picked by name.
//!
//! Contracts of this family differ in which fields they have, in how wide `interval` is and in order, so a field is
//! looked for by name, a missing one has a default and an unknown one is skipped. Nothing is allocated.

use aws_lc_rs::digest::{Context, SHA256};

use super::layout::field;
use crate::row;
use crate::types::{AccountKey, Stroops};
use crate::xdr::{
    read_address, read_symbol, read_wide, skip_value, tag, Address, Reader, XdrError,
};

/// What the engine knows of a task.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct TaskState {
    /// Seconds between runs; 0 when the field is missing.
    pub interval_s: u64,
    /// Close time of the ledger of the last run.
    pub last_run_s: u64,
    /// What the task can still pay, saturated to 64 bits.
    pub gas: Stroops,
    /// See [`crate::row`].
    pub flags: u16,
    /// See [`Shape`].
    pub shape: u64,
}

/// The parts of a task that decide which ledger entries its run touches and how large they are.
///
/// The shape is the start of a SHA-256 over them, because whoever could make two tasks collide could have one run with
/// the other's footprint, and fail. The length of the whole value is part of it: a footprint declares how many bytes
/// may be written, and two tasks that differ in their whitelist differ in size.
#[derive(Debug, Default)]
struct Shape<'a> {
    target: &'a [u8],
    function: &'a [u8],
    args: &'a [u8],
    resolver: &'a [u8],
    blocked_by: &'a [u8],
    yield_strategy: &'a [u8],
}

impl Shape<'_> {
    /// All lengths first, then all parts, so that no two lists of parts are the same text and a part that is empty
    /// costs nothing.
    fn number(&self, length: usize) -> u64 {
        let parts = [
            self.target,
            self.function,
            self.args,
            self.resolver,
            self.blocked_by,
            self.yield_strategy,
        ];
        let mut lengths = [0; 8 * 7];
        let (places, _) = lengths.as_chunks_mut::<8>();
        let all = [length].into_iter().chain(parts.map(<[u8]>::len));
        for (place, length) in places.iter_mut().zip(all) {
            *place = (length as u64).to_be_bytes();
        }
        let mut context = Context::new(&SHA256);
        context.update(&lengths);
        for part in parts.into_iter().filter(|part| !part.is_empty()) {
            context.update(part);
        }
        let digest = context.finish();
        digest
            .as_ref()
            .first_chunk()
            .map_or(0, |start| u64::from_be_bytes(*start))
    }
}

/// Reads a task's configuration, which must be a map from symbols.
pub fn read_task(reader: &mut Reader<'_>, keeper: &AccountKey) -> Result<TaskState, XdrError> {
    let start = reader.position();
    reader.expect(tag::MAP, "kind of the task's value")?;
    reader.expect(1, "presence of the task's map")?;
    let fields = reader.count(8)?;
    let mut state = TaskState {
        interval_s: 0,
        last_run_s: 0,
        gas: Stroops(0),
        flags: row::ACTIVE | row::KEEPER_ALLOWED,
        shape: 0,
    };
    let mut shape = Shape::default();
    for _ in 0..fields {
        let key = reader.clone();
        if reader.u32()? != tag::SYMBOL {
            *reader = key;
            skip_value(reader)?;
            skip_value(reader)?;
            continue;
        }
        match read_symbol(reader)? {
            field::INTERVAL => state.interval_s = read_seconds(reader, "interval")?,
            field::LAST_RUN => state.last_run_s = read_seconds(reader, "last_run")?,
            field::GAS_BALANCE => state.gas = read_gas(reader)?,
            field::IS_ACTIVE => {
                reader.expect(tag::BOOL, "kind of field is_active")?;
                set(&mut state.flags, row::ACTIVE, reader.bool()?);
            }
            field::WHITELIST => read_whitelist(reader, keeper, &mut state.flags)?,
            field::RESOLVER => {
                shape.resolver = read_optional(reader)?;
                set(
                    &mut state.flags,
                    row::HAS_RESOLVER,
                    !shape.resolver.is_empty(),
                );
            }
            field::BLOCKED_BY => {
                let (items, bytes) = read_vector(reader, "blocked_by")?;
                shape.blocked_by = if items > 0 { bytes } else { &[] };
                set(&mut state.flags, row::BLOCKED_BY, items > 0);
            }
            field::TARGET => shape.target = read_raw(reader)?,
            field::FUNCTION => shape.function = read_raw(reader)?,
            field::ARGS => shape.args = read_raw(reader)?,
            field::YIELD_STRATEGY => shape.yield_strategy = read_optional(reader)?,
            _ => skip_value(reader)?,
        }
    }
    state.shape = shape.number(reader.position() - start);
    Ok(state)
}

fn set(flags: &mut u16, flag: u16, on: bool) {
    *flags = if on { *flags | flag } else { *flags & !flag };
}

fn read_seconds(reader: &mut Reader<'_>, field: &'static str) -> Result<u64, XdrError> {
    let offset = reader.position();
    match reader.u32()? {
        tag::U32 => reader.u32().map(u64::from),
        tag::U64 | tag::TIMEPOINT | tag::DURATION => reader.u64(),
        other => Err(XdrError::new(
            offset,
            format!("field {field} is of kind {other}, expected u32 or u64"),
        )),
    }
}

fn read_gas(reader: &mut Reader<'_>) -> Result<Stroops, XdrError> {
    let offset = reader.position();
    let Some(amount) = read_wide(reader)? else {
        return Err(XdrError::new(offset, "field gas_balance is no integer"));
    };
    let bound = if amount < 0 { i64::MIN } else { i64::MAX };
    Ok(Stroops(i64::try_from(amount).unwrap_or(bound)))
}

fn read_raw<'a>(reader: &mut Reader<'a>) -> Result<&'a [u8], XdrError> {
    let start = reader.position();
    skip_value(reader)?;
    Ok(reader.since(start))
}

/// The bytes of a value, none for void: a missing field and an empty option mean the same.
fn read_optional<'a>(reader: &mut Reader<'a>) -> Result<&'a [u8], XdrError> {
    let bytes = read_raw(reader)?;
    Ok(if bytes == tag::VOID.to_be_bytes() {
        &[]
    } else {
        bytes
    })
}

fn enter_vector(reader: &mut Reader<'_>, field: &'static str) -> Result<usize, XdrError> {
    let offset = reader.position();
    match reader.u32()? {
        tag::VOID => Ok(0),
        tag::VEC => {
            if reader.bool()? {
                reader.count(4)
            } else {
                Ok(0)
            }
        }
        other => Err(XdrError::new(
            offset,
            format!("field {field} is of kind {other}, expected a vector"),
        )),
    }
}

fn read_vector<'a>(
    reader: &mut Reader<'a>,
    field: &'static str,
) -> Result<(usize, &'a [u8]), XdrError> {
    let start = reader.position();
    let items = enter_vector(reader, field)?;
    for _ in 0..items {
        skip_value(reader)?;
    }
    Ok((items, reader.since(start)))
}

fn read_whitelist(
    reader: &mut Reader<'_>,
    keeper: &AccountKey,
    flags: &mut u16,
) -> Result<(), XdrError> {
    let items = enter_vector(reader, "whitelist")?;
    let mut allowed = items == 0;
    for _ in 0..items {
        reader.expect(tag::ADDRESS, "kind of a whitelisted keeper")?;
        allowed |= read_address(reader)? == Address::Account(&keeper.0);
    }
    set(flags, row::HAS_WHITELIST, items > 0);
    set(flags, row::KEEPER_ALLOWED, allowed);
    Ok(())
}
