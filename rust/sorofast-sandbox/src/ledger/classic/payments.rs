//! New accounts, payments, and payments through a path, which finds no offers to go through.

use crate::ledger::account::{available_balance, new_account, starting_sequence};
use crate::ledger::classic::assets::{add, is_valid, Refused};
use crate::ledger::classic::events::{address, issuer};
use crate::ledger::classic::outcome::Failed;
use crate::ledger::classic::sponsorship::create_account;
use crate::ledger::classic::work::Work;
use crate::ledger::draft::Held;
use stellar_xdr::{
    AccountId, Asset, CreateAccountOp, CreateAccountResult, MuxedAccount, OperationResultTr,
    PathPaymentStrictReceiveOp, PathPaymentStrictReceiveResult,
    PathPaymentStrictReceiveResultSuccess, PathPaymentStrictSendOp, PathPaymentStrictSendResult,
    PathPaymentStrictSendResultSuccess, PaymentOp, PaymentResult, ScAddress, SimplePaymentResult,
};

pub fn check_create(op: &CreateAccountOp, source: &AccountId) -> Result<(), Failed> {
    if op.starting_balance < 0 || op.destination == *source {
        return Err(CreateAccountResult::Malformed.into());
    }
    Ok(())
}

pub fn create(work: &mut Work<'_>, op: &CreateAccountOp) -> Result<OperationResultTr, Failed> {
    if work.draft.account(&op.destination).is_some() {
        return Err(CreateAccountResult::AlreadyExist.into());
    }
    let id = crate::ledger::account::account_id_bytes(&op.destination);
    let sequence = starting_sequence(work.ledger.ledger.sequence);
    let mut account = Held::new(new_account(&id, op.starting_balance, sequence));
    create_account(&mut work.draft, work.sponsorships, &mut account)
        .map_err(|unpaid| unpaid.with_low_reserve(CreateAccountResult::LowReserve))?;
    // The source may have become a sponsor by now.
    let mut source = work.source_account()?;
    if available_balance(&source.data) < op.starting_balance {
        return Err(CreateAccountResult::Underfunded.into());
    }
    source.data.balance -= op.starting_balance;
    work.draft.store(source);
    work.draft.store(account);
    let from = address(&work.source_address);
    let to = ScAddress::Account(op.destination.clone());
    work.moved(&Asset::Native, &from, &to, op.starting_balance);
    Ok(OperationResultTr::CreateAccount(
        CreateAccountResult::Success,
    ))
}

pub fn check_payment(op: &PaymentOp) -> Result<(), Failed> {
    if op.amount <= 0 || !is_valid(&op.asset) {
        return Err(PaymentResult::Malformed.into());
    }
    Ok(())
}

pub fn pay(work: &mut Work<'_>, op: &PaymentOp) -> Result<OperationResultTr, Failed> {
    let destination = op.destination.clone().account_id();
    if destination != work.source || op.asset != Asset::Native {
        send(work, &destination, &op.asset, op.amount).map_err(|refused| match refused {
            Step::Destination(Refused::NoAccount) => PaymentResult::NoDestination,
            Step::Destination(Refused::NoTrust) => PaymentResult::NoTrust,
            Step::Destination(Refused::NotAuthorized) => PaymentResult::NotAuthorized,
            Step::Destination(Refused::Amount) => PaymentResult::LineFull,
            Step::Source(Refused::NoTrust) => PaymentResult::SrcNoTrust,
            Step::Source(Refused::NotAuthorized) => PaymentResult::SrcNotAuthorized,
            Step::Source(Refused::NoAccount | Refused::Amount) => PaymentResult::Underfunded,
        })?;
    }
    tell(work, &op.destination, &op.asset, op.amount);
    Ok(OperationResultTr::Payment(PaymentResult::Success))
}

/// Which side of a payment refused.
enum Step {
    Destination(Refused),
    Source(Refused),
}

/// First the destination takes, then the source gives. Credits find their way back to an issuer that is gone.
fn send(
    work: &mut Work<'_>,
    destination: &AccountId,
    asset: &Asset,
    amount: i64,
) -> Result<(), Step> {
    if issuer(asset) != Some(destination) && work.draft.account(destination).is_none() {
        return Err(Step::Destination(Refused::NoAccount));
    }
    add(&mut work.draft, destination, asset, amount).map_err(Step::Destination)?;
    let source = work.source.clone();
    add(&mut work.draft, &source, asset, -amount).map_err(Step::Source)
}

fn tell(work: &mut Work<'_>, destination: &MuxedAccount, asset: &Asset, amount: i64) {
    let from = address(&work.source_address);
    work.moved(asset, &from, &address(destination), amount);
}

/// There are no offers here, so that only a path which never changes the asset leads anywhere.
fn is_straight(from: &Asset, path: &[Asset], to: &Asset) -> bool {
    from == to && path.iter().all(|asset| asset == from)
}

pub fn check_receive(op: &PathPaymentStrictReceiveOp) -> Result<(), Failed> {
    let assets_valid =
        is_valid(&op.send_asset) && is_valid(&op.dest_asset) && op.path.iter().all(is_valid);
    if op.dest_amount <= 0 || op.send_max <= 0 || !assets_valid {
        return Err(PathPaymentStrictReceiveResult::Malformed.into());
    }
    Ok(())
}

pub fn receive(
    work: &mut Work<'_>,
    op: &PathPaymentStrictReceiveOp,
) -> Result<OperationResultTr, Failed> {
    use PathPaymentStrictReceiveResult as Code;
    let destination = op.destination.clone().account_id();
    let to_issuer = issuer(&op.dest_asset) == Some(&destination)
        && op.path.is_empty()
        && op.send_asset == op.dest_asset;
    if !to_issuer && work.draft.account(&destination).is_none() {
        return Err(Code::NoDestination.into());
    }
    add(
        &mut work.draft,
        &destination,
        &op.dest_asset,
        op.dest_amount,
    )
    .map_err(|refused| match refused {
        Refused::NoAccount => Code::NoDestination,
        Refused::NoTrust => Code::NoTrust,
        Refused::NotAuthorized => Code::NotAuthorized,
        Refused::Amount => Code::LineFull,
    })?;
    if !is_straight(&op.send_asset, &op.path, &op.dest_asset) {
        return Err(Code::TooFewOffers.into());
    }
    if op.dest_amount > op.send_max {
        return Err(Code::OverSendmax.into());
    }
    let source = work.source.clone();
    add(&mut work.draft, &source, &op.send_asset, -op.dest_amount).map_err(
        |refused| match refused {
            Refused::NoTrust => Code::SrcNoTrust,
            Refused::NotAuthorized => Code::SrcNotAuthorized,
            Refused::NoAccount | Refused::Amount => Code::Underfunded,
        },
    )?;
    tell(work, &op.destination, &op.dest_asset, op.dest_amount);
    Ok(OperationResultTr::PathPaymentStrictReceive(Code::Success(
        PathPaymentStrictReceiveResultSuccess {
            last: SimplePaymentResult {
                destination,
                asset: op.dest_asset.clone(),
                amount: op.dest_amount,
            },
            ..Default::default()
        },
    )))
}

pub fn check_send(op: &PathPaymentStrictSendOp) -> Result<(), Failed> {
    let assets_valid =
        is_valid(&op.send_asset) && is_valid(&op.dest_asset) && op.path.iter().all(is_valid);
    if op.send_amount <= 0 || op.dest_min <= 0 || !assets_valid {
        return Err(PathPaymentStrictSendResult::Malformed.into());
    }
    Ok(())
}

pub fn send_along(
    work: &mut Work<'_>,
    op: &PathPaymentStrictSendOp,
) -> Result<OperationResultTr, Failed> {
    use PathPaymentStrictSendResult as Code;
    let destination = op.destination.clone().account_id();
    let to_issuer = issuer(&op.dest_asset) == Some(&destination)
        && op.path.is_empty()
        && op.send_asset == op.dest_asset;
    if !to_issuer && work.draft.account(&destination).is_none() {
        return Err(Code::NoDestination.into());
    }
    let source = work.source.clone();
    add(&mut work.draft, &source, &op.send_asset, -op.send_amount).map_err(
        |refused| match refused {
            Refused::NoTrust => Code::SrcNoTrust,
            Refused::NotAuthorized => Code::SrcNotAuthorized,
            Refused::NoAccount | Refused::Amount => Code::Underfunded,
        },
    )?;
    if !is_straight(&op.send_asset, &op.path, &op.dest_asset) {
        return Err(Code::TooFewOffers.into());
    }
    if op.send_amount < op.dest_min {
        return Err(Code::UnderDestmin.into());
    }
    add(
        &mut work.draft,
        &destination,
        &op.dest_asset,
        op.send_amount,
    )
    .map_err(|refused| match refused {
        Refused::NoAccount => Code::NoDestination,
        Refused::NoTrust => Code::NoTrust,
        Refused::NotAuthorized => Code::NotAuthorized,
        Refused::Amount => Code::LineFull,
    })?;
    tell(work, &op.destination, &op.dest_asset, op.send_amount);
    Ok(OperationResultTr::PathPaymentStrictSend(Code::Success(
        PathPaymentStrictSendResultSuccess {
            last: SimplePaymentResult {
                destination,
                asset: op.dest_asset.clone(),
                amount: op.send_amount,
            },
            ..Default::default()
        },
    )))
}
