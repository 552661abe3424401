//! `AccountMerge`: an account goes and leaves its lumens to another one.

use crate::ledger::account::{account_id_bytes, credit, sponsorship_counts, starting_sequence};
use crate::ledger::classic::events::address;
use crate::ledger::classic::outcome::Failed;
use crate::ledger::classic::sponsorship::{remove_entry, remove_signer, ACCOUNT_RESERVES};
use crate::ledger::classic::work::Work;
use stellar_xdr::{
    AccountFlags, AccountId, AccountMergeResult as Code, Asset, LedgerKey, LedgerKeyAccount,
    MuxedAccount, OperationResultTr,
};

pub fn check(destination: &MuxedAccount, source: &AccountId) -> Result<(), Failed> {
    if destination.clone().account_id() == *source {
        return Err(Code::Malformed.into());
    }
    Ok(())
}

pub fn apply(work: &mut Work<'_>, destination: &MuxedAccount) -> Result<OperationResultTr, Failed> {
    let destination_id = destination.clone().account_id();
    if work.draft.account(&destination_id).is_none() {
        return Err(Code::NoAccount.into());
    }
    let mut account = work.source_account()?;
    if account.data.flags & AccountFlags::ImmutableFlag as u32 != 0 {
        return Err(Code::ImmutableSet.into());
    }
    if account.data.num_sub_entries as usize != account.data.signers.len() {
        return Err(Code::HasSubEntries.into());
    }
    // Made again in this ledger, it could repeat sequence numbers that it has used or is about to use.
    let source = account_id_bytes(&work.source);
    let to_apply = work.ledger.sequences.get(&source).copied().unwrap_or(0);
    let furthest = account.data.seq_num.0.max(to_apply);
    if furthest >= starting_sequence(work.ledger.ledger.sequence) {
        return Err(Code::SeqnumTooFar.into());
    }
    let (_, sponsoring) = sponsorship_counts(&account.data);
    if sponsoring > 0 || work.sponsorships.is_sponsoring(&work.source) {
        return Err(Code::IsSponsor.into());
    }
    while !account.data.signers.is_empty() {
        let last = account.data.signers.len() - 1;
        remove_signer(&mut work.draft, last, &mut account.data).map_err(|_| Failed::Internal)?;
    }
    // The destination may have sponsored a signer, so it is read only now.
    let mut heir = work.draft.account(&destination_id).ok_or(Code::NoAccount)?;
    let balance = account.data.balance;
    if !credit(&mut heir.data, balance) {
        return Err(Code::DestFull.into());
    }
    work.draft.store(heir);
    let ext = account.ext.clone();
    remove_entry(
        &mut work.draft,
        &ext,
        ACCOUNT_RESERVES,
        false,
        &mut account.data,
    )
    .map_err(|_| Failed::Internal)?;
    work.draft.erase(&LedgerKey::Account(LedgerKeyAccount {
        account_id: work.source.clone(),
    }));
    let from = address(&work.source_address);
    work.moved(&Asset::Native, &from, &address(destination), balance);
    Ok(OperationResultTr::AccountMerge(Code::Success(balance)))
}
