//! Any bytes as the body of a JSON-RPC request, and the ledger of whatever was sent by it.
#![no_main]

use libfuzzer_sys::fuzz_target;
use sorofast_fuzz::World;
use sorofast_sandbox::endpoint::Endpoint;
use std::cell::RefCell;
use std::sync::Arc;
use tokio::runtime::Runtime;

/// A network with its RPC. Dropped in this order.
struct Served {
    endpoint: Endpoint,
    world: World,
    runtime: Runtime,
}

impl Served {
    fn new() -> Self {
        let runtime = Runtime::new().expect("a runtime");
        let world = World::new();
        let endpoint = {
            let _entered = runtime.enter();
            Endpoint::new(Arc::clone(&world.node))
        };
        Self {
            endpoint,
            world,
            runtime,
        }
    }
}

thread_local! {
    static SERVED: RefCell<Served> = RefCell::new(Served::new());
}

fuzz_target!(|data: &[u8]| {
    SERVED.with_borrow_mut(|served| {
        served.runtime.block_on(served.endpoint.answer(data));
        if served.world.node.pending() > 0 {
            served.world.close();
        }
        if served.world.is_old() {
            *served = Served::new();
        }
    });
});
