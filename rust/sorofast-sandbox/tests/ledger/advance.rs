//! Months that pass at once, and what they leave.

use crate::archival::{close_meta, setting};
use crate::contracts::{bump_key, with_counter};
use crate::network::{call, manual, pay, Key, XLM};
use sorofast_sandbox::config::ClockMode;
use sorofast_sandbox::node::{Advance, Node, NodeConfig, SubmitStatus};
use std::sync::atomic::{AtomicBool, Ordering};
use stellar_xdr::{ConfigSettingEntry, ConfigSettingId, ScVal};

const YEAR_LEDGERS: u32 = 6_307_200;
const YEAR_S: f64 = 31_536_000.0;

#[test]
fn spread_seconds_fall_evenly_on_the_ledgers() {
    let node = Node::new(NodeConfig {
        clock: ClockMode::Manual,
        start_time_s: Some(1_700_000_000),
        ..manual()
    })
    .expect("a node");
    let spread = |ledgers, seconds| {
        node.advance_by(Advance {
            ledgers,
            seconds,
            spread: true,
        })
    };
    spread(4, 10.0).expect("four ledgers");
    let times: Vec<u64> = node
        .ledgers(1, 10)
        .iter()
        .map(|ledger| ledger.close_time_ms - 1_700_000_000_000)
        .collect();
    assert_eq!(times, [0, 2_500, 5_000, 7_500, 10_000]);
    let at_once = node.advance(2, 10.0).expect("two ledgers");
    assert_eq!(at_once.close_time_ms - 1_700_000_000_000, 20_001);
    assert!(spread(1, -1.0).is_err());
    assert!(spread(10_000_001, 1.0).is_err());
    assert_eq!(node.latest().sequence, 7, "a refusal moves nothing");
    spread(0, 5.0).expect("no ledger");
    let later = node.advance(1, 0.0).expect("a ledger");
    assert_eq!(later.close_time_ms - 1_700_000_000_000, 25_000);
}

#[test]
fn a_clock_that_ledgers_wait_for_is_not_left_behind_by_an_advance() {
    let node = Node::new(NodeConfig::default()).expect("a node that closes by itself");
    let latest = node.advance(20_000, 0.0).expect("ledgers").close_time_ms;
    assert!(
        node.now_ms() >= latest,
        "the next ledgers would share a second"
    );
    let skewed = Node::new(NodeConfig::default()).expect("a node that closes by itself");
    skewed.set_skew(-100.0).expect("a skew");
    let latest = skewed.advance(20_000, 0.0).expect("ledgers").close_time_ms;
    assert!(skewed.now_ms() < latest, "a clock set apart stays apart");
}

#[test]
fn a_year_does_to_the_state_what_its_ledgers_do() {
    let (network, alice, counter) = with_counter();
    let bob = Key::new(2);
    network.fund(&[bob], 100 * XLM);
    network.run(&alice, call(&counter, "bump", vec![ScVal::U64(1)]));
    let key = bump_key(&counter, 1);
    let entries = || network.node.entries(std::slice::from_ref(&key)).entries;
    assert!(entries()[0].live_until > Some(0));
    let waiting = network.tx(&alice, vec![pay(&bob, XLM)]);
    let submission = network.submit(&network.sign(&waiting, &[alice]));
    assert_eq!(submission.status, SubmitStatus::Pending);
    let before = network.node.latest();
    let latest = network
        .node
        .advance_by(Advance {
            ledgers: YEAR_LEDGERS,
            seconds: YEAR_S,
            spread: true,
        })
        .expect("a year");
    assert_eq!(latest.sequence, before.sequence + YEAR_LEDGERS);
    let passed_s = latest.close_time_s - before.close_time_s;
    assert!((31_536_000..31_536_120).contains(&passed_s), "{passed_s}");
    // What waited went first.
    assert_eq!(network.account(&bob).expect("bob").balance, 101 * XLM);
    // Everything the contract had has expired and left: instance, code and entry.
    let census = network.node.census();
    assert_eq!((census.contract_entries, census.live_bytes), (0, 0));
    assert_eq!(census.archived_entries, 3);
    assert_eq!(entries()[0].live_until, Some(0));
    assert!(matches!(
        setting(&network, ConfigSettingId::LiveSorobanStateSizeWindow),
        ConfigSettingEntry::LiveSorobanStateSizeWindow(window)
            if window.iter().all(|size| *size == 0)
    ));
    // What is kept is a chain without gaps.
    let range = network.node.range();
    let kept = network.node.ledgers(range.oldest.sequence, usize::MAX);
    assert_eq!(
        kept.len() as u32,
        latest.sequence - range.oldest.sequence + 1
    );
    for ledgers in kept[kept.len() - 50..].windows(2) {
        let header = close_meta(&network, ledgers[1].sequence).ledger_header;
        assert_eq!(header.header.previous_ledger_hash.0, ledgers[0].hash);
    }
    // The archive gives everything back.
    let record = network.run(&alice, call(&counter, "bump", vec![ScVal::U64(1)]));
    assert!(record.successful);
    assert_eq!(network.node.census().archived_entries, 0);
    network.assert_coins();
}

#[test]
fn simulations_go_on_while_ledgers_fly_by() {
    let (network, alice, counter) = with_counter();
    let tx = network.soroban_tx(&alice, None, call(&counter, "bump", vec![ScVal::U64(1)]));
    let over = AtomicBool::new(false);
    std::thread::scope(|scope| {
        let reader = scope.spawn(|| {
            let mut simulated = 0;
            while !over.load(Ordering::SeqCst) {
                network.simulate(&tx).expect("a simulation");
                simulated += 1;
            }
            simulated
        });
        network.node.advance(20_000, 0.0).expect("ledgers");
        over.store(true, Ordering::SeqCst);
        assert!(reader.join().expect("a reader") > 0);
    });
}
