//! Running a task. The only entry written is the task's own, so that executions of different tasks never touch the
//! same entry and can be applied in parallel.

use soroban_sdk::{panic_with_error, token, vec, Address, Env, Error as HostError, IntoVal, Symbol, Val};

use crate::events::KeeperPaid;
use crate::{dependencies, storage, Error, TaskConfig};

/// The fee where no token was set.
const FLAT_FEE: i128 = 100;
const MIN_FEE: i128 = 50;
const MAX_FEE: i128 = 10_000;

/// Runs the task if it is due and its conditions hold. The keeper's authorization is the caller's to require.
///
/// There is no lock against re-entry: the host refuses a call into a contract that is already on the call stack.
pub fn run(env: &Env, keeper: &Address, task_id: u64) {
    let mut task = storage::load_task(env, task_id);
    if !task.is_active {
        panic_with_error!(env, Error::TaskPaused);
    }
    if !task.whitelist.is_empty() && !task.whitelist.contains(keeper) {
        panic_with_error!(env, Error::Unauthorized);
    }
    let now = env.ledger().timestamp();
    if now < task.due_at() {
        return;
    }
    if dependencies::is_blocked(env, &task) {
        panic_with_error!(env, Error::DependencyBlocked);
    }
    if !condition_holds(env, &task) {
        return;
    }
    let token = storage::token(env);
    let fee = fee(&task, token.is_some());
    if fee > task.gas_balance {
        panic_with_error!(env, Error::InsufficientBalance);
    }
    check_callable(env, &task, token.as_ref());

    env.invoke_contract::<Val>(&task.target, &task.function, task.args.clone());

    task.gas_balance -= fee;
    if let Some(token) = token {
        token::TokenClient::new(env, &token).transfer(&env.current_contract_address(), keeper, &fee);
    }
    task.last_run = now;
    storage::save_task(env, task_id, &task);
    KeeperPaid { task_id, keeper: keeper.clone(), fee }.publish(env);
}

/// Fails for a task that must not be run whatever its state. Checked at registration and again at each run, because
/// an entry may be older than the rule.
pub fn check_callable(env: &Env, task: &TaskConfig, token: Option<&Address>) {
    if task.yield_strategy.is_some() {
        panic_with_error!(env, Error::InvalidYieldStrategy);
    }
    // The target sees the registry as its caller. Called directly, the token would take that for the registry's
    // consent to a transfer of everybody's gas.
    if token == Some(&task.target) {
        panic_with_error!(env, Error::InvalidPayload);
    }
}

/// Asks the resolver, if there is one. A resolver that fails, or that answers something else than a bool, says no.
fn condition_holds(env: &Env, task: &TaskConfig) -> bool {
    let Some(resolver) = &task.resolver else { return true };
    let question = vec![env, task.args.into_val(env)];
    let function = Symbol::new(env, "check_condition");
    matches!(env.try_invoke_contract::<bool, HostError>(resolver, &function, question), Ok(Ok(true)))
}

/// In the token's smallest unit; with a token it grows with the number of arguments (199 for none, 228 for one).
fn fee(task: &TaskConfig, has_token: bool) -> i128 {
    if !has_token {
        return FLAT_FEE;
    }
    let work = 70 + 10 * i128::from(task.args.len());
    (work * 150 / 100 * 190 / 100).clamp(MIN_FEE, MAX_FEE)
}
