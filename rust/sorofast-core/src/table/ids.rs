//! Finding a task by its id: open addressing over four-byte slot numbers, the ids being in the slots themselves.

use super::slots::{Slots, NIL};
use crate::types::{splitmix64, TaskId};

const SMALLEST: usize = 16;

/// Slot numbers by hash of the id.
#[derive(Debug, Default)]
pub(super) struct IdIndex {
    places: Vec<u32>,
    used: usize,
}

impl IdIndex {
    pub(super) const fn len(&self) -> usize {
        self.used
    }

    /// Where the search for an id starts. Shards are told apart by the same hash's remainder, so all ids of a table
    /// share its low bits; the high ones are still random.
    fn home(&self, id: TaskId) -> usize {
        let mask = self.places.len() - 1;
        (splitmix64(id.0) >> 32) as usize & mask
    }

    fn next(&self, place: usize) -> usize {
        (place + 1) & (self.places.len() - 1)
    }

    fn place_of(&self, slots: &Slots, id: TaskId) -> Option<usize> {
        if self.places.is_empty() {
            return None;
        }
        let mut place = self.home(id);
        loop {
            match self.places[place] {
                NIL => return None,
                index if slots.get(index).row.id == id => return Some(place),
                _ => place = self.next(place),
            }
        }
    }

    pub(super) fn find(&self, slots: &Slots, id: TaskId) -> Option<u32> {
        self.place_of(slots, id).map(|place| self.places[place])
    }

    /// Adds a slot whose id is not in here yet.
    pub(super) fn insert(&mut self, slots: &Slots, index: u32) {
        if (self.used + 1) * 4 > self.places.len() * 3 {
            let larger = (self.places.len() * 2).max(SMALLEST);
            let old = std::mem::replace(&mut self.places, vec![NIL; larger]);
            for moved in old.into_iter().filter(|&moved| moved != NIL) {
                self.put(slots, moved);
            }
        }
        self.put(slots, index);
        self.used += 1;
    }

    fn put(&mut self, slots: &Slots, index: u32) {
        let mut place = self.home(slots.get(index).row.id);
        while self.places[place] != NIL {
            place = self.next(place);
        }
        self.places[place] = index;
    }

    /// Removes an id, moving later ones of its run forward so that no search stops early.
    pub(super) fn remove(&mut self, slots: &Slots, id: TaskId) {
        let Some(mut gap) = self.place_of(slots, id) else {
            return;
        };
        let mut place = gap;
        loop {
            place = self.next(place);
            let index = self.places[place];
            if index == NIL {
                break;
            }
            let mask = self.places.len() - 1;
            let home = self.home(slots.get(index).row.id);
            let distance_of_place = place.wrapping_sub(home) & mask;
            let distance_of_gap = gap.wrapping_sub(home) & mask;
            if distance_of_gap < distance_of_place {
                self.places[gap] = index;
                gap = place;
            }
        }
        self.places[gap] = NIL;
        self.used -= 1;
    }

    pub(super) fn memory_bytes(&self) -> usize {
        self.places.capacity() * size_of::<u32>()
    }
}
