//! Request and response bodies.

use pyo3::exceptions::PyValueError;
use pyo3::prelude::*;
use pyo3::types::PyBytes;
use sorofast_core::base64;
use sorofast_core::rpc;
use sorofast_core::types::{AccountKey, ContractId, Ledger, TaskId};
use sorofast_core::xdr::read_result;

use crate::args::{key, packed};
use crate::errors::{body_error, detached, guarded, IntoPython};

/// A getLedgerEntries body for tasks and accounts.
#[pyfunction]
pub(crate) fn entries_request<'py>(
    py: Python<'py>,
    request_id: u64,
    contract: &[u8],
    task_ids: &[u8],
    accounts: &[u8],
) -> PyResult<Bound<'py, PyBytes>> {
    let contract = ContractId(key("contract", contract)?);
    let tasks: Vec<_> = packed("task_ids", task_ids)?
        .iter()
        .map(|id| TaskId(u64::from_le_bytes(*id)))
        .collect();
    let accounts: Vec<_> = packed("accounts", accounts)?
        .iter()
        .map(|key| AccountKey(*key))
        .collect();
    let body = rpc::entries_request(request_id, &contract, &tasks, &accounts)
        .map_err(IntoPython::into_python)?;
    Ok(PyBytes::new(py, &body))
}

/// A getLedgerEntries body for the registry's counter and instance.
#[pyfunction]
pub(crate) fn registry_request<'py>(
    py: Python<'py>,
    request_id: u64,
    contract: &[u8],
) -> PyResult<Bound<'py, PyBytes>> {
    let contract = ContractId(key("contract", contract)?);
    Ok(PyBytes::new(
        py,
        &rpc::registry_request(request_id, &contract),
    ))
}

/// A getEvents body for the contract's own events.
#[pyfunction]
#[pyo3(signature = (request_id, contract, *, start_ledger = None, cursor = None, limit = 10_000))]
pub(crate) fn events_request<'py>(
    py: Python<'py>,
    request_id: u64,
    contract: &[u8],
    start_ledger: Option<u32>,
    cursor: Option<&str>,
    limit: u32,
) -> PyResult<Bound<'py, PyBytes>> {
    let from = match (start_ledger, cursor) {
        (Some(ledger), None) => rpc::From::Ledger(Ledger(ledger)),
        (None, Some(cursor)) => rpc::From::Cursor(cursor),
        _ => return Err(PyValueError::new_err("give either start_ledger or cursor")),
    };
    let contract = ContractId(key("contract", contract)?);
    let body =
        rpc::events_request(request_id, &contract, from, limit).map_err(IntoPython::into_python)?;
    Ok(PyBytes::new(py, &body))
}

/// Reads a getLedgerEntries answer.
#[pyfunction]
pub(crate) fn decode_entries(
    py: Python<'_>,
    body: &[u8],
    contract: &[u8],
    keeper: &[u8],
) -> PyResult<EntriesBatch> {
    let (contract, keeper) = (
        ContractId(key("contract", contract)?),
        AccountKey(key("keeper", keeper)?),
    );
    // A bootstrap decodes bodies of 200 KB by the hundred: detached, so that other threads run.
    let batch = detached(py, || rpc::read_entries(body, &contract, &keeper))?;
    batch
        .map(EntriesBatch)
        .map_err(|error| body_error(error, "getLedgerEntries"))
}

/// What one getLedgerEntries answer held.
#[pyclass(frozen, module = "sorofast._core")]
pub(crate) struct EntriesBatch(rpc::EntriesBatch);

#[pymethods]
impl EntriesBatch {
    #[getter]
    fn latest_ledger(&self) -> u32 {
        self.0.latest_ledger.0
    }

    #[getter]
    fn rows<'py>(&self, py: Python<'py>) -> Bound<'py, PyBytes> {
        PyBytes::new(py, &self.0.rows)
    }

    #[getter]
    fn dependencies(&self) -> Vec<(u64, Vec<u64>)> {
        let all = self.0.dependencies.iter();
        all.map(|(task, others)| (task.0, others.iter().map(|other| other.0).collect()))
            .collect()
    }

    #[getter]
    fn accounts<'py>(&self, py: Python<'py>) -> Vec<(Bound<'py, PyBytes>, i64, i64, u32, u64)> {
        let accounts = self.0.accounts.iter();
        accounts
            .map(|account| {
                let key = PyBytes::new(py, &account.key.0);
                let (ledger, time_s) = (account.sequence_ledger.0, account.sequence_time_s);
                (key, account.balance.0, account.sequence.0, ledger, time_s)
            })
            .collect()
    }

    #[getter]
    fn counter(&self) -> Option<u64> {
        self.0.counter
    }

    #[getter]
    fn instance(&self) -> bool {
        self.0.instance
    }

    #[getter]
    fn problems(&self) -> Vec<(Option<u64>, usize, &str)> {
        let problems = self.0.problems.iter();
        problems
            .map(|problem| {
                (
                    problem.task.map(|task| task.0),
                    problem.offset,
                    problem.reason.as_str(),
                )
            })
            .collect()
    }

    fn __repr__(&self) -> String {
        let (rows, accounts) = (
            self.0.rows.len() / sorofast_core::row::ROW_SIZE,
            self.0.accounts.len(),
        );
        let (ledger, problems) = (self.0.latest_ledger.0, self.0.problems.len());
        format!("<EntriesBatch at ledger {ledger}: {rows} tasks, {accounts} accounts, {problems} problems>")
    }
}

/// Reads a getEvents answer.
#[pyfunction]
pub(crate) fn decode_events(py: Python<'_>, body: &[u8], contract: &[u8]) -> PyResult<EventsBatch> {
    let contract = ContractId(key("contract", contract)?);
    // A page holds up to ten thousand events: detached, so that other threads run.
    let batch = detached(py, || rpc::read_events(body, &contract))?;
    batch
        .map(EventsBatch)
        .map_err(|error| body_error(error, "getEvents"))
}

/// What one getEvents answer held.
#[pyclass(frozen, module = "sorofast._core")]
pub(crate) struct EventsBatch(rpc::EventsBatch);

type EventTuple<'py> = (
    u32,
    &'static str,
    u64,
    Bound<'py, PyBytes>,
    Option<Bound<'py, PyBytes>>,
    Option<i128>,
);

#[pymethods]
impl EventsBatch {
    #[getter]
    fn latest_ledger(&self) -> u32 {
        self.0.latest_ledger.0
    }

    #[getter]
    fn oldest_ledger(&self) -> u32 {
        self.0.oldest_ledger.0
    }

    #[getter]
    fn returned(&self) -> usize {
        self.0.returned
    }

    #[getter]
    fn cursor(&self) -> Option<&str> {
        self.0.cursor.as_deref()
    }

    #[getter]
    fn events<'py>(&self, py: Python<'py>) -> Vec<EventTuple<'py>> {
        let events = self.0.events.iter();
        events
            .map(|event| {
                let transaction = PyBytes::new(py, &event.transaction);
                let keeper = event.keeper.map(|keeper| PyBytes::new(py, &keeper));
                (
                    event.ledger.0,
                    event.kind.name(),
                    event.task.0,
                    transaction,
                    keeper,
                    event.amount,
                )
            })
            .collect()
    }

    #[getter]
    fn problems(&self) -> Vec<(u32, &str)> {
        self.0
            .problems
            .iter()
            .map(|problem| (problem.ledger.0, problem.reason.as_str()))
            .collect()
    }

    fn __repr__(&self) -> String {
        let (ledger, events) = (self.0.latest_ledger.0, self.0.events.len());
        format!("<EventsBatch up to ledger {ledger}: {events} events>")
    }
}

/// Fee and codes of a base64 TransactionResult.
#[pyfunction]
pub(crate) fn decode_result(result_xdr: &str) -> PyResult<(i64, &'static str, Option<String>)> {
    let data = base64::decode(result_xdr.as_bytes()).map_err(IntoPython::into_python)?;
    let summary = guarded(|| read_result(&data))?.map_err(IntoPython::into_python)?;
    Ok((
        summary.fee_charged.0,
        summary.code,
        summary.operation.map(Into::into),
    ))
}
