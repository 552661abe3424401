//! Claimable balances of lumens and of issued assets.

use crate::assets::{events, world};
use crate::classic_steps::{by, done, last, run};
use crate::network::{Key, XLM};
use sorofast_sandbox::ledger::account::sponsorship_counts;
use stellar_xdr::{
    AccountFlags, Asset, ClaimClaimableBalanceOp, ClaimClaimableBalanceResult, ClaimPredicate,
    ClaimableBalanceId, Claimant, ClaimantV0, ClawbackClaimableBalanceOp, CreateClaimableBalanceOp,
    CreateClaimableBalanceResult, Operation, OperationBody, OperationResultTr,
};

pub(crate) fn put_aside(
    from: &Key,
    asset: &Asset,
    amount: i64,
    to: &[(Key, ClaimPredicate)],
) -> Operation {
    let claimants: Vec<Claimant> = to
        .iter()
        .map(|(key, predicate)| {
            Claimant::ClaimantTypeV0(ClaimantV0 {
                destination: key.account_id(),
                predicate: predicate.clone(),
            })
        })
        .collect();
    let op = CreateClaimableBalanceOp {
        asset: asset.clone(),
        amount,
        claimants: claimants.try_into().expect("few"),
    };
    by(from, OperationBody::CreateClaimableBalance(op))
}

pub(crate) fn claim(by_whom: &Key, id: &ClaimableBalanceId) -> Operation {
    let op = ClaimClaimableBalanceOp {
        balance_id: id.clone(),
    };
    by(by_whom, OperationBody::ClaimClaimableBalance(op))
}

fn created(record: &sorofast_sandbox::node::TransactionRecord) -> ClaimableBalanceId {
    match last(record) {
        OperationResultTr::CreateClaimableBalance(CreateClaimableBalanceResult::Success(id)) => id,
        other => panic!("{other:?}"),
    }
}

#[test]
fn lumens_put_aside_are_claimed_in_time() {
    let world = world();
    let (network, alice, bob) = (&world.network, world.alice, world.bob);
    let within = ClaimPredicate::BeforeRelativeTime(60);
    let later = ClaimPredicate::Not(Some(Box::new(within.clone())));
    let to = [(bob, within), (alice, later)];
    let record = done(
        network,
        vec![put_aside(&alice, &Asset::Native, 7 * XLM, &to)],
        &[alice],
    );
    assert_eq!(events(&record), [("transfer".into(), 4)]);
    let id = created(&record);
    let account = network.account(&alice).expect("alice");
    assert_eq!(
        sponsorship_counts(&account),
        (0, 2),
        "one reserve for each claimant"
    );
    let cannot = OperationResultTr::ClaimClaimableBalance(ClaimClaimableBalanceResult::CannotClaim);
    let early = run(network, vec![claim(&alice, &id)], &[alice]);
    assert_eq!(last(&early), cannot);
    network.node.advance(1, 61.0).expect("a minute");
    let late = run(network, vec![claim(&bob, &id)], &[bob]);
    assert_eq!(last(&late), cannot);
    let before = network.account(&alice).expect("alice").balance;
    done(network, vec![claim(&alice, &id)], &[alice]);
    let account = network.account(&alice).expect("alice");
    assert_eq!(account.balance, before + 7 * XLM - 100);
    assert_eq!(sponsorship_counts(&account), (0, 0));
    let gone = run(network, vec![claim(&alice, &id)], &[alice]);
    let missing =
        OperationResultTr::ClaimClaimableBalance(ClaimClaimableBalanceResult::DoesNotExist);
    assert_eq!(last(&gone), missing);
}

#[test]
fn credits_put_aside_are_claimed_by_trust_or_clawed_back() {
    let world = world();
    let (issuer, alice, bob) = (world.issuer, world.alice, world.bob);
    world.flags(&[
        AccountFlags::RevocableFlag,
        AccountFlags::ClawbackEnabledFlag,
    ]);
    let world = world.with_usd();
    let network = &world.network;
    let to = [(bob, ClaimPredicate::Unconditional)];
    let id = created(&done(
        network,
        vec![put_aside(&alice, &world.usd, 100, &to)],
        &[alice],
    ));
    assert_eq!(world.balance(&alice), 400);
    done(network, vec![claim(&bob, &id)], &[bob]);
    assert_eq!(world.balance(&bob), 100);
    let id = created(&done(
        network,
        vec![put_aside(&alice, &world.usd, 50, &to)],
        &[alice],
    ));
    let op = ClawbackClaimableBalanceOp { balance_id: id };
    let operation = by(&issuer, OperationBody::ClawbackClaimableBalance(op));
    let record = done(network, vec![operation], &[issuer]);
    assert_eq!(events(&record), [("clawback".into(), 3)]);
    let account = network.account(&alice).expect("alice");
    assert_eq!(sponsorship_counts(&account), (0, 0));
}
