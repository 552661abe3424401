"""A task's whole configuration, from and to XDR, for the commands. The engine's hot fields are read by the Rust core.

Fields are found by name: generations of the contract differ in which fields they have, and `interval` is u32 or
u64. For the same reason a new task's configuration is shaped by the deployed contract's own specification, not by
a table of ours.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any

from stellar_sdk import Address, scval
from stellar_sdk import xdr as stellar_xdr
from stellar_sdk.sep.contract_spec import ContractSpec

from sorofast.errors import SorofastError, XdrError
from sorofast.registry.values import render

__all__ = [
    "NewTask",
    "TaskConfig",
    "code_key",
    "decode_config",
    "encode_config",
    "error_names",
    "executable_hash",
    "function_names",
    "instance_key",
    "struct_fields",
    "task_key",
    "wasm_of",
]

CONFIG_STRUCT = "TaskConfig"


@dataclass(frozen=True, slots=True)
class TaskConfig:
    """A task as its creator registered it. Typed fields are plain Python, free values are as `render` gives them."""

    creator: str | None
    target: str | None
    function: str | None
    args: list[Any]
    interval_s: int | None
    last_run_s: int | None
    gas_stroops: int | None
    resolver: str | None
    whitelist: list[str]
    is_active: bool
    blocked_by: list[int]
    others: dict[str, Any] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class NewTask:
    """What an operator chooses for a task; the contract's other fields get their defaults."""

    creator: str
    target: str
    function: str
    args: list[stellar_xdr.SCVal]
    interval_s: int
    gas_stroops: int
    resolver: str | None = None
    whitelist: tuple[str, ...] = ()


def decode_config(entry_xdr: str) -> TaskConfig:
    """The configuration in a LedgerEntryData (base64). Raises XdrError when it is none."""
    try:
        entry = stellar_xdr.LedgerEntryData.from_xdr(entry_xdr)
    except Exception as error:
        # The library raises what its reader happens to meet: struct, value, EOF and key errors.
        raise XdrError(0, f"not a ledger entry: {error}") from error
    data = entry.contract_data
    if data is None:
        raise XdrError(0, "the entry is not contract data")
    fields = _fields_by_name(data.val)
    known = {name: fields.pop(name, None) for name in _KNOWN}
    return TaskConfig(
        creator=_single(known["creator"]),
        target=_single(known["target"]),
        function=_single(known["function"]),
        args=[render(item) for item in _items(known["args"])],
        interval_s=_integer(known["interval"]),
        last_run_s=_integer(known["last_run"]),
        gas_stroops=_integer(known["gas_balance"]),
        resolver=_single(known["resolver"]),
        whitelist=[str(_single(item)) for item in _items(known["whitelist"])],
        is_active=known["is_active"] is None or render(known["is_active"]) is True,
        blocked_by=[number for item in _items(known["blocked_by"]) if (number := _integer(item)) is not None],
        others={name: render(value) for name, value in fields.items()},
    )


_KNOWN = (
    "creator",
    "target",
    "function",
    "args",
    "interval",
    "last_run",
    "gas_balance",
    "resolver",
    "whitelist",
    "is_active",
    "blocked_by",
)


def _fields_by_name(value: stellar_xdr.SCVal) -> dict[str, stellar_xdr.SCVal]:
    if value.type != stellar_xdr.SCValType.SCV_MAP or value.map is None:
        raise XdrError(0, f"a task is stored as a map, this entry holds {value.type.name}")
    fields = {}
    for item in value.map.sc_map:
        if item.key.type != stellar_xdr.SCValType.SCV_SYMBOL:
            raise XdrError(0, "a task's fields are named by symbols, this map has other keys")
        fields[scval.from_symbol(item.key)] = item.val
    return fields


def _single(value: stellar_xdr.SCVal | None) -> str | None:
    """The text of an address or symbol; None for void or a missing field."""
    shown = None if value is None else render(value)
    if isinstance(shown, dict):
        (inner,) = shown.values()
        return str(inner)
    return None


def _integer(value: stellar_xdr.SCVal | None) -> int | None:
    shown = None if value is None else render(value)
    if isinstance(shown, dict):
        (inner,) = shown.values()
        return int(inner) if isinstance(inner, int) or str(inner).lstrip("-").isdigit() else None
    return None


def _items(value: stellar_xdr.SCVal | None) -> list[stellar_xdr.SCVal]:
    return [] if value is None or value.vec is None else list(value.vec.sc_vec)


def task_key(contract_id: str, task_id: int) -> str:
    """LedgerKey (base64) of `Task(task_id)`."""
    return _data_key(contract_id, scval.to_vec([scval.to_symbol("Task"), scval.to_uint64(task_id)]))


def instance_key(contract_id: str) -> str:
    """LedgerKey (base64) of the contract's instance."""
    return _data_key(contract_id, stellar_xdr.SCVal(stellar_xdr.SCValType.SCV_LEDGER_KEY_CONTRACT_INSTANCE))


def code_key(code_hash: bytes) -> str:
    """LedgerKey (base64) of a contract code entry."""
    return stellar_xdr.LedgerKey(
        stellar_xdr.LedgerEntryType.CONTRACT_CODE,
        contract_code=stellar_xdr.LedgerKeyContractCode(stellar_xdr.Hash(code_hash)),
    ).to_xdr()


def _data_key(contract_id: str, key: stellar_xdr.SCVal) -> str:
    data = stellar_xdr.LedgerKeyContractData(
        Address(contract_id).to_xdr_sc_address(), key, stellar_xdr.ContractDataDurability.PERSISTENT
    )
    return stellar_xdr.LedgerKey(stellar_xdr.LedgerEntryType.CONTRACT_DATA, contract_data=data).to_xdr()


def executable_hash(instance_xdr: str) -> bytes | None:
    """The hash of the wasm a contract instance (LedgerEntryData, base64) runs; None where it runs none of its own."""
    entry = stellar_xdr.LedgerEntryData.from_xdr(instance_xdr)
    data = entry.contract_data
    instance = None if data is None else data.val.instance
    if instance is None or instance.executable.wasm_hash is None:
        return None
    return instance.executable.wasm_hash.hash


def wasm_of(code_xdr: str) -> bytes:
    """The wasm in a contract code entry (LedgerEntryData, base64)."""
    code = stellar_xdr.LedgerEntryData.from_xdr(code_xdr).contract_code
    if code is None:
        raise XdrError(0, "the entry is not contract code")
    return code.code


def function_names(wasm: bytes) -> set[str] | None:
    """The functions the contract's specification names; None when it cannot be read."""
    spec = _specification(wasm)
    return None if spec is None else {_text(item.name.sc_symbol) for item in spec.functions}


def error_names(wasm: bytes) -> dict[int, str]:
    """What the contract calls its errors. Their numbers shift between versions, so no table of ours would do."""
    spec = _specification(wasm)
    enums = () if spec is None else spec.error_enums
    return {case.value.uint32: _text(case.name) for enum in enums for case in enum.cases}


def struct_fields(wasm: bytes, struct: str = CONFIG_STRUCT) -> dict[str, stellar_xdr.SCSpecTypeDef] | None:
    """Field names and types of a struct in the contract's specification; None when it does not name one."""
    spec = _specification(wasm)
    for item in () if spec is None else spec.structs:
        if _text(item.name) == struct:
            return {_text(field.name): field.type for field in item.fields}
    return None


def _specification(wasm: bytes) -> ContractSpec | None:
    try:
        spec = ContractSpec.from_wasm(wasm)
    except Exception:  # noqa: BLE001 - whatever the library trips over in somebody's wasm
        # A contract may carry a specification newer than the library reads: what is usual is then assumed.
        return None
    return spec if len(spec) else None


def _text(name: bytes) -> str:
    return name.decode("utf-8", "replace")


def encode_config(task: NewTask, fields: dict[str, stellar_xdr.SCSpecTypeDef] | None) -> stellar_xdr.SCVal:
    """The `TaskConfig` argument of `register`, with exactly the fields the deployed contract's struct has."""
    known = {
        "creator": scval.to_address(task.creator),
        "target": scval.to_address(task.target),
        "function": scval.to_symbol(task.function),
        "args": scval.to_vec(task.args),
        "interval": scval.to_uint64(task.interval_s),
        "last_run": scval.to_uint64(0),
        "gas_balance": scval.to_int128(task.gas_stroops),
        "resolver": scval.to_void() if task.resolver is None else scval.to_address(task.resolver),
        "whitelist": scval.to_vec([scval.to_address(address) for address in task.whitelist]),
        "is_active": scval.to_bool(True),
        "blocked_by": scval.to_vec([]),
        "yield_strategy": scval.to_void(),
    }
    if fields is None:
        return scval.to_struct(known)
    chosen = {}
    for name, kind in fields.items():
        if name == "interval" and kind.type == stellar_xdr.SCSpecType.SC_SPEC_TYPE_U32:
            if task.interval_s >= 2**32:
                raise SorofastError(f"this contract's interval has 32 bits; {task.interval_s} s is too long")
            chosen[name] = scval.to_uint32(task.interval_s)
        else:
            chosen[name] = known[name] if name in known else _default(name, kind)
    dropped = {"resolver": task.resolver, "whitelist": task.whitelist}
    for name, value in dropped.items():
        if value and name not in fields:
            raise SorofastError(f"this contract's tasks have no {name}; leave it out")
    return scval.to_struct(chosen)


def _default(name: str, kind: stellar_xdr.SCSpecTypeDef) -> stellar_xdr.SCVal:
    """Nothing, zero or empty for a field we do not know, by its type."""
    spec = stellar_xdr.SCSpecType
    match kind.type:
        case spec.SC_SPEC_TYPE_OPTION:
            return scval.to_void()
        case spec.SC_SPEC_TYPE_U32:
            return scval.to_uint32(0)
        case spec.SC_SPEC_TYPE_U64:
            return scval.to_uint64(0)
        case spec.SC_SPEC_TYPE_I128:
            return scval.to_int128(0)
        case spec.SC_SPEC_TYPE_BOOL:
            return scval.to_bool(False)
        case spec.SC_SPEC_TYPE_VEC:
            return scval.to_vec([])
        case _:
            raise SorofastError(
                f"this contract's tasks have a field {name!r} of type {kind.type.name} that has no obvious default; "
                "register the task with the contract's own tools"
            )
