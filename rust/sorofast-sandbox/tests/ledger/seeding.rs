//! Entries that are there from the start: network settings, and what an operator puts in.

use crate::contracts::{bump_key, with_counter};
use crate::network::{call, Key, Network, XLM};
use sorofast_sandbox::ledger::account::{encode, new_account};
use stellar_xdr::{
    AccountEntry, AccountEntryExt, AccountEntryExtensionV1, AccountEntryExtensionV1Ext,
    ConfigSettingEntry, ConfigSettingId, LedgerEntryData, LedgerKey, LedgerKeyConfigSetting,
    Liabilities, Limits, ReadXdr, ScVal, Signer, SignerKey, Uint256, WriteXdr,
};

#[test]
fn seeded_entries_are_checked() {
    let (network, alice, counter) = with_counter();
    network.run(&alice, call(&counter, "bump", vec![ScVal::U64(1)]));
    let entry = network.node.entries(&[bump_key(&counter, 1)]).entries[0].clone();
    let too_long = network
        .node
        .put_entries(vec![(entry.entry_xdr.to_vec(), Some(u32::MAX))])
        .expect_err("no entry lives that long");
    assert!(too_long.to_string().contains("entry 0"), "{too_long}");
    assert!(network.node.put_entries(vec![(vec![1, 2], None)]).is_err());
    // Money that is put in counts.
    let rich = Key::new(5);
    let account = new_account(&rich.id, 70 * XLM, 1);
    let stored = encode(account, 1);
    for _ in 0..2 {
        network
            .node
            .put_entries(vec![
                (stored.xdr.to_vec(), None),
                (stored.xdr.to_vec(), None),
            ])
            .expect("an account");
    }
    network.assert_coins();
    network.close();
    network.assert_coins();
    assert_eq!(network.account(&rich).expect("rich").balance, 70 * XLM);
}

#[test]
fn seeded_accounts_hold_together() {
    let network = Network::new();
    let try_put = |change: &dyn Fn(&mut AccountEntry, &mut Liabilities)| {
        let mut account = new_account(&Key::new(5).id, 70 * XLM, 1);
        let mut liabilities = Liabilities {
            buying: 1,
            selling: 1,
        };
        change(&mut account, &mut liabilities);
        account.ext = AccountEntryExt::V1(AccountEntryExtensionV1 {
            liabilities,
            ext: AccountEntryExtensionV1Ext::V0,
        });
        let xdr = encode(account, 1).xdr.to_vec();
        network.node.put_entries(vec![(xdr, None)]).is_ok()
    };
    assert!(try_put(&|_, _| ()));
    assert!(!try_put(&|account, _| account.balance = -1));
    assert!(!try_put(&|account, _| account.seq_num.0 = -1));
    assert!(!try_put(&|_, liabilities| liabilities.buying = -1));
    assert!(!try_put(&|_, liabilities| liabilities.selling = -1));
    assert!(!try_put(&|_, liabilities| liabilities.selling = 71 * XLM));
    assert!(!try_put(&|_, liabilities| liabilities.buying = i64::MAX));
    let with_signers = |keys: &[SignerKey], subentries: u32| {
        try_put(&|account, _| {
            let signers: Vec<Signer> = keys
                .iter()
                .map(|key| Signer {
                    key: key.clone(),
                    weight: 1,
                })
                .collect();
            account.signers = signers.try_into().expect("few signers");
            account.num_sub_entries = subentries;
        })
    };
    let key = |byte| SignerKey::Ed25519(Uint256([byte; 32]));
    assert!(with_signers(
        &[key(1), SignerKey::PreAuthTx(Uint256([1; 32]))],
        2
    ));
    assert!(!with_signers(&[key(1)], 0));
    assert!(!with_signers(&[key(2), key(1)], 2));
}

#[test]
fn the_settings_can_be_read() {
    let network = Network::new();
    let key = |id| {
        LedgerKey::ConfigSetting(LedgerKeyConfigSetting {
            config_setting_id: id,
        })
        .to_xdr(Limits::none())
        .expect("a key")
    };
    let read = network.node.entries(&[
        key(ConfigSettingId::ScpTiming),
        key(ConfigSettingId::ContractCostParamsCpuInstructions),
    ]);
    let settings: Vec<ConfigSettingEntry> = read
        .entries
        .iter()
        .map(|entry| {
            match LedgerEntryData::from_xdr(entry.data_xdr(), Limits::none()).expect("a setting") {
                LedgerEntryData::ConfigSetting(setting) => setting,
                other => panic!("{other:?}"),
            }
        })
        .collect();
    let [ConfigSettingEntry::ScpTiming(timing), ConfigSettingEntry::ContractCostParamsCpuInstructions(params)] =
        settings.as_slice()
    else {
        panic!("{settings:?}");
    };
    assert_eq!(timing.ledger_target_close_time_milliseconds, 5_000);
    assert_eq!(params.0.len(), 95);
}
