//! Operations and results that the tests of classic operations share.

use crate::network::{decode_result, Key, Network};
use sorofast_sandbox::node::TransactionRecord;
use std::sync::Arc;
use stellar_xdr::{
    BeginSponsoringFutureReservesOp, Operation, OperationBody, OperationResult, OperationResultTr,
    SetOptionsOp, Signer, SignerKey, TransactionResultResult as Code, Uint256,
};

pub(crate) fn by(source: &Key, body: OperationBody) -> Operation {
    Operation {
        source_account: Some(source.muxed()),
        body,
    }
}

pub(crate) fn no_options() -> SetOptionsOp {
    SetOptionsOp {
        inflation_dest: None,
        clear_flags: None,
        set_flags: None,
        master_weight: None,
        low_threshold: None,
        med_threshold: None,
        high_threshold: None,
        home_domain: None,
        signer: None,
    }
}

pub(crate) fn set_signer(source: &Key, key: SignerKey, weight: u32) -> Operation {
    by(
        source,
        OperationBody::SetOptions(SetOptionsOp {
            signer: Some(Signer { key, weight }),
            ..no_options()
        }),
    )
}

pub(crate) fn ed25519(key: &Key) -> SignerKey {
    SignerKey::Ed25519(Uint256(key.id))
}

pub(crate) fn begin(sponsor: &Key, sponsored: &Key) -> Operation {
    by(
        sponsor,
        OperationBody::BeginSponsoringFutureReserves(BeginSponsoringFutureReservesOp {
            sponsored_id: sponsored.account_id(),
        }),
    )
}

pub(crate) fn end(sponsored: &Key) -> Operation {
    by(sponsored, OperationBody::EndSponsoringFutureReserves)
}

/// Applies the operations in one transaction of the first signer.
#[track_caller]
pub(crate) fn run(
    network: &Network,
    operations: Vec<Operation>,
    signers: &[Key],
) -> Arc<TransactionRecord> {
    let tx = network.tx(&signers[0], operations);
    let record = network.apply(&network.sign(&tx, signers));
    network.assert_coins();
    record
}

/// As `run`, for what has to succeed.
#[track_caller]
pub(crate) fn done(
    network: &Network,
    operations: Vec<Operation>,
    signers: &[Key],
) -> Arc<TransactionRecord> {
    let record = run(network, operations, signers);
    assert!(record.successful, "{:?}", decode_result(&record.result_xdr));
    record
}

pub(crate) fn results(record: &TransactionRecord) -> Vec<OperationResult> {
    match decode_result(&record.result_xdr).result {
        Code::TxSuccess(results) | Code::TxFailed(results) => results.to_vec(),
        other => panic!("no operation results in {other:?}"),
    }
}

/// What became of the last operation.
#[track_caller]
pub(crate) fn last(record: &TransactionRecord) -> OperationResultTr {
    match results(record).pop().expect("an operation") {
        OperationResult::OpInner(inner) => inner,
        other => panic!("no inner result: {other:?}"),
    }
}
