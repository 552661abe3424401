//! Storage of tasks: pages of equal size, reused through a list of free slots.

use crate::row::Row;
use crate::types::TaskId;

/// No slot.
pub(super) const NIL: u32 = u32::MAX;
const PAGE: usize = 512;

/// Which list a slot is in.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Place {
    /// In the wheel.
    Indexed,
    /// In the wheel of those that were late on arrival.
    Late,
    /// In neither; somebody works on it.
    Held,
    /// In neither, because it cannot run.
    Parked,
    /// In neither, because the caller said so.
    ParkedByCaller,
}

/// One task.
#[derive(Debug, Clone, Copy)]
pub(super) struct Slot {
    pub(super) row: Row,
    pub(super) at_s: u64,
    pub(super) next: u32,
    pub(super) previous: u32,
    pub(super) place: Place,
    /// Whether the tasks it waits for are known to have run.
    pub(super) unblocked: bool,
    used: bool,
}

// Eleven bytes are left for the index by id.
const _: () = assert!(size_of::<Slot>() <= 80);

impl Slot {
    pub(super) const fn new(row: Row) -> Self {
        Self {
            row,
            at_s: 0,
            next: NIL,
            previous: NIL,
            place: Place::Parked,
            unblocked: false,
            used: true,
        }
    }
}

/// All tasks of a table.
#[derive(Debug, Default)]
pub(super) struct Slots {
    pages: Vec<Box<[Slot]>>,
    /// First free slot plus one; free slots are linked by `next`.
    free: Option<u32>,
    /// Slots from here on were never used.
    fresh: u32,
}

impl Slots {
    pub(super) fn get(&self, index: u32) -> &Slot {
        &self.pages[index as usize / PAGE][index as usize % PAGE]
    }

    pub(super) fn get_mut(&mut self, index: u32) -> &mut Slot {
        &mut self.pages[index as usize / PAGE][index as usize % PAGE]
    }

    pub(super) fn add(&mut self, slot: Slot) -> u32 {
        let index = if let Some(index) = self.free {
            let next = self.get(index).next;
            self.free = (next != NIL).then_some(next);
            index
        } else {
            if self.fresh as usize == self.pages.len() * PAGE {
                let empty = Slot {
                    used: false,
                    ..Slot::new(Row::undecodable(TaskId(0)))
                };
                self.pages.push(vec![empty; PAGE].into_boxed_slice());
            }
            self.fresh += 1;
            self.fresh - 1
        };
        *self.get_mut(index) = slot;
        index
    }

    pub(super) fn remove(&mut self, index: u32) {
        let next = self.free.unwrap_or(NIL);
        let slot = self.get_mut(index);
        slot.used = false;
        slot.next = next;
        self.free = Some(index);
    }

    pub(super) fn iter(&self) -> impl Iterator<Item = &Slot> {
        self.pages
            .iter()
            .flat_map(|page| page.iter())
            .filter(|slot| slot.used)
    }

    /// Numbers of the slots in use.
    pub(super) fn numbers(&self) -> impl Iterator<Item = u32> + '_ {
        (0..self.fresh).filter(|&index| self.get(index).used)
    }

    pub(super) fn memory_bytes(&self) -> usize {
        self.pages.len() * PAGE * size_of::<Slot>()
            + self.pages.capacity() * size_of::<Box<[Slot]>>()
    }
}
