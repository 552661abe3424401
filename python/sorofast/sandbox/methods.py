"""The sandbox's calls as methods: awaited on one kind of client, direct on the other."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Callable, Coroutine
from functools import wraps
from typing import Any, Generic, ParamSpec, Self, TypeVar, overload

from sorofast.sandbox import calls
from sorofast.sandbox.calls import Call, Request

__all__ = ["AsyncCalls", "BlockingCalls"]

T = TypeVar("T")
P = ParamSpec("P")


class Method(Generic[P, T]):
    """A call as a method of both clients: awaited on an `AsyncCalls`, direct on a `BlockingCalls`."""

    def __init__(self, build: Callable[P, Call[T]]) -> None:
        self._build = build
        self.__doc__ = build.__doc__

    @overload
    def __get__(self, client: None, owner: type) -> Self: ...
    @overload
    def __get__(self, client: AsyncCalls, owner: type) -> Callable[P, Coroutine[Any, Any, T]]: ...
    @overload
    def __get__(self, client: BlockingCalls, owner: type) -> Callable[P, T]: ...
    def __get__(self, client: AsyncCalls | BlockingCalls | None, owner: type) -> object:
        if client is None:
            return self
        build, run = self._build, client.run

        @wraps(build)
        def method(*args: P.args, **kwargs: P.kwargs) -> object:
            return run(build(*args, **kwargs))

        return method


class _Calls:
    """The methods that both clients have."""

    advance = Method(calls.advance)
    skew = Method(calls.skew)
    put_entries = Method(calls.put_entries)
    ledgers = Method(calls.ledgers)
    stats = Method(calls.stats)
    faults = Method(calls.faults)
    set_fault_plan = Method(calls.set_fault_plan)
    set_faults = Method(calls.set_faults)
    clear_faults = Method(calls.clear_faults)
    contract_wasm = Method(calls.contract_wasm)
    accounts = Method(calls.accounts)
    fates = Method(calls.fates)
    audit = Method(calls.audit)
    reset = Method(calls.reset)


class AsyncCalls(_Calls, ABC):
    """The methods as coroutines."""

    @abstractmethod
    async def send(self, request: Request[T]) -> T:
        """Sends one request and reads its answer."""

    async def run(self, call: Call[T]) -> T:
        """Carries a call out."""
        answer: Any = None
        while True:
            try:
                request = call.send(answer)
            except StopIteration as end:
                value: T = end.value
                return value
            answer = await self.send(request)


class BlockingCalls(_Calls, ABC):
    """The methods as plain functions."""

    @abstractmethod
    def send(self, request: Request[T]) -> T:
        """Sends one request and reads its answer."""

    def run(self, call: Call[T]) -> T:
        """Carries a call out."""
        answer: Any = None
        while True:
            try:
                request = call.send(answer)
            except StopIteration as end:
                value: T = end.value
                return value
            answer = self.send(request)
