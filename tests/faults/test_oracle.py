"""The oracle finds what is planted: one violation of each invariant, and the innocent story beside it."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path

import pytest
from stellar_sdk import Account, Keypair, Network, StrKey, TransactionBuilder, scval

from helpers.faults import invariants
from helpers.faults.history import History, Included, Ledger, TaskState, Timeline
from helpers.faults.oracle import leaks
from helpers.faults.sent_log import Sent, SentLog

# Ledger L closes at second 1000 + L. Task 1 last ran at 1002, with an interval of 10 s; so did task 2.
FIRST, LAST = 100, 160
START = TaskState(task_id=1, interval_s=10, last_run_s=1_002 + 100 - 10, ledger=FIRST)
CHANNEL, OTHER = "GCHANNEL", "GOTHER"


class Story:
    """A history in the making; each line of it is one fact."""

    def __init__(self) -> None:
        self.history = History(
            tasks={1: START, 2: replace(START, task_id=2)},
            ledgers=[Ledger(sequence, 1_000 + sequence) for sequence in range(FIRST, LAST + 1)],
        )
        self.log: list[Sent] = []
        self.history.sent = self.log

    def sent(self, name: str, at: int, task: int = 1, **changes: object) -> Sent:
        values: dict[str, object] = {
            "hash": name,
            "inner_hash": name,
            "channel": CHANNEL,
            "sequence": 7,
            "fee_stroops": 1_000,
            "max_ledger": at + 6,
            "contract": "CREGISTRY",
            "function": "execute",
            "task_id": task,
        }
        entry = Sent(len(self.log), 0.0, "rpc", "", at, True, **(values | changes))  # type: ignore[arg-type]
        self.log.append(entry)
        return entry

    def included(
        self,
        name: str,
        at: int,
        task: int | None = 1,
        *,
        ran: bool = True,
        ours: bool = True,
        ok: bool = True,
    ) -> None:
        known = next((entry for entry in self.log if entry.hash == name), None)
        task_ran = task if task is not None else 1
        self.history.included.append(
            Included(
                ledger=at,
                order=len(self.history.included),
                hash=name,
                channel=known.channel if known else "GSOMEBODY",
                task_id=task,
                succeeded=ok,
                fee_stroops=1_100,
                max_ledger=known.max_ledger if known else None,
                ran=((task_ran, ours),) if ran else (),
            )
        )

    def rules(self) -> list[str]:
        return [violation.rule for violation in invariants.always(Timeline(self.history))]

    def missed(self, calm_from: int = 0, idle: frozenset[int] = frozenset()) -> list[tuple[int, int]]:
        found = invariants.missed(
            Timeline(self.history), until=LAST, bound_ledgers=5, calm_from=calm_from, idle=idle
        )
        return [(window.task_id, window.eligible) for window in found]


@pytest.fixture
def story() -> Story:
    """Task 1 runs when it is due, then again; task 2 is out of the way."""
    told = Story()
    told.history.tasks[2] = replace(START, task_id=2, interval_s=10_000)
    told.sent("a", 101)
    told.included("a", 102)
    told.sent("b", 111, sequence=8)
    told.included("b", 112)
    return told


def test_an_innocent_story_has_no_violation(story: Story) -> None:
    assert story.rules() == []
    found = invariants.verdicts(Timeline(story.history))
    assert (found.executed, found.duplicates, found.early, found.fees_stroops) == (2, [], [], 2_200)


def test_two_runs_in_one_window_are_found(story: Story) -> None:
    story.sent("c", 114, sequence=9)
    story.included("c", 116)
    assert story.rules() == ["one run per window"]


def test_a_run_before_the_first_due_time_is_found() -> None:
    story = Story()
    story.sent("a", 100)
    story.included("a", 101)
    assert story.rules() == ["one run per window"]


def test_an_included_envelope_that_never_passed_the_proxy_is_found(story: Story) -> None:
    story.included("x", 122)
    assert story.rules() == ["logged before sent"]


def test_a_no_op_because_another_of_ours_won_the_window_is_found(story: Story) -> None:
    story.sent("c", 111, channel=OTHER, sequence=3)
    story.included("c", 113, ran=False)
    assert "no waste of our own" in story.rules()
    assert invariants.verdicts(Timeline(story.history)).duplicates == [(1, 113)]


def test_a_no_op_because_somebody_else_won_the_window_is_no_waste_of_ours(story: Story) -> None:
    story.included("theirs", 122, task=None, ours=False)
    story.sent("c", 121, sequence=9)
    story.included("c", 123, ran=False)
    assert story.rules() == []
    found = invariants.verdicts(Timeline(story.history))
    assert (found.outrun, found.rivals) == ([(1, 123)], 1)


def test_a_run_that_was_paid_for_early_is_counted(story: Story) -> None:
    story.sent("c", 120, sequence=9)
    story.included("c", 121, ran=False)
    assert story.rules() == []
    assert invariants.verdicts(Timeline(story.history)).early == [(1, 121)]


def test_a_second_live_envelope_for_one_execution_is_found(story: Story) -> None:
    story.sent("c", 121, sequence=9)
    story.sent("d", 123, channel=OTHER, sequence=3)
    assert story.rules() == ["one live envelope per execution"]


@pytest.mark.parametrize("how", ["bound", "consumed"])
def test_an_envelope_that_is_dead_may_be_followed_by_another(story: Story, how: str) -> None:
    first = story.sent("c", 121, sequence=9)
    at = 123
    if how == "bound":
        at = first.max_ledger - 1
    else:
        story.included("c", 122, ran=False, ok=False)
    story.sent("d", at, channel=OTHER, sequence=3)
    assert story.rules() == []


def test_one_ledger_before_its_bound_an_envelope_still_lives(story: Story) -> None:
    first = story.sent("c", 121, sequence=9)
    story.sent("d", first.max_ledger - 2, channel=OTHER, sequence=3)
    assert story.rules() == ["one live envelope per execution"]


@pytest.mark.parametrize("code", ["txBAD_SEQ", "txTOO_LATE", "txINSUFFICIENT_FEE", "txBAD_AUTH"])
def test_a_refusal_leaves_an_envelope_alive(story: Story, code: str) -> None:
    first = story.sent("c", 121, sequence=9)
    first.answer, first.code = "ERROR", code
    story.sent("d", 123, channel=OTHER, sequence=3)
    assert story.rules() == ["one live envelope per execution"]


def test_a_refused_envelope_may_be_built_anew_on_its_sequence_within_its_bound(story: Story) -> None:
    first = story.sent("c", 121, sequence=9)
    first.answer, first.code = "ERROR", "txINSUFFICIENT_FEE"
    story.sent("d", 123, sequence=9, max_ledger=127)
    assert story.rules() == []
    story.sent("e", 124, sequence=9, max_ledger=130)
    assert set(story.rules()) == {"one live envelope per execution", "one live envelope per sequence"}


def test_a_refused_envelope_keeps_its_sequence_from_other_tasks(story: Story) -> None:
    first = story.sent("c", 121, sequence=9)
    first.answer, first.code = "ERROR", "txINSUFFICIENT_FEE"
    story.sent("d", 123, task=2, sequence=9)
    assert story.rules() == ["one live envelope per sequence"]


def test_an_envelope_built_anew_on_the_same_sequence_before_the_bound_is_found(story: Story) -> None:
    story.sent("c", 121, sequence=9)
    story.sent("d", 123, sequence=9)
    assert story.rules() == ["one live envelope per execution", "one live envelope per sequence"]


def test_two_tasks_on_one_live_sequence_are_found(story: Story) -> None:
    story.sent("c", 121, sequence=9)
    story.sent("d", 123, task=2, sequence=9)
    assert story.rules() == ["one live envelope per sequence"]


def test_the_next_sequence_of_a_channel_in_flight_is_found(story: Story) -> None:
    story.sent("c", 121, sequence=9)
    story.sent("d", 123, task=2, sequence=10)
    assert story.rules() == ["one envelope in flight per channel"]


def test_another_bid_for_the_same_call_is_no_second_envelope(story: Story) -> None:
    story.sent("c", 121, sequence=9)
    story.sent("d", 123, sequence=9, max_ledger=127, fee_stroops=5_000)
    story.sent("e", 124, sequence=9, max_ledger=127, inner_hash="c")
    assert story.rules() == []


def test_more_paid_failures_of_a_task_than_may_be_are_found(story: Story) -> None:
    for number in range(4):
        name = f"f{number}"
        story.sent(name, 121 + 3 * number, sequence=9 + number)
        story.included(name, 122 + 3 * number, ran=False, ok=False)
    assert story.rules() == ["few paid failures"]
    assert story.log[-1].latest_ledger == 130
    assert invariants.always(Timeline(story.history), paid_failures_max=4) == []


def test_more_paid_runs_without_effect_in_a_row_than_may_be_are_found(story: Story) -> None:
    for number in range(4):
        name = f"n{number}"
        story.sent(name, 121 + 3 * number, sequence=9 + number)
        story.included(name, 122 + 3 * number, ran=False)
    assert story.rules() == ["few runs without effect"]
    story.history.included.insert(-1, replace(story.history.included[1], ledger=129, hash="b"))
    assert "few runs without effect" not in story.rules(), "a run in between begins anew"


def test_a_task_that_did_not_run_in_time_is_found(story: Story) -> None:
    assert story.missed() == [(1, 122)]
    assert story.missed(idle=frozenset({1})) == []


def test_a_task_that_ran_too_late_is_found_and_faults_put_the_deadline_off(story: Story) -> None:
    story.sent("c", 135, sequence=9)
    story.included("c", 136)
    assert (1, 122) in story.missed()
    assert (1, 122) not in story.missed(calm_from=131)
    assert (1, 122) in story.missed(calm_from=130)


def test_a_blocked_task_is_due_only_after_those_it_waits_for_have_run(story: Story) -> None:
    story.history.tasks[1] = replace(START, last_run_s=0)
    story.history.tasks[3] = replace(START, task_id=3, blocked_by=(1,))
    assert (3, 103) in story.missed()  # task 1 ran for the first time in 102
    story.history.tasks[3] = replace(START, task_id=3, blocked_by=(2,))
    assert (3, 102) in story.missed()  # task 2 had run before the story
    story.history.tasks[2] = replace(START, task_id=2, last_run_s=0, interval_s=10_000)
    assert not [window for window in story.missed() if window[0] == 3]
    story.history.tasks[3] = replace(START, task_id=3, blocked_by=(99,))
    assert not [window for window in story.missed() if window[0] == 3]


def test_what_makes_a_task_executable_later_puts_its_deadline_off(story: Story) -> None:
    story.history.changes.append((150, 1))
    assert story.missed() == [(1, 151)]
    story.history.changes.append((158, 1))
    assert story.missed() == []


def test_a_secret_in_a_log_is_found(tmp_path: Path) -> None:
    log = tmp_path / "run.log"
    log.write_text('{"event": "starting", "seed": "SCANARY"}\n', encoding="utf-8")
    secrets = {"the keeper's secret": b"SCANARY", "another": b"SOTHER"}
    found = leaks(secrets, [log, tmp_path / "none"], {"the arguments of process 7": b"x\0--secret\0SOTHER"})
    assert [violation.what for violation in found] == [
        f"the keeper's secret stands in {log}",
        "another stands in the arguments of process 7",
    ]


def test_the_log_of_bytes_sent_is_written_at_once_and_tells_what_an_envelope_is(tmp_path: Path) -> None:
    channel, keeper, contract = Keypair.random(), Keypair.random(), StrKey.encode_contract(bytes(32))
    envelope = (
        TransactionBuilder(Account(channel.public_key, 2**60), Network.STANDALONE_NETWORK_PASSPHRASE, 500)
        .append_invoke_contract_function_op(
            contract,
            "execute",
            [scval.to_address(keeper.public_key), scval.to_uint64(12)],
            source=keeper.public_key,
        )
        .add_time_bounds(0, 1_800_000_000)
        .set_ledger_bounds(0, 77)
        .build()
    )
    envelope.sign(channel)
    bump = TransactionBuilder.build_fee_bump_transaction(
        keeper, 900, envelope, Network.STANDALONE_NETWORK_PASSPHRASE
    )
    log = SentLog(tmp_path / "sent.jsonl", Network.STANDALONE_NETWORK_PASSPHRASE)
    entry = log.read(envelope.to_xdr(), "rpc", 70)
    assert log.entries == []
    log.sent(entry, forwarded=True)
    written = [json.loads(line) for line in log.path.read_text(encoding="utf-8").splitlines()]
    assert [line["hash"] for line in written] == [envelope.hash_hex()]
    assert (entry.channel, entry.sequence, entry.task_id) == (channel.public_key, 2**60 + 1, 12)
    assert (entry.max_ledger, entry.max_time_s, entry.function) == (77, 1_800_000_000, "execute")
    bumped = log.read(bump.to_xdr(), "rpc", 70)
    assert (bumped.inner_hash, bumped.sequence) == (entry.hash, 2**60 + 1)
    assert bumped.hash != entry.hash
    assert log.read("no envelope", "rpc", 70).hash == ""
    log.close()
