//! What every test starts from: an initialized registry, a counter to call, a creator and a keeper.

use counter::{Counter, CounterClient};
use soroban_sdk::testutils::{Address as _, EnvTestConfig, Events as _, Ledger as _};
use soroban_sdk::token::{StellarAssetClient, TokenClient};
use soroban_sdk::{vec, Address, Env, Error as HostError, IntoVal, InvokeError, Symbol, TryFromVal, Val, Vec};
use task_registry::{Error, TaskConfig, TaskRegistry, TaskRegistryClient};

/// Close time of the first ledger, in Unix seconds.
pub const NOW: u64 = 1_700_000_000;
/// What a task is registered with unless a test says otherwise.
pub const GAS: i128 = 1_000;
pub const INTERVAL_S: u64 = 60;

pub struct World {
    pub env: Env,
    pub registry: TaskRegistryClient<'static>,
    pub counter: CounterClient<'static>,
    pub admin: Address,
    pub creator: Address,
    pub keeper: Address,
    /// The token fees are paid in, if the registry has one.
    pub token: Option<Address>,
}

/// A host whose tests leave no snapshot files behind.
pub fn environment() -> Env {
    let env = Env::new_with_config(EnvTestConfig { capture_snapshot_at_drop: false });
    env.ledger().set_timestamp(NOW);
    env
}

impl World {
    /// A registry without a token.
    pub fn new() -> Self {
        Self::build(false)
    }

    /// A registry that pays in a token, of which the creator has a million.
    pub fn with_token() -> Self {
        Self::build(true)
    }

    fn build(with_token: bool) -> Self {
        let env = environment();
        env.mock_all_auths();
        let registry = TaskRegistryClient::new(&env, &env.register(TaskRegistry, ()));
        let counter = CounterClient::new(&env, &env.register(Counter, ()));
        let [admin, creator, keeper] = core::array::from_fn(|_| Address::generate(&env));
        let token = with_token.then(|| {
            let token = env.register_stellar_asset_contract_v2(admin.clone()).address();
            StellarAssetClient::new(&env, &token).mint(&creator, &1_000_000);
            token
        });
        registry.init(&admin, &token);
        Self { env, registry, counter, admin, creator, keeper, token }
    }

    /// A task that increments the counter, due at once.
    pub fn task(&self) -> TaskConfig {
        TaskConfig {
            creator: self.creator.clone(),
            target: self.counter.address.clone(),
            function: self.symbol("increment"),
            args: vec![&self.env],
            resolver: None,
            interval: INTERVAL_S,
            last_run: 0,
            gas_balance: GAS,
            whitelist: vec![&self.env],
            is_active: true,
            blocked_by: vec![&self.env],
            yield_strategy: None,
        }
    }

    pub fn register(&self) -> u64 {
        self.registry.register(&self.task())
    }

    pub fn stored(&self, task_id: u64) -> TaskConfig {
        self.registry.get_task(&task_id).expect("the task exists")
    }

    pub fn advance_s(&self, seconds: u64) {
        let now = self.env.ledger().timestamp();
        self.env.ledger().set_timestamp(now + seconds);
    }

    pub fn symbol(&self, name: &str) -> Symbol {
        Symbol::new(&self.env, name)
    }

    pub fn balance(&self, of: &Address) -> i128 {
        TokenClient::new(&self.env, self.token.as_ref().expect("a token")).balance(of)
    }

    /// Asserts that the last call published exactly one event of the registry: `[name, "v1", third]` with `data`.
    pub fn assert_event(&self, name: &str, third: impl IntoVal<Env, Val>, data: impl IntoVal<Env, Val>) {
        let topics = vec![&self.env, self.symbol(name).to_val(), self.symbol("v1").to_val(), third.into_val(&self.env)];
        self.assert_published(topics, data);
    }

    pub fn assert_published(&self, topics: Vec<Val>, data: impl IntoVal<Env, Val>) {
        let published = self.env.events().all().filter_by_contract(&self.registry.address);
        let expected = vec![&self.env, (self.registry.address.clone(), topics, data.into_val(&self.env))];
        assert_eq!(published, expected);
    }

    /// Asserts that the last call published nothing.
    pub fn assert_silent(&self) {
        assert!(self.env.events().all().events().is_empty());
    }
}

/// What a client's `try_` call returns.
pub type Tried<T> = Result<Result<T, <T as TryFromVal<Env, Val>>::Error>, Result<HostError, InvokeError>>;

/// Asserts that a call failed with this error of the registry.
#[track_caller]
pub fn assert_error<T>(tried: Tried<T>, error: Error)
where
    T: TryFromVal<Env, Val>,
{
    match tried {
        Err(Ok(found)) => assert_eq!(found, error.into()),
        Err(Err(trap)) => panic!("failed with {trap:?}, not {error:?}"),
        Ok(_) => panic!("succeeded where {error:?} was expected"),
    }
}
