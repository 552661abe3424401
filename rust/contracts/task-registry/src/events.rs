//! Events. Topics are the name, the layout's version and the task's id (the keeper, for a batch).

use soroban_sdk::{contractevent, Address, Vec};

#[contractevent(topics = ["ContractInitialized", "v1"], data_format = "single-value")]
pub struct ContractInitialized {
    pub token: Option<Address>,
}

#[contractevent(topics = ["TaskRegistered", "v1"], data_format = "single-value")]
pub struct TaskRegistered {
    #[topic]
    pub task_id: u64,
    pub creator: Address,
}

#[contractevent(topics = ["TaskPaused", "v1"], data_format = "single-value")]
pub struct TaskPaused {
    #[topic]
    pub task_id: u64,
    pub creator: Address,
}

#[contractevent(topics = ["TaskResumed", "v1"], data_format = "single-value")]
pub struct TaskResumed {
    #[topic]
    pub task_id: u64,
    pub creator: Address,
}

#[contractevent(topics = ["TaskCancelled", "v1"], data_format = "vec")]
pub struct TaskCancelled {
    #[topic]
    pub task_id: u64,
    pub creator: Address,
    pub refund: i128,
}

#[contractevent(topics = ["GasDeposited", "v1"], data_format = "vec")]
pub struct GasDeposited {
    #[topic]
    pub task_id: u64,
    pub from: Address,
    pub amount: i128,
}

#[contractevent(topics = ["GasWithdrawn", "v1"], data_format = "vec")]
pub struct GasWithdrawn {
    #[topic]
    pub task_id: u64,
    pub creator: Address,
    pub amount: i128,
}

/// The proof that a task ran: no other outcome of `execute` publishes it.
#[contractevent(topics = ["KeeperPaid", "v1"], data_format = "vec")]
pub struct KeeperPaid {
    #[topic]
    pub task_id: u64,
    pub keeper: Address,
    pub fee: i128,
}

#[contractevent(topics = ["DependencyAdded", "v1"], data_format = "single-value")]
pub struct DependencyAdded {
    #[topic]
    pub task_id: u64,
    pub depends_on: u64,
}

#[contractevent(topics = ["DependencyRemoved", "v1"], data_format = "single-value")]
pub struct DependencyRemoved {
    #[topic]
    pub task_id: u64,
    pub depends_on: u64,
}

/// One per batch, after the tasks' own events: how many ids it held, and which.
#[contractevent(topics = ["BatchExecutionCompleted", "v1"], data_format = "vec")]
pub struct BatchExecutionCompleted {
    #[topic]
    pub keeper: Address,
    pub count: u32,
    pub task_ids: Vec<u64>,
}
