//! getLedgerEntries answers: one pass over the text, one buffer for every entry's bytes.

use std::collections::{HashMap, HashSet};

use super::answer::read_answer;
use super::error::BodyError;
use super::scan::Scanner;
use super::text::Text;
use crate::base64;
use crate::registry::{key_of, read_entry, Entry, EntryKey, TaskState};
use crate::row::{Row, ROW_SIZE};
use crate::types::{AccountKey, ContractId, Ledger, TaskId};
use crate::xdr::AccountState;

/// An entry that did not decode.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct EntryProblem {
    /// Whose it is, where its key says so.
    pub task: Option<TaskId>,
    /// Byte of its XDR, or character of its base64 text.
    pub offset: usize,
    /// What is wrong.
    pub reason: String,
}

/// What an answer held.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct EntriesBatch {
    /// The ledger all of it was read from.
    pub latest_ledger: Ledger,
    /// Packed rows, in the order of the answer.
    pub rows: Vec<u8>,
    /// Per task that waits for others: which ones.
    pub dependencies: Vec<(TaskId, Vec<TaskId>)>,
    /// Accounts, in the order of the answer.
    pub accounts: Vec<AccountState>,
    /// The registry's counter.
    pub counter: Option<u64>,
    /// Whether the contract's instance was there.
    pub instance: bool,
    /// Entries that did not decode.
    pub problems: Vec<EntryProblem>,
}

struct Collector<'a> {
    contract: &'a ContractId,
    keeper: &'a AccountKey,
    buffer: Vec<u8>,
    rows: Vec<Row>,
    /// Positions in `rows` that came from `TaskMeta(id)`.
    metas: Vec<usize>,
    /// What rows wait for, by position in `rows`.
    dependencies: Vec<(usize, Vec<TaskId>)>,
    batch: EntriesBatch,
}

#[derive(Default)]
struct Item<'a> {
    key: Option<Text<'a>>,
    xdr: Option<Text<'a>>,
    last_modified: u32,
    live_until: Option<u32>,
}

/// Reads a getLedgerEntries answer.
pub fn read_entries(
    body: &[u8],
    contract: &ContractId,
    keeper: &AccountKey,
) -> Result<EntriesBatch, BodyError> {
    let mut collector = Collector {
        contract,
        keeper,
        buffer: Vec::new(),
        rows: Vec::new(),
        metas: Vec::new(),
        dependencies: Vec::new(),
        batch: EntriesBatch::default(),
    };
    let mut latest = None;
    read_answer(body, |scanner, key| match key {
        b"entries" => {
            if scanner.null()? {
                return Ok(());
            }
            scanner.array(|scanner| collector.entry(scanner))
        }
        b"latestLedger" => {
            latest = Some(Ledger(scanner.u32()?));
            Ok(())
        }
        _ => scanner.skip(),
    })?;
    let latest = latest.ok_or_else(|| BodyError::at(0, "the result has no latestLedger"))?;
    Ok(collector.finish(latest))
}

impl Collector<'_> {
    fn entry(&mut self, scanner: &mut Scanner<'_>) -> Result<(), BodyError> {
        let start = scanner.position();
        let mut item = Item::default();
        scanner.object(|scanner, key| {
            match key {
                b"key" => item.key = Some(scanner.text()?),
                b"xdr" => item.xdr = Some(scanner.text()?),
                b"lastModifiedLedgerSeq" => item.last_modified = scanner.u32()?,
                b"liveUntilLedgerSeq" => {
                    if !scanner.null()? {
                        item.live_until = Some(scanner.u32()?);
                    }
                }
                _ => scanner.skip()?,
            }
            Ok(())
        })?;
        let Some(xdr) = item.xdr else {
            return Err(BodyError::at(start, "an entry without xdr"));
        };
        let outcome = base64::decode_into(&xdr.bytes(), &mut self.buffer)
            .map_err(|error| (error.offset, format!("base64: {}", error.reason)))
            .and_then(|()| {
                read_entry(&self.buffer, self.contract, self.keeper)
                    .map_err(|error| (error.offset, error.reason.into_owned()))
            });
        match outcome {
            Ok(entry) => self.keep(entry, &item),
            Err((offset, reason)) => self.complain(&item, offset, reason),
        }
        Ok(())
    }

    fn keep(&mut self, entry: Entry, item: &Item<'_>) {
        match entry {
            Entry::Task(id, state) => self.row(id, state, item),
            Entry::TaskMeta(id, state) => {
                self.metas.push(self.rows.len());
                self.row(id, state, item);
            }
            Entry::Counter(value) => self.batch.counter = Some(value),
            Entry::Instance => self.batch.instance = true,
            Entry::Account(account) => self.batch.accounts.push(account),
            Entry::Other => {}
        }
    }

    fn row(&mut self, id: TaskId, state: TaskState, item: &Item<'_>) {
        if !state.dependencies.is_empty() {
            self.dependencies
                .push((self.rows.len(), state.dependencies));
        }
        self.rows.push(Row {
            interval_s: state.interval_s,
            last_run_s: state.last_run_s,
            gas: state.gas,
            shape: state.shape,
            flags: state.flags,
            ..blank(id, item)
        });
    }

    #[cold]
    fn complain(&mut self, item: &Item<'_>, offset: usize, reason: String) {
        let key = item.key.and_then(|key| base64::decode(&key.bytes()).ok());
        let task = key.and_then(|key| match key_of(&key, self.contract) {
            Ok(EntryKey::Task(id) | EntryKey::TaskMeta(id)) => Some(id),
            _ => None,
        });
        if let Some(id) = task {
            self.rows.push(blank(id, item));
        }
        self.batch.problems.push(EntryProblem {
            task,
            offset,
            reason,
        });
    }

    fn finish(mut self, latest: Ledger) -> EntriesBatch {
        self.batch.latest_ledger = latest;
        self.keep_dependencies();
        self.merge_metas();
        self.batch.rows.reserve_exact(self.rows.len() * ROW_SIZE);
        for row in &mut self.rows {
            row.snapshot_ledger = latest;
            self.batch.rows.extend_from_slice(&row.pack());
        }
        self.batch
    }

    /// Where there is a `TaskMeta(id)`, what `Task(id)` says about dependencies is not what counts.
    fn keep_dependencies(&mut self) {
        let rows = &self.rows;
        let metas: HashSet<TaskId> = self.metas.iter().map(|&at| rows[at].id).collect();
        let believed =
            |at: usize| !metas.contains(&rows[at].id) || self.metas.binary_search(&at).is_ok();
        let all = std::mem::take(&mut self.dependencies);
        self.batch.dependencies = all
            .into_iter()
            .filter(|&(at, _)| believed(at))
            .map(|(at, tasks)| (rows[at].id, tasks))
            .collect();
    }

    /// Where a contract keeps `TaskMeta(id)` apart, that one says how the task stands, and `Task(id)`, which is
    /// written beside it, is only believed about target, function and arguments.
    fn merge_metas(&mut self) {
        if self.metas.is_empty() {
            return;
        }
        let metas: HashMap<TaskId, usize> = self
            .metas
            .iter()
            .map(|&at| (self.rows[at].id, at))
            .collect();
        let mut position = 0;
        let mut shapes = Vec::new();
        self.rows.retain(|row| {
            let own = position;
            position += 1;
            match metas.get(&row.id) {
                Some(&meta) if meta != own => {
                    shapes.push((row.id, row.shape));
                    false
                }
                _ => true,
            }
        });
        let shapes: HashMap<TaskId, u64> = shapes.into_iter().collect();
        for row in &mut self.rows {
            if let Some(&shape) = shapes.get(&row.id) {
                row.shape = shape;
            }
        }
    }
}

/// What is known of a task before its value is read. A contract's entry always has a life; an answer that leaves it
/// out is not taken for one that says "archived".
fn blank(id: TaskId, item: &Item<'_>) -> Row {
    Row {
        live_until: Ledger(item.live_until.unwrap_or(u32::MAX)),
        last_modified: Ledger(item.last_modified),
        ..Row::undecodable(id)
    }
}
