//! Any bytes as an envelope: submitted, simulated, and a ledger closed over whatever got in.
#![no_main]

use libfuzzer_sys::fuzz_target;
use sorofast_fuzz::World;
use std::cell::RefCell;

thread_local! {
    static WORLD: RefCell<World> = RefCell::new(World::new());
}

fuzz_target!(|data: &[u8]| {
    WORLD.with_borrow_mut(|world| {
        world.simulate(data);
        if world.submit(data).is_some() {
            world.close();
        }
        if world.is_old() {
            *world = World::new();
        }
    });
});
