//! Ledgers that come late, empty, in bursts, in the same second, by a wrong clock, or under an old header.

use crate::network::{manual, pay, Key, Network, XLM};
use sorofast_sandbox::config::ClockMode;
use sorofast_sandbox::crypto::{sha256_parts, verify_ed25519};
use sorofast_sandbox::faults::LedgerEvent;
use sorofast_sandbox::ledger::value::OldHeader;
use sorofast_sandbox::node::{LedgerSummary, NodeConfig, SubmitStatus};
use stellar_xdr::{
    GeneralizedTransactionSet, LedgerCloseMeta, LedgerCloseValueSignature, LedgerHeader,
    LedgerUpgrade, Limits, PublicKey, ReadXdr, StellarValueExt, UpgradeType,
};

const START_S: u64 = 1_800_000_000;

fn still() -> NodeConfig {
    NodeConfig {
        clock: ClockMode::Manual,
        start_time_s: Some(START_S),
        ..manual()
    }
}

fn disturb(network: &Network, events: serde_json::Value) {
    let events: Vec<LedgerEvent> = serde_json::from_value(events).expect("events");
    for event in &events {
        event.check().expect("it makes sense");
    }
    network.node.disturb(events, 1, Vec::new());
}

fn header(summary: &LedgerSummary) -> LedgerHeader {
    LedgerHeader::from_xdr(&summary.header_xdr, Limits::none()).expect("a header")
}

fn meta(network: &Network, sequence: u32) -> stellar_xdr::LedgerCloseMetaV2 {
    let xdr = network.node.ledger_meta_xdr(sequence).expect("kept");
    match LedgerCloseMeta::from_xdr(xdr, Limits::none()).expect("a meta") {
        LedgerCloseMeta::V2(meta) => meta,
        other => panic!("{}", other.name()),
    }
}

/// The proposer signed that set and time: seconds in old headers, milliseconds in new ones.
fn assert_signed(network: &Network, by: &LedgerCloseValueSignature, set: &[u8; 32], time: u64) {
    let PublicKey::PublicKeyTypeEd25519(key) = &by.node_id.0;
    let signed = [
        &network.node.network_id()[..],
        &4_u32.to_be_bytes(),
        set,
        &time.to_be_bytes(),
    ]
    .concat();
    assert!(verify_ed25519(&key.0, &signed, by.signature.0.as_slice()));
}

#[test]
fn a_ledger_can_drop_its_set_and_leave_everybody_waiting() {
    let network = Network::with(still());
    let key = Key::new(1);
    network.fund(&[key], 10 * XLM);
    let before = network.node.latest();
    disturb(
        &network,
        serde_json::json!([{"kind": "empty", "ledgers": 2}]),
    );
    let tx = network.tx(&key, vec![pay(&network.friendbot(), XLM)]);
    let submission = network.submit(&network.sign(&tx, &[key]));
    assert_eq!(submission.status, SubmitStatus::Pending);
    network.close();
    let empty = network.node.latest();
    assert_eq!(empty.transactions, 0);
    assert_eq!(network.node.pending(), 1);
    let told = header(&empty);
    assert_eq!(told.scp_value.tx_set_hash.0, [0; 32]);
    let StellarValueExt::EmptyTxSetMs(proposed) = &told.scp_value.ext else {
        panic!("{:?}", told.scp_value.ext);
    };
    assert_eq!(proposed.close_time_ms.0, empty.close_time_ms);
    assert_eq!(proposed.previous_ledger_hash.0, before.hash);
    assert_eq!(proposed.previous_ledger_version, 30);
    // What was proposed held the payment; its hash is not that of an empty set.
    let set = meta(&network, empty.sequence).tx_set;
    let GeneralizedTransactionSet::V1(set) = set;
    assert_eq!(set.previous_ledger_hash.0, before.hash);
    let nothing = sorofast_sandbox::ledger::header::transaction_set_xdr(
        &before.hash,
        &sorofast_sandbox::tx::select::TransactionSet::default(),
    );
    assert_ne!(proposed.tx_set_hash.0, sha256_parts(&[&nothing]));
    assert_signed(
        &network,
        &proposed.lc_value_signature,
        &proposed.tx_set_hash.0,
        empty.close_time_ms,
    );
    assert_eq!(told.tx_set_result_hash.0, sha256_parts(&[&[0; 4]]));
    network.close();
    assert_eq!(network.node.pending(), 1);
    // The third ledger is one like any other.
    network.close();
    let record = network.node.transaction(&submission.hash).record;
    assert!(record.expect("applied").successful);
    assert_eq!(network.node.ledger_events(), [1]);
    network.assert_coins();
}

#[test]
fn empty_ledgers_age_what_waits() {
    let network = Network::with(still());
    let key = Key::new(1);
    network.fund(&[key], 10 * XLM);
    disturb(
        &network,
        serde_json::json!([{"kind": "empty", "ledgers": 4}]),
    );
    let tx = network.tx(&key, vec![pay(&network.friendbot(), XLM)]);
    let envelope = network.sign(&tx, &[key]);
    let submission = network.submit(&envelope);
    for _ in 0..4 {
        network.close();
    }
    assert_eq!(network.node.pending(), 0, "dropped after four ledgers");
    network.close();
    assert!(network.node.transaction(&submission.hash).record.is_none());
    assert_eq!(
        network.submit(&envelope).status,
        SubmitStatus::TryAgainLater
    );
}

#[test]
fn a_stalled_ledger_closes_late() {
    let network = Network::with(still());
    disturb(
        &network,
        serde_json::json!([{"kind": "stall", "seconds": 31, "at_ledger": 3}]),
    );
    let first = network.node.advance(1, 5.0).expect("a ledger");
    let second = network.node.advance(1, 5.0).expect("a ledger");
    let third = network.node.advance(1, 5.0).expect("a ledger");
    assert_eq!(second.close_time_s - first.close_time_s, 36);
    assert_eq!(third.close_time_s - second.close_time_s, 5);
}

#[test]
fn a_burst_closes_ledgers_right_behind() {
    let network = Network::with(still());
    disturb(
        &network,
        serde_json::json!([{"kind": "burst", "ledgers": 4, "every_ledgers": 1}]),
    );
    let latest = network.node.advance(1, 5.0).expect("ledgers");
    assert_eq!(latest.sequence, 6);
    let times: Vec<u64> = network
        .node
        .ledgers(2, 10)
        .iter()
        .map(|ledger| ledger.close_time_ms - START_S * 1000)
        .collect();
    assert_eq!(times, [5_000, 5_001, 5_002, 5_003, 5_004]);
}

#[test]
fn ledgers_can_share_a_second() {
    let network = Network::with(still());
    disturb(
        &network,
        serde_json::json!([{"kind": "equal_close_times", "ledgers": 3, "at_ledger": 4}]),
    );
    for _ in 0..6 {
        network.node.advance(1, 5.0).expect("a ledger");
    }
    let ledgers = network.node.ledgers(2, 10);
    let seconds: Vec<u64> = ledgers
        .iter()
        .map(|ledger| ledger.close_time_s - START_S)
        .collect();
    // Afterwards the chain is where the clock is.
    assert_eq!(seconds, [5, 10, 10, 10, 10, 30]);
    assert!(ledgers
        .windows(2)
        .all(|pair| pair[0].close_time_ms < pair[1].close_time_ms));
}

#[test]
fn a_skewed_clock_never_takes_the_chain_back() {
    let network = Network::with(still());
    disturb(
        &network,
        serde_json::json!([
            {"kind": "skew", "seconds": 60, "ledgers": 1, "at_ledger": 3},
            {"kind": "skew", "seconds": -3600, "ledgers": 1, "at_ledger": 5}
        ]),
    );
    for _ in 0..5 {
        network.node.advance(1, 40.0).expect("a ledger");
    }
    let times: Vec<u64> = network
        .node
        .ledgers(2, 10)
        .iter()
        .map(|ledger| ledger.close_time_ms - START_S * 1000)
        .collect();
    assert_eq!(times, [40_000, 140_000, 140_001, 140_002, 200_000]);
}

#[test]
fn an_upgrade_changes_the_headers_in_mid_run() {
    let network = Network::with(NodeConfig {
        first_header: Some(OldHeader::Signed),
        ..still()
    });
    disturb(
        &network,
        serde_json::json!([
            {"kind": "upgrade_header", "at_ledger": 4},
            {"kind": "empty", "at_ledger": 3}
        ]),
    );
    for _ in 0..4 {
        network.close();
    }
    let ledgers = network.node.ledgers(1, 10);
    let headers: Vec<LedgerHeader> = ledgers.iter().map(header).collect();
    let versions: Vec<u32> = headers.iter().map(|header| header.ledger_version).collect();
    assert_eq!(versions, [29, 29, 29, 30, 30]);
    let told: Vec<u32> = ledgers
        .iter()
        .map(LedgerSummary::protocol_version)
        .collect();
    assert_eq!(told, versions);
    let forms: Vec<&str> = headers
        .iter()
        .map(|header| header.scp_value.ext.name())
        .collect();
    assert_eq!(
        forms,
        ["Signed", "Signed", "EmptyTxSet", "Signed", "SignedMs"]
    );
    let StellarValueExt::EmptyTxSet(proposed) = &headers[2].scp_value.ext else {
        panic!("{:?}", headers[2].scp_value.ext);
    };
    assert_eq!(proposed.previous_ledger_version, 29);
    assert_signed(
        &network,
        &proposed.lc_value_signature,
        &proposed.tx_set_hash.0,
        headers[2].scp_value.close_time.0,
    );
    // Old close times are whole seconds and all different.
    let times: Vec<u64> = ledgers
        .iter()
        .map(|ledger| ledger.close_time_ms - START_S * 1000)
        .collect();
    assert_eq!(times, [0, 1_000, 2_000, 3_000, 3_001]);
    let upgrade = LedgerUpgrade::Version(30);
    for (ledger, header) in ledgers.iter().zip(&headers) {
        let upgrades: Vec<LedgerUpgrade> = header
            .scp_value
            .upgrades
            .iter()
            .map(|UpgradeType(xdr)| LedgerUpgrade::from_xdr(xdr, Limits::none()).expect("XDR"))
            .collect();
        let processed: Vec<LedgerUpgrade> = meta(&network, ledger.sequence)
            .upgrades_processing
            .iter()
            .map(|entry| entry.upgrade.clone())
            .collect();
        assert_eq!(upgrades, processed);
        let expected = if ledger.sequence == 4 {
            vec![upgrade.clone()]
        } else {
            vec![]
        };
        assert_eq!(upgrades, expected);
    }
    for (pair, after) in ledgers.windows(2).zip(&headers[1..]) {
        assert_eq!(after.previous_ledger_hash.0, pair[0].hash);
    }
}

#[test]
fn headers_can_begin_without_a_signature() {
    let network = Network::with(NodeConfig {
        first_header: Some(OldHeader::Basic),
        ..still()
    });
    disturb(
        &network,
        serde_json::json!([{"kind": "upgrade_header", "at_ledger": 3, "before": "basic"}]),
    );
    network.node.advance(3, 0.0).expect("ledgers");
    let forms: Vec<&str> = network
        .node
        .ledgers(1, 10)
        .iter()
        .map(|ledger| header(ledger).scp_value.ext.name())
        .collect();
    assert_eq!(forms, ["Basic", "Basic", "Basic", "SignedMs"]);
}

#[test]
fn a_signed_header_is_signed_over_seconds() {
    let network = Network::with(still());
    disturb(
        &network,
        serde_json::json!([{"kind": "upgrade_header", "at_ledger": 3}]),
    );
    network.close();
    network.close();
    for sequence in [2, 3] {
        let ledger = &network.node.ledgers(sequence, 1)[0];
        let header = header(ledger);
        let StellarValueExt::Signed(signature) = &header.scp_value.ext else {
            panic!("{:?}", header.scp_value.ext);
        };
        assert_signed(
            &network,
            signature,
            &header.scp_value.tx_set_hash.0,
            ledger.close_time_s,
        );
    }
}

#[test]
fn the_same_seed_disturbs_the_same_ledgers() {
    let run = || {
        let network = Network::with(still());
        disturb(
            &network,
            serde_json::json!([
                {"kind": "stall", "seconds": 3, "every_ledgers": 1, "probability": 0.2},
                {"kind": "empty", "every_ledgers": 2, "probability": 0.5},
                {"kind": "burst", "ledgers": 2, "every_ledgers": 3, "probability": 0.3}
            ]),
        );
        network.node.advance(60, 0.0).expect("ledgers");
        assert!(network
            .node
            .ledger_events()
            .iter()
            .all(|struck| *struck > 0));
        network.node.latest().hash
    };
    assert_eq!(run(), run());
}

#[test]
fn after_a_reset_events_count_from_the_start_again() {
    let network = Network::with(still());
    disturb(
        &network,
        serde_json::json!([{"kind": "empty", "after_s": 100}]),
    );
    let struck = |seconds: f64| {
        network.node.advance(1, seconds).expect("a ledger");
        network.node.ledger_events()[0]
    };
    assert_eq!((struck(50.0), struck(10_000.0)), (0, 1));
    network.node.reset().expect("a reset");
    assert_eq!((struck(50.0), struck(60.0)), (0, 1));
}
