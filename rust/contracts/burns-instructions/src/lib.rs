//! A task target whose cost the caller chooses, up to and beyond what the network allows a transaction.
#![no_std]

use core::hint::black_box;

use soroban_sdk::{contract, contractimpl, Env};

#[contract]
pub struct BurnsInstructions;

#[contractimpl]
impl BurnsInstructions {
    /// Runs `n` rounds of a small loop and returns its last value, so that no compiler can leave the rounds out.
    /// The bound is the network's: the host ends the call when the transaction's instructions are used up.
    pub fn burn(_env: Env, n: u64) -> u64 {
        let mut state = 0x9e37_79b9_7f4a_7c15_u64;
        for round in 0..black_box(n) {
            state ^= state << 13;
            state ^= state >> 7;
            state ^= (state << 17) ^ round;
        }
        state
    }
}
