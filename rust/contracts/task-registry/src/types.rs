//! What the contract stores and returns. Struct fields become symbol keys of a map, in alphabetical order; enum
//! variants become vectors that start with the variant's name.

use soroban_sdk::{contracttype, Address, Symbol, Val, Vec};

/// Storage keys. `Task` and `Counter` are persistent entries, `AdminAddress` and `Token` live in the instance.
#[contracttype]
#[derive(Clone)]
pub enum DataKey {
    /// The `TaskConfig` of one task.
    Task(u64),
    /// The id last issued; ids start at 1.
    Counter,
    AdminAddress,
    /// The token fees are paid in. Absent: gas balances are figures only, and nobody is paid.
    Token,
}

/// A task, as registered and as stored.
#[contracttype]
#[derive(Clone, Debug)]
pub struct TaskConfig {
    pub creator: Address,
    pub target: Address,
    pub function: Symbol,
    pub args: Vec<Val>,
    /// Asked `check_condition(args)` before each run; anything but `true` leaves the task as it is.
    pub resolver: Option<Address>,
    /// Seconds between runs.
    pub interval: u64,
    /// Close time, in Unix seconds, of the ledger of the last run. The task is due at `last_run + interval`.
    pub last_run: u64,
    /// What is left to pay keepers with, in the token's smallest unit.
    pub gas_balance: i128,
    /// The keepers that may execute the task; empty: any.
    pub whitelist: Vec<Address>,
    pub is_active: bool,
    /// The tasks that must have run before this one may.
    pub blocked_by: Vec<u64>,
    /// Kept for the family's layout; this contract has no strategies and refuses a task that names one.
    pub yield_strategy: Option<u64>,
}

/// A due task, as `monitor` reports it.
#[contracttype]
#[derive(Clone, Debug)]
pub struct ExecutableTask {
    pub task_id: u64,
    pub target: Address,
    pub function: Symbol,
    pub args: Vec<Val>,
}

/// How a task's last execution ended. `Failed` and `Skipped` are of the family's interface and never answered here:
/// a failed run leaves nothing in a ledger, and a skipped one changes nothing.
#[contracttype]
#[derive(Copy, Clone, Debug, Eq, PartialEq)]
pub enum ExecutionOutcome {
    NeverRun,
    Success,
    Failed,
    Skipped,
}

/// Read from the task itself, see `status`.
#[contracttype]
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct TaskExecutionStatus {
    pub outcome: ExecutionOutcome,
    /// Unix seconds of the last run, 0 for none.
    pub completed_at: u64,
    /// 0 for a task that never ran and 1 for one that did. Runs are not counted in storage; the `KeeperPaid` events
    /// of the task are its runs.
    pub run_count: u64,
}

impl TaskConfig {
    /// The first second at which the task may run. A sum that does not fit is never reached, and must not make the
    /// call that meets it fail: `monitor` and batches look at tasks of many creators.
    pub fn due_at(&self) -> u64 {
        self.last_run.saturating_add(self.interval)
    }

    pub fn has_run(&self) -> bool {
        self.last_run > 0
    }

    /// What can be said of the task's runs from its own entry. A record of its own would be a second entry for every
    /// execution to write and pay for, so there is none; a `last_run` given at registration counts as a run.
    pub fn status(&self) -> TaskExecutionStatus {
        TaskExecutionStatus {
            outcome: if self.has_run() { ExecutionOutcome::Success } else { ExecutionOutcome::NeverRun },
            completed_at: self.last_run,
            run_count: u64::from(self.has_run()),
        }
    }
}
