//! `LedgerEntryChanges` put together from bytes, without decoding the entries.

use crate::ledger::state::{Lifetime, Stored};

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

    /// The lifetime of the entry whose key has this hash.
    pub fn lifetime(
        &mut self,
        key_hash: &[u8; 32],
        before: Option<Lifetime>,
        after: Option<Lifetime>,
    ) {
        let before = before.map(|lifetime| lifetime_xdr(key_hash, lifetime));
        let after = after.map(|lifetime| lifetime_xdr(key_hash, lifetime));
        let mut key = TTL.to_be_bytes().to_vec();
        key.extend_from_slice(key_hash);
        self.entry(&key, before.as_deref(), after.as_deref());
    }

    /// An entry that came back from the archive, with its new lifetime.
    pub fn restored(&mut self, key_hash: &[u8; 32], entry: &Stored, lifetime: Lifetime) {
        self.push(RESTORED, &[&entry.xdr]);
        self.push(RESTORED, &[&lifetime_xdr(key_hash, lifetime)]);
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
    use stellar_xdr::{LedgerEntryChange, LedgerEntryChanges, LedgerEntryData, Limits, ReadXdr};

    #[test]
    fn the_bytes_decode() {
        let key = account_key(&[1; 32]);
        let before = encode(new_account(&[1; 32], 5, 1), 1);
        let after = encode(new_account(&[1; 32], 6, 1), 2);
        let lifetime = Lifetime {
            live_until: 9,
            rent_size_bytes: 0,
            modified: 3,
        };
        let mut list = ChangeList::default();
        list.entry(&key, Some(&before.xdr), Some(&after.xdr));
        list.entry(&key, Some(&after.xdr), None);
        list.entry(&key, None, Some(&before.xdr));
        list.lifetime(&[2; 32], None, Some(lifetime));
        let changes = LedgerEntryChanges::from_xdr(list.finish(), Limits::none()).expect("changes");
        assert_eq!(changes.0.len(), 6);
        assert!(matches!(changes.0[3], LedgerEntryChange::Removed(_)));
        let LedgerEntryChange::Created(entry) = &changes.0[5] else {
            panic!("the lifetime was created");
        };
        let LedgerEntryData::Ttl(ttl) = &entry.data else {
            panic!("a lifetime entry");
        };
        assert_eq!(ttl.live_until_ledger_seq, 9);
    }
}
