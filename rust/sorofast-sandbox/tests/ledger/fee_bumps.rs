//! Fee-bumps: who pays, who signs, and what a refusal says.

use crate::contracts::with_counter;
use crate::network::{bump, call, decode_result, explain, pay, refusal, Key, Network, XLM};
use sorofast_sandbox::crypto::sha256_parts;
use sorofast_sandbox::ledger::account::encode;
use sorofast_sandbox::node::{Submission, SubmitStatus};
use sorofast_sandbox::tx::fates::{Fate, Reason};
use stellar_xdr::{
    ContractEventBody, InnerTransactionResultResult as InnerCode, LedgerEntryChange,
    LedgerEntryData, Limits, Memo, MuxedAccount, MuxedAccountMed25519, ReadXdr, ScAddress, ScVal,
    SequenceNumber, TransactionEnvelope, TransactionEvent, TransactionExt, TransactionMeta,
    TransactionResultResult as Code, TransactionV0, TransactionV0Envelope, TransactionV0Ext,
    Uint256, WriteXdr,
};

/// Alice sends to Bob, Carol pays.
pub(crate) fn three() -> (Network, Key, Key, Key) {
    let network = Network::new();
    let (alice, bob, carol) = (Key::new(1), Key::new(2), Key::new(3));
    network.fund(&[alice, bob, carol], 100 * XLM);
    (network, alice, bob, carol)
}

pub(crate) fn quoted(submission: &Submission) -> i64 {
    match &submission.status {
        SubmitStatus::Error { result_xdr, .. } => decode_result(result_xdr).fee_charged,
        other => panic!("expected a refusal, got {other:?}"),
    }
}

/// The result of the inner transaction of a refused fee-bump.
fn inner_refusal(submission: &Submission) -> InnerCode {
    match refusal(submission) {
        Code::TxFeeBumpInnerFailed(pair) => {
            assert_eq!(pair.result.fee_charged, 0);
            pair.result.result
        }
        other => panic!("expected an inner failure, got {other:?}"),
    }
}

#[test]
fn somebody_else_pays() {
    let (network, alice, bob, carol) = three();
    let mut inner = network.tx(&alice, vec![pay(&bob, 5 * XLM)]);
    inner.fee = 0;
    let inner_envelope = network.sign(&inner, &[alice]);
    let sequence = network.sequence(&alice);
    let carols = network.account(&carol).expect("carol").balance;
    let alices = network.account(&alice).expect("alice").balance;
    let record = network.apply(&bump(&network, &inner_envelope, &carol, 1_000, &[carol]));
    assert!(record.successful);
    // Two operations at the lowest fee, although five times as much was bid.
    assert_eq!(record.fee_charged_stroops, 200);
    assert_eq!(
        network.account(&carol).expect("carol").balance,
        carols - 200
    );
    assert_eq!(
        network.account(&alice).expect("alice").balance,
        alices - 5 * XLM
    );
    assert_eq!(network.sequence(&alice), sequence + 1);
    let result = decode_result(&record.result_xdr);
    let Code::TxFeeBumpInnerSuccess(pair) = result.result else {
        panic!("{:?}", result.result);
    };
    let body = inner.to_xdr(Limits::none()).expect("a transaction");
    let inner_hash = sha256_parts(&[&network.node.network_id(), &2_u32.to_be_bytes(), &body]);
    assert_eq!(pair.transaction_hash.0, inner_hash);
    assert_eq!(pair.result.fee_charged, 0);
    assert!(matches!(pair.result.result, InnerCode::TxSuccess(_)));
    // Either hash finds it.
    let found = network.node.transaction(&inner_hash).record.expect("found");
    assert_eq!(found.hash, record.hash);
    assert_eq!(found.inner_hash, Some(inner_hash));
    let event = TransactionEvent::from_xdr(&record.transaction_events_xdr[0], Limits::none())
        .expect("an event");
    let ContractEventBody::V0(body) = event.event.body;
    assert_eq!(
        body.topics[1],
        ScVal::Address(ScAddress::Account(carol.account_id())),
        "the fee is the payer's"
    );
    network.assert_coins();
}

#[test]
fn the_metadata_tells_of_the_payer_before_the_source() {
    let (network, alice, bob, carol) = three();
    let inner = network.sign(&network.tx(&alice, vec![pay(&bob, 1)]), &[alice]);
    let record = network.apply(&bump(&network, &inner, &carol, 400, &[carol]));
    let TransactionMeta::V4(meta) =
        TransactionMeta::from_xdr(&record.meta_xdr, Limits::none()).expect("a meta")
    else {
        panic!("version 4");
    };
    let told: Vec<_> = meta
        .tx_changes_before
        .0
        .iter()
        .map(|change| match change {
            LedgerEntryChange::State(entry) | LedgerEntryChange::Updated(entry) => {
                match &entry.data {
                    LedgerEntryData::Account(account) => account.account_id.clone(),
                    other => panic!("{other:?}"),
                }
            }
            other => panic!("{other:?}"),
        })
        .collect();
    let (payer, source) = (carol.account_id(), alice.account_id());
    assert_eq!(told, [payer.clone(), payer, source.clone(), source]);
}

#[test]
fn both_sign_for_their_own() {
    let (network, alice, bob, carol) = three();
    let tx = network.tx(&alice, vec![pay(&bob, 1)]);
    let inner = network.sign(&tx, &[alice]);
    let unsigned = network.submit(&bump(&network, &inner, &carol, 400, &[]));
    assert_eq!(refusal(&unsigned), Code::TxBadAuth);
    assert_eq!(quoted(&unsigned), 200);
    let wrong = network.submit(&bump(&network, &inner, &carol, 400, &[alice]));
    assert_eq!(refusal(&wrong), Code::TxBadAuth);
    let surplus = network.submit(&bump(&network, &inner, &carol, 400, &[carol, bob]));
    assert_eq!(refusal(&surplus), Code::TxBadAuthExtra);
    let nobody = Key::new(99);
    let missing = network.submit(&bump(&network, &inner, &nobody, 400, &[nobody]));
    assert_eq!(refusal(&missing), Code::TxNoAccount);
    // The payer's signature says nothing for the source.
    let inner = network.sign(&tx, &[]);
    let submission = network.submit(&bump(&network, &inner, &carol, 400, &[carol]));
    assert_eq!(inner_refusal(&submission), InnerCode::TxBadAuth);
    let mut ahead = tx.clone();
    ahead.seq_num = SequenceNumber(tx.seq_num.0 + 1);
    let inner = network.sign(&ahead, &[alice]);
    let submission = network.submit(&bump(&network, &inner, &carol, 400, &[carol]));
    assert_eq!(inner_refusal(&submission), InnerCode::TxBadSeq);
}

#[test]
fn a_fee_bump_bids_no_less_than_what_it_bumps() {
    let (network, alice, bob, carol) = three();
    let mut tx = network.tx(&alice, vec![pay(&bob, 1), pay(&bob, 2)]);
    let inner = network.sign(&tx, &[alice]);
    let low = network.submit(&bump(&network, &inner, &carol, 299, &[carol]));
    assert_eq!(refusal(&low), Code::TxInsufficientFee);
    assert_eq!(quoted(&low), 300);
    tx.fee = 1_001;
    let inner = network.sign(&tx, &[alice]);
    let low = network.submit(&bump(&network, &inner, &carol, 1_500, &[carol]));
    assert_eq!(refusal(&low), Code::TxInsufficientFee);
    // 1,001 for two operations is 1,501.5 for three.
    assert_eq!(quoted(&low), 1_502);
    let negative = network.submit(&bump(&network, &inner, &carol, -1, &[carol]));
    assert_eq!(refusal(&negative), Code::TxMalformed);
    let fine = network.submit(&bump(&network, &inner, &carol, 1_502, &[carol]));
    assert_eq!(fine.status, SubmitStatus::Pending, "{}", explain(&fine));
}

#[test]
fn a_payer_covers_the_sum_of_what_waits() {
    let network = Network::new();
    let keys: Vec<Key> = (0..4).map(Key::new).collect();
    network.fund(&keys[..3], 100 * XLM);
    // Of this, half a lumen can be spent.
    network.fund(&keys[3..], XLM + XLM / 2);
    let payer = keys[3];
    let bumped = |key: &Key, fee| {
        let inner = network.sign(&network.tx(key, vec![pay(&keys[0], 1)]), &[*key]);
        network.submit(&bump(&network, &inner, &payer, fee, &[payer]))
    };
    assert_eq!(bumped(&keys[0], XLM / 4).status, SubmitStatus::Pending);
    let too_much = bumped(&keys[1], XLM / 4 + 1);
    assert_eq!(refusal(&too_much), Code::TxInsufficientBalance);
    assert_eq!(quoted(&too_much), 0);
    let alone = bumped(&keys[1], XLM);
    assert_eq!(refusal(&alone), Code::TxInsufficientBalance);
    assert_eq!(quoted(&alone), 200);
    assert_eq!(bumped(&keys[1], XLM / 4).status, SubmitStatus::Pending);
    network.close();
    assert_eq!(network.node.pending(), 0);
    assert_eq!(bumped(&keys[2], XLM / 4).status, SubmitStatus::Pending);
    network.assert_coins();
}

#[test]
fn a_payer_who_cannot_pay_for_all_pays_for_none() {
    let network = Network::new();
    let keys: Vec<Key> = (0..4).map(Key::new).collect();
    network.fund(&keys, 100 * XLM);
    let payer = keys[3];
    let waiting = [0, 1].map(|place: usize| {
        let tx = network.tx(&keys[place], vec![pay(&keys[2], 1)]);
        let inner = network.sign(&tx, &[keys[place]]);
        network
            .submit(&bump(&network, &inner, &payer, XLM, &[payer]))
            .hash
    });
    let other = network.sign(&network.tx(&keys[2], vec![pay(&keys[0], 1)]), &[keys[2]]);
    assert_eq!(network.submit(&other).status, SubmitStatus::Pending);
    // Enough for either of them, not for both.
    let mut account = network.account(&payer).expect("the payer");
    account.balance = XLM + 3 * XLM / 2;
    network
        .node
        .put_entries(vec![(encode(account, 1).xdr.to_vec(), None)])
        .expect("an entry");
    let ledger = network.close();
    assert_eq!(network.node.applied(ledger, 100).0.len(), 1);
    let dropped = Fate::Dropped(Reason::Invalid("txINSUFFICIENT_BALANCE"));
    assert_eq!(network.node.fates(&waiting), [dropped, dropped]);
    assert_eq!(network.node.pending(), 0);
    network.assert_coins();
}

#[test]
fn a_call_may_leave_its_whole_fee_to_the_bump() {
    let (network, alice, counter) = with_counter();
    let carol = Key::new(77);
    network.fund(&[carol], 100 * XLM);
    let mut tx = network.soroban_tx(&alice, None, call(&counter, "increment", vec![]));
    let TransactionExt::V1(data) = &tx.ext else {
        panic!("a Soroban transaction");
    };
    let resource_fee = data.resource_fee;
    tx.fee = 0;
    let inner = network.sign(&tx, &[alice]);
    let alone = network.submit(&inner);
    assert_eq!(refusal(&alone), Code::TxMalformed);
    // The bid is for two operations.
    let low = network.submit(&bump(
        &network,
        &inner,
        &carol,
        resource_fee + 199,
        &[carol],
    ));
    assert_eq!(refusal(&low), Code::TxInsufficientFee);
    assert_eq!(quoted(&low), resource_fee + 200);
    let before = network.account(&carol).expect("carol").balance;
    let record = network.apply(&bump(
        &network,
        &inner,
        &carol,
        resource_fee + 900,
        &[carol],
    ));
    assert!(record.successful);
    let charged = record.fee_charged_stroops;
    assert!(charged > 200 && charged < resource_fee + 200, "{charged}");
    // Fee and refund are the payer's.
    let after = network.account(&carol).expect("carol").balance;
    assert_eq!(before - after, charged);
    assert_eq!(record.transaction_events_xdr.len(), 2);
    network.assert_coins();
}

#[test]
fn paying_for_a_call_keeps_payments_waiting() {
    let (network, alice, counter) = with_counter();
    let carol = Key::new(77);
    network.fund(&[carol], 100 * XLM);
    let tx = network.soroban_tx(&alice, None, call(&counter, "increment", vec![]));
    let inner = network.sign(&tx, &[alice]);
    let fee = i64::from(tx.fee) + 1_000;
    let status = network
        .submit(&bump(&network, &inner, &carol, fee, &[carol]))
        .status;
    assert_eq!(status, SubmitStatus::Pending);
    let payment = network.sign(&network.tx(&carol, vec![pay(&alice, 1)]), &[carol]);
    assert_eq!(network.submit(&payment).status, SubmitStatus::TryAgainLater);
    network.close();
    assert_eq!(network.submit(&payment).status, SubmitStatus::Pending);
}

#[test]
fn a_failed_transaction_inside_a_bump_is_told_so() {
    let (network, alice, bob, carol) = three();
    let tx = network.tx(&alice, vec![pay(&bob, 1_000 * XLM)]);
    let inner = network.sign(&tx, &[alice]);
    let record = network.apply(&bump(&network, &inner, &carol, 200, &[carol]));
    assert!(!record.successful);
    let Code::TxFeeBumpInnerFailed(pair) = decode_result(&record.result_xdr).result else {
        panic!("an inner failure");
    };
    assert!(matches!(pair.result.result, InnerCode::TxFailed(_)));
    let outline = sorofast_sandbox::node::Node::outline(&record).expect("an outline");
    assert_eq!((outline.source, outline.fee_source), (alice.id, carol.id));
    assert_eq!(outline.result_code, "txFEE_BUMP_INNER_FAILED");
    assert_eq!(
        outline.operation_result.as_deref(),
        Some("PAYMENT_UNDERFUNDED")
    );
    network.assert_coins();
}

#[test]
fn muxed_addresses_are_those_of_their_accounts() {
    let (network, alice, bob, carol) = three();
    let muxed = |key: &Key| {
        MuxedAccount::MuxedEd25519(MuxedAccountMed25519 {
            id: 7,
            ed25519: Uint256(key.id),
        })
    };
    let mut payment = pay(&bob, XLM);
    payment.source_account = Some(muxed(&alice));
    let mut tx = network.tx(&alice, vec![payment]);
    tx.source_account = muxed(&alice);
    tx.memo = Memo::Id(9);
    let inner = network.sign(&tx, &[alice]);
    assert_eq!(network.submit(&inner).status, SubmitStatus::Pending);
    // One account, one transaction, whatever number is put to it.
    let other = network.sign(&network.tx(&alice, vec![pay(&bob, 2)]), &[alice]);
    assert_eq!(network.submit(&other).status, SubmitStatus::TryAgainLater);
    let TransactionEnvelope::TxFeeBump(mut envelope) =
        TransactionEnvelope::from_xdr(bump(&network, &inner, &carol, 9_000, &[]), Limits::none())
            .expect("an envelope")
    else {
        unreachable!("it is a fee-bump");
    };
    envelope.tx.fee_source = muxed(&carol);
    let unsigned = TransactionEnvelope::TxFeeBump(envelope);
    let xdr = unsigned.to_xdr(Limits::none()).expect("an envelope");
    // Only the signature is missing: source, fee and inner hash are found behind the longer address.
    assert_eq!(refusal(&network.submit(&xdr)), Code::TxBadAuth);
    network.close();
    assert_eq!(network.account(&bob).expect("bob").balance, 101 * XLM);
}

#[test]
fn version_0_is_taken_as_version_1() {
    let (network, alice, bob, _) = three();
    let tx = network.tx(&alice, vec![pay(&bob, XLM)]);
    let v1 = network.sign(&tx, &[alice]);
    let TransactionEnvelope::Tx(envelope) =
        TransactionEnvelope::from_xdr(&v1, Limits::none()).expect("an envelope")
    else {
        unreachable!("it is of version 1");
    };
    let v0 = TransactionEnvelope::TxV0(TransactionV0Envelope {
        tx: TransactionV0 {
            source_account_ed25519: Uint256(alice.id),
            fee: tx.fee,
            seq_num: tx.seq_num.clone(),
            time_bounds: None,
            memo: tx.memo.clone(),
            operations: tx.operations.clone(),
            ext: TransactionV0Ext::V0,
        },
        signatures: envelope.signatures,
    });
    let v0 = v0.to_xdr(Limits::none()).expect("an envelope");
    let submission = network.submit(&v0);
    assert_eq!(submission.status, SubmitStatus::Pending);
    assert_eq!(network.submit(&v1).status, SubmitStatus::Duplicate);
    network.close();
    let record = network
        .node
        .transaction(&submission.hash)
        .record
        .expect("applied");
    assert!(record.successful);
    assert_eq!(&*record.envelope_xdr, v1.as_slice());
}
