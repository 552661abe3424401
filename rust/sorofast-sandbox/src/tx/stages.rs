//! The Soroban phase of a set: stages that follow each other, each of clusters that run side by side.
//!
//! Transactions that share a key which one of them writes are in one cluster, or in different stages. A cluster has its
//! share of the ledger's instructions: all of them in a single stage, a quarter of them in each of four.

use crate::ledger::settings::Settings;
use crate::ledger::state::Key;
use crate::tx::envelope::Parsed;
use crate::tx::select::Resources;
use std::collections::HashMap;
use std::sync::Arc;

/// Stages that a ledger has at most.
pub const MAX_STAGES: u32 = 4;
/// Fewer stages are better as long as they collect this much of the most that any number of them would, in thousandths.
const TOLERANCE_PER_MILLE: i128 = 999;

/// Stages of clusters of transactions.
pub type Stages = Vec<Vec<Vec<Arc<Parsed>>>>;

/// What was chosen, and whether anything was left out.
#[derive(Debug, Default)]
pub struct Phase {
    pub stages: Stages,
    pub left_out: bool,
    inclusion_fees: i128,
}

/// Chooses among transactions, the most welcome first.
pub fn build(ranked: &[Arc<Parsed>], settings: &Settings) -> Phase {
    let txs = prepare(ranked);
    let mut built: Vec<Phase> = Vec::new();
    for count in 1..=MAX_STAGES {
        let phase = with_stages(count, ranked, &txs, settings);
        let complete = !phase.left_out;
        built.push(phase);
        if count == 1 && complete {
            // More stages could not hold more.
            break;
        }
    }
    let most = built.iter().map(|phase| phase.inclusion_fees).max();
    let enough = most.unwrap_or(0) * TOLERANCE_PER_MILLE / 1_000;
    // Of equally many stages the first will do.
    built
        .into_iter()
        .filter(|phase| phase.inclusion_fees >= enough)
        .min_by_key(|phase| phase.stages.len())
        .unwrap_or_default()
}

/// What packing needs to know of a transaction.
#[derive(Debug)]
struct Item {
    instructions: i64,
    resources: Resources,
    /// Keys by number.
    read_only: Vec<u32>,
    read_write: Vec<u32>,
}

fn prepare(ranked: &[Arc<Parsed>]) -> Vec<Item> {
    let mut numbers: HashMap<&Key, u32> = HashMap::new();
    let mut items = Vec::with_capacity(ranked.len());
    for tx in ranked {
        let (keys, read_only) = tx
            .soroban
            .as_ref()
            .map_or((&[][..], 0), |part| (part.keys.as_slice(), part.read_only));
        let mut numbered = Vec::with_capacity(keys.len());
        for key in keys {
            let next = numbers.len() as u32;
            numbered.push(*numbers.entry(key).or_insert(next));
        }
        let read_write = numbered.split_off(read_only);
        let resources = Resources::of(tx);
        items.push(Item {
            instructions: resources.instructions,
            resources,
            read_only: numbered,
            read_write,
        });
    }
    items
}

fn with_stages(count: u32, ranked: &[Arc<Parsed>], txs: &[Item], settings: &Settings) -> Phase {
    let cluster_limit = settings.compute.ledger_max_instructions / i64::from(count);
    let mut stages: Vec<Stage> = (0..count)
        .map(|_| Stage::new(settings.clusters, cluster_limit))
        .collect();
    let limit = Resources {
        // The clusters see to it.
        instructions: i64::MAX,
        ..Resources::ledger_limit(settings)
    };
    let mut used = Resources::default();
    let mut phase = Phase::default();
    for (index, tx) in txs.iter().enumerate() {
        let with = used + tx.resources;
        if with.fits(&limit) && stages.iter_mut().any(|stage| stage.add(index, tx)) {
            used = with;
            phase.inclusion_fees += i128::from(ranked[index].inclusion_fee());
        } else {
            phase.left_out = true;
        }
    }
    phase.stages = stages
        .iter()
        .map(|stage| stage.clusters(ranked))
        .filter(|clusters| !clusters.is_empty())
        .collect();
    phase
}

/// Transactions that depend on each other, maybe through others.
#[derive(Debug)]
struct Cluster {
    /// Itself, or the cluster that it was merged into.
    parent: usize,
    instructions: i64,
    bin: usize,
    members: Vec<usize>,
}

/// Clusters, packed into as many bins as run side by side.
#[derive(Debug)]
struct Stage {
    cluster_limit: i64,
    /// Instructions of all clusters together.
    limit: i64,
    instructions: i64,
    /// Instructions in each bin.
    bins: Vec<i64>,
    clusters: Vec<Cluster>,
    /// By key: the cluster that writes it.
    writers: HashMap<u32, usize>,
    /// By key that nobody wrote yet: every cluster that reads it.
    readers: HashMap<u32, Vec<usize>>,
    /// Once everything was packed anew for a transaction without conflicts, doing it again is no use.
    compacted: bool,
}

impl Stage {
    fn new(bins: u32, cluster_limit: i64) -> Self {
        Self {
            cluster_limit,
            limit: cluster_limit.saturating_mul(i64::from(bins.max(1))),
            instructions: 0,
            bins: vec![0; bins.max(1) as usize],
            clusters: Vec::new(),
            writers: HashMap::new(),
            readers: HashMap::new(),
            compacted: false,
        }
    }

    fn root(&mut self, mut cluster: usize) -> usize {
        while self.clusters[cluster].parent != cluster {
            let next = self.clusters[cluster].parent;
            // The way up gets shorter every time it is gone.
            self.clusters[cluster].parent = self.clusters[next].parent;
            cluster = next;
        }
        cluster
    }

    /// The clusters that share a key with the transaction which one of them writes.
    fn conflicts(&mut self, tx: &Item) -> Vec<usize> {
        let mut found: Vec<usize> = Vec::new();
        for key in &tx.read_write {
            found.extend(self.writers.get(key));
            found.extend(self.readers.get(key).into_iter().flatten());
        }
        for key in &tx.read_only {
            found.extend(self.writers.get(key));
        }
        for cluster in &mut found {
            *cluster = self.root(*cluster);
        }
        found.sort_unstable();
        found.dedup();
        found
    }

    /// Takes the transaction in, if its cluster stays within its limit and all of them still fit into the bins.
    fn add(&mut self, index: usize, tx: &Item) -> bool {
        if self.instructions + tx.instructions > self.limit {
            return false;
        }
        let conflicts = self.conflicts(tx);
        let instructions = conflicts.iter().map(|at| self.clusters[*at].instructions);
        let merged = tx.instructions + instructions.sum::<i64>();
        if merged > self.cluster_limit {
            return false;
        }
        let mut bins = self.bins.clone();
        for cluster in &conflicts {
            let cluster = &self.clusters[*cluster];
            bins[cluster.bin] -= cluster.instructions;
        }
        let fitting = bins
            .iter()
            .position(|used| used + merged <= self.cluster_limit);
        let bin = if let Some(bin) = fitting {
            bins[bin] += merged;
            bin
        } else {
            if conflicts.is_empty() && std::mem::replace(&mut self.compacted, true) {
                return false;
            }
            let Some((repacked, bin)) = self.repack(&conflicts, merged) else {
                return false;
            };
            bins = repacked;
            bin
        };
        self.bins = bins;
        self.instructions += tx.instructions;
        self.merge(index, tx, &conflicts, merged, bin);
        true
    }

    /// First fit, largest first, of all clusters with the merged one; None when they do not fit.
    fn repack(&mut self, conflicts: &[usize], merged: i64) -> Option<(Vec<i64>, usize)> {
        let mut order: Vec<(i64, Option<usize>)> = (0..self.clusters.len())
            .filter(|at| self.clusters[*at].parent == *at && !conflicts.contains(at))
            .map(|at| (self.clusters[at].instructions, Some(at)))
            .collect();
        order.push((merged, None));
        order.sort_by_key(|(instructions, _)| std::cmp::Reverse(*instructions));
        let mut bins = vec![0; self.bins.len()];
        let mut placed = Vec::with_capacity(order.len());
        for (instructions, cluster) in order {
            let fitting = |used: &i64| used + instructions <= self.cluster_limit;
            let bin = bins.iter().position(fitting)?;
            bins[bin] += instructions;
            placed.push((cluster, bin));
        }
        let mut merged_bin = 0;
        for (cluster, bin) in placed {
            match cluster {
                Some(cluster) => self.clusters[cluster].bin = bin,
                None => merged_bin = bin,
            }
        }
        Some((bins, merged_bin))
    }

    fn merge(
        &mut self,
        index: usize,
        tx: &Item,
        conflicts: &[usize],
        instructions: i64,
        bin: usize,
    ) {
        // The largest of them takes in the others.
        let largest = conflicts
            .iter()
            .copied()
            .max_by_key(|at| self.clusters[*at].members.len());
        let merged = largest.unwrap_or(self.clusters.len());
        if largest.is_none() {
            self.clusters.push(Cluster {
                parent: merged,
                instructions,
                bin,
                members: Vec::new(),
            });
        }
        for other in conflicts.iter().filter(|at| **at != merged) {
            self.clusters[*other].parent = merged;
            let members = std::mem::take(&mut self.clusters[*other].members);
            self.clusters[merged].members.extend(members);
        }
        let cluster = &mut self.clusters[merged];
        cluster.members.push(index);
        cluster.instructions = instructions;
        cluster.bin = bin;
        for key in &tx.read_write {
            self.readers.remove(key);
            self.writers.insert(*key, merged);
        }
        for key in &tx.read_only {
            if !self.writers.contains_key(key) {
                self.readers.entry(*key).or_default().push(merged);
            }
        }
    }

    /// What is in each bin that is not empty.
    fn clusters(&self, ranked: &[Arc<Parsed>]) -> Vec<Vec<Arc<Parsed>>> {
        let mut bins = vec![Vec::new(); self.bins.len()];
        for cluster in &self.clusters {
            let members = cluster.members.iter().map(|at| Arc::clone(&ranked[*at]));
            bins[cluster.bin].extend(members);
        }
        bins.retain(|cluster| !cluster.is_empty());
        bins
    }
}
