//! From `init` over `register`, pause and resume to `cancel_task`.

use soroban_sdk::testutils::storage::{Instance as _, Persistent as _};
use soroban_sdk::testutils::{Address as _, AuthorizedFunction, AuthorizedInvocation, Ledger as _};
use soroban_sdk::{vec, Address, Bytes, IntoVal, Map, Symbol, Val, Vec};
use task_registry::{DataKey, Error, ExecutionOutcome, TaskRegistry, TaskRegistryClient};

use crate::world::{assert_error, environment, World, GAS, INTERVAL_S, NOW};

#[test]
fn init_is_authorized_by_the_admin_and_works_once() {
    let env = environment();
    let registry = TaskRegistryClient::new(&env, &env.register(TaskRegistry, ()));
    let admin = Address::generate(&env);
    assert!(registry.try_init(&admin, &None).is_err(), "nobody signed");

    env.mock_all_auths();
    registry.init(&admin, &None);
    assert_eq!(env.auths()[0].0, admin);
    assert_error(registry.try_init(&admin, &None), Error::AlreadyInitialized);
    let stored: Option<Address> =
        env.as_contract(&registry.address, || env.storage().instance().get(&DataKey::AdminAddress));
    assert_eq!(stored, Some(admin));
}

#[test]
fn init_announces_the_token() {
    let world = World::new();
    for token in [None, Some(world.admin.clone())] {
        let registry = TaskRegistryClient::new(&world.env, &world.env.register(TaskRegistry, ()));
        registry.init(&world.admin, &token);
        let world = World { registry, ..World { env: world.env.clone(), ..World::new() } };
        let topics = vec![&world.env, world.symbol("ContractInitialized").to_val(), world.symbol("v1").to_val()];
        world.assert_published(topics, token.clone());
        match token {
            Some(token) => assert_eq!(world.registry.get_token(), token),
            None => assert_error(world.registry.try_get_token(), Error::NotInitialized),
        }
    }
}

#[test]
fn register_issues_ids_from_one_and_stores_the_task() {
    let world = World::new();
    assert_eq!(world.registry.get_counter(), 0);
    let mut task = world.task();
    task.is_active = false;
    task.last_run = NOW;
    task.args = vec![&world.env, 7_u64.into_val(&world.env)];
    let id = world.registry.register(&task);
    world.assert_event("TaskRegistered", id, world.creator.clone());
    assert_eq!(id, 1);
    assert_eq!(world.register(), 2);
    assert_eq!(world.registry.get_counter(), 2);

    let stored = world.stored(1);
    assert!(stored.is_active, "a new task is active whatever was asked");
    assert_eq!((stored.interval, stored.last_run, stored.gas_balance), (INTERVAL_S, NOW, GAS));
    assert_eq!((stored.creator, stored.target, stored.function), (task.creator, task.target, task.function));
    assert_eq!(stored.args, task.args);
    assert!(world.registry.get_task(&3).is_none());
}

#[test]
fn a_stored_task_has_the_twelve_fields_of_the_family() {
    let world = World::new();
    let id = world.register();
    let stored: Map<Symbol, Val> = world.env.as_contract(&world.registry.address, || {
        world.env.storage().persistent().get(&DataKey::Task(id)).expect("the entry")
    });
    let names = [
        "args",
        "blocked_by",
        "creator",
        "function",
        "gas_balance",
        "interval",
        "is_active",
        "last_run",
        "resolver",
        "target",
        "whitelist",
        "yield_strategy",
    ];
    assert_eq!(stored.keys(), Vec::from_iter(&world.env, names.map(|name| world.symbol(name))));
    assert!(stored.get(world.symbol("resolver")).expect("the field").is_void());
}

#[test]
fn register_needs_an_initialized_registry_and_the_creators_signature() {
    let world = World::new();
    let bare = TaskRegistryClient::new(&world.env, &world.env.register(TaskRegistry, ()));
    assert_error(bare.try_register(&world.task()), Error::NotInitialized);
    world.register();
    assert_eq!(world.env.auths()[0].0, world.creator);
    world.env.set_auths(&[]);
    assert!(world.registry.try_register(&world.task()).is_err());
}

#[test]
fn register_refuses_what_cannot_run() {
    let world = World::with_token();
    let mut task = world.task();
    task.interval = 0;
    assert_error(world.registry.try_register(&task), Error::InvalidInterval);

    let mut task = world.task();
    task.args = Vec::from_iter(&world.env, [().into_val(&world.env); 33]);
    assert_error(world.registry.try_register(&task), Error::ArgsTooMany);
    task.args.pop_back();
    world.registry.register(&task);

    // A vector's XDR is 4 + 4 + 4 bytes and each of its byte strings 4 + 4 and the bytes.
    for (len, fits) in [(4096 - 20, true), (4096 - 19, false)] {
        task.args = vec![&world.env, Bytes::from_slice(&world.env, &std::vec![0; len]).into_val(&world.env)];
        if fits {
            world.registry.register(&task);
        } else {
            assert_error(world.registry.try_register(&task), Error::ArgsTooLarge);
        }
    }

    let mut task = world.task();
    task.gas_balance = -1;
    assert_error(world.registry.try_register(&task), Error::InvalidPayload);
    let mut task = world.task();
    task.yield_strategy = Some(1);
    assert_error(world.registry.try_register(&task), Error::InvalidYieldStrategy);
    let mut task = world.task();
    task.target = world.token.clone().expect("a token");
    assert_error(world.registry.try_register(&task), Error::InvalidPayload);
}

#[test]
fn pause_and_resume_are_the_creators_and_say_when_they_change_nothing() {
    let world = World::new();
    let id = world.register();
    world.registry.pause_task(&id);
    world.assert_event("TaskPaused", id, world.creator.clone());
    assert!(!world.stored(id).is_active);
    assert_error(world.registry.try_pause_task(&id), Error::TaskAlreadyPaused);

    world.registry.resume_task(&id);
    world.assert_event("TaskResumed", id, world.creator.clone());
    assert!(world.stored(id).is_active);
    assert_error(world.registry.try_resume_task(&id), Error::TaskAlreadyActive);

    world.env.set_auths(&[]);
    assert!(world.registry.try_pause_task(&id).is_err());
    assert!(world.registry.try_resume_task(&id).is_err());
    assert!(world.registry.try_cancel_task(&id).is_err());
}

#[test]
fn cancel_removes_the_task_for_good() {
    let world = World::new();
    let id = world.register();
    world.registry.cancel_task(&id);
    assert_eq!(
        world.env.auths(),
        std::vec![(
            world.creator.clone(),
            AuthorizedInvocation {
                function: AuthorizedFunction::Contract((
                    world.registry.address.clone(),
                    world.symbol("cancel_task"),
                    (id,).into_val(&world.env),
                )),
                sub_invocations: std::vec![],
            },
        )]
    );
    assert!(world.registry.get_task(&id).is_none());
    assert_eq!(world.register(), 2, "an id is not issued twice");
}

#[test]
fn calls_about_a_task_that_is_not_there_say_so() {
    let world = World::with_token();
    let registry = &world.registry;
    assert_error(registry.try_pause_task(&1), Error::TaskNotFound);
    assert_error(registry.try_resume_task(&1), Error::TaskNotFound);
    assert_error(registry.try_cancel_task(&1), Error::TaskNotFound);
    assert_error(registry.try_deposit_gas(&1, &world.creator, &1), Error::TaskNotFound);
    assert_error(registry.try_withdraw_gas(&1, &1), Error::TaskNotFound);
    assert_error(registry.try_execute(&world.keeper, &1), Error::TaskNotFound);
    assert_error(registry.try_add_dependency(&1, &2), Error::TaskNotFound);
    assert_error(registry.try_remove_dependency(&1, &2), Error::TaskNotFound);
}

#[test]
fn status_is_what_the_task_itself_tells() {
    let world = World::new();
    let missing = world.registry.get_task_status(&9);
    assert_eq!((missing.outcome, missing.completed_at, missing.run_count), (ExecutionOutcome::NeverRun, 0, 0));
    let id = world.register();
    assert_eq!(world.registry.get_task_status(&id), missing);
    world.registry.execute(&world.keeper, &id);
    let status = world.registry.get_task_status(&id);
    assert_eq!((status.outcome, status.completed_at, status.run_count), (ExecutionOutcome::Success, NOW, 1));
}

#[test]
fn setting_a_task_up_or_funding_it_keeps_it_alive() {
    const FULL: u32 = 2_073_600;
    let world = World::with_token();
    let id = world.register();
    let lifetimes = || {
        world.env.as_contract(&world.registry.address, || {
            let persistent = world.env.storage().persistent();
            [
                persistent.get_ttl(&DataKey::Task(id)),
                persistent.get_ttl(&DataKey::Counter),
                world.env.storage().instance().get_ttl(),
            ]
        })
    };
    let pass = |ledgers: u32| world.env.ledger().with_mut(|ledger| ledger.sequence_number += ledgers);
    assert_eq!(lifetimes(), [FULL; 3]);
    // The token is no part of the registry; it is kept alive here as its users would.
    let token = world.token.clone().expect("a token");
    world.env.as_contract(&token, || world.env.storage().instance().extend_ttl(2 * FULL, 2 * FULL));

    pass(FULL / 2);
    world.registry.pause_task(&id);
    assert_eq!(lifetimes(), [FULL / 2; 3], "half of it left is enough");
    pass(1);
    world.registry.resume_task(&id);
    assert_eq!(lifetimes(), [FULL; 3]);
    pass(FULL / 2 + 1);
    world.registry.deposit_gas(&id, &world.creator, &0);
    assert_eq!(lifetimes(), [FULL; 3]);
}
