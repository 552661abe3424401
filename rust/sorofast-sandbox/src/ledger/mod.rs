//! The ledger: state, headers, history and the closing of ledgers.

pub mod account;
pub mod apply;
pub mod bumps;
pub mod changes;
pub mod classic;
pub mod close;
pub mod coins;
pub mod cost_params;
pub mod draft;
pub mod events;
pub mod eviction;
pub mod genesis;
pub mod header;
pub mod history;
pub mod meta;
pub mod presets;
pub mod seeds;
pub mod settings;
pub mod state;
pub mod ttl_ops;
pub mod upkeep;
pub mod value;
