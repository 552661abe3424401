//! The registry's behaviour in soroban-sdk's environment: a real host, with time and authorization in the test's hand.

mod dependencies;
mod execute;
mod gas;
mod lifecycle;
mod monitor;
mod wasm;
mod world;
