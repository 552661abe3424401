//! Classic operations: accounts, balances, trust lines, data and who pays their reserves.
//!
//! Every operation works on a draft of its own, which counts only when the operation succeeds. Offers and liquidity
//! pools are left out.

pub mod assets;
pub mod claimable;
pub mod data;
pub mod events;
pub mod merge;
pub mod options;
pub mod outcome;
pub mod payments;
pub mod signers;
pub mod sponsoring;
pub mod sponsorship;
pub mod trust;
pub mod work;

use crate::ledger::account::account_id_bytes;
use crate::tx::signatures::Threshold;
use outcome::Failed;
use stellar_xdr::{AccountId, OperationBody, OperationResult, OperationResultTr};
use work::Work;

/// Does the sandbox know this operation? What the network itself no longer carries out is among them.
pub fn is_supported(body: &OperationBody) -> bool {
    !matches!(
        body,
        OperationBody::ManageSellOffer(_)
            | OperationBody::ManageBuyOffer(_)
            | OperationBody::CreatePassiveSellOffer(_)
            | OperationBody::LiquidityPoolDeposit(_)
            | OperationBody::LiquidityPoolWithdraw(_)
    ) && !trust::is_pool_share(body)
}

/// The operation in the words of the sandbox's own interface.
pub fn name(body: &OperationBody) -> &'static str {
    match body {
        OperationBody::CreateAccount(_) => "create_account",
        OperationBody::Payment(_) => "payment",
        OperationBody::PathPaymentStrictReceive(_) => "path_payment_strict_receive",
        OperationBody::PathPaymentStrictSend(_) => "path_payment_strict_send",
        OperationBody::SetOptions(_) => "set_options",
        OperationBody::ChangeTrust(_) => "change_trust",
        OperationBody::AllowTrust(_) => "allow_trust",
        OperationBody::SetTrustLineFlags(_) => "set_trust_line_flags",
        OperationBody::Clawback(_) => "clawback",
        OperationBody::AccountMerge(_) => "account_merge",
        OperationBody::ManageData(_) => "manage_data",
        OperationBody::BumpSequence(_) => "bump_sequence",
        OperationBody::CreateClaimableBalance(_) => "create_claimable_balance",
        OperationBody::ClaimClaimableBalance(_) => "claim_claimable_balance",
        OperationBody::ClawbackClaimableBalance(_) => "clawback_claimable_balance",
        OperationBody::BeginSponsoringFutureReserves(_) => "begin_sponsoring_future_reserves",
        OperationBody::EndSponsoringFutureReserves => "end_sponsoring_future_reserves",
        OperationBody::RevokeSponsorship(_) => "revoke_sponsorship",
        other => other.name(),
    }
}

/// How much of the source's weight an operation asks for.
pub fn threshold(body: &OperationBody) -> Threshold {
    match body {
        OperationBody::AllowTrust(_)
        | OperationBody::SetTrustLineFlags(_)
        | OperationBody::BumpSequence(_)
        | OperationBody::ClaimClaimableBalance(_)
        | OperationBody::Inflation
        | OperationBody::ExtendFootprintTtl(_)
        | OperationBody::RestoreFootprint(_) => Threshold::Low,
        OperationBody::AccountMerge(_) => Threshold::High,
        OperationBody::SetOptions(op) if options::changes_control(op) => Threshold::High,
        _ => Threshold::Medium,
    }
}

/// Whether the operation is well formed, whatever the ledger holds.
pub fn check(body: &OperationBody, source: &AccountId) -> Result<(), Failed> {
    match body {
        OperationBody::CreateAccount(op) => payments::check_create(op, source),
        OperationBody::Payment(op) => payments::check_payment(op),
        OperationBody::PathPaymentStrictReceive(op) => payments::check_receive(op),
        OperationBody::PathPaymentStrictSend(op) => payments::check_send(op),
        OperationBody::SetOptions(op) => options::check(op, &account_id_bytes(source)),
        OperationBody::ChangeTrust(op) => trust::check_change(op, source),
        OperationBody::AllowTrust(op) => trust::check_allow(op, source),
        OperationBody::SetTrustLineFlags(op) => trust::check_flags(op, source),
        OperationBody::Clawback(op) => trust::check_clawback(op, source),
        OperationBody::AccountMerge(destination) => merge::check(destination, source),
        OperationBody::ManageData(op) => data::check_data(op),
        OperationBody::BumpSequence(op) => data::check_bump(op),
        OperationBody::CreateClaimableBalance(op) => claimable::check_create(op),
        OperationBody::ClaimClaimableBalance(_)
        | OperationBody::ClawbackClaimableBalance(_)
        | OperationBody::EndSponsoringFutureReserves => Ok(()),
        OperationBody::BeginSponsoringFutureReserves(op) => sponsoring::check_begin(op, source),
        OperationBody::RevokeSponsorship(op) => sponsoring::check_revoke(op),
        _ => Err(OperationResult::OpNotSupported.into()),
    }
}

/// Carries out one operation whose form was checked when it was admitted.
pub fn apply(work: &mut Work<'_>, body: &OperationBody) -> Result<OperationResultTr, Failed> {
    work.source_account()?;
    match body {
        OperationBody::CreateAccount(op) => payments::create(work, op),
        OperationBody::Payment(op) => payments::pay(work, op),
        OperationBody::PathPaymentStrictReceive(op) => payments::receive(work, op),
        OperationBody::PathPaymentStrictSend(op) => payments::send_along(work, op),
        OperationBody::SetOptions(op) => options::apply(work, op),
        OperationBody::ChangeTrust(op) => trust::change(work, op),
        OperationBody::AllowTrust(op) => trust::allow(work, op),
        OperationBody::SetTrustLineFlags(op) => trust::set_flags(work, op),
        OperationBody::Clawback(op) => trust::claw_back(work, op),
        OperationBody::AccountMerge(destination) => merge::apply(work, destination),
        OperationBody::ManageData(op) => data::manage(work, op),
        OperationBody::BumpSequence(op) => data::bump(work, op),
        OperationBody::CreateClaimableBalance(op) => claimable::create(work, op),
        OperationBody::ClaimClaimableBalance(op) => claimable::claim(work, op),
        OperationBody::ClawbackClaimableBalance(op) => claimable::claw_back(work, op),
        OperationBody::BeginSponsoringFutureReserves(op) => sponsoring::begin(work, op),
        OperationBody::EndSponsoringFutureReserves => sponsoring::end(work),
        OperationBody::RevokeSponsorship(op) => sponsoring::revoke(work, op),
        _ => Err(OperationResult::OpNotSupported.into()),
    }
}

/// Names and domains are ASCII without control characters.
fn is_printable(text: &[u8]) -> bool {
    text.iter().all(|byte| (0x20..0x7f).contains(byte))
}
