//! Account entries: reading, writing, reserves and the fields that a transaction's sequence touches.

use crate::ledger::changes::ChangeList;
use crate::ledger::settings::BASE_RESERVE_STROOPS;
use crate::ledger::state::{Entries, Key, Layer, Stored};
use stellar_xdr::{
    AccountEntry, AccountEntryExt, AccountEntryExtensionV1, AccountEntryExtensionV1Ext,
    AccountEntryExtensionV2, AccountEntryExtensionV2Ext, AccountEntryExtensionV3, AccountId,
    ExtensionPoint, LedgerEntry, LedgerEntryData, LedgerEntryExt, Liabilities, Limits,
    MuxedAccount, PublicKey, ReadXdr, SequenceNumber, SponsorshipDescriptor, String32, Thresholds,
    TimePoint, Uint256, WriteXdr,
};

/// XDR of the `LedgerKey` of an account.
pub fn account_key(id: &[u8; 32]) -> Key {
    let mut key = [0_u8; 40];
    key[8..].copy_from_slice(id);
    Key::from(&key[..])
}

pub fn account_id(id: &[u8; 32]) -> AccountId {
    AccountId(PublicKey::PublicKeyTypeEd25519(Uint256(*id)))
}

pub fn account_id_bytes(id: &AccountId) -> [u8; 32] {
    let PublicKey::PublicKeyTypeEd25519(Uint256(bytes)) = &id.0;
    *bytes
}

/// The account behind a possibly muxed address.
pub fn muxed_bytes(account: &MuxedAccount) -> [u8; 32] {
    match account {
        MuxedAccount::Ed25519(Uint256(bytes)) => *bytes,
        MuxedAccount::MuxedEd25519(muxed) => muxed.ed25519.0,
    }
}

/// A new account as `CreateAccount` makes it.
pub fn new_account(id: &[u8; 32], balance_stroops: i64, sequence: i64) -> AccountEntry {
    AccountEntry {
        account_id: account_id(id),
        balance: balance_stroops,
        seq_num: SequenceNumber(sequence),
        num_sub_entries: 0,
        inflation_dest: None,
        flags: 0,
        home_domain: String32::default(),
        thresholds: Thresholds([1, 0, 0, 0]),
        signers: stellar_xdr::VecM::default(),
        ext: AccountEntryExt::V0,
    }
}

/// First sequence number of an account made in `ledger`; no transaction may carry it either.
pub fn starting_sequence(ledger: u32) -> i64 {
    i64::from(ledger) << 32
}

pub fn load(entries: &dyn Entries, id: &[u8; 32]) -> Option<AccountEntry> {
    decode(&entries.get(&account_key(id))?)
}

pub fn decode(stored: &Stored) -> Option<AccountEntry> {
    decode_entry(stored).map(|(account, _)| account)
}

fn decode_entry(stored: &Stored) -> Option<(AccountEntry, LedgerEntryExt)> {
    let limits = Limits {
        depth: 100,
        len: stored.xdr.len(),
    };
    let entry = LedgerEntry::from_xdr(&stored.xdr, limits).ok()?;
    match entry.data {
        LedgerEntryData::Account(account) => Some((account, entry.ext)),
        _ => None,
    }
}

/// The account as an entry that `ledger` modified and nobody sponsors.
pub fn encode(account: AccountEntry, ledger: u32) -> Stored {
    encode_with(account, LedgerEntryExt::V0, ledger)
}

fn encode_with(account: AccountEntry, ext: LedgerEntryExt, ledger: u32) -> Stored {
    let entry = LedgerEntry {
        last_modified_ledger_seq: ledger,
        data: LedgerEntryData::Account(account),
        ext,
    };
    Stored::classic(entry.to_xdr(Limits::none()).unwrap_or_default())
}

/// What must stay in the account for the entries that it pays for.
pub fn minimum_balance(account: &AccountEntry) -> i64 {
    let (sponsored, sponsoring) = sponsorship_counts(account);
    let units =
        2 + i64::from(account.num_sub_entries) + i64::from(sponsoring) - i64::from(sponsored);
    units * i64::from(BASE_RESERVE_STROOPS)
}

fn read_extension_v2(account: &AccountEntry) -> Option<&AccountEntryExtensionV2> {
    match &account.ext {
        AccountEntryExt::V1(AccountEntryExtensionV1 {
            ext: AccountEntryExtensionV1Ext::V2(v2),
            ..
        }) => Some(v2),
        _ => None,
    }
}

/// Base reserves that others pay for the account, and that it pays for others: (sponsored, sponsoring).
pub fn sponsorship_counts(account: &AccountEntry) -> (u32, u32) {
    read_extension_v2(account).map_or((0, 0), |v2| (v2.num_sponsored, v2.num_sponsoring))
}

/// Who pays for each of the account's signers; none when sponsorship never touched the account.
pub fn signer_sponsors(account: &AccountEntry) -> Option<&[SponsorshipDescriptor]> {
    read_extension_v2(account).map(|v2| v2.signer_sponsoring_i_ds.as_slice())
}

/// Stroops promised to offers: (buying, selling).
pub fn liabilities(account: &AccountEntry) -> (i64, i64) {
    match &account.ext {
        AccountEntryExt::V0 => (0, 0),
        AccountEntryExt::V1(v1) => (v1.liabilities.buying, v1.liabilities.selling),
    }
}

/// What the account can spend; negative when it is below its reserve.
pub fn available_balance(account: &AccountEntry) -> i64 {
    let (_, selling) = liabilities(account);
    account.balance - minimum_balance(account) - selling
}

/// Adds to a balance, unless it would overflow what liabilities leave room for.
pub fn credit(account: &mut AccountEntry, amount_stroops: i64) -> bool {
    let (buying, _) = liabilities(account);
    match account.balance.checked_add(amount_stroops) {
        Some(balance) if balance <= i64::MAX - buying => {
            account.balance = balance;
            true
        }
        _ => false,
    }
}

/// When the account's sequence last moved: ledger and close time in seconds.
pub fn sequence_age(account: &AccountEntry) -> (u32, u64) {
    match &account.ext {
        AccountEntryExt::V1(AccountEntryExtensionV1 {
            ext:
                AccountEntryExtensionV1Ext::V2(AccountEntryExtensionV2 {
                    ext: AccountEntryExtensionV2Ext::V3(v3),
                    ..
                }),
            ..
        }) => (v3.seq_ledger, v3.seq_time.0),
        _ => (0, 0),
    }
}

/// Moves the sequence and notes when, adding the extensions that hold it.
pub fn consume_sequence(account: &mut AccountEntry, sequence: i64, ledger: u32, close_time_s: u64) {
    account.seq_num = SequenceNumber(sequence);
    let v3 = extension_v3(account);
    v3.seq_ledger = ledger;
    v3.seq_time = TimePoint(close_time_s);
}

/// The extension that counts sponsorships, added where it is missing.
pub fn extension_v2(account: &mut AccountEntry) -> &mut AccountEntryExtensionV2 {
    if matches!(account.ext, AccountEntryExt::V0) {
        account.ext = AccountEntryExt::V1(AccountEntryExtensionV1 {
            liabilities: Liabilities {
                buying: 0,
                selling: 0,
            },
            ext: AccountEntryExtensionV1Ext::V0,
        });
    }
    let signers = account.signers.len();
    let AccountEntryExt::V1(v1) = &mut account.ext else {
        unreachable!("version 1 was set above");
    };
    if matches!(v1.ext, AccountEntryExtensionV1Ext::V0) {
        v1.ext = AccountEntryExtensionV1Ext::V2(AccountEntryExtensionV2 {
            num_sponsored: 0,
            num_sponsoring: 0,
            signer_sponsoring_i_ds: vec![SponsorshipDescriptor(None); signers]
                .try_into()
                .unwrap_or_default(),
            ext: AccountEntryExtensionV2Ext::V0,
        });
    }
    let AccountEntryExtensionV1Ext::V2(v2) = &mut v1.ext else {
        unreachable!("version 2 was set above");
    };
    v2
}

fn extension_v3(account: &mut AccountEntry) -> &mut AccountEntryExtensionV3 {
    let v2 = extension_v2(account);
    if matches!(v2.ext, AccountEntryExtensionV2Ext::V0) {
        v2.ext = AccountEntryExtensionV2Ext::V3(AccountEntryExtensionV3 {
            ext: ExtensionPoint::V0,
            seq_ledger: 0,
            seq_time: TimePoint(0),
        });
    }
    let AccountEntryExtensionV2Ext::V3(v3) = &mut v2.ext else {
        unreachable!("version 3 was set above");
    };
    v3
}

/// Can the entry end in an extension that names a sponsor, or that no longer does? Most accounts need not be decoded to
/// know that they do not.
fn may_be_extended(xdr: &[u8]) -> bool {
    const SPONSORED: [u8; 12] = [0, 0, 0, 1, 0, 0, 0, 1, 0, 0, 0, 0];
    const UNSPONSORED: [u8; 12] = [0, 0, 0, 1, 0, 0, 0, 0, 0, 0, 0, 0];
    let sponsored = xdr.len().checked_sub(48).map(|at| &xdr[at..at + 12]);
    sponsored == Some(SPONSORED.as_slice()) || xdr.ends_with(&UNSPONSORED)
}

/// Writes an account as modified by `ledger`, sponsored as before, and notes the change.
pub fn write_account(
    layer: &mut Layer<'_>,
    changes: &mut ChangeList,
    account: AccountEntry,
    ledger: u32,
) {
    let key = account_key(&account_id_bytes(&account.account_id));
    let before = layer.get(&key);
    let ext = before
        .as_ref()
        .filter(|before| may_be_extended(&before.xdr))
        .and_then(decode_entry)
        .map_or(LedgerEntryExt::V0, |(_, ext)| ext);
    let after = encode_with(account, ext, ledger);
    changes.entry(
        &key,
        before.as_ref().map(|entry| &*entry.xdr),
        Some(&after.xdr),
    );
    layer.put(key, after);
}

/// Refuses what no transaction could bring about, and what the ledger would not keep up.
pub fn check_account(account: &AccountEntry) -> Result<(), String> {
    let (buying, selling) = liabilities(account);
    if account.balance < 0 {
        return Err("the balance is negative".into());
    }
    if buying < 0 || selling < 0 {
        return Err("a liability is negative".into());
    }
    if selling > account.balance {
        return Err("the selling liabilities are more than the balance".into());
    }
    if buying > i64::MAX - account.balance {
        return Err("the buying liabilities are more than the account could hold".into());
    }
    if account.seq_num.0 < 0 {
        return Err("the sequence number is negative".into());
    }
    if !account.signers.is_sorted_by(|one, next| one.key < next.key) {
        return Err("the signers are not in the order of their keys".into());
    }
    if (account.num_sub_entries as usize) < account.signers.len() {
        return Err("there are more signers than subentries".into());
    }
    if signer_sponsors(account).is_some_and(|list| list.len() != account.signers.len()) {
        return Err("signer_sponsoring_ids has to say of every signer who sponsors it".into());
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;
    use stellar_xdr::{LedgerKey, LedgerKeyAccount};

    #[test]
    fn the_key_is_the_one_that_xdr_gives() {
        let id = [7; 32];
        let key = LedgerKey::Account(LedgerKeyAccount {
            account_id: account_id(&id),
        });
        let encoded = key.to_xdr(Limits::none()).expect("a small key");
        assert_eq!(&*account_key(&id), encoded.as_slice());
    }

    #[test]
    fn the_sequence_and_its_age_survive_the_trip() {
        let mut account = new_account(&[1; 32], 100_000_000, 5);
        consume_sequence(&mut account, 6, 77, 1_234);
        let stored = encode(account, 77);
        assert_eq!(stored.last_modified(), 77);
        let back = decode(&stored).expect("an account");
        assert_eq!(back.seq_num.0, 6);
        assert_eq!(sequence_age(&back), (77, 1_234));
        assert_eq!(available_balance(&back), 90_000_000);
    }

    #[test]
    fn a_sponsor_stays_when_the_account_is_written() {
        let account = new_account(&[1; 32], 5, 1);
        let key = account_key(&[1; 32]);
        for sponsor in [None, Some(account_id(&[9; 32]))] {
            let ext = LedgerEntryExt::V1(stellar_xdr::LedgerEntryExtensionV1 {
                sponsoring_id: SponsorshipDescriptor(sponsor),
                ext: stellar_xdr::LedgerEntryExtensionV1Ext::V0,
            });
            let below = crate::ledger::state::State::default();
            let mut layer = Layer::new(&below);
            layer.put(key.clone(), encode_with(account.clone(), ext.clone(), 1));
            let mut changes = ChangeList::default();
            write_account(&mut layer, &mut changes, account.clone(), 2);
            let written = layer.get(&key).expect("the account");
            assert_eq!(decode_entry(&written), Some((account.clone(), ext)));
        }
    }

    #[test]
    fn a_balance_cannot_overflow() {
        let mut account = new_account(&[1; 32], i64::MAX - 1, 0);
        assert!(credit(&mut account, 1));
        assert!(!credit(&mut account, 1));
        assert_eq!(account.balance, i64::MAX);
    }
}
