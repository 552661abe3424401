//! A local Soroban network in one process: the real host behind the real JSON-RPC surface.
#![forbid(unsafe_code)]

pub mod agents;
pub mod clock;
pub mod config;
pub mod contracts;
pub mod crypto;
pub mod faults;
pub mod host;
pub mod ledger;
pub mod node;
pub mod random;
pub mod saved;
pub mod tx;
pub mod types;
