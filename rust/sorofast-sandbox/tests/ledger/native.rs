//! The native asset's contract: lumens that go through the host.

use crate::contracts::meta;
use crate::network::{call, symbol, wasm, Key, Network, XLM};
use sorofast_sandbox::ledger::account::{minimum_balance, starting_sequence};
use sorofast_sandbox::ledger::events::native_contract;
use stellar_xdr::{
    Asset, ContractEventBody, ContractExecutable, ContractId, ContractIdPreimage,
    CreateContractArgs, Hash, HostFunction, Int128Parts, LedgerEntryChange, LedgerEntryData,
    LedgerKey, Limits, ReadXdr, ScAddress, ScMap, ScMapEntry, ScSymbol, ScVal, ScVec,
    SorobanTransactionData, TransactionExt,
};

fn network() -> (Network, ContractId, Key) {
    let network = Network::new();
    let alice = Key::new(1);
    network.fund(&[alice], 1_000 * XLM);
    let native = ContractId(Hash(native_contract(&network.node.network_id())));
    let create = HostFunction::CreateContract(CreateContractArgs {
        contract_id_preimage: ContractIdPreimage::Asset(Asset::Native),
        executable: ContractExecutable::StellarAsset,
    });
    assert!(network.run(&alice, create).successful);
    (network, native, alice)
}

fn amount(stroops: i64) -> ScVal {
    ScVal::I128(Int128Parts {
        hi: 0,
        lo: stroops.cast_unsigned(),
    })
}

fn transfer(native: &ContractId, from: &Key, to: ScVal, stroops: i64) -> HostFunction {
    call(
        native,
        "transfer",
        vec![from.address(), to, amount(stroops)],
    )
}

fn balance_of(network: &Network, native: &ContractId, reader: &Key, of: ScVal) -> i128 {
    let read = network.try_call(reader, call(native, "balance", vec![of]));
    let value = read.expect("a balance").result_xdr.expect("a value");
    match ScVal::from_xdr(value, Limits::none()).expect("a value") {
        ScVal::I128(parts) => i128::from(&parts),
        other => panic!("{other:?}"),
    }
}

/// The registry of the fixtures, paid in lumens, as its creator would set it up.
fn registry(network: &Network, native: &ContractId, alice: &Key) -> ContractId {
    let registry = network.deploy(alice, &wasm("task_registry"));
    let token = ScVal::Address(ScAddress::Contract(native.clone()));
    let init = call(&registry, "init", vec![alice.address(), token]);
    assert!(network.run(alice, init).successful);
    registry
}

fn task(creator: &Key, target: &ContractId, gas_stroops: i64) -> ScVal {
    let empty = || ScVal::Vec(Some(ScVec::default()));
    let target = ScVal::Address(ScAddress::Contract(target.clone()));
    let fields = [
        ("args", empty()),
        ("blocked_by", empty()),
        ("creator", creator.address()),
        ("function", ScVal::Symbol(symbol("increment"))),
        ("gas_balance", amount(gas_stroops)),
        ("interval", ScVal::U64(3_600)),
        ("is_active", ScVal::Bool(true)),
        ("last_run", ScVal::U64(0)),
        ("resolver", ScVal::Void),
        ("target", target),
        ("whitelist", empty()),
        ("yield_strategy", ScVal::Void),
    ];
    let entries = fields.map(|(name, val)| ScMapEntry {
        key: ScVal::Symbol(symbol(name)),
        val,
    });
    ScVal::Map(Some(ScMap(entries.to_vec().try_into().expect("fields"))))
}

#[test]
fn lumens_go_to_a_contract_and_come_back() {
    let (network, native, alice) = network();
    let registry = registry(&network, &native, &alice);
    let counter = network.deploy(&alice, &wasm("counter"));
    let address = || ScVal::Address(ScAddress::Contract(registry.clone()));
    let register = call(
        &registry,
        "register",
        vec![task(&alice, &counter, 30 * XLM)],
    );
    assert!(network.run(&alice, register).successful);
    assert_eq!(
        balance_of(&network, &native, &alice, address()),
        300_000_000
    );
    network.assert_coins();
    let before = network.account(&alice).expect("alice").balance;
    let back = call(
        &registry,
        "withdraw_gas",
        vec![ScVal::U64(1), amount(20 * XLM)],
    );
    let record = network.run(&alice, back);
    assert!(record.successful);
    let after = network.account(&alice).expect("alice").balance;
    assert_eq!(after, before + 20 * XLM - record.fee_charged_stroops);
    assert_eq!(
        balance_of(&network, &native, &alice, address()),
        100_000_000
    );
    network.assert_coins();
}

#[test]
fn accounts_are_read_from_disk_and_written_as_entries_of_the_footprint() {
    let (network, native, alice) = network();
    let bob = Key::new(2);
    network.fund(&[bob], 10 * XLM);
    let tx = network.soroban_tx(&alice, None, transfer(&native, &alice, bob.address(), XLM));
    let TransactionExt::V1(SorobanTransactionData { resources, .. }) = &tx.ext else {
        panic!("a Soroban transaction");
    };
    let written = resources.footprint.read_write.iter();
    let accounts = written.filter(|key| matches!(key, LedgerKey::Account(_)));
    assert_eq!(accounts.count(), 2);
    // Bob's account never moved its sequence: the simulation reckons with the extensions that it may get until then.
    assert!(resources.disk_read_bytes > 2 * 100, "{resources:?}");
    let record = network.apply(&network.sign(&tx, &[alice]));
    assert!(record.successful);
    let changes = meta(&record).operations[0].changes.clone();
    let updated = changes.iter().filter(|change| {
        matches!(change, LedgerEntryChange::Updated(entry) if matches!(entry.data, LedgerEntryData::Account(_)))
    });
    assert_eq!(updated.count(), 2);
    assert_eq!(network.account(&bob).expect("bob").balance, 11 * XLM);
    network.assert_coins();
}

#[test]
fn disk_reads_beyond_what_was_declared_fail() {
    let (network, native, alice) = network();
    let bob = Key::new(2);
    network.fund(&[bob], 10 * XLM);
    let mut tx = network.soroban_tx(&alice, None, transfer(&native, &alice, bob.address(), XLM));
    let TransactionExt::V1(data) = &mut tx.ext else {
        panic!("a Soroban transaction");
    };
    data.resources.disk_read_bytes = 100;
    let record = network.apply(&network.sign(&tx, &[alice]));
    assert!(!record.successful);
    assert_eq!(network.account(&bob).expect("bob").balance, 10 * XLM);
    network.assert_coins();
}

#[test]
fn a_transfer_makes_the_account_that_is_not_there() {
    let (network, native, alice) = network();
    let new = Key::new(7);
    let little = network.try_call(&alice, transfer(&native, &alice, new.address(), XLM - 1));
    let little = little.expect_err("below the reserve of an account");
    assert!(little.contains("Error(Contract, #14)"), "{little}");
    let record = network.run(&alice, transfer(&native, &alice, new.address(), 3 * XLM));
    assert!(record.successful);
    let account = network.account(&new).expect("it was made");
    assert_eq!(account.balance, 3 * XLM);
    assert_eq!(account.seq_num.0, starting_sequence(record.ledger));
    assert!(minimum_balance(&account) < account.balance);
    let changes = meta(&record).operations[0].changes.clone();
    let made = changes.iter().filter(|change| {
        matches!(change, LedgerEntryChange::Created(entry) if matches!(entry.data, LedgerEntryData::Account(_)))
    });
    assert_eq!(made.count(), 1);
    network.assert_coins();
    // It signs for itself from now on.
    let back = network.run(&new, transfer(&native, &new, alice.address(), XLM));
    assert!(back.successful);
    network.assert_coins();
}

#[test]
fn the_reserve_stays_behind() {
    let (network, native, alice) = network();
    let all = network.account(&alice).expect("alice").balance;
    let refused = network.try_call(
        &alice,
        transfer(&native, &alice, Key::new(7).address(), all),
    );
    let refused = refused.expect_err("the reserve");
    assert!(refused.contains("Error(Contract, #10)"), "{refused}");
}

#[test]
fn a_transfer_to_a_muxed_account_tells_its_id() {
    let (network, native, alice) = network();
    let bob = Key::new(2);
    network.fund(&[bob], 10 * XLM);
    let muxed = ScVal::Address(ScAddress::MuxedAccount(stellar_xdr::MuxedEd25519Account {
        id: 42,
        ed25519: stellar_xdr::Uint256(bob.id),
    }));
    let record = network.run(&alice, transfer(&native, &alice, muxed, XLM));
    assert!(record.successful);
    let meta = meta(&record);
    let ContractEventBody::V0(body) = &meta.operations[0].events[0].body;
    let ScVal::Map(Some(fields)) = &body.data else {
        panic!("{body:?}");
    };
    let name = |value: &ScVal| match value {
        ScVal::Symbol(ScSymbol(name)) => name.to_utf8_string_lossy(),
        other => panic!("{other:?}"),
    };
    assert_eq!(name(&fields[1].key), "to_muxed_id");
    assert_eq!(fields[1].val, ScVal::U64(42));
    assert_eq!(body.topics[2], bob.address());
}
