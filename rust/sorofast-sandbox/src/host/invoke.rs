//! One host function in enforcing mode: footprint in, changes and events out, in the order of the network's own checks.

use crate::config::PROTOCOL_VERSION;
use crate::crypto::sha256;
use crate::host::modules::is_code_key;
use crate::ledger::settings::{Settings, BASE_RESERVE_STROOPS};
use crate::ledger::state::{Entries, Key, Lifetime, Stored};
use crate::tx::diagnostics::Diagnostics;
use crate::tx::envelope::{Parsed, SorobanPart};
use soroban_env_host::budget::Budget;
use soroban_env_host::e2e_invoke::{
    extract_rent_changes, invoke_host_function, InvokeHostFunctionResult as HostOutcome,
    LedgerEntryChange, TtlLedgerEntryMeta,
};
use soroban_env_host::fees::compute_rent_fee;
use soroban_env_host::xdr::{InvokeHostFunctionOp, Limits, ScError, ScErrorCode, WriteXdr};
use soroban_env_host::{HostError, LedgerInfo, ModuleCache};
use std::panic::{catch_unwind, AssertUnwindSafe};
use stellar_xdr::InvokeHostFunctionResult as Code;

/// The ledger that an invocation belongs to.
#[derive(Debug)]
pub struct InvocationLedger<'a> {
    pub sequence: u32,
    pub close_time_s: u64,
    pub network_id: [u8; 32],
    pub settings: &'a Settings,
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
    /// The entry was archived and came back; `before` is the archived entry.
    pub restored: bool,
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

const LIMIT: Failure = Failure::Operation(FailureCode::ResourceLimitExceeded);
const OVER_BUDGET: ScError = ScError::Budget(ScErrorCode::ExceededLimit);

/// What the host is given for one key.
struct Input {
    key: Key,
    /// None: no live entry.
    entry: Option<Stored>,
    /// In place of the entry's own when it is being restored.
    lifetime: Option<Lifetime>,
    restored: bool,
}

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
    let inputs = load_footprint(part, ledger, entries, diagnostics)?;
    let call = Call::new(invocation, &inputs).ok_or(Failure::Internal)?;
    let outcome = match call.run(invocation, ledger, None) {
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
    record(part, inputs, outcome, ledger, diagnostics)
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
        let outcome = catch_unwind(AssertUnwindSafe(|| {
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
        }));
        let error = match outcome {
            Err(_panic) => None,
            Ok(Err(error)) => Some(error),
            Ok(Ok(outcome)) => match outcome.encoded_invoke_result {
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

/// `LedgerEntryType` at the start of a key.
fn kind(key: &[u8]) -> u8 {
    key[3]
}

const CONTRACT_DATA: u8 = 6;
const CONTRACT_CODE: u8 = 7;

fn is_soroban_key(key: &[u8]) -> bool {
    matches!(kind(key), CONTRACT_DATA | CONTRACT_CODE)
}

/// Durability is the last word of a data key; code always persists.
fn is_persistent(key: &[u8]) -> bool {
    kind(key) == CONTRACT_CODE || key[key.len() - 1] == 1
}

fn load_footprint(
    part: &SorobanPart,
    ledger: &InvocationLedger<'_>,
    entries: &dyn Entries,
    diagnostics: &mut Diagnostics,
) -> Result<Vec<Input>, Failure> {
    let resources = &part.data.resources;
    let mut disk_bytes = 0_u32;
    let mut inputs = Vec::with_capacity(part.keys.len());
    for (index, key) in part.keys.iter().enumerate() {
        let found = entries.get(key);
        let lifetime = found.as_ref().and_then(|entry| entry.lifetime);
        let expired = lifetime.is_some_and(|lifetime| lifetime.live_until < ledger.sequence);
        let size = found.as_ref().map_or(0, |entry| entry.xdr.len() as u32);
        let mut input = Input {
            key: key.clone(),
            entry: found,
            lifetime,
            restored: false,
        };
        if expired && !is_persistent(key) {
            input.entry = None;
            input.lifetime = None;
        } else if expired {
            let marked = index
                .checked_sub(part.read_only)
                .is_some_and(|index| part.archived().contains(&(index as u32)));
            if !marked {
                diagnostics.error(
                    ScError::Value(ScErrorCode::InvalidInput),
                    if is_code_key(key) {
                        "trying to access an archived contract code entry"
                    } else {
                        "trying to access an archived contract data entry"
                    },
                    &[],
                );
                return Err(Failure::Operation(FailureCode::EntryArchived));
            }
            input.restored = true;
            input.lifetime = lifetime.map(|lifetime| Lifetime {
                live_until: ledger.sequence + ledger.settings.archival.min_persistent_ttl - 1,
                modified: ledger.sequence,
                ..lifetime
            });
        }
        let size = if input.entry.is_some() { size } else { 0 };
        check_entry_size(key, size, ledger.settings, diagnostics)?;
        if input.restored || !is_soroban_key(key) {
            disk_bytes = disk_bytes.saturating_add(size);
            if disk_bytes > resources.disk_read_bytes {
                diagnostics.error(
                    OVER_BUDGET,
                    "operation byte-read resources exceeds amount specified",
                    &[u64::from(disk_bytes), u64::from(resources.disk_read_bytes)],
                );
                return Err(LIMIT);
            }
        }
        inputs.push(input);
    }
    Ok(inputs)
}

fn check_entry_size(
    key: &[u8],
    size_bytes: u32,
    settings: &Settings,
    diagnostics: &mut Diagnostics,
) -> Result<(), Failure> {
    let (limit, message) = match kind(key) {
        CONTRACT_CODE => (
            settings.max_contract_size_bytes,
            "Wasm size exceeds network config maximum contract size",
        ),
        CONTRACT_DATA => (
            settings.max_data_entry_size_bytes,
            "ContractData size exceeds network config maximum size",
        ),
        _ => return Ok(()),
    };
    if size_bytes > limit {
        diagnostics.error(
            OVER_BUDGET,
            message,
            &[u64::from(size_bytes), u64::from(limit)],
        );
        return Err(LIMIT);
    }
    Ok(())
}

/// Turns what the host returned into changes, holding them against the declared limits.
fn record(
    part: &SorobanPart,
    inputs: Vec<Input>,
    outcome: HostOutcome,
    ledger: &InvocationLedger<'_>,
    diagnostics: &mut Diagnostics,
) -> Result<Success, Failure> {
    let rent_fee_stroops = compute_rent_fee(
        &extract_rent_changes(&outcome.ledger_changes),
        &ledger.settings.rent_fees,
        ledger.sequence,
    );
    if outcome.ledger_changes.len() > inputs.len() {
        return Err(Failure::Internal);
    }
    let mut changes = Vec::with_capacity(inputs.len());
    let mut write_bytes = 0_u32;
    // The host answers in the order of the footprint, leaving out keys that it never loaded.
    let mut answers = outcome.ledger_changes.into_iter().peekable();
    for (index, input) in inputs.into_iter().enumerate() {
        let answer = answers.next_if(|answer| *answer.encoded_key == *input.key);
        let writable = index >= part.read_only;
        let after = match fate(&input, answer, writable, ledger)? {
            Fate::Unchanged => continue,
            Fate::Deleted => None,
            Fate::Written(entry) => Some(entry),
        };
        if let (true, Some(entry)) = (writable, &after) {
            let size = entry.xdr.len() as u32;
            check_entry_size(&input.key, size, ledger.settings, diagnostics)?;
            write_bytes = write_bytes.saturating_add(size);
            let declared = part.data.resources.write_bytes;
            if write_bytes > declared {
                diagnostics.error(
                    OVER_BUDGET,
                    "operation byte-write resources exceeds amount specified",
                    &[u64::from(write_bytes), u64::from(declared)],
                );
                return Err(LIMIT);
            }
        }
        changes.push(EntryChange {
            key: input.key,
            before: input.entry,
            after,
            restored: input.restored,
        });
    }
    if answers.next().is_some() {
        return Err(Failure::Internal);
    }
    let return_value_xdr = outcome
        .encoded_invoke_result
        .map_err(|_| Failure::Internal)?;
    let mut events_bytes = 0_u32;
    let limit = ledger.settings.events.tx_max_contract_events_size_bytes;
    let pieces = outcome
        .encoded_contract_events
        .iter()
        .chain(std::iter::once(&return_value_xdr));
    for piece in pieces {
        events_bytes = events_bytes.saturating_add(piece.len() as u32);
        if events_bytes > limit {
            diagnostics.error(
                OVER_BUDGET,
                "events and return value exceed the network config maximum",
                &[u64::from(events_bytes), u64::from(limit)],
            );
            return Err(LIMIT);
        }
    }
    Ok(Success {
        return_value_xdr,
        events_xdr: outcome.encoded_contract_events,
        changes,
        rent_fee_stroops,
        events_bytes,
    })
}

/// What a call did to an entry.
enum Fate {
    Unchanged,
    Deleted,
    Written(Stored),
}

impl Fate {
    fn deleted_if(existed: bool) -> Self {
        if existed {
            Self::Deleted
        } else {
            Self::Unchanged
        }
    }
}

fn fate(
    input: &Input,
    answer: Option<LedgerEntryChange>,
    writable: bool,
    ledger: &InvocationLedger<'_>,
) -> Result<Fate, Failure> {
    let lifetime_after = |answer: &LedgerEntryChange| {
        let ttl = answer.ttl_change.as_ref()?;
        let rent_size_bytes = if writable {
            answer.new_entry_size_bytes_for_rent
        } else {
            input.lifetime?.rent_size_bytes
        };
        let unchanged = input
            .lifetime
            .filter(|lifetime| !input.restored && ttl.new_live_until_ledger <= lifetime.live_until);
        Some(match unchanged {
            Some(lifetime) => Lifetime {
                rent_size_bytes,
                ..lifetime
            },
            None => Lifetime {
                live_until: ttl.new_live_until_ledger,
                rent_size_bytes,
                modified: ledger.sequence,
            },
        })
    };
    let Some(answer) = answer else {
        // Writable keys that the host does not return are gone.
        return Ok(Fate::deleted_if(writable && input.entry.is_some()));
    };
    if !writable {
        let (Some(entry), Some(lifetime)) = (&input.entry, lifetime_after(&answer)) else {
            return Ok(Fate::Unchanged);
        };
        if Some(lifetime) == input.lifetime {
            return Ok(Fate::Unchanged);
        }
        return Ok(Fate::Written(Stored {
            xdr: entry.xdr.clone(),
            lifetime: Some(lifetime),
        }));
    }
    let lifetime = lifetime_after(&answer);
    match answer.encoded_new_value {
        None => Ok(Fate::deleted_if(input.entry.is_some())),
        Some(mut xdr) => {
            if xdr.len() < 8 || (is_soroban_key(&input.key) && lifetime.is_none()) {
                return Err(Failure::Internal);
            }
            xdr[..4].copy_from_slice(&ledger.sequence.to_be_bytes());
            Ok(Fate::Written(Stored {
                xdr: xdr.into(),
                lifetime,
            }))
        }
    }
}

/// Hash of a key, which names its lifetime entry.
pub fn lifetime_key_hash(key: &[u8]) -> [u8; 32] {
    sha256(key)
}
