"""A local network for a test: what the `sandbox` fixture hands out, and what a script may start by itself."""

from __future__ import annotations

import contextlib
import http.client
import threading
from collections.abc import Iterator, Mapping
from datetime import timedelta
from functools import cached_property
from pathlib import Path
from types import TracebackType
from typing import TYPE_CHECKING, Any, Self, overload
from urllib.parse import urlencode, urlsplit

from sorofast.errors import SorofastError, UnreachableError, UsageError
from sorofast.sandbox.answers import Moment
from sorofast.sandbox.blocking_client import BlockingAdminClient
from sorofast.sandbox.blocking_process import BlockingSandboxProcess
from sorofast.sandbox.durations import ledgers_to_close, parse_span_s
from sorofast.sandbox.files import read_fault_plan
from sorofast.sandbox.find import find_url
from sorofast.sandbox.process import SandboxOptions

if TYPE_CHECKING:
    from stellar_sdk import Asset, FeeBumpTransactionEnvelope, Keypair, SorobanServer, TransactionEnvelope

    from sorofast.testing.contracts import Contract
    from sorofast.testing.transactions import Applied, Sender

__all__ = ["Sandbox"]

_BY_HAND = frozenset({"0", "0s", "0ms", "0m"})
_FRIENDBOT_TIMEOUT_S = 90.0
_CLOSING_PAUSE_S = 0.01
_FUNDED_ALREADY = "already funded"


class Sandbox:
    """A local Stellar network, and the tools to use and to break it. stellar-sdk is imported when it is first needed.

    `url` is its base address; `rpc_url`, `friendbot_url` and `network_passphrase` are what any Stellar tool asks for.
    `admin` is the whole admin interface. Without ledgers of its own accord (`closes_by_hand`) a ledger closes when
    this object sends something, when `advance` says so, or within `closing_ledgers()`.
    """

    def __init__(self, url: str, *, closes_by_hand: bool, network_passphrase: str | None = None) -> None:
        self.url = find_url(url)
        self.rpc_url = f"{self.url}/rpc"
        self.friendbot_url = f"{self.url}/friendbot"
        self.admin_url = f"{self.url}/admin"
        self.admin = BlockingAdminClient(self.admin_url)
        self.closes_by_hand = closes_by_hand
        self._passphrase = network_passphrase
        self._process: BlockingSandboxProcess | None = None
        self._sender: Sender | None = None
        self._keys: list[Keypair] | None = None

    @classmethod
    def start(cls, options: SandboxOptions | None = None) -> Self:
        """Start a network of its own on a free port; a context manager, or to be ended with `stop()`. Its ledgers
        close by hand unless the options say otherwise.
        """
        options = options or SandboxOptions(ledger_close="0s")
        process = BlockingSandboxProcess(options)
        ready = process.start()
        by_hand = options.ledger_close in _BY_HAND
        sandbox = cls(ready.rpc_url, closes_by_hand=by_hand, network_passphrase=ready.network_passphrase)
        sandbox._process = process
        return sandbox

    @classmethod
    def attach(cls, url: str | None = None, *, closes_by_hand: bool = False) -> Self:
        """Use a network that runs already, found as the commands find it. It is not stopped in the end."""
        sandbox = cls(find_url(url), closes_by_hand=closes_by_hand)
        sandbox.admin.stats()
        return sandbox

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.stop()

    def __repr__(self) -> str:
        return f"Sandbox({self.url})"

    def stop(self) -> None:
        """Close the connections, and end the network if it was started here. May be called again."""
        self._forget()
        process, self._process = self._process, None
        if process is not None:
            process.stop()

    @property
    def pid(self) -> int:
        """The process id of the network; SorofastError for one that was not started here."""
        if self._process is None:
            raise SorofastError("the network was not started here, so its process is not known")
        return self._process.urls.pid

    @property
    def alive(self) -> bool:
        """Whether the network that was started here still runs; one that was attached to is taken to."""
        return self._process is None or self._process.returncode is None

    @property
    def network_passphrase(self) -> str:
        """The passphrase that transactions are signed for."""
        if self._passphrase is None:
            self._passphrase = str(self._tools.server.get_network().passphrase)
        return self._passphrase

    @property
    def environment(self) -> dict[str, str]:
        """The variables by which stellar-cli and many others find a network, for a process that a test starts."""
        return {"STELLAR_RPC_URL": self.rpc_url, "STELLAR_NETWORK_PASSPHRASE": self.network_passphrase}

    # Time.

    def advance(
        self,
        ledgers: int | None = None,
        time: str | float | timedelta | None = None,
        *,
        spread: bool = False,
    ) -> Moment:
        """Close so many ledgers at once, with the clock moved on by `time`: seconds, a timedelta, or text as `30d`.

        The time passes before the first of them, or with `spread` evenly over all of them. Unless it is given how many
        there are, that is one, or with `spread` one for every five seconds of the time.
        """
        match time:
            case None:
                seconds = 0.0
            case str():
                seconds = parse_span_s(time, "time")
            case timedelta():
                seconds = time.total_seconds()
            case _:
                seconds = float(time)
        count = ledgers_to_close(ledgers, seconds, spread=spread)
        return self.admin.advance(count, seconds, spread=spread)

    def close(self) -> None:
        """Close one ledger."""
        self.admin.advance(1)

    @property
    def latest_ledger(self) -> int:
        """The number of the last closed ledger."""
        return self.admin.stats().latest_ledger

    @contextlib.contextmanager
    def closing_ledgers(self) -> Iterator[None]:
        """Within the block a ledger closes as soon as a transaction waits: for code under test that sends by itself
        and waits for its outcome.
        """
        ended = threading.Event()
        problems: list[SorofastError] = []

        def close() -> None:
            while not ended.wait(_CLOSING_PAUSE_S):
                try:
                    if self.admin.stats().pending:
                        self.close()
                except SorofastError as error:
                    problems.append(error)
                    return

        thread = threading.Thread(target=close, name="sorofast-sandbox ledgers", daemon=True)
        thread.start()
        try:
            yield
        finally:
            ended.set()
            thread.join()
        if problems:
            raise problems[0]

    # Accounts.

    @property
    def accounts(self) -> list[Keypair]:
        """The key pairs of the accounts that are funded from the beginning."""
        if self._keys is None:
            from stellar_sdk import Keypair

            self._keys = [Keypair.from_secret(one.secret_key) for one in self.admin.accounts().accounts]
        return self._keys

    def account(self) -> Keypair:
        """A new account with 10,000 XLM."""
        from stellar_sdk import Keypair

        keypair = Keypair.random()
        self.fund(keypair.public_key)
        return keypair

    def fund(self, address: str | Keypair) -> None:
        """Have friendbot fund an address. SorofastError with its reason when it does not; an address that has enough
        is left as it is.
        """
        text = address if isinstance(address, str) else address.public_key
        with self.closing_ledgers() if self.closes_by_hand else contextlib.nullcontext():
            status, said = _get(f"{self.friendbot_url}?{urlencode({'addr': text})}")
        if status != 200 and _FUNDED_ALREADY not in said:
            raise SorofastError(f"friendbot did not fund {text}, status {status}: {said}")

    # Contracts and transactions.

    def deploy(
        self,
        wasm: bytes | str | Path,
        *args: object,
        source: Keypair | None = None,
        salt: bytes | None = None,
    ) -> Contract:
        """Deploy a contract from its code (bytes, or the path of a .wasm file); `args` go to its constructor.

        `source` pays and is the deployer; the first of `accounts` unless given. The address follows from it and the
        salt, which is random unless given.
        """
        from sorofast.testing.contracts import deploy, read_wasm

        return deploy(self._tools, read_wasm(wasm), args, source or self._source, salt)

    def contract(
        self, address: str, *, source: Keypair | None = None, wasm: bytes | str | Path | None = None
    ) -> Contract:
        """A contract that exists already; what its functions take is read from its code on the network."""
        from sorofast.testing.contracts import existing, read_wasm, require_contract

        require_contract(address)
        code = None if wasm is None else read_wasm(wasm)
        return existing(self._tools, address, source or self._source, code)

    def asset_contract(self, asset: Asset | None = None) -> Contract:
        """The contract of an asset, of lumens unless given: created if it is not there yet."""
        from sorofast.testing.contracts import asset_contract

        return asset_contract(self._tools, asset, self._source, self.network_passphrase)

    def submit(self, envelope: TransactionEnvelope | FeeBumpTransactionEnvelope) -> Applied:
        """Send a signed envelope and wait until a ledger has it. CallFailed when it is refused or fails."""
        return self._tools.apply(envelope)

    @property
    def server(self) -> SorobanServer:
        """stellar-sdk's client of this network."""
        return self._tools.server

    # Faults.

    def fault(self, plan: str | Path | Mapping[str, Any] | None = None, /, **rule: Any) -> Broken:
        """Break the network: by a plan (a file, or a mapping of the same form), or by the fields of one rule, as in
        `fault(method="sendTransaction", kind="drop_reply", count=1)`. It replaces the plan in force.

        It holds until `mend()`; as a context manager, until the end of the block. The calls of this object go through
        the broken network as well, except for the admin interface.
        """
        if (plan is None) == (not rule):
            raise UsageError("give a fault plan, or the fields of one rule such as kind= and method=")
        if plan is None:
            plan = {"rules": [rule]}
        elif isinstance(plan, (str, Path)):
            plan = read_fault_plan(Path(plan))
        self.admin.set_fault_plan(plan)
        return Broken(self)

    def mend(self) -> None:
        """End all faults."""
        self.admin.clear_faults()

    # State.

    @overload
    def save(self) -> bytes: ...

    @overload
    def save(self, path: str | Path) -> Path: ...

    def save(self, path: str | Path | None = None) -> bytes | Path:
        """The whole state of the network, for `load`: as bytes, or in a file, whose path is returned then."""
        if path is None:
            return self.admin.state()
        self.admin.save(Path(path))
        return Path(path)

    def load(self, state: bytes | str | Path) -> Moment:
        """Replace everything by a state that `save` gave: its bytes, or the path of the file."""
        self._forget()
        if isinstance(state, bytes):
            return self.admin.set_state(state)
        return self.admin.load(Path(state))

    def reset(self) -> Moment:
        """Back to the ledger that the network began with, without faults."""
        self._forget()
        self.mend()
        return self.admin.reset()

    # What serves them.

    @property
    def _tools(self) -> Sender:
        if self._sender is None:
            from sorofast.testing.transactions import Sender

            self._sender = Sender(self.rpc_url, lambda: self.network_passphrase, self)
        return self._sender

    @cached_property
    def _source(self) -> Keypair:
        """Who pays when a test does not care."""
        accounts = self.accounts
        return accounts[0] if accounts else self.account()

    def _forget(self) -> None:
        self.__dict__.pop("_source", None)
        self._keys = None
        sender, self._sender = self._sender, None
        if sender is not None:
            sender.close()


class Broken:
    """A fault plan in force; leaving its block ends it."""

    def __init__(self, sandbox: Sandbox) -> None:
        self._sandbox = sandbox

    def __enter__(self) -> Sandbox:
        return self._sandbox

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._sandbox.mend()

    @property
    def strikes(self) -> dict[str, Any]:
        """The plan as the sandbox shows it, with how often each rule struck."""
        return self._sandbox.admin.faults()


def _get(url: str) -> tuple[int, str]:
    """Status and text of a GET."""
    parts = urlsplit(url)
    connection = http.client.HTTPConnection(parts.hostname or "", parts.port, timeout=_FRIENDBOT_TIMEOUT_S)
    try:
        connection.request("GET", f"{parts.path}?{parts.query}")
        answer = connection.getresponse()
        return answer.status, answer.read(100_000).decode(errors="replace")
    except (OSError, http.client.HTTPException) as error:
        raise UnreachableError(f"friendbot at {url} gave no answer: {error}") from error
    finally:
        connection.close()
