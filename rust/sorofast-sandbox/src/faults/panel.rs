//! The plan in force: decides about each call, and keeps the record of what struck.

use super::replica::STALE_LEDGERS;
use super::{
    replica_name, Kind, Latency, LedgerEvent, Outcome, Plan, Replica, RivalPlan, Rule, TrafficPlan,
    Verdict,
};
use crate::random::{unit, Purpose, Randomness};
use serde::Serialize;
use std::collections::{HashMap, VecDeque};
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::Duration;

/// Strikes that are remembered.
const MAX_STRIKES: usize = 10_000;

/// The moment of a call.
#[derive(Clone, Copy, Debug)]
pub struct Now {
    pub ledger: u32,
    pub time_ms: u64,
}

/// One hit, as it is told.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct Strike {
    /// Counted from 1, for the whole plan.
    pub number: u64,
    /// Place of the rule in the plan as it was given; none for what a replica is by itself.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub rule: Option<usize>,
    pub endpoint: String,
    pub method: String,
    /// The how-many-eth call of that method at that endpoint, counted from 1.
    pub call: u64,
    pub kind: &'static str,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub latency_ms: Option<f64>,
}

/// The rules in force, shared by all requests.
#[derive(Debug)]
pub struct Panel {
    /// Without rules or replicas no call has to wait for another.
    is_active: AtomicBool,
    state: Mutex<State>,
}

#[derive(Debug)]
struct State {
    plan: Plan,
    random: Randomness,
    since: Now,
    /// By rule: what is left of its count. A rule that is used up stays in its place.
    left: Vec<Option<u64>>,
    struck: Vec<u64>,
    struck_replicas: Vec<u64>,
    /// By rule, endpoint and method; both are from short lists.
    matched: HashMap<(usize, String, String), u64>,
    calls: HashMap<(String, String), u64>,
    strikes: VecDeque<Strike>,
    total: u64,
}

/// The plan with what is left of it, as the admin interface shows it.
#[derive(Debug, Serialize)]
pub struct Shown {
    /// None when nothing is in force any more.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub seed: Option<u64>,
    pub rules: Vec<Rule>,
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub ledger: Vec<LedgerEvent>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub traffic: Option<TrafficPlan>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub rival: Option<RivalPlan>,
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub replicas: Vec<Replica>,
}

/// How often each part of the plan struck, in the plan's order.
#[derive(Debug, Serialize)]
pub struct Struck {
    pub rules: Vec<u64>,
    pub replicas: Vec<u64>,
}

impl Panel {
    pub fn new(seed: u64) -> Self {
        let since = Now {
            ledger: 0,
            time_ms: 0,
        };
        Self {
            is_active: AtomicBool::new(false),
            state: Mutex::new(State::new(Plan::default(), seed, since)),
        }
    }

    /// Puts a plan in force that was checked, in place of the one before.
    pub fn replace(&self, plan: Plan, seed: u64, now: Now) {
        let is_active = !plan.rules.is_empty() || !plan.replicas.is_empty();
        *self.lock() = State::new(plan, seed, now);
        self.is_active.store(is_active, Ordering::Release);
    }

    /// Puts the plan in force once more, of which nothing has struck yet: another chain begins.
    pub fn again(&self, now: Now) {
        let mut state = self.lock();
        let (plan, seed) = (state.plan.clone(), state.random.seed());
        *state = State::new(plan, seed, now);
    }

    pub fn shown(&self) -> Shown {
        let state = self.lock();
        let with_counts = |(rule, left): (&Rule, &Option<u64>)| Rule {
            count: *left,
            ..rule.clone()
        };
        let plan = &state.plan;
        let mut shown = Shown {
            seed: None,
            rules: plan
                .rules
                .iter()
                .zip(&state.left)
                .filter(|(_, left)| **left != Some(0))
                .map(with_counts)
                .collect(),
            ledger: plan.ledger.clone(),
            traffic: plan.traffic.clone(),
            rival: plan.rival.clone(),
            replicas: plan.replicas.clone(),
        };
        let is_in_force = !shown.rules.is_empty()
            || !shown.ledger.is_empty()
            || !shown.replicas.is_empty()
            || shown.traffic.is_some()
            || shown.rival.is_some();
        shown.seed = is_in_force.then(|| state.random.seed());
        shown
    }

    pub fn struck(&self) -> Struck {
        let state = self.lock();
        Struck {
            rules: state.struck.clone(),
            replicas: state.struck_replicas.clone(),
        }
    }

    /// The newest strikes, oldest first, and how many there were.
    pub fn strikes(&self, limit: usize) -> (Vec<Strike>, u64) {
        let state = self.lock();
        let skip = state.strikes.len().saturating_sub(limit);
        (
            state.strikes.iter().skip(skip).cloned().collect(),
            state.total,
        )
    }

    /// Decides about one call and uses up the rules that hit it. Latencies add up; of the other kinds the first one in
    /// the list wins.
    pub fn judge(&self, endpoint: &str, method: &str, now: impl FnOnce() -> Now) -> Verdict {
        if !self.is_active.load(Ordering::Acquire) {
            return Verdict::default();
        }
        let now = now();
        let mut state = self.lock();
        let state = &mut *state;
        let call = state.count_call(endpoint, method);
        let mut verdict = Verdict::default();
        state.judge_replica(endpoint, method, call, now, &mut verdict);
        state.judge_rules(endpoint, method, call, now, &mut verdict);
        verdict
    }

    fn lock(&self) -> MutexGuard<'_, State> {
        // No code that holds the lock can panic half way through a change.
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl State {
    fn new(plan: Plan, seed: u64, since: Now) -> Self {
        Self {
            random: Randomness::new(seed),
            since,
            left: plan.rules.iter().map(|rule| rule.count).collect(),
            struck: vec![0; plan.rules.len()],
            struck_replicas: vec![0; plan.replicas.len()],
            matched: HashMap::new(),
            calls: HashMap::new(),
            strikes: VecDeque::new(),
            total: 0,
            plan,
        }
    }

    fn age_s(&self, now: Now) -> f64 {
        Duration::from_millis(now.time_ms.saturating_sub(self.since.time_ms)).as_secs_f64()
    }

    fn count_call(&mut self, endpoint: &str, method: &str) -> u64 {
        let calls = self
            .calls
            .entry((endpoint.to_owned(), method.to_owned()))
            .or_default();
        *calls += 1;
        *calls
    }

    fn judge_replica(
        &mut self,
        endpoint: &str,
        method: &str,
        call: u64,
        now: Now,
        verdict: &mut Verdict,
    ) {
        let place = (0..self.plan.replicas.len()).find(|index| replica_name(*index) == endpoint);
        let Some(index) = place else { return };
        let replica = self.plan.replicas[index].clone();
        let ledgers = now.ledger.saturating_sub(self.since.ledger);
        let age_s = self.age_s(now);
        verdict.lag_ledgers = replica.lag(ledgers, age_s);
        let kind = if replica.is_down(ledgers, age_s) {
            verdict.outcome = Some(Outcome::DropRequest);
            "down"
        } else {
            let thing: [&[u8]; 3] = [endpoint.as_bytes(), method.as_bytes(), &call.to_be_bytes()];
            let drawn = self.random.of(Purpose::Replicas, &thing);
            if unit(word(&drawn, 0)) >= replica.other_data {
                return;
            }
            verdict.outcome = Some(Outcome::OtherData {
                how: replica.how,
                stale_ledgers: STALE_LEDGERS,
            });
            Kind::OtherData.name()
        };
        self.struck_replicas[index] += 1;
        self.record(None, endpoint, method, call, kind, None);
    }

    fn judge_rules(
        &mut self,
        endpoint: &str,
        method: &str,
        call: u64,
        now: Now,
        verdict: &mut Verdict,
    ) {
        let age_s = self.age_s(now);
        for index in 0..self.plan.rules.len() {
            let rule = &self.plan.rules[index];
            if self.left[index] == Some(0) || !rule.is_about(endpoint, method) {
                continue;
            }
            // Counted whether it can hit or not, so that one rule's strikes move no other rule's draws.
            let matched = self
                .matched
                .entry((index, endpoint.to_owned(), method.to_owned()))
                .or_default();
            *matched += 1;
            let matched = *matched;
            let taken = rule.kind != Kind::Latency && verdict.outcome.is_some();
            if taken || matched <= rule.after_calls || !rule.is_in_force(now.ledger, age_s) {
                continue;
            }
            let drawn = self.random.of(
                Purpose::Faults,
                &[
                    &(index as u64).to_be_bytes(),
                    endpoint.as_bytes(),
                    &[0],
                    method.as_bytes(),
                    &matched.to_be_bytes(),
                ],
            );
            if unit(word(&drawn, 0)) >= rule.probability {
                continue;
            }
            let latency = (rule.kind == Kind::Latency).then(|| {
                let latency: Latency = rule.distribution();
                latency.draw(unit(word(&drawn, 1)), unit(word(&drawn, 2)))
            });
            verdict.latency += latency.unwrap_or_default();
            if verdict.outcome.is_none() {
                verdict.outcome = Outcome::of(rule);
            }
            let kind = rule.kind.name();
            self.left[index] = self.left[index].map(|left| left - 1);
            self.struck[index] += 1;
            let latency_ms = latency.map(|latency| latency.as_secs_f64() * 1000.0);
            self.record(Some(index), endpoint, method, call, kind, latency_ms);
        }
    }

    fn record(
        &mut self,
        rule: Option<usize>,
        endpoint: &str,
        method: &str,
        call: u64,
        kind: &'static str,
        latency_ms: Option<f64>,
    ) {
        self.total += 1;
        if self.strikes.len() == MAX_STRIKES {
            self.strikes.pop_front();
        }
        self.strikes.push_back(Strike {
            number: self.total,
            rule,
            endpoint: endpoint.to_owned(),
            method: method.to_owned(),
            call,
            kind,
            latency_ms,
        });
    }
}

fn word(bytes: &[u8; 32], index: usize) -> u64 {
    let mut word = [0; 8];
    word.copy_from_slice(&bytes[index * 8..index * 8 + 8]);
    u64::from_be_bytes(word)
}

#[cfg(test)]
#[path = "panel_tests.rs"]
mod tests;
