//! Claimable balances: amounts put aside for whoever may claim them.

use crate::crypto::sha256;
use crate::ledger::classic::assets::{add, is_valid, line_asset, line_key, Refused};
use crate::ledger::classic::events::{address, issuer};
use crate::ledger::classic::outcome::Failed;
use crate::ledger::classic::sponsorship::{create_claimable, remove_claimable};
use crate::ledger::classic::work::Work;
use crate::ledger::draft::Held;
use std::collections::BTreeSet;
use stellar_xdr::{
    AccountFlags, AccountId, Asset, ClaimClaimableBalanceOp, ClaimClaimableBalanceResult,
    ClaimPredicate, ClaimableBalanceEntry, ClaimableBalanceEntryExt,
    ClaimableBalanceEntryExtensionV1, ClaimableBalanceEntryExtensionV1Ext, ClaimableBalanceFlags,
    ClaimableBalanceId, Claimant, ClawbackClaimableBalanceOp, ClawbackClaimableBalanceResult,
    CreateClaimableBalanceOp, CreateClaimableBalanceResult, Hash, HashIdPreimage,
    HashIdPreimageOperationId, LedgerKey, LedgerKeyClaimableBalance, Limits, OperationResultTr,
    ScAddress, TrustLineEntry, TrustLineFlags, WriteXdr,
};

/// Deepest nesting of conditions.
const MAX_DEPTH: u32 = 4;
const CLAWBACK: u32 = ClaimableBalanceFlags::ClaimableBalanceClawbackEnabledFlag as u32;

fn claimant(claimant: &Claimant) -> (&AccountId, &ClaimPredicate) {
    let Claimant::ClaimantTypeV0(claimant) = claimant;
    (&claimant.destination, &claimant.predicate)
}

pub fn check_create(op: &CreateClaimableBalanceOp) -> Result<(), Failed> {
    let mut accounts = BTreeSet::new();
    let claimants_valid = op
        .claimants
        .iter()
        .map(claimant)
        .all(|(account, condition)| {
            accounts.insert(account.clone()) && is_well_formed(condition, 1)
        });
    if !is_valid(&op.asset) || op.amount <= 0 || op.claimants.is_empty() || !claimants_valid {
        return Err(CreateClaimableBalanceResult::Malformed.into());
    }
    Ok(())
}

fn is_well_formed(condition: &ClaimPredicate, depth: u32) -> bool {
    if depth > MAX_DEPTH {
        return false;
    }
    match condition {
        ClaimPredicate::Unconditional => true,
        ClaimPredicate::And(both) | ClaimPredicate::Or(both) => {
            both.len() == 2 && both.iter().all(|part| is_well_formed(part, depth + 1))
        }
        ClaimPredicate::Not(inner) => inner
            .as_deref()
            .is_some_and(|inner| is_well_formed(inner, depth + 1)),
        ClaimPredicate::BeforeAbsoluteTime(time) | ClaimPredicate::BeforeRelativeTime(time) => {
            *time >= 0
        }
    }
}

/// Times that count from the ledger become times of the clock.
fn fixed(condition: &ClaimPredicate, close_time_s: i64) -> ClaimPredicate {
    let parts = |both: &stellar_xdr::VecM<ClaimPredicate, 2>| {
        let parts: Vec<_> = both.iter().map(|part| fixed(part, close_time_s)).collect();
        parts.try_into().unwrap_or_default()
    };
    match condition {
        ClaimPredicate::And(both) => ClaimPredicate::And(parts(both)),
        ClaimPredicate::Or(both) => ClaimPredicate::Or(parts(both)),
        ClaimPredicate::Not(inner) => ClaimPredicate::Not(
            inner
                .as_deref()
                .map(|inner| Box::new(fixed(inner, close_time_s))),
        ),
        ClaimPredicate::BeforeRelativeTime(seconds) => {
            ClaimPredicate::BeforeAbsoluteTime(close_time_s.saturating_add(*seconds))
        }
        other => other.clone(),
    }
}

fn holds(condition: &ClaimPredicate, close_time_s: i64) -> bool {
    match condition {
        ClaimPredicate::Unconditional => true,
        ClaimPredicate::And(both) => both.iter().all(|part| holds(part, close_time_s)),
        ClaimPredicate::Or(both) => both.iter().any(|part| holds(part, close_time_s)),
        ClaimPredicate::Not(inner) => !inner
            .as_deref()
            .is_some_and(|inner| holds(inner, close_time_s)),
        ClaimPredicate::BeforeAbsoluteTime(time) => *time > close_time_s,
        // None is left once the balance exists.
        ClaimPredicate::BeforeRelativeTime(_) => false,
    }
}

fn close_time_s(work: &Work<'_>) -> i64 {
    i64::try_from(work.ledger.ledger.close_time_s).unwrap_or(i64::MAX)
}

pub fn create(
    work: &mut Work<'_>,
    op: &CreateClaimableBalanceOp,
) -> Result<OperationResultTr, Failed> {
    use CreateClaimableBalanceResult as Code;
    let source = work.source.clone();
    add(&mut work.draft, &source, &op.asset, -op.amount).map_err(|refused| match refused {
        Refused::NoTrust => Code::NoTrust,
        Refused::NotAuthorized => Code::NotAuthorized,
        Refused::NoAccount | Refused::Amount => Code::Underfunded,
    })?;
    let now_s = close_time_s(work);
    let claimants: Vec<Claimant> = op
        .claimants
        .iter()
        .map(|claimant| {
            let Claimant::ClaimantTypeV0(mut claimant) = claimant.clone();
            claimant.predicate = fixed(&claimant.predicate, now_s);
            Claimant::ClaimantTypeV0(claimant)
        })
        .collect();
    let id = balance_id(work);
    let mut balance = Held::new(ClaimableBalanceEntry {
        balance_id: id.clone(),
        claimants: claimants.try_into().unwrap_or_default(),
        asset: op.asset.clone(),
        amount: op.amount,
        ext: if can_be_clawed_back(work, &op.asset)? {
            ClaimableBalanceEntryExt::V1(ClaimableBalanceEntryExtensionV1 {
                ext: ClaimableBalanceEntryExtensionV1Ext::V0,
                flags: CLAWBACK,
            })
        } else {
            ClaimableBalanceEntryExt::V0
        },
    });
    let units = op.claimants.len() as u32;
    let mut account = work.source_account()?;
    let draft = &mut work.draft;
    create_claimable(
        draft,
        work.sponsorships,
        &mut balance,
        units,
        &mut account.data,
    )
    .map_err(|unpaid| unpaid.with_low_reserve(Code::LowReserve))?;
    draft.store(account);
    draft.store(balance);
    let from = address(&work.source_address);
    let to = ScAddress::ClaimableBalance(id.clone());
    work.moved(&op.asset, &from, &to, op.amount);
    Ok(OperationResultTr::CreateClaimableBalance(Code::Success(id)))
}

/// The issuer's own account decides for what it issues, the trust line for what others put aside.
fn can_be_clawed_back(work: &Work<'_>, asset: &Asset) -> Result<bool, Failed> {
    if issuer(asset) == Some(&work.source) {
        let flags = work.source_account()?.data.flags;
        return Ok(flags & AccountFlags::ClawbackEnabledFlag as u32 != 0);
    }
    let line: Option<Held<TrustLineEntry>> =
        work.draft.load(&line_key(&work.source, line_asset(asset)));
    let flag = TrustLineFlags::TrustlineClawbackEnabledFlag as u32;
    Ok(line.is_some_and(|line| line.data.flags & flag != 0))
}

fn balance_id(work: &Work<'_>) -> ClaimableBalanceId {
    let preimage = HashIdPreimage::OpId(HashIdPreimageOperationId {
        source_account: crate::ledger::account::account_id(&work.tx.source),
        seq_num: work.tx.tx.seq_num.clone(),
        op_num: work.index,
    });
    let hash = sha256(&preimage.to_xdr(Limits::none()).unwrap_or_default());
    ClaimableBalanceId::ClaimableBalanceIdTypeV0(Hash(hash))
}

fn key(id: &ClaimableBalanceId) -> LedgerKey {
    LedgerKey::ClaimableBalance(LedgerKeyClaimableBalance {
        balance_id: id.clone(),
    })
}

pub fn claim(
    work: &mut Work<'_>,
    op: &ClaimClaimableBalanceOp,
) -> Result<OperationResultTr, Failed> {
    use ClaimClaimableBalanceResult as Code;
    let balance: Held<ClaimableBalanceEntry> = work
        .draft
        .load(&key(&op.balance_id))
        .ok_or(Code::DoesNotExist)?;
    let now_s = close_time_s(work);
    let entitled = balance
        .data
        .claimants
        .iter()
        .map(claimant)
        .find(|(account, _)| **account == work.source)
        .is_some_and(|(_, condition)| holds(condition, now_s));
    if !entitled {
        return Err(Code::CannotClaim.into());
    }
    let source = work.source.clone();
    let (asset, amount) = (balance.data.asset.clone(), balance.data.amount);
    add(&mut work.draft, &source, &asset, amount).map_err(|refused| match refused {
        Refused::NoTrust => Code::NoTrust,
        Refused::NotAuthorized => Code::NotAuthorized,
        Refused::NoAccount | Refused::Amount => Code::LineFull,
    })?;
    remove(work, &balance)?;
    let from = ScAddress::ClaimableBalance(op.balance_id.clone());
    let to = address(&work.source_address);
    work.moved(&asset, &from, &to, amount);
    Ok(OperationResultTr::ClaimClaimableBalance(Code::Success))
}

pub fn claw_back(
    work: &mut Work<'_>,
    op: &ClawbackClaimableBalanceOp,
) -> Result<OperationResultTr, Failed> {
    use ClawbackClaimableBalanceResult as Code;
    let balance: Held<ClaimableBalanceEntry> = work
        .draft
        .load(&key(&op.balance_id))
        .ok_or(Code::DoesNotExist)?;
    if issuer(&balance.data.asset) != Some(&work.source) {
        return Err(Code::NotIssuer.into());
    }
    let flags = match &balance.data.ext {
        ClaimableBalanceEntryExt::V0 => 0,
        ClaimableBalanceEntryExt::V1(v1) => v1.flags,
    };
    if flags & CLAWBACK == 0 {
        return Err(Code::NotClawbackEnabled.into());
    }
    remove(work, &balance)?;
    let from = ScAddress::ClaimableBalance(op.balance_id.clone());
    work.clawed_back(&balance.data.asset, &from, balance.data.amount);
    Ok(OperationResultTr::ClawbackClaimableBalance(Code::Success))
}

fn remove(work: &mut Work<'_>, balance: &Held<ClaimableBalanceEntry>) -> Result<(), Failed> {
    let mut account = work.source_account()?;
    let units = balance.data.claimants.len() as u32;
    remove_claimable(&mut work.draft, &balance.ext, units, &mut account.data)
        .map_err(|_| Failed::Internal)?;
    work.draft.store(account);
    work.draft.erase(&key(&balance.data.balance_id));
    Ok(())
}
