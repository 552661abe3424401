//! A task target that never succeeds, in the two ways a contract can fail: by a trap and by an error of its own.
#![no_std]

use soroban_sdk::{contract, contractimpl, panic_with_error, Env, Error};

#[contract]
pub struct AlwaysPanics;

#[contractimpl]
impl AlwaysPanics {
    /// Traps.
    pub fn run(_env: Env) {
        panic!("this contract fails every call");
    }

    /// Fails with the contract error `code`.
    pub fn fail(env: Env, code: u32) {
        panic_with_error!(&env, Error::from_contract_error(code));
    }
}
