//! `LedgerEntryChanges` put together from bytes, without decoding the entries.

use crate::crypto::sha256;
use crate::host::invoke::EntryChange;
use crate::ledger::state::Lifetime;

const CREATED: u32 = 0;
const UPDATED: u32 = 1;
const REMOVED: u32 = 2;
const STATE: u32 = 3;
const RESTORED: u32 = 4;

/// `LedgerEntryType` of a lifetime entry.
const TTL: u32 = 9;

/// A list of changes under construction.
#[derive(Debug, Default)]
pub struct ChangeList {
    count: u32,
    bytes: Vec<u8>,
}

impl ChangeList {
    /// An entry before and after; equal absence says nothing.
    pub fn entry(&mut self, key: &[u8], before: Option<&[u8]>, after: Option<&[u8]>) {
        match (before, after) {
            (None, None) => {}
            (None, Some(after)) => self.push(CREATED, &[after]),
            (Some(before), Some(after)) => {
                self.push(STATE, &[before]);
                self.push(UPDATED, &[after]);
            }
            (Some(before), None) => {
                self.push(STATE, &[before]);
                self.push(REMOVED, &[key]);
            }
        }
    }

    /// What a call made of one entry in this ledger, then what became of its lifetime.
    pub fn call(&mut self, change: &EntryChange, ledger: u32) {
        let key_hash = sha256(&change.key);
        let ttl_key = ttl_key(&change.key);
        let (before, after) = (change.before.as_ref(), change.after.as_ref());
        let after_xdr = after.map(|entry| &*entry.xdr);
        let lifetime_before = before.and_then(|entry| entry.lifetime);
        let lifetime_after = after.and_then(|entry| entry.lifetime);
        let ttl_after = lifetime_after.map(|lifetime| lifetime_xdr(&key_hash, lifetime));
        if let (Some(restored), Some(before), Some(archived)) =
            (change.restored, before, lifetime_before)
        {
            let mut back = before.xdr.to_vec();
            back[..4].copy_from_slice(&ledger.to_be_bytes());
            let kept = after_xdr.is_some_and(|after| after[4..] == back[4..]);
            self.restored(&change.key, &back, after_xdr, kept);
            let kept = lifetime_after.is_some_and(|after| after.live_until == restored.live_until);
            // The network has no lifetime of an evicted entry to come back to.
            let lived_until = if archived.is_evicted() {
                restored.live_until
            } else {
                archived.live_until
            };
            let back = Lifetime {
                live_until: lived_until,
                modified: ledger,
                ..archived
            };
            let back = lifetime_xdr(&key_hash, back);
            self.restored(&ttl_key, &back, ttl_after.as_deref(), kept);
            return;
        }
        let before_xdr = before.map(|entry| &*entry.xdr);
        // What a call may write is written, even if an earlier one of the ledger left it the very same.
        if !change.read_only || before_xdr != after_xdr {
            self.entry(&change.key, before_xdr, after_xdr);
        }
        let end = |lifetime: Option<Lifetime>| lifetime.map(|lifetime| lifetime.live_until);
        if end(lifetime_before) != end(lifetime_after) {
            let ttl_before = lifetime_before.map(|lifetime| lifetime_xdr(&key_hash, lifetime));
            self.entry(&ttl_key, ttl_before.as_deref(), ttl_after.as_deref());
        }
    }

    /// What an operation did that touches lifetimes alone.
    pub fn lifetimes(&mut self, changes: &[EntryChange], ledger: u32) {
        let mut back = Vec::new();
        for change in changes {
            let (Some(before), Some(after)) = (&change.before, &change.after) else {
                continue;
            };
            let evicted = before
                .lifetime
                .is_some_and(|lifetime| lifetime.is_evicted());
            let restored_ttl = change.restored.map(|lifetime| {
                let key_hash = sha256(&change.key);
                lifetime_xdr(&key_hash, lifetime)
            });
            match restored_ttl {
                None => self.call(change, ledger),
                Some(ttl) if evicted => {
                    self.push(RESTORED, &[&after.xdr]);
                    self.push(RESTORED, &[&ttl]);
                }
                // The entry itself was not written, so the network tells of it last and as it had been.
                Some(ttl) => {
                    self.push(RESTORED, &[&ttl]);
                    back.push(&before.xdr);
                }
            }
        }
        for entry in back {
            self.push(RESTORED, &[entry]);
        }
    }

    /// An entry that came back from the archive, and what it then became unless it was kept as it had been.
    fn restored(&mut self, key: &[u8], back: &[u8], after: Option<&[u8]>, kept: bool) {
        match after {
            Some(after) if kept => self.push(RESTORED, &[after]),
            Some(after) => {
                self.push(RESTORED, &[back]);
                self.push(UPDATED, &[after]);
            }
            None => {
                self.push(RESTORED, &[back]);
                self.push(REMOVED, &[key]);
            }
        }
    }

    fn push(&mut self, kind: u32, parts: &[&[u8]]) {
        self.count += 1;
        self.bytes.extend_from_slice(&kind.to_be_bytes());
        for part in parts {
            self.bytes.extend_from_slice(part);
        }
    }

    /// XDR of the `LedgerEntryChanges`.
    pub fn finish(self) -> Vec<u8> {
        let mut out = Vec::with_capacity(4 + self.bytes.len());
        out.extend_from_slice(&self.count.to_be_bytes());
        out.extend_from_slice(&self.bytes);
        out
    }
}

/// XDR of the `LedgerKey` of an entry's lifetime.
pub fn ttl_key(key: &[u8]) -> Vec<u8> {
    [&TTL.to_be_bytes()[..], &sha256(key)].concat()
}

fn lifetime_xdr(key_hash: &[u8; 32], lifetime: Lifetime) -> Vec<u8> {
    let mut out = Vec::with_capacity(48);
    out.extend_from_slice(&lifetime.modified.to_be_bytes());
    out.extend_from_slice(&TTL.to_be_bytes());
    out.extend_from_slice(key_hash);
    out.extend_from_slice(&lifetime.live_until.to_be_bytes());
    out.extend_from_slice(&[0; 4]);
    out
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::ledger::account::{account_key, encode, new_account};
    use crate::ledger::state::Stored;
    use stellar_xdr::{
        LedgerEntryChange, LedgerEntryChanges, LedgerEntryData, LedgerKey, Limits, ReadXdr,
    };

    fn decode(list: ChangeList) -> Vec<LedgerEntryChange> {
        let changes = LedgerEntryChanges::from_xdr(list.finish(), Limits::none()).expect("changes");
        changes.0.to_vec()
    }

    /// An account stands in for an entry with a lifetime: only the bytes count.
    fn entry(balance: i64, ledger: u32, live_until: u32) -> Stored {
        Stored {
            lifetime: Some(Lifetime {
                live_until,
                rent_size_bytes: 0,
                modified: ledger,
            }),
            ..encode(new_account(&[1; 32], balance, 1), ledger)
        }
    }

    fn told(before: Option<Stored>, after: Option<Stored>, restored: bool) -> Vec<String> {
        let mut list = ChangeList::default();
        let change = EntryChange {
            key: account_key(&[1; 32]),
            before,
            after,
            restored: restored.then_some(Lifetime {
                live_until: 50,
                rent_size_bytes: 0,
                modified: 9,
            }),
            read_only: false,
        };
        list.call(&change, 9);
        decode(list)
            .iter()
            .map(|change| {
                let entry = match change {
                    LedgerEntryChange::Removed(key) => {
                        let ttl = matches!(key, LedgerKey::Ttl(_));
                        return format!("removed {}", if ttl { "ttl" } else { "entry" });
                    }
                    LedgerEntryChange::Created(entry)
                    | LedgerEntryChange::Updated(entry)
                    | LedgerEntryChange::State(entry)
                    | LedgerEntryChange::Restored(entry) => entry,
                };
                let value = match &entry.data {
                    LedgerEntryData::Account(account) => account.balance,
                    LedgerEntryData::Ttl(ttl) => i64::from(ttl.live_until_ledger_seq),
                    other => panic!("{other:?}"),
                };
                let name = change.name().to_lowercase();
                format!("{name} {value} @{}", entry.last_modified_ledger_seq)
            })
            .collect()
    }

    #[test]
    fn the_bytes_decode() {
        let (before, after) = (entry(5, 1, 3), entry(6, 2, 4));
        assert_eq!(
            told(Some(before.clone()), Some(after.clone()), false),
            ["state 5 @1", "updated 6 @2", "state 3 @1", "updated 4 @2"]
        );
        assert_eq!(
            told(Some(before), None, false),
            ["state 5 @1", "removed entry", "state 3 @1", "removed ttl"]
        );
        assert_eq!(
            told(None, Some(after), false),
            ["created 6 @2", "created 4 @2"]
        );
    }

    #[test]
    fn what_may_be_written_is_told_of_unchanged_too() {
        let same = || Some(entry(5, 9, 3));
        assert_eq!(told(same(), same(), false), ["state 5 @9", "updated 5 @9"]);
        assert!(told(None, None, false).is_empty());
    }

    #[test]
    fn what_came_back_says_as_what() {
        let archived = || Some(entry(5, 1, 3));
        assert_eq!(
            told(archived(), Some(entry(5, 9, 50)), true),
            ["restored 5 @9", "restored 50 @9"]
        );
        assert_eq!(
            told(archived(), Some(entry(6, 9, 50)), true),
            ["restored 5 @9", "updated 6 @9", "restored 50 @9"]
        );
        assert_eq!(
            told(archived(), Some(entry(5, 9, 60)), true),
            ["restored 5 @9", "restored 3 @9", "updated 60 @9"]
        );
        assert_eq!(
            told(Some(entry(5, 1, 0)), Some(entry(5, 9, 60)), true),
            ["restored 5 @9", "restored 50 @9", "updated 60 @9"],
            "an evicted entry has no lifetime to come back to"
        );
        assert_eq!(
            told(archived(), None, true),
            [
                "restored 5 @9",
                "removed entry",
                "restored 3 @9",
                "removed ttl"
            ]
        );
    }
}
