//! Faults that an operator asks for: late answers, errors, and replies that never arrive.

use std::sync::Mutex;
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use serde::{Deserialize, Serialize};

/// At most this many rules are held at a time.
const MAX_RULES: usize = 100;
const MAX_LATENCY_MS: u64 = 600_000;

/// One rule as the admin interface takes and shows it.
#[derive(Clone, Debug, Deserialize, Serialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct Rule {
    /// A JSON-RPC method, or `*` for all of them.
    #[serde(default = "every_method")]
    pub(crate) method: String,
    pub(crate) kind: Kind,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) latency_ms: Option<u64>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) status: Option<u16>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) code: Option<i64>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) message: Option<String>,
    /// How many calls it still hits; without a count it stays.
    pub(crate) count: Option<u64>,
    #[serde(default = "always")]
    pub(crate) probability: f64,
}

#[derive(Clone, Copy, Debug, Deserialize, Eq, PartialEq, Serialize)]
#[serde(rename_all = "snake_case")]
pub(crate) enum Kind {
    /// The call is carried out `latency_ms` later.
    Latency,
    /// HTTP answer `status`; the call is not carried out.
    HttpStatus,
    /// JSON-RPC error `code` with `message`; the call is not carried out.
    RpcError,
    /// The call is carried out, then the connection is closed without an answer.
    DropReply,
}

/// What becomes of one call.
#[derive(Clone, Debug, Default, PartialEq)]
pub(crate) struct Verdict {
    /// Waited for before anything else.
    pub(crate) latency: Duration,
    pub(crate) outcome: Option<Outcome>,
}

#[derive(Clone, Debug, PartialEq)]
pub(crate) enum Outcome {
    HttpStatus(u16),
    RpcError { code: i64, message: String },
    DropReply,
}

/// The rules in force, shared by all requests.
#[derive(Debug)]
pub(crate) struct Faults {
    state: Mutex<State>,
}

#[derive(Debug)]
struct State {
    rules: Vec<Rule>,
    dice: u64,
}

fn every_method() -> String {
    "*".to_owned()
}

fn always() -> f64 {
    1.0
}

impl Faults {
    pub(crate) fn new() -> Self {
        let dice = SystemTime::now()
            .duration_since(UNIX_EPOCH)
            .map_or(1, |elapsed| elapsed.as_nanos() as u64);
        Self {
            state: Mutex::new(State {
                rules: Vec::new(),
                dice,
            }),
        }
    }

    /// Replaces all rules.
    ///
    /// # Errors
    /// The first rule that makes no sense, with its position and what it lacks; nothing changes then.
    pub(crate) fn replace(&self, rules: Vec<Rule>) -> Result<(), String> {
        if rules.len() > MAX_RULES {
            return Err(format!("at most {MAX_RULES} rules can be held"));
        }
        for (index, rule) in rules.iter().enumerate() {
            check(rule).map_err(|reason| format!("rules[{index}]: {reason}"))?;
        }
        self.lock().rules = rules;
        Ok(())
    }

    pub(crate) fn rules(&self) -> Vec<Rule> {
        self.lock().rules.clone()
    }

    /// Decides about one call and uses up the rules that hit it. Latencies add up; of the other kinds
    /// the first one in the list wins.
    pub(crate) fn judge(&self, method: &str) -> Verdict {
        let mut state = self.lock();
        let State { rules, dice } = &mut *state;
        let mut verdict = Verdict::default();
        for rule in rules.iter_mut() {
            let spent = rule.count == Some(0);
            if spent || (rule.method != "*" && rule.method != method) {
                continue;
            }
            if rule.kind != Kind::Latency && verdict.outcome.is_some() {
                continue;
            }
            if roll(dice) >= rule.probability {
                continue;
            }
            rule.count = rule.count.map(|count| count - 1);
            match rule.kind {
                Kind::Latency => {
                    verdict.latency += Duration::from_millis(rule.latency_ms.unwrap_or_default());
                }
                Kind::HttpStatus => {
                    verdict.outcome = Some(Outcome::HttpStatus(rule.status.unwrap_or(503)));
                }
                Kind::RpcError => {
                    verdict.outcome = Some(Outcome::RpcError {
                        code: rule.code.unwrap_or(-32603),
                        message: rule
                            .message
                            .clone()
                            .unwrap_or_else(|| "injected fault".to_owned()),
                    });
                }
                Kind::DropReply => verdict.outcome = Some(Outcome::DropReply),
            }
        }
        rules.retain(|rule| rule.count != Some(0));
        verdict
    }

    fn lock(&self) -> std::sync::MutexGuard<'_, State> {
        // No code that holds the lock can panic half way through a change.
        self.state
            .lock()
            .unwrap_or_else(std::sync::PoisonError::into_inner)
    }
}

fn check(rule: &Rule) -> Result<(), String> {
    if rule.method != "*" && !crate::rpc::is_method(&rule.method) {
        return Err(format!(
            "{:?} is not a method; use one of the JSON-RPC methods or \"*\"",
            rule.method
        ));
    }
    if !(0.0..=1.0).contains(&rule.probability) {
        return Err("probability must be between 0 and 1".to_owned());
    }
    if rule.count == Some(0) {
        return Err("count must be at least 1, or null for no end".to_owned());
    }
    match rule.kind {
        Kind::Latency => match rule.latency_ms {
            Some(1..=MAX_LATENCY_MS) => Ok(()),
            _ => Err(format!(
                "latency needs latency_ms between 1 and {MAX_LATENCY_MS}"
            )),
        },
        Kind::HttpStatus => match rule.status {
            None | Some(400..=599) => Ok(()),
            Some(_) => Err("status must be between 400 and 599".to_owned()),
        },
        Kind::RpcError | Kind::DropReply => Ok(()),
    }
}

/// A number in [0, 1) from a splitmix64 sequence; faults need spread, not secrecy.
fn roll(dice: &mut u64) -> f64 {
    *dice = dice.wrapping_add(0x9e37_79b9_7f4a_7c15);
    let mut mixed = *dice;
    mixed = (mixed ^ (mixed >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
    mixed = (mixed ^ (mixed >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
    mixed ^= mixed >> 31;
    f64::from((mixed >> 32) as u32) / (f64::from(u32::MAX) + 1.0)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn rule(value: serde_json::Value) -> Rule {
        serde_json::from_value(value).expect("a rule")
    }

    #[test]
    fn a_count_is_used_up() {
        let faults = Faults::new();
        faults
            .replace(vec![rule(serde_json::json!(
                {"method": "getHealth", "kind": "http_status", "status": 503, "count": 2}
            ))])
            .expect("accepted");
        assert_eq!(faults.judge("getNetwork"), Verdict::default());
        for _ in 0..2 {
            assert_eq!(
                faults.judge("getHealth").outcome,
                Some(Outcome::HttpStatus(503))
            );
        }
        assert_eq!(faults.judge("getHealth"), Verdict::default());
        assert!(faults.rules().is_empty());
    }

    #[test]
    fn latencies_add_up_and_the_first_other_kind_wins() {
        let faults = Faults::new();
        let rules = serde_json::json!([
            {"kind": "latency", "latency_ms": 10},
            {"kind": "drop_reply"},
            {"kind": "rpc_error", "code": -1, "message": "no"},
            {"kind": "latency", "latency_ms": 5}
        ]);
        faults
            .replace(serde_json::from_value(rules).expect("rules"))
            .expect("accepted");
        let verdict = faults.judge("sendTransaction");
        assert_eq!(verdict.latency, Duration::from_millis(15));
        assert_eq!(verdict.outcome, Some(Outcome::DropReply));
    }

    #[test]
    fn a_probability_hits_about_that_often() {
        let faults = Faults::new();
        faults
            .replace(vec![rule(
                serde_json::json!({"kind": "drop_reply", "probability": 0.25}),
            )])
            .expect("accepted");
        let hits = (0..4_000)
            .filter(|_| faults.judge("getHealth").outcome.is_some())
            .count();
        assert!((800..1_200).contains(&hits), "{hits} of 4000");
    }

    #[test]
    fn rules_without_sense_are_refused_and_change_nothing() {
        let faults = Faults::new();
        faults
            .replace(vec![rule(serde_json::json!({"kind": "drop_reply"}))])
            .expect("accepted");
        for wrong in [
            serde_json::json!({"kind": "latency"}),
            serde_json::json!({"kind": "http_status", "status": 200}),
            serde_json::json!({"kind": "drop_reply", "probability": 1.5}),
            serde_json::json!({"kind": "drop_reply", "count": 0}),
            serde_json::json!({"kind": "drop_reply", "method": "getNothing"}),
        ] {
            assert!(
                faults.replace(vec![rule(wrong.clone())]).is_err(),
                "{wrong}"
            );
        }
        assert_eq!(faults.rules().len(), 1);
    }
}
