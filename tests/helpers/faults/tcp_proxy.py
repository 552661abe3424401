"""A TCP relay that bends bytes, and one that knows Redis's protocol and bends commands and replies.

Both listen on loopback and lead to a unix socket or another port. The upstream may change (a server that
comes back elsewhere); connections that stand keep what they have.
"""

from __future__ import annotations

import asyncio
import contextlib
from collections import Counter, deque
from collections.abc import Callable
from dataclasses import dataclass
from hashlib import sha1
from types import TracebackType
from typing import Any, Generic, Self, TypeVar

from helpers.faults import resp, rules
from helpers.faults.rules import Rule, Rules
from sorofast.coordination.scripts import script_names, script_text

CHUNK_BYTES = 64 * 1024

Passing = TypeVar("Passing")


class _Broken(Exception):
    """This connection ends now, in both directions."""


class Link:
    """One client's connection and the one to the server behind it."""

    def __init__(
        self,
        client: tuple[asyncio.StreamReader, asyncio.StreamWriter],
        server: tuple[asyncio.StreamReader, asyncio.StreamWriter],
    ) -> None:
        self.from_client, self.to_client = client
        self.from_server, self.to_server = server
        self.muted = False

    def abort(self) -> None:
        for writer in (self.to_client, self.to_server):
            writer.transport.abort()


class Relay(Generic[Passing]):
    """What the two proxies share: listening, linking, cutting. An async context manager; `port` is its own."""

    def __init__(self, upstream: str, name: str) -> None:
        """`upstream` is the path of a unix socket, or `host:port`."""
        self.upstream = upstream
        self.name = name
        self.port = 0
        self.rules: Rules[Passing] = Rules()
        self.connections = 0
        self.failures: list[str] = []
        """What went wrong in the relay itself: a rig that fails must not look like an engine that does."""
        self._links: set[Link] = set()
        self._tasks: set[asyncio.Task[None]] = set()
        self._server: asyncio.Server | None = None
        self._cut = False
        self._held = False

    async def __aenter__(self) -> Self:
        self._server = await asyncio.start_server(self._accept, "127.0.0.1", 0)
        self.port = self._server.sockets[0].getsockname()[1]
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.break_connections()
        if self._server is not None:
            self._server.close()
        for task in list(self._tasks):
            task.cancel()
        await asyncio.gather(*self._tasks, return_exceptions=True)
        if self._server is not None:
            await self._server.wait_closed()

    def break_connections(self) -> None:
        """Every standing connection ends; new ones are welcome unless it is `cut`."""
        for link in list(self._links):
            link.abort()

    def cut(self, *, hold: bool = False) -> None:
        """Nothing passes until `mend()`: connections break, or with `hold` stay open and silent."""
        self._cut, self._held = not hold, hold
        if self._cut:
            self.break_connections()
        for link in self._links:
            link.muted = link.muted or hold

    def mend(self) -> None:
        """Ends `cut()`. Connections that were held break: what they swallowed is lost."""
        held, self._held, self._cut = self._held, False, False
        if held:
            self.break_connections()

    async def _accept(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        task = asyncio.current_task()
        assert task is not None
        self._tasks.add(task)
        link: Link | None = None
        try:
            if self._cut:
                return
            self.connections += 1
            link = Link((reader, writer), await self._open())
            link.muted = self._held
            self._links.add(link)
            pumps = {
                asyncio.create_task(self._up(link)),
                asyncio.create_task(self._down(link)),
            }
            try:
                await asyncio.wait(pumps, return_when=asyncio.FIRST_COMPLETED)
            finally:
                for pump in pumps:
                    pump.cancel()
                for outcome in await asyncio.gather(*pumps, return_exceptions=True):
                    if isinstance(outcome, Exception) and not isinstance(outcome, (OSError, _Broken)):
                        self.failures.append(f"the relay {self.name} failed: {outcome!r}")
        except (OSError, asyncio.CancelledError):
            # The server is not there, so the client is cut off, as by any relay; or the relay ends.
            pass
        finally:
            if link is not None:
                self._links.discard(link)
                link.to_server.close()
            writer.close()
            self._tasks.discard(task)

    async def _open(self) -> tuple[asyncio.StreamReader, asyncio.StreamWriter]:
        if self.upstream.startswith("/"):
            return await asyncio.open_unix_connection(self.upstream)
        host, _, port = self.upstream.rpartition(":")
        return await asyncio.open_connection(host, int(port))

    async def _up(self, link: Link) -> None:
        raise NotImplementedError

    async def _down(self, link: Link) -> None:
        raise NotImplementedError

    def _rule(
        self, kind: str, matches: Callable[[Passing], bool], what: str, how: dict[str, Any], **options: Any
    ) -> Rule[Passing]:
        when = how.pop("when", None)
        count, skip = how.pop("count", None), how.pop("skip", 0)
        if how:
            raise TypeError(f"a rule has no {', '.join(how)}")

        def both(passing: Passing) -> bool:
            return matches(passing) and (when is None or when(passing))

        return self.rules.add(Rule(kind, both, f"{kind} of {what} at {self.name}", count, skip, options))


@dataclass(frozen=True)
class Chunk:
    """Some bytes on their way: `up` towards the server, else towards the client."""

    data: bytes
    up: bool


class TcpProxy(Relay[Chunk]):
    """Knows nothing of what passes: it delays, cuts off, swallows and breaks connections by direction."""

    def delay(self, seconds: float, *, up: bool = True, **how: Any) -> Rule[Chunk]:
        return self._on(rules.DELAY, up, how, seconds=seconds)

    def drop(self, *, up: bool = True, **how: Any) -> Rule[Chunk]:
        """The connection breaks instead of passing the bytes on."""
        return self._on(rules.DROP_REQUEST, up, how)

    def truncate(self, at: int, *, up: bool = False, **how: Any) -> Rule[Chunk]:
        """The first `at` bytes pass, then the connection breaks."""
        return self._on(rules.TRUNCATE, up, how, at=at)

    def black_hole(self, *, up: bool = True, **how: Any) -> Rule[Chunk]:
        """The bytes vanish; the connection stays."""
        return self._on(rules.BLACK_HOLE, up, how)

    def repeat(self, *, up: bool = True, **how: Any) -> Rule[Chunk]:
        """The bytes pass twice."""
        return self._on(rules.REPEAT, up, how)

    def _on(self, kind: str, up: bool, how: dict[str, Any], **options: Any) -> Rule[Chunk]:
        return self._rule(
            kind, lambda chunk: chunk.up is up, "bytes up" if up else "bytes down", how, **options
        )

    async def _up(self, link: Link) -> None:
        await self._pump(link, link.from_client, link.to_server, up=True)

    async def _down(self, link: Link) -> None:
        await self._pump(link, link.from_server, link.to_client, up=False)

    async def _pump(
        self, link: Link, reader: asyncio.StreamReader, writer: asyncio.StreamWriter, *, up: bool
    ) -> None:
        while data := await reader.read(CHUNK_BYTES):
            delay_s, rule = await self.rules.striking(Chunk(data, up))
            if delay_s:
                await asyncio.sleep(delay_s)
            kind = None if rule is None else rule.kind
            if link.muted or kind == rules.BLACK_HOLE:
                continue
            if kind == rules.DROP_REQUEST:
                link.abort()
                raise _Broken
            if kind == rules.TRUNCATE and rule is not None:
                writer.write(data[: rule.options["at"]])
                with contextlib.suppress(OSError):
                    await writer.drain()
                raise _Broken
            writer.write(data * 2 if kind == rules.REPEAT else data)
            await writer.drain()


@dataclass
class Command:
    """One Redis command: `name` in capitals; `script` is the file's name for EVALSHA of one of ours."""

    name: str
    arguments: list[bytes]
    script: str = ""

    def names(self, what: str | None) -> bool:
        """Whether it is meant by `what`: a command's name, or the beginning of a script's."""
        if what is None:
            return True
        return self.name == what.upper() or (bool(self.script) and self.script.startswith(what))


@dataclass
class _Pending:
    """What is to become of the reply that is due next."""

    command: Command
    kind: str | None = None
    options: dict[str, Any] | None = None
    canned: bytes | None = None
    swallow: bool = False


class RedisProxy(Relay[Command]):
    """Between the fleet and its Redis. Rules name a command (`XREAD`) or a script (`commit_ledger`)."""

    def __init__(self, upstream: str, name: str = "redis") -> None:
        super().__init__(upstream, name)
        self.commands: Counter[str] = Counter()
        self._scripts = {
            sha1(script_text(script).encode(), usedforsecurity=False).hexdigest(): script
            for script in script_names()
        }
        self._pending: dict[Link, deque[_Pending]] = {}

    @property
    def url(self) -> str:
        return f"redis://127.0.0.1:{self.port}"

    def drop_request(self, command: str | None = None, **how: Any) -> Rule[Command]:
        """The connection breaks before the server has heard of it."""
        return self._on(rules.DROP_REQUEST, command, how)

    def drop_reply(self, command: str | None = None, **how: Any) -> Rule[Command]:
        """The server carries it out, and the connection breaks instead of a reply."""
        return self._on(rules.DROP_REPLY, command, how)

    def delay(self, command: str | None = None, *, seconds: float, **how: Any) -> Rule[Command]:
        return self._on(rules.DELAY, command, how, seconds=seconds)

    def repeat(self, command: str | None = None, **how: Any) -> Rule[Command]:
        """Carried out twice; the client gets the second reply, as one who asked again would."""
        return self._on(rules.REPEAT, command, how)

    def truncate(self, command: str | None = None, *, at: int = 1, **how: Any) -> Rule[Command]:
        """The reply breaks off after so many bytes, and so does the connection."""
        return self._on(rules.TRUNCATE, command, how, at=at)

    def black_hole(self, command: str | None = None, **how: Any) -> Rule[Command]:
        """Carried out; the connection stays open and says nothing ever again."""
        return self._on(rules.BLACK_HOLE, command, how)

    def refuse(self, command: str | None, error: str, **how: Any) -> Rule[Command]:
        """Answered with that error (`BUSY …`, `OOM …`, `NOSCRIPT …`); the server hears nothing."""
        return self._on(rules.ANSWER, command, how, canned=f"-{error}\r\n".encode())

    def rewrite(
        self, command: str | None, rewrite: Callable[[Command, Any], Any], **how: Any
    ) -> Rule[Command]:
        """`rewrite(command, reply)` makes the reply from the server's: bytes, ints, lists, None."""
        return self._on(rules.REWRITE, command, how, rewrite=rewrite)

    def _on(self, kind: str, command: str | None, how: dict[str, Any], **options: Any) -> Rule[Command]:
        return self._rule(
            kind, lambda passing: passing.names(command), command or "any command", how, **options
        )

    def _read(self, raw: bytes) -> Command:
        parts = resp.decode(raw)
        if not isinstance(parts, list) or not parts:
            return Command("?", [])
        name = bytes(parts[0]).decode(errors="replace").upper()
        script = ""
        if name == "EVALSHA" and len(parts) > 1:
            script = self._scripts.get(bytes(parts[1]).decode(errors="replace"), "")
        return Command(name, [bytes(part) for part in parts[1:]], script)

    async def _up(self, link: Link) -> None:
        pending = self._pending.setdefault(link, deque())
        try:
            async for raw in resp.frames(link.from_client):
                command = self._read(raw)
                self.commands[command.script or command.name] += 1
                delay_s, rule = await self.rules.striking(command)
                if delay_s:
                    await asyncio.sleep(delay_s)
                if link.muted:
                    continue
                if rule is None:
                    pending.append(_Pending(command))
                elif rule.kind == rules.DROP_REQUEST:
                    link.abort()
                    raise _Broken
                elif rule.kind == rules.ANSWER:
                    pending.append(_Pending(command, canned=rule.options["canned"]))
                    await self._give_canned(link, pending)
                    continue
                elif rule.kind == rules.REPEAT:
                    pending.append(_Pending(command, swallow=True))
                    pending.append(_Pending(command))
                    link.to_server.write(raw)
                else:
                    pending.append(_Pending(command, rule.kind, rule.options))
                link.to_server.write(raw)
                await link.to_server.drain()
        finally:
            self._pending.pop(link, None)

    async def _down(self, link: Link) -> None:
        pending = self._pending.setdefault(link, deque())
        async for raw in resp.frames(link.from_server):
            due = pending.popleft() if pending else _Pending(Command("?", []))
            if link.muted or due.swallow:
                continue
            options = due.options or {}
            if due.kind == rules.DROP_REPLY:
                link.abort()
                raise _Broken
            if due.kind == rules.BLACK_HOLE:
                link.muted = True
                continue
            if due.kind == rules.TRUNCATE:
                link.to_client.write(raw[: options["at"]])
                with contextlib.suppress(OSError):
                    await link.to_client.drain()
                raise _Broken
            if due.kind == rules.REWRITE:
                raw = resp.encode(options["rewrite"](due.command, resp.decode(raw)))
            link.to_client.write(raw)
            await self._give_canned(link, pending)
            await link.to_client.drain()

    @staticmethod
    async def _give_canned(link: Link, pending: deque[_Pending]) -> None:
        """Replies of ours wait for their turn: those of commands before them come first."""
        while pending and (canned := pending[0].canned) is not None:
            pending.popleft()
            link.to_client.write(canned)
        await link.to_client.drain()
