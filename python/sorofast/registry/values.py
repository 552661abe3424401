"""Contract values as an operator writes and reads them.

A value is written `u64:5`, `symbol:tick`, `address:G…`, or as JSON: `{"u64": 5}`, `{"vec": [{"u32": 1}]}`, `true`,
`null`. What `render` gives can be given back to `parse_value`, so that a task's arguments can be copied from one
command to another.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Sequence
from typing import Any

import orjson
from stellar_sdk import Address, scval
from stellar_sdk import xdr as stellar_xdr
from stellar_sdk.exceptions import SdkError

from sorofast.errors import UsageError

__all__ = ["TYPES", "check_symbol", "parse_arguments", "parse_value", "render"]

_DEPTH_MAX = 16
_SHOWN_MAX = 80
_SYMBOL = re.compile(r"[A-Za-z0-9_]{1,32}")
_ARGUMENTS_MAX = 32  # the registry refuses more

_INTEGERS: dict[str, Callable[[int], stellar_xdr.SCVal]] = {
    "u32": scval.to_uint32,
    "i32": scval.to_int32,
    "u64": scval.to_uint64,
    "i64": scval.to_int64,
    "u128": scval.to_uint128,
    "i128": scval.to_int128,
    "u256": scval.to_uint256,
    "i256": scval.to_int256,
    "timepoint": scval.to_timepoint,
    "duration": scval.to_duration,
}
TYPES = (*_INTEGERS, "bool", "symbol", "string", "bytes", "address", "void", "vec", "map")


def parse_arguments(texts: Sequence[str]) -> list[stellar_xdr.SCVal]:
    """Arguments of a call: each text one value, or a single JSON array of all of them. Raises UsageError."""
    if len(texts) == 1 and texts[0].lstrip().startswith("["):
        values = [_from_json(item, f"argument {n}", 0) for n, item in enumerate(_json(texts[0], "--args"), 1)]
    else:
        values = [parse_value(text, where=f"argument {n}") for n, text in enumerate(texts, start=1)]
    if len(values) > _ARGUMENTS_MAX:
        raise UsageError(f"{len(values)} arguments were given; the registry takes at most {_ARGUMENTS_MAX}")
    return values


def parse_value(text: str, *, where: str = "value") -> stellar_xdr.SCVal:
    """One value from `type:value` or from JSON. Raises UsageError naming `where`."""
    stripped = text.strip()
    if stripped[:1] in {"{", "["} or stripped in {"true", "false", "null"}:
        return _from_json(_json(stripped, where), where, 0)
    kind, colon, rest = stripped.partition(":")
    if kind == "void" and not rest:
        return scval.to_void()
    if not colon or kind not in TYPES:
        raise UsageError(
            f'{where}: {_shown(text)} has no type; write it as u64:5, symbol:name or {{"u64": 5}}'
        )
    if kind in {"vec", "map"}:
        return _from_json({kind: _json(rest, where)}, where, 0)
    if kind == "bool":
        if rest not in {"true", "false"}:
            raise UsageError(f"{where}: a bool is true or false, not {_shown(rest)}")
        return scval.to_bool(rest == "true")
    return _scalar(kind, rest, where)


def _json(text: str, where: str) -> Any:
    try:
        return orjson.loads(text)
    except orjson.JSONDecodeError as error:
        raise UsageError(f"{where} is not JSON: {error}") from error


def _from_json(value: object, where: str, depth: int) -> stellar_xdr.SCVal:
    if depth > _DEPTH_MAX:
        raise UsageError(f"{where} is nested more than {_DEPTH_MAX} deep")
    if value is None:
        return scval.to_void()
    if isinstance(value, bool):
        return scval.to_bool(value)
    if isinstance(value, str) and value.partition(":")[0] in TYPES:
        return parse_value(value, where=where)
    if not isinstance(value, dict) or len(value) != 1:
        raise UsageError(f'{where}: {_shown(value)} has no type; write {{"u64": 5}} or the like')
    (kind, inner), *_ = value.items()
    if kind == "vec" and isinstance(inner, list):
        return scval.to_vec([_from_json(item, f"{where}[{n}]", depth + 1) for n, item in enumerate(inner)])
    if kind == "map" and isinstance(inner, list):
        return _map(inner, where, depth)
    if kind == "void" and inner is None:
        return scval.to_void()
    if kind == "bool" and isinstance(inner, bool):
        return scval.to_bool(inner)
    return _scalar(kind, inner, where)


def check_symbol(name: str, where: str) -> str:
    """`name` if a contract can have such a symbol (the library encodes any text). Raises UsageError."""
    if not _SYMBOL.fullmatch(name):
        raise UsageError(
            f"{where}: {_shown(name)} is not a symbol; symbols are 1 to 32 letters, digits and underscores"
        )
    return name


def _map(pairs: list[Any], where: str, depth: int) -> stellar_xdr.SCVal:
    entries = {}
    for n, pair in enumerate(pairs):
        if not isinstance(pair, dict) or set(pair) != {"key", "val"}:
            raise UsageError(f'{where}[{n}]: a map is written [{{"key": …, "val": …}}, …]')
        key = _from_json(pair["key"], f"{where}[{n}].key", depth + 1)
        entries[key] = _from_json(pair["val"], f"{where}[{n}].val", depth + 1)
    return scval.to_map(entries)


def _scalar(kind: str, value: object, where: str) -> stellar_xdr.SCVal:
    try:
        if kind in _INTEGERS and isinstance(value, (int, str)) and not isinstance(value, bool):
            return _INTEGERS[kind](int(value))
        if kind == "symbol" and isinstance(value, str):
            return scval.to_symbol(check_symbol(value, where))
        if kind == "string" and isinstance(value, str):
            return scval.to_string(value)
        if kind == "bytes" and isinstance(value, str):
            return scval.to_bytes(bytes.fromhex(value))
        if kind == "address" and isinstance(value, str):
            return scval.to_address(value)
    except (SdkError, ValueError, TypeError):
        raise UsageError(f"{where}: {_shown(value)} is not a valid {kind}; {_expected(kind)}") from None
    raise UsageError(
        f"{where}: {_shown(value)} cannot be read as {kind:.40}; known types are {', '.join(TYPES)}"
    )


def _shown(value: object) -> str:
    """A value cut to what an error's one line has room for, however deep or long it is."""
    if isinstance(value, str):
        return repr(value) if len(value) <= _SHOWN_MAX else f"{value[:_SHOWN_MAX]!r}…"
    try:
        text = orjson.dumps(value).decode()
    except TypeError:
        return "a value nested hundreds deep"
    return text if len(text) <= _SHOWN_MAX else f"{text[:_SHOWN_MAX]}…"


def _expected(kind: str) -> str:
    """What a scalar of that kind must be."""
    match kind:
        case "bytes":
            return "write an even number of hex digits"
        case "address":
            return "write a G… or C… address"
        case "timepoint" | "duration":
            return "write a whole number from 0 to 2^64 - 1"
        case "string" | "symbol":
            return "write text"
    bits = int(kind[1:])
    return f"write a whole number from {f'-2^{bits - 1}' if kind[0] == 'i' else 0} to 2^{bits - (kind[0] == 'i')} - 1"


def render(value: stellar_xdr.SCVal, depth: int = 0) -> Any:
    """A value as plain JSON data, in the forms `parse_value` reads; its XDR in base64 where there is none."""
    kind = value.type
    if depth > _DEPTH_MAX:
        return {"xdr": value.to_xdr()}
    if kind == stellar_xdr.SCValType.SCV_VOID:
        return None
    if kind == stellar_xdr.SCValType.SCV_BOOL:
        return scval.from_bool(value)
    if kind == stellar_xdr.SCValType.SCV_VEC and value.vec is not None:
        return {"vec": [render(item, depth + 1) for item in value.vec.sc_vec]}
    if kind == stellar_xdr.SCValType.SCV_MAP and value.map is not None:
        entries = value.map.sc_map
        return {"map": [{"key": render(e.key, depth + 1), "val": render(e.val, depth + 1)} for e in entries]}
    reader = _READERS.get(kind)
    if reader is None:
        return {"xdr": value.to_xdr()}
    name, read = reader
    try:
        shown = read(value)
        # Beyond 64 bits JSON numbers are not read back exactly.
        return {name: str(shown) if isinstance(shown, int) and shown.bit_length() > 63 else shown}
    except (SdkError, ValueError, UnicodeDecodeError):
        return {"xdr": value.to_xdr()}


def _text(value: stellar_xdr.SCVal) -> str:
    return scval.from_string(value).decode()


def _address(value: stellar_xdr.SCVal) -> str:
    if value.address is None:
        raise ValueError("no address")
    return Address.from_xdr_sc_address(value.address).address


_Kind = stellar_xdr.SCValType
_READERS: dict[stellar_xdr.SCValType, tuple[str, Callable[[stellar_xdr.SCVal], Any]]] = {
    _Kind.SCV_U32: ("u32", scval.from_uint32),
    _Kind.SCV_I32: ("i32", scval.from_int32),
    _Kind.SCV_U64: ("u64", scval.from_uint64),
    _Kind.SCV_I64: ("i64", scval.from_int64),
    _Kind.SCV_U128: ("u128", scval.from_uint128),
    _Kind.SCV_I128: ("i128", scval.from_int128),
    _Kind.SCV_U256: ("u256", scval.from_uint256),
    _Kind.SCV_I256: ("i256", scval.from_int256),
    _Kind.SCV_TIMEPOINT: ("timepoint", scval.from_timepoint),
    _Kind.SCV_DURATION: ("duration", scval.from_duration),
    _Kind.SCV_SYMBOL: ("symbol", scval.from_symbol),
    _Kind.SCV_STRING: ("string", _text),
    _Kind.SCV_BYTES: ("bytes", lambda value: scval.from_bytes(value).hex()),
    _Kind.SCV_ADDRESS: ("address", _address),
}
