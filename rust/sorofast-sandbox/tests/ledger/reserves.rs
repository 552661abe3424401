//! A random mix of operations on entries, signers and their sponsors: what accounts count is what there is, and metas
//! tell every change.

use crate::claimable::{claim, put_aside};
use crate::classic_steps::{begin, by, ed25519, end, set_signer};
use crate::network::{create_account, Key, Network, XLM};
use sorofast_sandbox::ledger::account::{minimum_balance, signer_sponsors, sponsorship_counts};
use sorofast_sandbox::ledger::draft::sponsor;
use sorofast_sandbox::node::{SubmitStatus, TransactionRecord};
use std::collections::BTreeMap;
use stellar_xdr::{
    AccountId, AlphaNum4, Asset, AssetCode4, ChangeTrustAsset, ChangeTrustOp, ClaimPredicate,
    ClaimableBalanceId, DataValue, LedgerEntry, LedgerEntryChange, LedgerEntryChanges,
    LedgerEntryData, LedgerKey, LedgerKeyAccount, LedgerKeyClaimableBalance, LedgerKeyData,
    LedgerKeyTrustLine, Limits, ManageDataOp, Operation, OperationBody, PaymentOp, ReadXdr,
    RevokeSponsorshipOp, RevokeSponsorshipOpSigner, String64, TransactionMeta, TrustLineAsset,
    WriteXdr,
};

const ACCOUNTS: u64 = 10;
const LEDGERS: usize = 60;

/// A small generator of numbers that repeats itself from run to run.
struct Numbers(u64);

impl Numbers {
    fn below(&mut self, bound: u64) -> u64 {
        self.0 ^= self.0 << 13;
        self.0 ^= self.0 >> 7;
        self.0 ^= self.0 << 17;
        self.0 % bound
    }

    fn pick<T: Copy>(&mut self, from: &[T]) -> T {
        from[self.below(from.len() as u64) as usize]
    }
}

fn name(number: u64) -> String64 {
    String64(format!("n{number}").try_into().expect("short"))
}

fn usd(issuer: &Key) -> AlphaNum4 {
    AlphaNum4 {
        asset_code: AssetCode4(*b"USD\0"),
        issuer: issuer.account_id(),
    }
}

/// The ledger as the changes of its transactions tell it.
#[derive(Default)]
struct Told(BTreeMap<LedgerKey, LedgerEntry>);

impl Told {
    fn read(&mut self, records: &[std::sync::Arc<TransactionRecord>]) {
        let list = |xdr: &[u8]| LedgerEntryChanges::from_xdr(xdr, Limits::none()).expect("changes");
        for record in records {
            self.follow(&list(&record.fee_changes_xdr));
        }
        for record in records {
            let TransactionMeta::V4(meta) =
                TransactionMeta::from_xdr(&record.meta_xdr, Limits::none()).expect("a meta")
            else {
                panic!("version 4");
            };
            self.follow(&meta.tx_changes_before);
            for operation in &*meta.operations {
                self.follow(&operation.changes);
            }
            self.follow(&meta.tx_changes_after);
            self.follow(&list(&record.post_apply_changes_xdr));
        }
    }

    fn follow(&mut self, changes: &LedgerEntryChanges) {
        for change in &*changes.0 {
            match change {
                LedgerEntryChange::State(entry) => {
                    // What was there before is what was told last.
                    let known = self.0.get(&entry.to_key());
                    assert!(known.is_none_or(|known| known == entry), "{entry:?}");
                }
                LedgerEntryChange::Created(entry) => {
                    let before = self.0.insert(entry.to_key(), entry.clone());
                    assert!(before.is_none(), "{entry:?}");
                }
                LedgerEntryChange::Updated(entry) | LedgerEntryChange::Restored(entry) => {
                    self.0.insert(entry.to_key(), entry.clone());
                }
                LedgerEntryChange::Removed(key) => {
                    self.0.remove(key);
                }
            }
        }
    }

    /// The node holds what was told.
    fn check_entries(&self, network: &Network) {
        for (key, told) in &self.0 {
            let key = key.to_xdr(Limits::none()).expect("a key");
            let read = network.node.entries(&[key]);
            let held = read.entries.first().expect("an entry");
            let told = told.to_xdr(Limits::none()).expect("an entry");
            assert_eq!(held.entry_xdr.as_ref(), told.as_slice());
        }
    }

    /// Subentries and sponsorships that accounts count are those that entries and signers name.
    fn check_counts(&self) {
        let mut counted: BTreeMap<AccountId, [u32; 3]> = BTreeMap::new();
        let mut add = |account: &AccountId, place: usize, units: u32| {
            counted.entry(account.clone()).or_default()[place] += units;
        };
        for entry in self.0.values() {
            let (owner, units, subentry) = match &entry.data {
                LedgerEntryData::Account(account) => {
                    let sponsors = signer_sponsors(account).unwrap_or_default();
                    for sponsor in sponsors.iter().filter_map(|sponsor| sponsor.0.as_ref()) {
                        add(&account.account_id, 1, 1);
                        add(sponsor, 2, 1);
                    }
                    add(&account.account_id, 0, account.signers.len() as u32);
                    (Some(&account.account_id), 2, false)
                }
                LedgerEntryData::Trustline(line) => (Some(&line.account_id), 1, true),
                LedgerEntryData::Data(data) => (Some(&data.account_id), 1, true),
                LedgerEntryData::ClaimableBalance(balance) => {
                    assert!(sponsor(&entry.ext).is_some());
                    (None, balance.claimants.len() as u32, false)
                }
                other => panic!("{other:?}"),
            };
            if let (Some(owner), true) = (owner, subentry) {
                add(owner, 0, units);
            }
            if let Some(sponsor) = sponsor(&entry.ext) {
                add(sponsor, 2, units);
                if let Some(owner) = owner {
                    add(owner, 1, units);
                }
            }
        }
        for entry in self.0.values() {
            let LedgerEntryData::Account(account) = &entry.data else {
                continue;
            };
            let [subentries, sponsored, sponsoring] =
                counted.remove(&account.account_id).unwrap_or_default();
            assert_eq!(account.num_sub_entries, subentries);
            assert_eq!(sponsorship_counts(account), (sponsored, sponsoring));
            assert!(minimum_balance(account) >= 0);
        }
        assert!(counted.is_empty(), "sponsors that are gone: {counted:?}");
    }

    fn claimable(&self) -> Vec<ClaimableBalanceId> {
        let keys = self.0.keys().filter_map(|key| match key {
            LedgerKey::ClaimableBalance(key) => Some(key.balance_id.clone()),
            _ => None,
        });
        keys.collect()
    }
}

/// Something that `owner` does.
fn action(numbers: &mut Numbers, keys: &[Key], told: &Told, owner: &Key) -> Operation {
    let issuer = &keys[0];
    let other = numbers.pick(keys);
    let number = numbers.below(3);
    let signer = ed25519(&Key::new(500 + number as u32));
    let line = LedgerKeyTrustLine {
        account_id: other.account_id(),
        asset: TrustLineAsset::CreditAlphanum4(usd(issuer)),
    };
    match numbers.below(14) {
        0 => set_signer(owner, signer, 1),
        1 => set_signer(owner, signer, 0),
        2 | 3 => {
            let value = b"x".to_vec().try_into().expect("short");
            let data_value = (numbers.below(3) > 0).then_some(DataValue(value));
            let op = ManageDataOp {
                data_name: name(number),
                data_value,
            };
            by(owner, OperationBody::ManageData(op))
        }
        4 => {
            let op = ChangeTrustOp {
                line: ChangeTrustAsset::CreditAlphanum4(usd(issuer)),
                limit: if numbers.below(3) > 0 { 1_000 } else { 0 },
            };
            by(owner, OperationBody::ChangeTrust(op))
        }
        5 => {
            let payment = PaymentOp {
                destination: other.muxed(),
                asset: Asset::CreditAlphanum4(usd(issuer)),
                amount: 1 + number.cast_signed(),
            };
            by(owner, OperationBody::Payment(payment))
        }
        6 => {
            let to = [(other, ClaimPredicate::Unconditional)];
            put_aside(owner, &Asset::Native, XLM / 10, &to)
        }
        7 => match told.claimable().first() {
            Some(id) => claim(owner, id),
            None => set_signer(owner, signer, 2),
        },
        8 => revoke(owner, LedgerKey::Trustline(line)),
        9 => {
            let account_id = other.account_id();
            let data_name = name(number);
            revoke(
                owner,
                LedgerKey::Data(LedgerKeyData {
                    account_id,
                    data_name,
                }),
            )
        }
        10 => {
            let account_id = other.account_id();
            revoke(owner, LedgerKey::Account(LedgerKeyAccount { account_id }))
        }
        11 => {
            let signer = RevokeSponsorshipOpSigner {
                account_id: other.account_id(),
                signer_key: signer,
            };
            let op = RevokeSponsorshipOp::Signer(signer);
            by(owner, OperationBody::RevokeSponsorship(op))
        }
        12 => match told.claimable().last() {
            Some(id) => {
                let balance_id = id.clone();
                revoke(
                    owner,
                    LedgerKey::ClaimableBalance(LedgerKeyClaimableBalance { balance_id }),
                )
            }
            None => set_signer(owner, signer, 3),
        },
        _ if numbers.below(4) == 0 => by(owner, OperationBody::AccountMerge(other.muxed())),
        _ => Operation {
            source_account: Some(owner.muxed()),
            ..create_account(&other, numbers.below(3).cast_signed() * XLM)
        },
    }
}

fn revoke(source: &Key, key: LedgerKey) -> Operation {
    by(
        source,
        OperationBody::RevokeSponsorship(RevokeSponsorshipOp::LedgerEntry(key)),
    )
}

#[test]
fn what_accounts_count_is_what_there_is() {
    let network = Network::new();
    let keys: Vec<Key> = (1..=ACCOUNTS as u32).map(Key::new).collect();
    let mut told = Told::default();
    network.fund(&keys, 20 * XLM);
    told.read(&network.node.applied(network.node.latest().sequence, 100).0);
    let mut numbers = Numbers(0xacc0_0417);
    let (mut succeeded, mut failed) = (0, 0);
    for _ in 0..LEDGERS {
        for source in &keys {
            if network.account(source).is_none() {
                continue;
            }
            let owner = if numbers.below(3) == 0 {
                numbers.pick(&keys)
            } else {
                *source
            };
            let mut operations: Vec<Operation> = (0..=numbers.below(2))
                .map(|_| action(&mut numbers, &keys, &told, &owner))
                .collect();
            let helper = numbers.pick(&keys);
            if helper.id != owner.id && numbers.below(2) == 0 {
                operations.insert(0, begin(&helper, &owner));
                // Now and then nobody ends it.
                if numbers.below(12) > 0 {
                    operations.push(end(&owner));
                }
            }
            let mut signers = vec![*source];
            for key in &keys {
                let acts = |op: &Operation| op.source_account == Some(key.muxed());
                if key.id != source.id && operations.iter().any(acts) {
                    signers.push(*key);
                }
            }
            let tx = network.tx(source, operations);
            let submission = network.submit(&network.sign(&tx, &signers));
            assert_ne!(submission.status, SubmitStatus::TryAgainLater);
        }
        let ledger = network.close();
        let records = network.node.applied(ledger, 100).0;
        for record in &records {
            if record.successful {
                succeeded += 1;
            } else {
                failed += 1;
            }
        }
        told.read(&records);
        told.check_entries(&network);
        told.check_counts();
        network.assert_coins();
    }
    assert!(succeeded > 100, "{succeeded} succeeded");
    assert!(failed > 100, "{failed} failed");
}
