//! What a transaction does: one operation, with named holes for the numbers that differ from run to run.

use thiserror::Error;

use super::call::{Argument, Call};
use super::holes::{fill, Hole};
use crate::registry::layout::EXECUTE;
use crate::types::{AccountKey, ContractId, Stroops};
use crate::xdr::{find_numbers, tag, Reader, Writer, XdrError};

const PAYMENT: u32 = 1;
const INVOKE_HOST_FUNCTION: u32 = 24;
const EXTEND_FOOTPRINT_TTL: u32 = 25;
const RESTORE_FOOTPRINT: u32 = 26;
const INVOKE_CONTRACT: u32 = 0;
const ASSET_NATIVE: u32 = 0;
const CREDENTIALS_SOURCE_ACCOUNT: u32 = 0;
const CONTRACT_FUNCTION: u32 = 0;

const FUNCTION_LONGEST: usize = 32;
const NAME_LONGEST: usize = 32;
const ARGUMENTS_MOST: usize = 64;
/// Bytes that all arguments of a call may have together.
pub(super) const ARGUMENTS_LONGEST: usize = 65_536;

/// The name of the hole in `execute(keeper, task)`.
pub const TASK: &str = "task";

/// An operation that cannot be made.
#[derive(Debug, Clone, PartialEq, Eq, Error)]
pub enum OperationError {
    /// No symbol of a contract.
    #[error("`{0}` cannot be a contract's function: 1 to 32 letters, digits or underscores are possible")]
    Function(String),
    /// Not a name for a hole.
    #[error(
        "`{0}` cannot name a hole: 1 to 32 lower-case letters, digits or underscores are possible"
    )]
    Name(String),
    /// An argument that does not decode.
    #[error("argument {0} of `{1}`: {2}")]
    Argument(usize, String, XdrError),
    /// More than a call takes.
    #[error("{0} arguments, at most {ARGUMENTS_MOST} are possible")]
    Arguments(usize),
    /// More bytes than fit a transaction with room for the rest.
    #[error("the arguments have {0} bytes, at most {ARGUMENTS_LONGEST} are possible")]
    TooLong(usize),
    /// Nothing, or less.
    #[error("a payment of {0} stroops is impossible")]
    Amount(i64),
    /// Nothing to extend by.
    #[error("a life cannot be extended to 0 ledgers")]
    Ledgers,
}

/// An argument as the caller gives it.
#[derive(Debug, Clone, Copy)]
pub enum Given<'a> {
    /// The XDR of a contract value.
    Value(&'a [u8]),
    /// The name of a hole.
    Hole(&'a str),
}

#[derive(Debug, Clone, PartialEq, Eq, Hash)]
enum Body {
    Invoke(Call),
    Restore,
    Extend(u32),
    Payment(AccountKey, Stroops),
}

/// An operation; see the module's text.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub struct Operation {
    body: Body,
    holes: Vec<String>,
}

impl Operation {
    /// The call of a contract's function.
    pub fn invoke<'a>(
        contract: ContractId,
        function: &str,
        given: impl IntoIterator<Item = Given<'a>>,
    ) -> Result<Self, OperationError> {
        let is_word = |byte: u8| byte.is_ascii_alphanumeric() || byte == b'_';
        if !(1..=FUNCTION_LONGEST).contains(&function.len()) || !function.bytes().all(is_word) {
            return Err(OperationError::Function(
                function.chars().take(2 * FUNCTION_LONGEST).collect(),
            ));
        }
        let mut holes: Vec<String> = Vec::new();
        let mut arguments = Vec::new();
        let mut length = 0;
        for one in given {
            let argument = match one {
                Given::Value(value) => {
                    let reader = &mut Reader::new(value);
                    find_numbers(reader)
                        .and_then(|_| reader.finish())
                        .map_err(|error| {
                            OperationError::Argument(arguments.len(), function.to_owned(), error)
                        })?;
                    length += value.len();
                    Argument::Value(value.into())
                }
                Given::Hole(name) => {
                    length += 12;
                    Argument::Hole(name_of(&mut holes, name)?)
                }
            };
            arguments.push(argument);
        }
        if arguments.len() > ARGUMENTS_MOST {
            return Err(OperationError::Arguments(arguments.len()));
        }
        if length > ARGUMENTS_LONGEST {
            return Err(OperationError::TooLong(length));
        }
        let call = Call {
            contract,
            function: function.as_bytes().into(),
            arguments,
        };
        Ok(Self {
            body: Body::Invoke(call),
            holes,
        })
    }

    /// The run of a registry's task by a keeper, whose number is the hole [`TASK`].
    #[must_use]
    pub fn execute(contract: ContractId, keeper: &AccountKey) -> Self {
        let mut writer = Writer::with_capacity(44);
        writer.words([tag::ADDRESS, 0]);
        writer.account(keeper);
        let call = Call {
            contract,
            function: EXECUTE.as_bytes().into(),
            arguments: vec![Argument::Value(writer.0.into()), Argument::Hole(0)],
        };
        Self {
            body: Body::Invoke(call),
            holes: vec![TASK.to_owned()],
        }
    }

    /// Brings back what is archived of a footprint.
    #[must_use]
    pub const fn restore() -> Self {
        Self {
            body: Body::Restore,
            holes: Vec::new(),
        }
    }

    /// Lets what is in a footprint live for so many ledgers from the one it is applied in.
    pub const fn extend(ledgers: u32) -> Result<Self, OperationError> {
        if ledgers == 0 {
            return Err(OperationError::Ledgers);
        }
        Ok(Self {
            body: Body::Extend(ledgers),
            holes: Vec::new(),
        })
    }

    /// Pays lumens to an account that exists.
    pub const fn payment(destination: AccountKey, amount: Stroops) -> Result<Self, OperationError> {
        if amount.0 <= 0 {
            return Err(OperationError::Amount(amount.0));
        }
        Ok(Self {
            body: Body::Payment(destination, amount),
            holes: Vec::new(),
        })
    }

    /// Names of the holes in order of their first appearance; a run's values come in this order.
    #[must_use]
    pub fn holes(&self) -> &[String] {
        &self.holes
    }

    /// What kind of operation it is.
    #[must_use]
    pub const fn kind(&self) -> &'static str {
        match self.body {
            Body::Invoke(_) => "invoke",
            Body::Restore => "restore",
            Body::Extend(_) => "extend",
            Body::Payment(..) => "payment",
        }
    }

    /// The contract and the function it calls, where it calls any.
    #[must_use]
    pub fn target(&self) -> Option<(ContractId, &str)> {
        let call = self.call()?;
        Some((call.contract, std::str::from_utf8(&call.function).ok()?))
    }

    /// Whether resources have to be declared for it.
    #[must_use]
    pub const fn needs_resources(&self) -> bool {
        !matches!(self.body, Body::Payment(..))
    }

    /// The plain consent of the operation's source to its call: given by the signature under the transaction, with no
    /// call below. Empty where nothing is called.
    #[must_use]
    pub fn consent(&self, values: &[u64]) -> Vec<u8> {
        let Body::Invoke(call) = &self.body else {
            return Vec::new();
        };
        let (mut writer, mut holes) = (Writer::with_capacity(160), Vec::new());
        writer.words([CREDENTIALS_SOURCE_ACCOUNT, CONTRACT_FUNCTION]);
        call.write(&mut writer, &mut holes);
        writer.word(0);
        fill(&mut writer.0, 0, &holes, values);
        writer.0
    }

    /// What it calls, where it calls anything.
    pub(super) const fn call(&self) -> Option<&Call> {
        match &self.body {
            Body::Invoke(call) => Some(call),
            _ => None,
        }
    }

    /// The `Operation`, up to a call's authorisation entries. The holes are noted and left at zero.
    pub(super) fn write(
        &self,
        source: Option<&AccountKey>,
        writer: &mut Writer,
        holes: &mut Vec<Hole>,
    ) {
        writer.word(u32::from(source.is_some()));
        if let Some(source) = source {
            writer.account(source);
        }
        match &self.body {
            Body::Invoke(call) => {
                writer.words([INVOKE_HOST_FUNCTION, INVOKE_CONTRACT]);
                call.write(writer, holes);
            }
            Body::Restore => writer.words([RESTORE_FOOTPRINT, 0]),
            Body::Extend(ledgers) => writer.words([EXTEND_FOOTPRINT_TTL, 0, *ledgers]),
            Body::Payment(destination, amount) => {
                writer.word(PAYMENT);
                writer.account(destination);
                writer.word(ASSET_NATIVE);
                writer.wide(amount.0.cast_unsigned());
            }
        }
    }
}

fn name_of(holes: &mut Vec<String>, name: &str) -> Result<u32, OperationError> {
    if let Some(known) = holes.iter().position(|one| one == name) {
        return Ok(known as u32);
    }
    let is_word = |byte: u8| byte.is_ascii_lowercase() || byte.is_ascii_digit() || byte == b'_';
    if !(1..=NAME_LONGEST).contains(&name.len()) || !name.bytes().all(is_word) {
        return Err(OperationError::Name(
            name.chars().take(2 * NAME_LONGEST).collect(),
        ));
    }
    holes.push(name.to_owned());
    Ok(holes.len() as u32 - 1)
}
