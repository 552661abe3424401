"""Transactions of a test: simulated, signed, sent, and followed until a ledger has them."""

from __future__ import annotations

import contextlib
import re
import time
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass
from typing import Any, Protocol

import requests
from stellar_sdk import (
    Address,
    FeeBumpTransactionEnvelope,
    Keypair,
    SorobanServer,
    TransactionBuilder,
    TransactionEnvelope,
    scval,
)
from stellar_sdk import xdr as stellar_xdr
from stellar_sdk.auth import authorize_entry
from stellar_sdk.client.requests_client import RequestsClient
from stellar_sdk.exceptions import BaseRequestError, PrepareTransactionException, SdkError
from stellar_sdk.operation import InvokeHostFunction
from stellar_sdk.soroban_rpc import GetTransactionResponse, GetTransactionStatus, SendTransactionStatus

from sorofast.errors import SorofastError, UnreachableError
from sorofast.testing.values import native

__all__ = ["Applied", "CallFailed", "Event", "Sender"]

_BASE_FEE_STROOPS = 1_000
_AUTH_VALID_LEDGERS = 1_000
# The queue drops a transaction after four ledgers; a few more say that something else is wrong.
_LEDGERS_MAX = 10
_WAIT_S = 60.0
_POLL_S = 0.05
_REASON_CHARS_MAX = 2_000
_INSTANCE = stellar_xdr.SCVal(stellar_xdr.SCValType.SCV_LEDGER_KEY_CONTRACT_INSTANCE)
_HOST_ERROR = re.compile(r"Error\((\w+), #?(\w+)\)")


class CallFailed(SorofastError):
    """A call or a transaction that the network refused or failed.

    `code` is the contract's error number and `name` the contract's own word for it, where it was the contract that
    failed; `result` is the name of the transaction's result code where it reached the network; `reason` is all that
    was said.
    """

    def __init__(
        self,
        message: str,
        *,
        code: int | None = None,
        name: str | None = None,
        result: str | None = None,
        reason: str = "",
    ) -> None:
        super().__init__(message)
        self.code = code
        self.name = name
        self.result = result
        self.reason = reason


@dataclass(frozen=True, slots=True)
class Event:
    """An event that a contract emitted, in Python's types."""

    contract: str
    topics: tuple[Any, ...]
    data: Any


@dataclass(frozen=True, slots=True)
class Applied:
    """A transaction that succeeded: where it is, what it cost, and what its contract call returned and emitted."""

    hash: str
    ledger: int
    fee_stroops: int
    value: Any
    value_xdr: stellar_xdr.SCVal | None
    events: tuple[Event, ...]
    response: GetTransactionResponse


class Ledgers(Protocol):
    """What a sender needs to know of the network's ledgers."""

    closes_by_hand: bool

    def close(self) -> None:
        """Close a ledger now."""


class Sender:
    """Sends on behalf of a test. `error_name` tells a contract's words for its errors."""

    def __init__(self, rpc_url: str, passphrase: Callable[[], str], ledgers: Ledgers) -> None:
        session = requests.Session()
        # The network is on this machine: no proxy that the environment names leads to it.
        session.trust_env = False
        client = RequestsClient(num_retries=0, session=session)
        self.server = SorobanServer(rpc_url, client)
        self._passphrase = passphrase
        self._ledgers = ledgers

    def close(self) -> None:
        """Close the connections."""
        self.server.close()

    def exists(self, contract: str) -> bool:
        """Whether a contract has an instance on the network."""
        with _named(f"the look for {contract}", None):
            return self.server.get_contract_data(contract, _INSTANCE) is not None

    def apply_operation(
        self,
        source: Keypair,
        append: Callable[[TransactionBuilder], object],
        *,
        signers: Sequence[Keypair] = (),
        what: str,
        error_name: Callable[[int], str | None] | None = None,
    ) -> Applied:
        """Simulate, sign and apply the one contract operation that `append` gives the builder."""
        with _named(what, error_name):
            envelope = self.server.prepare_transaction(self._build(source, append))
            if self._sign_authorizations(envelope, [source, *signers]):
                # Signatures are checked, paid for and stored, which only a simulation with them tells.
                envelope = self.server.prepare_transaction(envelope)
            envelope.sign(source)
        return self.apply(envelope, what=what, error_name=error_name)

    def simulate(
        self,
        source: str,
        append: Callable[[TransactionBuilder], object],
        *,
        what: str,
        error_name: Callable[[int], str | None] | None = None,
    ) -> stellar_xdr.SCVal:
        """What a contract call would return now. Nothing is sent, and the source need not exist."""
        from stellar_sdk import Account

        builder = TransactionBuilder(Account(source, 0), self._passphrase(), base_fee=_BASE_FEE_STROOPS)
        append(builder)
        with _named(what, error_name):
            answer = self.server.simulate_transaction(builder.add_time_bounds(0, 0).build())
            if answer.error:
                raise _failure(what, answer.error, error_name)
            if not answer.results or answer.results[0].xdr is None:
                return scval.to_void()
            return stellar_xdr.SCVal.from_xdr(answer.results[0].xdr)

    def apply(
        self,
        envelope: TransactionEnvelope | FeeBumpTransactionEnvelope,
        *,
        what: str = "the transaction",
        error_name: Callable[[int], str | None] | None = None,
    ) -> Applied:
        """Send a signed envelope and wait until a ledger has it. CallFailed when it is refused or fails."""
        with _named(what, error_name):
            self._send(envelope, what)
            found = self._wait(envelope.hash_hex(), what)
            if found.status is not GetTransactionStatus.SUCCESS:
                raise _failed_on_ledger(what, found, error_name)
            return _applied(found)

    def _build(self, source: Keypair, append: Callable[[TransactionBuilder], object]) -> TransactionEnvelope:
        account = self.server.load_account(source.public_key)
        builder = TransactionBuilder(account, self._passphrase(), base_fee=_BASE_FEE_STROOPS)
        append(builder)
        # The ledger's clock may be months away from ours, so no bound in time is set.
        return builder.add_time_bounds(0, 0).build()

    def _sign_authorizations(self, envelope: TransactionEnvelope, keys: Sequence[Keypair]) -> bool:
        """Sign what the keys can sign; whether anything was."""
        (operation,) = envelope.transaction.operations
        if not isinstance(operation, InvokeHostFunction):
            return False
        by_address = {key.public_key: key for key in keys}
        until: int | None = None
        signed = []
        for entry in operation.auth:
            key = by_address.get(_authorizer(entry) or "")
            if key is not None:
                if until is None:
                    until = self.server.get_latest_ledger().sequence + _AUTH_VALID_LEDGERS
                signed.append(authorize_entry(entry, key, until, self._passphrase()))
            else:
                signed.append(entry)
        operation.auth = signed
        return until is not None

    def _send(self, envelope: TransactionEnvelope | FeeBumpTransactionEnvelope, what: str) -> None:
        for _ in range(_LEDGERS_MAX):
            answer = self.server.send_transaction(envelope)
            match answer.status:
                case SendTransactionStatus.PENDING | SendTransactionStatus.DUPLICATE:
                    return
                case SendTransactionStatus.ERROR:
                    result = _result_name(answer.error_result_xdr)
                    raise CallFailed(f"{what} was refused: {result}", result=result)
                case _:
                    self._pass_a_ledger()
        raise CallFailed(
            f"{what} was not taken within {_LEDGERS_MAX} ledgers: the queue is full or has banned it"
        )

    def _pass_a_ledger(self) -> None:
        if self._ledgers.closes_by_hand:
            self._ledgers.close()
            return
        begun = self.server.get_latest_ledger().sequence
        for _ in _ticks():
            if self.server.get_latest_ledger().sequence > begun:
                return
        raise CallFailed(f"no ledger has closed within {_WAIT_S:.0f} s")

    def _wait(self, tx_hash: str, what: str) -> GetTransactionResponse:
        if self._ledgers.closes_by_hand:
            for _ in range(_LEDGERS_MAX):
                self._ledgers.close()
                found = self.server.get_transaction(tx_hash)
                if found.status is not GetTransactionStatus.NOT_FOUND:
                    return found
            raise CallFailed(f"{what} was not applied within {_LEDGERS_MAX} ledgers; transaction {tx_hash}")
        for _ in _ticks():
            found = self.server.get_transaction(tx_hash)
            if found.status is not GetTransactionStatus.NOT_FOUND:
                return found
        raise CallFailed(
            f"{what} was not applied within {_WAIT_S:.0f} s; does the network close its ledgers by hand? "
            f"Transaction {tx_hash}"
        )


def _ticks() -> Iterator[None]:
    """Yields at once and then at intervals until the time for waiting is over."""
    deadline = time.monotonic() + _WAIT_S
    while time.monotonic() < deadline:
        yield
        time.sleep(_POLL_S)


def _applied(found: GetTransactionResponse) -> Applied:
    result = stellar_xdr.TransactionResult.from_xdr(found.result_xdr or "")
    value = _return_value(found)
    return Applied(
        hash=found.transaction_hash,
        ledger=found.ledger or 0,
        fee_stroops=result.fee_charged.int64,
        value=None if value is None else native(value),
        value_xdr=value,
        events=tuple(_events(found)),
        response=found,
    )


def _return_value(found: GetTransactionResponse) -> stellar_xdr.SCVal | None:
    meta = stellar_xdr.TransactionMeta.from_xdr(found.result_meta_xdr or "")
    for version in (meta.v4, meta.v3):
        if version is not None and version.soroban_meta is not None:
            return version.soroban_meta.return_value
    return None


def _events(found: GetTransactionResponse) -> Iterable[Event]:
    of_operations = (found.events.contract_events_xdr if found.events else None) or []
    for events in of_operations:
        for encoded in events:
            event = stellar_xdr.ContractEvent.from_xdr(encoded)
            if event.contract_id is None or event.body.v0 is None:
                continue
            yield Event(
                contract=Address.from_raw_contract(event.contract_id.contract_id.hash).address,
                topics=tuple(native(topic) for topic in event.body.v0.topics),
                data=native(event.body.v0.data),
            )


def _authorizer(entry: stellar_xdr.SorobanAuthorizationEntry) -> str | None:
    """Whose signature an authorization wants; None for the source account's, which the transaction carries."""
    credentials = entry.credentials
    of_address = credentials.address or credentials.address_v2
    if of_address is None and credentials.address_with_delegates is not None:
        of_address = credentials.address_with_delegates.address_credentials
    return None if of_address is None else Address.from_xdr_sc_address(of_address.address).address


def _failed_on_ledger(
    what: str, found: GetTransactionResponse, error_name: Callable[[int], str | None] | None
) -> CallFailed:
    """A transaction that was included and failed, with the host's words if there are any."""
    result = _result_name(found.result_xdr)
    for encoded in found.diagnostic_events_xdr or []:
        event = stellar_xdr.DiagnosticEvent.from_xdr(encoded).event.body.v0
        for topic in () if event is None else event.topics:
            if topic.error is not None and topic.error.contract_code is not None:
                code = topic.error.contract_code.uint32
                name = error_name(code) if error_name else None
                return CallFailed(
                    f"{what} failed in ledger {found.ledger}: {_contract_error(code, name)}",
                    code=code,
                    name=name,
                    result=result,
                )
    return CallFailed(f"{what} failed in ledger {found.ledger}: {result}", result=result)


def _result_name(result_xdr: str | None) -> str:
    """The name of the operation's code if an operation failed, else that of the transaction."""
    if result_xdr is None:
        return "without a result"
    result = stellar_xdr.TransactionResult.from_xdr(result_xdr).result
    inner = result.inner_result_pair
    code = result.code if inner is None else inner.result.result.code
    operations = (result.results if inner is None else inner.result.result.results) or []
    for operation in operations:
        if operation.tr is None:
            return operation.code.name
        call = operation.tr.invoke_host_function_result
        if call is not None and call.code.value < 0:
            return call.code.name
    return code.name


def _failure(what: str, error: str, error_name: Callable[[int], str | None] | None) -> CallFailed:
    """What a failed simulation says."""
    reason = error.strip()[:_REASON_CHARS_MAX]
    match = _HOST_ERROR.search(reason)
    if match is None:
        return CallFailed(f"{what} would fail: {' '.join(reason.split())}", reason=reason)
    if match[1] == "Contract" and match[2].isdigit():
        code = int(match[2])
        name = error_name(code) if error_name else None
        return CallFailed(
            f"{what} would fail: {_contract_error(code, name)}", code=code, name=name, reason=reason
        )
    return CallFailed(f"{what} would fail: {match[0]}\n{reason}", reason=reason)


def _contract_error(code: int, name: str | None) -> str:
    return f"the contract's error {code}" + ("" if name is None else f", {name}")


@contextlib.contextmanager
def _named(what: str, error_name: Callable[[int], str | None] | None) -> Iterator[None]:
    """The library's exceptions become ours here."""
    try:
        yield
    except PrepareTransactionException as error:
        said = error.simulate_transaction_response.error or str(error)
        raise _failure(what, said, error_name) from error
    except (BaseRequestError, requests.RequestException) as error:
        raise UnreachableError(f"{what} got no answer from the sandbox: {error}") from error
    except SdkError as error:
        raise CallFailed(f"{what} was not answered as expected: {error}") from error
