//! Registries full of tasks that are there from the first ledger on.
//!
//! What is written is what the contracts themselves would have stored. Each generation has a registry of its own; all
//! registries run the embedded contract, which reads the tasks of [`Generation::G3`] and can execute them. The tasks of
//! the other generations are there for whoever reads entries.

mod task;
mod write;

pub use task::Generation;

use crate::contracts;
use crate::crypto::{sha256, sha256_parts};
use crate::host::modules::code_entry;
use crate::ledger::settings::Settings;
use crate::ledger::state::{Key, Lifetime, Stored};
use crate::random::{Purpose, Randomness};
use crate::types::NodeError;
use task::Task;
use write::{entry, Address, DataKey, StoredUnit, Writer};

/// Tasks that can be asked for.
pub const MAX_TASKS: u32 = 2_000_000;
/// Longest interval.
pub const MAX_INTERVAL_S: u32 = 366 * 86_400;

const TARGETS: usize = 8;
const BUMP_KEYS: u64 = 8;
/// Varieties repeat with this period of ids.
const PERIOD: u64 = 25;
const GAS: i128 = 1_000_000_000_000;

/// What tasks there shall be.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct SeedTasks {
    pub tasks: u32,
    /// Shortest and longest interval.
    pub intervals_s: (u32, u32),
    /// They share the tasks evenly; what is left over goes to the last.
    pub generations: Vec<Generation>,
}

impl SeedTasks {
    /// Refuses what cannot be seeded.
    pub fn validate(&self) -> Result<(), NodeError> {
        let refuse = |reason: String| Err(NodeError::Invalid(reason));
        if !(1..=MAX_TASKS).contains(&self.tasks) {
            return refuse(format!("there can be 1 to {MAX_TASKS} seeded tasks"));
        }
        let (low, high) = self.intervals_s;
        if low < 1 || low > high || high > MAX_INTERVAL_S {
            return refuse(format!(
                "intervals go from a second or more up to {MAX_INTERVAL_S} s at most"
            ));
        }
        if self.generations.is_empty() {
            return refuse("name at least one generation of tasks".into());
        }
        Ok(())
    }
}

/// One registry at genesis.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Registry {
    pub generation: Generation,
    pub contract: [u8; 32],
    /// Their ids run from 1.
    pub tasks: u32,
}

/// Contracts of the seeded tasks, and how to write them all.
#[derive(Debug)]
pub struct Seeds {
    pub plan: SeedTasks,
    pub registries: Vec<Registry>,
    pub targets: Vec<[u8; 32]>,
    pub resolver_on: [u8; 32],
    pub resolver_off: [u8; 32],
    /// Who created the tasks, in turns; the first one administers the registries.
    owners: Vec<[u8; 32]>,
}

impl Seeds {
    /// Addresses follow from the network alone, so that whoever uses them need not ask.
    pub fn new(plan: SeedTasks, network_id: &[u8; 32], owners: Vec<[u8; 32]>) -> Self {
        let address = |label: &str| {
            sha256_parts(&[b"sorofast-sandbox seeded ", label.as_bytes(), network_id])
        };
        let mut generations = plan.generations.clone();
        generations.sort_unstable();
        generations.dedup();
        let share = plan.tasks / generations.len() as u32;
        let mut registries: Vec<Registry> = generations
            .into_iter()
            .map(|generation| Registry {
                generation,
                contract: address(generation.name()),
                tasks: share,
            })
            .collect();
        let left = plan.tasks - share * registries.len() as u32;
        if let Some(last) = registries.last_mut() {
            last.tasks += left;
        }
        Self {
            registries,
            targets: (0..TARGETS)
                .map(|index| address(&format!("target {index}")))
                .collect(),
            resolver_on: address("resolver on"),
            resolver_off: address("resolver off"),
            owners,
            plan,
        }
    }

    /// How many entries there will be.
    pub fn entries(&self) -> usize {
        let entries = |registry: &Registry| {
            let each = if registry.generation.is_split() { 4 } else { 1 };
            registry.tasks as usize * each + 2
        };
        self.registries.iter().map(entries).sum::<usize>() + self.targets.len() + 5
    }

    /// Hands over every entry, always in the same order.
    pub fn write(
        &self,
        settings: &Settings,
        random: &Randomness,
        close_time_s: u64,
        mut out: impl FnMut(Key, Stored),
    ) -> Result<(), NodeError> {
        let live_until = settings.archival.max_entry_ttl;
        let mut put = |(key, xdr): (Key, Vec<u8>)| {
            let lifetime = Some(Lifetime {
                live_until,
                rent_size_bytes: xdr.len() as u32,
                modified: 1,
            });
            let xdr = xdr.into();
            out(key, Stored { xdr, lifetime });
        };
        let [registry, target, resolver] = ["task_registry", "counter", "switch_resolver"]
            .map(|name| contracts::wasm(name).unwrap_or_default());
        for registry_at in &self.registries {
            let storage = [("AdminAddress", StoredUnit::Address(self.owner(0)))];
            let code = sha256(registry);
            let contract = &registry_at.contract;
            put(instance(contract, &code, &storage));
            put(entry(contract, DataKey::Unit("Counter"), |writer| {
                writer.u64(u64::from(registry_at.tasks));
            }));
            for id in 1..=u64::from(registry_at.tasks) {
                let task = self.task(registry_at, id, random, close_time_s);
                task.write(contract, &mut |key, xdr| put((key, xdr)));
            }
        }
        for address in &self.targets {
            put(instance(address, &sha256(target), &[]));
        }
        for (address, on) in [(&self.resolver_on, true), (&self.resolver_off, false)] {
            let storage = [("On", StoredUnit::Bool(on))];
            put(instance(address, &sha256(resolver), &storage));
        }
        for wasm in [registry, target, resolver] {
            let (key, code) = code_entry(wasm, live_until, settings).ok_or_else(|| {
                NodeError::Internal("an embedded contract cannot be measured".into())
            })?;
            out(key, code);
        }
        Ok(())
    }

    fn owner(&self, index: u64) -> Address {
        let count = self.owners.len().max(1) as u64;
        let owner = self.owners.get((index % count) as usize);
        Address::Account(owner.copied().unwrap_or_default())
    }

    /// Most tasks are plain; the others come in turns, so that already a few tasks hold some of every kind.
    fn task(&self, registry: &Registry, id: u64, random: &Randomness, close_time_s: u64) -> Task {
        let name = registry.generation.name().as_bytes();
        let chance = random.of(Purpose::Seeding, &[name, &id.to_be_bytes()]);
        let draw = |at: usize| {
            let mut word = [0; 8];
            word.copy_from_slice(&chance[at..at + 8]);
            u64::from_be_bytes(word)
        };
        let kind = id % PERIOD;
        let interval_s = self.interval(draw(0), id);
        // Due for the first time within an interval from the first ledger on. A task that never ran is due at once.
        let phase = draw(8) % u64::from(interval_s);
        let never_ran = kind == 4;
        let last_run_s = if never_ran {
            0
        } else {
            (close_time_s + phase)
                .saturating_sub(u64::from(interval_s))
                .max(1)
        };
        let whitelist = match kind {
            16 => vec![self.owner(0), self.owner(1)],
            // Nobody has the key of that address.
            20 => vec![Address::Account(sha256(b"sorofast-sandbox stranger"))],
            _ => Vec::new(),
        };
        Task {
            generation: registry.generation,
            id,
            creator: self.owner(id),
            target: self.targets[(draw(16) % TARGETS as u64) as usize],
            bump: id.is_multiple_of(3).then(|| draw(24) % BUMP_KEYS),
            interval_s,
            last_run_s,
            gas_balance: if kind == 12 { 0 } else { GAS },
            resolver: match kind {
                6 | 18 => Some(self.resolver_on),
                24 => Some(self.resolver_off),
                _ => None,
            },
            whitelist,
            // The one that never ran is paused, so that the one that waits for it stays blocked.
            is_active: !never_ran,
            blocked_by: match kind {
                8 => Some(id - 4),
                10 => Some(id - 1),
                _ => None,
            },
            paused_by_delegate: kind == 14 && registry.generation.is_split(),
            without_dependencies: registry.generation == Generation::G2
                && id <= u64::from(registry.tasks / 2),
        }
    }

    /// Whole seconds, every second one a multiple of five where the range has one.
    fn interval(&self, draw: u64, id: u64) -> u32 {
        let (low, high) = self.plan.intervals_s;
        let interval = low + (draw % u64::from(high - low + 1)) as u32;
        let five = interval.div_ceil(5) * 5;
        if id.is_multiple_of(2) && five <= high {
            five
        } else {
            interval
        }
    }
}

fn instance(
    contract: &[u8; 32],
    code: &[u8; 32],
    storage: &[(&str, StoredUnit)],
) -> (Key, Vec<u8>) {
    entry(contract, DataKey::Instance, |writer: &mut Writer| {
        writer.instance(code, storage);
    })
}
