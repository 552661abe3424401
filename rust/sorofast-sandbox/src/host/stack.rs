//! Threads with room for contracts that call contracts, and work that may panic.

use std::panic::{catch_unwind, AssertUnwindSafe};

/// Nested calls keep the host's frames on the stack, far more of it than a runtime's threads have.
pub(super) const STACK_BYTES: usize = 64 * 1024 * 1024;

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

/// Does the work; None if it panicked. What it changes from outside must be of no use afterwards, or still whole.
pub fn caught<T>(work: impl FnOnce() -> T) -> Option<T> {
    catch_unwind(AssertUnwindSafe(work)).ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_panic_ends_only_the_work() {
        let number = |text: &str| text.parse::<u32>().expect("a number");
        assert_eq!(caught(|| number("7")), Some(7));
        assert_eq!(caught(|| number("x")), None);
        assert_eq!(with_deep_stack("test", || number("7")), Some(7));
        assert_eq!(with_deep_stack("test", || number("x")), None);
    }
}
