"""Python values as the arguments of somebody's contract, by the specification that its code carries."""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping, Sequence
from typing import Any, Self

from stellar_sdk import Address, Keypair, scval
from stellar_sdk import xdr as stellar_xdr
from stellar_sdk.sep.contract_spec import ContractSpec

from sorofast.errors import UsageError

__all__ = ["Interface", "native"]

_Type = stellar_xdr.SCSpecType
_INTEGERS: dict[stellar_xdr.SCSpecType, Callable[[int], stellar_xdr.SCVal]] = {
    _Type.SC_SPEC_TYPE_U32: scval.to_uint32,
    _Type.SC_SPEC_TYPE_I32: scval.to_int32,
    _Type.SC_SPEC_TYPE_U64: scval.to_uint64,
    _Type.SC_SPEC_TYPE_I64: scval.to_int64,
    _Type.SC_SPEC_TYPE_U128: scval.to_uint128,
    _Type.SC_SPEC_TYPE_I128: scval.to_int128,
    _Type.SC_SPEC_TYPE_U256: scval.to_uint256,
    _Type.SC_SPEC_TYPE_I256: scval.to_int256,
    _Type.SC_SPEC_TYPE_TIMEPOINT: scval.to_timepoint,
    _Type.SC_SPEC_TYPE_DURATION: scval.to_duration,
}
_SYMBOL = re.compile(r"[A-Za-z0-9_]{0,32}")
_DEPTH_MAX = 64

_ADDRESS, _I128 = _Type.SC_SPEC_TYPE_ADDRESS, _Type.SC_SPEC_TYPE_I128
# The contracts of assets are built into the network and carry no specification (CAP-46-06, SEP-41).
_ASSET_FUNCTIONS: dict[str, dict[str, stellar_xdr.SCSpecType]] = {
    "admin": {},
    "allowance": {"from": _ADDRESS, "spender": _ADDRESS},
    "approve": {
        "from": _ADDRESS,
        "spender": _ADDRESS,
        "amount": _I128,
        "expiration_ledger": _Type.SC_SPEC_TYPE_U32,
    },
    "authorized": {"id": _ADDRESS},
    "balance": {"id": _ADDRESS},
    "burn": {"from": _ADDRESS, "amount": _I128},
    "burn_from": {"spender": _ADDRESS, "from": _ADDRESS, "amount": _I128},
    "clawback": {"from": _ADDRESS, "amount": _I128},
    "decimals": {},
    "mint": {"to": _ADDRESS, "amount": _I128},
    "name": {},
    "set_admin": {"new_admin": _ADDRESS},
    "set_authorized": {"id": _ADDRESS, "authorize": _Type.SC_SPEC_TYPE_BOOL},
    "symbol": {},
    "transfer": {"from": _ADDRESS, "to": _ADDRESS, "amount": _I128},
    "transfer_from": {"spender": _ADDRESS, "from": _ADDRESS, "to": _ADDRESS, "amount": _I128},
    "trust": {"addr": _ADDRESS},
}
_ASSET_ERRORS = {
    2: "OperationNotSupportedError",
    3: "AlreadyInitializedError",
    4: "UnauthorizedError",
    5: "AuthenticationError",
    6: "AccountMissingError",
    7: "AccountIsNotClassic",
    8: "NegativeAmountError",
    9: "AllowanceError",
    10: "BalanceError",
    11: "BalanceDeauthorizedError",
    12: "OverflowError",
    13: "TrustlineMissingError",
    14: "InsufficientAccountReserve",
    15: "TooManyAccountSubentries",
}


def native(value: stellar_xdr.SCVal) -> Any:
    """A contract's value in Python's types; addresses as their text."""
    return _plain(scval.to_native(value))


def _plain(value: Any) -> Any:
    if isinstance(value, Address):
        return value.address
    if isinstance(value, list):
        return [_plain(item) for item in value]
    if isinstance(value, dict):
        return {_plain(key): _plain(item) for key, item in value.items()}
    return value


class Interface:
    """What a contract's code says of its functions, types and errors. Without a specification arguments have
    to be given as SCVals.
    """

    def __init__(self, wasm: bytes | None) -> None:
        try:
            spec = ContractSpec() if wasm is None else ContractSpec.from_wasm(wasm)
        except Exception:  # noqa: BLE001 - whatever the library trips over in somebody's code
            spec = ContractSpec()
        self._functions: dict[str, dict[str, stellar_xdr.SCSpecTypeDef]] = {}
        self._types: dict[str, Any] = {}
        self._errors: dict[int, str] = {}
        for entry in spec.entries:
            self._keep(entry)

    @classmethod
    def of_assets(cls) -> Self:
        """What the contracts of assets have."""
        interface = cls(None)
        for name, inputs in _ASSET_FUNCTIONS.items():
            interface._functions[name] = {
                given: stellar_xdr.SCSpecTypeDef(kind) for given, kind in inputs.items()
            }
        interface._errors.update(_ASSET_ERRORS)
        return interface

    def _keep(self, entry: stellar_xdr.SCSpecEntry) -> None:
        if entry.function_v0 is not None:
            self._functions[_text(entry.function_v0.name.sc_symbol)] = {
                _text(given.name): given.type for given in entry.function_v0.inputs
            }
        for kind in (entry.udt_struct_v0, entry.udt_union_v0, entry.udt_enum_v0, entry.udt_error_enum_v0):
            if kind is not None:
                self._types[_text(kind.name)] = kind
        if entry.udt_error_enum_v0 is not None:
            for case in entry.udt_error_enum_v0.cases:
                self._errors.setdefault(case.value.uint32, _text(case.name))

    @property
    def functions(self) -> list[str]:
        """Names of the contract's functions, as far as they are known."""
        return list(self._functions)

    def error_name(self, code: int) -> str | None:
        """The contract's own name for one of its errors."""
        return self._errors.get(code)

    def arguments(self, function: str, values: Sequence[object]) -> list[stellar_xdr.SCVal]:
        """The arguments of a call. UsageError names the argument that does not fit."""
        if not self._functions:
            return [
                self._untyped(function, position, value) for position, value in enumerate(values, start=1)
            ]
        known = self._functions.get(function)
        if known is None and function == "__constructor":
            if values:
                raise UsageError(
                    f"the contract has no constructor, so it takes no arguments, not {len(values)}"
                )
            return []
        if known is None:
            raise UsageError(f"the contract has no function {function}; it has {', '.join(self._functions)}")
        if len(known) != len(values):
            raise UsageError(
                f"{function} takes {len(known)} arguments ({', '.join(known) or 'none'}), not {len(values)}"
            )
        return [
            self._encode(value, kind, f"{function}: {name}", 0)
            for value, (name, kind) in zip(values, known.items(), strict=True)
        ]

    @staticmethod
    def _untyped(function: str, position: int, value: object) -> stellar_xdr.SCVal:
        if isinstance(value, stellar_xdr.SCVal):
            return value
        raise UsageError(
            f"{function}: argument {position} has to be an SCVal (stellar_sdk.scval makes them), because the "
            "contract's code does not say what it takes"
        )

    def _encode(
        self, value: object, kind: stellar_xdr.SCSpecTypeDef, where: str, depth: int
    ) -> stellar_xdr.SCVal:
        if isinstance(value, stellar_xdr.SCVal):
            return value
        if depth > _DEPTH_MAX:
            raise UsageError(f"{where}: is nested more than {_DEPTH_MAX} deep")
        try:
            if kind.type in _INTEGERS:
                return _INTEGERS[kind.type](_require(value, int, "a whole number"))
            return self._encode_other(value, kind, where, depth)
        except UsageError:
            raise
        except Exception as error:  # the library raises whatever its checks raise
            raise UsageError(f"{where}: {error}") from error

    def _encode_other(
        self, value: object, kind: stellar_xdr.SCSpecTypeDef, where: str, depth: int
    ) -> stellar_xdr.SCVal:
        match kind.type:
            case _Type.SC_SPEC_TYPE_BOOL:
                return scval.to_bool(_require(value, bool, "a bool"))
            case _Type.SC_SPEC_TYPE_VOID:
                return scval.to_void()
            case _Type.SC_SPEC_TYPE_STRING:
                return scval.to_string(_require(value, (str, bytes), "a string"))
            case _Type.SC_SPEC_TYPE_SYMBOL:
                if not _SYMBOL.fullmatch(_require(value, str, "a string")):
                    raise UsageError(f"{where}: takes up to 32 letters, digits and _, not {value!r}")
                return scval.to_symbol(str(value))
            case _Type.SC_SPEC_TYPE_BYTES:
                return scval.to_bytes(_require(value, bytes, "bytes"))
            case _Type.SC_SPEC_TYPE_ADDRESS | _Type.SC_SPEC_TYPE_MUXED_ADDRESS:
                return scval.to_address(_address(value))
        if kind.bytes_n is not None:
            content, wanted = _require(value, bytes, "bytes"), kind.bytes_n.n.uint32
            if len(content) != wanted:
                raise UsageError(f"{where}: takes {wanted} bytes, not {len(content)}")
            return scval.to_bytes(content)
        if kind.udt is not None:
            return self._encode_own(value, _text(kind.udt.name), where, depth)
        return self._encode_nested(value, kind, where, depth)

    def _encode_nested(
        self, value: object, kind: stellar_xdr.SCSpecTypeDef, where: str, depth: int
    ) -> stellar_xdr.SCVal:
        def inner(item: object, item_kind: stellar_xdr.SCSpecTypeDef, name: object) -> stellar_xdr.SCVal:
            return self._encode(item, item_kind, f"{where}[{name}]", depth + 1)

        if kind.option is not None:
            if value is None:
                return scval.to_void()
            return self._encode(value, kind.option.value_type, where, depth + 1)
        if kind.result is not None:
            return self._encode(value, kind.result.ok_type, where, depth + 1)
        if kind.vec is not None:
            items = _require(value, Sequence, "a list")
            return scval.to_vec([inner(item, kind.vec.element_type, at) for at, item in enumerate(items)])
        if kind.map is not None:
            pairs = _require(value, Mapping, "a dict")
            key_type, value_type = kind.map.key_type, kind.map.value_type
            return scval.to_map(
                {inner(key, key_type, key): inner(item, value_type, key) for key, item in pairs.items()}
            )
        if kind.tuple is not None:
            return self._sequence(value, kind.tuple.value_types, where, depth)
        raise UsageError(f"{where}: may be anything; give an SCVal (stellar_sdk.scval makes them)")

    def _encode_own(self, value: object, name: str, where: str, depth: int) -> stellar_xdr.SCVal:
        """A value of a type that the contract defines."""
        kind = self._types.get(name)
        match kind:
            case stellar_xdr.SCSpecUDTStructV0():
                return self._struct(value, kind, where, depth)
            case stellar_xdr.SCSpecUDTUnionV0():
                return self._union(value, kind, where, depth)
            case stellar_xdr.SCSpecUDTEnumV0() | stellar_xdr.SCSpecUDTErrorEnumV0():
                cases = {_text(case.name): case.value.uint32 for case in kind.cases}
                number = cases.get(value) if isinstance(value, str) else value
                if number not in cases.values():
                    raise UsageError(f"{where}: {name} is one of {', '.join(cases)}, not {value!r}")
                return scval.to_uint32(_require(number, int, "a whole number"))
        raise UsageError(f"{where}: the contract does not say what {name} is; give an SCVal")

    def _struct(
        self, value: object, kind: stellar_xdr.SCSpecUDTStructV0, where: str, depth: int
    ) -> stellar_xdr.SCVal:
        fields = {_text(field.name): field.type for field in kind.fields}
        if fields and all(name.isdigit() for name in fields):
            return self._sequence(value, list(fields.values()), where, depth)
        given = _require(value, Mapping, f"a dict with {', '.join(fields)}")
        if given.keys() != fields.keys():
            wrong = ", ".join(str(name) for name in given.keys() ^ fields.keys())
            raise UsageError(
                f"{where}: {_text(kind.name)} has the fields {', '.join(fields)}; look at {wrong}"
            )
        return scval.to_struct(
            {
                name: self._encode(given[name], field, f"{where}.{name}", depth + 1)
                for name, field in fields.items()
            }
        )

    def _union(
        self, value: object, kind: stellar_xdr.SCSpecUDTUnionV0, where: str, depth: int
    ) -> stellar_xdr.SCVal:
        """The name of a case, or a tuple of the name and the case's values."""
        name, *content = [value] if isinstance(value, str) else list(_require(value, Sequence, "a tuple"))
        cases: dict[str, list[stellar_xdr.SCSpecTypeDef]] = {}
        for case in kind.cases:
            if case.void_case is not None:
                cases[_text(case.void_case.name)] = []
            if case.tuple_case is not None:
                cases[_text(case.tuple_case.name)] = list(case.tuple_case.type)
        if name not in cases or len(content) != len(cases[name]):
            raise UsageError(f"{where}: {_text(kind.name)} is one of {', '.join(cases)} with its values")
        return scval.to_enum(
            name,
            [
                self._encode(item, item_kind, f"{where}.{name}", depth + 1)
                for item, item_kind in zip(content, cases[name], strict=True)
            ]
            or None,
        )

    def _sequence(
        self, value: object, kinds: Sequence[stellar_xdr.SCSpecTypeDef], where: str, depth: int
    ) -> stellar_xdr.SCVal:
        items = _require(value, Sequence, f"{len(kinds)} values")
        if len(items) != len(kinds):
            raise UsageError(f"{where}: takes {len(kinds)} values, not {len(items)}")
        return scval.to_vec(
            [
                self._encode(item, kind, f"{where}[{at}]", depth + 1)
                for at, (item, kind) in enumerate(zip(items, kinds, strict=True))
            ]
        )


def _require(value: object, kind: Any, wanted: str) -> Any:
    """The value, if it is of that kind: True is no number, and a string no list."""
    refused = (isinstance(value, bool) and kind is not bool) or (
        isinstance(value, (str, bytes)) and kind is Sequence
    )
    if refused or not isinstance(value, kind):
        raise TypeError(f"takes {wanted}, not {value!r}")
    return value


def _address(value: object) -> str | Address:
    if isinstance(value, Keypair):
        return value.public_key
    if isinstance(value, (str, Address)):
        return value
    address = getattr(value, "address", None)
    if isinstance(address, str):
        return address
    raise TypeError(f"takes an address, a key pair or a contract, not {value!r}")


def _text(name: bytes | str) -> str:
    return name if isinstance(name, str) else name.decode(errors="replace")
