//! Operations with named holes.

use pyo3::exceptions::PyTypeError;
use pyo3::prelude::*;
use pyo3::types::{PyBytes, PyString};
use sorofast_core::strkey::{encode, Kind};
use sorofast_core::tx;
use sorofast_core::types::{AccountKey, ContractId, Stroops};

use crate::args::key;
use crate::errors::{guarded, IntoPython};

/// What a transaction does, with holes for the numbers that differ from run to run.
#[pyclass(frozen, eq, hash, module = "sorofast._core")]
#[derive(PartialEq, Eq, Hash)]
pub(crate) struct Operation(pub(crate) tx::Operation);

#[pymethods]
impl Operation {
    #[staticmethod]
    #[allow(clippy::needless_pass_by_value)]
    fn invoke(contract: &[u8], function: &str, args: Vec<Bound<'_, PyAny>>) -> PyResult<Self> {
        let contract = ContractId(key("contract", contract)?);
        let mut given = Vec::with_capacity(args.len());
        for (index, argument) in args.iter().enumerate() {
            if let Ok(value) = argument.cast::<PyBytes>() {
                given.push(tx::Given::Value(value.as_bytes()));
            } else if let Ok(name) = argument.cast::<PyString>() {
                given.push(tx::Given::Hole(name.to_str()?));
            } else {
                return Err(PyTypeError::new_err(format!(
                    "argument {index} is neither the bytes of a contract value nor the name of a hole"
                )));
            }
        }
        let operation = guarded(|| tx::Operation::invoke(contract, function, given))?;
        operation.map(Self).map_err(IntoPython::into_python)
    }

    #[staticmethod]
    fn restore() -> Self {
        Self(tx::Operation::restore())
    }

    #[staticmethod]
    fn extend(ledgers: u32) -> PyResult<Self> {
        let operation = tx::Operation::extend(ledgers);
        operation.map(Self).map_err(IntoPython::into_python)
    }

    #[staticmethod]
    fn payment(destination: &[u8], amount_stroops: i64) -> PyResult<Self> {
        let destination = AccountKey(key("destination", destination)?);
        let operation = tx::Operation::payment(destination, Stroops(amount_stroops));
        operation.map(Self).map_err(IntoPython::into_python)
    }

    #[getter]
    fn holes(&self) -> Vec<String> {
        self.0.holes().to_vec()
    }

    #[getter]
    fn kind(&self) -> &'static str {
        self.0.kind()
    }

    fn __repr__(&self) -> String {
        let (kind, holes) = (self.0.kind(), self.0.holes().join(", "));
        match self.0.target() {
            Some((contract, function)) => {
                let contract = encode(Kind::Contract, &contract.0);
                format!("<Operation {kind} {contract} {function}({holes})>")
            }
            None => format!("<Operation {kind}>"),
        }
    }
}
