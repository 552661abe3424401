//! Data entries, bumped sequences and merged accounts.

use crate::classic_steps::{by, done, last, run};
use crate::contracts::meta;
use crate::network::{pay, refusal, Key, Network, XLM};
use sorofast_sandbox::ledger::account::sequence_age;
use stellar_xdr::{
    AccountMergeResult, BumpSequenceOp, DataValue, ManageDataOp, ManageDataResult, Operation,
    OperationBody, OperationResultTr, Preconditions, PreconditionsV2, SequenceNumber, String64,
    TransactionResultResult as Code,
};

fn network() -> (Network, Key, Key) {
    let network = Network::new();
    let (alice, bob) = (Key::new(1), Key::new(2));
    network.fund(&[alice, bob], 100 * XLM);
    (network, alice, bob)
}

fn note(owner: &Key, name: &str, value: Option<&[u8]>) -> Operation {
    let op = ManageDataOp {
        data_name: String64(name.try_into().expect("short")),
        data_value: value.map(|value| DataValue(value.to_vec().try_into().expect("short"))),
    };
    by(owner, OperationBody::ManageData(op))
}

fn bump(owner: &Key, to: i64) -> Operation {
    let bump_to = SequenceNumber(to);
    by(
        owner,
        OperationBody::BumpSequence(BumpSequenceOp { bump_to }),
    )
}

fn merge(from: &Key, into: &Key) -> Operation {
    by(from, OperationBody::AccountMerge(into.muxed()))
}

#[test]
fn data_is_written_changed_and_removed() {
    let (network, alice, _) = network();
    let missing = run(&network, vec![note(&alice, "a", None)], &[alice]);
    let code = OperationResultTr::ManageData(ManageDataResult::NameNotFound);
    assert_eq!(last(&missing), code);
    let record = done(&network, vec![note(&alice, "a", Some(b"1"))], &[alice]);
    // The owner with one more entry, and the entry.
    assert_eq!(meta(&record).operations[0].changes.len(), 3);
    done(&network, vec![note(&alice, "a", Some(b"2"))], &[alice]);
    assert_eq!(network.account(&alice).expect("alice").num_sub_entries, 1);
    done(&network, vec![note(&alice, "a", None)], &[alice]);
    assert_eq!(network.account(&alice).expect("alice").num_sub_entries, 0);
    let tx = network.tx(&alice, vec![note(&alice, "", Some(b"1"))]);
    let refused = refusal(&network.submit(&network.sign(&tx, &[alice])));
    assert!(matches!(refused, Code::TxFailed(_)), "{refused:?}");
}

#[test]
fn a_sequence_is_bumped_forwards_only() {
    let (network, alice, _) = network();
    let far = network.sequence(&alice) + 1_000;
    done(&network, vec![bump(&alice, far)], &[alice]);
    assert_eq!(network.sequence(&alice), far);
    done(&network, vec![bump(&alice, 5)], &[alice]);
    let account = network.account(&alice).expect("alice");
    assert_eq!(account.seq_num.0, far + 1);
    assert_eq!(sequence_age(&account).0, network.node.latest().sequence);
}

#[test]
fn a_merged_account_leaves_everything() {
    let (network, alice, bob) = network();
    let before = network.account(&bob).expect("bob").balance;
    let full = run(
        &network,
        vec![note(&alice, "a", Some(b"1")), merge(&alice, &bob)],
        &[alice],
    );
    let code = |code| OperationResultTr::AccountMerge(code);
    assert_eq!(last(&full), code(AccountMergeResult::HasSubEntries));
    let nobody = run(&network, vec![merge(&alice, &Key::new(9))], &[alice]);
    assert_eq!(last(&nobody), code(AccountMergeResult::NoAccount));
    let left = network.account(&alice).expect("alice").balance - 100;
    let record = done(&network, vec![merge(&alice, &bob)], &[alice]);
    assert_eq!(last(&record), code(AccountMergeResult::Success(left)));
    assert!(network.account(&alice).is_none());
    assert_eq!(network.account(&bob).expect("bob").balance, before + left);
    // It can be made again, with later sequence numbers.
    network.fund(&[alice], 5 * XLM);
    done(&network, vec![pay(&bob, 1)], &[alice]);
}

#[test]
fn a_sequence_ahead_of_the_ledger_cannot_be_merged() {
    let (network, alice, bob) = network();
    let far = i64::from(network.node.latest().sequence + 10) << 32;
    done(&network, vec![bump(&alice, far)], &[alice]);
    let record = run(&network, vec![merge(&alice, &bob)], &[alice]);
    let code = OperationResultTr::AccountMerge(AccountMergeResult::SeqnumTooFar);
    assert_eq!(last(&record), code);
    network.node.advance(12, 0.0).expect("ledgers");
    done(&network, vec![merge(&alice, &bob)], &[alice]);
}

#[test]
fn a_sequence_that_is_still_to_come_cannot_be_merged_either() {
    let network = Network::new();
    // Chance decides which of two transactions of a ledger comes first: with a dozen pairs, both happen.
    let pairs: Vec<(Key, Key)> = (0..12).map(|n| (Key::new(n), Key::new(100 + n))).collect();
    let all: Vec<Key> = pairs
        .iter()
        .flat_map(|(one, other)| [*one, *other])
        .collect();
    network.fund(&all, 100 * XLM);
    let far = i64::from(network.node.latest().sequence + 10) << 32;
    let mut merging = Vec::new();
    for (alice, bob) in &pairs {
        let tx = network.tx(bob, vec![merge(alice, bob)]);
        merging.push(network.submit(&network.sign(&tx, &[*alice, *bob])).hash);
        let mut leaping = network.tx(alice, vec![pay(bob, 1)]);
        leaping.seq_num = SequenceNumber(far + 1);
        leaping.cond = Preconditions::V2(PreconditionsV2 {
            min_seq_num: Some(SequenceNumber(0)),
            ..PreconditionsV2::default()
        });
        network.submit(&network.sign(&leaping, &[*alice]));
    }
    network.close();
    for ((alice, _), hash) in pairs.iter().zip(merging) {
        let record = network.node.transaction(&hash).record.expect("applied");
        let code = OperationResultTr::AccountMerge(AccountMergeResult::SeqnumTooFar);
        assert_eq!(last(&record), code);
        assert_eq!(network.sequence(alice), far + 1);
    }
}
