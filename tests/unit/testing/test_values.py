"""Python values become what a contract's own specification asks for, or a refusal that names the argument."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
from stellar_sdk import Address, Keypair, scval
from stellar_sdk import xdr as stellar_xdr

from sorofast.errors import UsageError
from sorofast.testing.values import Interface, native

WASM = Path(__file__).resolve().parents[3] / "rust" / "sorofast-sandbox" / "wasm"
CONTRACT = "CAAQCAIBAEAQCAIBAEAQCAIBAEAQCAIBAEAQCAIBAEAQCAIBAEAQC526"
ALICE = Keypair.from_raw_ed25519_seed(b"a" * 32)
Type = stellar_xdr.SCSpecType


def of(kind: stellar_xdr.SCSpecType, **inner: Any) -> stellar_xdr.SCSpecTypeDef:
    return stellar_xdr.SCSpecTypeDef(kind, **inner)


U32, SYMBOL, I128 = of(Type.SC_SPEC_TYPE_U32), of(Type.SC_SPEC_TYPE_SYMBOL), of(Type.SC_SPEC_TYPE_I128)


def own(name: str) -> stellar_xdr.SCSpecTypeDef:
    return of(Type.SC_SPEC_TYPE_UDT, udt=stellar_xdr.SCSpecTypeUDT(name.encode()))


def code(*entries: stellar_xdr.SCSpecEntry) -> bytes:
    """A module that holds nothing but a specification."""
    name = b"contractspecv0"
    content = bytes([len(name)]) + name + b"".join(entry.to_xdr_bytes() for entry in entries)
    size, rest = bytearray(), len(content)
    while rest >= 0x80:
        size.append(rest & 0x7F | 0x80)
        rest >>= 7
    size.append(rest)
    return b"\0asm\x01\0\0\0" + b"\0" + bytes(size) + content


def function(name: str, *inputs: stellar_xdr.SCSpecTypeDef) -> stellar_xdr.SCSpecEntry:
    return stellar_xdr.SCSpecEntry(
        stellar_xdr.SCSpecEntryKind.SC_SPEC_ENTRY_FUNCTION_V0,
        function_v0=stellar_xdr.SCSpecFunctionV0(
            doc=b"",
            name=stellar_xdr.SCSymbol(name.encode()),
            inputs=[
                stellar_xdr.SCSpecFunctionInputV0(b"", f"arg{number}".encode(), kind)
                for number, kind in enumerate(inputs)
            ],
            outputs=[],
        ),
    )


def struct(name: str, /, **fields: stellar_xdr.SCSpecTypeDef) -> stellar_xdr.SCSpecEntry:
    return stellar_xdr.SCSpecEntry(
        stellar_xdr.SCSpecEntryKind.SC_SPEC_ENTRY_UDT_STRUCT_V0,
        udt_struct_v0=stellar_xdr.SCSpecUDTStructV0(
            b"",
            b"",
            name.encode(),
            [
                stellar_xdr.SCSpecUDTStructFieldV0(b"", field.lstrip("_").encode(), kind)
                for field, kind in fields.items()
            ],
        ),
    )


def union(name: str, /, **cases: list[stellar_xdr.SCSpecTypeDef]) -> stellar_xdr.SCSpecEntry:
    kinds = stellar_xdr.SCSpecUDTUnionCaseV0Kind
    return stellar_xdr.SCSpecEntry(
        stellar_xdr.SCSpecEntryKind.SC_SPEC_ENTRY_UDT_UNION_V0,
        udt_union_v0=stellar_xdr.SCSpecUDTUnionV0(
            b"",
            b"",
            name.encode(),
            [
                stellar_xdr.SCSpecUDTUnionCaseV0(
                    kinds.SC_SPEC_UDT_UNION_CASE_TUPLE_V0,
                    tuple_case=stellar_xdr.SCSpecUDTUnionCaseTupleV0(b"", case.encode(), content),
                )
                if content
                else stellar_xdr.SCSpecUDTUnionCaseV0(
                    kinds.SC_SPEC_UDT_UNION_CASE_VOID_V0,
                    void_case=stellar_xdr.SCSpecUDTUnionCaseVoidV0(b"", case.encode()),
                )
                for case, content in cases.items()
            ],
        ),
    )


def numbers(name: str, /, **cases: int) -> stellar_xdr.SCSpecEntry:
    return stellar_xdr.SCSpecEntry(
        stellar_xdr.SCSpecEntryKind.SC_SPEC_ENTRY_UDT_ENUM_V0,
        udt_enum_v0=stellar_xdr.SCSpecUDTEnumV0(
            b"",
            b"",
            name.encode(),
            [
                stellar_xdr.SCSpecUDTEnumCaseV0(b"", case.encode(), stellar_xdr.Uint32(number))
                for case, number in cases.items()
            ],
        ),
    )


def encoded(
    kind: stellar_xdr.SCSpecTypeDef, value: object, *types: stellar_xdr.SCSpecEntry
) -> stellar_xdr.SCVal:
    (argument,) = Interface(code(function("f", kind), *types)).arguments("f", [value])
    return argument


OPTION = of(Type.SC_SPEC_TYPE_OPTION, option=stellar_xdr.SCSpecTypeOption(U32))
VEC = of(Type.SC_SPEC_TYPE_VEC, vec=stellar_xdr.SCSpecTypeVec(I128))
MAP = of(Type.SC_SPEC_TYPE_MAP, map=stellar_xdr.SCSpecTypeMap(SYMBOL, U32))
TUPLE = of(Type.SC_SPEC_TYPE_TUPLE, tuple=stellar_xdr.SCSpecTypeTuple([U32, SYMBOL]))
BYTES_2 = of(Type.SC_SPEC_TYPE_BYTES_N, bytes_n=stellar_xdr.SCSpecTypeBytesN(stellar_xdr.Uint32(2)))
RESULT = of(Type.SC_SPEC_TYPE_RESULT, result=stellar_xdr.SCSpecTypeResult(U32, of(Type.SC_SPEC_TYPE_ERROR)))
TYPES = (
    struct("Point", x=U32, name=SYMBOL),
    struct("Pair", _0=U32, _1=SYMBOL),
    union("Key", Admin=[], Balance=[of(Type.SC_SPEC_TYPE_ADDRESS), U32]),
    numbers("Level", Low=1, High=9),
)
BALANCE = scval.to_vec([scval.to_symbol("Balance"), scval.to_address(ALICE.public_key), scval.to_uint32(3)])


@pytest.mark.parametrize(
    ("kind", "value", "expected"),
    [
        (of(Type.SC_SPEC_TYPE_BOOL), True, scval.to_bool(True)),
        (U32, 7, scval.to_uint32(7)),
        (I128, -(2**100), scval.to_int128(-(2**100))),
        (of(Type.SC_SPEC_TYPE_U256), 2**200, scval.to_uint256(2**200)),
        (of(Type.SC_SPEC_TYPE_TIMEPOINT), 5, scval.to_timepoint(5)),
        (SYMBOL, "abc", scval.to_symbol("abc")),
        (of(Type.SC_SPEC_TYPE_STRING), "long text", scval.to_string("long text")),
        (of(Type.SC_SPEC_TYPE_BYTES), b"\x01", scval.to_bytes(b"\x01")),
        (BYTES_2, b"\x01\x02", scval.to_bytes(b"\x01\x02")),
        (of(Type.SC_SPEC_TYPE_VOID), None, scval.to_void()),
        (of(Type.SC_SPEC_TYPE_ADDRESS), CONTRACT, scval.to_address(CONTRACT)),
        (of(Type.SC_SPEC_TYPE_ADDRESS), Address(CONTRACT), scval.to_address(CONTRACT)),
        (of(Type.SC_SPEC_TYPE_ADDRESS), ALICE, scval.to_address(ALICE.public_key)),
        (of(Type.SC_SPEC_TYPE_VAL), scval.to_uint64(3), scval.to_uint64(3)),
        (OPTION, None, scval.to_void()),
        (OPTION, 4, scval.to_uint32(4)),
        (RESULT, 4, scval.to_uint32(4)),
        (VEC, (1, -1), scval.to_vec([scval.to_int128(1), scval.to_int128(-1)])),
        (MAP, {"b": 2, "a": 1}, scval.to_struct({"a": scval.to_uint32(1), "b": scval.to_uint32(2)})),
        (TUPLE, [1, "x"], scval.to_vec([scval.to_uint32(1), scval.to_symbol("x")])),
        (own("Point"), {"x": 1, "name": "n"}, scval.to_struct({"name": scval.to_symbol("n"), "x": scval.to_uint32(1)})),
        (own("Pair"), (1, "n"), scval.to_vec([scval.to_uint32(1), scval.to_symbol("n")])),
        (own("Key"), "Admin", scval.to_vec([scval.to_symbol("Admin")])),
        (own("Key"), ("Balance", ALICE, 3), BALANCE),
        (own("Level"), "High", scval.to_uint32(9)),
        (own("Level"), 1, scval.to_uint32(1)),
    ],
)  # fmt: skip
def test_python_values_become_the_type_the_contract_asks_for(
    kind: stellar_xdr.SCSpecTypeDef, value: object, expected: stellar_xdr.SCVal
) -> None:
    assert encoded(kind, value, *TYPES) == expected


@pytest.mark.parametrize(
    ("kind", "value", "words"),
    [
        (U32, "7", "f: arg0: takes a whole number"),
        (U32, True, "f: arg0: takes a whole number"),
        (U32, 2**32, "f: arg0: "),
        (I128, 2**127, "f: arg0: "),
        (of(Type.SC_SPEC_TYPE_BOOL), 1, "takes a bool"),
        (SYMBOL, "no spaces", "f: arg0"),
        (BYTES_2, b"\x01", "takes 2 bytes, not 1"),
        (of(Type.SC_SPEC_TYPE_ADDRESS), "GABC", "f: arg0"),
        (of(Type.SC_SPEC_TYPE_ADDRESS), 7, "takes an address, a key pair or a contract"),
        (of(Type.SC_SPEC_TYPE_VAL), 7, "give an SCVal"),
        (VEC, "12", "takes a list"),
        (VEC, [1, "x"], r"f: arg0\[1\]: takes a whole number"),
        (TUPLE, [1], "takes 2 values, not 1"),
        (own("Point"), {"x": 1}, "fields x, name; look at name"),
        (own("Point"), {"x": "no", "name": "n"}, r"f: arg0\.x: takes a whole number"),
        (own("Key"), "Nothing", "one of Admin, Balance"),
        (own("Key"), ("Balance", ALICE), "one of Admin, Balance"),
        (own("Level"), "Middle", "one of Low, High, not 'Middle'"),
        (own("Level"), 5, "one of Low, High"),
        (own("Unknown"), 5, "does not say what Unknown is"),
    ],
)
def test_a_value_that_does_not_fit_is_refused_by_its_argument(
    kind: stellar_xdr.SCSpecTypeDef, value: object, words: str
) -> None:
    with pytest.raises(UsageError, match=words):
        encoded(kind, value, *TYPES)


def test_a_type_that_contains_itself_is_bounded() -> None:
    value: object = None
    for _ in range(200):
        value = {"next": value}
    endless = struct(
        "Node", next=of(Type.SC_SPEC_TYPE_OPTION, option=stellar_xdr.SCSpecTypeOption(own("Node")))
    )
    with pytest.raises(UsageError, match="nested more than"):
        encoded(own("Node"), value, endless)


def test_names_and_numbers_of_arguments_are_checked() -> None:
    interface = Interface(code(function("move", U32, SYMBOL)))
    with pytest.raises(UsageError, match="no function mvoe; it has move"):
        interface.arguments("mvoe", [])
    with pytest.raises(UsageError, match=r"move takes 2 arguments \(arg0, arg1\), not 1"):
        interface.arguments("move", [1])
    assert interface.arguments("__constructor", []) == []


def test_without_a_specification_values_have_to_be_scvals() -> None:
    for wasm in (None, b"\0asm\x01\0\0\0", b"nonsense"):
        interface = Interface(wasm)
        assert interface.functions == []
        assert interface.arguments("f", [scval.to_void()]) == [scval.to_void()]
        with pytest.raises(UsageError, match="f: argument 1 has to be an SCVal"):
            interface.arguments("f", [1])


def test_a_real_contracts_functions_and_errors_are_known() -> None:
    interface = Interface((WASM / "task_registry.wasm").read_bytes())
    assert {"register", "execute"} <= set(interface.functions)
    assert interface.error_name(1) is not None
    assert interface.error_name(4_000_000) is None


def test_results_become_python_values() -> None:
    value = scval.to_vec(
        [scval.to_address(CONTRACT), scval.to_struct({"a": scval.to_int128(-5)}), scval.to_void()]
    )
    assert native(value) == [CONTRACT, {"a": -5}, None]
