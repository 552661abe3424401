//! The Soroban host: enforcing invocations, simulations and the modules they share.

pub mod invoke;
pub mod modules;
pub mod simulate;
pub mod stack;
