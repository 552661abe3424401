//! How operations end, in the network's codes.

use stellar_xdr::{
    AccountMergeResult, AllowTrustResult, BeginSponsoringFutureReservesResult, BumpSequenceResult,
    ChangeTrustResult, ClaimClaimableBalanceResult, ClawbackClaimableBalanceResult, ClawbackResult,
    CreateAccountResult, CreateClaimableBalanceResult, EndSponsoringFutureReservesResult,
    ExtendFootprintTtlResult, InflationResult, InvokeHostFunctionResult,
    LiquidityPoolDepositResult, LiquidityPoolWithdrawResult, ManageBuyOfferResult,
    ManageDataResult, ManageSellOfferResult, OperationBody, OperationResult, OperationResultTr,
    PathPaymentStrictReceiveResult, PathPaymentStrictSendResult, PaymentResult,
    RestoreFootprintResult, RevokeSponsorshipResult, SetOptionsResult, SetTrustLineFlagsResult,
};

/// Why an operation failed.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Failed {
    With(Box<OperationResult>),
    /// The ledger holds what no transaction could bring about.
    Internal,
}

impl From<OperationResult> for Failed {
    fn from(result: OperationResult) -> Self {
        Self::With(Box::new(result))
    }
}

impl From<OperationResultTr> for Failed {
    fn from(inner: OperationResultTr) -> Self {
        OperationResult::OpInner(inner).into()
    }
}

/// A code of one kind of operation becomes the result of the whole operation.
macro_rules! inner_codes {
    ($($variant:ident($code:ident)),+ $(,)?) => {
        $(impl From<$code> for Failed {
            fn from(code: $code) -> Self {
                OperationResultTr::$variant(code).into()
            }
        })+
    };
}

inner_codes!(
    CreateAccount(CreateAccountResult),
    Payment(PaymentResult),
    PathPaymentStrictReceive(PathPaymentStrictReceiveResult),
    PathPaymentStrictSend(PathPaymentStrictSendResult),
    SetOptions(SetOptionsResult),
    ChangeTrust(ChangeTrustResult),
    AllowTrust(AllowTrustResult),
    AccountMerge(AccountMergeResult),
    ManageData(ManageDataResult),
    BumpSequence(BumpSequenceResult),
    CreateClaimableBalance(CreateClaimableBalanceResult),
    ClaimClaimableBalance(ClaimClaimableBalanceResult),
    BeginSponsoringFutureReserves(BeginSponsoringFutureReservesResult),
    EndSponsoringFutureReserves(EndSponsoringFutureReservesResult),
    RevokeSponsorship(RevokeSponsorshipResult),
    Clawback(ClawbackResult),
    ClawbackClaimableBalance(ClawbackClaimableBalanceResult),
    SetTrustLineFlags(SetTrustLineFlagsResult),
);

/// The name of the code that an operation ended with.
pub fn code(inner: &OperationResultTr) -> &'static str {
    macro_rules! names {
        ($($variant:ident),+ $(,)?) => {
            match inner {
                $(OperationResultTr::$variant(code) => code.name(),)+
            }
        };
    }
    names!(
        CreateAccount,
        Payment,
        PathPaymentStrictReceive,
        ManageSellOffer,
        CreatePassiveSellOffer,
        SetOptions,
        ChangeTrust,
        AllowTrust,
        AccountMerge,
        Inflation,
        ManageData,
        BumpSequence,
        ManageBuyOffer,
        PathPaymentStrictSend,
        CreateClaimableBalance,
        ClaimClaimableBalance,
        BeginSponsoringFutureReserves,
        EndSponsoringFutureReserves,
        RevokeSponsorship,
        Clawback,
        ClawbackClaimableBalance,
        SetTrustLineFlags,
        LiquidityPoolDeposit,
        LiquidityPoolWithdraw,
        InvokeHostFunction,
        ExtendFootprintTtl,
        RestoreFootprint,
    )
}

/// The result that an operation has before anything is known against it: success with nothing in it.
pub fn untouched(body: &OperationBody) -> OperationResult {
    OperationResult::OpInner(match body {
        OperationBody::CreateAccount(_) => {
            OperationResultTr::CreateAccount(CreateAccountResult::default())
        }
        OperationBody::Payment(_) => OperationResultTr::Payment(PaymentResult::default()),
        OperationBody::PathPaymentStrictReceive(_) => {
            OperationResultTr::PathPaymentStrictReceive(PathPaymentStrictReceiveResult::default())
        }
        OperationBody::ManageSellOffer(_) => {
            OperationResultTr::ManageSellOffer(ManageSellOfferResult::default())
        }
        OperationBody::CreatePassiveSellOffer(_) => {
            OperationResultTr::CreatePassiveSellOffer(ManageSellOfferResult::default())
        }
        OperationBody::SetOptions(_) => OperationResultTr::SetOptions(SetOptionsResult::default()),
        OperationBody::ChangeTrust(_) => {
            OperationResultTr::ChangeTrust(ChangeTrustResult::default())
        }
        OperationBody::AllowTrust(_) => OperationResultTr::AllowTrust(AllowTrustResult::default()),
        OperationBody::AccountMerge(_) => {
            OperationResultTr::AccountMerge(AccountMergeResult::default())
        }
        OperationBody::Inflation => OperationResultTr::Inflation(InflationResult::default()),
        OperationBody::ManageData(_) => OperationResultTr::ManageData(ManageDataResult::default()),
        OperationBody::BumpSequence(_) => {
            OperationResultTr::BumpSequence(BumpSequenceResult::default())
        }
        OperationBody::ManageBuyOffer(_) => {
            OperationResultTr::ManageBuyOffer(ManageBuyOfferResult::default())
        }
        OperationBody::PathPaymentStrictSend(_) => {
            OperationResultTr::PathPaymentStrictSend(PathPaymentStrictSendResult::default())
        }
        OperationBody::CreateClaimableBalance(_) => {
            OperationResultTr::CreateClaimableBalance(CreateClaimableBalanceResult::default())
        }
        OperationBody::ClaimClaimableBalance(_) => {
            OperationResultTr::ClaimClaimableBalance(ClaimClaimableBalanceResult::default())
        }
        OperationBody::BeginSponsoringFutureReserves(_) => {
            OperationResultTr::BeginSponsoringFutureReserves(
                BeginSponsoringFutureReservesResult::default(),
            )
        }
        OperationBody::EndSponsoringFutureReserves => {
            OperationResultTr::EndSponsoringFutureReserves(
                EndSponsoringFutureReservesResult::default(),
            )
        }
        OperationBody::RevokeSponsorship(_) => {
            OperationResultTr::RevokeSponsorship(RevokeSponsorshipResult::default())
        }
        OperationBody::Clawback(_) => OperationResultTr::Clawback(ClawbackResult::default()),
        OperationBody::ClawbackClaimableBalance(_) => {
            OperationResultTr::ClawbackClaimableBalance(ClawbackClaimableBalanceResult::default())
        }
        OperationBody::SetTrustLineFlags(_) => {
            OperationResultTr::SetTrustLineFlags(SetTrustLineFlagsResult::default())
        }
        OperationBody::LiquidityPoolDeposit(_) => {
            OperationResultTr::LiquidityPoolDeposit(LiquidityPoolDepositResult::default())
        }
        OperationBody::LiquidityPoolWithdraw(_) => {
            OperationResultTr::LiquidityPoolWithdraw(LiquidityPoolWithdrawResult::default())
        }
        OperationBody::InvokeHostFunction(_) => {
            OperationResultTr::InvokeHostFunction(InvokeHostFunctionResult::default())
        }
        OperationBody::ExtendFootprintTtl(_) => {
            OperationResultTr::ExtendFootprintTtl(ExtendFootprintTtlResult::default())
        }
        OperationBody::RestoreFootprint(_) => {
            OperationResultTr::RestoreFootprint(RestoreFootprintResult::default())
        }
    })
}
