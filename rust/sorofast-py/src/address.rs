//! Addresses, the network's id and the shard of a task.

use pyo3::exceptions::PyValueError;
use pyo3::prelude::*;
use pyo3::types::PyBytes;
use sorofast_core::strkey::{decode, encode, Kind};
use sorofast_core::types::TaskId;

use crate::args::key;
use crate::errors::{detached, IntoPython};

/// Ids a contract's counter may claim before it is taken for nonsense.
const TASKS_MOST: u64 = 100_000_000;

fn to_bytes<'py>(py: Python<'py>, kind: Kind, address: &str) -> PyResult<Bound<'py, PyBytes>> {
    let raw = decode(kind, address).map_err(IntoPython::into_python)?;
    Ok(PyBytes::new(py, &*raw))
}

/// 32 raw bytes of a `G…` address.
#[pyfunction]
#[pyo3(signature = (address, /))]
pub(crate) fn account_to_bytes<'py>(
    py: Python<'py>,
    address: &str,
) -> PyResult<Bound<'py, PyBytes>> {
    to_bytes(py, Kind::Account, address)
}

/// The `G…` address of 32 raw bytes.
#[pyfunction]
#[pyo3(signature = (raw, /))]
pub(crate) fn account_from_bytes(raw: &[u8]) -> PyResult<String> {
    Ok(encode(Kind::Account, &key("the account", raw)?))
}

/// 32 raw bytes of a `C…` address.
#[pyfunction]
#[pyo3(signature = (address, /))]
pub(crate) fn contract_to_bytes<'py>(
    py: Python<'py>,
    address: &str,
) -> PyResult<Bound<'py, PyBytes>> {
    to_bytes(py, Kind::Contract, address)
}

/// The `C…` address of 32 raw bytes.
#[pyfunction]
#[pyo3(signature = (raw, /))]
pub(crate) fn contract_from_bytes(raw: &[u8]) -> PyResult<String> {
    Ok(encode(Kind::Contract, &key("the contract", raw)?))
}

/// SHA-256 of a network passphrase.
#[pyfunction]
#[pyo3(signature = (passphrase, /))]
pub(crate) fn network_id<'py>(py: Python<'py>, passphrase: &str) -> Bound<'py, PyBytes> {
    PyBytes::new(py, &sorofast_core::tx::network_id(passphrase))
}

/// The shard that owns a task.
#[pyfunction]
pub(crate) fn shard_of(task_id: u64, shards: u32) -> PyResult<u32> {
    TaskId(task_id)
        .shard(shards)
        .ok_or_else(|| PyValueError::new_err("a registry cannot have no shards"))
}

/// Packed ids of the tasks 1 to `last_id` that a shard owns.
#[pyfunction]
pub(crate) fn shard_ids(
    py: Python<'_>,
    last_id: u64,
    shard: u32,
    shards: u32,
) -> PyResult<Bound<'_, PyBytes>> {
    if shards == 0 || last_id > TASKS_MOST {
        return Err(PyValueError::new_err(
            "a registry has at least one shard and at most 100 million tasks",
        ));
    }
    // A million ids are hashed at every takeover: detached, so that a caller may give this to a thread.
    let ids = detached(py, || {
        let mut ids = Vec::new();
        for id in 1..=last_id {
            if TaskId(id).shard(shards) == Some(shard) {
                ids.extend_from_slice(&id.to_le_bytes());
            }
        }
        ids
    })?;
    Ok(PyBytes::new(py, &ids))
}
