//! The choice of a transaction set: best bids first, within the limits of a ledger, in parallel clusters.

use crate::ledger::settings::{Settings, BASE_FEE_STROOPS};
use crate::ledger::state::Key;
use crate::random::Ties;
use crate::tx::envelope::Parsed;
use std::collections::HashMap;
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
        self.combine(
            Self {
                operations: times,
                instructions: times,
                bytes: times,
                disk_read_bytes: times,
                write_bytes: times,
                disk_read_entries: times,
                write_entries: times,
            },
            i64::saturating_mul,
        )
    }
}

/// A chosen set, each part ordered by the hashes of its envelopes as a set is written.
#[derive(Debug, Default)]
pub struct TransactionSet {
    pub classic: Vec<Arc<Parsed>>,
    /// What one included operation pays for inclusion.
    pub classic_base_fee: i64,
    /// Independent clusters of one stage, by their first transactions; those that share a written key are in the same one.
    pub clusters: Vec<Vec<Arc<Parsed>>>,
    pub soroban_base_fee: i64,
}

/// Chooses among valid transactions of different sources; chance decides between equal bids.
pub fn select(candidates: Vec<Arc<Parsed>>, settings: &Settings, ties: &Ties) -> TransactionSet {
    let mut ranked: Vec<(i64, [u8; 32], Arc<Parsed>)> = candidates
        .into_iter()
        .map(|tx| (tx.inclusion_rate(), ties.rank(&tx.full_hash), tx))
        .collect();
    ranked.sort_unstable_by_key(|(rate, tie, _)| (std::cmp::Reverse(*rate), *tie));

    let mut classic = Vec::new();
    let mut operations = 0;
    let mut classic_left_out = false;
    let limit = Resources::ledger_limit(settings);
    let mut used = Resources::default();
    let mut soroban_left_out = false;
    let mut packing = Packing::new(
        settings.clusters as usize,
        settings.compute.ledger_max_instructions,
    );
    let mut soroban = Vec::new();
    for (_, _, tx) in ranked {
        if tx.is_soroban() {
            let with = used + Resources::of(&tx);
            if with.fits(&limit) && packing.add(&tx) {
                used = with;
                soroban.push(tx);
            } else {
                soroban_left_out = true;
            }
        } else if operations + tx.operation_count()
            <= i64::from(settings.ledger_max_classic_operations)
        {
            operations += tx.operation_count();
            classic.push(tx);
        } else {
            classic_left_out = true;
        }
    }
    let mut clusters: Vec<Vec<Arc<Parsed>>> = packing
        .clusters(&soroban)
        .into_iter()
        .map(by_hash)
        .collect();
    clusters.sort_unstable_by_key(|cluster| cluster.first().map(|tx| tx.full_hash));
    TransactionSet {
        classic_base_fee: base_fee(&classic, classic_left_out),
        soroban_base_fee: base_fee(&soroban, soroban_left_out),
        classic: by_hash(classic),
        clusters,
    }
}

fn by_hash(mut txs: Vec<Arc<Parsed>>) -> Vec<Arc<Parsed>> {
    txs.sort_unstable_by_key(|tx| tx.full_hash);
    txs
}

/// When some bids were left out, everyone pays the lowest one that was not.
fn base_fee(included: &[Arc<Parsed>], left_out: bool) -> i64 {
    if !left_out {
        return BASE_FEE_STROOPS;
    }
    included
        .iter()
        .map(|tx| tx.inclusion_rate())
        .min()
        .unwrap_or(BASE_FEE_STROOPS)
        .max(BASE_FEE_STROOPS)
}

/// Groups of conflicting transactions, spread over a few bins of instructions.
#[derive(Debug)]
struct Packing {
    bin_limit: i64,
    /// Instructions in each bin.
    bins: Vec<i64>,
    groups: Vec<Group>,
    /// By key: the group that writes it.
    writers: HashMap<Key, usize>,
    /// By key that nobody wrote yet: every group that reads it.
    readers: HashMap<Key, Vec<usize>>,
    /// By transaction, in the order of admission: its group.
    members: Vec<usize>,
}

#[derive(Clone, Copy, Debug)]
struct Group {
    /// Itself, or the group that it was merged into.
    parent: usize,
    bin: usize,
    instructions: i64,
}

impl Packing {
    fn new(bins: usize, bin_limit: i64) -> Self {
        Self {
            bin_limit,
            bins: vec![0; bins.max(1)],
            groups: Vec::new(),
            writers: HashMap::new(),
            readers: HashMap::new(),
            members: Vec::new(),
        }
    }

    fn root(&self, mut group: usize) -> usize {
        while self.groups[group].parent != group {
            group = self.groups[group].parent;
        }
        group
    }

    /// Takes the transaction in if its cluster stays within the limit of one bin.
    fn add(&mut self, tx: &Parsed) -> bool {
        let Some(part) = &tx.soroban else {
            return false;
        };
        let instructions = i64::from(part.data.resources.instructions);
        let (read_only, read_write) = part.keys.split_at(part.read_only);
        let mut touched: Vec<usize> = Vec::new();
        for key in read_write {
            if let Some(group) = self.writers.get(key) {
                touched.push(self.root(*group));
            }
            if let Some(groups) = self.readers.get(key) {
                touched.extend(groups.iter().map(|group| self.root(*group)));
            }
        }
        for key in read_only {
            if let Some(group) = self.writers.get(key) {
                touched.push(self.root(*group));
            }
        }
        touched.sort_unstable();
        touched.dedup();
        let merged: i64 = touched
            .iter()
            .map(|group| self.groups[*group].instructions)
            .sum::<i64>()
            + instructions;
        if merged > self.bin_limit {
            return false;
        }
        // The merged group goes where there is room once its parts have left their bins.
        let mut bins = self.bins.clone();
        for group in &touched {
            bins[self.groups[*group].bin] -= self.groups[*group].instructions;
        }
        let roomiest = (0..bins.len()).min_by_key(|bin| bins[*bin]).unwrap_or(0);
        if bins[roomiest] + merged > self.bin_limit {
            match self.repack(&touched, merged) {
                Some((repacked, merged_bin)) => {
                    bins = repacked;
                    self.merge(&touched, merged, merged_bin, read_only, read_write);
                }
                None => return false,
            }
        } else {
            bins[roomiest] += merged;
            self.merge(&touched, merged, roomiest, read_only, read_write);
        }
        self.bins = bins;
        true
    }

    /// First fit, largest first, over all groups with the merged one; None when they do not fit.
    fn repack(&mut self, touched: &[usize], merged: i64) -> Option<(Vec<i64>, usize)> {
        let mut order: Vec<(i64, Option<usize>)> = (0..self.groups.len())
            .filter(|group| self.groups[*group].parent == *group && !touched.contains(group))
            .map(|group| (self.groups[group].instructions, Some(group)))
            .collect();
        order.push((merged, None));
        order.sort_by_key(|(instructions, _)| std::cmp::Reverse(*instructions));
        let mut bins = vec![0; self.bins.len()];
        let mut placed = Vec::with_capacity(order.len());
        for (instructions, group) in order {
            let bin = (0..bins.len()).find(|bin| bins[*bin] + instructions <= self.bin_limit)?;
            bins[bin] += instructions;
            placed.push((group, bin));
        }
        let mut merged_bin = 0;
        for (group, bin) in placed {
            match group {
                Some(group) => self.groups[group].bin = bin,
                None => merged_bin = bin,
            }
        }
        Some((bins, merged_bin))
    }

    fn merge(
        &mut self,
        touched: &[usize],
        instructions: i64,
        bin: usize,
        read_only: &[Key],
        read_write: &[Key],
    ) {
        let group = self.groups.len();
        self.groups.push(Group {
            parent: group,
            bin,
            instructions,
        });
        for other in touched {
            self.groups[*other].parent = group;
        }
        self.members.push(group);
        for key in read_write {
            self.readers.remove(key);
            self.writers.insert(key.clone(), group);
        }
        for key in read_only {
            if !self.writers.contains_key(key) {
                self.readers.entry(key.clone()).or_default().push(group);
            }
        }
    }

    fn clusters(&self, txs: &[Arc<Parsed>]) -> Vec<Vec<Arc<Parsed>>> {
        let mut clusters = vec![Vec::new(); self.bins.len()];
        for (tx, group) in txs.iter().zip(&self.members) {
            clusters[self.groups[self.root(*group)].bin].push(Arc::clone(tx));
        }
        clusters.retain(|cluster| !cluster.is_empty());
        clusters
    }
}
