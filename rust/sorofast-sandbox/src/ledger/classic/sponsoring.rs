//! Beginning, ending and revoking the sponsorship of reserves.

use crate::ledger::classic::assets::{is_valid, line_reserves};
use crate::ledger::classic::options::find;
use crate::ledger::classic::outcome::Failed;
use crate::ledger::classic::sponsorship::{
    establish, establish_signer, hand_back, hand_back_signer, pass_on, set_signer_sponsor,
    signer_sponsor, Unpaid, ACCOUNT_RESERVES,
};
use crate::ledger::classic::work::Work;
use crate::ledger::draft::{self, Held};
use stellar_xdr::{
    AccountEntry, AccountId, Asset, BeginSponsoringFutureReservesOp,
    BeginSponsoringFutureReservesResult as Begin, EndSponsoringFutureReservesResult as End,
    LedgerEntry, LedgerEntryData, LedgerKey, OperationResultTr, RevokeSponsorshipOp,
    RevokeSponsorshipOpSigner, RevokeSponsorshipResult as Revoke, TrustLineAsset,
};

pub fn check_begin(op: &BeginSponsoringFutureReservesOp, source: &AccountId) -> Result<(), Failed> {
    if op.sponsored_id == *source {
        return Err(Begin::Malformed.into());
    }
    Ok(())
}

pub fn begin(
    work: &mut Work<'_>,
    op: &BeginSponsoringFutureReservesOp,
) -> Result<OperationResultTr, Failed> {
    let begun = &work.sponsorships;
    if begun.sponsor_of(&op.sponsored_id).is_some() {
        return Err(Begin::AlreadySponsored.into());
    }
    if begun.sponsor_of(&work.source).is_some() || begun.is_sponsoring(&op.sponsored_id) {
        return Err(Begin::Recursive.into());
    }
    work.sponsorships
        .begin(op.sponsored_id.clone(), work.source.clone());
    Ok(OperationResultTr::BeginSponsoringFutureReserves(
        Begin::Success,
    ))
}

pub fn end(work: &mut Work<'_>) -> Result<OperationResultTr, Failed> {
    if !work.sponsorships.end(&work.source) {
        return Err(End::NotSponsored.into());
    }
    Ok(OperationResultTr::EndSponsoringFutureReserves(End::Success))
}

pub fn check_revoke(op: &RevokeSponsorshipOp) -> Result<(), Failed> {
    let RevokeSponsorshipOp::LedgerEntry(key) = op else {
        return Ok(());
    };
    let well_formed = match key {
        LedgerKey::Account(_) | LedgerKey::ClaimableBalance(_) => true,
        LedgerKey::Trustline(line) => match &line.asset {
            TrustLineAsset::Native => false,
            TrustLineAsset::CreditAlphanum4(asset) => {
                asset.issuer != line.account_id && is_valid(&Asset::CreditAlphanum4(asset.clone()))
            }
            TrustLineAsset::CreditAlphanum12(asset) => {
                asset.issuer != line.account_id && is_valid(&Asset::CreditAlphanum12(asset.clone()))
            }
            TrustLineAsset::PoolShare(_) => true,
        },
        LedgerKey::Offer(offer) => offer.offer_id > 0,
        LedgerKey::Data(data) => {
            !data.data_name.is_empty() && super::is_printable(data.data_name.as_slice())
        }
        _ => false,
    };
    if !well_formed {
        return Err(Revoke::Malformed.into());
    }
    Ok(())
}

pub fn revoke(work: &mut Work<'_>, op: &RevokeSponsorshipOp) -> Result<OperationResultTr, Failed> {
    match op {
        RevokeSponsorshipOp::LedgerEntry(key) => revoke_entry(work, key)?,
        RevokeSponsorshipOp::Signer(signer) => revoke_signer(work, signer)?,
    }
    Ok(OperationResultTr::RevokeSponsorship(Revoke::Success))
}

fn low_reserve(unpaid: Unpaid) -> Failed {
    unpaid.with_low_reserve(Revoke::LowReserve)
}

/// The source's own sponsor in this transaction takes over, unless that is the entry's owner anyway.
fn successor(work: &Work<'_>, owner: &AccountId) -> Option<AccountId> {
    work.sponsorships
        .sponsor_of(&work.source)
        .filter(|sponsor| *sponsor != owner)
        .cloned()
}

fn account(work: &Work<'_>, id: &AccountId) -> Result<Held<AccountEntry>, Failed> {
    work.draft.account(id).ok_or(Failed::Internal)
}

fn revoke_entry(work: &mut Work<'_>, key: &LedgerKey) -> Result<(), Failed> {
    let mut entry = work.draft.entry(key).ok_or(Revoke::DoesNotExist)?;
    let before = draft::sponsor(&entry.ext).cloned();
    let owner = match &entry.data {
        LedgerEntryData::Account(entry) => entry.account_id.clone(),
        LedgerEntryData::Trustline(entry) => entry.account_id.clone(),
        LedgerEntryData::Offer(entry) => entry.seller_id.clone(),
        LedgerEntryData::Data(entry) => entry.account_id.clone(),
        _ => before.clone().ok_or(Failed::Internal)?,
    };
    if *before.as_ref().unwrap_or(&owner) != work.source {
        return Err(Revoke::NotSponsor.into());
    }
    let after = successor(work, &owner);
    if after.is_none() && matches!(entry.data, LedgerEntryData::ClaimableBalance(_)) {
        return Err(Revoke::OnlyTransferable.into());
    }
    let units = reserves(&entry);
    match (before, after) {
        // The network takes it up all the same, and so writes it.
        (None, None) => {}
        (Some(from), Some(to)) => {
            let (mut from, mut to) = (account(work, &from)?, account(work, &to)?);
            pass_on(units, &mut from.data, &mut to.data).map_err(low_reserve)?;
            draft::set_sponsor(&mut entry.ext, Some(to.data.account_id.clone()));
            work.draft.store(from);
            work.draft.store(to);
        }
        (before, after) => {
            let sponsor = before.as_ref().or(after.as_ref()).ok_or(Failed::Internal)?;
            let mut sponsor = account(work, sponsor)?;
            let LedgerEntry { data, ext, .. } = &mut entry;
            let mut change = |owner: &mut AccountEntry| {
                if before.is_some() {
                    hand_back(ext, units, &mut sponsor.data, owner)
                } else {
                    establish(ext, units, &mut sponsor.data, Some(owner))
                }
            };
            if let LedgerEntryData::Account(owner) = data {
                change(owner).map_err(low_reserve)?;
            } else {
                let mut owner = account(work, &owner)?;
                change(&mut owner.data).map_err(low_reserve)?;
                work.draft.store(owner);
            }
            work.draft.store(sponsor);
        }
    }
    work.draft.store_entry(entry);
    Ok(())
}

/// Base reserves that an entry costs.
fn reserves(entry: &LedgerEntry) -> u32 {
    match &entry.data {
        LedgerEntryData::Account(_) => ACCOUNT_RESERVES,
        LedgerEntryData::Trustline(line) => line_reserves(&line.asset),
        LedgerEntryData::ClaimableBalance(balance) => balance.claimants.len() as u32,
        _ => 1,
    }
}

fn revoke_signer(work: &mut Work<'_>, op: &RevokeSponsorshipOpSigner) -> Result<(), Failed> {
    let mut owner = work
        .draft
        .account(&op.account_id)
        .ok_or(Revoke::DoesNotExist)?;
    let place = find(&owner.data, &op.signer_key).map_err(|_| Revoke::DoesNotExist)?;
    let before = signer_sponsor(&owner.data, place);
    if *before.as_ref().unwrap_or(&op.account_id) != work.source {
        return Err(Revoke::NotSponsor.into());
    }
    match (before, successor(work, &op.account_id)) {
        // The network takes it up all the same, and so writes it.
        (None, None) => {}
        (Some(from), Some(to)) => {
            let (mut from, mut to) = (account(work, &from)?, account(work, &to)?);
            pass_on(1, &mut from.data, &mut to.data).map_err(low_reserve)?;
            set_signer_sponsor(&mut owner.data, place, Some(to.data.account_id.clone()));
            work.draft.store(from);
            work.draft.store(to);
        }
        (Some(from), None) => {
            let mut from = account(work, &from)?;
            hand_back_signer(place, &mut from.data, &mut owner.data).map_err(low_reserve)?;
            work.draft.store(from);
        }
        (None, Some(to)) => {
            let mut to = account(work, &to)?;
            establish_signer(place, &mut to.data, &mut owner.data).map_err(low_reserve)?;
            work.draft.store(to);
        }
    }
    work.draft.store(owner);
    Ok(())
}
