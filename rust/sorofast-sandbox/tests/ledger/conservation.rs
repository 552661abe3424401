//! A random mix of transactions, good and bad: lumens are neither made nor lost.

use crate::network::{call, create_account, pay, wasm, Key, Network, XLM};
use sorofast_sandbox::node::SubmitStatus;
use stellar_xdr::{Operation, ScVal, TransactionExt};

/// A small generator of numbers that repeats itself from run to run.
struct Numbers(u64);

impl Numbers {
    fn below(&mut self, bound: u64) -> u64 {
        self.0 ^= self.0 << 13;
        self.0 ^= self.0 >> 7;
        self.0 ^= self.0 << 17;
        self.0 % bound
    }
}

#[test]
fn lumens_are_conserved() {
    let network = Network::new();
    let keys: Vec<Key> = (0..40).map(Key::new).collect();
    network.fund(&keys, 50 * XLM);
    let counter = network.deploy(&keys[0], &wasm("counter"));
    let template = network.soroban_tx(&keys[0], None, call(&counter, "increment", vec![]));
    let mut numbers = Numbers(0x5eed);
    let mut created = 1_000;
    let mut failed = 0;
    let mut succeeded = 0;
    for _ in 0..30 {
        for key in &keys {
            let to = keys[numbers.below(40) as usize];
            let amount = 1 + numbers.below(60 * XLM.unsigned_abs()).cast_signed();
            let operations: Vec<Operation> = match numbers.below(6) {
                0 => vec![pay(&to, amount)],
                1 => vec![pay(&to, amount / 9), pay(&Key::new(777_777), 1)],
                2 => {
                    created += 1;
                    vec![create_account(&Key::new(created), amount / 20)]
                }
                3 => (0..5).map(|_| pay(&to, amount / 50)).collect(),
                _ => Vec::new(),
            };
            let mut tx = if operations.is_empty() {
                let mut tx = template.clone();
                tx.source_account = key.muxed();
                tx.seq_num = stellar_xdr::SequenceNumber(network.sequence(key) + 1);
                if let TransactionExt::V1(data) = &mut tx.ext {
                    if numbers.below(3) == 0 {
                        data.resources.instructions /= 2;
                    }
                }
                tx
            } else {
                network.tx(key, operations)
            };
            tx.fee += numbers.below(500) as u32;
            // Some cannot even enter: their balance no longer covers the fee.
            let submission = network.submit(&network.sign(&tx, &[*key]));
            assert_ne!(submission.status, SubmitStatus::Duplicate);
        }
        let ledger = network.close();
        network.assert_coins();
        for record in network.node.applied(ledger, 1_000).0 {
            if record.successful {
                succeeded += 1;
            } else {
                failed += 1;
            }
        }
    }
    assert!(succeeded > 100, "{succeeded} succeeded");
    assert!(failed > 100, "{failed} failed");
    let call = network.soroban_tx(&keys[0], None, call(&counter, "bump", vec![ScVal::U64(1)]));
    let _ = network.submit(&network.sign(&call, &[keys[0]]));
    network.close();
    network.assert_coins();
}
