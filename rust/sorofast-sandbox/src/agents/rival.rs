//! A rival keeper, which looks through a registry and executes what is due.

use super::wallet::{Account, Simulated, Wallet, PATIENCE_LEDGERS};
use crate::faults::RivalPlan;
use crate::ledger::account::account_id;
use crate::node::{Agent, Node};
use crate::random::{unit, Purpose, Randomness};
use std::collections::BTreeMap;
use stellar_xdr::{
    ContractDataDurability, ContractId, Hash, HostFunction, InvokeContractArgs, LedgerEntry,
    LedgerEntryData, LedgerKey, LedgerKeyContractData, Limits, ReadXdr, ScAddress, ScMap, ScSymbol,
    ScVal, ScVec, WriteXdr,
};

/// Ids that it looks at per ledger; a larger registry is looked through in several.
const SCAN_TASKS: u64 = 5_000;
/// Due tasks that it remembers.
const MAX_DUE: usize = 100_000;

#[derive(Debug)]
pub struct Rival {
    plan: RivalPlan,
    random: Randomness,
    wallet: Wallet,
    /// The id that the next look begins with.
    next_id: u64,
    due: BTreeMap<u64, Due>,
    not_worth_it: u64,
}

/// As much of a task as matters to a keeper.
#[derive(Clone, Copy, Debug)]
struct Task {
    last_run_s: u64,
    interval_s: u64,
    is_open: bool,
}

/// A task that it goes for.
#[derive(Clone, Copy, Debug)]
struct Due {
    /// The run before.
    last_run_s: u64,
    since_ledger: u32,
    /// When it last had a try.
    tried_ledger: Option<u32>,
}

impl Rival {
    pub fn new(plan: RivalPlan, seed: u64) -> Self {
        Self {
            wallet: Wallet::new("rival", plan.accounts),
            random: Randomness::new(seed),
            next_id: 1,
            due: BTreeMap::new(),
            not_worth_it: 0,
            plan,
        }
    }

    /// Looks at some of the registry's tasks and keeps the list of due ones up to date.
    fn look(&mut self, node: &Node, registry: &ContractId, ledger: u32, now_s: u64) -> Option<()> {
        let counter = read(node, &[data_key(registry, &["Counter"], None)?]).pop()??;
        let ScVal::U64(last_id) = counter else {
            return None;
        };
        if self.next_id > last_id {
            self.next_id = 1;
        }
        let end = self.next_id.saturating_add(SCAN_TASKS - 1).min(last_id);
        // What is due already is looked at again, wherever the look is just now.
        let known = self.due.keys().copied().take(SCAN_TASKS as usize);
        let mut ids: Vec<u64> = known.chain(self.next_id..=end).collect();
        ids.sort_unstable();
        ids.dedup();
        for chunk in ids.chunks(500) {
            for (id, task) in read_tasks(node, registry, chunk)? {
                self.note(id, task, ledger, now_s);
            }
        }
        self.next_id = end + 1;
        Some(())
    }

    fn note(&mut self, id: u64, task: Option<Task>, ledger: u32, now_s: u64) {
        let due = task.filter(|task| {
            task.is_open && now_s >= task.last_run_s.saturating_add(task.interval_s)
        });
        let Some(task) = due else {
            self.due.remove(&id);
            return;
        };
        let is_new = self
            .due
            .get(&id)
            .is_none_or(|due| due.last_run_s != task.last_run_s || due.since_ledger > ledger);
        if is_new && self.goes_for(id, task.last_run_s) && self.due.len() < MAX_DUE {
            let due = Due {
                last_run_s: task.last_run_s,
                since_ledger: ledger,
                tried_ledger: None,
            };
            self.due.insert(id, due);
        } else if is_new {
            self.due.remove(&id);
        }
    }

    fn goes_for(&self, id: u64, last_run_s: u64) -> bool {
        let thing = [&id.to_be_bytes()[..], &last_run_s.to_be_bytes()];
        let drawn = self.random.of(Purpose::Rival, &thing);
        let mut word = [0; 8];
        word.copy_from_slice(&drawn[..8]);
        unit(u64::from_be_bytes(word)) < self.plan.share
    }

    fn execute(&mut self, node: &Node, registry: &ContractId, account: Account, id: u64) -> bool {
        let Some(function) = execute_call(registry, &account, id) else {
            return false;
        };
        let Ok(simulated) = Simulated::of(node, account, function, 0) else {
            self.not_worth_it += 1;
            return false;
        };
        // A run that would not write the task would be paid for and do nothing.
        let writes = &simulated.data.resources.footprint.read_write;
        if !writes.iter().any(|key| names_task(key, registry, id)) {
            self.not_worth_it += 1;
            return false;
        }
        simulated
            .transaction(account, self.plan.bid_stroops)
            .is_some_and(|tx| self.wallet.send(node, account, &tx))
    }
}

impl Agent for Rival {
    fn ledger_closed(&mut self, node: &Node) {
        let latest = node.latest();
        let accounts = self.wallet.ledger_closed(node);
        let ledger = latest.sequence;
        if self.plan.until_ledger.is_some_and(|until| ledger >= until)
            || self.plan.from_ledger.is_some_and(|from| ledger + 1 < from)
        {
            return;
        }
        let Some(registry) = self.plan.contract().map(|id| ContractId(Hash(id))) else {
            return;
        };
        if self
            .look(node, &registry, ledger, latest.close_time_s)
            .is_none()
        {
            return;
        }
        let ripe: Vec<u64> = self
            .due
            .iter()
            .filter(|(_, due)| {
                let waited = ledger.saturating_sub(due.since_ledger);
                let has_waited = waited >= self.plan.delay_ledgers;
                let may_retry = |tried| ledger > tried + PATIENCE_LEDGERS;
                has_waited && due.tried_ledger.is_none_or(may_retry)
            })
            .map(|(id, _)| *id)
            .collect();
        let mut free = accounts.into_iter();
        let mut account = free.next();
        // As many tries as accounts: a registry full of tasks that fail must not hold up the ledger.
        for id in ripe.into_iter().take(self.plan.tries() as usize) {
            let Some(sender) = account else { break };
            if self.execute(node, &registry, sender, id) {
                account = free.next();
            }
            if let Some(due) = self.due.get_mut(&id) {
                due.tried_ledger = Some(ledger);
            }
        }
    }

    fn begin_anew(&mut self) {
        *self = Self::new(self.plan.clone(), self.random.seed());
    }

    fn told(&self) -> serde_json::Value {
        let mut told = serde_json::json!(self.wallet.counts);
        told["due"] = self.due.len().into();
        told["not_worth_it"] = self.not_worth_it.into();
        told
    }
}

fn execute_call(registry: &ContractId, account: &Account, id: u64) -> Option<HostFunction> {
    let keeper = ScVal::Address(ScAddress::Account(account_id(&account.id)));
    Some(HostFunction::InvokeContract(InvokeContractArgs {
        contract_address: ScAddress::Contract(registry.clone()),
        function_name: symbol("execute")?,
        args: vec![keeper, ScVal::U64(id)].try_into().ok()?,
    }))
}

fn symbol(name: &str) -> Option<ScSymbol> {
    Some(ScSymbol(name.as_bytes().to_vec().try_into().ok()?))
}

fn data_key(registry: &ContractId, names: &[&str], id: Option<u64>) -> Option<LedgerKey> {
    let mut parts = Vec::with_capacity(names.len() + 1);
    for name in names {
        parts.push(ScVal::Symbol(symbol(name)?));
    }
    parts.extend(id.map(ScVal::U64));
    Some(LedgerKey::ContractData(LedgerKeyContractData {
        contract: ScAddress::Contract(registry.clone()),
        key: ScVal::Vec(Some(ScVec(parts.try_into().ok()?))),
        durability: ContractDataDurability::Persistent,
    }))
}

fn names_task(key: &LedgerKey, registry: &ContractId, id: u64) -> bool {
    ["Task", "TaskMeta"]
        .iter()
        .any(|name| data_key(registry, &[name], Some(id)).is_some_and(|own| own == *key))
}

/// Values of contract data in the order of the keys; None for those that are not there.
fn read(node: &Node, keys: &[LedgerKey]) -> Vec<Option<ScVal>> {
    let keys: Vec<Vec<u8>> = keys
        .iter()
        .map(|key| key.to_xdr(Limits::none()).unwrap_or_default())
        .collect();
    let mut found = node.entries(&keys).entries.into_iter().peekable();
    keys.iter()
        .map(|key| {
            // Entries come in the order of the keys that have one.
            let entry = found.next_if(|entry| entry.key_xdr == *key)?;
            match LedgerEntry::from_xdr(&entry.entry_xdr, Limits::none())
                .ok()?
                .data
            {
                LedgerEntryData::ContractData(data) => Some(data.val),
                _ => None,
            }
        })
        .collect()
}

/// Tasks by id. The parts of a split task come before the whole one.
fn read_tasks(node: &Node, registry: &ContractId, ids: &[u64]) -> Option<Vec<(u64, Option<Task>)>> {
    let mut keys = Vec::with_capacity(ids.len() * 2);
    for id in ids {
        keys.push(data_key(registry, &["TaskMeta"], Some(*id))?);
        keys.push(data_key(registry, &["Task"], Some(*id))?);
    }
    let values = read(node, &keys);
    Some(
        ids.iter()
            .zip(values.chunks(2))
            .map(|(id, values)| {
                let task = values.iter().flatten().find_map(task);
                (*id, task)
            })
            .collect(),
    )
}

/// By name, as fields differ from one generation of the contract to the next.
fn task(value: &ScVal) -> Option<Task> {
    let ScVal::Map(Some(fields)) = value else {
        return None;
    };
    let seconds = |name| match field(fields, name)? {
        ScVal::U64(seconds) => Some(*seconds),
        ScVal::U32(seconds) => Some(u64::from(*seconds)),
        _ => None,
    };
    let is_active = !matches!(field(fields, "is_active"), Some(ScVal::Bool(false)));
    let for_all = match field(fields, "whitelist") {
        Some(ScVal::Vec(Some(keepers))) => keepers.is_empty(),
        _ => true,
    };
    Some(Task {
        last_run_s: seconds("last_run")?,
        interval_s: seconds("interval")?,
        is_open: is_active && for_all,
    })
}

fn field<'a>(fields: &'a ScMap, name: &str) -> Option<&'a ScVal> {
    fields.iter().find_map(|pair| match &pair.key {
        ScVal::Symbol(symbol) if symbol.0.as_slice() == name.as_bytes() => Some(&pair.val),
        _ => None,
    })
}
