//! The table itself: what is applied, popped, scheduled and parked.

use std::collections::HashMap;

use super::ids::IdIndex;
use super::slots::{Place, Slot, Slots};
use super::wheel::Wheel;
use crate::reasons::{Reason, CODES};
use crate::row::{Row, Terms, BLOCKED_BY, ROW_SIZE, UNDECODABLE};
use crate::types::{Ledger, Stroops, TaskId};

/// Where a task stands with respect to the index.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum State {
    /// Waits for this second.
    Indexed(u64),
    /// Popped; somebody works on it.
    Held,
    /// Out of the index until a changed row arrives.
    Parked,
}

/// A shard's tasks. See the module's text.
#[derive(Debug)]
pub struct TaskTable {
    slots: Slots,
    ids: IdIndex,
    wheel: Wheel,
    late: Wheel,
    counts: [u64; CODES],
    min_gas: Stroops,
    /// What the contract takes for a run of a kind of task.
    fees: HashMap<u32, Stroops>,
}

/// Kinds of tasks whose fees a table remembers.
pub const FEES_MOST: usize = 65_536;

/// A run that happened, as the engine that sent it knows.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Ran {
    /// Whose run.
    pub task: TaskId,
    /// The last run that it replaced.
    pub window: u64,
    /// Close time of its ledger.
    pub last_run_s: u64,
    /// Its ledger.
    pub ledger: Ledger,
}

impl TaskTable {
    /// An empty table; a task with less gas than `min_gas` is not run.
    #[must_use]
    pub fn new(min_gas: Stroops) -> Self {
        Self {
            slots: Slots::default(),
            ids: IdIndex::default(),
            wheel: Wheel::default(),
            late: Wheel::default(),
            counts: [0; CODES],
            min_gas,
            fees: HashMap::new(),
        }
    }

    /// Number of tasks.
    #[must_use]
    pub const fn len(&self) -> usize {
        self.ids.len()
    }

    /// Whether there are no tasks.
    #[must_use]
    pub const fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// Takes the rows of one shard; returns how many were applied.
    pub fn apply(&mut self, rows: &[[u8; ROW_SIZE]], shard: u32, shards: u32) -> usize {
        let mut applied = 0;
        for bytes in rows {
            let row = Row::unpack(bytes);
            if row.id.shard(shards) == Some(shard) && self.apply_row(row) {
                applied += 1;
            }
        }
        applied
    }

    fn apply_row(&mut self, row: Row) -> bool {
        match self.find(row.id) {
            None => self.insert(row),
            Some(index) if row.snapshot_ledger < self.slots.get(index).row.snapshot_ledger => {
                return false
            }
            Some(index) => self.update(index, row),
        }
        true
    }

    pub(super) fn insert(&mut self, row: Row) {
        let index = self.slots.add(Slot::new(row));
        self.slots.get_mut(index).row.reason = Reason::None.code();
        self.counts[0] += 1;
        self.ids.insert(&self.slots, index);
        self.place(index);
    }

    fn update(&mut self, index: u32, mut row: Row) {
        let old = self.slots.get(index).row;
        let place = self.slots.get(index).place;
        if row.flags & UNDECODABLE != 0 {
            // Nothing but the ledgers is known, so the run in flight is still the run it was.
            let known = Row {
                flags: old.flags | UNDECODABLE,
                ..old
            };
            row = Row {
                live_until: row.live_until,
                last_modified: row.last_modified,
                snapshot_ledger: row.snapshot_ledger,
                ..known
            };
        }
        row.reason = old.reason;
        let could_run = self.due_s(index);
        let slot = self.slots.get_mut(index);
        slot.row = row;
        // What is known about dependencies is known about those the row had.
        slot.unblocked &= row.flags & BLOCKED_BY != 0 && row.args() == old.args();
        let ran = row.last_run_s != old.last_run_s;
        let runnable = self.due_s(index);
        let stays = match place {
            Place::Held => !ran,
            Place::Indexed | Place::Late => {
                !ran && row.interval_s == old.interval_s && runnable.is_ok()
            }
            Place::ParkedByCaller => !differs(&old, &row) && could_run == runnable,
            Place::Parked => false,
        };
        if !stays {
            self.unlink(index);
            self.place(index);
        }
    }

    /// The second a task falls due, or the reason it cannot run at all.
    fn due_s(&self, index: u32) -> Result<u64, Reason> {
        let slot = self.slots.get(index);
        let fee = self.fees.get(&slot.row.kind());
        slot.row.due_s(&Terms {
            min_gas: self.min_gas,
            fee: fee.copied().unwrap_or_default(),
            unblocked: slot.unblocked,
        })
    }

    /// Indexes an unlinked task at the second it is due, or parks it with the reason why not.
    fn place(&mut self, index: u32) {
        match self.due_s(index) {
            Ok(due_s) => self.index_at(index, due_s, Reason::NotDue),
            Err(reason) => self.park_at(index, Place::Parked, reason),
        }
    }

    fn index_at(&mut self, index: u32, at_s: u64, reason: Reason) {
        let is_late = at_s < self.wheel.hand_s();
        let slot = self.slots.get_mut(index);
        slot.at_s = at_s;
        slot.place = if is_late { Place::Late } else { Place::Indexed };
        let wheel = if is_late {
            &mut self.late
        } else {
            &mut self.wheel
        };
        if is_late {
            wheel.turn_back(&mut self.slots, at_s);
        }
        wheel.insert(&mut self.slots, index);
        self.set_reason(index, reason);
    }

    fn park_at(&mut self, index: u32, place: Place, reason: Reason) {
        self.slots.get_mut(index).place = place;
        self.set_reason(index, reason);
    }

    fn set_reason(&mut self, index: u32, reason: Reason) {
        let code = &mut self.slots.get_mut(index).row.reason;
        self.counts[usize::from(*code)] -= 1;
        *code = reason.code();
        self.counts[usize::from(*code)] += 1;
    }

    fn unlink(&mut self, index: u32) {
        match self.slots.get(index).place {
            Place::Indexed => self.wheel.remove(&mut self.slots, index),
            Place::Late => self.late.remove(&mut self.slots, index),
            Place::Held | Place::Parked | Place::ParkedByCaller => {}
        }
    }

    pub(super) fn find(&self, id: TaskId) -> Option<u32> {
        self.ids.find(&self.slots, id)
    }

    /// Forgets tasks; returns how many were there.
    pub fn remove(&mut self, tasks: impl IntoIterator<Item = TaskId>) -> usize {
        let mut removed = 0;
        for task in tasks {
            let Some(index) = self.find(task) else {
                continue;
            };
            self.unlink(index);
            self.ids.remove(&self.slots, task);
            self.counts[usize::from(self.slots.get(index).row.reason)] -= 1;
            self.slots.remove(index);
            removed += 1;
        }
        removed
    }

    /// Takes what waits for a second up to `until_s` out of the index, soonest first, at most `limit`, and gives `take`
    /// each row with the reason it waited with. The tasks are held from then on.
    pub fn pop_due(&mut self, until_s: u64, limit: usize, mut take: impl FnMut(&Row)) {
        for _ in 0..limit {
            let late_s = self.late.soonest_until(&mut self.slots, until_s);
            // Everything late is sooner than everything in the other wheel was when it arrived, but not than what
            // the other wheel's hand has not reached since.
            let on_time_s = self.wheel.soonest_until(&mut self.slots, until_s);
            let wheel = match (late_s, on_time_s) {
                (None, None) => return,
                (Some(late_s), Some(on_time_s)) if late_s <= on_time_s => &mut self.late,
                (Some(_), None) => &mut self.late,
                (_, Some(_)) => &mut self.wheel,
            };
            let Some(index) = wheel.take_soonest(&mut self.slots) else {
                return;
            };
            take(&self.slots.get(index).row);
            self.park_at(index, Place::Held, Reason::InFlight);
        }
    }

    /// Puts a task into the index at a second, though never before it is due. `false` if there is no such task or it
    /// cannot run, in which case it is parked with the reason that says why.
    pub fn schedule(&mut self, task: TaskId, at_s: u64, reason: Reason) -> bool {
        let Some(index) = self.find(task) else {
            return false;
        };
        self.unlink(index);
        match self.due_s(index) {
            Ok(due_s) => {
                self.index_at(index, at_s.max(due_s), reason);
                true
            }
            Err(reason) => {
                self.park_at(index, Place::Parked, reason);
                false
            }
        }
    }

    /// Takes a task out of the index until a row arrives that differs.
    pub fn park(&mut self, task: TaskId, reason: Reason) -> bool {
        self.take_out(task, Place::ParkedByCaller, reason)
    }

    /// Takes a task out of the index as popping it would.
    pub fn hold(&mut self, task: TaskId) -> bool {
        self.take_out(task, Place::Held, Reason::InFlight)
    }

    fn take_out(&mut self, task: TaskId, place: Place, reason: Reason) -> bool {
        let Some(index) = self.find(task) else {
            return false;
        };
        self.unlink(index);
        self.park_at(index, place, reason);
        true
    }

    /// Says whether the tasks that a task waits for have run. It holds until the task waits for others. `false` if there
    /// is no such task or it waits for none.
    pub fn set_unblocked(&mut self, task: TaskId, on: bool) -> bool {
        let Some(index) = self.find(task) else {
            return false;
        };
        if self.slots.get(index).row.flags & BLOCKED_BY == 0 {
            return false;
        }
        self.slots.get_mut(index).unblocked = on;
        self.look_again(index);
        true
    }

    /// The tasks that wait for others to run.
    pub fn blocked(&self) -> impl Iterator<Item = TaskId> + '_ {
        let blocked = Reason::Blocked.code();
        // Mostly there are none, and then there is no need to look at every row.
        let most = if self.counts[usize::from(blocked)] == 0 {
            0
        } else {
            usize::MAX
        };
        let rows = self.rows().take(most);
        rows.filter(move |row| row.reason == blocked)
            .map(|row| row.id)
    }

    /// Says what the contract takes for a run of a kind of task; nothing, to forget it. Returns how many tasks can run
    /// now and could not, or the other way round. A kind beyond the bound is not remembered.
    pub fn set_fee(&mut self, kind: u32, fee: Stroops) -> usize {
        let old = if fee.0 <= 0 {
            self.fees.remove(&kind)
        } else if self.fees.len() < FEES_MOST || self.fees.contains_key(&kind) {
            self.fees.insert(kind, fee)
        } else {
            return 0;
        };
        if old.unwrap_or_default() == Stroops(fee.0.max(0)) {
            return 0;
        }
        let of_kind: Vec<u32> = self
            .slots
            .numbers()
            .filter(|&index| self.slots.get(index).row.kind() == kind)
            .collect();
        of_kind
            .into_iter()
            .filter(|&index| self.look_again(index))
            .count()
    }

    /// Moves a task that can run now and could not, or the other way round. What somebody works on, or took out of the
    /// index, stays there; what waits for a second keeps it.
    fn look_again(&mut self, index: u32) -> bool {
        let runnable = self.due_s(index);
        let moves = match self.slots.get(index).place {
            Place::Indexed | Place::Late => runnable.is_err(),
            Place::Parked => {
                runnable.map_or_else(Reason::code, |_| Reason::None.code())
                    != self.slots.get(index).row.reason
            }
            Place::Held | Place::ParkedByCaller => false,
        };
        if moves {
            self.unlink(index);
            self.place(index);
        }
        moves
    }

    /// Takes runs that happened: a task whose last run is still the one that was replaced has the new one from here on
    /// and is indexed for its next. Returns how many tasks moved.
    pub fn advance(&mut self, runs: &[Ran]) -> usize {
        let mut moved = 0;
        for ran in runs {
            let Some(index) = self.find(ran.task) else {
                continue;
            };
            let row = &mut self.slots.get_mut(index).row;
            if row.last_run_s != ran.window {
                continue;
            }
            row.last_run_s = ran.last_run_s;
            row.snapshot_ledger = row.snapshot_ledger.max(ran.ledger);
            self.unlink(index);
            self.place(index);
            moved += 1;
        }
        moved
    }

    /// A task's row with its present reason.
    #[must_use]
    pub fn get(&self, task: TaskId) -> Option<&Row> {
        self.find(task).map(|index| &self.slots.get(index).row)
    }

    /// Where a task stands.
    #[must_use]
    pub fn state(&self, task: TaskId) -> Option<State> {
        let slot = self.slots.get(self.find(task)?);
        Some(match slot.place {
            Place::Indexed | Place::Late => State::Indexed(slot.at_s),
            Place::Held => State::Held,
            Place::Parked | Place::ParkedByCaller => State::Parked,
        })
    }

    /// The soonest second in the index. Costs O(tasks in the first occupied place of the wheel), about those of a
    /// second when something is due soon.
    #[must_use]
    pub fn next_due_s(&self) -> Option<u64> {
        let seconds = [&self.late, &self.wheel].map(|wheel| wheel.soonest(&self.slots));
        seconds.into_iter().flatten().min()
    }

    /// How many tasks carry which reason.
    pub fn reason_counts(&self) -> impl Iterator<Item = (u16, u64)> + '_ {
        (0..).zip(self.counts).filter(|&(_, count)| count > 0)
    }

    /// Every row with its present reason.
    pub fn rows(&self) -> impl Iterator<Item = &Row> {
        self.slots.iter().map(|slot| &slot.row)
    }

    /// Bytes of table and index.
    #[must_use]
    pub fn memory_bytes(&self) -> usize {
        size_of::<Self>()
            + self.slots.memory_bytes()
            + self.ids.memory_bytes()
            + self.fees.capacity() * size_of::<(u32, Stroops)>()
    }
}

/// Whether a task changed in a way that makes it worth another try: what it does, what it can pay, whether it may run.
/// That its entry was merely written again or lives longer is no such change.
fn differs(old: &Row, new: &Row) -> bool {
    let content = |row: &Row| {
        (
            row.interval_s,
            row.last_run_s,
            row.gas,
            row.shape,
            row.flags,
        )
    };
    content(old) != content(new)
}
