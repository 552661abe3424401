//! Any call of a contract: contract, function and arguments, of which some are numbers that each run fills in.

use super::holes::Hole;
use crate::types::ContractId;
use crate::xdr::{find_numbers, tag, Reader, Writer, XdrError};

/// One argument.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub(super) enum Argument {
    /// A contract value that is the same in every run.
    Value(Box<[u8]>),
    /// An unsigned 64-bit integer of each run; which of the operation's names it has.
    Hole(u32),
}

/// A call; see the module's text.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub(super) struct Call {
    pub(super) contract: ContractId,
    pub(super) function: Box<[u8]>,
    pub(super) arguments: Vec<Argument>,
}

impl Call {
    /// Contract, function and arguments, in an operation and in its authorisation alike. The holes are noted and left
    /// at zero.
    pub(super) fn write(&self, writer: &mut Writer, holes: &mut Vec<Hole>) {
        writer.contract(&self.contract);
        writer.opaque(&self.function);
        writer.word(self.arguments.len() as u32);
        for argument in &self.arguments {
            match argument {
                Argument::Value(value) => writer.bytes(value),
                Argument::Hole(name) => {
                    writer.word(tag::U64);
                    holes.push(Hole {
                        at: writer.len() as u32,
                        name: *name,
                    });
                    writer.wide(0);
                }
            }
        }
    }

    /// The numbers among the arguments that are no holes.
    pub(super) fn constants(&self) -> Result<Vec<u64>, XdrError> {
        let mut constants = Vec::new();
        for argument in &self.arguments {
            if let Argument::Value(value) = argument {
                let reader = &mut Reader::new(value);
                constants.extend(find_numbers(reader)?.iter().map(|(_, number)| number));
            }
        }
        Ok(constants)
    }
}
