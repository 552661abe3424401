//! Transactions before they reach a ledger: decoding, checks, the queue and the choice of a set.

pub mod bid;
pub mod diagnostics;
pub mod envelope;
pub mod fates;
pub mod flood;
pub mod limiter;
pub mod outline;
pub mod queue;
pub mod result;
pub mod select;
pub mod signatures;
pub mod soroban_form;
pub mod stages;
pub mod trim;
pub mod ttl_form;
pub mod validate;
