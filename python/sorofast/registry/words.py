"""What a registry calls its errors. Their numbers shift between versions of the contract, so its own specification is
asked, once per process.
"""

from __future__ import annotations

import asyncio
from collections.abc import Mapping
from dataclasses import dataclass, field

from sorofast import _core
from sorofast.chain.lookups import ledger_entries
from sorofast.chain.rpc import RpcClient
from sorofast.chain.xdr import Address, instance_key, read_instance
from sorofast.errors import SorofastError
from sorofast.registry.store import Registry

__all__ = ["RegistryWords", "WordsReader"]

READ_TIMEOUT_S = 5.0


@dataclass(frozen=True, slots=True)
class RegistryWords:
    """What a registry calls its errors by number, and its fee token's 32 bytes where it has one."""

    errors: Mapping[int, str] = field(default_factory=dict)
    token: bytes | None = None


class WordsReader:
    """Reads them when they are first wanted."""

    def __init__(self, rpc: RpcClient, contract_id: str) -> None:
        self._rpc = rpc
        self._contract_id = contract_id
        self._words: RegistryWords | None = None
        self._turn = asyncio.Lock()

    async def known(self) -> RegistryWords | None:
        """None while they cannot be read; a later call asks again."""
        async with self._turn:
            if self._words is None:
                try:
                    async with asyncio.timeout(READ_TIMEOUT_S):
                        self._words = await self._read()
                except (SorofastError, TimeoutError):
                    return None
            return self._words

    def forget(self) -> None:
        """The registry runs other code now."""
        self._words = None

    async def _read(self) -> RegistryWords:
        contract = _core.contract_to_bytes(self._contract_id)
        wasm = await Registry(self._rpc, self._contract_id, bytes(32)).wasm()
        key = instance_key(contract)
        instance = (await ledger_entries(self._rpc, [key])).get(key)
        storage = [] if instance is None else read_instance(instance)[1]
        tokens = [value for name, value in storage if name == ["Token"] and isinstance(value, Address)]
        # The SDK takes a second to load, in which the worker goes on.
        errors = {} if wasm is None else await asyncio.to_thread(_error_names, wasm)
        return RegistryWords(errors, tokens[0].raw if tokens else None)


def _error_names(wasm: bytes) -> dict[int, str]:
    from sorofast.registry.codec import error_names

    return error_names(wasm)
