//! Which tasks the registry reports as due.

use soroban_sdk::{vec, IntoVal};

use crate::world::{World, INTERVAL_S, NOW};

fn due(world: &World) -> Vec<u64> {
    world.registry.monitor().iter().map(|task| task.task_id).collect()
}

#[test]
fn due_and_active_tasks_are_reported_with_their_call() {
    let world = World::new();
    assert!(due(&world).is_empty());
    let mut task = world.task();
    task.function = world.symbol("bump");
    task.args = vec![&world.env, 7_u64.into_val(&world.env)];
    world.registry.register(&task);
    let paused = world.register();
    world.registry.pause_task(&paused);
    let cancelled = world.register();
    world.registry.cancel_task(&cancelled);
    task.last_run = NOW;
    world.registry.register(&task);
    task.interval = u64::MAX;
    world.registry.register(&task);
    assert_eq!(due(&world), [1]);
    world.advance_s(INTERVAL_S);
    assert_eq!(due(&world), [1, 4], "the fifth task's due time does not fit and must not hide the others");

    let first = world.registry.monitor().first().expect("one is due");
    assert_eq!((first.target, first.function, first.args), (task.target, task.function, task.args));
}

#[test]
fn a_page_is_a_range_of_ids() {
    let world = World::new();
    for _ in 0..5 {
        world.register();
    }
    let page = |start, limit| -> Vec<u64> {
        world.registry.monitor_paginated(&start, &limit).iter().map(|task| task.task_id).collect()
    };
    assert_eq!(page(2, 2), [2, 3]);
    assert_eq!(page(4, 10), [4, 5]);
    assert_eq!(page(1, u64::MAX), [1, 2, 3, 4, 5]);
    assert!(page(u64::MAX, u64::MAX).is_empty());
    assert!(page(6, 1).is_empty());
    assert!(page(0, 5).is_empty());
    assert!(page(1, 0).is_empty());
}
