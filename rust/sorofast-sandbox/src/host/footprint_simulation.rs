//! Simulations of the two operations that only look after the lifetimes of a footprint.

use crate::host::simulate::Run;
use crate::types::{RestorePreamble, SimulationSuccess};
use soroban_env_host::storage::SnapshotSource;
use soroban_env_host::xdr::{LedgerKey, Limits, SorobanTransactionData, WriteXdr};
use soroban_env_host::LedgerInfo;
use soroban_simulation::simulation::{
    simulate_extend_ttl_op, simulate_restore_op, SimulationAdjustmentConfig,
};
use soroban_simulation::{AutoRestoringSnapshotSource, NetworkConfig};
use std::rc::Rc;

/// What extending costs; archived entries count as restored, and what restoring them costs comes with it.
pub fn extend(
    snapshot: Rc<impl SnapshotSource>,
    network: &NetworkConfig,
    info: &LedgerInfo,
    keys: &[LedgerKey],
    extend_to: u32,
) -> Run {
    let adjustments = SimulationAdjustmentConfig::default_adjustment();
    // The library adds without a check; no entry may live anywhere near as long.
    if extend_to > u32::MAX - info.sequence_number {
        return done(Err(format!(
            "extendTo {extend_to} is beyond the last ledger there can be"
        )));
    }
    let simulate = || {
        let restoring = AutoRestoringSnapshotSource::new(snapshot, info).map_err(text)?;
        let extended =
            simulate_extend_ttl_op(&restoring, network, &adjustments, info, keys, extend_to)
                .map_err(text)?;
        let restored = restoring
            .simulate_restore_keys_op(network, &adjustments, info)
            .map_err(text)?;
        success(
            &extended.transaction_data,
            restored.as_ref().map(|restored| &restored.transaction_data),
        )
    };
    done(simulate())
}

/// What restoring costs.
pub fn restore(
    snapshot: &impl SnapshotSource,
    network: &NetworkConfig,
    info: &LedgerInfo,
    keys: &[LedgerKey],
) -> Run {
    let adjustments = SimulationAdjustmentConfig::default_adjustment();
    done(
        simulate_restore_op(snapshot, network, &adjustments, info, keys)
            .map_err(text)
            .and_then(|restored| success(&restored.transaction_data, None)),
    )
}

fn text(error: impl std::fmt::Debug) -> String {
    format!("{error:?}")
}

fn done(outcome: Result<SimulationSuccess, String>) -> Run {
    Run::Done {
        events_xdr: Vec::new(),
        outcome,
    }
}

fn success(
    data: &SorobanTransactionData,
    restored: Option<&SorobanTransactionData>,
) -> Result<SimulationSuccess, String> {
    let encode = |data: &SorobanTransactionData| {
        data.to_xdr(Limits::none())
            .map_err(|error| format!("the result of the simulation cannot be encoded: {error}"))
    };
    let restore = restored
        .map(|data| {
            Ok::<_, String>(RestorePreamble {
                transaction_data_xdr: encode(data)?,
                min_resource_fee_stroops: data.resource_fee,
            })
        })
        .transpose()?;
    Ok(SimulationSuccess {
        transaction_data_xdr: encode(data)?,
        min_resource_fee_stroops: data.resource_fee,
        auth_xdr: Vec::new(),
        result_xdr: None,
        state_changes: Vec::new(),
        restore,
    })
}
