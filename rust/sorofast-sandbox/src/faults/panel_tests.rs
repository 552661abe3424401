//! The panel, call by call.

use super::*;
use crate::faults::{Distortion, MAIN_ENDPOINT};

const NOW: Now = Now {
    ledger: 10,
    time_ms: 1_000_000,
};

fn panel(rules: &serde_json::Value, seed: u64) -> Panel {
    let plan: Plan = serde_json::from_value(serde_json::json!({ "rules": rules })).expect("a plan");
    plan.check(|_| true).expect("it makes sense");
    let panel = Panel::new(0);
    panel.replace(plan, seed, NOW);
    panel
}

fn judge(panel: &Panel, method: &str) -> Verdict {
    panel.judge(MAIN_ENDPOINT, method, || NOW)
}

#[test]
fn another_chain_is_met_by_the_whole_plan() {
    let plan: Plan = serde_json::from_value(serde_json::json!({
        "rules": [{"kind": "http_status", "count": 1, "from_s": 5}],
        "replicas": [{"flap_ledgers": 2}]
    }))
    .expect("a plan");
    let panel = Panel::new(0);
    panel.replace(plan, 1, NOW);
    let run = |begin: Now| {
        let told = (0..4).map(|ledger| {
            let now = Now {
                ledger: begin.ledger + ledger,
                time_ms: begin.time_ms + u64::from(ledger) * 3_000,
            };
            [MAIN_ENDPOINT, "replica-1"].map(|port| panel.judge(port, "getHealth", || now).outcome)
        });
        (told.collect::<Vec<_>>(), panel.strikes(100))
    };
    let first = run(NOW);
    assert!(first.0[0] == [None, None] && first.0[2][0].is_some() && first.0[2][1].is_some());
    // It began earlier than the one before, as after a reset.
    let start = Now {
        ledger: 1,
        time_ms: 1_000,
    };
    panel.again(start);
    assert_eq!(run(start), first);
}

#[test]
fn a_count_is_used_up() {
    let panel = panel(
        &serde_json::json!([{"method": "getHealth", "kind": "http_status", "status": 503, "count": 2}]),
        1,
    );
    assert_eq!(judge(&panel, "getNetwork"), Verdict::default());
    for _ in 0..2 {
        assert_eq!(
            judge(&panel, "getHealth").outcome,
            Some(Outcome::HttpStatus {
                status: 503,
                retry_after_s: None
            })
        );
    }
    assert_eq!(judge(&panel, "getHealth"), Verdict::default());
    assert!(panel.shown().rules.is_empty());
    assert_eq!(panel.struck().rules, [2]);
}

#[test]
fn latencies_add_up_and_the_first_other_kind_wins() {
    let panel = panel(
        &serde_json::json!([
            {"kind": "latency", "latency_ms": 10},
            {"kind": "drop_reply"},
            {"kind": "rpc_error", "code": -1, "message": "no"},
            {"kind": "latency", "latency": {"distribution": "fixed", "ms": 5}}
        ]),
        1,
    );
    let verdict = judge(&panel, "sendTransaction");
    assert_eq!(verdict.latency, Duration::from_millis(15));
    assert_eq!(verdict.outcome, Some(Outcome::DropReply));
    assert_eq!(panel.struck().rules, [1, 1, 0, 1]);
}

#[test]
fn a_probability_hits_about_that_often() {
    let panel = panel(
        &serde_json::json!([{"kind": "drop_reply", "probability": 0.25}]),
        1,
    );
    let hits = (0..4_000)
        .filter(|_| judge(&panel, "getHealth").outcome.is_some())
        .count();
    assert!((800..1_200).contains(&hits), "{hits} of 4000");
}

fn run(seed: u64, others: bool) -> Vec<Strike> {
    let panel = panel(
        &serde_json::json!([
            {"kind": "drop_reply", "probability": 0.3, "method": "getHealth"},
            {"kind": "latency", "probability": 0.5, "latency": {"distribution": "exponential", "mean_ms": 9}},
            {"kind": "rpc_error", "probability": 0.1},
        ]),
        seed,
    );
    for call in 0..200 {
        if others && call % 3 == 0 {
            panel.judge("replica-1", "getHealth", || NOW);
            judge(&panel, "getNetwork");
        }
        judge(&panel, "getHealth");
    }
    let (strikes, total) = panel.strikes(usize::MAX);
    assert_eq!(total, strikes.len() as u64);
    strikes
        .into_iter()
        .filter(|strike| strike.endpoint == MAIN_ENDPOINT && strike.method == "getHealth")
        .map(|strike| Strike {
            number: 0,
            ..strike
        })
        .collect()
}

#[test]
fn the_same_seed_strikes_the_same_calls() {
    assert!(run(7, false).len() > 100);
    assert_eq!(run(7, false), run(7, false));
    assert_ne!(run(7, false), run(8, false));
    // What other clients ask for elsewhere changes nothing.
    assert_eq!(run(7, false), run(7, true));
}

#[test]
fn rules_hold_within_their_windows_only() {
    let panel = panel(
        &serde_json::json!([
            {"kind": "drop_reply", "method": "getHealth", "from_ledger": 12, "until_ledger": 13},
            {"kind": "drop_request", "method": "getEvents", "from_s": 2, "until_s": 3},
            {"kind": "malformed_json", "method": "getNetwork", "after_calls": 2, "count": 1},
            {"kind": "drop_reply", "endpoint": "replica-2"}
        ]),
        1,
    );
    for (ledger, hit) in [(11, false), (12, true), (13, true), (14, false)] {
        let now = Now { ledger, ..NOW };
        let verdict = panel.judge(MAIN_ENDPOINT, "getHealth", || now);
        assert_eq!(verdict.outcome.is_some(), hit, "ledger {ledger}");
    }
    for (after_ms, hit) in [(0, false), (1_999, false), (2_000, true), (3_000, false)] {
        let now = Now {
            time_ms: NOW.time_ms + after_ms,
            ..NOW
        };
        let verdict = panel.judge(MAIN_ENDPOINT, "getEvents", || now);
        assert_eq!(verdict.outcome.is_some(), hit, "after {after_ms} ms");
    }
    let hits: Vec<bool> = (0..4)
        .map(|_| judge(&panel, "getNetwork").outcome.is_some())
        .collect();
    assert_eq!(hits, [false, false, true, false]);
    assert!(judge(&panel, "simulateTransaction").outcome.is_none());
    assert!(panel
        .judge("replica-2", "simulateTransaction", || NOW)
        .outcome
        .is_some());
}

#[test]
fn replicas_lag_and_flap() {
    let plan: Plan = serde_json::from_value(serde_json::json!({"replicas": [
        {"lag_ledgers": 4},
        {"flap_ledgers": 2},
        {"flap_s": 10, "flap_to": "lag", "lag_ledgers": 7},
        {"other_data": 1, "how": "missing"}
    ]}))
    .expect("a plan");
    plan.check(|_| true).expect("it makes sense");
    let panel = Panel::new(0);
    panel.replace(plan, 3, NOW);
    let at = |replica: &str, ledgers: u32, seconds: u64| {
        let now = Now {
            ledger: NOW.ledger + ledgers,
            time_ms: NOW.time_ms + seconds * 1000,
        };
        panel.judge(replica, "getHealth", || now)
    };
    assert_eq!(at("replica-1", 0, 0).lag_ledgers, 4);
    assert_eq!(judge(&panel, "getHealth"), Verdict::default());
    let down: Vec<bool> = (0..6)
        .map(|ledgers| at("replica-2", ledgers, 0).outcome.is_some())
        .collect();
    assert_eq!(down, [false, false, true, true, false, false]);
    let lags = [0, 9, 10, 19, 20].map(|seconds| at("replica-3", 0, seconds).lag_ledgers);
    assert_eq!(lags, [0, 0, 7, 7, 0]);
    assert!(matches!(
        at("replica-4", 0, 0).outcome,
        Some(Outcome::OtherData {
            how: Distortion::Missing,
            ..
        })
    ));
    assert_eq!(panel.struck().replicas, [0, 2, 0, 1]);
}
