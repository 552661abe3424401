//! How fast ledgers of contract calls apply. A measurement, not a check: run it with `--ignored --nocapture`.

use crate::network::{call, wasm, Key, Network, XLM};
use std::time::{Duration, Instant};
use stellar_xdr::{ScVal, SequenceNumber, TransactionExt};

#[test]
#[ignore = "a measurement"]
fn calls_per_second() {
    const PER_LEDGER: u32 = 400;
    const LEDGERS: u32 = 20;
    let network = Network::new();
    let keys: Vec<Key> = (0..PER_LEDGER).map(Key::new).collect();
    network.fund(&keys, 1_000 * XLM);
    let counter = network.deploy(&keys[0], &wasm("counter"));
    // Each source writes an entry of its own, which exists from the first ledger on.
    let mut templates: Vec<_> = keys
        .iter()
        .enumerate()
        .map(|(number, key)| {
            let function = call(&counter, "bump", vec![ScVal::U64(number as u64)]);
            let mut tx = network.soroban_tx(key, None, function);
            if let TransactionExt::V1(data) = &mut tx.ext {
                data.resources.instructions = 2_500_000;
                data.resource_fee += 20_000;
            }
            tx.fee += 20_000;
            tx
        })
        .collect();
    let (mut admitting, mut applying) = (Duration::ZERO, Duration::ZERO);
    let mut applied = 0;
    for _ in 0..LEDGERS {
        let envelopes: Vec<Vec<u8>> = templates
            .iter_mut()
            .zip(&keys)
            .map(|(tx, key)| {
                tx.seq_num = SequenceNumber(network.sequence(key) + 1);
                network.sign(tx, &[*key])
            })
            .collect();
        let start = Instant::now();
        for envelope in &envelopes {
            network.submit(envelope);
        }
        admitting += start.elapsed();
        let start = Instant::now();
        let ledger = network.close();
        applying += start.elapsed();
        let (records, _) = network.node.applied(ledger, usize::MAX);
        assert!(records.iter().all(|record| record.successful));
        applied += records.len();
    }
    let per_second = |duration: Duration, count: u32| f64::from(count) / duration.as_secs_f64();
    println!(
        "admitted {:.0}/s, applied {:.0}/s ({applied} in {LEDGERS} ledgers)",
        per_second(admitting, PER_LEDGER * LEDGERS),
        per_second(applying, applied as u32),
    );
    network.assert_coins();
}
