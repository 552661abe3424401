//! What is wrong with a response body.

use std::borrow::Cow;

use thiserror::Error;

/// A response body that cannot be used.
#[derive(Debug, Clone, PartialEq, Eq, Error)]
pub enum BodyError {
    /// Not the JSON expected.
    #[error("the response body is wrong at byte {offset}: {reason}")]
    Malformed {
        /// Where.
        offset: usize,
        /// What.
        reason: Cow<'static, str>,
    },
    /// A JSON-RPC error in place of a result.
    #[error("error {code}: {message}")]
    Rpc {
        /// The error's code.
        code: i64,
        /// The error's message, cut to a bound.
        message: String,
    },
}

impl BodyError {
    /// An error at a place.
    pub fn at(offset: usize, reason: impl Into<Cow<'static, str>>) -> Self {
        Self::Malformed {
            offset,
            reason: reason.into(),
        }
    }
}
