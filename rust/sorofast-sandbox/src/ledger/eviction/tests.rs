use super::*;
use crate::ledger::state::{Changes, Ground, Lifetime, State};
use std::sync::Arc;

const NETWORK: ScanLimits = ScanLimits {
    bytes: 500_000,
    entries: 1_000,
};

fn key(number: u32) -> Key {
    Key::from(number.to_be_bytes())
}

/// An entry of some size that was last modified in one ledger and lives until another.
fn entry(modified: u32, live_until: u32, bytes: usize) -> Stored {
    let mut xdr = vec![0; bytes];
    xdr[..4].copy_from_slice(&modified.to_be_bytes());
    Stored {
        xdr: Arc::from(xdr),
        lifetime: Some(Lifetime {
            live_until,
            rent_size_bytes: bytes as u32,
            modified,
        }),
    }
}

fn scan(state: &State, offset: u64, limits: ScanLimits) -> Scan {
    Ground::scan(state, offset, limits, &|_| false)
}

/// The ledgers whose changes a bucket of the network's list holds, from the oldest to the newest.
type Bucket = Option<(u32, u32)>;

#[derive(Clone, Copy, Default)]
struct Level {
    curr: Bucket,
    snap: Bucket,
    next: Bucket,
}

fn merged(newer: Bucket, older: Bucket) -> Bucket {
    match (newer, older) {
        (Some((from, to)), Some((first, last))) => Some((from.min(first), to.max(last))),
        (newer, older) => newer.or(older),
    }
}

/// Does a level hand its newer bucket on in that ledger?
fn spills(ledger: u32, level: usize) -> bool {
    ledger.is_multiple_of(1 << (2 * level + 1))
}

/// The network's bucket list by the ledgers that its buckets hold, made from its description: every level hands its
/// newer bucket down at its own pace, where it is merged and shows at the next handing down.
fn close(levels: &mut [Level; 11], ledger: u32) {
    for level in (1..levels.len()).rev() {
        if !spills(ledger, level - 1) {
            continue;
        }
        let above = &mut levels[level - 1];
        above.snap = above.curr.take();
        let spilled = above.snap;
        let here = &mut levels[level];
        if let Some(next) = here.next.take() {
            here.curr = Some(next);
        }
        // A bucket that is about to be handed down itself takes nothing along twice.
        let until = ledger + (1 << (2 * level - 1));
        let kept = if level < 10 && spills(until, level) {
            None
        } else {
            here.curr
        };
        here.next = merged(spilled, kept);
    }
    levels[0].curr = merged(Some((ledger, ledger)), levels[0].curr);
}

#[test]
fn entries_sink_as_the_bucket_list_lets_them() {
    let mut levels = [Level::default(); 11];
    let mut sunk = 0;
    for ledger in 1..200_000 {
        close(&mut levels, ledger);
        let deep = levels[SCAN_LEVEL as usize..]
            .iter()
            .flat_map(|level| [level.curr, level.snap])
            .flatten()
            .map(|(_, newest)| newest)
            .max();
        if let Some(deep) = deep {
            assert!(deep >= sunk, "nothing rises");
            if deep > sunk {
                assert_eq!(sinks_at(sunk + 1), ledger + 1, "{sunk}");
                assert_eq!(sinks_at(deep), ledger + 1, "{deep}");
                sunk = deep;
            }
        }
    }
    assert!(sunk > 100_000);
}

#[test]
fn what_expired_waits_until_it_has_sunk() {
    let mut state = State::default();
    state.publish(1, Changes::from([(key(1), Some(entry(1, 10, 100)))]));
    let sunk = sinks_at(1);
    assert_eq!(state.next_eviction(), Some(sunk));
    state.publish(sunk - 2, Changes::new());
    assert!(scan(&state, 0, NETWORK).found.is_empty());
    state.publish(sunk - 1, Changes::new());
    assert_eq!(scan(&state, 0, NETWORK).found, [key(1)]);
}

#[test]
fn an_extension_keeps_an_entry() {
    let mut state = State::default();
    let ends = 50_000;
    state.publish(1, Changes::from([(key(1), Some(entry(1, ends, 100)))]));
    state.publish(2, Changes::from([(key(1), Some(entry(1, ends + 5, 100)))]));
    state.publish(ends + 4, Changes::new());
    assert!(scan(&state, 0, NETWORK).found.is_empty());
    assert_eq!(state.next_eviction(), Some(ends + 6));
    state.publish(ends + 5, Changes::new());
    assert_eq!(scan(&state, 0, NETWORK).found, [key(1)]);
    // Whatever waits leaves the list when it is restored.
    state.publish(
        ends + 6,
        Changes::from([(key(1), Some(entry(1, ends + 9, 100)))]),
    );
    assert!(scan(&state, 0, NETWORK).found.is_empty());
    state.publish(ends + 9, Changes::new());
    assert_eq!(scan(&state, 0, NETWORK).found, [key(1)]);
}

#[test]
fn what_the_ledger_itself_changed_is_passed_over() {
    let mut state = State::default();
    let both = [1, 2].map(|number| (key(number), Some(entry(1, 10, 100))));
    state.publish(sinks_at(1), Changes::from(both));
    let found = Ground::scan(&state, 0, NETWORK, &|changed| *changed == *key(1)).found;
    assert_eq!(found, [key(2)]);
}

#[test]
fn a_scan_takes_its_turn_around_a_large_state() {
    let mut state = State::default();
    let entries = 1_000;
    let all: Changes = (0..entries)
        .map(|number| (key(number), Some(entry(1, 10, 1_000))))
        .collect();
    state.publish(sinks_at(1), all);
    let limits = ScanLimits {
        bytes: 50_000,
        entries: 1_000,
    };
    let mut offset = 0;
    let mut ledgers = 0;
    let mut sizes = Vec::new();
    let mut left = entries as usize;
    while left > 0 {
        let scanned = scan(&state, offset, limits);
        offset = scanned.offset;
        sizes.push(scanned.found.len());
        left -= scanned.found.len();
        ledgers += 1;
        // Without its entries the turn is shorter; that they stay shows that no place is passed over.
        assert!(ledgers <= 40, "{sizes:?}");
        let found: Changes = scanned.found.into_iter().map(|key| (key, None)).collect();
        assert!(
            found.len() < 120,
            "a share of the bytes is a share of the entries"
        );
        state.publish(sinks_at(1) + ledgers, found);
    }
    assert!(ledgers > 10, "{sizes:?}");
    assert_eq!(state.census(), Census::default());
}

#[test]
fn no_more_leave_than_a_ledger_may_archive() {
    let mut state = State::default();
    let all: Changes = (0..25)
        .map(|number| (key(number), Some(entry(1, 10, 100))))
        .collect();
    state.publish(sinks_at(1), all);
    let limits = ScanLimits {
        entries: 10,
        ..NETWORK
    };
    let mut gone = Vec::new();
    for expected in [10, 10, 5, 0] {
        let found = scan(&state, 0, limits).found;
        assert_eq!(found.len(), expected);
        state.publish(
            sinks_at(1) + 1,
            found.iter().map(|key| (key.clone(), None)).collect(),
        );
        gone.extend(found);
    }
    gone.sort_unstable();
    gone.dedup();
    assert_eq!(gone.len(), 25);
}

#[test]
fn a_crowd_leaves_in_portions_and_always_in_the_same_order() {
    let crowd = 2 * RECORDS_PER_LEDGER as u32 + 10;
    let limits = ScanLimits {
        bytes: u32::MAX,
        entries: u32::MAX,
    };
    let run = || {
        let mut state = State::default();
        let all: Changes = (0..crowd)
            .map(|number| (key(number), Some(entry(1, 10, 10))))
            .collect();
        state.publish(sinks_at(1), all);
        let mut portions = Vec::new();
        for ledger in 1..=3 {
            let found = scan(&state, 0, limits).found;
            let gone: Changes = found.iter().map(|key| (key.clone(), None)).collect();
            state.publish(sinks_at(1) + ledger, gone);
            portions.push(found);
        }
        portions
    };
    let portions = run();
    let sizes: Vec<usize> = portions.iter().map(Vec::len).collect();
    assert_eq!(sizes, [RECORDS_PER_LEDGER, RECORDS_PER_LEDGER, 10]);
    assert_eq!(portions, run());
}

#[test]
fn sizes_are_counted_without_a_walk() {
    let mut state = State::default();
    let archived = |bytes| {
        let mut entry = entry(1, 10, bytes);
        entry
            .lifetime
            .iter_mut()
            .for_each(|lifetime| lifetime.live_until = 0);
        entry
    };
    state.put(key(1), entry(1, 10, 100));
    state.put(key(2), entry(1, 10, 50));
    state.put(key(3), Stored::classic(vec![0; 70]));
    assert_eq!(state.census().live_bytes, 150);
    assert_eq!(state.census().contract_entries, 2);
    state.publish(
        7,
        Changes::from([
            (key(1), Some(archived(100))),
            (key(2), Some(entry(7, 10, 60))),
        ]),
    );
    let census = state.census();
    assert_eq!((census.live_bytes, census.contract_entries), (60, 1));
    assert_eq!(census.archived_entries, 1);
    state.publish(
        8,
        Changes::from([1, 2, 3].map(|number| (key(number), None))),
    );
    assert_eq!(state.census(), Census::default());
}

#[test]
fn records_of_the_index_do_not_pile_up() {
    let mut state = State::default();
    for ledger in 2_u32..20_000 {
        let change = ledger
            .is_multiple_of(2)
            .then(|| entry(ledger, 1_000_000, 10));
        state.publish(ledger, Changes::from([(key(1), change)]));
    }
    assert!(state.index_records() <= SPARE_RECORDS + 3);
}
