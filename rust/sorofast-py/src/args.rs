//! Arguments that need a look before they are taken.

use pyo3::exceptions::{PyOverflowError, PyValueError};
use pyo3::prelude::*;
use sorofast_core::tx::TemplateError;
use sorofast_core::types::Stroops;

use crate::errors::IntoPython;

/// The 32 bytes of a key or contract.
pub(crate) fn key(name: &str, bytes: &[u8]) -> PyResult<[u8; 32]> {
    bytes.try_into().map_err(|_| {
        PyValueError::new_err(format!("{name} has {} bytes, expected 32", bytes.len()))
    })
}

/// Items of `N` bytes each.
pub(crate) fn packed<'a, const N: usize>(name: &str, bytes: &'a [u8]) -> PyResult<&'a [[u8; N]]> {
    let (items, rest) = bytes.as_chunks::<N>();
    if rest.is_empty() {
        return Ok(items);
    }
    Err(PyValueError::new_err(format!(
        "{name} has {} bytes, not a multiple of {N}",
        bytes.len()
    )))
}

/// An amount that an RPC named: whatever number that was, one that cannot be is an error of the simulation.
pub(crate) fn stroops(amount: &Bound<'_, PyAny>) -> PyResult<Stroops> {
    match amount.extract::<i64>() {
        Ok(stroops) => Ok(Stroops(stroops)),
        Err(error) if error.is_instance_of::<PyOverflowError>(amount.py()) => {
            Err(TemplateError::Fee(amount.extract().unwrap_or(i128::MAX)).into_python())
        }
        Err(error) => Err(error),
    }
}
