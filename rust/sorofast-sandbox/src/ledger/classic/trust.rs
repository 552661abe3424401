//! Trust lines: who holds an asset of whom, up to how much, and by whose leave.

use crate::ledger::classic::assets::{
    add_to_line, is_valid, line_asset, line_key, line_liabilities, line_reserves,
};
use crate::ledger::classic::events::{address, issuer};
use crate::ledger::classic::outcome::Failed;
use crate::ledger::classic::sponsorship::{create_subentry, remove_entry};
use crate::ledger::classic::work::Work;
use crate::ledger::draft::Held;
use stellar_xdr::{
    AccountFlags, AccountId, AllowTrustOp, AllowTrustResult, AlphaNum12, AlphaNum4, Asset,
    AssetCode, ChangeTrustAsset, ChangeTrustOp, ChangeTrustResult, ClawbackOp, ClawbackResult,
    OperationBody, OperationResultTr, SetTrustLineFlagsOp, SetTrustLineFlagsResult, TrustLineEntry,
    TrustLineEntryExt, TrustLineEntryV1Ext, TrustLineFlags,
};

const AUTHORIZED: u32 = TrustLineFlags::AuthorizedFlag as u32;
const MAINTAIN: u32 = TrustLineFlags::AuthorizedToMaintainLiabilitiesFlag as u32;
const CLAWBACK: u32 = TrustLineFlags::TrustlineClawbackEnabledFlag as u32;
const AUTHORIZATION: u32 = AUTHORIZED | MAINTAIN;

pub fn is_pool_share(body: &OperationBody) -> bool {
    matches!(
        body,
        OperationBody::ChangeTrust(ChangeTrustOp {
            line: ChangeTrustAsset::PoolShare(_),
            ..
        })
    )
}

fn trusted(line: &ChangeTrustAsset) -> Option<Asset> {
    match line {
        ChangeTrustAsset::CreditAlphanum4(asset) => Some(Asset::CreditAlphanum4(asset.clone())),
        ChangeTrustAsset::CreditAlphanum12(asset) => Some(Asset::CreditAlphanum12(asset.clone())),
        ChangeTrustAsset::Native | ChangeTrustAsset::PoolShare(_) => None,
    }
}

pub fn check_change(op: &ChangeTrustOp, source: &AccountId) -> Result<(), Failed> {
    match trusted(&op.line) {
        Some(asset) if op.limit >= 0 && is_valid(&asset) && issuer(&asset) != Some(source) => {
            Ok(())
        }
        _ => Err(ChangeTrustResult::Malformed.into()),
    }
}

pub fn change(work: &mut Work<'_>, op: &ChangeTrustOp) -> Result<OperationResultTr, Failed> {
    use ChangeTrustResult as Code;
    let asset = trusted(&op.line).ok_or(Code::Malformed)?;
    let issuer = issuer(&asset).ok_or(Code::Malformed)?.clone();
    let key = line_key(&work.source, line_asset(&asset));
    let found: Option<Held<TrustLineEntry>> = work.draft.load(&key);
    match found {
        Some(mut line) => {
            let (buying, _) = line_liabilities(&line.data);
            if op.limit < line.data.balance.saturating_add(buying) {
                return Err(Code::InvalidLimit.into());
            }
            if op.limit == 0 {
                if is_used_by_pools(&line.data) {
                    return Err(Code::CannotDelete.into());
                }
                let mut owner = work.source_account()?;
                let units = line_reserves(&line.data.asset);
                remove_entry(&mut work.draft, &line.ext, units, true, &mut owner.data)
                    .map_err(|unpaid| unpaid.with_low_reserve(Code::LowReserve))?;
                work.draft.store(owner);
                work.draft.erase(&key);
            } else {
                if work.draft.account(&issuer).is_none() {
                    return Err(Code::NoIssuer.into());
                }
                line.data.limit = op.limit;
                work.draft.store(line);
            }
        }
        None if op.limit == 0 => return Err(Code::InvalidLimit.into()),
        None => {
            let issuer = work.draft.account(&issuer).ok_or(Code::NoIssuer)?;
            let has = |flag: AccountFlags| issuer.data.flags & flag as u32 != 0;
            let mut flags = 0;
            if !has(AccountFlags::RequiredFlag) {
                flags |= AUTHORIZED;
            }
            if has(AccountFlags::ClawbackEnabledFlag) {
                flags |= CLAWBACK;
            }
            let mut line = Held::new(TrustLineEntry {
                account_id: work.source.clone(),
                asset: line_asset(&asset),
                balance: 0,
                limit: op.limit,
                flags,
                ext: TrustLineEntryExt::V0,
            });
            let mut owner = work.source_account()?;
            let draft = &mut work.draft;
            create_subentry(draft, work.sponsorships, &mut line, 1, &mut owner.data)
                .map_err(|unpaid| unpaid.with_low_reserve(Code::LowReserve))?;
            draft.store(owner);
            draft.store(line);
        }
    }
    Ok(OperationResultTr::ChangeTrust(Code::Success))
}

fn is_used_by_pools(line: &TrustLineEntry) -> bool {
    match &line.ext {
        TrustLineEntryExt::V1(v1) => match &v1.ext {
            TrustLineEntryV1Ext::V2(v2) => v2.liquidity_pool_use_count != 0,
            TrustLineEntryV1Ext::V0 => false,
        },
        TrustLineEntryExt::V0 => false,
    }
}

fn issued_by(code: &AssetCode, issuer: &AccountId) -> Asset {
    let issuer = issuer.clone();
    match code {
        AssetCode::CreditAlphanum4(code) => Asset::CreditAlphanum4(AlphaNum4 {
            asset_code: code.clone(),
            issuer,
        }),
        AssetCode::CreditAlphanum12(code) => Asset::CreditAlphanum12(AlphaNum12 {
            asset_code: code.clone(),
            issuer,
        }),
    }
}

pub fn check_allow(op: &AllowTrustOp, source: &AccountId) -> Result<(), Failed> {
    if op.authorize > MAINTAIN || !is_valid(&issued_by(&op.asset, source)) || op.trustor == *source
    {
        return Err(AllowTrustResult::Malformed.into());
    }
    Ok(())
}

pub fn allow(work: &mut Work<'_>, op: &AllowTrustOp) -> Result<OperationResultTr, Failed> {
    use AllowTrustResult as Code;
    let revocable = is_revocable(work)?;
    if !revocable && op.authorize == 0 {
        return Err(Code::CantRevoke.into());
    }
    let asset = issued_by(&op.asset, &work.source);
    let line = load_line(work, &op.trustor, &asset).ok_or(Code::NoTrustLine)?;
    let flags = (line.data.flags & !AUTHORIZATION) | op.authorize;
    if !revocable && line.data.flags & AUTHORIZED != 0 && flags & MAINTAIN != 0 {
        return Err(Code::CantRevoke.into());
    }
    write_flags(work, &asset, line, flags);
    Ok(OperationResultTr::AllowTrust(Code::Success))
}

pub fn check_flags(op: &SetTrustLineFlagsOp, source: &AccountId) -> Result<(), Failed> {
    let both = AUTHORIZED | MAINTAIN;
    let well_formed = op.asset != Asset::Native
        && is_valid(&op.asset)
        && issuer(&op.asset) == Some(source)
        && op.trustor != *source
        && op.set_flags & op.clear_flags == 0
        && op.set_flags & !both == 0
        && op.set_flags != both
        && op.clear_flags & !(both | CLAWBACK) == 0;
    if !well_formed {
        return Err(SetTrustLineFlagsResult::Malformed.into());
    }
    Ok(())
}

pub fn set_flags(
    work: &mut Work<'_>,
    op: &SetTrustLineFlagsOp,
) -> Result<OperationResultTr, Failed> {
    use SetTrustLineFlagsResult as Code;
    let takes_away = op.clear_flags & AUTHORIZATION != 0 && op.set_flags & AUTHORIZED == 0;
    if takes_away && !is_revocable(work)? {
        return Err(Code::CantRevoke.into());
    }
    let line = load_line(work, &op.trustor, &op.asset).ok_or(Code::NoTrustLine)?;
    let flags = (line.data.flags & !op.clear_flags) | op.set_flags;
    if flags & AUTHORIZATION == AUTHORIZATION {
        return Err(Code::InvalidState.into());
    }
    write_flags(work, &op.asset, line, flags);
    Ok(OperationResultTr::SetTrustLineFlags(Code::Success))
}

fn is_revocable(work: &Work<'_>) -> Result<bool, Failed> {
    let account = work.source_account()?;
    Ok(account.data.flags & AccountFlags::RevocableFlag as u32 != 0)
}

fn load_line(work: &Work<'_>, account: &AccountId, asset: &Asset) -> Option<Held<TrustLineEntry>> {
    work.draft.load(&line_key(account, line_asset(asset)))
}

/// Whoever loses the last authorization has no offers and no pool shares here that would have to go.
fn write_flags(work: &mut Work<'_>, asset: &Asset, mut line: Held<TrustLineEntry>, flags: u32) {
    work.authorized(asset, &line.data.account_id, flags & AUTHORIZED != 0);
    line.data.flags = flags;
    work.draft.store(line);
}

pub fn check_clawback(op: &ClawbackOp, source: &AccountId) -> Result<(), Failed> {
    let from_itself = op.from == stellar_xdr::MuxedAccount::from(source.clone());
    if from_itself || op.amount < 1 || !is_valid(&op.asset) || issuer(&op.asset) != Some(source) {
        return Err(ClawbackResult::Malformed.into());
    }
    Ok(())
}

pub fn claw_back(work: &mut Work<'_>, op: &ClawbackOp) -> Result<OperationResultTr, Failed> {
    use ClawbackResult as Code;
    let from = op.from.clone().account_id();
    let mut line = load_line(work, &from, &op.asset).ok_or(Code::NoTrust)?;
    if line.data.flags & CLAWBACK == 0 {
        return Err(Code::NotClawbackEnabled.into());
    }
    add_to_line(&mut line.data, -op.amount).map_err(|_| Code::Underfunded)?;
    work.draft.store(line);
    work.clawed_back(&op.asset, &address(&op.from), op.amount);
    Ok(OperationResultTr::Clawback(Code::Success))
}
