//! The state as a whole: who is in it, whether its lumens add up, and starting over.

use std::sync::Arc;

use crate::node::{AccountView, LedgerSummary, Node};
use axum::extract::{Request, State};
use serde::{Deserialize, Serialize};
use tokio::sync::Semaphore;

use super::{blocking, read_json, AdminError, AdminResult};
use crate::address;
use crate::app::App;

#[derive(Debug, Serialize)]
pub(super) struct Accounts {
    accounts: Vec<Account>,
    root: Option<Account>,
}

/// One at a time: each makes another whole state.
static RESETS: Semaphore = Semaphore::const_new(1);

/// An account whose secret key is no secret.
#[derive(Debug, Serialize)]
struct Account {
    #[serde(skip_serializing_if = "Option::is_none")]
    index: Option<usize>,
    public_key: String,
    secret_key: String,
    /// Null when the account is gone.
    balance_stroops: Option<i64>,
}

impl Account {
    fn of(index: Option<usize>, account: &AccountView) -> Self {
        Self {
            index,
            public_key: address::account(account.id),
            secret_key: address::secret(account.seed),
            balance_stroops: account.balance_stroops,
        }
    }
}

/// The accounts that were made at the start, and the one that had all lumens before.
pub(super) async fn accounts(State(app): State<Arc<App>>) -> AdminResult<Accounts> {
    blocking(move || {
        Ok(Accounts {
            accounts: app
                .node
                .accounts()
                .iter()
                .enumerate()
                .map(|(index, account)| Account::of(Some(index), account))
                .collect(),
            root: app.node.root_account().map(|root| Account::of(None, &root)),
        })
    })
    .await
}

#[derive(Debug, Serialize)]
pub(super) struct Audit {
    coins_counted: i64,
    coins_recorded: i64,
    fee_pool: i64,
}

/// Counts every lumen there is.
pub(super) async fn audit(State(app): State<Arc<App>>) -> AdminResult<Audit> {
    blocking(move || {
        let audit = app.node.audit();
        Ok(Audit {
            coins_counted: audit.counted,
            coins_recorded: audit.recorded,
            fee_pool: audit.fee_pool,
        })
    })
    .await
}

/// A registry that was there from the start.
#[derive(Debug, Serialize)]
pub(crate) struct Registry {
    generation: &'static str,
    contract: String,
    /// Ids run from 1 to this.
    tasks: u32,
    /// `task`, or `split` where `TaskMeta`, `TaskPayload` and `TaskStats` stand beside it.
    layout: &'static str,
    /// Whether the contract reads this generation, so that `execute` runs its tasks.
    executable: bool,
}

#[derive(Debug, Serialize)]
pub(super) struct Seeded {
    registries: Vec<Registry>,
    targets: Vec<String>,
    resolvers: Vec<Resolver>,
}

#[derive(Debug, Serialize)]
struct Resolver {
    contract: String,
    on: bool,
}

pub(crate) fn registries(node: &Node) -> Vec<Registry> {
    let origin = node.origin();
    let Some(seeds) = origin.seeds() else {
        return Vec::new();
    };
    seeds
        .registries
        .iter()
        .map(|registry| Registry {
            generation: registry.generation.name(),
            contract: address::contract(registry.contract),
            tasks: registry.tasks,
            layout: if registry.generation.is_split() {
                "split"
            } else {
                "task"
            },
            executable: registry.generation.can_run(),
        })
        .collect()
}

/// Where the seeded tasks are, and what they call.
pub(super) async fn show_registries(State(app): State<Arc<App>>) -> AdminResult<Seeded> {
    blocking(move || {
        let (targets, resolvers) = match app.node.origin().seeds() {
            None => (Vec::new(), Vec::new()),
            Some(seeds) => (
                seeds
                    .targets
                    .iter()
                    .copied()
                    .map(address::contract)
                    .collect(),
                [(seeds.resolver_on, true), (seeds.resolver_off, false)]
                    .map(|(contract, on)| Resolver {
                        contract: address::contract(contract),
                        on,
                    })
                    .into(),
            ),
        };
        Ok(Seeded {
            registries: registries(&app.node),
            targets,
            resolvers,
        })
    })
    .await
}

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
struct Nothing {}

/// The chain that took the place of another.
#[derive(Debug, Serialize)]
pub(super) struct Replaced {
    latest_ledger: u32,
    close_time: u64,
}

impl From<LedgerSummary> for Replaced {
    fn from(latest: LedgerSummary) -> Self {
        Self {
            latest_ledger: latest.sequence,
            close_time: latest.close_time_s,
        }
    }
}

/// Back to how it was at the start.
pub(super) async fn reset(State(app): State<Arc<App>>, request: Request) -> AdminResult<Replaced> {
    let Nothing {} = read_json(request).await?;
    let _place = RESETS
        .acquire()
        .await
        .map_err(|error| AdminError::internal(error.to_string()))?;
    blocking(move || {
        let latest = app.node.reset()?;
        app.faults.again(app.now());
        Ok(latest.into())
    })
    .await
}
