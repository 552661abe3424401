//! How fast ledgers of task executions apply. A measurement, not a check: run it with `--ignored --nocapture`.

use crate::network::{call, symbol, wasm, Key, Network, XLM};
use std::time::{Duration, Instant};
use stellar_xdr::{
    ContractId, Int128Parts, ScAddress, ScMap, ScMapEntry, ScVal, ScVec, SequenceNumber,
    Transaction, TransactionExt,
};

const PER_LEDGER: u32 = 300;
const LEDGERS: u32 = 20;

/// A task that calls `counter.get(0)`, which writes nothing, so that executions do not collide.
fn task(creator: &Key, target: &ContractId) -> ScVal {
    let list = |items: Vec<ScVal>| ScVal::Vec(Some(ScVec(items.try_into().expect("a list"))));
    let fields = [
        ("args", list(vec![ScVal::U64(0)])),
        ("blocked_by", list(vec![])),
        ("creator", creator.address()),
        ("function", ScVal::Symbol(symbol("get"))),
        (
            "gas_balance",
            ScVal::I128(Int128Parts {
                hi: 0,
                lo: 1_000_000,
            }),
        ),
        ("interval", ScVal::U64(5)),
        ("is_active", ScVal::Bool(true)),
        ("last_run", ScVal::U64(0)),
        ("resolver", ScVal::Void),
        (
            "target",
            ScVal::Address(ScAddress::Contract(target.clone())),
        ),
        ("whitelist", list(vec![])),
        ("yield_strategy", ScVal::Void),
    ];
    let entries: Vec<ScMapEntry> = fields
        .into_iter()
        .map(|(name, val)| ScMapEntry {
            key: ScVal::Symbol(symbol(name)),
            val,
        })
        .collect();
    ScVal::Map(Some(ScMap(entries.try_into().expect("twelve fields"))))
}

/// One execution per channel, by the keeper, of a task of its own.
fn prepare(network: &Network, keeper: &Key, channels: &[Key]) -> Vec<Transaction> {
    let counter = network.deploy(keeper, &wasm("counter"));
    let registry = network.deploy(keeper, &wasm("task_registry"));
    let init = call(&registry, "init", vec![keeper.address(), ScVal::Void]);
    assert!(network.run(keeper, init).successful);
    for _ in channels {
        let register = call(&registry, "register", vec![task(keeper, &counter)]);
        assert!(network.run(keeper, register).successful);
    }
    (1..)
        .zip(channels)
        .map(|(id, channel)| {
            let args = vec![keeper.address(), ScVal::U64(id)];
            let execute = call(&registry, "execute", args);
            let mut tx = network.soroban_tx(channel, Some(keeper), execute);
            if let TransactionExt::V1(data) = &mut tx.ext {
                data.resource_fee += 20_000;
            }
            tx.fee += 20_000;
            tx
        })
        .collect()
}

#[test]
#[ignore = "a measurement"]
fn executions_per_second() {
    let network = Network::new();
    let keeper = Key::new(0);
    let channels: Vec<Key> = (1..=PER_LEDGER).map(Key::new).collect();
    network.fund(&[keeper], 100_000 * XLM);
    network.fund(&channels, 1_000 * XLM);
    let mut templates = prepare(&network, &keeper, &channels);
    let (mut admitting, mut applying) = (Duration::ZERO, Duration::ZERO);
    let (mut applied, mut events) = (0, 0);
    for _ in 0..LEDGERS {
        let envelopes: Vec<Vec<u8>> = templates
            .iter_mut()
            .zip(&channels)
            .map(|(tx, channel)| {
                tx.seq_num = SequenceNumber(network.sequence(channel) + 1);
                network.sign(tx, &[*channel, keeper])
            })
            .collect();
        let start = Instant::now();
        for envelope in &envelopes {
            network.submit(envelope);
        }
        admitting += start.elapsed();
        let start = Instant::now();
        let ledger = network.node.advance(1, 10.0).expect("a ledger").sequence;
        applying += start.elapsed();
        let (records, _) = network.node.applied(ledger, usize::MAX);
        assert!(records.iter().all(|record| record.successful));
        applied += records.len();
        events += records
            .iter()
            .filter(|record| !record.contract_events_xdr[0].is_empty())
            .count();
    }
    assert_eq!(applied, events, "every execution ran its task");
    let per_second = |duration: Duration, count: u32| f64::from(count) / duration.as_secs_f64();
    println!(
        "admitted {:.0}/s, applied {:.0}/s ({applied} in {LEDGERS} ledgers)",
        per_second(admitting, PER_LEDGER * LEDGERS),
        per_second(applying, applied as u32),
    );
    network.assert_coins();
}
