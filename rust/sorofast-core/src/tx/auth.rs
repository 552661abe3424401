//! Authorisation entries as a simulation gives them: kept as they are, if our signature is all they ask for.

use std::fmt;

use super::call::Call;
use super::error::TemplateError;
use super::holes::{Hole, Values};
use crate::strkey::{self, Kind};
use crate::xdr::{
    find_numbers, read_address, read_symbol, skip_asset, skip_executable, Address, Reader, Writer,
    XdrError,
};

const SOURCE_ACCOUNT: u32 = 0;
const ADDRESS_KINDS: std::ops::RangeInclusive<u32> = 1..=3;
const CONTRACT_FUNCTION: u32 = 0;
const CREATE_CONTRACT: u32 = 1;
const CREATE_CONTRACT_WITH_ARGUMENTS: u32 = 2;
/// An authorised invocation takes at least so many bytes: its kind and the number of those below it.
const INVOCATION_SHORTEST: usize = 8;
/// Calls below calls; the host stops long before.
const CALLS_DEEPEST: usize = 100;

/// The call itself, as it stands in the operation: an invocation of these very bytes has its holes, too.
pub(super) struct Root {
    bytes: Vec<u8>,
    holes: Vec<Hole>,
}

impl Root {
    pub(super) fn new(call: &Call, values: &[u64]) -> Self {
        let (mut writer, mut holes) = (Writer::default(), Vec::new());
        call.write(&mut writer, &mut holes);
        super::holes::fill(&mut writer.0, 0, &holes, values);
        Self {
            bytes: writer.0,
            holes,
        }
    }
}

/// What is in an entry.
#[derive(Debug, Default)]
pub(super) struct Authorized {
    pub(super) holes: Vec<Hole>,
    /// What it allows beyond the call itself, if anything: the first of it.
    pub(super) beyond: Option<String>,
}

/// Reads one entry.
pub(super) fn read_entry(
    entry: &[u8],
    root: &Root,
    values: &Values<'_>,
) -> Result<Authorized, TemplateError> {
    let reader = &mut Reader::new(entry);
    let offset = reader.position();
    match reader.u32()? {
        SOURCE_ACCOUNT => {}
        kind if ADDRESS_KINDS.contains(&kind) => {
            return Err(TemplateError::Consent(match read_address(reader)? {
                Address::Account(key) => strkey::encode(Kind::Account, key),
                Address::Contract(id) => strkey::encode(Kind::Contract, id),
                Address::Other => "an address that is neither account nor contract".into(),
            }));
        }
        kind => {
            return Err(
                XdrError::new(offset, format!("credentials of kind {kind} are not known")).into(),
            )
        }
    }
    let mut authorized = Authorized::default();
    let mut is_first = true;
    // Invocations left at each depth.
    let mut open = vec![1_usize];
    while let Some(left) = open.last_mut() {
        if *left == 0 {
            open.pop();
            continue;
        }
        *left -= 1;
        let what = read_function(reader, root, values, &mut authorized.holes)?;
        // The call below itself is more than the call.
        if authorized.beyond.is_none() && !(is_first && what == Function::Root) {
            authorized.beyond = Some(what.to_string());
        }
        is_first = false;
        let below = reader.count(INVOCATION_SHORTEST)?;
        if open.len() > CALLS_DEEPEST {
            return Err(XdrError::new(
                reader.position() - 4,
                format!("calls below calls, more than {CALLS_DEEPEST} deep"),
            )
            .into());
        }
        open.push(below);
    }
    reader.finish()?;
    Ok(authorized)
}

/// What one invocation is of.
#[derive(Debug, PartialEq, Eq)]
enum Function<'a> {
    Root,
    Call(Address<'a>, &'a [u8]),
    Creation,
}

impl fmt::Display for Function<'_> {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Root => formatter.write_str("the same call once more"),
            Self::Call(Address::Contract(id), name) => write!(
                formatter,
                "`{}` of {}",
                String::from_utf8_lossy(name),
                strkey::encode(Kind::Contract, id)
            ),
            Self::Call(_, name) => write!(formatter, "`{}`", String::from_utf8_lossy(name)),
            Self::Creation => formatter.write_str("the creation of a contract"),
        }
    }
}

fn read_function<'a>(
    reader: &mut Reader<'a>,
    root: &Root,
    values: &Values<'_>,
    holes: &mut Vec<Hole>,
) -> Result<Function<'a>, TemplateError> {
    let offset = reader.position();
    match reader.u32()? {
        CONTRACT_FUNCTION => {
            let start = reader.position();
            let contract = read_address(reader)?;
            let name = read_symbol(reader)?;
            let numbers = read_arguments(reader)?;
            if reader.since(start) == root.bytes {
                holes.extend(root.holes.iter().map(|hole| Hole {
                    at: hole.at + start as u32,
                    ..*hole
                }));
                return Ok(Function::Root);
            }
            note(&numbers, values, holes)?;
            Ok(Function::Call(contract, name))
        }
        CREATE_CONTRACT => {
            skip_creation(reader)?;
            Ok(Function::Creation)
        }
        CREATE_CONTRACT_WITH_ARGUMENTS => {
            skip_creation(reader)?;
            let numbers = read_arguments(reader)?;
            note(&numbers, values, holes)?;
            Ok(Function::Creation)
        }
        other => {
            Err(XdrError::new(offset, format!("{other} is no kind of authorised function")).into())
        }
    }
}

/// Where the numbers among the arguments are, and what they say.
fn read_arguments(reader: &mut Reader<'_>) -> Result<Vec<(usize, u64)>, XdrError> {
    let mut numbers = Vec::new();
    for _ in 0..reader.count(4)? {
        numbers.extend(find_numbers(reader)?);
    }
    Ok(numbers)
}

fn note(
    numbers: &[(usize, u64)],
    values: &Values<'_>,
    holes: &mut Vec<Hole>,
) -> Result<(), TemplateError> {
    for &(at, value) in numbers {
        if let Some(name) = values.hole_of(value)? {
            holes.push(Hole {
                at: at as u32,
                name,
            });
        }
    }
    Ok(())
}

fn skip_creation(reader: &mut Reader<'_>) -> Result<(), XdrError> {
    let offset = reader.position();
    match reader.u32()? {
        0 => {
            read_address(reader)?;
            reader.take(32)?;
        }
        1 => skip_asset(reader)?,
        other => {
            return Err(XdrError::new(
                offset,
                format!("{other} is no origin of a contract's address"),
            ))
        }
    }
    skip_executable(reader)
}
