//! The choice of a transaction set: best bids first, within the limits of a ledger, and where they do not fit, at the lowest bid that did.

use crate::ledger::settings::{Settings, BASE_FEE_STROOPS};
use crate::random::Ties;
use crate::tx::bid::Bid;
use crate::tx::envelope::Parsed;
use crate::tx::stages::{self, Stages};
use std::cmp::Reverse;
use std::ops::{Add, Mul, Sub};
use std::sync::Arc;

/// What a transaction takes of a ledger.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Resources {
    pub operations: i64,
    pub instructions: i64,
    pub bytes: i64,
    pub disk_read_bytes: i64,
    pub write_bytes: i64,
    pub disk_read_entries: i64,
    pub write_entries: i64,
}

impl Resources {
    pub fn of(tx: &Parsed) -> Self {
        let mut resources = Self {
            operations: tx.operation_count(),
            ..Self::default()
        };
        if let (true, Some(part)) = (tx.is_soroban(), &tx.soroban) {
            let declared = &part.data.resources;
            resources.instructions = i64::from(declared.instructions);
            resources.bytes = i64::from(tx.size_bytes);
            resources.disk_read_bytes = i64::from(declared.disk_read_bytes);
            resources.write_bytes = i64::from(declared.write_bytes);
            resources.disk_read_entries = i64::from(part.disk_read_entries);
            resources.write_entries =
                i64::try_from(part.keys.len() - part.read_only).unwrap_or(i64::MAX);
        }
        resources
    }

    /// A ledger's Soroban limits, all clusters together.
    pub fn ledger_limit(settings: &Settings) -> Self {
        let cost = &settings.ledger_cost;
        Self {
            operations: i64::from(settings.ledger_max_tx_count),
            instructions: settings.compute.ledger_max_instructions * i64::from(settings.clusters),
            bytes: i64::from(settings.bandwidth.ledger_max_txs_size_bytes),
            disk_read_bytes: i64::from(cost.ledger_max_disk_read_bytes),
            write_bytes: i64::from(cost.ledger_max_write_bytes),
            disk_read_entries: i64::from(cost.ledger_max_disk_read_entries),
            write_entries: i64::from(cost.ledger_max_write_ledger_entries),
        }
    }

    /// A ledger's limit of classic transactions, which only count operations.
    pub fn classic_limit(settings: &Settings) -> Self {
        Self {
            operations: i64::from(settings.ledger_max_classic_operations),
            ..Self::default()
        }
    }

    pub fn fits(&self, limit: &Self) -> bool {
        self.fields()
            .iter()
            .zip(limit.fields())
            .all(|(used, limit)| *used <= limit)
    }

    /// What is left of these after taking others away, at least nothing of each.
    #[must_use]
    pub fn less(self, other: Self) -> Self {
        self.combine(other, |left, taken| left.saturating_sub(taken).max(0))
    }

    /// No more of each than that.
    #[must_use]
    pub fn at_most(self, limit: Self) -> Self {
        self.combine(limit, i64::min)
    }

    /// So many parts of so many, each rounded up.
    #[must_use]
    pub fn share(self, parts: u64, of: u64) -> Self {
        let (parts, of) = (i128::from(parts), i128::from(of.max(1)));
        self.map(|whole| {
            let share = (i128::from(whole) * parts + of - 1) / of;
            i64::try_from(share).unwrap_or(i64::MAX)
        })
    }

    /// The most that one Soroban transaction may take.
    pub fn transaction_limit(settings: &Settings) -> Self {
        let cost = &settings.ledger_cost;
        Self {
            operations: 1,
            instructions: settings.compute.tx_max_instructions,
            bytes: i64::from(settings.bandwidth.tx_max_size_bytes),
            disk_read_bytes: i64::from(cost.tx_max_disk_read_bytes),
            write_bytes: i64::from(cost.tx_max_write_bytes),
            disk_read_entries: i64::from(cost.tx_max_disk_read_entries),
            write_entries: i64::from(cost.tx_max_write_ledger_entries),
        }
    }

    fn map(self, change: impl Fn(i64) -> i64) -> Self {
        Self {
            operations: change(self.operations),
            instructions: change(self.instructions),
            bytes: change(self.bytes),
            disk_read_bytes: change(self.disk_read_bytes),
            write_bytes: change(self.write_bytes),
            disk_read_entries: change(self.disk_read_entries),
            write_entries: change(self.write_entries),
        }
    }

    fn fields(&self) -> [i64; 7] {
        [
            self.operations,
            self.instructions,
            self.bytes,
            self.disk_read_bytes,
            self.write_bytes,
            self.disk_read_entries,
            self.write_entries,
        ]
    }

    fn combine(self, other: Self, with: fn(i64, i64) -> i64) -> Self {
        Self {
            operations: with(self.operations, other.operations),
            instructions: with(self.instructions, other.instructions),
            bytes: with(self.bytes, other.bytes),
            disk_read_bytes: with(self.disk_read_bytes, other.disk_read_bytes),
            write_bytes: with(self.write_bytes, other.write_bytes),
            disk_read_entries: with(self.disk_read_entries, other.disk_read_entries),
            write_entries: with(self.write_entries, other.write_entries),
        }
    }
}

impl Add for Resources {
    type Output = Self;
    fn add(self, other: Self) -> Self {
        self.combine(other, i64::saturating_add)
    }
}

impl Sub for Resources {
    type Output = Self;
    fn sub(self, other: Self) -> Self {
        self.combine(other, i64::saturating_sub)
    }
}

impl Mul<i64> for Resources {
    type Output = Self;
    fn mul(self, times: i64) -> Self {
        self.map(|once| once.saturating_mul(times))
    }
}

/// A chosen set, each part ordered by the hashes of its envelopes as a set is written.
#[derive(Debug, Default)]
pub struct TransactionSet {
    pub classic: Vec<Arc<Parsed>>,
    /// What one included operation pays for inclusion.
    pub classic_base_fee: i64,
    /// Stages by the first transactions of their first clusters, clusters by their first transactions.
    pub stages: Stages,
    pub soroban_base_fee: i64,
}

/// Chooses among valid transactions of different sources, classic ones and Soroban's; chance decides between equal bids.
pub fn select(
    candidates: [Vec<Arc<Parsed>>; 2],
    settings: &Settings,
    ties: &Ties,
) -> TransactionSet {
    let [classic, soroban] = candidates.map(|txs| ranked(txs, ties));
    let limit = Resources::classic_limit(settings);
    let mut used = Resources::default();
    let offered = classic.len();
    let mut included = Vec::with_capacity(offered);
    for tx in classic {
        let with = used + Resources::of(&tx);
        if with.fits(&limit) {
            used = with;
            included.push(tx);
        }
    }
    let phase = stages::build(&soroban, settings);
    let mut stages = phase.stages;
    for stage in &mut stages {
        for cluster in stage.iter_mut() {
            sort_by_hash(cluster);
        }
        stage.sort_unstable_by_key(|cluster| cluster[0].full_hash);
    }
    stages.sort_unstable_by_key(|stage| stage[0][0].full_hash);
    let classic_base_fee = base_fee(included.iter(), included.len() < offered);
    sort_by_hash(&mut included);
    TransactionSet {
        classic: included,
        classic_base_fee,
        soroban_base_fee: base_fee(stages.iter().flatten().flatten(), phase.left_out),
        stages,
    }
}

/// Best bids first.
fn ranked(txs: Vec<Arc<Parsed>>, ties: &Ties) -> Vec<Arc<Parsed>> {
    let mut ranked: Vec<_> = txs
        .into_iter()
        .map(|tx| (Reverse(Bid::of(&tx)), ties.rank(&tx.full_hash), tx))
        .collect();
    ranked.sort_unstable_by(|(bid, tie, _), (other_bid, other_tie, _)| {
        (bid, tie).cmp(&(other_bid, other_tie))
    });
    ranked.into_iter().map(|(_, _, tx)| tx).collect()
}

fn sort_by_hash(txs: &mut [Arc<Parsed>]) {
    txs.sort_unstable_by_key(|tx| tx.full_hash);
}

/// When some bids were left out, everyone pays the lowest one that was not.
fn base_fee<'a>(included: impl Iterator<Item = &'a Arc<Parsed>>, left_out: bool) -> i64 {
    if !left_out {
        return BASE_FEE_STROOPS;
    }
    let rates = included.map(|tx| tx.inclusion_rate());
    rates.min().unwrap_or(BASE_FEE_STROOPS)
}
