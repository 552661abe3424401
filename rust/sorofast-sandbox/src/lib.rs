//! A local Soroban network in one process: the real host behind the real JSON-RPC surface.
#![forbid(unsafe_code)]

mod address;
mod admin;
pub mod agents;
mod app;
mod cli;
pub mod clock;
pub mod command;
pub mod config;
pub mod contracts;
mod cors;
pub mod crypto;
pub mod endpoint;
pub mod faults;
mod friendbot;
mod funding;
pub mod host;
mod http;
mod injected;
mod landing;
pub mod ledger;
pub mod node;
mod places;
mod plan;
pub mod random;
mod replicas;
mod rpc;
pub mod saved;
pub mod tx;
pub mod types;
mod utc;
mod watched;
