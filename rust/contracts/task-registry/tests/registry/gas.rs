//! Gas in and out of tasks, and that what the registry owes is what it holds.

use soroban_sdk::testutils::Address as _;
use soroban_sdk::Address;
use task_registry::Error;

use crate::world::{assert_error, World, GAS};

#[test]
fn registration_pays_the_gas_in() {
    let world = World::with_token();
    world.register();
    assert_eq!(world.balance(&world.registry.address), GAS);
    assert_eq!(world.balance(&world.creator), 1_000_000 - GAS);

    let mut task = world.task();
    task.gas_balance = 1_000_000;
    assert!(world.registry.try_register(&task).is_err(), "more than the creator has");
    assert_eq!(world.registry.get_counter(), 1);
    task.gas_balance = 0;
    world.registry.register(&task);
    assert_eq!(world.balance(&world.registry.address), GAS);
}

#[test]
fn anybody_may_deposit() {
    let world = World::with_token();
    let id = world.register();
    let friend = Address::generate(&world.env);
    assert!(world.registry.try_deposit_gas(&id, &friend, &1).is_err(), "has nothing");
    soroban_sdk::token::StellarAssetClient::new(&world.env, world.token.as_ref().expect("a token")).mint(&friend, &50);
    world.registry.deposit_gas(&id, &friend, &50);
    world.assert_event("GasDeposited", id, (friend.clone(), 50_i128));
    assert_eq!(world.env.auths()[0].0, friend);
    assert_eq!(world.stored(id).gas_balance, GAS + 50);
    assert_eq!(world.balance(&world.registry.address), GAS + 50);
    assert_error(world.registry.try_deposit_gas(&id, &friend, &-1), Error::InvalidPayload);
    world.env.set_auths(&[]);
    assert!(world.registry.try_deposit_gas(&id, &friend, &0).is_err());
}

#[test]
fn the_creator_withdraws_what_is_there() {
    let world = World::with_token();
    let id = world.register();
    world.registry.withdraw_gas(&id, &400);
    world.assert_event("GasWithdrawn", id, (world.creator.clone(), 400_i128));
    assert_eq!(world.stored(id).gas_balance, GAS - 400);
    assert_eq!(world.balance(&world.creator), 1_000_000 - GAS + 400);
    assert_error(world.registry.try_withdraw_gas(&id, &601), Error::InsufficientBalance);
    assert_error(world.registry.try_withdraw_gas(&id, &-1), Error::InvalidPayload);
    world.registry.withdraw_gas(&id, &600);
    assert_eq!(world.balance(&world.registry.address), 0);
    world.env.set_auths(&[]);
    assert!(world.registry.try_withdraw_gas(&id, &0).is_err());
}

#[test]
fn cancelling_pays_the_rest_back() {
    let world = World::with_token();
    let (id, other) = (world.register(), world.register());
    world.registry.execute(&world.keeper, &id);
    world.registry.cancel_task(&id);
    world.assert_event("TaskCancelled", id, (world.creator.clone(), GAS - 199));
    assert_eq!(world.balance(&world.creator), 1_000_000 - GAS - 199);
    assert_eq!(world.balance(&world.registry.address), world.stored(other).gas_balance);
}

#[test]
fn without_a_token_gas_only_counts_down() {
    let world = World::new();
    let id = world.register();
    assert_error(world.registry.try_deposit_gas(&id, &world.creator, &1), Error::NotInitialized);
    assert_error(world.registry.try_withdraw_gas(&id, &1), Error::NotInitialized);
    world.registry.execute(&world.keeper, &id);
    assert_eq!(world.stored(id).gas_balance, GAS - 100);
    world.registry.cancel_task(&id);
    world.assert_event("TaskCancelled", id, (world.creator.clone(), GAS - 100));
}
