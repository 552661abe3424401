//! Why no template can be made, or none be used.

use thiserror::Error;

use crate::xdr::XdrError;

/// A simulation that no template can be made from, or a template that cannot be used.
#[derive(Debug, Clone, PartialEq, Eq, Error)]
pub enum TemplateError {
    /// It does not decode.
    #[error(transparent)]
    Xdr(#[from] XdrError),
    /// A run that does not write its task is none.
    #[error("the simulated run does not write the entry of task {0}; it would have no effect")]
    NoTask(u64),
    /// Something beyond the keeper's consent to the call.
    #[error("the run needs {0} authorisations other than the keeper's plain consent; the engine cannot give those")]
    Authorization(usize),
    /// Somebody else's consent.
    #[error("the call needs the consent of {0}, which its signature would have to give; the engine signs only for its own accounts")]
    Consent(String),
    /// More than the call itself is to be allowed.
    #[error("the call asks for consent to more than itself: {0}; a stranger's contract could take the account's money that way, so it is only given where it is asked for")]
    MoreThanItself(String),
    /// A number that may stand for two things.
    #[error("the simulation cannot tell where `{0}` = {1} belongs, because another value of the call is {1} too; simulate it with another value")]
    Ambiguous(String, u64),
    /// Not as many as there are holes.
    #[error("{found} values for {holes} holes ({names})")]
    Values {
        /// How many were given.
        found: usize,
        /// How many there are.
        holes: usize,
        /// What they are called.
        names: String,
    },
    /// No such hole.
    #[error("the operation has no hole `{0}`")]
    NoHole(String),
    /// Resources where there must be some, or none.
    #[error("a {0} operation {1}")]
    Resources(&'static str, &'static str),
    /// A transaction cannot be this large.
    #[error("the transaction has {0} bytes, more than a transaction may have")]
    TooLarge(usize),
    /// Not an amount.
    #[error("a resource fee of {0} stroops is impossible")]
    Fee(i128),
    /// Not a number of bytes.
    #[error("{0} bytes to write are more than a transaction can declare")]
    WriteBytes(u64),
}
