//! The tasks of one shard, and when each is due.
//!
//! A task takes 80 bytes: its row, the second it waits for, and two links of the due index, which is intrusive. Finding
//! a task by id takes four bytes in a table of open addressing that is at least three eighths full, so at most eleven
//! more. Storage grows by pages and never moves, so growing does not double it for a while.
//!
//! The due index is a hierarchical timing wheel (see [`wheel`]): moving a task costs O(1), popping costs O(popped).
//! Seconds before the wheel's hand cannot be placed in it; tasks that are already late when they arrive go to a second
//! wheel, whose hand turns back at a cost that only late tasks bear, so that the order of seconds holds for all.

mod ids;
mod slots;
mod snapshot;
mod tasks;
mod wheel;

pub use snapshot::SnapshotError;
pub use tasks::{Ran, State, TaskTable, FEES_MOST};
