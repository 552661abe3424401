"""Registry entries and RPC bodies, encoded by stellar-sdk, for tests and benchmarks of the core."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Any

from stellar_sdk import Address, scval, xdr

CONTRACT_RAW = bytes(range(32))
KEEPER_RAW = bytes(range(100, 132))
TARGET_RAW = bytes([3]) * 32

CONTRACT = Address.from_raw_contract(CONTRACT_RAW)
KEEPER = Address.from_raw_account(KEEPER_RAW)
TARGET = Address.from_raw_contract(TARGET_RAW)

GENERATIONS = {
    "G0": ("creator", "target", "function", "args", "interval", "last_run", "gas_balance"),
    "G1": ("resolver", "whitelist"),
    "G2": ("is_active", "blocked_by"),
    "G3": ("yield_strategy",),
    "G4": ("execution_nonce", "permissions"),
    "G5": (),
    "G6": ("max_runs", "expiration_timestamp"),
}
"""Fields that each generation of the family's contracts added; G5 dropped execution_nonce, G4 on narrowed interval."""


def fields_of(generation: str) -> frozenset[str]:
    """The fields a task of this generation has."""
    names: set[str] = set()
    for name, added in GENERATIONS.items():
        names.update(added)
        if name == generation:
            break
    if generation in {"G5", "G6"}:
        names.discard("execution_nonce")
    return frozenset(names)


@dataclass(frozen=True, kw_only=True)
class Task:
    """A task's configuration, as the registry stores it."""

    interval: int = 60
    last_run: int = 1_760_000_000
    gas_balance: int = 5_000
    is_active: bool = True
    resolver: Address | None = None
    whitelist: Sequence[Address] = ()
    blocked_by: Sequence[int] = ()
    args: Sequence[xdr.SCVal] = ()
    target: Address = TARGET
    function: str = "increment"
    creator: Address = KEEPER
    generation: str = "G3"
    extra: Mapping[str, xdr.SCVal] = field(default_factory=dict)

    def to_value(self) -> xdr.SCVal:
        """The configuration as a contract value, its fields sorted as the host sorts them."""
        narrow = self.generation in {"G4", "G5", "G6"}
        everything = {
            "args": scval.to_vec(list(self.args)),
            "blocked_by": scval.to_vec([scval.to_uint64(one) for one in self.blocked_by]),
            "creator": scval.to_address(self.creator),
            "execution_nonce": scval.to_uint64(4),
            "expiration_timestamp": scval.to_uint64(0),
            "function": scval.to_symbol(self.function),
            "gas_balance": scval.to_int128(self.gas_balance),
            "interval": scval.to_uint32(self.interval) if narrow else scval.to_uint64(self.interval),
            "is_active": scval.to_bool(self.is_active),
            "last_run": scval.to_uint64(self.last_run),
            "max_runs": scval.to_uint64(0),
            "permissions": scval.to_uint32(7),
            "resolver": scval.to_void() if self.resolver is None else scval.to_address(self.resolver),
            "target": scval.to_address(self.target),
            "whitelist": scval.to_vec([scval.to_address(one) for one in self.whitelist]),
            "yield_strategy": scval.to_void(),
        }
        chosen = {name: everything[name] for name in fields_of(self.generation)} | dict(self.extra)
        return scval.to_struct(chosen)

    def but(self, **changes: Any) -> Task:
        """This task with other values."""
        return replace(self, **changes)


def task_symbol_key(task_id: int, name: str = "Task") -> xdr.SCVal:
    """The storage key `[name, id]`."""
    return scval.to_vec([scval.to_symbol(name), scval.to_uint64(task_id)])


def data_key(key: xdr.SCVal, contract: Address = CONTRACT) -> xdr.LedgerKey:
    """The ledger key of a persistent entry."""
    return xdr.LedgerKey(
        xdr.LedgerEntryType.CONTRACT_DATA,
        contract_data=xdr.LedgerKeyContractData(
            contract=contract.to_xdr_sc_address(),
            key=key,
            durability=xdr.ContractDataDurability.PERSISTENT,
        ),
    )


def data_entry(key: xdr.SCVal, value: xdr.SCVal, contract: Address = CONTRACT) -> xdr.LedgerEntryData:
    """A persistent entry of the contract."""
    return xdr.LedgerEntryData(
        xdr.LedgerEntryType.CONTRACT_DATA,
        contract_data=xdr.ContractDataEntry(
            ext=xdr.ExtensionPoint(0),
            contract=contract.to_xdr_sc_address(),
            key=key,
            durability=xdr.ContractDataDurability.PERSISTENT,
            val=value,
        ),
    )


def rpc_entry(
    key: xdr.LedgerKey, data: xdr.LedgerEntryData, *, live_until: int | None = 9_999, modified: int = 90
) -> dict[str, Any]:
    """One element of a getLedgerEntries answer."""
    entry: dict[str, Any] = {
        "key": key.to_xdr(),
        "xdr": data.to_xdr(),
        "lastModifiedLedgerSeq": modified,
        "extXdr": "AAAAAA==",
    }
    if live_until is not None:
        entry["liveUntilLedgerSeq"] = live_until
    return entry


def task_entry(task_id: int, task: Task, *, name: str = "Task", **rpc: Any) -> dict[str, Any]:
    """A task in a getLedgerEntries answer."""
    key = task_symbol_key(task_id, name)
    return rpc_entry(data_key(key), data_entry(key, task.to_value()), **rpc)


def account_entry(
    raw: bytes, balance: int, sequence: int, *, used: tuple[int, int] | None = (70, 1_760_000_000)
) -> dict[str, Any]:
    """An account in a getLedgerEntries answer; `used` is (seqLedger, seqTime), None for an account without them."""
    account = Address.from_raw_account(raw).to_xdr_sc_address().account_id
    assert account is not None
    if used is None:
        ext = xdr.AccountEntryExt(0)
    else:
        third = xdr.AccountEntryExtensionV3(
            xdr.ExtensionPoint(0), xdr.Uint32(used[0]), xdr.TimePoint(xdr.Uint64(used[1]))
        )
        second = xdr.AccountEntryExtensionV2(
            xdr.Uint32(0), xdr.Uint32(0), [], xdr.AccountEntryExtensionV2Ext(3, v3=third)
        )
        first = xdr.AccountEntryExtensionV1(
            xdr.Liabilities(xdr.Int64(0), xdr.Int64(0)), xdr.AccountEntryExtensionV1Ext(2, v2=second)
        )
        ext = xdr.AccountEntryExt(1, v1=first)
    entry = xdr.AccountEntry(
        account_id=account,
        balance=xdr.Int64(balance),
        seq_num=xdr.SequenceNumber(xdr.Int64(sequence)),
        num_sub_entries=xdr.Uint32(0),
        inflation_dest=None,
        flags=xdr.Uint32(0),
        home_domain=xdr.String32(b""),
        thresholds=xdr.Thresholds(b"\x01\x00\x00\x00"),
        signers=[],
        ext=ext,
    )
    key = xdr.LedgerKey(xdr.LedgerEntryType.ACCOUNT, account=xdr.LedgerKeyAccount(account))
    data = xdr.LedgerEntryData(xdr.LedgerEntryType.ACCOUNT, account=entry)
    return rpc_entry(key, data, live_until=None)


def entries_answer(entries: Sequence[Mapping[str, Any]], latest_ledger: int = 100) -> dict[str, Any]:
    """A getLedgerEntries answer before it is text."""
    return {"jsonrpc": "2.0", "id": 1, "result": {"entries": list(entries), "latestLedger": latest_ledger}}


def entries_body(entries: Sequence[Mapping[str, Any]], latest_ledger: int = 100) -> bytes:
    """A getLedgerEntries answer, as compact as a node writes it."""
    return json.dumps(entries_answer(entries, latest_ledger), separators=(",", ":")).encode()
