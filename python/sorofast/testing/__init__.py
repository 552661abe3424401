"""For tests of sorofast and of any program on Stellar: a clock that stands still, and a local network.

The pytest plugin (`plugin`) hands the network out as the fixture `sandbox`; `Sandbox` is that without pytest.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from sorofast.testing.clock import StubClock

if TYPE_CHECKING:
    from sorofast.testing.contracts import Contract
    from sorofast.testing.sandbox import Sandbox
    from sorofast.testing.transactions import Applied, CallFailed, Event

__all__ = ["Applied", "CallFailed", "Contract", "Event", "Sandbox", "StubClock"]

_WHERE = {
    "Applied": "transactions",
    "CallFailed": "transactions",
    "Contract": "contracts",
    "Event": "transactions",
    "Sandbox": "sandbox",
}


def __getattr__(name: str) -> Any:
    # stellar-sdk takes a second to import, and every pytest run where the plugin is installed comes by here.
    if name in _WHERE:
        from importlib import import_module

        return getattr(import_module(f"sorofast.testing.{_WHERE[name]}"), name)
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
