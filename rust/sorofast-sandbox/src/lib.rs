//! A local Soroban network in one process: the real host behind the real JSON-RPC surface.
#![forbid(unsafe_code)]

pub mod config;
pub mod node;
pub mod types;
