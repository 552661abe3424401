//! Tasks that wait for tasks.

use soroban_sdk::{vec, Vec};
use task_registry::Error;

use crate::world::{assert_error, World, INTERVAL_S};

#[test]
fn a_task_waits_until_its_dependency_has_run_once() {
    let world = World::new();
    let (first, second) = (world.register(), world.register());
    assert!(!world.registry.is_task_blocked(&second));
    world.registry.add_dependency(&second, &first);
    world.assert_event("DependencyAdded", second, first);
    assert_eq!(world.registry.get_dependencies(&second), vec![&world.env, first]);
    assert!(world.registry.is_task_blocked(&second));
    assert_error(world.registry.try_execute(&world.keeper, &second), Error::DependencyBlocked);

    world.registry.execute(&world.keeper, &first);
    assert!(!world.registry.is_task_blocked(&second));
    world.registry.execute(&world.keeper, &second);
    world.advance_s(INTERVAL_S);
    world.registry.execute(&world.keeper, &second);
    assert_eq!(world.counter.count(), 3, "one run of the first frees the second for good");
}

#[test]
fn adding_twice_changes_nothing_and_removing_unblocks() {
    let world = World::new();
    let (first, second) = (world.register(), world.register());
    world.registry.add_dependency(&second, &first);
    world.registry.add_dependency(&second, &first);
    world.assert_silent();
    assert_eq!(world.registry.get_dependencies(&second).len(), 1);
    world.registry.remove_dependency(&second, &first);
    world.assert_event("DependencyRemoved", second, first);
    assert!(world.registry.get_dependencies(&second).is_empty());
    assert!(!world.registry.is_task_blocked(&second));
}

#[test]
fn a_cancelled_dependency_blocks_until_it_is_removed() {
    let world = World::new();
    let (first, second) = (world.register(), world.register());
    world.registry.add_dependency(&second, &first);
    world.registry.cancel_task(&first);
    assert!(world.registry.is_task_blocked(&second));
    world.registry.remove_dependency(&second, &first);
    assert!(!world.registry.is_task_blocked(&second));
}

#[test]
fn only_the_creator_changes_dependencies() {
    let world = World::new();
    let (first, second) = (world.register(), world.register());
    world.registry.add_dependency(&second, &first);
    assert_eq!(world.env.auths()[0].0, world.creator);
    world.env.set_auths(&[]);
    assert!(world.registry.try_add_dependency(&first, &second).is_err());
    assert!(world.registry.try_remove_dependency(&second, &first).is_err());
}

#[test]
fn impossible_dependencies_are_refused() {
    let world = World::new();
    let [a, b, c] = core::array::from_fn(|_| world.register());
    assert_error(world.registry.try_add_dependency(&a, &a), Error::SelfDependency);
    assert_error(world.registry.try_add_dependency(&a, &99), Error::DependencyNotFound);
    world.registry.add_dependency(&b, &a);
    world.registry.add_dependency(&c, &b);
    assert_error(world.registry.try_add_dependency(&a, &b), Error::CircularDependency);
    assert_error(world.registry.try_add_dependency(&a, &c), Error::CircularDependency);
    assert!(world.registry.get_dependencies(&a).is_empty());
}

#[test]
fn a_task_waits_for_at_most_sixteen() {
    let world = World::new();
    let id = world.register();
    for _ in 0..16 {
        let dependency = world.register();
        world.registry.add_dependency(&id, &dependency);
    }
    let one_more = world.register();
    assert_error(world.registry.try_add_dependency(&id, &one_more), Error::DependencyLimitExceeded);
}

#[test]
fn a_chain_is_at_most_sixteen_long() {
    let world = World::new();
    let mut last = world.register();
    for _ in 0..16 {
        let next = world.register();
        world.registry.add_dependency(&next, &last);
        last = next;
    }
    let one_more = world.register();
    assert_error(world.registry.try_add_dependency(&one_more, &last), Error::DependencyDepthExceeded);
}

#[test]
fn dependencies_given_at_registration_are_held_to_the_same_rules() {
    let world = World::new();
    let first = world.register();
    let mut task = world.task();
    task.blocked_by = vec![&world.env, first];
    let second = world.registry.register(&task);
    assert!(world.registry.is_task_blocked(&second));
    task.blocked_by = vec![&world.env, 3];
    assert_error(world.registry.try_register(&task), Error::SelfDependency);
    task.blocked_by = vec![&world.env, 99];
    assert_error(world.registry.try_register(&task), Error::DependencyNotFound);
    task.blocked_by = Vec::from_iter(&world.env, [first; 17]);
    assert_error(world.registry.try_register(&task), Error::DependencyLimitExceeded);
}

#[test]
fn an_unknown_task_waits_for_nothing() {
    let world = World::new();
    assert!(world.registry.get_dependencies(&9).is_empty());
    assert!(!world.registry.is_task_blocked(&9));
}
