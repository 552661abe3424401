//! The ledger through its public handle: admission, closing, contracts, and that no lumen is lost.

mod admission;
mod advance;
mod archival;
mod assets;
mod classic;
mod classic_steps;
mod clusters;
mod conservation;
mod contracts;
mod determinism;
mod fee_bumps;
mod lifetimes;
mod limits;
mod merging;
mod native;
mod network;
mod options;
mod pace;
mod queue;
mod seeding;
mod seeds;
mod simulations;
mod sponsoring;
mod throughput;
mod ttl_ops;
mod views;
