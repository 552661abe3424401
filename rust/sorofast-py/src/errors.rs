//! Rust errors as the classes of `sorofast.errors`.

use std::panic::{catch_unwind, AssertUnwindSafe};

use pyo3::exceptions::{PyIndexError, PyValueError};
use pyo3::prelude::*;
use sorofast_core::base64::Base64Error;
use sorofast_core::keys::SecretError as KeyError;
use sorofast_core::rpc::{BodyError as Body, RequestError};
use sorofast_core::strkey::StrkeyError as AddressError;
use sorofast_core::table::SnapshotError as Snapshot;
use sorofast_core::tx::{BuildError, OperationError, SharedError, TemplateError as Template};
use sorofast_core::xdr::XdrError as Xdr;

mod imported {
    #![allow(missing_debug_implementations)]
    pyo3::import_exception!(sorofast.errors, BodyError);
    pyo3::import_exception!(sorofast.errors, RpcError);
    pyo3::import_exception!(sorofast.errors, SecretError);
    pyo3::import_exception!(sorofast.errors, SnapshotError);
    pyo3::import_exception!(sorofast.errors, SorofastError);
    pyo3::import_exception!(sorofast.errors, StrkeyError);
    pyo3::import_exception!(sorofast.errors, TemplateError);
    pyo3::import_exception!(sorofast.errors, XdrError);
}

/// An error that knows its Python class.
pub(crate) trait IntoPython {
    fn into_python(self) -> PyErr;
}

impl IntoPython for AddressError {
    fn into_python(self) -> PyErr {
        imported::StrkeyError::new_err(self.to_string())
    }
}

impl IntoPython for KeyError {
    fn into_python(self) -> PyErr {
        imported::SecretError::new_err(self.to_string())
    }
}

impl IntoPython for Xdr {
    fn into_python(self) -> PyErr {
        imported::XdrError::new_err((self.offset, self.reason.into_owned()))
    }
}

impl IntoPython for Base64Error {
    fn into_python(self) -> PyErr {
        imported::XdrError::new_err((self.offset, format!("base64: {}", self.reason)))
    }
}

impl IntoPython for Snapshot {
    fn into_python(self) -> PyErr {
        imported::SnapshotError::new_err(self.to_string())
    }
}

impl IntoPython for Template {
    fn into_python(self) -> PyErr {
        match self {
            Self::Xdr(error) => error.into_python(),
            Self::Values { .. } | Self::NoHole(_) => PyValueError::new_err(self.to_string()),
            other => imported::TemplateError::new_err(other.to_string()),
        }
    }
}

impl IntoPython for BuildError {
    fn into_python(self) -> PyErr {
        match self {
            Self::NoChannel(..) => PyIndexError::new_err(self.to_string()),
            Self::Sequence(_) => PyValueError::new_err(self.to_string()),
            Self::Sign(error) => error.into_python(),
            Self::Template(error) => error.into_python(),
            Self::NoTemplate(_)
            | Self::NoTemplateOfTask(..)
            | Self::OtherContract(_)
            | Self::Fee(_) => imported::TemplateError::new_err(self.to_string()),
        }
    }
}

impl IntoPython for OperationError {
    fn into_python(self) -> PyErr {
        match self {
            Self::Argument(index, function, error) => {
                let reason = format!("argument {index} of `{function}`: {}", error.reason);
                imported::XdrError::new_err((error.offset, reason))
            }
            other => PyValueError::new_err(other.to_string()),
        }
    }
}

impl IntoPython for SharedError {
    fn into_python(self) -> PyErr {
        imported::TemplateError::new_err(self.to_string())
    }
}

impl IntoPython for RequestError {
    fn into_python(self) -> PyErr {
        PyValueError::new_err(self.to_string())
    }
}

/// An error of an RPC answer; `method` is what was asked.
pub(crate) fn body_error(error: Body, method: &'static str) -> PyErr {
    match error {
        Body::Rpc { code, message } => imported::RpcError::new_err((code, message, method)),
        malformed @ Body::Malformed { .. } => {
            imported::BodyError::new_err(format!("{method}: {malformed}"))
        }
    }
}

/// Runs `work` with the interpreter detached. Nothing in the core panics on any input we know of; should it ever, the
/// caller gets an ordinary error it can handle and not one that passes every `except Exception`.
pub(crate) fn detached<T: Send>(py: Python<'_>, work: impl FnOnce() -> T + Send) -> PyResult<T> {
    py.detach(|| guarded(work))
}

/// Runs `work` where it is, with the same promise.
pub(crate) fn guarded<T>(work: impl FnOnce() -> T) -> PyResult<T> {
    catch_unwind(AssertUnwindSafe(work)).map_err(|_| {
        imported::SorofastError::new_err(
            "the Rust core failed inside; this is a bug, please report it with the log",
        )
    })
}
