//! Registries that are there from the first ledger on, and going back to it.

use crate::network::{call, manual, pay, symbol, wasm, Key, Network, XLM};
use sorofast_sandbox::config::ClockMode;
use sorofast_sandbox::crypto::{sha256, sha256_parts};
use sorofast_sandbox::ledger::genesis::ACCOUNT_STROOPS;
use sorofast_sandbox::ledger::seeds::{Generation, SeedTasks, Seeds};
use sorofast_sandbox::ledger::settings::Settings;
use sorofast_sandbox::node::{NodeConfig, SubmitStatus};
use sorofast_sandbox::random::Randomness;
use std::collections::{BTreeMap, BTreeSet};
use std::sync::atomic::{AtomicBool, AtomicU8, Ordering};
use std::sync::Arc;
use stellar_xdr::{
    ContractDataDurability, ContractId, Hash, HostFunction, InvokeHostFunctionOp, LedgerEntry,
    LedgerEntryData, LedgerKey, LedgerKeyContractCode, LedgerKeyContractData, Limits, Operation,
    OperationBody, ReadXdr, ScAddress, ScMap, ScVal, ScVec, VecM, WriteXdr,
};

const START_S: u64 = 1_800_000_000;

fn seeded(tasks: u32, generations: &[Generation]) -> NodeConfig {
    NodeConfig {
        clock: ClockMode::Manual,
        start_time_s: Some(START_S),
        seed_tasks: Some(SeedTasks {
            tasks,
            intervals_s: (20, 120),
            generations: generations.to_vec(),
        }),
        ..manual()
    }
}

fn data_key(contract: &[u8; 32], key: ScVal) -> Vec<u8> {
    LedgerKey::ContractData(LedgerKeyContractData {
        contract: ScAddress::Contract(ContractId(Hash(*contract))),
        key,
        durability: ContractDataDurability::Persistent,
    })
    .to_xdr(Limits::none())
    .expect("a key")
}

fn task_key(name: &str, id: u64) -> ScVal {
    let parts = vec![ScVal::Symbol(symbol(name)), ScVal::U64(id)];
    ScVal::Vec(Some(ScVec(parts.try_into().expect("a key"))))
}

/// What the network stores under a key of a contract.
fn stored(network: &Network, contract: &[u8; 32], key: ScVal) -> Option<ScVal> {
    let read = network.node.entries(&[data_key(contract, key)]);
    let entry = read.entries.first()?;
    assert_eq!(entry.live_until, Some(3_110_400));
    match LedgerEntry::from_xdr(&entry.entry_xdr, Limits::none())
        .expect("an entry")
        .data
    {
        LedgerEntryData::ContractData(data) => Some(data.val),
        other => panic!("{other:?}"),
    }
}

fn fields(value: &ScVal) -> BTreeMap<String, ScVal> {
    let ScVal::Map(Some(ScMap(entries))) = value else {
        panic!("{value:?}");
    };
    entries
        .iter()
        .map(|entry| match &entry.key {
            ScVal::Symbol(name) => (name.to_utf8_string_lossy(), entry.val.clone()),
            other => panic!("{other:?}"),
        })
        .collect()
}

fn names(value: &ScVal) -> Vec<String> {
    fields(value).into_keys().collect()
}

#[test]
fn every_entry_is_what_the_types_would_write() {
    let plan = seeded(700, &Generation::ALL).seed_tasks.expect("tasks");
    let seeds = Seeds::new(plan, &[7; 32], vec![[1; 32], [2; 32]]);
    let settings = Settings::of(&manual());
    let mut keys = BTreeSet::new();
    seeds
        .write(&settings, &Randomness::new(1), START_S, |key, stored| {
            let entry = LedgerEntry::from_xdr(&stored.xdr, Limits::none()).expect("an entry");
            assert_eq!(entry.to_xdr(Limits::none()).expect("XDR"), *stored.xdr);
            assert_eq!(entry.to_key().to_xdr(Limits::none()).expect("XDR"), *key);
            assert_eq!(entry.last_modified_ledger_seq, 1);
            if let LedgerEntryData::ContractData(data) = &entry.data {
                if let ScVal::Map(Some(map)) = &data.val {
                    // The host refuses maps that are not in order.
                    assert!(map.0.windows(2).all(|pair| pair[0].key < pair[1].key));
                }
            }
            assert!(keys.insert(key), "an entry twice");
        })
        .expect("entries");
    assert_eq!(keys.len(), seeds.entries());
}

#[test]
fn each_generation_has_its_registry_and_its_fields() {
    let network = Network::with(seeded(352, &Generation::ALL));
    let origin = network.node.origin();
    let seeds = origin.seeds().expect("seeds");
    let tasks: Vec<u32> = seeds.registries.iter().map(|each| each.tasks).collect();
    assert_eq!(tasks, [50, 50, 50, 50, 50, 50, 52]);
    let g0 = [
        "args",
        "creator",
        "function",
        "gas_balance",
        "interval",
        "last_run",
        "target",
    ];
    let mut expected: BTreeSet<&str> = g0.into();
    for registry in &seeds.registries {
        let contract = &registry.contract;
        let counter = ScVal::Vec(Some(ScVec(
            vec![ScVal::Symbol(symbol("Counter"))]
                .try_into()
                .expect("a key"),
        )));
        assert_eq!(
            stored(&network, contract, counter),
            Some(ScVal::U64(u64::from(registry.tasks)))
        );
        let (added, removed): (&[&str], &[&str]) = match registry.generation {
            Generation::G0 => (&[], &[]),
            Generation::G1 => (&["resolver", "whitelist"], &[]),
            Generation::G2 => (&["is_active", "blocked_by"], &[]),
            Generation::G3 => (&["yield_strategy"], &[]),
            Generation::G4 => (&["execution_nonce", "permissions"], &[]),
            Generation::G5 => (&[], &["execution_nonce"]),
            Generation::G6 => (&["max_runs", "expiration_timestamp"], &[]),
        };
        expected.extend(added);
        for name in removed {
            expected.remove(name);
        }
        let last = u64::from(registry.tasks);
        let task = stored(&network, contract, task_key("Task", last)).expect("the last task");
        assert_eq!(names(&task), expected.iter().copied().collect::<Vec<_>>());
        assert!(stored(&network, contract, task_key("Task", last + 1)).is_none());
        let narrow = registry.generation >= Generation::G4;
        assert_eq!(matches!(fields(&task)["interval"], ScVal::U32(_)), narrow);
        let part = |name| stored(&network, contract, task_key(name, last));
        if registry.generation.is_split() {
            let payload = names(&part("TaskPayload").expect("a payload"));
            assert_eq!(payload, ["args", "function", "target"]);
            let mut meta = names(&part("TaskMeta").expect("a meta"));
            meta.extend(payload);
            meta.sort_unstable();
            assert_eq!(meta, names(&task));
            let stats = names(&part("TaskStats").expect("stats"));
            assert_eq!(stats, ["failure_count", "last_ledger", "run_count"]);
        } else {
            assert!(part("TaskMeta").is_none());
        }
    }
    // The older half of the second generation was stored before tasks could depend on each other.
    let g2 = &seeds.registries[2].contract;
    let older = stored(&network, g2, task_key("Task", 1)).expect("a task");
    assert!(!names(&older).contains(&"blocked_by".to_owned()));
}

fn execute(registry: &[u8; 32], keeper: &Key, id: u64) -> HostFunction {
    let registry = ContractId(Hash(*registry));
    call(&registry, "execute", vec![keeper.address(), ScVal::U64(id)])
}

/// Whether an execution would succeed, or why not.
fn simulated(network: &Network, registry: &[u8; 32], keeper: &Key, id: u64) -> Result<(), String> {
    let operation = Operation {
        source_account: None,
        body: OperationBody::InvokeHostFunction(InvokeHostFunctionOp {
            host_function: execute(registry, keeper, id),
            auth: VecM::default(),
        }),
    };
    let tx = network.tx(keeper, vec![operation]);
    network.simulate(&tx).map(|_| ())
}

#[test]
fn the_third_generation_can_be_executed() {
    let network = Network::with(seeded(50, &[Generation::G3]));
    let registry = network.node.origin().seeds().expect("seeds").registries[0].contract;
    let keeper = Key::from_seed(network.node.accounts()[0].seed);
    network.node.advance(1, 121.0).expect("all are due");
    // Whether the keeper was paid.
    let run = |id| {
        let last_run = || {
            let task = stored(&network, &registry, task_key("Task", id)).expect("a task");
            fields(&task)["last_run"].clone()
        };
        let before = last_run();
        let record = network.run(&keeper, execute(&registry, &keeper, id));
        assert!(record.successful);
        let paid = !record.contract_events_xdr.concat().is_empty();
        assert_eq!(paid, before != last_run());
        paid
    };
    let refused = |keeper: &Key, id: u64, code: u32| {
        let reason = simulated(&network, &registry, keeper, id).expect_err("refused");
        let code = format!("Error(Contract, #{code})");
        assert!(reason.contains(&code), "{id}: {reason}");
    };
    for id in [1, 2, 3, 5, 6, 7, 9, 10, 16, 18] {
        assert!(run(id), "task {id}");
    }
    assert!(!run(24), "its resolver says no");
    refused(&keeper, 4, 5); // paused
    refused(&keeper, 8, 11); // waits for the paused one
    refused(&keeper, 12, 3); // no gas
    refused(&keeper, 20, 2); // for somebody else
    let stranger = Key::new(9);
    network.fund(&[stranger], 100 * XLM);
    refused(&stranger, 41, 2); // for the first two accounts
    network.assert_coins();
}

#[test]
fn seeded_code_is_what_an_upload_leaves() {
    let (fresh, with_seeds) = (Network::new(), Network::with(seeded(7, &[Generation::G3])));
    let alice = Key::new(1);
    fresh.fund(&[alice], 1_000 * XLM);
    for name in ["task_registry", "counter", "switch_resolver"] {
        let wasm = wasm(name);
        fresh.deploy(&alice, &wasm);
        let key = LedgerKey::ContractCode(LedgerKeyContractCode {
            hash: Hash(sha256(&wasm)),
        });
        let key = key.to_xdr(Limits::none()).expect("a key");
        let [uploaded, seeded] = [&fresh, &with_seeds].map(|network| {
            let read = network.node.entries(std::slice::from_ref(&key));
            read.entries[0].data_xdr().to_vec()
        });
        assert_eq!(uploaded, seeded, "{name}");
    }
}

#[test]
fn numbered_accounts_have_money_and_known_keys() {
    let network = Network::with(NodeConfig {
        accounts: 3,
        ..manual()
    });
    let accounts = network.node.accounts();
    assert_eq!(accounts.len(), 3);
    for (number, account) in accounts.iter().enumerate() {
        let label = format!("sorofast-sandbox account {number} ");
        assert_eq!(
            account.seed,
            sha256_parts(&[label.as_bytes(), &network.node.network_id()])
        );
        assert_eq!(account.balance_stroops, Some(ACCOUNT_STROOPS));
    }
    let [first, second] = [accounts[0], accounts[1]].map(|account| Key::from_seed(account.seed));
    let tx = network.tx(&first, vec![pay(&second, XLM)]);
    assert!(network.apply(&network.sign(&tx, &[first])).successful);
    let balances = network.node.accounts();
    assert_eq!(balances[1].balance_stroops, Some(ACCOUNT_STROOPS + XLM));
    let audit = network.node.audit();
    assert_eq!((audit.counted, audit.fee_pool), (audit.recorded, 100));
    let root = network.node.root_account().expect("a root");
    assert_eq!(root.seed, network.node.network_id());
    assert_eq!(Key::from_seed(root.seed).id, root.id);
}

#[test]
fn a_reset_starts_over_the_same() {
    let network = Network::with(seeded(70, &Generation::ALL));
    let story = || {
        let keys: Vec<Key> = (0..3).map(Key::new).collect();
        network.fund(&keys, 100 * XLM);
        network.node.advance(2, 10.0).expect("ledgers");
        let tx = network.tx(&keys[0], vec![pay(&keys[1], 5)]);
        let record = network.apply(&network.sign(&tx, &[keys[0]]));
        let ledgers = network.node.ledgers(1, 100);
        let hashes: Vec<[u8; 32]> = ledgers.iter().map(|ledger| ledger.hash).collect();
        (hashes, record.hash)
    };
    let (hashes, hash) = story();
    let waiting = network.tx(&network.friendbot(), vec![pay(&Key::new(0), 5)]);
    let waiting = network.sign(&waiting, &[network.friendbot()]);
    assert_eq!(network.submit(&waiting).status, SubmitStatus::Pending);
    let latest = network.node.reset().expect("a reset");
    assert_eq!((latest.sequence, latest.close_time_s), (1, START_S));
    assert_eq!(latest.hash, hashes[0]);
    assert_eq!(network.node.pending(), 0);
    assert!(network.node.transaction(&hash).record.is_none());
    assert!(network.account(&Key::new(0)).is_none());
    network.assert_coins();
    // Not even a ban is left of what was applied before.
    assert_eq!(story(), (hashes, hash));
}

#[test]
fn readers_see_one_chain_or_the_other() {
    let network = Arc::new(Network::new());
    let [alice, bob] = [Key::new(1), Key::new(2)];
    network.fund(&[alice, bob], 100 * XLM);
    let keys =
        [alice, bob].map(|key| sorofast_sandbox::ledger::account::account_key(&key.id).to_vec());
    // One bit for the first ledger, one for a later one.
    let seen = AtomicU8::new(0);
    let done = AtomicBool::new(false);
    std::thread::scope(|scope| {
        let reader = scope.spawn(|| {
            while !done.load(Ordering::SeqCst) {
                let read = network.node.entries(&keys);
                let (bit, entries) = if read.latest_ledger > 1 {
                    (2, 2)
                } else {
                    (1, 0)
                };
                assert_eq!(read.entries.len(), entries, "half a ledger");
                seen.fetch_or(bit, Ordering::SeqCst);
            }
        });
        let mut rounds = 0;
        while rounds < 50 || (seen.load(Ordering::SeqCst) != 3 && !reader.is_finished()) {
            network.node.reset().expect("a reset");
            network.fund(&[alice, bob], 100 * XLM);
            rounds += 1;
        }
        done.store(true, Ordering::SeqCst);
        reader.join().expect("every read was whole");
    });
}
