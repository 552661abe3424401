//! Keys, templates and envelopes.

use pyo3::prelude::*;
use pyo3::types::PyBytes;
use sorofast_core::base64;
use sorofast_core::strkey::{encode, Kind};
use sorofast_core::tx;
use sorofast_core::types::{ContractId, Ledger, Sequence, Stroops, TaskId};

use crate::args::key;
use crate::errors::{detached, guarded, IntoPython};

type Item = (u64, u64, u32, i64, u32, u64);

/// The keeper's and the channels' keys, and the templates their transactions are made from.
#[pyclass(module = "sorofast._core")]
pub(crate) struct Signer(tx::Signer);

#[pymethods]
impl Signer {
    #[new]
    fn new(
        py: Python<'_>,
        passphrase: &str,
        keeper_secret: &str,
        mnemonic: Option<&str>,
        channels: u32,
    ) -> PyResult<Self> {
        // Deriving thousands of channels takes a while: detached, so that a start does not freeze what else runs.
        let signer = detached(py, || {
            tx::Signer::new(passphrase, keeper_secret, mnemonic, channels)
        })?;
        signer.map(Self).map_err(IntoPython::into_python)
    }

    #[getter]
    fn keeper<'py>(&self, py: Python<'py>) -> Bound<'py, PyBytes> {
        PyBytes::new(py, &self.0.keeper().0)
    }

    #[getter]
    fn channels<'py>(&self, py: Python<'py>) -> PyResult<Bound<'py, PyBytes>> {
        let keys = self.0.channels();
        PyBytes::new_with(py, keys.len() * 32, |out| {
            for (place, key) in out.as_chunks_mut::<32>().0.iter_mut().zip(keys) {
                *place = key.0;
            }
            Ok(())
        })
    }

    #[allow(clippy::needless_pass_by_value)]
    fn learn(
        &mut self,
        shape: u64,
        task_id: u64,
        transaction_data: &str,
        auth: Vec<String>,
        min_resource_fee_stroops: i64,
        contract: &[u8],
    ) -> PyResult<u32> {
        let contract = ContractId(key("contract", contract)?);
        let data = base64::decode(transaction_data.as_bytes()).map_err(IntoPython::into_python)?;
        let auth: Result<Vec<_>, _> = auth
            .iter()
            .map(|entry| base64::decode(entry.as_bytes()))
            .collect();
        let auth = auth.map_err(IntoPython::into_python)?;
        let fee = Stroops(min_resource_fee_stroops);
        guarded(|| {
            self.0
                .learn(shape, TaskId(task_id), &contract, &data, &auth, fee)
        })?
        .map_err(IntoPython::into_python)
    }

    fn template(&self, shape: u64) -> Option<u32> {
        self.0.templates().number(shape)
    }

    fn forget(&mut self, shape: u64) {
        self.0.forget(shape);
    }

    fn simulation_envelope(
        &self,
        contract: &[u8],
        task_id: u64,
        channel: u32,
        sequence: i64,
    ) -> PyResult<String> {
        let contract = ContractId(key("contract", contract)?);
        guarded(|| {
            self.0
                .simulation_envelope(&contract, TaskId(task_id), channel, Sequence(sequence))
        })?
        .map_err(IntoPython::into_python)
    }

    #[allow(clippy::needless_pass_by_value)]
    fn build_executes<'py>(
        &self,
        py: Python<'py>,
        contract: &[u8],
        items: Vec<Item>,
        inclusion_fee_stroops: u32,
    ) -> PyResult<Vec<(Bound<'py, PyBytes>, String, u32)>> {
        let contract = ContractId(key("contract", contract)?);
        let build = |&(shape, task, channel, sequence, max_ledger, max_time_s): &Item| {
            let (task, sequence, max_ledger) =
                (TaskId(task), Sequence(sequence), Ledger(max_ledger));
            let item = tx::ExecuteItem {
                shape,
                task,
                channel,
                sequence,
                max_ledger,
                max_time_s,
            };
            self.0.build(&contract, &item, inclusion_fee_stroops)
        };
        // Two signatures an item are the dearest thing a worker does: detached, so that other threads run.
        let built: Result<Vec<_>, _> = detached(py, || items.iter().map(build).collect())?;
        let built = built.map_err(IntoPython::into_python)?;
        Ok(built
            .into_iter()
            .map(|one| (PyBytes::new(py, &one.hash), one.envelope, one.fee_stroops))
            .collect())
    }

    fn __repr__(&self) -> String {
        let keeper = encode(Kind::Account, &self.0.keeper().0);
        format!(
            "<Signer of keeper {keeper} with {} channels>",
            self.0.channels().len()
        )
    }
}
