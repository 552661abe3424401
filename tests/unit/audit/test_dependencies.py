"""Since when a task was free, held against looking at every ledger by itself."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from sorofast.audit.dependencies import Dependencies, DependencyChange

LAST = 12
IDS = st.integers(1, 4)
LEDGERS = st.integers(1, LAST)


def looked_at(
    waits_for: set[int],
    ran: dict[int, int],
    changes: list[DependencyChange],
    cancelled: dict[int, int],
    until: int,
) -> int | None:
    """Ledger by ledger: since when task 9 has been free at the end of `until`."""
    since: int | None = None
    current = set(waits_for)
    for ledger in range(until + 1):
        for change in changes:
            if change.ledger == ledger and change.added:
                current.add(change.depends_on)
            elif change.ledger == ledger:
                current.discard(change.depends_on)
        done = {task for task, at in ran.items() if at <= ledger}
        gone = {task for task, at in cancelled.items() if at <= ledger}
        if not current <= done - gone:
            since = None
        elif since is None:
            since = ledger
    return since


@given(
    st.sets(IDS),
    st.dictionaries(IDS, st.integers(0, LAST)),
    st.lists(st.tuples(LEDGERS, IDS, st.booleans()), max_size=6),
    st.dictionaries(IDS, LEDGERS, max_size=2),
    st.integers(0, LAST),
)
def test_a_task_is_free_since_the_last_ledger_that_freed_it(
    waits_for: set[int],
    ran: dict[int, int],
    edges: list[tuple[int, int, bool]],
    cancelled: dict[int, int],
    ledger: int,
) -> None:
    changes = [
        DependencyChange(at, 9, other, added) for at, other, added in sorted(edges, key=lambda e: e[0])
    ]
    dependencies = Dependencies({9: waits_for}, ran, changes, cancelled)
    expected = looked_at(waits_for, ran, changes, cancelled, ledger)
    assert dependencies.free_since(9, ledger) == expected
    # A run says that it was free, and the ledgers around it since when.
    freed = dependencies.freed_for(9, ledger)
    if ledger and looked_at(waits_for, ran, changes, cancelled, ledger - 1) is not None:
        assert freed == looked_at(waits_for, ran, changes, cancelled, ledger - 1)
    elif expected is not None:
        assert freed == expected


def test_a_task_that_waits_for_nobody_always_was_free() -> None:
    dependencies = Dependencies({1: (), 2: (1,)}, {})
    assert (dependencies.free_since(1, 5), dependencies.freed_for(1, 5)) == (0, 0)
    assert (dependencies.free_since(7, 5), dependencies.freed_for(7, 5)) == (0, 0)
    assert (dependencies.free_since(2, 5), dependencies.freed_for(2, 5)) == (None, None)
