//! A resolver whose answer anybody may switch: a task's condition under the control of a test.
#![no_std]

use soroban_sdk::{contract, contractimpl, contracttype, Env, Val, Vec};

#[contracttype]
#[derive(Clone)]
pub enum DataKey {
    On,
}

#[contract]
pub struct SwitchResolver;

#[contractimpl]
impl SwitchResolver {
    /// Sets what `check_condition` answers from now on.
    pub fn set(env: Env, on: bool) {
        env.storage().instance().set(&DataKey::On, &on);
    }

    /// The question a registry asks before it runs a task, with the task's arguments as one vector. Off until set.
    pub fn check_condition(env: Env, args: Vec<Val>) -> bool {
        // Part of the interface, though the switch is the whole answer.
        let _ = args;
        env.storage().instance().get(&DataKey::On).unwrap_or(false)
    }
}
