//! `execute`, branch by branch and in the order of its checks, and `batch_execute`.

use always_panics::AlwaysPanics;
use soroban_sdk::testutils::Address as _;
use soroban_sdk::{contract, contractimpl, vec, Address, Env, IntoVal, Val, Vec};
use switch_resolver::{SwitchResolver, SwitchResolverClient};
use task_registry::{DataKey, Error, TaskConfig};

use crate::world::{assert_error, World, GAS, INTERVAL_S, NOW};

#[test]
fn a_due_task_calls_its_target_once_and_is_due_again_an_interval_later() {
    let world = World::new();
    let mut task = world.task();
    task.last_run = NOW - INTERVAL_S + 1;
    let id = world.registry.register(&task);
    world.registry.execute(&world.keeper, &id);
    world.assert_silent();
    assert_eq!(world.counter.count(), 0, "a second too early");

    world.advance_s(1);
    world.registry.execute(&world.keeper, &id);
    world.assert_event("KeeperPaid", id, (world.keeper.clone(), 100_i128));
    assert_eq!(world.counter.count(), 1);
    assert_eq!((world.stored(id).last_run, world.stored(id).gas_balance), (NOW + 1, GAS - 100));

    world.registry.execute(&world.keeper, &id);
    world.assert_silent();
    assert_eq!(world.counter.count(), 1, "a second call in the same window does nothing");
    assert_eq!(world.stored(id).gas_balance, GAS - 100);
}

#[test]
fn arguments_reach_the_target() {
    let world = World::new();
    let mut task = world.task();
    task.function = world.symbol("bump");
    task.args = vec![&world.env, 7_u64.into_val(&world.env)];
    let id = world.registry.register(&task);
    world.registry.execute(&world.keeper, &id);
    assert_eq!((world.counter.get(&7), world.counter.get(&8)), (1, 0));
}

#[test]
fn the_keeper_signs() {
    let world = World::new();
    let id = world.register();
    world.registry.execute(&world.keeper, &id);
    assert_eq!(world.env.auths()[0].0, world.keeper);
    world.env.set_auths(&[]);
    assert!(world.registry.try_execute(&world.keeper, &id).is_err(), "even where nothing is due");
    assert!(world.registry.try_batch_execute(&world.keeper, &vec![&world.env, id]).is_err());
}

#[test]
fn checks_come_in_the_family_s_order() {
    // Everything that can be wrong is; each step mends what was reported, and the next in line is.
    let world = World::new();
    let dependency = world.register();
    let resolver = SwitchResolverClient::new(&world.env, &world.env.register(SwitchResolver, ()));
    let mut task = world.task();
    task.gas_balance = 99;
    task.last_run = NOW;
    task.whitelist = vec![&world.env, world.admin.clone()];
    task.blocked_by = vec![&world.env, dependency];
    task.resolver = Some(resolver.address.clone());
    task.target = world.env.register(AlwaysPanics, ());
    task.function = world.symbol("run");
    let id = world.registry.register(&task);
    world.registry.pause_task(&id);

    assert_error(world.registry.try_execute(&world.admin, &id), Error::TaskPaused);
    world.registry.resume_task(&id);
    assert_error(world.registry.try_execute(&world.keeper, &id), Error::Unauthorized);
    world.registry.execute(&world.admin, &id);
    world.assert_silent();
    world.advance_s(INTERVAL_S);
    assert_error(world.registry.try_execute(&world.admin, &id), Error::DependencyBlocked);
    world.registry.execute(&world.keeper, &dependency);
    world.registry.execute(&world.admin, &id);
    world.assert_silent();
    resolver.set(&true);
    assert_error(world.registry.try_execute(&world.admin, &id), Error::InsufficientBalance);
    rewrite(&world, id, |task| task.gas_balance = 100);
    assert!(world.registry.try_execute(&world.admin, &id).is_err(), "the target's turn");
    rewrite(&world, id, |task| {
        task.target = world.counter.address.clone();
        task.function = world.symbol("count");
    });
    // The counter's function takes no argument, and the task passes none.
    world.registry.execute(&world.admin, &id);
    world.assert_event("KeeperPaid", id, (world.admin.clone(), 100_i128));
    assert_eq!(world.stored(id).gas_balance, 0);
}

#[test]
fn an_empty_whitelist_admits_everybody() {
    let world = World::new();
    let id = world.register();
    world.registry.execute(&Address::generate(&world.env), &id);
    assert_eq!(world.counter.count(), 1);
}

#[test]
fn a_resolver_that_says_no_leaves_the_task_due() {
    let world = World::new();
    let resolver = SwitchResolverClient::new(&world.env, &world.env.register(SwitchResolver, ()));
    let mut task = world.task();
    task.resolver = Some(resolver.address.clone());
    let id = world.registry.register(&task);
    world.registry.execute(&world.keeper, &id);
    world.assert_silent();
    assert_eq!((world.stored(id).last_run, world.stored(id).gas_balance), (0, GAS));
    resolver.set(&true);
    world.registry.execute(&world.keeper, &id);
    assert_eq!(world.counter.count(), 1);
}

/// Answers yes only to the one vector of arguments it knows.
#[contract]
struct Inspector;

#[contractimpl]
impl Inspector {
    pub fn check_condition(env: Env, args: Vec<Val>) -> bool {
        args == vec![&env, 7_u64.into_val(&env)]
    }
}

#[test]
fn a_resolver_sees_the_arguments_as_one_vector() {
    let world = World::new();
    let mut task = world.task();
    task.function = world.symbol("bump");
    task.resolver = Some(world.env.register(Inspector, ()));
    for key in [6_u64, 7] {
        task.args = vec![&world.env, key.into_val(&world.env)];
        let id = world.registry.register(&task);
        world.registry.execute(&world.keeper, &id);
    }
    assert_eq!((world.counter.get(&6), world.counter.get(&7)), (0, 1));
}

#[test]
fn a_resolver_that_fails_says_no() {
    let world = World::new();
    let nobody = Address::generate(&world.env);
    let without_the_function = world.counter.address.clone();
    for resolver in [nobody, without_the_function, world.registry.address.clone()] {
        let mut task = world.task();
        task.resolver = Some(resolver);
        let id = world.registry.register(&task);
        world.registry.execute(&world.keeper, &id);
        assert_eq!(world.stored(id).last_run, 0);
    }
    assert_eq!(world.counter.count(), 0);
}

#[test]
fn a_target_that_fails_undoes_the_run() {
    let world = World::with_token();
    let mut task = world.task();
    task.target = world.env.register(AlwaysPanics, ());
    task.function = world.symbol("run");
    let trapping = world.registry.register(&task);
    task.function = world.symbol("fail");
    task.args = vec![&world.env, 4242_u32.into_val(&world.env)];
    let failing = world.registry.register(&task);
    task.target = world.registry.address.clone();
    task.function = world.symbol("get_counter");
    task.args = vec![&world.env];
    let reentrant = world.registry.register(&task);
    for id in [trapping, failing, reentrant] {
        assert!(world.registry.try_execute(&world.keeper, &id).is_err());
        assert_eq!((world.stored(id).last_run, world.stored(id).gas_balance), (0, GAS));
    }
    assert_eq!(world.balance(&world.keeper), 0);
}

#[test]
fn with_a_token_the_keeper_is_paid_by_the_size_of_the_call() {
    let world = World::with_token();
    let id = world.register();
    world.registry.execute(&world.keeper, &id);
    world.assert_event("KeeperPaid", id, (world.keeper.clone(), 199_i128));
    assert_eq!(world.balance(&world.keeper), 199);

    let mut task = world.task();
    task.function = world.symbol("bump");
    task.args = vec![&world.env, 7_u64.into_val(&world.env)];
    task.gas_balance = 228;
    let id = world.registry.register(&task);
    world.registry.execute(&world.keeper, &id);
    assert_eq!(world.balance(&world.keeper), 199 + 228);
    assert_eq!(world.stored(id).gas_balance, 0);
    world.advance_s(INTERVAL_S);
    assert_error(world.registry.try_execute(&world.keeper, &id), Error::InsufficientBalance);
}

#[test]
fn a_task_cannot_call_the_token_in_the_registry_s_name() {
    let world = World::with_token();
    let (victim, id) = (world.register(), world.register());
    let thief = Address::generate(&world.env);
    // Past what registration refuses: as if the entry were older than the rule.
    rewrite(&world, id, |task| {
        task.target = world.token.clone().expect("a token");
        task.function = world.symbol("transfer");
        task.args = (world.registry.address.clone(), thief.clone(), GAS).into_val(&world.env);
    });
    assert_error(world.registry.try_execute(&world.keeper, &id), Error::InvalidPayload);
    assert_eq!(world.balance(&thief), 0);
    assert_eq!(world.stored(victim).gas_balance, GAS);
}

#[test]
fn a_strategy_is_refused_at_the_run_too() {
    let world = World::new();
    let id = world.register();
    rewrite(&world, id, |task| task.yield_strategy = Some(1));
    assert_error(world.registry.try_execute(&world.keeper, &id), Error::InvalidYieldStrategy);
}

#[test]
fn a_due_time_that_does_not_fit_is_never_reached() {
    let world = World::new();
    let mut task = world.task();
    task.interval = u64::MAX;
    task.last_run = NOW;
    let id = world.registry.register(&task);
    let other = world.register();
    world.registry.execute(&world.keeper, &id);
    world.assert_silent();
    world.registry.batch_execute(&world.keeper, &vec![&world.env, id, other]);
    assert_eq!(world.counter.count(), 1, "the other one ran");
}

#[test]
fn a_batch_runs_its_due_tasks() {
    let world = World::new();
    let (first, second) = (world.register(), world.register());
    world.registry.execute(&world.keeper, &first);
    let ids = vec![&world.env, first, second, second];
    world.registry.batch_execute(&world.keeper, &ids);
    let published = soroban_sdk::testutils::Events::all(&world.env.events());
    let v1 = world.symbol("v1").to_val();
    assert_eq!(
        published,
        vec![
            &world.env,
            (
                world.registry.address.clone(),
                vec![&world.env, world.symbol("KeeperPaid").to_val(), v1, second.into_val(&world.env)],
                (world.keeper.clone(), 100_i128).into_val(&world.env),
            ),
            (
                world.registry.address.clone(),
                vec![
                    &world.env,
                    world.symbol("BatchExecutionCompleted").to_val(),
                    v1,
                    world.keeper.clone().into_val(&world.env),
                ],
                (3_u32, ids).into_val(&world.env),
            ),
        ]
    );
    assert_eq!(world.counter.count(), 2);
}

#[test]
fn a_batch_is_all_or_nothing_and_of_one_to_a_hundred() {
    let world = World::new();
    let id = world.register();
    assert_error(world.registry.try_batch_execute(&world.keeper, &vec![&world.env, id, 99]), Error::TaskNotFound);
    assert_eq!(world.counter.count(), 0);
    assert_error(world.registry.try_batch_execute(&world.keeper, &vec![&world.env]), Error::InvalidInterval);
    let full = Vec::from_iter(&world.env, [id; 100]);
    world.registry.batch_execute(&world.keeper, &full);
    assert_eq!(world.counter.count(), 1);
    let over = Vec::from_iter(&world.env, [id; 101]);
    assert_error(world.registry.try_batch_execute(&world.keeper, &over), Error::InvalidInterval);
}

/// Changes a stored task behind the registry's back.
fn rewrite(world: &World, id: u64, change: impl FnOnce(&mut TaskConfig)) {
    let mut task = world.stored(id);
    change(&mut task);
    world.env.as_contract(&world.registry.address, || world.env.storage().persistent().set(&DataKey::Task(id), &task));
}
