//! The errors a call can end with. Numbers and names are those the contract family gives them; the gaps belong to
//! parts of the family (oracles, staking, upgrades) that this contract does not have.

use soroban_sdk::contracterror;

#[contracterror]
#[derive(Copy, Clone, Debug, Eq, PartialEq, PartialOrd, Ord)]
#[repr(u32)]
pub enum Error {
    /// An interval of zero, or a batch of none or of more than a hundred tasks.
    InvalidInterval = 1,
    /// The keeper is not on the task's whitelist.
    Unauthorized = 2,
    /// The task's gas balance is below the fee, or below the amount to withdraw.
    InsufficientBalance = 3,
    /// The contract has no admin yet, or the call needs a token and none was set.
    NotInitialized = 4,
    /// The task is paused.
    TaskPaused = 5,
    TaskAlreadyPaused = 6,
    TaskAlreadyActive = 7,
    /// A task cannot wait for itself.
    SelfDependency = 8,
    /// The task to wait for does not exist.
    DependencyNotFound = 9,
    /// The task to wait for waits, directly or not, for this one.
    CircularDependency = 10,
    /// A task this one waits for has not run.
    DependencyBlocked = 11,
    AlreadyInitialized = 12,
    /// A negative amount, or a task that would call the fee token in the registry's name.
    InvalidPayload = 16,
    /// More than sixteen tasks to wait for.
    DependencyLimitExceeded = 18,
    /// A chain of dependencies longer than sixteen.
    DependencyDepthExceeded = 19,
    /// The task names a yield strategy; this contract has none.
    InvalidYieldStrategy = 25,
    /// More than 32 arguments.
    ArgsTooMany = 34,
    /// Arguments of more than 4096 bytes of XDR.
    ArgsTooLarge = 35,
    TaskNotFound = 36,
}
