//! A task target that counts: one shared count in the instance, and one count per key in entries of their own, so
//! that calls can be made to collide in a ledger or not.
#![no_std]

use soroban_sdk::{contract, contractimpl, contracttype, Env};

/// What the contract stores: the shared count in the instance, the count of one key as a persistent entry.
#[contracttype]
#[derive(Clone)]
pub enum DataKey {
    Count,
    Key(u64),
}

#[contract]
pub struct Counter;

#[contractimpl]
impl Counter {
    /// Adds one to the shared count and returns it. Every caller writes the same ledger entry.
    pub fn increment(env: Env) -> u32 {
        let count = Self::count(env.clone()) + 1;
        env.storage().instance().set(&DataKey::Count, &count);
        count
    }

    /// The shared count.
    pub fn count(env: Env) -> u32 {
        env.storage().instance().get(&DataKey::Count).unwrap_or(0)
    }

    /// Adds one to the count of `key` and returns it. Callers with different keys write different ledger entries.
    pub fn bump(env: Env, key: u64) -> u64 {
        let count = Self::get(env.clone(), key) + 1;
        env.storage().persistent().set(&DataKey::Key(key), &count);
        count
    }

    /// The count of `key`.
    pub fn get(env: Env, key: u64) -> u64 {
        env.storage().persistent().get(&DataKey::Key(key)).unwrap_or(0)
    }
}
