"""Whether a contract is a task registry at all."""

from __future__ import annotations

from sorofast.chain.rpc import RpcClient
from sorofast.errors import WrongContract
from sorofast.registry.codec import function_names
from sorofast.registry.store import Registry

__all__ = ["check_registry"]

NEEDED = frozenset({"execute", "register"})


async def check_registry(rpc: RpcClient, contract_id: str) -> int:
    """Returns how many task ids the registry has given out. WrongContract when there is none at that address.

    A contract whose specification cannot be read gets the benefit of the doubt: its entries will tell.
    """
    registry = Registry(rpc, contract_id, bytes(32))
    head = await registry.head()
    wasm = await registry.wasm()
    functions = None if wasm is None else function_names(wasm)
    if functions is not None and not functions >= NEEDED:
        raise WrongContract(
            f"{contract_id} is no task registry: it has no `register` or `execute`; correct contract.id"
        )
    return head.counter or 0
