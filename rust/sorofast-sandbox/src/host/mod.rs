//! The Soroban host: enforcing invocations, simulations and the modules they share.

pub mod footprint;
pub mod footprint_simulation;
pub mod invoke;
pub mod modules;
pub mod outcome;
pub mod simulate;
pub mod simulated;
pub mod stack;
pub mod workers;
