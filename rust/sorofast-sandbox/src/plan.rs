//! A fault plan, from the file or the admin interface into force.

use std::path::Path;
use std::sync::{Mutex, PoisonError};

use crate::agents;
use crate::faults::{LedgerFaults, Plan, Replica};
use crate::ledger::value::OldHeader;

use crate::app::App;
use crate::rpc;

/// Held while a plan comes into force.
static TURN: Mutex<()> = Mutex::new(());

/// Reads a plan and checks it as far as that goes without a network.
///
/// # Errors
/// One line with the file, the place and the reason.
pub(crate) fn read(path: &Path) -> Result<Plan, String> {
    let problem = |reason: String| format!("--faults {}: {reason}", path.display());
    let text = std::fs::read_to_string(path).map_err(|error| problem(error.to_string()))?;
    let plan = Plan::parse(&text).map_err(problem)?;
    plan.check(rpc::is_method).map_err(problem)?;
    Ok(plan)
}

/// The form of the first header of a chain that is to see the plan's upgrade.
pub(crate) fn first_header(plan: &Plan) -> Option<OldHeader> {
    LedgerFaults::first_header(&plan.ledger)
}

/// Puts a plan in force on all ports, in place of the one before. Blocking.
///
/// # Errors
/// What makes no sense in it, or is not there; nothing changes then.
pub(crate) fn put_in_force(app: &App, plan: Plan) -> Result<(), String> {
    plan.check(rpc::is_method)?;
    let ports = app.replicas.len();
    if plan.replicas.len() > ports {
        return Err(format!(
            "replicas: {} are planned and {ports} are there; start the sandbox with --replicas {}",
            plan.replicas.len(),
            plan.replicas.len()
        ));
    }
    for (index, rule) in plan.rules.iter().enumerate() {
        let is_there = rule.endpoint == "*"
            || rule.endpoint == app.endpoint
            || app.replicas.contains(&rule.endpoint);
        if !is_there {
            return Err(format!(
                "rules[{index}]: there is no endpoint {:?}; start the sandbox with --replicas",
                rule.endpoint
            ));
        }
    }
    // Two plans at once must not come into force half and half.
    let _turn = TURN.lock().unwrap_or_else(PoisonError::into_inner);
    let seed = plan.seed.unwrap_or_else(|| app.node.random().seed());
    let stale = plan.rules.iter().filter_map(|rule| rule.stale_ledgers);
    let lags = plan.replicas.iter().map(Replica::furthest_ledgers);
    app.node
        .keep_ledgers(stale.chain(lags).max().unwrap_or_default());
    app.node
        .disturb(plan.ledger.clone(), seed, agents::of_plan(&plan, seed));
    let now = app.now();
    app.faults.replace(plan, seed, now);
    Ok(())
}
