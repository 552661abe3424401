//! What goes wrong with the ledger itself: when the next one closes, with what in it, and under which header.

use super::MAX_SECONDS;
use crate::ledger::header::OldHeader;
use crate::random::{unit, Purpose, Randomness};
use serde::{Deserialize, Serialize};
use std::time::Duration;

const MAX_STALL_S: f64 = 86_400.0;
const DEFAULT_STALL_S: f64 = 30.0;
const MAX_LEDGERS: u32 = 100_000;
const MAX_BURST: u32 = 100;
const DEFAULT_SERIES: u32 = 5;

/// One thing that happens to the ledger, once or again and again.
#[derive(Clone, Debug, Deserialize, Serialize)]
#[serde(deny_unknown_fields)]
pub struct LedgerEvent {
    pub kind: LedgerKind,
    /// The first ledger that it may happen to; the next one unless given.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub at_ledger: Option<u32>,
    /// So long after the plan came into force, on the sandbox clock.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub after_s: Option<f64>,
    /// It may happen again so many ledgers later.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub every_ledgers: Option<u32>,
    /// How often it happens; once unless `every_ledgers` is given, and else without end.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub times: Option<u64>,
    #[serde(default = "always")]
    pub probability: f64,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub seconds: Option<f64>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub ledgers: Option<u32>,
    /// The form of headers before an upgrade.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub before: Option<OldHeader>,
}

#[derive(Clone, Copy, Debug, Deserialize, Eq, PartialEq, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum LedgerKind {
    /// The ledger closes `seconds` later than it should.
    Stall,
    /// `ledgers` ledgers drop the set that was agreed on.
    Empty,
    /// `ledgers` further ledgers close right behind.
    Burst,
    /// `ledgers` ledgers close in the same second as the one before.
    EqualCloseTimes,
    /// The closing clock is off by `seconds`, for `ledgers` ledgers or from now on.
    Skew,
    /// Headers have their old form until this happens; it brings the one in force.
    UpgradeHeader,
}

fn always() -> f64 {
    1.0
}

impl LedgerEvent {
    pub fn check(&self) -> Result<(), String> {
        let kind = self.kind;
        if self.at_ledger.is_some() && self.after_s.is_some() {
            return Err("at_ledger and after_s cannot both be given".into());
        }
        if self
            .after_s
            .is_some_and(|seconds| !(0.0..=MAX_SECONDS).contains(&seconds))
        {
            return Err(format!("after_s must be between 0 and {MAX_SECONDS}"));
        }
        if self.every_ledgers == Some(0) || self.times == Some(0) {
            return Err("every_ledgers and times must be at least 1".into());
        }
        if !(0.0..=1.0).contains(&self.probability) {
            return Err("probability must be between 0 and 1".into());
        }
        let takes_seconds = matches!(kind, LedgerKind::Stall | LedgerKind::Skew);
        if self.seconds.is_some() && !takes_seconds {
            return Err("seconds belongs to the kinds stall and skew".into());
        }
        let takes_ledgers = !matches!(kind, LedgerKind::Stall | LedgerKind::UpgradeHeader);
        if self.ledgers.is_some() && !takes_ledgers {
            return Err(
                "ledgers belongs to the kinds empty, burst, equal_close_times and skew".into(),
            );
        }
        if self.before.is_some() && kind != LedgerKind::UpgradeHeader {
            return Err("before belongs to the kind upgrade_header".into());
        }
        if self
            .ledgers
            .is_some_and(|ledgers| !(1..=MAX_LEDGERS).contains(&ledgers))
        {
            return Err(format!("ledgers must be between 1 and {MAX_LEDGERS}"));
        }
        match kind {
            LedgerKind::Stall if !(0.0..=MAX_STALL_S).contains(&self.stall_s()) => {
                Err(format!("seconds must be between 0 and {MAX_STALL_S}"))
            }
            LedgerKind::Skew => match self.seconds {
                Some(seconds) if seconds.abs() <= MAX_SECONDS => Ok(()),
                _ => Err(format!(
                    "skew needs seconds between -{MAX_SECONDS} and {MAX_SECONDS}"
                )),
            },
            LedgerKind::Burst if self.ledgers.is_some_and(|ledgers| ledgers > MAX_BURST) => {
                Err(format!("a burst has at most {MAX_BURST} ledgers"))
            }
            LedgerKind::UpgradeHeader if self.at_ledger.is_none() && self.after_s.is_none() => {
                Err("upgrade_header needs at_ledger or after_s".into())
            }
            LedgerKind::UpgradeHeader if self.every_ledgers.is_some() || self.times.is_some() => {
                Err("upgrade_header happens once".into())
            }
            _ => Ok(()),
        }
    }

    fn stall_s(&self) -> f64 {
        self.seconds.unwrap_or(DEFAULT_STALL_S)
    }

    fn most_times(&self) -> u64 {
        let once_or_always = if self.every_ledgers.is_some() {
            u64::MAX
        } else {
            1
        };
        self.times.unwrap_or(once_or_always)
    }
}

/// What is to happen with one ledger.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct LedgerMove {
    /// It closes so much later.
    pub stall: Duration,
    /// Its set is dropped.
    pub empty: bool,
    /// It closes right behind its predecessor.
    pub at_once: bool,
    pub equal_close_time: bool,
    pub skew: Skew,
    /// The form of its header, when that is not the one in force.
    pub old_header: Option<OldHeader>,
}

#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub enum Skew {
    #[default]
    Keep,
    /// Off by so many seconds.
    Set(f64),
    /// As it was before.
    Restore,
}

#[derive(Debug, Default)]
struct Progress {
    /// Not before this ledger.
    next_ledger: u32,
    struck: u64,
}

/// For how long the clock stays skewed.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
enum SkewLeft {
    /// It is as it was.
    #[default]
    Nothing,
    Ledgers(u32),
    ForGood,
}

/// The ledger's part of a plan, and how far it has got.
#[derive(Debug)]
pub struct LedgerFaults {
    events: Vec<LedgerEvent>,
    progress: Vec<Progress>,
    random: Randomness,
    since_ms: u64,
    empty_left: u32,
    burst_left: u32,
    equal_left: u32,
    skew_left: SkewLeft,
    /// Asked for twice, a ledger gets the same answer.
    decided: Option<(u32, LedgerMove)>,
}

impl Default for LedgerFaults {
    fn default() -> Self {
        Self::new(Vec::new(), 0, 0)
    }
}

impl LedgerFaults {
    pub fn new(events: Vec<LedgerEvent>, seed: u64, since_ms: u64) -> Self {
        Self {
            progress: events.iter().map(|_| Progress::default()).collect(),
            events,
            random: Randomness::new(seed),
            since_ms,
            empty_left: 0,
            burst_left: 0,
            equal_left: 0,
            skew_left: SkewLeft::Nothing,
            decided: None,
        }
    }

    /// Takes over from the plan before: a clock that it moved has to go back.
    #[must_use]
    pub fn replacing(mut self, before: &Self) -> Self {
        if before.skew_left != SkewLeft::Nothing {
            self.skew_left = SkewLeft::Ledgers(0);
        }
        self
    }

    /// The same events, of which none has happened yet.
    #[must_use]
    pub fn again(&self, since_ms: u64) -> Self {
        Self::new(self.events.clone(), self.random.seed(), since_ms)
    }

    /// Nothing will ever happen.
    pub fn is_idle(&self) -> bool {
        let done =
            |(event, progress): (&LedgerEvent, &Progress)| progress.struck >= event.most_times();
        self.events.iter().zip(&self.progress).all(done)
            && self.empty_left == 0
            && self.burst_left == 0
            && self.equal_left == 0
            && !matches!(self.skew_left, SkewLeft::Ledgers(_))
    }

    /// How often each event happened.
    pub fn struck(&self) -> Vec<u64> {
        self.progress
            .iter()
            .map(|progress| progress.struck)
            .collect()
    }

    /// The header's form from the first ledger on, if there is an upgrade to come.
    pub fn first_header(events: &[LedgerEvent]) -> Option<OldHeader> {
        events
            .iter()
            .find(|event| event.kind == LedgerKind::UpgradeHeader)
            .map(|event| event.before.unwrap_or_default())
    }

    /// What is to happen with the next ledger.
    pub fn decide(&mut self, sequence: u32, now_ms: u64) -> LedgerMove {
        if let Some((last, decided)) = &self.decided {
            if *last == sequence {
                return decided.clone();
            }
        }
        let mut decided = LedgerMove::default();
        if self.burst_left > 0 {
            self.burst_left -= 1;
            decided.at_once = true;
        }
        match self.skew_left {
            SkewLeft::Ledgers(0) => {
                self.skew_left = SkewLeft::Nothing;
                decided.skew = Skew::Restore;
            }
            SkewLeft::Ledgers(left) => self.skew_left = SkewLeft::Ledgers(left - 1),
            SkewLeft::ForGood | SkewLeft::Nothing => {}
        }
        for index in 0..self.events.len() {
            // A burst within a burst would have no end.
            let within = decided.at_once && self.events[index].kind == LedgerKind::Burst;
            if !within && self.happens(index, sequence, now_ms) {
                self.progress[index].struck += 1;
                self.start(index, &mut decided);
            }
        }
        if self.empty_left > 0 {
            self.empty_left -= 1;
            decided.empty = true;
        }
        decided.equal_close_time = self.equal_left > 0;
        decided.old_header = self
            .events
            .iter()
            .zip(&self.progress)
            .find(|(event, progress)| {
                event.kind == LedgerKind::UpgradeHeader && progress.struck == 0
            })
            .map(|(event, _)| event.before.unwrap_or_default());
        self.decided = Some((sequence, decided.clone()));
        decided
    }

    /// The last millisecond of a second has no successor in it, so that not every ledger can follow the wish.
    pub fn closed_in_the_same_second(&mut self) {
        self.equal_left = self.equal_left.saturating_sub(1);
    }

    fn happens(&mut self, index: usize, sequence: u32, now_ms: u64) -> bool {
        let event = &self.events[index];
        let progress = &mut self.progress[index];
        let age_s = Duration::from_millis(now_ms.saturating_sub(self.since_ms)).as_secs_f64();
        if progress.struck >= event.most_times()
            || sequence < progress.next_ledger
            || event.at_ledger.is_some_and(|at| sequence < at)
            || event.after_s.is_some_and(|after_s| age_s < after_s)
        {
            return false;
        }
        progress.next_ledger = sequence.saturating_add(event.every_ledgers.unwrap_or(1));
        let drawn = self.random.of(
            Purpose::Faults,
            &[
                b"ledger",
                &(index as u64).to_be_bytes(),
                &sequence.to_be_bytes(),
            ],
        );
        let mut word = [0; 8];
        word.copy_from_slice(&drawn[..8]);
        unit(u64::from_be_bytes(word)) < event.probability
    }

    fn start(&mut self, index: usize, decided: &mut LedgerMove) {
        let event = &self.events[index];
        match event.kind {
            LedgerKind::Stall => decided.stall += Duration::from_secs_f64(event.stall_s()),
            LedgerKind::Empty => self.empty_left = self.empty_left.max(event.ledgers.unwrap_or(1)),
            LedgerKind::Burst => {
                self.burst_left = self.burst_left.max(event.ledgers.unwrap_or(DEFAULT_SERIES));
            }
            LedgerKind::EqualCloseTimes => {
                self.equal_left = self.equal_left.max(event.ledgers.unwrap_or(DEFAULT_SERIES));
            }
            LedgerKind::Skew => {
                decided.skew = Skew::Set(event.seconds.unwrap_or_default());
                // This ledger is the first of them.
                self.skew_left = event
                    .ledgers
                    .map_or(SkewLeft::ForGood, |ledgers| SkewLeft::Ledgers(ledgers - 1));
            }
            // The chain itself tells that it is due: no event asks for the old form any more.
            LedgerKind::UpgradeHeader => {}
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn of_events(events: serde_json::Value, seed: u64) -> LedgerFaults {
        let events: Vec<LedgerEvent> = serde_json::from_value(events).expect("events");
        for event in &events {
            event.check().expect("it makes sense");
        }
        LedgerFaults::new(events, seed, 0)
    }

    /// A ledger per second.
    fn at(faults: &mut LedgerFaults, sequence: u32) -> LedgerMove {
        faults.decide(sequence, u64::from(sequence) * 1000)
    }

    fn run<T>(faults: &mut LedgerFaults, ledgers: u32, what: fn(&LedgerMove) -> T) -> Vec<T> {
        (2..2 + ledgers)
            .map(|sequence| what(&at(faults, sequence)))
            .collect()
    }

    #[test]
    fn an_event_happens_at_its_ledger() {
        let mut faults = of_events(
            serde_json::json!([
                {"kind": "stall", "at_ledger": 4, "seconds": 3},
                {"kind": "stall", "after_s": 6, "seconds": 1}
            ]),
            1,
        );
        let stalls = run(&mut faults, 8, |decided| decided.stall.as_secs());
        assert_eq!(stalls, [0, 0, 3, 0, 1, 0, 0, 0]);
        assert_eq!(faults.struck(), [1, 1]);
        assert!(faults.is_idle());
    }

    #[test]
    fn series_run_on_and_events_come_again() {
        let mut faults = of_events(
            serde_json::json!([
                {"kind": "empty", "ledgers": 2, "every_ledgers": 4, "times": 2},
                {"kind": "burst", "ledgers": 2, "at_ledger": 3}
            ]),
            1,
        );
        let seen = run(&mut faults, 9, |decided| (decided.empty, decided.at_once));
        let empty: Vec<bool> = seen.iter().map(|(empty, _)| *empty).collect();
        let at_once: Vec<bool> = seen.iter().map(|(_, at_once)| *at_once).collect();
        let marks = |text: &str| text.chars().map(|mark| mark == 'x').collect::<Vec<_>>();
        assert_eq!(empty, marks("xx..xx..."));
        assert_eq!(at_once, marks("..xx....."));
    }

    #[test]
    fn a_ledger_that_is_asked_for_twice_gets_one_answer() {
        let mut faults = of_events(
            serde_json::json!([{"kind": "empty", "every_ledgers": 1, "probability": 0.5}]),
            5,
        );
        for sequence in 2..50 {
            let first = at(&mut faults, sequence);
            assert_eq!(at(&mut faults, sequence), first);
        }
        let mut again = of_events(
            serde_json::json!([{"kind": "empty", "every_ledgers": 1, "probability": 0.5}]),
            5,
        );
        run(&mut again, 48, |_| ());
        assert_eq!(again.struck(), faults.struck());
        assert!((10..38).contains(&faults.struck()[0]));
    }

    #[test]
    fn a_skewed_clock_goes_back() {
        let mut faults = of_events(
            serde_json::json!([{"kind": "skew", "seconds": -5, "ledgers": 2, "at_ledger": 3}]),
            1,
        );
        let skews = run(&mut faults, 5, |decided| decided.skew);
        assert_eq!(
            skews,
            [
                Skew::Keep,
                Skew::Set(-5.0),
                Skew::Keep,
                Skew::Restore,
                Skew::Keep
            ]
        );
        let mut forever = of_events(serde_json::json!([{"kind": "skew", "seconds": 5}]), 1);
        run(&mut forever, 3, |_| ());
        let mut next = LedgerFaults::default().replacing(&forever);
        assert!(!next.is_idle());
        assert_eq!(at(&mut next, 9).skew, Skew::Restore);
        assert!(next.is_idle());
    }

    #[test]
    fn headers_are_old_until_the_upgrade() {
        let mut faults = of_events(
            serde_json::json!([{"kind": "upgrade_header", "at_ledger": 4, "before": "basic"}]),
            1,
        );
        let forms = run(&mut faults, 4, |decided| decided.old_header);
        assert_eq!(
            forms,
            [Some(OldHeader::Basic), Some(OldHeader::Basic), None, None]
        );
    }
}
