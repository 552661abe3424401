"""getEvents answers: events of the family, with and without a version, and everything that is none."""

from __future__ import annotations

import json
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from stellar_sdk import scval, xdr

from helpers import entries as make
from sorofast import _core
from sorofast.errors import BodyError, RpcError

KINDS = [
    "TaskRegistered",
    "TaskPaused",
    "TaskResumed",
    "TaskUpdated",
    "TaskCancelled",
    "GasDeposited",
    "GasWithdrawn",
    "KeeperPaid",
    "DependencyAdded",
    "DependencyRemoved",
]
HASH = bytes(range(32))
PAID = scval.to_vec([scval.to_address(make.KEEPER), scval.to_int128(100)])


def event(topics: list[xdr.SCVal], value: xdr.SCVal = PAID, **changes: Any) -> dict[str, Any]:
    return {
        "type": "contract",
        "ledger": 55,
        "ledgerClosedAt": "2026-01-01T00:00:00Z",
        "contractId": make.CONTRACT.address,
        "id": "0000000236223205376-0000000000",
        "operationIndex": 0,
        "transactionIndex": 1,
        "txHash": HASH.hex(),
        "topic": [topic.to_xdr() for topic in topics],
        "value": value.to_xdr(),
    } | changes


def topics(kind: str, task_id: int, version: bool = True) -> list[xdr.SCVal]:
    middle = [scval.to_symbol("v1")] if version else []
    return [scval.to_symbol(kind), *middle, scval.to_uint64(task_id)]


def body(*events: dict[str, Any], **changes: Any) -> bytes:
    result = {"events": list(events), "cursor": "9-1", "latestLedger": 60, "oldestLedger": 3} | changes
    return json.dumps({"jsonrpc": "2.0", "id": 1, "result": result}).encode()


def decode(text: bytes) -> _core.EventsBatch:
    return _core.decode_events(text, make.CONTRACT_RAW)


@given(
    st.sampled_from(KINDS), st.integers(0, 2**64 - 1), st.booleans(), st.integers(-(2**127), 2**127 - 1),
    st.binary(min_size=32, max_size=32), st.integers(0, 2**32 - 1),
)  # fmt: skip
def test_events_of_the_family(
    kind: str, task_id: int, version: bool, amount: int, transaction: bytes, ledger: int
) -> None:
    value = scval.to_vec([scval.to_address(make.KEEPER), scval.to_int128(amount)])
    changes = {"txHash": transaction.hex(), "ledger": ledger}
    batch = decode(body(event(topics(kind, task_id, version), value, **changes)))
    keeper = make.KEEPER_RAW if kind == "KeeperPaid" else None
    assert batch.events == [(ledger, kind, task_id, transaction, keeper, amount)]
    assert (batch.latest_ledger, batch.oldest_ledger, batch.cursor) == (60, 3, "9-1")
    assert batch.problems == []


@pytest.mark.parametrize(
    ("value", "keeper", "amount"),
    [
        (scval.to_int128(7), None, 7),
        (scval.to_address(make.KEEPER), make.KEEPER_RAW, None),
        (scval.to_address(make.CONTRACT), make.CONTRACT_RAW, None),
        (scval.to_struct({"fee": scval.to_int128(8), "keeper": scval.to_address(make.KEEPER)}), make.KEEPER_RAW, 8),
        (scval.to_vec([scval.to_uint64(4), PAID]), None, None),
        (scval.to_void(), None, None),
    ],
)  # fmt: skip
def test_payments_of_other_shapes(value: xdr.SCVal, keeper: bytes | None, amount: int | None) -> None:
    assert decode(body(event(topics("KeeperPaid", 1), value))).events == [
        (55, "KeeperPaid", 1, HASH, keeper, amount)
    ]


def test_what_is_no_event_of_a_task_is_left_out() -> None:
    batch = decode(
        body(
            event([scval.to_symbol("sorotask"), scval.to_symbol("exec_step"), scval.to_uint64(1)]),
            event([scval.to_symbol("ContractInitialized"), scval.to_symbol("v1")]),
            event([scval.to_string("KeeperPaid"), scval.to_uint64(1)]),
            event(topics("KeeperPaid", 1), contractId=make.TARGET.address),
            event(topics("KeeperPaid", 2), inSuccessfulContractCall=False),
            event([]),
            event(topics("KeeperPaid", 3), inSuccessfulContractCall=True),
        )
    )
    assert [one[2] for one in batch.events] == [3]
    assert batch.problems == []


def test_a_damaged_event_is_a_problem_of_its_own() -> None:
    batch = decode(
        body(
            event(topics("KeeperPaid", 1), value=PAID) | {"value": "AAAAEAAAAAE="},
            event([scval.to_symbol("TaskPaused"), scval.to_string("x")]),
            event([scval.to_symbol("TaskPaused")]),
            event(topics("TaskPaused", 4)),
        )
    )
    # That a keeper was paid is known from the topics; what its data says is not.
    assert [(one[1], one[2], one[4]) for one in batch.events] == [
        ("KeeperPaid", 1, None),
        ("TaskPaused", 4, None),
    ]
    assert [problem[0] for problem in batch.problems] == [55, 55, 55]
    assert "cut short" in batch.problems[0][1]
    assert "expected the task's id" in batch.problems[1][1]
    assert "no topic holds the task's id" in batch.problems[2][1]


def test_an_empty_page_has_a_cursor_or_none() -> None:
    assert decode(body()).cursor == "9-1"
    assert decode(body(cursor=None)).cursor is None
    batch = decode(body(events=None, cursor=""))
    assert (batch.events, batch.cursor) == ([], None)


@pytest.mark.parametrize(
    ("text", "says"),
    [
        (body(latestLedger="60"), "expected a number"),
        (body(event(topics("KeeperPaid", 1), txHash="ab")), "txHash of 64 hexadecimal digits"),
        (body(event(topics("KeeperPaid", 1), txHash="zz" * 32)), "txHash of 64 hexadecimal digits"),
        (body(event(topics("KeeperPaid", 1), topic=[1])), "expected a string"),
        (b'{"result":{"events":[]}}', "no latestLedger"),
    ],
)
def test_a_bad_body_says_what_is_wrong(text: bytes, says: str) -> None:
    with pytest.raises(BodyError, match=r"^getEvents: .* at byte \d+: ") as caught:
        decode(text)
    assert says in str(caught.value)


def test_an_rpc_error_is_one() -> None:
    with pytest.raises(
        RpcError, match="getEvents was answered with error -32600: startLedger must be within"
    ):
        decode(b'{"error":{"message":"startLedger must be within the ledger range","code":-32600}}')


WHOLE = body(event(topics("KeeperPaid", 1)), event(topics("TaskPaused", 2, version=False)))


@settings(max_examples=400)
@given(st.lists(st.tuples(st.integers(0, 2**20), st.integers(0, 255)), min_size=1, max_size=4))
def test_a_damaged_body_is_an_error_or_an_answer(changes: list[tuple[int, int]]) -> None:
    damaged = bytearray(WHOLE)
    for at, value in changes:
        damaged[at % len(damaged)] = value
    try:
        batch = decode(bytes(damaged))
    except (BodyError, RpcError):
        return
    json.loads(damaged)
    assert len(batch.events) <= 2
