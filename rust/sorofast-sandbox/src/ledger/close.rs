//! Closing a ledger: from the transactions that wait to everything a reader will see.

use crate::crypto::{sha256, sha256_parts};
use crate::host::invoke::InvocationLedger;
use crate::host::modules::{is_code_key, Modules};
use crate::ledger::apply::{charge_fee, ApplyLedger, Applying};
use crate::ledger::bumps::Bumps;
use crate::ledger::events::{event_id, record, EventOrigin, AFTER_ALL_TRANSACTIONS};
use crate::ledger::header::{
    self, results_hash, state_hash, transaction_set_xdr, HeaderParts, NodeKey, OldHeader,
};
use crate::ledger::history::ClosedLedger;
use crate::ledger::settings::Settings;
use crate::ledger::state::{Changes, Entries, Ground, Layer, Stored};
use crate::ledger::upkeep;
use crate::random::{Randomness, Ties};
use crate::tx::envelope::Parsed;
use crate::tx::select::{select, TransactionSet};
use crate::tx::stages::Stages;
use crate::tx::trim::{trim, Fees, Refused};
use crate::tx::validate::Moment;
use crate::types::{EventRecord, LedgerSummary, TransactionRecord};
use std::collections::HashMap;
use std::sync::Arc;
use stellar_xdr::{LedgerHeader, OperationBody};

/// The end of the chain of headers.
#[derive(Clone, Debug)]
pub struct Tip {
    pub header: LedgerHeader,
    pub hash: [u8; 32],
    pub close_time_ms: u64,
}

/// A ledger that is applied and waits to be seen.
#[derive(Debug)]
pub struct Applied {
    pub tip: Tip,
    pub changes: Changes,
    pub closed: ClosedLedger,
    /// The transactions that the ledger carried out, failed ones included.
    pub applied: Vec<Arc<Parsed>>,
    /// Candidates that were not valid any more.
    pub invalid: Vec<Refused>,
}

/// What closing needs besides the entries.
#[derive(Debug)]
pub struct Closer<'a> {
    pub settings: &'a Settings,
    pub node_key: &'a NodeKey,
    pub random: &'a Randomness,
    /// Contract id of the native asset.
    pub native: [u8; 32],
    /// As many as the next one stands for, when the ones before it are not made.
    pub ledgers: u32,
    /// Consensus dropped the set that was proposed.
    pub drops_set: bool,
    pub old_header: Option<OldHeader>,
}

/// The set of a ledger.
struct Agreed {
    set: TransactionSet,
    set_xdr: Vec<u8>,
    /// Of the set that was proposed, also when it was dropped.
    set_hash: [u8; 32],
}

impl Closer<'_> {
    /// Applies the next ledger on top of the visible entries, without touching them.
    pub fn close(
        &self,
        tip: &Tip,
        close_time_ms: u64,
        candidates: [Vec<Arc<Parsed>>; 2],
        ground: &dyn Ground,
        modules: &mut Modules,
    ) -> Applied {
        let entries: &dyn Entries = ground;
        let sequence = tip.header.ledger_seq + 1;
        let close_time_s = close_time_ms / 1000;
        let (valid, invalid) =
            self.still_valid(candidates, entries, tip.header.ledger_seq, close_time_s);
        let Agreed {
            set,
            set_xdr,
            set_hash,
        } = self.agree(valid, tip);
        let ledger = ApplyLedger {
            ledger: InvocationLedger {
                sequence,
                close_time_s,
                network_id: self.node_key.network_id,
                settings: self.settings,
                rent_fees: self.settings.rent_fees(upkeep::state_size_bytes(entries)),
            },
            close_time_ms,
            native: self.native,
            sequences: sequences_to_apply(&set),
        };
        self.compile(&set, entries, modules);
        let mut layer = Layer::new(entries);
        let (applied, fee_pool) = apply_set(
            &set,
            set_hash,
            &ledger,
            &mut layer,
            modules,
            tip.header.fee_pool,
        );
        let (mut soroban_fees, mut classic_fees) = (Vec::new(), Vec::new());
        let mut records = Vec::with_capacity(applied.len());
        let mut transactions = Vec::with_capacity(applied.len());
        for (index, applying) in applied.into_iter().enumerate() {
            let fees = if applying.tx.is_soroban() {
                &mut soroban_fees
            } else {
                &mut classic_fees
            };
            fees.push(applying.inclusion_rate);
            transactions.push(Arc::clone(&applying.tx));
            records.push(Arc::new(applying.finish(&ledger, index as u32 + 1)));
        }
        let upkeep::Closed {
            evicted_keys_xdr,
            state_size_bytes,
        } = upkeep::finish(ground, &mut layer, sequence, self.ledgers, self.settings);
        for key in evicted_keys_xdr.iter().filter(|key| is_code_key(key)) {
            modules.forget(key);
        }
        let changes = layer.changes;
        let results = records
            .iter()
            .map(|record| (&record.hash, record.result_xdr.as_slice()));
        let header = header::next(
            self.node_key,
            &tip.header,
            tip.hash,
            &HeaderParts {
                close_time_ms,
                transaction_set_hash: set_hash,
                drops_set: self.drops_set,
                old: self.old_header,
                results_hash: results_hash(results),
                state_hash: state_hash(&tip.header.bucket_list_hash.0, &changes),
                fee_pool,
                total_coins: tip.header.total_coins,
            },
        );
        let (header_xdr, hash) = header::encode(&header);
        let events = event_stream(&records);
        Applied {
            closed: ClosedLedger {
                summary: LedgerSummary {
                    sequence,
                    close_time_s,
                    close_time_ms,
                    hash,
                    header_xdr: header_xdr.into(),
                    transactions: records.len() as u32,
                },
                transaction_set_xdr: set_xdr,
                records,
                events,
                soroban_fees,
                classic_fees,
                evicted_keys_xdr,
                state_size_bytes,
            },
            tip: Tip {
                header,
                hash,
                close_time_ms,
            },
            changes,
            applied: transactions,
            invalid,
        }
    }

    /// The set that is proposed and, unless it is dropped, carried out.
    fn agree(&self, valid: [Vec<Arc<Parsed>>; 2], tip: &Tip) -> Agreed {
        let ties = Ties::of_ledger(self.random, tip.header.ledger_seq + 1);
        let set = select(valid, self.settings, &ties);
        let set_xdr = transaction_set_xdr(&tip.hash, &set);
        let proposed = Agreed {
            set_hash: sha256(&set_xdr),
            set,
            set_xdr,
        };
        if !self.drops_set {
            return proposed;
        }
        let nothing = TransactionSet::default();
        Agreed {
            set_xdr: transaction_set_xdr(&tip.hash, &nothing),
            set: nothing,
            ..proposed
        }
    }

    /// Splits the candidates by whether they may be in a set of that close time.
    fn still_valid(
        &self,
        candidates: [Vec<Arc<Parsed>>; 2],
        entries: &dyn Entries,
        closed: u32,
        close_time_s: u64,
    ) -> ([Vec<Arc<Parsed>>; 2], Vec<Refused>) {
        let moment = Moment {
            settings: self.settings,
            header_sequence: closed,
            target_sequence: closed + 1,
            lower_close_s: close_time_s,
            upper_close_s: close_time_s,
            applying: false,
        };
        let mut fees = Fees::new();
        let mut invalid = Vec::new();
        let valid = candidates.map(|kind| {
            let (sound, refused) = trim(kind, entries, &moment, &mut fees);
            invalid.extend(refused);
            sound
        });
        (valid, invalid)
    }

    /// Compiles code that the set reads and that an earlier ledger uploaded or restored, as validators have it ready.
    fn compile(&self, set: &TransactionSet, entries: &dyn Entries, modules: &mut Modules) {
        modules.make_room();
        for tx in set.stages.iter().flatten().flatten() {
            let Some(part) = &tx.soroban else { continue };
            for key in part.keys.iter().filter(|key| is_code_key(key)) {
                if !modules.contains(key) {
                    let entry = entries.get(key);
                    let is_live =
                        |entry: &Stored| entry.lifetime.is_some_and(|life| !life.is_evicted());
                    if let Some(entry) = entry.filter(is_live) {
                        modules.add(&entry.xdr, self.settings);
                    }
                }
            }
        }
    }
}

/// Sequences by source, if the set merges any account: an account may only go when none of them comes after it.
fn sequences_to_apply(set: &TransactionSet) -> HashMap<[u8; 32], i64> {
    let merges = |tx: &Arc<Parsed>| {
        let mut bodies = tx.tx.operations.iter().map(|operation| &operation.body);
        bodies.any(|body| matches!(body, OperationBody::AccountMerge(_)))
    };
    if !set.classic.iter().any(merges) {
        return HashMap::new();
    }
    let soroban = set.stages.iter().flatten().flatten();
    let all = set.classic.iter().chain(soroban);
    all.map(|tx| (tx.source, tx.sequence())).collect()
}

/// Applies a set in the network's order: fees of all, classic ones, Soroban's sequences, then their calls, then refunds.
fn apply_set(
    set: &TransactionSet,
    set_hash: [u8; 32],
    ledger: &ApplyLedger<'_>,
    layer: &mut Layer<'_>,
    modules: &Modules,
    mut fee_pool: i64,
) -> (Vec<Applying>, i64) {
    let classic = shuffled(&set.classic, &set_hash);
    let stages = shuffled_stages(&set.stages, &set_hash);
    let soroban: Vec<&Arc<Parsed>> = stages.iter().flatten().copied().collect();
    let mut applying: Vec<Applying> = Vec::with_capacity(classic.len() + soroban.len());
    for tx in &classic {
        applying.push(charge_fee(tx, set.classic_base_fee, layer, ledger));
    }
    for tx in &soroban {
        applying.push(charge_fee(tx, set.soroban_base_fee, layer, ledger));
    }
    fee_pool += applying.iter().map(|tx| tx.fee_charged).sum::<i64>();
    let (classic, soroban) = applying.split_at_mut(classic.len());
    for tx in classic.iter_mut() {
        if tx.prepare(layer, ledger) {
            tx.apply_classic(layer, ledger);
        }
    }
    let ready: Vec<bool> = soroban
        .iter_mut()
        .map(|tx| tx.prepare(layer, ledger))
        .collect();
    let mut index = 0;
    for stage in &stages {
        let mut bumps = Bumps::default();
        for _ in stage {
            let tx = &mut soroban[index];
            if ready[index] {
                let place = ((classic.len() + index) as u64).to_be_bytes();
                let seed = sha256_parts(&[&set_hash, &place]);
                if let Some(part) = &tx.tx.soroban {
                    let written = &part.keys[part.read_only..];
                    bumps.settle_keys(written, layer, ledger.ledger.sequence);
                }
                tx.apply_soroban(layer, ledger, seed, &modules.handle(), &mut bumps);
            }
            index += 1;
        }
        bumps.settle(layer, ledger.ledger.sequence);
    }
    for tx in soroban.iter_mut() {
        fee_pool -= tx.refund(layer, ledger);
    }
    (applying, fee_pool)
}

/// An order that nobody chooses: by hash, mixed with that of the set.
fn shuffled<'a>(txs: &'a [Arc<Parsed>], set_hash: &[u8; 32]) -> Vec<&'a Arc<Parsed>> {
    let mut order: Vec<&Arc<Parsed>> = txs.iter().collect();
    order.sort_by_cached_key(|tx| mixed(tx, set_hash));
    order
}

/// Each stage's transactions in the order in which they apply, cluster by cluster; stages by their first transactions.
fn shuffled_stages<'a>(stages: &'a Stages, set_hash: &[u8; 32]) -> Vec<Vec<&'a Arc<Parsed>>> {
    let cluster_by_cluster = |stage: &'a Vec<Vec<Arc<Parsed>>>| {
        let clusters = stage.iter().map(|cluster| shuffled(cluster, set_hash));
        clusters.flatten().collect::<Vec<_>>()
    };
    let mut order: Vec<_> = stages.iter().map(cluster_by_cluster).collect();
    order.sort_by_cached_key(|stage| stage.first().map(|tx| mixed(tx, set_hash)));
    order
}

fn mixed(tx: &Parsed, set_hash: &[u8; 32]) -> [u8; 32] {
    let mut mixed = tx.full_hash;
    for (byte, with) in mixed.iter_mut().zip(set_hash) {
        *byte ^= with;
    }
    mixed
}

/// All events of a ledger in the order of their ids: fees, operations, refunds.
pub(crate) fn event_stream(records: &[Arc<TransactionRecord>]) -> Vec<Arc<EventRecord>> {
    let mut before = Vec::new();
    let mut during = Vec::new();
    let mut after = Vec::new();
    for tx in records {
        let origin = |place: u64, operation_index| EventOrigin {
            ledger: tx.ledger,
            close_time_s: tx.close_time_s,
            transaction_hash: tx.hash,
            transaction_index: place as u32,
            operation_index,
        };
        for event in &tx.transaction_events_xdr {
            let (list, place) = if event[3] == 0 {
                (&mut before, 0)
            } else {
                (&mut after, AFTER_ALL_TRANSACTIONS)
            };
            let id = event_id(tx.ledger, place, 0, list.len() as u32);
            list.extend(record(&event[4..], id, origin(place, 0)).map(Arc::new));
        }
        for (operation, events) in tx.contract_events_xdr.iter().enumerate() {
            for (index, event) in events.iter().enumerate() {
                let place = u64::from(tx.application_order);
                let id = event_id(tx.ledger, place, operation as u32, index as u32);
                during.extend(record(event, id, origin(place, operation as u32)).map(Arc::new));
            }
        }
    }
    before.extend(during);
    before.extend(after);
    before
}
