//! Transactions of any shape with true sequences and signatures, so that they get past the door and are applied.
#![no_main]

use arbitrary::{Arbitrary, Unstructured};
use libfuzzer_sys::fuzz_target;
use sorofast_fuzz::{muxed, World};
use std::cell::RefCell;
use stellar_xdr::{
    Memo, MuxedAccount, Operation, Preconditions, SequenceNumber, Transaction, TransactionExt,
};

/// Steps taken of one input.
const STEPS_MAX: usize = 8;
const OPERATIONS_MAX: usize = 5;

thread_local! {
    static WORLD: RefCell<World> = RefCell::new(World::new());
}

#[derive(Arbitrary, Debug)]
enum Step {
    /// A transaction of an account: its number, who signs besides it, how far its sequence is off.
    Send {
        account: u8,
        signers: Vec<u8>,
        off: i8,
        fee: u32,
        operations: Vec<(Option<u8>, Operation)>,
        data: Option<Box<TransactionExt>>,
        conditions: Option<Box<Preconditions>>,
        memo: Option<Memo>,
    },
    Close,
}

fn transaction(world: &World, step: Step) -> Option<(Transaction, Vec<[u8; 32]>)> {
    let Step::Send {
        account,
        signers,
        off,
        fee,
        operations,
        data,
        conditions,
        memo,
    } = step
    else {
        return None;
    };
    let seed = world.seed(account);
    let mut seeds = vec![seed];
    seeds.extend(signers.into_iter().take(3).map(|number| world.seed(number)));
    seeds.dedup();
    let operations: Vec<Operation> = operations
        .into_iter()
        .take(OPERATIONS_MAX)
        .map(|(source, mut operation)| {
            // Nobody's account could not sign.
            operation.source_account =
                source.map(|number| -> MuxedAccount { muxed(&world.seed(number)) });
            operation
        })
        .collect();
    let tx = Transaction {
        source_account: muxed(&seed),
        fee,
        seq_num: SequenceNumber(
            world
                .sequence(&seed)
                .saturating_add(1)
                .saturating_add(i64::from(off / 32)),
        ),
        cond: conditions.map_or(Preconditions::None, |conditions| *conditions),
        memo: memo.unwrap_or(Memo::None),
        operations: operations.try_into().ok()?,
        ext: data.map_or(TransactionExt::V0, |data| *data),
    };
    Some((tx, seeds))
}

fuzz_target!(|data: &[u8]| {
    WORLD.with_borrow_mut(|world| {
        let mut input = Unstructured::new(data);
        for _ in 0..STEPS_MAX {
            if input.is_empty() {
                break;
            }
            let Ok(step) = Step::arbitrary(&mut input) else {
                break;
            };
            match transaction(world, step) {
                Some((tx, seeds)) => {
                    let envelope = world.sign(tx, &seeds);
                    world.simulate(&envelope);
                    world.submit(&envelope);
                }
                None => world.close(),
            }
        }
        world.close();
        if world.is_old() {
            *world = World::new();
        }
    });
});
