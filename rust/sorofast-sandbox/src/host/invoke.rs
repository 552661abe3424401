//! One host function in enforcing mode: footprint in, changes and events out, in the order of the network's own checks.

use crate::config::PROTOCOL_VERSION;
use crate::host::footprint::{self, Input};
use crate::host::outcome;
use crate::host::stack::caught;
use crate::ledger::settings::{Settings, BASE_RESERVE_STROOPS};
use crate::ledger::state::{Entries, Key, Lifetime, Stored};
use crate::tx::diagnostics::Diagnostics;
use crate::tx::envelope::{Parsed, SorobanPart};
use soroban_env_host::budget::Budget;
use soroban_env_host::e2e_invoke::{
    invoke_host_function, InvokeHostFunctionResult as HostOutcome, TtlLedgerEntryMeta,
};
use soroban_env_host::fees::RentFeeConfiguration;
use soroban_env_host::xdr::{InvokeHostFunctionOp, Limits, ScError, ScErrorCode, WriteXdr};
use soroban_env_host::{HostError, LedgerInfo, ModuleCache};
use stellar_xdr::InvokeHostFunctionResult as Code;

/// The ledger that an invocation belongs to.
#[derive(Debug)]
pub struct InvocationLedger<'a> {
    pub sequence: u32,
    pub close_time_s: u64,
    pub network_id: [u8; 32],
    pub settings: &'a Settings,
    /// With the price of the state's size.
    pub rent_fees: RentFeeConfiguration,
}

impl InvocationLedger<'_> {
    pub fn host_info(&self) -> LedgerInfo {
        LedgerInfo {
            protocol_version: PROTOCOL_VERSION,
            sequence_number: self.sequence,
            timestamp: self.close_time_s,
            network_id: self.network_id,
            base_reserve: BASE_RESERVE_STROOPS,
            min_temp_entry_ttl: self.settings.archival.min_temporary_ttl,
            min_persistent_entry_ttl: self.settings.archival.min_persistent_ttl,
            max_entry_ttl: self.settings.archival.max_entry_ttl,
        }
    }
}

/// A key's entry before and after.
#[derive(Debug)]
pub struct EntryChange {
    pub key: Key,
    pub before: Option<Stored>,
    pub after: Option<Stored>,
    /// The lifetime that an archived entry came back with; `before` is the archived entry.
    pub restored: Option<Lifetime>,
    /// The key was only read; at most its lifetime is another one.
    pub read_only: bool,
}

/// A successful invocation.
#[derive(Debug)]
pub struct Success {
    /// XDR of the returned `ScVal`.
    pub return_value_xdr: Vec<u8>,
    /// XDR of `ContractEvent`s.
    pub events_xdr: Vec<Vec<u8>>,
    pub changes: Vec<EntryChange>,
    pub rent_fee_stroops: i64,
    /// Events and return value together.
    pub events_bytes: u32,
}

/// Why an invocation failed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Failure {
    /// With this code of the operation.
    Operation(FailureCode),
    /// Something that must not happen happened inside the host.
    Internal,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum FailureCode {
    Trapped,
    ResourceLimitExceeded,
    EntryArchived,
}

impl FailureCode {
    pub fn result(self) -> Code {
        match self {
            Self::Trapped => Code::Trapped,
            Self::ResourceLimitExceeded => Code::ResourceLimitExceeded,
            Self::EntryArchived => Code::EntryArchived,
        }
    }
}

/// The operation went beyond a limit.
pub(crate) const LIMIT: Failure = Failure::Operation(FailureCode::ResourceLimitExceeded);
/// The error that such diagnostics carry.
pub(crate) const OVER_BUDGET: ScError = ScError::Budget(ScErrorCode::ExceededLimit);

/// A host function that a transaction calls for.
pub struct Invocation<'a> {
    pub tx: &'a Parsed,
    pub part: &'a SorobanPart,
    pub operation: &'a InvokeHostFunctionOp,
    pub seed: [u8; 32],
    pub modules: &'a ModuleCache,
}

impl std::fmt::Debug for Invocation<'_> {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Invocation")
            .field("tx", &self.tx)
            .finish_non_exhaustive()
    }
}

/// Runs the function. Diagnostics of the host itself are gathered in a second run, only when the first one fails.
pub fn invoke(
    invocation: &Invocation<'_>,
    ledger: &InvocationLedger<'_>,
    entries: &dyn Entries,
    diagnostics: &mut Diagnostics,
) -> Result<Success, Failure> {
    let part = invocation.part;
    let inputs = footprint::load(part, ledger, entries, diagnostics)?;
    let call = Call::new(invocation, &inputs).ok_or(Failure::Internal)?;
    let returned = match call.run(invocation, ledger, None) {
        Ok(outcome) => outcome,
        Err(failure) => {
            let mut events = Vec::new();
            let repeated = call.run(invocation, ledger, Some(&mut events));
            diagnostics.events_xdr.extend(
                events
                    .iter()
                    .filter_map(|event| event.to_xdr(Limits::none()).ok()),
            );
            let failure = match repeated {
                Err(repeated) => repeated,
                Ok(_) => failure,
            };
            return Err(explain(&failure, part, ledger.settings, diagnostics));
        }
    };
    caught(|| outcome::record(part, inputs, returned, ledger, diagnostics))
        .unwrap_or(Err(Failure::Internal))
}

/// A run that failed, with what it had used by then.
struct HostFailure {
    error: Option<HostError>,
    instructions: u64,
    memory_bytes: u64,
}

/// Encoded arguments of an invocation.
struct Call<'a> {
    function_xdr: Vec<u8>,
    source_xdr: Vec<u8>,
    auth_xdr: Vec<Vec<u8>>,
    inputs: &'a [Input],
    restored: Vec<u32>,
}

impl<'a> Call<'a> {
    fn new(invocation: &Invocation<'_>, inputs: &'a [Input]) -> Option<Self> {
        let Invocation {
            tx,
            part,
            operation,
            ..
        } = invocation;
        let auth: Result<Vec<Vec<u8>>, _> = operation
            .auth
            .iter()
            .map(|entry| entry.to_xdr(Limits::none()))
            .collect();
        Some(Self {
            function_xdr: operation.host_function.to_xdr(Limits::none()).ok()?,
            source_xdr: tx.operation_source_xdr(&tx.tx.operations[0]),
            auth_xdr: auth.ok()?,
            restored: inputs[part.read_only..]
                .iter()
                .enumerate()
                .filter(|(_, input)| input.restored)
                .map(|(index, _)| index as u32)
                .collect(),
            inputs,
        })
    }

    fn run(
        &self,
        invocation: &Invocation<'_>,
        ledger: &InvocationLedger<'_>,
        diagnostics: Option<&mut Vec<soroban_env_host::xdr::DiagnosticEvent>>,
    ) -> Result<HostOutcome, HostFailure> {
        let settings = ledger.settings;
        let failed = |error| HostFailure {
            error,
            instructions: 0,
            memory_bytes: 0,
        };
        let budget = Budget::try_from_configs(
            u64::from(invocation.part.data.resources.instructions),
            u64::from(settings.compute.tx_memory_limit),
            settings.cpu_params.clone(),
            settings.memory_params.clone(),
        )
        .map_err(|error| failed(Some(error)))?;
        let entries: Vec<(Option<&[u8]>, Option<TtlLedgerEntryMeta>)> = self
            .inputs
            .iter()
            .map(|input| {
                let entry = input.entry.as_ref().map(|entry| &*entry.xdr);
                let lifetime = input.lifetime.map(|lifetime| TtlLedgerEntryMeta {
                    live_until_ledger: lifetime.live_until,
                    entry_size_for_rent: lifetime.rent_size_bytes,
                });
                (entry, lifetime)
            })
            .collect();
        let with_diagnostics = diagnostics.is_some();
        let mut unused = Vec::new();
        let events = diagnostics.unwrap_or(&mut unused);
        let outcome = caught(|| {
            invoke_host_function(
                &budget,
                with_diagnostics,
                self.function_xdr.as_slice(),
                invocation.part.resources_xdr.as_slice(),
                &self.restored,
                self.source_xdr.as_slice(),
                self.auth_xdr.iter().map(Vec::as_slice),
                ledger.host_info(),
                entries.into_iter(),
                &invocation.seed,
                events,
                None,
                Some(invocation.modules.clone()),
            )
        });
        let error = match outcome {
            None => None,
            Some(Err(error)) => Some(error),
            Some(Ok(outcome)) => match outcome.encoded_invoke_result {
                Ok(_) => return Ok(outcome),
                Err(error) => Some(error),
            },
        };
        Err(HostFailure {
            error,
            instructions: budget.get_cpu_insns_consumed().unwrap_or(0),
            memory_bytes: budget.get_mem_bytes_consumed().unwrap_or(0),
        })
    }
}

fn explain(
    failure: &HostFailure,
    part: &SorobanPart,
    settings: &Settings,
    diagnostics: &mut Diagnostics,
) -> Failure {
    let Some(error) = &failure.error else {
        return Failure::Internal;
    };
    let code: ScError = error
        .error
        .try_into()
        .unwrap_or(ScError::Context(ScErrorCode::InternalError));
    diagnostics.host_failure(code);
    if error.error.is_code(ScErrorCode::InternalError)
        && !error
            .error
            .is_type(soroban_env_host::xdr::ScErrorType::Contract)
    {
        return Failure::Internal;
    }
    let declared = u64::from(part.data.resources.instructions);
    let memory = u64::from(settings.compute.tx_memory_limit);
    if failure.instructions > declared {
        diagnostics.error(
            OVER_BUDGET,
            "operation instructions exceeds amount specified",
            &[failure.instructions, declared],
        );
        LIMIT
    } else if failure.memory_bytes > memory {
        diagnostics.error(
            OVER_BUDGET,
            "operation memory usage exceeds network config limit",
            &[failure.memory_bytes, memory],
        );
        LIMIT
    } else {
        Failure::Operation(FailureCode::Trapped)
    }
}
