//! The task table beside a model that is too slow to be wrong: a map, searched from end to end for every pop.

use std::collections::BTreeMap;

use proptest::prelude::*;
use sorofast_core::reasons::Reason;
use sorofast_core::row::{Row, Terms, ACTIVE, BLOCKED_BY, KEEPER_ALLOWED, ROW_SIZE};
use sorofast_core::table::{Ran, State, TaskTable};
use sorofast_core::types::{Ledger, Stroops, TaskId};

const TERMS: Terms = Terms {
    min_gas: Stroops(1),
    fee: Stroops(0),
    unblocked: false,
};

fn row(id: u64, last_run_s: u64, interval_s: u64, ledger: u32) -> Row {
    Row {
        id: TaskId(id),
        interval_s,
        last_run_s,
        gas: Stroops(1000),
        shape: 1,
        live_until: Ledger(u32::MAX),
        last_modified: Ledger(ledger),
        snapshot_ledger: Ledger(ledger),
        flags: ACTIVE | KEEPER_ALLOWED,
        reason: 0,
    }
}

#[derive(Debug, Clone)]
enum Step {
    Apply {
        id: u64,
        last_run_s: u64,
        interval_s: u64,
        flags: u16,
    },
    Schedule {
        id: u64,
        at_s: u64,
    },
    Park {
        id: u64,
    },
    Remove {
        id: u64,
    },
    Pop {
        until_s: u64,
        limit: usize,
    },
}

fn second() -> impl Strategy<Value = u64> {
    prop_oneof![
        0..200_u64,
        0..20_000_u64,
        1_700_000_000..1_700_010_000_u64,
        any::<u64>()
    ]
}

fn step() -> impl Strategy<Value = Step> {
    let id = || 0..24_u64;
    let flags = prop_oneof![9 => Just(ACTIVE | KEEPER_ALLOWED), 1 => Just(KEEPER_ALLOWED)];
    prop_oneof![
        4 => (id(), second(), 0..300_u64, flags)
            .prop_map(|(id, last_run_s, interval_s, flags)| Step::Apply { id, last_run_s, interval_s, flags }),
        2 => (id(), second()).prop_map(|(id, at_s)| Step::Schedule { id, at_s }),
        1 => id().prop_map(|id| Step::Park { id }),
        1 => id().prop_map(|id| Step::Remove { id }),
        3 => (second(), 0..8_usize).prop_map(|(until_s, limit)| Step::Pop { until_s, limit }),
    ]
}

#[derive(Debug, Clone, Copy)]
struct Known {
    row: Row,
    state: State,
    by_caller: bool,
}

#[derive(Debug, Default)]
struct Model(BTreeMap<u64, Known>);

impl Model {
    fn fresh(row: Row) -> Known {
        let state = row.due_s(&TERMS).map_or(State::Parked, State::Indexed);
        Known {
            row,
            state,
            by_caller: false,
        }
    }

    fn apply(&mut self, row: Row) {
        let Some(known) = self.0.get(&row.id.0).copied() else {
            self.0.insert(row.id.0, Self::fresh(row));
            return;
        };
        let ran = known.row.last_run_s != row.last_run_s;
        let stays = match known.state {
            State::Held => !ran,
            State::Indexed(_) => {
                !ran && known.row.interval_s == row.interval_s && row.due_s(&TERMS).is_ok()
            }
            State::Parked => {
                known.by_caller
                    && !ran
                    && known.row.interval_s == row.interval_s
                    && known.row.flags == row.flags
            }
        };
        let next = if stays {
            Known { row, ..known }
        } else {
            Self::fresh(row)
        };
        self.0.insert(row.id.0, next);
    }

    fn next_until(&self, until_s: u64) -> Option<u64> {
        self.next().filter(|&at_s| at_s <= until_s)
    }

    fn next(&self) -> Option<u64> {
        let seconds = self.0.values().filter_map(|known| match known.state {
            State::Indexed(at_s) => Some(at_s),
            _ => None,
        });
        seconds.min()
    }
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(1500))]

    #[test]
    fn agrees_with_the_model(steps in prop::collection::vec(step(), 0..80)) {
        let mut table = TaskTable::new(Stroops(1));
        let mut model = Model::default();
        for (ledger, step) in (1..).zip(steps) {
            match step {
                Step::Apply { id, last_run_s, interval_s, flags } => {
                    let row = Row { flags, ..row(id, last_run_s, interval_s, ledger) };
                    prop_assert_eq!(table.apply(&[row.pack()], 0, 1), 1);
                    model.apply(row);
                }
                Step::Schedule { id, at_s } => {
                    let done = table.schedule(TaskId(id), at_s, Reason::BackingOff);
                    let wanted = model.0.get_mut(&id).is_some_and(|known| {
                        let due_s = known.row.due_s(&TERMS);
                        known.by_caller = false;
                        known.state = due_s.map_or(State::Parked, |due_s| State::Indexed(due_s.max(at_s)));
                        due_s.is_ok()
                    });
                    prop_assert_eq!(done, wanted);
                }
                Step::Park { id } => {
                    let known = model.0.get_mut(&id);
                    prop_assert_eq!(table.park(TaskId(id), Reason::Quarantined), known.is_some());
                    if let Some(known) = known {
                        (known.state, known.by_caller) = (State::Parked, true);
                    }
                }
                Step::Remove { id } => {
                    prop_assert_eq!(table.remove([TaskId(id)]), usize::from(model.0.remove(&id).is_some()));
                }
                Step::Pop { until_s, limit } => {
                    let mut popped = Vec::new();
                    table.pop_due(until_s, limit, |row| popped.push(row.id.0));
                    prop_assert!(popped.len() <= limit);
                    for id in &popped {
                        // Between equal seconds the table decides.
                        let soonest = model.next_until(until_s).unwrap();
                        let known = model.0.get_mut(id).unwrap();
                        prop_assert_eq!(known.state, State::Indexed(soonest));
                        known.state = State::Held;
                    }
                    if popped.len() < limit {
                        prop_assert_eq!(model.next_until(until_s), None);
                    }
                }
            }
            prop_assert_eq!(table.len(), model.0.len());
            prop_assert_eq!(table.next_due_s(), model.next());
            for (&id, known) in &model.0 {
                prop_assert_eq!(table.state(TaskId(id)), Some(known.state));
                let found = Row { reason: 0, ..*table.get(TaskId(id)).unwrap() };
                prop_assert_eq!(found, known.row);
            }
            prop_assert_eq!(table.reason_counts().map(|(_, count)| count).sum::<u64>(), model.0.len() as u64);
        }
        let restored = TaskTable::restore(&table.snapshot(), Stroops(1)).unwrap();
        for (&id, known) in &model.0 {
            prop_assert_eq!(restored.state(TaskId(id)), Some(Model::fresh(known.row).state));
        }
    }
}

#[test]
fn a_row_takes_at_most_96_bytes() {
    for count in [30_000, 49_153, 65_000, 100_000, 200_000] {
        let mut table = TaskTable::new(Stroops(1));
        let rows: Vec<[u8; ROW_SIZE]> = (1..=count)
            .map(|id| row(id, 1_700_000_000 + id, 60, 1).pack())
            .collect();
        table.apply(&rows, 0, 1);
        let bytes = table.memory_bytes();
        assert!(bytes <= 96 * rows.len(), "{count} rows take {bytes} bytes");
    }
}

#[test]
fn equal_seconds_keep_their_order() {
    let mut table = TaskTable::new(Stroops(1));
    for id in [5, 3, 9, 1] {
        table.apply(&[row(id, 1_700_000_000, 100, 1).pack()], 0, 1);
    }
    let mut popped = Vec::new();
    table.pop_due(u64::MAX, 10, |row| popped.push(row.id.0));
    assert_eq!(popped, [5, 3, 9, 1]);
}

#[test]
fn damaged_snapshots_are_refused() {
    let mut table = TaskTable::new(Stroops(1));
    table.apply(&[row(1, 1, 1, 1).pack(), row(2, 1, 1, 1).pack()], 0, 1);
    let good = table.snapshot();
    for at in 0..good.len() {
        let mut bad = good.clone();
        bad[at] ^= 0x40;
        assert!(TaskTable::restore(&bad, Stroops(1)).is_err(), "byte {at}");
        assert!(
            TaskTable::restore(&good[..at], Stroops(1)).is_err(),
            "cut at {at}"
        );
    }
}

fn blocked(id: u64, ledger: u32) -> Row {
    Row {
        flags: ACTIVE | KEEPER_ALLOWED | BLOCKED_BY,
        ..row(id, 1_700_000_000, 60, ledger)
    }
}

fn reason(table: &TaskTable, id: u64) -> Option<Reason> {
    Reason::from_code(table.get(TaskId(id))?.reason)
}

#[test]
fn a_blocked_task_is_indexed_once_its_dependencies_have_run() {
    let mut table = TaskTable::new(Stroops(1));
    table.apply(&[blocked(1, 1).pack(), row(2, 5, 60, 1).pack()], 0, 1);
    assert_eq!(reason(&table, 1), Some(Reason::Blocked));
    assert_eq!(table.blocked().collect::<Vec<_>>(), [TaskId(1)]);
    assert!(!table.set_unblocked(TaskId(2), true));
    assert!(!table.set_unblocked(TaskId(3), true));
    assert!(table.set_unblocked(TaskId(1), true));
    let due = State::Indexed(1_700_000_060);
    assert_eq!(table.state(TaskId(1)), Some(due));
    assert_eq!(table.blocked().count(), 0);
    // Another kind of change keeps what is known, other dependencies do not.
    let richer = Row {
        gas: Stroops(5000),
        ..blocked(1, 2)
    };
    table.apply(&[richer.pack()], 0, 1);
    assert_eq!(table.state(TaskId(1)), Some(due));
    let other = Row {
        shape: 2,
        ..blocked(1, 3)
    };
    table.apply(&[other.pack()], 0, 1);
    assert_eq!(reason(&table, 1), Some(Reason::Blocked));
    assert!(table.set_unblocked(TaskId(1), true));
    assert!(table.set_unblocked(TaskId(1), false));
    assert_eq!(table.state(TaskId(1)), Some(State::Parked));
    assert_eq!(table.next_due_s(), Some(65));
}

#[test]
fn what_is_known_of_dependencies_ends_with_them() {
    let mut table = TaskTable::new(Stroops(1));
    table.apply(&[blocked(1, 1).pack()], 0, 1);
    table.set_unblocked(TaskId(1), true);
    table.apply(&[row(1, 1_700_000_000, 60, 2).pack()], 0, 1);
    table.apply(&[blocked(1, 3).pack()], 0, 1);
    assert_eq!(reason(&table, 1), Some(Reason::Blocked));
}

#[test]
fn a_held_task_stays_held_whatever_becomes_of_its_dependencies() {
    let mut table = TaskTable::new(Stroops(1));
    table.apply(&[blocked(1, 1).pack()], 0, 1);
    table.set_unblocked(TaskId(1), true);
    table.pop_due(u64::MAX, 1, |_| ());
    table.set_unblocked(TaskId(1), false);
    assert_eq!(table.state(TaskId(1)), Some(State::Held));
    assert!(!table.schedule(TaskId(1), 0, Reason::BackingOff));
    assert_eq!(reason(&table, 1), Some(Reason::Blocked));
}

#[test]
fn a_task_that_cannot_pay_the_fee_waits_for_a_deposit() {
    let mut table = TaskTable::new(Stroops(1));
    let with = |id, gas, kind: u64, ledger| Row {
        gas: Stroops(gas),
        shape: (kind << 32) + 77,
        ..row(id, 1_700_000_000, 60, ledger)
    };
    let rows = [
        with(1, 227, 5, 1),
        with(2, 228, 5, 1),
        with(3, 1, 6, 1),
        with(4, 0, 5, 1),
    ];
    table.apply(&rows.map(|row| row.pack()), 0, 1);
    assert_eq!(table.set_fee(5, Stroops(228)), 1);
    assert_eq!(table.set_fee(5, Stroops(228)), 0);
    let reasons = [1, 2, 3, 4].map(|id| reason(&table, id).unwrap());
    assert_eq!(
        reasons,
        [
            Reason::GasBelowFee,
            Reason::NotDue,
            Reason::NotDue,
            Reason::OutOfGas
        ]
    );
    // A deposit, and the task is back; a task that arrives poor is parked at once.
    table.apply(&[with(1, 228, 5, 2).pack(), with(9, 3, 5, 2).pack()], 0, 1);
    assert_eq!(reason(&table, 1), Some(Reason::NotDue));
    assert_eq!(reason(&table, 9), Some(Reason::GasBelowFee));
    assert_eq!(table.set_fee(5, Stroops(229)), 2);
    assert_eq!(table.set_fee(5, Stroops(0)), 3);
    assert_eq!(reason(&table, 9), Some(Reason::NotDue));
    assert_eq!(reason(&table, 4), Some(Reason::OutOfGas));
}

#[test]
fn a_lower_fee_does_not_wake_what_the_caller_parked() {
    let mut table = TaskTable::new(Stroops(1));
    table.apply(&[row(1, 1_700_000_000, 60, 1).pack()], 0, 1);
    table.set_fee(0, Stroops(5000));
    assert_eq!(reason(&table, 1), Some(Reason::GasBelowFee));
    table.park(TaskId(1), Reason::Quarantined);
    assert_eq!(table.set_fee(0, Stroops(1)), 0);
    assert_eq!(reason(&table, 1), Some(Reason::Quarantined));
}

#[test]
fn runs_that_happened_move_their_tasks_to_the_next() {
    let mut table = TaskTable::new(Stroops(1));
    let rows: Vec<_> = (1..=4)
        .map(|id| row(id, 1_700_000_000, 60, 7).pack())
        .collect();
    table.apply(&rows, 0, 1);
    table.pop_due(u64::MAX, 3, |_| ());
    table.park(TaskId(3), Reason::Quarantined);
    let ran = |task, window, ledger| Ran {
        task: TaskId(task),
        window,
        last_run_s: 1_700_000_065,
        ledger: Ledger(ledger),
    };
    let runs = [
        ran(1, 1_700_000_000, 9),
        ran(2, 1_699_999_940, 9),
        ran(3, 1_700_000_000, 5),
        ran(5, 1_700_000_000, 9),
    ];
    assert_eq!(table.advance(&runs), 2);
    assert_eq!(table.advance(&runs), 0);
    let next = Some(State::Indexed(1_700_000_125));
    assert_eq!([1, 3].map(|id| table.state(TaskId(id))), [next, next]);
    assert_eq!(table.state(TaskId(2)), Some(State::Held));
    let ledgers = [1, 3].map(|id| table.get(TaskId(id)).unwrap().snapshot_ledger.0);
    assert_eq!(ledgers, [9, 7]);
    // What the ledger says of the same run changes nothing any more.
    table.apply(&[row(1, 1_700_000_065, 60, 9).pack()], 0, 1);
    assert_eq!(table.state(TaskId(1)), next);
}
