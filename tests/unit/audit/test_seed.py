"""The seeded registry: the same every time, decodable, and falling due as evenly as it says."""

from __future__ import annotations

import base64
from collections import Counter

import pytest
from stellar_sdk import Keypair, scval
from stellar_sdk import xdr as stellar_xdr

from sorofast.audit.evidence import decode_task
from sorofast.audit.seed import (
    TTL_LEDGERS,
    Registry,
    SeedOptions,
    contract_entries,
    plan_tasks,
    runs_per_ledger,
    task_entries,
)
from sorofast.errors import UsageError

KEEPER = Keypair.from_raw_ed25519_seed(bytes(32)).public_key
FIRST_DUE_S = 1_800_000_000


def registry(options: SeedOptions) -> Registry:
    return Registry.plan(options, registry_code=b"r" * 32, target_code=b"t" * 32, resolver_code=b"s" * 32)


def contract_data(entry: bytes) -> stellar_xdr.ContractDataEntry:
    data = stellar_xdr.LedgerEntry.from_xdr_bytes(entry).data.contract_data
    assert data is not None
    return data


def test_the_same_seed_gives_the_same_tasks_and_another_gives_others() -> None:
    assert plan_tasks(SeedOptions(50, seed=3)) == plan_tasks(SeedOptions(50, seed=3))
    assert plan_tasks(SeedOptions(50, seed=3)) != plan_tasks(SeedOptions(50, seed=4))
    assert registry(SeedOptions(1, seed=3)) == registry(SeedOptions(1, seed=3))
    assert registry(SeedOptions(1, seed=3)) != registry(SeedOptions(1, seed=4))


def test_tasks_differ_in_target_function_arguments_resolver_and_interval() -> None:
    specs = plan_tasks(SeedOptions(300))
    assert [spec.task_id for spec in specs] == list(range(1, 301))
    assert {spec.function for spec in specs} == {"bump", "increment"}
    assert len({spec.target for spec in specs}) == 8
    assert {spec.resolver for spec in specs} == {None, 0, 1}
    assert all((spec.key is None) == (spec.function == "increment") for spec in specs)
    intervals = [spec.interval_s for spec in specs]
    assert min(intervals) >= 20
    assert max(intervals) <= 120
    assert 0.4 < sum(interval % 5 == 0 for interval in intervals) / 300 < 0.8


@pytest.mark.parametrize("close_s", [1.0, 5.0])
@pytest.mark.parametrize(("tasks", "due"), [(100, 20.0), (1_000, 20.0), (5_000, 3.0)])
def test_intervals_follow_from_how_many_shall_be_due_per_ledger(
    tasks: int, due: float, close_s: float
) -> None:
    options = SeedOptions(tasks, close_s, due_per_ledger=due)
    assert runs_per_ledger(plan_tasks(options), close_s) == pytest.approx(due, rel=0.02)


def test_one_in_twenty_waits_for_others_and_some_of_those_have_never_run() -> None:
    plain = plan_tasks(SeedOptions(400))
    specs = plan_tasks(SeedOptions(400, dependencies=True))
    assert not any(spec.blocked_by or spec.never_run for spec in plain)
    assert sum(bool(spec.blocked_by) for spec in specs) == 400 / 20
    by_id = {spec.task_id: spec for spec in specs}
    never = [spec for spec in specs if spec.never_run]
    assert len(never) == 4
    chained = [spec for spec in specs if any(by_id[other].never_run for other in spec.blocked_by)]
    assert len(chained) == 4
    assert any(by_id[other] in chained for spec in specs for other in spec.blocked_by)
    # Nothing else about them differs.
    assert [(spec.target, spec.key, spec.interval_s, spec.phase) for spec in specs] == [
        (spec.target, spec.key, spec.interval_s, spec.phase) for spec in plain
    ]
    # However many there are, nobody waits for one that does not exist.
    for tasks in range(95, 105):
        few = plan_tasks(SeedOptions(tasks, dependencies=True))
        assert all(other <= tasks for spec in few for other in spec.blocked_by)


def test_tasks_that_have_never_run_fall_due_within_their_first_interval() -> None:
    for spec in plan_tasks(SeedOptions(400, dependencies=True)):
        interval_s, last_run_s = spec.schedule(FIRST_DUE_S)
        assert (last_run_s == 0) == spec.never_run
        assert FIRST_DUE_S <= interval_s + last_run_s < FIRST_DUE_S + spec.interval_s


def test_dependencies_are_written_into_the_entries() -> None:
    options = SeedOptions(100, dependencies=True)
    specs = plan_tasks(options)
    entries = task_entries(registry(options), specs, KEEPER, FIRST_DUE_S, latest_ledger=7)
    for spec, (entry, _) in zip(specs, entries, strict=True):
        whole = stellar_xdr.LedgerEntry.from_xdr_bytes(entry)
        start = decode_task(base64.b64encode(whole.data.to_xdr_bytes()).decode(), 7).start()
        assert start.blocked_by == spec.blocked_by
        assert (start.interval_s, start.last_run_s) == spec.schedule(FIRST_DUE_S)


def test_due_times_begin_at_the_first_one_and_are_spread_evenly() -> None:
    # With one interval for all, the first windows fall due evenly over that interval.
    specs = plan_tasks(SeedOptions(2_000, intervals_s=(100, 100)))
    due = [sum(spec.schedule(FIRST_DUE_S)) - FIRST_DUE_S for spec in specs]
    assert min(due) == 0
    assert max(due) == 99
    per_second = Counter(due)
    assert max(per_second.values()) < 3 * 2_000 / 100


def test_task_entries_hold_what_was_planned() -> None:
    options = SeedOptions(40)
    seeded = registry(options)
    specs = plan_tasks(options)
    entries = list(task_entries(seeded, specs, KEEPER, FIRST_DUE_S, latest_ledger=7))
    assert [live_until for _, live_until in entries] == [7 + TTL_LEDGERS] * 40
    for spec, (entry, _) in zip(specs, entries, strict=True):
        whole = stellar_xdr.LedgerEntry.from_xdr_bytes(entry)
        assert whole.last_modified_ledger_seq.uint32 == 7
        task = decode_task(base64.b64encode(whole.data.to_xdr_bytes()).decode(), 7)
        assert (task.task_id, task.interval_s) == (spec.task_id, spec.interval_s)
        assert FIRST_DUE_S <= task.last_run_s + task.interval_s < FIRST_DUE_S + task.interval_s
        value = contract_data(entry).val
        fields = scval.from_struct(value)
        assert list(fields) == sorted(fields)
        assert len(fields) == 12
        assert scval.from_symbol(fields["function"]) == spec.function
        assert scval.from_address(fields["target"]).address == seeded.targets[spec.target]
        assert scval.from_address(fields["creator"]).address == KEEPER


def test_instances_carry_code_and_storage_and_the_counter_counts_the_ids() -> None:
    options = SeedOptions(40)
    seeded = registry(options)
    entries = [contract_data(entry) for entry, _ in contract_entries(seeded, KEEPER, 40, latest_ledger=7)]
    assert len(entries) == 1 + 8 + 2 + 1
    first, target = entries[0].val.instance, entries[1].val.instance
    assert first is not None
    assert first.executable.wasm_hash == stellar_xdr.Hash(b"r" * 32)
    assert first.storage is not None
    assert first.storage.sc_map[0].key == scval.to_vec([scval.to_symbol("AdminAddress")])
    assert target is not None
    assert target.storage is None
    assert scval.from_uint64(entries[-1].val) == 40


@pytest.mark.parametrize(
    ("wrong", "message"),
    [
        ({"tasks": 0}, "--tasks 0"),
        ({"tasks": 10, "intervals_s": (30, 20)}, "--intervals 30s-20s"),
        ({"tasks": 10, "due_per_ledger": 0.0}, "--due-per-ledger 0"),
        ({"tasks": 10, "due_per_ledger": 6.0}, "--due-per-ledger 6"),
    ],
)
def test_options_that_make_no_sense_are_refused(wrong: dict[str, object], message: str) -> None:
    with pytest.raises(UsageError, match=message):
        SeedOptions(**wrong)  # type: ignore[arg-type]
