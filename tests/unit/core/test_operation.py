"""Operations with named holes: byte for byte what stellar-sdk makes of the same transaction."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from stellar_sdk import Asset, scval, xdr
from stellar_sdk.operation import ExtendFootprintTTL, InvokeHostFunction, Payment, RestoreFootprint
from stellar_sdk.operation import Operation as SdkOperation

from helpers import entries as make
from helpers import transactions as sdk
from helpers.calls import (
    CHANNELS,
    KEY,
    authorized,
    call_of,
    envelope_of,
    host_function,
    invoke,
    learn,
    signer,
)
from sorofast import _core
from sorofast.errors import TemplateError, XdrError

U32 = st.integers(0, 2**32 - 1)
U64 = st.integers(0, 2**64 - 1)

LEAVES = st.one_of(
    st.just(scval.to_void()),
    st.booleans().map(scval.to_bool),
    U32.map(scval.to_uint32),
    st.binary(max_size=9).map(scval.to_bytes),
    st.from_regex("[a-z_]{1,8}", fullmatch=True).map(scval.to_symbol),
    st.integers(-(2**127), 2**127 - 1).map(scval.to_int128),
)
VALUES = st.recursive(LEAVES, lambda inner: st.lists(inner, max_size=3).map(scval.to_vec), max_leaves=5)
ARGUMENTS = st.lists(VALUES | st.sampled_from(["task", "window", "amount"]), max_size=6)


def distinct(names: Sequence[str]) -> st.SearchStrategy[list[int]]:
    return st.lists(U64, min_size=len(names), max_size=len(names), unique=True)


@given(
    data=st.data(),
    function=st.from_regex("[a-zA-Z0-9_]{1,32}", fullmatch=True),
    args=ARGUMENTS,
    channel=st.integers(0, 3),
    sequence=st.integers(1, 2**63 - 1),
    bounds=st.tuples(U32, U64),
    inclusion=st.integers(0, 1_000_000),
    source=st.sampled_from(["keeper", "channel"]),
)
def test_any_call_is_built_as_stellar_sdk_builds_it(
    data: st.DataObject,
    function: str,
    args: list[xdr.SCVal | str],
    channel: int,
    sequence: int,
    bounds: tuple[int, int],
    inclusion: int,
    source: Any,
) -> None:
    operation = invoke(function, args)
    names = operation.holes
    assert names == list(dict.fromkeys(one for one in args if isinstance(one, str)))
    learned = dict(zip(names, data.draw(distinct(names)), strict=True))
    filled = dict(zip(names, data.draw(st.tuples(*[U64] * len(names))), strict=True))

    def resources(values: dict[str, int]) -> xdr.SorobanTransactionData:
        keys = [make.data_key(make.task_symbol_key(one, "Job")) for one in values.values()]
        return sdk.transaction_data(0, read_write=[*keys, make.data_key(scval.to_symbol("Sum"))])

    def consents(values: dict[str, int]) -> list[xdr.SorobanAuthorizationEntry]:
        below = call_of("transfer", [scval.to_uint32(1), *names], values, make.TARGET)
        own = call_of(function, args, values)
        return [authorized(own), authorized(below), authorized(own, below=[below])]

    made = signer()
    learn(
        made,
        operation,
        list(learned.values()),
        resources(learned),
        consents(learned),
        source=source,
        consent="simulated",
    )
    item = (KEY, tuple(filled.values()), channel, sequence, *bounds)
    ((found_hash, text, fee),) = made.build([item], inclusion)
    owner = sdk.KEEPER.public_key if source == "keeper" else None
    expected = envelope_of(
        InvokeHostFunction(host_function(call_of(function, args, filled)), consents(filled), source=owner),
        channel=channel,
        sequence=sequence,
        data=resources(filled),
        bounds=bounds,
        fee=inclusion + 55_555,
        signers=[CHANNELS[channel], sdk.KEEPER] if owner else [CHANNELS[channel]],
    )
    assert text == expected.to_xdr()
    assert found_hash == expected.hash()
    assert fee == inclusion + 55_555
    asked = made.simulation_envelope_of(operation, list(filled.values()), channel, sequence, source=source)
    unsigned = envelope_of(
        InvokeHostFunction(host_function(call_of(function, args, filled)), [], source=owner),
        channel=channel,
        sequence=sequence,
        data=None,
        bounds=None,
        fee=100,
        signers=[],
    )
    assert asked == unsigned.to_xdr()


def footprint(
    read_only: Sequence[xdr.LedgerKey], read_write: Sequence[xdr.LedgerKey]
) -> xdr.SorobanTransactionData:
    data = sdk.transaction_data(7, read_write=read_write)
    data.resources.footprint.read_only = list(read_only)
    return data


@pytest.mark.parametrize("source", ["keeper", "channel"])
@pytest.mark.parametrize("kind", ["restore", "extend", "payment"])
def test_operations_on_footprints_and_payments_are_those_of_stellar_sdk(kind: str, source: Any) -> None:
    owner = sdk.KEEPER.public_key if source == "keeper" else None
    key = make.data_key(make.task_symbol_key(7))
    data: xdr.SorobanTransactionData | None = None
    operation: _core.Operation
    expected: SdkOperation
    if kind == "restore":
        operation, expected = _core.Operation.restore(), RestoreFootprint(source=owner)
        data = footprint([], [key])
    elif kind == "extend":
        operation, expected = _core.Operation.extend(17_280), ExtendFootprintTTL(17_280, source=owner)
        data = footprint([key], [])
    else:
        to = CHANNELS[3]
        operation = _core.Operation.payment(to.raw_public_key(), 2_5000000)
        expected = Payment(to.public_key, Asset.native(), "2.5", source=owner)
    assert (operation.kind, operation.holes) == (kind, [])
    text = None if data is None else data.to_xdr()
    made = signer()
    found_hash, envelope, fee = made.build_operation(
        operation, [], 1, 41, 105, 1_760_000_060, 250, transaction_data=text, source=source
    )
    wanted = 250 + (0 if data is None else 55_555)
    signed = envelope_of(
        expected, channel=1, sequence=41, data=data, bounds=(105, 1_760_000_060), fee=wanted,
        signers=[CHANNELS[1], sdk.KEEPER] if owner else [CHANNELS[1]],
    )  # fmt: skip
    assert (found_hash, envelope, fee) == (signed.hash(), signed.to_xdr(), wanted)
    asked = made.simulation_envelope_of(operation, [], 1, 41, source=source, transaction_data=text)
    unsigned = envelope_of(expected, channel=1, sequence=41, data=data, bounds=None, fee=100, signers=[])
    assert asked == unsigned.to_xdr()


def test_a_call_is_built_without_a_template_of_its_own() -> None:
    operation, data = invoke("tick", ["window"]), sdk.transaction_data(7)
    auth = [authorized(call_of("tick", ["window"], {"window": 5})).to_xdr()]
    built = signer().build_operation(
        operation, [5], 0, 3, 10, 20, 100, transaction_data=data.to_xdr(), auth=auth, fee_pad_stroops=7
    )
    made = signer()
    made.learn_call(KEY, operation, [5], data.to_xdr(), auth, 0, fee_pad_stroops=7)
    assert made.build([(KEY, (5,), 0, 3, 10, 20)], 100) == [built]
    assert built[2] == 100 + 55_555 + 7


def test_a_payment_has_no_resources_and_everything_else_has_some() -> None:
    made = signer()
    payment = _core.Operation.payment(sdk.KEEPER.raw_public_key(), 1)
    data = sdk.transaction_data(7).to_xdr()
    with pytest.raises(TemplateError, match="a payment operation has no transaction data"):
        made.build_operation(payment, [], 0, 1, 1, 1, 100, transaction_data=data)
    with pytest.raises(TemplateError, match="a restore operation needs the transaction data"):
        made.build_operation(_core.Operation.restore(), [], 0, 1, 1, 1, 100)
    with pytest.raises(TemplateError, match="authorisations"):
        made.build_operation(payment, [], 0, 1, 1, 1, 100, auth=[sdk.consent(7).to_xdr()])


def nested(depth: int, kind: str = "vec") -> bytes:
    """XDR of vectors, or maps, in each other."""
    outer = {"vec": b"\0\0\0\x10\0\0\0\x01\0\0\0\x01", "map": b"\0\0\0\x11\0\0\0\x01\0\0\0\x01\0\0\0\x01"}[
        kind
    ]
    return outer * depth + b"\0\0\0\x01"


@pytest.mark.parametrize("kind", ["vec", "map"])
@pytest.mark.parametrize("depth", [200, 600, 100_000])
def test_an_argument_nested_too_deeply_is_one_clear_error(depth: int, kind: str) -> None:
    with pytest.raises(XdrError, match="argument 1 of `run`: nested too deeply; XDR allows 500 levels"):
        _core.Operation.invoke(make.CONTRACT_RAW, "run", ["task", nested(depth, kind)])
    _core.Operation.invoke(make.CONTRACT_RAW, "run", ["task", nested(80, kind)])


@pytest.mark.parametrize(
    ("function", "args", "says"),
    [
        ("", [], "`` cannot be a contract's function"),
        ("x" * 33, [], "cannot be a contract's function"),
        ("no space", [], "cannot be a contract's function"),
        ("run", ["Task"], "`Task` cannot name a hole"),
        ("run", [""], "`` cannot name a hole"),
        ("run", [b"\0\0\0\x01"] * 65, "65 arguments, at most 64"),
        ("run", [b"\0\0\0\x0d\0\x01\0\0" + bytes(65_536)], "65544 bytes, at most 65536"),
        ("run", [5], "argument 0 is neither the bytes of a contract value nor the name of a hole"),
    ],
)
def test_a_call_that_cannot_be_is_refused(function: str, args: list[Any], says: str) -> None:
    with pytest.raises((ValueError, TypeError), match=says):
        _core.Operation.invoke(make.CONTRACT_RAW, function, args)


def test_an_argument_that_is_no_value_says_where() -> None:
    with pytest.raises(XdrError, match="argument 0 of `run`: cut short") as caught:
        _core.Operation.invoke(make.CONTRACT_RAW, "run", [b"\0\0\0\x05\0\0"])
    assert caught.value.offset == 4
    with pytest.raises(XdrError, match="4 bytes follow"):
        _core.Operation.invoke(make.CONTRACT_RAW, "run", [b"\0\0\0\x01\0\0\0\x01"])
    for amount in (0, -1):
        with pytest.raises(ValueError, match="is impossible"):
            _core.Operation.payment(bytes(32), amount)
    with pytest.raises(ValueError, match="0 ledgers"):
        _core.Operation.extend(0)
    with pytest.raises(ValueError, match="destination has 5 bytes"):
        _core.Operation.payment(b"short", 1)


def test_operations_compare_and_show_themselves() -> None:
    one = invoke("run", ["task", "window", "task"])
    assert one == invoke("run", ["task", "window", "task"])
    assert one != invoke("run", ["task", "task", "window"])
    assert hash(one) == hash(invoke("run", ["task", "window", "task"]))
    assert one.holes == ["task", "window"]
    assert repr(one) == f"<Operation invoke {make.CONTRACT.address} run(task, window)>"
    assert repr(_core.Operation.restore()) == "<Operation restore>"


def test_values_that_do_not_match_the_holes_are_refused() -> None:
    made, operation = signer(), invoke("run", ["task", "window"])
    learn(made, operation, [7, 8], sdk.transaction_data(7))
    for values in ((), (1,), (1, 2, 3)):
        says = rf"{len(values)} values for 2 holes \(task, window\)"
        with pytest.raises(ValueError, match=says):
            made.build([(KEY, values, 0, 1, 1, 1)], 100)
        with pytest.raises(ValueError, match=says):
            made.simulation_envelope_of(operation, list(values), 0, 1)
        with pytest.raises(ValueError, match=says):
            learn(made, operation, values, sdk.transaction_data(7))
    with pytest.raises(TemplateError, match="no template for 0x0000000000000063"):
        made.build([(99, (1, 2), 0, 1, 1, 1)], 100)
    with pytest.raises(IndexError, match="channel 4 of 4"):
        made.build([(KEY, (1, 2), 4, 1, 1, 1)], 100)
    with pytest.raises(ValueError, match="choose `keeper` or `channel`"):
        made.simulation_envelope_of(operation, [1, 2], 0, 1, source="nobody")  # type: ignore[arg-type]
