//! Balances of accounts and trust lines.

use crate::ledger::account::{available_balance, credit};
use crate::ledger::classic::events::issuer;
use crate::ledger::draft::{Draft, Held};
use stellar_xdr::{
    AccountId, Asset, LedgerKey, LedgerKeyTrustLine, Liabilities, TrustLineAsset, TrustLineEntry,
    TrustLineEntryExt, TrustLineFlags,
};

const AUTHORIZED: u32 = TrustLineFlags::AuthorizedFlag as u32;

/// Why a balance could not change.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Refused {
    NoAccount,
    NoTrust,
    NotAuthorized,
    /// More than the balance lets go of, or than it can take.
    Amount,
}

pub fn line_asset(asset: &Asset) -> TrustLineAsset {
    match asset {
        Asset::Native => TrustLineAsset::Native,
        Asset::CreditAlphanum4(asset) => TrustLineAsset::CreditAlphanum4(asset.clone()),
        Asset::CreditAlphanum12(asset) => TrustLineAsset::CreditAlphanum12(asset.clone()),
    }
}

pub fn line_key(account: &AccountId, asset: TrustLineAsset) -> LedgerKey {
    LedgerKey::Trustline(LedgerKeyTrustLine {
        account_id: account.clone(),
        asset,
    })
}

/// Base reserves that a trust line costs.
pub fn line_reserves(asset: &TrustLineAsset) -> u32 {
    match asset {
        TrustLineAsset::PoolShare(_) => 2,
        _ => 1,
    }
}

/// A code has at least `least` letters and digits, and then only zeros.
fn is_code(code: &[u8], least: usize) -> bool {
    let length = code.iter().take_while(|byte| **byte != 0).count();
    length >= least
        && code[..length].iter().all(u8::is_ascii_alphanumeric)
        && code[length..].iter().all(|byte| *byte == 0)
}

pub fn is_valid(asset: &Asset) -> bool {
    match asset {
        Asset::Native => true,
        Asset::CreditAlphanum4(asset) => is_code(asset.asset_code.as_slice(), 1),
        Asset::CreditAlphanum12(asset) => is_code(asset.asset_code.as_slice(), 5),
    }
}

/// Stroops promised to offers: (buying, selling).
pub fn line_liabilities(line: &TrustLineEntry) -> (i64, i64) {
    match &line.ext {
        TrustLineEntryExt::V0 => (0, 0),
        TrustLineEntryExt::V1(v1) => {
            let Liabilities { buying, selling } = v1.liabilities;
            (buying, selling)
        }
    }
}

/// Adds to or takes from a trust line, whether it is authorized or not.
pub fn add_to_line(line: &mut TrustLineEntry, amount: i64) -> Result<(), Refused> {
    let (buying, selling) = line_liabilities(line);
    let balance = line.balance.checked_add(amount).ok_or(Refused::Amount)?;
    if balance < selling || balance > line.limit - buying {
        return Err(Refused::Amount);
    }
    line.balance = balance;
    Ok(())
}

/// Adds an amount of an asset to what the account has of it, or takes it; issuers have all there is.
pub fn add(
    draft: &mut Draft<'_>,
    account: &AccountId,
    asset: &Asset,
    amount: i64,
) -> Result<(), Refused> {
    if *asset == Asset::Native {
        let mut held = draft.account(account).ok_or(Refused::NoAccount)?;
        if amount < 0 && available_balance(&held.data) < -amount || !credit(&mut held.data, amount)
        {
            return Err(Refused::Amount);
        }
        draft.store(held);
        return Ok(());
    }
    if issuer(asset) == Some(account) {
        return Ok(());
    }
    let key = line_key(account, line_asset(asset));
    let mut line: Held<TrustLineEntry> = draft.load(&key).ok_or(Refused::NoTrust)?;
    if line.data.flags & AUTHORIZED == 0 {
        return Err(Refused::NotAuthorized);
    }
    add_to_line(&mut line.data, amount)?;
    draft.store(line);
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::is_code;

    #[test]
    fn codes_are_letters_and_digits_up_to_the_zeros() {
        assert!(is_code(b"USD\0", 1));
        assert!(is_code(b"ABCDE\0\0\0\0\0\0\0", 5));
        for wrong in [b"\0\0\0\0", b"U\0D\0", b"U-D\0", b"\0USD"] {
            assert!(!is_code(wrong, 1), "{wrong:?}");
        }
        assert!(!is_code(b"ABCD\0\0\0\0\0\0\0\0", 5));
    }
}
