//! The Soroban host: enforcing invocations, simulations and the modules they share.

pub mod footprint;
pub mod invoke;
pub mod modules;
pub mod outcome;
pub mod simulate;
pub mod stack;
pub mod workers;
