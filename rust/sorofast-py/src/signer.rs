//! Keys, templates and envelopes.

use pyo3::exceptions::PyValueError;
use pyo3::prelude::*;
use pyo3::types::PyBytes;
use sorofast_core::base64;
use sorofast_core::strkey::{encode, Kind};
use sorofast_core::tx;
use sorofast_core::types::{ContractId, Ledger, Sequence, Stroops, TaskId};

use crate::args::{key, stroops};
use crate::errors::{detached, guarded, IntoPython};
use crate::operation::Operation;

type TaskItem = (u64, u64, u32, i64, u32, u64);
type Item = (u64, Vec<u64>, u32, i64, u32, u64);
type Built<'py> = (Bound<'py, PyBytes>, String, u32);

fn base64_of(text: &str) -> PyResult<Vec<u8>> {
    base64::decode(text.as_bytes()).map_err(IntoPython::into_python)
}

fn all_base64_of(texts: &[String]) -> PyResult<Vec<Vec<u8>>> {
    texts.iter().map(|text| base64_of(text)).collect()
}

fn source_of(name: &str) -> PyResult<tx::Source> {
    match name {
        "keeper" => Ok(tx::Source::Keeper),
        "channel" => Ok(tx::Source::Channel),
        _ => Err(PyValueError::new_err(format!(
            "source is `{name}`; choose `keeper` or `channel`"
        ))),
    }
}

fn consent_of(name: &str) -> PyResult<tx::Consent> {
    match name {
        "plain" => Ok(tx::Consent::Plain),
        "simulated" => Ok(tx::Consent::Simulated),
        _ => Err(PyValueError::new_err(format!(
            "consent is `{name}`; choose `plain` or `simulated`"
        ))),
    }
}

fn built(py: Python<'_>, one: tx::Built) -> Built<'_> {
    (PyBytes::new(py, &one.hash), one.envelope, one.fee_stroops)
}

/// What a template declares.
#[pyclass(frozen, get_all, module = "sorofast._core")]
pub(crate) struct TemplateFacts {
    holes: Vec<String>,
    source: &'static str,
    resource_fee_stroops: i64,
    instructions: u32,
    read_bytes: u32,
    write_bytes: u32,
    read_only: Vec<String>,
    read_write: Vec<String>,
    archived: Vec<u32>,
    reusable: bool,
}

#[pymethods]
impl TemplateFacts {
    fn __repr__(&self) -> String {
        format!(
            "<TemplateFacts: {} read-only and {} read-write keys, {} archived, {} stroops>",
            self.read_only.len(),
            self.read_write.len(),
            self.archived.len(),
            self.resource_fee_stroops
        )
    }
}

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
        let (data, auth) = (base64_of(transaction_data)?, all_base64_of(&auth)?);
        let simulated = tx::Simulated {
            data: Some(&data),
            auth: &auth,
            consent: tx::Consent::Plain,
            min_resource_fee: Stroops(min_resource_fee_stroops),
        };
        guarded(|| {
            self.0
                .learn_task(shape, TaskId(task_id), &contract, &simulated)
        })?
        .map_err(IntoPython::into_python)
    }

    #[pyo3(signature = (
        key, operation, values, transaction_data, auth, min_resource_fee_stroops, *,
        source = "keeper", consent = "plain", must_write = None, write_bytes_pad = 0, fee_pad_stroops = 0,
    ))]
    #[allow(clippy::needless_pass_by_value, clippy::too_many_arguments)]
    fn learn_call(
        &mut self,
        key: u64,
        operation: &Operation,
        values: Vec<u64>,
        transaction_data: &str,
        auth: Vec<String>,
        min_resource_fee_stroops: &Bound<'_, PyAny>,
        source: &str,
        consent: &str,
        must_write: Option<&str>,
        write_bytes_pad: u32,
        fee_pad_stroops: u32,
    ) -> PyResult<u32> {
        let (data, auth) = (base64_of(transaction_data)?, all_base64_of(&auth)?);
        let lesson = tx::Lesson {
            operation: &operation.0,
            values: &values,
            source: source_of(source)?,
            simulated: tx::Simulated {
                data: Some(&data),
                auth: &auth,
                consent: consent_of(consent)?,
                min_resource_fee: stroops(min_resource_fee_stroops)?,
            },
            must_write,
            padding: tx::Padding {
                write_bytes: write_bytes_pad,
                fee_stroops: fee_pad_stroops,
            },
        };
        guarded(|| self.0.learn(key, &lesson))?.map_err(IntoPython::into_python)
    }

    fn template(&self, shape: u64) -> Option<u32> {
        self.0.templates().number(shape)
    }

    #[pyo3(signature = (key, values = None))]
    fn template_facts(
        &self,
        key: u64,
        values: Option<Vec<u64>>,
    ) -> PyResult<Option<TemplateFacts>> {
        let Some(template) = self.0.templates().get(key) else {
            return Ok(None);
        };
        let values = values.unwrap_or_else(|| vec![0; template.names().len()]);
        let facts = guarded(|| template.facts(&values))?.map_err(IntoPython::into_python)?;
        let source = match template.source() {
            tx::Source::Keeper => "keeper",
            tx::Source::Channel => "channel",
        };
        let texts = |keys: &[Vec<u8>]| keys.iter().map(|key| base64::encode(key)).collect();
        Ok(facts.map(|facts| TemplateFacts {
            holes: template.names().to_vec(),
            source,
            resource_fee_stroops: facts.resource_fee.0,
            instructions: facts.instructions,
            read_bytes: facts.read_bytes,
            write_bytes: facts.write_bytes,
            read_only: texts(&facts.read_only),
            read_write: texts(&facts.read_write),
            reusable: facts.archived.is_empty(),
            archived: facts.archived,
        }))
    }

    fn template_digest<'py>(&self, py: Python<'py>, key: u64) -> Option<Bound<'py, PyBytes>> {
        let template = self.0.templates().get(key)?;
        Some(PyBytes::new(py, &template.digest()))
    }

    fn export_template<'py>(&self, py: Python<'py>, key: u64) -> PyResult<Bound<'py, PyBytes>> {
        let template = self
            .0
            .templates()
            .get(key)
            .ok_or(tx::BuildError::NoTemplate(key))
            .map_err(IntoPython::into_python)?;
        let bytes = guarded(|| self.0.export_template(template))?;
        Ok(PyBytes::new(py, &bytes.map_err(IntoPython::into_python)?))
    }

    fn import_template(&mut self, key: u64, data: &[u8]) -> PyResult<u32> {
        guarded(|| self.0.import_template(key, data))?.map_err(IntoPython::into_python)
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
        let operation = tx::Operation::execute(contract, &self.0.keeper());
        let item = tx::SimulationItem {
            operation: &operation,
            values: &[task_id],
            source: tx::Source::Keeper,
            channel,
            sequence: Sequence(sequence),
            data: None,
        };
        guarded(|| self.0.simulation_envelope(&item))?.map_err(IntoPython::into_python)
    }

    #[pyo3(signature = (
        operation, values, channel, sequence, *, source = "keeper", transaction_data = None,
    ))]
    #[allow(clippy::needless_pass_by_value)]
    fn simulation_envelope_of(
        &self,
        operation: &Operation,
        values: Vec<u64>,
        channel: u32,
        sequence: i64,
        source: &str,
        transaction_data: Option<&str>,
    ) -> PyResult<String> {
        let data = transaction_data.map(base64_of).transpose()?;
        let item = tx::SimulationItem {
            operation: &operation.0,
            values: &values,
            source: source_of(source)?,
            channel,
            sequence: Sequence(sequence),
            data: data.as_deref(),
        };
        guarded(|| self.0.simulation_envelope(&item))?.map_err(IntoPython::into_python)
    }

    #[allow(clippy::needless_pass_by_value)]
    fn build_executes<'py>(
        &self,
        py: Python<'py>,
        contract: &[u8],
        items: Vec<TaskItem>,
        inclusion_fee_stroops: u32,
    ) -> PyResult<Vec<Built<'py>>> {
        let contract = ContractId(key("contract", contract)?);
        let build = |&(shape, task, channel, sequence, max_ledger, max_time_s): &TaskItem| {
            let place = tx::BuildPlace {
                channel,
                sequence: Sequence(sequence),
                max_ledger: Ledger(max_ledger),
                max_time_s,
            };
            self.0.build_task(
                &contract,
                shape,
                TaskId(task),
                &place,
                inclusion_fee_stroops,
            )
        };
        // Two signatures an item are the dearest thing a worker does: detached, so that other threads run.
        let all: Result<Vec<_>, _> = detached(py, || items.iter().map(build).collect())?;
        let all = all.map_err(IntoPython::into_python)?;
        Ok(all.into_iter().map(|one| built(py, one)).collect())
    }

    fn build<'py>(
        &self,
        py: Python<'py>,
        items: Vec<Item>,
        inclusion_fee_stroops: u32,
    ) -> PyResult<Vec<Built<'py>>> {
        let build = |(key, values, channel, sequence, max_ledger, max_time_s): Item| {
            let place = tx::BuildPlace {
                channel,
                sequence: Sequence(sequence),
                max_ledger: Ledger(max_ledger),
                max_time_s,
            };
            let item = tx::BuildItem { key, values, place };
            self.0.build(&item, inclusion_fee_stroops)
        };
        // Detached for the same reason.
        let all: Result<Vec<_>, _> = detached(py, || items.into_iter().map(build).collect())?;
        let all = all.map_err(IntoPython::into_python)?;
        Ok(all.into_iter().map(|one| built(py, one)).collect())
    }

    #[pyo3(signature = (
        operation, values, channel, sequence, max_ledger, max_time_s, inclusion_fee_stroops, *,
        transaction_data = None, auth = None, min_resource_fee_stroops = None, source = "keeper",
        consent = "plain",
        write_bytes_pad = 0, fee_pad_stroops = 0,
    ))]
    #[allow(clippy::needless_pass_by_value, clippy::too_many_arguments)]
    fn build_operation<'py>(
        &self,
        py: Python<'py>,
        operation: &Operation,
        values: Vec<u64>,
        channel: u32,
        sequence: i64,
        max_ledger: u32,
        max_time_s: u64,
        inclusion_fee_stroops: u32,
        transaction_data: Option<&str>,
        auth: Option<Vec<String>>,
        min_resource_fee_stroops: Option<&Bound<'_, PyAny>>,
        source: &str,
        consent: &str,
        write_bytes_pad: u32,
        fee_pad_stroops: u32,
    ) -> PyResult<Built<'py>> {
        let data = transaction_data.map(base64_of).transpose()?;
        let auth = all_base64_of(&auth.unwrap_or_default())?;
        let fee = min_resource_fee_stroops.map(stroops);
        let lesson = tx::Lesson {
            operation: &operation.0,
            values: &values,
            source: source_of(source)?,
            simulated: tx::Simulated {
                data: data.as_deref(),
                auth: &auth,
                consent: consent_of(consent)?,
                min_resource_fee: fee.transpose()?.unwrap_or_default(),
            },
            must_write: None,
            padding: tx::Padding {
                write_bytes: write_bytes_pad,
                fee_stroops: fee_pad_stroops,
            },
        };
        let place = tx::BuildPlace {
            channel,
            sequence: Sequence(sequence),
            max_ledger: Ledger(max_ledger),
            max_time_s,
        };
        let one = guarded(|| {
            self.0
                .build_operation(&lesson, &place, inclusion_fee_stroops)
        })?;
        Ok(built(py, one.map_err(IntoPython::into_python)?))
    }

    fn __repr__(&self) -> String {
        let keeper = encode(Kind::Account, &self.0.keeper().0);
        format!(
            "<Signer of keeper {keeper} with {} channels>",
            self.0.channels().len()
        )
    }
}
