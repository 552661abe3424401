//! A task target whose calls do not stay alike from run to run: what they touch moves, what they write grows, and the
//! code itself can be replaced. What a keeper learned from one run is wrong about the next.
#![no_std]

use soroban_sdk::{
    contract, contracterror, contractimpl, contracttype, panic_with_error, vec, Address, BytesN, Env, Vec,
};

/// Every key is the caller's, so that tasks with different keys do not meet.
#[contracttype]
#[derive(Clone)]
pub enum DataKey {
    /// How many steps a key has gone.
    Steps(u64),
    /// The entry of one step of a key.
    Step(u64, u64),
    /// The list of a key.
    List(u64),
}

#[contracterror]
#[derive(Copy, Clone, Debug, Eq, PartialEq)]
#[repr(u32)]
pub enum Error {
    NotToday = 7,
}

const ITEM: [u8; 64] = [7; 64];

#[contract]
pub struct Changeable;

#[contractimpl]
impl Changeable {
    /// Goes one step further: each call writes an entry that no call before it touched. Returns the step.
    pub fn step(env: Env, key: u64) -> u64 {
        let storage = env.storage().persistent();
        let step = storage.get(&DataKey::Steps(key)).unwrap_or(0u64) + 1;
        storage.set(&DataKey::Steps(key), &step);
        storage.set(&DataKey::Step(key, step), &step);
        step
    }

    /// Adds 64 bytes to the key's list and returns how many items it has.
    pub fn append(env: Env, key: u64) -> u32 {
        let storage = env.storage().persistent();
        let mut list: Vec<BytesN<64>> = storage.get(&DataKey::List(key)).unwrap_or_else(|| vec![&env]);
        list.push_back(BytesN::from_array(&env, &ITEM));
        storage.set(&DataKey::List(key), &list);
        list.len()
    }

    /// Fails with the error `NotToday` (7).
    pub fn refuse(env: Env) {
        panic_with_error!(&env, Error::NotToday);
    }

    /// Needs `who` to have authorized it.
    pub fn permit(_env: Env, who: Address) {
        who.require_auth();
    }

    /// Replaces the contract's code by uploaded code. Anybody may.
    pub fn upgrade(env: Env, code: BytesN<32>) {
        env.deployer().update_current_contract_wasm(code);
    }
}
