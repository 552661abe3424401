//! `SetOptions`, and what signers and thresholds mean for what follows.

use crate::classic_steps::{by, done, ed25519, last, no_options, results, run, set_signer};
use crate::network::{bump, explain, pay, refusal, sign_for, Key, Network, XLM};
use sorofast_sandbox::crypto::{sha256, sha256_parts, sign_ed25519};
use sorofast_sandbox::node::{Node, SubmitStatus};
use stellar_xdr::{
    AccountFlags, DecoratedSignature, Limits, MuxedAccount, OperationBody, OperationResult,
    OperationResultTr, ReadXdr, SetOptionsOp, SetOptionsResult, Signature, SignatureHint,
    SignerKey, SignerKeyEd25519SignedPayload, String32, TransactionEnvelope, TransactionMeta,
    TransactionResultResult as Code, Uint256, WriteXdr,
};

fn network() -> (Network, Key, Key, Key) {
    let network = Network::new();
    let (alice, bob, carol) = (Key::new(1), Key::new(2), Key::new(3));
    network.fund(&[alice, bob, carol], 100 * XLM);
    (network, alice, bob, carol)
}

fn options(source: &Key, op: SetOptionsOp) -> stellar_xdr::Operation {
    by(source, OperationBody::SetOptions(op))
}

fn thresholds(low: u32, medium: u32, high: u32) -> SetOptionsOp {
    SetOptionsOp {
        low_threshold: Some(low),
        med_threshold: Some(medium),
        high_threshold: Some(high),
        ..no_options()
    }
}

#[test]
fn signers_count_up_to_thresholds() {
    let (network, alice, bob, carol) = network();
    done(
        &network,
        vec![
            set_signer(&alice, ed25519(&bob), 2),
            set_signer(&alice, ed25519(&carol), 1),
            options(&alice, thresholds(1, 2, 3)),
        ],
        &[alice],
    );
    let account = network.account(&alice).expect("alice");
    assert_eq!(account.thresholds.0, [1, 1, 2, 3]);
    assert_eq!(account.num_sub_entries, 2);
    let mut keys = [ed25519(&bob), ed25519(&carol)];
    keys.sort();
    let held: Vec<_> = account.signers.iter().map(|s| s.key.clone()).collect();
    assert_eq!(held, keys, "signers are kept in order");

    let payment = network.tx(&alice, vec![pay(&bob, 1)]);
    let weak = network.submit(&network.sign(&payment, &[carol]));
    let Code::TxFailed(list) = refusal(&weak) else {
        panic!("{}", explain(&weak));
    };
    assert_eq!(list[0], OperationResult::OpBadAuth);
    assert!(network.apply(&network.sign(&payment, &[bob])).successful);
    let both = network.tx(&alice, vec![pay(&bob, 1)]);
    assert!(
        network
            .apply(&network.sign(&both, &[alice, carol]))
            .successful
    );

    let control = network.tx(&alice, vec![options(&alice, thresholds(0, 0, 0))]);
    let weak = network.submit(&network.sign(&control, &[bob]));
    assert!(matches!(refusal(&weak), Code::TxFailed(_)));
    assert!(
        network
            .apply(&network.sign(&control, &[bob, carol]))
            .successful
    );
    // The home domain is no matter of control.
    let domain = SetOptionsOp {
        home_domain: Some(String32("example.org".try_into().expect("short"))),
        ..no_options()
    };
    done(&network, vec![options(&alice, domain)], &[alice]);
    let account = network.account(&alice).expect("alice");
    assert_eq!(account.home_domain.to_utf8_string_lossy(), "example.org");
}

#[test]
fn a_signer_is_changed_and_taken_out() {
    let (network, alice, bob, _) = network();
    done(
        &network,
        vec![set_signer(&alice, ed25519(&bob), 2)],
        &[alice],
    );
    done(
        &network,
        vec![set_signer(&alice, ed25519(&bob), 7)],
        &[alice],
    );
    let account = network.account(&alice).expect("alice");
    assert_eq!(account.signers[0].weight, 7);
    assert_eq!(account.num_sub_entries, 1);
    done(
        &network,
        vec![set_signer(&alice, ed25519(&bob), 0)],
        &[alice],
    );
    let account = network.account(&alice).expect("alice");
    assert!(account.signers.is_empty());
    assert_eq!(account.num_sub_entries, 0);
}

#[test]
fn without_its_master_key_an_account_has_only_its_signers() {
    let (network, alice, bob, _) = network();
    let off = SetOptionsOp {
        master_weight: Some(0),
        ..no_options()
    };
    let operations = vec![set_signer(&alice, ed25519(&bob), 1), options(&alice, off)];
    done(&network, operations, &[alice]);
    let payment = network.tx(&alice, vec![pay(&bob, 1)]);
    let refused = network.submit(&network.sign(&payment, &[alice]));
    assert_eq!(refusal(&refused), Code::TxBadAuth);
    assert!(network.apply(&network.sign(&payment, &[bob])).successful);
}

#[test]
fn a_signer_costs_a_reserve() {
    let (network, alice, bob, _) = network();
    let poor = Key::new(9);
    network.fund(&[poor], XLM + XLM / 4);
    let record = run(&network, vec![set_signer(&poor, ed25519(&bob), 1)], &[poor]);
    let low = OperationResultTr::SetOptions(SetOptionsResult::LowReserve);
    assert_eq!(last(&record), low);
    // Twenty signers are the most.
    let many = (0..20).map(|n| set_signer(&alice, ed25519(&Key::new(100 + n)), 1));
    done(&network, many.collect(), &[alice]);
    let record = run(
        &network,
        vec![set_signer(&alice, ed25519(&bob), 1)],
        &[alice],
    );
    let full = OperationResultTr::SetOptions(SetOptionsResult::TooManySigners);
    assert_eq!(last(&record), full);
}

#[test]
fn options_out_of_bounds_are_refused() {
    let (network, alice, bob, _) = network();
    let signer = |key, weight| {
        let OperationBody::SetOptions(op) = set_signer(&alice, key, weight).body else {
            unreachable!("it sets options");
        };
        op
    };
    let empty = SignerKey::Ed25519SignedPayload(SignerKeyEd25519SignedPayload {
        ed25519: Uint256(bob.id),
        payload: stellar_xdr::BytesM::default(),
    });
    let flags = |set, clear| SetOptionsOp {
        set_flags: Some(set),
        clear_flags: Some(clear),
        ..no_options()
    };
    let domain = SetOptionsOp {
        home_domain: Some(String32("a\nb".try_into().expect("short"))),
        ..no_options()
    };
    for (op, code) in [
        (signer(ed25519(&alice), 1), SetOptionsResult::BadSigner),
        (signer(ed25519(&bob), 256), SetOptionsResult::BadSigner),
        (signer(empty, 1), SetOptionsResult::BadSigner),
        (flags(16, 0), SetOptionsResult::UnknownFlag),
        (flags(1, 1), SetOptionsResult::BadFlags),
        (thresholds(0, 0, 256), SetOptionsResult::ThresholdOutOfRange),
        (domain, SetOptionsResult::InvalidHomeDomain),
    ] {
        let tx = network.tx(&alice, vec![options(&alice, op)]);
        let submission = network.submit(&network.sign(&tx, &[alice]));
        let Code::TxFailed(list) = refusal(&submission) else {
            panic!("{}", explain(&submission));
        };
        let wanted = OperationResult::OpInner(OperationResultTr::SetOptions(code));
        assert_eq!(list[0], wanted);
    }
}

#[test]
fn flags_depend_on_each_other() {
    let (network, alice, _, _) = network();
    let set = |flags: u32| {
        let op = SetOptionsOp {
            set_flags: Some(flags),
            ..no_options()
        };
        options(&alice, op)
    };
    let code = |code| OperationResultTr::SetOptions(code);
    let clawback = AccountFlags::ClawbackEnabledFlag as u32;
    let revocable = AccountFlags::RevocableFlag as u32;
    let record = run(&network, vec![set(clawback)], &[alice]);
    assert_eq!(last(&record), code(SetOptionsResult::AuthRevocableRequired));
    done(&network, vec![set(clawback | revocable)], &[alice]);
    done(
        &network,
        vec![set(AccountFlags::ImmutableFlag as u32)],
        &[alice],
    );
    let record = run(
        &network,
        vec![set(AccountFlags::RequiredFlag as u32)],
        &[alice],
    );
    assert_eq!(last(&record), code(SetOptionsResult::CantChange));
    let stranger = SetOptionsOp {
        inflation_dest: Some(Key::new(77).account_id()),
        ..no_options()
    };
    let record = run(&network, vec![options(&alice, stranger)], &[alice]);
    assert_eq!(last(&record), code(SetOptionsResult::InvalidInflation));
}

#[test]
fn a_transaction_authorized_ahead_needs_no_signature_and_only_works_once() {
    let (network, alice, bob, _) = network();
    // It comes after the one that makes its hash a signer.
    let mut ahead = network.tx(&alice, vec![pay(&bob, XLM)]);
    ahead.seq_num.0 += 1;
    let body = ahead.to_xdr(Limits::none()).expect("a transaction");
    let id = network.node.network_id();
    let hash = sha256_parts(&[&id, &2_u32.to_be_bytes(), &body]);
    let signer = SignerKey::PreAuthTx(Uint256(hash));
    done(&network, vec![set_signer(&alice, signer, 1)], &[alice]);
    assert_eq!(network.account(&alice).expect("alice").num_sub_entries, 1);
    let record = network.apply(&sign_for(&ahead, &[], &id));
    assert!(record.successful, "{:?}", results(&record));
    let account = network.account(&alice).expect("alice");
    assert!(account.signers.is_empty());
    assert_eq!(account.num_sub_entries, 0);
    // The signer's end and the sequence are one change of the account.
    let TransactionMeta::V4(meta) =
        TransactionMeta::from_xdr(&record.meta_xdr, Limits::none()).expect("a meta")
    else {
        panic!("version 4");
    };
    assert_eq!(meta.tx_changes_before.len(), 2);
}

#[test]
fn a_transaction_authorized_ahead_loses_its_signer_when_it_fails() {
    let (network, alice, bob, _) = network();
    let mut ahead = network.tx(&alice, vec![pay(&bob, 500 * XLM)]);
    ahead.seq_num.0 += 1;
    let body = ahead.to_xdr(Limits::none()).expect("a transaction");
    let id = network.node.network_id();
    let hash = sha256_parts(&[&id, &2_u32.to_be_bytes(), &body]);
    let signer = SignerKey::PreAuthTx(Uint256(hash));
    done(&network, vec![set_signer(&alice, signer, 1)], &[alice]);
    let record = network.apply(&sign_for(&ahead, &[], &id));
    assert!(!record.successful);
    let outline = Node::outline(&record).expect("an outline");
    let failed = outline.operation_result.as_deref();
    assert_eq!(failed, Some("PAYMENT_UNDERFUNDED"));
    assert!(network.account(&alice).expect("alice").signers.is_empty());
}

fn with_signature(envelope: &[u8], hint: [u8; 4], signature: &[u8]) -> Vec<u8> {
    let TransactionEnvelope::Tx(mut envelope) =
        TransactionEnvelope::from_xdr(envelope, Limits::none()).expect("an envelope")
    else {
        panic!("version 1");
    };
    envelope.signatures = vec![DecoratedSignature {
        hint: SignatureHint(hint),
        signature: Signature(signature.to_vec().try_into().expect("short")),
    }]
    .try_into()
    .expect("one");
    TransactionEnvelope::Tx(envelope)
        .to_xdr(Limits::none())
        .expect("an envelope")
}

fn tail(bytes: &[u8]) -> [u8; 4] {
    bytes[bytes.len() - 4..].try_into().expect("four bytes")
}

#[test]
fn a_secret_and_a_signed_payload_sign_too() {
    let (network, alice, bob, _) = network();
    let secret = b"open sesame";
    let digest = sha256(secret);
    let payload = b"what bob signed once".to_vec();
    let signed = SignerKey::Ed25519SignedPayload(SignerKeyEd25519SignedPayload {
        ed25519: Uint256(bob.id),
        payload: payload.clone().try_into().expect("short"),
    });
    let operations = vec![
        set_signer(&alice, SignerKey::HashX(Uint256(digest)), 1),
        set_signer(&alice, signed, 1),
    ];
    done(&network, operations, &[alice]);

    let payment = network.tx(&alice, vec![pay(&bob, 1)]);
    let unsigned = network.sign(&payment, &[]);
    let wrong = with_signature(&unsigned, tail(&digest), b"open pepper");
    assert_eq!(refusal(&network.submit(&wrong)), Code::TxBadAuth);
    let right = with_signature(&unsigned, tail(&digest), secret);
    assert!(network.apply(&right).successful);

    let payment = network.tx(&alice, vec![pay(&bob, 1)]);
    let unsigned = network.sign(&payment, &[]);
    let signature = sign_ed25519(&bob.seed, &payload).expect("a signature");
    let mut hint = tail(&payload);
    for (mixed, byte) in hint.iter_mut().zip(tail(&bob.id)) {
        *mixed ^= byte;
    }
    let plain_hint = with_signature(&unsigned, tail(&bob.id), &signature);
    assert_eq!(refusal(&network.submit(&plain_hint)), Code::TxBadAuth);
    assert!(
        network
            .apply(&with_signature(&unsigned, hint, &signature))
            .successful
    );
}

#[test]
fn low_and_high_operations_ask_for_their_thresholds() {
    let (network, alice, bob, carol) = network();
    done(
        &network,
        vec![
            set_signer(&alice, ed25519(&carol), 1),
            options(&alice, thresholds(1, 2, 2)),
        ],
        &[alice],
    );
    let bump = OperationBody::BumpSequence(stellar_xdr::BumpSequenceOp {
        bump_to: stellar_xdr::SequenceNumber(0),
    });
    let tx = network.tx(&alice, vec![by(&alice, bump)]);
    assert!(network.apply(&network.sign(&tx, &[carol])).successful);
    let merge = OperationBody::AccountMerge(MuxedAccount::Ed25519(Uint256(bob.id)));
    let tx = network.tx(&alice, vec![by(&alice, merge)]);
    let weak = network.submit(&network.sign(&tx, &[carol]));
    assert!(matches!(refusal(&weak), Code::TxFailed(_)));
    let strong = network.submit(&network.sign(&tx, &[alice, carol]));
    assert_eq!(strong.status, SubmitStatus::Pending, "{}", explain(&strong));
}

#[test]
fn a_fee_bump_authorized_ahead_needs_no_signature_of_its_payer() {
    let (network, alice, bob, carol) = network();
    let inner = network.tx(&alice, vec![pay(&bob, XLM)]);
    let inner = network.sign(&inner, &[alice]);
    let unsigned = bump(&network, &inner, &carol, 400, &[]);
    let id = network.node.network_id();
    let hash = sha256_parts(&[&id, &unsigned[..unsigned.len() - 4]]);
    let signer = SignerKey::PreAuthTx(Uint256(hash));
    done(&network, vec![set_signer(&carol, signer, 1)], &[carol]);
    assert_eq!(network.account(&carol).expect("carol").signers.len(), 1);
    let record = network.apply(&unsigned);
    assert!(record.successful);
    assert!(network.account(&carol).expect("carol").signers.is_empty());
    network.assert_coins();
}
