//! The templates a process knows, by a key that says which runs share one.

use std::collections::{HashMap, VecDeque};
use std::sync::atomic::{AtomicBool, Ordering};

use super::template::Template;

/// Keys a process remembers templates for. The bound on bytes is the one that matters; this one bounds the bookkeeping.
const KEYS_MOST: usize = 1 << 18;
const BYTES_MOST: usize = 256 << 20;

#[derive(Debug)]
struct Interned {
    template: Template,
    digest: [u8; 32],
    users: u32,
}

#[derive(Debug)]
struct Use {
    number: u32,
    /// Set whenever a run is built; spares the key once when room is needed.
    recent: AtomicBool,
}

/// The templates a process knows, by key. Equal ones are stored once.
#[derive(Debug, Default)]
pub struct Templates {
    keys: HashMap<u64, Use>,
    queue: VecDeque<u64>,
    interned: HashMap<u32, Interned>,
    numbers: HashMap<[u8; 32], u32>,
    next_number: u32,
    bytes: usize,
}

impl Templates {
    /// The number of a key's template.
    #[must_use]
    pub fn number(&self, key: u64) -> Option<u32> {
        self.keys.get(&key).map(|used| used.number)
    }

    /// A key's template, noting that it was needed.
    #[must_use]
    pub fn get(&self, key: u64) -> Option<&Template> {
        let used = self.keys.get(&key)?;
        used.recent.store(true, Ordering::Relaxed);
        self.interned
            .get(&used.number)
            .map(|interned| &interned.template)
    }

    /// Gives a key a template, in place of the one it had.
    pub fn insert(&mut self, key: u64, template: Template) -> u32 {
        let digest = template.digest();
        let number = if let Some(&number) = self.numbers.get(&digest) {
            number
        } else {
            let number = self.next_number;
            self.next_number = self.next_number.wrapping_add(1);
            self.bytes += template.cost();
            self.numbers.insert(digest, number);
            self.interned.insert(
                number,
                Interned {
                    template,
                    digest,
                    users: 0,
                },
            );
            number
        };
        if let Some(interned) = self.interned.get_mut(&number) {
            interned.users += 1;
        }
        match self.keys.insert(
            key,
            Use {
                number,
                recent: AtomicBool::new(false),
            },
        ) {
            Some(old) => self.release(old.number),
            None => self.queue.push_back(key),
        }
        self.make_room();
        number
    }

    /// Drops a key's template.
    pub fn forget(&mut self, key: u64) {
        if let Some(used) = self.keys.remove(&key) {
            self.release(used.number);
            self.queue.retain(|&queued| queued != key);
        }
    }

    fn release(&mut self, number: u32) {
        let Some(interned) = self.interned.get_mut(&number) else {
            return;
        };
        interned.users -= 1;
        if interned.users > 0 {
            return;
        }
        if let Some(gone) = self.interned.remove(&number) {
            self.bytes -= gone.template.cost();
            self.numbers.remove(&gone.digest);
        }
    }

    /// Drops what was not needed for longest: each key in turn, oldest first, is spared once if it was used.
    fn make_room(&mut self) {
        while self.keys.len() > KEYS_MOST || (self.bytes > BYTES_MOST && self.keys.len() > 1) {
            let Some(key) = self.queue.pop_front() else {
                return;
            };
            match self.keys.get(&key) {
                Some(used) if used.recent.swap(false, Ordering::Relaxed) => {
                    self.queue.push_back(key);
                }
                _ => {
                    if let Some(used) = self.keys.remove(&key) {
                        self.release(used.number);
                    }
                }
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::tx::template::Source;
    use crate::types::Stroops;

    fn template(byte: u8) -> Template {
        Template {
            body: Box::new([byte; 16]),
            holes: Box::new([]),
            names: Box::new([]),
            source: Source::Keeper,
            contract: None,
            data_at: 16,
            resource_fee: Stroops(1),
        }
    }

    #[test]
    fn what_was_not_used_gives_way_first() {
        let mut templates = Templates::default();
        let most = KEYS_MOST as u64;
        for key in 0..most {
            templates.insert(key, template(1));
        }
        assert!(templates.get(0).is_some());
        templates.insert(most, template(2));
        assert_eq!(templates.number(0), Some(0));
        assert_eq!(templates.number(1), None);
        assert_eq!(templates.number(most), Some(1));
        assert_eq!(templates.keys.len(), KEYS_MOST);
    }

    #[test]
    fn a_template_lives_as_long_as_a_key_uses_it() {
        let mut templates = Templates::default();
        templates.insert(1, template(1));
        templates.insert(2, template(1));
        templates.insert(2, template(1));
        templates.forget(1);
        assert!(templates.get(2).is_some());
        templates.insert(2, template(2));
        assert_eq!(templates.interned.len(), 1);
        templates.forget(2);
        assert_eq!(
            (
                templates.bytes,
                templates.numbers.len(),
                templates.queue.len()
            ),
            (0, 0, 0)
        );
    }
}
