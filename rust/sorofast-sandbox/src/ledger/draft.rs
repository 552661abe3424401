//! Changes that one step of a transaction makes to entries without a lifetime, told together at its end.

use crate::ledger::account::{account_id_bytes, account_key};
use crate::ledger::changes::ChangeList;
use crate::ledger::state::{Changes, Entries, Key, Layer, Stored};
use stellar_xdr::{
    AccountEntry, AccountId, ClaimableBalanceEntry, DataEntry, LedgerEntry, LedgerEntryData,
    LedgerEntryExt, LedgerEntryExtensionV1, LedgerEntryExtensionV1Ext, LedgerKey, LedgerKeyAccount,
    Limits, ReadXdr, SponsorshipDescriptor, TrustLineEntry, WriteXdr,
};

/// What an entry holds, with the extension that names its sponsor.
#[derive(Clone, Debug)]
pub struct Held<T> {
    pub data: T,
    pub ext: LedgerEntryExt,
}

impl<T> Held<T> {
    pub fn new(data: T) -> Self {
        Self {
            data,
            ext: LedgerEntryExt::V0,
        }
    }

    pub fn sponsor(&self) -> Option<&AccountId> {
        sponsor(&self.ext)
    }
}

/// Who pays the entry's reserve in place of its owner.
pub fn sponsor(ext: &LedgerEntryExt) -> Option<&AccountId> {
    match ext {
        LedgerEntryExt::V0 => None,
        LedgerEntryExt::V1(v1) => v1.sponsoring_id.0.as_ref(),
    }
}

/// The extension stays once it is there, as on the network.
pub fn set_sponsor(ext: &mut LedgerEntryExt, sponsor: Option<AccountId>) {
    *ext = LedgerEntryExt::V1(LedgerEntryExtensionV1 {
        sponsoring_id: SponsorshipDescriptor(sponsor),
        ext: LedgerEntryExtensionV1Ext::V0,
    });
}

/// A kind of entry that classic operations write.
pub trait Kind: Sized {
    fn unwrap(data: LedgerEntryData) -> Option<Self>;
    fn wrap(self) -> LedgerEntryData;
}

macro_rules! kinds {
    ($($variant:ident($entry:ident)),+) => {
        $(impl Kind for $entry {
            fn unwrap(data: LedgerEntryData) -> Option<Self> {
                match data {
                    LedgerEntryData::$variant(entry) => Some(entry),
                    _ => None,
                }
            }

            fn wrap(self) -> LedgerEntryData {
                LedgerEntryData::$variant(self)
            }
        })+
    };
}

kinds!(
    Account(AccountEntry),
    Trustline(TrustLineEntry),
    Data(DataEntry),
    ClaimableBalance(ClaimableBalanceEntry)
);

/// Entries as they would be after the step.
pub struct Draft<'a> {
    below: &'a dyn Entries,
    layer: Layer<'a>,
    /// Keys in the order in which they were first written, so that the same step always tells the same.
    written: Vec<Key>,
    ledger: u32,
}

impl std::fmt::Debug for Draft<'_> {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Draft")
            .field("written", &self.written.len())
            .finish_non_exhaustive()
    }
}

impl<'a> Draft<'a> {
    pub fn new(below: &'a dyn Entries, ledger: u32) -> Self {
        Self {
            below,
            layer: Layer::new(below),
            written: Vec::new(),
            ledger,
        }
    }

    pub fn load<T: Kind>(&self, key: &LedgerKey) -> Option<Held<T>> {
        let entry = self.entry(key)?;
        Some(Held {
            data: T::unwrap(entry.data)?,
            ext: entry.ext,
        })
    }

    pub fn entry(&self, key: &LedgerKey) -> Option<LedgerEntry> {
        decode(&self.layer.get(&encode_key(key))?)
    }

    pub fn account(&self, id: &AccountId) -> Option<Held<AccountEntry>> {
        self.load(&LedgerKey::Account(LedgerKeyAccount {
            account_id: id.clone(),
        }))
    }

    /// Is the hash anywhere in the account's entry? Quicker to tell than what it is there.
    pub fn mentions(&self, account: &AccountId, hash: &[u8; 32]) -> bool {
        let entry = self.layer.get(&account_key(&account_id_bytes(account)));
        entry.is_some_and(|entry| entry.xdr.windows(32).any(|window| window == hash))
    }

    pub fn store<T: Kind>(&mut self, held: Held<T>) {
        self.store_entry(LedgerEntry {
            last_modified_ledger_seq: 0,
            data: held.data.wrap(),
            ext: held.ext,
        });
    }

    pub fn store_entry(&mut self, mut entry: LedgerEntry) {
        entry.last_modified_ledger_seq = self.ledger;
        let key = self.note(&entry.to_key());
        let xdr = entry.to_xdr(Limits::none()).unwrap_or_default();
        self.layer.put(key, Stored::classic(xdr));
    }

    pub fn erase(&mut self, key: &LedgerKey) {
        let key = self.note(key);
        self.layer.delete(key);
    }

    fn note(&mut self, key: &LedgerKey) -> Key {
        let key = Key::from(encode_key(key));
        if !self.layer.changes.contains_key(&key) {
            self.written.push(key.clone());
        }
        key
    }

    /// The changes, and XDR of the `LedgerEntryChanges` that tell of them.
    pub fn finish(self) -> (Changes, Vec<u8>) {
        let mut list = ChangeList::default();
        let changes = self.finish_into(&mut list);
        (changes, list.finish())
    }

    /// The changes, told at the end of a list.
    pub fn finish_into(self, list: &mut ChangeList) -> Changes {
        for key in &self.written {
            let before = self.below.get(key);
            let after = self.layer.get(key);
            list.entry(
                key,
                before.as_ref().map(|entry| &*entry.xdr),
                after.as_ref().map(|entry| &*entry.xdr),
            );
        }
        self.layer.changes
    }
}

fn encode_key(key: &LedgerKey) -> Vec<u8> {
    key.to_xdr(Limits::none()).unwrap_or_default()
}

fn decode(stored: &Stored) -> Option<LedgerEntry> {
    let limits = Limits {
        depth: 100,
        len: stored.xdr.len(),
    };
    LedgerEntry::from_xdr(&stored.xdr, limits).ok()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::ledger::account::{account_id, new_account};
    use crate::ledger::state::State;
    use stellar_xdr::{LedgerEntryChange, LedgerEntryChanges};

    #[test]
    fn every_entry_is_told_once_with_its_sponsor() {
        let mut state = State::default();
        let mut draft = Draft::new(&state, 1);
        let mut first = Held::new(new_account(&[1; 32], 5, 1));
        set_sponsor(&mut first.ext, Some(account_id(&[9; 32])));
        draft.store(first);
        let (changes, _) = draft.finish();
        state.publish(1, changes);

        let mut draft = Draft::new(&state, 2);
        for balance in [6, 7] {
            let mut account = draft.account(&account_id(&[1; 32])).expect("an account");
            account.data.balance = balance;
            draft.store(account);
        }
        let passing = Held::new(new_account(&[2; 32], 1, 1));
        let key = LedgerKey::Account(LedgerKeyAccount {
            account_id: passing.data.account_id.clone(),
        });
        draft.store(passing);
        draft.erase(&key);
        let (changes, told) = draft.finish();
        let told = LedgerEntryChanges::from_xdr(told, Limits::none()).expect("changes");
        let [LedgerEntryChange::State(before), LedgerEntryChange::Updated(after)] =
            told.0.as_slice()
        else {
            panic!("{told:?}");
        };
        assert_eq!(before.last_modified_ledger_seq, 1);
        assert_eq!(after.last_modified_ledger_seq, 2);
        assert_eq!(sponsor(&after.ext), Some(&account_id(&[9; 32])));
        assert_eq!(changes.len(), 2);
    }
}
