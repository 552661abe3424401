//! `SetOptions`: flags, thresholds, signers and the home domain of an account.

use crate::ledger::classic::outcome::Failed;
use crate::ledger::classic::sponsorship::{create_signer, remove_signer};
use crate::ledger::classic::work::Work;
use crate::ledger::draft::Held;
use stellar_xdr::{
    AccountEntry, AccountFlags, OperationResultTr, SetOptionsOp, SetOptionsResult as Code, Signer,
    SignerKey, SponsorshipDescriptor, Uint256,
};

const REVOCABLE: u32 = AccountFlags::RevocableFlag as u32;
const IMMUTABLE: u32 = AccountFlags::ImmutableFlag as u32;
const CLAWBACK: u32 = AccountFlags::ClawbackEnabledFlag as u32;
/// Every flag that there is; all of them are about authorization.
const ALL_FLAGS: u32 = AccountFlags::RequiredFlag as u32 | REVOCABLE | IMMUTABLE | CLAWBACK;
const MAX_SIGNERS: usize = 20;
const MAX_WEIGHT: u32 = 255;

/// Whoever may pay may not at once decide who else may.
pub fn changes_control(op: &SetOptionsOp) -> bool {
    op.master_weight.is_some()
        || op.low_threshold.is_some()
        || op.med_threshold.is_some()
        || op.high_threshold.is_some()
        || op.signer.is_some()
}

pub fn check(op: &SetOptionsOp, source: &[u8; 32]) -> Result<(), Failed> {
    let set = op.set_flags.unwrap_or(0);
    let clear = op.clear_flags.unwrap_or(0);
    if (set | clear) & !ALL_FLAGS != 0 {
        return Err(Code::UnknownFlag.into());
    }
    if set & clear != 0 {
        return Err(Code::BadFlags.into());
    }
    let weights = [
        op.master_weight,
        op.low_threshold,
        op.med_threshold,
        op.high_threshold,
    ];
    if weights.iter().flatten().any(|weight| *weight > MAX_WEIGHT) {
        return Err(Code::ThresholdOutOfRange.into());
    }
    if let Some(signer) = &op.signer {
        let unusable = match &signer.key {
            SignerKey::Ed25519(Uint256(key)) => key == source,
            SignerKey::Ed25519SignedPayload(key) => key.payload.is_empty(),
            SignerKey::PreAuthTx(_) | SignerKey::HashX(_) => false,
        };
        if unusable || signer.weight > MAX_WEIGHT {
            return Err(Code::BadSigner.into());
        }
    }
    if let Some(domain) = &op.home_domain {
        if !super::is_printable(domain.as_slice()) {
            return Err(Code::InvalidHomeDomain.into());
        }
    }
    Ok(())
}

pub fn apply(work: &mut Work<'_>, op: &SetOptionsOp) -> Result<OperationResultTr, Failed> {
    let mut account = work.source_account()?;
    let Held { data, .. } = &mut account;
    if let Some(winner) = &op.inflation_dest {
        if *winner != data.account_id && work.draft.account(winner).is_none() {
            return Err(Code::InvalidInflation.into());
        }
        data.inflation_dest = Some(winner.clone());
    }
    let (clear, set) = (op.clear_flags.unwrap_or(0), op.set_flags.unwrap_or(0));
    // Clearing comes first, so that the immutable flag cannot be cleared to set another one.
    for flags in [clear, set] {
        if flags != 0 && data.flags & IMMUTABLE != 0 {
            return Err(Code::CantChange.into());
        }
    }
    data.flags = (data.flags & !clear) | set;
    if (op.set_flags.is_some() || op.clear_flags.is_some())
        && data.flags & CLAWBACK != 0
        && data.flags & REVOCABLE == 0
    {
        return Err(Code::AuthRevocableRequired.into());
    }
    if let Some(domain) = &op.home_domain {
        data.home_domain = domain.clone();
    }
    let thresholds = [
        op.master_weight,
        op.low_threshold,
        op.med_threshold,
        op.high_threshold,
    ];
    for (threshold, wanted) in data.thresholds.0.iter_mut().zip(thresholds) {
        if let Some(wanted) = wanted {
            *threshold = wanted as u8;
        }
    }
    if let Some(signer) = &op.signer {
        if signer.weight > 0 {
            put_signer(work, signer, data)?;
        } else if let Ok(place) = find(data, &signer.key) {
            remove_signer(&mut work.draft, place, data)
                .map_err(|unpaid| unpaid.with_low_reserve(Code::LowReserve))?;
        }
    }
    work.draft.store(account);
    Ok(OperationResultTr::SetOptions(Code::Success))
}

/// Signers are kept in the order of their keys: the place of this one, or where it would be.
pub fn find(account: &AccountEntry, key: &SignerKey) -> Result<usize, usize> {
    account
        .signers
        .binary_search_by(|signer| signer.key.cmp(key))
}

fn put_signer(
    work: &mut Work<'_>,
    signer: &Signer,
    account: &mut AccountEntry,
) -> Result<(), Failed> {
    let mut signers = account.signers.to_vec();
    let place = match find(account, &signer.key) {
        Ok(place) => {
            signers[place].weight = signer.weight;
            account.signers = signers.try_into().unwrap_or_default();
            return Ok(());
        }
        Err(place) => place,
    };
    if signers.len() >= MAX_SIGNERS {
        return Err(Code::TooManySigners.into());
    }
    let sponsors = crate::ledger::account::signer_sponsors(account).map(<[_]>::to_vec);
    signers.insert(place, signer.clone());
    account.signers = signers.try_into().unwrap_or_default();
    if let Some(mut sponsors) = sponsors {
        sponsors.insert(place.min(sponsors.len()), SponsorshipDescriptor(None));
        crate::ledger::account::extension_v2(account).signer_sponsoring_i_ds =
            sponsors.try_into().unwrap_or_default();
    }
    create_signer(&mut work.draft, work.sponsorships, place, account)
        .map_err(|unpaid| unpaid.with_low_reserve(Code::LowReserve))
}
