//! The committed wasm files: that they are those of the checksum list, and that a host runs them as it runs the source.

use std::fs;
use std::path::PathBuf;

use soroban_sdk::testutils::storage::Persistent as _;
use soroban_sdk::testutils::{Address as _, Events as _};
use soroban_sdk::xdr::{
    InvokeContractArgs, ScSymbol, SorobanAuthorizationEntry, SorobanAuthorizedFunction, SorobanAuthorizedInvocation,
    SorobanCredentials, VecM,
};
use soroban_sdk::{vec, Address, Bytes, Env, IntoVal, Symbol, Val};
use task_registry::{DataKey, TaskConfig, TaskRegistryClient};

use crate::world::{environment, INTERVAL_S, NOW};

const NAMES: [&str; 6] =
    ["always_panics", "burns_instructions", "changeable", "counter", "switch_resolver", "task_registry"];

fn folder() -> PathBuf {
    PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("../../sorofast-sandbox/wasm")
}

fn read(name: &str) -> Vec<u8> {
    let path = folder().join(format!("{name}.wasm"));
    fs::read(&path).unwrap_or_else(|error| panic!("{}: {error}", path.display()))
}

fn deploy(env: &Env, name: &str) -> Address {
    env.register(read(name).as_slice(), ())
}

#[test]
fn the_checksum_list_is_of_these_files() {
    let env = environment();
    let list = fs::read_to_string(folder().join("SHA256SUMS")).expect("the list");
    let found: Vec<String> = NAMES
        .map(|name| {
            let digest = env.crypto().sha256(&Bytes::from_slice(&env, &read(name))).to_array();
            let hex = digest.iter().fold(String::new(), |hex, byte| hex + &format!("{byte:02x}"));
            format!("{hex}  {name}.wasm")
        })
        .into();
    assert_eq!(list.lines().collect::<Vec<_>>(), found);
}

#[test]
fn no_file_tells_where_it_was_built() {
    for name in NAMES {
        let text = String::from_utf8_lossy(&read(name)).into_owned();
        for path in ["/home/", "/root/", "/usr/", "/opt/", "/Users/", "/tmp/", ".cargo", ".rustup"] {
            assert!(!text.contains(path), "{name}.wasm holds {path}");
        }
    }
}

struct Deployed {
    env: Env,
    registry: TaskRegistryClient<'static>,
    keeper: Address,
}

fn deployed() -> Deployed {
    let env = environment();
    env.mock_all_auths();
    let registry = TaskRegistryClient::new(&env, &deploy(&env, "task_registry"));
    registry.init(&Address::generate(&env), &None);
    let keeper = Address::generate(&env);
    Deployed { env, registry, keeper }
}

impl Deployed {
    fn register(&self, target: &Address, function: &str, args: soroban_sdk::Vec<Val>) -> u64 {
        self.registry.register(&TaskConfig {
            creator: Address::generate(&self.env),
            target: target.clone(),
            function: Symbol::new(&self.env, function),
            args,
            resolver: None,
            interval: INTERVAL_S,
            last_run: 0,
            gas_balance: 1_000,
            whitelist: vec![&self.env],
            is_active: true,
            blocked_by: vec![&self.env],
            yield_strategy: None,
        })
    }
}

#[test]
fn an_execution_reads_four_entries_and_writes_one() {
    let world = deployed();
    // A target that writes nothing, so that what is written is the registry's.
    let counter = deploy(&world.env, "counter");
    let id = world.register(&counter, "count", vec![&world.env]);

    // The keeper is the account the operation comes from, as with a real keeper: no signature of its own, and so no
    // nonce entry, comes with the call. This host's source account is the one whose key is all zeros.
    let keeper = Address::from_str(&world.env, "GAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAWHF");
    let args: soroban_sdk::Vec<Val> = (keeper.clone(), id).into_val(&world.env);
    world.env.set_auths(&[SorobanAuthorizationEntry {
        credentials: SorobanCredentials::SourceAccount,
        root_invocation: SorobanAuthorizedInvocation {
            function: SorobanAuthorizedFunction::ContractFn(InvokeContractArgs {
                contract_address: (&world.registry.address).into(),
                function_name: ScSymbol("execute".try_into().expect("short")),
                args: args.into(),
            }),
            sub_invocations: VecM::default(),
        },
    }]);
    world.registry.execute(&keeper, &id);
    let resources = world.env.cost_estimate().resources();
    println!("{resources:?}");
    // Both instances, both codes, and the task, which is the one written.
    assert_eq!((resources.memory_read_entries, resources.disk_read_entries, resources.write_entries), (5, 0, 1));
    assert!(resources.instructions < 2_000_000, "{} instructions", resources.instructions);
    assert_eq!(world.registry.get_task(&id).expect("the task").last_run, NOW);
}

#[test]
fn executing_changes_no_lifetime() {
    let world = deployed();
    let id = world.register(&deploy(&world.env, "counter"), "increment", vec![&world.env]);
    let ttl = || {
        world.env.as_contract(&world.registry.address, || world.env.storage().persistent().get_ttl(&DataKey::Task(id)))
    };
    let before = ttl();
    assert_eq!(before, 2_073_600);
    world.registry.execute(&world.keeper, &id);
    assert_eq!(world.env.events().all().filter_by_contract(&world.registry.address).events().len(), 1);
    assert_eq!(ttl(), before);
}

#[test]
fn the_targets_do_what_they_are_named_for() {
    let world = deployed();
    let adversary = deploy(&world.env, "always_panics");
    let trap = world.register(&adversary, "run", vec![&world.env]);
    assert!(world.registry.try_execute(&world.keeper, &trap).is_err());

    let burner = deploy(&world.env, "burns_instructions");
    let burn = |rounds: u64| {
        let id = world.register(&burner, "burn", vec![&world.env, rounds.into_val(&world.env)]);
        world.registry.execute(&world.keeper, &id);
        world.env.cost_estimate().resources().instructions
    };
    let (few, many) = (burn(1_000), burn(101_000));
    assert!(many - few > 1_000_000, "{few} and {many} instructions");

    let resolver = deploy(&world.env, "switch_resolver");
    let counter = deploy(&world.env, "counter");
    let id = world.register(&counter, "increment", vec![&world.env]);
    let mut task = world.registry.get_task(&id).expect("the task");
    task.resolver = Some(resolver.clone());
    let id = world.registry.register(&task);
    let count = || world.env.invoke_contract::<u32>(&counter, &Symbol::new(&world.env, "count"), vec![&world.env]);
    world.registry.execute(&world.keeper, &id);
    assert_eq!(count(), 0);
    let on: Val = true.into_val(&world.env);
    world.env.invoke_contract::<()>(&resolver, &Symbol::new(&world.env, "set"), vec![&world.env, on]);
    world.registry.execute(&world.keeper, &id);
    assert_eq!(count(), 1);
}
