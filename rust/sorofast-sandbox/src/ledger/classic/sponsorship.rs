//! Who pays the reserve of an entry or a signer: its owner, or the account that sponsors the owner in this transaction.

use crate::ledger::account::{
    available_balance, extension_v2, signer_sponsors, sponsorship_counts,
};
use crate::ledger::classic::outcome::Failed;
use crate::ledger::draft::{self, set_sponsor, Draft, Held, Kind};
use crate::ledger::settings::BASE_RESERVE_STROOPS;
use std::collections::BTreeMap;
use stellar_xdr::{
    AccountEntry, AccountId, LedgerEntryExt, OperationResult, SponsorshipDescriptor,
};

/// Most entries that an account may own.
const MAX_SUBENTRIES: u32 = 1000;
/// Base reserves that an account itself costs.
pub const ACCOUNT_RESERVES: u32 = 2;

/// Promises to pay for others that the transaction has begun and not ended: by the sponsored account.
#[derive(Debug, Default)]
pub struct Sponsorships(BTreeMap<AccountId, AccountId>);

impl Sponsorships {
    pub fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    pub fn sponsor_of(&self, account: &AccountId) -> Option<&AccountId> {
        self.0.get(account)
    }

    pub fn is_sponsoring(&self, account: &AccountId) -> bool {
        self.0.values().any(|sponsor| sponsor == account)
    }

    pub fn begin(&mut self, sponsored: AccountId, sponsor: AccountId) {
        self.0.insert(sponsored, sponsor);
    }

    /// False when nobody sponsors the account.
    pub fn end(&mut self, sponsored: &AccountId) -> bool {
        self.0.remove(sponsored).is_some()
    }
}

/// Why nobody can pay the reserve.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Unpaid {
    LowReserve,
    TooManySubentries,
    TooManySponsoring,
    /// A sponsor that the ledger does not hold, or counts that do not add up: no transaction brings that about.
    Inconsistent,
}

impl Unpaid {
    /// The operation's own code is used for a low reserve.
    pub fn with_low_reserve(self, code: impl Into<Failed>) -> Failed {
        match self {
            Self::LowReserve => code.into(),
            Self::TooManySubentries => OperationResult::OpTooManySubentries.into(),
            Self::TooManySponsoring => OperationResult::OpTooManySponsoring.into(),
            Self::Inconsistent => Failed::Internal,
        }
    }
}

fn cost_stroops(units: u32) -> i64 {
    i64::from(units) * i64::from(BASE_RESERVE_STROOPS)
}

/// Sponsored reserves and own entries share one counter's width.
fn exceeds_counter(account: &AccountEntry, units: u32) -> bool {
    let (_, sponsoring) = sponsorship_counts(account);
    u64::from(sponsoring) + u64::from(account.num_sub_entries) + u64::from(units)
        > u64::from(u32::MAX)
}

fn check_subentries(account: &AccountEntry, units: u32) -> Result<(), Unpaid> {
    if account.num_sub_entries > MAX_SUBENTRIES - units || exceeds_counter(account, units) {
        return Err(Unpaid::TooManySubentries);
    }
    Ok(())
}

fn check_sponsor(sponsor: &AccountEntry, units: u32) -> Result<(), Unpaid> {
    if available_balance(sponsor) < cost_stroops(units) {
        return Err(Unpaid::LowReserve);
    }
    if exceeds_counter(sponsor, units) {
        return Err(Unpaid::TooManySponsoring);
    }
    Ok(())
}

/// The sponsor takes over `units` reserves of the account, or of nobody in particular.
pub fn establish(
    ext: &mut LedgerEntryExt,
    units: u32,
    sponsor: &mut AccountEntry,
    sponsored: Option<&mut AccountEntry>,
) -> Result<(), Unpaid> {
    check_sponsor(sponsor, units)?;
    set_sponsor(ext, Some(sponsor.account_id.clone()));
    extension_v2(sponsor).num_sponsoring += units;
    if let Some(sponsored) = sponsored {
        extension_v2(sponsored).num_sponsored += units;
    }
    Ok(())
}

/// Gives `units` reserves back to the account, which may or may not have to afford them.
fn release(
    units: u32,
    sponsor: &mut AccountEntry,
    sponsored: Option<&mut AccountEntry>,
) -> Result<(), Unpaid> {
    let sponsoring = &mut extension_v2(sponsor).num_sponsoring;
    *sponsoring = sponsoring.checked_sub(units).ok_or(Unpaid::Inconsistent)?;
    if let Some(sponsored) = sponsored {
        let count = &mut extension_v2(sponsored).num_sponsored;
        *count = count.checked_sub(units).ok_or(Unpaid::Inconsistent)?;
    }
    Ok(())
}

/// Ends an entry's sponsorship; its owner has to afford the reserve from now on.
pub fn hand_back(
    ext: &mut LedgerEntryExt,
    units: u32,
    sponsor: &mut AccountEntry,
    sponsored: &mut AccountEntry,
) -> Result<(), Unpaid> {
    check_takes_back(units, sponsored)?;
    release(units, sponsor, Some(sponsored))?;
    set_sponsor(ext, None);
    Ok(())
}

fn check_takes_back(units: u32, sponsored: &AccountEntry) -> Result<(), Unpaid> {
    if available_balance(sponsored) < cost_stroops(units) {
        return Err(Unpaid::LowReserve);
    }
    Ok(())
}

/// Moves `units` reserves from one sponsor to another.
pub fn pass_on(units: u32, from: &mut AccountEntry, to: &mut AccountEntry) -> Result<(), Unpaid> {
    if sponsorship_counts(from).1 < units {
        return Err(Unpaid::Inconsistent);
    }
    check_sponsor(to, units)?;
    extension_v2(to).num_sponsoring += units;
    release(units, from, None)
}

/// A new entry of the owner: it counts among the owner's, whoever pays.
pub fn create_subentry<T: Kind>(
    drafted: &mut Draft<'_>,
    sponsorships: &Sponsorships,
    entry: &mut Held<T>,
    units: u32,
    owner: &mut AccountEntry,
) -> Result<(), Unpaid> {
    check_subentries(owner, units)?;
    match sponsorships.sponsor_of(&owner.account_id) {
        Some(sponsor) => {
            let mut sponsor = drafted.account(sponsor).ok_or(Unpaid::Inconsistent)?;
            establish(&mut entry.ext, units, &mut sponsor.data, Some(owner))?;
            drafted.store(sponsor);
        }
        None if available_balance(owner) < cost_stroops(units) => return Err(Unpaid::LowReserve),
        None => {}
    }
    owner.num_sub_entries += units;
    Ok(())
}

/// A new account, whose own balance has to cover its reserve unless it is sponsored.
pub fn create_account(
    drafted: &mut Draft<'_>,
    sponsorships: &Sponsorships,
    account: &mut Held<AccountEntry>,
) -> Result<(), Unpaid> {
    let Held { data, ext } = account;
    match sponsorships.sponsor_of(&data.account_id) {
        Some(sponsor) => {
            let mut sponsor = drafted.account(sponsor).ok_or(Unpaid::Inconsistent)?;
            establish(ext, ACCOUNT_RESERVES, &mut sponsor.data, Some(data))?;
            drafted.store(sponsor);
            Ok(())
        }
        None if available_balance(data) < 0 => Err(Unpaid::LowReserve),
        None => Ok(()),
    }
}

/// A new claimable balance: its source sponsors it, unless the source is sponsored itself.
pub fn create_claimable<T: Kind>(
    drafted: &mut Draft<'_>,
    sponsorships: &Sponsorships,
    entry: &mut Held<T>,
    units: u32,
    source: &mut AccountEntry,
) -> Result<(), Unpaid> {
    let Some(sponsor) = sponsorships.sponsor_of(&source.account_id) else {
        return establish(&mut entry.ext, units, source, None);
    };
    let mut sponsor = drafted.account(sponsor).ok_or(Unpaid::Inconsistent)?;
    establish(&mut entry.ext, units, &mut sponsor.data, None)?;
    drafted.store(sponsor);
    Ok(())
}

/// An entry of the owner goes, and whoever paid for it is relieved. Of accounts, the owner is the entry itself.
pub fn remove_entry(
    drafted: &mut Draft<'_>,
    ext: &LedgerEntryExt,
    units: u32,
    is_subentry: bool,
    owner: &mut AccountEntry,
) -> Result<(), Unpaid> {
    if let Some(sponsor) = draft::sponsor(ext) {
        let mut sponsor = drafted.account(sponsor).ok_or(Unpaid::Inconsistent)?;
        release(units, &mut sponsor.data, Some(owner))?;
        drafted.store(sponsor);
    }
    if is_subentry {
        owner.num_sub_entries = owner
            .num_sub_entries
            .checked_sub(units)
            .ok_or(Unpaid::Inconsistent)?;
    }
    Ok(())
}

/// A claimable balance goes; its sponsor may be the account that acts.
pub fn remove_claimable(
    drafted: &mut Draft<'_>,
    ext: &LedgerEntryExt,
    units: u32,
    acting: &mut AccountEntry,
) -> Result<(), Unpaid> {
    let sponsor = draft::sponsor(ext).ok_or(Unpaid::Inconsistent)?;
    if *sponsor == acting.account_id {
        return release(units, acting, None);
    }
    let mut sponsor = drafted.account(sponsor).ok_or(Unpaid::Inconsistent)?;
    release(units, &mut sponsor.data, None)?;
    drafted.store(sponsor);
    Ok(())
}

/// Pays for a signer that was put in at the place already, unsponsored.
pub fn create_signer(
    drafted: &mut Draft<'_>,
    sponsorships: &Sponsorships,
    place: usize,
    account: &mut AccountEntry,
) -> Result<(), Unpaid> {
    check_subentries(account, 1)?;
    match sponsorships.sponsor_of(&account.account_id) {
        Some(sponsor) => {
            let mut sponsor = drafted.account(sponsor).ok_or(Unpaid::Inconsistent)?;
            establish_signer(place, &mut sponsor.data, account)?;
            drafted.store(sponsor);
        }
        None if available_balance(account) < cost_stroops(1) => return Err(Unpaid::LowReserve),
        None => {}
    }
    account.num_sub_entries += 1;
    Ok(())
}

pub fn signer_sponsor(account: &AccountEntry, place: usize) -> Option<AccountId> {
    signer_sponsors(account)?.get(place)?.0.clone()
}

pub fn set_signer_sponsor(account: &mut AccountEntry, place: usize, sponsor: Option<AccountId>) {
    let mut sponsors = extension_v2(account).signer_sponsoring_i_ds.to_vec();
    if let Some(at) = sponsors.get_mut(place) {
        *at = SponsorshipDescriptor(sponsor);
    }
    extension_v2(account).signer_sponsoring_i_ds = sponsors.try_into().unwrap_or_default();
}

pub fn establish_signer(
    place: usize,
    sponsor: &mut AccountEntry,
    account: &mut AccountEntry,
) -> Result<(), Unpaid> {
    check_sponsor(sponsor, 1)?;
    set_signer_sponsor(account, place, Some(sponsor.account_id.clone()));
    extension_v2(account).num_sponsored += 1;
    extension_v2(sponsor).num_sponsoring += 1;
    Ok(())
}

/// The account pays for its signer itself from now on, which it has to afford.
pub fn hand_back_signer(
    place: usize,
    sponsor: &mut AccountEntry,
    account: &mut AccountEntry,
) -> Result<(), Unpaid> {
    check_takes_back(1, account)?;
    release(1, sponsor, Some(account))?;
    set_signer_sponsor(account, place, None);
    Ok(())
}

/// Takes a signer out and relieves whoever paid for it.
pub fn remove_signer(
    drafted: &mut Draft<'_>,
    place: usize,
    account: &mut AccountEntry,
) -> Result<(), Unpaid> {
    if let Some(sponsor) = signer_sponsor(account, place) {
        let mut sponsor = drafted.account(&sponsor).ok_or(Unpaid::Inconsistent)?;
        release(1, &mut sponsor.data, Some(account))?;
        drafted.store(sponsor);
    }
    account.num_sub_entries = account
        .num_sub_entries
        .checked_sub(1)
        .ok_or(Unpaid::Inconsistent)?;
    if signer_sponsors(account).is_some() {
        let mut sponsors = extension_v2(account).signer_sponsoring_i_ds.to_vec();
        if place < sponsors.len() {
            sponsors.remove(place);
        }
        extension_v2(account).signer_sponsoring_i_ds = sponsors.try_into().unwrap_or_default();
    }
    let mut signers = account.signers.to_vec();
    signers.remove(place);
    account.signers = signers.try_into().unwrap_or_default();
    Ok(())
}
