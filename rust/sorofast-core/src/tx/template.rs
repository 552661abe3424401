//! Templates: a simulated transaction with the numbers of its run taken out.
//!
//! A task's later runs, and those of its siblings of the same shape, touch the same entries except the task's own. So
//! one simulation serves them all, and no run has to wait for a ledger in which it could be simulated.

use super::auth::{read_entry, Root};
use super::error::TemplateError;
use super::holes::{fill, Hole, Values};
use super::operation::Operation;
use crate::hash::sha256;
use crate::registry::{key_of, EntryKey};
use crate::types::{AccountKey, ContractId, Stroops, TaskId};
use crate::xdr::{find_numbers, read_transaction_data, LedgerKey, Reader, TransactionData, Writer};

const MEMO_NONE: u32 = 0;
const OPERATIONS: u32 = 1;
/// A transaction has at most this many bytes.
pub(super) const BODY_LONGEST: usize = 132_096;
const AUTHORIZATIONS_MOST: usize = 64;

/// Whose operation it is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Source {
    /// The keeper's: the channel gives the sequence number and pays the fee, and both sign.
    Keeper,
    /// The channel's, which alone signs.
    Channel,
}

/// What a run may be allowed to do in the name of the operation's source.
///
/// A simulation records whatever the called contracts ask for, and a contract may ask for anything: a registry's task
/// runs the contract of whoever registered it, and that could ask for a transfer of all the keeper has.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Consent {
    /// The call itself and nothing below it.
    Plain,
    /// What the simulation recorded, for a contract that the operator trusts.
    Simulated,
}

/// What a simulation said.
#[derive(Debug, Clone, Copy)]
pub struct Simulated<'a> {
    /// The `SorobanTransactionData`, none for a payment.
    pub data: Option<&'a [u8]>,
    /// The authorisation entries.
    pub auth: &'a [Vec<u8>],
    /// Which of them are given.
    pub consent: Consent,
    /// The least resource fee to declare.
    pub min_resource_fee: Stroops,
}

/// What is declared beyond what the simulation said, for entries that grow from run to run.
#[derive(Debug, Clone, Copy, Default)]
pub struct Padding {
    /// Bytes to write.
    pub write_bytes: u32,
    /// Resource fee in stroops.
    pub fee_stroops: u32,
}

/// Everything of a transaction between its bounds and its signatures, with holes for the numbers of a run.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Template {
    pub(super) body: Box<[u8]>,
    pub(super) holes: Box<[Hole]>,
    pub(super) names: Box<[String]>,
    pub(super) source: Source,
    pub(super) contract: Option<ContractId>,
    /// Where in the body the `SorobanTransactionData` starts; at its end if there is none.
    pub(super) data_at: usize,
    /// The resource fee that the data declares.
    pub resource_fee: Stroops,
}

/// What a template declares.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Facts {
    /// The resource fee, padding included.
    pub resource_fee: Stroops,
    /// Instructions the run may execute.
    pub instructions: u32,
    /// Bytes it may read from disk.
    pub read_bytes: u32,
    /// Bytes it may write, padding included.
    pub write_bytes: u32,
    /// Keys it may only read.
    pub read_only: Vec<Vec<u8>>,
    /// Keys it may write.
    pub read_write: Vec<Vec<u8>>,
    /// Which of the read-write keys it restores from the archive.
    pub archived: Vec<u32>,
}

/// Writes all but bounds, resources and signatures: no memo, one operation, its authorisation entries.
fn write_operation(
    operation: &Operation,
    source: Option<&AccountKey>,
    auth: &[Vec<u8>],
    writer: &mut Writer,
    holes: &mut Vec<Hole>,
) -> Vec<usize> {
    writer.words([MEMO_NONE, OPERATIONS]);
    operation.write(source, writer, holes);
    let mut starts = Vec::new();
    if operation.call().is_some() {
        writer.word(auth.len() as u32);
        for entry in auth {
            starts.push(writer.len());
            writer.bytes(entry);
        }
    }
    starts
}

/// The part of an envelope that [`Template`] holds, of a transaction that is only simulated: nothing authorised, and
/// resources only where the operation is about a footprint.
pub(super) fn unsigned_body(
    operation: &Operation,
    values: &[u64],
    source: Option<&AccountKey>,
    data: Option<&[u8]>,
) -> Result<Vec<u8>, TemplateError> {
    check_values(operation.holes(), values)?;
    let (mut writer, mut holes) = (Writer::with_capacity(512), Vec::new());
    write_operation(operation, source, &[], &mut writer, &mut holes);
    fill(&mut writer.0, 0, &holes, values);
    writer.word(u32::from(data.is_some()));
    if let Some(data) = data {
        read_transaction_data(data)?;
        writer.bytes(data);
    }
    Ok(writer.0)
}

pub(super) fn check_values(names: &[String], values: &[u64]) -> Result<(), TemplateError> {
    if names.len() == values.len() {
        return Ok(());
    }
    Err(TemplateError::Values {
        found: values.len(),
        holes: names.len(),
        names: names.join(", "),
    })
}

impl Template {
    /// Makes a template from the simulation of a run with these values. `keeper` is the operation's source, if it is
    /// not the channel's. `must_write` names the hole that holds a task's number, where a run that does not write the
    /// task is none.
    pub fn learn(
        operation: &Operation,
        values: &[u64],
        keeper: Option<&AccountKey>,
        simulated: &Simulated<'_>,
        must_write: Option<&str>,
        padding: Padding,
    ) -> Result<Self, TemplateError> {
        check_values(operation.holes(), values)?;
        if simulated.auth.len() > AUTHORIZATIONS_MOST
            || (operation.call().is_none() && !simulated.auth.is_empty())
        {
            return Err(TemplateError::Authorization(simulated.auth.len()));
        }
        let (mut writer, mut holes) = (Writer::with_capacity(1024), Vec::new());
        let starts = write_operation(operation, keeper, simulated.auth, &mut writer, &mut holes);
        let constants = match operation.call() {
            Some(call) => call.constants()?,
            None => Vec::new(),
        };
        let known = Values::new(operation.holes(), values, constants);
        if let Some(call) = operation.call() {
            let root = Root::new(call, values);
            for (entry, start) in simulated.auth.iter().zip(starts) {
                let found = read_entry(entry, &root, &known)?;
                if simulated.consent == Consent::Plain {
                    if let Some(beyond) = found.beyond {
                        return Err(TemplateError::MoreThanItself(beyond));
                    }
                }
                holes.extend(found.holes.iter().map(|hole| Hole {
                    at: hole.at + start as u32,
                    ..*hole
                }));
            }
        }
        if simulated.consent == Consent::Plain && simulated.auth.len() > 1 {
            return Err(TemplateError::Authorization(simulated.auth.len()));
        }
        writer.word(u32::from(simulated.data.is_some()));
        let data_at = writer.len();
        let contract = operation.call().map(|call| call.contract);
        let mut resource_fee = Stroops(0);
        match simulated.data {
            None if operation.needs_resources() => {
                return Err(TemplateError::Resources(
                    operation.kind(),
                    "needs the transaction data that its simulation gives",
                ))
            }
            None => {}
            Some(_) if !operation.needs_resources() => {
                return Err(TemplateError::Resources(
                    operation.kind(),
                    "has no transaction data",
                ))
            }
            Some(data) => {
                let read = read_transaction_data(data)?;
                if let Some(contract) = &contract {
                    find_holes(data, &read, contract, &known, data_at, &mut holes)?;
                }
                if let Some(name) = must_write {
                    let task = task_of(operation, values, name)?;
                    if !contract.is_some_and(|contract| writes_task(data, &read, &contract, task)) {
                        return Err(TemplateError::NoTask(task.0));
                    }
                }
                resource_fee = write_data(&mut writer, data, &read, simulated, padding)?;
            }
        }
        if writer.len() > BODY_LONGEST {
            return Err(TemplateError::TooLarge(writer.len()));
        }
        // What a run puts there says nothing about the template: equal templates are equal bytes.
        fill(&mut writer.0, 0, &holes, &vec![0; values.len()]);
        Ok(Self {
            body: writer.0.into(),
            holes: holes.into(),
            names: operation.holes().into(),
            source: if keeper.is_some() {
                Source::Keeper
            } else {
                Source::Channel
            },
            contract,
            data_at,
            resource_fee,
        })
    }

    pub(super) fn len(&self) -> usize {
        self.body.len()
    }

    /// Names of the holes, in the order in which a run's values come.
    #[must_use]
    pub fn names(&self) -> &[String] {
        &self.names
    }

    /// Whose operation it is.
    #[must_use]
    pub const fn source(&self) -> Source {
        self.source
    }

    pub(super) fn write(&self, values: &[u64], out: &mut Vec<u8>) {
        let start = out.len();
        out.extend_from_slice(&self.body);
        fill(out, start, &self.holes, values);
    }

    /// What it declares, with a run's values in the holes; none for a payment.
    pub fn facts(&self, values: &[u64]) -> Result<Option<Facts>, TemplateError> {
        check_values(&self.names, values)?;
        let mut body = Vec::with_capacity(self.body.len());
        self.write(values, &mut body);
        let data = &body[self.data_at..];
        if data.is_empty() {
            return Ok(None);
        }
        let read = read_transaction_data(data)?;
        let keys = |keys: &[LedgerKey]| {
            keys.iter()
                .map(|key| data[key.bytes.clone()].to_vec())
                .collect()
        };
        Ok(Some(Facts {
            resource_fee: read.resource_fee,
            instructions: read.instructions,
            read_bytes: read.read_bytes,
            write_bytes: read.write_bytes,
            read_only: keys(&read.read_only),
            read_write: keys(&read.read_write),
            archived: read.archived,
        }))
    }

    /// SHA-256 over everything that is in it: templates of equal digests make equal transactions.
    #[must_use]
    pub fn digest(&self) -> [u8; 32] {
        let mut writer = Writer::with_capacity(self.cost());
        writer.word(u32::from(self.source == Source::Keeper));
        writer.word(self.names.len() as u32);
        for name in &self.names {
            writer.opaque(name.as_bytes());
        }
        for hole in &self.holes {
            writer.words([hole.at, hole.name]);
        }
        writer.opaque(&self.body);
        sha256(&writer.0)
    }

    pub(super) fn cost(&self) -> usize {
        let names: usize = self.names.iter().map(|name| name.len() + 24).sum();
        self.body.len() + size_of_val(&*self.holes) + names + 256
    }
}

fn task_of(operation: &Operation, values: &[u64], name: &str) -> Result<TaskId, TemplateError> {
    let names = operation.holes().iter();
    let mut pairs = names.zip(values);
    pairs
        .find_map(|(one, &value)| (one == name).then_some(TaskId(value)))
        .ok_or_else(|| TemplateError::NoHole(name.to_owned()))
}

fn writes_task(data: &[u8], read: &TransactionData, contract: &ContractId, task: TaskId) -> bool {
    read.read_write.iter().any(|key| {
        matches!(
            key_of(&data[key.bytes.clone()], contract),
            Ok(EntryKey::Task(id) | EntryKey::TaskMeta(id)) if id == task
        )
    })
}

/// Notes where the keys of the called contract's own entries hold the numbers of the run.
fn find_holes(
    data: &[u8],
    read: &TransactionData,
    contract: &ContractId,
    values: &Values<'_>,
    data_at: usize,
    holes: &mut Vec<Hole>,
) -> Result<(), TemplateError> {
    for key in read.read_only.iter().chain(&read.read_write) {
        let Some((owner, place)) = &key.data else {
            continue;
        };
        if *owner != contract.0 {
            continue;
        }
        let reader = &mut Reader::new(&data[place.clone()]);
        for (at, value) in find_numbers(reader)? {
            if let Some(name) = values.hole_of(value)? {
                holes.push(Hole {
                    at: (data_at + place.start + at) as u32,
                    name,
                });
            }
        }
    }
    Ok(())
}

/// Writes the transaction data with what is declared beyond it; returns the resource fee.
fn write_data(
    writer: &mut Writer,
    data: &[u8],
    read: &TransactionData,
    simulated: &Simulated<'_>,
    padding: Padding,
) -> Result<Stroops, TemplateError> {
    let fee = i128::from(read.resource_fee.max(simulated.min_resource_fee).0)
        + i128::from(padding.fee_stroops);
    let fee = u32::try_from(fee).map_err(|_| TemplateError::Fee(fee))?;
    let write_bytes = u64::from(read.write_bytes) + u64::from(padding.write_bytes);
    let write_bytes =
        u32::try_from(write_bytes).map_err(|_| TemplateError::WriteBytes(write_bytes))?;
    writer.bytes(&data[..read.write_bytes_offset]);
    writer.word(write_bytes);
    writer.wide(u64::from(fee));
    Ok(Stroops(i64::from(fee)))
}
