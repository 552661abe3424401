//! Threads with room for contracts that call contracts.

/// Nested calls keep the host's frames on the stack, far more of it than a runtime's threads have.
const STACK_BYTES: usize = 64 * 1024 * 1024;

/// Runs the work on a thread of its own and waits for it; None if it panicked or no thread was to be had.
pub fn with_deep_stack<T: Send>(name: &str, work: impl FnOnce() -> T + Send) -> Option<T> {
    std::thread::scope(|scope| {
        std::thread::Builder::new()
            .name(name.into())
            .stack_size(STACK_BYTES)
            .spawn_scoped(scope, work)
            .ok()?
            .join()
            .ok()
    })
}
