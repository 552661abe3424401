//! Entries in a saved state. A file may come from anybody, so nothing is taken that no ledger could have come to.

use super::codec::{Input, Saved};
use super::Refusal;
use crate::crypto::sha256;
use crate::ledger::account::check_account;
use crate::ledger::state::{Key, Lifetime, Stored};
use crate::tx::envelope::decode_limits;
use std::io::Read;
use std::sync::Arc;
use stellar_xdr::{
    ContractDataDurability, LedgerEntry, LedgerEntryData, LedgerEntryExt, Limits, ReadXdr, WriteXdr,
};

pub(super) fn read<R: Read>(input: &mut Input<R>, latest: u32) -> Result<(Key, Stored), Refusal> {
    let refuse = |reason: &str| Err(Refusal::Content(reason.into()));
    let (key, xdr) = (Key::load(input)?, Arc::<[u8]>::load(input)?);
    let lifetime = Option::<Lifetime>::load(input)?;
    let Ok(entry) = LedgerEntry::from_xdr(&xdr, decode_limits(xdr.len())) else {
        return refuse("it is not a LedgerEntry");
    };
    if entry.to_key().to_xdr(Limits::none()).ok().as_deref() != Some(&*key) {
        return refuse("its key is another one's");
    }
    if entry.last_modified_ledger_seq > latest {
        return refuse("it was modified in a ledger that is still to come");
    }
    let of_contract = matches!(
        entry.data,
        LedgerEntryData::ContractData(_) | LedgerEntryData::ContractCode(_)
    );
    if of_contract != lifetime.is_some() {
        return refuse("contract entries have a lifetime, and no others have");
    }
    if of_contract && entry.ext != LedgerEntryExt::V0 {
        return refuse("a contract's entry has no sponsor");
    }
    if let Some(lifetime) = lifetime {
        let is_temporary = matches!(&entry.data, LedgerEntryData::ContractData(data)
            if data.durability == ContractDataDurability::Temporary);
        if lifetime.modified > latest || (is_temporary && lifetime.is_evicted()) {
            return refuse("it has a lifetime that no ledger gives");
        }
    }
    check(&entry.data).map_err(Refusal::Content)?;
    Ok((key, Stored { xdr, lifetime }))
}

fn check(data: &LedgerEntryData) -> Result<(), String> {
    match data {
        LedgerEntryData::Account(account) => check_account(account),
        LedgerEntryData::Trustline(line)
            if line.balance < 0 || line.limit < 1 || line.balance > line.limit =>
        {
            Err("its balance is not within its limit".into())
        }
        LedgerEntryData::ClaimableBalance(balance) if balance.amount < 1 => {
            Err("it sets nothing aside".into())
        }
        LedgerEntryData::ContractCode(code) if sha256(&code.code) != code.hash.0 => {
            Err("the hash of the code is not the SHA-256 of the code".into())
        }
        LedgerEntryData::Trustline(_)
        | LedgerEntryData::ClaimableBalance(_)
        | LedgerEntryData::Data(_)
        | LedgerEntryData::ContractData(_)
        | LedgerEntryData::ContractCode(_)
        | LedgerEntryData::ConfigSetting(_) => Ok(()),
        other => Err(format!("there are no entries of type {}", other.name())),
    }
}
