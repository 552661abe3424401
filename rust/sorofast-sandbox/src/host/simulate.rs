//! Simulation: the operation in recording mode against one closed ledger.

use crate::config::PROTOCOL_VERSION;
use crate::host::footprint_simulation as footprint;
use crate::host::simulated::{self, Simulated};
use crate::ledger::settings::BASE_RESERVE_STROOPS;
use crate::ledger::state::{SnapshotGone, Stored};
use crate::tx::envelope::decode_limits;
use crate::types::{SimulateOptions, SimulationSuccess, StateChange};
use soroban_env_host::e2e_invoke::RecordingInvocationAuthMode;
use soroban_env_host::events::HostEvent;
use soroban_env_host::storage::{EntryWithLiveUntil, SnapshotSource};
use soroban_env_host::xdr::{
    AccountId, DiagnosticEvent, HostFunction, LedgerEntry, LedgerKey, Limits, ReadXdr, ScErrorCode,
    ScErrorType, WriteXdr,
};
use soroban_env_host::{HostError, LedgerInfo};
use soroban_simulation::simulation::{
    simulate_invoke_host_function_op, LedgerEntryDiff, SimulationAdjustmentConfig,
};
use soroban_simulation::NetworkConfig;
use std::cell::{Cell, RefCell};
use std::collections::HashMap;
use std::fmt::Write as _;
use std::rc::Rc;
use std::sync::Arc;

/// Entries below this size are decoded each time.
const WORTH_KEEPING_BYTES: usize = 1024;
/// Decoded entries that a simulating thread keeps.
const KEPT_ENTRIES: usize = 64;

/// Reads entries as one ledger had them.
pub trait Snapshot {
    fn entry(&self, key: &[u8]) -> Result<Option<Stored>, SnapshotGone>;
}

/// The ledger to simulate against.
#[derive(Clone, Copy, Debug)]
pub struct SimulationLedger {
    pub sequence: u32,
    pub close_time_s: u64,
    pub network_id: [u8; 32],
}

/// What a run came to.
#[derive(Debug)]
pub enum Run {
    Done {
        events_xdr: Vec<Vec<u8>>,
        outcome: Result<SimulationSuccess, String>,
    },
    /// Refused for its form, before any ledger was looked at.
    Refused(String),
    /// The ledger was overtaken meanwhile; run again on a newer one.
    SnapshotGone,
}

struct Source<S> {
    snapshot: S,
    gone: Rc<Cell<bool>>,
}

impl<S: Snapshot> SnapshotSource for Source<S> {
    fn get(&self, key: &Rc<LedgerKey>) -> Result<Option<EntryWithLiveUntil>, HostError> {
        let internal = || HostError::from((ScErrorType::Storage, ScErrorCode::InternalError));
        let key = key.to_xdr(Limits::none()).map_err(|_| internal())?;
        let found = self.snapshot.entry(&key).map_err(|_| {
            self.gone.set(true);
            internal()
        })?;
        let Some(stored) = found else {
            return Ok(None);
        };
        let live_until = stored.lifetime.map(|lifetime| lifetime.live_until);
        let entry = decoded(&stored.xdr).map_err(|_| internal())?;
        Ok(Some((entry, live_until)))
    }
}

/// The bytes of an entry, and the entry.
type Kept = (Arc<[u8]>, Rc<LedgerEntry>);

thread_local! {
    /// Large entries, decoded, by where their bytes lie: code is read several times by each of many simulations.
    static DECODED: RefCell<HashMap<usize, Kept>> = RefCell::default();
}

fn decoded(xdr: &Arc<[u8]>) -> Result<Rc<LedgerEntry>, soroban_env_host::xdr::Error> {
    let decode = || LedgerEntry::from_xdr(xdr, decode_limits(xdr.len())).map(Rc::new);
    if xdr.len() < WORTH_KEEPING_BYTES {
        return decode();
    }
    DECODED.with_borrow_mut(|kept| {
        // What is kept holds on to its bytes, so the same place means the same bytes.
        let place = xdr.as_ptr() as usize;
        if let Some((_, entry)) = kept.get(&place) {
            return Ok(Rc::clone(entry));
        }
        let entry = decode()?;
        if kept.len() >= KEPT_ENTRIES {
            kept.clear();
        }
        kept.insert(place, (Arc::clone(xdr), Rc::clone(&entry)));
        Ok(entry)
    })
}

/// Simulates the only operation of an envelope. Runs deep on the stack.
pub fn simulate<S: Snapshot + 'static>(
    envelope_xdr: &[u8],
    options: SimulateOptions,
    ledger: SimulationLedger,
    seed: [u8; 32],
    snapshot: S,
) -> Run {
    let refuse = |reason: String| Run::Done {
        events_xdr: Vec::new(),
        outcome: Err(reason),
    };
    let simulated = match simulated::read(envelope_xdr, options) {
        Ok(simulated) => simulated,
        Err(reason) => return Run::Refused(reason),
    };
    let gone = Rc::new(Cell::new(false));
    let snapshot = Rc::new(Source {
        snapshot,
        gone: Rc::clone(&gone),
    });
    let network = match NetworkConfig::load_from_snapshot(&*snapshot) {
        Ok(network) => network,
        Err(_) if gone.get() => return Run::SnapshotGone,
        Err(error) => return refuse(format!("the network settings cannot be read: {error:#}")),
    };
    let mut info = LedgerInfo {
        protocol_version: PROTOCOL_VERSION,
        sequence_number: ledger.sequence,
        timestamp: ledger.close_time_s,
        network_id: ledger.network_id,
        base_reserve: BASE_RESERVE_STROOPS,
        ..LedgerInfo::default()
    };
    network.fill_config_fields_in_ledger_info(&mut info);
    let run = match simulated {
        Simulated::Call {
            source,
            function,
            auth,
        } => call(
            snapshot,
            &network,
            &info,
            options,
            &source,
            *function,
            auth.mode(),
            seed,
        ),
        Simulated::Extend { keys, extend_to } => {
            footprint::extend(snapshot, &network, &info, &keys, extend_to)
        }
        Simulated::Restore { keys } => footprint::restore(&*snapshot, &network, &info, &keys),
    };
    if gone.get() {
        return Run::SnapshotGone;
    }
    run
}

#[allow(clippy::too_many_arguments)]
fn call(
    snapshot: Rc<dyn SnapshotSource>,
    network: &NetworkConfig,
    info: &LedgerInfo,
    options: SimulateOptions,
    source: &AccountId,
    function: HostFunction,
    auth: RecordingInvocationAuthMode,
    seed: [u8; 32],
) -> Run {
    let refuse = |reason: String| Run::Done {
        events_xdr: Vec::new(),
        outcome: Err(reason),
    };
    let mut adjustments = SimulationAdjustmentConfig::default_adjustment();
    let leeway = match u32::try_from(options.instruction_leeway) {
        Ok(leeway) => leeway,
        Err(error) => return refuse(error.to_string()),
    };
    adjustments.instructions.additive_factor = adjustments.instructions.additive_factor.max(leeway);
    let result = simulate_invoke_host_function_op(
        snapshot,
        network,
        &adjustments,
        info,
        function,
        auth,
        source,
        seed,
        true,
    );
    let result = match result {
        Ok(result) => result,
        Err(error) => return refuse(format!("{error:?}")),
    };
    let events_xdr = result
        .diagnostic_events
        .iter()
        .filter_map(|event| event.to_xdr(Limits::none()).ok())
        .collect();
    let outcome = match (&result.invoke_result, &result.transaction_data) {
        (Ok(value), Some(data)) => success(value, data, &result.auth, &result.modified_entries),
        (Err(error), _) => Err(with_event_log(error, &result.diagnostic_events)),
        (Ok(_), None) => Err("the simulation gave no transaction data".into()),
    };
    Run::Done {
        events_xdr,
        outcome,
    }
}

/// The host's error as the server tells it, whose host keeps the events for that: the error, then the events, newest first.
fn with_event_log(error: &HostError, events: &[DiagnosticEvent]) -> String {
    let mut text = format!("HostError: {:?}\n", error.error);
    if !events.is_empty() {
        text.push_str("\nEvent log (newest first):\n");
    }
    for (number, told) in events.iter().rev().enumerate() {
        let event = HostEvent {
            event: told.event.clone(),
            failed_call: false,
        };
        // Writing into a string cannot fail.
        let _ = writeln!(text, "   {number}: {event}");
    }
    text
}

fn success(
    value: &soroban_env_host::xdr::ScVal,
    data: &soroban_env_host::xdr::SorobanTransactionData,
    auth: &[soroban_env_host::xdr::SorobanAuthorizationEntry],
    modified: &[LedgerEntryDiff],
) -> Result<SimulationSuccess, String> {
    let encode = || -> Result<SimulationSuccess, soroban_env_host::xdr::Error> {
        let mut state_changes = Vec::with_capacity(modified.len());
        for diff in modified {
            if let Some(change) = state_change(diff)? {
                state_changes.push(change);
            }
        }
        Ok(SimulationSuccess {
            transaction_data_xdr: data.to_xdr(Limits::none())?,
            min_resource_fee_stroops: data.resource_fee,
            auth_xdr: auth
                .iter()
                .map(|entry| entry.to_xdr(Limits::none()))
                .collect::<Result<_, _>>()?,
            result_xdr: Some(value.to_xdr(Limits::none())?),
            state_changes,
            restore: None,
        })
    };
    encode().map_err(|error| format!("the result of the simulation cannot be encoded: {error}"))
}

fn state_change(
    diff: &LedgerEntryDiff,
) -> Result<Option<StateChange>, soroban_env_host::xdr::Error> {
    let (kind, entry) = match (&diff.state_before, &diff.state_after) {
        (None, None) => return Ok(None),
        (None, Some(after)) => ("created", after),
        (Some(_), Some(after)) => ("updated", after),
        (Some(before), None) => ("deleted", before),
    };
    let encode = |entry: &Option<LedgerEntry>| {
        entry
            .as_ref()
            .map(|entry| entry.to_xdr(Limits::none()))
            .transpose()
    };
    Ok(Some(StateChange {
        kind,
        key_xdr: entry.to_key().to_xdr(Limits::none())?,
        before_xdr: encode(&diff.state_before)?,
        after_xdr: encode(&diff.state_after)?,
    }))
}
