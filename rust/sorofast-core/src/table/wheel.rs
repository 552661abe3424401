//! A hierarchical timing wheel over the whole range of 64-bit seconds.
//!
//! Why not a heap: moving one of 10^5 tasks costs O(log n) comparisons all over memory, and it needs the task's place in
//! the heap kept up to date. Why not one list per second: intervals go from seconds to years, and a million tasks may
//! each have a second of their own.
//!
//! The wheel's hand stands at a second. A task goes to the level of the highest six-bit digit in which its second
//! differs from the hand's, and there to the list of that digit's value: its place is a function of both seconds, so
//! nothing about it needs storing, and inserting and removing touch one list. Level 0 lists hold one second each. A
//! bitmap per level finds the first list that is occupied. Popping takes from level 0; when that is empty, the hand
//! moves to the start of the next occupied list and its tasks are spread over the levels below. A task moves down at
//! most ten times before it is popped, so popping costs O(popped) amortised.
//!
//! Lists are first in, first out, and tasks of one second always share a list, so equal seconds keep their order.

use super::slots::{Slots, NIL};

const DIGIT_BITS: u32 = 6;
const DIGITS: usize = 1 << DIGIT_BITS;
const LEVELS: usize = 64_usize.div_ceil(DIGIT_BITS as usize);

#[derive(Debug, Clone, Copy)]
struct List {
    head: u32,
    tail: u32,
}

const EMPTY: List = List {
    head: NIL,
    tail: NIL,
};

#[derive(Debug)]
struct Level {
    lists: [List; DIGITS],
    occupied: u64,
}

/// One wheel; see the module's text.
#[derive(Debug)]
pub(super) struct Wheel {
    levels: Box<[Level; LEVELS]>,
    hand_s: u64,
}

impl Default for Wheel {
    fn default() -> Self {
        let levels = Box::new(
            [const {
                Level {
                    lists: [EMPTY; DIGITS],
                    occupied: 0,
                }
            }; LEVELS],
        );
        Self { levels, hand_s: 0 }
    }
}

const fn digit(second: u64, level: usize) -> usize {
    (second >> (DIGIT_BITS * level as u32)) as usize % DIGITS
}

/// The level of two different seconds' highest different digit; 0 for equal ones.
const fn level_of(one_s: u64, other_s: u64) -> usize {
    let different = one_s ^ other_s;
    if different == 0 {
        return 0;
    }
    (different.ilog2() / DIGIT_BITS) as usize
}

impl Wheel {
    /// The second before which nothing can be inserted.
    pub(super) const fn hand_s(&self) -> u64 {
        self.hand_s
    }

    const fn place(&self, at_s: u64) -> (usize, usize) {
        let level = level_of(at_s, self.hand_s);
        (level, digit(at_s, level))
    }

    /// Adds a slot at its `at_s`, which is not before the hand.
    pub(super) fn insert(&mut self, slots: &mut Slots, index: u32) {
        let (level, place) = self.place(slots.get(index).at_s);
        let level = &mut self.levels[level];
        let list = &mut level.lists[place];
        let slot = slots.get_mut(index);
        slot.next = NIL;
        slot.previous = list.tail;
        if list.tail == NIL {
            list.head = index;
            level.occupied |= 1 << place;
        } else {
            slots.get_mut(list.tail).next = index;
        }
        list.tail = index;
    }

    /// Takes a slot out.
    pub(super) fn remove(&mut self, slots: &mut Slots, index: u32) {
        let slot = *slots.get(index);
        let (level, place) = self.place(slot.at_s);
        let level = &mut self.levels[level];
        let list = &mut level.lists[place];
        if slot.previous == NIL {
            list.head = slot.next;
        } else {
            slots.get_mut(slot.previous).next = slot.next;
        }
        if slot.next == NIL {
            list.tail = slot.previous;
        } else {
            slots.get_mut(slot.next).previous = slot.previous;
        }
        if list.head == NIL {
            level.occupied &= !(1 << place);
        }
    }

    fn first_occupied(&self) -> Option<(usize, usize)> {
        let level = self.levels.iter().position(|level| level.occupied != 0)?;
        Some((level, self.levels[level].occupied.trailing_zeros() as usize))
    }

    /// The first second that a list stands for.
    const fn start_s(&self, level: usize, place: usize) -> u64 {
        let shift = DIGIT_BITS * level as u32;
        let above = match self.hand_s.checked_shr(shift + DIGIT_BITS) {
            Some(above) => above << DIGIT_BITS,
            None => 0,
        };
        (above | place as u64) << shift
    }

    /// The soonest second in the wheel if it is not after `until_s`, the hand moving as far as it must.
    pub(super) fn soonest_until(&mut self, slots: &mut Slots, until_s: u64) -> Option<u64> {
        loop {
            let (level, place) = self.first_occupied()?;
            let start_s = self.start_s(level, place);
            if start_s > until_s {
                return None;
            }
            if level == 0 {
                return Some(start_s);
            }
            self.hand_s = start_s;
            let mut index = self.clear(level, place).head;
            while index != NIL {
                let next = slots.get(index).next;
                self.insert(slots, index);
                index = next;
            }
        }
    }

    /// Takes the soonest slot, once [`Self::soonest_until`] has found one.
    pub(super) fn take_soonest(&mut self, slots: &mut Slots) -> Option<u32> {
        let place = self.levels[0].occupied.trailing_zeros() as usize;
        let index = self.levels[0].lists.get(place)?.head;
        self.hand_s = self.start_s(0, place);
        self.remove(slots, index);
        Some(index)
    }

    fn clear(&mut self, level: usize, place: usize) -> List {
        let level = &mut self.levels[level];
        level.occupied &= !(1 << place);
        std::mem::replace(&mut level.lists[place], EMPTY)
    }

    /// Moves the hand so that `at_s` can be inserted. An empty wheel's hand goes anywhere. Otherwise every list below
    /// the level of the difference now belongs into one list of that level, where none can be: lists are spliced, so
    /// this costs O(occupied lists), whatever they hold.
    pub(super) fn turn_back(&mut self, slots: &mut Slots, at_s: u64) {
        if self.levels.iter().all(|level| level.occupied == 0) {
            self.hand_s = at_s;
        }
        if at_s >= self.hand_s {
            return;
        }
        let target = level_of(at_s, self.hand_s);
        let place = digit(self.hand_s, target);
        let mut joined = EMPTY;
        for level in 0..target {
            while self.levels[level].occupied != 0 {
                let first = self.levels[level].occupied.trailing_zeros() as usize;
                let list = self.clear(level, first);
                if joined.tail == NIL {
                    joined = list;
                } else {
                    slots.get_mut(joined.tail).next = list.head;
                    slots.get_mut(list.head).previous = joined.tail;
                    joined.tail = list.tail;
                }
            }
        }
        if joined.head != NIL {
            let level = &mut self.levels[target];
            level.lists[place] = joined;
            level.occupied |= 1 << place;
        }
        self.hand_s = at_s;
    }

    /// The soonest second in the wheel, nothing moving.
    pub(super) fn soonest(&self, slots: &Slots) -> Option<u64> {
        let (level, place) = self.first_occupied()?;
        if level == 0 {
            return Some(self.start_s(level, place));
        }
        let mut soonest = None;
        let mut index = self.levels[level].lists[place].head;
        while index != NIL {
            let slot = slots.get(index);
            soonest = Some(soonest.map_or(slot.at_s, |found: u64| found.min(slot.at_s)));
            index = slot.next;
        }
        soonest
    }
}
