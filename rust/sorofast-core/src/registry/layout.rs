//! Where a contract of this family keeps its tasks, and how it is told to run one: the names, all in one place.

/// The function that runs a task: `execute(keeper, task_id)`.
pub const EXECUTE: &str = "execute";

/// First part of the storage keys.
pub mod key {
    /// `[Task, id]`: the whole of a task.
    pub const TASK: &[u8] = b"Task";
    /// `[TaskMeta, id]`: the changing part of a task, in contracts that keep it apart.
    pub const TASK_META: &[u8] = b"TaskMeta";
    /// `[Counter]`: how many task ids were given out.
    pub const COUNTER: &[u8] = b"Counter";
}

/// Fields of a task's configuration that the engine reads.
pub mod field {
    pub const ARGS: &[u8] = b"args";
    pub const BLOCKED_BY: &[u8] = b"blocked_by";
    pub const FUNCTION: &[u8] = b"function";
    pub const GAS_BALANCE: &[u8] = b"gas_balance";
    pub const INTERVAL: &[u8] = b"interval";
    pub const IS_ACTIVE: &[u8] = b"is_active";
    pub const LAST_RUN: &[u8] = b"last_run";
    pub const RESOLVER: &[u8] = b"resolver";
    pub const TARGET: &[u8] = b"target";
    pub const WHITELIST: &[u8] = b"whitelist";
    pub const YIELD_STRATEGY: &[u8] = b"yield_strategy";
}

/// First topics of the events that say what became of a task.
pub mod event {
    pub const TASK_REGISTERED: &str = "TaskRegistered";
    pub const TASK_PAUSED: &str = "TaskPaused";
    pub const TASK_RESUMED: &str = "TaskResumed";
    pub const TASK_UPDATED: &str = "TaskUpdated";
    pub const TASK_CANCELLED: &str = "TaskCancelled";
    pub const GAS_DEPOSITED: &str = "GasDeposited";
    pub const GAS_WITHDRAWN: &str = "GasWithdrawn";
    pub const KEEPER_PAID: &str = "KeeperPaid";
    pub const DEPENDENCY_ADDED: &str = "DependencyAdded";
    pub const DEPENDENCY_REMOVED: &str = "DependencyRemoved";
}
