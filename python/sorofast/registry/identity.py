"""Whether a contract is a task registry at all."""

from __future__ import annotations

from dataclasses import dataclass

from sorofast.chain.rpc import RpcClient
from sorofast.errors import WrongContract
from sorofast.registry.codec import function_names
from sorofast.registry.store import Registry

__all__ = ["Identity", "check_registry", "identify"]

NEEDED = frozenset({"execute", "register"})


@dataclass(frozen=True, slots=True)
class Identity:
    """What a registry says of itself: how many task ids it has given out, and its code where it can be read."""

    counter: int
    wasm: bytes | None


async def identify(rpc: RpcClient, contract_id: str) -> Identity:
    """The registry at that address. WrongContract when there is none.

    A contract whose specification cannot be read gets the benefit of the doubt: its entries will tell.
    """
    registry = Registry(rpc, contract_id, bytes(32))
    head = await registry.head()
    wasm = await registry.wasm()
    functions = None if wasm is None else function_names(wasm)
    if functions is not None and not functions >= NEEDED:
        raise WrongContract(
            f"{contract_id} is not a task registry: it has no `register` or `execute` function; correct contract.id"
        )
    return Identity(head.counter, wasm)


async def check_registry(rpc: RpcClient, contract_id: str) -> int:
    """Returns how many task ids the registry has given out. WrongContract when there is none at that address."""
    return (await identify(rpc, contract_id)).counter
