//! What the queue refuses, and with which code.

use crate::network::{
    call, create_account, decode_result, explain, pay, refusal, sign_for, wasm, Key, Network, XLM,
};
use sorofast_sandbox::crypto::sha256;
use sorofast_sandbox::node::SubmitStatus;
use stellar_xdr::{
    DecoratedSignature, Duration as XdrDuration, ExtendFootprintTtlOp, ExtensionPoint,
    LedgerBounds, Limits, ManageSellOfferOp, Memo, MuxedAccount, MuxedAccountMed25519, Operation,
    OperationBody, OperationResult, OperationResultTr, PaymentResult, Preconditions,
    PreconditionsV2, ReadXdr, ScVal, SequenceNumber, Signature, SignatureHint, SignerKey,
    SignerKeyEd25519SignedPayload, TimeBounds, TimePoint, Transaction, TransactionEnvelope,
    TransactionExt, TransactionResultResult as Code, Uint256, WriteXdr,
};

fn with_account() -> (Network, Key, Key) {
    let network = Network::new();
    let (alice, bob) = (Key::new(1), Key::new(2));
    network.fund(&[alice, bob], 100 * XLM);
    (network, alice, bob)
}

fn v2() -> PreconditionsV2 {
    PreconditionsV2 {
        time_bounds: None,
        ledger_bounds: None,
        min_seq_num: None,
        min_seq_age: XdrDuration(0),
        min_seq_ledger_gap: 0,
        extra_signers: stellar_xdr::VecM::default(),
    }
}

#[test]
fn the_source_must_sign() {
    let (network, alice, bob) = with_account();
    let tx = network.tx(&alice, vec![pay(&bob, 1)]);
    let unsigned = network.submit(&network.sign(&tx, &[]));
    assert_eq!(refusal(&unsigned), Code::TxBadAuth);
    let wrong = network.submit(&network.sign(&tx, &[bob]));
    assert_eq!(refusal(&wrong), Code::TxBadAuth);
    let surplus = network.submit(&network.sign(&tx, &[alice, bob]));
    assert_eq!(refusal(&surplus), Code::TxBadAuthExtra);
    let other_network = network.submit(&sign_for(&tx, &[alice], &[9; 32]));
    assert_eq!(refusal(&other_network), Code::TxBadAuth);
}

#[test]
fn every_operation_source_must_sign() {
    let (network, alice, bob) = with_account();
    let mut operation = pay(&alice, 1);
    operation.source_account = Some(bob.muxed());
    let tx = network.tx(&alice, vec![pay(&bob, 1), operation]);
    let missing = network.submit(&network.sign(&tx, &[alice]));
    let Code::TxFailed(results) = refusal(&missing) else {
        panic!("{}", explain(&missing));
    };
    assert_eq!(results[1], OperationResult::OpBadAuth);
    assert!(matches!(results[0], OperationResult::OpInner(_)));
    let both = network.submit(&network.sign(&tx, &[alice, bob]));
    assert_eq!(both.status, SubmitStatus::Pending);
}

#[test]
fn operations_are_checked_one_after_the_other() {
    let (network, alice, bob) = with_account();
    let mut operation = pay(&alice, 1);
    operation.source_account = Some(bob.muxed());
    let tx = network.tx(&alice, vec![pay(&bob, 0), operation]);
    let submission = network.submit(&network.sign(&tx, &[alice]));
    let Code::TxFailed(results) = refusal(&submission) else {
        panic!("{}", explain(&submission));
    };
    let payment = |code| OperationResult::OpInner(OperationResultTr::Payment(code));
    assert_eq!(
        results.to_vec(),
        [
            payment(PaymentResult::Malformed),
            payment(PaymentResult::Success)
        ]
    );
}

#[test]
fn the_sequence_is_exact() {
    let (network, alice, bob) = with_account();
    let mut tx = network.tx(&alice, vec![pay(&bob, 1)]);
    for offset in [-1, 1] {
        tx.seq_num = SequenceNumber(network.sequence(&alice) + 1 + offset);
        let submission = network.submit(&network.sign(&tx, &[alice]));
        assert_eq!(refusal(&submission), Code::TxBadSeq, "offset {offset}");
    }
    let stranger = Key::new(99);
    let tx = network.tx(&stranger, vec![pay(&bob, 1)]);
    let submission = network.submit(&network.sign(&tx, &[stranger]));
    assert_eq!(refusal(&submission), Code::TxNoAccount);
}

#[test]
fn a_lowest_sequence_lets_gaps_through() {
    let (network, alice, bob) = with_account();
    let current = network.sequence(&alice);
    let mut tx = network.tx(&alice, vec![pay(&bob, 1)]);
    tx.seq_num = SequenceNumber(current + 50);
    tx.cond = Preconditions::V2(PreconditionsV2 {
        min_seq_num: Some(SequenceNumber(current + 1)),
        ..v2()
    });
    let too_low = network.submit(&network.sign(&tx, &[alice]));
    assert_eq!(refusal(&too_low), Code::TxBadSeq);
    tx.cond = Preconditions::V2(PreconditionsV2 {
        min_seq_num: Some(SequenceNumber(0)),
        ..v2()
    });
    assert!(network.apply(&network.sign(&tx, &[alice])).successful);
    assert_eq!(network.sequence(&alice), current + 50);
}

#[test]
fn time_bounds_follow_the_closes() {
    let (network, alice, bob) = with_account();
    let last_close_s = network.node.latest().close_time_s;
    let bounded = |min_s: u64, max_s: u64| {
        let mut tx = network.tx(&alice, vec![pay(&bob, 1)]);
        tx.cond = Preconditions::Time(TimeBounds {
            min_time: TimePoint(min_s),
            max_time: TimePoint(max_s),
        });
        network.sign(&tx, &[alice])
    };
    let early = network.submit(&bounded(last_close_s + 1, 0));
    assert_eq!(refusal(&early), Code::TxTooEarly);
    // Twice the expected close, which a manual network takes from its settings: ten seconds.
    let late = network.submit(&bounded(0, last_close_s + 9));
    assert_eq!(refusal(&late), Code::TxTooLate);
    let fine = network.submit(&bounded(last_close_s, last_close_s + 15));
    assert_eq!(fine.status, SubmitStatus::Pending, "{}", explain(&fine));
}

#[test]
fn a_transaction_that_expires_in_the_queue_is_not_applied() {
    let (network, alice, bob) = with_account();
    let mut tx = network.tx(&alice, vec![pay(&bob, 1)]);
    tx.cond = Preconditions::Time(TimeBounds {
        min_time: TimePoint(0),
        max_time: TimePoint(network.node.latest().close_time_s + 20),
    });
    let envelope = network.sign(&tx, &[alice]);
    let submission = network.submit(&envelope);
    assert_eq!(submission.status, SubmitStatus::Pending);
    network.node.advance(1, 60.0).expect("a minute");
    assert!(network.node.transaction(&submission.hash).record.is_none());
    assert_eq!(network.node.pending(), 0);
    assert_eq!(
        network.submit(&envelope).status,
        SubmitStatus::TryAgainLater
    );
}

#[test]
fn ledger_bounds_name_the_next_ledger() {
    let (network, alice, bob) = with_account();
    let next = network.node.latest().sequence + 1;
    let bounded = |min_ledger, max_ledger| {
        let mut tx = network.tx(&alice, vec![pay(&bob, 1)]);
        tx.cond = Preconditions::V2(PreconditionsV2 {
            ledger_bounds: Some(LedgerBounds {
                min_ledger,
                max_ledger,
            }),
            ..v2()
        });
        network.sign(&tx, &[alice])
    };
    let early = network.submit(&bounded(next + 1, 0));
    assert_eq!(refusal(&early), Code::TxTooEarly);
    // The upper bound is exclusive.
    let late = network.submit(&bounded(0, next));
    assert_eq!(refusal(&late), Code::TxTooLate);
    let fine = network.submit(&bounded(next, next + 1));
    assert_eq!(fine.status, SubmitStatus::Pending);
}

#[test]
fn the_age_of_the_sequence_counts() {
    let (network, alice, bob) = with_account();
    let tx = network.tx(&alice, vec![pay(&bob, 1)]);
    network.apply(&network.sign(&tx, &[alice]));
    let mut tx = network.tx(&alice, vec![pay(&bob, 1)]);
    tx.cond = Preconditions::V2(PreconditionsV2 {
        min_seq_ledger_gap: 3,
        ..v2()
    });
    let envelope = network.sign(&tx, &[alice]);
    let near = network.submit(&envelope);
    assert_eq!(refusal(&near), Code::TxBadMinSeqAgeOrGap);
    network.close();
    network.close();
    assert_eq!(network.submit(&envelope).status, SubmitStatus::Pending);
    network.close();
    let mut tx = network.tx(&alice, vec![pay(&bob, 1)]);
    tx.cond = Preconditions::V2(PreconditionsV2 {
        min_seq_age: XdrDuration(60),
        ..v2()
    });
    let envelope = network.sign(&tx, &[alice]);
    let young = network.submit(&envelope);
    assert_eq!(refusal(&young), Code::TxBadMinSeqAgeOrGap);
    network.node.advance(1, 61.0).expect("a minute");
    assert_eq!(network.submit(&envelope).status, SubmitStatus::Pending);
}

#[test]
fn extra_signers_are_checked() {
    let (network, alice, bob) = with_account();
    let carol = Key::new(3);
    let mut tx = network.tx(&alice, vec![pay(&bob, 1)]);
    tx.cond = Preconditions::V2(PreconditionsV2 {
        extra_signers: vec![SignerKey::Ed25519(Uint256(carol.id))]
            .try_into()
            .expect("one signer"),
        ..v2()
    });
    let missing = network.submit(&network.sign(&tx, &[alice]));
    assert_eq!(refusal(&missing), Code::TxBadAuth);
    let signed = network.submit(&network.sign(&tx, &[alice, carol]));
    assert_eq!(signed.status, SubmitStatus::Pending);
}

#[test]
fn fees_and_balances_are_held_against_each_other() {
    let (network, alice, bob) = with_account();
    let mut tx = network.tx(&alice, vec![pay(&bob, 1), pay(&bob, 1)]);
    tx.fee = 199;
    let low = network.submit(&network.sign(&tx, &[alice]));
    assert_eq!(refusal(&low), Code::TxInsufficientFee);
    let SubmitStatus::Error { result_xdr, .. } = &low.status else {
        unreachable!("it was refused");
    };
    assert_eq!(decode_result(result_xdr).fee_charged, 200);
    // A new account holds its reserve and nothing to pay a fee with.
    let poor = Key::new(4);
    network.fund(&[poor], XLM);
    let tx = network.tx(&poor, vec![pay(&bob, 1)]);
    let submission = network.submit(&network.sign(&tx, &[poor]));
    assert_eq!(refusal(&submission), Code::TxInsufficientBalance);
}

#[test]
fn what_is_not_carried_out_is_named() {
    let (network, alice, _) = with_account();
    let offer = Operation {
        source_account: None,
        body: OperationBody::ManageSellOffer(ManageSellOfferOp::default()),
    };
    let tx = network.tx(&alice, vec![offer]);
    let submission = network.submit(&network.sign(&tx, &[alice]));
    let Code::TxFailed(results) = refusal(&submission) else {
        panic!("{}", explain(&submission));
    };
    assert_eq!(results[0], OperationResult::OpNotSupported);
    let SubmitStatus::Error {
        diagnostic_events_xdr,
        ..
    } = &submission.status
    else {
        unreachable!("it was refused");
    };
    let text = String::from_utf8_lossy(&diagnostic_events_xdr[0]).into_owned();
    assert!(text.contains("ManageSellOffer is not supported"), "{text}");

    assert!(network.node.submit(b"no envelope").is_err());
}

#[test]
fn a_call_has_no_memo_and_no_muxed_source() {
    let (network, alice, _) = with_account();
    let counter = network.deploy(&alice, &wasm("counter"));
    let plain = network.soroban_tx(&alice, None, call(&counter, "bump", vec![ScVal::U64(1)]));
    let muxed = MuxedAccount::MuxedEd25519(MuxedAccountMed25519 {
        id: 3,
        ed25519: Uint256(alice.id),
    });
    let refused = |change: &dyn Fn(&mut Transaction)| {
        let mut tx = plain.clone();
        change(&mut tx);
        // What the longer envelope costs is paid for.
        tx.fee += 1_000;
        if let TransactionExt::V1(data) = &mut tx.ext {
            data.resource_fee += 1_000;
        }
        let submission = network.submit(&network.sign(&tx, &[alice]));
        if submission.status == SubmitStatus::Pending {
            return None;
        }
        assert!(
            explain(&submission).contains("memo"),
            "{}",
            explain(&submission)
        );
        Some(refusal(&submission))
    };
    assert_eq!(
        refused(&|tx| tx.memo = Memo::Id(1)),
        Some(Code::TxSorobanInvalid)
    );
    let with_source = |tx: &mut Transaction| tx.source_account = muxed.clone();
    assert_eq!(refused(&with_source), Some(Code::TxSorobanInvalid));
    let with_operation_source = |tx: &mut Transaction| {
        let mut operation = tx.operations[0].clone();
        operation.source_account = Some(muxed.clone());
        tx.operations = vec![operation].try_into().expect("one operation");
    };
    assert_eq!(
        refused(&with_operation_source),
        Some(Code::TxSorobanInvalid)
    );
    // Only calls are held to this; what extends lifetimes may have either.
    let extend = |tx: &mut Transaction| {
        with_source(tx);
        tx.memo = Memo::Id(1);
        tx.operations = vec![Operation {
            source_account: None,
            body: OperationBody::ExtendFootprintTtl(ExtendFootprintTtlOp {
                ext: ExtensionPoint::V0,
                extend_to: 1_000,
            }),
        }]
        .try_into()
        .expect("one operation");
        if let TransactionExt::V1(data) = &mut tx.ext {
            let footprint = &mut data.resources.footprint;
            footprint.read_write = stellar_xdr::VecM::default();
            data.resources.write_bytes = 0;
        }
    };
    assert_eq!(refused(&extend), None);
}

#[test]
fn extra_signers_are_well_formed() {
    let (network, alice, bob) = with_account();
    let with_signers = |signers: Vec<SignerKey>| {
        let mut tx = network.tx(&alice, vec![pay(&bob, 1)]);
        tx.cond = Preconditions::V2(PreconditionsV2 {
            extra_signers: signers.try_into().expect("at most two"),
            ..v2()
        });
        network.submit(&network.sign(&tx, &[alice]))
    };
    let carol = SignerKey::Ed25519(Uint256(Key::new(3).id));
    let twice = with_signers(vec![carol.clone(), carol.clone()]);
    assert_eq!(refusal(&twice), Code::TxMalformed);
    let empty = SignerKey::Ed25519SignedPayload(SignerKeyEd25519SignedPayload {
        ed25519: Uint256(Key::new(3).id),
        payload: stellar_xdr::BytesM::default(),
    });
    assert_eq!(refusal(&with_signers(vec![empty])), Code::TxMalformed);
    // The hash of nothing but itself signs for nobody.
    let secret = b"open sesame";
    let hashed = SignerKey::HashX(Uint256(sha256(secret)));
    assert_eq!(
        refusal(&with_signers(vec![hashed.clone()])),
        Code::TxBadAuth
    );
    let mut tx = network.tx(&alice, vec![pay(&bob, 1)]);
    tx.cond = Preconditions::V2(PreconditionsV2 {
        extra_signers: vec![hashed].try_into().expect("one signer"),
        ..v2()
    });
    let envelope = network.sign(&tx, &[alice]);
    let TransactionEnvelope::Tx(mut envelope) =
        TransactionEnvelope::from_xdr(&envelope, Limits::none()).expect("an envelope")
    else {
        unreachable!("it is of version 1");
    };
    let mut signatures = envelope.signatures.to_vec();
    let hash = sha256(secret);
    signatures.push(DecoratedSignature {
        hint: SignatureHint([hash[28], hash[29], hash[30], hash[31]]),
        signature: Signature(secret.to_vec().try_into().expect("a short secret")),
    });
    envelope.signatures = signatures.try_into().expect("two signatures");
    let xdr = TransactionEnvelope::Tx(envelope).to_xdr(Limits::none());
    let revealed = network.submit(&xdr.expect("an envelope"));
    assert_eq!(
        revealed.status,
        SubmitStatus::Pending,
        "{}",
        explain(&revealed)
    );
}

#[test]
fn declared_resources_have_limits() {
    let (network, alice, _) = with_account();
    let counter = network.deploy(&alice, &wasm("counter"));
    let tx = network.soroban_tx(&alice, None, call(&counter, "bump", vec![ScVal::U64(1)]));
    let changed = |change: &dyn Fn(&mut stellar_xdr::SorobanTransactionData)| {
        let mut tx = tx.clone();
        let TransactionExt::V1(data) = &mut tx.ext else {
            unreachable!("a Soroban transaction");
        };
        change(data);
        network.submit(&network.sign(&tx, &[alice]))
    };
    let too_much = changed(&|data| data.resources.instructions = 400_000_001);
    assert_eq!(refusal(&too_much), Code::TxSorobanInvalid);
    let too_cheap = changed(&|data| data.resource_fee = 1_000);
    assert_eq!(refusal(&too_cheap), Code::TxSorobanInvalid);
    let negative = changed(&|data| data.resource_fee = -1);
    assert_eq!(refusal(&negative), Code::TxMalformed);
    let twice = changed(&|data| {
        let key = data.resources.footprint.read_only[0].clone();
        let mut keys = data.resources.footprint.read_write.to_vec();
        keys.push(key);
        data.resources.footprint.read_write = keys.try_into().expect("keys");
        data.resources.write_bytes = 0;
        data.resources.instructions = 0;
    });
    assert_eq!(
        refusal(&twice),
        Code::TxSorobanInvalid,
        "{}",
        explain(&twice)
    );
    let mut with_two = tx.clone();
    with_two.operations = vec![tx.operations[0].clone(), create_account(&Key::new(9), XLM)]
        .try_into()
        .expect("two operations");
    let submission = network.submit(&network.sign(&with_two, &[alice]));
    assert_eq!(refusal(&submission), Code::TxMalformed);
    let mut low = tx.clone();
    low.fee -= 1;
    let submission = network.submit(&network.sign(&low, &[alice]));
    assert_eq!(refusal(&submission), Code::TxInsufficientFee);
}
