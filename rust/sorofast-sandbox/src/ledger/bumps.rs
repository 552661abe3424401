//! Lifetimes that calls extended through keys which they only read.
//!
//! Such extensions commute: within a ledger every transaction pays for its own from the lifetime that was there before
//! them all, and only a transaction that writes the entry sees what earlier ones did.

use crate::ledger::state::{Entries, Key, Layer};
use std::collections::HashMap;

/// By key: the furthest end of life that a reader paid for.
#[derive(Debug, Default)]
pub struct Bumps(HashMap<Key, u32>);

impl Bumps {
    pub fn note(&mut self, key: Key, live_until: u32) {
        let furthest = self.0.entry(key).or_default();
        *furthest = (*furthest).max(live_until);
    }

    /// Shows the extensions of these keys to the transaction that is about to write them.
    pub fn settle_keys(&mut self, keys: &[Key], layer: &mut Layer<'_>, ledger: u32) {
        for key in keys {
            if let Some((key, live_until)) = self.0.remove_entry(key) {
                extend(key, live_until, layer, ledger);
            }
        }
    }

    /// Shows all that is left, once no transaction of the ledger is to come.
    pub fn settle(self, layer: &mut Layer<'_>, ledger: u32) {
        for (key, live_until) in self.0 {
            extend(key, live_until, layer, ledger);
        }
    }
}

fn extend(key: Key, live_until: u32, layer: &mut Layer<'_>, ledger: u32) {
    let Some(mut entry) = layer.get(&key) else {
        return;
    };
    if let Some(lifetime) = &mut entry.lifetime {
        if lifetime.live_until < live_until {
            lifetime.live_until = live_until;
            lifetime.modified = ledger;
            layer.put(key, entry);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::ledger::state::{Changes, Lifetime, State, Stored};

    fn lifetime(layer: &Layer<'_>, key: &[u8]) -> (u32, u32) {
        let lifetime = layer.get(key).and_then(|entry| entry.lifetime);
        lifetime.map_or((0, 0), |lifetime| (lifetime.live_until, lifetime.modified))
    }

    #[test]
    fn extensions_wait_for_a_writer_or_the_end() {
        let keys: [Key; 2] = [vec![1].into(), vec![2].into()];
        let mut state = State::default();
        state.publish(
            1,
            keys.iter()
                .map(|key| {
                    let lifetime = Some(Lifetime {
                        live_until: 10,
                        rent_size_bytes: 0,
                        modified: 1,
                    });
                    let xdr = vec![0; 8].into();
                    (key.clone(), Some(Stored { xdr, lifetime }))
                })
                .collect::<Changes>(),
        );
        let mut layer = Layer::new(&state);
        let mut bumps = Bumps::default();
        for live_until in [20, 30, 25] {
            bumps.note(keys[0].clone(), live_until);
            bumps.note(keys[1].clone(), live_until);
        }
        assert_eq!(lifetime(&layer, &keys[0]), (10, 1));
        bumps.settle_keys(&keys[..1], &mut layer, 7);
        assert_eq!(lifetime(&layer, &keys[0]), (30, 7));
        assert_eq!(lifetime(&layer, &keys[1]), (10, 1));
        layer.delete(keys[0].clone());
        bumps.settle(&mut layer, 7);
        assert_eq!(lifetime(&layer, &keys[1]), (30, 7));
        assert!(layer.get(&keys[0]).is_none());
    }
}
