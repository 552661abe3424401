//! The task table.

use std::collections::BTreeMap;

use pyo3::exceptions::PyValueError;
use pyo3::prelude::*;
use pyo3::types::PyBytes;
use sorofast_core::reasons::Reason;
use sorofast_core::row::ROW_SIZE;
use sorofast_core::table;
use sorofast_core::types::{Ledger, Stroops, TaskId};

use crate::args::packed;
use crate::errors::{detached, guarded, IntoPython};

/// The tasks of one shard and the index of when they are due.
#[pyclass(module = "sorofast._core")]
pub(crate) struct TaskTable(table::TaskTable);

fn known_reason(code: u16) -> PyResult<Reason> {
    Reason::from_code(code)
        .ok_or_else(|| PyValueError::new_err(format!("{code} is no reason code")))
}

#[pymethods]
impl TaskTable {
    #[new]
    #[pyo3(signature = (min_gas_stroops = 1))]
    fn new(min_gas_stroops: i64) -> Self {
        Self(table::TaskTable::new(Stroops(min_gas_stroops)))
    }

    fn apply(&mut self, py: Python<'_>, rows: &[u8], shard: u32, shards: u32) -> PyResult<usize> {
        let rows = packed::<ROW_SIZE>("rows", rows)?;
        if shard >= shards {
            return Err(PyValueError::new_err(format!(
                "shard {shard} of {shards} does not exist"
            )));
        }
        // A bootstrap applies a shard's every row: detached, so that other threads run.
        detached(py, || self.0.apply(rows, shard, shards))
    }

    fn remove(&mut self, task_ids: &[u8]) -> PyResult<usize> {
        let ids = packed("task_ids", task_ids)?;
        guarded(|| {
            self.0
                .remove(ids.iter().map(|id| TaskId(u64::from_le_bytes(*id))))
        })
    }

    fn pop_due<'py>(
        &mut self,
        py: Python<'py>,
        until_s: u64,
        limit: usize,
    ) -> PyResult<Bound<'py, PyBytes>> {
        // After an outage everything is due at once: detached for the same reason.
        let rows = detached(py, || {
            let mut rows = Vec::new();
            self.0
                .pop_due(until_s, limit, |row| rows.extend_from_slice(&row.pack()));
            rows
        })?;
        Ok(PyBytes::new(py, &rows))
    }

    fn schedule(&mut self, task_id: u64, at_s: u64, reason: u16) -> PyResult<bool> {
        let reason = known_reason(reason)?;
        guarded(|| self.0.schedule(TaskId(task_id), at_s, reason))
    }

    fn park(&mut self, task_id: u64, reason: u16) -> PyResult<bool> {
        let reason = known_reason(reason)?;
        guarded(|| self.0.park(TaskId(task_id), reason))
    }

    fn hold(&mut self, task_id: u64) -> PyResult<bool> {
        guarded(|| self.0.hold(TaskId(task_id)))
    }

    #[allow(clippy::needless_pass_by_value)]
    fn advance(&mut self, items: Vec<(u64, u64, u64, u32)>) -> PyResult<usize> {
        let runs: Vec<_> = items
            .iter()
            .map(|&(task, window, last_run_s, ledger)| table::Ran {
                task: TaskId(task),
                window,
                last_run_s,
                ledger: Ledger(ledger),
            })
            .collect();
        guarded(|| self.0.advance(&runs))
    }

    fn set_unblocked(&mut self, task_id: u64, on: bool) -> PyResult<bool> {
        guarded(|| self.0.set_unblocked(TaskId(task_id), on))
    }

    fn blocked<'py>(&self, py: Python<'py>) -> PyResult<Bound<'py, PyBytes>> {
        let ids = guarded(|| {
            let ids = self.0.blocked();
            ids.flat_map(|id| id.0.to_le_bytes()).collect::<Vec<u8>>()
        })?;
        Ok(PyBytes::new(py, &ids))
    }

    fn set_fee(&mut self, py: Python<'_>, kind: u32, fee_stroops: i64) -> PyResult<usize> {
        // A new fee looks at every row: detached, so that other threads run.
        detached(py, || self.0.set_fee(kind, Stroops(fee_stroops)))
    }

    fn get<'py>(&self, py: Python<'py>, task_id: u64) -> Option<Bound<'py, PyBytes>> {
        self.0
            .get(TaskId(task_id))
            .map(|row| PyBytes::new(py, &row.pack()))
    }

    fn state(&self, task_id: u64) -> Option<(&'static str, Option<u64>)> {
        Some(match self.0.state(TaskId(task_id))? {
            table::State::Indexed(at_s) => ("indexed", Some(at_s)),
            table::State::Held => ("held", None),
            table::State::Parked => ("parked", None),
        })
    }

    fn next_due(&self) -> Option<u64> {
        self.0.next_due_s()
    }

    fn __len__(&self) -> usize {
        self.0.len()
    }

    fn reason_counts(&self) -> BTreeMap<u16, u64> {
        self.0.reason_counts().collect()
    }

    fn rows<'py>(&self, py: Python<'py>) -> PyResult<Bound<'py, PyBytes>> {
        PyBytes::new_with(py, self.0.len() * ROW_SIZE, |out| {
            for (place, row) in out
                .as_chunks_mut::<ROW_SIZE>()
                .0
                .iter_mut()
                .zip(self.0.rows())
            {
                *place = row.pack();
            }
            Ok(())
        })
    }

    fn memory_bytes(&self) -> usize {
        self.0.memory_bytes()
    }

    fn snapshot<'py>(&self, py: Python<'py>) -> PyResult<Bound<'py, PyBytes>> {
        // Copies and hashes every row: detached, so that other threads run.
        let data = detached(py, || self.0.snapshot())?;
        Ok(PyBytes::new(py, &data))
    }

    #[staticmethod]
    #[pyo3(signature = (data, min_gas_stroops = 1))]
    fn restore(py: Python<'_>, data: &[u8], min_gas_stroops: i64) -> PyResult<Self> {
        // Hashes and indexes every row: detached for the same reason.
        let table = detached(py, || {
            table::TaskTable::restore(data, Stroops(min_gas_stroops))
        })?;
        table.map(Self).map_err(IntoPython::into_python)
    }

    fn __repr__(&self) -> String {
        format!("<TaskTable of {} tasks>", self.0.len())
    }
}
