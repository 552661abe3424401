//! Which task waits for which. Edges live in the tasks' own `blocked_by`.

use soroban_sdk::{panic_with_error, vec, Env, Vec};

use crate::storage::find_task;
use crate::{Error, TaskConfig};

const MAX_DEPENDENCIES: u32 = 16;
const MAX_DEPTH: u32 = 16;

/// Whether a task it waits for has not run yet, or is gone.
pub fn is_blocked(env: &Env, task: &TaskConfig) -> bool {
    task.blocked_by.iter().any(|id| !find_task(env, id).is_some_and(|dependency| dependency.has_run()))
}

/// Fails unless the task may wait for all of `depends_on`. Bounded by the depth and, within it, by the entries the
/// host lets one transaction read.
pub fn check(env: &Env, task_id: u64, depends_on: &Vec<u64>) {
    if depends_on.len() > MAX_DEPENDENCIES {
        panic_with_error!(env, Error::DependencyLimitExceeded);
    }
    for id in depends_on.iter() {
        if id == task_id {
            panic_with_error!(env, Error::SelfDependency);
        }
        if find_task(env, id).is_none() {
            panic_with_error!(env, Error::DependencyNotFound);
        }
    }
    // Breadth first, a level at a time: a task reached again deeper is looked at again, so that the depth found is the
    // longest chain's. A cycle not through `task_id` cannot exist, since every edge was checked when it was added.
    let mut level = depends_on.clone();
    let mut depth = 1;
    while !level.is_empty() {
        if depth > MAX_DEPTH {
            panic_with_error!(env, Error::DependencyDepthExceeded);
        }
        let mut next = vec![env];
        for id in level.iter() {
            if id == task_id {
                panic_with_error!(env, Error::CircularDependency);
            }
            let Some(task) = find_task(env, id) else { continue };
            for dependency in task.blocked_by.iter() {
                if !next.contains(dependency) {
                    next.push_back(dependency);
                }
            }
        }
        level = next;
        depth += 1;
    }
}
