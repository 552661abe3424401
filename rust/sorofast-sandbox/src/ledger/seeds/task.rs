//! What one seeded task is like, and its entries in the layout of its generation.

use super::write::{entry, Address, DataKey, Writer};
use crate::ledger::state::Key;

/// The layouts of `TaskConfig` that contracts of the family have had.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Generation {
    G0,
    G1,
    G2,
    G3,
    G4,
    G5,
    G6,
}

impl Generation {
    pub const ALL: [Self; 7] = [
        Self::G0,
        Self::G1,
        Self::G2,
        Self::G3,
        Self::G4,
        Self::G5,
        Self::G6,
    ];

    pub fn name(self) -> &'static str {
        match self {
            Self::G0 => "G0",
            Self::G1 => "G1",
            Self::G2 => "G2",
            Self::G3 => "G3",
            Self::G4 => "G4",
            Self::G5 => "G5",
            Self::G6 => "G6",
        }
    }

    /// `TaskMeta`, `TaskPayload` and `TaskStats` beside the whole task.
    pub fn is_split(self) -> bool {
        self >= Self::G5
    }

    /// The embedded registry reads this layout, so its tasks can be run.
    pub fn can_run(self) -> bool {
        self == Self::G3
    }
}

/// A task with every field that any generation knows.
#[derive(Clone, Debug)]
pub(super) struct Task {
    pub(super) generation: Generation,
    pub(super) id: u64,
    pub(super) creator: Address,
    pub(super) target: [u8; 32],
    /// The argument of `bump`; none stands for `increment`, which takes none.
    pub(super) bump: Option<u64>,
    pub(super) interval_s: u32,
    pub(super) last_run_s: u64,
    pub(super) gas_balance: i128,
    pub(super) resolver: Option<[u8; 32]>,
    pub(super) whitelist: Vec<Address>,
    pub(super) is_active: bool,
    pub(super) blocked_by: Option<u64>,
    /// In the split layout a delegate's pause reaches the whole task alone.
    pub(super) paused_by_delegate: bool,
    /// An older contract stored it, before tasks could depend on each other.
    pub(super) without_dependencies: bool,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Field {
    Args,
    BlockedBy,
    Creator,
    ExecutionNonce,
    ExpirationTimestamp,
    Function,
    GasBalance,
    Interval,
    IsActive,
    LastRun,
    MaxRuns,
    Permissions,
    Resolver,
    Target,
    Whitelist,
    YieldStrategy,
}

/// In the order in which a map has its keys.
const FIELDS: [(Field, &str); 16] = [
    (Field::Args, "args"),
    (Field::BlockedBy, "blocked_by"),
    (Field::Creator, "creator"),
    (Field::ExecutionNonce, "execution_nonce"),
    (Field::ExpirationTimestamp, "expiration_timestamp"),
    (Field::Function, "function"),
    (Field::GasBalance, "gas_balance"),
    (Field::Interval, "interval"),
    (Field::IsActive, "is_active"),
    (Field::LastRun, "last_run"),
    (Field::MaxRuns, "max_runs"),
    (Field::Permissions, "permissions"),
    (Field::Resolver, "resolver"),
    (Field::Target, "target"),
    (Field::Whitelist, "whitelist"),
    (Field::YieldStrategy, "yield_strategy"),
];

/// Parts that the split layout keeps in `TaskPayload`.
const PAYLOAD: [Field; 3] = [Field::Args, Field::Function, Field::Target];

impl Task {
    fn has(&self, field: Field) -> bool {
        let generation = self.generation;
        match field {
            Field::Args
            | Field::Creator
            | Field::Function
            | Field::GasBalance
            | Field::Interval
            | Field::LastRun
            | Field::Target => true,
            Field::Resolver | Field::Whitelist => generation >= Generation::G1,
            Field::IsActive => generation >= Generation::G2,
            Field::BlockedBy => generation >= Generation::G2 && !self.without_dependencies,
            Field::YieldStrategy => generation >= Generation::G3,
            Field::ExecutionNonce => generation == Generation::G4,
            Field::Permissions => generation >= Generation::G4,
            Field::MaxRuns | Field::ExpirationTimestamp => generation >= Generation::G6,
        }
    }

    /// Writes every entry of the task.
    pub(super) fn write(&self, contract: &[u8; 32], out: &mut impl FnMut(Key, Vec<u8>)) {
        let mut put = |name, value: &dyn Fn(&mut Writer)| {
            let (key, xdr) = entry(contract, DataKey::Numbered(name, self.id), value);
            out(key, xdr);
        };
        put("Task", &|writer| {
            let is_active = self.is_active && !self.paused_by_delegate;
            self.write_map(writer, is_active, |_| true);
        });
        if !self.generation.is_split() {
            return;
        }
        put("TaskMeta", &|writer| {
            self.write_map(writer, self.is_active, |field| !PAYLOAD.contains(&field));
        });
        put("TaskPayload", &|writer| {
            self.write_map(writer, self.is_active, |field| PAYLOAD.contains(&field));
        });
        put("TaskStats", &|writer| {
            let runs = u64::from(self.last_run_s > 0);
            writer.map(3);
            writer.symbol("failure_count");
            writer.u64(0);
            writer.symbol("last_ledger");
            writer.u32(runs as u32);
            writer.symbol("run_count");
            writer.u64(runs);
        });
    }

    fn write_map(&self, writer: &mut Writer, is_active: bool, wanted: impl Fn(Field) -> bool) {
        let wanted = |field| wanted(field) && self.has(field);
        writer.map(FIELDS.iter().filter(|(field, _)| wanted(*field)).count());
        for (field, name) in FIELDS {
            if !wanted(field) {
                continue;
            }
            writer.symbol(name);
            match field {
                Field::Args => {
                    writer.vec(usize::from(self.bump.is_some()));
                    if let Some(key) = self.bump {
                        writer.u64(key);
                    }
                }
                Field::BlockedBy => {
                    writer.vec(usize::from(self.blocked_by.is_some()));
                    if let Some(id) = self.blocked_by {
                        writer.u64(id);
                    }
                }
                Field::Creator => writer.address(&self.creator),
                Field::ExecutionNonce => writer.u64(u64::from(self.last_run_s > 0)),
                Field::ExpirationTimestamp | Field::MaxRuns => writer.u64(0),
                Field::Function => writer.symbol(if self.bump.is_some() {
                    "bump"
                } else {
                    "increment"
                }),
                Field::GasBalance => writer.i128(self.gas_balance),
                Field::Interval if self.generation >= Generation::G4 => {
                    writer.u32(self.interval_s);
                }
                Field::Interval => writer.u64(u64::from(self.interval_s)),
                Field::IsActive => writer.bool(is_active),
                Field::LastRun => writer.u64(self.last_run_s),
                Field::Permissions => writer.u32(7),
                Field::Resolver => match &self.resolver {
                    Some(resolver) => writer.address(&Address::Contract(*resolver)),
                    None => writer.void(),
                },
                Field::Target => writer.address(&Address::Contract(self.target)),
                Field::Whitelist => {
                    writer.vec(self.whitelist.len());
                    for keeper in &self.whitelist {
                        writer.address(keeper);
                    }
                }
                Field::YieldStrategy => writer.void(),
            }
        }
    }
}
