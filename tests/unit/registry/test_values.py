"""Contract values as text and JSON, both ways."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st
from stellar_sdk import Address, Keypair, scval
from stellar_sdk import xdr as stellar_xdr

from sorofast.errors import UsageError
from sorofast.registry.values import parse_arguments, parse_value, render

ACCOUNT = Keypair.from_raw_ed25519_seed(bytes(32)).public_key


@pytest.mark.parametrize(
    ("text", "value"),
    [
        ("u32:7", scval.to_uint32(7)),
        ("i32:-7", scval.to_int32(-7)),
        ("u64:18446744073709551615", scval.to_uint64(2**64 - 1)),
        ("i128:-170141183460469231731687303715884105728", scval.to_int128(-(2**127))),
        ("u256:1", scval.to_uint256(1)),
        ("bool:true", scval.to_bool(True)),
        ("false", scval.to_bool(False)),
        ("void", scval.to_void()),
        ("null", scval.to_void()),
        ("symbol:tick", scval.to_symbol("tick")),
        ("string:hello: world", scval.to_string("hello: world")),
        ("bytes:00ff", scval.to_bytes(b"\x00\xff")),
        (f"address:{ACCOUNT}", scval.to_address(Address(ACCOUNT))),
        ('{"u64": 5}', scval.to_uint64(5)),
        (
            'vec:[{"u32": 1}, "symbol:x", null]',
            scval.to_vec([scval.to_uint32(1), scval.to_symbol("x"), scval.to_void()]),
        ),
        (
            '{"map": [{"key": {"symbol": "b"}, "val": true}, {"key": {"symbol": "a"}, "val": {"u32": 1}}]}',
            scval.to_map(
                {scval.to_symbol("a"): scval.to_uint32(1), scval.to_symbol("b"): scval.to_bool(True)}
            ),
        ),
    ],
)
def test_values_are_parsed_from_text(text: str, value: stellar_xdr.SCVal) -> None:
    assert parse_value(text) == value


@pytest.mark.parametrize(
    "text",
    ["", "5", "u64", "u64:x", "u32:-1", "u32:4294967296", "bool:yes", "symbol:a-b", "symbol:" + "a" * 33, "symbol:",
     "bytes:0", "address:GABC", "float:1.5", '{"u64": 1.5}', '{"u64": true}', '{"u64": 1, "u32": 1}', "{", "vec:5",
     '{"map": [1]}', '{"nothing": 1}'],
)  # fmt: skip
def test_invalid_values_are_refused(text: str) -> None:
    with pytest.raises(UsageError, match="value"):
        parse_value(text)


def test_arguments_one_by_one_or_as_one_array() -> None:
    expected = [scval.to_uint64(5), scval.to_symbol("x")]
    assert parse_arguments(["u64:5", "symbol:x"]) == expected
    assert parse_arguments(['[{"u64": 5}, "symbol:x"]']) == expected
    assert parse_arguments([]) == []
    with pytest.raises(UsageError, match="argument 2"):
        parse_arguments(["u64:5", "6"])
    with pytest.raises(UsageError, match="at most 32"):
        parse_arguments(["void"] * 33)


def test_nesting_of_values_is_bounded() -> None:
    with pytest.raises(UsageError, match="nested"):
        parse_value('{"vec": [' * 40 + "null" + "]}" * 40)
    deep = scval.to_void()
    for _ in range(60):
        deep = scval.to_vec([deep])
    assert "xdr" in str(render(deep))


@pytest.mark.parametrize("depth", [15, 100, 300, 600, 5_000])
@pytest.mark.parametrize(
    ("opening", "closing"),
    [("[", "]"), ('{"vec":[', "]}"), ('{"u64":', "}"), ('[{"map":[{"key":', "}]}]"), ("vec:[", "]")],
)
def test_nesting_of_any_depth_ends_in_one_short_line(opening: str, closing: str, depth: int) -> None:
    for text in (opening * depth + "1" + closing * depth, f'{{"u64":{opening * depth}1{closing * depth}}}'):
        with pytest.raises(UsageError) as caught:
            parse_arguments([text])
        assert len(str(caught.value)) < 300, text
        assert "\n" not in str(caught.value)


@pytest.mark.parametrize(
    "text",
    ["x" * 9_000, "u64:" + "9" * 9_000, "bool:" + "x" * 9_000, "symbol:" + "x" * 9_000, '{"x": "' + "y" * 9_000 + '"}',
     '{"' + "x" * 9_000 + '": 1}', '{"symbol": "' + "x\\n" * 9_000 + '"}', '{"i128": {"a": ' + "9" * 300 + "}}"],
    ids=range(8),
)  # fmt: skip
def test_a_value_of_any_length_is_refused_in_one_short_line(text: str) -> None:
    with pytest.raises(UsageError) as caught:
        parse_value(text)
    assert len(str(caught.value)) < 300
    assert "\n" not in str(caught.value)


scalars = st.one_of(
    st.integers(0, 2**32 - 1).map(scval.to_uint32),
    st.integers(-(2**63), 2**63 - 1).map(scval.to_int64),
    st.integers(0, 2**128 - 1).map(scval.to_uint128),
    st.integers(-(2**255), 2**255 - 1).map(scval.to_int256),
    st.booleans().map(scval.to_bool),
    st.just(scval.to_void()),
    st.from_regex(r"[A-Za-z0-9_]{1,32}", fullmatch=True).map(scval.to_symbol),
    st.text(max_size=40).map(scval.to_string),
    st.binary(max_size=40).map(scval.to_bytes),
    st.binary(min_size=32, max_size=32).map(lambda raw: scval.to_address(Address.from_raw_account(raw))),
)


@given(st.recursive(scalars, lambda inner: st.lists(inner, max_size=4).map(scval.to_vec), max_leaves=20))
def test_rendered_values_can_be_parsed_again(value: stellar_xdr.SCVal) -> None:
    import json

    shown = render(value)
    assert parse_arguments([json.dumps([shown])]) == [value]


def test_values_without_a_text_form_are_shown_as_xdr() -> None:
    value = stellar_xdr.SCVal(stellar_xdr.SCValType.SCV_LEDGER_KEY_CONTRACT_INSTANCE)
    assert render(value) == {"xdr": value.to_xdr()}
    assert render(scval.to_string(b"\xff")) == {"xdr": scval.to_string(b"\xff").to_xdr()}
