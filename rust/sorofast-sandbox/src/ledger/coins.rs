//! Where lumens are: in accounts, put aside in claimable balances, and held by contracts through the native asset's own.

use crate::ledger::state::Stored;
use stellar_xdr::{Asset, LedgerEntry, LedgerEntryData, Limits, ReadXdr, ScMap, ScVal};

const ACCOUNT: u8 = 0;
const CLAIMABLE_BALANCE: u8 = 4;
const CONTRACT_DATA: u8 = 6;
/// Where the id of the contract lies in an entry of its data: after ledger, type, extension and kind of address.
const CONTRACT_ID: std::ops::Range<usize> = 16..48;

/// What the entry holds in stroops; `native` is the id of the native asset's contract.
pub fn held(stored: &Stored, native: &[u8; 32]) -> i64 {
    match stored.xdr.get(7) {
        Some(&ACCOUNT) => stored.balance(),
        Some(&CLAIMABLE_BALANCE) => set_aside(stored).unwrap_or(0),
        Some(&CONTRACT_DATA) if stored.xdr.get(CONTRACT_ID) == Some(native.as_slice()) => {
            held_by_contract(stored).unwrap_or(0)
        }
        _ => 0,
    }
}

fn decode(stored: &Stored) -> Option<LedgerEntryData> {
    let limits = Limits {
        depth: 500,
        len: stored.xdr.len(),
    };
    Some(LedgerEntry::from_xdr(&stored.xdr, limits).ok()?.data)
}

fn set_aside(stored: &Stored) -> Option<i64> {
    match decode(stored)? {
        LedgerEntryData::ClaimableBalance(balance) if balance.asset == Asset::Native => {
            Some(balance.amount)
        }
        _ => None,
    }
}

/// `Balance` of an address, whose value is a map with the amount in it.
fn held_by_contract(stored: &Stored) -> Option<i64> {
    let LedgerEntryData::ContractData(data) = decode(stored)? else {
        return None;
    };
    let (ScVal::Vec(Some(key)), ScVal::Map(Some(ScMap(fields)))) = (&data.key, &data.val) else {
        return None;
    };
    let named = |value: &ScVal, name: &str| matches!(value, ScVal::Symbol(symbol) if symbol.0.as_slice() == name.as_bytes());
    if !key.first().is_some_and(|name| named(name, "Balance")) {
        return None;
    }
    let amount = fields.iter().find(|field| named(&field.key, "amount"))?;
    match &amount.val {
        ScVal::I128(parts) => i64::try_from(i128::from(parts)).ok(),
        _ => None,
    }
}
