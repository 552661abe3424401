//! A registry of recurring tasks. Each calls one function of one contract at most once per interval; any keeper may
//! execute a task that is due, and is paid a fee from the gas its creator put in.
#![no_std]

mod dependencies;
mod errors;
mod events;
mod execution;
mod storage;
mod types;

use soroban_sdk::xdr::ToXdr;
use soroban_sdk::{contract, contractimpl, panic_with_error, token::TokenClient, Address, Env, Vec};

pub use errors::Error;
pub use events::{
    BatchExecutionCompleted, ContractInitialized, DependencyAdded, DependencyRemoved, GasDeposited, GasWithdrawn,
    KeeperPaid, TaskCancelled, TaskPaused, TaskRegistered, TaskResumed,
};
pub use types::{DataKey, ExecutableTask, ExecutionOutcome, TaskConfig, TaskExecutionStatus};

const MAX_ARGS: u32 = 32;
const MAX_ARGS_BYTES: u32 = 4096;
const MAX_BATCH: u32 = 100;

#[contract]
pub struct TaskRegistry;

#[contractimpl]
impl TaskRegistry {
    /// Sets the contract up, once. The admin authorizes it; `token` is what fees are paid in, and without one gas
    /// balances are figures only.
    pub fn init(env: Env, admin: Address, token: Option<Address>) {
        admin.require_auth();
        if storage::is_initialized(&env) {
            panic_with_error!(&env, Error::AlreadyInitialized);
        }
        let instance = env.storage().instance();
        instance.set(&DataKey::AdminAddress, &admin);
        if let Some(token) = &token {
            instance.set(&DataKey::Token, token);
        }
        ContractInitialized { token }.publish(&env);
    }

    /// The token fees are paid in.
    pub fn get_token(env: Env) -> Address {
        storage::require_token(&env)
    }

    /// Stores a new task for its creator, active, and returns its id. With a token set, the creator pays the task's
    /// `gas_balance` in, so that a balance is never more than what the registry holds.
    pub fn register(env: Env, config: TaskConfig) -> u64 {
        let mut task = config;
        task.creator.require_auth();
        // Before that, a token could still be set and turn figures that nobody paid for into claims on it.
        if !storage::is_initialized(&env) {
            panic_with_error!(&env, Error::NotInitialized);
        }
        if task.interval == 0 {
            panic_with_error!(&env, Error::InvalidInterval);
        }
        if task.args.len() > MAX_ARGS {
            panic_with_error!(&env, Error::ArgsTooMany);
        }
        if task.args.clone().to_xdr(&env).len() > MAX_ARGS_BYTES {
            panic_with_error!(&env, Error::ArgsTooLarge);
        }
        require_not_negative(&env, task.gas_balance);
        let token = storage::token(&env);
        execution::check_callable(&env, &task, token.as_ref());

        let task_id = storage::next_id(&env);
        dependencies::check(&env, task_id, &task.blocked_by);
        task.is_active = true;
        if let (Some(token), true) = (token, task.gas_balance > 0) {
            TokenClient::new(&env, &token).transfer(&task.creator, env.current_contract_address(), &task.gas_balance);
        }
        storage::save_task(&env, task_id, &task);
        storage::keep_alive(&env, task_id);
        TaskRegistered { task_id, creator: task.creator }.publish(&env);
        task_id
    }

    pub fn get_task(env: Env, task_id: u64) -> Option<TaskConfig> {
        storage::find_task(&env, task_id)
    }

    /// The id last issued; ids run from 1 to it, less those cancelled.
    pub fn get_counter(env: Env) -> u64 {
        storage::counter(&env)
    }

    /// What is known of the task's runs; `NeverRun` for a task that does not exist.
    pub fn get_task_status(env: Env, task_id: u64) -> TaskExecutionStatus {
        storage::find_task(&env, task_id).map_or(
            TaskExecutionStatus { outcome: ExecutionOutcome::NeverRun, completed_at: 0, run_count: 0 },
            |task| task.status(),
        )
    }

    /// All tasks that are active and due. It reads every task there is, so beyond what one transaction may read use
    /// `monitor_paginated`.
    pub fn monitor(env: Env) -> Vec<ExecutableTask> {
        Self::monitor_paginated(env, 1, u64::MAX)
    }

    /// Those of the `limit` ids from `start_id` on whose task is active and due.
    pub fn monitor_paginated(env: Env, start_id: u64, limit: u64) -> Vec<ExecutableTask> {
        let mut due = Vec::new(&env);
        if start_id == 0 || limit == 0 {
            return due;
        }
        let now = env.ledger().timestamp();
        let end_id = start_id.saturating_add(limit - 1).min(storage::counter(&env));
        for task_id in start_id..=end_id {
            let Some(task) = storage::find_task(&env, task_id) else { continue };
            if task.is_active && now >= task.due_at() {
                let TaskConfig { target, function, args, .. } = task;
                due.push_back(ExecutableTask { task_id, target, function, args });
            }
        }
        due
    }

    pub fn pause_task(env: Env, task_id: u64) {
        let mut task = load_as_creator(&env, task_id);
        if !task.is_active {
            panic_with_error!(&env, Error::TaskAlreadyPaused);
        }
        task.is_active = false;
        storage::save_task(&env, task_id, &task);
        TaskPaused { task_id, creator: task.creator }.publish(&env);
    }

    pub fn resume_task(env: Env, task_id: u64) {
        let mut task = load_as_creator(&env, task_id);
        if task.is_active {
            panic_with_error!(&env, Error::TaskAlreadyActive);
        }
        task.is_active = true;
        storage::save_task(&env, task_id, &task);
        storage::keep_alive(&env, task_id);
        TaskResumed { task_id, creator: task.creator }.publish(&env);
    }

    /// Removes the task and pays its gas back. Tasks that wait for it stay blocked until they drop the dependency.
    pub fn cancel_task(env: Env, task_id: u64) {
        let task = load_as_creator(&env, task_id);
        let refund = task.gas_balance;
        if let (Some(token), true) = (storage::token(&env), refund > 0) {
            TokenClient::new(&env, &token).transfer(&env.current_contract_address(), &task.creator, &refund);
        }
        storage::remove_task(&env, task_id);
        TaskCancelled { task_id, creator: task.creator, refund }.publish(&env);
    }

    /// Moves `amount` of the token from `from` to the task's gas. Anybody may.
    pub fn deposit_gas(env: Env, task_id: u64, from: Address, amount: i128) {
        from.require_auth();
        let mut task = storage::load_task(&env, task_id);
        let token = storage::require_token(&env);
        require_not_negative(&env, amount);
        TokenClient::new(&env, &token).transfer(&from, env.current_contract_address(), &amount);
        task.gas_balance += amount;
        storage::save_task(&env, task_id, &task);
        storage::keep_alive(&env, task_id);
        GasDeposited { task_id, from, amount }.publish(&env);
    }

    /// Moves `amount` of the task's gas back to its creator.
    pub fn withdraw_gas(env: Env, task_id: u64, amount: i128) {
        let mut task = load_as_creator(&env, task_id);
        require_not_negative(&env, amount);
        if task.gas_balance < amount {
            panic_with_error!(&env, Error::InsufficientBalance);
        }
        let token = storage::require_token(&env);
        TokenClient::new(&env, &token).transfer(&env.current_contract_address(), &task.creator, &amount);
        task.gas_balance -= amount;
        storage::save_task(&env, task_id, &task);
        GasWithdrawn { task_id, creator: task.creator, amount }.publish(&env);
    }

    /// Runs the task if it is due, and pays the keeper. Succeeds without any change, and without `KeeperPaid`, when
    /// it is not due or its resolver says no.
    pub fn execute(env: Env, keeper: Address, task_id: u64) {
        keeper.require_auth();
        execution::run(&env, &keeper, task_id);
    }

    /// Runs up to a hundred tasks in one transaction, all or none: a task that fails undoes the others.
    pub fn batch_execute(env: Env, keeper: Address, task_ids: Vec<u64>) {
        keeper.require_auth();
        let count = task_ids.len();
        if count == 0 || count > MAX_BATCH {
            panic_with_error!(&env, Error::InvalidInterval);
        }
        for task_id in task_ids.iter() {
            execution::run(&env, &keeper, task_id);
        }
        BatchExecutionCompleted { keeper, count, task_ids }.publish(&env);
    }

    /// Makes the task wait until `depends_on_task_id` has run once. Adding a dependency it has changes nothing.
    pub fn add_dependency(env: Env, task_id: u64, depends_on_task_id: u64) {
        let mut task = load_as_creator(&env, task_id);
        if task.blocked_by.contains(depends_on_task_id) {
            return;
        }
        task.blocked_by.push_back(depends_on_task_id);
        dependencies::check(&env, task_id, &task.blocked_by);
        storage::save_task(&env, task_id, &task);
        DependencyAdded { task_id, depends_on: depends_on_task_id }.publish(&env);
    }

    pub fn remove_dependency(env: Env, task_id: u64, depends_on_task_id: u64) {
        let mut task = load_as_creator(&env, task_id);
        if let Some(index) = task.blocked_by.first_index_of(depends_on_task_id) {
            task.blocked_by.remove(index);
        }
        storage::save_task(&env, task_id, &task);
        DependencyRemoved { task_id, depends_on: depends_on_task_id }.publish(&env);
    }

    /// The tasks this one waits for; none for a task that does not exist.
    pub fn get_dependencies(env: Env, task_id: u64) -> Vec<u64> {
        storage::find_task(&env, task_id).map_or_else(|| Vec::new(&env), |task| task.blocked_by)
    }

    /// Whether `execute` would refuse the task with `DependencyBlocked` once it is due.
    pub fn is_task_blocked(env: Env, task_id: u64) -> bool {
        storage::find_task(&env, task_id).is_some_and(|task| dependencies::is_blocked(&env, &task))
    }
}

fn load_as_creator(env: &Env, task_id: u64) -> TaskConfig {
    let task = storage::load_task(env, task_id);
    task.creator.require_auth();
    task
}

fn require_not_negative(env: &Env, amount: i128) {
    if amount < 0 {
        panic_with_error!(env, Error::InvalidPayload);
    }
}
