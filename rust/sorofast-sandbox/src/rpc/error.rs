//! Errors of the JSON-RPC surface and their codes.

use serde::Serialize;
use serde_json::Value;

pub(crate) const PARSE_ERROR: i64 = -32700;
pub(crate) const INVALID_REQUEST: i64 = -32600;
pub(crate) const METHOD_NOT_FOUND: i64 = -32601;
pub(crate) const INVALID_PARAMS: i64 = -32602;
pub(crate) const INTERNAL_ERROR: i64 = -32603;
/// The server refused for reasons of its own, a full queue for one.
pub(crate) const SYSTEM_ERROR: i64 = -32098;
/// The method's time limit ran out.
pub(crate) const DEADLINE_EXCEEDED: i64 = -32001;
/// The method panicked.
pub(crate) const HANDLER_FAILED: i64 = -32003;

/// A JSON-RPC error object.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub(crate) struct RpcError {
    pub(crate) code: i64,
    #[serde(skip_serializing_if = "String::is_empty")]
    pub(crate) message: String,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) data: Option<Value>,
}

impl RpcError {
    pub(crate) fn new(code: i64, message: impl Into<String>) -> Self {
        Self {
            code,
            message: message.into(),
            data: None,
        }
    }

    pub(crate) fn with_data(self, data: impl Into<Value>) -> Self {
        Self {
            data: Some(data.into()),
            ..self
        }
    }

    /// The request asks for something in a form the method does not take.
    pub(crate) fn params(message: impl Into<String>) -> Self {
        Self::new(INVALID_PARAMS, message)
    }

    /// The parameters cannot even be read; the details are in `data`, where the real server has them.
    pub(crate) fn unreadable(detail: impl std::fmt::Display) -> Self {
        Self::params("invalid parameters").with_data(detail.to_string())
    }

    /// Well-formed, but not to be answered in the ledger's present state.
    pub(crate) fn request(message: impl Into<String>) -> Self {
        Self::new(INVALID_REQUEST, message)
    }

    pub(crate) fn internal(message: impl Into<String>) -> Self {
        Self::new(INTERNAL_ERROR, message)
    }
}
