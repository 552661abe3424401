//! The hot fields of a task's configuration, picked by name.
//!
//! Contracts of this family differ in which fields they have, in how wide `interval` is and in order, so a field is
//! looked for by name, a missing one has a default and an unknown one is skipped. Nothing is allocated but for a task that
//! has arguments or waits for others.

use aws_lc_rs::digest::{Context, SHA256};

use super::layout::field;
use crate::row;
use crate::types::{AccountKey, Stroops, TaskId};
use crate::xdr::{
    read_address, read_symbol, read_wide, skip_value, tag, Address, Reader, XdrError,
};

/// Tasks one task may wait for and still be followed; the contract allows sixteen.
pub const DEPENDENCIES_MOST: usize = 64;

/// What the engine knows of a task.
#[derive(Debug, Clone, PartialEq, Eq)]
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
    /// The tasks it waits for; empty, and nothing allocated, for most.
    pub dependencies: Vec<TaskId>,
}

/// The parts of a task that decide which ledger entries its run touches and how large they are.
///
/// The shape is two halves, each the start of a SHA-256. The upper one is the *kind*: what is called, by the types and
/// the number of its arguments, and who is asked before. The lower one is everything else: the arguments' values, the
/// dependencies, and the length of the whole value, because a footprint declares how many bytes may be written, and
/// two tasks that differ in their whitelist differ in size. Tasks of one kind may share a footprint where the arguments
/// do not matter to it.
///
/// A cryptographic hash spreads the halves evenly; at 32 bits it does not keep anybody from making two tasks collide
/// who takes some minutes to search. Then one is run with the other's footprint, fails, and pays for it; so a template
/// that fails by its footprint has to be dropped.
#[derive(Debug, Default)]
struct Shape<'a> {
    target: &'a [u8],
    function: &'a [u8],
    args: &'a [u8],
    resolver: &'a [u8],
    blocked_by: &'a [u8],
    yield_strategy: &'a [u8],
    /// Discriminants of the arguments, in their order.
    types: Vec<u8>,
}

/// Parts that one half of a shape is made of.
const PARTS_MOST: usize = 5;

impl Shape<'_> {
    fn number(&self, length: usize) -> u64 {
        let presence = [
            u8::from(!self.blocked_by.is_empty()),
            u8::from(!self.yield_strategy.is_empty()),
        ];
        let kind = half(
            0,
            [
                self.target,
                self.function,
                self.resolver,
                &self.types,
                &presence,
            ],
        );
        let rest = half(length, [self.args, self.blocked_by, self.yield_strategy]);
        u64::from(kind) << 32 | u64::from(rest)
    }
}

/// A number and all lengths first, then all parts, so that no two lists of parts are the same text and a part that is
/// empty costs nothing.
fn half<const N: usize>(number: usize, parts: [&[u8]; N]) -> u32 {
    let mut lengths = [0; 8 * (1 + PARTS_MOST)];
    let (places, _) = lengths.as_chunks_mut::<8>();
    let all = [number].into_iter().chain(parts.map(<[u8]>::len));
    for (place, length) in places.iter_mut().zip(all) {
        *place = (length as u64).to_be_bytes();
    }
    let mut context = Context::new(&SHA256);
    context.update(&lengths[..8 * (1 + N)]);
    for part in parts.into_iter().filter(|part| !part.is_empty()) {
        context.update(part);
    }
    let digest = context.finish();
    digest
        .as_ref()
        .first_chunk()
        .map_or(0, |start| u32::from_be_bytes(*start))
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
        dependencies: Vec::new(),
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
            field::INTERVAL => state.interval_s = read_number(reader, "interval")?,
            field::LAST_RUN => state.last_run_s = read_number(reader, "last_run")?,
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
                let start = reader.position();
                state.dependencies = read_dependencies(reader)?;
                let waits = !state.dependencies.is_empty();
                shape.blocked_by = if waits { reader.since(start) } else { &[] };
                set(&mut state.flags, row::BLOCKED_BY, waits);
            }
            field::TARGET => shape.target = read_raw(reader)?,
            field::FUNCTION => shape.function = read_raw(reader)?,
            field::ARGS => {
                let start = reader.position();
                shape.types = read_types(reader)?;
                shape.args = reader.since(start);
            }
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

fn read_number(reader: &mut Reader<'_>, field: &'static str) -> Result<u64, XdrError> {
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

/// The discriminants of a vector's elements, four bytes each; none for another kind of value.
fn read_types(reader: &mut Reader<'_>) -> Result<Vec<u8>, XdrError> {
    let start = reader.clone();
    let mut types = Vec::new();
    if reader.u32()? == tag::VEC && reader.bool()? {
        for _ in 0..reader.count(4)? {
            let at = reader.position();
            skip_value(reader)?;
            types.extend(reader.since(at).first_chunk::<4>().into_iter().flatten());
        }
        return Ok(types);
    }
    *reader = start;
    skip_value(reader)?;
    Ok(types)
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

fn read_dependencies(reader: &mut Reader<'_>) -> Result<Vec<TaskId>, XdrError> {
    let offset = reader.position();
    let items = enter_vector(reader, "blocked_by")?;
    if items > DEPENDENCIES_MOST {
        return Err(XdrError::new(
            offset,
            format!(
                "field blocked_by holds {items} tasks, at most {DEPENDENCIES_MOST} are followed"
            ),
        ));
    }
    let mut tasks = Vec::with_capacity(items);
    for _ in 0..items {
        tasks.push(TaskId(read_number(reader, "blocked_by")?));
    }
    Ok(tasks)
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
