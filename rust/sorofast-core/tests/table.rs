//! The task table beside a model that is too slow to be wrong: a map, searched from end to end for every pop.

use std::collections::BTreeMap;

use proptest::prelude::*;
use sorofast_core::reasons::Reason;
use sorofast_core::row::{Row, ACTIVE, KEEPER_ALLOWED, ROW_SIZE};
use sorofast_core::table::{State, TaskTable};
use sorofast_core::types::{Ledger, Stroops, TaskId};

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
        let state = row.due_s(Stroops(1)).map_or(State::Parked, State::Indexed);
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
                !ran && known.row.interval_s == row.interval_s && row.due_s(Stroops(1)).is_ok()
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
                        let due_s = known.row.due_s(Stroops(1));
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
