//! The bulk work of sorofast: reading registry entries and events out of RPC answers, the task table with its due
//! index, and the transactions that execute tasks. Nothing in here knows Python, and nothing does I/O.
//!
//! Every function that reads bytes from outside returns a typed error with an offset; none panics on any input.

#![forbid(unsafe_code)]

pub mod base64;
pub mod hash;
pub mod keys;
pub mod reasons;
pub mod registry;
pub mod row;
pub mod rpc;
pub mod strkey;
pub mod table;
pub mod tx;
pub mod types;
pub mod xdr;

/// Version of this crate, shown to operators.
pub const VERSION: &str = env!("CARGO_PKG_VERSION");
