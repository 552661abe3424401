//! Arguments that arrive as packed bytes.

use pyo3::exceptions::PyValueError;
use pyo3::prelude::*;

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
