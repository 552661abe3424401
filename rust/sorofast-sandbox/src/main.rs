//! The `sorofast-sandbox` command.
#![forbid(unsafe_code)]

use std::process::ExitCode;

/// Simulations parse wasm all day on many threads, which is allocation above all.
#[global_allocator]
static ALLOCATOR: mimalloc::MiMalloc = mimalloc::MiMalloc;

fn main() -> ExitCode {
    sorofast_sandbox::command::main()
}
