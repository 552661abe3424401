"""getLedgerEntries answers: what stellar-sdk encodes, the core reads, however the JSON around it looks."""

from __future__ import annotations

import base64
import json
import struct
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from stellar_sdk import Address, scval, xdr

from helpers import entries as make
from sorofast import _core
from sorofast.errors import BodyError, RpcError

ROW = struct.Struct("<QQQqQIIIHH")
ACTIVE, HAS_RESOLVER, HAS_WHITELIST, KEEPER_ALLOWED, BLOCKED_BY, UNDECODABLE = 1, 2, 4, 8, 16, 32

U32 = st.integers(0, 2**32 - 1)
U64 = st.integers(0, 2**64 - 1)
I128 = st.integers(-(2**127), 2**127 - 1)
ADDRESSES = st.one_of(
    st.binary(min_size=32, max_size=32).map(Address.from_raw_account),
    st.binary(min_size=32, max_size=32).map(Address.from_raw_contract),
    st.just(make.KEEPER),
)
LEAVES = st.one_of(
    st.booleans().map(scval.to_bool),
    st.just(scval.to_void()),
    U32.map(scval.to_uint32),
    U64.map(scval.to_uint64),
    I128.map(scval.to_int128),
    st.integers(0, 2**256 - 1).map(scval.to_uint256),
    st.binary(max_size=9).map(scval.to_bytes),
    st.text(max_size=5).map(scval.to_string),
    st.from_regex("[a-z_]{1,8}", fullmatch=True).map(scval.to_symbol),
    ADDRESSES.map(scval.to_address),
)
VALUES = st.recursive(
    LEAVES,
    lambda inner: st.one_of(
        st.lists(inner, max_size=3).map(scval.to_vec),
        st.dictionaries(st.from_regex("[a-z]{1,4}", fullmatch=True), inner, max_size=3).map(scval.to_struct),
    ),
    max_leaves=6,
)
TASKS = st.builds(
    make.Task,
    interval=U32,
    last_run=U64,
    gas_balance=I128,
    is_active=st.booleans(),
    resolver=st.none() | ADDRESSES,
    whitelist=st.lists(ADDRESSES, max_size=3),
    blocked_by=st.lists(U64, max_size=3),
    args=st.lists(VALUES, max_size=3),
    generation=st.sampled_from(sorted(make.GENERATIONS)),
    extra=st.dictionaries(st.from_regex("z[a-z]{1,6}", fullmatch=True), VALUES, max_size=2),
)


def decode(body: bytes) -> _core.EntriesBatch:
    return _core.decode_entries(body, make.CONTRACT_RAW, make.KEEPER_RAW)


def rows_of(batch: _core.EntriesBatch) -> list[tuple[Any, ...]]:
    return list(ROW.iter_unpack(batch.rows))


def expected_flags(task: make.Task) -> int:
    fields = make.fields_of(task.generation)
    active = task.is_active or "is_active" not in fields
    whitelist = task.whitelist if "whitelist" in fields else ()
    allowed = not whitelist or make.KEEPER in [Address(one.address) for one in whitelist]
    return (
        ACTIVE * active
        | HAS_RESOLVER * ("resolver" in fields and task.resolver is not None)
        | HAS_WHITELIST * bool(whitelist)
        | KEEPER_ALLOWED * allowed
        | BLOCKED_BY * ("blocked_by" in fields and bool(task.blocked_by))
    )


@given(TASKS, U64, U32, U32, U32)
def test_every_generation_is_read_by_name(
    task: make.Task, task_id: int, live_until: int, modified: int, latest: int
) -> None:
    entry = make.task_entry(task_id, task, live_until=live_until, modified=modified)
    batch = decode(make.entries_body([entry], latest))
    assert batch.problems == []
    assert batch.latest_ledger == latest
    ((found, interval, last_run, gas, shape, until, changed, snapshot, flags, reason),) = rows_of(batch)
    assert (found, interval, last_run) == (task_id, task.interval, task.last_run)
    assert gas == max(-(2**63), min(2**63 - 1, task.gas_balance))
    assert (until, changed, snapshot) == (live_until, modified, latest)
    assert flags == expected_flags(task)
    assert reason == 0
    assert shape != 0


@given(TASKS, TASKS)
def test_the_shape_is_what_a_run_touches(task: make.Task, other: make.Task) -> None:
    def shape(one: make.Task) -> int:
        return int(rows_of(decode(make.entries_body([make.task_entry(3, one)])))[0][4])

    later = task.but(last_run=other.last_run, gas_balance=other.gas_balance, interval=other.interval)
    assert shape(later.but(is_active=not task.is_active)) == shape(task)
    assert shape(task.but(function="other_name")) != shape(task)
    assert shape(task.but(target=Address.from_raw_contract(bytes(32)))) != shape(task)
    assert shape(task.but(args=[*task.args, scval.to_uint32(1)])) != shape(task)


def test_the_upper_half_of_the_shape_is_the_kind_and_the_lower_the_arguments() -> None:
    def halves(**changes: Any) -> tuple[int, int]:
        task = make.Task(args=[scval.to_uint32(1), scval.to_symbol("a")], blocked_by=[4], generation="G6")
        (row,) = rows_of(decode(make.entries_body([make.task_entry(3, task.but(**changes))])))
        shape = int(row[4])
        return shape >> 32, shape % 2**32

    kind, rest = halves()
    same_kind: list[dict[str, Any]] = [
        {"args": [scval.to_uint32(2), scval.to_symbol("a")]},
        {"args": [scval.to_uint32(1), scval.to_symbol("b")]},
        {"blocked_by": [5]},
        {"whitelist": [make.KEEPER]},
    ]
    for changes in same_kind:
        other, values = halves(**changes)
        assert other == kind
        assert values != rest
    other_kind: list[dict[str, Any]] = [
        {"args": [scval.to_uint32(1), scval.to_string("a")]},
        {"args": [scval.to_uint32(1)]},
        {"args": []},
        {"function": "decrement"},
        {"target": Address.from_raw_contract(bytes(32))},
        {"resolver": make.TARGET},
        {"blocked_by": []},
        {"extra": {"yield_strategy": scval.to_uint64(1)}},
    ]
    kinds = {halves(**changes)[0] for changes in other_kind}
    assert len(kinds) == len(other_kind)
    assert kind not in kinds
    # What changes from run to run is in neither.
    assert halves(last_run=5, gas_balance=9, is_active=False, interval=7) == (kind, rest)


def test_dependencies_are_told_of_tasks_that_wait() -> None:
    body = make.entries_body(
        [
            make.task_entry(1, make.Task(blocked_by=[7, 2**64 - 1])),
            make.task_entry(2, make.Task()),
            make.task_entry(3, make.Task(generation="G1", blocked_by=[9])),
            make.task_entry(4, make.Task(blocked_by=list(range(64)))),
        ]
    )
    assert decode(body).dependencies == [(1, [7, 2**64 - 1]), (4, list(range(64)))]


def test_dependencies_are_those_of_task_meta_where_there_is_one() -> None:
    entries = [
        make.task_entry(4, make.Task(blocked_by=[1])),
        make.task_entry(4, make.Task(blocked_by=[2]), name="TaskMeta"),
        make.task_entry(5, make.Task(blocked_by=[1])),
        make.task_entry(5, make.Task(), name="TaskMeta"),
    ]
    for order in (entries, entries[::-1]):
        batch = decode(make.entries_body(order))
        assert batch.dependencies == [(4, [2])]
        assert {row[0]: row[8] & BLOCKED_BY for row in rows_of(batch)} == {4: BLOCKED_BY, 5: 0}


def test_dependencies_that_cannot_be_followed_are_a_problem_of_their_task() -> None:
    many, strange = make.Task(blocked_by=list(range(65))), scval.to_vec([scval.to_symbol("x")])
    batch = decode(
        make.entries_body(
            [make.task_entry(1, many), make.task_entry(2, make.Task(extra={"blocked_by": strange}))]
        )
    )
    assert batch.dependencies == []
    assert [(task_id, reason) for task_id, _, reason in batch.problems] == [
        (1, "field blocked_by holds 65 tasks, at most 64 are followed"),
        (2, "field blocked_by is of kind 15, expected u32 or u64"),
    ]
    assert all(row[8] & UNDECODABLE for row in rows_of(batch))


def test_entries_of_every_kind_in_one_answer() -> None:
    counter_key = scval.to_vec([scval.to_symbol("Counter")])
    instance = xdr.SCVal(
        xdr.SCValType.SCV_CONTRACT_INSTANCE,
        instance=xdr.SCContractInstance(
            xdr.ContractExecutable(xdr.ContractExecutableType.CONTRACT_EXECUTABLE_WASM, xdr.Hash(bytes(32))),
            xdr.SCMap([]),
        ),
    )
    instance_key = xdr.SCVal(xdr.SCValType.SCV_LEDGER_KEY_CONTRACT_INSTANCE)
    other_key = make.task_symbol_key(5, "TaskStatus")
    batch = decode(
        make.entries_body(
            [
                make.task_entry(2, make.Task()),
                make.account_entry(b"\x07" * 32, 123_456_789, 2**63 - 2),
                make.rpc_entry(make.data_key(counter_key), make.data_entry(counter_key, scval.to_uint64(77))),
                make.rpc_entry(make.data_key(instance_key), make.data_entry(instance_key, instance)),
                make.rpc_entry(make.data_key(other_key), make.data_entry(other_key, scval.to_uint32(1))),
                make.account_entry(b"\x08" * 32, 5, 6, used=None),
                make.task_entry(1, make.Task()),
            ]
        )
    )
    assert batch.problems == []
    assert [row[0] for row in rows_of(batch)] == [2, 1]
    assert batch.accounts == [
        (b"\x07" * 32, 123_456_789, 2**63 - 2, 70, 1_760_000_000),
        (b"\x08" * 32, 5, 6, 0, 0),
    ]
    assert batch.counter == 77
    assert batch.instance is True
    assert "2 tasks, 2 accounts" in repr(batch)


def test_task_meta_is_believed_before_task() -> None:
    stale, fresh = make.Task(is_active=True, last_run=5), make.Task(is_active=False, last_run=6, function="x")
    alone = rows_of(decode(make.entries_body([make.task_entry(4, stale)])))[0]
    for order in ([0, 1], [1, 0]):
        both = [make.task_entry(4, stale), make.task_entry(4, fresh, name="TaskMeta")]
        (row,) = rows_of(decode(make.entries_body([both[at] for at in order])))
        assert (row[2], row[8] & ACTIVE) == (6, 0)
        assert row[4] == alone[4]


def test_an_entry_without_a_life_is_not_taken_for_archived() -> None:
    live = make.task_entry(1, make.Task(), live_until=None)
    archived = make.task_entry(2, make.Task(), live_until=0)
    assert [row[5] for row in rows_of(decode(make.entries_body([live, archived])))] == [2**32 - 1, 0]


def test_a_bad_entry_is_a_problem_of_its_own() -> None:
    good = make.task_entry(1, make.Task())
    cut = make.task_entry(2, make.Task())
    cut["xdr"] = base64.b64encode(base64.b64decode(cut["xdr"])[:-4]).decode()
    text = make.task_entry(3, make.Task())
    text["xdr"] = text["xdr"][:8] + "?" + text["xdr"][9:]
    wrong_kind = make.task_entry(4, make.Task(extra={"interval": scval.to_string("soon")}))
    foreign = make.task_entry(5, make.Task())
    foreign_key = make.task_symbol_key(5)
    foreign["xdr"] = make.data_entry(foreign_key, make.Task().to_value(), make.TARGET).to_xdr()
    keyless = dict(cut, key="AAAA")
    batch = decode(
        make.entries_body([good, cut, text, wrong_kind, foreign, keyless, make.task_entry(6, make.Task())])
    )
    assert [(row[0], row[8] & UNDECODABLE) for row in rows_of(batch)] == [
        (1, 0), (2, 32), (3, 32), (4, 32), (5, 32), (6, 0),
    ]  # fmt: skip
    assert [problem[0] for problem in batch.problems] == [2, 3, 4, 5, None]
    reasons = [problem[2] for problem in batch.problems]
    assert "cut short" in reasons[0]
    assert reasons[1].startswith("base64:")
    assert batch.problems[1][1] == 8
    assert reasons[2] == "field interval is of kind 14, expected u32 or u64"
    assert reasons[3] == "the entry is another contract's"


@st.composite
def json_texts(draw: st.DrawFn, value: Any) -> str:
    """A JSON text of a value with white space, order of members and escapes as another writer might choose them."""
    space = draw(st.sampled_from(["", " ", "\n\t ", "\r\n"]))
    if isinstance(value, dict):
        members = draw(st.permutations(list(value.items())))
        inside = [f"{draw(json_texts(name))}{space}:{space}{draw(json_texts(one))}" for name, one in members]
        return "{" + space + f"{space},{space}".join(inside) + space + "}"
    if isinstance(value, list):
        return "[" + space + f",{space}".join(draw(json_texts(one)) for one in value) + space + "]"
    if isinstance(value, str):
        escaped = draw(st.sampled_from([0, 1, 3, 7]))
        texts = (f"\\u{ord(c):04x}" if escaped and at % 8 == escaped else c for at, c in enumerate(value))
        slash = draw(st.sampled_from(["/", "\\/"]))
        return '"' + "".join(texts).replace("/", slash) + '"'
    return json.dumps(value)


ANSWER = make.entries_answer(
    [make.task_entry(1, make.Task()), make.account_entry(b"\x07" * 32, 1, 2), make.task_entry(2, make.Task())]
)


JSON_LEAVES = (
    st.none()
    | st.booleans()
    | st.integers()
    | st.floats(allow_nan=False, allow_infinity=False)
    | st.just("a text with \u00fc and 1/2")
)


@settings(max_examples=50)
@given(st.data())
def test_the_texture_of_the_json_does_not_matter(data: st.DataObject) -> None:
    unknown = data.draw(st.recursive(JSON_LEAVES, lambda inner: st.lists(inner, max_size=2), max_leaves=3))
    answer = json.loads(json.dumps(ANSWER))
    answer["result"]["surprise"] = unknown
    answer["result"]["entries"][0]["ext"] = {"deep": [unknown]}
    batch = decode(data.draw(json_texts(answer)).encode())
    plain = decode(json.dumps(ANSWER).encode())
    assert (batch.rows, batch.accounts) == (plain.rows, plain.accounts)


@pytest.mark.parametrize(
    ("body", "says"),
    [
        (b"", "at byte 0: the body ends here"),
        (b"<html>", "at byte 0: expected '{'"),
        (b"{}", "neither a result object nor an error"),
        (b'{"result":null}', "neither a result object nor an error"),
        (b'{"result":{"entries":[]}}', "the result has no latestLedger"),
        (b'{"result":{"entries":[{}],"latestLedger":1}}', "at byte 22: an entry without xdr"),
        (b'{"result":{"entries":[],"latestLedger":-1}}', "at byte 39: expected a whole number of 32 bits"),
        (b'{"result":{"entries":[],"latestLedger":1}} x', "at byte 43: more text follows"),
        (b'{"result":{"entries":[],"latestLedger":1}', "at byte 41: the body ends here"),
        (b'{"a":"\xff"}', "at byte 6: not UTF-8"),
        (b'{"a":' + b"[" * 100_000, "nested deeper than 64"),
    ],
)
def test_a_bad_body_says_what_is_wrong_and_where(body: bytes, says: str) -> None:
    with pytest.raises(BodyError) as caught:
        decode(body)
    assert says in str(caught.value)
    assert str(caught.value).startswith("getLedgerEntries: ")


def test_an_rpc_error_is_one() -> None:
    with pytest.raises(RpcError) as caught:
        decode(
            b'{"jsonrpc":"2.0","id":1,"error":{"code":-32602,"message":"key count (201) exceeds maximum"}}'
        )
    assert (caught.value.code, caught.value.method) == (-32602, "getLedgerEntries")
    assert caught.value.message == "key count (201) exceeds maximum"


def test_an_empty_answer_is_fine() -> None:
    for entries in (b"[]", b"null"):
        batch = decode(b'{"result":{"latestLedger":9,"entries":' + entries + b"}}")
        assert (batch.rows, batch.accounts, batch.latest_ledger) == (b"", [], 9)


BODY = json.dumps(ANSWER).encode()
XDR = base64.b64decode(ANSWER["result"]["entries"][0]["xdr"])
CHANGES = st.lists(st.tuples(st.integers(0, 2**20), st.integers(0, 255)), min_size=1, max_size=4)


def mutated(data: bytes, changes: list[tuple[int, int]], cut: int | None) -> bytes:
    damaged = bytearray(data)
    for at, value in changes:
        damaged[at % len(damaged)] = value
    return bytes(damaged[: None if cut is None else cut % len(damaged)])


@settings(max_examples=300)
@given(CHANGES, st.none() | st.integers(0, 2**20))
def test_a_damaged_body_is_an_error_or_an_answer(changes: list[tuple[int, int]], cut: int | None) -> None:
    body = mutated(BODY, changes, cut)
    try:
        batch = decode(body)
    except (BodyError, RpcError):
        return
    # What the core takes for JSON is JSON, and every row is whole.
    json.loads(body)
    assert len(batch.rows) % _core.ROW_SIZE == 0


@settings(max_examples=300)
@given(CHANGES, st.none() | st.integers(0, 2**20))
def test_damaged_xdr_is_a_problem_or_an_entry(changes: list[tuple[int, int]], cut: int | None) -> None:
    damaged = mutated(XDR, changes, cut)
    entry = dict(ANSWER["result"]["entries"][0], xdr=base64.b64encode(damaged).decode())
    batch = decode(make.entries_body([entry]))
    for task_id, offset, reason in batch.problems:
        assert task_id == 1
        assert 0 <= offset <= len(damaged)
        assert reason


@settings(max_examples=300)
@given(st.binary(max_size=200))
def test_noise_is_an_error(noise: bytes) -> None:
    with pytest.raises(BodyError):
        decode(noise)


def test_arguments_of_a_wrong_length_are_refused() -> None:
    with pytest.raises(ValueError, match="contract has 31 bytes, expected 32"):
        _core.decode_entries(BODY, bytes(31), make.KEEPER_RAW)
    with pytest.raises(ValueError, match="keeper has 33 bytes, expected 32"):
        _core.decode_entries(BODY, make.CONTRACT_RAW, bytes(33))
