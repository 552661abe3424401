//! Reading and writing the contract's entries, and how long they live.

use soroban_sdk::{panic_with_error, Address, Env};

use crate::{DataKey, Error, TaskConfig};

/// How long an entry is kept alive by the calls that set a task up or put gas into it: 120 days of 5 s ledgers.
const TTL_LEDGERS: u32 = 2_073_600;
/// Lifetimes are extended only below this, so that a call that follows another pays no rent again.
const TTL_THRESHOLD_LEDGERS: u32 = TTL_LEDGERS / 2;

/// Fails with `TaskNotFound` where the family's own contract ends in a panic without a number: a caller can tell this
/// from a target's trap.
pub fn load_task(env: &Env, task_id: u64) -> TaskConfig {
    find_task(env, task_id).unwrap_or_else(|| panic_with_error!(env, Error::TaskNotFound))
}

pub fn find_task(env: &Env, task_id: u64) -> Option<TaskConfig> {
    env.storage().persistent().get(&DataKey::Task(task_id))
}

pub fn save_task(env: &Env, task_id: u64, task: &TaskConfig) {
    env.storage().persistent().set(&DataKey::Task(task_id), task);
}

pub fn remove_task(env: &Env, task_id: u64) {
    env.storage().persistent().remove(&DataKey::Task(task_id));
}

/// The id last issued, 0 before the first.
pub fn counter(env: &Env) -> u64 {
    env.storage().persistent().get(&DataKey::Counter).unwrap_or(0)
}

pub fn next_id(env: &Env) -> u64 {
    let id = counter(env) + 1;
    env.storage().persistent().set(&DataKey::Counter, &id);
    id
}

pub fn token(env: &Env) -> Option<Address> {
    env.storage().instance().get(&DataKey::Token)
}

pub fn require_token(env: &Env) -> Address {
    token(env).unwrap_or_else(|| panic_with_error!(env, Error::NotInitialized))
}

pub fn is_initialized(env: &Env) -> bool {
    env.storage().instance().has(&DataKey::AdminAddress)
}

/// Extends what the task needs to stay executable: its own entry, the counter, the instance and its code.
/// `execute` never does this: rent that falls due in one run of many would make that run cost more than the
/// simulation the keeper prepared it with, and the run would fail.
pub fn keep_alive(env: &Env, task_id: u64) {
    let persistent = env.storage().persistent();
    persistent.extend_ttl(&DataKey::Task(task_id), TTL_THRESHOLD_LEDGERS, TTL_LEDGERS);
    persistent.extend_ttl(&DataKey::Counter, TTL_THRESHOLD_LEDGERS, TTL_LEDGERS);
    env.storage().instance().extend_ttl(TTL_THRESHOLD_LEDGERS, TTL_LEDGERS);
}
