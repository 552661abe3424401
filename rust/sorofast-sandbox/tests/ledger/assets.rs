//! Issued assets: trust lines, payments, leave and clawback, and the contracts that stand for them.

use crate::classic_steps::{begin, by, done, end, last, no_options, results, run};
use crate::contracts::meta;
use crate::network::{call, refusal, Key, Network, XLM};
use sorofast_sandbox::ledger::account::{available_balance, sponsorship_counts};
use sorofast_sandbox::ledger::classic::assets::{line_asset, line_key};
use sorofast_sandbox::ledger::classic::events::asset_contract;
use stellar_xdr::{
    AccountFlags, AllowTrustOp, AllowTrustResult, AlphaNum4, Asset, AssetCode, AssetCode4,
    ChangeTrustAsset, ChangeTrustOp, ChangeTrustResult, ClawbackOp, ContractEventBody,
    ContractExecutable, ContractId, ContractIdPreimage, CreateContractArgs, Hash, HostFunction,
    Int128Parts, LedgerEntryData, Limits, MuxedAccount, Operation, OperationBody, OperationResult,
    OperationResultTr, PathPaymentStrictReceiveOp, PathPaymentStrictReceiveResult,
    PathPaymentStrictSendOp, PathPaymentStrictSendResult, PaymentOp, PaymentResult, ReadXdr,
    ScSymbol, ScVal, SetOptionsOp, SetTrustLineFlagsOp, SetTrustLineFlagsResult,
    TransactionResultResult as Code, TrustLineEntry, TrustLineFlags, WriteXdr,
};

const AUTHORIZED: u32 = TrustLineFlags::AuthorizedFlag as u32;

pub(crate) struct World {
    pub(crate) network: Network,
    pub(crate) issuer: Key,
    pub(crate) alice: Key,
    pub(crate) bob: Key,
    pub(crate) usd: Asset,
}

pub(crate) fn world() -> World {
    let network = Network::new();
    let (issuer, alice, bob) = (Key::new(1), Key::new(2), Key::new(3));
    network.fund(&[issuer, alice, bob], 100 * XLM);
    let usd = Asset::CreditAlphanum4(AlphaNum4 {
        asset_code: AssetCode4(*b"USD\0"),
        issuer: issuer.account_id(),
    });
    World {
        network,
        issuer,
        alice,
        bob,
        usd,
    }
}

impl World {
    /// Both hold the asset, and alice has some of it.
    pub(crate) fn with_usd(self) -> Self {
        done(
            &self.network,
            vec![self.trust(&self.alice, i64::MAX)],
            &[self.alice],
        );
        done(
            &self.network,
            vec![self.trust(&self.bob, 1_000)],
            &[self.bob],
        );
        done(
            &self.network,
            vec![self.pay(&self.issuer, &self.alice, 500)],
            &[self.issuer],
        );
        self
    }

    fn trust(&self, holder: &Key, limit: i64) -> Operation {
        let Asset::CreditAlphanum4(asset) = self.usd.clone() else {
            unreachable!("a short code");
        };
        let line = ChangeTrustAsset::CreditAlphanum4(asset);
        by(
            holder,
            OperationBody::ChangeTrust(ChangeTrustOp { line, limit }),
        )
    }

    fn pay(&self, from: &Key, to: &Key, amount: i64) -> Operation {
        let payment = PaymentOp {
            destination: to.muxed(),
            asset: self.usd.clone(),
            amount,
        };
        by(from, OperationBody::Payment(payment))
    }

    fn line(&self, holder: &Key) -> Option<TrustLineEntry> {
        let key = line_key(&holder.account_id(), line_asset(&self.usd));
        let key = key.to_xdr(Limits::none()).expect("a key");
        let read = self.network.node.entries(&[key]);
        let data = read.entries.first()?.data_xdr();
        match LedgerEntryData::from_xdr(data, Limits::none()).expect("an entry") {
            LedgerEntryData::Trustline(line) => Some(line),
            other => panic!("{other:?}"),
        }
    }

    pub(crate) fn balance(&self, holder: &Key) -> i64 {
        self.line(holder).map_or(0, |line| line.balance)
    }

    pub(crate) fn flags(&self, set: &[AccountFlags]) {
        let set_flags = set.iter().map(|flag| *flag as u32).sum();
        let op = SetOptionsOp {
            set_flags: Some(set_flags),
            ..no_options()
        };
        let operation = by(&self.issuer, OperationBody::SetOptions(op));
        done(&self.network, vec![operation], &[self.issuer]);
    }
}

fn paid(code: PaymentResult) -> OperationResultTr {
    OperationResultTr::Payment(code)
}

/// Names of the events of the operations, with how many topics they have.
pub(crate) fn events(record: &sorofast_sandbox::node::TransactionRecord) -> Vec<(String, usize)> {
    let meta = meta(record);
    let all = meta.operations.iter().flat_map(|op| op.events.iter());
    all.map(|event| {
        let ContractEventBody::V0(body) = &event.body;
        let ScVal::Symbol(ScSymbol(name)) = &body.topics[0] else {
            panic!("{body:?}");
        };
        (name.to_utf8_string_lossy(), body.topics.len())
    })
    .collect()
}

#[test]
fn an_asset_moves_between_those_who_trust_its_issuer() {
    let world = world();
    let (network, issuer, alice, bob) = (&world.network, world.issuer, world.alice, world.bob);
    let record = run(network, vec![world.pay(&issuer, &alice, 5)], &[issuer]);
    assert_eq!(last(&record), paid(PaymentResult::NoTrust));
    done(network, vec![world.trust(&alice, 100)], &[alice]);
    let line = world.line(&alice).expect("a trust line");
    assert_eq!((line.limit, line.flags), (100, AUTHORIZED));
    assert_eq!(network.account(&alice).expect("alice").num_sub_entries, 1);
    let record = run(network, vec![world.pay(&issuer, &alice, 101)], &[issuer]);
    assert_eq!(last(&record), paid(PaymentResult::LineFull));
    let minted = done(network, vec![world.pay(&issuer, &alice, 60)], &[issuer]);
    assert_eq!(events(&minted), [("mint".into(), 3)]);
    let record = run(network, vec![world.pay(&alice, &bob, 1)], &[alice]);
    assert_eq!(last(&record), paid(PaymentResult::NoTrust));
    let record = run(network, vec![world.pay(&bob, &alice, 1)], &[bob]);
    assert_eq!(last(&record), paid(PaymentResult::SrcNoTrust));
    done(network, vec![world.trust(&bob, 100)], &[bob]);
    let moved = done(network, vec![world.pay(&alice, &bob, 20)], &[alice]);
    assert_eq!(events(&moved), [("transfer".into(), 4)]);
    let record = run(network, vec![world.pay(&alice, &bob, 41)], &[alice]);
    assert_eq!(last(&record), paid(PaymentResult::Underfunded));
    let burnt = done(network, vec![world.pay(&bob, &issuer, 5)], &[bob]);
    assert_eq!(events(&burnt), [("burn".into(), 3)]);
    assert_eq!((world.balance(&alice), world.balance(&bob)), (40, 15));
}

#[test]
fn a_trust_line_goes_only_empty() {
    let world = world().with_usd();
    let (network, issuer, alice) = (&world.network, world.issuer, world.alice);
    let code = |code| OperationResultTr::ChangeTrust(code);
    let record = run(network, vec![world.trust(&alice, 0)], &[alice]);
    assert_eq!(last(&record), code(ChangeTrustResult::InvalidLimit));
    let record = run(network, vec![world.trust(&alice, 499)], &[alice]);
    assert_eq!(last(&record), code(ChangeTrustResult::InvalidLimit));
    done(network, vec![world.pay(&alice, &issuer, 500)], &[alice]);
    done(network, vec![world.trust(&alice, 0)], &[alice]);
    assert!(world.line(&alice).is_none());
    assert_eq!(network.account(&alice).expect("alice").num_sub_entries, 0);
    let tx = network.tx(&issuer, vec![world.trust(&issuer, 1)]);
    let refused = refusal(&network.submit(&network.sign(&tx, &[issuer])));
    let Code::TxFailed(list) = refused else {
        panic!("{refused:?}");
    };
    let malformed = OperationResult::OpInner(code(ChangeTrustResult::Malformed));
    assert_eq!(list[0], malformed);
}

#[test]
fn a_trust_line_costs_a_reserve_that_may_be_sponsored() {
    let world = world();
    let (network, alice) = (&world.network, world.alice);
    let poor = Key::new(9);
    network.fund(&[poor], XLM + XLM / 4);
    let record = run(network, vec![world.trust(&poor, 10)], &[poor]);
    let low = OperationResultTr::ChangeTrust(ChangeTrustResult::LowReserve);
    assert_eq!(last(&record), low);
    let operations = vec![begin(&alice, &poor), world.trust(&poor, 10), end(&poor)];
    done(network, operations, &[alice, poor]);
    let account = network.account(&poor).expect("poor");
    assert_eq!(sponsorship_counts(&account), (1, 0));
    assert!(available_balance(&account) > 0);
}

#[test]
fn an_issuer_gives_and_takes_leave() {
    let world = world();
    let (network, issuer, alice) = (&world.network, world.issuer, world.alice);
    world.flags(&[AccountFlags::RequiredFlag]);
    done(network, vec![world.trust(&alice, 100)], &[alice]);
    assert_eq!(world.line(&alice).expect("a line").flags, 0);
    let record = run(network, vec![world.pay(&issuer, &alice, 1)], &[issuer]);
    assert_eq!(last(&record), paid(PaymentResult::NotAuthorized));
    let allow = |authorize| {
        let op = AllowTrustOp {
            trustor: alice.account_id(),
            asset: AssetCode::CreditAlphanum4(AssetCode4(*b"USD\0")),
            authorize,
        };
        by(&issuer, OperationBody::AllowTrust(op))
    };
    let record = done(network, vec![allow(AUTHORIZED)], &[issuer]);
    assert_eq!(events(&record), [("set_authorized".into(), 3)]);
    done(network, vec![world.pay(&issuer, &alice, 1)], &[issuer]);
    let record = run(network, vec![allow(0)], &[issuer]);
    let refused = OperationResultTr::AllowTrust(AllowTrustResult::CantRevoke);
    assert_eq!(last(&record), refused);
    let flags = |set_flags, clear_flags| {
        let op = SetTrustLineFlagsOp {
            trustor: alice.account_id(),
            asset: world.usd.clone(),
            clear_flags,
            set_flags,
        };
        by(&issuer, OperationBody::SetTrustLineFlags(op))
    };
    let record = run(network, vec![flags(0, AUTHORIZED)], &[issuer]);
    let refused = OperationResultTr::SetTrustLineFlags(SetTrustLineFlagsResult::CantRevoke);
    assert_eq!(last(&record), refused);
    world.flags(&[AccountFlags::RevocableFlag]);
    done(network, vec![flags(0, AUTHORIZED)], &[issuer]);
    assert_eq!(world.line(&alice).expect("a line").flags, 0);
    let record = run(network, vec![world.pay(&alice, &issuer, 1)], &[alice]);
    assert_eq!(last(&record), paid(PaymentResult::SrcNotAuthorized));
}

#[test]
fn an_issuer_claws_back_what_it_said_it_might() {
    let world = world();
    let (issuer, alice) = (world.issuer, world.alice);
    world.flags(&[
        AccountFlags::RevocableFlag,
        AccountFlags::ClawbackEnabledFlag,
    ]);
    let world = world.with_usd();
    let claw = ClawbackOp {
        asset: world.usd.clone(),
        from: alice.muxed(),
        amount: 200,
    };
    let operation = by(&issuer, OperationBody::Clawback(claw));
    let record = done(&world.network, vec![operation], &[issuer]);
    assert_eq!(events(&record), [("clawback".into(), 3)]);
    assert_eq!(world.balance(&alice), 300);
}

#[test]
fn a_path_without_offers_leads_only_straight_on() {
    let world = world().with_usd();
    let (network, alice, bob) = (&world.network, world.alice, world.bob);
    let receive = |send_asset: Asset, send_max| {
        let op = PathPaymentStrictReceiveOp {
            send_asset,
            send_max,
            destination: bob.muxed(),
            dest_asset: world.usd.clone(),
            dest_amount: 10,
            path: stellar_xdr::VecM::default(),
        };
        by(&alice, OperationBody::PathPaymentStrictReceive(op))
    };
    done(network, vec![receive(world.usd.clone(), 10)], &[alice]);
    assert_eq!(world.balance(&bob), 10);
    let code = |code| OperationResultTr::PathPaymentStrictReceive(code);
    let record = run(network, vec![receive(world.usd.clone(), 9)], &[alice]);
    assert_eq!(
        last(&record),
        code(PathPaymentStrictReceiveResult::OverSendmax)
    );
    let record = run(network, vec![receive(Asset::Native, 10)], &[alice]);
    assert_eq!(
        last(&record),
        code(PathPaymentStrictReceiveResult::TooFewOffers)
    );
    let send = |dest_asset: Asset, dest_min| {
        let op = PathPaymentStrictSendOp {
            send_asset: world.usd.clone(),
            send_amount: 10,
            destination: bob.muxed(),
            dest_asset,
            dest_min,
            path: stellar_xdr::VecM::default(),
        };
        by(&alice, OperationBody::PathPaymentStrictSend(op))
    };
    done(network, vec![send(world.usd.clone(), 10)], &[alice]);
    assert_eq!(world.balance(&bob), 20);
    let code = |code| OperationResultTr::PathPaymentStrictSend(code);
    let record = run(network, vec![send(world.usd.clone(), 11)], &[alice]);
    assert_eq!(
        last(&record),
        code(PathPaymentStrictSendResult::UnderDestmin)
    );
    let record = run(network, vec![send(Asset::Native, 1)], &[alice]);
    assert_eq!(
        last(&record),
        code(PathPaymentStrictSendResult::TooFewOffers)
    );
}

#[test]
fn the_contract_of_an_issued_asset_moves_trust_lines() {
    let world = world().with_usd();
    let (network, issuer, alice, bob) = (&world.network, world.issuer, world.alice, world.bob);
    let contract = ContractId(Hash(asset_contract(&network.node.network_id(), &world.usd)));
    let create = HostFunction::CreateContract(CreateContractArgs {
        contract_id_preimage: ContractIdPreimage::Asset(world.usd.clone()),
        executable: ContractExecutable::StellarAsset,
    });
    assert!(network.run(&alice, create).successful);
    let amount = |units: u64| ScVal::I128(Int128Parts { hi: 0, lo: units });
    let args = vec![alice.address(), bob.address(), amount(30)];
    let record = network.run(&alice, call(&contract, "transfer", args));
    assert!(record.successful, "{:?}", results(&record));
    assert_eq!(events(&record), [("transfer".into(), 4)]);
    assert_eq!((world.balance(&alice), world.balance(&bob)), (470, 30));
    let mint = call(&contract, "mint", vec![bob.address(), amount(7)]);
    assert!(network.run(&issuer, mint).successful);
    assert_eq!(world.balance(&bob), 37);
    // Beyond what bob trusts the issuer for, the host itself refuses.
    let args = vec![alice.address(), bob.address(), amount(964)];
    let refused = network.try_call(&alice, call(&contract, "transfer", args));
    let refused = refused.expect_err("the line is full");
    assert!(refused.contains("Error(Contract, #10)"), "{refused}");
    // A new trust line, made by the contract itself.
    let carol = Key::new(8);
    network.fund(&[carol], 100 * XLM);
    let record = network.run(&carol, call(&contract, "trust", vec![carol.address()]));
    assert!(record.successful, "{:?}", results(&record));
    assert_eq!(world.line(&carol).expect("a line").limit, i64::MAX);
    assert_eq!(network.account(&carol).expect("carol").num_sub_entries, 1);
    network.assert_coins();
}

#[test]
fn muxed_payments_tell_whom_they_are_for() {
    let world = world().with_usd();
    let (network, alice, bob) = (&world.network, world.alice, world.bob);
    let muxed = MuxedAccount::MuxedEd25519(stellar_xdr::MuxedAccountMed25519 {
        id: 77,
        ed25519: stellar_xdr::Uint256(bob.id),
    });
    let payment = PaymentOp {
        destination: muxed,
        asset: world.usd.clone(),
        amount: 5,
    };
    let record = done(
        network,
        vec![by(&alice, OperationBody::Payment(payment))],
        &[alice],
    );
    let meta = meta(&record);
    let ContractEventBody::V0(body) = &meta.operations[0].events[0].body;
    let ScVal::Map(Some(fields)) = &body.data else {
        panic!("{body:?}");
    };
    assert_eq!(fields[1].val, ScVal::U64(77));
    let issuer = stellar_strkey::ed25519::PublicKey(world.issuer.id);
    let ScVal::String(name) = &body.topics[3] else {
        panic!("{body:?}");
    };
    assert_eq!(name.0.to_utf8_string_lossy(), format!("USD:{issuer}"));
}
