//! The family of task registries: where such a contract keeps its tasks, and what the engine reads of them.

mod entry;
mod keys;
pub mod layout;
mod task;

pub use entry::{read_entry, Entry};
pub use keys::{counter_key, instance_key, key_of, task_key, EntryKey};
pub use task::{read_task, TaskState, DEPENDENCIES_MOST};
