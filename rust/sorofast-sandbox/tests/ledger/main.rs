//! The ledger through its public handle: admission, closing, contracts, and that no lumen is lost.

mod admission;
mod archival;
mod classic;
mod clusters;
mod conservation;
mod contracts;
mod determinism;
mod fee_bumps;
mod lifetimes;
mod limits;
mod network;
mod pace;
mod queue;
mod seeding;
mod seeds;
mod simulations;
mod throughput;
mod ttl_ops;
mod views;
