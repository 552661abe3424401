//! Entries that are extended, expire, come back and are made anew.

use crate::contracts::{bump_key, meta, with_counter};
use crate::network::{call, Key, Network, XLM};
use sorofast_sandbox::ledger::events::native_contract;
use sorofast_sandbox::node::{EntryView, SubmitStatus, TransactionRecord};
use stellar_xdr::{
    Asset, ContractDataDurability, ContractExecutable, ContractId, ContractIdPreimage,
    CreateContractArgs, Hash, HostFunction, Int128Parts, LedgerEntryChange, LedgerEntryData,
    LedgerKey, LedgerKeyContractData, Limits, ScAddress, ScVal, SorobanTransactionMetaExt,
    Transaction, TransactionExt, WriteXdr,
};

fn amount(stroops: i64) -> ScVal {
    ScVal::I128(Int128Parts {
        hi: 0,
        lo: stroops.unsigned_abs(),
    })
}

/// The contract of the native asset.
fn native(network: &Network, payer: &Key) -> ContractId {
    let create = HostFunction::CreateContract(CreateContractArgs {
        contract_id_preimage: ContractIdPreimage::Asset(Asset::Native),
        executable: ContractExecutable::StellarAsset,
    });
    assert!(network.run(payer, create).successful);
    ContractId(Hash(native_contract(&network.node.network_id())))
}

fn read(network: &Network, key: &[u8]) -> EntryView {
    network.node.entries(&[key.to_vec()]).entries[0].clone()
}

fn put(network: &Network, entry: &EntryView, live_until: u32) {
    network
        .node
        .put_entries(vec![(entry.entry_xdr.to_vec(), Some(live_until))])
        .expect("an entry");
}

fn rent(record: &TransactionRecord) -> i64 {
    match meta(record).soroban_meta.map(|meta| meta.ext) {
        Some(SorobanTransactionMetaExt::V1(fees)) => fees.rent_fee_charged,
        other => panic!("{other:?}"),
    }
}

/// Kinds of the only operation's changes, data before lifetimes.
fn changes(record: &TransactionRecord) -> Vec<String> {
    let meta = meta(record);
    let changes = meta.operations[0].changes.iter();
    let name = |change: &LedgerEntryChange| match change {
        LedgerEntryChange::Removed(LedgerKey::Ttl(_)) => "removed ttl".to_owned(),
        LedgerEntryChange::Removed(_) => "removed".to_owned(),
        LedgerEntryChange::Created(entry)
        | LedgerEntryChange::Updated(entry)
        | LedgerEntryChange::State(entry)
        | LedgerEntryChange::Restored(entry) => {
            let ttl = matches!(entry.data, LedgerEntryData::Ttl(_));
            format!(
                "{}{}",
                change.name().to_lowercase(),
                if ttl { " ttl" } else { "" }
            )
        }
    };
    changes.map(name).collect()
}

#[test]
fn readers_of_one_ledger_all_pay_for_the_extension() {
    let network = Network::new();
    let keys: Vec<Key> = (1..=4).map(Key::new).collect();
    network.fund(&keys, 1_000 * XLM);
    let native = native(&network, &keys[0]);
    let instance = LedgerKey::ContractData(LedgerKeyContractData {
        contract: ScAddress::Contract(native.clone()),
        key: ScVal::LedgerKeyContractInstance,
        durability: ContractDataDurability::Persistent,
    })
    .to_xdr(Limits::none())
    .expect("a key");
    let short = network.node.latest().sequence + 100;
    put(&network, &read(&network, &instance), short);
    let envelopes: Vec<Vec<u8>> = [(0, 1), (2, 3)]
        .map(|(from, to): (usize, usize)| {
            let args = vec![keys[from].address(), keys[to].address(), amount(XLM)];
            let tx = network.soroban_tx(&keys[from], None, call(&native, "transfer", args));
            network.sign(&tx, &[keys[from]])
        })
        .to_vec();
    for envelope in &envelopes {
        assert_eq!(network.submit(envelope).status, SubmitStatus::Pending);
    }
    let ledger = network.close();
    let (records, _) = network.node.applied(ledger, 10);
    assert_eq!(records.len(), 2);
    assert!(records.iter().all(|record| record.successful));
    assert!(rent(&records[0]) > 0);
    assert_eq!(rent(&records[0]), rent(&records[1]));
    assert!(read(&network, &instance).live_until > Some(short));
    network.assert_coins();
}

#[test]
fn what_is_restored_and_changed_says_both() {
    let (network, alice, counter) = with_counter();
    network.run(&alice, call(&counter, "bump", vec![ScVal::U64(1)]));
    let entry = read(&network, &bump_key(&counter, 1));
    put(&network, &entry, network.node.latest().sequence - 1);
    let record = network.run(&alice, call(&counter, "bump", vec![ScVal::U64(1)]));
    assert_eq!(changes(&record), ["restored", "updated", "restored ttl"]);
    let meta = meta(&record);
    let LedgerEntryChange::Restored(back) = &meta.operations[0].changes[0] else {
        panic!("{:?}", meta.operations[0].changes);
    };
    assert_eq!(back.last_modified_ledger_seq, record.ledger);
    let LedgerEntryData::ContractData(data) = &back.data else {
        panic!("contract data");
    };
    assert_eq!(data.val, ScVal::U64(1), "as it was in the archive");
}

/// Key of the only temporary entry that a transaction writes.
fn temporary_key(tx: &Transaction) -> LedgerKey {
    let TransactionExt::V1(data) = &tx.ext else {
        unreachable!("a Soroban transaction");
    };
    let temporary = |key: &&LedgerKey| {
        matches!(key, LedgerKey::ContractData(data)
            if data.durability == ContractDataDurability::Temporary)
    };
    let keys = &data.resources.footprint.read_write;
    keys.iter().find(temporary).expect("an allowance").clone()
}

#[test]
fn expired_temporary_entries_are_replaced_or_erased() {
    let (network, alice, counter) = with_counter();
    let native = native(&network, &alice);
    let approve = || {
        let until = network.node.latest().sequence + 1_000;
        let spender = Key::new(9).address();
        let args = vec![alice.address(), spender, amount(XLM), ScVal::U32(until)];
        network.soroban_tx(&alice, None, call(&native, "approve", args))
    };
    let tx = approve();
    let key = temporary_key(&tx);
    let key_xdr = key.to_xdr(Limits::none()).expect("a key");
    let record = network.apply(&network.sign(&tx, &[alice]));
    assert_eq!(changes(&record), ["created", "created ttl"]);
    let entry = read(&network, &key_xdr);
    let expire = || put(&network, &entry, network.node.latest().sequence - 1);

    expire();
    let record = network.apply(&network.sign(&approve(), &[alice]));
    assert_eq!(
        changes(&record),
        ["state", "updated", "state ttl", "updated ttl"]
    );
    assert!(read(&network, &key_xdr).live_until > Some(record.ledger));

    // A call that declares the key as written and leaves it alone finds nothing to hand back.
    expire();
    let bump = call(&counter, "bump", vec![ScVal::U64(1)]);
    let mut tx = network.soroban_tx(&alice, None, bump);
    let TransactionExt::V1(data) = &mut tx.ext else {
        unreachable!("a Soroban transaction");
    };
    let mut keys = data.resources.footprint.read_write.to_vec();
    keys.push(key);
    data.resources.footprint.read_write = keys.try_into().expect("keys");
    data.resource_fee += 100_000;
    tx.fee += 100_000;
    let record = network.apply(&network.sign(&tx, &[alice]));
    assert!(record.successful);
    let told = changes(&record);
    for kind in ["removed", "removed ttl"] {
        assert!(told.iter().any(|change| change == kind), "{told:?}");
    }
    network.assert_coins();
}
