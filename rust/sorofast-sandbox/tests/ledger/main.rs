//! The ledger through its public handle: admission, closing, contracts, and that no lumen is lost.

mod admission;
mod classic;
mod contracts;
mod conservation;
mod network;
mod pace;
mod queue;
mod throughput;
