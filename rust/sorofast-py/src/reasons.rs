//! The table of reasons.

use pyo3::prelude::*;
use sorofast_core::reasons::TABLE;

/// Every reason in code order: code, name, sentence for the operator.
#[pyfunction]
pub(crate) fn reason_codes() -> Vec<(u16, &'static str, &'static str)> {
    TABLE.to_vec()
}
