//! Any bytes as a contract: simulated, uploaded with what the simulation asks for, and applied.
#![no_main]

use libfuzzer_sys::fuzz_target;
use sorofast_fuzz::{muxed, World};
use sorofast_sandbox::node::SimulateOptions;
use std::cell::RefCell;
use stellar_xdr::{
    HostFunction, InvokeHostFunctionOp, Limits, Memo, Operation, OperationBody, Preconditions,
    ReadXdr, SequenceNumber, SorobanTransactionData, Transaction, TransactionExt, VecM,
};

const FEE_STROOPS: u32 = 1_000_000_000;

thread_local! {
    static WORLD: RefCell<World> = RefCell::new(World::new());
}

fn upload(world: &World, wasm: &[u8]) -> Option<Transaction> {
    let seed = world.seed(0);
    let invoke = InvokeHostFunctionOp {
        host_function: HostFunction::UploadContractWasm(wasm.to_vec().try_into().ok()?),
        auth: VecM::default(),
    };
    let operation = Operation {
        source_account: None,
        body: OperationBody::InvokeHostFunction(invoke),
    };
    Some(Transaction {
        source_account: muxed(&seed),
        fee: FEE_STROOPS,
        seq_num: SequenceNumber(world.sequence(&seed) + 1),
        cond: Preconditions::None,
        memo: Memo::None,
        operations: vec![operation].try_into().ok()?,
        ext: TransactionExt::V0,
    })
}

fuzz_target!(|data: &[u8]| {
    WORLD.with_borrow_mut(|world| {
        let Some(mut tx) = upload(world, data) else {
            return;
        };
        let seeds = [world.seed(0)];
        let envelope = world.sign(tx.clone(), &seeds);
        let simulated = world.node.simulate(&envelope, SimulateOptions::default());
        let Ok(success) = simulated.outcome else {
            return;
        };
        let data = SorobanTransactionData::from_xdr(&success.transaction_data_xdr, Limits::none())
            .expect("what a simulation says decodes");
        tx.ext = TransactionExt::V1(data);
        world.submit(&world.sign(tx, &seeds));
        world.close();
        if world.is_old() {
            *world = World::new();
        }
    });
});
