//! Reserves that other accounts pay.

use crate::classic_steps::{begin, by, done, ed25519, end, last, run, set_signer};
use crate::contracts::meta;
use crate::network::{create_account, decode_result, pay, refusal, Key, Network, XLM};
use sorofast_sandbox::ledger::account::{
    account_key, available_balance, signer_sponsors, sponsorship_counts,
};
use sorofast_sandbox::node::Node;
use stellar_xdr::{
    BeginSponsoringFutureReservesResult as Begin, CreateAccountResult, DataValue,
    EndSponsoringFutureReservesResult as End, LedgerEntry, LedgerEntryExt, LedgerKey,
    LedgerKeyAccount, LedgerKeyData, Limits, ManageDataOp, Operation, OperationBody,
    OperationResult, OperationResultTr, ReadXdr, RevokeSponsorshipOp, RevokeSponsorshipOpSigner,
    RevokeSponsorshipResult as Revoke, SetOptionsResult, SponsorshipDescriptor, String64,
    TransactionResultResult as Code, WriteXdr,
};

fn network() -> (Network, Key, Key) {
    let network = Network::new();
    let (sponsor, owner) = (Key::new(1), Key::new(2));
    network.fund(&[sponsor, owner], 100 * XLM);
    (network, sponsor, owner)
}

fn create(source: &Key, to: &Key, balance: i64) -> Operation {
    Operation {
        source_account: Some(source.muxed()),
        ..create_account(to, balance)
    }
}

fn note(owner: &Key, value: Option<&[u8]>) -> Operation {
    by(
        owner,
        OperationBody::ManageData(ManageDataOp {
            data_name: String64("note".try_into().expect("short")),
            data_value: value.map(|value| DataValue(value.to_vec().try_into().expect("short"))),
        }),
    )
}

fn note_key(owner: &Key) -> LedgerKey {
    LedgerKey::Data(LedgerKeyData {
        account_id: owner.account_id(),
        data_name: String64("note".try_into().expect("short")),
    })
}

/// Who sponsors an entry; none when it is not there.
fn sponsor_of(network: &Network, key: &LedgerKey) -> Option<SponsorshipDescriptor> {
    let key = key.to_xdr(Limits::none()).expect("a key");
    let read = network.node.entries(&[key]);
    let entry = LedgerEntry::from_xdr(&read.entries.first()?.entry_xdr, Limits::none());
    match entry.expect("an entry").ext {
        LedgerEntryExt::V0 => Some(UNSPONSORED),
        LedgerEntryExt::V1(v1) => Some(v1.sponsoring_id),
    }
}

/// Nobody but the owner pays.
const UNSPONSORED: SponsorshipDescriptor = SponsorshipDescriptor(None);

fn by_whom(key: &Key) -> SponsorshipDescriptor {
    SponsorshipDescriptor(Some(key.account_id()))
}

fn counts(network: &Network, key: &Key) -> (u32, u32) {
    sponsorship_counts(&network.account(key).expect("an account"))
}

fn revoke_entry(source: &Key, key: LedgerKey) -> Operation {
    by(
        source,
        OperationBody::RevokeSponsorship(RevokeSponsorshipOp::LedgerEntry(key)),
    )
}

fn account_key_of(key: &Key) -> LedgerKey {
    LedgerKey::Account(LedgerKeyAccount {
        account_id: key.account_id(),
    })
}

#[test]
fn a_sponsored_account_needs_no_lumens() {
    let (network, sponsor, _) = network();
    let new = Key::new(3);
    let poor = run(&network, vec![create(&sponsor, &new, 0)], &[sponsor]);
    let low = OperationResultTr::CreateAccount(CreateAccountResult::LowReserve);
    assert_eq!(last(&poor), low);
    let operations = vec![begin(&sponsor, &new), create(&sponsor, &new, 0), end(&new)];
    done(&network, operations, &[sponsor, new]);
    let account = network.account(&new).expect("it was made");
    assert_eq!(account.balance, 0);
    assert_eq!(available_balance(&account), 0);
    assert_eq!(counts(&network, &new), (2, 0));
    assert_eq!(counts(&network, &sponsor), (0, 2));
    assert_eq!(
        sponsor_of(&network, &account_key_of(&new)),
        Some(by_whom(&sponsor))
    );
    // The entry keeps its sponsor when fees, sequences and payments touch it.
    done(&network, vec![pay(&new, XLM)], &[sponsor]);
    done(&network, vec![pay(&sponsor, 1)], &[new]);
    assert_eq!(
        sponsor_of(&network, &account_key_of(&new)),
        Some(by_whom(&sponsor))
    );
    let served = network.node.entries(&[account_key(&new.id).to_vec()]);
    let (data, ext) = (served.entries[0].data_xdr(), served.entries[0].ext_xdr());
    stellar_xdr::LedgerEntryData::from_xdr(data, Limits::none()).expect("the data alone");
    let ext = LedgerEntryExt::from_xdr(ext, Limits::none()).expect("the extension alone");
    assert!(matches!(ext, LedgerEntryExt::V1(_)));
}

#[test]
fn every_sponsorship_has_to_end() {
    let (network, sponsor, owner) = network();
    let before = network.account(&sponsor).expect("sponsor").balance;
    let record = run(
        &network,
        vec![begin(&sponsor, &owner), note(&owner, Some(b"x"))],
        &[sponsor, owner],
    );
    assert_eq!(
        decode_result(&record.result_xdr).result,
        Code::TxBadSponsorship
    );
    assert!(!record.successful);
    assert_eq!(sponsor_of(&network, &note_key(&owner)), None);
    let after = network.account(&sponsor).expect("sponsor").balance;
    assert_eq!(before - after, 200, "the fee is taken");
}

#[test]
fn sponsorships_do_not_nest_and_end_only_where_they_began() {
    let (network, sponsor, owner) = network();
    let third = Key::new(3);
    network.fund(&[third], 100 * XLM);
    let two = [sponsor, third];
    let began = |code| OperationResultTr::BeginSponsoringFutureReserves(code);
    let twice = run(
        &network,
        vec![begin(&sponsor, &owner), begin(&third, &owner)],
        &two,
    );
    assert_eq!(last(&twice), began(Begin::AlreadySponsored));
    let chain = run(
        &network,
        vec![begin(&sponsor, &owner), begin(&owner, &third)],
        &[sponsor, owner],
    );
    assert_eq!(last(&chain), began(Begin::Recursive));
    let ring = run(
        &network,
        vec![begin(&sponsor, &owner), begin(&third, &sponsor)],
        &two,
    );
    assert_eq!(last(&ring), began(Begin::Recursive));
    let none = run(&network, vec![end(&owner)], &[owner]);
    let ended = OperationResultTr::EndSponsoringFutureReserves(End::NotSponsored);
    assert_eq!(last(&none), ended);
    let tx = network.tx(&owner, vec![begin(&owner, &owner)]);
    let refused = refusal(&network.submit(&network.sign(&tx, &[owner])));
    let Code::TxFailed(list) = refused else {
        panic!("{refused:?}");
    };
    let malformed = OperationResult::OpInner(began(Begin::Malformed));
    assert_eq!(list[0], malformed);
}

#[test]
fn a_sponsored_signer_costs_its_sponsor() {
    let (network, sponsor, owner) = network();
    let signer = ed25519(&Key::new(9));
    let operations = vec![
        begin(&sponsor, &owner),
        set_signer(&owner, signer.clone(), 1),
        end(&owner),
    ];
    done(&network, operations, &[sponsor, owner]);
    let account = network.account(&owner).expect("owner");
    let sponsors = signer_sponsors(&account).expect("an extension").to_vec();
    assert_eq!(sponsors, [by_whom(&sponsor)]);
    assert_eq!(account.num_sub_entries, 1);
    assert_eq!(
        (counts(&network, &owner), counts(&network, &sponsor)),
        ((1, 0), (0, 1))
    );
    // Another one, not sponsored, finds its place beside it.
    done(
        &network,
        vec![set_signer(&owner, ed25519(&Key::new(10)), 1)],
        &[owner],
    );
    let account = network.account(&owner).expect("owner");
    let place = account.signers.iter().position(|held| held.key == signer);
    let sponsors = signer_sponsors(&account).expect("an extension");
    assert_eq!(sponsors.len(), 2);
    assert_eq!(
        sponsors[place.expect("it is there")].0,
        Some(sponsor.account_id())
    );
    done(&network, vec![set_signer(&owner, signer, 0)], &[owner]);
    assert_eq!(
        (counts(&network, &owner), counts(&network, &sponsor)),
        ((0, 0), (0, 0))
    );
    let account = network.account(&owner).expect("owner");
    assert_eq!(signer_sponsors(&account).expect("an extension").len(), 1);
}

#[test]
fn a_sponsor_needs_the_reserve() {
    let (network, _, owner) = network();
    let poor = Key::new(3);
    network.fund(&[poor], XLM + XLM / 4);
    let operations = vec![
        begin(&poor, &owner),
        set_signer(&owner, ed25519(&Key::new(9)), 1),
        end(&owner),
    ];
    let record = run(&network, operations, &[owner, poor]);
    let Code::TxFailed(list) = decode_result(&record.result_xdr).result else {
        panic!("it fails");
    };
    let low = OperationResultTr::SetOptions(SetOptionsResult::LowReserve);
    assert_eq!(list[1], OperationResult::OpInner(low));
}

#[test]
fn a_sponsorship_is_revoked_and_passed_on() {
    let (network, sponsor, owner) = network();
    let heir = Key::new(3);
    network.fund(&[heir], 100 * XLM);
    let key = || note_key(&owner);
    let operations = vec![
        begin(&sponsor, &owner),
        note(&owner, Some(b"x")),
        end(&owner),
    ];
    done(&network, operations, &[sponsor, owner]);
    assert_eq!(sponsor_of(&network, &key()), Some(by_whom(&sponsor)));
    // Only the sponsor may revoke.
    let record = run(&network, vec![revoke_entry(&owner, key())], &[owner]);
    let refused = OperationResultTr::RevokeSponsorship(Revoke::NotSponsor);
    assert_eq!(last(&record), refused);
    // While the heir sponsors the sponsor, revoking passes the entry on.
    let operations = vec![
        begin(&heir, &sponsor),
        revoke_entry(&sponsor, key()),
        end(&sponsor),
    ];
    done(&network, operations, &[sponsor, heir]);
    assert_eq!(sponsor_of(&network, &key()), Some(by_whom(&heir)));
    assert_eq!(counts(&network, &sponsor), (0, 0));
    assert_eq!(counts(&network, &heir), (0, 1));
    assert_eq!(counts(&network, &owner), (1, 0));
    done(&network, vec![revoke_entry(&heir, key())], &[heir]);
    assert_eq!(sponsor_of(&network, &key()), Some(UNSPONSORED));
    assert_eq!(counts(&network, &owner), (0, 0));
    // The owner itself may look for a sponsor later.
    let operations = vec![
        begin(&sponsor, &owner),
        revoke_entry(&owner, key()),
        end(&owner),
    ];
    done(&network, operations, &[owner, sponsor]);
    assert_eq!(sponsor_of(&network, &key()), Some(by_whom(&sponsor)));
    done(&network, vec![note(&owner, None)], &[owner]);
    assert_eq!(sponsor_of(&network, &key()), None);
    assert_eq!(
        (counts(&network, &owner), counts(&network, &sponsor)),
        ((0, 0), (0, 0))
    );
    let record = run(&network, vec![revoke_entry(&owner, key())], &[owner]);
    let gone = OperationResultTr::RevokeSponsorship(Revoke::DoesNotExist);
    assert_eq!(last(&record), gone);
}

#[test]
fn an_account_that_cannot_afford_itself_keeps_its_sponsor() {
    let (network, sponsor, owner) = network();
    let new = Key::new(3);
    let operations = vec![begin(&sponsor, &new), create(&sponsor, &new, 0), end(&new)];
    done(&network, operations, &[sponsor, new]);
    let record = run(
        &network,
        vec![revoke_entry(&sponsor, account_key_of(&new))],
        &[sponsor],
    );
    let low = OperationResultTr::RevokeSponsorship(Revoke::LowReserve);
    assert_eq!(last(&record), low);
    let outline = Node::outline(&record).expect("an outline");
    assert_eq!(outline.operation, "revoke_sponsorship");
    let failed = outline.operation_result.as_deref();
    assert_eq!(failed, Some("REVOKE_SPONSORSHIP_LOW_RESERVE"));
    done(&network, vec![pay(&new, XLM)], &[owner]);
    done(
        &network,
        vec![revoke_entry(&sponsor, account_key_of(&new))],
        &[sponsor],
    );
    assert_eq!(
        (counts(&network, &new), counts(&network, &sponsor)),
        ((0, 0), (0, 0))
    );
    assert_eq!(
        sponsor_of(&network, &account_key_of(&new)),
        Some(UNSPONSORED)
    );
}

#[test]
fn a_signers_sponsorship_is_revoked_and_passed_on() {
    let (network, sponsor, owner) = network();
    let heir = Key::new(3);
    network.fund(&[heir], 100 * XLM);
    let signer = ed25519(&Key::new(9));
    let revoke = |source: &Key| {
        let signer = RevokeSponsorshipOpSigner {
            account_id: owner.account_id(),
            signer_key: signer.clone(),
        };
        by(
            source,
            OperationBody::RevokeSponsorship(RevokeSponsorshipOp::Signer(signer)),
        )
    };
    done(
        &network,
        vec![set_signer(&owner, signer.clone(), 1)],
        &[owner],
    );
    let operations = vec![begin(&sponsor, &owner), revoke(&owner), end(&owner)];
    done(&network, operations, &[owner, sponsor]);
    assert_eq!(
        (counts(&network, &owner), counts(&network, &sponsor)),
        ((1, 0), (0, 1))
    );
    let operations = vec![begin(&heir, &sponsor), revoke(&sponsor), end(&sponsor)];
    done(&network, operations, &[sponsor, heir]);
    assert_eq!(
        (counts(&network, &heir), counts(&network, &sponsor)),
        ((0, 1), (0, 0))
    );
    done(&network, vec![revoke(&heir)], &[heir]);
    assert_eq!(
        (counts(&network, &owner), counts(&network, &heir)),
        ((0, 0), (0, 0))
    );
    assert_eq!(network.account(&owner).expect("owner").num_sub_entries, 1);
}

#[test]
fn a_revocation_that_changes_nothing_still_writes() {
    let (network, _, owner) = network();
    done(&network, vec![note(&owner, Some(b"x"))], &[owner]);
    let key = note_key(&owner).to_xdr(Limits::none()).expect("a key");
    let record = done(
        &network,
        vec![revoke_entry(&owner, note_key(&owner))],
        &[owner],
    );
    assert_eq!(meta(&record).operations[0].changes.len(), 2);
    let read = network.node.entries(&[key]);
    assert_eq!(read.entries[0].last_modified, record.ledger);
    assert_eq!(sponsor_of(&network, &note_key(&owner)), Some(UNSPONSORED));
}
